//! The development world of `./run`: Postgres, a cluster, and the server, started in order and stopped
//! together.

use std::{
    env,
    fs::{self, File, Permissions},
    io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::time;

use crate::{
    Options, Sandbox,
    child::{Process, Progress, guarded},
    cluster::http_ok,
    pki::write_private,
    postgres::Postgres,
};

/// How long the server may take to answer `/readyz`, with migrations and the demo's accounts to be made.
const READY: Duration = Duration::from_secs(60);

/// How long a server of somebody else's may take to answer before we say that it does not.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the server may take to end its requests when it is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// The domain of the demo's accounts.
const DEMO_DOMAIN: &str = "@demo.tidegate.dev";

/// The password of the demo's accounts; said only when the sign-in page says it too.
const DEMO_PASSWORD: &str = "tidegate-demo";

/// What to run.
#[derive(Debug, Clone)]
pub struct World {
    /// The server's binary.
    pub tidegate: PathBuf,
    /// The built site.
    pub site: PathBuf,
    /// Directory of all data.
    pub data: PathBuf,
    /// Address to serve on.
    pub listen: SocketAddr,
    /// Use the current context of KUBECONFIG instead of a sandbox.
    pub cluster: bool,
    /// URL of Prometheus; needed with `cluster`.
    pub prometheus: Option<String>,
}

/// The started parts, in the order in which they must be stopped.
#[derive(Debug)]
struct Parts {
    server: Process,
    sandbox: Option<Sandbox>,
    postgres: Option<Postgres>,
}

impl Parts {
    fn check(&self) -> Result<()> {
        self.server.check()?;
        self.sandbox.as_ref().map_or(Ok(()), Sandbox::check)?;
        self.postgres.as_ref().map_or(Ok(()), Postgres::check)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // The server first: it must not see its database and its cluster vanish. The others follow as fields
        // do.
        self.server.stop(Signal::TERM, GRACE);
    }
}

/// A cluster the server is to use.
struct Target {
    name: String,
    /// Value for KUBECONFIG.
    kubeconfig: String,
    prometheus: String,
}

/// Start everything, say where it is, and keep it until something ends by itself, which is an error. To stop
/// it, drop the future.
///
/// # Errors
/// When a port is taken, a tool is missing, a given cluster, Prometheus or database does not answer, or a
/// part ends; each as one line that says what to do.
pub async fn run(world: World) -> Result<()> {
    let progress = Progress::new(false);
    free(world.listen)?;
    for (what, path) in [("the server", &world.tidegate), ("the site", &world.site)] {
        if !path.exists() {
            bail!("{what} is not built: {} is missing. Run `cargo xtask build`, or ./run.", path.display());
        }
    }
    fs::create_dir_all(world.data.join("log"))
        .with_context(|| format!("creating {}", world.data.display()))?;
    let data = fs::canonicalize(&world.data)?;
    let lock = File::create(data.join("lock"))?;
    if lock.try_lock().is_err() {
        bail!("another ./run uses {}. Stop that one first.", data.display());
    }

    // Somebody's own cluster is asked before anything is started: it is the likeliest to refuse.
    let own = match world.cluster {
        true => Some(existing(&world, &data, progress).await?),
        false => None,
    };
    let ((database, postgres), (target, sandbox)) =
        tokio::try_join!(database(&data, progress), cluster(own, &data, progress))?;
    let server = serve(&world, &data, &target, &database, sandbox.is_some())?;
    let parts = Parts { server, sandbox, postgres };
    let address = format!("http://{}", host(world.listen));
    ready(&parts, &address).await?;
    progress.say("Tidegate is ready");
    println!("{}", summary(&world, &data, &address, &target, &parts).await);
    let mut tick = time::interval(Duration::from_millis(500));
    loop {
        tick.tick().await;
        parts.check()?;
    }
}

/// A message without line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// What an error comes down to.
fn root_cause(e: &dyn std::error::Error) -> String {
    let mut deepest = e;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    one_line(&deepest.to_string())
}

/// The address as a person types it.
fn host(listen: SocketAddr) -> String {
    if listen.ip().is_loopback() { format!("localhost:{}", listen.port()) } else { listen.to_string() }
}

fn free(listen: SocketAddr) -> Result<()> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            bail!("{listen} is in use. Stop what serves there, or choose another port: ./run --port 3100")
        }
        Err(e) => Err(anyhow!("cannot serve on {listen}: {e}. Choose another port: ./run --port 3100")),
    }
}

/// The database that DATABASE_URL names, once it answers; else a Postgres of our own.
async fn database(data: &Path, progress: Progress) -> Result<(String, Option<Postgres>)> {
    if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
        let connect = time::timeout(ANSWER, PgConnection::connect(&url)).await;
        let why = match connect {
            Ok(Ok(connection)) => {
                let _ = connection.close().await;
                progress.say("using the database of DATABASE_URL");
                return Ok((url, None));
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer within {ANSWER:?}"),
        };
        bail!("the database of DATABASE_URL cannot be used: {why}. Correct or unset DATABASE_URL.");
    }
    let postgres = Postgres::start_with(&data.join("postgres"), progress).await?;
    Ok((postgres.url.clone(), Some(postgres)))
}

/// The given cluster, else a sandbox.
async fn cluster(own: Option<Target>, data: &Path, progress: Progress) -> Result<(Target, Option<Sandbox>)> {
    if let Some(target) = own {
        return Ok((target, None));
    }
    if env::var_os("KUBECONFIG").is_some_and(|v| !v.is_empty()) {
        progress
            .say("KUBECONFIG is not used: this world has a cluster of its own (./run --cluster uses yours)");
    }
    let options = Options { data: data.join("sandbox"), demo: true, postgres: false, quiet: false };
    let sandbox = Sandbox::start_with(options, progress).await?;
    let target = Target {
        name: "demo".to_owned(),
        kubeconfig: sandbox.info.tidegate_kubeconfig.display().to_string(),
        prometheus: sandbox.info.prometheus_url.clone(),
    };
    Ok((target, Some(sandbox)))
}

/// The cluster of KUBECONFIG, once its API server and its Prometheus answer.
async fn existing(world: &World, data: &Path, progress: Progress) -> Result<Target> {
    let Some(prometheus) = world.prometheus.clone() else {
        bail!("--cluster needs the cluster's Prometheus too: ./run --cluster --prometheus http://host:9090");
    };
    let variable = env::var("KUBECONFIG").ok().filter(|v| !v.is_empty());
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let kubeconfig = match variable {
        Some(paths) => paths,
        None => match home.filter(|file| file.exists()) {
            Some(file) => file.display().to_string(),
            None => bail!("--cluster needs a kubeconfig: set KUBECONFIG to its path, or leave --cluster out"),
        },
    };
    let broken = |e: &dyn std::fmt::Display| {
        let why = one_line(&e.to_string());
        anyhow!("the kubeconfig {kubeconfig} cannot be used: {why}. Correct it, or leave --cluster out.")
    };
    // Several files may be named, as kubectl allows; the first to say something wins. The server reads one.
    let files: Vec<PathBuf> = env::split_paths(&kubeconfig).filter(|p| !p.as_os_str().is_empty()).collect();
    let mut merged = Kubeconfig::default();
    for file in &files {
        let next = Kubeconfig::read_from(file).map_err(|e| broken(&e))?;
        merged = merged.merge(next).map_err(|e| broken(&e))?;
    }
    let one = match &files[..] {
        [one] => one.clone(),
        _ => {
            let one = data.join("cluster.kubeconfig");
            write_private(&one, &serde_json::to_string(&merged)?)?;
            one
        }
    };
    let Some(context) = merged.current_context.clone() else {
        return Err(broken(&"it has no current context (kubectl config use-context NAME sets one)"));
    };
    let config = Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default()).await;
    let config = config.map_err(|e| broken(&e))?;
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|e| broken(&e))?;
    match time::timeout(ANSWER, client.apiserver_version()).await {
        Ok(Ok(version)) => progress.say(format!("cluster {context}: Kubernetes {}", version.git_version)),
        Ok(Err(kube::Error::Api(e))) => {
            let why = one_line(&e.message);
            bail!("the cluster of context {context} ({url}) refuses: {why}. Is the kubeconfig current?")
        }
        Ok(Err(e)) => {
            let why = root_cause(&e);
            bail!("the cluster of context {context} ({url}) cannot be reached: {why}. Is it running?")
        }
        Err(_) => bail!(
            "the cluster of context {context} ({url}) does not answer within {ANSWER:?}. Is it running?"
        ),
    }
    if !http_ok(&format!("{}/api/v1/query?query=1", prometheus.trim_end_matches('/'))).await {
        bail!("no Prometheus answers at {prometheus}. Give its base URL: --prometheus http://localhost:9090");
    }
    Ok(Target { name: context, kubeconfig: one.display().to_string(), prometheus })
}

fn serve(world: &World, data: &Path, target: &Target, database: &str, demo: bool) -> Result<Process> {
    let mut command = guarded(fs::canonicalize(&world.tidegate)?, None);
    command
        .arg("serve")
        .env("TIDEGATE_LISTEN", world.listen.to_string())
        .env("DATABASE_URL", database)
        .env("KUBECONFIG", &target.kubeconfig)
        .env("TIDEGATE_CLUSTER", &target.name)
        .env("TIDEGATE_PROMETHEUS", &target.prometheus)
        .env("TIDEGATE_SITE", fs::canonicalize(&world.site)?)
        .env("TIDEGATE_DATA", data)
        // A person's own cluster gets no accounts with a known password: the first-run page makes the first
        // one.
        .env_remove("TIDEGATE_DEMO");
    if demo {
        command.env("TIDEGATE_DEMO", "1");
    }
    let log = data.join("log/tidegate.log");
    let process = Process::start("the server", command, &log)?;
    fs::set_permissions(&log, Permissions::from_mode(0o600))?;
    Ok(process)
}

async fn ready(parts: &Parts, address: &str) -> Result<()> {
    let url = format!("{address}/readyz");
    let deadline = time::Instant::now() + READY;
    while !http_ok(&url).await {
        parts.check()?;
        if time::Instant::now() >= deadline {
            bail!("the server does not become ready within {READY:?} ({url}). {}", parts.server.last_words());
        }
        time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What a person needs to begin.
async fn summary(world: &World, data: &Path, address: &str, target: &Target, parts: &Parts) -> String {
    let mut lines = vec![String::new(), format!("  Tidegate     {address}")];
    if let Some(sandbox) = &parts.sandbox {
        let page = text(&format!("{address}/login")).await.unwrap_or_default();
        let accounts = accounts(&page);
        if accounts.is_empty() {
            lines.push(format!("  Accounts     on the sign-in page, {address}/login"));
        }
        for (i, account) in accounts.iter().enumerate() {
            lines.push(format!("  {}{account}", if i == 0 { "Accounts     " } else { "             " }));
        }
        if page.contains(DEMO_PASSWORD) {
            lines.push(format!("  Password     {DEMO_PASSWORD}"));
        }
        lines.push(format!("  API tokens   {}", data.join("demo-tokens.json").display()));
        lines.push(format!("  kubectl      export KUBECONFIG={}", sandbox.info.admin_kubeconfig.display()));
        lines.push(format!("               {}", sandbox.info.bin_dir.join("kubectl").display()));
    } else {
        lines.push(format!("  Accounts     none yet: {address}/setup makes the first"));
        lines.push(format!("  Cluster      {} ({})", target.name, target.kubeconfig));
    }
    lines.push(format!("  Prometheus   {}", target.prometheus));
    let database = if parts.postgres.is_some() { "in it" } else { "DATABASE_URL" };
    lines.push(format!(
        "  Data         {} (database: {database}; logs: {}/log)",
        data.display(),
        world.data.display()
    ));
    lines.push("\n  Ctrl-C stops everything.".to_owned());
    lines.join("\n")
}

async fn text(url: &str) -> Result<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build()?;
    Ok(client.get(url).send().await?.text().await?)
}

/// The demo's addresses that a sign-in page offers, in its order, each once.
fn accounts(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, _) in page.match_indices(DEMO_DOMAIN) {
        let name: String = page[..at]
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphanumeric() || "._+-".contains(*c))
            .collect();
        let account = format!("{}{DEMO_DOMAIN}", name.chars().rev().collect::<String>());
        if !name.is_empty() && !found.contains(&account) {
            found.push(account);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_off_the_sign_in_page() {
        let page = "<li>a.b@demo.tidegate.dev</li><input value=\"c@demo.tidegate.dev\">a.b@demo.tidegate.dev \
            @demo.tidegate.dev";
        assert_eq!(accounts(page), ["a.b@demo.tidegate.dev", "c@demo.tidegate.dev"]);
    }

    #[test]
    fn a_taken_port_is_said_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let message = free(taken.local_addr().unwrap()).unwrap_err().to_string();
        assert!(message.contains("is in use") && message.contains("--port"), "{message}");
    }
}
