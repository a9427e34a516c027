//! A rollback, rehearsed before a release may start: what was tried on the cluster without changing it, and what
//! going back will not bring back.

use crate::rollback::Pace;
use crate::workload::Key;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long a rehearsal counts: permissions, policies and quotas change without a new revision.
pub const GOOD_FOR: TimeDelta = TimeDelta::hours(24);

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `Revert`, `Abort`: short, for a list.
    pub name: String,
    pub passed: bool,
    /// What was found; for one that failed, what to do as well.
    pub words: String,
}

impl Check {
    pub fn passed(name: impl Into<String>, words: impl Into<String>) -> Self {
        Self { name: name.into(), passed: true, words: words.into() }
    }

    pub fn failed(name: impl Into<String>, words: impl Into<String>) -> Self {
        Self { name: name.into(), passed: false, words: words.into() }
    }
}

/// Where the way back leads, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// Pod template hash of the known-good revision: the rehearsal is about this one and no other.
    pub hash: String,
    /// The version it runs.
    pub version: String,
    pub revision: Option<i64>,
    /// While the release is in flight.
    pub pace: Pace,
    /// After it was promoted.
    pub promoted: Pace,
}

/// What a rehearsal found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    pub at: DateTime<Utc>,
    /// From the first call to the last answer, in milliseconds.
    pub took_ms: u64,
    pub workload: Key,
    /// `None` where no way back could be written down: the check says why.
    pub way: Option<WayBack>,
    pub checks: Vec<Check>,
    /// What somebody should know and what fails nothing: pods that must start, what is not rolled back.
    pub findings: Vec<String>,
}

/// Why a rehearsal does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Older than [`GOOD_FOR`].
    Old,
    /// Another revision is the stable one since.
    OtherRevision { was: String, is: String },
    /// The plan leads to another workload since.
    OtherWorkload { was: Key },
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Old => write!(f, "It is older than {} hours.", GOOD_FOR.num_hours()),
            Self::OtherRevision { was, is } => {
                write!(f, "It was for revision {was}; the stable revision is {is} now.")
            }
            Self::OtherWorkload { was } => write!(f, "It was for {was}."),
        }
    }
}

impl Rehearsal {
    /// There is a way back, and every check of it passed.
    pub fn passed(&self) -> bool {
        self.way.is_some() && !self.checks.is_empty() && self.checks.iter().all(|c| c.passed)
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| !c.passed)
    }

    /// `passed, about 2 s`; `failed: Abort, Promote`.
    pub fn words(&self) -> String {
        match &self.way {
            Some(way) if self.passed() => format!("passed, {}", way.pace.takes()),
            _ => {
                let names: Vec<_> = self.failures().map(|c| c.name.as_str()).collect();
                if names.is_empty() { "failed".to_owned() } else { format!("failed: {}", names.join(", ")) }
            }
        }
    }

    /// Why it does not count at `now` for `workload` with the stable revision `hash`; `None` when it does. Says
    /// nothing about whether it passed.
    pub fn stale(&self, now: DateTime<Utc>, workload: &Key, hash: &str) -> Option<Stale> {
        if self.workload != *workload {
            return Some(Stale::OtherWorkload { was: self.workload.clone() });
        }
        if let Some(way) = &self.way
            && way.hash != hash
        {
            return Some(Stale::OtherRevision { was: way.hash.clone(), is: hash.to_owned() });
        }
        (now - self.at > GOOD_FOR).then_some(Stale::Old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{GOOD, at, key};

    fn rehearsal() -> Rehearsal {
        Rehearsal {
            at: at(0),
            took_ms: 48,
            workload: key(),
            way: Some(WayBack {
                hash: GOOD.into(),
                version: "1.41.3".into(),
                revision: Some(41),
                pace: Pace::Seconds,
                promoted: Pace::PodStart,
            }),
            checks: vec![Check::passed("Revert", "Accepted."), Check::passed("Abort", "Accepted.")],
            findings: Vec::new(),
        }
    }

    #[test]
    fn one_that_passed_says_how_long_it_takes() {
        assert!(rehearsal().passed());
        assert_eq!(rehearsal().words(), "passed, about 2 s");
    }

    #[test]
    fn one_failed_check_fails_it_and_is_named() {
        let mut r = rehearsal();
        r.checks[1] = Check::failed("Abort", "Not allowed.");
        r.checks.push(Check::failed("Promote", "Not allowed."));
        assert!(!r.passed());
        assert_eq!(r.words(), "failed: Abort, Promote");
    }

    #[test]
    fn nothing_tried_proves_nothing() {
        let mut r = rehearsal();
        r.checks.clear();
        assert!(!r.passed());
        assert_eq!(r.words(), "failed");
        let mut r = rehearsal();
        r.way = None;
        assert!(!r.passed(), "without a way back there is nothing to pass");
    }

    #[test]
    fn it_counts_for_a_day_and_for_its_revision_and_workload_only() {
        let r = rehearsal();
        let day = GOOD_FOR.num_seconds();
        assert_eq!(r.stale(at(day), &key(), GOOD), None);
        assert_eq!(r.stale(at(day + 1), &key(), GOOD), Some(Stale::Old));
        let other = r.stale(at(1), &key(), "other").unwrap();
        assert_eq!(other.to_string(), "It was for revision good-hash; the stable revision is other now.");
        let mut elsewhere = key();
        elsewhere.namespace = "shop-2".into();
        assert_eq!(r.stale(at(1), &elsewhere, GOOD), Some(Stale::OtherWorkload { was: key() }));
        assert_eq!(Stale::Old.to_string(), "It is older than 24 hours.");
    }

    #[test]
    fn it_comes_back_from_json_as_it_was() {
        let json = serde_json::to_string(&rehearsal()).unwrap();
        assert_eq!(serde_json::from_str::<Rehearsal>(&json).unwrap(), rehearsal());
    }
}
