//! Analyses that Argo Rollouts, or Tidegate itself, ran for a release, and their measurements. Evidence, not state: written
//! without an audit event.
//!
//! Of the controller's whoever writes may be behind somebody else who does: what was seen later stays. Of Tidegate's own a look
//! is written as a whole, and only by who read what it goes on from. A measurement that is over never changes.

use crate::document::{self, number};
use crate::{Result, Store};
use model::ReleaseId;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;

/// Runs returned of one release. A Rollout makes one for each of its steps, and few beside them.
const RUNS: i64 = 200;

/// Who ran it, as it is stored.
pub const CONTROLLER: &str = "argo-rollouts";
/// Likewise.
pub const OWN: &str = "tidegate";

/// A run as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisRecord {
    /// [`CONTROLLER`] or [`OWN`].
    pub runner: String,
    pub uid: String,
    pub name: String,
    /// `step`, `background`, `pre_promotion`, `post_promotion` or `other`; `plan` of Tidegate's own.
    pub stage: String,
    /// The Rollout's own step, or the plan's, counted from 0.
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
    runner: String,
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
            "insert into release_analyses
                 (release, uid, name, stage, step, hash, phase, message, progress, document, runner)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11)
             on conflict (release, uid) do update set phase = excluded.phase, message = excluded.message,
                 progress = excluded.progress, document = excluded.document, updated_at = clock_timestamp()
             where release_analyses.progress <= excluded.progress",
        );
        let sql = columns(sql, release, run, document::to_text(&run.document)?);
        self.link().await?.run(sql).await.map(drop)
    }

    /// Keeps that a run of Tidegate's own begins, unless somebody began it already: what it asks for stays as it was then.
    ///
    /// # Errors
    /// As [`Store::put_analysis`].
    pub async fn begin_analysis(&self, release: ReleaseId, run: &AnalysisRecord) -> Result<()> {
        let sql = sqlx::query(
            "insert into release_analyses
                 (release, uid, name, stage, step, hash, phase, message, progress, document, runner)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json, $11)
             on conflict (release, uid) do nothing",
        );
        let sql = columns(sql, release, run, document::to_text(&run.document)?);
        self.link().await?.run(sql).await.map(drop)
    }

    /// Keeps what one look measured and how the run stands then, both or neither. False, and nothing is kept, where the run is not
    /// at `from` any more: somebody else looked.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn advance_analysis(
        &self,
        release: ReleaseId,
        run: &AnalysisRecord,
        from: i64,
        all: &[MeasurementRecord],
    ) -> Result<bool> {
        let documents = all.iter().map(|m| document::to_text(&m.document)).collect::<Result<Vec<_>>>()?;
        let sql = sqlx::query(
            "with run as (
                 update release_analyses set phase = $4, message = $5, progress = $6, document = $7::json,
                     updated_at = clock_timestamp()
                 where release = $1 and uid = $2 and progress = $3
                 returning release, uid),
             made as (
                 insert into release_measurements (release, uid, metric, number, finished, document)
                 select run.release, run.uid, m.metric, m.number, m.finished, m.document::json
                 from run, unnest($8::text[], $9::bigint[], $10::boolean[], $11::text[])
                     as m (metric, number, finished, document))
             select 1 from run",
        )
        .bind(release.0)
        .bind(&run.uid)
        .bind(from)
        .bind(&run.phase)
        .bind(&run.message)
        .bind(run.progress)
        .bind(document::to_text(&run.document)?)
        .bind(all.iter().map(|m| m.metric.clone()).collect::<Vec<_>>())
        .bind(all.iter().map(|m| i64::from(m.number)).collect::<Vec<_>>())
        .bind(all.iter().map(|m| m.finished).collect::<Vec<_>>())
        .bind(documents);
        Ok(self.link().await?.run(sql).await? > 0)
    }

    /// Releases of which a run of Tidegate's own is not over.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn open_analyses(&self) -> Result<Vec<ReleaseId>> {
        let sql = sqlx::query_as(
            "select distinct release from release_analyses
             where runner = 'tidegate' and phase in ('Pending', 'Running') order by release",
        );
        let rows: Vec<(i64,)> = self.link().await?.all(sql).await?;
        Ok(rows.into_iter().map(|(id,)| ReleaseId(id)).collect())
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
            "select runner, uid, name, stage, step, hash, phase, message, progress, document
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
            runner: self.runner,
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

fn columns<'q>(
    sql: crate::link::Sql<'q>,
    release: ReleaseId,
    run: &'q AnalysisRecord,
    document: String,
) -> crate::link::Sql<'q> {
    sql.bind(release.0)
        .bind(&run.uid)
        .bind(&run.name)
        .bind(&run.stage)
        .bind(run.step.map(i64::from))
        .bind(&run.hash)
        .bind(&run.phase)
        .bind(&run.message)
        .bind(run.progress)
        .bind(document)
        .bind(&run.runner)
}
