//! What must always be true of the store, on a real Postgres. One binary, so that one server serves all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod analyses;
mod audit;
mod down;
mod fixture;
mod flags;
mod incidents;
mod known_good;
mod leases;
mod listen;
mod notify;
mod people;
mod plans;
mod policies;
mod rehearsals;
mod releases;
mod schema;
