//! Releases. Each write goes on from the revision that was read in the same transaction and, when a replica drives,
//! names the epoch of its lease.

use crate::leases::Epoch;
use crate::link::{Link, SqlAs};
use crate::release_row::{self, COLUMNS, Read, Row};
use crate::{Error, Result, Store, Tx, document};
use model::release::{Release, State};
use model::workload::Key;
use model::{PlanId, ReleaseId};
use serde_json::Map;
use sqlx::{Postgres, QueryBuilder};

/// Which releases to list. What is `None` or false does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseFilter {
    pub state: Option<State>,
    /// Only those that have not ended.
    pub active: bool,
    pub service: Option<String>,
    pub environment: Option<String>,
    pub workload: Option<Key>,
    pub plan: Option<PlanId>,
    /// Only those older than this one: the next page.
    pub before: Option<ReleaseId>,
}

/// Not ended, in the words of the index `releases_one_active`.
const ACTIVE: &str = "state not in ('rolled_back', 'succeeded', 'failed', 'cancelled')";

async fn list(link: &mut Link, sql: SqlAs<'_, Row>) -> Result<Vec<Release>> {
    link.all(sql).await?.into_iter().map(Row::release).collect()
}

impl Store {
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn release(&self, id: ReleaseId) -> Result<Release> {
        let sql = format!("select {COLUMNS} from releases where id = $1");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id.0)).await?;
        row.ok_or(Error::NotFound("release"))?.release()
    }

    /// All releases that have not ended, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn active_releases(&self) -> Result<Vec<Release>> {
        let sql = format!("select {COLUMNS} from releases where {ACTIVE} order by id");
        list(&mut self.link().await?, sqlx::query_as(&sql)).await
    }

    /// The release of a workload that has not ended.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn active_release_for(&self, key: &Key) -> Result<Option<Release>> {
        let filter = ReleaseFilter { workload: Some(key.clone()), active: true, ..ReleaseFilter::default() };
        Ok(self.releases(&filter, 1).await?.pop())
    }

    /// The newest release of a workload that succeeded.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn last_success(&self, key: &Key) -> Result<Option<Release>> {
        let filter = ReleaseFilter {
            workload: Some(key.clone()),
            state: Some(State::Succeeded),
            ..ReleaseFilter::default()
        };
        Ok(self.releases(&filter, 1).await?.pop())
    }

    /// Releases that fit the filter, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn releases(&self, filter: &ReleaseFilter, limit: i64) -> Result<Vec<Release>> {
        let mut q = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from releases where true"));
        if filter.active {
            q.push(format!(" and {ACTIVE}"));
        }
        if let Some(state) = &filter.state {
            q.push(" and state = ").push_bind(document::word(state)?);
        }
        if let Some(service) = &filter.service {
            q.push(" and service = ").push_bind(service);
        }
        if let Some(environment) = &filter.environment {
            q.push(" and environment = ").push_bind(environment);
        }
        if let Some(key) = &filter.workload {
            q.push(" and cluster = ").push_bind(&key.cluster);
            q.push(" and namespace = ").push_bind(&key.namespace);
            q.push(" and kind = ").push_bind(key.kind.key());
            q.push(" and name = ").push_bind(&key.name);
        }
        if let Some(plan) = filter.plan {
            q.push(" and plan = ").push_bind(plan.0);
        }
        if let Some(before) = filter.before {
            q.push(" and id < ").push_bind(before.0);
        }
        q.push(" order by id desc limit ").push_bind(limit);
        list(&mut self.link().await?, q.build_query_as()).await
    }
}

impl Tx {
    /// Writes a new release; the id it carries is not looked at. It may be written again in this transaction.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a release of the workload has not ended; [`Error::NotFound`] when the plan has no such
    /// version with this digest.
    pub async fn insert_release(&mut self, new: &Release) -> Result<ReleaseId> {
        let document = release_row::write(new, &Map::new()).map_err(|why| self.refuse(why))?;
        // As text: a parameter of type jsonb would rewrite it.
        let sql = sqlx::query_as("insert into releases (document) values ($1::json) returning id");
        let (id,): (i64,) = self.one(sql.bind(document)).await?;
        let id = ReleaseId(id);
        self.read.insert(id, Read::new(Release { id, ..new.clone() }));
        Ok(id)
    }

    /// A release and its revision, which nobody else changes until this transaction ends.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn lock_release(&mut self, id: ReleaseId) -> Result<(Release, i64)> {
        // `no key`: rows that refer to the release, as its samples, are written on.
        let sql = format!("select {COLUMNS} from releases where id = $1 for no key update");
        let row: Option<Row> = self.maybe(sqlx::query_as(&sql).bind(id.0)).await?;
        let Some(row) = row else {
            return Err(self.refuse(Error::NotFound("release")));
        };
        let read = row.read().map_err(|why| self.refuse(why))?;
        let answer = (read.release.clone(), read.revision);
        self.read.insert(id, read);
        Ok(answer)
    }

    /// Writes a release that this transaction locked or inserted.
    ///
    /// `fence` is the epoch of the writer's lease; `None` is a person's press, which needs no lease. With a fence the
    /// lease cannot change hands until this transaction ends.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the lease is at another epoch; [`Error::Conflict`] when the release was not locked, would
    /// go forward again after it had left its course, or would change plan or workload. Nothing of the transaction
    /// can be written then.
    pub async fn put_release(&mut self, r: &Release, fence: Option<Epoch>) -> Result<()> {
        if let Some(fence) = fence {
            let sql = sqlx::query_as("select epoch from leases where release = $1 for share").bind(r.id.0);
            let held: Option<(i64,)> = self.maybe(sql).await?;
            if held != Some((fence.0,)) {
                return Err(self.refuse(Error::Fenced));
            }
        }
        let Some(read) = self.read.get(&r.id) else {
            let why = format!("Release {} was not read in the transaction that writes it.", r.id);
            return Err(self.refuse(Error::Conflict(why)));
        };
        let revision = read.revision;
        let document = read.next(r).map_err(|why| self.refuse(why))?;
        let sql = sqlx::query(
            "update releases set document = $3::json, revision = revision + 1 where id = $1 and revision = $2",
        );
        if self.run(sql.bind(r.id.0).bind(revision).bind(document)).await? == 0 {
            let why = format!("Release {} was changed past its lock. Read it again.", r.id);
            return Err(self.refuse(Error::Conflict(why)));
        }
        if let Some(read) = self.read.get_mut(&r.id) {
            read.revision += 1;
            read.release = r.clone();
        }
        Ok(())
    }
}
