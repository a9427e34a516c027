//! Forward with a blue-green release of a Deployment: a second Deployment of ours comes up whole beside the user's, and
//! nobody is sent there; then the selectors of the Services in front of it send all users over.
//!
//! The user's own Deployment stays as it is, so the way back is the selector, until all gates after the switch have
//! passed. Then it takes the version over by its rolling update while users are on ours, the selectors go back to what
//! they were, and ours goes.

use super::forward::{barred, gates};
use super::next::{after, passed, record, stand, tried};
use super::twin::{act, stands, turn_back};
use super::{Decision, Effect, Input, Record};
use crate::plan::{BlueGreen, Step};
use crate::release::{Release, State};
use crate::workload::{Kind, Twin, Workload};
use chrono::{DateTime, TimeDelta, Utc};

/// How long the second Deployment outlives the moment in which its last user was handed back: until every node has
/// heard of it. Argo Rollouts waits 30 s by default, for nodes that write iptables once in so long; most need one.
const DRAIN: TimeDelta = TimeDelta::seconds(10);

pub(super) const DRAINING: &str =
    "Users are on the Deployment itself. The second one stands until every node has heard of it.";

/// A weight, whatever its figures.
const WEIGH: Effect = Effect::Weigh { from: 0, to: 0 };

/// Until when the second Deployment must stand, because users may still be on their way to it.
pub(super) fn drains(r: &Release, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // A weight that was refused may follow one that was taken.
    let switch = tried(r, &Effect::Switch).filter(|t| t.happened).or_else(|| tried(r, &WEIGH))?;
    let back = tried(r, &Effect::HandBack).filter(|t| t.happened && t.at >= switch.at)?;
    (!passed(back.at, DRAIN, now)).then(|| after(back.at, DRAIN))
}

/// On the way back: some user is, or may yet be, sent to the second Deployment. A switch that was announced and not seen
/// can still land, until a hand-back has changed the marks that it tests; so can a weight.
pub(super) fn to_be_handed_back(r: &Release, w: &Workload) -> bool {
    let sent = tried(r, &Effect::Switch).or_else(|| tried(r, &WEIGH));
    let may_land = sent.is_some_and(|switch| {
        tried(r, &Effect::HandBack).is_none_or(|back| !back.happened || back.at < switch.at)
    });
    w.any_sent() || w.key.kind == Kind::Deployment && may_land
}

/// At, or on the way to, the preview or the time after the switch.
pub(super) fn step(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step) -> Decision {
    let r = i.release;
    if r.passed.len() != BlueGreen::PREVIEW {
        return after_preview(i, w, twin, step);
    }
    if w.any_switched() {
        let why = "Users were switched past Tidegate, before the gates of the preview had passed. Abort or roll back.";
        return stand(r, State::Paused, None, why);
    }
    super::twin::step(i, w, twin, step, w.replicas)
}

fn after_preview(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step) -> Decision {
    let r = i.release;
    // A fact: the analysis must watch it even while the release is held.
    if r.step_since.is_none() && w.all_switched() {
        return record(Record::StepReached { step: BlueGreen::AFTER, weight: 100 });
    }
    if r.step_since.is_some() && !w.all_switched() {
        return turn_back(
            "Somebody handed users back past Tidegate: a Service selects the old pods again.".into(),
        );
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if r.step_since.is_some() {
        return gates(i, BlueGreen::AFTER, step);
    }
    if let Err(why) = w.parting_label() {
        return stand(r, State::Paused, None, why);
    }
    if twin.desired < w.replicas {
        // Its owner has made it larger since the preview was reached.
        let scale = Effect::Scale { from: twin.desired, to: w.replicas };
        return act(i, scale, "Scaling the second Deployment.");
    }
    if !stands(twin, twin.desired) {
        let why =
            format!("{} of {} pods are ready: users are switched when all are.", twin.ready, w.replicas);
        return stand(r, State::Running, None, why);
    }
    act(i, Effect::Switch, "Waiting to see the Services select the new version.")
}

#[cfg(test)]
mod tests;
