//! Traps of the real controller and of the network that rollbacks elsewhere fall into.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Error, Outcome};
use common::gate::{Gate, Mode};
use common::{World, attempt, image};
use model::rollback::route;
use model::workload::Workload;
use sandbox::Strategy;
use serde_json::json;

const ROUTED: Strategy = Strategy::Canary { nginx: true };

/// A full promotion that waits for pods which never get ready erases a bare abort, and goes on. It must not ship what it
/// promotes, neither while it is taken back nor by what is left of it at the next update.
#[tokio::test]
async fn a_leftover_full_promotion_never_ships_a_bad_version() {
    for strategy in [ROUTED, Strategy::BlueGreen] {
        let world = World::new("leftover").await;
        let key = world.rollout("web", 2, strategy).await;
        let good = world.cluster.template(&key).await.unwrap();
        let containers = json!([{"name": "app", "image": format!("{}-missing", image(2))}]);
        world.elsewhere(&key, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
        let bad = world.seen(&key, "in flight", |w| w.in_flight() && w.observed()).await.current_hash.clone();
        let bad = bad.unwrap();
        let full = world.cluster.promote_full(&key, &attempt("full"), bad.as_str()).await.unwrap();
        assert!(full.is_applied(), "{full:?}");
        world.seen(&key, "being promoted", |w| w.promote_full).await;
        world.roll_back(&key, &good).await;
        let home = world.home(&key, &good).await;
        assert!(!home.promote_full && home.stable_hash.as_ref() != Some(&bad), "{home:?}");
        // The next version stops where its own steps say.
        world.deployed_elsewhere(&key, 3).await;
        let stands = |w: &Workload| w.in_flight() && w.observed() && !w.pauses.is_empty();
        let next = world.seen(&key, "at its first pause", stands).await;
        assert_eq!(next.stable_hash.as_deref(), Some(good.hash.as_str()));
        assert!(!next.promote_full, "{next:?}");
    }
}

/// A proxy carries every request and drops every answer: what was done is found, and nothing is done twice.
#[tokio::test]
async fn a_way_back_whose_answers_are_lost_is_carried_on_by_pressing_again() {
    let sandbox = sandbox::Sandbox::shared().await.unwrap();
    let gate = Gate::new(sandbox.tidegate().await.unwrap()).await;
    let world = World::through("lost-back", &gate.kubeconfig).await;
    let key = world.rollout("web", 2, ROUTED).await;
    let (good, w) = world.in_flight(&key).await;

    // A raise: sent again, it is refused instead of opening the next pause.
    gate.set(Mode::Deaf);
    let lost = world.cluster.open_pause(&key, &attempt("open"), 1).await.unwrap();
    assert!(matches!(lost, Outcome::Unsure { .. }), "{lost:?}");
    gate.set(Mode::Open);
    let next = |w: &Workload| w.step_index == Some(3) && !w.pauses.is_empty();
    world.seen(&key, "at the second pause", next).await;
    let again = world.cluster.open_pause(&key, &attempt("open"), 1).await.unwrap();
    assert!(matches!(again, Outcome::Refused { .. }), "{again:?}");
    assert!(next(&world.cluster.fresh(&key).await.unwrap()));

    // The way back: everything was done, and nobody was told.
    gate.set(Mode::Deaf);
    let r = route(&w, &good.hash);
    let lost = world.cluster.roll_back(&key, &attempt("back"), &good, &r).await.unwrap_err();
    assert!(matches!(lost, Error::Unsure { .. }), "{lost}");
    gate.set(Mode::Open);
    let home = world.home(&key, &good).await;
    let now = world.cluster.workload(&key).unwrap();
    let pressed =
        world.cluster.roll_back(&key, &attempt("back"), &good, &route(&now, &good.hash)).await.unwrap();
    assert_eq!(pressed.calls, [], "nothing is left to do");
    assert_eq!(world.cluster.fresh(&key).await.unwrap().generation, home.generation);
}

/// A patch that lost against another writer did nothing: a raise is refused, a way back looks again and goes on.
#[tokio::test]
async fn a_patch_that_lost_against_another_writer_is_decided_anew() {
    let sandbox = sandbox::Sandbox::shared().await.unwrap();
    let gate = Gate::new(sandbox.tidegate().await.unwrap()).await;
    let world = World::through("conflict", &gate.kubeconfig).await;
    let key = world.rollout("web", 2, ROUTED).await;
    let (good, w) = world.in_flight(&key).await;

    gate.conflict(1);
    let lost = world.cluster.open_pause(&key, &attempt("open"), 1).await.unwrap();
    assert!(matches!(lost, Outcome::Refused { .. }), "{lost:?}");
    let stands = world.cluster.fresh(&key).await.unwrap();
    assert_eq!((stands.step_index, stands.pauses.len()), (Some(1), 1), "{stands:?}");

    // Both calls of the way back in turn.
    gate.conflict(2);
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &route(&w, &good.hash)).await.unwrap();
    assert!(done.generation > 0, "{done:?}");
    world.home(&key, &good).await;
}
