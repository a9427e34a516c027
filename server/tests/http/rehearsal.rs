//! A rollback rehearsed in a browser without script, and what a program sees of it.

use crate::common::{Answer, Server, World};
use axum::body::Body;
use http::{Method, Request};
use model::Role;
use serde_json::json;

async fn page(server: &Server, cookie: &str, place: &str) -> Answer {
    let request = Request::get(place).header("accept", "text/html").header("cookie", cookie);
    Answer::read(server.send(request.body(Body::empty()).unwrap()).await).await
}

/// As a browser sends a form by itself.
async fn press(server: &Server, cookie: &str, body: String) -> Answer {
    let request = Request::post("/do/rehearse")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html")
        .header("sec-fetch-site", "same-origin")
        .header("referer", "http://gate.test/plans/1")
        .header("cookie", cookie);
    Answer::read(server.send(request.body(Body::from(body)).unwrap()).await).await
}

#[tokio::test]
async fn a_plan_that_requires_it_is_rehearsed_by_a_plain_form_and_then_starts() {
    let world = World::new().await;
    let server = world.server().await;
    let manager = server.as_role(Role::ReleaseManager);
    let plan = world.plan("1.1.0", "[{weight: 20, bake: 10m}, {weight: 100}]");
    let plan = plan.replace("approvals:", "rollback: {rehearsed: required}\n  approvals:");
    let made = manager.yaml(Method::POST, "/api/v1/plans", plan).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let digest = made.body["digest"].as_str().unwrap().to_owned();
    let at = "/api/v1/plans/1";
    let approve = json!({"digest": digest, "decision": "approve"});
    assert_eq!(server.as_role(Role::Approver).post(&format!("{at}/approvals"), approve).await.status, 201);
    assert!(manager.get(at).await.body["rehearsal"].is_null());
    let early = manager.post(&format!("{at}/releases"), json!({})).await;
    assert!(early.problem(409).contains("Rehearse it now"), "{}", early.text);

    let cookie = server.sign_in("oncall@demo.tidegate.dev").await;
    let before = page(&server, &cookie, "/plans/1").await;
    assert!(before.text.contains("Must be rehearsed") && before.text.contains("Rehearse now"));
    let form = format!("plan=1&digest={}", digest.replace(':', "%3A"));
    let viewer = server.sign_in("viewer@demo.tidegate.dev").await;
    let refused = press(&server, &viewer, form.clone()).await;
    assert_eq!(refused.status, 302, "{}", refused.text);
    assert!(refused.headers["location"].to_str().unwrap().contains("__err"), "{:?}", refused.headers);
    assert!(manager.get(at).await.body["rehearsal"].is_null(), "a viewer rehearses nothing");

    let pressed = press(&server, &cookie, form).await;
    assert_eq!((pressed.status.as_u16(), &pressed.headers["location"]), (302, &"/plans/1".parse().unwrap()));
    let after = page(&server, &cookie, "/plans/1").await;
    assert!(after.text.contains("Full promotion") && after.text.contains("about 2 s"));
    let seen = manager.get(at).await.body["rehearsal"].clone();
    assert_eq!((&seen["passed"], &seen["words"]), (&json!(true), &json!("passed, about 2 s")));
    let started = manager.post(&format!("{at}/releases"), json!({"digest": digest})).await;
    assert_eq!(started.status, 201, "{}", started.text);
}
