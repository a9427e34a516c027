//! How often the pods of a version restart, read from the pods themselves.

use crate::{Cluster, Error};
use chrono::{DateTime, TimeDelta, Utc};
use model::workload::{Key, Kind};
use serde_json::Value;

/// Pods looked at; a share of so many is near enough that of all.
const PODS: u32 = 500;
/// Within which a restart counts.
const WITHIN: TimeDelta = TimeDelta::minutes(5);

impl Cluster {
    /// Share of a version's pods, 0 to 1, of which a container has restarted within five minutes before `now`. `None`
    /// while it has no pods.
    ///
    /// # Errors
    /// As for any read.
    pub async fn restart_rate(
        &self,
        key: &Key,
        hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<f64>, Error> {
        let label = match key.kind {
            Kind::Rollout => "rollouts-pod-template-hash",
            Kind::Deployment => "pod-template-hash",
        };
        let uri =
            format!("/api/v1/namespaces/{}/pods?limit={PODS}&labelSelector={label}%3D{hash}", key.namespace);
        let pods = self.sender.read(&uri, "list pods", None).await?;
        Ok(rate(pods["items"].as_array().map(Vec::as_slice).unwrap_or_default(), now))
    }
}

fn rate(pods: &[Value], now: DateTime<Utc>) -> Option<f64> {
    let restarted = |pod: &&Value| {
        let containers = pod["status"]["containerStatuses"].as_array();
        containers.into_iter().flatten().any(|container| {
            let ended = container["lastState"]["terminated"]["finishedAt"].as_str();
            let ended = ended.and_then(|at| at.parse::<DateTime<Utc>>().ok());
            container["restartCount"].as_u64().is_some_and(|n| n > 0)
                && ended.is_some_and(|at| now - at < WITHIN)
        })
    };
    let count = |n: usize| u32::try_from(n).map_or(f64::from(PODS), f64::from);
    (!pods.is_empty()).then(|| count(pods.iter().filter(restarted).count()) / count(pods.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_restart_counts_for_five_minutes() {
        let now: DateTime<Utc> = "2026-01-01T00:10:00Z".parse().unwrap();
        let pod = |restarts: u64, ended: Option<&str>| {
            let state = ended.map_or_else(|| json!({}), |at| json!({"terminated": {"finishedAt": at}}));
            json!({"status": {"containerStatuses": [{"restartCount": restarts, "lastState": state}]}})
        };
        let (late, early) = (Some("2026-01-01T00:06:00Z"), Some("2026-01-01T00:04:00Z"));
        let pods = [pod(1, late), pod(4, early), pod(0, None), json!({"status": {}})];
        assert_eq!(rate(&pods, now), Some(0.25));
        assert_eq!(rate(&pods[1..], now), Some(0.0));
        assert_eq!(rate(&[], now), None, "no pods, no share");
    }
}
