//! Plans and their versions. A version is written once; only the number of the newest moves, by compare-and-set.

use crate::document::number;
use crate::link::{Link, SqlAs};
use crate::{Error, Result, Store, Tx};
use chrono::{DateTime, Utc};
use model::plan::Plan;
use model::{Actor, Digest, PersonId, PlanId, canonical};
use sha2::{Digest as _, Sha256};
use sqlx::FromRow;

/// A plan at one of its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRecord {
    pub id: PlanId,
    pub name: String,
    pub service: String,
    pub environment: String,
    pub version: i32,
    pub digest: Digest,
    pub plan: Plan,
    /// Who wrote this version; `None` for a program that is nobody.
    pub author: Option<PersonId>,
    pub author_name: String,
    /// When version 1 was written.
    pub created: DateTime<Utc>,
    /// When this version was written.
    pub changed: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    version: i64,
    digest: String,
    document: String,
    author: Option<i64>,
    author_name: String,
    created: DateTime<Utc>,
    at: DateTime<Utc>,
}

/// Every version; `newest` of [`NEWEST`] narrows it.
const VERSIONS: &str = "select p.id, v.version, v.digest, v.document, v.author, v.author_name, p.created, v.at \
     from plans p join plan_versions v on v.plan = p.id";
const NEWEST: &str = "v.version = p.version";

impl Row {
    fn record(self) -> Result<PlanRecord> {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(self.document.as_bytes())));
        // What runs must be what was approved, whatever was done to the row past Tidegate.
        if digest != self.digest {
            return Err(Error::Corrupt(format!(
                "Version {} of plan {} was changed in the database after it was written.",
                self.version, self.id
            )));
        }
        let plan: Plan = serde_json::from_str(&self.document).map_err(|e| Error::unreadable("plan", e))?;
        Ok(PlanRecord {
            id: PlanId(self.id),
            name: plan.metadata.name.clone(),
            service: plan.metadata.service.clone(),
            environment: plan.metadata.environment.clone(),
            version: number("version of the plan", self.version)?,
            digest: Digest(digest),
            plan,
            author: self.author.map(PersonId),
            author_name: self.author_name,
            created: self.created,
            changed: self.at,
        })
    }
}

async fn records(link: &mut Link, sql: SqlAs<'_, Row>) -> Result<Vec<PlanRecord>> {
    link.all(sql).await?.into_iter().map(Row::record).collect()
}

impl Store {
    /// A plan at its newest version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn plan(&self, id: PlanId) -> Result<PlanRecord> {
        let sql = format!("{VERSIONS} where p.id = $1 and {NEWEST}");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id.0)).await?;
        row.ok_or(Error::NotFound("plan"))?.record()
    }

    /// A plan at one version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn plan_version(&self, id: PlanId, version: i32) -> Result<PlanRecord> {
        let sql = format!("{VERSIONS} where p.id = $1 and v.version = $2");
        let sql = sqlx::query_as(&sql).bind(id.0).bind(i64::from(version));
        let row: Option<Row> = self.link().await?.maybe(sql).await?;
        row.ok_or(Error::NotFound("version of the plan"))?.record()
    }

    /// All versions of a plan, newest first; none if there is no such plan.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn plan_versions(&self, id: PlanId) -> Result<Vec<PlanRecord>> {
        let sql = format!("{VERSIONS} where p.id = $1 order by v.version desc");
        records(&mut self.link().await?, sqlx::query_as(&sql).bind(id.0)).await
    }

    /// Plans at their newest version, the last changed first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn plans(&self, limit: i64) -> Result<Vec<PlanRecord>> {
        let sql = format!("{VERSIONS} where {NEWEST} order by p.changed desc, p.id desc limit $1");
        records(&mut self.link().await?, sqlx::query_as(&sql).bind(limit)).await
    }
}

impl Tx {
    /// Writes a new plan at version 1. Name, service and environment are those of its metadata.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the service has a plan of this name; [`Error::Corrupt`] when the digest is not the
    /// plan's.
    pub async fn insert_plan(
        &mut self,
        plan: &Plan,
        digest: &Digest,
        author: &Actor,
        now: DateTime<Utc>,
    ) -> Result<PlanId> {
        let sql = sqlx::query_as(
            "insert into plans (name, service, environment, version, created, changed)
             values ($1, $2, $3, 1, $4, $4) returning id",
        )
        .bind(&plan.metadata.name)
        .bind(&plan.metadata.service)
        .bind(&plan.metadata.environment)
        .bind(now);
        let (id,): (i64,) = self.one(sql).await?;
        self.write_version(PlanId(id), 1, plan, digest, author, now).await?;
        Ok(PlanId(id))
    }

    /// Writes the version after `expected` and returns its number. Approvals of earlier versions are of another
    /// digest from then on and no longer count.
    ///
    /// # Errors
    /// [`Error::Conflict`] when `expected` is not the newest version; [`Error::NotFound`]; [`Error::Corrupt`] when
    /// the digest is not the plan's.
    pub async fn insert_plan_version(
        &mut self,
        id: PlanId,
        expected: i32,
        plan: &Plan,
        digest: &Digest,
        author: &Actor,
        now: DateTime<Utc>,
    ) -> Result<i32> {
        let sql = sqlx::query_as(
            "update plans set version = version + 1, name = $3, service = $4, environment = $5, changed = $6
             where id = $1 and version = $2 returning version",
        )
        .bind(id.0)
        .bind(expected)
        .bind(&plan.metadata.name)
        .bind(&plan.metadata.service)
        .bind(&plan.metadata.environment)
        .bind(now);
        let Some((version,)) = self.maybe::<(i64,)>(sql).await? else {
            let newest: Option<(i64,)> =
                self.maybe(sqlx::query_as("select version from plans where id = $1").bind(id.0)).await?;
            return Err(self.refuse(match newest {
                None => Error::NotFound("plan"),
                Some((newest,)) => Error::Conflict(format!(
                    "Plan {id} was edited meanwhile: it is at version {newest}, not {expected}. \
                     Look at the newest version, then edit that."
                )),
            }));
        };
        let version = number("version of the plan", version)?;
        self.write_version(id, version, plan, digest, author, now).await?;
        Ok(version)
    }

    async fn write_version(
        &mut self,
        id: PlanId,
        version: i32,
        plan: &Plan,
        digest: &Digest,
        author: &Actor,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let document = canonical::to_string(&plan.to_json());
        if *digest != plan.digest() {
            return Err(self.refuse(Error::Corrupt("The digest is not that of the plan.".into())));
        }
        let sql = sqlx::query(
            "insert into plan_versions (plan, version, digest, document, author, author_name, at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.0)
        .bind(version)
        .bind(&digest.0)
        .bind(document)
        .bind(author.person.map(|p| p.0))
        .bind(&author.name)
        .bind(now);
        self.run(sql).await.map(drop)
    }

    /// A plan at its newest version, which stays the newest until this transaction ends.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn lock_plan(&mut self, id: PlanId) -> Result<PlanRecord> {
        // First the lock, then the version: a join under lock could pair a new number with an old version.
        let locked = sqlx::query_as("select version from plans where id = $1 for no key update").bind(id.0);
        let Some((version,)) = self.maybe::<(i64,)>(locked).await? else {
            return Err(self.refuse(Error::NotFound("plan")));
        };
        let sql = format!("{VERSIONS} where p.id = $1 and v.version = $2");
        let row: Row = self.one(sqlx::query_as(&sql).bind(id.0).bind(version)).await?;
        row.record()
    }
}
