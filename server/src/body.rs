//! Bodies: how large, of which kind, and what is wrong with them.

use crate::problem::Refusal;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use model::{FieldError, Problem, Status};
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::time::Duration;

/// The most any body may hold, in bytes. A plan with thousands of steps is a tenth of it.
pub const LIMIT: usize = 1 << 20;
/// How much of a body that is too large is read and thrown away, so that the client gets to read why.
const DRAIN: usize = 32 << 20;
const DRAIN_FOR: Duration = Duration::from_secs(5);

/// Refuses bodies that say they are too large, and cuts off those that do not say so.
pub async fn limit(request: Request, next: Next) -> Response {
    let said = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok())
        .unwrap_or(0);
    if said > LIMIT {
        drain(request.into_body()).await;
        return Refusal::from(too_large()).into_response();
    }
    let (parts, body) = request.into_parts();
    next.run(Request::from_parts(parts, Body::new(Limited::new(body, LIMIT)))).await
}

/// A client that is still sending when we answer may never read the answer: hear it out, within reason.
async fn drain(body: Body) {
    let mut stream = body.into_data_stream();
    let read = async {
        let mut seen = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            seen += chunk.len();
            if seen > DRAIN {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_FOR, read).await;
}

fn too_large() -> Problem {
    Problem::new(
        Status::TooLarge,
        format!("The body is larger than {} KiB, the most accepted here. Send less.", LIMIT / 1024),
    )
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    match body.collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(e) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&e);
            while let Some(c) = cause {
                if c.is::<LengthLimitError>() {
                    return Err(too_large());
                }
                cause = c.source();
            }
            Err(Problem::malformed("The body ended before it was complete. Send it again."))
        }
    }
}

/// The media type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
}

/// A plan's document as it was sent, YAML or JSON.
#[derive(Debug)]
pub struct Document(pub String);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let json = match media_type(request.headers()).as_deref() {
            Some("application/yaml" | "text/yaml" | "application/x-yaml" | "text/x-yaml") => false,
            Some("application/json") => true,
            _ => return Err(Refusal::media_type("application/yaml` or `application/json")),
        };
        let bytes = read(request.into_body()).await?;
        let text = String::from_utf8(bytes.into()).map_err(|_| {
            Problem::malformed("The body is not UTF-8 text. Save the plan as UTF-8 and send it again.")
        })?;
        if json {
            serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|e| not_json(&e))?;
        }
        Ok(Self(text))
    }
}

/// A small JSON body. None at all means the default; a field that is not known is refused by name.
#[derive(Debug)]
pub struct Small<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Small<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let kind = media_type(request.headers());
        let bytes = read(request.into_body()).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(T::default()));
        }
        if kind.as_deref() != Some("application/json") {
            return Err(Refusal::media_type("application/json"));
        }
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|e| not_json(&e))?;
        let read = &mut serde_json::Deserializer::from_slice(&bytes);
        serde_path_to_error::deserialize(read).map(Self).map_err(|e| {
            let path = e.path().to_string();
            Problem::invalid(vec![at_field(&path, &e.into_inner().to_string())]).into()
        })
    }
}

/// A query whose every parameter is known.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = Query::<T>::try_from_uri(&parts.uri).map_err(|e| {
            let mut words = e.to_string();
            let mut cause = std::error::Error::source(&e);
            while let Some(c) = cause {
                words = c.to_string();
                cause = c.source();
            }
            // `limit: invalid digit found in string`
            let (path, words) =
                words.split_once(": ").filter(|(p, _)| !p.contains(' ')).unwrap_or(("", &words));
            Problem::invalid(vec![at_field(path, words)])
        })?;
        Ok(Self(query.0))
    }
}

/// A number in the address.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let absent = |what: &str| {
            Problem::not_found(format!("There is nothing here called `{what}`: its id is a number."))
        };
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let axum::extract::Path(text) = path.map_err(|_| absent(""))?;
        text.parse().map(Self).map_err(|_| absent(&text).into())
    }
}

fn not_json(e: &serde_json::Error) -> Problem {
    Problem::malformed(format!("This is not JSON: {e}. Correct it and send it again."))
}

/// serde's words, with the field they are about.
fn at_field(path: &str, words: &str) -> FieldError {
    let named = words
        .split('`')
        .nth(1)
        .filter(|_| words.starts_with("unknown field") || words.starts_with("missing field"));
    let place = words.find(" at line ").map_or(words, |i| &words[..i]);
    let field = match (path, named) {
        ("." | "", Some(name)) => name.to_owned(),
        (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
        ("." | "", None) => "body".to_owned(),
        (path, _) => path.to_owned(),
    };
    let remedy = if words.starts_with("unknown field") { " Leave it out." } else { "" };
    FieldError::new(field, format!("{}.{remedy}", capital(place)))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Deed {
        #[allow(dead_code)]
        reason: Option<String>,
    }

    async fn sent(kind: Option<&str>, body: &'static str) -> Result<Small<Deed>, Refusal> {
        let mut request = Request::builder().method("POST").uri("/");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        Small::from_request(request.body(Body::from(body)).expect("a request"), &()).await
    }

    #[tokio::test]
    async fn a_small_body_may_be_absent_and_names_what_is_wrong() {
        let json = Some("application/json");
        assert!(sent(None, "").await.is_ok());
        assert!(sent(json, "{\"reason\": \"because\"}").await.is_ok());
        assert_eq!(sent(Some("text/plain"), "{}").await.expect_err("415").status(), 415);
        assert_eq!(sent(json, "{").await.expect_err("400").status(), 400);
        let unknown = sent(json, "{\"raison\": 1}").await.expect_err("422");
        assert_eq!(unknown.status(), 422);
        assert!(unknown.detail().starts_with("raison: "), "{}", unknown.detail());
        let wrong = sent(json, "{\"reason\": 7}").await.expect_err("422");
        assert!(wrong.detail().starts_with("reason: "), "{}", wrong.detail());
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_cut_off() {
        let body = Body::new(Limited::new(Body::from(vec![b' '; LIMIT + 1]), LIMIT));
        assert_eq!(read(body).await.expect_err("too large").status, Status::TooLarge);
    }
}
