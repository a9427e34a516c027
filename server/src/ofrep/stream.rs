//! `GET /ofrep/v1/stream/{stream}`: says that flags changed, and nothing of what they are. Whoever is told asks again.

use super::{Door, Refused};
use axum::extract::{Path, Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use control::FlagStream;
use flags::ofrep::Refetch;
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A comment after this much silence, so that proxies do not take the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// When a client should try again after a broken stream.
const RETRY: Duration = Duration::from_secs(2);
/// Streams open at once in this process. All are told at once, and then ask at once: a kill switch that reaches the last of them
/// seconds later is none.
const MOST: i64 = 20_000;

pub(super) async fn open(
    State(door): State<Arc<Door>>,
    Path(stream): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let Some(mut changes) = door.control.follow_flags(&stream) else {
        return door.stranger(&parts, Refused::no_stream()).answer();
    };
    if door.metrics.flag_streams() >= MOST {
        return Refused::full().answer();
    }
    let counted = door.metrics.opened_flags();
    // An id without data is no event, and yet what the client says when it comes again: so it misses nothing in between, though
    // not all clients ask again by themselves then.
    let mut first = Event::default().retry(RETRY).comment("tidegate");
    if let Some(version) = changes.version() {
        first = first.id(version);
    }
    if let Some(known) = parts.headers.get("last-event-id").and_then(|v| v.to_str().ok()) {
        changes.resume(known);
    }
    let told = futures::stream::unfold((changes, door, counted), async |(mut changes, door, counted)| {
        let (version, since) = next(&door, &mut changes).await?;
        door.metrics.flags_told();
        Some((event(&version, since), (changes, door, counted)))
    });
    let first = futures::stream::once(async { first });
    let mut response = Sse::new(first.chain(told).map(Ok::<_, Infallible>))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("ping"))
        .into_response();
    // nginx would otherwise collect events until its buffer is full.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(unbuffered.0, unbuffered.1);
    response
}

/// The next change, until the process ends or the key is withdrawn.
async fn next(door: &Door, changes: &mut FlagStream) -> Option<(String, DateTime<Utc>)> {
    tokio::select! {
        () = door.ending.cancelled() => None,
        change = changes.changed() => change,
    }
}

fn event(version: &str, since: DateTime<Utc>) -> Event {
    let data = serde_json::to_string(&Refetch::new(version, since.timestamp())).unwrap_or_default();
    Event::default().event("message").id(version).data(data)
}
