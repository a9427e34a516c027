//! Both sides' latency from the buckets of a Prometheus histogram: the counts that a verdict rests on, and the 95th
//! percentile that is shown.

use crate::prometheus::Series;
use model::verdict::Latency;

/// The histogram of two revisions, told apart by the label `of`; `None` where there is none, or none that can be read:
/// without a bucket for everything nobody knows how many were slower than the last bound.
pub(crate) fn latency(series: &[Series], of: &str, canary: &str, stable: &str) -> Option<Latency> {
    let bound = |s: &Series| s.labels.get("le")?.parse::<f64>().ok().filter(|le| !le.is_nan());
    let mut bounds: Vec<f64> = series.iter().filter_map(bound).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    // The last is the one without end.
    let all = bounds.pop().filter(|last| last.is_infinite())?;
    let counts = |hash: &str| {
        let its: Vec<_> = series.iter().filter(|s| s.labels.get(of).is_some_and(|h| h == hash)).collect();
        let within = |le: f64| {
            its.iter()
                .filter(|s| bound(s).is_some_and(|b| b <= le))
                .filter_map(|s| s.value)
                .fold(0.0, f64::max)
        };
        // The largest so far: extrapolated separately, a bucket can come out a hair below the one inside it.
        bounds.iter().chain([&all]).map(|le| within(*le)).collect::<Vec<f64>>()
    };
    let (stable, canary) = (counts(stable), counts(canary));
    let bounds_ms = bounds.iter().map(|seconds| seconds * 1000.0).collect();
    Some(Latency { bounds_ms, stable, canary })
}

/// The 95th percentile in milliseconds, as `histogram_quantile` estimates it: on a straight line within its bucket, and the
/// last bound where it lies beyond. `None` without requests.
pub(crate) fn p95(bounds_ms: &[f64], counts: &[f64]) -> Option<f64> {
    let all = counts.last().copied().filter(|n| *n > 0.0)?;
    let rank = 0.95 * all;
    let at = counts.iter().position(|n| *n >= rank)?;
    let Some(high) = bounds_ms.get(at) else { return bounds_ms.last().copied() };
    let (low, below) = if at == 0 { (0.0, 0.0) } else { (bounds_ms[at - 1], counts[at - 1]) };
    Some(low + (high - low) * (rank - below) / (counts[at] - below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn bucket(hash: &str, le: &str, value: Option<f64>) -> Series {
        let labels = [("hash", hash), ("le", le)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        Series { labels: BTreeMap::from(labels), value }
    }

    #[test]
    fn each_side_has_its_counts_in_order_of_the_bounds() {
        let series = [
            bucket("new", "+Inf", Some(10.0)),
            bucket("new", "0.5", Some(9.0)),
            bucket("old", "0.1", Some(80.0)),
            bucket("old", "0.5", Some(79.9)),
            bucket("old", "+Inf", Some(100.0)),
            bucket("new", "0.1", None),
            bucket("other", "0.1", Some(7.0)),
        ];
        let found = latency(&series, "hash", "new", "old").unwrap();
        assert_eq!(found.bounds_ms, [100.0, 500.0]);
        assert_eq!(found.stable, [80.0, 80.0, 100.0], "never fewer than within a smaller bound");
        assert_eq!(found.canary, [0.0, 9.0, 10.0]);
        assert_eq!(latency(&series, "hash", "none", "old").unwrap().canary, [0.0; 3]);
        assert_eq!(latency(&series[1..4], "hash", "new", "old"), None, "no bucket for everything");
        assert_eq!(latency(&[], "hash", "new", "old"), None);
    }

    #[test]
    fn a_percentile_is_what_prometheus_makes_of_it() {
        assert_eq!(p95(&[100.0, 200.0], &[90.0, 100.0, 100.0]), Some(150.0));
        assert_eq!(p95(&[100.0, 200.0], &[100.0, 100.0, 100.0]), Some(95.0));
        assert_eq!(p95(&[100.0, 200.0], &[1.0, 2.0, 100.0]), Some(200.0), "beyond the last bound");
        assert_eq!(p95(&[100.0], &[0.0, 0.0]), None);
    }
}
