//! A plain Deployment, released by a plan: at its own pace, held, taken back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, People, Replica, World, at_rest, people};
use model::ReleaseId;
use model::release::State;
use model::workload::{Key, Kind, Phase, Workload};
use std::sync::Arc;

const OLD: &str = "registry.example.com/shop/mailer:1.0.0";

impl World {
    /// A Deployment of four pods, each ready for a second before the next is replaced.
    async fn mailer(&self) -> Key {
        let manifest = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "mailer", "namespace": self.namespace, "labels": {"app": "mailer"}},
            "spec": {"replicas": 4, "minReadySeconds": 1, "progressDeadlineSeconds": 5,
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": {"app": "mailer"}},
                "template": {"metadata": {"labels": {"app": "mailer"}},
                    "spec": {"containers": [{"name": "app", "image": OLD}]}}}});
        self.sandbox.apply_yaml(&manifest.to_string()).await.unwrap();
        let key = Key { kind: Kind::Deployment, name: "mailer".into(), ..self.key() };
        self.until(&key, |w| w.phase == Phase::Healthy && w.ready == 4).await;
        key
    }

    async fn until(&self, key: &Key, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        match self.cluster.wait_for(key, DEADLINE, is).await {
            Some(w) => w,
            None => panic!("not within {DEADLINE:?}: {:#?}", self.cluster.workload(key)),
        }
    }

    async fn start(&self, replica: &Replica, people: &People, tag: &str, rolling: &str) -> ReleaseId {
        let name = tag.replace('.', "-");
        let namespace = &self.namespace;
        let plan = format!(
            "apiVersion: tidegate.dev/v1\nkind: Plan\nmetadata: {{name: mailer-{name}, service: mailer, environment: \
             production}}\nspec:\n  change: {{images: {{app: 'registry.example.com/shop/mailer:{tag}'}}}}\n  strategy: \
             {{rolling: {rolling}}}\n  workload: {{namespace: {namespace}, kind: Deployment, name: mailer}}\n  approvals: \
             {{required: 1, from: [approver], expire: 24h}}\n"
        );
        replica.release(people, &plan).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_rolls_out_stands_while_it_is_held_and_is_taken_back_in_one_press() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0", "{bake: 1s}").await;
    world.until(&key, |w| w.in_flight() && w.updated >= 1).await;
    replica.control.pause(&people.on_call, id, Some("look at the queue first".into())).await.unwrap();
    let held = world.until(&key, |w| w.spec_paused && w.observed()).await;
    assert!(held.in_flight(), "it was held in the middle");
    replica.wait_state(id, State::Paused).await;
    replica.control.resume(&people.on_call, id, None).await.unwrap();
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.passed.len(), 1);
    let w = world.until(&key, at_rest).await;
    assert_eq!((w.version().as_str(), w.spec_paused), ("1.1.0", false));

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    let w = world.until(&key, at_rest).await;
    assert_eq!(
        (w.images["app"].as_str(), w.stable_hash.as_deref()),
        (OLD, Some(release.known_good.hash.as_str()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_whose_pods_never_start_goes_back_by_itself() {
    let world = World::new().await;
    let key = world.mailer().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0-missing", "{}").await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(
        release.reason.as_deref().unwrap_or_default().contains("timed out progressing"),
        "{:?}",
        release.reason
    );
    let w = world.until(&key, at_rest).await;
    assert_eq!((w.images["app"].as_str(), w.ready), (OLD, 4));
}
