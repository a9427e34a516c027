//! What a service as a whole answers, whichever version: now, and over the past days.
//!
//! Names and labels are those of [`crate::sample`]; each figure is one query that answers one number, so that the same text
//! can be asked for a moment and for a range.

use crate::prometheus::{Prometheus, escape};
use chrono::{DateTime, TimeDelta, Utc};
use model::policy::{REQUESTS, Reading, WINDOW, What};
use model::workload::Workload;
use std::collections::BTreeMap;

/// Requests within so many seconds.
fn requests(w: &Workload, more: &str, seconds: i64) -> String {
    let (service, namespace) = (escape(&w.service), escape(&w.key.namespace));
    format!(
        "sum(increase(http_requests_total{{service=\"{service}\",namespace=\"{namespace}\"{more}}}[{seconds}s]))"
    )
}

/// The query for a figure that every service has; `None` where there is none.
fn query(w: &Workload, what: &What) -> Option<String> {
    let (service, namespace) = (escape(&w.service), escape(&w.key.namespace));
    Some(match what {
        // Without a series of errors there were none; without one of requests nothing is known.
        What::ErrorRate => format!(
            "({failed} or (0 * {all})) / ({all} > 0)",
            failed = requests(w, r#",code=~"5..""#, WINDOW),
            all = requests(w, "", WINDOW)
        ),
        What::ResponseTimeP95 => format!(
            "1000 * histogram_quantile(0.95, sum by (le) (increase(http_request_duration_seconds_bucket\
             {{service=\"{service}\",namespace=\"{namespace}\"}}[{WINDOW}s])))"
        ),
        What::WorkflowFailureRate => workflows(&w.key.namespace),
        What::PodRestartRate | What::Query { .. } => return None,
    })
}

/// Share of Argo Workflows that failed within five minutes, of a namespace or of all where the metric names none.
pub fn workflows(namespace: &str) -> String {
    let of = |status: &str| {
        let namespace = escape(namespace);
        format!("sum(increase(argo_workflows_completed_total{{namespace=~\"{namespace}|\"{status}}}[5m]))")
    };
    let (failed, all) = (of(r#",status=~"Failed|Error""#), of(""));
    format!("({failed} or (0 * {all})) / ({all} > 0)")
}

/// Reads the figures of `whats` that every service has. A figure that cannot be read is not there.
///
/// # Errors
/// In words, when Prometheus cannot be asked.
pub async fn service_reading(
    prometheus: &Prometheus,
    w: &Workload,
    whats: &[&What],
    at: DateTime<Utc>,
) -> Result<Reading, String> {
    let one = |query: String| async move {
        let answer = prometheus.query(&query, at).await.map_err(|e| e.to_string())?;
        Ok::<_, String>(answer.first().and_then(|s| s.value))
    };
    let mut values = BTreeMap::new();
    for what in whats {
        if let Some(query) = query(w, what) {
            values.extend(one(query).await?.map(|value| ((*what).clone(), value)));
        }
    }
    let requests = one(requests(w, "", REQUESTS)).await?.unwrap_or(0.0).max(0.0);
    Ok(Reading { at, requests, values })
}

/// The same for each `step` of a time that is past; `others` are figures with queries of their own.
///
/// # Errors
/// In words, when Prometheus cannot be asked, or refuses a query.
pub async fn service_history(
    prometheus: &Prometheus,
    w: &Workload,
    whats: &[&What],
    others: &[(What, String)],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    step: TimeDelta,
) -> Result<Vec<Reading>, String> {
    let line = |query: String| async move {
        let lines = prometheus.query_range(&query, from, to, step).await.map_err(|e| e.to_string())?;
        // Several series are no figure: which one counts is not said.
        Ok::<_, String>(match <[_; 1]>::try_from(lines) {
            Ok([line]) => line.points,
            Err(_) => Vec::new(),
        })
    };
    let mut readings: BTreeMap<DateTime<Utc>, Reading> = BTreeMap::new();
    for (at, requests) in line(requests(w, "", REQUESTS)).await? {
        readings.insert(at, Reading { at, requests, values: BTreeMap::new() });
    }
    let known = whats.iter().filter_map(|what| Some(((*what).clone(), query(w, what)?)));
    for (what, query) in known.chain(others.iter().cloned()) {
        for (at, value) in line(query).await? {
            let reading =
                readings.entry(at).or_insert_with(|| Reading { at, requests: 0.0, values: BTreeMap::new() });
            reading.values.insert(what.clone(), value);
        }
    }
    Ok(readings.into_values().collect())
}
