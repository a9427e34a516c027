//! Whole releases that begin with copies of requests, against the same model with an HTTPRoute in front: nothing is copied
//! that the plan does not allow, nor to a Deployment that is gone, and no user sees the version before the copying has stopped.

use super::super::sample::plan;
use super::beside::{By, Odd, crashes_of, odd, odd_meddling, run_of};
use super::chaos::{cases, gates};
use crate::plan::{Gate, Plan, Shadow, Strategy as PlanStrategy};
use crate::release::State;
use crate::span::Span;
use proptest::prelude::*;

fn shadow(percent: u8, bake: u64, gates: Vec<Gate>, after: u64) -> Plan {
    let mut plan = plan(vec![]);
    let shadow = Shadow::new(percent, (Span(bake), gates), (Span(after), Vec::new()));
    plan.spec.strategy = PlanStrategy::Shadow(shadow);
    plan
}

fn any_shadow() -> impl Strategy<Value = Plan> {
    (1u8..=100, 0u64..30, gates(), 0u64..10)
        .prop_map(|(percent, bake, gates, after)| shadow(percent, bake, gates, after))
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_shadow_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_shadow(), ops in proptest::collection::vec(odd(), 0..90),
    ) {
        run_of(plan, By::HttpRoute, &ops);
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn every_shadow_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_shadow(), ops in proptest::collection::vec(odd_meddling(), 0..90),
    ) {
        run_of(plan, By::HttpRoute, &ops);
    }
}

#[test]
fn in_fair_weather_requests_are_copied_then_no_more_and_the_deployment_takes_over() {
    let drive = run_of(shadow(20, 1, vec![Gate::Analysis], 1), By::HttpRoute, &[] as &[Odd]);
    assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
    assert_eq!(drive.scaled(), [2], "20 % of eight, rounded up");
}

/// Invariants 1, 4 and 5: deploy, scale, copy, stop copying, take over and retire, each in turn.
#[test]
fn a_crash_at_any_request_of_a_shadow_copies_nothing_that_may_not_be() {
    crashes_of(&shadow(20, 1, Vec::new(), 1), By::HttpRoute, 7);
}
