//! The patches for an Argo Rollout. Pure: [`crate::Cluster`] sends them.
//!
//! Preconditions are on the hashes and the step in `/status`, which the API server compares even when the
//! patch is for the spec. `resourceVersion` would not do: the controller writes status all the time. Source:
//! the operations seen on the real controller, Argo Rollouts v1.10.1.

use crate::blue_green;
use crate::driver::{Driver, Incoming, Request, Requests, Seen, at_rest, mark, second};
use crate::observe::{ATTEMPT, Facts, WINDOW};
use crate::patch::{Patch, annotation};
use chrono::{DateTime, Utc};
use model::AttemptId;
use model::config::unpinned;
use model::plan::{Plan, Strategy as PlanStrategy, Told};
use model::release::KnownGood;
use model::rollback::Call;
use model::workload::{Front, Phase, Strategy, Workload};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const STEPS: &str = "/spec/strategy/canary/steps";
const ROLLBACK_WINDOW: &str = "/spec/rollbackWindow";
/// The API server takes 256 KiB of annotations; the rest is for others'.
const LARGEST_NOTE: usize = 200 * 1024;

/// Drives an Argo Rollout by steps that only Tidegate opens, or by its own.
#[derive(Debug)]
pub(crate) struct Steps;

impl Driver for Steps {
    fn name(&self) -> &'static str {
        "a Rollout"
    }

    fn deploy(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        Ok(vec![Request::marked(&seen.workload.key, deploy(seen.facts, attempt, new)?)])
    }

    fn open_pause(&self, seen: &Seen<'_>, from: i32) -> Requests {
        Ok(vec![Request::status(&seen.workload.key, open_pause(seen.workload, from)?)])
    }

    fn switch(&self, seen: &Seen<'_>, _: &AttemptId, hash: &str, _: &[Front]) -> Requests {
        Ok(vec![Request::status(&seen.workload.key, blue_green::switch(seen.workload, hash)?)])
    }

    fn pause(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        Ok(vec![Request::marked(&seen.workload.key, pause(seen.facts, attempt))])
    }

    fn unpause(&self, seen: &Seen<'_>, attempt: Option<&AttemptId>) -> Requests {
        let patch = unpause(seen.facts, attempt);
        Ok(vec![Request { marked: attempt.is_some(), ..Request::unmarked(&seen.workload.key, patch) }])
    }

    fn abort(&self, seen: &Seen<'_>, bad: Option<&str>) -> Requests {
        let bad = newest(seen, bad, "aborted")?;
        Ok(vec![Request::status(&seen.workload.key, abort(bad))])
    }

    fn revert(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood, window: bool) -> Requests {
        let (w, facts) = (seen.workload, seen.facts);
        let patch = revert(facts, w.revisions.len(), attempt, good, window)?;
        Ok(vec![Request::marked(&w.key, patch)])
    }

    fn promote_full(&self, seen: &Seen<'_>, wanted: Option<&str>) -> Requests {
        Ok(vec![Request::status(&seen.workload.key, promote_full(newest(seen, wanted, "promoted")?))])
    }

    fn restore(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood) -> Requests {
        Ok(vec![Request::marked(&seen.workload.key, restore_steps(seen.facts, attempt, good)?)])
    }

    fn restart(&self, seen: &Seen<'_>, attempt: &AttemptId, at: DateTime<Utc>) -> Requests {
        let w = seen.workload;
        at_rest(w)?;
        let patch = Patch::new().add("/spec/restartAt", second(at));
        let patch = patch.annotate(seen.facts.annotated, &[(ATTEMPT, &attempt.0)]);
        Ok(vec![Request::marked(&w.key, patch)])
    }

    fn ways_back(&self) -> &'static [Call] {
        &[Call::Revert, Call::RevertThroughWindow, Call::Unpause, Call::Abort, Call::PromoteFull]
    }
}

fn newest<'a>(seen: &Seen<'a>, given: Option<&'a str>, what: &str) -> Result<&'a str, String> {
    given
        .or(seen.workload.current_hash.as_deref())
        .ok_or_else(|| format!("{} has no revision yet that could be {what}.", seen.workload.key.name))
}

/// The plan's steps as the controller walks them: each weight followed by a pause that only Tidegate opens,
/// so that the canary stands still when Tidegate does. `route` is the one that the controller may add for a header.
pub fn steps(plan: &Plan, route: Option<&str>) -> Value {
    let one = |told: Told<'_>| match told {
        Told::Scale(Some(pods)) => json!({"setCanaryScale": {"replicas": pods}}),
        Told::Scale(None) => json!({"setCanaryScale": {"matchTrafficWeight": true}}),
        Told::Weight(weight) => json!({"setWeight": weight}),
        Told::Header(Some(header)) => {
            let value = json!({"headerName": header.name, "headerValue": {"exact": header.value}});
            json!({"setHeaderRoute": {"name": route, "match": [value]}})
        }
        Told::Header(None) => json!({"setHeaderRoute": {"name": route}}),
        Told::Pause => json!({"pause": {}}),
    };
    (0..plan.steps().len()).flat_map(|i| plan.told(i)).map(one).collect()
}

/// Why this Rollout cannot be deployed to now; `None` when it can.
fn unfit(w: &Workload) -> Option<String> {
    let name = &w.key.name;
    if w.spec_paused {
        return Some(format!("{name} is paused in the cluster (spec.paused). Resume it first."));
    }
    if w.abort {
        return Some(format!("{name} still stands aborted on an earlier version. Roll it back first."));
    }
    None
}

/// The new images, the plan's steps (or, for a blue-green one, that it waits with the switch) and the way back, in one
/// patch: the release starts at the plan's first step. Where the template is another object's all that without the
/// images, which starts nothing yet.
///
/// # Errors
/// In words, when this Rollout, or this plan on it, is not to be deployed.
pub(crate) fn deploy(facts: &Facts, attempt: &AttemptId, new: &Incoming<'_>) -> Result<Patch, String> {
    let (w, plan, good) = (&facts.workload, new.plan, new.good);
    if let Some(why) = unfit(w) {
        return Err(why);
    }
    if w.strategy != plan.drives() {
        return Err(format!(
            "{} has another strategy than the plan. Write the plan anew for it.",
            w.key.name
        ));
    }
    let mut patch = Patch::new()
        .test("/status/stableRS", good.hash.as_str())
        .test("/status/currentPodHash", good.hash.as_str());
    if w.workload_ref {
        // For its refusals: a container that is not there, nothing new.
        images(Patch::new(), w, plan, good)?;
    } else {
        // Exactly what was recorded as the way back is what the new images are put into.
        patch = patch.test("/spec/template", good.template.clone());
        patch = images(patch, w, plan, good)?;
    }
    patch = match &plan.spec.strategy {
        PlanStrategy::BlueGreen(both) => {
            // Users are where the way back leads.
            patch = patch.test("/status/blueGreen/activeSelector", good.hash.as_str());
            blue_green::hold(patch, plan, both, good)
        }
        // What was approved to be walked, and what the ceilings are read from.
        PlanStrategy::Follow(_) => match &good.steps {
            Some(own) => patch.test(STEPS, own.clone()),
            None => return Err(format!("{} has no steps of its own to follow.", w.key.name)),
        },
        PlanStrategy::Canary(_) | PlanStrategy::Rolling(_) | PlanStrategy::Shadow(_) => {
            patch.add(STEPS, steps(plan, w.header_route.as_deref()))
        }
    };
    patch = mark(patch, facts, attempt, new)?;
    if let Some(window) = facts.window.as_deref() {
        // Within its owner's window a version that is older than the stable one would walk no steps, and be switched
        // to at once: past every gate.
        patch = patch.clear(ROLLBACK_WINDOW);
        if facts.window_note.is_none() {
            patch = patch.add(&annotation(WINDOW), window.to_string());
        }
    }
    Ok(patch)
}

/// Puts the plan's images in.
pub(crate) fn images(mut patch: Patch, w: &Workload, plan: &Plan, good: &KnownGood) -> Result<Patch, String> {
    let mut news = false;
    let pinned = unpinned(&good.template).is_some();
    for (container, image) in &plan.spec.change.images {
        let (path, now) = image_of(&good.template, container).ok_or_else(|| {
            format!(
                "{} has no container named {container}: it has {}. Correct the names under change.images.",
                w.key.name,
                containers(&good.template).join(", ")
            )
        })?;
        news |= now != image;
        if !pinned {
            patch = patch.replace(&path, image.as_str());
        }
    }
    if pinned {
        // A rollback has pinned its ConfigMaps: the new version reads them as they are.
        patch = patch.replace("/spec/template", with_images(&good.template, &plan.spec.change.images));
    }
    if !news {
        return Err(format!(
            "{} runs exactly these images already: there is nothing to release.",
            w.key.name
        ));
    }
    Ok(patch)
}

/// A template with other images, which reads its ConfigMaps themselves where a rollback had it read copies.
pub(crate) fn with_images(template: &Value, images: &BTreeMap<String, String>) -> Value {
    let mut template = unpinned(template).unwrap_or_else(|| template.clone());
    for list in ["containers", "initContainers"] {
        for container in template["spec"][list].as_array_mut().into_iter().flatten() {
            if let Some(image) = container["name"].as_str().and_then(|name| images.get(name)) {
                container["image"] = image.as_str().into();
            }
        }
    }
    template
}

/// The way back as it is kept on the object.
///
/// # Errors
/// In words, when it is too large for an annotation.
pub(crate) fn note(name: &str, good: &KnownGood) -> Result<String, String> {
    // What its ConfigMaps held is kept in the release's record: a ConfigMap may be larger than an annotation.
    let note = serde_json::to_string(&KnownGood { config: Vec::new(), ..good.clone() }).unwrap_or_default();
    if note.len() > LARGEST_NOTE {
        return Err(format!(
            "The pod template of {name} is {} KiB, too large to be kept on the object as the way back (200 KiB).",
            note.len() / 1024
        ));
    }
    Ok(note)
}

/// Pointer to a container's image within the Rollout, and the image that is there.
fn image_of<'a>(template: &'a Value, container: &str) -> Option<(String, &'a str)> {
    ["containers", "initContainers"].iter().find_map(|list| {
        let (i, found) = template["spec"][list]
            .as_array()?
            .iter()
            .enumerate()
            .find(|(_, c)| c["name"].as_str() == Some(container))?;
        Some((format!("/spec/template/spec/{list}/{i}/image"), found["image"].as_str().unwrap_or_default()))
    })
}

fn containers(template: &Value) -> Vec<&str> {
    let list = template["spec"]["containers"].as_array();
    list.into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
}

/// For `/status`: opens the pause at which the canary stands, and no other.
///
/// The index and the pause's reason are both tested: until the controller has moved the index, the pause is
/// gone already, so a second patch for the same pause cannot open the next one.
fn open_pause(w: &Workload, from: i32) -> Result<Patch, String> {
    if w.spec_paused {
        return Err(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
    }
    let mut patch = Patch::new()
        .test("/status/currentStepIndex", from)
        .test("/status/pauseConditions/0/reason", "CanaryPauseStep");
    if let Some(hash) = &w.current_hash {
        patch = patch.test("/status/currentPodHash", hash.as_str());
    }
    Ok(patch.remove("/status/pauseConditions"))
}

/// Keeps the controller at the step it is at, for a release that follows the Rollout's own.
pub(crate) fn pause(facts: &Facts, attempt: &AttemptId) -> Patch {
    Patch::new().add("/spec/paused", true).annotate(facts.annotated, &[(ATTEMPT, &attempt.0)])
}

/// A paused Rollout carries nothing out, not even an abort.
///
/// On the way back it goes without the attempt: that mark belongs to the revert that follows.
fn unpause(facts: &Facts, attempt: Option<&AttemptId>) -> Patch {
    let patch = Patch::new().add("/spec/paused", false);
    match attempt {
        Some(attempt) => patch.annotate(facts.annotated, &[(ATTEMPT, &attempt.0)]),
        None => patch,
    }
}

/// For `/status`. Both fields always: a promoteFull that is running erases an abort.
fn abort(bad_hash: &str) -> Patch {
    Patch::new()
        .test("/status/currentPodHash", bad_hash)
        .add("/status/abort", true)
        .add("/status/promoteFull", false)
}

/// For `/status`: skips what is left of the steps on the way to `hash`. It would also take an abort back and
/// ship what was aborted, hence the test: it is only for a hash that is wanted.
pub(crate) fn promote_full(hash: &str) -> Patch {
    Patch::new().test("/status/currentPodHash", hash).add("/status/promoteFull", true)
}

/// The known-good template and the Rollout's own steps, in one patch. With `window` also a `rollbackWindow`
/// that makes the controller skip steps, pauses and analysis; what it replaces is noted on the object.
///
/// # Errors
/// In words, for a Rollout with a `workloadRef`: a template written onto one takes its pods away.
fn revert(
    facts: &Facts,
    revisions: usize,
    attempt: &AttemptId,
    good: &KnownGood,
    window: bool,
) -> Result<Patch, String> {
    let w = &facts.workload;
    if w.workload_ref {
        return Err(format!(
            "{} takes its template from another object (spec.workloadRef): roll back that object instead.",
            w.key.name
        ));
    }
    let patch = as_seen(w, good).replace("/spec/template", good.template.clone());
    Ok(windowed(own(patch, w, good), facts, revisions, attempt, window))
}

/// For a Rollout whose template is another object's: the mark, and the window with `window`. Its own steps go back
/// later: beside a template that is not back yet they would start the update anew.
pub(crate) fn revert_marks(
    facts: &Facts,
    revisions: usize,
    attempt: &AttemptId,
    good: &KnownGood,
    window: bool,
) -> Patch {
    windowed(as_seen(&facts.workload, good), facts, revisions, attempt, window)
}

/// Holds as long as the hashes are those that the way back was chosen by.
fn as_seen(w: &Workload, good: &KnownGood) -> Patch {
    let patch = Patch::new();
    if w.stable_hash.as_deref() == Some(&good.hash) {
        return patch.test("/status/stableRS", good.hash.as_str());
    }
    match w.current_hash.as_deref().filter(|h| *h != good.hash) {
        Some(bad) => patch.test("/status/currentPodHash", bad),
        None => patch,
    }
}

fn windowed(patch: Patch, facts: &Facts, revisions: usize, attempt: &AttemptId, window: bool) -> Patch {
    let mark = [(ATTEMPT, attempt.0.as_str())];
    if window {
        return with_window(patch, facts, revisions, &mark);
    }
    own_window(patch, facts).annotate(facts.annotated, &mark)
}

/// Puts the Rollout's own steps (and its rollbackWindow) back. Only while Healthy on one version: changing
/// steps in flight starts the canary anew.
///
/// # Errors
/// In words, while an update is in flight.
fn restore_steps(facts: &Facts, attempt: &AttemptId, good: &KnownGood) -> Result<Patch, String> {
    let w = &facts.workload;
    let settled = w.phase == Phase::Healthy && w.stable_hash.is_some() && w.stable_hash == w.current_hash;
    let Some(hash) = w.stable_hash.as_deref().filter(|_| settled) else {
        return Err(format!(
            "{} is not Healthy on one version yet; putting its own settings back now could start the update anew.",
            w.key.name
        ));
    };
    let patch = Patch::new().test("/status/stableRS", hash).test("/status/currentPodHash", hash);
    let patch = own_window(own(patch, w, good), facts);
    Ok(patch.annotate(facts.annotated, &[(ATTEMPT, &attempt.0)]))
}

/// Only the `rollbackWindow` a rollback put there: once the steps are behind it, it has done its work. `hash`
/// is the newest revision. `None` when there is none of ours.
pub(crate) fn restore_window(facts: &Facts, hash: &str) -> Option<Patch> {
    facts.window_note.as_ref()?;
    Some(own_window(Patch::new().test("/status/currentPodHash", hash), facts))
}

fn own_window(patch: Patch, facts: &Facts) -> Patch {
    let Some(note) = &facts.window_note else {
        return patch;
    };
    let patch = match serde_json::from_str(note).unwrap_or_default() {
        Value::Null => patch.clear(ROLLBACK_WINDOW),
        window => patch.add(ROLLBACK_WINDOW, window),
    };
    // Another look may have taken it away already.
    patch.clear(&annotation(WINDOW))
}

/// Adds a window wide enough, notes on the object what it replaces, and sets the other annotations.
fn with_window(patch: Patch, facts: &Facts, revisions: usize, others: &[(&str, &str)]) -> Patch {
    let note = facts.window.as_deref().unwrap_or(&Value::Null).to_string();
    let mut notes = others.to_vec();
    // A window that is ours already must not be noted as the owner's.
    if facts.window_note.is_none() {
        notes.push((WINDOW, &note));
    }
    // Counted in ReplicaSets between the two; one more than there are is always enough.
    patch.add(ROLLBACK_WINDOW, json!({"revisions": revisions + 1})).annotate(facts.annotated, &notes)
}

/// What a release replaced of the Rollout's own.
fn own(patch: Patch, w: &Workload, good: &KnownGood) -> Patch {
    match (w.strategy, &good.steps) {
        (Strategy::Canary, Some(steps)) => patch.add(STEPS, steps.clone()),
        (Strategy::Canary, None) => patch.clear(STEPS),
        (Strategy::BlueGreen, _) => blue_green::put_back(patch, good),
        (Strategy::Rolling, _) => patch,
    }
}

#[cfg(test)]
mod tests;
