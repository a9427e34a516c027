//! Feature flags for services and browsers: the OpenFeature Remote Evaluation Protocol 0.3.
//!
//! These addresses stand beside the rest, not behind it. There is no session here and no cookie: a key says which flags may be
//! read, from any page of the web, so that the guards against deeds from elsewhere have nothing to guard. An answer is made from
//! memory: neither Postgres nor the cluster is asked, and flags are answered while both are away. The protocol's own errors are
//! answered, not this server's problems. Nothing here writes a request's path to the log, since the address of a stream is a secret.

mod evaluate;
mod rates;
mod refused;
mod stream;

use crate::config::Settings;
use crate::headers::{CLOSED, HSTS, came_by_https};
use crate::metrics::{FlagsAsked, Metrics};
use crate::router::{compression, seen_address};
use crate::state::AppState;
use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use control::{Control, FlagAccess};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use rates::Rates;
use refused::Refused;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};

const ONE: &str = "/ofrep/v1/evaluate/flags/{key}";
const ALL: &str = "/ofrep/v1/evaluate/flags";
const STREAM: &str = "/ofrep/v1/stream/{stream}";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// How long a browser may remember what it is allowed to send here.
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(24 * 60 * 60);

/// What the handlers need.
#[derive(Debug)]
struct Door {
    control: Control,
    metrics: Arc<Metrics>,
    settings: Arc<Settings>,
    rates: Rates,
    ending: CancellationToken,
}

/// Everything below `/ofrep`.
pub fn router(state: &AppState) -> Router {
    let door = Arc::new(Door {
        control: state.control.clone(),
        metrics: state.metrics.clone(),
        rates: Rates::new(state.settings.ofrep_rate),
        settings: state.settings.clone(),
        ending: state.ending.clone(),
    });
    let sent = [header::AUTHORIZATION, API_KEY, header::CONTENT_TYPE, header::IF_NONE_MATCH];
    let resumed = HeaderName::from_static("last-event-id");
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(sent.into_iter().chain([header::CACHE_CONTROL, resumed]).collect::<Vec<_>>())
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(PREFLIGHT_HOLDS);
    Router::new()
        .route(ONE, post(evaluate::one))
        .route(ALL, post(evaluate::all))
        .route(STREAM, get(stream::open))
        .route("/ofrep", any(refused::unknown))
        .route("/ofrep/{*rest}", any(refused::unknown))
        .method_not_allowed_fallback(refused::method)
        // The last layer added is the first a request meets.
        .layer(cors)
        .layer(CatchPanicLayer::custom(refused::panicked))
        .layer(compression())
        .layer(middleware::from_fn_with_state(door.clone(), around))
        .with_state(door)
}

/// Counts an answer and sets what a browser must know of it.
async fn around(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let asked = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        _ if request.method() == Method::OPTIONS => FlagsAsked::Preflight,
        Some(ONE) => FlagsAsked::One,
        Some(ALL) => FlagsAsked::All,
        Some(STREAM) => FlagsAsked::Stream,
        _ => FlagsAsked::Other,
    };
    let https = came_by_https(&door.settings, request.headers());
    let mut response = next.run(request).await;
    door.metrics.flags_answered(asked, response.status(), begun.elapsed());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CLOSED),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What somebody gets depends on who they are. A client keeps it by itself, and asks with its ETag.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    response
}

impl Door {
    /// Lets in whoever has a key, as often as keys may ask.
    ///
    /// A right key is let in wherever it comes from: behind a proxy or a NAT one service with a wrong key must not shut out the
    /// others. A key has too many bits to be guessed; the bound keeps whoever tries from costing more than a lookup.
    fn enter(&self, parts: &Parts) -> Result<FlagAccess, Refused> {
        let secret = secret(parts).ok_or_else(|| self.stranger(parts, Refused::no_key()))?;
        let access = self.control.flag_access(secret).map_err(|problem| {
            let refused = Refused::from(problem);
            if refused.is_unauthenticated() { self.stranger(parts, refused) } else { refused }
        })?;
        self.rates.key(access.id).map_err(Refused::too_many)?;
        Ok(access)
    }

    /// What somebody unknown gets to hear: after too many tries, only when to try again.
    fn stranger(&self, parts: &Parts, refused: Refused) -> Refused {
        match self.rates.stranger(self.address(parts)) {
            Ok(()) => refused,
            Err(wait) => Refused::too_many(wait),
        }
    }

    fn address(&self, parts: &Parts) -> IpAddr {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(a)| a.ip());
        seen_address(self.settings.proxies, &parts.headers).or(peer).unwrap_or(Ipv4Addr::UNSPECIFIED.into())
    }
}

/// The key that came with a request.
fn secret(parts: &Parts) -> Option<&str> {
    let by_name = || parts.headers.get(API_KEY)?.to_str().ok().map(str::trim);
    crate::auth::bearer(&parts.headers).or_else(by_name).filter(|secret| !secret.is_empty())
}
