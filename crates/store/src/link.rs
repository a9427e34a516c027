//! One connection, lent from the pool, on which no wait is endless.
//!
//! sqlx waits for an answer as long as the socket lives, which with a frozen server is for ever. Here each
//! statement has a limit, and a connection that missed it is dropped instead of going back to the pool.

use crate::{Error, Result};
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow, Postgres};
use sqlx::query::{Query, QueryAs};
use sqlx::{Executor as _, FromRow};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a statement may take, and how long all reads of one call may take together with getting a connection.
/// The server gives up by itself somewhat later.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);

pub(crate) type Sql<'q> = Query<'q, Postgres, PgArguments>;
pub(crate) type SqlAs<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

pub(crate) struct Link {
    /// Taken only by dropping.
    connection: Option<PoolConnection<Postgres>>,
    /// A statement is under way, or its answer was given up: the connection is in no known state.
    busy: bool,
    in_transaction: bool,
    /// Of a call's reads; within a transaction each statement has its own.
    deadline: Instant,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) async fn lend(pool: &PgPool) -> Result<Self> {
        let deadline = Instant::now() + ANSWER;
        // Bounded by the pool's own limit, which is shorter.
        let connection = pool.acquire().await?;
        Ok(Self { connection: Some(connection), busy: false, in_transaction: false, deadline })
    }

    /// Begins a transaction; dropping the link without [`Link::commit`] rolls it back.
    pub(crate) async fn begin(&mut self, how: &'static str) -> Result<()> {
        // First, so that a link dropped in the middle of this never returns to the pool with an open transaction.
        self.in_transaction = true;
        self.within(|c| c.execute(how)).await.map(drop)
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.within(|c| c.execute("commit")).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// All rows.
    pub(crate) async fn all<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &mut self,
        sql: SqlAs<'_, T>,
    ) -> Result<Vec<T>> {
        self.within(|c| Box::pin(sql.fetch_all(c))).await
    }

    /// The one row there is.
    pub(crate) async fn one<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &mut self,
        sql: SqlAs<'_, T>,
    ) -> Result<T> {
        self.within(|c| Box::pin(sql.fetch_one(c))).await
    }

    /// The row, if there is one.
    pub(crate) async fn maybe<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &mut self,
        sql: SqlAs<'_, T>,
    ) -> Result<Option<T>> {
        self.within(|c| Box::pin(sql.fetch_optional(c))).await
    }

    /// Runs a statement; how many rows it concerned.
    pub(crate) async fn run(&mut self, sql: Sql<'_>) -> Result<u64> {
        self.within(|c| Box::pin(sql.execute(c))).await.map(|done| done.rows_affected())
    }

    /// The future is boxed, so that whoever awaits it can be spawned: sqlx's own are not `Send` for the compiler
    /// once they are nested.
    async fn within<'c, T>(
        &'c mut self,
        ask: impl FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>,
    ) -> Result<T> {
        let Self { connection, busy, in_transaction, deadline } = self;
        let Some(connection) = connection.as_mut().filter(|_| !*busy) else {
            return Err(Error::silent());
        };
        let deadline = if *in_transaction { Instant::now() + ANSWER } else { *deadline };
        *busy = true;
        let answer = timeout_at(deadline, ask(connection)).await.map_err(|_| Error::silent())?;
        // After a refusal the server waits for the next statement; after anything else nobody knows.
        *busy = !matches!(answer, Ok(_) | Err(sqlx::Error::Database(_) | sqlx::Error::RowNotFound));
        answer.map_err(Error::from)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let runtime = match Handle::try_current() {
            Ok(runtime) if !self.busy => runtime,
            // Closes the socket: the server rolls back by itself.
            _ => return drop(connection.detach()),
        };
        let in_transaction = self.in_transaction;
        runtime.spawn(async move {
            if in_transaction {
                let rolled_back = timeout(ANSWER, (*connection).execute("rollback")).await;
                if !matches!(rolled_back, Ok(Ok(_))) {
                    return drop(connection.detach());
                }
            }
            // The pool tests what it gets back and would wait for ever for a frozen server.
            let _ = timeout(ANSWER, connection.return_to_pool()).await;
        });
    }
}
