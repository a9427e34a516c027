//! Follows the policy files: what a cluster holds is compared with what is on record, and each difference is recorded.
//!
//! A content with faults is recorded with them, and the one before it stays in force: nobody is without a policy for a typing
//! error.

use super::{Place, Standing, parsed};
use crate::error::OrProblem as _;
use crate::{Control, write_lock};
use model::policy::from_yaml;
use model::problem::FieldError;
use model::{Book, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::FileRecord;

/// The safety net: files are compared at least this often.
const TICK: Duration = Duration::from_secs(2);

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
                let before = known.get(&place).map(|standing| &standing.now);
                recorded |=
                    self.record_seen(Book::Policies, &place, live.get(namespace), before, faults).await?;
            }
        }
        match recorded {
            true => self.read_policies().await,
            false => Ok(()),
        }
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
