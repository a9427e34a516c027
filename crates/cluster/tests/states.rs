//! The way back from the states that are rare and bad, on the real controllers. Each is judged by its effect: what
//! the API server says of pods, hashes and weights afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{World, attempt, image};
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use sandbox::Strategy;
use serde_json::{Value, json};

const CANARY: Strategy = Strategy::Canary { nginx: false };
const ROUTED: Strategy = Strategy::Canary { nginx: true };

impl World {
    /// Brings a version past Tidegate all the way.
    async fn brought(&self, key: &Key, version: u32) {
        let before = self.cluster.workload(key).unwrap().current_hash.clone();
        self.deployed_elsewhere(key, version).await;
        self.seen(key, "taken up", |w| w.observed() && w.current_hash != before).await;
        if key.kind == Kind::Rollout {
            assert!(self.cluster.promote_full(key, &attempt("full"), None).await.unwrap().is_applied());
        }
        self.seen(key, "brought", |w| {
            w.phase == Phase::Healthy && !w.in_flight() && w.images["app"] == image(version)
        })
        .await;
    }

    /// Changes how it is released, and waits until the controller has seen that.
    async fn arranged(&self, key: &Key, patch: Value) {
        let before = self.cluster.workload(key).unwrap().generation;
        self.elsewhere(key, patch).await;
        self.seen(key, "healthy as arranged", |w| w.generation > before && w.phase == Phase::Healthy).await;
    }

    /// A version whose pods never start.
    async fn broken(&self, key: &Key) {
        let containers = json!([{"name": "app", "image": format!("{}-missing", image(2))}]);
        self.elsewhere(key, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    }
}

/// Mid-flight: the controller gives up on pods that do not start, and says so.
#[tokio::test]
async fn degraded_by_its_deadline() {
    for strategy in [CANARY, ROUTED, Strategy::BlueGreen] {
        let world = World::new("deadline").await;
        let key = world.rollout("web", 2, strategy).await;
        world.arranged(&key, json!({"spec": {"progressDeadlineSeconds": 2}})).await;
        let good = world.cluster.template(&key).await.unwrap();
        world.broken(&key).await;
        let stuck = world.seen(&key, "degraded", |w| w.phase == Phase::Degraded && w.in_flight()).await;
        assert!(
            stuck.message.as_deref().unwrap().contains("ProgressDeadlineExceeded"),
            "{:?}",
            stuck.message
        );
        assert!(!stuck.abort);
        assert_eq!(world.roll_back(&key, &good).await, [Call::Abort, Call::Revert]);
        let home = world.home(&key, &good).await;
        assert_eq!(home.revision(&good.hash).map(|r| r.ready), Some(2), "{home:?}");
    }
}

/// An analysis that runs is ended with the release, and cannot hold the way back up.
#[tokio::test]
async fn in_the_middle_of_an_analysis() {
    let world = World::new("analysis").await;
    let key = world.rollout("web", 2, ROUTED).await;
    world.slow_analysis().await;
    let steps =
        json!([{"setWeight": 20}, {"analysis": {"templates": [{"templateName": "slow"}]}}, {"pause": {}}]);
    world.arranged(&key, json!({"spec": {"strategy": {"canary": {"steps": steps}}}})).await;
    let good = world.cluster.template(&key).await.unwrap();
    world.deployed_elsewhere(&key, 2).await;
    world.seen(&key, "in its analysis", |w| w.in_flight() && w.step_index == Some(1)).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;

    // Promoted past it, the way back starts no analysis of its own.
    world.brought(&key, 3).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
}

/// The same of a blue-green Rollout: before the switch, and on a way back that would wait with the switch itself.
#[tokio::test]
async fn in_the_middle_of_an_analysis_before_the_switch() {
    let world = World::new("before-switch").await;
    let key = world.rollout("web", 2, Strategy::BlueGreen).await;
    let good = world.cluster.template(&key).await.unwrap();
    world.slow_analysis().await;
    let before = json!({"autoPromotionEnabled": true, "prePromotionAnalysis": {"templates": [{"templateName": "slow"}]}});
    world.arranged(&key, json!({"spec": {"strategy": {"blueGreen": before}}})).await;
    world.deployed_elsewhere(&key, 2).await;
    let w = world
        .seen(&key, "up, and in its analysis", |w| {
            let ready = w.current_hash.as_deref().and_then(|h| w.revision(h)).map(|r| r.ready);
            w.observed() && w.in_flight() && ready == Some(2)
        })
        .await;
    assert_eq!(w.active_hash.as_deref(), Some(good.hash.as_str()), "users are where they were");
    assert_eq!(world.roll_back(&key, &good).await, [Call::Abort, Call::Revert]);
    world.home(&key, &good).await;
    world.brought(&key, 3).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
}

#[tokio::test]
async fn aborted_before_and_after_the_switch() {
    let world = World::new("bg-aborted").await;
    let key = world.rollout("web", 2, Strategy::BlueGreen).await;
    let good = world.cluster.template(&key).await.unwrap();
    world.slow_analysis().await;
    for (version, switches) in [(2, false), (3, true)] {
        if switches {
            let after = json!({"templates": [{"templateName": "slow"}]});
            let blue_green = json!({"autoPromotionEnabled": true, "postPromotionAnalysis": after});
            world.arranged(&key, json!({"spec": {"strategy": {"blueGreen": blue_green}}})).await;
        }
        world.deployed_elsewhere(&key, version).await;
        let there = |w: &Workload| {
            let switched = w.active_hash.is_some() && w.active_hash == w.current_hash;
            w.in_flight() && if switches { switched } else { !w.pauses.is_empty() }
        };
        let w = world.seen(&key, "there", |w| w.observed() && there(w)).await;
        let bad = w.current_hash.clone().unwrap();
        assert!(world.cluster.abort(&key, &attempt("abort"), bad.as_str()).await.unwrap().is_applied());
        world.seen(&key, "aborted", |w| w.abort && w.phase == Phase::Degraded).await;
        assert_eq!(world.roll_back(&key, &good).await, [Call::Revert]);
        assert_eq!(world.home(&key, &good).await.active_hash.as_deref(), Some(good.hash.as_str()));
    }
}

#[tokio::test]
async fn scaled_to_zero() {
    for strategy in [CANARY, ROUTED, Strategy::BlueGreen] {
        scaled_to_zero_by(strategy).await;
    }
}

async fn scaled_to_zero_by(strategy: Strategy) {
    let world = World::new("zero").await;
    let key = world.rollout("web", 2, strategy).await;
    let good = world.cluster.template(&key).await.unwrap();
    world.deployed_elsewhere(&key, 2).await;
    world.seen(&key, "paused in flight", |w| w.in_flight() && !w.pauses.is_empty()).await;
    world.elsewhere(&key, json!({"spec": {"replicas": 0}})).await;
    world.seen(&key, "without pods", |w| w.observed() && w.replicas == 0 && w.ready == 0).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    world.elsewhere(&key, json!({"spec": {"replicas": 2}})).await;
    let back = world.seen(&key, "with pods again", |w| w.phase == Phase::Healthy && w.ready == 2).await;
    assert!(!back.in_flight());
    assert_eq!(back.revision(&good.hash).unwrap().ready, 2);
}

/// The second came before the first was promoted: the way back is the last that carried everything.
#[tokio::test]
async fn two_quick_releases_one_after_another() {
    for strategy in [ROUTED, Strategy::BlueGreen] {
        let world = World::new("quick").await;
        let key = world.rollout("web", 2, strategy).await;
        let good = world.cluster.template(&key).await.unwrap();
        world.deployed_elsewhere(&key, 2).await;
        let second = world.seen(&key, "the second", |w| w.in_flight() && !w.pauses.is_empty()).await;
        world.deployed_elsewhere(&key, 3).await;
        world
            .seen(&key, "the third", |w| {
                w.in_flight() && !w.pauses.is_empty() && w.current_hash != second.current_hash
            })
            .await;
        assert_eq!(world.cluster.way_back(&key).await.unwrap().unwrap().hash, good.hash);
        world.roll_back(&key, &good).await;
        world.home(&key, &good).await;
    }
}

#[tokio::test]
async fn a_rollback_during_a_rollback() {
    for strategy in [CANARY, ROUTED, Strategy::BlueGreen] {
        for promoted in [false, true] {
            pressed_twice(strategy, promoted).await;
        }
    }
}

/// Two people press in the same moment, and one once more.
async fn pressed_twice(strategy: Strategy, promoted: bool) {
    let world = World::new("twice").await;
    let key = world.rollout("web", 3, strategy).await;
    let good = world.cluster.template(&key).await.unwrap();
    if promoted {
        world.brought(&key, 2).await;
    } else {
        world.deployed_elsewhere(&key, 2).await;
        world.seen(&key, "in flight", |w| w.in_flight() && !w.pauses.is_empty()).await;
    }
    let w = world.cluster.workload(&key).unwrap();
    let r = route(&w, &good.hash);
    let ids = [attempt("one"), attempt("two")];
    let (one, two) = tokio::join!(
        world.cluster.roll_back(&key, &ids[0], &good, &r),
        world.cluster.roll_back(&key, &ids[1], &good, &r),
    );
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let w = world.cluster.workload(&key).unwrap();
    world.cluster.roll_back(&key, &attempt("three"), &good, &route(&w, &good.hash)).await.unwrap();
    world.home(&key, &good).await;
}

#[tokio::test]
async fn a_rollback_of_a_rollback() {
    for strategy in [CANARY, ROUTED, Strategy::BlueGreen] {
        there_and_back(strategy).await;
    }
}

/// Taken back, and the taking back taken back: neither walks the steps, or waits with the switch.
async fn there_and_back(strategy: Strategy) {
    let world = World::new("again").await;
    let key = world.rollout("web", 3, strategy).await;
    let first = world.cluster.template(&key).await.unwrap();
    world.brought(&key, 2).await;
    let second = world.cluster.template(&key).await.unwrap();
    for good in [&first, &second, &first] {
        let calls = world.roll_back(&key, good).await;
        assert_eq!(calls[0], Call::RevertThroughWindow);
        world.home(&key, good).await;
    }
    // In the middle of going back, the other way.
    let w = world.cluster.workload(&key).unwrap();
    world.cluster.roll_back(&key, &attempt("there"), &second, &route(&w, &second.hash)).await.unwrap();
    let w = world.cluster.fresh(&key).await.unwrap();
    world.cluster.roll_back(&key, &attempt("and-back"), &first, &route(&w, &first.hash)).await.unwrap();
    world.home(&key, &first).await;
}

#[tokio::test]
async fn promoted_and_then_paused_by_somebody() {
    for strategy in [CANARY, Strategy::BlueGreen] {
        let world = World::new("held").await;
        let key = world.rollout("web", 2, strategy).await;
        let good = world.cluster.template(&key).await.unwrap();
        world.brought(&key, 2).await;
        world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
        world.seen(&key, "paused", |w| w.spec_paused && w.observed()).await;
        let calls = world.roll_back(&key, &good).await;
        assert_eq!(calls[..2], [Call::Unpause, Call::RevertThroughWindow]);
        assert!(!world.home(&key, &good).await.spec_paused);
    }
}

/// The trap: aborted while paused, the active Service stays on the bad version. Unpaused first, it does not.
#[tokio::test]
async fn a_paused_blue_green_switches_back() {
    let world = World::new("trap").await;
    let key = world.rollout("web", 2, Strategy::BlueGreen).await;
    let good = world.cluster.template(&key).await.unwrap();
    // Long enough after the switch that the new version is not yet the stable one.
    world.slow_analysis().await;
    let after = json!({"templates": [{"templateName": "slow"}]});
    let blue_green = json!({"autoPromotionEnabled": true, "postPromotionAnalysis": after});
    world.arranged(&key, json!({"spec": {"strategy": {"blueGreen": blue_green}}})).await;
    world.deployed_elsewhere(&key, 2).await;
    let switched = |w: &Workload| w.in_flight() && w.active_hash.is_some() && w.active_hash == w.current_hash;
    world.seen(&key, "switched, and not yet stable", switched).await;
    world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
    let w = world.seen(&key, "paused after the switch", |w| w.spec_paused && switched(w)).await;
    assert_eq!(route(&w, &good.hash).calls, [Call::Unpause, Call::Abort, Call::Revert]);
    world.roll_back(&key, &good).await;
    let home = world.home(&key, &good).await;
    assert_eq!(home.active_hash.as_deref(), Some(good.hash.as_str()));
}

/// The ReplicaSet is gone from the history: the stored template makes it anew, and it does not walk the steps.
#[tokio::test]
async fn after_the_history_has_forgotten_the_good_version() {
    for strategy in [CANARY, ROUTED, Strategy::BlueGreen] {
        let world = World::new("forgotten").await;
        let key = world.rollout("web", 2, strategy).await;
        let old_pods = match strategy {
            Strategy::BlueGreen => json!({"blueGreen": {"scaleDownDelaySeconds": 1}}),
            Strategy::Canary { .. } | Strategy::Gateway => json!({}),
        };
        world.arranged(&key, json!({"spec": {"revisionHistoryLimit": 0, "strategy": old_pods}})).await;
        let good = world.cluster.template(&key).await.unwrap();
        world.brought(&key, 2).await;
        world.brought(&key, 3).await;
        world.seen(&key, "without the good version", |w| w.revision(&good.hash).is_none()).await;
        world.roll_back(&key, &good).await;
        let home = world.home(&key, &good).await;
        assert_eq!(home.revision(&good.hash).map(|r| r.ready), Some(2), "{home:?}");
    }
}

/// With dynamicStableScale the controller says Healthy while most users still go to the bad version: the weight counts.
#[tokio::test]
async fn with_a_stable_version_that_was_scaled_down() {
    let world = World::new("dynamic").await;
    let key = world.rollout("web", 4, ROUTED).await;
    let steps = json!([{"setWeight": 75}, {"pause": {}}]);
    let canary = json!({"dynamicStableScale": true, "steps": steps});
    world.arranged(&key, json!({"spec": {"strategy": {"canary": canary}}})).await;
    let good = world.cluster.template(&key).await.unwrap();
    world.deployed_elsewhere(&key, 2).await;
    let w = world
        .seen(&key, "three quarters away", |w| {
            w.weights.is_some_and(|x| x.canary == 75)
                && w.phase == Phase::Paused
                && w.revision(&good.hash).is_some_and(|r| r.desired < 4)
        })
        .await;
    assert_eq!(route(&w, &good.hash).pace, Pace::PodStart, "its pods were taken away");
    world.roll_back(&key, &good).await;
    let home = world.home(&key, &good).await;
    assert_eq!(home.weights.map(|x| x.canary), Some(0));
    world.seen(&key, "whole", |w| w.revision(&good.hash).is_some_and(|r| r.ready == 4)).await;
}

/// A plain Deployment from each of its own states.
#[tokio::test]
async fn a_deployment_in_each_state() {
    let world = World::new("plain").await;
    for (name, arrange) in [
        ("midway", json!({"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}})),
        ("paused-midway", json!({"spec": {"paused": true}})),
        ("overdue", json!({"spec": {"progressDeadlineSeconds": 1}})),
        ("zero", json!({"spec": {"replicas": 0}})),
    ] {
        let key = world.key_of(Kind::Deployment, name);
        let good = world.deployment(&key, 3).await;
        world.broken(&key).await;
        world.seen(&key, "in flight", |w| w.in_flight() && w.observed()).await;
        world.elsewhere(&key, arrange).await;
        let state = match name {
            "overdue" => Some(Phase::Degraded),
            "paused-midway" => Some(Phase::Paused),
            _ => None,
        };
        world.seen(&key, name, |w| w.observed() && state.is_none_or(|s| w.phase == s)).await;
        assert_eq!(world.roll_back(&key, &good).await, [Call::Revert]);
        world.home(&key, &good).await;
        let pods = if name == "zero" { 0 } else { 3 };
        world.seen(&key, "with its pods", |w| w.ready == pods).await;
    }
}

/// Neither of two quick versions ever carried everything; then two people press in the same moment, and one once more.
#[tokio::test]
async fn a_deployment_after_two_quick_releases_is_taken_back_by_two_presses() {
    let world = World::new("plain-quick").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    let good = world.deployment(&key, 3).await;
    world.broken(&key).await;
    let second = world.seen(&key, "the second", |w| w.in_flight() && w.observed()).await;
    let containers = json!([{"name": "app", "image": format!("{}-bad", image(3))}]);
    world.elsewhere(&key, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    let third = |w: &Workload| w.in_flight() && w.observed() && w.current_hash != second.current_hash;
    let w = world.seen(&key, "the third", third).await;
    assert_eq!(world.cluster.way_back(&key).await.unwrap().unwrap().hash, good.hash);
    let (r, ids) = (route(&w, &good.hash), [attempt("one"), attempt("two")]);
    let (one, two) = tokio::join!(
        world.cluster.roll_back(&key, &ids[0], &good, &r),
        world.cluster.roll_back(&key, &ids[1], &good, &r),
    );
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let w = world.cluster.workload(&key).unwrap();
    world.cluster.roll_back(&key, &attempt("three"), &good, &route(&w, &good.hash)).await.unwrap();
    world.home(&key, &good).await;
    world.seen(&key, "with its pods", |w| w.ready == 3 && w.images["app"] == image(1)).await;
}

/// What a Rollout says of itself is not believed without its generation: right after a change it still names the old.
#[tokio::test]
async fn right_after_a_change_that_nobody_has_seen_yet() {
    let world = World::new("at-once").await;
    let key = world.rollout("web", 2, ROUTED).await;
    let good = world.cluster.template(&key).await.unwrap();
    for version in 2..6 {
        world.deployed_elsewhere(&key, version).await;
        let w = world.cluster.fresh(&key).await.unwrap();
        let r = route(&w, &good.hash);
        assert_ne!(r.pace, Pace::Now, "{w:?}");
        world.cluster.roll_back(&key, &attempt(&format!("back-{version}")), &good, &r).await.unwrap();
        world.home(&key, &good).await;
    }
    let object: Value = world.object(&key).await;
    assert_eq!(object["spec"]["template"], good.template);
}
