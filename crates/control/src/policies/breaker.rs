//! The circuit breaker: a service that keeps being rolled back by itself is not released again until a person has looked.

use crate::Control;
use crate::error::OrProblem as _;
use crate::plans::tidy;
use model::audit::NewEvent;
use model::policy::Breaker;
use model::problem::FieldError;
use model::view::{BreakerView, Deed};
use model::workload::Key;
use model::{Action, Actor, Problem};

impl Control {
    /// Why no release of this workload may start now; `None` where one may, or no policy has a breaker.
    ///
    /// # Errors
    /// 503 without a database.
    pub(crate) async fn broken(
        &self,
        key: &Key,
        service: &str,
        environment: &str,
    ) -> Result<Option<BreakerView>, Problem> {
        let Some((name, breaker)) = self.breaker(key, service, environment) else { return Ok(None) };
        let since = self.now_utc() - breaker.window.delta();
        let backs = self.store().turned_back_by_itself(key, since).await.or_problem()?;
        let enough = u32::try_from(backs.len()).is_ok_and(|n| n >= breaker.rollbacks);
        Ok(enough.then(|| BreakerView {
            policy: name,
            words: format!(
                "Tidegate rolled {} back {} within {}. No new release starts until somebody has looked.",
                key.name,
                if backs.len() == 1 { "once".to_owned() } else { format!("{} times", backs.len()) },
                breaker.window
            ),
            releases: backs,
            lift: Deed::yes(),
        }))
    }

    fn breaker(&self, key: &Key, service: &str, environment: &str) -> Option<(String, Breaker)> {
        let used = self.policy_for(key, service, environment)?;
        let policies = crate::read_lock(&self.inner.policies.contents).get(&used.file).cloned()?;
        let breaker = policies.get(&used.name)?.breaker?;
        Some((used.name, breaker))
    }

    /// A person has looked at why a service keeps being rolled back: releases of it may start again.
    ///
    /// # Errors
    /// 403; 404; 409 when nothing keeps them from it; 422 without a reason.
    pub async fn lift_breaker(
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
            let message = "Say what was found: whoever releases next asks.".to_owned();
            return Err(Problem::invalid(vec![FieldError { field: "reason".into(), message }]));
        }
        if self.broken(key, &workload.service, &workload.environment).await?.is_none() {
            return Err(Problem::conflict(format!("Nothing keeps {} from being released.", key.name)));
        }
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        tx.lift_breaker(key, &actor.name, now).await.or_problem()?;
        tx.notify(format!("workload:{key}"));
        let words = format!("Releases of {} may start again", key.name);
        let mut event = NewEvent::new(now, actor, "service.breaker.lifted", words);
        event.service = Some(workload.service.clone());
        event.environment = Some(workload.environment.clone());
        event.reason = reason;
        event.detail = serde_json::json!({ "workload": key });
        tx.commit(event).await.or_problem()?;
        self.announce(format!("workload:{key}"));
        Ok(())
    }
}
