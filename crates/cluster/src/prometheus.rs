//! Queries to Prometheus' HTTP API (`/api/v1/query`, `/api/v1/query_range`), which Thanos, Mimir and VictoriaMetrics speak
//! too.

mod answer;
mod server;

use crate::error::Error;
use answer::Unreadable;
use chrono::{DateTime, TimeDelta, Utc};
use server::{Server, Unanswered};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use server::Source;

/// For one query. A page or a verdict that waits longer is worth less than one that says "no data".
const ANSWER: Duration = Duration::from_secs(5);
/// For one query over a range of time.
const RANGE: Duration = Duration::from_secs(30);
/// Before all servers are asked once more.
const AGAIN: Duration = Duration::from_millis(200);
/// Points of a series that Prometheus gives in one answer: its own limit is 11,000.
const POINTS: i32 = 10_000;

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// `None` for NaN and infinities: Prometheus' word for "cannot be told", such as a quantile of no
    /// requests.
    pub value: Option<f64>,
}

/// One series over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub labels: BTreeMap<String, String>,
    /// In order of time. Where nothing was measured, or NaN, there is no point.
    pub points: Vec<(DateTime<Utc>, f64)>,
}

/// A cluster's metrics: one Prometheus server, or several that hold the same. A cheap clone around connection pools.
#[derive(Clone, Debug)]
pub struct Prometheus {
    servers: Arc<[Server]>,
}

impl Prometheus {
    /// One server that asks nothing of us. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Prometheus`] when `url` is not an http(s) URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::of([Source { url: url.to_owned(), ..Source::default() }])
    }

    /// Servers that hold the same metrics, the best first: the next is asked where the one before does not answer, which
    /// then comes last for a while. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Prometheus`] when a source cannot be used, or there is none.
    pub fn of(sources: impl IntoIterator<Item = Source>) -> Result<Self, Error> {
        let servers: Vec<_> = sources.into_iter().map(Server::new).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(Error::Prometheus {
                url: "-".into(),
                reason: "cannot be asked: none is named.".into(),
            });
        }
        Ok(Self { servers: servers.into() })
    }

    /// The first one's address, without credentials.
    pub fn url(&self) -> String {
        self.servers.first().map(Server::url).unwrap_or_default()
    }

    /// Evaluates `query` at a moment. A scalar is one series without labels.
    ///
    /// # Errors
    /// [`Error::Prometheus`] after five seconds, or with Prometheus' own words.
    pub async fn query(&self, query: &str, at: DateTime<Utc>) -> Result<Vec<Series>, Error> {
        let time = seconds(at);
        self.ask("query", &[("query", query), ("time", &time)], ANSWER, answer::instant).await
    }

    /// Evaluates `query` at each `step` from `from` to `to`, in as many requests as that takes.
    ///
    /// # Errors
    /// [`Error::Prometheus`] when one of them takes longer than 30 s, or with Prometheus' own words.
    pub async fn query_range(
        &self,
        query: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        step: TimeDelta,
    ) -> Result<Vec<Line>, Error> {
        let step = step.max(TimeDelta::seconds(1));
        let width = format!("{}", step.num_seconds());
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut start = from;
        while start <= to {
            let end = (start + step * (POINTS - 1)).min(to);
            let (first, last) = (seconds(start), seconds(end));
            let form = [("query", query), ("start", &first), ("end", &last), ("step", &width)];
            for line in self.ask("query_range", &form, RANGE, answer::range).await? {
                found.entry(line.labels).or_default().extend(line.points);
            }
            start = end + step;
        }
        Ok(found.into_iter().map(|(labels, points)| Line { labels, points }).collect())
    }

    /// All servers in turn, and once more where none answered and time is left. A query that one refuses is refused.
    async fn ask<T>(
        &self,
        path: &str,
        form: &[(&str, &str)],
        within: Duration,
        read: fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<T, Error> {
        let mut order: Vec<_> = self.servers.iter().collect();
        order.sort_by_key(|s| s.is_shunned());
        let began = Instant::now();
        let each = within / u32::try_from(order.len()).unwrap_or(1).max(1);
        loop {
            let mut silent = None;
            for server in &order {
                let fail = |reason| Error::Prometheus { url: server.url(), reason };
                match server.ask(path, form, each, read).await {
                    Ok(answer) => return Ok(answer),
                    Err(Unanswered::Refused(reason)) => return Err(fail(reason)),
                    Err(Unanswered::Silent(reason)) => silent = silent.or_else(|| Some(fail(reason))),
                }
            }
            // A server that restarts, or a connection that broke, is soon there again.
            if began.elapsed() > AGAIN
                && let Some(error) = silent
            {
                return Err(error);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// What it replies to a form at `api/v1/{path}`, its status and body, for whoever reads answers by other rules: the reply of
    /// the first server that has one, also where it refuses the query.
    ///
    /// # Errors
    /// [`Error::Prometheus`] after five seconds, and for a reply that is too large.
    pub async fn reply(&self, path: &str, form: &[(&str, &str)]) -> Result<(u16, String), Error> {
        self.ask(path, form, ANSWER, answer::whole).await
    }
}

fn seconds(at: DateTime<Utc>) -> String {
    format!("{}.{:03}", at.timestamp(), at.timestamp_subsec_millis())
}

/// A label's value inside double quotes.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
