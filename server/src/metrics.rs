//! What a Prometheus reads at `/metrics`. Labels come from fixed sets only, so that no request can make new ones.

use crate::state::AppState;
use axum::extract::{MatchedPath, Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use model::release::State as ReleaseState;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Upper bounds in seconds: a rollback's press is judged in milliseconds, a page in tens of them.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The same for a feature flag, which is answered from memory.
const FLAG_SECONDS: [f64; 10] =
    [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.05, 0.25];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stream {
    kind: &'static str,
}

/// What was asked about feature flags.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum FlagsAsked {
    One,
    All,
    Stream,
    Preflight,
    Other,
}

impl FlagsAsked {
    fn key(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
            Self::Stream => "stream",
            Self::Preflight => "preflight",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FlagAnswer {
    asked: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FlagAsked {
    asked: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCluster {
    cluster: String,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    latency: Family<Route, Histogram>,
    streams: Family<Stream, Gauge>,
    all_streams: Gauge,
    flag_requests: Family<FlagAnswer, Counter>,
    flag_latency: Family<FlagAsked, Histogram>,
    flag_streams: Gauge,
    flag_changes_told: Counter,
    sessions: Gauge,
    database: Gauge,
    releases: Family<InState, Gauge>,
    watch_age: Family<OfCluster, Seconds>,
    workloads: Family<OfCluster, Gauge>,
    conductor_lag: Seconds,
    journal: Gauge,
    audit: Gauge,
}

/// An open stream; counted until dropped.
#[derive(Debug)]
pub struct Open([Gauge; 2]);

impl Drop for Open {
    fn drop(&mut self) {
        for gauge in &self.0 {
            gauge.dec();
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut r = Registry::with_prefix("tidegate");
        let m = Self {
            registry: Registry::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            streams: Family::default(),
            all_streams: Gauge::default(),
            flag_requests: Family::default(),
            flag_latency: Family::new_with_constructor(|| Histogram::new(FLAG_SECONDS)),
            flag_streams: Gauge::default(),
            flag_changes_told: Counter::default(),
            sessions: Gauge::default(),
            database: Gauge::default(),
            releases: Family::default(),
            watch_age: Family::default(),
            workloads: Family::default(),
            conductor_lag: Seconds::default(),
            journal: Gauge::default(),
            audit: Gauge::default(),
        };
        r.register("http_requests", "Requests answered", m.requests.clone());
        r.register_with_unit(
            "http_request_duration",
            "Time until an answer's first byte",
            Unit::Seconds,
            m.latency.clone(),
        );
        r.register("streams_open", "Open server-sent event streams", m.streams.clone());
        r.register("ofrep_requests", "Requests for feature flags answered", m.flag_requests.clone());
        r.register_with_unit(
            "ofrep_request_duration",
            "Time until an answer about feature flags",
            Unit::Seconds,
            m.flag_latency.clone(),
        );
        r.register(
            "ofrep_changes_told",
            "Changes of feature flags told on streams, each once for each stream",
            m.flag_changes_told.clone(),
        );
        r.register("sessions_cached", "Sessions known to this process", m.sessions.clone());
        r.register("database_up", "1 when Postgres answered last time", m.database.clone());
        r.register("releases", "Releases under way, by state", m.releases.clone());
        r.register_with_unit(
            "watch_age",
            "Time since a cluster's watch was known alive; -1 before the first full list",
            Unit::Seconds,
            m.watch_age.clone(),
        );
        r.register("workloads", "Workloads in the watch cache", m.workloads.clone());
        r.register_with_unit(
            "conductor_lag",
            "Time since the conductor last finished a look at all releases; -1 before the first",
            Unit::Seconds,
            m.conductor_lag.clone(),
        );
        r.register(
            "journal_depth",
            "Rollbacks recorded on disk and not yet in the audit chain",
            m.journal.clone(),
        );
        r.register("audit_events", "Events in the audit chain", m.audit.clone());
        Self { registry: r, ..m }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
                method.as_str()
            }
            _ => "other",
        };
        let answer = Answer { method: method.to_owned(), route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&answer).inc();
        self.latency.get_or_create(&Route { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// Counts a stream of this kind until the answer is dropped.
    pub(crate) fn opened(&self, kind: &'static str) -> Open {
        let gauges = [self.streams.get_or_create(&Stream { kind }).clone(), self.all_streams.clone()];
        for gauge in &gauges {
            gauge.inc();
        }
        Open(gauges)
    }

    pub(crate) fn flags_answered(&self, asked: FlagsAsked, status: StatusCode, took: Duration) {
        let asked = asked.key();
        self.flag_requests.get_or_create(&FlagAnswer { asked, status: status.as_u16() }).inc();
        self.flag_latency.get_or_create(&FlagAsked { asked }).observe(took.as_secs_f64());
    }

    /// Counts a stream of flags' changes until the answer is dropped. They take no room from the pages' streams.
    pub(crate) fn opened_flags(&self) -> Open {
        let gauges =
            [self.streams.get_or_create(&Stream { kind: "flags" }).clone(), self.flag_streams.clone()];
        for gauge in &gauges {
            gauge.inc();
        }
        Open(gauges)
    }

    pub(crate) fn flag_streams(&self) -> i64 {
        self.flag_streams.get()
    }

    pub(crate) fn flags_told(&self) {
        self.flag_changes_told.inc();
    }

    /// Streams open now, of every kind but flags.
    pub(crate) fn streams(&self) -> i64 {
        self.all_streams.get()
    }
}

/// The route's pattern, `/api/v1/releases/{id}`, never the address itself.
pub(crate) fn route_of(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned())
}

/// `GET /metrics`: reads the gauges afresh, each from memory or bounded by a second.
pub async fn show(State(state): State<AppState>) -> Response {
    let m = &state.metrics;
    m.sessions.set(i64::try_from(state.sessions.len()).unwrap_or(i64::MAX));
    let vitals = state.control.vitals();
    for s in ReleaseState::ALL.into_iter().filter(|s| !s.ended()) {
        let n = vitals.releases.get(&s).copied().unwrap_or(0);
        m.releases.get_or_create(&InState { state: s.key() }).set(i64::try_from(n).unwrap_or(i64::MAX));
    }
    for cluster in state.clusters.iter() {
        let label = OfCluster { cluster: cluster.name().to_owned() };
        let age = cluster.synced().map_or(-1.0, seconds_since);
        m.watch_age.get_or_create(&label).set(age);
        let n = i64::try_from(cluster.workloads().len()).unwrap_or(i64::MAX);
        m.workloads.get_or_create(&label).set(n);
    }
    m.conductor_lag.set(vitals.conductor.map_or(-1.0, seconds_since));
    m.journal.set(i64::try_from(vitals.journal).unwrap_or(i64::MAX));
    let size = tokio::time::timeout(Duration::from_secs(1), state.store.audit_size()).await;
    m.database.set(i64::from(matches!(size, Ok(Ok(_)))));
    if let Ok(Ok(size)) = size {
        m.audit.set(size);
    }
    let mut out = String::new();
    if text::encode(&mut out, &m.registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], out)
        .into_response()
}

fn seconds_since(at: chrono::DateTime<chrono::Utc>) -> f64 {
    (chrono::Utc::now() - at).to_std().map_or(0.0, |d| d.as_secs_f64())
}
