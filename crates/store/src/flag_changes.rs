//! Changes of flags that wait for an approver.

use crate::files::FLAGS_TOPIC;
use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::{Digest, PersonId};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json;

/// A change that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFlagChange<'a> {
    pub cluster: &'a str,
    pub namespace: &'a str,
    pub flag: &'a str,
    pub at: DateTime<Utc>,
    pub person: Option<PersonId>,
    pub by: &'a str,
    pub reason: Option<&'a str>,
    /// The flag's lines; empty where it is new.
    pub before: &'a str,
    /// Empty where it is to be removed.
    pub after: &'a str,
    /// What more users would get.
    pub why: &'a [String],
    pub digest: &'a Digest,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChangeEnd {
    Applied,
    Rejected,
    Withdrawn,
}

impl FlagChangeEnd {
    fn key(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Who ended a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub at: DateTime<Utc>,
    pub by: String,
    pub comment: Option<String>,
}

/// A change, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagChangeRecord {
    pub id: i64,
    pub cluster: String,
    pub namespace: String,
    pub flag: String,
    pub at: DateTime<Utc>,
    pub person: Option<PersonId>,
    pub by: String,
    pub reason: Option<String>,
    pub before: String,
    pub after: String,
    pub why: Vec<String>,
    pub digest: Digest,
    pub open: bool,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    cluster: String,
    namespace: String,
    flag: String,
    at: DateTime<Utc>,
    person: Option<i64>,
    by: String,
    reason: Option<String>,
    before: String,
    after: String,
    why: Json<Vec<String>>,
    digest: String,
    open: bool,
}

impl From<Row> for FlagChangeRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            cluster: row.cluster,
            namespace: row.namespace,
            flag: row.flag,
            at: row.at,
            person: row.person.map(PersonId),
            by: row.by,
            reason: row.reason,
            before: row.before,
            after: row.after,
            why: row.why.0,
            digest: Digest(row.digest),
            open: row.open,
        }
    }
}

const CHANGE: &str = "select id, cluster, namespace, flag, at, person, by, reason, before, after, why, digest, \
                      state = 'open' as open from flag_changes";

impl Store {
    /// Changes that wait for an approver, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn open_flag_changes(&self) -> Result<Vec<FlagChangeRecord>> {
        let sql = format!("{CHANGE} where state = 'open' order by id limit 500");
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql)).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn flag_change(&self, id: i64) -> Result<FlagChangeRecord> {
        let sql = format!("{CHANGE} where id = $1");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id)).await?;
        row.map(Into::into).ok_or(Error::NotFound("change of a flag"))
    }
}

impl Tx {
    /// Asks for a change. `None` when another one of this flag waits already: nothing is written.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn insert_flag_change(&mut self, new: &NewFlagChange<'_>) -> Result<Option<i64>> {
        let sql = sqlx::query_as(
            "insert into flag_changes
                 (cluster, namespace, flag, at, person, by, reason, before, after, why, digest)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11) on conflict do nothing returning id",
        )
        .bind(new.cluster)
        .bind(new.namespace)
        .bind(new.flag)
        .bind(new.at)
        .bind(new.person.map(|p| p.0))
        .bind(new.by)
        .bind(new.reason)
        .bind(new.before)
        .bind(new.after)
        .bind(document::to_text(&new.why.to_vec())?)
        .bind(&new.digest.0);
        let row: Option<(i64,)> = self.maybe(sql).await?;
        self.notify(FLAGS_TOPIC);
        Ok(row.map(|(id,)| id))
    }

    /// Ends a change; `false` when it has ended: somebody was faster.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn end_flag_change(&mut self, id: i64, end: FlagChangeEnd, decided: &Decided) -> Result<bool> {
        let sql = sqlx::query(
            "update flag_changes set state = $2, decided = $3::json where id = $1 and state = 'open'",
        )
        .bind(id)
        .bind(end.key())
        .bind(document::to_text(decided)?);
        let done = self.run(sql).await? == 1;
        self.notify(FLAGS_TOPIC);
        Ok(done)
    }

    /// Lets a change wait again that could not be applied.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn reopen_flag_change(&mut self, id: i64) -> Result<()> {
        let sql = sqlx::query("update flag_changes set state = 'open', decided = null where id = $1");
        self.run(sql.bind(id)).await?;
        self.notify(FLAGS_TOPIC);
        Ok(())
    }
}
