//! From the cluster's objects to what users meet: services, their versions, and who decides between them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use super::{
    behaviour::{ANNOTATION, Behaviour, tag},
    behind,
    gateway::Rule,
    metrics::PodState,
    share::{Route, Version},
};

/// Annotation of a workload: requests per second of all its users together; 0 for none.
const RPS: &str = "sandbox.tidegate.dev/rps";

/// Requests per second of a workload that does not say.
const DEFAULT_RPS: f64 = 40.0;

const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";
pub(super) type Objects = [Arc<DynamicObject>];

/// What the watches hold.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rollouts: Vec<Arc<DynamicObject>>,
    pub(crate) deployments: Vec<Arc<DynamicObject>>,
    pub(crate) replica_sets: Vec<Arc<DynamicObject>>,
    pub(crate) pods: Vec<Arc<DynamicObject>>,
    pub(crate) services: Vec<Arc<DynamicObject>>,
    pub(crate) ingresses: Vec<Arc<DynamicObject>>,
    /// HTTPRoutes of the Gateway API.
    pub(crate) routes: Vec<Arc<DynamicObject>>,
}

/// One service with users.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    /// Label `app` (or `app.kubernetes.io/name`) of the pods, else the workload's name.
    pub(crate) name: String,
    /// Requests per second.
    pub(crate) rps: f64,
    pub(crate) versions: Vec<Version>,
    pub(crate) route: Route,
    /// Copies of each request (a part of one) that a mirror sends to each revision, by hash; users see none of it.
    pub(crate) copies: BTreeMap<String, f64>,
    pub(crate) pods: Vec<PodState>,
}

/// Every workload that has users.
pub(crate) fn services(seen: &Seen) -> Vec<Service> {
    let by_owner = |objects: &Objects| {
        let mut owned: HashMap<String, Vec<Arc<DynamicObject>>> = HashMap::new();
        for object in objects {
            if let Some(owner) = object.owner_references().iter().find(|o| o.controller == Some(true)) {
                owned.entry(owner.uid.clone()).or_default().push(object.clone());
            }
        }
        owned
    };
    let by_name = |objects: &Objects| -> HashMap<(String, String), Arc<DynamicObject>> {
        objects.iter().map(|o| ((o.namespace().unwrap_or_default(), o.name_any()), o.clone())).collect()
    };
    let (sets, pods) = (by_owner(&seen.replica_sets), by_owner(&seen.pods));
    let router = Router { services: by_name(&seen.services), ingresses: by_name(&seen.ingresses) };
    let rollouts = seen.rollouts.iter().filter_map(|rollout| service(rollout, seen, &sets, &pods, &router));
    rollouts.chain(behind::services(seen, &sets, &pods)).collect()
}

pub(super) type Owned = HashMap<String, Vec<Arc<DynamicObject>>>;

/// What every workload with users says of itself; without versions and pods yet.
pub(super) fn users_of(workload: &DynamicObject) -> Option<Service> {
    let rps = workload.annotations().get(RPS).map_or(Some(DEFAULT_RPS), |text| text.parse::<f64>().ok())?;
    if rps <= 0.0 || !rps.is_finite() || workload.data["spec"]["replicas"] == 0 {
        return None;
    }
    let labels = &workload.data["spec"]["template"]["metadata"]["labels"];
    let label = labels["app"].as_str().or_else(|| labels["app.kubernetes.io/name"].as_str());
    Some(Service {
        name: label.map_or_else(|| workload.name_any(), ToOwned::to_owned),
        namespace: workload.namespace()?,
        rps,
        versions: Vec::new(),
        route: Route::Pods,
        copies: BTreeMap::new(),
        pods: Vec::new(),
    })
}

fn service(
    rollout: &DynamicObject,
    seen: &Seen,
    sets: &Owned,
    pods: &Owned,
    router: &Router,
) -> Option<Service> {
    let mut service = users_of(rollout)?;
    let mut versions: BTreeMap<String, Version> = BTreeMap::new();
    let mut revisions = Vec::new();
    for set in sets.get(&rollout.uid()?).map(Vec::as_slice).unwrap_or_default() {
        let Some(hash) = set.labels().get(ROLLOUT_HASH) else {
            continue;
        };
        let of_set = set.uid().and_then(|uid| pods.get(&uid)).map(Vec::as_slice).unwrap_or_default();
        service.pods.extend(of_set.iter().filter_map(|pod| pod_state(pod)));
        let ready = of_set.iter().filter(|pod| is_ready(pod)).count();
        versions.insert(hash.clone(), version(hash, set, u32::try_from(ready).unwrap_or(u32::MAX)));
        revisions.push((hash.as_str(), of_set));
    }
    service.versions = versions.into_values().collect();
    let canary = &rollout.data["spec"]["strategy"]["canary"];
    let stable = canary["stableService"].as_str().filter(|_| canary["trafficRouting"]["plugins"].is_object());
    if let Some(rule) = stable.and_then(|stable| Rule::to(stable, &service.namespace, &seen.routes)) {
        service.route = rule.route(&seen.services, &revisions);
        service.copies = rule.copies(&seen.services, &revisions);
    } else {
        service.route = router.route(&service.namespace, rollout);
    }
    Some(service)
}

pub(super) fn version(hash: &str, set: &DynamicObject, ready: u32) -> Version {
    let template = &set.data["spec"]["template"];
    let containers = template["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let container = containers.iter().find(|c| c["name"] == "app").or_else(|| containers.first());
    let image = container.and_then(|c| c["image"].as_str()).unwrap_or_default();
    let annotation = template["metadata"]["annotations"][ANNOTATION].as_str();
    Version {
        hash: hash.to_owned(),
        tag: tag(image).to_owned(),
        ready,
        behaviour: Behaviour::of(image, annotation),
    }
}

pub(super) fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

pub(super) fn pod_state(pod: &DynamicObject) -> Option<PodState> {
    let container = pod.data["status"]["containerStatuses"].as_array()?.first()?;
    Some(PodState {
        namespace: pod.namespace()?,
        pod: pod.name_any(),
        container: container["name"].as_str()?.to_owned(),
        restarts: container["restartCount"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
        ready: is_ready(pod),
    })
}

struct Router {
    services: HashMap<(String, String), Arc<DynamicObject>>,
    ingresses: HashMap<(String, String), Arc<DynamicObject>>,
}

impl Router {
    /// The hash that a Service selects.
    fn selected(&self, namespace: &str, service: &Value) -> Option<String> {
        let service = self.services.get(&(namespace.to_owned(), service.as_str()?.to_owned()))?;
        service.data["spec"]["selector"][ROLLOUT_HASH].as_str().map(ToOwned::to_owned)
    }

    fn route(&self, namespace: &str, workload: &DynamicObject) -> Route {
        let strategy = &workload.data["spec"]["strategy"];
        self.routed(namespace, workload, strategy).unwrap_or(Route::Pods)
    }

    /// None where nothing but the pods decides, or the Services select no revision yet.
    fn routed(&self, namespace: &str, workload: &DynamicObject, strategy: &Value) -> Option<Route> {
        if strategy["blueGreen"].is_object() {
            let active = self.selected(namespace, &strategy["blueGreen"]["activeService"])?;
            return Some(Route::Split(vec![(active, 1.0)]));
        }
        let canary = &strategy["canary"];
        if !canary["trafficRouting"].is_object() {
            return None;
        }
        let stable = self.selected(namespace, &canary["stableService"])?;
        let new = self.selected(namespace, &canary["canaryService"])?;
        let nginx = &canary["trafficRouting"]["nginx"];
        let weight = if nginx.is_object() {
            self.nginx_weight(namespace, &workload.name_any(), nginx)
        } else {
            // Routers that the sandbox does not run: what the controller says it has set.
            workload.data["status"]["canary"]["weights"]["canary"]["weight"].as_f64().unwrap_or(0.0) / 100.0
        };
        Some(Route::Split(vec![(stable, 1.0 - weight), (new, weight)]))
    }

    /// The part of requests that ingress-nginx would send to the canary: by the annotations of the Ingress
    /// that the controller keeps beside the stable one.
    fn nginx_weight(&self, namespace: &str, rollout: &str, nginx: &Value) -> f64 {
        let stable = nginx["stableIngress"].as_str().or_else(|| nginx["stableIngresses"][0].as_str());
        let prefix = nginx["annotationPrefix"].as_str().unwrap_or("nginx.ingress.kubernetes.io");
        let name = format!("{rollout}-{}-canary", stable.unwrap_or_default());
        let Some(ingress) = self.ingresses.get(&(namespace.to_owned(), name)) else {
            return 0.0;
        };
        let annotation =
            |key: &str| ingress.annotations().get(&format!("{prefix}/{key}")).map(String::as_str);
        if annotation("canary") != Some("true") {
            return 0.0;
        }
        let number = |key: &str| annotation(key).and_then(|text| text.parse::<f64>().ok());
        let total = number("canary-weight-total").filter(|total| *total > 0.0).unwrap_or(100.0);
        (number("canary-weight").unwrap_or(0.0) / total).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Arc<DynamicObject> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn set(hash: &str, image: &str) -> Arc<DynamicObject> {
        object(json!({"metadata": {"name": format!("web-{hash}"), "namespace": "shop", "uid": hash,
            "labels": {ROLLOUT_HASH: hash}, "ownerReferences": [owner("Rollout", "r")]},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}))
    }

    fn owner(kind: &str, uid: &str) -> Value {
        json!({"apiVersion": "x/v1", "kind": kind, "name": "web", "uid": uid, "controller": true})
    }

    fn pod(name: &str, set: &str, ready: &str) -> Arc<DynamicObject> {
        object(json!({"metadata": {"name": name, "namespace": "shop",
                "ownerReferences": [owner("ReplicaSet", set)]},
            "status": {"conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"name": "app", "restartCount": 2}]}}))
    }

    fn selecting(name: &str, hash: &str) -> Arc<DynamicObject> {
        object(json!({"metadata": {"name": name, "namespace": "shop"},
                "spec": {"selector": {ROLLOUT_HASH: hash}}}))
    }

    fn seen(strategy: Value) -> Seen {
        let canary = json!({"nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": "5"});
        Seen {
            rollouts: vec![object(json!({"metadata": {"name": "web", "namespace": "shop", "uid": "r"},
                "spec": {"replicas": 2, "strategy": strategy,
                    "template": {"metadata": {"labels": {"app": "site"}}}}}))],
            replica_sets: vec![set("old", "a/web:1.0"), set("new", "a/web:1.1-errors-20pct")],
            pods: vec![
                pod("a", "old", "True"),
                pod("b", "old", "True"),
                pod("c", "new", "True"),
                pod("d", "new", "False"),
            ],
            services: vec![selecting("web", "old"), selecting("web-canary", "new")],
            ingresses: vec![object(json!({"metadata": {"name": "web-web-canary", "namespace": "shop",
                "annotations": canary}}))],
            ..Seen::default()
        }
    }

    fn route(strategy: Value) -> Route {
        services(&seen(strategy)).remove(0).route
    }

    #[test]
    fn versions_and_their_ready_pods_are_found() {
        let found = services(&seen(json!({"canary": {}}))).remove(0);
        assert_eq!((found.name.as_str(), found.rps), ("site", DEFAULT_RPS));
        let versions: Vec<_> =
            found.versions.iter().map(|v| (v.tag.as_str(), v.ready, v.behaviour.errors)).collect();
        assert_eq!(versions, [("1.1-errors-20pct", 1, 0.2), ("1.0", 2, 0.003)]);
        assert_eq!(found.pods.len(), 4);
        assert_eq!(found.pods.iter().filter(|p| p.ready).count(), 3);
    }

    #[test]
    fn the_nginx_weight_is_the_annotation_of_the_canary_ingress() {
        let canary = json!({"canary": {"stableService": "web", "canaryService": "web-canary",
            "trafficRouting": {"nginx": {"stableIngress": "web"}}}});
        assert_eq!(route(canary), Route::Split(vec![("old".into(), 0.95), ("new".into(), 0.05)]));
    }

    #[test]
    fn a_rollout_behind_an_http_route_goes_by_its_weights() {
        let canary = json!({"canary": {"stableService": "web", "canaryService": "web-canary",
            "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}}}});
        let mut seen = seen(canary);
        for (pod, hash) in seen.pods.iter_mut().zip(["old", "old", "new", "new"]) {
            let mut labelled = DynamicObject::clone(pod);
            labelled.labels_mut().insert(ROLLOUT_HASH.to_owned(), hash.to_owned());
            *pod = Arc::new(labelled);
        }
        seen.routes =
            vec![object(json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"rules": [
            {"backendRefs": [{"name": "web", "weight": 70}, {"name": "web-canary", "weight": 30}]}]}}))];
        let parts = |seen: &Seen| -> Vec<_> {
            let service = services(seen).remove(0);
            let parts = super::super::share::shares(&service.route, &service.versions);
            parts.into_iter().map(|s| (s.hash, s.fraction, s.served)).collect()
        };
        assert_eq!(parts(&seen), [("new".to_owned(), 0.3, true), ("old".to_owned(), 0.7, true)]);
        seen.pods.retain(|pod| pod.name_any() != "c");
        assert_eq!(parts(&seen), [("new".to_owned(), 0.3, false), ("old".to_owned(), 0.7, true)]);
    }

    #[test]
    fn blue_green_goes_by_the_active_service_and_a_plain_canary_by_pods() {
        let blue_green = json!({"blueGreen": {"activeService": "web", "previewService": "web-canary"}});
        assert_eq!(route(blue_green), Route::Split(vec![("old".into(), 1.0)]));
        assert_eq!(route(json!({"canary": {}})), Route::Pods);
        let unready = json!({"blueGreen": {"activeService": "missing"}});
        assert_eq!(route(unready), Route::Pods);
    }

    #[test]
    fn workloads_without_users_are_left_out() {
        for (rps, replicas) in [("0", 2), ("-1", 2), ("many", 2), ("inf", 2), ("40", 0)] {
            let rollout = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "r",
                "annotations": {RPS: rps}}, "spec": {"replicas": replicas}});
            let seen = Seen { rollouts: vec![object(rollout)], ..Seen::default() };
            assert_eq!(services(&seen), []);
        }
    }
}
