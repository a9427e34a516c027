//! One driver for each kind of workload and strategy: which requests an operation takes, on which objects, in
//! which order. Pure: [`crate::Cluster`] gathers what is seen and sends what comes back.
//!
//! Each request carries its own preconditions and is sent only when the one before it was taken. So an operation
//! that breaks off in the middle has done its first part, and the next look at the workload tells what is missing.

use crate::front::Service;
use crate::httproute::Route;
use crate::ingress::Ingress;
use crate::observe::{ATTEMPT, Facts, RELEASE, ROLLBACK};
use crate::patch::Patch;
use crate::send::Part;
use crate::{deployment, reference, rollout, twin};
use chrono::{DateTime, Utc};
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::Call;
use model::workload::{Front, Key, Strategy, Workload};
use model::{AttemptId, ReleaseId};
use serde_json::Value;
use std::sync::Arc;

/// One request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub key: Key,
    pub what: What,
    /// It carries the attempt's id, so that a second one under the same id is told from a first.
    pub marked: bool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Patch(Part, Patch),
    /// A new object, which carries the attempt's id.
    Create(Part, Value),
    /// Only the object with this UID, which Tidegate made. That it is gone already is as good.
    Delete(String),
}

impl Request {
    /// Changes an object and leaves the attempt's mark there.
    pub(crate) fn marked(key: &Key, patch: Patch) -> Self {
        Self { key: key.clone(), what: What::Patch(Part::Main, patch), marked: true }
    }

    /// It is for the workload itself, not for what stands around it.
    pub(crate) fn is_of(&self, w: &Workload) -> bool {
        self.key == w.key
            && !matches!(self.what, What::Patch(Part::Service | Part::Ingress | Part::HttpRoute, _))
    }

    pub(crate) fn unmarked(key: &Key, patch: Patch) -> Self {
        Self { marked: false, ..Self::marked(key, patch) }
    }

    /// For `/status`, which has no place for a mark.
    pub(crate) fn status(key: &Key, patch: Patch) -> Self {
        Self { key: key.clone(), what: What::Patch(Part::Status, patch), marked: false }
    }
}

/// What an operation takes, in order; nothing where it is done already. In words, why it is not to be.
pub(crate) type Requests = Result<Vec<Request>, String>;

/// The workload as a driver sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub workload: &'a Workload,
    pub facts: &'a Facts,
    /// The second Deployment beside it.
    pub twin: Option<&'a Facts>,
    /// The Services in front of it, in the order of the workload's `fronts`.
    pub fronts: &'a [Arc<Service>],
    /// The Ingress that leads to those.
    pub ingress: Option<&'a Ingress>,
    /// The HTTPRoutes that lead to those, or are marked for it.
    pub routes: &'a [Arc<Route>],
    /// The Deployment that a Rollout's `workloadRef` names.
    pub source: Option<&'a Facts>,
    /// The whole object, where a version is brought in by a second one like it.
    pub object: Option<&'a Value>,
}

/// A version that is to be brought in, and the way back from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub plan: &'a Plan,
    pub good: &'a KnownGood,
    pub release: ReleaseId,
}

/// What can be done to a workload. What a driver does not say it cannot do.
pub(crate) trait Driver: Sync {
    /// As errors name it: `a Deployment`.
    fn name(&self) -> &'static str;

    /// Brings a version in, as far as the plan's first step.
    fn deploy(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests;

    /// Opens the pause at step `from` of a Rollout's steps, and no other.
    fn open_pause(&self, seen: &Seen<'_>, from: i32) -> Requests {
        let _ = from;
        self.cannot(seen, "has no steps")
    }

    /// Sends all users to the version `hash`, whose pods are up beside those they are on.
    /// `decided`: the Services in front of it when that was decided.
    fn switch(&self, seen: &Seen<'_>, attempt: &AttemptId, hash: &str, decided: &[Front]) -> Requests {
        let _ = (attempt, hash, decided);
        self.cannot(seen, "has no switch")
    }

    /// Holds it where it is, in the middle of a roll-out.
    fn pause(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        let _ = attempt;
        self.cannot(seen, "is held by its steps, not by a pause")
    }

    /// Takes `spec.paused` away. Without an attempt on the way back: that mark belongs to the revert.
    fn unpause(&self, seen: &Seen<'_>, attempt: Option<&AttemptId>) -> Requests;

    /// Traffic back to stable, as long as the newest revision is `bad` (`None`: the one last seen).
    fn abort(&self, seen: &Seen<'_>, bad: Option<&str>) -> Requests {
        let _ = bad;
        self.cannot(seen, "has no abort")
    }

    /// The known-good version back; with `window` past the steps.
    fn revert(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood, window: bool) -> Requests;

    /// Skips what is left of the steps on the way to `wanted` (`None`: the newest revision), as long as it is the newest.
    fn promote_full(&self, seen: &Seen<'_>, wanted: Option<&str>) -> Requests {
        let _ = wanted;
        self.cannot(seen, "has no steps")
    }

    /// The second Deployment gets another number of pods.
    fn scale(&self, seen: &Seen<'_>, attempt: &AttemptId, from: i32, to: i32) -> Requests {
        let _ = (attempt, from, to);
        self.cannot(seen, "has no second Deployment beside it")
    }

    /// The user's own Deployment takes over the version that the second one has proven, or that a Rollout is to take
    /// from it.
    fn take_over(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        let _ = (attempt, new);
        self.cannot(seen, "has no second Deployment beside it")
    }

    /// Users back to its own pods.
    fn hand_back(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        let _ = attempt;
        self.cannot(seen, "has no second Deployment beside it")
    }

    /// The second Deployment goes.
    fn retire(&self, _: &Seen<'_>) -> Requests {
        Ok(Vec::new())
    }

    /// Puts back what was lent for the release: steps and windows.
    fn restore(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood) -> Requests;

    /// Replaces the pods that are older than `at` by others of the same version.
    fn restart(&self, seen: &Seen<'_>, attempt: &AttemptId, at: DateTime<Utc>) -> Requests;

    /// Every call that a rollback may take, to be tried when it is rehearsed.
    fn ways_back(&self) -> &'static [Call];

    /// One call of a way back.
    fn back(&self, call: Call, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood) -> Requests {
        match call {
            Call::Unpause => self.unpause(seen, None),
            Call::Abort => self.abort(seen, None),
            Call::Revert => self.revert(seen, attempt, good, false),
            Call::RevertThroughWindow => self.revert(seen, attempt, good, true),
            Call::PromoteFull => self.promote_full(seen, None),
            Call::HandBack => self.hand_back(seen, attempt),
            Call::Retire => self.retire(seen),
        }
    }

    fn cannot(&self, seen: &Seen<'_>, why: &str) -> Requests {
        Err(format!("{} is {}: it {why}.", seen.workload.key.name, self.name()))
    }
}

/// What is restarted is one version, and stays that.
///
/// # Errors
/// In words, in the middle of an update.
pub(crate) fn at_rest(w: &Workload) -> Result<(), String> {
    if w.in_flight() || w.abort {
        return Err(format!("{} is in the middle of an update. Restart it when that has ended.", w.key.name));
    }
    Ok(())
}

/// As Kubernetes writes a time.
pub(crate) fn second(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// The driver for a workload as it is, and for what the plan asks of it where it is the plan that decides.
pub(crate) fn of(w: &Workload, plan: Option<&Plan>) -> &'static dyn Driver {
    match w.strategy {
        Strategy::Rolling if w.twin.is_some() || w.any_switched() || plan.is_some_and(Plan::beside) => {
            &twin::Beside
        }
        Strategy::Canary | Strategy::BlueGreen if w.workload_ref => &reference::Referring,
        Strategy::Canary | Strategy::BlueGreen => &rollout::Steps,
        Strategy::Rolling => &deployment::Rolling,
    }
}

/// Whichever driver brings a version in, it leaves the same marks: whose attempt it was, for which release, and
/// the way back.
///
/// # Errors
/// In words, when the way back is too large for an annotation.
pub(crate) fn mark(
    patch: Patch,
    facts: &Facts,
    attempt: &AttemptId,
    new: &Incoming<'_>,
) -> Result<Patch, String> {
    let note = rollout::note(&facts.workload.key.name, new.good)?;
    let release = new.release.to_string();
    Ok(patch.annotate(facts.annotated, &[(ATTEMPT, &attempt.0), (RELEASE, &release), (ROLLBACK, &note)]))
}
