//! Who drives a release. A lease alone is no fence: its holder may sleep past its end. The epoch is: each new holder
//! has a higher one, and [`Tx::put_release`](crate::Tx::put_release) writes for the newest only.

use crate::{Result, Store};
use model::ReleaseId;
use std::time::Duration;

/// Number of a holder of a lease: the first has 1, each next one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl Store {
    /// Takes the lease of a release that is free or expired, or renews one's own. `None`: somebody else holds it.
    ///
    /// Time is Postgres' alone. `holder` must name one run of one process: a process that comes back under the same
    /// name is taken for the same holder. A renewed lease keeps its epoch even if it had expired, as long as nobody
    /// took it meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when there is no such release; [`crate::Error::Unavailable`].
    pub async fn acquire_lease(&self, id: ReleaseId, holder: &str, ttl: Duration) -> Result<Option<Epoch>> {
        // One statement, and `on conflict` looks at the row again after waiting for it: of two who come at once one
        // sees what the other wrote. clock_timestamp(), not now(): the wait counts.
        let sql = sqlx::query_as(
            "insert into leases as l (release, holder, epoch, expires)
             values ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
             on conflict (release) do update
             set epoch = case when l.holder = excluded.holder then l.epoch else l.epoch + 1 end,
                 holder = excluded.holder,
                 expires = clock_timestamp() + make_interval(secs => $3)
             where l.holder = excluded.holder or l.expires <= clock_timestamp()
             returning epoch",
        )
        .bind(id.0)
        .bind(holder)
        .bind(ttl.as_secs_f64());
        let row: Option<(i64,)> = self.link().await?.maybe(sql).await?;
        Ok(row.map(|(epoch,)| Epoch(epoch)))
    }

    /// Lets go of all leases of a holder: others may take them at once. Epochs stay.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn release_leases(&self, holder: &str) -> Result<()> {
        let sql = sqlx::query(
            "update leases set expires = clock_timestamp() where holder = $1 and expires > clock_timestamp()",
        );
        self.link().await?.run(sql.bind(holder)).await.map(drop)
    }

    /// Whether `holder` holds the release's lease now, by Postgres' clock.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    pub async fn holds_lease(&self, id: ReleaseId, holder: &str) -> Result<bool> {
        let sql = sqlx::query_as(
            "select exists (select from leases
                            where release = $1 and holder = $2 and expires > clock_timestamp())",
        );
        let (holds,): (bool,) = self.link().await?.one(sql.bind(id.0).bind(holder)).await?;
        Ok(holds)
    }
}
