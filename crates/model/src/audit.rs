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

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    fn event(n: i64) -> NewEvent {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::microseconds(n);
        let mut e = NewEvent::new(
            at,
            &crate::Actor::system("conductor"),
            "release.weight.raised",
            format!("Weight {n} %."),
        );
        e.release = Some(ReleaseId(318));
        e.detail = json!({"n": n, "share": 0.25});
        e
    }

    fn chain(size: i64) -> Vec<Event> {
        let mut previous = GENESIS.to_owned();
        (1..=size)
            .map(|n| {
                let (seq, event) = (Seq(n), event(n));
                let hash = hash(seq, &previous, &event);
                let previous = std::mem::replace(&mut previous, hash.clone());
                Event { seq, event, previous, hash }
            })
            .collect()
    }

    fn verify(events: &[Event]) -> Verified {
        let mut verifier = Verifier::default();
        events.iter().for_each(|e| verifier.push(e));
        verifier.finish()
    }

    #[test]
    fn an_unbroken_chain_verifies_and_names_its_root() {
        let events = chain(5);
        let found = verify(&events);
        assert_eq!((found.ok, found.size, found.broken), (true, 5, None));
        assert_eq!(found.root, events[4].hash);
        assert_eq!(verify(&[]), Verified { ok: true, size: 0, root: GENESIS.into(), broken: None });
    }

    #[test]
    fn the_hash_is_of_the_whole_event_and_never_changes_by_itself() {
        // Computed by another program. A change of this value would break every chain that was ever written.
        assert_eq!(
            hash(Seq(1), GENESIS, &event(1)),
            "a452ca51a8a4bf7afce3eaa544a00cdffddcd516f17b45fc51227326d638f9ec"
        );
    }

    #[test]
    fn an_event_survives_being_written_and_read() {
        for e in chain(3) {
            let read: Event = serde_json::from_str(&serde_json::to_string(&e).unwrap()).unwrap();
            assert_eq!(hash(read.seq, &read.previous, &read.event), e.hash);
        }
    }

    #[test]
    fn what_was_done_to_a_chain_is_told() {
        let mut missing = chain(5);
        missing.remove(2);
        let broken = verify(&missing).broken.unwrap();
        assert_eq!((broken.seq, broken.why.as_str()), (Seq(4), "event 3 is missing: 4 follows 2"));
        let mut changed = chain(5);
        changed[2].event.summary.push('!');
        let broken = verify(&changed).broken.unwrap();
        assert_eq!(broken.seq, Seq(3));
        assert!(broken.why.contains("changed after it was written"));
        let mut rehashed = changed;
        rehashed[2].hash = hash(Seq(3), &rehashed[2].previous, &rehashed[2].event);
        let broken = verify(&rehashed).broken.unwrap();
        assert_eq!((broken.seq, broken.why.as_str()), (Seq(4), "it does not name the event before it"));
    }

    type Change = (&'static str, fn(&mut NewEvent));

    fn fields() -> Vec<Change> {
        vec![
            ("at", |e| e.at += TimeDelta::microseconds(1)),
            ("actor", |e| e.actor.push('x')),
            ("person", |e| e.person = Some(9)),
            ("via", |e| e.via = Via::Api),
            ("action", |e| e.action.push('x')),
            ("environment", |e| e.environment = Some("x".into())),
            ("service", |e| e.service = Some("x".into())),
            ("plan", |e| e.plan = Some(PlanId(9))),
            ("release", |e| e.release = Some(ReleaseId(9))),
            ("summary", |e| e.summary.push('x')),
            ("reason", |e| e.reason = Some("x".into())),
            ("detail", |e| e.detail = json!({"n": 99})),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Invariant 7, the half that hashes can show: any change of any field of any event is found.
        #[test]
        fn no_field_can_be_changed_unseen(size in 1i64..20, which in any::<prop::sample::Index>(), field in any::<prop::sample::Index>()) {
            let mut events = chain(size);
            let at = which.index(events.len());
            let all = fields();
            let (name, change) = all[field.index(all.len())];
            change(&mut events[at].event);
            let found = verify(&events);
            prop_assert!(!found.ok, "{}", name);
            prop_assert_eq!(found.broken.map(|b| b.seq), Some(Seq(at as i64 + 1)));
        }

        #[test]
        fn no_two_events_can_change_places_unseen(size in 2i64..20, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let mut events = chain(size);
            let (a, b) = (a.index(events.len()), b.index(events.len()));
            prop_assume!(a != b);
            events.swap(a, b);
            prop_assert!(!verify(&events).ok);
        }
    }
}
