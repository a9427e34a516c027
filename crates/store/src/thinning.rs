//! Old samples made fewer, and removed in the end. Evidence, as they are: without an audit event.

use crate::document::number;
use crate::samples::{COLUMNS, Row};
use crate::{Error, Result, Store};
use chrono::{DateTime, Utc};
use model::ReleaseId;
use model::verdict::{Sample, Verdict};
use sqlx::FromRow;
use sqlx::types::Json;

/// One replica at a time.
const TURN: i64 = 0x7469_6465_7468_696e;
/// Samples gone through in one transaction.
const PAGE: usize = 5_000;
/// Verdicts of a step that a transaction reads at most: a step with more is left as it is.
const VERDICTS: i64 = 5_000;
/// Samples removed in one transaction.
const REMOVED: i64 = 5_000;

/// What is due of some releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Steps that are over, with samples that were not gone through, all of them old enough.
    pub steps: Vec<(ReleaseId, usize)>,
    /// Releases that ended so long ago that nothing of theirs is kept.
    pub gone: Vec<ReleaseId>,
    /// The last release looked at: ask for those after it. `None`: there are no more.
    pub last: Option<ReleaseId>,
}

/// What a page of a step's samples came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paged {
    pub kept: usize,
    pub removed: usize,
    /// There is more of the step to go through.
    pub more: bool,
}

#[derive(FromRow)]
struct Numbered {
    id: i64,
    gone_through: bool,
    #[sqlx(flatten)]
    row: Row,
}

impl Store {
    /// Of the next releases after one: the steps whose newest sample is from before `thin`, and the releases that ended before
    /// `remove` and have samples left.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn samples_due(
        &self,
        after: ReleaseId,
        releases: i64,
        thin: DateTime<Utc>,
        remove: DateTime<Utc>,
    ) -> Result<Due> {
        const OVER: &str = "r.state in ('rolled_back', 'succeeded', 'failed', 'cancelled')";
        let sql = format!(
            "select r.id, t.step,
                    coalesce({OVER} and (r.document ->> 'ended')::timestamptz < $4
                        and exists (select 1 from samples where release = r.id), false)
             from (select id, state, document from releases where id > $1 order by id limit $2) r
             left join lateral (
                 select step from samples where release = r.id and stands_for is null
                     and ({OVER} or step <> coalesce((r.document ->> 'step')::bigint, step))
                 group by step having max(at) < $3) t on true
             order by r.id, t.step"
        );
        let sql = sqlx::query_as(&sql).bind(after.0).bind(releases).bind(thin).bind(remove);
        let rows: Vec<(i64, Option<i64>, bool)> = self.link().await?.all(sql).await?;
        let mut due = Due { last: rows.last().map(|(id, ..)| ReleaseId(*id)), ..Due::default() };
        for (id, step, gone) in rows {
            let id = ReleaseId(id);
            if gone {
                if due.gone.last() != Some(&id) {
                    due.gone.push(id);
                }
            } else if let Some(step) = step {
                due.steps.push((id, number("step", step)?));
            }
        }
        Ok(due)
    }

    /// Goes through the next samples of a step that is over, and removes those for which `keep` says so. It is given samples in order
    /// of time, `back` of those already gone through before the first, and the step's verdicts. `None`: another replica is at it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn thin_samples(
        &self,
        release: ReleaseId,
        step: usize,
        back: usize,
        keep: impl FnOnce(&[Sample], &[Verdict]) -> Vec<bool>,
    ) -> Result<Option<Paged>> {
        let count = |n: usize| i64::try_from(n).map_err(|e| Error::Corrupt(e.to_string()));
        let mut link = self.link().await?;
        link.begin("begin").await?;
        let turn = sqlx::query_as("select pg_try_advisory_xact_lock($1)").bind(TURN);
        if link.one::<(bool,)>(turn).await? != (true,) {
            return Ok(None);
        }
        // Beside a page those that its last verdicts may look back on: they stay for the next one.
        let sql = format!(
            "with first as (select min(at) as at from samples
                            where release = $1 and step = $2 and stands_for is null)
             (select id, true as gone_through, {COLUMNS}, stands_for from samples
              where release = $1 and step = $2 and stands_for is not null and at <= (select at from first)
              order by at desc, id desc limit $3)
             union all
             (select id, false as gone_through, {COLUMNS}, stands_for from samples
              where release = $1 and step = $2 and stands_for is null order by at, id limit $4)"
        );
        let most = PAGE + back;
        let sql = sqlx::query_as(&sql).bind(release.0).bind(count(step)?);
        let mut rows: Vec<Numbered> = link.all(sql.bind(count(back)?).bind(count(most)?)).await?;
        rows.sort_by_key(|r| (r.row.at(), r.id));
        let context = rows.iter().take_while(|r| r.gone_through).count();
        let fresh = rows.len() - context;
        let ids: Vec<i64> = rows.iter().map(|r| r.id).collect();
        let samples = rows.into_iter().map(|r| r.row.sample()).collect::<Result<Vec<_>>>()?;
        let sql = sqlx::query_as(
            "select document from verdicts where release = $1 and step = $2 order by at, id limit $3",
        );
        let sql = sql.bind(release.0).bind(count(step)?).bind(VERDICTS);
        let verdicts: Vec<(Json<Verdict>,)> = link.all(sql).await?;
        let many = verdicts.len() == usize::try_from(VERDICTS).unwrap_or(usize::MAX);
        let verdicts: Vec<Verdict> = verdicts.into_iter().map(|(v,)| v.0).collect();
        let stays = if many { vec![true; samples.len()] } else { keep(&samples, &verdicts) };
        let more = fresh == most;
        let until = context + if more { PAGE } else { fresh };
        let (mut kept, mut looks, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut stands_for = 0_i64;
        for at in context..until {
            stands_for += i64::from(samples[at].stands_for);
            // The last of a page stays: what follows must not count for what came before.
            if stays.get(at).copied().unwrap_or(true) || at + 1 == until {
                kept.push(ids[at]);
                looks.push(stands_for);
                stands_for = 0;
            } else {
                gone.push(ids[at]);
            }
        }
        link.run(sqlx::query("delete from samples where id = any($1)").bind(&gone)).await?;
        let sql = sqlx::query(
            "update samples s set stands_for = k.looks from unnest($1::bigint[], $2::bigint[]) as k (id, looks)
             where s.id = k.id",
        );
        link.run(sql.bind(&kept).bind(&looks)).await?;
        link.commit().await?;
        Ok(Some(Paged { kept: kept.len(), removed: gone.len(), more }))
    }

    /// Removes samples of a release, the oldest first, a page at a time; how many. None left: 0.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn remove_samples(&self, release: ReleaseId) -> Result<u64> {
        let sql = sqlx::query(
            "delete from samples where id in
                 (select id from samples where release = $1 order by at limit $2)",
        );
        self.link().await?.run(sql.bind(release.0).bind(REMOVED)).await
    }
}
