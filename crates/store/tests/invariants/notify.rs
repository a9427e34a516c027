use crate::fixture::{event, now};
use model::notify::{Happened, Message, Settings, State};
use model::policy::{Channel, Severity};
use sqlx::Executor as _;
use std::time::Duration;
use store::test_support::database;
use store::{Delivery, Error, NewDestination, Sealed, Secret, Store};

pub(crate) fn webhook(name: &str, environment: Option<&str>) -> NewDestination {
    NewDestination {
        name: name.into(),
        environment: environment.map(str::to_owned),
        settings: Settings::Webhook { url: "https://example.com/hook".into() },
    }
}

pub(crate) fn message(key: &str, what: Happened) -> Message {
    Message {
        key: key.into(),
        title: "checkout held".into(),
        words: "Errors are above their limit.".into(),
        severity: Severity::High,
        path: "/releases/318".into(),
        release: Some(model::ReleaseId(318)),
        service: Some("checkout".into()),
        environment: Some("production".into()),
        what,
        at: now(),
    }
}

pub(crate) async fn added(store: &Store, new: &NewDestination) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_destination(new, now()).await.unwrap();
    tx.commit(event("destination.added")).await.unwrap();
    id
}

pub(crate) async fn enqueued(store: &Store, message: &Message, channels: &[Channel]) -> u64 {
    let mut tx = store.begin().await.unwrap();
    let count = tx.enqueue(message, channels).await.unwrap();
    tx.commit(event("policy.fired")).await.unwrap();
    count
}

async fn rows(store: &Store) -> Vec<(i64, String, String)> {
    sqlx::query_as("select destination, dedup_key, what from notifications order by id")
        .fetch_all(store.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_message_goes_to_whom_it_concerns_once() {
    let db = database().await;
    let store = &db.store;
    let fired = message("r318/error-rate", Happened::Fired);
    assert_eq!(enqueued(store, &fired, &[Channel::Webhook]).await, 0, "nobody is told, and that is said");
    let all = added(store, &webhook("all", None)).await;
    let here = added(store, &webhook("here", Some("production"))).await;
    added(store, &webhook("elsewhere", Some("staging"))).await;
    added(store, &NewDestination { settings: Settings::Slack, ..webhook("chat", None) }).await;
    // Twice, as after a commit whose answer was lost.
    for _ in 0..2 {
        assert_eq!(enqueued(store, &fired, &[Channel::Webhook, Channel::Email]).await, 2);
    }
    let key = fired.key.clone();
    let told = |at, what: &str| (at, key.clone(), what.to_owned());
    assert_eq!(rows(store).await, [told(all, "fired"), told(here, "fired")]);
    // That it is over is told too, and what concerns no environment only to whoever hears of all.
    let resolved = Message { environment: None, ..message("r318/error-rate", Happened::Resolved) };
    assert_eq!(enqueued(store, &resolved, &[Channel::Webhook]).await, 1);
    assert_eq!(rows(store).await.last(), Some(&told(all, "resolved")));
}

#[tokio::test]
async fn what_is_not_committed_is_not_told() {
    let db = database().await;
    added(&db.store, &webhook("all", None)).await;
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(tx.enqueue(&message("a", Happened::Fired), &[Channel::Webhook]).await.unwrap(), 1);
    drop(tx);
    assert_eq!(rows(&db.store).await, []);
    assert!(db.store.pool().execute("delete from notifications").await.is_err());
}

const LEASE: Duration = Duration::from_secs(60);

async fn claimed(store: &Store, holder: &str, lease: Duration) -> Vec<i64> {
    store.claim_notifications(holder, 100, lease).await.unwrap().into_iter().map(|c| c.id).collect()
}

async fn some(store: &Store, count: usize) {
    added(store, &webhook("all", None)).await;
    for n in 0..count {
        enqueued(store, &message(&format!("m{n}"), Happened::Fired), &[Channel::Webhook]).await;
    }
}

#[tokio::test]
async fn no_two_replicas_have_the_same_message_at_once() {
    let db = database().await;
    for n in 0..8 {
        added(&db.store, &webhook(&format!("d{n}"), None)).await;
    }
    for n in 0..4 {
        enqueued(&db.store, &message(&format!("m{n}"), Happened::Fired), &[Channel::Webhook]).await;
    }
    let replicas = (0..8).map(|n| {
        let store = db.store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let batch = store.claim_notifications(&format!("r{n}"), 3, LEASE).await.unwrap();
                if batch.is_empty() {
                    return mine;
                }
                mine.extend(batch.into_iter().map(|c| c.id));
            }
        })
    });
    let mut all = Vec::new();
    for replica in replicas.collect::<Vec<_>>() {
        all.extend(replica.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=32).collect::<Vec<i64>>(), "each exactly once");
}

#[tokio::test]
async fn what_a_dead_replica_held_is_taken_over_and_its_late_word_does_not_count() {
    let db = database().await;
    let store = &db.store;
    some(store, 1).await;
    assert_eq!(claimed(store, "dead", Duration::ZERO).await, [1]);
    assert_eq!(claimed(store, "alive", LEASE).await, [1]);
    assert_eq!(claimed(store, "third", LEASE).await, [] as [i64; 0]);
    let failed = Delivery::Failed { why: "Answered 400.".into() };
    assert!(!store.record_delivery(1, "dead", &failed).await.unwrap());
    assert!(store.record_delivery(1, "alive", &Delivery::Sent).await.unwrap());
    assert!(!store.record_delivery(1, "alive", &failed).await.unwrap(), "once");
    let kept = store.notification(1).await.unwrap();
    assert_eq!((kept.state, kept.attempts, kept.last_error), (State::Sent, 1, None));
    assert_eq!(store.next_notification().await.unwrap(), None);
}

#[tokio::test]
async fn the_end_of_a_matter_is_told_after_its_beginning() {
    let db = database().await;
    let store = &db.store;
    some(store, 1).await;
    enqueued(store, &message("m0", Happened::Resolved), &[Channel::Webhook]).await;
    assert_eq!(claimed(store, "a", LEASE).await, [1]);
    let later = Delivery::Later { why: "Answered 503.".into(), wait: LEASE };
    assert!(store.record_delivery(1, "a", &later).await.unwrap());
    assert_eq!(claimed(store, "a", LEASE).await, [] as [i64; 0]);
    let wait = store.next_notification().await.unwrap().unwrap();
    assert!(wait < Duration::from_secs(61), "{wait:?}");
    // Somebody presses "try again".
    let mut tx = store.begin().await.unwrap();
    tx.retry_notification(1).await.unwrap();
    tx.commit(event("notification.retried")).await.unwrap();
    assert_eq!(claimed(store, "a", LEASE).await, [1]);
    assert!(store.record_delivery(1, "a", &Delivery::Failed { why: "No.".into() }).await.unwrap());
    assert_eq!(claimed(store, "a", LEASE).await, [2], "that it began was given up; that it is over is told");
}

#[tokio::test]
async fn one_destination_does_not_take_all_turns() {
    let db = database().await;
    let store = &db.store;
    some(store, 30).await;
    added(store, &webhook("quick", None)).await;
    enqueued(store, &message("last", Happened::Fired), &[Channel::Webhook]).await;
    let first = claimed(store, "a", LEASE).await;
    assert_eq!(first.len(), 5, "{first:?}");
    assert!(first.contains(&32), "the other's turn comes at once");
    // It has as many as it may until one of them is done.
    assert_eq!(claimed(store, "a", LEASE).await, [] as [i64; 0]);
    assert!(store.record_delivery(first[0], "a", &Delivery::Sent).await.unwrap());
    assert_eq!(claimed(store, "b", LEASE).await.len(), 1);
}

#[tokio::test]
async fn a_destination_that_was_removed_gets_nothing_and_keeps_no_secret() {
    let db = database().await;
    let store = &db.store;
    some(store, 1).await;
    let mut tx = store.begin().await.unwrap();
    tx.put_secret(1, &Secret::Sealed(Sealed(vec![1, 2, 3]))).await.unwrap();
    tx.commit(event("destination.changed")).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.remove_destination(1, now()).await.unwrap();
    tx.commit(event("destination.removed")).await.unwrap();
    assert_eq!(claimed(store, "a", LEASE).await, [] as [i64; 0]);
    let kept = store.notification(1).await.unwrap();
    assert_eq!((kept.state, kept.destination_removed), (State::Failed, true));
    let left: (Option<Vec<u8>>,) =
        sqlx::query_as("select secret_sealed from destinations").fetch_one(store.pool()).await.unwrap();
    assert_eq!(left, (None,));
    assert!(matches!(store.destination(1).await, Err(Error::NotFound(_))));
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(tx.retry_notification(1).await, Err(Error::Conflict(_))));
    drop(tx);
    // Its name is free again.
    assert_eq!(added(store, &webhook("ALL", None)).await, 2);
    let mut tx = store.begin().await.unwrap();
    let again = tx.insert_destination(&webhook("all", None), now()).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
}
