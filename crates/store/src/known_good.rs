//! Where a rollback leads to: each version of a workload that was found good, and how it came. Rows are only added.

use crate::{Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::ReleaseId;
use model::known_good::{Came, Record};
use model::release::KnownGood;
use model::workload::Key;
use sqlx::FromRow;
use sqlx::types::Json;
use std::collections::{BTreeMap, HashMap};

/// Serialises replicas that record what they see. Any number that nobody else uses.
const TURN: i64 = 0x7469_6465_676f_6f64;

/// What goes before the name of a workload in the topic of its records.
pub const TOPIC: &str = "known-good:";

/// A version about to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewKnownGood<'a> {
    pub key: &'a Key,
    pub good: &'a KnownGood,
    pub came: &'a Came,
    /// Release that brought it or took it back, if one did.
    pub release: Option<ReleaseId>,
    pub at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    /// Which of the workloads that were asked for, from 1.
    n: i64,
    id: i64,
    at: DateTime<Utc>,
    hash: String,
    back: bool,
    left_hash: Option<String>,
    restarted: bool,
}

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

    /// The newest records of each of these workloads, in their order, each oldest first; without the templates, which
    /// are large. One index scan a workload.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn known_good_records(&self, keys: &[Key], newest: i64) -> Result<Vec<Vec<Record>>> {
        let column = |of: fn(&Key) -> &str| keys.iter().map(|k| of(k).to_owned()).collect::<Vec<_>>();
        let sql = sqlx::query_as(
            "select k.n, g.id, g.at, g.hash, g.back, g.left_hash, g.restarted
             from unnest($1::text[], $2::text[], $3::text[], $4::text[])
                 with ordinality as k (cluster, namespace, kind, name, n)
             cross join lateral (
                 select * from known_good
                 where cluster = k.cluster and namespace = k.namespace and kind = k.kind and name = k.name
                 order by id desc limit $5) g
             order by g.id",
        )
        .bind(column(|k| &k.cluster))
        .bind(column(|k| &k.namespace))
        .bind(column(|k| k.kind.key()))
        .bind(column(|k| &k.name))
        .bind(newest);
        let mut found = vec![Vec::new(); keys.len()];
        for row in self.link().await?.all::<Row>(sql).await? {
            let place = usize::try_from(row.n - 1).ok().and_then(|i| found.get_mut(i));
            let came = match (row.back, row.restarted) {
                (true, _) => Came::Back { from: row.left_hash },
                (false, true) => Came::Restarted,
                (false, false) => Came::Forward,
            };
            if let Some(records) = place {
                records.push(Record { id: row.id, at: row.at, hash: row.hash, came });
            }
        }
        Ok(found)
    }

    /// The documents of these records as JSON of a [`KnownGood`]: text takes a fraction of a parsed one's memory.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn known_good_documents(&self, ids: &[i64]) -> Result<HashMap<i64, String>> {
        let sql = sqlx::query_as("select id, document::text from known_good where id = any($1)").bind(ids);
        let rows: Vec<(i64, String)> = self.link().await?.all(sql).await?;
        Ok(rows.into_iter().collect())
    }
}

impl Store {
    /// The images of these records, and the release that brought each, where one did.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn known_good_versions(&self, ids: &[i64]) -> Result<HashMap<i64, Version>> {
        let sql = sqlx::query_as(
            "select id, document->'images' as images, release from known_good where id = any($1)",
        )
        .bind(ids);
        let rows: Vec<VersionRow> = self.link().await?.all(sql).await?;
        Ok(rows.into_iter().map(|row| (row.id, (row.images.0, row.release.map(ReleaseId)))).collect())
    }
}

#[derive(FromRow)]
struct VersionRow {
    id: i64,
    images: Json<BTreeMap<String, String>>,
    release: Option<i64>,
}

/// Image by container, and the release that brought the version.
pub type Version = (BTreeMap<String, String>, Option<ReleaseId>);

impl Tx {
    /// Records a deployed version as good.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when there is no such release.
    pub async fn put_known_good(
        &mut self,
        key: &Key,
        good: &KnownGood,
        release: Option<ReleaseId>,
        now: DateTime<Utc>,
    ) -> Result<Record> {
        let new = NewKnownGood { key, good, came: &Came::Forward, release, at: now };
        self.insert_known_good(&new).await
    }

    /// Records a version, and says how it came.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when there is no such release.
    pub async fn insert_known_good(&mut self, new: &NewKnownGood<'_>) -> Result<Record> {
        let id = self.insert_after(new, None).await?;
        // Without a condition there always is a row.
        id.map(|id| record(id, new)).ok_or(crate::Error::NotFound("known-good version"))
    }

    /// Records a version unless something was recorded since: `newest` is the last record that was read. `None` when
    /// something was. Ask only in [`Tx::known_good_turn`].
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when there is no such release.
    pub async fn insert_known_good_after(
        &mut self,
        new: &NewKnownGood<'_>,
        newest: Option<i64>,
    ) -> Result<Option<Record>> {
        Ok(self.insert_after(new, Some(newest)).await?.map(|id| record(id, new)))
    }

    /// Whether it is this transaction's turn to record what is seen. Never waits: another replica is at it.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn known_good_turn(&mut self) -> Result<bool> {
        let sql = sqlx::query_as("select pg_try_advisory_xact_lock($1)").bind(TURN);
        self.one(sql).await.map(|(turn,): (bool,)| turn)
    }

    async fn insert_after(
        &mut self,
        new: &NewKnownGood<'_>,
        newest: Option<Option<i64>>,
    ) -> Result<Option<i64>> {
        let NewKnownGood { key, good, came, release, at } = new;
        self.notify(format!("{TOPIC}{key}"));
        let left = match came {
            Came::Forward | Came::Restarted => None,
            Came::Back { from } => from.as_deref(),
        };
        let document = document::to_text(*good).map_err(|why| self.refuse(why))?;
        let sql = sqlx::query_as(
            "insert into known_good (cluster, namespace, kind, name, document, release, at, back, left_hash, restarted)
             select $1, $2, $3, $4, $5::json, $6, $7, $8, $9, $10
             where $11 or $12 is not distinct from (
                 select max(id) from known_good
                 where cluster = $1 and namespace = $2 and kind = $3 and name = $4)
             returning id",
        )
        .bind(&key.cluster)
        .bind(&key.namespace)
        .bind(key.kind.key())
        .bind(&key.name)
        .bind(document)
        .bind(release.map(|id| id.0))
        .bind(at)
        .bind(matches!(came, Came::Back { .. }))
        .bind(left)
        .bind(matches!(came, Came::Restarted))
        .bind(newest.is_none())
        .bind(newest.flatten());
        Ok(self.maybe(sql).await?.map(|(id,): (i64,)| id))
    }
}

fn record(id: i64, new: &NewKnownGood<'_>) -> Record {
    Record { id, at: new.at, hash: new.good.hash.clone(), came: new.came.clone() }
}
