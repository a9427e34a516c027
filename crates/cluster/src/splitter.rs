//! What splits a Deployment's users by weight between its pods and those of a second one beside it: an Ingress of class nginx
//! ([`crate::ingress`]) or an HTTPRoute ([`crate::httproute::weights`]). Which of them is settled when the second Deployment
//! is made; the effects are the same.

use crate::driver::{Request, Requests, Seen, What};
use crate::error::Error;
use crate::fence::Voided;
use crate::front::Service;
use crate::httproute::{self, weights};
use crate::observe::{ATTEMPT, Facts, TWIN};
use crate::patch::{Patch, annotation};
use crate::send::{Outcome, Part};
use crate::{Cluster, Entry, ingress, mirror};
use model::AttemptId;
use model::workload::{Key, Split, Splitter, Twin, Weights, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

/// Writes into a Deployment's workload what splits its users; its second Deployment, if there is one, is known.
pub(crate) fn stand_before(w: &mut Workload, by_ingress: Option<Splitter>, by_route: Option<Splitter>) {
    let ours = |s: &Splitter| s.attempt.is_some() || s.weight.is_some();
    let noted = w.twin.as_ref().and_then(|twin| twin.split.as_ref());
    let splitter = match (noted, by_ingress, by_route) {
        (Some(Split::HttpRoute(_)), _, route) => route,
        (Some(Split::Ingress(_)), ingress, _) => ingress,
        // Left of a release that has ended: to be seen, so that it can be taken away.
        (None, _, Some(route)) if ours(&route) => Some(route),
        (None, Some(ingress), _) if ours(&ingress) => Some(ingress),
        (None, Some(ingress), Some(route)) => {
            let unfit = format!(
                "{} and {} lead to {}: one weight cannot be set in both.",
                ingress.by, route.by, w.key.name
            );
            Some(Splitter { unfit: Some(unfit), ..ingress })
        }
        (None, ingress, route) => ingress.or(route),
    };
    let canary = splitter.as_ref().and_then(|s| s.weight);
    w.weights = canary.map(|canary| Weights { canary, stable: 100 - canary });
    w.splitter = splitter.map(Box::new);
}

/// The Service that leads to a second Deployment, like the user's own. It goes with that one.
pub(crate) fn behind(w: &Workload, like: &Service, owner: (&str, &str), attempt: &AttemptId) -> Request {
    let (name, uid) = owner;
    let object = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": w.key.namespace, "labels": {TWIN: name},
            "annotations": {ATTEMPT: attempt.0},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid}]},
        "spec": {"selector": {TWIN: name}, "ports": like.ports}});
    let key = Key { name: name.to_owned(), ..w.key.clone() };
    Request { key, what: What::Create(Part::Service, object), marked: true }
}

/// Whatever is missing of what sends users to the second Deployment, at 0 %.
///
/// # Errors
/// In words, when there is nothing to make it like.
pub(crate) fn made(seen: &Seen<'_>, twin: &Facts, attempt: &AttemptId) -> Requests {
    let w = seen.workload;
    let owner = (twin.workload.key.name.as_str(), twin.workload.uid.as_str());
    match w.weighed()?.by {
        _ if w.canary_weight().is_some() && !w.severed() => Ok(Vec::new()),
        Split::Ingress(_) => ingress::made(w, seen.ingress, seen.fronts, owner, attempt),
        Split::HttpRoute(_) => weights::made(seen, owner, attempt),
    }
}

/// Nobody to the second Deployment any more. `None` where no weight ever was to send somebody.
pub(crate) fn hand_back(seen: &Seen<'_>, attempt: &AttemptId) -> Option<Requests> {
    let w = seen.workload;
    if !w.by_weight() {
        return None;
    }
    Some(if w.by_route() { Ok(weights::hand_back(seen, attempt)) } else { ingress::hand_back(seen, attempt) })
}

impl Cluster {
    /// From the cache; read anew where an HTTPRoute carries the weights: what is changed in it is found by what is there.
    pub(crate) async fn entry_for_route(&self, key: &Key) -> Result<Arc<Entry>, Error> {
        let entry = self.entry(key).await?;
        if entry.workload.by_route() { Ok(Arc::new(self.fresh_entry(key).await?)) } else { Ok(entry) }
    }

    /// Another weight in the canary Ingress or the HTTPRoute. `decided`: its mark when that was decided.
    ///
    /// # Errors
    /// As for any call.
    pub async fn weigh(
        &self,
        key: &Key,
        attempt: &AttemptId,
        decided: Option<&str>,
        from: u8,
        to: u8,
    ) -> Result<Outcome, Error> {
        let entry = self.entry_for_route(key).await?;
        let seen = entry.seen();
        let requests = if entry.workload.by_copies() {
            mirror::copy(&seen, attempt, decided, from, to)
        } else if entry.workload.by_route() {
            weights::weigh(&seen, attempt, decided, from, to)
        } else {
            ingress::weigh(&seen, attempt, decided, from, to)
        };
        self.send_all(&entry, attempt.into(), requests).await
    }

    /// As [`Cluster::void`], for a weight: the canary Ingress, or the HTTPRoute, carries its mark.
    ///
    /// # Errors
    /// As for [`Cluster::void`].
    pub async fn void_weight(&self, key: &Key, attempt: &AttemptId) -> Result<Voided, Error> {
        let entry = self.fresh_entry(key).await?;
        let Some(splitter) = &entry.workload.splitter else { return Ok(Voided::Void) };
        // Without a mark there is nothing that a weight could be tested on.
        let Some(mark) = splitter.attempt.as_deref() else { return Ok(Voided::Void) };
        if mark == attempt.0 {
            return Ok(Voided::Landed);
        }
        let void = AttemptId(format!("void-{attempt}"));
        let (part, name, place) = match &splitter.by {
            Split::HttpRoute(name) => (Part::HttpRoute, name.clone(), httproute::mark(&key.name)),
            Split::Ingress(_) => {
                let name = Twin::name_for(&key.name).map_err(|why| Error::Refused { why })?;
                (Part::Ingress, name, ATTEMPT.to_owned())
            }
        };
        let patch = Patch::new()
            .test(&annotation(&place), Value::from(mark))
            .add(&annotation(&place), void.0.as_str());
        let key = Key { name, ..key.clone() };
        match self.sender.patch(&key, part, Some(&void), patch).await {
            Ok(Outcome::Applied { .. }) | Err(Error::Gone(_)) => Ok(Voided::Void),
            Ok(Outcome::Refused { why }) => Err(Error::Refused { why }),
            Ok(Outcome::Unsure { why }) => Err(Error::Unsure { why }),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests;
