//! Users of a Deployment switched to a second one beside it, request by request, on the real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Announced, Outcome, Voided};
use common::{RELEASE, World, attempt, image, plan_by};
use kube::Api;
use kube::api::{Patch, PatchParams};
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

type Services = Api<k8s_openapi::api::core::v1::Service>;

impl World {
    async fn services(&self) -> Services {
        Api::namespaced(self.sandbox.admin().await.unwrap(), &self.ns)
    }

    /// Selector and mark.
    async fn service(&self, name: &str) -> (Value, Option<String>) {
        let service = self.services().await.get(name).await.unwrap();
        let mark = service.metadata.annotations.and_then(|a| a.get(cluster::ATTEMPT).cloned());
        (json!(service.spec.unwrap().selector), mark)
    }

    /// Behind two Services, one of which goes by more, with the second Deployment up: nobody is sent there.
    async fn previewed(&self, key: &Key) -> (KnownGood, Arc<Workload>) {
        for (name, selector) in [("mail", json!({"app": "mailer"})), ("spool", json!({"app": "mailer"}))] {
            let service = json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": self.ns},
                "spec": {"selector": selector, "ports": [{"port": 80}]}});
            self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        }
        let good = self.deployment(key, 2).await;
        self.seen(key, "behind both", |w| w.fronts.len() == 2).await;
        let plan = plan_by(json!({"blueGreen": {}}), 2);
        let sent = self.cluster.deploy(key, &attempt("deploy"), &plan, &good, RELEASE).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
        self.seen(key, "beside it", |w| w.stands_apart()).await;
        assert!(self.cluster.scale(key, &attempt("scale"), 0, 2).await.unwrap().is_applied());
        let up = self
            .seen(key, "up", |w| {
                w.twin.as_ref().is_some_and(|t| t.ready == 2 && t.phase == Phase::Healthy && t.hash.is_some())
            })
            .await;
        assert!(!up.any_switched() && up.canary_share() == 0);
        // Its pods carry other labels: whoever reads it past the cache must know them all the same.
        let fresh = self.cluster.fresh(key).await.unwrap();
        assert_eq!(fresh.twin, up.twin);
        assert!(fresh.twin.is_some_and(|t| up.revisions.iter().any(|r| Some(&r.hash) == t.hash.as_ref())));
        (good, up)
    }

    async fn switch(&self, key: &Key, id: &str, decided: &Workload) -> Outcome {
        let (id, hash) = (attempt(id), decided.twin.as_ref().unwrap().hash.clone().unwrap());
        let announced = Announced::after(&id, decided.attempt.as_deref());
        self.cluster.switch(key, announced, &hash, &decided.fronts).await.unwrap()
    }
}

fn mailer(world: &World) -> Key {
    world.key_of(Kind::Deployment, "mailer")
}

fn own() -> Value {
    json!({"app": "mailer"})
}

fn there() -> Value {
    json!({"app": "mailer-tidegate"})
}

#[tokio::test]
async fn every_service_is_switched_once_and_the_way_back_is_the_selector() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    let (good, up) = world.previewed(&key).await;
    let both = tokio::join!(world.switch(&key, "a", &up), world.switch(&key, "b", &up));
    assert!(!(both.0.is_applied() && both.1.is_applied()), "{both:?}");
    // Whichever came first: together they may have switched one Service each, and who looks again completes it.
    let seen = world.seen(&key, "switched", Workload::any_switched).await;
    if !seen.all_switched() {
        // Refused where it was complete before it was seen to be: the Services are asked, not the view of them.
        let rest = world.switch(&key, "c", &seen).await;
        assert!(!matches!(rest, Outcome::Unsure { .. }), "{rest:?}");
    }
    let w = world.seen(&key, "switched", Workload::all_switched).await;
    assert_eq!((w.canary_share(), w.images["app"].as_str()), (100, image(1).as_str()));
    let way = route(&w, &good.hash);
    assert_eq!((way.calls.as_slice(), way.pace), (&[Call::HandBack][..], Pace::Seconds));
    let done = world.cluster.roll_back(&key, &attempt("back"), &good, &way).await.unwrap();
    assert_eq!((done.calls.len(), done.without.len()), (1, 0));
    for name in ["mail", "spool"] {
        assert_eq!(world.service(name).await, (own(), Some("test-back".into())));
    }
    let w = world.seen(&key, "handed back", |w| !w.any_switched()).await;
    assert_eq!(w.twin.as_ref().map(|t| t.ready), Some(2), "its pods stand for who is still on his way there");
    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone", |w| w.twin.is_none() && w.phase == Phase::Healthy).await;
}

/// Testers reach the new version by a Service of ours, which no user comes by, and which goes with it.
#[tokio::test]
async fn the_preview_has_a_service_like_the_users_own_until_it_goes() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    let (_, up) = world.previewed(&key).await;
    let at = format!("http://mailer-tidegate.{}.svc", world.ns);
    assert_eq!(up.twin.as_ref().unwrap().address.as_deref(), Some(at.as_str()));
    let ours = world.services().await.get("mailer-tidegate").await.unwrap();
    let owner = &ours.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Deployment", "mailer-tidegate"));
    let (selector, mark) = world.service("mailer-tidegate").await;
    assert_eq!(selector, json!({"tidegate.dev/beside": "mailer-tidegate"}));
    assert_eq!(mark.as_deref(), Some("test-scale"));
    assert_eq!(up.fronts.len(), 2, "no switch writes it");
    let selects = kube::api::ListParams::default().labels("tidegate.dev/beside=mailer-tidegate");
    let pods: Api<k8s_openapi::api::core::v1::Pod> =
        Api::namespaced(world.sandbox.admin().await.unwrap(), &world.ns);
    let images = pods.list(&selects).await.unwrap().items.into_iter().map(|p| p.spec.unwrap().containers);
    assert_eq!(images.map(|c| c[0].image.clone().unwrap()).collect::<Vec<_>>(), [image(2), image(2)]);

    assert!(world.cluster.retire(&key, &attempt("retire")).await.unwrap().is_applied());
    world.seen(&key, "alone", |w| w.twin.is_none()).await;
    let gone = kube::runtime::wait::await_condition(
        world.services().await,
        "mailer-tidegate",
        |s: Option<&k8s_openapi::api::core::v1::Service>| s.is_none(),
    );
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.unwrap().unwrap();
    assert!(world.services().await.get_opt("mail").await.unwrap().is_some());
}

/// Somebody's own Service of that name is not taken for ours, and is found out before anything changes.
#[tokio::test]
async fn a_service_of_somebody_elses_in_the_previews_place_is_refused_before_anything_changes() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    for name in ["mail", "mailer-tidegate"] {
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": world.ns},
            "spec": {"selector": {"app": "mailer"}, "ports": [{"port": 80}]}});
        world.sandbox.apply_yaml(&service.to_string()).await.unwrap();
    }
    let good = world.deployment(&key, 1).await;
    world.seen(&key, "behind both", |w| w.fronts.len() == 2).await;
    let plan = plan_by(json!({"blueGreen": {}}), 2);
    let sent = world.cluster.deploy(&key, &attempt("deploy"), &plan, &good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = sent else { panic!("{sent:?}") };
    assert!(why.contains("Service mailer-tidegate is there already"), "{why}");
    assert_eq!(world.cluster.fresh(&key).await.unwrap().attempt, None);
}

/// The press at the preview: a switch that was decided on before it, and comes after it, finds another mark.
#[tokio::test]
async fn a_switch_that_comes_after_the_way_back_is_not_taken() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    let (good, up) = world.previewed(&key).await;
    assert!(world.cluster.hand_back(&key, &attempt("back")).await.unwrap().is_applied());
    let Outcome::Refused { why } = world.switch(&key, "late", &up).await else { panic!("taken") };
    assert!(why.contains("another change has reached it, and left the mark test-back"), "{why}");
    assert_eq!(world.service("mail").await.0, own());
    let w = world.seen(&key, "marked", |w| w.fronts.iter().all(|f| f.attempt.is_some())).await;
    let way = route(&w, &good.hash);
    assert_eq!(way.calls, [Call::HandBack, Call::Retire]);
    world.cluster.roll_back(&key, &attempt("again"), &good, &way).await.unwrap();
    world.seen(&key, "alone", |w| w.twin.is_none()).await;
    // A conductor that does not know of the press makes as sure of it, with nothing beside the Deployment any more.
    assert!(world.cluster.hand_back(&key, &attempt("sure")).await.unwrap().is_applied());
    assert_eq!(world.service("mail").await, (own(), Some("test-sure".into())));
}

#[tokio::test]
async fn an_unseen_switch_is_made_void_or_found_to_have_landed() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    let (_, up) = world.previewed(&key).await;
    let id = attempt("lost");
    assert_eq!(world.cluster.void_switch(&key, &id).await.unwrap(), Voided::Void);
    let late = world.switch(&key, "lost", &up).await;
    assert!(matches!(late, Outcome::Refused { .. }), "{late:?}");
    assert_eq!(world.service("spool").await, (own(), Some("void-test-lost".into())));

    let now = world.seen(&key, "void", |w| w.fronts.iter().all(|f| f.attempt.is_some())).await;
    assert!(world.switch(&key, "again", &now).await.is_applied());
    assert_eq!(world.cluster.void_switch(&key, &attempt("again")).await.unwrap(), Voided::Landed);
    assert_eq!(world.service("mail").await.0, there());
}

/// What git says of a selector wins, and leads to whole pods.
#[tokio::test]
async fn a_selector_that_somebody_else_wrote_is_not_written_over() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    let (_, up) = world.previewed(&key).await;
    let more = json!({"spec": {"selector": {"app": "mailer", "tier": "back"}}});
    world.services().await.patch("mail", &PatchParams::default(), &Patch::Merge(more)).await.unwrap();
    let refused = world.switch(&key, "switch", &up).await;
    assert!(matches!(refused, Outcome::Refused { .. }), "{refused:?}");
    assert_eq!(world.service("mail").await.0, json!({"app": "mailer", "tier": "back"}));
}

/// A Service that selects other workloads' pods as well would take their users along.
#[tokio::test]
async fn a_service_of_several_workloads_is_refused_before_anything_changes() {
    let world = World::new("switch").await;
    let key = mailer(&world);
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "all", "namespace": world.ns},
        "spec": {"selector": {"team": "mail"}, "ports": [{"port": 80}]}});
    world.sandbox.apply_yaml(&service.to_string()).await.unwrap();
    let good = world.deployment(&key, 1).await;
    let other = world.key_of(Kind::Deployment, "spooler");
    world.deployment(&other, 1).await;
    for key in [&key, &other] {
        let labels = json!({"spec": {"template": {"metadata": {"labels": {"team": "mail"}}}}});
        world.elsewhere(key, labels).await;
        world.seen(key, "in front", |w| w.fronts.len() == 1 && w.phase == Phase::Healthy).await;
    }
    let plan = plan_by(json!({"blueGreen": {}}), 2);
    let sent = world.cluster.deploy(&key, &attempt("deploy"), &plan, &good, RELEASE).await.unwrap();
    let Outcome::Refused { why } = sent else { panic!("{sent:?}") };
    assert!(why.contains("Service all selects pods of spooler as well"), "{why}");
    assert_eq!(world.service("all").await.1, None);
}
