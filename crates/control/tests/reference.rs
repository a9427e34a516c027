//! A Rollout that takes its template from a Deployment (`spec.workloadRef`), released by a plan: the Deployment gets the
//! new version, the Rollout walks the plan's steps, and both are put back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, OLD, People, Replica, World, at_rest, people};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use model::ReleaseId;
use model::conductor::Effect;
use model::release::{Release, State};
use model::workload::{Key, Kind, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const NEW: &str = "registry.example.com/shop/shop:1.1.0";

impl World {
    /// The Rollout `shop` of four pods behind a Service, a hundred requests a second, its template in a Deployment.
    async fn shop(&self) -> Key {
        let namespace = &self.namespace;
        let labels = json!({"app": "shop"});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": namespace, "labels": labels},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": OLD.replace("/web:", "/shop:")}]}}}});
        let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "shop", "namespace": namespace, "labels": labels,
                "annotations": {"sandbox.tidegate.dev/rps": "100"}},
            "spec": {"replicas": 4, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                "strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}}}});
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "shop", "namespace": namespace},
            "spec": {"selector": labels, "ports": [{"port": 80}]}});
        self.sandbox.apply_yaml(&format!("{deployment}\n---\n{rollout}")).await.unwrap();
        let key = Key { name: "shop".into(), ..self.key() };
        self.until(&key, |w| w.phase == Phase::Healthy && w.ready == 4 && w.source.is_some()).await;
        // Last, so that nobody calls before somebody is there.
        self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        key
    }

    async fn until(&self, key: &Key, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        match self.cluster.wait_for(key, DEADLINE, is).await {
            Some(w) => w,
            None => panic!("not within {DEADLINE:?}: {:#?}", self.cluster.workload(key)),
        }
    }

    fn of_shop(&self, tag: &str, steps: &str) -> String {
        let plan =
            self.plan(tag, steps).replace("shop/web", "shop/shop").replace("service: web", "service: shop");
        plan.replace("name: web}", "name: shop}")
            .replace("  workload:", "  analysis: {minRequests: 50}\n  workload:")
    }

    async fn start(&self, replica: &Replica, people: &People, tag: &str, steps: &str) -> ReleaseId {
        replica.release(people, &self.of_shop(tag, steps)).await
    }

    async fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let (gvk, plural) = match kind {
            Kind::Rollout => (GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout"), "rollouts"),
            Kind::Deployment => (GroupVersionKind::gvk("apps", "v1", "Deployment"), "deployments"),
        };
        Api::namespaced_with(client, &self.namespace, &ApiResource::from_gvk_with_plural(&gvk, plural))
    }

    async fn spec(&self, kind: Kind) -> Value {
        self.api(kind).await.get("shop").await.unwrap().data["spec"].clone()
    }

    /// Four ready pods of this image, the owner's own steps, and no template on the Rollout.
    async fn whole(&self, key: &Key, image: &str) {
        let at_rest = |w: &Workload| at_rest(w) && w.ready == 4;
        let w = self.until(key, at_rest).await;
        assert_eq!(w.images["app"], image);
        // Whoever sees the way back home takes its window away once it is there.
        let no_window =
            |r: Option<&DynamicObject>| r.is_some_and(|r| r.data["spec"]["rollbackWindow"].is_null());
        let api = self.api(Kind::Rollout).await;
        let closed = kube::runtime::wait::await_condition(api, "shop", no_window);
        tokio::time::timeout(DEADLINE, closed).await.unwrap().unwrap();
        let rollout = self.spec(Kind::Rollout).await;
        assert_eq!(rollout["strategy"]["canary"]["steps"], json!([{"setWeight": 10}, {"pause": {}}]));
        assert_eq!(rollout.get("template"), None);
        let deployment = self.spec(Kind::Deployment).await;
        assert_eq!(deployment["template"]["spec"]["containers"][0]["image"], image);
        assert_eq!(deployment["replicas"], 0);
    }

    /// The users' requests that were answered so, since the beginning.
    async fn answered(&self, code: &str) -> f64 {
        let query = format!(
            "sum(max_over_time(http_requests_total{{namespace=\"{}\",service=\"shop\",code=\"{code}\"}}[30m]))",
            self.namespace
        );
        let prometheus = cluster::Prometheus::new(&self.sandbox.info.prometheus_url).unwrap();
        let series = prometheus.query(&query, chrono::Utc::now()).await.unwrap();
        series.first().and_then(|s| s.value).unwrap_or(0.0)
    }

    async fn nobody_was_sent_to_nothing(&self) {
        let users = async {
            let mut looks = tokio::time::interval(Duration::from_millis(500));
            while self.answered("200").await <= 0.0 {
                looks.tick().await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, users).await.is_ok(), "there are no users");
        assert!(self.answered("503").await < 1.0, "users who met nobody");
    }
}

fn did(release: &Release, effect: &Effect) -> bool {
    release.tried.iter().any(|t| t.effect.same_kind(effect) && t.happened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_of_two_steps_with_a_gate_succeeds_and_its_version_is_on_record() {
    let world = World::new().await;
    let key = world.shop().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 25, gates: [analysis, {approval: on-call}]}, {weight: 100, bake: 1s}]";
    let id = world.start(&replica, &people, "1.1.0", steps).await;
    replica.wait_state(id, State::Waiting).await;
    let w = world.until(&key, |w| w.in_flight() && w.phase == Phase::Paused).await;
    assert_eq!((w.canary_share(), w.version().as_str(), w.stable_version().as_str()), (25, "1.1.0", "1.0.0"));
    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    let release = replica.wait_state(id, State::Succeeded).await;
    assert!(did(&release, &Effect::TakeOver) && release.passed.len() == 2);
    world.whole(&key, NEW).await;

    // The record leads back to the version before, whatever its ReplicaSet does.
    let receipt = replica.control.roll_back_workload(&people.on_call, &key, None, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    world.whole(&key, &OLD.replace("/web:", "/shop:")).await;
    world.nobody_was_sent_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_in_flight_puts_both_objects_back() {
    let world = World::new().await;
    let key = world.shop().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0", "[{weight: 25, bake: 10m}, {weight: 100}]").await;
    replica.wait(id, "baking", |r| r.step_since.is_some()).await;
    replica.control.roll_back(&people.on_call, id, Some("wrong prices".into())).await.unwrap();
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(did(&release, &Effect::RestoreSteps), "{:?}", release.tried);
    world.whole(&key, &OLD.replace("/web:", "/shop:")).await;
    world.nobody_was_sent_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_canary_goes_back_by_itself_and_a_killed_conductor_leaves_nothing_half_done() {
    let world = World::new().await;
    let key = world.shop().await;
    let first = world.replica("a");
    let people = people(&first.control).await;
    let steps = "[{weight: 50, bake: 10m, gates: [analysis]}, {weight: 100}]";
    let id = world.start(&first, &people, "1.1.0-errors-20pct", steps).await;
    // Somewhere between the Rollout's part and the Deployment's.
    first.wait(id, "begun", |r| r.tried.iter().any(|t| t.effect == Effect::Deploy && t.happened)).await;
    first.kill();
    let second = world.replica("b");
    let release = second.wait_state(id, State::RolledBack).await;
    assert!(release.reason.unwrap().contains("errors"), "the analysis said so");
    world.whole(&key, &OLD.replace("/web:", "/shop:")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_runs_pods_of_its_own_is_refused_before_anything_changes() {
    let world = World::new().await;
    let key = world.shop().await;
    let patch = Patch::Merge(json!({"spec": {"replicas": 1}}));
    world.api(Kind::Deployment).await.patch("shop", &PatchParams::default(), &patch).await.unwrap();
    world.until(&key, |w| w.source.as_ref().is_some_and(|s| s.replicas == 1)).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let plan = world.of_shop("1.1.0", "[{weight: 100}]").replace("workload: {", "workload: {kind: Rollout, ");
    let refused = replica.control.create_plan(&people.manager, &plan).await.unwrap_err();
    let told = refused.fields.iter().find(|f| f.field == "metadata.service").unwrap();
    assert!(told.message.contains("runs 1 pod of its own"), "{}", told.message);
}
