//! Effects that come late: decided on, announced, and sent by a process that slept meanwhile. On the real API server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Announced, Outcome, Voided};
use common::{RELEASE, World, attempt, image, plan, plan_by};
use model::workload::{Kind, Phase};
use sandbox::Strategy;
use serde_json::json;

const ROUTED: Strategy = Strategy::Canary { nginx: true };

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { .. })
}

#[tokio::test]
async fn a_deploy_that_comes_after_its_rollback_changes_nothing() {
    let world = World::new("late-deploy").await;
    let key = world.rollout("web", 2, ROUTED).await;
    let (cluster, good) = (&world.cluster, world.cluster.template(&key).await.unwrap());
    let (asleep, carried) = (attempt("asleep"), attempt("carried"));
    // Both were decided on before anything had marked the object.
    let stale = Announced::after(&asleep, None);
    let outcome =
        cluster.deploy(&key, Announced::after(&carried, None), &plan(2), &good, RELEASE).await.unwrap();
    assert!(outcome.is_applied(), "{outcome:?}");
    world.seen(&key, "paused", |w| w.phase == Phase::Paused && w.in_flight()).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    // Template, hashes and images are what they were when it was decided on. The mark is not.
    let late = cluster.deploy(&key, stale, &plan(2), &good, RELEASE).await.unwrap();
    assert!(refused(&late), "{late:?}");
    assert_eq!(world.object(&key).await["spec"]["template"], good.template);
}

#[tokio::test]
async fn an_attempt_that_was_made_void_cannot_happen_and_one_that_landed_cannot_be_made_void() {
    let world = World::new("void").await;
    let key = world.rollout("web", 2, ROUTED).await;
    let (cluster, good) = (&world.cluster, world.cluster.template(&key).await.unwrap());
    let (first, second) = (attempt("first"), attempt("second"));
    let before = world.object(&key).await;
    assert_eq!(cluster.void(&key, &first).await.unwrap(), Voided::Void);
    assert_eq!(world.object(&key).await["spec"], before["spec"], "only the mark");
    let late = cluster.deploy(&key, Announced::after(&first, None), &plan(2), &good, RELEASE).await.unwrap();
    assert!(refused(&late), "{late:?}");
    let mark = cluster.mark(&key).await.unwrap();
    assert_eq!(mark.as_deref(), Some("void-test-first"));
    let again = Announced::after(&second, mark.as_deref());
    assert!(cluster.deploy(&key, again, &plan(2), &good, RELEASE).await.unwrap().is_applied());
    assert_eq!(cluster.void(&key, &second).await.unwrap(), Voided::Landed);
    assert_eq!(world.object(&key).await["metadata"]["annotations"]["tidegate.dev/attempt"], second.0);
}

#[tokio::test]
async fn a_raise_that_comes_late_does_not_move_the_next_release() {
    let world = World::new("late-raise").await;
    let key = world.rollout("web", 2, ROUTED).await;
    let cluster = &world.cluster;
    let (good, _) = world.in_flight(&key).await;
    let (opened, promoted) = (attempt("opened"), attempt("promoted"));
    let (open, full) =
        (Announced::after(&opened, Some("test-deploy")), Announced::after(&promoted, Some("test-back")));
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;

    // The same version again, under another release: same hash, same step, same pause.
    let next = attempt("next");
    assert!(cluster.deploy(&key, &next, &plan(2), &good, RELEASE).await.unwrap().is_applied());
    let standing =
        |w: &model::workload::Workload| w.phase == Phase::Paused && w.step_index == Some(1) && w.in_flight();
    let w = world.seen(&key, "at its first pause", standing).await;
    let hash = w.current_hash.clone().unwrap();
    for late in [
        cluster.open_pause(&key, open, 1).await.unwrap(),
        cluster.promote_full(&key, full, hash.as_str()).await.unwrap(),
        cluster.promote_full(&key, &promoted, good.hash.as_str()).await.unwrap(),
        cluster.revert(&key, Announced::after(&opened, Some("test-deploy")), &good, false).await.unwrap(),
        cluster.restore_steps(&key, Announced::after(&opened, Some("test-back")), &good).await.unwrap(),
        cluster.unpause(&key, Announced::after(&opened, Some("test-back"))).await.unwrap(),
    ] {
        assert!(refused(&late), "{late:?}");
    }
    let w = cluster.fresh(&key).await.unwrap();
    assert!(standing(&w) && !w.promote_full, "{w:?}");
    assert!(
        cluster.open_pause(&key, Announced::after(&opened, Some("test-next")), 1).await.unwrap().is_applied()
    );
}

#[tokio::test]
async fn a_deployments_pause_and_resume_that_come_late_change_nothing() {
    let world = World::new("late-pause").await;
    let key = world.key_of(Kind::Deployment, "mailer");
    let good = world.deployment(&key, 3).await;
    let cluster = &world.cluster;
    let rolling = plan_by(json!({"rolling": {}}), 2);
    assert!(cluster.deploy(&key, &attempt("deploy"), &rolling, &good, RELEASE).await.unwrap().is_applied());
    let ids = [attempt("pause"), attempt("resume"), attempt("again")];
    let deployed = Some("test-deploy");
    assert!(cluster.pause(&key, Announced::after(&ids[0], deployed)).await.unwrap().is_applied());
    assert!(cluster.unpause(&key, Announced::after(&ids[1], Some("test-pause"))).await.unwrap().is_applied());
    let late = cluster.pause(&key, Announced::after(&ids[2], deployed)).await.unwrap();
    assert!(refused(&late), "{late:?}");
    let late = cluster.unpause(&key, Announced::after(&ids[2], Some("test-pause"))).await.unwrap();
    assert!(refused(&late), "{late:?}");
    let late = cluster.revert(&key, Announced::after(&ids[2], deployed), &good, false).await.unwrap();
    assert!(refused(&late), "{late:?}");
    let object = world.object(&key).await;
    assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["image"], json!(image(2)));
    assert_ne!(object["spec"]["paused"], json!(true));
}
