//! What was measured, and what was concluded from it. Evidence, not state: written without an audit event.

use crate::document::{self, number};
use crate::{Error, Result, Store};
use chrono::{DateTime, Utc};
use model::ReleaseId;
use model::verdict::{Latency, Sample, Side, Verdict};
use sqlx::FromRow;
use sqlx::types::Json;

/// Verdicts returned of one release: with one each ten seconds, the last day.
const VERDICTS: i64 = 10_000;

#[derive(FromRow)]
pub(crate) struct Row {
    at: DateTime<Utc>,
    step: i64,
    weight: i64,
    stable_requests: f64,
    stable_errors: f64,
    stable_p95_ms: Option<f64>,
    canary_requests: f64,
    canary_errors: f64,
    canary_p95_ms: Option<f64>,
    stable_recent_requests: f64,
    stable_recent_errors: f64,
    stable_recent_p95_ms: Option<f64>,
    canary_recent_requests: f64,
    canary_recent_errors: f64,
    canary_recent_p95_ms: Option<f64>,
    latency_bounds_ms: Option<Vec<f64>>,
    stable_within: Option<Vec<f64>>,
    canary_within: Option<Vec<f64>>,
    asked: Option<f64>,
    error: Option<String>,
    stands_for: Option<i64>,
}

impl Row {
    pub(crate) fn at(&self) -> DateTime<Utc> {
        self.at
    }

    pub(crate) fn sample(self) -> Result<Sample> {
        let side = |requests, errors, p95_ms| Side { requests, errors, p95_ms };
        let latency = match (self.latency_bounds_ms, self.stable_within, self.canary_within) {
            (Some(bounds_ms), Some(stable), Some(canary)) => Some(Latency { bounds_ms, stable, canary }),
            _ => None,
        };
        Ok(Sample {
            at: self.at,
            step: number("step", self.step)?,
            weight: number("weight", self.weight)?,
            stable: side(self.stable_requests, self.stable_errors, self.stable_p95_ms),
            canary: side(self.canary_requests, self.canary_errors, self.canary_p95_ms),
            stable_recent: side(
                self.stable_recent_requests,
                self.stable_recent_errors,
                self.stable_recent_p95_ms,
            ),
            canary_recent: side(
                self.canary_recent_requests,
                self.canary_recent_errors,
                self.canary_recent_p95_ms,
            ),
            latency,
            asked: self.asked,
            error: self.error,
            p95_range: None,
            stands_for: self.stands_for.map_or(Ok(1), |n| number("stands_for", n))?,
        })
    }
}

pub(crate) const COLUMNS: &str = "at, step, weight, stable_requests, stable_errors, stable_p95_ms, canary_requests, \
     canary_errors, canary_p95_ms, stable_recent_requests, stable_recent_errors, stable_recent_p95_ms, \
     canary_recent_requests, canary_recent_errors, canary_recent_p95_ms, latency_bounds_ms, stable_within, \
     canary_within, asked, error";

impl Store {
    /// Keeps a sample.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such release; [`Error::Unavailable`].
    pub async fn insert_sample(&self, release: ReleaseId, s: &Sample) -> Result<()> {
        let step = i64::try_from(s.step).map_err(|e| Error::Corrupt(format!("Step: {e}.")))?;
        let sql = format!(
            "insert into samples (release, {COLUMNS})
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
             $19, $20, $21)"
        );
        let mut sql = sqlx::query(&sql).bind(release.0).bind(s.at).bind(step).bind(i64::from(s.weight));
        for side in [&s.stable, &s.canary, &s.stable_recent, &s.canary_recent] {
            sql = sql.bind(side.requests).bind(side.errors).bind(side.p95_ms);
        }
        let latency = s.latency.as_ref();
        sql = sql.bind(latency.map(|l| &l.bounds_ms)).bind(latency.map(|l| &l.stable));
        sql = sql.bind(latency.map(|l| &l.canary)).bind(s.asked);
        self.link().await?.run(sql.bind(&s.error)).await.map(drop)
    }

    /// Samples of a release in order of time: the first ones after `since`, or without it the last ones.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn samples(
        &self,
        release: ReleaseId,
        since: Option<DateTime<Utc>>,
        limit: i64,
    ) -> Result<Vec<Sample>> {
        let narrow =
            if since.is_some() { "at > $2 order by at, id" } else { "$2 is null order by at desc, id desc" };
        let sql =
            format!("select {COLUMNS}, stands_for from samples where release = $1 and {narrow} limit $3");
        let sql = sqlx::query_as(&sql).bind(release.0).bind(since).bind(limit);
        let mut rows: Vec<Row> = self.link().await?.all(sql).await?;
        if since.is_none() {
            rows.reverse();
        }
        rows.into_iter().map(Row::sample).collect()
    }

    /// Samples of a release spread over the whole of it, at most `most`: of each equally long stretch the last. Without histograms.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn samples_spread(&self, release: ReleaseId, most: i64) -> Result<Vec<Sample>> {
        let columns = COLUMNS.replace(
            "latency_bounds_ms, stable_within, canary_within",
            "null::double precision[] as latency_bounds_ms, null::double precision[] as stable_within, \
             null::double precision[] as canary_within",
        );
        // A stretch more than there are: the last sample would have one to itself.
        let sql = format!(
            "with span as (select min(at) as first, greatest(extract(epoch from max(at) - min(at)), 1) as long
                           from samples where release = $1),
                  placed as (select s.*, row_number() over
                      (partition by floor(extract(epoch from s.at - span.first) * ($2 - 1) / span.long)
                       order by s.at desc, s.id desc) as place
                      from samples s, span where s.release = $1)
             select {columns}, stands_for from placed where place = 1 order by at, id"
        );
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql).bind(release.0).bind(most)).await?;
        rows.into_iter().map(Row::sample).collect()
    }

    /// Keeps a verdict.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such release; [`Error::Unavailable`].
    pub async fn insert_verdict(&self, release: ReleaseId, v: &Verdict) -> Result<()> {
        let step = i64::try_from(v.step).map_err(|e| Error::Corrupt(format!("Step: {e}.")))?;
        let sql = sqlx::query(
            "insert into verdicts (release, at, step, class, document) values ($1, $2, $3, $4, $5::json)",
        )
        .bind(release.0)
        .bind(v.at)
        .bind(step)
        .bind(document::word(&v.class)?)
        .bind(document::to_text(v)?);
        self.link().await?.run(sql).await.map(drop)
    }

    /// Verdicts of a release in order of time; the last [`VERDICTS`], should there be more.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn verdicts(&self, release: ReleaseId) -> Result<Vec<Verdict>> {
        let sql = sqlx::query_as(
            "select document from verdicts where release = $1 order by at desc, id desc limit $2",
        );
        let rows: Vec<(Json<Verdict>,)> = self.link().await?.all(sql.bind(release.0).bind(VERDICTS)).await?;
        Ok(rows.into_iter().rev().map(|(verdict,)| verdict.0).collect())
    }
}
