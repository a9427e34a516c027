//! Identifiers. Each kind is its own type, so that a plan is never looked up by a release's number.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

number! {
    /// A plan, over all its versions.
    PlanId
}
number! {
    /// One execution of a plan.
    ReleaseId
}
number! {
    /// Something that users felt, from the alarm until it is over.
    IncidentId
}
number! {
    /// A person with an account.
    PersonId
}
number! {
    /// Place of an event in the audit chain: 1, 2, 3 … without gaps.
    Seq
}

/// Names one attempt to change the cluster. Written before the effect, and onto the object where it can be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub String);

impl AttemptId {
    /// The `n`th attempt of a release: `r318-4`.
    pub fn of(release: ReleaseId, n: u32) -> Self {
        Self(format!("r{release}-{n}"))
    }

    /// A person's press of ROLL BACK, told apart by chance: `rb-1790000000000-0badcafe`.
    pub fn of_press(at: DateTime<Utc>, chance: u32) -> Self {
        Self(format!("rb-{}-{chance:08x}", at.timestamp_millis()))
    }

    /// When the press was that left this mark on an object, in milliseconds of Unix time; `None` for another mark.
    pub fn pressed_at(mark: &str) -> Option<i64> {
        mark.strip_prefix("rb-")?.split_once('-')?.0.parse().ok()
    }

    /// Is this mark on an object one of the release's own attempts?
    pub fn is_of(mark: &str, release: ReleaseId) -> bool {
        Self::number(mark, release).is_some()
    }

    /// The how manyth of the release's attempts left this mark on an object; `None` for another mark.
    pub fn number(mark: &str, release: ReleaseId) -> Option<u32> {
        let (id, n) = mark.strip_prefix('r')?.split_once('-')?;
        n.parse().ok().filter(|_| id.parse() == Ok(release))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 of a plan's canonical JSON, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// `9f2c61d0…41ab`: enough to compare by eye, never enough to approve by.
    pub fn short(&self) -> String {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        match (hex.get(..8), hex.len().checked_sub(4).and_then(|n| hex.get(n..))) {
            (Some(head), Some(tail)) if hex.len() > 12 => format!("{head}…{tail}"),
            _ => hex.to_owned(),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
