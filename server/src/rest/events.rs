//! A release's audit events as they come: `GET /api/v1/releases/{id}/events`.

use super::Answer;
use crate::auth::{Proof, Who};
use crate::body::Id;
use crate::live::{self, Line};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Extension;
use axum::extract::State;
use http::HeaderMap;
use model::{Actor, ReleaseId, Seq};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// Without any announcement the chain is looked at this often all the same.
const SAFETY: Duration = Duration::from_secs(10);
const PAGE: i64 = 500;

/// Streams a release's events: first those that were, then those that come.
///
/// Server-sent events: `id` is the event's place in the chain, `event` its action, `data` the event as JSON. After a
/// broken connection send the last `id` as `Last-Event-ID`, and nothing is lost or told twice.
#[utoipa::path(get, path = "/api/v1/releases/{id}/events", tag = "releases", operation_id = "followRelease",
    params(("id" = i64, Path, description = "The release's number"),
           ("Last-Event-ID" = Option<i64>, Header, description = "Only events after this place in the chain")),
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn follow(
    State(state): State<AppState>,
    Who(actor): Who,
    Extension(proof): Extension<Proof>,
    Id(id): Id<ReleaseId>,
    headers: HeaderMap,
) -> Answer {
    state.control.release_record(&actor, id).await?;
    let after = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.trim().parse().ok())
        .map_or(Seq(0), Seq);
    Ok(live::stream(state, "release-events", move |state, out| tell(state, actor, proof, id, after, out)))
}

async fn tell(
    state: AppState,
    actor: Actor,
    proof: Proof,
    id: ReleaseId,
    mut after: Seq,
    out: mpsc::Sender<Line>,
) {
    // Before the first read: what is recorded between the two is announced, and so read.
    let mut announcements = state.control.subscribe();
    let topic = format!("release:{id}");
    let mut safety = tokio::time::interval(SAFETY);
    safety.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A database that is down for a while only delays what there is to tell.
        while let Ok(events) = state.control.release_events(&actor, id, after, PAGE).await {
            let full = i64::try_from(events.len()).unwrap_or(PAGE) >= PAGE;
            for event in events {
                after = event.seq;
                let line = Line::new(&event.event.action, &event).id(event.seq);
                if out.send(line).await.is_err() {
                    return;
                }
            }
            if !full {
                break;
            }
        }
        loop {
            tokio::select! {
                () = out.closed() => return,
                _ = safety.tick() => {
                    if !proof.holds(&state).await {
                        return;
                    }
                    break;
                }
                news = announcements.recv() => match news {
                    Ok(a) if a.topic == topic || a.topic == "*" => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}
