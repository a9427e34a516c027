//! A plain Deployment, released blue-green: a second one of ours comes up beside it, and the Service's selector sends
//! users over and back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;
#[path = "common/mailer.rs"]
mod mailer;

use common::{DEADLINE, People, Replica, World, people};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use mailer::{OLD, did};
use model::ReleaseId;
use model::conductor::Effect;
use model::release::State;
use model::rollback::Pace;
use model::workload::Key;
use serde_json::{Value, json};

const OURS: &str = "mailer-tidegate";
const NEW: &str = "registry.example.com/shop/mailer:1.1.0";

impl World {
    async fn switch(&self, replica: &Replica, people: &People, tag: &str, parts: &str) -> ReleaseId {
        self.start(replica, people, tag, &format!("{{blueGreen: {parts}}}")).await
    }

    async fn services(&self) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
        Api::namespaced_with(client, &self.namespace, &kind)
    }

    async fn selector(&self) -> Value {
        self.services().await.get("mailer").await.unwrap().data["spec"]["selector"].clone()
    }

    /// The user's own objects are as they were, and nothing of ours is left.
    async fn as_before(&self, key: &Key, image: &str) {
        assert_eq!(self.selector().await, json!({"app": "mailer"}));
        self.tidy(key, image).await;
        // Garbage goes a moment later.
        let gone =
            kube::runtime::wait::await_condition(self.services().await, OURS, |s: Option<&DynamicObject>| {
                s.is_none()
            });
        tokio::time::timeout(DEADLINE, gone).await.expect("the preview's Service goes").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_switched_at_once_and_the_deployment_takes_the_version_over() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let parts = "{preview: {gates: [{approval: on-call}]}, after: {bake: 2s, gates: [analysis]}}";
    let id = world.switch(&replica, &people, "1.1.0", parts).await;
    replica.wait_state(id, State::Waiting).await;
    let w = world.until(&key, |w| w.twin.as_ref().is_some_and(|t| t.ready == 4)).await;
    assert_eq!((w.canary_share(), w.ready, w.images["app"].as_str()), (0, 4, OLD));
    assert_eq!(world.selector().await, json!({"app": "mailer"}), "nobody is sent to the preview");
    let at = format!("http://{OURS}.{}.svc", world.namespace);
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert_eq!(page.live.preview.as_deref(), Some(at.as_str()), "but testers may go there");

    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    let w = world.until(&key, model::workload::Workload::all_switched).await;
    assert_eq!((w.canary_share(), w.images["app"].as_str()), (100, OLD), "its own pods stand by");
    assert_eq!(world.selector().await, json!({"app": "mailer-tidegate"}));
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.passed.len(), 2);
    for effect in [Effect::Switch, Effect::TakeOver, Effect::HandBack, Effect::Retire] {
        assert!(did(&release, &effect), "{effect:?}");
    }
    world.as_before(&key, NEW).await;
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert_eq!(page.live.preview, None);

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_after_the_switch_is_left_by_the_selector_alone() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.switch(&replica, &people, "1.1.0-errors-20pct", "{after: {gates: [analysis]}}").await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(did(&release, &Effect::Switch) && did(&release, &Effect::HandBack));
    assert!(!did(&release, &Effect::TakeOver) && !did(&release, &Effect::Revert), "its own pods never moved");
    world.as_before(&key, OLD).await;
}

/// Pressed at the preview, after the switch, and while the Deployment takes the version over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_back_leads_home_from_each_state() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;

    let id = world.switch(&replica, &people, "1.1.0", "{preview: {bake: 10m}}").await;
    replica.wait(id, "preview", |r| r.step_since.is_some()).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.route.pace, Pace::Seconds);
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD).await;

    let id = world.switch(&replica, &people, "1.2.0", "{after: {bake: 10m}}").await;
    replica.wait(id, "after the switch", |r| r.step_since.is_some() && r.passed.len() == 1).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.route.pace, Pace::Seconds);
    assert_eq!(world.selector().await, json!({"app": "mailer"}), "users are back when the press is answered");
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(!did(&release, &Effect::Revert), "there was nothing to put back");
    world.as_before(&key, OLD).await;

    let id = world.switch(&replica, &people, "1.3.0", "{}").await;
    replica.wait(id, "taking over", |r| did(r, &Effect::TakeOver)).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD).await;

    let id = world.switch(&replica, &people, "1.4.0", "{after: {bake: 10m}}").await;
    replica
        .wait(id, "switching", |r| {
            r.attempt.as_ref().is_some_and(|a| a.effect == Effect::Switch) || did(r, &Effect::Switch)
        })
        .await;
    replica.control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
    world.as_before(&key, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_puts_the_selector_back_past_tidegate_ends_the_release() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.switch(&replica, &people, "1.1.0", "{after: {bake: 10m}}").await;
    replica.wait(id, "after the switch", |r| r.step_since.is_some() && r.passed.len() == 1).await;
    let git = json!({"spec": {"selector": {"app": "mailer"}}});
    world.services().await.patch("mailer", &PatchParams::default(), &Patch::Merge(git)).await.unwrap();
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(release.reason.as_deref().unwrap_or_default().contains("past Tidegate"), "{release:?}");
    world.as_before(&key, OLD).await;
}

/// What would make the switch unsafe is told where the plan is written, and asked again before anything changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_or_a_network_policy_by_the_same_label_is_met_beforehand() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let text = world.mailer_plan("1.1.0", "{blueGreen: {}}");
    let control = &replica.control;
    let plan = control.create_plan(&people.manager, &text).await.unwrap();
    let refused = async |part: &str| {
        let checked = control.check_plan(&people.manager, &text).await.unwrap();
        assert_eq!(checked.errors[0].field, "spec.strategy.blueGreen");
        assert!(checked.errors[0].message.contains(part), "{:?}", checked.errors);
    };

    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "only-mailer", "namespace": world.namespace},
        "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "mailer"}}}]}]}});
    world.sandbox.apply_yaml(&policy.to_string()).await.unwrap();
    refused("NetworkPolicy only-mailer").await;
    replica.approve(&people, plan.id, &plan.digest).await;
    let id = control.start(&people.manager, plan.id, Some(plan.digest)).await.unwrap();
    let release = replica.wait(id, "refused", |r| !r.tried.is_empty()).await;
    assert!(release.tried[0].words.contains("NetworkPolicy only-mailer"), "{release:?}");
    control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait(id, "ended", |r| r.state.ended()).await;
    world.as_before(&key, OLD).await;

    let admin = world.sandbox.admin().await.unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.k8s.io", "v1", "NetworkPolicy"));
    let policies: Api<DynamicObject> = Api::namespaced_with(admin, &world.namespace, &kind);
    policies.delete("only-mailer", &DeleteParams::default()).await.unwrap();
    assert_eq!(control.check_plan(&people.manager, &text).await.unwrap().errors, []);
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-load", "namespace": world.namespace}, "spec": {"maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mailer"}}});
    world.sandbox.apply_yaml(&scaler.to_string()).await.unwrap();
    refused("by-load counts the load of mailer alone").await;
    let canary = world.mailer_plan("1.1.0", "{canary: {steps: [{weight: 20}, {weight: 100}]}}");
    assert_eq!(
        control.check_plan(&people.manager, &canary).await.unwrap().errors,
        [],
        "its own pods stay in use"
    );
}
