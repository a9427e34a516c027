//! `judge::argo` against the real controller: the same analyses, asked of the same answers, come to the same.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

#[path = "analysis/cases.rs"]
mod cases;
#[path = "analysis/source.rs"]
mod source;

use cases::{Case, cases};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use judge::argo::condition::{Answer, measure};
use judge::argo::run::{Analysis, Measurement, MetricResult, Status};
use judge::argo::template::{Metric, Spec};
use judge::argo::{Phase, source as answers};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt as _, watcher};
use sandbox::Sandbox;
use serde_json::{Value, json};
use source::{Reply, reply};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Five errors in a row take forty seconds: the controller tries again after ten, whatever the interval.
const ALL_OVER: Duration = Duration::from_secs(110);

fn metric_name(metric: &Value) -> &str {
    metric["name"].as_str().unwrap_or("m")
}

fn spec(case: &Case, address: &str) -> Value {
    let metrics: Vec<Value> = case
        .metrics
        .iter()
        .map(|(fields, script)| {
            let name = metric_name(fields);
            let url = format!("{address}/{}/{name}", case.name);
            let mut metric = json!({"name": name, "provider": match script.starts_with("w:") {
                true => json!({"web": {"url": format!("{url}/here"), "jsonPath": "{$}"}}),
                false => json!({"prometheus": {"address": url, "query": "errors", "timeout": 2}}),
            }});
            metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            if let Some(range) = metric.as_object_mut().unwrap().remove("rangeQuery") {
                metric["provider"]["prometheus"]["rangeQuery"] = range;
            }
            metric
        })
        .collect();
    let mut spec = case.rest.clone();
    spec["metrics"] = json!(metrics);
    spec
}

/// What the case's run comes to by our rules, the first metric measured at most `most` times before it is ended.
fn ours(case: &Case, address: &str, most: i32) -> Status {
    let start = Utc::now();
    let mut status = Status::default();
    let spec: Spec = serde_json::from_value(spec(case, address)).unwrap();
    let mut analysis = match Analysis::new(&spec) {
        Ok(analysis) => analysis,
        Err(message) => return Status { phase: Phase::Error, message, ..status },
    };
    let mut asked: HashMap<String, usize> = HashMap::new();
    let mut at = start;
    for _ in 0..1000 {
        for task in analysis.due(&status, at) {
            let metric = analysis.metrics().iter().find(|m| m.name == task.metric).unwrap();
            let (_, script) = case.metrics.iter().find(|(m, _)| metric_name(m) == task.metric).unwrap();
            let n = asked.entry(task.metric.clone()).or_default();
            let measurement = measured(metric, &reply(script, *n), at);
            *n += 1;
            analysis.record(&mut status, &task.metric, measurement, at);
        }
        let first = status.metric_results.iter().find(|r| r.name == metric_name(&case.metrics[0].0));
        if case.terminate.is_some() && first.is_some_and(|r| r.count + r.error >= most) {
            // The controller looks once more after the measurement, and then learns that the run is to end.
            analysis.settle(&mut status, at);
            analysis.terminate();
        }
        analysis.settle(&mut status, at);
        match analysis.next(&status, at) {
            Some(next) => at = next.max(at) + TimeDelta::milliseconds(1),
            None => break,
        }
    }
    status
}

fn measured(metric: &Metric, reply: &Reply, at: DateTime<Utc>) -> Measurement {
    let range = metric.provider.get("prometheus").and_then(|p| p.get("rangeQuery"));
    let faulty = range.and_then(|r| answers::range(r, at).err());
    let read = match reply {
        _ if faulty.is_some() => Err(faulty.unwrap_or_default()),
        Reply::Silence => Err("context deadline exceeded".to_owned()),
        Reply::Body(status, body) if metric.provider.contains_key("web") => {
            answers::web(*status, body, "{$}")
        }
        Reply::Body(status, body) => answers::prometheus(*status, body),
    };
    let judge = |answer: &Answer| {
        measure(answer, &metric.success_condition, &metric.failure_condition, at).map_err(|e| e.to_string())
    };
    let started = Measurement { started_at: Some(at), ..Measurement::default() };
    match read.and_then(|answer| Ok((judge(&answer)?, answer.shown()))) {
        Ok((phase, value)) => Measurement { phase, value, ..started },
        Err(message) => Measurement { phase: Phase::Error, message, ..started },
    }
}

/// What is the same in both, whatever the library that reads JSON says, and wherever the source is.
fn class(message: &str) -> String {
    let known = [
        "context deadline exceeded",
        "bad_response:",
        "unmarshalerDecoder: unexpected value type \"string\"",
        "failed to resolve {{args.limit\",",
    ];
    match known.iter().find(|k| message.contains(**k)) {
        Some(known) => (*known).to_owned(),
        None => message.to_owned(),
    }
}

fn told(result: &MetricResult) -> Value {
    let of = |m: &Measurement| json!([m.phase, m.value, class(&m.message)]);
    json!({
        "name": result.name, "phase": result.phase, "message": class(&result.message), "dry": result.dry_run,
        "counts": [result.count, result.successful, result.failed, result.inconclusive, result.error],
        "in a row": [result.consecutive_success, result.consecutive_error],
        "measurements": result.measurements.iter().map(of).collect::<Vec<_>>(),
    })
}

/// What both say of a run, without times. Metrics measured at the same moment are in any order.
fn essence(status: &Status) -> Value {
    let mut metrics: Vec<Value> = status.metric_results.iter().map(told).collect();
    metrics.sort_by_key(|m| m["name"].as_str().map(ToOwned::to_owned));
    json!({
        "phase": status.phase, "message": class(&status.message), "metrics": metrics,
        "summary": status.run_summary, "dry": status.dry_run_summary.unwrap_or_default(),
    })
}

fn runs(client: kube::Client, ns: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "AnalysisRun");
    Api::namespaced_with(client, ns, &ApiResource::from_gvk_with_plural(&kind, "analysisruns"))
}

fn status_of(run: &DynamicObject) -> Status {
    serde_json::from_value(run.data.get("status").cloned().unwrap_or_default()).unwrap_or_default()
}

/// Follows all runs until each is over, and ends those that are to be ended.
async fn all_over(api: &Api<DynamicObject>, cases: &[Case]) -> HashMap<String, Status> {
    let mut over: HashMap<String, Status> = HashMap::new();
    let mut ended = HashSet::new();
    let watch = async {
        let mut seen = std::pin::pin!(
            watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects()
        );
        while over.len() < cases.len() {
            // The watcher itself tries again after an error, and the deadline bounds it.
            let Some(Ok(run)) = seen.next().await else { continue };
            let (name, status) = (run.metadata.name.clone().unwrap(), status_of(&run));
            let Some(case) = cases.iter().find(|c| c.name == name) else { continue };
            let first = status.metric_results.iter().find(|r| r.name == metric_name(&case.metrics[0].0));
            let enough = case.terminate.is_some_and(|n| first.is_some_and(|r| r.count >= n));
            if enough && !status.phase.completed() && ended.insert(name.clone()) {
                let patch = Patch::Merge(json!({"spec": {"terminate": true}}));
                api.patch(&name, &PatchParams::default(), &patch).await.unwrap();
            }
            if status.phase.completed() {
                over.insert(name, status);
            }
        }
    };
    let in_time = tokio::time::timeout(ALL_OVER, watch).await.is_ok();
    let open: Vec<&str> = cases.iter().map(|c| c.name).filter(|n| !over.contains_key(*n)).collect();
    assert!(in_time, "not over: {open:?}");
    over
}

#[tokio::test]
async fn the_controller_and_our_rules_come_to_the_same() {
    let cases = cases();
    let names: HashSet<&str> = cases.iter().map(|c| c.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    let scripts = cases.iter().flat_map(|case| {
        let key = |m: &Value| format!("{}/{}", case.name, metric_name(m));
        case.metrics.iter().map(move |(m, script)| (key(m), (*script).to_owned()))
    });
    let address = source::serve(scripts).await;
    let sandbox = Sandbox::shared().await.unwrap();
    let ns = sandbox.namespace("analysis").await.unwrap();
    let api = runs(sandbox.admin().await.unwrap(), &ns);
    let new = futures::stream::iter(&cases).map(|case| {
        let run: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": case.name},
            "spec": spec(case, &address),
        }))
        .unwrap();
        let api = api.clone();
        async move { api.create(&PostParams::default(), &run).await }
    });
    new.buffer_unordered(8).try_collect::<Vec<_>>().await.unwrap();
    let over = all_over(&api, &cases).await;
    let mut wrong = Vec::new();
    for case in &cases {
        let theirs = &over[case.name];
        let first = theirs.metric_results.iter().find(|r| r.name == metric_name(&case.metrics[0].0));
        let most = first.map_or(0, |r| r.count + r.error);
        let (ours, theirs) = (essence(&ours(case, &address, most)), essence(theirs));
        if ours != theirs {
            wrong.push(format!("{}\n  controller {theirs}\n  ours       {ours}", case.name));
        }
    }
    eprintln!("{} analyses compared", cases.len());
    assert!(cases.len() >= 60);
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
