//! The audit chain: each event's hash covers the event and the hash before it, so a changed, removed or
//! reordered row breaks every hash after it. What a plain chain cannot show, a cut tail, the root and size
//! that `verify` returns can be compared against.

use crate::canonical;
use crate::ids::{PlanId, ReleaseId, Seq};
use crate::role::Via;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The hash before the first event.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An event about to be recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When it happened; for a journalled rollback earlier than when it was recorded. Whole microseconds.
    pub at: DateTime<Utc>,
    pub actor: String,
    pub person: Option<i64>,
    pub via: Via,
    /// Dotted verb, subject first: `plan.created`, `release.weight.raised`, `rollback.accepted`.
    pub action: String,
    pub environment: Option<String>,
    pub service: Option<String>,
    pub plan: Option<PlanId>,
    pub release: Option<ReleaseId>,
    /// One sentence for people, as the timeline shows it.
    pub summary: String,
    /// Why, where a person gave a reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Facts for programs. Never secrets, never whole templates.
    #[serde(default)]
    pub detail: Value,
}

impl NewEvent {
    pub fn new(
        at: DateTime<Utc>,
        actor: &crate::Actor,
        action: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            at,
            actor: actor.name.clone(),
            person: actor.person.map(|p| p.0),
            via: actor.via,
            action: action.into(),
            environment: None,
            service: None,
            plan: None,
            release: None,
            summary: summary.into(),
            reason: None,
            detail: Value::Null,
        }
    }
}

/// An event in the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub seq: Seq,
    #[serde(flatten)]
    pub event: NewEvent,
    pub previous: String,
    pub hash: String,
}

/// The hash of an event at `seq` after `previous`: SHA-256 over canonical JSON of all three, in lower-case hex.
pub fn hash(seq: Seq, previous: &str, event: &NewEvent) -> String {
    let value = json!({
        "seq": seq.0,
        "previous": previous,
        "at": event.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "actor": event.actor,
        "person": event.person,
        "via": event.via,
        "action": event.action,
        "environment": event.environment,
        "service": event.service,
        "plan": event.plan,
        "release": event.release,
        "summary": event.summary,
        "reason": event.reason,
        "detail": event.detail,
    });
    canonical::digest(&value).0.trim_start_matches("sha256:").to_owned()
}

/// What verifying a chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    pub ok: bool,
    /// Events read.
    pub size: i64,
    /// Hash of the last event: quote it elsewhere, and a cut tail shows.
    pub root: String,
    /// The first event that does not fit, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// The first fault in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub seq: Seq,
    pub why: String,
}

/// Verifies events handed over in order, a page at a time, so that a long chain needs no memory.
#[derive(Clone, Debug)]
pub struct Verifier {
    size: i64,
    root: String,
    broken: Option<Broken>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { size: 0, root: GENESIS.to_owned(), broken: None }
    }
}

impl Verifier {
    pub fn push(&mut self, e: &Event) {
        let expected = Seq(self.size + 1);
        if self.broken.is_none() {
            let why = if e.seq != expected {
                Some(format!("event {expected} is missing: {} follows {}", e.seq, self.size))
            } else if e.previous != self.root {
                Some("it does not name the event before it".to_owned())
            } else if hash(e.seq, &e.previous, &e.event) != e.hash {
                Some("its content does not match its hash: it was changed after it was written".to_owned())
            } else {
                None
            };
            self.broken = why.map(|why| Broken { seq: e.seq, why });
        }
        self.size += 1;
        self.root.clone_from(&e.hash);
    }

    pub fn finish(self) -> Verified {
        Verified { ok: self.broken.is_none(), size: self.size, root: self.root, broken: self.broken }
    }
}
