//! Deployments and the Services in front of them. A Service goes by labels: where it selects the pods of a Deployment
//! and of another one that stands beside it, each ready pod gets its part.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use super::{
    share::{Route, Version},
    world::{Objects, Owned, Service, is_ready, pod_state, users_of, version},
};

const HASH: &str = "pod-template-hash";

/// Every Deployment that has users. One that another Deployment owns has none of its own: its pods stand beside
/// its owner's.
pub(super) fn services(
    deployments: &Objects,
    services: &Objects,
    sets: &Owned,
    pods: &Owned,
) -> Vec<Service> {
    let mut beside: HashMap<&str, Vec<String>> = HashMap::new();
    for deployment in deployments {
        if let (Some(owner), Some(uid)) = (owner(deployment), deployment.uid()) {
            beside.entry(owner).or_default().push(uid);
        }
    }
    let mut fronts: HashMap<String, Vec<&DynamicObject>> = HashMap::new();
    for service in services {
        fronts.entry(service.namespace().unwrap_or_default()).or_default().push(service);
    }
    let mut found = Vec::new();
    for deployment in deployments.iter().filter(|d| owner(d).is_none()) {
        let (Some(mut users), Some(uid)) = (users_of(deployment), deployment.uid()) else {
            continue;
        };
        let front = in_front(deployment, fronts.get(&users.namespace).map_or(&[], Vec::as_slice));
        let mut versions: BTreeMap<String, Version> = BTreeMap::new();
        let others = beside.get(uid.as_str()).into_iter().flatten();
        for set in [&uid].into_iter().chain(others).filter_map(|uid| sets.get(uid)).flatten() {
            let Some(hash) = set.labels().get(HASH) else { continue };
            let all = set.uid().and_then(|uid| pods.get(&uid)).map(Vec::as_slice).unwrap_or_default();
            users.pods.extend(all.iter().filter_map(|pod| pod_state(pod)));
            let meant = |pod: &&Arc<DynamicObject>| front.is_none_or(|service| selects(service, pod));
            let ready = all.iter().filter(|pod| is_ready(pod)).filter(meant).count();
            versions.insert(hash.clone(), version(hash, set, u32::try_from(ready).unwrap_or(u32::MAX)));
        }
        users.versions = versions.into_values().collect();
        users.route = if front.is_some() { Route::Service } else { Route::Pods };
        found.push(users);
    }
    found
}

/// UID of the Deployment that owns it.
fn owner(deployment: &DynamicObject) -> Option<&str> {
    let owners = deployment.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|o| o.kind == "Deployment").map(|o| o.uid.as_str())
}

/// The Service that its users call: the one of its name, else the first that selects its pods, whichever of their
/// revisions.
fn in_front<'a>(deployment: &DynamicObject, services: &[&'a DynamicObject]) -> Option<&'a DynamicObject> {
    let labels = &deployment.data["spec"]["template"]["metadata"]["labels"];
    let fits = |service: &DynamicObject| {
        selector(service).is_some_and(|selector| {
            selector.iter().all(|(key, value)| key == HASH || labels[key.as_str()] == *value)
        })
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

fn selects(service: &DynamicObject, pod: &DynamicObject) -> bool {
    let labels = pod.labels();
    let has = |(key, value): (&String, &Value)| labels.get(key).map(String::as_str) == value.as_str();
    selector(service).is_some_and(|selector| selector.iter().all(has))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{
        share::shares,
        world::{self, Seen},
    };
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
