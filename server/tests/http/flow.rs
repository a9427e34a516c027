//! The whole loop over REST, on the real controller.

use crate::common::{World, ended, until};
use http::Method;
use model::Role;
use serde_json::{Value, json};

#[tokio::test]
async fn a_plan_is_written_approved_started_and_rolled_back() {
    let world = World::new().await;
    let server = world.server().await;
    let running = server.state.control.clone();
    let task = tokio::spawn(async move { running.run(std::sync::Arc::default()).await });
    let (manager, approver, on_call, viewer) = (
        server.as_role(Role::ReleaseManager),
        server.as_role(Role::Approver),
        server.as_role(Role::OnCall),
        server.as_role(Role::Viewer),
    );

    let text = world.plan("1.1.0", "[{weight: 20, bake: 10m}, {weight: 100}]");
    let made = manager.yaml(Method::POST, "/api/v1/plans", text.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["id"].as_i64().unwrap();
    let at = format!("/api/v1/plans/{id}");
    assert_eq!(made.headers["location"], at.as_str());
    assert_eq!(made.body["version"], 1);

    let read = viewer.get(&at).await;
    assert_eq!(read.headers["etag"], "\"1\"");
    assert_eq!(read.body["plan"]["spec"]["strategy"]["canary"]["steps"][0]["weight"], 20);
    let digest = made.body["digest"].clone();
    assert_eq!(read.body["digest"], digest);

    let early = manager.post(&format!("{at}/releases"), json!({})).await;
    early.problem(409);
    let approve = json!({"digest": digest, "decision": "approve", "comment": "Read it."});
    let approved = approver.post(&format!("{at}/approvals"), approve.clone()).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    assert_eq!(approved.body["state"], "approved");

    // An edit is a new version with no approvals; the old digest cannot be approved or started.
    let edited = manager.yaml(Method::PUT, &at, text.replace("10m", "11m")).await;
    assert_eq!(edited.status, 200, "{}", edited.text);
    assert_eq!(edited.body["version"], 2);
    approver.post(&format!("{at}/approvals"), approve).await.problem(409);
    manager.post(&format!("{at}/releases"), json!({"digest": digest})).await.problem(409);
    let digest = edited.body["digest"].clone();
    let again =
        approver.post(&format!("{at}/approvals"), json!({"digest": digest, "decision": "approve"})).await;
    assert_eq!(again.status, 201, "{}", again.text);

    let started = manager.post(&format!("{at}/releases"), json!({"digest": digest})).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let release = started.headers["location"].to_str().unwrap().to_owned();
    until("the canary carries 20 %", async || {
        (viewer.get(&release).await.body["weight"] == 20).then_some(())
    })
    .await;
    let listed = viewer.get("/api/v1/releases?state=running&limit=10").await;
    assert_eq!(listed.body["releases"].as_array().map(Vec::len), Some(1), "{}", listed.text);

    let paused = on_call.post(&format!("{release}/pause"), json!({"reason": "wait"})).await;
    assert_eq!(paused.status, 200, "{}", paused.text);
    let known =
        viewer.get(&format!("/api/v1/workloads/demo/{}/Rollout/web/known-good", world.namespace)).await.body;
    assert_eq!(known["versions"][0]["standing"], "present", "{known}");
    let named = on_call.post(&format!("{release}/rollback"), json!({"to": "nosuchhash"})).await;
    assert_eq!(named.status, 409, "{}", named.text);
    let receipt = on_call.post(&format!("{release}/rollback"), json!({"reason": "errors"})).await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
    assert_eq!(receipt.body["to_version"], "1.0.0");
    let last = until("the release has ended", async || {
        let body = viewer.get(&release).await.body;
        ended(&body["state"]).then_some(body)
    })
    .await;
    assert_eq!(last["state"], "rolled_back");
    assert_eq!(last["weight"], 0);

    let chain = viewer.get("/api/v1/audit/verify").await.body;
    assert_eq!(chain["ok"], true);
    // Page by page and as an export, the chain is the same.
    let export = viewer.get("/api/v1/audit?format=ndjson").await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = export.text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (mut paged, mut after) = (Vec::new(), json!(0));
    while !after.is_null() {
        let page = viewer.get(&format!("/api/v1/audit?after={after}&limit=7")).await.body;
        paged.extend(page["events"].as_array().unwrap().clone());
        after = page["next"].clone();
    }
    assert_eq!(paged, lines);
    assert_eq!(json!(lines.len()), chain["size"]);
    let mine = viewer.get("/api/v1/audit?action=rollback.&actor=jun&release=").await.body;
    assert!(
        mine["events"]
            .as_array()
            .unwrap()
            .iter()
            .all(|e| e["action"].as_str().unwrap().starts_with("rollback."))
    );
    assert!(!mine["events"].as_array().unwrap().is_empty());
    task.abort();
}
