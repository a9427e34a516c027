//! A canary Deployment beside a user's own, in every state a rollback can meet it in. Judged by the API server: which
//! pods the Service leads to, what the user's own object says, and what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{Announced, Outcome};
use common::{RELEASE, SOON, World, attempt, image, plan};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{ListParams, ObjectList};
use kube::core::ObjectMeta;
use kube::runtime::wait::await_condition;
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::workload::{Key, Kind, Phase, Workload};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const OLD: &str = "1.1.0";
const NEW: &str = "1.2.0";

impl World {
    /// A Deployment of four pods on version 1 behind a Service. One pod more at a time, none less.
    async fn fronted(&self) -> (Key, KnownGood) {
        let key = self.key_of(Kind::Deployment, "web");
        self.deployment(&key, 4).await;
        let pace = json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}});
        self.elsewhere(&key, pace).await;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": self.ns},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
        self.sandbox.apply_yaml(&service.to_string()).await.unwrap();
        self.serves(&[(OLD, 4)]).await;
        self.seen(&key, "healthy at its pace", |w| w.phase == Phase::Healthy && w.generation >= 2).await;
        let good = self.cluster.template(&key).await.unwrap();
        (key, good)
    }

    async fn all<K>(&self) -> ObjectList<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let client = self.sandbox.admin().await.unwrap();
        Api::namespaced(client, &self.ns).list(&ListParams::default()).await.unwrap()
    }

    /// Ready endpoints of the Service by their pods' version.
    async fn endpoints(&self) -> BTreeMap<String, usize> {
        let (slices, pods) = tokio::join!(self.all::<EndpointSlice>(), self.all::<Pod>());
        let tag = |name: &str| {
            let pod = pods.items.iter().find(|p| p.metadata.name.as_deref() == Some(name))?;
            let image = pod.spec.as_ref()?.containers.first()?.image.clone()?;
            image.rsplit_once(':').map(|(_, tag)| tag.to_owned())
        };
        let mut found = BTreeMap::new();
        for endpoint in slices.items.into_iter().flat_map(|s| s.endpoints) {
            let ready = endpoint.conditions.is_some_and(|c| c.ready == Some(true));
            let pod = endpoint.target_ref.and_then(|t| t.name).filter(|_| ready);
            if let Some(tag) = pod.and_then(|name| tag(&name)) {
                *found.entry(tag).or_default() += 1;
            }
        }
        found
    }

    /// Waits until the Service leads to exactly these.
    async fn serves(&self, wanted: &[(&str, usize)]) {
        let wanted: BTreeMap<_, _> = wanted.iter().map(|(tag, pods)| ((*tag).to_owned(), *pods)).collect();
        let begun = tokio::time::Instant::now();
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            let found = self.endpoints().await;
            if found == wanted {
                return;
            }
            assert!(begun.elapsed() < SOON, "the Service leads to {found:?}, not to {wanted:?}");
        }
    }

    async fn deploys(&self, key: &Key, good: &KnownGood, id: &str, plan: &Plan) -> Outcome {
        self.cluster.deploy(key, &attempt(id), plan, good, RELEASE).await.unwrap()
    }

    async fn scales(&self, key: &Key, from: i32, to: i32) {
        let id = attempt(&format!("scale-{to}"));
        let sent = self.cluster.scale(key, &id, from, to).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
    }

    /// Version 2 stands beside version 1 with so many ready pods.
    async fn beside(&self, key: &Key, good: &KnownGood, pods: i32) -> Arc<Workload> {
        let sent = self.deploys(key, good, "deploy", &plan(2)).await;
        assert!(sent.is_applied(), "{sent:?}");
        self.seen(key, "made", |w| w.twin.is_some()).await;
        self.scales(key, 0, pods).await;
        self.seen(key, "beside", |w| w.twin.as_ref().is_some_and(|t| t.ready == pods && t.hash.is_some()))
            .await
    }

    async fn takes_over(&self, key: &Key, good: &KnownGood, version: u32) {
        let id = attempt("take-over");
        let sent = self.cluster.take_over(key, &id, &plan(version), good, RELEASE).await.unwrap();
        assert!(sent.is_applied(), "{sent:?}");
    }

    /// All the way, as a release does it.
    async fn released(&self, key: &Key, version: u32) -> KnownGood {
        let good = self.cluster.template(key).await.unwrap();
        let sent = self.deploys(key, &good, &format!("deploy-{version}"), &plan(version)).await;
        assert!(sent.is_applied(), "{sent:?}");
        self.seen(key, "made", |w| w.twin.is_some()).await;
        self.scales(key, 0, 1).await;
        self.seen(key, "beside", |w| w.twin.as_ref().is_some_and(|t| t.ready == 1)).await;
        self.takes_over(key, &good, version).await;
        self.seen(key, "taken over", |w| {
            w.phase == Phase::Healthy && w.images["app"] == image(version) && w.stable_hash == w.current_hash
        })
        .await;
        assert!(self.cluster.retire(key, &attempt("retire")).await.unwrap().is_applied());
        self.seen(key, "alone", |w| w.twin.is_none()).await;
        good
    }

    /// A quota of so many pods, all of which are there, once its controller has counted them.
    async fn room_for(&self, pods: u32) {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "full", "namespace": self.ns}, "spec": {"hard": {"pods": pods.to_string()}}});
        self.sandbox.apply_yaml(&quota.to_string()).await.unwrap();
        let client = self.sandbox.admin().await.unwrap();
        let counted = |q: Option<&ResourceQuota>| {
            let used = q.and_then(|q| q.status.as_ref()?.used.as_ref()?.get("pods"));
            used.is_some_and(|used| used.0 == pods.to_string())
        };
        let done = await_condition(Api::namespaced(client, &self.ns), "full", counted);
        tokio::time::timeout(SOON, done).await.expect("the quota is counted").unwrap();
    }

    /// Everything of ours is gone, and every pod belongs to the user's own Deployment.
    async fn tidy(&self, key: &Key, good: &KnownGood) -> Arc<Workload> {
        let w = self.seen(key, "without ours", |w| w.twin.is_none()).await;
        let own = self.object(key).await;
        assert_eq!(own["spec"]["template"], good.template, "the known-good template");
        let begun = tokio::time::Instant::now();
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            let left = self.left_behind(&own).await;
            if left.is_empty() {
                return w;
            }
            assert!(begun.elapsed() < SOON, "left behind: {left:?}");
        }
    }

    /// Names of what does not belong to the user's Deployment.
    async fn left_behind(&self, own: &Value) -> Vec<String> {
        let (deployments, sets, pods) =
            tokio::join!(self.all::<Deployment>(), self.all::<ReplicaSet>(), self.all::<Pod>());
        let uid = own["metadata"]["uid"].as_str().unwrap();
        let owned = |m: &ObjectMeta, by: &[&str]| {
            m.owner_references.iter().flatten().any(|o| by.contains(&o.uid.as_str()))
        };
        let (its, others): (Vec<_>, Vec<_>) =
            sets.items.iter().map(|s| &s.metadata).partition(|m| owned(m, &[uid]));
        let its: Vec<_> = its.iter().filter_map(|m| m.uid.as_deref()).collect();
        let deployments =
            deployments.items.iter().map(|d| &d.metadata).filter(|m| m.uid.as_deref() != Some(uid));
        let pods = pods.items.iter().map(|p| &p.metadata).filter(|m| !owned(m, &its));
        others.into_iter().chain(deployments).chain(pods).filter_map(|m| m.name.clone()).collect()
    }
}

#[tokio::test]
async fn at_a_weight_only_ours_goes_and_the_users_own_was_never_touched() {
    let world = World::new("twin-weight").await;
    let (key, good) = world.fronted().await;
    let before = world.object(&key).await;
    let w = world.beside(&key, &good, 1).await;
    assert_eq!((w.canary_share(), w.ready, w.in_flight()), (20, 4, true));
    world.serves(&[(OLD, 4), (NEW, 1)]).await;
    assert_eq!(route(&w, &good.hash).pace, Pace::Seconds);
    assert_eq!(world.roll_back(&key, &good).await, [Call::Retire]);
    world.home(&key, &good).await;
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
    assert_eq!(world.object(&key).await["spec"], before["spec"]);
}

#[tokio::test]
async fn taken_over_it_goes_back_at_its_rolling_pace() {
    let world = World::new("twin-promoted").await;
    let (key, _) = world.fronted().await;
    let good = world.released(&key, 2).await;
    world.serves(&[(NEW, 4)]).await;
    let w = world.cluster.workload(&key).unwrap();
    assert_eq!(route(&w, &good.hash).pace, Pace::PodStart);
    assert_eq!(world.roll_back(&key, &good).await, [Call::Revert]);
    let home = world.home(&key, &good).await;
    assert_eq!(home.revision(&good.hash).map(|r| r.ready), Some(4), "its ReplicaSet is used again");
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}

/// Somebody stopped the take-over halfway. Unpaused without the old template, it would go on.
#[tokio::test]
async fn paused_by_somebody_in_the_middle_of_taking_over() {
    let world = World::new("twin-midway").await;
    let (key, good) = world.fronted().await;
    world.beside(&key, &good, 1).await;
    world.takes_over(&key, &good, 2).await;
    world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
    let w = world.seen(&key, "paused", |w| w.spec_paused && w.observed()).await;
    assert_eq!(route(&w, &good.hash).calls, [Call::Retire, Call::Revert]);
    world.roll_back(&key, &good).await;
    assert!(!world.home(&key, &good).await.spec_paused);
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}

/// Nothing of it was changed, so its owner's pause is theirs to take away.
#[tokio::test]
async fn paused_by_somebody_while_ours_stands_beside_it() {
    let world = World::new("twin-paused").await;
    let (key, good) = world.fronted().await;
    world.beside(&key, &good, 1).await;
    world.elsewhere(&key, json!({"spec": {"paused": true}})).await;
    let twin = world.key_of(Kind::Deployment, "web-tidegate");
    world.elsewhere(&twin, json!({"spec": {"paused": true}})).await;
    world.seen(&key, "paused", |w| w.spec_paused && w.observed()).await;
    assert_eq!(world.roll_back(&key, &good).await, [Call::Retire]);
    let w = world.tidy(&key, &good).await;
    world.serves(&[(OLD, 4)]).await;
    assert!(w.spec_paused, "{w:?}");
}

#[tokio::test]
async fn one_whose_pods_never_get_ready_meets_nobody_and_leaves_nothing() {
    for suffix in ["-bad", "-missing"] {
        let world = World::new("twin-bad").await;
        let (key, good) = world.fronted().await;
        let mut bad = plan(2);
        bad.spec.change.images.insert("app".into(), format!("{}{suffix}", image(2)));
        let sent = world.deploys(&key, &good, "deploy", &bad).await;
        assert!(sent.is_applied(), "{sent:?}");
        world.seen(&key, "made", |w| w.twin.is_some()).await;
        world.scales(&key, 0, 2).await;
        let w = world
            .seen(&key, "asked for", |w| {
                w.twin.as_ref().is_some_and(|t| t.desired == 2 && t.phase == Phase::Progressing)
            })
            .await;
        assert_eq!((w.canary_share(), w.phase), (0, Phase::Healthy), "the user's own is as it was");
        world.serves(&[(OLD, 4)]).await;
        assert_eq!(world.roll_back(&key, &good).await, [Call::Retire]);
        world.home(&key, &good).await;
        world.serves(&[(OLD, 4)]).await;
        world.tidy(&key, &good).await;
    }
}

/// Its own controller gives up in the middle of taking over: the quota holds four pods of its own and ours.
#[tokio::test]
async fn overdue_in_the_middle_of_taking_over() {
    let world = World::new("twin-overdue").await;
    let (key, good) = world.fronted().await;
    world.elsewhere(&key, json!({"spec": {"progressDeadlineSeconds": 1}})).await;
    world.beside(&key, &good, 1).await;
    world.room_for(5).await;
    world.takes_over(&key, &good, 2).await;
    let w = world.seen(&key, "degraded", |w| w.phase == Phase::Degraded).await;
    assert!(w.in_flight() && w.twin.is_some());
    world.serves(&[(OLD, 4), (NEW, 1)]).await;
    assert_eq!(world.roll_back(&key, &good).await, [Call::Retire, Call::Revert]);
    world.home(&key, &good).await;
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}

#[tokio::test]
async fn scaled_to_zero_by_its_owner() {
    let world = World::new("twin-zero").await;
    let (key, good) = world.fronted().await;
    world.beside(&key, &good, 1).await;
    world.elsewhere(&key, json!({"spec": {"replicas": 0}})).await;
    let w = world.seen(&key, "without pods", |w| w.observed() && w.replicas == 0 && w.ready == 0).await;
    assert_eq!(w.canary_share(), 100, "ours are the only ones left");
    assert_eq!(world.roll_back(&key, &good).await, [Call::Retire]);
    world.home(&key, &good).await;
    world.serves(&[]).await;
    world.elsewhere(&key, json!({"spec": {"replicas": 4}})).await;
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}

/// The second while the first stands, and again right after it went: pods of the first are never taken for its own.
#[tokio::test]
async fn two_quick_releases_one_after_another() {
    let world = World::new("twin-quick").await;
    let (key, good) = world.fronted().await;
    let first = world.beside(&key, &good, 2).await;
    let Outcome::Refused { why } = world.deploys(&key, &good, "second", &plan(3)).await else {
        panic!("a second one beside the first");
    };
    assert!(why.contains("web-tidegate is there already"), "{why}");
    world
        .seen(&key, "seen by its controller", |w| w.attempt.as_deref() == Some("test-second") && w.observed())
        .await;
    assert_eq!(world.roll_back(&key, &good).await, [Call::Retire]);
    // At once: the first one's pods may still be on their way out.
    let sent = world.deploys(&key, &good, "third", &plan(3)).await;
    assert!(sent.is_applied(), "{sent:?}");
    let hash = |w: &Workload| w.twin.as_ref().and_then(|t| t.hash.clone());
    world.seen(&key, "the third", |w| hash(w).is_some() && hash(w) != hash(&first)).await;
    world.scales(&key, 0, 1).await;
    world.serves(&[(OLD, 4), ("1.3.0", 1)]).await;
    assert_eq!(world.cluster.way_back(&key).await.unwrap().unwrap().hash, good.hash);
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}

/// Two people press in the same moment, and one once more, while the version is being taken over.
#[tokio::test]
async fn a_rollback_during_a_rollback() {
    let world = World::new("twin-twice").await;
    let (key, good) = world.fronted().await;
    world.beside(&key, &good, 4).await;
    world.takes_over(&key, &good, 2).await;
    let w = world.seen(&key, "taking over", |w| w.current_hash.as_deref() != Some(good.hash.as_str())).await;
    let r = route(&w, &good.hash);
    let ids = [attempt("one"), attempt("two")];
    let (one, two) = tokio::join!(
        world.cluster.roll_back(&key, &ids[0], &good, &r),
        world.cluster.roll_back(&key, &ids[1], &good, &r),
    );
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let w = world.cluster.workload(&key).unwrap();
    world.cluster.roll_back(&key, &attempt("three"), &good, &route(&w, &good.hash)).await.unwrap();
    world.home(&key, &good).await;
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}

#[tokio::test]
async fn a_rollback_of_a_rollback() {
    let world = World::new("twin-again").await;
    let (key, _) = world.fronted().await;
    let first = world.released(&key, 2).await;
    let second = world.cluster.template(&key).await.unwrap();
    for good in [&first, &second] {
        assert_eq!(world.roll_back(&key, good).await, [Call::Revert]);
        world.home(&key, good).await;
    }
    // In the middle of going back, the other way.
    let w = world.cluster.workload(&key).unwrap();
    world.cluster.roll_back(&key, &attempt("there"), &first, &route(&w, &first.hash)).await.unwrap();
    let w = world.cluster.fresh(&key).await.unwrap();
    world.cluster.roll_back(&key, &attempt("and-back"), &second, &route(&w, &second.hash)).await.unwrap();
    world.home(&key, &second).await;
    world.serves(&[(NEW, 4)]).await;
    world.tidy(&key, &second).await;
}

/// Sent by a process that slept through the rollback.
#[tokio::test]
async fn what_comes_after_its_rollback_brings_nobody_back() {
    let world = World::new("twin-late").await;
    let (key, good) = world.fronted().await;
    let w = world.beside(&key, &good, 1).await;
    let mark = w.attempt.clone();
    world.takes_over(&key, &good, 2).await;
    // Also where the watch has not yet shown that it was told to take it over.
    world.cluster.roll_back(&key, &attempt("back"), &good, &route(&w, &good.hash)).await.unwrap();
    world.home(&key, &good).await;
    let (cluster, asleep) = (&world.cluster, attempt("asleep"));
    let late = || Announced::after(&asleep, mark.as_deref());
    let refused = |o: Result<Outcome, cluster::Error>| {
        assert!(matches!(o, Ok(Outcome::Refused { .. }) | Err(cluster::Error::Gone(_))), "{o:?}");
    };
    refused(cluster.take_over(&key, late(), &plan(2), &good, RELEASE).await);
    refused(cluster.deploy(&key, late(), &plan(2), &good, RELEASE).await);
    refused(cluster.scale(&key, late(), 1, 4).await);
    // And not to the one beside it in the next release, which is called the same.
    assert!(world.deploys(&key, &good, "next", &plan(3)).await.is_applied());
    world.seen(&key, "the next", |w| w.twin.is_some()).await;
    assert!(cluster.scale(&key, &attempt("next-scale"), 0, 1).await.unwrap().is_applied());
    world.seen(&key, "the next", |w| w.twin.as_ref().is_some_and(|t| t.ready == 1)).await;
    refused(cluster.scale(&key, late(), 1, 4).await);
    world.roll_back(&key, &good).await;
    world.home(&key, &good).await;
    world.serves(&[(OLD, 4)]).await;
    world.tidy(&key, &good).await;
}
