//! Forward: from queued to succeeded, one allowed weight after the other.
//!
//! Facts come first (what the controller did, what turns the release back), then what bars every raise (a hold, a
//! pause in the cluster, approvals, the digest), then the gates, and only then the one effect that raises.

use super::next::{
    after, at_pause, deployed, end, good_images, its_words, landed, landed_late, marked, ours, passed, ready,
    record, stand, tried, wait,
};
use super::{Decision, Effect, Input, Record};
use crate::checked::{Checked, Outcome};
use crate::plan::{Gate, Plan, Step};
use crate::release::{Release, State};
use crate::role::Role;
use crate::span::Span;
use crate::verdict::{Class, Verdict};
use crate::workload::{Phase, Strategy, Workload};
use chrono::{DateTime, TimeDelta, Utc};

/// How long the controller may need to see a new template before its silence means something.
const SETTLING: TimeDelta = TimeDelta::seconds(10);
/// So many failures in a row to write the change (about three minutes) end a release that has changed nothing.
pub(super) const DEPLOYS: u32 = 10;
/// Putting the Rollout's own steps back is a courtesy: after so many failures the release ends without it.
pub(super) const RESTORES: u32 = 3;

pub(super) fn forward(i: &Input<'_>) -> Decision {
    let r = i.release;
    let Some(w) = i.seen else {
        let why = format!(
            "The workload {} is gone from the cluster. Create it again, then start anew.",
            r.workload
        );
        return end(State::Failed, why);
    };
    if landed_late(r, w) {
        return landed();
    }
    if !deployed(r) {
        return before_deploy(i, w);
    }
    // A failing canary goes back even while it is held or its approval is revoked: that only takes traffic away.
    if let Some(why) = failed(r) {
        return record(Record::TurnBack { why: why.to_owned() });
    }
    if super::twin::drives(i.plan, w) {
        return super::twin::forward(i, w);
    }
    let Some(canary) = r.canary_hash.as_deref() else {
        return super::reference::bring_in(i, w).unwrap_or_else(|| naming(i, w));
    };
    if !w.observed() || w.phase == Phase::Unknown {
        return wait(None, "The controller has not yet seen the newest change of the workload.");
    }
    if w.current_hash.as_deref() != Some(canary) {
        return changed_outside(r, w);
    }
    if w.abort {
        let why = format!("The controller aborted the update, or somebody did past Tidegate{}", its_words(w));
        return record(Record::TurnBack { why });
    }
    if w.phase == Phase::Degraded {
        return record(Record::TurnBack {
            why: format!("The controller says the update is degraded{}", its_words(w)),
        });
    }
    match w.strategy {
        Strategy::Rolling => return super::rolling::rolling(i, w),
        Strategy::BlueGreen => return super::blue_green::blue_green(i, w),
        Strategy::Canary if i.plan.follows().is_some() => return super::follow::follow(i, w),
        Strategy::Canary => {}
    }
    if w.stable_hash.as_deref() == Some(canary) {
        return promoted(i, w);
    }
    step(i, w)
}

/// Why it must go back, where it must: the verdict on its samples, or a template.
fn failed(r: &Release) -> Option<&str> {
    let verdict = r.verdict.as_ref().filter(|v| v.class == Class::Fail).map(|v| v.words.as_str());
    verdict.or_else(|| r.checked.as_ref().filter(|c| c.outcome.turns_back()).map(|c| c.words.as_str()))
}

/// What bars every raise, in the order in which it is told.
pub(super) fn barred(i: &Input<'_>, w: &Workload) -> Option<Decision> {
    let r = i.release;
    if r.hold.is_some() {
        return Some(stand(r, State::Paused, None, super::words::held(r)));
    }
    if w.spec_paused {
        let why = format!(
            "Somebody paused the {} past Tidegate (spec.paused). Set it to false to go on; abort and rollback work as \
             it is.",
            w.key.kind.key()
        );
        return Some(stand(r, State::Paused, None, why));
    }
    let known = [super::next::AT_PAUSE, super::next::AT_SWITCH];
    if let Some(other) = w.pauses.iter().find(|p| !known.contains(&p.as_str())) {
        let why = format!(
            "The controller paused the update itself ({other}). Resolve it there, abort or roll back."
        );
        return Some(stand(r, State::Paused, None, why));
    }
    unapproved(i)
}

/// What runs is not what was approved, or no longer.
pub(super) fn unapproved(i: &Input<'_>) -> Option<Decision> {
    let r = i.release;
    if i.plan.digest() != r.digest {
        let why = "The stored plan no longer has the digest that was approved. Nothing goes on; abort or roll back.";
        return Some(stand(r, State::Paused, None, why));
    }
    if !i.approved {
        let why = format!(
            "The approvals of this plan no longer suffice: one was revoked or has expired. {} must stand to go on.",
            i.plan.spec.approvals.required
        );
        return Some(stand(r, State::Waiting, None, why));
    }
    None
}

fn before_deploy(i: &Input<'_>, w: &Workload) -> Decision {
    let r = i.release;
    let fits = w.strategy == i.plan.drives() || super::twin::drives(i.plan, w);
    if !fits {
        let why = format!("{} is not what the plan's strategy is for, so nothing was changed.", r.workload);
        return end(State::Failed, why);
    }
    if let Some(why) = w.source_unfit() {
        return end(State::Failed, format!("Nothing was changed. {why}"));
    }
    if w.stable_hash.as_deref() != Some(r.known_good.hash.as_str()) {
        let why = format!(
            "The stable revision of {} is no longer the one this release would go back to ({}). Start it anew.",
            r.workload,
            r.good_version()
        );
        return end(State::Failed, why);
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    if let Some(why) = failed(r) {
        return end(State::Failed, format!("Not started: {why}"));
    }
    if i.plan.steps().is_empty() {
        return end(
            State::Failed,
            "The plan has no steps, so nothing was changed. Add a step and start anew.",
        );
    }
    if !w.observed() {
        return stand(
            r,
            State::Queued,
            None,
            "The controller has not yet seen the newest change of the workload.",
        );
    }
    // One that was made so late that its release had ended: it has no pods, and no other release is under way here.
    if w.anything_of_ours() && w.stable_hash == w.current_hash && !w.any_sent() {
        return match ready(r, &Effect::Retire, i.now) {
            Ok(()) => Decision::Act(Effect::Retire),
            Err(until) => wait(Some(until), "A second Deployment that was left behind goes first."),
        };
    }
    if w.in_flight() {
        let why = "Another update of this workload is under way. Waiting until it has ended.";
        return stand(r, State::Queued, None, why);
    }
    if let Some(why) = super::blue_green::at_once(i, w) {
        return stand(r, State::Queued, None, why);
    }
    let before = tried(r, &Effect::Deploy);
    if let Some(t) = before.filter(|t| t.times >= DEPLOYS) {
        return end(State::Failed, format!("The change could not be written to the cluster. {}", t.words));
    }
    match ready(r, &Effect::Deploy, i.now) {
        Ok(()) => Decision::Act(Effect::Deploy),
        Err(until) => {
            let words = before.map_or("", |t| t.words.as_str());
            wait(Some(until), format!("The change could not be written yet. {words}"))
        }
    }
}

/// Deployed, and the controller has not yet named the new pods.
fn naming(i: &Input<'_>, w: &Workload) -> Decision {
    let r = i.release;
    // Where the template is a Deployment's the controller has seen nothing new before that one got it.
    let deploy = tried(r, &Effect::TakeOver).or_else(|| tried(r, &Effect::Deploy));
    let long = deploy.is_none_or(|t| passed(t.at, SETTLING, i.now));
    let until = deploy.filter(|_| !long).map(|t| after(t.at, SETTLING));
    let over = marked(r, w) && !ours(r, w) && w.observed();
    if over {
        return changed_outside(r, w);
    }
    // Without our mark and our images the watch lags behind our own patch, however long that takes.
    if !ours(r, w) || !w.observed() {
        return wait(until, "Waiting for the controller to see the new version.");
    }
    // A Deployment that is paused before its controller has made the new ReplicaSet makes none while that lasts.
    if w.current_hash.is_none()
        && w.spec_paused
        && let Some(decision) = super::rolling::held(i, w)
    {
        return decision;
    }
    match w.current_hash.as_deref() {
        Some(hash) if hash != r.known_good.hash => record(Record::CanaryNamed(hash.to_owned())),
        Some(_) if long && w.phase == Phase::Degraded => {
            let why = format!("The controller refused the new version{}", its_words(w));
            record(Record::TurnBack { why })
        }
        Some(_) if long => record(Record::TurnBack {
            why: "The plan changes nothing: the controller sees the version that is already stable.".into(),
        }),
        Some(_) | None => wait(until, "Waiting for the controller to name the new pods."),
    }
}

/// The workload wants something else than this release's version.
pub(super) fn changed_outside(r: &Release, w: &Workload) -> Decision {
    let back = w.current_hash.as_deref() == Some(r.known_good.hash.as_str()) && good_images(r, w);
    if back {
        let why = format!("Somebody put {} back past Tidegate.", r.good_version());
        return record(Record::TurnBack { why });
    }
    let why = format!(
        "Somebody changed the workload past Tidegate: it now wants {}. Nothing goes on; abort or roll back.",
        w.version()
    );
    stand(r, State::Paused, None, why)
}

/// At, or on the way to, a step of the plan.
fn step(i: &Input<'_>, w: &Workload) -> Decision {
    let (r, steps) = (i.release, i.plan.steps());
    let done = r.passed.len().min(steps.len());
    let at = w.step_index.unwrap_or(0);
    let here = steps.get(done);
    // Reaching a weight that was allowed is a fact: the analysis must watch it even while the release is held.
    if let Some(s) = here
        && r.step_since.is_none()
        && at == i.plan.pause_of(done)
        && at_pause(w)
        && !w.spec_paused
        && let Some(weight) = confirmed(w, s.weight)
    {
        return record(Record::StepReached { step: done, weight });
    }
    if let Some(decision) = barred(i, w) {
        return decision;
    }
    let left = done.checked_sub(1).map(|before| i.plan.pause_of(before));
    let last = i.plan.pause_of(steps.len()).saturating_sub(1);
    let allowed = if here.is_some() { i.plan.pause_of(done) } else { last };
    if at > allowed {
        let why = "The canary is further than the plan allows: somebody promoted it past Tidegate. Abort or roll back.";
        return stand(r, State::Paused, None, why);
    }
    if left.is_some_and(|from| at < from) {
        let why = "The Rollout's steps were changed past Tidegate: it began again. Abort or roll back.";
        return stand(r, State::Paused, None, why);
    }
    if let Some(from) = left.filter(|from| at == *from) {
        return open(i, w, from);
    }
    let Some(s) = here else {
        return stand(r, State::Running, None, "Promoting: the last old pods are being replaced.");
    };
    if r.step_since.is_none() {
        return stand(
            r,
            State::Running,
            None,
            format!("Rising to {} %: waiting until it is confirmed.", s.weight),
        );
    }
    if at != i.plan.pause_of(done) || !at_pause(w) {
        let why =
            format!("The canary does not stand at {} % as it should. Waiting for the controller.", s.weight);
        return stand(r, State::Running, None, why);
    }
    gates(i, done, s)
}

/// The canary's share, once it is what is asked for: by the router's word, or, where pods carry it, when all
/// the pods that the controller gave the canary are ready.
pub(super) fn confirmed(w: &Workload, weight: u8) -> Option<u8> {
    if w.router.is_some() {
        return w.weights.filter(|x| x.canary == weight && !w.unverified).map(|x| x.canary);
    }
    let canary = w.revision(w.current_hash.as_deref()?)?;
    let whole = canary.ready >= canary.desired && (canary.desired > 0 || w.replicas == 0 || weight == 0);
    whole.then(|| w.canary_share())
}

/// Opens the pause behind a passed step.
pub(super) fn open(i: &Input<'_>, w: &Workload, from: i32) -> Decision {
    let r = i.release;
    let effect = Effect::OpenPause { from };
    if !at_pause(w) {
        return stand(r, State::Running, None, "The pause is open: waiting for the controller to go on.");
    }
    match ready(r, &effect, i.now) {
        Ok(()) => Decision::Act(effect),
        Err(until) => stand(r, State::Running, Some(until), "Waiting to see the pause open in the cluster."),
    }
}

/// What still keeps a step from being left.
enum Bar<'a> {
    /// Bakes for so many more seconds.
    Bake(u64),
    /// The analysis does not pass: its verdict, where there is one.
    Analysis(Option<&'a Verdict>),
    /// The templates have not passed: what they came to, where they were looked at.
    Templates(Option<&'a Checked>),
    /// A person of this role opens the gate.
    Person(Role),
    /// The Rollout's owner wrote a pause that a person opens, and the plan does not say who: whoever may promote.
    Anybody,
}

/// The first of them, in the order in which they fall. A waiver lifts bake and analysis, never a person's gate.
fn bar<'a>(r: &'a Release, plan: &Plan, index: usize, now: DateTime<Utc>) -> Option<Bar<'a>> {
    let s = plan.steps().get(index)?;
    if !r.waived.contains_key(&index) {
        let checked = r.checked_at(index);
        if checked.is_some_and(|c| c.outcome == Outcome::Inconclusive) {
            // Waiting changes nothing about it.
            return Some(Bar::Templates(checked));
        }
        let left = s.bake.0.saturating_sub(r.baked_at(now).0);
        if left > 0 {
            return Some(Bar::Bake(left));
        }
        let verdict = r.verdict.as_ref().filter(|v| v.step == index);
        if s.has_analysis() && verdict.is_none_or(|v| v.class != Class::Pass) {
            return Some(Bar::Analysis(verdict));
        }
        let asked = !plan.templates_at(index).is_empty();
        if asked && checked.is_none_or(|c| c.outcome != Outcome::Passed) {
            return Some(Bar::Templates(checked));
        }
    }
    if r.opened.contains_key(&index) {
        return None;
    }
    let gate = s.gates.iter().find_map(|g| match g {
        Gate::Approval(role) => Some(Bar::Person(*role)),
        Gate::Analysis => None,
    });
    gate.or_else(|| (plan.asks_a_person(index) && !r.waived.contains_key(&index)).then_some(Bar::Anybody))
}

/// The role that must open the present step's gate, when nothing else is waited for any more.
pub fn only_gate_left(r: &Release, plan: &Plan, now: DateTime<Utc>) -> Option<Role> {
    let index = r.step?;
    match bar(r, plan, index, now)? {
        Bar::Person(role) => Some(role),
        Bar::Bake(_) | Bar::Analysis(_) | Bar::Templates(_) | Bar::Anybody => None,
    }
}

/// The present step waits for nothing but that somebody promotes it.
pub fn only_promotion_left(r: &Release, plan: &Plan, now: DateTime<Utc>) -> bool {
    r.step_since.is_some()
        && r.step.is_some_and(|index| match bar(r, plan, index, now) {
            Some(Bar::Anybody) => true,
            Some(Bar::Templates(checked)) => checked.is_some_and(|c| c.outcome == Outcome::Inconclusive),
            _ => false,
        })
}

/// Everything that must be open before the step is left.
pub(super) fn gates(i: &Input<'_>, index: usize, s: &Step) -> Decision {
    let r = i.release;
    let next = i.plan.steps().get(index + 1).map(|n| n.weight);
    let Some(bar) = bar(r, i.plan, index, i.now) else {
        return record(Record::StepPassed { step: index, next });
    };
    let why = match bar {
        Bar::Bake(left) => {
            let until = after(i.now, Span(left).delta());
            return stand(
                r,
                State::Running,
                Some(until),
                format!("Baking {} for {}.", i.plan.step_place(index), s.bake),
            );
        }
        Bar::Analysis(Some(verdict)) => format!("The analysis does not pass yet: {}", verdict.words),
        Bar::Templates(Some(checked)) if checked.outcome == Outcome::Inconclusive => {
            let to = i.plan.step_leads_to(index);
            let why = format!("{} A release manager promotes it to {to}, or it goes back.", checked.words);
            return stand(r, State::Paused, None, why);
        }
        Bar::Templates(Some(checked)) => checked.words.clone(),
        Bar::Templates(None) => {
            format!("Waiting for the templates to be evaluated {}.", i.plan.step_place(index))
        }
        Bar::Analysis(None) => format!("Waiting for the analysis {}.", i.plan.step_place(index)),
        Bar::Person(role) => {
            let to = i.plan.step_leads_to(index);
            let why = format!("Everything else passed. {} opens the gate to {to}.", capital(role.words()));
            return stand(r, State::Waiting, None, why);
        }
        Bar::Anybody => {
            let to = i.plan.step_leads_to(index);
            let why = format!("The Rollout stands at its own pause. A release manager promotes it, to {to}.");
            return stand(r, State::Waiting, None, why);
        }
    };
    stand(r, State::Running, None, why)
}

fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// The new version is the stable one.
pub(super) fn promoted(i: &Input<'_>, w: &Workload) -> Decision {
    let (r, steps) = (i.release, i.plan.steps());
    if w.phase != Phase::Healthy {
        let why = format!("Promoted: {} of {} pods are available.", w.available, w.replicas);
        return stand(r, State::Running, None, why);
    }
    // A last step that holds for nothing has no pause of its own: promotion itself passes it.
    let last = steps.len().saturating_sub(1);
    if r.passed.len() == last && steps.last().is_some_and(|s| !s.holds()) {
        return record(Record::StepPassed { step: last, next: None });
    }
    let restore = Effect::RestoreSteps;
    let enough = tried(r, &restore).is_some_and(|t| t.happened || t.times >= RESTORES);
    if !enough {
        return match ready(r, &restore, i.now) {
            Ok(()) => Decision::Act(restore),
            Err(until) => wait(Some(until), "Putting the Rollout's own settings back."),
        };
    }
    if r.passed.len() < steps.len() {
        let why = format!(
            "{} was promoted past the plan's gates, not by Tidegate: it runs everywhere, unverified. Roll back, or \
             verify it by hand.",
            r.version()
        );
        return end(State::Failed, why);
    }
    let mut why = format!("{} is the stable version, and healthy.", r.version());
    if tried(r, &restore).is_some_and(|t| !t.happened) {
        why.push_str(match w.strategy {
            Strategy::BlueGreen => {
                " The Rollout's own settings of the switch (autoPromotion…, scaleDownDelay…) could not be put back: \
                 restore them by hand."
            }
            Strategy::Canary if i.plan.follows().is_some() => {
                " The Rollout's own rollbackWindow may not be back: look at it by hand."
            }
            Strategy::Canary | Strategy::Rolling => {
                " The Rollout's own canary steps could not be put back: restore them by hand."
            }
        });
    }
    end(State::Succeeded, why)
}
