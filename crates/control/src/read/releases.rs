//! `/releases` and `/releases/{id}`.

use super::plans::{approval, least};
use super::services::{instead, preview, see};
use super::weights::{drawn, weights};
use crate::Control;
use crate::analysis::analysed;
use crate::config::{put_back, warnings};
use crate::error::OrProblem as _;
use chrono::{DateTime, Utc};
use judge::kayenta::{Label, step_report};
use model::audit::Event;
use model::plan::Plan;
use model::release::{Release, State};
use model::verdict::{Class, Sample};
use model::view::{
    MetricLine, ReleaseDelta, ReleaseMarkup, ReleasePage, ReleasesPage, StepReport, TimelineItem,
};
use model::{Actor, Problem, ReleaseId, Seq};

/// Samples drawn: fifty minutes at one each three seconds.
const SAMPLES: i64 = 1000;
/// A day of looks, three seconds apart.
const MOST_SAMPLES: i64 = 30_000;
const EVENTS: i64 = 200;

impl Control {
    /// Releases, newest first.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn releases(&self, actor: &Actor, state: Option<State>) -> Result<ReleasesPage, Problem> {
        see(actor)?;
        let releases = self.found(store::ReleaseFilter { state, ..Default::default() }, 200).await?;
        Ok(ReleasesPage { rows: self.rows(&releases).await?, state, age: self.age() })
    }

    /// The record itself, as REST shows it.
    ///
    /// # Errors
    /// 403, 404; while Postgres is down, what memory has.
    pub async fn release_record(&self, actor: &Actor, id: ReleaseId) -> Result<Release, Problem> {
        see(actor)?;
        match self.store().release(id).await {
            Ok(release) => Ok(release),
            Err(e @ store::Error::Unavailable(_)) => match crate::read_lock(&self.inner.active).get(&id) {
                Some(release) => Ok((**release).clone()),
                None => Err(e).or_problem(),
            },
            Err(e) => Err(e).or_problem(),
        }
    }

    /// Records, newest first, as REST lists them.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn release_records(
        &self,
        actor: &Actor,
        state: Option<State>,
        limit: i64,
    ) -> Result<Vec<Release>, Problem> {
        see(actor)?;
        self.found(store::ReleaseFilter { state, ..Default::default() }, limit.clamp(1, 500)).await
    }

    /// Weight and ceiling of a record now, in percent.
    ///
    /// # Errors
    /// 503 when its plan cannot be read.
    pub async fn weights(&self, release: &Release) -> Result<(u8, u8), Problem> {
        let plan = self.plan_of(release).await?;
        Ok((super::weight(release, self.workload_of(release).as_deref()), release.ceiling(&plan)))
    }

    /// A release with everything its page shows.
    ///
    /// # Errors
    /// 403, 404; 503 without a database.
    pub async fn release(&self, actor: &Actor, id: ReleaseId) -> Result<ReleasePage, Problem> {
        // Without Postgres the page still has what moves and the ROLL BACK button.
        let release = self.release_record(actor, id).await?;
        let plan = self.plan_of(&release).await?;
        let now = self.now_utc();
        let samples = self.store().samples(id, None, SAMPLES).await.unwrap_or_default();
        let events = self.store().release_events(id, Seq(0), 1000).await.unwrap_or_default();
        let record = self.store().plan_version(release.plan, release.plan_version).await.ok();
        let approvals = match &record {
            Some(record) => {
                let all = self.store().approvals(release.plan).await.unwrap_or_default();
                all.iter().filter(|a| a.digest == release.digest).map(|a| approval(a, record, now)).collect()
            }
            None => Vec::new(),
        };
        let live = self.live(actor, &release, &plan, &samples).await;
        let reports = reports(&plan, &samples);
        let weights = weights(&events, &samples, &plan);
        let samples = drawn(samples);
        Ok(ReleasePage {
            reports,
            markup: ReleaseMarkup::default(),
            id,
            service: release.service.clone(),
            environment: release.environment.clone(),
            workload: release.workload.clone(),
            version: release.version(),
            from_version: release.good_version(),
            plan: release.plan,
            plan_name: plan.metadata.name.clone(),
            plan_version: release.plan_version,
            digest: release.digest.clone(),
            images: release.images.clone(),
            reference: plan.spec.change.reference.clone(),
            started_by: release.started_by.clone(),
            created: release.created,
            started: release.started,
            ended: release.ended,
            approvals,
            approvals_required: plan.spec.approvals.required,
            limits: plan.spec.analysis.limits(),
            analysed: analysed(&plan),
            live,
            weights,
            samples,
            marks: events.iter().filter_map(|e| mark(e, &plan)).collect(),
            verdicts: self.verdicts(id, None).await,
            timeline: events
                .iter()
                .rev()
                .filter(told)
                .take(usize::try_from(EVENTS).unwrap_or(200))
                .map(item)
                .collect(),
            expected: least(&plan),
        })
    }

    /// A release's page with what a rollback to the version named by its hash would do, instead of to the recorded one.
    ///
    /// # Errors
    /// 403, 404; 409 when that version is not one to go back to now; 503 without a database.
    pub async fn release_to(
        &self,
        actor: &Actor,
        id: ReleaseId,
        to: Option<&str>,
    ) -> Result<ReleasePage, Problem> {
        let mut page = self.release(actor, id).await?;
        let release = self.release_record(actor, id).await?;
        if let Some(to) = to.filter(|to| !to.is_empty() && *to != release.known_good.hash)
            && page.live.roll_back.allowed
            && let Some(w) = self.workload_of(&release)
        {
            let good = self.next_best(&release, &w, to).await?;
            let mut preview = preview(&w, &good, None);
            let config = self.config_view(&w, &good).await;
            preview.steps.extend(config.as_ref().and_then(put_back));
            preview.cannot_undo.extend(config.as_ref().map(warnings).unwrap_or_default());
            preview.cannot_undo.extend(self.left_to_git(&w).await);
            let weight = super::weight(&release, Some(&w));
            instead(&mut preview, &w, &release.known_good, &release.version(), weight);
            page.live.rollback = Some(preview);
        }
        Ok(page)
    }

    /// Everything that was measured during a release, oldest first: at most the last day.
    ///
    /// # Errors
    /// 403; 404; 503 without a database.
    pub async fn samples(&self, actor: &Actor, id: ReleaseId) -> Result<Vec<Sample>, Problem> {
        self.release_record(actor, id).await?;
        self.store().samples(id, None, MOST_SAMPLES).await.or_problem()
    }

    /// Kayenta's judge over each step, from everything that is kept of it: at most the last 30,000 samples.
    ///
    /// # Errors
    /// 403; 404; 503 without a database.
    pub async fn step_reports(&self, actor: &Actor, id: ReleaseId) -> Result<Vec<StepReport>, Problem> {
        let plan = self.plan_of(&self.release_record(actor, id).await?).await?;
        let samples = self.store().samples(id, None, MOST_SAMPLES).await.or_problem()?;
        Ok(reports(&plan, &samples))
    }

    /// What changed on a release's page since the given times and place in the chain.
    ///
    /// # Errors
    /// 403, 404; 503 without a database.
    pub async fn release_delta(
        &self,
        actor: &Actor,
        id: ReleaseId,
        samples_after: Option<DateTime<Utc>>,
        events_after: Seq,
    ) -> Result<ReleaseDelta, Problem> {
        let release = self.release_record(actor, id).await?;
        let plan = self.plan_of(&release).await?;
        let all = self.store().samples(id, None, SAMPLES).await.unwrap_or_default();
        let live = self.live(actor, &release, &plan, &all).await;
        let mut samples = drawn(all);
        if let Some(after) = samples_after {
            samples.retain(|s| s.at > after);
        }
        let events = self.store().release_events(id, events_after, EVENTS).await.unwrap_or_default();
        Ok(ReleaseDelta {
            id,
            live,
            samples,
            marks: events.iter().filter_map(|e| mark(e, &plan)).collect(),
            verdicts: self.verdicts(id, samples_after).await,
            timeline: events.iter().rev().filter(told).map(item).collect(),
        })
    }
}

impl Control {
    /// Verdicts as they were reached, oldest first.
    async fn verdicts(&self, id: ReleaseId, after: Option<DateTime<Utc>>) -> Vec<(DateTime<Utc>, Class)> {
        let all = self.store().verdicts(id).await.unwrap_or_default();
        all.iter().filter(|v| after.is_none_or(|at| v.at > at)).map(|v| (v.at, v.class)).collect()
    }
}

/// Kayenta's judge, step by step, over the samples that the page draws.
fn reports(plan: &Plan, samples: &[Sample]) -> Vec<StepReport> {
    let of_step = |i: usize| {
        let (points, report) = step_report(samples, i, &plan.spec.analysis.limits())?;
        let metrics = report.metrics.into_iter().map(|m| MetricLine {
            passed: m.classification == Label::Pass,
            label: format!("{:?}", m.classification),
            reason: m.reason,
            name: m.name,
        });
        Some(StepReport {
            step: plan.step_title(i),
            verdict: match report.verdict {
                judge::kayenta::Verdict::Pass => Class::Pass,
                judge::kayenta::Verdict::Marginal => Class::Marginal,
                judge::kayenta::Verdict::Fail => Class::Fail,
            },
            score: report.score,
            points,
            metrics: metrics.collect(),
        })
    };
    (0..plan.steps().len()).filter_map(of_step).collect()
}

/// Events that the chart marks on its time axis.
fn mark(e: &Event, plan: &Plan) -> Option<(DateTime<Utc>, String)> {
    let step = || {
        let reached = e.event.detail.get("step_reached")?;
        Some(match reached.get("weight")?.as_u64()? {
            0 if plan.shadow().is_some() => "copies".to_owned(),
            0 => "preview".to_owned(),
            weight => format!("{weight} %"),
        })
    };
    match e.event.action.as_str() {
        "release.deployed" => Some((e.event.at, "deploy".to_owned())),
        "release.step.reached" => Some((e.event.at, step()?)),
        "release.switched" => Some((e.event.at, "switch".to_owned())),
        "release.turned_back" | "rollback.accepted" => Some((e.event.at, "rollback".to_owned())),
        "release.aborted" => Some((e.event.at, "abort".to_owned())),
        "release.succeeded" => Some((e.event.at, "done".to_owned())),
        _ => None,
    }
}

/// The timeline tells what was done once, when it was done; that it was announced first stands in the audit.
fn told(e: &&Event) -> bool {
    e.event.action != "release.effect.begun"
}

fn item(e: &Event) -> TimelineItem {
    TimelineItem {
        seq: e.seq,
        at: e.event.at,
        actor: e.event.actor.clone(),
        action: e.event.action.clone(),
        summary: e.event.summary.clone(),
        reason: e.event.reason.clone(),
    }
}
