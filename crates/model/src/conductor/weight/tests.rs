use super::super::next;
use super::super::sample::{at, copying, deployment, plan, running, step, weighed};
use super::*;
use crate::ids::AttemptId;
use crate::plan::{Gate, Plan, Shadow, Strategy};
use crate::release::{Course, Release, Tried};
use crate::rollback::{Call, Pace, Proof, proofs, route};
use crate::span::Span;
use crate::workload::Split;

/// 5 % of eight pods are one, 30 % three.
fn steps() -> Plan {
    plan(vec![step(5, 0, &[]), step(30, 0, &[]), step(100, 60, &[])])
}

fn started(plan: &Plan, passed: usize) -> Release {
    let mut r = running(plan);
    r.workload = deployment().key;
    r.step_since = None;
    r.passed = (0..passed).map(|_| at(10)).collect();
    r
}

fn asked(plan: &Plan, r: &Release, w: &Workload) -> Decision {
    next(&Input { plan, release: r, seen: Some(w), approved: true, now: at(100) })
}

fn tried_at(second: i64, effect: Effect, happened: bool) -> Tried {
    let (id, words) = (AttemptId("r318-9".into()), String::new());
    Tried { id, effect, at: at(second), happened, times: 1, words }
}

#[test]
fn its_pods_come_first_then_the_weight_then_the_step() {
    let plan = steps();
    let r = started(&plan, 0);
    assert_eq!(asked(&plan, &r, &weighed(0, None)), Decision::Act(Effect::Scale { from: 0, to: 1 }));
    assert_eq!(
        asked(&plan, &r, &weighed(1, None)),
        Decision::Act(Effect::Scale { from: 1, to: 1 }),
        "the canary Ingress is made with it"
    );
    assert_eq!(asked(&plan, &r, &weighed(1, Some(0))), Decision::Act(Effect::Weigh { from: 0, to: 5 }));
    let reached = Record::StepReached { step: 0, weight: 5 };
    assert_eq!(asked(&plan, &r, &weighed(1, Some(5))), Decision::Record(reached));
    let r = started(&plan, 1);
    assert_eq!(asked(&plan, &r, &weighed(1, Some(5))), Decision::Act(Effect::Scale { from: 1, to: 3 }));
    let mut starting = weighed(3, Some(5));
    starting.twin.as_mut().unwrap().ready = 1;
    assert!(!matches!(asked(&plan, &r, &starting), Decision::Act(_)), "no users before pods");
    assert_eq!(asked(&plan, &r, &weighed(3, Some(5))), Decision::Act(Effect::Weigh { from: 5, to: 30 }));
    let r = started(&plan, 2);
    assert_eq!(asked(&plan, &r, &weighed(3, Some(30))), Decision::Act(Effect::TakeOver));
}

#[test]
fn a_weight_that_somebody_changed_is_lowered_or_ends_the_release() {
    let plan = steps();
    let mut r = started(&plan, 0);
    let lower = Decision::Act(Effect::Weigh { from: 90, to: 5 });
    assert_eq!(asked(&plan, &r, &weighed(1, Some(90))), lower);
    super::super::hold(&mut r, "Ada", None, at(20));
    assert_eq!(asked(&plan, &r, &weighed(1, Some(90))), lower, "held as well");
    let mut r = started(&plan, 0);
    r.step_since = Some(at(50));
    for weight in [Some(3), None] {
        let d = asked(&plan, &r, &weighed(1, weight));
        assert!(matches!(d, Decision::Record(Record::TurnBack { .. })), "{weight:?}: {d:?}");
    }
}

#[test]
fn an_ingress_that_takes_no_weight_any_more_is_told() {
    let plan = steps();
    let mut w = weighed(1, Some(0));
    w.splitter.as_mut().unwrap().unfit = Some("Ingress shop leads to checkout no more.".into());
    let Decision::Record(Record::Become { state, why }) = asked(&plan, &started(&plan, 0), &w) else {
        panic!("nothing told")
    };
    assert_eq!((state, why.contains("no more. Put it back, abort")), (State::Paused, true));
}

#[test]
fn the_way_back_is_the_weight_and_then_nobody_is_on_it() {
    let plan = steps();
    let mut r = started(&plan, 1);
    r.course = Course::RollBack;
    r.state = State::RollingBack;
    r.tried.push(tried_at(90, Effect::Weigh { from: 0, to: 5 }, true));
    let w = weighed(1, Some(5));
    let way = route(&w, &r.known_good.hash);
    assert_eq!((way.calls, way.pace), (vec![Call::HandBack], Pace::Seconds));
    assert_eq!((w.canary_share(), proofs(&r, &w).contains(&Proof::Traffic)), (5, false));
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack));
    let w = weighed(1, Some(0));
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack), "a weight may still be on its way");
    assert!(proofs(&r, &w).contains(&Proof::Traffic));
    r.tried.push(tried_at(95, Effect::HandBack, true));
    assert!(
        matches!(asked(&plan, &r, &w), Decision::Record(_) | Decision::Wait { .. }),
        "it stands for ten seconds"
    );
    r.tried.last_mut().unwrap().at = at(85);
    let weigh = r.tried.iter_mut().find(|t| matches!(t.effect, Effect::Weigh { .. })).unwrap();
    weigh.at = at(80);
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Retire));
}

/// The same by the user's own HTTPRoute.
fn routed(pods: i32, weight: Option<u8>, severed: bool) -> Workload {
    let mut w = weighed(pods, weight);
    let by = Split::HttpRoute("shop".into());
    w.twin.as_mut().unwrap().split = Some(by.clone());
    let splitter = w.splitter.as_mut().unwrap();
    (splitter.by, splitter.severed, splitter.attempt) = (by, severed, Some("r318-2".into()));
    w
}

#[test]
fn a_service_that_is_gone_ends_it_where_somebody_is_sent_there_and_is_made_again_where_nobody_is() {
    let plan = steps();
    let d = asked(&plan, &started(&plan, 0), &routed(1, Some(5), true));
    let Decision::Record(Record::TurnBack { why }) = d else { panic!("{d:?}") };
    assert!(why.contains("by which HTTPRoute shop sends users"), "{why}");
    let d = asked(&plan, &started(&plan, 0), &routed(1, Some(0), true));
    assert_eq!(d, Decision::Act(Effect::Scale { from: 1, to: 1 }));
    let mut w = routed(1, Some(5), true);
    w.twin = None;
    let mut r = started(&plan, 1);
    r.canary_hash = Some("own".into());
    let d = asked(&plan, &r, &w);
    assert!(matches!(d, Decision::Record(Record::TurnBack { .. })), "{d:?}");
    let way = route(&w, &r.known_good.hash);
    assert!(way.because.contains("HTTPRoute shop sends all users to them again"), "{way:?}");
    r.course = Course::RollBack;
    r.state = State::RollingBack;
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack), "users first");
}

#[test]
fn what_is_left_in_the_users_route_is_taken_away_whatever_else_is_gone() {
    let plan = steps();
    let mut r = started(&plan, 1);
    r.course = Course::RollBack;
    r.state = State::RollingBack;
    r.tried.push(tried_at(60, Effect::Weigh { from: 0, to: 5 }, true));
    r.tried.push(tried_at(70, Effect::HandBack, true));
    let mut w = routed(1, None, false);
    w.twin = None;
    assert!(!w.any_sent() && w.by_weight() && !proofs(&r, &w).contains(&Proof::Wanted));
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Retire));
    w.splitter.as_mut().unwrap().attempt = None;
    assert!(!w.anything_of_ours() && proofs(&r, &w).contains(&Proof::Wanted));
}

#[test]
fn the_share_counts_the_deployments_own_new_pods_while_it_takes_over() {
    use super::super::sample::{NEW_IMAGE, images, revision};
    let mut w = weighed(4, Some(50));
    w.images = images(NEW_IMAGE);
    w.current_hash = Some("own".into());
    w.revisions.insert(0, revision("own", NEW_IMAGE, 42, 4));
    w.revisions[1].ready = 4;
    assert_eq!(w.canary_share(), 75, "half by the Ingress, and half of the rest");
}

/// Copies of 20 % need two of eight pods.
fn shadow() -> Plan {
    let mut plan = plan(vec![]);
    let copies = (Span(30), vec![Gate::Analysis]);
    plan.spec.strategy = Strategy::Shadow(Shadow::new(20, copies, Default::default()));
    plan
}

#[test]
fn its_pods_come_first_then_the_copies_and_the_analysis_is_waited_for() {
    let plan = shadow();
    let mut r = started(&plan, 0);
    assert_eq!(asked(&plan, &r, &copying(0, 0)), Decision::Act(Effect::Scale { from: 0, to: 2 }));
    let mut starting = copying(2, 0);
    starting.twin.as_mut().unwrap().ready = 1;
    assert!(!matches!(asked(&plan, &r, &starting), Decision::Act(_)), "no copies before pods");
    assert_eq!(asked(&plan, &r, &copying(2, 0)), Decision::Act(Effect::Weigh { from: 0, to: 20 }));
    let reached = Record::StepReached { step: 0, weight: 0 };
    assert_eq!(asked(&plan, &r, &copying(2, 20)), Decision::Record(reached), "no user is on it");
    assert_eq!(copying(2, 20).canary_share(), 0);
    r.step_since = Some(at(10));
    let shut = "Waiting for the analysis on copies of 20 %.";
    assert!(matches!(asked(&plan, &r, &copying(2, 20)), Decision::Wait { why, .. } if why == shut));
}

#[test]
fn the_copying_stops_before_any_user_sees_the_version() {
    let plan = shadow();
    let mut r = started(&plan, 1);
    r.tried.push(tried_at(20, Effect::Weigh { from: 0, to: 20 }, true));
    assert_eq!(asked(&plan, &r, &copying(2, 20)), Decision::Act(Effect::HandBack));
    assert_eq!(
        asked(&plan, &r, &copying(2, 0)),
        Decision::Act(Effect::HandBack),
        "copies may be on their way"
    );
    r.tried.push(tried_at(90, Effect::HandBack, true));
    assert_eq!(asked(&plan, &r, &copying(2, 0)), Decision::Act(Effect::TakeOver));
}

#[test]
fn copies_that_somebody_changed_are_lowered_or_end_the_release() {
    let plan = shadow();
    let mut r = started(&plan, 0);
    r.step_since = Some(at(50));
    assert_eq!(asked(&plan, &r, &copying(2, 90)), Decision::Act(Effect::Weigh { from: 90, to: 20 }));
    let d = asked(&plan, &r, &copying(2, 0));
    assert!(
        matches!(&d, Decision::Record(Record::TurnBack { why }) if why.contains("0 % of requests are copied")),
        "{d:?}"
    );
    let mut deaf = copying(2, 20);
    deaf.mirror.as_mut().unwrap().refused = Some("no filter RequestMirror (UnsupportedValue)".into());
    let d = asked(&plan, &r, &deaf);
    assert!(
        matches!(&d, Decision::Record(Record::TurnBack { why }) if why.contains("does not copy")),
        "{d:?}"
    );
    r.tried.push(tried_at(95, Effect::Weigh { from: 0, to: 20 }, true));
    assert!(matches!(asked(&plan, &r, &deaf), Decision::Wait { .. }), "it may not know the Service yet");
    r.tried.clear();
    let mut more = copying(2, 20);
    more.mirror.as_mut().unwrap().unfit = Some("HTTPRoute shop leads to checkout by several rules.".into());
    let d = asked(&plan, &r, &more);
    assert!(matches!(&d, Decision::Record(Record::Become { state: State::Paused, .. })), "{d:?}");
}

#[test]
fn the_way_back_from_copies_takes_nothing_from_users() {
    let plan = shadow();
    let mut r = started(&plan, 0);
    (r.course, r.state) = (Course::RollBack, State::RollingBack);
    r.tried.push(tried_at(90, Effect::Weigh { from: 0, to: 20 }, true));
    let mut w = copying(2, 20);
    let way = route(&w, &r.known_good.hash);
    assert_eq!((way.calls, way.pace), (vec![Call::HandBack], Pace::Seconds));
    assert!(way.because.contains("all the time"));
    assert!(!proofs(&r, &w).contains(&Proof::Traffic));
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack));
    w.ready = 0;
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::HandBack), "whatever its own pods do");
    r.tried.push(tried_at(95, Effect::HandBack, true));
    let w = copying(2, 0);
    assert!(proofs(&r, &w).contains(&Proof::Traffic));
    assert!(
        !matches!(asked(&plan, &r, &w), Decision::Act(_)),
        "its Service stands until every Gateway has heard of it"
    );
    r.tried.last_mut().unwrap().at = at(85);
    r.tried.iter_mut().find(|t| matches!(t.effect, Effect::Weigh { .. })).unwrap().at = at(80);
    assert_eq!(asked(&plan, &r, &w), Decision::Act(Effect::Retire));
}
