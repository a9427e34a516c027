//! A database of its own for each test, on a real Postgres: a copy of a template that was migrated once.
//!
//! The server is the one of `TIDEGATE_TEST_DATABASE_URL` (whose user may create databases and roles), else one that
//! the first test of a process starts, and that ends with the process.

use crate::{Store, migrate};
use sandbox::postgres::Postgres;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use std::fmt::Debug;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Names a server to use instead of starting one.
pub const SERVER: &str = "TIDEGATE_TEST_DATABASE_URL";

/// Logs in and may do nothing but become `tidegate_app`: as an installation should be.
const LOGIN: &str = "tidegate_test_app";

/// Serialises processes that prepare the same server. Any number that nobody else uses.
const LOCK: i64 = 0x7469_6465_7465_7374;

/// A migrated, empty database. Dropping this drops it.
#[derive(Debug)]
pub struct TestDb {
    pub store: Store,
    /// For [`Store::connect`]: logs in as a role without rights of its own.
    pub url: String,
    /// The same database as its owner.
    pub owner_url: String,
    name: String,
    server: String,
}

/// A server of one test's own, to be frozen, stopped and killed, and a database on it.
#[derive(Debug)]
pub struct OwnServer {
    pub db: TestDb,
    pub postgres: Postgres,
    _lock: File,
}

/// Makes a database on the server that tests share.
///
/// # Panics
/// When there is no Postgres, saying why.
pub async fn database() -> TestDb {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server().await;
    make(&server.url, &server.template, COUNT.fetch_add(1, Ordering::Relaxed)).await
}

/// Starts a server that nobody shares. Needs Postgres' binaries even when tests share a server that was named.
///
/// # Panics
/// When there is no Postgres, saying why.
pub async fn own_server() -> OwnServer {
    let (postgres, lock) = start().await;
    let url = postgres.url_of("postgres");
    let template = prepare(&url, true).await;
    OwnServer { db: make(&url, &template, 0).await, postgres, _lock: lock }
}

async fn make(server: &str, template: &str, number: u32) -> TestDb {
    let name = format!("t_{}_{number}", std::process::id());
    let mut admin = connect(server).await;
    run(&mut admin, format!("create database {name} template {template}")).await;
    let owner = must("the server's URL", PgConnectOptions::from_str(server)).database(&name);
    let url = owner.clone().username(LOGIN).password(LOGIN).to_url_lossy().to_string();
    let owner_url = owner.to_url_lossy().to_string();
    let store = must("connecting as the application", Store::connect(&url).await);
    TestDb { store, url, owner_url, name, server: server.to_owned() }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (name, server) = (self.name.clone(), self.server.clone());
        // A thread, because this one may be in the middle of a runtime that is ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let drop = async {
                let mut admin = PgConnection::connect(&server).await?;
                admin.execute(&*format!("drop database if exists {name} with (force)")).await
            };
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), drop).await })??;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the database {} was left behind: {error}", self.name);
        }
    }
}

struct Server {
    url: String,
    template: String,
    /// Kept for the life of the process, which ends the server.
    _own: Option<(Postgres, File)>,
}

async fn server() -> &'static Server {
    static SERVED: OnceCell<Server> = OnceCell::const_new();
    SERVED
        .get_or_init(|| async {
            let (url, own) = match std::env::var(SERVER) {
                Ok(url) => (url, None),
                Err(_) => {
                    let (postgres, lock) = start().await;
                    (postgres.url_of("postgres"), Some((postgres, lock)))
                }
            };
            let template = prepare(&url, own.is_some()).await;
            Server { url, template, _own: own }
        })
        .await
}

/// Starts a server in the first directory that no other process uses. Directories are used again, since making one
/// takes longer than all tests.
async fn start() -> (Postgres, File) {
    let mut failures = Vec::new();
    for slot in 0..16 {
        let dir = PathBuf::from(format!("/var/tmp/tidegate-test-postgres/{slot}"));
        must("making a directory for Postgres", fs::create_dir_all(&dir));
        let Some(lock) = lock(&dir.with_extension("lock")) else { continue };
        match Postgres::start(&dir).await {
            Ok(postgres) => return (postgres, lock),
            // Such as a server killed a moment ago whose processes are not all gone.
            Err(why) => failures.push(format!("{}: {why:#}", dir.display())),
        }
    }
    panic!("no Postgres could be started:\n{}", failures.join("\n"));
}

fn lock(path: &Path) -> Option<File> {
    let file = must("making a lock file", File::create(path));
    file.try_lock().ok().map(|()| file)
}

/// Makes the template and the login role, unless they are there; what it is called.
async fn prepare(url: &str, own: bool) -> String {
    let template = format!("tidegate_template_{}", migrate::fingerprint());
    let mut admin = connect(url).await;
    run(&mut admin, format!("select pg_advisory_lock({LOCK})")).await;
    if own {
        // What is lost with a machine is only tests' data; a kill of the server loses nothing.
        run(&mut admin, "alter system set fsync = off".to_owned()).await;
        run(&mut admin, "select pg_reload_conf()".to_owned()).await;
        // Left by a process that was killed.
        for (name,) in
            rows(&mut admin, r"select datname::text from pg_database where datname like 't\_%'").await
        {
            run(&mut admin, format!("drop database if exists {name} with (force)")).await;
        }
    }
    let there = format!("select datname::text from pg_database where datname = '{template}'");
    if rows(&mut admin, &there).await.is_empty() {
        let making = format!("{template}_{}", std::process::id());
        run(&mut admin, format!("drop database if exists {making}")).await;
        run(&mut admin, format!("create database {making}")).await;
        let owner = must("the server's URL", PgConnectOptions::from_str(url)).database(&making);
        must("migrating", migrate::migrate(owner.to_url_lossy().as_str()).await);
        // Only a whole one ever has the name.
        run(&mut admin, format!("alter database {making} rename to {template}")).await;
    }
    let login = format!("select rolname::text from pg_roles where rolname = '{LOGIN}'");
    if rows(&mut admin, &login).await.is_empty() {
        run(&mut admin, format!("create role {LOGIN} login password '{LOGIN}' in role tidegate_app")).await;
    }
    run(&mut admin, format!("select pg_advisory_unlock({LOCK})")).await;
    template
}

async fn connect(url: &str) -> PgConnection {
    let patience = Duration::from_secs(10);
    let connected = must(
        "connecting to Postgres in time",
        tokio::time::timeout(patience, PgConnection::connect(url)).await,
    );
    must("connecting to Postgres", connected)
}

async fn run(connection: &mut PgConnection, sql: String) {
    must(&sql, connection.execute(&*sql).await);
}

async fn rows(connection: &mut PgConnection, sql: &str) -> Vec<(String,)> {
    must(sql, sqlx::query_as(sql).fetch_all(connection).await)
}

fn must<T, E: Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(why) => panic!("{what}: {why:?}"),
    }
}
