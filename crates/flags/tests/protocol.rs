//! OFREP 0.3, and the command line.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::command::{Question, answer, check};
use flags::ofrep::{EventStream, Refetch, bulk, context, etag, not_modified, single, version};
use flags::{Context, Evaluator, File};
use serde_json::json;

const FILE: &str = r##"
on-for-all: {enabled: true, percentage: 100}
colour:
  enabled: true
  percentage: 100
  variants: {blue: {code: "#00f"}, green: {code: "#0f0"}}
  default_variant: green
  conditions: [{type: plan, operator: equals, value: team}]
not-on: {enabled: false, percentage: 100}
"##;

fn evaluator() -> Evaluator {
    Evaluator::new(&File::parse(FILE).unwrap())
}

#[test]
fn one_flag_is_answered_as_the_protocol_has_it() {
    let all = evaluator();
    let ann = Context::of("ann").with("plan", "team");
    let said = |key: &str, context: &Context| {
        serde_json::to_value(single(&all, key, context, None).unwrap()).unwrap()
    };
    assert_eq!(
        said("on-for-all", &ann),
        json!({"key": "on-for-all", "value": true, "reason": "STATIC", "variant": "on"})
    );
    assert_eq!(
        said("colour", &ann),
        json!({"key": "colour", "value": {"code": "#00f"}, "reason": "TARGETING_MATCH", "variant": "blue"})
    );
    assert_eq!(
        said("colour", &Context::of("bob")),
        json!({"key": "colour", "value": {"code": "#0f0"}, "reason": "UNKNOWN", "variant": "green", "metadata": {"reason": "DEFAULT"}})
    );
    assert_eq!(said("not-on", &ann)["reason"], "DISABLED");
    let failed = single(&all, "none", &ann, None).unwrap_err();
    assert_eq!(failed.status(), 404);
    assert_eq!(
        serde_json::to_value(&failed).unwrap(),
        json!({"key": "none", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "There is no flag none."})
    );
}

#[test]
fn all_flags_are_answered_in_the_order_of_the_file() {
    let all = evaluator();
    let ann = Context::of("ann");
    let said = bulk(&all, &ann, None, "v12", vec![EventStream::sse("/ofrep/v1/events?t=x")]);
    let said = serde_json::to_value(said).unwrap();
    let keys: Vec<_> = said["flags"].as_array().unwrap().iter().map(|f| f["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["on-for-all", "colour", "not-on"]);
    assert_eq!(said["metadata"], json!({"version": "v12"}));
    assert_eq!(
        said["eventStreams"],
        json!([{"type": "sse", "endpoint": {"requestUri": "/ofrep/v1/events?t=x"}, "inactivityDelaySec": 120}])
    );
    assert_eq!(
        serde_json::to_value(Refetch::new("\"a\"", 5)).unwrap(),
        json!({"type": "refetchEvaluation", "etag": "\"a\"", "lastModified": 5})
    );
}

#[test]
fn a_request_needs_a_context_with_a_targeting_key() {
    for (body, code) in [
        ("", "PARSE_ERROR"),
        ("{", "PARSE_ERROR"),
        ("[]", "INVALID_CONTEXT"),
        ("{}", "INVALID_CONTEXT"),
        (r#"{"context": []}"#, "INVALID_CONTEXT"),
        (r#"{"context": {}}"#, "TARGETING_KEY_MISSING"),
        (r#"{"context": {"targetingKey": ""}}"#, "TARGETING_KEY_MISSING"),
        (r#"{"context": {"targetingKey": null}}"#, "TARGETING_KEY_MISSING"),
        (r#"{"context": {"targetingKey": 5}}"#, "INVALID_CONTEXT"),
    ] {
        let failed = context(body.as_bytes()).unwrap_err();
        assert_eq!((failed.code.key(), failed.status()), (code, 400), "{body}");
    }
    let found = context(br#"{"context": {"targetingKey": "ann", "plan": "team"}, "more": 1}"#).unwrap();
    assert_eq!(found, Context::of("ann").with("plan", "team"));
    assert_eq!(context(&[0xff, 0xfe]).unwrap_err().code.key(), "PARSE_ERROR");
    let deep =
        format!(r#"{{"context": {{"targetingKey": "a", "x": {}1{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(context(deep.as_bytes()).unwrap_err().code.key(), "PARSE_ERROR");
}

#[test]
fn an_etag_is_of_the_flags_the_environment_and_the_context() {
    let ann = Context::of("ann").with("plan", "team").with("n", json!({"b": [1, "x"], "a": null}));
    let same = Context::default()
        .with("n", json!({"a": null, "b": [1, "x"]}))
        .with("plan", "team")
        .with("targetingKey", "ann");
    let tag = etag("v1", Some("production"), &ann);
    assert_eq!(tag, etag("v1", Some("production"), &same), "whatever the order");
    assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'));
    let others = [
        etag("v2", Some("production"), &ann),
        etag("v1", Some("staging"), &ann),
        etag("v1", None, &ann),
        etag("v1", Some(""), &ann),
        etag("v1", Some("production"), &ann.clone().with("plan", "solo")),
        etag("v1", Some("production"), &ann.clone().with("n", json!({"a": null, "b": ["1", "x"]}))),
        etag("v1", Some("production"), &ann.clone().with("n", json!({"a": null, "b": [[1, "x"]]}))),
    ];
    for (i, other) in others.iter().enumerate() {
        assert_ne!(*other, tag, "{i}");
    }
    assert!(
        not_modified(&tag, &tag) && not_modified(&format!("\"x\", W/{tag}"), &tag) && not_modified("*", &tag)
    );
    assert!(not_modified(tag.trim_matches('"'), &tag), "some clients leave the quotes out");
    assert!(!not_modified("", &tag) && !not_modified("\"x\"", &tag));
    assert_ne!(version("a"), version("b"));
}

#[test]
fn a_file_is_asked_without_a_server() {
    let question = Question { context: r#"{"targetingKey": "ann", "plan": "team"}"#, ..Question::default() };
    let all = answer(FILE, &question).unwrap();
    assert_eq!(all["flags"].as_array().unwrap().len(), 3);
    let one = answer(FILE, &Question { key: Some("colour"), explain: true, ..question.clone() }).unwrap();
    assert_eq!(one["variant"], "blue");
    assert_eq!(one["steps"][1]["words"], "plan is team: yes, plan is team.");
    assert!(one["words"].as_str().unwrap().starts_with("ann gets blue"));
    let none = answer(FILE, &Question { key: Some("none"), ..question.clone() }).unwrap();
    assert_eq!(none["errorCode"], "FLAG_NOT_FOUND");
    assert!(
        answer(FILE, &Question { context: "[]", ..question.clone() }).unwrap_err().contains("JSON object")
    );
    assert!(answer("f: 1", &question).unwrap_err().starts_with("line 1, f: Must be a map"));
}

#[test]
fn a_file_is_checked_without_a_server() {
    assert_eq!(check(FILE).unwrap(), "3 flags: 2 on, 1 off, 0 killed");
    let said = check("a: {enabled: 1}\nb: {percentage: 101}\n").unwrap_err();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("line 1, a.enabled: ") && lines[1].starts_with("line 2, b.percentage: "));
}
