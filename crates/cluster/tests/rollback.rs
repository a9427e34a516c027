//! The way back, from each state, on the real controllers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::gate::Gate;
use common::{RELEASE, World, attempt, image, plan};
use kube::ResourceExt as _;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use sandbox::Strategy;
use serde_json::json;

impl World {
    /// The rollbackWindow becomes what it was: it is put back a moment after the rollback is home.
    async fn window(&self, key: &Key, own: serde_json::Value) {
        let api = self.objects(key.kind).await;
        sandbox::wait_for(&api, &key.name, "its own rollbackWindow", common::SOON, |r| {
            r.data["spec"]["rollbackWindow"] == own
                && r.annotations().get("tidegate.dev/rollback-window").is_none()
        })
        .await
        .unwrap();
    }

    /// Through all steps, and the Rollout's own steps put back.
    async fn promoted(&self, key: &Key) -> KnownGood {
        let (good, _) = self.in_flight(key).await;
        self.pass(key, 1).await;
        self.seen(key, "at the second pause", |w| w.step_index == Some(3) && !w.pauses.is_empty()).await;
        self.pass(key, 3).await;
        self.seen(key, "promoted", |w| {
            w.phase == Phase::Healthy && !w.in_flight() && w.stable_hash.as_deref() != Some(&good.hash)
        })
        .await;
        let restored = self.cluster.restore_steps(key, &attempt("restore"), &good).await.unwrap();
        assert!(restored.is_applied(), "{restored:?}");
        self.seen(key, "Healthy with its own steps", |w| w.phase == Phase::Healthy && w.step_count == 4)
            .await;
        good
    }

    async fn pass(&self, key: &Key, from: i32) {
        let opened = self.cluster.open_pause(key, &attempt("open"), from).await.unwrap();
        assert!(opened.is_applied(), "{opened:?}");
    }
}

#[tokio::test]
async fn in_flight_the_weight_falls_to_zero_and_the_old_version_is_healthy() {
    let world = World::new("flight").await;
    let key = world.rollout("web", 4, Strategy::Canary { nginx: true }).await;
    let (good, w) = world.in_flight(&key).await;
    assert_eq!(route(&w, &good.hash).pace, Pace::Seconds);
    assert_eq!(world.roll_back(&key, &good).await, [Call::Abort, Call::Revert]);
    let home = world.home(&key, &good).await;
    assert_eq!(home.images["app"], image(1));
    assert_eq!(home.attempt.as_deref(), Some("test-back"));
    let object = world.object(&key).await;
    assert_eq!(object["spec"]["strategy"]["canary"]["steps"], good.steps.clone().unwrap());
    assert_eq!(object["spec"].get("rollbackWindow"), None);
}

#[tokio::test]
async fn in_flight_without_a_router_the_new_pods_go() {
    let world = World::new("pods").await;
    let key = world.rollout("web", 4, Strategy::Canary { nginx: false }).await;
    let (good, w) = world.in_flight(&key).await;
    let bad = w.current_hash.clone().unwrap();
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    let gone = |w: &Workload| w.revision(&bad).is_none_or(|r| r.ready == 0 && r.desired == 0);
    world.seen(&key, "without canary pods", gone).await;
}

#[tokio::test]
async fn while_somebody_has_paused_it_a_rollback_takes_the_pause_away_first() {
    let world = World::new("paused").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let (good, _) = world.in_flight(&key).await;
    world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
    world.seen(&key, "paused", |w| w.spec_paused).await;
    assert_eq!(world.roll_back(&key, &good).await, [Call::Unpause, Call::Abort, Call::Revert]);
    assert!(!world.home(&key, &good).await.spec_paused);
}

#[tokio::test]
async fn a_running_promote_full_does_not_survive_a_rollback() {
    let world = World::new("full").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let (good, _) = world.in_flight(&key).await;
    assert!(world.cluster.promote_full(&key, &attempt("full"), None).await.unwrap().is_applied());
    let w = world.cluster.fresh(&key).await.unwrap();
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &route(&w, &good.hash)).await.unwrap();
    assert!(done.generation > 0);
    let home = world.home(&key, &good).await;
    assert!(!home.promote_full);
}

#[tokio::test]
async fn after_promotion_a_rollback_does_not_walk_the_steps() {
    for nginx in [true, false] {
        let world = World::new("after").await;
        let key = world.rollout("web", 4, Strategy::Canary { nginx }).await;
        let generation = world.cluster.workload(&key).unwrap().generation;
        world.elsewhere(&key, json!({"spec": {"rollbackWindow": {"revisions": 9}}})).await;
        world
            .seen(&key, "observed with its window", |w| {
                w.generation > generation && w.phase == Phase::Healthy
            })
            .await;
        let good = world.promoted(&key).await;
        assert_eq!(world.cluster.way_back(&key).await.unwrap().as_ref(), Some(&good));

        let calls = world.roll_back(&key, &good).await;
        assert_eq!(calls[0], Call::RevertThroughWindow);
        let watched = world.cluster.wait_for(&key, common::SOON, |w| {
            assert!(
                w.pauses.is_empty() || w.current_hash.as_deref() != Some(&good.hash),
                "it stands at step {:?} of its own way back",
                w.step_index
            );
            w.phase == Phase::Healthy && w.stable_hash.as_deref() == Some(&good.hash)
        });
        assert!(watched.await.is_some());
        world.home(&key, &good).await;
        world.window(&key, json!({"revisions": 9})).await;
        let object = world.object(&key).await;
        assert_eq!(object["spec"]["strategy"]["canary"]["steps"], good.steps.clone().unwrap());
        world.home(&key, &good).await;
    }
}

#[tokio::test]
async fn a_window_that_was_not_there_is_taken_away_again() {
    let world = World::new("window").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let good = world.promoted(&key).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    world.window(&key, serde_json::Value::Null).await;
}

#[tokio::test]
async fn a_revert_of_the_conductors_leaves_its_window_until_the_steps_are_restored() {
    let world = World::new("revert").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let good = world.promoted(&key).await;
    // Twice: the second must not note the first one's window as the owner's.
    for i in 0..2 {
        let id = attempt(&format!("revert-{i}"));
        let reverted = world.cluster.revert(&key, &id, &good, true).await.unwrap();
        assert!(reverted.is_applied(), "{reverted:?}");
        world
            .seen(&key, "taken up", |w| {
                w.attempt.as_deref() == Some(&id.0)
                    && w.phase != Phase::Unknown
                    && w.current_hash.as_deref() == Some(&good.hash)
            })
            .await;
    }
    // The window counts creation times by the second, and a test may be faster than that: then it walks, and
    // the conductor sends promoteFull.
    let good_again = |w: &Workload| w.current_hash.as_deref() == Some(&good.hash);
    let there = world
        .seen(&key, "taken up", |w| good_again(w) && (!w.pauses.is_empty() || w.phase == Phase::Healthy))
        .await;
    if !there.pauses.is_empty() {
        assert!(world.cluster.promote_full(&key, &attempt("full"), None).await.unwrap().is_applied());
    }
    world.home(&key, &good).await;
    assert!(world.object(&key).await["spec"]["rollbackWindow"]["revisions"].as_i64() >= Some(2));
    let restored = world.cluster.restore_steps(&key, &attempt("restore-2"), &good).await.unwrap();
    assert!(restored.is_applied(), "{restored:?}");
    let object = world.object(&key).await;
    assert_eq!(object["spec"].get("rollbackWindow"), None);
    assert_eq!(object["metadata"]["annotations"].get("tidegate.dev/rollback-window"), None);
    world.home(&key, &good).await;
}

#[tokio::test]
async fn an_aborted_rollout_goes_back_by_its_template_alone() {
    let world = World::new("aborted").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    let (good, w) = world.in_flight(&key).await;
    let bad = w.current_hash.as_deref().unwrap();
    assert!(world.cluster.abort(&key, &attempt("abort"), bad).await.unwrap().is_applied());
    let aborted = world
        .seen(&key, "aborted", |w| {
            w.abort && w.phase == Phase::Degraded && w.weights.is_some_and(|x| x.canary == 0)
        })
        .await;
    assert!(aborted.message.as_deref().unwrap().starts_with("RolloutAborted"), "{:?}", aborted.message);
    assert_eq!(world.roll_back(&key, &good).await, [Call::Revert]);
    world.home(&key, &good).await;
}

#[tokio::test]
async fn blue_green_goes_back_before_and_after_the_switch() {
    let world = World::new("bg").await;
    let key = world.rollout("search", 2, Strategy::BlueGreen).await;
    let good = world.cluster.template(&key).await.unwrap();
    assert_eq!(good.steps, None);
    world.deployed_elsewhere(&key, 2).await;
    world.seen(&key, "waiting to be switched", |w| w.pauses == ["BlueGreenPause"]).await;
    assert_eq!(world.cluster.way_back(&key).await.unwrap().unwrap().hash, good.hash);
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;

    world.deployed_elsewhere(&key, 3).await;
    world.seen(&key, "waiting to be switched", |w| w.pauses == ["BlueGreenPause"]).await;
    assert!(world.cluster.promote_full(&key, &attempt("full"), None).await.unwrap().is_applied());
    world
        .seen(&key, "switched", |w| {
            w.phase == Phase::Healthy && !w.in_flight() && w.images["app"] == image(3)
        })
        .await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
}

#[tokio::test]
async fn the_way_back_is_the_version_before_even_when_others_deployed() {
    let world = World::new("others").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    assert_eq!(world.cluster.way_back(&key).await.unwrap(), None);
    let first = world.cluster.template(&key).await.unwrap();

    // In flight past Tidegate: back to stable, by its ReplicaSet.
    world.deployed_elsewhere(&key, 2).await;
    world.seen(&key, "in flight", |w| w.in_flight() && w.phase == Phase::Paused).await;
    let back = world.cluster.way_back(&key).await.unwrap().unwrap();
    assert_eq!((&back.hash, &back.images, &back.steps), (&first.hash, &first.images, &first.steps));
    assert!(world.cluster.promote_full(&key, &attempt("full"), None).await.unwrap().is_applied());
    world.seen(&key, "promoted", |w| !w.in_flight() && w.phase == Phase::Healthy).await;

    // A release of ours leaves a note; the next deployment past us makes it stale.
    let (good, _) = {
        let good = world.cluster.template(&key).await.unwrap();
        let outcome = world.cluster.deploy(&key, &attempt("d3"), &plan(3), &good, RELEASE).await.unwrap();
        assert!(outcome.is_applied(), "{outcome:?}");
        let w = world.seen(&key, "paused", |w| w.in_flight() && w.phase == Phase::Paused).await;
        (good, w)
    };
    assert_eq!(world.cluster.way_back(&key).await.unwrap().as_ref(), Some(&good));
    assert!(world.cluster.promote_full(&key, &attempt("full"), None).await.unwrap().is_applied());
    let third = world
        .seen(&key, "promoted", |w| {
            !w.in_flight() && w.phase == Phase::Healthy && w.images["app"] == image(3)
        })
        .await;
    assert_eq!(world.cluster.way_back(&key).await.unwrap().as_ref(), Some(&good));
    world.deployed_elsewhere(&key, 4).await;
    world.seen(&key, "in flight", |w| w.in_flight() && w.images["app"] == image(4)).await;
    let back = world.cluster.way_back(&key).await.unwrap().unwrap();
    assert_eq!(Some(&back.hash), third.stable_hash.as_ref());
    assert_eq!(back.images["app"], image(3));

    // A ReplicaSet's template is defaulted, so this makes a new revision; it must get home all the same.
    let w = world.cluster.workload(&key).unwrap();
    let r = route(&w, &back.hash);
    world.cluster.roll_back(&key, &attempt("back"), &back, &r).await.unwrap();
    world.seen(&key, "on version 3", |w| w.images["app"] == image(3) && !w.abort).await;
}

#[tokio::test]
async fn a_deployment_goes_back_also_while_it_is_paused() {
    let world = World::new("deploy").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    let good = world.deployment(&key, 3).await;
    assert_eq!(world.cluster.way_back(&key).await.unwrap(), None);

    for paused in [false, true] {
        world.deployed_elsewhere(&key, 2).await;
        world
            .seen(&key, "on version 2", |w| {
                w.phase == Phase::Healthy
                    && w.current_hash.as_deref() != Some(&good.hash)
                    && w.current_hash == w.stable_hash
            })
            .await;
        if paused {
            world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
            world.seen(&key, "paused", |w| w.phase == Phase::Paused).await;
        }
        let back = world.cluster.way_back(&key).await.unwrap().unwrap();
        assert_eq!(back.hash, good.hash);
        assert_eq!(back.template, good.template);
        assert_eq!(world.roll_back(&key, &back).await, [Call::Revert]);
        world.home(&key, &good).await;
    }
}

/// The trap: all its pods are of the good version and its revision is the good one, and whoever resumes it brings the
/// other.
#[tokio::test]
async fn a_deployment_that_was_changed_while_paused_goes_back_before_it_is_resumed() {
    let world = World::new("unmade").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    let good = world.deployment(&key, 3).await;
    world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
    world.deployed_elsewhere(&key, 2).await;
    let w = world.seen(&key, "changed", |w| w.observed() && w.images["app"] == image(2)).await;
    assert_eq!((w.stable_hash.as_deref(), w.current_hash.as_deref()), (Some(good.hash.as_str()), None));
    let back = world.cluster.way_back(&key).await.unwrap().unwrap();
    assert_eq!((&back.hash, &back.template), (&good.hash, &good.template));
    assert_eq!(world.roll_back(&key, &back).await, [Call::Revert]);
    let home = world.home(&key, &good).await;
    assert_eq!((home.images["app"].as_str(), home.spec_paused), (image(1).as_str(), false));
}

#[tokio::test]
async fn nothing_is_sent_before_the_two_patches_and_they_leave_together() {
    let sandbox = sandbox::Sandbox::shared().await.unwrap();
    let gate = Gate::new(sandbox.tidegate().await.unwrap()).await;
    let world = World::through("first", &gate.kubeconfig).await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    let (good, w) = world.in_flight(&key).await;
    let way_back = world.cluster.way_back(&key).await.unwrap().unwrap();
    assert_eq!(way_back, good);
    gate.requests();
    world.cluster.roll_back(&key, &attempt("back"), &good, &route(&w, &good.hash)).await.unwrap();
    let mut requests = gate.requests();
    // The probe of the cache's age runs on its own.
    requests.retain(|r| !r.contains("/kube-system/"));
    let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts/web", world.ns);
    let query = "?fieldManager=tidegate&fieldValidation=Strict";
    requests.sort();
    assert_eq!(requests, [format!("PATCH {path}/status{query}"), format!("PATCH {path}{query}")]);
    world.home(&key, &good).await;
}

#[tokio::test]
async fn a_route_worked_out_from_a_stale_view_is_worked_out_anew() {
    let world = World::new("stale").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    let before = world.cluster.workload(&key).unwrap();
    let (good, _) = world.in_flight(&key).await;
    // Before the deploy there was nothing to do.
    let nothing = route(&before, &good.hash);
    assert_eq!(nothing.calls, []);
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &nothing).await.unwrap();
    assert_eq!(done.calls.len(), 2);
    world.home(&key, &good).await;
    // And home there is nothing to do again.
    let w = world.cluster.workload(&key).unwrap();
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &route(&w, &good.hash)).await.unwrap();
    assert_eq!(done.calls, []);
}
