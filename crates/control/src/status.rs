//! The public status page's data: kept ready in memory, so that it is answered without Postgres and at any load.
//!
//! Never greener than its data (invariant 9): what is not known lately is unknown, not operational.

use crate::error::OrProblem as _;
use crate::incidents::{ENVIRONMENT, felt, notice as told_notice};
use crate::{Control, read_lock, write_lock};
use chrono::{DateTime, TimeDelta, Utc};
use model::incident::Entry;
use model::release::{Course, Release, State};
use model::verdict::Class;
use model::view::{Component, ComponentStatus, Notice, StatusPage};
use model::workload::{Phase, Workload};
use model::{IncidentId, ReleaseId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Data older than this says nothing about now.
const STALE: TimeDelta = TimeDelta::seconds(60);
/// A notice stays on the page this long after it was resolved.
const TOLD_FOR: TimeDelta = TimeDelta::hours(24);
const TICK: Duration = Duration::from_secs(5);
/// Incidents told, at most.
const TOLD: i64 = 50;

/// What is known between two looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    notices: Vec<Notice>,
    /// What public incidents that are not over make of their services.
    felt: BTreeMap<String, ComponentStatus>,
    /// Since when each component has had its status.
    since: BTreeMap<String, (ComponentStatus, DateTime<Utc>)>,
}

impl Control {
    /// The page as of now. Answers from memory.
    pub fn status(&self) -> StatusPage {
        let now = self.now_utc();
        let as_of = self.age().cluster;
        let fresh = as_of.is_some_and(|at| now - at < STALE);
        let releases: Vec<_> = read_lock(&self.inner.active).values().cloned().collect();
        let known = read_lock(&self.inner.status).clone();
        let mut by_service: BTreeMap<String, Component> = BTreeMap::new();
        for cluster in self.clusters() {
            for w in cluster.workloads().iter().filter(|w| w.environment == ENVIRONMENT) {
                let release = releases.iter().find(|r| r.workload == w.key);
                let (status, words) = feel(w, release.map(AsRef::as_ref), fresh);
                let updated = match known.since.get(&w.service) {
                    Some((before, at)) if *before == status => *at,
                    _ => now,
                };
                let component =
                    Component { id: w.service.clone(), name: w.service.clone(), status, words, updated };
                // Several workloads of one service: the worst is what users feel.
                match by_service.get(&w.service) {
                    Some(other) if other.status >= status => {}
                    _ => {
                        by_service.insert(w.service.clone(), component);
                    }
                }
            }
        }
        for (service, status) in &known.felt {
            worsen(&mut by_service, service, *status, &known, now);
        }
        let components: Vec<_> = by_service.into_values().collect();
        let worst = components.iter().map(|c| c.status).max();
        let open = known.notices.iter().any(|n| n.resolved.is_none());
        let (indicator, headline) = overall(worst, open, fresh);
        StatusPage {
            headline: headline.to_owned(),
            indicator: indicator.to_owned(),
            components,
            notices: known.notices,
            now,
            as_of,
        }
    }

    pub(crate) async fn run_status(&self) {
        let mut announcements = self.subscribe();
        loop {
            if let Err(problem) = self.settle_incidents().await {
                tracing::debug!(%problem, "open incidents stay as they were");
            }
            if let Err(problem) = self.refresh_status().await {
                tracing::debug!(%problem, "notices stay as they were");
            }
            // A change of a release shows at once; everything else on the tick.
            let _ = tokio::time::timeout(TICK, async {
                loop {
                    match announcements.recv().await {
                        Ok(a)
                            if a.topic.starts_with("release:")
                                || a.topic == "incidents"
                                || a.topic == "*" =>
                        {
                            return;
                        }
                        Ok(_) => {}
                        Err(_) => return,
                    }
                }
            })
            .await;
        }
    }

    async fn refresh_status(&self) -> Result<(), model::Problem> {
        let now = self.now_utc();
        let since: BTreeMap<_, _> =
            self.status().components.into_iter().map(|c| (c.id, (c.status, c.updated))).collect();
        write_lock(&self.inner.status).since = since;
        let Told { mut notices, felt, releases } = self.told_incidents(now).await?;
        for release in self.found(store::ReleaseFilter::default(), 200).await? {
            let turned = release.turned_back.is_some_and(|at| now - at < TOLD_FOR);
            // What people tell about it takes the place of what is told by itself.
            if turned && release.environment == ENVIRONMENT && !releases.contains(&release.id) {
                notices.push(notice(&release, now));
            }
        }
        notices.sort_by_key(|n| std::cmp::Reverse(n.updated));
        let changed = {
            let mut known = write_lock(&self.inner.status);
            let changed = known.notices != notices || known.felt != felt;
            known.notices = notices;
            known.felt = felt;
            changed
        };
        if changed {
            self.announce("status");
        }
        Ok(())
    }
}

/// What people tell the public.
#[derive(Default)]
struct Told {
    notices: Vec<Notice>,
    felt: BTreeMap<String, ComponentStatus>,
    /// Releases that it is about.
    releases: HashSet<ReleaseId>,
}

impl Control {
    async fn told_incidents(&self, now: DateTime<Utc>) -> Result<Told, model::Problem> {
        let filter = store::IncidentFilter { public: true, ..Default::default() };
        let mut all = self.store().incidents(&filter, TOLD).await.or_problem()?;
        all.retain(|i| i.told(now) && i.environment == ENVIRONMENT);
        let ids: Vec<_> = all.iter().map(|i| i.id).collect();
        let mut entries: HashMap<IncidentId, Vec<Entry>> = HashMap::new();
        if !ids.is_empty() {
            for (id, entry) in self.store().incident_entries(&ids).await.or_problem()? {
                entries.entry(id).or_default().push(entry);
            }
        }
        let mut told = Told::default();
        for incident in all {
            let entries = entries.remove(&incident.id).unwrap_or_default();
            told.releases.extend(incident.release);
            told.notices.push(told_notice(&incident, &entries));
            if !incident.ended() {
                let worst = told.felt.entry(incident.service.clone()).or_insert(ComponentStatus::Operational);
                *worst = felt(&incident, &entries).max(*worst);
            }
        }
        Ok(told)
    }
}

/// A component is never better than what people tell of it, also one of which the cluster knows nothing.
fn worsen(
    components: &mut BTreeMap<String, Component>,
    service: &str,
    status: ComponentStatus,
    known: &Known,
    now: DateTime<Utc>,
) {
    if components.get(service).is_some_and(|c| c.status >= status) {
        return;
    }
    let updated = match known.since.get(service) {
        Some((before, at)) if *before == status => *at,
        _ => now,
    };
    let component = Component {
        id: service.to_owned(),
        name: service.to_owned(),
        status,
        words: "There is an incident: see below.".to_owned(),
        updated,
    };
    components.insert(service.to_owned(), component);
}

/// What users of a workload feel now.
fn feel(w: &Workload, release: Option<&Release>, fresh: bool) -> (ComponentStatus, String) {
    use ComponentStatus::{DegradedPerformance, MajorOutage, Operational, PartialOutage, Unknown};
    if !fresh {
        return (Unknown, "We have no current data.".to_owned());
    }
    if w.replicas > 0 && w.ready == 0 && w.available == 0 {
        return (MajorOutage, "The service does not answer.".to_owned());
    }
    if let Some(r) = release
        && (r.course != Course::Forward || r.verdict.as_ref().is_some_and(|v| v.class == Class::Fail))
    {
        let share = crate::read::weight(r, Some(w));
        let words = match share {
            0 => "An update was taken back; the service recovers.".to_owned(),
            n => format!("About {n} % of requests meet a faulty update; it is being taken back."),
        };
        return (DegradedPerformance, words);
    }
    if w.replicas > 0 && w.ready * 2 < w.replicas {
        return (PartialOutage, "Part of the service does not answer.".to_owned());
    }
    match w.phase {
        Phase::Degraded => (DegradedPerformance, "The service may be slow or fail at times.".to_owned()),
        Phase::Healthy | Phase::Progressing | Phase::Paused => {
            (Operational, "Works as it should.".to_owned())
        }
        Phase::Unknown if w.ready >= w.replicas => (Operational, "Works as it should.".to_owned()),
        Phase::Unknown => (Unknown, "We have no current data.".to_owned()),
    }
}

fn overall(worst: Option<ComponentStatus>, open: bool, fresh: bool) -> (&'static str, &'static str) {
    match worst {
        None => ("minor", "We have no data yet."),
        Some(_) if !fresh => ("minor", "We have no current data."),
        Some(ComponentStatus::MajorOutage) => ("critical", "A service does not answer."),
        Some(ComponentStatus::PartialOutage) => ("major", "Part of a service does not answer."),
        Some(ComponentStatus::DegradedPerformance) => ("minor", "A service is impaired."),
        Some(ComponentStatus::Unknown) => ("minor", "Some of our data is missing."),
        Some(ComponentStatus::UnderMaintenance) => ("maintenance", "Maintenance is under way."),
        Some(ComponentStatus::Operational) if open => ("minor", "A faulty update is being taken back."),
        Some(ComponentStatus::Operational) => ("none", "All services work."),
    }
}

/// Users read what they may have felt, not revisions.
fn notice(release: &Release, now: DateTime<Utc>) -> Notice {
    let begun = release.started.unwrap_or(release.created);
    let back = matches!(release.state, State::RolledBack | State::Cancelled);
    let resolved = release.ended.filter(|_| back);
    let mut updates = Vec::new();
    if let Some(at) = resolved {
        updates.push((
            at,
            "resolved".to_owned(),
            "The update was taken back. The service works as before.".to_owned(),
        ));
    }
    updates.push((
        release.turned_back.unwrap_or(begun),
        "identified".to_owned(),
        "An update of this service was faulty for some requests. It is being taken back.".to_owned(),
    ));
    Notice {
        id: format!("release-{}", release.id),
        name: format!("Faulty update of {}", release.service),
        status: if resolved.is_some() { "resolved" } else { "identified" }.to_owned(),
        impact: "minor".to_owned(),
        created: release.turned_back.unwrap_or(begun),
        updated: resolved.or(release.turned_back).unwrap_or(now),
        resolved,
        updates,
    }
}
