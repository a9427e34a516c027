//! A Rollout that takes its template from a Deployment (`spec.workloadRef`): two objects, and no request that changes
//! both. So a release brings its version in by two effects. The deploy puts the plan's steps and the way back onto the
//! Rollout, which starts nothing while it is Healthy; only when the controller has seen them does the Deployment get the
//! new template. From then on it is a Rollout like any other.
//!
//! Each request tests the mark of the object it changes. The Rollout's says whose steps it walks: a late pause finds
//! another release's. The Deployment's says who changed its template last: a late template finds the revert's, which
//! is why going back always writes there once the new template may be on its way.

use super::forward::{DEPLOYS, RESTORES, barred, changed_outside};
use super::next::{good_images, its_words, marked, ours, ready, record, stand, tried, wait};
use super::settle::our_steps;
use super::{Decision, Effect, Input, Record};
use crate::plan::Strategy;
use crate::release::State;
use crate::workload::{Phase, Workload};

/// What is to be done before the controller can name the new pods; `None` where nothing is left of it.
pub(super) fn bring_in(i: &Input<'_>, w: &Workload) -> Option<Decision> {
    let r = i.release;
    if !w.workload_ref {
        return None;
    }
    let Some(source) = &w.source else {
        let why = "The Deployment that the template is taken from is not seen any more. Bring it back, abort or roll back.";
        return Some(stand(r, State::Paused, None, why));
    };
    let before = tried(r, &Effect::TakeOver);
    if before.is_some_and(|t| t.happened) {
        let seen = marked(r, w) || ours(r, w);
        return (!seen).then(|| wait(None, format!("Waiting to see the new template of {}.", source.name)));
    }
    // Before the controller knows the plan's steps it would walk its owner's with the new version.
    let steps = !matches!(i.plan.spec.strategy, Strategy::Canary(_)) || our_steps(i, w);
    let own_mark = w.attempt.as_deref().is_some_and(|mark| crate::ids::AttemptId::is_of(mark, r.id));
    if !own_mark || !w.observed() || w.phase == Phase::Unknown {
        return Some(wait(None, "Waiting for the controller to see the plan's steps."));
    }
    if w.current_hash.as_deref() != Some(r.known_good.hash.as_str()) || !good_images(r, w) {
        return Some(changed_outside(r, w));
    }
    if w.phase == Phase::Degraded {
        let why = format!("The controller says the Rollout is degraded{}", its_words(w));
        return Some(record(Record::TurnBack { why }));
    }
    if let Some(decision) = barred(i, w) {
        return Some(decision);
    }
    if !steps {
        let why = "The Rollout's steps were changed past Tidegate before the new version came in. Abort or roll back.";
        return Some(stand(r, State::Paused, None, why));
    }
    if let Some(why) = w.source_unfit() {
        return Some(stand(r, State::Paused, None, why));
    }
    if let Some(t) = before.filter(|t| t.times >= DEPLOYS) {
        let why = format!("The template of {} could not be written. {}", source.name, t.words);
        return Some(record(Record::TurnBack { why }));
    }
    Some(match ready(r, &Effect::TakeOver, i.now) {
        Ok(()) => Decision::Act(Effect::TakeOver),
        Err(until) => {
            let words = before.map_or("", |t| t.words.as_str());
            wait(Some(until), format!("The template could not be written yet. {words}"))
        }
    })
}

/// At the end of a way back: the owner's steps, which could not go back with the template in one patch. Earlier they
/// would have started the update anew.
pub(super) fn tidy(i: &Input<'_>, w: &Workload) -> Option<Decision> {
    let restore = Effect::RestoreSteps;
    let enough = tried(i.release, &restore).is_some_and(|t| t.happened || t.times >= RESTORES);
    if !w.workload_ref || enough {
        return None;
    }
    Some(match ready(i.release, &restore, i.now) {
        Ok(()) => Decision::Act(restore),
        Err(until) => wait(Some(until), "Putting the Rollout's own settings back."),
    })
}

#[cfg(test)]
mod tests;
