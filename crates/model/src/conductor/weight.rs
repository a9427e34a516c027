//! A step of a canary Deployment whose users come through an nginx Ingress or an HTTPRoute: a canary Ingress of ours, or a
//! backendRef of ours in that route, sends exactly the step's weight to it.
//!
//! Its pods follow the weight and come first: the weight rises when they stand. What sends users there is made at 0 % with
//! the first of them, so that one that is made late sends nobody anywhere.

use super::forward::{barred, gates};
use super::next::{after, record, stand, tried};
use super::twin::{act, overdue, stands, turn_back};
use super::{Decision, Effect, Input, Record};
use crate::plan::Step;
use crate::plan::beside::pods_behind;
use crate::release::State;
use crate::workload::{Twin, Workload};

/// At, or on the way to, a step's weight.
pub(super) fn step(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step) -> Decision {
    let (r, done) = (i.release, i.release.passed.len());
    let weight = w.canary_weight();
    // Somebody raised it past Tidegate: lowered whoever holds the release.
    if let Some(from) = weight.filter(|from| *from > step.weight) {
        return act(i, Effect::Weigh { from, to: step.weight }, "Less weight, as the plan allows.");
    }
    if w.severed() && w.any_sent() {
        return turn_back(format!(
            "Somebody deleted the Service by which {} sends users to the new version.",
            w.weight_place()
        ));
    }
    let reached = weight == Some(step.weight);
    if r.step_since.is_some() && !reached {
        return turn_back(format!(
            "Somebody took users off the new version past Tidegate: {} sends {} there, and {} % was reached.",
            w.weight_place(),
            weight.map_or_else(|| "nobody".to_owned(), |weight| format!("{weight} %")),
            step.weight
        ));
    }
    let wanted = pods_behind(step.weight, w.replicas);
    let stands = stands(twin, wanted);
    if !stands && overdue(i, twin, wanted) {
        let why = format!(
            "{} of {wanted} pods of the second Deployment were ready {} after it was scaled.",
            twin.ready, twin.deadline
        );
        return turn_back(why);
    }
    // A fact: the analysis must watch it even while the release is held.
    if reached && r.step_since.is_none() {
        return record(Record::StepReached { step: done, weight: step.weight });
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if let Err(why) = w.weighed() {
        let why = format!("{why} Put it back, abort or roll back.");
        return stand(r, State::Paused, None, why);
    }
    if wanted == 0 {
        let why = format!(
            "{} has {} replicas: there is no pod for {}. Scale it up, abort or roll back.",
            w.key.name,
            w.replicas,
            i.plan.step_name(done)
        );
        return stand(r, State::Paused, None, why);
    }
    let scale = Effect::Scale { from: twin.desired, to: wanted };
    // Whatever of it is missing is made with the same effect.
    let Some(from) = weight.filter(|_| twin.desired == wanted && !w.severed()) else {
        return act(i, scale, "Scaling the second Deployment.");
    };
    if !stands {
        let why = format!(
            "{} of {wanted} pods of the second Deployment are ready for {}.",
            twin.ready,
            i.plan.step_aim(done)
        );
        let scaled = tried(r, &scale).map(|t| after(t.at, twin.deadline.delta()));
        return stand(r, State::Running, scaled.filter(|at| *at > i.now), why);
    }
    if !reached {
        return act(i, Effect::Weigh { from, to: step.weight }, "Waiting to see the weight.");
    }
    gates(i, done, step)
}

#[cfg(test)]
mod tests;
