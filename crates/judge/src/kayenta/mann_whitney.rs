//! The Mann-Whitney test with a confidence interval for the shift between two samples, as Kayenta's judge takes it:
//! normal approximation, corrected for ties and for continuity, the ends of the interval by [`brent`](super::brent).
//!
//! Source: M. Hollander and D. Wolfe, *Nonparametric Statistical Methods*; what R's `wilcox.test(exact = FALSE,
//! conf.int = TRUE)` computes, with Kayenta's tolerance.

use super::brent;

/// How far the canary lies above the control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Hodges and Lehmann's estimate.
    pub estimate: f64,
}

/// The standard normal's quantile that leaves 1 % above it: an interval of 98 %.
pub const Z_98: f64 = 2.326_347_874_040_840_8;

/// The shift of `canary` against `control` with the interval that `z` asks for. `None` where all values are the same
/// and nothing can be said, or where there are none.
pub fn shift(canary: &[f64], control: &[f64], z: f64) -> Option<Shift> {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if canary.is_empty() || control.is_empty() {
        return None;
    }
    let (low, high) = (least(canary) - most(control), most(canary) - least(control));
    let at_low = statistic(low, canary, control)?;
    let at_high = statistic(high, canary, control)?;
    let find = |z: f64| {
        let f = |mu: f64| statistic(mu, canary, control).unwrap_or(0.0) - z;
        brent::root((low, at_low - z), (high, at_high - z), f)
    };
    let end = |z: f64| match (at_low - z <= 0.0, at_high - z >= 0.0) {
        (true, _) => low,
        (_, true) => high,
        _ => find(z),
    };
    Some(Shift { low: end(z), high: end(-z), estimate: find(0.0) })
}

/// Standardised rank sum of `canary`, once it is moved down by `mu`. `None` where everything is tied.
fn statistic(mu: f64, canary: &[f64], control: &[f64]) -> Option<f64> {
    let mut all: Vec<(f64, bool)> = canary.iter().map(|x| (x - mu, true)).collect();
    all.extend(control.iter().map(|y| (*y, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (m, n) = (canary.len() as f64, control.len() as f64);
    let (mut sum, mut ties) = (0.0, 0.0);
    let mut from = 0;
    for same in all.chunk_by(|a, b| a.0 == b.0) {
        let count = same.len() as f64;
        // The mean of the ranks that these share.
        let rank = from as f64 + (count + 1.0) / 2.0;
        sum += rank * same.iter().filter(|(_, its)| *its).count() as f64;
        ties += count.powi(3) - count;
        from += same.len();
    }
    let off = sum - m * (m + 1.0) / 2.0 - m * n / 2.0;
    let variance = m * n / 12.0 * ((m + n + 1.0) - ties / ((m + n) * (m + n - 1.0)));
    let continuity = if off == 0.0 { 0.0 } else { 0.5 * off.signum() };
    (variance > 0.0).then(|| (off - continuity) / variance.sqrt())
}

/// The chance that a value of the canary is above one of the control, ties counted half. 0.5 is no difference.
///
/// Source: A. Vargha and H. D. Delaney, "A critique and improvement of the CL common language effect size
/// statistics of McGraw and Wong" (2000).
pub fn common_language(canary: &[f64], control: &[f64]) -> f64 {
    let above = |x: f64| {
        let score = |y: &f64| if x > *y { 1.0 } else { f64::from(u8::from(x == *y)) / 2.0 };
        control.iter().map(score).sum::<f64>()
    };
    canary.iter().map(|x| above(*x)).sum::<f64>() / (canary.len() * control.len()) as f64
}
