//! Postgres: plans, approvals, releases, people, and the audit chain that every change of them is part of.
//!
//! What this crate guarantees:
//! - A change of state is made in a [`Tx`], and a [`Tx`] can be committed only together with its audit event. The
//!   database refuses it too, whoever tries (a deferred trigger on each table that holds state).
//! - Events are numbered without gaps in the order in which they are committed, and cannot be changed or removed.
//! - A release is written only by whom holds the newest epoch of its lease, or by a person's press.
//! - A Postgres that is down, frozen or unreachable is [`Error::Unavailable`] within three seconds, never a hang.
//!
//! One file for each aggregate: its rows, its reads, its writes.

mod analyses;
mod approvals;
mod attempts;
mod audit;
mod config;
mod destinations;
mod document;
mod error;
mod files;
mod flag_changes;
mod flags;
mod incidents;
mod journal;
mod known_good;
mod leases;
mod link;
mod listen;
mod migrate;
mod notify;
mod people;
mod plans;
mod policies;
mod rehearsals;
mod release_row;
mod releases;
mod samples;
mod sign_in;
#[cfg(feature = "test-support")]
pub mod test_support;
mod thinning;
mod tokens;
mod tx;

pub use analyses::{AnalysisRecord, CONTROLLER, Measured, MeasurementRecord, OWN};
pub use approvals::{ApprovalRecord, Decision, NewApproval};
pub use attempts::AttemptRecord;
pub use destinations::{DestinationRecord, NewDestination, Sealed, Secret};
pub use error::Error;
pub use files::{FLAGS_TOPIC, FileRecord, NewFile, POLICIES_TOPIC};
pub use flag_changes::{Decided, FlagChangeEnd, FlagChangeRecord, NewFlagChange};
pub use flags::{FlagKey, FlagKill, NewFlagKey, NewFlagKill, Revived};
pub use incidents::IncidentFilter;
pub use known_good::{NewKnownGood, TOPIC as KNOWN_GOOD_TOPIC, Version};
pub use leases::Epoch;
pub use listen::Notice;
pub use migrate::migrate;
pub use notify::{Claimed, Delivery, NotificationFilter, NotificationRecord, TOPIC as NOTIFICATIONS_TOPIC};
pub use people::{NewPerson, Person};
pub use plans::PlanRecord;
pub use policies::{ActionRecord, Beside, FiringRecord, NewFiring, Stopped};
pub use releases::ReleaseFilter;
pub use thinning::{Due, Paged};
pub use tokens::{NewToken, TokenRecord};
pub use tx::Tx;

use link::Link;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::str::FromStr as _;
use std::time::Duration;

/// What `Result` is in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How long to wait for a free or a new connection. Postgres on the same network takes milliseconds.
const ACQUIRE: Duration = Duration::from_secs(2);

/// Connections a replica holds at most. Each statement is short; Postgres allows a hundred by default.
const CONNECTIONS: u32 = 16;

/// First words on each connection. Own limits of the server, should this process stand still in the middle: it then
/// loses the transaction, and its locks, instead of stopping the other replicas.
const HELLO: &str = "set role tidegate_app; \
     set statement_timeout = '5s'; \
     set lock_timeout = '2s'; \
     set idle_in_transaction_session_timeout = '5s'";

/// The database, as the application may use it. Clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Connects, and makes sure that the application's role can be taken on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when Postgres does not answer within two seconds; [`Error::Sqlx`] when it refuses, as
    /// it does when the database has not been migrated.
    pub async fn connect(url: &str) -> Result<Self> {
        let options = options(url)?;
        let hello = async {
            let mut connection = options.connect().await?;
            connection.execute(HELLO).await?;
            connection.close().await
        };
        tokio::time::timeout(ACQUIRE, hello).await.map_err(|_| Error::silent())??;
        Ok(Self::with(options))
    }

    /// Makes a store without connecting: every call connects when it needs to. For a process that must come up while
    /// Postgres is down.
    ///
    /// # Errors
    /// [`Error::Sqlx`] when the URL cannot be read.
    pub fn lazy(url: &str) -> Result<Self> {
        Ok(Self::with(options(url)?))
    }

    fn with(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            // Finds out, within the time to acquire, that a connection no longer answers.
            .test_before_acquire(true)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(HELLO).await.map(drop) }))
            .connect_lazy_with(options);
        Self { pool }
    }

    /// The pool, for the session store. Calls on it are bounded by the server's statement timeout only.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether Postgres answers within `timeout`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self, timeout: Duration) -> Result<()> {
        let ping = async { self.link().await?.run(sqlx::query("select")).await };
        tokio::time::timeout(timeout, ping).await.map_err(|_| Error::silent())?.map(drop)
    }

    /// Begins a change of state.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin(&self) -> Result<Tx> {
        let mut link = self.link().await?;
        link.begin("begin").await?;
        Ok(Tx::new(link))
    }

    /// A connection for a call's reads, to be answered together within [`link::ANSWER`].
    async fn link(&self) -> Result<Link> {
        Link::lend(&self.pool).await
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url)?.application_name("tidegate"))
}
