//! The demo world: created once, then left to whoever uses it.
//!
//! A second start must not undo what people released meanwhile, so an object that exists is never written
//! again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    apply::{Applier, MANAGER, documents, in_phase, rollouts, wait_for},
    child::Progress,
};

const WORLD: [&str; 2] = [include_str!("../demo/shop.yaml"), include_str!("../demo/agent-platform.yaml")];

/// Names the image that ran before the manifest's, so that a fresh world has a revision to go back to.
const EARLIER: &str = "sandbox.tidegate.dev/earlier-image";

/// Marks a workload whose second revision has been released; whatever it runs from then on is somebody's
/// wish.
const SEEDED: &str = "sandbox.tidegate.dev/seeded";

/// How long a demo workload may take to become Healthy.
const HEALTHY: Duration = Duration::from_secs(60);

fn is_workload(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|t| t.kind == "Rollout" || t.kind == "Deployment")
}

fn is_namespace(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|t| t.kind == "Namespace")
}

/// Create what is missing of the demo world and wait until every new workload is healthy.
///
/// # Errors
/// When the API server refuses an object or a workload does not become healthy within a minute.
pub(crate) async fn seed(client: &Client, progress: Progress) -> Result<()> {
    let applier = Applier::new(client.clone());
    let objects = WORLD.iter().map(|y| documents(y)).collect::<Result<Vec<_>>>()?.concat();
    let (namespaces, rest): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_namespace);
    let (workloads, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_workload);
    // Services and Ingresses come before the workloads that name them, else those start as invalid.
    for group in [&namespaces, &rest] {
        future::try_join_all(group.iter().map(|o| applier.create(o))).await?;
    }
    let seeded = future::try_join_all(workloads.iter().map(|o| workload(client, &applier, o))).await?;
    let fresh = seeded.iter().filter(|fresh| **fresh).count();
    progress.say(format!("demo world ready: {} workloads, {fresh} of them new", workloads.len()));
    Ok(())
}

/// Bring one workload to its second revision, unless that was done before; say whether there was anything to
/// do.
async fn workload(client: &Client, applier: &Applier, object: &DynamicObject) -> Result<bool> {
    let earlier = object.annotations().get(EARLIER).cloned();
    let mut first = object.clone();
    if let Some(image) = &earlier {
        first.data["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    }
    applier.create(&first).await?;
    let namespace = object.namespace().context("a workload without a namespace")?;
    if object.types.as_ref().is_some_and(|t| t.kind == "Deployment") {
        let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
        let live = api.get(&object.name_any()).await?;
        if live.annotations().contains_key(SEEDED) {
            return Ok(false);
        }
        wait_for(&api, &object.name_any(), "available", HEALTHY, deployed).await?;
        api.patch(&object.name_any(), &manager(), &Patch::Merge(second(object))).await?;
        wait_for(&api, &object.name_any(), "available", HEALTHY, deployed).await?;
        return Ok(true);
    }
    let api = rollouts(client.clone(), &namespace);
    let name = object.name_any();
    let live = api.get(&name).await?;
    if live.annotations().contains_key(SEEDED) {
        return Ok(false);
    }
    let before = wait_for(&api, &name, "Healthy", HEALTHY, |r| in_phase(r, "Healthy")).await?;
    let patched = api.patch(&name, &manager(), &Patch::Merge(second(object))).await?;
    if earlier.is_none() {
        return Ok(true);
    }
    // A full promotion sent before the controller has seen the new template is lost.
    let observed = |r: &DynamicObject| {
        let seen = r.data["status"]["observedGeneration"].as_str().and_then(|s| s.parse::<i64>().ok());
        seen >= patched.metadata.generation
            && r.data["status"]["currentPodHash"] != before.data["status"]["currentPodHash"]
    };
    wait_for(&api, &name, "the new template observed", HEALTHY, observed).await?;
    let promote = json!({"status": {"promoteFull": true}});
    api.patch_status(&name, &manager(), &Patch::Merge(promote)).await?;
    wait_for(&api, &name, "Healthy on its second revision", HEALTHY, |r| {
        in_phase(r, "Healthy") && r.data["status"]["stableRS"] == r.data["status"]["currentPodHash"]
    })
    .await?;
    Ok(true)
}

fn manager() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// The patch that puts the manifest's own image in place and marks the workload as seeded, in one.
fn second(object: &DynamicObject) -> Value {
    json!({
        "metadata": {"annotations": {SEEDED: "true"}},
        "spec": {"template": {"spec": {"containers": object.data["spec"]["template"]["spec"]["containers"]}}},
    })
}

fn deployed(deployment: &Deployment) -> bool {
    let (Some(spec), Some(status)) = (&deployment.spec, &deployment.status) else {
        return false;
    };
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas == spec.replicas
        && status.available_replicas == spec.replicas
        && status.replicas == spec.replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_workload_has_a_namespace_and_no_placeholder() {
        for yaml in WORLD {
            assert!(!yaml.contains("{{.Values"));
            let objects = documents(yaml).unwrap();
            assert!(objects.iter().any(is_namespace));
            for object in objects.iter().filter(|o| is_workload(o)) {
                assert!(object.namespace().is_some());
                assert!(object.data["spec"]["template"]["spec"]["containers"][0]["image"].is_string());
            }
        }
    }
}
