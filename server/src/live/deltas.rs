//! Readings shared by all streams that want the same at the same moment: a thousand people who watch one release
//! cost one reading for each set of rights among them, not a thousand.

use super::teller::without_age;
use chrono::{DateTime, Utc};
use control::Control;
use model::view::ReleaseDelta;
use model::{Actor, Problem, ReleaseId, Seq};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Readings are forgotten after this long; by then every stream has moved on.
const KEPT: Duration = Duration::from_secs(2);

/// What is asked. What a page may show depends on its reader's rights alone, not on who they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    release: ReleaseId,
    grants: String,
    samples: DateTime<Utc>,
    events: Seq,
}

/// A reading, and what is made of it once for all.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) delta: ReleaseDelta,
    pub(crate) json: Arc<str>,
    /// What it says but for the time it was said at.
    pub(crate) said: Value,
}

type Cell = Arc<OnceCell<Result<Arc<Reading>, Problem>>>;

/// Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    readings: Arc<Mutex<HashMap<Asked, (Instant, Cell)>>>,
}

impl Deltas {
    /// A delta that was read no earlier than `since`: when whoever asks heard that there is something to read.
    pub(crate) async fn read(
        &self,
        control: &Control,
        actor: &Actor,
        id: ReleaseId,
        (samples, events): (DateTime<Utc>, Seq),
        since: Instant,
    ) -> Result<Arc<Reading>, Problem> {
        let grants = serde_json::to_string(&actor.grants).unwrap_or_default();
        let cell = self.cell(Asked { release: id, grants, samples, events }, since);
        // The first to come reads, the others wait for it.
        let read = cell.get_or_init(|| async {
            let delta = control.release_delta(actor, id, Some(samples), events).await?;
            let json = serde_json::to_string(&delta).unwrap_or_default().into();
            let said = without_age(&delta);
            Ok(Arc::new(Reading { delta, json, said }))
        });
        read.await.clone()
    }

    fn cell(&self, asked: Asked, since: Instant) -> Cell {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((begun, cell)) = readings.get(&asked)
            && *begun >= since
        {
            return cell.clone();
        }
        let now = Instant::now();
        readings.retain(|_, (begun, _)| now - *begun < KEPT);
        let cell = Cell::default();
        readings.insert(asked, (now, cell.clone()));
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reading_is_shared_until_there_is_news() {
        let deltas = Deltas::default();
        let asked = |grants: &str| Asked {
            release: ReleaseId(1),
            grants: grants.to_owned(),
            samples: DateTime::UNIX_EPOCH,
            events: Seq(0),
        };
        let heard = Instant::now();
        let first = deltas.cell(asked("viewer"), heard);
        assert!(Arc::ptr_eq(&first, &deltas.cell(asked("viewer"), heard)), "heard the same");
        assert!(!Arc::ptr_eq(&first, &deltas.cell(asked("on-call"), heard)), "may do something else");
        let later = Instant::now() + Duration::from_millis(1);
        tokio::time::sleep_until(later).await;
        assert!(!Arc::ptr_eq(&first, &deltas.cell(asked("viewer"), later)), "heard something newer");
    }
}
