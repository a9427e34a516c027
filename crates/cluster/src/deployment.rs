//! The patches for a plain Deployment. Pure.
//!
//! Kubernetes has no rollback of its own: going back is writing the old template. While `spec.paused` is set
//! the API server takes a template and nothing happens, so both go in one patch.

use crate::driver::{Driver, Incoming, Request, Requests, Seen, at_rest, mark, second};
use crate::observe::{ATTEMPT, Facts};
use crate::patch::{Patch, annotation};
use crate::rollout::images;
use crate::{front, httproute, splitter};
use chrono::{DateTime, Utc};
use model::AttemptId;
use model::known_good::RESTARTED_AT;
use model::release::KnownGood;
use model::rollback::Call;
use serde_json::{Value, json};

/// The annotation in which the controller numbers the revision it has made last.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Drives a Deployment by its own rolling update.
#[derive(Debug)]
pub(crate) struct Rolling;

impl Driver for Rolling {
    fn name(&self) -> &'static str {
        "a Deployment"
    }

    fn deploy(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        Ok(vec![Request::marked(&seen.workload.key, deploy(seen.facts, attempt, new)?)])
    }

    fn pause(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        Ok(vec![Request::marked(&seen.workload.key, paused(seen.facts, true, attempt))])
    }

    fn unpause(&self, seen: &Seen<'_>, attempt: Option<&AttemptId>) -> Requests {
        // On the way back the template and the end of the pause go in one patch: unpaused before it, the
        // Deployment would go on with the bad version.
        let attempt = attempt.ok_or("A Deployment is unpaused by the patch that reverts it.")?;
        Ok(vec![Request::marked(&seen.workload.key, paused(seen.facts, false, attempt))])
    }

    fn revert(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood, _window: bool) -> Requests {
        Ok(vec![Request::marked(&seen.workload.key, revert(seen.facts, attempt, good))])
    }

    /// Also where nothing stands beside it any more: a switch may still be on its way.
    fn hand_back(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        splitter::hand_back(seen, attempt).unwrap_or_else(|| front::hand_back(seen, attempt))
    }

    /// The second Deployment is gone, by whomever; what of ours stands in the user's own HTTPRoute is not.
    fn retire(&self, seen: &Seen<'_>) -> Requests {
        Ok(httproute::weights::clean(seen))
    }

    fn restore(&self, _: &Seen<'_>, _: &AttemptId, _: &KnownGood) -> Requests {
        Ok(Vec::new())
    }

    /// As `kubectl rollout restart` does it: a mark in the template, for which it rolls out anew.
    fn restart(&self, seen: &Seen<'_>, attempt: &AttemptId, at: DateTime<Utc>) -> Requests {
        let (w, facts) = (seen.workload, seen.facts);
        at_rest(w)?;
        if w.spec_paused {
            return Err(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
        }
        let mut patch = Patch::new();
        if let Some(revision) = facts.revision {
            patch = patch.test(&annotation(REVISION), revision.to_string());
        }
        if !facts.template_annotated {
            let all = "/spec/template/metadata/annotations";
            patch = patch.test(all, Value::Null).add(all, json!({}));
        }
        let mark = annotation(RESTARTED_AT).replacen("/metadata", "/spec/template/metadata", 1);
        patch = patch.add(&mark, second(at)).annotate(facts.annotated, &[(ATTEMPT, &attempt.0)]);
        Ok(vec![Request::marked(&w.key, patch)])
    }

    fn ways_back(&self) -> &'static [Call] {
        &[Call::Revert]
    }
}

/// The new images and the way back, in one patch: the Deployment rolls out at its own pace from there.
///
/// # Errors
/// In words, when this Deployment is not to be deployed to now.
fn deploy(facts: &Facts, attempt: &AttemptId, new: &Incoming<'_>) -> Result<Patch, String> {
    let w = &facts.workload;
    if w.spec_paused {
        return Err(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
    }
    let mut patch = Patch::new()
        // Exactly what was recorded as the way back is what the new images are put into.
        .test("/spec/template", new.good.template.clone());
    if let Some(revision) = facts.revision {
        patch = patch.test(&annotation(REVISION), revision.to_string());
    }
    mark(images(patch, w, new.plan, new.good)?, facts, attempt, new)
}

/// Paused in the middle of a roll-out, no further pod is replaced.
fn paused(facts: &Facts, paused: bool, attempt: &AttemptId) -> Patch {
    Patch::new().add("/spec/paused", paused).annotate(facts.annotated, &[(ATTEMPT, &attempt.0)])
}

/// The known-good template, and no pause.
fn revert(facts: &Facts, attempt: &AttemptId, good: &KnownGood) -> Patch {
    let mut patch = Patch::new();
    if let Some(revision) = facts.revision {
        // Nobody else has deployed since this was looked at.
        patch = patch.test(&annotation(REVISION), revision.to_string());
    }
    patch
        .replace("/spec/template", good.template.clone())
        .add("/spec/paused", false)
        .annotate(facts.annotated, &[(ATTEMPT, &attempt.0)])
}
