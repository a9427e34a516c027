//! `/`: what moves, what waits for me, what is broken.

use super::{Age, ReleaseRow, WorkloadRow};
use crate::ids::{PlanId, ReleaseId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// `Approve checkout-1-42-0`.
    pub title: String,
    pub words: String,
    pub plan: Option<PlanId>,
    pub release: Option<ReleaseId>,
    /// This person can do it.
    pub mine: bool,
    pub since: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NowPage {
    /// The sentence the page opens with.
    pub headline: String,
    pub moving: Vec<ReleaseRow>,
    pub waiting: Vec<Waiting>,
    pub broken: Vec<WorkloadRow>,
    /// Ended lately, newest first.
    pub recent: Vec<ReleaseRow>,
    pub workloads: usize,
    pub healthy: usize,
    pub age: Age,
}
