//! `/notifications`.

use super::{Age, Deed};
use crate::ids::ReleaseId;
use crate::notify::{Happened, Settings, State};
use crate::policy::{Channel, Severity};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A destination as a form or a request describes it. Everything is text, so that each field can be judged by itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DestinationDraft {
    pub name: String,
    /// `slack`, `pagerduty`, `email`, `webhook`
    pub kind: String,
    /// Empty: for all environments.
    pub environment: String,
    /// Of a webhook.
    pub url: String,
    /// Of PagerDuty; empty: its usual one.
    pub endpoint: String,
    pub host: String,
    /// Empty: the usual one of the way it is spoken to.
    pub port: String,
    /// `tls`, `starttls`, `none`; empty: `starttls`
    pub security: String,
    pub user: String,
    pub from: String,
    /// Addresses, separated by commas or line ends.
    pub to: String,
    /// Where the secret is: `value` (in `secret`), `variable` (in the one that `variable` names), `keep`
    pub secret_from: String,
    pub variable: String,
    /// Never sent back.
    pub secret: String,
}

impl fmt::Debug for DestinationDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationDraft").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    pub id: i64,
    pub name: String,
    pub kind: Channel,
    pub environment: Option<String>,
    /// Where it leads, without anything secret: `hooks.example.com`, `ops@example.com and 2 more`.
    pub target: String,
    /// For those who may change it.
    pub settings: Option<Settings>,
    pub secret: SecretView,
    /// What became of the last message that was tried.
    pub last: Option<LastView>,
}

/// What is known of a secret without knowing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretView {
    /// Name of the variable that holds it; `None` where it is kept encrypted, or where there is none.
    pub variable: Option<String>,
    pub sealed: bool,
    /// Why it cannot be used; `None` where it can.
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastView {
    pub state: State,
    pub at: DateTime<Utc>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationView {
    pub id: i64,
    pub destination: i64,
    pub destination_name: String,
    pub kind: Channel,
    pub title: String,
    pub what: Happened,
    pub severity: Severity,
    /// Page that it is about.
    pub path: String,
    pub release: Option<ReleaseId>,
    pub service: Option<String>,
    pub environment: Option<String>,
    pub state: State,
    pub attempts: u32,
    pub created: DateTime<Utc>,
    /// When it is tried next; `None` when it is not.
    pub next_try: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    /// When it was sent or given up.
    pub ended: Option<DateTime<Utc>>,
    pub again: Deed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationsFilter {
    pub state: Option<State>,
    pub destination: Option<i64>,
    /// Only those before this one.
    pub before: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationsPage {
    pub age: Age,
    pub destinations: Vec<DestinationView>,
    /// Newest first.
    pub rows: Vec<NotificationView>,
    pub filter: NotificationsFilter,
    /// `before` of the next page, if there is one.
    pub next: Option<i64>,
    /// Messages that wait.
    pub waiting: u32,
    /// Messages that were given up within a day.
    pub failed: u32,
    /// May this person change destinations?
    pub administer: Deed,
    /// A secret may be entered: there is a key to encrypt it with.
    pub sealing: bool,
}

/// A destination's form, for a new one or to change one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DestinationPage {
    pub age: Age,
    /// `None` for a new one.
    pub destination: Option<DestinationView>,
    pub draft: DestinationDraft,
    /// Environments that workloads are known to be in.
    pub environments: Vec<String>,
    pub administer: Deed,
    pub sealing: bool,
}
