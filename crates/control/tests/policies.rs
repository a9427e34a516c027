//! Rollback policies, read from a real cluster, on real metrics: what fires, what is done about it, once, and what people may
//! still say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod common;

use common::{DEADLINE, Replica, World, people};
use control::PolicyChange;
use model::problem::Status;
use model::release::{Release, State};
use model::view::{FileState, PoliciesPage, PolicyFileView};
use model::{Actor, ReleaseId};
use std::time::Duration;

const STEPS: &str = "[{weight: 20, bake: 10m}, {weight: 100}]";
const FAULTY: &str = "1.1.0-errors-20pct";

/// With the triggers and actions of the paper, in seconds.
fn policy(delay: &str) -> String {
    format!(
        "# Ours.\nrollback_triggers: {{error_rate_threshold: 0.05, response_time_p95_ms: 5000, pod_restart_rate: 0.5}}\n\
         rollback_conditions: {{min_observation_time: 1s, confirmation_samples: 2, min_requests: 10}}\n\
         rollback_actions:\n  - {{type: pause_rollout, immediate: true}}\n  - {{type: notify_oncall, channels: [slack]}}\n  \
         - {{type: automatic_rollback, delay: {delay}}}\n  - {{type: incident_creation, severity: high, auto_assign: true}}\n\
         circuit_breaker: {{rollbacks: 1, window: 1h}}\n"
    )
}

struct Watched {
    world: World,
    replica: Replica,
    people: common::People,
}

impl Watched {
    async fn new() -> Self {
        let world = World::new().await;
        let replica = world.replica("a");
        let people = people(&replica.control).await;
        Self { world, replica, people }
    }

    /// By `kubectl`, past Tidegate.
    async fn applied(&self, text: &str) {
        let map = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "rollback-policies", "namespace": self.world.namespace},
            "data": {"policies.yaml": text},
        });
        self.world.sandbox.apply_yaml(&map.to_string()).await.unwrap();
    }

    async fn page(&self) -> PoliciesPage {
        self.replica.control.policies_page(&self.people.viewer).await.unwrap()
    }

    /// The file of the namespace, once it is as wanted.
    async fn file(&self, what: &str, is: impl Fn(&PolicyFileView) -> bool) -> PolicyFileView {
        let mut heard = self.replica.control.subscribe();
        let found = async {
            loop {
                let page = self.page().await;
                let own = page.files.into_iter().find(|f| f.namespace == self.world.namespace);
                if let Some(file) = own.filter(|f| is(f)) {
                    return file;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    async fn in_force(&self, delay: &str) -> PolicyFileView {
        let text = policy(delay);
        self.applied(&text).await;
        self.file("in force", |f| f.text == text && f.policies.len() == 1).await
    }

    async fn started(&self, tag: &str) -> ReleaseId {
        self.replica.release(&self.people, &self.world.plan(tag, STEPS)).await
    }

    async fn change(&self, actor: &Actor, after: Option<i64>, text: &str) -> Result<(), model::Problem> {
        let change = PolicyChange {
            cluster: "demo".into(),
            namespace: self.world.namespace.clone(),
            after,
            text: text.into(),
            reason: Some("on-call asked".into()),
        };
        self.replica.control.change_policies(actor, change).await
    }

    async fn fired(&self, id: ReleaseId) -> Release {
        self.replica.wait(id, "held by the policy", |r| r.hold.is_some()).await
    }

    async fn events(&self, id: ReleaseId) -> Vec<String> {
        let all = self.world.db.store.release_events(id, model::Seq(0), 1000).await.unwrap();
        all.into_iter().map(|e| e.event.action).filter(|a| a.starts_with("policy.")).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_holds_tells_counts_down_rolls_back_and_opens_an_incident_each_once() {
    let w = Watched::new().await;
    w.in_force("4s").await;
    let id = w.started(FAULTY).await;
    let held = w.fired(id).await;
    assert_eq!(held.hold.as_ref().map(|h| h.by.as_str()), Some("policy default"));
    // A second replica, as after a crash: it does what is left, and nothing again.
    let other = w.world.replica("b");
    let back = w.replica.wait_state(id, State::RolledBack).await;
    assert!(back.by_itself);
    assert!(back.reason.as_ref().unwrap().starts_with("Rolled back by policy default: errors "), "{back:?}");
    let done = async {
        let mut heard = w.replica.control.subscribe();
        while !w.events(id).await.iter().any(|a| a == "policy.ended") {
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, done).await.unwrap();
    drop(other);
    let mut events = w.events(id).await;
    events.sort();
    assert_eq!(
        events,
        [
            "policy.ended",
            "policy.fired",
            "policy.held",
            "policy.incident",
            "policy.rolled-back",
            "policy.told"
        ]
    );
    let page = w.replica.control.release(&w.people.viewer, id).await.unwrap();
    let watch = page.live.policy.unwrap();
    let firing = watch.firing.unwrap();
    assert!(firing.actions.iter().all(|a| a.at.is_some()), "{firing:?}");
    assert_eq!(firing.actions[1].words, "Nobody was told: no destination of Slack is set up.");
    assert_eq!((firing.stop, firing.rolls_back_at), (None, None));
    let turned = back.turned_back.unwrap() - firing.at;
    assert!(turned >= chrono::TimeDelta::seconds(4), "after its delay: {turned}");

    // The breaker: one rollback by itself is enough here.
    let key = w.world.key();
    let plan = w.replica.control.create_plan(&w.people.manager, &w.world.plan("1.2.0", STEPS)).await.unwrap();
    w.replica.approve(&w.people, plan.id, &plan.digest).await;
    let refused = w.replica.control.start(&w.people.manager, plan.id, None).await.unwrap_err();
    assert_eq!(refused.status, Status::Conflict);
    assert!(refused.detail.contains("until somebody has looked"), "{refused}");
    let service = w.replica.control.service(&w.people.on_call, &key).await.unwrap();
    assert_eq!(service.breaker.unwrap().releases.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id]);
    let lift = async |who, why: Option<&str>| {
        w.replica.control.lift_breaker(who, &key, why.map(str::to_owned)).await.map_err(|p| p.status)
    };
    assert_eq!(lift(&w.people.viewer, Some("seen")).await, Err(Status::Forbidden));
    assert_eq!(lift(&w.people.on_call, None).await, Err(Status::Invalid));
    assert_eq!(lift(&w.people.on_call, Some("a bad image")).await, Ok(()));
    assert_eq!(lift(&w.people.on_call, Some("again")).await, Err(Status::Conflict));
    w.replica.control.start(&w.people.manager, plan.id, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_call_may_stop_the_countdown_and_nothing_rises_before() {
    let w = Watched::new().await;
    w.in_force("20m").await;
    let id = w.started(FAULTY).await;
    w.fired(id).await;
    let control = &w.replica.control;
    let page = control.release(&w.people.on_call, id).await.unwrap();
    let firing = page.live.policy.unwrap().firing.unwrap();
    assert_eq!(firing.rolls_back_at, Some(firing.at + chrono::TimeDelta::minutes(20)));
    assert!(firing.stop.unwrap().allowed && !page.live.resume.allowed);
    let status = |r: Result<(), model::Problem>| r.map_err(|p| p.status);
    let resumed = control.resume(&w.people.on_call, id, None).await;
    assert_eq!(status(resumed), Err(Status::Conflict), "the policy is stopped first, with a reason");
    let stop =
        async |who, why: Option<&str>| status(control.stop_policy(who, id, why.map(str::to_owned)).await);
    assert_eq!(stop(&w.people.viewer, Some("fine")).await, Err(Status::Forbidden));
    assert_eq!(stop(&w.people.on_call, None).await, Err(Status::Invalid));
    assert_eq!(stop(&w.people.on_call, Some("a load test")).await, Ok(()));
    assert_eq!(stop(&w.people.on_call, Some("twice")).await, Err(Status::Conflict));
    let page = control.release(&w.people.viewer, id).await.unwrap();
    let stopped = page.live.policy.unwrap().firing.unwrap().stopped.unwrap();
    assert_eq!((stopped.0.as_str(), stopped.2.as_deref()), ("Jun", Some("a load test")));
    assert_eq!(page.live.state, State::Paused, "it stays held until somebody resumes it");
    control.resume(&w.people.on_call, id, None).await.unwrap();
    w.replica.wait(id, "on its way", |r| r.hold.is_none()).await;
    control.roll_back(&w.people.on_call, id, None).await.unwrap();
    let back = w.replica.wait_state(id, State::RolledBack).await;
    assert!(!back.by_itself, "a person pressed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_live_and_written_only_over_what_was_read() {
    let w = Watched::new().await;
    let first = w.in_force("5m").await;
    assert_eq!(first.state, FileState::ChangedOutside);
    assert_eq!(first.policies[0].used_by, 1, "the Rollout of this namespace");
    // A typing error past Tidegate: told at its field, and what was in force stays.
    w.applied(&policy("10 parsecs")).await;
    let faulty = w.file("faulty", |f| f.state == FileState::Faulty).await;
    assert_eq!(faulty.faults[0].field, "rollback_actions[2].delay");
    assert_eq!(faulty.policies, first.policies);

    let manager = &w.people.manager;
    let refused = async |actor: &Actor, after, text: &str| w.change(actor, after, text).await.unwrap_err();
    let at = Some(faulty.id);
    assert_eq!(refused(&w.people.on_call, at, &policy("6m")).await.status, Status::Forbidden);
    assert_eq!(refused(manager, Some(first.id), &policy("6m")).await.status, Status::Conflict);
    for (text, field) in [
        (policy("31m"), "rollback_actions[2].delay"),
        (policy("6m").replace("error_rate_threshold", "error_rates"), "rollback_triggers.error_rates"),
        (
            policy("6m").replace("pod_restart_rate: 0.5", "queries: [{name: q, query: 'sum(', above: 1}]"),
            "rollback_triggers.queries[0].query",
        ),
    ] {
        let problem = refused(manager, at, &text).await;
        let fields: Vec<_> = problem.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!((problem.status, &fields[..]), (Status::Invalid, &[field][..]), "{problem:?}");
    }
    let untouched = w.file("as it was", |_| true).await;
    assert_eq!((untouched.id, &untouched.text), (faulty.id, &faulty.text));

    w.change(manager, at, &policy("6m")).await.unwrap();
    let ours = w.file("ours", |f| f.state == FileState::InForce).await;
    assert_eq!((ours.text, ours.history[0].by.as_str()), (policy("6m"), "Mara"));
    // What the cluster holds is what was written, comments and all, and it is not taken for a stranger's.
    let live = async {
        let mut files = w.world.cluster.files(model::Book::Policies);
        let is = |files: &cluster::LiveFiles| {
            let own = files.as_ref().and_then(|all| all.get(&w.world.namespace));
            own.is_some_and(|f| f.text.as_deref() == Some(&policy("6m")))
        };
        files.wait_for(is).await.unwrap();
    };
    tokio::time::timeout(DEADLINE, live).await.unwrap();
    // A release keeps the policy that it started under.
    let id = w.started("1.1.0").await;
    w.in_force("7m").await;
    let release = w.replica.wait(id, "watched", |r| r.policy.is_some()).await;
    assert_eq!(release.policy.map(|p| p.file), Some(ours.id));
}
