//! Requests of one tick, drawn from a seed: the same service, version and tick give the same requests again.

use std::f64::consts::TAU;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

use super::behaviour::Behaviour;

/// Upper bounds of the histogram's buckets, in seconds, fine around the baseline and the usual limits.
pub(crate) const BUCKETS: [f64; 16] =
    [0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];

/// Median of the baseline's log-normal duration, in seconds.
const MEDIAN: f64 = 0.115;

/// Its shape: p95 is then about 174 ms, p99 about 206 ms.
const SIGMA: f64 = 0.25;

/// Ticks from one level of a noisy version to the next.
const NOISE_TICKS: u64 = 30;

/// More than this many requests a tick are not drawn one by one for any service.
const MOST: f64 = 2000.0;

/// What happened to the requests with one status code.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Requests {
    pub(crate) count: u64,
    /// Sum of durations, in seconds.
    pub(crate) seconds: f64,
    /// Requests in each bucket (not cumulated); those beyond the last are only in `count`.
    pub(crate) buckets: [u64; BUCKETS.len()],
}

impl Requests {
    fn record(&mut self, seconds: f64) {
        self.count += 1;
        self.seconds += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket] += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.seconds += other.seconds;
        self.buckets.iter_mut().zip(other.buckets).for_each(|(a, b)| *a += b);
    }
}

/// Good and failed requests of one tick in which `expected` requests come on average.
pub(crate) fn requests(
    seed: u64,
    service: &str,
    version: &str,
    tick: u64,
    expected: f64,
    behaviour: Behaviour,
) -> (Requests, Requests) {
    let dice = |what: &[u8], at: u64| {
        let mut hash = Sha256::new();
        let parts = [
            what,
            &seed.to_le_bytes(),
            service.as_bytes(),
            &[0],
            version.as_bytes(),
            &[0],
            &at.to_le_bytes(),
        ];
        parts.iter().for_each(|part| hash.update(part));
        StdRng::from_seed(hash.finalize().into())
    };
    // Between the levels of two quarters of a minute.
    let level = |at: u64| normal(&mut dice(b"noise", at));
    let (at, along) = (tick / NOISE_TICKS, (tick % NOISE_TICKS) as f64 / NOISE_TICKS as f64);
    let wander = if behaviour.noise > 0.0 { level(at) * (1.0 - along) + level(at + 1) * along } else { 0.0 };
    let median = MEDIAN * (behaviour.noise * wander).exp();
    let mut rng = dice(b"", tick);
    let (mut good, mut failed) = (Requests::default(), Requests::default());
    for _ in 0..poisson(&mut rng, expected.clamp(0.0, MOST)) {
        let side = if rng.random::<f64>() < behaviour.errors { &mut failed } else { &mut good };
        side.record(median * (SIGMA * normal(&mut rng)).exp() + behaviour.extra.as_secs_f64());
    }
    (good, failed)
}

/// A draw from the standard normal distribution (Box and Muller).
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// A draw from the Poisson distribution: by products of uniforms while that is exact and quick, else by its
/// normal approximation.
fn poisson(rng: &mut StdRng, mean: f64) -> u64 {
    if mean > 60.0 {
        let drawn = (mean + mean.sqrt() * normal(rng)).round().max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a few thousand"
        )]
        return drawn as u64;
    }
    let limit = (-mean).exp();
    let mut product = rng.random::<f64>();
    let mut count = 0;
    while product > limit {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn many(behaviour: Behaviour, mean: f64) -> (Requests, Requests) {
        let mut sum = (Requests::default(), Requests::default());
        for tick in 0..400 {
            let (good, failed) = requests(7, "shop", "1.0", tick, mean, behaviour);
            sum.0.add(&good);
            sum.1.add(&failed);
        }
        sum
    }

    fn share(part: u64, whole: u64) -> f64 {
        part as f64 / whole as f64
    }

    #[test]
    fn the_same_seed_service_version_and_tick_give_the_same_requests() {
        let draw =
            |seed, service, version, tick| requests(seed, service, version, tick, 20.0, Behaviour::default());
        assert_eq!(draw(1, "a", "1", 5), draw(1, "a", "1", 5));
        for other in [draw(2, "a", "1", 5), draw(1, "b", "1", 5), draw(1, "a", "2", 5), draw(1, "a", "1", 6)]
        {
            assert_ne!(draw(1, "a", "1", 5), other);
        }
    }

    #[test]
    fn rates_errors_and_durations_come_out_as_asked() {
        let (good, failed) = many(Behaviour { errors: 0.2, ..Behaviour::default() }, 20.0);
        let all = good.count + failed.count;
        assert!((7600..8400).contains(&all), "{all} of 8000");
        assert!((0.18..0.22).contains(&share(failed.count, all)));
        assert!((0.115..0.125).contains(&(good.seconds / good.count as f64)));
        let within = |bound: f64| {
            let upto = BUCKETS.iter().position(|b| *b == bound).unwrap();
            share(good.buckets[..=upto].iter().sum(), good.count)
        };
        assert!(within(0.2) > 0.97, "p95 is below 200 ms");
        assert!(within(0.1) < 0.4);
    }

    #[test]
    fn extra_latency_moves_every_request() {
        let (good, _) = many(Behaviour { errors: 0.0, extra: Duration::from_millis(300), noise: 0.0 }, 20.0);
        assert_eq!(good.buckets[..8].iter().sum::<u64>(), 0);
    }

    #[test]
    fn many_requests_keep_the_mean() {
        let (good, failed) = many(Behaviour::default(), 500.0);
        assert!((195_000..205_000).contains(&(good.count + failed.count)));
        assert_eq!(requests(1, "a", "1", 1, 0.0, Behaviour::default()).0.count, 0);
    }

    #[test]
    fn a_noisy_version_is_slower_and_faster_for_a_while_and_no_worse_on_the_whole() {
        let mean = |noise: f64, ticks: std::ops::Range<u64>| {
            let behaviour = Behaviour { noise, ..Behaviour::default() };
            let all = ticks.map(|tick| requests(7, "shop", "1.0", tick, 20.0, behaviour).0);
            let (count, seconds) = all.fold((0, 0.0), |(n, s), r| (n + r.count, s + r.seconds));
            seconds / count as f64
        };
        let quarters: Vec<_> = (0..40).map(|q| mean(0.2, q * 30..(q + 1) * 30)).collect();
        let most = quarters.iter().copied().fold(0.0, f64::max);
        let least = quarters.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(most / least > 1.3, "{most} {least}");
        assert!((mean(0.2, 0..6000) / mean(0.0, 0..6000) - 1.0).abs() < 0.1);
    }
}
