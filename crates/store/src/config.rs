//! What the configuration of known-good versions held when they were recorded. Evidence, not state: written without an
//! audit event. Rows are only added.

use crate::{Result, Store, document};
use chrono::{DateTime, Utc};
use model::config::Kept;
use model::workload::Key;
use sqlx::types::Json;
use std::collections::HashSet;

impl Store {
    /// Which of these records have theirs kept.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn config_kept(&self, records: &[i64]) -> Result<HashSet<i64>> {
        let sql = sqlx::query_as("select record from known_good_config where record = any($1)").bind(records);
        let rows: Vec<(i64,)> = self.link().await?.all(sql).await?;
        Ok(rows.into_iter().map(|(record,)| record).collect())
    }

    /// Keeps a record's configuration; the first that was read stays.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn keep_config(&self, record: i64, kept: &[Kept], at: DateTime<Utc>) -> Result<()> {
        let sql = sqlx::query(
            "insert into known_good_config (record, at, document) values ($1, $2, $3::json) on conflict do nothing",
        );
        let sql = sql.bind(record).bind(at).bind(document::to_text(&kept.to_vec())?);
        self.link().await?.run(sql).await.map(drop)
    }

    /// What a version's configuration was when it last carried all traffic, and when that was read.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn config_of(&self, key: &Key, hash: &str) -> Result<Option<(DateTime<Utc>, Vec<Kept>)>> {
        let sql = sqlx::query_as(
            "select c.at, c.document from known_good g join known_good_config c on c.record = g.id
             where g.cluster = $1 and g.namespace = $2 and g.kind = $3 and g.name = $4 and g.hash = $5
             order by g.id desc limit 1",
        )
        .bind(&key.cluster)
        .bind(&key.namespace)
        .bind(key.kind.key())
        .bind(&key.name)
        .bind(hash);
        let row: Option<(DateTime<Utc>, Json<Vec<Kept>>)> = self.link().await?.maybe(sql).await?;
        Ok(row.map(|(at, kept)| (at, kept.0)))
    }
}
