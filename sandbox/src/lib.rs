//! A real Kubernetes control plane on one machine, without containers: etcd, API server, controllers,
//! scheduler, Argo Rollouts, kwok's nodes and pods, Prometheus and simulated users. For `./run`, tests and
//! benchmarks.
//!
//! Nothing it starts outlives the process that started it. See `sandbox/README.md`.

mod apply;
mod binaries;
mod child;
mod cluster;
mod demo;
mod evidence;
mod manifest;
mod pki;
mod ports;
pub mod postgres;
pub mod run;
mod traffic;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use rand::Rng as _;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

pub use apply::{in_phase, rollouts, wait_for};
pub use binaries::{Binaries, ensure};
pub use child::{Progress, alive};
pub use cluster::client;
pub use manifest::{Strategy, Workload, rollout_manifest};

use crate::{apply::Applier, cluster::Cluster, postgres::Postgres, traffic::Traffic};

/// The environment variable that names the `sandbox.json` of a running sandbox to use instead of starting
/// one.
pub const SHARED: &str = "TIDEGATE_SANDBOX";

/// Label of a test's namespace: the id of the process it belongs to.
const OWNER: &str = "sandbox.tidegate.dev/test";

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of everything the sandbox keeps. A second start on it finds the data again.
    pub data: PathBuf,
    /// Create the demo world (namespaces `shop` and `agent-platform`).
    pub demo: bool,
    /// Start a Postgres too.
    pub postgres: bool,
    /// Print no progress.
    pub quiet: bool,
}

/// Where a running sandbox is reached: the content of `sandbox.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Info {
    /// Kubeconfig of a cluster-admin, for arranging what a test needs.
    pub admin_kubeconfig: PathBuf,
    /// Kubeconfig of the service account `tidegate/tidegate`, with the rights of `deploy/rbac.yaml`.
    pub tidegate_kubeconfig: PathBuf,
    /// `https://127.0.0.1:<port>`
    pub apiserver_url: String,
    /// `http://127.0.0.1:<port>`
    pub prometheus_url: String,
    /// `http://127.0.0.1:<port>`; the metrics are at `/metrics`.
    pub traffic_url: String,
    /// One JSON object a line for each write the API server took.
    pub audit_log: PathBuf,
    /// Holds `kubectl` and `kubectl-argo-rollouts` among others.
    pub bin_dir: PathBuf,
    /// Process ids by name.
    pub pids: BTreeMap<String, u32>,
    /// Database `tidegate` of the sandbox's Postgres, when it was asked for.
    pub postgres_url: Option<String>,
}

/// A running sandbox: one's own, which ends when this is dropped, or one shared with other processes.
#[derive(Debug)]
pub struct Sandbox {
    /// Where to reach it.
    pub info: Info,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    cluster: Cluster,
    postgres: Option<Postgres>,
    _traffic: Traffic,
    /// Held for as long as the sandbox runs; two on one data directory would destroy it.
    _lock: File,
}

impl Sandbox {
    /// Build what is missing, start everything, wait until it is ready, and write `sandbox.json` into the
    /// data directory.
    ///
    /// # Errors
    /// When another sandbox runs on the same data, a program cannot be built or started, or is not ready in
    /// time.
    pub async fn start(options: Options) -> Result<Self> {
        let progress = Progress::new(options.quiet);
        Self::start_with(options, progress).await
    }

    /// [`Sandbox::start`] as a part of something longer, whose progress it continues.
    pub(crate) async fn start_with(options: Options, progress: Progress) -> Result<Self> {
        fs::create_dir_all(&options.data).with_context(|| format!("creating {}", options.data.display()))?;
        let dir = fs::canonicalize(&options.data)?;
        let lock = File::create(dir.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!("another sandbox runs on {}. Stop it first, or choose another directory.", dir.display());
        }
        // Whoever reads it must not be sent to the ports of an earlier run.
        let file = dir.join("sandbox.json");
        let _ = fs::remove_file(&file);
        let binaries = tokio::task::spawn_blocking(move || ensure(progress)).await??;
        let postgres = async {
            match options.postgres {
                true => Postgres::start_with(&dir.join("postgres"), progress).await.map(Some),
                false => Ok(None),
            }
        };
        let (cluster, postgres) = tokio::try_join!(Cluster::start(&dir, &binaries, progress), postgres)?;
        let traffic = Traffic::start(&cluster.admin_kubeconfig, cluster.ports["traffic"])?;
        if options.demo {
            demo::seed(&client(&cluster.admin_kubeconfig).await?, progress).await?;
        }
        let mut pids: BTreeMap<String, u32> =
            cluster.processes.iter().map(|p| (p.name.clone(), p.pid())).collect();
        pids.extend(postgres.as_ref().and_then(Postgres::pid).map(|pid| ("postgres".to_owned(), pid)));
        pids.insert("sandbox".to_owned(), std::process::id());
        let local = |name: &str| format!("http://127.0.0.1:{}", cluster.ports[name]);
        let info = Info {
            admin_kubeconfig: cluster.admin_kubeconfig.clone(),
            tidegate_kubeconfig: cluster.tidegate_kubeconfig.clone(),
            apiserver_url: cluster.url.clone(),
            prometheus_url: local("prometheus"),
            traffic_url: local("traffic"),
            audit_log: cluster.audit_log.clone(),
            bin_dir: binaries.bin.clone(),
            pids,
            postgres_url: postgres.as_ref().map(|p| p.url.clone()),
        };
        let sandbox =
            Self { info, running: Some(Running { cluster, postgres, _traffic: traffic, _lock: lock }) };
        // Renamed into place: a reader sees the whole file or none.
        let part = dir.join("sandbox.json.part");
        pki::write_private(&part, &serde_json::to_string_pretty(&sandbox.info)?)?;
        fs::rename(part, &file)?;
        Ok(sandbox)
    }

    /// Use the running sandbox whose `sandbox.json` is at `file`.
    ///
    /// # Errors
    /// When the file cannot be read, or that sandbox has ended.
    pub fn attach(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let info: Info =
            serde_json::from_str(&text).with_context(|| format!("{} is no sandbox.json", file.display()))?;
        if info.pids.get("sandbox").is_some_and(|pid| !alive(*pid)) {
            bail!("the sandbox of {} has ended. Start it again, or unset {SHARED}.", file.display());
        }
        Ok(Self { info, running: None })
    }

    /// The sandbox of this test process: the one that TIDEGATE_SANDBOX names, else one started for this
    /// process in a temporary directory, without the demo world. It ends with the process.
    ///
    /// # Errors
    /// As [`Sandbox::start`] and [`Sandbox::attach`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED_SANDBOX: OnceCell<Sandbox> = OnceCell::const_new();
        SHARED_SANDBOX
            .get_or_try_init(|| async {
                if let Some(file) = std::env::var_os(SHARED).filter(|f| !f.is_empty()) {
                    return Self::attach(Path::new(&file));
                }
                let data = temporary("sandbox")?;
                Self::start(Options { data, demo: false, postgres: false, quiet: false }).await
            })
            .await
    }

    /// A new client with the rights of a cluster-admin. Each test takes its own: a client belongs to the
    /// runtime it was made in.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn admin(&self) -> Result<Client> {
        client(&self.info.admin_kubeconfig).await
    }

    /// A new client with Tidegate's own rights.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn tidegate(&self) -> Result<Client> {
        client(&self.info.tidegate_kubeconfig).await
    }

    /// Create a namespace with a name of its own, `prefix-xxxxxx`, in which pods can run. It stays, to be looked at,
    /// until another test process creates one after this process has ended.
    ///
    /// # Errors
    /// When the API server refuses, or the namespace gets no service account within 10 s.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let client = self.admin().await?;
        let api: Api<Namespace> = Api::all(client.clone());
        for left in api.list(&ListParams::default().labels(OWNER)).await? {
            let owner = left.labels().get(OWNER).and_then(|pid| pid.parse().ok());
            if left.metadata.deletion_timestamp.is_none() && owner.is_some_and(|pid| !alive(pid)) {
                // Another process may be doing the same.
                let _ = api.delete(&left.name_any(), &DeleteParams::default()).await;
            }
        }
        let name = format!("{prefix}-{:06x}", rand::rng().random_range(0..0x100_0000));
        let labels = serde_json::json!({OWNER: std::process::id().to_string()});
        let namespace = serde_json::json!({"metadata": {"name": name, "labels": labels}});
        api.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
        wait_for(&accounts, "default", "a service account", Duration::from_secs(10), |_| true).await?;
        Ok(name)
    }

    /// Apply (server side, by force) each document of `yaml`, one after the other.
    ///
    /// # Errors
    /// When a document is no object or the API server refuses it.
    pub async fn apply_yaml(&self, yaml: &str) -> Result<()> {
        let applier = Applier::new(self.admin().await?);
        for object in apply::documents(yaml)? {
            applier.apply(&object).await?;
        }
        Ok(())
    }

    /// Requests of a service's simulated users that no pod was there for, since the sandbox was started. `None`
    /// before somebody has been there.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn requests_to_nothing(&self, namespace: &str, service: &str) -> Result<Option<f64>> {
        let text = reqwest::get(format!("{}/metrics", self.info.traffic_url)).await?.text().await?;
        let name =
            format!("sandbox_requests_to_nothing_total{{namespace=\"{namespace}\",service=\"{service}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&name));
        count.map(|count| count.parse().context("a count")).transpose()
    }

    /// Wait until a Rollout's newest spec is observed and Healthy.
    ///
    /// # Errors
    /// When `deadline` passes first; the message shows its status.
    pub async fn wait_healthy(&self, namespace: &str, rollout: &str, deadline: Duration) -> Result<()> {
        let api = rollouts(self.admin().await?, namespace);
        wait_for(&api, rollout, "Healthy", deadline, |r| in_phase(r, "Healthy")).await?;
        Ok(())
    }

    /// Fail when one of the programs has ended; the message names it and shows the end of its log.
    ///
    /// # Errors
    /// When a program has ended.
    pub fn check(&self) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        running.cluster.check()?;
        running.postgres.as_ref().map_or(Ok(()), Postgres::check)
    }

    /// The sandbox's own Postgres, when this process started it.
    #[must_use]
    pub fn postgres(&self) -> Option<&Postgres> {
        self.running.as_ref()?.postgres.as_ref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All of them keep their state in etcd, so only etcd and Postgres are asked politely.
        for process in self.cluster.processes.iter().rev() {
            match process.name.as_str() {
                "etcd" | "prometheus" => process.stop(Signal::TERM, Duration::from_secs(5)),
                _ => process.kill(),
            }
        }
        if let Some(postgres) = &self.postgres {
            postgres.stop();
        }
    }
}

/// A directory of this process below the system's temporary one. Those of processes that ended are removed: a
/// test process has no moment at its end to do it.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn temporary(what: &str) -> Result<PathBuf> {
    let root = std::env::temp_dir();
    let prefix = format!("tidegate-{what}-");
    for entry in fs::read_dir(&root)?.filter_map(Result::ok) {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|n| n.strip_prefix(&prefix)).and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !alive(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let dir = root.join(format!("{prefix}{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}
