//! Feature flags: the files live in the cluster, their history here. What they say is served from memory, without Postgres and
//! without the API server: a file that cannot be read leaves the last good one served, and a killed flag stays off whatever the
//! file says (invariant 10).

mod ask;
mod change;
mod keys;
mod kill;
mod page;
mod record;
mod serve;

pub use change::{FlagDraft, FlagEdit, lines_digest};
pub use keys::{FlagAccess, FlagStream};
pub use serve::ServedFlags;

use crate::files::Place;
use crate::{Control, read_lock};
use chrono::{DateTime, TimeDelta, Utc};
use flags::{Flag, change::Change};
use model::{Action, Actor, Problem};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::{FileRecord, FlagKill};
use tokio::sync::{Notify, watch};

/// What is known of all flags.
#[derive(Debug, Default)]
pub(crate) struct Known {
    served: RwLock<BTreeMap<Place, Arc<ServedFlags>>>,
    /// Of those who serve at once, the later one waits: what is served never goes back.
    serving: tokio::sync::Mutex<()>,
    /// Of those who read the record at once, the later one waits: what is known of it never goes back.
    reading: tokio::sync::Mutex<()>,
    standing: RwLock<BTreeMap<Place, Standing>>,
    /// Kill switches on record that nobody has revived.
    kills: RwLock<Vec<FlagKill>>,
    /// Kill switches that were pressed here and are not on record yet.
    pressed: Mutex<Vec<kill::Pressed>>,
    keys: RwLock<Option<Arc<keys::Keys>>>,
    /// What a content changed, by its record. Contents never change.
    changes: RwLock<HashMap<i64, Arc<Vec<Change>>>>,
    /// When files were put right lately.
    held: Mutex<HashMap<Place, Vec<DateTime<Utc>>>>,
    /// Counts what was served anew, and keys that were withdrawn.
    told: watch::Sender<u64>,
    /// Something changed: a file in a cluster, or a record.
    changed: Notify,
}

/// So often in ten minutes is a file put right at once; then somebody fights for it, and it is done slowly.
const QUICKLY: usize = 5;
const SLOWLY: TimeDelta = TimeDelta::seconds(30);

impl Known {
    /// May this file be put right now? Whoever writes it over and over by a program would otherwise keep both busy.
    fn may_hold(&self, place: &Place, now: DateTime<Utc>) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let times = held.entry(place.clone()).or_default();
        times.retain(|at| now - *at < TimeDelta::minutes(10));
        let may = times.len() < QUICKLY || times.last().is_none_or(|last| now - *last >= SLOWLY);
        if may {
            times.push(now);
        }
        may
    }

    /// Something is new on record.
    pub(crate) fn hear(&self) {
        self.changed.notify_one();
    }
}

/// One file on record.
#[derive(Clone, Debug)]
struct Standing {
    now: FileRecord,
    /// The newest text without faults, also where the file is gone since; `None` where there never was one.
    good: Option<Arc<str>>,
}

impl Control {
    /// What is served of a namespace's flags; `None` where no file of flags was ever seen.
    pub(crate) fn served_flags(&self, place: &Place) -> Option<Arc<ServedFlags>> {
        read_lock(&self.inner.flags.served).get(place).cloned()
    }

    /// The flag as it is served.
    ///
    /// # Errors
    /// 404.
    fn flag(&self, place: &Place, key: &str) -> Result<(Arc<ServedFlags>, Flag), Problem> {
        self.cluster(&place.0)?;
        let found = self.served_flags(place).and_then(|s| s.file.flag(key).cloned().map(|flag| (s, flag)));
        found.ok_or_else(|| Problem::not_found(format!("There is no flag {key} in namespace {}.", place.1)))
    }

    /// A flag for no certain environment counts in all that its namespace has.
    fn may_flag(&self, actor: &Actor, action: Action, place: &Place, flag: &Flag) -> Result<(), Problem> {
        if let Some(environment) = &flag.environment {
            return actor.require(action, environment);
        }
        let environments = self.environments_of(place);
        if action == Action::KillFlag || environments.is_empty() {
            // Whoever sees a fire may pull the alarm.
            return match actor.may_somewhere(action) {
                true => Ok(()),
                false => actor.require(action, "any environment"),
            };
        }
        environments.iter().try_for_each(|e| actor.require(action, e))
    }

    fn environments_of(&self, place: &Place) -> BTreeSet<String> {
        let Ok(cluster) = self.cluster(&place.0) else { return BTreeSet::new() };
        let all = cluster.workloads();
        let own = all.iter().filter(|w| w.key.namespace == place.1);
        own.map(|w| w.environment.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_program_fights_for_is_put_right_slowly() {
        let known = Known::default();
        let place = ("main".to_owned(), "shop".to_owned());
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let times: Vec<i64> = (0..120).filter(|s| known.may_hold(&place, at(*s))).collect();
        assert_eq!(times[..5], [0, 1, 2, 3, 4], "a person who errs is answered at once");
        assert!(times[5..].windows(2).all(|w| w[1] - w[0] >= 26) && times.len() < 10, "{times:?}");
        assert!(known.may_hold(&("main".to_owned(), "other".to_owned()), at(5)));
    }
}
