//! Who gets what, and why.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::{Context, ErrorCode, Evaluator, File, Reason};
use serde_json::{Value, json};

fn evaluator(text: &str) -> Evaluator {
    Evaluator::new(&File::parse(text).unwrap_or_else(|faults| panic!("{faults:?}")))
}

fn context(value: Value) -> Context {
    value.as_object().unwrap().clone().into()
}

/// Does a condition hold for what the context says of `a`?
fn holds(operator: &str, value: &str, attribute: Value) -> bool {
    let condition = json!({"type": "a", "operator": operator, "value": value});
    let text = json!({"f": {"enabled": true, "percentage": 100, "conditions": [condition]}}).to_string();
    let context = if attribute.is_null() { Context::of("u") } else { Context::of("u").with("a", attribute) };
    let evaluator = evaluator(&text);
    let answer = evaluator.evaluate("f", &context, None);
    assert_eq!(answer.reason, if answer.is_on() { Reason::TargetingMatch } else { Reason::Default });
    answer.is_on()
}

#[test]
fn each_operator_holds_for_what_it_says() {
    let table = [
        ("equals", "DE", json!("DE"), json!("de")),
        ("equals", "5", json!(5), json!(6)),
        ("equals", "5.0", json!(5), json!("5")),
        ("equals", "true", json!(true), json!(false)),
        ("equals", "DE", json!(["FR", "DE"]), json!(["FR"])),
        ("not_equals", "DE", json!("FR"), json!("DE")),
        ("not_equals", "DE", json!(["FR", "PL"]), json!(["FR", "DE"])),
        ("in", "DE, FR", json!("FR"), json!("PL")),
        ("in", "1,2,3,4,5,6,7,8,9,10", json!(10), json!(11)),
        ("in", "1,2,3,4,5,6,7,8,9,10", json!("9"), json!("11")),
        ("not_in", "DE, FR", json!("PL"), json!("DE")),
        ("contains", "@example.", json!("a@example.org"), json!("a@example-org")),
        ("not_contains", "x", json!("abc"), json!("axc")),
        ("starts_with", "en", json!("en-GB"), json!("de-DE")),
        ("ends_with", ".org", json!("a.org"), json!("a.com")),
        ("matches", "^v[0-9]+$", json!("v12"), json!("v12a")),
        ("greater_than", "18", json!(18.5), json!(18)),
        ("at_least", "18", json!("18"), json!("17.9")),
        ("less_than", "-1", json!(-2), json!(-1)),
        ("at_most", "9007199254740992", json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_993_u64)),
        ("version_equals", "1.2", json!("1.2.0+build"), json!("1.2.1")),
        ("version_above", "8.2.0", json!("8.10"), json!("8.2.0")),
        ("version_at_least", "8.2.0", json!("v8.2.0"), json!("8.2.0-rc.1")),
        ("version_below", "8.2.0", json!("8.2.0-rc.1"), json!("8.2.0")),
        ("version_at_most", "8.2", json!("8.2.0"), json!("8.2.1")),
        ("in_network", "10.0.0.0/8, 2001:db8::/32", json!("10.1.2.3"), json!("11.0.0.1")),
        ("not_in_network", "10.0.0.0/8", json!("192.0.2.1"), json!("10.0.0.1")),
        ("before", "2026-11-30", json!("2026-11-29T23:59:59Z"), json!("2026-11-30")),
        ("after", "2026-11-30T12:00:00+01:00", json!(1_796_036_401), json!("2026-11-30T11:00:00Z")),
    ];
    let tested = table.clone().map(|(operator, ..)| operator);
    for (operator, value, yes, no) in table {
        assert!(holds(operator, value, yes.clone()), "{operator} {value}: {yes}");
        assert!(!holds(operator, value, no.clone()), "{operator} {value}: {no}");
    }
    for operator in flags::Operator::ALL.iter().filter(|o| !o.key().ends_with("in_segment")) {
        assert!(tested.contains(&operator.key()), "{}", operator.key());
    }
}

#[test]
fn what_is_missing_or_cannot_be_compared_holds_for_nothing() {
    for operator in flags::Operator::ALL.iter().filter(|o| !o.key().ends_with("in_segment")) {
        let value = match operator.key() {
            k if k.contains("network") => "10.0.0.0/8",
            "before" | "after" => "2026-11-30",
            _ => "1",
        };
        for attribute in [json!(null), json!({"b": 1}), json!([]), json!([null]), json!([{}])] {
            assert!(!holds(operator.key(), value, attribute.clone()), "{} {attribute}", operator.key());
        }
    }
    for (operator, value, attribute) in [
        ("not_in_network", "10.0.0.0/8", json!("no address")),
        ("at_most", "5", json!("five")),
        ("version_below", "5", json!("soon")),
        ("before", "2026-11-30", json!("soon")),
        ("not_contains", "x", json!(5)),
    ] {
        assert!(!holds(operator, value, attribute.clone()), "{operator} {attribute}");
    }
}

const FLAG: &str = r#"
$segments:
  staff:
    conditions: [{type: email, operator: ends_with, value: "@example.com"}]
checkout-new-tax:
  enabled: true
  percentage: 31
  environment: production
  conditions:
    - {type: country, operator: in, value: "DE, FR"}
    - {type: app.version, operator: version_at_least, value: 8.2.0}
  variants: {new: true, old: false}
  default_variant: old
  rules:
    - name: Is staff
      conditions: [{operator: in_segment, value: staff}]
"#;

#[test]
fn the_first_rule_that_holds_decides() {
    let all = evaluator(FLAG);
    let answer = |c: Value| {
        let c = context(c);
        let a = all.evaluate("checkout-new-tax", &c, Some("production"));
        (a.variant.unwrap().to_owned(), a.reason, a.error)
    };
    let staff = json!({"targetingKey": "u", "email": "ann@example.com", "country": "PL"});
    assert_eq!(answer(staff), ("new".into(), Reason::TargetingMatch, None));
    assert_eq!(answer(json!({"targetingKey": "u", "country": "PL"})), ("old".into(), Reason::Default, None));
    let german = |key: &str| json!({"targetingKey": key, "country": "DE", "app": {"version": "8.4.1"}});
    let mut new = 0;
    for i in 0..10_000 {
        let (variant, reason, _) = answer(german(&format!("user-{i}")));
        assert_eq!(reason, Reason::Split);
        new += i32::from(variant == "new");
    }
    assert!((2950..3250).contains(&new), "{new}");
    let nobody = json!({"country": "DE", "app.version": "9"});
    assert_eq!(answer(nobody), ("old".into(), Reason::Error, Some(ErrorCode::TargetingKeyMissing)));
    let c = context(german("user-1"));
    assert_eq!(all.evaluate("checkout-new-tax", &c, Some("staging")).reason, Reason::Disabled);
}

#[test]
fn what_is_the_same_for_everybody_is_static() {
    let all = evaluator(
        "a: {enabled: true, percentage: 100}\nb: {enabled: true, percentage: 0}\nc: {enabled: false, percentage: 100}\n",
    );
    let nobody = Context::default();
    assert_eq!(all.evaluate("a", &nobody, None).reason, Reason::Static);
    assert!(all.evaluate("a", &nobody, None).is_on());
    assert_eq!(all.evaluate("b", &nobody, None).reason, Reason::Static);
    assert_eq!(all.evaluate("c", &nobody, None).reason, Reason::Disabled);
    let unknown = all.evaluate("d", &nobody, None);
    assert_eq!(
        (unknown.is_on(), unknown.reason, unknown.error),
        (false, Reason::Error, Some(ErrorCode::FlagNotFound))
    );
    assert_eq!(unknown.value, None);
}

#[test]
fn a_killed_flag_is_off_whatever_it_says_beside() {
    let all = evaluator(
        "a: {enabled: true, percentage: 100, killed: {at: 2026-11-22, by: ann, reason: fails}}\nb: {enabled: true, percentage: 100, prerequisites: [a]}\n",
    );
    let answer = all.evaluate("a", &Context::of("u"), None);
    assert_eq!((answer.is_on(), answer.reason), (false, Reason::Disabled));
    assert!(!all.evaluate("b", &Context::of("u"), None).is_on(), "what needs it is off, too");
}

#[test]
fn prerequisites_are_asked_for_the_same_user() {
    let all = evaluator(
        r#"
base: {enabled: true, percentage: 50}
needs: {enabled: true, percentage: 100, prerequisites: [base]}
needs-off: {enabled: true, percentage: 100, prerequisites: [{flag: base, variant: "off"}]}
"#,
    );
    for i in 0..500 {
        let context = Context::of(&format!("u{i}"));
        let on = |key: &str| all.evaluate(key, &context, None).is_on();
        assert_eq!(on("needs"), on("base"));
        assert_eq!(on("needs-off"), !on("base"));
    }
    // Who is in cannot be told without a key: neither is met.
    let nobody = Context::default();
    assert!(
        !all.evaluate("needs", &nobody, None).is_on() && !all.evaluate("needs-off", &nobody, None).is_on()
    );
}

#[test]
fn variants_are_shared_out_as_they_say_and_independently_of_who_is_in() {
    let text = |p: &str| {
        format!(
            "f: {{enabled: true, percentage: {p}, variants: {{a: x, b: y, c: z, none: n}}, default_variant: none, serve: {{a: 20, b: 30, c: 50}}}}"
        )
    };
    let (few, all) = (evaluator(&text("30")), evaluator(&text("100")));
    let mut counts = std::collections::BTreeMap::new();
    for i in 0..30_000 {
        let context = Context::of(&format!("user-{i}"));
        let (before, after) = (few.evaluate("f", &context, None), all.evaluate("f", &context, None));
        if before.variant != Some("none") {
            assert_eq!(before.variant, after.variant, "a rise moves nobody from one variant to another");
            *counts.entry(before.variant.unwrap().to_owned()).or_insert(0.0) += 1.0;
        }
    }
    let sum: f64 = counts.values().sum();
    assert!((sum / 30_000.0 - 0.3).abs() < 0.01, "{counts:?}");
    for (variant, share) in [("a", 0.2), ("b", 0.3), ("c", 0.5)] {
        assert!((counts[variant] / sum - share).abs() < 0.02, "{counts:?}");
    }
}

#[test]
fn a_user_is_in_from_the_first_share_above_their_bucket_on() {
    for key in ["ann", "bob", "user-48132"] {
        let bucket = flags::bucket("f", key);
        let at = |buckets| {
            let share = flags::Share::from_buckets(buckets).unwrap();
            evaluator(&format!("f: {{enabled: true, percentage: {share}}}"))
                .evaluate("f", &Context::of(key), None)
                .is_on()
        };
        assert!(!at(bucket) && at(bucket + 1), "{key}");
    }
}

#[test]
fn a_share_may_be_of_companies() {
    let all = evaluator("f: {enabled: true, percentage: 50, rollout_by: company.id}");
    let of = |company: Value| {
        let c = context(json!({"targetingKey": "u", "company": {"id": company}}));
        let answer = all.evaluate("f", &c, None);
        (answer.is_on(), answer.reason)
    };
    assert_eq!(of(json!(17)), of(json!("17")), "a number is its digits");
    for other in [json!(null), json!(""), json!(1.5), json!(true), json!(["17"])] {
        assert_eq!(of(other), (false, Reason::Default));
    }
}

#[test]
fn an_explanation_says_every_step_and_the_bucket() {
    let all = evaluator(FLAG);
    let user = json!({"targetingKey": "user-48132", "country": "DE", "app": {"version": "8.4.1"}});
    let explained = all.explain("checkout-new-tax", &context(user.clone()), Some("production"));
    let (bucket, share) = explained.bucket.unwrap();
    assert_eq!((bucket, share.buckets()), (flags::bucket("checkout-new-tax", "user-48132"), 31_000));
    let titles: Vec<_> = explained.steps.iter().map(|s| (s.title.as_str(), s.passed)).collect();
    let passed = bucket < 31_000;
    assert_eq!(
        titles,
        [
            ("Switch", true),
            ("Environment", true),
            ("Is staff", false),
            ("Conditions", true),
            ("Share", passed)
        ]
    );
    assert_eq!(explained.steps[2].words, "the user is in the segment staff: no.");
    assert_eq!(
        explained.steps[3].words,
        "country is one of DE, FR: yes, country is DE. app.version is at least version 8.2.0: yes, app.version is 8.4.1."
    );
    assert!(explained.words.starts_with("user-48132 gets "), "{}", explained.words);
    let poor = all.explain("checkout-new-tax", &Context::of("u"), None);
    assert!(poor.words.contains("country was not given"), "{}", poor.words);
    assert!(all.explain("none", &Context::of("u"), None).words.contains("no flag none"));
}
