//! The file as it is written in the field, its faults, and when it fires.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::*;
use chrono::{DateTime, TimeDelta, Utc};

const FILE: &str = r#"
rollback_triggers:
  error_rate_threshold: 0.05  # 5% error rate
  response_time_p95_ms: 5000  # 5 seconds
  workflow_failure_rate: 0.10  # 10% workflow failures
  pod_restart_rate: 0.20      # 20% pod restart rate

rollback_conditions:
  min_observation_time: "10m"
  max_rollback_time: "30m"
  confirmation_samples: 3

rollback_actions:
  - type: "pause_rollout"
    immediate: true
  - type: "notify_oncall"
    channels: ["slack", "pagerduty"]
  - type: "automatic_rollback"
    delay: "5m"
    confirmation_required: false
  - type: "incident_creation"
    severity: "high"
    auto_assign: true
"#;

fn faults(text: &str) -> Vec<(String, String)> {
    let problem = from_yaml(text).unwrap_err();
    problem.fields.into_iter().map(|e| (e.field, e.message)).collect()
}

/// The file with one text replaced has one fault: where, and beginning how.
#[track_caller]
fn fault(from: &str, to: &str, field: &str, message: &str) {
    assert!(FILE.contains(from), "{from}");
    let found = faults(&FILE.replacen(from, to, 1));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, field);
    assert!(found[0].1.starts_with(message), "{}", found[0].1);
}

fn policy() -> Policy {
    from_yaml(FILE).unwrap().policies.remove(DEFAULT).unwrap()
}

#[test]
fn the_file_is_read_as_it_is() {
    let read = from_yaml(FILE).unwrap();
    assert_eq!(read.warnings, []);
    let policy = &read.policies[DEFAULT];
    let limits: Vec<_> = policy.triggers.iter().map(|t| (t.what.key(), t.limit)).collect();
    assert_eq!(limits[0], ("error_rate_threshold", Limit::Above(0.05)));
    assert_eq!(limits[1], ("response_time_p95_ms", Limit::Above(5000.0)));
    assert_eq!(limits.len(), 4);
    assert_eq!(policy.conditions.min_observation_time, Span(600));
    assert_eq!(
        (policy.conditions.max_rollback_time, policy.conditions.confirmation_samples),
        (Span(1800), 3)
    );
    assert_eq!(policy.actions.len(), 4);
    assert_eq!(
        policy.actions[2],
        Action::AutomaticRollback { delay: Span(300), confirmation_required: false }
    );
    let same: Policy = serde_json::from_str(&serde_json::to_string(policy).unwrap()).unwrap();
    assert_eq!(same, *policy);
}

#[test]
fn several_have_names() {
    let indented: String = FILE.lines().map(|l| format!("    {l}\n")).collect();
    let text = format!("policies:\n  production:\n{indented}  staging:\n{indented}");
    let read = from_yaml(&text).unwrap();
    assert_eq!(read.policies.keys().collect::<Vec<_>>(), ["production", "staging"]);
    let bad = text.replacen("  staging:", "  Staging Area:", 1);
    assert_eq!(faults(&bad)[0].0, "policies.Staging Area");
}

#[test]
fn any_query_may_be_a_trigger() {
    let with =
        |queries: &str| FILE.replacen("  pod_restart_rate: 0.20      # 20% pod restart rate\n", queries, 1);
    let read =
        from_yaml(&with("  queries: [{name: queue, query: 'sum(queue_length)', above: 100}]\n")).unwrap();
    let what = What::Query { name: "queue".into(), query: "sum(queue_length)".into() };
    assert_eq!(read.policies[DEFAULT].triggers[3], Trigger { what, limit: Limit::Above(100.0) });
    let found = faults(&with("  queries: [{name: queue, query: 'x', above: 1, below: 2}]\n"));
    assert_eq!(found[0].0, "rollback_triggers.queries[0]");
}

#[test]
fn faults_are_told_at_their_fields() {
    fault(
        "pod_restart_rate: 0.20",
        "pod_restart_rat: 0.20",
        "rollback_triggers.pod_restart_rat",
        "There is no field",
    );
    fault(
        "\"10m\"",
        "\"10 parsecs\"",
        "rollback_conditions.min_observation_time",
        "`10 parsecs` is not a duration",
    );
    fault(
        "delay: \"5m\"",
        "delay: \"45m\"",
        "rollback_actions[2].delay",
        "Is longer than max_rollback_time (30m)",
    );
    fault("0.05", "5", "rollback_triggers.error_rate_threshold", "Must be a number from 0 to 1, not 5.");
    fault(
        "\"slack\"",
        "\"smoke signals\"",
        "rollback_actions[1].channels[0]",
        "There is no channel `smoke signals`",
    );
    fault("\"high\"", "\"awful\"", "rollback_actions[3].severity", "There is no severity `awful`");
    fault("\"pause_rollout\"", "\"pray\"", "rollback_actions[0].type", "There is no action `pray`");
    fault(
        "samples: 3",
        "samples: 0",
        "rollback_conditions.confirmation_samples",
        "Must be a whole number from 1 to 100",
    );
    assert_eq!(faults("")[0].1, "The file is empty. Begin with `rollback_triggers:`.");
    let twice = FILE.replacen("immediate: true", "immediate: true\n  - type: pause_rollout", 1);
    assert_eq!(faults(&twice)[0].0, "rollback_actions[1].type");
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::seconds(second)
}

fn reading(second: i64, errors: Option<f64>) -> Reading {
    let values = errors.map(|rate| (What::ErrorRate, rate)).into_iter().collect();
    Reading { at: at(second), requests: 500.0, values }
}

#[test]
fn it_fires_on_readings_in_a_row_and_not_before_it_has_watched() {
    let policy = policy();
    let fired = |seconds: &[(i64, Option<f64>)]| {
        let readings: Vec<_> = seconds.iter().map(|(s, v)| reading(*s, *v)).collect();
        fire(&policy, at(0), &readings)
    };
    let bad = Some(0.2);
    let seen = [600, 620, 640].map(|s| Seen { at: at(s), value: 0.2, requests: reading(s, bad).requests });
    let expected = Firing { at: at(640), trigger: 0, seen: seen.into() };
    assert_eq!(fired(&[(600, bad), (620, bad), (640, bad), (660, bad)]), Some(expected));
    assert_eq!(fired(&[(600, bad), (620, bad)]), None, "two are not three");
    assert_eq!(fired(&[(600, bad), (620, None), (640, bad), (660, bad)]), None, "no data breaks the row");
    assert_eq!(fired(&[(600, bad), (620, Some(0.01)), (640, bad), (660, bad)]), None);
    assert_eq!(fired(&[(100, bad), (120, bad), (140, bad)]), None, "not watched for ten minutes");
    assert_eq!(
        fired(&[(100, bad), (120, bad), (600, bad)]).unwrap().at,
        at(600),
        "then at the first moment it may"
    );
    assert_eq!(
        fired(&[(600, Some(0.05)), (620, Some(0.05)), (640, Some(0.05))]),
        None,
        "the limit is allowed"
    );
    let few: Vec<_> = [600, 620, 640].map(|s| Reading { requests: 9.0, ..reading(s, bad) }).into();
    assert_eq!(fire(&policy, at(0), &few), None, "nine requests are no ground");
    let before: Vec<_> = [-40, -20, 0].map(|s| reading(s, bad)).into();
    assert_eq!(fire(&policy, at(0), &before), None, "what was before is not about this");
}

#[test]
fn a_rollback_waits_for_its_delay_and_people_may_stop_it() {
    let mut policy = policy();
    let firing = Firing { at: at(0), trigger: 0, seen: vec![] };
    let times = |policy: &Policy, stopped: bool, done: &[usize], now: i64| {
        let all = due(policy, &firing, stopped, done, at(now));
        all.iter().map(|d| (d.index, d.at.map(|t| (t - at(0)).num_seconds()))).collect::<Vec<_>>()
    };
    assert_eq!(times(&policy, false, &[], 1), [(0, Some(0)), (1, Some(0)), (2, Some(300)), (3, Some(0))]);
    assert_eq!(times(&policy, false, &[0, 1, 3], 299), [(2, Some(300))]);
    assert_eq!(times(&policy, true, &[0, 1], 10), [(3, Some(0))], "what is no rollback goes on");
    assert_eq!(times(&policy, false, &[0, 1, 3], 1801), [], "too late to go back unasked");
    policy.actions[2] = Action::AutomaticRollback { delay: Span(300), confirmation_required: true };
    assert_eq!(times(&policy, false, &[0, 1, 3], 400), [(2, None)]);
}

#[test]
fn a_breaker_is_read_with_its_faults() {
    let with = |breaker: &str| format!("{FILE}\ncircuit_breaker: {breaker}\n");
    let read = |breaker: &str| from_yaml(&with(breaker)).unwrap().policies.remove(DEFAULT).unwrap().breaker;
    assert_eq!(read("{rollbacks: 3, window: 6h}"), Some(Breaker { rollbacks: 3, window: Span(6 * 3600) }));
    assert_eq!(read("{rollbacks: 1}"), Some(Breaker { rollbacks: 1, window: Span(24 * 3600) }));
    let at = |breaker: &str| faults(&with(breaker)).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    assert_eq!(at("{rollbacks: 0}"), ["circuit_breaker.rollbacks"]);
    assert_eq!(at("{rollbacks: 2, window: 10 parsecs}"), ["circuit_breaker.window"]);
    assert_eq!(at("{window: 6h}"), ["circuit_breaker.rollbacks"]);
    assert_eq!(at("{rollbacks: 2, every: 6h}"), ["circuit_breaker.every"]);
}

#[test]
fn services_are_watched_only_when_that_is_asked_for() {
    let with = |watch: &str| format!("{FILE}\nservice_watch: {watch}\n");
    let read = |watch: &str| from_yaml(&with(watch)).unwrap().policies.remove(DEFAULT).unwrap().services;
    assert_eq!(policy().services, None);
    assert_eq!(read("{}"), Some(ServiceWatch { rollback_within: Span(3600) }));
    assert_eq!(read("{enabled: false}"), None);
    assert_eq!(read("{enabled: true, rollback_within: 2h}").unwrap().rollback_within, Span(7200));
    let at = |watch: &str| faults(&with(watch)).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
    assert_eq!(at("{rollback_within: 10 parsecs}"), ["service_watch.rollback_within"]);
    assert_eq!(at("{enabled: sometimes}"), ["service_watch.enabled"]);
    assert_eq!(at("{always: true}"), ["service_watch.always"]);
}

#[test]
fn a_countdown_during_which_nothing_holds_is_worth_a_word() {
    let without = FILE.replacen("  - type: \"pause_rollout\"\n    immediate: true\n", "", 1);
    let warned: Vec<_> = from_yaml(&without).unwrap().warnings.into_iter().map(|w| w.field).collect();
    assert_eq!(warned, ["rollback_actions"]);
}

#[test]
fn the_nearest_policy_governs() {
    let text = |names: &[&str]| {
        let of = |name: &&str| {
            format!(
                "  {name}: {{rollback_triggers: {{error_rate_threshold: 0.05}}, rollback_actions: [{{type: pause_rollout}}]}}\n"
            )
        };
        format!("policies:\n{}", names.iter().map(of).collect::<String>())
    };
    let governs = |names: &[&str]| {
        let policies = from_yaml(&text(names)).unwrap().policies;
        governing(&policies, "checkout", "production").map(|(name, _)| name.to_owned())
    };
    assert_eq!(governs(&["default", "production", "checkout"]).as_deref(), Some("checkout"));
    assert_eq!(governs(&["default", "production", "ledger"]).as_deref(), Some("production"));
    assert_eq!(governs(&["default", "staging"]).as_deref(), Some("default"));
    assert_eq!(governs(&["staging"]), None);
}

#[test]
fn a_policy_is_told_in_words() {
    let policy = policy();
    assert_eq!(
        policy.fires_when(),
        "errors over 5 %, p95 over 5000 ms, failed workflows over 10 %, or pods that restart over 20 %"
    );
    assert_eq!(policy.conditions.words(), "3 readings in a row, 50 requests, watched for 10m");
    assert_eq!(
        (policy.then().as_str(), policy.countdown().as_str()),
        ("hold, tell on-call, roll back, incident", "5m")
    );
    assert_eq!(policy.triggers[0].broken_by(&[0.214, 0.2]), "errors 21.4 %, 20 %; the limit is 5 %");
    assert_eq!(policy.actions[1].words(&policy.conditions), "By Slack and PagerDuty.");
}
