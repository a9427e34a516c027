//! What a known-good version reads is told before somebody goes back to it: gone, or changed since.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, World, at_rest, people};
use kube::api::{Patch, PatchParams};
use model::AttemptId;
use model::release::State;
use model::workload::Phase;
use serde_json::json;
use std::time::Duration;

/// Gives Tidegate, as an operator would, the right to read ConfigMaps and Secrets here; and the workload some.
async fn arranged(world: &World) {
    let namespace = &world.namespace;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "config", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "config", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "config"},
        "subjects": [{"kind": "ServiceAccount", "name": "tidegate", "namespace": "tidegate"}]});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": namespace},
        "stringData": {"password": "hunter2"}});
    for object in [role, binding, secret] {
        world.sandbox.apply_yaml(&object.to_string()).await.unwrap();
    }
    settings(world, "info").await;
    let reads = json!([{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "db"}}]);
    let containers = json!([{"name": "app", "image": common::OLD, "envFrom": reads}]);
    let rollouts = sandbox::rollouts(world.sandbox.admin().await.unwrap(), namespace);
    let patch = Patch::Merge(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    rollouts.patch("web", &PatchParams::default(), &patch).await.unwrap();
    world.wait_workload("at its first pause", |w| w.phase == Phase::Paused && w.in_flight()).await;
    assert!(
        world
            .cluster
            .promote_full(&world.key(), &AttemptId("test".into()), None::<&str>)
            .await
            .unwrap()
            .is_applied()
    );
    world.wait_workload("at rest", at_rest).await;
}

async fn settings(world: &World, level: &str) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": world.namespace}, "data": {"LEVEL": level, "PORT": "8080"}});
    world.sandbox.apply_yaml(&map.to_string()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_changed_since_the_known_good_version_and_what_is_gone_is_told_before_the_press() {
    let world = World::new().await;
    arranged(&world).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let (control, key) = (&replica.control, world.key());
    let steps = "[{weight: 50, bake: 10m}, {weight: 100}]";
    let id = replica.release(&people, &world.plan("1.1.0", steps)).await;
    let release = replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    let good = release.known_good.hash.clone();
    let kept = async {
        while world.db.store.config_of(&key, &good).await.unwrap().is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(500), control.subscribe().recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, kept).await.unwrap();

    settings(&world, "debug").await;
    let told = async |is: &str| {
        let found = async {
            loop {
                let live = control.release(&people.on_call, id).await.unwrap().live;
                assert!(live.roll_back.allowed, "it never keeps anybody from pressing");
                let words = live.rollback.unwrap().cannot_undo.join(" ");
                if words.contains(is) {
                    return words;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), control.subscribe().recv()).await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap()
    };
    let words = told("ConfigMap settings").await;
    assert!(words.contains("Since 1.0.0: ConfigMap settings (2 lines changed)."), "{words}");
    let config = control.service(&people.viewer, &key).await.unwrap().config.unwrap();
    assert_eq!(config.named, ["ConfigMap settings", "Secret db"]);
    assert_eq!(config.changed[0].lines, ["- LEVEL: info", "+ LEVEL: debug"]);
    assert_eq!((config.changed.len(), config.unread.len()), (1, 0));
    // Nothing of a Secret's content is anywhere, not even its keys.
    let (_, kept) = world.db.store.config_of(&key, &good).await.unwrap().unwrap();
    assert!(!serde_json::to_string(&kept).unwrap().contains("password"), "{kept:?}");

    let admin = world.sandbox.admin().await.unwrap();
    let kind = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let maps: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(admin, &world.namespace, &kind);
    maps.delete("settings", &kube::api::DeleteParams::default()).await.unwrap();
    let words = told("is gone").await;
    assert!(words.contains("ConfigMap settings, which 1.0.0 needs, is gone"), "{words}");
    control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
}

/// ConfigMaps that the pods of the workload's template read, and what they hold.
async fn read_by_pods(world: &World) -> Vec<(String, serde_json::Value)> {
    let admin = world.sandbox.admin().await.unwrap();
    let template = world.template().await.template;
    let kind = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let maps: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(admin, &world.namespace, &kind);
    let mut all = Vec::new();
    for r in model::config::references(&template) {
        if r.kind == model::config::ConfigKind::ConfigMap {
            let map = maps.get(&r.name).await.unwrap();
            all.push((r.name, map.data["data"].clone()));
        }
    }
    all
}

fn restoring(plan: &str) -> String {
    plan.replace("  approvals:", "  rollback: {config: restore}\n  approvals:")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_asks_for_it_has_config_maps_go_back_with_the_code_and_the_next_release_reads_them_anew()
{
    let world = World::new().await;
    arranged(&world).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let control = &replica.control;
    let gate = "[{weight: 50, bake: 10m}, {weight: 100}]";
    let info = json!({"LEVEL": "info", "PORT": "8080"});
    let debug = json!({"LEVEL": "debug", "PORT": "8080"});

    // In flight: users go back at once, then the known-good pods start anew with what they read before.
    let id = replica.release(&people, &restoring(&world.plan("1.1.0", gate))).await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    settings(&world, "debug").await;
    let told = async {
        loop {
            let preview = control.release(&people.on_call, id).await.unwrap().live.rollback.unwrap();
            if preview.steps.iter().any(|s| s.contains("ConfigMap settings: as 1.0.0 read it")) {
                let left = preview.cannot_undo.join(" ");
                assert!(!left.contains("ConfigMap settings"), "{left}");
                return;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), control.subscribe().recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.unwrap();
    control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let read = read_by_pods(&world).await;
    assert_eq!(model::config::original(&read[0].0), Some("settings"));
    assert_eq!(read[0].1, info, "what the version read, not what is there now");
    let w = world.wait_workload("at rest", at_rest).await;
    assert_eq!(w.version(), "1.0.0");

    // The next release reads the ConfigMap itself, as it is by then.
    let quick = "[{weight: 50, bake: 1s}, {weight: 100}]";
    let id = replica.release(&people, &restoring(&world.plan("1.2.0", quick))).await;
    replica.wait_state(id, State::Succeeded).await;
    assert_eq!(read_by_pods(&world).await, [("settings".to_owned(), debug)]);

    // After its promotion the way back leads to the copy, which nobody can change.
    settings(&world, "trace").await;
    control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let read = read_by_pods(&world).await;
    assert_eq!((model::config::original(&read[0].0), &read[0].1), (Some("settings"), &info));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_that_has_not_changed_costs_a_rollback_nothing() {
    let world = World::new().await;
    arranged(&world).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let before = world.template().await;
    let steps = "[{weight: 50, bake: 10m}, {weight: 100}]";
    let id = replica.release(&people, &restoring(&world.plan("1.1.0", steps))).await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let after = world.template().await;
    assert_eq!((after.hash, after.template), (before.hash, before.template), "the same pods");
}
