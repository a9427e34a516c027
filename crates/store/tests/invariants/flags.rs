use crate::fixture::{event, now};
use model::{Book, Digest};
use store::test_support::database;
use store::{Decided, Error, FlagChangeEnd, NewFile, NewFlagChange, NewFlagKey, NewFlagKill, Revived, Tx};

const KILL: NewFlagKill<'static> = NewFlagKill {
    cluster: "main",
    namespace: "shop",
    flag: "checkout-new-tax",
    at: chrono::DateTime::UNIX_EPOCH,
    by: "ann",
    reason: "checkout fails",
    text: "checkout-new-tax: {enabled: false}\n",
};

fn key(hash: &str, stream: &str) -> NewFlagKey {
    NewFlagKey {
        hash: hash.into(),
        stream: stream.into(),
        name: "checkout".into(),
        cluster: "main".into(),
        namespace: "shop".into(),
        environment: Some("production".into()),
        created_by: "ann".into(),
    }
}

/// A row in each table.
pub(crate) async fn fill(tx: &mut Tx) {
    let file = NewFile {
        cluster: "main",
        namespace: "shop",
        at: now(),
        text: Some(KILL.text),
        faults: &[],
        by: "kubectl-edit",
        outside: true,
    };
    tx.record_file(Book::Flags, &file, None).await.unwrap().unwrap();
    tx.insert_flag_kill(&KILL).await.unwrap().unwrap();
    tx.insert_flag_key(&key("0", "s"), now()).await.unwrap();
    tx.insert_flag_change(&change(&Digest("sha256:0".into()))).await.unwrap().unwrap();
}

fn change(digest: &Digest) -> NewFlagChange<'_> {
    NewFlagChange {
        cluster: "main",
        namespace: "shop",
        flag: "checkout-new-tax",
        at: now(),
        person: None,
        by: "ann",
        reason: None,
        before: "",
        after: "checkout-new-tax: {enabled: true, percentage: 5}",
        why: &[],
        digest,
    }
}

#[tokio::test]
async fn one_change_of_a_flag_waits_and_ends_once() {
    let db = database().await;
    let digest = Digest("sha256:0".into());
    let new = change(&digest);
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.insert_flag_change(&new).await.unwrap().unwrap();
    assert_eq!(tx.insert_flag_change(&new).await.unwrap(), None, "one waits already");
    tx.commit(event("flag.change.asked")).await.unwrap();
    let decided = Decided { at: now(), by: "ada".into(), comment: None };
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.end_flag_change(id, FlagChangeEnd::Applied, &decided).await.unwrap());
    assert!(!tx.end_flag_change(id, FlagChangeEnd::Rejected, &decided).await.unwrap());
    tx.commit(event("flag.change.applied")).await.unwrap();
    assert!(db.store.open_flag_changes().await.unwrap().is_empty());
    assert!(!db.store.flag_change(id).await.unwrap().open);
    let mut tx = db.store.begin().await.unwrap();
    tx.reopen_flag_change(id).await.unwrap();
    tx.commit(event("flag.change.refused")).await.unwrap();
    let open = db.store.open_flag_changes().await.unwrap();
    assert_eq!(open.iter().map(|c| (c.id, &c.digest)).collect::<Vec<_>>(), [(id, &digest)]);
}

#[tokio::test]
async fn a_flag_is_killed_once_and_revived_once_and_may_be_killed_again() {
    let db = database().await;
    let mut tx = db.store.begin().await.unwrap();
    let first = tx.insert_flag_kill(&KILL).await.unwrap().unwrap();
    assert_eq!(tx.insert_flag_kill(&NewFlagKill { by: "bob", ..KILL }).await.unwrap(), None);
    tx.commit(event("flag.killed")).await.unwrap();
    let open = db.store.flag_kills().await.unwrap();
    assert_eq!(
        open.iter().map(|k| (k.id, &*k.by, &*k.text)).collect::<Vec<_>>(),
        [(first, "ann", KILL.text)]
    );

    let revived = Revived { at: now(), by: "bob".into(), reason: "fixed".into() };
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.revive_flag(first, &revived).await.unwrap());
    assert!(!tx.revive_flag(first, &revived).await.unwrap(), "it is revived already");
    let second = tx.insert_flag_kill(&KILL).await.unwrap().unwrap();
    tx.commit(event("flag.revived")).await.unwrap();
    assert_eq!(db.store.flag_kills().await.unwrap().iter().map(|k| k.id).collect::<Vec<_>>(), [second]);
}

#[tokio::test]
async fn a_key_is_kept_by_its_hash_and_withdrawn_once() {
    let db = database().await;
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.insert_flag_key(&key("a", "s"), now()).await.unwrap();
    tx.commit(event("flag-key.issued")).await.unwrap();
    let known = db.store.flag_keys().await.unwrap();
    assert_eq!((known.len(), &*known[0].hash, known[0].revoked), (1, "a", None));
    let mut tx = db.store.begin().await.unwrap();
    tx.revoke_flag_key(id, now()).await.unwrap();
    assert!(matches!(tx.revoke_flag_key(id, now()).await, Err(Error::NotFound(_))));
    tx.commit(event("flag-key.revoked")).await.unwrap();
    assert!(db.store.flag_keys().await.unwrap()[0].revoked.is_some());
    let mut tx = db.store.begin().await.unwrap();
    let again = tx.insert_flag_key(&key("a", "t"), now()).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
}
