//! The ConfigMaps `rollback-policies`: read live, wherever they are, and written with the version that was read as the
//! precondition.
//!
//! Apart from the cache of workloads: of a cluster that does not let Tidegate list them nothing is known here, and it is none the
//! older for it.

use crate::raw::Meta;
use crate::send::{Answer, MANAGER};
use crate::watch::{Life, News, Object, Watch};
use crate::{Cluster, Error};
use chrono::{DateTime, Utc};
use http::Method;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Its name in every namespace.
pub const POLICIES: &str = "rollback-policies";
/// Its key with the policies.
pub const POLICIES_KEY: &str = "policies.yaml";
const SELECTOR: &str = "fieldSelector=metadata.name%3Drollback-policies";
/// Reports that wait.
const NEWS: usize = 64;

/// One such ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    pub namespace: String,
    pub uid: String,
    /// What a change of it must name.
    pub resource_version: String,
    /// `None`: it has no key `policies.yaml`.
    pub text: Option<String>,
    /// It has keys at all.
    filled: bool,
    /// Who wrote it last, as the API server names them (`kubectl-edit`), and when.
    pub written: Option<(String, DateTime<Utc>)>,
}

/// All of them, by namespace. `None` before they were listed once.
pub type PolicyFiles = Option<Arc<BTreeMap<String, PolicyFile>>>;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The API server has it.
    Done,
    /// Somebody has written, made or deleted it since it was read. Nothing was changed.
    Overtaken,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Value")]
struct RawMap {
    metadata: Meta,
    file: PolicyFile,
}

impl From<Value> for RawMap {
    fn from(value: Value) -> Self {
        let metadata = Meta::deserialize(&value["metadata"]).unwrap_or_default();
        let wrote = |entry: &Value| {
            let at = entry["time"].as_str().and_then(|t| t.parse().ok())?;
            Some((entry["manager"].as_str()?.to_owned(), at))
        };
        let managers = value["metadata"]["managedFields"].as_array().into_iter().flatten();
        let file = PolicyFile {
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            text: value["data"][POLICIES_KEY].as_str().map(str::to_owned),
            filled: value["data"].is_object(),
            written: managers.filter_map(wrote).max_by_key(|(_, at)| *at),
        };
        Self { metadata, file }
    }
}

impl Object for RawMap {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

fn taken(files: &PolicyFiles, news: News<PolicyFile>) -> BTreeMap<String, PolicyFile> {
    let mut all = files.as_deref().cloned().unwrap_or_default();
    match news {
        News::All(list) => all = list.into_iter().map(|f| (f.namespace.clone(), f)).collect(),
        News::One(file) => drop(all.insert(file.namespace.clone(), file)),
        News::Gone(file) => drop(all.remove(&file.namespace)),
    }
    all
}

/// Starts watching.
pub(crate) fn start(client: &Client) -> (watch::Receiver<PolicyFiles>, Vec<JoinHandle<()>>) {
    let (sender, mut news) = mpsc::channel(NEWS);
    let (files, seen) = watch::channel(None);
    let watch = Watch {
        client: client.clone(),
        path: "/api/v1/configmaps",
        selector: SELECTOR,
        // Whoever may not list them knows nothing, which is not that there are none.
        optional: false,
        shrink: Box::new(|map: RawMap| map.file),
        life: Arc::new(Life::default()),
        news: sender,
    };
    let taking = async move {
        while let Some(news) = news.recv().await {
            let all = Some(Arc::new(taken(&files.borrow(), news)));
            files.send_if_modified(|before| {
                let differs = *before != all;
                *before = all;
                differs
            });
        }
    };
    (seen, vec![tokio::spawn(watch.run()), tokio::spawn(taking)])
}

impl Cluster {
    /// The policy files as last seen; the receiver is told of each change.
    pub fn policies(&self) -> watch::Receiver<PolicyFiles> {
        self.policies.clone()
    }

    /// Writes a namespace's policies where the ConfigMap is still the one that was read (`before`), and there still is none
    /// where none was read.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unreachable`], [`Error::Answer`]; after [`Error::Unreachable`] it may have been written.
    pub async fn write_policies(
        &self,
        namespace: &str,
        before: Option<&str>,
        text: &str,
    ) -> Result<Written, Error> {
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        let query = format!("fieldManager={MANAGER}&fieldValidation=Strict");
        let answer = match before {
            None => {
                let made = json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": POLICIES, "namespace": namespace},
                    "data": {POLICIES_KEY: text},
                });
                self.sender.call(Method::POST, &format!("{maps}?{query}"), Some(&made)).await
            }
            Some(version) => {
                let seen = self.policies.borrow().as_ref().and_then(|all| all.get(namespace).cloned());
                let put = match seen.is_some_and(|file| !file.filled) {
                    true => json!({"op": "add", "path": "/data", "value": {POLICIES_KEY: text}}),
                    false => json!({"op": "add", "path": format!("/data/{POLICIES_KEY}"), "value": text}),
                };
                let same = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
                let patch = Value::Array(vec![same, put]);
                self.sender.call(Method::PATCH, &format!("{maps}/{POLICIES}?{query}"), Some(&patch)).await
            }
        };
        match answer {
            Answer::Ok(_) => Ok(Written::Done),
            // Made meanwhile, deleted meanwhile, or written meanwhile (422 is a test that failed).
            Answer::No { code: 409, .. } => Ok(Written::Overtaken),
            Answer::No { code: 404 | 422, .. } if before.is_some() => Ok(Written::Overtaken),
            answer => Err(self.sender.error(answer, "write rollback policies")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(namespace: &str, version: &str, data: &Value) -> PolicyFile {
        let fields = |manager: &str, at: &str| json!({"manager": manager, "time": at});
        let value = json!({
            "metadata": {"name": POLICIES, "namespace": namespace, "uid": "u", "resourceVersion": version,
                "managedFields": [fields("tidegate", "2026-01-01T00:00:00Z"), fields("kubectl-edit", "2026-01-02T00:00:00Z")]},
            "data": data,
        });
        serde_json::from_value::<RawMap>(value).unwrap().file
    }

    #[test]
    fn a_file_says_who_wrote_it_last() {
        let file = map("shop", "7", &json!({POLICIES_KEY: "x"}));
        assert_eq!(file.text.as_deref(), Some("x"));
        assert_eq!(file.written.unwrap().0, "kubectl-edit");
        let empty = map("shop", "7", &Value::Null);
        assert_eq!((empty.text, empty.filled), (None, false));
    }

    #[test]
    fn a_list_replaces_all_there_was() {
        let one = |ns: &str, version: &str| map(ns, version, &json!({}));
        let all = taken(&None, News::All(vec![one("a", "1"), one("b", "2")]));
        let all = taken(&Some(Arc::new(all)), News::One(one("a", "3")));
        assert_eq!(all["a"].resource_version, "3");
        let all = taken(&Some(Arc::new(all)), News::Gone(one("a", "4")));
        assert_eq!(all.keys().collect::<Vec<_>>(), ["b"]);
        let all = taken(&Some(Arc::new(all)), News::All(vec![one("c", "5")]));
        assert_eq!(all.keys().collect::<Vec<_>>(), ["c"], "what a gap has hidden is gone");
    }
}
