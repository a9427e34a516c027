//! The way back is judged by its effect, piece by piece, and says what stands in its way.

mod common;

use common::{OLD, World, people};
use model::release::State;
use model::rollback::Proof;
use model::view::ReleaseLive;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_piece_of_the_proof_is_told_with_its_time() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 25, bake: 10m}, {weight: 100}]")).await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    let before = replica.control.release(&people.viewer, id).await.unwrap();
    assert_eq!(before.live.back, None, "it goes forward");
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    let release = replica.wait_state(id, State::RolledBack).await;
    let turned = release.turned_back.unwrap();
    assert!(
        release.proved.values().all(|at| *at >= turned && Some(*at) <= release.ended),
        "{:?}",
        release.proved
    );
    let back = replica.control.release(&people.viewer, id).await.unwrap().live.back.unwrap();
    assert_eq!((back.since, back.to_version.as_str()), (turned, "1.0.0"));
    assert_eq!(back.proofs.len(), Proof::ALL.len() + 1, "and the error rate");
    assert!(back.proofs[..4].iter().all(|p| p.at.is_some()) && back.confirmed.is_some(), "{back:?}");
    assert_eq!(back.proofs[0].words, "canary weight 0 %, by the router");
    assert_eq!(back.proofs[3].words, "4 of 4 ready");
}

/// The known-good pods may not be made: the page says so within 30 s, and why, and the release ends well once they may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_without_room_for_its_pods_says_so_and_goes_on_when_there_is_room() {
    let world = World::new().await;
    let rollouts = sandbox::rollouts(world.sandbox.admin().await.unwrap(), &world.namespace);
    let soon = serde_json::json!({"spec": {"strategy": {"canary": {"scaleDownDelaySeconds": 1}}}});
    let patch = kube::api::Patch::Merge(&soon);
    rollouts.patch("web", &kube::api::PatchParams::default(), &patch).await.unwrap();
    world.wait_workload("as arranged", |w| w.generation > 1 && w.observed()).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 50, bake: 1s}, {weight: 100}]")).await;
    let release = replica.wait_state(id, State::Succeeded).await;
    let good = release.known_good.hash.clone();
    world
        .wait_workload("old pods gone", |w| w.revision(&good).is_none_or(|r| r.desired == 0 && r.ready == 0))
        .await;
    let quota = |pods: u32| {
        format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: room, namespace: {}}}\nspec: {{hard: {{pods: '{pods}'}}}}\n",
            world.namespace
        )
    };
    world.sandbox.apply_yaml(&quota(4)).await.unwrap();

    let (pressed, mut heard) = (std::time::Instant::now(), replica.control.subscribe());
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    let stall = loop {
        let ReleaseLive { stall, state, .. } =
            replica.control.release(&people.viewer, id).await.unwrap().live;
        assert_eq!(state, State::RollingBack, "there is no room to go back to");
        if let Some(stall) = stall {
            break stall;
        }
        assert!(pressed.elapsed() < Duration::from_secs(60), "nobody says why");
        // A missed announcement must not hang the test.
        let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
    };
    let told =
        &stall.obstacles.iter().find(|o| o.what.contains("exceeded quota")).expect("the quota is named");
    assert!(told.remedy.contains("ResourceQuota"), "{told:?}");

    world.sandbox.apply_yaml(&quota(40)).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let w = world.wait_workload("good again", |w| !w.in_flight() && w.images["app"] == OLD).await;
    assert_eq!(w.revision(&good).map(|r| r.ready), Some(4));
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert_eq!(page.live.stall, None);
    let told = page.timeline.iter().filter(|e| e.action == "release.stalled").count();
    assert_eq!(told, 1, "the history tells it once");
}

/// The error rate is the last piece of the proof: it is observed after the end, and recorded once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_rate_turns_green_after_the_end_and_says_on_what_it_was_measured() {
    let world = World::new().await;
    let (replica, other) = (world.replica("a"), world.replica("b"));
    let people = people(&replica.control).await;
    let steps = "[{weight: 50, bake: 10m}, {weight: 100}]";
    let id = replica.release(&people, &world.plan("1.1.0-errors-20pct", steps)).await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    let release = replica.wait(id, "well again", |r| r.recovered.is_some()).await;
    let recovered = release.recovered.unwrap();
    assert_eq!(release.state, State::RolledBack, "it ended without waiting for the error rate");
    assert!(Some(recovered.at) >= release.ended, "{release:?}");
    assert!(recovered.requests >= 50.0 && recovered.errors <= recovered.requests * 0.02, "{recovered:?}");
    for control in [&replica.control, &other.control] {
        let page = control.release(&people.viewer, id).await.unwrap();
        let last = page.live.back.unwrap().proofs.pop().unwrap();
        assert_eq!((last.name.as_str(), last.at), ("Errors at most 2 %", Some(recovered.at)));
        assert!(last.words.contains("requests"), "{last:?}");
        let told = page.timeline.iter().filter(|e| e.action == "rollback.recovered").count();
        assert_eq!(told, 1, "by one replica, once");
    }
    assert!(replica.control.verify_audit(&people.viewer).await.unwrap().ok);
}

/// Without metrics a rollback ends all the same, and the page says that they are missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_metrics_a_rollback_ends_and_says_that_they_are_missing() {
    let world = World::new().await;
    let replica = world.replica_without_metrics("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 25, bake: 10m}, {weight: 100}]")).await;
    replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let mut heard = replica.control.subscribe();
    let words = loop {
        let back = replica.control.release(&people.viewer, id).await.unwrap().live.back.unwrap();
        let last = back.proofs.last().cloned().unwrap();
        assert_eq!(last.at, None, "{last:?}");
        if last.words.contains("no metrics") {
            break last.words;
        }
        let _ = tokio::time::timeout(common::DEADLINE, heard.recv()).await.expect("nobody says so");
    };
    assert_eq!(words, "no metrics: no Prometheus is named for cluster demo");
}
