//! No route without an answer to "who may": every route of the API, every server function and every page, for every
//! role and for nobody.

use crate::common::{Answer, Server, World};
use axum::body::Body;
use http::{Method, Request, StatusCode};
use model::{Action, Role};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Which action of the one table each operation asks for; `None`: open to everybody.
fn asks_for(operation: &str) -> Option<Action> {
    Some(match operation {
        "listPlans"
        | "readPlan"
        | "listReleases"
        | "readRelease"
        | "followRelease"
        | "readSamples"
        | "readChart"
        | "readReport"
        | "compareReleases"
        | "readAnalyses"
        | "listPolicies"
        | "tryPolicies"
        | "readPolicyWatch"
        | "readServicePolicyWatch"
        | "listFlags"
        | "readFlag"
        | "tryFlag"
        | "listWorkloads"
        | "listKnownGood"
        | "readAudit"
        | "verifyAudit"
        | "listIncidents"
        | "readIncident" => Action::See,
        "listDestinations" | "listNotifications" => Action::See,
        "openIncident" | "noteIncident" => Action::OpenIncident,
        "editIncident" | "leadIncident" | "publishIncident" | "tellPublic" | "watchIncident"
        | "resolveIncident" | "reopenIncident" => Action::RunIncident,
        "addDestination" | "changeDestination" | "removeDestination" | "testDestination"
        | "retryNotification" => Action::Administer,
        "createPlan" | "editPlan" => Action::WritePlan,
        "decideOnPlan" | "revokeApproval" => Action::Approve,
        "startRelease" | "retryRelease" | "resumeSync" => Action::Start,
        "restartWorkload" => Action::Restart,
        "writePolicies" => Action::WritePolicies,
        "killFlag" => Action::KillFlag,
        "reviveFlag" => Action::ReviveFlag,
        "listFlagKeys" | "issueFlagKey" | "revokeFlagKey" => Action::Administer,
        "stopPolicy" | "stopServicePolicy" | "liftBreaker" => Action::Resume,
        "pauseRelease" => Action::Pause,
        "resumeRelease" => Action::Resume,
        "promoteRelease" | "fullyPromoteRelease" => Action::Promote,
        "skipStep" => Action::Skip,
        "abortRelease" => Action::Abort,
        "openGate" => Action::OpenOnCallGate,
        "rollBackRelease" | "rollBackWorkload" | "rehearseRollback" => Action::RollBack,
        "statusSummary" | "statusIndicator" | "statusComponents" | "statusIncidents" | "statusUnresolved"
        | "statusMaintenances" => return None,
        other => panic!("{other} is new: say here who may"),
    })
}

#[tokio::test]
async fn every_operation_asks_the_one_table() {
    let world = World::new().await;
    let server = world.server().await;
    crate::flags::serve(&server, &world.namespace, "new-tax: {enabled: true}").await;
    let document = server.nobody().get("/api/openapi.json").await.body;
    let mut seen = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            seen.insert(name.to_owned());
            let action = asks_for(name);
            let method: Method = method.to_uppercase().parse().unwrap();
            for role in std::iter::once(None).chain(Role::ALL.into_iter().map(Some)) {
                // Each gets a release that nobody has touched; only the one that exists in a cluster is shared.
                let service = format!("w-{}", seen.len() * 10 + role.map_or(9, |r| r as usize));
                let (plan, release) = server.paper_release(&service).await;
                let incident = server.paper_incident(release).await;
                let id = match path.as_str() {
                    p if p.contains("/plans/") => plan.0,
                    p if p.contains("/incidents/") => incident.0,
                    _ => release.0,
                };
                let place = path
                    .replace("{id}", &id.to_string())
                    .replace("{cluster}", "demo")
                    .replace("{namespace}", &world.namespace)
                    .replace("{kind}", "Rollout")
                    .replace("{name}", "web")
                    .replace("{key}", "new-tax")
                    .replace("{chart}", "errors.png");
                let (kind, body) = body_for(name);
                let caller = role.map_or(server.nobody(), |r| server.as_role(r));
                let answer = caller.ask(method.clone(), &place, kind, body.to_string()).await;
                let status = answer.status.as_u16();
                let case = format!("{name} as {role:?}: {status} {}", answer.text);
                match (action, role) {
                    (None, _) => assert_eq!(status, 200, "{case}"),
                    (Some(_), None) => assert_eq!(status, 401, "{case}"),
                    (Some(action), Some(role)) if model::role::allows(role, action) => {
                        assert!(status != 401 && status != 403 && status < 500 || status == 503, "{case}");
                    }
                    (Some(_), Some(_)) => {
                        assert_eq!(status, 403, "{case}");
                        let words = answer.problem(403);
                        assert!(
                            words.contains("Ask: ") || words.contains("opened by"),
                            "says who may: {words}"
                        );
                    }
                }
            }
        }
    }
    assert!(seen.len() >= 25, "{seen:?}");
}

fn body_for(operation: &str) -> (Option<&'static str>, Value) {
    match operation {
        // Not a plan: whoever may write one is told what is wrong with it, and nothing is stored.
        "createPlan" | "editPlan" | "addDestination" | "changeDestination" => {
            (Some("application/json"), json!({}))
        }
        "decideOnPlan" => {
            let digest = format!("sha256:{}", "0".repeat(64));
            (Some("application/json"), json!({"digest": digest, "decision": "approve"}))
        }
        "openIncident" => {
            (Some("application/json"), json!({"title": "It fails", "severity": "high", "release": 1}))
        }
        "noteIncident" => (Some("application/json"), json!({"words": "Seen."})),
        "tellPublic" => {
            (Some("application/json"), json!({"shown": "identified", "words": "It fails at times."}))
        }
        "publishIncident" => (Some("application/json"), json!({"public": true})),
        o if o.ends_with("Incident") => (Some("application/json"), json!({})),
        "startRelease" | "revokeApproval" | "rehearseRollback" | "resumeSync" | "restartWorkload" => {
            (Some("application/json"), json!({}))
        }
        // A file with faults: whoever may write one is told, and nothing is stored.
        "writePolicies" | "tryPolicies" => {
            (Some("application/json"), json!({"text": "rollback_triggers: {}"}))
        }
        "stopPolicy" | "stopServicePolicy" | "liftBreaker" => {
            (Some("application/json"), json!({"reason": "who may"}))
        }
        "killFlag" | "reviveFlag" => (Some("application/json"), json!({"reason": "who may"})),
        "tryFlag" => (Some("application/json"), json!({"context": {"targetingKey": "user-1"}})),
        // Not for any service: whoever may issue keys is told.
        "issueFlagKey" => (Some("application/json"), json!({"cluster": "demo"})),
        o if o.ends_with("Release") || matches!(o, "skipStep" | "openGate" | "rollBackWorkload") => {
            (Some("application/json"), json!({"reason": "who may"}))
        }
        _ => (None, Value::String(String::new())),
    }
}

/// Server functions that nobody needs to be signed in for.
const OPEN_CALLS: [&str; 5] = ["/read/entrance", "/read/status", "/do/sign-in", "/do/sign-out", "/do/set-up"];

#[tokio::test]
async fn every_server_function_asks_who_is_there() {
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    let before = server.stored().await;
    let mut seen = 0;
    let calls: BTreeMap<_, _> = leptos::server_fn::axum::server_fn_paths().collect();
    for (path, method) in calls {
        if OPEN_CALLS.contains(&path) {
            continue;
        }
        seen += 1;
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?{ARGUMENTS}"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(ARGUMENTS))
            .unwrap();
        let answer = Answer::read(server.send(request).await).await;
        let status = answer.status;
        assert!(
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST | StatusCode::FOUND),
            "{path} without a session: {status} {}",
            answer.text
        );
    }
    assert!(seen >= 15, "{seen} server functions");
    assert_eq!(server.stored().await, before);
}

/// Something for every argument, so that most calls get as far as asking who is there.
const ARGUMENTS: &str = "id=1&plan=1&release=1&digest=x&deed=pause&decision=approve&cluster=demo&namespace=a\
     &kind=Rollout&name=web&yaml=x&mode=yaml";

#[tokio::test]
async fn every_page_but_the_public_ones_leads_to_the_entrance() {
    const OPEN: [&str; 3] = ["/login", "/setup", "/status"];
    let db = store::test_support::database().await;
    let server = Server::over(&db, Vec::new(), &[]).await;
    for page in leptos_axum::generate_route_list(app::App) {
        let path = page.path();
        let place = path.replace("{id}", "1").replace("{cluster}", "demo").replace("{kind}", "Rollout");
        let place = place.replace(['{', '}'], "");
        let request = Request::get(&place).header("accept", "text/html").body(Body::empty()).unwrap();
        let response = server.send(request).await;
        if OPEN.contains(&path) {
            // `/setup` sends on to `/login` once somebody has an account.
            assert!(response.status() == 200 || path == "/setup", "{path}: {}", response.status());
            continue;
        }
        let to = response.headers().get("location").and_then(|v| v.to_str().ok()).unwrap_or("");
        assert!(
            response.status() == StatusCode::FOUND && to.starts_with("/login"),
            "{path} ({place}) without a session: {} to {to:?}",
            response.status()
        );
    }
}
