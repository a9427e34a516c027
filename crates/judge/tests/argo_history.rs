//! What is kept of a run whose controller keeps ten measurements.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use chrono::{DateTime, TimeZone as _, Utc};
use judge::argo::Phase;
use judge::argo::history::History;
use judge::argo::run::{Analysis, Measurement, Status};
use proptest::prelude::*;
use serde_json::json;

fn at(second: usize) -> DateTime<Utc> {
    Utc.timestamp_opt(1_800_000_000 + i64::try_from(second).unwrap(), 0).unwrap()
}

/// What the run's status shows after each of so many measurements, two of them in one second.
fn statuses(measurements: usize) -> Vec<Status> {
    let spec = json!({"metrics": [{"name": "m", "interval": "500ms", "count": 99, "failureLimit": 50, "consecutiveErrorLimit": 90,
                                  "provider": {"job": {}}}]});
    let analysis = Analysis::new(&serde_json::from_value(spec).unwrap()).unwrap();
    let mut status = Status::default();
    let mut all = Vec::new();
    for i in 0..measurements {
        let phase = [Phase::Successful, Phase::Failed, Phase::Error][i % 3];
        let open =
            Measurement { phase: Phase::Running, started_at: Some(at(i / 2)), ..Measurement::default() };
        analysis.record(&mut status, "m", open.clone(), at(i / 2));
        all.push(status.clone());
        let measured = Measurement { phase, value: i.to_string(), ..open };
        analysis.record(&mut status, "m", measured, at(i / 2));
        analysis.settle(&mut status, at(i / 2));
        all.push(status.clone());
    }
    all
}

fn values(history: &History) -> Vec<(u32, String)> {
    let (_, kept) = history.metrics().next().unwrap();
    kept.iter().map(|(n, m)| (*n, m.value.clone())).collect()
}

#[test]
fn all_measurements_are_kept_though_the_controller_keeps_ten() {
    let all = statuses(35);
    assert_eq!(all.last().unwrap().metric_results[0].measurements.len(), 10);
    let mut history = History::default();
    for status in &all {
        assert!(history.merge(&status.metric_results));
        assert!(!history.merge(&status.metric_results), "the same again is no news");
    }
    let expected: Vec<(u32, String)> = (0..35).map(|i| (i + 1, i.to_string())).collect();
    assert_eq!(values(&history), expected);
    assert_eq!(history.missed("m"), 0);
    let stored = serde_json::to_string(&history).unwrap();
    assert_eq!(serde_json::from_str::<History>(&stored).unwrap(), history);
}

#[test]
fn what_was_not_seen_is_counted() {
    let mut history = History::default();
    let all = statuses(30);
    history.merge(&all[9].metric_results);
    history.merge(&all[59].metric_results);
    // Numbers 1 to 5 and 21 to 30.
    assert_eq!((values(&history).len(), history.missed("m")), (15, 15));
}

proptest! {
    /// Whatever looks are missed, and in whatever order the others come, what was seen ended is kept as it ended.
    #[test]
    fn looks_may_be_missed_repeated_and_late(looks in prop::collection::vec(0_usize..60, 1..40)) {
        let all = statuses(30);
        let mut history = History::default();
        for look in &looks {
            history.merge(&all[*look].metric_results);
        }
        let newest = looks.iter().max().unwrap();
        let mut again = history.clone();
        prop_assert!(!again.merge(&all[*newest].metric_results));
        for (number, value) in values(&history) {
            let ended_as = (number - 1).to_string();
            let seen_ended = |look: &usize| {
                all[*look].metric_results[0].measurements.iter().any(|m| m.value == ended_as)
            };
            let still_open = value.is_empty() && !looks.iter().any(seen_ended);
            prop_assert!(value == ended_as || still_open, "{number}: {value}");
        }
    }
}
