//! The record of known-good versions: what a rollback leads to.

use crate::fixture::{DEADLINE, event, key, now, started};
use crate::listen::next;
use chrono::TimeDelta;
use model::known_good::{Came, Record};
use model::release::KnownGood;
use model::workload::Key;
use serde_json::json;
use store::test_support::database;
use store::{Error, NewKnownGood, Notice, Store};

fn good(hash: &str) -> KnownGood {
    KnownGood {
        config: Vec::new(),
        template: json!({"spec": {"containers": [{"name": "app", "image": format!("checkout:{hash}")}]}}),
        steps: Some(json!([{"setWeight": 20}])),
        hash: hash.to_owned(),
        images: [("app".to_owned(), format!("checkout:{hash}"))].into(),
        revision: Some(7),
        blue_green: None,
    }
}

async fn recorded(store: &Store, key: &Key, hash: &str, came: &Came) -> Record {
    let good = good(hash);
    let mut tx = store.begin().await.unwrap();
    let new = NewKnownGood { key, good: &good, came, release: None, at: now() };
    let record = tx.insert_known_good(&new).await.unwrap();
    tx.commit(event("workload.known-good")).await.unwrap();
    record
}

#[tokio::test]
async fn the_newest_records_of_each_workload_come_back_in_order() {
    let db = database().await;
    let (checkout, search, none) = (key("checkout"), key("search"), key("none"));
    let back = Came::Back { from: Some("c".into()) };
    let unnamed = Came::Back { from: None };
    let mut of_checkout = Vec::new();
    for (hash, came) in [("a", &Came::Forward), ("b", &Came::Restarted), ("b", &back), ("a", &unnamed)] {
        of_checkout.push(recorded(&db.store, &checkout, hash, came).await);
        recorded(&db.store, &search, "s", &Came::Forward).await;
    }
    let keys = [none.clone(), checkout.clone(), search];
    let found = db.store.known_good_records(&keys, 100).await.unwrap();
    let lengths: Vec<_> = found.iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 4, 4]);
    assert_eq!(found[1], of_checkout);
    let newest = db.store.known_good_records(&keys, 2).await.unwrap();
    assert_eq!(newest[1], of_checkout[2..]);
    assert_eq!(db.store.known_good_records(&[], 2).await.unwrap(), Vec::<Vec<Record>>::new());

    let ids = [of_checkout[0].id, of_checkout[1].id, -1];
    let documents = db.store.known_good_documents(&ids).await.unwrap();
    assert_eq!(documents.len(), 2);
    let read: KnownGood = serde_json::from_str(&documents[&of_checkout[1].id]).unwrap();
    assert_eq!(read, good("b"));
}

#[tokio::test]
async fn a_hundred_versions_are_recorded_with_one_event_and_announced_each() {
    let db = database().await;
    let mut heard = db.store.listen();
    assert_eq!(next(&mut heard).await, Notice::Gap);
    let before = db.store.audit_size().await.unwrap();
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.known_good_turn().await.unwrap());
    for n in 0..100 {
        let (key, good) = (key(&format!("w{n}")), good("a"));
        let new = NewKnownGood { key: &key, good: &good, came: &Came::Forward, release: None, at: now() };
        assert!(tx.insert_known_good_after(&new, None).await.unwrap().is_some());
    }
    tx.commit(event("workload.known-good")).await.unwrap();
    assert_eq!(db.store.audit_size().await.unwrap(), before + 1);
    let mut topics = std::collections::BTreeSet::new();
    while topics.len() < 101 {
        if let Notice::Topic { topic, .. } = next(&mut heard).await {
            topics.insert(topic);
        }
    }
    assert!(topics.contains("known-good:demo/shop/Rollout/w99"), "{topics:?}");
    assert!(db.store.verify().await.unwrap().ok);
}

#[tokio::test]
async fn what_was_recorded_meanwhile_is_not_recorded_over() {
    let db = database().await;
    let key = key("checkout");
    let first = recorded(&db.store, &key, "a", &Came::Forward).await;
    let (b, came) = (good("b"), Came::Forward);
    let new = NewKnownGood { key: &key, good: &b, came: &came, release: None, at: now() };
    // Both have read the first record; only one writes the second.
    for wins in [true, false] {
        let mut tx = db.store.begin().await.unwrap();
        assert!(tx.known_good_turn().await.unwrap());
        let second = tx.insert_known_good_after(&new, Some(first.id)).await.unwrap();
        assert_eq!(second.is_some(), wins);
        if wins {
            tx.commit(event("workload.known-good")).await.unwrap();
        }
    }
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(tx.insert_known_good_after(&new, None).await.unwrap(), None, "a first one there is");
    drop(tx);
    assert_eq!(db.store.known_good_records(&[key], 9).await.unwrap()[0].len(), 2);
}

#[tokio::test]
async fn one_replica_at_a_time_records_and_the_others_do_not_wait() {
    let db = database().await;
    let mut one = db.store.begin().await.unwrap();
    assert!(one.known_good_turn().await.unwrap());
    let mut other = db.store.begin().await.unwrap();
    let asked = tokio::time::timeout(DEADLINE, other.known_good_turn()).await.unwrap();
    assert!(!asked.unwrap());
    one.commit(event("thing.done")).await.unwrap();
    assert!(other.known_good_turn().await.unwrap());
}

#[tokio::test]
async fn a_record_names_its_release_and_nothing_that_was_left_without_a_rollback() {
    let db = database().await;
    let release = started(&db.store, "checkout").await;
    let (key, good) = (key("checkout"), good("a"));
    let came = Came::Back { from: Some("b".into()) };
    let at = now() - TimeDelta::minutes(5);
    let new = NewKnownGood { key: &key, good: &good, came: &came, release: Some(release), at };
    let mut tx = db.store.begin().await.unwrap();
    let record = tx.insert_known_good(&new).await.unwrap();
    tx.commit(event("rollback.accepted")).await.unwrap();
    assert_eq!(db.store.known_good_records(std::slice::from_ref(&key), 9).await.unwrap(), [[record]]);
    let mut tx = db.store.begin().await.unwrap();
    let unknown = NewKnownGood { release: Some(model::ReleaseId(99)), ..new };
    assert!(matches!(tx.insert_known_good(&unknown).await, Err(Error::NotFound("release"))));
    let deed = "insert into known_good (cluster, namespace, kind, name, document, at, left_hash)
                values ('c', 'n', 'Rollout', 'w', '{\"hash\": \"a\"}', now(), 'b')";
    assert_eq!(crate::fixture::code(crate::fixture::as_owner(&db, deed).await), "23514");
}
