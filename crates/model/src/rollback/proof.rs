//! What proves, piece by piece, that users are back on the known-good version.
//!
//! Judged by effect: a status code or "Healthy" proves nothing. Source: what was seen on the real Argo Rollouts
//! controller (v1.10.1) after each kind of rollback.

use crate::release::Release;
use crate::workload::{Phase, Strategy, Workload};
use serde::{Deserialize, Serialize};

/// One piece of the proof, in the order in which they usually come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Nobody is sent to the version that is left.
    Traffic,
    /// The controller has seen the newest generation, and wants the known-good version.
    Wanted,
    /// The known-good version is the stable one.
    Stable,
    /// All its pods are ready, and the workload is healthy.
    Pods,
}

impl Proof {
    pub const ALL: [Self; 4] = [Self::Traffic, Self::Wanted, Self::Stable, Self::Pods];
}

/// The pieces that are true of what is seen. All of them together are the end of a rollback.
///
/// What is seen must be from after the deploy (`proved` by the caller): the known-good version was stable before it, too.
pub(crate) fn proofs(r: &Release, w: &Workload) -> Vec<Proof> {
    let good = r.known_good.hash.as_str();
    let is_good = |hash: Option<&str>| {
        hash.is_some_and(|h| h == good) || wants_good(r, w) && hash == w.current_hash.as_deref()
    };
    let stable = is_good(w.stable_hash.as_deref());
    let wanted = w.observed() && wants_good(r, w) && !w.anything_of_ours();
    let mut all = Vec::new();
    if stable && nobody_on_the_other(r, w, is_good(w.active_hash.as_deref())) {
        all.push(Proof::Traffic);
    }
    if wanted {
        all.push(Proof::Wanted);
        if stable && w.stable_hash == w.current_hash && !w.abort {
            all.push(Proof::Stable);
            if w.phase == Phase::Healthy || paused_whole(r, w) {
                all.push(Proof::Pods);
            }
        }
    }
    all
}

/// A Deployment that its owner has paused, with all its pods on the known-good template: the pause is theirs, and nothing
/// waits for its end. Paused with another template it names its old hash for as long, so the images count.
pub(crate) fn paused_whole(r: &Release, w: &Workload) -> bool {
    w.strategy == Strategy::Rolling
        && w.phase == Phase::Paused
        && w.stable_hash == w.current_hash
        && good_images(r, w)
        && w.current_hash.as_deref().and_then(|h| w.revision(h)).is_some_and(|c| c.images == w.images)
        && w.updated >= w.replicas
        && w.available >= w.replicas
}

/// By the word of whatever sends the traffic: the router's weight, the active Service's selector, else the pods.
fn nobody_on_the_other(r: &Release, w: &Workload, active_is_good: bool) -> bool {
    if w.strategy == Strategy::BlueGreen {
        return w.active_hash.is_none() || active_is_good;
    }
    if w.router.is_some() {
        return w.weights.is_none_or(|x| x.canary == 0 && !w.unverified);
    }
    if w.any_sent() {
        return false;
    }
    if w.stands_apart() {
        // Its pods may stand for a while: nobody is sent there.
        let ready = |x: &crate::workload::Revision| x.ready > 0 && Some(x.hash.as_str()) != w.newest_hash();
        return w.revisions.iter().filter(|x| ready(x)).all(|x| x.hash == r.known_good.hash || good(r, w, x));
    }
    let left = r.canary_hash.as_deref().and_then(|h| w.revision(h));
    left.is_none_or(|l| l.ready == 0) && w.twin.as_ref().is_none_or(|t| t.ready == 0)
}

/// Of the known-good images, under another hash, because the old one was lost.
fn good(r: &Release, w: &Workload, x: &crate::workload::Revision) -> bool {
    wants_good(r, w) && Some(&x.hash) == w.current_hash.as_ref()
}

/// The wanted revision is the known-good one: its hash, or its images where the hash was lost with the old
/// ReplicaSet. Never the canary's.
pub(crate) fn wants_good(r: &Release, w: &Workload) -> bool {
    let Some(current) = w.current_hash.as_deref() else {
        return false;
    };
    r.canary_hash.as_deref() != Some(current) && (current == r.known_good.hash || good_images(r, w))
}

/// The object wants the known-good images.
pub(crate) fn good_images(r: &Release, w: &Workload) -> bool {
    !r.known_good.images.is_empty() && w.images == r.known_good.images
}
