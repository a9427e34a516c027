//! What one stream does: hears announcements, waits a moment for more, reads what its person may see, and sends
//! what is new.

use super::topic::{News, Topic};
use super::{AGE, Line, PER_SECOND};
use crate::auth::Proof;
use crate::state::AppState;
use chrono::{DateTime, TimeDelta, Utc};
use model::view::{ReleaseDelta, WorkloadRow};
use model::workload::Key;
use model::{Action, Actor, ReleaseId, Seq};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// What changed is waited for this long after a reading, and then read together.
const MOMENT: Duration = Duration::from_millis(1000 / PER_SECOND as u64);
/// How often whoever watches is asked again who they are. With the sessions' sweep (10 s) a sign-out elsewhere
/// ends the stream within half a minute.
const CHECK: Duration = Duration::from_secs(15);
/// A release under way is read this often even if nothing is announced: its clocks run.
const CLOCKS: Duration = Duration::from_secs(5);
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
    dirty: HashSet<usize>,
    rows: HashSet<Key>,
    releases: HashMap<ReleaseId, Cursor>,
    shell: Option<Value>,
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
            dirty: HashSet::new(),
            rows: HashSet::new(),
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
            let waits = !self.dirty.is_empty();
            let done = tokio::select! {
                () = self.out.closed() => return,
                () = tokio::time::sleep_until(due), if waits => {
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
                _ = check.tick() => {
                    if self.actor.is_some() && !self.proof.holds(&self.state).await {
                        return;
                    }
                    Ok(())
                }
            };
            if done.is_err() {
                return;
            }
        }
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
        for (i, topic) in self.topics.iter().enumerate() {
            match topic {
                Topic::Release(id) => {
                    let cursor = Cursor { samples, events, last: None, workload: None, ended: false };
                    self.releases.insert(*id, cursor);
                    self.dirty.insert(i);
                }
                Topic::Shell => {
                    self.dirty.insert(i);
                }
                Topic::Workloads if resumed.is_none() => {
                    self.rows.extend(self.state.recent.keys());
                    self.dirty.insert(i);
                }
                _ if resumed.is_some() => {
                    self.dirty.insert(i);
                    if *topic == Topic::Workloads {
                        self.rows.clear();
                    }
                }
                _ => {}
            }
        }
        // A stream that was broken cannot know which rows it missed: the page reads itself again.
        if resumed.is_some() && self.topics.contains(&Topic::Workloads) {
            let _ = self.send(Line::new("changed", &json!({ "topic": "workloads" }))).await;
        }
    }

    fn hear(&mut self, news: &News) {
        for (i, topic) in self.topics.iter().enumerate() {
            let mine = match (topic, news) {
                // The weight on a release's page is the workload's.
                (Topic::Release(id), News::Workload(key)) => {
                    self.releases.get(id).is_some_and(|c| c.workload.as_ref() == Some(key))
                }
                _ => topic.hears(news),
            };
            if mine {
                self.dirty.insert(i);
                if let (Topic::Workloads, News::Workload(key)) = (topic, news) {
                    self.rows.insert(key.clone());
                }
            }
        }
        if *news == News::Everything {
            self.rows.clear();
            self.shell = None;
        }
    }

    fn wind(&mut self) {
        for (i, topic) in self.topics.iter().enumerate() {
            if let Topic::Release(id) = topic
                && self.releases.get(id).is_some_and(|c| !c.ended)
            {
                self.dirty.insert(i);
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let mut dirty: Vec<_> = self.dirty.drain().collect();
        dirty.sort_unstable();
        for i in dirty {
            match self.topics[i].clone() {
                Topic::Release(id) => self.tell_release(id).await?,
                Topic::Shell => self.tell_shell().await?,
                Topic::Workloads => self.tell_rows().await?,
                other => self.send(Line::new("changed", &json!({ "topic": other.name() }))).await?,
            }
        }
        Ok(())
    }

    async fn tell_release(&mut self, id: ReleaseId) -> Result<(), Gone> {
        let (Some(actor), Some(cursor)) = (&self.actor, self.releases.get(&id).cloned()) else {
            return Ok(());
        };
        let control = &self.state.control;
        let delta = match control.release_delta(actor, id, Some(cursor.samples), cursor.events).await {
            Ok(delta) => delta,
            // A release that is not there stays so; a database that is down comes back, and the clock asks again.
            Err(_) => return Ok(()),
        };
        let workload = match cursor.workload {
            Some(key) => Some(key),
            None => control.release_record(actor, id).await.ok().map(|r| r.workload),
        };
        let said = without_age(&delta);
        let last = Some(said);
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
        if news { self.send(Line::new("release", &delta).id(mark)).await } else { Ok(()) }
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
        let keys: Vec<_> = self.rows.drain().collect();
        if !self.actor.as_ref().is_some_and(|a| a.may_somewhere(Action::See)) {
            return Ok(());
        }
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

/// What a delta says, but for the time it was said at.
fn without_age(delta: &ReleaseDelta) -> Value {
    let mut value = serde_json::to_value(&delta.live).unwrap_or_default();
    if let Some(o) = value.as_object_mut() {
        o.remove("age");
    }
    value
}
