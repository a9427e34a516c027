//! Releases on the real controller, from plan to end. Named after what must hold.

mod common;

use common::{OLD, World, at_rest, people};
use control::Decision;
use model::release::State;
use model::workload::Phase;
use model::{Problem, Status};

const STEPS: &str = "[{weight: 5, bake: 2s}, {weight: 50, bake: 2s}, {weight: 100}]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_plan_walks_its_steps_to_healthy_and_leaves_the_rollouts_own_steps() {
    let world = World::new().await;
    let before = world.template().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan("1.1.0", STEPS)).await;
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.passed.len(), 3);
    let w = world.wait_workload("healthy on 1.1.0", at_rest).await;
    assert_eq!(w.version(), "1.1.0");
    let after = world.template().await;
    assert_eq!(after.steps, before.steps, "the plan's steps were lent, not given");
    let verified = replica.control.verify_audit(&people.viewer).await.unwrap();
    assert!(verified.ok, "{verified:?}");
    assert!(verified.size > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_without_an_approval_of_exactly_this_digest_by_somebody_else() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let control = &replica.control;
    let plan = control.create_plan(&people.manager, &world.plan("1.1.0", STEPS)).await.unwrap();
    let status = |r: Result<model::ReleaseId, Problem>| r.unwrap_err().status;
    assert_eq!(status(control.start(&people.manager, plan.id, None).await), Status::Conflict);
    // The author has not the role; even with it, the plan is their own.
    let mut author = people.manager.clone();
    author.grants.extend(people.approver.grants.clone());
    let own = control.decide(&author, plan.id, &plan.digest, Decision::Approve, None).await.unwrap_err();
    assert_eq!(own.status, Status::Forbidden);
    replica.approve(&people, plan.id, &plan.digest).await;
    // An edit voids the approval, and the old digest can neither be approved nor started any more.
    let steps = "[{weight: 10, bake: 2s}, {weight: 100}]";
    let edited =
        control.edit_plan(&people.manager, plan.id, Some(1), &world.plan("1.1.0", steps)).await.unwrap();
    assert_eq!(edited.version, 2);
    let stale = control.decide(&people.approver, plan.id, &plan.digest, Decision::Approve, None).await;
    assert_eq!(stale.unwrap_err().status, Status::Conflict);
    assert_eq!(status(control.start(&people.manager, plan.id, None).await), Status::Conflict);
    assert_eq!(status(control.start(&people.viewer, plan.id, None).await), Status::Forbidden);
    let w = world.cluster.workload(&world.key()).unwrap();
    assert_eq!(w.images["app"], OLD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_approval_stops_the_next_step() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica
        .release(&people, &world.plan("1.1.0", "[{weight: 5, bake: 3s}, {weight: 50}, {weight: 100}]"))
        .await;
    let release = replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    replica.control.revoke(&people.approver, release.plan, None).await.unwrap();
    let release = replica.wait(id, "stopped", |r| matches!(r.state, State::Waiting | State::Paused)).await;
    assert_eq!(release.step, Some(0));
    let w = world.cluster.workload(&world.key()).unwrap();
    assert_eq!(w.canary_share(), 5);
    replica.control.abort(&people.on_call, id, Some("no approval".into())).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_press_in_flight_ends_at_the_known_good_revision() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 25, bake: 10m}, {weight: 100}]")).await;
    let release = replica.wait(id, "first step", |r| r.step_since.is_some()).await;
    let refused = replica.control.roll_back(&people.viewer, id, None).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);
    let receipt = replica.control.roll_back(&people.on_call, id, Some("3 a.m.".into())).await.unwrap();
    assert_eq!((receipt.to_version.as_str(), replica.accepted().await), ("1.0.0", 1));
    replica.wait_state(id, State::RolledBack).await;
    let w = world.wait_workload("good again", at_rest).await;
    assert_eq!(w.stable_hash.as_deref(), Some(release.known_good.hash.as_str()));
    assert_eq!(w.images["app"], OLD);
    assert_eq!(w.canary_share(), 0);
    let again = replica.control.roll_back(&people.on_call, id, None).await.unwrap_err();
    assert_eq!(again.status, Status::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_canary_goes_back_by_itself_and_its_weight_never_rose_after_the_verdict() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps =
        "[{weight: 20, bake: 60s, gates: [analysis]}, {weight: 50, gates: [analysis]}, {weight: 100}]";
    let id = replica.release(&people, &world.plan("1.1.0-errors-20pct", steps)).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert_eq!(release.step, Some(0), "it never left the first step");
    let class = release.verdict.as_ref().map(|v| v.class);
    assert_eq!(class, Some(model::verdict::Class::Fail));
    let w = world.wait_workload("good again", at_rest).await;
    assert_eq!(w.images["app"], OLD);
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert!(page.timeline.iter().any(|e| e.action == "release.verdict"), "the history says why");
    assert!(!page.samples.is_empty(), "the samples it was decided on are kept");
    assert!(page.samples.iter().all(|s| s.latency.is_none()), "histograms are not sent to pages");
    let stored =
        (world.db.store.samples(id, None, 1000).await.unwrap(), world.db.store.verdicts(id).await.unwrap());
    let again = judge::replay(&stored.0, &stored.1, |verdict| verdict);
    assert!(!again.is_empty() && again.iter().all(|found| *found == judge::Replayed::Same), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_carries_on_when_the_first_dies_and_no_step_is_opened_twice() {
    let world = World::new().await;
    let first = world.replica("first");
    let people = people(&first.control).await;
    let id = first
        .release(
            &people,
            &world.plan("1.1.0", "[{weight: 10, bake: 8s}, {weight: 50, bake: 1s}, {weight: 100}]"),
        )
        .await;
    first.wait(id, "first step", |r| r.step_since.is_some()).await;
    let second = world.replica("second");
    first.kill();
    let release = second.wait_state(id, State::Succeeded).await;
    let happened = |effect: &str| {
        let events = second.control.release_events(&people.viewer, id, model::Seq(0), 1000);
        let effect = effect.to_owned();
        async move { events.await.unwrap().iter().filter(|e| e.event.action == effect).count() }
    };
    assert_eq!(happened("release.deployed").await, 1);
    assert_eq!(happened("release.step.reached").await, 2);
    assert_eq!(release.passed.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_release_is_taken_back_in_one_press_without_walking_the_steps() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 50, bake: 1s}, {weight: 100}]")).await;
    replica.wait_state(id, State::Succeeded).await;
    let before = world.template().await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    let w = world.wait_workload("good again", at_rest).await;
    assert_eq!(w.images["app"], OLD);
    let after = world.template().await;
    assert_eq!(after.steps, before.steps);
    // The workload is free again: the next release may start.
    let next =
        replica.release(&people, &world.plan("1.2.0", "[{weight: 50, bake: 1s}, {weight: 100}]")).await;
    replica.wait_state(next, State::Succeeded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_workload_goes_back_without_a_release_of_ours() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    // Somebody deploys past Tidegate, and it stands at the Rollout's own first pause.
    let rollouts = sandbox::rollouts(world.sandbox.admin().await.unwrap(), &world.namespace);
    let patch = serde_json::json!([
        {"op": "replace", "path": "/spec/template/spec/containers/0/image",
         "value": "registry.example.com/shop/web:1.1.0"}
    ]);
    let patch: kube::core::params::Patch<()> =
        kube::core::params::Patch::Json(serde_json::from_value(patch).unwrap());
    rollouts.patch("web", &kube::api::PatchParams::default(), &patch).await.unwrap();
    world.wait_workload("in flight", |w| w.in_flight() && w.phase == Phase::Paused).await;
    let refused =
        replica.control.roll_back_workload(&people.viewer, &world.key(), None, None).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);
    let receipt =
        replica.control.roll_back_workload(&people.on_call, &world.key(), None, None).await.unwrap();
    assert!(receipt.release.is_none());
    let w = world.wait_workload("good again", at_rest).await;
    assert_eq!((w.images["app"].as_str(), w.canary_share()), (OLD, 0));
    assert_eq!(replica.accepted().await, 1);
}
