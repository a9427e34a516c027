//! What pages and REST show. Read only: nothing here changes anything.

mod analyses;
mod audit;
mod back;
mod compare;
mod live;
mod now;
mod plans;
mod releases;
mod services;
mod templates;
mod weights;

pub(crate) use services::see;

use crate::Control;
use crate::error::OrProblem as _;
use model::plan::{BlueGreen, Plan};
use model::release::{Course, Release, State};
use model::view::{Age, ReleaseRow};
use model::workload::{Strategy, Workload};
use model::{Problem, ReleaseId};
use std::sync::Arc;
use store::ReleaseFilter;

impl Control {
    /// How old what is shown is: the oldest cluster decides.
    pub fn age(&self) -> Age {
        let synced: Option<Vec<_>> = self.clusters().iter().map(|c| c.synced()).collect();
        Age {
            now: self.now_utc(),
            cluster: synced.and_then(|all| all.into_iter().min()),
            database: self.inner.database.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    pub(crate) fn workload_of(&self, release: &Release) -> Option<Arc<Workload>> {
        self.cluster(&release.workload.cluster).ok()?.workload(&release.workload)
    }

    /// The release that drives a workload now.
    pub(crate) fn driving(&self, key: &model::workload::Key) -> Option<ReleaseId> {
        crate::read_lock(&self.inner.active).values().find(|r| r.workload == *key).map(|r| r.id)
    }

    pub(crate) async fn rows(&self, releases: &[Release]) -> Result<Vec<ReleaseRow>, Problem> {
        let mut rows = Vec::with_capacity(releases.len());
        for release in releases {
            let plan = self.plan_of(release).await?;
            rows.push(self.row(release, &plan));
        }
        Ok(rows)
    }

    fn row(&self, release: &Release, plan: &Plan) -> ReleaseRow {
        let workload = self.workload_of(release);
        ReleaseRow {
            id: release.id,
            plan: release.plan,
            plan_version: release.plan_version,
            service: release.service.clone(),
            environment: release.environment.clone(),
            version: release.version(),
            from_version: release.good_version(),
            state: release.state,
            words: words(release, plan),
            weight: weight(release, workload.as_deref()),
            ceiling: release.ceiling(plan),
            ticks: plan.steps().iter().map(|s| s.weight).collect(),
            started_by: release.started_by.clone(),
            created: release.created,
            ended: release.ended,
        }
    }

    /// Releases that a filter finds, newest first.
    pub(crate) async fn found(&self, filter: ReleaseFilter, limit: i64) -> Result<Vec<Release>, Problem> {
        self.store().releases(&filter, limit).await.or_problem()
    }

    /// The release of exactly this version of a plan.
    pub(crate) async fn release_of_plan(&self, plan: &store::PlanRecord) -> Result<Option<Release>, Problem> {
        let filter = ReleaseFilter { plan: Some(plan.id), ..ReleaseFilter::default() };
        Ok(self.found(filter, 50).await?.into_iter().find(|r| r.plan_version == plan.version))
    }

    /// Releases under way, newest first: from Postgres, or from memory while it is down.
    pub(crate) async fn under_way(&self) -> Vec<Release> {
        let mut all = match self.store().active_releases().await.or_problem() {
            Ok(all) => all,
            Err(_) => crate::read_lock(&self.inner.active).values().map(|r| (**r).clone()).collect(),
        };
        all.sort_by_key(|r| std::cmp::Reverse(r.id));
        all
    }
}

/// The canary's confirmed share, in percent.
pub(crate) fn weight(release: &Release, workload: Option<&Workload>) -> u8 {
    match release.state {
        State::Succeeded => 100,
        State::RolledBack | State::Cancelled | State::Queued => 0,
        State::Running | State::Waiting | State::Paused | State::RollingBack | State::Failed => {
            let Some(w) = workload else { return 0 };
            if w.twin.is_some() {
                return w.canary_share();
            }
            if release.canary_hash.is_some() && release.canary_hash != w.current_hash {
                // The template is back already. After a promotion what is in flight now is the known-good version.
                let promoted = w.stable_hash == release.canary_hash;
                return match (promoted, w.weights) {
                    (true, _) => 100u8.saturating_sub(w.canary_share()),
                    (false, Some(weights)) => weights.canary,
                    (false, None) => share_of_pods(release, w),
                };
            }
            if release.canary_hash.is_some() && w.stable_hash == release.canary_hash {
                return 100;
            }
            w.canary_share()
        }
    }
}

/// Where pods are the only router: the ready ones that are left of the release's version, of all, in percent.
fn share_of_pods(release: &Release, w: &Workload) -> u8 {
    let left = release.canary_hash.as_deref().and_then(|h| w.revision(h)).map_or(0, |r| r.ready.max(0));
    let all: i32 = w.revisions.iter().map(|r| r.ready.max(0)).sum();
    u8::try_from((left * 100).checked_div(all).unwrap_or(0)).unwrap_or(100)
}

/// What a release is doing, or why it ended so, in one sentence.
pub(crate) fn words(release: &Release, plan: &Plan) -> String {
    if let (true, Some(reason)) =
        (release.state.ended() || release.course != Course::Forward, &release.reason)
    {
        return reason.clone();
    }
    if let Some(hold) = &release.hold {
        return match &hold.why {
            Some(why) => format!("Held by {}: {why}", hold.by),
            None => format!("Held by {}.", hold.by),
        };
    }
    if let Some(note) = &release.note {
        return note.clone();
    }
    match (release.state, release.step) {
        (State::Queued, _) => "Waits for the conductor.".to_owned(),
        (State::Succeeded, _) => format!("{} carries all traffic.", release.version()),
        (_, Some(BlueGreen::AFTER))
            if release.step_since.is_some() && plan.drives() == Strategy::BlueGreen =>
        {
            format!("Users are on {}; {} stands by.", release.version(), release.good_version())
        }
        (_, Some(i)) if let (Some(percent), Some(_)) = (plan.copied_at(i), release.step_since) => format!(
            "It gets a copy of {percent} % of requests; its answers are judged and thrown away. Users stay on {}.",
            release.good_version()
        ),
        (_, Some(i)) if let Some(percent) = plan.copied_at(i) => {
            format!("Its pods start; then it gets a copy of {percent} % of requests.")
        }
        (_, Some(i)) if release.step_since.is_some() => match plan.steps().get(i).map(|s| s.weight) {
            Some(0) => format!("Users are on {}, and not on the preview.", release.good_version()),
            Some(weight @ 1..100) => format!("At {weight} %; {} carries the rest.", release.good_version()),
            weight => format!("At {} %.", weight.unwrap_or(0)),
        },
        (_, Some(i)) => match plan.steps().get(i).map(|s| s.weight) {
            Some(0) => "The preview comes up.".to_owned(),
            weight => format!("Moves to {} %.", weight.unwrap_or(0)),
        },
        (_, None) => "Starts.".to_owned(),
    }
}
