//! How the control plane itself is, for whoever watches over it. Answered from memory.

use crate::{Control, read_lock};
use chrono::{DateTime, Utc};
use model::release::State;
use std::collections::HashMap;

/// What `/metrics` shows.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Releases under way, by state.
    pub releases: HashMap<State, usize>,
    /// When the conductor last finished a look at all releases; `None` before the first.
    pub conductor: Option<DateTime<Utc>>,
    /// Rollbacks recorded on disk and not yet in the audit chain.
    pub journal: usize,
}

impl Control {
    pub fn vitals(&self) -> Vitals {
        let mut releases = HashMap::new();
        for release in read_lock(&self.inner.active).values() {
            *releases.entry(release.state).or_insert(0) += 1;
        }
        Vitals {
            releases,
            conductor: *read_lock(&self.inner.passed),
            journal: self.inner.journal.unmerged().len(),
        }
    }
}
