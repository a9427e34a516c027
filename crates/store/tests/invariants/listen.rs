use crate::fixture::{DEADLINE, as_owner, event};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::audit::NewEvent;
use model::{PlanId, ReleaseId, Seq};
use store::Notice;
use store::test_support::database;
use tokio::time::timeout;

pub(crate) async fn next(stream: &mut BoxStream<'static, Notice>) -> Notice {
    timeout(DEADLINE, stream.next()).await.unwrap().unwrap()
}

fn topic(topic: &str, seq: i64) -> Notice {
    Notice::Topic { topic: topic.into(), seq: Some(Seq(seq)) }
}

#[tokio::test]
async fn a_commit_is_announced_and_a_rollback_is_not() {
    let db = database().await;
    let mut heard = db.store.listen();
    assert_eq!(next(&mut heard).await, Notice::Gap, "listening from now on");
    let mut dropped = db.store.begin().await.unwrap();
    dropped.notify("never");
    drop(dropped);
    let mut tx = db.store.begin().await.unwrap();
    tx.notify("workloads");
    tx.notify("workloads");
    let e = NewEvent { plan: Some(PlanId(3)), release: Some(ReleaseId(4)), ..event("release.started") };
    tx.commit(e).await.unwrap();
    for name in ["audit", "plan:3", "release:4", "workloads"] {
        assert_eq!(next(&mut heard).await, topic(name, 1));
    }
    db.store.begin().await.unwrap().commit(event("thing.done")).await.unwrap();
    assert_eq!(next(&mut heard).await, topic("audit", 2));
}

#[tokio::test]
async fn a_lost_connection_is_a_gap() {
    let db = database().await;
    let mut heard = db.store.listen();
    assert_eq!(next(&mut heard).await, Notice::Gap);
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and application_name = 'tidegate listen'";
    as_owner(&db, kill).await.unwrap();
    assert_eq!(next(&mut heard).await, Notice::Gap);
    db.store.begin().await.unwrap().commit(event("thing.done")).await.unwrap();
    assert_eq!(next(&mut heard).await, topic("audit", 1));
}

#[tokio::test]
async fn words_that_are_not_ours_are_ignored() {
    let db = database().await;
    let mut heard = db.store.listen();
    assert_eq!(next(&mut heard).await, Notice::Gap);
    as_owner(&db, r#"notify tidegate, 'hello'; notify tidegate, '{"topic":"plans"}'"#).await.unwrap();
    assert_eq!(next(&mut heard).await, Notice::Topic { topic: "plans".into(), seq: None });
}
