//! What stands around a workload and has a say in its pods: quotas, autoscalers, disruption budgets, and its own
//! surge. Read while a plan is written and when its rollback is rehearsed; what Tidegate may not read is left out.

use crate::Cluster;
use crate::error::Error;
use crate::read::Read;
use model::rehearsal::Check;
use model::workload::{Key, Kind, Strategy, Workload};
use serde_json::Value;

/// Both controllers' defaults, in percent.
const SURGE: i64 = 25;

/// Objects of a namespace.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub quotas: Vec<Value>,
    pub autoscalers: Vec<Value>,
    pub budgets: Vec<Value>,
}

impl Cluster {
    /// What somebody who plans a release should know of what stands around a workload now, in sentences: an autoscaler
    /// that sets its replicas, a disruption budget that is used up, a surge that resolves badly, a quota without room.
    ///
    /// # Errors
    /// When the workload cannot be read. What else Tidegate may not read is left out.
    pub async fn around(&self, key: &Key) -> Result<Vec<String>, Error> {
        let (read, around) = tokio::join!(self.read(key), self.surroundings(key));
        let Read { object, entry } = read?;
        let w = &*entry.workload;
        let mut found = words(&around, w, &object);
        found.extend(room(&around, w, &object).filter(|check| !check.passed).map(|check| check.words));
        Ok(found)
    }

    pub(super) async fn surroundings(&self, key: &Key) -> Surroundings {
        let list = |group: &'static str, plural: &'static str| {
            let uri = format!("/{group}/namespaces/{}/{plural}", key.namespace);
            async move {
                match self.sender.read(&uri, "list what is around", None).await {
                    Ok(mut list) => match list["items"].take() {
                        Value::Array(items) => items,
                        _ => Vec::new(),
                    },
                    Err(error) => {
                        tracing::debug!(%error, plural, "not read, and not told in the rehearsal");
                        Vec::new()
                    }
                }
            }
        };
        let (quotas, autoscalers, budgets) = tokio::join!(
            list("api/v1", "resourcequotas"),
            list("apis/autoscaling/v2", "horizontalpodautoscalers"),
            list("apis/policy/v1", "poddisruptionbudgets"),
        );
        Surroundings { quotas, autoscalers, budgets }
    }
}

/// Whether the namespace's quotas leave room for the pods of the way back; `None` where none counts pods.
pub(super) fn room(around: &Surroundings, w: &Workload, object: &Value) -> Option<Check> {
    const NAME: &str = "Room";
    let tightest = around.quotas.iter().filter_map(free).min_by_key(|(_, free)| *free)?;
    let (name, free) = tightest;
    let needed = beside(w, object);
    let pods = |n: i64| if n == 1 { "1 more pod".to_owned() } else { format!("{n} more pods") };
    let words = format!("Quota {name} leaves room for {}; going back may need {needed} at once.", pods(free));
    Some(if free >= needed {
        Check::passed(NAME, words)
    } else {
        Check::failed(NAME, format!("{words} Raise the quota, or free some of it."))
    })
}

/// A quota's name, and how many pods it still allows.
fn free(quota: &Value) -> Option<(&str, i64)> {
    let of = |part: &str| {
        let part = &quota["status"][part];
        ["pods", "count/pods"].iter().find_map(|k| part[*k].as_str()?.parse::<i64>().ok())
    };
    Some((quota["metadata"]["name"].as_str()?, (of("hard")? - of("used")?).max(0)))
}

/// Pods that a way back makes beside those that run: all of them where traffic moves at once, else the surge.
fn beside(w: &Workload, object: &Value) -> i64 {
    let all = i64::from(w.replicas);
    match w.strategy {
        Strategy::BlueGreen => all,
        Strategy::Canary if w.router.is_some() => all,
        Strategy::Canary | Strategy::Rolling => surge(w, object).0.clamp(1, all.max(1)),
    }
}

/// `maxSurge` and `maxUnavailable` in pods: surge rounds up, unavailable down.
fn surge(w: &Workload, object: &Value) -> (i64, i64) {
    let own = own(w, object);
    let replicas = i64::from(w.replicas);
    let pods = |value: &Value, up: bool| {
        let percent = match value {
            Value::Number(n) => return n.as_i64().unwrap_or(0),
            Value::String(text) => text.trim_end_matches('%').parse().unwrap_or(SURGE),
            _ => SURGE,
        };
        let hundredths = percent * replicas;
        if up { (hundredths + 99) / 100 } else { hundredths / 100 }
    };
    (pods(&own["maxSurge"], true), pods(&own["maxUnavailable"], false))
}

fn own<'a>(w: &Workload, object: &'a Value) -> &'a Value {
    let strategy = &object["spec"]["strategy"];
    if w.key.kind == Kind::Deployment { &strategy["rollingUpdate"] } else { &strategy["canary"] }
}

/// What somebody should know before a release starts.
pub(super) fn words(around: &Surroundings, w: &Workload, object: &Value) -> Vec<String> {
    let mut found: Vec<_> = around.autoscalers.iter().filter_map(|a| autoscaler(a, w)).collect();
    found.extend(around.budgets.iter().filter_map(|b| budget(b, object)));
    found.extend(odd_surge(w, object));
    found
}

fn autoscaler(a: &Value, w: &Workload) -> Option<String> {
    let target = &a["spec"]["scaleTargetRef"];
    if target["name"] != w.key.name.as_str() || target["kind"] != w.key.kind.key() {
        return None;
    }
    let (name, most) = (a["metadata"]["name"].as_str()?, a["spec"]["maxReplicas"].as_i64()?);
    let least = a["spec"]["minReplicas"].as_i64().unwrap_or(1);
    let so = if w.strategy == Strategy::Canary && w.router.is_none() {
        "the canary's share is made of pods, so it moves with them"
    } else {
        "the way back starts as many pods as it asks for by then"
    };
    Some(format!("Autoscaler {name} sets its replicas ({least} to {most}, {} now): {so}.", w.replicas))
}

/// A budget that is used up holds no release, and everybody who drains a node.
fn budget(b: &Value, object: &Value) -> Option<String> {
    let selector = &b["spec"]["selector"];
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let chosen = selector["matchLabels"].as_object().filter(|m| !m.is_empty())?;
    let fits = chosen.iter().all(|(k, v)| &labels[k] == v) && selector["matchExpressions"].is_null();
    let used_up = b["status"]["disruptionsAllowed"] == 0 && b["status"]["expectedPods"].as_i64() > Some(0);
    let name = b["metadata"]["name"].as_str().filter(|_| fits && used_up)?;
    Some(format!(
        "PodDisruptionBudget {name} lets no pod be evicted now: a node that is drained meanwhile waits. Releases and \
         rollbacks are not held by it."
    ))
}

/// Argo Rollouts reads every string as a percentage, with or without its sign, and takes one pod away where both come to
/// nothing. Source: `GetValueFromIntOrPercent` and `resolveFenceposts` in its own code.
fn odd_surge(w: &Workload, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if w.key.kind != Kind::Rollout || w.strategy != Strategy::Canary || w.replicas == 0 {
        return found;
    }
    let (own, (more, fewer)) = (own(w, object), surge(w, object));
    for field in ["maxSurge", "maxUnavailable"] {
        if let Some(text) = own[field].as_str().filter(|t| !t.ends_with('%')) {
            found.push(format!(
                "{field} \"{text}\" is read as {text} %, not as pods. Write {text} without quotes, or {text}%."
            ));
        }
    }
    if more == 0 && fewer == 0 {
        found.push(format!(
            "maxSurge and maxUnavailable both come to 0 of {} pods, so the controller takes one away first. Write maxSurge: 1.",
            w.replicas
        ));
    }
    if fewer >= i64::from(w.replicas) {
        found.push(format!("maxUnavailable lets all {} pods be away at once.", w.replicas));
    }
    found
}

#[cfg(test)]
mod tests;
