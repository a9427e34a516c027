//! The configuration of known-good versions: kept when a version is recorded, compared when somebody may go back to it.
//!
//! A rollback puts the template back, and of what it names only the ConfigMaps, where its plan asks for that. What is
//! missing or different is told before the press, and keeps nobody from pressing.

use crate::Control;
use crate::error::OrProblem as _;
use crate::glance::Glances;
use chrono::TimeDelta;
use model::Problem;
use model::config::{ConfigKind, Held, Kept, Reference, State, changes, differing, hold, references};
use model::known_good::{carries_all, path};
use model::release::KnownGood;
use model::rollback::{Call, route};
use model::view::ConfigView;
use model::workload::{Key, Workload, version_of};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Time between two looks for versions whose configuration is not kept yet.
const EVERY: Duration = Duration::from_secs(2);
/// Versions that are read with one look: at the first start there are thousands.
const AT_ONCE: usize = 20;
/// A record this young speaks of the configuration that is there.
const JUST: TimeDelta = TimeDelta::seconds(30);

/// Comparisons by workload and hash.
pub(crate) type Compared = Glances<(Key, String), Option<ConfigView>>;

impl Control {
    pub(crate) async fn run_config(&self) {
        let mut done = HashSet::new();
        loop {
            tokio::time::sleep(EVERY).await;
            if self.inner.database.load(Ordering::Relaxed) {
                self.keep_configs(&mut done).await;
            }
        }
    }

    /// Keeps what the versions on record refer to, while they carry all traffic and nothing of it is kept.
    async fn keep_configs(&self, done: &mut HashSet<i64>) {
        let mut due: Vec<(i64, Key)> = Vec::new();
        let seen: Vec<_> = self.clusters().iter().map(|c| c.workloads()).collect();
        for w in seen.iter().flat_map(|all| all.iter()) {
            let Some(records) = self.inner.known.records(&w.key) else { continue };
            let Some(top) = path(&records).last().map(|r| (r.id, r.hash.clone())) else { continue };
            // The newest record of the version: each time it comes back it may come back to other configuration.
            let newest = records.iter().rev().find(|r| r.hash == top.1);
            let id = newest.map_or(top.0, |r| r.id);
            // A release that has just begun records where it begins; what it brings does not change that.
            let begun = newest.is_some_and(|r| self.now_utc() - r.at < JUST);
            if due.len() < AT_ONCE && !done.contains(&id) && (begun || carries_all(w) == Some(&top.1)) {
                due.push((id, w.key.clone()));
            }
        }
        let ids: Vec<i64> = due.iter().map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let Ok(kept) = self.store().config_kept(&ids).await else { return };
        let Ok(mut documents) = self.store().known_good_documents(&ids).await else { return };
        for (id, key) in due {
            let good = documents.remove(&id).and_then(|text| serde_json::from_str::<KnownGood>(&text).ok());
            let wanted = good.map(|good| references(&good.template)).unwrap_or_default();
            if !kept.contains(&id) && !wanted.is_empty() {
                let Ok(cluster) = self.cluster(&key.cluster) else { continue };
                let found = cluster.config(&key, &wanted).await;
                if let Err(error) = self.store().keep_config(id, &found, self.now_utc()).await {
                    tracing::debug!(%error, %key, "its configuration is kept later");
                    continue;
                }
            }
            done.insert(id);
        }
    }

    /// What is missing or different now of what a version refers to; `None` where it refers to nothing, or where that
    /// is not known within a moment.
    pub(crate) async fn config_view(&self, w: &Workload, good: &KnownGood) -> Option<ConfigView> {
        let at = (w.key.clone(), good.hash.clone());
        self.inner.compared.at(at, self.compare(w, good)).await
    }

    /// What a known-good version's ConfigMaps hold, for a plan that asks for them to be put back with the code: as they
    /// were recorded with the version, else as they are before anything changes.
    ///
    /// # Errors
    /// 409 where Tidegate may not make copies of them.
    pub(crate) async fn held(&self, w: &Workload, good: &KnownGood) -> Result<Vec<Held>, Problem> {
        let wanted = references(&good.template);
        if !wanted.iter().any(|r| r.kind == ConfigKind::ConfigMap) {
            return Ok(Vec::new());
        }
        let cluster = self.cluster(&w.key.cluster)?;
        cluster.may_copy_config(&w.key).await.map_err(|why| {
            Problem::conflict(format!(
                "The plan asks for ConfigMaps to go back with the code (rollback.config: restore). {why} Allow it, or \
                 write `config: keep`."
            ))
        })?;
        let recorded = self.store().config_of(&w.key, &good.hash).await.or_problem()?.map(|(_, kept)| kept);
        let mut kept = recorded.unwrap_or_default();
        let unknown = |r: &&Reference| {
            let known = kept.iter().find(|k| k.kind == r.kind && k.name == r.name);
            known.is_none_or(|k| k.state == State::Unread)
        };
        let unknown: Vec<_> = wanted.iter().filter(unknown).cloned().collect();
        if !unknown.is_empty() {
            let now = cluster.config(&w.key, &unknown).await;
            kept.retain(|k| k.state != State::Unread);
            kept.extend(now);
        }
        let (held, not) = hold(&wanted, &kept);
        for why in not {
            tracing::info!(key = %w.key, why, "not held for a rollback");
        }
        Ok(held)
    }

    async fn compare(&self, w: &Workload, good: &KnownGood) -> Option<ConfigView> {
        let wanted = references(&good.template);
        if wanted.is_empty() {
            return None;
        }
        let now = self.cluster(&w.key.cluster).ok()?.config(&w.key, &wanted).await;
        let then = if self.inner.database.load(Ordering::Relaxed) {
            self.store().config_of(&w.key, &good.hash).await.ok().flatten()
        } else {
            None
        };
        let needed = |k: &&Kept| {
            let optional =
                |name: &str| wanted.iter().any(|r| r.kind == k.kind && r.name == name && r.optional);
            k.state == State::Absent && !optional(&k.name)
        };
        let name = |k: &Kept| format!("{} {}", k.kind.key(), k.name);
        let reverts = |call: &Call| matches!(call, Call::Revert | Call::RevertThroughWindow);
        let put_back = match route(w, &good.hash).calls.iter().any(reverts) {
            true => differing(&good.config, &now),
            false => Vec::new(),
        };
        Some(ConfigView {
            version: version_of(&good.images),
            since: then.as_ref().map(|(at, _)| *at),
            missing: now.iter().filter(needed).map(name).collect(),
            unread: now.iter().filter(|k| k.state == State::Unread).map(name).collect(),
            changed: then.map(|(_, then)| changes(&then, &now)).unwrap_or_default(),
            named: now.iter().map(name).collect(),
            restored: put_back.iter().map(|h| format!("ConfigMap {}", h.name)).collect(),
        })
    }
}

/// What a rollback does about it, as a step of its own.
pub(crate) fn put_back(config: &ConfigView) -> Option<String> {
    let names = config.restored.join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "{names}: as {} read it, in an immutable copy that only its pods read. They start anew for it.",
            config.version
        )
    })
}

/// Sentences for whoever is about to roll back.
pub(crate) fn warnings(config: &ConfigView) -> Vec<String> {
    let mut all = Vec::new();
    let version = &config.version;
    let stays = |name: &String| !config.restored.contains(name);
    let missing: Vec<_> = config.missing.iter().filter(|name| stays(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let names = missing.join(", ");
        all.push(format!("{names}, which {version} needs, is gone: its pods cannot start until it is back."));
    }
    let changed = config.changed.iter().filter(|c| stays(&format!("{} {}", c.kind.key(), c.name)));
    let part = |c: &model::config::Change| format!("{} {} ({})", c.kind.key(), c.name, c.words);
    let parts: Vec<_> = changed.map(part).collect();
    if !parts.is_empty() {
        all.push(format!("Configuration stays as it is now. Since {version}: {}.", parts.join(", ")));
    }
    all
}
