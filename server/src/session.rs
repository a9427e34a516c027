//! Sessions: kept in Postgres, answered from memory.
//!
//! - Reading a session that this process has seen costs nothing and needs no Postgres: a press of ROLL BACK waits
//!   for no database, and works for twelve hours after the session was last seen while Postgres is down.
//! - A [`Sessions::sweep`] every [`SWEEP`] asks Postgres, in one query, which of the sessions in memory still exist.
//!   Signing out at one replica so ends the session at the others within [`SWEEP`] and the time of one query.
//! - A renewal updates a row that exists and never makes one: a replica that has not yet heard of a sign-out
//!   cannot bring the session back to life.
//! - Postgres gets its own few connections here, and [`ANSWER`] to answer: frozen, it costs one request at most that
//!   long, and takes no connection from anybody else.

use async_trait::async_trait;
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, ExpiredDeletion as _};
use tower_sessions::{Expiry, SessionManagerLayer, SessionStore};
use tower_sessions_sqlx_store::PostgresStore;

/// Without a sign of life for this long a session ends.
pub const INACTIVITY: time::Duration = time::Duration::hours(12);
/// How often it is noted, at most, that a session is in use.
const RENEW: time::Duration = time::Duration::minutes(5);
/// How often sessions in memory are compared with Postgres.
pub const SWEEP: Duration = Duration::from_secs(10);
/// How long Postgres may take.
const ANSWER: Duration = Duration::from_secs(1);
/// Sessions held in memory at most; beyond it the ones unseen for longest are forgotten (and read again).
const MOST: usize = 20_000;
/// Ended sessions stay unreadable here for this long, and for as long as Postgres has not heard of it.
const DEAF: time::Duration = time::Duration::minutes(1);
/// Ended sessions remembered at most.
const TOMBSTONES: usize = 10_000;

/// Key of the signed-in person's id in a session; set by the sign-in form.
pub const PERSON: &str = "person";

/// The session store. Clones share everything.
#[derive(Clone, Debug)]
pub struct Sessions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    backing: PostgresStore,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    known: HashMap<Id, Record>,
    /// Ended here, with what Postgres may still have to be told.
    ended: HashMap<Id, OffsetDateTime>,
    /// Renewed here since the last sweep.
    renewed: Vec<Id>,
}

impl Sessions {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn new(url: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?.application_name("tidegate sessions");
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ANSWER)
            .after_connect(|c, _| {
                Box::pin(async move {
                    c.execute("set role tidegate_app; set statement_timeout = '2s'; set lock_timeout = '1s'")
                        .await
                        .map(drop)
                })
            })
            .connect_lazy_with(options);
        let backing = PostgresStore::new(pool.clone());
        Ok(Self { inner: Arc::new(Inner { pool, backing, memory: Mutex::default() }) })
    }

    /// The layer that gives each request its session.
    pub fn layer(&self, https: bool) -> SessionManagerLayer<Self> {
        SessionManagerLayer::new(self.clone())
            .with_name(if https { "__Host-tidegate" } else { "tidegate" })
            .with_http_only(true)
            .with_same_site(SameSite::Lax)
            .with_secure(https)
            .with_expiry(Expiry::OnInactivity(INACTIVITY))
    }

    /// Sessions in memory.
    pub fn len(&self) -> usize {
        self.memory().known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is this session still good, as far as this process knows?
    pub(crate) fn alive(&self, id: &Id) -> bool {
        self.memory().known.get(id).is_some_and(|r| r.expiry_date > OffsetDateTime::now_utc())
    }

    /// Compares memory with Postgres: tells it what ended and what was renewed here, and forgets what ended elsewhere.
    ///
    /// # Errors
    /// When Postgres does not answer; memory stays as it is.
    pub async fn sweep(&self) -> Result<(), sqlx::Error> {
        let (known, ended, renewed) = {
            let memory = self.memory();
            let ids: Vec<String> = memory.known.keys().map(ToString::to_string).collect();
            let renewed: Vec<Record> =
                memory.renewed.iter().filter_map(|id| memory.known.get(id).cloned()).collect();
            (ids, memory.ended.keys().copied().collect::<Vec<_>>(), renewed)
        };
        let ended_text: Vec<String> = ended.iter().map(ToString::to_string).collect();
        let left: Vec<(String,)> = bounded(async {
            let mut c = self.inner.pool.acquire().await?;
            if !ended_text.is_empty() {
                sqlx::query("delete from tower_sessions.session where id = any($1)")
                    .bind(&ended_text)
                    .execute(&mut *c)
                    .await?;
            }
            for record in &renewed {
                let Ok(data) = rmp_serde::to_vec(record) else { continue };
                sqlx::query("update tower_sessions.session set data = $2, expiry_date = $3 where id = $1")
                    .bind(record.id.to_string())
                    .bind(data)
                    .bind(record.expiry_date)
                    .execute(&mut *c)
                    .await?;
            }
            sqlx::query_as("select id from tower_sessions.session where id = any($1) and expiry_date > now()")
                .bind(&known)
                .fetch_all(&mut *c)
                .await
        })
        .await?;
        let left: std::collections::HashSet<Id> = left.iter().filter_map(|(id,)| id.parse().ok()).collect();
        let asked: std::collections::HashSet<Id> = known.iter().filter_map(|id| id.parse().ok()).collect();
        let mut memory = self.memory();
        memory.known.retain(|id, _| left.contains(id) || !asked.contains(id));
        // A request that was under way while its session ended may still try to renew it: stay deaf for a while.
        let old = OffsetDateTime::now_utc() - DEAF;
        memory.ended.retain(|id, at| *at > old || !ended.contains(id));
        memory.renewed.retain(|id| !renewed.iter().any(|r| r.id == *id));
        Ok(())
    }

    /// Sweeps until `ending`, and clears expired rows now and then.
    pub async fn run(&self, ending: tokio_util::sync::CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut down = false;
        for round in 0u64.. {
            tokio::select! {
                () = ending.cancelled() => break,
                _ = tick.tick() => {}
            }
            match self.sweep().await {
                Ok(()) => down = false,
                Err(error) if !down => {
                    tracing::warn!(%error, "sessions cannot be compared with Postgres; those in memory go on");
                    down = true;
                }
                Err(_) => {}
            }
            // Every replica does it; the statement is cheap and harmless twice.
            if round % 360 == 0
                && let Ok(Err(error)) =
                    tokio::time::timeout(ANSWER * 2, self.inner.backing.delete_expired()).await
            {
                tracing::debug!(%error, "expired sessions could not be cleared");
            }
        }
        // What ended or was renewed since the last sweep.
        let _ = self.sweep().await;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change of it is one call on one map: it is sound after a panic elsewhere.
        self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, record: &Record) {
        let mut memory = self.memory();
        if memory.ended.contains_key(&record.id) {
            return;
        }
        if memory.known.len() >= MOST && !memory.known.contains_key(&record.id) {
            // Expiry moves with use, so the nearest expiries are the longest unseen.
            let mut by_age: Vec<_> = memory.known.values().map(|r| (r.expiry_date, r.id)).collect();
            by_age.sort_unstable_by_key(|(at, _)| *at);
            for (_, id) in by_age.into_iter().take(MOST / 10) {
                memory.known.remove(&id);
            }
        }
        memory.known.insert(record.id, record.clone());
    }
}

async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn in_time<T>(work: impl Future<Output = session_store::Result<T>>) -> session_store::Result<T> {
    tokio::time::timeout(ANSWER, work)
        .await
        .unwrap_or_else(|_| Err(session_store::Error::Backend("Postgres does not answer".into())))
}

#[async_trait]
impl SessionStore for Sessions {
    /// A new session is in Postgres before its cookie leaves: the next request may go to another replica.
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        in_time(self.inner.backing.create(record)).await?;
        self.remember(record);
        Ok(())
    }

    /// A renewal: in memory now, in Postgres with the next sweep.
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.remember(record);
        let mut memory = self.memory();
        if memory.known.contains_key(&record.id) && !memory.renewed.contains(&record.id) {
            memory.renewed.push(record.id);
        }
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        {
            let memory = self.memory();
            if memory.ended.contains_key(id) {
                return Ok(None);
            }
            if let Some(record) = memory.known.get(id) {
                return Ok((record.expiry_date > OffsetDateTime::now_utc()).then(|| record.clone()));
            }
        }
        let record = in_time(self.inner.backing.load(id)).await?;
        if let Some(record) = &record {
            self.remember(record);
        }
        Ok(record)
    }

    /// Ended here at once; if Postgres does not answer it is told with a later sweep.
    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        {
            let mut memory = self.memory();
            memory.known.remove(id);
            if memory.ended.len() >= TOMBSTONES {
                memory.ended.clear();
            }
            memory.ended.insert(*id, OffsetDateTime::now_utc());
        }
        if let Err(error) = in_time(self.inner.backing.delete(id)).await {
            tracing::debug!(%error, "a session's end will be told to Postgres later");
        }
        Ok(())
    }
}

/// Marks a session as in use, so that it is renewed; at most every [`RENEW`].
pub(crate) async fn touch(session: &tower_sessions::Session) {
    const SEEN: &str = "seen";
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let seen = session.get::<i64>(SEEN).await.ok().flatten().unwrap_or(0);
    if now - seen >= RENEW.whole_seconds() {
        // Fails only when the session cannot be loaded, and then there is nothing to renew.
        let _ = session.insert(SEEN, now).await;
    }
}
