//! One kind of object, listed and then watched for ever.
//!
//! kube-runtime's `watcher` is close to this but keeps bookmarks to itself, and on a quiet cluster bookmarks
//! are the only sign that a watch is alive; its lists have no time limit, so an API server that stops in the
//! middle of one would stop the cache for good; and kube logs the whole body of an answer it cannot parse.
//!
//! What is guaranteed: [`News::All`] is one consistent list, handed over whole; after it every change follows
//! in order; when the API server can no longer say what was missed (410), a new `All` replaces everything
//! (invariant 8).

use crate::raw::{List, Meta};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use kube::Client;
use kube::core::WatchEvent;
use rand::Rng as _;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Objects a page. Small enough that a page's text is a few MiB, large enough that 5,000 objects are 20
/// calls.
const PAGE: u32 = 250;
/// For one page of a list, and for a watch to be opened.
const ANSWER: Duration = Duration::from_secs(20);
/// A watch without a sign of life for so long is opened anew. The API server sends a bookmark each minute, give or
/// take half of one.
const QUIET: Duration = Duration::from_secs(90);
/// To open a watch again takes milliseconds. Only what takes longer than this is a gap that ages what is shown.
const BRIEF: Duration = Duration::from_secs(2);
/// The API server ends a watch after so many seconds; a random part spreads the re-opening of many replicas.
const LENGTH: std::ops::Range<u32> = 240..300;
/// A kind that the cluster does not have (no Argo Rollouts) is looked for again after this.
const ABSENT: Duration = Duration::from_secs(15);

/// What a watch reports.
#[derive(Debug)]
pub(crate) enum News<T> {
    /// Everything there is. What is not in here is gone.
    All(Vec<T>),
    One(T),
    Gone(T),
}

/// Signs of life of one watch.
#[derive(Debug, Default)]
pub(crate) struct Life {
    open: AtomicBool,
    listed: AtomicBool,
    seen_ms: AtomicI64,
    /// It was told once that Tidegate may not list the kind.
    denied: AtomicBool,
}

impl Life {
    fn sign(&self) {
        self.seen_ms.store(Utc::now().timestamp_millis(), Ordering::Relaxed);
    }

    /// When the watch was last known to be alive. `probed` is when the API server last answered a read: an
    /// open watch that is not overdue was alive then too. `None` before the first list.
    pub(crate) fn seen(&self, probed: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !self.listed.load(Ordering::Relaxed) {
            return None;
        }
        let seen = DateTime::from_timestamp_millis(self.seen_ms.load(Ordering::Relaxed))?;
        let overdue = (probed - seen).to_std().is_ok_and(|quiet| quiet > QUIET + BRIEF);
        let open = self.open.load(Ordering::Relaxed);
        Some(if open && !overdue { seen.max(probed) } else { seen })
    }
}

/// An object as the API server sends it.
pub(crate) trait Object: Clone + DeserializeOwned + Send + 'static {
    fn meta(&self) -> &Meta;
}

impl Object for crate::raw::Rollout {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
impl Object for crate::raw::Deployment {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
impl Object for crate::raw::ReplicaSet {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
impl Object for crate::raw::Service {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
impl Object for crate::raw::Ingress {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
impl Object for crate::raw::HttpRoute {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
impl Object for crate::raw::Namespace {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// Grows from 0.2 s to 10 s, each time shortened by a random part, so that many replicas do not return at
/// once.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LAST: Duration = Duration::from_secs(10);

    pub(crate) fn new() -> Self {
        Self(Self::FIRST)
    }

    pub(crate) fn reset(&mut self) {
        self.0 = Self::FIRST;
    }

    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.0 = (self.0 * 2).min(Self::LAST);
        wait
    }
}

/// A kind to watch.
pub(crate) struct Watch<R, T> {
    pub client: Client,
    /// `/apis/apps/v1/replicasets`
    pub path: &'static str,
    /// What narrows the list, `fieldSelector=metadata.name%3Dx`; empty for all of it.
    pub selector: &'static str,
    /// A kind that Tidegate may be kept from: then it is as one that the cluster does not have.
    pub optional: bool,
    /// Makes an object small. Its raw form is dropped at once.
    pub shrink: Box<dyn Fn(R) -> T + Send + Sync>,
    pub life: std::sync::Arc<Life>,
    pub news: mpsc::Sender<News<T>>,
}

/// Why following ended.
enum End {
    /// The API server cannot tell what was missed.
    Relist,
    /// Nobody listens any more.
    Closed,
}

impl<R: Object, T: Send + 'static> Watch<R, T> {
    /// Runs until nobody listens.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            match self.list().await {
                Ok((items, version)) => {
                    self.life.sign();
                    if self.news.send(News::All(items)).await.is_err() {
                        return;
                    }
                    self.life.listed.store(true, Ordering::Relaxed);
                    if version.is_empty() {
                        // Nothing to watch: the answered list is the sign of life until the next one.
                        self.life.open.store(true, Ordering::Relaxed);
                        tokio::time::sleep(ABSENT).await;
                        continue;
                    }
                    let begun = Instant::now();
                    if let End::Closed = self.follow(version, &mut backoff).await {
                        return;
                    }
                    // A list whose watch ends at once must not become a busy loop.
                    if begun.elapsed() < Duration::from_secs(1) {
                        tokio::time::sleep(backoff.next()).await;
                    }
                }
                Err(why) => {
                    let wait = backoff.next();
                    let path = self.path;
                    tracing::warn!(path, %why, ?wait, "cannot list; the cache stays as it is and ages");
                    tokio::time::sleep(wait).await;
                }
            }
            if self.news.is_closed() {
                return;
            }
        }
    }

    /// One consistent list, by pages, and its version. A kind that the cluster does not have is an empty list
    /// with an empty version.
    async fn list(&self) -> Result<(Vec<T>, String), String> {
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            let mut uri = format!("{}?limit={PAGE}&{}", self.path, self.selector);
            if !token.is_empty() {
                uri.push_str("&continue=");
                uri.extend(url::form_urlencoded::byte_serialize(token.as_bytes()));
            }
            let request = http::Request::get(uri).body(Vec::new()).map_err(|e| e.to_string())?;
            let text = match timeout(ANSWER, self.client.request_text(request)).await {
                Ok(Ok(text)) => text,
                Ok(Err(kube::Error::Api(s))) if s.code == 404 => {
                    return Ok((Vec::new(), String::new()));
                }
                Ok(Err(kube::Error::Api(s))) if s.code == 403 && self.optional => {
                    if !self.life.denied.swap(true, Ordering::Relaxed) {
                        tracing::warn!(path = self.path, "may not be listed; what needs it is not offered");
                    }
                    return Ok((Vec::new(), String::new()));
                }
                Ok(Err(e)) => return Err(words(&e)),
                Err(_) => return Err(format!("no answer within {} s", ANSWER.as_secs())),
            };
            self.life.sign();
            let page: List<R> = serde_json::from_str(&text).map_err(|e| format!("unreadable list ({e})"))?;
            drop(text);
            items.extend(page.items.into_iter().map(&self.shrink));
            token = page.metadata.token;
            if token.is_empty() {
                return Ok((items, page.metadata.resource_version));
            }
        }
    }

    /// Watches from a version on, re-opening the watch as often as it ends.
    async fn follow(&self, mut version: String, backoff: &mut Backoff) -> End {
        loop {
            if self.news.is_closed() {
                return End::Closed;
            }
            let begun = Instant::now();
            let end = self.stream(&mut version, backoff).await;
            if let Ok(None) = end
                && begun.elapsed() > Duration::from_secs(5)
            {
                // Ended in good order (the API server limits how long a watch lasts), or quiet: opened again at once,
                // and no page calls its data old for that.
                continue;
            }
            self.life.open.store(false, Ordering::Relaxed);
            match end {
                Ok(Some(end)) => return end,
                Ok(None) => tokio::time::sleep(backoff.next()).await,
                Err(why) => {
                    let wait = backoff.next();
                    tracing::warn!(path = self.path, %why, ?wait, "the watch broke");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn stream(&self, version: &mut String, backoff: &mut Backoff) -> Result<Option<End>, String> {
        let seconds = rand::rng().random_range(LENGTH);
        let uri = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}&{}",
            self.path, self.selector
        );
        let request = http::Request::get(uri).body(Vec::new()).map_err(|e| e.to_string())?;
        let mut opening = std::pin::pin!(self.client.request_events::<R>(request));
        let mut opened = timeout(BRIEF, &mut opening).await;
        if opened.is_err() {
            self.life.open.store(false, Ordering::Relaxed);
            opened = timeout(ANSWER, opening).await;
        }
        let stream = match opened {
            Ok(Ok(stream)) => stream,
            Ok(Err(kube::Error::Api(s))) if s.code == 410 || s.code == 404 => {
                return Ok(Some(End::Relist));
            }
            Ok(Err(e)) => return Err(words(&e)),
            Err(_) => return Err(format!("no answer within {} s", ANSWER.as_secs())),
        };
        self.life.sign();
        self.life.open.store(true, Ordering::Relaxed);
        let mut stream = std::pin::pin!(stream);
        loop {
            let event = match timeout(QUIET, stream.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(kube::Error::SerdeError(e)))) => {
                    tracing::warn!(path = self.path, error = %e, "an object cannot be read and stays as it was");
                    continue;
                }
                Ok(Some(Err(e))) => return Err(words(&e)),
                Ok(None) => return Ok(None),
                Err(_) => {
                    tracing::debug!(
                        path = self.path,
                        "no sign of life for {} s; opening it anew",
                        QUIET.as_secs()
                    );
                    return Ok(None);
                }
            };
            self.life.sign();
            let news = match event {
                WatchEvent::Bookmark(mark) => {
                    *version = mark.metadata.resource_version;
                    backoff.reset();
                    continue;
                }
                WatchEvent::Error(status) if status.code == 410 => {
                    tracing::info!(path = self.path, "the watch fell behind; listing again");
                    return Ok(Some(End::Relist));
                }
                WatchEvent::Error(status) => {
                    return Err(format!("the API server says {}", status.code));
                }
                WatchEvent::Added(o) | WatchEvent::Modified(o) => {
                    version.clone_from(&o.meta().resource_version);
                    News::One((self.shrink)(o))
                }
                WatchEvent::Deleted(o) => {
                    version.clone_from(&o.meta().resource_version);
                    News::Gone((self.shrink)(o))
                }
            };
            backoff.reset();
            if self.news.send(news).await.is_err() {
                return Ok(Some(End::Closed));
            }
        }
    }
}

/// What a failed call says, without quoting anybody's object.
pub(crate) fn words(e: &kube::Error) -> String {
    match e {
        kube::Error::Api(status) => {
            format!("{} {}", status.code, crate::send::cut(&status.message))
        }
        kube::Error::SerdeError(_) => "the answer cannot be read".to_owned(),
        other => crate::error::one_line(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn life(listed: bool, open: bool, seen: i64) -> Life {
        let life = Life::default();
        life.listed.store(listed, Ordering::Relaxed);
        life.open.store(open, Ordering::Relaxed);
        life.seen_ms.store(at(seen).timestamp_millis(), Ordering::Relaxed);
        life
    }

    #[test]
    fn an_open_watch_is_as_fresh_as_the_last_answered_read() {
        assert_eq!(life(true, true, 0).seen(at(60)), Some(at(60)));
        assert_eq!(life(true, true, 60).seen(at(58)), Some(at(60)));
    }

    #[test]
    fn a_broken_or_overdue_watch_ages_whatever_the_api_server_answers() {
        assert_eq!(life(true, false, 0).seen(at(60)), Some(at(0)));
        assert_eq!(life(true, true, 0).seen(at(93)), Some(at(0)));
    }

    #[test]
    fn before_the_first_list_nothing_is_known() {
        assert_eq!(life(false, true, 0).seen(at(1)), None);
    }

    #[test]
    fn waits_grow_to_ten_seconds_and_are_spread() {
        let mut backoff = Backoff::new();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!(waits[0] >= Backoff::FIRST / 2 && waits[0] <= Backoff::FIRST);
        assert!(waits[10..].iter().all(|w| *w >= Backoff::LAST / 2 && *w <= Backoff::LAST));
        assert!(waits[10..].iter().any(|w| *w != waits[10]), "without chance all replicas return at once");
        backoff.reset();
        assert!(backoff.next() <= Backoff::FIRST);
    }
}
