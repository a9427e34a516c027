//! Workloads that changed lately: what a page that has just been rendered may have missed until its stream opened.

use super::topic::News;
use control::Control;
use model::workload::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// From rendering a page to its stream: a slow phone on a slow network.
const KEPT: Duration = Duration::from_secs(30);

/// Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    keys: Arc<Mutex<HashMap<Key, Instant>>>,
}

impl Recent {
    /// Listens until `ending`.
    pub async fn run(&self, control: Control, ending: CancellationToken) {
        let mut announcements = control.subscribe();
        loop {
            let news = tokio::select! {
                () = ending.cancelled() => return,
                news = announcements.recv() => news,
            };
            match news {
                Ok(a) => {
                    if let News::Workload(key) = News::of(&a.topic) {
                        self.note(key);
                    }
                }
                // Whoever missed announcements is told to read everything; nothing to remember.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Those that changed within the last half minute.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let now = Instant::now();
        self.lock().iter().filter(|(_, at)| now - **at < KEPT).map(|(key, _)| key.clone()).collect()
    }

    fn note(&self, key: Key) {
        let now = Instant::now();
        let mut keys = self.lock();
        if keys.len() > 1000 {
            keys.retain(|_, at| now - *at < KEPT);
        }
        keys.insert(key, now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
