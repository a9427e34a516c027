//! The way back to the known-good version, by the state a workload is in.
//!
//! Source: the operations seen on the real Argo Rollouts controller (v1.10.1) in every state.

mod proof;

pub use proof::Proof;
pub(crate) use proof::{good_images, paused_whole, proofs, wants_good};

use crate::workload::{Strategy, Workload};
use serde::{Deserialize, Serialize};

/// One call to the API server. Order matters; each carries its own preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `spec.paused: false`: a paused Rollout carries nothing out.
    Unpause,
    /// `status.abort: true` and `promoteFull: false` in one patch: a running promoteFull erases an abort.
    Abort,
    /// The known-good template and the Rollout's own steps, in one patch.
    Revert,
    /// The same with a `rollbackWindow`, so that the controller skips steps, pauses and analysis.
    RevertThroughWindow,
    /// After the revert was observed: `status.promoteFull: true`.
    PromoteFull,
    /// The Services in front of a Deployment select its own pods again, no weight sends anybody elsewhere, or no request is
    /// copied there. Also where they do already: what would switch
    /// them late no longer can.
    HandBack,
    /// The second Deployment beside a user's is scaled to nothing and deleted.
    Retire,
}

impl Call {
    /// As it is stored: `revert_through_window`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Unpause => "unpause",
            Self::Abort => "abort",
            Self::Revert => "revert",
            Self::RevertThroughWindow => "revert_through_window",
            Self::PromoteFull => "promote_full",
            Self::HandBack => "hand_back",
            Self::Retire => "retire",
        }
    }
}

/// How long it takes until users are on the known-good version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// A weight or a selector moves; pods are running.
    Seconds,
    /// Pods of the known-good version must start first.
    PodStart,
    /// Nothing to do.
    Now,
}

impl Pace {
    /// How long, in words beside `Takes`.
    pub fn takes(self) -> &'static str {
        match self {
            Self::Now => "nothing to do",
            Self::Seconds => "about 2 s",
            Self::PodStart => "as long as pods take to start",
        }
    }
}

/// A route back, and what to tell the person who is about to take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub calls: Vec<Call>,
    pub pace: Pace,
    /// Why this route, in one sentence.
    pub because: String,
}

/// The route for a workload as it is. `good` is the hash of the known-good revision.
pub fn route(w: &Workload, good: &str) -> Route {
    let mut calls = Vec::new();
    // Before the controller has seen the newest generation its hashes are about the template before it.
    let settled = w.observed() && !w.abort;
    let own = w.current_hash.as_deref() == Some(good) && w.stable_hash.as_deref() == Some(good) && settled;
    if w.stands_apart() || w.any_sent() {
        return apart(w, own);
    }
    if w.twin.is_some() {
        calls.push(Call::Retire);
        if own {
            return Route {
                calls,
                pace: Pace::Seconds,
                because: "The known-good version has all its pods: the second Deployment beside it goes."
                    .into(),
            };
        }
        calls.push(Call::Revert);
        return Route {
            calls,
            pace: Pace::PodStart,
            because:
                "The second Deployment goes at once; the Deployment itself goes back at its rolling pace."
                    .into(),
        };
    }
    if own {
        return Route {
            calls,
            pace: Pace::Now,
            because: "The known-good version already carries all traffic.".into(),
        };
    }
    if w.strategy == Strategy::Rolling {
        return Route {
            calls: vec![Call::Revert],
            pace: Pace::PodStart,
            because: "A Deployment goes back at its rolling pace: old pods start as new ones stop.".into(),
        };
    }
    if w.spec_paused {
        calls.push(Call::Unpause);
    }
    if w.stable_hash.as_deref() == Some(good) {
        // In flight: the known-good pods still run.
        if !w.abort {
            // A paused canary's weight falls all the same, so users go first. What a selector or pods carry moves with
            // the pause only.
            let weight = w.strategy == Strategy::Canary && w.router.is_some() && !w.dynamic_stable_scale;
            calls.insert(if weight { 0 } else { calls.len() }, Call::Abort);
        }
        calls.push(Call::Revert);
        let fast = (w.router.is_some() || w.strategy == Strategy::BlueGreen) && !w.dynamic_stable_scale;
        return Route {
            calls,
            pace: if fast { Pace::Seconds } else { Pace::PodStart },
            because: if w.strategy == Strategy::BlueGreen && w.active_hash.as_deref() == Some(good) {
                "The update is at its preview: users are on the known-good pods, and stay there.".into()
            } else if fast {
                "The update is in flight: the known-good pods are running, only the traffic moves.".into()
            } else if w.router.is_some() {
                "The update is in flight, and known-good pods were taken away as the weight rose (dynamicStableScale): it \
                 falls as they start again."
                    .into()
            } else {
                "The update is in flight, and pods carry the weight: it falls as known-good pods start."
                    .into()
            },
        };
    }
    calls.push(Call::RevertThroughWindow);
    calls.push(Call::PromoteFull);
    if stand_by(w, good) {
        return Route {
            calls,
            pace: Pace::Seconds,
            because: if w.strategy == Strategy::BlueGreen {
                "The known-good pods still stand by: the active Service switches back to them.".into()
            } else {
                "The update was fully promoted, and the known-good pods still stand by: only the traffic moves back.".into()
            },
        };
    }
    Route {
        calls,
        pace: Pace::PodStart,
        because:
            "The update was fully promoted: known-good pods start, then take over without walking the steps."
                .into(),
    }
}

/// After a promotion the old pods run on for a while (`scaleDownDelaySeconds`) where something else than pods moves users.
fn stand_by(w: &Workload, good: &str) -> bool {
    let moves = w.strategy == Strategy::BlueGreen || (w.router.is_some() && !w.dynamic_stable_scale);
    moves && w.revision(good).is_some_and(|r| r.ready > 0 && r.ready >= w.replicas)
}

/// Beside a second Deployment that Services tell apart. It goes at once where nobody is on it; else once nobody has been
/// for a while, which is left to the conductor.
fn apart(w: &Workload, own: bool) -> Route {
    if w.by_weight() && !w.by_copies() && w.any_sent() && w.can_carry() {
        let place = w.weight_place();
        return match own {
            true => Route {
                calls: vec![Call::HandBack],
                pace: Pace::Seconds,
                because: format!("The known-good pods still stand: {place} sends all users to them again."),
            },
            false => Route {
                calls: vec![Call::HandBack, Call::Revert],
                pace: Pace::PodStart,
                because: format!(
                    "By {place} nobody is sent to the second Deployment any more; the Deployment itself goes back at its \
                     rolling pace."
                ),
            },
        };
    }
    let (calls, pace, because) = match (own, w.any_sent()) {
        (true, true) if w.by_copies() => (
            vec![Call::HandBack],
            Pace::Seconds,
            "Users are on the known-good pods all the time: only the copying of their requests stops.",
        ),
        (false, true) if w.by_copies() => (
            vec![Call::HandBack, Call::Revert],
            Pace::PodStart,
            "The copying stops at once; the Deployment itself goes back at its rolling pace.",
        ),
        (_, true) if !w.can_carry() => (
            vec![Call::Revert],
            Pace::PodStart,
            "Too few pods of the Deployment itself are ready: they start, then its Services select them again.",
        ),
        (true, true) => (
            vec![Call::HandBack],
            Pace::Seconds,
            "The known-good pods still stand: the Services select them again.",
        ),
        (false, true) => (
            vec![Call::HandBack, Call::Revert],
            Pace::PodStart,
            "The Services select the Deployment itself again at once; it goes back at its rolling pace.",
        ),
        (true, false) => (
            vec![Call::HandBack, Call::Retire],
            Pace::Seconds,
            "Users are on the known-good pods, and stay there: the second Deployment goes.",
        ),
        (false, false) => (
            vec![Call::HandBack, Call::Retire, Call::Revert],
            Pace::PodStart,
            "The second Deployment goes; the Deployment itself goes back at its rolling pace.",
        ),
    };
    Route { calls, pace, because: because.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{CANARY, GOOD, apart, beside, healthy, plan, promoted, standing, step};
    use crate::workload::Kind;

    fn canary() -> Workload {
        standing(&plan(vec![step(25, 0, &[]), step(100, 60, &[])]), 0)
    }

    fn done() -> Workload {
        promoted(&plan(vec![step(100, 60, &[])]))
    }

    fn way(w: &Workload) -> (Vec<Call>, Pace) {
        let r = route(w, GOOD);
        (r.calls, r.pace)
    }

    #[test]
    fn in_flight_behind_a_router_only_traffic_moves() {
        assert_eq!(way(&canary()), (vec![Call::Abort, Call::Revert], Pace::Seconds));
    }

    #[test]
    fn in_flight_without_a_router_pods_must_start() {
        let mut w = canary();
        w.router = None;
        assert_eq!(way(&w), (vec![Call::Abort, Call::Revert], Pace::PodStart));
        let mut w = canary();
        w.dynamic_stable_scale = true;
        assert_eq!(way(&w).1, Pace::PodStart, "the stable pods were scaled away");
    }

    #[test]
    fn a_paused_rollout_is_unpaused_first_unless_a_weight_falls_without() {
        let mut w = canary();
        w.spec_paused = true;
        assert_eq!(way(&w).0, [Call::Abort, Call::Unpause, Call::Revert]);
        w.router = None;
        assert_eq!(way(&w).0, [Call::Unpause, Call::Abort, Call::Revert]);
        let mut w = done();
        w.spec_paused = true;
        assert_eq!(way(&w).0[0], Call::Unpause);
    }

    #[test]
    fn an_aborted_one_needs_only_its_template() {
        let mut w = canary();
        w.abort = true;
        assert_eq!(way(&w).0, [Call::Revert]);
    }

    #[test]
    fn a_promoted_one_goes_back_through_the_window_as_fast_as_its_pods_stand() {
        let through = vec![Call::RevertThroughWindow, Call::PromoteFull];
        let mut w = done();
        assert_eq!(way(&w), (through.clone(), Pace::Seconds));
        w.dynamic_stable_scale = true;
        assert_eq!(way(&w), (through.clone(), Pace::PodStart));
        w.dynamic_stable_scale = false;
        for r in w.revisions.iter_mut().filter(|r| r.hash == GOOD) {
            r.ready = 0;
        }
        assert_eq!(way(&w), (through.clone(), Pace::PodStart), "they were scaled away");
        let mut w = done();
        (w.router, w.weights) = (None, None);
        assert_eq!(way(&w), (through, Pace::PodStart));
    }

    #[test]
    fn blue_green_in_flight_goes_back_by_its_selector() {
        let mut w = canary();
        w.strategy = Strategy::BlueGreen;
        w.router = None;
        assert_eq!(way(&w), (vec![Call::Abort, Call::Revert], Pace::Seconds));
    }

    #[test]
    fn blue_green_after_the_switch_goes_back_as_fast_as_its_pods_stand() {
        let mut w = done();
        w.strategy = Strategy::BlueGreen;
        (w.router, w.weights) = (None, None);
        assert_eq!(way(&w), (vec![Call::RevertThroughWindow, Call::PromoteFull], Pace::Seconds));
        for r in &mut w.revisions {
            (r.desired, r.ready) = if r.hash == GOOD { (0, 0) } else { (8, 8) };
        }
        assert_eq!(way(&w).1, Pace::PodStart);
    }

    #[test]
    fn a_deployment_goes_back_by_its_template() {
        let mut w = done();
        w.key.kind = Kind::Deployment;
        w.strategy = Strategy::Rolling;
        assert_eq!(way(&w), (vec![Call::Revert], Pace::PodStart));
    }

    #[test]
    fn before_it_takes_over_only_the_canary_deployment_goes() {
        let mut w = beside(2);
        assert_eq!(way(&w), (vec![Call::Retire], Pace::Seconds));
        w.current_hash = Some("taken-over".into());
        assert_eq!(way(&w), (vec![Call::Retire, Call::Revert], Pace::PodStart));
    }

    #[test]
    fn a_deployment_whose_users_were_switched_goes_back_by_the_selector() {
        let (mut before, mut after) = (apart(false), apart(true));
        assert_eq!(way(&before), (vec![Call::HandBack, Call::Retire], Pace::Seconds));
        assert_eq!(
            way(&after),
            (vec![Call::HandBack], Pace::Seconds),
            "its pods serve until nobody is on them"
        );
        for w in [&mut before, &mut after] {
            w.current_hash = Some("taken-over".into());
        }
        assert_eq!(way(&before).0, [Call::HandBack, Call::Retire, Call::Revert]);
        assert_eq!(way(&after), (vec![Call::HandBack, Call::Revert], Pace::PodStart));
        after.ready = 3;
        assert_eq!(way(&after).0, [Call::Revert], "not to too few pods");
        after.twin = None;
        assert_eq!(way(&after).0, [Call::HandBack, Call::Revert], "users are at nothing: anything is better");
    }

    #[test]
    fn where_the_known_good_serves_there_is_nothing_to_do() {
        assert_eq!(way(&healthy()), (vec![], Pace::Now));
    }

    #[test]
    fn before_the_controller_has_seen_a_change_its_hashes_prove_nothing() {
        let mut w = healthy();
        w.generation += 1;
        assert!(way(&w).0.contains(&Call::Revert));
    }

    #[test]
    fn every_state_has_a_route_that_ends_the_bad_version() {
        for stable in [GOOD, CANARY, "other"] {
            for current in [GOOD, CANARY, "other"] {
                for flags in 0..8u8 {
                    for strategy in [Strategy::Canary, Strategy::BlueGreen, Strategy::Rolling] {
                        let mut w = canary();
                        w.stable_hash = Some(stable.into());
                        w.current_hash = Some(current.into());
                        w.spec_paused = flags & 1 > 0;
                        w.abort = flags & 2 > 0;
                        w.promote_full = flags & 4 > 0;
                        w.strategy = strategy;
                        let calls = way(&w).0;
                        let reverts =
                            calls.contains(&Call::Revert) || calls.contains(&Call::RevertThroughWindow);
                        assert!(reverts || stable == GOOD && current == GOOD, "{stable} {current} {flags}");
                        if let Some(at) = calls.iter().position(|c| *c == Call::Unpause) {
                            assert!(at == 0 || at == 1 && calls[0] == Call::Abort, "{calls:?}");
                        }
                        let abort = calls.iter().position(|c| *c == Call::Abort);
                        let revert = calls.iter().position(|c| *c == Call::Revert);
                        assert!(abort.is_none() || abort < revert, "the abort ends the traffic first");
                    }
                }
            }
        }
    }
}
