use crate::fixture::{event, now};
use model::notify::{Happened, Message, Settings};
use model::policy::{Channel, Severity};
use sqlx::Executor as _;
use store::test_support::database;
use store::{NewDestination, Store};

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
