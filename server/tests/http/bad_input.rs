//! Whatever is wrong with what is sent is a 4xx that names the field and the remedy, and nothing is stored.

use crate::common::{Server, World};
use axum::body::Body;
use http::Method;
use model::Role;
use serde_json::{Value, json};

const STEPS: &str = "[{weight: 20, bake: 1m}, {weight: 100}]";

struct Case {
    what: &'static str,
    kind: &'static str,
    body: Vec<u8>,
    status: u16,
    field: &'static str,
    remedy: &'static str,
}

fn case(
    what: &'static str,
    body: impl Into<Vec<u8>>,
    status: u16,
    field: &'static str,
    remedy: &'static str,
) -> Case {
    Case { what, kind: "application/yaml", body: body.into(), status, field, remedy }
}

#[tokio::test]
async fn a_plan_that_breaks_a_rule_is_refused_at_its_field_and_nothing_is_stored() {
    let world = World::new().await;
    let server = world.server().await;
    let good = world.plan("1.1.0", STEPS);
    let steps = |s: &str| world.plan("1.1.0", s);
    let mut cases = vec![
        case("malformed YAML", "a: [1", 400, "", "Correct it"),
        Case { kind: "application/json", ..case("malformed JSON", "{\"a\":", 400, "", "Correct it") },
        Case { kind: "text/plain", ..case("another kind", good.clone(), 415, "", "application/yaml") },
        Case { kind: "", ..case("no kind", good.clone(), 415, "", "application/yaml") },
        case("no text", [0xff, 0xfe, 0xfd], 400, "", "UTF-8"),
        case("10 MB", vec![b'x'; 10 << 20], 413, "", "Send less"),
        case(
            "an unknown field",
            good.replace("change:", "chnage: 1\n  change:"),
            422,
            "spec.chnage",
            "change",
        ),
        case(
            "falling weights",
            steps("[{weight: 60}, {weight: 20}, {weight: 100}]"),
            422,
            "spec.strategy.canary.steps[1].weight",
            "60",
        ),
        case(
            "a weight beyond",
            steps("[{weight: 20}, {weight: 130}]"),
            422,
            "spec.strategy.canary.steps[1].weight",
            "100",
        ),
        case(
            "no last step",
            steps("[{weight: 20}, {weight: 60}]"),
            422,
            "spec.strategy.canary.steps[1].weight",
            "100",
        ),
        case("no steps", steps("[]"), 422, "spec.strategy.canary.steps", "step"),
        case(
            "no duration",
            steps("[{weight: 20, bake: soon}, {weight: 100}]"),
            422,
            "spec.strategy.canary.steps[0].bake",
            "30s",
        ),
        case("no approval", good.replace("required: 1", "required: 0"), 422, "spec.approvals.required", "1"),
        case(
            "an unknown workload",
            good.replace("name: web}", "name: nosuch}"),
            422,
            "spec.workload",
            "workloads",
        ),
        case(
            "an unknown container",
            good.replace("app:", "sidecar:"),
            422,
            "spec.change.images.sidecar",
            "app",
        ),
    ];
    // A hundred levels deep, and a bomb of aliases: refused, not followed.
    cases.push(case("too deep", format!("{}{}", "[".repeat(500), "]".repeat(500)), 400, "", "flatten it"));
    let bomb = (0..30).fold("a0: &a0 [x]\n".to_owned(), |text, i| {
        format!("{text}a{0}: &a{0} [*a{i}, *a{i}, *a{i}, *a{i}]\n", i + 1)
    });
    cases.push(case("a bomb", bomb, 400, "", "Correct it"));

    let before = server.stored().await;
    for c in cases {
        let kind = (!c.kind.is_empty()).then_some(c.kind);
        let answer =
            server.as_role(Role::ReleaseManager).ask(Method::POST, "/api/v1/plans", kind, c.body).await;
        let words = answer.problem(c.status);
        assert!(words.contains(c.remedy), "{}: {words}", c.what);
        if !c.field.is_empty() {
            assert!(answer.fields().contains(&c.field), "{}: {:?}", c.what, answer.fields());
        }
        assert_eq!(server.stored().await, before, "{}", c.what);
    }
    // The same document, right, is stored: the cases above failed for what they say.
    let made = server.as_role(Role::ReleaseManager).yaml(Method::POST, "/api/v1/plans", good).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn several_errors_are_told_at_once() {
    let world = World::new().await;
    let server = world.server().await;
    let body = world
        .plan("1.1.0", "[{weight: 60, bake: soon}, {weight: 20}, {weight: 100}]")
        .replace("required: 1", "required: 0");
    let answer = server.as_role(Role::ReleaseManager).yaml(Method::POST, "/api/v1/plans", body).await;
    answer.problem(422);
    let fields = answer.fields();
    for field in [
        "spec.strategy.canary.steps[0].bake",
        "spec.strategy.canary.steps[1].weight",
        "spec.approvals.required",
    ] {
        assert!(fields.contains(&field), "{fields:?}");
    }
}

#[tokio::test]
async fn a_deed_names_what_is_wrong_with_its_body_or_address() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let (plan, release) = server.paper_release("web").await;
    let before = server.stored().await;
    let manager = server.as_role(Role::ReleaseManager);
    let approver = server.as_role(Role::Approver);
    let at = |deed: &str| format!("/api/v1/releases/{release}/{deed}");
    let approvals = format!("/api/v1/plans/{plan}/approvals");
    let digest = db.store.plan(plan).await.unwrap().digest.0;

    let unknown = manager.post(&at("pause"), json!({"raison": "typo"})).await;
    unknown.problem(422);
    assert_eq!(unknown.fields(), ["raison"]);
    let wrong = manager.post(&at("pause"), json!({"reason": 7})).await;
    wrong.problem(422);
    assert_eq!(wrong.fields(), ["reason"]);
    let text = manager.ask(Method::POST, &at("pause"), Some("text/plain"), "because").await;
    assert!(text.problem(415).contains("application/json"));
    let half = manager.ask(Method::POST, &at("pause"), Some("application/json"), "{\"reason").await;
    half.problem(400);

    let none = approver.post(&approvals, json!({"decision": "approve"})).await;
    none.problem(422);
    assert_eq!(none.fields(), ["digest"]);
    let both = approver.post(&approvals, json!({})).await;
    both.problem(422);
    assert_eq!(both.fields(), ["digest", "decision"]);
    let maybe = approver.post(&approvals, json!({"digest": digest, "decision": "maybe"})).await;
    maybe.problem(422);
    assert_eq!(maybe.fields(), ["decision"]);
    let zeros = format!("sha256:{}", "0".repeat(64));
    let other = approver.post(&approvals, json!({"digest": zeros, "decision": "approve"})).await;
    other.problem(409);

    let rehearsals = format!("/api/v1/plans/{plan}/rehearsals");
    let misspelt = manager.post(&rehearsals, json!({"digset": digest})).await;
    misspelt.problem(422);
    assert_eq!(misspelt.fields(), ["digset"]);
    let text = manager.ask(Method::POST, &rehearsals, Some("text/plain"), "now").await;
    assert!(text.problem(415).contains("application/json"));
    manager.post("/api/v1/plans/999999/rehearsals", json!({})).await.problem(404);

    for (query, field) in
        [("state=exploded", "state"), ("limit=0", "limit"), ("limit=501", "limit"), ("stat=running", "stat")]
    {
        let answer = manager.get(&format!("/api/v1/releases?{query}")).await;
        answer.problem(422);
        assert_eq!(answer.fields(), [field], "{query}");
    }
    let format = manager.get("/api/v1/audit?format=xml").await;
    assert!(format.problem(422).contains("ndjson"));

    let put = manager
        .ask(Method::PUT, &format!("/api/v1/plans/{plan}"), Some("application/yaml"), Body::from("x"))
        .await;
    put.problem(422);
    assert_eq!(server.stored().await, before);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let manager = server.as_role(Role::ReleaseManager);
    for path in [
        "/api/v1/plans/999",
        "/api/v1/plans/abc",
        "/api/v1/releases/999",
        "/api/v1/nonsense",
        "/api",
        "/api/",
    ] {
        manager.get(path).await.problem(404);
    }
    for path in [
        "/api/v1/releases/999/rollback",
        "/api/v1/workloads/demo/shop/Rollout/nosuch/rollback",
        "/api/v1/workloads/demo/shop/DaemonSet/web/rollback",
    ] {
        manager.post(path, json!({})).await.problem(404);
    }
    let method = manager.ask(Method::DELETE, "/api/v1/releases", None, "").await;
    method.problem(405);
    assert!(method.headers["allow"].to_str().unwrap().contains("GET"));
}

#[tokio::test]
async fn a_token_that_does_not_work_is_refused_with_what_to_do() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let cli = model::Actor { via: model::Via::Cli, ..model::Actor::system("test") };
    let expires = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
    let expired = server.state.control.issue_token(&cli, "old", None, Vec::new(), expires).await.unwrap();
    for (token, words) in [(expired.secret.as_str(), "expired"), ("tg_unknown", "not known")] {
        let answer = server.nobody().with_token(token).get("/api/v1/releases").await;
        assert!(answer.problem(401).contains(words), "{}", answer.text);
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    let none = server.nobody().get("/api/v1/releases").await;
    assert!(none.problem(401).contains("Authorization: Bearer"));
    assert_eq!(none.body["errors"], Value::Null);
}
