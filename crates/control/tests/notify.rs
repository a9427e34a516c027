//! Notifications to real receivers: each is told once, whatever happens in between, and no secret shows anywhere.
#![allow(clippy::unwrap_used, reason = "a test's arrangement that fails must stop the test")]

mod receivers;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use control::{Config, Control, Notifying, SecretKey};
use mailin::Response;
use model::audit::NewEvent;
use model::notify::{Happened, Message, State};
use model::policy::{Channel, Severity};
use model::view::{DestinationDraft, NotificationView, NotificationsFilter};
use model::{Actor, Grant, ReleaseId, Role, Via};
use receivers::smtp::{self, MailServer};
use receivers::{DEADLINE, Receiver, Say};
use sqlx::Row as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::test_support::TestDb;
use tokio::sync::Notify;

const SLACK: &str = "TIDEGATE_TEST_SLACK";
const ROUTING_KEY: &str = "R0123456789abcdefABCDEF012345678";

fn signing_key() -> String {
    format!("whsec_{}", STANDARD.encode([7; 32]))
}

struct World {
    db: TestDb,
    data: tempfile::TempDir,
    variables: HashMap<String, String>,
    key: Option<SecretKey>,
    roots: Option<Vec<u8>>,
}

struct Replica {
    control: Control,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    async fn new() -> Self {
        Self {
            db: store::test_support::database().await,
            data: tempfile::tempdir().unwrap(),
            variables: HashMap::new(),
            key: SecretKey::read(&STANDARD.encode([3; 32])).ok(),
            roots: None,
        }
    }

    fn control(&self, name: &str) -> Control {
        let variables = self.variables.clone();
        Control::new(Config {
            store: self.db.store.clone(),
            clusters: Vec::new(),
            prometheus: HashMap::new(),
            data_dir: self.data.path().to_owned(),
            clock: Arc::new(Utc::now),
            replica: name.to_owned(),
            demo: false,
            home: "tidegate".into(),
            keep_samples_days: control::KEEP_DAYS,
            notifying: Notifying {
                key: self.key.clone(),
                loopback: true,
                public_url: Some("https://tidegate.example.com/".into()),
                roots: self.roots.clone(),
                variables: Arc::new(move |name| variables.get(name).cloned()),
            },
        })
        .unwrap()
    }

    fn replica(&self, name: &str) -> Replica {
        let control = self.control(name);
        let running = control.clone();
        let task = tokio::spawn(async move { running.run(Arc::new(Notify::new())).await });
        Replica { control, task }
    }

    /// Something happens that people are to be told.
    async fn happens(&self, message: &Message) -> u64 {
        let all = [Channel::Slack, Channel::Pagerduty, Channel::Email, Channel::Webhook];
        let mut tx = self.db.store.begin().await.unwrap();
        let count = tx.enqueue(message, &all).await.unwrap();
        let actor = Actor::system("test");
        tx.commit(NewEvent::new(Utc::now(), &actor, "policy.fired", "It fired")).await.unwrap();
        count
    }

    /// Every table's content as text.
    async fn everything_stored(&self) -> String {
        let mut all = String::new();
        for table in ["destinations", "notifications", "audit_events"] {
            let sql = format!("select coalesce(string_agg(t::text, E'\\n'), '') from {table} t");
            let row = sqlx::query(&sql).fetch_one(self.db.store.pool()).await.unwrap();
            all.push_str(&row.get::<String, _>(0));
        }
        let sql = "select coalesce(string_agg(encode(secret_sealed, 'escape'), ''), '') from destinations";
        all.push_str(&sqlx::query(sql).fetch_one(self.db.store.pool()).await.unwrap().get::<String, _>(0));
        all
    }
}

impl Replica {
    async fn add(&self, draft: DestinationDraft) -> i64 {
        self.control.add_destination(&admin(), &draft).await.unwrap()
    }

    async fn log(&self) -> Vec<NotificationView> {
        self.control.notifications(&viewer(), NotificationsFilter::default()).await.unwrap().rows
    }

    async fn wait(&self, what: &str, is: impl Fn(&[NotificationView]) -> bool) -> Vec<NotificationView> {
        let mut heard = self.control.subscribe();
        let found = async {
            loop {
                let log = self.log().await;
                if is(&log) {
                    return log;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(log) => log,
            Err(_) => panic!("not within {DEADLINE:?}: {what}; is {:#?}", self.log().await),
        }
    }

    async fn wait_all(&self, state: State, count: usize) -> Vec<NotificationView> {
        let what = format!("{count} {state:?}");
        self.wait(&what, |log| log.iter().filter(|n| n.state == state).count() == count).await
    }
}

fn actor(role: Role) -> Actor {
    let grants = vec![Grant { role, environment: None }];
    Actor { person: None, name: "Ada".into(), grants, via: Via::Browser }
}

fn admin() -> Actor {
    actor(Role::Administrator)
}

fn viewer() -> Actor {
    actor(Role::Viewer)
}

fn message(key: &str, what: Happened) -> Message {
    Message {
        key: key.into(),
        title: "checkout held at 25 %".into(),
        words: "Errors are at 4.1 %, the limit is 2 %.".into(),
        severity: Severity::Critical,
        path: "/releases/318".into(),
        release: Some(ReleaseId(318)),
        service: Some("checkout".into()),
        environment: Some("production".into()),
        what,
        at: Utc::now(),
    }
}

fn webhook(receiver: &Receiver) -> DestinationDraft {
    DestinationDraft {
        name: "Board".into(),
        kind: "webhook".into(),
        url: receiver.url("/hook"),
        secret: signing_key(),
        ..DestinationDraft::default()
    }
}

fn mail(server: &MailServer) -> DestinationDraft {
    DestinationDraft {
        name: "Mail".into(),
        kind: "email".into(),
        host: "localhost".into(),
        port: server.address.port().to_string(),
        security: "none".into(),
        from: "Tidegate <tidegate@example.com>".into(),
        to: "ops@example.com, dev@example.com".into(),
        ..DestinationDraft::default()
    }
}

#[tokio::test]
async fn each_kind_of_receiver_is_told_once_and_no_secret_shows() {
    let (http, mails) = (Receiver::start().await, MailServer::start(None).await);
    let mut world = World::new().await;
    let hook = http.url("/services/T0/B0/slacksecret");
    world.variables.insert(SLACK.into(), hook);
    let replica = world.replica("a");
    replica.add(webhook(&http)).await;
    replica.add(mail(&mails)).await;
    replica
        .add(DestinationDraft {
            name: "Chat".into(),
            kind: "slack".into(),
            secret_from: "variable".into(),
            variable: SLACK.into(),
            ..DestinationDraft::default()
        })
        .await;
    let pager = DestinationDraft {
        name: "Pager".into(),
        kind: "pagerduty".into(),
        endpoint: http.url(""),
        secret: ROUTING_KEY.into(),
        ..DestinationDraft::default()
    };
    replica.add(pager).await;

    assert_eq!(world.happens(&message("r318", Happened::Fired)).await, 4);
    assert_eq!(world.happens(&message("r318", Happened::Fired)).await, 4, "again, as after a lost answer");
    replica.wait_all(State::Sent, 4).await;
    assert_eq!(world.happens(&message("r318", Happened::Resolved)).await, 4);
    let log = replica.wait_all(State::Sent, 8).await;
    assert!(log.iter().all(|n| n.attempts == 1 && n.last_error.is_none()), "{log:#?}");

    let requests = http.got();
    assert_eq!(requests.len(), 6, "three receivers, twice");
    let at = |path: &str| requests.iter().filter(|r| r.path == path).cloned().collect::<Vec<_>>();
    let slack = at("/services/T0/B0/slacksecret");
    assert_eq!(slack[0].json()["text"], "checkout held at 25 %");
    assert_eq!(slack[1].json()["text"], "Over: checkout held at 25 %");
    let events = at("/v2/enqueue").iter().map(receivers::Got::json).collect::<Vec<_>>();
    assert_eq!(events[0]["routing_key"], ROUTING_KEY);
    assert_eq!(
        (&events[0]["event_action"], &events[1]["event_action"]),
        (&"trigger".into(), &"resolve".into())
    );
    assert_eq!(events[0]["dedup_key"], events[1]["dedup_key"]);
    assert_eq!(events[0]["payload"]["severity"], "critical");
    let hooks = at("/hook");
    assert_eq!(hooks[0].json()["data"]["url"], "https://tidegate.example.com/releases/318");
    // By somebody else's implementation of the specification.
    let verifier = standardwebhooks::Webhook::new(&signing_key()).unwrap();
    for hook in &hooks {
        verifier.verify(&hook.body, &hook.headers).unwrap();
    }
    assert_ne!(hooks[0].headers["webhook-id"], hooks[1].headers["webhook-id"]);
    assert!(verifier.verify(b"{}", &hooks[0].headers).is_err());

    let mails = mails.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].to, ["ops@example.com", "dev@example.com"]);
    assert!(mails[0].text.contains("Subject: [Tidegate] checkout held at 25 %"), "{}", mails[0].text);
    assert!(mails[0].text.contains("Message-ID: <ntf-"), "{}", mails[0].text);

    let stored = world.everything_stored().await;
    for secret in ["slacksecret", ROUTING_KEY, &signing_key()[6..]] {
        assert!(!stored.contains(secret), "{secret} is in the database");
    }
    let page = replica.control.notifications(&admin(), NotificationsFilter::default()).await.unwrap();
    let page = serde_json::to_string(&page).unwrap();
    for secret in ["slacksecret", ROUTING_KEY, &signing_key()[6..]] {
        assert!(!page.contains(secret), "{secret} is on the page");
    }
}

#[tokio::test]
async fn a_receiver_that_was_down_is_told_once_it_is_back() {
    let receiver = Receiver::start().await;
    let world = World::new().await;
    let replica = world.replica("a");
    replica.add(webhook(&receiver)).await;
    let address = receiver.address;
    drop(receiver);
    world.happens(&message("r1", Happened::Fired)).await;
    let log = replica.wait("a first failure", |log| log[0].attempts == 1).await;
    let why = log[0].last_error.clone().unwrap();
    assert!(why.starts_with("It cannot be reached: ") && !why.contains("hook"), "{why}");
    assert_eq!(log[0].state, State::Waiting);
    let receiver = Receiver::on(address).await;
    let log = replica.wait_all(State::Sent, 1).await;
    assert!(log[0].attempts >= 2);
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let receiver = Receiver::start().await;
    let world = World::new().await;
    let replica = world.replica("a");
    replica.add(webhook(&receiver)).await;
    receiver.say(Say(429, Some(("retry-after", "5".into())), "slow down"));
    world.happens(&message("r1", Happened::Fired)).await;
    let got = receiver.wait_for(2).await;
    // The wait without being asked would have been 2.5 s at most.
    let waited = got[1].at - got[0].at;
    assert!(waited >= Duration::from_millis(4900), "{waited:?}");
    assert_eq!(got[0].headers["webhook-id"], got[1].headers["webhook-id"], "the same message");
    let log = replica.wait_all(State::Sent, 1).await;
    assert_eq!(log[0].attempts, 2);
}

#[tokio::test]
async fn a_refusal_is_final_and_shown_until_somebody_tries_again() {
    let receiver = Receiver::start().await;
    let world = World::new().await;
    let replica = world.replica("a");
    let id = replica.add(webhook(&receiver)).await;
    receiver.say(Say(400, None, "invalid_payload"));
    receiver.say(Say(302, Some(("location", receiver.url("/elsewhere"))), ""));
    world.happens(&message("r1", Happened::Fired)).await;
    let log = replica.wait_all(State::Failed, 1).await;
    assert_eq!((log[0].attempts, log[0].last_error.as_deref()), (1, Some("Answered 400: invalid_payload")));
    let no = replica.control.retry_notification(&actor(Role::OnCall), log[0].id).await.unwrap_err();
    assert_eq!(no.status, model::Status::Forbidden);
    replica.control.retry_notification(&admin(), log[0].id).await.unwrap();
    let log =
        replica.wait("a second failure", |log| log[0].attempts == 2 && log[0].state == State::Failed).await;
    assert!(log[0].last_error.as_deref().unwrap().contains("redirect"), "{log:?}");
    replica.control.retry_notification(&admin(), log[0].id).await.unwrap();
    let log = replica.wait_all(State::Sent, 1).await;
    assert!(receiver.got().iter().all(|r| r.path == "/hook"), "no redirect was followed");
    let again = replica.control.retry_notification(&admin(), log[0].id).await.unwrap_err();
    assert_eq!(again.status, model::Status::Conflict);
    let page = replica.control.notifications(&viewer(), NotificationsFilter::default()).await.unwrap();
    assert!(page.destinations[0].settings.is_none(), "a viewer sees no address");
    assert_eq!(page.destinations[0].id, id);
}

#[tokio::test]
async fn two_replicas_tell_each_thing_once() {
    let receiver = Receiver::start().await;
    let world = World::new().await;
    let (a, b) = (world.replica("a"), world.replica("b"));
    a.add(webhook(&receiver)).await;
    for n in 0..30 {
        world.happens(&message(&format!("r{n}"), Happened::Fired)).await;
    }
    a.wait_all(State::Sent, 30).await;
    let mut ids: Vec<_> = receiver.got().iter().map(|r| r.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 30);
    ids.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    ids.dedup();
    assert_eq!(ids.len(), 30);
    assert!(b.log().await.iter().all(|n| n.attempts == 1));
}

#[tokio::test]
async fn what_a_dead_replica_was_sending_is_sent_by_another_under_the_same_id() {
    let receiver = Receiver::start().await;
    let world = World::new().await;
    let dying = world.replica("a");
    dying.add(webhook(&receiver)).await;
    let held = receiver.hold();
    world.happens(&message("r1", Happened::Fired)).await;
    receiver.wait_for(1).await;
    drop(dying);
    let alive = world.replica("b");
    held.send(true).unwrap();
    // Its lease ends in a minute; the test does not wait that long.
    sqlx::query("update notifications set leased_until = clock_timestamp()")
        .execute(world.db.store.pool())
        .await
        .unwrap();
    world.db.store.announce("notifications").await.unwrap();
    let log = alive.wait_all(State::Sent, 1).await;
    assert_eq!(log[0].attempts, 1);
    let got = receiver.got();
    assert_eq!(got.len(), 2, "at least once: the first answer came to nobody");
    assert_eq!(got[0].headers["webhook-id"], got[1].headers["webhook-id"]);
}

#[tokio::test]
async fn mail_is_retried_while_the_server_says_later_and_given_up_when_it_says_no() {
    let server = MailServer::start(None).await;
    let world = World::new().await;
    let replica = world.replica("a");
    replica.add(mail(&server)).await;
    server.refuse(Response::custom(451, "greylisted".into()));
    world.happens(&message("r1", Happened::Fired)).await;
    let log = replica.wait_all(State::Sent, 1).await;
    assert_eq!((log[0].attempts, server.mails().len()), (2, 1));
    server.refuse(Response::custom(550, "no such user".into()));
    world.happens(&message("r2", Happened::Fired)).await;
    let log = replica.wait_all(State::Failed, 1).await;
    let why = log[0].last_error.clone().unwrap();
    assert!(why.contains("550") && why.contains("no such user"), "{why}");
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_password_is_sent_over_tls_only_and_to_a_server_that_proves_who_it_is() {
    let (tls, root) = smtp::certified();
    let (proven, clear) = (MailServer::start(Some(tls)).await, MailServer::start(None).await);
    let mut world = World::new().await;
    let signed_in = |server: &MailServer| DestinationDraft {
        security: "starttls".into(),
        user: smtp::USER.into(),
        secret: smtp::PASSWORD.into(),
        ..mail(server)
    };
    {
        let distrusting = world.replica("a");
        let id = distrusting.add(signed_in(&proven)).await;
        distrusting.control.test_destination(&admin(), id).await.unwrap();
        let log =
            distrusting.wait("a first failure", |log| log.first().is_some_and(|n| n.attempts == 1)).await;
        assert!(log[0].last_error.as_deref().unwrap().contains("certificate"), "{log:?}");
        // Nor to one that offers no TLS: nobody in between can take the offer away.
        let id = distrusting.add(DestinationDraft { name: "Clear".into(), ..signed_in(&clear) }).await;
        distrusting.control.test_destination(&admin(), id).await.unwrap();
        distrusting.wait("a second failure", |log| log[0].destination == id && log[0].attempts == 1).await;
        distrusting.control.remove_destination(&admin(), id).await.unwrap();
    }
    assert!(clear.mails().is_empty() && proven.mails().is_empty());
    world.roots = Some(root);
    let trusting = world.replica("b");
    trusting.wait_all(State::Sent, 1).await;
    let mails = proven.wait_for(1).await;
    assert_eq!(mails[0].user.as_deref(), Some(smtp::USER));
    assert!(!world.everything_stored().await.contains(smtp::PASSWORD));
}

#[tokio::test]
async fn a_secret_that_is_missing_is_said_and_found_when_it_is_there() {
    let receiver = Receiver::start().await;
    let mut world = World::new().await;
    world.key = None;
    let draft =
        DestinationDraft { secret_from: "variable".into(), variable: SLACK.into(), ..webhook(&receiver) };
    let notification = {
        let without = world.replica("a");
        let typed = without.control.add_destination(&admin(), &webhook(&receiver)).await.unwrap_err();
        assert_eq!(typed.fields[0].field, "secret");
        assert!(typed.detail.contains("TIDEGATE_SECRET_KEY"), "{typed}");
        let id = without.add(draft).await;
        let sent = without.control.test_destination(&admin(), id).await.unwrap();
        let log = without.wait("a first failure", |log| log[0].attempts == 1).await;
        assert!(log[0].last_error.as_deref().unwrap().contains("TIDEGATE_TEST_SLACK is not set"), "{log:?}");
        let page = without.control.notifications(&admin(), NotificationsFilter::default()).await.unwrap();
        assert!(!page.sealing);
        assert!(page.destinations[0].secret.trouble.as_deref().unwrap().contains(SLACK));
        sent
    };
    world.variables.insert(SLACK.into(), signing_key());
    let with = world.replica("b");
    with.control.retry_notification(&admin(), notification).await.unwrap();
    with.wait_all(State::Sent, 1).await;
    assert_eq!(receiver.got()[0].json()["type"], "notification.test");
}

#[tokio::test]
async fn a_destination_is_changed_by_administrators_and_a_kept_secret_goes_nowhere_else() {
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let world = World::new().await;
    let replica = world.replica("a");
    let draft = DestinationDraft {
        name: "Pager".into(),
        kind: "pagerduty".into(),
        endpoint: receiver.url(""),
        secret: ROUTING_KEY.into(),
        ..DestinationDraft::default()
    };
    for role in [Role::Viewer, Role::ReleaseManager, Role::Approver, Role::OnCall] {
        let no = replica.control.add_destination(&actor(role), &draft).await.unwrap_err();
        assert_eq!(no.status, model::Status::Forbidden, "{role}");
    }
    let id = replica.add(draft.clone()).await;
    let same = replica.control.add_destination(&admin(), &draft).await.unwrap_err();
    assert_eq!(same.status, model::Status::Conflict);
    let keep = DestinationDraft { secret_from: "keep".into(), secret: String::new(), ..draft.clone() };
    let elsewhere = DestinationDraft { endpoint: other.url(""), ..keep.clone() };
    let no = replica.control.change_destination(&admin(), id, &elsewhere).await.unwrap_err();
    assert_eq!(no.fields[0].field, "secret_from");
    let renamed = DestinationDraft { name: "On-call".into(), environment: "production".into(), ..keep };
    replica.control.change_destination(&admin(), id, &renamed).await.unwrap();
    // A test of a pager opens an incident, and closes it again.
    replica.control.test_destination(&admin(), id).await.unwrap();
    let log = replica.wait_all(State::Sent, 2).await;
    assert_eq!(log[0].destination_name, "On-call");
    let actions: Vec<_> = receiver.got().iter().map(|r| r.json()["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    replica.control.remove_destination(&admin(), id).await.unwrap();
    assert_eq!(world.happens(&message("r1", Happened::Fired)).await, 0);
    assert!(other.got().is_empty());
    let events = replica.control.audit(&viewer(), Default::default()).await.unwrap().rows;
    let actions: Vec<_> = events.iter().rev().map(|e| e.event.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "destination.added",
            "destination.changed",
            "destination.tested",
            "destination.removed",
            "policy.fired"
        ]
    );
}
