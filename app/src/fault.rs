//! What a server function answers when it refuses: a `model::Problem`, with what a page needs beside it.

use model::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A refusal as it travels: in the body for programs, in the address (`__err`) after a plain form post.
/// So it holds nothing that must stay secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// HTTP status; 0 when the server was not reached.
    pub status: u16,
    pub title: String,
    /// What is wrong, then what to do.
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
    /// Names the request in the server's log, where the fault is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Fault {
    /// The server was not reached.
    #[cfg(feature = "hydrate")]
    pub(crate) fn offline() -> Self {
        Self {
            status: 0,
            title: "No answer".into(),
            detail: "The server did not answer. Nothing may have happened: look, then try again.".into(),
            fields: Vec::new(),
            request: None,
        }
    }

    /// What is wrong with one field, if anything.
    #[cfg(feature = "ssr")]
    pub(crate) fn at(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|f| f.field == field).map(|f| f.message.as_str())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

impl From<Problem> for Fault {
    fn from(p: Problem) -> Self {
        Self {
            status: p.status.code(),
            title: p.status.title().to_owned(),
            detail: p.detail,
            fields: p.fields,
            request: None,
        }
    }
}

#[cfg(feature = "ssr")]
mod as_answer {
    use super::Fault;
    use leptos::server_fn::codec::JsonEncoding;
    use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
    use model::{Problem, Status};

    impl FromServerFnError for Fault {
        type Encoder = JsonEncoding;

        fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
            match error {
                ServerFnErrorErr::Args(why)
                | ServerFnErrorErr::MissingArg(why)
                | ServerFnErrorErr::Deserialization(why) => {
                    // Leptos would answer 500, as if it were our fault.
                    crate::api::door::refuse(Problem::new(
                        Status::Malformed,
                        format!("The request cannot be read: {why}."),
                    ))
                }
                other => Problem::new(Status::Bug, format!("{other}. Try again.")).into(),
            }
        }
    }
}
