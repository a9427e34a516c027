//! Users of a Deployment sent to a second one beside it by a canary Ingress, request by request, on the real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Outcome, Voided};
use common::{RELEASE, SOON, World, attempt, plan};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

type Ingresses = Api<k8s_openapi::api::networking::v1::Ingress>;
type Services = Api<k8s_openapi::api::core::v1::Service>;

const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
const OURS: &str = "mailer-tidegate";

impl World {
    async fn ingresses(&self) -> Ingresses {
        Api::namespaced(self.sandbox.admin().await.unwrap(), &self.ns)
    }

    async fn services(&self) -> Services {
        Api::namespaced(self.sandbox.admin().await.unwrap(), &self.ns)
    }

    /// The canary Ingress's weight and mark.
    async fn canary(&self) -> (String, String) {
        let annotations = self.ingresses().await.get(OURS).await.unwrap().metadata.annotations.unwrap();
        (annotations[WEIGHT].clone(), annotations[cluster::ATTEMPT].clone())
    }

    /// Four pods behind a Service and an Ingress, and version 2 beside them with one that nobody is sent to.
    async fn ready(&self) -> (Key, KnownGood, Arc<Workload>) {
        let key = self.key_of(Kind::Deployment, "mailer");
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "mail", "namespace": self.ns},
            "spec": {"selector": {"app": "mailer"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
        self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "shop", "namespace": self.ns},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "mail.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "mail", "port": {"name": "http"}}}}]}}]}});
        self.sandbox.apply_yaml(&ingress.to_string()).await.unwrap();
        let good = self.deployment(&key, 4).await;
        self.seen(&key, "behind an Ingress", |w| w.weighed().is_ok()).await;
        let sent = self.cluster.deploy(&key, &attempt("deploy"), &plan(2), &good, RELEASE).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        self.seen(&key, "beside it", |w| w.stands_apart() && w.by_weight()).await;
        let sent = self.cluster.scale(&key, &attempt("scale"), 0, 1).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        let up = self
            .seen(&key, "up", |w| {
                let whole =
                    |t: &model::workload::Twin| t.ready == 1 && t.phase == Phase::Healthy && t.hash.is_some();
                w.twin.as_deref().is_some_and(whole) && w.canary_weight() == Some(0)
            })
            .await;
        (key, good, up)
    }

    /// As it was `decided`.
    async fn weigh(&self, key: &Key, id: &str, decided: &Workload, to: u8) -> Outcome {
        let ingress = decided.splitter.as_ref().unwrap();
        let (mark, from) = (ingress.attempt.as_deref(), ingress.weight.unwrap());
        self.cluster.weigh(key, &attempt(id), mark, from, to).await.unwrap()
    }
}

#[tokio::test]
async fn a_weight_is_exact_and_the_users_own_objects_stay_as_they_are() {
    let world = World::new("weight").await;
    let (key, good, up) = world.ready().await;
    assert_eq!((up.canary_share(), up.any_sent()), (0, false));
    let service = world.services().await.get(OURS).await.unwrap();
    let selector = service.spec.as_ref().unwrap().selector.clone();
    assert_eq!(json!(selector), json!({"tidegate.dev/beside": OURS}));
    let own: Vec<Value> = [
        json!(world.services().await.get("mail").await.unwrap().metadata.resource_version),
        json!(world.ingresses().await.get("shop").await.unwrap().metadata.resource_version),
    ]
    .into();

    assert!(world.weigh(&key, "seven", &up, 7).await.is_applied());
    let w = world.seen(&key, "at 7 %", |w| w.canary_weight() == Some(7)).await;
    assert_eq!((w.canary_share(), w.weights.unwrap().stable, w.ready), (7, 93, 4));
    let again = world.weigh(&key, "again", &up, 9).await;
    assert!(matches!(again, Outcome::Refused { .. }), "decided on what was before: {again:?}");
    assert!(world.weigh(&key, "eight", &w, 8).await.is_applied());
    let w = world.seen(&key, "at 8 %", |w| w.canary_weight() == Some(8)).await;

    let way = route(&w, &good.hash);
    assert_eq!((way.calls.as_slice(), way.pace), (&[Call::HandBack][..], Pace::Seconds));
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &way).await.unwrap();
    assert_eq!((done.calls.len(), done.without.len()), (1, 0));
    assert_eq!(world.canary().await, ("0".into(), "test-back".into()));
    world.seen(&key, "handed back", |w| !w.any_sent() && w.canary_share() == 0).await;
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone, and without a canary Ingress", |w| w.twin.is_none() && !w.by_weight()).await;
    let gone = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(100));
        while world.services().await.get_opt(OURS).await.unwrap().is_some() {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(SOON, gone).await.is_ok(), "the canary Service goes with its owner");
    let now: Vec<Value> = [
        json!(world.services().await.get("mail").await.unwrap().metadata.resource_version),
        json!(world.ingresses().await.get("shop").await.unwrap().metadata.resource_version),
    ]
    .into();
    assert_eq!(own, now, "the user's own Service and Ingress were never written");
}

/// Who slept between decision and request finds another mark, and sends nobody anywhere.
#[tokio::test]
async fn a_weight_that_comes_after_the_way_back_is_not_taken() {
    let world = World::new("weight").await;
    let (key, _, up) = world.ready().await;
    assert!(world.cluster.hand_back(&key, &attempt("back")).await.unwrap().is_applied());
    let Outcome::Refused { why } = world.weigh(&key, "late", &up, 20).await else { panic!("taken") };
    assert!(why.contains("another change has reached it, and left the mark test-back"), "{why}");
    assert_eq!(world.canary().await.0, "0");
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone", |w| w.twin.is_none() && !w.by_weight()).await;
    let late = world.cluster.weigh(&key, &attempt("later"), Some("test-scale"), 0, 20).await.unwrap();
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
}

#[tokio::test]
async fn an_unseen_weight_is_made_void_or_found_to_have_landed() {
    let world = World::new("weight").await;
    let (key, _, up) = world.ready().await;
    assert_eq!(world.cluster.void_weight(&key, &attempt("lost")).await.unwrap(), Voided::Void);
    let late = world.weigh(&key, "lost", &up, 20).await;
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    assert_eq!(world.canary().await, ("0".into(), "void-test-lost".into()));
    let void = |w: &Workload| w.weight_mark() == Some("void-test-lost");
    let now = world.seen(&key, "void", void).await;
    assert!(world.weigh(&key, "again", &now, 20).await.is_applied());
    assert_eq!(world.cluster.void_weight(&key, &attempt("again")).await.unwrap(), Voided::Landed);
    assert_eq!(world.canary().await.0, "20");
}

/// What was made by an attempt whose process died is taken up by the next one; what is somebody else's is not.
#[tokio::test]
async fn a_canary_ingress_that_is_missing_is_made_again_and_at_nothing() {
    let world = World::new("weight").await;
    let (key, _, up) = world.ready().await;
    assert!(world.weigh(&key, "weigh", &up, 20).await.is_applied());
    world.ingresses().await.delete(OURS, &DeleteParams::default()).await.unwrap();
    world.seen(&key, "without it", |w| w.canary_weight().is_none()).await;
    let sent = world.cluster.scale(&key, &attempt("anew"), 1, 1).await.unwrap();
    assert!(sent.is_applied(), "its Service was there already: {sent:?}");
    assert_eq!(world.canary().await, ("0".into(), "test-anew".into()));
}

#[tokio::test]
async fn an_ingress_that_takes_no_weight_is_told_and_pods_carry_the_share() {
    let world = World::new("weight").await;
    let (key, good, _) = world.ready().await;
    assert!(world.cluster.hand_back(&key, &attempt("back")).await.unwrap().is_applied());
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone", |w| w.twin.is_none() && !w.by_weight() && w.phase == Phase::Healthy).await;
    let rehearsal = world.cluster.rehearse(&key, &plan(2), chrono::Utc::now()).await.unwrap();
    let failed: Vec<_> = rehearsal.checks.iter().filter(|c| !c.passed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    for name in ["Creation of the canary Ingress", "Weight of the canary Ingress to 0 %"] {
        assert!(rehearsal.checks.iter().any(|c| c.name == name), "{rehearsal:?}");
    }
    assert!(world.ingresses().await.get_opt(OURS).await.unwrap().is_none(), "none of it is kept");
    let cookie = json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/affinity": "cookie"}}});
    world.ingresses().await.patch("shop", &PatchParams::default(), &Patch::Merge(cookie)).await.unwrap();
    let w = world.seen(&key, "unfit", |w| w.weighed().is_err()).await;
    assert!(w.weighed().unwrap_err().contains("could not be taken back"), "{:?}", w.splitter);
    let sent = world.cluster.deploy(&key, &attempt("again"), &plan(2), &good, RELEASE).await.unwrap();
    assert!(sent.is_applied(), "{sent:?}");
    let w = world.seen(&key, "beside", |w| w.twin.is_some()).await;
    assert!(!w.stands_apart() && !w.by_weight(), "its Service selects both: {:?}", w.twin);
}
