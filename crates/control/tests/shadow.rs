//! A plain Deployment behind an HTTPRoute: copies of requests are judged before any user sees the version, and whoever stops
//! them takes nothing from anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;
#[path = "common/mailer.rs"]
mod mailer;

use common::{DEADLINE, World, people};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use mailer::{OLD, did};
use model::conductor::Effect;
use model::release::State;
use model::rollback::Pace;
use model::verdict::Class;
use model::workload::Key;
use serde_json::{Value, json};

const NEW: &str = "registry.example.com/shop/mailer:1.1.0";
const WEIGH: Effect = Effect::Weigh { from: 0, to: 0 };
const SHADOW: &str = "{shadow: {percent: 40, gates: [analysis, {approval: on-call}], after: {bake: 1s}}}";

impl World {
    async fn routes(&self) -> Api<DynamicObject> {
        let client = self.sandbox.admin().await.unwrap();
        let kind =
            ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
        Api::namespaced_with(client, &self.namespace, &kind)
    }

    async fn route(&self) -> Value {
        self.routes().await.get("shop").await.unwrap().data["spec"].clone()
    }

    /// The Deployment behind an HTTPRoute, and the route as its owner wrote it.
    async fn behind_a_route(&self) -> (Key, Value) {
        let key = self.mailer().await;
        let route = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": self.namespace},
            "spec": {"parentRefs": [{"name": "edge"}],
                "rules": [{"backendRefs": [{"name": "mailer", "port": 80}]}]}});
        self.sandbox.apply_yaml(&route.to_string()).await.unwrap();
        self.until(&key, |w| w.copies().is_ok()).await;
        (key, self.route().await)
    }

    /// Which part of the requests to a version's pods failed, users' and copies alike.
    async fn failing(&self, version: &str) -> f64 {
        let of = |codes: &str| {
            format!(
                "sum(max_over_time(http_requests_total{{namespace=\"{}\",service=\"mailer\",version=\"{version}\",\
                 code=~\"{codes}\"}}[30m]))",
                self.namespace
            )
        };
        let prometheus = cluster::Prometheus::new(&self.sandbox.info.prometheus_url).unwrap();
        let query = format!("{} / {}", of("5.."), of("..."));
        let series = prometheus.query(&query, chrono::Utc::now()).await.unwrap();
        series.first().and_then(|s| s.value).expect("its pods were asked")
    }

    /// The user's own objects are as they were, and nobody met anybody else or nobody.
    async fn as_before(&self, key: &Key, image: &str, route: &Value) {
        self.tidy(key, image).await;
        self.until(key, |w| !w.by_copies()).await;
        assert_eq!(self.route().await, *route);
        let lost = self.sandbox.requests_to_nothing(&self.namespace, "mailer").await.unwrap();
        assert_eq!(lost, Some(0.0), "requests to nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_are_judged_then_the_deployment_takes_the_version_over() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0", SHADOW).await;
    let release = replica.wait_state(id, State::Waiting).await;
    assert_eq!(release.verdict.as_ref().map(|v| v.class), Some(Class::Pass), "{release:?}");
    let w = world.until(&key, |w| w.copied() == 40).await;
    assert_eq!((w.canary_share(), w.images["app"].as_str()), (0, OLD), "no user is on it");
    assert_eq!(w.twin.as_ref().map(|t| t.ready), Some(2), "40 % of four, rounded up");
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert_eq!((page.live.weight, page.live.ceiling), (0, 0));
    assert!(page.live.headline.contains("no user sees it"), "{}", page.live.headline);
    let copies = page.live.steps[0].gates.iter().find(|g| g.kind == "copies").unwrap();
    assert_eq!(copies.figure, "40 % of requests");
    assert!(
        page.live.rollback.unwrap().steps[0].contains("Copies of 40 % of requests stop. No user notices")
    );

    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    let release = replica.wait_state(id, State::Succeeded).await;
    let at =
        |effect: &Effect| release.tried.iter().find(|t| t.effect.same_kind(effect) && t.happened).unwrap().at;
    assert!(at(&Effect::HandBack) <= at(&Effect::TakeOver), "no user before the copying has stopped");
    assert!(did(&release, &Effect::Retire));
    world.as_before(&key, NEW, &route).await;

    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.to_version, "1.0.0");
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD, &route).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_on_copies_is_taken_away_and_no_user_met_it() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0-errors-20pct", SHADOW).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    let verdict = release.verdict.as_ref().unwrap();
    assert_eq!((verdict.class, verdict.step), (Class::Fail, 0));
    assert!(did(&release, &WEIGH) && did(&release, &Effect::HandBack));
    assert!(!did(&release, &Effect::TakeOver) && !did(&release, &Effect::Revert), "its own pods never moved");
    world.as_before(&key, OLD, &route).await;
    // Some of any version's requests fail in the sandbox: far less than one in a hundred.
    let (old, new) = (world.failing("1.0.0").await, world.failing("1.1.0-errors-20pct").await);
    assert!(old < 0.01, "users' errors: {old}");
    assert!(new > 0.05, "the copies' errors: {new}");
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert!(page.live.headline.contains("no user saw 1.1.0-errors-20pct"), "{}", page.live.headline);
}

/// Pressed while requests are copied, while copies are on their way, and while the Deployment takes the version over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_back_and_abort_lead_home_from_each_state() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let long = "{shadow: {percent: 40, bake: 10m, gates: [analysis]}}";
    let id = world.start(&replica, &people, "1.1.0", long).await;
    replica.wait(id, "copied", |r| r.step_since.is_some()).await;
    let receipt = replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    assert_eq!(receipt.route.pace, Pace::Seconds);
    assert_eq!(world.route().await, route, "nothing is copied when the press is answered");
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(!did(&release, &Effect::Revert), "there was nothing to put back");
    world.as_before(&key, OLD, &route).await;

    let id = world.start(&replica, &people, "1.2.0", long).await;
    let weighing = |e: &Effect| e.same_kind(&WEIGH);
    let begun = |r: &model::release::Release| {
        r.attempt.as_ref().is_some_and(|a| weighing(&a.effect)) || did(r, &WEIGH)
    };
    replica.wait(id, "copies begin", begun).await;
    replica.control.abort(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::Cancelled).await;
    world.as_before(&key, OLD, &route).await;

    let quick = "{shadow: {percent: 40, gates: [analysis], after: {bake: 10m}}}";
    let id = world.start(&replica, &people, "1.3.0", quick).await;
    replica.wait(id, "taking over", |r| did(r, &Effect::TakeOver)).await;
    assert_eq!(world.route().await, route, "the filter is gone before any user sees the version");
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    world.as_before(&key, OLD, &route).await;
}

/// A Gateway that copies nothing, and somebody who takes the filter out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_do_not_arrive_or_are_taken_away_never_pass() {
    let world = World::new().await;
    let (key, route) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    // No user comes by a rule for another path, so nothing is copied there.
    let annotate = json!({"metadata": {"annotations": {"sandbox.tidegate.dev/rps": "0"}}});
    world.api().await.patch("mailer", &PatchParams::default(), &Patch::Merge(annotate)).await.unwrap();
    let id = world.start(&replica, &people, "1.1.0", "{shadow: {percent: 40, gates: [analysis]}}").await;
    let shut = |r: &model::release::Release| {
        r.step_since.is_some() && r.verdict.as_ref().is_some_and(|v| v.class == Class::NoData)
    };
    let release = replica.wait(id, "without data", shut).await;
    assert!(release.passed.is_empty());
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    let (_, waits) = page.live.next.unwrap();
    assert!(waits.contains("no copy has been answered yet"), "{waits}");

    world
        .routes()
        .await
        .patch("shop", &PatchParams::default(), &Patch::Merge(json!({"spec": route})))
        .await
        .unwrap();
    let release = replica.wait_state(id, State::RolledBack).await;
    assert!(release.reason.as_deref().unwrap_or_default().contains("past Tidegate"), "{release:?}");
    world.until(&key, |w| w.twin.is_none() && !w.by_copies()).await;
    assert_eq!(world.route().await, route);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_copied_is_refused_at_the_plans_field() {
    let world = World::new().await;
    let (key, _) = world.behind_a_route().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let text = world.mailer_plan("1.1.0", "{shadow: {percent: 40, gates: [analysis]}}");
    let checked = replica.control.check_plan(&people.manager, &text).await.unwrap();
    assert_eq!(checked.errors, []);
    let told = checked.warnings.iter().any(|w| w.message.contains("a copied POST is done twice"));
    assert!(told, "{:?}", checked.warnings);
    let both = json!({"spec": {"rules": [{"backendRefs": [{"name": "mailer", "port": 80}, {"name": "other", "port": 80}]}]}});
    world.routes().await.patch("shop", &PatchParams::default(), &Patch::Merge(both)).await.unwrap();
    assert!(world.cluster.wait_for(&key, DEADLINE, |w| w.copies().is_err()).await.is_some());
    let checked = replica.control.check_plan(&people.manager, &text).await.unwrap();
    assert_eq!(checked.errors[0].field, "spec.strategy.shadow");
    assert!(checked.errors[0].message.contains("something else beside mailer"), "{:?}", checked.errors);
}
