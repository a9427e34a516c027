//! Streams of simulated traffic: how often the guard cries wolf in two hours, and how soon it sees a wolf. The bench
//! `guard` does the same with tens of thousands.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod sim;

use judge::verdict;
use model::verdict::{Class, Limits};
use sim::{Traffic, start, stream};

/// Seconds until the guard fails the canary, if it does.
fn alarm(t: &Traffic, seed: u64, seconds: i64) -> Option<i64> {
    let samples = stream(t, seed, seconds, 5);
    let v = verdict(&samples, 0, &Limits::default(), samples.last()?.at);
    let at = samples.iter().find(|s| s.canary == v.canary)?.at;
    (v.class == Class::Fail).then(|| (at - start()).num_seconds())
}

fn alarms(t: &Traffic, runs: u64, seconds: i64) -> usize {
    (0..runs).filter(|seed| alarm(t, *seed, seconds).is_some()).count()
}

fn times(t: &Traffic, runs: u64, seconds: i64) -> Vec<i64> {
    let mut all: Vec<_> = (0..runs).map(|seed| alarm(t, seed, seconds).expect("seen")).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_canary_that_is_no_worse_is_hardly_ever_failed() {
    for share in [0.05, 0.25, 0.5] {
        for per_second in [0.5, 12.0] {
            let t = Traffic { share, per_second, ..Traffic::default() };
            let alarms = alarms(&t, 30, 7200);
            assert!(alarms <= 1, "{alarms} false alarms in 30 runs of two hours: {t:?}");
        }
    }
}

/// Each side has minutes that are better and worse, as real ones have.
#[test]
fn sides_that_wander_apart_for_minutes_are_not_failed() {
    for share in [0.05, 0.5] {
        let t = Traffic { share, wander: Some((0.8, 0.1)), ..Traffic::default() };
        let alarms = alarms(&t, 50, 7200);
        assert!(alarms <= 2, "{alarms} false alarms in 50 runs of two hours: {t:?}");
    }
}

/// The limit is broken on both sides alike: whatever is wrong, it is not the canary.
#[test]
fn a_fault_of_both_sides_is_hardly_ever_blamed_on_the_canary() {
    let t = Traffic { errors: 0.05, swing: 0.8, ..Traffic::default() };
    let alarms = alarms(&t, 100, 3600);
    assert!(alarms <= 3, "{alarms} of 100");
}

#[test]
fn errors_are_seen_the_sooner_the_more_they_are() {
    // 2,000 requests a minute, ten of which fail: what the goals are stated for.
    for (worse, share, median) in [(5.0, 0.05, 240), (20.0, 0.05, 30), (5.0, 0.2, 90), (20.0, 0.2, 15)] {
        let times = times(&Traffic { worse, share, ..Traffic::default() }, 61, 3600);
        assert!(times[30] <= median, "{worse} times at {share}: median {} s", times[30]);
    }
}

#[test]
fn slow_answers_are_seen_within_tens_of_seconds() {
    let t = Traffic { slower: 2.6, per_second: 20.0, share: 0.25, ..Traffic::default() };
    let times = times(&t, 50, 300);
    assert!(times[25] <= 40 && times[49] <= 120, "{times:?}");
}

/// As slow as is allowed is allowed: half again.
#[test]
fn what_is_tolerated_is_not_failed() {
    let slower = Traffic { slower: 1.4, ..Traffic::default() };
    let worse = Traffic { worse: 1.1, ..Traffic::default() };
    for t in [slower, worse] {
        let alarms = alarms(&t, 60, 3600);
        assert!(alarms <= 2, "{alarms} of 60: {t:?}");
    }
}
