//! What is said about templates that people write.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use chrono::{DateTime, TimeZone as _, Utc};
use judge::argo::diagnose::{About, Finding, Weight, diagnose};
use serde_json::{Value, json};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap()
}

fn found(template: Value) -> Vec<Finding> {
    diagnose(&serde_json::from_value(template).unwrap(), now())
}

fn metric(query: &str, fields: Value) -> Value {
    let mut metric =
        json!({"name": "m", "provider": {"prometheus": {"address": "http://prometheus", "query": query}}});
    metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"metrics": [metric]})
}

fn abouts(template: Value) -> Vec<About> {
    found(template).into_iter().map(|f| f.about).collect()
}

#[test]
fn a_comparison_in_the_query_is_told_with_what_to_write_instead() {
    let template = metric(
        "sum(rate(errors[5m])) / sum(rate(requests[5m])) < 0.05",
        json!({"successCondition": "result[0] < 1 || isNaN(result[0])"}),
    );
    let found = found(template);
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.about, finding.weight), (About::FilteringQuery, Weight::Warning));
    assert!(finding.happens.contains("and with nothing, not with 0"), "{}", finding.happens);
    assert!(
        finding.happens.contains("error 5 times in a row, which takes 40 seconds"),
        "{}",
        finding.happens
    );
    let instead =
        "query: sum(rate(errors[5m])) / sum(rate(requests[5m])) and successCondition: result[0] < 0.05";
    assert!(finding.instead.contains(instead), "{}", finding.instead);
}

/// A template as it is found in the wild: the query keeps what is below 0.05, and the condition wants at least 0.95.
#[test]
fn a_query_and_a_condition_that_exclude_each_other_never_pass() {
    let template = metric(
        "sum(rate(kube_pod_container_status_restarts_total{namespace=\"agent-platform\"}[10m])) /\n\
         sum(kube_pod_status_ready{namespace=\"agent-platform\"}) < 0.05\n",
        json!({"interval": "120s", "count": 3, "successCondition": "result[0] >= 0.95"}),
    );
    let never = found(template).into_iter().find(|f| f.about == About::NeverPasses).unwrap();
    assert_eq!(never.weight, Weight::Fault);
    assert!(
        never.happens.contains("only with values < 0.05, none of which successCondition takes"),
        "{}",
        never.happens
    );
    assert!(never.instead.ends_with("successCondition: result[0] < 0.05."), "{}", never.instead);
}

#[test]
fn what_a_computed_condition_takes_is_not_guessed() {
    let template =
        metric("a / b < 0.97", json!({"successCondition": "result[0] * 100 >= 96 || isNaN(result[0])"}));
    assert_eq!(abouts(template), [About::FilteringQuery]);
}

#[test]
fn an_empty_answer_is_told_unless_the_condition_or_the_query_sees_to_it() {
    let of = |query: &str, condition: &str| abouts(metric(query, json!({"successCondition": condition})));
    assert_eq!(of("sum(rate(x[5m]))", "result[0] < 1"), [About::EmptyAnswer]);
    assert!(of("sum(rate(x[5m]))", "len(result) > 0 && result[0] < 1").is_empty());
    assert!(of("sum(rate(x[5m])) or vector(0)", "result[0] < 1").is_empty());
    assert!(of("scalar(x)", "result < 1").is_empty());
    assert!(of("sum(rate(x[5m]))", "all(result, # < 1)").is_empty());
}

#[test]
fn what_is_counted_otherwise_than_it_reads_is_told() {
    let quiet = "sum(x) or vector(0)";
    let limit = found(metric(
        quiet,
        json!({"interval": "1m", "count": 10, "failureLimit": 3, "successCondition": "result[0] < 1"}),
    ));
    assert_eq!(limit[0].about, About::FailureLimit);
    assert!(limit[0].happens.contains("fails at failure 4"), "{}", limit[0].happens);
    assert!(limit[0].instead.contains("failureLimit: 2"));
    let no_interval = found(metric(quiet, json!({"count": 5, "successCondition": "result[0] < 1"})));
    assert_eq!(no_interval[0].about, About::Refused);
    assert!(no_interval[0].instead.contains("interval: 30s"));
    assert_eq!(
        abouts(metric(quiet, json!({"interval": "1m", "successCondition": "result[0] < 1"}))),
        [About::Endless]
    );
    assert_eq!(abouts(metric(quiet, json!({"failureCondition": "result[0] > 1"}))), [About::OnlyFailure]);
    assert_eq!(abouts(metric(quiet, json!({}))), [About::NoCondition]);
}

#[test]
fn conditions_that_fit_no_answer_are_told() {
    let of = |query: &str, condition: &str| found(metric(query, json!({"successCondition": condition})));
    for (query, condition, instead) in [
        ("sum(x)", "result < 1", "write result[0]"),
        ("scalar(x)", "result[0] < 1", "write result, without an index"),
        ("sum(x)", "reslt[0] < 1", "write result[0]"),
        ("sum(x)", "result[0] <", "write result[0]"),
    ] {
        let found = of(query, condition);
        assert_eq!((found.len(), found[0].about), (1, About::Condition), "{condition}: {found:?}");
        assert!(found[0].instead.contains(instead), "{condition}: {}", found[0].instead);
    }
    let part = of("sum(x) or vector(0)", "default(result[0], 1) == [1]");
    assert!(part.iter().any(|f| f.about == About::WholeResult), "{part:?}");
}

#[test]
fn no_number_is_told_where_the_query_divides() {
    let of = |fields: Value| abouts(metric("sum(a) / sum(b) or vector(0)", fields));
    assert_eq!(of(json!({"failureCondition": "result[0] > 1"})), [About::OnlyFailure, About::NotANumber]);
    assert_eq!(of(json!({"successCondition": "result[0] <= 1"})), [About::NotANumber]);
    assert!(of(json!({"successCondition": "isNaN(result[0]) || result[0] <= 1"})).is_empty());
}

#[test]
fn arguments_that_a_rollout_gives_are_no_fault() {
    let mut template = metric(
        "sum(x{s=\"{{args.service}}\"}) or vector(0)",
        json!({"successCondition": "result[0] < {{args.limit}}"}),
    );
    template["args"] = json!([{"name": "service"}, {"name": "limit"}]);
    assert!(found(template.clone()).is_empty());
    template["args"] = json!([{"name": "service"}]);
    let refused = found(template);
    assert_eq!(refused[0].about, About::Refused);
    assert!(refused[0].happens.contains("failed to resolve {{args.limit}}"), "{}", refused[0].happens);
}
