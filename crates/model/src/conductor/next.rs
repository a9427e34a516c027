//! The decision itself: which of the three situations a release is in, and what they have in common.

use super::{Decision, Effect, Input, Record, back, forward, settle};
use crate::release::{Course, Release, State, Tried};
pub(super) use crate::rollback::{good_images, wants_good};
use crate::workload::Workload;
use chrono::{DateTime, TimeDelta, Utc};

/// Why the controller stands at a pause step (`status.pauseConditions[].reason`).
pub(super) const AT_PAUSE: &str = "CanaryPauseStep";
/// The same for a blue-green update whose preview is up.
pub(super) const AT_SWITCH: &str = "BlueGreenPause";
/// How long an announced effect may stay unseen before it counts as not done.
pub(super) const UNSEEN: TimeDelta = TimeDelta::seconds(5);
/// How long a watch may lag behind an effect that the API server has acknowledged.
const LAG: TimeDelta = TimeDelta::seconds(10);
/// An abort can be erased by the controller without a word: look again soon, and send it again.
const LAG_OF_ABORT: TimeDelta = TimeDelta::seconds(1);

/// What to do next. Total: it has an answer for every input, and the same answer for the same input.
///
/// Levels, not edges: whatever was announced is settled by what is *seen*, never repeated blindly; a release whose
/// course was left is driven towards the known-good version from any state; nothing that raises the canary's
/// weight is ever answered unless the course is forward, nobody holds it, the approvals stand, the digest is the
/// approved one and no verdict failed.
pub fn next(input: &Input<'_>) -> Decision {
    let r = input.release;
    match (r.state, r.course) {
        (
            State::RolledBack | State::Succeeded | State::Failed | State::Cancelled,
            Course::Forward | Course::Abort | Course::RollBack,
        ) => wait(None, "It is over."),
        // Cannot be stored by any rule of ours. The safe reading of it is the one that takes traffic away.
        (State::RollingBack, Course::Forward) => record(Record::TurnBack {
            why: "The record said both forward and back. Back is the safe way.".into(),
        }),
        (State::Queued | State::Running | State::Waiting | State::Paused, Course::Forward) => {
            settle::pending(input).unwrap_or_else(|| forward::forward(input))
        }
        (
            State::Queued | State::Running | State::Waiting | State::Paused | State::RollingBack,
            Course::Abort | Course::RollBack,
        ) => settle::pending(input).unwrap_or_else(|| back::back(input)),
    }
}

pub(super) fn wait(until: Option<DateTime<Utc>>, why: impl Into<String>) -> Decision {
    Decision::Wait { until, why: why.into() }
}

pub(super) fn record(r: Record) -> Decision {
    Decision::Record(r)
}

pub(super) fn end(state: State, why: impl Into<String>) -> Decision {
    record(Record::End { state, why: why.into() })
}

/// Waits in a state: records the state's word first if it is not yet the release's own. What a person must do
/// something about is recorded again when its reason changes; running along is not.
pub(super) fn stand(
    r: &Release,
    state: State,
    until: Option<DateTime<Utc>>,
    why: impl Into<String>,
) -> Decision {
    let why = why.into();
    let moving = matches!(state, State::Running | State::RollingBack);
    let said = r.state == state && (moving || r.note.as_deref() == Some(why.as_str()));
    if said { Decision::Wait { until, why } } else { record(Record::Become { state, why }) }
}

/// Later by `d`, never beyond the calendar's end.
pub(super) fn after(t: DateTime<Utc>, d: TimeDelta) -> DateTime<Utc> {
    t.checked_add_signed(d).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Has `d` passed since `t`? A `t` further in the future than `d` is a clock that was set back, and counts as long
/// ago: waiting for it could take for ever.
pub(super) fn passed(t: DateTime<Utc>, d: TimeDelta, now: DateTime<Utc>) -> bool {
    let age = now.signed_duration_since(t);
    age >= d || age < -d
}

/// The newest recorded attempt of an effect's kind.
pub(super) fn tried<'a>(r: &'a Release, effect: &Effect) -> Option<&'a Tried> {
    r.tried.iter().rev().find(|t| t.effect.same_kind(effect))
}

/// May this effect be begun now, or only at a later time? One that was just done gets time to show; one that
/// failed to happen is tried again after a growing while, a way back always soon.
pub(super) fn ready(r: &Release, effect: &Effect, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
    let Some(t) = tried(r, effect).filter(|t| t.effect == *effect) else {
        return Ok(());
    };
    let pause = if t.happened {
        if *effect == Effect::Abort { LAG_OF_ABORT } else { LAG }
    } else {
        let most = if effect.raises() { 30 } else { 2 };
        let doubled = 1i64.checked_shl(t.times.saturating_sub(1).min(10)).unwrap_or(most);
        TimeDelta::seconds(doubled.min(most))
    };
    if passed(t.at, pause, now) { Ok(()) } else { Err(after(t.at, pause)) }
}

/// Has the change reached the cluster, by our own record?
pub(super) fn deployed(r: &Release) -> bool {
    r.canary_hash.is_some() || tried(r, &Effect::Deploy).is_some_and(|t| t.happened)
}

/// The object wants the plan's images.
pub(super) fn ours(r: &Release, w: &Workload) -> bool {
    !r.images.is_empty() && r.images.iter().all(|(name, image)| w.images.get(name) == Some(image))
}

pub(super) fn reached(w: &Workload, id: &crate::ids::AttemptId) -> bool {
    w.attempt.as_deref() == Some(id.0.as_str())
}

/// The object carries the mark of one of the release's own attempts, the deploy being the first of them: what is
/// seen is certainly from after the deploy reached the cluster. Where the template is a Deployment's, that one's mark
/// tells as soon as the template may have been changed.
pub(super) fn marked(r: &Release, w: &Workload) -> bool {
    newest_mark(r, w).is_some()
}

/// The same since the newest deploy: one that was torn, in the midst of its requests, is sent again.
pub(super) fn marked_since_deploy(r: &Release, w: &Workload) -> bool {
    let number = |id: &str| crate::ids::AttemptId::number(id, r.id);
    let deploy = tried(r, &Effect::Deploy).filter(|t| t.happened).and_then(|t| number(&t.id.0));
    newest_mark(r, w).is_some_and(|mark| deploy.is_none_or(|deploy| mark >= deploy))
}

fn newest_mark(r: &Release, w: &Workload) -> Option<u32> {
    let number = |mark: &str| crate::ids::AttemptId::number(mark, r.id);
    if w.workload_ref && tried(r, &Effect::TakeOver).is_some() {
        return source_mark(w).and_then(number);
    }
    let twin = w.twin.as_ref().and_then(|t| t.attempt.as_deref());
    [w.attempt.as_deref(), twin].into_iter().flatten().filter_map(number).max()
}

/// The mark on the Deployment that the template is taken from.
pub(super) fn source_mark(w: &Workload) -> Option<&str> {
    w.source.as_ref()?.attempt.as_deref()
}

/// A deploy that was taken as not done is in the cluster after all.
pub(super) fn landed_late(r: &Release, w: &Workload) -> bool {
    if deployed(r) || tried(r, &Effect::Deploy).is_none() {
        return false;
    }
    let beside = w.twin.as_ref().and_then(|t| t.attempt.as_deref());
    beside.is_some_and(|mark| crate::ids::AttemptId::is_of(mark, r.id))
        // Only the steps are there by then, not yet the images.
        || w.workload_ref && marked(r, w)
        || ours(r, w) && (marked(r, w) || w.in_flight())
}

pub(super) fn landed() -> Decision {
    record(Record::Settle { happened: true, words: "It reached the cluster late.".into() })
}

pub(super) fn at_pause(w: &Workload) -> bool {
    w.pauses.iter().any(|p| p == AT_PAUSE)
}

/// The controller waits with the switch.
pub(super) fn at_switch(w: &Workload) -> bool {
    w.pauses.iter().any(|p| p == AT_SWITCH)
}

/// Users are on the version that the workload wants, by the active Service's selector.
pub(super) fn switched(w: &Workload) -> bool {
    w.active_hash.is_some() && w.active_hash == w.current_hash
}

/// The controller's own words, as a sentence after a colon, or nothing.
pub(super) fn its_words(w: &Workload) -> String {
    w.message.as_deref().filter(|m| !m.is_empty()).map_or_else(|| ".".into(), |m| format!(": {m}"))
}
