//! What the incidents' pages show. Read only.

use super::public::ENVIRONMENT;
use crate::Control;
use crate::error::OrProblem as _;
use crate::read::see;
use crate::releases::deed;
use chrono::TimeDelta;
use model::audit::Event;
use model::incident::{BEFORE, Entry, Incident};
use model::release::Release;
use model::view::{
    AlarmPage, Deed, IncidentBrief, IncidentItem, IncidentPage, IncidentRelease, IncidentsFilter,
    IncidentsPage,
};
use model::{Action, Actor, IncidentId, Problem, ReleaseId};
use std::collections::BTreeSet;
use store::IncidentFilter;

/// Incidents on one page.
const PAGE: usize = 50;
/// What the figures of the list are computed from.
const FIGURES: i64 = 500;
const MONTH: TimeDelta = TimeDelta::days(30);
/// Lines of a timeline.
const EVENTS: i64 = 200;
/// Incidents named on the page of a service or a release.
const NAMED: i64 = 5;

impl Control {
    /// Postgres did when it was last asked.
    fn answers(&self) -> bool {
        self.inner.database.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// A page of incidents, newest first.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn incidents(&self, actor: &Actor, filter: IncidentsFilter) -> Result<IncidentsPage, Problem> {
        see(actor)?;
        let asked = IncidentFilter {
            state: filter.state,
            severity: filter.severity,
            text: filter.q.clone().map(|q| q.trim().to_owned()),
            before: filter.before.map(IncidentId),
            ..IncidentFilter::default()
        };
        let limit = i64::try_from(PAGE).unwrap_or(50) + 1;
        let mut rows = self.store().incidents(&asked, limit).await.or_problem()?;
        let more = rows.len() > PAGE;
        rows.truncate(PAGE);
        let now = self.now_utc();
        let all = self.store().incidents(&IncidentFilter::default(), FIGURES).await.or_problem()?;
        let in_state = |state| all.iter().filter(|i| i.state == state).count();
        let month: Vec<_> = all.iter().filter(|i| now - i.began < MONTH).collect();
        Ok(IncidentsPage {
            next: if more { rows.last().map(|i| i.id.0) } else { None },
            rows,
            filter,
            open: in_state(model::incident::State::Open),
            watching: in_state(model::incident::State::Watching),
            month: month.len(),
            month_releases: month.iter().filter(|i| i.release.is_some()).count(),
            median_seconds: median(
                month.iter().filter(|i| i.ended()).map(|i| i.lasted(now).num_seconds()).collect(),
            ),
            open_one: may_open(actor),
            age: self.age(),
        })
    }

    /// The form to open an incident, about a release where one is named.
    ///
    /// # Errors
    /// 403; 404 for a release that there is not; 503 without a database.
    pub async fn alarm(&self, actor: &Actor, release: Option<ReleaseId>) -> Result<AlarmPage, Problem> {
        see(actor)?;
        let release = match release {
            Some(id) => Some(about(self.store().release(id).await.or_problem()?)),
            None => None,
        };
        let mut services = BTreeSet::new();
        for cluster in self.clusters() {
            let all = cluster.workloads();
            let may = all.iter().filter(|w| actor.may(Action::OpenIncident, &w.environment));
            services.extend(may.map(|w| (w.service.clone(), w.environment.clone())));
        }
        let services = services.into_iter().collect();
        Ok(AlarmPage { release, services, open_one: may_open(actor), age: self.age() })
    }

    /// The records themselves, as REST lists them, newest first; up to 500.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn incident_records(
        &self,
        actor: &Actor,
        filter: &IncidentsFilter,
        limit: i64,
    ) -> Result<Vec<Incident>, Problem> {
        see(actor)?;
        let asked = IncidentFilter {
            state: filter.state,
            severity: filter.severity,
            text: filter.q.clone(),
            before: filter.before.map(IncidentId),
            ..IncidentFilter::default()
        };
        self.store().incidents(&asked, limit.clamp(1, 500)).await.or_problem()
    }

    /// An incident, and what people wrote about it, oldest first.
    ///
    /// # Errors
    /// 403; 404; 503 without a database.
    pub async fn incident_record(
        &self,
        actor: &Actor,
        id: IncidentId,
    ) -> Result<(Incident, Vec<Entry>), Problem> {
        see(actor)?;
        let incident = self.store().incident(id).await.or_problem()?;
        let entries = self.store().incident_entries(&[id]).await.or_problem()?;
        Ok((incident, entries.into_iter().map(|(_, entry)| entry).collect()))
    }

    /// An incident with everything its page shows.
    ///
    /// # Errors
    /// 403; 404; 503 without a database.
    pub async fn incident(&self, actor: &Actor, id: IncidentId) -> Result<IncidentPage, Problem> {
        let (incident, entries) = self.incident_record(actor, id).await?;
        let now = self.now_utc();
        let release = match incident.release {
            Some(id) => self.store().release(id).await.ok().map(about),
            None => None,
        };
        let until = incident.resolved.unwrap_or(now);
        let events = self
            .store()
            .incident_events(&incident, incident.began - BEFORE, until, EVENTS)
            .await
            .or_problem()?;
        let run = deed(actor.require(Action::RunIncident, &incident.environment));
        let tell = match incident.environment == ENVIRONMENT {
            true => run.clone(),
            false => Deed::no(format!("The public page tells of {ENVIRONMENT} only.")),
        };
        let mut updates: Vec<_> = entries.into_iter().filter(|e| e.update.is_some()).collect();
        updates.reverse();
        Ok(IncidentPage {
            timeline: timeline(&incident, &events),
            people: if run.allowed { self.may_lead(&incident.environment).await? } else { Vec::new() },
            me: actor.person,
            note: deed(actor.require(Action::OpenIncident, &incident.environment)),
            run,
            tell,
            incident,
            release,
            updates,
            age: self.age(),
        })
    }

    /// How many are not resolved; 0 while Postgres is down.
    pub(crate) async fn unresolved(&self) -> u32 {
        if !self.answers() {
            return 0;
        }
        u32::try_from(self.store().count_incidents().await.unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

fn may_open(actor: &Actor) -> Deed {
    if actor.may_somewhere(Action::OpenIncident) {
        return Deed::yes();
    }
    deed(actor.require(Action::OpenIncident, "any environment"))
}

fn about(r: Release) -> IncidentRelease {
    IncidentRelease {
        id: r.id,
        from_version: r.good_version(),
        version: r.version(),
        service: r.service,
        state: r.state,
        turned_back: r.turned_back,
        ended: r.ended,
        reason: r.reason,
    }
}

/// What other pages name: newest first; none while Postgres is down, without waiting for it.
pub(crate) async fn briefs(control: &Control, filter: IncidentFilter) -> Vec<IncidentBrief> {
    if !control.answers() {
        return Vec::new();
    }
    let found = control.store().incidents(&filter, NAMED).await.unwrap_or_default();
    found.iter().map(IncidentBrief::from).collect()
}

/// The history's part in it, newest first. One that a policy opened has no opening of its own there: it is told from the
/// incident.
fn timeline(incident: &Incident, events: &[Event]) -> Vec<IncidentItem> {
    let mut items: Vec<_> = events
        .iter()
        .filter(|e| mine(incident, e))
        .map(|e| IncidentItem {
            at: e.event.at,
            actor: e.event.actor.clone(),
            action: e.event.action.clone(),
            summary: e.event.summary.clone(),
            words: e.event.reason.clone().filter(|r| !r.is_empty()),
            seq: Some(e.seq),
        })
        .collect();
    if !items.iter().any(|i| i.action == "incident.opened") {
        let opened = IncidentItem {
            at: incident.opened,
            actor: incident.opened_by.clone(),
            action: "incident.opened".to_owned(),
            summary: format!("Incident {} opened, severity {}", incident.id, incident.severity.key()),
            words: None,
            seq: None,
        };
        let at = items.iter().position(|i| i.at <= opened.at).unwrap_or(items.len());
        items.insert(at, opened);
    }
    items
}

/// Events of another incident about the same release are not part of this one's.
fn mine(incident: &Incident, e: &Event) -> bool {
    !e.event.action.starts_with("incident.")
        || e.event.detail.get("incident").and_then(serde_json::Value::as_i64) == Some(incident.id.0)
}

fn median(mut seconds: Vec<i64>) -> Option<i64> {
    seconds.sort_unstable();
    let middle = seconds.len() / 2;
    match seconds.len() % 2 {
        _ if seconds.is_empty() => None,
        1 => seconds.get(middle).copied(),
        _ => Some((seconds.get(middle - 1)? + seconds.get(middle)?) / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![4, 1, 9, 6]), Some(5));
    }
}
