//! The states of a measurement, a metric and a run: one set of words for the three.

use serde::{Deserialize, Serialize};

/// How a measurement, a metric or a whole run stands. Ordered from best to worst, as [`Phase::worst`] takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It passed.
    Successful,
    /// Under way.
    Running,
    /// Nothing has happened yet. A run that the controller has not seen has no phase at all: the same.
    #[default]
    #[serde(alias = "")]
    Pending,
    /// Neither passed nor failed.
    Inconclusive,
    /// It could not be measured.
    Error,
    /// It failed.
    Failed,
}

impl Phase {
    /// Whether it is over.
    #[must_use]
    pub fn completed(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Whether `other` is worse.
    #[must_use]
    pub fn is_worse(self, other: Self) -> bool {
        other > self
    }

    /// The worse of the two.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        self.max(other)
    }

    /// As an AnalysisRun spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
