//! Feature flags over REST: what they are, who gets one, the kill switch, the keys of services.

use crate::common::{Running, Server, until};
use crate::documents::fits;
use cluster::Cluster;
use http::Method;
use model::Role;
use sandbox::Sandbox;
use serde_json::{Value, json};
use store::test_support::TestDb;

/// A namespace with a file of flags, and a server that serves it.
pub(crate) struct Flagged {
    _db: TestDb,
    pub(crate) namespace: String,
    pub(crate) server: Server,
    _running: Running,
}

impl Flagged {
    pub(crate) async fn new(text: &str, extra: &[&str]) -> Self {
        let sandbox = Sandbox::shared().await.unwrap();
        let namespace = sandbox.namespace("flags").await.unwrap();
        let db = store::test_support::database().await;
        let cluster = Cluster::connect("demo", Some(&sandbox.info.tidegate_kubeconfig), None).await.unwrap();
        let server = Server::over(&db, vec![cluster], extra).await;
        apply(&namespace, text).await;
        let running = server.run();
        served(&server, &namespace).await;
        Self { _db: db, namespace, server, _running: running }
    }

    /// The address of a flag.
    pub(crate) fn at(&self, key: &str) -> String {
        format!("/api/v1/flags/demo/{}/{key}", self.namespace)
    }

    /// By `kubectl`, past Tidegate.
    pub(crate) async fn apply(&self, text: &str) {
        apply(&self.namespace, text).await;
    }

    /// A key of a service: its number and its secret.
    pub(crate) async fn key(&self, environment: Option<&str>) -> (i64, String) {
        let body = json!({"name": "shop", "cluster": "demo", "namespace": self.namespace, "environment": environment});
        let issued = self.server.as_role(Role::Administrator).post("/api/v1/flag-keys", body).await;
        assert_eq!(issued.status, 201, "{}", issued.text);
        (issued.body["key"]["id"].as_i64().unwrap(), issued.body["secret"].as_str().unwrap().to_owned())
    }
}

/// Lets a server know a namespace's flags, and nothing else happen.
pub(crate) async fn serve(server: &Server, namespace: &str, text: &str) {
    apply(namespace, text).await;
    let _running = server.run();
    served(server, namespace).await;
}

async fn apply(namespace: &str, text: &str) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "feature-flags", "namespace": namespace}, "data": {"flags.yaml": text},
    });
    Sandbox::shared().await.unwrap().apply_yaml(&map.to_string()).await.unwrap();
}

/// Waits until the namespace's file is served and on record.
async fn served(server: &Server, namespace: &str) {
    until("the flags are served", async || {
        let list = server.as_role(Role::Viewer).get("/api/v1/flags").await;
        let files = list.body["files"].as_array()?;
        files.iter().any(|f| f["namespace"] == namespace && !f["changed"].is_null()).then_some(())
    })
    .await;
}

const FLAGS: &str = "\
new-tax:
  enabled: true
  percentage: 100
  owner: shop
  conditions: [{type: country, operator: in, value: 'DE, FR'}]
colour: {enabled: true, percentage: 100, variants: {blue: {rgb: 255}, red: {rgb: 0}}, default_variant: red}
";

#[tokio::test]
async fn flags_are_listed_read_and_tried_as_they_are_described() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let viewer = flagged.server.as_role(Role::Viewer);
    let document = flagged.server.nobody().get("/api/openapi.json").await.body;
    let described = |path: &str, method: &str| {
        let answer = &document["paths"][path][method]["responses"]["200"];
        let schema = answer["content"]["application/json"]["schema"].clone();
        assert!(schema.is_object(), "{method} {path}");
        schema
    };
    let list = viewer.get("/api/v1/flags").await;
    fits(&document, &described("/api/v1/flags", "get"), &list.body, "list");
    let own: Vec<&Value> = list.body["flags"].as_array().unwrap().iter().collect();
    let own: Vec<&Value> = own.into_iter().filter(|f| f["namespace"] == flagged.namespace.as_str()).collect();
    assert_eq!(own.iter().map(|f| &f["key"]).collect::<Vec<_>>(), ["colour", "new-tax"]);
    assert_eq!((&own[1]["state"], &own[1]["owner"]), (&json!("on"), &json!("shop")));

    let one = viewer.get(&flagged.at("colour")).await;
    assert_eq!(one.status, 200, "{}", one.text);
    fits(&document, &described("/api/v1/flags/{cluster}/{namespace}/{key}", "get"), &one.body, "flag");
    assert_eq!(one.body["variants"][0], json!({"name": "blue", "value": {"rgb": 255}, "is_default": false}));
    viewer.get(&flagged.at("nothing")).await.problem(404);
    viewer.get("/api/v1/flags/elsewhere/a/b").await.problem(404);

    let tried =
        viewer.post(&format!("{}/try", flagged.at("new-tax")), json!({"context": {"country": "DE"}})).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    fits(
        &document,
        &described("/api/v1/flags/{cluster}/{namespace}/{key}/try", "post"),
        &tried.body,
        "tried",
    );
    assert_eq!((&tried.body["value"], &tried.body["variant"]), (&json!(true), &json!("on")));
    assert!(!tried.body["steps"].as_array().unwrap().is_empty());
    let object = viewer
        .post(&format!("{}/try", flagged.at("colour")), json!({"context": {"targetingKey": "u"}}))
        .await;
    assert_eq!(object.body["value"], json!({"rgb": 255}));
    let wrong = viewer.post(&format!("{}/try", flagged.at("colour")), json!({"context": 7})).await;
    wrong.problem(422);
}

#[tokio::test]
async fn a_flag_is_killed_and_revived_with_a_reason() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let at = |deed: &str| format!("{}/{deed}", flagged.at("new-tax"));
    let oncall = flagged.server.as_role(Role::OnCall);
    let early = oncall.post(&at("revive"), json!({"reason": "is it?"})).await;
    early.problem(409);
    let killed = oncall.post(&at("kill"), json!({"reason": "checkout fails"})).await;
    assert_eq!(killed.status, 200, "{}", killed.text);
    assert_eq!((&killed.body["written"], &killed.body["recorded"]), (&json!(true), &json!(true)));
    let one = flagged.server.as_role(Role::Viewer).get(&flagged.at("new-tax")).await.body;
    assert_eq!(
        (&one["flag"]["state"], &one["killed"]["reason"]),
        (&json!("killed"), &json!("checkout fails"))
    );
    oncall.post(&at("revive"), json!({})).await.problem(422);
    let revived = oncall.post(&at("revive"), json!({"reason": "mended"})).await;
    assert_eq!(revived.status, 200, "{}", revived.text);
    let one = flagged.server.as_role(Role::Viewer).get(&flagged.at("new-tax")).await.body;
    assert_eq!(
        (&one["flag"]["state"], &one["killed"]),
        (&json!("off"), &Value::Null),
        "revived, and still off"
    );
}

#[tokio::test]
async fn keys_are_issued_listed_without_their_secret_and_withdrawn_once() {
    let flagged = Flagged::new(FLAGS, &[]).await;
    let admin = flagged.server.as_role(Role::Administrator);
    let (id, secret) = flagged.key(Some("production")).await;
    assert!(secret.len() >= 32, "{secret}");
    let list = admin.get("/api/v1/flag-keys").await;
    assert_eq!(list.body["keys"][0]["id"], id);
    assert_eq!(list.body["keys"][0]["environment"], "production");
    assert!(!list.text.contains(&secret));
    let wrong = admin.post("/api/v1/flag-keys", json!({"cluster": "demo", "namespace": "No"})).await;
    wrong.problem(422);
    assert_eq!(wrong.fields(), ["name", "namespace"]);
    let at = format!("/api/v1/flag-keys/{id}");
    assert_eq!(admin.ask(Method::DELETE, &at, None, "").await.status, 204);
    admin.ask(Method::DELETE, &at, None, "").await.problem(404);
    assert!(!admin.get("/api/v1/flag-keys").await.body["keys"][0]["revoked"].is_null());
    let audit = flagged.server.as_role(Role::Viewer).get("/api/v1/audit").await.text;
    assert!(audit.contains("flag-key.issued") && audit.contains("flag-key.revoked"));
    assert!(!audit.contains(&secret));
}
