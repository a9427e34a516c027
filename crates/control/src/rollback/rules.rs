//! What a press of ROLL BACK is held against, and what it changes in a release's record. Pure but for the clock.

use crate::Control;
use crate::journal::Intent;
use crate::known_good::WayBack;
use model::audit::NewEvent;
use model::conductor::{lead_to, leave, stay};
use model::release::{Course, KnownGood, Release, State};
use model::workload::{Key, Workload, version_of};
use model::{Actor, AttemptId, Problem};

/// Turns a release's record back. Twice is harmless. A person's reason replaces Tidegate's own.
pub(crate) fn turn(
    release: &mut Release,
    good: KnownGood,
    who: &str,
    reason: Option<&str>,
    at: chrono::DateTime<chrono::Utc>,
) {
    if release.canary_hash.as_ref() == Some(&good.hash) {
        let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let version = release.version();
        return stay(release, &format!("{who} called the rollback off: {version} stays{why}."), at);
    }
    if release.state.ended() {
        // What was promoted is taken back: the release goes on, in the other direction.
        release.state = State::RollingBack;
        release.ended = None;
        release.reason = None;
        release.tried.clear();
        release.proved.clear();
        release.recovered = None;
        release.turned_back = None;
        release.rerouted = None;
    }
    lead_to(release, good, at);
    let why = reason.map_or_else(|| format!("Rolled back by {who}."), str::to_owned);
    leave(release, Course::RollBack, Some(&why), at);
    release.reason = Some(why);
}

/// # Errors
/// 409 when the release is back, or never was.
pub(crate) fn can_go_back(release: &Release) -> Result<(), Problem> {
    match release.state {
        State::RolledBack | State::Cancelled => Err(Problem::conflict(format!(
            "This release has ended: {}. {} carries all traffic.",
            release.state.words().to_lowercase(),
            release.good_version()
        ))),
        State::Queued
        | State::Running
        | State::Waiting
        | State::Paused
        | State::RollingBack
        | State::Succeeded
        | State::Failed => Ok(()),
    }
}

/// What the release brought is still what the workload runs or is on its way to.
pub(super) fn still_runs(release: &Release, workload: &Workload) -> bool {
    release.canary_hash.is_some() && release.canary_hash == workload.current_hash
}

/// Why a rollback that was accepted must not be carried out any more: what it was to leave is gone already, or somebody
/// has begun something else with the workload. `None` while it is due.
pub(crate) fn is_overtaken(intent: &Intent, w: &Workload) -> Option<String> {
    let mark = w.attempt.as_deref();
    let own = mark == Some(intent.attempt.0.as_str());
    let of_release = |mark: &str| intent.release.is_some_and(|id| AttemptId::is_of(mark, id));
    let same = mark == intent.mark.as_deref() || mark.is_some_and(of_release);
    let voided = mark.is_some_and(|m| m.strip_prefix("void-").is_some_and(of_release));
    let name = &w.key.name;
    let home = w.observed() && w.runs(&intent.good.hash) && !w.in_flight();
    if own || home {
        return None;
    }
    if !same && !voided {
        return Some(format!(
            "Something else was begun with {name} since this rollback was pressed: it was left alone."
        ));
    }
    match &intent.left {
        Some(left) if !w.runs(left) && w.observed() => {
            Some(format!("{name} no longer runs what this rollback was to leave: it was left alone."))
        }
        _ => None,
    }
}

/// The version that a rollback to `good` leaves; on the second press of one, the version that the first leaves. `toward`
/// is where that first one was on its way to.
pub(super) fn left(w: &Workload, good: &str, toward: Option<&str>) -> Option<String> {
    let newest = [w.newest_hash(), w.current_hash.as_deref(), w.stable_hash.as_deref()];
    let hashes = || newest.into_iter().flatten().filter(|hash| *hash != good);
    hashes().find(|hash| Some(*hash) != toward).or_else(|| hashes().next()).map(str::to_owned)
}

/// Does the way back lead where whoever presses thinks it does?
pub(super) fn as_shown(w: &Workload, way: &WayBack, to: Option<&str>) -> Result<(), Problem> {
    let (name, leads) = (&w.key.name, version_of(&way.good.images));
    match (to, way.further) {
        (Some(to), _) if to != way.good.hash => Err(Problem::conflict(format!(
            "The way back of {name} now leads to {leads}, which is not what was shown. Look again, and decide anew."
        ))),
        (None, Some(at)) if w.stable_hash.as_ref() != Some(&way.good.hash) => {
            Err(Problem::conflict(format!(
                "{name} was rolled back to {} at {} UTC. To go further back, to {leads}, name its hash: {{\"to\": \"{}\"}}.",
                w.stable_version(),
                at.format("%H:%M:%S"),
                way.good.hash
            )))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Steps and switch are the workload's as they were before the release, whichever version goes back in.
pub(super) fn as_before(good: KnownGood, release: &Release) -> KnownGood {
    let (steps, blue_green) = (release.known_good.steps.clone(), release.known_good.blue_green.clone());
    KnownGood { steps, blue_green, ..good }
}

pub(super) fn unknown(key: &Key) -> Problem {
    Problem::conflict(format!(
        "This version is not one that {} can go back to now: it is not on record as good, or was taken back. Look \
         again, and decide anew.",
        key.name
    ))
}

pub(super) fn gone(key: &Key) -> Problem {
    Problem::not_found(format!("{key} is not in the cluster, as far as Tidegate sees."))
}

pub(super) fn event_for(
    control: &Control,
    actor: &Actor,
    workload: &Workload,
    good: &KnownGood,
    instead: Option<&KnownGood>,
    reason: Option<String>,
) -> NewEvent {
    let (name, to) = (&workload.key.name, version_of(&good.images));
    let instead = instead.filter(|first| first.hash != good.hash).map(|first| version_of(&first.images));
    let stays = workload.stable_hash.as_ref() == Some(&good.hash);
    let summary = match instead {
        Some(first) if stays => format!("Rollback of {name} to {first} called off: it stays on {to}"),
        Some(first) => format!("ROLL BACK of {name} to {to} instead of {first}"),
        None => format!(
            "ROLL BACK of {name}: {} at {} % to {to}",
            workload.version(),
            if workload.in_flight() { workload.canary_share() } else { 100 },
        ),
    };
    let mut event = NewEvent::new(control.now_utc(), actor, "rollback.accepted", summary);
    event.service = Some(workload.service.clone());
    event.environment = Some(workload.environment.clone());
    event.reason = reason;
    event
}
