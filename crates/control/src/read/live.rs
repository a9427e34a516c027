//! What moves on a release page: the sentence it opens with, the gate, the deeds.

use super::services::preview;
use super::{weight, words};
use crate::Control;
use crate::analysis::{analysed, judged};
use crate::ask::{Ask, may};
use crate::config::{put_back, warnings};
use crate::releases::deed;
use crate::retry::needs_reason;
use crate::rollback::can_go_back;
use chrono::{DateTime, Utc};
use model::plan::{BlueGreen, Gate, Plan, Step};
use model::release::{Course, Release, State};
use model::verdict::{Class, Sample, Verdict};
use model::view::{AnalysisView, Deed, GateState, GateView, ReleaseLive, Retry, StepState, StepView};
use model::workload::{Kind, Strategy, Workload};
use model::{Action, Actor, Span};

impl Control {
    pub(crate) async fn live(
        &self,
        actor: &Actor,
        release: &Release,
        plan: &Plan,
        samples: &[Sample],
    ) -> ReleaseLive {
        let now = self.now_utc();
        let workload = self.workload_of(release);
        let seen = workload.as_deref();
        let verdict = current_verdict(release, plan, samples, now);
        let failed = verdict.as_ref().map(|v| v.canary.errors);
        let ceiling = release.ceiling(plan);
        let (headline, small) = headline(release, plan, verdict.as_ref());
        let stall = self.stall_of(release.id).filter(|_| !release.state.ended());
        let ways = match (&stall, seen) {
            (Some(_), Some(w)) => self.ways_out(actor, w, Some(release)).await,
            _ => Vec::new(),
        };
        let about = store::IncidentFilter { release: Some(release.id), ..Default::default() };
        let mut rollback = None;
        if let Some(w) = seen.filter(|_| can_go_back(release).is_ok()) {
            let mut preview = preview(w, &release.known_good, failed);
            let config = self.config_view(w, &release.known_good).await;
            preview.steps.extend(config.as_ref().and_then(put_back));
            preview.cannot_undo.extend(config.as_ref().map(warnings).unwrap_or_default());
            preview.cannot_undo.extend(self.left_to_git(w).await);
            rollback = Some(preview);
        }
        let reminder = match seen.filter(|_| release.state.ended()) {
            Some(w) => self.sync(w).await.and_then(|sync| sync.reminder()),
            None => None,
        };
        let policy = self.policy_watch(actor, release).await;
        // Whoever lets it go on stops the policy first, and says why.
        let barred = policy.as_ref().and_then(|p| p.firing.as_ref()).is_some_and(|f| f.stop.is_some());
        let ask = |ask| match deed(may(actor, release, plan, ask, now)) {
            deed if deed.allowed && barred && !matches!(ask, Ask::Pause | Ask::Abort) => {
                Deed::no("The policy that fired is to roll it back. Stop that first.")
            }
            deed => deed,
        };
        let analyses = self.analyses_of(release).await;
        let has_gate = step(release, plan).is_some_and(|s| approval_gate(s).is_some());
        ReleaseLive {
            state: release.state,
            badge: badge(release, plan),
            headline,
            headline_small: small,
            due: due(release, plan, now),
            weight: weight(release, seen),
            ceiling,
            rising: release.course == Course::Forward && !release.state.ended() && release.hold.is_none(),
            next: next_gate(release, plan, verdict.as_ref(), now),
            steps: steps(release, plan, verdict.as_ref(), &analyses, now),
            step: release.step,
            preview: seen.filter(|_| !release.state.ended()).and_then(|w| w.twin.as_ref()?.address.clone()),
            rollback,
            back: super::back::back(
                release,
                seen,
                self.errors_of(release.id),
                &plan.spec.analysis.limits(),
                now,
            ),
            reminder,
            policy,
            incidents: crate::incidents::briefs(self, about).await,
            stall,
            ways,
            analyses,
            revisions: revisions(release, seen),
            canary_hash: release.canary_hash.clone(),
            stable_hash: Some(release.known_good.hash.clone()),
            pause: ask(Ask::Pause),
            resume: ask(Ask::Resume),
            promote: ask(Ask::Promote),
            promote_full: ask(Ask::PromoteFull),
            retry: (release.state.ended() && release.state != State::Succeeded).then(|| Retry {
                deed: deed(self.may_retry(actor, release, seen)),
                needs_reason: needs_reason(release),
            }),
            skip: ask(Ask::Skip),
            abort: ask(Ask::Abort),
            roll_back: roll_back(actor, release, seen),
            open_gate: (has_gate && !release.state.ended()).then(|| ask(Ask::OpenGate)),
            verdict,
            age: self.age(),
        }
    }
}

/// The verdict on the samples of the step in force, as judged at the last of them.
fn current_verdict(
    release: &Release,
    plan: &Plan,
    samples: &[Sample],
    now: DateTime<Utc>,
) -> Option<Verdict> {
    if !analysed(plan) {
        return None;
    }
    let stored = release.verdict.clone();
    // A failed step stays failed, and what has ended is told as it was concluded.
    if release.state.ended() || stored.as_ref().is_some_and(|v| v.class == Class::Fail) {
        return stored;
    }
    let (Some(step), Some(since)) = (release.step, release.step_since) else { return stored };
    let here: Vec<Sample> = samples.iter().filter(|s| s.step == step && s.at >= since).cloned().collect();
    let at = here.last().map_or(now, |s| s.at);
    Some(judged(plan, &here, step, at))
}

fn step<'p>(release: &Release, plan: &'p Plan) -> Option<&'p Step> {
    release.step.and_then(|i| plan.steps().get(i))
}

fn approval_gate(step: &Step) -> Option<model::Role> {
    step.gates.iter().find_map(|g| match g {
        Gate::Approval(role) => Some(*role),
        Gate::Analysis => None,
    })
}

fn roll_back(actor: &Actor, release: &Release, seen: Option<&Workload>) -> Deed {
    if let Err(p) = can_go_back(release) {
        return Deed::no(p.detail);
    }
    if release.state.ended() && seen.is_none_or(|w| w.current_hash != release.canary_hash) {
        return Deed::no("The workload has moved on since this release. Roll back the service instead.");
    }
    deed(actor.require(Action::RollBack, &release.environment))
}

fn badge(release: &Release, plan: &Plan) -> String {
    match (release.state, release.step) {
        (State::Running, Some(i)) if release.step_since.is_some() => format!("Baking {}", plan.step_place(i)),
        (State::Running, Some(i)) if plan.copied_at(i).is_some() => "Copies begin".to_owned(),
        (State::Running, Some(i)) => match (plan.drives(), i) {
            (Strategy::BlueGreen, BlueGreen::PREVIEW) => "Preview comes up".to_owned(),
            (Strategy::BlueGreen, _) => "Switching".to_owned(),
            (Strategy::Canary | Strategy::Rolling, _) => format!("Moving to {}", plan.step_name(i)),
        },
        (State::Running, None) => "Starting".to_owned(),
        (State::Waiting | State::Paused, Some(i)) => {
            format!("{} {}", release.state.words(), plan.step_place(i))
        }
        (state, _) => state.words().to_owned(),
    }
}

fn headline(release: &Release, plan: &Plan, verdict: Option<&Verdict>) -> (String, Option<String>) {
    let (new, old) = (release.version(), release.good_version());
    let fails = verdict.filter(|v| v.class == Class::Fail).map(|v| v.words.clone());
    match release.state {
        State::Queued => (format!("{new} is about to start."), Some(words(release, plan))),
        State::Running | State::Waiting | State::Paused => {
            let at = step(release, plan).map_or(0, |s| s.weight);
            let place = release.step.map_or_else(|| "at 0 %".to_owned(), |i| plan.step_place(i));
            let copies = release.step.and_then(|i| plan.copied_at(i)).is_some();
            let first = match (release.state, release.step_since) {
                (State::Running, _) if copies => format!("No user sees {new}."),
                (State::Paused, _) if copies => format!("{new} is held {place}; no user sees it."),
                (State::Waiting, _) if copies => {
                    format!("{new} waits {place} for a person; no user sees it.")
                }
                (State::Paused, _) => format!("{new} is held {place}."),
                (State::Waiting, _) => format!("{new} waits {place} for a person."),
                (_, Some(_)) if at == 0 && release.workload.kind == Kind::Deployment => {
                    format!("{new} stands beside {old}; no user is sent there.")
                }
                (_, Some(_)) if at == 0 => format!("{new} stands behind the preview Service."),
                (_, Some(_)) => format!("{new} carries {at} % of the traffic."),
                (_, None) if plan.drives() == Strategy::BlueGreen && at > 0 => {
                    format!("Users are being switched to {new}.")
                }
                (_, None) if at > 0 => format!("{new} is moving to {at} %."),
                _ => format!("{new} is starting."),
            };
            (first, fails.or_else(|| Some(words(release, plan))))
        }
        State::RollingBack if never_seen(release, plan) => {
            (format!("Copying to {new} stops. Users stay on {old}."), release.reason.clone())
        }
        State::RollingBack => (format!("Going back to {old}."), release.reason.clone()),
        State::RolledBack | State::Cancelled if never_seen(release, plan) => {
            (format!("Taken away: no user saw {new}. {old} carries all traffic."), release.reason.clone())
        }
        State::RolledBack => (format!("Rolled back: {old} carries all traffic."), release.reason.clone()),
        State::Succeeded => (format!("{new} carries all traffic."), release.reason.clone()),
        State::Failed => (format!("{new} failed."), release.reason.clone()),
        State::Cancelled => (format!("Aborted: {old} carries all traffic."), release.reason.clone()),
    }
}

/// It was turned back while requests were copied to it: no user was ever sent there.
fn never_seen(release: &Release, plan: &Plan) -> bool {
    plan.shadow().is_some() && release.passed.is_empty()
}

/// Nothing was measured of the new version: the copies may not arrive at all.
fn unanswered(verdict: Option<&Verdict>) -> bool {
    verdict.is_none_or(|v| v.canary.requests < 1.0)
}

/// What comes by itself, and when.
fn due(release: &Release, plan: &Plan, now: DateTime<Utc>) -> Option<(DateTime<Utc>, String)> {
    let s = step(release, plan)?;
    let runs = release.state == State::Running && release.course == Course::Forward;
    if !runs || release.hold.is_some() || release.step_since.is_none() {
        return None;
    }
    let left = s.bake.seconds().checked_sub(release.baked_at(now).seconds()).filter(|l| *l > 0)?;
    Some((now + Span(left).delta(), "of bake left".to_owned()))
}

fn next_gate(
    release: &Release,
    plan: &Plan,
    verdict: Option<&Verdict>,
    now: DateTime<Utc>,
) -> Option<(String, String)> {
    if release.course != Course::Forward || release.state.ended() {
        return None;
    }
    let here = step(release, plan)?;
    let title = match release.step.filter(|i| i + 1 < plan.steps().len()) {
        Some(i) => format!("Next gate, to {}: closed.", plan.step_leads_to(i)),
        None => "Last gate: closed.".to_owned(),
    };
    let copied = release.step.and_then(|i| plan.copied_at(i));
    let mut parts = Vec::new();
    if release.step_since.is_none() {
        parts.push(match (plan.drives(), here.weight) {
            (Strategy::Rolling, _) if let Some(percent) = copied => {
                format!("Its pods must be ready, and the HTTPRoute must copy {percent} % of requests.")
            }
            (Strategy::Rolling, _) if plan.shadow().is_some() => {
                "The Deployment must run it whole.".to_owned()
            }
            (Strategy::BlueGreen, 0) => "All pods of the preview must be ready.".to_owned(),
            (Strategy::BlueGreen, _) if release.workload.kind == Kind::Deployment => {
                "The Services in front must select the new version.".to_owned()
            }
            (Strategy::BlueGreen, _) => "The active Service must select the new version.".to_owned(),
            (Strategy::Canary, _) if let Some(own) = release.step.and_then(|i| plan.own_steps(i)) => {
                format!("The Rollout walks its own steps by itself: {own}.")
            }
            (Strategy::Canary | Strategy::Rolling, weight) => format!("The router must confirm {weight} %."),
        });
    }
    if let Some(hold) = &release.hold {
        let who = if hold.by.starts_with("policy ") { "somebody" } else { hold.by.as_str() };
        parts.push(format!("{who} must resume it."));
    }
    if here.has_analysis() {
        match verdict.map(|v| v.class) {
            Some(Class::Pass) => {}
            Some(Class::Fail) => parts.push("Analysis must pass; it fails.".to_owned()),
            Some(Class::Marginal) => parts.push("Analysis must pass; it is marginal.".to_owned()),
            Some(Class::NoData) | None if copied.is_some() && unanswered(verdict) => {
                parts.push("Analysis must pass; no copy has been answered yet.".to_owned());
            }
            Some(Class::NoData) | None => parts.push("Analysis must pass; too little data yet.".to_owned()),
        }
    }
    parts.extend(super::templates::waits(release, plan));
    let left = here.bake.seconds().saturating_sub(release.baked_at(now).seconds());
    if left > 0 {
        parts.push(format!("{} of bake left.", Span(left).clock()));
    }
    if let Some(role) = approval_gate(here)
        && release.step.is_some_and(|i| !release.opened.contains_key(&i))
    {
        let who = role.words();
        parts.push(if parts.is_empty() {
            format!("It waits for an approval by {who}.")
        } else {
            format!("Then {who} approves.")
        });
    }
    let asks = release.step.is_some_and(|i| plan.asks_a_person(i) && !release.waived.contains_key(&i));
    if asks && approval_gate(here).is_none() {
        parts.push("A release manager promotes it: the Rollout stands at its own pause.".to_owned());
    }
    if parts.is_empty() {
        parts.push("Every gate is open; it goes on by itself.".to_owned());
    }
    Some((title, parts.join(" ")))
}

fn steps(
    release: &Release,
    plan: &Plan,
    verdict: Option<&Verdict>,
    analyses: &[AnalysisView],
    now: DateTime<Utc>,
) -> Vec<StepView> {
    let view = |(i, s)| {
        let mut view = StepView { name: plan.step_title(i), ..step_view(i, s, release, verdict, now) };
        if plan.asks_a_person(i) && view.state == StepState::Skipped {
            // Nothing was left out: its owner's pause is there to be opened by a person.
            (view.state, view.words) = (StepState::Passed, view.words.replace("skipped", "promoted"));
        }
        let stands = release.step == Some(i) && release.step_since.is_some();
        let copied = stands && !release.state.ended();
        view.gates.extend(plan.copied_at(i).map(|percent| copies(percent, view.state, copied)));
        view.gates
            .extend(plan.own_steps(i).map(|own| by_controller("Its own steps", own, view.state, stands)));
        view.gates.extend(super::templates::gates(plan, i, view.state, analyses));
        let asks = plan.asks(i).into_iter();
        view.gates.extend(asks.map(|(name, figure)| by_controller(name, figure, view.state, stands)));
        view
    };
    plan.steps().iter().enumerate().map(view).collect()
}

/// Requests that are copied at a step, while it stands.
fn copies(percent: u8, step: StepState, stands: bool) -> GateView {
    let state = match step {
        StepState::Here | StepState::Held if stands => GateState::Running,
        StepState::Passed | StepState::Skipped => GateState::Passed,
        StepState::Here | StepState::Held | StepState::Closed => GateState::Closed,
    };
    let (kind, name) = ("copies".to_owned(), "Copies".to_owned());
    let note = (state == GateState::Running).then(|| "answers are thrown away".to_owned());
    GateView { kind, name, state, figure: format!("{percent} % of requests"), note }
}

/// What the controller does on the way to a step, beside its weight.
fn by_controller(name: &str, figure: String, step: StepState, stands: bool) -> GateView {
    let state = match step {
        StepState::Here if stands => GateState::Waiting,
        StepState::Passed | StepState::Skipped => GateState::Passed,
        StepState::Here => GateState::Running,
        StepState::Held | StepState::Closed => GateState::Closed,
    };
    GateView { kind: "steps".to_owned(), name: name.to_owned(), state, figure, note: None }
}

fn step_view(
    i: usize,
    s: &Step,
    release: &Release,
    verdict: Option<&Verdict>,
    now: DateTime<Utc>,
) -> StepView {
    let passed = release.passed.get(i);
    let here = release.step == Some(i) && passed.is_none();
    let (state, words) = match passed {
        Some(at) if release.waived.contains_key(&i) => {
            (StepState::Skipped, format!("skipped {}", at.format("%H:%M:%S")))
        }
        Some(at) => (StepState::Passed, format!("passed {}", at.format("%H:%M:%S"))),
        None if here && (release.hold.is_some() || release.course != Course::Forward) => {
            let words = if release.course == Course::Forward { "held here" } else { "ended here" };
            (StepState::Held, words.to_owned())
        }
        None if here && verdict.is_some_and(|v| v.class == Class::Fail) => {
            (StepState::Held, "fails here".to_owned())
        }
        None if here && release.step_since.is_none() => (StepState::Here, "moving here".to_owned()),
        None if here => (StepState::Here, "here now".to_owned()),
        None => (StepState::Closed, "closed".to_owned()),
    };
    let mut gates = Vec::new();
    for gate in &s.gates {
        gates.push(match gate {
            Gate::Analysis => analysis_gate(here, passed.is_some(), verdict.filter(|v| v.step == i)),
            Gate::Approval(role) => {
                let by = release.opened.get(&i);
                GateView {
                    kind: "approval".to_owned(),
                    name: format!("Approval, {}", role.words()),
                    state: match by {
                        Some(_) => GateState::Passed,
                        None if here => GateState::Waiting,
                        None => GateState::Closed,
                    },
                    figure: if by.is_some() { "1 of 1" } else { "0 of 1" }.to_owned(),
                    note: by.map(|who| format!("by {who}")),
                }
            }
        });
    }
    if s.bake > Span::ZERO {
        let baked = match (passed.is_some(), here) {
            (true, _) => s.bake,
            (false, true) => Span(release.baked_at(now).seconds().min(s.bake.seconds())),
            (false, false) => Span::ZERO,
        };
        gates.push(GateView {
            kind: "bake".to_owned(),
            name: "Bake".to_owned(),
            state: match (passed.is_some() || baked >= s.bake, here) {
                (true, _) => GateState::Passed,
                (false, true) => GateState::Running,
                (false, false) => GateState::Closed,
            },
            figure: if here { format!("{} of {}", baked.clock(), s.bake.clock()) } else { s.bake.clock() },
            note: (here && release.hold.is_some()).then(|| "stopped while held".to_owned()),
        });
    }
    StepView { weight: s.weight, name: String::new(), state, words, gates }
}

fn analysis_gate(here: bool, passed: bool, verdict: Option<&Verdict>) -> GateView {
    let (state, figure) = match (here, passed, verdict.map(|v| v.class)) {
        (_, true, _) => (GateState::Passed, "pass"),
        (true, _, Some(Class::Pass)) => (GateState::Passed, "pass"),
        (true, _, Some(Class::Fail)) => (GateState::Failed, "fail"),
        (true, _, Some(Class::Marginal)) => (GateState::Running, "marginal"),
        (true, _, Some(Class::NoData) | None) => (GateState::NoData, "no data yet"),
        (false, ..) => (GateState::Closed, "guard"),
    };
    let note = verdict
        .filter(|_| here)
        .map(|v| format!("{:.0} requests, {:.0} errors", v.canary.requests, v.canary.errors));
    GateView {
        kind: "analysis".to_owned(),
        name: "Analysis".to_owned(),
        state,
        figure: figure.to_owned(),
        note,
    }
}

fn revisions(release: &Release, seen: Option<&Workload>) -> Vec<model::workload::Revision> {
    let Some(w) = seen else { return Vec::new() };
    let good = release.known_good.hash.as_str();
    w.revisions
        .iter()
        .filter(|r| Some(&r.hash) == release.canary_hash.as_ref() || r.hash == good)
        .cloned()
        .collect()
}
