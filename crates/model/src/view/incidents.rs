//! `/incidents` and `/incidents/{id}`.

use super::{Age, Deed};
use crate::incident::{Entry, Incident, State};
use crate::policy::Severity;
use crate::{IncidentId, PersonId, ReleaseId, Seq};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An incident as other pages name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentBrief {
    pub id: IncidentId,
    pub title: String,
    pub state: State,
    pub severity: Severity,
}

impl From<&Incident> for IncidentBrief {
    fn from(i: &Incident) -> Self {
        Self { id: i.id, title: i.title.clone(), state: i.state, severity: i.severity }
    }
}

/// What the list was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentsFilter {
    /// Words in title, impact, headline or service, or a number.
    #[serde(default)]
    pub q: Option<String>,
    #[serde(default)]
    pub state: Option<State>,
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Only those older than this one: the next page.
    #[serde(default)]
    pub before: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentsPage {
    /// Newest first.
    pub rows: Vec<Incident>,
    pub filter: IncidentsFilter,
    /// `before` of the next page, if there is one.
    pub next: Option<i64>,
    /// Of all incidents: how many are open, and how many watched.
    pub open: usize,
    pub watching: usize,
    /// Begun within thirty days; of these, from releases.
    pub month: usize,
    pub month_releases: usize,
    /// Median of how long those that are over lasted, in seconds.
    pub median_seconds: Option<i64>,
    /// May this person open one?
    pub open_one: Deed,
    pub age: Age,
}

/// One line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentItem {
    pub at: DateTime<Utc>,
    pub actor: String,
    /// Action of the audit event, which chooses the icon.
    pub action: String,
    pub summary: String,
    /// What somebody wrote.
    pub words: Option<String>,
    /// Its place in the history; `None` where the incident itself is all there is.
    pub seq: Option<Seq>,
}

/// The release that an incident is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentRelease {
    pub id: ReleaseId,
    pub service: String,
    pub from_version: String,
    pub version: String,
    pub state: crate::release::State,
    /// When it left its course, and when it had ended.
    pub turned_back: Option<DateTime<Utc>>,
    pub ended: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

/// An incident with everything its page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentPage {
    pub incident: Incident,
    pub release: Option<IncidentRelease>,
    /// Newest first.
    pub timeline: Vec<IncidentItem>,
    /// What the public was told, newest first.
    pub updates: Vec<Entry>,
    /// Everybody who may lead it, by name.
    pub people: Vec<(PersonId, String)>,
    /// Who looks at it.
    pub me: Option<PersonId>,
    /// To write a note.
    pub note: Deed,
    /// To change it, lead it and resolve it.
    pub run: Deed,
    /// To tell the public of it.
    pub tell: Deed,
    pub age: Age,
}

/// The form to open an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmPage {
    /// The release that it is about, where the form was opened from one.
    pub release: Option<IncidentRelease>,
    /// Services with their environments, to choose from.
    pub services: Vec<(String, String)>,
    /// May this person open one?
    pub open_one: Deed,
    pub age: Age,
}
