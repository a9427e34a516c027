//! Why an expression has no value: in the original's words, which stand in an AnalysisRun, and in plain ones.

use std::fmt;

/// What sort of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text is no expression.
    Syntax,
    /// It names something that is not there.
    Name,
    /// Types do not go together, or a function is not for what it is given.
    Types,
    /// An element of a list is asked for that it does not have.
    Index,
    /// It has a value, and that is neither true nor false.
    NotBool,
    /// There is no data to ask about.
    NoData,
    /// It is too long, too deep, or costs too much.
    Size,
    /// The original could; this does not.
    Unsupported,
}

/// Why an expression has no value. Displayed in the words of Argo Rollouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What sort.
    pub kind: Kind,
    said: String,
}

impl Fault {
    pub(crate) fn new(kind: Kind, said: impl Into<String>) -> Self {
        Self { kind, said: said.into() }
    }

    pub(super) fn types(said: impl Into<String>) -> Self {
        Self::new(Kind::Types, said)
    }

    pub(super) fn syntax(said: impl Into<String>) -> Self {
        Self::new(Kind::Syntax, said)
    }

    /// What it means and what to do, as a sentence.
    #[must_use]
    pub fn plain(&self) -> String {
        let said = &self.said;
        match self.kind {
            Kind::Syntax => format!("The condition cannot be read: {said}."),
            Kind::Name => {
                format!(
                    "The condition names something that does not exist ({said}). The metric's answer is called `result`."
                )
            }
            Kind::Types => {
                format!(
                    "The condition does not fit the metric's answer: {said}. A vector needs an index, as in result[0]; one number has none."
                )
            }
            Kind::Index => format!(
                "The metric answered with fewer values than the condition asks for ({said}). Ask for the length first, as in len(result) > 0 && result[0] < 1."
            ),
            Kind::NotBool => {
                format!("The condition is neither true nor false ({said}). Compare it with something.")
            }
            Kind::NoData => "The metric returned no data, so the condition has nothing to compare.".into(),
            Kind::Size => format!("The condition is too large to be evaluated: {said}."),
            Kind::Unsupported => format!("{said}. Only Argo Rollouts' own controller can evaluate this."),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Fault {}
