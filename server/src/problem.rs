//! Refusals on their way out: RFC 9457 `application/problem+json` for programs, a small page for people.
//!
//! A handler answers a [`Refusal`]; it becomes a body only in [`render`], which knows the request's id and whether
//! a person or a program asked.

use crate::headers::RequestId;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::{FieldError, Problem, Status};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

/// The media type of RFC 9457.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why something was refused, and how it is said in HTTP.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    /// Last part of the problem's `type`.
    kind: &'static str,
    title: Cow<'static, str>,
    detail: String,
    fields: Vec<FieldError>,
    /// Methods that the address does answer, for 405.
    allow: Option<&'static str>,
}

impl Refusal {
    /// 405.
    pub fn method() -> Self {
        Self::http(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Not with this method",
            "This address does not answer to this method. See /api/openapi.json for those that it answers to.",
        )
    }

    /// 415.
    pub fn media_type(wanted: &str) -> Self {
        Self::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Not with this content type",
            format!("Send the body with `Content-Type: {wanted}`."),
        )
    }

    fn http(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, kind, title: title.into(), detail, fields: Vec::new(), allow: None }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Problem> for Refusal {
    fn from(p: Problem) -> Self {
        let kind = match p.status {
            Status::Malformed => "malformed",
            Status::Unauthenticated => "unauthenticated",
            Status::Forbidden => "forbidden",
            Status::NotFound => "not-found",
            Status::Conflict => "conflict",
            Status::TooLarge => "too-large",
            Status::Invalid => "invalid",
            Status::TooMany => "too-many",
            Status::Bug => "fault",
            Status::Unavailable => "unavailable",
        };
        Self {
            status: StatusCode::from_u16(p.status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind,
            title: p.status.title().into(),
            detail: p.detail,
            fields: p.fields,
            allow: None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a program gets to read: RFC 9457 with the fields that are wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "https://tidegate.dev/problems/invalid",
    "title": "A rule is broken",
    "status": 422,
    "detail": "spec.strategy.canary.steps[1].weight: 5 is below the step before it, 25. Weights only rise.",
    "instance": "urn:tidegate:request:4f1c0a9e77d2b853",
    "errors": [{
        "field": "spec.strategy.canary.steps[1].weight",
        "message": "5 is below the step before it, 25. Weights only rise."
    }]
}))]
pub struct ProblemBody<'a> {
    /// Names the kind of problem; the same for every problem of the kind.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    /// What is wrong, then what to do.
    detail: &'a str,
    /// Names this request; the server's log has it too.
    instance: String,
    /// Each thing wrong with what was sent, at its place in the document.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldErrorBody>)]
    errors: &'a [FieldError],
}

/// One thing wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
pub struct FieldErrorBody {
    /// Path in the document: `spec.strategy.canary.steps[2].weight`.
    pub field: String,
    /// What is wrong, then what to do.
    pub message: String,
}

/// Any problem, where the API's description says what an address may answer.
#[derive(Debug)]
pub struct ProblemResponse;

impl<'r> utoipa::ToResponse<'r> for ProblemResponse {
    fn response() -> (&'r str, RefOr<utoipa::openapi::Response>) {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description("What is wrong, and what to do")
            .content(MEDIA_TYPE, content)
            .build();
        ("Problem", response.into())
    }
}

/// Gives every refusal its body.
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let page = wants_page(request.uri().path(), request.headers());
    let response = next.run(request).await;
    match response.extensions().get::<Refusal>().cloned() {
        Some(refusal) => body(&refusal, id.as_ref(), page, response),
        None => response,
    }
}

/// A person looks at it: not an address of the API, and the browser asks for HTML.
fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let html =
        headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    html && !path.starts_with("/api/")
}

fn body(refusal: &Refusal, id: Option<&RequestId>, page: bool, response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let extra = match refusal.status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"tidegate\"")),
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "600")),
        StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "2")),
        _ => None,
    };
    if let Some((name, value)) = extra {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
    if let (Some(methods), false) = (refusal.allow, parts.headers.contains_key(header::ALLOW)) {
        parts.headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    let instance = id.map_or("unknown", |RequestId(id)| id);
    let (kind, text) = if page {
        ("text/html; charset=utf-8", html(refusal, instance))
    } else {
        let problem = ProblemBody {
            kind: format!("https://tidegate.dev/problems/{}", refusal.kind),
            title: &refusal.title,
            status: refusal.status.as_u16(),
            detail: &refusal.detail,
            instance: format!("urn:tidegate:request:{instance}"),
            errors: &refusal.fields,
        };
        (MEDIA_TYPE, serde_json::to_string(&problem).unwrap_or_default())
    };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Response::from_parts(parts, Body::from(text))
}

/// Complete without style sheet or script: it is also shown when those are what is missing.
fn html(refusal: &Refusal, id: &str) -> String {
    let (title, detail) = (escape(&refusal.title), escape(&refusal.detail));
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title} · Tidegate</title></head>\
         <body><main><h1>{title}</h1><p>{detail}</p><p><small>{} · request {}</small></p>\
         <p><a href=\"/\">Back to Tidegate</a></p></main></body></html>",
        refusal.status.as_u16(),
        escape(id),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Answers a panic as any other fault of ours; the log has the words, the person does not get them.
pub fn panicked(cause: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!(panic = words_of(cause.as_ref()), "a handler panicked");
    Refusal::from(Problem::new(
        Status::Bug,
        "Tidegate made a mistake. It is in the log under this request's id. What you asked for may not have happened: \
         look before you try again.",
    ))
    .into_response()
}

/// What a panic said, for the log.
pub(crate) fn words_of(cause: &(dyn std::any::Any + Send)) -> &str {
    let text = cause.downcast_ref::<&str>().copied();
    text.or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
