//! All measurements of a run, though the controller keeps only the newest ten of each metric.

use super::run::{Measurement, MetricResult};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was seen of a run's measurements, by metric and by their number from 1 on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    metrics: BTreeMap<String, BTreeMap<u32, Measurement>>,
}

impl History {
    /// Adds what a run's status shows now. Says whether that was news. To be shown the same again, or something older,
    /// changes nothing.
    pub fn merge(&mut self, live: &[MetricResult]) -> bool {
        let mut news = false;
        for result in live {
            let kept = self.metrics.entry(result.name.clone()).or_default();
            // The counters say which ones the newest are: of those that ended, each is counted once.
            let open = result.measurements.last().is_some_and(|m| m.finished_at.is_none());
            let ended = result.count.saturating_add(result.error);
            let total = u32::try_from(ended).unwrap_or(0).saturating_add(u32::from(open));
            for (number, measurement) in (1..=total).rev().zip(result.measurements.iter().rev()) {
                let known = kept.get(&number);
                let older =
                    known.is_some_and(|k| k.finished_at.is_some() && measurement.finished_at.is_none());
                if known != Some(measurement) && !older {
                    kept.insert(number, measurement.clone());
                    news = true;
                }
            }
        }
        news
    }

    /// The metrics, and of each its measurements by their numbers. A number that is missing was never seen.
    pub fn metrics(&self) -> impl Iterator<Item = (&str, &BTreeMap<u32, Measurement>)> {
        self.metrics.iter().map(|(name, measurements)| (name.as_str(), measurements))
    }

    /// How many measurements of a metric were made and not seen, as far as is known.
    #[must_use]
    pub fn missed(&self, metric: &str) -> usize {
        let Some(kept) = self.metrics.get(metric) else { return 0 };
        let last = kept.keys().next_back().copied().unwrap_or(0);
        usize::try_from(last).unwrap_or(usize::MAX).saturating_sub(kept.len())
    }
}
