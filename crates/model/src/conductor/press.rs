//! What a person's press does to a release. Whether the press is allowed is asked before, by role and by state;
//! these only write it down the same way everywhere.

use super::Effect;
use crate::release::{Course, Hold, KnownGood, Release, State};
use chrono::{DateTime, Utc};

/// Holds the release where it is: the bake's clock stops, nothing rises.
pub fn hold(release: &mut Release, by: &str, why: Option<String>, now: DateTime<Utc>) {
    if release.state.ended() || release.course != Course::Forward || release.hold.is_some() {
        return;
    }
    release.baked = release.baked_at(now);
    release.hold = Some(Hold { since: now, by: by.to_owned(), why });
    release.state = State::Paused;
    release.note = Some(super::words::held(release));
}

/// Takes the hold back: the clock goes on from where it stopped.
pub fn resume(release: &mut Release, now: DateTime<Utc>) {
    if release.hold.take().is_none() || release.state.ended() {
        return;
    }
    if release.step_since.is_some() {
        release.step_since = Some(now);
    }
    if release.course == Course::Forward {
        release.state = if super::next::deployed(release) { State::Running } else { State::Queued };
        release.note = None;
    }
}

/// Moves on past waiting at a step: its bake and an analysis without data. Never past a fail, never past an
/// approval gate: those are part of what was approved.
pub fn waive(release: &mut Release, step: usize, by: &str) {
    release.waived.insert(step, by.to_owned());
}

/// Opens a step's approval gate.
pub fn open_gate(release: &mut Release, step: usize, by: &str) {
    release.opened.insert(step, by.to_owned());
}

/// Leaves the course forward, for good. A rollback outranks an abort; nothing leads forward again.
pub fn leave(release: &mut Release, course: Course, why: Option<&str>, now: DateTime<Utc>) {
    if release.state.ended() || course == Course::Forward {
        return;
    }
    if release.course == Course::Forward || course == Course::RollBack {
        release.course = course;
    }
    if let Some(why) = why {
        release.reason.get_or_insert_with(|| why.to_owned());
    }
    release.turned_back.get_or_insert(now);
    release.state = State::RollingBack;
    release.hold = None;
}

/// Leads the way back to another known-good version than was recorded. What was proved and tried was about that one.
pub fn lead_to(release: &mut Release, good: KnownGood, now: DateTime<Utc>) {
    if release.known_good.hash == good.hash {
        return;
    }
    // Steps and switch are the workload's as they were before this release, whichever version goes back in.
    let (steps, blue_green) = (release.known_good.steps.take(), release.known_good.blue_green.take());
    release.known_good = KnownGood { steps, blue_green, ..good };
    release.proved.clear();
    release.recovered = None;
    // Whether users may have been switched, or the workload paused, is not about either version.
    release.tried.retain(|t| {
        matches!(
            t.effect,
            Effect::Deploy
                | Effect::Switch
                | Effect::Weigh { .. }
                | Effect::HandBack
                | Effect::Pause
                | Effect::Resume
        )
    });
    if release.course != Course::Forward {
        release.rerouted = Some(now);
    }
}

/// Ends the way back where it began: the release's own version had carried all traffic, and keeps it.
pub fn stay(release: &mut Release, why: &str, now: DateTime<Utc>) {
    if release.state != State::RollingBack {
        return;
    }
    // As it had ended before: nothing is driven any more. A course that was left stays left.
    release.state = State::Succeeded;
    release.turned_back = None;
    release.rerouted = None;
    release.reason = Some(why.to_owned());
    release.ended = Some(now);
    release.attempt = None;
    release.proved.clear();
    release.recovered = None;
}
