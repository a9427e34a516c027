//! A Postgres that is frozen, stopped or killed is an error in time, and afterwards everything goes on by itself.

use crate::fixture::{DEADLINE, event, now, person, plan};
use crate::listen::next;
use model::view::AuditFilter;
use std::time::{Duration, Instant};
use store::test_support::{OwnServer, own_server};
use store::{Error, Notice, Store};

/// Three seconds, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_millis(3500);

/// Awaits a call that must fail, in time, as unavailable.
async fn silent<T: std::fmt::Debug>(what: &str, call: impl Future<Output = Result<T, Error>>) {
    let begun = Instant::now();
    let answer = tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(|_| panic!("{what} hung"));
    let took = begun.elapsed();
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{what}: {answer:?}");
    assert!(took < IN_TIME, "{what} took {took:?}");
}

/// Every kind of call is refused in time, one after the other and many at once.
async fn all_silent(store: &Store, url: &str) {
    silent("ping", store.ping(Duration::from_secs(1))).await;
    silent("a read", store.plans(1)).await;
    silent("a change", store.begin()).await;
    silent("verifying", store.verify()).await;
    silent("connecting", Store::connect(url)).await;
    let many: Vec<_> = (0..40)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { silent("one of many", store.events(&AuditFilter::default(), 1)).await })
        })
        .collect();
    for one in many {
        one.await.unwrap();
    }
}

/// Works again, as soon as it can.
async fn recovers(store: &Store) {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Ok(tx) = store.begin().await {
            tx.commit(event("thing.done")).await.unwrap();
            assert!(store.verify().await.unwrap().ok);
            return;
        }
    }
    panic!("did not recover");
}

/// A server that has idle connections, a change that is under way, and one that listens.
async fn busy() -> (OwnServer, store::Tx) {
    let server = own_server().await;
    let store = &server.db.store;
    let author = person(store, "mara").await;
    let reads = (0..4).map(|_| store.plans(1));
    assert!(futures::future::join_all(reads).await.iter().all(Result::is_ok));
    let plan = plan("a", "1.0.0");
    let mut tx = store.begin().await.unwrap();
    tx.insert_plan(&plan, &plan.digest(), &author, now()).await.unwrap();
    (server, tx)
}

#[tokio::test]
async fn a_frozen_database_is_unavailable_within_three_seconds() {
    let (server, tx) = busy().await;
    let store = server.db.store.clone();
    let mut heard = store.listen();
    assert_eq!(next(&mut heard).await, Notice::Gap);
    server.postgres.freeze();
    silent("a commit", tx.commit(event("plan.created"))).await;
    all_silent(&store, &server.db.url).await;
    server.postgres.thaw();
    recovers(&store).await;
    // That commit may have been carried out, or not, but never by half.
    let plans = store.plans(10).await.unwrap().len();
    let filter = AuditFilter { action: Some("plan.created".into()), ..AuditFilter::default() };
    assert_eq!(store.events(&filter, 10).await.unwrap().len(), plans);
    while next(&mut heard).await == Notice::Gap {}
}

#[tokio::test]
async fn a_stopped_database_is_unavailable_within_three_seconds() {
    let (server, tx) = busy().await;
    let store = server.db.store.clone();
    let mut heard = store.listen();
    assert_eq!(next(&mut heard).await, Notice::Gap);
    server.postgres.stop();
    silent("a commit", tx.commit(event("plan.created"))).await;
    all_silent(&store, &server.db.url).await;
    // A process that starts now comes up all the same.
    let late = Store::lazy(&server.db.url).unwrap();
    silent("a read", late.plans(1)).await;
    server.postgres.start_again().await.unwrap();
    recovers(&store).await;
    recovers(&late).await;
    assert!(store.plans(10).await.unwrap().is_empty());
    assert_eq!(next(&mut heard).await, Notice::Gap, "what was announced meanwhile is lost");
}

#[tokio::test]
async fn what_was_committed_survives_a_kill() {
    let (server, tx) = busy().await;
    let store = server.db.store.clone();
    let seq = tx.commit(event("plan.created")).await.unwrap();
    server.postgres.kill();
    silent("a read", store.plans(1)).await;
    server.postgres.start_again().await.unwrap();
    recovers(&store).await;
    assert_eq!(store.plans(10).await.unwrap().len(), 1);
    assert!(store.audit_size().await.unwrap() > seq.0);
}

#[tokio::test]
async fn an_unmigrated_database_is_said_to_be_one() {
    let server = own_server().await;
    // By a name that is swept away with what else tests leave behind.
    let name = format!("t_{}_empty", std::process::id());
    let url = server.postgres.create_database(&name).await.unwrap();
    let store = Store::connect(&url).await.unwrap();
    assert!(matches!(store.plans(1).await, Err(Error::Sqlx(_))));
    store::migrate(&url).await.unwrap();
    assert!(store.plans(1).await.unwrap().is_empty());
}
