//! What every handler may reach.

use crate::config::Settings;
use crate::metrics::Metrics;
use crate::session::Sessions;
use axum::extract::FromRef;
use cluster::Cluster;
use control::Control;
use leptos::config::LeptosOptions;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Shared by all requests; cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    pub control: Control,
    /// For `/readyz` and `/metrics` only: whatever people see or do goes through `control`.
    pub store: Store,
    /// As `store`.
    pub clusters: Arc<[Arc<Cluster>]>,
    pub sessions: Sessions,
    pub metrics: Arc<Metrics>,
    pub settings: Arc<Settings>,
    pub leptos: LeptosOptions,
    /// The database was seen migrated since this process started.
    pub migrated: Arc<AtomicBool>,
    /// Cancelled when the process ends: streams close then.
    pub ending: CancellationToken,
    pub recent: crate::live::Recent,
    pub deltas: crate::live::Deltas,
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}
