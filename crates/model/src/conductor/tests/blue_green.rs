//! Forward with a blue-green Rollout, one look at a time.

use super::super::sample::*;
use super::super::{Decision, Effect, Record, apply, hold};
use super::chaos::switching;
use super::looks::{look, words};
use crate::plan::{Gate, Plan};
use crate::release::{Release, State};
use crate::role::Role;
use crate::workload::{Phase, Strategy, Workload};

fn rollout(active: &str, current: &str, stable: &str) -> Workload {
    let mut w = healthy();
    w.strategy = Strategy::BlueGreen;
    (w.router, w.weights, w.step_index, w.step_count) = (None, None, None, 0);
    w.active_hash = Some(active.into());
    w.preview_hash = Some(current.into());
    w.current_hash = Some(current.into());
    w.stable_hash = Some(stable.into());
    if current == CANARY {
        w.images = images(NEW_IMAGE);
        w.attempt = Some("r318-1".into());
        w.revisions = vec![revision(CANARY, NEW_IMAGE, 42, 8), revision(GOOD, OLD_IMAGE, 41, 8)];
    }
    w
}

fn at_preview() -> Workload {
    let mut w = rollout(GOOD, CANARY, GOOD);
    w.phase = Phase::Paused;
    w.pauses = vec!["BlueGreenPause".into()];
    w
}

fn switched() -> Workload {
    rollout(CANARY, CANARY, CANARY)
}

fn reached(plan: &Plan, step: usize) -> Release {
    let mut r = running(plan);
    for i in 0..=step {
        apply(&mut r, &Record::StepReached { step: i, weight: plan.steps()[i].weight }, at(10));
        if i < step {
            apply(&mut r, &Record::StepPassed { step: i, next: Some(plan.steps()[i + 1].weight) }, at(11));
        }
    }
    r
}

fn becomes(d: &Decision, state: State) -> bool {
    matches!(d, Decision::Record(Record::Become { state: s, .. }) if *s == state)
}

#[test]
fn users_are_switched_once_the_gates_of_the_preview_have_passed() {
    let plan = switching(60, &[Gate::Approval(Role::OnCall)], 0, &[]);
    let w = rollout(GOOD, GOOD, GOOD);
    assert_eq!(look(&plan, &queued(&plan), Some(&w), 1), Decision::Act(Effect::Deploy));
    let mut r = running(&plan);
    let mut coming = rollout(GOOD, CANARY, GOOD);
    coming.phase = Phase::Progressing;
    let d = look(&plan, &r, Some(&coming), 5);
    assert_eq!(words(&d), "1.42.0 comes up behind the preview Service: 8 of 8 pods are ready.");
    let up = Record::StepReached { step: 0, weight: 0 };
    assert_eq!(look(&plan, &r, Some(&at_preview()), 10), Decision::Record(up.clone()));
    apply(&mut r, &up, at(10));
    assert_eq!(r.ceiling(&plan), 0, "users do not reach the preview");
    assert_eq!(words(&look(&plan, &r, Some(&at_preview()), 20)), "Baking at the preview for 1m.");
    let d = look(&plan, &r, Some(&at_preview()), 71);
    assert_eq!(words(&d), "Everything else passed. On-call opens the gate to the switch.");
    r.opened.insert(0, "Ada".into());
    let passed = Record::StepPassed { step: 0, next: Some(100) };
    assert_eq!(look(&plan, &r, Some(&at_preview()), 72), Decision::Record(passed.clone()));
    apply(&mut r, &passed, at(72));
    assert_eq!(look(&plan, &r, Some(&at_preview()), 73), Decision::Act(Effect::Switch));
    let after = Record::StepReached { step: 1, weight: 100 };
    assert_eq!(look(&plan, &r, Some(&switched()), 74), Decision::Record(after));
}

#[test]
fn after_the_switch_it_bakes_puts_the_settings_back_and_succeeds() {
    let plan = switching(0, &[], 60, &[]);
    let mut r = reached(&plan, 1);
    assert_eq!(words(&look(&plan, &r, Some(&switched()), 20)), "Baking after the switch for 1m.");
    apply(&mut r, &Record::StepPassed { step: 1, next: None }, at(71));
    // The owner's own analysis after the switch still runs.
    let d = look(&plan, &r, Some(&rollout(CANARY, CANARY, GOOD)), 72);
    assert!(words(&d).contains("waiting until the controller takes 1.42.0 as stable"), "{d:?}");
    assert_eq!(look(&plan, &r, Some(&switched()), 73), Decision::Act(Effect::RestoreSteps));
}

#[test]
fn a_hold_and_a_pause_past_tidegate_keep_the_switch_shut() {
    let plan = switching(0, &[], 0, &[]);
    let mut r = reached(&plan, 0);
    apply(&mut r, &Record::StepPassed { step: 0, next: Some(100) }, at(11));
    let mut paused = at_preview();
    paused.spec_paused = true;
    assert!(becomes(&look(&plan, &r, Some(&paused), 12), State::Paused));
    hold(&mut r, "Jun", None, at(13));
    assert!(matches!(look(&plan, &r, Some(&at_preview()), 14), Decision::Wait { .. }));
}

#[test]
fn a_switch_past_tidegate_is_seen() {
    let plan = switching(60, &[], 0, &[]);
    let r = reached(&plan, 0);
    let d = look(&plan, &r, Some(&rollout(CANARY, CANARY, GOOD)), 12);
    assert!(becomes(&d, State::Paused) && words(&d).contains("switched past Tidegate"), "{d:?}");
    // Taken as stable already: it is told as unverified, when the settings are back.
    assert_eq!(look(&plan, &r, Some(&switched()), 12), Decision::Act(Effect::RestoreSteps));
}

#[test]
fn a_version_whose_pods_still_stand_by_is_not_deployed() {
    let plan = switching(60, &[], 0, &[]);
    let mut w = rollout(GOOD, GOOD, GOOD);
    w.revisions.push(revision("earlier", NEW_IMAGE, 40, 8));
    let d = look(&plan, &queued(&plan), Some(&w), 1);
    assert!(words(&d).contains("8 pods of 1.42.0 still stand by"), "{d:?}");
    w.revisions[1].desired = 0;
    assert_eq!(look(&plan, &queued(&plan), Some(&w), 1), Decision::Act(Effect::Deploy));
}
