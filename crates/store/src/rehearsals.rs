//! Rehearsed rollbacks of a plan's versions. Rows are only added; the newest of a version counts.

use crate::{Result, Store, Tx, document};
use model::rehearsal::Rehearsal;
use model::{Digest, PlanId};
use sqlx::types::Json;

impl Store {
    /// The last rehearsal for a version of a plan, passed or not.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn rehearsal(&self, plan: PlanId, version: i32) -> Result<Option<Rehearsal>> {
        let sql = sqlx::query_as(
            "select document from rehearsals where plan = $1 and plan_version = $2 order by id desc limit 1",
        )
        .bind(plan.0)
        .bind(i64::from(version));
        let row: Option<(Json<Rehearsal>,)> = self.link().await?.maybe(sql).await?;
        Ok(row.map(|(rehearsal,)| rehearsal.0))
    }
}

impl Tx {
    /// Keeps a rehearsal for exactly this content of a plan.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the plan has no version with this digest.
    pub async fn insert_rehearsal(
        &mut self,
        plan: PlanId,
        version: i32,
        digest: &Digest,
        rehearsal: &Rehearsal,
    ) -> Result<()> {
        let sql = sqlx::query(
            "insert into rehearsals (plan, plan_version, digest, at, passed, document)
             values ($1, $2, $3, $4, $5, $6::json)",
        )
        .bind(plan.0)
        .bind(version)
        .bind(&digest.0)
        .bind(rehearsal.at)
        .bind(rehearsal.passed())
        .bind(document::to_text(rehearsal)?);
        self.run(sql).await.map(drop)
    }
}
