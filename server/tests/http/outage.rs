//! Postgres frozen: whoever is signed in still is, at no cost, and nothing hangs.

use crate::common::{Server, until};
use axum::body::Body;
use http::Request;
use model::Role;
use std::time::{Duration, Instant};
use store::test_support::own_server;

#[tokio::test]
async fn a_session_and_a_token_still_work_while_postgres_is_frozen() {
    let own = own_server().await;
    let server = Server::over(&own.db, Vec::new(), &[]).await;
    let cookie = server.sign_in("oncall@demo.tidegate.dev").await;
    let stranger = Server::over(&own.db, Vec::new(), &[]).await;
    let (_, release) = server.paper_release("web").await;
    let press = |cookie: &str| {
        Request::post(format!("/api/v1/releases/{release}/rollback"))
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
            .body(Body::empty())
            .unwrap()
    };
    let token = server.as_role(Role::Viewer);
    assert_eq!(token.get("/api/v1/releases").await.status, 200);

    own.postgres.freeze();
    // Known by memory alone, so the press itself is reached; here there is no cluster to press at.
    let begun = Instant::now();
    let request = Request::post("/api/v1/workloads/demo/shop/Rollout/web/rollback")
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin");
    let response = server.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 404, "no such cluster, but let in");
    assert!(begun.elapsed() < Duration::from_millis(500), "waited {:?} for a database", begun.elapsed());

    // A session that this process never saw cannot be known: said so, soon, and not as "sign in".
    let begun = Instant::now();
    assert_eq!(stranger.send(press(&cookie)).await.status(), 503);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    // Probes answer, and keep sending people here.
    let begun = Instant::now();
    let health = server.nobody().get("/healthz").await;
    assert_eq!(health.status, 200);
    let status = server.nobody().get("/api/v2/summary.json").await;
    assert_eq!(status.status, 200);
    let metrics = server.nobody().get("/metrics").await;
    assert!(metrics.text.contains("tidegate_database_up 0"), "{}", metrics.text);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    own.postgres.thaw();
    until("the database is used again", async || {
        (token.get("/api/v1/releases").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn once_ready_a_replica_stays_ready_without_postgres_and_says_what_is_down() {
    let own = own_server().await;
    let server = Server::over(&own.db, Vec::new(), &[]).await;
    let first = server.nobody().get("/readyz").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.body["database"], "up");
    own.postgres.freeze();
    let later = server.nobody().get("/readyz").await;
    assert_eq!(later.status, 200, "{}", later.text);
    assert_eq!(later.body["database"], "down");
    own.postgres.thaw();
    server.state.ending.cancel();
    assert_eq!(server.nobody().get("/readyz").await.status, 503, "nobody is sent to one that ends");
}
