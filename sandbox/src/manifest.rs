//! A ready-made Rollout with all it needs, for tests and benchmarks.

use serde_json::{Value, json};

/// How a Rollout of [`Workload`] is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Canary. With `nginx`, weights are exact; without, they are made of pods.
    Canary {
        /// Route by an nginx Ingress.
        nginx: bool,
    },
    /// Canary behind an HTTPRoute of the Gateway API, whose weights the controller's plugin writes.
    Gateway,
    /// Blue-green, promoted by hand.
    BlueGreen,
}

/// What a test wants of its Rollout.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Namespace; it must exist.
    pub namespace: String,
    /// Name of the Rollout, of its stable (or active) Service and of its Ingress or HTTPRoute.
    pub name: String,
    /// Pods wanted.
    pub replicas: u32,
    /// Image of the one container, `app`.
    pub image: String,
    /// How it is released.
    pub strategy: Strategy,
    /// Requests per second of the simulated users; 0 for none.
    pub rps: f64,
}

/// YAML of a Rollout with Services and its Ingress (nginx) or HTTPRoute. Its container is named `app`; its own canary
/// steps are `setWeight 20`, an endless pause, `setWeight 50`, an endless pause. The second Service is
/// `<name>-canary` or `<name>-preview`.
#[must_use]
pub fn rollout_manifest(ns: &str, name: &str, replicas: u32, image: &str, strategy: Strategy) -> String {
    let (namespace, name, image) = (ns.to_owned(), name.to_owned(), image.to_owned());
    Workload { namespace, name, replicas, image, strategy, rps: 40.0 }.manifest()
}

impl Workload {
    /// The YAML documents.
    #[must_use]
    pub fn manifest(&self) -> String {
        let Self { name, namespace, .. } = self;
        let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]);
        let (strategy, second) = match self.strategy {
            Strategy::Canary { nginx: true } | Strategy::Gateway => {
                let routing = match self.strategy {
                    Strategy::Gateway => json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": name}},
                        "managedRoutes": [{"name": "canary-by-header"}]}),
                    _ => json!({"nginx": {"stableIngress": name}}),
                };
                let canary = json!({"stableService": name, "canaryService": format!("{name}-canary"),
                    "trafficRouting": routing, "steps": steps});
                (json!({"canary": canary}), Some(format!("{name}-canary")))
            }
            Strategy::Canary { nginx: false } => {
                (json!({"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": steps}}), None)
            }
            Strategy::BlueGreen => {
                let preview = format!("{name}-preview");
                let blue_green =
                    json!({"activeService": name, "previewService": preview, "autoPromotionEnabled": false});
                (json!({"blueGreen": blue_green}), Some(preview))
            }
        };
        let service = |service: &str| {
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": service, "namespace": namespace},
                "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}})
        };
        let mut objects: Vec<Value> = vec![service(name)];
        objects.extend(second.as_deref().map(service));
        if self.strategy == (Strategy::Canary { nginx: true }) {
            let backend = json!({"service": {"name": name, "port": {"number": 80}}});
            objects.push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"ingressClassName": "nginx", "rules": [{
                    "host": format!("{name}.{namespace}.example.com"),
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}}));
        }
        if self.strategy == Strategy::Gateway {
            let backend = |service: &str, weight: u32| json!({"name": service, "port": 80, "weight": weight});
            objects.push(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"parentRefs": [{"name": "shop"}], "hostnames": [format!("{name}.{namespace}.example.com")],
                    "rules": [{"backendRefs": [backend(name, 100), backend(&format!("{name}-canary"), 0)]}]}}));
        }
        objects.push(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name},
                "annotations": {"sandbox.tidegate.dev/rps": self.rps.to_string()}},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": {"app": name}},
                "strategy": strategy,
                "template": {"metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "app", "image": self.image,
                        "ports": [{"containerPort": 8080}]}]}}}}));
        // JSON is YAML.
        objects.iter().map(|o| format!("---\n{o}\n")).collect()
    }
}
