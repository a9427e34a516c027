//! The last releases of a workload beside each other, aligned at their start.

use super::Age;
use crate::ids::ReleaseId;
use crate::release::State;
use crate::workload::Key;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparePage {
    pub key: Key,
    pub service: String,
    pub environment: String,
    /// Newest first; at most five.
    pub releases: Vec<CompareRelease>,
    pub age: Age,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareRelease {
    pub id: ReleaseId,
    pub version: String,
    pub state: State,
    /// What seconds count from.
    pub started: DateTime<Utc>,
    /// The new version's figures, oldest first; at most 240. Empty where nothing was measured.
    pub points: Vec<ComparePoint>,
}

/// The new version at a moment; over the last 30 s each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparePoint {
    /// Since the release began.
    pub second: i64,
    /// Its confirmed share of the traffic, in percent.
    pub weight: u8,
    /// Share of requests with 5xx, in percent; none below the plan's least number of requests.
    pub error_percent: Option<f64>,
    pub p95_ms: Option<f64>,
}
