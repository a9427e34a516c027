//! `/healthz` and `/readyz`, for whatever runs us.
//!
//! Not ready means: send nobody here. So a replica is unready only until it has seen the cluster and a migrated
//! database once. Later it stays ready even while Postgres is down, because rolling back works without, and a
//! Service without endpoints would take that away; what is down is told in the answer all the same.

use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long Postgres may take to answer a probe.
const ANSWER: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// `up`, `down`, or `not migrated`
    database: &'static str,
    clusters: Vec<ClusterReadiness>,
    ending: bool,
}

#[derive(Debug, Serialize)]
struct ClusterReadiness {
    name: String,
    /// When the watch was last known alive; null before the first full list.
    synced: Option<DateTime<Utc>>,
    workloads: usize,
}

/// The process runs and answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether people may be sent here, and what is down.
pub async fn readyz(State(state): State<AppState>) -> Response {
    let up = state.store.ping(ANSWER).await.is_ok();
    if up && !state.migrated.load(Ordering::Relaxed) {
        // Reads a table: fails for as long as the migrations have not been made.
        let seen = tokio::time::timeout(ANSWER, state.store.audit_size()).await;
        state.migrated.fetch_or(matches!(seen, Ok(Ok(_))), Ordering::Relaxed);
    }
    let migrated = state.migrated.load(Ordering::Relaxed);
    let clusters: Vec<_> = state
        .clusters
        .iter()
        .map(|c| ClusterReadiness {
            name: c.name().to_owned(),
            synced: c.synced(),
            workloads: c.workloads().len(),
        })
        .collect();
    let ending = state.ending.is_cancelled();
    let ready = migrated && !ending && clusters.iter().all(|c| c.synced.is_some());
    let database = match (up, migrated) {
        (true, true) => "up",
        (true, false) => "not migrated",
        (false, _) => "down",
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, database, clusters, ending })).into_response()
}
