//! The sentences the history shows for what the conductor does.

use super::{Effect, Record};
use crate::plan::{BlueGreen, Plan, Shadow};
use crate::release::{Course, Release, State};
use crate::rollback::Proof;
use crate::span::Span;
use crate::workload::{Kind, Strategy};

/// What an effect is about to do, in one sentence.
pub fn announce(effect: &Effect, release: &Release, plan: &Plan) -> String {
    let (new, good) = (release.version(), release.good_version());
    if let Some(words) = plan.shadow().and_then(|shadow| copies(effect, release, shadow)) {
        return words;
    }
    match effect {
        Effect::Deploy if plan.drives() == Strategy::Rolling => {
            format!("{new} rolls out: its pods replace those of {good} at the Deployment's own pace.")
        }
        Effect::Deploy
            if release.workload.kind == Kind::Deployment && plan.drives() == Strategy::BlueGreen =>
        {
            format!(
                "A second Deployment is made for {new}, and no user is sent there; {} stays as it is.",
                release.workload.name
            )
        }
        Effect::Deploy if plan.drives() == Strategy::BlueGreen => {
            format!("{new} comes up behind the preview Service; users stay on {good} until its gates open.")
        }
        Effect::Deploy if release.workload.kind == Kind::Deployment => {
            format!("A second Deployment is made for {new}; {} stays as it is.", release.workload.name)
        }
        Effect::Scale { from, to } => format!("The second Deployment is scaled from {from} to {to} pods."),
        Effect::Weigh { from, to } => {
            format!("The second Deployment's share of the users goes from {from} % to {to} %.")
        }
        Effect::TakeOver if release.workload.kind == Kind::Rollout => {
            format!("The template that {} refers to gets {new}.", release.workload.name)
        }
        Effect::TakeOver => {
            format!("{} takes {new} over by its own rolling update.", release.workload.name)
        }
        Effect::HandBack if plan.drives() == Strategy::Canary => {
            format!("All users go to the pods of {} again.", release.workload.name)
        }
        Effect::HandBack => format!("The Services select the pods of {} again.", release.workload.name),
        Effect::Retire => "The second Deployment is scaled to nothing and deleted.".into(),
        Effect::Deploy if plan.follows().is_some() => {
            let most = plan.step_name(0);
            match plan.asks_a_person(0) {
                true => format!(
                    "{new} starts on the Rollout's own steps, to {most} at the most before the first pause."
                ),
                false => {
                    format!("{new} starts on the Rollout's own steps, which go to {most} by themselves.")
                }
            }
        }
        Effect::Deploy => {
            let first = plan.steps().first().map_or(0, |s| s.weight);
            format!("{new} starts at {first} %, and stands there until its gates open.")
        }
        Effect::OpenPause { from } => {
            let step = plan.step_at(*from).unwrap_or(usize::MAX - 1);
            let weight = |i: usize| plan.steps().get(i).map(|s| s.weight);
            match (weight(step), weight(step + 1)) {
                (Some(_), Some(then)) if plan.follows().is_some() => {
                    format!("The Rollout's own pause is opened: it walks on, to {then} % at the most.")
                }
                (Some(now), Some(then)) => format!("Weight {now} % to {then} %."),
                _ => format!("Promotion of {new}: it becomes the stable version."),
            }
        }
        Effect::Switch => format!("Users are switched from {good} to {new}, all at once."),
        Effect::Pause => format!("The {} is paused where it is.", release.workload.kind.key()),
        Effect::Resume => format!("The {} goes on.", release.workload.kind.key()),
        Effect::Unpause if release.course == Course::Forward => "The Rollout's pause is taken off.".into(),
        Effect::Unpause => {
            "The Rollout's own pause is taken off, so that the way back is carried out.".into()
        }
        Effect::Abort if plan.drives() == Strategy::BlueGreen => {
            format!("The update is aborted: the active Service selects {good}.")
        }
        Effect::Abort => format!("Canary weight to 0 %: traffic goes to {good}."),
        Effect::Revert => format!("The known-good template of {good} is put back."),
        Effect::PromoteFull => format!("{good} takes over without walking the steps."),
        Effect::RestoreSteps if plan.drives() == Strategy::BlueGreen => {
            "The Rollout's own settings of the switch are put back.".into()
        }
        Effect::RestoreSteps if plan.follows().is_some() => {
            "What was lent of the Rollout's own settings is put back.".into()
        }
        Effect::RestoreSteps => "The Rollout's own canary steps are put back.".into(),
    }
}

/// The same where requests are copied before any user is sent anywhere.
fn copies(effect: &Effect, release: &Release, shadow: &Shadow) -> Option<String> {
    let (new, good) = (release.version(), release.good_version());
    let words = match effect {
        Effect::Deploy => format!("A second Deployment is made for {new}, and no user is sent there."),
        Effect::Weigh { to: 0, .. } | Effect::HandBack => {
            format!("No request is copied to {new} any more; users stay on {good}.")
        }
        Effect::Weigh { to, .. } => {
            format!("{to} % of requests are copied to {new}; users get the answers of {good}.")
        }
        Effect::TakeOver => format!(
            "{} takes {new} over by its own rolling update, after copies of {} % of requests: users see it now.",
            release.workload.name,
            shadow.percent()
        ),
        _ => return None,
    };
    Some(words)
}

/// A record as an audit event: the action's dotted name and one sentence.
pub fn tell(record: &Record, release: &Release, plan: &Plan) -> (&'static str, String) {
    match record {
        Record::Settle { happened, words } => {
            let (action, what) = match settling(release) {
                Some(e) => (settled(e, *happened), did(e, *happened, release, plan)),
                None => ("release.attempt.settled", "An attempt was closed.".into()),
            };
            (action, if *happened { what } else { format!("{what} {words}") })
        }
        Record::CanaryNamed(hash) => {
            ("release.canary.named", format!("The pods of {} carry the hash {hash}.", release.version()))
        }
        Record::StepReached { step, weight } => {
            let asked = plan.stands_at(*step).unwrap_or(*weight);
            let starts = match plan.steps().get(*step) {
                Some(s) if (s.has_analysis() || !s.templates.is_empty()) && s.bake > Span::ZERO => {
                    ": bake and analysis start"
                }
                Some(s) if s.has_analysis() || !s.templates.is_empty() => ": the analysis starts",
                Some(s) if s.bake > Span::ZERO => ": the bake starts",
                _ => "",
            };
            let words = if let Some(percent) = plan.copied_at(*step) {
                format!("{percent} % of requests are copied{starts}. No user is on it.")
            } else if plan.drives() == Strategy::BlueGreen {
                let what = if *step == BlueGreen::PREVIEW {
                    "The preview is up, and users are not on it"
                } else {
                    "The Service selects the new version: users are on it"
                };
                format!("{what}{starts}.")
            } else if asked == *weight {
                format!("{asked} % confirmed{starts}.")
            } else {
                format!("{weight} % confirmed, as near to {asked} % as pods allow{starts}.")
            };
            ("release.step.reached", words)
        }
        Record::StepPassed { step, next } => {
            let weight = plan.steps().get(*step).map_or(0, |s| s.weight);
            let words = match next {
                _ if plan.copied_at(*step).is_some() => {
                    "All gates on the copies passed. The Deployment may take the version over.".into()
                }
                _ if plan.drives() == Strategy::BlueGreen && *step == BlueGreen::PREVIEW => {
                    "All gates at the preview passed. The switch is allowed.".into()
                }
                None if plan.drives() == Strategy::BlueGreen => "All gates after the switch passed.".into(),
                Some(next) => format!("All gates at {weight} % passed. {next} % is allowed."),
                None if plan.drives() == Strategy::Rolling => "All gates passed.".into(),
                None => format!("All gates at {weight} % passed. Promotion is allowed."),
            };
            ("release.step.passed", words)
        }
        Record::Become { state, why } => {
            let action = match state {
                State::Queued => "release.queued",
                State::Running => "release.running",
                State::Waiting => "release.waiting",
                State::Paused => "release.held",
                State::RollingBack => "release.rolling_back",
                State::RolledBack => "release.rolled_back",
                State::Succeeded => "release.succeeded",
                State::Failed => "release.failed",
                State::Cancelled => "release.cancelled",
            };
            (action, why.clone())
        }
        Record::TurnBack { why } => {
            ("release.turned_back", format!("Back to {}: {why}", release.good_version()))
        }
        Record::Proved(proofs) => {
            let (old, good) = (release.version(), release.good_version());
            let words: Vec<_> = proofs
                .iter()
                .map(|p| match p {
                    Proof::Traffic if plan.shadow().is_some() => {
                        format!("Nothing is sent to {old}, neither users nor copies.")
                    }
                    Proof::Traffic => format!("Nobody is sent to {old} any more."),
                    Proof::Wanted => format!("The controller has taken up {good}."),
                    Proof::Stable => format!("{good} is the stable version."),
                    Proof::Pods => format!("All pods of {good} are ready."),
                })
                .collect();
            ("release.back.proved", words.join(" "))
        }
        Record::End { state, why } => {
            let action = match state {
                State::RolledBack => "release.rolled_back",
                State::Succeeded => "release.succeeded",
                State::Cancelled => "release.cancelled",
                State::Failed
                | State::Queued
                | State::Running
                | State::Waiting
                | State::Paused
                | State::RollingBack => "release.failed",
            };
            (action, why.clone())
        }
    }
}

/// The effect that a settling is about.
fn settling(release: &Release) -> Option<&Effect> {
    let late =
        || release.tried.iter().rev().find(|t| t.effect == Effect::Deploy && !t.happened).map(|t| &t.effect);
    release.attempt.as_ref().map(|a| &a.effect).or_else(late)
}

fn settled(effect: &Effect, happened: bool) -> &'static str {
    match (effect, happened) {
        (Effect::Deploy, true) => "release.deployed",
        (Effect::Deploy, false) => "release.deploy.not_done",
        (Effect::OpenPause { .. }, true) => "release.weight.raised",
        (Effect::OpenPause { .. }, false) => "release.weight.not_raised",
        (Effect::Switch, true) => "release.switched",
        (Effect::Switch, false) => "release.switch.not_done",
        (Effect::Scale { .. }, true) => "release.canary.scaled",
        (Effect::Scale { .. }, false) => "release.canary.not_scaled",
        (Effect::Weigh { .. }, true) => "release.weight.set",
        (Effect::Weigh { .. }, false) => "release.weight.not_set",
        (Effect::TakeOver, true) => "release.deployment.taken_over",
        (Effect::TakeOver, false) => "release.deployment.not_taken_over",
        (Effect::HandBack, true) => "release.handed_back",
        (Effect::HandBack, false) => "release.hand_back.not_done",
        (Effect::Retire, true) => "release.canary.retired",
        (Effect::Retire, false) => "release.canary.not_retired",
        (Effect::Pause, true) => "release.deployment.paused",
        (Effect::Pause, false) => "release.deployment.not_paused",
        (Effect::Resume, true) => "release.deployment.resumed",
        (Effect::Resume, false) => "release.deployment.not_resumed",
        (Effect::Unpause, true) => "release.unpaused",
        (Effect::Unpause, false) => "release.unpause.not_done",
        (Effect::Abort, true) => "release.weight.zero",
        (Effect::Abort, false) => "release.abort.not_done",
        (Effect::Revert, true) => "release.reverted",
        (Effect::Revert, false) => "release.revert.not_done",
        (Effect::PromoteFull, true) => "release.good.promoted",
        (Effect::PromoteFull, false) => "release.good.not_promoted",
        (Effect::RestoreSteps, true) => "release.steps.restored",
        (Effect::RestoreSteps, false) => "release.steps.not_restored",
    }
}

fn did(effect: &Effect, happened: bool, release: &Release, plan: &Plan) -> String {
    let announced = announce(effect, release, plan);
    if happened { announced } else { format!("Not done: {announced}") }
}

/// Who holds a release, and why: the note beside a held one.
pub(super) fn held(release: &Release) -> String {
    match &release.hold {
        Some(h) => match h.why.as_deref().filter(|w| !w.is_empty()) {
            Some(why) => format!("Held by {}: {why}", h.by),
            None => format!("Held by {}. Resume it to go on.", h.by),
        },
        None => "Held.".into(),
    }
}
