//! Forward with a blue-green Rollout: the new version comes up whole behind the preview Service, waits there, and then
//! all users are switched to it at once. The old pods stand by until the release has ended, and for a while longer.
//!
//! There are two weights only, 0 and 100, and what says which it is is the selector of the active Service.

use super::forward::{barred, gates, promoted};
use super::next::{at_switch, its_words, ready, record, stand, switched};
use super::{Decision, Effect, Input, Record};
use crate::plan::BlueGreen;
use crate::release::State;
use crate::workload::{Strategy, Workload};

/// Why a new version would not stop at the preview, were it deployed now. The controller goes straight to a version
/// whose pods still stand by from before ("fast-tracked"): past every gate.
pub(super) fn at_once(i: &Input<'_>, w: &Workload) -> Option<String> {
    if w.strategy != Strategy::BlueGreen {
        return None;
    }
    let new = &i.release.images;
    let same =
        |r: &crate::workload::Revision| new.iter().all(|(name, image)| r.images.get(name) == Some(image));
    let standing =
        w.revisions.iter().find(|r| Some(&r.hash) != w.stable_hash.as_ref() && r.desired > 0 && same(r))?;
    Some(format!(
        "{} pods of {} still stand by from before: the controller would switch users to them at once, past every gate. \
         It goes on when they are gone.",
        standing.desired,
        i.release.version()
    ))
}

/// The Rollout wants this release's version, and the controller has seen that.
pub(super) fn blue_green(i: &Input<'_>, w: &Workload) -> Decision {
    let (r, steps) = (i.release, i.plan.steps());
    let done = r.passed.len();
    let on_new = switched(w);
    // What is reached is a fact, also while the release is held.
    if r.step_since.is_none() {
        if done == BlueGreen::PREVIEW && !on_new && at_switch(w) && !w.spec_paused {
            return record(Record::StepReached { step: BlueGreen::PREVIEW, weight: 0 });
        }
        if done == BlueGreen::AFTER && on_new {
            return record(Record::StepReached { step: BlueGreen::AFTER, weight: 100 });
        }
    }
    let stable = w.stable_hash == w.current_hash;
    if stable && (done >= steps.len() || done == BlueGreen::PREVIEW) {
        return promoted(i, w);
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if done == BlueGreen::PREVIEW && on_new {
        let why = "Users were switched past Tidegate, before the gates of the preview had passed. Abort or roll back.";
        return stand(r, State::Paused, None, why);
    }
    if done >= steps.len() {
        let why = format!(
            "All gates passed: waiting until the controller takes {} as stable{}",
            r.version(),
            its_words(w)
        );
        return stand(r, State::Running, None, why);
    }
    if done == BlueGreen::AFTER && !on_new {
        return switch(i, w);
    }
    let Some(step) = steps.get(done).filter(|_| r.step_since.is_some()) else {
        let ready = w.current_hash.as_deref().and_then(|h| w.revision(h)).map_or(0, |new| new.ready);
        let why = format!(
            "{} comes up behind the preview Service: {ready} of {} pods are ready.",
            r.version(),
            w.replicas
        );
        return stand(r, State::Running, None, why);
    };
    if done == BlueGreen::PREVIEW && !at_switch(w) {
        let why = "The update does not wait at the preview as it should. Waiting for the controller.";
        return stand(r, State::Running, None, why);
    }
    gates(i, done, step)
}

/// The gates of the preview have passed.
fn switch(i: &Input<'_>, w: &Workload) -> Decision {
    let r = i.release;
    if r.step_since.is_some() {
        let why =
            format!("The active Service no longer selects {}. Waiting for the controller.", r.version());
        return stand(r, State::Running, None, why);
    }
    let waiting = "The switch is open: waiting until the active Service selects the new version.";
    if !at_switch(w) {
        return stand(r, State::Running, None, waiting);
    }
    match ready(r, &Effect::Switch, i.now) {
        Ok(()) => Decision::Act(Effect::Switch),
        Err(until) => stand(r, State::Running, Some(until), waiting),
    }
}
