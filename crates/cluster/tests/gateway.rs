//! A canary Rollout behind an HTTPRoute, whose weights the controller's plugin writes: judged by what the route says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{RELEASE, World, attempt, plan_of};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Phase, Workload};
use sandbox::Strategy;
use serde_json::{Value, json};

impl World {
    async fn behind_a_route(&self) -> Key {
        let key = self.rollout("web", 4, Strategy::Gateway).await;
        let w = self.cluster.workload(&key).unwrap();
        assert_eq!(w.router.as_deref(), Some("Gateway API (HTTPRoute web)"));
        key
    }

    async fn rules(&self) -> Vec<Value> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
        let client = self.sandbox.admin().await.unwrap();
        let routes: Api<DynamicObject> = Api::namespaced_with(client, &self.ns, &kind);
        let route = routes.get("web").await.unwrap();
        route.data["spec"]["rules"].as_array().unwrap().clone()
    }

    /// The weights of the stable and the canary Service, as the API server has them.
    async fn split(&self) -> (i64, i64) {
        let backends = &self.rules().await[0]["backendRefs"];
        assert_eq!((&backends[0]["name"], &backends[1]["name"]), (&json!("web"), &json!("web-canary")));
        (backends[0]["weight"].as_i64().unwrap(), backends[1]["weight"].as_i64().unwrap())
    }
}

#[tokio::test]
async fn each_step_is_a_weight_of_the_route_and_the_promoted_version_goes_back_while_the_old_pods_stand() {
    let world = World::new("route").await;
    let key = world.behind_a_route().await;
    let (good, first) = world.in_flight(&key).await;
    assert_eq!(first.weights.map(|w| (w.stable, w.canary)), Some((80, 20)));
    assert_eq!(world.split().await, (80, 20));

    assert!(world.cluster.open_pause(&key, &attempt("open"), 1).await.unwrap().is_applied());
    world.seen(&key, "at the second", |w| w.phase == Phase::Paused && w.step_index == Some(3)).await;
    assert_eq!(world.split().await, (50, 50));
    assert!(world.cluster.open_pause(&key, &attempt("open-2"), 3).await.unwrap().is_applied());
    let promoted = world.seen(&key, "promoted", |w| w.phase == Phase::Healthy && !w.in_flight()).await;
    assert_ne!(promoted.stable_hash.as_ref(), Some(&good.hash));
    // Users stay where they are: the stable Service selects the new pods before the weight falls.
    world.seen(&key, "as one version", |w| w.weights.is_some_and(|x| x.canary == 0)).await;
    assert_eq!(world.split().await, (100, 0));

    assert_eq!(route(&world.cluster.workload(&key).unwrap(), &good.hash).pace, Pace::Seconds);
    assert_eq!(world.roll_back(&key, &good).await[0], Call::RevertThroughWindow);
    world.home(&key, &good).await;
    assert_eq!(world.split().await, (100, 0));
}

#[tokio::test]
async fn taken_back_in_flight_only_the_weights_move_also_while_somebody_has_paused_it() {
    let world = World::new("route-back").await;
    let key = world.behind_a_route().await;
    let (good, w) = world.in_flight(&key).await;
    assert_eq!(route(&w, &good.hash).pace, Pace::Seconds);
    world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
    world.seen(&key, "paused by somebody", |w| w.spec_paused && w.observed()).await;
    assert_eq!(world.roll_back(&key, &good).await, [Call::Abort, Call::Unpause, Call::Revert]);
    let home = world.home(&key, &good).await;
    assert_eq!(world.split().await, (100, 0));
    assert_eq!(home.revision(&good.hash).map(|r| r.ready), Some(4), "none of its pods ever stopped");
}

#[tokio::test]
async fn a_step_has_the_pods_and_the_header_it_asks_for_and_the_next_has_neither() {
    let world = World::new("route-asks").await;
    let key = world.behind_a_route().await;
    let good = world.cluster.template(&key).await.unwrap();
    let header = json!({"name": "X-Canary", "value": "yes"});
    let steps = json!([{"weight": 5, "bake": "1m", "scale": 3, "header": header},
        {"weight": 30, "bake": "1m"}, {"weight": 100}]);
    let plan = plan_of(steps, 2);
    let sent = world.cluster.deploy(&key, &attempt("deploy"), &plan, &good, RELEASE).await.unwrap();
    assert!(sent.is_applied(), "{sent:?}");
    let at = |pause| move |w: &Workload| w.phase == Phase::Paused && w.step_index == Some(pause);
    let w = world.seen(&key, "at its first step", at(plan.pause_of(0))).await;
    assert_eq!(w.weights.map(|w| (w.stable, w.canary)), Some((95, 5)));
    let new = w.current_hash.clone().unwrap();
    assert_eq!(w.revision(&new).map(|r| r.ready), Some(3), "5 % of 4 would be one");
    let rules = world.rules().await;
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert_eq!(rules[1]["matches"][0]["headers"][0]["name"], "X-Canary");
    assert_eq!(rules[1]["backendRefs"][0]["name"], "web-canary");

    let from = plan.pause_of(0);
    assert!(world.cluster.open_pause(&key, &attempt("open"), from).await.unwrap().is_applied());
    world.seen(&key, "at its second step", at(plan.pause_of(1))).await;
    assert_eq!((world.split().await, world.rules().await.len()), ((70, 30), 1));
    world.seen(&key, "with the pods of its weight", |w| w.revision(&new).is_some_and(|r| r.ready == 2)).await;
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    assert_eq!((world.split().await, world.rules().await.len()), ((100, 0), 1));

    // Taken back while a header still leads to it: nobody is led there any more.
    let sent = world.cluster.deploy(&key, &attempt("again"), &plan, &good, RELEASE).await.unwrap();
    assert!(sent.is_applied(), "{sent:?}");
    world.seen(&key, "at its first step again", at(plan.pause_of(0))).await;
    assert_eq!(world.rules().await.len(), 2);
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    assert_eq!((world.split().await, world.rules().await.len()), ((100, 0), 1));
}
