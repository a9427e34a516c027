//! What release management is made of: plans, steps, releases, approvals, roles.
//!
//! Types and rules only. Nothing here reads a clock, a disk or a network; time comes in as an argument, so
//! every rule can be tested as a function, and the crate compiles to WebAssembly for the browser as it is.

pub mod audit;
pub mod book;
pub mod canonical;
pub mod checked;
pub mod conductor;
pub mod config;
mod document;
pub mod gitops;
pub mod ids;
pub mod incident;
pub mod known_good;
pub mod notify;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod rehearsal;
pub mod release;
pub mod role;
pub mod rollback;
pub mod span;
pub mod stall;
pub mod verdict;
pub mod view;
pub mod workload;

pub use book::Book;
pub use ids::{AttemptId, Digest, IncidentId, PersonId, PlanId, ReleaseId, Seq};
pub use problem::{FieldError, Problem, Status};
pub use role::{Action, Actor, Grant, Role, Via};
pub use span::Span;
