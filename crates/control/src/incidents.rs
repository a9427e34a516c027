//! Incidents: opened by hand, led, told to the public, ended. Each deed is one change with its event; a deed on a version
//! that somebody changed meanwhile is refused.

mod follow;
mod public;
mod read;

use crate::Control;
use crate::error::OrProblem as _;
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::incident::{Entry, Impact, Incident, Lead, NewIncident, Shown, State, TITLE, WORDS, text};
use model::policy::Severity;
use model::workload::Key;
use model::{Action, Actor, FieldError, IncidentId, PersonId, Problem, ReleaseId, Role};

pub(crate) use follow::FIRING;
pub(crate) use public::{ENVIRONMENT, felt, notice};
pub(crate) use read::briefs;

/// An alarm, as somebody raises it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    pub title: String,
    pub severity: Severity,
    /// What users feel, as far as it is known; may be empty.
    pub impact: String,
    /// With a release these two are the release's.
    pub service: String,
    pub environment: String,
    pub release: Option<ReleaseId>,
}

/// What somebody wants said to the public.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicUpdate {
    /// What the public page calls the incident; `None` leaves it as it is.
    pub headline: Option<String>,
    pub shown: Shown,
    pub impact: Impact,
    pub words: String,
}

/// A change of what an incident says about itself. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentEdit {
    pub title: Option<String>,
    pub severity: Option<Severity>,
    pub impact: Option<String>,
}

/// What a deed leaves in the history.
struct Done {
    action: &'static str,
    summary: String,
    /// What somebody wrote with it.
    words: Option<String>,
    /// Kept with the incident.
    entry: Option<Entry>,
}

impl Done {
    fn new(action: &'static str, summary: impl Into<String>) -> Self {
        Self { action, summary: summary.into(), words: None, entry: None }
    }

    fn saying(self, words: &str) -> Self {
        Self { words: Some(words.to_owned()).filter(|w| !w.is_empty()), ..self }
    }
}

impl Control {
    /// Opens an incident by hand. Whoever is on call gets the lead; one who is on call and opens it leads it.
    ///
    /// # Errors
    /// 403; 404 for a release that there is not; 422 with every broken rule at its field; 503 without a database.
    pub async fn open_incident(&self, actor: &Actor, alarm: Alarm) -> Result<IncidentId, Problem> {
        if !actor.may_somewhere(Action::OpenIncident) {
            actor.require(Action::OpenIncident, "any environment")?;
        }
        let mut wrong = Vec::new();
        let title = text("title", &alarm.title, TITLE, true, &mut wrong);
        let impact = text("impact", &alarm.impact, WORDS, false, &mut wrong);
        let (service, environment, workload) = match alarm.release {
            Some(id) => {
                let r = self.store().release(id).await.or_problem()?;
                (r.service, r.environment, Some(r.workload))
            }
            None => {
                let (service, environment) = (alarm.service.trim(), alarm.environment.trim());
                let workload = self.service_there(service, environment, &mut wrong);
                (service.to_owned(), environment.to_owned(), workload)
            }
        };
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        actor.require(Action::OpenIncident, &environment)?;
        let now = self.now_utc();
        let leads = actor.holds(Role::OnCall, &environment);
        let new = NewIncident {
            key: None,
            title,
            severity: alarm.severity,
            impact,
            public: false,
            service,
            environment,
            workload,
            release: alarm.release,
            policy: None,
            auto_assign: true,
            lead: actor.person.filter(|_| leads).map(|id| (id, actor.name.clone())),
            began: now,
            opened: now,
            opened_by: actor.name.clone(),
        };
        let mut tx = self.store().begin().await.or_problem()?;
        let id = tx.open_incident(&new).await.or_problem()?;
        let incident = Incident::new(id, &new, None);
        let severity = new.severity.key();
        let done =
            Done::new("incident.opened", format!("Incident {id} opened, severity {severity}: {}", new.title))
                .saying(&new.impact);
        tx.commit(event(actor, &incident, done, now)).await.or_problem()?;
        Ok(id)
    }

    /// The workload of a service; its absence is named in `wrong`. A service may have several: then none is named.
    fn service_there(&self, service: &str, environment: &str, wrong: &mut Vec<FieldError>) -> Option<Key> {
        let mut found = Vec::new();
        for cluster in self.clusters() {
            let all = cluster.workloads();
            let of_it = all.iter().filter(|w| w.service == service && w.environment == environment);
            found.extend(of_it.map(|w| w.key.clone()));
        }
        if found.is_empty() {
            let words = if service.is_empty() || environment.is_empty() {
                "Choose the service that users have trouble with, and its environment.".to_owned()
            } else {
                format!("There is no service `{service}` in {environment}. See Services for those there are.")
            };
            wrong.push(FieldError::new("service", words));
        }
        found.pop().filter(|_| found.is_empty())
    }

    /// Changes title, severity or impact.
    ///
    /// # Errors
    /// 403; 404; 409 when it was changed since `expected`; 422; 503 without a database.
    pub async fn edit_incident(
        &self,
        actor: &Actor,
        id: IncidentId,
        expected: Option<i64>,
        edit: IncidentEdit,
    ) -> Result<Incident, Problem> {
        self.runs(actor, id).await?;
        let mut wrong = Vec::new();
        let title = edit.title.map(|t| text("title", &t, TITLE, true, &mut wrong));
        let impact = edit.impact.map(|t| text("impact", &t, WORDS, false, &mut wrong));
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        self.change(actor, id, expected, |i, _| {
            let mut said = Vec::new();
            if let Some(severity) = edit.severity.filter(|s| *s != i.severity) {
                let key = model::policy::Severity::key;
                said.push(format!("severity {} to {}", key(i.severity), key(severity)));
                i.severity = severity;
            }
            if let Some(title) = title.filter(|t| *t != i.title) {
                said.push(format!("now called “{title}”"));
                i.title = title;
            }
            let mut words = String::new();
            if let Some(impact) = impact.filter(|t| *t != i.impact) {
                said.push("what users feel".to_owned());
                words.clone_from(&impact);
                i.impact = impact;
            }
            if said.is_empty() {
                return Ok(None);
            }
            let summary = format!("Incident {id} changed: {}", said.join(", "));
            Ok(Some(Done::new("incident.changed", summary).saying(&words)))
        })
        .await
    }

    /// Gives the lead to a person, who may be oneself, or back to whoever is on call.
    ///
    /// # Errors
    /// 403; 404; 409 when it was changed since `expected`; 422 for somebody who may not lead it; 503.
    pub async fn lead_incident(
        &self,
        actor: &Actor,
        id: IncidentId,
        expected: Option<i64>,
        to: Option<PersonId>,
    ) -> Result<Incident, Problem> {
        let incident = self.runs(actor, id).await?;
        let people = self.may_lead(&incident.environment).await?;
        let to = match to {
            None => None,
            Some(to) => match people.into_iter().find(|(id, _)| *id == to) {
                Some(found) => Some(found),
                None => {
                    let words = "Choose somebody who may lead incidents here: release managers and on-call.";
                    return Err(Problem::invalid(vec![FieldError::new("person", words)]));
                }
            },
        };
        self.change(actor, id, expected, |i, now| {
            let before = i.lead.as_ref().map(|l| l.person);
            if before == to.as_ref().map(|t| t.0) && (to.is_some() || i.on_call) {
                return Ok(None);
            }
            let summary = match &to {
                Some((person, _)) if Some(*person) == actor.person => format!("{} took the lead", actor.name),
                Some((_, name)) => format!("{name} got the lead"),
                None => "The lead went to whoever is on call".to_owned(),
            };
            i.on_call = to.is_none();
            i.lead = to.map(|(person, name)| Lead { person, name, since: now });
            Ok(Some(Done::new("incident.lead", summary)))
        })
        .await
    }

    /// Everybody who may lead incidents in an environment, by name.
    async fn may_lead(&self, environment: &str) -> Result<Vec<(PersonId, String)>, Problem> {
        let people = self.store().people().await.or_problem()?;
        let may = |p: &store::Person| {
            let grants = p.grants.clone();
            let actor = Actor { person: Some(p.id), name: String::new(), grants, via: model::Via::System };
            !p.disabled && actor.may(Action::RunIncident, environment)
        };
        Ok(people.into_iter().filter(may).map(|p| (p.id, p.name)).collect())
    }

    /// Watches, resolves or reopens. A public incident's end and its return are told to the public in the same moment, in
    /// `words` or in general ones, so that the public page never says less than is known.
    ///
    /// # Errors
    /// 403; 404; 409 when it is there already or was changed since `expected`; 422 for words that the public must not
    /// read; 503.
    pub async fn move_incident(
        &self,
        actor: &Actor,
        id: IncidentId,
        expected: Option<i64>,
        to: State,
        words: Option<String>,
    ) -> Result<Incident, Problem> {
        let incident = self.runs(actor, id).await?;
        let mut wrong = Vec::new();
        let words = text("words", words.as_deref().unwrap_or_default(), WORDS, false, &mut wrong);
        if let Some(why) = self.leaks(&incident, &words).await? {
            wrong.push(FieldError::new("words", why));
        }
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        self.change(actor, id, expected, |i, now| {
            i.go(to, &actor.name, now)?;
            let (action, summary) = match to {
                State::Open => ("incident.reopened", format!("Incident {id} reopened")),
                State::Watching => ("incident.watched", format!("Incident {id} is fixed and watched")),
                State::Resolved => ("incident.resolved", format!("Incident {id} resolved")),
            };
            let mut done = Done::new(action, summary).saying(&words);
            if i.public {
                done.entry = Some(public::moved(i, to, &words, actor, now));
            }
            Ok(Some(done))
        })
        .await
    }

    /// Adds a note, for those who work on it.
    ///
    /// # Errors
    /// 403; 404; 422; 503 without a database.
    pub async fn note_incident(&self, actor: &Actor, id: IncidentId, words: &str) -> Result<(), Problem> {
        let incident = self.store().incident(id).await.or_problem()?;
        actor.require(Action::OpenIncident, &incident.environment)?;
        let mut wrong = Vec::new();
        let words = text("words", words, WORDS, true, &mut wrong);
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        let now = self.now_utc();
        let entry = Entry { at: now, author: actor.name.clone(), words: words.clone(), update: None };
        let mut tx = self.store().begin().await.or_problem()?;
        tx.insert_incident_entry(id, &entry).await.or_problem()?;
        let done = Done::new("incident.noted", "Note").saying(&words);
        tx.commit(event(actor, &incident, done, now)).await.or_problem()?;
        Ok(())
    }

    /// The incident, for whoever may run it: asked before anything that was sent is looked at.
    async fn runs(&self, actor: &Actor, id: IncidentId) -> Result<Incident, Problem> {
        let incident = self.store().incident(id).await.or_problem()?;
        actor.require(Action::RunIncident, &incident.environment)?;
        Ok(incident)
    }

    /// Reads an incident, lets `deed` change it, and writes it with its event. Nothing is written where nothing changes.
    async fn change(
        &self,
        actor: &Actor,
        id: IncidentId,
        expected: Option<i64>,
        deed: impl FnOnce(&mut Incident, DateTime<Utc>) -> Result<Option<Done>, Problem> + Send,
    ) -> Result<Incident, Problem> {
        let mut incident = self.runs(actor, id).await?;
        if let Some(expected) = expected.filter(|e| *e != incident.version) {
            return Err(Problem::conflict(format!(
                "Incident {id} was changed meanwhile: it is at version {}, not {expected}. Look at it again, then \
                 repeat your change.",
                incident.version
            )));
        }
        let now = self.now_utc();
        let Some(done) = deed(&mut incident, now)? else { return Ok(incident) };
        let mut tx = self.store().begin().await.or_problem()?;
        incident.version = tx.put_incident(&incident).await.or_problem()?;
        if let Some(entry) = &done.entry {
            tx.insert_incident_entry(id, entry).await.or_problem()?;
        }
        tx.commit(event(actor, &incident, done, now)).await.or_problem()?;
        Ok(incident)
    }
}

fn event(actor: &Actor, incident: &Incident, done: Done, now: DateTime<Utc>) -> NewEvent {
    let mut event = NewEvent::new(now, actor, done.action, done.summary);
    event.service = Some(incident.service.clone());
    event.environment = Some(incident.environment.clone());
    event.release = incident.release;
    event.reason = done.words;
    let told = done.entry.and_then(|e| e.update);
    event.detail = serde_json::json!({
        "incident": incident.id,
        "version": incident.version,
        "state": incident.state,
        "severity": incident.severity,
        "public": incident.public,
        "shown": told.map(|(shown, _)| shown),
        "impact": told.map(|(_, impact)| impact),
    });
    event
}
