//! What is answered instead of flags, in the protocol's form: `{key?, errorCode, errorDetails}`.

use axum::response::{IntoResponse as _, Response};
use flags::ErrorCode;
use flags::ofrep::Failure;
use http::{HeaderValue, StatusCode, header};
use model::{Problem, Status};
use std::time::Duration;

/// When to come again while there is nothing to answer from: Postgres is asked about once a second.
const UNAVAILABLE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    failure: Failure,
    retry: Option<Duration>,
}

impl Refused {
    fn new(status: StatusCode, words: impl Into<String>) -> Self {
        let failure = Failure { key: None, code: ErrorCode::General, details: Some(words.into()) };
        Self { status, failure, retry: None }
    }

    pub(super) fn no_key() -> Self {
        let words = "Send `Authorization: Bearer <key>` or `X-API-Key: <key>`. Keys for flags are issued on the page Flags.";
        Self::new(StatusCode::UNAUTHORIZED, words)
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let words = "Too many requests. Wait as long as Retry-After says.";
        Self { retry: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, words) }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let words = format!("The body is larger than {} KiB. Send a smaller context.", limit / 1024);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, words)
    }

    pub(super) fn cut_off() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The body ended before it was complete. Send it again.")
    }

    pub(super) fn media_type() -> Self {
        let words = "Send the body as JSON, with `Content-Type: application/json`.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, words)
    }

    pub(super) fn no_stream() -> Self {
        let words =
            "There is no such stream, or its key was withdrawn. A bulk evaluation says where the stream is.";
        Self::new(StatusCode::NOT_FOUND, words)
    }

    pub(super) fn full() -> Self {
        let words = "This replica holds as many streams as it can. Try again in a moment.";
        Self { retry: Some(UNAVAILABLE), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, words) }
    }

    pub(super) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// About one flag: the protocol wants its key then.
    pub(super) fn about(mut self, key: &str) -> Self {
        self.failure.key.get_or_insert_with(|| key.to_owned());
        self
    }

    pub(super) fn answer(self) -> Response {
        let mut response = (self.status, axum::Json(self.failure)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry {
            // Whole seconds, and never none: clients take 0 for nothing said.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Bearer realm=\"tidegate flags\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let status = StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, failure, retry: None }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = (problem.status == Status::Unavailable).then_some(UNAVAILABLE);
        Self { retry, ..Self::new(status, problem.detail) }
    }
}

pub(super) async fn unknown() -> Response {
    let words =
        "There is no such address. The protocol's are POST /ofrep/v1/evaluate/flags and …/flags/{key}.";
    Refused::new(StatusCode::NOT_FOUND, words).answer()
}

pub(super) async fn method() -> Response {
    let words = "Not with this method: flags are asked for with POST, a stream is opened with GET.";
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, words).answer()
}

pub(super) fn panicked(cause: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!(panic = crate::problem::words_of(cause.as_ref()), "a handler panicked");
    let words = "Tidegate made a mistake; it is in its log. The code's own default counts.";
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, words).answer()
}
