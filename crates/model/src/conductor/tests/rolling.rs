//! Forward with a Deployment, one look at a time.

use super::super::sample::*;
use super::super::{Decision, Effect, Input, Record, apply, begin, hold, leave, next, resume};
use super::looks::{look, words};
use crate::ids::AttemptId;
use crate::plan::{Gate, Plan, Rolling, Strategy as PlanStrategy};
use crate::release::{Course, Release, State};
use crate::role::Role;
use crate::span::Span;
use crate::workload::{Kind, Phase, Strategy, Workload};

fn rolling(bake: u64, gates: &[Gate]) -> Plan {
    let mut p = plan(vec![step(100, 0, &[])]);
    p.spec.strategy = PlanStrategy::Rolling(Rolling::new(Span(bake), gates.to_vec()));
    p
}

fn deployment(mut w: Workload) -> Workload {
    w.key.kind = Kind::Deployment;
    w.strategy = Strategy::Rolling;
    (w.router, w.weights, w.step_index, w.step_count) = (None, None, None, 0);
    w.pauses.clear();
    w
}

/// `n` of 8 pods are on the new version.
fn midway(plan: &Plan, n: i32) -> Workload {
    let mut w = deployment(standing(plan, 0));
    w.phase = Phase::Progressing;
    w.revisions = vec![revision(CANARY, NEW_IMAGE, 42, n), revision(GOOD, OLD_IMAGE, 41, 8 - n)];
    w
}

fn done(plan: &Plan) -> Workload {
    let mut w = midway(plan, 8);
    w.phase = Phase::Healthy;
    w.stable_hash = Some(CANARY.into());
    w
}

fn did(r: &mut Release, effect: Effect, second: i64) {
    begin(r, AttemptId(format!("r318-{second}")), effect, at(second));
    apply(r, &Record::Settle { happened: true, words: String::new() }, at(second));
}

#[test]
fn it_is_deployed_rolls_bakes_and_succeeds() {
    let plan = rolling(60, &[]);
    let w = deployment(healthy());
    assert_eq!(look(&plan, &queued(&plan), Some(&w), 1), Decision::Act(Effect::Deploy));
    let mut r = running(&plan);
    let d = look(&plan, &r, Some(&midway(&plan, 3)), 5);
    assert_eq!(words(&d), "3 of 8 pods are on 1.42.0 and ready.");
    let d = look(&plan, &r, Some(&done(&plan)), 10);
    assert_eq!(d, Decision::Record(Record::StepReached { step: 0, weight: 100 }));
    apply(&mut r, &Record::StepReached { step: 0, weight: 100 }, at(10));
    assert!(words(&look(&plan, &r, Some(&done(&plan)), 20)).starts_with("Baking at 100 %"));
    let passed = Record::StepPassed { step: 0, next: None };
    assert_eq!(look(&plan, &r, Some(&done(&plan)), 70), Decision::Record(passed.clone()));
    apply(&mut r, &passed, at(70));
    let d = look(&plan, &r, Some(&done(&plan)), 71);
    assert!(matches!(d, Decision::Record(Record::End { state: State::Succeeded, .. })), "{d:?}");
}

#[test]
fn a_hold_pauses_the_deployment_and_only_our_own_pause_is_taken_off() {
    let plan = rolling(0, &[]);
    let mut r = running(&plan);
    hold(&mut r, "Jun On-call", None, at(5));
    assert_eq!(look(&plan, &r, Some(&midway(&plan, 3)), 6), Decision::Act(Effect::Pause));
    did(&mut r, Effect::Pause, 6);
    let mut paused = midway(&plan, 3);
    (paused.spec_paused, paused.phase) = (true, Phase::Paused);
    assert!(matches!(look(&plan, &r, Some(&paused), 7), Decision::Wait { .. }));
    resume(&mut r, at(60));
    assert_eq!(look(&plan, &r, Some(&paused), 61), Decision::Act(Effect::Resume));
    did(&mut r, Effect::Resume, 61);
    let d = look(&plan, &r, Some(&paused), 90);
    assert!(words(&d).contains("past Tidegate"), "somebody paused it again: {d:?}");
}

#[test]
fn a_held_one_goes_on_only_while_its_approvals_stand() {
    let plan = rolling(0, &[]);
    let mut r = running(&plan);
    did(&mut r, Effect::Pause, 6);
    let mut paused = midway(&plan, 3);
    (paused.spec_paused, paused.phase) = (true, Phase::Paused);
    let d = next(&Input { plan: &plan, release: &r, seen: Some(&paused), approved: false, now: at(20) });
    assert!(words(&d).contains("approvals of this plan no longer suffice"), "{d:?}");
    assert_eq!(look(&plan, &r, Some(&paused), 21), Decision::Act(Effect::Resume));
}

#[test]
fn a_revoked_approval_or_a_closed_gate_ends_nothing_by_itself() {
    let plan = rolling(0, &[Gate::Approval(Role::OnCall)]);
    let mut r = running(&plan);
    apply(&mut r, &Record::StepReached { step: 0, weight: 100 }, at(10));
    let d = look(&plan, &r, Some(&done(&plan)), 20);
    assert!(matches!(&d, Decision::Record(Record::Become { state: State::Waiting, .. })), "{d:?}");
    assert!(words(&d).contains("opens the gate to promotion"), "{d:?}");
}

#[test]
fn one_that_cannot_roll_out_goes_back_in_one_patch_even_while_paused() {
    let plan = rolling(0, &[]);
    let mut r = running(&plan);
    let mut stuck = midway(&plan, 1);
    (stuck.phase, stuck.message) = (Phase::Degraded, Some("ProgressDeadlineExceeded".into()));
    assert!(matches!(look(&plan, &r, Some(&stuck), 30), Decision::Record(Record::TurnBack { .. })));
    leave(&mut r, Course::RollBack, None, at(30));
    stuck.spec_paused = true;
    assert_eq!(look(&plan, &r, Some(&stuck), 31), Decision::Act(Effect::Revert));
    did(&mut r, Effect::Revert, 31);
    let mut back = deployment(healthy());
    back.attempt = Some("r318-31".into());
    let d = look(&plan, &r, Some(&back), 40);
    assert!(matches!(d, Decision::Record(Record::End { state: State::RolledBack, .. })), "{d:?}");
}

#[test]
fn a_plan_for_another_strategy_changes_nothing() {
    let rolling = rolling(0, &[]);
    let d = look(&rolling, &queued(&rolling), Some(&healthy()), 1);
    assert!(matches!(d, Decision::Record(Record::End { state: State::Failed, .. })), "{d:?}");
}
