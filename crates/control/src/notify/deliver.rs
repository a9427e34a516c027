//! Delivery: takes what is due from the outbox, sends it, and records what came of it.
//!
//! At least once. A message is leased to one replica while it is sent; should that one die between the receiver's answer and
//! the record of it, another sends it again, under the same id. Woken by the commit of a message, and by time for what waits.

use super::send::{Parcel, Sender, WHOLE};
use crate::Control;
use crate::error::OrProblem as _;
use model::Problem;
use model::notify::{Heard, Outcome, judge, next_try};
use rand::Rng as _;
use std::time::Duration;
use store::{Claimed, Delivery, NOTIFICATIONS_TOPIC};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a message is one replica's. Longer than a delivery and its record take.
const LEASE: Duration = Duration::from_secs(60);
/// How long what came of a delivery is tried to be recorded: within the lease.
const RECORD: Duration = Duration::from_secs(25);
const _: () = assert!(WHOLE.as_secs() + RECORD.as_secs() < LEASE.as_secs());
/// Messages that a replica sends at once.
const AT_ONCE: usize = 8;
/// Longest sleep: an announcement may be lost.
const LONGEST: Duration = Duration::from_secs(15);
/// Shortest one where nothing could be taken though something is due.
const SHORTEST: Duration = Duration::from_millis(500);

impl Control {
    pub(crate) async fn run_notifier(&self) {
        let sender = self.inner.sender.clone();
        // Names this run: what a process of the same name left is another's.
        let holder = format!("{}/{:08x}", self.inner.config.replica, rand::rng().random::<u32>());
        // Ends with this task, as the process would.
        let mut under_way = JoinSet::new();
        loop {
            let wait = match self.take(&sender, &holder, &mut under_way).await {
                Ok(wait) => wait,
                Err(problem) => {
                    tracing::debug!(%problem, "the outbox cannot be read");
                    LONGEST
                }
            };
            tokio::select! {
                () = self.inner.outbox.notified() => {}
                Some(_) = under_way.join_next() => {}
                () = sleep(wait) => {}
            }
            while under_way.try_join_next().is_some() {}
        }
    }

    /// Sets out with what is due; how long to wait for the next.
    async fn take(
        &self,
        sender: &Sender,
        holder: &str,
        under_way: &mut JoinSet<()>,
    ) -> Result<Duration, Problem> {
        let free = AT_ONCE.saturating_sub(under_way.len());
        if free == 0 {
            return Ok(LONGEST);
        }
        let limit = i64::try_from(free).unwrap_or(1);
        let claimed = self.store().claim_notifications(holder, limit, LEASE).await.or_problem()?;
        let none = claimed.is_empty();
        for one in claimed {
            let (control, sender, holder) = (self.clone(), sender.clone(), holder.to_owned());
            under_way.spawn(async move { control.deliver(&sender, &holder, one).await });
        }
        let next = self.store().next_notification().await.or_problem()?.unwrap_or(LONGEST);
        Ok(if none { next.clamp(SHORTEST, LONGEST) } else { next.min(LONGEST) })
    }

    async fn deliver(&self, sender: &Sender, holder: &str, claimed: Claimed) {
        let heard = match self.secret_of(&claimed.destination) {
            Err(why) => Heard::NotAsked(why),
            Ok(secret) => {
                let parcel = Parcel {
                    id: format!("ntf-{}", claimed.id),
                    message: &claimed.message,
                    settings: &claimed.destination.settings,
                    secret: &secret,
                    now: self.now_utc(),
                };
                sender.send(&parcel).await
            }
        };
        let now = self.now_utc();
        let delivery = match judge(heard, now) {
            Outcome::Sent => Delivery::Sent,
            Outcome::Never { why } => Delivery::Failed { why },
            Outcome::Again { why, wait } => {
                let wait = next_try(claimed.attempts + 1, claimed.since, now, wait, rand::rng().random());
                match wait.and_then(|wait| wait.to_std().ok()) {
                    Some(wait) => Delivery::Later { why, wait },
                    None => Delivery::Failed { why: format!("{why} Given up after a day.") },
                }
            }
        };
        if let Delivery::Failed { why } = &delivery {
            let destination = claimed.destination.name;
            tracing::warn!(notification = claimed.id, destination, why, "a notification was given up");
        }
        if timeout(RECORD, self.settle_delivery(claimed.id, holder, &delivery)).await.is_err() {
            tracing::warn!(notification = claimed.id, "what came of it is not recorded; it is sent again");
        }
    }

    async fn settle_delivery(&self, id: i64, holder: &str, delivery: &Delivery) {
        while let Err(error) = self.store().record_delivery(id, holder, delivery).await {
            tracing::debug!(%error, notification = id, "not recorded yet");
            sleep(Duration::from_secs(1)).await;
        }
        if let Err(error) = self.store().announce(NOTIFICATIONS_TOPIC).await {
            tracing::debug!(%error, "pages show it at their next look");
        }
    }
}
