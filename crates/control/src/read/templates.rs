//! Templates that a plan names, as gates of its steps.

use crate::templates::uid;
use model::checked::Outcome;
use model::plan::Plan;
use model::release::Release;
use model::view::{AnalysisPhase, AnalysisView, GateState, GateView, StepState};

/// One gate for each template that is evaluated at a step.
pub(super) fn gates(plan: &Plan, step: usize, state: StepState, runs: &[AnalysisView]) -> Vec<GateView> {
    let all = plan.templates_at(step).into_iter().enumerate();
    all.map(|(n, template)| {
        let run = runs.iter().find(|run| run.uid == uid(step, n));
        let (state, figure) = gate(run, matches!(state, StepState::Passed | StepState::Skipped));
        GateView {
            kind: "analysis".to_owned(),
            name: format!("Template {}", template.name),
            state,
            figure,
            note: None,
        }
    })
    .collect()
}

fn gate(run: Option<&AnalysisView>, passed: bool) -> (GateState, String) {
    let Some(run) = run else {
        return if passed {
            (GateState::Passed, "not asked".into())
        } else {
            (GateState::Closed, String::new())
        };
    };
    let made: u32 = run.metrics.iter().map(|m| m.made).sum();
    let (state, figure) = match run.phase {
        AnalysisPhase::Passed => (GateState::Passed, "pass"),
        AnalysisPhase::Failed => (GateState::Failed, "fail"),
        AnalysisPhase::Error => (GateState::Failed, "error"),
        AnalysisPhase::Inconclusive if passed => (GateState::Passed, "inconclusive"),
        AnalysisPhase::Inconclusive => (GateState::Waiting, "inconclusive"),
        AnalysisPhase::Pending | AnalysisPhase::Running => {
            let times = if made == 1 { "measurement" } else { "measurements" };
            return (GateState::Running, format!("{made} {times}"));
        }
    };
    (state, figure.to_owned())
}

/// What the present step's templates are waited for.
pub(super) fn waits(release: &Release, plan: &Plan) -> Option<String> {
    let step = release.step.filter(|step| !release.waived.contains_key(step))?;
    let asked = plan.templates_at(step);
    let (first, more) = asked.split_first()?;
    let names = match more.len() {
        0 => format!("The template {}", first.name),
        _ => format!("{} templates", asked.len()),
    };
    match release.checked_at(step) {
        Some(checked) if checked.outcome == Outcome::Passed => None,
        Some(checked) => Some(checked.words.clone()),
        None => Some(format!("{names} must pass; not all is measured yet.")),
    }
}
