//! From "something changed" in Postgres or in a cluster to everybody who watches.

use crate::Control;
use cluster::Change;
use futures::{StreamExt as _, future::join_all};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Something changed. Carries no content: whoever listens reads what it may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// `release:318`, `workloads`, `workload:<key>`, `plan:12`, `plans`, `releases`, `incident:7`, `incidents`, `audit`,
    /// `status`, `notifications`, or `*` when
    /// announcements may have been lost and everything should be read again.
    pub topic: String,
}

impl Control {
    /// Announcements from now on. A slow reader is told by `Lagged` that it missed some.
    pub fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.inner.announcements.subscribe()
    }

    pub(crate) fn announce(&self, topic: impl Into<String>) {
        // Nobody listening is not a failure.
        let _ = self.inner.announcements.send(Announcement { topic: topic.into() });
    }

    pub(crate) async fn run_announcer(&self) {
        let clusters = join_all(self.clusters().iter().map(|c| self.follow_cluster(c.changes())));
        tokio::join!(self.follow_database(), clusters);
    }

    async fn follow_cluster(&self, mut changes: broadcast::Receiver<Change>) {
        loop {
            match changes.recv().await {
                Ok(Change::Workload(key)) => {
                    self.announce(format!("workload:{key}"));
                    self.announce("workloads");
                }
                Ok(Change::Resync) | Err(RecvError::Lagged(_)) => self.announce("*"),
                Err(RecvError::Closed) => return,
            }
            self.inner.nudge.notify_one();
        }
    }

    async fn follow_database(&self) {
        loop {
            let mut notices = std::pin::pin!(self.store().listen());
            while let Some(notice) = notices.next().await {
                match notice {
                    store::Notice::Topic { topic, .. } => {
                        if let Some(key) = topic.strip_prefix(store::KNOWN_GOOD_TOPIC) {
                            // Whoever reads it announces the workload then.
                            if let Ok(key) = key.parse() {
                                self.inner.known.hear(key);
                            }
                            continue;
                        }
                        if topic == store::POLICIES_TOPIC {
                            self.inner.policies.changed.notify_one();
                            self.inner.policies.fired.notify_one();
                        }
                        if topic == store::FLAGS_TOPIC {
                            self.inner.flags.hear();
                        }
                        if topic == store::NOTIFICATIONS_TOPIC {
                            self.inner.outbox.notify_one();
                        }
                        let conducts = topic.starts_with("release:") || topic.starts_with("plan:");
                        self.announce(topic);
                        if conducts {
                            self.inner.nudge.notify_one();
                        }
                    }
                    store::Notice::Gap => {
                        self.announce("*");
                        self.inner.known.hear_all();
                        self.inner.flags.hear();
                        self.inner.outbox.notify_one();
                        self.inner.nudge.notify_one();
                    }
                }
            }
            // The stream reconnects by itself; should it end all the same, begin anew, but not in a spin.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
