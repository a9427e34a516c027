//! HTTPRoutes (gateway.networking.k8s.io/v1) in front of a Deployment: which rule of which route leads to it, and what in
//! that rule keeps it from splitting users. Pure.
//!
//! A cluster without the Gateway API has none; the watch looks for the kind again and again. What is of a route's rules is
//! kept as it is written: a backendRef of ours is made like the user's own beside it.
//!
//! Source: the HTTPRoute API. Weights of a rule's backendRefs are parts of their sum, 1 where none is written; whoever is sent
//! to a Service that is not there gets a 500.

use crate::{mirror, observe, raw};
use model::gitops::App;
use model::workload::{Front, Twin, Workload};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const GROUP: &str = "/apis/gateway.networking.k8s.io/v1";
/// Those of all namespaces.
pub(crate) const ALL: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
/// What keys of Tidegate's annotations on a route end with. They begin with the Deployment's name: one route leads to many.
const OURS: &str = ".tidegate.dev/";

/// Those of a namespace.
pub(crate) fn list(namespace: &str) -> String {
    format!("{GROUP}/namespaces/{namespace}/httproutes")
}

/// The annotation in which an attempt leaves its mark on a route, for this Deployment.
pub(crate) fn mark(workload: &str) -> String {
    format!("{workload}{OURS}attempt")
}

pub(crate) fn is_mark(annotation: &str) -> bool {
    annotation.ends_with(".tidegate.dev/attempt")
}

/// What is kept of a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    pub namespace: String,
    pub name: String,
    /// `metadata.annotations` is there: a patch need not make it.
    pub annotated: bool,
    /// Tidegate's own annotations.
    pub notes: BTreeMap<String, String>,
    pub gitops: Option<App>,
    /// None of its Gateways accepts it, and why.
    pub refused: Option<String>,
    /// A Gateway that has seen its newest generation does not carry all of it out, and why.
    pub unresolved: Option<String>,
    pub rules: Vec<Rule>,
}

/// A rule: where its requests go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub backends: Vec<Backend>,
    pub filters: Vec<Value>,
    /// `filters` is there: a patch need not make it.
    pub filtered: bool,
    /// Users stay where they were sent first.
    pub sticky: bool,
}

/// A backendRef.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Backend {
    /// Namespace and name of the Service; `None` where it is something else.
    pub service: Option<(String, String)>,
    pub weight: i64,
    /// As it is written.
    pub object: Value,
}

impl Backend {
    fn of(object: &Value, namespace: &str) -> Self {
        let says = |field: &str| object[field].as_str().filter(|text| !text.is_empty());
        let is_service = says("group").is_none() && says("kind").unwrap_or("Service") == "Service";
        let name = says("name").filter(|_| is_service);
        Self {
            service: name.map(|name| (says("namespace").unwrap_or(namespace).to_owned(), name.to_owned())),
            weight: object["weight"].as_i64().unwrap_or(1),
            object: object.clone(),
        }
    }

    /// It is this Service.
    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.service.as_ref().is_some_and(|(in_, service)| in_ == namespace && service == name)
    }
}

impl From<raw::HttpRoute> for Route {
    fn from(r: raw::HttpRoute) -> Self {
        let gitops = observe::owner("HTTPRoute", &r.metadata);
        let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let namespace = r.metadata.namespace;
        let rule = |rule: &Value| Rule {
            backends: all(&rule["backendRefs"]).iter().map(|b| Backend::of(b, &namespace)).collect(),
            filters: all(&rule["filters"]),
            filtered: !rule["filters"].is_null(),
            sticky: !rule["sessionPersistence"].is_null(),
        };
        let ours = |(key, _): &(String, String)| key.contains(OURS);
        Self {
            rules: r.spec.rules.iter().map(rule).collect(),
            refused: refused(&r.status),
            unresolved: unresolved(&r.status, r.metadata.generation),
            annotated: r.metadata.annotations.is_some(),
            notes: r.metadata.annotations.unwrap_or_default().into_iter().filter(ours).collect(),
            gitops,
            namespace,
            name: r.metadata.name,
        }
    }
}

/// What each of its Gateways says against it; `None` where one takes it, or none has said anything.
fn refused(status: &Value) -> Option<String> {
    let accepted = |parent: &Value| {
        let conditions = parent["conditions"].as_array();
        conditions.into_iter().flatten().find(|c| c["type"] == "Accepted").cloned()
    };
    let parents = status["parents"].as_array()?;
    let mut said = Vec::new();
    for parent in parents {
        let condition = accepted(parent).filter(|c| c["status"] == "False")?;
        said.push(condition["reason"].as_str().unwrap_or_default().to_owned());
    }
    (!said.is_empty()).then(|| said.join(", "))
}

/// What a Gateway says that has seen this generation, and leaves out a part of the route or all of it.
fn unresolved(status: &Value, generation: i64) -> Option<String> {
    let conditions = |parent: &Value| parent["conditions"].as_array().cloned().unwrap_or_default();
    let wrong = |c: &Value| {
        let bad = match c["type"].as_str() {
            Some("Accepted" | "ResolvedRefs") => "False",
            Some("PartiallyInvalid") => "True",
            _ => return false,
        };
        c["status"] == bad && c["observedGeneration"].as_i64().is_some_and(|seen| seen >= generation)
    };
    let wrong = status["parents"].as_array()?.iter().flat_map(conditions).find(wrong)?;
    let says = |field: &str| wrong[field].as_str().unwrap_or_default().to_owned();
    Some(format!("{} ({})", says("message").trim_end_matches('.'), says("reason")))
}

impl Route {
    /// Its own namespace and those it leads to.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        let to = self.rules.iter().flat_map(|rule| &rule.backends).filter_map(|b| b.service.as_ref());
        let all: BTreeSet<&str> =
            to.map(|(namespace, _)| namespace.as_str()).chain([&*self.namespace]).collect();
        all.into_iter()
    }

    /// The newest attempt that changed it for this Deployment.
    pub(crate) fn attempt(&self, workload: &str) -> Option<&str> {
        self.notes.get(&mark(workload)).map(String::as_str)
    }

    /// Its backendRefs of a Service, each with its rule's and its own number.
    pub(crate) fn backends<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = (usize, usize, &'a Backend)> {
        self.rules.iter().enumerate().flat_map(move |(rule, r)| {
            let of = r.backends.iter().enumerate().filter(move |(_, b)| b.is(namespace, name));
            of.map(move |(backend, b)| (rule, backend, b))
        })
    }
}

/// A backendRef that names a Service in front of a Deployment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lead<'a> {
    pub route: &'a Arc<Route>,
    pub rule: usize,
    pub backend: usize,
}

impl<'a> Lead<'a> {
    pub(crate) fn rule(&self) -> &'a Rule {
        &self.route.rules[self.rule]
    }

    pub(crate) fn backend(&self) -> &'a Backend {
        &self.rule().backends[self.backend]
    }
}

/// Every backendRef that leads to a Deployment; its `fronts` are known.
pub(crate) fn leads<'a>(w: &Workload, routes: &'a [Arc<Route>]) -> Vec<Lead<'a>> {
    let to = |front: &Front, route: &'a Arc<Route>| {
        let found = route.backends(&w.key.namespace, &front.name);
        found.map(|(rule, backend, _)| Lead { route, rule, backend }).collect::<Vec<_>>()
    };
    routes.iter().flat_map(|route| w.fronts.iter().flat_map(move |front| to(front, route))).collect()
}

/// The routes that lead to a Deployment, are marked for it, or send users or copies to the Service of a second one beside it.
pub(crate) fn around<'a>(w: &Workload, all: impl Iterator<Item = &'a Arc<Route>>) -> Vec<Arc<Route>> {
    let beside = Twin::name_for(&w.key.name).ok();
    let namespace = w.key.namespace.as_str();
    let names = |route: &Route, name: &str| route.backends(namespace, name).next().is_some();
    let is = |route: &&Arc<Route>| {
        w.fronts.iter().any(|front| names(route, &front.name))
            || route.namespace == namespace
                && (route.attempt(&w.key.name).is_some()
                    || beside.as_ref().is_some_and(|b| names(route, b) || mirror::copies_to(route, b)))
    };
    all.filter(is).cloned().collect()
}

/// The one rule of one route through which users come to a Deployment; `None` where no route leads to it.
///
/// # Errors
/// In words, what keeps that rule from being the place where its users are split.
pub(crate) fn the_one<'a>(w: &Workload, routes: &'a [Arc<Route>]) -> Option<Result<Lead<'a>, String>> {
    let all = leads(w, routes);
    let lead = *all.first()?;
    Some(match unfit(w, &all, lead) {
        None => Ok(lead),
        Some(why) => Err(why),
    })
}

/// Why what leads to a Deployment is not the one rule of one accepted route of its namespace, in words. `several` says what
/// cannot be done in several routes.
pub(crate) fn not_the_one(w: &Workload, all: &[Lead<'_>], lead: Lead<'_>, several: &str) -> Option<String> {
    let (workload, route) = (&w.key.name, &lead.route.name);
    let names: BTreeSet<_> = all.iter().map(|l| (&l.route.namespace, &l.route.name)).collect();
    if names.len() > 1 {
        let names: Vec<_> = names.iter().map(|(_, name)| name.as_str()).collect();
        return Some(format!("The HTTPRoutes {} lead to {workload}: {several}.", names.join(", ")));
    }
    if lead.route.namespace != w.key.namespace {
        return Some(format!(
            "HTTPRoute {}/{route} leads to {workload} from another namespace: it is not changed from here.",
            lead.route.namespace
        ));
    }
    if all.len() > 1 {
        return Some(format!("HTTPRoute {route} leads to {workload} by several rules. Make it one."));
    }
    let why = lead.route.refused.as_ref()?;
    Some(format!("HTTPRoute {route} is accepted by none of its Gateways ({why})."))
}

fn unfit(w: &Workload, all: &[Lead<'_>], lead: Lead<'_>) -> Option<String> {
    let (workload, route, rule) = (&w.key.name, &lead.route.name, lead.rule());
    if let Some(why) = not_the_one(w, all, lead, "one weight cannot be set in all") {
        return Some(why);
    }
    let beside = Twin::name_for(workload).ok();
    let ours = |b: &Backend| beside.as_ref().is_some_and(|name| b.is(&w.key.namespace, name));
    let marked = lead.route.attempt(workload).is_some();
    if !marked && rule.backends.iter().any(ours) {
        return Some(format!(
            "HTTPRoute {route} names a Service {} already, and not by Tidegate.",
            beside.as_deref().unwrap_or_default()
        ));
    }
    if rule.backends.iter().enumerate().any(|(at, b)| at != lead.backend && !ours(b)) {
        return Some(format!(
            "HTTPRoute {route} splits the users of {workload} between it and something else already."
        ));
    }
    if lead.backend().object["filters"].as_array().is_some_and(|all| !all.is_empty()) {
        return Some(format!(
            "HTTPRoute {route} has filters at the backendRef to {workload}. Move them to the rule: they are to hold for both \
             versions."
        ));
    }
    if rule.sticky {
        return Some(format!(
            "HTTPRoute {route} keeps users where they were sent first (sessionPersistence), also when the weight is 0: they \
             could not be taken back."
        ));
    }
    (!marked && lead.backend().weight <= 0)
        .then(|| format!("HTTPRoute {route} sends nobody to {workload}: its weight there is 0."))
}

pub(crate) mod weights;

#[cfg(test)]
pub(crate) mod tests;
