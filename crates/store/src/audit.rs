//! The audit chain. Rules in `model::audit`; here they meet rows.

use crate::link::{Link, SqlAs};
use crate::{Error, Result, Store, document, listen};
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use model::audit::{self, Broken, Event, GENESIS, NewEvent, Verified, Verifier};
use model::incident::Incident;
use model::role::Via;
use model::view::AuditFilter;
use model::{PlanId, ReleaseId, Seq, canonical};
use serde_json::Value;
use sqlx::{FromRow, Postgres, QueryBuilder};
use std::collections::BTreeSet;

/// Events read at once while verifying: some hundred kilobytes.
const PAGE: i64 = 1000;

const COLUMNS: &str = "seq, at, actor, person, via, action, environment, service, plan, release, summary, \
     reason, detail, previous, hash";

#[derive(FromRow)]
struct Row {
    seq: i64,
    at: DateTime<Utc>,
    actor: String,
    person: Option<i64>,
    via: String,
    action: String,
    environment: Option<String>,
    service: Option<String>,
    plan: Option<i64>,
    release: Option<i64>,
    summary: String,
    reason: Option<String>,
    detail: String,
    previous: String,
    hash: String,
}

impl Row {
    fn event(self) -> Result<Event> {
        let via: Via = document::from_word("via", self.via)?;
        let detail: Value =
            serde_json::from_str(&self.detail).map_err(|e| Error::unreadable("detail of an event", e))?;
        Ok(Event {
            seq: Seq(self.seq),
            event: NewEvent {
                at: self.at,
                actor: self.actor,
                person: self.person,
                via,
                action: self.action,
                environment: self.environment,
                service: self.service,
                plan: self.plan.map(PlanId),
                release: self.release.map(ReleaseId),
                summary: self.summary,
                reason: self.reason,
                detail,
            },
            previous: self.previous,
            hash: self.hash,
        })
    }
}

/// The event as it will be read back, so that the hash survives the round trip: microseconds are the grain of
/// Postgres, NUL has no place in its text, and numbers are as canonical JSON writes them.
pub(crate) fn settled(event: NewEvent) -> Result<NewEvent> {
    let text = |s: String| s.replace('\0', "\u{fffd}");
    let detail: Value = serde_json::from_str(&canonical::to_string(&event.detail))
        .map_err(|e| Error::Corrupt(format!("The detail of an event is no JSON: {e}.")))?;
    Ok(NewEvent {
        at: event.at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(event.at),
        actor: text(event.actor),
        action: text(event.action),
        environment: event.environment.map(text),
        service: event.service.map(text),
        summary: text(event.summary),
        reason: event.reason.map(text),
        detail,
        ..event
    })
}

/// Appends a [`settled`] event and announces the topics. Locks the end of the chain until the transaction ends.
pub(crate) async fn append(link: &mut Link, e: &NewEvent, topics: &BTreeSet<String>) -> Result<Seq> {
    let (last, previous): (i64, String) =
        link.one(sqlx::query_as("select seq, hash from audit_lock_head()")).await?;
    let seq = Seq(last + 1);
    let hash = audit::hash(seq, &previous, e);
    let payloads: Vec<String> = topics.iter().map(|topic| listen::payload(topic, seq)).collect();
    let sql = sqlx::query(
        "with appended as (
             insert into audit_events (seq, at, actor, person, via, action, environment, service, plan, release,
                                       summary, reason, detail, previous, hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15))
         select pg_notify($16, payload) from unnest($17::text[]) payload",
    )
    .bind(seq.0)
    .bind(e.at)
    .bind(&e.actor)
    .bind(e.person)
    .bind(document::word(&e.via)?)
    .bind(&e.action)
    .bind(&e.environment)
    .bind(&e.service)
    .bind(e.plan.map(|id| id.0))
    .bind(e.release.map(|id| id.0))
    .bind(&e.summary)
    .bind(&e.reason)
    .bind(canonical::to_string(&e.detail))
    .bind(&previous)
    .bind(&hash)
    .bind(listen::CHANNEL)
    .bind(payloads);
    link.run(sql).await?;
    Ok(seq)
}

impl Store {
    /// Events that fit the filter, newest first. `action` is a prefix, `actor` a part of the name in any case; an empty
    /// text does not narrow.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn events(&self, filter: &AuditFilter, limit: i64) -> Result<Vec<Event>> {
        let mut q = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from audit_events where true"));
        if let Some(prefix) = given(&filter.action) {
            q.push(" and starts_with(action, ").push_bind(prefix).push(")");
        }
        if let Some(name) = given(&filter.actor) {
            q.push(" and position(lower(").push_bind(name).push(") in lower(actor)) > 0");
        }
        if let Some(service) = given(&filter.service) {
            q.push(" and service = ").push_bind(service);
        }
        if let Some(release) = filter.release {
            q.push(" and release = ").push_bind(release);
        }
        if let Some(plan) = filter.plan {
            q.push(" and plan = ").push_bind(plan);
        }
        if let Some(before) = filter.before {
            q.push(" and seq < ").push_bind(before);
        }
        q.push(" order by seq desc limit ").push_bind(limit);
        events(&mut self.link().await?, q.build_query_as()).await
    }

    /// Events after a place in the chain, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn events_after(&self, after: Seq, limit: i64) -> Result<Vec<Event>> {
        let sql = format!("select {COLUMNS} from audit_events where seq > $1 order by seq limit $2");
        events(&mut self.link().await?, sqlx::query_as(&sql).bind(after.0).bind(limit)).await
    }

    /// Events of a release after a place in the chain, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn release_events(&self, id: ReleaseId, after: Seq, limit: i64) -> Result<Vec<Event>> {
        let sql = format!(
            "select {COLUMNS} from audit_events where release = $1 and seq > $2 order by seq limit $3"
        );
        events(&mut self.link().await?, sqlx::query_as(&sql).bind(id.0).bind(after.0).bind(limit)).await
    }

    /// What an incident's timeline is made of, newest first: its own events, and from `from` until `until` those of its
    /// release and those of its service that no release did.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn incident_events(
        &self,
        incident: &Incident,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<Event>> {
        // One scan of an index for each of the three.
        let sql = format!(
            "select * from (
                 (select {COLUMNS} from audit_events
                  where action like 'incident.%' and detail::jsonb ->> 'incident' = $1::bigint::text
                  order by seq desc limit $7)
                 union
                 (select {COLUMNS} from audit_events
                  where release = $2 and at between $5 and $6 order by seq desc limit $7)
                 union
                 (select {COLUMNS} from audit_events
                  where service = $3 and environment = $4 and release is null and at between $5 and $6
                    and action not like 'incident.%' and action not like 'plan.%'
                  order by seq desc limit $7)
             ) found order by seq desc limit $7"
        );
        let sql = sqlx::query_as(&sql)
            .bind(incident.id.0)
            .bind(incident.release.map(|id| id.0))
            .bind(&incident.service)
            .bind(&incident.environment)
            .bind(from)
            .bind(until)
            .bind(limit);
        events(&mut self.link().await?, sql).await
    }

    /// How many events there are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn audit_size(&self) -> Result<i64> {
        let sql = sqlx::query_as("select seq from audit_head");
        self.link().await?.one(sql).await.map(|(size,): (i64,)| size)
    }

    /// Reads the whole chain, a page at a time, as it was at one moment, and recomputes every hash. Compares its end
    /// with the head's row too, so that rows cut off the end show, unless that was forged with them.
    ///
    /// # Errors
    /// [`Error::Unavailable`]. A broken chain is no error but an answer.
    pub async fn verify(&self) -> Result<Verified> {
        let mut link = self.link().await?;
        link.begin("begin isolation level repeatable read, read only").await?;
        let head: Option<(i64, String)> =
            link.maybe(sqlx::query_as("select seq, hash from audit_head")).await?;
        let sql = format!("select {COLUMNS} from audit_events where seq > $1 order by seq limit $2");
        let (mut verifier, mut unreadable, mut after) = (Verifier::default(), None, i64::MIN);
        loop {
            let rows: Vec<Row> = link.all(sqlx::query_as(&sql).bind(after).bind(PAGE)).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            // Thousands of hashes: not on the thread that others wait for.
            let hashed = tokio::task::spawn_blocking(move || {
                push(&mut verifier, &mut unreadable, rows);
                (verifier, unreadable)
            });
            (verifier, unreadable) = hashed.await.map_err(|e| Error::Corrupt(e.to_string()))?;
        }
        link.commit().await?;
        let mut found = verifier.finish();
        found.broken = earlier(found.broken.take(), unreadable).or_else(|| cut(&found, head));
        found.ok = found.broken.is_none();
        Ok(found)
    }
}

/// A form's empty field is one that was not filled in.
fn given(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

async fn events(link: &mut Link, sql: SqlAs<'_, Row>) -> Result<Vec<Event>> {
    link.all(sql).await?.into_iter().map(Row::event).collect()
}

fn push(verifier: &mut Verifier, unreadable: &mut Option<Broken>, rows: Vec<Row>) {
    for row in rows {
        let (seq, previous, hash) = (row.seq, row.previous.clone(), row.hash.clone());
        let event = row.event().unwrap_or_else(|why| {
            let seq = Seq(seq);
            unreadable.get_or_insert(Broken { seq, why: why.to_string() });
            // Only counted: that it is unreadable is already the finding.
            let actor = model::Actor::system("audit");
            Event { seq, event: NewEvent::new(DateTime::UNIX_EPOCH, &actor, "", ""), previous, hash }
        });
        verifier.push(&event);
    }
}

/// Of two findings the earlier; of the same event the first.
fn earlier(a: Option<Broken>, b: Option<Broken>) -> Option<Broken> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.seq <= a.seq { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The chain's end against its head.
fn cut(found: &Verified, head: Option<(i64, String)>) -> Option<Broken> {
    let (size, hash) = head.unwrap_or((0, GENESIS.to_owned()));
    if size > found.size {
        let seq = Seq(found.size + 1);
        return Some(Broken { seq, why: format!("event {seq} is missing: {size} were recorded") });
    }
    (size != found.size || hash != found.root)
        .then(|| Broken { seq: Seq(found.size), why: "the recorded end of the chain is another".to_owned() })
}
