//! How often the guard fails a canary that is no worse, and how soon it fails one that is, beside Kayenta's rule and beside
//! thresholds, on the same streams.
//!
//! `cargo bench -p judge`; `GUARD_RUNS` is the number of streams of two hours for each row about false alarms (10,000
//! without it; those about detection take a tenth of it), `GUARD_PART` a part of the name of the rows wanted. The others see
//! every tenth stream: they are slower to compute, and their rates are far from 1 %.

#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

#[path = "../tests/sim/mod.rs"]
mod sim;

use judge::kayenta::{Config, Direction, Label, Metric, Values, report};
use judge::verdict;
use model::verdict::{Class, Limits, Sample};
use sim::{Traffic, start, stream};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

const TWO_HOURS: i64 = 7200;
/// The others see one stream of so many.
const OTHERS: u64 = 10;
/// Seconds between two samples.
const EVERY: i64 = 3;

/// Who looks, and when they have seen enough.
const JUDGES: [(&str, Judge); 4] = [
    ("the guard", guard),
    ("Kayenta's judge", kayenta),
    ("99 % in each minute", threshold),
    ("five such minutes", five),
];

type Judge = fn(&[Sample]) -> Option<i64>;

fn guard(samples: &[Sample]) -> Option<i64> {
    let v = verdict(samples, 0, &Limits::default(), samples.last()?.at);
    let at = samples.iter().find(|s| s.canary == v.canary)?.at;
    (v.class == Class::Fail).then(|| (at - start()).num_seconds())
}

/// Each minute by itself: what each side did in it.
fn minutes(samples: &[Sample]) -> impl Iterator<Item = (i64, Sample)> {
    let per = usize::try_from(60 / EVERY).unwrap();
    let ends = (per - 1..samples.len()).step_by(per);
    ends.map(move |i| {
        let mut minute = samples[i].clone();
        if let Some(before) = i.checked_sub(per).map(|b| &samples[b]) {
            for (now, then) in [(&mut minute.canary, before.canary), (&mut minute.stable, before.stable)] {
                now.requests -= then.requests;
                now.errors -= then.errors;
            }
        }
        // The percentile of half a minute: that of everything since the start would hide what changes.
        minute.canary.p95_ms = minute.canary_recent.p95_ms;
        minute.stable.p95_ms = minute.stable_recent.p95_ms;
        ((minute.at - start()).num_seconds(), minute)
    })
}

/// A point a minute, all of them judged every ten minutes; a metric that is High is an alarm.
fn kayenta(samples: &[Sample]) -> Option<i64> {
    let minutes: Vec<_> = minutes(samples).collect();
    (20..=minutes.len()).step_by(10).find_map(|upto| {
        let points =
            |of: fn(&Sample) -> Option<f64>| minutes[..upto].iter().map(|(_, s)| of(s)).collect::<Vec<_>>();
        let metric =
            |name: &str, canary: fn(&Sample) -> Option<f64>, stable: fn(&Sample) -> Option<f64>| Metric {
                name: name.to_owned(),
                direction: Direction::Increase,
                experiment: Values::Points(points(canary)),
                control: Values::Points(points(stable)),
                ..Metric::default()
            };
        let errors = metric("errors", |s| s.canary.error_rate(), |s| s.stable.error_rate());
        let latency = metric("latency", |s| s.canary.p95_ms, |s| s.stable.p95_ms);
        let found = report(&Config { metrics: vec![errors, latency], ..Config::default() });
        found.metrics.iter().any(|m| m.classification == Label::High).then(|| minutes[upto - 1].0)
    })
}

/// Under 99 % success on the canary in any minute that has requests.
fn threshold(samples: &[Sample]) -> Option<i64> {
    minutes(samples).find(|(_, s)| s.canary.error_rate().is_some_and(|rate| rate > 0.01)).map(|(at, _)| at)
}

/// Flagger's default: the fifth failed check, of one a minute.
fn five(samples: &[Sample]) -> Option<i64> {
    let mut failed = minutes(samples).filter(|(_, s)| s.canary.error_rate().is_some_and(|rate| rate > 0.01));
    failed.nth(4).map(|(at, _)| at)
}

/// When each judge sees an alarm, in `runs` streams of `t`, on all cores.
fn watch(t: &Traffic, runs: u64) -> [Vec<Option<i64>>; JUDGES.len()] {
    let next = AtomicU64::new(0);
    let work = || {
        let mut seen: [Vec<Option<i64>>; JUDGES.len()] = Default::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= runs {
                return seen;
            }
            let samples = stream(t, seed, TWO_HOURS, EVERY);
            for (at, ((_, judge), seen)) in JUDGES.iter().zip(&mut seen).enumerate() {
                if at == 0 || seed.is_multiple_of(OTHERS) {
                    seen.push(judge(&samples));
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut all: [Vec<Option<i64>>; JUDGES.len()] = Default::default();
        for worker in workers {
            for (all, part) in all.iter_mut().zip(worker.join().unwrap()) {
                all.extend(part);
            }
        }
        all
    })
}

fn head(what: &str) -> String {
    let names: Vec<_> = JUDGES.iter().map(|(name, _)| *name).collect();
    format!("| {what} | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()))
}

fn row(name: &str, cells: impl Iterator<Item = String>) {
    println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn alike() -> Vec<(String, Traffic)> {
    let plain = Traffic::default();
    let mut all = vec![("independent".to_owned(), plain)];
    for (rho, spread) in [(0.5, 0.1), (0.8, 0.1), (0.8, 0.3)] {
        let name = format!("each side wanders: AR(1) {rho}, {} %", spread * 100.0);
        all.push((name, Traffic { wander: Some((rho, spread)), ..plain }));
    }
    all.push(("load and errors swing by 80 %".to_owned(), Traffic { swing: 0.8, ..plain }));
    all.push(("low traffic: 12 requests a minute".to_owned(), Traffic { per_second: 0.2, ..plain }));
    all.push(("half of the traffic".to_owned(), Traffic { share: 0.5, ..plain }));
    all.push((
        "half of it, AR(1) 0.8, 10 %".to_owned(),
        Traffic { share: 0.5, wander: Some((0.8, 0.1)), ..plain },
    ));
    all
}

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let runs: u64 = number("GUARD_RUNS").unwrap_or(10_000);
    let part = std::env::var("GUARD_PART").unwrap_or_default();
    println!(
        "\n2,000 requests a minute where nothing else is said, 0.5 % of them fail, a fifth go to the canary.\n"
    );
    println!("{}", head(&format!("false alarms in two hours, {runs} streams")));
    for (name, t) in alike().into_iter().filter(|(name, _)| name.contains(&part)) {
        let seen = watch(&t, runs);
        let rate = |seen: &Vec<Option<i64>>| seen.iter().flatten().count() as f64 * 100.0 / seen.len() as f64;
        row(&name, seen.iter().map(|seen| format!("{:.2} %", rate(seen))));
    }
    let runs = (runs / 10).max(1);
    println!("\n{}", head(&format!("median time to an alarm, {runs} streams")));
    for (worse, share) in [2.0, 5.0, 20.0].into_iter().flat_map(|w| [0.05, 0.2, 0.5].map(|s| (w, s))) {
        let name = format!("{worse} times the errors, {:.0} % of the traffic", share * 100.0);
        if name.contains(&part) {
            let seen = watch(&Traffic { worse, share, ..Traffic::default() }, runs);
            row(&name, seen.into_iter().map(median));
        }
    }
    for slower in [1.6, 2.0, 3.0] {
        let name = format!("{slower} times as slow, 5 % of the traffic");
        if name.contains(&part) {
            let seen = watch(&Traffic { slower, share: 0.05, ..Traffic::default() }, runs);
            row(&name, seen.into_iter().map(median));
        }
    }
}

fn median(mut seen: Vec<Option<i64>>) -> String {
    seen.sort_by_key(|t| t.unwrap_or(i64::MAX));
    match seen[seen.len() / 2] {
        Some(t) if t < 120 => format!("{t} s"),
        Some(t) => format!("{:.1} min", t as f64 / 60.0),
        None => "not in two hours".to_owned(),
    }
}
