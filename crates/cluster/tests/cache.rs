//! Invariant 8: after any gap in the watches the cache equals a fresh list. The API server is the real one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Change, Cluster, Error, Outcome};
use common::gate::{Gate, Mode};
use common::{RELEASE, SOON, World, attempt, image, plan};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use model::workload::{Key, Kind, Phase, Workload};
use sandbox::{Sandbox, Strategy, rollout_manifest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

async fn gated(prefix: &str) -> (World, Gate) {
    let sandbox = Sandbox::shared().await.unwrap();
    let gate = Gate::new(sandbox.tidegate().await.unwrap()).await;
    (World::through(prefix, &gate.kubeconfig).await, gate)
}

/// What a list says now, in the cache's terms. `since` is the cache's own knowledge and left out.
async fn listed(world: &World) -> BTreeMap<Key, Workload> {
    let client = world.sandbox.admin().await.unwrap();
    let list = async |group: &str, version: &str, kind: &str, plural: &str| -> Vec<Value> {
        let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
        let resource = kube::api::ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &world.ns, &resource);
        let list = api.list(&ListParams::default()).await.unwrap();
        let with_kind = |mut o: DynamicObject| {
            o.types = Some(kube::core::TypeMeta {
                api_version: format!("{group}/{version}"),
                kind: kind.to_owned(),
            });
            serde_json::to_value(o).unwrap()
        };
        list.items.into_iter().map(with_kind).collect()
    };
    let sets: Vec<Value> = list("apps", "v1", "ReplicaSet", "replicasets").await;
    let mut objects = list("argoproj.io", "v1alpha1", "Rollout", "rollouts").await;
    let deployments = list("apps", "v1", "Deployment", "deployments").await;
    objects.extend(deployments.clone());
    let around = [sets, deployments].concat();
    let read =
        |o: Value| cluster::observe("sandbox", &o, &around, &BTreeMap::new(), Default::default()).unwrap();
    let all: Vec<_> = objects.into_iter().map(read).collect();
    // What only gives its template to a Rollout is no workload of its own.
    let gives = |w: &Workload| {
        let to = |r: &Workload| r.source.as_ref().is_some_and(|s| s.name == w.key.name);
        w.key.kind == Kind::Deployment && w.replicas == 0 && all.iter().any(to)
    };
    all.iter().filter(|w| !gives(w)).map(|w| (w.key.clone(), timeless(w.clone()))).collect()
}

fn cached(world: &World) -> BTreeMap<Key, Workload> {
    let all = world.cluster.workloads();
    let own = all.iter().filter(|w| w.key.namespace == world.ns);
    own.map(|w| (w.key.clone(), timeless((**w).clone()))).collect()
}

fn timeless(mut w: Workload) -> Workload {
    w.since = Default::default();
    w
}

/// The cache comes to equal a fresh list. Compared after each change, since the cluster moves on.
async fn equals_a_fresh_list(world: &World) {
    let deadline = Instant::now() + SOON;
    let mut changes = world.cluster.changes();
    loop {
        let (list, cache) = (listed(world).await, cached(world));
        if list == cache {
            return;
        }
        match timeout_at(deadline, changes.recv()).await {
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
            Ok(Err(RecvError::Closed)) | Err(_) => {
                assert_eq!(list, cache);
            }
        }
    }
}

/// Changes of every sort while the cache does not see them.
async fn meanwhile(world: &World, kept: &Key, doomed: &Key) {
    world.deployed_elsewhere(kept, 2).await;
    let api = world.objects(Kind::Rollout).await;
    api.delete(&doomed.name, &DeleteParams::foreground()).await.unwrap();
    let manifest = rollout_manifest(&world.ns, "newcomer", 1, &image(1), Strategy::Canary { nginx: false });
    world.sandbox.apply_yaml(&manifest).await.unwrap();
    world.sandbox.wait_healthy(&world.ns, "newcomer", SOON).await.unwrap();
    sandbox::wait_for(&api, &kept.name, "its second version", SOON, |r| {
        r.data["status"]["phase"] == "Paused"
    })
    .await
    .unwrap();
    let deadline = Instant::now() + SOON;
    while api.get_opt(&doomed.name).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "{} is not deleted", doomed.name);
    }
}

#[tokio::test]
async fn after_a_broken_connection_the_cache_equals_a_fresh_list() {
    let (world, gate) = gated("gap").await;
    let kept = world.rollout("kept", 2, Strategy::Canary { nginx: false }).await;
    let doomed = world.rollout("doomed", 1, Strategy::Canary { nginx: false }).await;
    equals_a_fresh_list(&world).await;
    gate.set(Mode::Shut);
    meanwhile(&world, &kept, &doomed).await;
    assert!(world.cluster.workload(&doomed).is_some(), "nothing gets through a shut gate");
    gate.set(Mode::Open);
    equals_a_fresh_list(&world).await;
    assert_eq!(world.cluster.workload(&doomed), None);
    assert_eq!(world.cluster.workload(&kept).unwrap().images["app"], image(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_410_gone_the_cache_equals_a_fresh_list_and_never_shows_half_of_one() {
    let (world, gate) = gated("gone").await;
    let kept = world.rollout("kept", 2, Strategy::Canary { nginx: false }).await;
    let doomed = world.rollout("doomed", 1, Strategy::Canary { nginx: false }).await;
    equals_a_fresh_list(&world).await;
    gate.set(Mode::Shut);
    meanwhile(&world, &kept, &doomed).await;

    let mut changes = world.cluster.changes();
    // A reader that looks all the time: what stayed in the cluster is there whenever it looks.
    let (cluster, stayed) = (world.cluster.clone(), kept.clone());
    let done = Arc::new(AtomicBool::new(false));
    let until = done.clone();
    let reader = tokio::spawn(async move {
        let mut looks = 0_u64;
        while !until.load(Ordering::Relaxed) {
            let w = cluster.workload(&stayed).expect("the cache showed half of a list");
            assert!(!w.revisions.is_empty(), "the cache showed half of a list");
            looks += 1;
            tokio::task::yield_now().await;
        }
        looks
    });
    gate.forget();
    gate.set(Mode::Open);
    gate.told_gone(&["rollouts", "replicasets"]).await;
    equals_a_fresh_list(&world).await;
    assert_eq!(world.cluster.workload(&doomed), None);
    done.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0);
    let told = std::iter::from_fn(|| changes.try_recv().ok());
    assert!(told.into_iter().any(|c| c == Change::Resync), "a relist with differences is told as a resync");
}

#[tokio::test]
async fn the_age_grows_while_the_api_server_is_silent() {
    let (world, gate) = gated("silent").await;
    let key = world.rollout("web", 1, Strategy::Canary { nginx: false }).await;
    let synced = world.cluster.synced().unwrap();
    assert!((chrono::Utc::now() - synced).num_seconds() < 8);
    gate.set(Mode::Silent);
    let shut = chrono::Utc::now();
    // Nothing happens, and that is the point: only time can show that the age is not renewed.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let stale = world.cluster.synced().unwrap();
    assert!(stale <= shut + chrono::TimeDelta::seconds(1), "{stale} is after {shut}");
    assert!(world.cluster.workload(&key).is_some(), "what was seen stays");
    gate.set(Mode::Open);
    let deadline = Instant::now() + SOON;
    while world.cluster.synced().unwrap() <= stale {
        assert!(Instant::now() < deadline, "the age is not renewed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_unsure_and_the_attempt_is_not_done_twice() {
    let (world, gate) = gated("lost").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let good = world.cluster.template(&key).await.unwrap();
    gate.set(Mode::Deaf);
    let lost = world.cluster.deploy(&key, &attempt("d"), &plan(2), &good, RELEASE).await.unwrap();
    assert!(matches!(lost, Outcome::Unsure { .. }), "{lost:?}");
    gate.set(Mode::Open);
    let seen = world.seen(&key, "deployed", |w| w.attempt.as_deref() == Some("test-d")).await;
    let again = world.cluster.deploy(&key, &attempt("d"), &plan(2), &good, RELEASE).await.unwrap();
    assert!(again.is_applied(), "{again:?}");
    assert_eq!(world.cluster.fresh(&key).await.unwrap().generation, seen.generation);
}

#[tokio::test]
async fn an_api_server_that_is_not_there_is_said_so() {
    let (world, gate) = gated("dead").await;
    let text = std::fs::read_to_string(&gate.kubeconfig).unwrap();
    let server = text.split('\'').nth(1).unwrap();
    let dead = gate.kubeconfig.with_file_name("dead");
    // Nobody listens on port 1.
    std::fs::write(&dead, text.replace(server, "http://127.0.0.1:1")).unwrap();
    let cluster = Cluster::connect("dead", Some(&dead), None).await.unwrap();
    assert_eq!(cluster.synced(), None);
    let error = cluster.version().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let words = error.to_string();
    assert!(
        words.starts_with("The API server of cluster dead does not answer (") && !words.contains('\n'),
        "{words}"
    );
    let unsent = cluster.unpause(&world.key("web"), &attempt("x")).await.unwrap_err();
    assert!(matches!(unsent, Error::Unreachable { .. }), "{unsent}");
}

#[tokio::test]
async fn a_namespaces_label_gives_the_environment_and_the_workloads_own_wins() {
    let world = World::new("env").await;
    let key = world.rollout("web", 1, Strategy::Canary { nginx: false }).await;
    assert_eq!(world.cluster.workload(&key).unwrap().environment, "production");
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> =
        Api::all(world.sandbox.admin().await.unwrap());
    let label = |value: Value| {
        kube::api::Patch::Merge(json!({"metadata": {"labels": {"tidegate.dev/environment": value}}}))
    };
    namespaces.patch(&world.ns, &Default::default(), &label(json!("staging"))).await.unwrap();
    world.seen(&key, "staging", |w| w.environment == "staging").await;
    assert_eq!(world.cluster.fresh(&key).await.unwrap().environment, "staging");
    world.elsewhere(&key, json!({"metadata": {"labels": {"tidegate.dev/environment": "canada"}}})).await;
    world.seen(&key, "its own", |w| w.environment == "canada").await;
    namespaces.patch(&world.ns, &Default::default(), &label(Value::Null)).await.unwrap();
    world.elsewhere(&key, json!({"metadata": {"labels": {"tidegate.dev/environment": null}}})).await;
    world.seen(&key, "production again", |w| w.environment == "production").await;
}

#[tokio::test]
async fn a_workload_with_a_workload_ref_is_read_from_its_own_replica_sets() {
    let world = World::new("ref").await;
    let (key, there) = world.referring().await;
    let w = world.cluster.workload(&key).unwrap();
    assert!(w.workload_ref);
    assert_eq!(w.source.as_ref().map(|s| (s.name.as_str(), s.replicas)), Some(("web", 0)));
    assert_eq!(w.images["app"], image(1));
    assert_eq!(w.revisions.len(), 1, "the Deployment's own ReplicaSet is not one of it: {:?}", w.revisions);
    equals_a_fresh_list(&world).await;

    assert_eq!(world.cluster.workload(&there), None, "no workload of its own while it runs nothing");
    let good = world.cluster.template(&key).await.unwrap();
    assert_eq!(good.template["spec"]["containers"][0]["image"], image(1));
    assert_eq!(good.images["app"], image(1));

    world.elsewhere(&there, json!({"spec": {"replicas": 1}})).await;
    world.seen(&there, "a workload of its own", |w| w.replicas == 1).await;
    world.seen(&key, "told of its pods", |w| w.source.as_ref().is_some_and(|s| s.replicas == 1)).await;
}

#[tokio::test]
async fn an_object_without_annotations_gets_its_mark_all_the_same() {
    let world = World::new("bare").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    // Paused from the start, so that no controller annotates it.
    let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "mailer", "namespace": world.ns},
        "spec": {"replicas": 1, "paused": true, "selector": {"matchLabels": {"app": "mailer"}},
            "template": {"metadata": {"labels": {"app": "mailer"}},
                "spec": {"containers": [{"name": "app", "image": image(1)}]}}}});
    world.sandbox.apply_yaml(&manifest.to_string()).await.unwrap();
    world.seen(&key, "paused", |w| w.phase == Phase::Paused).await;
    assert_eq!(world.object(&key).await["metadata"].get("annotations"), None);
    let outcome = world.cluster.unpause(&key, &attempt("resume")).await.unwrap();
    assert!(outcome.is_applied(), "{outcome:?}");
    world
        .seen(&key, "resumed", |w| w.phase == Phase::Healthy && w.attempt.as_deref() == Some("test-resume"))
        .await;
}
