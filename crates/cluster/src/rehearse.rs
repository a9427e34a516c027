//! A rollback before it is needed: everything is asked, nothing is changed.
//!
//! What is proven: that the way back can be written down, and that the API server would take each patch of it now
//! (permissions, preconditions, schema, admission). What is not: a patch is tried against the present template, so
//! a policy that looks only at what a change alters sees no alteration; and whether nodes have room for pods.

mod beside;
mod findings;
mod surroundings;

use crate::back::known_good;
use crate::cache::Entry;
use crate::driver::{self, Requests, Seen};
use crate::error::Error;
use crate::observe::Facts;
use crate::read::Read;
use crate::send::Outcome;
use crate::{Cluster, rollout};
use chrono::{DateTime, Utc};
use model::AttemptId;
use model::config::{Kept, Reference, State, references};
use model::plan::Plan;
use model::rehearsal::{Check, Rehearsal, WayBack};
use model::release::KnownGood;
use model::rollback::{Call, Pace};
use model::workload::{Key, Kind, Splitter, Strategy, Workload, version_of};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

impl Cluster {
    /// Rehearses the way back from a release by `plan`, at `now`, for a workload as the API server has it: the
    /// patches are sent as server-side dry runs, all at once. Nothing is changed.
    ///
    /// What would keep a rollback from working is a failed check, not an error.
    ///
    /// # Errors
    /// When the workload cannot be read: [`Error::Gone`], [`Error::Denied`], [`Error::Unreachable`].
    pub async fn rehearse(&self, key: &Key, plan: &Plan, now: DateTime<Utc>) -> Result<Rehearsal, Error> {
        let images = &plan.spec.change.images;
        let begun = Instant::now();
        let Read { object, entry } = self.read(key).await?;
        let (facts, w) = (&*entry.facts, &*entry.workload);
        let mut rehearsal = Rehearsal {
            at: now,
            took_ms: 0,
            workload: key.clone(),
            way: None,
            checks: Vec::new(),
            findings: Vec::new(),
        };
        match written_down(&object, facts, w, images) {
            Err(why) => rehearsal.checks.push(Check::failed(WAY_BACK, why)),
            Ok((good, words)) => {
                rehearsal.checks.push(Check::passed(WAY_BACK, words));
                rehearsal.checks.push(revision(w, &good));
                let wanted = references(&good.template);
                let (tried, around, config) = tokio::join!(
                    self.try_patches(&entry, &good),
                    self.surroundings(&w.key),
                    self.config(&w.key, &wanted)
                );
                rehearsal.checks.extend(tried);
                let beside = beside::asked_for(w, plan);
                if beside {
                    rehearsal.checks.extend(self.try_beside(&entry, &object, plan, &good).await);
                }
                rehearsal.checks.extend(surroundings::room(&around, w, &object));
                rehearsal.findings = findings::findings(w, &object, &good, images);
                if plan.drives() == Strategy::Canary {
                    rehearsal.findings.extend(w.weighed().ok().and_then(Splitter::drift));
                }
                let (check, words) = configuration(&wanted, &config);
                rehearsal.checks.extend(check);
                rehearsal.findings.extend(words);
                rehearsal.findings.extend(surroundings::words(&around, w, &object));
                let (pace, promoted) = findings::paces(w, &good.hash);
                // The workload's own pods stay until it takes the version over.
                let pace = if beside { Pace::Seconds } else { pace };
                rehearsal.way = Some(WayBack {
                    version: version_of(&good.images),
                    hash: good.hash,
                    revision: good.revision,
                    pace,
                    promoted,
                });
            }
        }
        rehearsal.took_ms = millis(begun.elapsed());
        Ok(rehearsal)
    }

    /// Every call a rollback may take, made for the workload as it is: the hashes they test are those of now.
    async fn try_patches(&self, entry: &Entry, good: &KnownGood) -> Vec<Check> {
        let (driver, attempt) = (driver::of(&entry.workload, None), AttemptId("rehearsal".into()));
        let seen = Seen { twin: None, ..entry.seen() };
        let tries = driver.ways_back().iter().map(|call| {
            let requests = driver.back(*call, &seen, &attempt, good);
            async move {
                let begun = Instant::now();
                check(name(*call), self.try_all(requests).await, begun.elapsed())
            }
        });
        futures::future::join_all(tries).await
    }

    /// The first request that would not be taken, else the last one's answer.
    async fn try_all(&self, requests: Requests) -> Result<Outcome, Error> {
        let mut last = Outcome::refused("There is nothing to try.");
        match requests {
            Err(why) => last = Outcome::refused(why),
            Ok(requests) => {
                for request in requests {
                    last = self.sender.dry_run(request).await?;
                    if !last.is_applied() {
                        break;
                    }
                }
            }
        }
        Ok(last)
    }
}

const WAY_BACK: &str = "Way back";

/// As a list of checks names it.
fn name(call: Call) -> &'static str {
    match call {
        Call::Unpause => "Unpause",
        Call::Abort => "Abort",
        Call::Revert => "Revert",
        Call::RevertThroughWindow => "Revert past the steps",
        Call::PromoteFull => "Full promotion",
        Call::HandBack => "Services back to the own pods",
        Call::Retire => "Removal of the second Deployment",
    }
}

/// The way back, and what was written down in words.
fn written_down(
    object: &Value,
    facts: &Facts,
    w: &Workload,
    images: &BTreeMap<String, String>,
) -> Result<(KnownGood, String), String> {
    let good = known_good(object, facts, w)?;
    if w.key.kind == Kind::Rollout {
        rollout::note(&w.key.name, &good)?;
    }
    let steps = match good.steps.as_ref().and_then(Value::as_array).map_or(0, Vec::len) {
        0 => String::new(),
        1 => " and its own step".to_owned(),
        n => format!(" and its own {n} steps"),
    };
    let words = format!(
        "From {} back to {}: its template{steps} can be written down.",
        version_of(images),
        version_of(&good.images)
    );
    Ok((good, words))
}

/// The known-good revision is in the cluster.
fn revision(w: &Workload, good: &KnownGood) -> Check {
    const NAME: &str = "Revision";
    let Some(r) = w.revision(&good.hash) else {
        return Check::failed(
            NAME,
            format!(
                "{} has no ReplicaSet of its stable revision {}. Look whether its controller runs.",
                w.key.name, good.hash
            ),
        );
    };
    let words = format!("Revision {} ({}): {} of {} pods ready.", r.number, r.hash, r.ready, r.desired);
    if r.desired > 0 && r.ready == 0 {
        return Check::failed(NAME, format!("{words} Going back would lead to nothing that serves."));
    }
    Check::passed(NAME, words)
}

/// Whether what the template reads is there. A rollback does not change it.
fn configuration(wanted: &[Reference], found: &[Kept]) -> (Option<Check>, Vec<String>) {
    const NAME: &str = "Configuration";
    let name = |k: &Kept| format!("{} {}", k.kind.key(), k.name);
    let names =
        |is: &dyn Fn(&Kept) -> bool| found.iter().filter(|k| is(k)).map(name).collect::<Vec<_>>().join(", ");
    let optional = |k: &Kept| wanted.iter().any(|r| r.optional && r.kind == k.kind && r.name == k.name);
    let missing = names(&|k| k.state == State::Absent && !optional(k));
    let unread = names(&|k| k.state == State::Unread);
    let there = names(&|k| k.state != State::Absent && k.state != State::Unread);
    let check = if !missing.is_empty() {
        let words = format!("{missing} is gone: pods that start would wait for it. Bring it back.");
        Some(Check::failed(NAME, words))
    } else if !there.is_empty() {
        Some(Check::passed(NAME, format!("{there}: there now. Not rolled back with the code.")))
    } else {
        None
    };
    let spare = names(&|k| k.state == State::Absent && optional(k));
    let mut words = Vec::new();
    if !unread.is_empty() {
        words.push(format!(
            "Not rolled back with the code, and not looked at (Tidegate may not read them): {unread}."
        ));
    }
    if !spare.is_empty() {
        words.push(format!("Optional, and not there: {spare}."));
    }
    (check, words)
}

/// What a dry run's answer means for the emergency.
fn check(name: &str, answer: Result<Outcome, Error>, took: Duration) -> Check {
    let words = match answer {
        Ok(Outcome::Applied { .. }) => {
            let words = format!("The API server would take it ({} ms).", millis(took));
            return Check::passed(name, words);
        }
        Ok(Outcome::Refused { why }) if why.contains("does not support dry run") => format!(
            "{why} What it would say cannot be known beforehand: declare `sideEffects: None` on that webhook."
        ),
        Ok(Outcome::Refused { why }) if is_policy(&why) => format!("{why} {LET_THROUGH}"),
        Ok(Outcome::Refused { why }) => why,
        Ok(Outcome::Unsure { why }) => format!("{why} A rollback would be as unsure: see to that first."),
        // A 403 tells of a missing right, or of a policy.
        Err(Error::Denied { reason, .. }) if is_policy(&reason) => {
            format!("The cluster refuses it: {reason}. {LET_THROUGH}")
        }
        Err(e) => e.to_string(),
    };
    Check::failed(name, words)
}

const LET_THROUGH: &str = "Ask whoever keeps that policy to let Tidegate's service account through.";

/// Whether the API server's words are those of an admission webhook or policy.
fn is_policy(reason: &str) -> bool {
    reason.contains(" denied the request") || reason.contains(" denied request")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
