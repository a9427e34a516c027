//! A canary Rollout released by its own steps, which stay as they are: walked by its controller, watched by Tidegate.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{OLD, World, at_rest, people};
use model::release::State;
use model::workload::Workload;
use model::{Problem, Role};
use serde_json::{Value, json};
use std::time::Duration;

impl World {
    async fn spec(&self) -> Value {
        self.rollouts().await.get("web").await.unwrap().data["spec"].clone()
    }

    /// The Rollout `web` with these steps of its owner's.
    async fn owned(steps: Value) -> Self {
        let world = Self::new().await;
        world.own(steps).await;
        world
    }
}

/// To 20 %, a person, then to 60 % and on by itself.
fn steps() -> Value {
    json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "2s"}}])
}

fn weight(w: &Workload) -> Option<u8> {
    w.weights.map(|x| x.canary)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_steps_are_walked_and_its_pause_is_opened_by_a_person() {
    let world = World::owned(steps()).await;
    let before = world.spec().await["strategy"].clone();
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan_by("1.1.0", "{follow: {bake: 1s}}")).await;
    let waiting = replica.wait_state(id, State::Waiting).await;
    assert!(waiting.note.unwrap().contains("A release manager promotes it, to 100 %"));
    let w = world.cluster.workload(&world.key()).unwrap();
    assert_eq!((weight(&w), w.step_index), (Some(20), Some(1)));
    assert_eq!(world.spec().await["strategy"], before, "its own steps are untouched");

    let page = replica.control.release(&people.manager, id).await.unwrap().live;
    assert_eq!((page.weight, page.ceiling), (20, 20));
    let own: Vec<_> = page.steps.iter().map(|s| s.gates.last().unwrap().figure.as_str()).collect();
    assert_eq!(own, ["20 %, pause without end", "60 %, pause 2s"]);
    let refused = replica.control.promote(&people.on_call, id, None).await.unwrap_err();
    assert_eq!(refused.status, model::problem::Status::Forbidden, "{}", refused.detail);

    replica.control.promote(&people.manager, id, None).await.unwrap();
    let done = replica.wait_state(id, State::Succeeded).await;
    assert_eq!((done.passed.len(), done.waived.len()), (2, 1));
    let w = world.wait_workload("promoted", at_rest).await;
    assert_eq!((w.version().as_str(), &w.stable_hash), ("1.1.0", &done.canary_hash));
    let after = world.spec().await;
    assert_eq!((&after["strategy"], after["paused"].as_bool().unwrap_or(false)), (&before, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_names_who_opens_its_pause_and_a_rollback_there_leaves_everything_as_it_was() {
    let world = World::owned(steps()).await;
    let before = world.spec().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let gate = "{follow: {gates: [{approval: on-call}]}}";
    let id = replica.release(&people, &world.plan_by("1.1.0", gate)).await;
    let waiting = replica.wait_state(id, State::Waiting).await;
    assert_eq!(waiting.note.as_deref(), Some("Everything else passed. On-call opens the gate to 100 %."));
    let refused: Problem = replica.control.promote(&people.manager, id, None).await.unwrap_err();
    assert!(refused.detail.contains(Role::OnCall.words()), "{}", refused.detail);
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let w = world.wait_workload("back", at_rest).await;
    assert_eq!((w.images["app"].as_str(), weight(&w)), (OLD, Some(0)));
    let after = world.spec().await;
    assert_eq!((&after["strategy"], &after["template"]), (&before["strategy"], &before["template"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_stops_the_controller_on_its_way_and_a_rollback_from_there_takes_the_pause_off() {
    let own = json!([{"setWeight": 20}, {"pause": {"duration": "8s"}}, {"setWeight": 60}, {"pause": {"duration": "8s"}}]);
    let world = World::owned(own).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan_by("1.1.0", "{follow: {}}")).await;
    world
        .wait_workload("at 20 %", |w| w.in_flight() && weight(w) == Some(20) && w.step_index == Some(1))
        .await;
    replica.control.pause(&people.on_call, id, None).await.unwrap();
    let held = world.wait_workload("paused", |w| w.spec_paused && w.observed()).await;
    assert_eq!((weight(&held), held.step_index), (Some(20), Some(1)));
    replica.wait_state(id, State::Paused).await;
    // Longer than its own pause: by then the controller would have gone on.
    let (key, long) = (world.key(), Duration::from_secs(10));
    let over = world.cluster.wait_for(&key, long, |w| w.step_index != Some(1));
    assert!(over.await.is_none(), "it walked on");

    replica.control.resume(&people.on_call, id, None).await.unwrap();
    world.wait_workload("at 60 %", |w| !w.spec_paused && weight(w) == Some(60)).await;
    replica.control.pause(&people.on_call, id, None).await.unwrap();
    world.wait_workload("paused again", |w| w.spec_paused && w.observed()).await;
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    let w = world.wait_workload("back", at_rest).await;
    assert_eq!((w.images["app"].as_str(), weight(&w), w.spec_paused), (OLD, Some(0), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_canary_is_taken_back_at_its_pause() {
    let world = World::owned(steps()).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let plan = world.plan_by("1.1.0-errors-20pct", "{follow: {bake: 5m, gates: [analysis]}}");
    let plan = plan.replace("  workload:", "  analysis: {minRequests: 20, maxErrorPercent: 2}\n  workload:");
    let id = replica.release(&people, &plan).await;
    let back = replica.wait_state(id, State::RolledBack).await;
    assert!(back.reason.unwrap().contains("errors"), "the analysis said so");
    let w = world.wait_workload("back", at_rest).await;
    assert_eq!((w.images["app"].as_str(), w.step_count), (OLD, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analysis_of_its_own_that_fails_turns_the_release_back() {
    let own = json!([{"setWeight": 20}, {"analysis": {"templates": [{"templateName": "broken"}]}}, {"setWeight": 60}]);
    let world = World::new().await;
    let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"name": "broken", "namespace": world.namespace},
        "spec": {"metrics": [{"name": "errors", "count": 1, "failureCondition": "result[0] > 0",
            "provider": {"prometheus": {"address": world.sandbox.info.prometheus_url, "query": "vector(1)"}}}]}});
    world.sandbox.apply_yaml(&template.to_string()).await.unwrap();
    world.own(own).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan_by("1.1.0", "{follow: {}}")).await;
    let back = replica.wait_state(id, State::RolledBack).await;
    let why = back.reason.unwrap();
    assert!(why.contains("controller aborted the update") && why.contains("errors"), "{why}");
    let w = world.wait_workload("back", at_rest).await;
    assert_eq!((w.images["app"].as_str(), weight(&w)), (OLD, Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_that_no_pause_would_wait_for_are_refused() {
    let world = World::owned(json!([{"setWeight": 20}, {"pause": {"duration": "1s"}}])).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let plan = world.plan_by("1.1.0", "{follow: {bake: 5m}}");
    let created = replica.control.create_plan(&people.manager, &plan).await.unwrap();
    replica.approve(&people, created.id, &created.digest).await;
    let refused = replica.control.start(&people.manager, created.id, None).await.unwrap_err();
    assert!(refused.fields[0].message.contains("no pause without end"), "{refused:?}");
}
