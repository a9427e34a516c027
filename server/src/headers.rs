//! What every request gets: an id, a span in the log, and headers that keep a browser careful.

use crate::config::Settings;
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rand::RngCore as _;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument as _;

/// Name of the header that carries a request's id, inwards and outwards.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request in answers and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// For answers that are not pages: nothing in them is ever run, shown inside something, or allowed to load more.
pub(crate) const CLOSED: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every answer. A page's own Content-Security-Policy, which carries its nonce, is set where it is rendered.
const ALWAYS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// A year, in seconds: what browsers' preload lists ask for.
pub(crate) const HSTS: &str = "max-age=31536000; includeSubDomains";

/// Gives a request its id and its span, and counts it.
pub async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|v| v.to_str().ok())
        .filter(|v| fit_as_id(v))
        .map_or_else(fresh_id, Arc::from);
    let value = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    request.headers_mut().insert(REQUEST_ID, value.clone());
    request.extensions_mut().insert(RequestId(id.clone()));

    let method = request.method().clone();
    let route = crate::metrics::route_of(&request);
    let path = request.uri().path().to_owned();
    // Never the query: a plain form's refusal and a search travel in it.
    let span = tracing::info_span!("request", %id, %method, path);
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = begun.elapsed();
    state.metrics.answered(&method, &route, response.status(), took);
    let (status, ms) = (response.status().as_u16(), took.as_secs_f64() * 1e3);
    span.in_scope(|| match (status, method.is_safe()) {
        (500.., _) => tracing::warn!(status, ms, "answered"),
        (_, false) => tracing::info!(status, ms, "answered"),
        (_, true) => tracing::debug!(status, ms, "answered"),
    });
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// Sets the headers of [`ALWAYS`], and what depends on the answer.
pub async fn protect(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let https = came_by_https(&state.settings, request.headers());
    let open = request.uri().path().starts_with("/api/v2/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    if open {
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CLOSED));
    // What a person sees depends on who they are and on the moment; only what says so itself may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Did whoever asks come by https, to us or to a proxy that we were told of?
pub(crate) fn came_by_https(settings: &Settings, headers: &HeaderMap) -> bool {
    settings.is_https()
        || (settings.proxies > 0
            && headers.get("x-forwarded-proto").is_some_and(|p| p.as_bytes() == b"https"))
}

/// Accepts ids of proxies in front of us, but nothing that could be mistaken in a log for something else.
fn fit_as_id(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn fresh_id() -> Arc<str> {
    let mut bytes = [0u8; 8];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_taken_only_when_it_is_one() {
        assert!(fit_as_id("4f1c0a9e77d2b853"));
        assert!(fit_as_id("0b51f3a2-6b0e-4a39-9ad9-1d1f8c2b7d55"));
        for not in ["", "short", "a b c d e f g", "x\"injected\"123", &"a".repeat(65)] {
            assert!(!fit_as_id(not), "{not:?}");
        }
    }
}
