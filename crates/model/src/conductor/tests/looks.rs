//! One look at a time: what is decided, and in which words.

use super::super::sample::*;
use super::super::{Decision, Effect, Input, Record, apply, begin, hold, next, only_gate_left, waive};
use crate::ids::AttemptId;
use crate::plan::{Gate, Plan};
use crate::release::{Release, State};
use crate::role::Role;
use crate::span::Span;
use crate::verdict::Class;
use crate::workload::Workload;

pub(super) fn three() -> Plan {
    plan(vec![
        step(5, 120, &[Gate::Analysis]),
        step(25, 300, &[Gate::Analysis, Gate::Approval(Role::OnCall)]),
        step(100, 0, &[]),
    ])
}

pub(super) fn look(plan: &Plan, release: &Release, seen: Option<&Workload>, second: i64) -> Decision {
    next(&Input { plan, release, seen, approved: true, now: at(second) })
}

pub(super) fn words(d: &Decision) -> &str {
    match d {
        Decision::Wait { why, .. } => why,
        Decision::Record(Record::Become { why, .. } | Record::TurnBack { why } | Record::End { why, .. }) => {
            why
        }
        other => panic!("says nothing: {other:?}"),
    }
}

/// A release that stands at step `i` since second 10.
pub(super) fn standing_at(plan: &Plan, i: usize) -> Release {
    let mut r = running(plan);
    r.passed = vec![at(5); i];
    r.step = Some(i);
    r.step_since = Some(at(10));
    r
}

#[test]
fn an_approved_release_is_deployed() {
    let plan = three();
    assert_eq!(look(&plan, &queued(&plan), Some(&healthy()), 1), Decision::Act(Effect::Deploy));
}

#[test]
fn without_approval_nothing_is_deployed() {
    let plan = three();
    let r = queued(&plan);
    let w = healthy();
    let d = next(&Input { plan: &plan, release: &r, seen: Some(&w), approved: false, now: at(1) });
    assert!(matches!(d, Decision::Record(Record::Become { state: State::Waiting, .. })), "{d:?}");
}

#[test]
fn another_digest_is_never_deployed() {
    let plan = three();
    let mut r = queued(&plan);
    r.digest = crate::Digest("sha256:other".into());
    assert!(words(&look(&plan, &r, Some(&healthy()), 1)).contains("digest"));
}

#[test]
fn a_release_whose_workload_vanished_fails() {
    let plan = three();
    let d = look(&plan, &queued(&plan), None, 1);
    assert!(matches!(d, Decision::Record(Record::End { state: State::Failed, .. })));
}

#[test]
fn a_stable_that_changed_meanwhile_is_not_deployed_over() {
    let plan = three();
    let mut w = healthy();
    w.stable_hash = Some("other".into());
    w.current_hash = Some("other".into());
    let d = look(&plan, &queued(&plan), Some(&w), 1);
    assert!(matches!(d, Decision::Record(Record::End { state: State::Failed, .. })));
}

#[test]
fn a_pending_deploy_is_settled_by_its_mark() {
    let plan = three();
    let mut r = queued(&plan);
    begin(&mut r, AttemptId("r318-1".into()), Effect::Deploy, at(1));
    assert_eq!(r.ceiling(&plan), 5, "allowed before the call goes out");
    assert_eq!(
        words(&look(&plan, &r, Some(&healthy()), 3)),
        "Waiting to see the last change in the cluster."
    );
    let d = look(&plan, &r, Some(&healthy()), 6);
    assert!(matches!(d, Decision::Record(Record::Settle { happened: false, .. })));
    let d = look(&plan, &r, Some(&standing(&plan, 0)), 3);
    assert!(matches!(d, Decision::Record(Record::Settle { happened: true, .. })));
}

#[test]
fn a_deploy_that_was_just_done_is_not_repeated_on_old_news() {
    let plan = three();
    let mut r = running(&plan);
    r.canary_hash = None;
    let d = look(&plan, &r, Some(&healthy()), 2);
    assert_eq!(words(&d), "Waiting for the controller to see the new version.");
    let d = look(&plan, &r, Some(&healthy()), 2000);
    assert_eq!(words(&d), "Waiting for the controller to see the new version.");
}

#[test]
fn the_canary_is_named_once_the_controller_has_seen_it() {
    let plan = three();
    let mut r = running(&plan);
    r.canary_hash = None;
    let mut w = standing(&plan, 0);
    w.observed_generation = Some(5);
    assert!(matches!(look(&plan, &r, Some(&w), 2), Decision::Wait { .. }));
    w.observed_generation = Some(6);
    assert_eq!(look(&plan, &r, Some(&w), 2), Decision::Record(Record::CanaryNamed(CANARY.into())));
}

#[test]
fn a_step_is_reached_when_the_router_confirms_it() {
    let plan = three();
    let r = running(&plan);
    let mut w = standing(&plan, 0);
    assert_eq!(look(&plan, &r, Some(&w), 9), Decision::Record(Record::StepReached { step: 0, weight: 5 }));
    w.weights.as_mut().unwrap().canary = 4;
    assert_eq!(words(&look(&plan, &r, Some(&w), 9)), "Rising to 5 %: waiting until it is confirmed.");
    w.weights.as_mut().unwrap().canary = 5;
    w.unverified = true;
    assert_eq!(words(&look(&plan, &r, Some(&w), 9)), "Rising to 5 %: waiting until it is confirmed.");
    w.unverified = false;
    w.weights = None;
    assert!(matches!(look(&plan, &r, Some(&w), 9), Decision::Wait { .. }));
    w.router = None;
    let Decision::Record(Record::StepReached { weight: 20, .. }) = look(&plan, &r, Some(&w), 9) else {
        panic!("2 of 10 ready pods are 20 %");
    };
    w.revisions[0].ready = 1;
    assert!(matches!(look(&plan, &r, Some(&w), 9), Decision::Wait { .. }));
}

#[test]
fn no_step_is_reached_while_the_rollout_is_paused_or_aborted() {
    let plan = three();
    let mut w = standing(&plan, 0);
    w.spec_paused = true;
    assert!(words(&look(&plan, &running(&plan), Some(&w), 9)).contains("spec.paused"));
    w.spec_paused = false;
    w.abort = true;
    let d = look(&plan, &running(&plan), Some(&w), 9);
    assert!(matches!(d, Decision::Record(Record::TurnBack { .. })), "{d:?}");
}

#[test]
fn a_step_bakes_then_passes_then_the_pause_is_opened() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    let w = standing(&plan, 0);
    let Decision::Wait { until, why } = look(&plan, &r, Some(&w), 30) else { panic!() };
    assert_eq!((until, why.as_str()), (Some(at(130)), "Baking at 5 % for 2m."));
    r.verdict = Some(verdict(Class::Pass, 0, at(120)));
    let passed = Record::StepPassed { step: 0, next: Some(25) };
    assert_eq!(look(&plan, &r, Some(&w), 130), Decision::Record(passed.clone()));
    apply(&mut r, &passed, at(130));
    assert_eq!((r.step, r.step_since, r.ceiling(&plan)), (Some(1), None, 25));
    assert_eq!(look(&plan, &r, Some(&w), 130), Decision::Act(Effect::OpenPause { from: 1 }));
}

#[test]
fn a_hold_stops_the_clock() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    hold(&mut r, "Ada Brandt", Some("looking at the errors".into()), at(40));
    assert_eq!(r.baked_at(at(4000)), Span(30));
    let w = standing(&plan, 0);
    let d = look(&plan, &r, Some(&w), 4000);
    assert_eq!(words(&d), "Held by Ada Brandt: looking at the errors");
    super::super::resume(&mut r, at(4000));
    assert_eq!(r.baked_at(at(4010)), Span(40));
    assert_eq!(r.state, State::Running);
}

#[test]
fn a_pass_of_another_step_opens_nothing() {
    let plan = three();
    let mut r = standing_at(&plan, 1);
    r.opened.insert(1, "Ada".into());
    r.verdict = Some(verdict(Class::Pass, 0, at(5)));
    assert_eq!(words(&look(&plan, &r, Some(&standing(&plan, 1)), 900)), "Waiting for the analysis at 25 %.");
}

#[test]
fn an_approval_gate_is_asked_for_when_everything_else_passed() {
    let plan = three();
    let mut r = standing_at(&plan, 1);
    r.verdict = Some(verdict(Class::Pass, 1, at(300)));
    let w = standing(&plan, 1);
    let d = look(&plan, &r, Some(&w), 900);
    assert_eq!(words(&d), "Everything else passed. On-call opens the gate to 100 %.");
    let Decision::Record(record) = d else { panic!() };
    apply(&mut r, &record, at(900));
    assert_eq!(r.state, State::Waiting);
    assert!(matches!(look(&plan, &r, Some(&w), 901), Decision::Wait { .. }), "said once");
}

#[test]
fn a_waived_step_skips_bake_and_analysis_but_no_approval_gate_and_no_fail() {
    let plan = three();
    let mut r = standing_at(&plan, 1);
    r.waived.insert(1, "Mara".into());
    let w = standing(&plan, 1);
    assert!(words(&look(&plan, &r, Some(&w), 11)).starts_with("Everything else passed."));
    r.opened.insert(1, "Ada".into());
    assert!(matches!(look(&plan, &r, Some(&w), 11), Decision::Record(Record::StepPassed { .. })));
    r.verdict = Some(verdict(Class::Fail, 1, at(11)));
    assert!(matches!(look(&plan, &r, Some(&w), 11), Decision::Record(Record::TurnBack { .. })));
}

#[test]
fn a_fail_turns_back_even_while_held() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    hold(&mut r, "Ada", None, at(20));
    r.verdict = Some(verdict(Class::Fail, 0, at(21)));
    let d = look(&plan, &r, Some(&standing(&plan, 0)), 22);
    assert_eq!(words(&d), "Canary errors 4.1 % against 0.3 % on stable: 13 times as many.");
}

/// What is left decides whether there is anything a promotion could pass over.
#[test]
fn a_persons_gate_is_the_only_thing_left_once_bake_and_analysis_are_over() {
    let plan = three();
    let mut r = standing_at(&plan, 1);
    assert_eq!(only_gate_left(&r, &plan, at(20)), None, "it bakes");
    assert_eq!(only_gate_left(&r, &plan, at(400)), None, "nothing was judged yet");
    r.verdict = Some(verdict(Class::Marginal, 1, at(400)));
    assert_eq!(only_gate_left(&r, &plan, at(400)), None, "the analysis does not pass yet");
    r.verdict = Some(verdict(Class::Pass, 1, at(400)));
    assert_eq!(only_gate_left(&r, &plan, at(400)), Some(Role::OnCall));
    r.verdict = None;
    waive(&mut r, 1, "Mia Release");
    assert_eq!(only_gate_left(&r, &plan, at(20)), Some(Role::OnCall), "bake and analysis were passed over");
    r.opened.insert(1, "Otis On-call".into());
    assert_eq!(only_gate_left(&r, &plan, at(20)), None, "it is open");
}

#[test]
fn templates_decide_about_their_step() {
    use crate::checked::{Checked, Outcome};
    use crate::plan::{Strategy, Template};
    let mut plan = plan(vec![step(5, 60, &[]), step(100, 0, &[])]);
    if let Strategy::Canary(canary) = &mut plan.spec.strategy {
        canary.steps[0].templates = vec![Template { name: "success-rate".into(), ..Template::default() }];
    }
    let w = standing(&plan, 0);
    let decided = |outcome: Option<Outcome>, waived: bool, second: i64| {
        let mut r = standing_at(&plan, 0);
        (r.digest, r.state) = (plan.digest(), State::Running);
        r.checked =
            outcome.map(|outcome| Checked { step: 0, outcome, words: "It says so.".into(), at: at(12) });
        if waived {
            waive(&mut r, 0, "Mara");
        }
        look(&plan, &r, Some(&w), second)
    };
    let (bakes, over) = (20, 200);
    {
        let d = decided(None, false, over);
        assert!(
            !matches!(d, Decision::Record(Record::StepPassed { .. })),
            "the bake alone is not enough: {d:?}"
        );
    }
    assert!(words(&decided(None, false, over)).contains("templates"));
    let passed = |d: &Decision| matches!(d, Decision::Record(Record::StepPassed { step: 0, .. }));
    assert!(passed(&decided(Some(Outcome::Passed), false, over)));
    assert!(!passed(&decided(Some(Outcome::Passed), false, bakes)), "the bake counts as well");
    for second in [bakes, over] {
        let d = decided(Some(Outcome::Inconclusive), false, second);
        assert!(matches!(d, Decision::Record(Record::Become { state: State::Paused, .. })), "{d:?}");
        assert!(words(&d).contains("It says so. A release manager promotes it"), "{d:?}");
        for outcome in [Outcome::Failed, Outcome::Error] {
            for waived in [false, true] {
                let d = decided(Some(outcome), waived, second);
                assert!(
                    matches!(&d, Decision::Record(Record::TurnBack { why }) if why == "It says so."),
                    "{d:?}"
                );
            }
        }
        assert!(passed(&decided(Some(Outcome::Inconclusive), true, second)), "a person may promote it");
    }
}
