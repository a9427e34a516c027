//! Releases that follow a Rollout's own steps: single looks, and whole ones against the modelled controller, which walks
//! by itself wherever nothing stops it.

use super::super::sample::*;
use super::super::{Decision, Effect, Record, apply, hold, open_gate, resume, waive};
use super::chaos::{Fate, Op, Press, cases, gates, meddling, op};
use super::drive::{Drive, through};
use super::looks::{look, words};
use super::sim::{Sim, Walk};
use crate::plan::{Follow, Gate, Plan, Strategy as PlanStrategy};
use crate::release::{Release, State};
use crate::role::Role;
use crate::span::Span;
use crate::workload::{Phase, Weights, Workload};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};

/// To 20 %, a pause without end, then to 60 % and on by itself.
const OWN: [Walk; 4] = [Walk::Weight(20), Walk::Pause, Walk::Weight(60), Walk::Timed];

fn object(own: &[Walk]) -> Value {
    let step = |walk: &Walk| match walk {
        Walk::Weight(weight) => json!({"setWeight": weight}),
        Walk::Pause => json!({"pause": {}}),
        Walk::Timed => json!({"pause": {"duration": "2s"}}),
    };
    own.iter().map(step).collect()
}

fn followed(bake: u64, gates: &[Gate], own: &[Walk]) -> Plan {
    let mut p = plan(vec![step(100, 0, &[])]);
    p.spec.strategy = PlanStrategy::Follow(Follow::new(Span(bake), gates.to_vec()));
    p.along(Some(&object(own)))
}

pub(super) fn any_followed() -> impl Strategy<Value = (Plan, Vec<Walk>)> {
    let walk =
        prop_oneof![3 => (1u8..=100).prop_map(Walk::Weight), 3 => Just(Walk::Pause), 2 => Just(Walk::Timed)];
    (0u64..20, gates(), proptest::collection::vec(walk, 0..7))
        .prop_map(|(bake, gates, own)| (followed(bake, &gates, &own), own))
}

/// A pause that was sent before the course was left arrives after it, and nobody asks whether it did.
#[test]
fn a_pause_that_arrives_after_the_abort_does_not_stay() {
    use Op::{Approve, Blind, Turn, Wait};
    let own = [Walk::Weight(1), Walk::Weight(2)];
    let fate = Op::Fate;
    let mut ops = vec![Turn, Turn, fate(Fate::Orphaned), Turn, Approve(false), Turn, fate(Fate::Late(2))];
    ops.extend([Op::Press(Press::Abort), Blind, Turn, Wait(4), Turn, fate(Fate::Refused), Turn, Turn, Turn]);
    ops.extend([fate(Fate::Lost), Turn]);
    through(Drive::over(followed(0, &[], &own), Sim::following(false, &own).referred()), &ops);
}

proptest! {
    #![proptest_config(cases(5000))]

    #[test]
    fn every_release_by_its_own_steps_ends_truly(
        (plan, own) in any_followed(), router in any::<bool>(), elsewhere in any::<bool>(),
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        let sim = Sim::following(router, &own);
        through(Drive::over(plan, if elsewhere { sim.referred() } else { sim }), &ops);
    }
}

proptest! {
    #![proptest_config(cases(2500))]

    #[test]
    fn every_release_by_its_own_steps_ends_truly_even_when_somebody_meddles(
        (plan, own) in any_followed(), router in any::<bool>(), ops in proptest::collection::vec(meddling(), 0..80),
    ) {
        through(Drive::over(plan, Sim::following(router, &own)), &ops);
    }
}

#[test]
fn in_fair_weather_only_the_pause_without_end_is_opened_and_the_steps_stay() {
    let drive = through(Drive::over(followed(5, &[Gate::Analysis], &OWN), Sim::following(true, &OWN)), &[]);
    assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
    assert_eq!((drive.sim.deploys, drive.sim.opened.as_slice()), (1, [1].as_slice()));
    assert_eq!(drive.sim.steps, OWN);
}

#[test]
fn a_crash_at_any_effect_repeats_nothing() {
    for fate in [Fate::Orphaned, Fate::Lost, Fate::Late(3), Fate::Late(40), Fate::Refused] {
        for nth in 0..8 {
            let mut drive = Drive::over(followed(1, &[], &OWN), Sim::following(true, &OWN));
            for turn in 0..300 {
                if drive.release.attempts == nth && drive.release.attempt.is_none() {
                    drive.fate = fate;
                }
                // Held on its way, so that it is paused and resumed as well.
                match turn {
                    3 => hold(&mut drive.release, "Ada", None, drive.now),
                    60 => resume(&mut drive.release, drive.now),
                    _ => {}
                }
                if drive.release.step_since.is_some() {
                    waive(&mut drive.release, 0, "Mara");
                }
                drive.now += TimeDelta::seconds(2);
                drive.op(&Op::Turn);
            }
            assert_eq!(drive.release.state, State::Succeeded, "{fate:?} at effect {nth}");
            assert_eq!((drive.sim.deploys, drive.sim.opened.as_slice()), (1, [1].as_slice()));
        }
    }
}

#[test]
fn a_hold_stops_the_controller_wherever_it_walks() {
    for held_at in 0..40 {
        let own =
            [Walk::Weight(20), Walk::Timed, Walk::Weight(40), Walk::Timed, Walk::Weight(60), Walk::Timed];
        let mut drive = Drive::over(followed(0, &[], &own), Sim::following(true, &own));
        for _ in 0..held_at {
            drive.op(&Op::Turn);
        }
        hold(&mut drive.release, "Ada", None, drive.now);
        // Announced, carried out, and seen by the controller.
        for _ in 0..3 {
            drive.op(&Op::Turn);
        }
        let stopped = (drive.sim.index, drive.sim.stable);
        for _ in 0..60 {
            drive.op(&Op::Turn);
        }
        assert_eq!((drive.sim.index, drive.sim.stable), stopped, "held after {held_at} turns");
        let drive = through(drive, &[]);
        assert_eq!(drive.release.state, State::Succeeded);
    }
}

/// The canary at its owner's pause at 20 %.
fn at_its_pause() -> Workload {
    let mut w = standing(&plan(vec![step(20, 0, &[]), step(100, 0, &[])]), 0);
    w.step_count = 4;
    w
}

/// On its way from there, in the pause that ends by itself.
fn walking() -> Workload {
    let mut w = at_its_pause();
    (w.step_index, w.weights) = (Some(3), Some(Weights { canary: 60, stable: 40 }));
    w
}

fn stands(plan: &Plan) -> Release {
    let mut r = running(plan);
    apply(&mut r, &Record::StepReached { step: 0, weight: 20 }, at(10));
    r
}

#[test]
fn at_its_owners_pause_it_bakes_and_then_waits_for_a_person() {
    let plan = followed(60, &[], &OWN);
    let mut r = running(&plan);
    assert_eq!(r.ceiling(&plan), 20, "so far it may go by itself");
    let reached = Record::StepReached { step: 0, weight: 20 };
    assert_eq!(look(&plan, &r, Some(&at_its_pause()), 10), Decision::Record(reached.clone()));
    apply(&mut r, &reached, at(10));
    assert_eq!(words(&look(&plan, &r, Some(&at_its_pause()), 20)), "Baking at 20 % for 1m.");
    let d = look(&plan, &r, Some(&at_its_pause()), 71);
    assert!(matches!(&d, Decision::Record(Record::Become { state: State::Waiting, .. })), "{d:?}");
    assert!(words(&d).contains("A release manager promotes it, to 100 %"), "{d:?}");
    waive(&mut r, 0, "Mara");
    let passed = Record::StepPassed { step: 0, next: Some(100) };
    assert_eq!(look(&plan, &r, Some(&at_its_pause()), 72), Decision::Record(passed.clone()));
    apply(&mut r, &passed, at(72));
    assert_eq!(r.ceiling(&plan), 100, "the rest goes by itself");
    assert_eq!(look(&plan, &r, Some(&at_its_pause()), 73), Decision::Act(Effect::OpenPause { from: 1 }));
}

#[test]
fn an_approval_gate_names_the_person() {
    let plan = followed(0, &[Gate::Approval(Role::OnCall)], &OWN);
    let mut r = stands(&plan);
    waive(&mut r, 0, "Mara");
    let d = look(&plan, &r, Some(&at_its_pause()), 12);
    assert_eq!(words(&d), "Everything else passed. On-call opens the gate to 100 %.");
    open_gate(&mut r, 0, "Jun");
    let passed = Record::StepPassed { step: 0, next: Some(100) };
    assert_eq!(look(&plan, &r, Some(&at_its_pause()), 13), Decision::Record(passed));
}

#[test]
fn at_a_pause_that_ends_by_itself_nothing_is_opened() {
    let plan = followed(0, &[], &OWN);
    let mut r = stands(&plan);
    apply(&mut r, &Record::StepPassed { step: 0, next: Some(100) }, at(11));
    let d = look(&plan, &r, Some(&walking()), 12);
    assert!(words(&d).contains("walks its own steps (60 %, pause 2s), to 100 % at the most"), "{d:?}");
    hold(&mut r, "Ada", None, at(13));
    assert_eq!(look(&plan, &r, Some(&walking()), 14), Decision::Act(Effect::Pause));
}

#[test]
fn its_pause_opened_past_tidegate_stops_the_controller() {
    let plan = followed(60, &[], &OWN);
    let r = stands(&plan);
    assert_eq!(look(&plan, &r, Some(&walking()), 12), Decision::Act(Effect::Pause));
    let mut paused = walking();
    paused.spec_paused = true;
    let mut r = r;
    r.tried.push(tried_at(Effect::Pause, 12));
    let d = look(&plan, &r, Some(&paused), 14);
    assert!(words(&d).contains("opened its pause past Tidegate"), "{d:?}");
}

#[test]
fn a_failed_analysis_of_its_own_turns_the_release_back() {
    let plan = followed(0, &[], &OWN);
    let mut w = walking();
    (w.abort, w.phase, w.message) = (true, Phase::Degraded, Some("Metric \"errors\" assessed Failed".into()));
    let d = look(&plan, &stands(&plan), Some(&w), 12);
    assert!(matches!(&d, Decision::Record(Record::TurnBack { .. })) && words(&d).contains("assessed Failed"));
}

fn tried_at(effect: Effect, seconds: i64) -> crate::release::Tried {
    let id = crate::ids::AttemptId("r318-2".into());
    crate::release::Tried { id, effect, at: at(seconds), happened: true, times: 1, words: String::new() }
}
