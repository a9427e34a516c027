//! What tests begin with.

use chrono::{DateTime, TimeDelta, Utc};
use model::audit::NewEvent;
use model::plan::Plan;
use model::release::Release;
use model::role::Via;
use model::workload::{Key, Kind};
use model::{Actor, Digest, Grant, PersonId, PlanId, ReleaseId, Role};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::time::Duration;
use store::test_support::TestDb;
use store::{Decision, NewApproval, NewPerson, Store};

/// Longer than anything here takes, shorter than anybody's patience.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00.123456Z".parse().unwrap()
}

pub(crate) fn event(action: &str) -> NewEvent {
    NewEvent::new(now(), &Actor::system("test"), action, format!("{action} was done."))
}

pub(crate) fn plan(name: &str, tag: &str) -> Plan {
    serde_json::from_value(json!({
        "apiVersion": "tidegate.dev/v1",
        "kind": "Plan",
        "metadata": {"name": name, "service": "checkout", "environment": "production"},
        "spec": {
            "change": {"images": {"app": format!("registry.example.com/checkout:{tag}")}},
            "strategy": {"canary": {"steps": [
                {"weight": 5, "bake": "2m", "gates": ["analysis"]},
                {"weight": 25, "bake": "5m", "gates": ["analysis", {"approval": "on-call"}]},
                {"weight": 100},
            ]}},
            "analysis": {"maxErrorPercent": 1.0, "maxP95Ratio": 1.3000000000000003},
            "approvals": {"required": 1, "from": ["approver"], "expire": "24h"},
        },
    }))
    .unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    Key { cluster: "demo".into(), namespace: "shop".into(), kind: Kind::Rollout, name: name.into() }
}

pub(crate) fn release(plan: PlanId, digest: &Digest, key: &Key) -> Release {
    serde_json::from_value(json!({
        "id": 0, "plan": plan, "plan_version": 1, "digest": digest,
        "service": "checkout", "environment": "production", "workload": key,
        "images": {"app": "registry.example.com/checkout:1.42.0"},
        "state": "queued", "course": "forward", "reason": null,
        "known_good": {
            "template": {"metadata": {"labels": {"app": "checkout"}}, "spec": {"z": 1.0, "a": 12345678901234567890u64}},
            "steps": [{"setWeight": 20}, {"pause": {}}], "hash": "6d4b75cb6d",
            "images": {"app": "registry.example.com/checkout:1.41.3"}, "revision": 41,
        },
        "canary_hash": null, "step": null, "step_since": null, "baked": "0s", "passed": [],
        "opened": {"1": "Olivia"}, "waived": {}, "hold": null, "verdict": null, "attempt": null, "attempts": 0,
        "started_by": "Mara", "created": "2026-03-01T12:00:00.123456789Z", "started": null, "ended": null,
        "note": null,
    }))
    .unwrap()
}

/// Makes an account and says who acts with it.
pub(crate) async fn person(store: &Store, name: &str) -> Actor {
    let new = NewPerson {
        email: format!("{name}@example.com"),
        name: name.to_owned(),
        password_hash: None,
        grants: vec![Grant { role: Role::Approver, environment: None }],
    };
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_person(&new, now()).await.unwrap();
    tx.commit(event("person.added")).await.unwrap();
    Actor { person: Some(id), name: name.to_owned(), grants: new.grants, via: Via::Browser }
}

pub(crate) fn id(actor: &Actor) -> PersonId {
    actor.person.unwrap()
}

/// Writes a plan by `author` at version 1.
pub(crate) async fn planned(store: &Store, name: &str, author: &Actor) -> (PlanId, Digest) {
    let plan = plan(name, "1.42.0");
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_plan(&plan, &plan.digest(), author, now()).await.unwrap();
    tx.commit(event("plan.created")).await.unwrap();
    (id, plan.digest())
}

/// Edits a plan so that it brings `tag`; its digest.
pub(crate) async fn edited(store: &Store, id: PlanId, expected: i32, tag: &str, author: &Actor) -> Digest {
    let name = store.plan(id).await.unwrap().name;
    let plan = plan(&name, tag);
    let mut tx = store.begin().await.unwrap();
    tx.insert_plan_version(id, expected, &plan, &plan.digest(), author, now()).await.unwrap();
    tx.commit(event("plan.edited")).await.unwrap();
    plan.digest()
}

pub(crate) fn approval(plan: PlanId, version: i32, digest: &Digest, by: &Actor) -> NewApproval {
    NewApproval {
        plan,
        version,
        digest: digest.clone(),
        person: id(by),
        name: by.name.clone(),
        decision: Decision::Approved,
        comment: None,
        at: now(),
        expires: now() + TimeDelta::hours(24),
    }
}

pub(crate) async fn approved(store: &Store, plan: PlanId, version: i32, digest: &Digest, by: &Actor) {
    let mut tx = store.begin().await.unwrap();
    tx.put_approval(&approval(plan, version, digest, by)).await.unwrap();
    tx.commit(event("plan.approved")).await.unwrap();
}

/// Starts a release of a plan of its own on the workload `name`.
pub(crate) async fn started(store: &Store, name: &str) -> ReleaseId {
    let author = Actor::system("test");
    let (plan, digest) = planned(store, name, &author).await;
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_release(&release(plan, &digest, &key(name))).await.unwrap();
    tx.commit(event("release.started")).await.unwrap();
    id
}

pub(crate) async fn owner(db: &TestDb) -> PgConnection {
    PgConnection::connect(&db.owner_url).await.unwrap()
}

/// Runs statements as the owner, one after another.
pub(crate) async fn as_owner(db: &TestDb, sql: &str) -> sqlx::Result<()> {
    owner(db).await.execute(sql).await.map(drop)
}

/// SQLSTATE of a refusal.
pub(crate) fn code(refused: sqlx::Result<impl std::fmt::Debug>) -> String {
    refused.unwrap_err().into_database_error().unwrap().code().unwrap().into_owned()
}
