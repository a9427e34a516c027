//! A release, effect by effect, on the real Argo Rollouts controller.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::Outcome;
use common::{RELEASE, World, attempt, image, plan, plan_of};
use model::workload::Phase;
use sandbox::Strategy;
use serde_json::json;

#[tokio::test]
async fn a_release_stands_at_each_step_until_its_pause_is_opened() {
    let world = World::new("steps").await;
    let key = world.rollout("web", 4, Strategy::Canary { nginx: true }).await;
    let cluster = &world.cluster;
    let own_steps = world.object(&key).await["spec"]["strategy"]["canary"]["steps"].clone();

    let (good, first) = world.in_flight(&key).await;
    assert_eq!(good.images["app"], image(1));
    assert_eq!(good.steps.as_ref(), Some(&own_steps));
    assert_eq!(first.stable_hash.as_deref(), Some(good.hash.as_str()));
    assert_eq!(first.weights.map(|w| (w.canary, w.stable)), Some((20, 80)));
    assert_eq!(first.images["app"], image(2));
    assert_eq!(first.attempt.as_deref(), Some("test-deploy"));
    assert_eq!(first.step_count, 5);

    // Two at once for the same pause: one opens it.
    let (open_a, open_b) = (attempt("open-a"), attempt("open-b"));
    let both = tokio::join!(cluster.open_pause(&key, &open_a, 1), cluster.open_pause(&key, &open_b, 1));
    let both = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(both.iter().filter(|o| o.is_applied()).count(), 1, "{both:?}");

    let second = world
        .seen(&key, "paused at the second step", |w| w.phase == Phase::Paused && w.step_index == Some(3))
        .await;
    assert_eq!(second.weights.map(|w| w.canary), Some(50));
    let late = cluster.open_pause(&key, &attempt("late"), 1).await.unwrap();
    let Outcome::Refused { why } = late else { panic!("{late:?}") };
    assert!(why.contains("it stands at step 3, no longer at step 1"), "{why}");

    assert!(cluster.open_pause(&key, &attempt("open-3"), 3).await.unwrap().is_applied());
    let promoted = world
        .seen(&key, "promoted", |w| {
            w.phase == Phase::Healthy && w.current_hash == first.current_hash && !w.in_flight()
        })
        .await;
    assert_ne!(promoted.stable_hash.as_deref(), Some(good.hash.as_str()));

    let restored = cluster.restore_steps(&key, &attempt("restore"), &good).await.unwrap();
    let Outcome::Applied { generation, .. } = restored else { panic!("{restored:?}") };
    let after = world
        .seen(&key, "observed after its steps were put back", |w| {
            w.observed_generation.is_some_and(|o| o >= generation) && w.phase != Phase::Unknown
        })
        .await;
    assert_eq!(after.phase, Phase::Healthy);
    assert_eq!(after.stable_hash, promoted.stable_hash);
    assert_eq!(world.object(&key).await["spec"]["strategy"]["canary"]["steps"], own_steps);
}

#[tokio::test]
async fn a_last_step_that_holds_is_paused_at_100_percent() {
    let world = World::new("hold").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: true }).await;
    let good = world.cluster.template(&key).await.unwrap();
    let plan = plan_of(json!([{"weight": 100, "bake": "1m"}]), 2);
    let outcome = world.cluster.deploy(&key, &attempt("deploy"), &plan, &good, RELEASE).await.unwrap();
    assert!(outcome.is_applied(), "{outcome:?}");
    let held = world
        .seen(&key, "held at 100 %", |w| {
            w.phase == Phase::Paused && w.weights.is_some_and(|x| x.canary == 100)
        })
        .await;
    assert!(held.in_flight());
    assert_eq!(held.step_index, Some(1));
}

#[tokio::test]
async fn the_same_attempt_deploys_once_and_another_is_refused() {
    let world = World::new("once").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let (good, w) = world.in_flight(&key).await;

    let again = world.cluster.deploy(&key, &attempt("deploy"), &plan(2), &good, RELEASE).await.unwrap();
    assert!(again.is_applied(), "{again:?}");
    assert_eq!(world.object(&key).await["metadata"]["generation"], json!(w.generation));

    let other = world.cluster.deploy(&key, &attempt("other"), &plan(3), &good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = other else { panic!("{other:?}") };
    assert!(why.contains("web changed in the meantime: its newest revision is"), "{why}");
    assert_eq!(world.object(&key).await["metadata"]["generation"], json!(w.generation));
}

#[tokio::test]
async fn a_deploy_is_refused_when_the_template_is_no_longer_the_recorded_one() {
    let world = World::new("moved").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let mut good = world.cluster.template(&key).await.unwrap();
    good.template["metadata"]["labels"]["colour"] = json!("green");
    let outcome = world.cluster.deploy(&key, &attempt("deploy"), &plan(2), &good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("its template is no longer the one that was read"), "{why}");
}

#[tokio::test]
async fn steps_are_not_restored_while_an_update_is_in_flight() {
    let world = World::new("early").await;
    let key = world.rollout("web", 2, Strategy::Canary { nginx: false }).await;
    let (good, w) = world.in_flight(&key).await;
    let outcome = world.cluster.restore_steps(&key, &attempt("restore"), &good).await.unwrap();
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("not Healthy on one version yet"), "{why}");
    assert_eq!(world.cluster.fresh(&key).await.unwrap().generation, w.generation);
}

#[tokio::test]
async fn an_unknown_field_is_refused_and_no_content_is_quoted() {
    let world = World::new("strict").await;
    let key = world.rollout("web", 1, Strategy::Canary { nginx: false }).await;
    let mut good = world.cluster.template(&key).await.unwrap();
    good.template["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": "hunter2"}]);
    good.template["spec"]["containers"][0]["imagee"] = json!("typo");
    let outcome = world.cluster.revert(&key, &attempt("revert"), &good, false).await.unwrap();
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("unknown field \"spec.template.spec.containers[0].imagee\""), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn what_cannot_be_driven_is_refused_in_words() {
    let world = World::new("unfit").await;
    let blue_green = world.rollout("search", 1, Strategy::BlueGreen).await;
    let good = world.cluster.template(&blue_green).await.unwrap();
    let outcome = world.cluster.deploy(&blue_green, &attempt("x"), &plan(2), &good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("another strategy than the plan"), "{why}");

    let paused = world.rollout("web", 1, Strategy::Canary { nginx: false }).await;
    let good = world.cluster.template(&paused).await.unwrap();
    world.elsewhere(&paused, json!({"spec": {"paused": true}})).await;
    world.seen(&paused, "paused", |w| w.spec_paused && w.observed()).await;
    let outcome = world.cluster.deploy(&paused, &attempt("x"), &plan(2), &good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("is paused in the cluster"), "{why}");

    let absent = world.key("nowhere");
    let error = world.cluster.template(&absent).await.unwrap_err();
    assert!(matches!(error, cluster::Error::Gone(_)), "{error}");
}
