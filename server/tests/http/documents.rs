//! The API's description is the API: every route is in it, and answers have the shapes it says.

use crate::common::{Server, World};
use http::Method;
use model::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn the_description_is_whole() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let answer = server.nobody().get("/api/openapi.json").await;
    assert_eq!(answer.status, 200);
    let document = answer.body;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["components"]["securitySchemes"]["bearer"].is_object());
    assert!(
        document["components"]["responses"]["Problem"]["content"]["application/problem+json"].is_object()
    );
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}: named twice");
            assert!(operation["summary"].as_str().is_some_and(|s| s.ends_with('.')), "{at}: no summary");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|k| k.starts_with('2')), "{at}: no success");
            if !path.starts_with("/api/v2/") {
                assert!(answers.contains_key("401") && answers.contains_key("403"), "{at}: says not who may");
            }
            for parameter in path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')) {
                let named = operation["parameters"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|p| p["name"] == parameter));
                assert!(named, "{at}: {parameter} is not described");
            }
        }
    }
    // Everything that is referred to is there.
    let text = document.to_string();
    for part in text.split("\"#/components/").skip(1) {
        let pointer = format!("/components/{}", part.split('"').next().unwrap());
        assert!(document.pointer(&pointer).is_some(), "{pointer} is missing");
    }
}

/// Every member of an answer is described, and every member that must be there is.
pub(crate) fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(pointer) = schema["$ref"].as_str() {
        return fits(document, document.pointer(&pointer[1..]).unwrap(), value, at);
    }
    if let Some(options) = schema["oneOf"].as_array() {
        if value.is_null() {
            assert!(options.iter().any(|o| o["type"] == "null"), "{at} is null");
            return;
        }
        // Of those with null only one says more; gates are the only other choice, and are texts or objects.
        let own = options
            .iter()
            .filter(|o| o["type"] != "null")
            .find(|o| (o["type"] == "string") == value.is_string());
        return fits(document, own.unwrap_or(&options[0]), value, at);
    }
    match value {
        Value::Object(members) if schema["properties"].is_object() => {
            let known = schema["properties"].as_object().unwrap();
            for (name, member) in members {
                let described = known.get(name).unwrap_or_else(|| panic!("{at}.{name} is not described"));
                fits(document, described, member, &format!("{at}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(members.contains_key(name.as_str().unwrap()), "{at}.{name} is missing");
            }
        }
        Value::Array(items) if schema["items"].is_object() => {
            for (i, item) in items.iter().enumerate() {
                fits(document, &schema["items"], item, &format!("{at}[{i}]"));
            }
        }
        _ => {
            let kinds: Vec<&str> = match &schema["type"] {
                Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                Value::String(one) => vec![one],
                _ => return,
            };
            let is = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            assert!(
                kinds.contains(&is) || is == "integer" && kinds.contains(&"number"),
                "{at}: {is}, not {kinds:?}"
            );
        }
    }
}

#[tokio::test]
async fn answers_are_as_they_are_described() {
    let world = World::new().await;
    let server = world.server().await;
    let manager = server.as_role(Role::ReleaseManager);
    let plan = world
        .plan("1.1.0", "[{weight: 20, bake: 1m, gates: [analysis, {approval: on-call}]}, {weight: 100}]");
    assert_eq!(manager.yaml(Method::POST, "/api/v1/plans", plan).await.status, 201);
    let (_, release) = server.paper_release("other").await;
    let document = server.nobody().get("/api/openapi.json").await.body;
    let rehearsed = manager.post("/api/v1/plans/1/rehearsals", json!({})).await;
    assert_eq!(rehearsed.status, 201, "{}", rehearsed.text);
    assert_eq!((&rehearsed.body["passed"], &rehearsed.body["stale"]), (&json!(true), &Value::Null));
    assert_eq!(rehearsed.headers["location"], "/api/v1/plans/1");
    let described = &document["paths"]["/api/v1/plans/{id}/rehearsals"]["post"]["responses"]["201"];
    fits(&document, &described["content"]["application/json"]["schema"], &rehearsed.body, "rehearsal");
    assert_eq!(manager.get("/api/v1/plans/1").await.body["rehearsal"], rehearsed.body);
    for path in [
        "/api/v1/plans",
        "/api/v1/plans/1",
        "/api/v1/releases",
        &format!("/api/v1/releases/{release}"),
        "/api/v1/workloads",
        "/api/v1/audit",
        "/api/v1/audit/verify",
        "/api/v2/summary.json",
    ] {
        let described = path.replace("/1", "/{id}").replace(&format!("/{release}"), "/{id}");
        let described = described.replace("/api/{id}", "/api/v1");
        let schema = &document["paths"][&described]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        assert!(schema.is_object(), "{described} is not described");
        let answer = manager.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        fits(&document, schema, &answer.body, path);
    }
    let refused = manager.get("/api/v1/plans/999").await;
    fits(&document, &document["components"]["schemas"]["Problem"], &refused.body, "problem");
}

#[tokio::test]
async fn the_public_status_is_open_tagged_and_dated() {
    let world = World::new().await;
    let server = world.server().await;
    let first = server.nobody().get("/api/v2/summary.json").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.headers["access-control-allow-origin"], "*");
    assert_eq!(first.headers["cache-control"], "public, max-age=5");
    assert!(first.headers["x-data-as-of"].to_str().unwrap().starts_with("20"));
    assert!(first.body["tidegate"]["age_seconds"].as_i64().unwrap() < 60);
    let names: Vec<_> = first.body["components"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert!(names.contains(&&Value::from("web")), "{names:?}");
    for (path, members) in [
        ("status.json", vec!["page", "status", "tidegate"]),
        ("components.json", vec!["components", "page", "status", "tidegate"]),
        ("incidents.json", vec!["incidents", "page", "status", "tidegate"]),
        ("incidents/unresolved.json", vec!["incidents", "page", "status", "tidegate"]),
        ("scheduled-maintenances.json", vec!["page", "scheduled_maintenances", "status", "tidegate"]),
    ] {
        let answer = server.nobody().get(&format!("/api/v2/{path}")).await;
        let got: Vec<_> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(got, members, "{path}");
    }
    // Unchanged data is not sent twice, once it is known since when it is so; and no other address is open to other
    // origins.
    let running = server.state.control.clone();
    let task = tokio::spawn(async move { running.run(std::sync::Arc::default()).await });
    crate::common::until("the tag holds", async || {
        let tag = server.nobody().get("/api/v2/summary.json").await.headers["etag"].clone();
        let request = http::Request::get("/api/v2/summary.json").header("if-none-match", tag);
        let again = server.send(request.body(axum::body::Body::empty()).unwrap()).await;
        (again.status() == 304).then_some(())
    })
    .await;
    task.abort();
    let closed = server.as_role(Role::Viewer).get("/api/v1/releases").await;
    assert!(!closed.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn the_page_of_a_cluster_never_seen_is_not_green() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let answer = server.nobody().get("/api/v2/summary.json").await;
    assert_eq!(answer.status, 200);
    // No cluster at all: nothing may be claimed to work.
    let indicator = answer.body["status"]["indicator"].as_str().unwrap();
    assert!(
        indicator != "none" || answer.body["components"].as_array().unwrap().is_empty(),
        "{}",
        answer.text
    );
}
