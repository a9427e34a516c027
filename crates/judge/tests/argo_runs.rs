//! Runs of an analysis, against the cases that Argo Rollouts tests itself with.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use judge::argo::run::{self, Analysis, Measurement, MetricResult, RETRY, Status, Task};
use judge::argo::template::{Metric, Spec};
use judge::argo::{Phase, args, assess};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap()
}

fn ago(seconds: &Value) -> Option<DateTime<Utc>> {
    seconds.as_i64().map(|s| now() - TimeDelta::seconds(s))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn phase(value: &Value) -> Phase {
    serde_json::from_value(value.clone()).unwrap()
}

fn measured(phase: Phase) -> Measurement {
    Measurement {
        phase,
        started_at: Some(now()),
        finished_at: phase.completed().then(now),
        ..Measurement::default()
    }
}

/// A measurement of a case: a phase, or an object with times before now.
fn measurement(value: &Value) -> Measurement {
    if value.is_string() {
        return measured(phase(value));
    }
    Measurement {
        phase: phase(&value["phase"]),
        started_at: ago(&value["startedAgo"]),
        finished_at: ago(&value["finishedAgo"]),
        resume_at: value["resumeIn"].as_i64().map(|s| now() + TimeDelta::seconds(s)),
        ..Measurement::default()
    }
}

fn result(value: &Value) -> MetricResult {
    let mut fields = value.clone();
    let object = fields.as_object_mut().unwrap();
    object.remove("measurements");
    object.remove("last");
    let mut result: MetricResult = serde_json::from_value(fields).unwrap();
    result.measurements = list(&value["measurements"]).iter().map(measurement).collect();
    result.measurements.extend(value["last"].as_str().map(|p| measured(phase(&json!(p)))));
    result
}

fn metrics(of: &[Value]) -> Vec<Value> {
    let wanted = |m: &Value| {
        let mut metric = json!({"name": m["name"], "provider": {"job": {}}});
        for field in ["interval", "initialDelay"] {
            if m[field].is_string() {
                metric[field] = m[field].clone();
            }
        }
        if m["count"].is_number() && m["phase"].is_null() {
            metric["count"] = m["count"].clone();
        }
        metric
    };
    of.iter().map(wanted).collect()
}

fn analysis(case: &Value) -> Analysis {
    let names: Vec<Value> = list(&case["metrics"])
        .iter()
        .filter(|m| m["dryRun"] == json!(true))
        .map(|m| json!({"metricName": format!("^{}$", m["name"].as_str().unwrap())}))
        .collect();
    let metrics = metrics(list(&case["metrics"]));
    let metrics =
        if metrics.is_empty() { vec![json!({"name": "m", "provider": {"job": {}}})] } else { metrics };
    let spec: Spec = serde_json::from_value(json!({"metrics": metrics, "dryRun": names})).unwrap();
    Analysis::new(&spec).unwrap()
}

fn status(case: &Value) -> Status {
    let results = if case["results"].is_array() { list(&case["results"]) } else { list(&case["metrics"]) };
    Status {
        phase: Phase::Running,
        metric_results: results.iter().map(result).collect(),
        started_at: ago(&case["runStartedAgo"]),
        ..Status::default()
    }
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}

/// Replays the measurements that lead to a case's counters, and compares the counters.
fn replayed(case: &Value) -> Result<(), String> {
    let sequence = list(&case["derived"]["sequence"]);
    if sequence.is_empty() {
        return Ok(());
    }
    let spec = json!({"metrics": [{"name": "m", "provider": {"job": {}}}]});
    let analysis = Analysis::new(&serde_json::from_value(spec).unwrap()).unwrap();
    let mut status = Status::default();
    for phase_name in sequence {
        analysis.record(&mut status, "m", measured(phase(phase_name)), now());
    }
    let (got, wanted) = (&status.metric_results[0], result(&case["result"]));
    let counters = |r: &MetricResult| (r.failed, r.successful, r.inconclusive, r.consecutive_error);
    same(counters(got), counters(&wanted))?;
    same(got.measurements.len(), sequence.len())
}

fn assess_metric(case: &Value) -> Result<(), String> {
    let metric: Metric = serde_json::from_value(case["metric"].clone()).unwrap();
    let result = result(&case["result"]);
    let terminating = case["terminating"] == json!(true);
    same(assess::metric(&metric, &result, terminating), phase(&case["expected"]["phase"]))?;
    if let Some(words) = case["expectedMessage"].as_str() {
        same(assess::limit(&metric, &result).unwrap().1, words.to_owned())?;
    }
    replayed(case)
}

fn assess_run(case: &Value) -> Result<(), String> {
    let (analysis, mut status) = (analysis(case), status(case));
    if case["note"].as_str().is_some_and(|n| n.contains("resumed and returns Successful")) {
        let due = analysis.due(&status, now());
        same(due, vec![Task { metric: "run-forever".into(), resume: true }])?;
        analysis.record(&mut status, "run-forever", measured(Phase::Successful), now());
    }
    analysis.settle(&mut status, now());
    same(status.phase, phase(&case["expected"]["phase"]))?;
    same(status.message.as_str(), case["expected"]["message"].as_str().unwrap())?;
    for (name, after) in case["metricPhaseAfter"].as_object().into_iter().flatten() {
        same(status.metric_results.iter().find(|r| r.name == *name).unwrap().phase, phase(after))?;
    }
    if case["dryRunSummary"].is_object() {
        same(serde_json::to_value(status.dry_run_summary).unwrap(), case["dryRunSummary"].clone())?;
    }
    Ok(())
}

/// Whether a case has an initial delay that is no duration. Argo Rollouts' tests ask its parts about such a metric; a whole
/// run with one is refused, there and here.
fn refused(case: &Value) -> bool {
    let invalid = list(&case["metrics"])
        .iter()
        .any(|m| m["initialDelay"].as_str().is_some_and(|d| d.contains("delay")));
    if invalid {
        let spec = serde_json::from_value(json!({"metrics": metrics(list(&case["metrics"]))})).unwrap();
        let says = Analysis::new(&spec).unwrap_err();
        assert!(says.contains("invalid startDelay string: time: invalid duration"), "{says}");
    }
    invalid
}

fn tasks(case: &Value) -> Result<(), String> {
    if refused(case) {
        // No analysis can be made of it, so nothing is measured.
        return same(case["expected"]["tasks"].clone(), json!(0));
    }
    let due = analysis(case).due(&status(case), now());
    same(json!(due.len()), case["expected"]["tasks"].clone())?;
    if let Some(name) = case["taskMetric"].as_str() {
        same(due[0].metric.as_str(), name)?;
    }
    same(due.iter().any(|t| t.resume), case["note"].is_string() || case["taskMetric"].is_string())
}

fn next(case: &Value) -> Result<(), String> {
    let mut case = case.clone();
    if refused(&case) {
        // The others go on as if it were not there.
        case["metrics"].as_array_mut().unwrap().retain(|m| m["initialDelay"].is_null());
    }
    let at = analysis(&case).next(&status(&case), now()).map(|at| at - now());
    let expected = match &case["expected"]["inSeconds"] {
        Value::String(_) => Some(RETRY),
        other => other.as_i64().map(TimeDelta::seconds),
    };
    same(at, expected)
}

fn rules(case: &Value) -> Result<(), String> {
    let names: Vec<&str> = list(&case["metricNames"]).iter().filter_map(Value::as_str).collect();
    let mut spec = Spec::default();
    for rule in list(&case["rules"]) {
        match rule.as_array() {
            None => spec.dry_run.push(serde_json::from_value(json!({"metricName": rule})).unwrap()),
            Some(rule) => spec
                .measurement_retention
                .push(serde_json::from_value(json!({"metricName": rule[0], "limit": rule[1]})).unwrap()),
        }
    }
    let matched = match spec.dry_run.is_empty() {
        false => run::dry_run(&spec, &names).map(|m| m.into_iter().collect::<Vec<_>>()),
        true => run::retention(&spec, &names).map(|m| m.into_keys().collect()),
    };
    match (matched, case["expected"]["error"].as_str()) {
        (Err(error), Some(expected)) => same(error.as_str(), expected),
        (Ok(mut matched), None) => {
            let mut expected: Vec<String> =
                serde_json::from_value(case["expected"]["matched"].clone()).unwrap();
            expected.sort();
            matched.sort();
            same(matched, expected)
        }
        (got, expected) => Err(format!("got {got:?}, expected {expected:?}")),
    }
}

fn trims(case: &Value) -> Result<(), String> {
    let mut results: Vec<MetricResult> = case["measurements"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, values)| MetricResult {
            name: name.clone(),
            measurements: list(values)
                .iter()
                .map(|v| Measurement { value: v.as_str().unwrap().into(), ..Measurement::default() })
                .collect(),
            ..MetricResult::default()
        })
        .collect();
    let kept: BTreeMap<String, usize> = serde_json::from_value(case["retention"].clone()).unwrap();
    run::trim(&mut results, &kept, usize::try_from(case["limit"].as_u64().unwrap()).unwrap());
    let left: BTreeMap<&str, Vec<&str>> = results
        .iter()
        .map(|r| (r.name.as_str(), r.measurements.iter().map(|m| m.value.as_str()).collect()))
        .collect();
    same(json!(left), case["expected"].clone())
}

fn merges(case: &Value) -> Result<(), String> {
    let of = |field: &str| serde_json::from_value::<Vec<_>>(case[field].clone()).unwrap();
    match (args::merge(&of("incoming"), &of("template")), case["expected"]["error"].as_str()) {
        (Err(error), Some(expected)) => same(error.as_str(), expected),
        (Ok(merged), None) => {
            let mut expected = case["expected"]["args"].clone();
            for (i, arg) in expected.as_array_mut().unwrap().iter_mut().enumerate() {
                if arg["valueFrom"] == json!("kept") {
                    arg["valueFrom"] = case["template"][i]["valueFrom"].clone();
                }
            }
            same(json!(merged), expected)
        }
        (got, expected) => Err(format!("got {got:?}, expected {expected:?}")),
    }
}

fn check(case: &Value) -> Result<(), String> {
    match case["kind"].as_str().unwrap() {
        "assessMetricStatus" => assess_metric(case),
        "assessRunStatus" => assess_run(case),
        "isWorse" => {
            same(json!(phase(&case["current"]).is_worse(phase(&case["new"]))), case["expected"].clone())
        }
        "worst" => same(phase(&case["phases"][0]).worst(phase(&case["phases"][1])), phase(&case["expected"])),
        "isTerminating" => same(
            json!(run::is_terminating(case["terminate"] == json!(true), &status(case).metric_results)),
            case["expected"].clone(),
        ),
        "generateMetricTasks" => tasks(case),
        "nextReconcile" => next(case),
        "ttlExpired" => {
            let ttl = serde_json::from_value(case["ttlStrategy"].clone()).unwrap();
            let gone = run::expired(&ttl, phase(&case["phase"]), ago(&case["completedAgo"]), now());
            same(json!(gone), case["expected"].clone())
        }
        "dryRunRules" | "retentionRules" => rules(case),
        "trimMeasurements" => trims(case),
        "mergeArgs" => merges(case),
        other => Err(format!("a kind that this test does not know: {other}")),
    }
}

#[test]
fn every_analysis_comes_to_what_argo_rollouts_says() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/argo-analysis.json")).unwrap();
    let cases = vectors["analysis_cases"].as_array().unwrap();
    assert_eq!(cases.len(), 152);
    let wrong: Vec<String> =
        cases.iter().filter_map(|case| check(case).err().map(|e| format!("{case}\n  {e}"))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn spec(value: Value) -> Spec {
    serde_json::from_value(value).unwrap()
}

fn prometheus(query: &str) -> Value {
    json!({"prometheus": {"address": "http://prometheus:9090", "query": query}})
}

#[test]
fn arguments_are_filled_in_everywhere() {
    let analysis = Analysis::new(&spec(json!({
        "args": [{"name": "service", "value": "say \"hi\""}, {"name": "n", "value": "3"},
                 {"name": "key", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "metrics": [{"name": "errors", "interval": "{{ args.n }}s", "count": "{{args.n}}", "failureLimit": "1",
                     "provider": prometheus("rate(x{service='{{args.service}}',k='{{args.key}}'}[1m])")}],
    })))
    .unwrap();
    let metric = &analysis.metrics()[0];
    assert_eq!(metric.interval, "3s");
    assert_eq!(metric.effective_count(), Some(3));
    let query = metric.provider["prometheus"]["query"].as_str().unwrap();
    assert_eq!(query, "rate(x{service='say \"hi\"',k='temp-for-secret'}[1m])");
}

#[test]
fn what_the_controller_would_not_take_is_told_in_its_words() {
    let one = |metric: Value| json!({"metrics": [metric]});
    for (template, says) in [
        (json!({}), "Analysis spec invalid: no metrics specified"),
        (one(json!({"name": "a"})), "Analysis spec invalid: metrics[0]: no provider specified"),
        (
            one(json!({"name": "a", "provider": {"web": {}, "job": {}}})),
            "Analysis spec invalid: metrics[0]: multiple providers specified",
        ),
        (
            one(json!({"name": "a", "count": 2, "provider": {"job": {}}})),
            "Analysis spec invalid: metrics[0]: interval must be specified when count > 1",
        ),
        (
            one(json!({"name": "a", "failureLimit": -1, "provider": {"job": {}}})),
            "Analysis spec invalid: metrics[0]: failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
        (
            one(json!({"name": "a", "interval": "1d", "provider": {"job": {}}})),
            "Analysis spec invalid: metrics[0]: invalid interval string: time: unknown unit \"d\" in duration \"1d\"",
        ),
        (
            one(json!({"name": "a", "provider": prometheus("x{s='{{args.s}}'}")})),
            "Unable to resolve metric arguments: failed to resolve {{args.s}}",
        ),
        (
            json!({"args": [{"name": "s"}], "metrics": [{"name": "a", "provider": {"job": {}}}]}),
            "Unable to resolve metric arguments: argument \"s\" was not supplied",
        ),
        (
            json!({"dryRun": [{"metricName": "*"}], "metrics": [{"name": "a", "provider": {"job": {}}}]}),
            "Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)",
        ),
    ] {
        assert_eq!(Analysis::new(&spec(template.clone())).unwrap_err(), says, "{template}");
    }
}

/// Runs it with a source that answers with these phases in turn, each look at its time.
fn play(analysis: &Analysis, phases: &[Phase]) -> (Status, TimeDelta) {
    let (mut status, mut at) = (Status::default(), now());
    let mut answers = phases.iter();
    while !status.phase.completed() {
        for task in analysis.due(&status, at) {
            let Some(phase) = answers.next() else { return (status, at - now()) };
            let measurement = Measurement { phase: *phase, started_at: Some(at), ..Measurement::default() };
            analysis.record(&mut status, &task.metric, measurement, at);
        }
        analysis.settle(&mut status, at);
        match analysis.next(&status, at) {
            Some(next) => at = next + TimeDelta::nanoseconds(1),
            None => break,
        }
    }
    (status, at - now())
}

#[test]
fn a_failure_limit_of_three_fails_at_the_fourth() {
    let analysis = Analysis::new(&spec(json!({"metrics": [
        {"name": "errors", "interval": "1m", "count": 10, "failureLimit": 3, "provider": {"job": {}}}]})))
    .unwrap();
    let (status, after) = play(&analysis, &[Phase::Failed; 10]);
    assert_eq!(status.phase, Phase::Failed);
    assert_eq!(status.metric_results[0].failed, 4);
    assert_eq!(status.message, "Metric \"errors\" assessed Failed due to failed (4) > failureLimit (3)");
    assert_eq!(after.num_seconds(), 180);
}

#[test]
fn errors_are_tried_again_after_ten_seconds_whatever_the_interval() {
    let analysis = Analysis::new(&spec(json!({"metrics": [
        {"name": "errors", "interval": "1h", "count": 3, "provider": {"job": {}}}]})))
    .unwrap();
    let (status, after) = play(&analysis, &[Phase::Error; 9]);
    assert_eq!(status.phase, Phase::Error);
    assert_eq!(status.metric_results[0].error, 5);
    assert_eq!(after.num_seconds(), 40);
    assert!(status.completed_at.is_some());
}

#[test]
fn only_ten_measurements_are_kept_and_all_are_counted() {
    let analysis = Analysis::new(&spec(json!({"metrics": [
        {"name": "m", "interval": "1s", "count": 25, "provider": {"job": {}}}]})))
    .unwrap();
    let (status, _) = play(&analysis, &[Phase::Successful; 25]);
    assert_eq!(status.phase, Phase::Successful);
    assert_eq!((status.metric_results[0].measurements.len(), status.metric_results[0].count), (10, 25));
}

#[test]
fn a_status_is_read_as_the_cluster_writes_it() {
    let written = json!({"phase": "Running", "startedAt": "2026-11-21T12:00:00Z", "dryRunSummary": {}, "runSummary": {"count": 1},
        "metricResults": [{"name": "errors", "phase": "Running", "count": 1, "successful": 1, "consecutiveSuccess": 1,
            "metadata": {"ResolvedPrometheusQuery": "up"},
            "measurements": [{"phase": "Successful", "value": "[1]", "startedAt": "2026-11-21T12:00:00Z",
                              "finishedAt": "2026-11-21T12:00:00Z"}]}]});
    let status: Status = serde_json::from_value(written).unwrap();
    assert_eq!(status.metric_results[0].measurements[0].value, "[1]");
    let fresh: Status = serde_json::from_value(json!({})).unwrap();
    assert_eq!(fresh.phase, Phase::Pending);
}
