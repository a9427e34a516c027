//! Scales with round figures.

use super::{Metric, Window};
use chrono::{DateTime, Timelike as _, Utc};
use std::fmt::Write as _;

/// An upright scale from 0 to `top` in equal steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) top: f64,
    step: f64,
}

/// Lines over the baseline.
const LINES: u32 = 3;

impl Scale {
    /// Room for everything drawn, and for the limit with some air above it.
    pub(crate) fn new(metric: Metric, highest: f64, limit: f64) -> Self {
        let least = match metric {
            Metric::Weight => 100.0,
            Metric::Errors => 1.5,
            Metric::Latency => 60.0,
        };
        let need = (highest * 1.1).max(limit * 1.4).max(least);
        let step = nice(need / f64::from(LINES));
        let lines = (need / step).ceil().max(1.0);
        let top = match metric {
            // Not above a hundred in a hundred.
            Metric::Weight | Metric::Errors => (lines * step).min(100.0),
            Metric::Latency => lines * step,
        };
        Self { top, step }
    }

    pub(crate) fn ticks(self) -> impl Iterator<Item = f64> {
        (0_u32..).map(move |i| f64::from(i) * self.step).take_while(move |v| *v <= self.top * 1.0001)
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let lead = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|m| m * power >= value * 0.999);
    lead.unwrap_or(10.0) * power
}

/// Seconds between two times on the axis.
const STEPS: [i64; 15] =
    [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 7 * 86_400];

/// Short strokes and times under the plot.
pub(super) fn times(out: &mut String, window: &Window, bottom: f64) {
    let length = (window.to - window.from).num_seconds().max(1);
    let most = |step: i64| if step < 60 { 5 } else { 7 };
    let step = STEPS.into_iter().find(|s| length / s <= most(*s)).unwrap_or(30 * 86_400);
    let first = window.from.timestamp().div_euclid(step) * step + step;
    let mut at = first;
    while at <= window.to.timestamp() {
        if let Some(time) = DateTime::<Utc>::from_timestamp(at, 0) {
            let x = window.x(time);
            let _ = write!(
                out,
                r#"<line class="grid" x1="{x:.2}%" x2="{x:.2}%" y1="{bottom}" y2="{}"/>"#,
                bottom + 4.0
            );
            if (4.0..=96.0).contains(&x) {
                let words = if step < 60 {
                    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
                } else if step < 86_400 {
                    format!("{:02}:{:02}", time.hour(), time.minute())
                } else {
                    crate::when::day(time)
                };
                let _ = write!(
                    out,
                    r#"<text x="{x:.2}%" y="{}" text-anchor="middle">{words}</text>"#,
                    bottom + 17.0
                );
            }
        }
        at += step;
    }
}
