//! What tests rely on: Tidegate's rights, the audit log, and users who meet what the cluster serves.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot use")]

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use sandbox::{Sandbox, Strategy, in_phase, rollout_manifest, rollouts, wait_for};
use serde_json::{Value, json};
use tokio::time;

const DEADLINE: Duration = Duration::from_secs(60);

fn forbidden<T>(result: kube::Result<T>) -> bool {
    matches!(result, Err(kube::Error::Api(e)) if e.code == 403)
}

async fn healthy(sandbox: &Sandbox, prefix: &str, strategy: Strategy) -> String {
    let namespace = sandbox.namespace(prefix).await.unwrap();
    let manifest = rollout_manifest(&namespace, "web", 4, "registry.example.com/web:1.0.0", strategy);
    sandbox.apply_yaml(&manifest).await.unwrap();
    sandbox.wait_healthy(&namespace, "web", DEADLINE).await.unwrap();
    namespace
}

/// Wait, asking twice a second, until `ask` gives something. For servers that can only be asked.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let poll = async {
        let mut interval = time::interval(Duration::from_millis(500));
        loop {
            interval.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    };
    time::timeout(DEADLINE, poll).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

fn image(tag: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers":
        [{"name": "app", "image": format!("registry.example.com/web:{tag}")}]}}}})
}

async fn patch(api: &Api<DynamicObject>, patch: &Value) {
    api.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

#[tokio::test]
async fn tidegate_reads_and_patches_releases_and_nothing_more() {
    let sandbox = Sandbox::shared().await.unwrap();
    let namespace = healthy(sandbox, "rights", Strategy::Canary { nginx: false }).await;
    let tidegate: Client = sandbox.tidegate().await.unwrap();
    let list = ListParams::default();

    let status = json!({"status": {"abort": false}});
    let api = rollouts(tidegate.clone(), &namespace);
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    patch(&api, &json!({"metadata": {"annotations": {"tidegate.dev/attempt": "1"}}})).await;
    Api::<Pod>::namespaced(tidegate.clone(), &namespace).list(&list).await.unwrap();
    let flags = ListParams::default().fields("metadata.name=feature-flags");
    Api::<ConfigMap>::all(tidegate.clone()).list(&flags).await.unwrap();
    // By name, as a version's template names it; a list stays shut.
    Api::<ConfigMap>::namespaced(tidegate.clone(), &namespace).get("kube-root-ca.crt").await.unwrap();

    assert!(forbidden(Api::<Secret>::namespaced(tidegate.clone(), &namespace).list(&list).await));
    assert!(forbidden(Api::<Secret>::all(tidegate.clone()).list(&list).await));
    assert!(forbidden(Api::<ConfigMap>::namespaced(tidegate.clone(), &namespace).list(&list).await));
    assert!(forbidden(Api::<Secret>::namespaced(tidegate.clone(), &namespace).get("web").await));
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    let routes: Api<DynamicObject> = Api::namespaced_with(tidegate.clone(), &namespace, &kind);
    Api::<DynamicObject>::all_with(tidegate.clone(), &kind).list(&list).await.unwrap();
    let weights = routes.patch("web", &PatchParams::default(), &Patch::Merge(json!({}))).await;
    assert!(matches!(weights, Err(kube::Error::Api(e)) if e.code == 404), "allowed, and there is none");
    let mine = DynamicObject::new("mine", &kind);
    assert!(forbidden(routes.create(&PostParams::default(), &mine).await));
    assert!(forbidden(routes.delete("web", &Default::default()).await));
    let pods: Api<Pod> = Api::namespaced(tidegate.clone(), &namespace);
    assert!(forbidden(pods.delete("web", &Default::default()).await));
    assert!(forbidden(api.delete("web", &Default::default()).await));
    assert!(forbidden(
        Api::<Service>::namespaced(tidegate, &namespace).delete("web", &Default::default()).await
    ));
}

#[tokio::test]
async fn every_write_stands_in_the_audit_log_once() {
    let sandbox = Sandbox::shared().await.unwrap();
    let namespace = healthy(sandbox, "writes", Strategy::Canary { nginx: false }).await;
    let api = rollouts(sandbox.tidegate().await.unwrap(), &namespace);
    for attempt in 1..=3 {
        patch(&api, &json!({"metadata": {"annotations": {"tidegate.dev/attempt": attempt.to_string()}}}))
            .await;
    }
    let ours = |event: &Value| {
        event["user"]["username"] == "system:serviceaccount:tidegate:tidegate" && event["verb"] == "patch"
    };
    let attempts = eventually("three patches", || async {
        let writes = sandbox.writes("rollouts", &namespace, "web").unwrap();
        let mine: Vec<Value> = writes.into_iter().filter(ours).collect();
        (mine.len() >= 3).then_some(mine)
    })
    .await;
    let sent: Vec<&Value> = attempts
        .iter()
        .map(|e| &e["requestObject"]["metadata"]["annotations"]["tidegate.dev/attempt"])
        .collect();
    assert_eq!(sent, ["1", "2", "3"]);
    assert!(attempts.iter().all(|event| event["responseStatus"]["code"] == 200));
}

#[tokio::test]
async fn users_meet_the_canary_by_the_weight_of_the_router() {
    let sandbox = Sandbox::shared().await.unwrap();
    let namespace = healthy(sandbox, "users", Strategy::Canary { nginx: true }).await;
    let api = rollouts(sandbox.admin().await.unwrap(), &namespace);
    patch(&api, &image("1.1.0-errors-20pct")).await;
    wait_for(&api, "web", "Paused at its first step", DEADLINE, |r| in_phase(r, "Paused")).await.unwrap();

    let rate =
        |labels: &str| format!("sum(rate(http_requests_total{{namespace=\"{namespace}\"{labels}}}[10s]))");
    let part = |of: &str, whole: &str| format!("{} / {}", rate(of), rate(whole));
    let canary = r#",version="1.1.0-errors-20pct""#;
    eventually("a fifth of the requests on the canary", || async {
        let share = sandbox.query(&part(canary, "")).await.unwrap()?;
        (0.12..0.28).contains(&share).then_some(())
    })
    .await;
    eventually("a fifth of the canary's requests failing", || async {
        let errors = sandbox.query(&part(&format!(r#"{canary},code="500""#), canary)).await.unwrap()?;
        (0.08..0.35).contains(&errors).then_some(())
    })
    .await;
    let stable = sandbox.query(&part(r#",version="1.0.0",code="500""#, r#",version="1.0.0""#)).await.unwrap();
    assert!(stable.unwrap() < 0.05, "the stable version stays healthy: {stable:?}");

    let abort = json!({"status": {"abort": true, "promoteFull": false}});
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&abort)).await.unwrap();
    eventually("no requests on the canary after an abort", || async {
        let canary = sandbox.query(&rate(canary)).await.unwrap().unwrap_or_default();
        (canary == 0.0).then_some(())
    })
    .await;
}

/// A rule of an HTTPRoute: name and backends with their weights.
type Rule = (Option<String>, Vec<(String, i64)>);

fn rules(route: &DynamicObject) -> Vec<Rule> {
    let backend = |b: &Value| (b["name"].as_str().unwrap().to_owned(), b["weight"].as_i64().unwrap_or(1));
    let rule = |rule: &Value| {
        let backends = rule["backendRefs"].as_array().unwrap().iter().map(backend).collect();
        (rule["name"].as_str().map(ToOwned::to_owned), backends)
    };
    route.data["spec"]["rules"].as_array().unwrap().iter().map(rule).collect()
}

#[tokio::test]
async fn users_meet_the_canary_by_the_weights_of_an_http_route() {
    let sandbox = Sandbox::shared().await.unwrap();
    let namespace = healthy(sandbox, "gateway", Strategy::Gateway).await;
    let admin = sandbox.admin().await.unwrap();
    let api = rollouts(admin.clone(), &namespace);
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    let routes: Api<DynamicObject> = Api::namespaced_with(admin, &namespace, &kind);
    let weights = |stable: i64, canary: i64| {
        (None, vec![("web".to_owned(), stable), ("web-canary".to_owned(), canary)])
    };
    let met = |canary: f64| {
        let url = format!("{}/shares", sandbox.info.traffic_url);
        let namespace = namespace.clone();
        move || {
            let (url, namespace) = (url.clone(), namespace.clone());
            async move {
                let all: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
                let mine = all.as_array().unwrap().iter().filter(|s| s["namespace"] == namespace.as_str());
                let new = mine
                    .clone()
                    .find(|s| s["version"] == "1.1.0")
                    .map_or(0.0, |s| s["fraction"].as_f64().unwrap());
                (mine.count() > 0 && (new - canary).abs() < 1e-9).then_some(())
            }
        }
    };

    let header = json!({"name": "canary-by-header",
        "match": [{"headerName": "x-canary", "headerValue": {"exact": "yes"}}]});
    // Without a pod behind it the controller takes a header route away again.
    let steps = json!([{"setWeight": 15}, {"setHeaderRoute": header}, {"pause": {}}]);
    patch(&api, &json!({"spec": {"strategy": {"canary": {"steps": steps}}}})).await;
    patch(&api, &image("1.1.0")).await;
    wait_for(&api, "web", "Paused behind its weight", DEADLINE, |r| in_phase(r, "Paused")).await.unwrap();
    let by_header = (Some("canary-by-header".to_owned()), vec![("web-canary".to_owned(), 1)]);
    let route = routes.get("web").await.unwrap();
    assert_eq!(rules(&route), [weights(85, 15), by_header], "the controller's plugin has written them");
    eventually("15 % of the users on the canary", met(0.15)).await;

    let abort = json!({"status": {"abort": true, "promoteFull": false}});
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&abort)).await.unwrap();
    let back = |r: &DynamicObject| rules(r) == [weights(100, 0)];
    wait_for(&routes, "web", "everybody on the stable version", DEADLINE, back).await.unwrap();
    eventually("nobody on the canary after an abort", met(0.0)).await;
    assert_eq!(sandbox.requests_to_nothing(&namespace, "web").await.unwrap(), Some(0.0));
}

#[tokio::test]
async fn the_controller_reaches_prometheus_by_its_name_in_the_cluster() {
    let sandbox = Sandbox::shared().await.unwrap();
    let namespace = healthy(sandbox, "analysis", Strategy::Canary { nginx: false }).await;
    let run = format!(
        "{{apiVersion: argoproj.io/v1alpha1, kind: AnalysisRun,
           metadata: {{name: probe, namespace: {namespace}}},
           spec: {{metrics: [{{name: requests, count: 1, successCondition: 'result[0] >= 0', provider:
           {{prometheus: {{address: 'http://prometheus.monitoring.svc.cluster.local:9090', query: 'vector(1)'}}}}}}]}}}}"
    );
    sandbox.apply_yaml(&run).await.unwrap();
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "AnalysisRun");
    let resource = ApiResource::from_gvk_with_plural(&kind, "analysisruns");
    let api: Api<DynamicObject> = Api::namespaced_with(sandbox.admin().await.unwrap(), &namespace, &resource);
    wait_for(&api, "probe", "Successful", DEADLINE, |r| r.data["status"]["phase"] == "Successful")
        .await
        .unwrap();
}
