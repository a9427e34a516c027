//! The one binary: configuration, router, sessions, REST, live streams, metrics, command line.
//!
//! What guards every request, in this order (`router.rs`): an id and a span, careful headers, refusals as problems,
//! a limit on bodies, deeds only from our own pages, the session, who asks. What anybody may do is decided behind
//! the door, in `control`.

pub mod assets;
pub mod auth;
pub mod body;
pub mod cli;
pub mod config;
pub mod csrf;
mod flag_keys;
pub mod headers;
pub mod health;
pub mod live;
pub mod metrics;
pub mod ofrep;
pub mod problem;
mod raster;
pub mod rest;
pub mod router;
pub mod serve;
pub mod session;
pub mod shutdown;
pub mod sources;
pub mod state;
