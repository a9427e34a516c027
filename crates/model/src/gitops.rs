//! Workloads that Argo CD keeps as git says: which application they belong to, and whether its automatic sync would write
//! over what Tidegate does.
//!
//! Sources: Argo CD's documents on resource tracking and on automated sync.

use crate::ids::{PlanId, ReleaseId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// On an object: the application that tracks it, and which object is meant.
pub const TRACKING: &str = "argocd.argoproj.io/tracking-id";
/// On an object, where Argo CD was told to track by this label.
pub const INSTANCE: &str = "argocd.argoproj.io/instance";
/// On an application: that Tidegate has suspended its automatic sync, when, for whom, and what it was before.
pub const SUSPENDED: &str = "tidegate.dev/sync-suspended";
/// On a namespace: `suspend` allows Tidegate to suspend the sync of applications whose workloads stand there.
pub const ALLOWED: &str = "tidegate.dev/argocd-sync";

/// An Argo CD application, as an object names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct App {
    /// `None`: the namespace of Argo CD itself, which the object does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
}

impl App {
    /// From an object's tracking id, `app:group/Kind:namespace/name`, where the application may be written
    /// `namespace_app`. An id that means another object was copied along with a manifest and says nothing of this one.
    pub fn tracked(id: &str, kind: &str, namespace: &str, name: &str) -> Option<Self> {
        let (app, object) = id.split_once(':')?;
        let (group_kind, place) = object.rsplit_once(':')?;
        let meant = (group_kind.rsplit('/').next()?, place.split_once('/')?);
        (meant == (kind, (namespace, name))).then(|| Self::named(app))?
    }

    /// From a tracking label's value.
    pub fn named(text: &str) -> Option<Self> {
        // Neither part can hold an underscore: both are names of Kubernetes objects.
        let (namespace, name) = match text.split_once('_') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, text),
        };
        (!name.is_empty()).then(|| Self { namespace, name: name.to_owned() })
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// That Tidegate has suspended an automatic sync. Kept on the application itself, so that it is there exactly as long as
/// it holds, whatever becomes of our database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspension {
    pub at: DateTime<Utc>,
    /// Whose press or release it was for.
    pub by: String,
    pub plan: Option<PlanId>,
    pub release: Option<ReleaseId>,
    /// `spec.syncPolicy.automated` as it was.
    pub before: Value,
}

/// An application as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sync {
    /// With its namespace.
    pub app: App,
    /// It syncs by itself when git changes.
    pub automated: bool,
    /// It also puts back what is changed in the cluster, within seconds.
    pub self_heal: bool,
    /// An ApplicationSet writes it: what is changed in it does not stay.
    pub generated: bool,
    /// Git and the cluster agree; `None` while Argo CD does not say.
    pub agrees: Option<bool>,
    /// The commit that was compared.
    pub revision: Option<String>,
    pub suspended: Option<Suspension>,
    /// The workload's namespace allows Tidegate to suspend it.
    pub allowed: bool,
}

impl Sync {
    /// What it would do to a release or a rollback, and what helps; `None` where it would leave both alone.
    pub fn threat(&self) -> Option<String> {
        if !self.automated {
            return None;
        }
        let app = &self.app;
        let does = if self.self_heal {
            "self-heal is on, so what a release or a rollback changes is put back within seconds"
        } else {
            "its next sync puts back what git says"
        };
        let helps = match self.obstacle() {
            None => "Tidegate suspends its sync when one begins.".to_owned(),
            Some(why) => why,
        };
        Some(format!("Argo CD's application {app} owns this workload: {does}. {helps}"))
    }

    /// What a rollback leaves to whoever keeps git, in one sentence or two.
    pub fn after_rollback(&self) -> String {
        let app = &self.app;
        if !self.automated {
            return format!(
                "Git still asks for the version that is left: revert it there before Argo CD's application {app} syncs \
                 again."
            );
        }
        match self.obstacle() {
            None => format!(
                "The automatic sync of Argo CD's application {app} is suspended with it, or git would bring the version \
                 that is left again. Revert it there, then put the sync back."
            ),
            Some(why) if self.self_heal => format!(
                "Argo CD's application {app} puts back what git says within seconds (self-heal): an abort holds, a \
                 promoted version comes again. {why}"
            ),
            Some(why) => format!("The next sync of Argo CD's application {app} brings what git says. {why}"),
        }
    }

    /// That its sync was suspended, for whom, and what putting it back would bring; `None` where it is not.
    pub fn reminder(&self) -> Option<String> {
        let s = self.suspended.as_ref()?;
        let (app, since, by) = (&self.app, s.at.format("%-d %b %H:%M"), &s.by);
        if self.automated {
            return Some(format!(
                "Argo CD's application {app} syncs by itself again: somebody has switched it on past Tidegate, which \
                 had suspended it on {since} UTC for {by}."
            ));
        }
        let commit =
            self.revision.as_deref().map(|r| format!(" ({})", r.get(..7).unwrap_or(r))).unwrap_or_default();
        let then = match self.agrees {
            Some(true) => format!("Git and the cluster agree{commit}: putting it back changes nothing now."),
            Some(false) => {
                format!(
                    "Git and the cluster differ{commit}: putting it back brings what git says, past every gate."
                )
            }
            None => "Argo CD does not say whether git and the cluster agree.".to_owned(),
        };
        Some(format!(
            "Argo CD's application {app} does not sync by itself: suspended on {since} UTC for {by}. {then}"
        ))
    }

    /// Why Tidegate cannot suspend it, and what to do instead.
    pub fn obstacle(&self) -> Option<String> {
        if self.generated {
            let words = "An ApplicationSet writes it, so a suspension would not stay: suspend it there, or change git first.";
            return Some(words.to_owned());
        }
        (!self.allowed).then(|| {
            format!(
                "Suspend its sync first, or annotate the namespace `{ALLOWED}: suspend` to have Tidegate do it."
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_tracked_by_the_application_that_means_it_and_by_no_copy() {
        let of = |id: &str| App::tracked(id, "Rollout", "shop", "checkout").map(|app| app.to_string());
        assert_eq!(of("checkout:argoproj.io/Rollout:shop/checkout").as_deref(), Some("checkout"));
        assert_eq!(
            of("team-a_checkout:argoproj.io/Rollout:shop/checkout").as_deref(),
            Some("team-a/checkout")
        );
        assert_eq!(of("checkout:argoproj.io/Rollout:shop/payments"), None, "copied with a manifest");
        assert_eq!(of("checkout:apps/Deployment:shop/checkout"), None);
        assert_eq!(of("checkout"), None);
        assert_eq!(of(":argoproj.io/Rollout:shop/checkout"), None);
    }

    fn sync() -> Sync {
        Sync {
            app: App { namespace: Some("argocd".into()), name: "checkout".into() },
            automated: true,
            self_heal: true,
            generated: false,
            agrees: Some(true),
            revision: None,
            suspended: None,
            allowed: false,
        }
    }

    #[test]
    fn what_it_would_do_is_told_with_what_helps() {
        let words = sync().threat().unwrap();
        assert!(
            words.contains("put back within seconds") && words.contains("annotate the namespace"),
            "{words}"
        );
        let allowed = Sync { allowed: true, ..sync() };
        assert!(allowed.threat().unwrap().ends_with("Tidegate suspends its sync when one begins."));
        let generated = Sync { generated: true, ..allowed.clone() };
        assert!(generated.threat().unwrap().contains("An ApplicationSet writes it"));
        let patient = Sync { self_heal: false, ..sync() };
        assert!(patient.threat().unwrap().contains("its next sync"));
        assert_eq!(Sync { automated: false, ..sync() }.threat(), None);
    }

    #[test]
    fn a_suspension_is_told_with_what_putting_it_back_would_bring() {
        assert_eq!(sync().reminder(), None);
        let at = "2026-11-21T03:04:00Z".parse().unwrap();
        let suspended = Suspension { at, by: "Maya".into(), plan: None, release: None, before: Value::Null };
        let off = Sync {
            automated: false,
            suspended: Some(suspended),
            revision: Some("0123456789".into()),
            ..sync()
        };
        let words = off.reminder().unwrap();
        assert!(words.contains("suspended on 21 Nov 03:04 UTC for Maya."), "{words}");
        assert!(
            words.ends_with("Git and the cluster agree (0123456): putting it back changes nothing now."),
            "{words}"
        );
        let differs = Sync { agrees: Some(false), ..off.clone() };
        assert!(differs.reminder().unwrap().contains("brings what git says, past every gate"));
        let on = Sync { automated: true, ..off.clone() };
        assert!(on.reminder().unwrap().contains("switched it on past Tidegate"));
        assert!(off.after_rollback().starts_with("Git still asks"));
        assert!(sync().after_rollback().contains("within seconds (self-heal)"));
        assert!(Sync { allowed: true, ..sync() }.after_rollback().contains("is suspended with it"));
    }
}
