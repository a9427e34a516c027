//! Versions that carried all traffic are on record, however they were deployed, and a rollback leads to none else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{DEADLINE, People, Replica, World, people};
use control::Clock;
use kube::core::params::Patch;
use model::release::KnownGood;
use model::rollback::{Call, Pace};
use model::workload::{Key, Kind, Phase, Workload};
use model::{AttemptId, Status};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::Store;
use store::test_support::own_server;

/// The present, and as many seconds more as a test wants to have passed.
#[derive(Clone, Default)]
struct Skipped(Arc<AtomicI64>);

impl Skipped {
    fn clock(&self) -> Clock {
        let skipped = self.0.clone();
        Arc::new(move || -> DateTime<Utc> {
            Utc::now() + TimeDelta::seconds(skipped.load(Ordering::Relaxed))
        })
    }

    fn skip(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// A workload that is deployed past Tidegate, and a replica that looks on.
struct Past {
    world: World,
    time: Skipped,
    store: Store,
    replica: Replica,
    people: People,
}

impl Past {
    async fn new() -> Self {
        let world = World::new().await;
        let store = world.db.store.clone();
        Self::on(world, store).await
    }

    async fn on(world: World, store: Store) -> Self {
        let time = Skipped::default();
        let replica = world.replica_with("a", store.clone(), time.clock());
        let people = people(&replica.control).await;
        let past = Self { world, time, store, replica, people };
        past.known_good("1.0.0").await;
        past
    }

    async fn patch(&self, patch: Value) {
        let rollouts = sandbox::rollouts(self.world.sandbox.admin().await.unwrap(), &self.world.namespace);
        rollouts.patch("web", &kube::api::PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Up to the first pause of the Rollout's own steps.
    async fn begun(&self, version: &str) -> Arc<Workload> {
        let image = format!("registry.example.com/shop/web:{version}");
        let containers = json!([{"name": "app", "image": image}]);
        self.patch(json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
        let is = |w: &Workload| w.version() == version && w.phase == Phase::Paused && w.in_flight();
        self.world.wait_workload("at its first pause", is).await
    }

    /// Nothing is left of a version that was replaced, and not for half a minute either.
    async fn keeps_no_history(&self) {
        let at_once = json!({"canary": {"scaleDownDelaySeconds": 1}});
        self.patch(json!({"spec": {"revisionHistoryLimit": 0, "strategy": at_once}})).await;
    }

    async fn forgotten(&self, hash: &str) {
        let gone = |w: &Workload| w.revision(hash).is_none();
        self.world.wait_workload("its ReplicaSet gone", gone).await;
    }

    async fn deployed(&self, version: &str) -> Arc<Workload> {
        self.begun(version).await;
        let skip = AttemptId("test".into());
        let promoted = self.world.cluster.promote_full(&self.world.key(), &skip, None).await.unwrap();
        assert!(promoted.is_applied(), "{promoted:?}");
        self.home(version).await
    }

    async fn home(&self, version: &str) -> Arc<Workload> {
        let is = |w: &Workload| {
            w.version() == version && w.phase == Phase::Healthy && w.observed() && !w.in_flight()
        };
        self.world.wait_workload(&format!("on {version} alone"), is).await
    }

    /// Lets time pass until the version is on record.
    async fn known_good(&self, version: &str) {
        self.known_good_of(&self.world.key(), version).await;
    }

    /// A Deployment that keeps so many old ReplicaSets.
    async fn mailer(&self, version: &str, history: u32) {
        let image = format!("registry.example.com/shop/mailer:{version}");
        let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "mailer", "namespace": self.world.namespace, "labels": {"app": "mailer"}},
            "spec": {"replicas": 2, "revisionHistoryLimit": history, "selector": {"matchLabels": {"app": "mailer"}},
                "template": {"metadata": {"labels": {"app": "mailer"}},
                    "spec": {"containers": [{"name": "app", "image": image}]}}}});
        self.world.sandbox.apply_yaml(&manifest.to_string()).await.unwrap();
    }

    /// As `kubectl rollout restart` does it.
    async fn mailer_restarted_elsewhere(&self) {
        let client = self.world.sandbox.admin().await.unwrap();
        let kind = kube::core::GroupVersionKind::gvk("apps", "v1", "Deployment");
        let kind = kube::api::ApiResource::from_gvk(&kind);
        let all: kube::Api<kube::api::DynamicObject> =
            kube::Api::namespaced_with(client, &self.world.namespace, &kind);
        let mark = json!({"kubectl.kubernetes.io/restartedAt": Utc::now().to_rfc3339()});
        let patch = json!({"spec": {"template": {"metadata": {"annotations": mark}}}});
        all.patch("mailer", &kube::api::PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn known_good_of(&self, key: &Key, version: &str) {
        let of = |good: &KnownGood| model::workload::version_of(&good.images) == version;
        self.on_record(key, version, of).await;
    }

    async fn recorded(&self, key: &Key, hash: &str) {
        self.on_record(key, hash, |good| good.hash == hash).await;
    }

    async fn on_record(&self, key: &Key, what: &str, is: impl Fn(&KnownGood) -> bool) {
        let mut heard = self.replica.control.subscribe();
        let recorded = async {
            loop {
                let newest = self.store.known_good(key).await.unwrap();
                if newest.as_ref().is_some_and(&is) {
                    return;
                }
                self.time.skip(31);
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        let recorded = tokio::time::timeout(DEADLINE, recorded).await;
        assert!(recorded.is_ok(), "{what} is not on record");
    }

    async fn released(&self, version: &str) -> Arc<Workload> {
        let w = self.deployed(version).await;
        self.known_good(version).await;
        w
    }

    /// What the service's page says: the version a rollback leads to, and its words.
    async fn page(&self) -> (Option<String>, String) {
        let page = self.replica.control.service(&self.people.viewer, &self.world.key()).await.unwrap();
        let words = page.rollback.as_ref().map(|p| p.steps.join(" ")).unwrap_or_default();
        (page.rollback.map(|p| p.to_version), words)
    }

    async fn pressed(&self) -> control::RollbackReceipt {
        let key = self.world.key();
        let page = self.replica.control.service(&self.people.viewer, &key).await.unwrap();
        let shown = page.rollback.map(|p| p.to_hash);
        let (control, on_call) = (&self.replica.control, &self.people.on_call);
        control.roll_back_workload(on_call, &key, shown.as_deref(), None).await.unwrap()
    }

    async fn records(&self) -> usize {
        let records = self.store.known_good_records(&[self.world.key()], 100).await.unwrap();
        records[0].len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_leads_to_the_version_before_although_its_replicaset_is_gone() {
    let mut past = Past::new().await;
    assert_eq!(past.page().await, (None, String::new()), "nothing came before 1.0.0");
    past.keeps_no_history().await;
    let before = past.released("1.1.0").await.stable_hash.clone().unwrap();
    past.released("1.2.0").await;
    past.forgotten(&before).await;

    // A process that has just started knows it too.
    past.replica.kill();
    past.replica = past.world.replica_with("b", past.store.clone(), past.time.clock());
    let mut heard = past.replica.control.subscribe();
    let found = async {
        loop {
            if let (Some(version), words) = past.page().await {
                return (version, words);
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    let (version, words) = tokio::time::timeout(DEADLINE, found).await.unwrap();
    assert_eq!(version, "1.1.0");
    assert!(words.contains("1.1.0 is known good since "), "{words}");

    let receipt = past.pressed().await;
    assert_eq!((receipt.to_version.as_str(), past.replica.accepted().await), ("1.1.0", 1));
    assert_eq!(receipt.route.calls, [Call::RevertThroughWindow, Call::PromoteFull]);
    let home = past.home("1.1.0").await;
    // Nobody opened a pause of its own steps, and the pods are of the very revision that was good.
    assert_eq!(home.stable_hash, Some(before));
    assert!(home.pauses.is_empty());
    let verified = past.replica.control.verify_audit(&past.people.viewer).await.unwrap();
    assert!(verified.ok, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_undone_past_tidegate_is_nowhere_to_go_back_to() {
    let past = Past::new().await;
    past.released("1.1.0").await;
    past.released("1.2.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.1.0"));
    // `kubectl argo rollouts undo`: the template of the revision before, written by somebody else.
    past.deployed("1.1.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"), "at once");
    past.known_good("1.1.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"), "and when it has settled");
    let page =
        past.replica.control.audit(&past.people.viewer, model::view::AuditFilter::default()).await.unwrap();
    assert!(
        page.rows.iter().any(|e| e.event.summary.contains("1.1.0 was put back past Tidegate")),
        "{page:?}"
    );
    // A release that goes there on purpose is a deployment like any other.
    past.released("1.2.0").await;
    let again = "[{weight: 50, bake: 1s}, {weight: 100}]";
    let id = past.replica.release(&past.people, &past.world.plan("1.1.0", again)).await;
    past.replica.wait_state(id, model::release::State::Succeeded).await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.2.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_never_was_promoted_or_was_taken_back_is_never_where_a_rollback_leads() {
    let past = Past::new().await;
    past.released("1.1.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"));

    // Aborted by hand half way, and its template put back by hand.
    past.begun("1.2.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.1.0"), "in flight, the stable version");
    let aborted = past.world.cluster.abort(&past.world.key(), &AttemptId("test".into()), None::<&str>).await;
    assert!(aborted.unwrap().is_applied());
    let containers = json!([{"name": "app", "image": "registry.example.com/shop/web:1.1.0"}]);
    past.patch(json!({"spec": {"template": {"spec": {"containers": containers}}}})).await;
    past.home("1.1.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"), "1.2.0 is the second-highest revision");

    past.released("1.3.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.1.0"));
    assert_eq!(past.pressed().await.to_version, "1.1.0");
    // An impatient second press carries the same rollback on, or finds it done; it never leads further back.
    let key = past.world.key();
    match past.replica.control.roll_back_workload(&past.people.on_call, &key, None, None).await {
        Ok(receipt) => assert_eq!(receipt.to_version, "1.1.0"),
        Err(problem) => assert_eq!(problem.status, Status::Conflict),
    }
    past.home("1.1.0").await;
    let again =
        past.replica.control.roll_back_workload(&past.people.on_call, &key, None, None).await.unwrap_err();
    assert!(again.detail.contains("further back, to 1.0.0"), "{again:?}");
    let elsewhere =
        past.replica.control.roll_back_workload(&past.people.on_call, &key, Some("other"), None).await;
    assert_eq!(elsewhere.unwrap_err().status, Status::Conflict);
    // Whoever has seen that it goes further back may.
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"));
    assert_eq!(past.pressed().await.to_version, "1.0.0");
    past.home("1.0.0").await;
    // All that is left are revisions that were taken back or never promoted.
    assert_eq!(past.page().await.0, None);
    let refused =
        past.replica.control.roll_back_workload(&past.people.on_call, &key, None, None).await.unwrap_err();
    assert_eq!(refused.status, Status::Conflict);

    // However long it stands there, it is no new version; the next one is.
    let records = past.records().await;
    past.released("1.4.0").await;
    assert_eq!(past.records().await, records + 1);
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_a_press_leads_where_the_records_say_and_is_remembered() {
    let server = own_server().await;
    let past = Past::on(World::new().await, server.db.store.clone()).await;
    past.keeps_no_history().await;
    let first = past.home("1.0.0").await.stable_hash.clone().unwrap();
    past.released("1.1.0").await;
    past.forgotten(&first).await;
    server.postgres.stop();
    let receipt = past.pressed().await;
    assert_eq!((receipt.to_version.as_str(), receipt.recorded), ("1.0.0", false));
    assert_eq!(receipt.route.pace, Pace::PodStart);
    assert_eq!(past.home("1.0.0").await.stable_hash, Some(first));
    // It is in the journal alone, and 1.1.0 is nowhere to go back to all the same.
    let page = past.replica.control.service(&past.people.viewer, &past.world.key()).await.unwrap();
    assert_eq!(page.rollback.map(|p| p.to_version), None);
    server.postgres.start_again().await.unwrap();
    let mut heard = past.replica.control.subscribe();
    let merged = async {
        while past.store.known_good_records(&[past.world.key()], 9).await.map_or(0, |r| r[0].len()) < 3 {
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, merged).await.unwrap();
    assert_eq!(past.page().await.0, None);
    past.released("1.2.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_goes_back_by_the_record_too() {
    let past = Past::new().await;
    let (world, key) =
        (&past.world, Key { kind: Kind::Deployment, name: "mailer".into(), ..past.world.key() });
    let deployed = async |version: &str| past.mailer(version, 0).await;
    let home = async |version: &str| {
        let is = |w: &Workload| {
            w.version() == version && model::known_good::carries_all(w).is_some() && w.revisions.len() == 1
        };
        world.cluster.wait_for(&key, DEADLINE, is).await.unwrap().stable_hash.clone().unwrap()
    };
    deployed("2.0.0").await;
    let first = home("2.0.0").await;
    past.known_good_of(&key, "2.0.0").await;
    deployed("2.1.0").await;
    home("2.1.0").await;
    past.known_good_of(&key, "2.1.0").await;
    let pressed =
        past.replica.control.roll_back_workload(&past.people.on_call, &key, None, None).await.unwrap();
    assert_eq!(pressed.to_version, "2.0.0");
    assert_eq!(home("2.0.0").await, first, "the very same pods");
    let again = past.replica.control.roll_back_workload(&past.people.on_call, &key, None, None).await;
    assert_eq!(again.unwrap_err().status, Status::Conflict);
}

/// By a press, and by `kubectl`: the same version under another hash, and nothing that a rollback would end at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_a_deployment_is_no_version_to_go_back_from() {
    let past = Past::new().await;
    let key = Key { kind: Kind::Deployment, name: "mailer".into(), ..past.world.key() };
    let home = async |version: &str, not: &str| {
        let is = |w: &Workload| {
            let hash = model::known_good::carries_all(w).filter(|hash| *hash != not);
            w.version() == version && hash.is_some() && w.ready == 2
        };
        past.world.cluster.wait_for(&key, DEADLINE, is).await.unwrap().stable_hash.clone().unwrap()
    };
    past.mailer("2.0.0", 10).await;
    home("2.0.0", "").await;
    past.known_good_of(&key, "2.0.0").await;
    past.mailer("2.1.0", 10).await;
    let second = home("2.1.0", "").await;
    past.known_good_of(&key, "2.1.0").await;

    let (control, on_call) = (&past.replica.control, &past.people.on_call);
    control.restart(on_call, &key, Some("a leak".into())).await.unwrap();
    let third = home("2.1.0", &second).await;
    past.recorded(&key, &third).await;
    past.mailer_restarted_elsewhere().await;
    let fourth = home("2.1.0", &third).await;
    // Not on record yet: that it is a restart is told by its template.
    let unrecorded = control.service(&past.people.viewer, &key).await.unwrap();
    assert_eq!(unrecorded.rollback.map(|p| p.to_version).as_deref(), Some("2.0.0"));
    past.recorded(&key, &fourth).await;

    let page = control.service(&past.people.viewer, &key).await.unwrap();
    assert_eq!(page.rollback.map(|p| p.to_version).as_deref(), Some("2.0.0"));
    let pressed = control.roll_back_workload(on_call, &key, None, None).await.unwrap();
    assert_eq!(pressed.to_version, "2.0.0");
    home("2.0.0", &fourth).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_press_on_another_replica_never_turns_the_first_one_round() {
    let past = Past::new().await;
    past.released("1.1.0").await;
    let other = past.world.replica_with("b", past.store.clone(), past.time.clock());
    let key = past.world.key();
    let mut heard = other.control.subscribe();
    let knows = async {
        loop {
            let page = other.control.service(&past.people.viewer, &key).await.unwrap();
            if page.rollback.is_some_and(|p| p.to_version == "1.0.0") {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, knows).await.unwrap();
    assert_eq!(past.pressed().await.to_version, "1.0.0");
    // In the middle of the first, or after it.
    match other.control.roll_back_workload(&past.people.on_call, &key, None, None).await {
        Ok(receipt) => assert_eq!(receipt.to_version, "1.0.0"),
        Err(problem) => assert_eq!(problem.status, Status::Conflict),
    }
    past.home("1.0.0").await;
    // One record for the version, one for each rollback that was accepted: neither replica takes it for a new one.
    past.known_good_of(&key, "1.0.0").await;
    past.released("1.2.0").await;
    assert_eq!(past.page().await.0.as_deref(), Some("1.0.0"));
    let records = past.store.known_good_records(&[key], 100).await.unwrap().remove(0);
    let deployed = records.iter().filter(|r| r.came == model::known_good::Came::Forward).count();
    assert_eq!(deployed, 3);
}
