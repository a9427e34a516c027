//! Services watched all the time: on what a policy fires between releases, when that is over, and what it may roll back by
//! itself. Pure, so that the past can be asked the same questions.

use super::{Firing, Policy, Reading, ServiceWatch, fire};
use crate::ids::ReleaseId;
use crate::known_good::{Came, Record};
use crate::workload::{Key, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Between two readings of a service.
pub const LOOK: TimeDelta = TimeDelta::seconds(15);
/// Each reading is of the requests of so many seconds.
pub const WINDOW: i64 = 60;
/// `min_requests` counts those of so many seconds.
pub const REQUESTS: i64 = 300;
/// It is over when nothing was beyond its limit for so long.
pub const QUIET: TimeDelta = TimeDelta::minutes(2);

/// What a policy fired on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FiredOn {
    Release { id: ReleaseId, step: usize },
    Service(Box<ServiceAt>),
}

impl FiredOn {
    pub fn release(&self) -> Option<ReleaseId> {
        match self {
            Self::Release { id, .. } => Some(*id),
            Self::Service(_) => None,
        }
    }
}

/// A service between releases, as it was when a policy fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAt {
    pub workload: Key,
    pub service: String,
    pub environment: String,
    pub version: String,
    /// Of the version that carried all traffic.
    pub hash: String,
}

/// Nothing was beyond its limit for [`QUIET`] until `now`, and that was seen. What cannot be read says nothing.
pub fn is_quiet(policy: &Policy, readings: &[Reading], now: DateTime<Utc>) -> bool {
    let recent: Vec<_> = readings.iter().filter(|r| r.at > now - QUIET && r.at <= now).collect();
    let fine = |r: &&Reading| {
        let broken =
            policy.triggers.iter().any(|t| r.values.get(&t.what).is_some_and(|v| t.limit.broken(*v)));
        !(broken || r.values.is_empty())
    };
    // Half of them were seen at least: a gap is no proof.
    let most = QUIET.num_seconds() / LOOK.num_seconds();
    i64::try_from(recent.len()).is_ok_and(|n| n * 2 > most) && recent.iter().all(fine)
}

/// Each time that a policy would have fired on readings in order of time: again only after it was quiet.
pub fn episodes(policy: &Policy, readings: &[Reading]) -> Vec<Firing> {
    let mut all = Vec::new();
    let mut rest = readings;
    while let Some(first) = rest.first() {
        let Some(firing) = fire(policy, first.at, rest) else { break };
        let fired = rest.partition_point(|r| r.at <= firing.at);
        // Two pointers: what is recent is a window that moves along.
        let over = (fired..rest.len()).find(|&i| {
            let now = rest[i].at;
            let from = rest[..=i].partition_point(|r| r.at <= now - QUIET);
            rest[from].at > firing.at && is_quiet(policy, &rest[from..=i], now)
        });
        all.push(firing);
        let Some(over) = over else { break };
        rest = &rest[over..];
    }
    all
}

/// May a policy roll this workload back by itself, from the version `hash` on which it fired? `records` are those of its versions,
/// oldest first.
///
/// # Errors
/// Why not, in words.
pub fn may_roll_back(
    watch: &ServiceWatch,
    hash: &str,
    records: &[Record],
    w: &Workload,
    now: DateTime<Utc>,
) -> Result<(), String> {
    if w.stable_hash.as_deref() != Some(hash) {
        return Err("Another version carries the traffic by now.".into());
    }
    if w.in_flight() {
        return Err("Another version is on its way in.".into());
    }
    let first = records.first().is_none_or(|r| r.hash == hash && records.iter().all(|r| r.hash == hash));
    match records.iter().rev().find(|r| r.hash == hash) {
        _ if first => Err("No version before this one is on record: how old it is is not known.".into()),
        // It came after what is on record, a moment ago.
        None => Ok(()),
        Some(Record { came: Came::Back { .. }, .. }) => {
            Err("A rollback has led to this version already: further back only by hand.".into())
        }
        Some(record) if now - record.at > watch.rollback_within.delta() => Err(format!(
            "This version has run for longer than {}: what broke is rarely an old version.",
            watch.rollback_within
        )),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, Conditions, Limit, Trigger, What};
    use crate::span::Span;

    fn policy() -> Policy {
        Policy {
            triggers: vec![Trigger { what: What::ErrorRate, limit: Limit::Above(0.05) }],
            conditions: Conditions {
                min_observation_time: Span::ZERO,
                max_rollback_time: Span(600),
                confirmation_samples: 3,
                min_requests: 10,
            },
            actions: vec![Action::PauseRollout],
            breaker: None,
            services: Some(ServiceWatch { rollback_within: Span(3600) }),
        }
    }

    fn at(i: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap() + LOOK * i32::try_from(i).unwrap()
    }

    /// One reading each quarter of a minute; `None` is one that could not be taken.
    fn readings(rates: &[Option<f64>]) -> Vec<Reading> {
        let one = |(i, rate): (usize, &Option<f64>)| Reading {
            at: at(i64::try_from(i).unwrap()),
            requests: 100.0,
            values: rate.map(|rate| (What::ErrorRate, rate)).into_iter().collect(),
        };
        rates.iter().enumerate().map(one).collect()
    }

    #[test]
    fn it_fires_again_only_after_two_quiet_minutes() {
        let (bad, good) = (Some(0.2), Some(0.0));
        let mut rates = vec![good; 4];
        rates.extend([bad; 4]);
        rates.extend([good; 4]); // a minute: still the same matter
        rates.extend([bad; 4]);
        rates.extend([good; 10]);
        rates.extend([bad; 2]); // two in a row are not three
        rates.extend([good; 1]);
        rates.extend([bad; 3]);
        let fired: Vec<_> = episodes(&policy(), &readings(&rates)).iter().map(|f| f.at).collect();
        assert_eq!(fired, [at(6), at(31)]);
    }

    #[test]
    fn what_is_not_seen_is_not_quiet() {
        let mut rates = vec![Some(0.2); 3];
        rates.extend([None; 40]);
        let all = readings(&rates);
        assert!(!is_quiet(&policy(), &all, at(42)));
        assert_eq!(episodes(&policy(), &all).len(), 1);
        assert!(!is_quiet(&policy(), &readings(&[Some(0.0); 3]), at(2)), "too little was seen");
        assert!(is_quiet(&policy(), &readings(&[Some(0.0); 9]), at(8)));
    }

    fn record(hash: &str, came: Came, minutes_ago: i64) -> Record {
        Record { id: 1, at: at(0) - TimeDelta::minutes(minutes_ago), hash: hash.into(), came }
    }

    #[test]
    fn only_a_young_version_that_was_deployed_is_rolled_back() {
        let watch = ServiceWatch { rollback_within: Span(3600) };
        let mut w = crate::conductor::sample::healthy();
        w.stable_hash = Some("bbb".into());
        w.current_hash = Some("bbb".into());
        let ask = |records: &[Record], w: &Workload| may_roll_back(&watch, "bbb", records, w, at(0));
        let young = [record("aaa", Came::Forward, 500), record("bbb", Came::Forward, 59)];
        assert_eq!(ask(&young, &w), Ok(()));
        assert_eq!(ask(&young[..1], &w), Ok(()), "too young to be on record");
        let old = [record("aaa", Came::Forward, 500), record("bbb", Came::Forward, 61)];
        assert!(ask(&old, &w).unwrap_err().contains("longer than 1h"));
        assert!(ask(&old[1..], &w).unwrap_err().contains("how old it is"));
        let back = [
            record("bbb", Came::Forward, 500),
            record("ccc", Came::Forward, 9),
            record("bbb", Came::Back { from: Some("ccc".into()) }, 1),
        ];
        assert!(ask(&back, &w).unwrap_err().contains("only by hand"));
        assert!(ask(&[], &w).is_err());
        let elsewhere = Workload { stable_hash: Some("ccc".into()), ..w.clone() };
        assert!(ask(&young, &elsewhere).unwrap_err().contains("Another version carries"));
        let going = Workload { current_hash: Some("ccc".into()), ..w };
        assert!(ask(&young, &going).unwrap_err().contains("on its way in"));
    }
}
