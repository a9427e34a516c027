//! An incident over REST and on plain pages, and what the public gets to read of it. No cluster is needed: it is about a
//! release on paper.

use crate::common::{Answer, Server, until};
use axum::body::Body;
use http::{Method, Request};
use model::Role;
use serde_json::{Value, json};
use std::sync::Arc;

async fn page(server: &Server, cookie: Option<&str>, place: &str) -> Answer {
    let mut request = Request::get(place).header("accept", "text/html");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    Answer::read(server.send(request.body(Body::empty()).unwrap()).await).await
}

/// As a browser sends a form by itself.
async fn press(server: &Server, cookie: &str, deed: &str, from: &str, body: &str) -> Answer {
    let request = Request::post(format!("/do/{deed}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html")
        .header("sec-fetch-site", "same-origin")
        .header("referer", format!("http://gate.test{from}"))
        .header("cookie", cookie);
    Answer::read(server.send(request.body(Body::from(body.to_owned())).unwrap()).await).await
}

fn named<'v>(list: &'v Value, key: &str, value: &str) -> Option<&'v Value> {
    list.as_array()?.iter().find(|v| v[key] == value)
}

#[tokio::test]
async fn an_incident_is_opened_told_to_the_public_and_resolved() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let running = server.state.control.clone();
    let task = tokio::spawn(async move { running.run(Arc::default()).await });
    let (_, release) = server.paper_release("checkout").await;
    let (on_call, viewer) = (server.as_role(Role::OnCall), server.as_role(Role::Viewer));

    let bad =
        on_call.post("/api/v1/incidents", json!({"title": " ", "severity": "high", "service": "x"})).await;
    bad.problem(422);
    assert_eq!(bad.fields(), ["title", "service"]);
    for (body, field) in [
        (json!({"title": "It fails", "severity": "huge", "release": release}), "severity"),
        (json!({"title": "It fails", "release": release}), "severity"),
        (json!({"title": "It fails", "severity": "low", "relaese": 1}), "relaese"),
    ] {
        let bad = on_call.post("/api/v1/incidents", body).await;
        bad.problem(422);
        assert_eq!(bad.fields(), [field]);
    }
    let alarm = json!({"title": "checkout 1.1.0 fails on db-1", "severity": "high", "release": release});
    let made = on_call.post("/api/v1/incidents", alarm).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let at = made.headers["location"].to_str().unwrap().to_owned();
    let id = made.body["id"].as_i64().unwrap();
    assert_eq!((&made.body["lead"]["name"], &made.body["state"]), (&json!("Jun Sato"), &json!("open")));
    let read = viewer.get(&at).await;
    assert_eq!(read.headers["etag"], "\"1\"");
    let listed = viewer.get("/api/v1/incidents?state=open&severity=high&q=CHECKOUT").await;
    assert_eq!(listed.body["incidents"][0]["id"], id);
    viewer.get("/api/v1/incidents?state=gone").await.problem(422);
    assert_eq!(viewer.get("/api/v1/incidents?state=resolved").await.body["incidents"], json!([]));

    // Two who read the same version: the second is told.
    let change = |version: &'static str, body: Value| {
        let request =
            Request::patch(&at).header("if-match", version).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {}", server.tokens["on-call"]));
        server.send(request.body(Body::from(body.to_string())).unwrap())
    };
    let first = Answer::read(change("\"1\"", json!({"severity": "critical"})).await).await;
    assert_eq!((first.status.as_u16(), &first.body["version"]), (200, &json!(2)), "{}", first.text);
    let late = Answer::read(change("\"1\"", json!({"impact": "All payments fail."})).await).await;
    assert!(late.problem(409).contains("at version 2, not 1"), "{}", late.text);

    // Nothing is public yet. What names a person or a revision never is.
    let summary = server.nobody().get("/api/v2/summary.json").await;
    assert_eq!(summary.body["incidents"], json!([]));
    for words in ["Jun Sato is at it.", "Revision 6d4b75cb6d fails."] {
        let leak =
            on_call.post(&format!("{at}/updates"), json!({"shown": "identified", "words": words})).await;
        leak.problem(422);
        assert_eq!(leak.fields(), ["words"]);
    }
    let told = json!({
        "headline": "Some payments fail", "shown": "identified", "impact": "major",
        "words": "About 1 in 100 payments fails.",
    });
    assert_eq!(on_call.post(&format!("{at}/updates"), told).await.status, 200);
    let incident = until("the public is told", async || {
        let open = server.nobody().get("/api/v2/incidents/unresolved.json").await.body;
        named(&open["incidents"], "name", "Some payments fail").cloned()
    })
    .await;
    assert_eq!((&incident["status"], &incident["impact"]), (&json!("identified"), &json!("major")));
    assert_eq!(incident["incident_updates"][0]["body"], "About 1 in 100 payments fails.");
    let summary = server.nobody().get("/api/v2/summary.json").await;
    let component = named(&summary.body["components"], "id", "checkout").unwrap();
    assert_eq!(component["status"], "partial_outage", "a public incident is never green");
    assert_ne!(summary.body["status"]["indicator"], "none");
    let public = page(&server, None, "/status").await;
    assert!(
        public.text.contains("Some payments fail") && public.text.contains("About 1 in 100"),
        "{}",
        public.text
    );
    for private in ["Jun Sato", "1.1.0", "db-1"] {
        assert!(
            !public.text.contains(private) && !summary.text.contains(private),
            "{private} is not for the public"
        );
    }

    // The same on pages without script.
    let cookie = server.sign_in("oncall@demo.tidegate.dev").await;
    let from = format!("/incidents/{id}");
    let noted =
        press(&server, &cookie, "note-incident", &from, &format!("incident={id}&words=Errors+since+14:05"))
            .await;
    assert_eq!((noted.status.as_u16(), noted.headers["location"].to_str().unwrap()), (302, from.as_str()));
    let leak = format!("incident={id}&version=3&headline=X&shown=identified&impact=minor&words=Ask+Jun+Sato");
    let leak = press(&server, &cookie, "tell-public", &from, &leak).await;
    assert!(leak.headers["location"].to_str().unwrap().contains("__err"), "{:?}", leak.headers);
    let shown = page(&server, Some(&cookie), leak.headers["location"].to_str().unwrap()).await;
    assert!(shown.text.contains("It names a person"), "said at its field");
    let shown = page(&server, Some(&cookie), &from).await;
    for part in ["Errors since 14:05", "Some payments fail", "Jun Sato", "Resolve it", "critical"] {
        assert!(shown.text.contains(part), "the page lacks {part}");
    }
    let list = page(&server, Some(&cookie), "/incidents").await;
    assert!(list.text.contains("One incident is open") && list.text.contains(&from));
    let reader = server.sign_in("viewer@demo.tidegate.dev").await;
    let shown = page(&server, Some(&reader), &from).await;
    assert!(
        shown.text.contains("As viewer you may not lead an incident")
            && !shown.text.contains("/do/note-incident")
    );
    let refused =
        press(&server, &reader, "move-incident", &from, &format!("incident={id}&version=3&deed=resolve"))
            .await;
    assert!(refused.headers["location"].to_str().unwrap().contains("__err"), "{:?}", refused.headers);

    let ended =
        press(&server, &cookie, "move-incident", &from, &format!("incident={id}&version=3&deed=resolve"))
            .await;
    assert_eq!(ended.headers["location"].to_str().unwrap(), from);
    let over = until("the public is told that it is over", async || {
        let all = server.nobody().get("/api/v2/incidents.json").await.body;
        named(&all["incidents"], "status", "resolved").cloned()
    })
    .await;
    assert_eq!(
        (&over["name"], over["incident_updates"].as_array().map(Vec::len)),
        (&json!("Some payments fail"), Some(2))
    );
    let summary = server.nobody().get("/api/v2/summary.json").await.body;
    assert_eq!((&summary["incidents"], named(&summary["components"], "id", "checkout")), (&json!([]), None));
    assert_eq!(viewer.get("/api/v1/audit/verify").await.body["ok"], true);
    let gone = on_call.ask(Method::GET, "/api/v1/incidents/99", None, "").await;
    gone.problem(404);
    task.abort();
}
