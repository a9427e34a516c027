//! Policies as people read them, on pages and on the command line.

use super::{Action, Breaker, Channel, Conditions, Limit, Policy, Severity, Trigger, What};

impl What {
    /// `errors`, `p95`.
    pub fn words(&self) -> &str {
        match self {
            Self::ErrorRate => "errors",
            Self::ResponseTimeP95 => "p95",
            Self::WorkflowFailureRate => "failed workflows",
            Self::PodRestartRate => "pods that restart",
            Self::Query { name, .. } => name,
        }
    }

    /// A value of it with its unit: `5 %`, `480 ms`.
    pub fn value(&self, value: f64) -> String {
        match self {
            Self::ErrorRate | Self::WorkflowFailureRate | Self::PodRestartRate => {
                format!("{} %", short(value * 100.0))
            }
            Self::ResponseTimeP95 => format!("{} ms", short(value)),
            Self::Query { .. } => short(value),
        }
    }
}

/// Three digits, and no zeros behind the point.
fn short(value: f64) -> String {
    let places = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl Trigger {
    /// `errors over 5 %`.
    pub fn words(&self) -> String {
        let (side, limit) = match self.limit {
            Limit::Above(limit) => ("over", limit),
            Limit::Below(limit) => ("under", limit),
        };
        format!("{} {side} {}", self.what.words(), self.what.value(limit))
    }

    /// What was read beyond the limit: `errors 21 %, 20.5 %, 22 %; the limit is 5 %`.
    pub fn broken_by(&self, values: &[f64]) -> String {
        let (Limit::Above(limit) | Limit::Below(limit)) = self.limit;
        let values: Vec<_> = values.iter().map(|v| self.what.value(*v)).collect();
        format!("{} {}; the limit is {}", self.what.words(), values.join(", "), self.what.value(limit))
    }
}

impl Conditions {
    /// `3 readings in a row, 50 requests, watched for 10m`.
    pub fn words(&self) -> String {
        let readings = match self.confirmation_samples {
            1 => "1 reading".to_owned(),
            n => format!("{n} readings in a row"),
        };
        let mut parts = vec![readings];
        if self.min_requests > 0 {
            parts.push(format!("{} requests", self.min_requests));
        }
        if self.min_observation_time.0 > 0 {
            parts.push(format!("watched for {}", self.min_observation_time));
        }
        parts.join(", ")
    }
}

impl Channel {
    /// As people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Pagerduty => "PagerDuty",
            Self::Email => "e-mail",
            Self::Webhook => "webhook",
        }
    }
}

impl Severity {
    /// As in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Action {
    /// As in the file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::PauseRollout => "pause_rollout",
            Self::NotifyOncall { .. } => "notify_oncall",
            Self::AutomaticRollback { .. } => "automatic_rollback",
            Self::IncidentCreation { .. } => "incident_creation",
        }
    }

    /// `Hold`, `Tell on-call`.
    pub fn title(&self) -> &'static str {
        match self {
            Self::PauseRollout => "Hold",
            Self::NotifyOncall { .. } => "Tell on-call",
            Self::AutomaticRollback { .. } => "Roll back to the last known good",
            Self::IncidentCreation { .. } => "Open an incident",
        }
    }

    /// One sentence on what it does.
    pub fn words(&self, conditions: &Conditions) -> String {
        match self {
            Self::PauseRollout => "The weight stays where it is, and may only fall.".to_owned(),
            Self::NotifyOncall { channels } => {
                let names: Vec<_> = channels.iter().map(|c| c.words()).collect();
                format!("By {}.", names.join(" and "))
            }
            Self::AutomaticRollback { confirmation_required: true, .. } => {
                format!("When somebody says so, within {}.", conditions.max_rollback_time)
            }
            Self::AutomaticRollback { delay, .. } if delay.0 == 0 => "At once.".to_owned(),
            Self::AutomaticRollback { delay, .. } => {
                format!("After {delay}, unless somebody stops it or rolls back sooner.")
            }
            Self::IncidentCreation { severity, auto_assign, public } => {
                let to = if *auto_assign { ", given to on-call" } else { "" };
                let shown = if *public { ", on the public page at once" } else { "" };
                format!("Severity {}{to}{shown}.", severity.key())
            }
        }
    }
}

impl Policy {
    /// `errors over 5 %, p95 over 5000 ms, or pods that restart over 20 %`.
    pub fn fires_when(&self) -> String {
        let all: Vec<_> = self.triggers.iter().map(Trigger::words).collect();
        match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{}, or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    /// `hold, tell, roll back, incident`.
    pub fn then(&self) -> String {
        let short = |action: &Action| match action {
            Action::PauseRollout => "hold",
            Action::NotifyOncall { .. } => "tell on-call",
            Action::AutomaticRollback { .. } => "roll back",
            Action::IncidentCreation { .. } => "incident",
        };
        self.actions.iter().map(short).collect::<Vec<_>>().join(", ")
    }

    /// When it watches services between releases: `all the time; rolls back versions younger than 1h`; nothing where it does not.
    pub fn service_words(&self) -> Option<String> {
        let watch = self.services?;
        let backs = self.actions.iter().any(|a| matches!(a, Action::AutomaticRollback { .. }));
        let within = watch.rollback_within;
        Some(match backs {
            true => format!("services all the time; rolls back versions younger than {within}"),
            false => "services all the time".to_owned(),
        })
    }

    /// How long on-call has before it rolls back: `5m`, `a person decides`, `none`.
    pub fn countdown(&self) -> String {
        let found = self.actions.iter().find_map(|action| match action {
            Action::AutomaticRollback { confirmation_required: true, .. } => {
                Some("a person decides".to_owned())
            }
            Action::AutomaticRollback { delay, .. } if delay.0 > 0 => Some(delay.to_string()),
            Action::AutomaticRollback { .. } => Some("none".to_owned()),
            _ => None,
        });
        found.unwrap_or_else(|| "does not roll back".to_owned())
    }
}

impl Breaker {
    /// `after 3 rollbacks within 24h no new release`.
    pub fn words(&self) -> String {
        let n = self.rollbacks;
        let rollbacks = if n == 1 { "rollback" } else { "rollbacks" };
        format!("after {n} {rollbacks} within {} no new release, until somebody looks", self.window)
    }
}
