//! Weights in a user's own HTTPRoute: a backendRef of ours beside the user's, and how it goes again. Pure.
//!
//! From the first request of a release to the last one the route carries a mark of ours for the Deployment. Whatever is put
//! in or raised tests the mark under which it was decided on, so that it is refused once a way back has left another, or the
//! end none. To take out has its own reading's mark as its only condition: it is read, and sent, until it is taken.
//!
//! backendRefs are found by name when a patch is built, and each patch tests that they are still where they were found. What
//! the user's own backendRef weighed before is noted beside the mark; with the last of ours the route is as it was.

use super::{Backend, Lead, Route, leads, mark, the_one};
use crate::driver::{Request, Requests, Seen, What};
use crate::front::Service;
use crate::patch::{Patch, annotation};
use crate::send::Part;
use crate::splitter::behind;
use crate::{Entry, mirror};
use model::AttemptId;
use model::workload::{Key, Split, Splitter, Twin, Workload};
use serde_json::Value;
use std::sync::Arc;

/// The annotation with what the user's own backendRef weighed; nothing where it had no weight.
fn note(workload: &str) -> String {
    format!("{workload}.tidegate.dev/weight")
}

/// The route that is meant: the one that the second Deployment was made for, that carries our mark, or that leads there.
fn name(w: &Workload, routes: &[Arc<Route>]) -> Option<String> {
    if let Some(Split::HttpRoute(noted)) = w.twin.as_ref().and_then(|twin| twin.split.as_ref()) {
        return Some(noted.clone());
    }
    let marked = routes.iter().find(|r| r.namespace == w.key.namespace && r.attempt(&w.key.name).is_some());
    let leading = || leads(w, routes).first().map(|lead| lead.route);
    marked.or_else(leading).map(|route| route.name.clone())
}

fn meant<'a>(w: &Workload, routes: &'a [Arc<Route>]) -> Option<&'a Route> {
    let name = name(w, routes)?;
    routes.iter().find(|r| r.namespace == w.key.namespace && r.name == name).map(|route| &**route)
}

/// The route that carries the weights is not in what was read.
pub(crate) fn unseen(entry: &Entry) -> bool {
    entry.workload.by_route() && meant(&entry.workload, &entry.routes).is_none()
}

/// Through which route a Deployment's users come, and what it sends past it; `fronts` and twin are known. `there`: a Service of
/// that name is in the namespace.
pub(crate) fn splitter(
    w: &Workload,
    routes: &[Arc<Route>],
    there: impl Fn(&str) -> bool,
) -> Option<Splitter> {
    let name = name(w, routes)?;
    let unfit = match the_one(w, routes) {
        None => Some(format!("HTTPRoute {name} leads to {} no more.", w.key.name)),
        Some(Err(why)) => Some(why),
        Some(Ok(lead)) if lead.route.name != name => {
            Some(format!("HTTPRoute {} leads to {} now, not {name} any more.", lead.route.name, w.key.name))
        }
        Some(Ok(_)) => None,
    };
    let route = meant(w, routes);
    let attempt = route.and_then(|route| route.attempt(&w.key.name)).map(str::to_owned);
    let noted = w.twin.as_ref().is_some_and(|twin| matches!(twin.split, Some(Split::HttpRoute(_))));
    let ours = Twin::name_for(&w.key.name).ok().filter(|_| noted || attempt.is_some());
    let weight = route.zip(ours.as_deref()).and_then(|(route, ours)| weight(route, &w.key.namespace, ours));
    Some(Splitter {
        unfit,
        weight,
        attempt,
        severed: weight.is_some() && ours.is_some_and(|ours| !there(&ours)),
        gitops: route.and_then(|route| route.gitops.clone()),
        by: Split::HttpRoute(name),
    })
}

/// Percent of the requests of a rule that go to this Service, rounded up; the most, where several rules have it.
fn weight(route: &Route, namespace: &str, ours: &str) -> Option<u8> {
    let share = |(rule, _, backend): (usize, usize, &Backend)| {
        let sum: i64 = route.rules[rule].backends.iter().map(|b| b.weight.max(0)).sum();
        let part = backend.weight.max(0) * 100;
        if sum == 0 { 0 } else { u8::try_from((part + sum - 1) / sum).unwrap_or(100) }
    };
    route.backends(namespace, ours).map(share).max()
}

fn place(rule: usize, backend: usize) -> String {
    format!("/spec/rules/{rule}/backendRefs/{backend}")
}

pub(crate) fn request(w: &Workload, route: &Route, patch: Patch, marked: bool) -> Request {
    let key = Key { name: route.name.clone(), ..w.key.clone() };
    Request { key, what: What::Patch(Part::HttpRoute, patch), marked }
}

/// Holds only while the route carries this mark.
pub(crate) fn under(w: &Workload, route: &Route, mark: Option<&str>) -> Patch {
    if !route.annotated {
        // Who writes an annotation tests that there is none.
        return Patch::new();
    }
    Patch::new().test(&annotation(&self::mark(&w.key.name)), mark.map_or(Value::Null, Value::from))
}

pub(crate) fn mark_as(w: &Workload, route: &Route, patch: Patch, attempt: &AttemptId) -> Patch {
    patch.annotate(route.annotated, &[(&mark(&w.key.name), &attempt.0)])
}

/// The first mark, before the second Deployment is made. Nothing where no route carries the weights.
pub(crate) fn marked(seen: &Seen<'_>, attempt: &AttemptId) -> Option<Request> {
    let w = seen.workload;
    let Ok(Split::HttpRoute(_)) = w.weighed().map(|splitter| &splitter.by) else { return None };
    let route = meant(w, seen.routes)?;
    let patch = under(w, route, route.attempt(&w.key.name));
    Some(request(w, route, mark_as(w, route, patch, attempt), true))
}

/// The Service of the second Deployment, and a backendRef that sends nobody there yet; what is there is left as it is.
///
/// # Errors
/// In words, when there is nothing to make them like.
pub(crate) fn made(seen: &Seen<'_>, owner: (&str, &str), attempt: &AttemptId) -> Requests {
    let w = seen.workload;
    w.weighed()?;
    let lead = the_one(w, seen.routes).ok_or("The HTTPRoute in front of it was not read.")??;
    let mut all = vec![behind(w, like(w, lead, seen.fronts)?, owner, attempt)];
    if w.canary_weight().is_none() {
        let mark = lead.route.attempt(&w.key.name).ok_or_else(|| {
            format!(
                "HTTPRoute {} carries Tidegate's mark no more: somebody took it away. Abort or roll back.",
                lead.route.name
            )
        })?;
        let patch = put_in(w, lead, owner.0, under(w, lead.route, Some(mark)));
        all.push(request(w, lead.route, mark_as(w, lead.route, patch, attempt), true));
    }
    Ok(all)
}

/// The Service that it names.
fn like<'a>(w: &Workload, lead: Lead<'_>, services: &'a [Arc<Service>]) -> Result<&'a Service, String> {
    let found = services.iter().find(|s| lead.backend().is(&w.key.namespace, &s.name));
    found.map(|service| &**service).ok_or_else(|| "The Service in front of it was not read.".to_owned())
}

/// A backendRef of ours at 0 like the user's, and what that one weighs noted.
fn put_in(w: &Workload, lead: Lead<'_>, ours: &str, patch: Patch) -> Patch {
    let own = &lead.backend().object;
    let mut backend = own.clone();
    backend["name"] = ours.into();
    backend["weight"] = 0.into();
    let mut patch = patch.test(&place(lead.rule, lead.backend), own.clone());
    patch = patch.add(&format!("/spec/rules/{}/backendRefs/-", lead.rule), backend);
    let note = note(&w.key.name);
    if lead.route.notes.contains_key(&note) {
        // From before somebody took ours out.
        return patch;
    }
    let weight = own["weight"].as_i64().map(|weight| weight.to_string()).unwrap_or_default();
    patch.annotate(lead.route.annotated, &[(&note, &weight)])
}

/// Another weight, as long as the route carries the mark under which that was `decided`.
///
/// # Errors
/// In words, when ours does not stand beside the user's own any more.
pub(crate) fn weigh(
    seen: &Seen<'_>,
    attempt: &AttemptId,
    decided: Option<&str>,
    from: u8,
    to: u8,
) -> Requests {
    let w = seen.workload;
    let ours = Twin::name_for(&w.key.name)?;
    let route = meant(w, seen.routes).ok_or("The HTTPRoute in front of it is gone.")?;
    let all: Vec<_> = route.backends(&w.key.namespace, &ours).collect();
    let [(rule, at, backend)] = all.as_slice() else {
        return Err(format!("HTTPRoute {} names {ours} {} times, not once.", route.name, all.len()));
    };
    if weight(route, &w.key.namespace, &ours) != Some(from) {
        return Err(format!("HTTPRoute {} does not send {from} % to {ours} any more.", route.name));
    }
    let Some(own) = beside(w, route, *rule, *at) else {
        return Err(format!("HTTPRoute {} leads to {} no more.", route.name, w.key.name));
    };
    let weight_of = |at: usize| format!("{}/weight", place(*rule, at));
    let patch = under(w, route, decided)
        .test(&place(*rule, *at), backend.object.clone())
        .test(&place(*rule, own), route.rules[*rule].backends[own].object.clone())
        .add(&weight_of(own), 100 - to)
        .add(&weight_of(*at), to);
    Ok(vec![request(w, route, mark_as(w, route, patch, attempt), true)])
}

/// The user's own backendRef in a rule: the one that leads to the Deployment, or else the only other one.
fn beside(w: &Workload, route: &Route, rule: usize, ours: usize) -> Option<usize> {
    let all = &route.rules[rule].backends;
    let own = |b: &Backend| w.fronts.iter().any(|front| b.is(&w.key.namespace, &front.name));
    all.iter().position(own).or_else(|| (all.len() == 2).then(|| 1 - ours.min(1)))
}

/// Nobody to the second Deployment any more, under a new mark.
pub(crate) fn hand_back(seen: &Seen<'_>, attempt: &AttemptId) -> Vec<Request> {
    let w = seen.workload;
    let Some(route) = meant(w, seen.routes) else { return Vec::new() };
    let patch = take_out(w, route).annotate(route.annotated, &[(&mark(&w.key.name), &attempt.0)]);
    vec![request(w, route, patch, false)]
}

/// Whatever is ours in the route goes; nothing where there is nothing.
pub(crate) fn clean(seen: &Seen<'_>) -> Vec<Request> {
    let w = seen.workload;
    let Some(route) = meant(w, seen.routes).filter(|_| w.route_marked()) else { return Vec::new() };
    let mut patch = take_out(w, route);
    if route.attempt(&w.key.name).is_some() {
        patch = patch.remove(&annotation(&mark(&w.key.name)));
    }
    vec![request(w, route, patch, false)]
}

/// The user's own backendRef as it was, and neither a backendRef nor a filter of ours.
fn take_out(w: &Workload, route: &Route) -> Patch {
    let mut patch = under(w, route, route.attempt(&w.key.name));
    let Ok(ours) = Twin::name_for(&w.key.name) else { return patch };
    let (key, all) = (note(&w.key.name), route.backends(&w.key.namespace, &ours).collect::<Vec<_>>());
    if let Some(before) = route.notes.get(&key) {
        let mut own: Vec<_> =
            all.iter().filter_map(|(rule, at, _)| Some((*rule, beside(w, route, *rule, *at)?))).collect();
        if all.is_empty() {
            own.extend(alone(w, route));
        }
        for (rule, at) in own {
            patch = weighs(patch, route, (rule, at), before);
        }
        patch = patch.remove(&annotation(&key));
    }
    // From the last to the first, so that none moves before it is taken.
    for (rule, at, backend) in all.iter().rev() {
        let place = place(*rule, *at);
        patch = patch.test(&format!("{place}/name"), backend.object["name"].clone()).remove(&place);
    }
    mirror::take_out(patch, route, &ours)
}

/// Where somebody has taken ours out: the user's own, if it stands alone.
fn alone(w: &Workload, route: &Route) -> Option<(usize, usize)> {
    let to = |name: &str| route.backends(&w.key.namespace, name).map(|(rule, at, _)| (rule, at)).collect();
    let all: Vec<_> = w.fronts.iter().flat_map(|front| -> Vec<_> { to(&front.name) }).collect();
    match all.as_slice() {
        [(rule, at)] if route.rules[*rule].backends.len() == 1 => Some((*rule, *at)),
        _ => None,
    }
}

/// The user's own backendRef with the weight it had.
fn weighs(patch: Patch, route: &Route, (rule, at): (usize, usize), before: &str) -> Patch {
    let object = &route.rules[rule].backends[at].object;
    let (place, weight) = (place(rule, at), before.parse::<i64>().ok());
    let patch = patch.test(&format!("{place}/name"), object["name"].clone());
    match weight {
        Some(weight) => patch.add(&format!("{place}/weight"), weight),
        None if object["weight"].is_null() => patch,
        None => patch.remove(&format!("{place}/weight")),
    }
}

/// What a release does to the route, and takes back, in one patch: to be tried.
///
/// # Errors
/// In words, when no weights can stand in it.
pub(crate) fn tried(seen: &Seen<'_>, owner: (&str, &str), attempt: &AttemptId) -> Requests {
    let w = seen.workload;
    let lead = the_one(w, seen.routes).ok_or("The HTTPRoute in front of it was not read.")??;
    let own = lead.backend().object.clone();
    let patch = put_in(w, lead, owner.0, Patch::new());
    let (own_at, ours_at) = (place(lead.rule, lead.backend), place(lead.rule, lead.rule().backends.len()));
    let patch = patch
        .add(&format!("{own_at}/weight"), 50)
        .add(&format!("{ours_at}/weight"), 50)
        .replace(&own_at, own)
        .remove(&ours_at)
        .remove(&annotation(&note(&w.key.name)));
    Ok(vec![behind(w, like(w, lead, seen.fronts)?, owner, attempt), request(w, lead.route, patch, false)])
}

#[cfg(test)]
mod tests;
