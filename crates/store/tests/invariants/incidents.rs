use crate::fixture::{code, event, id, key, now, person, started};
use chrono::TimeDelta;
use model::incident::{Entry, Impact, Incident, NewIncident, Shown, State};
use model::policy::Severity;
use model::{Actor, Grant, IncidentId, ReleaseId, Role};
use sqlx::Executor as _;
use store::test_support::database;
use store::{Error, IncidentFilter, Store};

pub(crate) fn new() -> NewIncident {
    NewIncident {
        key: None,
        title: "checkout 1.42.0 fails".into(),
        severity: Severity::High,
        impact: "Payments fail.".into(),
        public: false,
        service: "checkout".into(),
        environment: "production".into(),
        workload: Some(key("checkout")),
        release: None,
        policy: None,
        auto_assign: false,
        lead: None,
        began: now() - TimeDelta::minutes(2),
        opened: now(),
        opened_by: "Jun".into(),
    }
}

pub(crate) fn note(words: &str) -> Entry {
    Entry { at: now(), author: "Jun".into(), words: words.into(), update: None }
}

async fn opened(store: &Store, new: &NewIncident) -> Result<IncidentId, Error> {
    let mut tx = store.begin().await?;
    let id = tx.open_incident(new).await?;
    tx.commit(event("incident.opened")).await?;
    Ok(id)
}

async fn grant(store: &Store, who: &Actor, role: Role, environment: Option<&str>) {
    let mut tx = store.begin().await.unwrap();
    let grants = vec![Grant { role, environment: environment.map(str::to_owned) }];
    tx.set_grants(id(who), &grants).await.unwrap();
    tx.commit(event("person.granted")).await.unwrap();
}

#[tokio::test]
async fn opened_twice_under_one_key_it_is_one_incident() {
    let db = database().await;
    let by_key = NewIncident { key: Some("policy-firing:17".into()), ..new() };
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (store, by_key) = (db.store.clone(), by_key.clone());
            tokio::spawn(async move { opened(&store, &by_key).await.unwrap() })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // The second opening changes nothing, also when it says something else.
    let other = NewIncident { title: "another".into(), ..by_key };
    assert_eq!(opened(&db.store, &other).await.unwrap(), ids[0]);
    let found = db.store.incident(ids[0]).await.unwrap();
    assert_eq!((found.version, found.title.as_str()), (1, "checkout 1.42.0 fails"));
    assert_eq!(found.workload, Some(key("checkout")));
    // Without a key each is its own.
    let one = opened(&db.store, &new()).await.unwrap();
    assert_ne!(opened(&db.store, &new()).await.unwrap(), one);
    assert_eq!(db.store.count_incidents().await.unwrap(), 3);
}

#[tokio::test]
async fn whoever_read_an_old_version_writes_nothing() {
    let db = database().await;
    let id = opened(&db.store, &new()).await.unwrap();
    let read = db.store.incident(id).await.unwrap();
    let put = async |incident: &Incident| {
        let mut tx = db.store.begin().await?;
        let version = tx.put_incident(incident).await?;
        tx.commit(event("incident.changed")).await?;
        Ok::<_, Error>(version)
    };
    let mut first = read.clone();
    first.severity = Severity::Critical;
    assert_eq!(put(&first).await.unwrap(), 2);
    let mut late = read;
    late.go(State::Resolved, "Ada", now()).unwrap();
    let refused = put(&late).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict(why) if why.contains("at version 2, not 1")), "{refused}");
    let kept = db.store.incident(id).await.unwrap();
    assert_eq!((kept.state, kept.severity, kept.version), (State::Open, Severity::Critical, 2));
    let missing = Incident { id: IncidentId(999), ..late.clone() };
    assert!(matches!(put(&missing).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn the_lead_is_on_call_for_the_environment() {
    let db = database().await;
    let store = &db.store;
    let alarm = NewIncident { auto_assign: true, ..new() };
    let lead = async |new: &NewIncident| {
        let id = opened(store, new).await.unwrap();
        store.incident(id).await.unwrap().lead.map(|l| l.name)
    };
    assert_eq!(lead(&alarm).await, None, "nobody is on call");
    let (jun, olivia, staging) =
        (person(store, "jun").await, person(store, "olivia").await, person(store, "sam").await);
    grant(store, &jun, Role::OnCall, Some("production")).await;
    grant(store, &staging, Role::OnCall, Some("staging")).await;
    assert_eq!(lead(&alarm).await.as_deref(), Some("jun"));
    grant(store, &olivia, Role::OnCall, None).await;
    assert_eq!(lead(&alarm).await.as_deref(), Some("jun"), "took the last alarm");
    let taken = NewIncident { lead: Some((id(&olivia), "olivia".into())), ..new() };
    assert_eq!(lead(&taken).await.as_deref(), Some("olivia"));
    assert_eq!(lead(&alarm).await.as_deref(), Some("olivia"));
    assert_eq!(lead(&new()).await, None, "not asked for");
}

#[tokio::test]
async fn what_was_written_is_found_in_its_order_and_never_changed() {
    let db = database().await;
    let id = opened(&db.store, &new()).await.unwrap();
    let update = Entry { update: Some((Shown::Identified, Impact::Minor)), ..note("Payments fail.") };
    let mut tx = db.store.begin().await.unwrap();
    tx.insert_incident_entry(id, &note("Seen.")).await.unwrap();
    tx.insert_incident_entry(id, &update).await.unwrap();
    tx.commit(event("incident.noted")).await.unwrap();
    let found = db.store.incident_entries(&[id]).await.unwrap();
    assert_eq!(found, [(id, note("Seen.")), (id, update)]);
    let mut tx = db.store.begin().await.unwrap();
    let lost = tx.insert_incident_entry(IncidentId(999), &note("Lost.")).await;
    assert!(matches!(lost, Err(Error::NotFound("incident"))), "{lost:?}");
    for deed in ["update incident_entries set words = 'x'", "delete from incidents"] {
        assert_eq!(code(db.store.pool().execute(deed).await), "42501", "{deed}");
    }
}

#[tokio::test]
async fn incidents_are_found_by_state_severity_release_and_words() {
    let db = database().await;
    let release = started(&db.store, "checkout").await;
    let first = opened(&db.store, &NewIncident { release: Some(release), ..new() }).await.unwrap();
    let second = NewIncident { title: "Mail is late".into(), severity: Severity::Low, ..new() };
    let second = opened(&db.store, &second).await.unwrap();
    let found = async |filter: IncidentFilter| -> Vec<IncidentId> {
        db.store.incidents(&filter, 10).await.unwrap().iter().map(|i| i.id).collect()
    };
    let all = IncidentFilter::default;
    assert_eq!(found(all()).await, [second, first]);
    assert_eq!(found(IncidentFilter { severity: Some(Severity::Low), ..all() }).await, [second]);
    assert_eq!(found(IncidentFilter { release: Some(release), ..all() }).await, [first]);
    assert_eq!(found(IncidentFilter { release: Some(ReleaseId(99)), ..all() }).await, []);
    assert_eq!(found(IncidentFilter { text: Some("MAIL".into()), ..all() }).await, [second]);
    assert_eq!(found(IncidentFilter { text: Some(first.to_string()), ..all() }).await, [first]);
    assert_eq!(found(IncidentFilter { before: Some(second), ..all() }).await, [first]);
    assert_eq!(found(IncidentFilter { state: Some(State::Resolved), ..all() }).await, []);
    assert_eq!(found(IncidentFilter { public: true, ..all() }).await, []);
    assert_eq!(found(IncidentFilter { unresolved: true, ..all() }).await, [second, first]);
    let none = opened(&db.store, &NewIncident { release: Some(ReleaseId(99)), ..new() }).await;
    assert!(matches!(none, Err(Error::NotFound("release"))), "{none:?}");
}
