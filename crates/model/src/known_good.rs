//! Where a workload goes back to, told from the record of its versions that carried all traffic.
//!
//! ReplicaSets cannot tell: old ones are deleted, the second-highest revision may have been aborted and never
//! promoted, and a template copied from one makes a new revision.

use crate::ids::AttemptId;
use crate::workload::{Phase, Workload};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// How a version came to carry all traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was deployed: by a release of ours, or past Tidegate.
    Forward,
    /// It is the version before it, with other pods: see [`is_restart`].
    Restarted,
    /// A rollback of ours led to it.
    Back {
        /// Hash of the version that was left, where the controller had named it.
        from: Option<String>,
    },
}

/// That a version is known good. What leads back to it is kept with it, in Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The higher, the later it was recorded.
    pub id: i64,
    /// For a rollback that was merged later, when it was pressed.
    pub at: DateTime<Utc>,
    pub hash: String,
    pub came: Came,
}

/// The versions that lead to the present one, oldest first: what is left when each rollback has taken away what it
/// took back. `records` are oldest first.
///
/// A version that was deployed is put on top of the path, unless it is there already; one that was restarted takes the
/// place of what it was before. A rollback cuts the path above
/// the version it led to; where that one is not on the path, it takes the place of the version that was left.
pub fn path(records: &[Record]) -> Vec<&Record> {
    let mut path: Vec<&Record> = Vec::new();
    for record in records {
        if let Came::Back { from } = &record.came {
            // A rollback recorded late, out of the journal, took nothing back that came after it.
            let before = path.iter().rposition(|r| r.hash == record.hash && r.at <= record.at);
            let target = before.or_else(|| path.iter().rposition(|r| r.hash == record.hash));
            let left = || path.iter().rposition(|r| Some(&r.hash) == from.as_ref());
            let keep = target.map(|i| i + 1).or_else(left).unwrap_or(path.len());
            path.truncate(keep);
        }
        if record.came == Came::Restarted {
            path.pop();
        }
        if path.last().is_none_or(|top| top.hash != record.hash) {
            path.push(record);
        }
    }
    path
}

/// The version a rollback of this workload leads to, without a release of ours under way. `records` are oldest first.
///
/// - While a rollback of ours has not yet arrived, where it leads: pressing again carries it on, and never turns
///   it round.
/// - While one pressed at another replica is on its way, of which no record tells here yet, likewise: its mark is on
///   the object.
/// - In flight, the stable version, which still runs. So too when a new template has not been taken up yet.
/// - At rest, the version below the present one on the [`path`]: what carried all traffic before it, leaving out what
///   rollbacks have taken back. After `A B`, a rollback to `A` and another press, that is what came before `A`, not
///   `B`; once `A` was deliberately deployed over `B`, it is `B`.
/// - At rest on a version that is not on the path (too young to be known, or unhealthy from the start), the top; not
///   where a press at another replica has led to it, of which no record tells here yet: the top is what that one left.
///
/// `None` when no record tells.
pub fn way_back<'a>(records: &'a [Record], w: &Workload) -> Option<&'a Record> {
    let stable = w.stable_hash.as_deref()?;
    if let Some(last) = under_way(records, w) {
        return Some(last);
    }
    let path = path(records);
    let place = |hash: &str| path.iter().rposition(|r| r.hash == hash);
    let templated = not_taken_up(w);
    if templated && !w.in_flight() && pressed_elsewhere(records, w) {
        // That press put an older template back, and the controller still names the version it leaves.
        let below = place(stable).unwrap_or(path.len());
        let same = |r: &&Record| w.revision(&r.hash).is_some_and(|own| own.images == w.images);
        let to = path[..below].iter().copied().rev().find(same);
        return to.or_else(|| below.checked_sub(1).map(|i| path[i]));
    }
    if w.in_flight() || templated {
        return match (w.current_hash.as_deref().and_then(place), place(stable)) {
            (Some(to), Some(from)) if to < from && pressed_elsewhere(records, w) => Some(path[to]),
            _ => records.iter().rev().find(|r| r.hash == stable),
        };
    }
    match place(stable) {
        Some(present) => present.checked_sub(1).map(|below| path[below]),
        None if pressed_elsewhere(records, w) => None,
        None => path.last().copied(),
    }
}

/// The version that [`way_back`] leads to and the one below it, where the present one is on no record and may be the first of them
/// under another hash: restarted a moment ago. Whoever has both templates tells, by [`is_restart`].
pub fn may_be_restarted<'a>(records: &'a [Record], w: &Workload) -> Option<(&'a Record, Option<&'a Record>)> {
    let stable = w.stable_hash.as_deref().filter(|_| !w.in_flight() && !not_taken_up(w))?;
    let path = path(records);
    let told = path.iter().any(|r| r.hash == stable) || under_way(records, w).is_some();
    if told || pressed_elsewhere(records, w) {
        return None;
    }
    let (top, below) = path.split_last()?;
    Some((top, below.last().copied()))
}

/// The versions that a person may name to go back to instead of `target`, newest first: those that lead to it. Where
/// it is not on the path (never recorded, or taken back), all of the path. Never `left`, the version to get away from.
pub fn older_than<'a>(records: &'a [Record], target: &str, left: Option<&str>) -> Vec<&'a Record> {
    let path = path(records);
    let below = path.iter().rposition(|r| r.hash == target).unwrap_or(path.len());
    let mut all: Vec<&Record> = Vec::new();
    for record in path[..below].iter().rev() {
        let hash = record.hash.as_str();
        if hash != target && Some(hash) != left && all.iter().all(|r| r.hash != hash) {
            all.push(record);
        }
    }
    all
}

/// A rollback of ours that has not arrived: the last record, while the version it leaves still is the stable one.
pub fn under_way<'a>(records: &'a [Record], w: &Workload) -> Option<&'a Record> {
    let last = records.last()?;
    let Came::Back { from: Some(from) } = &last.came else { return None };
    let leaves = w.stable_hash.as_ref() == Some(from) && last.hash != *from;
    leaves.then_some(last)
}

/// A rollback was pressed at another replica, and its record has not arrived here: its mark is on the object. Marks
/// stay there, so those of recorded presses and of long ago say nothing.
fn pressed_elsewhere(records: &[Record], w: &Workload) -> bool {
    let Some(pressed) = w.attempt.as_deref().and_then(AttemptId::pressed_at) else {
        return false;
    };
    let back = |r: &Record| matches!(r.came, Came::Back { .. }) && r.at.timestamp_millis() == pressed;
    records.first().is_some_and(|first| first.at.timestamp_millis() < pressed) && !records.iter().any(back)
}

/// Somebody put another version into the template, and the controller has not seen it: the hashes are about the one
/// before. A mere change of scale is not meant.
fn not_taken_up(w: &Workload) -> bool {
    let current = w.current_hash.as_deref().and_then(|hash| w.revision(hash));
    !w.observed() && current.is_some_and(|r| r.images != w.images)
}

/// A rollback has left this version, and it was not deployed again since.
pub fn taken_back(records: &[Record], hash: &str) -> bool {
    let named =
        |r: &Record| r.hash == hash || matches!(&r.came, Came::Back { from: Some(from) } if from == hash);
    records.iter().any(named) && path(records).iter().all(|r| r.hash != hash)
}

/// May this revision, of which no record tells, be gone back to from rest? Not when a rollback has left it, not while it
/// may be what a press at another replica has left, and not when it came after the first record: it would have been
/// recorded, had it ever carried all traffic.
pub fn plausible(records: &[Record], w: &Workload, hash: &str) -> bool {
    let first = records.first().map(|r| r.at);
    let created = w.revision(hash).map(|r| r.created);
    let older = first.zip(created).is_none_or(|(first, created)| created < first);
    older && !taken_back(records, hash) && !pressed_elsewhere(records, w)
}

/// The mark that `kubectl rollout restart` leaves in a template, for no other end than to make another ReplicaSet of it.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Two templates differ by nothing but a restart.
pub fn is_restart(before: &Value, now: &Value) -> bool {
    let bare = |template: &Value| {
        let mut template = template.clone();
        let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else {
            return template;
        };
        metadata.remove("creationTimestamp");
        if let Some(notes) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.remove(RESTARTED_AT);
            if notes.is_empty() {
                metadata.remove("annotations");
            }
        }
        template
    };
    before != now && bare(before) == bare(now)
}

/// The hash of the one version that carries all of the workload's traffic, healthy; `None` while there is none.
pub fn carries_all(w: &Workload) -> Option<&str> {
    let hash = w.stable_hash.as_deref()?;
    let is = |other: &Option<String>| other.as_deref() == Some(hash);
    let alone =
        is(&w.current_hash) && w.twin.is_none() && w.weights.is_none_or(|x| x.canary == 0 && !w.unverified);
    let active = w.active_hash.is_none() || is(&w.active_hash);
    // Without pods nothing is proven.
    let serves = w.replicas > 0 && w.available > 0;
    let healthy = w.phase == Phase::Healthy && w.observed() && !w.spec_paused && !w.abort;
    (alone && active && serves && healthy).then_some(hash)
}

/// How the version that [`carries_all`] is to be recorded; `None` when it is, or when there is none.
pub fn unrecorded(records: &[Record], w: &Workload) -> Option<Came> {
    let hash = carries_all(w)?;
    let path = path(records);
    if path.last().is_some_and(|top| top.hash == hash) {
        return None;
    }
    let last = records.last().filter(|last| arrived_as_another(last, w));
    let left = last.or_else(|| put_back(&path, w, hash));
    Some(left.map_or(Came::Forward, |left| Came::Back { from: Some(left.hash.clone()) }))
}

/// Somebody put an earlier version back past Tidegate: by `kubectl`, or by a revert in git. The version that was left by
/// it; `None` when this is a version like no earlier one.
///
/// Told by the hash, or, where the template is not quite what it was, by its images: those of an earlier version, and not
/// those of the one that was left. A release of ours that leads to an older version is recorded by itself when it
/// succeeds, as the deployment that somebody planned and approved; here nobody said that it was more than going back. So
/// the version that was left is nowhere to go back to, until it is deployed again.
fn put_back<'a>(path: &[&'a Record], w: &Workload, hash: &str) -> Option<&'a Record> {
    let (left, earlier) = path.split_last()?;
    let images = |hash: &str| w.revision(hash).map(|r| &r.images);
    let told_by_images = images(&left.hash).is_some_and(|bad| *bad != w.images);
    let same = |r: &&Record| r.hash == hash || told_by_images && images(&r.hash) == Some(&w.images);
    earlier.iter().copied().any(|r| same(&r)).then_some(*left)
}

/// A rollback led to this version, and the controller made a new revision of it: a template taken from a ReplicaSet
/// can differ from what its owner wrote. Told by the target's own ReplicaSet: had it been used again, its number
/// would have risen above that of the version that was left.
fn arrived_as_another(last: &Record, w: &Workload) -> bool {
    let Came::Back { from: Some(from) } = &last.came else {
        return false;
    };
    match (w.revision(&last.hash), w.revision(from)) {
        (Some(target), Some(left)) => target.number < left.number && target.images == w.images,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
