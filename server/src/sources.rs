//! Where metrics come from: one address, or a file that names several servers and what they ask of us.

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use cluster::{Prometheus, Source};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use url::Url;

/// Where metrics are.
#[derive(Clone, Debug, Default, Args)]
pub struct MetricSettings {
    /// Prometheus with the cluster's metrics, or what speaks like it; without it, analysis gates have no data and stay closed
    #[arg(long, env = "TIDEGATE_PROMETHEUS", value_name = "URL", conflicts_with = "prometheus_file")]
    pub prometheus: Option<Url>,
    /// The same as a file, for several servers, headers, tokens and certificates
    #[arg(long, env = "TIDEGATE_PROMETHEUS_FILE", value_name = "YAML FILE")]
    pub prometheus_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: String,
    cluster: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    bearer_token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl MetricSettings {
    /// The metrics of each cluster; none where nothing is set. Connects to nothing.
    ///
    /// # Errors
    /// When an address, the file or what it names cannot be used: what, and where.
    pub fn prometheus(&self, cluster: &str) -> anyhow::Result<HashMap<String, Prometheus>> {
        let url = self.prometheus.as_ref().map(Url::as_str).filter(|u| !u.is_empty());
        match (url, &self.prometheus_file) {
            (None, None) => Ok(HashMap::new()),
            (Some(url), None) => {
                let reached = Prometheus::new(url).context("TIDEGATE_PROMETHEUS cannot be used")?;
                Ok(HashMap::from([(cluster.to_owned(), reached)]))
            }
            (None, Some(file)) => {
                let bad = || format!("TIDEGATE_PROMETHEUS_FILE: {} cannot be used", file.display());
                let text = std::fs::read_to_string(file).with_context(bad)?;
                read(&text, cluster, file.parent().unwrap_or(Path::new("."))).with_context(bad)
            }
            (Some(_), Some(_)) => {
                bail!(
                    "Both TIDEGATE_PROMETHEUS and TIDEGATE_PROMETHEUS_FILE are set. Keep one: the file can name the address too."
                )
            }
        }
    }
}

/// Files that are named without a path from the root are beside this one.
fn read(text: &str, cluster: &str, beside: &Path) -> anyhow::Result<HashMap<String, Prometheus>> {
    let file: File = serde_yaml_ng::from_str(text)?;
    ensure!(!file.sources.is_empty(), "sources names none. Write at least one with its url.");
    let mut sources = Vec::new();
    for (i, entry) in file.sources.into_iter().enumerate() {
        if let Some(other) = entry.cluster.as_deref().filter(|c| *c != cluster) {
            bail!(
                "sources[{i}].cluster: {other} is not watched here. This Tidegate's cluster is {cluster} (TIDEGATE_CLUSTER)."
            );
        }
        let found = |file: Option<PathBuf>| file.map(|f| beside.join(f));
        let source = Source {
            url: entry.url,
            headers: entry.headers,
            bearer_token_file: found(entry.bearer_token_file),
            ca_file: found(entry.ca_file),
            cert_file: found(entry.cert_file),
            key_file: found(entry.key_file),
        };
        // One by one, so that a fault has its place.
        Prometheus::of([source.clone()]).with_context(|| format!("sources[{i}]"))?;
        sources.push(source);
    }
    Ok(HashMap::from([(cluster.to_owned(), Prometheus::of(sources)?)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", read(text, "main", Path::new("/etc/tidegate")).unwrap_err())
    }

    #[test]
    fn the_best_server_comes_first_with_what_it_asks_for() {
        let text = "sources:\n- {url: 'https://mimir.example.com/prometheus', cluster: main, headers: {X-Scope-OrgID: shop}}\n\
                    - {url: 'http://prometheus:9090'}\n";
        let found = read(text, "main", Path::new("/")).unwrap();
        assert_eq!(found["main"].url(), "https://mimir.example.com/prometheus/");
    }

    #[test]
    fn a_fault_is_told_at_its_place() {
        assert!(refused("sources: []").contains("sources names none"));
        assert!(refused("sources: [{url: 'http://a', tokn: b}]").contains("unknown field `tokn`"));
        let words = refused("sources: [{url: 'http://a'}, {url: 'http://b', bearer_token_file: token}]");
        assert!(
            words.contains("sources[1]") && words.contains("/etc/tidegate/token cannot be read"),
            "{words}"
        );
        let words = refused("sources: [{url: 'http://a', cluster: west}]");
        assert!(words.contains("sources[0].cluster: west is not watched here"), "{words}");
        assert!(refused("sources: [{url: 'ftp://a'}]").contains("not an http or https address"));
    }
}
