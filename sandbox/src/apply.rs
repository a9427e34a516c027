//! YAML into the cluster, and waiting for what it becomes.

use std::{collections::HashMap, fmt::Debug, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, TypeMeta},
    core::GroupVersionKind,
    discovery::{self, Scope},
    runtime::watcher,
};
use serde::{Deserialize as _, de::DeserializeOwned};
use tokio::{sync::Mutex, time};

/// The field manager of everything the sandbox writes.
pub(crate) const MANAGER: &str = "sandbox";

/// How long a kind may take to be served after its definition was created.
const KIND_SERVED: Duration = Duration::from_secs(10);

/// Read a stream of YAML documents.
///
/// # Errors
/// When a document is no Kubernetes object.
pub(crate) fn documents(yaml: &str) -> Result<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(yaml) {
        let value = serde_json::Value::deserialize(document).context("not YAML")?;
        if value.is_null() {
            continue;
        }
        let object: DynamicObject = serde_json::from_value(value).context("not a Kubernetes object")?;
        objects.push(object);
    }
    Ok(objects)
}

/// Writes objects of any kind; remembers how kinds are served.
pub(crate) struct Applier {
    client: Client,
    kinds: Mutex<HashMap<GroupVersionKind, (ApiResource, Scope)>>,
}

impl Applier {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, kinds: Mutex::default() }
    }

    async fn kind(&self, gvk: &GroupVersionKind) -> Result<(ApiResource, Scope)> {
        let mut kinds = self.kinds.lock().await;
        if let Some(known) = kinds.get(gvk) {
            return Ok(known.clone());
        }
        let deadline = time::Instant::now() + KIND_SERVED;
        loop {
            match discovery::pinned_kind(&self.client, gvk).await {
                Ok((resource, capabilities)) => {
                    let found = (resource, capabilities.scope);
                    kinds.insert(gvk.clone(), found.clone());
                    return Ok(found);
                }
                Err(e) if time::Instant::now() >= deadline => {
                    return Err(anyhow!(e)
                        .context(format!("{}/{} {} is not served", gvk.group, gvk.version, gvk.kind)));
                }
                Err(_) => time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn api(&self, object: &DynamicObject) -> Result<Api<DynamicObject>> {
        let TypeMeta { api_version, kind } =
            object.types.clone().context("an object without apiVersion and kind")?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let (resource, scope) = self.kind(&GroupVersionKind::gvk(group, version, &kind)).await?;
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
        })
    }

    /// Server-side apply, taking over fields others have set.
    pub(crate) async fn apply(&self, object: &DynamicObject) -> Result<()> {
        let params = PatchParams::apply(MANAGER).force().validation_strict();
        let api = self.api(object).await?;
        api.patch(&object.name_any(), &params, &Patch::Apply(object))
            .await
            .with_context(|| describe(object))?;
        Ok(())
    }

    /// Create; an object that is there already is left as it is.
    pub(crate) async fn create(&self, object: &DynamicObject) -> Result<()> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.api(object).await?.create(&params, object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(e)) if e.code == 409 => Ok(()),
            Err(e) => Err(anyhow!(e).context(describe(object))),
        }
    }

    /// Apply every document of `yaml`, several at a time. They must not depend on each other.
    pub(crate) async fn apply_all(&self, yaml: &str) -> Result<()> {
        let objects = documents(yaml)?;
        stream::iter(&objects).map(|o| self.apply(o)).buffer_unordered(8).try_collect().await
    }
}

fn describe(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |t| t.kind.as_str());
    let namespace = object.namespace().map(|n| n + "/").unwrap_or_default();
    format!("writing {kind} {namespace}{}", object.name_any())
}

/// Watch one object until `holds`, and give it as it then is.
///
/// # Errors
/// When `deadline` passes first; the message shows `what` was awaited and the object's last status.
pub async fn wait_for<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    deadline: Duration,
    holds: impl Fn(&K) -> bool,
) -> Result<K>
where
    K: Resource + Clone + DeserializeOwned + serde::Serialize + Debug + Send + 'static,
{
    let mut last: Option<K> = None;
    let watch = async {
        let mut states = std::pin::pin!(watcher::watch_object(api.clone(), name));
        while let Some(state) = states.next().await {
            // Errors are retried by the watcher itself, with backoff; the deadline bounds them.
            let Ok(state) = state else {
                time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            last = state;
            if last.as_ref().is_some_and(&holds) {
                return true;
            }
        }
        false
    };
    let reached = time::timeout(deadline, watch).await.unwrap_or(false);
    match last {
        Some(object) if reached => Ok(object),
        Some(object) => {
            let status = serde_json::to_value(&object).unwrap_or_default()["status"].to_string();
            bail!("{name}: {what} not reached within {deadline:?}; its status is {status}")
        }
        None => bail!("{name}: {what} not reached within {deadline:?}; there is no such object"),
    }
}

/// The Rollouts of a namespace, untyped.
#[must_use]
pub fn rollouts(client: Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, "rollouts"))
}

/// Whether the controller has seen the newest spec of a Rollout and calls it `phase`.
#[must_use]
pub fn in_phase(rollout: &DynamicObject, phase: &str) -> bool {
    let status = &rollout.data["status"];
    // The observed generation of a Rollout is a string.
    let seen = status["observedGeneration"].as_str().and_then(|s| s.parse::<i64>().ok());
    seen.is_some() && seen == rollout.metadata.generation && status["phase"] == phase
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_and_empty_ones_skipped() {
        let found =
            documents("---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name_any(), "a");
        assert!(documents("- 1").is_err());
    }
}
