//! The router as a service, without a socket, over a real Postgres and a real cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's arrangement that fails must stop the test"
)]

mod access;
mod bad_input;
mod charts;
mod common;
mod documents;
mod flags;
mod flow;
mod headers;
mod incidents;
mod live;
mod ofrep;
mod outage;
mod rehearsal;
mod sessions;
