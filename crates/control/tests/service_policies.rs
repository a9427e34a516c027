//! Policies that watch services between releases, on a real cluster and real metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod common;

use common::{DEADLINE, Replica, World, people};
use kube::api::{Patch, PatchParams};
use model::AttemptId;
use model::problem::Status;
use model::view::{FiringView, PolicyWatch};
use model::workload::{Phase, Workload};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const FAULTY: &str = "1.1.0-errors-20pct";
/// A version is on record after half a minute, a policy wants its readings, and this machine is shared.
const LONG: Duration = Duration::from_secs(150);

fn policy(delay: &str, watch: &str) -> String {
    format!(
        "rollback_triggers: {{error_rate_threshold: 0.05}}\n\
         rollback_conditions: {{confirmation_samples: 2, min_requests: 10}}\n\
         rollback_actions:\n  - {{type: pause_rollout}}\n  - {{type: notify_oncall, channels: [slack]}}\n  \
         - {{type: automatic_rollback, delay: {delay}}}\n  - {{type: incident_creation, severity: high}}\n\
         service_watch: {watch}\n"
    )
}

struct Watched {
    world: World,
    replica: Replica,
    people: common::People,
}

impl Watched {
    /// A service whose first version is on record, and whose second one fails, deployed past Tidegate.
    async fn broken(text: &str) -> Self {
        let world = World::new().await;
        let replica = world.replica("a");
        let people = people(&replica.control).await;
        let w = Self { world, replica, people };
        w.applied(text).await;
        let key = w.world.key();
        let mut heard = w.replica.control.subscribe();
        let recorded = async {
            while w.world.db.store.known_good(&key).await.unwrap().is_none() {
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        tokio::time::timeout(LONG, recorded).await.expect("the first version is on record");
        let image = json!([{"name": "app", "image": format!("registry.example.com/shop/web:{FAULTY}")}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": image}}}});
        let all = w.world.rollouts().await;
        all.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        w.world.wait_workload("in flight", |w: &Workload| w.version() == FAULTY && w.in_flight()).await;
        let promoted = w.world.cluster.promote_full(&key, &AttemptId("test".into()), None).await.unwrap();
        assert!(promoted.is_applied(), "{promoted:?}");
        w.on(FAULTY).await;
        w
    }

    async fn on(&self, version: &str) -> Arc<Workload> {
        let is = |w: &Workload| {
            w.version() == version && w.phase == Phase::Healthy && w.observed() && !w.in_flight()
        };
        self.world.wait_workload(&format!("on {version} alone"), is).await
    }

    async fn applied(&self, text: &str) {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "rollback-policies", "namespace": self.world.namespace},
            "data": {"policies.yaml": text},
        });
        self.world.sandbox.apply_yaml(&map.to_string()).await.unwrap();
    }

    async fn watch(&self) -> Option<PolicyWatch> {
        self.replica.control.policy_of_service(&self.people.viewer, &self.world.key()).await.unwrap()
    }

    async fn firing(&self, what: &str, is: impl Fn(&FiringView) -> bool) -> FiringView {
        let mut heard = self.replica.control.subscribe();
        let found = async {
            loop {
                if let Some(firing) = self.watch().await.and_then(|w| w.firing).filter(|f| is(f)) {
                    return firing;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        tokio::time::timeout(LONG, found).await.unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    async fn events(&self) -> Vec<String> {
        let all = self.world.db.store.events(&model::view::AuditFilter::default(), 1000).await.unwrap();
        // The cluster is shared with other tests, and a policy beside Tidegate would watch all of it.
        let own = all.into_iter().filter(|e| e.event.detail.to_string().contains(&self.world.namespace));
        let mut actions: Vec<_> = own.map(|e| e.event.action).collect();
        actions.retain(|a| a.starts_with("policy.") && a != "policy.changed" || a == "rollback.accepted");
        actions.sort();
        actions
    }

    async fn until(&self, event: &str) {
        let mut heard = self.replica.control.subscribe();
        let seen = async {
            while !self.events().await.iter().any(|a| a == event) {
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.unwrap_or_else(|_| panic!("no {event}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_fails_between_releases_is_told_of_and_rolled_back_once() {
    let w = Watched::broken(&policy("2s", "{rollback_within: 1h}")).await;
    let other = w.world.replica("b");
    let firing = w.firing("rolled back", |f| f.actions[2].at.is_some()).await;
    assert!(firing.words.starts_with("errors "), "{firing:?}");
    let words: Vec<_> = firing.actions.iter().map(|a| a.words.as_str()).collect();
    assert_eq!(words[0], "Nothing is under way that could be held.");
    assert_eq!(words[1], "Nobody was told: no destination of Slack is set up.");
    let good = w.on("1.0.0").await;
    assert_eq!(words[2], format!("Rolled back to {}.", good.version()));
    w.firing("incident open", |f| f.actions[3].at.is_some()).await;

    // What it would have done is read from what Prometheus still has.
    let text = policy("2s", "{}");
    let place = ("demo".to_owned(), w.world.namespace.clone());
    let runs = w.replica.control.try_policies(&w.people.viewer, &text, 1, Some(place)).await.unwrap();
    let past = runs[0].services.as_ref().unwrap();
    assert_eq!((past.seen, past.left, past.fired.len()), (1, 0, 1), "{past:?}");
    assert_eq!(past.fired[0].workload, w.world.key());
    let apart = (past.fired[0].at - firing.at).abs();
    assert!(apart < chrono::TimeDelta::seconds(60), "about when it did fire: {apart}");

    // A file that no longer watches services ends the matter.
    w.applied(&policy("2s", "{enabled: false}")).await;
    w.until("policy.ended").await;
    // And so the incident is only watched from then on; a person says that it is over.
    let filter =
        store::IncidentFilter { state: Some(model::incident::State::Watching), ..Default::default() };
    let mut heard = w.replica.control.subscribe();
    let watched = async {
        loop {
            let all = w.world.db.store.incidents(&filter, 50).await.unwrap();
            if all.iter().any(|i| i.workload.as_ref() == Some(&w.world.key())) {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, watched).await.expect("the incident is watched");
    drop(other);
    assert_eq!(
        w.events().await,
        [
            "policy.ended",
            "policy.fired",
            "policy.held",
            "policy.incident",
            "policy.rolled-back",
            "policy.told",
            "rollback.accepted"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_call_stops_a_countdown_with_a_reason_and_the_version_stays() {
    let w = Watched::broken(&policy("10m", "{rollback_within: 1h}")).await;
    let firing = w.firing("counts down", |f| f.rolls_back_at.is_some()).await;
    assert!(firing.stop.is_some(), "{firing:?}");
    let key = w.world.key();
    let control = &w.replica.control;
    let refused = control.stop_service_policy(&w.people.viewer, &key, Some("no".into())).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);
    let refused = control.stop_service_policy(&w.people.on_call, &key, None).await.unwrap_err();
    assert_eq!(refused.fields[0].field, "reason");
    control.stop_service_policy(&w.people.on_call, &key, Some("a load test".into())).await.unwrap();
    let stopped = w.firing("stopped", |f| f.stopped.is_some()).await;
    assert_eq!(stopped.stopped.unwrap().2.as_deref(), Some("a load test"));
    assert_eq!((stopped.stop, stopped.rolls_back_at), (None, None));
    let again = control.stop_service_policy(&w.people.on_call, &key, Some("again".into())).await.unwrap_err();
    assert_eq!(again.status, Status::Conflict);
    w.on(FAULTY).await;
}
