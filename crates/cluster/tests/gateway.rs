//! A canary Rollout behind an HTTPRoute, whose weights the controller's plugin writes: judged by what the route says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{World, attempt};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Phase};
use sandbox::Strategy;
use serde_json::json;

impl World {
    async fn behind_a_route(&self) -> Key {
        let key = self.rollout("web", 4, Strategy::Gateway).await;
        let w = self.cluster.workload(&key).unwrap();
        assert_eq!(w.router.as_deref(), Some("Gateway API (HTTPRoute web)"));
        key
    }

    /// The weights of the stable and the canary Service, as the API server has them.
    async fn split(&self) -> (i64, i64) {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let kind = ApiResource::from_gvk_with_plural(&kind, "httproutes");
        let client = self.sandbox.admin().await.unwrap();
        let routes: Api<DynamicObject> = Api::namespaced_with(client, &self.ns, &kind);
        let route = routes.get("web").await.unwrap();
        let backends = &route.data["spec"]["rules"][0]["backendRefs"];
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
    assert_eq!(world.roll_back(&key, &good).await, [Call::Unpause, Call::Abort, Call::Revert]);
    let home = world.home(&key, &good).await;
    assert_eq!(world.split().await, (100, 0));
    assert_eq!(home.revision(&good.hash).map(|r| r.ready), Some(4), "none of its pods ever stopped");
}
