//! A way back that does not get on offers the next best one, and a person's press takes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{DEADLINE, People, Replica, World, people};
use control::Clock;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use model::Status;
use model::release::{Release, State};
use model::view::{Standing, Way};
use model::workload::{Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A workload on 1.2.0, with 1.1.0 and 1.0.0 on record before it, and a clock that a test can put forward.
struct Three {
    world: World,
    skipped: Arc<AtomicI64>,
    replica: Replica,
    people: People,
    /// The release of 1.2.0.
    release: Release,
}

const STEPS: &str = "[{weight: 50, bake: 1s}, {weight: 100}]";

impl Three {
    async fn new() -> Self {
        Self::on(World::new().await, None).await
    }

    async fn on(world: World, store: Option<store::Store>) -> Self {
        // Old pods do not stay: a rollback has to start new ones.
        let rollouts = sandbox::rollouts(world.sandbox.admin().await.unwrap(), &world.namespace);
        let soon = json!({"spec": {"strategy": {"canary": {"scaleDownDelaySeconds": 1}}}});
        rollouts.patch("web", &PatchParams::default(), &Patch::Merge(soon)).await.unwrap();
        world.wait_workload("as arranged", |w| w.generation > 1 && w.observed()).await;
        let skipped = Arc::new(AtomicI64::new(0));
        let seconds = skipped.clone();
        let clock: Clock = Arc::new(move || -> DateTime<Utc> {
            Utc::now() + TimeDelta::seconds(seconds.load(Ordering::Relaxed))
        });
        let store = store.unwrap_or_else(|| world.db.store.clone());
        let replica = world.replica_with("a", store, clock);
        let people = people(&replica.control).await;
        let mut release = None;
        for version in ["1.1.0", "1.2.0"] {
            let id = replica.release(&people, &world.plan(version, STEPS)).await;
            release = Some(replica.wait_state(id, State::Succeeded).await);
            let alone = |w: &Workload| {
                let others = w.revisions.iter().filter(|r| Some(&r.hash) != w.stable_hash.as_ref());
                w.phase == Phase::Healthy && others.map(|r| r.desired + r.ready).sum::<i32>() == 0
            };
            world.wait_workload("alone", alone).await;
        }
        Self { world, skipped, replica, people, release: release.unwrap() }
    }

    fn skip(&self, seconds: i64) {
        self.skipped.fetch_add(seconds, Ordering::Relaxed);
    }

    /// From now on the cluster makes no pod of this version.
    async fn refuse(&self, version: &str) {
        let name = format!("no-{}-{}", version.replace('.', "-"), self.world.namespace);
        let image = format!("registry.example.com/shop/web:{version}");
        let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": self.world.namespace}});
        let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {"failurePolicy": "Fail",
                "matchConstraints": {"namespaceSelector": namespace, "resourceRules": [{"apiGroups": [""],
                    "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
                "validations": [{"expression": format!("object.spec.containers.all(c, c.image != '{image}')"),
                    "message": "this image is not allowed any more"}]}});
        let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]}});
        self.world.sandbox.apply_yaml(&policy.to_string()).await.unwrap();
        self.world.sandbox.apply_yaml(&binding.to_string()).await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let admin = self.world.sandbox.admin().await.unwrap();
        let pods: kube::Api<DynamicObject> = kube::Api::namespaced_with(admin, &self.world.namespace, &kind);
        let pod: Value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"},
            "spec": {"containers": [{"name": "app", "image": image}]}});
        let pod = serde_json::from_value(pod).unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let in_force = async { while pods.create(&dry, &pod).await.is_ok() {} };
        tokio::time::timeout(DEADLINE, in_force).await.unwrap();
    }

    /// Waits until the release's page says that it does not get on; what it offers.
    async fn offered(&self) -> Vec<Way> {
        let mut heard = self.replica.control.subscribe();
        let found = async {
            loop {
                let live =
                    self.replica.control.release(&self.people.on_call, self.release.id).await.unwrap().live;
                assert_eq!(live.state, State::RollingBack);
                if let Some(stall) = live.stall {
                    assert!(
                        stall.obstacles.iter().any(|o| o.what.contains("not allowed any more")),
                        "{stall:?}"
                    );
                    return live.ways;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap()
    }

    async fn home(&self, version: &str) -> Arc<Workload> {
        let is = |w: &Workload| {
            w.version() == version && w.phase == Phase::Healthy && w.observed() && !w.in_flight()
        };
        self.world.wait_workload(&format!("on {version} alone"), is).await
    }
}

fn hash_of(way: &Way) -> &str {
    way.path.split_once("?to=").unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_cannot_start_its_pods_goes_further_back_by_a_press_that_names_it() {
    let three = Three::new().await;
    let (control, people, id) = (&three.replica.control, &three.people, three.release.id);
    three.refuse("1.1.0").await;
    control.roll_back(&people.on_call, id, None).await.unwrap();
    three.skip(25);
    let ways = three.offered().await;
    let words: Vec<_> = ways.iter().map(|w| w.words.as_str()).collect();
    assert_eq!(words, ["Roll back to 1.0.0 instead", "Stay on 1.2.0"]);
    let older = hash_of(&ways[0]).to_owned();
    assert!(ways[0].path.starts_with(&format!("/releases/{id}/rollback?to=")));
    assert_eq!(control.release(&people.viewer, id).await.unwrap().live.ways, [], "a viewer may not");

    // What would happen is told before.
    let preview = control.release_to(&people.on_call, id, Some(&older)).await.unwrap().live.rollback.unwrap();
    assert_eq!((preview.from_version.as_str(), preview.to_version.as_str()), ("1.2.0", "1.0.0"));
    assert!(preview.steps[0].contains("1.1.0 is given up"), "{:?}", preview.steps);

    // Only by name, only what is on record, only by who may.
    let refused = control.roll_back_to(&people.viewer, id, Some(&older), None).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);
    let unknown = control.roll_back_to(&people.on_call, id, Some("abcdef"), None).await.unwrap_err();
    assert_eq!(unknown.status, Status::Conflict);
    let same = control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(same.to_version, "1.1.0", "an impatient press never leads further back");

    let receipt = control.roll_back_to(&people.on_call, id, Some(&older), None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    let release = three.replica.wait_state(id, State::RolledBack).await;
    assert_eq!(
        (release.good_version().as_str(), release.known_good.hash.as_str()),
        ("1.0.0", older.as_str())
    );
    assert!(release.rerouted > release.turned_back);
    let home = three.home("1.0.0").await;
    assert_eq!(home.stable_hash.as_deref(), Some(older.as_str()));
    let page = control.release(&people.viewer, id).await.unwrap();
    let told = page.timeline.iter().find(|e| e.summary.contains("instead of 1.1.0")).expect("it names both");
    assert_eq!((told.action.as_str(), told.actor.as_str()), ("rollback.accepted", "Jun"));
    assert_eq!(page.live.back.unwrap().to_version, "1.0.0");
    // Neither 1.2.0 nor 1.1.0 is where anything leads from here.
    let service = control.service(&people.on_call, &three.world.key()).await.unwrap();
    assert_eq!(service.rollback, None);
    assert!(control.verify_audit(&people.viewer).await.unwrap().ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_cannot_start_its_pods_is_called_off_where_the_version_is_still_approved() {
    let three = Three::new().await;
    let (control, people, id) = (&three.replica.control, &three.people, three.release.id);
    three.refuse("1.1.0").await;
    control.roll_back(&people.on_call, id, None).await.unwrap();
    three.skip(25);
    let ways = three.offered().await;
    let stay = hash_of(&ways[1]).to_owned();
    let preview = control.release_to(&people.on_call, id, Some(&stay)).await.unwrap().live.rollback.unwrap();
    assert_eq!(preview.steps[0], "The rollback to 1.1.0 is called off.");

    // It would carry all traffic again, which needs its approvals.
    let (plan, digest) = (three.release.plan, three.release.digest.clone());
    control.revoke(&people.approver, plan, None).await.unwrap();
    let refused = control.roll_back_to(&people.on_call, id, Some(&stay), None).await.unwrap_err();
    assert_eq!(refused.status, Status::Conflict);
    assert!(refused.detail.contains("approval"), "{refused:?}");
    control.decide(&people.approver, plan, &digest, control::Decision::Approve, None).await.unwrap();

    let receipt =
        control.roll_back_to(&people.on_call, id, Some(&stay), Some("1.1.0 is gone".into())).await.unwrap();
    assert_eq!(receipt.to_version, "1.2.0");
    let home = three.home("1.2.0").await;
    assert_eq!(home.stable_hash, three.release.canary_hash);
    let release = three.replica.wait_state(id, State::Succeeded).await;
    assert_eq!(release.reason.as_deref(), Some("Jun called the rollback off: 1.2.0 stays: 1.1.0 is gone."));
    let page = control.release(&people.on_call, id).await.unwrap();
    assert_eq!((page.live.back, page.live.stall), (None, None));
    assert!(page.live.roll_back.allowed, "it may be rolled back again");
    assert!(
        page.timeline.iter().any(|e| e.summary == "Rollback of web to 1.1.0 called off: it stays on 1.2.0")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_known_good_version_is_listed_and_can_be_named_although_its_replicaset_is_gone() {
    let server = store::test_support::own_server().await;
    let three = Three::on(World::new().await, Some(server.db.store.clone())).await;
    let (control, people, key) = (&three.replica.control, &three.people, three.world.key());
    let rollouts = sandbox::rollouts(three.world.sandbox.admin().await.unwrap(), &three.world.namespace);
    let none = json!({"spec": {"revisionHistoryLimit": 0}});
    rollouts.patch("web", &PatchParams::default(), &Patch::Merge(none)).await.unwrap();
    three.world.wait_workload("no history", |w| w.revisions.len() == 1).await;

    let page = control.service(&people.viewer, &key).await.unwrap();
    let told: Vec<_> =
        page.known_good.iter().map(|k| (k.version.as_str(), k.standing, k.revision.is_some())).collect();
    assert_eq!(
        told,
        [
            ("1.2.0", Standing::Present, true),
            ("1.1.0", Standing::Target, false),
            ("1.0.0", Standing::Older, false)
        ]
    );
    assert_eq!(page.known_good[0].release, Some(three.release.id));
    assert!(page.known_good[2].until.is_some() && page.known_good[0].until.is_none());
    assert!(page.known_good.iter().all(|k| !k.roll_back.allowed), "a viewer may not");
    let oldest = page.known_good[2].hash.clone();
    let asked = control.service_to(&people.on_call, &key, Some(&oldest)).await.unwrap();
    let preview = asked.rollback.unwrap();
    assert_eq!((preview.to_version.as_str(), preview.to_hash.as_str()), ("1.0.0", oldest.as_str()));

    // While Postgres is down, too.
    server.postgres.stop();
    let receipt = control.roll_back_workload(&people.on_call, &key, Some(&oldest), None).await.unwrap();
    assert_eq!((receipt.to_version.as_str(), receipt.recorded), ("1.0.0", false));
    assert_eq!(three.home("1.0.0").await.stable_hash.as_deref(), Some(oldest.as_str()));
    server.postgres.start_again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_without_a_release_that_does_not_get_on_says_so_and_offers_the_same() {
    let three = Three::new().await;
    let (control, people, key) = (&three.replica.control, &three.people, three.world.key());
    three.refuse("1.1.0").await;
    control.roll_back_workload(&people.on_call, &key, None, None).await.unwrap();
    three.skip(25);
    let mut heard = control.subscribe();
    let found = async {
        loop {
            let page = control.service(&people.on_call, &key).await.unwrap();
            if page.stall.is_some() {
                return page;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    let page = tokio::time::timeout(DEADLINE, found).await.unwrap();
    let words: Vec<_> = page.ways.iter().map(|w| w.words.as_str()).collect();
    assert_eq!(words, ["Roll back to 1.0.0 instead", "Stay on 1.2.0"]);
    // The press goes round: 1.1.0 is still where an unnamed one leads.
    let again = control.roll_back_workload(&people.on_call, &key, None, None).await.unwrap();
    assert_eq!(again.to_version, "1.1.0");
    let older = hash_of(&page.ways[0]);
    let receipt = control.roll_back_workload(&people.on_call, &key, Some(older), None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    // While that is under way, an unnamed press carries it on.
    match control.roll_back_workload(&people.on_call, &key, None, None).await {
        Ok(receipt) => assert_eq!(receipt.to_version, "1.0.0"),
        Err(problem) => assert_eq!(problem.status, Status::Conflict),
    }
    three.home("1.0.0").await;
    let page = control.service(&people.on_call, &key).await.unwrap();
    assert_eq!(page.rollback, None, "nothing came before 1.0.0");
    let told = control.audit(&people.viewer, model::view::AuditFilter::default()).await.unwrap().rows;
    let stalled = told.iter().filter(|e| e.event.action == "rollback.stalled").count();
    assert_eq!(stalled, 1, "the history tells it once");
}
