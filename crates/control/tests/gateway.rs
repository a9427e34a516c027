//! A Rollout behind an HTTPRoute of the Gateway API, from plan to rollback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{OLD, World, people};
use model::release::State;
use model::rollback::Pace;
use sandbox::Strategy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exact_weights_through_the_controllers_plugin_and_one_press_back() {
    let world = World::with(Strategy::Gateway).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 7, bake: 1s, scale: 2, header: {name: X-Canary, value: always}}, {weight: 33, gates: [{approval: on-call}]}, {weight: 100}]";
    let plan = world.plan("1.1.0", steps);
    let checked = replica.control.check_plan(&people.manager, &plan).await.unwrap();
    assert_eq!((checked.errors, checked.warnings), (vec![], vec![]));
    let id = replica.release(&people, &plan).await;
    let release = replica.wait_state(id, State::Waiting).await;
    assert_eq!((release.passed.len(), release.step), (1, Some(1)), "at its gate");
    let w = world.cluster.workload(&world.key()).unwrap();
    assert_eq!(w.weights.map(|w| (w.stable, w.canary)), Some((67, 33)));

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!((receipt.to_version.as_str(), receipt.route.pace), ("1.0.0", Pace::Seconds));
    replica.wait_state(id, State::RolledBack).await;
    let home = world.wait_workload("home", |w| !w.in_flight() && w.images["app"] == OLD).await;
    assert_eq!(home.weights.map(|w| w.canary), Some(0));
}
