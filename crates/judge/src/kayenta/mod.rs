//! The report at the end of a step: Kayenta's judge, metric by metric, with scores and reasons.
//!
//! It explains; it does not decide. Asked repeatedly on streams that are correlated in time, its test fails healthy canaries
//! far more often than the 2 % that its interval promises (`benches/guard.rs` prints how often), so the decision is the
//! guard's. Points given to it should be at least one scrape apart.
//!
//! Source: Kayenta's `NetflixACAJudge-v1.0`, whose semantics are kept: constants, defaults, scores.

mod brent;
mod classify;
mod config;
mod mann_whitney;
mod report;
mod step;
#[cfg(test)]
mod tests;

pub use config::{
    Config, Counts, Direction, EffectRule, Measure, Metric, Nan, OutlierRule, Outliers, Thresholds, Values,
};
pub use mann_whitney::{Shift, Z_98, common_language, shift};
pub use report::{GroupScore, Label, MetricReport, Report, Summary, Verdict, report};
pub use step::{of_step, step_report};
