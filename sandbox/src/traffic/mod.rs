//! Simulated users. They go where the cluster really sends them (ready pods, the router's weights, the active
//! Service), and Prometheus reads what they met.
//!
//! `http_requests_total` and `http_request_duration_seconds` carry the labels `service`, `namespace`, `code`,
//! `version` (image tag) and `rollouts_pod_template_hash` (for a Deployment its `pod-template-hash`).

mod behaviour;
mod behind;
mod gaps;
mod gateway;
mod metrics;
mod sample;
mod share;
mod world;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Json, Router, extract::State, http::header, response::IntoResponse, routing::get};
use futures::{StreamExt as _, stream::BoxStream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher,
    },
};
use serde::Serialize;
use tokio::{sync::oneshot, time};

use self::{
    gaps::Gaps,
    metrics::{Counters, PodState, Series, render},
    sample::{Requests, requests},
    share::shares,
    world::{Seen, Service},
};

/// Requests are made in portions of this length.
const TICK: Duration = Duration::from_millis(500);

/// The seed of every run: two runs in which the cluster does the same give the same numbers.
const SEED: u64 = 1;

/// One version's part of one service, as `/shares` tells it.
#[derive(Debug, Clone, Serialize, PartialEq)]
struct ShareNow {
    namespace: String,
    service: String,
    version: String,
    hash: String,
    /// 0 to 1.
    fraction: f64,
    served: bool,
}

#[derive(Debug, Default)]
struct Users {
    series: BTreeMap<Series, Counters>,
    pods: Vec<PodState>,
    shares: Vec<ShareNow>,
    gaps: Gaps,
}

impl Users {
    /// Send one tick's requests.
    fn tick(&mut self, services: &[Service]) {
        self.shares.clear();
        self.pods = services.iter().flat_map(|s| s.pods.iter().cloned()).collect();
        let mut present = BTreeSet::new();
        for service in services {
            let parts = shares(&service.route, &service.versions);
            for version in &service.versions {
                let parts: Vec<_> = parts.iter().filter(|p| p.hash == version.hash).collect();
                if parts.is_empty() && version.ready == 0 {
                    continue;
                }
                let series = Series {
                    namespace: service.namespace.clone(),
                    service: service.name.clone(),
                    version: version.tag.clone(),
                    hash: version.hash.clone(),
                };
                let counters = self.series.entry(series.clone()).or_default();
                let part =
                    |served| -> f64 { parts.iter().filter(|p| p.served == served).map(|p| p.fraction).sum() };
                let draw = |seed, fraction: f64| {
                    let expected = service.rps * TICK.as_secs_f64() * fraction;
                    let tick = counters.ticks;
                    requests(seed, &service.name, &version.tag, tick, expected, version.behaviour)
                };
                // To the pods a mirror's copy is a request like any other.
                let copies = service.copies.get(&version.hash).copied().unwrap_or_default();
                let (good, failed) = draw(SEED, part(true) + copies);
                let (lost, also_lost) = draw(SEED + 1, part(false));
                counters.ticks += 1;
                counters.add(200, &good);
                counters.add(500, &failed);
                if lost.count + also_lost.count > 0 {
                    // Nobody is there: the router answers by itself, at once.
                    let refused = Requests { count: lost.count + also_lost.count, ..Requests::default() };
                    counters.add(503, &refused);
                }
                for part in parts {
                    self.shares.push(ShareNow {
                        namespace: series.namespace.clone(),
                        service: series.service.clone(),
                        version: series.version.clone(),
                        hash: series.hash.clone(),
                        fraction: part.fraction,
                        served: part.served,
                    });
                }
                present.insert(series);
            }
        }
        // A version's series end with its pods, as a scrape of the pods themselves would have it.
        self.series.retain(|series, _| present.contains(series));
    }
}

/// The running simulator: a thread with a runtime of its own, so that it outlives the runtime of the test
/// that happened to start it. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Traffic {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Traffic {
    /// Watch the cluster of `kubeconfig` and serve `/metrics` and `/shares` on a port of 127.0.0.1.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) fn start(kubeconfig: &Path, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("port {port}, meant for the simulated users' metrics, is taken"))?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let kubeconfig: PathBuf = kubeconfig.to_owned();
        let thread = thread::Builder::new().name("traffic".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = run(&kubeconfig, listener) => {
                        if let Err(e) = result {
                            eprintln!("the simulated users stopped: {e:#}");
                        }
                    }
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A store of every object of a kind, and the stream that keeps it.
fn watch(
    client: &Client,
    group: &str,
    kind: &str,
    plural: &str,
) -> (Store<DynamicObject>, BoxStream<'static, ()>) {
    let version = if group == "argoproj.io" { "v1alpha1" } else { "v1" };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let writer = reflector::store::Writer::new(resource.clone());
    let store = writer.as_reader();
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let stream = watcher(api, watcher::Config::default().any_semantic())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .map(drop);
    (store, stream.boxed())
}

async fn run(kubeconfig: &Path, listener: TcpListener) -> Result<()> {
    let client = crate::cluster::client(kubeconfig).await?;
    let (rollouts, s1) = watch(&client, "argoproj.io", "Rollout", "rollouts");
    let (deployments, s2) = watch(&client, "apps", "Deployment", "deployments");
    let (replica_sets, s3) = watch(&client, "apps", "ReplicaSet", "replicasets");
    let (pods, s4) = watch(&client, "", "Pod", "pods");
    let (services, s5) = watch(&client, "", "Service", "services");
    let (ingresses, s6) = watch(&client, "networking.k8s.io", "Ingress", "ingresses");
    let (routes, s7) = watch(&client, "gateway.networking.k8s.io", "HTTPRoute", "httproutes");
    let changed = Cell::new(true);
    let watches = futures::stream::select_all([s1, s2, s3, s4, s5, s6, s7]).for_each(|()| async {
        changed.set(true);
    });

    let users = Arc::new(Mutex::new(Users::default()));
    let seen = || Seen {
        rollouts: rollouts.state(),
        deployments: deployments.state(),
        replica_sets: replica_sets.state(),
        pods: pods.state(),
        services: services.state(),
        ingresses: ingresses.state(),
        routes: routes.state(),
    };
    let looks = async {
        let mut interval = time::interval(gaps::LOOK);
        interval.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let lasts = users.lock().unwrap_or_else(PoisonError::into_inner).gaps.any;
            if changed.replace(false) || lasts {
                let services = world::services(&seen());
                users.lock().unwrap_or_else(PoisonError::into_inner).gaps.look(&services);
            }
        }
    };
    let state = users.clone();
    let ticks = async {
        let mut interval = time::interval(TICK);
        // After a stall the missed ticks are made up for: the rate stays what it should be.
        interval.set_missed_tick_behavior(time::MissedTickBehavior::Burst);
        loop {
            interval.tick().await;
            state.lock().unwrap_or_else(PoisonError::into_inner).tick(&world::services(&seen()));
        }
    };
    let app = Router::new()
        .route("/metrics", get(serve_metrics))
        .route("/shares", get(serve_shares))
        .with_state(users.clone());
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::select! {
        () = watches => {}
        () = ticks => {}
        () = looks => {}
        result = axum::serve(listener, app).into_future() => result.context("serving metrics")?,
    }
    Ok(())
}

async fn serve_metrics(State(users): State<Arc<Mutex<Users>>>) -> impl IntoResponse {
    let users = users.lock().unwrap_or_else(PoisonError::into_inner);
    let text = render(&users.series, &users.pods) + &users.gaps.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn serve_shares(State(users): State<Arc<Mutex<Users>>>) -> impl IntoResponse {
    Json(users.lock().unwrap_or_else(PoisonError::into_inner).shares.clone())
}

#[cfg(test)]
mod tests {
    use super::{
        behaviour::Behaviour,
        share::{Route, Version},
        *,
    };

    fn service(canary_ready: u32, stable_ready: u32) -> Service {
        let version = |hash: &str, ready, errors| Version {
            hash: hash.into(),
            tag: hash.into(),
            ready,
            behaviour: Behaviour { errors, ..Behaviour::default() },
        };
        Service {
            namespace: "shop".into(),
            name: "checkout".into(),
            rps: 100.0,
            versions: vec![version("old", stable_ready, 0.0), version("new", canary_ready, 0.5)],
            route: Route::Split(vec![("old".into(), 0.8), ("new".into(), 0.2)]),
            copies: BTreeMap::new(),
            pods: vec![],
        }
    }

    fn count(users: &Users, version: &str, code: u16) -> u64 {
        let series = users.series.iter().find(|(s, _)| s.version == version);
        series.and_then(|(_, c)| c.codes.get(&code)).map_or(0, |r| r.count)
    }

    #[test]
    fn requests_are_split_by_weight_and_fail_as_their_version_does() {
        let mut users = Users::default();
        for _ in 0..100 {
            users.tick(&[service(1, 8)]);
        }
        let (old, new) = (count(&users, "old", 200), count(&users, "new", 200) + count(&users, "new", 500));
        assert!((3800..4200).contains(&old), "{old}");
        assert!((900..1100).contains(&new), "{new}");
        assert!((400..600).contains(&count(&users, "new", 500)));
        assert_eq!(count(&users, "old", 500), 0);
    }

    #[test]
    fn copies_show_in_the_metrics_of_their_pods_and_users_meet_none_of_them() {
        let mut users = Users::default();
        let mut mirrored = service(1, 8);
        mirrored.route = Route::Split(vec![("old".into(), 1.0)]);
        mirrored.copies = BTreeMap::from([("new".to_owned(), 0.5)]);
        for _ in 0..100 {
            users.tick(std::slice::from_ref(&mirrored));
            users.gaps.look(std::slice::from_ref(&mirrored));
        }
        let (old, new) = (count(&users, "old", 200), count(&users, "new", 200) + count(&users, "new", 500));
        assert!((4800..5200).contains(&old) && (2300..2700).contains(&new), "{old}, {new}");
        assert_eq!(count(&users, "old", 500), 0);
        let met: Vec<_> = users.shares.iter().map(|s| (s.version.as_str(), s.fraction)).collect();
        assert_eq!((met, users.gaps.any), (vec![("old", 1.0)], false));
    }

    #[test]
    fn without_stable_pods_users_get_503() {
        let mut users = Users::default();
        users.tick(&[service(1, 0)]);
        assert!(count(&users, "old", 503) > 0);
        assert_eq!(count(&users, "old", 200), 0);
    }

    #[test]
    fn series_end_with_their_pods() {
        let mut users = Users::default();
        users.tick(&[service(1, 8)]);
        assert_eq!(users.series.len(), 2);
        users.tick(&[service(0, 8)]);
        assert_eq!(users.series.len(), 1);
        assert_eq!(users.shares.len(), 1);
        users.tick(&[]);
        assert!(users.series.is_empty());
    }
}
