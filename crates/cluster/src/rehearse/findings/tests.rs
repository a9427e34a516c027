use super::*;
use crate::observe;
use chrono::{DateTime, TimeDelta, Utc};
use model::workload::Revision;
use serde_json::json;
use std::collections::BTreeMap;

fn workload(strategy: Strategy, router: bool) -> Workload {
    let object = json!({
        "kind": "Rollout", "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "generation": 7},
        "spec": {"replicas": 8, "strategy": {"canary": {}}},
        "status": {"observedGeneration": "7", "phase": "Healthy", "stableRS": "good", "currentPodHash": "good"}});
    let mut w = observe("east", &object, &[], &BTreeMap::new(), Utc::now()).unwrap();
    w.strategy = strategy;
    w.router = router.then(|| "nginx".to_owned());
    w.revisions = vec![revision("good", 41, 0)];
    w
}

fn revision(hash: &str, number: i64, age: i64) -> Revision {
    Revision {
        hash: hash.into(),
        number,
        images: images("1.41.3"),
        desired: 8,
        ready: 8,
        available: 8,
        created: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(age),
    }
}

fn images(tag: &str) -> BTreeMap<String, String> {
    [("app".to_owned(), format!("shop/checkout:{tag}"))].into()
}

fn good(template: Value) -> KnownGood {
    KnownGood {
        config: Vec::new(),
        template,
        steps: None,
        blue_green: None,
        hash: "good".into(),
        images: images("1.41.3"),
        revision: Some(41),
    }
}

fn found(w: &Workload, spec: Value) -> Vec<String> {
    findings(w, &json!({"spec": spec}), &good(json!({})), &images("1.42.0"))
}

fn has(found: &[String], words: &str) {
    assert!(found.iter().any(|f| f.contains(words)), "{words}: {found:#?}");
}

#[test]
fn behind_a_router_nothing_starts_before_promotion() {
    let w = workload(Strategy::Canary, true);
    assert_eq!(paces(&w, "good"), (Pace::Seconds, Pace::PodStart));
    let said = found(&w, json!({}));
    has(&said, "In flight, the pods of 1.41.3 keep running: going back starts none.");
    has(&said, "run for 30 s more (scaleDownDelaySeconds); later 8 pods must start.");
    has(&found(&w, json!({"strategy": {"canary": {"scaleDownDelaySeconds": 600}}})), "run for 600 s more");
}

#[test]
fn where_pods_carry_the_weight_they_must_start_again() {
    let w = workload(Strategy::Canary, false);
    assert_eq!(paces(&w, "good"), (Pace::PodStart, Pace::PodStart));
    let said = found(&w, json!({}));
    has(&said, "up to 8 pods of 1.41.3 must start again");
    has(&said, "After promotion, 8 pods of 1.41.3 must start.");
    let mut w = workload(Strategy::Canary, true);
    w.dynamic_stable_scale = true;
    assert_eq!(paces(&w, "good").0, Pace::PodStart);
    has(&found(&w, json!({})), "(dynamicStableScale): up to 8 pods");
}

#[test]
fn blue_green_flips_while_the_old_pods_run() {
    let w = workload(Strategy::BlueGreen, false);
    assert_eq!(paces(&w, "good"), (Pace::Seconds, Pace::Seconds));
    let said = found(&w, json!({"strategy": {"blueGreen": {"scaleDownDelaySeconds": 120}}}));
    has(
        &said,
        "run for 120 s more (scaleDownDelaySeconds), by a plan until its gates after the switch have passed;",
    );
}

#[test]
fn a_deployment_goes_back_as_pods_start() {
    let mut w = workload(Strategy::Rolling, false);
    w.key.kind = Kind::Deployment;
    assert_eq!(paces(&w, "good"), (Pace::PodStart, Pace::PodStart));
    has(&found(&w, json!({})), "Pods of 1.41.3 start as those of the next version stop: up to 8 pods.");
}

#[test]
fn a_history_that_would_lose_the_good_replica_set_is_told() {
    let mut w = workload(Strategy::Canary, true);
    let lost = |w: &Workload, limit: i64| {
        found(w, json!({"revisionHistoryLimit": limit})).iter().any(|f| f.contains("removes its ReplicaSet"))
    };
    assert!(lost(&w, 0) && !lost(&w, 1));
    // A failed release's ReplicaSet is younger: the good one is the first to go.
    w.revisions.push(revision("failed", 40, 60));
    assert!(lost(&w, 1) && !lost(&w, 2));
    // The Deployment controller goes by the revision's number.
    w.key.kind = Kind::Deployment;
    assert!(!lost(&w, 1));
    w.revisions[1].number = 42;
    assert!(lost(&w, 1));
}

#[test]
fn what_does_not_go_back_is_named() {
    let template = json!({"spec": {"containers": [
        {"name": "app", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}},
        {"name": "proxy", "resources": {"requests": {"cpu": 1}}}]}});
    let mut w = workload(Strategy::Canary, true);
    w.gitops = model::gitops::App::named("argocd_checkout");
    let said = findings(&w, &json!({}), &good(template), &images("1.41.3"));
    has(&said, "each asks for cpu 500m, memory 1Gi and cpu 1.");
    has(&said, "Owned by Argo CD");
    has(&said, "nothing to go back from");
    let plain = found(&workload(Strategy::Canary, true), json!({}));
    assert!(
        !plain.iter().any(|f| f.contains("Not rolled back") || f.contains("nothing to go back")),
        "{plain:#?}"
    );
}
