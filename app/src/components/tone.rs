//! Status: a role of colour, an icon and a word, always together.

use super::icon::icon;
use leptos::prelude::*;
use model::release::State;
use model::verdict::Class;
use model::view::{
    AnalysisPhase, ApprovalState, ComponentStatus, GateState, PlanState, ReleaseLive, ReleaseRow, StepState,
    WorkloadRow,
};
use model::workload::Phase;

/// One of the seven roles of colour, and its icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tone {
    pub(crate) s: &'static str,
    pub(crate) icon: &'static str,
}

const fn tone(s: &'static str, icon: &'static str) -> Tone {
    Tone { s, icon }
}

pub(crate) const HEALTHY: Tone = tone("healthy", "ok");
pub(crate) const PROGRESSING: Tone = tone("progressing", "up");
pub(crate) const WAITING: Tone = tone("waiting", "clock");
pub(crate) const DEGRADED: Tone = tone("degraded", "warn");
pub(crate) const ROLLED_BACK: Tone = tone("rolled-back", "undo");
pub(crate) const UNKNOWN: Tone = tone("unknown", "ask");
pub(crate) const HELD: Tone = tone("waiting", "pause");

/// In a row: icon and word.
pub(crate) fn st(tone: Tone, words: impl Into<String>) -> AnyView {
    view! { <span class="st" data-s=tone.s>{icon(tone.icon)}{words.into()}</span> }.into_any()
}

/// In a head: icon and word on a ground.
pub(crate) fn badge(tone: Tone, words: impl Into<String>) -> AnyView {
    view! { <span class="badge" data-s=tone.s>{icon(tone.icon)}{words.into()}</span> }.into_any()
}

/// A count beside a heading.
pub(crate) fn count(n: usize, s: Option<&'static str>) -> AnyView {
    let words = crate::when::thousands(i64::try_from(n).unwrap_or(i64::MAX));
    view! { <span class="n" data-s=s>{words}</span> }.into_any()
}

impl From<State> for Tone {
    fn from(state: State) -> Self {
        match state {
            State::Queued | State::Waiting => WAITING,
            State::Running => PROGRESSING,
            State::Paused => HELD,
            State::RollingBack => tone("rolled-back", "spin"),
            State::RolledBack => ROLLED_BACK,
            State::Succeeded => HEALTHY,
            State::Failed => DEGRADED,
            State::Cancelled => tone("unknown", "stop"),
        }
    }
}

impl From<Phase> for Tone {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Healthy => HEALTHY,
            Phase::Progressing => PROGRESSING,
            Phase::Paused => HELD,
            Phase::Degraded => DEGRADED,
            Phase::Unknown => UNKNOWN,
        }
    }
}

impl From<Class> for Tone {
    fn from(class: Class) -> Self {
        match class {
            Class::Pass => HEALTHY,
            Class::Marginal => tone("waiting", "warn"),
            Class::Fail => DEGRADED,
            Class::NoData => UNKNOWN,
        }
    }
}

impl From<AnalysisPhase> for Tone {
    fn from(phase: AnalysisPhase) -> Self {
        match phase {
            AnalysisPhase::Pending => tone("unknown", "clock"),
            AnalysisPhase::Running => PROGRESSING,
            AnalysisPhase::Passed => tone("healthy", "check"),
            AnalysisPhase::Inconclusive => tone("waiting", "ask"),
            AnalysisPhase::Error => DEGRADED,
            AnalysisPhase::Failed => tone("degraded", "x"),
        }
    }
}

impl From<PlanState> for Tone {
    fn from(state: PlanState) -> Self {
        match state {
            PlanState::Open => WAITING,
            PlanState::Approved | PlanState::Released => HEALTHY,
            PlanState::Rejected => tone("degraded", "x"),
            PlanState::Releasing => PROGRESSING,
        }
    }
}

impl From<ApprovalState> for Tone {
    fn from(state: ApprovalState) -> Self {
        match state {
            ApprovalState::Approved => HEALTHY,
            ApprovalState::Rejected => tone("degraded", "x"),
            ApprovalState::Void | ApprovalState::Revoked => tone("unknown", "x"),
            ApprovalState::Expired => tone("unknown", "clock"),
        }
    }
}

impl From<ComponentStatus> for Tone {
    fn from(status: ComponentStatus) -> Self {
        match status {
            ComponentStatus::Operational => HEALTHY,
            ComponentStatus::UnderMaintenance => WAITING,
            ComponentStatus::Unknown => UNKNOWN,
            ComponentStatus::DegradedPerformance => tone("waiting", "warn"),
            ComponentStatus::PartialOutage | ComponentStatus::MajorOutage => DEGRADED,
        }
    }
}

/// A release under way whose verdict is a fail reads as failing, whatever holds it.
pub(crate) fn of_release(live: &ReleaseLive) -> Tone {
    let failing = live.verdict.as_ref().is_some_and(|v| v.class == Class::Fail)
        && matches!(live.state, State::Running | State::Waiting | State::Paused);
    if failing { DEGRADED } else { live.state.into() }
}

/// The state of a release in a list.
pub(crate) fn st_release(row: &ReleaseRow) -> AnyView {
    st(row.state.into(), row.state.words())
}

/// The phase of a workload in a list. Quiet where all is well.
pub(crate) fn st_workload(row: &WorkloadRow) -> AnyView {
    let words = match row.phase {
        Phase::Healthy => "Healthy",
        Phase::Progressing => "Progressing",
        Phase::Paused => "Paused",
        Phase::Degraded => "Degraded",
        Phase::Unknown => "Unknown",
    };
    st(row.phase.into(), words)
}

pub(crate) fn approval_words(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Approved => "Approved",
        ApprovalState::Rejected => "Rejected",
        ApprovalState::Void => "Void",
        ApprovalState::Revoked => "Revoked",
        ApprovalState::Expired => "Expired",
    }
}

pub(crate) fn of_step(state: StepState, live: Option<Tone>) -> Tone {
    match state {
        StepState::Passed => HEALTHY,
        StepState::Skipped => tone("unknown", "skip"),
        StepState::Here => live.filter(|t| t.s != "healthy").unwrap_or(PROGRESSING),
        // Where it ended it has the release's own colour.
        StepState::Held => live.filter(|t| !["progressing", "healthy"].contains(&t.s)).unwrap_or(HELD),
        StepState::Closed => tone("unknown", "lock"),
    }
}

/// A gate's colour; `None` where it has not been asked yet.
pub(crate) fn of_gate(state: GateState, kind: &str) -> (Option<&'static str>, &'static str) {
    let kind_icon = match kind {
        "approval" => "person",
        "bake" => "clock",
        _ => "scale",
    };
    match state {
        GateState::Passed => (Some("healthy"), "check"),
        GateState::Failed => (Some("degraded"), "x"),
        GateState::NoData => (Some("unknown"), "ask"),
        GateState::Running => (Some("progressing"), kind_icon),
        GateState::Waiting => (Some("waiting"), kind_icon),
        GateState::Closed => (None, kind_icon),
    }
}
