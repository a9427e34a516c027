//! Forward with a Rollout's own steps: its controller walks them, and stands only at a pause without end. There bake
//! and gates hold as at any step, and then a person opens that one pause.
//!
//! Between two such pauses the controller raises the weight by itself, so all of it is allowed from the first on, and
//! what bars a raise stops the controller: `spec.paused` keeps it at the step it is at.

use super::forward::{barred, confirmed, gates, open, promoted, unapproved};
use super::next::{at_pause, its_words, ready, record, stand, tried, wait};
use super::{Decision, Effect, Input, Record};
use crate::release::{Release, State};
use crate::workload::Workload;
use chrono::{DateTime, Utc};

/// The Rollout wants this release's version, and the controller has seen that.
pub(super) fn follow(i: &Input<'_>, w: &Workload) -> Decision {
    let (r, plan) = (i.release, i.plan);
    let done = r.passed.len().min(plan.steps().len().saturating_sub(1));
    if w.stable_hash == w.current_hash {
        // A hold that came too late must not outlive the release.
        return tidied(i, w).unwrap_or_else(|| promoted(i, w));
    }
    let (at, pause) = (w.step_index.unwrap_or(0), plan.pause_of(done));
    let left = done.checked_sub(1).map(|before| plan.pause_of(before));
    // What is reached is a fact, also while the release is held.
    if r.step_since.is_none()
        && at == pause
        && at_pause(w)
        && !w.spec_paused
        && let Some(weight) = plan.stands_at(done).and_then(|weight| confirmed(w, weight))
    {
        return record(Record::StepReached { step: done, weight });
    }
    let astray = at > pause || left.is_some_and(|from| at < from);
    let stands = at_pause(w) && (at == pause || left == Some(at));
    if let Some(decision) = halted(i, w, astray, stands) {
        return decision;
    }
    if astray {
        let why = if at > pause {
            "The canary is further than the plan allows: somebody opened its pause past Tidegate. Abort or roll back."
        } else {
            "The Rollout's steps were changed past Tidegate: it began again. Abort or roll back."
        };
        return stand(r, State::Paused, None, why);
    }
    if let Some(from) = left.filter(|from| at == *from) {
        return open(i, w, from);
    }
    let Some(step) = plan.steps().get(done).filter(|_| r.step_since.is_some()) else {
        let own = plan.own_steps(done).unwrap_or_else(|| "promotion".to_owned());
        let why = format!(
            "The Rollout walks its own steps ({own}), to {} at the most{}",
            plan.step_name(done),
            its_words(w)
        );
        return stand(r, State::Running, None, why);
    };
    if !stands {
        let why = "The Rollout does not stand at its own pause as it should. Waiting for the controller.";
        return stand(r, State::Running, None, why);
    }
    gates(i, done, step)
}

/// What bars the way, with the controller stopped by it where it would walk on, and started again where nothing does.
fn halted(i: &Input<'_>, w: &Workload, astray: bool, stands: bool) -> Option<Decision> {
    let r = i.release;
    let stops = astray || r.hold.is_some() || unapproved(i).is_some();
    if stops && !stands && !w.spec_paused {
        return Some(act(i, Effect::Pause, "Pausing the Rollout."));
    }
    if !w.spec_paused || !paused_by_us(r) {
        return barred(i, w);
    }
    if r.hold.is_some() {
        return Some(stand(r, State::Paused, None, super::words::held(r)));
    }
    if astray {
        return None;
    }
    Some(unapproved(i).unwrap_or_else(|| act(i, Effect::Resume, "Resuming the Rollout.")))
}

/// Our own pause, on a Rollout that has arrived.
fn tidied(i: &Input<'_>, w: &Workload) -> Option<Decision> {
    let ours = w.spec_paused && paused_by_us(i.release);
    ours.then(|| act(i, Effect::Unpause, "Taking the pause off."))
}

fn act(i: &Input<'_>, effect: Effect, why: &str) -> Decision {
    // A pause after a resume is another one: it does not wait until the first has had time to show.
    let ended = |paused| ended(i.release).is_some_and(|ended| ended > paused);
    let another = effect == Effect::Pause && happened(i.release, &effect).is_some_and(ended);
    match ready(i.release, &effect, i.now) {
        Err(until) if !another => wait(Some(until), why),
        Ok(()) | Err(_) => Decision::Act(effect),
    }
}

/// Our pause happened, and nothing that ended it after that.
pub(super) fn paused_by_us(r: &Release) -> bool {
    happened(r, &Effect::Pause).is_some_and(|paused| ended(r).is_none_or(|ended| ended <= paused))
}

/// A pause of ours was sent, and nothing ended one after that: once the course was left nobody asks whether it arrived, so it may
/// still.
pub(super) fn may_be_paused_by_us(r: &Release) -> bool {
    tried(r, &Effect::Pause).is_some_and(|pause| ended(r).is_none_or(|ended| ended <= pause.at))
}

fn ended(r: &Release) -> Option<DateTime<Utc>> {
    happened(r, &Effect::Resume).max(happened(r, &Effect::Unpause))
}

fn happened(r: &Release, effect: &Effect) -> Option<DateTime<Utc>> {
    tried(r, effect).filter(|t| t.happened).map(|t| t.at)
}
