//! Files that live in clusters: what one holds is compared with what is on record, and each difference is recorded, once,
//! whichever replica sees it first.

use crate::Control;
use crate::error::OrProblem as _;
use chrono::TimeDelta;
use cluster::LiveFile;
use model::audit::NewEvent;
use model::problem::FieldError;
use model::{Actor, Book, Problem, Via};
use store::{FileRecord, NewFile};

/// Where a file is: cluster and namespace.
pub(crate) type Place = (String, String);

/// How long a content that was written here may take to be seen in the cluster, or on record.
pub(crate) const WRITTEN_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// What the API server names Tidegate as a writer.
const OWN: &str = "tidegate";

/// A content that somebody gives a file here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) faults: &'a [FieldError],
    /// The record that it is written over.
    pub(crate) after: Option<i64>,
}

/// Has this just been written by a replica, which is about to record it?
fn just_written(live: &LiveFile, now: chrono::DateTime<chrono::Utc>) -> bool {
    live.written.as_ref().is_some_and(|(by, at)| by == OWN && now - *at < WRITTEN_WITHIN)
}

impl Control {
    /// Compares a file in its cluster with its record, and records what is new. Whether something was.
    pub(crate) async fn record_seen(
        &self,
        book: Book,
        place: &Place,
        live: Option<&LiveFile>,
        before: Option<&FileRecord>,
        faults: impl Fn(&str) -> Vec<FieldError>,
    ) -> Result<bool, Problem> {
        // A ConfigMap without the key is an empty file.
        let text = live.map(|file| file.text.clone().unwrap_or_default());
        if before.map(|b| &b.text) == Some(&text) || before.is_none() && text.is_none() {
            return Ok(false);
        }
        let now = self.now_utc();
        let on_its_way = before.is_some_and(|b| !b.outside && now - b.at < WRITTEN_WITHIN);
        if on_its_way || live.is_some_and(|live| just_written(live, now)) {
            return Ok(false);
        }
        let (by, at) = match live.and_then(|file| file.written.clone()) {
            Some((manager, at)) => (manager, at.min(now)),
            None => ("the cluster".to_owned(), now),
        };
        // Written by a replica that ended before it could record it.
        let outside = by != OWN;
        let faults = text.as_deref().map(faults).unwrap_or_default();
        let file = NewFile {
            cluster: &place.0,
            namespace: &place.1,
            at,
            text: text.as_deref(),
            faults: &faults,
            by: if outside { &by } else { "Tidegate" },
            outside,
        };
        let mut tx = self.store().begin().await.or_problem()?;
        if tx.record_file(book, &file, before.map(|b| b.id)).await.or_problem()?.is_none() {
            // Another replica has.
            return Ok(true);
        }
        let (gone, good, kept, title, action) = match book {
            Book::Policies => (
                "none is in force",
                "are in force",
                "what was in force stays",
                "Rollback policies",
                "policy.changed",
            ),
            Book::Flags => (
                "the last good ones stay served",
                "are served",
                "the last good ones stay served",
                "Feature flags",
                "flags.changed",
            ),
        };
        let changed = if outside { "were changed outside Tidegate" } else { "were changed by Tidegate" };
        let words = match (&text, faults.len()) {
            (None, _) => format!("are gone from the cluster: {gone}"),
            (Some(_), 0) => format!("{changed}, and {good}"),
            (Some(_), 1) => format!("{changed} and have a fault: {kept}"),
            (Some(_), n) => format!("{changed} and have {n} faults: {kept}"),
        };
        let actor = match outside {
            true => Actor {
                person: None,
                name: format!("{by}, outside Tidegate"),
                grants: Vec::new(),
                via: Via::System,
            },
            false => Actor::system("files"),
        };
        let mut event = NewEvent::new(now, &actor, action, format!("{title} of {} {words}", place.1));
        event.detail = serde_json::json!({ "cluster": place.0, "namespace": place.1, "faults": faults });
        tx.commit(event).await.or_problem()?;
        Ok(true)
    }

    /// Records a content that somebody gives a file here, with its event. `None` when another was recorded meanwhile: nothing
    /// is.
    pub(crate) async fn record_given(
        &self,
        book: Book,
        actor: &Actor,
        (cluster, namespace): &Place,
        content: Content<'_>,
        mut event: NewEvent,
    ) -> Result<Option<i64>, Problem> {
        let file = NewFile {
            cluster,
            namespace,
            at: event.at,
            text: content.text,
            faults: content.faults,
            by: &actor.name,
            outside: false,
        };
        let mut tx = self.store().begin().await.or_problem()?;
        let id = tx.record_file(book, &file, content.after).await.or_problem()?;
        if id.is_none() {
            return Ok(None);
        }
        event.detail = serde_json::json!({ "cluster": cluster, "namespace": namespace, "file": id });
        tx.commit(event).await.or_problem()?;
        Ok(id)
    }
}
