//! A release as a row: one document, from which the database itself draws the columns that are searched.

use crate::{Error, Result, document};
use model::ReleaseId;
use model::release::{Course, Release};
use serde_json::{Map, Value};
use sqlx::FromRow;
use sqlx::types::Json;

pub(crate) const COLUMNS: &str = "id, revision, document";

#[derive(FromRow)]
pub(crate) struct Row {
    id: i64,
    revision: i64,
    document: Json<Map<String, Value>>,
}

impl Row {
    pub(crate) fn release(self) -> Result<Release> {
        let mut release: Release = serde_json::from_value(Value::Object(self.document.0))
            .map_err(|e| Error::unreadable("release", e))?;
        release.id = ReleaseId(self.id);
        Ok(release)
    }

    pub(crate) fn read(self) -> Result<Read> {
        let (revision, mut unknown) = (self.revision, self.document.0.clone());
        let release = self.release()?;
        for known in fields(&release)?.keys() {
            unknown.remove(known);
        }
        Ok(Read { revision, release, unknown })
    }
}

/// A release as a transaction read it for writing.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) revision: i64,
    pub(crate) release: Release,
    /// What a newer version of Tidegate wrote and this one does not know: kept, or a replica that is still to be
    /// updated would lose it.
    unknown: Map<String, Value>,
}

impl Read {
    pub(crate) fn new(release: Release) -> Self {
        Self { revision: 1, release, unknown: Map::new() }
    }

    /// The document that takes this one's place.
    pub(crate) fn next(&self, release: &Release) -> Result<String> {
        let old = &self.release;
        let same = (old.plan, old.plan_version, &old.digest, &old.workload)
            == (release.plan, release.plan_version, &release.digest, &release.workload);
        let conflict = |words: &str| Err(Error::Conflict(format!("Release {} {words}.", release.id)));
        if !same {
            return conflict("keeps its plan and its workload");
        }
        if old.course != Course::Forward && release.course == Course::Forward {
            return conflict("has left its course: it does not go forward again");
        }
        write(release, &self.unknown)
    }
}

/// The document of a release.
pub(crate) fn write(release: &Release, unknown: &Map<String, Value>) -> Result<String> {
    let text = document::to_text(release)?;
    if unknown.is_empty() {
        return Ok(text);
    }
    let mut all = fields(release)?;
    all.extend(unknown.clone());
    Ok(Value::Object(all).to_string())
}

fn fields(release: &Release) -> Result<Map<String, Value>> {
    match serde_json::to_value(release) {
        Ok(Value::Object(fields)) => Ok(fields),
        other => Err(Error::Corrupt(format!("A release is no document: {other:?}."))),
    }
}
