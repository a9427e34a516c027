//! Server functions, one file a topic: each asks who is there, calls `control`, and hands the answer on.
//!
//! Reads are GET under `/read`, deeds are POST under `/do`. Both are public endpoints: `control` authorises.

pub mod audit;
mod document;
pub mod flags;
pub mod incidents;
pub mod notifications;
pub mod now;
pub mod plans;
pub mod policies;
pub mod releases;
pub mod services;
pub mod session;
pub mod status;

pub(crate) mod door {
    //! Who is at the door, and how a refusal leaves it.

    use crate::Fault;
    use control::Control;
    use http::StatusCode;
    use http::request::Parts;
    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;
    use model::{Actor, Problem, Status};

    /// The door itself, for what needs nobody signed in.
    pub(crate) fn control() -> Result<Control, Fault> {
        use_context::<Control>().ok_or_else(|| {
            refuse(Problem::new(Status::Bug, "The server handed this page no control. Restart Tidegate."))
        })
    }

    /// The door and who stands in it. Whoever is not signed in is sent to the sign-in page, and back afterwards.
    pub(crate) fn enter() -> Result<(Control, Actor), Fault> {
        let control = control()?;
        match use_context::<Actor>() {
            Some(actor) => Ok((control, actor)),
            None => {
                let next = here().map(|h| format!("?next={}", encode(&h))).unwrap_or_default();
                leptos_axum::redirect(&format!("/login{next}"));
                Err(refuse(Problem::new(Status::Unauthenticated, "Sign in to see this.")))
            }
        }
    }

    /// The page the person is on: the address itself, or for a call from a page the page it came from.
    pub(crate) fn here() -> Option<String> {
        let parts = use_context::<Parts>()?;
        let path = parts.uri.path_and_query()?.as_str().to_owned();
        if !is_call(&parts) {
            return Some(path);
        }
        let from = parts.headers.get(http::header::REFERER)?.to_str().ok()?;
        let uri: http::Uri = from.parse().ok()?;
        Some(uri.path_and_query()?.as_str().to_owned())
    }

    /// A call of a server function by its own address, rather than from within a page being rendered.
    fn is_call(parts: &Parts) -> bool {
        parts.uri.path().starts_with("/do/") || parts.uri.path().starts_with("/read/")
    }

    /// A form posted by the browser itself, without our script.
    pub(crate) fn is_plain_form() -> bool {
        use_context::<Parts>().is_some_and(|parts| {
            let accept = parts.headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok());
            is_call(&parts) && accept.is_some_and(|a| a.contains("text/html"))
        })
    }

    /// A problem on its way out: with the request's id where the fault is ours, and the HTTP status set, except for a
    /// plain form, which is redirected back to its page with the problem in the address.
    pub(crate) fn refuse(problem: Problem) -> Fault {
        let mut fault = Fault::from(problem);
        let parts = use_context::<Parts>();
        if fault.status >= 500 {
            fault.request = parts
                .as_ref()
                .and_then(|p| p.headers.get("x-request-id"))
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned);
            tracing::warn!(status = fault.status, request = fault.request, detail = %fault.detail, "refused");
        }
        if parts.as_ref().is_some_and(is_call) && !is_plain_form() {
            status(fault.status);
        }
        fault
    }

    /// Sets the response's status.
    pub(crate) fn status(code: u16) {
        if let (Some(response), Ok(code)) = (use_context::<ResponseOptions>(), StatusCode::from_u16(code)) {
            response.set_status(code);
        }
    }

    /// What `control` answers, as a server function answers it.
    pub(crate) trait OrFault<T> {
        fn or_fault(self) -> Result<T, Fault>;
    }

    impl<T> OrFault<T> for Result<T, Problem> {
        fn or_fault(self) -> Result<T, Fault> {
            self.map_err(refuse)
        }
    }

    /// Sends the browser on, whether it came by script or by itself. Only to paths of our own.
    pub(crate) fn go(path: &str) {
        leptos_axum::redirect(path);
    }

    /// Percent-encodes everything but letters, digits and `-_.~`, for one value in a query.
    pub(crate) fn encode(value: &str) -> String {
        use std::fmt::Write as _;
        value.bytes().fold(String::with_capacity(value.len()), |mut out, b| {
            if b.is_ascii_alphanumeric() || b"-_.~/".contains(&b) {
                out.push(char::from(b));
            } else {
                let _ = write!(out, "%{b:02X}");
            }
            out
        })
    }

    /// Where to go after signing in: a path of ours, or the start.
    pub(crate) fn inside(next: &str) -> &str {
        let ours = next.starts_with('/')
            && !next.starts_with("//")
            && !next.contains(['\\', '\r', '\n'])
            && next.is_ascii();
        if ours { next } else { "/" }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn nobody_is_sent_to_another_site_after_signing_in() {
            assert_eq!(inside("/releases/318?x=1"), "/releases/318?x=1");
            for foreign in
                ["https://example.com", "//example.com", "/\\example.com", "", "releases", "/a\r\nb"]
            {
                assert_eq!(inside(foreign), "/", "{foreign:?}");
            }
        }

        #[test]
        fn a_query_value_survives_encoding() {
            assert_eq!(encode("/plans?a=b&c"), "/plans%3Fa%3Db%26c");
        }
    }
}

/// A plain form's refusal, as it came back in the address for the deed at `path`.
pub(crate) fn refused_at(path: &str) -> Option<crate::Fault> {
    refused().filter(|(at, _)| at == path).map(|(_, fault)| fault)
}

/// A plain form's refusal, and which deed it was.
pub(crate) fn refused() -> Option<(String, crate::Fault)> {
    use leptos::prelude::use_context;
    use leptos::server::ServerActionError;
    use leptos::server_fn::error::ServerFnUrlError;
    let error = use_context::<ServerActionError>()?;
    Some((error.path().to_owned(), ServerFnUrlError::decode_err(error.err())))
}
