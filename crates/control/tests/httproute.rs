//! A plain Deployment behind an HTTPRoute: weights in that route send exactly the plan's weight to a second Deployment beside
//! it, and at the end the route is as its owner wrote it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;
#[path = "common/mailer.rs"]
mod mailer;

use common::{People, Replica, World, people};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use mailer::{OLD, did};
use model::ReleaseId;
use model::conductor::Effect;
use model::release::State;
use model::rollback::Pace;
use model::workload::Key;
use serde_json::{Value, json};

const NEW: &str = "registry.example.com/shop/mailer:1.1.0";
const OURS: &str = "mailer-tidegate";
const WEIGH: Effect = Effect::Weigh { from: 0, to: 0 };

impl World {
    /// The route as its owner wrote it, too.
    async fn behind_a_route(&self) -> (Key, Value) {
        let key = self.mailer().await;
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": self.namespace},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "mailer", "port": 80}]}]}});
        self.sandbox.apply_yaml(&route.to_string()).await.unwrap();
        self.until(&key, |w| w.weighed().is_ok()).await;
        (key, self.written().await)
    }

    async fn canary(&self, replica: &Replica, people: &People, tag: &str, steps: &str) -> ReleaseId {
        self.start(replica, people, tag, &format!("{{canary: {{steps: {steps}}}}}")).await
    }

    async fn routes(&self) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind =
            ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
        Api::namespaced_with(client, &self.namespace, &kind)
    }

    async fn written(&self) -> Value {
        let route = self.routes().await.get("shop").await.unwrap();
        json!({"annotations": route.metadata.annotations, "labels": route.metadata.labels, "spec": route.data["spec"]})
    }

    /// The weight of ours, as somebody writes it past Tidegate; with `None` it is taken out.
    async fn write(&self, weight: Option<i64>) {
        let mut route = self.routes().await.get("shop").await.unwrap();
        let backends = route.data["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
        assert_eq!(backends[1]["name"], OURS);
        match weight {
            Some(weight) => backends[1]["weight"] = weight.into(),
            None => drop(backends.remove(1)),
        }
        self.routes().await.replace("shop", &PostParams::default(), &route).await.unwrap();
    }

    /// The user's own objects are as they were, and nothing of ours is left.
    async fn as_before(&self, key: &Key, image: &str, route: &Value) {
        self.tidy(key, image).await;
        self.until(key, |w| !w.by_weight() && w.weights.is_none()).await;
        assert_eq!(self.written().await, *route);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_weight_is_exact_and_the_deployment_takes_the_version_over() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 5, gates: [{approval: on-call}]}, {weight: 50, gates: [analysis]}, {weight: 100, bake: 1s}]";
    let id = world.canary(&replica, &people, "1.1.0", steps).await;
    replica.wait_state(id, State::Waiting).await;
    let w = world.until(&key, |w| w.canary_weight() == Some(5)).await;
    let pods = w.twin.as_ref().map(|t| t.ready);
    assert_eq!((w.canary_share(), pods, w.ready, w.images["app"].as_str()), (5, Some(1), 4, OLD));
    let weights =
        world.routes().await.get("shop").await.unwrap().data["spec"]["rules"][0]["backendRefs"].clone();
    assert_eq!((weights[0]["weight"].as_i64(), weights[1]["weight"].as_i64()), (Some(95), Some(5)));

    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    let w = world.until(&key, |w| w.canary_weight() == Some(50)).await;
    assert!(w.twin.as_ref().is_some_and(|t| t.ready >= 2), "its pods come before its users: {:?}", w.twin);
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.passed.len(), 3);
    for effect in [WEIGH, Effect::TakeOver, Effect::HandBack, Effect::Retire] {
        assert!(did(&release, &effect), "{effect:?}");
    }
    world.as_before(&key, NEW, &route).await;

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD, &route).await;
}

/// Pressed at a weight, while the Deployment takes the version over, and while the weight is on its way; and by itself, when
/// the version fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_back_leaves_the_route_as_it_was() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;

    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 30, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "at its weight", |r| r.step_since.is_some()).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.route.pace, Pace::Seconds);
    assert_eq!(world.written().await["spec"], route["spec"], "users are back when the press is answered");
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(!did(&release, &Effect::Revert), "there was nothing to put back");
    world.as_before(&key, OLD, &route).await;

    let id = world.canary(&replica, &people, "1.2.0", "[{weight: 30}, {weight: 100, bake: 10m}]").await;
    replica.wait(id, "taking over", |r| did(r, &Effect::TakeOver)).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD, &route).await;

    let id = world.canary(&replica, &people, "1.3.0", "[{weight: 30, bake: 10m}, {weight: 100}]").await;
    let weighing = |e: &Effect| e.same_kind(&WEIGH);
    replica
        .wait(id, "weighing", |r| r.attempt.as_ref().is_some_and(|a| weighing(&a.effect)) || did(r, &WEIGH))
        .await;
    replica.control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
    world.as_before(&key, OLD, &route).await;

    let steps = "[{weight: 30, gates: [analysis]}, {weight: 100}]";
    let id = world.canary(&replica, &people, "1.4.0-errors-20pct", steps).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(did(&release, &WEIGH) && did(&release, &Effect::HandBack));
    assert!(!did(&release, &Effect::TakeOver) && !did(&release, &Effect::Revert), "its own pods never moved");
    world.as_before(&key, OLD, &route).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_somebody_raises_is_lowered_and_one_that_somebody_takes_out_ends_the_release() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 20, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "at its weight", |r| r.step_since.is_some()).await;
    world.write(Some(720)).await;
    let lowered = |e: &Effect| *e == Effect::Weigh { from: 90, to: 20 };
    replica.wait(id, "lowered", |r| r.tried.iter().any(|t| lowered(&t.effect) && t.happened)).await;
    world.until(&key, |w| w.canary_weight() == Some(20)).await;
    world.write(None).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    let why = release.reason.as_deref().unwrap_or_default();
    assert!(why.contains("past Tidegate: HTTPRoute shop sends nobody there"), "{why}");
    world.as_before(&key, OLD, &route).await;
}

/// Its Service goes with it, while the user's own route still names that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_deployment_that_somebody_deletes_is_taken_out_of_the_route_at_once() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 20, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "at its weight", |r| r.step_since.is_some()).await;
    world.api().await.delete(OURS, &DeleteParams::background()).await.unwrap();
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(
        release.reason.as_deref().unwrap_or_default().contains("deleted the second Deployment"),
        "{release:?}"
    );
    assert_eq!(world.written().await, route);
    world.until(&key, |w| !w.anything_of_ours()).await;
}
