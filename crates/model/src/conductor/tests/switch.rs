//! Whole blue-green releases of a Deployment against the same model as those by a canary beside it, with a Service in front:
//! at every moment of the cluster its users meet somebody, and only whom the plan allows.

use super::beside::{Odd, crashes, odd, odd_meddling, run};
use super::chaos::{cases, gates};
use crate::plan::{BlueGreen, Gate, Plan, Strategy as PlanStrategy};
use crate::release::State;
use crate::span::Span;
use proptest::prelude::*;

fn plan(preview: (u64, Vec<Gate>), after: (u64, Vec<Gate>)) -> Plan {
    let mut plan = super::super::sample::plan(Vec::new());
    let both = BlueGreen::new((Span(preview.0), preview.1), (Span(after.0), after.1));
    plan.spec.strategy = PlanStrategy::BlueGreen(both);
    plan
}

fn any_switch() -> impl Strategy<Value = Plan> {
    ((0u64..20, gates()), (0u64..20, gates())).prop_map(|(preview, after)| plan(preview, after))
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_switched_release_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_switch(), ops in proptest::collection::vec(odd(), 0..90),
    ) {
        run(plan, &ops);
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn every_switched_release_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_switch(), ops in proptest::collection::vec(odd_meddling(), 0..90),
    ) {
        run(plan, &ops);
    }
}

#[test]
fn in_fair_weather_users_are_switched_and_handed_back() {
    let drive = run(plan((1, vec![Gate::Analysis]), (1, vec![])), &[] as &[Odd]);
    assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
    assert_eq!(drive.release.passed.len(), 2);
}

/// Invariants 1, 4 and 5: deploy, scale, switch, take over, hand back and retire, each in turn.
#[test]
fn a_crash_at_any_request_of_a_switched_release_leaves_nobody_at_nothing() {
    crashes(&plan((1, Vec::new()), (1, Vec::new())), 7);
}
