//! ConfigMaps put back with the code: immutable copies, and a template that reads them.

use crate::Cluster;
use crate::send::{Answer, MANAGER, group};
use http::Method;
use model::config::{ConfigKind, Held, Reference, differing, renamed};
use model::release::KnownGood;
use model::workload::{Key, Workload};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;

/// Label of a copy: the ConfigMap that it is of.
const COPY_OF: &str = "tidegate.dev/copy-of";
/// For all of it. A template goes back as it is, rather than late.
const WITHIN: Duration = Duration::from_millis(1500);

impl Cluster {
    /// The known-good version with the ConfigMaps that it read: where one of them has changed or is gone, its template
    /// reads an immutable copy of what was held instead. The copies are made before this returns. Where nothing has
    /// changed, nothing was held, or it cannot be done in time, the version as it is.
    pub(crate) async fn with_config<'a>(&self, w: &Workload, good: &'a KnownGood) -> Cow<'a, KnownGood> {
        if good.config.is_empty() {
            return Cow::Borrowed(good);
        }
        let Ok(copies) = timeout(WITHIN, self.copy_config(w, &good.config)).await else {
            tracing::warn!(key = %w.key, "its ConfigMaps are not put back: the API server took too long");
            return Cow::Borrowed(good);
        };
        if copies.is_empty() {
            return Cow::Borrowed(good);
        }
        let template = renamed(&good.template, |name| copies.get(name).cloned());
        Cow::Owned(KnownGood { template, ..good.clone() })
    }

    /// Whether Tidegate may make copies beside this workload: asked of the API server, and nothing is made.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn may_copy_config(&self, key: &Key) -> Result<(), String> {
        let trial = Held { name: "tidegate".into(), data: [("trial".to_owned(), String::new())].into() };
        let uri = format!("{}&dryRun=All", uri(&key.namespace));
        match self.sender.call(Method::POST, &uri, Some(&object(&key.namespace, &trial, &[]))).await {
            Answer::Ok(_) | Answer::No { code: 409, .. } => Ok(()),
            Answer::No { code: 401 | 403, .. } => {
                Err("Tidegate may not make ConfigMaps there: see deploy/rbac.yaml.".to_owned())
            }
            Answer::No { code, reason } => {
                Err(format!("The cluster refuses a ConfigMap there: {reason} ({code})."))
            }
            Answer::Lost(why) | Answer::Unsent(why) => Err(format!("The API server does not answer: {why}.")),
        }
    }

    /// Names of the copies by those of the ConfigMaps that are not as they were.
    async fn copy_config(&self, w: &Workload, held: &[Held]) -> HashMap<String, String> {
        let reference =
            |h: &Held| Reference { kind: ConfigKind::ConfigMap, name: h.name.clone(), optional: false };
        let wanted: Vec<_> = held.iter().map(reference).collect();
        let now = self.config(&w.key, &wanted).await;
        let copies = differing(held, &now).into_iter().map(|h| self.copy(w, h));
        futures::future::join_all(copies).await.into_iter().flatten().collect()
    }

    async fn copy(&self, w: &Workload, held: &Held) -> Option<(String, String)> {
        let (key, name) = (&w.key, held.copy());
        let owner =
            json!({"apiVersion": group(key.kind), "kind": key.kind.key(), "name": key.name, "uid": w.uid});
        let made = object(&key.namespace, held, &[owner]);
        let why = match self.sender.call(Method::POST, &uri(&key.namespace), Some(&made)).await {
            Answer::Ok(_) => return Some((held.name.clone(), name)),
            Answer::No { code: 409, .. } if self.is_there(key, held).await => {
                return Some((held.name.clone(), name));
            }
            Answer::No { code, reason } => format!("{reason} ({code})"),
            Answer::Lost(why) | Answer::Unsent(why) => why,
        };
        tracing::warn!(%key, name, why, "a ConfigMap is not put back");
        None
    }

    /// A copy of this name holds the same: it was made for an earlier try.
    async fn is_there(&self, key: &Key, held: &Held) -> bool {
        let reference = Reference { kind: ConfigKind::ConfigMap, name: held.copy(), optional: false };
        let there = self.config(key, &[reference]).await;
        let named = Held { name: held.copy(), ..held.clone() };
        !there.is_empty() && differing(&[named], &there).is_empty()
    }
}

fn uri(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps?fieldManager={MANAGER}&fieldValidation=Strict")
}

/// Deleted with the workload it was made for, and changed by nobody.
fn object(namespace: &str, held: &Held, owners: &[Value]) -> Value {
    // A label's value is shorter than a name may be.
    let of = held.name.get(..63).unwrap_or(&held.name).trim_end_matches(['-', '.']);
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": held.copy(), "namespace": namespace, "labels": {COPY_OF: of}, "ownerReferences": owners},
        "immutable": true,
        "data": held.data,
    })
}
