//! One stream of server-sent events a tab, opened again with back-off whenever it is lost.

use super::{ON_RELEASE, clock, each, find, page, write};
use crate::components::age::Link;
use chrono::TimeDelta;
use leptos::prelude::set_timeout;
use model::view::{Age, ReleaseDelta};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::cell::{Cell, RefCell};
use std::time::Duration;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventSource, MessageEvent};

const EVENTS: [&str; 5] = ["release", "workloads", "shell", "changed", "age"];
/// The server says something every 10 s; after three silences the line is dead, whatever TCP thinks.
const SILENCE: TimeDelta = TimeDelta::seconds(35);
/// Milliseconds until a lost stream is opened again: at first, and at most.
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
    static LINK: Cell<Link> = const { Cell::new(Link::Off) };
    static BEAT: Cell<i64> = const { Cell::new(0) };
    static WAIT: Cell<u32> = const { Cell::new(FIRST_WAIT) };
}

pub(super) fn link() -> Link {
    LINK.get()
}

/// Opens the stream that the page names. A page outside of the frame has none.
pub(super) fn start() {
    if find("#age").is_some() {
        open();
    }
}

fn topics() -> String {
    let page = find("[data-topics]").and_then(|e| e.get_attribute("data-topics")).unwrap_or_default();
    if page.is_empty() { "shell".to_owned() } else { format!("{page},shell") }
}

fn open() {
    SOURCE.set(None);
    let topics: String = js_sys::encode_uri_component(&topics()).into();
    let Ok(events) = EventSource::new(&format!("/live?topics={topics}")) else { return };
    let message = Closure::<dyn FnMut(MessageEvent)>::new(|e: MessageEvent| heard(&e));
    let opened = Closure::<dyn FnMut(Event)>::new(|_| {
        WAIT.set(FIRST_WAIT);
        BEAT.set(clock::browser_ms());
        // Whatever was missed must be read again: since the line was lost, or since the page left the server.
        if LINK.replace(Link::Open) != Link::Open {
            page::again();
        }
        clock::tick();
    });
    let failed = Closure::<dyn FnMut(Event)>::new(|_| lost());
    for name in EVENTS {
        let _ = events.add_event_listener_with_callback(name, message.as_ref().unchecked_ref());
    }
    events.set_onopen(Some(opened.as_ref().unchecked_ref()));
    events.set_onerror(Some(failed.as_ref().unchecked_ref()));
    SOURCE.set(Some(Source { events, _message: message, _open: opened, _error: failed }));
}

/// Once a second: does the line still speak?
pub(super) fn watch() {
    let silent = TimeDelta::milliseconds(clock::browser_ms() - BEAT.get());
    if LINK.get() == Link::Open && silent > SILENCE {
        lost();
    }
}

fn lost() {
    if !matches!(LINK.get(), Link::Lost(_)) {
        LINK.set(Link::Lost(clock::now()));
    }
    let wait = WAIT.get();
    WAIT.set((wait * 2).min(LONGEST_WAIT));
    // Not all browsers at once after a restart.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let jitter = (js_sys::Math::random() * f64::from(wait)) as u32;
    // Closed, not dropped: this runs inside one of its own closures.
    SOURCE.with_borrow(|s| {
        if let Some(s) = s {
            s.events.close();
        }
    });
    set_timeout(open, Duration::from_millis(u64::from(wait / 2 + jitter)));
}

/// Of the frame's data only the counts and the age change.
#[derive(Deserialize)]
struct Counts {
    waiting: u32,
    plans: u32,
    moving: u32,
    #[serde(default)]
    incidents: u32,
    data: Age,
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
}

/// Of rows that changed only their names matter: the page asks for those it shows.
#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    rows: Vec<Row>,
    #[serde(default)]
    removed: Vec<model::workload::Key>,
}

#[derive(Deserialize)]
struct Row {
    key: model::workload::Key,
}

fn heard(event: &MessageEvent) {
    BEAT.set(clock::browser_ms());
    LINK.set(Link::Open);
    let Some(text) = event.data().as_string() else { return };
    match event.type_().as_str() {
        "age" => read::<Age>(&text, clock::aged),
        "shell" => read::<Counts>(&text, |shell| {
            counts(&shell);
            clock::aged(shell.data);
        }),
        "release" => read::<ReleaseDelta>(&text, |delta| {
            clock::aged(delta.live.age.clone());
            ON_RELEASE.with_borrow(|hear| {
                if let Some(hear) = hear {
                    hear(delta);
                }
            });
        }),
        "workloads" => read::<Rows>(&text, |rows| {
            page::changed_rows(rows.rows.iter().map(|r| &r.key).chain(&rows.removed));
        }),
        "changed" => read::<Topic>(&text, |t| {
            if t.topic != "shell" {
                page::again();
            }
        }),
        _ => {}
    }
    clock::tick();
}

fn read<T: DeserializeOwned>(text: &str, then: impl FnOnce(T)) {
    match serde_json::from_str(text) {
        Ok(value) => then(value),
        Err(e) => leptos::logging::warn!("An event could not be read: {e}"),
    }
}

/// The counts beside the navigation.
fn counts(shell: &Counts) {
    let all = [
        ("waiting", shell.waiting),
        ("plans", shell.plans),
        ("moving", shell.moving),
        ("incidents", shell.incidents),
    ];
    for (name, n) in all {
        each(&format!("[data-n={name}]"), |e| {
            write(e, &n.to_string());
            let _ = if n == 0 { e.set_attribute("hidden", "") } else { e.remove_attribute("hidden") };
        });
    }
}
