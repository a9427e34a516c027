//! A plain Deployment, released by a second Deployment of ours beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;
#[path = "common/mailer.rs"]
mod mailer;

use common::{People, Replica, World, people};
use kube::api::{Patch, PatchParams};
use mailer::{OLD, did};
use model::ReleaseId;
use model::conductor::Effect;
use model::release::State;
use model::rollback::Pace;
use model::workload::{Kind, Phase};

impl World {
    async fn canary(&self, replica: &Replica, people: &People, tag: &str, steps: &str) -> ReleaseId {
        self.start(replica, people, tag, &format!("{{canary: {{steps: {steps}}}}}")).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_proves_itself_beside_the_deployment_which_then_takes_it_over() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 20, gates: [analysis, {approval: on-call}]}, {weight: 50, bake: 2s}, {weight: 100, bake: 1s}]";
    let id = world.canary(&replica, &people, "1.1.0", steps).await;
    replica.wait_state(id, State::Waiting).await;
    let w = world.until(&key, |w| w.twin.as_ref().is_some_and(|t| t.ready == 1)).await;
    assert_eq!((w.canary_share(), w.ready, w.images["app"].as_str()), (20, 4, OLD));
    assert_eq!(w.version(), "1.1.0");
    let listed = world.cluster.workloads();
    let here = listed.iter().filter(|w| w.key.namespace == world.namespace && w.key.kind == Kind::Deployment);
    assert_eq!(here.count(), 1, "it is no workload of its own");

    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    world.until(&key, |w| w.twin.as_ref().is_some_and(|t| t.ready == 4)).await;
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.passed.len(), 3);
    assert!(did(&release, &Effect::TakeOver) && did(&release, &Effect::Retire));
    world.tidy(&key, "registry.example.com/shop/mailer:1.1.0").await;

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    world.tidy(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_one_goes_by_itself_and_users_are_never_at_nothing() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 50, gates: [analysis]}, {weight: 100}]";
    let id = world.canary(&replica, &people, "1.1.0-errors-20pct", steps).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(!did(&release, &Effect::TakeOver), "the user's own Deployment was never touched");
    world.tidy(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_pods_never_start_goes_by_itself() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.canary(&replica, &people, "1.1.0-missing", "[{weight: 50}, {weight: 100}]").await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(release.reason.as_deref().unwrap_or_default().contains("second Deployment"), "{release:?}");
    world.tidy(&key, OLD).await;
}

/// Why, and what helps, within half a minute: on the way forward, and on the way back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_its_pods_from_coming_or_from_going_is_said() {
    let world = World::new().await;
    let key = world.mailer().await;
    let deployments = world.api().await;
    let merge = async |name: &str, patch: serde_json::Value| {
        deployments.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    };
    merge("mailer", serde_json::json!({"spec": {"progressDeadlineSeconds": 600}})).await;
    world.until(&key, |w| w.generation > 1 && w.phase == Phase::Healthy).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.canary(&replica, &people, "1.1.0-missing", "[{weight: 50}, {weight: 100}]").await;
    replica.wait(id, "scaled", |r| did(r, &Effect::Scale { from: 0, to: 4 })).await;
    let says = async |words: &str| {
        let (begun, mut heard) = (std::time::Instant::now(), replica.control.subscribe());
        loop {
            let live = replica.control.release(&people.viewer, id).await.unwrap().live;
            let found = live.stall.into_iter().flat_map(|s| s.obstacles).find(|o| o.what.contains(words));
            if let Some(obstacle) = found {
                return obstacle;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(45), "nobody says: {words}");
            // A missed announcement must not hang the test.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), heard.recv()).await;
        }
    };
    let told = says("mailer:1.1.0-missing cannot be pulled").await;
    assert!(told.what.starts_with("4 pods") && told.remedy.contains("registry"), "{told:?}");

    merge("mailer-tidegate", serde_json::json!({"metadata": {"finalizers": ["example.com/held"]}})).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    let told = says("mailer-tidegate is still there").await;
    assert!(told.remedy.contains("finalizer"), "{told:?}");
    merge("mailer-tidegate", serde_json::json!({"metadata": {"finalizers": null}})).await;
    replica.wait_state(id, State::RolledBack).await;
    world.tidy(&key, OLD).await;
}

/// Pressed in each state: standing, taking over, and before it was even named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_back_leads_home_from_each_state() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;

    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 50, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.route.pace, Pace::Seconds);
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(!did(&release, &Effect::Revert), "there was nothing to put back");
    world.tidy(&key, OLD).await;

    let id = world.canary(&replica, &people, "1.2.0", "[{weight: 50}, {weight: 100, bake: 10m}]").await;
    replica.wait(id, "taking over", |r| did(r, &Effect::TakeOver)).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    world.tidy(&key, OLD).await;

    let id = world.canary(&replica, &people, "1.3.0", "[{weight: 50}, {weight: 100}]").await;
    replica.wait(id, "announced", |r| r.attempt.is_some() || r.started.is_some()).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait(id, "ended", |r| r.state.ended()).await;
    world.tidy(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_stops_it_and_an_abort_takes_ours_away() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world
        .canary(&replica, &people, "1.1.0", "[{weight: 20, bake: 10m}, {weight: 50}, {weight: 100}]")
        .await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    replica.control.pause(&people.on_call, id, None).await.unwrap();
    let held = replica.wait_state(id, State::Paused).await;
    assert_eq!(held.passed.len(), 0);
    replica.control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
    world.tidy(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_of_that_name_that_is_not_ours_is_left_alone() {
    let world = World::new().await;
    world.mailer().await;
    let other = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "mailer-tidegate", "namespace": world.namespace, "labels": {"app": "other"}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "other"}},
            "template": {"metadata": {"labels": {"app": "other"}},
                "spec": {"containers": [{"name": "app", "image": OLD}]}}}});
    world.sandbox.apply_yaml(&other.to_string()).await.unwrap();
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 50}, {weight: 100}]").await;
    let release = replica.wait(id, "refused", |r| !r.tried.is_empty()).await;
    assert!(release.tried[0].words.contains("mailer-tidegate is there already"), "{release:?}");
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait(id, "ended", |r| r.state.ended()).await;
    assert_eq!(world.deployments().await, ["mailer", "mailer-tidegate"]);
}
