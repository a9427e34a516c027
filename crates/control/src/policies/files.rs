//! Follows the policy files: what a cluster holds is compared with what is on record, and each difference is recorded.
//!
//! A content with faults is recorded with them, and the one before it stays in force: nobody is without a policy for a typing
//! error.

use super::{Place, Standing, parsed};
use crate::error::OrProblem as _;
use crate::{Control, write_lock};
use chrono::TimeDelta;
use cluster::LiveFile;
use model::audit::NewEvent;
use model::policy::from_yaml;
use model::problem::FieldError;
use model::role::Via;
use model::{Actor, Book, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::{FileRecord, NewFile};

/// The safety net: files are compared at least this often.
const TICK: Duration = Duration::from_secs(2);
/// How long a content that was written here may take to be seen in the cluster.
const WRITTEN_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// Every fault of a file, at its field; none where it is in order.
pub(super) fn faults(text: &str) -> Vec<FieldError> {
    match from_yaml(text) {
        Ok(_) => Vec::new(),
        Err(problem) if problem.fields.is_empty() => {
            vec![FieldError { field: String::new(), message: problem.detail }]
        }
        Err(problem) => problem.fields,
    }
}

impl Control {
    pub(crate) async fn run_policies(&self) {
        let clusters = self.clusters().iter().map(|cluster| async {
            let mut files = cluster.files(Book::Policies);
            while files.changed().await.is_ok() {
                self.inner.policies.changed.notify_one();
            }
        });
        let compared = async {
            loop {
                if let Err(problem) = self.compare_policies().await {
                    tracing::debug!(%problem, "policy files are compared later");
                }
                let changed = self.inner.policies.changed.notified();
                let _ = tokio::time::timeout(TICK, changed).await;
            }
        };
        tokio::join!(futures::future::join_all(clusters), compared, self.run_firings(), self.run_services());
    }

    async fn compare_policies(&self) -> Result<(), Problem> {
        self.read_policies().await?;
        let mut recorded = false;
        for cluster in self.clusters() {
            let Some(live) = cluster.files(Book::Policies).borrow().clone() else { continue };
            let known = self.inner.policies.files();
            let own = known.keys().filter(|(of, _)| of == cluster.name()).map(|(_, namespace)| namespace);
            let all: BTreeSet<&String> = own.chain(live.keys()).collect();
            for namespace in all {
                let place = (cluster.name().to_owned(), namespace.clone());
                recorded |= self.compare_policy(&place, live.get(namespace), known.get(&place)).await?;
            }
        }
        match recorded {
            true => self.read_policies().await,
            false => Ok(()),
        }
    }

    /// Whether something was recorded.
    async fn compare_policy(
        &self,
        place: &Place,
        live: Option<&LiveFile>,
        known: Option<&Standing>,
    ) -> Result<bool, Problem> {
        // A ConfigMap without the key is an empty file.
        let text = live.map(|file| file.text.clone().unwrap_or_default());
        let before = known.map(|k| &k.now);
        if before.map(|b| &b.text) == Some(&text) || before.is_none() && text.is_none() {
            return Ok(false);
        }
        let now = self.now_utc();
        if before.is_some_and(|b| !b.outside && now - b.at < WRITTEN_WITHIN) {
            // On its way, or not yet seen.
            return Ok(false);
        }
        let (by, at) = match live.and_then(|file| file.written.clone()) {
            Some((manager, at)) => (manager, at.min(now)),
            None => ("the cluster".to_owned(), now),
        };
        let faults = text.as_deref().map(faults).unwrap_or_default();
        let file = NewFile {
            cluster: &place.0,
            namespace: &place.1,
            at,
            text: text.as_deref(),
            faults: &faults,
            by: &by,
            outside: true,
        };
        let mut tx = self.store().begin().await.or_problem()?;
        if tx.record_file(Book::Policies, &file, before.map(|b| b.id)).await.or_problem()?.is_none() {
            // Another replica has.
            return Ok(true);
        }
        let words = match (&text, faults.len()) {
            (None, _) => "are gone from the cluster: none is in force".to_owned(),
            (Some(_), 0) => "were changed outside Tidegate, and are in force".to_owned(),
            (Some(_), n) => {
                let faults = if n == 1 { "a fault".to_owned() } else { format!("{n} faults") };
                format!("were changed outside Tidegate and have {faults}: what was in force stays")
            }
        };
        let actor = Actor {
            person: None,
            name: format!("{by}, outside Tidegate"),
            grants: Vec::new(),
            via: Via::System,
        };
        let mut event =
            NewEvent::new(now, &actor, "policy.changed", format!("Rollback policies of {} {words}", place.1));
        event.detail = serde_json::json!({ "cluster": place.0, "namespace": place.1, "faults": faults });
        tx.commit(event).await.or_problem()?;
        Ok(true)
    }

    /// Reads what is on record.
    ///
    /// # Errors
    /// 503 without a database: what is known stays.
    pub(super) async fn read_policies(&self) -> Result<(), Problem> {
        let records = self.store().files(Book::Policies).await.or_problem()?;
        let mut files: BTreeMap<Place, Standing> = BTreeMap::new();
        // In order of age: the last of a place is what it holds.
        for record in records {
            let place = (record.cluster.clone(), record.namespace.clone());
            let in_force = self.in_force(&record, files.get(&place));
            files.insert(place, Standing { now: record, in_force });
        }
        let mut held = write_lock(&self.inner.policies.files);
        let news =
            held.len() != files.len() || held.values().zip(files.values()).any(|(a, b)| a.now.id != b.now.id);
        *held = files;
        drop(held);
        if news {
            self.announce(store::POLICIES_TOPIC);
        }
        Ok(())
    }

    fn in_force(
        &self,
        record: &FileRecord,
        before: Option<&Standing>,
    ) -> Option<(i64, std::sync::Arc<model::policy::Policies>)> {
        record.text.as_ref()?;
        if !record.faults.is_empty() {
            return before.and_then(|b| b.in_force.clone());
        }
        let mut contents = write_lock(&self.inner.policies.contents);
        if let Some(known) = contents.get(&record.id) {
            return Some((record.id, known.clone()));
        }
        let policies = parsed(record)?;
        contents.insert(record.id, policies.clone());
        Some((record.id, policies))
    }
}
