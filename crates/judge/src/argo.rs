//! Analysis as Argo Rollouts does it, without Argo Rollouts: what a measurement's conditions say of a metric's answer
//! ([`condition`]), how a source's reply becomes that answer ([`source`]), what follows for the metric and the run
//! ([`run`]), what in a template will surprise its author ([`diagnose`]), and
//! what is kept of a run that the controller itself forgets ([`history`]), and a run without the controller ([`own`]).
//!
//! All of it is pure: answers and the time are handed in. The rules are those of argo-rollouts v1.10.1 with expr-lang
//! v1.17; `crates/cluster/tests/analysis.rs` compares them with the real controller. Where the two differ, the
//! controller is right.

pub mod args;
pub mod assess;
pub mod condition;
pub mod diagnose;
mod duration;
mod expr;
pub mod history;
pub mod own;
mod phase;
mod promql;
pub mod run;
pub mod source;
pub mod template;

pub use duration::parse as parse_duration;
pub use phase::Phase;
