//! What a page learns while it is open: one stream of events a browser tab, turned into signals.
//!
//! On the server, and in a browser without script, nothing here ever changes: pages then show what was read and when.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::view::{Age, ReleaseDelta, Shell, WorkloadRow};
use model::workload::Key;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The connection to the server.
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser connects"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// No script has run (yet): the page stands still.
    Off,
    Open,
    /// Lost at that time; it is being opened again.
    Lost(DateTime<Utc>),
}

/// Rows that changed, as the stream sends them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct WorkloadsDelta {
    pub(crate) rows: Vec<WorkloadRow>,
    pub(crate) removed: Vec<Key>,
}

/// One thing heard on the stream.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser hears"))]
pub(crate) enum Heard {
    Release(Box<ReleaseDelta>),
    Workloads(WorkloadsDelta),
    /// Something of this topic changed: read it again.
    Changed(String),
    /// The stream was lost and is back: whatever was missed must be read again.
    Again,
}

/// How long a page waits for more changes before it reads itself again.
const SOON: Duration = Duration::from_millis(250);
/// How long it leaves between two readings.
const AGAIN: Duration = Duration::from_secs(1);

type Ear = Arc<dyn Fn(Heard) + Send + Sync>;

#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser hears"))]
#[derive(Clone)]
struct Wanted {
    topics: String,
    ear: Ear,
}

/// The page's connection to what happens. Cheap to copy; one a tab.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    now: RwSignal<Option<DateTime<Utc>>>,
    age: RwSignal<Option<Age>>,
    shell: RwSignal<Option<Shell>>,
    link: RwSignal<Link>,
    wanted: RwSignal<Option<Wanted>>,
    /// The frame around the page is there, which wants its counts.
    framed: RwSignal<bool>,
}

impl Live {
    fn new() -> Self {
        Self {
            now: RwSignal::new(None),
            age: RwSignal::new(None),
            shell: RwSignal::new(None),
            link: RwSignal::new(Link::Off),
            wanted: RwSignal::new(None),
            framed: RwSignal::new(false),
        }
    }

    /// Makes the tab's one, and in the browser sets it going once the page is taken over.
    pub(crate) fn provide() {
        let live = Self::new();
        provide_context(live);
        #[cfg(feature = "hydrate")]
        stream::start(live);
    }

    pub(crate) fn get() -> Self {
        use_context().unwrap_or_else(Self::new)
    }

    /// The server's time: `base` (when the page was read) until the browser's script ticks.
    pub(crate) fn now(self, base: DateTime<Utc>) -> DateTime<Utc> {
        self.now.get().map_or(base, |now| now.max(base))
    }

    /// The newest age heard, if any.
    pub(crate) fn age(self) -> Option<Age> {
        self.age.get()
    }

    pub(crate) fn shell(self) -> Option<Shell> {
        self.shell.get()
    }

    pub(crate) fn link(self) -> Link {
        self.link.get()
    }

    /// What is shown is too old to raise anything on its word.
    pub(crate) fn stale(self, base: &Age) -> bool {
        let age = self.age().unwrap_or_else(|| base.clone());
        matches!(super::components::age::freshness(self.now(base.now), &age, self.link()).0, "degraded")
    }

    /// Wants the frame's counts for as long as the caller lives.
    pub(crate) fn frame(self) {
        let framed = self.framed;
        Effect::new(move |_| framed.set(true));
        on_cleanup(move || {
            framed.try_set(false);
        });
    }

    /// Hears these topics for as long as the caller lives. One page at a time listens.
    pub(crate) fn listen(
        self,
        topics: impl Fn() -> String + Send + Sync + 'static,
        hear: impl Fn(Heard) + Send + Sync + 'static,
    ) {
        let ear: Ear = Arc::new(hear);
        let wanted = self.wanted;
        let mine = ear.clone();
        Effect::new(move |_| wanted.set(Some(Wanted { topics: topics(), ear: ear.clone() })));
        on_cleanup(move || {
            wanted.try_update(|w| {
                if w.as_ref().is_some_and(|w| Arc::ptr_eq(&w.ear, &mine)) {
                    *w = None;
                }
            });
        });
    }

    /// Hears these topics, and reads everything again when one changed: soon after the first change, and then at
    /// most once in [`AGAIN`], however many there are.
    pub(crate) fn follow(
        self,
        topics: impl Fn() -> String + Send + Sync + 'static,
        again: impl Fn() + Send + Sync + 'static,
    ) {
        let pace = StoredValue::new(Pace::Rests);
        let again: Arc<dyn Fn() + Send + Sync> = Arc::new(again);
        self.listen(topics, move |_| nudge(pace, &again));
    }
}

/// Where a page that reads itself again is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Rests,
    /// Will read in a moment: more changes cost nothing.
    Waits,
    /// Has just read; `true`: something changed since.
    Cools(bool),
}

fn nudge(pace: StoredValue<Pace>, again: &Arc<dyn Fn() + Send + Sync>) {
    match pace.try_get_value() {
        Some(Pace::Rests) => {
            pace.set_value(Pace::Waits);
            let again = again.clone();
            set_timeout(move || read_again(pace, &again), SOON);
        }
        Some(Pace::Cools(_)) => pace.set_value(Pace::Cools(true)),
        Some(Pace::Waits) | None => {}
    }
}

fn read_again(pace: StoredValue<Pace>, again: &Arc<dyn Fn() + Send + Sync>) {
    // The page may be gone by now.
    if pace.try_set_value(Pace::Cools(false)).is_some() {
        return;
    }
    again();
    let again = again.clone();
    set_timeout(
        move || match pace.try_get_value() {
            Some(Pace::Cools(true)) => read_again(pace, &again),
            Some(_) => pace.set_value(Pace::Rests),
            None => {}
        },
        AGAIN,
    );
}

#[cfg(feature = "hydrate")]
mod stream {
    //! The browser's `EventSource`, opened again with back-off whenever it is lost.

    use super::{Heard, Link, Live, WorkloadsDelta};
    use chrono::{DateTime, TimeDelta, Utc};
    use leptos::prelude::*;
    use model::view::{Age, ReleaseDelta, Shell};
    use serde::de::DeserializeOwned;
    use std::cell::{Cell, RefCell};
    use std::time::Duration;
    use wasm_bindgen::prelude::*;
    use web_sys::{Event, EventSource, MessageEvent};

    const EVENTS: [&str; 5] = ["release", "workloads", "shell", "changed", "age"];
    /// The server says something every 10 s; after three silences the line is dead, whatever TCP thinks.
    const SILENCE: TimeDelta = TimeDelta::seconds(35);
    const FIRST_WAIT: u32 = 500;
    const LONGEST_WAIT: u32 = 20_000;

    struct Source {
        events: EventSource,
        _message: Closure<dyn FnMut(MessageEvent)>,
        _open: Closure<dyn FnMut(Event)>,
        _error: Closure<dyn FnMut(Event)>,
    }

    impl Drop for Source {
        fn drop(&mut self) {
            self.events.set_onopen(None);
            self.events.set_onerror(None);
            self.events.close();
        }
    }

    thread_local! {
        static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
        /// Server's clock minus the browser's, in milliseconds.
        static OFFSET: Cell<i64> = const { Cell::new(0) };
        static BEAT: Cell<i64> = const { Cell::new(0) };
        static WAIT: Cell<u32> = const { Cell::new(FIRST_WAIT) };
        static TOPICS: RefCell<String> = const { RefCell::new(String::new()) };
    }

    fn browser_ms() -> i64 {
        #[expect(clippy::cast_possible_truncation)]
        let ms = js_sys::Date::now() as i64;
        ms
    }

    fn server_now() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(browser_ms() + OFFSET.get()).unwrap_or_default()
    }

    /// One timer for the whole page: ages, countdowns, and whether the line still speaks.
    pub(super) fn start(live: Live) {
        Effect::new(move |_| {
            set_interval(move || tick(live), Duration::from_secs(1));
        });
        let topics = Memo::new(move |_| {
            let page = live.wanted.with(|w| w.as_ref().map(|w| w.topics.clone())).unwrap_or_default();
            match (live.framed.get(), page.is_empty()) {
                (true, true) => "shell".to_owned(),
                (true, false) => format!("{page},shell"),
                (false, _) => page,
            }
        });
        Effect::new(move |_| {
            let topics = topics.get();
            TOPICS.replace(topics.clone());
            // A page left and the next one's arrival come as two changes: open once, for the second.
            set_timeout(
                move || {
                    if TOPICS.with_borrow(|t| *t == topics) {
                        open(live);
                    }
                },
                Duration::from_millis(30),
            );
        });
    }

    fn tick(live: Live) {
        // Until the server has told its time, the page's own "as of" stands.
        if live.link.get_untracked() == Link::Off {
            return;
        }
        live.now.set(Some(server_now()));
        let silent = TimeDelta::milliseconds(browser_ms() - BEAT.get());
        if live.link.get_untracked() == Link::Open && silent > SILENCE {
            lost(live);
        }
    }

    fn open(live: Live) {
        SOURCE.set(None);
        let topics = TOPICS.with_borrow(Clone::clone);
        if topics.is_empty() {
            live.link.set(Link::Off);
            return;
        }
        let encoded: String = js_sys::encode_uri_component(&topics).into();
        let Ok(events) = EventSource::new(&format!("/live?topics={encoded}")) else { return };
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |e: MessageEvent| heard(live, &e));
        let opened = Closure::<dyn FnMut(Event)>::new(move |_| {
            WAIT.set(FIRST_WAIT);
            BEAT.set(browser_ms());
            let was = live.link.get_untracked();
            live.link.set(Link::Open);
            if matches!(was, Link::Lost(_)) {
                tell(live, Heard::Again);
            }
        });
        let failed = Closure::<dyn FnMut(Event)>::new(move |_| lost(live));
        for name in EVENTS {
            let _ = events.add_event_listener_with_callback(name, message.as_ref().unchecked_ref());
        }
        events.set_onopen(Some(opened.as_ref().unchecked_ref()));
        events.set_onerror(Some(failed.as_ref().unchecked_ref()));
        SOURCE.set(Some(Source { events, _message: message, _open: opened, _error: failed }));
    }

    fn lost(live: Live) {
        if !matches!(live.link.get_untracked(), Link::Lost(_)) {
            live.link.set(Link::Lost(server_now()));
        }
        let wait = WAIT.get();
        WAIT.set((wait * 2).min(LONGEST_WAIT));
        // Not all browsers at once after a restart.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let jitter = (js_sys::Math::random() * f64::from(wait)) as u32;
        // Not dropped here: this runs inside one of its own closures.
        SOURCE.with_borrow(|s| {
            if let Some(s) = s {
                s.events.close();
            }
        });
        set_timeout(move || open(live), Duration::from_millis(u64::from(wait / 2 + jitter)));
    }

    fn heard(live: Live, event: &MessageEvent) {
        BEAT.set(browser_ms());
        if live.link.get_untracked() != Link::Open {
            live.link.set(Link::Open);
        }
        let Some(text) = event.data().as_string() else { return };
        match event.type_().as_str() {
            "age" => read::<Age>(&text, |age| aged(live, age)),
            "shell" => read::<Shell>(&text, |shell| {
                aged(live, shell.data.clone());
                live.shell.set(Some(shell));
            }),
            "release" => read::<ReleaseDelta>(&text, |delta| {
                aged(live, delta.live.age.clone());
                tell(live, Heard::Release(Box::new(delta)));
            }),
            "workloads" => read::<WorkloadsDelta>(&text, |delta| tell(live, Heard::Workloads(delta))),
            "changed" => read::<Topic>(&text, |t| tell(live, Heard::Changed(t.topic))),
            _ => {}
        }
    }

    #[derive(serde::Deserialize)]
    struct Topic {
        topic: String,
    }

    fn read<T: DeserializeOwned>(text: &str, then: impl FnOnce(T)) {
        match serde_json::from_str(text) {
            Ok(value) => then(value),
            Err(e) => leptos::logging::warn!("An event could not be read: {e}"),
        }
    }

    fn aged(live: Live, age: Age) {
        OFFSET.set(age.now.timestamp_millis() - browser_ms());
        live.now.set(Some(age.now));
        live.age.set(Some(age));
    }

    fn tell(live: Live, what: Heard) {
        let ear = live.wanted.with_untracked(|w| w.as_ref().map(|w| w.ear.clone()));
        if let Some(ear) = ear {
            ear(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_rows_may_leave_either_half_out() {
        let delta: WorkloadsDelta = serde_json::from_str(r#"{"removed":[]}"#).unwrap();
        assert_eq!(delta, WorkloadsDelta::default());
    }
}
