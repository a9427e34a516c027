//! `/audit`.

use super::services::see;
use crate::Control;
use crate::error::OrProblem as _;
use model::audit::{Event, Verified};
use model::view::{AuditFilter, AuditPage};
use model::{Actor, Problem, ReleaseId, Seq};

/// Events on one page.
const PAGE: i64 = 100;

impl Control {
    /// A page of the history, newest first.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn audit(&self, actor: &Actor, filter: AuditFilter) -> Result<AuditPage, Problem> {
        see(actor)?;
        let mut rows = self.store().events(&filter, PAGE + 1).await.or_problem()?;
        let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > PAGE;
        rows.truncate(usize::try_from(PAGE).unwrap_or(100));
        Ok(AuditPage {
            next: if more { rows.last().map(|e| e.seq.0) } else { None },
            rows,
            filter,
            size: self.store().audit_size().await.or_problem()?,
            verified: None,
            age: self.age(),
        })
    }

    /// Recomputes the whole chain.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn verify_audit(&self, actor: &Actor) -> Result<Verified, Problem> {
        see(actor)?;
        self.store().verify().await.or_problem()
    }

    /// Events after a place in the chain, oldest first: for export and for streams that resume.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn events_after(&self, actor: &Actor, after: Seq, limit: i64) -> Result<Vec<Event>, Problem> {
        see(actor)?;
        self.store().events_after(after, limit.clamp(1, 1000)).await.or_problem()
    }

    /// A filtered page of the history, newest first, of up to 1,000 events.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn events(
        &self,
        actor: &Actor,
        filter: &AuditFilter,
        limit: i64,
    ) -> Result<Vec<Event>, Problem> {
        see(actor)?;
        self.store().events(filter, limit.clamp(1, 1000)).await.or_problem()
    }

    /// Events of one release after a place in the chain, oldest first.
    ///
    /// # Errors
    /// 403, 404; 503 without a database.
    pub async fn release_events(
        &self,
        actor: &Actor,
        id: ReleaseId,
        after: Seq,
        limit: i64,
    ) -> Result<Vec<Event>, Problem> {
        see(actor)?;
        self.store().release_events(id, after, limit.clamp(1, 1000)).await.or_problem()
    }
}
