//! Restarting a workload's pods: the same version, other pods. Not beside a release, whose canary would lose its pods.

use crate::error::OrProblem as _;
use crate::plans::tidy;
use crate::{Control, read_lock};
use chrono::{SubsecRound as _, TimeDelta};
use cluster::{Announced, Outcome};
use model::audit::NewEvent;
use model::view::Deed;
use model::workload::{Key, Kind, Workload};
use model::{Action, Actor, AttemptId, Problem};

impl Control {
    /// Has all pods of a workload replaced, as many at a time as may be unavailable. Announced before it is sent; that
    /// they are replaced is seen on the workload afterwards.
    ///
    /// # Errors
    /// 403; 404; 409 during a release or another update, for a paused Deployment, or while the pods are being replaced already;
    /// 503 without a database or cluster.
    pub async fn restart(&self, actor: &Actor, key: &Key, reason: Option<String>) -> Result<(), Problem> {
        let reason = tidy(reason)?;
        let cluster = self.cluster(&key.cluster)?;
        let w = cluster
            .workload(key)
            .ok_or_else(|| Problem::not_found(format!("{key} is not in the cluster.")))?;
        self.may_restart(actor, &w)?;
        let now = self.now_utc();
        // Pods are as old as the second they were made in: those of this one are meant, too.
        let at = now.trunc_subsecs(0) + TimeDelta::seconds(1);
        let id = AttemptId(format!("restart-{}", now.timestamp_millis()));
        let event = |action: &str, words: String| {
            let mut event = NewEvent::new(self.now_utc(), actor, action, words);
            event.service = Some(w.service.clone());
            event.environment = Some(w.environment.clone());
            event.detail = serde_json::json!({ "workload": w.key, "attempt": id, "restart_at": at });
            event
        };
        let tx = self.store().begin().await.or_problem()?;
        let words = format!("The {} of {} {} are restarted", pods(&w), w.service, w.stable_version());
        tx.commit(NewEvent { reason, ..event("workload.restart.begun", words) }).await.or_problem()?;
        let outcome = cluster.restart(key, Announced::after(&id, w.attempt.as_deref()), at).await;
        let (action, words, answer) = match outcome {
            Ok(Outcome::Applied { .. }) => {
                ("workload.restart.accepted", "The cluster has taken the restart".to_owned(), Ok(()))
            }
            Ok(Outcome::Refused { why }) => {
                ("workload.restart.not_done", format!("Not restarted. {why}"), Err(Problem::conflict(why)))
            }
            Ok(Outcome::Unsure { why }) => (
                "workload.restart.unsure",
                format!("Perhaps restarted. {why}"),
                Err(Problem::unavailable(why)),
            ),
            Err(e) => {
                let words = e.to_string();
                (
                    "workload.restart.not_done",
                    format!("Not restarted. {words}"),
                    Err(Problem::unavailable(words)),
                )
            }
        };
        self.store().begin().await.or_problem()?.commit(event(action, words)).await.or_problem()?;
        self.announce(format!("workload:{key}"));
        answer
    }

    fn may_restart(&self, actor: &Actor, w: &Workload) -> Result<(), Problem> {
        actor.require(Action::Restart, &w.environment)?;
        let no = |words: String| Err(Problem::conflict(words));
        let driving = read_lock(&self.inner.active).values().find(|r| r.workload == w.key).map(|r| r.id);
        if let Some(id) = driving {
            return no(format!("Release {id} is under way. Restart it when that has ended."));
        }
        if w.in_flight() || w.abort {
            return no(format!(
                "{} is in the middle of an update. Restart it when that has ended.",
                w.key.name
            ));
        }
        if w.key.kind == Kind::Deployment && w.spec_paused {
            return no(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
        }
        if w.restarting.is_some() {
            return no("Its pods are being replaced already.".into());
        }
        Ok(())
    }

    /// For the page: may it be restarted, and what happens then.
    pub(crate) fn restart_view(&self, actor: &Actor, w: &Workload) -> (Deed, Vec<String>) {
        let rolling = w.key.kind == Kind::Deployment;
        let mut does = vec![format!(
            "The {} of {} are replaced by others of the same version, {}.",
            pods(w),
            w.stable_version(),
            if rolling { "at its rolling pace" } else { "as many at a time as may be unavailable" }
        )];
        if rolling && w.recreates {
            does.push("All at once: users meet nothing until the new ones are ready.".to_owned());
        } else if !rolling && w.replicas == 1 {
            does.push("It is the only one: users meet nothing until the new one is ready.".to_owned());
        }
        (crate::releases::deed(self.may_restart(actor, w)), does)
    }
}

fn pods(w: &Workload) -> String {
    if w.replicas == 1 { "1 pod".to_owned() } else { format!("{} pods", w.replicas) }
}
