//! A blue-green release by a plan, effect by effect, on the real Argo Rollouts controller.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::Outcome;
use common::{RELEASE, World, attempt, image, plan_by};
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Phase, Workload};
use sandbox::Strategy;
use serde_json::{Value, json};
use std::sync::Arc;

fn plan(version: u32) -> Plan {
    plan_by(json!({"blueGreen": {"preview": {"bake": "1m"}, "after": {"bake": "10m"}}}), version)
}

/// What its owner wrote: it would promote itself at once, and keep nothing for long.
fn own() -> Value {
    json!({"autoPromotionEnabled": true, "autoPromotionSeconds": 1, "scaleDownDelaySeconds": 5,
        "scaleDownDelayRevisionLimit": 1})
}

fn waits(w: &Workload) -> bool {
    w.phase == Phase::Paused && w.pauses == ["BlueGreenPause"] && w.in_flight()
}

fn on_new(w: &Workload) -> bool {
    w.active_hash.is_some() && w.active_hash == w.current_hash && w.phase == Phase::Healthy && !w.in_flight()
}

impl World {
    async fn owned(&self, settings: Value) -> Key {
        let key = self.rollout("web", 2, Strategy::BlueGreen).await;
        self.elsewhere(&key, json!({"spec": {"strategy": {"blueGreen": settings}}})).await;
        let generation = self.cluster.fresh(&key).await.unwrap().generation;
        self.seen(&key, "its owner's", |w| {
            w.phase == Phase::Healthy && w.observed() && w.generation == generation
        })
        .await;
        key
    }

    async fn previewed(&self, key: &Key, version: u32) -> (KnownGood, Arc<Workload>) {
        let good = self.cluster.template(key).await.unwrap();
        let sent =
            self.cluster.deploy(key, &attempt("deploy"), &plan(version), &good, RELEASE).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        (good, self.seen(key, "waiting with the switch", waits).await)
    }

    async fn switched(&self, key: &Key, hash: &str) -> Arc<Workload> {
        assert!(self.cluster.switch(key, &attempt("switch"), hash, &[]).await.unwrap().is_applied());
        self.seen(key, "switched", |w| on_new(w) && w.current_hash.as_deref() == Some(hash)).await
    }

    async fn settings(&self, key: &Key) -> Value {
        self.object(key).await["spec"]["strategy"]["blueGreen"].clone()
    }
}

#[tokio::test]
async fn users_stay_until_the_switch_is_opened_and_the_old_pods_outlive_it() {
    let world = World::new("bg-release").await;
    let key = world.owned(own()).await;
    let before = world.settings(&key).await;
    let (good, up) = world.previewed(&key, 2).await;
    assert_eq!(good.blue_green, Some(own()));
    let new = up.current_hash.clone().unwrap();
    assert_eq!((up.active_hash.as_deref(), up.preview_hash.as_ref()), (Some(good.hash.as_str()), Some(&new)));
    assert_eq!(up.revision(&new).map(|r| r.ready), Some(2), "the new version is fully up");
    assert_eq!(up.attempt.as_deref(), Some("test-deploy"));

    // Two at once: one opens it. And not for another version.
    let (a, b) = (attempt("a"), attempt("b"));
    let other = world.cluster.switch(&key, &a, &good.hash, &[]).await.unwrap();
    let Outcome::Refused { why } = other else { panic!("{other:?}") };
    assert!(why.contains("its newest revision is"), "{why}");
    let both =
        tokio::join!(world.cluster.switch(&key, &a, &new, &[]), world.cluster.switch(&key, &b, &new, &[]));
    let both = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(both.iter().filter(|o| o.is_applied()).count(), 1, "{both:?}");
    let switched = world.seen(&key, "switched", on_new).await;
    assert_eq!(switched.current_hash.as_ref(), Some(&new));

    // Its owner's settings come back, and nothing else moves.
    let Outcome::Applied { generation, .. } =
        world.cluster.restore_steps(&key, &attempt("restore"), &good).await.unwrap()
    else {
        panic!("not restored");
    };
    let after = world
        .seen(&key, "observed with its own settings", |w| {
            w.observed_generation.is_some_and(|o| o >= generation) && w.phase != Phase::Unknown
        })
        .await;
    assert_eq!(world.settings(&key).await, before);
    assert!(on_new(&after) && after.current_hash.as_ref() == Some(&new), "{after:?}");
    assert_eq!(after.revision(&good.hash).map(|r| r.ready), Some(2), "the old pods stand by");
    assert_eq!(after.revisions.len(), 2);
}

#[tokio::test]
async fn the_way_back_before_the_switch_moves_no_user() {
    let world = World::new("bg-before").await;
    let key = world.owned(own()).await;
    let before = world.settings(&key).await;
    let (good, _) = world.previewed(&key, 2).await;
    assert_eq!(world.roll_back(&key, &good).await, [Call::Abort, Call::Revert]);
    let home = world.home(&key, &good).await;
    assert_eq!(home.active_hash.as_deref(), Some(good.hash.as_str()));
    assert_eq!(world.settings(&key).await, before);
}

#[tokio::test]
async fn the_way_back_while_the_old_pods_stand_is_a_switch() {
    let world = World::new("bg-within").await;
    let key = world.owned(own()).await;
    let before = world.settings(&key).await;
    let (good, up) = world.previewed(&key, 2).await;
    let w = world.switched(&key, up.current_hash.as_deref().unwrap()).await;
    assert_eq!(route(&w, &good.hash).pace, Pace::Seconds);
    world.roll_back(&key, &good).await;
    let home = world.home(&key, &good).await;
    let old = home.revision(&good.hash).unwrap();
    assert_eq!((old.ready, old.created), (2, up.revision(&good.hash).unwrap().created));
    assert_eq!(world.settings(&key).await, before);
}

#[tokio::test]
async fn the_way_back_after_the_old_pods_are_gone_starts_them_again() {
    let world = World::new("bg-later").await;
    // Without promoting itself it would wait with the switch on its way back, too.
    let key = world.owned(json!({"autoPromotionEnabled": false})).await;
    let (good, up) = world.previewed(&key, 2).await;
    world.switched(&key, up.current_hash.as_deref().unwrap()).await;
    let none = json!({"spec": {"strategy": {"blueGreen": {"scaleDownDelayRevisionLimit": 0}}}});
    world.elsewhere(&key, none).await;
    let w = world
        .seen(&key, "without old pods", |w| {
            w.revision(&good.hash).is_some_and(|r| r.desired == 0 && r.ready == 0)
        })
        .await;
    assert_eq!(route(&w, &good.hash).pace, Pace::PodStart);
    world.roll_back(&key, &good).await;
    assert_eq!(world.home(&key, &good).await.revision(&good.hash).map(|r| r.ready), Some(2));
}

/// The trap: within its owner's rollbackWindow an older version is switched to at once, past every gate.
#[tokio::test]
async fn an_older_version_waits_with_the_switch_too() {
    let world = World::new("bg-older").await;
    let key = world.owned(json!({"scaleDownDelaySeconds": 1})).await;
    let (first, up) = world.previewed(&key, 2).await;
    world.switched(&key, up.current_hash.as_deref().unwrap()).await;
    let none = json!({"spec": {"rollbackWindow": {"revisions": 3},
        "strategy": {"blueGreen": {"scaleDownDelayRevisionLimit": 0}}}});
    world.elsewhere(&key, none).await;
    world
        .seen(&key, "without old pods", |w| {
            w.observed() && w.revision(&first.hash).is_some_and(|r| r.desired == 0)
        })
        .await;
    let (second, w) = world.previewed(&key, 1).await;
    assert_eq!(w.current_hash.as_ref(), Some(&first.hash), "its ReplicaSet is used again");
    assert_eq!(w.active_hash.as_ref(), Some(&second.hash), "users stay");
    world.switched(&key, &first.hash).await;
    assert!(world.cluster.restore_steps(&key, &attempt("restore"), &second).await.unwrap().is_applied());
    assert_eq!(world.object(&key).await["spec"]["rollbackWindow"], json!({"revisions": 3}));
}

/// A version whose pods do not get ready reaches nobody.
#[tokio::test]
async fn a_version_that_does_not_come_up_is_left_without_a_user_having_met_it() {
    let world = World::new("bg-bad").await;
    let key = world.rollout("web", 2, Strategy::BlueGreen).await;
    let good = world.cluster.template(&key).await.unwrap();
    let mut bad = plan(2);
    bad.spec.change.images.insert("app".into(), format!("{}-bad", image(2)));
    let sent = world.cluster.deploy(&key, &attempt("deploy"), &bad, &good, RELEASE).await.unwrap();
    assert!(sent.is_applied(), "{sent:?}");
    let w = world
        .seen(&key, "coming up", |w| {
            w.in_flight()
                && w.current_hash.as_deref().and_then(|h| w.revision(h)).is_some_and(|r| r.desired == 2)
        })
        .await;
    assert!(!waits(&w) && w.active_hash.as_ref() == Some(&good.hash), "{w:?}");
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
}
