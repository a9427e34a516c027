//! Flags that are forgotten. A flag that nobody needs any more is a switch that somebody may press.

use crate::file::{Flag, Kind};
use crate::share::Share;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// So long may a flag be on for everybody before it asks to be removed.
pub const KEPT_FULL: TimeDelta = TimeDelta::days(30);
/// So long may nobody ask for a flag.
pub const UNASKED: TimeDelta = TimeDelta::days(30);

/// What is known about a flag's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Since when it has been watched. Without it nothing is said of being asked for.
    pub watched_since: Option<DateTime<Utc>>,
    /// Since when the file has said what it says of the flag.
    pub unchanged_since: Option<DateTime<Utc>>,
    /// When somebody last asked for it.
    pub last_evaluated: Option<DateTime<Utc>>,
}

/// Why a flag is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stale {
    /// Its end has come.
    Expired,
    /// On for everybody for 30 days.
    Everybody,
    /// Nobody has asked for it for 30 days, or ever.
    Unasked,
}

impl Stale {
    /// What to do.
    pub fn words(self) -> &'static str {
        match self {
            Self::Expired => "Its end has come. Remove it, or give it a later one.",
            Self::Everybody => "Everybody has had it for 30 days. Remove it from the code, then from here.",
            Self::Unasked => "Nobody has asked for it for 30 days. Remove it.",
        }
    }
}

/// Why the flag is stale at `now`, if it is. Flags that are there to stay are never so for being on for everybody.
pub fn stale(flag: &Flag, usage: &Usage, now: DateTime<Utc>) -> Option<Stale> {
    let long =
        |since: Option<DateTime<Utc>>, limit| since.is_some_and(|s| now.signed_duration_since(s) >= limit);
    if flag.expires_at.is_some_and(|end| end <= now) {
        return Some(Stale::Expired);
    }
    let passing = matches!(flag.kind, Kind::Release | Kind::Experiment);
    if passing && is_full(flag) && long(usage.unchanged_since, KEPT_FULL) {
        return Some(Stale::Everybody);
    }
    let asked = usage.last_evaluated.or(usage.watched_since);
    (usage.watched_since.is_some() && long(asked, UNASKED)).then_some(Stale::Unasked)
}

/// Does everybody get the same of it, and not the default?
fn is_full(flag: &Flag) -> bool {
    flag.is_on()
        && flag.percentage == Share::ALL
        && flag.conditions.is_empty()
        && flag.rules.is_empty()
        && flag.prerequisites.is_empty()
}
