//! `/` and the frame around every page.

use super::services::{see, workload_row};
use crate::Control;
use crate::ask::{Ask, may};
use crate::error::OrProblem as _;
use crate::plans::may_decide;
use model::conductor::{only_gate_left, only_promotion_left};
use model::release::State;
use model::view::{NowPage, Shell, Waiting};
use model::workload::Phase;
use model::{Action, Actor, Problem};

/// Ended releases shown.
const RECENT: usize = 8;

impl Control {
    /// Who is signed in, and the counts in the navigation.
    ///
    /// # Errors
    /// None that stop a page: without Postgres the counts are those known in memory.
    pub async fn shell(&self, actor: &Actor) -> Result<Shell, Problem> {
        let moving = self.under_way().await;
        let waiting = self.waiting(actor, &moving).await.unwrap_or_default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Shell {
            name: actor.name.clone(),
            roles: actor.roles(),
            may: Action::ALL.into_iter().filter(|a| actor.may_somewhere(*a)).collect(),
            waiting: count(waiting.iter().filter(|w| w.mine).count()),
            moving: count(moving.len()),
            plans: count(waiting.iter().filter(|w| w.plan.is_some()).count()),
            incidents: self.unresolved().await,
            data: self.age(),
        })
    }

    /// What moves, what waits for me, what is broken.
    ///
    /// # Errors
    /// 403.
    pub async fn now(&self, actor: &Actor) -> Result<NowPage, Problem> {
        see(actor)?;
        let under_way = self.under_way().await;
        let waiting = self.waiting(actor, &under_way).await.unwrap_or_default();
        let mut recent = self.found(store::ReleaseFilter::default(), 50).await.unwrap_or_default();
        recent.retain(|r| r.state.ended());
        recent.truncate(RECENT);
        let (mut broken, mut workloads, mut healthy) = (Vec::new(), 0, 0);
        for cluster in self.clusters() {
            for w in cluster.workloads().iter() {
                workloads += 1;
                match w.phase {
                    Phase::Healthy => healthy += 1,
                    Phase::Degraded => broken.push(workload_row(w, self.driving(&w.key))),
                    Phase::Progressing | Phase::Paused | Phase::Unknown => {}
                }
            }
        }
        let moving = self.rows(&under_way).await.unwrap_or_default();
        let mine = waiting.iter().filter(|w| w.mine).count();
        Ok(NowPage {
            headline: headline(moving.len(), mine, broken.len(), workloads),
            moving,
            waiting,
            broken,
            recent: self.rows(&recent).await.unwrap_or_default(),
            workloads,
            healthy,
            age: self.age(),
        })
    }

    /// Everything that waits for a person, this one's own first.
    pub(crate) async fn waiting(
        &self,
        actor: &Actor,
        under_way: &[model::release::Release],
    ) -> Result<Vec<Waiting>, Problem> {
        let now = self.now_utc();
        let mut all = Vec::new();
        for release in under_way.iter().filter(|r| matches!(r.state, State::Waiting | State::Paused)) {
            let plan = self.plan_of(release).await?;
            let (ask, verb) = match release.state {
                State::Waiting if only_gate_left(release, &plan, now).is_some() => {
                    (Ask::OpenGate, "Open the gate of")
                }
                _ if release.hold.is_none() && only_promotion_left(release, &plan, now) => {
                    (Ask::Promote, "Promote")
                }
                State::Waiting => (Ask::OpenGate, "Approvals no longer suffice:"),
                _ => (Ask::Resume, "Held:"),
            };
            all.push(Waiting {
                title: format!("{verb} {} {}", release.service, release.version()),
                words: super::words(release, &plan),
                plan: None,
                release: Some(release.id),
                mine: may(actor, release, &plan, ask, now).is_ok(),
                since: release.step_since.or(release.started).unwrap_or(release.created),
            });
        }
        for plan in self.store().plans(200).await.or_problem()? {
            if self.release_of_plan(&plan).await?.is_some() {
                continue;
            }
            let valid = self.store().valid_approvals(plan.id, &plan.digest, now).await.or_problem()?;
            let required = plan.plan.spec.approvals.required as usize;
            let mine_given = valid.iter().any(|a| Some(a.person) == actor.person);
            let (title, words, mine) = if valid.len() >= required {
                (
                    format!("Start {}", plan.name),
                    format!(
                        "Approved, {} of {required}. {} to {}",
                        valid.len(),
                        plan.service,
                        plan.plan.version()
                    ),
                    actor.may(Action::Start, &plan.environment),
                )
            } else {
                (
                    format!("Approve {}", plan.name),
                    format!(
                        "{} of {required} approvals. {} to {}",
                        valid.len(),
                        plan.service,
                        plan.plan.version()
                    ),
                    may_decide(actor, &plan).is_ok() && !mine_given,
                )
            };
            all.push(Waiting { title, words, plan: Some(plan.id), release: None, mine, since: plan.changed });
        }
        all.sort_by_key(|w| (!w.mine, std::cmp::Reverse(w.since)));
        Ok(all)
    }
}

fn headline(moving: usize, mine: usize, broken: usize, workloads: usize) -> String {
    let some = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let parts: Vec<_> = [
        some(broken, "workload is broken", "workloads are broken"),
        some(moving, "release is moving", "releases are moving"),
        some(mine, "thing waits for you", "things wait for you"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.as_slice() {
        [] if workloads == 0 => "No workload is known yet.".to_owned(),
        [] => "Nothing moves, nothing waits for you, nothing is broken.".to_owned(),
        parts => format!("{}.", parts.join(", ")),
    }
}
