//! The ConfigMaps `rollback-policies` and `feature-flags`: read live, wherever they are, and written with the version that was
//! read as the precondition.
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
use model::Book;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Reports that wait.
const NEWS: usize = 64;

/// One such ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    pub namespace: String,
    pub uid: String,
    /// What a change of it must name.
    pub resource_version: String,
    /// `None`: it has no such key.
    pub text: Option<String>,
    /// It has keys at all.
    filled: bool,
    /// Who wrote it last, as the API server names them (`kubectl-edit`), and when.
    pub written: Option<(String, DateTime<Utc>)>,
}

/// All of them, by namespace. `None` before they were listed once.
pub type LiveFiles = Option<Arc<BTreeMap<String, LiveFile>>>;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The API server has it.
    Done,
    /// Somebody has written, made or deleted it since it was read. Nothing was changed.
    Overtaken,
}

/// A ConfigMap as the API server has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Value")]
struct RawMap {
    metadata: Meta,
    whole: Value,
}

impl From<Value> for RawMap {
    fn from(whole: Value) -> Self {
        let metadata = Meta::deserialize(&whole["metadata"]).unwrap_or_default();
        Self { metadata, whole }
    }
}

impl LiveFile {
    fn of(book: Book, value: &Value) -> Self {
        let metadata = Meta::deserialize(&value["metadata"]).unwrap_or_default();
        let wrote = |entry: &Value| {
            let at = entry["time"].as_str().and_then(|t| t.parse().ok())?;
            Some((entry["manager"].as_str()?.to_owned(), at))
        };
        let managers = value["metadata"]["managedFields"].as_array().into_iter().flatten();
        Self {
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            text: value["data"][book.key()].as_str().map(str::to_owned),
            filled: value["data"].is_object(),
            written: managers.filter_map(wrote).max_by_key(|(_, at)| *at),
        }
    }
}

impl Object for RawMap {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

fn taken(files: &LiveFiles, news: News<LiveFile>) -> BTreeMap<String, LiveFile> {
    let mut all = files.as_deref().cloned().unwrap_or_default();
    match news {
        News::All(list) => all = list.into_iter().map(|f| (f.namespace.clone(), f)).collect(),
        News::One(file) => drop(all.insert(file.namespace.clone(), file)),
        News::Gone(file) => drop(all.remove(&file.namespace)),
    }
    all
}

/// Starts watching.
pub(crate) fn start(client: &Client, book: Book) -> (watch::Receiver<LiveFiles>, Vec<JoinHandle<()>>) {
    let (sender, mut news) = mpsc::channel(NEWS);
    let (files, seen) = watch::channel(None);
    let watch = Watch {
        client: client.clone(),
        path: "/api/v1/configmaps",
        selector: match book {
            Book::Policies => "fieldSelector=metadata.name%3Drollback-policies",
            Book::Flags => "fieldSelector=metadata.name%3Dfeature-flags",
        },
        // Whoever may not list them knows nothing, which is not that there are none.
        optional: false,
        shrink: Box::new(move |map: RawMap| LiveFile::of(book, &map.whole)),
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
    /// The files as last seen; the receiver is told of each change.
    pub fn files(&self, book: Book) -> watch::Receiver<LiveFiles> {
        match book {
            Book::Policies => self.policies.clone(),
            Book::Flags => self.flags.clone(),
        }
    }

    /// One file as it is in the cluster now; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unreachable`], [`Error::Answer`].
    pub async fn read_file(&self, book: Book, namespace: &str) -> Result<Option<LiveFile>, Error> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{}", book.config_map());
        match self.sender.call(Method::GET, &path, None).await {
            Answer::Ok(value) => Ok(Some(LiveFile::of(book, &value))),
            Answer::No { code: 404, .. } => Ok(None),
            answer => Err(self.sender.error(answer, &format!("read {}", book.words()))),
        }
    }

    /// Writes a namespace's file where the ConfigMap is still the one that was read (`before`), and there still is none where
    /// none was read.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unreachable`], [`Error::Answer`]; after [`Error::Unreachable`] it may have been written.
    pub async fn write_file(
        &self,
        book: Book,
        namespace: &str,
        before: Option<&LiveFile>,
        text: &str,
    ) -> Result<Written, Error> {
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        let query = format!("fieldManager={MANAGER}&fieldValidation=Strict");
        let (name, key) = (book.config_map(), book.key());
        let answer = match before {
            None => {
                let made = json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": namespace},
                    "data": {key: text},
                });
                self.sender.call(Method::POST, &format!("{maps}?{query}"), Some(&made)).await
            }
            Some(file) => {
                let put = match file.filled {
                    false => json!({"op": "add", "path": "/data", "value": {key: text}}),
                    true => json!({"op": "add", "path": format!("/data/{key}"), "value": text}),
                };
                let version = &file.resource_version;
                let same = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
                let patch = Value::Array(vec![same, put]);
                self.sender.call(Method::PATCH, &format!("{maps}/{name}?{query}"), Some(&patch)).await
            }
        };
        match answer {
            Answer::Ok(_) => Ok(Written::Done),
            // Made meanwhile, deleted meanwhile, or written meanwhile (422 is a test that failed).
            Answer::No { code: 409, .. } => Ok(Written::Overtaken),
            Answer::No { code: 404 | 422, .. } if before.is_some() => Ok(Written::Overtaken),
            answer => Err(self.sender.error(answer, &format!("write {}", book.words()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(namespace: &str, version: &str, data: &Value) -> LiveFile {
        let fields = |manager: &str, at: &str| json!({"manager": manager, "time": at});
        let value = json!({
            "metadata": {"name": "rollback-policies", "namespace": namespace, "uid": "u", "resourceVersion": version,
                "managedFields": [fields("tidegate", "2026-01-01T00:00:00Z"), fields("kubectl-edit", "2026-01-02T00:00:00Z")]},
            "data": data,
        });
        LiveFile::of(Book::Policies, &value)
    }

    #[test]
    fn a_file_says_who_wrote_it_last() {
        let file = map("shop", "7", &json!({"policies.yaml": "x"}));
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
