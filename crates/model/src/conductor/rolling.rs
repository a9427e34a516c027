//! Forward with a Deployment: its own controller replaces the pods, Tidegate holds, bakes and opens the gates.
//!
//! There is no weight to hold: a hold pauses the Deployment itself, in the middle of it if need be. What has rolled
//! out by then stays as it is.

use super::forward::{barred, gates, unapproved};
use super::next::{end, ready, record, stand, tried, wait};
use super::{Decision, Effect, Input, Record};
use crate::release::{Release, State};
use crate::workload::{Phase, Workload};

/// The Deployment wants this release's version, and the controller has seen that.
pub(super) fn rolling(i: &Input<'_>, w: &Workload) -> Decision {
    let r = i.release;
    let done = w.stable_hash == w.current_hash && w.phase == Phase::Healthy;
    if !done && let Some(decision) = held(i, w) {
        return decision;
    }
    if !done {
        let why = format!("{} of {} pods are on {} and ready.", on_new(w), w.replicas, r.version());
        return stand(r, State::Running, None, why);
    }
    if r.step_since.is_none() {
        return record(Record::StepReached { step: 0, weight: 100 });
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if r.passed.is_empty() {
        let Some(step) = i.plan.steps().first() else {
            return end(State::Failed, "The plan has no step.");
        };
        return gates(i, 0, step);
    }
    end(State::Succeeded, format!("{} runs on all pods, and is healthy.", r.version()))
}

/// Pauses and resumes the Deployment as the release is held and resumed. Somebody else's pause is left alone.
pub(super) fn held(i: &Input<'_>, w: &Workload) -> Option<Decision> {
    let r = i.release;
    let act = |effect: Effect, why: &str| match ready(r, &effect, i.now) {
        Ok(()) => Decision::Act(effect),
        Err(until) => wait(Some(until), why),
    };
    if r.hold.is_some() && !w.spec_paused {
        return Some(act(Effect::Pause, "Pausing the Deployment."));
    }
    if r.hold.is_none() && w.spec_paused && paused_by_us(r) {
        return Some(unapproved(i).unwrap_or_else(|| act(Effect::Resume, "Resuming the Deployment.")));
    }
    barred(i, w)
}

/// Our pause happened, and no resume after it.
fn paused_by_us(r: &Release) -> bool {
    let at = |effect: &Effect| tried(r, effect).filter(|t| t.happened).map(|t| t.at);
    at(&Effect::Pause).is_some_and(|paused| at(&Effect::Resume).is_none_or(|resumed| resumed <= paused))
}

pub(super) fn on_new(w: &Workload) -> i32 {
    w.current_hash.as_deref().and_then(|h| w.revision(h)).map_or(0, |r| r.ready)
}
