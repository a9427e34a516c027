//! What pages and the REST API show: read models, complete enough that a page needs nothing else.

mod analyses;
mod audit;
mod compare;
mod flags;
mod incidents;
mod notify;
mod now;
mod plans;
mod policies;
mod releases;
mod services;
mod status;

pub use analyses::*;
pub use audit::*;
pub use compare::*;
pub use flags::*;
pub use incidents::*;
pub use notify::*;
pub use now::*;
pub use plans::*;
pub use policies::*;
pub use releases::*;
pub use services::*;
pub use status::*;

use crate::role::Action;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who is signed in, and what the frame around every page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shell {
    pub name: String,
    /// `on-call`, or several joined.
    pub roles: String,
    /// Actions allowed somewhere; the server asks again for each deed.
    pub may: Vec<Action>,
    /// Things that wait for this person.
    pub waiting: u32,
    /// Releases that are moving.
    pub moving: u32,
    /// Plans that wait for approval.
    pub plans: u32,
    /// Incidents that are not resolved.
    #[serde(default)]
    pub incidents: u32,
    pub data: Age,
}

/// How old what is shown is. Never say "live" without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Age {
    /// When the page's content was read.
    pub now: DateTime<Utc>,
    /// When the cluster was last known to be in sync; `None` if never since the start.
    pub cluster: Option<DateTime<Utc>>,
    pub database: bool,
}

/// A deed that a page offers: allowed, or the reason why not, in words beside the button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    pub allowed: bool,
    pub why_not: Option<String>,
}

impl Deed {
    pub fn yes() -> Self {
        Self { allowed: true, why_not: None }
    }
    pub fn no(why: impl Into<String>) -> Self {
        Self { allowed: false, why_not: Some(why.into()) }
    }
}
