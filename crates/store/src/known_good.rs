//! Where a rollback leads to: each version of a workload that was found good. Rows are only added.

use crate::{Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::ReleaseId;
use model::release::KnownGood;
use model::workload::Key;
use sqlx::types::Json;

impl Store {
    /// The last version of a workload that was found good.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn known_good(&self, key: &Key) -> Result<Option<KnownGood>> {
        let sql = sqlx::query_as(
            "select document from known_good
             where cluster = $1 and namespace = $2 and kind = $3 and name = $4 order by id desc limit 1",
        )
        .bind(&key.cluster)
        .bind(&key.namespace)
        .bind(key.kind.key())
        .bind(&key.name);
        let row: Option<(Json<KnownGood>,)> = self.link().await?.maybe(sql).await?;
        Ok(row.map(|(good,)| good.0))
    }
}

impl Tx {
    /// Records a version as good.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when there is no such release.
    pub async fn put_known_good(
        &mut self,
        key: &Key,
        good: &KnownGood,
        release: Option<ReleaseId>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let sql = sqlx::query(
            "insert into known_good (cluster, namespace, kind, name, document, release, at)
             values ($1, $2, $3, $4, $5::json, $6, $7)",
        )
        .bind(&key.cluster)
        .bind(&key.namespace)
        .bind(key.kind.key())
        .bind(&key.name)
        .bind(document::to_text(good)?)
        .bind(release.map(|id| id.0))
        .bind(now);
        self.run(sql).await.map(drop)
    }
}
