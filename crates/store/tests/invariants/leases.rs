use crate::fixture::{DEADLINE, event, owner, started};
use model::audit::NewEvent;
use model::release::State;
use model::{ReleaseId, Seq};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use store::test_support::{TestDb, database};
use store::{Epoch, Error, Store};

const LONG: Duration = Duration::from_secs(60);

/// Until some statement on the database waits for a lock.
pub(crate) async fn somebody_waits(db: &TestDb) {
    let mut owner = owner(db).await;
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        let sql = "select exists (select from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock')";
        let (waits,): (bool,) = sqlx::query_as(sql).fetch_one(&mut owner).await.unwrap();
        if waits {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nobody came to wait");
}

/// Takes the lease as soon as it can be had.
async fn taken(store: &Store, id: ReleaseId, holder: &str) -> Epoch {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        match store.acquire_lease(id, holder, LONG).await {
            Ok(Some(epoch)) => return epoch,
            // Unavailable: it waited for a lock as long as it may.
            Ok(None) | Err(Error::Unavailable(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the lease was never free");
}

#[tokio::test]
async fn an_epoch_grows_by_one_with_each_new_holder() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let s = &db.store;
    assert_eq!(s.acquire_lease(id, "a", LONG).await.unwrap(), Some(Epoch(1)));
    assert_eq!(s.acquire_lease(id, "b", LONG).await.unwrap(), None, "held");
    assert_eq!(s.acquire_lease(id, "a", LONG).await.unwrap(), Some(Epoch(1)), "renewed");
    s.release_leases("a").await.unwrap();
    assert_eq!(s.acquire_lease(id, "b", Duration::from_millis(1)).await.unwrap(), Some(Epoch(2)));
    assert_eq!(taken(s, id, "a").await, Epoch(3), "expired");
    s.release_leases("b").await.unwrap();
    assert_eq!(s.acquire_lease(id, "b", LONG).await.unwrap(), None, "one lets go only of one's own");
    // Expired, and nobody came: the same holder goes on.
    assert_eq!(s.acquire_lease(id, "a", Duration::ZERO).await.unwrap(), Some(Epoch(3)));
    assert_eq!(s.acquire_lease(id, "a", LONG).await.unwrap(), Some(Epoch(3)));
    assert!(matches!(s.acquire_lease(ReleaseId(99), "a", LONG).await, Err(Error::NotFound("release"))));
}

#[tokio::test]
async fn a_stale_epoch_writes_nothing() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let stale = db.store.acquire_lease(id, "a", Duration::ZERO).await.unwrap().unwrap();
    let newest = db.store.acquire_lease(id, "b", LONG).await.unwrap().unwrap();
    let before = (db.store.release(id).await.unwrap(), db.store.audit_size().await.unwrap());
    for epoch in [stale, Epoch(newest.0 + 1)] {
        let mut tx = db.store.begin().await.unwrap();
        let (mut r, _) = tx.lock_release(id).await.unwrap();
        r.state = State::Running;
        assert!(matches!(tx.put_release(&r, Some(epoch)).await, Err(Error::Fenced)));
        // Even one who does not look at the answer.
        assert!(tx.commit(event("release.running")).await.is_err());
    }
    assert_eq!((db.store.release(id).await.unwrap(), db.store.audit_size().await.unwrap()), before);
    let mut tx = db.store.begin().await.unwrap();
    let (mut r, _) = tx.lock_release(id).await.unwrap();
    r.state = State::Running;
    tx.put_release(&r, Some(newest)).await.unwrap();
    tx.commit(event("release.running")).await.unwrap();
    assert_eq!(db.store.release(id).await.unwrap().state, State::Running);
}

#[tokio::test]
async fn a_lease_does_not_change_hands_in_the_middle_of_a_write() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let epoch = db.store.acquire_lease(id, "a", Duration::ZERO).await.unwrap().unwrap();
    let mut tx = db.store.begin().await.unwrap();
    let (mut r, _) = tx.lock_release(id).await.unwrap();
    r.note = Some("a wrote".into());
    tx.put_release(&r, Some(epoch)).await.unwrap();
    let store = db.store.clone();
    let other = tokio::spawn(async move { store.acquire_lease(id, "b", LONG).await });
    somebody_waits(&db).await;
    tx.commit(event("release.noted")).await.unwrap();
    assert_eq!(other.await.unwrap().unwrap(), Some(Epoch(epoch.0 + 1)));
    assert_eq!(db.store.release(id).await.unwrap().note.as_deref(), Some("a wrote"));
}

#[tokio::test]
async fn a_replica_that_stands_still_in_a_write_loses_it() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let epoch = db.store.acquire_lease(id, "a", Duration::ZERO).await.unwrap().unwrap();
    let mut tx = db.store.begin().await.unwrap();
    let (mut r, _) = tx.lock_release(id).await.unwrap();
    r.note = Some("a wrote".into());
    tx.put_release(&r, Some(epoch)).await.unwrap();
    // It sleeps here. The server gives up on it, and the other takes over.
    assert_eq!(taken(&db.store, id, "b").await, Epoch(epoch.0 + 1));
    assert!(matches!(tx.commit(event("release.noted")).await, Err(Error::Unavailable(_))));
    assert_eq!(db.store.release(id).await.unwrap().note, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_never_hold_overlapping_epochs() {
    let db = database().await;
    let id = started(&db.store, "checkout").await;
    let first = db.store.audit_size().await.unwrap();
    let replicas: Vec<_> = (0..6)
        .map(|n| {
            let store = db.store.clone();
            let me = format!("replica-{n}");
            tokio::spawn(async move {
                let (mut held, mut wrote, mut round) = (Vec::new(), 0, 0);
                let end = Instant::now() + DEADLINE;
                while (wrote < 3 || round < 40) && Instant::now() < end {
                    round += 1;
                    // Mostly so short that the write comes late; now and then long enough, and given back.
                    let ttl = Duration::from_millis([0, 1, 3, 1000][round % 4]);
                    let Some(epoch) = store.acquire_lease(id, &me, ttl).await.unwrap() else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    held.push(epoch);
                    let mut tx = store.begin().await.unwrap();
                    let (r, _) = tx.lock_release(id).await.unwrap();
                    match tx.put_release(&r, Some(epoch)).await {
                        Ok(()) => {
                            let e = NewEvent { detail: json!({"epoch": epoch.0}), ..event("release.driven") };
                            tx.commit(e).await.unwrap();
                            wrote += 1;
                        }
                        Err(Error::Fenced) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                    store.release_leases(&me).await.unwrap();
                }
                (me, held)
            })
        })
        .collect();
    let mut holders: BTreeMap<Epoch, String> = BTreeMap::new();
    for replica in replicas {
        let (me, held) = replica.await.unwrap();
        for epoch in held {
            let holder = holders.entry(epoch).or_insert_with(|| me.clone());
            assert_eq!(holder, &me, "{epoch:?} had two holders");
        }
    }
    let epochs: Vec<i64> = holders.keys().map(|e| e.0).collect();
    assert_eq!(epochs, (1..=epochs.len() as i64).collect::<Vec<_>>(), "each new holder raises it by one");
    assert!(epochs.len() > 6, "they took turns");
    let written: Vec<i64> = db
        .store
        .events_after(Seq(first), 1000)
        .await
        .unwrap()
        .iter()
        .map(|e| e.event.detail["epoch"].as_i64().unwrap())
        .collect();
    assert!(written.len() >= 18, "everybody had a turn");
    assert!(written.is_sorted(), "nobody wrote after somebody with a higher epoch: {written:?}");
}
