//! What can go wrong on the way to a cluster, in words for the person who has to do something about it.

use model::workload::Key;
use model::{Problem, Status};

/// A failure. `Display` says what is wrong, then what to do. None of them ever carries an object's content:
/// objects hold environment variables, and those hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "The kubeconfig {path} cannot be used: {reason}. Point KUBECONFIG at a working one; \
         `kubectl config get-contexts` shows what it holds."
    )]
    Kubeconfig { path: String, reason: String },

    #[error(
        "The API server of cluster {cluster} does not answer ({reason}). Check that it is up and reachable."
    )]
    Unreachable { cluster: String, reason: String },

    /// 401 or 403.
    #[error(
        "Cluster {cluster} does not let Tidegate {action}: {reason}. Give its service account the rights in \
         deploy/rbac.yaml."
    )]
    Denied { cluster: String, action: String, reason: String },

    #[error("{0} is not in the cluster. It may have been deleted or renamed; look it up under Services.")]
    Gone(Key),

    /// The workload is in a state, or of a kind, for which this is not done.
    #[error("{0}")]
    Unsuited(String),

    /// The API server answered, but not as expected.
    #[error(
        "The API server of cluster {cluster} answered {code} to {action}: {reason}. Try again; if it \
         stays, look at its log."
    )]
    Answer { cluster: String, action: String, code: u16, reason: String },

    /// An effect was certainly not carried out.
    #[error("{why}")]
    Refused { why: String },

    /// An effect was sent, and whether it was carried out is not known. Read the object back before
    /// repeating.
    #[error("{why}")]
    Unsure { why: String },

    #[error("Prometheus at {url} {reason}")]
    Prometheus { url: String, reason: String },
}

impl From<Error> for Problem {
    fn from(e: Error) -> Self {
        let status = match &e {
            Error::Gone(_) => Status::NotFound,
            Error::Unsuited(_) | Error::Refused { .. } => Status::Conflict,
            Error::Kubeconfig { .. }
            | Error::Unreachable { .. }
            | Error::Denied { .. }
            | Error::Answer { .. }
            | Error::Unsure { .. }
            | Error::Prometheus { .. } => Status::Unavailable,
        };
        Self::new(status, e.to_string())
    }
}

/// One line of an error and its causes, cut where a parser starts to quote its input.
pub(crate) fn one_line(e: &dyn std::error::Error) -> String {
    let mut text = first_line(&e.to_string());
    let mut source = e.source();
    while let Some(cause) = source {
        let cause_text = first_line(&cause.to_string());
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().trim_end_matches([':', '.']).to_owned()
}
