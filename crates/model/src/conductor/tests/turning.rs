//! Turning back, the way back, and the end, one look at a time.

use super::super::sample::*;
use super::super::{Decision, Effect, Record, announce, apply, begin, tell};
use super::looks::{look, standing_at, three, words};
use crate::ids::AttemptId;
use crate::release::{Course, State};
use crate::workload::Phase;

#[test]
fn a_change_past_tidegate_holds_the_release_and_still_lets_it_go_back() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    let mut w = standing(&plan, 0);
    w.current_hash = Some("third".into());
    w.images = images("registry.example.com/checkout:9.9.9");
    let d = look(&plan, &r, Some(&w), 22);
    assert!(matches!(&d, Decision::Record(Record::Become { state: State::Paused, .. })));
    assert!(words(&d).contains("it now wants 9.9.9"));
    super::super::leave(&mut r, Course::RollBack, None, at(20));
    assert_eq!(look(&plan, &r, Some(&w), 22), Decision::Act(Effect::Abort));
}

#[test]
fn a_degraded_canary_turns_back_with_the_controllers_words() {
    let plan = three();
    let mut w = standing(&plan, 0);
    w.phase = Phase::Degraded;
    w.message = Some("ProgressDeadlineExceeded".into());
    let d = look(&plan, &standing_at(&plan, 0), Some(&w), 22);
    assert_eq!(words(&d), "The controller says the update is degraded: ProgressDeadlineExceeded");
}

#[test]
fn the_way_back_sends_its_calls_back_to_back() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    super::super::leave(&mut r, Course::RollBack, Some("Errors."), at(20));
    let w = standing(&plan, 0);
    for (n, expected) in [Effect::Abort, Effect::Revert].into_iter().enumerate() {
        assert_eq!(look(&plan, &r, Some(&w), 22), Decision::Act(expected.clone()));
        begin(&mut r, AttemptId(format!("b-{n}")), expected, at(22));
        apply(&mut r, &Record::Settle { happened: true, words: String::new() }, at(22));
    }
    let Decision::Wait { until, .. } = look(&plan, &r, Some(&w), 22) else { panic!() };
    assert_eq!(until, Some(at(23)), "an abort can be erased: look again soon");
}

#[test]
fn healthy_on_the_old_hash_for_an_instant_is_not_the_end() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    super::super::leave(&mut r, Course::RollBack, None, at(20));
    let mut trap = healthy();
    trap.current_hash = Some(CANARY.into());
    trap.stable_hash = Some(CANARY.into());
    assert!(!matches!(look(&plan, &r, Some(&trap), 22), Decision::Record(Record::End { .. })));
    let mut still_routed = healthy();
    still_routed.weights.as_mut().unwrap().canary = 80;
    assert!(!matches!(look(&plan, &r, Some(&still_routed), 22), Decision::Record(Record::End { .. })));
    let d = look(&plan, &r, Some(&healthy()), 22);
    assert!(matches!(d, Decision::Record(Record::End { state: State::RolledBack, .. })), "{d:?}");
}

#[test]
fn a_fully_promoted_release_goes_back_and_promotes_only_the_known_good() {
    let plan = three();
    let mut r = standing_at(&plan, 2);
    super::super::leave(&mut r, Course::RollBack, None, at(20));
    assert_eq!(look(&plan, &r, Some(&promoted(&plan)), 22), Decision::Act(Effect::Revert));
    let mut walking = promoted(&plan);
    walking.images = images(OLD_IMAGE);
    walking.current_hash = Some(GOOD.into());
    walking.phase = Phase::Paused;
    walking.step_index = Some(1);
    assert_eq!(look(&plan, &r, Some(&walking), 22), Decision::Act(Effect::PromoteFull));
}

#[test]
fn a_release_left_before_its_deploy_touches_nothing() {
    let plan = three();
    for course in [Course::Abort, Course::RollBack] {
        let mut r = queued(&plan);
        super::super::leave(&mut r, course, None, at(20));
        let d = look(&plan, &r, Some(&healthy()), 22);
        assert!(matches!(d, Decision::Record(Record::End { state: State::Cancelled, .. })));
    }
}

#[test]
fn a_rollback_right_after_the_deploy_does_not_trust_old_news() {
    let plan = three();
    let mut r = running(&plan);
    r.canary_hash = None;
    super::super::leave(&mut r, Course::RollBack, None, at(20));
    assert_eq!(look(&plan, &r, Some(&healthy()), 2), Decision::Act(Effect::Revert));
}

#[test]
fn the_last_step_promotes_restores_the_steps_and_succeeds() {
    let plan = three();
    let mut r = standing_at(&plan, 2);
    let w = standing(&plan, 2);
    let passed = Record::StepPassed { step: 2, next: None };
    assert_eq!(look(&plan, &r, Some(&w), 22), Decision::Record(passed.clone()));
    apply(&mut r, &passed, at(22));
    assert_eq!(r.ceiling(&plan), 100);
    assert_eq!(look(&plan, &r, Some(&w), 22), Decision::Act(Effect::OpenPause { from: 5 }));
    assert_eq!(
        announce(&Effect::OpenPause { from: 5 }, &r, &plan),
        "Promotion of 1.42.0: it becomes the stable version."
    );
    let w = promoted(&plan);
    assert_eq!(look(&plan, &r, Some(&w), 22), Decision::Act(Effect::RestoreSteps));
    begin(&mut r, AttemptId("c".into()), Effect::RestoreSteps, at(22));
    apply(&mut r, &Record::Settle { happened: true, words: String::new() }, at(22));
    assert_eq!(words(&look(&plan, &r, Some(&w), 23)), "1.42.0 is the stable version, and healthy.");
}

#[test]
fn a_promotion_past_the_gates_is_never_called_a_success() {
    let plan = three();
    let mut r = standing_at(&plan, 0);
    begin(&mut r, AttemptId("c".into()), Effect::RestoreSteps, at(22));
    apply(&mut r, &Record::Settle { happened: true, words: String::new() }, at(22));
    let d = look(&plan, &r, Some(&promoted(&plan)), 23);
    assert!(matches!(d, Decision::Record(Record::End { state: State::Failed, .. })));
}

#[test]
fn effects_and_records_speak_in_sentences() {
    let plan = three();
    let r = standing_at(&plan, 0);
    assert_eq!(announce(&Effect::OpenPause { from: 1 }, &r, &plan), "Weight 5 % to 25 %.");
    assert_eq!(announce(&Effect::Abort, &r, &plan), "Canary weight to 0 %: traffic goes to 1.41.3.");
    let (action, words) = tell(&Record::StepPassed { step: 0, next: Some(25) }, &r, &plan);
    assert_eq!(
        (action, words.as_str()),
        ("release.step.passed", "All gates at 5 % passed. 25 % is allowed.")
    );
    let (action, words) = tell(&Record::TurnBack { why: "Errors.".into() }, &r, &plan);
    assert_eq!((action, words.as_str()), ("release.turned_back", "Back to 1.41.3: Errors."));
}
