//! Where a workload without a release under way goes back to, ready in memory: a press must not wait for Postgres.
//!
//! Of each workload its newest records are kept, some hundred bytes each, and beside them the documents of the three
//! versions that a press can lead to in all usual states: the present one (while another is in flight), the one before
//! it, and the one that is offered where that cannot start. They are kept as text: a document with probes, volumes and thirty variables is 3.8 KB of it, and 65 KB
//! when parsed. So five thousand workloads take 57 MB, and 18 MB with [`NEWEST`] records each. Where templates are
//! larger, [`TEMPLATES`] bounds what is kept, and the rest is read from Postgres when it is pressed for, or, if that
//! does not answer at once, from the version's ReplicaSet.

use crate::error::OrProblem as _;
use crate::journal::Entry;
use crate::{Control, read_lock, write_lock};
use chrono::{DateTime, TimeDelta, Utc};
use model::Problem;
use model::known_good::{Came, Record, is_restart, may_be_restarted, path, plausible};
use model::release::KnownGood;
use model::workload::{Key, Workload};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::Notify;

/// Records kept of a workload. A rollback past thirty versions is a deployment.
const NEWEST: i64 = 32;
/// Bytes of documents kept in all.
const TEMPLATES: usize = 64 << 20;
/// Workloads read with one statement.
const AT_ONCE: usize = 500;
/// How long a press waits for what is not in memory. In memory it is within a second of the process's start.
const PRESSED_WITHIN: Duration = Duration::from_millis(300);

/// Where a rollback leads to, and how that is known.
#[derive(Clone, Debug)]
pub(crate) struct WayBack {
    pub(crate) good: KnownGood,
    /// Since when it is on record as good; `None` when only the cluster tells of it.
    pub(crate) since: Option<DateTime<Utc>>,
    /// A rollback has led to the present version already, at that time: this leads further back still.
    pub(crate) further: Option<DateTime<Utc>>,
}

/// What is known of one workload's versions.
#[derive(Debug)]
pub(crate) struct Told {
    /// Oldest first.
    pub(crate) records: Vec<Record>,
    /// The last of them, which only the journal has.
    waiting: Vec<Entry>,
    /// The place of the first of these.
    first: i64,
}

/// What is known of all workloads.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    held: RwLock<Held>,
    /// Something was recorded elsewhere, and should be read.
    pub(crate) heard: Notify,
}

#[derive(Debug, Default)]
struct Held {
    histories: HashMap<Key, History>,
    /// Recorded on since they were read.
    stale: HashSet<Key>,
    /// Of all documents.
    bytes: usize,
}

#[derive(Debug, Default)]
struct History {
    /// Oldest first.
    records: Arc<[Record]>,
    documents: Vec<(i64, Arc<str>)>,
}

impl Cache {
    /// `None` while they have not been read.
    pub(crate) fn records(&self, key: &Key) -> Option<Arc<[Record]>> {
        read_lock(&self.held).histories.get(key).map(|h| h.records.clone())
    }

    /// Workloads whose newest record is a rollback pressed after `after`.
    pub(crate) fn last_presses(&self, after: DateTime<Utc>) -> Vec<(Key, Record)> {
        let held = read_lock(&self.held);
        let last = |(key, history): (&Key, &History)| {
            let last = history.records.last()?;
            (last.at > after && matches!(last.came, Came::Back { .. })).then(|| (key.clone(), last.clone()))
        };
        held.histories.iter().filter_map(last).collect()
    }

    pub(crate) fn document(&self, key: &Key, id: i64) -> Option<Arc<str>> {
        let held = read_lock(&self.held);
        let documents = &held.histories.get(key)?.documents;
        documents.iter().find(|(of, _)| *of == id).map(|(_, text)| text.clone())
    }

    /// Another replica, or this one, has recorded something of this workload.
    pub(crate) fn hear(&self, key: Key) {
        write_lock(&self.held).stale.insert(key);
        self.heard.notify_one();
    }

    /// Announcements may have been lost.
    pub(crate) fn hear_all(&self) {
        let mut held = write_lock(&self.held);
        held.stale = held.histories.keys().cloned().collect();
        self.heard.notify_one();
    }

    /// Workloads of these to be read now, at most [`AT_ONCE`]; then they count as read.
    fn take_unread<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Vec<Key> {
        // Looked for beside presses; they wait only while something is taken.
        let held = read_lock(&self.held);
        let is_unread = |k: &&Key| held.stale.contains(*k) || !held.histories.contains_key(*k);
        let unread: Vec<Key> = keys.filter(is_unread).take(AT_ONCE).cloned().collect();
        drop(held);
        if !unread.is_empty() {
            let mut held = write_lock(&self.held);
            for key in &unread {
                held.stale.remove(key);
            }
        }
        unread
    }

    /// Puts in what was read. `true` when that was news of a workload that was known.
    fn put(&self, key: &Key, mut records: Vec<Record>, documents: Vec<(i64, Arc<str>)>) -> bool {
        let mut held = write_lock(&self.held);
        let before = held.take(key);
        let read = records.last().map(|r| r.id);
        if let Some(before) = &before {
            // Recorded by this process while the statement ran.
            records.extend(before.records.iter().filter(|r| Some(r.id) > read).cloned());
        }
        let news = before.as_ref().is_some_and(|b| *b.records != *records);
        let known = before.into_iter().flat_map(|b| b.documents).chain(documents);
        held.insert(key, records, known);
        news
    }

    /// Adds what this process has recorded.
    fn append(&self, key: &Key, record: Record, document: Arc<str>) {
        let mut held = write_lock(&self.held);
        let Some(History { records, documents }) = held.take(key) else {
            // Not read yet: it will be, with this.
            return;
        };
        let mut records = records.to_vec();
        let id = record.id;
        if let Err(place) = records.binary_search_by_key(&id, |r| r.id) {
            records.insert(place, record);
        }
        let surplus = records.len().saturating_sub(usize::try_from(NEWEST).unwrap_or(usize::MAX));
        records.drain(..surplus);
        held.insert(key, records, documents.into_iter().chain([(id, document)]));
    }

    /// Forgets what is no longer in the clusters.
    fn retain(&self, there: &HashSet<&Key>) {
        let held = read_lock(&self.held);
        let known = held.histories.keys().chain(&held.stale);
        let gone: Vec<Key> = known.filter(|k| !there.contains(k)).cloned().collect();
        drop(held);
        for key in gone {
            let mut held = write_lock(&self.held);
            held.take(&key);
            held.stale.remove(&key);
        }
    }
}

impl Held {
    fn take(&mut self, key: &Key) -> Option<History> {
        let history = self.histories.remove(key)?;
        self.bytes -= size(&history);
        Some(history)
    }

    fn insert(&mut self, key: &Key, records: Vec<Record>, known: impl Iterator<Item = (i64, Arc<str>)>) {
        let wanted = wanted(&records);
        let mut history = History { records: records.into(), documents: Vec::new() };
        for (id, text) in known.filter(|(id, _)| wanted.contains(id)) {
            let kept = history.documents.iter().any(|(of, _)| *of == id);
            if !kept && self.bytes + size(&history) + text.len() <= TEMPLATES {
                history.documents.push((id, text));
            }
        }
        self.bytes += size(&history);
        self.histories.insert(key.clone(), history);
    }
}

fn size(history: &History) -> usize {
    history.documents.iter().map(|(_, text)| text.len()).sum()
}

/// The records whose documents are kept: the three on top of the path.
fn wanted(records: &[Record]) -> Vec<i64> {
    path(records).iter().rev().take(3).map(|r| r.id).collect()
}

impl Control {
    /// Where a workload without a release under way would go back to: by the record, else by what the cluster still
    /// has. Never waits for a Postgres that is down.
    ///
    /// # Errors
    /// 503 when only the cluster can tell and does not answer.
    pub(crate) async fn way_back(&self, w: &Workload) -> Result<Option<WayBack>, Problem> {
        let told = self.told(&w.key).await;
        let records = &told.records;
        let last = records.last().filter(|r| matches!(r.came, Came::Back { .. }));
        let further =
            last.filter(|r| !w.in_flight() && Some(&r.hash) == w.stable_hash.as_ref()).map(|r| r.at);
        let cluster = self.cluster(&w.key.cluster)?;
        let mut leads = model::known_good::way_back(records, w);
        if let Some((top, below)) = may_be_restarted(records, w)
            && self.only_restarted(&told, top, w).await?
        {
            leads = below;
        }
        if let Some(record) = leads
            && let Some(good) = self.good_of(&told, record, w).await?
        {
            let deployed =
                records.iter().filter(|r| r.hash == record.hash && !matches!(r.came, Came::Back { .. }));
            return Ok(Some(WayBack { good, since: deployed.map(|r| r.at).min(), further }));
        }
        let found = cluster.way_back(&w.key).await.or_problem()?;
        // In flight it is the stable version, which carries traffic as it is.
        let found = found.filter(|good| w.in_flight() || plausible(records, w, &good.hash));
        Ok(found.map(|good| WayBack { good, since: None, further }))
    }

    /// What runs is the version of this record with other pods, which a press would only restart once more. Asks the cluster where
    /// the images are the same: for the half minute until the restart is on record.
    async fn only_restarted(&self, told: &Told, top: &Record, w: &Workload) -> Result<bool, Problem> {
        let Some(good) = self.good_of(told, top, w).await?.filter(|good| good.images == w.images) else {
            return Ok(false);
        };
        let present = self.cluster(&w.key.cluster)?.template(&w.key).await;
        Ok(present.is_ok_and(|present| is_restart(&good.template, &present.template)))
    }

    /// What is known of a workload's versions, with what is in the journal alone. Never waits for a Postgres that is
    /// down.
    pub(crate) async fn told(&self, key: &Key) -> Told {
        let mut records = self.records_of(key).await;
        // Pressed while Postgres was silent: not on record yet, and true all the same.
        let mut waiting = self.inner.journal.unmerged();
        waiting.retain(|e| e.intent.key == *key && !records.iter().any(|r| is_of(r, &e.intent)));
        let first = i64::MAX - i64::try_from(waiting.len()).unwrap_or(0);
        let pressed = waiting.iter().zip(first..).map(|(e, id)| Record {
            id,
            at: e.intent.event.at,
            hash: e.intent.good.hash.clone(),
            came: Came::Back { from: e.intent.left.clone() },
        });
        records.extend(pressed);
        Told { records, waiting, first }
    }

    /// What leads back to a version: from memory, Postgres or the journal, else from its ReplicaSet.
    ///
    /// # Errors
    /// 503 when only the cluster can tell and does not answer.
    pub(crate) async fn good_of(
        &self,
        told: &Told,
        record: &Record,
        w: &Workload,
    ) -> Result<Option<KnownGood>, Problem> {
        let journalled = usize::try_from(record.id - told.first).ok().and_then(|i| told.waiting.get(i));
        let good = match journalled {
            Some(entry) => Some(entry.intent.good.clone()),
            None => self.known_good_of(&w.key, record.id).await,
        };
        match good {
            None => self.cluster(&w.key.cluster)?.way_back_to(&w.key, &record.hash).await.or_problem(),
            good => Ok(good),
        }
    }

    /// Adds to memory what this process has recorded.
    pub(crate) fn remember_known_good(&self, key: &Key, record: Record, good: &KnownGood) {
        match serde_json::to_string(good) {
            Ok(text) => self.inner.known.append(key, record, text.into()),
            Err(_) => self.inner.known.hear(key.clone()),
        }
        self.announce(format!("workload:{key}"));
    }

    async fn records_of(&self, key: &Key) -> Vec<Record> {
        if let Some(records) = self.inner.known.records(key) {
            return records.to_vec();
        }
        if self.inner.database.load(Ordering::Relaxed) {
            let read = self.read_records(std::slice::from_ref(key));
            if let Ok(Err(problem)) = tokio::time::timeout(PRESSED_WITHIN, read).await {
                tracing::debug!(%problem, %key, "the cluster alone tells of the way back");
            }
        }
        self.inner.known.records(key).map(|records| records.to_vec()).unwrap_or_default()
    }

    async fn known_good_of(&self, key: &Key, id: i64) -> Option<KnownGood> {
        let text = match self.inner.known.document(key, id) {
            Some(text) => text,
            None if self.inner.database.load(Ordering::Relaxed) => {
                let ids = [id];
                let read = self.store().known_good_documents(&ids);
                let mut found = tokio::time::timeout(PRESSED_WITHIN, read).await.ok()?.ok()?;
                found.remove(&id)?.into()
            }
            None => return None,
        };
        let good = serde_json::from_str(&text);
        good.inspect_err(|error| tracing::error!(%error, %key, "a known-good version cannot be read")).ok()
    }

    /// Reads what is not in memory or no longer true there, and forgets workloads that are gone.
    ///
    /// # Errors
    /// 503 while Postgres does not answer; it is read again then.
    pub(crate) async fn refresh_known_good(&self) -> Result<(), Problem> {
        let all: Vec<_> = self.clusters().iter().map(|c| c.workloads()).collect();
        if self.clusters().iter().all(|c| c.synced().is_some()) {
            self.inner.known.retain(&all.iter().flat_map(|c| c.iter()).map(|w| &w.key).collect());
        }
        loop {
            let unread = self.inner.known.take_unread(all.iter().flat_map(|c| c.iter()).map(|w| &w.key));
            if unread.is_empty() {
                return Ok(());
            }
            if let Err(problem) = self.read_records(&unread).await {
                unread.into_iter().for_each(|key| self.inner.known.hear(key));
                return Err(problem);
            }
        }
    }

    async fn read_records(&self, keys: &[Key]) -> Result<(), Problem> {
        let read = self.store().known_good_records(keys, NEWEST).await.or_problem()?;
        let known = &self.inner.known;
        let missing: Vec<i64> = keys
            .iter()
            .zip(&read)
            .flat_map(|(key, records)| wanted(records).into_iter().map(move |id| (key, id)))
            .filter(|(key, id)| known.document(key, *id).is_none())
            .map(|(_, id)| id)
            .collect();
        let mut documents = HashMap::new();
        for ids in missing.chunks(AT_ONCE) {
            documents.extend(self.store().known_good_documents(ids).await.or_problem()?);
        }
        for (key, records) in keys.iter().zip(read) {
            let of_this = wanted(&records)
                .into_iter()
                .filter_map(|id| Some((id, documents.remove(&id)?.into())))
                .collect();
            if known.put(key, records, of_this) {
                self.announce(format!("workload:{key}"));
            }
        }
        Ok(())
    }
}

/// The record of this press. Postgres keeps microseconds.
fn is_of(record: &Record, intent: &crate::journal::Intent) -> bool {
    matches!(record.came, Came::Back { .. })
        && record.hash == intent.good.hash
        && (record.at - intent.event.at).abs() < TimeDelta::milliseconds(1)
}

#[cfg(test)]
mod tests;
