use crate::fixture::{approval, approved, as_owner, edited, event, id, now, person, plan, planned};
use chrono::TimeDelta;
use model::{Actor, Digest, PlanId};
use store::test_support::database;
use store::{Decision, Error, NewApproval, Store};

async fn valid(store: &Store, plan: PlanId, digest: &Digest) -> usize {
    let outside = store.valid_approvals(plan, digest, now()).await.unwrap();
    let inside = store.begin().await.unwrap().valid_approvals(plan, digest, now()).await.unwrap();
    assert_eq!(outside, inside);
    outside.len()
}

#[tokio::test]
async fn a_plan_comes_back_as_it_was_written() {
    let db = database().await;
    let author = person(&db.store, "mara").await;
    let (plan_id, digest) = planned(&db.store, "a", &author).await;
    let record = db.store.plan(plan_id).await.unwrap();
    assert_eq!(record.plan, plan("a", "1.42.0"));
    assert_eq!((record.version, &record.digest), (1, &digest));
    assert_eq!(record.plan.digest(), digest);
    assert_eq!((record.author, record.author_name.as_str()), (author.person, "mara"));
    assert_eq!((record.created, record.changed), (now(), now()));
    let second = edited(&db.store, plan_id, 1, "1.42.1", &Actor::system("test")).await;
    let versions = db.store.plan_versions(plan_id).await.unwrap();
    assert_eq!(versions.iter().map(|v| v.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(versions[0], db.store.plan(plan_id).await.unwrap());
    assert_eq!(versions[1], db.store.plan_version(plan_id, 1).await.unwrap());
    assert_eq!((&versions[0].digest, versions[0].author), (&second, None));
    assert_eq!(db.store.plans(10).await.unwrap(), versions[..1]);
    assert!(matches!(db.store.plan(PlanId(99)).await, Err(Error::NotFound("plan"))));
    assert!(matches!(db.store.plan_version(plan_id, 3).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn an_edit_voids_approvals() {
    let db = database().await;
    let (author, ada) = (person(&db.store, "mara").await, person(&db.store, "ada").await);
    let (plan_id, first) = planned(&db.store, "a", &author).await;
    approved(&db.store, plan_id, 1, &first, &ada).await;
    assert_eq!(valid(&db.store, plan_id, &first).await, 1);
    let second = edited(&db.store, plan_id, 1, "1.42.1", &author).await;
    assert_eq!(valid(&db.store, plan_id, &second).await, 0);
    // The history still shows it.
    let all = db.store.approvals(plan_id).await.unwrap();
    assert_eq!((all.len(), &all[0].digest, all[0].version), (1, &first, 1));
}

#[tokio::test]
async fn an_edit_back_to_the_same_content_voids_approvals_too() {
    let db = database().await;
    let (author, ada) = (person(&db.store, "mara").await, person(&db.store, "ada").await);
    let (plan_id, first) = planned(&db.store, "a", &author).await;
    approved(&db.store, plan_id, 1, &first, &ada).await;
    edited(&db.store, plan_id, 1, "1.42.1", &author).await;
    assert_eq!(edited(&db.store, plan_id, 2, "1.42.0", &author).await, first);
    assert_eq!(valid(&db.store, plan_id, &first).await, 0);
    approved(&db.store, plan_id, 3, &first, &ada).await;
    assert_eq!(valid(&db.store, plan_id, &first).await, 1);
}

#[tokio::test]
async fn an_authors_approval_never_counts() {
    let db = database().await;
    let (mara, ada) = (person(&db.store, "mara").await, person(&db.store, "ada").await);
    let (plan_id, first) = planned(&db.store, "a", &mara).await;
    approved(&db.store, plan_id, 1, &first, &mara).await;
    assert_eq!(valid(&db.store, plan_id, &first).await, 0);
    // Nor after a colleague's edit.
    let second = edited(&db.store, plan_id, 1, "1.42.1", &ada).await;
    approved(&db.store, plan_id, 2, &second, &mara).await;
    approved(&db.store, plan_id, 2, &second, &ada).await;
    assert_eq!(valid(&db.store, plan_id, &second).await, 0);
}

#[tokio::test]
async fn rejected_revoked_and_expired_approvals_never_count() {
    let db = database().await;
    let (mara, ada) = (person(&db.store, "mara").await, person(&db.store, "ada").await);
    let (plan_id, digest) = planned(&db.store, "a", &mara).await;

    let yes = approval(plan_id, 1, &digest, &ada);
    let put = async |a: NewApproval| {
        let mut tx = db.store.begin().await.unwrap();
        tx.put_approval(&a).await.unwrap();
        tx.commit(event("plan.decided")).await.unwrap();
    };
    put(NewApproval { decision: Decision::Rejected, comment: Some("no".into()), ..yes.clone() }).await;
    assert_eq!(valid(&db.store, plan_id, &digest).await, 0);
    put(NewApproval { expires: now(), ..yes.clone() }).await;
    assert_eq!(valid(&db.store, plan_id, &digest).await, 0);
    put(NewApproval { expires: now() + TimeDelta::microseconds(1), ..yes.clone() }).await;
    assert_eq!(valid(&db.store, plan_id, &digest).await, 1);

    let mut tx = db.store.begin().await.unwrap();
    tx.revoke_approval(plan_id, id(&ada), now()).await.unwrap();
    assert_eq!(tx.valid_approvals(plan_id, &digest, now()).await.unwrap(), []);
    tx.commit(event("plan.revoked")).await.unwrap();
    assert_eq!(valid(&db.store, plan_id, &digest).await, 0);
    assert_eq!(db.store.approvals(plan_id).await.unwrap()[0].revoked, Some(now()));
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.revoke_approval(plan_id, id(&ada), now()).await, Err(Error::NotFound(_))));

    put(yes).await;
    assert_eq!(valid(&db.store, plan_id, &digest).await, 1, "approved anew");
    assert_eq!(db.store.approvals(plan_id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_the_newest_version_can_be_approved_and_only_by_its_digest() {
    let db = database().await;
    let (mara, ada) = (person(&db.store, "mara").await, person(&db.store, "ada").await);
    let (plan_id, first) = planned(&db.store, "a", &mara).await;
    let second = edited(&db.store, plan_id, 1, "1.42.1", &mara).await;
    approved(&db.store, plan_id, 2, &second, &ada).await;
    for (version, digest) in [(1, &first), (2, &first), (3, &second), (1, &second)] {
        let mut tx = db.store.begin().await.unwrap();
        let refused = tx.put_approval(&approval(plan_id, version, digest, &ada)).await;
        assert!(matches!(refused, Err(Error::Conflict(_))), "{version} {digest}");
        assert!(tx.commit(event("plan.approved")).await.is_err(), "a refused transaction is not committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_edits_one_wins() {
    let db = database().await;
    let author = person(&db.store, "mara").await;
    let (plan_id, _) = planned(&db.store, "a", &author).await;
    let before = db.store.audit_size().await.unwrap();
    let edits: Vec<_> = (0..8)
        .map(|n| {
            let (store, author, plan) = (db.store.clone(), author.clone(), plan("a", &format!("2.0.{n}")));
            tokio::spawn(async move {
                let mut tx = store.begin().await?;
                tx.insert_plan_version(plan_id, 1, &plan, &plan.digest(), &author, now()).await?;
                tx.commit(event("plan.edited")).await
            })
        })
        .collect();
    let (mut won, mut lost) = (0, 0);
    for edit in edits {
        match edit.await.unwrap() {
            Ok(_) => won += 1,
            Err(Error::Conflict(words)) => {
                assert!(words.contains("edited meanwhile"), "{words}");
                lost += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((won, lost), (1, 7));
    assert_eq!(db.store.plan(plan_id).await.unwrap().version, 2);
    assert_eq!(db.store.audit_size().await.unwrap(), before + 1);
}

#[tokio::test]
async fn a_locked_plan_stays_as_it_is() {
    let db = database().await;
    let author = person(&db.store, "mara").await;
    let (plan_id, digest) = planned(&db.store, "a", &author).await;
    let mut tx = db.store.begin().await.unwrap();
    let locked = tx.lock_plan(plan_id).await.unwrap();
    assert_eq!((&locked.digest, &locked), (&digest, &db.store.plan_version(plan_id, 1).await.unwrap()));
    let (store, by) = (db.store.clone(), author.clone());
    let edit = tokio::spawn(async move { edited(&store, plan_id, 1, "9.9.9", &by).await });
    crate::leases::somebody_waits(&db).await;
    assert_eq!(db.store.plan(plan_id).await.unwrap().version, 1);
    tx.commit(event("plan.looked-at")).await.unwrap();
    edit.await.unwrap();
    assert_eq!(db.store.plan(plan_id).await.unwrap().version, 2);
}

#[tokio::test]
async fn names_and_digests_are_checked() {
    let db = database().await;
    let author = person(&db.store, "mara").await;
    planned(&db.store, "a", &author).await;
    let plan = plan("a", "2.0.0");
    let mut tx = db.store.begin().await.unwrap();
    match tx.insert_plan(&plan, &plan.digest(), &author, now()).await {
        Err(Error::Conflict(words)) => assert!(words.contains("Choose another name"), "{words}"),
        other => panic!("{other:?}"),
    }
    let mut tx = db.store.begin().await.unwrap();
    let wrong = Digest(format!("sha256:{}", "0".repeat(64)));
    let plan = crate::fixture::plan("b", "2.0.0");
    assert!(matches!(tx.insert_plan(&plan, &wrong, &author, now()).await, Err(Error::Corrupt(_))));
    assert!(tx.commit(event("plan.created")).await.is_err());
    assert_eq!(db.store.plans(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_text_that_cannot_be_stored_is_refused_with_words() {
    let db = database().await;
    let plan = plan("a\0b", "2.0.0");
    let mut tx = db.store.begin().await.unwrap();
    match tx.insert_plan(&plan, &plan.digest(), &Actor::system("test"), now()).await {
        Err(Error::Conflict(words)) => assert!(words.contains("Remove it"), "{words}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(db.store.person_by_email("\0").await, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn a_plan_changed_past_tidegate_does_not_run() {
    let db = database().await;
    let author = person(&db.store, "mara").await;
    let (plan_id, _) = planned(&db.store, "a", &author).await;
    let forge = "update plan_versions set document = replace(document, '1.42.0', '6.6.6')";
    assert!(as_owner(&db, forge).await.is_err(), "a constraint compares document and digest");
    let forge = format!(
        "alter table plan_versions drop constraint plan_versions_digest_fits, disable trigger all; {forge}"
    );
    as_owner(&db, &forge).await.unwrap();
    assert!(matches!(db.store.plan(plan_id).await, Err(Error::Corrupt(_))));
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.lock_plan(plan_id).await, Err(Error::Corrupt(_))));
}
