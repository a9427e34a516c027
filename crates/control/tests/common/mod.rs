//! One control plane on a database of its own, over the shared sandbox, with a Rollout of the test's own.

#![allow(clippy::unwrap_used, reason = "a test's arrangement that fails must stop the test")]
#![allow(dead_code, reason = "each test file uses its part")]

use chrono::Utc;
use cluster::{Cluster, Prometheus};
use control::{Clock, Config, Control};
use model::release::{KnownGood, Release, State};
use model::workload::{Key, Kind, Phase, Workload};
use model::{Actor, Digest, Grant, PersonId, PlanId, ReleaseId, Role, Via};
use sandbox::{Sandbox, Strategy};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::test_support::TestDb;
use tokio::sync::Notify;

/// Longest any single thing may take on a busy machine of two cores.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
pub(crate) const OLD: &str = "registry.example.com/shop/web:1.0.0";

/// Nothing moves any more: the controller has seen what is wanted, and no traffic is left on anything but it. It says Healthy
/// a moment before its weights are back.
pub(crate) fn at_rest(w: &Workload) -> bool {
    w.phase == Phase::Healthy && w.observed() && !w.in_flight() && w.canary_share() == 0
}

pub(crate) struct World {
    pub(crate) sandbox: &'static Sandbox,
    pub(crate) db: TestDb,
    pub(crate) namespace: String,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) data: tempfile::TempDir,
}

impl World {
    /// A namespace with a Healthy canary Rollout `web` behind nginx: four pods, a hundred requests a second.
    pub(crate) async fn new() -> Self {
        Self::with(Strategy::Canary { nginx: true }).await
    }

    /// Released in another way.
    pub(crate) async fn with(strategy: Strategy) -> Self {
        let sandbox = Sandbox::shared().await.unwrap();
        let db = store::test_support::database().await;
        let namespace = sandbox.namespace("control").await.unwrap();
        let manifest = sandbox::Workload {
            namespace: namespace.clone(),
            name: "web".into(),
            replicas: 4,
            image: OLD.into(),
            strategy,
            rps: 100.0,
        }
        .manifest();
        sandbox.apply_yaml(&manifest).await.unwrap();
        sandbox.wait_healthy(&namespace, "web", DEADLINE).await.unwrap();
        let kubeconfig = &sandbox.info.tidegate_kubeconfig;
        let cluster = Cluster::connect("demo", Some(kubeconfig), None).await.unwrap();
        let world = Self { sandbox, db, namespace, cluster, data: tempfile::tempdir().unwrap() };
        world.wait_workload("in the cache", |w| w.phase == model::workload::Phase::Healthy).await;
        world
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            cluster: "demo".into(),
            namespace: self.namespace.clone(),
            kind: Kind::Rollout,
            name: "web".into(),
        }
    }

    pub(crate) async fn rollouts(&self) -> kube::Api<kube::api::DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind = kube::core::GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
        kube::Api::namespaced_with(
            client,
            &self.namespace,
            &kube::api::ApiResource::from_gvk_with_plural(&kind, "rollouts"),
        )
    }

    /// Gives the Rollout `web` these steps of its owner's.
    pub(crate) async fn own(&self, steps: serde_json::Value) {
        let count = i32::try_from(steps.as_array().unwrap().len()).unwrap();
        let patch = serde_json::json!({"spec": {"strategy": {"canary": {"steps": steps}}}});
        self.rollouts()
            .await
            .patch("web", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch))
            .await
            .unwrap();
        let settled = |w: &Workload| w.observed() && w.phase == model::workload::Phase::Healthy;
        let theirs = |w: &Workload| w.step_count == count && w.step_index == Some(count);
        self.wait_workload("with its own steps", |w| theirs(w) && settled(w)).await;
    }
    /// A replica that runs until the returned handle is dropped.
    pub(crate) fn replica(&self, name: &str) -> Replica {
        self.replica_with(name, self.db.store.clone(), Arc::new(Utc::now))
    }

    /// On another database, or with another clock.
    pub(crate) fn replica_with(&self, name: &str, store: Store, clock: Clock) -> Replica {
        let prometheus = Prometheus::new(&self.sandbox.info.prometheus_url).unwrap();
        self.replica_measuring(name, store, clock, HashMap::from([("demo".to_owned(), prometheus)]))
    }

    /// For whose cluster no Prometheus is named.
    pub(crate) fn replica_without_metrics(&self, name: &str) -> Replica {
        self.replica_measuring(name, self.db.store.clone(), Arc::new(Utc::now), HashMap::new())
    }

    fn replica_measuring(
        &self,
        name: &str,
        store: Store,
        clock: Clock,
        prometheus: HashMap<String, Prometheus>,
    ) -> Replica {
        let control = Control::new(Config {
            store,
            clusters: vec![self.cluster.clone()],
            prometheus,
            data_dir: self.data.path().to_owned(),
            clock,
            home: "tidegate".into(),
            replica: name.to_owned(),
            demo: false,
            notifying: control::Notifying::default(),
            keep_samples_days: control::KEEP_DAYS,
        })
        .unwrap();
        let running = control.clone();
        let task = tokio::spawn(async move { running.run(Arc::new(Notify::new())).await });
        Replica { control, task }
    }

    pub(crate) fn plan(&self, tag: &str, steps: &str) -> String {
        self.plan_by(tag, &format!("{{canary: {{steps: {steps}}}}}"))
    }

    /// With another strategy: `{rolling: {}}`.
    pub(crate) fn plan_by(&self, tag: &str, strategy: &str) -> String {
        format!(
            "apiVersion: tidegate.dev/v1\nkind: Plan\nmetadata: {{name: web-{}, service: web, environment: production}}\n\
             spec:\n  change: {{images: {{app: 'registry.example.com/shop/web:{tag}'}}}}\n  strategy: {strategy}\n  \
             workload: {{namespace: {}, name: web}}\n  approvals: {{required: 1, from: \
             [approver], expire: 24h}}\n",
            tag.replace(['.', '_'], "-"),
            self.namespace
        )
    }

    /// Template and steps, once the controller has acted on the last change.
    pub(crate) async fn template(&self) -> KnownGood {
        let mut changes = self.cluster.changes();
        let found = async {
            loop {
                match self.cluster.template(&self.key()).await {
                    Ok(good) => return good,
                    Err(cluster::Error::Unsuited(_)) => {
                        // A missed change must not hang the test.
                        let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap()
    }

    pub(crate) async fn wait_workload(&self, what: &str, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        let key = self.key();
        let mut changes = self.cluster.changes();
        let found = async {
            loop {
                if let Some(w) = self.cluster.workload(&key)
                    && is(&w)
                {
                    return w;
                }
                // A missed change must not hang the test: look again at least each second.
                let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(w) => w,
            Err(_) => panic!("not within {DEADLINE:?}: {what}; is {:?}", self.cluster.workload(&key)),
        }
    }
}

pub(crate) struct Replica {
    pub(crate) control: Control,
    task: tokio::task::JoinHandle<()>,
}

impl Replica {
    /// Stops at once and hands nothing back, as a killed process does.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// Writes a plan, has it approved by another person and starts it.
    pub(crate) async fn release(&self, people: &People, plan: &str) -> ReleaseId {
        let created = self.control.create_plan(&people.manager, plan).await.unwrap();
        self.approve(people, created.id, &created.digest).await;
        self.control.start(&people.manager, created.id, Some(created.digest)).await.unwrap()
    }

    pub(crate) async fn approve(&self, people: &People, id: PlanId, digest: &Digest) {
        self.control.decide(&people.approver, id, digest, control::Decision::Approve, None).await.unwrap();
    }

    pub(crate) async fn wait(&self, id: ReleaseId, what: &str, is: impl Fn(&Release) -> bool) -> Release {
        let viewer = actor(None, "Viewer", Role::Viewer);
        let mut heard = self.control.subscribe();
        let found = async {
            loop {
                let release = self.control.release_record(&viewer, id).await.unwrap();
                if is(&release) {
                    return release;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(release) => release,
            Err(_) => panic!(
                "not within {DEADLINE:?}: {what}; is {:#?}",
                self.control.release_record(&viewer, id).await
            ),
        }
    }

    /// How many presses of ROLL BACK are on record, once one is: a busy Postgres may take longer than the press waits for it.
    pub(crate) async fn accepted(&self) -> usize {
        let viewer = actor(None, "Viewer", Role::Viewer);
        let mut heard = self.control.subscribe();
        let found = async {
            loop {
                let page = self.control.audit(&viewer, model::view::AuditFilter::default()).await.unwrap();
                match page.rows.iter().filter(|e| e.event.action == "rollback.accepted").count() {
                    0 => drop(tokio::time::timeout(Duration::from_secs(1), heard.recv()).await),
                    some => return some,
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap()
    }

    pub(crate) async fn wait_state(&self, id: ReleaseId, state: State) -> Release {
        self.wait(id, state.key(), |r| r.state == state).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) struct People {
    pub(crate) manager: Actor,
    pub(crate) approver: Actor,
    pub(crate) on_call: Actor,
    pub(crate) viewer: Actor,
}

/// Real accounts of the database: an approval is of a person.
pub(crate) async fn people(control: &Control) -> People {
    let cli = Actor { via: Via::Cli, ..Actor::system("test") };
    let mut made = Vec::new();
    for (name, role) in [
        ("Mara", Role::ReleaseManager),
        ("Ayo", Role::Approver),
        ("Jun", Role::OnCall),
        ("Vera", Role::Viewer),
    ] {
        let grants = vec![Grant { role, environment: None }];
        let email = format!("{}@example.com", name.to_lowercase());
        let id = control.add_person(&cli, name, &email, "correct horse", grants).await.unwrap();
        made.push(actor(Some(id), name, role));
    }
    let mut made = made.into_iter();
    People {
        manager: made.next().unwrap(),
        approver: made.next().unwrap(),
        on_call: made.next().unwrap(),
        viewer: made.next().unwrap(),
    }
}

fn actor(person: Option<PersonId>, name: &str, role: Role) -> Actor {
    Actor { person, name: name.into(), grants: vec![Grant { role, environment: None }], via: Via::Browser }
}
