//! The scores: of each group, of the whole, and what they come to.

use super::classify::{KAYENTA, classify};
use super::config::Config;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// From this share of metrics without data on, in percent, the whole fails.
const TOO_MANY_WITHOUT_DATA: usize = 50;

/// What a metric is. Names as Kayenta writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Label {
    Pass,
    High,
    Low,
    Nodata,
    /// No data where some was required: counts as a failure.
    NodataFailMetric,
}

/// What the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Pass,
    Marginal,
    Fail,
}

/// A sample in five numbers, after missing values and outliers went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub count: usize,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Standard deviation of the sample (n - 1); 0 of fewer than two values.
    pub std: f64,
}

impl Summary {
    pub(super) fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        Self {
            count: values.len(),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            std: if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 },
        }
    }
}

/// One metric's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    pub name: String,
    pub groups: Vec<String>,
    pub classification: Label,
    /// Why, as a sentence.
    pub reason: String,
    /// It fails the whole.
    pub critical: bool,
    pub muted: bool,
    /// Mean of the experiment over that of the control; `null` where one is 0.
    pub ratio: Option<f64>,
    /// Of counts: how many to one the counts speak against "no worse than tolerated".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<f64>,
    pub control: Summary,
    pub experiment: Summary,
}

/// One group's score, 0 to 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupScore {
    pub name: String,
    pub score: f64,
    /// None of its metrics has data: it counts as 100 in the whole.
    pub no_data: bool,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub verdict: Verdict,
    /// 0 to 100, two decimals.
    pub score: f64,
    /// Why it failed whatever the groups' scores are; empty else.
    pub reason: String,
    pub groups: Vec<GroupScore>,
    pub metrics: Vec<MetricReport>,
}

/// Judges as Kayenta's `NetflixACAJudge-v1.0` does; in place of noise on samples that are constant on each side, those
/// are compared as what they are.
pub fn report(config: &Config) -> Report {
    let metrics: Vec<_> = config.metrics.iter().map(|m| classify(m, KAYENTA)).collect();
    let heard: Vec<_> = metrics.iter().filter(|m| !m.muted).collect();
    let groups = groups(&heard);
    let without = heard.iter().filter(|m| m.classification == Label::Nodata).count();
    let (score, reason) =
        if let Some(m) = heard.iter().find(|m| m.critical && m.classification != Label::Pass) {
            (0.0, format!("The critical metric {} fails. {}", m.name, m.reason))
        } else if heard.is_empty() {
            (0.0, "There is no metric to judge by.".to_owned())
        } else if without * 100 >= heard.len() * TOO_MANY_WITHOUT_DATA {
            (0.0, format!("{without} of {} metrics have no data.", heard.len()))
        } else {
            (weighed(&groups, &config.group_weights), String::new())
        };
    let verdict = if score >= config.thresholds.pass {
        Verdict::Pass
    } else if score >= config.thresholds.marginal {
        Verdict::Marginal
    } else {
        Verdict::Fail
    };
    Report { verdict, score, reason, groups, metrics }
}

fn groups(metrics: &[&MetricReport]) -> Vec<GroupScore> {
    let mut by_name: BTreeMap<&str, Vec<Label>> = BTreeMap::new();
    for metric in metrics {
        for group in &metric.groups {
            by_name.entry(group).or_default().push(metric.classification);
        }
    }
    let score = |labels: &[Label]| {
        let count = |wanted: &[Label]| labels.iter().filter(|l| wanted.contains(l)).count();
        let pass = count(&[Label::Pass]);
        let all = pass + count(&[Label::High, Label::Low, Label::NodataFailMetric]);
        (all > 0).then(|| 100.0 * pass as f64 / all as f64)
    };
    let scores = by_name.into_iter().map(|(name, labels)| {
        let score = score(&labels);
        GroupScore { name: name.to_owned(), score: score.unwrap_or(0.0), no_data: score.is_none() }
    });
    scores.collect()
}

/// The groups' scores by their weights; those without one share what the others leave.
fn weighed(groups: &[GroupScore], weights: &BTreeMap<String, f64>) -> f64 {
    let without = groups.iter().filter(|g| !weights.contains_key(&g.name)).count();
    let left = (100.0 - weights.values().sum::<f64>()) / without.max(1) as f64;
    let part = |g: &GroupScore| {
        let score = if g.no_data { 100.0 } else { g.score };
        score * weights.get(&g.name).copied().unwrap_or(left) / 100.0
    };
    (groups.iter().map(part).sum::<f64>() * 100.0).round() / 100.0
}
