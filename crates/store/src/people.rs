//! People with accounts.

use crate::link::SqlAs;
use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::{Grant, PersonId};
use sqlx::FromRow;
use sqlx::types::Json;

/// Somebody with an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    pub id: PersonId,
    pub email: String,
    pub name: String,
    /// Argon2id in PHC string format; `None`: cannot sign in by password.
    pub password_hash: Option<String>,
    pub grants: Vec<Grant>,
    pub disabled: bool,
}

/// An account about to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPerson {
    pub email: String,
    pub name: String,
    pub password_hash: Option<String>,
    pub grants: Vec<Grant>,
}

/// Password hashes stay out of logs.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewPerson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPerson").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct Row {
    id: i64,
    email: String,
    name: String,
    password_hash: Option<String>,
    grants: Json<Vec<Grant>>,
    disabled: bool,
}

impl From<Row> for Person {
    fn from(row: Row) -> Self {
        Self {
            id: PersonId(row.id),
            email: row.email,
            name: row.name,
            password_hash: row.password_hash,
            grants: row.grants.0,
            disabled: row.disabled,
        }
    }
}

const PEOPLE: &str =
    "select id, email, name, password_hash, grants, disabled is not null as disabled from people";

impl Store {
    async fn someone(&self, sql: SqlAs<'_, Row>) -> Result<Option<Person>> {
        Ok(self.link().await?.maybe(sql).await?.map(Person::from))
    }

    /// Whoever has this address, in any case.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn person_by_email(&self, email: &str) -> Result<Option<Person>> {
        let sql = format!("{PEOPLE} where lower(email) = lower($1)");
        self.someone(sqlx::query_as(&sql).bind(email)).await
    }

    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn person(&self, id: PersonId) -> Result<Person> {
        let sql = format!("{PEOPLE} where id = $1");
        self.someone(sqlx::query_as(&sql).bind(id.0)).await?.ok_or(Error::NotFound("person"))
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn people(&self) -> Result<Vec<Person>> {
        let sql = format!("{PEOPLE} order by lower(name), id");
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql)).await?;
        Ok(rows.into_iter().map(Person::from).collect())
    }

    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count_people(&self) -> Result<i64> {
        let sql = sqlx::query_as("select count(*) from people");
        self.link().await?.one(sql).await.map(|(n,): (i64,)| n)
    }
}

impl Tx {
    /// Makes an account.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is one with this address.
    pub async fn insert_person(&mut self, new: &NewPerson, now: DateTime<Utc>) -> Result<PersonId> {
        let sql = sqlx::query_as(
            "insert into people (email, name, password_hash, grants, created)
             values ($1, $2, $3, $4::jsonb, $5) returning id",
        )
        .bind(&new.email)
        .bind(&new.name)
        .bind(&new.password_hash)
        .bind(document::to_text(&new.grants)?)
        .bind(now);
        self.one(sql).await.map(|(id,): (i64,)| PersonId(id))
    }

    /// Makes the first account. Of two at once one is refused.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is any account.
    pub async fn insert_first_person(&mut self, new: &NewPerson, now: DateTime<Utc>) -> Result<PersonId> {
        self.run(sqlx::query("lock table people in share row exclusive mode")).await?;
        let (there,): (bool,) = self.one(sqlx::query_as("select exists (select from people)")).await?;
        if there {
            let why = "Tidegate is set up already. Sign in, or ask an administrator for an account.";
            return Err(self.refuse(Error::Conflict(why.into())));
        }
        self.insert_person(new, now).await
    }

    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_password(&mut self, id: PersonId, password_hash: &str) -> Result<()> {
        let sql = sqlx::query("update people set password_hash = $2 where id = $1");
        let done = self.run(sql.bind(id.0).bind(password_hash)).await?;
        self.somebody(done)
    }

    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_grants(&mut self, id: PersonId, grants: &Vec<Grant>) -> Result<()> {
        let sql = sqlx::query("update people set grants = $2::jsonb where id = $1");
        let done = self.run(sql.bind(id.0).bind(document::to_text(grants)?)).await?;
        self.somebody(done)
    }

    /// Closes an account, or opens it again.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_disabled(&mut self, id: PersonId, disabled: bool, now: DateTime<Utc>) -> Result<()> {
        let sql = sqlx::query("update people set disabled = $2 where id = $1");
        let done = self.run(sql.bind(id.0).bind(disabled.then_some(now))).await?;
        self.somebody(done)
    }

    fn somebody(&mut self, rows: u64) -> Result<()> {
        if rows == 0 { Err(self.refuse(Error::NotFound("person"))) } else { Ok(()) }
    }
}
