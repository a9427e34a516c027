//! One fixture for each state, as the API server sends it (the parts that are read, and some that must not
//! matter).

use super::*;
use serde_json::json;

const NOW: &str = "2026-03-01T12:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A canary by nginx, Healthy on one version.
fn healthy() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {
            "name": "checkout", "namespace": "shop", "uid": "u-1", "resourceVersion": "901", "generation": 7,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "checkout"},
            "annotations": {"rollout.argoproj.io/revision": "3", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "checkout"}},
            "template": {"metadata": {"labels": {"app": "checkout"}, "creationTimestamp": null},
                "spec": {"containers": [{"name": "app", "image": "shop/checkout:1.41.3", "resources": {}},
                    {"name": "proxy", "image": "mesh/proxy:2"}]}},
            "strategy": {"canary": {"stableService": "checkout", "canaryService": "checkout-canary",
                "trafficRouting": {"nginx": {"stableIngress": "checkout"}},
                "steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": "10m"}}]}},
        },
        "status": {
            "observedGeneration": "7", "phase": "Healthy", "stableRS": "aaa", "currentPodHash": "aaa",
            "currentStepIndex": 4, "currentStepHash": "5f", "replicas": 4, "readyReplicas": 4,
            "updatedReplicas": 4, "availableReplicas": 4, "selector": "app=checkout", "HPAReplicas": 4,
            "blueGreen": {},
            "canary": {"weights": {"canary": {"weight": 0, "serviceName": "checkout-canary"},
                "stable": {"weight": 100, "serviceName": "checkout"}}},
            "conditions": [
                {"type": "Available", "status": "True", "lastTransitionTime": "2026-02-01T10:00:00Z"},
                {"type": "Healthy", "status": "True", "lastTransitionTime": "2026-02-03T10:00:00Z"}],
        },
    })
}

/// Version 1.42.0 at 20 %, at its first pause.
fn at_first_pause() -> Value {
    changed(
        healthy(),
        json!({
            "metadata": {"generation": 8, "annotations": {"tidegate.dev/attempt": "r7-1"}},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "shop/checkout:1.42.0"}]}}},
            "status": {"observedGeneration": "8", "phase": "Paused", "message": "CanaryPauseStep",
                "currentPodHash": "bbb", "currentStepIndex": 1, "updatedReplicas": 1, "controllerPause": true,
                "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-03-01T11:59:00Z"}],
                "canary": {"weights": {"canary": {"weight": 20, "podTemplateHash": "bbb"}, "stable": {"weight": 80}}}},
        }),
    )
}

/// Merge patch (RFC 7396).
fn changed(mut base: Value, patch: Value) -> Value {
    fn merge(base: &mut Value, patch: Value) {
        let Value::Object(patch) = patch else {
            *base = patch;
            return;
        };
        if !base.is_object() {
            *base = json!({});
        }
        for (key, value) in patch {
            if value.is_null() {
                base.as_object_mut().unwrap().remove(&key);
            } else {
                merge(&mut base[key], value);
            }
        }
    }
    merge(&mut base, patch);
    base
}

fn replica_set(owner: &str, hash: &str, number: &str, image: &str, ready: i32) -> Value {
    json!({
        "metadata": {"name": format!("checkout-{hash}"), "namespace": "shop", "uid": format!("rs-{hash}"),
            "labels": {"app": "checkout", "rollouts-pod-template-hash": hash},
            "annotations": {"rollout.argoproj.io/revision": number},
            "creationTimestamp": "2026-01-02T00:00:00Z",
            "ownerReferences": [{"uid": "somebody", "controller": false}, {"uid": owner, "controller": true}]},
        "spec": {"replicas": ready, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready},
    })
}

fn read(object: &Value, sets: &[Value]) -> Workload {
    observe("east", object, sets, &BTreeMap::new(), at(NOW)).unwrap()
}

#[test]
fn a_healthy_canary() {
    let sets = [
        replica_set("u-1", "old", "2", "shop/checkout:1.41.2", 0),
        replica_set("u-1", "aaa", "3", "shop/checkout:1.41.3", 4),
    ];
    let w = read(&healthy(), &sets);
    assert_eq!(w.key.to_string(), "east/shop/Rollout/checkout");
    assert_eq!((w.phase, w.strategy, w.in_flight()), (Phase::Healthy, Strategy::Canary, false));
    assert_eq!((w.service.as_str(), w.environment.as_str()), ("checkout", "production"));
    assert_eq!((w.generation, w.observed_generation), (7, Some(7)));
    assert_eq!((w.replicas, w.ready, w.updated, w.available), (4, 4, 4, 4));
    assert_eq!(w.images["app"], "shop/checkout:1.41.3");
    assert_eq!((w.step_index, w.step_count), (Some(4), 4));
    assert_eq!(w.weights, Some(Weights { canary: 0, stable: 100 }));
    assert_eq!(w.router.as_deref(), Some("nginx (Ingress checkout)"));
    assert_eq!(w.revisions.iter().map(|r| r.hash.as_str()).collect::<Vec<_>>(), ["aaa", "old"]);
    assert_eq!(w.since, at("2026-02-03T10:00:00Z"));
    assert!(!w.abort && !w.spec_paused && !w.promote_full && !w.workload_ref && w.gitops.is_none());
}

#[test]
fn in_flight_at_its_first_pause() {
    let w = read(&at_first_pause(), &[]);
    assert_eq!(w.phase, Phase::Paused);
    assert_eq!(w.message.as_deref(), Some("CanaryPauseStep"));
    assert_eq!(w.pauses, ["CanaryPauseStep"]);
    assert_eq!((w.stable_hash.as_deref(), w.current_hash.as_deref()), (Some("aaa"), Some("bbb")));
    assert_eq!((w.step_index, w.canary_share()), (Some(1), 20));
    assert_eq!(w.attempt.as_deref(), Some("r7-1"));
    assert!(w.in_flight());
}

#[test]
fn a_status_of_an_older_generation_says_nothing() {
    let w = read(&changed(at_first_pause(), json!({"metadata": {"generation": 9}})), &[]);
    assert_eq!((w.phase, w.message), (Phase::Unknown, None));
    assert_eq!(w.observed_generation, Some(8));
    // Very old controllers wrote a hash.
    let w = read(&changed(healthy(), json!({"status": {"observedGeneration": "6d7f9c"}})), &[]);
    assert_eq!((w.phase, w.observed_generation), (Phase::Unknown, None));
}

#[test]
fn a_pause_that_was_just_opened_is_progress_not_a_pause() {
    let w = read(&changed(at_first_pause(), json!({"status": {"pauseConditions": null}})), &[]);
    assert_eq!((w.phase, w.message), (Phase::Progressing, None));
    assert!(w.pauses.is_empty());
}

#[test]
fn aborted() {
    let w = read(
        &changed(
            at_first_pause(),
            json!({"status": {"phase": "Degraded", "abort": true, "controllerPause": null,
            "message": "RolloutAborted: Rollout aborted update to revision 4", "pauseConditions": null,
            "currentStepIndex": 0, "canary": {"weights": {"canary": {"weight": 0}, "stable": {"weight": 100}}}}}),
        ),
        &[],
    );
    assert_eq!(w.phase, Phase::Degraded);
    assert!(w.abort && w.in_flight());
    assert_eq!(w.canary_share(), 0);
    assert_eq!(w.message.as_deref(), Some("RolloutAborted: Rollout aborted update to revision 4"));
}

#[test]
fn degraded_without_an_abort() {
    let status = json!({"status": {"phase": "Degraded", "controllerPause": null, "pauseConditions": null,
        "message": "ProgressDeadlineExceeded: ReplicaSet \"checkout-bbb\" has timed out progressing."}});
    let w = read(&changed(at_first_pause(), status), &[]);
    assert_eq!((w.phase, w.abort), (Phase::Degraded, false));
    assert!(w.message.unwrap().starts_with("ProgressDeadlineExceeded"));
}

#[test]
fn without_a_router_the_share_is_made_of_pods() {
    let patch = json!({"spec": {"strategy": {"canary": {"trafficRouting": null}}}});
    let sets = [
        replica_set("u-1", "aaa", "3", "shop/checkout:1.41.3", 3),
        replica_set("u-1", "bbb", "4", "shop/checkout:1.42.0", 1),
    ];
    let w = read(&changed(at_first_pause(), patch), &sets);
    assert_eq!((w.router.as_deref(), w.weights), (None, None));
    assert_eq!(w.canary_share(), 25);
    assert_eq!(w.revision("bbb").unwrap().images["app"], "shop/checkout:1.42.0");
}

#[test]
fn every_router_is_named_with_what_it_writes() {
    for (routing, named) in [
        (
            json!({"nginx": {"stableIngress": null, "stableIngresses": ["a", "b"]}}),
            Some("nginx (Ingress a, b)"),
        ),
        (json!({"nginx": null, "alb": {"ingress": "web", "servicePort": 80}}), Some("ALB (Ingress web)")),
        (
            json!({"nginx": null, "istio": {"virtualService": {"name": "web", "routes": ["primary"]}}}),
            Some("Istio (VirtualService web)"),
        ),
        (
            json!({"nginx": null, "istio": {"virtualServices": [{"name": "a"}, {"name": "b"}]}}),
            Some("Istio (VirtualService a, b)"),
        ),
        (
            json!({"nginx": null, "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web", "namespace": "shop"}}}),
            Some("Gateway API (HTTPRoute web)"),
        ),
        (json!({"nginx": null, "plugins": {"acme/router": {}}}), Some("plugin acme/router")),
        (json!({"nginx": null, "smi": {}, "managedRoutes": [{"name": "by-header"}]}), Some("SMI")),
        (json!({"nginx": null, "managedRoutes": []}), None),
    ] {
        let w = read(
            &changed(healthy(), json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}})),
            &[],
        );
        assert_eq!(w.router.as_deref(), named, "{routing}");
        assert_eq!(w.weights.is_some(), named.is_some());
    }
}

#[test]
fn a_header_route_needs_a_router_that_can_and_a_name_that_its_owner_gave() {
    let of = |routing| {
        let w = read(
            &changed(healthy(), json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}})),
            &[],
        );
        (w.routes_headers, w.header_route)
    };
    let named = json!([{"name": "by-header"}, {"name": "other"}]);
    assert_eq!(of(json!({"managedRoutes": named})), (false, Some("by-header".to_owned())), "nginx");
    let istio = json!({"nginx": null, "istio": {"virtualService": {"name": "web"}}, "managedRoutes": named});
    assert_eq!(of(istio), (true, Some("by-header".to_owned())));
    assert_eq!(of(json!({"nginx": null, "alb": {"ingress": "web"}})), (true, None));
    assert_eq!(of(json!({"nginx": null, "plugins": {"acme/router": {}}, "managedRoutes": []})), (true, None));
}

#[test]
fn weights_are_percents_of_what_the_router_counts_to_and_unverified_until_it_has_them() {
    let routing = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"maxTrafficWeight": 1000}}}},
        "status": {"canary": {"weights": {"canary": {"weight": 25}, "stable": {"weight": 975}, "verified": false}}}});
    let w = read(&changed(at_first_pause(), routing), &[]);
    assert_eq!(w.weights, Some(Weights { canary: 3, stable: 97 }));
    assert!(w.unverified);
    assert_eq!(w.weight_total, Some(1000));
    let verified = json!({"status": {"canary": {"weights": {"verified": true}}}});
    assert!(!read(&changed(at_first_pause(), verified), &[]).unverified);
}

#[test]
fn blue_green_before_the_switch() {
    let w = read(
        &changed(
            healthy(),
            json!({
                "spec": {"strategy": {"canary": null, "blueGreen": {"activeService": "a", "previewService": "p"}}},
                "status": {"phase": "Paused", "currentPodHash": "bbb", "canary": {"weights": null},
                    "pauseConditions": [{"reason": "BlueGreenPause"}], "controllerPause": true,
                    "blueGreen": {"activeSelector": "aaa", "previewSelector": "bbb"}},
            }),
        ),
        &[],
    );
    assert_eq!((w.strategy, w.phase, w.step_count), (Strategy::BlueGreen, Phase::Paused, 0));
    assert_eq!((w.active_hash.as_deref(), w.preview_hash.as_deref()), (Some("aaa"), Some("bbb")));
    assert_eq!(w.canary_share(), 0);
}

/// A Rollout whose template is another object's.
fn by_reference() -> Value {
    changed(
        healthy(),
        json!({
            "metadata": {"annotations": {"rollout.argoproj.io/workload-generation": "5"}},
            "spec": {"template": null, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}},
            "status": {"workloadObservedGeneration": "5"},
        }),
    )
}

#[test]
fn a_workload_ref_is_read_from_its_own_replica_sets() {
    let sets = [
        replica_set("u-1", "aaa", "3", "shop/checkout:1.41.3", 4),
        replica_set("the-deployments-uid", "zzz", "9", "shop/checkout:0.1.0", 0),
    ];
    let w = read(&by_reference(), &sets);
    assert!(w.workload_ref);
    assert_eq!(w.phase, Phase::Healthy);
    assert_eq!(w.images["app"], "shop/checkout:1.41.3");
    assert_eq!(w.revisions.len(), 1);
}

#[test]
fn a_workload_ref_is_fresh_only_when_the_other_object_was_observed_too() {
    let patch = json!({"metadata": {"annotations": {"rollout.argoproj.io/workload-generation": "6"}}});
    assert_eq!(read(&changed(by_reference(), patch), &[]).phase, Phase::Unknown);
}

#[test]
fn a_service_is_named_by_annotation_then_labels_then_name() {
    let name = |labels: Value, annotations: Value| {
        let mut object = healthy();
        object["metadata"]["labels"] = labels;
        object["metadata"]["annotations"] = annotations;
        read(&object, &[]).service
    };
    let labels = json!({"app.kubernetes.io/name": "b", "app": "c"});
    assert_eq!(name(labels.clone(), json!({"tidegate.dev/service": "a"})), "a");
    assert_eq!(name(labels, json!({})), "b");
    assert_eq!(name(json!({"app": "c"}), json!({"tidegate.dev/service": ""})), "c");
    assert_eq!(name(json!({}), Value::Null), "checkout");
}

#[test]
fn an_environment_is_the_workloads_then_the_namespaces_then_production() {
    let namespace = BTreeMap::from([(ENVIRONMENT.to_owned(), "staging".to_owned())]);
    let read = |object: &Value, labels: &BTreeMap<_, _>| {
        observe("east", object, &[], labels, at(NOW)).unwrap().environment
    };
    let own = changed(healthy(), json!({"metadata": {"labels": {"tidegate.dev/environment": "canada"}}}));
    assert_eq!(read(&own, &namespace), "canada");
    assert_eq!(read(&healthy(), &namespace), "staging");
    assert_eq!(read(&healthy(), &BTreeMap::new()), "production");
}

#[test]
fn argo_cds_objects_are_told() {
    let owner = |metadata: Value| read(&changed(healthy(), json!({"metadata": metadata})), &[]).gitops;
    let tracked = |id: &str| owner(json!({"annotations": {"argocd.argoproj.io/tracking-id": id}}));
    let app = tracked("team-a_web:argoproj.io/Rollout:shop/checkout").unwrap();
    assert_eq!(app.to_string(), "team-a/web");
    assert_eq!(tracked("web:argoproj.io/Rollout:shop/other"), None, "copied with a manifest");
    assert_eq!(owner(json!({"labels": {"argocd.argoproj.io/instance": "web"}})).unwrap().name, "web");
}

#[test]
fn the_time_of_a_phase_is_kept_until_it_changes() {
    let facts = |o: &Value| rollout("east", raw::Rollout::deserialize(o).unwrap());
    let first = assemble(&facts(&healthy()), [].iter(), None, None, None, at("2026-03-01T00:00:00Z"));
    let again = assemble(&facts(&healthy()), [].iter(), None, None, Some(&first), at(NOW));
    assert_eq!(again.since, first.since);
    let paused = assemble(&facts(&at_first_pause()), [].iter(), None, None, Some(&again), at(NOW));
    assert_eq!(paused.since, at(NOW));
}

#[test]
fn nulls_are_as_good_as_absent() {
    let mut object = healthy();
    for path in [
        "/metadata/labels",
        "/metadata/annotations",
        "/status/conditions",
        "/status/pauseConditions",
        "/status/blueGreen",
        "/spec/strategy/canary/steps",
        "/status/message",
        "/status/abort",
    ] {
        let (parent, field) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = Value::Null;
    }
    assert_eq!(read(&object, &[]).phase, Phase::Healthy);
    // A Rollout that no controller has touched.
    object["status"] = Value::Null;
    let w = read(&object, &[]);
    assert_eq!((w.phase, w.stable_hash, w.current_hash), (Phase::Unknown, None, None));
}

#[test]
fn what_is_neither_is_refused() {
    let pod = json!({"kind": "Pod"});
    let error = observe("east", &pod, &[], &BTreeMap::new(), at(NOW)).unwrap_err();
    assert_eq!(error, "`Pod` is neither Rollout nor Deployment");
}

// ------------------------------------------------------------------------------------------- Deployments

fn deployed(patch: Value) -> Value {
    changed(
        json!({
            "kind": "Deployment",
            "metadata": {"name": "mailer", "namespace": "shop", "uid": "d-1", "resourceVersion": "5", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"replicas": 3, "template": {"metadata": {"labels": {"app": "mailer"}},
                "spec": {"containers": [{"name": "app", "image": "shop/mailer:2"}]}}},
            "status": {"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3,
                "availableReplicas": 3, "conditions": [
                    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                        "lastTransitionTime": "2026-02-01T00:00:00Z"}]},
        }),
        patch,
    )
}

fn deployments_set(hash: &str, number: &str, ready: i32) -> Value {
    let mut set = replica_set("d-1", hash, number, &format!("shop/mailer:{number}"), ready);
    set["metadata"]["labels"] = json!({"pod-template-hash": hash});
    set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": number});
    set["spec"]["template"]["metadata"] = json!({"labels": {"app": "mailer", "pod-template-hash": hash}});
    set
}

#[test]
fn a_complete_deployment() {
    let w = read(&deployed(json!({})), &[deployments_set("old", "1", 0), deployments_set("new", "2", 3)]);
    assert_eq!((w.phase, w.strategy, w.in_flight()), (Phase::Healthy, Strategy::Rolling, false));
    assert_eq!(w.current_hash.as_deref(), Some("new"));
}

#[test]
fn a_deployment_under_way_has_the_older_revision_as_stable() {
    let rolling = deployed(json!({"status": {"replicas": 4, "updatedReplicas": 2, "availableReplicas": 3}}));
    let w = read(&rolling, &[deployments_set("old", "1", 2), deployments_set("new", "2", 2)]);
    assert_eq!(w.phase, Phase::Progressing);
    assert_eq!((w.stable_hash.as_deref(), w.current_hash.as_deref()), (Some("old"), Some("new")));
    assert_eq!(w.message.as_deref(), Some("2 of 3 pods are updated, 3 available"));
    assert_eq!(w.canary_share(), 50);
}

/// Its controller makes nothing of a change before it is resumed: the ReplicaSet that its revision names is then not
/// the one it wants.
#[test]
fn a_deployment_changed_while_paused_does_not_want_what_it_runs() {
    let sets = [deployments_set("old", "1", 0), deployments_set("new", "2", 3)];
    let with =
        |template: Value| read(&deployed(json!({"spec": {"paused": true, "template": template}})), &sets);
    let hashes = |w: Workload| (w.stable_hash, w.current_hash);
    let [old, new] = ["old", "new"].map(|h| Some(h.to_owned()));
    assert_eq!(hashes(with(json!({}))), (new.clone(), new.clone()), "paused, and nothing changed");
    let image =
        |tag: &str| json!({"spec": {"containers": [{"name": "app", "image": format!("shop/mailer:{tag}")}]}});
    assert_eq!(hashes(with(image("3"))), (new.clone(), None), "a version that has no ReplicaSet yet");
    assert_eq!(hashes(with(image("1"))), (new.clone(), old), "one that has had one before");
    let memory = json!({"metadata": {"labels": {"tier": "back"}}});
    assert_eq!(hashes(with(memory)), (new, None), "the same image, and another label");
}

#[test]
fn deployments_in_trouble() {
    let phase = |patch: Value| read(&deployed(patch), &[]).phase;
    assert_eq!(phase(json!({"metadata": {"generation": 3}})), Phase::Unknown);
    assert_eq!(phase(json!({"spec": {"paused": true}})), Phase::Paused);
    let overdue = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}]);
    assert_eq!(phase(json!({"status": {"conditions": overdue}})), Phase::Degraded);
    let refused =
        json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}]);
    assert_eq!(phase(json!({"status": {"conditions": refused, "updatedReplicas": 1}})), Phase::Degraded);
}
