//! No user meets nobody: each strategy's release, its rollback from the middle and its rollback from the end, with the
//! simulated users calling all the while. Their requests to nothing are counted where the sandbox sees the pods.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, People, Replica, World, people};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use model::ReleaseId;
use model::release::State;
use model::workload::{Key, Kind, Phase};
use sandbox::Strategy;
use serde_json::{Value, json};
use std::time::Duration;

/// Users' requests a second: one gap of a tenth of a second is 20 of them.
const RPS: f64 = 200.0;

impl World {
    async fn rollout(&self, strategy: Strategy) -> Key {
        let manifest = sandbox::Workload {
            namespace: self.namespace.clone(),
            name: "shop".into(),
            replicas: 4,
            image: image("1.0.0"),
            strategy,
            rps: RPS,
        };
        self.sandbox.apply_yaml(&manifest.manifest()).await.unwrap();
        self.healthy(Key { name: "shop".into(), ..self.key() }).await
    }

    async fn deployment(&self) -> Key {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": self.namespace, "labels": {"app": "shop"},
                "annotations": {"sandbox.tidegate.dev/rps": RPS.to_string()}},
            "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "shop"}},
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
                "template": {"metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "app", "image": image("1.0.0")}]}}}});
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "shop", "namespace": self.namespace},
            "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]}});
        self.sandbox.apply_yaml(&deployment.to_string()).await.unwrap();
        self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        self.healthy(Key { kind: Kind::Deployment, name: "shop".into(), ..self.key() }).await
    }

    async fn healthy(&self, key: Key) -> Key {
        let is = |w: &model::workload::Workload| w.phase == Phase::Healthy && w.ready == 4;
        assert!(self.cluster.wait_for(&key, DEADLINE, is).await.is_some(), "{key}");
        key
    }

    async fn start(
        &self,
        replica: &Replica,
        people: &People,
        key: &Key,
        tag: &str,
        strategy: &Value,
    ) -> ReleaseId {
        let plan = json!({"apiVersion": "tidegate.dev/v1", "kind": "Plan",
            "metadata": {"name": format!("shop-{}", tag.replace('.', "-")), "service": "shop",
                "environment": "production"},
            "spec": {"change": {"images": {"app": image(tag)}}, "strategy": strategy,
                "workload": {"namespace": self.namespace, "kind": key.kind.key(), "name": "shop"},
                "approvals": {"required": 1, "from": ["approver"], "expire": "24h"}}});
        replica.release(people, &plan.to_string()).await
    }

    async fn to_nothing(&self) -> f64 {
        self.sandbox.requests_to_nothing(&self.namespace, "shop").await.unwrap().expect("somebody calls")
    }

    /// The counter counts: with all pods gone at once, these very users meet nobody.
    async fn meets_nobody_without_pods(&self) {
        let client = self.sandbox.admin().await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let pods: Api<DynamicObject> = Api::namespaced_with(client, &self.namespace, &kind);
        let of = ListParams::default().labels("app=shop");
        let begun = std::time::Instant::now();
        let mut again = tokio::time::interval(Duration::from_millis(50));
        while self.to_nothing().await <= 0.0 {
            assert!(begun.elapsed() < DEADLINE, "without a single pod nobody is missed");
            // Their successors are ready within a tenth of a second at best: too short a gap to be sure of.
            pods.delete_collection(&DeleteParams::default(), &of).await.unwrap();
            again.tick().await;
        }
    }
}

fn image(tag: &str) -> String {
    format!("registry.example.com/shop/shop:{tag}")
}

/// Released and taken back, then taken back from its first step; `held` is the same plan with a long bake there.
async fn nobody_is_sent_to_nothing(world: &World, key: &Key, strategy: Value, held: Value) {
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    assert_eq!(world.to_nothing().await, 0.0, "before");

    let id = world.start(&replica, &people, key, "1.1.0", &strategy).await;
    replica.wait_state(id, State::Succeeded).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    assert_eq!(world.to_nothing().await, 0.0, "released and taken back");

    let id = world.start(&replica, &people, key, "1.2.0", &held).await;
    replica.wait(id, "at its first step", |r| r.step_since.is_some()).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    assert_eq!(world.to_nothing().await, 0.0, "taken back from the middle");
    world.meets_nobody_without_pods().await;
}

fn canary(first: u8, bake: &str) -> Value {
    json!({"canary": {"steps": [{"weight": first, "bake": bake}, {"weight": 50, "bake": "1s"}, {"weight": 100}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_canary_behind_nginx() {
    let world = World::new().await;
    let key = world.rollout(Strategy::Canary { nginx: true }).await;
    nobody_is_sent_to_nothing(&world, &key, canary(20, "1s"), canary(20, "10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_canary_behind_an_http_route() {
    let world = World::new().await;
    let key = world.rollout(Strategy::Gateway).await;
    nobody_is_sent_to_nothing(&world, &key, canary(7, "1s"), canary(7, "10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_canary_of_pods_alone() {
    let world = World::new().await;
    let key = world.rollout(Strategy::Canary { nginx: false }).await;
    nobody_is_sent_to_nothing(&world, &key, canary(25, "1s"), canary(25, "10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_blue_green_rollout() {
    let world = World::new().await;
    let key = world.rollout(Strategy::BlueGreen).await;
    let plan = |bake: &str| json!({"blueGreen": {"preview": {"bake": bake}, "after": {"bake": "1s"}}});
    nobody_is_sent_to_nothing(&world, &key, plan("1s"), plan("10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_deployments_rolling_update() {
    let world = World::new().await;
    let key = world.deployment().await;
    let plan = |bake: &str| json!({"rolling": {"bake": bake}});
    nobody_is_sent_to_nothing(&world, &key, plan("1s"), plan("10m")).await;
}

/// Taken back from wherever it is by then: the preview, or the switch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_deployments_switch() {
    let world = World::new().await;
    let key = world.deployment().await;
    let plan = |bake: &str| json!({"blueGreen": {"after": {"bake": bake}}});
    nobody_is_sent_to_nothing(&world, &key, plan("1s"), plan("10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_canary_deployment() {
    let world = World::new().await;
    let key = world.deployment().await;
    nobody_is_sent_to_nothing(&world, &key, canary(20, "1s"), canary(20, "10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_canary_deployment_behind_nginx() {
    let world = World::new().await;
    let key = world.deployment().await;
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "shop", "namespace": world.namespace},
        "spec": {"ingressClassName": "nginx", "rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "shop", "port": {"number": 80}}}}]}}]}});
    world.sandbox.apply_yaml(&ingress.to_string()).await.unwrap();
    assert!(world.cluster.wait_for(&key, DEADLINE, |w| w.weighed().is_ok()).await.is_some());
    nobody_is_sent_to_nothing(&world, &key, canary(5, "1s"), canary(5, "10m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_canary_deployment_behind_an_httproute() {
    let world = World::new().await;
    let key = world.deployment().await;
    let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": world.namespace},
        "spec": {"rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]}});
    world.sandbox.apply_yaml(&route.to_string()).await.unwrap();
    assert!(world.cluster.wait_for(&key, DEADLINE, |w| w.weighed().is_ok()).await.is_some());
    nobody_is_sent_to_nothing(&world, &key, canary(5, "1s"), canary(5, "10m")).await;
}
