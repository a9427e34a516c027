//! The recorder: writes down each version that has carried all of a workload's traffic, however it was deployed, so
//! that a rollback has somewhere to lead to when its ReplicaSet is gone.
//!
//! Level-triggered: it compares what is with what is on record. It reads two templates at a time and stands back
//! while somebody rolls back. Every replica runs it: they begin at different workloads, one at a time writes, and
//! what another has recorded meanwhile is not written again. While Postgres is down it waits; nothing is lost but time.

use crate::error::OrProblem as _;
use crate::{Control, read_lock};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use model::audit::NewEvent;
use model::known_good::{Came, is_restart, path, unrecorded};
use model::release::KnownGood;
use model::workload::{Key, Workload, version_of};
use model::{Actor, Problem};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::NewKnownGood;

const TICK: Duration = Duration::from_secs(1);
/// How long a version must have carried all traffic, healthy, to be known as good.
const SETTLING: TimeDelta = TimeDelta::seconds(30);
/// After a template could not be read.
const RETRY: TimeDelta = TimeDelta::seconds(30);
/// Versions recorded with one event: at the first start there are thousands.
const BATCH: usize = 100;
/// Templates read at the same time. The connections that are kept warm are more: a press finds one free.
const READS: usize = 2;

/// A version that is not on record, while it settles.
#[derive(Debug)]
struct Settling {
    uid: String,
    hash: String,
    since: DateTime<Utc>,
    not_before: DateTime<Utc>,
}

/// A version that has settled, and what leads back to it.
struct Found<'a> {
    due: &'a Due,
    good: KnownGood,
    came: Came,
}

/// A version that has settled.
struct Due {
    workload: Arc<Workload>,
    hash: String,
    came: Came,
    /// The newest record of the workload that was known when this was decided.
    newest: Option<i64>,
}

impl Control {
    pub(crate) async fn run_recorder(&self) {
        // Side by side: what other replicas record, a press among it, is known here at once.
        tokio::join!(self.run_reader(), self.run_writer());
    }

    async fn run_reader(&self) {
        loop {
            if self.inner.database.load(Ordering::Relaxed)
                && let Err(problem) = self.refresh_known_good().await
            {
                tracing::debug!(%problem, "known-good versions are read later");
                // What could not be read waits as if it had just been heard of: not in a spin.
                tokio::time::sleep(TICK).await;
            }
            tokio::select! {
                () = self.inner.known.heard.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn run_writer(&self) {
        let mut settling = HashMap::new();
        loop {
            tokio::time::sleep(TICK).await;
            if self.inner.database.load(Ordering::Relaxed)
                && let Err(problem) = self.record_what_settled(&mut settling).await
            {
                tracing::debug!(%problem, "known-good versions are recorded later");
            }
        }
    }

    async fn record_what_settled(&self, settling: &mut HashMap<Key, Settling>) -> Result<(), Problem> {
        let mut due = self.settled(settling);
        // Replicas that begin at different workloads share the work of a first start.
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        due.sort_by_cached_key(|d| hasher.hash_one((&self.inner.config.replica, &d.workload.key)));
        for batch in due.chunks(BATCH) {
            if self.rolls_back_now() {
                return Ok(());
            }
            let mut found = Vec::new();
            for some in batch.chunks(READS) {
                let read = join_all(some.iter().map(|due| self.told_apart(due))).await;
                for (due, one) in some.iter().zip(read) {
                    match (one, settling.get_mut(&due.workload.key)) {
                        (Some(one), _) => found.push(one),
                        (None, Some(later)) => later.not_before = self.now_utc() + RETRY,
                        (None, None) => {}
                    }
                }
            }
            // What somebody put back is told by itself, not as one of many.
            let put_back = |one: &Found<'_>| matches!(one.came, Came::Back { .. });
            let (back, deployed): (Vec<_>, Vec<_>) = found.into_iter().partition(put_back);
            self.record_known_good(&deployed).await?;
            for one in &back {
                self.record_known_good(std::slice::from_ref(one)).await?;
            }
        }
        Ok(())
    }

    /// The versions to be recorded now; notes those that still have to settle.
    fn settled(&self, settling: &mut HashMap<Key, Settling>) -> Vec<Due> {
        let mut before = std::mem::take(settling);
        let mut due = Vec::new();
        // Until the conductor has looked once, which releases are under way is not known.
        if read_lock(&self.inner.passed).is_none() || self.rolls_back_now() {
            *settling = before;
            return due;
        }
        let now = self.now_utc();
        let driven: HashSet<Key> =
            read_lock(&self.inner.active).values().map(|r| r.workload.clone()).collect();
        let journalled: HashSet<Key> =
            self.inner.journal.unmerged().into_iter().map(|e| e.intent.key).collect();
        let seen: Vec<_> =
            self.clusters().iter().filter(|c| c.synced().is_some()).map(|c| c.workloads()).collect();
        for w in seen.iter().flat_map(|workloads| workloads.iter()) {
            if driven.contains(&w.key) || journalled.contains(&w.key) {
                continue;
            }
            let Some(records) = self.inner.known.records(&w.key) else { continue };
            let (Some(came), Some(hash)) = (unrecorded(&records, w), &w.stable_hash) else { continue };
            let new = || Settling { uid: w.uid.clone(), hash: hash.clone(), since: now, not_before: now };
            let same = |s: &Settling| s.uid == w.uid && s.hash == *hash;
            let mut this = before.remove(&w.key).filter(same).unwrap_or_else(new);
            // Between two looks it may have been unhealthy for a moment. And just after a rollback was recorded the
            // version it leaves still stands there, and looks like a new one.
            let last = records.last().map_or(this.since, |r| r.at);
            this.since = this.since.max(w.since).max(last).min(now);
            if now >= this.since + SETTLING && now >= this.not_before {
                let newest = records.last().map(|r| r.id);
                due.push(Due { hash: hash.clone(), came, newest, workload: w.clone() });
            }
            settling.insert(w.key.clone(), this);
        }
        due
    }

    /// A rollback's press is at work in this process: it has the connections for itself.
    fn rolls_back_now(&self) -> bool {
        self.inner.journal.unmerged().iter().any(|e| e.outcome.is_none())
    }

    /// Read past the cache; `None` when it cannot be read or another version settled meanwhile.
    async fn template_of(&self, due: &Due) -> Option<KnownGood> {
        let key = &due.workload.key;
        match self.cluster(&key.cluster).ok()?.template(key).await {
            // The settings of a switch are the workload's, not this version's: only a release puts back what it changed.
            Ok(good) => Some(KnownGood { blue_green: None, ..good }).filter(|good| good.hash == due.hash),
            Err(error) => {
                tracing::debug!(%error, %key, "its known-good version is recorded later");
                None
            }
        }
    }

    /// Read, and told from the version before it: a restart makes no other version.
    async fn told_apart<'a>(&self, due: &'a Due) -> Option<Found<'a>> {
        let good = self.template_of(due).await?;
        let told = self.told(&due.workload.key).await;
        let before = match (&due.came, path(&told.records).last()) {
            (Came::Forward, Some(top)) => self.good_of(&told, top, &due.workload).await.ok()?,
            _ => None,
        };
        let restarted = before.is_some_and(|before| is_restart(&before.template, &good.template));
        let came = if restarted { Came::Restarted } else { due.came.clone() };
        Some(Found { due, good, came })
    }

    async fn record_known_good(&self, found: &[Found<'_>]) -> Result<(), Problem> {
        if found.is_empty() {
            return Ok(());
        }
        let at = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        if !tx.known_good_turn().await.or_problem()? {
            // Another replica writes now; what it leaves is recorded at the next look.
            return Ok(());
        }
        let mut recorded = Vec::new();
        for one @ Found { due, good, came } in found {
            let key = &due.workload.key;
            let new = NewKnownGood { key, good, came, release: None, at };
            match tx.insert_known_good_after(&new, due.newest).await.or_problem()? {
                Some(record) => recorded.push((one, record)),
                None => self.inner.known.hear(key.clone()),
            }
        }
        let Some((first, others)) = recorded.split_first() else { return Ok(()) };
        let mut event = event(first.0, others.len(), at);
        event.detail = serde_json::json!({
            "workloads": recorded.iter().map(|(one, _)| {
                serde_json::json!({ "workload": one.due.workload.key, "good": one.good.hash })
            }).collect::<Vec<_>>(),
        });
        failpoint::reach("recorder:commit");
        tx.commit(event).await.or_problem()?;
        failpoint::reach("recorder:committed");
        for (one, record) in recorded {
            self.remember_known_good(&one.due.workload.key, record, &one.good);
        }
        Ok(())
    }
}

fn event(one: &Found<'_>, others: usize, at: DateTime<Utc>) -> NewEvent {
    let w = &one.due.workload;
    let actor = Actor::system("recorder");
    let action = "workload.known-good";
    if others > 0 {
        let words = format!("Recorded the present version of {} workloads as known good", others + 1);
        return NewEvent::new(at, &actor, action, words);
    }
    let how = match one.came {
        Came::Forward => "is known good",
        Came::Restarted => "was restarted, and is known good as before",
        Came::Back { .. } => "was put back past Tidegate",
    };
    let words = format!(
        "{} {} {how}: it has carried all traffic, healthy, for {} s",
        w.service,
        version_of(&one.good.images),
        SETTLING.num_seconds()
    );
    let mut event = NewEvent::new(at, &actor, action, words);
    event.service = Some(w.service.clone());
    event.environment = Some(w.environment.clone());
    event
}
