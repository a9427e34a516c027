//! What a policy that fired on a service between releases asks for: each action once, by whoever holds the firing's row.

use super::act::{Matter, event_of, incident, tell, tell_over};
use super::services::service_event;
use crate::Control;
use crate::error::OrProblem as _;
use crate::plans::tidy;
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::policy::{Action as Asked, FiredOn, ServiceAt, due, may_roll_back};
use model::problem::FieldError;
use model::workload::Key;
use model::{Action, Actor, Problem};
use store::{ActionRecord, FiringRecord, Stopped};

impl Control {
    pub(super) async fn do_due_service(&self, firing: &FiringRecord, at: &ServiceAt) -> Result<(), Problem> {
        let now = self.now_utc();
        let done: Vec<usize> = firing.actions.iter().map(|a| a.place).collect();
        let fired = &firing.fired;
        for next in due(&fired.policy, &fired.firing, firing.stopped.is_some(), &done, now) {
            if next.at.is_some_and(|at| at <= now) {
                self.do_service_action(firing, at, next.index, next.action, now).await?;
            }
        }
        Ok(())
    }

    async fn do_service_action(
        &self,
        firing: &FiringRecord,
        at: &ServiceAt,
        place: usize,
        action: &Asked,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        // Held until the record is there: an effect on the cluster is made by one, and by the next only if that one died.
        if !tx.claim_firing(firing.id).await.or_problem()? {
            return Ok(());
        }
        let fresh = self.store().service_firings(&at.workload).await.or_problem()?;
        let fresh = fresh.iter().find(|f| f.id == firing.id);
        let superseded = fresh.is_none_or(|f| {
            let stopped = matches!(action, Asked::AutomaticRollback { .. }) && f.stopped.is_some();
            stopped || f.actions.iter().any(|a| a.place == place)
        });
        if superseded {
            return Ok(());
        }
        let matter = Matter::service(at);
        let words = match action {
            Asked::PauseRollout => "Nothing is under way that could be held.".to_owned(),
            Asked::NotifyOncall { channels } => tell(&mut tx, firing, &matter, channels, now).await?,
            Asked::IncidentCreation { severity, auto_assign, public } => {
                let new = incident(firing, &matter, *severity, *auto_assign, *public, now);
                let id = tx.open_incident(&new).await.or_problem()?;
                format!("Incident {id} is open.")
            }
            Asked::AutomaticRollback { .. } => self.back_by_policy(firing, at, now).await?,
        };
        let record = ActionRecord { place, at: now, words: words.clone() };
        if !tx.insert_policy_action(firing.id, &record).await.or_problem()? {
            return Ok(());
        }
        tx.notify(format!("workload:{}", at.workload));
        let summary = format!("Policy {}, {}: {words}", firing.policy, action.title().to_lowercase());
        let mut event = service_event(now, event_of(action), summary, &at.service, &at.environment);
        event.detail = serde_json::json!({
            "policy": firing.policy, "firing": firing.id, "action": action.key(), "workload": at.workload,
        });
        tx.commit(event).await.or_problem()?;
        self.announce(format!("workload:{}", at.workload));
        Ok(())
    }

    /// Rolls the service back if it may be, and says what came of it.
    async fn back_by_policy(
        &self,
        firing: &FiringRecord,
        at: &ServiceAt,
        now: DateTime<Utc>,
    ) -> Result<String, Problem> {
        let key = &at.workload;
        let not = |why: &str| Ok(format!("Not rolled back. {why}"));
        let Some(watch) = firing.fired.policy.services else { return not("The policy does not say so.") };
        let Some(w) = self.cluster(&key.cluster)?.workload(key) else { return not("It is gone.") };
        let driving = crate::read_lock(&self.inner.active).values().any(|r| r.workload == *key);
        if driving {
            return not("A release is under way by now.");
        }
        let told = self.told(key).await;
        if let Err(why) = may_roll_back(&watch, &at.hash, &told.records, &w, now) {
            return not(&why);
        }
        let Some(way) = self.way_back(&w).await? else { return not("No earlier version is known.") };
        let why = format!("Rolled back by policy {}: {}.", firing.policy, firing.fired.words());
        let actor = Actor::system("policies");
        match self.go_back(&actor, key, Some(&way.good.hash), Some(why)).await {
            Ok(receipt) => Ok(format!("Rolled back to {}.", receipt.to_version)),
            Err(problem) if problem.status == model::problem::Status::Conflict => not(&problem.detail),
            Err(problem) => Err(problem),
        }
    }

    /// Ends a firing on a service: those who were told are told that it is over.
    pub(super) async fn service_over(
        &self,
        firing: &FiringRecord,
        at: &ServiceAt,
        how: &str,
    ) -> Result<(), Problem> {
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        if !tx.claim_firing(firing.id).await.or_problem()?
            || !tx.end_firing(firing.id, now).await.or_problem()?
        {
            return Ok(());
        }
        let words = format!("{} in {}: {how}.", at.service, at.environment);
        tell_over(&mut tx, firing, &Matter::service(at), words, now).await?;
        tx.notify(format!("workload:{}", at.workload));
        let words = format!("Policy {} is done with {}: {how}", firing.policy, at.service);
        let mut event = service_event(now, "policy.ended", words, &at.service, &at.environment);
        event.detail = serde_json::json!({ "policy": firing.policy, "workload": at.workload });
        tx.commit(event).await.or_problem()?;
        self.announce(format!("workload:{}", at.workload));
        Ok(())
    }

    /// Stops the rollback that a policy is about to make of a service between releases.
    ///
    /// # Errors
    /// 403; 404; 409 when no policy is about to roll it back; 422 without a reason.
    pub async fn stop_service_policy(
        &self,
        actor: &Actor,
        key: &Key,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        let reason = tidy(reason)?;
        let workload = self.cluster(&key.cluster)?.workload(key);
        let workload = workload.ok_or_else(|| Problem::not_found(format!("There is no {key}.")))?;
        actor.require(Action::Resume, &workload.environment)?;
        if reason.is_none() {
            let message = "Say why the version may stay: whoever looks later asks.".to_owned();
            return Err(Problem::invalid(vec![FieldError { field: "reason".into(), message }]));
        }
        let none = || Problem::conflict(format!("No policy is about to roll {} back.", key.name));
        let firings = self.store().service_firings(key).await.or_problem()?;
        let firing = firings.into_iter().find(is_to_come).ok_or_else(none)?;
        let FiredOn::Service(at) = &firing.on else { return Err(none()) };
        let now = self.now_utc();
        let stopped = Stopped { at: now, by: actor.name.clone(), why: reason.clone() };
        let mut tx = self.store().begin().await.or_problem()?;
        // Behind whoever rolls it back this moment.
        let held = tx.await_firing(firing.id).await.or_problem()?;
        let fresh = self.store().service_firings(key).await.or_problem()?;
        let to_come = fresh.iter().any(|f| f.id == firing.id && is_to_come(f));
        if !held || !to_come || !tx.stop_firing(firing.id, &stopped).await.or_problem()? {
            return Err(none());
        }
        tx.notify(format!("workload:{key}"));
        let words = format!("Stopped the rollback of {} by policy {}", at.service, firing.policy);
        let mut event = NewEvent::new(now, actor, "policy.stopped", words);
        event.service = Some(at.service.clone());
        event.environment = Some(at.environment.clone());
        event.reason = reason;
        event.detail = serde_json::json!({ "policy": firing.policy, "workload": key });
        tx.commit(event).await.or_problem()?;
        self.announce(format!("workload:{key}"));
        self.inner.policies.fired.notify_one();
        Ok(())
    }
}

/// Its rollback is still to come, by itself or by a person.
pub(super) fn is_to_come(firing: &FiringRecord) -> bool {
    let actions = &firing.fired.policy.actions;
    let back = actions.iter().position(|a| matches!(a, Asked::AutomaticRollback { .. }));
    firing.stopped.is_none()
        && firing.ended.is_none()
        && back.is_some_and(|place| firing.actions.iter().all(|a| a.place != place))
}
