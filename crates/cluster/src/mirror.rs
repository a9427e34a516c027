//! Copies of a Deployment's requests to a second one beside it, by a `RequestMirror` filter in the user's HTTPRoute.
//!
//! The filter is added to the one rule that leads to the Deployment, as long as that rule is as it was read and the route carries
//! the mark under which it was decided on; and it is taken out again as it stands there, so that the rule is what it was. The
//! marks, and when they go, are those of weights in a route ([`crate::httproute::weights`]): a way back leaves a new one, the end
//! none, and a filter that is still on its way is not taken any more. The Service that the copies go to is ours, owned by the
//! second Deployment, there before the filter and gone after it.
//!
//! Source: `HTTPRouteFilter` and `HTTPRequestMirrorFilter` of the Gateway API. Answers to copies are thrown away by the
//! Gateway. `percent` came later than the filter: one without it copies every request.

use crate::cache::Entry;
use crate::driver::{Request, Requests, Seen};
use crate::httproute::{self, Lead, Route, Rule, weights};
use crate::patch::Patch;
use crate::send::{Answer, Outcome};
use crate::{Cluster, splitter};
use http::Method;
use model::AttemptId;
use model::workload::{Key, Mirror, Split, Twin, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

const KIND: &str = "RequestMirror";
/// What a GatewayClass calls the filter, and its `percent`, among its features.
const FEATURE: &str = "HTTPRouteRequestMirror";
const PERCENTAGE: &str = "HTTPRouteRequestPercentageMirror";

fn mirrors(filter: &Value) -> bool {
    filter["type"] == KIND
}

/// The filter of ours in a rule: its number, and how many of a hundred requests it copies.
fn ours(rule: &Rule, beside: &str) -> Option<(usize, u8)> {
    let to = |filter: &Value| mirrors(filter) && filter["requestMirror"]["backendRef"]["name"] == beside;
    let at = rule.filters.iter().position(to)?;
    let mirror = &rule.filters[at]["requestMirror"];
    let fraction = |part: &str| mirror["fraction"][part].as_u64();
    let percent = match (mirror["percent"].as_u64(), fraction("numerator")) {
        (Some(percent), _) => percent,
        (None, Some(of)) => (of * 100).div_ceil(fraction("denominator").unwrap_or(100).max(1)),
        (None, None) => 100,
    };
    Some((at, u8::try_from(percent.min(100)).unwrap_or(100)))
}

/// Some rule of it copies requests to the Service of this second Deployment.
pub(crate) fn copies_to(route: &Route, beside: &str) -> bool {
    route.rules.iter().any(|rule| ours(rule, beside).is_some())
}

/// Writes into a Deployment's workload in which HTTPRoute its requests can be copied, and how many are; its `fronts` are known.
pub(crate) fn stand_before(w: &mut Workload, routes: &[Arc<Route>]) {
    let Ok(beside) = Twin::name_for(&w.key.name) else { return };
    let all = httproute::leads(w, routes);
    let noted = w.twin.as_ref().filter(|twin| twin.mirrored).and_then(|twin| twin.split.as_ref());
    // The one that copies is the one that is meant, wherever it leads by now.
    let Some(route) =
        meant(&w.key, routes, &beside, noted.map(Split::name)).or_else(|| all.first().map(|lead| lead.route))
    else {
        return;
    };
    let copied = route.rules.iter().filter_map(|rule| ours(rule, &beside)).map(|(_, percent)| percent);
    w.mirror = Some(Box::new(Mirror {
        route: route.name.clone(),
        unfit: unfit(w, &all, &beside),
        percent: copied.max().unwrap_or(0),
        refused: route.unresolved.clone(),
    }));
}

/// The route that copies, or was to copy, requests to this second Deployment.
fn meant<'a>(
    key: &Key,
    routes: &'a [Arc<Route>],
    beside: &str,
    noted: Option<&str>,
) -> Option<&'a Arc<Route>> {
    let mut here = routes.iter().filter(|route| route.namespace == key.namespace);
    let copies = here.clone().find(|route| copies_to(route, beside));
    copies.or_else(|| here.find(|route| noted == Some(&route.name)))
}

/// What keeps requests from being copied in the rule that leads to it, in words.
fn unfit(w: &Workload, all: &[Lead<'_>], beside: &str) -> Option<String> {
    let workload = &w.key.name;
    let Some(lead) = all.first() else {
        return Some(format!("The HTTPRoute leads to {workload} no more."));
    };
    let (route, rule) = (&lead.route.name, lead.rule());
    let several = "requests are copied in one rule, not in several";
    if let Some(why) = httproute::not_the_one(w, all, *lead, several) {
        return Some(why);
    }
    if let Some(why) = lead.route.unresolved.as_ref().filter(|_| !copies_to(lead.route, beside)) {
        return Some(format!(
            "A Gateway does not carry all of HTTPRoute {route} out: {why}. Put that right first."
        ));
    }
    if rule.backends.iter().enumerate().any(|(at, _)| at != lead.backend) {
        return Some(format!(
            "HTTPRoute {route} sends users of that rule to something else beside {workload}: their requests would be copied as \
             well."
        ));
    }
    let others = rule.filters.iter().chain(lead.backend().object["filters"].as_array().into_iter().flatten());
    let mut others = others.filter(|f| mirrors(f)).map(|f| &f["requestMirror"]["backendRef"]["name"]);
    let other = others.find(|to| *to != beside)?;
    Some(format!(
        "HTTPRoute {route} copies its requests already, to {}. Take that {KIND} filter out first.",
        other.as_str().unwrap_or("somewhere else")
    ))
}

/// So many of a hundred requests are copied, as long as the route is as it was when that was `decided`; first our Service is
/// there.
pub(crate) fn copy(
    seen: &Seen<'_>,
    attempt: &AttemptId,
    decided: Option<&str>,
    from: u8,
    to: u8,
) -> Requests {
    if to == 0 {
        return Ok(weights::hand_back(seen, attempt));
    }
    let twin = seen.twin.ok_or("The second Deployment is gone.")?;
    if decided.is_none() {
        return Err(
            "The HTTPRoute carries Tidegate's mark no more: somebody took it away. Abort or roll back."
                .into(),
        );
    }
    let owner = (twin.workload.key.name.as_str(), twin.workload.uid.as_str());
    Ok(vec![service(seen, owner, attempt)?, filter(seen, attempt, decided, from, to)?])
}

/// The Service that copies go to.
///
/// # Errors
/// In words, when there is nothing to make it like.
pub(crate) fn service(seen: &Seen<'_>, owner: (&str, &str), attempt: &AttemptId) -> Result<Request, String> {
    let all = httproute::leads(seen.workload, seen.routes);
    let like = all.first().and_then(|lead| lead.backend().service.as_ref());
    let (_, like) = like.ok_or("The HTTPRoute in front of it was not read.")?;
    let like = seen.fronts.iter().find(|service| service.name == *like);
    let like = like.ok_or("The Service in front of it was not read.")?;
    Ok(splitter::behind(seen.workload, like, owner, attempt))
}

/// The filter of ours in the one rule that leads to it.
///
/// # Errors
/// In words, when it has no place there.
pub(crate) fn filter(
    seen: &Seen<'_>,
    attempt: &AttemptId,
    decided: Option<&str>,
    from: u8,
    to: u8,
) -> Result<Request, String> {
    let w = seen.workload;
    w.copies()?;
    let (beside, all) = (Twin::name_for(&w.key.name)?, httproute::leads(w, seen.routes));
    let lead = all.first().ok_or("The HTTPRoute in front of it was not read.")?;
    let (at, rule) = (format!("/spec/rules/{}", lead.rule), lead.rule());
    let there = ours(rule, &beside);
    if there.map_or(0, |(_, percent)| percent) != from {
        return Err(format!("HTTPRoute {} no longer copies {from} %. Decide anew.", lead.route.name));
    }
    let patch = weights::under(w, lead.route, decided)
        .test(&format!("{at}/backendRefs/{}", lead.backend), lead.backend().object.clone())
        .test(&format!("{at}/filters"), if rule.filtered { json!(rule.filters) } else { Value::Null });
    let mut reference = json!({"name": beside});
    if let Some(port) = lead.backend().object.get("port") {
        reference["port"] = port.clone();
    }
    let mut filter = json!({"type": KIND, "requestMirror": {"backendRef": reference}});
    if to < 100 {
        filter["requestMirror"]["percent"] = to.into();
    }
    let patch = match there {
        Some((number, _)) => patch.replace(&format!("{at}/filters/{number}"), filter),
        None if rule.filtered => patch.add(&format!("{at}/filters/-"), filter),
        None => patch.add(&format!("{at}/filters"), json!([filter])),
    };
    Ok(weights::request(w, lead.route, weights::mark_as(w, lead.route, patch, attempt), true))
}

/// The first mark, before the second Deployment is made: copies test it.
///
/// # Errors
/// In words, when nothing can be copied.
pub(crate) fn marked(seen: &Seen<'_>, attempt: &AttemptId) -> Result<Request, String> {
    let w = seen.workload;
    let name = &w.copies()?.route;
    let here = |route: &&Arc<Route>| route.namespace == w.key.namespace && route.name == *name;
    let route = seen.routes.iter().find(here).ok_or("The HTTPRoute in front of it was not read.")?;
    let patch = weights::under(w, route, route.attempt(&w.key.name));
    Ok(weights::request(w, route, weights::mark_as(w, route, patch, attempt), true))
}

/// Our filters go, whichever rule they are in by now; nobody else's filter is taken out.
pub(crate) fn take_out(mut patch: Patch, route: &Route, beside: &str) -> Patch {
    for (number, rule) in route.rules.iter().enumerate() {
        let Some((at, _)) = ours(rule, beside) else { continue };
        let filters = format!("/spec/rules/{number}/filters");
        patch = patch.test(&filters, json!(rule.filters));
        patch = match rule.filters.len() {
            1 => patch.remove(&filters),
            _ => patch.remove(&format!("{filters}/{at}")),
        };
    }
    patch
}

impl Cluster {
    /// Why requests to this Deployment are not to be copied, as far as its Gateways and the API server tell: a GatewayClass may
    /// lack the feature, the kind itself may be too old to hold a percentage, Tidegate may lack the right.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn may_copy(&self, entry: &Entry, percent: u8) -> Result<(), String> {
        self.can_copy(&entry.workload.key, percent).await?;
        let attempt = AttemptId("rehearsal".into());
        let (mark, now) = (entry.workload.weight_mark(), entry.workload.copied());
        let seen = entry.seen();
        for request in [filter(&seen, &attempt, mark, now, percent), marked(&seen, &attempt)] {
            match self.sender.dry_run(request?).await {
                Ok(Outcome::Applied { .. }) => {}
                Ok(Outcome::Refused { why } | Outcome::Unsure { why }) => return Err(why),
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }

    /// Why the Gateways of this Deployment's route do not copy so many percent of its requests, where a GatewayClass names
    /// its features.
    ///
    /// # Errors
    /// In words.
    pub async fn can_copy(&self, key: &Key, percent: u8) -> Result<(), String> {
        let entry = self.entry(key).await.map_err(|e| e.to_string())?;
        let route = &entry.workload.copies()?.route;
        let uri = format!("{}/{route}", httproute::list(&key.namespace));
        let object =
            self.sender.read(&uri, "read the HTTPRoute", Some(key)).await.map_err(|e| e.to_string())?;
        for parent in object["spec"]["parentRefs"].as_array().into_iter().flatten() {
            let Some((class, features)) = self.features(parent, &key.namespace).await else { continue };
            let has = |feature: &str| features.iter().any(|name| name == feature);
            let (does, feature, remedy) = match (has(FEATURE), has(PERCENTAGE)) {
                (false, _) => ("copies no requests", FEATURE, "Write `canary`."),
                (true, false) if percent < 100 => {
                    ("copies all requests or none", PERCENTAGE, "Write `percent: 100`, or `canary`.")
                }
                (true, _) => continue,
            };
            return Err(format!(
                "The GatewayClass {class} of HTTPRoute {route} {does}: {feature} is not among its features. {remedy}"
            ));
        }
        Ok(())
    }

    /// The class of a route's Gateway, and the features it names; `None` where it tells none, or they may not be read.
    async fn features(&self, parent: &Value, namespace: &str) -> Option<(String, Vec<String>)> {
        const GROUP: &str = "/apis/gateway.networking.k8s.io/v1";
        let get = async |uri: String| match self.sender.call(Method::GET, &uri, None).await {
            Answer::Ok(object) => Some(object),
            Answer::No { .. } | Answer::Lost(_) | Answer::Unsent(_) => None,
        };
        let namespace = parent["namespace"].as_str().unwrap_or(namespace);
        let gateway =
            get(format!("{GROUP}/namespaces/{namespace}/gateways/{}", parent["name"].as_str()?)).await?;
        let class = gateway["spec"]["gatewayClassName"].as_str()?.to_owned();
        let object = get(format!("{GROUP}/gatewayclasses/{class}")).await?;
        let features = object["status"]["supportedFeatures"].as_array()?;
        // In versions before 1.1 of the API each was a string.
        let name = |f: &Value| f["name"].as_str().or_else(|| f.as_str()).map(str::to_owned);
        let features: Vec<_> = features.iter().filter_map(name).collect();
        (!features.is_empty()).then_some((class, features))
    }
}

#[cfg(test)]
mod tests;
