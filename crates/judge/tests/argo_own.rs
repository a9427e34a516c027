//! Templates that are evaluated without the controller.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use chrono::{DateTime, TimeDelta, Utc};
use judge::argo::Phase;
use judge::argo::own::{About, again, measured, prepare, question, take, words};
use judge::argo::run::{Analysis, Measurement, Status};
use judge::argo::template::Spec;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Reply = Result<(u16, String), String>;

const PROMETHEUS: &str = "http://prometheus.monitoring.svc.cluster.local:9090";

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn metric(more: Value) -> Value {
    let mut metric = json!({"name": "rate", "interval": "10s", "count": 3, "successCondition": "result[0] >= 0.95",
        "provider": {"prometheus": {"address": PROMETHEUS, "query": "up{job=\"{{args.who}}\"}", "headers": [{"key": "x"}]}}});
    metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    metric
}

fn spec(args: Value, metrics: Value, rest: Value) -> Spec {
    let mut spec = json!({"args": args, "metrics": metrics});
    spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn given(args: &[(&str, &str)]) -> BTreeMap<String, String> {
    args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn vector(values: &[&str]) -> Reply {
    let series: Vec<_> = values.iter().map(|v| json!({"metric": {}, "value": [1, v]})).collect();
    Ok((200, json!({"status": "success", "data": {"resultType": "vector", "result": series}}).to_string()))
}

/// Looks once a second, each metric answered by what is given for it, as often as that is there.
fn run(spec: &Spec, answers: &[(&str, Vec<Reply>)]) -> (Status, Vec<(String, Measurement)>) {
    let analysis = Analysis::new(spec).unwrap();
    let (mut status, mut all) = (Status::default(), Vec::new());
    analysis.settle(&mut status, at(0));
    for second in 0..200 {
        let now = at(second);
        let mut look = Vec::new();
        for task in analysis.due(&status, now) {
            let metric = analysis.metrics().iter().find(|m| m.name == task.metric).unwrap();
            let (_, replies) = answers.iter().find(|(name, _)| *name == task.metric).unwrap();
            let n = all.iter().filter(|(name, _)| *name == task.metric).count();
            assert!(question(metric, now).unwrap().query.contains("checkout"));
            look.push((
                task.metric.clone(),
                measured(metric, replies[n.min(replies.len() - 1)].clone(), now),
            ));
        }
        all.extend(look.clone());
        take(&analysis, &mut status, look, now);
        if status.phase.completed() {
            break;
        }
    }
    (status, all)
}

fn one(more: Value, answers: Vec<Reply>) -> (Spec, Status, Vec<(String, Measurement)>) {
    let template = spec(json!([{"name": "who"}]), json!([metric(more)]), json!({}));
    let spec = prepare(&template, &given(&[("who", "checkout")])).unwrap();
    let (status, all) = run(&spec, &[("rate", answers)]);
    let replayed = again(&spec, at(0), &all, None).unwrap();
    assert_eq!((&replayed.status, replayed.other.len()), (&status, 0), "the same comes out again");
    (spec, status, all)
}

#[test]
fn a_run_without_the_controller_comes_to_each_phase_and_to_the_same_again() {
    let (spec, status, all) = one(json!({}), vec![vector(&["0.99"])]);
    assert_eq!((status.phase, all.len()), (Phase::Successful, 3));
    assert_eq!(all.iter().map(|(_, m)| m.finished_at.unwrap()).collect::<Vec<_>>(), [at(0), at(11), at(22)]);
    assert_eq!(words("t", &spec, &status), "The template t passed.");

    let (spec, status, all) =
        one(json!({"failureLimit": 1}), vec![vector(&["0.8"]), vector(&["1"]), vector(&["0.7"])]);
    assert_eq!((status.phase, all.len()), (Phase::Failed, 3));
    assert_eq!(
        words("t", &spec, &status),
        "The template t failed: rate failed twice, 1 allowed. It was last 0.7, and result[0] >= 0.95 passes."
    );

    let (spec, status, _) = one(json!({"failureCondition": "result[0] < 0.5"}), vec![vector(&["0.8"])]);
    assert_eq!(status.phase, Phase::Inconclusive);
    assert!(
        words("t", &spec, &status)
            .starts_with("The template t is inconclusive: rate neither passed nor failed once, 0")
    );

    // No data: five errors in a row, ten seconds apart.
    let (spec, status, all) = one(json!({}), vec![vector(&[])]);
    assert_eq!((status.phase, all.len()), (Phase::Error, 5));
    let told = words("t", &spec, &status);
    assert!(
        told.contains("was an error 5 times in a row, 4 allowed") && told.contains("no data returned"),
        "{told}"
    );

    let lost = || Err("Prometheus does not answer within 5 s.".to_owned());
    let (_, status, _) = one(json!({"consecutiveErrorLimit": 0}), vec![lost()]);
    assert_eq!(status.phase, Phase::Error);
}

#[test]
fn what_is_no_number_and_what_is_two_series_are_judged_as_the_controller_does() {
    let (_, status, all) = one(json!({}), vec![vector(&["NaN"])]);
    assert_eq!((status.phase, all[0].1.value.as_str()), (Phase::Failed, "[NaN]"));
    let (_, status, all) = one(json!({"count": 1}), vec![vector(&["0.99", "0.1"])]);
    assert_eq!((status.phase, all[0].1.value.as_str()), (Phase::Successful, "[0.99,0.1]"));
    let every = json!({"count": 1, "successCondition": "all(result, # >= 0.95)"});
    assert_eq!(one(every, vec![vector(&["0.99", "0.1"])]).1.phase, Phase::Failed);
}

#[test]
fn a_dry_run_decides_nothing_and_one_that_fails_ends_the_others() {
    let other = |name: &str, more: Value| {
        let mut m = metric(more);
        m["name"] = name.into();
        m
    };
    let metrics = json!([other("bad", json!({})), other("good", json!({}))]);
    let args = json!([{"name": "who", "value": "checkout"}]);
    let answers = [("bad", vec![vector(&["0.1"])]), ("good", vec![vector(&["1"])])];
    let template = spec(args.clone(), metrics.clone(), json!({"dryRun": [{"metricName": "bad"}]}));
    let dry = prepare(&template, &given(&[])).unwrap();
    let (status, all) = run(&dry, &answers);
    assert_eq!((status.phase, all.len()), (Phase::Successful, 4));
    assert_eq!(again(&dry, at(0), &all, None).unwrap().status, status);

    let strict = prepare(&spec(args, metrics, json!({})), &given(&[])).unwrap();
    let (status, all) = run(&strict, &answers);
    assert_eq!((status.phase, all.len(), status.completed_at), (Phase::Failed, 2, Some(at(0))));
    let good = status.metric_results.iter().find(|r| r.name == "good").unwrap();
    assert_eq!(good.phase, Phase::Successful, "it was ended");
    assert_eq!(again(&strict, at(0), &all, None).unwrap().status, status);
}

#[test]
fn one_that_is_stopped_passes_and_what_was_stored_wrong_is_found() {
    let template = spec(json!([{"name": "who", "value": "checkout"}]), json!([metric(json!({}))]), json!({}));
    let spec = prepare(&template, &given(&[])).unwrap();
    let first =
        ("rate".to_owned(), measured(&Analysis::new(&spec).unwrap().metrics()[0], vector(&["1"]), at(1)));
    let stopped = again(&spec, at(0), std::slice::from_ref(&first), Some(at(5))).unwrap().status;
    assert_eq!((stopped.phase, stopped.completed_at), (Phase::Successful, Some(at(5))));
    let wrong = (first.0, Measurement { value: "[0.5]".into(), ..first.1 });
    let found = again(&spec, at(0), &[wrong], None).unwrap();
    assert_eq!(found.other, [("rate".to_owned(), Phase::Successful, Phase::Failed)]);
    assert_eq!(found.status.phase, Phase::Failed);
}

#[test]
fn what_keeps_a_template_from_being_evaluated_is_said_where_it_is_to_be_changed() {
    let faults = |args: Value, metrics: Value, values: &[(&str, &str)]| {
        let faults = prepare(&spec(args, metrics, json!({})), &given(values)).unwrap_err();
        faults.into_iter().map(|f| (f.about, f.words)).collect::<Vec<_>>()
    };
    let found =
        faults(json!([{"name": "who"}, {"name": "ns"}]), json!([metric(json!({}))]), &[("whom", "x")]);
    assert_eq!(found[0].0, About::Arg("whom".into()));
    assert!(found[0].1.contains("It has `who`, `ns`."), "{found:?}");
    assert_eq!(found[1].0, About::Args);
    assert!(found[1].1.contains("wants a value for `who` and `ns`. Write `args: {who: …}`"), "{found:?}");
    let secret = json!([{"name": "who", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    assert!(faults(secret.clone(), json!([metric(json!({}))]), &[])[0].1.contains("a Secret"));
    assert!(prepare(&spec(secret, json!([metric(json!({}))]), json!({})), &given(&[("who", "x")])).is_ok());
    let job = json!([metric(json!({"provider": {"job": {"spec": {}}}}))]);
    let found = faults(json!([]), job, &[]);
    assert!(found[0].0 == About::Template && found[0].1.contains("asks job"), "{found:?}");
    let mut endless = metric(json!({}));
    endless.as_object_mut().unwrap().remove("count");
    assert!(faults(json!([]), json!([endless]), &[])[0].1.contains("no count"));
    let found = faults(json!([]), json!([metric(json!({}))]), &[]);
    assert!(found[0].1.contains("failed to resolve {{args.who}}"), "{found:?}");
    // Where Prometheus is, and how one signs in there, is not kept.
    let template = spec(json!([{"name": "who", "value": "x"}]), json!([metric(json!({}))]), json!({}));
    let kept = prepare(&template, &given(&[])).unwrap().metrics.remove(0).provider;
    assert_eq!(kept["prometheus"], json!({"query": "up{job=\"{{args.who}}\"}"}));
}
