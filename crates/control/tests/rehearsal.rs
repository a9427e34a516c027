//! No start without the rehearsal that a plan asks for, on the real controller.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{World, at_rest, people};
use model::release::State;
use model::{Problem, ReleaseId, Status};

const STEPS: &str = "[{weight: 50, bake: 1s}, {weight: 100}]";

fn required(plan: &str) -> String {
    plan.replace("  approvals:", "  rollback: {rehearsed: required}\n  approvals:")
}

fn refused(start: Result<ReleaseId, Problem>) -> String {
    let problem = start.unwrap_err();
    assert_eq!(problem.status, Status::Conflict, "{}", problem.detail);
    problem.detail
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_asks_for_it_starts_only_after_a_rehearsal_of_this_digest_on_this_stable_revision() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let control = &replica.control;
    let plan = |tag: &str| required(&world.plan(tag, STEPS));
    let first = control.create_plan(&people.manager, &plan("1.1.0")).await.unwrap();
    replica.approve(&people, first.id, &first.digest).await;
    let start = async |id| control.start(&people.manager, id, None).await;

    let words = refused(start(first.id).await);
    assert!(words.contains("rehearsed") && words.contains("/rehearsals"), "{words}");
    let page = control.plan(&people.manager, first.id).await.unwrap();
    assert!(page.rehearsal.required && page.rehearsal.last.is_none() && page.rehearsal.rehearse.allowed);
    assert_eq!(page.start.why_not, Some(words), "the page says beforehand what the start says");

    // Whoever may roll back may rehearse it; a viewer may not; nobody rehearses what was edited meanwhile.
    let viewer = control.rehearse(&people.viewer, first.id, None).await.unwrap_err();
    assert_eq!(viewer.status, Status::Forbidden);
    let other = model::Digest(format!("sha256:{}", "0".repeat(64)));
    let changed = control.rehearse(&people.on_call, first.id, Some(other)).await.unwrap_err();
    assert_eq!(changed.status, Status::Conflict);
    let before = world.cluster.fresh(&world.key()).await.unwrap();
    let digest = Some(first.digest.clone());
    let rehearsal = control.rehearse(&people.on_call, first.id, digest).await.unwrap();
    assert!(rehearsal.passed(), "{rehearsal:#?}");
    let after = world.cluster.fresh(&world.key()).await.unwrap();
    let own = before.step_count;
    assert_eq!((before.generation, before.attempt), (after.generation, after.attempt));
    let page = control.plan(&people.manager, first.id).await.unwrap();
    assert_eq!((page.rehearsal.last, page.rehearsal.stale), (Some(rehearsal), None));
    assert!(page.start.allowed, "{:?}", page.start);

    // An edit is another digest, and so another rollback to rehearse.
    let second = control.create_plan(&people.manager, &plan("1.2.0-draft")).await.unwrap();
    control.rehearse(&people.manager, second.id, None).await.unwrap();
    let renamed = plan("1.2.0-draft").replace("shop/web:1.2.0-draft", "shop/web:1.2.0");
    let second = control.edit_plan(&people.manager, second.id, Some(1), &renamed).await.unwrap();
    replica.approve(&people, second.id, &second.digest).await;
    let words = refused(start(second.id).await);
    assert!(words.contains("This version has not been."), "{words}");
    assert!(control.rehearse(&people.manager, second.id, None).await.unwrap().passed());

    // The first release makes another revision the stable one: the second plan's rehearsal was for the one before.
    let release = start(first.id).await.unwrap();
    let under_way = control.rehearse(&people.manager, first.id, None).await.unwrap_err();
    assert_eq!(under_way.status, Status::Conflict);
    replica.wait_state(release, State::Succeeded).await;
    // With its own steps again, which the release puts back after its end.
    let settled = |w: &model::workload::Workload| at_rest(w) && w.step_count == own;
    world.wait_workload("settled", settled).await;
    let words = refused(start(second.id).await);
    assert!(words.contains("no longer counts") && words.contains("the stable revision is"), "{words}");
    let page = control.plan(&people.manager, second.id).await.unwrap();
    assert!(page.rehearsal.stale.is_some() && !page.start.allowed);
    assert!(control.rehearse(&people.manager, second.id, None).await.unwrap().passed());
    let release = start(second.id).await.unwrap();
    replica.wait_state(release, State::Succeeded).await;

    let filter = model::view::AuditFilter::default();
    let page = control.audit(&people.viewer, filter).await.unwrap();
    let said: Vec<_> = page.rows.iter().filter(|e| e.event.action == "plan.rehearsed").collect();
    assert_eq!(said.len(), 4);
    assert_eq!(said[0].event.summary, "Rollback rehearsed: passed, about 2 s");
    assert!(control.verify_audit(&people.viewer).await.unwrap().ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_that_failed_last_keeps_the_release_from_starting() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let control = &replica.control;
    let text = required(&world.plan("1.1.0", STEPS));
    let text = text.replace("change: {", "change: {migrations: [0087_add_region.sql], ");
    let plan = control.create_plan(&people.manager, &text).await.unwrap();
    replica.approve(&people, plan.id, &plan.digest).await;
    let passed = control.rehearse(&people.manager, plan.id, None).await.unwrap();
    assert!(passed.passed());
    assert!(passed.findings.iter().any(|f| f.contains("0087_add_region.sql")), "{passed:#?}");

    // Somebody deploys past Tidegate: in mid flight there is no way back to write down.
    let rollouts = sandbox::rollouts(world.sandbox.admin().await.unwrap(), &world.namespace);
    let image = |tag: &str| {
        let value = format!("registry.example.com/shop/web:{tag}");
        let patch = serde_json::json!([
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": value}
        ]);
        kube::core::params::Patch::<()>::Json(serde_json::from_value(patch).unwrap())
    };
    rollouts.patch("web", &kube::api::PatchParams::default(), &image("1.0.1")).await.unwrap();
    world.wait_workload("in flight", |w| w.in_flight() && !w.pauses.is_empty()).await;
    let failed = control.rehearse(&people.manager, plan.id, None).await.unwrap();
    assert_eq!(failed.words(), "failed: Way back");
    rollouts.patch("web", &kube::api::PatchParams::default(), &image("1.0.0")).await.unwrap();
    world.wait_workload("back", at_rest).await;

    // The same revision is stable as when one passed; the one that failed since counts.
    let words = refused(control.start(&people.manager, plan.id, None).await);
    assert!(words.contains("The last rehearsal failed. Way back:"), "{words}");
    assert!(control.rehearse(&people.manager, plan.id, None).await.unwrap().passed());
    let release = control.start(&people.manager, plan.id, None).await.unwrap();
    replica.wait_state(release, State::Succeeded).await;
}
