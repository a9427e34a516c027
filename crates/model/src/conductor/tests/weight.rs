//! Whole releases by a canary Deployment behind an Ingress or an HTTPRoute, against the same model with a canary Ingress
//! beside it, or weights in the route: no more users than the plan allows are ever sent to the new version, none before its
//! pods stand, and the route is at the end as it was.

use super::super::sample::{plan, step};
use super::beside::{By, Odd, crashes_of, odd, odd_meddling, run_of};
use super::chaos::{Op, Press, cases, gates};
use crate::plan::{Gate, Plan};
use crate::release::State;
use proptest::prelude::*;

const BOTH: [By; 2] = [By::Ingress, By::HttpRoute];

fn any_by() -> impl Strategy<Value = By> {
    prop_oneof![Just(By::Ingress), Just(By::HttpRoute)]
}

fn any_weights() -> impl Strategy<Value = Plan> {
    let one = (1u8..100, 0u64..30, gates());
    (proptest::collection::vec(one, 1..4), 0u64..10, gates()).prop_map(|(mut steps, bake, last)| {
        steps.sort_by_key(|s| s.0);
        steps.dedup_by_key(|s| s.0);
        let mut steps: Vec<_> = steps.into_iter().map(|(w, b, g)| step(w, b, &g)).collect();
        steps.push(step(100, bake, &last));
        plan(steps)
    })
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_weighed_release_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_weights(), by in any_by(), ops in proptest::collection::vec(odd(), 0..90),
    ) {
        run_of(plan, by, &ops);
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn every_weighed_release_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_weights(), by in any_by(), ops in proptest::collection::vec(odd_meddling(), 0..90),
    ) {
        run_of(plan, by, &ops);
    }
}

/// The first attempt died after its mark, the second made our Deployment, and the watch shows the first.
#[test]
fn what_is_seen_from_before_the_second_deploy_proves_no_way_back() {
    use Op::{Approve, Blind, Turn, Wait};
    let then = [Turn, Wait(4), Turn, Approve(false), Turn, Wait(6), Approve(false), Approve(true), Turn];
    let left = [Op::Press(Press::Hold), Blind, Op::Press(Press::Abort), Blind];
    let ops: Vec<_> =
        std::iter::once(Odd::Torn(None)).chain(then.into_iter().chain(left).map(Odd::Common)).collect();
    for by in BOTH {
        let drive = run_of(plan(vec![step(1, 0, &[]), step(100, 0, &[])]), by, &ops);
        assert_eq!(drive.release.state, State::Cancelled, "{:?}", drive.release.reason);
    }
}

#[test]
fn in_fair_weather_each_weight_is_exact_and_the_deployment_takes_over() {
    let weights =
        plan(vec![step(1, 1, &[]), step(13, 1, &[Gate::Analysis]), step(80, 1, &[]), step(100, 1, &[])]);
    for by in BOTH {
        let drive = run_of(weights.clone(), by, &[] as &[Odd]);
        assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
        assert_eq!(drive.scaled(), [1, 2, 7], "of eight, rounded up");
    }
}

/// Invariants 1, 4 and 5: deploy, scale, weigh twice, take over, hand back and retire, each in turn.
#[test]
fn a_crash_at_any_request_of_a_weighed_release_sends_nobody_where_nobody_may_be() {
    for by in BOTH {
        crashes_of(&plan(vec![step(5, 1, &[]), step(60, 1, &[]), step(100, 1, &[])]), by, 9);
    }
}
