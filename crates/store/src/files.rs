//! Files that live in clusters and are followed here, rollback policies and feature flags: each content that one had.

use crate::{Result, Store, Tx, document};
use chrono::{DateTime, Utc};
use model::Book;
use model::problem::FieldError;
use sqlx::FromRow;
use sqlx::types::Json;

/// Announced when a policy file changed, or something about policies.
pub const POLICIES_TOPIC: &str = "policies";
/// Announced when a file of flags changed, or something about flags.
pub const FLAGS_TOPIC: &str = "flags";

fn table(book: Book) -> &'static str {
    match book {
        Book::Policies => "policy_files",
        Book::Flags => "flag_files",
    }
}

fn topic(book: Book) -> &'static str {
    match book {
        Book::Policies => POLICIES_TOPIC,
        Book::Flags => FLAGS_TOPIC,
    }
}

/// Serialises those who record a file. Any numbers that nobody else uses.
fn turn(book: Book) -> i64 {
    match book {
        Book::Policies => 0x7469_6465_706f_6c69,
        Book::Flags => 0x7469_6465_666c_6167,
    }
}

/// A content of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFile<'a> {
    pub cluster: &'a str,
    pub namespace: &'a str,
    pub at: DateTime<Utc>,
    /// `None`: the file is gone.
    pub text: Option<&'a str>,
    /// Why it is not in force; empty where it is.
    pub faults: &'a [FieldError],
    pub by: &'a str,
    pub outside: bool,
}

/// The same, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRecord {
    pub id: i64,
    pub cluster: String,
    pub namespace: String,
    pub at: DateTime<Utc>,
    pub text: Option<String>,
    pub faults: Vec<FieldError>,
    pub by: String,
    pub outside: bool,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    cluster: String,
    namespace: String,
    at: DateTime<Utc>,
    text: Option<String>,
    faults: Option<Json<Vec<FieldError>>>,
    by: String,
    outside: bool,
}

impl From<Row> for FileRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            cluster: row.cluster,
            namespace: row.namespace,
            at: row.at,
            text: row.text,
            faults: row.faults.map(|f| f.0).unwrap_or_default(),
            by: row.by,
            outside: row.outside,
        }
    }
}

const FILE: &str = "id, cluster, namespace, at, text, faults, by, outside";

impl Store {
    /// What each namespace's file holds now, and, where that has faults, the content in force instead. In order of
    /// cluster, namespace and age.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn files(&self, book: Book) -> Result<Vec<FileRecord>> {
        let table = table(book);
        let sql = format!(
            "with ids as (
                 select max(id) as id from {table} group by cluster, namespace
                 union select max(id) from {table} where faults is null group by cluster, namespace
             )
             select {FILE} from {table} join ids using (id) order by cluster, namespace, id"
        );
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql)).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The number of the newest content of all files, so that whoever has read that one need not read them again.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn newest_file(&self, book: Book) -> Result<Option<i64>> {
        let sql = format!("select max(id) from {}", table(book));
        let (newest,): (Option<i64>,) = self.link().await?.one(sqlx::query_as(&sql)).await?;
        Ok(newest)
    }

    /// The newest contents of one file, newest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn file_history(
        &self,
        book: Book,
        cluster: &str,
        namespace: &str,
        limit: i64,
    ) -> Result<Vec<FileRecord>> {
        let table = table(book);
        let sql = format!(
            "select {FILE} from {table} where cluster = $1 and namespace = $2 order by id desc limit $3"
        );
        let sql = sqlx::query_as(&sql).bind(cluster).bind(namespace).bind(limit);
        let rows: Vec<Row> = self.link().await?.all(sql).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn file(&self, book: Book, id: i64) -> Result<FileRecord> {
        let sql = format!("select {FILE} from {} where id = $1", table(book));
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id)).await?;
        row.map(Into::into).ok_or(crate::Error::NotFound("file"))
    }
}

impl Tx {
    /// Records a file's content, where the newest one on record still is `after`. `None` when another was recorded
    /// meanwhile: nothing is written.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn record_file(
        &mut self,
        book: Book,
        file: &NewFile<'_>,
        after: Option<i64>,
    ) -> Result<Option<i64>> {
        let alone = sqlx::query_as("select pg_advisory_xact_lock($1) is null").bind(turn(book));
        let (_,): (bool,) = self.one(alone).await?;
        let faults = match file.faults {
            [] => None,
            faults => Some(document::to_text(&faults.to_vec())?),
        };
        let table = table(book);
        let sql = format!(
            "insert into {table} (cluster, namespace, at, text, faults, by, outside)
             select $1, $2, $3, $4, $5::json, $6, $7
             where (select max(id) from {table} where cluster = $1 and namespace = $2)
                 is not distinct from $8
             returning id"
        );
        let sql = sqlx::query_as(&sql)
            .bind(file.cluster)
            .bind(file.namespace)
            .bind(file.at)
            .bind(file.text)
            .bind(faults)
            .bind(file.by)
            .bind(file.outside)
            .bind(after);
        let row: Option<(i64,)> = self.maybe(sql).await?;
        self.notify(topic(book));
        Ok(row.map(|(id,)| id))
    }
}
