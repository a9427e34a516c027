//! Argo CD and releases: an application that syncs by itself would write over what a release or a rollback changes.
//!
//! Where the workload's namespace allows it, its sync is suspended when one begins, and put back by a person who is told
//! what git would bring. That it is suspended is written on the application itself; the history has an event of each.

use crate::error::OrProblem as _;
use crate::plans::tidy;
use crate::releases::deed;
use crate::{Control, read_lock};
use cluster::Application;
use model::audit::NewEvent;
use model::gitops::{App, Suspension, Sync};
use model::view::SyncView;
use model::workload::{Key, Workload};
use model::{Action, Actor, Problem};
use std::time::Duration;

/// Between two tries to record a suspension that was made while Postgres was silent.
const AGAIN: Duration = Duration::from_secs(2);
/// Tries before the log has to do: half an hour.
const TRIES: u32 = 900;

/// By workload: its application, as lately read.
pub(crate) type Syncs = crate::glance::Glances<Key, Option<Sync>>;

impl Control {
    /// The application of a workload that Argo CD owns, as it was in the last seconds; `None` where it has none, or
    /// where that is not known within a moment.
    pub(crate) async fn sync(&self, w: &Workload) -> Option<Sync> {
        let app = w.gitops.as_ref()?;
        let ask = async { self.application(w, app).await.ok().flatten().map(|a| a.sync) };
        self.inner.syncs.at(w.key.clone(), ask).await
    }

    /// What a page shows of it.
    pub(crate) async fn sync_view(&self, actor: &Actor, w: &Workload) -> Option<SyncView> {
        let sync = self.sync(w).await?;
        let resume = deed(self.may_resume(actor, w, &sync));
        Some(SyncView { threat: sync.threat(), sync, resume })
    }

    /// What a rollback leaves to whoever keeps git; `None` where Argo CD does not own the workload.
    pub(crate) async fn left_to_git(&self, w: &Workload) -> Option<String> {
        let app = w.gitops.as_ref()?;
        Some(match self.sync(w).await {
            Some(sync) => sync.after_rollback(),
            None => format!(
                "Argo CD's application {app} owns this workload, and Tidegate cannot see it: with self-heal on, git \
                 puts the version that is left back within seconds. Revert it there too."
            ),
        })
    }

    /// `None` also where Tidegate may not look: then it only tells that git may write over what it does.
    async fn application(&self, w: &Workload, app: &App) -> Result<Option<Application>, Problem> {
        match self.cluster(&w.key.cluster)?.application(&w.key, app).await {
            Err(cluster::Error::Denied { .. }) => Ok(None),
            other => other.or_problem(),
        }
    }

    /// Before a release begins: suspends the sync of its application, where it is on and the workload's namespace allows
    /// that. Where it does not, the plan's page has told so. `why`: the event that it is for.
    ///
    /// # Errors
    /// 409 with why it cannot be suspended, and what to do; 503 when the cluster does not answer. Nothing is changed then.
    pub(crate) async fn suspend_before(&self, w: &Workload, why: &NewEvent) -> Result<(), Problem> {
        let Some(app) = &w.gitops else { return Ok(()) };
        let suspended = self.suspend(w, app, why).await.map_err(|problem| Problem {
            detail: format!("Argo CD would write over this release. {}", problem.detail),
            ..problem
        })?;
        if let Some(event) = suspended {
            self.record_event(event).await;
        }
        Ok(())
    }

    /// The same beside a rollback, and never in its way: what fails is told in the log and on the pages.
    pub(crate) fn suspend_beside(&self, w: &Workload, why: &NewEvent) {
        let Some(app) = w.gitops.clone() else { return };
        let (control, w, why) = (self.clone(), w.clone(), why.clone());
        tokio::spawn(async move {
            match control.suspend(&w, &app, &why).await {
                Ok(Some(event)) => control.record_event(event).await,
                Ok(None) => {}
                Err(problem) => {
                    tracing::warn!(key = %w.key, %app, why = problem.detail, "Argo CD's sync was not suspended");
                }
            }
        });
    }

    async fn suspend(&self, w: &Workload, app: &App, why: &NewEvent) -> Result<Option<NewEvent>, Problem> {
        let Some(application) = self.application(w, app).await? else { return Ok(None) };
        if !due(&application.sync) {
            return Ok(None);
        }
        let note = Suspension {
            at: self.now_utc(),
            by: why.actor.clone(),
            plan: why.plan,
            release: why.release,
            before: application.automated(),
        };
        let done = self.cluster(&w.key.cluster)?.suspend_sync(&application, &note).await;
        self.inner.syncs.forget(&w.key);
        done.map_err(Problem::conflict)?;
        self.announce(format!("workload:{}", w.key));
        let app = &application.sync.app;
        Ok(Some(NewEvent {
            at: note.at,
            action: "sync.suspended".into(),
            summary: format!("Automatic sync of Argo CD's application {app} suspended"),
            reason: None,
            detail: serde_json::json!({ "application": app, "before": note.before }),
            ..why.clone()
        }))
    }

    /// Puts the automatic sync of a workload's application back as it was.
    ///
    /// # Errors
    /// 403; 404; 409 while a release drives the workload, where Tidegate has not suspended it, or where it changed in the
    /// meantime; 503 without a database or cluster.
    pub async fn resume_sync(&self, actor: &Actor, key: &Key, reason: Option<String>) -> Result<(), Problem> {
        let reason = tidy(reason)?;
        let cluster = self.cluster(&key.cluster)?;
        let none = || Problem::not_found(format!("{key} is not in the cluster, or Argo CD does not own it."));
        let w = cluster.workload(key).ok_or_else(none)?;
        actor.require(Action::Start, &w.environment)?;
        let app = w.gitops.as_ref().ok_or_else(none)?;
        let application = self.application(&w, app).await?.ok_or_else(none)?;
        self.may_resume(actor, &w, &application.sync)?;
        let app = &application.sync.app;
        let mut event = NewEvent::new(
            self.now_utc(),
            actor,
            "sync.resumed",
            format!("Automatic sync of Argo CD's application {app} put back"),
        );
        let suspended = application.sync.suspended.as_ref();
        (event.plan, event.release) = suspended.map_or((None, None), |s| (s.plan, s.release));
        (event.service, event.environment) = (Some(w.service.clone()), Some(w.environment.clone()));
        event.reason = reason;
        // Git may raise traffic from here on: while nothing can be recorded it is not done.
        drop(self.store().begin().await.or_problem()?);
        let done = cluster.resume_sync(&application).await;
        self.inner.syncs.forget(key);
        done.map_err(Problem::conflict)?;
        self.record_event(event).await;
        self.announce(format!("workload:{key}"));
        Ok(())
    }

    /// # Errors
    /// 403; 409.
    fn may_resume(&self, actor: &Actor, w: &Workload, sync: &Sync) -> Result<(), Problem> {
        actor.require(Action::Start, &w.environment)?;
        if sync.suspended.is_none() {
            return Err(Problem::conflict(format!("Tidegate has not suspended the sync of {}.", sync.app)));
        }
        let driving = read_lock(&self.inner.active).values().find(|r| r.workload == w.key).map(|r| r.id);
        match driving {
            Some(id) => Err(Problem::conflict(format!(
                "Release {id} is under way: git would write over it. Put the sync back when it has ended."
            ))),
            None => Ok(()),
        }
    }

    /// Records what is done already. Postgres may be silent during an emergency; then it is tried again beside everything
    /// else, and the application itself tells meanwhile.
    async fn record_event(&self, event: NewEvent) {
        if self.try_record(event.clone()).await {
            return;
        }
        let control = self.clone();
        tokio::spawn(async move {
            for _ in 0..TRIES {
                tokio::time::sleep(AGAIN).await;
                if control.try_record(event.clone()).await {
                    return;
                }
            }
            tracing::error!(
                summary = event.summary,
                "never recorded: Postgres did not answer for half an hour"
            );
        });
    }

    async fn try_record(&self, event: NewEvent) -> bool {
        let recorded = async { self.store().begin().await?.commit(event).await };
        recorded.await.inspect_err(|error| tracing::debug!(%error, "recorded later")).is_ok()
    }
}

/// It is on, and may and can be suspended.
fn due(sync: &Sync) -> bool {
    sync.automated && sync.obstacle().is_none()
}
