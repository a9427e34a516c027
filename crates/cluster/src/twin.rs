//! The second Deployment, one of ours beside a user's own. Pure.
//!
//! It has the same spec with the new images, a name and a label of its own, and the user's Deployment as its owner, so
//! that it is deleted with it. Its pods carry all labels of the user's pods: whatever selects those (a Service, a
//! NetworkPolicy, a PodDisruptionBudget) selects these, too. Only for a blue-green release, and where an Ingress or
//! an HTTPRoute splits users by weight ([`crate::splitter`]), one label has another value, by which Services tell them apart
//! ([`crate::front`]). The two controllers do not touch each other's pods, since each has only those that its own ReplicaSets
//! own.
//!
//! The user's Deployment keeps its pods and its template until the version is proven. Only what carries our label and
//! its name is ever deleted.

use crate::driver::{Driver, Incoming, Request, Requests, Seen, What, mark};
use crate::observe::{ATTEMPT, Facts, HTTP_ROUTE, INGRESS, MIRROR, RELEASE, TWIN};
use crate::patch::{Patch, annotation};
use crate::rollout::{images, with_images};
use crate::send::Part;
use crate::{deployment, front, httproute, mirror, splitter};
use chrono::{DateTime, Utc};
use model::AttemptId;
use model::plan::Plan;
use model::release::KnownGood;
use model::rollback::Call;
use model::workload::{Front, Key, Kind, Split, Strategy, Twin, Workload};
use serde_json::{Value, json};

/// Drives a Deployment by a second one beside it.
#[derive(Debug)]
pub(crate) struct Beside;

impl Driver for Beside {
    fn name(&self) -> &'static str {
        "a Deployment"
    }

    /// First the marks on the user's Deployment, as long as its template is the way back, and on the HTTPRoute that is to
    /// carry weights; then the second one.
    fn deploy(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        let (w, facts) = (seen.workload, seen.facts);
        if w.spec_paused {
            return Err(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
        }
        let key = Key { kind: Kind::Deployment, name: Twin::name_for(&w.key.name)?, ..w.key.clone() };
        let object = seen.object.ok_or("The Deployment was not read.")?;
        // For its refusals: a container that is not there, nothing new.
        images(Patch::new(), w, new.plan, new.good)?;
        let apart = parts(w, new.plan).then(|| w.parting_label()).transpose()?;
        if apart.is_some() && w.recreates && new.plan.shadow().is_none() {
            return Err(format!(
                "{} stops all its pods before new ones start. Let it roll first.",
                w.key.name
            ));
        }
        let mut twin = made(object, &key.name, attempt, new, apart)?;
        let note = Patch::new().test("/spec/template", new.good.template.clone());
        let mut all = vec![Request::marked(&w.key, mark(note, facts, attempt, new)?)];
        if new.plan.shadow().is_some() {
            twin["metadata"]["annotations"][HTTP_ROUTE] = w.copies()?.route.as_str().into();
            twin["metadata"]["annotations"][MIRROR] = "true".into();
            all.push(mirror::marked(seen, attempt)?);
        }
        if let (Strategy::Canary, Ok(splitter)) = (new.plan.drives(), w.weighed()) {
            let note = match splitter.by {
                Split::Ingress(_) => INGRESS,
                Split::HttpRoute(_) => HTTP_ROUTE,
            };
            twin["metadata"]["annotations"][note] = splitter.by.name().into();
            all.extend(httproute::weights::marked(seen, attempt));
        }
        all.push(Request { key, what: What::Create(Part::Main, twin), marked: true });
        Ok(all)
    }

    fn pause(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        deployment::Rolling.pause(seen, attempt)
    }

    fn unpause(&self, seen: &Seen<'_>, attempt: Option<&AttemptId>) -> Requests {
        deployment::Rolling.unpause(seen, attempt)
    }

    fn revert(&self, seen: &Seen<'_>, attempt: &AttemptId, good: &KnownGood, window: bool) -> Requests {
        deployment::Rolling.revert(seen, attempt, good, window)
    }

    /// First the mark on the user's Deployment, as for everything else: only there is it seen that a call comes late,
    /// since the canary Deployment of the next release has the same name.
    fn scale(&self, seen: &Seen<'_>, attempt: &AttemptId, from: i32, to: i32) -> Requests {
        let twin = seen.twin.ok_or("The second Deployment is gone.")?;
        let note = Patch::new().annotate(seen.facts.annotated, &[(ATTEMPT, &attempt.0)]);
        let mark = twin.workload.attempt.as_deref().map_or(Value::Null, Value::from);
        let patch = ours(twin).test(&annotation(ATTEMPT), mark).test("/spec/replicas", from);
        let patch = patch.replace("/spec/replicas", to);
        let patch = patch.annotate(twin.annotated, &[(ATTEMPT, &attempt.0)]);
        let mut all = vec![Request::marked(&seen.workload.key, note)];
        let w = seen.workload;
        if w.by_copies() {
            // Long before the filter that names it: a Gateway must know it by then.
            let owner = (twin.workload.key.name.as_str(), twin.workload.uid.as_str());
            all.push(mirror::service(seen, owner, attempt)?);
        } else if w.twin.as_ref().is_some_and(|t| t.split.is_some()) {
            all.extend(splitter::made(seen, twin, attempt)?);
        } else if w.stands_apart() {
            let owner = (twin.workload.key.name.as_str(), twin.workload.uid.as_str());
            all.extend(front::preview(seen, owner, attempt));
        }
        all.push(Request::marked(&twin.workload.key, patch));
        Ok(all)
    }

    fn switch(&self, seen: &Seen<'_>, attempt: &AttemptId, hash: &str, decided: &[Front]) -> Requests {
        if seen.workload.twin.as_ref().is_none_or(|twin| twin.hash.as_deref() != Some(hash)) {
            return Err("The second Deployment no longer runs the version that was to be switched to.".into());
        }
        front::switch(seen, attempt, decided)
    }

    fn hand_back(&self, seen: &Seen<'_>, attempt: &AttemptId) -> Requests {
        deployment::Rolling.hand_back(seen, attempt)
    }

    fn take_over(&self, seen: &Seen<'_>, attempt: &AttemptId, new: &Incoming<'_>) -> Requests {
        deployment::Rolling.deploy(seen, attempt, new)
    }

    /// First out of the user's HTTPRoute: its Service goes with it, and whoever were still sent there would get a 500. Scaled
    /// before it is deleted: its pods leave at once, however long the deletion takes to reach them.
    fn retire(&self, seen: &Seen<'_>) -> Requests {
        let mut all = httproute::weights::clean(seen);
        let Some(twin) = seen.twin else {
            return Ok(all);
        };
        let key = &twin.workload.key;
        let nothing = ours(twin).add("/spec/replicas", 0);
        let delete = What::Delete(twin.workload.uid.clone());
        all.push(Request::unmarked(key, nothing));
        all.push(Request { key: key.clone(), what: delete, marked: false });
        Ok(all)
    }

    fn restore(&self, _: &Seen<'_>, _: &AttemptId, _: &KnownGood) -> Requests {
        Ok(Vec::new())
    }

    fn restart(&self, seen: &Seen<'_>, attempt: &AttemptId, at: DateTime<Utc>) -> Requests {
        deployment::Rolling.restart(seen, attempt, at)
    }

    fn ways_back(&self) -> &'static [Call] {
        deployment::Rolling.ways_back()
    }
}

/// By this plan Services, or what splits its users by weight, are to tell the second Deployment's pods from the workload's own.
pub(crate) fn parts(w: &Workload, plan: &Plan) -> bool {
    match plan.drives() {
        Strategy::BlueGreen => true,
        Strategy::Canary => w.weighed().is_ok(),
        Strategy::Rolling => plan.shadow().is_some(),
    }
}

/// Holds only on what Tidegate made, and not on the one of another release, which has the same name.
fn ours(twin: &Facts) -> Patch {
    let label = annotation(TWIN).replace("/metadata/annotations/", "/metadata/labels/");
    Patch::new()
        .test("/metadata/uid", twin.workload.uid.as_str())
        .test(&label, twin.workload.key.name.as_str())
}

/// The second Deployment, without pods yet: a request that comes late, after the release has turned back, brings
/// nobody to the new version. Its pods come with the patch that scales it.
///
/// `apart`: the label by which Services are to tell its pods from the user's own.
///
/// # Errors
/// In words, when it cannot have that label.
pub(crate) fn made(
    own: &Value,
    name: &str,
    attempt: &AttemptId,
    new: &Incoming<'_>,
    apart: Option<&str>,
) -> Result<Value, String> {
    let mut template = with_images(&new.good.template, &new.plan.spec.change.images);
    template["metadata"]["labels"][TWIN] = name.into();
    let mut selector = own["spec"]["selector"].clone();
    selector["matchLabels"][TWIN] = name.into();
    if let Some(label) = apart {
        let expressions = selector["matchExpressions"].as_array();
        if expressions.into_iter().flatten().any(|e| e["key"] == label) {
            return Err(format!(
                "{} selects its pods by an expression over the label {label}, by which Services would tell the second \
                 Deployment apart. Write `rolling`.",
                own["metadata"]["name"].as_str().unwrap_or_default()
            ));
        }
        template["metadata"]["labels"][label] = name.into();
        if !selector["matchLabels"][label].is_null() {
            selector["matchLabels"][label] = name.into();
        }
    }
    let mut spec = json!({"replicas": 0, "selector": selector, "template": template});
    for field in ["strategy", "minReadySeconds", "progressDeadlineSeconds"] {
        if !own["spec"][field].is_null() {
            spec[field] = own["spec"][field].clone();
        }
    }
    Ok(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        // None of its owner's own labels: by them it would be taken for something that a tool has to prune.
        "metadata": {
            "name": name,
            "namespace": own["metadata"]["namespace"],
            "labels": {TWIN: name},
            "annotations": {ATTEMPT: attempt.0, RELEASE: new.release.to_string()},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "controller": true,
                "name": own["metadata"]["name"], "uid": own["metadata"]["uid"],
            }],
        },
        "spec": spec,
    }))
}

#[cfg(test)]
mod tests;
