//! Rollback policies: what fired, and what was done about it. Their files are in [`crate::files`].

use crate::files::POLICIES_TOPIC;
use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::ReleaseId;
use model::policy::{Fired, FiredOn, ServiceAt, What};
use model::workload::Key;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json;

/// What a policy had read beside the sample of that time.
pub type Beside = (DateTime<Utc>, Vec<(What, f64)>);

/// That somebody stopped a policy's rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    pub at: DateTime<Utc>,
    pub by: String,
    pub why: Option<String>,
}

/// What was done for a firing.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionRecord {
    /// Place of the action in its policy.
    pub place: usize,
    pub at: DateTime<Utc>,
    pub words: String,
}

/// A policy that fired.
#[derive(Clone, Debug, PartialEq)]
pub struct FiringRecord {
    pub id: i64,
    pub on: FiredOn,
    pub policy: String,
    pub fired: Fired,
    pub stopped: Option<Stopped>,
    pub ended: Option<DateTime<Utc>>,
    /// In order of place.
    pub actions: Vec<ActionRecord>,
}

#[derive(FromRow)]
struct FiringRow {
    id: i64,
    release: Option<i64>,
    step: Option<i64>,
    subject: Option<Json<ServiceAt>>,
    policy: String,
    document: Json<Fired>,
    stopped: Option<Json<Stopped>>,
    ended: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct ActionRow {
    firing: i64,
    place: i64,
    at: DateTime<Utc>,
    words: String,
}

/// A firing about to be recorded.
#[derive(Clone, Debug)]
pub struct NewFiring<'a> {
    pub on: &'a FiredOn,
    pub file: i64,
    pub policy: &'a str,
    pub fired: &'a Fired,
}

impl Store {
    /// Firings for which something is left to be done, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn open_firings(&self) -> Result<Vec<FiringRecord>> {
        self.firings_where("ended is null", "").await
    }

    /// Firings on a release, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn firings(&self, release: ReleaseId) -> Result<Vec<FiringRecord>> {
        self.firings_where("release = $1::bigint", &release.0.to_string()).await
    }

    /// Firings on a service between releases that are not over, and the newest that is; oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn service_firings(&self, key: &Key) -> Result<Vec<FiringRecord>> {
        let narrow = "id in (select id from policy_firings where release is null and workload = $1 \
                      order by id desc limit 1)";
        self.firings_where(narrow, &key.to_string()).await
    }

    /// When nothing was left to be done for a firing; `None` while there is, and where there is no such firing.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn firing_ended(&self, firing: i64) -> Result<Option<DateTime<Utc>>> {
        let sql = sqlx::query_as("select ended from policy_firings where id = $1 and ended is not null");
        let row: Option<(DateTime<Utc>,)> = self.link().await?.maybe(sql.bind(firing)).await?;
        Ok(row.map(|(ended,)| ended))
    }

    /// Firings since a time, newest last.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn firings_since(&self, since: DateTime<Utc>) -> Result<Vec<FiringRecord>> {
        self.firings_where("at >= $1::timestamptz", &since.to_rfc3339()).await
    }

    async fn firings_where(&self, narrow: &str, value: &str) -> Result<Vec<FiringRecord>> {
        let sql = format!(
            "select id, release, step, subject, policy, document, stopped, ended from policy_firings
             where {narrow} and $1::text is not null order by id limit 500"
        );
        let mut link = self.link().await?;
        let rows: Vec<FiringRow> = link.all(sqlx::query_as(&sql).bind(value)).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = rows.iter().map(|r| r.id).collect();
        let sql = "select firing, place, at, words from policy_actions where firing = any($1) order by place";
        let actions: Vec<ActionRow> = link.all(sqlx::query_as(sql).bind(ids)).await?;
        rows.into_iter()
            .map(|row| {
                let own = actions.iter().filter(|a| a.firing == row.id);
                let actions = own.map(|a| {
                    let place = document::number("place", a.place)?;
                    Ok(ActionRecord { place, at: a.at, words: a.words.clone() })
                });
                let on = match (row.release, row.step, row.subject) {
                    (Some(id), Some(step), _) => {
                        FiredOn::Release { id: ReleaseId(id), step: document::number("step", step)? }
                    }
                    (_, _, Some(subject)) => FiredOn::Service(Box::new(subject.0)),
                    _ => return Err(Error::Corrupt(format!("Firing {} is of nothing.", row.id))),
                };
                Ok(FiringRecord {
                    id: row.id,
                    on,
                    policy: row.policy,
                    fired: row.document.0,
                    stopped: row.stopped.map(|s| s.0),
                    ended: row.ended,
                    actions: actions.collect::<Result<_>>()?,
                })
            })
            .collect()
    }

    /// Keeps what was read beside a sample.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such release; [`Error::Unavailable`].
    pub async fn insert_policy_reading(
        &self,
        release: ReleaseId,
        at: DateTime<Utc>,
        values: &[(What, f64)],
    ) -> Result<()> {
        let sql = sqlx::query(
            "insert into policy_readings (release, at, values) values ($1, $2, $3::json) on conflict do nothing",
        )
        .bind(release.0)
        .bind(at)
        .bind(document::to_text(&values.to_vec())?);
        self.link().await?.run(sql).await.map(drop)
    }

    /// What was read beside a release's samples, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn policy_readings(&self, release: ReleaseId, limit: i64) -> Result<Vec<Beside>> {
        type Row = (DateTime<Utc>, Json<Vec<(What, f64)>>);
        let sql = sqlx::query_as(
            "select at, values from policy_readings where release = $1 order by at desc limit $2",
        )
        .bind(release.0)
        .bind(limit);
        let mut rows: Vec<Row> = self.link().await?.all(sql).await?;
        rows.reverse();
        Ok(rows.into_iter().map(|(at, values)| (at, values.0)).collect())
    }

    /// Times at which releases of this workload were turned back by Tidegate itself since `since`, and since a person last
    /// looked; oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn turned_back_by_itself(
        &self,
        key: &Key,
        since: DateTime<Utc>,
    ) -> Result<Vec<(ReleaseId, DateTime<Utc>)>> {
        let sql = sqlx::query_as(
            "select id, turned from (
                 select id, (document ->> 'turned_back')::timestamptz as turned from releases
                 where cluster = $1 and namespace = $2 and kind = $3 and name = $4
                   and document ->> 'by_itself' = 'true'
                 order by id desc limit 200
             ) backs
             where turned >= $5 and turned > coalesce((
                 select max(at) from breaker_lifts
                 where cluster = $1 and namespace = $2 and kind = $3 and name = $4), '-infinity')
             order by turned",
        )
        .bind(&key.cluster)
        .bind(&key.namespace)
        .bind(key.kind.key())
        .bind(&key.name)
        .bind(since);
        let rows: Vec<(i64, DateTime<Utc>)> = self.link().await?.all(sql).await?;
        Ok(rows.into_iter().map(|(id, at)| (ReleaseId(id), at)).collect())
    }
}

impl Tx {
    /// Records that a policy fired. `None` when one has on this step already, or is not over on this service: nothing is written.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such release or file.
    pub async fn insert_firing(&mut self, new: &NewFiring<'_>) -> Result<Option<i64>> {
        let (release, step, service) = match new.on {
            FiredOn::Release { id, step } => {
                let step = i64::try_from(*step).map_err(|e| Error::Corrupt(format!("Step: {e}.")))?;
                (Some(id.0), Some(step), None)
            }
            FiredOn::Service(at) => (None, None, Some(at)),
        };
        let sql = sqlx::query_as(
            "insert into policy_firings (release, step, workload, subject, file, policy, at, document)
             values ($1, $2, $3, $4::json, $5, $6, $7, $8::json) on conflict do nothing returning id",
        )
        .bind(release)
        .bind(step)
        .bind(service.map(|at| at.workload.to_string()))
        .bind(service.map(document::to_text).transpose()?)
        .bind(new.file)
        .bind(new.policy)
        .bind(new.fired.firing.at)
        .bind(document::to_text(new.fired)?);
        let row: Option<(i64,)> = self.maybe(sql).await?;
        self.notify(POLICIES_TOPIC);
        Ok(row.map(|(id,)| id))
    }

    /// Records that an action was done; `false` when it had been, and then nothing more may be done for it here.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such firing.
    pub async fn insert_policy_action(&mut self, firing: i64, action: &ActionRecord) -> Result<bool> {
        let place = i64::try_from(action.place).map_err(|e| Error::Corrupt(format!("Place: {e}.")))?;
        let sql = sqlx::query(
            "insert into policy_actions (firing, place, at, words) values ($1, $2, $3, $4) on conflict do nothing",
        )
        .bind(firing)
        .bind(place)
        .bind(action.at)
        .bind(&action.words);
        Ok(self.run(sql).await? == 1)
    }

    /// Keeps others from doing anything for a firing until this transaction is over. `false`: somebody does already, or it is
    /// over.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn claim_firing(&mut self, firing: i64) -> Result<bool> {
        let sql = "select id from policy_firings where id = $1 and ended is null for update skip locked";
        let row: Option<(i64,)> = self.maybe(sqlx::query_as(sql).bind(firing)).await?;
        Ok(row.is_some())
    }

    /// The same, behind whoever does something for it this moment. `false`: it is over.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn await_firing(&mut self, firing: i64) -> Result<bool> {
        let sql = "select id from policy_firings where id = $1 and ended is null for update";
        let row: Option<(i64,)> = self.maybe(sqlx::query_as(sql).bind(firing)).await?;
        Ok(row.is_some())
    }

    /// Records who stopped a firing's rollback; `false` when somebody had, or nothing was left to be stopped.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn stop_firing(&mut self, firing: i64, stopped: &Stopped) -> Result<bool> {
        let sql = sqlx::query(
            "update policy_firings set stopped = $2::json where id = $1 and stopped is null and ended is null",
        )
        .bind(firing)
        .bind(document::to_text(stopped)?);
        self.notify(POLICIES_TOPIC);
        Ok(self.run(sql).await? == 1)
    }

    /// Records that nothing is left to be done for a firing; `false` when that was on record.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn end_firing(&mut self, firing: i64, at: DateTime<Utc>) -> Result<bool> {
        let sql = sqlx::query("update policy_firings set ended = $2 where id = $1 and ended is null")
            .bind(firing)
            .bind(at);
        Ok(self.run(sql).await? == 1)
    }

    /// A person has looked at a workload that was turned back too often.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn lift_breaker(&mut self, key: &Key, by: &str, at: DateTime<Utc>) -> Result<()> {
        let sql = sqlx::query(
            "insert into breaker_lifts (cluster, namespace, kind, name, at, by) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&key.cluster)
        .bind(&key.namespace)
        .bind(key.kind.key())
        .bind(&key.name)
        .bind(at)
        .bind(by);
        self.run(sql).await.map(drop)
    }
}
