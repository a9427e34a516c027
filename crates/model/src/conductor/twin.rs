//! Forward with a second Deployment, one of ours beside the user's own.
//!
//! Its pods stand beside the user's, which keep their number: so the way back is that ours go. The share is that of
//! our pods among all. At the end the user's own Deployment takes the version over by its rolling update, ours goes,
//! and what is left is what a plain update would have left.

use super::forward::{barred, changed_outside, gates};
use super::next::{after, end, good_images, its_words, ours, passed, ready, record, stand, tried, wait};
use super::rolling::{held, on_new};
use super::{Decision, Effect, Input, Record};
use crate::plan::beside::pods;
use crate::plan::{Plan, Step, Strategy};
use crate::release::{Release, State};
use crate::workload::{Kind, Phase, Twin, Workload};
use chrono::TimeDelta;

/// How long the watch may need to show a Deployment that the API server has taken.
const SETTLING: TimeDelta = TimeDelta::seconds(10);

/// This plan is carried out on this workload by a second Deployment.
pub(super) fn drives(plan: &Plan, w: &Workload) -> bool {
    w.key.kind == Kind::Deployment && plan.beside()
}

/// Steps that are taken on the second Deployment; what follows is on the user's own.
fn proving(plan: &Plan) -> usize {
    match plan.spec.strategy {
        // Before the take-over users are on the second one, for as long as both steps take.
        Strategy::BlueGreen(_) => plan.steps().len(),
        Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) | Strategy::Shadow(_) => {
            plan.steps().len().saturating_sub(1)
        }
    }
}

pub(super) fn forward(i: &Input<'_>, w: &Workload) -> Decision {
    let r = i.release;
    if !w.observed() || w.phase == Phase::Unknown {
        return wait(None, "The controller has not yet seen the newest change of the workload.");
    }
    if w.phase == Phase::Degraded {
        return turn_back(format!("The controller says the Deployment is degraded{}", its_words(w)));
    }
    let last = i.plan.steps().len().saturating_sub(1);
    let at_last = r.passed.len() >= proving(i.plan);
    if ours(r, w) {
        if !at_last {
            let why = "Somebody brought the new version into the Deployment itself, further than the plan allows. Abort or \
                       roll back.";
            return stand(r, State::Paused, None, why);
        }
        return taking_over(i, w, last);
    }
    if !good_images(r, w) {
        return changed_outside(r, w);
    }
    let Some(twin) = &w.twin else {
        return missing(i, w);
    };
    if let Some(decision) = amiss(r, twin) {
        return decision;
    }
    match i.plan.steps().get(r.passed.len()) {
        Some(step) if !at_last => match &i.plan.spec.strategy {
            Strategy::Shadow(shadow) => super::weight::copies(i, w, twin, step, shadow.percent()),
            Strategy::BlueGreen(_) => super::switch::step(i, w, twin, step),
            // How users get there was settled when it was made.
            Strategy::Canary(_) if twin.split.is_some() => super::weight::step(i, w, twin, step),
            Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) => {
                self::step(i, w, twin, step, pods(step.weight, w.replicas))
            }
        },
        _ => take_over(i, w),
    }
}

pub(super) fn turn_back(why: String) -> Decision {
    record(Record::TurnBack { why })
}

/// Our Deployment is not there: the watch lags, or somebody deleted it.
fn missing(i: &Input<'_>, w: &Workload) -> Decision {
    let deploy = tried(i.release, &Effect::Deploy);
    if let Some(t) = deploy.filter(|t| i.release.canary_hash.is_none() && !passed(t.at, SETTLING, i.now)) {
        return wait(Some(after(t.at, SETTLING)), "Waiting to see the second Deployment.");
    }
    if i.release.canary_hash.is_none() {
        // The process ended after its mark on the user's Deployment and before ours was made.
        let again = || act(i, Effect::Deploy, "Waiting to see the second Deployment.");
        return barred(i, w).unwrap_or_else(again);
    }
    turn_back("Somebody deleted the second Deployment past Tidegate.".into())
}

/// What keeps our Deployment from being the canary that was asked for.
fn amiss(r: &Release, twin: &Twin) -> Option<Decision> {
    let wants_ours = r.images.iter().all(|(name, image)| twin.images.get(name) == Some(image));
    if twin.phase == Phase::Degraded {
        let words = twin.message.as_deref().map_or_else(|| ".".to_owned(), |m| format!(": {m}"));
        return Some(turn_back(format!("The controller says the second Deployment is degraded{words}")));
    }
    let Some(hash) = twin.hash.as_deref() else {
        return Some(wait(None, "Waiting for the controller to name the new pods."));
    };
    match r.canary_hash.as_deref() {
        None if wants_ours => Some(record(Record::CanaryNamed(hash.to_owned()))),
        Some(known) if wants_ours && known == hash => None,
        Some(_) | None => Some(stand(
            r,
            State::Paused,
            None,
            "Somebody changed the second Deployment past Tidegate. Nothing goes on; abort or roll back.",
        )),
    }
}

/// At, or on the way to, a step for which the second Deployment needs so many pods.
pub(super) fn step(i: &Input<'_>, w: &Workload, twin: &Twin, step: &Step, wanted: i32) -> Decision {
    let (r, done) = (i.release, i.release.passed.len());
    let scale = Effect::Scale { from: twin.desired, to: wanted };
    // The user's Deployment has become smaller: the share is more than the plan allows, whoever holds the release.
    if twin.desired > wanted {
        return act(i, scale, "Fewer pods, so that the share stays what the plan allows.");
    }
    let stands = stands(twin, wanted);
    if !stands && let Some(decision) = overdue(i, twin, wanted) {
        return decision;
    }
    // A fact: the analysis must watch it even while the release is held.
    if stands && r.step_since.is_none() {
        return record(Record::StepReached { step: done, weight: w.canary_share() });
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if twin.desired < wanted {
        return act(i, scale, "Scaling the second Deployment.");
    }
    if wanted == 0 {
        return no_pod(i, w);
    }
    if !stands {
        let why = format!(
            "{} of {wanted} pods of the second Deployment are ready for {}.",
            twin.ready,
            i.plan.step_aim(done)
        );
        let scaled = tried(r, &scale).map(|t| after(t.at, twin.deadline.delta()));
        return stand(r, State::Running, scaled.filter(|at| *at > i.now), why);
    }
    gates(i, done, step)
}

/// All the pods that are wanted are ready.
pub(super) fn stands(twin: &Twin, wanted: i32) -> bool {
    twin.desired == wanted && twin.ready >= wanted && twin.phase == Phase::Healthy && wanted > 0
}

/// The second Deployment was scaled to what is wanted long ago, and not once complete since then.
pub(super) fn overdue(i: &Input<'_>, twin: &Twin, wanted: i32) -> Option<Decision> {
    is_overdue(i, twin, wanted).then(|| {
        turn_back(format!(
            "{} of {wanted} pods of the second Deployment were ready {} after it was scaled.",
            twin.ready, twin.deadline
        ))
    })
}

/// Its owner wants so few pods that there is none for the step.
pub(super) fn no_pod(i: &Input<'_>, w: &Workload) -> Decision {
    let why = format!(
        "{} has {} replicas: there is no pod for {}. Scale it up, abort or roll back.",
        w.key.name,
        w.replicas,
        i.plan.step_aim(i.release.passed.len())
    );
    stand(i.release, State::Paused, None, why)
}

/// Scaled to what is wanted, long ago, and not once complete since then.
fn is_overdue(i: &Input<'_>, twin: &Twin, wanted: i32) -> bool {
    let r = i.release;
    let so = |effect: &Effect| matches!(effect, Effect::Scale { to, .. } if *to == wanted);
    let since = |at| r.step_since.is_none_or(|reached| at > reached);
    let scaled = r.tried.iter().rev().find(|t| t.happened && so(&t.effect) && since(t.at));
    twin.desired == wanted && scaled.is_some_and(|t| passed(t.at, twin.deadline.delta(), i.now))
}

pub(super) fn act(i: &Input<'_>, effect: Effect, why: &str) -> Decision {
    match ready(i.release, &effect, i.now) {
        Ok(()) => Decision::Act(effect),
        Err(until) => wait(Some(until), why),
    }
}

/// Every step below the last has passed: the version is proven, and the user's own Deployment gets it.
fn take_over(i: &Input<'_>, w: &Workload) -> Decision {
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if i.plan.shadow().is_some() && super::switch::to_be_handed_back(i.release, w) {
        return act(i, Effect::HandBack, "No request is copied any more: what follows is for users.");
    }
    act(i, Effect::TakeOver, "The Deployment takes the new version over.")
}

/// The user's own Deployment wants the new version.
fn taking_over(i: &Input<'_>, w: &Workload, last: usize) -> Decision {
    let r = i.release;
    // Whoever is sent there meets nobody: back at once, however many pods are there yet.
    if (w.twin.is_none() || w.severed()) && w.any_sent() && w.can_carry() {
        return act(i, Effect::HandBack, "Users go to the Deployment itself again.");
    }
    let done = w.stable_hash == w.current_hash && w.phase == Phase::Healthy;
    if !done {
        if let Some(decision) = held(i, w) {
            return decision;
        }
        let why = format!("{} of {} pods of {} run {}.", on_new(w), w.replicas, w.key.name, r.version());
        return stand(r, State::Running, None, why);
    }
    // From here on its own pods are those that are watched, and that a rollback leaves.
    if let Some(hash) = w.current_hash.as_deref().filter(|h| r.canary_hash.as_deref() != Some(*h)) {
        return record(Record::CanaryNamed(hash.to_owned()));
    }
    if w.any_sent() {
        return act(
            i,
            Effect::HandBack,
            "Whoever was sent to the second Deployment goes to the Deployment itself again.",
        );
    }
    if let Some(until) = super::switch::drains(r, i.now) {
        return stand(r, State::Running, Some(until), super::switch::DRAINING);
    }
    if w.anything_of_ours() {
        return act(i, Effect::Retire, "The second Deployment goes: its work is done.");
    }
    if r.step_since.is_none() {
        return record(Record::StepReached { step: last, weight: 100 });
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    match i.plan.steps().get(last).filter(|_| r.passed.len() <= last) {
        Some(step) => gates(i, last, step),
        None => end(State::Succeeded, format!("{} runs on all pods, and is healthy.", r.version())),
    }
}

#[cfg(test)]
mod tests;
