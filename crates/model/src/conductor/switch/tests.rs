use super::super::next;
use super::super::sample::{
    CANARY, NEW_IMAGE, apart, at, deployment, front, images, plan, queued, revision, running, verdict,
};
use super::{Decision, Effect, Input, Record, Release, State, Workload};
use crate::plan::{Plan, Strategy};
use crate::release::{Course, Tried};
use crate::rollback::{Proof, proofs};
use crate::span::Span;
use crate::verdict::Class;
use chrono::{DateTime, Utc};

fn both() -> Plan {
    let mut plan = plan(vec![]);
    plan.spec.strategy =
        Strategy::BlueGreen(crate::plan::BlueGreen::new(Default::default(), (Span(60), Vec::new())));
    plan
}

fn started(plan: &Plan) -> Release {
    let mut r = running(plan);
    r.workload = deployment().key;
    r
}

/// At the time after the switch, reached at second 40.
fn switched(plan: &Plan) -> Release {
    let mut r = started(plan);
    r.passed = vec![at(10)];
    (r.step, r.step_since) = (Some(1), Some(at(40)));
    did(&mut r, Effect::Switch, true, at(30));
    r
}

fn asked_at(plan: &Plan, r: &Release, w: &Workload, now: DateTime<Utc>) -> Decision {
    next(&Input { plan, release: r, seen: Some(w), approved: true, now })
}

fn asked(plan: &Plan, r: &Release, w: &Workload) -> Decision {
    asked_at(plan, r, w, at(200))
}

fn did(r: &mut Release, effect: Effect, happened: bool, at: DateTime<Utc>) {
    let id = crate::ids::AttemptId("r318-9".into());
    r.tried.push(Tried { id, effect, at, happened, times: 1, words: String::new() });
}

fn took_over(switched: bool) -> Workload {
    let mut w = apart(switched);
    w.images = images(NEW_IMAGE);
    w.current_hash = Some("own".into());
    w.stable_hash = w.current_hash.clone();
    w.revisions.insert(0, revision("own", NEW_IMAGE, 42, 8));
    w.revisions[1].ready = 0;
    w
}

fn turned(plan: &Plan, r: &Release, w: &Workload) -> bool {
    matches!(asked(plan, r, w), Decision::Record(Record::TurnBack { .. }))
}

#[test]
fn it_comes_up_whole_is_switched_to_and_is_taken_over() {
    let plan = both();
    let mut r = queued(&plan);
    r.workload = deployment().key;
    let mut w = deployment();
    w.fronts = vec![front(false)];
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Deploy));

    let mut r = started(&plan);
    let mut w = apart(false);
    if let Some(twin) = &mut w.twin {
        (twin.desired, twin.ready) = (0, 0);
    }
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Scale { from: 0, to: 8 }));
    let reached = Record::StepReached { step: 0, weight: 0 };
    assert_eq!(asked(&plan, &r, &apart(false)), Decision::Record(reached), "nobody is sent there");
    r.passed.push(at(10));
    assert_eq!(asked(&plan, &r, &apart(false)), Decision::Act(Effect::Switch));
    assert!(Effect::Switch.raises() && !Effect::HandBack.raises());
    let reached = Record::StepReached { step: 1, weight: 100 };
    assert_eq!(asked(&plan, &r, &apart(true)), Decision::Record(reached));

    let mut r = switched(&plan);
    assert!(matches!(
        asked_at(&plan, &r, &apart(true), at(60)),
        Decision::Wait { .. } | Decision::Record(Record::Become { .. })
    ));
    r.passed.push(at(100));
    assert_eq!(asked(&plan, &r, &apart(true)), Decision::Act(Effect::TakeOver));
    assert_eq!(asked(&plan, &r, &took_over(true)), Decision::Record(Record::CanaryNamed("own".into())));
    r.canary_hash = Some("own".into());
    assert_eq!(asked(&plan, &r, &took_over(true)), Decision::Act(Effect::HandBack));
    did(&mut r, Effect::HandBack, true, at(195));
    let Decision::Wait { until, .. } = asked(&plan, &r, &took_over(false)) else { panic!("it drains") };
    assert_eq!(until, Some(at(205)));
    assert_eq!(asked_at(&plan, &r, &took_over(false), at(205)), Decision::Act(Effect::Retire));
    let mut w = took_over(false);
    w.twin = None;
    let ended = asked_at(&plan, &r, &w, at(206));
    assert!(matches!(ended, Decision::Record(Record::End { state: State::Succeeded, .. })), "{ended:?}");
}

#[test]
fn nobody_is_switched_before_all_pods_are_ready_nor_while_it_is_held() {
    let plan = both();
    let mut r = started(&plan);
    r.passed.push(at(10));
    let mut w = apart(false);
    if let Some(twin) = &mut w.twin {
        twin.ready = 7;
    }
    assert!(!matches!(asked(&plan, &r, &w), Decision::Act(_)));
    super::super::hold(&mut r, "Jun", None, at(5));
    assert!(!matches!(asked(&plan, &r, &apart(false)), Decision::Act(_)));
    let input = Input {
        plan: &plan,
        release: &started(&plan),
        seen: Some(&apart(false)),
        approved: false,
        now: at(9),
    };
    assert!(!matches!(next(&input), Decision::Act(_)), "without approvals");
}

#[test]
fn what_is_switched_past_tidegate_is_not_taken_for_a_step() {
    let plan = both();
    assert!(matches!(
        asked(&plan, &started(&plan), &apart(true)),
        Decision::Record(Record::Become { state: State::Paused, .. })
    ));
    assert!(turned(&plan, &switched(&plan), &apart(false)), "handed back by somebody");
    let mut half = apart(true);
    half.fronts.push(front(false));
    assert!(turned(&plan, &switched(&plan), &half));
}

#[test]
fn a_failed_verdict_hands_users_back_and_the_pods_outlive_it() {
    let plan = both();
    let mut r = switched(&plan);
    r.verdict = Some(verdict(Class::Fail, 1, at(50)));
    assert!(turned(&plan, &r, &apart(true)));
    super::super::leave(&mut r, Course::RollBack, None, at(60));
    assert_eq!(asked_at(&plan, &r, &apart(true), at(60)), Decision::Act(Effect::HandBack));
    did(&mut r, Effect::HandBack, true, at(61));
    let drains = asked_at(&plan, &r, &apart(false), at(62));
    assert_eq!(drains, Decision::Record(Record::Proved(vec![Proof::Traffic])));
    r.proved.insert(Proof::Traffic, at(62));
    assert!(!matches!(asked_at(&plan, &r, &apart(false), at(70)), Decision::Act(_)));
    assert_eq!(asked_at(&plan, &r, &apart(false), at(71)), Decision::Act(Effect::Retire));
    let mut w = deployment();
    w.fronts = vec![front(false)];
    assert!(matches!(
        asked_at(&plan, &r, &w, at(72)),
        Decision::Record(Record::End { state: State::RolledBack, .. })
    ));
}

#[test]
fn a_switch_that_may_still_land_is_made_void_before_the_pods_go() {
    let plan = both();
    let mut r = started(&plan);
    r.passed.push(at(10));
    did(&mut r, Effect::Switch, false, at(11));
    super::super::leave(&mut r, Course::RollBack, None, at(12));
    assert_eq!(asked(&plan, &r, &apart(false)), Decision::Act(Effect::HandBack), "not seen is not undone");
    did(&mut r, Effect::HandBack, true, at(13));
    assert_eq!(asked(&plan, &r, &apart(false)), Decision::Act(Effect::Retire));
    let mut never = started(&plan);
    super::super::leave(&mut never, Course::Abort, None, at(12));
    assert_eq!(
        asked(&plan, &never, &apart(false)),
        Decision::Act(Effect::Retire),
        "nobody was ever switched"
    );
}

#[test]
fn back_from_the_take_over_users_go_first_unless_too_few_pods_are_ready() {
    let plan = both();
    let mut r = switched(&plan);
    r.passed.push(at(100));
    did(&mut r, Effect::TakeOver, true, at(110));
    super::super::leave(&mut r, Course::RollBack, None, at(120));
    let mut w = took_over(true);
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack));
    w.ready = 2;
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Revert));
}

#[test]
fn users_at_nothing_are_handed_back_whatever_else() {
    let plan = both();
    let mut w = apart(true);
    w.twin = None;
    w.revisions.truncate(1);
    let mut r = switched(&plan);
    assert!(turned(&plan, &r, &w), "somebody deleted it");
    super::super::leave(&mut r, Course::RollBack, None, at(60));
    assert_eq!(proofs(&r, &w).len(), Proof::ALL.len() - 1, "users are at nothing");
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack));
}

#[test]
fn the_share_is_by_the_selector_not_by_pods() {
    assert_eq!((apart(false).canary_share(), apart(true).canary_share()), (0, 100));
    assert_eq!((took_over(true).canary_share(), took_over(false).canary_share()), (100, 100));
    let r = started(&both());
    assert!(proofs(&r, &apart(false)).contains(&Proof::Traffic), "its pods stand, and nobody is sent there");
    assert!(!proofs(&r, &apart(true)).contains(&Proof::Traffic));
    assert_eq!(r.canary_hash.as_deref(), Some(CANARY));
}
