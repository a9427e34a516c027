use super::super::sample::{
    CANARY, GOOD, NEW_IMAGE, at, healthy, images, plan, queued, running, standing, step,
};
use super::super::{Effect, Input, Record, apply, begin, next};
use super::*;
use crate::ids::AttemptId;
use crate::plan::Plan;
use crate::release::{Course, Release, Tried};
use crate::workload::Source;

fn referring(source: &str) -> Workload {
    let mut w = healthy();
    w.workload_ref = true;
    let attempt = (!source.is_empty()).then(|| source.to_owned());
    w.source = Some(Box::new(Source { name: "checkout".into(), replicas: 0, attempt }));
    w
}

/// With the plan's steps, and the release's mark, on the Rollout.
fn prepared(source: &str, plan: &Plan) -> Workload {
    let mut w = referring(source);
    w.attempt = Some("r318-1".into());
    w.step_count = standing(plan, 0).step_count - 1;
    w
}

fn two() -> Plan {
    plan(vec![step(25, 0, &[]), step(100, 0, &[])])
}

/// Its steps are on the Rollout; the Deployment has not been touched.
fn deployed(plan: &Plan) -> Release {
    let mut r = running(plan);
    r.canary_hash = None;
    r
}

fn told(r: &mut Release, effect: Effect, id: &str, happened: bool) {
    let (id, words) = (AttemptId(id.into()), String::new());
    r.tried.push(Tried { id, effect, at: at(2), happened, times: 1, words });
}

fn decide(plan: &Plan, release: &Release, w: &Workload) -> Decision {
    next(&Input { plan, release, seen: Some(w), approved: true, now: at(60) })
}

#[test]
fn the_steps_come_first_and_the_template_when_they_were_seen() {
    let plan = two();
    assert_eq!(decide(&plan, &queued(&plan), &referring("")), Decision::Act(Effect::Deploy));
    let r = deployed(&plan);
    assert!(matches!(decide(&plan, &r, &referring("")), Decision::Wait { .. }), "the watch lags");
    let mut w = prepared("", &plan);
    w.observed_generation = Some(4);
    assert!(matches!(decide(&plan, &r, &w), Decision::Wait { .. }), "the controller has not seen the steps");
    assert_eq!(decide(&plan, &r, &prepared("", &plan)), Decision::Act(Effect::TakeOver));
    let mut other = prepared("", &plan);
    other.step_count += 2;
    assert!(matches!(
        decide(&plan, &r, &other),
        Decision::Record(Record::Become { state: State::Paused, .. })
    ));
}

#[test]
fn the_template_needs_what_every_raise_needs() {
    let plan = two();
    let (r, w) = (deployed(&plan), prepared("", &plan));
    let unapproved = Input { plan: &plan, release: &r, seen: Some(&w), approved: false, now: at(60) };
    assert!(matches!(next(&unapproved), Decision::Record(Record::Become { state: State::Waiting, .. })));
    let mut w = w;
    w.source.as_mut().unwrap().replicas = 3;
    match decide(&plan, &r, &w) {
        Decision::Record(Record::Become { state: State::Paused, why }) => {
            assert!(why.contains("runs 3 pods of its own"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    match decide(&plan, &queued(&plan), &w) {
        Decision::Record(Record::End { state: State::Failed, why }) => {
            assert!(why.starts_with("Nothing was changed."), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

/// The Rollout's own mark is from the deploy: it says nothing about the template.
#[test]
fn what_is_seen_from_before_the_new_template_turns_nothing_back() {
    let plan = two();
    let mut r = deployed(&plan);
    told(&mut r, Effect::TakeOver, "r318-2", true);
    assert!(matches!(decide(&plan, &r, &prepared("", &plan)), Decision::Wait { .. }));
    let mut w = prepared("r318-2", &plan);
    w.images = images(NEW_IMAGE);
    w.current_hash = Some(CANARY.into());
    assert_eq!(decide(&plan, &r, &w), Decision::Record(Record::CanaryNamed(CANARY.into())));
}

#[test]
fn the_deployments_mark_tells_whether_the_template_was_written() {
    let plan = two();
    let mut r = deployed(&plan);
    begin(&mut r, AttemptId("r318-2".into()), Effect::TakeOver, at(59));
    assert!(matches!(decide(&plan, &r, &prepared("", &plan)), Decision::Wait { .. }), "not seen yet");
    let seen = decide(&plan, &r, &prepared("r318-2", &plan));
    assert!(matches!(seen, Decision::Record(Record::Settle { happened: true, .. })));
    let mut rollout_only = prepared("", &plan);
    rollout_only.attempt = Some("r318-2".into());
    let late = Input { plan: &plan, release: &r, seen: Some(&rollout_only), approved: true, now: at(70) };
    assert!(matches!(next(&late), Decision::Record(Record::Settle { happened: false, .. })));
}

/// The old template is written again even where it is seen: the new one may still be on its way.
#[test]
fn a_template_that_may_be_under_way_is_reverted_all_the_same() {
    let plan = two();
    let mut r = deployed(&plan);
    told(&mut r, Effect::TakeOver, "r318-2", false);
    super::super::leave(&mut r, Course::RollBack, None, at(50));
    assert_eq!(decide(&plan, &r, &prepared("", &plan)), Decision::Act(Effect::Revert));
    told(&mut r, Effect::Revert, "r318-3", true);
    let mut home = prepared("r318-3", &plan);
    home.attempt = Some("r318-3".into());
    while let Decision::Record(record @ Record::Proved(_)) = decide(&plan, &r, &home) {
        apply(&mut r, &record, at(60));
    }
    assert_eq!(
        decide(&plan, &r, &home),
        Decision::Act(Effect::RestoreSteps),
        "its owner's steps go back last"
    );
    told(&mut r, Effect::RestoreSteps, "r318-4", true);
    let over = decide(&plan, &r, &home);
    assert!(matches!(over, Decision::Record(Record::End { state: State::RolledBack, .. })), "{over:?}");
}

#[test]
fn aborted_before_the_template_nothing_but_the_steps_goes_back() {
    let plan = two();
    let mut r = deployed(&plan);
    super::super::leave(&mut r, Course::Abort, None, at(50));
    assert_eq!(decide(&plan, &r, &prepared("", &plan)), Decision::Act(Effect::RestoreSteps));
}

#[test]
fn in_flight_it_is_aborted_and_reverted_as_any_rollout() {
    let plan = two();
    let mut r = running(&plan);
    told(&mut r, Effect::TakeOver, "r318-2", true);
    super::super::leave(&mut r, Course::RollBack, None, at(50));
    let mut w = standing(&plan, 0);
    w.workload_ref = true;
    w.source = referring("r318-2").source;
    assert_eq!(decide(&plan, &r, &w), Decision::Act(Effect::Abort));
    w.abort = true;
    assert_eq!(decide(&plan, &r, &w), Decision::Act(Effect::Revert));
    w.source = None;
    let asked = decide(&plan, &r, &w);
    assert!(!matches!(asked, Decision::Act(_)), "nobody knows where the template stands: {asked:?}");
    assert_eq!(w.stable_hash.as_deref(), Some(GOOD));
}
