//! A blue-green Rollout, released by a plan: previewed, switched, taken back in an instant.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, People, Replica, World, at_rest, people};
use model::ReleaseId;
use model::release::State;
use model::workload::{Key, Phase, Workload};
use sandbox::Strategy;
use serde_json::{Value, json};
use std::sync::Arc;

const OLD: &str = "registry.example.com/shop/search:1.0.0";

impl World {
    /// A blue-green Rollout of three pods, which its owner lets promote itself at once.
    async fn search(&self) -> Key {
        let manifest = sandbox::Workload {
            namespace: self.namespace.clone(),
            name: "search".into(),
            replicas: 3,
            image: OLD.into(),
            strategy: Strategy::BlueGreen,
            rps: 200.0,
        }
        .manifest()
        .replace(
            "\"autoPromotionEnabled\":false",
            "\"autoPromotionEnabled\":true,\"scaleDownDelaySeconds\":2",
        );
        self.sandbox.apply_yaml(&manifest).await.unwrap();
        let key = Key { name: "search".into(), ..self.key() };
        self.until(&key, |w| w.phase == Phase::Healthy && w.ready == 3).await;
        key
    }

    async fn until(&self, key: &Key, is: impl Fn(&Workload) -> bool) -> Arc<Workload> {
        match self.cluster.wait_for(key, DEADLINE, is).await {
            Some(w) => w,
            None => panic!("not within {DEADLINE:?}: {:#?}", self.cluster.workload(key)),
        }
    }

    async fn start(&self, replica: &Replica, people: &People, tag: &str, both: &str) -> ReleaseId {
        let name = tag.replace(['.', '_'], "-");
        let namespace = &self.namespace;
        let plan = format!(
            "apiVersion: tidegate.dev/v1\nkind: Plan\nmetadata: {{name: search-{name}, service: search, environment: \
             production}}\nspec:\n  change: {{images: {{app: 'registry.example.com/shop/search:{tag}'}}}}\n  strategy: \
             {{blueGreen: {both}}}\n  analysis: {{minRequests: 50, maxErrorPercent: 2, maxP95Ms: 2000}}\n  workload: \
             {{namespace: {namespace}, name: search}}\n  approvals: {{required: 1, from: [approver], expire: 24h}}\n"
        );
        replica.release(people, &plan).await
    }

    /// The users' requests that found no pod, from the beginning to a moment from now on.
    async fn nobody_was_sent_to_nothing(&self) {
        let prometheus = cluster::Prometheus::new(&self.sandbox.info.prometheus_url).unwrap();
        let of = |more: &str| {
            format!("http_requests_total{{namespace=\"{}\",service=\"search\"{more}}}", self.namespace)
        };
        let ask = async |query: String| {
            let found = prometheus.query(&query, chrono::Utc::now()).await.unwrap();
            found.first().and_then(|s| s.value)
        };
        let now = chrono::Utc::now().timestamp() as f64;
        let begun = std::time::Instant::now();
        while ask(format!("max(timestamp({}))", of(""))).await.is_none_or(|seen| seen <= now + 1.0) {
            assert!(begun.elapsed() < DEADLINE, "Prometheus does not see the users");
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        assert!(ask(format!("sum({})", of(""))).await.is_some_and(|all| all > 0.0));
        assert_eq!(
            ask(format!("sum({})", of(",code=\"503\""))).await.unwrap_or(0.0),
            0.0,
            "requests to nothing"
        );
    }

    async fn settings(&self) -> Value {
        let client = self.sandbox.admin().await.unwrap();
        let kind = kube::core::GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
        let resource = kube::api::ApiResource::from_gvk_with_plural(&kind, "rollouts");
        let all: kube::Api<kube::api::DynamicObject> =
            kube::Api::namespaced_with(client, &self.namespace, &resource);
        all.get("search").await.unwrap().data["spec"]["strategy"]["blueGreen"].clone()
    }
}

fn on(w: &Workload, hash: Option<&String>) -> bool {
    w.active_hash.as_ref() == hash && w.current_hash.as_ref() == hash && w.phase == Phase::Healthy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_switched_when_the_gate_opens_and_taken_back_in_an_instant() {
    let world = World::new().await;
    let key = world.search().await;
    let before = world.settings().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let both = "{preview: {bake: 1s, gates: [{approval: on-call}]}, after: {bake: 5m}}";
    let id = world.start(&replica, &people, "1.1.0", both).await;
    let waiting = replica.wait_state(id, State::Waiting).await;
    assert_eq!(waiting.step, Some(0));
    assert_eq!(
        waiting.note.as_deref(),
        Some("Everything else passed. On-call opens the gate to the switch.")
    );
    let up = world.cluster.workload(&key).unwrap();
    let (old, new) = (up.stable_hash.clone(), up.current_hash.clone());
    assert_eq!((&up.active_hash, &up.preview_hash), (&old, &new), "users stay where they were");
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    let names: Vec<_> = page.live.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["Preview", "After the switch"]);
    assert_eq!((page.live.weight, page.live.ceiling), (0, 0));
    assert_eq!(page.live.headline, "1.1.0 waits at the preview for a person.");

    replica.control.open_gate(&people.on_call, id, None).await.unwrap();
    let baking = |r: &model::release::Release| {
        r.step == Some(1) && r.step_since.is_some() && r.state == State::Running
    };
    replica.wait(id, "baking after the switch", baking).await;
    world.until(&key, |w| on(w, new.as_ref())).await;
    let page = replica.control.release(&people.viewer, id).await.unwrap();
    assert_eq!((page.live.weight, page.live.ceiling), (100, 100));
    assert_eq!(page.live.badge, "Baking after the switch");
    assert_eq!(page.live.rollback.unwrap().takes, "about 2 s");

    // Back while the old pods stand by: none starts.
    let stood = world.cluster.workload(&key).unwrap();
    replica.control.roll_back(&people.on_call, id, Some("wrong results".into())).await.unwrap();
    let back = replica.wait_state(id, State::RolledBack).await;
    let home = world.until(&key, |w| on(w, old.as_ref())).await;
    let hash = old.as_deref().unwrap();
    assert_eq!(
        home.revision(hash).map(|r| (r.ready, r.created)),
        stood.revision(hash).map(|r| (3, r.created))
    );
    let proofs = replica.control.release(&people.viewer, back.id).await.unwrap().live.back.unwrap().proofs;
    // The error rate is measured beside it, and takes longer.
    assert!(proofs.iter().take(4).all(|p| p.at.is_some()) && proofs.len() == 5, "{proofs:?}");
    assert_eq!(proofs[0].words, "by the active Service");
    assert_eq!(world.settings().await, before, "its owner's settings are back");
    world.nobody_was_sent_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_release_ends_with_its_owners_settings_back() {
    let world = World::new().await;
    let key = world.search().await;
    let before = world.settings().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let both = "{preview: {bake: 1s}, after: {bake: 1s, gates: [analysis]}}";
    let id = world.start(&replica, &people, "1.1.0", both).await;
    let done = replica.wait(id, "over", |r| r.state.ended()).await;
    assert_eq!((done.state, done.passed.len()), (State::Succeeded, 2), "{:?}", done.reason);
    let verdict = done.verdict.unwrap();
    assert_eq!((verdict.step, verdict.class), (1, model::verdict::Class::Pass), "{}", verdict.words);
    let w = world.until(&key, |w| w.phase == Phase::Healthy && w.observed()).await;
    assert_eq!((&w.active_hash, &w.stable_hash), (&done.canary_hash, &done.canary_hash));
    assert_eq!(world.settings().await, before);
    assert_eq!(before["autoPromotionEnabled"], json!(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_after_the_switch_is_left_by_itself() {
    let world = World::new().await;
    let key = world.search().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id =
        world.start(&replica, &people, "1.1.0-errors-20pct", "{after: {bake: 5m, gates: [analysis]}}").await;
    let back = replica.wait_state(id, State::RolledBack).await;
    assert!(back.reason.unwrap().contains("errors"), "the analysis said so");
    let w = world.until(&key, at_rest).await;
    assert_eq!(w.images["app"], OLD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_at_the_preview_moves_no_user() {
    let world = World::new().await;
    let key = world.search().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0", "{preview: {bake: 5m}}").await;
    replica.wait(id, "at the preview", |r| r.step_since.is_some()).await;
    let old = world.cluster.workload(&key).unwrap().stable_hash.clone();
    replica.control.roll_back(&people.on_call, id, None).await.unwrap();
    replica.wait_state(id, State::RolledBack).await;
    world.until(&key, |w| on(w, old.as_ref())).await;
}
