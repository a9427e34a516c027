//! `/services`: every workload, straight from the watch cache.

use crate::config::{put_back, warnings};
use crate::known_good::WayBack;
use crate::releases::deed;
use crate::{Control, read_lock};
use model::known_good::under_way;
use model::release::KnownGood;
use model::rollback::{Call, Pace, route};
use model::view::{
    BreakerView, Deed, RollbackPreview, ServiceFilter, ServicePage, ServicesPage, WorkloadRow,
};
use model::workload::{Key, Phase, Strategy, Workload, version_of};
use model::{Action, Actor, Problem, ReleaseId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows on one page: a phone can hold them, and five thousand workloads cost no more than a hundred.
const PAGE: usize = 100;

impl Control {
    /// A page of workloads.
    ///
    /// # Errors
    /// 403.
    pub async fn services(&self, actor: &Actor, filter: ServiceFilter) -> Result<ServicesPage, Problem> {
        see(actor)?;
        let driving: HashMap<Key, ReleaseId> =
            read_lock(&self.inner.active).values().map(|r| (r.workload.clone(), r.id)).collect();
        let words: Vec<String> =
            filter.q.as_deref().unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        let mut phases: BTreeMap<Phase, usize> = BTreeMap::new();
        let mut environments = BTreeSet::new();
        let mut rows = Vec::new();
        let mut total = 0;
        for cluster in self.clusters() {
            for w in cluster.workloads().iter() {
                *phases.entry(w.phase).or_default() += 1;
                if !environments.contains(&w.environment) {
                    environments.insert(w.environment.clone());
                }
                if !fits(w, &filter, &words) {
                    continue;
                }
                if total >= filter.from && rows.len() < PAGE {
                    rows.push(workload_row(w, driving.get(&w.key).copied()));
                }
                total += 1;
            }
        }
        Ok(ServicesPage {
            rows,
            filter,
            total,
            phases: phases.into_iter().collect(),
            environments: environments.into_iter().collect(),
            page_size: PAGE,
            age: self.age(),
        })
    }

    /// One workload with its releases and its way back.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn service(&self, actor: &Actor, key: &Key) -> Result<ServicePage, Problem> {
        self.service_to(actor, key, None).await
    }

    /// The same, with what a rollback to the version named by its hash would do.
    ///
    /// # Errors
    /// 403, 404; 409 when that version is not one to go back to now.
    pub async fn service_to(
        &self,
        actor: &Actor,
        key: &Key,
        to: Option<&str>,
    ) -> Result<ServicePage, Problem> {
        see(actor)?;
        let workload = self
            .cluster(&key.cluster)?
            .workload(key)
            .ok_or_else(|| Problem::not_found(format!("{key} is not in the cluster.")))?;
        // The page stays useful without Postgres: it only lacks the history then.
        let of_this = store::ReleaseFilter { workload: Some(key.clone()), ..Default::default() };
        let releases = self.found(of_this, 20).await.unwrap_or_default();
        let release = releases.iter().find(|r| !r.state.ended());
        let way = match release {
            Some(_) => None,
            None => self.way_back(&workload).await.unwrap_or_default(),
        };
        let config = match release.map(|r| &r.known_good).or(way.as_ref().map(|way| &way.good)) {
            Some(good) => self.config_view(&workload, good).await,
            None => None,
        };
        let rollback = match (release, to.filter(|to| !to.is_empty())) {
            (Some(release), _) => Some(preview(&workload, &release.known_good, None)),
            (None, Some(to)) if let Some(preview) = self.preview_of(&workload, to).await? => Some(preview),
            (None, _) => way.map(|way| {
                let mut preview = preview(&workload, &way.good, None);
                preview.steps.extend(origin(&workload, &way));
                // Where it stands there already, nothing goes further back.
                if let Some(at) = way.further.filter(|_| preview.route.pace != Pace::Now) {
                    preview.cannot_undo.insert(
                        0,
                        format!(
                            "{} was rolled back at {} UTC already: this goes further back still.",
                            workload.service,
                            at.format("%H:%M")
                        ),
                    );
                }
                preview
            }),
        };
        let rollback = rollback.map(|mut preview| {
            // Of another version that was named it is told already.
            let same = config.as_ref().filter(|c| c.version == preview.to_version);
            if to.is_none_or(str::is_empty) || release.is_some() {
                preview.steps.extend(same.and_then(put_back));
                preview.cannot_undo.extend(same.map(warnings).unwrap_or_default());
            }
            preview
        });
        let sync = self.sync_view(actor, &workload).await;
        let left = self.left_to_git(&workload).await;
        let rollback = rollback.map(|mut preview| {
            preview.cannot_undo.extend(left);
            preview
        });
        let roll_back = match &rollback {
            None => Deed::no(
                "No earlier version is known: none is on record as good, and no ReplicaSet is left of one.",
            ),
            Some(p) if p.route.pace == Pace::Now => Deed::no(p.route.because.clone()),
            Some(_) => deed(actor.require(Action::RollBack, &workload.environment)),
        };
        let stall = crate::read_lock(&self.inner.stalled).get(key).cloned();
        let ways = match (&stall, release) {
            (Some(_), None) => self.ways_out(actor, &workload, None).await,
            _ => Vec::new(),
        };
        let broken = self.broken(key, &workload.service, &workload.environment).await.unwrap_or_default();
        let lift = deed(actor.require(Action::Resume, &workload.environment));
        let (restart, restart_does) = self.restart_view(actor, &workload);
        let about = store::IncidentFilter {
            service: Some(workload.service.clone()),
            environment: Some(workload.environment.clone()),
            ..Default::default()
        };
        Ok(ServicePage {
            restart,
            restart_does,
            row: workload_row(&workload, self.driving(key)),
            releases: self.rows(&releases).await.unwrap_or_default(),
            rollback,
            roll_back,
            stall: stall.filter(|_| release.is_none()),
            ways,
            known_good: self.known_good_rows(actor, &workload, release).await,
            config,
            sync,
            breaker: broken.map(|broken| BreakerView { lift, ..broken }),
            policy: self.service_watch(actor, &workload).await,
            recovery: self.errors_since_press(key),
            analyses: if release.is_none() { self.analyses_now(key) } else { Vec::new() },
            write_plan: deed(actor.require(Action::WritePlan, &workload.environment)),
            incidents: crate::incidents::briefs(self, about).await,
            workload: (*workload).clone(),
            age: self.age(),
        })
    }

    /// What going back to another version than the usual one would do; `None` for the usual one.
    async fn preview_of(&self, w: &Workload, to: &str) -> Result<Option<RollbackPreview>, Problem> {
        let told = self.told(&w.key).await;
        let Some(record) = self.other_way(&told, w, to) else { return Ok(None) };
        let Some(good) = self.good_of(&told, record, w).await? else { return Ok(None) };
        let mut preview = preview(w, &good, None);
        let config = self.config_view(w, &good).await;
        preview.steps.extend(config.as_ref().and_then(put_back));
        preview.cannot_undo.extend(config.as_ref().map(warnings).unwrap_or_default());
        if let Some(first) = under_way(&told.records, w)
            && let Some(first) = self.good_of(&told, first, w).await?
        {
            let weight = 100u8.saturating_sub(w.canary_share());
            instead(&mut preview, w, &first, &w.stable_version(), weight);
        } else {
            let since = record.at.format("%-d %b %Y");
            preview.steps.push(format!("{} is known good since {since}.", preview.to_version));
            preview
                .cannot_undo
                .insert(0, format!("It goes further back than to the version before {}.", w.version()));
        }
        Ok(Some(preview))
    }

    /// Rows of the named workloads, for the live stream; those that are gone come back as keys.
    pub fn workload_rows(&self, keys: &[Key]) -> (Vec<WorkloadRow>, Vec<Key>) {
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        for key in keys {
            match self.cluster(&key.cluster).ok().and_then(|c| c.workload(key)) {
                Some(w) => rows.push(workload_row(&w, self.driving(key))),
                None => gone.push(key.clone()),
            }
        }
        (rows, gone)
    }

    /// Every workload as the REST API lists it.
    ///
    /// # Errors
    /// 403.
    pub fn all_workloads(&self, actor: &Actor) -> Result<Vec<WorkloadRow>, Problem> {
        see(actor)?;
        Ok(self
            .clusters()
            .iter()
            .flat_map(|c| {
                c.workloads().iter().map(|w| workload_row(w, self.driving(&w.key))).collect::<Vec<_>>()
            })
            .collect())
    }
}

pub(crate) fn see(actor: &Actor) -> Result<(), Problem> {
    if actor.may_somewhere(Action::See) { Ok(()) } else { actor.require(Action::See, "any environment") }
}

fn fits(w: &Workload, filter: &ServiceFilter, words: &[String]) -> bool {
    if filter.environment.as_ref().is_some_and(|e| !e.is_empty() && *e != w.environment) {
        return false;
    }
    if filter.phase.is_some_and(|p| p != w.phase) {
        return false;
    }
    words.iter().all(|word| {
        [&w.key.name, &w.service, &w.key.namespace].into_iter().any(|t| t.to_lowercase().contains(word))
            || w.images.values().any(|i| i.to_lowercase().contains(word))
    })
}

pub(crate) fn workload_row(w: &Workload, release: Option<ReleaseId>) -> WorkloadRow {
    let incoming = w.in_flight().then(|| w.version());
    WorkloadRow {
        key: w.key.clone(),
        service: w.service.clone(),
        environment: w.environment.clone(),
        version: w.stable_version(),
        incoming,
        phase: w.phase,
        message: w.message.clone(),
        strategy: w.strategy,
        weight: w.canary_share(),
        ready: w.ready,
        replicas: w.replicas,
        since: w.since,
        release,
    }
}

/// How it is known that the version is good.
fn origin(w: &Workload, way: &WayBack) -> Option<String> {
    let version = version_of(&way.good.images);
    match way.since {
        Some(since) => Some(format!("{version} is known good since {}.", since.format("%-d %b %Y"))),
        None if w.in_flight() => None,
        None => Some(format!(
            "{version} is the revision before this one; no record says that it ever carried all traffic."
        )),
    }
}

/// The same where a rollback to `first` is under way, which is given up for it; `from` carries `weight` percent.
pub(crate) fn instead(
    preview: &mut RollbackPreview,
    w: &Workload,
    first: &KnownGood,
    from: &str,
    weight: u8,
) {
    let (first, to) = (version_of(&first.images), preview.to_version.clone());
    from.clone_into(&mut preview.from_version);
    preview.weight = weight;
    if w.stable_hash.as_ref() == Some(&preview.to_hash) {
        preview.steps = vec![
            format!("The rollback to {first} is called off."),
            format!(
                "{to} carries all traffic again; {} of {} of its pods are ready.",
                preview.ready, preview.desired
            ),
        ];
        preview.cannot_undo.insert(0, format!("Whatever {to} was to be left for stays as it is."));
    } else {
        preview.steps.insert(
            0,
            format!("The rollback to {first} is given up for it: nobody waits for {first} any more."),
        );
    }
}

/// The consequences of a rollback now, for the confirm panel.
pub(crate) fn preview(w: &Workload, good: &KnownGood, failed: Option<f64>) -> RollbackPreview {
    let route = route(w, &good.hash);
    let weight = if w.in_flight() { w.canary_share() } else { 100 };
    let to_version = version_of(&good.images);
    let target = w.revision(&good.hash);
    // What it was scaled down to is not what it will need.
    let (ready, desired) = target.map_or((0, w.replicas), |r| (r.ready, r.desired.max(w.replicas)));
    let mut steps = Vec::new();
    for call in &route.calls {
        match call {
            Call::Unpause => {
                steps.push("The pause set in the cluster is lifted: paused, nothing moves.".to_owned())
            }
            Call::Abort if w.strategy == Strategy::BlueGreen => {
                steps.push("The update is aborted: nobody is switched to it any more.".to_owned());
            }
            Call::Abort => steps.push(format!("Canary weight {weight} % to 0 %.")),
            Call::Revert => steps.push(match route.pace {
                Pace::Seconds => format!(
                    "All traffic goes to {to_version}. {ready} of {desired} of its pods are ready; \
                     nothing starts cold."
                ),
                Pace::PodStart | Pace::Now => {
                    format!("{to_version} takes over as its pods start; {ready} of {desired} are ready now.")
                }
            }),
            Call::RevertThroughWindow if route.pace == Pace::Seconds => {
                let moved = match w.strategy {
                    Strategy::BlueGreen => format!("The active Service selects {to_version} again"),
                    _ => format!("All traffic goes back to {to_version}, without the steps"),
                };
                steps.push(format!(
                    "{moved}: {ready} of {desired} of its pods stand by, nothing starts."
                ));
            }
            Call::RevertThroughWindow => {
                steps.push(format!(
                    "The template of {to_version} is put back; the steps are not walked again."
                ));
            }
            // Only where the switch alone does not do it.
            Call::PromoteFull if route.pace == Pace::Seconds => {}
            Call::HandBack if w.copied() > 0 => steps.push(format!(
                "Copies of {} % of requests stop. No user notices: all are on {to_version} and stay there.",
                w.copied()
            )),
            Call::HandBack if w.by_weight() && w.any_sent() => steps.push(format!(
                "By {} nobody is sent to the new version any more, now {} %: {ready} of {desired} pods of {to_version} are \
                 ready.",
                w.weight_place(),
                w.canary_weight().unwrap_or(0)
            )),
            Call::HandBack if w.any_switched() => steps.push(format!(
                "The Services select {} again: {ready} of {desired} of the pods of {to_version} stand by.",
                w.key.name
            )),
            // Where nobody was switched it only bars a switch that would come late.
            Call::HandBack => {}
            Call::Retire if w.stands_apart() => {
                steps.push("The second Deployment goes; no user is on it.".to_owned());
            }
            Call::Retire => steps.push(format!(
                "The second Deployment goes at once: {weight} % to 0 %. {ready} of {desired} pods of {to_version} are \
                 ready."
            )),
            Call::PromoteFull => {
                steps.push(format!("{to_version} takes all traffic when its pods are ready."))
            }
        }
    }
    let mut cannot_undo = Vec::new();
    if let Some(failed) = failed.filter(|f| *f >= 1.0) {
        cannot_undo.push(if failed.round() == 1.0 {
            "1 failed request is not repeated.".to_owned()
        } else {
            format!("{failed:.0} failed requests are not repeated.")
        });
    }
    RollbackPreview {
        from_version: w.version(),
        weight,
        to_revision: good.revision.or_else(|| target.map(|r| r.number)),
        ready,
        desired,
        takes: route.pace.takes().to_owned(),
        to_version,
        to_hash: good.hash.clone(),
        route,
        steps,
        cannot_undo,
    }
}
