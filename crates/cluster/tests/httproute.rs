//! Users of a Deployment sent to a second one beside it by weights in their own HTTPRoute, request by request, on the real API
//! server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Outcome, Voided};
use common::gate::Gate;
use common::{RELEASE, SOON, World, attempt, plan};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Split, Twin, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

type Services = Api<k8s_openapi::api::core::v1::Service>;

const OURS: &str = "mailer-tidegate";
const MARK: &str = "mailer.tidegate.dev/attempt";

impl World {
    async fn routes(&self) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind =
            ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
        Api::namespaced_with(client, &self.ns, &kind)
    }

    async fn services(&self) -> Services {
        Api::namespaced(self.sandbox.admin().await.unwrap(), &self.ns)
    }

    /// The route as the API server holds it: what its owner wrote.
    async fn written(&self) -> Value {
        let route = self.routes().await.get("shop").await.unwrap();
        json!({"annotations": route.metadata.annotations, "labels": route.metadata.labels,
            "owners": route.metadata.owner_references, "spec": route.data["spec"]})
    }

    async fn mark(&self) -> Option<String> {
        self.routes().await.get("shop").await.unwrap().metadata.annotations?.get(MARK).cloned()
    }

    async fn weights(&self) -> Vec<(String, i64)> {
        let route = self.routes().await.get("shop").await.unwrap();
        let all = route.data.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap();
        let mail = all.iter().find(|rule| rule["matches"][0]["path"]["value"] == "/mail").unwrap();
        let refs = mail["backendRefs"].as_array().unwrap();
        refs.iter().map(|r| (r["name"].as_str().unwrap().to_owned(), r["weight"].as_i64().unwrap())).collect()
    }

    /// As its owner changes it: by what is there, whatever that is.
    async fn edit(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let routes = self.routes().await;
        let mut route = routes.get("shop").await.unwrap();
        change(route.data["spec"]["rules"].as_array_mut().unwrap());
        routes.replace("shop", &PostParams::default(), &route).await.unwrap();
    }

    /// Four pods behind a Service and one rule of a route.
    async fn placed(&self) -> (Key, KnownGood) {
        let key = self.key_of(Kind::Deployment, "mailer");
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "mail", "namespace": self.ns},
            "spec": {"selector": {"app": "mailer"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
        self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        let path = |value: &str| json!([{"path": {"type": "PathPrefix", "value": value}}]);
        let set = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]);
        let shop = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": self.ns, "labels": {"team": "mail"}},
            "spec": {"parentRefs": [{"name": "edge"}], "hostnames": ["shop.example.com"], "rules": [
                {"matches": path("/web"), "backendRefs": [{"name": "web", "port": 80, "weight": 3}]},
                {"matches": path("/mail"), "filters": set, "timeouts": {"request": "10s"},
                    "backendRefs": [{"name": "mail", "port": 80}]}]}});
        self.sandbox.apply_yaml(&shop.to_string()).await.unwrap();
        let good = self.deployment(&key, 4).await;
        (key, good)
    }

    async fn behind(&self) -> (Key, KnownGood) {
        let (key, good) = self.placed().await;
        self.seen(&key, "behind a route", |w| w.weighed().is_ok()).await;
        (key, good)
    }

    /// Version 2 beside it, with one pod that nobody is sent to.
    async fn ready(&self) -> (Key, KnownGood, Arc<Workload>) {
        let (key, good) = self.behind().await;
        let up = self.up(&key, &good).await;
        (key, good, up)
    }

    async fn up(&self, key: &Key, good: &KnownGood) -> Arc<Workload> {
        let sent = self.cluster.deploy(key, &attempt("deploy"), &plan(2), good, RELEASE).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        assert_eq!(self.mark().await.as_deref(), Some("test-deploy"), "before anybody can be sent");
        self.seen(key, "beside it", |w| w.stands_apart() && w.by_route() && w.weight_mark().is_some()).await;
        let sent = self.cluster.scale(key, &attempt("scale"), 0, 1).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        let whole = |t: &Twin| t.ready == 1 && t.phase == Phase::Healthy && t.hash.is_some();
        let is = |w: &Workload| {
            w.twin.as_deref().is_some_and(whole) && w.canary_weight() == Some(0) && !w.severed()
        };
        self.seen(key, "up", is).await
    }

    /// As it was `decided`.
    async fn weigh(&self, key: &Key, id: &str, decided: &Workload, to: u8) -> Outcome {
        let from = decided.canary_weight().unwrap();
        self.cluster.weigh(key, &attempt(id), decided.weight_mark(), from, to).await.unwrap()
    }

    async fn alone(&self, key: &Key) {
        self.seen(key, "alone", |w| !w.anything_of_ours() && w.phase == Phase::Healthy).await;
    }
}

fn shares(own: i64, ours: i64) -> Vec<(String, i64)> {
    vec![("mail".to_owned(), own), (OURS.to_owned(), ours)]
}

#[tokio::test]
async fn a_weight_is_exact_and_at_the_end_the_users_route_is_as_it_was() {
    let world = World::new("route").await;
    let (key, good) = world.behind().await;
    let before = world.written().await;
    let w = world.seen(&key, "behind a route", |w| w.weighed().is_ok()).await;
    assert_eq!(w.weighed().unwrap().by, Split::HttpRoute("shop".into()));
    let up = world.up(&key, &good).await;
    assert_eq!((up.canary_share(), up.any_sent(), world.weights().await), (0, false, shares(1, 0)));
    let service = world.services().await.get(OURS).await.unwrap();
    assert_eq!(json!(service.spec.unwrap().selector), json!({"tidegate.dev/beside": OURS}));

    assert!(world.weigh(&key, "seven", &up, 7).await.is_applied());
    let w = world.seen(&key, "at 7 %", |w| w.canary_weight() == Some(7)).await;
    assert_eq!((w.canary_share(), w.weights.unwrap().stable, w.ready), (7, 93, 4));
    assert_eq!(world.weights().await, shares(93, 7));
    let again = world.weigh(&key, "again", &up, 9).await;
    assert!(matches!(again, Outcome::Refused { .. }), "decided on what was before: {again:?}");
    assert!(world.weigh(&key, "eight", &w, 8).await.is_applied());
    let w = world.seen(&key, "at 8 %", |w| w.canary_weight() == Some(8)).await;

    let way = route(&w, &good.hash);
    assert_eq!((way.calls.as_slice(), way.pace), (&[Call::HandBack][..], Pace::Seconds));
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &way).await.unwrap();
    assert_eq!((done.calls.len(), done.without.len()), (1, 0));
    assert_eq!(world.written().await["spec"], before["spec"], "nobody is sent there, and nothing dangles");
    assert_eq!(world.mark().await.as_deref(), Some("test-back"));
    world.seen(&key, "handed back", |w| !w.any_sent() && w.canary_share() == 0).await;
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    assert_eq!(world.written().await, before, "every field, label and annotation");
    world.alone(&key).await;
    let gone = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(100));
        while world.services().await.get_opt(OURS).await.unwrap().is_some() {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(SOON, gone).await.is_ok(), "our Service goes with its owner");
}

/// Who slept between decision and request finds another mark, or none, and sends nobody anywhere.
#[tokio::test]
async fn what_comes_after_the_way_back_or_after_the_end_is_not_taken() {
    let world = World::new("route").await;
    let (key, _, up) = world.ready().await;
    assert!(world.cluster.hand_back(&key, &attempt("back")).await.unwrap().is_applied());
    let Outcome::Refused { .. } = world.weigh(&key, "late", &up, 20).await else { panic!("taken") };
    assert_eq!(world.weights().await, [("mail".to_owned(), 1)]);
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.alone(&key).await;
    let late = world.cluster.weigh(&key, &attempt("later"), Some("test-scale"), 0, 20).await.unwrap();
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    let late = world.cluster.scale(&key, &attempt("later"), 0, 1).await.unwrap();
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    assert_eq!(world.weights().await, [("mail".to_owned(), 1)]);
}

#[tokio::test]
async fn an_unseen_weight_is_made_void_or_found_to_have_landed() {
    let world = World::new("route").await;
    let (key, _, up) = world.ready().await;
    assert_eq!(world.cluster.void_weight(&key, &attempt("lost")).await.unwrap(), Voided::Void);
    let late = world.weigh(&key, "lost", &up, 20).await;
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    assert_eq!(world.mark().await.as_deref(), Some("void-test-lost"));
    let now = world.seen(&key, "void", |w| w.weight_mark() == Some("void-test-lost")).await;
    assert!(world.weigh(&key, "again", &now, 20).await.is_applied());
    assert_eq!(world.cluster.void_weight(&key, &attempt("again")).await.unwrap(), Voided::Landed);
    assert_eq!(world.weights().await, shares(80, 20));
}

#[tokio::test]
async fn a_route_that_somebody_changes_meanwhile_is_found_by_name() {
    let world = World::new("route").await;
    let (key, good, up) = world.ready().await;
    assert!(world.weigh(&key, "weigh", &up, 20).await.is_applied());
    let w = world.seen(&key, "at 20 %", |w| w.canary_weight() == Some(20)).await;
    let rule = json!({"matches": [{"path": {"type": "Exact", "value": "/new"}}], "backendRefs": [{"name": "new", "port": 80}]});
    world.edit(|rules| rules.insert(0, rule)).await;
    assert!(world.weigh(&key, "half", &w, 50).await.is_applied());
    assert_eq!(world.weights().await, shares(50, 50));
    let w = world.seen(&key, "at 50 %", |w| w.canary_weight() == Some(50)).await;
    let raise = |rules: &mut Vec<Value>| {
        rules.remove(0);
        rules[1]["backendRefs"][1]["weight"] = json!(450);
    };
    world.edit(raise).await;
    let w = world
        .seen(&key, "raised", |now| now.canary_weight() == Some(90) && now.weight_mark() == w.weight_mark())
        .await;
    assert!(world.weigh(&key, "lower", &w, 50).await.is_applied());
    assert_eq!(world.weights().await, shares(50, 50));
    world.edit(|rules| drop(rules[1]["backendRefs"].as_array_mut().unwrap().remove(1))).await;
    let w = world.seen(&key, "taken out", |w| w.canary_weight().is_none()).await;
    let way = route(&w, &good.hash);
    assert_eq!(way.calls, [Call::HandBack, Call::Retire], "nobody is there any more");
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &way).await.unwrap();
    assert_eq!((done.calls.len(), done.without.len()), (2, 0));
    world.alone(&key).await;
    assert_eq!(world.weights().await, [("mail".to_owned(), 1)], "its own weight is what it was");
    assert_eq!(world.mark().await, None);
}

/// The Service goes with the second Deployment while the user's route still names it.
#[tokio::test]
async fn a_second_deployment_that_somebody_deletes_leaves_nothing_in_the_route() {
    let world = World::new("route").await;
    let (key, good, up) = world.ready().await;
    assert!(world.weigh(&key, "weigh", &up, 20).await.is_applied());
    let client = world.sandbox.admin().await.unwrap();
    let all: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(client, &world.ns);
    all.delete(OURS, &DeleteParams::background()).await.unwrap();
    let w = world.seen(&key, "severed", |w| w.twin.is_none() && w.severed() && w.any_sent()).await;
    let way = route(&w, &good.hash);
    assert_eq!(way.calls, [Call::HandBack]);
    assert!(world.cluster.roll_back(&key, &attempt("back"), &good, &way).await.is_ok());
    assert_eq!(world.weights().await, [("mail".to_owned(), 1)]);
    world.seen(&key, "back", |w| !w.any_sent() && w.route_marked()).await;
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.alone(&key).await;
    assert_eq!(world.mark().await, None);
}

#[tokio::test]
async fn a_rehearsal_names_the_route_keeps_nothing_and_tells_who_would_write_over_it() {
    let world = World::new("route").await;
    let (key, good) = world.behind().await;
    let id = format!("edge:gateway.networking.k8s.io/HTTPRoute:{}/shop", world.ns);
    let tracked = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": id}}});
    world.routes().await.patch("shop", &PatchParams::default(), &Patch::Merge(tracked)).await.unwrap();
    world.seen(&key, "tracked", |w| w.weighed().is_ok_and(|s| s.gitops.is_some())).await;
    let before = world.written().await;
    let rehearsal = world.cluster.rehearse(&key, &plan(2), chrono::Utc::now()).await.unwrap();
    let failed: Vec<_> = rehearsal.checks.iter().filter(|c| !c.passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(
        rehearsal.checks.iter().any(|c| c.name == "Weights in HTTPRoute shop, and back"),
        "{rehearsal:?}"
    );
    let drift = |f: &String| f.contains("Argo CD's application edge owns HTTPRoute shop");
    assert!(rehearsal.findings.iter().any(drift), "{:?}", rehearsal.findings);
    assert_eq!(world.written().await, before);

    let filters = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}}]);
    world.edit(|rules| rules[1]["backendRefs"][0]["filters"] = filters).await;
    let w = world.seen(&key, "unfit", |w| w.weighed().is_err()).await;
    assert!(w.weighed().unwrap_err().contains("has filters at the backendRef"), "{:?}", w.splitter);
    let sent = world.cluster.deploy(&key, &attempt("deploy"), &plan(2), &good, RELEASE).await.unwrap();
    assert!(sent.is_applied(), "{sent:?}");
    let w = world.seen(&key, "beside", |w| w.twin.is_some()).await;
    assert!(!w.stands_apart() && !w.by_weight(), "by pods: {:?}", w.twin);
    assert_eq!(world.mark().await, None);
}

/// Whatever else there is to see is seen, and the kind is found when it comes.
#[tokio::test]
async fn a_cluster_without_the_gateway_api_is_as_before_and_it_is_found_when_it_comes() {
    for status in [404, 403] {
        let through = sandbox::Sandbox::shared().await.unwrap();
        let gate = Gate::new(through.tidegate().await.unwrap()).await;
        gate.without_routes(status);
        let world = World::through("route", &gate.kubeconfig).await;
        let (key, _) = world.placed().await;
        assert!(world.cluster.synced().is_some(), "the other watches are what there is");
        let w = world.seen(&key, "behind its Service", |w| !w.fronts.is_empty()).await;
        assert!(
            w.weighed().unwrap_err().contains("No Ingress or HTTPRoute leads to"),
            "{status}: {:?}",
            w.splitter
        );
        let looked = gate.requests().iter().filter(|r| r.contains("/v1/httproutes?limit")).count();
        assert!(looked <= 3, "{looked} looks: a busy loop");
        gate.without_routes(0);
        world.seen(&key, "behind a route", |w| w.weighed().is_ok()).await;
    }
}
