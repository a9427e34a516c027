//! Copies of a Deployment's requests to a second one beside it, request by request, on the real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Outcome, Voided};
use common::{RELEASE, SOON, World, attempt, plan_by};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

const OURS: &str = "mailer-tidegate";
const GATEWAY: &str = "gateway.networking.k8s.io";
const MARK: &str = "mailer.tidegate.dev/attempt";

fn shadow(percent: u8) -> Plan {
    plan_by(json!({"shadow": {"percent": percent, "gates": ["analysis"]}}), 2)
}

impl World {
    async fn of(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(client, &self.ns, &kind)
    }

    async fn route(&self) -> Value {
        let route = self.of(GATEWAY, "v1", "HTTPRoute").await.get("shop").await.unwrap();
        serde_json::to_value(route).unwrap()
    }

    async fn change(&self, patch: Value) {
        let routes = self.of(GATEWAY, "v1", "HTTPRoute").await;
        routes.patch("shop", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Four pods behind a Service and an HTTPRoute, which has a filter of its owner's.
    async fn behind(&self) -> (Key, KnownGood) {
        let key = self.key_of(Kind::Deployment, "mailer");
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "mail", "namespace": self.ns},
            "spec": {"selector": {"app": "mailer"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
        let route = json!({"apiVersion": format!("{GATEWAY}/v1"), "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": self.ns},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/web"}}], "backendRefs": [{"name": "web", "port": 80}]},
                {"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}],
                    "backendRefs": [{"name": "mail", "port": 80}]}]}});
        self.sandbox.apply_yaml(&format!("{service}\n---\n{route}")).await.unwrap();
        let good = self.deployment(&key, 4).await;
        self.seen(&key, "behind an HTTPRoute", |w| w.copies().is_ok()).await;
        (key, good)
    }

    /// And version 2 beside them with one pod, to which nothing is sent.
    async fn ready(&self) -> (Key, KnownGood, Arc<Workload>) {
        let (key, good) = self.behind().await;
        let sent = self.cluster.deploy(&key, &attempt("deploy"), &shadow(20), &good, RELEASE).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        self.seen(&key, "beside it", |w| w.stands_apart() && w.by_copies()).await;
        let sent = self.cluster.scale(&key, &attempt("scale"), 0, 1).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        let whole = |t: &model::workload::Twin| t.ready == 1 && t.phase == Phase::Healthy && t.hash.is_some();
        let up = self.seen(&key, "up", |w| w.twin.as_deref().is_some_and(whole)).await;
        (key, good, up)
    }

    /// As it was `decided`.
    async fn copy(&self, key: &Key, id: &str, decided: &Workload, to: u8) -> Outcome {
        let (mark, from) = (decided.weight_mark(), decided.copied());
        self.cluster.weigh(key, &attempt(id), mark, from, to).await.unwrap()
    }
}

#[tokio::test]
async fn requests_are_copied_and_the_users_route_is_exactly_what_it_was() {
    let world = World::new("shadow").await;
    let (key, good, up) = world.ready().await;
    let before = world.route().await["spec"].clone();
    assert_eq!((up.canary_share(), up.any_sent()), (0, false));
    assert!(world.copy(&key, "seven", &up, 7).await.is_applied());
    let w = world.seen(&key, "copied", |w| w.copied() == 7).await;
    assert_eq!((w.canary_share(), w.any_sent(), w.ready), (0, true, 4), "no user is on it");
    let filters = world.route().await["spec"]["rules"][1]["filters"].clone();
    assert_eq!(filters.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&filters[1]["requestMirror"]["percent"], &filters[1]["type"]),
        (&json!(7), &json!("RequestMirror"))
    );
    assert_eq!(filters[1]["requestMirror"]["backendRef"]["name"], OURS);
    let service = world.of("", "v1", "Service").await.get(OURS).await.unwrap();
    assert_eq!(service.data["spec"]["selector"], json!({"tidegate.dev/beside": OURS}));
    let again = world.copy(&key, "again", &up, 9).await;
    assert!(matches!(again, Outcome::Refused { .. }), "decided on what was before: {again:?}");
    assert!(world.copy(&key, "all", &w, 100).await.is_applied());
    let w = world.seen(&key, "all copied", |w| w.copied() == 100).await;

    let way = route(&w, &good.hash);
    assert_eq!((way.calls.as_slice(), way.pace), (&[Call::HandBack][..], Pace::Seconds));
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &way).await.unwrap();
    assert_eq!((done.calls.len(), done.without.len()), (1, 0));
    assert_eq!(world.route().await["spec"], before);
    world.seen(&key, "nothing copied", |w| !w.any_sent()).await;
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone", |w| w.twin.is_none() && !w.by_copies()).await;
    let annotations = &world.route().await["metadata"]["annotations"];
    assert!(annotations[MARK].is_null(), "no mark is left, either: {annotations}");
    let services = world.of("", "v1", "Service").await;
    let gone = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(100));
        while services.get_opt(OURS).await.unwrap().is_some() {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(SOON, gone).await.is_ok(), "its Service goes with its owner");
}

/// Who slept between decision and request finds another mark, and copies nothing.
#[tokio::test]
async fn copies_that_come_after_the_way_back_are_not_taken() {
    let world = World::new("shadow").await;
    let (key, _, up) = world.ready().await;
    let before = world.route().await["spec"].clone();
    assert!(world.cluster.hand_back(&key, &attempt("back")).await.unwrap().is_applied());
    let Outcome::Refused { why } = world.copy(&key, "late", &up, 20).await else { panic!("taken") };
    assert!(why.contains("another change has reached it, and left the mark test-back"), "{why}");
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone", |w| w.twin.is_none()).await;
    let late = world.cluster.weigh(&key, &attempt("later"), None, 0, 20).await.unwrap();
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    assert_eq!(world.route().await["spec"], before);
}

#[tokio::test]
async fn unseen_copies_are_made_void_or_found_to_have_landed() {
    let world = World::new("shadow").await;
    let (key, _, up) = world.ready().await;
    assert_eq!(world.cluster.void_weight(&key, &attempt("lost")).await.unwrap(), Voided::Void);
    let late = world.copy(&key, "lost", &up, 20).await;
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    assert_eq!(world.route().await["metadata"]["annotations"][MARK], "void-test-lost");
    let void = |w: &Workload| w.weight_mark() == Some("void-test-lost");
    let now = world.seen(&key, "void", void).await;
    assert!(world.copy(&key, "again", &now, 20).await.is_applied());
    assert_eq!(world.cluster.void_weight(&key, &attempt("again")).await.unwrap(), Voided::Landed);
}

/// What somebody else writes into the rule in the meantime stays, and only our filter goes.
#[tokio::test]
async fn nobody_elses_filter_is_written_over_or_taken_out() {
    let world = World::new("shadow").await;
    let (key, _, up) = world.ready().await;
    assert!(world.copy(&key, "on", &up, 20).await.is_applied());
    world.seen(&key, "copied", |w| w.copied() == 20).await;
    let mut rules = world.route().await["spec"]["rules"].clone();
    let theirs = json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["server"]}});
    rules[1]["filters"].as_array_mut().unwrap().insert(0, theirs.clone());
    rules.as_array_mut().unwrap().swap(0, 1);
    world.change(json!({"spec": {"rules": rules}})).await;
    assert!(world.cluster.hand_back(&key, &attempt("back")).await.unwrap().is_applied());
    let filters = world.route().await["spec"]["rules"][0]["filters"].clone();
    assert_eq!((filters.as_array().map(Vec::len), &filters[0]), (Some(2), &theirs));
    world.seen(&key, "nothing copied", |w| w.copied() == 0).await;
}

#[tokio::test]
async fn a_rehearsal_tries_every_patch_and_a_class_without_the_feature_is_refused() {
    let world = World::new("shadow").await;
    let (key, good) = world.behind().await;
    let now = chrono::Utc::now();
    let rehearsal = world.cluster.rehearse(&key, &shadow(20), now).await.unwrap();
    let failed: Vec<_> = rehearsal.checks.iter().filter(|c| !c.passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(rehearsal.checks.iter().any(|c| c.name == "Filter of the HTTPRoute"), "{rehearsal:?}");
    let route = world.route().await;
    assert_eq!(route["spec"]["rules"][1]["filters"].as_array().map(Vec::len), Some(1), "none of it is kept");
    assert!(route["metadata"]["annotations"][MARK].is_null());

    let class = format!("class-{}", world.ns);
    let gateway = json!({"apiVersion": format!("{GATEWAY}/v1"), "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": world.ns},
        "spec": {"gatewayClassName": class, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}});
    let object = json!({"apiVersion": format!("{GATEWAY}/v1"), "kind": "GatewayClass", "metadata": {"name": class},
        "spec": {"controllerName": "example.com/gateway"}});
    world.sandbox.apply_yaml(&format!("{gateway}\n---\n{object}")).await.unwrap();
    assert_eq!(world.cluster.can_copy(&key, 20).await, Ok(()), "it names no features");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GATEWAY, "v1", "GatewayClass"));
    let classes: Api<DynamicObject> = Api::all_with(world.sandbox.admin().await.unwrap(), &kind);
    let named = async |features: &[&str]| {
        let features: Vec<_> = features.iter().map(|name| json!({"name": name})).collect();
        let status = json!({"status": {"supportedFeatures": features}});
        classes.patch_status(&class, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        world.cluster.can_copy(&key, 20).await
    };
    assert!(named(&["HTTPRouteHostRewrite"]).await.unwrap_err().contains("copies no requests"));
    assert!(named(&["HTTPRouteRequestMirror"]).await.unwrap_err().contains("Write `percent: 100`"));
    assert_eq!(world.cluster.can_copy(&key, 100).await, Ok(()));
    let sent = world.cluster.deploy(&key, &attempt("deploy"), &shadow(20), &good, RELEASE).await.unwrap();
    assert!(matches!(sent, Outcome::Refused { .. }), "{sent:?}");
    assert_eq!(named(&["HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"]).await, Ok(()));
    classes.delete(&class, &DeleteParams::default()).await.unwrap();
}
