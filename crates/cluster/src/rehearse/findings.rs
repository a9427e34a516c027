//! What a rollback costs and what it leaves as it is, in words. Pure.

use model::release::KnownGood;
use model::rollback::{Pace, route};
use model::workload::{Kind, Strategy, Workload, version_of};
use serde_json::Value;
use std::collections::BTreeMap;

/// What Argo Rollouts keeps the old pods for where a router or a Service moves the traffic, in seconds.
const SCALE_DOWN_DELAY: i64 = 30;
/// Old ReplicaSets that both controllers keep where the workload does not say.
const HISTORY: i64 = 10;

/// Stands for the revision a release will make; no hash looks like it.
const NEXT: &str = "(next)";

/// How long going back takes: while the release is in flight, and after it was promoted.
pub(super) fn paces(w: &Workload, good: &str) -> (Pace, Pace) {
    let mut then = w.clone();
    then.current_hash = Some(NEXT.into());
    let in_flight = route(&then, good).pace;
    then.stable_hash = Some(NEXT.into());
    if then.strategy == Strategy::Canary {
        // They stand by for half a minute, which nobody counts on. What the switch of a blue-green plan keeps, it does.
        then.revisions.iter_mut().filter(|r| r.hash == good).for_each(|r| r.ready = 0);
    }
    (in_flight, route(&then, good).pace)
}

pub(super) fn findings(
    w: &Workload,
    object: &Value,
    good: &KnownGood,
    images: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    if images.iter().all(|(container, image)| good.images.get(container) == Some(image)) && !images.is_empty()
    {
        found.push(
            "The plan brings the images that run already: there would be nothing to go back from.".into(),
        );
    }
    capacity(&mut found, w, object, good);
    if let Some(app) = &w.gitops {
        found.push(format!(
            "Owned by Argo CD's application {app}: git keeps saying what it says now. Revert it there too."
        ));
    }
    found
}

/// Whether going back starts pods, and how many.
fn capacity(found: &mut Vec<String>, w: &Workload, object: &Value, good: &KnownGood) {
    let (version, pods) = (version_of(&good.images), count(w.replicas));
    let (in_flight, _) = paces(w, &good.hash);
    found.push(match (w.strategy, in_flight) {
        (Strategy::Rolling, _) => {
            format!("Pods of {version} start as those of the next version stop: up to {pods}.")
        }
        (_, Pace::PodStart) if w.dynamic_stable_scale => format!(
            "In flight, the pods of {version} become fewer as the canary grows (dynamicStableScale): up to {pods} \
             must start again."
        ),
        (_, Pace::PodStart) => format!(
            "In flight, pods carry the weight (there is no traffic router): up to {pods} of {version} must start \
             again."
        ),
        _ => format!("In flight, the pods of {version} keep running: going back starts none."),
    });
    if w.strategy != Strategy::Rolling {
        found.push(match kept_for(w, object) {
            0 => format!("After promotion, {pods} of {version} must start."),
            delay => {
                let longer = match w.strategy {
                    Strategy::BlueGreen => ", by a plan until its gates after the switch have passed",
                    Strategy::Canary | Strategy::Rolling => "",
                };
                format!(
                    "After promotion, the pods of {version} run for {delay} s more (scaleDownDelaySeconds){longer}; \
                     later {pods} must start."
                )
            }
        });
    }
    let limit = object["spec"]["revisionHistoryLimit"].as_i64().unwrap_or(HISTORY);
    if !kept(w, &good.hash, limit) {
        found.push(format!(
            "After promotion, revisionHistoryLimit {limit} removes its ReplicaSet: the stored template makes a new one."
        ));
    }
    found.push(format!(
        "Whether nodes have room for pods that start is not known (Tidegate does not read them){}.",
        asks_for(&good.template).map(|words| format!("; each asks for {words}")).unwrap_or_default()
    ));
}

/// Seconds for which the old pods outlive a promotion.
fn kept_for(w: &Workload, object: &Value) -> i64 {
    let own = |strategy: &str| object["spec"]["strategy"][strategy]["scaleDownDelaySeconds"].as_i64();
    match w.strategy {
        Strategy::BlueGreen => own("blueGreen").unwrap_or(SCALE_DOWN_DELAY),
        Strategy::Canary if w.router.is_some() && !w.dynamic_stable_scale => {
            own("canary").unwrap_or(SCALE_DOWN_DELAY)
        }
        Strategy::Canary | Strategy::Rolling => 0,
    }
}

/// Whether the controller keeps the good ReplicaSet once it is an old one. Argo Rollouts removes the oldest first,
/// the Deployment controller those with the lowest revision; failed releases push good ones out.
fn kept(w: &Workload, good: &str, limit: i64) -> bool {
    let Some(own) = w.revision(good) else {
        return false;
    };
    let younger = w.revisions.iter().filter(|r| {
        r.hash != own.hash
            && match w.key.kind {
                Kind::Rollout => r.created > own.created,
                Kind::Deployment => r.number > own.number,
            }
    });
    i64::try_from(younger.count()).unwrap_or(i64::MAX) < limit
}

/// What a pod's containers request, as their owner wrote it: `cpu 500m, memory 1Gi and cpu 10m`.
fn asks_for(template: &Value) -> Option<String> {
    let containers = template["spec"]["containers"].as_array()?;
    let requests = containers.iter().filter_map(|c| {
        let requests = c["resources"]["requests"].as_object().filter(|r| !r.is_empty())?;
        let parts = requests.iter().map(|(name, amount)| match amount {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        Some(parts.collect::<Vec<_>>().join(", "))
    });
    Some(requests.collect::<Vec<_>>().join(" and ")).filter(|words| !words.is_empty())
}

fn count(pods: i32) -> String {
    if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") }
}

#[cfg(test)]
mod tests;
