//! Something takes longer than it should: since when, what stands in the way, what helps.

use crate::conductor::Effect;
use crate::release::{Course, Release, State};
use crate::workload::{Phase, Strategy, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long a rollback may take before it is looked into. Somebody at 3 a.m. must hear of a stall within 30 s.
pub const PATIENCE: TimeDelta = TimeDelta::seconds(20);
/// The same for the way forward, where nobody waits: many a pod takes a minute to be ready.
pub const PATIENCE_FORWARD: TimeDelta = TimeDelta::seconds(90);

/// One thing that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// What is wrong: `2 pods: registry.example.com/web:1.2.0 cannot be pulled (ImagePullBackOff)`.
    pub what: String,
    /// What helps, and who does it.
    pub remedy: String,
}

/// A release that does not get on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// When it should have been done.
    pub since: DateTime<Utc>,
    /// Never empty.
    pub obstacles: Vec<Obstacle>,
}

/// Since when this release should be further than it is, and whose pods are waited for. `None` while it is in time,
/// or waits for a person.
pub fn overdue<'w>(r: &Release, w: &'w Workload, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &'w str)> {
    if r.state.ended() {
        return None;
    }
    let (from, patience) = if r.course == Course::Forward {
        // A Deployment takes as long as it is large, and its own deadline watches over it. Pods beside it are few, and
        // no controller's deadline is about them: their number was changed, not their template.
        let beside = w.twin.as_ref().is_some_and(|t| t.ready < t.desired);
        let (waits, patience) = match w.strategy {
            Strategy::Rolling => (beside, PATIENCE),
            Strategy::Canary | Strategy::BlueGreen => (true, PATIENCE_FORWARD),
        };
        let rising = r.state == State::Running && r.step_since.is_none() && waits;
        (r.passed.last().copied().or(r.started).filter(|_| rising)?, patience)
    } else {
        (r.back_since()?, PATIENCE)
    };
    let since = from.checked_add_signed(patience)?;
    let hash = if r.course == Course::Forward { w.newest_hash() } else { w.current_hash.as_deref() }?;
    (now >= since).then_some((since, hash))
}

/// What is to go on the way back, and has not: a second Deployment, whose pods still answer.
pub fn left_beside(r: &Release, w: &Workload) -> Option<Obstacle> {
    let twin = w.twin.as_ref().filter(|_| r.course != Course::Forward)?;
    let retire = r.tried.iter().rev().find(|t| t.effect == Effect::Retire && !t.happened);
    let words = retire.map_or_else(String::new, |t| format!(" {}", t.words));
    Some(Obstacle {
        what: format!(
            "The second Deployment {} is still there; ready pods: {}.{words}",
            twin.name, twin.ready
        ),
        remedy: format!(
            "Delete it by hand: kubectl delete deployment {} -n {}. See whether Tidegate may delete Deployments, and \
             whether a finalizer holds this one.",
            twin.name, w.key.namespace
        ),
    })
}

/// What the workload itself says, before any pod is looked at.
pub fn at_first_sight(w: &Workload) -> Vec<Obstacle> {
    let obstacle = |what: String, remedy: &str| Obstacle { what, remedy: remedy.to_owned() };
    let mut all = Vec::new();
    if w.spec_paused {
        let what = format!("{} is paused in the cluster (spec.paused): nothing moves.", w.key.name);
        all.push(obstacle(what, "Set spec.paused to false, or find out who set it."));
    }
    if !w.observed() {
        let what = "The controller has not seen the newest change.".to_owned();
        all.push(obstacle(what, "See whether it runs: a change is taken up within a second otherwise."));
    }
    if w.phase == Phase::Degraded
        && let Some(message) = w.message.as_deref().filter(|m| !m.is_empty())
    {
        all.push(obstacle(format!("The controller says: {message}"), "What follows may say why."));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::leave;
    use crate::conductor::sample::{CANARY, at, beside, plan, running, standing, step};

    #[test]
    fn a_rollback_that_takes_twenty_seconds_is_looked_into() {
        let plan = plan(vec![step(25, 60, &[]), step(100, 0, &[])]);
        let w = standing(&plan, 0);
        let mut r = running(&plan);
        r.step_since = Some(at(10));
        assert_eq!(overdue(&r, &w, at(900)), None, "it bakes: a long bake is no stall");
        leave(&mut r, Course::RollBack, None, at(100));
        assert_eq!(overdue(&r, &w, at(119)), None);
        assert_eq!(overdue(&r, &w, at(120)).map(|o| o.0), Some(at(120)));
        r.state = State::RolledBack;
        assert_eq!(overdue(&r, &w, at(900)), None);
    }

    #[test]
    fn a_rise_that_is_not_confirmed_is_looked_into_and_a_hold_is_not() {
        let plan = plan(vec![step(25, 60, &[]), step(100, 0, &[])]);
        let w = standing(&plan, 0);
        let mut r = running(&plan);
        r.started = Some(at(0));
        r.step_since = None;
        assert_eq!(overdue(&r, &w, at(60)), None, "pods take their time");
        assert_eq!(overdue(&r, &w, at(100)), Some((at(90), w.current_hash.as_deref().unwrap())));
        r.state = State::Paused;
        assert_eq!(overdue(&r, &w, at(100)), None);
    }

    #[test]
    fn pods_beside_a_deployment_that_do_not_come_are_looked_into_soon() {
        let plan = plan(vec![step(20, 60, &[]), step(100, 0, &[])]);
        let mut r = running(&plan);
        r.started = Some(at(0));
        let mut w = beside(2);
        assert_eq!(overdue(&r, &w, at(900)), None, "they are there");
        w.twin.as_mut().unwrap().ready = 1;
        assert_eq!(overdue(&r, &w, at(20)), Some((at(20), CANARY)), "its pods, not the user's own");
        assert_eq!(left_beside(&r, &w), None);
        leave(&mut r, Course::RollBack, None, at(100));
        assert_eq!(overdue(&r, &w, at(120)).map(|o| o.1), w.current_hash.as_deref());
        let left = left_beside(&r, &w).unwrap();
        assert_eq!(left.what, "The second Deployment checkout-tidegate is still there; ready pods: 1.");
        w.twin = None;
        assert_eq!(left_beside(&r, &w), None);
    }

    #[test]
    fn a_paused_workload_and_a_silent_controller_are_seen_without_pods() {
        let plan = plan(vec![step(100, 0, &[])]);
        let mut w = standing(&plan, 0);
        assert_eq!(at_first_sight(&w), []);
        w.spec_paused = true;
        w.generation += 1;
        assert_eq!(at_first_sight(&w).len(), 2);
    }
}
