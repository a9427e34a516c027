//! The database refuses by itself what the types already forbid.

use crate::fixture::{as_owner, code, event, id, key, now, owner, person, started};
use chrono::TimeDelta;
use model::conductor::Effect;
use model::{AttemptId, ReleaseId};
use sqlx::Executor as _;
use store::test_support::database;
use store::{NewToken, Store, migrate};

/// Tables that the application writes without an event: coordination, evidence, sessions, the chain itself.
/// Whatever else it may write is state.
const NOT_STATE: &[&str] = &[
    "public.audit_events",
    "public.known_good_config",
    "public.leases",
    "public.notifications",
    "public.policy_readings",
    "public.release_analyses",
    "public.release_measurements",
    "public.samples",
    "public.sign_in_attempts",
    "public.verdicts",
    "tower_sessions.session",
];

const STATE: &[&str] = &[
    "public.approvals",
    "public.attempts",
    "public.breaker_lifts",
    "public.destinations",
    "public.flag_changes",
    "public.flag_files",
    "public.flag_keys",
    "public.flag_kills",
    "public.incident_entries",
    "public.incidents",
    "public.journal_merged",
    "public.known_good",
    "public.people",
    "public.plan_versions",
    "public.plans",
    "public.policy_actions",
    "public.policy_files",
    "public.policy_firings",
    "public.rehearsals",
    "public.releases",
    "public.tokens",
];

#[tokio::test]
async fn every_table_the_application_writes_is_state_or_known_not_to_be() {
    let db = database().await;
    let writable: Vec<(String,)> = sqlx::query_as(
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
           and (has_table_privilege('tidegate_app', c.oid, 'insert')
             or has_table_privilege('tidegate_app', c.oid, 'update')
             or has_table_privilege('tidegate_app', c.oid, 'delete')) order by 1",
    )
    .fetch_all(&mut owner(&db).await)
    .await
    .unwrap();
    let mut known: Vec<&str> = NOT_STATE.iter().chain(STATE).copied().collect();
    known.sort_unstable();
    let writable: Vec<String> = writable.into_iter().map(|(name,)| name).collect();
    assert_eq!(writable, known);
}

/// A row in each table that holds state, so that there is something to write.
async fn filled(store: &Store) -> ReleaseId {
    let author = person(store, "mara").await;
    let approver = person(store, "ada").await;
    let release = started(store, "checkout").await;
    let (plan, digest) = crate::fixture::planned(store, "other", &author).await;
    crate::fixture::approved(store, plan, 1, &digest, &approver).await;
    let rehearsal = crate::rehearsals::rehearsal();
    let attempt = AttemptId("r1-1".into());
    let token = NewToken {
        hash: "0".repeat(64),
        name: "ci".into(),
        person: Some(id(&author)),
        grants: vec![],
        expires: now() + TimeDelta::days(1),
    };
    let mut tx = store.begin().await.unwrap();
    let good = tx.lock_release(release).await.unwrap().0.known_good;
    tx.begin_attempt(&attempt, release, &Effect::Deploy, now()).await.unwrap();
    tx.put_known_good(&key("checkout"), &good, Some(release), now()).await.unwrap();
    assert!(tx.journal_merged(&attempt).await.unwrap());
    tx.insert_token(&token, now()).await.unwrap();
    tx.insert_rehearsal(plan, 1, &digest, &rehearsal).await.unwrap();
    tx.insert_destination(&crate::notify::webhook("board", None), now()).await.unwrap();
    let incident = tx.open_incident(&crate::incidents::new()).await.unwrap();
    tx.insert_incident_entry(incident, &crate::incidents::note("Seen.")).await.unwrap();
    crate::policies::fill(&mut tx, release).await;
    crate::flags::fill(&mut tx).await;
    tx.commit(event("everything.written")).await.unwrap();
    release
}

#[tokio::test]
async fn every_table_with_state_has_no_write_path_without_an_event() {
    let db = database().await;
    filled(&db.store).await;
    let before = db.store.audit_size().await.unwrap();
    for table in STATE {
        let (column,): (String,) = sqlx::query_as(
            "select quote_ident(attname) from pg_attribute
             where attrelid = $1::regclass and attnum > 0 and attgenerated = '' and attidentity = '' limit 1",
        )
        .bind(table)
        .fetch_one(&mut owner(&db).await)
        .await
        .unwrap();
        // As the owner, whom privileges do not stop, and even as one who postpones what can be postponed.
        for deed in [
            format!("update {table} set {column} = {column}"),
            format!("begin; update {table} set {column} = {column}; set constraints all deferred; commit"),
        ] {
            let refused = as_owner(&db, &deed).await;
            let text = refused.as_ref().unwrap_err().to_string();
            assert!(text.contains("without an audit event"), "{deed}: {text}");
            assert_eq!(code(refused), "23000");
        }
    }
    // Deletes and inserts alike, where nothing else forbids them.
    for deed in [
        "delete from journal_merged",
        "delete from tokens",
        "insert into journal_merged (attempt) values ('x')",
        "insert into people (email, name, grants, created) values ('x', 'x', '[]', now())",
    ] {
        assert_eq!(code(as_owner(&db, deed).await), "23000", "{deed}");
    }
    assert_eq!(db.store.audit_size().await.unwrap(), before);
}

#[tokio::test]
async fn the_event_of_one_transaction_does_not_serve_another() {
    let db = database().await;
    filled(&db.store).await;
    let refused = db.store.pool().execute("update people set name = 'Mallory'").await;
    assert_eq!(code(refused), "23000");
}

#[tokio::test]
async fn the_application_creates_and_drops_nothing() {
    let db = database().await;
    for deed in [
        "create table x (id bigint)",
        "create schema x",
        "drop table plans",
        "alter table plans add column x text",
        "create table tower_sessions.x (id bigint)",
        "delete from plans",
        "delete from releases",
        "update plan_versions set document = '{}'",
        "truncate people",
        "select * from _sqlx_migrations",
    ] {
        assert_eq!(code(db.store.pool().execute(deed).await), "42501", "{deed}");
    }
}

#[tokio::test]
async fn sessions_are_kept_without_the_right_to_create() {
    let db = database().await;
    let pool = db.store.pool();
    // The statements of tower-sessions-sqlx-store.
    let save = r#"insert into "tower_sessions"."session" (id, data, expiry_date) values ($1, $2, $3)
        on conflict (id) do update set data = excluded.data, expiry_date = excluded.expiry_date"#;
    for data in [vec![1_u8], vec![2]] {
        sqlx::query(save).bind("s").bind(data).bind(now()).execute(pool).await.unwrap();
    }
    let load = r#"select data from "tower_sessions"."session" where id = $1 and expiry_date > $2"#;
    let earlier = now() - TimeDelta::seconds(1);
    let found: (Vec<u8>,) = sqlx::query_as(load).bind("s").bind(earlier).fetch_one(pool).await.unwrap();
    assert_eq!(found.0, [2]);
    let expired = r#"delete from "tower_sessions"."session" where expiry_date < (now() at time zone 'utc')"#;
    assert!(sqlx::query(expired).execute(pool).await.is_ok());
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is() {
    let db = database().await;
    let silent: Vec<(String,)> = sqlx::query_as(
        "select c.oid::regclass || coalesce('.' || a.attname, '')
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
              join lateral (select null::name as attname, 0 as attnum union all
                            select attname, attnum from pg_attribute
                            where attrelid = c.oid and attnum > 0 and not attisdropped) a on true
         where c.relkind = 'r' and n.nspname in ('public', 'tower_sessions') and c.relname <> '_sqlx_migrations'
           and col_description(c.oid, a.attnum) is null and (a.attnum > 0 or obj_description(c.oid) is null)",
    )
    .fetch_all(&mut owner(&db).await)
    .await
    .unwrap();
    assert_eq!(silent, []);
}

#[tokio::test]
async fn a_migration_may_run_again_and_at_the_same_time() {
    let db = database().await;
    as_owner(&db, "drop schema public cascade; drop schema tower_sessions cascade; create schema public")
        .await
        .unwrap();
    let all = (0..4).map(|_| {
        let url = db.owner_url.clone();
        tokio::spawn(async move { migrate(&url).await })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    filled(&db.store).await;
}

#[tokio::test]
async fn an_owner_who_is_no_superuser_can_migrate() {
    let db = database().await;
    let name = format!("tg_owner_{}", std::process::id());
    let (database,): (String,) =
        sqlx::query_as("select current_database()::text").fetch_one(&mut owner(&db).await).await.unwrap();
    as_owner(
        &db,
        &format!(
            "drop schema public cascade; drop schema tower_sessions cascade;
         create role {name} login createrole password 'x';
         alter database {database} owner to {name}; grant tidegate_app to {name} with admin option"
        ),
    )
    .await
    .unwrap();
    as_owner(&db, &format!("create schema public authorization {name}")).await.unwrap();
    use sqlx::ConnectOptions as _;
    let options: sqlx::postgres::PgConnectOptions = db.owner_url.parse().unwrap();
    let url = options.username(&name).password("x").to_url_lossy().to_string();
    migrate(&url).await.unwrap();
    // The same login serves, as the application's role.
    let store = Store::connect(&url).await.unwrap();
    filled(&store).await;
    assert_eq!(code(store.pool().execute("delete from audit_events").await), "42501");
    store.pool().close().await;
    as_owner(&db, &format!("alter database {database} owner to current_user; reassign owned by {name} to current_user; drop owned by {name}; drop role {name}")).await.unwrap();
}
