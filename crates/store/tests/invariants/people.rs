use crate::fixture::{event, id, now, person};
use chrono::TimeDelta;
use model::{AttemptId, Grant, PersonId, Role};
use store::test_support::database;
use store::{Error, NewPerson, NewToken};

fn new(email: &str) -> NewPerson {
    let grants = vec![
        Grant { role: Role::Administrator, environment: None },
        Grant { role: Role::OnCall, environment: Some("staging".into()) },
    ];
    NewPerson {
        email: email.into(),
        name: "Mara".into(),
        password_hash: Some("$argon2id$secret".into()),
        grants,
    }
}

#[tokio::test]
async fn a_person_is_found_by_address_in_any_case() {
    let db = database().await;
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.insert_person(&new("Mara@Example.com"), now()).await.unwrap();
    tx.commit(event("person.added")).await.unwrap();
    let found = db.store.person_by_email("mara@example.COM").await.unwrap().unwrap();
    assert_eq!((found.id, &found.grants), (id, &new("").grants));
    assert_eq!(db.store.person(id).await.unwrap(), found);
    assert!(!format!("{found:?}").contains("argon2"), "hashes stay out of logs");
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.insert_person(&new("MARA@example.com"), now()).await, Err(Error::Conflict(_))));
    assert!(db.store.person_by_email("x@example.com").await.unwrap().is_none());
    assert!(matches!(db.store.person(PersonId(99)).await, Err(Error::NotFound("person"))));
}

#[tokio::test]
async fn accounts_change_and_close() {
    let db = database().await;
    let mara = id(&person(&db.store, "mara").await);
    let mut tx = db.store.begin().await.unwrap();
    tx.set_password(mara, "$argon2id$other").await.unwrap();
    tx.set_grants(mara, &vec![]).await.unwrap();
    tx.set_disabled(mara, true, now()).await.unwrap();
    tx.commit(event("person.changed")).await.unwrap();
    let read = db.store.person(mara).await.unwrap();
    assert_eq!(read.password_hash.as_deref(), Some("$argon2id$other"));
    assert_eq!((read.grants.len(), read.disabled), (0, true));
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.set_password(PersonId(99), "x").await, Err(Error::NotFound(_))));
    assert!(tx.commit(event("person.changed")).await.is_err());
    assert_eq!(db.store.people().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_is_made_once() {
    let db = database().await;
    let tries: Vec<_> = (0..5)
        .map(|n| {
            let store = db.store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await?;
                tx.insert_first_person(&new(&format!("{n}@example.com")), now()).await?;
                tx.commit(event("person.added")).await
            })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            Err(Error::Conflict(words)) => assert!(words.contains("set up already"), "{words}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((made, db.store.count_people().await.unwrap()), (1, 1));
}

#[tokio::test]
async fn tokens_expire_and_are_revoked() {
    let db = database().await;
    let mara = id(&person(&db.store, "mara").await);
    let hash = "ab".repeat(32);
    let token = NewToken {
        hash: hash.clone(),
        name: "ci".into(),
        person: Some(mara),
        grants: new("").grants,
        expires: now() + TimeDelta::hours(1),
    };
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.insert_token(&token, now()).await.unwrap();
    tx.commit(event("token.issued")).await.unwrap();
    let read = db.store.token_by_hash(&hash).await.unwrap().unwrap();
    assert_eq!((read.id, read.person, &read.grants), (id, Some(mara), &token.grants));
    assert!(read.valid(now()) && !read.valid(now() + TimeDelta::hours(1)));
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.insert_token(&token, now()).await, Err(Error::Conflict(_))));
    let mut tx = db.store.begin().await.unwrap();
    tx.revoke_token(id, now()).await.unwrap();
    tx.commit(event("token.revoked")).await.unwrap();
    assert!(!db.store.token_by_hash(&hash).await.unwrap().unwrap().valid(now()));
    assert!(db.store.token_by_hash(&"cd".repeat(32)).await.unwrap().is_none());
    assert_eq!(db.store.tokens().await.unwrap().len(), 1);
}

#[tokio::test]
async fn sign_in_attempts_are_counted_and_forgotten() {
    let db = database().await;
    let s = &db.store;
    for minutes in [0, 1, 2] {
        s.record_sign_in_attempt("ip:192.0.2.1", now() + TimeDelta::minutes(minutes)).await.unwrap();
    }
    s.record_sign_in_attempt("mara@example.com", now()).await.unwrap();
    assert_eq!(s.sign_in_attempts("ip:192.0.2.1", now()).await.unwrap(), 2);
    assert_eq!(s.sign_in_attempts("ip:192.0.2.1", now() - TimeDelta::minutes(1)).await.unwrap(), 3);
    s.forget_sign_in_attempts("mara@example.com").await.unwrap();
    assert_eq!(s.sign_in_attempts("mara@example.com", now() - TimeDelta::days(9)).await.unwrap(), 0);
    s.record_sign_in_attempt("other", now() + TimeDelta::days(2)).await.unwrap();
    assert_eq!(
        s.sign_in_attempts("ip:192.0.2.1", now() - TimeDelta::days(9)).await.unwrap(),
        0,
        "too old to keep"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_entry_is_merged_once() {
    let db = database().await;
    let merge = || {
        let store = db.store.clone();
        tokio::spawn(async move {
            let mut tx = store.begin().await.unwrap();
            let first = tx.journal_merged(&AttemptId("w-1".into())).await.unwrap();
            if first {
                tx.commit(event("rollback.accepted")).await.unwrap();
            }
            first
        })
    };
    // One that is not committed does not count.
    assert!(db.store.begin().await.unwrap().journal_merged(&AttemptId("w-1".into())).await.unwrap());
    let mut merged = 0;
    for one in (0..5).map(|_| merge()).collect::<Vec<_>>() {
        merged += usize::from(one.await.unwrap());
    }
    assert_eq!((merged, db.store.audit_size().await.unwrap()), (1, 1));
}
