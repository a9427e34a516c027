//! An incident: something that users feel, from the alarm until it is over. Opened by a policy or by hand, led by one
//! person, and told to the public when somebody decides so.

mod leak;
#[cfg(test)]
mod tests;

use crate::policy::Severity;
use crate::release::Release;
use crate::workload::Key;
use crate::{FieldError, PersonId, Problem, ReleaseId};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

pub use crate::ids::IncidentId;
pub use leak::{Known, leak};

/// Longest title and headline, in characters.
pub const TITLE: usize = 120;
/// Longest impact, note and public update, in characters.
pub const WORDS: usize = 500;
/// Events of its release from this long before it began are on its timeline.
pub const BEFORE: TimeDelta = TimeDelta::minutes(15);
/// The public page tells of it this long after it was resolved.
pub const TOLD_FOR: TimeDelta = TimeDelta::days(3);

/// How far it is. Reopening leads back to `Open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Users feel it, or may.
    Open,
    /// Fixed as far as is known, and looked at for a while.
    Watching,
    /// Over.
    Resolved,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Open, Self::Watching, Self::Resolved];

    /// As in addresses and JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Watching => "watching",
            Self::Resolved => "resolved",
        }
    }

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Watching => "Fixed, watching",
            Self::Resolved => "Resolved",
        }
    }
}

/// What the public page says of an incident: words of Statuspage's API v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    Investigating,
    Identified,
    Monitoring,
    Resolved,
}

impl Shown {
    pub const ALL: [Self; 4] = [Self::Investigating, Self::Identified, Self::Monitoring, Self::Resolved];

    pub fn key(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
        }
    }

    /// As the public page writes it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Investigating => "Seen",
            Self::Identified => "Fixing",
            Self::Monitoring => "Watching",
            Self::Resolved => "Over",
        }
    }
}

/// How much the public feels: words of Statuspage's API v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    None,
    Minor,
    Major,
    Critical,
}

impl Impact {
    pub const ALL: [Self; 4] = [Self::None, Self::Minor, Self::Major, Self::Critical];

    pub fn key(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Minor => "Minor",
            Self::Major => "Major",
            Self::Critical => "Critical",
        }
    }

    /// What is offered first for a severity.
    pub fn of(severity: Severity) -> Self {
        match severity {
            Severity::Low | Severity::Medium => Self::Minor,
            Severity::High => Self::Major,
            Severity::Critical => Self::Critical,
        }
    }
}

/// Most severe first, as forms offer them.
pub const SEVERITIES: [Severity; 4] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

/// What a severity means, as forms say it: `high, many users`.
pub fn severity_words(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical, all users",
        Severity::High => "high, many users",
        Severity::Medium => "medium, few users or slow",
        Severity::Low => "low, none felt it",
    }
}

macro_rules! read_by_key {
    ($type:ty, $what:literal) => {
        impl FromStr for $type {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|v| v.key() == s).ok_or_else(|| {
                    let known = Self::ALL.map(Self::key).join(", ");
                    format!(concat!("there is no ", $what, " `{}`: use one of {}"), s, known)
                })
            }
        }
    };
}
read_by_key!(State, "state");
read_by_key!(Shown, "state");
read_by_key!(Impact, "impact");

/// # Errors
/// Which severities there are, when `s` is none.
pub fn severity_from(s: &str) -> Result<Severity, String> {
    SEVERITIES.into_iter().find(|v| v.key() == s).ok_or_else(|| {
        let known = SEVERITIES.map(Severity::key).join(", ");
        format!("there is no severity `{s}`: use one of {known}")
    })
}

/// Who looks after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    pub person: PersonId,
    pub name: String,
    pub since: DateTime<Utc>,
}

/// An incident about to be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewIncident {
    /// What it is about, unique: `policy-firing:17`. Opened again under the same key it is the same incident.
    pub key: Option<String>,
    /// At most [`TITLE`] characters. Never on the public page.
    pub title: String,
    pub severity: Severity,
    /// What users feel, in words, as far as it is known; may be empty. Never on the public page.
    pub impact: String,
    /// Public at once, under a general headline. A policy leaves this to people.
    pub public: bool,
    pub service: String,
    pub environment: String,
    pub workload: Option<Key>,
    pub release: Option<ReleaseId>,
    /// Name of the policy that opened it.
    pub policy: Option<String>,
    /// Give the lead to whoever is on call, see [`lead`].
    pub auto_assign: bool,
    /// Given the lead at once, for whoever opens it by hand and leads it; comes before `auto_assign`.
    pub lead: Option<(PersonId, String)>,
    /// When the trouble began as far as is known; never after `opened`.
    pub began: DateTime<Utc>,
    pub opened: DateTime<Utc>,
    /// Who noticed: a person's name, or `Tidegate, policy`.
    pub opened_by: String,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    /// Raised by each write: nobody writes over what they have not read.
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub title: String,
    pub state: State,
    pub severity: Severity,
    pub impact: String,
    pub public: bool,
    /// What the public page calls it; checked by [`leak`].
    pub headline: String,
    pub service: String,
    pub environment: String,
    pub workload: Option<Key>,
    pub release: Option<ReleaseId>,
    pub policy: Option<String>,
    /// For whoever is on call; who that is may not be one person.
    pub on_call: bool,
    pub lead: Option<Lead>,
    pub began: DateTime<Utc>,
    pub opened: DateTime<Utc>,
    pub opened_by: String,
    /// Since when it is watched; kept once it is resolved.
    pub watching: Option<DateTime<Utc>>,
    pub resolved: Option<DateTime<Utc>>,
    pub resolved_by: Option<String>,
    /// When it was last opened again.
    #[serde(default)]
    pub reopened: Option<DateTime<Utc>>,
}

impl Incident {
    /// At its beginning.
    pub fn new(id: IncidentId, new: &NewIncident, lead: Option<Lead>) -> Self {
        Self {
            id,
            version: 1,
            key: new.key.clone(),
            title: new.title.clone(),
            state: State::Open,
            severity: new.severity,
            impact: new.impact.clone(),
            public: new.public,
            headline: headline(&new.service),
            service: new.service.clone(),
            environment: new.environment.clone(),
            workload: new.workload.clone(),
            release: new.release,
            policy: new.policy.clone(),
            on_call: new.auto_assign,
            lead,
            began: new.began.min(new.opened),
            opened: new.opened,
            opened_by: new.opened_by.clone(),
            watching: None,
            resolved: None,
            resolved_by: None,
            reopened: None,
        }
    }

    pub fn ended(&self) -> bool {
        self.state == State::Resolved
    }

    /// From its beginning until it was over, or until now.
    pub fn lasted(&self, now: DateTime<Utc>) -> TimeDelta {
        (self.resolved.unwrap_or(now) - self.began).max(TimeDelta::zero())
    }

    /// Who looks after it, as pages say it.
    pub fn lead_words(&self) -> String {
        match (&self.lead, self.on_call) {
            (Some(lead), _) => lead.name.clone(),
            (None, true) => "on-call".to_owned(),
            (None, false) => "nobody yet".to_owned(),
        }
    }

    /// Whether the public page tells of it at `now`.
    pub fn told(&self, now: DateTime<Utc>) -> bool {
        self.public && self.resolved.is_none_or(|at| now - at < TOLD_FOR)
    }

    /// Whether a release that went back ended it as far as is known: from then on it is watched.
    pub fn settled_by(&self, release: &Release) -> bool {
        let since = self.reopened.unwrap_or(self.opened);
        self.state == State::Open
            && self.release == Some(release.id)
            && release.state == crate::release::State::RolledBack
            && release.ended.is_some_and(|at| at >= since)
    }

    /// Goes to another state. Watching begins once; a resolved incident stays resolved until it is reopened.
    ///
    /// # Errors
    /// 409 when it is in that state already, or cannot go there from where it is.
    pub fn go(&mut self, to: State, by: &str, now: DateTime<Utc>) -> Result<(), Problem> {
        match (self.state, to) {
            (from, to) if from == to => {
                let words = to.words().to_lowercase();
                return Err(Problem::conflict(format!("The incident is {words} already.")));
            }
            (State::Resolved, State::Watching) => {
                return Err(Problem::conflict("The incident is resolved. Reopen it first."));
            }
            (_, State::Open) => {
                (self.watching, self.resolved, self.resolved_by) = (None, None, None);
                self.reopened = Some(now);
            }
            (_, State::Watching) => self.watching = Some(now),
            (_, State::Resolved) => {
                self.resolved = Some(now);
                self.resolved_by = Some(by.to_owned());
            }
        }
        self.state = to;
        Ok(())
    }
}

/// What the public page calls an incident of a service until somebody finds better words.
pub fn headline(service: &str) -> String {
    format!("Problems with {service}")
}

/// Who of those on call gets the lead: the one who holds the role alone, else whoever took the last alarm if they
/// still hold it, else nobody in particular.
pub fn lead(on_call: &[(PersonId, String)], last: Option<PersonId>) -> Option<&(PersonId, String)> {
    match on_call {
        [one] => Some(one),
        several => several.iter().find(|(id, _)| Some(*id) == last),
    }
}

/// Something that people wrote about an incident. Never changed afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: DateTime<Utc>,
    pub author: String,
    pub words: String,
    /// `None`: a note for those who work on it. Otherwise it was told to the public.
    pub update: Option<(Shown, Impact)>,
}

/// A text of a form: trimmed, neither too long nor, where `needed`, empty. Wrong ones are named in `wrong`.
pub fn text(field: &str, given: &str, most: usize, needed: bool, wrong: &mut Vec<FieldError>) -> String {
    let text = given.trim();
    let length = text.chars().count();
    if needed && text.is_empty() {
        wrong.push(FieldError::new(field, "Write something here."));
    } else if length > most {
        wrong.push(FieldError::new(field, format!("Shorten it: {length} characters, at most {most}.")));
    } else if text.contains('\0') {
        wrong.push(FieldError::new(field, "It holds a character that cannot be stored. Remove it."));
    }
    text.to_owned()
}
