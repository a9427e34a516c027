//! What every answer carries, and how the site's files are kept.

use crate::common::Server;
use axum::body::Body;
use http::Request;

#[tokio::test]
async fn every_answer_is_careful() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    for path in [
        "/login",
        "/status",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/releases",
        "/api/openapi.json",
        "/no/such/page",
        "/pkg/none.js",
    ] {
        let request = Request::get(path).header("accept", "text/html").body(Body::empty()).unwrap();
        let headers = server.send(request).await.headers().clone();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{path}: {policy}");
        assert!(headers.contains_key("x-request-id") && headers.contains_key("cache-control"), "{path}");
        assert!(!headers.contains_key("strict-transport-security"), "{path}: only over https");
    }
}

#[tokio::test]
async fn a_page_runs_only_its_own_scripts() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let page = server.nobody().get("/login").await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        assert!(nonce.len() >= 20);
        for script in page.text.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "a script without the nonce: <script{tag}>");
        }
        assert!(!page.text.contains(" style=\""), "inline styles are refused by the policy");
        nonces.push(nonce);
    }
    assert_ne!(nonces[0], nonces[1], "each answer has a nonce of its own");
}

#[tokio::test]
async fn over_https_cookies_and_addresses_stay_there() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &["--public-url", "https://gate.example.com"]).await;
    let page = server.nobody().get("/login").await;
    assert!(page.headers["strict-transport-security"].to_str().unwrap().starts_with("max-age=31536000"));
    let cookie = server.sign_in("oncall@demo.tidegate.dev").await;
    assert!(cookie.starts_with("__Host-tidegate="), "{cookie}");
}

#[tokio::test]
async fn an_id_from_a_proxy_is_kept_and_nonsense_is_not() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    for (sent, kept) in [("0af7651916cd43dd8448eb211c80319c", true), ("x y", false)] {
        let request = Request::get("/healthz").header("x-request-id", sent).body(Body::empty()).unwrap();
        let got = server.send(request).await.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(got == sent, kept, "{sent} became {got}");
    }
}

#[tokio::test]
async fn files_are_precompressed_and_kept_for_as_long_as_their_names_hold() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let hashed = "tidegate.0123456789abcdef0123.css";
    let pkg = server.site().join("pkg");
    std::fs::write(pkg.join(hashed), "body{}").unwrap();
    std::fs::write(pkg.join(format!("{hashed}.br")), "brotli").unwrap();
    std::fs::write(server.site().join("favicon.svg"), "<svg/>").unwrap();
    std::fs::write(server.site().join("hash.txt"), "css: 0123456789abcdef0123\n").unwrap();
    // Hashes are looked for when a server starts.
    let mut state = server.state.clone();
    state.leptos.hash_files = true;
    let app = server::router::router(&state);
    let ask = async |path: &str, encoding: &str| {
        let request = Request::get(path).header("accept-encoding", encoding).body(Body::empty()).unwrap();
        tower::ServiceExt::oneshot(app.clone(), request).await.unwrap()
    };
    let css = ask(&format!("/pkg/{hashed}"), "gzip, br").await;
    assert_eq!(css.status(), 200);
    assert_eq!(css.headers()["content-encoding"], "br");
    assert_eq!(css.headers()["content-type"], "text/css");
    assert_eq!(css.headers()["cache-control"], "public, max-age=31536000, immutable");
    let plain = ask(&format!("/pkg/{hashed}"), "").await;
    assert!(!plain.headers().contains_key("content-encoding"));
    let icon = ask("/favicon.svg", "").await;
    assert_eq!(icon.headers()["cache-control"], "public, no-cache");
    for hidden in [
        "/hash.txt",
        "/pkg/../hash.txt",
        "/pkg/tidegate.0123456789abcdef0123.css.br",
        "/../demo-tokens.json",
        "/%2e%2e/demo-tokens.json",
        "/pkg",
    ] {
        let response = ask(hidden, "").await;
        assert_ne!(response.status(), 200, "{hidden}");
    }
}
