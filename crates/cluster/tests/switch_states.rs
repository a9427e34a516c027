//! Users stand on a second Deployment that Services were switched to: the way back from every state that the user's own
//! one may be in by then. Judged by the API server: where the Service leads, and what the Deployment itself says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Announced, Outcome};
use common::{RELEASE, SOON, World, attempt, image, plan_by};
use k8s_openapi::api::core::v1::{ResourceQuota, Service};
use kube::Api;
use kube::runtime::wait::await_condition;
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

/// A Deployment of four pods on version 1 whose one Service leads to four of version 2 beside it.
struct Switched {
    world: World,
    key: Key,
    good: KnownGood,
}

fn blue_green(version: u32) -> Plan {
    plan_by(json!({"blueGreen": {}}), version)
}

impl Switched {
    async fn new(prefix: &str, own: Value) -> Self {
        let world = World::new(prefix).await;
        let key = world.key_of(Kind::Deployment, "mailer");
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "mailer", "namespace": world.ns},
            "spec": {"selector": {"app": "mailer"}, "ports": [{"port": 80}]}});
        world.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        world.deployment(&key, 4).await;
        let pace = json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}});
        world.elsewhere(&key, pace).await;
        world.elsewhere(&key, json!({"spec": own})).await;
        world.seen(&key, "behind its Service", |w| w.fronts.len() == 1 && w.phase == Phase::Healthy).await;
        let good = world.settled_template(&key).await;
        let it = Self { world, key, good };
        it.applied(it.cluster().deploy(&it.key, &attempt("deploy"), &blue_green(2), &it.good, RELEASE).await);
        it.seen("beside it", Workload::stands_apart).await;
        it.applied(it.cluster().scale(&it.key, &attempt("scale"), 0, 4).await);
        let whole = |w: &Workload| w.twin.as_ref().is_some_and(|t| t.ready == 4 && t.hash.is_some());
        let up = it.seen("up", whole).await;
        let (id, hash) = (attempt("switch"), up.twin.as_ref().and_then(|t| t.hash.clone()).unwrap());
        let announced = Announced::after(&id, up.attempt.as_deref());
        it.applied(it.cluster().switch(&it.key, announced, &hash, &up.fronts).await);
        it.seen("switched", |w| w.all_switched() && w.ready == 4).await;
        it
    }

    fn cluster(&self) -> &cluster::Cluster {
        &self.world.cluster
    }

    #[track_caller]
    fn applied(&self, sent: Result<Outcome, cluster::Error>) {
        assert!(matches!(&sent, Ok(outcome) if outcome.is_applied()), "{sent:?}");
    }

    async fn seen(&self, what: &str, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        self.world.seen(&self.key, what, is).await
    }

    async fn own(&self, spec: Value) {
        self.world.elsewhere(&self.key, json!({"spec": spec})).await;
    }

    async fn takes_over(&self) {
        let (id, plan) = (attempt("take-over"), blue_green(2));
        self.applied(self.cluster().take_over(&self.key, &id, &plan, &self.good, RELEASE).await);
    }

    /// Where users are sent.
    async fn selector(&self) -> Value {
        let services: Api<Service> =
            Api::namespaced(self.world.sandbox.admin().await.unwrap(), &self.world.ns);
        json!(services.get("mailer").await.unwrap().spec.unwrap().selector)
    }

    fn way(&self) -> (Vec<Call>, Pace) {
        let way = route(&self.cluster().workload(&self.key).unwrap(), &self.good.hash);
        (way.calls, way.pace)
    }

    /// Users first, then the second Deployment, and the user's own is as it was.
    async fn goes_home(&self) -> Arc<Workload> {
        self.world.roll_back(&self.key, &self.good).await;
        assert_eq!(
            self.selector().await,
            json!({"app": "mailer"}),
            "users are back when the press is answered"
        );
        self.applied(self.cluster().retire(&self.key, &attempt("retire")).await);
        let alone = self
            .seen("alone on the good version", |w| {
                w.twin.is_none()
                    && w.observed()
                    && !w.in_flight()
                    && w.current_hash.as_ref() == Some(&self.good.hash)
            })
            .await;
        assert_eq!(self.world.object(&self.key).await["spec"]["template"], self.good.template);
        alone
    }

    /// A quota of so many pods, all of which are there.
    async fn room_for(&self, pods: u32) {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "full", "namespace": self.world.ns}, "spec": {"hard": {"pods": pods.to_string()}}});
        self.world.sandbox.apply_yaml(&quota.to_string()).await.unwrap();
        let counted = |q: Option<&ResourceQuota>| {
            let used = q.and_then(|q| q.status.as_ref()?.used.as_ref()?.get("pods"));
            used.is_some_and(|used| used.0 == pods.to_string())
        };
        let client = self.world.sandbox.admin().await.unwrap();
        let done = await_condition(Api::namespaced(client, &self.world.ns), "full", counted);
        tokio::time::timeout(SOON, done).await.expect("the quota is counted").unwrap();
    }
}

/// Nothing of it was changed, so its owner's pause is theirs to take away.
#[tokio::test]
async fn paused_by_somebody_after_the_switch() {
    let s = Switched::new("switch-paused", json!({})).await;
    s.own(json!({"paused": true})).await;
    s.seen("paused", |w| w.spec_paused && w.observed()).await;
    assert_eq!(s.way(), (vec![Call::HandBack], Pace::Seconds));
    assert!(s.goes_home().await.spec_paused);
}

/// Resumed without the old template it would go on, with users on it.
#[tokio::test]
async fn paused_by_somebody_in_the_middle_of_taking_over() {
    let s = Switched::new("switch-midway", json!({})).await;
    s.takes_over().await;
    s.own(json!({"paused": true})).await;
    s.seen("paused", |w| w.spec_paused && w.observed() && w.images["app"] == image(2)).await;
    assert_eq!(s.way(), (vec![Call::HandBack, Call::Revert], Pace::PodStart));
    let home = s.goes_home().await;
    assert!(!home.spec_paused);
    s.seen("whole", |w| w.phase == Phase::Healthy && w.ready == 4).await;
}

/// Its own controller gives up: the quota holds what stands, and not one pod more.
#[tokio::test]
async fn overdue_in_the_middle_of_taking_over() {
    let s = Switched::new("switch-overdue", json!({"progressDeadlineSeconds": 1})).await;
    s.room_for(8).await;
    s.takes_over().await;
    s.seen("degraded", |w| w.phase == Phase::Degraded && w.images["app"] == image(2)).await;
    assert_eq!(s.way().0, [Call::HandBack, Call::Revert]);
    s.goes_home().await;
    s.seen("whole", |w| w.phase == Phase::Healthy && w.ready == 4).await;
}

/// The only pods are the second Deployment's: users stay there until there is somebody to hand them back to.
#[tokio::test]
async fn scaled_to_zero_by_its_owner() {
    let s = Switched::new("switch-zero", json!({})).await;
    s.own(json!({"replicas": 0})).await;
    s.seen("without pods", |w| w.observed() && w.replicas == 0 && w.ready == 0).await;
    let there = s.selector().await;
    s.world.roll_back(&s.key, &s.good).await;
    assert_eq!(s.selector().await, there, "nobody is sent to nothing");
    s.own(json!({"replicas": 4})).await;
    s.seen("with pods again", |w| w.ready == 4 && w.twin.as_ref().is_some_and(|t| t.ready == 4)).await;
    assert_eq!(s.way(), (vec![Call::HandBack], Pace::Seconds));
    s.goes_home().await;
}

#[tokio::test]
async fn two_quick_releases_one_after_another() {
    let s = Switched::new("switch-quick", json!({})).await;
    let second =
        s.cluster().deploy(&s.key, &attempt("second"), &blue_green(3), &s.good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = second else { panic!("a second one beside the first") };
    assert!(why.contains("selects app=mailer-tidegate"), "{why}");
    assert_eq!(s.cluster().way_back(&s.key).await.unwrap().unwrap().hash, s.good.hash);
    s.goes_home().await;
    let third =
        s.cluster().deploy(&s.key, &attempt("third"), &blue_green(3), &s.good, RELEASE).await.unwrap();
    assert!(third.is_applied(), "{third:?}");
    assert_eq!(s.selector().await, json!({"app": "mailer"}), "a new one begins with nobody on it");
}

/// Two people press in the same moment, and one once more, while the version is being taken over.
#[tokio::test]
async fn a_rollback_during_a_rollback() {
    let s = Switched::new("switch-twice", json!({})).await;
    s.takes_over().await;
    let w = s.seen("taking over", |w| w.current_hash.as_ref().is_some_and(|h| *h != s.good.hash)).await;
    let (r, ids) = (route(&w, &s.good.hash), [attempt("one"), attempt("two")]);
    let (one, two) = tokio::join!(
        s.cluster().roll_back(&s.key, &ids[0], &s.good, &r),
        s.cluster().roll_back(&s.key, &ids[1], &s.good, &r),
    );
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    s.goes_home().await;
    s.seen("whole", |w| w.phase == Phase::Healthy && w.ready == 4).await;
}
