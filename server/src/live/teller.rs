//! What one stream does: hears announcements, waits a moment for more, reads what its person may see, and sends
//! what is new.

use super::topic::{News, Topic};
use super::{AGE, Line, PER_SECOND};
use crate::auth::Proof;
use crate::state::AppState;
use chrono::{DateTime, TimeDelta, Utc};
use model::view::{ReleaseDelta, WorkloadRow};
use model::workload::Key;
use model::{Action, Actor, ReleaseId, Seq, Status};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// News are waited for this long before they are read, so that all streams have heard them by then and share one
/// reading; short enough that nobody sees it.
const GATHER: Duration = Duration::from_millis(30);
/// What changed is waited for this long after a reading, and then read together.
const MOMENT: Duration = Duration::from_millis(1000 / PER_SECOND as u64);
/// How often whoever watches is asked again who they are. With the sessions' sweep (10 s) a sign-out elsewhere
/// ends the stream within half a minute.
const CHECK: Duration = Duration::from_secs(15);
/// A release under way is read this often even if nothing is announced: its clocks run.
const CLOCKS: Duration = Duration::from_secs(5);
/// For the clocks, a reading this old is as good as a new one.
const GOOD_ENOUGH: Duration = Duration::from_secs(1);
/// A stream begins this far back, so that nothing falls between the page and its stream.
const OVERLAP: TimeDelta = TimeDelta::seconds(30);
const OVERLAP_EVENTS: i64 = 50;

/// Where a release's page is, in its growing parts.
#[derive(Clone, Debug)]
struct Cursor {
    samples: DateTime<Utc>,
    events: Seq,
    /// What was sent last, without its age: the same again is not sent.
    last: Option<Value>,
    workload: Option<Key>,
    ended: bool,
}

#[derive(Serialize)]
struct Rows {
    rows: Vec<WorkloadRow>,
    removed: Vec<Key>,
}

#[derive(Debug)]
pub(crate) struct Teller {
    state: AppState,
    actor: Option<Actor>,
    proof: Proof,
    topics: Vec<Topic>,
    out: mpsc::Sender<Line>,
    /// Topics to tell about.
    dirty: HashMap<usize, Heard>,
    /// Rows that changed; `None` when any may have.
    rows: Option<HashSet<Key>>,
    releases: HashMap<ReleaseId, Cursor>,
    shell: Option<Value>,
}

/// When news of a topic were heard that have not been told yet.
#[derive(Clone, Copy, Debug)]
struct Heard {
    first: Instant,
    last: Instant,
}

/// The browser has gone.
struct Gone;

impl Teller {
    pub(crate) fn new(
        state: AppState,
        actor: Option<Actor>,
        proof: Proof,
        topics: Vec<Topic>,
        out: mpsc::Sender<Line>,
    ) -> Self {
        Self {
            state,
            actor,
            proof,
            topics,
            out,
            dirty: HashMap::new(),
            rows: Some(HashSet::new()),
            releases: HashMap::new(),
            shell: None,
        }
    }

    /// Tells until the browser leaves, or whoever watches is no longer let in.
    pub(crate) async fn run(mut self, resumed: Option<String>) {
        let mut announcements = self.state.control.subscribe();
        self.begin(resumed.as_deref()).await;
        let mut age = tokio::time::interval(AGE);
        let mut check = tokio::time::interval_at(Instant::now() + CHECK, CHECK);
        let mut clocks = tokio::time::interval_at(Instant::now() + CLOCKS, CLOCKS);
        for timer in [&mut age, &mut check, &mut clocks] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut due = Instant::now();
        loop {
            let heard = self.dirty.values().map(|h| h.first).min();
            let flush = heard.map_or(due, |first| due.max(first + GATHER));
            let done = tokio::select! {
                () = self.out.closed() => return,
                () = tokio::time::sleep_until(flush), if heard.is_some() => {
                    let done = self.flush().await;
                    due = Instant::now() + MOMENT;
                    done
                }
                news = announcements.recv() => match news {
                    Ok(a) => { self.hear(&News::of(&a.topic)); Ok(()) }
                    Err(RecvError::Lagged(_)) => { self.hear(&News::Everything); Ok(()) }
                    Err(RecvError::Closed) => return,
                },
                _ = age.tick() => self.send(Line::new("age", &self.state.control.age())).await,
                _ = clocks.tick() => { self.wind(); Ok(()) }
                _ = check.tick() => if self.still().await { Ok(()) } else { Err(Gone) },
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Is whoever watches still let in, and with which rights?
    async fn still(&mut self) -> bool {
        let Some(actor) = &mut self.actor else { return true };
        if !self.proof.holds(&self.state).await {
            return false;
        }
        if let (Proof::Session(_), Some(person)) = (&self.proof, actor.person) {
            match tokio::time::timeout(MOMENT, self.state.control.actor(person)).await {
                Ok(Ok(now)) => *actor = now,
                Ok(Err(p)) if p.status == Status::Unauthenticated => return false,
                // Unknown for now; what they may do is asked again at each deed.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        true
    }

    /// What a page may have missed before its stream, or a stream while it was broken.
    async fn begin(&mut self, resumed: Option<&str>) {
        let (mut samples, mut events) = (Utc::now() - OVERLAP, None);
        if let Some((seq, at)) = resumed.and_then(|id| id.split_once('.')) {
            events = seq.parse().ok().map(Seq);
            samples = at.parse().ok().and_then(DateTime::from_timestamp_millis).unwrap_or(samples);
        }
        let events = match events {
            Some(events) => events,
            None => Seq((self.state.store.audit_size().await.unwrap_or(0) - OVERLAP_EVENTS).max(0)),
        };
        // A stream that was broken cannot know what else it missed: the page reads that again.
        self.rows = resumed.is_none().then(|| self.state.recent.keys().into_iter().collect());
        for (i, topic) in self.topics.iter().enumerate() {
            let tell = match topic {
                Topic::Release(id) => {
                    let cursor = Cursor { samples, events, last: None, workload: None, ended: false };
                    self.releases.insert(*id, cursor);
                    true
                }
                Topic::Shell | Topic::Workloads => true,
                Topic::Workload(_) | Topic::Plan(_) | Topic::Incident(_) | Topic::Page(_) => {
                    resumed.is_some()
                }
            };
            if tell {
                note(&mut self.dirty, i);
            }
        }
    }

    fn hear(&mut self, news: &News) {
        if *news == News::Everything {
            self.rows = None;
            self.shell = None;
        }
        for (i, topic) in self.topics.iter().enumerate() {
            let mine = match (topic, news) {
                // The weight on a release's page is the workload's.
                (Topic::Release(id), News::Workload(key)) => {
                    self.releases.get(id).is_some_and(|c| c.workload.as_ref() == Some(key))
                }
                _ => topic.hears(news),
            };
            if mine {
                note(&mut self.dirty, i);
                if let (Topic::Workloads, News::Workload(key), Some(rows)) = (topic, news, &mut self.rows) {
                    rows.insert(key.clone());
                }
            }
        }
    }

    fn wind(&mut self) {
        let now = Instant::now();
        let old = now.checked_sub(GOOD_ENOUGH).unwrap_or(now);
        for (i, topic) in self.topics.iter().enumerate() {
            if let Topic::Release(id) = topic
                && self.releases.get(id).is_some_and(|c| !c.ended)
            {
                self.dirty.entry(i).or_insert(Heard { first: old, last: old });
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let mut dirty: Vec<_> = self.dirty.drain().collect();
        dirty.sort_unstable_by_key(|(i, _)| *i);
        for (i, heard) in dirty {
            match self.topics[i].clone() {
                Topic::Release(id) => self.tell_release(id, heard.last).await?,
                Topic::Shell => self.tell_shell().await?,
                Topic::Workloads => self.tell_rows().await?,
                other => self.send(Line::new("changed", &json!({ "topic": other.name() }))).await?,
            }
        }
        Ok(())
    }

    async fn tell_release(&mut self, id: ReleaseId, heard: Instant) -> Result<(), Gone> {
        let (Some(actor), Some(cursor)) = (&self.actor, self.releases.get(&id).cloned()) else {
            return Ok(());
        };
        let control = &self.state.control;
        let from = (cursor.samples, cursor.events);
        // A release that is not there stays so; a database that is down comes back, and the clock asks again.
        let Ok(reading) = self.state.deltas.read(control, actor, id, from, heard).await else {
            return Ok(());
        };
        let delta = &reading.delta;
        let workload = match cursor.workload {
            Some(key) => Some(key),
            None => control.release_record(actor, id).await.ok().map(|r| r.workload),
        };
        let last = Some(reading.said.clone());
        let news = !delta.samples.is_empty() || !delta.timeline.is_empty() || last != cursor.last;
        let next = Cursor {
            samples: delta.samples.iter().map(|s| s.at).max().unwrap_or(cursor.samples),
            events: delta.timeline.iter().map(|e| e.seq).max().unwrap_or(cursor.events),
            last,
            workload,
            ended: delta.live.state.ended(),
        };
        let mark = format!("{}.{}", next.events, next.samples.timestamp_millis());
        self.releases.insert(id, next);
        if news { self.send(Line::of_json("release", reading.json.clone()).id(mark)).await } else { Ok(()) }
    }

    async fn tell_shell(&mut self) -> Result<(), Gone> {
        let Some(actor) = &self.actor else { return Ok(()) };
        let Ok(shell) = self.state.control.shell(actor).await else { return Ok(()) };
        let mut said = serde_json::to_value(&shell).unwrap_or_default();
        if let Some(o) = said.as_object_mut() {
            o.remove("data");
        }
        if self.shell.as_ref() == Some(&said) {
            return Ok(());
        }
        self.shell = Some(said);
        self.send(Line::new("shell", &shell)).await
    }

    async fn tell_rows(&mut self) -> Result<(), Gone> {
        let Some(keys) = self.rows.replace(HashSet::new()) else {
            return self.send(Line::new("changed", &json!({ "topic": "workloads" }))).await;
        };
        if !self.actor.as_ref().is_some_and(|a| a.may_somewhere(Action::See)) {
            return Ok(());
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let (rows, removed) = self.state.control.workload_rows(&keys);
        if rows.is_empty() && removed.is_empty() {
            return Ok(());
        }
        self.send(Line::new("workloads", &Rows { rows, removed })).await
    }

    async fn send(&self, line: Line) -> Result<(), Gone> {
        self.out.send(line).await.map_err(|_| Gone)
    }
}

fn note(dirty: &mut HashMap<usize, Heard>, topic: usize) {
    let now = Instant::now();
    dirty.entry(topic).or_insert(Heard { first: now, last: now }).last = now;
}

/// What a delta says, but for the time it was said at.
pub(super) fn without_age(delta: &ReleaseDelta) -> Value {
    let mut value = serde_json::to_value(&delta.live).unwrap_or_default();
    if let Some(o) = value.as_object_mut() {
        o.remove("age");
    }
    value
}
