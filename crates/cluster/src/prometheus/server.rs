//! One server of a [`Prometheus`](super::Prometheus): its address, what it asks of us, and a request to it.

use super::answer::Unreadable;
use crate::error::{Error, one_line};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use url::Url;

/// Where metrics are, and what the server there asks of us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where its web page is, `http://prometheus:9090`; a path before `/api` is kept. A user name and password in it are
    /// used and never shown.
    pub url: String,
    /// Sent with each query: `X-Scope-OrgID`, say.
    pub headers: BTreeMap<String, String>,
    /// Holds a bearer token. It is read for each query, since tokens are renewed.
    pub bearer_token_file: Option<PathBuf>,
    /// PEM: whom to believe, beside the authorities that everybody does. This and the next two are read again when they change.
    pub ca_file: Option<PathBuf>,
    /// PEM: our certificate, …
    pub cert_file: Option<PathBuf>,
    /// … and its key.
    pub key_file: Option<PathBuf>,
}

/// How long a server that did not answer comes last.
const SHUNNED: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Server {
    base: Url,
    headers: HeaderMap,
    source: Source,
    client: Mutex<Client>,
    failed: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    /// When the files that it was made from were written.
    stamps: Vec<Option<SystemTime>>,
}

/// Why a server gave no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Another, or another time, may do better.
    Silent(String),
    /// The query is at fault.
    Refused(String),
}

impl Server {
    pub(super) fn new(source: Source) -> Result<Self, Error> {
        // Credentials stand before the last `@`.
        let shown = source.url.rsplit('@').next().unwrap_or_default().to_owned();
        let bad = |reason: String| Error::Prometheus { url: shown.clone(), reason };
        let mut base = Url::parse(&source.url)
            .map_err(|e| bad(format!("cannot be used: {e}. Write it like http://prometheus:9090.")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("cannot be used: it is not an http or https address.".into()));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let own = source.ca_file.is_some() || source.cert_file.is_some() || source.key_file.is_some();
        if own && base.scheme() == "http" {
            return Err(bad("cannot be used: certificates are for an https address.".into()));
        }
        if source.cert_file.is_some() != source.key_file.is_some() {
            return Err(bad("cannot be used: a certificate and its key go together.".into()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &source.headers {
            let unfit = |_| bad(format!("cannot be used: {name} is no header that can be sent."));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit(()))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| unfit(()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = Client::new(&source).map_err(&bad)?;
        let server = Self { base, headers, source, client: Mutex::new(client), failed: Mutex::new(None) };
        server.token().map_err(bad)?;
        Ok(server)
    }

    /// The address without credentials.
    pub(super) fn url(&self) -> String {
        let mut url = self.base.clone();
        // Only a URL that cannot have them refuses, and that one has none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }

    /// It did not answer a moment ago.
    pub(super) fn is_shunned(&self) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < SHUNNED)
    }

    /// Posts a form to `api/v1/{path}` and reads the answer.
    pub(super) async fn ask<T>(
        &self,
        path: &str,
        form: &[(&str, &str)],
        within: Duration,
        read: fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, Unanswered> {
        let answer = self.send(path, form, within, read).await;
        let failed = matches!(answer, Err(Unanswered::Silent(_))).then(Instant::now);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        answer
    }

    async fn send<T>(
        &self,
        path: &str,
        form: &[(&str, &str)],
        within: Duration,
        read: fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, Unanswered> {
        use Unanswered::{Refused, Silent};
        let url = self.base.join("api/v1/").and_then(|api| api.join(path));
        let url = url.map_err(|e| Silent(format!("cannot be used: {e}.")))?;
        let http = self.http().map_err(Silent)?;
        let mut request = http.post(url).headers(self.headers.clone()).timeout(within).form(form);
        if let Some(token) = self.token().map_err(Silent)? {
            request = request.header(AUTHORIZATION, token);
        }
        let response = request.send().await.map_err(|e| {
            Silent(if e.is_timeout() {
                format!("does not answer within {:.0} s. Check that it is up.", within.as_secs_f64())
            } else {
                let why = one_line(&e.without_url());
                format!("does not answer ({why}). Check that it is up and reachable.")
            })
        })?;
        let status = response.status();
        if matches!(status.as_u16(), 401 | 403) {
            return Err(Silent(format!("does not let us in ({status}). Check the token or certificate.")));
        }
        let body = response
            .bytes()
            .await
            .map_err(|e| Silent(format!("broke off its answer ({}).", one_line(&e.without_url()))))?;
        read(&body).map_err(|e| match e {
            Unreadable::Refused(words) => Refused(format!("refuses the query: {words}.")),
            Unreadable::Busy(words) => Silent(format!("cannot answer now: {words}.")),
            Unreadable::Foreign => {
                Silent(format!("answers {status}, but not as Prometheus does. Check the address."))
            }
        })
    }

    /// Made anew when its certificates are.
    fn http(&self) -> Result<reqwest::Client, String> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.stamps != stamps(&self.source) {
            *client = Client::new(&self.source)?;
        }
        Ok(client.http.clone())
    }

    fn token(&self) -> Result<Option<HeaderValue>, String> {
        let Some(file) = &self.source.bearer_token_file else { return Ok(None) };
        let token = String::from_utf8(content(file)?).unwrap_or_default();
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| format!("cannot be asked: {} holds no token.", file.display()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Client {
    fn new(source: &Source) -> Result<Self, String> {
        let stamps = stamps(source);
        let mut builder = reqwest::Client::builder();
        if let Some(file) = &source.ca_file {
            let bad = || format!("cannot be asked: {} is no certificate in PEM.", file.display());
            let all = reqwest::Certificate::from_pem_bundle(&content(file)?).map_err(|_| bad())?;
            if all.is_empty() {
                return Err(bad());
            }
            builder = all.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        if let (Some(cert), Some(key)) = (&source.cert_file, &source.key_file) {
            let both = [content(cert)?, b"\n".to_vec(), content(key)?].concat();
            let identity = reqwest::Identity::from_pem(&both).map_err(|_| {
                let (cert, key) = (cert.display(), key.display());
                format!("cannot be asked: {cert} and {key} are no certificate and its key in PEM.")
            })?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|e| format!("cannot be used: {}.", one_line(&e)))?;
        Ok(Self { http, stamps })
    }
}

fn content(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|e| format!("cannot be asked: {} cannot be read ({e}).", file.display()))
}

fn stamps(source: &Source) -> Vec<Option<SystemTime>> {
    let files = [&source.ca_file, &source.cert_file, &source.key_file];
    let stamp = |file: &PathBuf| fs::metadata(file).and_then(|m| m.modified()).ok();
    files.into_iter().map(|file| file.as_ref().and_then(stamp)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Source {
        Source { url: url.into(), ..Source::default() }
    }

    #[test]
    fn an_address_keeps_its_path_and_hides_its_password() {
        let server = Server::new(of("http://me:secret@mon.example.com/prom")).unwrap();
        assert_eq!(server.url(), "http://mon.example.com/prom/");
        assert_eq!(server.base.join("api/v1/").unwrap().path(), "/prom/api/v1/");
    }

    #[test]
    fn an_address_that_is_none_is_refused_in_words() {
        for bad in ["prometheus:9090", "ftp://x/", "not an address"] {
            let words = Server::new(of(bad)).unwrap_err().to_string();
            assert!(words.contains(bad) && words.contains("cannot be used"), "{words}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let with = |change: fn(&mut Source)| {
            let mut source = of("https://mon.example.com");
            change(&mut source);
            Server::new(source).unwrap_err().to_string()
        };
        assert!(with(|s| s.cert_file = Some("a".into())).contains("a certificate and its key go together"));
        assert!(with(|s| s.ca_file = Some("/nowhere".into())).contains("/nowhere cannot be read"));
        assert!(with(|s| s.bearer_token_file = Some("/nowhere".into())).contains("/nowhere cannot be read"));
        assert!(with(|s| drop(s.headers.insert("no header".into(), String::new()))).contains("no header"));
        let plain = with(|s| {
            s.url = "http://mon.example.com".into();
            s.ca_file = Some("a".into());
        });
        assert!(plain.contains("certificates are for an https address"), "{plain}");
    }
}
