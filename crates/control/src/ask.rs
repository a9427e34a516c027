//! What people may ask of a release under way, and what each ask changes in its record. Pure.

use chrono::{DateTime, Utc};
use model::conductor::{self as press, only_gate_left};
use model::plan::{Gate, Plan};
use model::release::{Course, Release};
use model::verdict::Class;
use model::{Action, Actor, Problem};

/// What a person can ask of a release under way, besides a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Pause,
    Resume,
    /// Go on now: the present step's bake and analysis are not waited for.
    Promote,
    /// Go on to the end: no step's bake and analysis is waited for any more.
    PromoteFull,
    /// Leave this step out.
    Skip,
    Abort,
    /// Open the present step's approval gate.
    OpenGate,
}

impl Ask {
    fn action(self) -> Action {
        match self {
            Self::Pause => Action::Pause,
            Self::Resume => Action::Resume,
            Self::Promote | Self::PromoteFull => Action::Promote,
            Self::Skip => Action::Skip,
            Self::Abort => Action::Abort,
            Self::OpenGate => Action::OpenOnCallGate,
        }
    }
}
/// May this actor ask this of this release now? Asked by pages for their buttons, and again by the deed itself.
///
/// # Errors
/// 403 or 409 with the reason in words.
pub(crate) fn may(
    actor: &Actor,
    release: &Release,
    plan: &Plan,
    ask: Ask,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if ask == Ask::OpenGate {
        gate_role(actor, release, plan)?;
    } else {
        actor.require(ask.action(), &release.environment)?;
    }
    let no = |words: &str| Err(Problem::conflict(words));
    if release.state.ended() {
        return no(&format!("This release has ended: {}.", release.state.words().to_lowercase()));
    }
    if release.course != Course::Forward {
        return match ask {
            Ask::Abort => no("It is on its way back already."),
            _ => no("It is going back to the known-good version. Wait until it is there."),
        };
    }
    match ask {
        Ask::Pause if release.hold.is_some() => no("It is held already."),
        Ask::Resume if release.hold.is_none() => no("It is not held."),
        Ask::Promote | Ask::Skip => may_go_on(release, plan, now),
        Ask::PromoteFull => {
            may_go_on(release, plan, now)?;
            may_go_to_the_end(release, plan)
        }
        Ask::OpenGate if release.step.is_some_and(|s| release.opened.contains_key(&s)) => {
            no("This gate is open already.")
        }
        Ask::Pause | Ask::Resume | Ask::Abort | Ask::OpenGate => Ok(()),
    }
}

fn may_go_on(release: &Release, plan: &Plan, now: DateTime<Utc>) -> Result<(), Problem> {
    let no = |words: &str| Err(Problem::conflict(words));
    if release.hold.is_some() {
        return no("It is held. Resume it first.");
    }
    let Some(step) = release.step.filter(|_| release.step_since.is_some()) else {
        return no("No step is being waited at: the weight is still moving.");
    };
    if release.verdict.as_ref().is_some_and(|v| v.step == step && v.class == Class::Fail) {
        return no(
            "The analysis of this step fails, and a failed analysis cannot be passed over. Roll back.",
        );
    }
    if release.checked_at(step).is_some_and(|c| c.outcome.turns_back()) {
        return no("A template of this step failed, and that cannot be passed over. Roll back.");
    }
    if release.waived.contains_key(&step) || release.passed.len() > step {
        return no("This step has been passed already.");
    }
    if let Some(role) = only_gate_left(release, plan, now) {
        return no(&format!(
            "Only the approval gate is left, and nobody passes it over. It is opened by: {}.",
            role.words()
        ));
    }
    Ok(())
}

/// An approval gate is part of what was approved: whoever is to open it looks at its own step.
fn may_go_to_the_end(release: &Release, plan: &Plan) -> Result<(), Problem> {
    let here = release.step.unwrap_or(0);
    let left = plan.steps().iter().enumerate().skip(here);
    for (i, step) in left.clone() {
        let gate = step.gates.iter().find_map(|g| match g {
            Gate::Approval(role) if !release.opened.contains_key(&i) => Some(*role),
            Gate::Approval(_) | Gate::Analysis => None,
        });
        if let Some(role) = gate {
            return Err(Problem::conflict(format!(
                "An approval gate stands {}, and nobody passes it over. It is opened by: {}. Promote step by step.",
                plan.step_place(i),
                role.words()
            )));
        }
    }
    if left.count() < 2 {
        return Err(Problem::conflict("This is the last step. Promote it."));
    }
    Ok(())
}

fn gate_role(actor: &Actor, release: &Release, plan: &Plan) -> Result<(), Problem> {
    let gate = release.step.and_then(|i| plan.steps().get(i)).and_then(|s| {
        s.gates.iter().find_map(|g| match g {
            Gate::Approval(role) => Some(*role),
            Gate::Analysis => None,
        })
    });
    let Some(role) = gate else {
        return Err(Problem::conflict("The present step has no approval gate."));
    };
    if actor.holds(role, &release.environment) {
        return Ok(());
    }
    Err(Problem::forbidden(format!("This gate is opened by: {}.", role.words())))
}

pub(crate) fn carry_out(
    release: &mut Release,
    actor: &Actor,
    ask: Ask,
    plan: &Plan,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> (&'static str, String) {
    let (at, past) = place(release, plan);
    match ask {
        Ask::Pause => {
            press::hold(release, &actor.name, reason.map(ToOwned::to_owned), now);
            ("release.paused", format!("Held {at}"))
        }
        Ask::Resume => {
            press::resume(release, now);
            ("release.resumed", format!("Resumed {at}"))
        }
        Ask::Promote | Ask::Skip => {
            if let Some(step) = release.step {
                press::waive(release, step, &actor.name);
                if ask == Ask::Promote {
                    return (
                        "release.promoted",
                        format!("Promoted past {past} without waiting for the rest"),
                    );
                }
            }
            ("release.step.skipped", format!("Rest of the step {at} left out"))
        }
        Ask::PromoteFull => {
            for step in release.step.unwrap_or(0)..plan.steps().len() {
                press::waive(release, step, &actor.name);
            }
            ("release.promoted.fully", format!("Promoted past {past} and all steps after it without waiting"))
        }
        Ask::Abort => {
            let why = reason.map_or_else(|| format!("Aborted by {}.", actor.name), str::to_owned);
            press::leave(release, Course::Abort, Some(&why), now);
            let good = release.good_version();
            let words = match release.step.and_then(|step| plan.copied_at(step)) {
                Some(_) => format!("Aborted {at}: requests are copied no more, users stay on {good}"),
                None => format!("Aborted {at}: traffic goes back to {good}"),
            };
            ("release.aborted", words)
        }
        Ask::OpenGate => {
            if let Some(step) = release.step {
                press::open_gate(release, step, &actor.name);
            }
            ("release.gate.opened", format!("Gate {at} opened"))
        }
    }
}

/// Where the release stands, as an event tells it, and what it has yet to get past: `at 25 %` and `25 %`, `at the preview` and
/// `the preview`.
fn place(release: &Release, plan: &Plan) -> (String, String) {
    match release.step {
        Some(step) => (plan.step_place(step), plan.step_aim(step)),
        None => ("at the start".to_owned(), "the start".to_owned()),
    }
}
