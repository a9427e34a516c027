//! The HTTP client to one API server.
//!
//! kube's own stack is not used for two reasons. It retries 429, 503 and 504 by itself, up to fifteen times,
//! which an effect with an attempt id must never do unseen. And it leaves Nagle's algorithm on, which can
//! hold the second half of a patch back until the first is acknowledged. Connections stay open (HTTP/1.1
//! keep-alive; each watch has its own, so a long list never stands in front of a rollback).

use crate::error::{Error, one_line};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, Client, ConfigExt as _};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use std::path::Path;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// To open a TCP connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Idle connections are closed before the API server does it at 90 s, or a patch could meet a closing one.
const IDLE: Duration = Duration::from_secs(75);
/// Unacknowledged data after which the kernel gives a peer up: finds a vanished API server below HTTP.
const DEAD: Duration = Duration::from_secs(30);

/// Reads a kubeconfig (`None`: KUBECONFIG, then `~/.kube/config`, then the pod's service account).
///
/// # Errors
/// [`Error::Kubeconfig`], in one line.
pub(crate) async fn config(path: Option<&Path>, context: Option<&str>) -> Result<Config, Error> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let named = path.map_or_else(
        || std::env::var("KUBECONFIG").unwrap_or_else(|_| "~/.kube/config".to_owned()),
        |p| p.display().to_string(),
    );
    let broken = |e: &dyn std::error::Error| Error::Kubeconfig { path: named.clone(), reason: one_line(e) };
    if let Some(path) = path {
        let read = Kubeconfig::read_from(path).map_err(|e| broken(&e))?;
        return Config::from_custom_kubeconfig(read, &options).await.map_err(|e| broken(&e));
    }
    match Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        // Somebody who names a file or a context means it.
        Err(e) if context.is_some() || std::env::var_os("KUBECONFIG").is_some() => Err(broken(&e)),
        Err(e) => Config::incluster().map_err(|_| broken(&e)),
    }
}

/// Builds the client. Connects to nothing yet.
///
/// # Errors
/// [`Error::Kubeconfig`] when its certificates or its proxy cannot be used.
pub(crate) fn client(config: &Config) -> Result<Client, Error> {
    let broken = |reason: String| Error::Kubeconfig { path: config.cluster_url.to_string(), reason };
    if let Some(proxy) = &config.proxy_url {
        return Err(broken(format!("it asks for the proxy {proxy}, which Tidegate does not use")));
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http.set_keepalive(Some(Duration::from_secs(15)));
    http.set_keepalive_interval(Some(Duration::from_secs(5)));
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(Some(DEAD));
    let https = config.rustls_https_connector_with_connector(http).map_err(|e| broken(one_line(&e)))?;
    let hyper: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(|e| broken(one_line(&e)))?)
        .layer(config.extra_headers_layer().map_err(|e| broken(one_line(&e)))?)
        .map_err(BoxError::from)
        .service(hyper);
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, context: Option<&str>) -> String {
        let dir =
            std::env::temp_dir().join(format!("tidegate-kubeconfig-{}-{:p}", std::process::id(), &text));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("config");
        std::fs::write(&path, text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(config(Some(&path), context)).unwrap_err().to_string();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains('\n'), "{error}");
        assert!(error.ends_with("`kubectl config get-contexts` shows what it holds."), "{error}");
        error
    }

    #[test]
    fn a_broken_kubeconfig_is_one_clear_line() {
        let broken = words("users: [{name: a, user: {token: hunter2}\n", None);
        assert!(!broken.contains("hunter2"), "{broken}");
        words("", None);
        let missing = words("{apiVersion: v1, kind: Config, contexts: []}", Some("prod"));
        assert!(missing.contains("prod"), "{missing}");
    }

    #[test]
    fn an_absent_kubeconfig_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(config(Some(Path::new("/nowhere/config")), None)).unwrap_err();
        assert!(error.to_string().starts_with("The kubeconfig /nowhere/config cannot be used: "), "{error}");
    }
}
