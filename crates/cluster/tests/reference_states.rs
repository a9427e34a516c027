//! The way back of a Rollout that takes its template from a Deployment (`spec.workloadRef`), from every state that it may
//! be in. The bad version came past Tidegate: somebody changed the Deployment.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{World, attempt, image};
use model::release::KnownGood;
use model::rollback::{Call, route};
use model::workload::{Key, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

/// A Rollout on version 1, and what it takes its template from.
struct Referring {
    world: World,
    key: Key,
    there: Key,
    good: KnownGood,
}

fn in_flight(w: &Workload) -> bool {
    w.in_flight() && !w.pauses.is_empty()
}

impl Referring {
    async fn new(prefix: &str) -> Self {
        Self::by(prefix, json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})).await
    }

    async fn blue_green(prefix: &str, settings: Value) -> Self {
        let world = World::new(prefix).await;
        let port = json!([{"port": 80}]);
        for name in ["web", "web-preview"] {
            let service = json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": world.ns},
                "spec": {"selector": {"app": "web"}, "ports": port}});
            world.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        }
        let mut both = json!({"activeService": "web", "previewService": "web-preview"});
        for (key, value) in settings.as_object().unwrap() {
            both[key] = value.clone();
        }
        Self::within(world, json!({"blueGreen": both})).await
    }

    async fn by(prefix: &str, strategy: Value) -> Self {
        Self::within(World::new(prefix).await, strategy).await
    }

    async fn within(world: World, strategy: Value) -> Self {
        let (key, there) = world.referring_by(strategy).await;
        let good = world.cluster.template(&key).await.unwrap();
        Self { world, key, there, good }
    }

    async fn seen(&self, what: &str, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        self.world.seen(&self.key, what, is).await
    }

    async fn brings(&self, version: u32) -> Arc<Workload> {
        self.world.deployed_elsewhere(&self.there, version).await;
        self.seen("at its pause", |w| in_flight(w) && w.images["app"] == image(version)).await
    }

    async fn promoted(&self, version: u32) {
        self.brings(version).await;
        assert!(
            self.world.cluster.promote_full(&self.key, &attempt("full"), None).await.unwrap().is_applied()
        );
        self.seen("promoted", |w| w.phase == Phase::Healthy && !w.in_flight()).await;
    }

    async fn own(&self, spec: Value) {
        self.world.elsewhere(&self.key, json!({"spec": spec})).await;
    }

    fn calls(&self) -> Vec<Call> {
        route(&self.world.cluster.workload(&self.key).unwrap(), &self.good.hash).calls
    }

    /// Both objects are as they were, and all pods are of the good version.
    async fn goes_home(&self) -> Arc<Workload> {
        self.world.roll_back(&self.key, &self.good).await;
        let home = self.world.home(&self.key, &self.good).await;
        assert_eq!((home.images["app"].as_str(), home.spec_paused), (image(1).as_str(), false));
        let template = self.world.object(&self.there).await["spec"]["template"].clone();
        assert_eq!(template, self.good.template, "the template is the Deployment's");
        assert_eq!(self.world.object(&self.key).await["spec"].get("template"), None, "never the Rollout's");
        home
    }
}

#[tokio::test]
async fn paused_by_somebody_in_flight_and_promoted() {
    for promoted in [false, true] {
        let r = Referring::new("ref-paused").await;
        if promoted {
            r.promoted(2).await;
        } else {
            r.brings(2).await;
        }
        r.own(json!({"paused": true})).await;
        r.seen("paused", |w| w.spec_paused && w.observed()).await;
        assert_eq!(r.calls()[0], Call::Unpause);
        r.goes_home().await;
    }
}

#[tokio::test]
async fn aborted() {
    let r = Referring::new("ref-aborted").await;
    let w = r.brings(2).await;
    let bad = w.current_hash.as_deref().unwrap();
    assert!(r.world.cluster.abort(&r.key, &attempt("abort"), bad).await.unwrap().is_applied());
    r.seen("aborted", |w| w.abort && w.phase == Phase::Degraded).await;
    assert_eq!(r.calls(), [Call::Revert]);
    r.goes_home().await;
}

#[tokio::test]
async fn degraded_by_its_deadline() {
    let r = Referring::new("ref-deadline").await;
    let before = r.world.cluster.workload(&r.key).unwrap().generation;
    r.own(json!({"progressDeadlineSeconds": 2})).await;
    r.seen("healthy as arranged", |w| w.generation > before && w.phase == Phase::Healthy).await;
    let missing = json!([{"name": "app", "image": format!("{}-missing", image(2))}]);
    let template = json!({"spec": {"template": {"spec": {"containers": missing}}}});
    r.world.elsewhere(&r.there, template).await;
    r.seen("degraded", |w| w.phase == Phase::Degraded && w.in_flight()).await;
    r.goes_home().await;
}

#[tokio::test]
async fn in_the_middle_of_an_analysis() {
    let world = World::new("ref-analysis").await;
    world.slow_analysis().await;
    let analysis = json!({"templates": [{"templateName": "slow"}]});
    let canary = json!({"steps": [{"setWeight": 50}, {"analysis": analysis}]});
    let r = Referring::within(world, json!({"canary": canary})).await;
    r.world.deployed_elsewhere(&r.there, 2).await;
    r.seen("analysed", |w| w.in_flight() && w.step_index == Some(1)).await;
    r.goes_home().await;
}

#[tokio::test]
async fn scaled_to_zero() {
    let r = Referring::new("ref-zero").await;
    r.brings(2).await;
    r.own(json!({"replicas": 0})).await;
    r.seen("without pods", |w| w.observed() && w.replicas == 0 && w.ready == 0).await;
    r.goes_home().await;
    r.own(json!({"replicas": 2})).await;
    let back = r.seen("with pods again", |w| w.phase == Phase::Healthy && w.ready == 2).await;
    assert_eq!(back.revision(&r.good.hash).map(|x| x.ready), Some(2));
}

#[tokio::test]
async fn two_quick_releases_one_after_another() {
    let r = Referring::new("ref-quick").await;
    r.brings(2).await;
    r.brings(3).await;
    let way = r.world.cluster.way_back(&r.key).await.unwrap().unwrap();
    assert_eq!(way.hash, r.good.hash, "the last that carried everything");
    r.goes_home().await;
}

#[tokio::test]
async fn a_rollback_during_a_rollback() {
    for promoted in [false, true] {
        let r = Referring::new("ref-twice").await;
        if promoted {
            r.promoted(2).await;
        } else {
            r.brings(2).await;
        }
        let (cluster, good) = (&r.world.cluster, &r.good);
        let way = route(&cluster.workload(&r.key).unwrap(), &good.hash);
        let ids = [attempt("one"), attempt("two")];
        let (one, two) = tokio::join!(
            cluster.roll_back(&r.key, &ids[0], good, &way),
            cluster.roll_back(&r.key, &ids[1], good, &way),
        );
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        r.goes_home().await;
    }
}

#[tokio::test]
async fn a_rollback_of_a_rollback() {
    let r = Referring::new("ref-again").await;
    r.promoted(2).await;
    let second = r.world.cluster.template(&r.key).await.unwrap();
    for good in [&r.good, &second, &r.good] {
        let calls = r.world.roll_back(&r.key, good).await;
        assert_eq!(calls[0], Call::RevertThroughWindow, "it does not walk the steps");
        r.world.home(&r.key, good).await;
    }
}

#[tokio::test]
async fn blue_green_before_the_switch_and_after_it() {
    let r = Referring::blue_green(
        "ref-green",
        json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 600}),
    )
    .await;
    let w = r.brings(2).await;
    assert_eq!(w.active_hash.as_deref(), Some(r.good.hash.as_str()));
    r.goes_home().await;

    r.promoted(3).await;
    assert_ne!(r.world.cluster.workload(&r.key).unwrap().active_hash.as_deref(), Some(r.good.hash.as_str()));
    let home = r.goes_home().await;
    assert_eq!(home.active_hash.as_deref(), Some(r.good.hash.as_str()));
}

#[tokio::test]
async fn blue_green_after_the_old_pods_are_gone() {
    let r =
        Referring::blue_green("ref-gone", json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 1}))
            .await;
    r.promoted(2).await;
    let gone = |w: &Workload| w.revision(&r.good.hash).is_none_or(|x| x.desired == 0 && x.ready == 0);
    r.seen("alone", gone).await;
    let home = r.goes_home().await;
    assert_eq!(home.active_hash.as_deref(), Some(r.good.hash.as_str()));
    assert_eq!(home.revision(&r.good.hash).map(|x| x.ready), Some(2));
}
