//! Real receivers on this machine: an HTTP server that answers as told, and a mail server.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod smtp;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, Uri};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest any single thing may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) at: tokio::time::Instant,
}

impl Got {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An answer to give: status, a header, body.
#[derive(Clone, Debug)]
pub(crate) struct Say(pub(crate) u16, pub(crate) Option<(&'static str, String)>, pub(crate) &'static str);

#[derive(Clone)]
struct Shared {
    got: watch::Sender<Vec<Got>>,
    say: Arc<Mutex<VecDeque<Say>>>,
    hold: Arc<Mutex<Option<watch::Receiver<bool>>>>,
}

/// An HTTP server. Answers 200 when it has nothing else to say.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Shared,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { got: watch::Sender::default(), say: Arc::default(), hold: Arc::default() };
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn say(&self, answer: Say) {
        self.shared.say.lock().unwrap().push_back(answer);
    }

    /// From now on no answer is given until the returned sender says so.
    pub(crate) fn hold(&self) -> watch::Sender<bool> {
        let (sender, receiver) = watch::channel(false);
        *self.shared.hold.lock().unwrap() = Some(receiver);
        sender
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.borrow().clone()
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Got> {
        let mut seen = self.shared.got.subscribe();
        let enough = tokio::time::timeout(DEADLINE, seen.wait_for(|all| all.len() >= count)).await;
        assert!(enough.is_ok(), "only {} of {count} requests came", self.got().len());
        self.got()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let got = Got { path: uri.to_string(), headers, body: body.to_vec(), at: tokio::time::Instant::now() };
    shared.got.send_modify(|all| all.push(got));
    let held = shared.hold.lock().unwrap().clone();
    if let Some(mut held) = held {
        let _ = held.wait_for(|go| *go).await;
    }
    let Some(Say(status, header, body)) = shared.say.lock().unwrap().pop_front() else {
        return StatusCode::OK.into_response();
    };
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
