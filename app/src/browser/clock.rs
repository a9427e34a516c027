//! Ages and countdowns, once a second, by the server's clock; and the badge that says how old the data is.

use super::{each, find, stream, write};
use crate::components::age::{Link, freshness, spoken};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::{document, set_interval};
use model::view::Age;
use std::cell::{Cell, RefCell};
use std::time::Duration;
use web_sys::Element;

thread_local! {
    /// Server's clock minus the browser's, in milliseconds.
    static OFFSET: Cell<i64> = const { Cell::new(0) };
    static AGE: RefCell<Option<Age>> = const { RefCell::new(None) };
}

pub(super) fn start() {
    // What the page says of its own age, until the stream says more.
    if let Some(badge) = find("#age") {
        let number = |name: &str| badge.get_attribute(name).and_then(|v| v.parse::<i64>().ok());
        let time = |ms: i64| DateTime::from_timestamp_millis(ms);
        if let Some(now) = number("data-now").and_then(time) {
            let database = badge.get_attribute("data-database").as_deref() == Some("true");
            aged(Age { now, cluster: number("data-cluster").and_then(time), database });
        }
    }
    set_interval(tick, Duration::from_secs(1));
}

/// The server has told its time, and how old its data is.
pub(super) fn aged(age: Age) {
    OFFSET.set(age.now.timestamp_millis() - browser_ms());
    AGE.set(Some(age));
}

pub(super) fn browser_ms() -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds since 1970 fit for as long as there are browsers"
    )]
    let ms = js_sys::Date::now() as i64;
    ms
}

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(browser_ms() + OFFSET.get()).unwrap_or_default()
}

/// Brings every figure of time on the page up to now.
pub(super) fn tick() {
    let now = now();
    stream::watch();
    let time = |e: &Element, name: &str| e.get_attribute(name);
    each("time[data-ago]", |e| {
        if let Some(at) = time(e, "datetime").and_then(|t| t.parse::<DateTime<Utc>>().ok()) {
            write(e, &when::ago(now, at));
        }
    });
    each("[data-until]", |e| {
        let at = time(e, "data-until").and_then(|t| t.parse().ok()).and_then(DateTime::from_timestamp_millis);
        if let Some(at) = at {
            write(e, &when::left(now, at));
        }
    });
    each("[data-clock]", |e| write(e, &format!("{} UTC", when::clock(now))));
    badge(now);
}

fn badge(now: DateTime<Utc>) {
    let link = stream::link();
    let shown = AGE.with_borrow(|age| age.as_ref().map(|age| freshness(now, age, link)));
    let (Some(badge), Some((s, icon, words))) = (find("#age"), shown) else { return };
    // Without a stream the page's own words stand.
    if link == Link::Off {
        return;
    }
    if badge.get_attribute("data-s").as_deref() != Some(s) {
        let _ = badge.set_attribute("data-s", s);
        if let Ok(Some(sign)) = badge.query_selector("use") {
            let _ = sign.set_attribute("href", &format!("#i-{icon}"));
        }
        if let Ok(Some(said)) = badge.query_selector("[role=status]") {
            write(&said, spoken(s));
        }
        stale(s == "degraded");
    }
    if let Ok(Some(text)) = badge.query_selector(":scope > span") {
        write(&text, &words);
    }
}

/// Figures go grey, and what would raise a weight is kept back (`forms` refuses it): never what lowers one.
fn stale(stale: bool) {
    if let Some(html) = document().document_element() {
        let _ =
            if stale { html.set_attribute("data-stale", "") } else { html.remove_attribute("data-stale") };
    }
    each("[data-raises]", |e| {
        let _ = if stale {
            e.set_attribute("aria-disabled", "true")
        } else {
            e.remove_attribute("aria-disabled")
        };
    });
}
