//! Incidents through the door: who may, what the public must not read, what the timeline tells. No cluster is needed:
//! the release they are about is on paper.

#![allow(clippy::unwrap_used, reason = "a test's arrangement that fails must stop the test")]

use chrono::{DateTime, TimeDelta, Utc};
use control::{Alarm, Config, Control, IncidentEdit, PublicUpdate};
use model::audit::NewEvent;
use model::incident::{Impact, NewIncident, Shown, State};
use model::policy::Severity;
use model::release::Release;
use model::view::IncidentsFilter;
use model::{Actor, Grant, IncidentId, PersonId, Problem, ReleaseId, Role, Status, Via};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use store::test_support::TestDb;

struct World {
    db: TestDb,
    control: Control,
    now: Arc<Mutex<DateTime<Utc>>>,
    _data: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let db = store::test_support::database().await;
        let data = tempfile::tempdir().unwrap();
        let now = Arc::new(Mutex::new("2026-03-01T12:00:00Z".parse().unwrap()));
        let clock = now.clone();
        let control = Control::new(Config {
            store: db.store.clone(),
            clusters: Vec::new(),
            prometheus: HashMap::new(),
            data_dir: data.path().to_owned(),
            clock: Arc::new(move || *clock.lock().unwrap()),
            home: "tidegate".into(),
            notifying: control::Notifying::default(),
            keep_samples_days: control::KEEP_DAYS,
            replica: "one".into(),
            demo: false,
        })
        .unwrap();
        Self { db, control, now, _data: data }
    }

    fn pass(&self, time: TimeDelta) {
        *self.now.lock().unwrap() += time;
    }

    fn at(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    async fn somebody(&self, name: &str, role: Role, environment: Option<&str>) -> Actor {
        let cli = Actor { via: Via::Cli, ..Actor::system("test") };
        let grants = vec![Grant { role, environment: environment.map(str::to_owned) }];
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let id = self.control.add_person(&cli, name, &email, "correct horse", grants.clone()).await.unwrap();
        Actor { person: Some(id), name: name.into(), grants, via: Via::Browser }
    }

    /// A release of `checkout` 1.42.0 that is under way.
    async fn release(&self, environment: &str) -> ReleaseId {
        let plan: model::plan::Plan = serde_json::from_value(json!({
            "apiVersion": "tidegate.dev/v1", "kind": "Plan",
            "metadata": {"name": environment, "service": "checkout", "environment": environment},
            "spec": {"change": {"images": {"app": "registry.example.com/checkout:1.42.0"}},
                     "strategy": {"canary": {"steps": [{"weight": 5, "bake": "2m"}, {"weight": 100}]}},
                     "approvals": {"required": 1, "from": ["approver"], "expire": "24h"}},
        }))
        .unwrap();
        let actor = Actor::system("test");
        let mut tx = self.db.store.begin().await.unwrap();
        let id = tx.insert_plan(&plan, &plan.digest(), &actor, self.at()).await.unwrap();
        let release: Release = serde_json::from_value(json!({
            "id": 0, "plan": id, "plan_version": 1, "digest": plan.digest(), "service": "checkout",
            "environment": environment,
            "workload": {"cluster": "demo", "namespace": environment, "kind": "Rollout", "name": "checkout"},
            "images": {"app": "registry.example.com/checkout:1.42.0"}, "state": "running", "course": "forward",
            "reason": null,
            "known_good": {"template": {}, "steps": null, "hash": "6d4b75cb6d",
                           "images": {"app": "registry.example.com/checkout:1.41.3"}, "revision": null},
            "canary_hash": "7bf9c4d5b8", "step": 0, "step_since": self.at(), "baked": "0s", "passed": [],
            "opened": {}, "waived": {}, "hold": null, "verdict": null, "attempt": null, "attempts": 1,
            "started_by": "Mara", "created": self.at(), "started": self.at(), "ended": null, "note": null
        }))
        .unwrap();
        let release = tx.insert_release(&release).await.unwrap();
        let mut event = NewEvent::new(self.at(), &actor, "release.started", "Release of 1.42.0 started");
        event.release = Some(release);
        tx.commit(event).await.unwrap();
        release
    }

    async fn event(&self, action: &str, summary: &str, about: impl FnOnce(&mut NewEvent)) {
        let mut event = NewEvent::new(self.at(), &Actor::system("test"), action, summary);
        about(&mut event);
        self.db.store.begin().await.unwrap().commit(event).await.unwrap();
    }

    async fn open(&self, actor: &Actor, release: ReleaseId) -> Result<IncidentId, Problem> {
        self.control.open_incident(actor, alarm(release)).await
    }
}

fn alarm(release: ReleaseId) -> Alarm {
    Alarm {
        title: " Some payments fail ".into(),
        severity: Severity::High,
        impact: "About 1 in 100 payments fail.".into(),
        service: String::new(),
        environment: String::new(),
        release: Some(release),
    }
}

fn told(words: &str) -> PublicUpdate {
    PublicUpdate { headline: None, shown: Shown::Investigating, impact: Impact::Minor, words: words.into() }
}

#[tokio::test]
async fn whoever_sees_a_fire_opens_an_incident_and_few_speak_to_the_public() {
    let world = World::new().await;
    let release = world.release("production").await;
    let control = &world.control;
    for role in Role::ALL {
        let actor = world.somebody(&format!("{role} one"), role, None).await;
        let opened = world.open(&actor, release).await;
        if role == Role::Viewer {
            assert_eq!(opened.as_ref().unwrap_err().status, Status::Forbidden, "{role}");
            continue;
        }
        let id = opened.unwrap();
        control.note_incident(&actor, id, "I see it, too.").await.unwrap();
        let spoken = control.tell_public(&actor, id, None, told("Payments fail.")).await.map(drop);
        let closed =
            control.move_incident(&actor, id, None, State::Watching, Some("Jun".into())).await.map(drop);
        let led = control.lead_incident(&actor, id, None, actor.person).await.map(drop);
        let leads = matches!(role, Role::ReleaseManager | Role::OnCall);
        for done in [spoken, closed, led] {
            assert_eq!(
                done.as_ref().err().map(|p| p.status),
                (!leads).then_some(Status::Forbidden),
                "{role}: {done:?}"
            );
        }
    }
    // A role for staging is none for production.
    let staging = world.somebody("Sam", Role::OnCall, Some("staging")).await;
    assert_eq!(world.open(&staging, release).await.unwrap_err().status, Status::Forbidden);
    let there = world.release("staging").await;
    let id = world.open(&staging, there).await.unwrap();
    let refused = control.tell_public(&staging, id, None, told("It is slow.")).await.unwrap_err();
    assert!(refused.detail.contains("production only"), "{}", refused.detail);
}

#[tokio::test]
async fn bad_input_is_refused_at_its_field() {
    let world = World::new().await;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    let wrong = Alarm {
        title: "x".repeat(121),
        impact: "y".repeat(501),
        service: "nothing".into(),
        environment: "production".into(),
        release: None,
        ..alarm(ReleaseId(1))
    };
    let refused = world.control.open_incident(&jun, wrong).await.unwrap_err();
    let fields: Vec<_> = refused.fields.iter().map(|f| f.field.as_str()).collect();
    assert_eq!((refused.status, fields), (Status::Invalid, vec!["title", "impact", "service"]));
    assert_eq!(world.open(&jun, ReleaseId(99)).await.unwrap_err().status, Status::NotFound);
    let release = world.release("production").await;
    let id = world.open(&jun, release).await.unwrap();
    let empty = world.control.note_incident(&jun, id, "  ").await.unwrap_err();
    assert_eq!(empty.fields[0].field, "words");
    let viewer = world.somebody("Vera Holm", Role::Viewer, None).await;
    let nobody = world.control.lead_incident(&jun, id, None, viewer.person).await.unwrap_err();
    assert_eq!(nobody.fields[0].field, "person");
    assert_eq!(
        world.control.lead_incident(&jun, id, None, Some(PersonId(99))).await.unwrap_err().status,
        Status::Invalid
    );
}

#[tokio::test]
async fn the_lead_goes_to_whoever_is_on_call() {
    let world = World::new().await;
    let release = world.release("production").await;
    let mara = world.somebody("Mara Lind", Role::ReleaseManager, None).await;
    let lead = async |id| world.db.store.incident(id).await.unwrap().lead_words();
    assert_eq!(lead(world.open(&mara, release).await.unwrap()).await, "on-call");
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    assert_eq!(lead(world.open(&mara, release).await.unwrap()).await, "Jun Sato");
    let olivia = world.somebody("Olivia Berg", Role::OnCall, None).await;
    let id = world.open(&olivia, release).await.unwrap();
    assert_eq!(lead(id).await, "Olivia Berg", "is on call and opened it");
    assert_eq!(lead(world.open(&mara, release).await.unwrap()).await, "Olivia Berg", "took the last alarm");
    let handed = world.control.lead_incident(&olivia, id, Some(1), jun.person).await.unwrap();
    assert_eq!((handed.lead_words(), handed.version), ("Jun Sato".to_owned(), 2));
    assert_eq!(
        world.control.lead_incident(&jun, id, None, jun.person).await.unwrap().version,
        2,
        "has it already"
    );
    assert_eq!(world.control.lead_incident(&jun, id, None, None).await.unwrap().lead_words(), "on-call");
}

#[tokio::test]
async fn a_stale_version_is_a_conflict_and_changes_nothing() {
    let world = World::new().await;
    let release = world.release("production").await;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    let id = world.open(&jun, release).await.unwrap();
    let higher = IncidentEdit { severity: Some(Severity::Critical), ..IncidentEdit::default() };
    assert_eq!(world.control.edit_incident(&jun, id, Some(1), higher.clone()).await.unwrap().version, 2);
    let size = world.db.store.audit_size().await.unwrap();
    let late = world.control.move_incident(&jun, id, Some(1), State::Resolved, None).await.unwrap_err();
    assert_eq!(late.status, Status::Conflict);
    assert!(late.detail.contains("at version 2, not 1"), "{}", late.detail);
    let same = world.control.edit_incident(&jun, id, Some(2), higher).await.unwrap();
    assert_eq!((same.version, same.state), (2, State::Open));
    assert_eq!(world.db.store.audit_size().await.unwrap(), size, "what changes nothing leaves no event");
}

#[tokio::test]
async fn the_public_reads_no_names_and_never_that_an_open_incident_is_over() {
    let world = World::new().await;
    let release = world.release("production").await;
    let control = &world.control;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    let id = world.open(&jun, release).await.unwrap();
    for (words, what) in [
        ("Jun Sato looks into it.", "a person"),
        ("Mail jun.sato@example.com", "a person"),
        ("Revision 7bf9c4d5b8 fails.", "a revision"),
        ("checkout-7bf9c4d5b8-x2x8q restarts.", "a pod"),
        ("db-1.internal does not answer.", "a host"),
    ] {
        let refused = control.tell_public(&jun, id, None, told(words)).await.unwrap_err();
        assert_eq!((refused.status, refused.fields[0].field.as_str()), (Status::Invalid, "words"), "{words}");
        assert!(refused.detail.contains(what), "{words}: {}", refused.detail);
        let headline = PublicUpdate { headline: Some(words.into()), ..told("Payments fail.") };
        assert_eq!(
            control.tell_public(&jun, id, None, headline).await.unwrap_err().fields[0].field,
            "headline"
        );
        let ended =
            control.move_incident(&jun, id, None, State::Resolved, Some(words.into())).await.unwrap_err();
        assert_eq!(ended.fields[0].field, "words");
    }
    assert_eq!(
        control.tell_public(&jun, id, None, told(&"x".repeat(501))).await.unwrap_err().fields[0].field,
        "words"
    );
    let over = PublicUpdate { shown: Shown::Resolved, ..told("All is well.") };
    let refused = control.tell_public(&jun, id, None, over.clone()).await.unwrap_err();
    assert_eq!(refused.fields[0].field, "shown");
    assert!(!world.db.store.incident(id).await.unwrap().public, "nothing was told");

    let headline =
        PublicUpdate { headline: Some("Some payments fail".into()), ..told("1 in 100 payments fails.") };
    let told_now = control.tell_public(&jun, id, Some(1), headline).await.unwrap();
    assert_eq!((told_now.public, told_now.headline.as_str()), (true, "Some payments fail"));
    control.move_incident(&jun, id, None, State::Resolved, None).await.unwrap();
    let late = control.tell_public(&jun, id, None, told("It goes on.")).await.unwrap_err();
    assert_eq!(late.fields[0].field, "shown");
    control.tell_public(&jun, id, None, over).await.unwrap();
    control.move_incident(&jun, id, None, State::Open, None).await.unwrap();
    let (_, entries) = control.incident_record(&jun, id).await.unwrap();
    let shown: Vec<_> = entries.iter().filter_map(|e| e.update.map(|(s, _)| s)).collect();
    assert_eq!(shown, [Shown::Investigating, Shown::Resolved, Shown::Resolved, Shown::Investigating]);
    let again = control.publish_incident(&jun, id, None, true).await.unwrap_err();
    assert_eq!(again.status, Status::Conflict);
    assert!(!control.publish_incident(&jun, id, None, false).await.unwrap().public);
}

#[tokio::test]
async fn the_timeline_tells_what_happened_around_it() {
    let world = World::new().await;
    let long_before = world.release("production").await;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    world.pass(TimeDelta::hours(1));
    let release = long_before;
    world.event("release.weight.raised", "5 % to 25 %", |e| e.release = Some(release)).await;
    world
        .event("workload.restarted", "Pods of checkout restarted", |e| {
            e.service = Some("checkout".into());
            e.environment = Some("production".into());
        })
        .await;
    world
        .event("workload.restarted", "Pods of mail restarted", |e| {
            e.service = Some("mail".into());
            e.environment = Some("production".into());
        })
        .await;
    world.pass(TimeDelta::minutes(1));
    let id = world.open(&jun, release).await.unwrap();
    let other = world.open(&jun, release).await.unwrap();
    world.pass(TimeDelta::minutes(1));
    world.control.note_incident(&jun, id, "Errors since the last step.").await.unwrap();
    world.event("rollback.confirmed", "Back on 1.41.3", |e| e.release = Some(release)).await;
    world.control.move_incident(&jun, id, None, State::Watching, None).await.unwrap();
    world.pass(TimeDelta::minutes(3));
    world.control.move_incident(&jun, id, None, State::Resolved, None).await.unwrap();
    world.pass(TimeDelta::minutes(1));
    world.event("release.ended", "long after", |e| e.release = Some(release)).await;

    let page = world.control.incident(&jun, id).await.unwrap();
    let said: Vec<_> = page.timeline.iter().rev().map(|t| t.summary.as_str()).collect();
    let opened = format!("Incident {id} opened, severity high: Some payments fail");
    let (watched, resolved) =
        (format!("Incident {id} is fixed and watched"), format!("Incident {id} resolved"));
    assert_eq!(
        said,
        ["5 % to 25 %", "Pods of checkout restarted", &opened, "Note", "Back on 1.41.3", &watched, &resolved],
        "not what began long before, not the other incident {other}, nothing after the end"
    );
    assert!(page.timeline.iter().all(|t| t.seq.is_some()), "each is linked to its event");
    let note = page.timeline.iter().find(|t| t.summary == "Note").unwrap();
    assert_eq!(note.words.as_deref(), Some("Errors since the last step."));
    assert_eq!(page.incident.lasted(world.at()), TimeDelta::minutes(4));
    let release = page.release.unwrap();
    assert_eq!((release.from_version.as_str(), release.version.as_str()), ("1.41.3", "1.42.0"));
}

#[tokio::test]
async fn one_that_a_policy_opened_tells_its_opening_from_itself() {
    let world = World::new().await;
    let release = world.release("production").await;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    let new = NewIncident {
        key: Some("policy-firing:17".into()),
        title: "checkout 1.42.0 fails".into(),
        severity: Severity::Medium,
        impact: String::new(),
        public: false,
        service: "checkout".into(),
        environment: "production".into(),
        workload: None,
        release: Some(release),
        policy: Some("production-default".into()),
        auto_assign: true,
        lead: None,
        began: world.at() - TimeDelta::seconds(90),
        opened: world.at(),
        opened_by: "Tidegate, policy".into(),
    };
    let mut tx = world.db.store.begin().await.unwrap();
    let id = tx.open_incident(&new).await.unwrap();
    let event = NewEvent::new(world.at(), &Actor::system("policy"), "policy.fired", "Policy fired");
    tx.commit(NewEvent { release: Some(release), ..event }).await.unwrap();
    let page = world.control.incident(&jun, id).await.unwrap();
    let said: Vec<_> = page.timeline.iter().map(|t| (t.summary.as_str(), t.actor.as_str())).collect();
    let opened = format!("Incident {id} opened, severity medium");
    assert!(said.contains(&(opened.as_str(), "Tidegate, policy")), "{said:?}");
    assert!(said.contains(&("Policy fired", "Tidegate, policy")), "{said:?}");
    assert_eq!(page.incident.lead_words(), "Jun Sato");
}

#[tokio::test]
async fn the_list_counts_and_finds() {
    let world = World::new().await;
    let release = world.release("production").await;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    let viewer = world.somebody("Vera Holm", Role::Viewer, None).await;
    let empty = world.control.incidents(&viewer, IncidentsFilter::default()).await.unwrap();
    assert_eq!(
        (empty.rows.len(), empty.open, empty.median_seconds, empty.open_one.allowed),
        (0, 0, None, false)
    );
    let first = world.open(&jun, release).await.unwrap();
    let second = world.open(&jun, release).await.unwrap();
    world.pass(TimeDelta::minutes(12));
    world.control.move_incident(&jun, first, None, State::Resolved, None).await.unwrap();
    let page = world.control.incidents(&jun, IncidentsFilter::default()).await.unwrap();
    assert_eq!(page.rows.iter().map(|i| i.id).collect::<Vec<_>>(), [second, first]);
    assert_eq!((page.open, page.watching, page.month, page.month_releases), (1, 0, 2, 2));
    assert_eq!(page.median_seconds, Some(720));
    let over = IncidentsFilter { state: Some(State::Resolved), ..IncidentsFilter::default() };
    let page = world.control.incidents(&jun, over).await.unwrap();
    assert_eq!(page.rows.iter().map(|i| i.id).collect::<Vec<_>>(), [first]);
}

#[tokio::test]
async fn it_is_watched_by_itself_once_its_release_is_back_and_not_again_after_it_was_reopened() {
    let world = World::new().await;
    let release = world.release("production").await;
    let jun = world.somebody("Jun Sato", Role::OnCall, None).await;
    let id = world.open(&jun, release).await.unwrap();
    world.control.publish_incident(&jun, id, None, true).await.unwrap();
    world.pass(TimeDelta::minutes(1));
    let mut tx = world.db.store.begin().await.unwrap();
    let (mut ended, _) = tx.lock_release(release).await.unwrap();
    ended.course = model::release::Course::RollBack;
    ended.state = model::release::State::RolledBack;
    ended.ended = Some(world.at());
    tx.put_release(&ended, None).await.unwrap();
    let mut event =
        NewEvent::new(world.at(), &Actor::system("conductor"), "release.rolled_back", "Back on 1.41.3");
    event.release = Some(release);
    tx.commit(event).await.unwrap();

    let mut heard = world.control.subscribe();
    let running = world.control.clone();
    let task = tokio::spawn(async move { running.run(Arc::default()).await });
    let watched = async {
        loop {
            let incident = world.db.store.incident(id).await.unwrap();
            if incident.state == State::Watching {
                return incident;
            }
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), heard.recv()).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), watched).await.unwrap();
    let (_, entries) = world.control.incident_record(&jun, id).await.unwrap();
    assert_eq!(entries.last().unwrap().update.map(|(s, _)| s), Some(Shown::Monitoring), "the public is told");
    task.abort();
    world.pass(TimeDelta::minutes(1));
    let reopened = world.control.move_incident(&jun, id, None, State::Open, None).await.unwrap();
    assert!(!reopened.settled_by(&ended), "somebody knows better");
}
