//! Which router splits a canary Rollout's users, in words, and in which of its objects the weights stand.
//!
//! Source: `spec.strategy.canary.trafficRouting` of Argo Rollouts (v1alpha1).

use serde_json::Value;
use std::collections::BTreeMap;

/// What the controller counts a router's weights to, unless `maxTrafficWeight` says otherwise.
const USUAL_TOTAL: i64 = 100;

/// `nginx (Ingress web)`, `Gateway API (HTTPRoute web)`; several at once are all of them. `None` where no router is named:
/// then pods make the weight.
pub(super) fn describe(routing: &BTreeMap<String, Value>) -> Option<String> {
    let mut all = Vec::new();
    for (key, set) in routing.iter().filter(|(_, set)| set.is_object()) {
        match key.as_str() {
            "nginx" => all.push(within("nginx", "Ingress", names(set, "stableIngress", "stableIngresses"))),
            "alb" => all.push(within("ALB", "Ingress", names(set, "ingress", "ingresses"))),
            "istio" => {
                let one = [&set["virtualService"]].into_iter();
                let more = set["virtualServices"].as_array().into_iter().flatten();
                all.push(within(
                    "Istio",
                    "VirtualService",
                    one.chain(more).filter_map(|v| v["name"].as_str()),
                ));
            }
            "smi" => all.push("SMI".to_owned()),
            "ambassador" => all.push("Ambassador".to_owned()),
            "apisix" => all.push("APISIX".to_owned()),
            "traefik" => all.push("Traefik".to_owned()),
            "appMesh" => all.push("App Mesh".to_owned()),
            "plugins" => {
                all.extend(set.as_object().into_iter().flatten().map(|(name, set)| plugin(name, set)))
            }
            _ => {}
        }
    }
    (!all.is_empty()).then(|| all.join(" and "))
}

/// The official plugin for the Gateway API, else a plugin by its name.
fn plugin(name: &str, set: &Value) -> String {
    if name != "argoproj-labs/gatewayAPI" {
        return format!("plugin {name}");
    }
    let one = set["httpRoute"].as_str();
    let more = set["httpRoutes"].as_array().into_iter().flatten();
    within("Gateway API", "HTTPRoute", one.into_iter().chain(more.filter_map(|r| r["name"].as_str())))
}

fn names<'a>(set: &'a Value, one: &str, more: &str) -> impl Iterator<Item = &'a str> {
    let more = set[more].as_array().into_iter().flatten();
    set[one].as_str().into_iter().chain(more.filter_map(Value::as_str))
}

fn within<'a>(router: &str, kind: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    if names.is_empty() { router.to_owned() } else { format!("{router} ({kind} {})", names.join(", ")) }
}

/// Whether it can send requests by a header: the controller takes such a step for these only.
pub(super) fn routes_headers(routing: &BTreeMap<String, Value>) -> bool {
    ["istio", "alb", "apisix", "plugins"].iter().any(|key| routing.get(*key).is_some_and(Value::is_object))
}

/// The first route that the controller may add to a router.
pub(super) fn managed(routing: &BTreeMap<String, Value>) -> Option<String> {
    routing.get("managedRoutes")?[0]["name"].as_str().map(str::to_owned)
}

/// What its weights are counted to, where that is not 100.
pub(super) fn total(routing: &BTreeMap<String, Value>) -> Option<i64> {
    routing
        .get("maxTrafficWeight")
        .and_then(Value::as_i64)
        .filter(|total| *total > 0 && *total != USUAL_TOTAL)
}

/// A weight as a percentage: rounded up for the canary, so that it never looks like less than it is.
pub(super) fn percent(weight: i64, total: Option<i64>) -> u8 {
    let total = total.unwrap_or(USUAL_TOTAL);
    let percent = weight.clamp(0, total).saturating_mul(100).saturating_add(total - 1) / total;
    u8::try_from(percent).unwrap_or(100)
}
