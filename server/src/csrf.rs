//! A deed asked for with a cookie must come from one of our own pages.
//!
//! Browsers say where a request comes from: `Sec-Fetch-Site` in all that are younger than 2023, `Origin` on every
//! form post since long before. A page elsewhere can forge neither, so no token in every form is needed, and forms
//! work without a script. A bearer token is never sent by a browser on its own, and needs none of this.

use crate::auth::bearer;
use crate::problem::Refusal;
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use model::Problem;
use url::Url;

/// Refuses deeds from elsewhere.
pub async fn check(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if safe || from_here(request.headers(), state.settings.public_url.as_ref()) {
        return next.run(request).await;
    }
    tracing::warn!(path = request.uri().path(), "refused: a deed from another site");
    Refusal::from(Problem::forbidden(
        "This request came from another site, or does not say where from. Open Tidegate itself and do it there; \
         programs send `Authorization: Bearer` instead of a cookie.",
    ))
    .into_response()
}

/// May a deed with these headers be taken for the person's own?
fn from_here(headers: &HeaderMap, public_url: Option<&Url>) -> bool {
    if bearer(headers).is_some() {
        // Whoever sends a token is identified by it alone; the cookie is not looked at.
        return true;
    }
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("unreadable"));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    if let Some(origin) = text("origin") {
        let host = public_url.and_then(authority).or_else(|| text("host").map(str::to_owned));
        let from = Url::parse(origin).ok().as_ref().and_then(authority);
        return from.is_some() && from == host.map(|h| without_default_port(&h, origin));
    }
    // Neither header: not a browser of these years. Without a cookie it can do nothing by a person's authority.
    !headers.contains_key(header::COOKIE)
}

/// `host` or `host:port`, the port only where it is not the scheme's own.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn without_default_port(host: &str, origin: &str) -> String {
    let default = if origin.starts_with("https:") { ":443" } else { ":80" };
    host.strip_suffix(default).unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| {
                (n.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(v).expect("a value"))
            })
            .collect()
    }

    #[test]
    fn a_deed_with_a_cookie_comes_from_our_own_pages() {
        let cookie = ("cookie", "tidegate=abc");
        let host = ("host", "tidegate.example.com");
        let cases: [(&[(&str, &str)], bool); 13] = [
            (&[cookie, host, ("sec-fetch-site", "same-origin")], true),
            (&[cookie, host, ("sec-fetch-site", "none")], true),
            (&[cookie, host, ("sec-fetch-site", "same-site")], false),
            (&[cookie, host, ("sec-fetch-site", "cross-site")], false),
            // The newer header decides, whatever the older says.
            (
                &[cookie, host, ("sec-fetch-site", "cross-site"), ("origin", "https://tidegate.example.com")],
                false,
            ),
            (&[cookie, host, ("origin", "https://tidegate.example.com")], true),
            (&[cookie, host, ("origin", "https://evil.example.com")], false),
            (&[cookie, host, ("origin", "https://tidegate.example.com.evil.net")], false),
            (&[cookie, host, ("origin", "null")], false),
            (&[cookie, host], false),
            (&[host], true),
            (&[cookie, host, ("sec-fetch-site", "cross-site"), ("authorization", "Bearer tg_1")], true),
            // A browser sends this one on its own, to a proxy that asked for it.
            (&[cookie, host, ("sec-fetch-site", "cross-site"), ("authorization", "Basic YTpi")], false),
        ];
        for (pairs, allowed) in cases {
            assert_eq!(from_here(&headers(pairs), None), allowed, "{pairs:?}");
        }
    }

    #[test]
    fn ports_count_and_default_ports_do_not() {
        let ok = [("host", "localhost:3000"), ("cookie", "a=b"), ("origin", "http://localhost:3000")];
        assert!(from_here(&headers(&ok), None));
        let other = [("host", "localhost:3000"), ("cookie", "a=b"), ("origin", "http://localhost:4000")];
        assert!(!from_here(&headers(&other), None));
        let default = [("host", "x.test:443"), ("cookie", "a=b"), ("origin", "https://x.test")];
        assert!(from_here(&headers(&default), None));
    }

    #[test]
    fn behind_a_proxy_the_public_address_is_ours() {
        let url = Url::parse("https://gate.example.com/").expect("a URL");
        let seen = [("host", "10.0.0.7:3000"), ("cookie", "a=b"), ("origin", "https://gate.example.com")];
        assert!(from_here(&headers(&seen), Some(&url)));
        assert!(!from_here(&headers(&seen), None));
    }
}
