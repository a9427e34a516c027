//! Rollback policies: the files live in the cluster, their history here. Each is read as it changes, watches the releases that
//! start under it, and what it asks for is done once, whichever replica lives.

mod act;
mod act_service;
mod breaker;
mod edit;
mod files;
mod page;
mod services;
mod tried;
mod watch;

pub use edit::PolicyChange;
pub use tried::tried;

use crate::error::OrProblem as _;
pub(crate) use crate::files::Place;
use crate::{Control, read_lock, write_lock};
use model::policy::{Policies, Policy, from_yaml, governing};
use model::release::{PolicyUsed, Release};
use model::workload::{Key, Workload};
use model::{Book, Problem};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};
use store::FileRecord;
use tokio::sync::Notify;

/// What is known of all policy files.
#[derive(Debug, Default)]
pub(crate) struct Known {
    files: RwLock<BTreeMap<Place, Standing>>,
    /// Policies by the stored content that they are of. Contents never change.
    contents: RwLock<HashMap<i64, Arc<Policies>>>,
    /// Services watched between releases, as this process has read them.
    watched: RwLock<HashMap<Key, services::Watched>>,
    /// Something changed: a file in a cluster, or its record.
    pub(crate) changed: Notify,
    /// A policy has fired, or somebody has answered.
    pub(crate) fired: Notify,
}

/// One file: what it holds, and what is in force.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) now: FileRecord,
    /// The newest content without faults; `None` where there never was one, and where the file is gone.
    pub(crate) in_force: Option<(i64, Arc<Policies>)>,
}

impl Known {
    pub(crate) fn files(&self) -> BTreeMap<Place, Standing> {
        read_lock(&self.files).clone()
    }

    fn standing(&self, place: &Place) -> Option<Standing> {
        read_lock(&self.files).get(place).cloned()
    }
}

/// Policies of a content that is in force.
fn parsed(record: &FileRecord) -> Option<Arc<Policies>> {
    let text = record.text.as_deref().filter(|_| record.faults.is_empty())?;
    from_yaml(text).ok().map(|read| Arc::new(read.policies))
}

impl Control {
    /// The policy that a release of this workload would be watched by, were it to start now: of the file in its own
    /// namespace, else of the one beside Tidegate.
    pub(crate) fn policy_for(&self, key: &Key, service: &str, environment: &str) -> Option<PolicyUsed> {
        let files = read_lock(&self.inner.policies.files);
        let of = |namespace: &str| files.get(&(key.cluster.clone(), namespace.to_owned()));
        // A file of its own that is not in force does not let another one rule in its place.
        let own = of(&key.namespace).filter(|standing| standing.now.text.is_some());
        let (file, policies) = own.or_else(|| of(&self.inner.config.home))?.in_force.as_ref()?;
        let (name, _) = governing(policies, service, environment)?;
        Some(PolicyUsed { file: *file, name: name.to_owned() })
    }

    /// Does the file of this place rule this workload, or would it?
    fn rules(&self, (cluster, namespace): &Place, w: &Workload) -> bool {
        let files = read_lock(&self.inner.policies.files);
        let has_own =
            |ns: &str| files.get(&(cluster.clone(), ns.to_owned())).is_some_and(|s| s.now.text.is_some());
        let ns = &w.key.namespace;
        w.key.cluster == *cluster && (ns == namespace || *namespace == self.inner.config.home && !has_own(ns))
    }

    /// The policy that watches a release: as it was when that started.
    ///
    /// # Errors
    /// 503 when its file cannot be read from Postgres.
    pub(crate) async fn policy_of(&self, release: &Release) -> Result<Option<Policy>, Problem> {
        let Some(used) = &release.policy else { return Ok(None) };
        let known = read_lock(&self.inner.policies.contents).get(&used.file).cloned();
        let policies = match known {
            Some(policies) => policies,
            None => {
                let record = self.store().file(Book::Policies, used.file).await.or_problem()?;
                let policies = parsed(&record).unwrap_or_default();
                write_lock(&self.inner.policies.contents).insert(used.file, policies.clone());
                policies
            }
        };
        Ok(policies.get(&used.name).cloned())
    }
}
