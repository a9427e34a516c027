//! A rollback rehearsed on the real API server: everything is asked, nothing is changed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use chrono::Utc;
use cluster::{Change, Cluster};
use common::gate::Gate;
use common::{SOON, World, image, plan, plan_by};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use model::plan::Plan;
use model::rehearsal::Rehearsal;
use model::rollback::Pace;
use model::workload::{Key, Kind, Phase};
use sandbox::Strategy;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout_at};

/// The five kinds of patch a Rollout's rollback sends.
const PATCHES: [&str; 5] = ["Revert", "Revert past the steps", "Unpause", "Abort", "Full promotion"];

fn next() -> Plan {
    plan_by(json!({"rolling": {}}), 2)
}

fn check<'r>(r: &'r Rehearsal, name: &str) -> &'r model::rehearsal::Check {
    r.checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name}: {r:#?}"))
}

fn has(r: &Rehearsal, words: &str) {
    assert!(r.findings.iter().any(|f| f.contains(words)), "{words}: {r:#?}");
}

/// Until nothing of this workload has been reported for a second: a controller may have something left to write.
async fn still(changes: &mut Receiver<Change>, key: &Key) {
    let mut quiet = Instant::now() + Duration::from_secs(1);
    while let Ok(change) = timeout_at(quiet, changes.recv()).await {
        if !matches!(change, Ok(Change::Workload(other)) if other != *key) {
            quiet = Instant::now() + Duration::from_secs(1);
        }
    }
}

impl World {
    /// Rehearses, and proves by the object and by the watch that nothing was changed.
    async fn rehearse(&self, key: &Key) -> Rehearsal {
        let mut changes = self.cluster.changes();
        still(&mut changes, key).await;
        let before = self.object(key).await;
        let rehearsal = self.cluster.rehearse(key, &next(), Utc::now()).await.unwrap();
        // The whole object, with resourceVersion, generation and managedFields.
        assert_eq!(self.object(key).await, before);
        // A watch reports in order: what comes first is this, so there was nothing before it.
        self.elsewhere(key, json!({"metadata": {"annotations": {"tidegate.dev/service": "marker"}}})).await;
        let first =
            async { while !matches!(changes.recv().await, Ok(Change::Workload(seen)) if seen == *key) {} };
        tokio::time::timeout(SOON, first).await.expect("the marker is reported");
        assert_eq!(self.cluster.workload(key).unwrap().service, "marker");
        rehearsal
    }
}

#[tokio::test]
async fn a_canary_behind_a_router_goes_back_in_seconds() {
    let world = World::new("rehearse").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    let stable = world.cluster.workload(&key).unwrap().stable_hash.clone().unwrap();
    let r = world.rehearse(&key).await;
    assert!(r.passed(), "{r:#?}");
    assert_eq!(r.words(), "passed, about 2 s");
    let way = r.way.as_ref().unwrap();
    assert_eq!((way.hash.as_str(), way.version.as_str(), way.revision), (stable.as_str(), "1.1.0", Some(1)));
    assert_eq!((way.pace, way.promoted), (Pace::Seconds, Pace::PodStart));
    for name in PATCHES {
        assert!(check(&r, name).passed, "{name}");
    }
    assert_eq!(check(&r, "Revision").words, format!("Revision 1 ({stable}): 2 of 2 pods ready."));
    assert!(
        check(&r, "Way back").words.starts_with("From 1.2.0 back to 1.1.0: its template and its own 4 steps")
    );
    has(&r, "going back starts none");
    has(&r, "run for 30 s more");
}

#[tokio::test]
async fn without_a_router_pods_must_start_and_what_stays_behind_is_named() {
    let world = World::new("rehearse").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let hash = world.cluster.workload(&key).unwrap().current_hash.clone();
    let from = json!([{"configMapRef": {"name": "settings", "optional": true}}]);
    let containers = json!([{"name": "app", "image": image(1), "envFrom": from}]);
    world
        .elsewhere(
            &key,
            json!({"spec": {"revisionHistoryLimit": 0, "template": {"spec": {"containers": containers}}}}),
        )
        .await;
    let changed = move |w: &model::workload::Workload| w.current_hash != hash && !w.pauses.is_empty();
    world.seen(&key, "at its first pause", changed).await;
    let promoted = world.cluster.promote_full(&key, &common::attempt("full"), None).await.unwrap();
    assert!(promoted.is_applied());
    world.seen(&key, "Healthy", |w| w.phase == Phase::Healthy && !w.in_flight()).await;
    let r = world.rehearse(&key).await;
    assert!(r.passed(), "{r:#?}");
    assert_eq!(r.way.as_ref().unwrap().pace, Pace::PodStart);
    has(&r, "up to 2 pods of 1.1.0 must start again");
    has(&r, "revisionHistoryLimit 0 removes its ReplicaSet");
    has(&r, "ConfigMap settings");
}

#[tokio::test]
async fn blue_green_is_rehearsed_too() {
    let world = World::new("rehearse").await;
    let key = world.rollout("search", 2, Strategy::BlueGreen).await;
    let r = world.rehearse(&key).await;
    assert!(r.passed(), "{r:#?}");
    assert_eq!(r.way.as_ref().unwrap().pace, Pace::Seconds);
    assert_eq!(r.checks.len(), 2 + PATCHES.len());
    assert!(check(&r, "Way back").words.contains("its template can be written down"));
}

#[tokio::test]
async fn a_deployment_has_one_patch() {
    let world = World::new("rehearse").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    world.deployment(&key, 2).await;
    let r = world.rehearse(&key).await;
    assert!(r.passed(), "{r:#?}");
    let names: Vec<_> = r.checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["Way back", "Revision", "Revert"]);
    assert_eq!(r.way.as_ref().unwrap().pace, Pace::PodStart);
}

#[tokio::test]
async fn a_canary_deployment_is_made_scaled_and_deleted_on_trial() {
    let world = World::new("rehearse").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    world.deployment(&key, 2).await;
    let all = world.objects(Kind::Deployment).await;
    let before = all.list(&ListParams::default()).await.unwrap();
    let rehearse = async || world.cluster.rehearse(&key, &plan(2), Utc::now()).await.unwrap();
    let r = rehearse().await;
    assert!(r.passed(), "{r:#?}");
    let names: Vec<_> = r.checks.iter().map(|c| c.name.as_str()).collect();
    let of = |what: &str| format!("{what} of the second Deployment");
    let (made, scaled, deleted) = (of("Creation"), of("Scaling"), of("Deletion"));
    assert_eq!(names, ["Way back", "Revision", "Revert", &made, &scaled, &deleted]);
    let way = r.way.as_ref().unwrap();
    assert_eq!((way.pace, way.promoted), (Pace::Seconds, Pace::PodStart));
    let after = all.list(&ListParams::default()).await.unwrap();
    assert_eq!(
        (after.items.len(), &after.items[0].metadata.resource_version),
        (1, &before.items[0].metadata.resource_version)
    );

    // What would keep it from being made is met beforehand.
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one", "namespace": world.ns},
        "spec": {"hard": {"count/deployments.apps": "1"}}});
    world.sandbox.apply_yaml(&quota.to_string()).await.unwrap();
    let client = world.sandbox.admin().await.unwrap();
    let quotas = Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(client, &world.ns);
    let counted = |q: Option<&k8s_openapi::api::core::v1::ResourceQuota>| {
        let used = q.and_then(|q| q.status.as_ref()?.used.as_ref()?.get("count/deployments.apps"));
        used.is_some_and(|used| used.0 == "1")
    };
    let done = kube::runtime::wait::await_condition(quotas, "one", counted);
    tokio::time::timeout(SOON, done).await.expect("the quota is counted").unwrap();
    let r = rehearse().await;
    assert!(!check(&r, &made).passed && check(&r, &made).words.contains("exceeded quota: one"), "{r:#?}");
    assert!(check(&r, &deleted).passed);
}

#[tokio::test]
async fn the_way_back_from_a_switch_is_tried_on_each_service() {
    let world = World::new("rehearse").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    world.deployment(&key, 2).await;
    let plan = common::plan_by(json!({"blueGreen": {}}), 2);
    let rehearse = async || world.cluster.rehearse(&key, &plan, Utc::now()).await.unwrap();
    let r = rehearse().await;
    assert!(check(&r, "Creation of the second Deployment").words.contains("No Service selects"), "{r:#?}");

    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mail", "namespace": world.ns},
        "spec": {"selector": {"app": "mailer"}, "ports": [{"port": 80}]}});
    world.sandbox.apply_yaml(&service.to_string()).await.unwrap();
    let r = rehearse().await;
    assert!(r.passed(), "{r:#?}");
    assert_eq!(r.way.as_ref().unwrap().pace, Pace::Seconds);
    let tried = &check(&r, "Services back to the own pods").words;
    assert!(tried.contains("would take each patch"), "{tried}");

    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-load", "namespace": world.ns}, "spec": {"maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mailer"}}});
    world.sandbox.apply_yaml(&scaler.to_string()).await.unwrap();
    let r = rehearse().await;
    assert!(
        check(&r, "Services back to the own pods").words.contains("by-load counts the load of mailer alone"),
        "{r:#?}"
    );
}

#[tokio::test]
async fn a_workload_in_mid_flight_is_told_so_and_nothing_is_sent() {
    let world = World::new("rehearse").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    world.in_flight(&key).await;
    let r = world.rehearse(&key).await;
    assert!(!r.passed());
    assert_eq!((r.way.is_none(), r.checks.len()), (true, 1), "{r:#?}");
    assert!(check(&r, "Way back").words.contains("not Healthy on one version"), "{r:#?}");
    assert_eq!(r.words(), "failed: Way back");

    let nowhere = world.key("nowhere");
    let gone = world.cluster.rehearse(&nowhere, &next(), Utc::now()).await;
    assert!(matches!(gone, Err(cluster::Error::Gone(_))), "{gone:?}");
}

#[tokio::test]
async fn every_patch_is_a_dry_run_and_strict() {
    let sandbox = sandbox::Sandbox::shared().await.unwrap();
    let gate = Gate::new(sandbox.tidegate().await.unwrap()).await;
    let world = World::through("rehearse", &gate.kubeconfig).await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    gate.requests();
    assert!(world.cluster.rehearse(&key, &next(), Utc::now()).await.unwrap().passed());
    let mut writes = gate.requests();
    writes.retain(|r| !r.starts_with("GET "));
    let path = format!("PATCH /apis/argoproj.io/v1alpha1/namespaces/{}/rollouts/web", world.ns);
    let query = "?fieldManager=tidegate&fieldValidation=Strict&dryRun=All";
    writes.sort();
    let (main, status) = (format!("{path}{query}"), format!("{path}/status{query}"));
    assert_eq!(writes, [&status, &status, &main, &main, &main].map(String::as_str));
}

#[tokio::test]
async fn a_missing_right_is_a_failed_check_with_its_remedy() {
    let mut world = World::new("rehearse").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    // Everything but the patch on /status.
    let meta = json!({"name": "half", "namespace": world.ns});
    let rules = json!([
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}]);
    let rbac = "rbac.authorization.k8s.io";
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": meta, "rules": rules}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "half"},
            "subjects": [{"kind": "ServiceAccount", "name": "half", "namespace": world.ns}]}),
    ] {
        world.sandbox.apply_yaml(&object.to_string()).await.unwrap();
    }
    let gate = Gate::new(account(&world, "half").await).await;
    world.cluster = Cluster::connect("sandbox", Some(&gate.kubeconfig), None).await.unwrap();
    let rehearse = async || world.cluster.rehearse(&key, &next(), Utc::now()).await;
    // The authorizer learns of a new role a moment later.
    let deadline = Instant::now() + SOON;
    let r = loop {
        match rehearse().await {
            Ok(r) if check(&r, "Revert").passed => break r,
            other => assert!(Instant::now() < deadline, "{other:#?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(!r.passed());
    assert_eq!(r.words(), "failed: Abort, Full promotion");
    let words = &check(&r, "Abort").words;
    assert!(words.contains("rollouts/status") && words.contains("deploy/rbac.yaml"), "{words}");
}

/// A client with the rights of a service account of this namespace.
async fn account(world: &World, name: &str) -> kube::Client {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.sandbox.admin().await.unwrap(), &world.ns);
    let request = TokenRequest::default();
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
    let mut kubeconfig = Kubeconfig::read_from(&world.sandbox.info.tidegate_kubeconfig).unwrap();
    let user = kubeconfig.auth_infos[0].auth_info.as_mut().unwrap();
    user.token = Some(answer.status.unwrap().token.into());
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_policy_that_would_refuse_the_rollback_is_found_beforehand() {
    let world = World::new("rehearse").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    let group = "admissionregistration.k8s.io";
    let name = format!("freeze-{}", world.ns);
    let matches = json!({"resourceRules": [{"apiGroups": ["argoproj.io"], "apiVersions": ["v1alpha1"],
        "operations": ["UPDATE"], "resources": ["rollouts"]}]});
    let ours = "request.userInfo.username == 'system:serviceaccount:tidegate:tidegate'";
    let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.ns}}});
    let objects = [
        json!({"apiVersion": format!("{group}/v1"), "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {"matchConstraints": matches, "matchConditions": [{"name": "ours", "expression": ours}],
                "validations": [{"expression": "false", "message": "the week is frozen"}]}}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": here}}),
    ];
    for object in &objects {
        world.sandbox.apply_yaml(&object.to_string()).await.unwrap();
    }
    // A policy is in force a moment after it was written; nothing tells when.
    let deadline = Instant::now() + SOON;
    let r = loop {
        let r = world.cluster.rehearse(&key, &next(), Utc::now()).await.unwrap();
        if !check(&r, "Revert").passed || Instant::now() > deadline {
            break r;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let client = world.sandbox.admin().await.unwrap();
    for object in &objects {
        let kind = kube::core::GroupVersionKind::gvk(group, "v1", object["kind"].as_str().unwrap());
        let plural = match kind.kind.strip_suffix('y') {
            Some(stem) => format!("{}ies", stem.to_lowercase()),
            None => format!("{}s", kind.kind.to_lowercase()),
        };
        let resource = kube::api::ApiResource::from_gvk_with_plural(&kind, &plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    let words = &check(&r, "Revert").words;
    assert!(
        words.contains("the week is frozen") && words.contains("Ask whoever keeps that policy"),
        "{r:#?}"
    );
    assert!(check(&r, "Abort").passed, "the policy does not cover /status");
}

#[tokio::test]
async fn a_quota_without_room_for_the_way_back_is_met_beforehand() {
    let world = World::new("room").await;
    let key = world.rollout("web", 3, Strategy::Canary { nginx: true }).await;
    let quota = |pods: u32| {
        let hard = json!({"pods": pods.to_string()});
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room", "namespace": world.ns},
            "spec": {"hard": hard}})
        .to_string()
    };
    let client = world.sandbox.admin().await.unwrap();
    let quotas = Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(client, &world.ns);
    for (pods, room) in [(4, false), (6, true)] {
        world.sandbox.apply_yaml(&quota(pods)).await.unwrap();
        // The controller counts what is used before a quota says anything.
        let counted = |q: Option<&k8s_openapi::api::core::v1::ResourceQuota>| {
            let status = q.and_then(|q| q.status.as_ref());
            let of = |m: &Option<BTreeMap<String, _>>| {
                m.as_ref()
                    .and_then(|m| m.get("pods"))
                    .map(|n: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| n.0.clone())
            };
            status.is_some_and(|s| of(&s.hard) == Some(pods.to_string()) && of(&s.used) == Some("3".into()))
        };
        let done = kube::runtime::wait::await_condition(quotas.clone(), "room", counted);
        tokio::time::timeout(SOON, done).await.expect("the quota is counted").unwrap();
        let r = world.cluster.rehearse(&key, &next(), Utc::now()).await.unwrap();
        let said = check(&r, "Room");
        assert_eq!(said.passed, room, "{said:?}");
        assert_eq!(r.passed(), room);
        assert!(said.words.contains("Quota room leaves room for"), "{said:?}");
    }
}
