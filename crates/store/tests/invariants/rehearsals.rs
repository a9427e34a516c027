use crate::fixture::{code, edited, event, key, now, planned};
use chrono::TimeDelta;
use model::rehearsal::{Check, Rehearsal, WayBack};
use model::rollback::Pace;
use model::{Actor, Digest, PlanId};
use sqlx::Executor as _;
use store::test_support::database;
use store::{Error, Store};

pub(crate) fn rehearsal() -> Rehearsal {
    Rehearsal {
        at: now(),
        took_ms: 48,
        workload: key("checkout"),
        way: Some(WayBack {
            hash: "6d4b75cb6d".into(),
            version: "1.41.3".into(),
            revision: Some(41),
            pace: Pace::Seconds,
            promoted: Pace::PodStart,
        }),
        checks: vec![Check::passed("Revert", "The API server would take it (6 ms).")],
        findings: vec!["In flight, the pods of 1.41.3 keep running.".into()],
    }
}

async fn kept(
    store: &Store,
    plan: PlanId,
    version: i32,
    digest: &Digest,
    r: &Rehearsal,
) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    tx.insert_rehearsal(plan, version, digest, r).await?;
    tx.commit(event("plan.rehearsed")).await.map(drop)
}

#[tokio::test]
async fn the_last_rehearsal_of_exactly_this_version_is_found() {
    let db = database().await;
    let store = &db.store;
    let author = Actor::system("test");
    let (plan, first) = planned(store, "a", &author).await;
    assert_eq!(store.rehearsal(plan, 1).await.unwrap(), None);
    kept(store, plan, 1, &first, &rehearsal()).await.unwrap();
    assert_eq!(store.rehearsal(plan, 1).await.unwrap(), Some(rehearsal()));
    // One that failed later counts, though it passed before.
    let mut failed = rehearsal();
    failed.at += TimeDelta::minutes(1);
    failed.checks[0] = Check::failed("Revert", "Not allowed.");
    kept(store, plan, 1, &first, &failed).await.unwrap();
    assert_eq!(store.rehearsal(plan, 1).await.unwrap(), Some(failed));
    // An edit begins anew, also an edit back to the same content.
    let second = edited(store, plan, 1, "1.42.1", &author).await;
    assert_eq!(edited(store, plan, 2, "1.42.0", &author).await, first);
    assert_eq!(store.rehearsal(plan, 2).await.unwrap(), None);
    assert_eq!(store.rehearsal(plan, 3).await.unwrap(), None);
    let other = kept(store, plan, 1, &second, &rehearsal()).await;
    assert!(matches!(other, Err(Error::NotFound(_))), "{other:?}");
}

#[tokio::test]
async fn a_rehearsal_is_written_once() {
    let db = database().await;
    let (plan, digest) = planned(&db.store, "a", &Actor::system("test")).await;
    kept(&db.store, plan, 1, &digest, &rehearsal()).await.unwrap();
    for deed in ["update rehearsals set passed = true", "delete from rehearsals"] {
        assert_eq!(code(db.store.pool().execute(deed).await), "42501", "{deed}");
    }
}
