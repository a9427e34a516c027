//! The Ingress in front of a Deployment, and the canary Ingress of ours beside it, that sends exactly so many percent of its
//! requests to a second Deployment.
//!
//! The user's Ingress and Service are never changed. Ours have the second Deployment's name and are owned by it: they go when
//! it goes. The canary Ingress is made at 0 %, so that it may come late; a weight is taken only by one that still carries the
//! mark under which it was decided on; and to go to 0 % has no condition, as an abort has none.
//!
//! Source: the canary annotations of ingress-nginx. It takes one canary for each host and path, and of it only the weight:
//! whatever else the user's Ingress is annotated with holds for both. A user with its session cookie stays where the cookie
//! says, also at 0 %: with `affinity` there would be no way back.

use crate::driver::{Request, Requests, Seen, What};
use crate::front::Service;
use crate::observe::{ATTEMPT, TWIN};
use crate::patch::{Patch, annotation};
use crate::send::Part;
use crate::{raw, splitter};
use model::AttemptId;
use model::workload::{Front, Key, Split, Splitter, Twin, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

const CLASS: &str = "nginx";
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
/// Of how many a weight is; 100 where it does not stand. Ours has none.
const AFFINITY: &str = "nginx.ingress.kubernetes.io/affinity";
/// The older way to say a class.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";

/// What is kept of an Ingress.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ingress {
    pub namespace: String,
    pub name: String,
    class: Option<String>,
    /// `spec.ingressClassName` says the class, not the older annotation.
    named_class: bool,
    canary: bool,
    weight: Option<u8>,
    affinity: bool,
    /// Its label [`TWIN`] and its owner's UID.
    ours: Option<(String, String)>,
    attempt: Option<String>,
    paths: Vec<Path>,
}

/// Where requests for a host and a path go.
#[derive(Clone, Debug, PartialEq)]
struct Path {
    host: String,
    path: String,
    kind: String,
    service: String,
    /// `{"number": 80}` or `{"name": "http"}`.
    port: Value,
    /// Not a rule's, but where everything else goes.
    fallback: bool,
}

impl From<raw::Ingress> for Ingress {
    fn from(i: raw::Ingress) -> Self {
        let says = |key: &str| i.metadata.annotation(key).map(str::to_owned);
        let named = Some(i.spec.ingress_class_name).filter(|class| !class.is_empty());
        let path = |host: &str, p: raw::IngressPath| Path {
            host: host.to_owned(),
            path: p.path,
            kind: p.path_type,
            service: p.backend.service.name,
            port: p.backend.service.port,
            fallback: false,
        };
        let mut paths: Vec<_> = i
            .spec
            .rules
            .into_iter()
            .flat_map(|rule| rule.http.paths.into_iter().map(move |p| (rule.host.clone(), p)))
            .map(|(host, p)| path(&host, p))
            .collect();
        if let Some(backend) = i.spec.default_backend {
            let (service, port) = (backend.service.name, backend.service.port);
            let (host, path, kind) = Default::default();
            paths.push(Path { host, path, kind, service, port, fallback: true });
        }
        let owner = i.metadata.owner_references.iter().find(|owner| owner.kind == "Deployment");
        let label = i.metadata.labels.get(TWIN).filter(|name| **name == i.metadata.name);
        Self {
            named_class: named.is_some(),
            class: named.or_else(|| says(OLD_CLASS)),
            canary: says(CANARY).as_deref() == Some("true"),
            weight: says(WEIGHT).and_then(|weight| weight.parse().ok()).map(|weight: u8| weight.min(100)),
            affinity: says(AFFINITY).is_some(),
            ours: label.zip(owner).map(|(name, owner)| (name.clone(), owner.uid.clone())),
            attempt: says(ATTEMPT),
            paths,
            namespace: i.metadata.namespace,
            name: i.metadata.name,
        }
    }
}

impl Ingress {
    fn leads<'a>(&'a self, fronts: &'a [Front]) -> impl Iterator<Item = &'a Path> {
        self.paths.iter().filter(|path| fronts.iter().any(|front| front.name == path.service))
    }

    fn is_nginx(&self) -> bool {
        self.class.as_deref() == Some(CLASS)
    }
}

/// Through which Ingress a Deployment's users come, and what it sends past it; `fronts` and twin are known. With that Ingress.
pub(crate) fn splitter<'a>(
    w: &Workload,
    all: impl Iterator<Item = &'a Arc<Ingress>> + Clone,
) -> Option<(Splitter, Option<Arc<Ingress>>)> {
    let beside = Twin::name_for(&w.key.name).ok();
    let own = |i: &Ingress| i.ours.as_ref().is_some_and(|(name, _)| Some(name) == beside.as_ref());
    let ours = all.clone().find(|i| own(i));
    let leading: Vec<_> = all.clone().filter(|i| !i.canary && i.leads(&w.fronts).next().is_some()).collect();
    let noted = match w.twin.as_ref().and_then(|twin| twin.split.clone()) {
        Some(Split::Ingress(name)) => Some(name),
        Some(Split::HttpRoute(_)) | None => None,
    };
    // The one that a release has begun with stays the one that is meant.
    let first = leading.iter().find(|i| noted.as_ref() == Some(&i.name)).or_else(|| leading.first());
    let name = match (first, noted, ours) {
        (Some(first), ..) => first.name.clone(),
        (None, Some(noted), _) => noted,
        (None, None, Some(ours)) => ours.name.clone(),
        (None, None, None) => return None,
    };
    let others = || all.clone().filter(|i| !own(i)).map(|i| &**i);
    let taken = others().any(|i| Some(&i.name) == beside.as_ref());
    let unfit = match first {
        None => Some(format!("Ingress {name} leads to {} no more.", w.key.name)),
        Some(_) if taken => Some(format!(
            "An Ingress {} is there already, and not Tidegate's.",
            beside.as_deref().unwrap_or_default()
        )),
        Some(first) => why_unfit(first, &leading, &w.fronts, others().filter(|i| i.canary), &w.key.name),
    };
    let weight = ours.map(|ours| ours.weight.unwrap_or(0));
    let attempt = ours.and_then(|ours| ours.attempt.clone());
    // The weight stands in our own: nobody keeps that in git.
    let splitter =
        Splitter { by: Split::Ingress(name), unfit, weight, attempt, severed: false, gitops: None };
    Some((splitter, first.map(|first| Arc::clone(first))))
}

/// What keeps it from splitting users by weight, in words.
fn why_unfit<'a>(
    ingress: &Ingress,
    leading: &[&Arc<Ingress>],
    fronts: &[Front],
    mut canaries: impl Iterator<Item = &'a Ingress>,
    workload: &str,
) -> Option<String> {
    let name = &ingress.name;
    if leading.len() > 1 {
        let all: Vec<_> = leading.iter().map(|i| i.name.as_str()).collect();
        return Some(format!(
            "The Ingresses {} lead to {workload}: one weight cannot be set in all.",
            all.join(", ")
        ));
    }
    if !ingress.is_nginx() {
        let class =
            ingress.class.as_deref().map_or_else(|| "no class".to_owned(), |class| format!("class {class}"));
        return Some(format!("Ingress {name} is of {class}, not of class {CLASS}: it splits no users."));
    }
    let mut paths = ingress.leads(fronts);
    let path = match (paths.next(), paths.next()) {
        (Some(path), None) if !path.fallback => path,
        (Some(_), None) => {
            return Some(format!(
                "Ingress {name} leads to {workload} by its default backend, which takes no weight."
            ));
        }
        _ => {
            return Some(format!(
                "Ingress {name} leads to {workload} by several paths. Split it into one Ingress for each."
            ));
        }
    };
    if ingress.affinity {
        return Some(format!(
            "Ingress {name} keeps users where their cookie says (affinity), also when the weight is 0 %: they could not be \
             taken back."
        ));
    }
    let same = |other: &&Ingress| other.paths.iter().any(|p| p.host == path.host && p.path == path.path);
    let other = canaries.find(same)?;
    Some(format!(
        "Ingress {} is a canary for the same host and path already, and there can be one.",
        other.name
    ))
}

/// The canary Service and the canary Ingress, at 0 %, of the second Deployment.
///
/// # Errors
/// In words, when there is nothing to make them like.
pub(crate) fn made(
    w: &Workload,
    ingress: Option<&Ingress>,
    services: &[Arc<Service>],
    owner: (&str, &str),
    attempt: &AttemptId,
) -> Requests {
    w.weighed()?;
    let leads = ingress.and_then(|ingress| Some((ingress, ingress.leads(&w.fronts).next()?)));
    let (ingress, path) = leads.ok_or("The Ingress in front of it was not read.")?;
    let service = services.iter().find(|service| service.name == path.service);
    let service = service.ok_or("The Service in front of it was not read.")?;
    let (name, uid) = owner;
    let metadata = |more: &[(&str, &str)]| {
        let mut annotations = json!({ATTEMPT: attempt.0});
        for (key, value) in more {
            annotations[key] = (*value).into();
        }
        json!({"name": name, "namespace": w.key.namespace, "labels": {TWIN: name}, "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid}]})
    };
    let mut said = vec![(CANARY, "true"), (WEIGHT, "0")];
    if !ingress.named_class {
        said.push((OLD_CLASS, CLASS));
    }
    let mut rule = json!({"http": {"paths": [{"path": path.path, "pathType": path.kind,
        "backend": {"service": {"name": name, "port": path.port}}}]}});
    if path.path.is_empty() {
        rule["http"]["paths"][0]["path"] = Value::Null;
    }
    if !path.host.is_empty() {
        rule["host"] = path.host.as_str().into();
    }
    let mut before = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata(&said),
        "spec": {"rules": [rule]}});
    if ingress.named_class {
        before["spec"]["ingressClassName"] = CLASS.into();
    }
    let key = Key { name: name.to_owned(), ..w.key.clone() };
    let create = Request { key, what: What::Create(Part::Ingress, before), marked: true };
    // The Service first: an Ingress without one would send users to nothing.
    Ok(vec![splitter::behind(w, service, owner, attempt), create])
}

/// Another weight, as long as the canary Ingress is as it was when that was `decided`.
pub(crate) fn weigh(
    seen: &Seen<'_>,
    attempt: &AttemptId,
    decided: Option<&str>,
    from: u8,
    to: u8,
) -> Requests {
    let twin = seen.twin.ok_or("The second Deployment is gone.")?;
    let patch = Patch::new()
        .test("/metadata/ownerReferences/0/uid", twin.workload.uid.as_str())
        .test(&annotation(ATTEMPT), decided.map_or(Value::Null, Value::from))
        .test(&annotation(WEIGHT), from.to_string())
        .replace(&annotation(WEIGHT), to.to_string())
        .add(&annotation(ATTEMPT), attempt.0.as_str());
    Ok(vec![request(&twin.workload.key, patch, true)])
}

/// Nobody to the second Deployment any more.
pub(crate) fn hand_back(seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
    let w = seen.workload;
    let ours = |name| Key { name, ..w.key.clone() };
    Twin::name_for(&w.key.name).map(|name| vec![to_nothing(&ours(name), attempt)])
}

/// The canary Ingress of this name to 0 %, without a condition. A weight that is still on its way finds another mark.
pub(crate) fn to_nothing(ours: &Key, attempt: &AttemptId) -> Request {
    let patch = Patch::new().add(&annotation(WEIGHT), "0").add(&annotation(ATTEMPT), attempt.0.as_str());
    request(ours, patch, false)
}

fn request(key: &Key, patch: Patch, marked: bool) -> Request {
    Request { key: key.clone(), what: What::Patch(Part::Ingress, patch), marked }
}

#[cfg(test)]
mod tests;
