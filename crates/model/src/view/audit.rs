//! `/audit`.

use super::Age;
use crate::audit::{Event, Verified};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Prefix of the action: `release.`, `plan.approved`.
    #[serde(default)]
    pub action: Option<String>,
    #[serde(default)]
    pub actor: Option<String>,
    #[serde(default)]
    pub service: Option<String>,
    #[serde(default)]
    pub release: Option<i64>,
    #[serde(default)]
    pub plan: Option<i64>,
    /// Only events before this place in the chain.
    #[serde(default)]
    pub before: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// Newest first.
    pub rows: Vec<Event>,
    pub filter: AuditFilter,
    /// `before` of the next page, if there is one.
    pub next: Option<i64>,
    pub size: i64,
    /// The last verification, if the page asked for one.
    pub verified: Option<Verified>,
    pub age: Age,
}
