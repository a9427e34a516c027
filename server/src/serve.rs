//! `tidegate serve`: from settings to a listening server, and back down.

use crate::config::{Settings, absolute};
use crate::live::{Deltas, Recent};
use crate::router;
use crate::session::Sessions;
use crate::shutdown::{self, PATIENCE};
use crate::state::AppState;
use anyhow::{Context as _, Result, bail};
use axum::serve::ListenerExt as _;
use cluster::Cluster;
use control::{Config, Control};
use leptos::config::LeptosOptions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long to wait at the start for a database that does not answer yet.
const DATABASE_WITHIN: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

/// Runs until asked to end.
///
/// # Errors
/// In one line that says what to do.
pub async fn serve(settings: Settings) -> Result<()> {
    let ending = shutdown::on_signals().context("signals cannot be listened for")?;
    let listener = listen(settings.listen).await?;
    let site = absolute(&settings.site);
    if !site.join("pkg").is_dir() {
        bail!(
            "there is no site in {}: run `cargo xtask build`, or point TIDEGATE_SITE at one",
            site.display()
        );
    }
    bring_up_to_date(&settings, &ending).await?;
    let store = database(settings.database.url()?, &ending).await?;
    let cluster =
        Cluster::connect(&settings.cluster, settings.kubeconfig.as_deref(), settings.context.as_deref())
            .await
            .context("the cluster cannot be used")?;
    let state = assemble(settings, store, vec![cluster])?;
    let state = AppState { ending: ending.clone(), ..state };
    if state.settings.demo {
        state.control.demo_seed().await.context("the demo accounts cannot be made")?;
    }
    run(state, listener, ending).await
}

/// Puts the parts together. Connects to nothing.
///
/// # Errors
/// When the database's address cannot be read or the data directory cannot be written.
pub fn assemble(settings: Settings, store: Store, clusters: Vec<Arc<Cluster>>) -> Result<AppState> {
    let data = absolute(&settings.data);
    std::fs::create_dir_all(&data)
        .with_context(|| format!("{} cannot be made: choose another with TIDEGATE_DATA", data.display()))?;
    let prometheus = settings.metrics.prometheus(&settings.cluster)?;
    let control = Control::new(Config {
        store: store.clone(),
        clusters: clusters.clone(),
        prometheus,
        data_dir: data,
        clock: Arc::new(chrono::Utc::now),
        home: settings.namespace.clone(),
        replica: settings.replica_name(),
        demo: settings.demo,
        notifying: settings.notify.notifying(settings.public_url.as_ref())?,
        keep_samples_days: settings.keep_samples,
    })?;
    let sessions = Sessions::new(settings.database.url()?).context("DATABASE_URL cannot be read")?;
    let hashes = settings.hashes();
    let leptos = LeptosOptions::builder()
        .output_name("tidegate")
        .site_root(absolute(&settings.site).display().to_string())
        .site_pkg_dir("pkg")
        .site_addr(settings.listen)
        .hash_files(hashes.is_some())
        // Absolute, since leptos looks for it beside the binary otherwise.
        .hash_file(Arc::<str>::from(hashes.unwrap_or_default().display().to_string()))
        .build();
    Ok(AppState {
        control,
        store,
        clusters: clusters.into(),
        sessions,
        metrics: Arc::default(),
        settings: Arc::new(settings),
        leptos,
        migrated: Arc::default(),
        ending: CancellationToken::new(),
        recent: Recent::default(),
        deltas: Deltas::default(),
    })
}

async fn run(state: AppState, listener: TcpListener, ending: CancellationToken) -> Result<()> {
    let stop = Arc::new(Notify::new());
    let mut work = tokio::task::JoinSet::new();
    {
        let (control, stop) = (state.control.clone(), stop.clone());
        work.spawn(async move { control.run(stop).await });
        let (sessions, token) = (state.sessions.clone(), ending.clone());
        work.spawn(async move { sessions.run(token).await });
        let (recent, control, token) = (state.recent.clone(), state.control.clone(), ending.clone());
        work.spawn(async move { recent.run(control, token).await });
    }
    let address = listener.local_addr().unwrap_or(state.settings.listen);
    let app = router::router(&state).into_make_service_with_connect_info::<SocketAddr>();
    // Without it the second half of a small answer waits for an acknowledgement: 40 ms, on a rollback's press too.
    let listener = listener.tap_io(|io| {
        let _ = io.set_nodelay(true);
    });
    tracing::info!(%address, replica = state.settings.replica_name(), "ready: http://{address}");
    let serving = {
        let ending = ending.clone();
        axum::serve(listener, app).with_graceful_shutdown(async move { ending.cancelled().await })
    };
    let mut serving = tokio::spawn(async move { serving.await });
    tokio::select! {
        done = &mut serving => return done.context("the server ended")?.context("the server failed"),
        // The conductor ends only when told to: anything else is a fault that a restart may mend.
        Some(_) = work.join_next(), if !ending.is_cancelled() => {
            if !ending.is_cancelled() {
                bail!("a part that must run for ever has ended; its reason is in the log above");
            }
        }
        () = ending.cancelled() => {}
    }
    stop.notify_one();
    let finished = async {
        while work.join_next().await.is_some() {}
        let _ = serving.await;
    };
    if tokio::time::timeout(PATIENCE, finished).await.is_err() {
        tracing::warn!("not everything ended in time; leases expire by themselves");
    }
    tracing::info!("ended");
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "{address} is in use: end what listens there, or choose another with TIDEGATE_LISTEN"
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("{address} needs more rights: choose a port above 1023 with TIDEGATE_LISTEN")
        }
        _ => anyhow::anyhow!("{address} cannot be listened on ({e}): choose another with TIDEGATE_LISTEN"),
    })
}

/// Migrates as the owner, if we were told one; else as who we are, if that is allowed. Where it is not, somebody else
/// migrates, and [`database`] says so if nobody did.
async fn bring_up_to_date(settings: &Settings, ending: &CancellationToken) -> Result<()> {
    let told = settings.database.owner_database_url.as_deref().is_some_and(|u| !u.is_empty());
    match migrate(settings.database.owner_url()?, ending).await {
        Err(error) if !told && is_forbidden(&error) => {
            tracing::info!("migrations are left to the database's owner");
            Ok(())
        }
        done => done,
    }
}

/// Postgres says that this role may not do it.
fn is_forbidden(error: &anyhow::Error) -> bool {
    /// `insufficient_privilege`: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    const FORBIDDEN: &str = "42501";
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<sqlx::Error>()?.as_database_error()?.code())
        .any(|code| code == FORBIDDEN)
}

/// Makes or updates every table, waiting for the database as [`database`] does.
///
/// # Errors
/// In one line that says what to do.
pub async fn migrate(url: &str, ending: &CancellationToken) -> Result<()> {
    patiently(ending, || async {
        store::migrate(url).await?;
        Ok(())
    })
    .await
    .with_context(|| format!("the database at {} cannot be migrated", shown(url)))
}

/// Connects, waiting up to [`DATABASE_WITHIN`] for a database that is still starting.
///
/// # Errors
/// In one line that says what to do.
pub async fn database(url: &str, ending: &CancellationToken) -> Result<Store> {
    let store = patiently(ending, || async { Store::connect(url).await.map_err(Into::into) })
        .await
        .with_context(|| {
            format!(
                "the database at {} cannot be used: start it or correct DATABASE_URL; run `tidegate migrate` if it is new",
                shown(url)
            )
        })?;
    store.audit_size().await.with_context(|| {
        format!("the database at {} has not been migrated: run `tidegate migrate`", shown(url))
    })?;
    Ok(store)
}

async fn patiently<T, F, Fut>(ending: &CancellationToken, mut attempt: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let begun = tokio::time::Instant::now();
    let mut told = false;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        // A wrong password or a missing database is no better in a second.
        let passing = error.chain().any(|c| matches!(c.downcast_ref(), Some(store::Error::Unavailable(_))))
            || error.chain().any(|c| c.downcast_ref::<std::io::Error>().is_some());
        if !passing || begun.elapsed() >= DATABASE_WITHIN {
            return Err(error);
        }
        if !told {
            tracing::warn!("the database does not answer; trying for {} s", DATABASE_WITHIN.as_secs());
            told = true;
        }
        tokio::select! {
            () = ending.cancelled() => bail!("asked to end before the database answered"),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// A database's address without its password.
fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(u) => format!("{}:{}{}", u.host_str().unwrap_or("localhost"), u.port().unwrap_or(5432), u.path()),
        Err(_) => "DATABASE_URL (which cannot be read as a URL)".to_owned(),
    }
}
