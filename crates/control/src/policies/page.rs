//! `/policies`, what a release's page says of its policy, and what a policy would have done.

use super::act::waits;
use super::act_service::is_to_come;
use super::files::faults;
use super::{Place, Standing};
use crate::Control;
use crate::error::OrProblem as _;
use crate::read::see;
use crate::releases::deed;
use chrono::TimeDelta;
use model::plan::diff::lines;
use model::policy::{Action as Asked, from_yaml};
use model::release::Release;
use model::view::{
    DiffKind, DiffLine, FileState, FiringAction, FiringView, PoliciesPage, PolicyChangeView, PolicyFileView,
    PolicyView, PolicyWatch,
};
use model::workload::{Key, Workload};
use model::{Action, Actor, Book, FieldError, Problem};
use std::collections::BTreeMap;
use store::{FileRecord, FiringRecord};

/// Changes of a file that its page shows.
const HISTORY: i64 = 20;
/// How long a service's page shows what its policy did, once it is over.
const SHOWN: TimeDelta = TimeDelta::hours(1);
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
            let history = self
                .store()
                .file_history(Book::Policies, &place.0, &place.1, HISTORY + 1)
                .await
                .or_problem()?;
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
        history: &[FileRecord],
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

    /// The policy that watches a release, for its page. What cannot be read is not told.
    pub(crate) async fn policy_watch(&self, actor: &Actor, release: &Release) -> Option<PolicyWatch> {
        let policy = self.policy_of(release).await.ok()??;
        let firings = self.store().firings(release.id).await.unwrap_or_default();
        let name = release.policy.as_ref()?.name.clone();
        let view = |f: &FiringRecord| firing(f, waits(f, release), &release.environment, actor);
        Some(PolicyWatch { name, fires_when: policy.fires_when(), firing: firings.last().map(view) })
    }

    /// The policy that watches a service between releases.
    ///
    /// # Errors
    /// 403; 404.
    pub async fn policy_of_service(&self, actor: &Actor, key: &Key) -> Result<Option<PolicyWatch>, Problem> {
        see(actor)?;
        let workload = self.cluster(&key.cluster)?.workload(key);
        let workload = workload.ok_or_else(|| Problem::not_found(format!("There is no {key}.")))?;
        Ok(self.service_watch(actor, &workload).await)
    }

    /// The policy that watches a service between releases, for its page; `None` where none does. What cannot be read is not
    /// told.
    pub(crate) async fn service_watch(&self, actor: &Actor, w: &Workload) -> Option<PolicyWatch> {
        let firings = self.store().service_firings(&w.key).await.unwrap_or_default();
        let last = firings.last().filter(|f| f.ended.is_none() || self.now_utc() - f.fired.firing.at < SHOWN);
        let view = |f: &FiringRecord| firing(f, is_to_come(f), &w.environment, actor);
        match (self.service_policy(w), last) {
            (Some((used, policy)), last) => {
                Some(PolicyWatch { name: used.name, fires_when: policy.fires_when(), firing: last.map(view) })
            }
            // The policy is gone, and its matter is not over.
            (None, Some(f)) if f.ended.is_none() => Some(PolicyWatch {
                name: f.policy.clone(),
                fires_when: f.fired.policy.fires_when(),
                firing: Some(view(f)),
            }),
            (None, _) => None,
        }
    }
}

fn firing(record: &FiringRecord, waits: bool, environment: &str, actor: &Actor) -> FiringView {
    let policy = &record.fired.policy;
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
        stop: waits.then(|| deed(actor.require(Action::Resume, environment))),
    }
}

/// Each content beside the one before it.
fn changes(history: &[FileRecord]) -> Vec<PolicyChangeView> {
    let before = |i: usize| history.get(i + 1).and_then(|r| r.text.as_deref()).unwrap_or_default();
    let shown = usize::try_from(HISTORY).unwrap_or(20);
    let view = |(i, r): (usize, &FileRecord)| PolicyChangeView {
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
