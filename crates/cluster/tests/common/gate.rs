//! A door in front of the real API server that a test can shut: everything behind it is real, only the
//! connection is not always there.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Watches break off, and nothing gets through.
    Shut,
    /// Connections stay, and nothing comes.
    Silent,
    /// Requests get through, and their answers are lost.
    Deaf,
}

struct Door {
    client: kube::Client,
    mode: watch::Sender<Mode>,
    /// Asks the next watches for a version the API server no longer has.
    stale: AtomicBool,
    /// So many patches are answered 409 and get no further.
    conflicts: AtomicUsize,
    /// HTTPRoutes are answered with this status, but for 0.
    routes: AtomicU16,
    requests: Mutex<Vec<String>>,
    /// The paths whose watch was answered 410.
    gone: watch::Sender<BTreeSet<String>>,
}

#[derive(Clone)]
pub(crate) struct Gate {
    door: Arc<Door>,
    pub(crate) kubeconfig: std::path::PathBuf,
}

impl Gate {
    /// `client` decides with whose rights everything gets through.
    pub(crate) async fn new(client: kube::Client) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Arc::new(Door {
            client,
            mode: watch::Sender::new(Mode::Open),
            stale: AtomicBool::new(false),
            conflicts: AtomicUsize::new(0),
            routes: AtomicU16::new(0),
            requests: Mutex::default(),
            gone: watch::Sender::default(),
        });
        let app = axum::Router::new().fallback(pass).with_state(door.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let dir =
            std::env::temp_dir().join(format!("tidegate-gate-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&dir).unwrap();
        let kubeconfig = dir.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: gate\n\
             clusters: [{{name: gate, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: gate, user: {{}}}}]\n\
             contexts: [{{name: gate, context: {{cluster: gate, user: gate}}}}]\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        Self { door, kubeconfig }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.door.mode.send_replace(mode);
    }

    /// The watches that come next ask for a version that the API server has long forgotten.
    pub(crate) fn forget(&self) {
        self.door.stale.store(true, Ordering::SeqCst);
    }

    /// The patches that come next lose against somebody else's: as the API server answers when an object changes faster
    /// than it can try a patch on it.
    pub(crate) fn conflict(&self, patches: usize) {
        self.door.conflicts.store(patches, Ordering::SeqCst);
    }

    /// HTTPRoutes are not there (404), not ours to see (403), or there again (0).
    pub(crate) fn without_routes(&self, status: u16) {
        self.door.routes.store(status, Ordering::SeqCst);
    }

    /// Waits until the API server has answered the watches of these kinds with 410.
    pub(crate) async fn told_gone(&self, kinds: &[&str]) {
        let mut gone = self.door.gone.subscribe();
        let told = gone.wait_for(|paths| kinds.iter().all(|kind| paths.iter().any(|p| p.ends_with(kind))));
        tokio::time::timeout(std::time::Duration::from_secs(20), told).await.unwrap().unwrap();
        self.door.stale.store(false, Ordering::SeqCst);
    }

    /// What was asked for since this was called last: `PATCH /apis/…`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.door.requests.lock().unwrap())
    }
}

async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    let mut mode = door.mode.subscribe();
    if *mode.borrow() == Mode::Silent {
        let _ = mode.wait_for(|m| *m != Mode::Silent).await;
    }
    let mode_now = *mode.borrow();
    if mode_now == Mode::Shut {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let (parts, body) = request.into_parts();
    let mut uri = parts.uri.path_and_query().unwrap().to_string();
    let path = parts.uri.path().to_owned();
    door.requests.lock().unwrap().push(format!("{} {uri}", parts.method));
    let hidden = door.routes.load(Ordering::SeqCst);
    if hidden > 0 && path.contains("/httproutes") {
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": hidden,
            "message": "httproutes.gateway.networking.k8s.io"});
        return (StatusCode::from_u16(hidden).unwrap(), axum::Json(status)).into_response();
    }
    let one_less = |n: usize| n.checked_sub(1);
    if parts.method == Method::PATCH
        && door.conflicts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    {
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict",
            "code": 409, "message": "Operation cannot be fulfilled on rollouts.argoproj.io \"web\": the object has been \
                                     modified; please apply your changes to the latest version and try again"});
        return (StatusCode::CONFLICT, axum::Json(status)).into_response();
    }
    let stale = door.stale.load(Ordering::SeqCst) && uri.contains("watch=true");
    if stale {
        let (head, _) = uri.split_once("resourceVersion=").unwrap();
        uri = format!("{head}resourceVersion=1");
    }
    let mut forward = http::Request::builder().method(parts.method).uri(uri);
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = parts.headers.get(&name) {
            forward = forward.header(name, value);
        }
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let forward = forward.body(kube::client::Body::from(body.to_vec())).unwrap();
    let answer = match door.client.send(forward).await {
        Ok(answer) => answer,
        Err(_) => return StatusCode::BAD_GATEWAY.into_response(),
    };
    let (parts, body) = answer.into_parts();
    if mode_now == Mode::Deaf {
        let broken = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("lost")) });
        return Body::from_stream(broken).into_response();
    }
    let mut shut = door.mode.subscribe();
    let pace = door.mode.clone();
    let gone = door.gone.clone();
    let kind = path;
    let frames = Body::new(body)
        .into_data_stream()
        .inspect(move |frame| {
            let said = frame.as_ref().is_ok_and(|f| f.windows(10).any(|w| w == b"\"code\":410"));
            if stale && said {
                gone.send_modify(|paths| {
                    paths.insert(kind.clone());
                });
            }
        })
        .then(move |frame| {
            let mut mode = pace.subscribe();
            async move {
                let _ = mode.wait_for(|m| *m != Mode::Silent).await;
                frame
            }
        })
        .take_until(async move {
            let _ = shut.wait_for(|m| *m == Mode::Shut).await;
        });
    let mut headers = HeaderMap::new();
    if let Some(value) = parts.headers.get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, value.clone());
    }
    (parts.status, headers, Body::from_stream(frames)).into_response()
}
