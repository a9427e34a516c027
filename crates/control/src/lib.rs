//! The use cases. ONE DOOR: whatever a person, the REST API or the conductor does to the world is one function
//! here. Each authorises, records the change with its audit event in one transaction, acts, and announces.
//!
//! The exception is told where it is made: a rollback acts first and may be recorded in a journal on disk, because
//! it must not wait for a database ([`rollback`]).

mod analyses;
mod analysis;
mod announce;
mod ask;
mod choices;
mod conductor;
mod config;
mod demo;
mod effects;
mod error;
mod files;
mod flags;
mod gitops;
mod glance;
mod identity;
mod incidents;
pub mod journal;
mod known_good;
mod merge;
mod notify;
mod plans;
mod policies;
mod read;
mod recorder;
mod recovery;
mod rehearsal;
mod releases;
mod restart;
mod retry;
mod rollback;
mod stalls;
mod status;
mod templates;
mod thinning;
mod vitals;

pub use announce::Announcement;
pub use demo::{DemoAccount, PASSWORD as DEMO_PASSWORD};
pub use flags::{FlagAccess, FlagDraft, FlagEdit, FlagStream, ServedFlags, lines_digest};
pub use identity::IssuedToken;
pub use incidents::{Alarm, IncidentEdit, PublicUpdate};
pub use model::view;
pub use notify::{Notifying, SecretKey, Variables};
pub use plans::{Created, Decision};
pub use policies::{PolicyChange, tried};
pub use rollback::RollbackReceipt;
pub use templates::{ReplayedRun, replay_templates};
pub use thinning::{KEEP_DAYS, Thinned, thin_samples};
pub use vitals::Vitals;

use chrono::{DateTime, Utc};
use cluster::{Cluster, Prometheus};
use model::release::Release;
use model::{Problem, ReleaseId};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use store::Store;
use tokio::sync::{Notify, broadcast};

/// The time, handed in so that rules and tests decide what it is.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What a control plane is made of.
#[derive(Clone)]
pub struct Config {
    pub store: Store,
    pub clusters: Vec<Arc<Cluster>>,
    /// Metrics by cluster name; a cluster without has no analysis.
    pub prometheus: HashMap<String, Prometheus>,
    /// The journal and other files that must outlive the process.
    pub data_dir: PathBuf,
    pub clock: Clock,
    /// Namespace whose rollback policies rule where a namespace has none of its own: Tidegate's.
    pub home: String,
    /// Name of this replica, unique among all that share the database.
    pub replica: String,
    /// Show the demo accounts on the sign-in page.
    pub demo: bool,
    /// What notifications are sent with.
    pub notifying: Notifying,
    /// How long samples are kept after their release has ended, in days.
    pub keep_samples_days: u16,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("replica", &self.replica).field("data_dir", &self.data_dir).finish()
    }
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("replica", &self.inner.config.replica).finish()
    }
}

struct Inner {
    config: Config,
    journal: journal::Journal,
    identity: identity::Cache,
    /// Releases under way as last read: lets a rollback act without asking the database.
    active: RwLock<HashMap<ReleaseId, Arc<Release>>>,
    announcements: broadcast::Sender<Announcement>,
    /// Wakes the conductor. A permit is kept, so a nudge during a pass is not lost.
    nudge: Notify,
    /// Wakes the delivery of notifications, likewise.
    outbox: Notify,
    sender: notify::Sender,
    /// Where each workload goes back to, likewise.
    known: known_good::Cache,
    status: RwLock<status::Known>,
    plans: RwLock<HashMap<(model::PlanId, i32), Arc<model::plan::Plan>>>,
    /// Releases that a rollback's press is at work on right now.
    pressed: Mutex<HashSet<ReleaseId>>,
    /// Releases that do not get on, and why.
    stalls: RwLock<HashMap<ReleaseId, model::stall::Stall>>,
    /// What is seen of the error rate after a rollback, until it is back under its limit.
    recovering: RwLock<recovery::Watched>,
    /// Configuration of known-good versions, lately compared.
    compared: config::Compared,
    /// Rollback policies, as they are read in the clusters.
    policies: policies::Known,
    /// Feature flags, likewise, and what is served of them.
    flags: flags::Known,
    /// Argo CD's applications of workloads that it owns.
    syncs: gitops::Syncs,
    /// What stands around workloads that plans are written for.
    around: glance::Glances<model::workload::Key, Vec<String>>,
    /// What keeps rollbacks without a release from getting on.
    stalled: RwLock<HashMap<model::workload::Key, model::stall::Stall>>,
    /// Postgres answered when it was last asked.
    database: AtomicBool,
    /// When the conductor last finished a look at all releases.
    passed: RwLock<Option<DateTime<Utc>>>,
}

impl Control {
    /// # Errors
    /// When the journal's directory cannot be written.
    pub fn new(config: Config) -> Result<Self, Problem> {
        let journal = journal::Journal::open(&config.data_dir, &config.replica).map_err(|e| {
            Problem::unavailable(format!(
                "The rollback journal in {} cannot be opened: {e}. Make the directory writable for Tidegate.",
                config.data_dir.display()
            ))
        })?;
        let sender = config.notifying.sender()?;
        let (announcements, _) = broadcast::channel(1024);
        let inner = Inner {
            config,
            journal,
            identity: identity::Cache::default(),
            active: RwLock::default(),
            announcements,
            nudge: Notify::new(),
            outbox: Notify::new(),
            sender,
            known: known_good::Cache::default(),
            status: RwLock::default(),
            plans: RwLock::default(),
            pressed: Mutex::default(),
            stalls: RwLock::default(),
            recovering: RwLock::default(),
            compared: config::Compared::default(),
            policies: policies::Known::default(),
            flags: flags::Known::default(),
            syncs: gitops::Syncs::default(),
            around: glance::Glances::default(),
            stalled: RwLock::default(),
            database: AtomicBool::new(false),
            passed: RwLock::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs everything that works by itself until `shutdown` is notified: the conductor, the sampler, the keeper of analyses,
    /// the evaluation of templates, the announcer, the journal's merger, the watch over what stalls and over what recovers, the recorder of known-good
    /// versions, the rollback policies, the feature flags, the status page's data, the delivery of notifications and the
    /// thinning out of old samples.
    pub async fn run(&self, shutdown: Arc<Notify>) {
        let stopped = async { shutdown.notified().await };
        let work = async {
            tokio::join!(
                self.run_announcer(),
                self.run_conductor(),
                self.run_sampler(),
                self.run_analyses(),
                self.run_templates(),
                self.run_merger(),
                self.run_stalls(),
                self.run_recovery(),
                self.run_config(),
                self.run_status(),
                self.run_recorder(),
                self.run_policies(),
                self.run_flags(),
                self.run_notifier(),
                self.run_thinning(),
            );
        };
        tokio::select! {
            () = stopped => {}
            () = work => {}
        }
        if let Err(error) = self.store().release_leases(&self.inner.config.replica).await {
            tracing::warn!(%error, "leases could not be handed back; they expire by themselves");
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.config.store
    }

    pub(crate) fn now_utc(&self) -> DateTime<Utc> {
        (self.inner.config.clock)()
    }

    pub(crate) fn cluster(&self, name: &str) -> Result<&Arc<Cluster>, Problem> {
        self.inner
            .config
            .clusters
            .iter()
            .find(|c| c.name() == name)
            .ok_or_else(|| Problem::not_found(format!("There is no cluster `{name}` here.")))
    }

    pub(crate) fn clusters(&self) -> &[Arc<Cluster>] {
        &self.inner.config.clusters
    }

    pub(crate) fn prometheus(&self, cluster: &str) -> Option<&Prometheus> {
        self.inner.config.prometheus.get(cluster)
    }

    /// The plan that a release runs. One that follows the Rollout's own steps goes along those it had at the start.
    pub(crate) async fn plan_of(&self, release: &Release) -> Result<Arc<model::plan::Plan>, Problem> {
        let plan = self.version_of(release).await?;
        Ok(match plan.follows() {
            Some(_) => Arc::new(plan.as_ref().clone().along(release.known_good.steps.as_ref())),
            None => plan,
        })
    }

    /// A version of a plan never changes, so it is kept.
    async fn version_of(&self, release: &Release) -> Result<Arc<model::plan::Plan>, Problem> {
        use error::OrProblem as _;
        let at = (release.plan, release.plan_version);
        if let Some(plan) = read_lock(&self.inner.plans).get(&at) {
            return Ok(plan.clone());
        }
        let record = self.store().plan_version(at.0, at.1).await.or_problem()?;
        let plan = Arc::new(record.plan);
        let mut plans = write_lock(&self.inner.plans);
        if plans.len() > 512 {
            plans.clear();
        }
        plans.insert(at, plan.clone());
        Ok(plan)
    }
}

/// A poisoned lock means that a reader panicked; the data behind ours is replaced whole, so it is still sound.
pub(crate) fn read_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// See [`read_lock`].
pub(crate) fn write_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
