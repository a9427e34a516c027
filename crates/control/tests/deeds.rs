//! What people do beside a release's own course: promote it to the end, start it again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, OLD, World, at_rest, people};
use model::release::State;
use model::workload::Phase;
use model::{Problem, Status};
use std::collections::BTreeSet;

fn refused<T: std::fmt::Debug>(r: Result<T, Problem>) -> (Status, String) {
    let problem = r.unwrap_err();
    let fields = problem.fields.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join(" ");
    (problem.status, format!("{} {fields}", problem.detail))
}

impl World {
    /// UIDs of the pods of `web`.
    async fn pods(&self) -> BTreeSet<String> {
        let client = self.sandbox.admin().await.unwrap();
        let pod = kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Pod"));
        let pods: kube::Api<kube::api::DynamicObject> =
            kube::Api::namespaced_with(client, &self.namespace, &pod);
        let all = pods.list(&kube::api::ListParams::default()).await.unwrap();
        all.items.into_iter().filter_map(|p| p.metadata.uid).collect()
    }

    /// The users' requests that were answered so, since the beginning.
    async fn answered(&self, code: u16) -> f64 {
        let query = format!(
            "sum(max_over_time(http_requests_total{{namespace=\"{}\",service=\"web\",code=\"{code}\"}}[30m]))",
            self.namespace
        );
        let prometheus = cluster::Prometheus::new(&self.sandbox.info.prometheus_url).unwrap();
        let series = prometheus.query(&query, chrono::Utc::now()).await.unwrap();
        series.first().and_then(|s| s.value).unwrap_or(0.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_replaces_every_pod_by_one_of_the_same_version_and_users_meet_somebody() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let (control, key) = (&replica.control, world.key());
    let before = world.pods().await;
    let hash = world.cluster.workload(&key).unwrap().stable_hash.clone();
    assert_eq!(refused(control.restart(&people.approver, &key, None).await).0, Status::Forbidden);
    let page = control.service(&people.on_call, &key).await.unwrap();
    assert!(
        page.restart.allowed && page.restart_does[0].starts_with("The 4 pods of 1.0.0"),
        "{:?}",
        page.restart_does
    );
    control.restart(&people.on_call, &key, Some("a leak".into())).await.unwrap();
    let done = |w: &model::workload::Workload| {
        w.attempt.is_some() && w.restarting.is_none() && w.phase == Phase::Healthy && w.ready == 4
    };
    world.wait_workload("restarted", done).await;
    let after = world.pods().await;
    assert!(before.len() == 4 && after.is_disjoint(&before), "{before:?} {after:?}");
    let w = world.cluster.workload(&key).unwrap();
    assert_eq!((w.stable_hash.clone(), w.images["app"].as_str()), (hash, OLD), "no new version");
    let users = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(500));
        while world.answered(200).await <= 0.0 {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, users).await.is_ok(), "there are no users");
    assert!(world.answered(503).await < 1.0, "users who met nobody");

    // Not beside a release.
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 5, bake: 10m}, {weight: 100}]")).await;
    replica.wait(id, "baking", |r| r.step_since.is_some()).await;
    let (status, words) = refused(control.restart(&people.on_call, &key, None).await);
    assert_eq!(status, Status::Conflict);
    assert!(words.contains(&format!("Release {id} is under way")), "{words}");
    control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
    let events = control.audit(&people.viewer, Default::default()).await.unwrap();
    let told: Vec<_> =
        events.rows.iter().filter(|e| e.event.action.starts_with("workload.restart")).collect();
    assert_eq!(told.len(), 2, "announced, and taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promoted_fully_it_walks_every_weight_without_waiting() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps = "[{weight: 5, bake: 10m}, {weight: 25, bake: 10m, gates: [analysis]}, {weight: 50, bake: 10m}, \
                 {weight: 100, bake: 10m}]";
    let id = replica.release(&people, &world.plan("1.1.0", steps)).await;
    replica.wait(id, "baking", |r| r.step_since.is_some()).await;
    let viewer = refused(replica.control.promote_full(&people.viewer, id, None).await);
    assert_eq!(viewer.0, Status::Forbidden);
    assert!(replica.control.release(&people.manager, id).await.unwrap().live.promote_full.allowed);
    replica.control.promote_full(&people.manager, id, Some("seen enough".into())).await.unwrap();
    let done = replica.wait_state(id, State::Succeeded).await;
    assert_eq!((done.passed.len(), done.waived.len()), (4, 4));
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    let told = page.timeline.iter().find(|t| t.action == "release.promoted.fully").unwrap();
    assert!(told.summary.contains("Promoted past 5 % and all steps after it"), "{}", told.summary);
    let raised = page.timeline.iter().filter(|t| t.action == "release.weight.raised").count();
    assert_eq!(raised, 4, "one weight after the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_promotes_past_an_approval_gate_that_is_still_to_come() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let steps =
        "[{weight: 5, bake: 10m}, {weight: 50, gates: [{approval: on-call}]}, {weight: 100, bake: 10m}]";
    let id = replica.release(&people, &world.plan("1.1.0", steps)).await;
    replica.wait(id, "baking", |r| r.step_since.is_some()).await;
    let (status, words) = refused(replica.control.promote_full(&people.manager, id, None).await);
    assert_eq!(status, Status::Conflict);
    assert!(words.contains("An approval gate stands at 50 %, and nobody passes it over"), "{words}");
    let page = replica.control.release(&people.manager, id).await.unwrap();
    assert!(!page.live.promote_full.allowed && page.live.promote.allowed);

    // Once it is open, and on the last step, there is nothing to promote fully.
    replica.control.promote(&people.manager, id, None).await.unwrap();
    replica.wait(id, "at the gate", |r| r.step == Some(1) && r.step_since.is_some()).await;
    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    replica.wait(id, "at the last step", |r| r.step == Some(2) && r.step_since.is_some()).await;
    let (_, words) = refused(replica.control.promote_full(&people.manager, id, None).await);
    assert!(words.contains("This is the last step"), "{words}");
    replica.control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rolled_back_comes_again_only_for_a_reason_and_with_its_approvals() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let control = &replica.control;
    let id = replica.release(&people, &world.plan("1.1.0", "[{weight: 5, bake: 10m}, {weight: 100}]")).await;
    let first = replica.wait(id, "baking", |r| r.step_since.is_some()).await;
    let (_, words) = refused(control.retry(&people.manager, id, None).await);
    assert!(words.contains("has not ended yet"), "{words}");
    control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    world.wait_workload("at rest", at_rest).await;

    let (status, words) = refused(control.start(&people.manager, first.plan, None).await);
    assert_eq!(status, Status::Conflict);
    assert!(words.contains(&format!("Release {id} of exactly this plan was rolled back")), "{words}");
    let (status, words) = refused(control.retry(&people.manager, id, None).await);
    assert_eq!(status, Status::Invalid);
    assert!(words.contains("Say why"), "{words}");
    assert_eq!(refused(control.retry(&people.on_call, id, Some("x".into())).await).0, Status::Forbidden);
    let page = control.release(&people.manager, id).await.unwrap();
    let retry = page.live.retry.unwrap();
    assert!(retry.deed.allowed && retry.needs_reason, "{retry:?}");
    assert_eq!(world.cluster.workload(&world.key()).unwrap().images["app"], OLD);

    control.revoke(&people.approver, first.plan, None).await.unwrap();
    let why = || Some("the database was at fault".to_owned());
    let (status, words) = refused(control.retry(&people.manager, id, why()).await);
    assert_eq!(status, Status::Conflict);
    assert!(words.contains("Needs 1 more approval"), "{words}");
    replica.approve(&people, first.plan, &first.digest).await;
    let again = control.retry(&people.manager, id, why()).await.unwrap();
    let second = replica.wait(again, "baking", |r| r.step_since.is_some()).await;
    assert_eq!((second.digest, second.plan), (first.digest, first.plan));
    let page = control.release(&people.viewer, again).await.unwrap();
    let told = page.timeline.iter().find(|t| t.action == "release.started").unwrap();
    assert!(told.summary.contains(&format!("Release {id} of web 1.1.0 retried")), "{}", told.summary);
    assert_eq!(told.reason.as_deref(), Some("the database was at fault"));
    control.abort(&people.on_call, again, None).await.unwrap();
    replica.wait_state(again, State::Cancelled).await;
}
