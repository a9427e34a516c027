//! Instant queries to Prometheus' HTTP API (`/api/v1/query`).

use crate::error::{Error, one_line};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// For one query. A page or a verdict that waits longer is worth less than one that says "no data".
const ANSWER: Duration = Duration::from_secs(5);

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// `None` for NaN and infinities: Prometheus' word for "cannot be told", such as a quantile of no
    /// requests.
    pub value: Option<f64>,
}

/// A Prometheus server. A cheap clone around a connection pool.
#[derive(Clone, Debug)]
pub struct Prometheus {
    base: Url,
    http: reqwest::Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Point {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Prometheus {
    /// `url` is where its web page is, `http://prometheus:9090`; a path before `/api` is kept. Connects to
    /// nothing yet. A user name and password in the URL are used and never shown.
    ///
    /// # Errors
    /// [`Error::Prometheus`] when it is not an http(s) URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        // Credentials stand before the last `@`.
        let shown = url.rsplit('@').next().unwrap_or_default().to_owned();
        let bad = |reason: &str| Error::Prometheus { url: shown.clone(), reason: reason.to_owned() };
        let mut base = Url::parse(url)
            .map_err(|e| bad(&format!("cannot be used: {e}. Write it like http://prometheus:9090.")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("cannot be used: it is not an http or https address."));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .timeout(ANSWER)
            .build()
            .map_err(|e| bad(&format!("cannot be used: {}.", one_line(&e))))?;
        Ok(Self { base, http })
    }

    /// The address without credentials.
    pub fn url(&self) -> String {
        let mut url = self.base.clone();
        // Only a URL that cannot have them refuses, and that one has none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }

    /// Evaluates `query` at a moment. A scalar is one series without labels.
    ///
    /// # Errors
    /// [`Error::Prometheus`] after five seconds, or with Prometheus' own words.
    pub async fn query(&self, query: &str, at: DateTime<Utc>) -> Result<Vec<Series>, Error> {
        let fail = |reason: String| Error::Prometheus { url: self.url(), reason };
        let url = self.base.join("api/v1/query").map_err(|e| fail(format!("cannot be used: {e}")))?;
        let time = format!("{}.{:03}", at.timestamp(), at.timestamp_subsec_millis());
        let sent = self.http.post(url).form(&[("query", query), ("time", &time)]).send().await;
        let response = sent.map_err(|e| {
            fail(if e.is_timeout() {
                format!("does not answer within {} s. Check that it is up.", ANSWER.as_secs())
            } else {
                format!(
                    "does not answer ({}). Check that it is up and reachable.",
                    one_line(&e.without_url())
                )
            })
        })?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|e| fail(format!("broke off its answer ({}).", one_line(&e.without_url()))))?;
        read(&body).map_err(|e| {
            fail(match e {
                Unreadable::Refused(words) => format!("refuses the query: {words}."),
                Unreadable::Foreign => {
                    format!("answers {status}, but not as Prometheus does. Check the address.")
                }
            })
        })
    }
}

#[derive(Debug, PartialEq)]
enum Unreadable {
    Refused(String),
    Foreign,
}

fn read(body: &[u8]) -> Result<Vec<Series>, Unreadable> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Unreadable::Foreign)?;
    if answer.status != "success" {
        return Err(Unreadable::Refused(answer.error.unwrap_or_else(|| "no reason given".to_owned())));
    }
    let data = answer.data.ok_or(Unreadable::Foreign)?;
    let number = |text: &str| text.parse().ok().filter(|v: &f64| v.is_finite());
    match data.result_type.as_str() {
        "vector" => {
            let points: Vec<Point> = serde_json::from_value(data.result).map_err(|_| Unreadable::Foreign)?;
            let series = |p: Point| Series { value: number(&p.value.1), labels: p.metric };
            Ok(points.into_iter().map(series).collect())
        }
        "scalar" => {
            let (_, text): (f64, String) =
                serde_json::from_value(data.result).map_err(|_| Unreadable::Foreign)?;
            Ok(vec![Series { labels: BTreeMap::new(), value: number(&text) }])
        }
        other => Err(Unreadable::Refused(format!("it gives a {other}, not one number a series"))),
    }
}

/// A label's value inside double quotes.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_no_number() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"rollouts_pod_template_hash":"a"},"value":[1700000000.1,"12.5"]},
            {"metric":{"rollouts_pod_template_hash":"b"},"value":[1700000000.1,"NaN"]},
            {"metric":{"rollouts_pod_template_hash":"c"},"value":[1700000000.1,"+Inf"]}]}}"#;
        let values: Vec<_> = read(body).unwrap().into_iter().map(|s| s.value).collect();
        assert_eq!(values, [Some(12.5), None, None]);
    }

    #[test]
    fn an_empty_vector_is_no_series() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(read(body).unwrap(), []);
    }

    #[test]
    fn a_refused_query_says_why() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
        assert_eq!(read(body), Err(Unreadable::Refused("parse error: unexpected end".into())));
    }

    #[test]
    fn somebody_elses_page_is_not_prometheus() {
        assert_eq!(read(b"<html>404</html>"), Err(Unreadable::Foreign));
    }

    #[test]
    fn an_address_keeps_its_path_and_hides_its_password() {
        let p = Prometheus::new("http://me:secret@mon.example.com/prom").unwrap();
        assert_eq!(p.url(), "http://mon.example.com/prom/");
        assert_eq!(p.base.join("api/v1/query").unwrap().path(), "/prom/api/v1/query");
    }

    #[test]
    fn an_address_that_is_none_is_refused_in_words() {
        for bad in ["prometheus:9090", "ftp://x/", "not an address"] {
            let words = Prometheus::new(bad).unwrap_err().to_string();
            assert!(words.contains(bad) && words.contains("cannot be used"), "{words}");
        }
    }
}
