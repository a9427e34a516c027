//! Closing an announced effect by what is seen. After a crash nobody remembers whether the call went out: the
//! cluster does.

use super::next::{
    UNSEEN, after, at_pause, at_switch, ours, passed, reached, record, source_mark, switched, tried, wait,
    wants_good,
};
use super::{Decision, Effect, Input, Record};
use crate::ids::AttemptId;
use crate::plan::Strategy;
use crate::release::{Attempt, Course, Release};
use crate::workload::Workload;

/// What the pending attempt calls for; `None` when there is none.
pub(super) fn pending(i: &Input<'_>) -> Option<Decision> {
    let attempt = i.release.attempt.as_ref()?;
    let Some(w) = i.seen else {
        return Some(settle(false, "The workload is gone from the cluster."));
    };
    if visible(i, attempt, w) {
        return Some(settle(true, "Seen in the cluster."));
    }
    if moot(i.release, &attempt.effect) {
        return Some(settle(false, "Not seen when the release turned back."));
    }
    if passed(attempt.begun, UNSEEN, i.now) {
        return Some(settle(false, "Not seen in the cluster within 5 s: made void, taken as not done."));
    }
    Some(wait(Some(after(attempt.begun, UNSEEN)), "Waiting to see the last change in the cluster."))
}

/// The way back need not wait for a raise that has not landed: the revert that follows puts its own mark on the object,
/// and then it can no longer land. A deploy is not followed by one unless it is known to have reached the cluster.
fn moot(r: &Release, effect: &Effect) -> bool {
    let raise = matches!(
        effect,
        Effect::OpenPause { .. }
            | Effect::Switch
            | Effect::Scale { .. }
            | Effect::Weigh { .. }
            | Effect::TakeOver
            | Effect::Pause
            | Effect::Resume
            | Effect::RestoreSteps
    );
    raise && r.course != Course::Forward
}

/// The announced attempt that must be made void in the cluster before it may be recorded as not done: its sender may
/// only be asleep, and its patch on the way.
pub fn to_be_voided<'a>(r: &'a Release, record: &Record) -> Option<&'a AttemptId> {
    let attempt = r.attempt.as_ref()?;
    let unseen = matches!(record, Record::Settle { happened: false, .. });
    (unseen && !moot(r, &attempt.effect)).then_some(&attempt.id)
}

fn settle(happened: bool, words: &str) -> Decision {
    record(Record::Settle { happened, words: words.into() })
}

fn visible(i: &Input<'_>, attempt: &Attempt, w: &Workload) -> bool {
    let r = i.release;
    let promoted = w.current_hash.is_some() && w.current_hash == w.stable_hash;
    match attempt.effect {
        Effect::Deploy if super::twin::drives(i.plan, w) => {
            w.twin.as_ref().is_some_and(|t| t.attempt.as_deref() == Some(attempt.id.0.as_str()))
        }
        Effect::Scale { to, .. } => w.twin.as_ref().is_none_or(|t| t.desired == to),
        Effect::Weigh { .. } => w.weight_mark() == Some(attempt.id.0.as_str()),
        Effect::TakeOver => template_reached(w, &attempt.id),
        Effect::Retire => !w.anything_of_ours(),
        Effect::Deploy => reached(w, &attempt.id) || walked(i) && our_steps(i, w) && ours(r, w),
        Effect::OpenPause { from } => opened(r, w, from, promoted),
        Effect::Switch if super::twin::drives(i.plan, w) => {
            w.all_switched() && w.fronts.iter().all(|f| f.attempt.as_deref() == Some(attempt.id.0.as_str()))
        }
        Effect::HandBack if w.weight_mark().is_some() || w.canary_weight().is_some() => {
            !w.any_sent() && w.weight_mark() == Some(attempt.id.0.as_str())
        }
        Effect::HandBack => {
            w.fronts.iter().all(|f| !f.switched && f.attempt.as_deref() == Some(attempt.id.0.as_str()))
        }
        Effect::Switch => {
            let canary = r.canary_hash.is_some() && w.current_hash == r.canary_hash;
            canary && (switched(w) || !at_switch(w) && !w.abort && w.observed())
        }
        Effect::Pause => w.spec_paused,
        Effect::Resume | Effect::Unpause => !w.spec_paused,
        Effect::Abort => w.abort || promoted || w.weights.is_some_and(|s| s.canary == 0),
        // The known-good hash alone proves nothing before the canary was ever seen: the cache may be older still. Nor
        // where a take-over may yet land: only the revert's own mark keeps it from that.
        Effect::Revert => {
            let told_by_hash = r.canary_hash.is_some() && tried(r, &Effect::TakeOver).is_none();
            template_reached(w, &attempt.id) || told_by_hash && wants_good(r, w) && w.observed()
        }
        Effect::PromoteFull => w.promote_full || promoted,
        Effect::RestoreSteps => reached(w, &attempt.id) || walked(i) && w.step_count != steps_of_plan(i),
    }
}

/// The object that holds the template carries the attempt's mark.
fn template_reached(w: &Workload, id: &AttemptId) -> bool {
    if w.workload_ref { source_mark(w) == Some(id.0.as_str()) } else { reached(w, id) }
}

/// A pause counts as open when the controller is past it, or when it stands there and its condition is gone.
fn opened(r: &Release, w: &Workload, from: i32, promoted: bool) -> bool {
    let canary = r.canary_hash.is_some() && w.current_hash == r.canary_hash;
    let at = w.step_index.unwrap_or(0);
    canary && (promoted || at > from || at == from && !at_pause(w) && !w.abort && w.observed())
}

/// The plan's steps stand in the Rollout.
fn walked(i: &Input<'_>) -> bool {
    matches!(i.plan.spec.strategy, Strategy::Canary(_))
}

/// Steps of the plan as the Rollout walks them: each weight and a pause; none after a last one that holds for nothing.
fn steps_of_plan(i: &Input<'_>) -> i32 {
    let steps = i.plan.steps();
    let unheld = i32::from(steps.last().is_some_and(|s| !s.holds()));
    i.plan.pause_of(steps.len()).saturating_sub(1 + unheld)
}

pub(super) fn our_steps(i: &Input<'_>, w: &Workload) -> bool {
    w.step_count == steps_of_plan(i)
}
