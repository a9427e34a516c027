//! The Gateway API: what an HTTPRoute sends where, and what it copies.
//!
//! Weights are as the API has them: a backend's part of the sum, 1 where none is given. Unlike ingress-nginx, a gateway does not
//! fall back: what a weight gives to a Service without ready pods, nobody answers. A mirror's copies reach ready pods only and
//! are no part of what users meet.

use std::{collections::BTreeMap, sync::Arc};

use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use super::{
    behind::selects,
    share::{Route, Side},
    world::{Objects, is_ready},
};

/// Labels by which a Service selects one revision.
const HASHES: [&str; 2] = ["rollouts-pod-template-hash", "pod-template-hash"];

/// The pods of each revision, by its hash.
pub(super) type Revisions<'a> = [(&'a str, &'a Objects)];

/// The rule by which the users of a Service come.
pub(super) struct Rule<'a> {
    namespace: String,
    rule: &'a Value,
}

impl<'a> Rule<'a> {
    /// The first for those who send nothing special, by the names of the routes.
    pub(super) fn to(service: &str, namespace: &str, routes: &'a Objects) -> Option<Self> {
        let mut here: Vec<_> =
            routes.iter().filter(|r| r.namespace().as_deref() == Some(namespace)).collect();
        here.sort_by_key(|route| route.name_any());
        let rules = here.into_iter().flat_map(|route| list(&route.data["spec"]["rules"]));
        let rule = rules.filter(|rule| is_for_all(rule)).find(|rule| {
            list(&rule["backendRefs"]).iter().any(|to| leads_to(to, namespace) == Some(service))
        })?;
        Some(Self { namespace: namespace.to_owned(), rule })
    }

    /// Where it sends them.
    pub(super) fn route(&self, services: &Objects, revisions: &Revisions<'_>) -> Route {
        let backends = list(&self.rule["backendRefs"]);
        let weight = |to: &Value| to["weight"].as_f64().unwrap_or(1.0).max(0.0);
        let total: f64 = backends.iter().map(weight).sum();
        if total <= 0.0 {
            return Route::Backends(vec![Side { weight: 1.0, ready: BTreeMap::new(), meant: None }]);
        }
        let side = |to: &Value| {
            let service = leads_to(to, &self.namespace).and_then(|name| self.service(name, services));
            let selector = service.map(|s| &s.data["spec"]["selector"]);
            Side {
                weight: weight(to) / total,
                ready: service.map(|s| ready(s, revisions)).unwrap_or_default(),
                meant: selector
                    .and_then(|of| HASHES.iter().find_map(|key| of[*key].as_str()))
                    .map(ToOwned::to_owned),
            }
        };
        Route::Backends(backends.iter().map(side).filter(|side| side.weight > 0.0).collect())
    }

    /// What it copies: how many copies of each request (a part of one) reach each revision.
    pub(super) fn copies(&self, services: &Objects, revisions: &Revisions<'_>) -> BTreeMap<String, f64> {
        let mut copies = BTreeMap::new();
        for filter in list(&self.rule["filters"]).iter().filter(|f| f["type"] == "RequestMirror") {
            let mirror = &filter["requestMirror"];
            let Some(service) = leads_to(&mirror["backendRef"], &self.namespace)
                .and_then(|name| self.service(name, services))
            else {
                continue;
            };
            let ready = ready(service, revisions);
            let all = f64::from(ready.values().sum::<u32>());
            for (hash, pods) in ready {
                *copies.entry(hash).or_default() += part(mirror) * (f64::from(pods) / all);
            }
        }
        copies
    }

    fn service<'s>(&self, name: &str, services: &'s Objects) -> Option<&'s Arc<DynamicObject>> {
        services.iter().find(|s| s.name_any() == name && s.namespace().as_deref() == Some(&self.namespace))
    }
}

/// Percent or fraction of the requests that are copied; all where neither is given.
fn part(mirror: &Value) -> f64 {
    let fraction = &mirror["fraction"];
    let part = match (mirror["percent"].as_f64(), fraction["numerator"].as_f64()) {
        (Some(percent), _) => percent / 100.0,
        (None, Some(numerator)) => numerator / fraction["denominator"].as_f64().unwrap_or(100.0),
        (None, None) => 1.0,
    };
    if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
}

/// Ready pods of each revision that a Service selects; only revisions that have some.
fn ready(service: &DynamicObject, revisions: &Revisions<'_>) -> BTreeMap<String, u32> {
    let count = |pods: &Objects| pods.iter().filter(|pod| is_ready(pod) && selects(service, pod)).count();
    let counted =
        revisions.iter().map(|(hash, pods)| (*hash, u32::try_from(count(pods)).unwrap_or(u32::MAX)));
    counted.filter(|(_, ready)| *ready > 0).map(|(hash, ready)| (hash.to_owned(), ready)).collect()
}

/// The Service of the route's own namespace that a reference means.
fn leads_to<'a>(to: &'a Value, namespace: &str) -> Option<&'a str> {
    let of_core = to["group"].as_str().unwrap_or_default().is_empty();
    let is_service = to["kind"].as_str().is_none_or(|kind| kind == "Service");
    let is_here = to["namespace"].as_str().is_none_or(|other| other == namespace);
    to["name"].as_str().filter(|_| of_core && is_service && is_here)
}

/// Whether users come by it who send nothing special.
fn is_for_all(rule: &Value) -> bool {
    let matches = list(&rule["matches"]);
    let special = |m: &Value| !list(&m["headers"]).is_empty() || !list(&m["queryParams"]).is_empty();
    matches.is_empty() || matches.iter().any(|m| !special(m))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::traffic::share::shares;

    fn object(value: Value) -> Arc<DynamicObject> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn service(name: &str, side: &str) -> Arc<DynamicObject> {
        object(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"side": side}}}))
    }

    fn pods(side: &str, ready: usize) -> Vec<Arc<DynamicObject>> {
        let pod = || {
            object(json!({"metadata": {"name": side, "namespace": "shop", "labels": {"side": side}},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
        };
        (0..ready).map(|_| pod()).collect()
    }

    fn route(rules: Value) -> Arc<DynamicObject> {
        object(json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"rules": rules}}))
    }

    type Met = (Vec<(String, f64, bool)>, BTreeMap<String, f64>);

    /// What users meet, and the copies, with so many ready pods of the old and the new revision.
    fn met(rules: Value, old: usize, new: usize) -> Met {
        let routes = [route(rules)];
        let services = [service("web", "old"), service("web-canary", "new")];
        let (old, new) = (pods("old", old), pods("new", new));
        let revisions = [("new", &new[..]), ("old", &old[..])];
        let rule = Rule::to("web", "shop", &routes).unwrap();
        let parts = shares(&rule.route(&services, &revisions), &[]);
        let parts = parts.into_iter().map(|s| (s.hash, s.fraction, s.served)).collect();
        (parts, rule.copies(&services, &revisions))
    }

    fn weighted(stable: Value, canary: Value) -> Value {
        json!([{"backendRefs": [{"name": "web", "port": 80, "weight": stable},
            {"name": "web-canary", "port": 80, "weight": canary}]}])
    }

    #[test]
    fn a_backend_gets_its_part_of_the_sum_of_the_weights() {
        let parts = |stable, canary| met(weighted(stable, canary), 3, 1).0;
        let split = |new: f64| vec![("new".to_owned(), new, true), ("old".to_owned(), 1.0 - new, true)];
        assert_eq!(parts(json!(95), json!(5)), split(0.05));
        assert_eq!(parts(json!(3), json!(1)), split(0.25), "the sum is the denominator");
        assert_eq!(parts(json!(null), json!(null)), split(0.5), "one each where none is given");
        assert_eq!(parts(json!(100), json!(0)), vec![("old".to_owned(), 1.0, true)]);
    }

    #[test]
    fn nobody_answers_what_a_weight_gives_to_a_service_without_pods() {
        let lost = |parts: Vec<(String, f64, bool)>| -> f64 {
            parts.iter().filter(|(_, _, served)| !served).map(|(_, part, _)| part).sum()
        };
        assert_eq!(lost(met(weighted(json!(80), json!(20)), 3, 0).0), 0.2);
        assert_eq!(lost(met(weighted(json!(80), json!(20)), 0, 1).0), 0.8);
        assert_eq!(lost(met(weighted(json!(100), json!(0)), 3, 0).0), 0.0);
        assert_eq!(lost(met(weighted(json!(0), json!(0)), 3, 1).0), 1.0, "no backend has a weight");
        let gone = json!([{"backendRefs": [{"name": "web", "weight": 1}, {"name": "gone", "weight": 1}]}]);
        assert_eq!(lost(met(gone, 3, 1).0), 0.5);
    }

    #[test]
    fn a_header_route_has_no_users_and_another_namespace_is_none() {
        let header = json!({"matches": [{"headers": [{"name": "x", "value": "1"}]}],
            "backendRefs": [{"name": "web-canary"}, {"name": "web", "weight": 0}]});
        let all = json!({"backendRefs": [{"name": "web"}]});
        assert_eq!(met(json!([header, all]), 1, 1).0, vec![("old".to_owned(), 1.0, true)]);
        let routes = [route(json!([header]))];
        assert!(Rule::to("web", "shop", &routes).is_none());
        let routes = [route(json!([all]))];
        assert!(Rule::to("web", "elsewhere", &routes).is_none());
    }

    #[test]
    fn a_mirror_sends_copies_that_no_user_meets() {
        let mirror = |settings: Value| {
            let mut mirror = json!({"backendRef": {"name": "web-canary", "port": 80}});
            mirror.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
            json!([{"backendRefs": [{"name": "web"}],
                "filters": [{"type": "RequestMirror", "requestMirror": mirror}]}])
        };
        for (settings, copies) in [
            (json!({}), 1.0),
            (json!({"percent": 20}), 0.2),
            (json!({"fraction": {"numerator": 1}}), 0.01),
            (json!({"fraction": {"numerator": 1, "denominator": 4}}), 0.25),
        ] {
            let (parts, copied) = met(mirror(settings.clone()), 3, 2);
            assert_eq!(parts, vec![("old".to_owned(), 1.0, true)], "{settings}");
            assert_eq!(copied, BTreeMap::from([("new".to_owned(), copies)]), "{settings}");
        }
        let (parts, copied) = met(mirror(json!({})), 3, 0);
        assert_eq!((parts.len(), copied.len()), (1, 0), "copies for nobody are lost, and no user notices");
    }
}
