//! Back: to the recorded known-good version, from any state, whatever was lost on the way.
//!
//! The route is worked out anew at each look, so a call that was erased, refused or never sent is simply still
//! needed. The end is judged by effect alone: a status code or "Healthy" proves nothing (the controller says Healthy
//! for an instant about the version it is about to leave).

use super::next::{
    deployed, end, good_images, its_words, landed, landed_late, marked_since_deploy, reached, ready, record,
    stand, switched, tried, wants_good,
};
use super::switch::{drains, to_be_handed_back};
use super::{Decision, Effect, Input, Record};
use crate::release::{Course, Release, State};
use crate::rollback::{Call, Proof, paused_whole, proofs, route};
use crate::workload::{Phase, Strategy, Workload};

pub(super) fn back(i: &Input<'_>) -> Decision {
    let r = i.release;
    if let Some(w) = i.seen
        && landed_late(r, w)
    {
        return landed();
    }
    if !deployed(r) {
        return end(State::Cancelled, "Nothing had changed in the cluster.");
    }
    let Some(w) = i.seen else {
        let why =
            format!("The workload {} is gone from the cluster: there is nothing to take back.", r.workload);
        return end(State::Failed, why);
    };
    let handed_back = !to_be_handed_back(r, w);
    let held = w.strategy == Strategy::Canary && w.spec_paused && super::follow::may_be_paused_by_us(r);
    if proved(r, w) && returned(r, w) && !may_take_over(r) && handed_back && !held {
        if let Some(decision) = super::reference::tidy(i, w) {
            return decision;
        }
        return match r.course {
            Course::Abort => end(State::Cancelled, format!("All traffic is on {}.", r.good_version())),
            Course::RollBack | Course::Forward => {
                end(State::RolledBack, format!("All traffic is on {}, confirmed.", r.good_version()))
            }
        };
    }
    let mut soonest = drains(r, i.now).filter(|_| w.anything_of_ours());
    for effect in needed(i, w) {
        match ready(r, &effect, i.now) {
            Ok(()) => return Decision::Act(effect),
            // The calls of a route go out back to back: the next does not wait until this one is seen.
            Err(until) => soonest = Some(soonest.map_or(until, |s: chrono::DateTime<_>| s.min(until))),
        }
    }
    let news = news(r, w);
    if !news.is_empty() {
        return record(Record::Proved(news));
    }
    stand(r, State::RollingBack, soonest, waiting_for(r, w))
}

/// The effects still needed, in the order of the route.
fn needed(i: &Input<'_>, w: &Workload) -> Vec<Effect> {
    let r = i.release;
    let mut effects = Vec::new();
    // A Deployment's template and its pause go in one patch: unpaused before, it would go on with the bad version.
    if w.spec_paused && w.strategy != Strategy::Rolling {
        effects.push(Effect::Unpause);
    }
    // Users first. Their own pods may be too few for a moment, in the middle of the take-over; where nobody was switched
    // yet, only the marks change.
    let to_be_handed_back = to_be_handed_back(r, w);
    if to_be_handed_back && (w.can_carry() || !w.any_sent()) {
        effects.push(Effect::HandBack);
    }
    if w.anything_of_ours() && !to_be_handed_back && drains(r, i.now).is_none() {
        effects.push(Effect::Retire);
    }
    // Somebody paused it on its way back: the same patch ends the pause.
    let halted = w.strategy == Strategy::Rolling && w.spec_paused && w.observed() && !paused_whole(r, w);
    let reverted = reverted(r, w) && !halted;
    if !reverted {
        // Sent before the new template was observed an abort is lost, so it would only cost time.
        let aborts = route(w, &r.known_good.hash).calls.contains(&Call::Abort);
        if aborts && w.observed() && w.in_flight() && !wants_good(r, w) {
            effects.push(Effect::Abort);
        }
        // Where nobody knows the object that holds the template, people put it back.
        if !w.workload_ref || w.source.is_some() {
            effects.push(Effect::Revert);
        }
    } else if walks(r, w) {
        effects.push(Effect::PromoteFull);
    }
    effects
}

/// The object wants the known-good template again, and what is seen is not from before the deploy.
fn reverted(r: &Release, w: &Workload) -> bool {
    let good = !w.observed() || wants_good(r, w) || sent(r, w);
    proved(r, w) && good_images(r, w) && good && !may_take_over(r)
}

/// The user's own Deployment was told to take the new version over, and not yet to go back: it may do so after what
/// is seen. So where a Rollout takes its template from it, it gets the old one and a new mark in any case.
fn may_take_over(r: &Release) -> bool {
    tried(r, &Effect::TakeOver).is_some() && tried(r, &Effect::Revert).is_none_or(|t| !t.happened)
}

/// Our own revert is the newest mark: for an instant the controller still names the old hash.
fn sent(r: &Release, w: &Workload) -> bool {
    tried(r, &Effect::Revert).is_some_and(|t| reached(w, &t.id))
}

/// The known-good version is on its way in, and the controller means to walk the steps with it, or to wait with the
/// switch.
fn walks(r: &Release, w: &Workload) -> bool {
    let stops = match w.strategy {
        Strategy::Canary => w.abort || !w.pauses.is_empty() || w.step_index.unwrap_or(0) < w.step_count,
        // At its own pause, or at an analysis before it.
        Strategy::BlueGreen => !switched(w),
        Strategy::Rolling => false,
    };
    stops && w.observed() && wants_good(r, w) && w.in_flight() && !w.promote_full
}

/// Is what is seen certainly from after the deploy? The canary's name was seen, or the object carries a mark of ours.
/// No lapse of time proves it: a watch may lag for as long as it likes, and until then the revert is sent again,
/// which changes nothing where it has landed.
fn proved(r: &Release, w: &Workload) -> bool {
    r.canary_hash.is_some() || marked_since_deploy(r, w)
}

/// It is really done: everything that proves it is seen at once.
fn returned(r: &Release, w: &Workload) -> bool {
    proofs(r, w).len() == Proof::ALL.len()
}

/// What is newly proved.
fn news(r: &Release, w: &Workload) -> Vec<Proof> {
    if !proved(r, w) {
        return Vec::new();
    }
    let mut all = proofs(r, w);
    all.retain(|p| !r.proved.contains_key(p));
    all
}

fn waiting_for(r: &Release, w: &Workload) -> String {
    let good = r.good_version();
    if w.any_switched() && w.replicas == 0 && !w.can_carry() {
        let name = &w.key.name;
        return format!(
            "Going back to {good}: {name} is scaled to 0. Scale it up, and its Services select it again."
        );
    }
    if w.any_switched() && !w.can_carry() {
        return format!(
            "Going back to {good}: {} of {} pods of {} are ready. Its Services select them again when half of them are.",
            w.ready, w.replicas, w.key.name
        );
    }
    if w.by_weight() && w.any_sent() && !w.can_carry() {
        let name = &w.key.name;
        return format!(
            "Going back to {good}: no pod of {name} is ready. When one is, {} sends it everybody.",
            w.weight_place()
        );
    }
    if w.copied() > 0 {
        return format!(
            "Users are on {good}. Waiting until no request is copied to {} any more.",
            r.version()
        );
    }
    if w.by_weight() && w.any_sent() {
        return format!(
            "Going back to {good}: waiting until {} sends nobody to {}.",
            w.weight_place(),
            r.version()
        );
    }
    if w.any_switched() {
        return format!("Going back to {good}: waiting until its Services select {} again.", w.key.name);
    }
    if let Some(twin) = &w.twin {
        return format!("Going back to {good}: waiting until the second Deployment {} is gone.", twin.name);
    }
    if w.route_marked() {
        return format!("Going back to {good}: waiting until {} is as it was.", w.weight_place());
    }
    if w.workload_ref && w.source.is_none() {
        return "The template lives in the workload that workloadRef names: put the old one back there."
            .into();
    }
    if !wants_good(r, w) || !w.observed() {
        return format!("Going back to {good}: waiting for the controller to see it.");
    }
    if w.phase == Phase::Degraded {
        return format!("Going back to {good}; the controller says degraded{}", its_words(w));
    }
    format!("Going back to {good}: waiting until it carries all traffic.")
}
