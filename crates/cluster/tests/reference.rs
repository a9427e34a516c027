//! Rollouts that take their template from a Deployment (`spec.workloadRef`), on the real controller: the template is
//! the Deployment's, everything else the Rollout's, and what comes late on either does nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Announced, Outcome, Voided};
use common::{RELEASE, World, attempt, image, plan, plan_of};
use model::AttemptId;
use model::plan::Plan;
use model::release::KnownGood;
use model::workload::{Key, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

fn halves() -> Plan {
    plan_of(json!([{"weight": 50, "bake": "1m"}, {"weight": 100}]), 2)
}

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { .. })
}

impl World {
    /// Steps and marks on the Rollout, seen by the controller.
    async fn prepared(&self, key: &Key, id: &AttemptId) -> KnownGood {
        let good = self.cluster.template(key).await.unwrap();
        let outcome = self.cluster.deploy(key, id, &halves(), &good, RELEASE).await.unwrap();
        assert!(outcome.is_applied(), "{outcome:?}");
        let seen = |w: &Workload| {
            w.attempt.as_deref() == Some(&id.0)
                && w.observed()
                && w.step_count == 3
                && w.phase == Phase::Healthy
        };
        self.seen(key, "prepared", seen).await;
        good
    }

    async fn taken(&self, key: &Key, good: &KnownGood, id: &AttemptId) -> Outcome {
        self.cluster.take_over(key, id, &halves(), good, RELEASE).await.unwrap()
    }

    async fn at_half(&self, key: &Key, good: &KnownGood) -> Arc<Workload> {
        let seen = |w: &Workload| {
            w.phase == Phase::Paused
                && w.in_flight()
                && w.step_index == Some(1)
                && w.images["app"] == image(2)
        };
        let w = self.seen(key, "at the plan's first step", seen).await;
        assert_eq!(w.stable_hash.as_deref(), Some(good.hash.as_str()));
        w
    }
}

#[tokio::test]
async fn a_release_walks_the_plans_steps_and_goes_back_in_flight_and_promoted() {
    let world = World::new("refer").await;
    let (key, there) = world.referring().await;
    let own_steps = world.object(&key).await["spec"]["strategy"]["canary"]["steps"].clone();
    for promoted in [false, true] {
        let id = |what: &str| attempt(&format!("{what}-{promoted}"));
        let good = world.prepared(&key, &id("deploy")).await;
        assert_eq!(world.object(&there).await["spec"]["template"], good.template, "nothing has started");
        assert!(world.taken(&key, &good, &id("template")).await.is_applied());
        let canary = world.at_half(&key, &good).await;
        assert_eq!(canary.source.as_ref().and_then(|s| s.attempt.clone()), Some(id("template").0));
        if promoted {
            let opened = world.cluster.open_pause(&key, &id("open"), 1).await.unwrap();
            assert!(opened.is_applied(), "{opened:?}");
            world.seen(&key, "promoted", |w| !w.in_flight() && w.phase == Phase::Healthy).await;
        }
        world.roll_back(&key, &good).await;
        let home = world.home(&key, &good).await;
        assert_eq!((home.images["app"].as_str(), home.ready), (image(1).as_str(), 2));
        assert_eq!(world.object(&key).await["spec"].get("template"), None, "never on the Rollout");
        world.closed(&key).await;
        world.home(&key, &good).await;
        let restored = world.cluster.restore_steps(&key, &id("restore"), &good).await.unwrap();
        assert!(restored.is_applied(), "{restored:?}");
        let spec = world.object(&key).await["spec"].clone();
        assert_eq!(spec["strategy"]["canary"]["steps"], own_steps);
        assert_eq!(spec.get("rollbackWindow"), None);
        world.home(&key, &good).await;
    }
}

#[tokio::test]
async fn what_was_deployed_past_tidegate_goes_back_in_flight_and_promoted() {
    let world = World::new("elsewhere").await;
    let (key, there) = world.referring().await;
    let first = world.cluster.workload(&key).unwrap();
    for promoted in [false, true] {
        world.deployed_elsewhere(&there, 2).await;
        world.seen(&key, "in flight", |w| w.in_flight() && w.phase == Phase::Paused).await;
        if promoted {
            assert!(world.cluster.promote_full(&key, &attempt("full"), None).await.unwrap().is_applied());
            world.seen(&key, "promoted", |w| !w.in_flight() && w.phase == Phase::Healthy).await;
        }
        let good = world.cluster.way_back(&key).await.unwrap().unwrap();
        assert_eq!(Some(&good.hash), first.current_hash.as_ref());
        world.roll_back(&key, &good).await;
        let home = world.home(&key, &good).await;
        assert_eq!((home.images["app"].as_str(), home.ready), (image(1).as_str(), 2));
        world.closed(&key).await;
        assert_eq!(world.object(&key).await["spec"].get("template"), None);
    }
}

/// A process slept between the announcement and the request; somebody else took the release over.
#[tokio::test]
async fn a_template_that_comes_late_does_nothing() {
    let world = World::new("late").await;
    let (key, there) = world.referring().await;
    let good = world.prepared(&key, &attempt("deploy")).await;
    let template = async || world.object(&there).await["spec"]["template"].clone();

    let late = async |id: &AttemptId, mark: Option<&str>| {
        let announced = Announced::after(id, mark);
        world.cluster.take_over(&key, announced, &halves(), &good, RELEASE).await.unwrap()
    };
    let on_source = |mark: &'static str| {
        move |w: &Workload| w.source.as_ref().is_some_and(|s| s.attempt.as_deref() == Some(mark))
    };

    // Taken as not done: it cannot be done any more. The sleeper's watch has caught up; what it decided on has not.
    let slept = attempt("slept");
    assert_eq!(world.cluster.void(&there, &slept).await.unwrap(), Voided::Void);
    world.seen(&key, "void", on_source("void-test-slept")).await;
    let done = late(&slept, None).await;
    assert!(refused(&done), "{done:?}");

    // Taken back while it slept: the revert writes there in any case, and leaves its mark.
    let before = world.cluster.workload(&key).unwrap();
    let back = world.cluster.revert(&key, &attempt("back"), &good, false).await.unwrap();
    assert!(back.is_applied(), "{back:?}");
    world.seen(&key, "reverted", on_source("test-back")).await;
    let done = late(&attempt("asleep"), Some("void-test-slept")).await;
    assert!(refused(&done), "{done:?}");
    assert_eq!(world.mark_on(&there).await, json!("test-back"));
    assert_eq!(world.mark_on(&key).await, json!("test-back"));
    assert_eq!(template().await, good.template);

    // And the Rollout's own requests find another mark there.
    let mark = before.attempt.clone();
    let id = attempt("late-restore");
    let late =
        world.cluster.restore_steps(&key, Announced::after(&id, mark.as_deref()), &good).await.unwrap();
    assert!(refused(&late), "{late:?}");
}

#[tokio::test]
async fn the_same_template_is_written_once_and_never_over_somebody_elses() {
    let world = World::new("once").await;
    let (key, there) = world.referring().await;
    let good = world.prepared(&key, &attempt("deploy")).await;
    assert!(world.taken(&key, &good, &attempt("template")).await.is_applied());
    // Its answer was lost, and it is sent again under the same id: done. Under another: no.
    assert!(world.taken(&key, &good, &attempt("template")).await.is_applied());
    let again = world.taken(&key, &good, &attempt("other")).await;
    assert!(refused(&again), "{again:?}");
    assert_eq!(world.cluster.void(&there, &attempt("template")).await.unwrap(), Voided::Landed);
    world.at_half(&key, &good).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;

    world.deployed_elsewhere(&there, 3).await;
    let over = world.taken(&key, &good, &attempt("over")).await;
    assert!(refused(&over), "{over:?}");
}

#[tokio::test]
async fn a_rollback_of_such_a_rollout_can_be_rehearsed() {
    let world = World::new("rehearse").await;
    let (key, there) = world.referring().await;
    let before = (world.object(&key).await["spec"].clone(), world.object(&there).await["spec"].clone());
    let plan = plan(2);
    let told = world.cluster.rehearse(&key, &plan, chrono::Utc::now()).await.unwrap();
    let failed: Vec<_> = told.checks.iter().filter(|c| !c.passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let checked: Vec<_> = told.checks.iter().map(|c| c.name.as_str()).collect();
    assert!(checked.contains(&"Revert past the steps"), "{checked:?}");
    let after = (world.object(&key).await["spec"].clone(), world.object(&there).await["spec"].clone());
    assert_eq!(before, after, "nothing was changed");
}

impl World {
    async fn mark_on(&self, key: &Key) -> Value {
        self.object(key).await["metadata"]["annotations"]["tidegate.dev/attempt"].clone()
    }

    /// The window that a rollback opened is gone again.
    async fn closed(&self, key: &Key) {
        let deadline = std::time::Instant::now() + common::SOON;
        let mut changes = self.cluster.changes();
        while !self.object(key).await["spec"]["rollbackWindow"].is_null() {
            assert!(std::time::Instant::now() < deadline, "the window stays open");
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), changes.recv()).await;
        }
    }
}
