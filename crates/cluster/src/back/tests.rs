use super::*;
use serde_json::json;

#[test]
fn what_controllers_put_into_a_template_is_taken_out() {
    let own = json!({"key": "disk", "operator": "In", "values": ["ssd"]});
    let injected = json!({"key": "rollouts-pod-template-hash", "operator": "NotIn", "values": ["bbb"]});
    let set = json!({
        "metadata": {"annotations": {"rollout.argoproj.io/ephemeral-metadata":
            r#"{"labels":{"role":"stable"},"annotations":{"note":"x"}}"#}},
        "spec": {"template": {
            "metadata": {"labels": {"app": "web", "role": "stable", "rollouts-pod-template-hash": "aaa"},
                "annotations": {"note": "x"}},
            "spec": {"containers": [{"name": "app", "image": "web:1"}],
                "affinity": {"podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchExpressions": [injected]}, "topologyKey": "kubernetes.io/hostname"}],
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 1, "podAffinityTerm": {"labelSelector": {"matchExpressions": [own]}}},
                        {"weight": 1, "podAffinityTerm": {"labelSelector": {"matchExpressions": [injected]}}}]}}}}},
    });
    let template = cleaned(&set);
    assert_eq!(template["metadata"], json!({"labels": {"app": "web"}}));
    let anti = &template["spec"]["affinity"]["podAntiAffinity"];
    assert_eq!(anti.get("requiredDuringSchedulingIgnoredDuringExecution"), None);
    assert_eq!(anti["preferredDuringSchedulingIgnoredDuringExecution"].as_array().unwrap().len(), 1);
}

#[test]
fn affinity_that_was_only_injected_leaves_nothing_behind() {
    let injected = json!({"key": "rollouts-pod-template-hash", "operator": "NotIn", "values": ["bbb"]});
    let required = json!([{"labelSelector": {"matchExpressions": [injected]}}]);
    let set = json!({"spec": {"template": {"spec": {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}}}});
    assert_eq!(cleaned(&set), json!({"spec": {}}));
}

#[test]
fn a_deployments_template_loses_only_its_hash() {
    let set = json!({"spec": {"template": {
        "metadata": {"labels": {"app": "web", "pod-template-hash": "aaa"}, "annotations": {"restarted": "1"}},
        "spec": {"containers": []}}}});
    assert_eq!(
        cleaned(&set)["metadata"],
        json!({"labels": {"app": "web"}, "annotations": {"restarted": "1"}})
    );
}
