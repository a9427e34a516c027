//! Attempts to sign in, for the rate limit. Not state: written without an audit event, gone after a day.

use crate::{Result, Store};
use chrono::{DateTime, TimeDelta, Utc};

/// How long attempts are kept.
const KEEP: TimeDelta = TimeDelta::days(1);

impl Store {
    /// Attempts of a subject (an address tried, or where it came from: any text) after `since`.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn sign_in_attempts(&self, subject: &str, since: DateTime<Utc>) -> Result<i64> {
        let sql = sqlx::query_as("select count(*) from sign_in_attempts where subject = $1 and at > $2");
        let row: (i64,) = self.link().await?.one(sql.bind(subject).bind(since)).await?;
        Ok(row.0)
    }

    /// Counts one more attempt of a subject, and forgets old ones of everybody.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn record_sign_in_attempt(&self, subject: &str, now: DateTime<Utc>) -> Result<()> {
        let mut link = self.link().await?;
        let insert = sqlx::query("insert into sign_in_attempts (subject, at) values ($1, $2)");
        link.run(insert.bind(subject).bind(now)).await?;
        // A few at a time, and none that another replica is deleting: signing in must not wait for it.
        let forget = sqlx::query(
            "delete from sign_in_attempts where id in (
                 select id from sign_in_attempts where at < $1 order by at limit 100 for update skip locked)",
        );
        link.run(forget.bind(now - KEEP)).await.map(drop)
    }

    /// Forgets the attempts of a subject: it signed in.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn forget_sign_in_attempts(&self, subject: &str) -> Result<()> {
        let sql = sqlx::query("delete from sign_in_attempts where subject = $1");
        self.link().await?.run(sql.bind(subject)).await.map(drop)
    }
}
