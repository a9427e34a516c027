//! What the simulated users saw, as Prometheus reads it.

use std::{collections::BTreeMap, fmt::Write as _};

use super::sample::{BUCKETS, Requests};

/// The labels of a version's series, apart from the status code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) namespace: String,
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) hash: String,
}

/// One version's counters since its pods appeared.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Ticks in which it was there: the position in its sequence of random requests.
    pub(crate) ticks: u64,
    pub(crate) codes: BTreeMap<u16, Requests>,
}

impl Default for Counters {
    /// With the usual codes at zero, so that the first failure is an increase and not the birth of a series.
    fn default() -> Self {
        Self { ticks: 0, codes: BTreeMap::from([(200, Requests::default()), (500, Requests::default())]) }
    }
}

impl Counters {
    pub(crate) fn add(&mut self, code: u16, requests: &Requests) {
        self.codes.entry(code).or_default().add(requests);
    }
}

/// What a pod has to say, in the words of kube-state-metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodState {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) restarts: i32,
    pub(crate) ready: bool,
}

/// The Prometheus text format, version 0.0.4.
pub(crate) fn render(series: &BTreeMap<Series, Counters>, pods: &[PodState]) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = out.write_fmt(text);
        out.push('\n');
    };
    let each = || {
        series.iter().flat_map(|(series, counters)| {
            counters.codes.iter().map(move |(code, requests)| (labels(series, *code), requests))
        })
    };
    line(format_args!("# HELP http_requests_total Requests of simulated users."));
    line(format_args!("# TYPE http_requests_total counter"));
    for (labels, requests) in each() {
        line(format_args!("http_requests_total{{{labels}}} {}", requests.count));
    }
    line(format_args!("# HELP http_request_duration_seconds Duration of requests of simulated users."));
    line(format_args!("# TYPE http_request_duration_seconds histogram"));
    for (labels, requests) in each() {
        let mut sum = 0;
        for (bound, count) in BUCKETS.iter().zip(requests.buckets) {
            sum += count;
            line(format_args!("http_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {sum}"));
        }
        let Requests { count, seconds, .. } = requests;
        line(format_args!("http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {count}"));
        line(format_args!("http_request_duration_seconds_sum{{{labels}}} {seconds:.6}"));
        line(format_args!("http_request_duration_seconds_count{{{labels}}} {count}"));
    }
    line(format_args!("# HELP kube_pod_container_status_restarts_total Restarts of a container."));
    line(format_args!("# TYPE kube_pod_container_status_restarts_total counter"));
    for PodState { namespace, pod, container, restarts, .. } in pods {
        let labels = format!("namespace=\"{namespace}\",pod=\"{pod}\",container=\"{container}\"");
        line(format_args!("kube_pod_container_status_restarts_total{{{labels}}} {restarts}"));
    }
    line(format_args!("# HELP kube_pod_status_ready Whether a pod is ready."));
    line(format_args!("# TYPE kube_pod_status_ready gauge"));
    for PodState { namespace, pod, ready, .. } in pods {
        let labels = format!("namespace=\"{namespace}\",pod=\"{pod}\",condition=\"true\"");
        line(format_args!("kube_pod_status_ready{{{labels}}} {}", u8::from(*ready)));
    }
    out
}

fn labels(series: &Series, code: u16) -> String {
    let Series { namespace, service, version, hash } = series;
    format!(
        "service=\"{}\",namespace=\"{}\",code=\"{code}\",version=\"{}\",rollouts_pod_template_hash=\"{}\"",
        escape(service),
        escape(namespace),
        escape(version),
        escape(hash)
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulated_and_end_at_the_count() {
        let mut counters = Counters::default();
        let mut buckets = [0; BUCKETS.len()];
        (buckets[0], buckets[2]) = (1, 2);
        counters.add(200, &Requests { count: 4, seconds: 12.5, buckets });
        let series = Series {
            namespace: "shop".into(),
            service: "a\"b".into(),
            version: "1.0".into(),
            hash: "abc".into(),
        };
        let pod = PodState {
            namespace: "shop".into(),
            pod: "a-1".into(),
            container: "app".into(),
            restarts: 3,
            ready: true,
        };
        let text = render(&BTreeMap::from([(series, counters)]), &[pod]);
        let labels =
            r#"service="a\"b",namespace="shop",code="200",version="1.0",rollouts_pod_template_hash="abc""#;
        for expected in [
            format!("http_requests_total{{{labels}}} 4"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"0.025\"}} 1"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"0.05\"}} 3"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"10\"}} 3"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 4"),
            format!("http_request_duration_seconds_sum{{{labels}}} 12.500000"),
            r#"kube_pod_container_status_restarts_total{namespace="shop",pod="a-1",container="app"} 3"#
                .to_owned(),
            r#"kube_pod_status_ready{namespace="shop",pod="a-1",condition="true"} 1"#.to_owned(),
        ] {
            assert!(text.lines().any(|l| l == expected), "{expected} not in\n{text}");
        }
        assert!(text.contains("code=\"500\""), "failures start at zero");
    }
}
