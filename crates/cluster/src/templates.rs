//! AnalysisTemplates and ClusterAnalysisTemplates, read when a plan names one.

use crate::Cluster;
use crate::error::Error;
use crate::send::Answer;
use http::Method;
use judge::argo::template::Spec;
use serde_json::Value;

const API: &str = "/apis/argoproj.io/v1alpha1";

/// A template as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// What it asks for.
    pub spec: Spec,
    /// Other templates that it refers to, whose metrics are not among its own.
    pub refers: Vec<String>,
    /// Where its metrics are asked: addresses of Prometheus, each once, without credentials.
    pub addresses: Vec<String>,
}

impl Cluster {
    /// The template of this name, of the namespace or (`None`) of the whole cluster; none where there is none, nor where the
    /// cluster has no such kind.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unreachable`], and [`Error::Unsuited`] for one that cannot be read.
    pub async fn analysis_template(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Template>, Error> {
        let (uri, action) = match namespace {
            Some(ns) => (
                format!("{API}/namespaces/{ns}/analysistemplates/{name}"),
                format!("read the AnalysisTemplate {name} in {ns}"),
            ),
            None => (
                format!("{API}/clusteranalysistemplates/{name}"),
                format!("read the ClusterAnalysisTemplate {name}"),
            ),
        };
        match self.sender.call(Method::GET, &uri, None).await {
            Answer::Ok(object) => read(&object["spec"]).map(Some).map_err(|why| {
                Error::Unsuited(format!(
                    "The template {name} cannot be read: {why}. Correct it in the cluster."
                ))
            }),
            Answer::No { code: 404, .. } => Ok(None),
            answer => Err(self.sender.error(answer, &action)),
        }
    }
}

fn read(spec: &Value) -> Result<Template, serde_json::Error> {
    let list = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
    let refers =
        list("templates").iter().filter_map(|t| t["templateName"].as_str().map(str::to_owned)).collect();
    let mut addresses: Vec<String> = Vec::new();
    for metric in list("metrics") {
        let address = metric["provider"]["prometheus"]["address"].as_str().unwrap_or_default();
        // Credentials stand before the last `@`.
        let shown = address.rsplit('@').next().unwrap_or_default().to_owned();
        if !shown.is_empty() && !addresses.contains(&shown) {
            addresses.push(shown);
        }
    }
    let spec = if spec.is_null() { Spec::default() } else { serde_json::from_value(spec.clone())? };
    Ok(Template { spec, refers, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_told_once_and_without_credentials() {
        let metric = |address: &str| json!({"name": "m", "provider": {"prometheus": {"address": address, "query": "up"}}});
        let spec = json!({"templates": [{"templateName": "other"}],
            "metrics": [metric("http://me:secret@mon:9090"), metric("mon:9090"), metric("http://x"), metric("http://x")]});
        let template = read(&spec).unwrap();
        assert_eq!(
            (template.refers, template.addresses),
            (vec!["other".into()], vec!["mon:9090".into(), "http://x".into()])
        );
        assert_eq!(template.spec.metrics.len(), 4);
        assert!(read(&json!({"metrics": "none"})).is_err());
    }
}
