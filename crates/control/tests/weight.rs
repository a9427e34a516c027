//! A plain Deployment behind an nginx Ingress: a canary Ingress of ours sends exactly the plan's weight to a second
//! Deployment beside it, and takes it back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;
#[path = "common/mailer.rs"]
mod mailer;

use common::{People, Replica, World, people};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use mailer::{OLD, did};
use model::ReleaseId;
use model::conductor::Effect;
use model::release::State;
use model::rollback::Pace;
use model::workload::Key;
use serde_json::json;

const NEW: &str = "registry.example.com/shop/mailer:1.1.0";
const OURS: &str = "mailer-tidegate";
const WEIGH: Effect = Effect::Weigh { from: 0, to: 0 };

impl World {
    async fn behind_nginx(&self) -> Key {
        let key = self.mailer().await;
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "shop", "namespace": self.namespace},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "mail.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "mailer", "port": {"number": 80}}}}]}}]}});
        self.sandbox.apply_yaml(&ingress.to_string()).await.unwrap();
        self.until(&key, |w| w.weighed().is_ok()).await;
        key
    }

    async fn canary(&self, replica: &Replica, people: &People, tag: &str, steps: &str) -> ReleaseId {
        self.start(replica, people, tag, &format!("{{canary: {{steps: {steps}}}}}")).await
    }

    async fn ingresses(&self) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.k8s.io", "v1", "Ingress"));
        Api::namespaced_with(client, &self.namespace, &kind)
    }

    /// The user's own objects are as they were, and nothing of ours is left.
    async fn as_before(&self, key: &Key, image: &str) {
        self.tidy(key, image).await;
        self.until(key, |w| !w.by_weight() && w.weights.is_none()).await;
        assert!(self.ingresses().await.get_opt(OURS).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_weight_is_exact_and_the_deployment_takes_the_version_over() {
    let world = World::new().await;
    let key = world.behind_nginx().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 7, gates: [{approval: on-call}]}, {weight: 60, gates: [analysis]}, {weight: 100, bake: 1s}]";
    let id = world.canary(&replica, &people, "1.1.0", steps).await;
    replica.wait_state(id, State::Waiting).await;
    let w = world.until(&key, |w| w.canary_weight() == Some(7)).await;
    let pods = w.twin.as_ref().map(|t| t.ready);
    assert_eq!((w.canary_share(), pods, w.ready, w.images["app"].as_str()), (7, Some(1), 4, OLD));

    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    let w = world.until(&key, |w| w.canary_weight() == Some(60)).await;
    assert!(w.twin.as_ref().is_some_and(|t| t.ready >= 3), "its pods come before its users: {:?}", w.twin);
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.passed.len(), 3);
    for effect in [WEIGH, Effect::TakeOver, Effect::HandBack, Effect::Retire] {
        assert!(did(&release, &effect), "{effect:?}");
    }
    world.as_before(&key, NEW).await;

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_at_its_weight_is_left_by_the_weight_alone() {
    let world = World::new().await;
    let key = world.behind_nginx().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 30, gates: [analysis]}, {weight: 100}]";
    let id = world.canary(&replica, &people, "1.1.0-errors-20pct", steps).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(did(&release, &WEIGH) && did(&release, &Effect::HandBack));
    assert!(!did(&release, &Effect::TakeOver) && !did(&release, &Effect::Revert), "its own pods never moved");
    world.as_before(&key, OLD).await;
}

/// Pressed at a weight, while the Deployment takes the version over, and while the weight is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_back_and_abort_lead_home_from_each_state() {
    let world = World::new().await;
    let key = world.behind_nginx().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;

    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 30, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "at its weight", |r| r.step_since.is_some()).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.route.pace, Pace::Seconds);
    let ours = world.ingresses().await.get(OURS).await.unwrap();
    let weight = &ours.metadata.annotations.unwrap()["nginx.ingress.kubernetes.io/canary-weight"];
    assert_eq!(weight, "0", "users are back when the press is answered");
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(!did(&release, &Effect::Revert), "there was nothing to put back");
    world.as_before(&key, OLD).await;

    let id = world.canary(&replica, &people, "1.2.0", "[{weight: 30}, {weight: 100, bake: 10m}]").await;
    replica.wait(id, "taking over", |r| did(r, &Effect::TakeOver)).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD).await;

    let id = world.canary(&replica, &people, "1.3.0", "[{weight: 30, bake: 10m}, {weight: 100}]").await;
    let weighing = |e: &Effect| e.same_kind(&WEIGH);
    replica
        .wait(id, "weighing", |r| r.attempt.as_ref().is_some_and(|a| weighing(&a.effect)) || did(r, &WEIGH))
        .await;
    replica.control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
    world.as_before(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_somebody_raises_is_lowered_and_one_that_somebody_lowers_ends_the_release() {
    let world = World::new().await;
    let key = world.behind_nginx().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.canary(&replica, &people, "1.1.0", "[{weight: 20, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "at its weight", |r| r.step_since.is_some()).await;
    let write = async |weight: &str| {
        let weight =
            json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-weight": weight}}});
        world.ingresses().await.patch(OURS, &PatchParams::default(), &Patch::Merge(weight)).await.unwrap();
    };
    write("90").await;
    replica
        .wait(id, "lowered", |r| {
            did(r, &WEIGH)
                && r.tried.iter().any(|t| t.effect == Effect::Weigh { from: 90, to: 20 } && t.happened)
        })
        .await;
    world.until(&key, |w| w.canary_weight() == Some(20)).await;
    write("3").await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(release.reason.as_deref().unwrap_or_default().contains("past Tidegate"), "{release:?}");
    world.as_before(&key, OLD).await;
}
