//! What canary and stable did, read from Prometheus.
//!
//! The metrics' names and labels are those of Argo Rollouts' own examples: `http_requests_total{service,
//! namespace, code, rollouts_pod_template_hash}` and the histogram `http_request_duration_seconds`. Both
//! sides come from one query each, so that they are of the same moment.

use crate::histogram;
use crate::prometheus::{Prometheus, Series, escape};
use chrono::{DateTime, Utc};
use model::verdict::{Latency, Sample, Side};
use model::workload::Workload;

const HASH: &str = "rollouts_pod_template_hash";
/// What the chart draws, in seconds.
const RECENT: i64 = 30;

/// Selects both revisions' series of a workload.
fn selector(w: &Workload, hashes: [&str; 2], more: &str) -> String {
    let either = hashes.map(|h| h.chars().filter(char::is_ascii_alphanumeric).collect::<String>()).join("|");
    format!(
        r#"service="{}",namespace="{}",{HASH}=~"{either}"{more}"#,
        escape(&w.service),
        escape(&w.key.namespace)
    )
}

/// Requests of each revision within the last `seconds`.
pub(crate) fn requests(w: &Workload, hashes: [&str; 2], seconds: i64) -> String {
    format!("sum by ({HASH}) (increase(http_requests_total{{{}}}[{seconds}s]))", selector(w, hashes, ""))
}

/// Those answered with 5xx.
pub(crate) fn errors(w: &Workload, hashes: [&str; 2], seconds: i64) -> String {
    let failed = selector(w, hashes, r#",code=~"5..""#);
    format!("sum by ({HASH}) (increase(http_requests_total{{{failed}}}[{seconds}s]))")
}

/// Requests of each revision within each bound of the histogram, in the last `seconds`.
pub(crate) fn buckets(w: &Workload, hashes: [&str; 2], seconds: i64) -> String {
    format!(
        "sum by ({HASH}, le) (increase(http_request_duration_seconds_bucket{{{}}}[{seconds}s]))",
        selector(w, hashes, "")
    )
}

/// 95th percentile of latency, in seconds.
pub(crate) fn p95(w: &Workload, hashes: [&str; 2], seconds: i64) -> String {
    format!(
        "histogram_quantile(0.95, sum by ({HASH}, le) \
         (increase(http_request_duration_seconds_bucket{{{}}}[{seconds}s])))",
        selector(w, hashes, "")
    )
}

/// Takes a sample. What goes wrong is said in [`Sample::error`], with the sides left empty: a sample is never
/// lost, and "no data" is never a pass.
///
/// `since` is when the step's weight was confirmed; `step`, `weight` and `asked` are recorded as given.
#[expect(clippy::too_many_arguments, reason = "one call site; each is a fact of the sample")]
pub async fn sample(
    prometheus: &Prometheus,
    w: &Workload,
    canary_hash: &str,
    stable_hash: &str,
    step: usize,
    weight: u8,
    asked: Option<f64>,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Sample {
    let hashes = [canary_hash, stable_hash];
    let whole = (now - since).num_seconds().max(1);
    let sides = async {
        let ask =
            |query: String| async move { prometheus.query(&query, now).await.map_err(|e| e.to_string()) };
        let (all, failed, slow, all_recent, failed_recent, slow_recent) = tokio::try_join!(
            ask(requests(w, hashes, whole)),
            ask(errors(w, hashes, whole)),
            ask(buckets(w, hashes, whole)),
            ask(requests(w, hashes, RECENT)),
            ask(errors(w, hashes, RECENT)),
            ask(p95(w, hashes, RECENT)),
        )?;
        let latency = histogram::latency(&slow, HASH, canary_hash, stable_hash);
        let p95 = |of: fn(&Latency) -> &[f64]| {
            latency.as_ref().and_then(|l| histogram::p95(&l.bounds_ms, of(l))).filter(|ms| ms.is_finite())
        };
        let whole = (
            side(&all, &failed, p95(|l| &l.stable), stable_hash)?,
            side(&all, &failed, p95(|l| &l.canary), canary_hash)?,
        );
        let recent = |hash: &str| {
            let p95 = one(&slow_recent, hash)?.flatten().map(|seconds| seconds * 1000.0);
            side(&all_recent, &failed_recent, p95, hash)
        };
        if all.is_empty() && all_recent.is_empty() {
            return Err(format!(
                "Prometheus knows no requests to {} in {}: no series http_requests_total with service=\"{}\" \
                 and {HASH} of either revision. Check that the metric carries these labels.",
                w.service, w.key.namespace, w.service
            ));
        }
        Ok((whole, (recent(stable_hash)?, recent(canary_hash)?), latency))
    };
    let (((stable, canary), (stable_recent, canary_recent), latency), error) = match sides.await {
        Ok(sides) => (sides, None),
        Err(why) => (Default::default(), Some(why)),
    };
    Sample {
        at: now,
        step,
        weight,
        stable,
        canary,
        stable_recent,
        canary_recent,
        latency,
        asked,
        error,
        p95_range: None,
        stands_for: 1,
    }
}

/// What all revisions of a workload answered, since `since` and lately: requests and those that failed.
///
/// # Errors
/// In words, when Prometheus cannot be asked.
pub async fn of_service(
    prometheus: &Prometheus,
    w: &Workload,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(Side, Side), String> {
    let whole = (now - since).num_seconds().max(1);
    let ask = |query: String| async move { prometheus.query(&query, now).await.map_err(|e| e.to_string()) };
    let (all, failed, all_recent, failed_recent) = tokio::try_join!(
        ask(of_all(w, "", whole)),
        ask(of_all(w, r#",code=~"5..""#, whole)),
        ask(of_all(w, "", whole.min(RECENT))),
        ask(of_all(w, r#",code=~"5..""#, whole.min(RECENT))),
    )?;
    let sum = |all: &[Series]| all.iter().filter_map(|s| s.value).sum::<f64>().max(0.0);
    let side = |all: &[Series], failed: &[Series]| {
        let requests = sum(all);
        Side { requests, errors: sum(failed).min(requests), p95_ms: None }
    };
    Ok((side(&all, &failed), side(&all_recent, &failed_recent)))
}

/// Requests to a workload within the last `seconds`, whichever revision answered.
fn of_all(w: &Workload, more: &str, seconds: i64) -> String {
    let (service, namespace) = (escape(&w.service), escape(&w.key.namespace));
    format!(
        "sum(increase(http_requests_total{{service=\"{service}\",namespace=\"{namespace}\"{more}}}[{seconds}s]))"
    )
}

/// One revision's figures. Without a series it had no requests; without an error series, no errors.
fn side(all: &[Series], failed: &[Series], p95_ms: Option<f64>, hash: &str) -> Result<Side, String> {
    let requests = one(all, hash)?.flatten().unwrap_or(0.0).max(0.0);
    Ok(Side {
        requests,
        // Extrapolated separately, errors could come out a hair above the requests.
        errors: one(failed, hash)?.flatten().unwrap_or(0.0).clamp(0.0, requests),
        p95_ms: p95_ms.filter(|_| requests > 0.0),
    })
}

/// The one series of a revision: `None` when there is none.
fn one(series: &[Series], hash: &str) -> Result<Option<Option<f64>>, String> {
    let mut found = series.iter().filter(|s| s.labels.get(HASH).is_some_and(|h| h == hash));
    let first = found.next();
    if found.next().is_some() {
        return Err(format!(
            "Prometheus answers with several series for revision {hash} where one was asked for."
        ));
    }
    Ok(first.map(|s| s.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::workload::{Key, Kind};
    use std::collections::BTreeMap;

    fn workload(service: &str) -> Workload {
        let object = serde_json::json!({"kind": "Rollout", "metadata": {"name": "web", "namespace": "shop",
            "annotations": {"tidegate.dev/service": service}}});
        crate::observe("east", &object, &[], &BTreeMap::new(), Utc::now()).unwrap()
    }

    fn series(pairs: &[(&str, Option<f64>)]) -> Vec<Series> {
        let one = |(hash, value): &(&str, Option<f64>)| Series {
            labels: BTreeMap::from([(HASH.to_owned(), (*hash).to_owned())]),
            value: *value,
        };
        pairs.iter().map(one).collect()
    }

    #[test]
    fn one_query_asks_for_both_revisions() {
        let w = workload("checkout");
        assert_eq!(
            w.key,
            Key { cluster: "east".into(), namespace: "shop".into(), kind: Kind::Rollout, name: "web".into() }
        );
        assert_eq!(
            requests(&w, ["bbb", "aaa"], 90),
            r#"sum by (rollouts_pod_template_hash) (increase(http_requests_total{service="checkout",namespace="shop",rollouts_pod_template_hash=~"bbb|aaa"}[90s]))"#
        );
        assert_eq!(
            errors(&w, ["bbb", "aaa"], 30),
            r#"sum by (rollouts_pod_template_hash) (increase(http_requests_total{service="checkout",namespace="shop",rollouts_pod_template_hash=~"bbb|aaa",code=~"5.."}[30s]))"#
        );
        assert_eq!(
            p95(&w, ["bbb", "aaa"], 30),
            r#"histogram_quantile(0.95, sum by (rollouts_pod_template_hash, le) (increase(http_request_duration_seconds_bucket{service="checkout",namespace="shop",rollouts_pod_template_hash=~"bbb|aaa"}[30s])))"#
        );
    }

    #[test]
    fn a_service_is_asked_for_as_a_whole() {
        assert_eq!(
            of_all(&workload("checkout"), r#",code=~"5..""#, 30),
            r#"sum(increase(http_requests_total{service="checkout",namespace="shop",code=~"5.."}[30s]))"#
        );
    }

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let query = requests(&workload("a\"} or vector(1) #\\\n"), ["b|.*", "a"], 30);
        assert!(query.contains(r#"service="a\"} or vector(1) #\\\n","#), "{query}");
        assert!(query.contains(r#"=~"b|a""#), "{query}");
    }

    #[test]
    fn a_revision_without_series_had_no_requests_and_no_errors() {
        let all = series(&[("aaa", Some(120.0))]);
        let stable = side(&all, &[], Some(250.0), "aaa").unwrap();
        assert_eq!((stable.requests, stable.errors, stable.p95_ms), (120.0, 0.0, Some(250.0)));
        assert_eq!(side(&all, &[], Some(1.0), "bbb").unwrap(), Side::default());
    }

    #[test]
    fn errors_never_exceed_requests() {
        let all = series(&[("aaa", Some(10.0))]);
        let side = side(&all, &series(&[("aaa", Some(10.4))]), None, "aaa").unwrap();
        assert_eq!((side.errors, side.p95_ms), (10.0, None));
    }

    #[test]
    fn several_series_for_one_revision_are_said() {
        let twice = series(&[("aaa", Some(1.0)), ("aaa", Some(2.0))]);
        assert!(side(&twice, &[], None, "aaa").unwrap_err().contains("several series for revision aaa"));
    }
}
