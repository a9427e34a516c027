use super::super::next;
use super::super::sample::{
    CANARY, NEW_IMAGE, at, beside, deployment, images, plan, queued, revision, running, step, verdict,
};
use super::{Decision, Effect, Input, Phase, Plan, Record, Release, State, Workload};
use crate::release::{Course, Tried};
use crate::rollback::{Proof, proofs};
use crate::verdict::Class;

/// 20 % of eight replicas are two pods beside them, 50 % eight.
fn steps() -> Plan {
    plan(vec![step(20, 0, &[]), step(50, 0, &[]), step(100, 60, &[])])
}

fn started(plan: &Plan) -> Release {
    let mut r = running(plan);
    r.workload = deployment().key;
    r
}

fn asked(plan: &Plan, r: &Release, w: &Workload) -> Decision {
    next(&Input { plan, release: r, seen: Some(w), approved: true, now: at(100) })
}

fn did(r: &mut Release, effect: Effect) {
    r.tried.push(Tried {
        id: crate::ids::AttemptId("r318-9".into()),
        effect,
        at: at(99),
        happened: true,
        times: 1,
        words: String::new(),
    });
}

fn took_over() -> Workload {
    let mut w = beside(8);
    w.images = images(NEW_IMAGE);
    w.current_hash = Some("own".into());
    w.attempt = Some("r318-9".into());
    w.revisions.insert(0, revision("own", NEW_IMAGE, 42, 8));
    w.revisions[1].ready = 0;
    w.stable_hash = w.current_hash.clone();
    w
}

#[test]
fn it_is_deployed_named_scaled_step_by_step_and_taken_over() {
    let plan = steps();
    let mut r = queued(&plan);
    r.workload = deployment().key;
    assert_eq!(asked(&plan, &r, &deployment()), Decision::Act(Effect::Deploy));
    let mut r = started(&plan);
    assert_eq!(asked(&plan, &r, &beside(0)), Decision::Act(Effect::Scale { from: 0, to: 2 }));
    r.canary_hash = None;
    assert_eq!(asked(&plan, &r, &beside(2)), Decision::Record(Record::CanaryNamed(CANARY.into())));
    let mut r = started(&plan);
    let reached = Record::StepReached { step: 0, weight: 20 };
    assert_eq!(asked(&plan, &r, &beside(2)), Decision::Record(reached));
    r.passed.push(at(10));
    assert_eq!(asked(&plan, &r, &beside(2)), Decision::Act(Effect::Scale { from: 2, to: 8 }));
    assert_eq!(beside(8).canary_share(), 50);
    r.passed.push(at(20));
    assert_eq!(asked(&plan, &r, &beside(8)), Decision::Act(Effect::TakeOver));
}

/// Its process slept between the two requests of its deploy, past the end of its release.
#[test]
fn one_that_an_earlier_release_left_behind_goes_first() {
    let plan = steps();
    let mut r = queued(&plan);
    r.workload = deployment().key;
    let mut w = beside(0);
    w.twin.as_mut().unwrap().attempt = Some("r317-2".into());
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Retire));
}

#[test]
fn what_took_over_is_watched_by_its_own_hash_and_ours_goes() {
    let plan = steps();
    let mut r = started(&plan);
    r.passed = vec![at(10), at(20)];
    let mut w = took_over();
    assert_eq!(w.canary_share(), 100);
    assert_eq!(asked(&plan, &r, &w), Decision::Record(Record::CanaryNamed("own".into())));
    r.canary_hash = Some("own".into());
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Retire));
    w.twin = None;
    assert_eq!(asked(&plan, &r, &w), Decision::Record(Record::StepReached { step: 2, weight: 100 }));
    r.step_since = Some(at(30));
    r.passed.push(at(90));
    assert!(matches!(asked(&plan, &r, &w), Decision::Record(Record::End { state: State::Succeeded, .. })));
}

#[test]
fn a_smaller_deployment_gets_fewer_pods_beside_it_even_while_it_is_held() {
    let plan = steps();
    let mut r = started(&plan);
    super::super::hold(&mut r, "Jun", None, at(5));
    let mut w = beside(2);
    w.replicas = 4;
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Scale { from: 2, to: 1 }));
    assert!(!Effect::Scale { from: 2, to: 1 }.raises() && Effect::Scale { from: 1, to: 2 }.raises());
}

#[test]
fn nothing_rises_while_it_is_held_or_without_approvals() {
    let plan = steps();
    for passed in [1, 2] {
        let mut r = started(&plan);
        r.passed = vec![at(10); passed];
        let w = beside(if passed == 1 { 2 } else { 8 });
        let bare = next(&Input { plan: &plan, release: &r, seen: Some(&w), approved: false, now: at(100) });
        assert!(matches!(bare, Decision::Record(Record::Become { state: State::Waiting, .. })), "{bare:?}");
        super::super::hold(&mut r, "Jun", None, at(20));
        assert!(matches!(asked(&plan, &r, &w), Decision::Wait { .. }));
    }
}

#[test]
fn what_goes_wrong_turns_it_back() {
    let plan = steps();
    let r = started(&plan);
    let turned = |w: &Workload| matches!(asked(&plan, &r, w), Decision::Record(Record::TurnBack { .. }));
    assert!(turned(&deployment()), "the canary Deployment was deleted");
    let mut unnamed = started(&plan);
    unnamed.canary_hash = None;
    assert_eq!(asked(&plan, &unnamed, &deployment()), Decision::Act(Effect::Deploy), "it was never made");
    let broken = |change: fn(&mut Workload)| {
        let mut w = beside(2);
        change(&mut w);
        turned(&w)
    };
    assert!(broken(|w| w.phase = Phase::Degraded));
    assert!(broken(|w| w.twin.as_mut().unwrap().phase = Phase::Degraded));
    let mut scaled = started(&plan);
    did(&mut scaled, Effect::Scale { from: 0, to: 2 });
    let mut unready = beside(2);
    unready.twin.as_mut().unwrap().ready = 0;
    let late = |seconds| {
        next(&Input { plan: &plan, release: &scaled, seen: Some(&unready), approved: true, now: at(seconds) })
    };
    assert!(matches!(late(150), Decision::Wait { .. }));
    assert!(matches!(late(160), Decision::Record(Record::TurnBack { .. })), "its pods never came");
    scaled.passed.push(at(155));
    let next_step =
        next(&Input { plan: &plan, release: &scaled, seen: Some(&beside(2)), approved: true, now: at(160) });
    assert_eq!(next_step, Decision::Act(Effect::Scale { from: 2, to: 8 }), "that was the step before");
    let mut failing = started(&plan);
    failing.step_since = Some(at(5));
    failing.verdict = Some(verdict(Class::Fail, 0, at(40)));
    assert!(matches!(asked(&plan, &failing, &beside(2)), Decision::Record(Record::TurnBack { .. })));
}

#[test]
fn what_somebody_changed_past_tidegate_stops_it() {
    let plan = steps();
    let r = started(&plan);
    let stopped = |w: &Workload| {
        matches!(asked(&plan, &r, w), Decision::Record(Record::Become { state: State::Paused, .. }))
    };
    let mut other = beside(2);
    other.images = images("shop/checkout:7");
    assert!(stopped(&other));
    let mut other = beside(2);
    other.twin.as_mut().unwrap().images = images("shop/checkout:7");
    assert!(stopped(&other));
    assert!(stopped(&took_over()), "further than the plan allows");
}

#[test]
fn on_the_way_back_ours_goes_and_the_own_one_only_if_it_took_over() {
    let plan = steps();
    let mut r = started(&plan);
    r.course = Course::RollBack;
    r.state = State::RollingBack;
    assert_eq!(asked(&plan, &r, &beside(2)), Decision::Act(Effect::Retire));
    assert_eq!(proofs(&r, &beside(2)), []);
    assert_eq!(proofs(&r, &deployment()).len(), Proof::ALL.len());
    assert!(matches!(
        asked(&plan, &r, &deployment()),
        Decision::Record(Record::End { state: State::RolledBack, .. })
    ));
    did(&mut r, Effect::Retire);
    assert_eq!(asked(&plan, &r, &took_over()), Decision::Act(Effect::Revert));
}

#[test]
fn told_to_take_over_it_is_told_to_go_back_whatever_is_seen() {
    let plan = steps();
    let mut r = started(&plan);
    r.course = Course::RollBack;
    r.state = State::RollingBack;
    did(&mut r, Effect::TakeOver);
    did(&mut r, Effect::Retire);
    assert_eq!(asked(&plan, &r, &beside(8)), Decision::Act(Effect::Revert), "the watch may lag");
    assert_eq!(asked(&plan, &r, &deployment()), Decision::Act(Effect::Revert), "and so it may here");
}
