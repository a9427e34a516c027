//! A plain Deployment of the test's own, to be released beside a second one.

use crate::common::{DEADLINE, People, Replica, World, at_rest};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use model::ReleaseId;
use model::conductor::Effect;
use model::release::Release;
use model::workload::{Key, Kind, Phase, Workload};
use std::sync::Arc;

pub(crate) const OLD: &str = "registry.example.com/shop/mailer:1.0.0";

impl World {
    /// A Deployment of four pods behind a Service, with a hundred requests a second.
    pub(crate) async fn mailer(&self) -> Key {
        let namespace = &self.namespace;
        let service = serde_json::json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "mailer", "namespace": namespace},
            "spec": {"selector": {"app": "mailer"}, "ports": [{"port": 80}]}});
        let deployment = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "mailer", "namespace": namespace, "labels": {"app": "mailer"},
                "annotations": {"sandbox.tidegate.dev/rps": "100"}},
            "spec": {"replicas": 4, "progressDeadlineSeconds": 5,
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": {"app": "mailer"}},
                "template": {"metadata": {"labels": {"app": "mailer"}},
                    "spec": {"containers": [{"name": "app", "image": OLD}]}}}});
        self.sandbox.apply_yaml(&deployment.to_string()).await.unwrap();
        let key = Key { kind: Kind::Deployment, name: "mailer".into(), ..self.key() };
        self.until(&key, |w| w.phase == Phase::Healthy && w.ready == 4).await;
        // Last, so that nobody calls before somebody is there.
        self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        key
    }

    pub(crate) async fn until(&self, key: &Key, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        match self.cluster.wait_for(key, DEADLINE, is).await {
            Some(w) => w,
            None => panic!("not within {DEADLINE:?}: {:#?}", self.cluster.workload(key)),
        }
    }

    pub(crate) async fn start(
        &self,
        replica: &Replica,
        people: &People,
        tag: &str,
        strategy: &str,
    ) -> ReleaseId {
        replica.release(people, &self.mailer_plan(tag, strategy)).await
    }

    pub(crate) fn mailer_plan(&self, tag: &str, strategy: &str) -> String {
        let plan = self.plan_by(tag, strategy).replace("shop/web", "shop/mailer").replace(
            "workload: {namespace: ",
            "analysis: {minRequests: 50}\n  workload: {kind: Deployment, namespace: ",
        );
        plan.replace("name: web}", "name: mailer}").replace("service: web", "service: mailer")
    }

    pub(crate) async fn api(&self) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
        Api::namespaced_with(client, &self.namespace, &kind)
    }

    /// Deployments in the namespace.
    pub(crate) async fn deployments(&self) -> Vec<String> {
        let all = self.api().await.list(&ListParams::default()).await.unwrap();
        all.items.into_iter().filter_map(|d| d.metadata.name).collect()
    }

    /// Requests of the Deployment's users that were answered so, since the beginning.
    pub(crate) async fn answered(&self, codes: &str) -> f64 {
        let query = format!(
            "sum(max_over_time(http_requests_total{{namespace=\"{}\",service=\"mailer\",code=~\"{codes}\"}}[30m]))",
            self.namespace
        );
        let prometheus = cluster::Prometheus::new(&self.sandbox.info.prometheus_url).unwrap();
        let series = prometheus.query(&query, chrono::Utc::now()).await.unwrap();
        series.first().and_then(|s| s.value).unwrap_or(0.0)
    }

    /// Nothing is left of what Tidegate made, and the user's Deployment is whole.
    pub(crate) async fn tidy(&self, key: &Key, image: &str) {
        let w = self.until(key, at_rest).await;
        assert_eq!((w.images["app"].as_str(), w.ready, w.replicas), (image, 4, 4));
        assert_eq!(self.deployments().await, ["mailer"]);
        // Prometheus looks once a second.
        let users = async {
            let mut looks = tokio::time::interval(std::time::Duration::from_millis(500));
            while self.answered("200").await <= 0.0 {
                looks.tick().await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, users).await.is_ok(), "there are users");
        assert!(self.answered("503").await < 1.0, "users who met nobody");
    }
}

pub(crate) fn did(release: &Release, effect: &Effect) -> bool {
    release.tried.iter().any(|t| t.effect.same_kind(effect) && t.happened)
}
