//! How a record changes a release. The only way the conductor's words become state, in production and in the
//! simulation alike.

use super::{Effect, Record};
use crate::ids::AttemptId;
use crate::release::{Attempt, Course, Release, State, Tried};
use crate::span::Span;
use chrono::{DateTime, Utc};

/// Announces an effect: to be stored *before* the call goes out. The first weight is allowed from here on, so that
/// the ceiling never lags behind the cluster.
pub fn begin(release: &mut Release, id: AttemptId, effect: Effect, now: DateTime<Utc>) {
    if effect == Effect::Deploy && release.step.is_none() {
        release.step = Some(0);
    }
    release.attempts = release.attempts.saturating_add(1);
    release.attempt = Some(Attempt { id, effect, begun: now });
}

/// Applies a record. A release that has ended never changes again.
pub fn apply(release: &mut Release, record: &Record, now: DateTime<Utc>) {
    if release.state.ended() {
        return;
    }
    match record {
        Record::Settle { happened, words } => settle(release, *happened, words, now),
        Record::CanaryNamed(hash) => release.canary_hash = Some(hash.clone()),
        Record::StepReached { step, .. } => {
            release.step = Some(*step);
            release.step_since = Some(now);
            release.baked = Span::ZERO;
        }
        Record::StepPassed { step, next } => {
            release.passed.push(now);
            if next.is_some() {
                release.step = Some(step + 1);
                release.step_since = None;
                release.baked = Span::ZERO;
            }
        }
        Record::Become { state, why } => {
            release.state = *state;
            release.note = Some(why.clone());
        }
        Record::TurnBack { why } => {
            release.by_itself |= release.course == Course::Forward;
            super::leave(release, Course::RollBack, Some(why), now);
        }
        Record::Proved(proofs) => {
            for proof in proofs {
                release.proved.entry(*proof).or_insert(now);
            }
        }
        Record::End { state, why } => {
            release.state = *state;
            release.reason.get_or_insert_with(|| why.clone());
            release.note = Some(why.clone());
            release.ended = Some(now);
            release.hold = None;
            release.attempt = None;
        }
    }
}

fn settle(release: &mut Release, happened: bool, words: &str, now: DateTime<Utc>) {
    let (id, effect) = match (
        release.attempt.take(),
        release.tried.iter().rev().find(|t| t.effect == Effect::Deploy && !t.happened),
    ) {
        (Some(Attempt { id, effect, .. }), _) => (id, effect),
        // What was taken as not done is seen after all.
        (None, Some(late)) if happened => (late.id.clone(), late.effect.clone()),
        (None, _) => return,
    };
    if effect == Effect::Deploy {
        if happened {
            release.started.get_or_insert(now);
            if release.course == Course::Forward && release.hold.is_none() {
                release.state = State::Running;
                release.note = None;
            }
        } else if release.started.is_none() {
            release.step = None;
        }
    }
    let times = match release.tried.iter().find(|t| t.effect == effect) {
        Some(before) if !happened && !before.happened => before.times.saturating_add(1),
        _ => 1,
    };
    release.tried.retain(|t| !t.effect.same_kind(&effect));
    release.tried.push(Tried { id, effect, at: now, happened, times, words: words.to_owned() });
}
