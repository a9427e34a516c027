//! What can happen around a release: presses, crashes, lost calls, clocks, and people who meddle in the cluster.

use super::super::sample::{plan, step, verdict};
use super::super::{hold, leave, open_gate, resume, waive};
use crate::plan::{BlueGreen, Gate, Plan, Strategy as PlanStrategy};
use crate::release::{Course, Release};
use crate::role::Role;
use crate::span::Span;
use crate::verdict::Class;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// What happens besides the conductor's own work.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The controller reconciles, the watch catches up, the conductor looks once.
    Turn,
    /// The same, without the watch: the conductor looks at old news.
    Blind,
    Tick,
    Wait(i64),
    Press(Press),
    Approve(bool),
    Judge(Class),
    /// How the next effect goes.
    Fate(Fate),
    Outside(Outside),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Press {
    Hold,
    Resume,
    Waive,
    Open,
    Abort,
    RollBack,
}

impl Press {
    pub(super) fn on(self, release: &mut Release, now: DateTime<Utc>) {
        let step = release.step.unwrap_or(0);
        match self {
            Self::Hold => hold(release, "Ada", None, now),
            Self::Resume => resume(release, now),
            Self::Waive => waive(release, step, "Mara"),
            Self::Open => open_gate(release, step, "Ada"),
            Self::Abort => leave(release, Course::Abort, None, now),
            Self::RollBack => leave(release, Course::RollBack, None, now),
        }
    }
}

/// The judgement of the step that is waited at; while the weight moves nothing is judged.
pub(super) fn judge(release: &mut Release, class: Class, now: DateTime<Utc>) {
    if release.step_since.is_some() {
        release.verdict = Some(verdict(class, release.step.unwrap_or(0), now));
    }
}

/// Fair weather for a release on its way forward: nobody holds it, its gate is opened, and what has not failed passes.
pub(super) fn agree(release: &mut Release, now: DateTime<Utc>) {
    if release.course != Course::Forward {
        return;
    }
    Press::Resume.on(release, now);
    Press::Open.on(release, now);
    if release.verdict.as_ref().is_none_or(|v| v.class != Class::Fail) {
        judge(release, Class::Pass, now);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    Fine,
    /// Carried out, and the process dies before it can record that.
    Orphaned,
    /// The process dies before the call goes out.
    Lost,
    /// The API server refuses it.
    Refused,
    /// Unanswered; it lands so many turns later.
    Late(u8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outside {
    Abort,
    Pause,
    Unpause,
    Undo,
    ThirdImage,
    BadPods,
}

pub(super) fn gates() -> impl Strategy<Value = Vec<Gate>> {
    prop_oneof![
        Just(vec![]),
        Just(vec![Gate::Analysis]),
        Just(vec![Gate::Analysis, Gate::Approval(Role::OnCall)]),
        Just(vec![Gate::Approval(Role::OnCall)]),
    ]
}

pub(super) fn any_plan() -> impl Strategy<Value = Plan> {
    let step_of = (1u8..100, 0u64..30, gates());
    (proptest::collection::vec(step_of, 0..4), 0u64..10, gates()).prop_map(|(mut steps, bake, last)| {
        steps.sort_by_key(|s| s.0);
        steps.dedup_by_key(|s| s.0);
        let mut steps: Vec<_> = steps.into_iter().map(|(w, b, g)| step(w, b, &g)).collect();
        steps.push(step(100, bake, &last));
        plan(steps)
    })
}

/// A plan of a blue-green release.
pub(super) fn switching(bake: u64, gates: &[Gate], after: u64, last: &[Gate]) -> Plan {
    let mut p = plan(vec![step(100, 0, &[])]);
    let both = BlueGreen::new((Span(bake), gates.to_vec()), (Span(after), last.to_vec()));
    p.spec.strategy = PlanStrategy::BlueGreen(both);
    p
}

pub(super) fn any_switch() -> impl Strategy<Value = Plan> {
    (0u64..30, gates(), 0u64..30, gates())
        .prop_map(|(bake, first, after, last)| switching(bake, &first, after, &last))
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Orphaned), Just(Fate::Lost), Just(Fate::Refused), (1u8..100).prop_map(Fate::Late)]
}

fn press() -> impl Strategy<Value = Press> {
    prop_oneof![
        3 => Just(Press::Hold),
        3 => Just(Press::Resume),
        2 => Just(Press::Waive),
        3 => Just(Press::Open),
        1 => Just(Press::Abort),
        1 => Just(Press::RollBack),
    ]
}

pub(super) fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![6 => Just(Class::Pass), 1 => Just(Class::Marginal), 1 => Just(Class::NoData), 1 => Just(Class::Fail)]
}

/// What goes on inside Tidegate and between it and the cluster; without people who meddle in the cluster.
pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => Just(Op::Turn),
        6 => Just(Op::Blind),
        4 => Just(Op::Tick),
        4 => (1i64..20).prop_map(Op::Wait),
        1 => prop_oneof![Just(-7200i64), Just(-30), Just(3600), Just(86_400)].prop_map(Op::Wait),
        3 => press().prop_map(Op::Press),
        2 => any::<bool>().prop_map(Op::Approve),
        8 => any_class().prop_map(Op::Judge),
        4 => fate().prop_map(Op::Fate),
    ]
}

pub(super) fn meddling() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => op(),
        1 => prop_oneof![
            Just(Outside::Abort),
            Just(Outside::Pause),
            Just(Outside::Unpause),
            Just(Outside::Undo),
            Just(Outside::ThirdImage),
            Just(Outside::BadPods),
        ]
        .prop_map(Op::Outside),
    ]
}

/// Cases of each of the two great properties; more by `TIDEGATE_CASES`.
pub(super) fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("TIDEGATE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let standard = ProptestConfig::default();
    // The same worlds each time, so that a change is judged by what it changed; PROPTEST_RNG_SEED makes others.
    let rng_seed = match standard.rng_seed {
        RngSeed::Random => RngSeed::Fixed(2026),
        chosen @ RngSeed::Fixed(_) => chosen,
    };
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4000, rng_seed, ..standard }
}
