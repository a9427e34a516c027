//! One file for each page that a person can open.

pub(crate) mod audit;
pub(crate) mod editor;
pub(crate) mod errors;
pub(crate) mod login;
pub(crate) mod now;
pub(crate) mod plan;
pub(crate) mod plans;
pub(crate) mod release;
pub(crate) mod releases;
pub(crate) mod rollback;
pub(crate) mod service;
pub(crate) mod services;
pub(crate) mod setup;
pub(crate) mod status;

#[cfg(all(test, feature = "ssr"))]
#[allow(clippy::expect_used, reason = "a fixture that breaks a rule must stop the test")]
mod fixtures;
#[cfg(all(test, feature = "ssr"))]
#[allow(clippy::unwrap_used, reason = "a page that cannot be written for looking at must stop the test")]
mod tests;
