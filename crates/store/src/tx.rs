//! A change of state. Consumed by [`Tx::commit`], which takes the audit event: there is no other way to make a
//! change last.

use crate::link::{Link, Sql, SqlAs};
use crate::release_row::Read;
use crate::{Error, Result, audit};
use model::audit::NewEvent;
use model::{ReleaseId, Seq};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, BTreeSet};

/// A transaction. Dropping it rolls everything back. Postgres ends one in which nothing was asked for five seconds: a
/// call to a cluster has no place in the middle of one.
#[derive(Debug)]
#[must_use = "nothing is written until it is committed"]
pub struct Tx {
    link: Link,
    topics: BTreeSet<String>,
    /// Releases read for writing.
    pub(crate) read: BTreeMap<ReleaseId, Read>,
    /// A write was refused by a rule of ours, so Postgres itself would still commit the others.
    refused: bool,
}

impl Tx {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, topics: BTreeSet::new(), read: BTreeMap::new(), refused: false }
    }

    /// Announces a topic to all replicas when, and only when, this is committed. The event's own topics (`audit`,
    /// `release:ID`, `plan:ID`) are announced anyway.
    pub fn notify(&mut self, topic: impl Into<String>) {
        self.topics.insert(topic.into());
    }

    /// Writes the event at the end of the chain and makes everything last, in one.
    ///
    /// The end of the chain is locked only from here on, so that changes wait for one another as shortly as possible.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a write before was refused: nothing is written. [`Error::Unavailable`]: whether it was
    /// committed is not known when the connection broke in the very last step; read before trying again.
    pub async fn commit(mut self, event: NewEvent) -> Result<Seq> {
        if self.refused {
            return Err(Error::Conflict("A part of this change was refused, so nothing was written.".into()));
        }
        let event = audit::settled(event)?;
        self.topics.insert("audit".into());
        self.topics.extend(event.release.map(|id| format!("release:{id}")));
        self.topics.extend(event.plan.map(|id| format!("plan:{id}")));
        let seq = audit::append(&mut self.link, &event, &self.topics).await?;
        self.link.commit().await?;
        Ok(seq)
    }

    /// Marks the transaction: it can no longer be committed.
    pub(crate) fn refuse(&mut self, why: Error) -> Error {
        self.refused = true;
        why
    }

    pub(crate) fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    pub(crate) async fn run(&mut self, sql: Sql<'_>) -> Result<u64> {
        let done = self.link.run(sql).await;
        self.checked(done)
    }

    pub(crate) async fn one<T>(&mut self, sql: SqlAs<'_, T>) -> Result<T>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let row = self.link.one(sql).await;
        self.checked(row)
    }

    pub(crate) async fn maybe<T>(&mut self, sql: SqlAs<'_, T>) -> Result<Option<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let row = self.link.maybe(sql).await;
        self.checked(row)
    }

    pub(crate) async fn all<T>(&mut self, sql: SqlAs<'_, T>) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let rows = self.link.all(sql).await;
        self.checked(rows)
    }

    fn checked<T>(&mut self, answer: Result<T>) -> Result<T> {
        answer.map_err(|why| self.refuse(why))
    }
}
