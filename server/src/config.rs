//! Settings: from the command line or the environment, each with a default that is safe.

use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;

/// What a database can be asked with.
#[derive(Clone, Debug, Args)]
pub struct Database {
    /// Postgres, as the application uses it: postgres://user:password@host:5432/tidegate
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// The same database as the owner of its tables, for migrations. Default: DATABASE_URL
    #[arg(long, env = "TIDEGATE_OWNER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub owner_database_url: Option<String>,
}

impl Database {
    /// # Errors
    /// When none was given.
    pub fn url(&self) -> anyhow::Result<&str> {
        self.database_url.as_deref().filter(|u| !u.is_empty()).ok_or_else(|| {
            anyhow::anyhow!(
                "DATABASE_URL is not set. Set it to a Postgres database: postgres://user:password@host:5432/tidegate"
            )
        })
    }

    /// # Errors
    /// When none was given.
    pub fn owner_url(&self) -> anyhow::Result<&str> {
        match self.owner_database_url.as_deref().filter(|u| !u.is_empty()) {
            Some(url) => Ok(url),
            None => self.url(),
        }
    }
}

/// Text that is never shown, not even where settings are.
#[derive(Clone)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(Self(s.to_owned()))
    }
}

/// What notifications are sent with.
#[derive(Clone, Debug, Args)]
pub struct NotifySettings {
    /// Key that secrets of destinations are encrypted with: 32 bytes in base64, from `openssl rand -base64 32`. Without
    /// it they come from the environment only
    #[arg(long, env = "TIDEGATE_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    pub secret_key: Option<Hidden>,
    /// Authorities to trust for receivers and mail servers, beside the well-known ones
    #[arg(long, env = "TIDEGATE_NOTIFY_CA", value_name = "PEM FILE")]
    pub notify_ca: Option<PathBuf>,
    /// For trying out: receivers on this machine are allowed, also over plain HTTP
    #[arg(long, env = "TIDEGATE_NOTIFY_LOOPBACK", value_parser = clap::builder::FalseyValueParser::new(),
          num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub notify_loopback: bool,
}

impl NotifySettings {
    /// # Errors
    /// When the key or the certificates cannot be read. Never repeats the key.
    pub fn notifying(&self, public_url: Option<&Url>) -> anyhow::Result<control::Notifying> {
        use anyhow::Context as _;
        let key = match self.secret_key.as_ref().map(|k| k.0.trim()).filter(|k| !k.is_empty()) {
            None => None,
            Some(text) => Some(
                control::SecretKey::read(text)
                    .map_err(|why| anyhow::anyhow!("TIDEGATE_SECRET_KEY cannot be used. {why}"))?,
            ),
        };
        let roots = match &self.notify_ca {
            None => None,
            Some(file) => Some(
                std::fs::read(file)
                    .with_context(|| format!("TIDEGATE_NOTIFY_CA: {} cannot be read", file.display()))?,
            ),
        };
        Ok(control::Notifying {
            key,
            roots,
            loopback: self.notify_loopback,
            public_url: public_url.map(ToString::to_string),
            ..control::Notifying::default()
        })
    }
}

/// Everything `serve` needs.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Address to listen on
    #[arg(long, env = "TIDEGATE_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub database: Database,
    /// Name under which the cluster is shown
    #[arg(long, env = "TIDEGATE_CLUSTER", default_value = "main", value_name = "NAME")]
    pub cluster: String,
    /// Kubeconfig of the cluster. Default: those of KUBECONFIG, ~/.kube/config, or the pod's own service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig. Default: its current one
    #[arg(long, env = "TIDEGATE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    #[command(flatten)]
    pub metrics: crate::sources::MetricSettings,
    /// Directory of the site that `cargo xtask build` made
    #[arg(long, env = "TIDEGATE_SITE", default_value = "target/site", value_name = "DIR")]
    pub site: PathBuf,
    /// Directory for what must outlive the process: the rollback journal
    #[arg(long, env = "TIDEGATE_DATA", default_value = ".data", value_name = "DIR")]
    pub data: PathBuf,
    /// Namespace that Tidegate runs in: its ConfigMap rollback-policies rules where a namespace has none of its own
    #[arg(long, env = "TIDEGATE_NAMESPACE", default_value = "tidegate", value_name = "NAME")]
    pub namespace: String,
    /// Name of this replica, unique among those that share the database. Default: host name and process id
    #[arg(long, env = "TIDEGATE_REPLICA", value_name = "NAME")]
    pub replica: Option<String>,
    /// The address people use, when a proxy is in between. With https, cookies are for https only
    #[arg(long, env = "TIDEGATE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<Url>,
    /// How many proxies in front add to X-Forwarded-For: 0 takes nobody's word for an address
    #[arg(long, env = "TIDEGATE_PROXIES", default_value_t = 0, value_name = "N")]
    pub proxies: usize,
    /// Demo: an account for each role, with passwords that the sign-in page shows
    #[arg(long, env = "TIDEGATE_DEMO", value_parser = clap::builder::FalseyValueParser::new(),
          num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub demo: bool,
    /// How long what was measured during a release is kept after its end
    #[arg(long, env = "TIDEGATE_KEEP_SAMPLES_DAYS", default_value_t = control::KEEP_DAYS, value_name = "DAYS",
          value_parser = clap::value_parser!(u16).range(2..))]
    pub keep_samples: u16,
    /// Requests a second that each key for feature flags may make of this replica; twice as many at once
    #[arg(long, env = "TIDEGATE_OFREP_RATE", default_value = "2000", value_name = "N")]
    pub ofrep_rate: std::num::NonZeroU32,
    #[command(flatten)]
    pub notify: NotifySettings,
    /// Log as JSON lines
    #[arg(long, env = "TIDEGATE_LOG_JSON", value_parser = clap::builder::FalseyValueParser::new(),
          num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub log_json: bool,
}

impl Settings {
    /// People reach us by https.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|u| u.scheme() == "https")
    }

    /// Name of this replica.
    pub fn replica_name(&self) -> String {
        self.replica.clone().filter(|r| !r.is_empty()).unwrap_or_else(|| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let host = host.trim();
            format!("{}-{}", if host.is_empty() { "tidegate" } else { host }, std::process::id())
        })
    }

    /// The file that names the hashes of the site's files; only a release build has one.
    pub fn hashes(&self) -> Option<PathBuf> {
        let file = absolute(&self.site).join("hash.txt");
        file.is_file().then_some(file)
    }
}

/// Independent of where the process may go.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
