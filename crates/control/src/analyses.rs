//! Keeps the analyses that Argo Rollouts runs for releases: it forgets all but ten measurements of a metric, and deletes old runs.
//!
//! Every replica gathers, who holds the release's lease writes; after the release's end anybody does, for a while. Writing twice
//! does no harm: what is stored is told apart by run, metric and number. What could not be written yet waits in memory.

use crate::error::OrProblem as _;
use crate::{Control, read_lock};
use chrono::{DateTime, TimeDelta, Utc};
use cluster::{AnalysisRun, Stage};
use judge::argo::history::History;
use judge::argo::run::{Measurement, Status};
use judge::argo::template::Spec;
use model::release::Release;
use model::workload::Kind;
use model::{Problem, ReleaseId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{AnalysisRecord, CONTROLLER, MeasurementRecord};
use tokio::sync::broadcast::error::RecvError;

/// Looks come with each change in the cluster, and so often without one.
const EVERY: Duration = Duration::from_secs(3);
/// After a release's end its runs are watched for so long: an abort ends them a little later.
const AFTER: TimeDelta = TimeDelta::minutes(10);
/// Releases read at the start, to go on with what another process began.
const LATEST: i64 = 50;
/// Measurements of a run that wait to be written, at most.
const WAITING: usize = 2_000;
/// Clocks here and in the cluster may differ by this much, and Kubernetes writes whole seconds.
const SKEW: TimeDelta = TimeDelta::seconds(2);

type Measurements = BTreeMap<(String, u32), Measurement>;

/// What is kept of a run beside its measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) created: Option<DateTime<Utc>>,
    pub(crate) spec: Spec,
    pub(crate) status: Status,
}

/// A release whose runs are kept.
#[derive(Debug)]
struct Followed {
    release: Arc<Release>,
    ended: Option<DateTime<Utc>>,
    runs: HashMap<String, Followable>,
}

#[derive(Debug)]
struct Followable {
    seen: Arc<AnalysisRun>,
    /// What the controller showed of it last.
    shown: Measurements,
    /// What is not written yet.
    waiting: Measurements,
    written: bool,
}

impl Control {
    pub(crate) async fn run_analyses(&self) {
        let mut followed: HashMap<ReleaseId, Followed> = HashMap::new();
        let mut heard = self.subscribe();
        let mut seeded = false;
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let workloads: HashSet<String> =
                followed.values().map(|f| format!("workload:{}", f.release.workload)).collect();
            let news = tokio::select! {
                _ = tick.tick() => News::None,
                news = listen(&mut heard, &workloads) => news,
            };
            seeded = seeded && news != News::Missed;
            if !seeded {
                seeded = self.seed(&mut followed).await;
            }
            self.take_up(&mut followed).await;
            if let News::Release(id) = news
                && !followed.contains_key(&id)
            {
                self.catch_up(&mut followed, id).await;
            }
            for release in followed.values_mut() {
                release.look(&self.runs_of(&release.release));
                if let Err(problem) = self.write(release).await {
                    tracing::debug!(%problem, release = %release.release.id, "its analyses are written later");
                }
            }
        }
    }

    /// Releases that ended lately: what happened to their runs since may have been seen by nobody.
    async fn seed(&self, followed: &mut HashMap<ReleaseId, Followed>) -> bool {
        let Ok(latest) = self.found(store::ReleaseFilter::default(), LATEST).await else { return false };
        let now = self.now_utc();
        for release in latest.into_iter().filter(|r| r.ended.is_some_and(|at| now - at < AFTER)) {
            followed.entry(release.id).or_insert_with(|| Followed::new(Arc::new(release)));
        }
        true
    }

    /// One that came and went between two looks.
    async fn catch_up(&self, followed: &mut HashMap<ReleaseId, Followed>, id: ReleaseId) {
        let Ok(release) = self.store().release(id).await else { return };
        let lately = release.ended.is_some_and(|at| self.now_utc() - at < AFTER);
        if lately && release.workload.kind == Kind::Rollout {
            followed.insert(id, Followed::new(Arc::new(release)));
        }
    }

    /// What is under way, and what has ended lately.
    async fn take_up(&self, followed: &mut HashMap<ReleaseId, Followed>) {
        let active: HashMap<ReleaseId, Arc<Release>> = read_lock(&self.inner.active).clone();
        let now = self.now_utc();
        for (id, f) in followed.iter_mut().filter(|(id, f)| f.ended.is_none() && !active.contains_key(id)) {
            // It may have got its last words, and its end, elsewhere.
            if let Ok(release) = self.store().release(*id).await {
                f.ended = release.ended;
                f.release = Arc::new(release);
            }
        }
        for (id, release) in active {
            if release.workload.kind == Kind::Rollout {
                let f = followed.entry(id).or_insert_with(|| Followed::new(release.clone()));
                f.release = release;
            }
        }
        followed.retain(|_, f| f.ended.is_none_or(|at| now - at < AFTER));
    }

    /// The runs that decide about a release, as the watch cache has them.
    pub(crate) fn runs_of(&self, release: &Release) -> Vec<Arc<AnalysisRun>> {
        let Ok(cluster) = self.cluster(&release.workload.cluster) else { return Vec::new() };
        let mut runs = cluster.analyses(&release.workload);
        runs.retain(|run| is_of(run, release));
        runs
    }

    async fn write(&self, f: &mut Followed) -> Result<(), Problem> {
        let id = f.release.id;
        if f.runs.values().all(|run| run.written && run.waiting.is_empty()) {
            return Ok(());
        }
        let replica = &self.inner.config.replica;
        if f.ended.is_none() && !self.store().holds_lease(id, replica).await.or_problem()? {
            return Ok(());
        }
        for run in f.runs.values_mut().filter(|run| !run.written || !run.waiting.is_empty()) {
            self.store().put_analysis(id, &record(&run.seen).or_problem()?).await.or_problem()?;
            let waiting = run.waiting.iter().map(|(place, m)| measurement(&run.seen.uid, place, m));
            let waiting = waiting.collect::<Result<Vec<_>, _>>().or_problem()?;
            self.store().put_measurements(id, &waiting).await.or_problem()?;
            run.waiting.clear();
            run.written = true;
        }
        self.store().announce(&format!("release:{id}")).await.or_problem()
    }
}

/// What woke the keeper of analyses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    Release(ReleaseId),
    /// Some were not heard.
    Missed,
}

/// Comes back when something was announced that may concern these workloads, or any release.
async fn listen(
    heard: &mut tokio::sync::broadcast::Receiver<crate::Announcement>,
    workloads: &HashSet<String>,
) -> News {
    loop {
        match heard.recv().await {
            Ok(a) if a.topic == "*" => return News::Missed,
            Ok(a) if workloads.contains(&a.topic) => return News::None,
            Ok(a) => {
                if let Some(id) = a.topic.strip_prefix("release:").and_then(|id| id.parse().ok()) {
                    return News::Release(id);
                }
            }
            Err(RecvError::Lagged(_)) => return News::Missed,
            // The process is about to end.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Whether a run is about the version of a release, and was made during it.
fn is_of(run: &AnalysisRun, release: &Release) -> bool {
    let (Some(hash), Some(created), Some(started)) = (&release.canary_hash, run.created, release.started)
    else {
        return false;
    };
    run.hash.as_ref() == Some(hash)
        && created >= started - SKEW
        && release.ended.is_none_or(|ended| created <= ended + SKEW)
}

impl Followed {
    fn new(release: Arc<Release>) -> Self {
        Self { ended: release.ended, release, runs: HashMap::new() }
    }

    fn look(&mut self, runs: &[Arc<AnalysisRun>]) {
        for run in runs {
            match self.runs.get_mut(&run.uid) {
                Some(known) => known.look(run),
                None => {
                    let shown = numbered(&run.status);
                    let new = Followable { seen: run.clone(), waiting: shown.clone(), shown, written: false };
                    self.runs.insert(run.uid.clone(), new);
                }
            }
        }
    }
}

impl Followable {
    fn look(&mut self, run: &Arc<AnalysisRun>) {
        if Arc::ptr_eq(&self.seen, run) || *self.seen == **run {
            return;
        }
        let shown = numbered(&run.status);
        for (place, measurement) in shown.iter().filter(|(place, m)| self.shown.get(*place) != Some(*m)) {
            self.waiting.insert(place.clone(), measurement.clone());
        }
        while self.waiting.len() > WAITING {
            self.waiting.pop_first();
        }
        self.shown = shown;
        self.seen = run.clone();
        self.written = false;
    }
}

/// The measurements that a status shows, by metric and number.
pub(crate) fn numbered(status: &Status) -> Measurements {
    let mut history = History::default();
    history.merge(&status.metric_results);
    let of = |(name, all): (&str, &BTreeMap<u32, Measurement>)| {
        all.iter().map(|(number, m)| ((name.to_owned(), *number), m.clone())).collect::<Vec<_>>()
    };
    history.metrics().flat_map(of).collect()
}

/// As it is kept, by the name of what it decides.
pub(crate) fn stage(stage: Stage) -> (&'static str, Option<u32>) {
    match stage {
        Stage::Step(step) => ("step", step),
        Stage::Background => ("background", None),
        Stage::PrePromotion => ("pre_promotion", None),
        Stage::PostPromotion => ("post_promotion", None),
        Stage::Other => ("other", None),
    }
}

pub(crate) fn kept(run: &AnalysisRun) -> Kept {
    kept_of(run.created, &run.spec, &run.status)
}

/// What is kept of a run beside its measurements.
pub(crate) fn kept_of(created: Option<DateTime<Utc>>, spec: &Spec, status: &Status) -> Kept {
    let mut status = status.clone();
    for result in &mut status.metric_results {
        result.measurements.clear();
        // A query with its arguments filled in may hold what came from a Secret.
        result.metadata.clear();
    }
    Kept { created, spec: spec.clone(), status }
}

pub(crate) fn record(run: &AnalysisRun) -> Result<AnalysisRecord, store::Error> {
    let made: i64 = run.status.metric_results.iter().map(|r| i64::from(r.count) + i64::from(r.error)).sum();
    let (stage, step) = stage(run.stage);
    Ok(AnalysisRecord {
        runner: CONTROLLER.to_owned(),
        uid: run.uid.clone(),
        name: run.name.clone(),
        stage: stage.to_owned(),
        step,
        hash: run.hash.clone(),
        phase: run.status.phase.name().to_owned(),
        message: Some(run.status.message.clone()).filter(|m| !m.is_empty()),
        progress: made * 2 + i64::from(run.status.phase.completed()),
        document: json(&kept(run))?,
    })
}

pub(crate) fn measurement(
    uid: &str,
    (metric, number): &(String, u32),
    m: &Measurement,
) -> Result<MeasurementRecord, store::Error> {
    let bare = Measurement { metadata: BTreeMap::new(), ..m.clone() };
    Ok(MeasurementRecord {
        uid: uid.to_owned(),
        metric: metric.clone(),
        number: *number,
        finished: m.finished_at.is_some(),
        document: json(&bare)?,
    })
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, store::Error> {
    serde_json::to_value(value)
        .map_err(|e| store::Error::Corrupt(format!("An analysis cannot be stored: {e}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::argo::Phase;
    use judge::argo::run::MetricResult;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    /// A run that has measured `count` times, the newest ten of which the controller shows.
    fn run(count: i32) -> Arc<AnalysisRun> {
        let measurement = |n: i32| Measurement {
            phase: Phase::Successful,
            started_at: Some(at(n.into())),
            finished_at: Some(at(n.into())),
            value: format!("[{n}]"),
            ..Measurement::default()
        };
        let first = (count - 9).max(1);
        let result = MetricResult {
            name: "m".into(),
            count,
            measurements: (first..=count).map(measurement).collect(),
            ..MetricResult::default()
        };
        Arc::new(AnalysisRun {
            rollout: None,
            namespace: "shop".into(),
            name: "web-1".into(),
            uid: "u".into(),
            created: Some(at(0)),
            stage: Stage::Background,
            hash: Some("abc".into()),
            spec: Spec::default(),
            status: Status { metric_results: vec![result], ..Status::default() },
        })
    }

    #[test]
    fn only_what_is_new_waits_to_be_written_and_nothing_is_lost_while_nobody_writes() {
        let mut f =
            Followable { seen: run(0), shown: BTreeMap::new(), waiting: BTreeMap::new(), written: true };
        f.look(&run(0));
        assert!(f.written && f.waiting.is_empty());
        for count in [3, 12, 25] {
            f.look(&run(count));
        }
        let numbers: Vec<u32> = f.waiting.keys().map(|(_, n)| *n).collect();
        // 13 to 15 were gone before anybody looked.
        assert_eq!(numbers, (1..=12).chain(16..=25).collect::<Vec<_>>());
        f.waiting.clear();
        f.look(&run(26));
        assert_eq!(f.waiting.keys().map(|(_, n)| *n).collect::<Vec<_>>(), [26]);
        assert!(!f.written);
    }

    #[test]
    fn a_later_status_has_the_greater_progress() {
        let progress = |run: &AnalysisRun| record(run).unwrap().progress;
        assert!(progress(&run(3)) < progress(&run(4)));
        let mut over = (*run(3)).clone();
        over.status.phase = Phase::Failed;
        assert!(progress(&run(3)) < progress(&over) && progress(&over) < progress(&run(4)));
        assert!(
            !record(&over).unwrap().document.to_string().contains("startedAt"),
            "measurements are kept apart"
        );
    }
}
