//! `/policies`, what a release's page says of its policy, and what a policy would have done.

use super::act::waits;
use super::files::faults;
use super::watch::{of_samples, readings};
use super::{Place, Standing};
use crate::Control;
use crate::error::OrProblem as _;
use crate::read::see;
use crate::releases::deed;
use chrono::{TimeDelta, Utc};
use model::plan::diff::lines;
use model::policy::{Action as Asked, Fired, Policies, Policy, What, fire, from_yaml};
use model::release::Release;
use model::view::{
    DiffKind, DiffLine, DryRun, FileState, FiringAction, FiringView, PoliciesPage, PolicyChangeView,
    PolicyFileView, PolicyView, PolicyWatch, WouldFire,
};
use model::{Action, Actor, FieldError, Problem};
use std::collections::BTreeMap;
use store::{FiringRecord, PolicyFileRecord, ReleaseFilter, Store};

/// Changes of a file that its page shows.
const HISTORY: i64 = 20;
/// Releases looked at in one go.
const RELEASES: i64 = 200;
/// Samples of one release that are looked at: a day of looks.
const SAMPLES: i64 = 30_000;
/// How far back firings are counted.
const COUNTED: TimeDelta = TimeDelta::days(30);

impl Control {
    /// All policy files with what is in force, who wrote it, and how often it fired.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn policies_page(&self, actor: &Actor) -> Result<PoliciesPage, Problem> {
        see(actor)?;
        let files = self.inner.policies.files();
        let firings = self.store().firings_since(self.now_utc() - COUNTED).await.or_problem()?;
        let (used, without) = self.used();
        let mut views = Vec::new();
        for (place, standing) in &files {
            let history = self.store().policy_history(&place.0, &place.1, HISTORY + 1).await.or_problem()?;
            views.push(self.file_view(actor, place, standing, &used, &firings, &history));
        }
        // Where nothing is and nothing was rules nobody.
        views.sort_by_key(|v| (!v.home, v.state == FileState::Gone, v.cluster.clone(), v.namespace.clone()));
        Ok(PoliciesPage {
            files: views,
            fired: firings.len(),
            without,
            free: self.free(actor, &files),
            age: self.age(),
        })
    }

    fn file_view(
        &self,
        actor: &Actor,
        place: &Place,
        standing: &Standing,
        used: &BTreeMap<(i64, String), usize>,
        firings: &[FiringRecord],
        history: &[PolicyFileRecord],
    ) -> PolicyFileView {
        let record = &standing.now;
        let text = record.text.clone().unwrap_or_default();
        let state = match (&record.text, record.faults.is_empty(), &standing.in_force) {
            (None, ..) => FileState::Gone,
            (_, false, Some(_)) => FileState::Faulty,
            (_, _, None) => FileState::NoneInForce,
            (_, true, _) if record.outside => FileState::ChangedOutside,
            _ => FileState::InForce,
        };
        let in_force =
            standing.in_force.iter().flat_map(|(id, policies)| policies.iter().map(move |p| (*id, p)));
        let policies = in_force.map(|(id, (name, policy))| PolicyView {
            name: name.clone(),
            policy: policy.clone(),
            used_by: used.get(&(id, name.clone())).copied().unwrap_or(0),
            fired: firings.iter().filter(|f| f.policy == *name).count(),
        });
        PolicyFileView {
            id: record.id,
            cluster: place.0.clone(),
            namespace: place.1.clone(),
            home: place.1 == self.inner.config.home,
            state,
            warnings: self.unmeasured(place, from_yaml(&text).map(|read| read.warnings).unwrap_or_default()),
            faults: record.text.as_deref().map(faults).unwrap_or_default(),
            policies: policies.collect(),
            history: changes(history),
            change: deed(self.may_change_policies(actor, place)),
            text,
        }
    }

    fn unmeasured(&self, (cluster, _): &Place, mut warnings: Vec<FieldError>) -> Vec<FieldError> {
        if self.prometheus(cluster).is_none() {
            let words = "Nothing fires: no Prometheus is set up for this cluster (TIDEGATE_PROMETHEUS).";
            warnings.insert(0, FieldError::new("rollback_triggers", words));
        }
        warnings
    }

    /// Workloads by the policy that would watch a release of them, and how many none would.
    fn used(&self) -> (BTreeMap<(i64, String), usize>, usize) {
        let (mut used, mut without) = (BTreeMap::new(), 0);
        for cluster in self.clusters() {
            for w in cluster.workloads().iter() {
                match self.policy_for(&w.key, &w.service, &w.environment) {
                    Some(policy) => *used.entry((policy.file, policy.name)).or_default() += 1,
                    None => without += 1,
                }
            }
        }
        (used, without)
    }

    /// Where this actor may begin a file: beside Tidegate, and where workloads are.
    fn free(&self, actor: &Actor, files: &BTreeMap<Place, Standing>) -> Vec<Place> {
        let mut free = Vec::new();
        for cluster in self.clusters() {
            let of = |ns: &str| (cluster.name().to_owned(), ns.to_owned());
            let mut namespaces: Vec<Place> = vec![of(&self.inner.config.home)];
            namespaces.extend(cluster.workloads().iter().map(|w| of(&w.key.namespace)));
            for place in namespaces {
                if self.may_change_policies(actor, &place).is_ok()
                    && files.get(&place).is_none_or(|s| s.now.text.is_none())
                    && !free.contains(&place)
                {
                    free.push(place);
                }
            }
        }
        free
    }

    /// What the policies of a text would have done to the releases of the last days.
    ///
    /// # Errors
    /// 403; 422 for a text with faults; 503 without a database.
    pub async fn try_policies(&self, actor: &Actor, text: &str, days: u16) -> Result<Vec<DryRun>, Problem> {
        see(actor)?;
        let policies: Policies = from_yaml(text)?.policies;
        let mut all = Vec::new();
        for (name, policy) in &policies {
            all.push(tried(self.store(), name, policy, days, None).await.or_problem()?);
        }
        Ok(all)
    }

    /// The policy that watches a release, for its page. What cannot be read is not told.
    pub(crate) async fn policy_watch(&self, actor: &Actor, release: &Release) -> Option<PolicyWatch> {
        let policy = self.policy_of(release).await.ok()??;
        let firings = self.store().firings(release.id).await.unwrap_or_default();
        let name = release.policy.as_ref()?.name.clone();
        let firing = firings.last().map(|f| firing(f, release, actor));
        Some(PolicyWatch { name, fires_when: policy.fires_when(), firing })
    }
}

fn firing(record: &FiringRecord, release: &Release, actor: &Actor) -> FiringView {
    let (policy, waits) = (&record.fired.policy, waits(record, release));
    let back_at = record.fired.rolls_back_at();
    let actions = policy.actions.iter().enumerate().map(|(place, action)| {
        let done = record.actions.iter().find(|a| a.place == place);
        let words = match (done, action) {
            (Some(done), _) => done.words.clone(),
            (None, Asked::AutomaticRollback { .. }) if record.stopped.is_some() => "Stopped.".to_owned(),
            (None, Asked::AutomaticRollback { .. }) if !waits => "Not needed any more.".to_owned(),
            (None, action) => action.words(&policy.conditions),
        };
        FiringAction { title: action.title().to_owned(), at: done.map(|d| d.at), words }
    });
    FiringView {
        at: record.fired.firing.at,
        words: record.fired.words(),
        rolls_back_at: back_at.filter(|_| waits),
        asks: waits && back_at.is_none(),
        stopped: record.stopped.clone().map(|s| (s.by, s.at, s.why)),
        actions: actions.collect(),
        stop: waits.then(|| deed(actor.require(Action::Resume, &release.environment))),
    }
}

/// Each content beside the one before it.
fn changes(history: &[PolicyFileRecord]) -> Vec<PolicyChangeView> {
    let before = |i: usize| history.get(i + 1).and_then(|r| r.text.as_deref()).unwrap_or_default();
    let shown = usize::try_from(HISTORY).unwrap_or(20);
    let view = |(i, r): (usize, &PolicyFileRecord)| PolicyChangeView {
        id: r.id,
        at: r.at,
        by: r.by.clone(),
        outside: r.outside,
        faulty: !r.faults.is_empty(),
        text: r.text.clone(),
        diff: diff(before(i), r.text.as_deref().unwrap_or_default()),
    };
    history.iter().enumerate().take(shown).map(view).collect()
}

fn diff(before: &str, after: &str) -> Vec<DiffLine> {
    let mut all = lines(before, after);
    all.retain(|line| line.kind != DiffKind::Same);
    all
}

/// Which releases of the last days a policy would have fired on, by what was measured then.
///
/// # Errors
/// As for any read of the store.
pub async fn tried(
    store: &Store,
    name: &str,
    policy: &Policy,
    days: u16,
    service: Option<String>,
) -> store::Result<DryRun> {
    let since = Utc::now() - TimeDelta::days(i64::from(days));
    let untried = policy.triggers.iter().map(|t| &t.what).filter(|w| !of_samples(w));
    let untried = untried.map(|w| What::words(w).to_owned()).collect();
    let mut run = DryRun { policy: name.to_owned(), days, fired: Vec::new(), seen: 0, without: 0, untried };
    let mut before = None;
    loop {
        let filter = ReleaseFilter { service: service.clone(), before, ..ReleaseFilter::default() };
        let page = store.releases(&filter, RELEASES).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for release in page.iter().filter(|r| r.created >= since) {
            let samples = store.samples(release.id, None, SAMPLES).await?;
            let Some(first) = samples.first() else {
                run.without += 1;
                continue;
            };
            run.seen += 1;
            let beside = store.policy_readings(release.id, SAMPLES).await?;
            let began = release.started.unwrap_or(first.at);
            if let Some(firing) = fire(policy, began, &readings(&samples, beside)) {
                let fired = Fired { policy: policy.clone(), firing };
                run.fired.push(WouldFire {
                    release: release.id,
                    service: release.service.clone(),
                    version: release.version(),
                    at: fired.firing.at,
                    words: fired.words(),
                    ended: release.state.words().to_owned(),
                });
            }
        }
        if last.created < since {
            break;
        }
    }
    Ok(run)
}
