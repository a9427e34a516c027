//! The outbox: what is to be told is written in the transaction of the change that it tells of, and sent later.

use crate::{Result, Tx, document};
use model::notify::Message;
use model::policy::Channel;

/// Announced when there is something to deliver, or something was delivered.
pub const TOPIC: &str = "notifications";

impl Tx {
    /// Puts a message into the outbox, once for each destination whose kind is among `channels` and that is for the
    /// message's environment or for all. Returns how many those are: 0 means that nobody will be told.
    ///
    /// A message with the same key and the same `what` is not written again to a destination that has it.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn enqueue(&mut self, message: &Message, channels: &[Channel]) -> Result<u64> {
        let kinds: Vec<String> = channels.iter().map(document::word).collect::<Result<_>>()?;
        let sql = sqlx::query_as(
            "with concerned as (
                 select id from destinations
                 where removed is null and kind = any($1) and (environment is null or environment = $2)
             ), added as (
                 insert into notifications (destination, dedup_key, what, message, release)
                 select id, $3, $4, $5::jsonb, $6 from concerned
                 on conflict on constraint notifications_once do nothing
             )
             select count(*) from concerned",
        )
        .bind(kinds)
        .bind(&message.environment)
        .bind(&message.key)
        .bind(message.what.key())
        .bind(document::to_text(message)?)
        .bind(message.release.map(|id| id.0));
        let (count,): (i64,) = self.one(sql).await?;
        self.notify(TOPIC);
        document::number("count", count)
    }
}
