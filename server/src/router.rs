//! Everything that is answered, in the order in which a request passes it.

use crate::auth::{self, Caller};
use crate::problem::{self, Refusal};
use crate::state::AppState;
use crate::{assets, body, csrf, flag_keys, headers, health, live, metrics, ofrep, rest};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::HeaderMap;
use http::request::Parts;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{AxumRouteListing, LeptosRoutes as _, generate_route_list};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Answers smaller than this, in bytes, fit one packet as they are.
const WORTH_COMPRESSING: u16 = 1024;

/// The whole of it. Needs no socket: tests call it as a service.
pub fn router(state: &AppState) -> Router {
    let context = {
        let control = state.control.clone();
        move || hand_over(control.clone())
    };
    let shell = {
        let options = state.leptos.clone();
        move || app::shell(options.clone())
    };
    let issue = {
        let (context, shell) = (context.clone(), shell.clone());
        move |State(state): State<AppState>, request: Request| {
            flag_keys::issue(state, request, context, shell)
        }
    };
    let routes = Router::new()
        .merge(rest::router())
        .route("/live", get(live::live))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .route(flag_keys::ISSUE, post(issue))
        .leptos_routes_with_context(state, pages(), context.clone(), shell.clone())
        .method_not_allowed_fallback(|| async { Refusal::method() })
        .fallback(move |State(state): State<AppState>, request: Request| {
            fallback(state, request, context, shell)
        });
    // The last layer added is the first a request meets.
    routes
        .layer(middleware::from_fn(pages_redirect))
        .layer(middleware::from_fn_with_state(state.clone(), auth::identify))
        .layer(state.sessions.layer(state.settings.is_https()))
        .layer(middleware::from_fn_with_state(state.clone(), csrf::check))
        .layer(middleware::from_fn(body::limit))
        .layer(middleware::from_fn_with_state(state.clone(), client_address))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn(problem::render))
        .layer(compression())
        .layer(middleware::from_fn_with_state(state.clone(), headers::protect))
        .layer(middleware::from_fn_with_state(state.clone(), headers::identify))
        .with_state(state.clone())
        // Has guards of its own: whoever asks there has a key and no session.
        .merge(ofrep::router(state))
}

/// Compresses what is worth it.
pub(crate) fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().quality(CompressionLevel::Precise(4)).compress_when(
        SizeAbove::new(WORTH_COMPRESSING)
            .and(NotForContentType::SSE)
            .and(NotForContentType::IMAGES)
            // Precompressed in a release; unoptimised, it goes no further than this machine.
            .and(NotForContentType::const_new("application/wasm")),
    )
}

/// The app's pages. Walking the app to find them costs a rendering: it is done once.
fn pages() -> Vec<AxumRouteListing> {
    static PAGES: OnceLock<Vec<AxumRouteListing>> = OnceLock::new();
    PAGES
        .get_or_init(|| {
            let mut pages = generate_route_list(app::App);
            // The app's own page for what is not there must not stand before the site's files: the fallback
            // looks for a file first and then renders it.
            pages.retain(|page| !page.path().contains('*'));
            pages
        })
        .clone()
}

/// What pages and server functions find in their context: the door, and who stands in it.
fn hand_over(control: control::Control) {
    provide_context(control);
    if let Some(parts) = use_context::<Parts>()
        && let Some(Caller::Known(actor)) = parts.extensions.get::<Caller>()
    {
        provide_context(actor.clone());
    }
}

/// A file of the site, else the app's own page for what is not there.
async fn fallback<IV: leptos::IntoView + 'static>(
    state: AppState,
    request: Request,
    context: impl Fn() + Clone + Send + Sync + 'static,
    shell: impl Fn() -> IV + Clone + Send + Sync + 'static,
) -> Response {
    let (parts, body) = request.into_parts();
    let probe = Request::from_parts(parts.clone(), axum::body::Body::empty());
    if let Some(file) = assets::file(State(state), probe).await {
        return file;
    }
    if !matches!(parts.method, http::Method::GET | http::Method::HEAD) {
        return Refusal::from(model::Problem::not_found("There is nothing here to do that with."))
            .into_response();
    }
    let render = leptos_axum::render_app_async_with_context(context, shell);
    let mut response = render(Request::from_parts(parts, body)).await.into_response();
    if response.status() == http::StatusCode::OK {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    }
    response
}

/// A page that sends its reader on does so for everybody: leptos leaves it to its own script where the request does
/// not name HTML, which is right for a server function and wrong for a page.
async fn pages_redirect(request: Request, next: Next) -> Response {
    const LEFT_TO_SCRIPT: &str = "serverfnredirect";
    let path = request.uri().path();
    let is_page = !path.starts_with("/do/") && !path.starts_with("/read/");
    let mut response = next.run(request).await;
    if is_page && response.headers_mut().remove(LEFT_TO_SCRIPT).is_some() {
        *response.status_mut() = http::StatusCode::FOUND;
    }
    response
}

/// Behind proxies that we were told of, the address that the outermost of them saw.
async fn client_address(
    State(state): State<AppState>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(ip) = seen_address(state.settings.proxies, request.headers()) {
        let port = peer.map_or(0, |Extension(ConnectInfo(a))| a.port());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(ip, port)));
    }
    next.run(request).await
}

/// The address that the outermost of so many proxies saw.
pub(crate) fn seen_address(proxies: usize, headers: &HeaderMap) -> Option<IpAddr> {
    if proxies == 0 {
        return None;
    }
    let said = headers.get_all("x-forwarded-for");
    let chain: Vec<&str> =
        said.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).collect();
    // Each proxy appends whom it saw; what stands further left was claimed, not seen.
    chain.len().checked_sub(proxies).and_then(|i| chain.get(i))?.parse().ok()
}
