//! ConfigMaps and Secrets that a template refers to, as they are now.
//!
//! A Secret's content is never asked for: the API server is asked for its metadata alone. Where Tidegate may not read
//! an object it says so; nothing waits for it.

use crate::Cluster;
use crate::send::Answer;
use model::config::{BINARY, ConfigKind, Kept, Reference, State};
use model::workload::Key;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A ConfigMap with more than this is told apart by its resourceVersion alone, in bytes.
const LARGEST: usize = 64 * 1024;

impl Cluster {
    /// What is there now of what a workload's template refers to, in the order asked for. At most 10 s a read.
    pub async fn config(&self, key: &Key, references: &[Reference]) -> Vec<Kept> {
        let reads = references.iter().map(|r| async {
            let plural = match r.kind {
                ConfigKind::ConfigMap => "configmaps",
                ConfigKind::Secret => "secrets",
            };
            let uri = format!("/api/v1/namespaces/{}/{plural}/{}", key.namespace, r.name);
            let state = match self.sender.metadata_or(r.kind == ConfigKind::Secret, &uri).await {
                Answer::Ok(object) => content(r.kind, &object),
                Answer::No { code: 404, .. } => State::Absent,
                Answer::No { .. } | Answer::Lost(_) | Answer::Unsent(_) => State::Unread,
            };
            Kept { kind: r.kind, name: r.name.clone(), state }
        });
        futures::future::join_all(reads).await
    }
}

fn content(kind: ConfigKind, object: &Value) -> State {
    let version =
        || State::Mark(object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned());
    if kind == ConfigKind::Secret {
        return version();
    }
    let pairs = |field: &str| object[field].as_object().cloned().unwrap_or_default();
    let text = |v: Value| v.as_str().map(str::to_owned).unwrap_or_default();
    let mut all: BTreeMap<String, String> = pairs("data").into_iter().map(|(k, v)| (k, text(v))).collect();
    let binary = pairs("binaryData").into_iter().map(|(k, v)| {
        let digest = hex::encode(Sha256::digest(text(v).as_bytes()));
        (k, format!("{BINARY}{digest}"))
    });
    all.extend(binary);
    if all.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > LARGEST {
        version()
    } else {
        State::Content(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn binary_values_are_kept_as_digests_and_what_is_large_by_its_version() {
        let map =
            json!({"metadata": {"resourceVersion": "7"}, "data": {"a": "1"}, "binaryData": {"b": "AAAA"}});
        let State::Content(all) = content(ConfigKind::ConfigMap, &map) else { panic!("content") };
        assert_eq!(all["a"], "1");
        assert!(all["b"].starts_with(BINARY));
        let large = json!({"metadata": {"resourceVersion": "8"}, "data": {"a": "x".repeat(LARGEST)}});
        assert_eq!(content(ConfigKind::ConfigMap, &large), State::Mark("8".into()));
        let secret = json!({"metadata": {"resourceVersion": "9"}, "data": {"a": "c2VjcmV0"}});
        assert_eq!(content(ConfigKind::Secret, &secret), State::Mark("9".into()));
    }
}
