//! Simulated traffic on a canary and on stable: what the guard is tried on, in tests by hundreds and in the bench by tens of
//! thousands of streams.

#![allow(dead_code, reason = "tests and bench use different parts")]

use chrono::{DateTime, TimeDelta, Utc};
use model::verdict::{Latency, Sample, Side};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Normal, Poisson};

/// Bounds of the histogram in milliseconds: those of Prometheus' clients.
const BOUNDS: [f64; 11] = [5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];
/// Spread of one request's latency: standard deviation of its logarithm.
const SPREAD: f64 = 0.5;
/// The 95th percentile of a normal distribution, in standard deviations.
const P95: f64 = 1.645;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Requests a second, on both sides together.
    pub(crate) per_second: f64,
    /// The canary's share of them, 0 to 1.
    pub(crate) share: f64,
    /// Share of requests that fail on a good version.
    pub(crate) errors: f64,
    /// 95th percentile of a good version's latency in milliseconds.
    pub(crate) p95_ms: f64,
    /// The canary fails so many times as often.
    pub(crate) worse: f64,
    /// The canary takes so many times as long.
    pub(crate) slower: f64,
    /// Each side wanders by itself: autocorrelation from minute to minute, and standard deviation of the logarithm of
    /// its error rate and of its latency.
    pub(crate) wander: Option<(f64, f64)>,
    /// Load and errors of both sides swing together, by this part of themselves, over two hours.
    pub(crate) swing: f64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            per_second: 33.3,
            share: 0.2,
            errors: 0.005,
            p95_ms: 180.0,
            worse: 1.0,
            slower: 1.0,
            wander: None,
            swing: 0.0,
        }
    }
}

/// One side's sums.
#[derive(Clone, Default)]
struct Sums {
    requests: f64,
    errors: f64,
    /// Requests in each bucket, the last without end.
    buckets: [f64; BOUNDS.len() + 1],
}

impl Sums {
    fn cumulative(&self) -> Vec<f64> {
        let running = self.buckets.iter().scan(0.0, |sum, n| {
            *sum += n;
            Some(*sum)
        });
        running.collect()
    }

    fn side(&self) -> Side {
        Side { requests: self.requests, errors: self.errors, p95_ms: quantile(&self.cumulative()) }
    }

    fn less(&self, before: &Self) -> Self {
        let mut buckets = self.buckets;
        buckets.iter_mut().zip(before.buckets).for_each(|(now, before)| *now -= before);
        Self { requests: self.requests - before.requests, errors: self.errors - before.errors, buckets }
    }
}

/// The 95th percentile as Prometheus estimates it.
fn quantile(counts: &[f64]) -> Option<f64> {
    let all = counts.last().copied().filter(|n| *n > 0.0)?;
    let rank = 0.95 * all;
    let at = counts.iter().position(|n| *n >= rank)?;
    let Some(high) = BOUNDS.get(at) else { return BOUNDS.last().copied() };
    let (low, below) = if at == 0 { (0.0, 0.0) } else { (BOUNDS[at - 1], counts[at - 1]) };
    Some(low + (high - low) * (rank - below) / (counts[at] - below))
}

pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// Samples every `every` seconds for `seconds`. The same seed gives the same stream.
pub(crate) fn stream(t: &Traffic, seed: u64, seconds: i64, every: i64) -> Vec<Sample> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut sides = [Sums::default(), Sums::default()];
    // Logarithms of error rate and latency, canary then stable.
    let mut wander = [[0.0; 2]; 2];
    let mut old: Vec<[Sums; 2]> = Vec::new();
    let mut samples = Vec::new();
    for second in (every..=seconds).step_by(usize::try_from(every).unwrap()) {
        if let Some((rho, spread)) = t.wander
            && (second - every) % 60 < every
        {
            let first = second == every;
            let normal =
                Normal::new(0.0, if first { spread } else { spread * (1.0 - rho * rho).sqrt() }).unwrap();
            wander.iter_mut().flatten().for_each(|x| *x = rho * *x + normal.sample(&mut dice));
        }
        let swing = 1.0 + t.swing * (second as f64 * std::f64::consts::TAU / 7200.0).sin();
        for (i, sums) in sides.iter_mut().enumerate() {
            let canary = i == 0;
            let share = if canary { t.share } else { 1.0 - t.share };
            let worse = if canary { t.worse } else { 1.0 };
            let slower = if canary { t.slower } else { 1.0 };
            let requests = draw(&mut dice, t.per_second * share * swing * every as f64);
            let rate = (t.errors * worse * swing * wander[i][0].exp()).min(1.0);
            sums.requests += requests;
            sums.errors += draw(&mut dice, requests * rate).min(requests);
            let middle = (t.p95_ms * slower).ln() - P95 * SPREAD + wander[i][1];
            spread_out(&mut dice, requests, middle, &mut sums.buckets);
        }
        old.push(sides.clone());
        let back = old.len().checked_sub(1 + usize::try_from(30 / every).unwrap()).map(|at| &old[at]);
        let recent = |i: usize| back.map_or_else(|| sides[i].clone(), |b| sides[i].less(&b[i])).side();
        samples.push(Sample {
            at: start() + TimeDelta::seconds(second),
            step: 0,
            weight: 20,
            stable: sides[1].side(),
            canary: sides[0].side(),
            stable_recent: recent(1),
            canary_recent: recent(0),
            latency: Some(Latency {
                bounds_ms: BOUNDS.to_vec(),
                stable: sides[1].cumulative(),
                canary: sides[0].cumulative(),
            }),
            asked: Some(t.share),
            error: None,
            p95_range: None,
            stands_for: 1,
        });
    }
    samples
}

fn draw(dice: &mut impl Rng, mean: f64) -> f64 {
    if mean > 0.0 { Poisson::new(mean).unwrap().sample(dice) } else { 0.0 }
}

/// Requests into the buckets of a log-normal latency, one bucket after the other: exact but for the last.
fn spread_out(dice: &mut impl Rng, requests: f64, middle: f64, buckets: &mut [f64]) {
    let below = |ms: f64| 0.5 * libm::erfc(-(ms.ln() - middle) / (SPREAD * std::f64::consts::SQRT_2));
    let (mut left, mut done) = (requests, 0.0);
    for (at, bucket) in buckets.iter_mut().enumerate() {
        let Some(bound) = BOUNDS.get(at) else {
            *bucket += left;
            return;
        };
        let p = below(*bound);
        let part =
            if p - done > 1e-12 { binomial(dice, left, ((p - done) / (1.0 - done)).min(1.0)) } else { 0.0 };
        *bucket += part;
        left -= part;
        done = p;
        if left <= 0.0 {
            return;
        }
    }
}

fn binomial(dice: &mut impl Rng, n: f64, p: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let n = n as u64;
    rand_distr::Binomial::new(n, p).unwrap().sample(dice) as f64
}
