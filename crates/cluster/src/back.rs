//! The way back: where it leads, and taking it.

use crate::error::Error;
use crate::escort::Escort;
use crate::fence::Announced;
use crate::observe::{self, Facts};
use crate::read::Read;
use crate::send::{Outcome, path};
use crate::{Cluster, blue_green, driver, httproute, raw};
use model::AttemptId;
use model::release::KnownGood;
use model::rollback::{Call, Route, route};
use model::workload::{Key, Kind, Phase, Workload};
use serde::Deserialize as _;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A route is worked out anew so often when the workload moves under it.
const TRIES: usize = 3;

/// A route that is under way for longer is given up: its process may have slept, and the world gone on.
const STALE: Duration = Duration::from_secs(30);

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// The calls the API server took, each with the time from sending to its answer.
    pub calls: Vec<(Call, Duration)>,
    /// Calls it did not take, in words; the template was put back all the same.
    pub without: Vec<(Call, String)>,
    /// The generation that holds the known-good template.
    pub generation: i64,
}

impl Cluster {
    /// What a Healthy workload would go back to if it were changed now: its template as the controller has
    /// defaulted it, its own canary steps, and the hash of its pods. Reads the API server, not the cache.
    ///
    /// # Errors
    /// [`Error::Unsuited`] when it is not Healthy on one version; else as for any read.
    pub async fn template(&self, key: &Key) -> Result<KnownGood, Error> {
        let Read { object, entry } = self.read(key).await?;
        known_good(&object, &entry.facts, &entry.workload).map_err(Error::Unsuited)
    }

    /// Where this workload would go back to, without any record of ours: from the note on the object where
    /// that still speaks of the version before this one (no call at all), else from the ReplicaSet of the
    /// stable or the previous revision. `None` when there is nothing to go back to.
    ///
    /// # Errors
    /// [`Error::Gone`], or as for any read.
    pub async fn way_back(&self, key: &Key) -> Result<Option<KnownGood>, Error> {
        let entry = self.entry(key).await?;
        let (facts, w) = (&entry.facts, &entry.workload);
        if let Some(noted) = facts.rollback.as_deref().and_then(|n| serde_json::from_str::<KnownGood>(n).ok())
            && still_speaks(w, facts, &noted)
        {
            return Ok(Some(noted));
        }
        let Some(hash) = previous(w) else {
            return Ok(None);
        };
        self.template_of(w, &hash).await
    }

    /// The way back to this revision, from its ReplicaSet. `None` when there is none any more.
    ///
    /// # Errors
    /// [`Error::Gone`], or as for any read.
    pub async fn way_back_to(&self, key: &Key, hash: &str) -> Result<Option<KnownGood>, Error> {
        let entry = self.entry(key).await?;
        self.template_of(&entry.workload, hash).await
    }

    /// Reads the template of a revision from its ReplicaSet, without what controllers have put into it.
    async fn template_of(&self, w: &Workload, hash: &str) -> Result<Option<KnownGood>, Error> {
        let label = match w.key.kind {
            Kind::Rollout => "rollouts-pod-template-hash",
            Kind::Deployment => "pod-template-hash",
        };
        let uri = format!(
            "/apis/apps/v1/namespaces/{}/replicasets?labelSelector={label}%3D{hash}",
            w.key.namespace
        );
        let object_uri = path(&w.key);
        let (sets, object) = tokio::try_join!(
            self.sender.read(&uri, "list ReplicaSets", None),
            self.sender.read(&object_uri, "read it", Some(&w.key)),
        )?;
        for set in sets["items"].as_array().into_iter().flatten() {
            let Ok(parsed) = raw::ReplicaSet::deserialize(set) else {
                continue;
            };
            let Some(parsed) = observe::set(parsed).filter(|s| s.owner == w.uid) else {
                continue;
            };
            return Ok(Some(KnownGood {
                config: Vec::new(),
                template: cleaned(set),
                steps: own_steps(&object),
                // What stands there now may be a release's.
                blue_green: None,
                hash: parsed.revision.hash,
                images: parsed.revision.images,
                revision: Some(parsed.revision.number),
            }));
        }
        Ok(None)
    }

    /// Takes a workload back. The first patch leaves at once, from the cache alone; the calls of the route
    /// follow back to back. `promoteFull` alone waits, for at most five seconds, until the controller has
    /// taken the revert up. When a precondition fails the state is read and the route worked out anew.
    ///
    /// `Ok` means that the API server holds the known-good template. That users are on it is seen in what is
    /// observed afterwards; for a minute it is looked after in the background ([`crate::escort`]).
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unsure`] when the template could not be put back for certain; else as
    /// for any call. Calls made before that stay made: asking again is safe.
    pub async fn roll_back(
        &self,
        key: &Key,
        attempt: &AttemptId,
        good: &KnownGood,
        route: &Route,
    ) -> Result<RolledBack, Error> {
        let mut entry = self.entry(key).await?;
        let mut calls = route.calls.clone();
        let mut done = RolledBack { calls: Vec::new(), without: Vec::new(), generation: 0 };
        let mut why = format!("It took longer than {} s: look again, and decide anew.", STALE.as_secs());
        let begun = Instant::now();
        for round in 0..TRIES {
            if begun.elapsed() > STALE {
                break;
            }
            if round > 0 || calls.is_empty() || httproute::weights::unseen(&entry) {
                // The cache may be a moment behind; the API server is not.
                entry = Arc::new(self.fresh_entry(key).await?);
                calls = self::route(&entry.workload, &good.hash).calls;
                if calls.is_empty() {
                    done.generation = entry.workload.generation;
                    return Ok(done);
                }
            }
            match self.take(&entry, attempt, good, &calls, &mut done).await? {
                // The Deployment beside which ours stood was told to take the version over perhaps a moment ago: look.
                Taken::Back if calls == [Call::Retire] => calls.clear(),
                Taken::Back => {
                    if key.kind == Kind::Rollout {
                        tokio::spawn(self.escort(&entry.workload, good, done.generation).see_home());
                    }
                    return Ok(done);
                }
                Taken::Refused(words) => why = words,
            }
        }
        Err(Error::Refused { why })
    }

    /// Takes away the `rollbackWindow` that a rollback put there, once that is home. Left behind it would lead the owner's
    /// next change past the steps. Nothing where there is none, and nothing that anybody need wait for.
    pub async fn close_window(&self, key: &Key) {
        let Ok(entry) = self.entry(key).await else { return };
        if entry.facts.window_note.is_none() {
            return;
        }
        let w = &entry.workload;
        let good = KnownGood {
            config: Vec::new(),
            template: Value::Null,
            steps: None,
            blue_green: None,
            hash: w.current_hash.clone().unwrap_or_default(),
            images: w.images.clone(),
            revision: None,
        };
        self.escort(w, &good, w.generation).close_if_home(w).await;
    }

    fn escort(&self, before: &Arc<Workload>, good: &KnownGood, generation: i64) -> Escort {
        Escort {
            sender: self.sender.clone(),
            view: self.view.clone(),
            before: before.clone(),
            generation,
            good: good.clone(),
        }
    }

    async fn take(
        &self,
        entry: &crate::cache::Entry,
        attempt: &AttemptId,
        good: &KnownGood,
        calls: &[Call],
        done: &mut RolledBack,
    ) -> Result<Taken, Error> {
        let mut again = None;
        // The answer to a revert that left beside the call before it.
        let mut beside = None;
        for (place, call) in calls.iter().enumerate() {
            let begun = Instant::now();
            // What is taken out of an HTTPRoute must not be what it was before the call before this one.
            if *call == Call::Retire && !done.calls.is_empty() && entry.workload.by_route() {
                again = Some(self.fresh_entry(&entry.workload.key).await?);
            }
            let entry = again.as_ref().unwrap_or(entry);
            let (outcome, took) = match (call, beside.take()) {
                (Call::Revert, Some(answer)) => answer,
                // Either order converges: where the revert is seen first, it alone takes the traffic away, and the abort finds
                // another hash. A template in another object is left its turn.
                (Call::Abort, _)
                    if calls.get(place + 1) == Some(&Call::Revert) && !entry.workload.workload_ref =>
                {
                    let timed = async |call| {
                        let outcome = self.send_back(entry, attempt, good, call).await;
                        (outcome, begun.elapsed())
                    };
                    let (abort, revert) = tokio::join!(timed(Call::Abort), timed(Call::Revert));
                    beside = Some(revert);
                    abort
                }
                (Call::PromoteFull, _) => {
                    match self.escort(&entry.workload, good, done.generation).promote().await {
                        Some(outcome) => (outcome, begun.elapsed()),
                        None => continue,
                    }
                }
                _ => {
                    let outcome = self.send_back(entry, attempt, good, *call).await;
                    (outcome, begun.elapsed())
                }
            };
            failpoint::reach_at("route", call.key());
            let takes_away = Call::HandBack == *call || Call::Retire == *call;
            if takes_away || matches!(call, Call::Revert | Call::RevertThroughWindow) {
                match outcome? {
                    Outcome::Applied { generation, .. } => {
                        done.calls.push((*call, took));
                        done.generation = generation;
                    }
                    Outcome::Refused { why } => return Ok(Taken::Refused(why)),
                    Outcome::Unsure { why } => return Err(Error::Unsure { why }),
                }
                continue;
            }
            // Only what takes the version away decides. Whatever else fails must not keep it from being sent.
            match outcome {
                Ok(Outcome::Applied { .. }) => done.calls.push((*call, took)),
                Ok(Outcome::Refused { why } | Outcome::Unsure { why }) => done.without.push((*call, why)),
                Err(e) => done.without.push((*call, e.to_string())),
            }
        }
        Ok(Taken::Back)
    }

    /// One call of a route, as the workload's driver puts it.
    async fn send_back(
        &self,
        entry: &crate::cache::Entry,
        attempt: &AttemptId,
        good: &KnownGood,
        call: Call,
    ) -> Result<Outcome, Error> {
        // The first calls only take away; the revert must not undo what somebody has done since.
        let reverts = matches!(call, Call::Revert | Call::RevertThroughWindow);
        let good = match reverts {
            true => self.with_config(&entry.workload, good).await,
            false => Cow::Borrowed(good),
        };
        let fence = match reverts {
            true => Announced::after(attempt, entry.workload.attempt.as_deref()),
            false => attempt.into(),
        };
        let driver = driver::of(&entry.workload, None);
        self.send_all(entry, fence, driver.back(call, &entry.seen(), attempt, &good)).await
    }
}

/// What a Healthy workload would go back to. Pure.
///
/// # Errors
/// In words, when it is not Healthy on one version, or its template is that of an object which was not seen.
pub(crate) fn known_good(object: &Value, facts: &Facts, w: &Workload) -> Result<KnownGood, String> {
    let name = &w.key.name;
    let settled = w.phase == Phase::Healthy && w.stable_hash == w.current_hash;
    let hash = w.stable_hash.clone().filter(|_| settled).ok_or_else(|| {
        let state = match (w.phase, &w.message) {
            (Phase::Unknown, _) => "its controller has not yet acted on the last change",
            (_, Some(message)) => message,
            (phase, None) => phase.key(),
        };
        format!(
            "{name} is not Healthy on one version ({state}), so there is no way back to write down. Wait \
             until it is, or roll it back."
        )
    })?;
    if w.workload_ref && w.source.is_none() {
        return Err(w.source_unfit().unwrap_or_default());
    }
    Ok(KnownGood {
        config: Vec::new(),
        template: object["spec"]["template"].clone(),
        steps: own_steps(object),
        blue_green: blue_green::own(object),
        hash,
        images: w.images.clone(),
        revision: facts.revision,
    })
}

enum Taken {
    Back,
    Refused(String),
}

/// The note speaks of the version before the present one, or of the present one itself.
fn still_speaks(w: &Workload, facts: &Facts, noted: &KnownGood) -> bool {
    if w.in_flight() {
        return w.stable_hash.as_deref() == Some(&noted.hash);
    }
    if w.current_hash.as_deref() == Some(&noted.hash) {
        return true;
    }
    // Somebody may have deployed past us since: then another revision lies between.
    match (facts.revision, noted.revision) {
        (Some(now), Some(then)) => now == then + 1,
        _ => true,
    }
}

/// The revision to go back to where no record says: the stable one in flight, and where what is wanted has no ReplicaSet
/// yet; else the one before the newest.
fn previous(w: &Workload) -> Option<String> {
    let Some(current) = w.current_hash.as_deref().filter(|_| !w.in_flight()) else {
        return w.stable_hash.clone();
    };
    let number = w.revision(current)?.number;
    let older = w.revisions.iter().filter(|r| r.number < number && r.hash != current);
    older.max_by_key(|r| r.number).map(|r| r.hash.clone())
}

/// The steps in the Rollout now.
fn own_steps(object: &Value) -> Option<Value> {
    object.pointer("/spec/strategy/canary/steps").filter(|s| !s.is_null()).cloned()
}

/// A ReplicaSet's template as its owner wrote it: without the hash label, the metadata of stable and canary
/// pods, and the anti-affinity between revisions, all of which the controller put in. Left in, they make a
/// new revision.
fn cleaned(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    let injected: Value = set
        .pointer("/metadata/annotations/rollout.argoproj.io~1ephemeral-metadata")
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        for part in ["labels", "annotations"] {
            let Some(map) = metadata.get_mut(part).and_then(Value::as_object_mut) else {
                continue;
            };
            map.remove("rollouts-pod-template-hash");
            map.remove("pod-template-hash");
            for key in injected[part].as_object().into_iter().flat_map(serde_json::Map::keys) {
                map.remove(key);
            }
            if map.is_empty() {
                metadata.remove(part);
            }
        }
    }
    strip_anti_affinity(&mut template);
    template
}

fn strip_anti_affinity(template: &mut Value) {
    let Some(anti) = template.pointer_mut("/spec/affinity/podAntiAffinity").and_then(Value::as_object_mut)
    else {
        return;
    };
    let lists = [
        ("requiredDuringSchedulingIgnoredDuringExecution", "/labelSelector/matchExpressions"),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            "/podAffinityTerm/labelSelector/matchExpressions",
        ),
    ];
    for (list, expressions) in lists {
        let Some(terms) = anti.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        terms.retain(|term| {
            let found = term.pointer(expressions).and_then(Value::as_array);
            !found.into_iter().flatten().any(|e| e["key"] == "rollouts-pod-template-hash")
        });
        if terms.is_empty() {
            anti.remove(list);
        }
    }
    if !anti.is_empty() {
        return;
    }
    if let Some(affinity) = template.pointer_mut("/spec/affinity").and_then(Value::as_object_mut) {
        affinity.remove("podAntiAffinity");
        if affinity.is_empty()
            && let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.remove("affinity");
        }
    }
}

#[cfg(test)]
mod tests;
