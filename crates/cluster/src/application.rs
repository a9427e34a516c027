//! Argo CD applications: read, suspended and resumed by their own `spec.syncPolicy.automated`.
//!
//! Source: Argo CD's document on automated sync. `enabled: false` keeps `prune` and `selfHeal` as they are and is what
//! Argo CD's own page sets; versions before 3.1 do not know it, and there the whole field is taken away and put back.

use crate::Cluster;
use crate::error::Error;
use crate::patch::{Patch, annotation};
use crate::send::{Answer, MANAGER};
use http::Method;
use model::gitops::{ALLOWED, App, SUSPENDED, Suspension, Sync};
use model::workload::Key;
use serde_json::Value;

const AUTOMATED: &str = "/spec/syncPolicy/automated";
const ENABLED: &str = "/spec/syncPolicy/automated/enabled";

/// An application with what its patches need.
#[derive(Clone, Debug)]
pub struct Application {
    pub sync: Sync,
    object: Value,
}

impl Cluster {
    /// The application that a workload belongs to, past the cache. `None` where it is not in this cluster.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unreachable`]; [`Error::Answer`] where several applications have this name and the
    /// workload does not say which it is.
    pub async fn application(&self, key: &Key, app: &App) -> Result<Option<Application>, Error> {
        let place = app.namespace.as_ref().map(|ns| format!("/namespaces/{ns}")).unwrap_or_default();
        let uri = format!(
            "/apis/argoproj.io/v1alpha1{place}/applications?fieldSelector=metadata.name%3D{}",
            app.name
        );
        let namespace_uri = format!("/api/v1/namespaces/{}", key.namespace);
        let (list, namespace) = tokio::join!(
            self.sender.call(Method::GET, &uri, None),
            self.sender.read(&namespace_uri, "read its namespace", None)
        );
        let mut found = match list {
            Answer::Ok(mut list) => match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            },
            // Argo CD is not installed here.
            Answer::No { code: 404, .. } => Vec::new(),
            answer => return Err(self.sender.error(answer, "read its Argo CD application")),
        };
        let allowed = namespace?["metadata"]["annotations"][ALLOWED] == "suspend";
        match (found.pop(), found.len()) {
            (Some(object), 0) => Ok(Some(Application { sync: read(&object, allowed), object })),
            (None, _) => Ok(None),
            (Some(_), _) => Err(Error::Answer {
                cluster: self.name().to_owned(),
                action: "a look for its Argo CD application".into(),
                code: 200,
                reason: format!(
                    "several applications named {}; the workload's tracking id says no namespace",
                    app.name
                ),
            }),
        }
    }

    /// Suspends the automatic sync, and writes on the application for whom and what it was before: both or neither.
    ///
    /// # Errors
    /// What kept it from being done, in words; nothing was changed then, unless the answer was lost.
    pub async fn suspend_sync(
        &self,
        application: &Application,
        suspension: &Suspension,
    ) -> Result<(), String> {
        let object = &application.object;
        let note = serde_json::to_string(suspension).map_err(|e| e.to_string())?;
        let patch = || {
            let annotated = object["metadata"]["annotations"].is_object();
            same(object).test(AUTOMATED, application.automated()).annotate(annotated, &[(SUSPENDED, &note)])
        };
        let app = &application.sync.app;
        match self.patch_application(app, patch().add(ENABLED, false)).await {
            Err((true, _)) => self.patch_application(app, patch().remove(AUTOMATED)).await,
            other => other,
        }
        .map_err(|(_, why)| why)
    }

    /// Puts the automatic sync back as it was before it was suspended. Where somebody has set it meanwhile, that stays.
    ///
    /// # Errors
    /// As [`Cluster::suspend_sync`].
    pub async fn resume_sync(&self, application: &Application) -> Result<(), String> {
        let object = &application.object;
        let Some(suspension) = &application.sync.suspended else {
            return Err(format!("{} was not suspended by Tidegate.", application.sync.app));
        };
        let path = annotation(SUSPENDED);
        let mut patch = same(object)
            .test(&path, object.pointer(&path).cloned().unwrap_or_default())
            .test(AUTOMATED, application.automated())
            .remove(&path);
        if !application.sync.automated {
            // The policy that holds the field may have been emptied.
            if !object["spec"]["syncPolicy"].is_object() {
                patch = patch.add("/spec/syncPolicy", serde_json::json!({}));
            }
            patch = patch.add(AUTOMATED, suspension.before.clone());
        }
        self.patch_application(&application.sync.app, patch).await.map_err(|(_, why)| why)
    }

    /// `true` in the error: this API server does not know the field.
    async fn patch_application(&self, app: &App, patch: Patch) -> Result<(), (bool, String)> {
        let uri = format!(
            "/apis/argoproj.io/v1alpha1/namespaces/{}/applications/{}?fieldManager={MANAGER}&fieldValidation=Strict",
            app.namespace.as_deref().unwrap_or("argocd"),
            app.name
        );
        let no = |why: String| Err((false, why));
        match self.sender.call(Method::PATCH, &uri, Some(&patch.value())).await {
            Answer::Ok(_) => Ok(()),
            Answer::No { reason, .. } if reason.contains(".enabled\"") => Err((true, reason)),
            Answer::No { code: 401 | 403, .. } => no(format!(
                "Tidegate may not change Argo CD's applications in cluster {}: see deploy/rbac.yaml.",
                self.name()
            )),
            Answer::No { code: 409 | 422, reason } => no(format!(
                "Application {app} changed in the meantime, or does not take it ({reason}). Look again."
            )),
            Answer::No { code, reason } => {
                no(format!("The cluster refused to change {app}: {reason} ({code})."))
            }
            Answer::Lost(why) => no(format!("The API server did not confirm the change of {app}: {why}.")),
            Answer::Unsent(why) => no(format!("The API server does not answer: {why}.")),
        }
    }
}

impl Application {
    /// `spec.syncPolicy.automated` as it is.
    pub fn automated(&self) -> Value {
        self.object.pointer(AUTOMATED).cloned().unwrap_or_default()
    }
}

/// The same application still.
fn same(object: &Value) -> Patch {
    Patch::new().test("/metadata/uid", object["metadata"]["uid"].clone())
}

fn read(object: &Value, allowed: bool) -> Sync {
    let (meta, automated) = (&object["metadata"], object.pointer(AUTOMATED).filter(|a| a.is_object()));
    let automated = automated.filter(|a| a["enabled"] != false);
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let owners = meta["ownerReferences"].as_array();
    let suspended = meta["annotations"][SUSPENDED].as_str();
    Sync {
        app: App { namespace: text(&meta["namespace"]), name: text(&meta["name"]).unwrap_or_default() },
        automated: automated.is_some(),
        self_heal: automated.is_some_and(|a| a["selfHeal"] == true),
        generated: owners.is_some_and(|all| all.iter().any(|o| o["kind"] == "ApplicationSet")),
        agrees: match object["status"]["sync"]["status"].as_str() {
            Some("Synced") => Some(true),
            Some("OutOfSync") => Some(false),
            _ => None,
        },
        revision: text(&object["status"]["sync"]["revision"]),
        suspended: suspended.and_then(|note| serde_json::from_str(note).ok()),
        allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_policy_says_whether_it_acts_by_itself() {
        let of = |automated: Value| {
            let sync = read(&json!({"spec": {"syncPolicy": {"automated": automated}}}), false);
            (sync.automated, sync.self_heal)
        };
        assert_eq!(of(Value::Null), (false, false));
        assert_eq!(of(json!({})), (true, false), "an empty policy is on");
        assert_eq!(of(json!({"selfHeal": true, "prune": true})), (true, true));
        assert_eq!(of(json!({"selfHeal": true, "enabled": true})), (true, true));
        assert_eq!(
            of(json!({"selfHeal": true, "enabled": false})),
            (false, false),
            "off, whatever else it says"
        );
    }
}
