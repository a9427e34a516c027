//! The way back to the known-good version, by the state a workload is in.
//!
//! Source: the operations seen on the real Argo Rollouts controller (v1.10.1) in every state.

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
    if w.current_hash.as_deref() == Some(good) && w.stable_hash.as_deref() == Some(good) && settled {
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
            calls.push(Call::Abort);
        }
        calls.push(Call::Revert);
        let fast = (w.router.is_some() || w.strategy == Strategy::BlueGreen) && !w.dynamic_stable_scale;
        return Route {
            calls,
            pace: if fast { Pace::Seconds } else { Pace::PodStart },
            because: if fast {
                "The update is in flight: the known-good pods are running, only the traffic moves.".into()
            } else {
                "The update is in flight, and pods carry the weight: it falls as known-good pods start."
                    .into()
            },
        };
    }
    calls.push(Call::RevertThroughWindow);
    calls.push(Call::PromoteFull);
    Route {
        calls,
        pace: Pace::PodStart,
        because:
            "The update was fully promoted: known-good pods start, then take over without walking the steps."
                .into(),
    }
}
