//! The site's files: precompressed where `cargo xtask build --release` made them so, kept for ever where their name
//! carries a hash, asked for again each time where it does not.

use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Kept, but asked for again: a changed file shows at once, an unchanged one costs no bytes.
const ASK_AGAIN: &str = "public, no-cache";

/// The file at the request's path, if there is one.
pub async fn file(State(state): State<AppState>, request: Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path().to_owned();
    // Build notes and precompressed siblings are not pages.
    if path == "/hash.txt" || path.ends_with(".br") || path.ends_with(".gz") {
        return None;
    }
    let root = crate::config::absolute(&state.settings.site);
    let serve =
        ServeDir::new(root).precompressed_br().precompressed_gzip().append_index_html_on_directories(false);
    let (parts, _) = request.into_parts();
    let request = Request::from_parts(parts, axum::body::Body::empty());
    let mut response = serve.oneshot(request).await.into_response();
    if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
        || response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED
    {
        return None;
    }
    let keep = if state.leptos.hash_files && is_hashed(&path) { FOR_EVER } else { ASK_AGAIN };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    Some(response)
}

/// `/pkg/tidegate.0123456789abcdef0123.wasm`
fn is_hashed(path: &str) -> bool {
    path.strip_prefix("/pkg/").is_some_and(|name| {
        let mut parts = name.split('.').rev();
        let (_, hash) = (parts.next(), parts.next());
        hash.is_some_and(|h| h.len() == 20 && h.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        assert!(is_hashed("/pkg/tidegate.0123456789abcdef0123.wasm"));
        for not in ["/pkg/tidegate.wasm", "/favicon.svg", "/pkg/snippets/a/b.js", "/0123456789abcdef0123.js"]
        {
            assert!(!is_hashed(not), "{not}");
        }
    }
}
