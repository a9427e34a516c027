//! The one watch cache of a cluster: every page, the conductor and every rollback read from it.
//!
//! One task owns what was reported and puts workloads together; readers get finished [`Workload`]s behind a
//! lock that is held for a look-up only. A relist replaces a kind whole, under one write lock: no reader ever
//! sees half of one, and what was deleted during a gap is gone afterwards (invariant 8).

use crate::driver::Seen;
use crate::front::Service;
use crate::httproute::Route;
use crate::ingress::Ingress;
use crate::observe::{self, ENVIRONMENT, Facts};
use crate::watch::{Life, News, Watch};
use crate::{httproute, raw};
use chrono::{DateTime, Utc};
use kube::Client;
use model::workload::{Key, Kind, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use world::{NamespaceReport, SetReport, World};

mod world;

/// Changes kept for a slow listener; beyond them it is told that it missed some.
const CHANGES: usize = 1024;
/// Reports of one kind that wait for the assembler.
const NEWS: usize = 256;

/// What listeners are told. Carries no content: they read it from the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This workload appeared, changed or went.
    Workload(Key),
    /// Much changed at once: read everything again. A listener that lags treats that the same.
    Resync,
}

/// A workload and what patches need to know of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub workload: Arc<Workload>,
    pub facts: Arc<Facts>,
    /// Of the second Deployment beside it.
    pub twin: Option<Arc<Facts>>,
    /// Of the Deployment that a `workloadRef` names.
    pub source: Option<Arc<Facts>>,
    /// The Services in front of it, in the order of the workload's `fronts`.
    pub fronts: Vec<Arc<Service>>,
    /// The Ingress that leads to those.
    pub ingress: Option<Arc<Ingress>>,
    /// The HTTPRoutes that lead to those, or are marked for it.
    pub routes: Vec<Arc<Route>>,
}

impl Entry {
    /// As a driver sees it.
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen {
            workload: &self.workload,
            facts: &self.facts,
            twin: self.twin.as_deref(),
            source: self.source.as_deref(),
            fronts: &self.fronts,
            ingress: self.ingress.as_deref(),
            routes: &self.routes,
            object: None,
        }
    }
}

/// What the readers share.
#[derive(Debug)]
pub(crate) struct View {
    entries: RwLock<BTreeMap<Key, Arc<Entry>>>,
    snapshot: Mutex<(u64, Arc<Vec<Arc<Workload>>>)>,
    generation: AtomicU64,
    changes: broadcast::Sender<Change>,
    lives: [Arc<Life>; 7],
    probed_ms: AtomicI64,
}

impl View {
    pub(crate) fn entry(&self, key: &Key) -> Option<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All workloads, sorted by key. Made once for each state of the cache.
    pub(crate) fn workloads(&self) -> Arc<Vec<Arc<Workload>>> {
        let mut snapshot = lock(&self.snapshot);
        let generation = self.generation();
        if snapshot.0 != generation {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            // The number is read under the lock that every writer bumps it under.
            let generation = self.generation();
            *snapshot = (generation, Arc::new(entries.values().map(|e| e.workload.clone()).collect()));
        }
        snapshot.1.clone()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Something that belongs to this workload changed, and is kept elsewhere.
    pub(crate) fn tell(&self, key: Key) {
        // Without listeners a send fails, and that is fine.
        let _ = self.changes.send(Change::Workload(key));
    }

    /// Waits until what is seen of a workload satisfies `is`; `None` after `at_most`.
    pub(crate) async fn wait_for(
        &self,
        key: &Key,
        at_most: Duration,
        is: impl Fn(&Workload) -> bool,
    ) -> Option<Arc<Workload>> {
        let deadline = Instant::now() + at_most;
        // Subscribed before the first look: no change falls between the two.
        let mut changes = self.changes();
        loop {
            if let Some(entry) = self.entry(key).filter(|e| is(&e.workload)) {
                return Some(entry.workload.clone());
            }
            match timeout_at(deadline, changes.recv()).await {
                Err(_) | Ok(Err(broadcast::error::RecvError::Closed)) => return None,
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
            }
        }
    }

    /// The API server answered a read just now.
    pub(crate) fn probed(&self) {
        self.probed_ms.store(Utc::now().timestamp_millis(), Ordering::Relaxed);
    }

    pub(crate) fn synced(&self) -> Option<DateTime<Utc>> {
        if self.generation() == 0 {
            return None;
        }
        let probed = DateTime::from_timestamp_millis(self.probed_ms.load(Ordering::Relaxed))?;
        let mut oldest: Option<DateTime<Utc>> = None;
        for life in &self.lives {
            let seen = life.seen(probed)?;
            oldest = Some(oldest.map_or(seen, |o| o.min(seen)));
        }
        oldest
    }

    /// Puts a set of results in, all or nothing for readers.
    fn publish(&self, results: Vec<(Key, Option<Arc<Entry>>)>, whole: bool, first: bool) {
        let mut touched = Vec::new();
        {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            for (key, entry) in results {
                let worth_telling = match (entries.get(&key), &entry) {
                    (Some(old), Some(new)) => !same(&old.workload, &new.workload),
                    (None, None) => false,
                    _ => true,
                };
                match entry {
                    Some(entry) => entries.insert(key.clone(), entry),
                    None => entries.remove(&key),
                };
                if worth_telling {
                    touched.push(key);
                }
            }
            self.generation.fetch_add(1, Ordering::Release);
        }
        // Without listeners a send fails, and that is fine.
        if first || (whole && !touched.is_empty()) {
            let _ = self.changes.send(Change::Resync);
        } else {
            for key in touched {
                let _ = self.changes.send(Change::Workload(key));
            }
        }
    }
}

/// Equal but for the object's version: a heartbeat of a controller is not news.
fn same(a: &Workload, b: &Workload) -> bool {
    if a.resource_version == b.resource_version {
        return a == b;
    }
    let mut b = b.clone();
    b.resource_version.clone_from(&a.resource_version);
    *a == b
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the watches of a cluster and the task that puts their reports together.
pub(crate) fn start(client: &Client, cluster: &str) -> (Arc<View>, Vec<JoinHandle<()>>) {
    let lives: [Arc<Life>; 7] = Default::default();
    let view = Arc::new(View {
        entries: RwLock::default(),
        snapshot: Mutex::default(),
        generation: AtomicU64::new(0),
        changes: broadcast::channel(CHANGES).0,
        lives: lives.clone(),
        probed_ms: AtomicI64::new(0),
    });
    let [
        rollouts_life,
        deployments_life,
        sets_life,
        namespaces_life,
        services_life,
        ingresses_life,
        routes_life,
    ] = lives;
    let (rollouts_tx, rollouts) = mpsc::channel(NEWS);
    let (deployments_tx, deployments) = mpsc::channel(NEWS);
    let (sets_tx, sets) = mpsc::channel(NEWS);
    let (namespaces_tx, namespaces) = mpsc::channel(NEWS);
    let (services_tx, services) = mpsc::channel(NEWS);
    let (ingresses_tx, ingresses) = mpsc::channel(NEWS);
    let (routes_tx, routes) = mpsc::channel(NEWS);
    let name = cluster.to_owned();
    let rollout_watch = Watch {
        client: client.clone(),
        path: "/apis/argoproj.io/v1alpha1/rollouts",
        selector: "",
        optional: false,
        shrink: Box::new(move |r| observe::rollout(&name, r)),
        life: rollouts_life,
        news: rollouts_tx,
    };
    let name = cluster.to_owned();
    let deployment_watch = Watch {
        client: client.clone(),
        path: "/apis/apps/v1/deployments",
        selector: "",
        optional: false,
        shrink: Box::new(move |d| observe::deployment(&name, d)),
        life: deployments_life,
        news: deployments_tx,
    };
    let set_watch = Watch {
        client: client.clone(),
        path: "/apis/apps/v1/replicasets",
        selector: "",
        optional: false,
        shrink: Box::new(|s: raw::ReplicaSet| SetReport {
            namespace: s.metadata.namespace.clone(),
            name: s.metadata.name.clone(),
            set: observe::set(s),
        }),
        life: sets_life,
        news: sets_tx,
    };
    let namespace_watch = Watch {
        client: client.clone(),
        path: "/api/v1/namespaces",
        selector: "",
        optional: false,
        shrink: Box::new(|mut n: raw::Namespace| NamespaceReport {
            environment: n.metadata.labels.remove(ENVIRONMENT).filter(|e| !e.is_empty()),
            name: n.metadata.name,
        }),
        life: namespaces_life,
        news: namespaces_tx,
    };
    let service_watch = Watch {
        client: client.clone(),
        path: "/api/v1/services",
        selector: "",
        optional: false,
        shrink: Box::new(|s: raw::Service| Service::from(s)),
        life: services_life,
        news: services_tx,
    };
    let ingress_watch = Watch {
        client: client.clone(),
        path: "/apis/networking.k8s.io/v1/ingresses",
        selector: "",
        optional: false,
        shrink: Box::new(|i: raw::Ingress| Ingress::from(i)),
        life: ingresses_life,
        news: ingresses_tx,
    };
    let route_watch = Watch {
        client: client.clone(),
        path: httproute::ALL,
        selector: "",
        optional: true,
        shrink: Box::new(|r: raw::HttpRoute| Route::from(r)),
        life: routes_life,
        news: routes_tx,
    };
    let reports = Reports { rollouts, deployments, sets, namespaces, services, ingresses, routes };
    let tasks = vec![
        tokio::spawn(rollout_watch.run()),
        tokio::spawn(deployment_watch.run()),
        tokio::spawn(set_watch.run()),
        tokio::spawn(namespace_watch.run()),
        tokio::spawn(service_watch.run()),
        tokio::spawn(ingress_watch.run()),
        tokio::spawn(route_watch.run()),
        tokio::spawn(assemble(view.clone(), reports)),
    ];
    (view, tasks)
}

/// What the watches report.
struct Reports {
    rollouts: mpsc::Receiver<News<Facts>>,
    deployments: mpsc::Receiver<News<Facts>>,
    sets: mpsc::Receiver<News<SetReport>>,
    namespaces: mpsc::Receiver<News<NamespaceReport>>,
    services: mpsc::Receiver<News<Service>>,
    ingresses: mpsc::Receiver<News<Ingress>>,
    routes: mpsc::Receiver<News<Route>>,
}

/// Takes reports in until the watches are gone. Nothing is published before each kind was listed once.
async fn assemble(view: Arc<View>, reports: Reports) {
    let Reports {
        mut rollouts,
        mut deployments,
        mut sets,
        mut namespaces,
        mut services,
        mut ingresses,
        mut routes,
    } = reports;
    let mut world = World::default();
    let mut listed = [false; 7];
    loop {
        let mut touched = BTreeSet::new();
        let (kind, whole) = tokio::select! {
            Some(news) = rollouts.recv() => (0, objects(&mut world, Kind::Rollout, news, &mut touched)),
            Some(news) = deployments.recv() => (1, objects(&mut world, Kind::Deployment, news, &mut touched)),
            Some(news) = sets.recv() => (2, match news {
                News::All(all) => { world.sets_all(all, &mut touched); true }
                News::One(report) => { world.set(report, &mut touched); false }
                News::Gone(r) => { world.set_gone(&r.namespace, &r.name, &mut touched); false }
            }),
            Some(news) = namespaces.recv() => (3, match news {
                News::All(all) => {
                    world.environments = all
                        .into_iter()
                        .filter_map(|n| Some((n.name, n.environment?)))
                        .collect();
                    touched.extend(world.objects.keys().cloned());
                    true
                }
                News::One(report) => { world.namespace(report, false, &mut touched); false }
                News::Gone(report) => { world.namespace(report, true, &mut touched); false }
            }),
            Some(news) = services.recv() => (4, match news {
                News::All(all) => { world.services_all(all, &mut touched); true }
                News::One(service) => { world.service(service, false, &mut touched); false }
                News::Gone(service) => { world.service(service, true, &mut touched); false }
            }),
            Some(news) = ingresses.recv() => (5, match news {
                News::All(all) => { world.ingresses_all(all, &mut touched); true }
                News::One(ingress) => { world.ingress(ingress, false, &mut touched); false }
                News::Gone(ingress) => { world.ingress(ingress, true, &mut touched); false }
            }),
            Some(news) = routes.recv() => (6, match news {
                News::All(all) => { world.routes_all(all, &mut touched); true }
                News::One(route) => { world.route(route, false, &mut touched); false }
                News::Gone(route) => { world.route(route, true, &mut touched); false }
            }),
            else => return,
        };
        let was_complete = listed.iter().all(|l| *l);
        listed[kind] |= whole;
        if !listed.iter().all(|l| *l) {
            continue;
        }
        let first = !was_complete;
        if first {
            touched.extend(world.objects.keys().cloned());
            view.probed();
        }
        if touched.is_empty() && !first {
            continue;
        }
        world.add_owners(&mut touched);
        let now = Utc::now();
        let results = touched
            .into_iter()
            .map(|key| {
                let before = view.entry(&key);
                let entry = world.entry(&key, before.as_ref().map(|e| &*e.workload), now);
                (key, entry)
            })
            .collect();
        view.publish(results, whole, first);
    }
}

fn objects(world: &mut World, kind: Kind, news: News<Facts>, touched: &mut BTreeSet<Key>) -> bool {
    match news {
        News::All(all) => {
            world.objects_all(kind, all, touched);
            return true;
        }
        News::One(facts) => world.object(facts, touched),
        News::Gone(facts) => world.object_gone(&facts, touched),
    }
    false
}

#[cfg(test)]
mod tests;
