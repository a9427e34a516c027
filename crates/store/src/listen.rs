//! Announcements between replicas, by NOTIFY. A hint only: who hears one reads the truth.

use crate::Store;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::Seq;
use serde::{Deserialize, Serialize};
use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub(crate) const CHANNEL: &str = "tidegate";

/// How long connecting, or an answer to a heartbeat, may take.
const ANSWER: Duration = Duration::from_secs(2);

/// After this long without a word the connection is asked whether it still lives: a dead one says nothing.
const QUIET: Duration = Duration::from_secs(5);

/// Longest wait between two tries to connect.
const PATIENCE: Duration = Duration::from_secs(2);

/// What [`Store::listen`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something of this topic changed.
    Topic {
        topic: String,
        /// The event that it was committed with.
        seq: Option<Seq>,
    },
    /// Listening from now on; what was announced before is lost. Read everything again. Comes first, and after each
    /// time the connection was lost.
    Gap,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
}

pub(crate) fn payload(topic: &str, seq: Seq) -> String {
    serde_json::json!({"topic": topic, "seq": seq}).to_string()
}

fn notice(payload: &str) -> Option<Notice> {
    match serde_json::from_str(payload) {
        Ok(Payload { topic, seq }) => Some(Notice::Topic { topic, seq }),
        Err(error) => {
            tracing::warn!(%error, payload, "a notification that is not ours was ignored");
            None
        }
    }
}

impl Store {
    /// Announces something that changed without an event of its own, as new samples. Reaches every replica.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    pub async fn announce(&self, topic: &str) -> crate::Result<()> {
        let payload = serde_json::json!({ "topic": topic }).to_string();
        let sql = sqlx::query("select pg_notify('tidegate', $1)").bind(payload);
        self.link().await?.run(sql).await.map(drop)
    }

    /// Announcements of all replicas, this one's too, on a connection of its own outside the pool. Never ends;
    /// reconnects by itself. Must be polled steadily: Postgres keeps what is not fetched.
    pub fn listen(&self) -> BoxStream<'static, Notice> {
        let ear = Ear { options: self.pool.connect_options(), listener: None, wait: Duration::ZERO };
        stream::unfold(ear, |mut ear| async move { Some((ear.next().await, ear)) }).boxed()
    }
}

struct Ear {
    options: Arc<PgConnectOptions>,
    listener: Option<PgListener>,
    wait: Duration,
}

impl Ear {
    async fn next(&mut self) -> Notice {
        loop {
            let Some(listener) = &mut self.listener else {
                sleep(self.wait).await;
                match timeout(ANSWER, connect(&self.options)).await {
                    Ok(Ok(listener)) => {
                        self.listener = Some(listener);
                        self.wait = Duration::ZERO;
                        return Notice::Gap;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "cannot listen for announcements"),
                    Err(_) => tracing::debug!("cannot listen for announcements: no answer in time"),
                }
                self.wait = (self.wait * 2).clamp(Duration::from_millis(50), PATIENCE);
                continue;
            };
            // Giving up the wait in the middle loses nothing: a message is taken only when it is whole.
            match timeout(QUIET, listener.try_recv()).await {
                Ok(Ok(Some(message))) => {
                    if let Some(notice) = notice(message.payload()) {
                        return notice;
                    }
                }
                Ok(Ok(None)) => self.lost("closed"),
                Ok(Err(error)) => self.lost(&error.to_string()),
                Err(_) => match timeout(ANSWER, listener.execute("select")).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => self.lost(&error.to_string()),
                    Err(_) => self.lost("no answer in time"),
                },
            }
        }
    }

    fn lost(&mut self, why: &str) {
        tracing::info!(why, "the connection for announcements was lost");
        self.listener = None;
    }
}

async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgListener> {
    // A pool of one, since a listener comes from a pool; new each time, so that nothing waits for a dead connection.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(ANSWER)
        .connect_lazy_with(options.clone().application_name("tidegate listen"));
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
