//! A step of a canary Deployment whose users come through an nginx Ingress or an HTTPRoute: a canary Ingress of ours, or a
//! backendRef of ours in that route, sends exactly the step's weight to it; or, in that route, a filter of ours copies
//! exactly so many of their requests to it.
//!
//! Its pods follow the weight and come first: the weight rises when they stand. What sends users there is made at 0 % with
//! the first of them, so that one that is made late sends nobody anywhere.

use super::forward::{barred, gates};
use super::next::{after, passed, record, stand, tried, wait};
use super::twin::{act, no_pod, overdue, stands, turn_back};
use super::{Decision, Effect, Input, Record};
use crate::plan::Step;
use crate::plan::beside::pods_behind;
use crate::release::State;
use crate::workload::{Twin, Workload};
use chrono::TimeDelta;

/// A weight, whatever its figures.
const WEIGH: Effect = Effect::Weigh { from: 0, to: 0 };
/// How long a Gateway may need to take up a filter and the Service that it names.
const SETTLING: TimeDelta = TimeDelta::seconds(10);

/// What a router sends to the second Deployment.
struct Share {
    /// In percent; `None` where what sends it is not made yet.
    now: Option<u8>,
    /// As the plan says.
    most: u8,
    /// Why it cannot be sent, in words.
    unfit: Option<String>,
    /// Somebody changed it past Tidegate once it was reached.
    lost: String,
}

/// At, or on the way to, a step's weight.
pub(super) fn step(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step) -> Decision {
    let now = w.canary_weight();
    let lost = format!(
        "Somebody took users off the new version past Tidegate: {} sends {} there, and {} % was reached.",
        w.weight_place(),
        now.map_or_else(|| "nobody".to_owned(), |weight| format!("{weight} %")),
        step.weight
    );
    let unfit = w.weighed().err();
    share(i, w, twin, step, Share { now, most: step.weight, unfit, lost })
}

/// At, or on the way to, copies of so many requests. No user is sent anywhere.
pub(super) fn copies(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step, percent: u8) -> Decision {
    if let Some(why) = w.mirror.as_ref().filter(|m| m.percent > 0).and_then(|m| m.refused.as_deref()) {
        // It may not have heard of the Service yet.
        let early = tried(i.release, &WEIGH).filter(|t| !passed(t.at, SETTLING, i.now));
        let Some(t) = early else {
            return turn_back(format!("The Gateway does not copy requests: {why}"));
        };
        return wait(Some(after(t.at, SETTLING)), "The Gateway does not copy requests yet.");
    }
    let now = w.mirror.as_ref().map(|mirror| mirror.percent);
    let lost = format!(
        "Somebody changed the copies past Tidegate: {} % of requests are copied, and {percent} % was reached.",
        w.copied()
    );
    share(i, w, twin, step, Share { now, most: percent, unfit: w.copies().err(), lost })
}

fn share(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step, share: Share) -> Decision {
    let (r, done) = (i.release, i.release.passed.len());
    // Somebody raised it past Tidegate: lowered whoever holds the release.
    if let Some(from) = share.now.filter(|from| *from > share.most) {
        return act(i, Effect::Weigh { from, to: share.most }, "Less weight, as the plan allows.");
    }
    if w.severed() && w.any_sent() {
        return turn_back(format!(
            "Somebody deleted the Service by which {} sends users to the new version.",
            w.weight_place()
        ));
    }
    let reached = share.now == Some(share.most);
    if r.step_since.is_some() && !reached {
        return turn_back(share.lost);
    }
    let wanted = pods_behind(share.most, w.replicas);
    let stands = stands(twin, wanted);
    if !stands && let Some(decision) = overdue(i, twin, wanted) {
        return decision;
    }
    // A fact: the analysis must watch it even while the release is held.
    if reached && r.step_since.is_none() {
        return record(Record::StepReached { step: done, weight: step.weight });
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if let Some(why) = share.unfit {
        let why = format!("{why} Put it back, abort or roll back.");
        return stand(r, State::Paused, None, why);
    }
    if wanted == 0 {
        return no_pod(i, w);
    }
    let scale = Effect::Scale { from: twin.desired, to: wanted };
    // Whatever of it is missing is made with the same effect.
    let Some(from) = share.now.filter(|_| twin.desired == wanted && !w.severed()) else {
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
        return act(i, Effect::Weigh { from, to: share.most }, "Waiting to see the weight.");
    }
    gates(i, done, step)
}

#[cfg(test)]
mod tests;
