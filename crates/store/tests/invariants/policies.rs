use crate::fixture::{event, key, now, started};
use chrono::TimeDelta;
use model::policy::{Fired, FiredOn, Firing, Seen, ServiceAt, What, from_yaml};
use model::problem::FieldError;
use model::{Book, ReleaseId};
use store::test_support::database;
use store::{ActionRecord, NewFile, NewFiring, Stopped, Store, Tx};

const TEXT: &str =
    "rollback_triggers: {error_rate_threshold: 0.05}\nrollback_actions: [{type: pause_rollout}]\n";

fn file<'a>(text: Option<&'a str>, faults: &'a [FieldError]) -> NewFile<'a> {
    NewFile { cluster: "main", namespace: "shop", at: now(), text, faults, by: "kubectl-edit", outside: true }
}

async fn recorded(store: &Store, file: &NewFile<'_>, after: Option<i64>) -> Option<i64> {
    let mut tx = store.begin().await.unwrap();
    let id = tx.record_file(Book::Policies, file, after).await.unwrap();
    tx.commit(event("policy.changed")).await.unwrap();
    id
}

fn fired() -> Fired {
    let policy = from_yaml(TEXT).unwrap().policies.remove("default").unwrap();
    let seen = vec![Seen { at: now(), value: 0.21, requests: 80.0 }];
    Fired { policy, firing: Firing { at: now(), trigger: 0, seen } }
}

/// A row in each table.
pub(crate) async fn fill(tx: &mut Tx, release: ReleaseId) {
    let file = tx.record_file(Book::Policies, &file(Some(TEXT), &[]), None).await.unwrap().unwrap();
    let fired = fired();
    let on = FiredOn::Release { id: release, step: 0 };
    let new = NewFiring { on: &on, file, policy: "default", fired: &fired };
    let firing = tx.insert_firing(&new).await.unwrap().unwrap();
    let done = ActionRecord { place: 0, at: now(), words: "Held.".into() };
    assert!(tx.insert_policy_action(firing, &done).await.unwrap());
    tx.lift_breaker(&key("checkout"), "mara", now()).await.unwrap();
}

/// In force is the newest content without faults; what two replicas see at once is recorded once.
#[tokio::test]
async fn the_newest_file_without_faults_stays_in_force() {
    let db = database().await;
    let store = &db.store;
    let first = recorded(store, &file(Some(TEXT), &[]), None).await.unwrap();
    assert_eq!(recorded(store, &file(Some(TEXT), &[]), None).await, None, "another replica was first");
    let faults = [FieldError { field: "rollback_triggers".into(), message: "Names no trigger.".into() }];
    let second = recorded(store, &file(Some("rollback_triggers: {}"), &faults), Some(first)).await.unwrap();
    let known = store.files(Book::Policies).await.unwrap();
    assert_eq!(known.iter().map(|f| f.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!((known[0].faults.len(), &known[1].faults[..]), (0, &faults[..]));
    let gone = recorded(store, &file(None, &[]), Some(second)).await.unwrap();
    let known = store.files(Book::Policies).await.unwrap();
    assert_eq!(known.iter().map(|f| (f.id, f.text.is_some())).collect::<Vec<_>>(), [(gone, false)]);
    let history = store.file_history(Book::Policies, "main", "shop", 2).await.unwrap();
    assert_eq!(history.iter().map(|f| f.id).collect::<Vec<_>>(), [gone, second]);
}

#[tokio::test]
async fn a_firing_and_each_of_its_actions_is_recorded_once() {
    let db = database().await;
    let store = &db.store;
    let release = started(store, "checkout").await;
    let file = recorded(store, &file(Some(TEXT), &[]), None).await.unwrap();
    let fired = fired();
    let on = FiredOn::Release { id: release, step: 1 };
    let new = NewFiring { on: &on, file, policy: "default", fired: &fired };
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_firing(&new).await.unwrap().unwrap();
    assert_eq!(tx.insert_firing(&new).await.unwrap(), None, "once a step");
    let done = ActionRecord { place: 0, at: now(), words: "Held.".into() };
    assert!(tx.insert_policy_action(id, &done).await.unwrap());
    assert!(!tx.insert_policy_action(id, &done).await.unwrap(), "each action once");
    tx.commit(event("policy.fired")).await.unwrap();

    let open = store.open_firings().await.unwrap();
    assert_eq!((open.len(), &open[0].fired, &open[0].actions[..]), (1, &fired, &[done][..]));
    let stopped = Stopped { at: now(), by: "mara".into(), why: Some("a load test".into()) };
    let mut tx = store.begin().await.unwrap();
    assert!(tx.stop_firing(id, &stopped).await.unwrap());
    assert!(!tx.stop_firing(id, &stopped).await.unwrap(), "stopped by whoever was first");
    assert!(tx.end_firing(id, now()).await.unwrap());
    tx.commit(event("policy.stopped")).await.unwrap();
    assert_eq!(store.open_firings().await.unwrap(), []);
    assert_eq!(store.firings(release).await.unwrap()[0].stopped, Some(stopped));
    assert_eq!(store.firings(ReleaseId(release.0 + 1)).await.unwrap(), []);

    let values = [(What::PodRestartRate, 0.25), (What::Query { name: "q".into(), query: "up".into() }, 3.0)];
    store.insert_policy_reading(release, now(), &values).await.unwrap();
    store.insert_policy_reading(release, now(), &values).await.unwrap();
    assert_eq!(store.policy_readings(release, 10).await.unwrap(), [(now(), values.to_vec())]);
}

#[tokio::test]
async fn a_breaker_counts_what_tidegate_turned_back_since_somebody_looked() {
    let db = database().await;
    let store = &db.store;
    let release = started(store, "checkout").await;
    let count = async |since| store.turned_back_by_itself(&key("checkout"), since).await.unwrap().len();
    let hour = now() - TimeDelta::hours(1);
    assert_eq!(count(hour).await, 0);
    let mut tx = store.begin().await.unwrap();
    let (mut turned, _) = tx.lock_release(release).await.unwrap();
    turned.turned_back = Some(now());
    turned.by_itself = true;
    tx.put_release(&turned, None).await.unwrap();
    tx.commit(event("release.turned-back")).await.unwrap();
    assert_eq!((count(hour).await, count(now() + TimeDelta::seconds(1)).await), (1, 0));
    assert_eq!(store.turned_back_by_itself(&key("other"), hour).await.unwrap(), []);
    let mut tx = store.begin().await.unwrap();
    tx.lift_breaker(&key("checkout"), "mara", now()).await.unwrap();
    tx.commit(event("service.breaker.lifted")).await.unwrap();
    assert_eq!(count(hour).await, 0, "a person has looked");
}

/// A service has one matter at a time, and the next one only after it.
#[tokio::test]
async fn a_service_has_one_firing_at_a_time_and_one_who_acts() {
    let db = database().await;
    let store = &db.store;
    let file = recorded(store, &file(Some(TEXT), &[]), None).await.unwrap();
    let at = ServiceAt {
        workload: key("checkout"),
        service: "checkout".into(),
        environment: "production".into(),
        version: "1.1.0".into(),
        hash: "bbb".into(),
    };
    let (on, fired) = (FiredOn::Service(Box::new(at)), fired());
    let new = NewFiring { on: &on, file, policy: "default", fired: &fired };
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_firing(&new).await.unwrap().unwrap();
    tx.commit(event("policy.fired")).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.insert_firing(&new).await.unwrap(), None);
    assert!(tx.claim_firing(id).await.unwrap());
    let mut other = store.begin().await.unwrap();
    assert!(!other.claim_firing(id).await.unwrap(), "while somebody acts nobody else does");
    drop(other);
    let open = store.open_firings().await.unwrap();
    assert_eq!((open.len(), &open[0].on, open[0].id), (1, &on, id));
    assert!(tx.end_firing(id, now()).await.unwrap());
    tx.commit(event("policy.ended")).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let next = tx.insert_firing(&new).await.unwrap().unwrap();
    tx.commit(event("policy.fired")).await.unwrap();
    let newest = store.service_firings(&key("checkout")).await.unwrap();
    assert_eq!(newest.iter().map(|f| f.id).collect::<Vec<_>>(), [next]);
    assert_eq!(store.service_firings(&key("web")).await.unwrap(), []);
}
