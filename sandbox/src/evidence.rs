//! What happened, for tests to look at: the API server's audit log and Prometheus.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::Sandbox;

/// How long Prometheus may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

impl Sandbox {
    /// The writes the API server took on one object, in its order: events of the audit log, each with `verb`,
    /// `user.username`, `objectRef.subresource`, `responseStatus.code` and `requestObject` (the patch
    /// itself).
    ///
    /// The API server appends a write shortly after it answers: whoever expects one more waits for it.
    /// Objects are those of argoproj.io and apps, Ingresses, Services and ConfigMaps.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn writes(&self, resource: &str, namespace: &str, name: &str) -> Result<Vec<Value>> {
        let path = &self.info.audit_log;
        let log = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        let mut found = Vec::new();
        for line in BufReader::new(log).lines() {
            let line = line?;
            // Most lines are about something else; they need not be parsed. The last may still be half
            // written.
            if !line.contains(name) {
                continue;
            }
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let object = &event["objectRef"];
            if object["resource"] == resource && object["namespace"] == namespace && object["name"] == name {
                found.push(event);
            }
        }
        Ok(found)
    }

    /// The first value of an instant query, or none where there is no data (or it is not a number).
    ///
    /// # Errors
    /// When Prometheus does not answer or refuses the query.
    pub async fn query(&self, promql: &str) -> Result<Option<f64>> {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build()?;
        let url = format!("{}/api/v1/query", self.info.prometheus_url);
        let answer: Value = client.get(url).query(&[("query", promql)]).send().await?.json().await?;
        if answer["status"] != "success" {
            bail!("Prometheus refuses {promql}: {}", answer["error"]);
        }
        let value = answer["data"]["result"][0]["value"][1].as_str();
        Ok(value.and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite()))
    }
}
