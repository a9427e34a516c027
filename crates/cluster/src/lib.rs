//! Kubernetes as Tidegate needs it: what is running (one watch cache a cluster), what is done to it (patches
//! with preconditions), how it does (Prometheus).
//!
//! What is guaranteed: no object's content reaches a log or a message; an effect is sent once, and what
//! became of it is an [`Outcome`]; after any gap in a watch the cache equals a fresh list.

mod application;
mod back;
mod blue_green;
mod cache;
mod config;
mod connect;
mod copies;
mod deployment;
mod diagnose;
mod driver;
mod error;
mod escort;
mod fence;
mod front;
mod observe;
mod patch;
mod prometheus;
mod raw;
mod reference;
mod rehearse;
mod rollout;
mod sample;
mod send;
mod twin;
mod watch;

pub use application::Application;
pub use back::RolledBack;
pub use cache::Change;
pub use error::Error;
pub use fence::{Announced, Voided};
pub use observe::{ATTEMPT, ENVIRONMENT, RELEASE, ROLLBACK, SERVICE, observe};
pub use patch::Patch;
pub use prometheus::{Prometheus, Series};
pub use rollout::steps;
pub use sample::{of_service, sample};
pub use send::Outcome;

use cache::{Entry, View};
use chrono::{DateTime, Utc};
use driver::{Driver, Incoming, Requests, Seen};
use http::Method;
use model::plan::Plan;
use model::release::KnownGood;
use model::workload::{Front, Key, Kind, Strategy, Twin, Workload};
use model::{AttemptId, ReleaseId};
use observe::Facts;
use send::{Answer, Sender};
use serde::Deserialize as _;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// A read of almost nothing, answered only while the API server and its etcd are alive, so often: the age of
/// what pages show is never much more than this.
const PROBE: Duration = Duration::from_secs(5);
const PROBE_PATH: &str = "/apis/apps/v1/namespaces/kube-system/deployments?limit=1";
/// Connections kept open, so that a rollback's first byte need not wait for a TLS handshake, …
const WARM: usize = 4;
/// … by using them so many probes apart (20 s; the API server closes idle ones at 90 s).
const WARM_EVERY: u32 = 4;

/// One cluster: its cache and its effects. The watches end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    sender: Sender,
    view: Arc<View>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Cluster {
    /// Reads the kubeconfig (`None`: KUBECONFIG, then `~/.kube/config`, then the pod's service account) and
    /// starts watching. Does not wait for the API server: [`Cluster::synced`] tells when the cache is whole.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub async fn connect(
        name: &str,
        kubeconfig: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Arc<Self>, Error> {
        let config = connect::config(kubeconfig, context).await?;
        let client = connect::client(&config)?;
        let (view, mut tasks) = cache::start(&client, name);
        let sender = Sender { client, cluster: name.to_owned() };
        tasks.push(tokio::spawn(probe(sender.clone(), view.clone())));
        Ok(Arc::new(Self { name: name.to_owned(), sender, view, tasks }))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the API server for its version: `v1.34.4`.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`].
    pub async fn version(&self) -> Result<String, Error> {
        let value = self.sender.read("/version", "read its version", None).await?;
        Ok(value["gitVersion"].as_str().unwrap_or("unknown").to_owned())
    }

    /// The last moment at which every watch was known to be alive: what the cache holds is true as of then.
    /// `None` before each kind was listed once.
    pub fn synced(&self) -> Option<DateTime<Utc>> {
        self.view.synced()
    }

    /// Changes from now on. A listener that lags should read everything again, as for [`Change::Resync`].
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.view.changes()
    }

    /// Rises with every change of the cache.
    pub fn generation(&self) -> u64 {
        self.view.generation()
    }

    /// A workload as last seen.
    pub fn workload(&self, key: &Key) -> Option<Arc<Workload>> {
        self.view.entry(key).map(|e| e.workload.clone())
    }

    /// All workloads as last seen, sorted by key. Cheap: made once for each state of the cache.
    pub fn workloads(&self) -> Arc<Vec<Arc<Workload>>> {
        self.view.workloads()
    }

    /// A workload as the API server has it now, past the cache.
    ///
    /// # Errors
    /// [`Error::Gone`], or as for any read.
    pub async fn fresh(&self, key: &Key) -> Result<Workload, Error> {
        Ok(self.read(key).await?.entry.workload.as_ref().clone())
    }

    /// Waits until what is seen of a workload satisfies `is`; `None` after `at_most`.
    pub async fn wait_for(
        &self,
        key: &Key,
        at_most: Duration,
        is: impl Fn(&Workload) -> bool,
    ) -> Option<Arc<Workload>> {
        self.view.wait_for(key, at_most, is).await
    }

    /// Brings a version in as far as the plan's first step, with the way back noted on the object, only while
    /// `good` is both the stable and the newest revision and the template is still exactly `good`'s.
    ///
    /// # Errors
    /// As for any call; a workload that does not allow it is [`Outcome::Refused`].
    pub async fn deploy<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        plan: &Plan,
        good: &KnownGood,
        release: ReleaseId,
    ) -> Result<Outcome, Error> {
        let new = Incoming { plan, good, release };
        let attempt = attempt.into();
        let beside = key.kind == Kind::Deployment && plan.beside();
        // A second object like it is made of all that it says.
        let (entry, object) = if beside {
            let read = self.read(key).await?;
            (Arc::new(read.entry), Some(read.object))
        } else {
            (self.entry(key).await?, None)
        };
        if beside
            && plan.drives() == Strategy::BlueGreen
            && let Err(why) = self.parted(&entry).await
        {
            return Ok(Outcome::Refused { why });
        }
        let seen = Seen { object: object.as_ref(), ..entry.seen() };
        let requests = driver::of(&entry.workload, Some(plan)).deploy(&seen, attempt.id, &new);
        self.send_all(&entry, attempt, requests).await
    }

    /// The second Deployment gets another number of pods.
    ///
    /// # Errors
    /// As for any call.
    pub async fn scale<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        from: i32,
        to: i32,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.scale(seen, attempt.id, from, to)).await
    }

    /// The user's own Deployment gets the new version, as [`Cluster::deploy`] would bring it in: what the second
    /// Deployment has proven, or what a Rollout is to take from it. There the attempt's mark is the Deployment's.
    ///
    /// # Errors
    /// As for any call.
    pub async fn take_over<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        plan: &Plan,
        good: &KnownGood,
        release: ReleaseId,
    ) -> Result<Outcome, Error> {
        let new = Incoming { plan, good, release };
        let attempt = attempt.into();
        let entry = self.entry(key).await?;
        let requests = driver::of(&entry.workload, None).take_over(&entry.seen(), attempt.id, &new);
        let requests = match &entry.source {
            Some(source) => requests.map(|all| all.into_iter().map(|r| attempt.fenced(source, r)).collect()),
            None => requests,
        };
        self.send_all(&entry, attempt, requests).await
    }

    /// The Services in front of a Deployment select its own pods again.
    ///
    /// # Errors
    /// As for any call.
    pub async fn hand_back<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.hand_back(seen, attempt.id)).await
    }

    /// The second Deployment goes; nothing to do where there is none.
    ///
    /// # Errors
    /// As for any call.
    pub async fn retire<'a>(&self, key: &Key, attempt: impl Into<Announced<'a>>) -> Result<Outcome, Error> {
        self.carry_out(key, attempt.into(), |driver, seen| driver.retire(seen)).await
    }

    /// Opens the pause at step `from` of the Rollout's steps, and no other: a second call for the same pause
    /// is refused. A status patch cannot carry the attempt's id; the index is its mark.
    ///
    /// # Errors
    /// As for any call.
    pub async fn open_pause<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        from: i32,
    ) -> Result<Outcome, Error> {
        self.carry_out(key, attempt.into(), |driver, seen| driver.open_pause(seen, from)).await
    }

    /// Lets a blue-green update go on that waits with the switch to `hash`: the active Service goes over to it. A status
    /// patch cannot carry the attempt's id; that the pause is gone is its mark. In front of a Deployment the Services
    /// themselves are switched, as long as they are as when that was `decided`.
    ///
    /// # Errors
    /// As for any call.
    pub async fn switch<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        hash: &str,
        decided: &[Front],
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.switch(seen, attempt.id, hash, decided)).await
    }

    /// Holds a Deployment where it is, in the middle of its roll-out.
    ///
    /// # Errors
    /// As for any call.
    pub async fn pause<'a>(&self, key: &Key, attempt: impl Into<Announced<'a>>) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.pause(seen, attempt.id)).await
    }

    /// Takes `spec.paused` away.
    ///
    /// # Errors
    /// As for any call.
    pub async fn unpause<'a>(&self, key: &Key, attempt: impl Into<Announced<'a>>) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.unpause(seen, Some(attempt.id))).await
    }

    /// Traffic back to stable, as long as the newest revision is `bad_hash` (`None`: the one last seen). The
    /// controller can lose it while a change of the spec is not yet observed: look whether `abort` is still
    /// set half a second later.
    ///
    /// # Errors
    /// As for any call.
    pub async fn abort<'a>(
        &self,
        key: &Key,
        attempt: &AttemptId,
        bad_hash: impl Into<Option<&'a str>>,
    ) -> Result<Outcome, Error> {
        let bad = bad_hash.into();
        self.carry_out(key, attempt.into(), |driver, seen| driver.abort(seen, bad)).await
    }

    /// The known-good template and the Rollout's own steps, in one patch; with `window` also a
    /// rollbackWindow, so that a promoted version is left without walking the steps (undone by
    /// [`Cluster::restore_steps`]).
    ///
    /// # Errors
    /// As for any call.
    pub async fn revert<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        good: &KnownGood,
        window: bool,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        let good = self.with_config(&self.entry(key).await?.workload, good).await;
        self.carry_out(key, attempt, |driver, seen| driver.revert(seen, attempt.id, &good, window)).await
    }

    /// Skips what is left of the steps on the way to the revision `hash` (`None`: the newest that was seen), as long
    /// as it is the newest. Takes an abort back: only for a version that is wanted.
    ///
    /// # Errors
    /// As for any call.
    pub async fn promote_full<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        hash: impl Into<Option<&'a str>>,
    ) -> Result<Outcome, Error> {
        let hash = hash.into();
        self.carry_out(key, attempt.into(), |driver, seen| driver.promote_full(seen, hash)).await
    }

    /// Puts the Rollout's own steps (or its own settings of the switch) and rollbackWindow back. Refused while an
    /// update is in flight. Nothing to do for a Deployment.
    ///
    /// # Errors
    /// As for any call.
    pub async fn restore_steps<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        good: &KnownGood,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.restore(seen, attempt.id, good)).await
    }

    /// Has pods older than `at` replaced by others of the same version, as many at a time as may be unavailable.
    ///
    /// # Errors
    /// As for any call; a workload that has no restart of its own is [`Outcome::Refused`].
    pub async fn restart<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        at: DateTime<Utc>,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.restart(seen, attempt.id, at)).await
    }

    /// Has the workload's driver say what to send, and sends it.
    async fn carry_out(
        &self,
        key: &Key,
        attempt: Announced<'_>,
        requests: impl FnOnce(&dyn Driver, &Seen<'_>) -> Requests,
    ) -> Result<Outcome, Error> {
        let entry = self.entry(key).await?;
        let requests = requests(driver::of(&entry.workload, None), &entry.seen());
        self.send_all(&entry, attempt, requests).await
    }

    /// One request after the other, as long as nothing else marks the workload. The first that is not taken is the
    /// answer; what went before it stays done.
    async fn send_all(
        &self,
        entry: &Entry,
        mut attempt: Announced<'_>,
        requests: Requests,
    ) -> Result<Outcome, Error> {
        let requests = match requests {
            Ok(requests) => requests,
            Err(why) => return Ok(Outcome::Refused { why }),
        };
        let w = &entry.workload;
        let mut done =
            Outcome::Applied { generation: w.generation, resource_version: w.resource_version.clone() };
        for request in requests {
            let (own, marked) = (request.is_of(w), request.marked);
            let name = request.key.name.clone();
            let request = if own { attempt.fenced(&entry.facts, request) } else { request };
            let outcome = match self.sender.request(request, attempt.id).await {
                // Another object that was only to be taken away, and is.
                Err(Error::Gone(_)) if !own && !marked => continue,
                Err(Error::Gone(_)) if !own => {
                    return Ok(Outcome::Refused {
                        why: format!("{name} is gone. Look at it again and decide anew."),
                    });
                }
                other => other?,
            };
            if !outcome.is_applied() {
                return Ok(outcome);
            }
            // Another object's generation would be taken for the workload's.
            if own {
                done = outcome;
                if marked {
                    attempt = attempt.landed();
                }
            }
        }
        Ok(done)
    }

    /// From the cache; from the API server where the cache does not have it.
    async fn entry(&self, key: &Key) -> Result<Arc<Entry>, Error> {
        match self.view.entry(key) {
            Some(entry) => Ok(entry),
            None => Ok(Arc::new(self.fresh_entry(key).await?)),
        }
    }

    async fn fresh_entry(&self, key: &Key) -> Result<Entry, Error> {
        Ok(self.read(key).await?.entry)
    }

    /// The workload with its ReplicaSets, and whatever stands beside it: read now.
    async fn read(&self, key: &Key) -> Result<Read, Error> {
        let namespace_uri = format!("/api/v1/namespaces/{}", key.namespace);
        let (mut object, namespace, twin, services) = tokio::try_join!(
            self.sender.get(key),
            self.sender.read(&namespace_uri, "read its namespace", None),
            self.read_twin(key),
            self.read_services(key),
        )?;
        let sets_uri = format!(
            "/apis/apps/v1/namespaces/{}/replicasets?labelSelector={}",
            key.namespace,
            selector(&object)
        );
        let sets = self.sender.read(&sets_uri, "list ReplicaSets", None).await?;
        let unreadable = |e: serde_json::Error| Error::Answer {
            cluster: self.name.clone(),
            action: format!("a read of {}", key.name),
            code: 200,
            reason: format!("an object that cannot be read ({:?})", e.classify()),
        };
        let deployment = |object: &Value| -> Result<Facts, Error> {
            let deployment = raw::Deployment::deserialize(object).map_err(unreadable)?;
            Ok(observe::deployment(&self.name, deployment))
        };
        let facts = match key.kind {
            Kind::Rollout => {
                observe::rollout(&self.name, raw::Rollout::deserialize(&object).map_err(unreadable)?)
            }
            Kind::Deployment => deployment(&object)?,
        };
        let source = self.read_source(&facts).await?;
        if let Some(source) = &source {
            reference::with_template(&mut object, source);
        }
        let source = source.as_ref().map(deployment).transpose()?;
        let services =
            services.as_ref().map(raw::List::<raw::Service>::deserialize).transpose().map_err(unreadable)?;
        let twin = twin.as_ref().map(deployment).transpose()?;
        let twin = twin.filter(|twin| twin.twin_of.as_deref() == Some(facts.workload.uid.as_str()));
        let list = raw::List::<raw::ReplicaSet>::deserialize(&sets).map_err(unreadable)?;
        let sets: Vec<_> = list.items.into_iter().filter_map(observe::set).collect();
        let own = |facts: &Facts| {
            let uid = facts.workload.uid.clone();
            sets.iter().filter(move |s| s.owner == uid)
        };
        let environment = namespace["metadata"]["labels"][ENVIRONMENT].as_str();
        let known = self.view.entry(key);
        let before = known.as_ref().map(|e| &*e.workload).filter(|b| b.uid == facts.workload.uid);
        let now = Utc::now();
        let mut workload = observe::assemble(&facts, own(&facts), source.as_ref(), environment, before, now);
        if let Some(twin) = &twin {
            let seen = observe::assemble(twin, own(twin), None, environment, None, now);
            observe::stand_beside(&mut workload, &facts, twin, seen);
        }
        let services: Vec<_> =
            services.into_iter().flat_map(|list| list.items).map(|s| Arc::new(s.into())).collect();
        let (fronts, services) = front::of(&facts, services.iter());
        workload.fronts = fronts;
        let (workload, facts) = (Arc::new(workload), Arc::new(facts));
        let (twin, source) = (twin.map(Arc::new), source.map(Arc::new));
        Ok(Read { object, entry: Entry { workload, facts, twin, source, fronts: services } })
    }

    /// The Deployment that it takes its template from.
    async fn read_source(&self, facts: &Facts) -> Result<Option<Value>, Error> {
        let Some(key) = reference::key(facts) else { return Ok(None) };
        match self.sender.get(&key).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Gone(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The Services of a Deployment's namespace.
    async fn read_services(&self, key: &Key) -> Result<Option<Value>, Error> {
        if key.kind != Kind::Deployment {
            return Ok(None);
        }
        let uri = format!("/api/v1/namespaces/{}/services", key.namespace);
        Ok(Some(self.sender.read(&uri, "list Services", None).await?))
    }

    /// What is called as a second Deployment beside this one would be.
    async fn read_twin(&self, key: &Key) -> Result<Option<Value>, Error> {
        let name = match key.kind {
            Kind::Deployment => Twin::name_for(&key.name).ok(),
            Kind::Rollout => None,
        };
        let Some(name) = name else { return Ok(None) };
        match self.sender.get(&Key { name, ..key.clone() }).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Gone(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What was read past the cache.
struct Read {
    /// With its template, wherever that stands.
    object: Value,
    entry: Entry,
}

/// The object's `matchLabels` as a query's value; narrows a list that is filtered by owner afterwards in any
/// case.
fn selector(object: &Value) -> String {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)));
    let text = pairs.collect::<Vec<_>>().join(",");
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Keeps the age of the cache honest, and connections open.
async fn probe(sender: Sender, view: Arc<View>) {
    let mut ticks = tokio::time::interval(PROBE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tick = 0;
    loop {
        ticks.tick().await;
        let read = || sender.call(Method::GET, PROBE_PATH, None);
        let warm = if tick % WARM_EVERY == 0 { WARM } else { 1 };
        tick += 1;
        let answers = futures::future::join_all((0..warm).map(|_| read())).await;
        if answers.iter().all(|a| matches!(a, Answer::Ok(_))) {
            view.probed();
        }
    }
}
