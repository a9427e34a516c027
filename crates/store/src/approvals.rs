//! What people decided about versions of plans. An approval names the digest; it counts for that digest only.

use crate::link::{Link, SqlAs};
use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::{Digest, PersonId, PlanId};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Approved,
    Rejected,
}

/// A decision about to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApproval {
    pub plan: PlanId,
    pub version: i32,
    /// Of that version.
    pub digest: Digest,
    pub person: PersonId,
    pub name: String,
    pub decision: Decision,
    pub comment: Option<String>,
    pub at: DateTime<Utc>,
    /// From then on it no longer counts.
    pub expires: DateTime<Utc>,
}

/// A person's last decision about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRecord {
    pub plan: PlanId,
    pub version: i32,
    pub digest: Digest,
    pub person: PersonId,
    pub name: String,
    pub decision: Decision,
    pub comment: Option<String>,
    pub at: DateTime<Utc>,
    pub expires: DateTime<Utc>,
    /// Since when it is taken back.
    pub revoked: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    plan: i64,
    version: i64,
    digest: String,
    person: i64,
    name: String,
    decision: String,
    comment: Option<String>,
    at: DateTime<Utc>,
    expires: DateTime<Utc>,
    revoked: Option<DateTime<Utc>>,
}

impl Row {
    fn record(self) -> Result<ApprovalRecord> {
        Ok(ApprovalRecord {
            plan: PlanId(self.plan),
            version: document::number("version", self.version)?,
            digest: Digest(self.digest),
            person: PersonId(self.person),
            name: self.name,
            decision: document::from_word("decision", self.decision)?,
            comment: self.comment,
            at: self.at,
            expires: self.expires,
            revoked: self.revoked,
        })
    }
}

const APPROVALS: &str = "select a.plan, a.version, a.digest, a.person, a.name, a.decision, a.comment, a.at, \
     a.expires, a.revoked from approvals a";

/// What counts: of exactly this digest, not taken back, not too old, and never of somebody who wrote any version of
/// the plan: else an author could approve after a colleague's edit. An edit that was itself edited back has the
/// same digest again and still voids what was approved before it.
const COUNTS: &str = "a.plan = $1 and a.digest = $2 and a.decision = 'approved' and a.revoked is null \
     and a.expires > $3 \
     and a.version = (select max(v.version) from plan_versions v where v.plan = $1 and v.digest = $2) \
     and not exists (select from plan_versions v where v.plan = a.plan and v.author = a.person)";

async fn records(link: &mut Link, sql: SqlAs<'_, Row>) -> Result<Vec<ApprovalRecord>> {
    link.all(sql).await?.into_iter().map(Row::record).collect()
}

async fn valid(
    link: &mut Link,
    plan: PlanId,
    digest: &Digest,
    now: DateTime<Utc>,
) -> Result<Vec<ApprovalRecord>> {
    let sql = format!("{APPROVALS} where {COUNTS} order by a.at, a.person");
    records(link, sqlx::query_as(&sql).bind(plan.0).bind(&digest.0).bind(now)).await
}

impl Store {
    /// All decisions about a plan, of all versions, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn approvals(&self, plan: PlanId) -> Result<Vec<ApprovalRecord>> {
        let sql = format!("{APPROVALS} where a.plan = $1 order by a.at, a.version, a.person");
        records(&mut self.link().await?, sqlx::query_as(&sql).bind(plan.0)).await
    }

    /// The approvals that count for this digest at this time, one a person, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn valid_approvals(
        &self,
        plan: PlanId,
        digest: &Digest,
        now: DateTime<Utc>,
    ) -> Result<Vec<ApprovalRecord>> {
        valid(&mut self.link().await?, plan, digest, now).await
    }
}

impl Tx {
    /// [`Store::valid_approvals`], as this transaction sees them.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn valid_approvals(
        &mut self,
        plan: PlanId,
        digest: &Digest,
        now: DateTime<Utc>,
    ) -> Result<Vec<ApprovalRecord>> {
        valid(self.link(), plan, digest, now).await
    }

    /// Records a decision, in place of the person's earlier one about the same version.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless version and digest are those of the plan's newest version; [`Error::NotFound`].
    pub async fn put_approval(&mut self, a: &NewApproval) -> Result<()> {
        let sql = sqlx::query(
            "insert into approvals (plan, version, digest, person, name, decision, comment, at, expires)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9
             where exists (select from plans p join plan_versions v on v.plan = p.id and v.version = p.version
                           where p.id = $1 and p.version = $2 and v.digest = $3)
             on conflict (plan, version, person) do update
             set name = excluded.name, decision = excluded.decision, comment = excluded.comment,
                 at = excluded.at, expires = excluded.expires, revoked = null",
        )
        .bind(a.plan.0)
        .bind(a.version)
        .bind(&a.digest.0)
        .bind(a.person.0)
        .bind(&a.name)
        .bind(document::word(&a.decision)?)
        .bind(&a.comment)
        .bind(a.at)
        .bind(a.expires);
        if self.run(sql).await? == 0 {
            return Err(self.refuse(Error::Conflict(format!(
                "Version {} with this digest is not the newest of plan {}. Look at the newest version.",
                a.version, a.plan
            ))));
        }
        Ok(())
    }

    /// Takes back what a person decided about any version of a plan.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is nothing that still stands.
    pub async fn revoke_approval(
        &mut self,
        plan: PlanId,
        person: PersonId,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let sql = sqlx::query(
            "update approvals set revoked = $3 where plan = $1 and person = $2 and revoked is null",
        )
        .bind(plan.0)
        .bind(person.0)
        .bind(now);
        if self.run(sql).await? == 0 {
            return Err(self.refuse(Error::NotFound("approval that stands")));
        }
        Ok(())
    }
}
