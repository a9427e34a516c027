//! Samples of the canary against stable, and what is concluded from them.

use crate::span::Span;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What one side did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Requests.
    pub requests: f64,
    /// Requests answered with 5xx.
    pub errors: f64,
    /// 95th percentile of latency in milliseconds; `None` without requests.
    pub p95_ms: Option<f64>,
}

impl Side {
    /// Share of requests that failed, 0 to 1; `None` without requests.
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.errors / self.requests)
    }

    /// Between which shares, 0 to 1, the true one lies with 95 %; `None` without requests. Source: Wilson's score interval.
    pub fn error_range(&self) -> Option<(f64, f64)> {
        const Z: f64 = 1.96;
        let (n, p) = (self.requests, self.error_rate()?.clamp(0.0, 1.0));
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + Z * Z / n;
        Some((((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0)))
    }
}

/// How many requests were answered within each bound, since the step's weight was confirmed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Bounds of the histogram in milliseconds, rising; the one without end is left out.
    pub bounds_ms: Vec<f64>,
    /// Requests to stable within each bound, and all of them at the end: one more than the bounds.
    pub stable: Vec<f64>,
    /// The canary's.
    pub canary: Vec<f64>,
}

/// Both sides at one moment. A verdict is a function of these alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub at: DateTime<Utc>,
    /// Index of the plan's step in force.
    pub step: usize,
    /// Canary's confirmed weight in percent.
    pub weight: u8,
    /// Counted since the step's weight was confirmed: what the verdict is decided on.
    pub stable: Side,
    pub canary: Side,
    /// Over the last 30 s: what the chart draws.
    pub stable_recent: Side,
    pub canary_recent: Side,
    /// The histograms behind the percentiles, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// The share of requests that the canary should get, 0 to 1, where the counts must show it: not of copies, nor where a header
    /// chooses as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<f64>,
    /// Why the metrics could not be read, when they could not: the sides are then empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Between which milliseconds the canary's true p95 over the last 30 s lies with 95 %, where the histograms tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_range: Option<(f64, f64)>,
    /// How many samples it is kept for, itself included: more than one where those before it were thinned out.
    #[serde(default = "itself", skip_serializing_if = "is_itself")]
    pub stands_for: u32,
}

fn itself() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_itself(samples: &u32) -> bool {
    *samples == 1
}

/// Limits of the analysis gate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// No verdict but `NoData` below this many canary requests in the step.
    pub min_requests: u32,
    /// Highest share of failed requests on the canary, in percent.
    pub max_error_percent: f64,
    /// The canary may fail at most this multiple as often as stable.
    #[serde(default = "tolerated")]
    pub max_error_ratio: f64,
    /// Highest 95th percentile of latency on the canary, in milliseconds, if limited absolutely.
    pub max_p95_ms: Option<f64>,
    /// The canary's p95 may be at most this multiple of stable's.
    pub max_p95_ratio: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_requests: 50,
            max_error_percent: 2.0,
            max_error_ratio: tolerated(),
            max_p95_ms: None,
            max_p95_ratio: 1.5,
        }
    }
}

/// A fifth more than stable: sides that are equally good wander that far apart for minutes.
fn tolerated() -> f64 {
    1.2
}

/// What is concluded. `NoData` is its own answer and never a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Pass,
    Marginal,
    Fail,
    NoData,
}

impl Class {
    pub fn key(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Marginal => "marginal",
            Self::Fail => "fail",
            Self::NoData => "no data",
        }
    }
}

/// One metric's part in a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricVerdict {
    /// `Errors, 5xx` or `Latency p95`.
    pub name: String,
    pub class: Class,
    /// `4.1 % / 0.3 %`: canary, then stable.
    pub figures: String,
    /// Why, in one sentence.
    pub why: String,
}

/// The conclusion of one look at the samples of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub at: DateTime<Utc>,
    pub step: usize,
    pub class: Class,
    /// Number of the rules it was reached by; 0 from before they had one.
    #[serde(default)]
    pub rule: u16,
    /// One sentence with the numbers: "Canary errors 4.1 % against 0.3 % on stable: 13 times as many."
    pub words: String,
    pub metrics: Vec<MetricVerdict>,
    /// "Could it be chance?" in words, where counts allow an answer.
    pub chance: Option<String>,
    pub limits: Limits,
    pub canary: Side,
    pub stable: Side,
    /// How long the step had been watched.
    pub watched: Span,
}

impl Verdict {
    /// The same about something that is no canary: `copies`, `the new version`. What is judged is the first thing that a
    /// sentence names.
    #[must_use]
    pub fn about(mut self, whom: &str) -> Self {
        let bare = whom.strip_prefix("the ").unwrap_or(whom);
        let mut first = bare.chars();
        let title: String = first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
        let said = |words: &str| {
            let words = match words.strip_prefix("Canary ") {
                Some(rest) => format!("{title}: {rest}"),
                None => words.to_owned(),
            };
            words.replace("the canary", whom)
        };
        self.words = said(&self.words);
        self.chance = self.chance.as_deref().map(said);
        for metric in &mut self.metrics {
            metric.why = said(&metric.why);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{at, verdict};

    #[test]
    fn a_rate_of_few_requests_may_be_far_from_the_true_one() {
        let range = |requests: f64, errors: f64| {
            let (low, high) = Side { requests, errors, p95_ms: None }.error_range().unwrap();
            [low, high].map(|x| (x * 1000.0).round() / 1000.0)
        };
        // As tables of the score interval have it.
        assert_eq!(range(10.0, 0.0), [0.0, 0.278]);
        assert_eq!(range(100.0, 5.0), [0.022, 0.112]);
        assert_eq!(range(10.0, 10.0), [0.722, 1.0]);
        assert_eq!(Side::default().error_range(), None);
    }

    #[test]
    fn what_is_no_canary_is_not_called_one() {
        let mut canary = verdict(Class::Fail, 0, at(1));
        canary.chance = Some("less than 1 in 1,000 if the canary were as good".into());
        let copies = canary.clone().about("copies");
        assert_eq!(copies.words, "Copies: errors 4.1 % against 0.3 % on stable: 13 times as many.");
        assert_eq!(copies.chance.as_deref(), Some("less than 1 in 1,000 if copies were as good"));
        canary.words = "No requests on the canary yet. No data is never a pass.".into();
        let newer = canary.about("the new version");
        assert_eq!(newer.words, "No requests on the new version yet. No data is never a pass.");
    }
}
