//! A namespace of its own in the real cluster, and Tidegate's view of it.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod gate;

use cluster::Cluster;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::{Call, route};
use model::workload::{Key, Kind, Phase, Workload};
use model::{AttemptId, ReleaseId};
use sandbox::{Sandbox, Strategy, rollout_manifest};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const RELEASE: ReleaseId = ReleaseId(7);

pub(crate) struct World {
    pub(crate) sandbox: &'static Sandbox,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) ns: String,
}

impl World {
    pub(crate) async fn new(prefix: &str) -> Self {
        let sandbox = Sandbox::shared().await.unwrap();
        Self::through(prefix, &sandbox.info.tidegate_kubeconfig).await
    }

    /// With another way to the API server than Tidegate's own.
    pub(crate) async fn through(prefix: &str, kubeconfig: &Path) -> Self {
        let sandbox = Sandbox::shared().await.unwrap();
        let ns = sandbox.namespace(prefix).await.unwrap();
        let cluster = Cluster::connect("sandbox", Some(kubeconfig), None).await.unwrap();
        Self { sandbox, cluster, ns }
    }

    pub(crate) fn key(&self, name: &str) -> Key {
        self.key_of(Kind::Rollout, name)
    }

    pub(crate) fn key_of(&self, kind: Kind, name: &str) -> Key {
        Key { cluster: "sandbox".into(), namespace: self.ns.clone(), kind, name: name.into() }
    }

    /// A Rollout on version 1, Healthy.
    pub(crate) async fn rollout(&self, name: &str, replicas: u32, strategy: Strategy) -> Key {
        let manifest = rollout_manifest(&self.ns, name, replicas, &image(1), strategy);
        self.sandbox.apply_yaml(&manifest).await.unwrap();
        let key = self.key(name);
        self.seen(&key, "healthy", |w| w.phase == Phase::Healthy && w.stable_hash == w.current_hash).await;
        key
    }

    /// A Deployment on version 1, Healthy.
    pub(crate) async fn deployment(&self, key: &Key, replicas: u32) -> KnownGood {
        let labels = json!({"app": key.name});
        let pods = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image(1)}]}});
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": key.name, "namespace": self.ns, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pods}});
        self.sandbox.apply_yaml(&manifest.to_string()).await.unwrap();
        self.seen(key, "healthy", |w| w.phase == Phase::Healthy && w.current_hash.is_some()).await;
        self.cluster.template(key).await.unwrap()
    }

    /// A Rollout `web` of two pods on version 1, Healthy, and the Deployment of the same name that it takes its
    /// template from.
    pub(crate) async fn referring(&self) -> (Key, Key) {
        self.referring_by(json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}})).await
    }

    /// The same with another `spec.strategy`.
    pub(crate) async fn referring_by(&self, strategy: Value) -> (Key, Key) {
        let pods = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": image(1)}]}});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": self.ns},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": pods}});
        let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web", "namespace": self.ns},
            "spec": {"replicas": 2, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "strategy": strategy}});
        self.sandbox.apply_yaml(&format!("{deployment}\n---\n{rollout}")).await.unwrap();
        let key = self.key("web");
        self.seen(&key, "healthy", |w| {
            w.phase == Phase::Healthy && w.ready == 2 && w.source.is_some() && !w.revisions.is_empty()
        })
        .await;
        (key, self.key_of(Kind::Deployment, "web"))
    }

    /// An AnalysisTemplate `slow` that passes, and takes minutes for it.
    pub(crate) async fn slow_analysis(&self) {
        let prometheus = json!({"address": self.sandbox.info.prometheus_url, "query": "vector(1)"});
        let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": {"name": "slow", "namespace": self.ns},
            "spec": {"metrics": [{"name": "one", "interval": "5s", "count": 100,
                "successCondition": "result[0] >= 0", "provider": {"prometheus": prometheus}}]}});
        self.sandbox.apply_yaml(&template.to_string()).await.unwrap();
    }

    /// Waits for what the cache shows.
    pub(crate) async fn seen(&self, key: &Key, what: &str, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        match self.cluster.wait_for(key, SOON, is).await {
            Some(w) => w,
            None => panic!("{key}: not {what}: {:#?}", self.cluster.workload(key)),
        }
    }

    /// Its template, once its controller has acted on all that was asked of it.
    pub(crate) async fn settled_template(&self, key: &Key) -> KnownGood {
        let mut changes = self.cluster.changes();
        let found = async {
            loop {
                match self.cluster.template(key).await {
                    Ok(good) => return good,
                    // A missed change must not hang the test.
                    Err(cluster::Error::Unsuited(_)) => {
                        let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
                    }
                    Err(other) => panic!("{key}: {other}"),
                }
            }
        };
        tokio::time::timeout(SOON, found).await.unwrap()
    }

    /// Released from version 1 to 2 up to the first pause.
    pub(crate) async fn in_flight(&self, key: &Key) -> (KnownGood, Arc<Workload>) {
        let good = self.cluster.template(key).await.unwrap();
        let outcome = self.cluster.deploy(key, &attempt("deploy"), &plan(2), &good, RELEASE).await.unwrap();
        assert!(outcome.is_applied(), "{outcome:?}");
        let w = self
            .seen(key, "paused at the first step", |w| {
                w.phase == Phase::Paused && w.step_index == Some(1) && w.in_flight()
            })
            .await;
        (good, w)
    }

    /// Takes it back by the route for what the cache shows.
    pub(crate) async fn roll_back(&self, key: &Key, good: &KnownGood) -> Vec<Call> {
        let w = self.cluster.workload(key).unwrap();
        let done = self.cluster.roll_back(key, &attempt("back"), good, &route(&w, &good.hash)).await.unwrap();
        assert_eq!(done.without, []);
        done.calls.into_iter().map(|(call, _)| call).collect()
    }

    /// E1 to E5: judged by effect.
    pub(crate) async fn home(&self, key: &Key, good: &KnownGood) -> Arc<Workload> {
        self.seen(key, "home", |w| {
            w.phase == Phase::Healthy
                && w.observed_generation == Some(w.generation)
                && w.current_hash.as_deref() == Some(&good.hash)
                && w.stable_hash == w.current_hash
                && !w.abort
                && w.weights.is_none_or(|x| x.canary == 0)
                && (w.active_hash.is_none() || w.active_hash == w.current_hash)
        })
        .await
    }

    pub(crate) async fn objects(&self, kind: Kind) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let (group, plural) = match kind {
            Kind::Rollout => {
                (kube::core::GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout"), "rollouts")
            }
            Kind::Deployment => {
                (kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment"), "deployments")
            }
        };
        let resource = kube::api::ApiResource::from_gvk_with_plural(&group, plural);
        Api::namespaced_with(client, &self.ns, &resource)
    }

    /// The object as the API server has it.
    pub(crate) async fn object(&self, key: &Key) -> Value {
        serde_json::to_value(self.objects(key.kind).await.get(&key.name).await.unwrap()).unwrap()
    }

    /// What somebody else does to it, as a merge patch.
    pub(crate) async fn elsewhere(&self, key: &Key, patch: Value) {
        let objects = self.objects(key.kind).await;
        objects.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Somebody else deploys a version, past Tidegate.
    pub(crate) async fn deployed_elsewhere(&self, key: &Key, version: u32) {
        let containers = json!([{"name": "app", "image": image(version)}]);
        self.elsewhere(key, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    }
}

pub(crate) fn attempt(what: &str) -> AttemptId {
    AttemptId(format!("test-{what}"))
}

pub(crate) fn image(version: u32) -> String {
    format!("registry.example.com/web:1.{version}.0")
}

/// 20 % and 50 %, each held, then 100 % without a hold.
pub(crate) fn plan(version: u32) -> Plan {
    plan_of(json!([{"weight": 20, "bake": "1m"}, {"weight": 50, "bake": "1m"}, {"weight": 100}]), version)
}

pub(crate) fn plan_of(steps: Value, version: u32) -> Plan {
    plan_by(json!({"canary": {"steps": steps}}), version)
}

/// With another strategy: `{"rolling": {}}`.
pub(crate) fn plan_by(strategy: Value, version: u32) -> Plan {
    serde_json::from_value(json!({
        "apiVersion": "tidegate.dev/v1", "kind": "Plan",
        "metadata": {"name": format!("web-1-{version}-0"), "service": "web", "environment": "production"},
        "spec": {"change": {"images": {"app": image(version)}}, "strategy": strategy},
    }))
    .unwrap()
}
