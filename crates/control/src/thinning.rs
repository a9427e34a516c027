//! Samples get fewer with age: one a minute is left of what is older than a day, and nothing after a configured time. What a
//! verdict rests on stays, so that it can be recomputed for as long as anything is kept.

use crate::Control;
use chrono::{DateTime, TimeDelta, Utc};
use model::ReleaseId;
use std::time::Duration;
use store::Store;

/// How old samples are thinned out.
const AGE: TimeDelta = TimeDelta::days(1);
/// How long samples are kept where nothing else is said, in days.
pub const KEEP_DAYS: u16 = 400;
/// Between two rounds, and before the first: a replica that has just started has better things to do.
const ROUND: Duration = Duration::from_secs(3600);
const FIRST: Duration = Duration::from_secs(120);
/// Between two transactions: others use the database, too.
const BREATH: Duration = Duration::from_millis(200);
/// Releases looked at by one query.
const RELEASES: i64 = 200;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thinned {
    /// Samples gone through that stay.
    pub kept: usize,
    /// Samples between them that went.
    pub removed: usize,
    /// Samples of releases that are older than is kept.
    pub expired: u64,
}

impl Control {
    pub(crate) async fn run_thinning(&self) {
        let mut wait = FIRST;
        loop {
            tokio::time::sleep(wait).await;
            wait = ROUND;
            let keep = TimeDelta::days(i64::from(self.inner.config.keep_samples_days));
            match thin_samples(self.store(), self.now_utc(), keep, BREATH).await {
                Ok(done) if done == Thinned::default() => {}
                Ok(done) => tracing::info!(?done, "samples thinned out"),
                Err(error) => tracing::warn!(%error, "samples were not thinned out this time"),
            }
        }
    }
}

/// One round over all releases, in transactions of a few thousand samples, with a pause between them. A second replica that comes
/// upon the first leaves the rest to it.
///
/// # Errors
/// [`store::Error::Unavailable`]; what was done until then stays done.
pub async fn thin_samples(
    store: &Store,
    now: DateTime<Utc>,
    keep: TimeDelta,
    breath: Duration,
) -> store::Result<Thinned> {
    let mut done = Thinned::default();
    let mut after = ReleaseId(0);
    loop {
        let due = store.samples_due(after, RELEASES, now - AGE, now - keep).await?;
        for release in due.gone {
            loop {
                let gone = store.remove_samples(release).await?;
                if gone == 0 {
                    break;
                }
                done.expired += gone;
                tokio::time::sleep(breath).await;
            }
        }
        for (release, step) in due.steps {
            loop {
                let Some(page) = store.thin_samples(release, step, judge::LOOKS, judge::kept).await? else {
                    return Ok(done);
                };
                done.kept += page.kept;
                done.removed += page.removed;
                if !page.more {
                    break;
                }
                tokio::time::sleep(breath).await;
            }
        }
        match due.last {
            Some(last) => after = last,
            None => return Ok(done),
        }
    }
}
