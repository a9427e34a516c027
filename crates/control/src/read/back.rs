//! How far a release is on its way back: what proves it, piece by piece.

use crate::recovery::{WATCHED, watched_from};
use chrono::{DateTime, Utc};
use judge::rate_of;
use model::release::{Course, Release, State};
use model::rollback::Proof;
use model::verdict::Limits;
use model::view::{BackView, ProofView};
use model::workload::{Strategy, Workload};

/// `None` while the release goes forward, and where nothing had changed in the cluster.
///
/// `errors` is what was last seen of the service's error rate, `limits` what it is measured by.
pub(super) fn back(
    release: &Release,
    seen: Option<&Workload>,
    errors: Option<String>,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Option<BackView> {
    let since = release.back_since().filter(|_| release.course != Course::Forward)?;
    release.canary_hash.as_ref()?;
    let proofs = Proof::ALL.into_iter().map(|proof| {
        // What came with the end has the end's time.
        let at = release.proved.get(&proof).copied().or(release.ended);
        ProofView { name: name(proof, release, seen), at, words: words(proof, release, seen, at.is_some()) }
    });
    let ended = matches!(release.state, State::RolledBack | State::Cancelled);
    let confirmed = release.proved.values().copied().chain(release.ended).max().filter(|_| ended);
    let proofs = proofs.chain([recovered(release, errors, limits, now)]).collect();
    Some(BackView { since, to_version: release.good_version(), confirmed, proofs })
}

/// The error rate: what was measured, or why it is not known to be back.
fn recovered(release: &Release, seen: Option<String>, limits: &Limits, now: DateTime<Utc>) -> ProofView {
    let words = match (&release.recovered, seen) {
        (Some(r), _) => rate_of(r.requests, r.errors),
        (None, Some(words)) => words,
        (None, None) if watched_from(release).is_some_and(|from| now >= from + WATCHED) => {
            format!("not seen under it within {} min", WATCHED.num_minutes())
        }
        (None, None) if release.state.ended() => "not measured yet".to_owned(),
        (None, None) => "measured once nobody is left on the other version".to_owned(),
    };
    ProofView { name: crate::recovery::name(limits), at: release.recovered.map(|r| r.at), words }
}

fn name(proof: Proof, release: &Release, seen: Option<&Workload>) -> String {
    let (old, good) = (release.version(), release.good_version());
    match proof {
        Proof::Traffic if seen.is_some_and(Workload::by_copies) => format!("No copies to {old}"),
        Proof::Traffic => format!("Nobody on {old}"),
        Proof::Wanted => format!("Controller wants {good}"),
        Proof::Stable => format!("{good} is stable"),
        Proof::Pods => format!("Pods of {good}"),
    }
}

/// By whose word, or what is still missing.
fn words(proof: Proof, release: &Release, seen: Option<&Workload>, there: bool) -> String {
    let Some(w) = seen else { return String::new() };
    match (proof, there) {
        (Proof::Traffic, true) if w.strategy == Strategy::BlueGreen => "by the active Service".to_owned(),
        (Proof::Traffic, true) if w.by_copies() => "no user ever was on it".to_owned(),
        (Proof::Traffic, false) if w.by_copies() => format!("{} % of requests are still copied", w.copied()),
        (Proof::Traffic, true) if w.by_weight() => format!("{} sends nobody", w.weight_place()),
        (Proof::Traffic, true) if w.stands_apart() => "no Service selects it".to_owned(),
        (Proof::Traffic, true) if w.router.is_some() => "canary weight 0 %, by the router".to_owned(),
        (Proof::Traffic, true) => "none of its pods serves".to_owned(),
        (Proof::Traffic, false) if w.unverified => "the router has not confirmed its weights yet".to_owned(),
        (Proof::Traffic, false) => format!("{} % still there", super::weight(release, seen)),
        (Proof::Wanted, true) | (Proof::Stable, _) => String::new(),
        (Proof::Wanted, false) if !w.observed() => "it has not seen the newest change".to_owned(),
        (Proof::Wanted, false) => format!("it wants {}", w.version()),
        (Proof::Pods, _) => {
            // A revision that had to be made anew may carry another hash.
            let known = w.revision(&release.known_good.hash);
            let target = known.or_else(|| w.current_hash.as_deref().and_then(|h| w.revision(h)));
            let (ready, all) = target.map_or((0, w.replicas), |r| (r.ready, w.replicas.max(r.desired)));
            format!("{ready} of {all} ready")
        }
    }
}
