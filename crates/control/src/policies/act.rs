//! Does what a policy that fired asks for: each action in one transaction with its event, so that it is done once, whichever
//! replica does it and whatever process dies.

use crate::Control;
use crate::error::OrProblem as _;
use crate::plans::tidy;
use crate::releases::about;
use crate::rollback::turn;
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::conductor::hold;
use model::incident::NewIncident;
use model::notify::{Happened, Message};
use model::policy::{Action as Asked, Channel, FiredOn, ServiceAt, Severity, due};
use model::release::{Course, Release, State};
use model::workload::Key;
use model::{Action, Actor, Problem, ReleaseId};
use std::time::Duration;
use store::{ActionRecord, FiringRecord, Stopped, Tx};

/// How often what is due is looked for; what has fired is looked at at once.
const TICK: Duration = Duration::from_secs(1);

impl Control {
    pub(crate) async fn run_firings(&self) {
        loop {
            let fired = self.inner.policies.fired.notified();
            let _ = tokio::time::timeout(TICK, fired).await;
            let open = match self.store().open_firings().await {
                Ok(open) => open,
                Err(error) => {
                    tracing::debug!(%error, "what policies ask for waits for the database");
                    continue;
                }
            };
            for firing in &open {
                if let Err(problem) = self.do_due(firing).await {
                    tracing::debug!(%problem, firing = firing.id, "a policy's action waits");
                }
            }
        }
    }

    async fn do_due(&self, firing: &FiringRecord) -> Result<(), Problem> {
        match &firing.on {
            FiredOn::Release { id, .. } => self.do_due_release(firing, *id).await,
            FiredOn::Service(at) => self.do_due_service(firing, at).await,
        }
    }

    async fn do_due_release(&self, firing: &FiringRecord, id: ReleaseId) -> Result<(), Problem> {
        let now = self.now_utc();
        let mut done: Vec<usize> = firing.actions.iter().map(|a| a.place).collect();
        let fired = &firing.fired;
        for next in due(&fired.policy, &fired.firing, firing.stopped.is_some(), &done.clone(), now) {
            if next.at.is_some_and(|at| at <= now) {
                self.do_action(firing, id, next.index, next.action, now).await?;
                done.push(next.index);
            }
        }
        let release = self.store().release(id).await.or_problem()?;
        let left = due(&fired.policy, &fired.firing, firing.stopped.is_some(), &done, now);
        // What ended cannot be rolled back any more; all else is due at once.
        let moot = left.iter().all(|d| matches!(d.action, Asked::AutomaticRollback { .. }));
        if release.state.ended() && moot {
            self.over(firing, &release, now).await?;
        }
        Ok(())
    }

    async fn do_action(
        &self,
        firing: &FiringRecord,
        id: ReleaseId,
        place: usize,
        action: &Asked,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(id).await.or_problem()?;
        let goes_on = release.course == Course::Forward && !release.state.ended();
        let mut changed = false;
        let words = match action {
            Asked::PauseRollout if !goes_on => "It was on its way back, or had ended.".to_owned(),
            Asked::PauseRollout if release.hold.is_some() => "It was held already.".to_owned(),
            Asked::PauseRollout => {
                changed = true;
                hold(&mut release, &named(firing), Some(firing.fired.words()), now);
                "Held: the weight may only fall.".to_owned()
            }
            Asked::AutomaticRollback { .. } if !goes_on => "It was on its way back, or had ended.".to_owned(),
            Asked::AutomaticRollback { .. } => {
                changed = true;
                let why = format!("Rolled back by policy {}: {}.", firing.policy, firing.fired.words());
                let good = release.known_good.clone();
                release.by_itself = true;
                turn(&mut release, good, &named(firing), Some(&why), now);
                format!("Rolled back to {}.", release.good_version())
            }
            Asked::NotifyOncall { channels } => {
                tell(&mut tx, firing, &Matter::release(&release), channels, now).await?
            }
            Asked::IncidentCreation { severity, auto_assign, public } => {
                let new = incident(firing, &Matter::release(&release), *severity, *auto_assign, *public, now);
                let id = tx.open_incident(&new).await.or_problem()?;
                format!("Incident {id} is open.")
            }
        };
        let record = ActionRecord { place, at: now, words: words.clone() };
        if !tx.insert_policy_action(firing.id, &record).await.or_problem()? {
            return Ok(());
        }
        if changed {
            tx.put_release(&release, None).await.or_problem()?;
        }
        let summary = format!("Policy {}, {}: {words}", firing.policy, action.title().to_lowercase());
        let mut event = NewEvent::new(now, &Actor::system("policies"), event_of(action), summary);
        about(&mut event, &release);
        event.detail =
            serde_json::json!({ "policy": firing.policy, "firing": firing.id, "action": action.key() });
        tx.commit(event).await.or_problem()?;
        if changed {
            self.remember(&release);
            self.inner.nudge.notify_one();
        }
        Ok(())
    }

    /// Nothing is left to be done: those who were told are told that it is over.
    async fn over(
        &self,
        firing: &FiringRecord,
        release: &Release,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        if !tx.end_firing(firing.id, now).await.or_problem()? {
            return Ok(());
        }
        let how = match release.state {
            State::RolledBack | State::Cancelled => {
                format!("{} carries all traffic again", release.good_version())
            }
            state => state.words().to_lowercase(),
        };
        let words = format!("Release {} of {}: {how}.", release.id, release.service);
        tell_over(&mut tx, firing, &Matter::release(release), words, now).await?;
        let words = format!("Policy {} is done with: {how}", firing.policy);
        let mut event = NewEvent::new(now, &Actor::system("policies"), "policy.ended", words);
        about(&mut event, release);
        tx.commit(event).await.or_problem().map(drop)
    }

    /// Why nothing may raise this release now: a policy is about to roll it back, or waits for somebody to say so.
    ///
    /// # Errors
    /// 503 without a database.
    pub(crate) async fn policy_bars(&self, release: &Release) -> Result<Option<String>, Problem> {
        let firings = self.store().firings(release.id).await.or_problem()?;
        let barred = firings.iter().find(|f| waits(f, release));
        Ok(barred.map(|f| {
            format!("Policy {} has fired and is to roll this back. Stop that first, with a reason.", f.policy)
        }))
    }

    /// Stops the rollback that a policy is about to make. The release stays held until somebody resumes it.
    ///
    /// # Errors
    /// 403; 404; 409 when no policy is about to roll it back; 422 without a reason.
    pub async fn stop_policy(
        &self,
        actor: &Actor,
        id: ReleaseId,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        let reason = tidy(reason)?;
        let release = self.store().release(id).await.or_problem()?;
        actor.require(Action::Resume, &release.environment)?;
        if reason.is_none() {
            return Err(Problem::invalid(vec![model::problem::FieldError {
                field: "reason".into(),
                message: "Say why the bad version may stay: whoever looks later asks.".into(),
            }]));
        }
        let none = || Problem::conflict("No policy is about to roll this release back.");
        let firings = self.store().firings(id).await.or_problem()?;
        let firing = firings.into_iter().rev().find(|f| waits(f, &release)).ok_or_else(none)?;
        let now = self.now_utc();
        let stopped = Stopped { at: now, by: actor.name.clone(), why: reason.clone() };
        let mut tx = self.store().begin().await.or_problem()?;
        // Behind whoever rolls it back this moment.
        let (release, _) = tx.lock_release(id).await.or_problem()?;
        if release.course != Course::Forward || !tx.stop_firing(firing.id, &stopped).await.or_problem()? {
            return Err(none());
        }
        let words = format!("Stopped the rollback by policy {}", firing.policy);
        let mut event = NewEvent::new(now, actor, "policy.stopped", words);
        about(&mut event, &release);
        event.reason = reason;
        tx.commit(event).await.or_problem()?;
        self.inner.policies.fired.notify_one();
        Ok(())
    }
}

/// Its rollback is still to come, by itself or by a person.
pub(crate) fn waits(firing: &FiringRecord, release: &Release) -> bool {
    let policy = &firing.fired.policy;
    let back = policy.actions.iter().position(|a| matches!(a, Asked::AutomaticRollback { .. }));
    firing.stopped.is_none()
        && firing.ended.is_none()
        && release.course == Course::Forward
        && !release.state.ended()
        && back.is_some_and(|place| firing.actions.iter().all(|a| a.place != place))
}

fn named(firing: &FiringRecord) -> String {
    format!("policy {}", firing.policy)
}

pub(super) fn event_of(action: &Asked) -> &'static str {
    match action {
        Asked::PauseRollout => "policy.held",
        Asked::NotifyOncall { .. } => "policy.told",
        Asked::AutomaticRollback { .. } => "policy.rolled-back",
        Asked::IncidentCreation { .. } => "policy.incident",
    }
}

/// What a policy fired on, as people are told of it.
pub(super) struct Matter {
    version: String,
    service: String,
    environment: String,
    workload: Key,
    release: Option<ReleaseId>,
    path: String,
}

impl Matter {
    fn release(r: &Release) -> Self {
        Self {
            version: r.version(),
            service: r.service.clone(),
            environment: r.environment.clone(),
            workload: r.workload.clone(),
            release: Some(r.id),
            path: format!("/releases/{}", r.id),
        }
    }

    pub(super) fn service(at: &ServiceAt) -> Self {
        Self {
            version: at.version.clone(),
            service: at.service.clone(),
            environment: at.environment.clone(),
            workload: at.workload.clone(),
            release: None,
            path: format!("/services/{}", at.workload),
        }
    }
}

/// Tells the destinations of some channels that it fired. What came of it, in words.
pub(super) async fn tell(
    tx: &mut Tx,
    firing: &FiringRecord,
    matter: &Matter,
    channels: &[Channel],
    now: DateTime<Utc>,
) -> Result<String, Problem> {
    let back = match firing.fired.rolls_back_at().filter(|at| *at > now) {
        Some(at) => format!(" It rolls back at {} UTC unless somebody stops it.", at.format("%H:%M:%S")),
        None => String::new(),
    };
    let Matter { version, service, environment, .. } = matter;
    let words = format!("{version} of {service} in {environment}: {}.{back}", firing.fired.words());
    let message = message(firing, matter, Happened::Fired, words, now);
    let told = tx.enqueue(&message, channels).await.or_problem()?;
    let names: Vec<_> = channels.iter().map(|c| c.words()).collect();
    Ok(match told {
        0 => format!("Nobody was told: no destination of {} is set up.", names.join(" or ")),
        1 => "1 destination is told.".to_owned(),
        n => format!("{n} destinations are told."),
    })
}

/// Tells those who were told that it is over.
pub(super) async fn tell_over(
    tx: &mut Tx,
    firing: &FiringRecord,
    matter: &Matter,
    words: String,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    for action in &firing.fired.policy.actions {
        if let Asked::NotifyOncall { channels } = action {
            let message = message(firing, matter, Happened::Resolved, words.clone(), now);
            tx.enqueue(&message, channels).await.or_problem()?;
        }
    }
    Ok(())
}

fn message(
    firing: &FiringRecord,
    matter: &Matter,
    what: Happened,
    words: String,
    now: DateTime<Utc>,
) -> Message {
    let severity = firing.fired.policy.actions.iter().find_map(|action| match action {
        Asked::IncidentCreation { severity, .. } => Some(*severity),
        _ => None,
    });
    Message {
        key: format!("{}{}", crate::incidents::FIRING, firing.id),
        title: format!("Policy {} fired on {} {}", firing.policy, matter.service, matter.version),
        words,
        severity: severity.unwrap_or(Severity::High),
        path: matter.path.clone(),
        release: matter.release,
        service: Some(matter.service.clone()),
        environment: Some(matter.environment.clone()),
        what,
        at: now,
    }
}

pub(super) fn incident(
    firing: &FiringRecord,
    matter: &Matter,
    severity: Severity,
    auto_assign: bool,
    public: bool,
    now: DateTime<Utc>,
) -> NewIncident {
    let title: String = format!("{} {}: {}", matter.service, matter.version, firing.fired.words())
        .chars()
        .take(model::incident::TITLE)
        .collect();
    NewIncident {
        key: Some(format!("{}{}", crate::incidents::FIRING, firing.id)),
        title,
        severity,
        impact: String::new(),
        public,
        service: matter.service.clone(),
        environment: matter.environment.clone(),
        workload: Some(matter.workload.clone()),
        release: matter.release,
        policy: Some(firing.policy.clone()),
        auto_assign,
        lead: None,
        began: firing.fired.firing.seen.first().map_or(firing.fired.firing.at, |s| s.at).min(now),
        opened: now,
        opened_by: "Tidegate, policy".into(),
    }
}
