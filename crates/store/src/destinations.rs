//! Where notifications go. Of a secret only its sealed form, or the name of the variable that holds it, comes here.

use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::notify::Settings;
use sqlx::FromRow;
use sqlx::types::Json;

/// Where the secret of a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// It has none.
    None,
    /// In the environment of the process, under this name.
    Variable(String),
    /// In the row, encrypted.
    Sealed(Sealed),
}

/// Encrypted bytes. Not shown, though they would tell nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What is kept of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDestination {
    pub name: String,
    /// `None`: for all environments.
    pub environment: Option<String>,
    pub settings: Settings,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRecord {
    pub id: i64,
    pub name: String,
    pub environment: Option<String>,
    pub settings: Settings,
    pub secret: Secret,
    pub created: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    environment: Option<String>,
    settings: Json<Settings>,
    secret_variable: Option<String>,
    secret_sealed: Option<Vec<u8>>,
    created: DateTime<Utc>,
}

impl From<Row> for DestinationRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            environment: row.environment,
            settings: row.settings.0,
            secret: secret(row.secret_variable, row.secret_sealed),
            created: row.created,
        }
    }
}

pub(crate) fn secret(variable: Option<String>, sealed: Option<Vec<u8>>) -> Secret {
    match (variable, sealed) {
        (Some(name), _) => Secret::Variable(name),
        (None, Some(bytes)) => Secret::Sealed(Sealed(bytes)),
        (None, None) => Secret::None,
    }
}

const DESTINATIONS: &str = "select id, name, environment, settings, secret_variable, secret_sealed, created
     from destinations where removed is null";

impl Store {
    /// All destinations, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn destinations(&self) -> Result<Vec<DestinationRecord>> {
        let sql = format!("{DESTINATIONS} order by lower(name)");
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql)).await?;
        Ok(rows.into_iter().map(DestinationRecord::from).collect())
    }

    /// A destination that was not removed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn destination(&self, id: i64) -> Result<DestinationRecord> {
        let sql = format!("{DESTINATIONS} and id = $1");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id)).await?;
        row.map(DestinationRecord::from).ok_or(Error::NotFound("destination"))
    }
}

impl Tx {
    /// Adds a destination, yet without a secret: what seals it needs the number first. See [`Tx::put_secret`].
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is one of this name.
    pub async fn insert_destination(&mut self, new: &NewDestination, now: DateTime<Utc>) -> Result<i64> {
        let sql = sqlx::query_as(
            "insert into destinations (name, kind, environment, settings, created)
             values ($1, $2, $3, $4::jsonb, $5) returning id",
        )
        .bind(&new.name)
        .bind(document::word(&new.settings.channel())?)
        .bind(&new.environment)
        .bind(document::to_text(&new.settings)?)
        .bind(now);
        self.one(sql).await.map(|(id,): (i64,)| id)
    }

    /// Changes a destination; its secret stays. The kind never changes.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is another of this name; [`Error::NotFound`] also when it is of another kind.
    pub async fn put_destination(&mut self, id: i64, new: &NewDestination) -> Result<()> {
        let sql = sqlx::query(
            "update destinations set name = $2, environment = $4, settings = $5::jsonb
             where id = $1 and removed is null and kind = $3",
        )
        .bind(id)
        .bind(&new.name)
        .bind(document::word(&new.settings.channel())?)
        .bind(&new.environment)
        .bind(document::to_text(&new.settings)?);
        self.one_changed(sql, "destination").await
    }

    /// Says where a destination's secret is.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn put_secret(&mut self, id: i64, secret: &Secret) -> Result<()> {
        let (variable, sealed) = match secret {
            Secret::None => (None, None),
            Secret::Variable(name) => (Some(name), None),
            Secret::Sealed(sealed) => (None, Some(&sealed.0)),
        };
        let sql = sqlx::query(
            "update destinations set secret_variable = $2, secret_sealed = $3 where id = $1 and removed is null",
        );
        self.one_changed(sql.bind(id).bind(variable).bind(sealed), "destination").await
    }

    /// Removes a destination and forgets its secret. What waits for it is given up.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when it was removed before.
    pub async fn remove_destination(&mut self, id: i64, now: DateTime<Utc>) -> Result<()> {
        let sql = sqlx::query(
            "update destinations set removed = $2, secret_variable = null, secret_sealed = null
             where id = $1 and removed is null",
        );
        self.one_changed(sql.bind(id).bind(now), "destination").await?;
        let sql = sqlx::query(
            "update notifications set state = 'failed', failed_at = clock_timestamp(), leased_by = null,
                 leased_until = null, last_error = 'The destination was removed.'
             where destination = $1 and state = 'waiting'",
        );
        self.run(sql.bind(id)).await.map(drop)
    }

    pub(crate) async fn one_changed(&mut self, sql: crate::link::Sql<'_>, what: &'static str) -> Result<()> {
        match self.run(sql).await? {
            0 => Err(self.refuse(Error::NotFound(what))),
            _ => Ok(()),
        }
    }
}
