//! Conditions, against the cases that Argo Rollouts tests itself with, and against what a person may type.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use chrono::{DateTime, TimeZone as _, Utc};
use judge::argo::condition::{Answer, FaultKind, holds, measure, moment};
use judge::argo::{Phase, source};
use proptest::prelude::*;
use serde_json::{Value, json};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap()
}

fn answer(case: &Value) -> Answer {
    let result = &case["result"];
    match (result.as_str(), case["note"].as_str()) {
        (Some("NaN"), Some(_)) => return Answer::Scalar(f64::NAN),
        (Some("+Inf"), Some(_)) => return Answer::Scalar(f64::INFINITY),
        _ => {}
    }
    match result {
        Value::Number(n) => Answer::Scalar(n.as_f64().unwrap()),
        Value::Array(list) if list.iter().all(Value::is_number) => {
            Answer::Numbers(list.iter().map(|n| n.as_f64().unwrap()).collect())
        }
        other => Answer::Json(other.clone()),
    }
}

fn text<'c>(case: &'c Value, field: &str) -> &'c str {
    case[field].as_str().unwrap_or_default()
}

/// What the case says about an error, against the error there is.
fn agree(expected: &Value, error: Option<String>) -> Result<(), String> {
    let wanted = expected["error"].as_str();
    match (wanted, error) {
        (None, None) => Ok(()),
        (Some("any error"), Some(_)) => Ok(()),
        (Some(wanted), Some(error)) if error.contains(wanted) => Ok(()),
        (wanted, error) => Err(format!("expected the error {wanted:?}, got {error:?}")),
    }
}

fn phase_of(case: &Value, read: Result<Answer, String>) -> (Phase, Option<String>) {
    let (success, failure) = (text(case, "successCondition"), text(case, "failureCondition"));
    match read.and_then(|a| measure(&a, success, failure, now()).map_err(|e| e.to_string())) {
        Ok(phase) => (phase, None),
        Err(error) => (Phase::Error, Some(error)),
    }
}

fn check(case: &Value) -> Result<(), String> {
    let expected = &case["expected"];
    match text(case, "kind") {
        "evalCondition" => {
            let said = holds(&answer(case), text(case, "expression"), now());
            agree(expected, said.as_ref().err().map(ToString::to_string))?;
            let value = said.unwrap_or(false);
            (expected["value"] == json!(value)).then_some(()).ok_or(format!("got {value}"))
        }
        "evalTime" => {
            let said = moment(text(case, "expression"), now());
            agree(expected, said.as_ref().err().map(ToString::to_string))?;
            let Ok(at) = said else { return Ok(()) };
            let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            (expected["time"] == json!(at)).then_some(()).ok_or(at)
        }
        kind @ ("evaluateResult" | "webMetric") => {
            let read = match kind {
                "evaluateResult" => Ok(answer(case)),
                _ => source::web(
                    u16::try_from(case["http"]["status"].as_u64().unwrap()).unwrap(),
                    text(&case["http"], "body"),
                    text(case, "jsonPath"),
                ),
            };
            if let (Ok(read), Some(shown)) = (&read, case["expectedValue"].as_str())
                && read.shown() != shown
            {
                return Err(format!("shown as {}", read.shown()));
            }
            let (phase, error) = phase_of(case, read);
            if expected["phase"] != json!(phase) {
                return Err(format!("got {phase}: {error:?}"));
            }
            let contains = expected["errorContains"].as_array().cloned().unwrap_or_default();
            let parts = contains.iter().chain(case.get("errorContains")).filter_map(Value::as_str);
            let error = error.unwrap_or_default();
            match parts.into_iter().find(|part| !error.contains(part)) {
                Some(part) => Err(format!("{part:?} is missing in {error:?}")),
                None => Ok(()),
            }
        }
        other => Err(format!("a kind that this test does not know: {other}")),
    }
}

#[test]
fn every_condition_comes_to_what_argo_rollouts_says() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/argo-analysis.json")).unwrap();
    let cases = vectors["evaluate_cases"].as_array().unwrap();
    assert_eq!(cases.len(), 85);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).err().map(|e| format!("{} {case}\n  {e}", text(case, "id"))))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn an_empty_vector_is_an_error_and_never_a_verdict() {
    let none = Answer::Numbers(Vec::new());
    let misjudged = measure(&none, "result[0] >= 0.95", "", now()).unwrap_err();
    assert_eq!(misjudged.fault.kind, FaultKind::NoData);
    assert!(misjudged.plain().contains("returned no data"), "{}", misjudged.plain());
    assert_eq!(measure(&none, "len(result) == 0 || result[0] >= 0.95", "", now()), Ok(Phase::Successful));
    assert_eq!(measure(&none, "len(result) > 0 && result[0] >= 0.95", "", now()), Ok(Phase::Failed));
}

#[test]
fn errors_are_told_in_words() {
    let one = Answer::Numbers(vec![0.5]);
    for (condition, kind, words) in [
        ("result[3] > 1", FaultKind::Index, "fewer values than the condition asks for"),
        ("result > 1", FaultKind::Types, "A vector needs an index"),
        ("reslt[0] > 1", FaultKind::Name, "unknown name reslt"),
        ("result[0] >", FaultKind::Syntax, "cannot be read"),
        ("result[0]", FaultKind::NotBool, "neither true nor false"),
        ("timezone(\"UTC\") == nil", FaultKind::Unsupported, "Only Argo Rollouts' own controller"),
        ("len(1..100000000) > 1", FaultKind::Size, "too large"),
    ] {
        let fault = holds(&one, condition, now()).unwrap_err();
        assert_eq!(fault.kind, kind, "{condition}: {fault}");
        assert!(fault.plain().contains(words), "{condition}: {}", fault.plain());
    }
}

#[test]
fn types_are_checked_before_anything_is_evaluated() {
    // The right side is never reached, and does not fit one number all the same.
    assert!(holds(&Answer::Scalar(1.0), "true || result[0] > 1", now()).is_err());
    assert_eq!(holds(&Answer::Numbers(vec![1.0]), "true || result[0] > 1", now()), Ok(true));
}

#[test]
fn what_is_deep_or_costly_ends_in_an_error() {
    // On the smallest stack that a thread here has.
    let deep = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        let nested = |n: usize| format!("{}1{} == 1", "(".repeat(n), ")".repeat(n));
        let costly = [
            nested(5000),
            nested(59),
            format!("{}true", "!".repeat(5000)),
            format!("1{} > 0", " + 1".repeat(5000)),
            format!("result{} > 0", "[0]".repeat(5000)),
            format!("{} == 1", "[".repeat(5000)),
            format!("{}1{}", "1 < (1 < ".repeat(40), ")".repeat(40)),
            "all(1..900, all(1..900, all(1..900, # > 0)))".into(),
            "len(repeat(\"ab\", 900000)) > 0".into(),
            format!(
                "let a0 = \"xy\"; {}true",
                (1..60).map(|i| format!("let a{i} = a{p} + a{p}; ", p = i - 1)).collect::<String>()
            ),
            format!(
                "let a0 = [1]; {}flatten(a58) == nil",
                (1..59).map(|i| format!("let a{i} = [a{p}, a{p}]; ", p = i - 1)).collect::<String>()
            ),
            "result[0] matches \"(a{1000}){1000}\"".into(),
        ];
        for condition in costly {
            let _ = holds(&Answer::Json(json!([[["a"]]])), &condition, now());
        }
    });
    deep.unwrap().join().unwrap();
}

/// Texts made of what the language is made of.
fn expressions() -> impl Strategy<Value = String> {
    let words = [
        "result",
        "[0]",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "#",
        ".a",
        "?.b",
        "??",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "not ",
        " in ",
        "..",
        "1",
        "0.5",
        "-",
        "+",
        "*",
        "/",
        "%",
        "**",
        "\"x\"",
        "'y'",
        "true",
        "nil",
        "all(",
        "filter(",
        "sum(",
        "len(",
        "asInt(",
        "asFloat(",
        "isNaN(",
        "default(",
        ",",
        "?",
        ":",
        "let a = ",
        ";",
        "a",
        " matches ",
        " contains ",
        "max(",
        "reduce(",
        "sortBy(",
        "groupBy(",
        "|",
        "first(",
        "keys(",
        "split(",
        "take(",
        "#acc",
        "\\",
        "\u{1F980}",
        "`",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..24).prop_map(|w| w.concat())
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        prop::num::f64::ANY.prop_map(Answer::Scalar),
        prop::collection::vec(prop::num::f64::ANY, 0..4).prop_map(Answer::Numbers),
        prop::sample::select(vec![
            json!(null),
            json!({"a": [1, {"b": "x"}], "b": null}),
            json!([[], ""]),
            json!("x")
        ])
        .prop_map(Answer::Json),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_text_makes_it_panic(condition in expressions(), answer in answers()) {
        let _ = holds(&answer, &condition, now());
    }

    #[test]
    fn no_bytes_make_it_panic(condition in "\\PC{0,60}", answer in answers()) {
        let _ = holds(&answer, &condition, now());
    }

    /// One condition, and the other side of it, on any number: never both, and neither only where it is no number.
    #[test]
    fn a_number_passes_or_fails(n in prop::num::f64::ANY, limit in -1000.0..1000.0_f64) {
        let phase = measure(&Answer::Scalar(n), &format!("result >= {limit}"), &format!("result < {limit}"), now());
        let expected = match n {
            n if n.is_nan() => Phase::Inconclusive,
            n if n >= limit => Phase::Successful,
            _ => Phase::Failed,
        };
        prop_assert_eq!(phase, Ok(expected));
    }
}
