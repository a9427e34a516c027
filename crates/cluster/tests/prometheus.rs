//! Servers of metrics that ask something of us, or are away: a real Prometheus behind TLS with client certificates, and behind
//! a door that wants a token.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use cluster::{Prometheus, Source};
use sandbox::Sandbox;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// A directory of its own, gone with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tidegate-prometheus-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, file: &str, text: &[u8]) -> PathBuf {
        let path = self.0.join(file);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Prometheus of this test's own.
struct Own {
    process: Child,
    url: String,
}

impl Own {
    /// That only talks to whom the sandbox's authority has signed for.
    fn start(sandbox: &Sandbox, pki: &Path, dir: &Dir) -> Self {
        let of = |file: &str| pki.join(file).display().to_string();
        let web = format!(
            "tls_server_config: {{cert_file: {}, key_file: {}, client_ca_file: {}, \
             client_auth_type: RequireAndVerifyClientCert}}\n",
            of("apiserver.crt"),
            of("apiserver.key"),
            of("ca.crt")
        );
        let web = dir.write("web.yaml", web.as_bytes());
        let process = Self::run(sandbox, dir, "global: {scrape_interval: 10s}\n", Some(&web));
        Self { url: format!("https://{}", process.1), process: process.0 }
    }

    /// In clear, and scraping one target.
    fn scraping(sandbox: &Sandbox, dir: &Dir, target: &str) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s}}\n\
             scrape_configs: [{{job_name: one, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let process = Self::run(sandbox, dir, &config, None);
        Self { url: format!("http://{}", process.1), process: process.0 }
    }

    fn run(sandbox: &Sandbox, dir: &Dir, config: &str, web: Option<&Path>) -> (Child, String) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.write("prometheus.yaml", config.as_bytes());
        let log = std::fs::File::create(dir.0.join("log")).unwrap();
        let process = Command::new(sandbox.info.bin_dir.join("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .args(web.map(|web| format!("--web.config.file={}", web.display())))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--storage.tsdb.path={}", dir.0.join("data").display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        (process, format!("127.0.0.1:{port}"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn one(prometheus: &Prometheus) -> Result<Option<f64>, String> {
    let answer = prometheus.query("vector(1)", Utc::now()).await.map_err(|e| e.to_string())?;
    Ok(answer.first().and_then(|s| s.value))
}

#[tokio::test]
async fn certificates_are_shown_and_read_again_when_they_are_renewed() {
    let sandbox = Sandbox::shared().await.unwrap();
    let pki = sandbox.info.admin_kubeconfig.parent().unwrap().join("pki");
    let dir = Dir::new("tls");
    let locked = Own::start(sandbox, &pki, &dir);
    let copy = |file: &str, from: &str| dir.write(file, &std::fs::read(pki.join(from)).unwrap());
    let ca = copy("ca.pem", "ca.crt");
    let full = Source {
        url: locked.url.clone(),
        ca_file: Some(ca.clone()),
        cert_file: Some(copy("tls.crt", "admin.crt")),
        key_file: Some(copy("tls.key", "admin.key")),
        ..Source::default()
    };
    let ours = Prometheus::of([full.clone()]).unwrap();
    let deadline = Instant::now() + SOON;
    while one(&ours).await != Ok(Some(1.0)) {
        assert!(
            Instant::now() < deadline,
            "{:?}; {:?}",
            one(&ours).await,
            std::fs::read_to_string(dir.0.join("log"))
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let without = Source { cert_file: None, key_file: None, ..full.clone() };
    let words = one(&Prometheus::of([without]).unwrap()).await.unwrap_err();
    assert!(words.contains("does not answer"), "{words}");
    let unknown = Source { ca_file: None, ..full.clone() };
    let words = one(&Prometheus::of([unknown]).unwrap()).await.unwrap_err();
    assert!(words.contains("does not answer") && words.to_lowercase().contains("certificate"), "{words}");

    // Another authority's certificate is refused, until the right one lies in its place.
    let stranger = Source { ca_file: Some(copy("renewed.pem", "front-proxy-ca.crt")), ..full };
    let renewed = Prometheus::of([stranger]).unwrap();
    assert!(one(&renewed).await.is_err());
    copy("renewed.pem", "ca.crt");
    assert_eq!(one(&renewed).await, Ok(Some(1.0)));
}

/// In front of the sandbox's Prometheus: lets in who carries the token and names the tenant, and may be busy.
struct Door {
    to: String,
    token: Mutex<String>,
    asked: AtomicUsize,
    /// So many requests are answered 503.
    busy: AtomicUsize,
}

impl Door {
    async fn open(token: &str, busy: usize) -> (Arc<Self>, String) {
        let to = Sandbox::shared().await.unwrap().info.prometheus_url.clone();
        let token = Mutex::new(token.to_owned());
        let door = Arc::new(Self { to, token, asked: AtomicUsize::new(0), busy: AtomicUsize::new(busy) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(pass).with_state(door.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (door, url)
    }
}

async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    door.asked.fetch_add(1, Ordering::SeqCst);
    if door.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting").into_response();
    }
    let token = format!("Bearer {}", door.token.lock().unwrap());
    let (parts, body) = request.into_parts();
    let has = |name: &str, value: &str| parts.headers.get(name).is_some_and(|v| v == value);
    if !has("authorization", &token) || !has("x-scope-orgid", "shop") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let path = parts.uri.path();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let client = reqwest::Client::new();
    let answer = client
        .post(format!("{}{path}", door.to))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    (status, Body::from(answer.bytes().await.unwrap())).into_response()
}

fn source(url: &str, token: &Path) -> Source {
    Source {
        url: url.to_owned(),
        headers: [("X-Scope-OrgID".to_owned(), "shop".to_owned())].into(),
        bearer_token_file: Some(token.to_owned()),
        ..Source::default()
    }
}

#[tokio::test]
async fn a_token_is_carried_and_read_again_for_each_query() {
    let (door, url) = Door::open("first", 0).await;
    let dir = Dir::new("token");
    let file = dir.write("token", b"first\n");
    let prometheus = Prometheus::of([source(&url, &file)]).unwrap();
    assert_eq!(one(&prometheus).await, Ok(Some(1.0)));
    *door.token.lock().unwrap() = "second".into();
    let words = one(&prometheus).await.unwrap_err();
    assert!(words.contains("does not let us in (401 Unauthorized)"), "{words}");
    assert!(!words.contains("first"), "no secret in an error: {words}");
    dir.write("token", b"second\n");
    assert_eq!(one(&prometheus).await, Ok(Some(1.0)));
}

#[tokio::test]
async fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    let (door, url) = Door::open("t", 1).await;
    let dir = Dir::new("busy");
    let prometheus = Prometheus::of([source(&url, &dir.write("token", b"t"))]).unwrap();
    assert_eq!(one(&prometheus).await, Ok(Some(1.0)));
    assert_eq!(door.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_next_server_answers_for_one_that_is_away_which_then_comes_last() {
    let (away, away_url) = Door::open("t", usize::MAX).await;
    let (there, there_url) = Door::open("t", 0).await;
    let dir = Dir::new("next");
    let token = dir.write("token", b"t");
    let prometheus = Prometheus::of([source(&away_url, &token), source(&there_url, &token)]).unwrap();
    for _ in 0..3 {
        assert_eq!(one(&prometheus).await, Ok(Some(1.0)));
    }
    assert_eq!(away.asked.load(Ordering::SeqCst), 1);
    assert_eq!(there.asked.load(Ordering::SeqCst), 3);
    // A query that one refuses is at fault, wherever it is asked.
    let words = prometheus.query("sum(", Utc::now()).await.unwrap_err().to_string();
    assert!(words.contains("refuses the query") && words.contains(&there_url), "{words}");
    assert_eq!(away.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_long_range_is_read_in_parts_and_without_gaps() {
    let url = Sandbox::shared().await.unwrap().info.prometheus_url.clone();
    let to = DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap();
    let from = to - TimeDelta::seconds(25_000);
    let prometheus = Prometheus::new(&url).unwrap();
    let lines = prometheus.query_range("vector(1)", from, to, TimeDelta::seconds(1)).await.unwrap();
    let [line] = &lines[..] else { panic!("one series: {}", lines.len()) };
    assert_eq!(line.points.len(), 25_001);
    let stride = |pair: &[(DateTime<Utc>, f64)]| pair[1].0 - pair[0].0 == TimeDelta::seconds(1);
    assert!(line.points.windows(2).all(stride));
}

#[tokio::test]
async fn failed_workflows_are_a_share_of_all_of_their_namespace() {
    let sandbox = Sandbox::shared().await.unwrap();
    let counted = Arc::new(AtomicUsize::new(0));
    let text = |scrapes: usize| {
        let line = |namespace: &str, status: &str, each: usize| {
            let n = 100 + scrapes * each;
            format!("argo_workflows_completed_total{{namespace=\"{namespace}\",status=\"{status}\"}} {n}\n")
        };
        let (good, bad) = (line("agents", "Succeeded", 6), line("agents", "Failed", 1));
        format!("{good}{bad}{}{}", line("agents", "Error", 1), line("other", "Failed", 50))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let app = axum::Router::new().fallback(move || {
        let text = text(counted.fetch_add(1, Ordering::SeqCst));
        async move { text }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let dir = Dir::new("workflows");
    let server = Own::scraping(sandbox, &dir, &target);
    let prometheus = Prometheus::new(&server.url).unwrap();
    let deadline = Instant::now() + SOON;
    let share = loop {
        let answer = prometheus.query(&cluster::workflows("agents"), Utc::now()).await;
        if let Ok([one]) = answer.as_deref()
            && let Some(share) = one.value
        {
            break share;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!((share - 0.25).abs() < 0.01, "two of eight, failed or in error: {share}");
    // Nothing ran there: no figure, not 0 %.
    assert_eq!(prometheus.query(&cluster::workflows("nobody"), Utc::now()).await.unwrap(), []);
}
