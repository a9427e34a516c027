//! Keeps the record: each content that a file had, and that killed flags stay off in the file, too.

use super::Standing;
use super::serve::faults;
use crate::error::OrProblem as _;
use crate::files::Place;
use crate::{Control, read_lock, write_lock};
use cluster::{LiveFile, LiveFiles, Written};
use flags::{File, Flag, change};
use model::audit::NewEvent;
use model::{Actor, Book, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The safety net: files are compared at least this often.
const TICK: Duration = Duration::from_secs(2);

impl Control {
    pub(crate) async fn run_flags(&self) {
        let clusters = self.clusters().iter().map(|cluster| async {
            let mut files = cluster.files(Book::Flags);
            while files.changed().await.is_ok() {
                // Served first: the record can wait, services cannot.
                self.serve_flags().await;
                self.inner.flags.changed.notify_one();
            }
        });
        let compared = async {
            loop {
                if let Err(problem) = self.compare_flags().await {
                    tracing::debug!(%problem, "files of flags are compared later");
                }
                let changed = self.inner.flags.changed.notified();
                let _ = tokio::time::timeout(TICK, changed).await;
            }
        };
        tokio::join!(futures::future::join_all(clusters), compared);
    }

    async fn compare_flags(&self) -> Result<(), Problem> {
        // Before the record is read: whoever revives a flag writes the record first, so a file that lacks the mark of a kill
        // that stands on a record read later was changed by somebody else.
        let seen: Vec<LiveFiles> =
            self.clusters().iter().map(|c| c.files(Book::Flags).borrow().clone()).collect();
        self.record_pressed().await?;
        self.read_flags().await?;
        self.serve_flags().await;
        let mut recorded = false;
        for (cluster, live) in self.clusters().iter().zip(seen) {
            let Some(live) = live else { continue };
            let known = read_lock(&self.inner.flags.standing).clone();
            let own = known.keys().filter(|(of, _)| of == cluster.name()).map(|(_, namespace)| namespace);
            let all: BTreeSet<&String> = own.chain(live.keys()).collect();
            for namespace in all {
                let place = (cluster.name().to_owned(), namespace.clone());
                let before = known.get(&place).map(|standing| &standing.now);
                let file = live.get(namespace);
                recorded |= self.record_seen(Book::Flags, &place, file, before, faults).await?;
                if let Some(file) = file {
                    recorded |= self.hold_flags(&place, file).await?;
                }
            }
        }
        if recorded {
            self.read_flags().await?;
            self.serve_flags().await;
        }
        Ok(())
    }

    /// Reads what is on record.
    ///
    /// # Errors
    /// 503 without a database: what is known stays.
    pub(super) async fn read_flags(&self) -> Result<(), Problem> {
        let _alone = self.inner.flags.reading.lock().await;
        let kills = self.store().flag_kills().await.or_problem()?;
        let keys = self.store().flag_keys().await.or_problem()?;
        let known = &self.inner.flags;
        *write_lock(&known.kills) = kills;
        let keys = self.take_flag_keys(keys);
        let newest = self.store().newest_file(Book::Flags).await.or_problem()?;
        let read = read_lock(&known.standing).values().map(|s| s.now.id).max();
        if newest == read {
            if keys {
                self.announce(store::FLAGS_TOPIC);
            }
            return Ok(());
        }
        let mut standing: BTreeMap<Place, Standing> = BTreeMap::new();
        // In order of age: the last of a place is what it holds.
        for record in self.store().files(Book::Flags).await.or_problem()? {
            let place = (record.cluster.clone(), record.namespace.clone());
            let before = standing.get(&place).and_then(|s: &Standing| s.good.clone());
            let own = record.text.as_deref().filter(|_| record.faults.is_empty());
            let good = own.map(Into::into).or(before);
            standing.insert(place, Standing { now: record, good });
        }
        *write_lock(&known.standing) = standing;
        self.announce(store::FLAGS_TOPIC);
        Ok(())
    }

    /// Turns a killed flag off again that somebody turned on in the file.
    async fn hold_flags(&self, place: &Place, file: &LiveFile) -> Result<bool, Problem> {
        let kills = self.kills_of(place);
        let Some(text) = file.text.as_deref().filter(|_| !kills.is_empty()) else { return Ok(false) };
        // A file with faults is served by nobody.
        let Ok(Some(held)) = change::hold(text, &kills) else { return Ok(false) };
        let now = self.now_utc();
        if !self.inner.flags.may_hold(place, now) {
            return Ok(false);
        }
        let freed = freed(text, &kills);
        let cluster = self.cluster(&place.0)?;
        match cluster.write_file(Book::Flags, &place.1, Some(file), &held).await.or_problem()? {
            Written::Overtaken => return Ok(false),
            Written::Done => {}
        }
        let actor = Actor::system("kill switch");
        let words = match &freed[..] {
            [] => "A killed flag".to_owned(),
            keys => keys.join(", "),
        };
        let summary = format!("{words} of {} was changed outside Tidegate while killed: off again", place.1);
        let event = NewEvent::new(now, &actor, "flag.held", summary);
        // What was found there may have been recorded just now.
        self.read_flags().await?;
        let after = read_lock(&self.inner.flags.standing).get(place).map(|s| s.now.id);
        self.record_flags(&actor, place, &held, after, event).await?;
        Ok(true)
    }

    /// Records a text that was given to the file here. Where another content was recorded meanwhile, that it was done.
    pub(super) async fn record_flags(
        &self,
        actor: &Actor,
        place: &Place,
        text: &str,
        after: Option<i64>,
        event: NewEvent,
    ) -> Result<(), Problem> {
        let faults = faults(text);
        let content = crate::files::Content { text: Some(text), faults: &faults, after };
        if self.record_given(Book::Flags, actor, place, content, event.clone()).await?.is_none() {
            let tx = self.store().begin().await.or_problem()?;
            tx.commit(event).await.or_problem()?;
        }
        Ok(())
    }
}

/// Keys of killed flags that a text has on, or has not.
fn freed(text: &str, kills: &[Flag]) -> Vec<String> {
    let Ok(file) = File::parse(text) else { return Vec::new() };
    let off = |key: &str| file.flag(key).is_some_and(|f| !f.is_on() && f.killed.is_some());
    kills.iter().map(|k| k.key.clone()).filter(|key| !off(key)).collect()
}
