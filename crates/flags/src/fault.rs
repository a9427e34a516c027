//! What is wrong with a file, where, and what to do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `checkout-new-tax.conditions[0].operator`; empty for the file as a whole.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, then what to do.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message } = self;
        if path.is_empty() {
            write!(f, "line {line}: {message}")
        } else {
            write!(f, "line {line}, {path}: {message}")
        }
    }
}
