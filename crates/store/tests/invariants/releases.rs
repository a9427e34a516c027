use crate::fixture::{as_owner, event, key, now, owner, planned, release, started};
use chrono::TimeDelta;
use model::conductor::Effect;
use model::release::{Course, Release, State};
use model::verdict::{Latency, Sample, Side, Verdict};
use model::{Actor, AttemptId, PlanId, ReleaseId};
use serde_json::json;
use store::test_support::database;
use store::{Error, ReleaseFilter, Store};

/// Reads, changes and writes a release, as a person's press does.
async fn change(store: &Store, id: ReleaseId, change: impl FnOnce(&mut Release)) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    let (mut r, _) = tx.lock_release(id).await?;
    change(&mut r);
    tx.put_release(&r, None).await?;
    tx.commit(event("release.changed")).await.map(drop)
}

#[tokio::test]
async fn a_release_comes_back_as_it_was_written() {
    let db = database().await;
    let (plan, digest) = planned(&db.store, "a", &Actor::system("test")).await;
    let new = release(plan, &digest, &key("checkout"));
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.insert_release(&new).await.unwrap();
    // It may be written again before anybody saw it.
    tx.put_release(&Release { id, ..new.clone() }, None).await.unwrap();
    tx.commit(event("release.started")).await.unwrap();
    let read = db.store.release(id).await.unwrap();
    assert_eq!(read, Release { id, ..new });
    assert_eq!(read.known_good.template["spec"]["a"], json!(12345678901234567890u64));
    assert_eq!(read.known_good.template["spec"]["z"].to_string(), "1.0");
    assert!(matches!(db.store.release(ReleaseId(99)).await, Err(Error::NotFound("release"))));
    let mut tx = db.store.begin().await.unwrap();
    let (locked, revision) = tx.lock_release(id).await.unwrap();
    assert_eq!((locked, revision), (read, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_has_one_active_release() {
    let db = database().await;
    let (plan, digest) = planned(&db.store, "a", &Actor::system("test")).await;
    let new = release(plan, &digest, &key("checkout"));
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let (store, new) = (db.store.clone(), new.clone());
            tokio::spawn(async move {
                let mut tx = store.begin().await?;
                let id = tx.insert_release(&new).await?;
                tx.commit(event("release.started")).await.map(|_| id)
            })
        })
        .collect();
    let mut won = Vec::new();
    for start in starts {
        match start.await.unwrap() {
            Ok(id) => won.push(id),
            Err(Error::Conflict(words)) => assert!(words.contains("under way already"), "{words}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won.len(), 1);
    let active = db.store.active_releases().await.unwrap();
    assert_eq!(active.iter().map(|r| r.id).collect::<Vec<_>>(), won);
    assert_eq!(db.store.active_release_for(&new.workload).await.unwrap().unwrap().id, won[0]);
    // Each way of ending makes room.
    for state in State::ALL.into_iter().filter(|s| s.ended()) {
        let id = db.store.active_release_for(&new.workload).await.unwrap().unwrap().id;
        change(&db.store, id, |r| r.state = state).await.unwrap();
        let mut tx = db.store.begin().await.unwrap();
        tx.insert_release(&new).await.unwrap();
        tx.commit(event("release.started")).await.unwrap();
    }
    let success = db.store.last_success(&new.workload).await.unwrap().unwrap();
    assert_eq!(success.state, State::Succeeded);
    assert_eq!(db.store.last_success(&key("search")).await.unwrap(), None);
    assert_eq!(db.store.active_releases().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_release_runs_only_a_version_that_was_written() {
    let db = database().await;
    let (plan, digest) = planned(&db.store, "a", &Actor::system("test")).await;
    let right = release(plan, &digest, &key("checkout"));
    let other = crate::fixture::plan("b", "6.6.6").digest();
    for wrong in [
        Release { digest: other, ..right.clone() },
        Release { plan_version: 2, ..right.clone() },
        Release { plan: PlanId(99), ..right.clone() },
    ] {
        let mut tx = db.store.begin().await.unwrap();
        assert!(matches!(tx.insert_release(&wrong).await, Err(Error::NotFound(_))));
    }
    let id = started(&db.store, "c").await;
    let moved = change(&db.store, id, |r| r.digest = digest).await;
    assert!(matches!(moved, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn nobody_writes_over_what_they_have_not_read() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let read = db.store.release(id).await.unwrap();
    let size = db.store.audit_size().await.unwrap();
    let mut tx = db.store.begin().await.unwrap();
    let refused = tx.put_release(&Release { note: Some("x".into()), ..read.clone() }, None).await;
    assert!(matches!(refused, Err(Error::Conflict(_))));
    assert!(matches!(tx.commit(event("release.changed")).await, Err(Error::Conflict(_))));
    assert_eq!(db.store.release(id).await.unwrap(), read);
    assert_eq!(db.store.audit_size().await.unwrap(), size);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_presses_are_all_kept() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let presses: Vec<_> = (0..12)
        .map(|n: usize| {
            let store = db.store.clone();
            tokio::spawn(async move {
                change(&store, id, |r| drop(r.waived.insert(n, format!("person {n}")))).await
            })
        })
        .collect();
    for press in presses {
        press.await.unwrap().unwrap();
    }
    assert_eq!(db.store.release(id).await.unwrap().waived.len(), 12);
}

#[tokio::test]
async fn a_release_that_left_its_course_never_goes_forward_again() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    change(&db.store, id, |r| r.course = Course::Abort).await.unwrap();
    let refused = change(&db.store, id, |r| r.course = Course::Forward).await;
    assert!(matches!(refused, Err(Error::Conflict(_))));
    change(&db.store, id, |r| r.course = Course::RollBack).await.unwrap();
    assert_eq!(db.store.release(id).await.unwrap().course, Course::RollBack);
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_kept() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let newer = r#"alter table releases disable trigger all;
        update releases set document = (document::jsonb || '{"from_the_future": {"x": [1]}}')::json;
        alter table releases enable trigger all"#;
    as_owner(&db, newer).await.unwrap();
    change(&db.store, id, |r| r.note = Some("hello".into())).await.unwrap();
    let sql = "select document ->> 'from_the_future', document ->> 'note' from releases";
    let row: (String, String) = sqlx::query_as(sql).fetch_one(&mut owner(&db).await).await.unwrap();
    assert_eq!(row, (r#"{"x":[1]}"#.to_owned(), "hello".to_owned()));
}

#[tokio::test]
async fn releases_are_found_by_what_they_are() {
    let db = database().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(started(&db.store, name).await);
    }
    change(&db.store, ids[1], |r| r.state = State::Failed).await.unwrap();
    let found = async |filter: ReleaseFilter| {
        let found = db.store.releases(&filter, 10).await.unwrap();
        found.into_iter().map(|r| r.id).collect::<Vec<_>>()
    };
    let all = ReleaseFilter::default();
    assert_eq!(found(all.clone()).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(found(ReleaseFilter { active: true, ..all.clone() }).await, [ids[2], ids[0]]);
    assert_eq!(found(ReleaseFilter { state: Some(State::Failed), ..all.clone() }).await, [ids[1]]);
    assert_eq!(found(ReleaseFilter { workload: Some(key("a")), ..all.clone() }).await, [ids[0]]);
    assert_eq!(found(ReleaseFilter { before: Some(ids[1]), ..all.clone() }).await, [ids[0]]);
    assert_eq!(found(ReleaseFilter { service: Some("search".into()), ..all.clone() }).await, []);
    let both =
        ReleaseFilter { service: Some("checkout".into()), environment: Some("production".into()), ..all };
    assert_eq!(found(both).await.len(), 3);
    assert_eq!(db.store.releases(&ReleaseFilter::default(), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_is_begun_once_and_settled_once() {
    let db = database().await;
    let release = started(&db.store, "checkout").await;
    let attempt = AttemptId("r1-1".into());
    let effect = Effect::OpenPause { from: 1 };
    let begin = async |release: Option<ReleaseId>| {
        let mut tx = db.store.begin().await?;
        tx.begin_attempt(&attempt, release, &effect, now()).await?;
        tx.commit(event("attempt.begun")).await
    };
    let settle = async |id: &AttemptId| {
        let mut tx = db.store.begin().await?;
        tx.settle_attempt(id, true, "seen", now()).await?;
        tx.commit(event("attempt.settled")).await
    };
    assert!(matches!(begin(Some(ReleaseId(99))).await, Err(Error::NotFound("release"))));
    begin(Some(release)).await.unwrap();
    assert!(matches!(begin(Some(release)).await, Err(Error::Conflict(_))));
    assert!(matches!(begin(None).await, Err(Error::Conflict(_))));
    settle(&attempt).await.unwrap();
    assert!(matches!(settle(&attempt).await, Err(Error::Conflict(_))));
    assert!(matches!(settle(&AttemptId("other".into())).await, Err(Error::NotFound("attempt"))));
    let all = db.store.attempts(release).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0].effect, all[0].happened, all[0].settled), (&effect, Some(true), Some(now())));
}

fn sample(second: i64) -> Sample {
    let side = |n: f64| Side { requests: n, errors: n / 3.0, p95_ms: Some(0.1 + 0.2) };
    Sample {
        at: now() + TimeDelta::seconds(second),
        step: 1,
        weight: 25,
        stable: side(1e9 + 0.1),
        canary: side(7.0),
        stable_recent: Side { p95_ms: None, ..side(2.0) },
        canary_recent: Side::default(),
        latency: (second == 2).then(|| Latency {
            bounds_ms: vec![0.1 + 0.2, 250.0],
            stable: vec![1.0 / 3.0, 9.0, 1e9],
            canary: vec![0.0, f64::MIN_POSITIVE, 7.0],
        }),
        asked: (second > 1).then_some(0.05),
        error: (second == 3).then(|| "no answer".to_owned()),
        p95_range: None,
        stands_for: 1,
    }
}

#[tokio::test]
async fn samples_spread_over_a_release_are_its_first_stretch_to_its_last() {
    let db = database().await;
    let release = started(&db.store, "spread").await;
    assert!(db.store.samples_spread(release, 10).await.unwrap().is_empty());
    for second in 0..100 {
        db.store.insert_sample(release, &sample(second)).await.unwrap();
    }
    let all = db.store.samples(release, None, 1000).await.unwrap();
    let spread = db.store.samples_spread(release, 10).await.unwrap();
    assert_eq!(spread.len(), 10);
    assert_eq!(spread.last().map(|s| s.at), all.last().map(|s| s.at), "the last one is always there");
    assert!(spread.windows(2).all(|w| w[0].at < w[1].at) && spread.iter().all(|s| s.latency.is_none()));
    assert_eq!(db.store.samples_spread(release, 500).await.unwrap().len(), 100, "all, where there is room");
}

#[tokio::test]
async fn samples_come_back_bit_for_bit() {
    let db = database().await;
    let release = started(&db.store, "checkout").await;
    for second in 0..5 {
        db.store.insert_sample(release, &sample(second)).await.unwrap();
    }
    let all: Vec<Sample> = (0..5).map(sample).collect();
    assert_eq!(db.store.samples(release, None, 100).await.unwrap(), all);
    assert_eq!(db.store.samples(release, None, 2).await.unwrap(), all[3..]);
    assert_eq!(db.store.samples(release, Some(all[1].at), 2).await.unwrap(), all[2..4]);
    assert!(matches!(db.store.insert_sample(ReleaseId(99), &sample(0)).await, Err(Error::NotFound(_))));
    // A division by nothing is kept as such and does not make the others unreadable.
    let odd =
        Sample { canary: Side { requests: f64::NAN, errors: f64::INFINITY, p95_ms: None }, ..sample(6) };
    db.store.insert_sample(release, &odd).await.unwrap();
    let read = db.store.samples(release, None, 1).await.unwrap().remove(0);
    assert!(read.canary.requests.is_nan() && read.canary.errors.is_infinite());
}

fn verdict(second: i64) -> Verdict {
    serde_json::from_value(json!({
        "at": now() + TimeDelta::seconds(second), "step": 0, "class": "no-data", "words": "Too few requests.",
        "metrics": [{"name": "Errors, 5xx", "class": "pass", "figures": "0 % / 0 %", "why": "Fewer."}],
        "chance": null,
        "limits": {"min_requests": 50, "max_error_percent": 2.0, "max_p95_ms": null, "max_p95_ratio": 1.5},
        "canary": {"requests": 3.0, "errors": 0.0, "p95_ms": 12.5},
        "stable": {"requests": 30.0, "errors": 0.0, "p95_ms": 12.5}, "watched": "30s",
    }))
    .unwrap()
}

#[tokio::test]
async fn verdicts_come_back_in_order_and_whole() {
    let db = database().await;
    let release = started(&db.store, "checkout").await;
    for second in [2, 1] {
        db.store.insert_verdict(release, &verdict(second)).await.unwrap();
    }
    assert_eq!(db.store.verdicts(release).await.unwrap(), [verdict(1), verdict(2)]);
    // What could not be read back is refused at once.
    let odd = Verdict { canary: Side { requests: f64::NAN, errors: 0.0, p95_ms: None }, ..verdict(3) };
    assert!(matches!(db.store.insert_verdict(release, &odd).await, Err(Error::Corrupt(_))));
    let refused = change(&db.store, release, |r| r.verdict = Some(odd)).await;
    assert!(matches!(refused, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn the_newest_known_good_is_the_way_back() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let key = key("checkout");
    let mut good = db.store.release(id).await.unwrap().known_good;
    assert_eq!(db.store.known_good(&key).await.unwrap(), None);
    for revision in [41, 43, 42] {
        good.revision = Some(revision);
        let mut tx = db.store.begin().await.unwrap();
        tx.put_known_good(&key, &good, None, now()).await.unwrap();
        tx.commit(event("workload.known-good")).await.unwrap();
    }
    assert_eq!(db.store.known_good(&key).await.unwrap(), Some(good));
    assert_eq!(db.store.known_good(&crate::fixture::key("search")).await.unwrap(), None);
}
