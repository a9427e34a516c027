//! Live data for browsers: one stream of server-sent events for each page, with topics.
//!
//! `GET /live?topics=release:318,workloads,shell`. Announcements say only *that* something changed; what a person
//! gets is read through `control` with their own rights, at most [`PER_SECOND`] times a second for each stream, so a
//! burst of a thousand changes costs one reading. Events:
//!
//! - `release`: `ReleaseDelta`. May repeat rows that the page has: samples are told apart by `at`, the timeline by
//!   `seq`. `id` lets a broken stream resume where it was.
//! - `workloads`: `{rows: [WorkloadRow], removed: [Key]}`.
//! - `shell`: `Shell`.
//! - `changed`: `{topic}`, for pages that simply read themselves again.
//! - `age`: `Age`, every [`AGE`]: when it stays away, the page says that it is stale.

mod deltas;
mod recent;
mod teller;
mod topic;

pub use deltas::Deltas;
pub use recent::Recent;
pub use topic::Topic;

use crate::auth::{Caller, Proof};
use crate::problem::Refusal;
use crate::state::AppState;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue};
use model::{Actor, Problem};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Readings a second for one stream, at most.
const PER_SECOND: u32 = 4;
/// How often a stream says how old its data is.
const AGE: Duration = Duration::from_secs(10);
/// A comment after this much silence, so that proxies do not take the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// When a browser should try again after a broken stream.
const RETRY: Duration = Duration::from_secs(2);
/// Events waiting for a slow browser; the teller waits with the next reading until there is room.
const WAITING: usize = 32;
/// Streams open at once in this process. Each costs a task and a few kilobytes.
const MOST: i64 = 5000;

/// One event on its way out.
#[derive(Debug)]
pub(crate) struct Line {
    event: String,
    data: Arc<str>,
    id: Option<String>,
}

impl Line {
    pub(crate) fn new(event: &str, data: &impl Serialize) -> Self {
        Self::of_json(event, serde_json::to_string(data).unwrap_or_default().into())
    }

    fn of_json(event: &str, data: Arc<str>) -> Self {
        // A line break would end the field; actions and our own names have none.
        Self { event: event.replace(['\r', '\n'], " "), data, id: None }
    }

    pub(crate) fn id(mut self, id: impl std::fmt::Display) -> Self {
        self.id = Some(id.to_string());
        self
    }
}

impl From<Line> for Event {
    fn from(line: Line) -> Self {
        let event = Self::default().event(line.event).data(line.data);
        match line.id {
            Some(id) => event.id(id),
            None => event,
        }
    }
}

/// Answers with a stream of whatever `teller` sends, until it returns, the client leaves or the process ends.
pub(crate) fn stream<F, Told>(state: AppState, kind: &'static str, teller: F) -> Response
where
    F: FnOnce(AppState, mpsc::Sender<Line>) -> Told,
    Told: Future<Output = ()> + Send + 'static,
{
    if state.metrics.streams() >= MOST {
        return Refusal::from(Problem::unavailable(
            "This replica holds as many live streams as it can. Try again in a moment; pages work without.",
        ))
        .into_response();
    }
    let open = state.metrics.opened(kind);
    let (out, lines) = mpsc::channel(WAITING);
    let ending = state.ending.clone();
    let telling = teller(state, out);
    tokio::spawn(async move {
        let _open = open;
        tokio::select! {
            () = ending.cancelled() => {}
            () = telling => {}
        }
    });
    let first = futures::stream::once(async { Ok(Event::default().retry(RETRY).comment("tidegate")) });
    let rest = ReceiverStream::new(lines).map(|line| Ok::<_, Infallible>(Event::from(line)));
    let mut response = Sse::new(first.chain(rest))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("ping"))
        .into_response();
    // nginx would otherwise collect events until its buffer is full.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(unbuffered.0, unbuffered.1);
    response
}

/// `GET /live`
///
/// # Errors
/// 401 without a session, except for the public page's topic; 422 for a topic that there is not.
pub async fn live(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Extension(proof): Extension<Proof>,
    request: Request,
) -> Result<Response, Refusal> {
    let topics = topic::read(request.uri().query().unwrap_or(""))?;
    let public = topics.iter().all(|t| *t == Topic::status());
    let actor = match caller.actor() {
        Ok(actor) => Some(actor.clone()),
        Err(_) if public => None,
        Err(problem) => return Err(problem.into()),
    };
    let resumed = request.headers().get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    Ok(open(state, actor, proof, topics, resumed))
}

fn open(
    state: AppState,
    actor: Option<Actor>,
    proof: Proof,
    topics: Vec<Topic>,
    resumed: Option<String>,
) -> Response {
    stream(state, "live", move |state, out| {
        teller::Teller::new(state, actor, proof, topics, out).run(resumed)
    })
}
