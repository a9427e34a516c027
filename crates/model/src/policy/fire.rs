//! When a policy fires, and what is due then. Pure: the same readings fire the same policy again.

use super::{Action, Policy, What};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was read at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub at: DateTime<Utc>,
    /// Requests on the canary since it is watched.
    pub requests: f64,
    /// A figure that could not be read is not there.
    pub values: BTreeMap<What, f64>,
}

/// A policy that has fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    pub at: DateTime<Utc>,
    /// Place of the trigger in its policy.
    pub trigger: usize,
    /// The readings in a row that made it fire, oldest first.
    pub values: Vec<f64>,
}

/// The first time that `policy` fires on `readings`, which are in order of time; `since` is when they began to be about what
/// is watched. A reading without the figure breaks a row: nothing fires blind.
pub fn fire(policy: &Policy, since: DateTime<Utc>, readings: &[Reading]) -> Option<Firing> {
    let conditions = &policy.conditions;
    let needed = usize::try_from(conditions.confirmation_samples.max(1)).unwrap_or(usize::MAX);
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); policy.triggers.len()];
    for reading in readings.iter().filter(|r| r.at >= since) {
        let long = reading.at - since >= conditions.min_observation_time.delta();
        let enough = reading.requests >= f64::from(conditions.min_requests);
        for (trigger, (of, row)) in policy.triggers.iter().zip(&mut rows).enumerate() {
            match reading.values.get(&of.what).filter(|v| of.limit.broken(**v)) {
                Some(value) => row.push(*value),
                None => row.clear(),
            }
            if row.len() >= needed && long && enough {
                let values = row.split_off(row.len() - needed);
                return Some(Firing { at: reading.at, trigger, values });
            }
        }
    }
    None
}

/// What people said about a firing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// It is not to roll back by itself.
    pub stopped: bool,
    /// It is to roll back now, whatever its delay and whoever was to be asked.
    pub hastened: bool,
}

/// An action and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Due<'p> {
    /// Place of the action in its policy.
    pub index: usize,
    pub action: &'p Action,
    /// `None`: when somebody says so.
    pub at: Option<DateTime<Utc>>,
}

/// What is still to be done for a firing, in the policy's order; `done` are the places of actions that were. A rollback that somebody
/// stopped, or that is later than `max_rollback_time`, is not among them.
pub fn due<'p>(
    policy: &'p Policy,
    firing: &Firing,
    answers: Answers,
    done: &[usize],
    now: DateTime<Utc>,
) -> Vec<Due<'p>> {
    let over = now > firing.at + policy.conditions.max_rollback_time.delta();
    let left = policy.actions.iter().enumerate().filter(|(index, _)| !done.contains(index));
    let due = left.filter_map(|(index, action)| match action {
        Action::AutomaticRollback { delay, confirmation_required } => {
            let at = match (answers.hastened, confirmation_required) {
                (true, _) => Some(now),
                (false, true) => None,
                (false, false) => Some(firing.at + delay.delta()),
            };
            (answers.hastened || !(answers.stopped || over)).then_some(Due { index, action, at })
        }
        Action::PauseRollout | Action::NotifyOncall { .. } | Action::IncidentCreation { .. } => {
            Some(Due { index, action, at: Some(firing.at) })
        }
    });
    due.collect()
}
