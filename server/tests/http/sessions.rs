//! Signing in and out, deeds from elsewhere, and what another replica knows of it.

use crate::common::{Answer, Server};
use axum::body::Body;
use http::{Request, StatusCode};

async fn page(server: &Server, cookie: &str) -> http::Response<Body> {
    let request = Request::get("/releases").header("accept", "text/html").header("cookie", cookie);
    server.send(request.body(Body::empty()).unwrap()).await
}

fn deed(path: &str, cookie: &str) -> http::request::Builder {
    Request::post(path).header("cookie", cookie).header("content-type", "application/x-www-form-urlencoded")
}

#[tokio::test]
async fn a_session_opens_pages_and_the_api() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let cookie = server.sign_in("viewer@demo.tidegate.dev").await;
    assert!(cookie.starts_with("tidegate="));
    assert_eq!(page(&server, &cookie).await.status(), 200);
    let request = Request::get("/api/v1/releases").header("cookie", &cookie).body(Body::empty()).unwrap();
    assert_eq!(server.send(request).await.status(), 200);
}

#[tokio::test]
async fn the_cookie_is_for_browsers_alone_and_its_id_is_new() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let planted = "tidegate=AAAAAAAAAAAAAAAAAAAAAA";
    let request = deed("/do/sign-in", planted)
        .header("accept", "text/html")
        .header("sec-fetch-site", "same-origin")
        .body(Body::from(format!("email=viewer@demo.tidegate.dev&password={}", crate::common::PASSWORD)))
        .unwrap();
    let response = server.send(request).await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
    assert!(cookie.contains("Max-Age=43200"), "{cookie}");
    assert!(!cookie.starts_with(planted), "an id from before is not taken on");
}

#[tokio::test]
async fn a_deed_from_another_site_is_refused_and_nothing_happens() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let cookie = server.sign_in("oncall@demo.tidegate.dev").await;
    let (_, release) = server.paper_release("web").await;
    let before = server.stored().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("x-nothing", "said"),
    ] {
        for path in [
            "/do/rollback".to_owned(),
            format!("/api/v1/releases/{release}/pause"),
            "/do/sign-out".to_owned(),
        ] {
            let request = deed(&path, &cookie).header("host", "gate.test").header(name, value);
            let request = request.body(Body::from(format!("release={release}"))).unwrap();
            let answer = Answer::read(server.send(request).await).await;
            assert!(answer.problem(403).contains("another site"), "{path} with {name}: {value}");
        }
    }
    assert_eq!(server.stored().await, before);
    assert_eq!(page(&server, &cookie).await.status(), 200, "and nobody was signed out");
    // The same from our own page is heard.
    let own = deed(&format!("/api/v1/releases/{release}/pause"), &cookie)
        .header("host", "gate.test")
        .header("origin", "http://gate.test")
        .header("content-type", "application/json");
    let own = own.body(Body::empty()).unwrap();
    let answer = Answer::read(server.send(own).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn signing_out_at_one_replica_ends_the_session_at_the_other() {
    let db = store::test_support::database().await;
    let one = Server::over(&db, Vec::new(), &[]).await;
    let two = Server::over(&db, Vec::new(), &[]).await;
    let cookie = one.sign_in("viewer@demo.tidegate.dev").await;
    assert_eq!(page(&two, &cookie).await.status(), 200, "the other replica knows the session");
    let request =
        deed("/do/sign-out", &cookie).header("accept", "text/html").header("sec-fetch-site", "same-origin");
    assert_eq!(one.send(request.body(Body::empty()).unwrap()).await.status(), StatusCode::FOUND);
    assert_eq!(page(&one, &cookie).await.status(), StatusCode::FOUND, "at once where it was ended");
    // What each replica does every ten seconds.
    two.state.sessions.sweep().await.unwrap();
    assert_eq!(page(&two, &cookie).await.status(), StatusCode::FOUND);
    // A request that was under way meanwhile does not bring it back.
    one.state.sessions.sweep().await.unwrap();
    assert_eq!(page(&one, &cookie).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_renewal_never_brings_an_ended_session_back() {
    let db = store::test_support::database().await;
    let one = Server::over(&db, Vec::new(), &[]).await;
    let two = Server::over(&db, Vec::new(), &[]).await;
    let cookie = one.sign_in("viewer@demo.tidegate.dev").await;
    // The first page at `two` renews the session there, in memory.
    assert_eq!(page(&two, &cookie).await.status(), 200);
    let request =
        deed("/do/sign-out", &cookie).header("accept", "text/html").header("sec-fetch-site", "same-origin");
    one.send(request.body(Body::empty()).unwrap()).await;
    two.state.sessions.sweep().await.unwrap();
    let third = Server::over(&db, Vec::new(), &[]).await;
    assert_eq!(page(&third, &cookie).await.status(), StatusCode::FOUND);
}
