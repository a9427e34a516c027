//! Notifications: where they go, what was told, and telling it. Secrets come in here and are never handed out again.

mod check;
mod deliver;
mod seal;
mod send;
mod show;

pub use seal::SecretKey;
pub(crate) use send::Sender;

use crate::Control;
use crate::error::OrProblem as _;
use crate::read::see;
use crate::releases::deed;
use check::{Around, Secret};
use model::audit::NewEvent;
use model::notify::{Happened, Message, Settings};
use model::policy::{Channel, Severity};
use model::view::{Deed, DestinationDraft, DestinationPage, NotificationsFilter, NotificationsPage};
use model::{Action, Actor, FieldError, Problem};
use show::{draft_of, kind_key, notification_view, target};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use store::{DestinationRecord, NotificationFilter};

/// Rows on a page.
const PAGE: i64 = 50;

/// Looks a variable of the environment up.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What notifications are sent with.
#[derive(Clone)]
pub struct Notifying {
    /// Encrypts secrets; without it they come from variables only.
    pub key: Option<SecretKey>,
    /// Receivers on this machine are allowed, over plain HTTP too. For trying out.
    pub loopback: bool,
    /// The address people use, for links.
    pub public_url: Option<String>,
    /// Certificates of authorities to trust beside the well-known ones, PEM.
    pub roots: Option<Vec<u8>>,
    pub variables: Variables,
}

impl Default for Notifying {
    fn default() -> Self {
        Self {
            key: None,
            loopback: false,
            public_url: None,
            roots: None,
            variables: Arc::new(|name| std::env::var(name).ok()),
        }
    }
}

impl fmt::Debug for Notifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifying")
            .field("key", &self.key)
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

impl Notifying {
    /// # Errors
    /// When the certificates cannot be read.
    pub(crate) fn sender(&self) -> Result<Sender, Problem> {
        Sender::new(self.loopback, self.public_url.clone(), self.roots.as_deref())
            .map_err(|why| Problem::unavailable(format!("Notifications cannot be sent. {why}")))
    }
}

impl Control {
    /// Destinations, and a page of what was told, newest first.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn notifications(
        &self,
        actor: &Actor,
        filter: NotificationsFilter,
    ) -> Result<NotificationsPage, Problem> {
        see(actor)?;
        let administer = deed(may_administer(actor));
        let last = self.store().last_notifications().await.or_problem()?;
        let last: HashMap<i64, _> = last.into_iter().map(|n| (n.destination, n)).collect();
        let destinations = self.store().destinations().await.or_problem()?;
        let destinations = destinations
            .into_iter()
            .map(|d| self.destination_view(&administer, last.get(&d.id), d))
            .collect();
        let asked = NotificationFilter {
            state: filter.state,
            destination: filter.destination,
            before: filter.before,
        };
        let mut rows = self.store().notifications(&asked, PAGE + 1).await.or_problem()?;
        let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > PAGE;
        rows.truncate(usize::try_from(PAGE).unwrap_or(50));
        let (waiting, failed) = self.store().count_notifications().await.or_problem()?;
        Ok(NotificationsPage {
            age: self.age(),
            destinations,
            next: if more { rows.last().map(|n| n.id) } else { None },
            rows: rows.into_iter().map(|n| notification_view(&administer, n)).collect(),
            filter,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            failed: u32::try_from(failed).unwrap_or(u32::MAX),
            sealing: self.notifying().key.is_some(),
            administer,
        })
    }

    /// The form of one destination, or with `None` of a new one of this kind.
    ///
    /// # Errors
    /// 403 for those who may not change it; 404; 503 without a database.
    pub async fn destination_form(
        &self,
        actor: &Actor,
        id: Option<i64>,
        kind: &str,
    ) -> Result<DestinationPage, Problem> {
        may_administer(actor)?;
        let (destination, draft) = match id {
            None => (None, DestinationDraft { kind: kind.to_owned(), ..DestinationDraft::default() }),
            Some(id) => {
                let d = self.store().destination(id).await.or_problem()?;
                let draft = draft_of(&d);
                let last = self.store().last_notifications().await.or_problem()?;
                let last = last.iter().find(|n| n.destination == id);
                (Some(self.destination_view(&Deed::yes(), last, d)), draft)
            }
        };
        let workloads: Vec<_> = self.clusters().iter().map(|c| c.workloads()).collect();
        let environments: BTreeSet<_> =
            workloads.iter().flat_map(|w| w.iter()).map(|w| w.environment.clone()).collect();
        Ok(DestinationPage {
            age: self.age(),
            destination,
            draft,
            environments: environments.into_iter().collect(),
            administer: Deed::yes(),
            sealing: self.notifying().key.is_some(),
        })
    }

    /// Adds a destination. Returns its number.
    ///
    /// # Errors
    /// 403; 409 when there is one of this name; 422 with each fault at its field; 503 without a database.
    pub async fn add_destination(&self, actor: &Actor, draft: &DestinationDraft) -> Result<i64, Problem> {
        may_administer(actor)?;
        let checked = check::check(draft, self.around(false)).map_err(Problem::invalid)?;
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let id = tx.insert_destination(&checked.new, now).await.or_problem()?;
        if let Some(secret) = self.kept(id, &checked.secret)? {
            tx.put_secret(id, &secret).await.or_problem()?;
        }
        let what = kind_words(checked.new.settings.channel());
        let words = format!("{} is told by {what}", checked.new.name);
        let mut event = NewEvent::new(now, actor, "destination.added", words);
        event.environment.clone_from(&checked.new.environment);
        event.detail = detail(id, &checked.new.name, &checked.new.settings, &checked.secret);
        tx.commit(event).await.or_problem()?;
        Ok(id)
    }

    /// Changes a destination. What is sent with its secret to another server needs the secret again.
    ///
    /// # Errors
    /// 403; 404; 409 when there is another of this name; 422 with each fault at its field; 503 without a database.
    pub async fn change_destination(
        &self,
        actor: &Actor,
        id: i64,
        draft: &DestinationDraft,
    ) -> Result<(), Problem> {
        may_administer(actor)?;
        let before = self.store().destination(id).await.or_problem()?;
        let has_secret = before.secret != store::Secret::None;
        // The kind is the destination's own, whatever is sent.
        let draft = DestinationDraft { kind: kind_key(before.settings.channel()).into(), ..draft.clone() };
        let checked = check::check(&draft, self.around(has_secret)).map_err(Problem::invalid)?;
        if checked.secret == Secret::Keep && goes_elsewhere(&before.settings, &checked.new.settings) {
            return Err(Problem::invalid(vec![FieldError::new(
                "secret_from",
                "It would be sent to another server or for another user. Enter it again.",
            )]));
        }
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        tx.put_destination(id, &checked.new).await.or_problem()?;
        if let Some(secret) = self.kept(id, &checked.secret)? {
            tx.put_secret(id, &secret).await.or_problem()?;
        }
        let words = format!("How {} is told was changed", checked.new.name);
        let mut event = NewEvent::new(now, actor, "destination.changed", words);
        event.environment.clone_from(&checked.new.environment);
        event.detail = detail(id, &checked.new.name, &checked.new.settings, &checked.secret);
        tx.notify(store::NOTIFICATIONS_TOPIC);
        tx.commit(event).await.or_problem().map(drop)
    }

    /// Removes a destination and forgets its secret. What was told there stays in the log.
    ///
    /// # Errors
    /// 403; 404; 503 without a database.
    pub async fn remove_destination(&self, actor: &Actor, id: i64) -> Result<(), Problem> {
        may_administer(actor)?;
        let d = self.store().destination(id).await.or_problem()?;
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        tx.remove_destination(id, now).await.or_problem()?;
        let mut event =
            NewEvent::new(now, actor, "destination.removed", format!("{} is no longer told", d.name));
        event.environment = d.environment;
        event.detail = serde_json::json!({"destination": id, "name": d.name});
        tx.notify(store::NOTIFICATIONS_TOPIC);
        tx.commit(event).await.or_problem().map(drop)
    }

    /// Sends a message that says it is a test. Returns its number in the log, where it shows what came of it.
    ///
    /// # Errors
    /// 403; 404; 503 without a database.
    pub async fn test_destination(&self, actor: &Actor, id: i64) -> Result<i64, Problem> {
        may_administer(actor)?;
        let d = self.store().destination(id).await.or_problem()?;
        let now = self.now_utc();
        let message = Message {
            key: format!("test-{id}-{}", now.timestamp_micros()),
            title: format!("Tidegate can tell {}", d.name),
            words: format!("{} tried this destination out. Nothing has to be done.", actor.name),
            severity: Severity::Low,
            path: "/notifications".into(),
            release: None,
            service: None,
            environment: d.environment.clone(),
            what: Happened::Test,
            at: now,
        };
        let mut tx = self.store().begin().await.or_problem()?;
        let sent = tx.enqueue_to(id, &message).await.or_problem()?;
        if d.settings.channel() == Channel::Pagerduty {
            // A test opens an incident there, which nobody should have to close.
            let over = Message { what: Happened::Resolved, ..message };
            tx.enqueue_to(id, &over).await.or_problem()?;
        }
        let words = format!("A test was sent to {}", d.name);
        let mut event = NewEvent::new(now, actor, "destination.tested", words);
        event.environment = d.environment;
        event.detail = serde_json::json!({"destination": id, "notification": sent});
        tx.commit(event).await.or_problem()?;
        Ok(sent)
    }

    /// Has a message that waits or was given up tried at once, and for a day more.
    ///
    /// # Errors
    /// 403; 404; 409 when it was sent or its destination is gone; 503 without a database.
    pub async fn retry_notification(&self, actor: &Actor, id: i64) -> Result<(), Problem> {
        may_administer(actor)?;
        let n = self.store().notification(id).await.or_problem()?;
        let mut tx = self.store().begin().await.or_problem()?;
        tx.retry_notification(id).await.or_problem()?;
        let words = format!("“{}” is sent to {} again", n.message.title, n.destination_name);
        let mut event = NewEvent::new(self.now_utc(), actor, "notification.retried", words);
        event.environment = n.message.environment;
        event.service = n.message.service;
        event.detail = serde_json::json!({"notification": id, "destination": n.destination});
        tx.commit(event).await.or_problem().map(drop)
    }

    fn notifying(&self) -> &Notifying {
        &self.inner.config.notifying
    }

    fn around(&self, has_secret: bool) -> Around {
        let means = self.notifying();
        Around { loopback: means.loopback, sealing: means.key.is_some(), has_secret }
    }

    /// How a secret is kept; `None` where it stays as it is.
    fn kept(&self, id: i64, secret: &Secret) -> Result<Option<store::Secret>, Problem> {
        Ok(Some(match secret {
            Secret::Keep => return Ok(None),
            Secret::None => store::Secret::None,
            Secret::Variable(name) => store::Secret::Variable(name.clone()),
            Secret::Value(value) => {
                let sealed = self.notifying().key.as_ref().and_then(|key| key.seal(id, value));
                store::Secret::Sealed(sealed.ok_or_else(|| {
                    Problem::unavailable("The secret cannot be encrypted. Check TIDEGATE_SECRET_KEY.")
                })?)
            }
        }))
    }

    /// A destination's secret, to be sent with and nothing else; or why it cannot be had.
    fn secret_of(&self, d: &DestinationRecord) -> Result<String, String> {
        let means = self.notifying();
        match &d.secret {
            store::Secret::None => Ok(String::new()),
            store::Secret::Variable(name) => (means.variables)(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("The variable {name} is not set. Set it and restart Tidegate.")),
            store::Secret::Sealed(sealed) => match &means.key {
                None => Err("TIDEGATE_SECRET_KEY is not set, so its secret cannot be read.".to_owned()),
                Some(key) => key.open(d.id, sealed).ok_or_else(|| {
                    "Its secret cannot be read with this TIDEGATE_SECRET_KEY. Enter it again.".to_owned()
                }),
            },
        }
    }
}

/// Destinations are for all of Tidegate, so they are an administrator's of everything.
fn may_administer(actor: &Actor) -> Result<(), Problem> {
    actor.require(Action::Administer, "every environment")
}

/// Would a secret that stays be sent to somebody else than before? A signing key is never sent.
fn goes_elsewhere(before: &Settings, after: &Settings) -> bool {
    match (before, after) {
        (Settings::Pagerduty { endpoint: a }, Settings::Pagerduty { endpoint: b }) => a != b,
        (
            Settings::Email { host: a, port: b, security: c, user: d, .. },
            Settings::Email { host: e, port: f, security: g, user: h, .. },
        ) => (a, b, c, d) != (e, f, g, h),
        _ => false,
    }
}

fn detail(id: i64, name: &str, settings: &Settings, secret: &Secret) -> serde_json::Value {
    let secret = match secret {
        Secret::Keep => "unchanged".to_owned(),
        Secret::None => "none".to_owned(),
        Secret::Variable(name) => format!("variable {name}"),
        Secret::Value(_) => "encrypted".to_owned(),
    };
    serde_json::json!({
        "destination": id, "name": name, "kind": settings.channel(), "target": target(settings), "secret": secret,
    })
}

fn kind_words(channel: Channel) -> &'static str {
    match channel {
        Channel::Slack => "Slack",
        Channel::Pagerduty => "PagerDuty",
        Channel::Email => "e-mail",
        Channel::Webhook => "webhook",
    }
}
