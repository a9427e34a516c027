//! Why pods of a version do not come up, in words.
//!
//! Asked only when something takes longer than it should: pods are many, so no cache holds them. Nothing is quoted
//! that could hold a secret: of messages only the part that names the obstacle.

use crate::Cluster;
use crate::error::Error;
use crate::send::cut;
use model::stall::Obstacle;
use model::workload::{Key, Kind};
use serde_json::Value;
use std::collections::BTreeMap;

/// Pods that are looked at; those of one version mostly fail alike.
const PODS: usize = 50;

impl Cluster {
    /// What keeps the pods of one revision from being ready; empty when nothing is found.
    ///
    /// # Errors
    /// As for any read.
    pub async fn obstacles(&self, key: &Key, hash: &str) -> Result<Vec<Obstacle>, Error> {
        let label = match key.kind {
            Kind::Rollout => "rollouts-pod-template-hash",
            Kind::Deployment => "pod-template-hash",
        };
        let ns = &key.namespace;
        let pods = format!("/api/v1/namespaces/{ns}/pods?limit={PODS}&labelSelector={label}%3D{hash}");
        let sets = format!("/apis/apps/v1/namespaces/{ns}/replicasets?labelSelector={label}%3D{hash}");
        let (pods, sets) = tokio::try_join!(
            self.sender.read(&pods, "list pods", None),
            self.sender.read(&sets, "list ReplicaSets", None),
        )?;
        let list = |v: &Value| v["items"].as_array().cloned().unwrap_or_default();
        Ok(obstacles(&list(&pods), &list(&sets)))
    }
}

/// What the pods and their ReplicaSet say; the most frequent first.
fn obstacles(pods: &[Value], sets: &[Value]) -> Vec<Obstacle> {
    let mut all: Vec<Obstacle> = sets.iter().flat_map(refused).collect();
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for pod in pods {
        if let Some(found) = of_pod(pod) {
            *counted.entry(found).or_default() += 1;
        }
    }
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    all.extend(counted.into_iter().map(|((what, remedy), n)| {
        let pods = if n == 1 { "1 pod".to_owned() } else { format!("{n} pods") };
        Obstacle { what: format!("{pods}: {what}"), remedy }
    }));
    all
}

/// Pods that may not even be made: quota, admission, pod security.
fn refused(set: &Value) -> Option<Obstacle> {
    let conditions = set["status"]["conditions"].as_array()?;
    let failure = conditions.iter().find(|c| c["type"] == "ReplicaFailure" && c["status"] == "True")?;
    let message = failure["message"].as_str().unwrap_or_default();
    let remedy = if message.contains("exceeded quota") {
        "Raise the namespace's ResourceQuota, or free some of it."
    } else if message.contains("PodSecurity") {
        "The namespace's pod security level refuses these pods: change the namespace's label or the template."
    } else if message.contains("admission webhook") {
        "An admission webhook refuses these pods: ask whoever runs it, or take it off for this namespace."
    } else {
        "See the ReplicaSet's events."
    };
    Some(Obstacle {
        // The name of the pod that was refused this time says nothing, and is another one at each try.
        what: format!(
            "The cluster refuses to make pods: {}",
            cut(message.split_once(" is forbidden: ").map_or(message, |(_, why)| why))
        ),
        remedy: remedy.to_owned(),
    })
}

/// What one pod waits for, and what helps; `None` when it is ready or on its way.
fn of_pod(pod: &Value) -> Option<(String, String)> {
    let status = &pod["status"];
    let condition = |name: &str| {
        status["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == name).cloned()
    };
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    if let Some(scheduled) = condition("PodScheduled").filter(|c| c["status"] == "False") {
        let message = cut(scheduled["message"].as_str().unwrap_or_default()).to_owned();
        return Some((
            format!("no node takes it: {message}"),
            "Add nodes, or free capacity; the scheduler tries again by itself.".to_owned(),
        ));
    }
    let lists = ["initContainerStatuses", "containerStatuses"];
    let containers = || lists.iter().flat_map(|l| status[*l].as_array().into_iter().flatten());
    if let Some(found) = containers().find_map(|c| waiting(pod, c)) {
        return Some(found);
    }
    let runs = status["phase"] == "Running";
    let ready = condition("Ready").is_some_and(|c| c["status"] == "True");
    (runs && !ready).then(|| {
        (
            "runs, and is not ready yet".to_owned(),
            "Read its log if it takes longer than usual: its readiness probe does not pass.".to_owned(),
        )
    })
}

fn waiting(pod: &Value, container: &Value) -> Option<(String, String)> {
    let state = &container["state"]["waiting"];
    let reason = state["reason"].as_str()?;
    let name = container["name"].as_str().unwrap_or_default();
    let specified = || {
        let lists = ["initContainers", "containers"];
        let mut all = lists.iter().flat_map(|l| pod["spec"][*l].as_array().into_iter().flatten());
        all.find(|c| c["name"] == name).and_then(|c| c["image"].as_str())
    };
    // The status names the image only once it was found.
    let image = specified().or_else(|| container["image"].as_str()).unwrap_or("its image");
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some((
            format!("{image} cannot be pulled ({reason})"),
            "Put the image back into the registry, or repair the pull secret; pulling is tried again by itself."
                .to_owned(),
        )),
        "CrashLoopBackOff" | "RunContainerError" => {
            let restarts = container["restartCount"].as_i64().unwrap_or(0);
            Some((
                format!("{name} ends again and again ({reason}, {restarts} restarts)"),
                format!("Read why: kubectl logs --previous -c {name} of one of these pods."),
            ))
        }
        "CreateContainerConfigError" | "CreateContainerError" => {
            let message = cut(state["message"].as_str().unwrap_or_default()).to_owned();
            Some((
                format!("{name} cannot be made: {message}"),
                "Bring back the ConfigMap or Secret that the template names.".to_owned(),
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "p"}, "status": status,
            "spec": {"containers": [{"name": "app", "image": "registry.example.com/web:1.2.0"}]}})
    }

    fn waits(reason: &str) -> Value {
        let state = json!({"waiting": {"reason": reason, "message": "configmap \"web\" not found"}});
        pod(
            json!({"phase": "Pending", "containerStatuses": [{"name": "app", "restartCount": 4, "state": state}]}),
        )
    }

    fn words(pods: &[Value]) -> Vec<String> {
        obstacles(pods, &[]).into_iter().map(|o| o.what).collect()
    }

    #[test]
    fn pods_that_fail_alike_are_counted() {
        assert_eq!(
            words(&[waits("ImagePullBackOff"), waits("CrashLoopBackOff"), waits("ImagePullBackOff")]),
            [
                "2 pods: registry.example.com/web:1.2.0 cannot be pulled (ImagePullBackOff)",
                "1 pod: app ends again and again (CrashLoopBackOff, 4 restarts)"
            ]
        );
        assert_eq!(
            words(&[waits("CreateContainerConfigError")]),
            ["1 pod: app cannot be made: configmap \"web\" not found"]
        );
    }

    #[test]
    fn a_pod_that_starts_or_ends_is_no_obstacle() {
        assert_eq!(words(&[waits("ContainerCreating"), pod(json!({"phase": "Pending"}))]), [""; 0]);
        let ready = json!([{"type": "Ready", "status": "True"}]);
        assert_eq!(words(&[pod(json!({"phase": "Running", "conditions": ready}))]), [""; 0]);
        let mut ends = waits("ImagePullBackOff");
        ends["metadata"]["deletionTimestamp"] = "2026-11-18T14:00:00Z".into();
        assert_eq!(words(&[ends]), [""; 0]);
    }

    #[test]
    fn a_pod_without_a_node_and_one_that_is_not_ready_say_so() {
        let nowhere =
            json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        let deaf = json!([{"type": "Ready", "status": "False"}]);
        let pods = [
            pod(json!({"phase": "Pending", "conditions": nowhere})),
            pod(json!({"phase": "Running", "conditions": deaf})),
        ];
        let mut found = words(&pods);
        found.sort();
        assert_eq!(
            found,
            ["1 pod: no node takes it: 0/3 nodes are available", "1 pod: runs, and is not ready yet"]
        );
    }

    #[test]
    fn pods_that_may_not_be_made_come_first_with_what_helps() {
        let failure = |message: &str| json!({"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]}});
        let quota =
            failure("pods \"web-1\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2");
        let found = obstacles(&[waits("CrashLoopBackOff")], &[quota]);
        let what = "The cluster refuses to make pods: exceeded quota: small, requested: pods=1, used: pods=2";
        assert_eq!(found[0].what, what);
        assert!(found[0].remedy.contains("ResourceQuota"));
        assert_eq!(found.len(), 2);
    }
}
