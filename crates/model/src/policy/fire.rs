//! When a policy fires, and what is due then. Pure: the same readings fire the same policy again.

use super::{Action, Policy, What};
use crate::verdict::Sample;
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

impl Reading {
    /// What a release's sample says: the last half minute of the canary. One that could not be taken says nothing.
    pub fn of(sample: &Sample) -> Self {
        let side = sample.canary_recent;
        let values = [(What::ErrorRate, side.error_rate()), (What::ResponseTimeP95, side.p95_ms)];
        let values = values.into_iter().filter(|_| sample.error.is_none());
        Self {
            at: sample.at,
            requests: sample.canary.requests,
            values: values.filter_map(|(what, value)| Some((what, value?))).collect(),
        }
    }
}

/// A policy that has fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    pub at: DateTime<Utc>,
    /// Place of the trigger in its policy.
    pub trigger: usize,
    /// The readings in a row that made it fire, oldest first.
    pub seen: Vec<Seen>,
}

/// One of the readings that made a policy fire.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub at: DateTime<Utc>,
    pub value: f64,
    /// Requests on the canary until then.
    pub requests: f64,
}

/// A firing with all that it follows from and leads to: kept as it was, whatever the file says later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    pub policy: Policy,
    pub firing: Firing,
}

impl Fired {
    /// `errors 21 %, 20.5 %, 22 %; the limit is 5 %`.
    pub fn words(&self) -> String {
        let values: Vec<_> = self.firing.seen.iter().map(|s| s.value).collect();
        let trigger = self.policy.triggers.get(self.firing.trigger);
        trigger.map(|t| t.broken_by(&values)).unwrap_or_default()
    }

    /// When it rolls back by itself: `None` where it does not, or a person decides.
    pub fn rolls_back_at(&self) -> Option<DateTime<Utc>> {
        let all = due(&self.policy, &self.firing, false, &[], self.firing.at);
        all.into_iter().find(|d| matches!(d.action, Action::AutomaticRollback { .. })).and_then(|d| d.at)
    }
}

/// The first time that `policy` fires on `readings`, which are in order of time; `since` is when they began to be about what
/// is watched. A reading without the figure breaks a row: nothing fires blind.
pub fn fire(policy: &Policy, since: DateTime<Utc>, readings: &[Reading]) -> Option<Firing> {
    let conditions = &policy.conditions;
    let needed = usize::try_from(conditions.confirmation_samples.max(1)).unwrap_or(usize::MAX);
    let mut rows: Vec<Vec<Seen>> = vec![Vec::new(); policy.triggers.len()];
    for reading in readings.iter().filter(|r| r.at >= since) {
        let long = reading.at - since >= conditions.min_observation_time.delta();
        let enough = reading.requests >= f64::from(conditions.min_requests);
        for (trigger, (of, row)) in policy.triggers.iter().zip(&mut rows).enumerate() {
            match reading.values.get(&of.what).filter(|v| of.limit.broken(**v)) {
                Some(value) => row.push(Seen { at: reading.at, value: *value, requests: reading.requests }),
                None => row.clear(),
            }
            if row.len() >= needed && long && enough {
                let seen = row.split_off(row.len() - needed);
                return Some(Firing { at: reading.at, trigger, seen });
            }
        }
    }
    None
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
    stopped: bool,
    done: &[usize],
    now: DateTime<Utc>,
) -> Vec<Due<'p>> {
    let over = now > firing.at + policy.conditions.max_rollback_time.delta();
    let left = policy.actions.iter().enumerate().filter(|(index, _)| !done.contains(index));
    let due = left.filter_map(|(index, action)| match action {
        Action::AutomaticRollback { delay, confirmation_required } => {
            let at = (!confirmation_required).then(|| firing.at + delay.delta());
            (!(stopped || over)).then_some(Due { index, action, at })
        }
        Action::PauseRollout | Action::NotifyOncall { .. } | Action::IncidentCreation { .. } => {
            Some(Due { index, action, at: Some(firing.at) })
        }
    });
    due.collect()
}
