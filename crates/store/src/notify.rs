//! The outbox: what is to be told is written in the transaction of the change that it tells of, and sent later.

use crate::{DestinationRecord, Error, Result, Store, Tx, destinations, document};
use chrono::{DateTime, Utc};
use model::notify::{Message, Settings, State};
use model::policy::Channel;
use sqlx::FromRow;
use sqlx::types::Json;
use std::time::Duration;

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

/// A message that this replica is to deliver now.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub id: i64,
    pub message: Message,
    /// How often it was tried before.
    pub attempts: u32,
    /// Since when it is tried.
    pub since: DateTime<Utc>,
    pub destination: DestinationRecord,
}

/// A message on its way to a destination, or what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationRecord {
    pub id: i64,
    pub destination: i64,
    pub destination_name: String,
    pub destination_removed: bool,
    pub channel: Channel,
    pub message: Message,
    pub state: State,
    pub attempts: u32,
    pub created: DateTime<Utc>,
    pub next_try_at: DateTime<Utc>,
    pub last_error: Option<String>,
    pub sent_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
}

/// Which notifications are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    pub state: Option<State>,
    pub destination: Option<i64>,
    /// Only those before this one.
    pub before: Option<i64>,
}

#[derive(FromRow)]
struct ClaimedRow {
    id: i64,
    message: Json<Message>,
    attempts: i32,
    since: DateTime<Utc>,
    destination: i64,
    name: String,
    environment: Option<String>,
    settings: Json<Settings>,
    secret_variable: Option<String>,
    secret_sealed: Option<Vec<u8>>,
    destination_created: DateTime<Utc>,
}

impl ClaimedRow {
    fn claimed(self) -> Result<Claimed> {
        Ok(Claimed {
            id: self.id,
            message: self.message.0,
            attempts: document::number("attempts", self.attempts)?,
            since: self.since,
            destination: DestinationRecord {
                id: self.destination,
                name: self.name,
                environment: self.environment,
                settings: self.settings.0,
                secret: destinations::secret(self.secret_variable, self.secret_sealed),
                created: self.destination_created,
            },
        })
    }
}

#[derive(FromRow)]
struct Row {
    id: i64,
    destination: i64,
    name: String,
    removed: bool,
    kind: String,
    message: Json<Message>,
    state: String,
    attempts: i32,
    created: DateTime<Utc>,
    next_try_at: DateTime<Utc>,
    last_error: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
}

impl Row {
    fn record(self) -> Result<NotificationRecord> {
        Ok(NotificationRecord {
            id: self.id,
            destination: self.destination,
            destination_name: self.name,
            destination_removed: self.removed,
            channel: document::from_word("kind", self.kind)?,
            message: self.message.0,
            state: document::from_word("state", self.state)?,
            attempts: document::number("attempts", self.attempts)?,
            created: self.created,
            next_try_at: self.next_try_at,
            last_error: self.last_error,
            sent_at: self.sent_at,
            failed_at: self.failed_at,
        })
    }
}

/// Each destination's turn is taken in small parts, so that one that is slow does not keep the others waiting.
const SHARE: i64 = 4;

impl Store {
    /// Takes messages that are due, for `lease`: until then no other replica gets them, and after that, should this one
    /// have died, any does. A message waits for the one before it about the same matter.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn claim_notifications(
        &self,
        holder: &str,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<Claimed>> {
        // What is asked of the row itself is asked again once its lock is held: of two who come at once one gets it.
        let sql = sqlx::query_as(
            "with due as (
                 select id from notifications
                 where id in (
                     select id from (
                         select n.id, n.destination, row_number() over (partition by n.destination order by n.next_try_at, n.id) as place
                         from notifications n
                         where n.state = 'waiting' and n.next_try_at <= clock_timestamp()
                           and (n.leased_until is null or n.leased_until <= clock_timestamp())
                           and not exists (
                               select from notifications e
                               where e.destination = n.destination and e.dedup_key = n.dedup_key
                                 and e.id < n.id and e.state = 'waiting')
                     ) ranked
                     where place + (
                         select count(*) from notifications l
                         where l.destination = ranked.destination and l.state = 'waiting'
                           and l.leased_until > clock_timestamp()) <= $4)
                   and state = 'waiting' and next_try_at <= clock_timestamp()
                   and (leased_until is null or leased_until <= clock_timestamp())
                 order by next_try_at, id limit $2
                 for update skip locked
             ), taken as (
                 update notifications n
                 set leased_by = $1, leased_until = clock_timestamp() + make_interval(secs => $3)
                 from due where n.id = due.id
                 returning n.id, n.message, n.attempts, n.since, n.destination
             )
             select t.id, t.message, t.attempts, t.since, t.destination, d.name, d.environment, d.settings,
                    d.secret_variable, d.secret_sealed, d.created as destination_created
             from taken t join destinations d on d.id = t.destination order by t.id",
        )
        .bind(holder)
        .bind(limit)
        .bind(lease.as_secs_f64())
        .bind(SHARE);
        let rows: Vec<ClaimedRow> = self.link().await?.all(sql).await?;
        rows.into_iter().map(ClaimedRow::claimed).collect()
    }

    /// How long until something is due that nobody is at work on; `None` when nothing waits.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn next_notification(&self) -> Result<Option<Duration>> {
        let sql = sqlx::query_as(
            "select extract(epoch from min(greatest(next_try_at, coalesce(leased_until, next_try_at)))
                                        - clock_timestamp())::float8
             from notifications n where state = 'waiting' and not exists (
                 select from notifications e
                 where e.destination = n.destination and e.dedup_key = n.dedup_key
                   and e.id < n.id and e.state = 'waiting')",
        );
        let (seconds,): (Option<f64>,) = self.link().await?.one(sql).await?;
        Ok(seconds.map(|s| Duration::from_secs_f64(s.clamp(0.0, 86_400.0))))
    }

    /// Records what became of an attempt. Says whether it was still ours to record: whose lease ended meanwhile is no
    /// longer asked.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn record_delivery(&self, id: i64, holder: &str, delivery: &Delivery) -> Result<bool> {
        let (state, why, wait) = match delivery {
            Delivery::Sent => ("sent", None, 0.0),
            Delivery::Later { why, wait } => ("waiting", Some(why), wait.as_secs_f64()),
            Delivery::Failed { why } => ("failed", Some(why), 0.0),
        };
        let sql = sqlx::query(
            "update notifications set state = $3, attempts = attempts + 1, last_error = $4,
                 next_try_at = clock_timestamp() + make_interval(secs => $5),
                 sent_at = case when $3 = 'sent' then clock_timestamp() end,
                 failed_at = case when $3 = 'failed' then clock_timestamp() end,
                 leased_by = null, leased_until = null
             where id = $1 and leased_by = $2 and state = 'waiting'",
        )
        .bind(id)
        .bind(holder)
        .bind(state)
        .bind(why)
        .bind(wait);
        Ok(self.link().await?.run(sql).await? == 1)
    }

    /// Notifications, newest first.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn notifications(
        &self,
        filter: &NotificationFilter,
        limit: i64,
    ) -> Result<Vec<NotificationRecord>> {
        let sql = format!(
            "{NOTIFICATIONS} where ($1::text is null or n.state = $1) and ($2::bigint is null or n.destination = $2)
               and ($3::bigint is null or n.id < $3) order by n.id desc limit $4"
        );
        let state = filter.state.as_ref().map(document::word).transpose()?;
        let sql = sqlx::query_as(&sql).bind(state).bind(filter.destination).bind(filter.before).bind(limit);
        let rows: Vec<Row> = self.link().await?.all(sql).await?;
        rows.into_iter().map(Row::record).collect()
    }

    /// One notification.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn notification(&self, id: i64) -> Result<NotificationRecord> {
        let sql = format!("{NOTIFICATIONS} where n.id = $1");
        let row: Option<Row> = self.link().await?.maybe(sqlx::query_as(&sql).bind(id)).await?;
        row.ok_or(Error::NotFound("notification"))?.record()
    }

    /// The last notification of each destination that was sent or failed.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn last_notifications(&self) -> Result<Vec<NotificationRecord>> {
        let sql = format!(
            "{NOTIFICATIONS} where n.id in (
                 select l.id from destinations x cross join lateral (
                     select id from notifications where destination = x.id and attempts > 0
                     order by id desc limit 1) l
                 where x.removed is null)"
        );
        let rows: Vec<Row> = self.link().await?.all(sqlx::query_as(&sql)).await?;
        rows.into_iter().map(Row::record).collect()
    }

    /// How many wait, and how many were given up within a day.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn count_notifications(&self) -> Result<(i64, i64)> {
        let sql = sqlx::query_as(
            "select count(*) filter (where state = 'waiting'), count(*) filter (where state = 'failed')
             from notifications where state = 'waiting' or failed_at > clock_timestamp() - interval '24 hours'",
        );
        self.link().await?.one(sql).await
    }
}

const NOTIFICATIONS: &str =
    "select n.id, n.destination, d.name, d.removed is not null as removed, d.kind, n.message,
     n.state, n.attempts, n.created, n.next_try_at, n.last_error, n.sent_at, n.failed_at
     from notifications n join destinations d on d.id = n.destination";

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Sent,
    Later { why: String, wait: Duration },
    Failed { why: String },
}

impl Tx {
    /// Puts a message into the outbox for one destination. Returns its number.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the destination is gone; [`crate::Error::Conflict`] when it has this message.
    pub async fn enqueue_to(&mut self, destination: i64, message: &Message) -> Result<i64> {
        let sql = sqlx::query_as(
            "insert into notifications (destination, dedup_key, what, message, release)
             select id, $2, $3, $4::jsonb, $5 from destinations where id = $1 and removed is null
             returning id",
        )
        .bind(destination)
        .bind(&message.key)
        .bind(message.what.key())
        .bind(document::to_text(message)?)
        .bind(message.release.map(|id| id.0));
        let id: Option<(i64,)> = self.maybe(sql).await?;
        self.notify(TOPIC);
        id.map(|(id,)| id).ok_or_else(|| self.refuse(Error::NotFound("destination")))
    }

    /// Has a message that waits or was given up tried again at once.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when it was sent, is on its way right now, or its destination is gone.
    pub async fn retry_notification(&mut self, id: i64) -> Result<()> {
        let sql = sqlx::query(
            "update notifications n set state = 'waiting', failed_at = null, since = clock_timestamp(),
                 next_try_at = clock_timestamp()
             where id = $1 and state <> 'sent'
               and (leased_until is null or leased_until <= clock_timestamp())
               and exists (select from destinations d where d.id = n.destination and d.removed is null)",
        );
        let changed = self.run(sql.bind(id)).await?;
        self.notify(TOPIC);
        match changed {
            0 => Err(self.refuse(Error::Conflict(
                "It has been sent, is being sent right now, or its destination was removed. Look again."
                    .into(),
            ))),
            _ => Ok(()),
        }
    }
}
