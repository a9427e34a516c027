//! What the AnalysisTemplates that Tidegate evaluates at a step have come to together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The worst of them decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub step: usize,
    pub outcome: Outcome,
    /// One sentence about the template that decided.
    pub words: String,
    /// When this was found.
    pub at: DateTime<Utc>,
}

/// In the order in which the worse one counts. While some are measured and none of them is worse than passed there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every one passed.
    Passed,
    /// One neither passed nor failed: a person decides.
    Inconclusive,
    /// One could not be measured, or is none.
    Error,
    /// One failed.
    Failed,
}

impl Outcome {
    /// The release goes back.
    pub fn turns_back(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    pub fn key(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Failed => "failed",
        }
    }
}
