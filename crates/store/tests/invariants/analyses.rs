use crate::fixture::{code, started};
use model::ReleaseId;
use serde_json::json;
use sqlx::Executor as _;
use store::test_support::database;
use store::{AnalysisRecord, Error, MeasurementRecord};

fn run(progress: i64, phase: &str) -> AnalysisRecord {
    AnalysisRecord {
        runner: store::CONTROLLER.into(),
        uid: "u-1".into(),
        name: "web-6d4b-2".into(),
        stage: "step".into(),
        step: Some(1),
        hash: Some("6d4b".into()),
        phase: phase.into(),
        message: None,
        progress,
        document: json!({"created": "2026-03-01T12:00:00Z", "status": {"phase": phase}}),
    }
}

fn measurement(number: u32, finished: bool, value: &str) -> MeasurementRecord {
    MeasurementRecord {
        uid: "u-1".into(),
        metric: "errors".into(),
        number,
        finished,
        document: json!({"value": value}),
    }
}

#[tokio::test]
async fn what_was_seen_earlier_does_not_replace_what_was_seen_later() {
    let db = database().await;
    let store = &db.store;
    let id = started(store, "checkout").await;
    store.put_analysis(id, &run(8, "Running")).await.unwrap();
    store.put_analysis(id, &run(9, "Failed")).await.unwrap();
    store.put_analysis(id, &run(4, "Running")).await.unwrap();
    assert_eq!(store.analyses(id).await.unwrap(), [run(9, "Failed")]);

    store.put_measurements(id, &[measurement(1, true, "[0]"), measurement(2, false, "")]).await.unwrap();
    store.put_measurements(id, &[measurement(1, true, "[9]"), measurement(2, true, "[1]")]).await.unwrap();
    store.put_measurements(id, &[measurement(2, false, "")]).await.unwrap();
    let kept = store.measurements(id, 100).await.unwrap();
    assert_eq!(kept.shown, [measurement(1, true, "[0]"), measurement(2, true, "[1]")]);
    assert_eq!(store.audit_size().await.unwrap(), 2, "evidence has no events of its own");
}

#[tokio::test]
async fn the_newest_measurements_of_each_metric_are_read_and_all_are_counted() {
    let db = database().await;
    let store = &db.store;
    let id = started(store, "checkout").await;
    store.put_analysis(id, &run(1, "Running")).await.unwrap();
    let mut all: Vec<_> = (1..=30).map(|n| measurement(n, true, "[1]")).collect();
    // One was never seen.
    all.remove(4);
    all.push(MeasurementRecord { metric: "latency".into(), ..measurement(1, true, "[2]") });
    store.put_measurements(id, &all).await.unwrap();
    let kept = store.measurements(id, 3).await.unwrap();
    let numbers: Vec<_> = kept.shown.iter().map(|m| (m.metric.as_str(), m.number)).collect();
    assert_eq!(numbers, [("errors", 28), ("errors", 29), ("errors", 30), ("latency", 1)]);
    let stored = [("u-1".to_owned(), "errors".to_owned(), 29), ("u-1".to_owned(), "latency".to_owned(), 1)];
    assert_eq!(kept.stored, stored);
}

#[tokio::test]
async fn runs_are_of_a_release_and_measurements_of_a_run_and_neither_is_deleted() {
    let db = database().await;
    let store = &db.store;
    let none = store.put_analysis(ReleaseId(99), &run(1, "Running")).await;
    assert!(matches!(none, Err(Error::NotFound(_))), "{none:?}");
    let id = started(store, "checkout").await;
    let none = store.put_measurements(id, &[measurement(1, true, "[1]")]).await;
    assert!(matches!(none, Err(Error::NotFound(_))), "{none:?}");
    store.put_analysis(id, &run(1, "Running")).await.unwrap();
    for table in ["release_analyses", "release_measurements"] {
        let refused = store.pool().execute(format!("delete from {table}").as_str()).await;
        assert_eq!(code(refused), "42501", "{table}");
    }
}

#[tokio::test]
async fn a_look_of_ones_own_is_written_whole_and_by_one_who_read_what_was_before() {
    let db = database().await;
    let store = &db.store;
    let id = started(store, "checkout").await;
    let own = |progress: i64, phase: &str| AnalysisRecord {
        runner: store::OWN.into(),
        stage: "plan".into(),
        ..run(progress, phase)
    };
    store.begin_analysis(id, &own(0, "Running")).await.unwrap();
    // Another replica comes a moment later, and has read another content of the template.
    store.begin_analysis(id, &AnalysisRecord { name: "other".into(), ..own(0, "Running") }).await.unwrap();
    assert_eq!(store.analyses(id).await.unwrap(), [own(0, "Running")]);
    assert_eq!(store.open_analyses().await.unwrap(), [id]);

    let look = [
        measurement(1, true, "[0]"),
        MeasurementRecord { metric: "p95".into(), ..measurement(1, true, "[2]") },
    ];
    assert!(store.advance_analysis(id, &own(2, "Running"), 0, &look).await.unwrap());
    let late = [measurement(1, true, "[9]")];
    assert!(!store.advance_analysis(id, &own(1, "Failed"), 0, &late).await.unwrap(), "somebody else looked");
    assert_eq!(store.analyses(id).await.unwrap(), [own(2, "Running")]);
    assert_eq!(store.measurements(id, 9).await.unwrap().shown, look);
    // What is measured already is not measured again: then nothing of the look is kept.
    let twice = store.advance_analysis(id, &own(3, "Failed"), 2, &late).await;
    assert!(twice.is_err(), "{twice:?}");
    assert_eq!(store.analyses(id).await.unwrap(), [own(2, "Running")]);
    assert!(store.advance_analysis(id, &own(3, "Failed"), 2, &[measurement(2, true, "[9]")]).await.unwrap());
    assert_eq!(store.open_analyses().await.unwrap(), []);
}
