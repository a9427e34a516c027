//! A server of a test's own: its database, its demo accounts and tokens, and, where asked for, a workload.

use axum::Router;
use axum::body::Body;
use chrono::Utc;
use clap::Parser;
use cluster::Cluster;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use model::audit::NewEvent;
use model::release::{Release, State};
use model::workload::Phase;
use model::{Actor, PlanId, ReleaseId, Role};
use sandbox::{Sandbox, Strategy};
use serde_json::{Value, json};
use server::config::Settings;
use server::state::AppState;
use server::{router, serve};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::test_support::TestDb;
use tower::ServiceExt as _;

/// Longest any single thing may take on a busy machine of two cores.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
pub(crate) const PASSWORD: &str = control::DEMO_PASSWORD;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

/// What a server does by itself, until this is dropped.
pub(crate) struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One replica.
pub(crate) struct Server {
    pub(crate) state: AppState,
    pub(crate) app: Router,
    pub(crate) tokens: BTreeMap<String, String>,
    _data: tempfile::TempDir,
}

impl Server {
    /// Over a database and clusters that the test holds. `extra` are settings as on the command line.
    pub(crate) async fn over(db: &TestDb, clusters: Vec<Arc<Cluster>>, extra: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().to_str().unwrap();
        let site = data.path().join("site");
        std::fs::create_dir_all(site.join("pkg")).unwrap();
        let mut line = vec!["tidegate", "--database-url", &db.url, "--data", path, "--demo"];
        let site = site.to_str().unwrap().to_owned();
        line.extend(["--site", &site]);
        line.extend(extra);
        let settings = Line::parse_from(line).settings;
        let state = serve::assemble(settings, db.store.clone(), clusters).unwrap();
        state.control.demo_seed().await.unwrap();
        let tokens = std::fs::read(data.path().join("demo-tokens.json")).unwrap();
        let tokens = serde_json::from_slice(&tokens).unwrap();
        let app = router::router(&state);
        Self { state, app, tokens, _data: data }
    }

    /// Runs everything that works by itself, announcements of Postgres' notices among it, until it is dropped.
    pub(crate) fn run(&self) -> Running {
        let control = self.state.control.clone();
        Running(tokio::spawn(async move { control.run(Arc::default()).await }))
    }

    pub(crate) fn site(&self) -> &std::path::Path {
        &self.state.settings.site
    }

    pub(crate) fn as_role(&self, role: Role) -> Caller<'_> {
        Caller { server: self, token: Some(&self.tokens[role.key()]) }
    }

    pub(crate) fn nobody(&self) -> Caller<'_> {
        Caller { server: self, token: None }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    /// Signs in by the form, and gives the session's cookie.
    pub(crate) async fn sign_in(&self, email: &str) -> String {
        let request = Request::post("/do/sign-in")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(format!("email={email}&password={PASSWORD}")))
            .unwrap();
        let response = self.send(request).await;
        assert_eq!(response.status(), StatusCode::FOUND, "{email} signs in");
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// A plan and a running release of it, of a workload that no cluster has: enough for everything that is
    /// decided before a cluster is asked.
    pub(crate) async fn paper_release(&self, name: &str) -> (PlanId, ReleaseId) {
        let store = &self.state.store;
        let read = model::plan::read::from_yaml(&plan(
            name,
            "nowhere",
            "1.1.0",
            "[{weight: 20, bake: 1h, gates: [{approval: on-call}]}, {weight: 100}]",
        ));
        let plan = read.unwrap().plan;
        let digest = plan.digest();
        let author = store.person_by_email("manager@demo.tidegate.dev").await.unwrap().unwrap();
        let actor = Actor { person: Some(author.id), ..Actor::system("test") };
        let mut tx = store.begin().await.unwrap();
        let id = tx.insert_plan(&plan, &digest, &actor, Utc::now()).await.unwrap();
        let mut event = NewEvent::new(Utc::now(), &actor, "plan.created", "for a test");
        event.plan = Some(id);
        tx.commit(event).await.unwrap();
        let release: Release = serde_json::from_value(json!({
            "id": 0, "plan": id, "plan_version": 1, "digest": digest, "service": name, "environment": "production",
            "workload": {"cluster": "demo", "namespace": "nowhere", "kind": "Rollout", "name": name},
            "images": {"app": "registry.example.com/shop/web:1.1.0"}, "state": "running", "course": "forward",
            "reason": null,
            "known_good": {"template": {}, "steps": null, "hash": "aaaa", "images": {}, "revision": null},
            "canary_hash": "bbbb", "step": 0, "step_since": Utc::now(), "baked": "0s", "passed": [], "opened": {},
            "waived": {}, "hold": null, "verdict": null, "attempt": null, "attempts": 1, "started_by": "Mara",
            "created": Utc::now(), "started": Utc::now(), "ended": null, "note": null
        }))
        .unwrap();
        let mut tx = store.begin().await.unwrap();
        let release = tx.insert_release(&release).await.unwrap();
        let mut event = NewEvent::new(Utc::now(), &actor, "release.started", "for a test");
        event.release = Some(release);
        tx.commit(event).await.unwrap();
        (id, release)
    }

    /// An open incident about a release.
    pub(crate) async fn paper_incident(&self, release: ReleaseId) -> model::IncidentId {
        let actor = Actor::system("test");
        let new = model::incident::NewIncident {
            key: None,
            title: "It fails".into(),
            severity: model::policy::Severity::High,
            impact: String::new(),
            public: false,
            service: "web".into(),
            environment: "production".into(),
            workload: None,
            release: Some(release),
            policy: None,
            auto_assign: false,
            lead: None,
            began: Utc::now(),
            opened: Utc::now(),
            opened_by: actor.name.clone(),
        };
        let mut tx = self.state.store.begin().await.unwrap();
        let id = tx.open_incident(&new).await.unwrap();
        tx.commit(NewEvent::new(Utc::now(), &actor, "incident.opened", "for a test")).await.unwrap();
        id
    }

    /// How much is stored: grows with whatever is.
    pub(crate) async fn stored(&self) -> (i64, usize) {
        let store = &self.state.store;
        (store.audit_size().await.unwrap(), store.plans(1000).await.unwrap().len())
    }
}

/// Asks in a role's name.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'s> {
    server: &'s Server,
    token: Option<&'s str>,
}

impl<'s> Caller<'s> {
    pub(crate) fn with_token(self, token: &'s str) -> Self {
        Self { token: Some(token), ..self }
    }

    pub(crate) async fn get(self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, "").await
    }

    pub(crate) async fn post(self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some("application/json"), body.to_string()).await
    }

    pub(crate) async fn yaml(self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(method, path, Some("application/yaml"), body).await
    }

    pub(crate) async fn ask(
        self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        Answer::read(self.server.send(request.body(body.into()).unwrap()).await).await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        // A stream has no end: its first bytes do.
        let stream =
            parts.headers.get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
        let text = if stream {
            String::new()
        } else {
            String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned()
        };
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status: parts.status, headers: parts.headers, text, body }
    }

    /// Is a problem by RFC 9457 with this status; gives its words.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        for member in ["type", "title", "detail", "instance"] {
            assert!(self.body[member].as_str().is_some_and(|s| !s.is_empty()), "{member}: {}", self.text);
        }
        assert!(
            self.headers["x-request-id"]
                .to_str()
                .is_ok_and(|id| { self.body["instance"].as_str().is_some_and(|i| i.ends_with(id)) })
        );
        self.body["detail"].as_str().unwrap()
    }

    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array();
        errors.into_iter().flatten().filter_map(|e| e["field"].as_str()).collect()
    }
}

/// A Rollout `web` of four pods behind nginx, in a namespace of its own, and Tidegate's view of it.
pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) namespace: String,
    pub(crate) cluster: Arc<Cluster>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let sandbox = Sandbox::shared().await.unwrap();
        let namespace = sandbox.namespace("http").await.unwrap();
        let manifest = sandbox::Workload {
            namespace: namespace.clone(),
            name: "web".into(),
            replicas: 4,
            image: "registry.example.com/shop/web:1.0.0".into(),
            strategy: Strategy::Canary { nginx: true },
            rps: 20.0,
        };
        sandbox.apply_yaml(&manifest.manifest()).await.unwrap();
        sandbox.wait_healthy(&namespace, "web", DEADLINE).await.unwrap();
        let db = store::test_support::database().await;
        let cluster = Cluster::connect("demo", Some(&sandbox.info.tidegate_kubeconfig), None).await.unwrap();
        let mut changes = cluster.changes();
        let healthy =
            || cluster.workloads().iter().any(|w| w.key.namespace == namespace && w.phase == Phase::Healthy);
        let seen = async {
            while !healthy() {
                // A missed change must not hang the test: look again at least each second.
                let _ = tokio::time::timeout(Duration::from_secs(1), changes.recv()).await;
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.expect("the workload is in the watch cache");
        Self { db, namespace, cluster }
    }

    pub(crate) async fn server(&self) -> Server {
        Server::over(&self.db, vec![self.cluster.clone()], &[]).await
    }

    pub(crate) fn plan(&self, tag: &str, steps: &str) -> String {
        plan("web", &self.namespace, tag, steps)
    }
}

pub(crate) fn plan(service: &str, namespace: &str, tag: &str, steps: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1\nkind: Plan\n\
         metadata: {{name: {service}-{}, service: {service}, environment: production}}\n\
         spec:\n  change: {{images: {{app: 'registry.example.com/shop/web:{tag}'}}}}\n  \
         strategy: {{canary: {{steps: {steps}}}}}\n  workload: {{namespace: {namespace}, name: web}}\n  \
         approvals: {{required: 1, from: [approver], expire: 24h}}\n",
        tag.replace(['.', '_'], "-"),
    )
}

/// Waits until `is` answers something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut is: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = is().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(DEADLINE, found).await {
        Ok(found) => found,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}

/// States in which a release is over.
pub(crate) fn ended(state: &Value) -> bool {
    State::ALL.into_iter().any(|s| s.ended() && *state == s.key())
}
