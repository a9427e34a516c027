//! `POST /ofrep/v1/evaluate/flags/{key}` and `POST /ofrep/v1/evaluate/flags`.

use super::{Door, Refused, secret};
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use control::FlagAccess;
use flags::ofrep::{self, EventStream};
use flags::{Context, Evaluator};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The most that a body may hold, in bytes: a context of thousands of attributes.
const LIMIT: usize = 256 << 10;
/// How long a request that a change was told to waits for this replica to know the change, too.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What is served where no file of flags was ever seen.
static NO_FLAGS: LazyLock<(String, Evaluator)> = LazyLock::new(|| (ofrep::version(""), Evaluator::default()));

/// What a client was told on a stream, and says again when it asks because of that.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(rename = "flagConfigEtag")]
    etag: Option<String>,
    #[serde(rename = "flagConfigLastModified")]
    last_modified: Option<String>,
}

pub(super) async fn one(
    State(door): State<Arc<Door>>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    evaluate_one(&door, &key, &parts, body).await.unwrap_or_else(|refused| refused.about(&key).answer())
}

pub(super) async fn all(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    evaluate_all(&door, &parts, body).await.unwrap_or_else(Refused::answer)
}

async fn evaluate_one(door: &Door, key: &str, parts: &Parts, body: Body) -> Result<Response, Refused> {
    let access = door.enter(parts)?;
    let context = context(parts, body).await?;
    let (_, evaluator) = served(&access);
    let found = ofrep::single(evaluator, key, &context, access.environment.as_deref())?;
    Ok(axum::Json(found).into_response())
}

async fn evaluate_all(door: &Door, parts: &Parts, body: Body) -> Result<Response, Refused> {
    let mut access = door.enter(parts)?;
    let context = context(parts, body).await?;
    if parts.uri.query().is_some()
        && let Ok(Query(told)) = Query::<Told>::try_from_uri(&parts.uri)
        && let Some(newer) = caught_up(door, parts, &access, &told).await
    {
        access = newer;
    }
    let (version, evaluator) = served(&access);
    let environment = access.environment.as_deref();
    let tag = ofrep::etag(version, environment, &context);
    let mut response = if has(&parts.headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let streams = vec![EventStream::sse(format!("/ofrep/v1/stream/{}", access.stream))];
        axum::Json(ofrep::bulk(evaluator, &context, environment, version, streams)).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

fn served(access: &FlagAccess) -> (&str, &Evaluator) {
    match &access.served {
        Some(served) => (&served.version, &served.evaluator),
        None => (&NO_FLAGS.0, &NO_FLAGS.1),
    }
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter();
    known.filter_map(|value| value.to_str().ok()).any(|value| ofrep::not_modified(value, tag))
}

/// Who asks, from the body of a request.
async fn context(parts: &Parts, body: Body) -> Result<Context, Refused> {
    if !may_be_json(&parts.headers) {
        return Err(Refused::media_type());
    }
    let bytes = axum::body::to_bytes(body, LIMIT).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(c) = cause {
            if c.is::<LengthLimitError>() {
                return Refused::too_large(LIMIT);
            }
            cause = c.source();
        }
        Refused::cut_off()
    })?;
    Ok(ofrep::context(&bytes)?)
}

/// Clients that say nothing, or that it is text, mean JSON; what says it is something else is not read as JSON.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = value.to_str().unwrap_or("").to_ascii_lowercase();
    kind.trim().is_empty() || kind.contains("json") || kind.starts_with("text/plain")
}

/// A client may be told of a change by one replica and ask another, which would answer with the old flags, and nothing would tell
/// the client again. So whoever says what it was told is kept until that is known here, too. `None`: nothing newer came.
async fn caught_up(door: &Door, parts: &Parts, access: &FlagAccess, told: &Told) -> Option<FlagAccess> {
    if !is_behind(access, told) {
        return None;
    }
    let mut changes = door.control.follow_flags(&access.stream)?;
    let newer = async {
        loop {
            let now = door.control.flag_access(secret(parts)?).ok()?;
            if !is_behind(&now, told) {
                return Some(now);
            }
            changes.changed().await?;
        }
    };
    tokio::time::timeout(CATCH_UP, newer).await.ok().flatten()
}

/// Is what is served here older than what the client was told of?
fn is_behind(access: &FlagAccess, told: &Told) -> bool {
    let (version, _) = served(access);
    let Some(at) = told.last_modified.as_deref().and_then(seconds) else { return false };
    let same = told.etag.as_deref().is_some_and(|etag| etag.trim_matches('"') == version);
    !same && access.served.as_ref().is_none_or(|served| served.since.timestamp() < at)
}

/// Unix seconds, or a date by RFC 3339.
fn seconds(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_unless_it_says_otherwise() {
        let says = |kind: &str| {
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).expect("a value"))])
        };
        assert!(may_be_json(&HeaderMap::new()));
        for json in [
            "",
            "application/json",
            "application/JSON; charset=utf-8",
            "application/vnd.x+json",
            "text/plain",
        ] {
            assert!(may_be_json(&says(json)), "{json:?}");
        }
        for other in ["application/x-www-form-urlencoded", "text/html", "application/xml"] {
            assert!(!may_be_json(&says(other)), "{other:?}");
        }
    }

    #[test]
    fn a_time_is_read_both_ways() {
        assert_eq!(seconds("1771622898"), Some(1_771_622_898));
        assert_eq!(seconds("2026-02-20T21:28:18Z"), Some(1_771_622_898));
        assert_eq!(seconds("yesterday"), None);
    }
}
