//! What went wrong, in the words a person can act on, and the one table from kinds of failure to HTTP status.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing wrong with one field of something sent to us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Path in the document: `spec.strategy.canary.steps[2].weight`.
    pub field: String,
    /// What is wrong, then what to do.
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Kinds of failure. The number is the HTTP status everything that speaks HTTP answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The request itself cannot be read.
    Malformed = 400,
    /// Nobody is signed in, or the token is unknown or expired.
    Unauthenticated = 401,
    /// Signed in, but the role does not allow it.
    Forbidden = 403,
    /// Absent.
    NotFound = 404,
    /// Changed under you, or the state forbids it.
    Conflict = 409,
    /// The body is larger than accepted.
    TooLarge = 413,
    /// Readable, but breaks a rule; `fields` names each.
    Invalid = 422,
    /// Too many tries.
    TooMany = 429,
    /// Our fault.
    Bug = 500,
    /// A dependency does not answer; try again.
    Unavailable = 503,
}

impl Status {
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Short title, the same for every problem of the kind (RFC 9457 `title`).
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read",
            Self::Unauthenticated => "Sign in first",
            Self::Forbidden => "Your role does not allow this",
            Self::NotFound => "Not found",
            Self::Conflict => "Not possible in this state",
            Self::TooLarge => "Too large",
            Self::Invalid => "A rule is broken",
            Self::TooMany => "Too many tries",
            Self::Bug => "A fault in Tidegate",
            Self::Unavailable => "Temporarily unavailable",
        }
    }
}

/// A failure as people and programs get to see it: the content of an RFC 9457 `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub status: Status,
    /// What is wrong, then what to do, in a sentence or two.
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
}

impl Problem {
    pub fn new(status: Status, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), fields: Vec::new() }
    }
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Status::Malformed, detail)
    }
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Status::Forbidden, detail)
    }
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Status::NotFound, detail)
    }
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Status::Conflict, detail)
    }
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Status::Unavailable, detail)
    }
    /// Breaks rules at the named fields. The detail repeats them for those who only read that.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let detail = fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Self { status: Status::Invalid, detail, fields }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}
