//! `/status`: what users feel, never greener than the data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Words of Statuspage's API v2, which monitors already read. `Unknown` is ours: said on the page, and told to
/// programs as `degraded_performance`, because no data is never green.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentStatus {
    Operational,
    UnderMaintenance,
    Unknown,
    DegradedPerformance,
    PartialOutage,
    MajorOutage,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    pub id: String,
    pub name: String,
    pub status: ComponentStatus,
    /// What users feel, in a sentence.
    pub words: String,
    pub updated: DateTime<Utc>,
}

/// Something that users may have noticed, told while it happens and for some time after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub id: String,
    pub name: String,
    /// `investigating`, `identified`, `monitoring`, `resolved`.
    pub status: String,
    /// `none`, `minor`, `major`, `critical`.
    pub impact: String,
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub resolved: Option<DateTime<Utc>>,
    /// Newest first: when, status, words.
    pub updates: Vec<(DateTime<Utc>, String, String)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusPage {
    pub headline: String,
    /// `none`, `minor`, `major`, `critical`.
    pub indicator: String,
    pub components: Vec<Component>,
    pub notices: Vec<Notice>,
    pub now: DateTime<Utc>,
    /// Data as of; `None` when there never was any.
    pub as_of: Option<DateTime<Utc>>,
}
