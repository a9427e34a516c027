//! Bearer tokens. Only the hash of a secret comes here.

use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::{Grant, PersonId};
use sqlx::FromRow;
use sqlx::types::Json;

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    pub id: i64,
    pub name: String,
    /// Whose it is; `None` for a program that is nobody.
    pub person: Option<PersonId>,
    pub grants: Vec<Grant>,
    pub created: DateTime<Utc>,
    /// From then on it is refused.
    pub expires: DateTime<Utc>,
    /// Since when it is withdrawn.
    pub revoked: Option<DateTime<Utc>>,
}

impl TokenRecord {
    /// Whether it opens anything at this time.
    pub fn valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

/// A token about to be issued.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// SHA-256 of the secret, in lower-case hex.
    pub hash: String,
    pub name: String,
    pub person: Option<PersonId>,
    pub grants: Vec<Grant>,
    pub expires: DateTime<Utc>,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct Row {
    id: i64,
    name: String,
    person: Option<i64>,
    grants: Json<Vec<Grant>>,
    created: DateTime<Utc>,
    expires: DateTime<Utc>,
    revoked: Option<DateTime<Utc>>,
}

impl From<Row> for TokenRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            person: row.person.map(PersonId),
            grants: row.grants.0,
            created: row.created,
            expires: row.expires,
            revoked: row.revoked,
        }
    }
}

const TOKENS: &str = "select id, name, person, grants, created, expires, revoked from tokens";

impl Store {
    /// The token with this SHA-256 (hex), expired and revoked ones too.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn token_by_hash(&self, hash: &str) -> Result<Option<TokenRecord>> {
        let sql = format!("{TOKENS} where hash = $1");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(hash)).await?;
        Ok(row.map(TokenRecord::from))
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        let sql = format!("{TOKENS} order by id desc");
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql)).await?;
        Ok(rows.into_iter().map(TokenRecord::from).collect())
    }
}

impl Tx {
    /// Keeps a token.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the hash is known; [`Error::NotFound`] when there is no such person.
    pub async fn insert_token(&mut self, new: &NewToken, now: DateTime<Utc>) -> Result<i64> {
        let sql = sqlx::query_as(
            "insert into tokens (hash, name, person, grants, created, expires)
             values ($1, $2, $3, $4::jsonb, $5, $6) returning id",
        )
        .bind(&new.hash)
        .bind(&new.name)
        .bind(new.person.map(|p| p.0))
        .bind(document::to_text(&new.grants)?)
        .bind(now)
        .bind(new.expires);
        self.one(sql).await.map(|(id,): (i64,)| id)
    }

    /// Withdraws a token.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it is withdrawn already.
    pub async fn revoke_token(&mut self, id: i64, now: DateTime<Utc>) -> Result<()> {
        let sql = sqlx::query("update tokens set revoked = $2 where id = $1 and revoked is null");
        if self.run(sql.bind(id).bind(now)).await? == 0 {
            return Err(self.refuse(Error::NotFound("token that stands")));
        }
        Ok(())
    }
}
