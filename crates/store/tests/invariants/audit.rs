use crate::fixture::{as_owner, code, event, now, owner, person, planned};
use chrono::TimeDelta;
use model::audit::{Event, GENESIS, NewEvent};
use model::role::Via;
use model::view::AuditFilter;
use model::{Actor, PlanId, ReleaseId, Seq};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sqlx::Executor as _;
use store::Store;
use store::test_support::{TestDb, database};

async fn write(store: &Store, count: usize) {
    for n in 1..=count {
        let e = NewEvent { detail: json!({"n": n, "rate": 0.1}), ..event("thing.done") };
        store.begin().await.unwrap().commit(e).await.unwrap();
    }
}

/// Does what no role may, as somebody who owns the server could.
async fn forge(db: &TestDb, sql: &str) {
    let sql = format!(
        "begin; alter table audit_events disable trigger all; {sql}; alter table audit_events enable trigger all; commit"
    );
    as_owner(db, &sql).await.unwrap();
}

#[tokio::test]
async fn an_empty_chain_verifies() {
    let db = database().await;
    let found = db.store.verify().await.unwrap();
    assert!(found.ok);
    assert_eq!((found.size, found.root.as_str()), (0, GENESIS));
}

#[tokio::test]
async fn the_chain_verifies_and_names_its_end() {
    let db = database().await;
    write(&db.store, 3).await;
    let found = db.store.verify().await.unwrap();
    assert_eq!((found.ok, found.size), (true, 3));
    let last = db.store.events(&AuditFilter::default(), 1).await.unwrap().remove(0);
    assert_eq!(found.root, last.hash);
    assert_eq!(db.store.audit_size().await.unwrap(), 3);
}

#[tokio::test]
async fn a_changed_row_is_found_with_its_place() {
    let db = database().await;
    write(&db.store, 5).await;
    let changes = [
        ("at", "at + interval '1 microsecond'"),
        ("actor", "'Mallory'"),
        ("person", "7"),
        ("via", "'browser'"),
        ("action", "'thing.undone'"),
        ("environment", "'staging'"),
        ("service", "'search'"),
        ("plan", "1"),
        ("release", "1"),
        ("summary", "'Nothing happened.'"),
        ("reason", "'because'"),
        ("detail", r#"'{"n":3,"rate":0.2}'"#),
        ("detail", "'no json at all'"),
        ("previous", "repeat('a', 64)"),
        ("hash", "repeat('a', 64)"),
    ];
    for (column, value) in changes {
        forge(&db, &format!("create table kept as table audit_events; update audit_events set {column} = {value} where seq = 3")).await;
        let found = db.store.verify().await.unwrap();
        assert!(!found.ok, "{column} was changed");
        assert_eq!(found.broken.unwrap().seq, Seq(3), "{column} was changed");
        assert_eq!(found.size, 5);
        let back = format!(
            "update audit_events e set {column} = k.{column} from kept k where k.seq = e.seq; drop table kept"
        );
        forge(&db, &back).await;
        assert!(db.store.verify().await.unwrap().ok, "{column} was put back");
    }
}

#[tokio::test]
async fn a_removed_row_is_found_wherever_it_stood() {
    for seq in 1..=3 {
        let db = database().await;
        write(&db.store, 3).await;
        forge(&db, &format!("delete from audit_events where seq = {seq}")).await;
        let broken = db.store.verify().await.unwrap().broken.unwrap();
        assert!(broken.why.contains(&format!("event {seq} is missing")), "{broken:?}");
    }
    let db = database().await;
    write(&db.store, 3).await;
    forge(&db, "truncate audit_events").await;
    let found = db.store.verify().await.unwrap();
    assert_eq!((found.ok, found.size, found.broken.unwrap().seq), (false, 0, Seq(1)));
}

#[tokio::test]
async fn swapped_rows_are_found() {
    let db = database().await;
    write(&db.store, 4).await;
    forge(&db, "update audit_events set seq = seq + 10 where seq in (2, 3); update audit_events set seq = 15 - seq where seq > 10").await;
    assert_eq!(db.store.verify().await.unwrap().broken.unwrap().seq, Seq(2));
}

#[tokio::test]
async fn no_role_can_change_or_remove_an_event() {
    let db = database().await;
    write(&db.store, 2).await;
    let deeds = [
        "update audit_events set summary = 'x'",
        "update audit_events set summary = 'x' where false",
        "delete from audit_events",
        "truncate audit_events",
        "truncate audit_events, audit_head",
        "delete from audit_head",
    ];
    for deed in deeds {
        assert_eq!(code(db.store.pool().execute(deed).await), "42501", "the application: {deed}");
        assert_eq!(code(as_owner(&db, deed).await), "42501", "the owner: {deed}");
        // What replication and restores use to run without triggers.
        let replica = format!("set session_replication_role = replica; {deed}");
        assert_eq!(code(as_owner(&db, &replica).await), "42501", "the owner, as replica: {deed}");
    }
    for deed in [
        "update audit_head set seq = 0",
        "alter table audit_events disable trigger all",
        "drop table audit_events",
    ] {
        assert_eq!(code(db.store.pool().execute(deed).await), "42501", "the application: {deed}");
    }
    assert_eq!(db.store.verify().await.unwrap().size, 2);
}

#[tokio::test]
async fn an_event_that_does_not_continue_the_chain_is_refused() {
    let db = database().await;
    write(&db.store, 2).await;
    let last = db.store.events(&AuditFilter::default(), 1).await.unwrap().remove(0);
    for (seq, previous) in [(4, last.hash.as_str()), (3, GENESIS), (1, GENESIS)] {
        let insert = format!(
            "insert into audit_events (seq, at, actor, via, action, summary, detail, previous, hash)
             values ({seq}, now(), 'x', 'cli', 'x', 'x', 'null', '{previous}', repeat('b', 64))"
        );
        assert!(matches!(&*code(db.store.pool().execute(&*insert).await), "23000" | "23505"));
    }
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_no_gap() {
    let db = database().await;
    write(&db.store, 1).await;
    let author = person(&db.store, "mara").await;
    let plan = crate::fixture::plan("dropped", "1.0.0");
    let mut tx = db.store.begin().await.unwrap();
    tx.insert_plan(&plan, &plan.digest(), &author, now()).await.unwrap();
    drop(tx);
    write(&db.store, 1).await;
    assert!(db.store.plans(10).await.unwrap().is_empty());
    let found = db.store.verify().await.unwrap();
    assert_eq!((found.ok, found.size), (true, 3));
    // Nothing holds the name.
    planned(&db.store, "dropped", &author).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_commits_make_a_gapless_chain() {
    let db = database().await;
    let tasks: Vec<_> = (0..20)
        .map(|n: i64| {
            let store = db.store.clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                while seqs.len() < 10 {
                    let e = NewEvent { plan: Some(PlanId(n)), ..event("thing.done") };
                    // One that is dropped lies between.
                    let (Ok(_), Ok(tx)) = (store.begin().await, store.begin().await) else {
                        continue;
                    };
                    // On a machine too busy to answer in time it may or may not have been written.
                    if let Ok(seq) = tx.commit(e).await {
                        seqs.push(seq);
                    }
                }
                seqs
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        let seqs = task.await.unwrap();
        assert!(seqs.is_sorted(), "one writer's events stand in its order");
        all.extend(seqs);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 200, "no place was given twice");
    let found = db.store.verify().await.unwrap();
    assert_eq!(found.broken, None);
    assert!(found.size >= 200);
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![
            Just(-0.0),
            Just(1.0),
            Just(1e20),
            Just(1e21),
            Just(1e300),
            Just(5e-324),
            Just(0.1 + 0.2)
        ]
        .prop_map(Value::from),
        ".*".prop_map(Value::from),
        Just(Value::from("nul \0 here")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn any_event() -> impl Strategy<Value = NewEvent> {
    let text = prop_oneof![".*", Just("nul \0 here".to_owned()), Just("🚢 é \u{202e}".to_owned())];
    let via = prop_oneof![Just(Via::Browser), Just(Via::Api), Just(Via::Cli), Just(Via::System)];
    let nanos = 0..4_000_000_000_000_000_000_i64;
    let subject = (prop::option::of(text.clone()), prop::option::of(text.clone()), any::<Option<i64>>());
    (nanos, text.clone(), via, text.clone(), subject, text, any::<(Option<i64>, Option<i64>)>(), json())
        .prop_map(
            |(nanos, actor, via, action, (environment, reason, person), summary, (plan, release), detail)| {
                NewEvent {
                    at: chrono::DateTime::UNIX_EPOCH + TimeDelta::nanoseconds(nanos),
                    actor,
                    person,
                    via,
                    action,
                    environment,
                    service: None,
                    plan: plan.map(PlanId),
                    release: release.map(ReleaseId),
                    summary,
                    reason,
                    detail,
                }
            },
        )
}

#[tokio::test]
async fn a_hash_survives_the_round_trip_of_whatever_is_written() {
    let db = database().await;
    let mut runner = TestRunner::deterministic();
    let events: Vec<NewEvent> =
        (0..300).map(|_| any_event().new_tree(&mut runner).unwrap().current()).collect();
    for e in &events {
        db.store.begin().await.unwrap().commit(e.clone()).await.unwrap();
    }
    let found = db.store.verify().await.unwrap();
    assert_eq!(found.broken, None);
    let read = db.store.events_after(Seq(0), 1000).await.unwrap();
    assert_eq!(read.len(), events.len());
    for (read, written) in read.iter().zip(&events) {
        assert_eq!(read.event.at.timestamp_micros(), written.at.timestamp_micros());
        assert_eq!(read.event.summary, written.summary.replace('\0', "\u{fffd}"));
        let canonical = model::canonical::to_string;
        assert_eq!(canonical(&read.event.detail), canonical(&written.detail));
    }
}

#[tokio::test]
async fn verifying_reads_page_by_page() {
    let db = database().await;
    write(&db.store, 1).await;
    // Copies of the first event's content, chained by the rules, much faster than one transaction each.
    let first = db.store.events_after(Seq(0), 1).await.unwrap().remove(0);
    let mut previous = first.hash.clone();
    let mut owner = owner(&db).await;
    for seq in (2..=2500).map(Seq) {
        let hash = model::audit::hash(seq, &previous, &first.event);
        let sql = sqlx::query(
            "insert into audit_events (seq, at, actor, via, action, summary, detail, previous, hash)
             select $1, at, actor, via, action, summary, detail, $2, $3 from audit_events where seq = 1",
        );
        sql.bind(seq.0).bind(&previous).bind(&hash).execute(&mut owner).await.unwrap();
        previous = hash;
    }
    let found = db.store.verify().await.unwrap();
    assert_eq!((found.ok, found.size, found.root), (true, 2500, previous));
    forge(&db, "update audit_events set summary = 'x' where seq = 2001").await;
    assert_eq!(db.store.verify().await.unwrap().broken.unwrap().seq, Seq(2001));
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about() {
    let db = database().await;
    let actor = |name: &str| Actor { name: name.into(), ..Actor::system("x") };
    let e = |who: &str, action: &str, service: &str, plan: i64, release: i64| NewEvent {
        service: Some(service.into()),
        plan: Some(PlanId(plan)),
        release: Some(ReleaseId(release)),
        ..NewEvent::new(now(), &actor(who), action, "…")
    };
    let written = [
        e("Mara Silva", "plan.created", "checkout", 1, 1),
        e("Otto", "release.started", "checkout", 1, 2),
        e("Mara Silva", "release.paused", "search", 2, 2),
        e("Tidegate, conductor", "release_other", "search", 2, 3),
    ];
    for e in written {
        db.store.begin().await.unwrap().commit(e).await.unwrap();
    }
    let all = AuditFilter::default();
    let cases = [
        (all.clone(), vec![4, 3, 2, 1]),
        (AuditFilter { action: Some("release.".into()), ..all.clone() }, vec![3, 2]),
        (AuditFilter { action: Some("%".into()), ..all.clone() }, vec![]),
        (AuditFilter { service: Some(String::new()), ..all.clone() }, vec![4, 3, 2, 1]),
        (AuditFilter { actor: Some("mara".into()), ..all.clone() }, vec![3, 1]),
        (AuditFilter { service: Some("search".into()), ..all.clone() }, vec![4, 3]),
        (AuditFilter { release: Some(2), ..all.clone() }, vec![3, 2]),
        (AuditFilter { plan: Some(1), before: Some(2), ..all.clone() }, vec![1]),
    ];
    let seqs = |events: Vec<Event>| events.into_iter().map(|e| e.seq.0).collect::<Vec<_>>();
    for (filter, expected) in cases {
        assert_eq!(seqs(db.store.events(&filter, 10).await.unwrap()), expected, "{filter:?}");
    }
    assert_eq!(seqs(db.store.events(&all, 2).await.unwrap()), [4, 3]);
    assert_eq!(seqs(db.store.events_after(Seq(2), 10).await.unwrap()), [3, 4]);
    assert_eq!(seqs(db.store.release_events(ReleaseId(2), Seq(2), 10).await.unwrap()), [3]);
}
