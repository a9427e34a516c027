//! Notifications: what is told to people outside Tidegate.

mod answer;
mod payload;

use crate::ids::ReleaseId;
use crate::policy::{Channel, Severity};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use answer::{GIVE_UP, Heard, Outcome, judge, next_try};
pub use payload::{mail, pagerduty, pagerduty_path, slack, webhook};

/// What is told, whoever it is told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Names the matter: a message about the same matter has the same key, whether it begins or ends. Each destination is
    /// told once that it began and once that it ended.
    pub key: String,
    /// One line: what happened, and to what.
    pub title: String,
    /// A few sentences: why, and what is done about it.
    pub words: String,
    pub severity: Severity,
    /// Where to look, a path of Tidegate's own: `/releases/318`.
    pub path: String,
    pub release: Option<ReleaseId>,
    pub service: Option<String>,
    pub environment: Option<String>,
    pub what: Happened,
    pub at: DateTime<Utc>,
}

/// What became of the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// It began, and may need somebody.
    Fired,
    /// It is over.
    Resolved,
    /// Worth knowing; nothing has to be done.
    Told,
    /// An administrator tries a destination out.
    Test,
}

impl Happened {
    pub fn key(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Resolved => "resolved",
            Self::Told => "told",
            Self::Test => "test",
        }
    }
}

/// Where notifications go: what is not secret of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Settings {
    /// The address of the incoming webhook is the secret.
    Slack,
    /// The routing key is the secret.
    Pagerduty {
        /// The server that takes events; the European region and tests have another than [`PAGERDUTY`].
        endpoint: String,
    },
    /// The password is the secret; without a user there is none.
    Email { host: String, port: u16, security: Security, user: Option<String>, from: String, to: Vec<String> },
    /// The key that requests are signed with is the secret.
    Webhook { url: String },
}

/// The server that takes PagerDuty's events, unless the account is in the European region.
pub const PAGERDUTY: &str = "https://events.pagerduty.com";

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte; usually port 465.
    Tls,
    /// Begins in clear and goes on only if TLS can be agreed on; usually port 587.
    Starttls,
    /// In clear. For a server on this machine.
    None,
}

impl Settings {
    pub fn channel(&self) -> Channel {
        match self {
            Self::Slack => Channel::Slack,
            Self::Pagerduty { .. } => Channel::Pagerduty,
            Self::Email { .. } => Channel::Email,
            Self::Webhook { .. } => Channel::Webhook,
        }
    }
}

/// How far the delivery of a message to a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Waiting,
    Sent,
    Failed,
}

/// At most `most` characters, and a sign where something was left out.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
