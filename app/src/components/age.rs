//! How old what is shown is. Never "live" without an age, never green without data.

use super::icon::icon;
use crate::when::{self, NB};
use chrono::{DateTime, TimeDelta, Utc};
use leptos::prelude::*;
use model::view::Age;

/// Older than this is said in amber.
pub(crate) const AMBER: TimeDelta = TimeDelta::seconds(15);
/// Older than this, figures go grey and nothing may be raised on their word.
pub(crate) const STALE: TimeDelta = TimeDelta::seconds(60);

/// The connection to the server.
#[cfg_attr(not(any(feature = "hydrate", test)), allow(dead_code, reason = "only a browser connects"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// No script has run (yet): the page stands still.
    Off,
    Open,
    /// Lost at that time; it is being opened again.
    Lost(DateTime<Utc>),
}

/// Colour role, icon and words of the badge.
pub(crate) fn freshness(now: DateTime<Utc>, age: &Age, link: Link) -> (&'static str, &'static str, String) {
    if let Link::Lost(since) = link {
        if now - since > STALE {
            return ("degraded", "warn", format!("No connection since {}", when::clock(since)));
        }
        let old = age.cluster.map_or(TimeDelta::zero(), |c| now - c);
        return ("waiting", "clock", format!("Data {} old, reconnecting", when::span(old)));
    }
    let Some(cluster) = age.cluster else {
        return ("unknown", "ask", "No data from the cluster yet".to_owned());
    };
    let old = (now - cluster).max(TimeDelta::zero());
    if old > STALE {
        return ("degraded", "warn", format!("Data {} old", when::span(old)));
    }
    if !age.database {
        return ("waiting", "db", format!("Database does not answer; data {} old", when::span(old)));
    }
    if old > AMBER {
        return ("waiting", "clock", format!("Data {} old", when::span(old)));
    }
    match link {
        // Without script the page does not move: say when it was read instead of how old it is.
        Link::Off => ("healthy", "dot", format!("As of {}{NB}UTC", when::clock(age.now))),
        _ => ("healthy", "dot", format!("Live, {} old", when::span(old))),
    }
}

/// The badge in the corner of every page. Script keeps it (`browser::clock`): by then it has an age that ticks.
pub(crate) fn freshness_badge(age: &Age) -> AnyView {
    let (s, sign, words) = freshness(age.now, age, Link::Off);
    let now = age.now.timestamp_millis();
    let cluster = age.cluster.map(|c| c.timestamp_millis());
    view! {
        <span class="live" id="age" data-s=s data-now=now data-cluster=cluster data-database=age.database.to_string()>
            {icon(sign)}<span>{words}</span><span class="vh" role="status">{spoken(s)}</span>
        </span>
    }
    .into_any()
}

/// What is announced: a change of state, not each second.
pub(crate) fn spoken(s: &str) -> &'static str {
    match s {
        "healthy" => "Data is fresh",
        "waiting" => "Data is getting old",
        "degraded" => "Data is stale",
        _ => "No data yet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 18, 14, 5, 43).unwrap()
    }

    fn age(seconds: i64) -> Age {
        Age { now: now(), cluster: Some(now() - TimeDelta::seconds(seconds)), database: true }
    }

    #[test]
    fn never_greener_than_the_data() {
        let tone = |age: &Age, link| freshness(now(), age, link).0;
        assert_eq!(tone(&age(2), Link::Open), "healthy");
        assert_eq!(tone(&age(16), Link::Open), "waiting");
        assert_eq!(tone(&age(61), Link::Open), "degraded");
        assert_eq!(tone(&Age { cluster: None, ..age(0) }, Link::Open), "unknown");
        assert_eq!(tone(&age(2), Link::Lost(now() - TimeDelta::seconds(5))), "waiting");
        assert_eq!(tone(&age(2), Link::Lost(now() - TimeDelta::seconds(61))), "degraded");
        assert_eq!(tone(&Age { database: false, ..age(2) }, Link::Open), "waiting");
    }

    #[test]
    fn a_page_without_script_does_not_say_live() {
        let (_, _, words) = freshness(now(), &age(2), Link::Off);
        assert_eq!(words, "As of 14:05:43\u{a0}UTC");
        let (_, _, words) = freshness(now(), &age(2), Link::Open);
        assert_eq!(words, "Live, 2\u{a0}s old");
    }
}
