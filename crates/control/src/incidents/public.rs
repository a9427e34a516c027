//! What the public gets to read about incidents: written by people, checked for names, kept ready in memory by the
//! status page.

use super::{Done, PublicUpdate};
use crate::Control;
use crate::error::OrProblem as _;
use chrono::{DateTime, Utc};
use model::incident::{Entry, Impact, Incident, Known, Shown, State, TITLE, WORDS, leak, text};
use model::view::{ComponentStatus, Notice};
use model::{Actor, FieldError, IncidentId, Problem, Role};

/// Environment whose users read the public page.
pub(crate) const ENVIRONMENT: &str = "production";

impl Control {
    /// Tells the public, and puts the incident on the public page if it is not there.
    ///
    /// # Errors
    /// 403; 404; 409 when it was changed since `expected`; 422 at the field whose words name a revision, a pod, a host
    /// or a person, or that says an unresolved incident is over; 503.
    pub async fn tell_public(
        &self,
        actor: &Actor,
        id: IncidentId,
        expected: Option<i64>,
        update: PublicUpdate,
    ) -> Result<Incident, Problem> {
        let incident = self.runs(actor, id).await?;
        let mut wrong = Vec::new();
        let words = text("words", &update.words, WORDS, true, &mut wrong);
        let headline = update.headline.map(|h| text("headline", &h, TITLE, true, &mut wrong));
        for (field, said) in [("words", Some(&words)), ("headline", headline.as_ref())] {
            if let Some(said) = said.filter(|_| wrong.iter().all(|w| w.field != field))
                && let Some(why) = self.leaks(&incident, said).await?
            {
                wrong.push(FieldError::new(field, why));
            }
        }
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        self.change(actor, id, expected, |i, now| {
            tellable(i)?;
            let over = i.state == State::Resolved;
            if over != (update.shown == Shown::Resolved) {
                let why = if over {
                    "The incident is resolved. Reopen it before you say that it goes on."
                } else {
                    "The incident is not resolved. Resolve it: the public is told so then."
                };
                return Err(Problem::invalid(vec![FieldError::new("shown", why)]));
            }
            i.public = true;
            i.headline = headline.unwrap_or_else(|| i.headline.clone());
            let summary = format!("Public told: {}", update.shown.words().to_lowercase());
            let mut done = Done::new("incident.told", summary).saying(&words);
            let told = Some((update.shown, update.impact));
            done.entry = Some(Entry { at: now, author: actor.name.clone(), words, update: told });
            Ok(Some(done))
        })
        .await
    }

    /// Puts an incident on the public page, or takes it off.
    ///
    /// # Errors
    /// 403; 404; 409 when it is so already, was changed since `expected`, or is of no interest to the public; 503.
    pub async fn publish_incident(
        &self,
        actor: &Actor,
        id: IncidentId,
        expected: Option<i64>,
        public: bool,
    ) -> Result<Incident, Problem> {
        self.change(actor, id, expected, |i, _| {
            if i.public == public {
                return Err(Problem::conflict(if public {
                    "It is on the public page already."
                } else {
                    "It is not on the public page."
                }));
            }
            if public {
                tellable(i)?;
            }
            i.public = public;
            let (action, words) = if public {
                ("incident.published", "Put on the public page")
            } else {
                ("incident.unpublished", "Taken off the public page")
            };
            Ok(Some(Done::new(action, words)))
        })
        .await
    }

    /// What in these words the public must not read; `None` when they may be told.
    pub(super) async fn leaks(&self, incident: &Incident, words: &str) -> Result<Option<String>, Problem> {
        if words.is_empty() {
            return Ok(None);
        }
        let people = self.store().people().await.or_problem()?;
        // An account called like a role or like the service names nobody.
        let plain = |name: &String| {
            Role::ALL.into_iter().all(|r| !name.eq_ignore_ascii_case(r.words()))
                && !name.eq_ignore_ascii_case(&incident.service)
        };
        let people = people.into_iter().flat_map(|p| [p.name, p.email]).filter(plain).collect();
        let mut machines = Vec::new();
        for cluster in self.clusters() {
            for w in cluster.workloads().iter().filter(|w| w.service == incident.service) {
                machines.extend(w.revisions.iter().map(|r| r.hash.clone()));
            }
        }
        Ok(leak(words, &Known { people, machines }))
    }
}

/// # Errors
/// 409 for an incident whose users do not read the public page.
fn tellable(i: &Incident) -> Result<(), Problem> {
    if i.environment == ENVIRONMENT {
        return Ok(());
    }
    Err(Problem::conflict(format!(
        "The public page tells of {ENVIRONMENT} only; this is about {}.",
        i.environment
    )))
}

/// What the public is told when a public incident moves on.
pub(super) fn moved(i: &Incident, to: State, words: &str, actor: &Actor, now: DateTime<Utc>) -> Entry {
    let (shown, general) = match to {
        State::Open => (Shown::Investigating, "It is not over yet. We are looking into it."),
        State::Watching => (Shown::Monitoring, "It should work again. We are watching it."),
        State::Resolved => (Shown::Resolved, "It is over."),
    };
    let words = if words.is_empty() { general } else { words };
    let update = Some((shown, Impact::of(i.severity)));
    Entry { at: now, author: actor.name.clone(), words: words.to_owned(), update }
}

/// The incident as the public page shows it, from what was told of it, oldest first.
pub(crate) fn notice(i: &Incident, told: &[Entry]) -> Notice {
    let mut updates: Vec<_> = told
        .iter()
        .filter_map(|e| e.update.map(|(shown, _)| (e.at, shown.key().to_owned(), e.words.clone())))
        .collect();
    // Published before anybody found words: what is certain is that it is known.
    if updates.is_empty() {
        let (shown, words, at) = match i.state {
            State::Open => (Shown::Investigating, "We are looking into it.", i.opened),
            State::Watching => (Shown::Monitoring, "It should work again.", i.watching.unwrap_or(i.opened)),
            State::Resolved => (Shown::Resolved, "It is over.", i.resolved.unwrap_or(i.opened)),
        };
        updates.push((at, shown.key().to_owned(), words.to_owned()));
    }
    updates.reverse();
    let (updated, status, _) = updates.first().cloned().unwrap_or((i.opened, String::new(), String::new()));
    Notice {
        id: format!("incident-{}", i.id),
        name: i.headline.clone(),
        status,
        impact: impact(i, told).key().to_owned(),
        created: i.began,
        updated,
        resolved: i.resolved,
        updates,
    }
}

fn impact(i: &Incident, told: &[Entry]) -> Impact {
    told.iter().rev().find_map(|e| e.update).map_or_else(|| Impact::of(i.severity), |(_, impact)| impact)
}

/// What a public incident that is not resolved makes of its component: never green, whatever the cluster looks like.
pub(crate) fn felt(i: &Incident, told: &[Entry]) -> ComponentStatus {
    match impact(i, told) {
        // Fixed as far as is known: no longer an outage, and not green before somebody says that it is over.
        _ if i.state == State::Watching => ComponentStatus::DegradedPerformance,
        Impact::None | Impact::Minor => ComponentStatus::DegradedPerformance,
        Impact::Major => ComponentStatus::PartialOutage,
        Impact::Critical => ComponentStatus::MajorOutage,
    }
}
