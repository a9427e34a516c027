//! A Rollout that takes its template from a Deployment (`spec.workloadRef`). Pure.
//!
//! The template is only ever written to the Deployment: on the Rollout it would take its pods away. Steps, windows,
//! pauses and aborts are the Rollout's. No request changes both objects, so each carries a mark, and each request
//! tests the mark of the object it changes: a late one finds another there.

use crate::driver::{Driver, Incoming, Request, Requests, Seen};
use crate::observe::{ATTEMPT, Facts, RELEASE};
use crate::patch::{Patch, annotation};
use crate::rollout::{self, Steps};
use chrono::{DateTime, Utc};
use model::AttemptId;
use model::release::KnownGood;
use model::rollback::Call;
use model::workload::{Front, Key, Kind};
use serde_json::Value;

/// Drives a Rollout by its steps, and its template by the Deployment it refers to.
#[derive(Debug)]
pub(crate) struct Referring;

impl Driver for Referring {
    fn name(&self) -> &'static str {
        "a Rollout"
    }

    /// The Rollout's part: the plan's steps and the way back. It starts nothing.
    fn deploy(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        source(seen)?;
        if let Some(why) = seen.workload.source_unfit() {
            return Err(why);
        }
        let patch = rollout::deploy(seen.facts, attempt, new)?;
        Ok(vec![Request::marked(&seen.workload.key, patch)])
    }

    /// The Deployment's part: the new images, as long as its template is the way back and it runs no pods that they
    /// would bring past the canary.
    fn take_over(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        let source = source(seen)?;
        if let Some(why) = seen.workload.source_unfit() {
            return Err(why);
        }
        let patch =
            ours_alone(source).test("/spec/replicas", 0).test("/spec/template", new.good.template.clone());
        let patch = rollout::images(patch, seen.workload, new.plan, new.good)?;
        let release = new.release.to_string();
        let patch = patch.annotate(source.annotated, &[(ATTEMPT, &attempt.0), (RELEASE, &release)]);
        Ok(vec![Request::marked(&source.workload.key, patch)])
    }

    /// The Rollout's mark first, and the window, which must be there before the template: then the template.
    fn revert(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood, window: bool) -> Requests {
        let (w, source) = (seen.workload, source(seen)?);
        let rollout = rollout::revert_marks(seen.facts, w.revisions.len(), attempt, good, window);
        let template = ours_alone(source)
            .replace("/spec/template", good.template.clone())
            .annotate(source.annotated, &[(ATTEMPT, &attempt.0)]);
        Ok(vec![Request::marked(&w.key, rollout), Request::marked(&source.workload.key, template)])
    }

    fn open_pause(&self, seen: &Seen<'_>, from: i32) -> Requests {
        Steps.open_pause(seen, from)
    }

    fn switch(&self, seen: &Seen<'_>, attempt: &AttemptId, hash: &str, decided: &[Front]) -> Requests {
        Steps.switch(seen, attempt, hash, decided)
    }

    fn pause(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        Steps.pause(seen, attempt)
    }

    fn unpause(&self, seen: &Seen<'_>, attempt: Option<&AttemptId>) -> Requests {
        Steps.unpause(seen, attempt)
    }

    fn abort(&self, seen: &Seen<'_>, bad: Option<&str>) -> Requests {
        Steps.abort(seen, bad)
    }

    fn promote_full(&self, seen: &Seen<'_>, wanted: Option<&str>) -> Requests {
        Steps.promote_full(seen, wanted)
    }

    fn restore(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood) -> Requests {
        Steps.restore(seen, attempt, good)
    }

    fn restart(&self, seen: &Seen<'_>, attempt: &AttemptId, at: DateTime<Utc>) -> Requests {
        Steps.restart(seen, attempt, at)
    }

    fn ways_back(&self) -> &'static [Call] {
        Steps.ways_back()
    }
}

/// The Deployment that a Rollout takes its template from.
pub(crate) fn key(facts: &Facts) -> Option<Key> {
    let (kind, name) = facts.reference.as_deref()?;
    let deployment = || Key { kind: Kind::Deployment, name: name.clone(), ..facts.workload.key.clone() };
    (kind == "Deployment").then(deployment)
}

/// The object as it would read if it held its template itself.
pub(crate) fn with_template(object: &mut Value, source: &Value) {
    if let (Some(spec), Some(template)) = (object["spec"].as_object_mut(), source.pointer("/spec/template")) {
        spec.insert("template".to_owned(), template.clone());
    }
}

fn source<'a>(seen: &Seen<'a>) -> Result<&'a Facts, String> {
    seen.source.ok_or_else(|| {
        let (kind, name) = match seen.facts.reference.as_deref() {
            Some((kind, name)) => (kind.as_str(), name.as_str()),
            None => ("nothing", ""),
        };
        let why = if kind == "Deployment" { "is not there" } else { "Tidegate does not change" };
        format!(
            "{} takes its template from {kind} {name} (spec.workloadRef), which {why}. Change the template there by \
             hand.",
            seen.workload.key.name
        )
    })
}

/// Holds as long as nobody has changed the Deployment's template since it was looked at.
fn ours_alone(source: &Facts) -> Patch {
    if !source.annotated {
        return Patch::new().test("/metadata/annotations", Value::Null);
    }
    let mark = source.workload.attempt.as_deref().map_or(Value::Null, Value::from);
    let patch = Patch::new().test(&annotation(ATTEMPT), mark);
    match source.revision {
        Some(revision) => patch.test(&annotation("deployment.kubernetes.io/revision"), revision.to_string()),
        None => patch,
    }
}

#[cfg(test)]
mod tests;
