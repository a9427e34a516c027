//! The patches for a plain Deployment. Pure.
//!
//! Kubernetes has no rollback of its own: going back is writing the old template. While `spec.paused` is set
//! the API server takes a template and nothing happens, so both go in one patch.

use crate::observe::{ATTEMPT, Facts, RELEASE, ROLLBACK};
use crate::patch::{Patch, annotation};
use crate::rollout::{images, note};
use model::plan::Plan;
use model::release::KnownGood;
use model::{AttemptId, ReleaseId};

/// The annotation in which the controller numbers the revision it has made last.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The new images and the way back, in one patch: the Deployment rolls out at its own pace from there.
///
/// # Errors
/// In words, when this Deployment is not to be deployed to now.
pub(crate) fn deploy(
    facts: &Facts,
    attempt: &AttemptId,
    plan: &Plan,
    good: &KnownGood,
    release: ReleaseId,
) -> Result<Patch, String> {
    let w = &facts.workload;
    if w.spec_paused {
        return Err(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
    }
    let note = note(&w.key.name, good)?;
    let mut patch = Patch::new()
        // Exactly what was recorded as the way back is what the new images are put into.
        .test("/spec/template", good.template.clone());
    if let Some(revision) = facts.revision {
        patch = patch.test(&annotation(REVISION), revision.to_string());
    }
    let release = release.to_string();
    Ok(images(patch, w, plan, good)?
        .annotate(facts.annotated, &[(ATTEMPT, &attempt.0), (RELEASE, &release), (ROLLBACK, &note)]))
}

/// In the middle of a roll-out: no further pod is replaced.
pub(crate) fn pause(facts: &Facts, attempt: &AttemptId) -> Patch {
    Patch::new().add("/spec/paused", true).annotate(facts.annotated, &[(ATTEMPT, &attempt.0)])
}

/// The known-good template, and no pause.
pub(crate) fn revert(facts: &Facts, attempt: &AttemptId, good: &KnownGood) -> Patch {
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
