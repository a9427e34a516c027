//! From objects as the API server sends them to a [`Workload`]. Pure.
//!
//! Source: Argo Rollouts' own rules for reading a Rollout's status, and Deployment's conditions.

mod router;

use crate::{raw, reference};
use chrono::{DateTime, Utc};
use model::Span;
use model::gitops::{App, INSTANCE, TRACKING};
use model::workload::{Key, Kind, Phase, Revision, Source, Split, Strategy, Twin, Weights, Workload};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// Names the attempt that reached the object last.
pub const ATTEMPT: &str = "tidegate.dev/attempt";
/// Number of the release that brought the present version.
pub const RELEASE: &str = "tidegate.dev/release";
/// The way back: a [`model::release::KnownGood`] as JSON.
pub const ROLLBACK: &str = "tidegate.dev/rollback";
/// The `rollbackWindow` that a rollback replaced, as JSON (`null`: there was none); put back afterwards.
pub(crate) const WINDOW: &str = "tidegate.dev/rollback-window";
/// Label of a Deployment that Tidegate made beside another, and of its pods: its own name. Nothing without it is ever
/// deleted.
pub(crate) const TWIN: &str = "tidegate.dev/beside";
/// On a second Deployment: the Ingress whose users it is to get a part of.
pub(crate) const INGRESS: &str = "tidegate.dev/ingress";
/// The same by an HTTPRoute.
pub(crate) const HTTP_ROUTE: &str = "tidegate.dev/httproute";
/// Beside that one: it copies requests, and sends nobody.
pub(crate) const MIRROR: &str = "tidegate.dev/mirror";
/// The service a workload belongs to.
pub const SERVICE: &str = "tidegate.dev/service";
/// Label of a workload or a namespace.
pub const ENVIRONMENT: &str = "tidegate.dev/environment";

/// What is kept of a Rollout or a Deployment: the part of its [`Workload`] that needs no other object, and
/// what patches need to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub workload: Workload,
    /// The environment is the workload's own word, not to be taken from its namespace.
    pub own_environment: bool,
    /// Annotation [`ROLLBACK`], unparsed.
    pub rollback: Option<Box<str>>,
    /// Annotation [`WINDOW`], unparsed.
    pub window_note: Option<Box<str>>,
    /// `spec.rollbackWindow`.
    pub window: Option<Box<Value>>,
    /// `metadata.annotations` is there: a patch need not make it.
    pub annotated: bool,
    /// Kind and name of `spec.workloadRef`.
    pub reference: Option<Box<(String, String)>>,
    /// The generation of that object which the controller has acted on.
    pub reference_observed: Option<i64>,
    /// UID of the Deployment beside which Tidegate made this one.
    pub twin_of: Option<Box<str>>,
    /// Annotation [`INGRESS`] or [`HTTP_ROUTE`].
    pub split: Option<Box<Split>>,
    /// Annotation [`MIRROR`].
    pub mirrored: bool,
    /// Labels of a Deployment's pods.
    pub labels: BTreeMap<String, String>,
    /// `spec.progressDeadlineSeconds`, by default 600.
    pub deadline: u32,
    /// The revision annotation's number: the wanted revision, once the controller has made it.
    pub revision: Option<i64>,
    /// Of a Deployment's template: equal to that of the ReplicaSet made from it.
    pub print: u64,
    /// The annotations of a Deployment's template are there: a patch need not make them.
    pub template_annotated: bool,
}

/// What is kept of a ReplicaSet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Set {
    pub namespace: String,
    pub name: String,
    /// UID of the controlling owner.
    pub owner: String,
    pub revision: Revision,
    /// Of its template, as a Deployment's.
    pub print: u64,
}

/// Reads a Rollout or Deployment with its ReplicaSets, as JSON, and with the Deployment that it takes its template from.
///
/// `around` may hold other owners' ReplicaSets, and other Deployments: a Rollout with a `workloadRef` shares its labels
/// with the Deployment's own, so they are told apart by owner.
///
/// # Errors
/// In words, when `object` is not of these kinds or cannot be read.
pub fn observe(
    cluster: &str,
    object: &Value,
    around: &[Value],
    namespace_labels: &BTreeMap<String, String>,
    now: DateTime<Utc>,
) -> Result<Workload, String> {
    let facts = match object["kind"].as_str() {
        Some("Rollout") => rollout(cluster, raw::Rollout::deserialize(object).map_err(|e| e.to_string())?),
        Some("Deployment") => {
            deployment(cluster, raw::Deployment::deserialize(object).map_err(|e| e.to_string())?)
        }
        other => {
            return Err(format!("`{}` is neither Rollout nor Deployment", other.unwrap_or("nothing")));
        }
    };
    let referred = reference::key(&facts);
    let is_source = |o: &&Value| {
        o["kind"] == "Deployment" && referred.as_ref().is_some_and(|key| o["metadata"]["name"] == *key.name)
    };
    let source = around.iter().find(is_source).map(raw::Deployment::deserialize).transpose();
    let source = source.map_err(|e| e.to_string())?.map(|source| deployment(cluster, source));
    let mut own = Vec::new();
    for set in around.iter().filter(|o| o["kind"] != "Deployment") {
        let set = raw::ReplicaSet::deserialize(set).map_err(|e| e.to_string())?;
        own.extend(self::set(set));
    }
    own.retain(|s| s.owner == facts.workload.uid);
    Ok(assemble(
        &facts,
        own.iter(),
        source.as_ref(),
        namespace_labels.get(ENVIRONMENT).map(String::as_str),
        None,
        now,
    ))
}

/// Puts a workload together from its parts. `source` is the Deployment that its template is taken from; `before` is
/// what was known, for the time of the last change of phase.
pub(crate) fn assemble<'a>(
    facts: &Facts,
    sets: impl Iterator<Item = &'a Set>,
    source: Option<&Facts>,
    namespace_environment: Option<&str>,
    before: Option<&Workload>,
    now: DateTime<Utc>,
) -> Workload {
    let mut w = facts.workload.clone();
    let sets: Vec<&Set> = sets.collect();
    w.revisions = sets.iter().map(|s| s.revision.clone()).collect();
    // By name last, so that two lists of the same objects read the same.
    w.revisions.sort_by(|a, b| (b.number, b.created, &b.hash).cmp(&(a.number, a.created, &a.hash)));
    if !facts.own_environment {
        w.environment = namespace_environment.unwrap_or("production").to_owned();
    }
    match w.key.kind {
        Kind::Deployment => {
            w.current_hash = wanted(facts, &sets).map(|s| s.revision.hash.clone());
            w.stable_hash = serving(&w).or_else(|| w.current_hash.clone());
        }
        Kind::Rollout if w.workload_ref => {
            let current = w.current_hash.as_deref().and_then(|h| w.revision(h));
            // The ReplicaSet may be reported a moment after its Rollout.
            let images = current.map(|r| &r.images).or_else(|| before.map(|b| &b.images));
            w.images = images.cloned().unwrap_or_default();
            if let Some(source) = source {
                take_from(&mut w, facts, source);
            }
        }
        Kind::Rollout => {}
    }
    if let Some(before) = before {
        w.since = if before.phase == w.phase { before.since } else { now };
    }
    w
}

/// The wanted version stands in the Deployment that the template is taken from. Until the controller has acted on that
/// one's newest generation its status is about the version before, whatever it says.
fn take_from(w: &mut Workload, facts: &Facts, source: &Facts) {
    let from = &source.workload;
    w.images.clone_from(&from.images);
    w.gitops = w.gitops.take().or_else(|| from.gitops.clone());
    if facts.reference_observed != Some(from.generation) {
        w.observed_generation = None;
        w.phase = Phase::Unknown;
        w.message = None;
    }
    w.source = Some(Box::new(Source {
        name: from.key.name.clone(),
        replicas: from.replicas,
        attempt: from.attempt.clone(),
    }));
}

/// The ReplicaSet that a Deployment wants. Its revision annotation names it, but for one that is paused: what is changed
/// then gets neither a ReplicaSet nor a revision before it is resumed, and there may be none yet.
fn wanted<'a>(d: &Facts, sets: &[&'a Set]) -> Option<&'a Set> {
    let named = sets.iter().find(|s| Some(s.revision.number) == d.revision).copied();
    if !d.workload.spec_paused {
        return named;
    }
    let same = sets.iter().filter(|s| s.print == d.print).max_by_key(|s| s.revision.number).copied();
    named.filter(|s| s.print == d.print).or(same)
}

/// A Deployment has no word for its stable hash, either: it is the older revision with most available pods, if any has
/// some.
fn serving(w: &Workload) -> Option<String> {
    w.revisions
        .iter()
        .filter(|r| Some(&r.hash) != w.current_hash.as_ref() && (r.desired > 0 || r.ready > 0))
        .max_by_key(|r| (r.available, r.number))
        .map(|r| r.hash.clone())
}

/// Reads a ReplicaSet; `None` when nothing controls it.
pub(crate) fn set(s: raw::ReplicaSet) -> Option<Set> {
    let owner = s.metadata.owner_references.iter().find(|o| o.controller)?.uid.clone();
    let hash = ["rollouts-pod-template-hash", "pod-template-hash"]
        .iter()
        .find_map(|k| s.metadata.labels.get(*k))
        .cloned()
        .unwrap_or_default();
    let number = ["rollout.argoproj.io/revision", "deployment.kubernetes.io/revision"]
        .iter()
        .find_map(|k| s.metadata.annotation(k))
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    Some(Set {
        revision: Revision {
            hash,
            number,
            images: s.spec.template.template.images(),
            desired: s.spec.replicas.unwrap_or(1),
            ready: s.status.ready_replicas,
            available: s.status.available_replicas,
            created: s.metadata.creation_timestamp.unwrap_or_default(),
        },
        print: s.spec.template.print,
        namespace: s.metadata.namespace,
        name: s.metadata.name,
        owner,
    })
}

/// Reads a Rollout.
pub(crate) fn rollout(cluster: &str, r: raw::Rollout) -> Facts {
    let (meta, spec, status) = (r.metadata, r.spec, r.status);
    // A number written as a string; older controllers wrote a hash there, which is no word about any
    // generation.
    let observed: Option<i64> = status.observed_generation.parse().ok();
    let fresh = observed == Some(meta.generation)
        && (spec.workload_ref.is_none()
            || meta.annotation("rollout.argoproj.io/workload-generation")
                == Some(status.workload_observed_generation.as_str()));
    // The controller has paused, and somebody has taken the pause away: it has not acted on that yet.
    let unpausing = status.controller_pause && status.pause_conditions.is_empty();
    let phase = match status.phase.as_str() {
        _ if !fresh => Phase::Unknown,
        _ if unpausing => Phase::Progressing,
        "Healthy" => Phase::Healthy,
        "Progressing" => Phase::Progressing,
        "Paused" => Phase::Paused,
        "Degraded" => Phase::Degraded,
        _ => Phase::Unknown,
    };
    let message = filled(status.message).filter(|_| fresh && !unpausing);
    let canary = spec.strategy.canary.unwrap_or_default();
    let routing = canary.traffic_routing.unwrap_or_default();
    let (router, total) = (router::describe(&routing), router::total(&routing));
    let weights = status.canary.weights.filter(|_| router.is_some());
    let since = last_transition(&status.conditions);
    let workload = Workload {
        strategy: if spec.strategy.blue_green.is_some() { Strategy::BlueGreen } else { Strategy::Canary },
        phase,
        message,
        replicas: spec.replicas.unwrap_or(1),
        ready: status.ready_replicas,
        updated: status.updated_replicas,
        available: status.available_replicas,
        images: spec.template.images(),
        spec_paused: spec.paused,
        abort: status.abort,
        promote_full: status.promote_full,
        pauses: status.pause_conditions.into_iter().map(|p| p.reason).collect(),
        step_index: status.current_step_index,
        step_count: i32::try_from(canary.steps.len()).unwrap_or(i32::MAX),
        stable_hash: filled(status.stable_rs),
        current_hash: filled(status.current_pod_hash),
        unverified: weights.as_ref().is_some_and(|w| w.verified == Some(false)),
        weights: weights.map(|w| {
            let canary = router::percent(w.canary.weight, total);
            // Experiments may have a part of their own.
            Weights { canary, stable: router::percent(w.stable.weight, total).min(100 - canary) }
        }),
        routes_headers: router::routes_headers(&routing),
        header_route: router::managed(&routing),
        weight_total: total,
        router,
        active_hash: filled(status.blue_green.active_selector),
        preview_hash: filled(status.blue_green.preview_selector),
        workload_ref: spec.workload_ref.is_some(),
        dynamic_stable_scale: canary.dynamic_stable_scale,
        restarting: spec.restart_at.filter(|at| status.restarted_at.is_none_or(|done| done < *at)),
        observed_generation: observed,
        ..common(cluster, Kind::Rollout, &meta, since)
    };
    Facts {
        workload,
        window: spec.rollback_window.map(Box::new),
        reference: spec.workload_ref.map(|r| Box::new((r.kind, r.name))),
        reference_observed: status.workload_observed_generation.parse().ok(),
        revision: meta.annotation("rollout.argoproj.io/revision").and_then(|n| n.parse().ok()),
        ..facts(cluster, Kind::Rollout, &meta)
    }
}

/// Reads a Deployment.
pub(crate) fn deployment(cluster: &str, d: raw::Deployment) -> Facts {
    let (meta, spec, status) = (d.metadata, d.spec, d.status);
    let raw::Printed { template, print, annotated } = spec.template;
    let wanted = spec.replicas.unwrap_or(1);
    let condition = |kind: &str| status.conditions.iter().find(|c| c.kind == kind);
    let overdue = condition("Progressing").filter(|c| c.reason == "ProgressDeadlineExceeded");
    let failing = condition("ReplicaFailure").filter(|c| c.status == "True");
    let complete = status.updated_replicas >= wanted
        && status.replicas == status.updated_replicas
        && status.available_replicas >= wanted;
    let (phase, message) = if status.observed_generation < meta.generation {
        (Phase::Unknown, None)
    } else if let Some(c) = overdue.or(failing.filter(|_| !complete)) {
        (Phase::Degraded, filled(c.message.clone()))
    } else if spec.paused {
        (Phase::Paused, Some("paused: changes of the template wait until it is resumed".to_owned()))
    } else if complete {
        (Phase::Healthy, None)
    } else {
        let words = format!(
            "{} of {wanted} pods are updated, {} available",
            status.updated_replicas, status.available_replicas
        );
        (Phase::Progressing, Some(words))
    };
    let since = last_transition(&status.conditions);
    let workload = Workload {
        strategy: Strategy::Rolling,
        phase,
        message,
        replicas: wanted,
        ready: status.ready_replicas,
        updated: status.updated_replicas,
        available: status.available_replicas,
        images: template.images(),
        spec_paused: spec.paused,
        recreates: spec.strategy.kind == "Recreate",
        observed_generation: (status.observed_generation > 0).then_some(status.observed_generation),
        ..common(cluster, Kind::Deployment, &meta, since)
    };
    Facts {
        workload,
        revision: meta.annotation("deployment.kubernetes.io/revision").and_then(|n| n.parse().ok()),
        deadline: spec.progress_deadline_seconds.unwrap_or(600),
        labels: template.metadata.labels,
        print,
        split: split(&meta).map(Box::new),
        template_annotated: annotated,
        mirrored: meta.annotation(MIRROR).is_some(),
        twin_of: meta.labels.get(TWIN).filter(|name| **name == meta.name).and_then(|_| {
            let owner = meta.owner_references.iter().find(|o| o.kind == "Deployment")?;
            Some(owner.uid.as_str().into())
        }),
        ..facts(cluster, Kind::Deployment, &meta)
    }
}

fn facts(cluster: &str, kind: Kind, meta: &raw::Meta) -> Facts {
    Facts {
        workload: common(cluster, kind, meta, None),
        own_environment: meta.labels.contains_key(ENVIRONMENT),
        rollback: meta.annotation(ROLLBACK).map(Into::into),
        window_note: meta.annotation(WINDOW).map(Into::into),
        window: None,
        annotated: meta.annotations.is_some(),
        reference: None,
        reference_observed: None,
        twin_of: None,
        split: None,
        mirrored: false,
        labels: BTreeMap::new(),
        deadline: 600,
        revision: None,
        print: 0,
        template_annotated: false,
    }
}

/// What both kinds say in the same way; the rest is empty.
fn common(cluster: &str, kind: Kind, meta: &raw::Meta, since: Option<DateTime<Utc>>) -> Workload {
    let label = |key: &str| meta.labels.get(key).filter(|v| !v.is_empty());
    let created = meta.creation_timestamp.unwrap_or_default();
    Workload {
        service: meta
            .annotation(SERVICE)
            .filter(|v| !v.is_empty())
            .or_else(|| label("app.kubernetes.io/name").map(String::as_str))
            .or_else(|| label("app").map(String::as_str))
            .unwrap_or(&meta.name)
            .to_owned(),
        environment: label(ENVIRONMENT).cloned().unwrap_or_default(),
        key: Key {
            cluster: cluster.to_owned(),
            namespace: meta.namespace.clone(),
            kind,
            name: meta.name.clone(),
        },
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        generation: meta.generation,
        observed_generation: None,
        strategy: Strategy::Rolling,
        phase: Phase::Unknown,
        message: None,
        replicas: 0,
        ready: 0,
        updated: 0,
        available: 0,
        images: BTreeMap::new(),
        spec_paused: false,
        abort: false,
        promote_full: false,
        pauses: Vec::new(),
        step_index: None,
        step_count: 0,
        stable_hash: None,
        current_hash: None,
        weights: None,
        router: None,
        active_hash: None,
        preview_hash: None,
        workload_ref: false,
        source: None,
        dynamic_stable_scale: false,
        routes_headers: false,
        header_route: None,
        weight_total: None,
        unverified: false,
        restarting: None,
        twin: None,
        fronts: Vec::new(),
        splitter: None,
        mirror: None,
        recreates: false,
        attempt: meta.annotation(ATTEMPT).map(str::to_owned),
        gitops: owner(kind.key(), meta),
        revisions: Vec::new(),
        created,
        since: since.unwrap_or(created),
    }
}

/// What a second Deployment was made to be sent users by.
fn split(meta: &raw::Meta) -> Option<Split> {
    let says = |key: &str| meta.annotation(key).map(str::to_owned);
    says(HTTP_ROUTE).map(Split::HttpRoute).or_else(|| says(INGRESS).map(Split::Ingress))
}

/// The Argo CD application that keeps an object as git says.
pub(crate) fn owner(kind: &str, meta: &raw::Meta) -> Option<App> {
    let tracked = meta.annotation(TRACKING);
    tracked
        .and_then(|id| App::tracked(id, kind, &meta.namespace, &meta.name))
        .or_else(|| meta.labels.get(INSTANCE).and_then(|name| App::named(name)))
}

/// Puts the second Deployment into the workload that it stands beside.
pub(crate) fn stand_beside(w: &mut Workload, own: &Facts, facts: &Facts, twin: Workload) {
    // Some label of the user's pods has another value here: then Services that go by it do not select these.
    let apart = own.labels.iter().any(|(key, value)| facts.labels.get(key) != Some(value));
    w.twin = Some(Box::new(Twin {
        name: twin.key.name,
        desired: twin.replicas,
        ready: twin.ready,
        deadline: Span(u64::from(facts.deadline)),
        phase: twin.phase,
        message: twin.message,
        hash: twin.current_hash,
        images: twin.images,
        attempt: twin.attempt,
        apart,
        split: facts.split.as_deref().cloned(),
        mirrored: facts.mirrored,
        address: None,
    }));
    w.revisions.extend(twin.revisions);
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn last_transition(conditions: &[raw::Condition]) -> Option<DateTime<Utc>> {
    conditions.iter().filter_map(|c| c.last_transition_time).max()
}

#[cfg(test)]
mod tests;
