//! Deployments and the Services in front of them. A Service goes by labels: where it selects the pods of a Deployment
//! and of another one that stands beside it, each ready pod gets its part. Where that one has a canary Ingress, it gets what
//! the Ingress says; where an HTTPRoute leads to the Service, each of its backends gets its weight.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use super::{
    gateway::Rule,
    share::{Route, Version},
    world::{Owned, Seen, Service, is_ready, pod_state, users_of, version},
};

const HASH: &str = "pod-template-hash";

/// Every Deployment that has users. One that another Deployment owns has none of its own: its pods stand beside
/// its owner's.
pub(super) fn services(seen: &Seen, sets: &Owned, pods: &Owned) -> Vec<Service> {
    let (deployments, services) = (&seen.deployments, &seen.services);
    let mut beside: HashMap<&str, Vec<&DynamicObject>> = HashMap::new();
    for deployment in deployments {
        if let Some(owner) = owner(deployment) {
            beside.entry(owner).or_default().push(deployment);
        }
    }
    let mut fronts: HashMap<String, Vec<&DynamicObject>> = HashMap::new();
    // One that belongs to a Deployment beside another is nobody's way in.
    for service in services.iter().filter(|s| owner(s).is_none()) {
        fronts.entry(service.namespace().unwrap_or_default()).or_default().push(service);
    }
    let mut found = Vec::new();
    for deployment in deployments.iter().filter(|d| owner(d).is_none()) {
        let (Some(mut users), Some(uid)) = (users_of(deployment), deployment.uid()) else {
            continue;
        };
        let others = beside.get(uid.as_str()).map_or(&[][..], Vec::as_slice);
        let here = fronts.get(&users.namespace).map_or(&[][..], Vec::as_slice);
        let front = in_front(deployment, others, here);
        let mut versions: BTreeMap<String, Version> = BTreeMap::new();
        let canary = front.and_then(|front| Canary::of(front, others, seen));
        let others = others.iter().filter_map(|d| d.uid());
        let mut route = if front.is_some() { Route::Service } else { Route::Pods };
        let rule = front.and_then(|front| Rule::to(&front.name_any(), &users.namespace, &seen.routes));
        let mut revisions = Vec::new();
        for set in [uid].into_iter().chain(others).filter_map(|uid| sets.get(&uid)).flatten() {
            let Some(hash) = set.labels().get(HASH) else { continue };
            let all = set.uid().and_then(|uid| pods.get(&uid)).map(Vec::as_slice).unwrap_or_default();
            users.pods.extend(all.iter().filter_map(|pod| pod_state(pod)));
            // One that the canary Ingress leads to is reached by its Service.
            let sent = canary.as_ref().filter(|canary| all.iter().any(|pod| selects(canary.service, pod)));
            let service = sent.map(|canary| canary.service).or(front);
            // An HTTPRoute's backends count their own.
            let meant = |pod: &&Arc<DynamicObject>| {
                rule.is_some() || service.is_none_or(|service| selects(service, pod))
            };
            let ready = all.iter().filter(|pod| is_ready(pod)).filter(meant).count();
            if let Some(canary) = sent {
                route = Route::Weighed(hash.clone(), canary.weight);
            }
            versions.insert(hash.clone(), version(hash, set, u32::try_from(ready).unwrap_or(u32::MAX)));
            revisions.push((hash.as_str(), all));
        }
        if let Some(rule) = rule {
            route = rule.route(&seen.services, &revisions);
            users.copies = rule.copies(&seen.services, &revisions);
        }
        users.versions = versions.into_values().collect();
        users.route = route;
        found.push(users);
    }
    found
}

/// What an Ingress sends past the Service of its users.
struct Canary<'a> {
    service: &'a DynamicObject,
    /// A part of one.
    weight: f64,
}

impl<'a> Canary<'a> {
    /// Of one of these Deployments, beside an Ingress of the same host and path that leads to the Service in front: without
    /// that ingress-nginx knows no canary.
    fn of(front: &DynamicObject, beside: &[&DynamicObject], seen: &'a Seen) -> Option<Self> {
        let here = || seen.ingresses.iter().filter(|i| i.namespace() == front.namespace());
        let of_one = |i: &DynamicObject| {
            owner(i).is_some_and(|uid| beside.iter().any(|d| d.metadata.uid.as_deref() == Some(uid)))
        };
        let says = |i: &DynamicObject, key: &str| {
            i.annotations().get(&format!("nginx.ingress.kubernetes.io/{key}")).cloned()
        };
        let is_canary = |i: &DynamicObject| says(i, "canary").as_deref() == Some("true");
        let canary = here().find(|i| of_one(i) && is_canary(i))?;
        let (host, path, to) = leads(canary).next()?;
        let main =
            |i: &DynamicObject| leads(i).any(|(h, p, s)| (h, p) == (host, path) && s == front.name_any());
        here().find(|i| !is_canary(i) && main(i))?;
        let service = |s: &&Arc<DynamicObject>| s.namespace() == front.namespace() && s.name_any() == to;
        let weight: f64 = says(canary, "canary-weight")?.parse().ok()?;
        Some(Self { service: seen.services.iter().find(service)?, weight: (weight / 100.0).clamp(0.0, 1.0) })
    }
}

/// Host, path and Service of each of an Ingress's paths.
fn leads(ingress: &DynamicObject) -> impl Iterator<Item = (&str, &str, &str)> {
    let rules = ingress.data["spec"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    rules.iter().flat_map(|rule| {
        let paths = rule["http"]["paths"].as_array().map(Vec::as_slice).unwrap_or_default();
        paths.iter().map(move |path| {
            let service = &path["backend"]["service"]["name"];
            let or_empty = |value| Value::as_str(value).unwrap_or_default();
            (or_empty(&rule["host"]), or_empty(&path["path"]), or_empty(service))
        })
    })
}

/// UID of the Deployment that owns it.
fn owner(deployment: &DynamicObject) -> Option<&str> {
    let owners = deployment.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|o| o.kind == "Deployment").map(|o| o.uid.as_str())
}

/// The Service that its users call: the one of its name, whatever that selects, else the first that selects its pods,
/// whichever of their revisions, or those of a Deployment beside it.
fn in_front<'a>(
    deployment: &DynamicObject,
    beside: &[&DynamicObject],
    services: &[&'a DynamicObject],
) -> Option<&'a DynamicObject> {
    let selects_of = |service: &DynamicObject, deployment: &DynamicObject| {
        let labels = &deployment.data["spec"]["template"]["metadata"]["labels"];
        selector(service).is_some_and(|selector| {
            selector.iter().all(|(key, value)| key == HASH || labels[key.as_str()] == *value)
        })
    };
    let fits = |service: &DynamicObject| {
        let own = [deployment].into_iter();
        service.name_any() == deployment.name_any() && selector(service).is_some()
            || own.chain(beside.iter().copied()).any(|d| selects_of(service, d))
    };
    services
        .iter()
        .copied()
        .filter(|s| fits(s))
        .min_by_key(|s| (s.name_any() != deployment.name_any(), s.name_any()))
}

fn selector(service: &DynamicObject) -> Option<&serde_json::Map<String, Value>> {
    service.data["spec"]["selector"].as_object().filter(|selector| !selector.is_empty())
}

pub(super) fn selects(service: &DynamicObject, pod: &DynamicObject) -> bool {
    let labels = pod.labels();
    let has = |(key, value): (&String, &Value)| labels.get(key).map(String::as_str) == value.as_str();
    selector(service).is_some_and(|selector| selector.iter().all(has))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{share::shares, world};
    use super::*;

    fn object(value: Value) -> Arc<DynamicObject> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn owner(kind: &str, uid: &str) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": uid, "uid": uid, "controller": true}])
    }

    fn deployment(name: &str, owners: &Value) -> Arc<DynamicObject> {
        object(
            json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": owners},
            "spec": {"replicas": 3, "template": {"metadata": {"labels": {"app": "mailer"}}}}}),
        )
    }

    fn set(name: &str, of: &str) -> Arc<DynamicObject> {
        object(json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {HASH: name},
            "ownerReferences": owner("Deployment", of)}, "spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": format!("a/mailer:{name}")}]}}}}))
    }

    fn pod(name: &str, of: &str) -> Arc<DynamicObject> {
        object(
            json!({"metadata": {"name": name, "namespace": "shop", "ownerReferences": owner("ReplicaSet", of),
            "labels": {"app": "mailer", HASH: of}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        )
    }

    /// Three pods of `old`, one of `new` in a Deployment that the first one owns.
    fn seen(services: &[Value]) -> Seen {
        Seen {
            deployments: vec![
                deployment("mailer", &Value::Null),
                deployment("mailer-beside", &owner("Deployment", "mailer")),
            ],
            replica_sets: vec![set("old", "mailer"), set("new", "mailer-beside")],
            pods: vec![pod("a", "old"), pod("b", "old"), pod("c", "old"), pod("d", "new")],
            services: services
                .iter()
                .map(|selector| {
                    object(json!({"metadata": {"name": "mail", "namespace": "shop"},
                        "spec": {"selector": selector}}))
                })
                .collect(),
            ..Seen::default()
        }
    }

    fn parts(services: &[Value]) -> Vec<(String, f64, bool)> {
        let mut found = world::services(&seen(services));
        assert_eq!(found.len(), 1, "an owned Deployment has no users of its own");
        let service = found.remove(0);
        shares(&service.route, &service.versions)
            .into_iter()
            .map(|s| (s.hash, s.fraction, s.served))
            .collect()
    }

    #[test]
    fn a_service_splits_by_ready_pods_whoever_owns_them() {
        let each = vec![("new".into(), 0.25, true), ("old".into(), 0.75, true)];
        assert_eq!(parts(&[json!({"app": "mailer"})]), each);
        assert_eq!(parts(&[]), each, "users without a Service find the same pods");
    }

    #[test]
    fn a_service_that_was_switched_to_the_one_beside_leads_there_only() {
        let mut seen = seen(&[json!({"app": "mailer-beside"})]);
        let labels = json!({"app": "mailer-beside", HASH: "new"});
        let template = json!({"metadata": {"labels": {"app": "mailer-beside"}}});
        let owners = owner("Deployment", "mailer");
        seen.deployments[1] = object(json!({"metadata": {"name": "mailer-beside", "namespace": "shop",
            "uid": "mailer-beside", "ownerReferences": owners}, "spec": {"template": template}}));
        seen.pods[3] = object(json!({"metadata": {"name": "d", "namespace": "shop", "labels": labels,
            "ownerReferences": owner("ReplicaSet", "new")},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        let all: Vec<_> = world::services(&seen).remove(0).versions.iter().map(|v| v.ready).collect();
        assert_eq!(all, [1, 0], "of new and old");
    }

    #[test]
    fn a_canary_ingress_sends_its_weight_to_the_one_beside() {
        let mut seen = seen(&[json!({"app": "mailer"})]);
        seen.pods[3] = object(json!({"metadata": {"name": "d", "namespace": "shop",
            "labels": {"app": "mailer-beside", HASH: "new"}, "ownerReferences": owner("ReplicaSet", "new")},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        let owners = owner("Deployment", "mailer-beside");
        seen.services.push(object(
            json!({"metadata": {"name": "canary", "namespace": "shop", "ownerReferences": owners},
            "spec": {"selector": {"app": "mailer-beside"}}}),
        ));
        let ingress = |name: &str, annotations: Value, owners: &Value| {
            object(json!({"metadata": {"name": name, "namespace": "shop", "annotations": annotations,
                "ownerReferences": owners}, "spec": {"rules": [{"http": {"paths": [{"path": "/",
                "backend": {"service": {"name": name}}}]}}]}}))
        };
        let weight = json!({"nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": "5"});
        seen.ingresses = vec![ingress("canary", weight, &owners)];
        let found = world::services(&seen).remove(0);
        assert_eq!(found.route, Route::Service, "no canary without an Ingress to be one of");
        seen.ingresses.push(ingress("mail", json!({}), &Value::Null));
        let found = world::services(&seen).remove(0);
        assert_eq!(found.route, Route::Weighed("new".into(), 0.05));
        let parts = shares(&found.route, &found.versions);
        let parts: Vec<_> = parts.into_iter().map(|s| (s.hash, s.fraction, s.served)).collect();
        assert_eq!(parts, [("old".into(), 0.95, true), ("new".into(), 0.05, true)]);
    }

    #[test]
    fn a_selector_that_names_a_revision_leads_there_only() {
        assert_eq!(parts(&[json!({"app": "mailer", HASH: "old"})]), vec![("old".into(), 1.0, true)]);
        assert_eq!(parts(&[json!({"app": "mailer", HASH: "new"})]), vec![("new".into(), 1.0, true)]);
    }

    #[test]
    fn a_selector_that_selects_no_pod_fails_every_user() {
        let found = parts(&[json!({"app": "mailer", HASH: "gone"})]);
        assert_eq!((found.len(), found[0].1, found[0].2), (1, 1.0, false));
    }
}
