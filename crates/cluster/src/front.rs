//! Services in front of a Deployment: which they are, and the patches that send their users to a second Deployment beside
//! it and back.
//!
//! A switch is one value of one label in each selector. It is taken only by a Service that is still as it was when the
//! switch was decided on: the same selector, the same mark. To hand users back has no such condition, as an abort has none:
//! late, it only leads to pods that always stand. It leaves a mark all the same, also where nobody was switched, and from
//! then on a switch that is still on its way is not taken any more.

use crate::driver::{Request, Requests, Seen, What};
use crate::error::Error;
use crate::fence::Voided;
use crate::observe::{ATTEMPT, Facts, TWIN};
use crate::patch::{Patch, annotation, escaped};
use crate::raw;
use crate::send::{Outcome, Part};
use crate::{Cluster, Entry, splitter};
use model::AttemptId;
use model::workload::{Front, Key, Twin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub namespace: String,
    pub name: String,
    pub selector: BTreeMap<String, String>,
    /// `spec.ports`, without what a node gives them.
    pub ports: Vec<Value>,
    headless: bool,
    attempt: Option<String>,
    /// `metadata.annotations` is there: a patch need not make it.
    annotated: bool,
}

impl From<raw::Service> for Service {
    fn from(mut s: raw::Service) -> Self {
        for port in s.spec.ports.iter_mut().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
        Self {
            ports: s.spec.ports,
            attempt: s.metadata.annotation(ATTEMPT).map(str::to_owned),
            annotated: s.metadata.annotations.is_some(),
            headless: s.spec.cluster_ip == "None",
            namespace: s.metadata.namespace,
            name: s.metadata.name,
            selector: s.spec.selector,
        }
    }
}

/// Those of a namespace's Services that are in front of a Deployment, by name.
pub(crate) fn of<'a>(
    facts: &Facts,
    services: impl Iterator<Item = &'a Arc<Service>>,
) -> (Vec<Front>, Vec<Arc<Service>>) {
    let front = |s: &Service| {
        let front = Front::of(&s.name, &s.selector, &facts.labels, &facts.workload.key.name)?;
        Some(Front { headless: s.headless, attempt: s.attempt.clone(), ..front })
    };
    let mut all: Vec<_> = services.filter_map(|s| Some((front(s)?, s.clone()))).collect();
    all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    all.into_iter().unzip()
}

impl Service {
    /// Where the second Deployment of this name answers within the cluster, if this Service leads to it alone. By its first
    /// port; a web address, as most are, whose scheme the port tells.
    pub(crate) fn address_of(&self, twin: &str) -> Option<String> {
        if self.selector.len() != 1 || self.selector.get(TWIN).map(String::as_str) != Some(twin) {
            return None;
        }
        let port = self.ports.first()?;
        let number = port["port"].as_u64()?;
        let says = |field: &str| port[field].as_str().is_some_and(|said| said.starts_with("https"));
        let tls = number == 443 || says("appProtocol") || says("name");
        let (scheme, usual) = if tls { ("https", 443) } else { ("http", 80) };
        let place = format!("{scheme}://{}.{}.svc", self.name, self.namespace);
        Some(if number == usual { place } else { format!("{place}:{number}") })
    }
}

/// The Service by which testers reach the second Deployment before the switch, like the first of those in front. It goes with
/// its `owner`, that one. Nothing where nothing is in front.
pub(crate) fn preview(seen: &Seen<'_>, owner: (&str, &str), attempt: &AttemptId) -> Option<Request> {
    // One without an address of its own may name no port at all.
    let like = seen.fronts.iter().find(|service| !service.headless).or_else(|| seen.fronts.first())?;
    (!like.ports.is_empty()).then(|| splitter::behind(seen.workload, like, owner, attempt))
}

/// All users to the second Deployment, as long as each Service is as it was when that was `decided`.
pub(crate) fn switch(seen: &Seen<'_>, attempt: &AttemptId, decided: &[Front]) -> Requests {
    let w = seen.workload;
    let label = w.parting_label()?;
    let to = Twin::name_for(&w.key.name)?;
    let names = |all: &mut dyn Iterator<Item = &str>| all.map(str::to_owned).collect::<Vec<_>>();
    if names(&mut decided.iter().map(|f| f.name.as_str()))
        != names(&mut w.fronts.iter().map(|f| f.name.as_str()))
    {
        return Err(format!(
            "Other Services are in front of {} now. Look at it again and decide anew.",
            w.key.name
        ));
    }
    let patch = |(front, now): (&Front, &Arc<Service>)| {
        let mark = front.attempt.as_deref().map_or(Value::Null, Value::from);
        let mut patch = Patch::new().test("/spec/selector", serde_json::json!(front.selector));
        if now.annotated {
            patch = patch.test(&annotation(ATTEMPT), mark);
        }
        let patch =
            patch.replace(&selector(label), to.as_str()).annotate(now.annotated, &[(ATTEMPT, &attempt.0)]);
        request(w.key.clone(), &front.name, patch, true)
    };
    Ok(decided.iter().zip(seen.fronts).map(patch).collect())
}

/// All users to the Deployment's own pods.
pub(crate) fn hand_back(seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
    let own = &seen.facts.labels;
    let patch = |service: &Arc<Service>| {
        let other = service.selector.iter().filter(|(key, value)| own.get(*key) != Some(*value));
        let patch = other.fold(Patch::new(), |patch, (key, _)| {
            patch.replace(&selector(key), own.get(key).map_or("", String::as_str))
        });
        let patch = patch.annotate(service.annotated, &[(ATTEMPT, &attempt.0)]);
        request(seen.workload.key.clone(), &service.name, patch, false)
    };
    Ok(seen.fronts.iter().map(patch).collect())
}

fn request(key: Key, name: &str, patch: Patch, marked: bool) -> Request {
    Request { key: Key { name: name.to_owned(), ..key }, what: What::Patch(Part::Service, patch), marked }
}

fn selector(label: &str) -> String {
    format!("/spec/selector/{}", escaped(label))
}

impl Cluster {
    /// As [`Cluster::void`], for a switch of a Deployment's users: the Services carry its mark.
    ///
    /// # Errors
    /// As for [`Cluster::void`].
    pub async fn void_switch(&self, key: &Key, attempt: &AttemptId) -> Result<Voided, Error> {
        let entry = self.fresh_entry(key).await?;
        let landed = |front: &Front| front.attempt.as_deref() == Some(attempt.0.as_str());
        let fronts = &entry.workload.fronts;
        if !fronts.is_empty() && fronts.iter().all(landed) {
            return Ok(Voided::Landed);
        }
        let void = AttemptId(format!("void-{attempt}"));
        for (front, service) in fronts.iter().zip(&entry.fronts).filter(|(front, _)| !landed(front)) {
            let mut patch = Patch::new().annotate(service.annotated, &[(ATTEMPT, &void.0)]);
            if service.annotated {
                patch = patch.first_test(
                    &annotation(ATTEMPT),
                    front.attempt.as_deref().map_or(Value::Null, Value::from),
                );
            }
            let key = Key { name: front.name.clone(), ..key.clone() };
            match self.sender.patch(&key, Part::Service, Some(&void), patch).await {
                Ok(Outcome::Applied { .. }) | Err(Error::Gone(_)) => {}
                Ok(Outcome::Refused { why }) => return Err(Error::Refused { why }),
                Ok(Outcome::Unsure { why }) => return Err(Error::Unsure { why }),
                Err(other) => return Err(other),
            }
        }
        Ok(Voided::Void)
    }

    /// Why users of this Deployment are not to be switched to a second one, or (`weighed`) sent there by a weight, as things
    /// are around it.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn parted(&self, entry: &Entry, weighed: bool) -> Result<(), String> {
        if let Some(why) = self.inseparable(entry, weighed).await.map_err(|e| e.to_string())? {
            return Err(why);
        }
        if weighed {
            return Ok(());
        }
        // The way back is tried before anything changes: without the right to it nobody is to be switched.
        for request in hand_back(&entry.seen(), &AttemptId("rehearsal".into()))? {
            match self.sender.dry_run(request).await {
                Ok(Outcome::Applied { .. }) => {}
                Ok(Outcome::Refused { why } | Outcome::Unsure { why }) => return Err(why),
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }

    /// Why the Service for the preview cannot be made: somebody has one of that name, or the right to it is missing.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn may_preview(&self, entry: &Entry) -> Result<(), String> {
        let name = Twin::name_for(&entry.workload.key.name)?;
        // A UID of nobody: what would be kept of it would go at once.
        let Some(request) = preview(&entry.seen(), (&name, "rehearsal"), &AttemptId("rehearsal".into()))
        else {
            return Ok(());
        };
        match self.sender.dry_run(request).await {
            Ok(Outcome::Applied { .. }) => Ok(()),
            Ok(Outcome::Refused { why } | Outcome::Unsure { why }) => Err(why),
            Err(e) => Err(e.to_string()),
        }
    }

    /// What stands around this Deployment and keeps its users from being switched to a second one, in words. Known when a plan
    /// is written, and asked again before anything changes.
    ///
    /// # Errors
    /// When the cluster does not tell.
    pub async fn keeps_from_switching(&self, key: &Key) -> Result<Option<String>, Error> {
        let entry = self.entry(key).await?;
        self.inseparable(&entry, false).await
    }

    async fn inseparable(&self, entry: &Entry, weighed: bool) -> Result<Option<String>, Error> {
        let w = &entry.workload;
        let name = &w.key.name;
        let label = match w.parting_label() {
            Ok(label) => label,
            Err(why) => return Ok(Some(why)),
        };
        if w.any_switched() {
            return Ok(Some(format!(
                "A Service in front of {name} selects {label}={name}{}, which no pod of its own carries. Put its selector \
                 right first.",
                Twin::SUFFIX
            )));
        }
        let workloads = self.view.workloads();
        let others = workloads.iter().filter(|o| o.key != w.key && o.key.namespace == w.key.namespace);
        // By a weight the Services stay as they are.
        for other in others.filter(|_| !weighed) {
            if let Some(front) = other.fronts.iter().find(|f| w.fronts.iter().any(|own| own.name == f.name)) {
                return Ok(Some(format!(
                    "Service {} selects pods of {} as well: a switch would take its users along. Write `rolling`.",
                    front.name, other.key.name
                )));
            }
        }
        let policies = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies", w.key.namespace);
        let scalers = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", w.key.namespace);
        let (policies, scalers) = tokio::join!(
            self.sender.read(&policies, "list NetworkPolicies", None),
            self.sender.read(&scalers, "list HorizontalPodAutoscalers", None)
        );
        let (policies, scalers) = (policies?, scalers?);
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        if let Some(policy) = items(&policies).iter().find(|p| selects_by(p, label, &entry.facts.labels)) {
            return Ok(Some(format!(
                "NetworkPolicy {} goes by the label {label}, by which the second Deployment is told apart: its pods would \
                 be let through otherwise than those of {name}. Select by another label there, or write `rolling`.",
                policy["metadata"]["name"].as_str().unwrap_or_default()
            )));
        }
        let scales = |s: &&Value| {
            let target = &s["spec"]["scaleTargetRef"];
            target["kind"] == "Deployment" && target["name"] == name.as_str()
        };
        // It stays the user's: to bound it, or to make a like one for the second Deployment, would be to size their workload.
        let scaler = items(&scalers).into_iter().find(|s| !weighed && scales(&s));
        Ok(scaler.map(|scaler| {
            format!(
                "HorizontalPodAutoscaler {} counts the load of {name} alone: once its users are on the second Deployment it \
                 would take away the pods that they go back to, and give the second one none. Take it off for the release, \
                 or write `canary` or `rolling`.",
                scaler["metadata"]["name"].as_str().unwrap_or_default()
            )
        }))
    }
}

/// A NetworkPolicy that tells pods with this value of a label from pods with another, as itself or as a peer.
fn selects_by(policy: &Value, label: &str, labels: &BTreeMap<String, String>) -> bool {
    match policy {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let names = match key.as_str() {
                "matchLabels" => {
                    value.get(label).and_then(Value::as_str) == labels.get(label).map(String::as_str)
                }
                "matchExpressions" => value.as_array().into_iter().flatten().any(|e| e["key"] == label),
                _ => false,
            };
            // What the policy itself is called or labelled selects nothing.
            names || key != "metadata" && selects_by(value, label, labels)
        }),
        Value::Array(all) => all.iter().any(|value| selects_by(value, label, labels)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
