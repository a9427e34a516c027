//! Feature flags: who has pressed the kill switch, and the keys that services ask with. Their files are in [`crate::files`].

use crate::files::FLAGS_TOPIC;
use crate::{Error, Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

/// A kill switch that was pressed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFlagKill<'a> {
    pub cluster: &'a str,
    pub namespace: &'a str,
    pub flag: &'a str,
    pub at: DateTime<Utc>,
    pub by: &'a str,
    pub reason: &'a str,
    /// What is left of the flag while it is killed, as a file of its own: it is served even where the cluster's file lost it.
    pub text: &'a str,
}

/// The same, as stored, while nobody has revived it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct FlagKill {
    pub id: i64,
    pub cluster: String,
    pub namespace: String,
    pub flag: String,
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
    pub text: String,
}

/// That a person let a killed flag be turned on again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revived {
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
}

/// A key that a service asks with: it reads the flags of one namespace, for one environment.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct FlagKey {
    pub id: i64,
    /// SHA-256 of the secret, in lower-case hex.
    pub hash: String,
    /// In the address of its stream of changes: tells that something changed, and nothing more.
    pub stream: String,
    pub name: String,
    pub cluster: String,
    pub namespace: String,
    /// `None`: flags of every environment.
    pub environment: Option<String>,
    pub created: DateTime<Utc>,
    pub created_by: String,
    /// Since when it opens nothing.
    pub revoked: Option<DateTime<Utc>>,
}

/// A key about to be issued.
#[derive(Clone)]
pub struct NewFlagKey {
    pub hash: String,
    pub stream: String,
    pub name: String,
    pub cluster: String,
    pub namespace: String,
    pub environment: Option<String>,
    pub created_by: String,
}

impl std::fmt::Debug for NewFlagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewFlagKey").field("name", &self.name).finish_non_exhaustive()
    }
}

const KILL: &str = "id, cluster, namespace, flag, at, by, reason, text";
const KEY: &str = "id, hash, stream, name, cluster, namespace, environment, created, created_by, revoked";

impl Store {
    /// Flags that are killed, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn flag_kills(&self) -> Result<Vec<FlagKill>> {
        let sql = format!("select {KILL} from flag_kills where revived is null order by id");
        self.link().await?.all(sqlx::query_as(&sql)).await
    }

    /// All keys, newest first; revoked ones too.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn flag_keys(&self) -> Result<Vec<FlagKey>> {
        let sql = format!("select {KEY} from flag_keys order by id desc");
        self.link().await?.all(sqlx::query_as(&sql)).await
    }
}

impl Tx {
    /// Records that a flag was killed. `None` when it is already (who was first counts): nothing is written.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn insert_flag_kill(&mut self, kill: &NewFlagKill<'_>) -> Result<Option<i64>> {
        let sql = sqlx::query_as(
            "insert into flag_kills (cluster, namespace, flag, at, by, reason, text)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning id",
        )
        .bind(kill.cluster)
        .bind(kill.namespace)
        .bind(kill.flag)
        .bind(kill.at)
        .bind(kill.by)
        .bind(kill.reason)
        .bind(kill.text);
        let row: Option<(i64,)> = self.maybe(sql).await?;
        self.notify(FLAGS_TOPIC);
        Ok(row.map(|(id,)| id))
    }

    /// Records that a person revived a flag. `false` when it is not killed, or another kill is the one that stands: nothing is
    /// written.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn revive_flag(&mut self, kill: i64, revived: &Revived) -> Result<bool> {
        let sql = sqlx::query("update flag_kills set revived = $2::json where id = $1 and revived is null")
            .bind(kill)
            .bind(document::to_text(revived)?);
        let done = self.run(sql).await? == 1;
        self.notify(FLAGS_TOPIC);
        Ok(done)
    }

    /// Keeps a key.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its secret or its stream is known.
    pub async fn insert_flag_key(&mut self, new: &NewFlagKey, now: DateTime<Utc>) -> Result<i64> {
        let sql = sqlx::query_as(
            "insert into flag_keys (hash, stream, name, cluster, namespace, environment, created, created_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
        )
        .bind(&new.hash)
        .bind(&new.stream)
        .bind(&new.name)
        .bind(&new.cluster)
        .bind(&new.namespace)
        .bind(&new.environment)
        .bind(now)
        .bind(&new.created_by);
        let (id,): (i64,) = self.one(sql).await?;
        self.notify(FLAGS_TOPIC);
        Ok(id)
    }

    /// Withdraws a key.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it is withdrawn already.
    pub async fn revoke_flag_key(&mut self, id: i64, now: DateTime<Utc>) -> Result<()> {
        let sql = sqlx::query("update flag_keys set revoked = $2 where id = $1 and revoked is null");
        let done = self.run(sql.bind(id).bind(now)).await?;
        self.notify(FLAGS_TOPIC);
        if done == 1 { Ok(()) } else { Err(Error::NotFound("key")) }
    }
}
