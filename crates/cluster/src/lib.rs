//! Kubernetes as Tidegate needs it: what is running (one watch cache a cluster), what is done to it (patches
//! with preconditions), how it does (Prometheus).
//!
//! What is guaranteed: no object's content reaches a log or a message; an effect is sent once, and what
//! became of it is an [`Outcome`]; after any gap in a watch the cache equals a fresh list.

mod analyses;
mod application;
mod back;
mod blue_green;
mod cache;
mod config;
mod connect;
mod copies;
mod deployment;
mod diagnose;
mod driver;
mod effects;
mod error;
mod escort;
mod fence;
mod files;
mod front;
mod histogram;
mod httproute;
mod ingress;
mod mirror;
mod observe;
mod patch;
mod pods;
mod prometheus;
mod raw;
mod read;
mod reference;
mod rehearse;
mod rollout;
mod sample;
mod send;
mod service;
mod splitter;
mod templates;
mod twin;
mod watch;

pub use analyses::{AnalysisRun, Stage};
pub use application::Application;
pub use back::RolledBack;
pub use cache::Change;
pub use error::Error;
pub use fence::{Announced, Voided};
pub use files::{LiveFile, LiveFiles, Written};
pub use observe::{ATTEMPT, ENVIRONMENT, RELEASE, ROLLBACK, SERVICE, observe};
pub use patch::Patch;
pub use prometheus::{Line, Prometheus, Series, Source};
pub use rollout::steps;
pub use sample::{of_service, sample};
pub use send::Outcome;
pub use service::{service_history, service_reading, workflows};
pub use templates::Template;

use analyses::Analyses;
use cache::{Entry, View};
use chrono::{DateTime, Utc};
use http::Method;
use model::Book;
use model::workload::{Key, Workload};
use send::{Answer, Sender};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch as watch_channel};
use tokio::task::JoinHandle;

/// A read of almost nothing, answered only while the API server and its etcd are alive, so often: the age of
/// what pages show is never much more than this.
const PROBE: Duration = Duration::from_secs(5);
const PROBE_PATH: &str = "/apis/apps/v1/namespaces/kube-system/deployments?limit=1";
/// Connections kept open, so that a rollback's first byte need not wait for a TLS handshake, …
const WARM: usize = 4;
/// … by using them so many probes apart (20 s; the API server closes idle ones at 90 s).
const WARM_EVERY: u32 = 4;

/// One cluster: its cache and its effects. The watches end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    sender: Sender,
    view: Arc<View>,
    analyses: Arc<Analyses>,
    policies: watch_channel::Receiver<LiveFiles>,
    flags: watch_channel::Receiver<LiveFiles>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Cluster {
    /// Reads the kubeconfig (`None`: KUBECONFIG, then `~/.kube/config`, then the pod's service account) and
    /// starts watching. Does not wait for the API server: [`Cluster::synced`] tells when the cache is whole.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub async fn connect(
        name: &str,
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Arc<Self>, Error> {
        let config = connect::config(kubeconfig, context).await?;
        let client = connect::client(&config)?;
        let (view, mut tasks) = cache::start(&client, name);
        let told = view.clone();
        let (analyses, watching) = analyses::start(&client, name, move |key| told.tell(key));
        tasks.extend(watching);
        let (policies, watching) = files::start(&client, Book::Policies);
        tasks.extend(watching);
        let (flags, watching) = files::start(&client, Book::Flags);
        tasks.extend(watching);
        let sender = Sender { client, cluster: name.to_owned() };
        tasks.push(tokio::spawn(probe(sender.clone(), view.clone())));
        Ok(Arc::new(Self { name: name.to_owned(), sender, view, analyses, policies, flags, tasks }))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the API server for its version: `v1.34.4`.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`].
    pub async fn version(&self) -> Result<String, Error> {
        let value = self.sender.read("/version", "read its version", None).await?;
        Ok(value["gitVersion"].as_str().unwrap_or("unknown").to_owned())
    }

    /// The last moment at which every watch was known to be alive: what the cache holds is true as of then.
    /// `None` before each kind was listed once.
    pub fn synced(&self) -> Option<DateTime<Utc>> {
        self.view.synced()
    }

    /// Changes from now on. A listener that lags should read everything again, as for [`Change::Resync`].
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.view.changes()
    }

    /// Rises with every change of the cache.
    pub fn generation(&self) -> u64 {
        self.view.generation()
    }

    /// A workload as last seen.
    pub fn workload(&self, key: &Key) -> Option<Arc<Workload>> {
        self.view.entry(key).map(|e| e.workload.clone())
    }

    /// All workloads as last seen, sorted by key. Cheap: made once for each state of the cache.
    pub fn workloads(&self) -> Arc<Vec<Arc<Workload>>> {
        self.view.workloads()
    }

    /// The analyses that Argo Rollouts runs, or lately ran, about a Rollout, oldest first. [`Cluster::changes`] tells of
    /// each measurement. None where the cluster has no such kind, or Tidegate may not list it.
    pub fn analyses(&self, key: &Key) -> Vec<Arc<AnalysisRun>> {
        self.analyses.of(key)
    }

    /// A workload as the API server has it now, past the cache.
    ///
    /// # Errors
    /// [`Error::Gone`], or as for any read.
    pub async fn fresh(&self, key: &Key) -> Result<Workload, Error> {
        Ok(self.read(key).await?.entry.workload.as_ref().clone())
    }

    /// Waits until what is seen of a workload satisfies `is`; `None` after `at_most`.
    pub async fn wait_for(
        &self,
        key: &Key,
        at_most: Duration,
        is: impl Fn(&Workload) -> bool,
    ) -> Option<Arc<Workload>> {
        self.view.wait_for(key, at_most, is).await
    }
}

/// Keeps the age of the cache honest, and connections open.
async fn probe(sender: Sender, view: Arc<View>) {
    let mut ticks = tokio::time::interval(PROBE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tick = 0;
    loop {
        ticks.tick().await;
        let read = || sender.call(Method::GET, PROBE_PATH, None);
        let warm = if tick % WARM_EVERY == 0 { WARM } else { 1 };
        tick += 1;
        let answers = futures::future::join_all((0..warm).map(|_| read())).await;
        if answers.iter().all(|a| matches!(a, Answer::Ok(_))) {
            view.probed();
        }
    }
}
