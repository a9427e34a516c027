//! Verdicts on samples: classes, words and figures, and that the same samples always give the same.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use chrono::{DateTime, TimeDelta, Utc};
use judge::{Replayed, verdict};
use model::verdict::{Class, Latency, Limits, Sample, Side, Verdict};
use proptest::prelude::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
}

fn side(requests: f64, errors: f64, p95: f64) -> Side {
    Side { requests, errors, p95_ms: (p95 > 0.0).then_some(p95) }
}

fn sample(second: i64, canary: Side, stable: Side) -> Sample {
    Sample {
        at: at(second),
        step: 1,
        weight: 25,
        stable,
        canary,
        stable_recent: Side::default(),
        canary_recent: Side::default(),
        latency: Some(histogram(&canary, &stable)),
        asked: None,
        error: None,
        p95_range: None,
        stands_for: 1,
    }
}

/// Times that fall off exponentially, with the percentiles that the sides have.
fn histogram(canary: &Side, stable: &Side) -> Latency {
    let bounds_ms = vec![10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0];
    let counts = |side: &Side| {
        let within =
            |ms: &f64| side.requests * (1.0 - (-ms * 20.0_f64.ln() / side.p95_ms.unwrap_or(1.0)).exp());
        bounds_ms.iter().map(within).chain([side.requests]).collect()
    };
    Latency { stable: counts(stable), canary: counts(canary), bounds_ms: bounds_ms.clone() }
}

fn one(canary: Side, stable: Side) -> Verdict {
    verdict(&[sample(0, canary, stable)], 1, &Limits::default(), at(1))
}

#[test]
fn a_failing_canary_is_told_as_the_page_tells_it() {
    let v = one(side(412.0, 17.0, 191.0), side(1236.0, 4.0, 182.0));
    assert_eq!(v.class, Class::Fail);
    assert_eq!(v.words, "Canary errors 4.1 % against 0.3 % on stable: 13 times as many.");
    assert_eq!(v.chance.as_deref(), Some("At most 1 in 66,229."));
    assert_eq!((v.metrics[0].name.as_str(), v.metrics[0].figures.as_str()), ("Errors, 5xx", "4.1 % / 0.3 %"));
    assert_eq!((v.metrics[1].name.as_str(), v.metrics[1].figures.as_str()), ("Latency p95", "191 / 182 ms"));
    assert_eq!(v.metrics[1].class, Class::Pass);
}

#[test]
fn a_healthy_canary_passes() {
    let v = one(side(2140.0, 6.0, 190.0), side(6420.0, 19.0, 182.0));
    assert_eq!(v.class, Class::Pass);
    assert_eq!(
        v.words,
        "Canary errors 0.3 % against 0.3 % on stable; 2,140 requests seen; the guard stays on."
    );
    assert_eq!(v.chance.as_deref(), Some("It may well be."));
}

#[test]
fn too_few_requests_are_no_data_and_never_a_pass() {
    let v = one(side(49.0, 0.0, 190.0), side(150.0, 0.0, 182.0));
    assert_eq!((v.class, v.words.as_str()), (Class::NoData, "49 of 50 requests. No data is never a pass."));
    let v = one(Side::default(), side(150.0, 0.0, 182.0));
    assert_eq!(v.words, "No requests on the canary yet. No data is never a pass.");
    assert_eq!(v.chance, None);
    assert_eq!(one(side(50.0, 0.0, 190.0), side(150.0, 0.0, 182.0)).class, Class::Pass);
}

#[test]
fn overwhelming_evidence_does_not_wait_for_requests() {
    assert_eq!(one(side(20.0, 12.0, 190.0), side(400.0, 0.0, 182.0)).class, Class::Fail);
    assert_eq!(one(side(20.0, 3.0, 190.0), side(400.0, 0.0, 182.0)).class, Class::NoData);
}

#[test]
fn between_pass_and_fail_it_is_marginal() {
    let v = one(side(104.0, 3.0, 190.0), side(312.0, 1.0, 182.0));
    assert_eq!(v.class, Class::Marginal);
    assert_eq!(
        v.words,
        "Canary errors 2.9 % against 0.3 % on stable; above the limit of 2 %, but 104 requests are too few to decide."
    );
    let v = one(side(400_000.0, 240.0, 190.0), side(1_200_000.0, 240.0, 182.0));
    assert_eq!(v.class, Class::Marginal);
    assert_eq!(
        v.words,
        "Canary errors 0.06 % against 0.02 % on stable: 3 times as many; too few for anybody to notice."
    );
}

/// The limit says what is never right, not what is: eight times as many errors are a fault under it, too.
#[test]
fn surely_worse_fails_within_the_limit_as_well() {
    let v = one(side(4000.0, 60.0, 190.0), side(12_000.0, 24.0, 182.0));
    assert_eq!(v.class, Class::Fail);
    assert_eq!(v.words, "Canary errors 1.5 % against 0.2 % on stable: 8 times as many.");
    let lenient = Limits { max_error_ratio: 20.0, ..Limits::default() };
    let samples = [sample(0, side(4000.0, 60.0, 190.0), side(12_000.0, 24.0, 182.0))];
    assert_eq!(verdict(&samples, 1, &lenient, at(1)).class, Class::Pass, "where a plan allows it");
}

#[test]
fn a_stable_that_fails_as_much_is_no_fault_of_the_canary() {
    let v = one(side(1000.0, 80.0, 190.0), side(3000.0, 240.0, 182.0));
    assert_eq!(v.class, Class::Marginal);
    assert_eq!(
        v.words,
        "Canary errors 8 % against 8 % on stable; above the limit of 2 %, but no worse than stable."
    );
}

#[test]
fn alone_the_canary_is_compared_with_the_limit() {
    let v = one(side(1000.0, 3.0, 190.0), Side::default());
    assert_eq!(v.class, Class::Pass);
    let v = one(side(200.0, 30.0, 190.0), Side::default());
    assert_eq!(v.class, Class::Fail);
    assert_eq!(v.words, "Canary errors 15 %, and stable has no traffic to compare with.");
    assert_eq!(one(side(200.0, 5.0, 190.0), Side::default()).class, Class::Marginal);
}

#[test]
fn unreadable_metrics_are_no_data() {
    let mut bad = sample(0, Side::default(), Side::default());
    bad.error = Some("connection refused.".into());
    let v = verdict(&[bad.clone()], 1, &Limits::default(), at(1));
    assert_eq!(v.class, Class::NoData);
    assert_eq!(v.words, "The metrics cannot be read: connection refused. No data is never a pass.");
    assert_eq!(
        verdict(&[], 1, &Limits::default(), at(1)).words,
        "Nothing was measured yet. No data is never a pass."
    );
    // One reading that fails among good ones is a hiccup; when it goes on, what was good is too old.
    let good = sample(0, side(2140.0, 6.0, 190.0), side(6420.0, 19.0, 182.0));
    bad.at = at(3);
    assert_eq!(verdict(&[good.clone(), bad.clone()], 1, &Limits::default(), at(3)).class, Class::Pass);
    bad.at = at(12);
    assert_eq!(verdict(&[good, bad], 1, &Limits::default(), at(12)).class, Class::NoData);
}

#[test]
fn impossible_figures_decide_nothing() {
    for canary in
        [side(f64::NAN, 1.0, 1.0), side(-5.0, 0.0, 1.0), side(10.0, 20.0, 1.0), side(f64::INFINITY, 0.0, 1.0)]
    {
        assert_eq!(one(canary, side(100.0, 0.0, 1.0)).class, Class::NoData);
    }
}

#[test]
fn a_failed_step_stays_failed_and_other_steps_do_not_count() {
    let fail = sample(0, side(412.0, 17.0, 191.0), side(1236.0, 4.0, 182.0));
    let better = sample(3, side(40_000.0, 18.0, 191.0), side(120_000.0, 50.0, 182.0));
    let v = verdict(&[fail.clone(), better.clone()], 1, &Limits::default(), at(4));
    assert_eq!((v.class, v.canary.requests), (Class::Fail, 412.0));
    assert_eq!(verdict(std::slice::from_ref(&better), 1, &Limits::default(), at(4)).class, Class::Pass);
    assert_eq!(verdict(&[fail.clone(), better], 2, &Limits::default(), at(4)).class, Class::NoData);
    assert_eq!(verdict(&[fail], 1, &Limits::default(), at(-1)).class, Class::NoData, "of the future");
}

#[test]
fn latency_fails_on_counts_and_not_on_a_quantile_of_few() {
    let v = one(side(400.0, 1.0, 480.0), side(1200.0, 4.0, 182.0));
    assert_eq!(v.class, Class::Fail);
    assert_eq!(
        v.words,
        "Canary p95 480 ms against 182 ms on stable: 2.6 times as long, 1.5 are allowed. \
         21 % took longer than 250 ms, 7.9 % may."
    );
    let v = one(side(60.0, 0.0, 480.0), side(180.0, 0.0, 182.0));
    assert_eq!(v.class, Class::Marginal);
    assert!(v.words.ends_with("1.5 are allowed; not yet on enough requests to decide."), "{}", v.words);
    let mut without = sample(0, side(4000.0, 1.0, 480.0), side(12_000.0, 4.0, 182.0));
    without.latency = None;
    let v = verdict(&[without], 1, &Limits::default(), at(1));
    assert_eq!(v.class, Class::Marginal, "without counts nothing is proven, and nothing passes");
}

#[test]
fn the_absolute_limit_holds_without_stable_too() {
    let limits = Limits { max_p95_ms: Some(250.0), ..Limits::default() };
    let class = |requests: f64| {
        let slow = sample(1, side(requests, 1.0, 300.0), Side::default());
        verdict(&[slow], 1, &limits, at(2))
    };
    assert_eq!(class(200.0).class, Class::Marginal);
    let v = class(4000.0);
    assert_eq!(v.class, Class::Fail);
    assert_eq!(
        v.words,
        "Canary p95 300 ms, and stable has no traffic to compare with; the limit is 250 ms. \
         8.2 % took longer than 250 ms, 5 % may."
    );
}

#[test]
fn a_split_that_was_not_asked_for_passes_nothing() {
    let of = |canary: f64, asked: Option<f64>| {
        let mut s = sample(0, side(canary, 0.0, 190.0), side(10_000.0 - canary, 0.0, 182.0));
        s.asked = asked;
        verdict(&[s], 1, &Limits::default(), at(1))
    };
    let v = of(2500.0, Some(0.05));
    assert_eq!(v.class, Class::Marginal);
    let words =
        "The canary gets 25 % of the requests, 5 % were asked for: the split is not what the step is about.";
    assert_eq!((v.words.as_str(), v.metrics[2].figures.as_str()), (words, "25 % / 5 %"));
    assert_eq!(of(100.0, Some(0.25)).class, Class::Marginal, "too little as well");
    assert_eq!(of(700.0, Some(0.05)).class, Class::Pass, "connections that stay open skew a little");
    assert_eq!(
        of(2500.0, Some(0.25)).metrics[2].why,
        "The canary gets 25 % of the requests, 25 % were asked for."
    );
    assert_eq!(of(2500.0, None).metrics.len(), 2, "where a header chooses, no share is asked for");
}

/// Invariant 6, as an auditor asks for it.
#[test]
fn stored_verdicts_are_replayed_from_stored_samples() {
    let good = sample(0, side(2140.0, 6.0, 190.0), side(6420.0, 19.0, 182.0));
    let bad = sample(3, side(2340.0, 96.0, 190.0), side(7020.0, 21.0, 182.0));
    let samples = [good.clone(), bad];
    let look = |second| verdict(&samples, 1, &Limits::default(), at(second));
    let stored: Vec<Verdict> =
        serde_json::from_str(&serde_json::to_string(&[look(1), look(4)]).unwrap()).unwrap();
    assert_eq!(judge::replay(&samples, &stored, |v| v), [Replayed::Same, Replayed::Same]);
    let mut forged = stored.clone();
    forged[1].class = Class::Pass;
    forged[0].rule = 1;
    let found = judge::replay(&samples, &forged, |v| v);
    assert_eq!(found[0], Replayed::OtherRule);
    assert_eq!(found[1], Replayed::Other(Box::new(stored[1].clone())));
    let without = judge::replay(&[good], &stored, |v| v);
    assert!(matches!(&without[1], Replayed::Other(v) if v.class == Class::Pass), "{without:?}");
}

#[test]
fn no_latency_is_no_data() {
    let v = one(side(400.0, 1.0, 0.0), side(1200.0, 4.0, 0.0));
    assert_eq!(v.class, Class::NoData);
    assert_eq!(v.words, "No latency was measured on the canary. No data is never a pass.");
    assert_eq!(
        one(side(412.0, 17.0, 0.0), side(1236.0, 4.0, 0.0)).class,
        Class::Fail,
        "errors speak for themselves"
    );
}

fn any_side() -> impl Strategy<Value = Side> {
    (0.0f64..5000.0, 0.0f64..=1.0, proptest::option::of(0.0f64..2000.0))
        .prop_map(|(requests, share, p95_ms)| Side { requests, errors: requests * share * share, p95_ms })
}

fn any_sample() -> impl Strategy<Value = Sample> {
    (0i64..200, 0usize..3, any_side(), any_side(), proptest::option::weighted(0.1, "[a-z]{1,9}"))
        .prop_map(|(t, step, canary, stable, error)| Sample { step, error, ..sample(t, canary, stable) })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    /// Invariant 6: stored, read back and shuffled, the samples give the verdict they gave.
    #[test]
    fn the_same_samples_give_the_same_verdict(
        mut samples in proptest::collection::vec(any_sample(), 0..30), step in 0usize..3, now in 0i64..220,
    ) {
        samples.sort_by_key(|s| s.at);
        samples.dedup_by_key(|s| s.at);
        let first = verdict(&samples, step, &Limits::default(), at(now));
        let stored = serde_json::to_string(&samples).unwrap();
        let mut read: Vec<Sample> = serde_json::from_str(&stored).unwrap();
        // Numbers in jsonb may lose their last bit: what was stored is what counts.
        let replayed = verdict(&read, step, &Limits::default(), at(now));
        prop_assert_eq!(first.class, replayed.class);
        read.reverse();
        let shuffled = verdict(&read, step, &Limits::default(), at(now));
        prop_assert_eq!(&shuffled, &replayed);
        prop_assert!(first.words.ends_with('.') && !first.words.contains("NaN"));
    }

    #[test]
    fn more_errors_on_the_canary_never_make_it_better(canary in any_side(), stable in any_side(), more in 0.0f64..50.0) {
        let rank = |c| match c { Class::Pass => 0, Class::Marginal => 1, Class::NoData | Class::Fail => 2 };
        let canary = Side { requests: canary.requests + 50.0, ..canary };
        let worse = Side { errors: (canary.errors + more).min(canary.requests), ..canary };
        prop_assert!(rank(one(worse, stable).metrics[0].class) >= rank(one(canary, stable).metrics[0].class));
    }

    #[test]
    fn a_pass_has_its_requests_and_is_fresh(samples in proptest::collection::vec(any_sample(), 0..20), now in 0i64..220) {
        let v = verdict(&samples, 1, &Limits::default(), at(now));
        if v.class == Class::Pass {
            prop_assert!(v.canary.requests >= 50.0 && v.canary.p95_ms.is_some());
            let newest = samples.iter().filter(|s| s.step == 1 && s.at <= at(now) && s.error.is_none()).map(|s| s.at).max();
            prop_assert!(newest.is_some_and(|t| at(now) - t <= TimeDelta::seconds(10)));
        }
    }
}

/// Looks three seconds apart with figures that wander, and the verdicts that were recorded: each that differed from the one before
/// it, until one failed.
fn recorded(looks: i64, wander: impl Fn(i64) -> (f64, f64, bool)) -> (Vec<Sample>, Vec<Verdict>) {
    let (mut requests, mut errors) = (0.0, 0.0);
    let mut samples: Vec<Sample> = Vec::new();
    let mut verdicts: Vec<Verdict> = Vec::new();
    for i in 0..looks {
        let (more, failed, readable) = wander(i);
        (requests, errors) = (requests + more, errors + failed);
        let stable = side(requests * 4.0, requests * 0.024, 180.0);
        let error = (!readable).then(|| "no answer".to_owned());
        samples.push(Sample { error, ..sample(i * 3, side(requests, errors, 185.0), stable) });
        let from = samples.len().saturating_sub(judge::LOOKS);
        let v = verdict(&samples[from..], 1, &Limits::default(), at(i * 3));
        match verdicts.last() {
            Some(last) if last.class == v.class || last.class == Class::Fail => {}
            _ => verdicts.push(v),
        }
    }
    (samples, verdicts)
}

/// What is left, each counting for those before it that went.
fn thinned(samples: &[Sample], verdicts: &[Verdict]) -> Vec<Sample> {
    let mut looks = 0;
    let mut out = Vec::new();
    for (s, stays) in samples.iter().zip(judge::kept(samples, verdicts)) {
        looks += s.stands_for;
        if stays {
            out.push(Sample { stands_for: looks, ..s.clone() });
            looks = 0;
        }
    }
    out
}

#[test]
fn a_step_thinned_out_replays_as_it_was() {
    // Longer than a verdict looks back on; without metrics for a while, failing in the end.
    let (samples, verdicts) = recorded(1600, |i| {
        let failed = match i {
            1500.. => 8.0,
            _ => 0.1,
        };
        (20.0, failed, !(700..740).contains(&i))
    });
    let classes: Vec<_> = verdicts.iter().map(|v| v.class).collect();
    assert!(
        classes.len() >= 4 && classes.contains(&Class::NoData) && classes.last() == Some(&Class::Fail),
        "{classes:?}"
    );
    let left = thinned(&samples, &verdicts);
    assert!(left.len() < samples.len() / 15, "{} of {}", left.len(), samples.len());
    let before = judge::replay(&samples, &verdicts, |v| v);
    assert!(before.iter().all(|r| *r == Replayed::Same));
    assert_eq!(judge::replay(&left, &verdicts, |v| v), before);
    // Once more changes nothing that counts.
    let again = thinned(&left, &verdicts);
    assert_eq!(judge::replay(&again, &verdicts, |v| v), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_step_replays_otherwise_once_it_is_thinned_out(
        moods in proptest::collection::vec((0.0_f64..30.0, 0.0_f64..0.2, 0..10_u8), 1..12),
        length in 40_i64..160,
    ) {
        let looks = i64::try_from(moods.len()).unwrap() * length;
        let (samples, verdicts) = recorded(looks.min(1500), |i| {
            let (requests, share, luck) = moods[usize::try_from(i / length).unwrap().min(moods.len() - 1)];
            (requests, requests * share, luck > 1)
        });
        let before = judge::replay(&samples, &verdicts, |v| v);
        prop_assert_eq!(judge::replay(&thinned(&samples, &verdicts), &verdicts, |v| v), before);
    }
}
