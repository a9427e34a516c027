//! The analyses that Argo Rollouts runs, as they run: which Rollout each belongs to, what it decides, and every
//! measurement that the controller still keeps.
//!
//! Apart from the cache of workloads: a cluster without this kind, or one that Tidegate may not list it in, is none the
//! older for it. Only runs under way, and those that ended lately, are held: a cluster may have fifty thousand old ones.

use crate::raw::Meta;
use crate::watch::{Life, News, Object, Watch};
use chrono::{DateTime, TimeDelta, Utc};
use judge::argo::run::Status;
use judge::argo::template::Spec;
use kube::Client;
use model::workload::{Key, Kind};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const ALL: &str = "/apis/argoproj.io/v1alpha1/analysisruns";
/// So long after its end a run is held, to be written down by whoever keeps its history.
const HELD: TimeDelta = TimeDelta::minutes(10);
/// Reports that wait.
const NEWS: usize = 256;

/// What an analysis decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whether this step of a canary is left, counted from 0.
    Step(Option<u32>),
    /// Whether a canary goes on, while it goes on.
    Background,
    /// Whether a blue-green Rollout switches.
    PrePromotion,
    /// Whether it stays switched.
    PostPromotion,
    /// Something of somebody else's: an experiment's, or one made by hand.
    Other,
}

/// One AnalysisRun.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisRun {
    /// The Rollout that it decides about; none for what is of nobody's.
    pub rollout: Option<Key>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Unlike any other's, also of one of the same name later.
    pub uid: String,
    /// When it was made.
    pub created: Option<DateTime<Utc>>,
    /// What it decides.
    pub stage: Stage,
    /// The hash of the version that it looks at.
    pub hash: Option<String>,
    /// What it asks for: metrics with their conditions and limits.
    pub spec: Spec,
    /// How it stands.
    pub status: Status,
}

impl AnalysisRun {
    fn held(&self, now: DateTime<Utc>) -> bool {
        !self.status.phase.completed()
            || self.status.completed_at.or(self.created).is_some_and(|at| now - at < HELD)
    }
}

/// What cannot be read of one run is as if it were not there: it must not spoil a whole list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawRun {
    metadata: Meta,
    spec: Value,
    status: Value,
}

impl Object for RawRun {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// What readers share.
#[derive(Debug, Default)]
pub(crate) struct Analyses {
    /// By namespace and name.
    runs: RwLock<BTreeMap<(String, String), Arc<AnalysisRun>>>,
}

impl Analyses {
    /// The runs of a Rollout, oldest first.
    pub(crate) fn of(&self, key: &Key) -> Vec<Arc<AnalysisRun>> {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        let first = (key.namespace.clone(), String::new());
        let mut found: Vec<_> = runs
            .range(first..)
            .take_while(|((namespace, _), _)| *namespace == key.namespace)
            .map(|(_, run)| run)
            .filter(|run| run.rollout.as_ref() == Some(key))
            .cloned()
            .collect();
        found.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        found
    }

    /// Takes a report in; the Rollouts that it is news for.
    fn take(&self, news: News<AnalysisRun>, now: DateTime<Utc>) -> Vec<Key> {
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        let id = |run: &AnalysisRun| (run.namespace.clone(), run.name.clone());
        let mut touched = Vec::new();
        match news {
            News::All(all) => {
                touched.extend(runs.values().filter_map(|run| run.rollout.clone()));
                touched.extend(all.iter().filter_map(|run| run.rollout.clone()));
                *runs = all.into_iter().filter(|r| r.held(now)).map(|r| (id(&r), Arc::new(r))).collect();
            }
            News::One(run) => {
                let before = runs.get(&id(&run));
                if before.is_none_or(|b| **b != run) {
                    touched.extend(run.rollout.clone());
                }
                runs.insert(id(&run), Arc::new(run));
            }
            News::Gone(run) => {
                touched.extend(run.rollout.clone());
                runs.remove(&id(&run));
            }
        }
        runs.retain(|_, run| run.held(now));
        touched.sort();
        touched.dedup();
        touched
    }
}

/// Whole Jobs and headers with passwords may stand there; what is explained is Prometheus' query.
fn query_alone(source: &str, settings: &Value) -> Value {
    match settings.get("query").filter(|_| source == "prometheus") {
        Some(query) => serde_json::json!({ "query": query }),
        None => Value::Null,
    }
}

fn small(cluster: &str, raw: RawRun) -> AnalysisRun {
    let RawRun { metadata: mut meta, spec, status } = raw;
    let mut spec: Spec = serde_json::from_value(spec).unwrap_or_default();
    let status: Status = serde_json::from_value(status).unwrap_or_default();
    let owner = meta.owner_references.iter().find(|o| o.controller && o.kind == "Rollout");
    let rollout = owner.filter(|o| !o.name.is_empty()).map(|o| Key {
        cluster: cluster.to_owned(),
        namespace: meta.namespace.clone(),
        kind: Kind::Rollout,
        name: o.name.clone(),
    });
    let step = meta.labels.get("step-index").and_then(|s| s.parse().ok());
    let stage = match meta.labels.get("rollout-type").map(String::as_str) {
        Some("Step") => Stage::Step(step),
        Some("Background") => Stage::Background,
        Some("PrePromotion") => Stage::PrePromotion,
        Some("PostPromotion") => Stage::PostPromotion,
        _ => Stage::Other,
    };
    for metric in &mut spec.metrics {
        metric.provider.iter_mut().for_each(|(source, settings)| *settings = query_alone(source, settings));
    }
    AnalysisRun {
        rollout,
        hash: meta.labels.remove("rollouts-pod-template-hash"),
        namespace: meta.namespace,
        name: meta.name,
        uid: meta.uid,
        created: meta.creation_timestamp,
        stage,
        spec,
        status,
    }
}

/// Starts watching; `tell` is called with each Rollout of which something changed.
pub(crate) fn start(
    client: &Client,
    cluster: &str,
    tell: impl Fn(Key) + Send + 'static,
) -> (Arc<Analyses>, Vec<JoinHandle<()>>) {
    let analyses = Arc::new(Analyses::default());
    let (sender, mut news) = mpsc::channel(NEWS);
    let name = cluster.to_owned();
    let watch = Watch {
        client: client.clone(),
        path: ALL,
        selector: "",
        optional: true,
        shrink: Box::new(move |run: RawRun| small(&name, run)),
        life: Arc::new(Life::default()),
        news: sender,
    };
    let view = analyses.clone();
    let taking = async move {
        while let Some(news) = news.recv().await {
            view.take(news, Utc::now()).into_iter().for_each(&tell);
        }
    };
    (analyses, vec![tokio::spawn(watch.run()), tokio::spawn(taking)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(name: &str, status: serde_json::Value) -> AnalysisRun {
        let raw = json!({"metadata": {"namespace": "shop", "name": name, "uid": name,
                "labels": {"rollout-type": "Step", "step-index": "2", "rollouts-pod-template-hash": "abc"},
                "ownerReferences": [{"kind": "Rollout", "name": "web", "uid": "1", "controller": true}]},
            "spec": {"metrics": [{"name": "m", "provider": {"job": {"spec": {"template": "long"}}}}]},
            "status": status});
        small("kind", serde_json::from_value(raw).unwrap())
    }

    fn key() -> Key {
        Key { cluster: "kind".into(), namespace: "shop".into(), kind: Kind::Rollout, name: "web".into() }
    }

    #[test]
    fn a_run_is_found_by_its_rollout() {
        let analyses = Analyses::default();
        let now = Utc::now();
        assert_eq!(analyses.take(News::One(run("a", json!({"phase": "Running"}))), now), [key()]);
        assert_eq!(analyses.take(News::One(run("a", json!({"phase": "Running"}))), now), [], "nothing new");
        let found = analyses.of(&key());
        assert_eq!(
            (found.len(), found[0].stage, found[0].hash.as_deref()),
            (1, Stage::Step(Some(2)), Some("abc"))
        );
        assert!(found[0].spec.metrics[0].provider["job"].is_null());
        assert_eq!(analyses.of(&Key { name: "other".into(), ..key() }).len(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        assert_eq!(run("odd", json!({"metricResults": "none"})).status, Status::default());
        let list = json!([{"metadata": {"name": "a"}, "spec": null}, {"metadata": {"name": "b"}}]);
        assert_eq!(serde_json::from_value::<Vec<RawRun>>(list).unwrap().len(), 2);
    }

    #[test]
    fn old_runs_are_not_held_and_gone_ones_go() {
        let analyses = Analyses::default();
        let now = Utc::now();
        let ended =
            |minutes: i64| json!({"phase": "Failed", "completedAt": now - TimeDelta::minutes(minutes)});
        let all = vec![run("old", ended(11)), run("late", ended(9)), run("now", json!({"phase": "Running"}))];
        assert_eq!(analyses.take(News::All(all), now), [key()]);
        let names = |a: &Analyses| a.of(&key()).iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&analyses), ["late", "now"]);
        analyses.take(News::Gone(run("now", json!({}))), now);
        assert_eq!(names(&analyses), ["late"]);
        analyses.take(News::All(Vec::new()), now);
        assert!(names(&analyses).is_empty());
    }
}
