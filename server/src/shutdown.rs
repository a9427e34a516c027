//! Ending within five seconds: no new requests, streams closed, leases handed back.

use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Everything must have ended by then; Kubernetes' own patience is thirty seconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Cancelled when the process has been asked to end. A second request ends it at once.
///
/// # Errors
/// When the signals cannot be listened for.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let first = tokio::select! { _ = term.recv() => "SIGTERM", _ = int.recv() => "SIGINT" };
        tracing::info!(signal = first, "ending: requests under way are finished, streams are closed");
        asked.cancel();
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::warn!("asked twice: ending at once");
        std::process::exit(130);
    });
    Ok(token)
}
