use super::*;
use crate::observe;
use crate::raw;
use model::ReleaseId;
use serde::Deserialize as _;

fn facts(patch: &[(&str, Value)]) -> Facts {
    let mut object = json!({
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "generation": 7,
            "annotations": {"rollout.argoproj.io/revision": "3"}},
        "spec": {"template": good().template, "strategy": {"canary": {"steps": [{"setWeight": 10}]}}},
        "status": {"observedGeneration": "7", "phase": "Healthy", "stableRS": "good", "currentPodHash": "good"},
    });
    for (path, value) in patch {
        let (parent, field) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    observe::rollout("east", raw::Rollout::deserialize(object).unwrap())
}

fn good() -> KnownGood {
    KnownGood {
        config: Vec::new(),
        template: json!({"metadata": {"labels": {"app": "checkout"}}, "spec": {
            "initContainers": [{"name": "migrate", "image": "shop/migrate:1"}],
            "containers": [{"name": "proxy", "image": "mesh/proxy:2"}, {"name": "app", "image": "shop/checkout:1"}]}}),
        steps: Some(json!([{"setWeight": 10}])),
        blue_green: None,
        hash: "good".into(),
        images: [("app".to_owned(), "shop/checkout:1".to_owned())].into(),
        revision: Some(3),
    }
}

fn plan(images: Value, steps: Value) -> Plan {
    serde_json::from_value(json!({
        "apiVersion": "tidegate.dev/v1", "kind": "Plan",
        "metadata": {"name": "checkout-2", "service": "checkout", "environment": "production"},
        "spec": {"change": {"images": images}, "strategy": {"canary": {"steps": steps}}},
    }))
    .unwrap()
}

fn two() -> Plan {
    plan(json!({"app": "shop/checkout:2"}), json!([{"weight": 5, "bake": "2m"}, {"weight": 100}]))
}

fn id() -> AttemptId {
    AttemptId("r7-1".into())
}

fn deploy_to(facts: &Facts, plan: &Plan) -> Result<Value, String> {
    let new = Incoming { plan, good: &good(), release: ReleaseId(7) };
    deploy(facts, &id(), &new).map(Patch::value)
}

#[test]
fn each_weight_but_a_free_last_one_is_followed_by_a_pause_without_end() {
    let pause = json!({"pause": {}});
    assert_eq!(
        steps(&plan(json!({}), json!([{"weight": 5}, {"weight": 25, "bake": "1m"}, {"weight": 100}])), None),
        json!([{"setWeight": 5}, pause, {"setWeight": 25}, pause, {"setWeight": 100}])
    );
    for held in [json!({"weight": 100, "bake": "1m"}), json!({"weight": 100, "gates": ["analysis"]})] {
        assert_eq!(steps(&plan(json!({}), json!([held])), None), json!([{"setWeight": 100}, pause]));
    }
}

#[test]
fn a_deploy_is_one_patch_that_names_its_preconditions() {
    let value = deploy_to(&facts(&[]), &two()).unwrap();
    let note = serde_json::to_string(&good()).unwrap();
    assert_eq!(
        value,
        json!([
            {"op": "test", "path": "/status/stableRS", "value": "good"},
            {"op": "test", "path": "/status/currentPodHash", "value": "good"},
            {"op": "test", "path": "/spec/template", "value": good().template},
            {"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "shop/checkout:2"},
            {"op": "add", "path": "/spec/strategy/canary/steps",
                "value": [{"setWeight": 5}, {"pause": {}}, {"setWeight": 100}]},
            {"op": "add", "path": "/metadata/annotations/tidegate.dev~1attempt", "value": "r7-1"},
            {"op": "add", "path": "/metadata/annotations/tidegate.dev~1release", "value": "7"},
            {"op": "add", "path": "/metadata/annotations/tidegate.dev~1rollback", "value": note},
        ])
    );
}

#[test]
fn steps_that_are_followed_are_tested_and_left_alone() {
    let mut plan = two();
    plan.spec.strategy = serde_json::from_value(json!({"follow": {"bake": "2m"}})).unwrap();
    let value = deploy_to(&facts(&[]), &plan).unwrap();
    let about: Vec<_> = value.as_array().unwrap().iter().filter(|op| op["path"] == STEPS).collect();
    assert_eq!(about, [&json!({"op": "test", "path": STEPS, "value": [{"setWeight": 10}]})]);
    let note = &pause(&facts(&[]), &id()).value()[1];
    assert_eq!(
        (&note["path"], &note["value"]),
        (&json!("/metadata/annotations/tidegate.dev~1attempt"), &json!("r7-1"))
    );
}

#[test]
fn the_annotations_map_is_made_where_there_is_none_and_never_over_one() {
    let value = deploy_to(&facts(&[("/metadata/annotations", Value::Null)]), &two()).unwrap();
    let ops = value.as_array().unwrap();
    assert_eq!(ops[5], json!({"op": "test", "path": "/metadata/annotations", "value": null}));
    assert_eq!(ops[6]["path"], "/metadata/annotations");
    assert_eq!(ops[6]["value"]["tidegate.dev/attempt"], "r7-1");
    assert_eq!(ops.len(), 7);
}

#[test]
fn an_init_containers_image_is_found_too() {
    let plan = plan(json!({"migrate": "shop/migrate:2"}), json!([{"weight": 100}]));
    let value = deploy_to(&facts(&[]), &plan).unwrap();
    assert_eq!(value[3]["path"], "/spec/template/spec/initContainers/0/image");
}

#[test]
fn what_cannot_be_deployed_is_said() {
    let refused = |patch: &[(&str, Value)], plan: &Plan, words: &str| {
        let why = deploy_to(&facts(patch), plan).unwrap_err();
        assert!(why.contains(words), "{why}");
    };
    let absent = plan(json!({"web": "x:1"}), json!([{"weight": 100}]));
    refused(&[], &absent, "no container named web: it has proxy, app");
    let same = plan(json!({"app": "shop/checkout:1"}), json!([{"weight": 100}]));
    refused(&[], &same, "runs exactly these images already");
    refused(&[("/spec/paused", json!(true))], &two(), "spec.paused");
    refused(&[("/status/abort", json!(true))], &two(), "still stands aborted");
    refused(&[("/spec/strategy", json!({"blueGreen": {}}))], &two(), "another strategy than the plan");
}

#[test]
fn a_template_too_large_for_an_annotation_is_refused() {
    let mut large = good();
    large.template["metadata"]["annotations"] = json!({"x": "x".repeat(LARGEST_NOTE)});
    let why = deploy(&facts(&[]), &id(), &Incoming { plan: &two(), good: &large, release: ReleaseId(7) })
        .unwrap_err();
    assert!(why.contains("200 KiB"), "{why}");
}

#[test]
fn a_pause_is_opened_by_index_reason_and_revision() {
    let w = facts(&[("/status/currentPodHash", json!("bad"))]).workload;
    assert_eq!(
        open_pause(&w, 3).unwrap().value(),
        json!([
            {"op": "test", "path": "/status/currentStepIndex", "value": 3},
            {"op": "test", "path": "/status/pauseConditions/0/reason", "value": "CanaryPauseStep"},
            {"op": "test", "path": "/status/currentPodHash", "value": "bad"},
            {"op": "remove", "path": "/status/pauseConditions"},
        ])
    );
    let paused = facts(&[("/spec/paused", json!(true))]).workload;
    assert!(open_pause(&paused, 3).unwrap_err().contains("Resume it first"));
}

#[test]
fn an_abort_always_takes_promote_full_away() {
    assert_eq!(
        abort("bad").value(),
        json!([
            {"op": "test", "path": "/status/currentPodHash", "value": "bad"},
            {"op": "add", "path": "/status/abort", "value": true},
            {"op": "add", "path": "/status/promoteFull", "value": false},
        ])
    );
}

fn revert_of(patch: &[(&str, Value)], good: &KnownGood, window: bool) -> Vec<Value> {
    let facts = facts(patch);
    let Value::Array(ops) = revert(&facts, 2, &id(), good, window).unwrap().value() else { panic!() };
    ops
}

#[test]
fn in_flight_a_revert_holds_while_the_good_revision_is_stable() {
    let ops = revert_of(&[("/status/currentPodHash", json!("bad"))], &good(), false);
    assert_eq!(
        ops,
        [
            json!({"op": "test", "path": "/status/stableRS", "value": "good"}),
            json!({"op": "replace", "path": "/spec/template", "value": good().template}),
            json!({"op": "add", "path": "/spec/strategy/canary/steps", "value": [{"setWeight": 10}]}),
            json!({"op": "add", "path": "/metadata/annotations/tidegate.dev~1attempt", "value": "r7-1"}),
        ]
    );
}

#[test]
fn after_promotion_a_revert_holds_while_the_bad_revision_is_the_newest() {
    let bad = [("/status/currentPodHash", json!("bad")), ("/status/stableRS", json!("bad"))];
    let ops = revert_of(&bad, &good(), true);
    assert_eq!(ops[0], json!({"op": "test", "path": "/status/currentPodHash", "value": "bad"}));
    assert_eq!(ops[3], json!({"op": "add", "path": "/spec/rollbackWindow", "value": {"revisions": 3}}));
    assert_eq!(ops[5]["path"], "/metadata/annotations/tidegate.dev~1rollback-window");
    assert_eq!(ops[5]["value"], "null");
}

#[test]
fn the_owners_window_is_noted_once() {
    let bad = ("/status/currentPodHash", json!("bad"));
    let own = ("/spec/rollbackWindow", json!({"revisions": 3}));
    let ops = revert_of(&[bad.clone(), own], &good(), true);
    assert_eq!(ops.last().unwrap()["value"], r#"{"revisions":3}"#);
    let ours = [
        bad,
        ("/spec/rollbackWindow", json!({"revisions": 9})),
        ("/metadata/annotations/tidegate.dev~1rollback-window", json!("null")),
    ];
    // The fixture's helper sets by field name, so the key is written as it is.
    let ours: Vec<_> =
        ours.into_iter()
            .map(|(p, v)| {
                if p.contains("~1") { ("/metadata/annotations", json!({observe::WINDOW: v})) } else { (p, v) }
            })
            .collect();
    let ops = revert_of(&ours, &good(), true);
    assert!(ops.iter().all(|op| !op["path"].as_str().unwrap().ends_with("rollback-window")), "{ops:?}");
}

#[test]
fn steps_that_were_not_there_are_taken_away() {
    let mut none = good();
    none.steps = None;
    let ops = revert_of(&[], &none, false);
    assert_eq!(
        ops[2..4],
        [
            json!({"op": "add", "path": "/spec/strategy/canary/steps", "value": null}),
            json!({"op": "remove", "path": "/spec/strategy/canary/steps"}),
        ]
    );
}

#[test]
fn a_blue_green_has_no_steps_to_put_back() {
    let ops = revert_of(&[("/spec/strategy", json!({"blueGreen": {}}))], &good(), false);
    assert!(ops.iter().all(|op| !op["path"].as_str().unwrap().contains("canary")), "{ops:?}");
}

#[test]
fn a_template_is_never_written_onto_a_workload_ref() {
    let facts = facts(&[("/spec/workloadRef", json!({"kind": "Deployment", "name": "x"}))]);
    assert!(revert(&facts, 2, &id(), &good(), true).unwrap_err().contains("roll back that object instead"));
}

#[test]
fn steps_go_back_only_while_healthy_on_one_version() {
    assert!(restore_steps(&facts(&[]), &id(), &good()).is_ok());
    for patch in [
        ("/status/currentPodHash", json!("bad")),
        ("/status/phase", json!("Degraded")),
        ("/status/observedGeneration", json!("6")),
    ] {
        assert!(restore_steps(&facts(&[patch]), &id(), &good()).is_err());
    }
}

#[test]
fn the_owners_window_goes_back_with_the_steps() {
    let noted = |note: &str| {
        let facts = facts(&[("/metadata/annotations", json!({observe::WINDOW: note}))]);
        restore_steps(&facts, &id(), &good()).unwrap().value().as_array().unwrap()[3..].to_vec()
    };
    let path = "/metadata/annotations/tidegate.dev~1rollback-window";
    let cleared = json!({"op": "add", "path": path, "value": null});
    let note = json!({"op": "remove", "path": path});
    let mark = json!({"op": "add", "path": "/metadata/annotations/tidegate.dev~1attempt", "value": "r7-1"});
    assert_eq!(
        noted("null"),
        [
            json!({"op": "add", "path": "/spec/rollbackWindow", "value": null}),
            json!({"op": "remove", "path": "/spec/rollbackWindow"}),
            cleared.clone(),
            note.clone(),
            mark.clone(),
        ]
    );
    assert_eq!(
        noted(r#"{"revisions":3}"#),
        [
            json!({"op": "add", "path": "/spec/rollbackWindow", "value": {"revisions": 3}}),
            cleared,
            note,
            mark
        ]
    );
}

/// Within it an older version would walk no steps: past every gate.
#[test]
fn the_owners_window_is_taken_away_for_a_release_and_noted_once() {
    let window = json!({"revisions": 3});
    let of = |facts: &Facts| deploy_to(facts, &two()).unwrap().as_array().unwrap().clone();
    let path = "/metadata/annotations/tidegate.dev~1rollback-window";
    let noted = json!({"op": "add", "path": path, "value": window.to_string()});
    let gone = json!({"op": "remove", "path": "/spec/rollbackWindow"});
    let first = of(&facts(&[("/spec/rollbackWindow", window.clone())]));
    assert!(first.contains(&gone) && first.contains(&noted));
    let ours = of(&facts(&[
        ("/spec/rollbackWindow", json!({"revisions": 9})),
        ("/metadata/annotations", json!({observe::WINDOW: "null"})),
    ]));
    assert!(ours.contains(&gone) && !ours.iter().any(|op| op["path"] == path));
    let revert = |window| {
        let noted = facts(&[("/metadata/annotations", json!({observe::WINDOW: r#"{"revisions":3}"#}))]);
        super::revert(&noted, 5, &id(), &good(), window).unwrap().value().as_array().unwrap().clone()
    };
    let back = json!({"op": "add", "path": "/spec/rollbackWindow", "value": window});
    assert!(revert(false).contains(&back) && !revert(true).contains(&back));
}
