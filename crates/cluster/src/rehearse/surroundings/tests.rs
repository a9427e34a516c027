use super::*;
use crate::observe::observe;
use serde_json::json;
use std::collections::BTreeMap;

fn rollout(canary: Value) -> (Value, Workload) {
    let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-11-18T14:00:00Z"},
        "spec": {"replicas": 4, "strategy": {"canary": canary},
            "template": {"metadata": {"labels": {"app": "web", "tier": "front"}},
                "spec": {"containers": [{"name": "app", "image": "registry.example.com/web:1.0.0"}]}}}});
    let workload = observe("demo", &object, &[], &BTreeMap::new(), chrono::DateTime::UNIX_EPOCH).unwrap();
    (object, workload)
}

fn quota(name: &str, hard: &str, used: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"hard": {"pods": hard}, "used": {"pods": used}}})
}

#[test]
fn the_tightest_quota_decides_whether_there_is_room() {
    let (object, w) = rollout(json!({"trafficRouting": {"nginx": {"stableIngress": "web"}}}));
    let around = |quotas: Vec<Value>| Surroundings { quotas, ..Surroundings::default() };
    assert_eq!(room(&around(vec![]), &w, &object), None);
    let cpu = json!({"metadata": {"name": "cpu"}, "status": {"hard": {"cpu": "4"}, "used": {"cpu": "1"}}});
    assert_eq!(room(&around(vec![cpu]), &w, &object), None, "it does not count pods");
    let wide = room(&around(vec![quota("wide", "20", "8")]), &w, &object).unwrap();
    assert!(wide.passed && wide.words.contains("12 more pods") && wide.words.contains("need 4"), "{wide:?}");
    let both = around(vec![quota("wide", "20", "8"), quota("tight", "8", "7")]);
    let tight = room(&both, &w, &object).unwrap();
    assert!(!tight.passed && tight.words.starts_with("Quota tight leaves room for 1 more pod;"), "{tight:?}");
}

#[test]
fn without_a_router_only_the_surge_is_needed() {
    let around = Surroundings { quotas: vec![quota("q", "5", "4")], ..Surroundings::default() };
    let (object, w) = rollout(json!({"maxSurge": 1}));
    assert!(room(&around, &w, &object).unwrap().passed);
    let (object, w) = rollout(json!({"maxSurge": "50%"}));
    assert!(!room(&around, &w, &object).unwrap().passed);
}

#[test]
fn an_autoscaler_and_a_used_up_budget_of_this_workload_are_told() {
    let (object, w) = rollout(json!({"maxSurge": 1}));
    let hpa = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {"minReplicas": 2, "maxReplicas": 9,
            "scaleTargetRef": {"kind": "Rollout", "name": name}}})
    };
    let pdb = |label: &str, allowed: i64| {
        json!({"metadata": {"name": "keep"}, "spec": {"selector": {"matchLabels": {"app": label}}},
            "status": {"disruptionsAllowed": allowed, "expectedPods": 4}})
    };
    let around = Surroundings {
        autoscalers: vec![hpa("web"), hpa("other")],
        budgets: vec![pdb("web", 0), pdb("web", 1), pdb("other", 0)],
        ..Surroundings::default()
    };
    let found = words(&around, &w, &object);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("2 to 9, 4 now") && found[0].contains("made of pods"), "{found:?}");
    assert!(found[1].contains("keep lets no pod be evicted"), "{found:?}");
}

#[test]
fn a_surge_that_is_not_what_it_looks_like_is_told() {
    let told = |canary: Value| {
        let (object, w) = rollout(canary);
        words(&Surroundings::default(), &w, &object)
    };
    assert_eq!(told(json!({})), [""; 0]);
    assert_eq!(told(json!({"maxSurge": "25%", "maxUnavailable": 0})), [""; 0]);
    let percent = told(json!({"maxSurge": 1, "maxUnavailable": "1"}));
    assert!(percent.len() == 1 && percent[0].contains("read as 1 %"), "{percent:?}");
    let nothing = told(json!({"maxSurge": 0, "maxUnavailable": "0"}));
    assert!(nothing.iter().any(|w| w.contains("takes one away first")), "{nothing:?}");
    assert!(told(json!({"maxUnavailable": "100%"}))[0].contains("all 4 pods"));
}
