//! Streams of simulated traffic: how often the guard cries wolf in two hours, and how soon it sees a wolf.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use chrono::{DateTime, Utc};
use judge::verdict;
use model::verdict::{Class, Limits, Sample, Side};

/// A small seeded generator: the same streams on every machine (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How many of `n` come true.
    fn of(&mut self, n: u32, p: f64) -> f64 {
        f64::from((0..n).map(|_| u32::from(self.next() < p)).sum::<u32>())
    }

    /// An estimated 95th percentile of a log-normal latency around `p95`, from `n` requests.
    fn p95(&mut self, p95: f64, n: f64) -> f64 {
        let normal = (0..12).map(|_| self.next()).sum::<f64>() - 6.0;
        p95 * (1.0 + normal * 1.06 / n.max(1.0).sqrt()).max(0.05)
    }
}

/// What one side does in the long run.
#[derive(Clone, Copy)]
struct True {
    per_second: f64,
    errors: f64,
    p95: f64,
}

fn stream(dice: &mut Dice, canary: True, stable: True, seconds: i64) -> Vec<Sample> {
    let mut sums = [Side::default(); 2];
    let mut all = Vec::new();
    for t in (5..=seconds).step_by(5) {
        for (sum, side) in sums.iter_mut().zip([canary, stable]) {
            let expected = side.per_second * 5.0;
            let n = expected.floor() as u32 + u32::from(dice.next() < expected.fract());
            sum.requests += f64::from(n);
            sum.errors += dice.of(n, side.errors);
            sum.p95_ms = (sum.requests > 0.0).then(|| dice.p95(side.p95, sum.requests));
        }
        all.push(Sample {
            at: DateTime::<Utc>::from_timestamp(1_790_000_000 + t, 0).unwrap(),
            step: 0,
            weight: 25,
            canary: sums[0],
            stable: sums[1],
            canary_recent: Side::default(),
            stable_recent: Side::default(),
            error: None,
        });
    }
    all
}

/// Seconds until the guard fails the canary, if it does.
fn alarm(samples: &[Sample]) -> Option<i64> {
    let last = samples.last()?.at;
    let v = verdict(samples, 0, &Limits::default(), last);
    (v.class == Class::Fail).then(|| {
        let first = samples.iter().find(|s| s.canary == v.canary).unwrap();
        first.at.timestamp() - 1_790_000_000
    })
}

#[test]
fn a_canary_that_is_no_worse_is_hardly_ever_failed() {
    let mut alarms = 0;
    let runs = 300;
    for seed in 0..runs {
        let mut dice = Dice(seed);
        let share = [0.05, 0.25, 0.5][seed as usize % 3];
        let rate = [4.0, 12.0][seed as usize / 3 % 2];
        let side = |part: f64| True { per_second: rate * part, errors: 0.003, p95: 180.0 };
        alarms += usize::from(alarm(&stream(&mut dice, side(share), side(1.0 - share), 7200)).is_some());
    }
    assert!(alarms * 100 <= runs as usize, "{alarms} false alarms in {runs} runs of two hours");
}

/// The limit is broken on both sides alike: whatever is wrong, it is not the canary.
#[test]
fn a_fault_of_both_sides_is_hardly_ever_blamed_on_the_canary() {
    let mut alarms = 0;
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let side = |per_second| True { per_second, errors: 0.05, p95: 180.0 };
        alarms += usize::from(alarm(&stream(&mut dice, side(2.0), side(6.0), 1800)).is_some());
    }
    assert!(alarms <= 2, "{alarms} of 200");
}

#[test]
fn twenty_percent_errors_are_seen_within_tens_of_seconds() {
    for (canary, stable) in [(5.0, 15.0), (1.25, 3.75), (2.5, 2.5)] {
        let mut times: Vec<_> = (0..100)
            .map(|seed| {
                let mut dice = Dice(seed);
                let bad = True { per_second: canary, errors: 0.2, p95: 180.0 };
                let good = True { per_second: stable, errors: 0.003, p95: 180.0 };
                alarm(&stream(&mut dice, bad, good, 600)).expect("seen within ten minutes")
            })
            .collect();
        times.sort_unstable();
        let (median, late) = (times[50], times[95]);
        println!(
            "{canary} of {} requests a second: median {median} s, 95 % within {late} s",
            canary + stable
        );
        assert!(median <= 60 && late <= 120, "median {median} s, 95th {late} s");
    }
}

#[test]
fn slow_answers_are_seen_within_tens_of_seconds() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let slow = True { per_second: 5.0, errors: 0.003, p95: 480.0 };
        let good = True { per_second: 15.0, errors: 0.003, p95: 180.0 };
        let seen = alarm(&stream(&mut dice, slow, good, 300)).expect("seen");
        assert!(seen <= 60, "{seen} s");
    }
}
