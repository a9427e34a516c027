//! Effects on the cluster: announced before, settled after. An id is used once.

use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::conductor::Effect;
use model::{AttemptId, ReleaseId};
use sqlx::FromRow;
use sqlx::types::Json;

/// An effect that was announced, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub id: AttemptId,
    /// `None` for a rollback of a workload that no release touched.
    pub release: Option<ReleaseId>,
    pub effect: Effect,
    pub begun: DateTime<Utc>,
    pub settled: Option<DateTime<Utc>>,
    /// Whether it took effect; `None` while that is not known.
    pub happened: Option<bool>,
    pub words: Option<String>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    release: Option<i64>,
    effect: Json<Effect>,
    begun: DateTime<Utc>,
    settled: Option<DateTime<Utc>>,
    happened: Option<bool>,
    words: Option<String>,
}

impl From<Row> for AttemptRecord {
    fn from(row: Row) -> Self {
        Self {
            id: AttemptId(row.id),
            release: row.release.map(ReleaseId),
            effect: row.effect.0,
            begun: row.begun,
            settled: row.settled,
            happened: row.happened,
            words: row.words,
        }
    }
}

impl Store {
    /// Attempts of a release, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn attempts(&self, release: ReleaseId) -> Result<Vec<AttemptRecord>> {
        let sql = sqlx::query_as(
            "select id, release, effect, begun, settled, happened, words from attempts
             where release = $1 order by begun, id",
        );
        let rows: Vec<Row> = self.link().await?.all(sql.bind(release.0)).await?;
        Ok(rows.into_iter().map(AttemptRecord::from).collect())
    }
}

impl Tx {
    /// Announces an effect.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the id was used before; [`Error::NotFound`] when there is no such release.
    pub async fn begin_attempt(
        &mut self,
        id: &AttemptId,
        release: impl Into<Option<ReleaseId>>,
        effect: &Effect,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let release = release.into().map(|id| id.0);
        let sql =
            sqlx::query("insert into attempts (id, release, effect, begun) values ($1, $2, $3::json, $4)")
                .bind(&id.0)
                .bind(release)
                .bind(document::to_text(effect)?)
                .bind(now);
        self.run(sql).await.map(drop)
    }

    /// Records what became of an effect, once.
    ///
    /// # Errors
    /// [`Error::Conflict`] when that was recorded before; [`Error::NotFound`].
    pub async fn settle_attempt(
        &mut self,
        id: &AttemptId,
        happened: bool,
        words: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let sql = sqlx::query(
            "update attempts set settled = $4, happened = $2, words = $3 where id = $1 and settled is null",
        )
        .bind(&id.0)
        .bind(happened)
        .bind(words)
        .bind(now);
        if self.run(sql).await? == 1 {
            return Ok(());
        }
        let known: Option<(i32,)> =
            self.maybe(sqlx::query_as("select 1 from attempts where id = $1").bind(&id.0)).await?;
        Err(self.refuse(match known {
            None => Error::NotFound("attempt"),
            Some(_) => Error::Conflict(format!("The outcome of attempt {id} was recorded already.")),
        }))
    }
}
