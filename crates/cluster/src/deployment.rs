//! The patches for a plain Deployment. Pure.
//!
//! Kubernetes has no rollback of its own: going back is writing the old template. While `spec.paused` is set
//! the API server takes a template and nothing happens, so both go in one patch.

use crate::observe::{ATTEMPT, Facts};
use crate::patch::{Patch, annotation};
use model::AttemptId;
use model::release::KnownGood;

/// The annotation in which the controller numbers the revision it has made last.
const REVISION: &str = "deployment.kubernetes.io/revision";

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
