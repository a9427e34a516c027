//! Analyses that Argo Rollouts ran for a release, and their measurements. Evidence, not state: written without an audit event.
//!
//! Whoever writes may be behind somebody else who does: what was seen later stays. A measurement that is over never changes.

use crate::document::{self, number};
use crate::{Result, Store};
use model::ReleaseId;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;

/// Runs returned of one release. A Rollout makes one for each of its steps, and few beside them.
const RUNS: i64 = 200;

/// A run as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisRecord {
    pub uid: String,
    pub name: String,
    /// `step`, `background`, `pre_promotion`, `post_promotion` or `other`.
    pub stage: String,
    /// The Rollout's own step, counted from 0.
    pub step: Option<u32>,
    pub hash: Option<String>,
    /// As the controller spells it.
    pub phase: String,
    pub message: Option<String>,
    /// Grows with each measurement, and at the end.
    pub progress: i64,
    /// What it asks for and how it stands, without the measurements.
    pub document: Value,
}

/// One measurement of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasurementRecord {
    pub uid: String,
    pub metric: String,
    /// Among the metric's, from 1.
    pub number: u32,
    pub finished: bool,
    pub document: Value,
}

/// Some measurements of a metric, and how many there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// In their order.
    pub shown: Vec<MeasurementRecord>,
    /// So many are stored, by run and metric.
    pub stored: Vec<(String, String, u32)>,
}

#[derive(FromRow)]
struct RunRow {
    uid: String,
    name: String,
    stage: String,
    step: Option<i64>,
    hash: Option<String>,
    phase: String,
    message: Option<String>,
    progress: i64,
    document: Json<Value>,
}

#[derive(FromRow)]
struct MeasurementRow {
    uid: String,
    metric: String,
    number: i64,
    finished: bool,
    document: Json<Value>,
    stored: i64,
}

impl Store {
    /// Keeps how a run stands, unless something later was kept.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when there is no such release; [`crate::Error::Unavailable`].
    pub async fn put_analysis(&self, release: ReleaseId, run: &AnalysisRecord) -> Result<()> {
        let sql = sqlx::query(
            "insert into release_analyses (release, uid, name, stage, step, hash, phase, message, progress, document)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json)
             on conflict (release, uid) do update set phase = excluded.phase, message = excluded.message,
                 progress = excluded.progress, document = excluded.document, updated_at = clock_timestamp()
             where release_analyses.progress <= excluded.progress",
        )
        .bind(release.0)
        .bind(&run.uid)
        .bind(&run.name)
        .bind(&run.stage)
        .bind(run.step.map(i64::from))
        .bind(&run.hash)
        .bind(&run.phase)
        .bind(&run.message)
        .bind(run.progress)
        .bind(document::to_text(&run.document)?);
        self.link().await?.run(sql).await.map(drop)
    }

    /// Keeps measurements of runs that are kept. Those that are over already stay as they are.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when a run is not kept; [`crate::Error::Unavailable`].
    pub async fn put_measurements(&self, release: ReleaseId, all: &[MeasurementRecord]) -> Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        let documents = all.iter().map(|m| document::to_text(&m.document)).collect::<Result<Vec<_>>>()?;
        let column =
            |of: fn(&MeasurementRecord) -> &str| all.iter().map(|m| of(m).to_owned()).collect::<Vec<_>>();
        let sql = sqlx::query(
            "insert into release_measurements (release, uid, metric, number, finished, document)
             select $1, m.uid, m.metric, m.number, m.finished, m.document::json
             from unnest($2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::text[])
                 as m (uid, metric, number, finished, document)
             on conflict (release, uid, metric, number) do update
             set finished = excluded.finished, document = excluded.document
             where not release_measurements.finished",
        )
        .bind(release.0)
        .bind(column(|m| &m.uid))
        .bind(column(|m| &m.metric))
        .bind(all.iter().map(|m| i64::from(m.number)).collect::<Vec<_>>())
        .bind(all.iter().map(|m| m.finished).collect::<Vec<_>>())
        .bind(documents);
        self.link().await?.run(sql).await.map(drop)
    }

    /// The runs of a release, in the order in which they were first seen.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn analyses(&self, release: ReleaseId) -> Result<Vec<AnalysisRecord>> {
        let sql = sqlx::query_as(
            "select uid, name, stage, step, hash, phase, message, progress, document
             from release_analyses where release = $1 order by document ->> 'created', name limit $2",
        );
        let rows: Vec<RunRow> = self.link().await?.all(sql.bind(release.0).bind(RUNS)).await?;
        rows.into_iter().map(RunRow::record).collect()
    }

    /// The newest `most` measurements of each metric of a release's runs, in their order.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn measurements(&self, release: ReleaseId, most: i64) -> Result<Measured> {
        let sql = sqlx::query_as(
            "select uid, metric, number, finished, document, stored from (
                 select uid, metric, number, finished, document,
                     count(*) over (partition by uid, metric) as stored,
                     row_number() over (partition by uid, metric order by number desc) as newest
                 from release_measurements where release = $1) as all_of_them
             where newest <= $2 order by uid, metric, number",
        );
        let rows: Vec<MeasurementRow> = self.link().await?.all(sql.bind(release.0).bind(most)).await?;
        let mut measured = Measured::default();
        for row in rows {
            let known = measured
                .stored
                .last()
                .is_some_and(|(uid, metric, _)| *uid == row.uid && *metric == row.metric);
            if !known {
                let stored = number("count", row.stored)?;
                measured.stored.push((row.uid.clone(), row.metric.clone(), stored));
            }
            measured.shown.push(MeasurementRecord {
                uid: row.uid,
                metric: row.metric,
                number: number("number", row.number)?,
                finished: row.finished,
                document: row.document.0,
            });
        }
        Ok(measured)
    }
}

impl RunRow {
    fn record(self) -> Result<AnalysisRecord> {
        let step = self.step.map(|step| number::<i64, u32>("step", step)).transpose()?;
        Ok(AnalysisRecord {
            uid: self.uid,
            name: self.name,
            stage: self.stage,
            step,
            hash: self.hash,
            phase: self.phase,
            message: self.message,
            progress: self.progress,
            document: self.document.0,
        })
    }
}
