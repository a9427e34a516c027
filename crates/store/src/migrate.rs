//! Migrations, forward only, compiled into the binary.

use crate::Result;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr as _;
use std::time::Duration;

fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../../migrations");
    migrations.set_ignore_missing(true);
    migrations
}

/// How long to wait for a connection. Migrations themselves have their own limits.
const CONNECT: Duration = Duration::from_secs(5);

/// Brings the database up to date, as its owner. Several replicas may do so at once: one works, the others wait.
/// Makes the role `tidegate_app`, for which the owner needs the right to create roles unless it is there.
///
/// A database that is ahead of this binary is left as it is: each migration allows for the version before it.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Postgres does not answer; [`crate::Error::Sqlx`] when a migration fails, which then leaves
/// nothing behind.
pub async fn migrate(url: &str) -> Result<()> {
    let options = PgConnectOptions::from_str(url)?.application_name("tidegate migrate");
    // A pool of one: it takes migrations in a future that can be spawned, and bounds the wait for the server.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT).connect_with(options).await?;
    migrations().run(&pool).await.map_err(sqlx::Error::from)?;
    pool.close().await;
    Ok(())
}

/// Names this set of migrations: changes whenever one of them does.
#[cfg(feature = "test-support")]
pub(crate) fn fingerprint() -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for migration in migrations().iter() {
        hash.update(&*migration.checksum);
    }
    hex::encode(&hash.finalize()[..6])
}
