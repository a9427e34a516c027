//! Rollback policies: reading and changing their files, and what people say of one that fired.

use crate::Fault;
use crate::draft::PolicyDraft;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::PoliciesPage;
use model::workload::Kind;

/// Longest address that a form without script is sent back with.
#[cfg(feature = "ssr")]
const LONGEST: usize = 12_000;

/// All policy files.
#[server(prefix = "/read", endpoint = "policies", input = GetUrl)]
pub async fn policies() -> Result<PoliciesPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.policies_page(&actor).await.or_fault()
}

/// A policy file while somebody writes it: `text` is what stands in the field, `put_back` an earlier content to begin with.
#[cfg(feature = "ssr")]
pub(crate) async fn draft(
    cluster: String,
    namespace: String,
    text: Option<String>,
    after: Option<i64>,
    put_back: Option<i64>,
) -> Result<PolicyDraft, Fault> {
    use super::door::{self, OrFault as _};
    use model::policy::from_yaml;
    let (control, actor) = door::enter()?;
    let page = control.policies_page(&actor).await.or_fault()?;
    let file = page.files.into_iter().find(|f| f.cluster == cluster && f.namespace == namespace);
    let change = match &file {
        Some(file) => file.change.clone(),
        None => control.may_begin_policies(&actor, &cluster, &namespace).or_fault()?,
    };
    let asked = text.is_some();
    let older = file.as_ref().and_then(|f| f.history.iter().find(|h| Some(h.id) == put_back));
    let begun = older.and_then(|h| h.text.clone()).or_else(|| file.as_ref().map(|f| f.text.clone()));
    let begun = begun.filter(|t| !t.trim().is_empty());
    let text = text.or(begun).unwrap_or_else(|| FIRST.to_owned()).replace("\r\n", "\n");
    let read = from_yaml(&text);
    let mut draft = PolicyDraft {
        after: after.or(file.as_ref().map(|f| f.id)),
        file,
        cluster,
        namespace,
        asked,
        now: page.age.now,
        change,
        text: String::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        policies: model::policy::Policies::new(),
        runs: Vec::new(),
    };
    match read {
        Ok(read) => {
            draft.warnings = read.warnings;
            draft.policies = read.policies;
            if asked {
                let place = (draft.cluster.clone(), draft.namespace.clone());
                draft.runs = control.try_policies(&actor, &text, DAYS, Some(place)).await.or_fault()?;
            }
        }
        Err(problem) if problem.fields.is_empty() => {
            draft.faults = vec![model::FieldError::new("", problem.detail)];
        }
        Err(problem) => draft.faults = problem.fields,
    }
    draft.text = text;
    Ok(draft)
}

/// How far back a policy is tried.
#[cfg(feature = "ssr")]
const DAYS: u16 = 14;

/// What a new file begins with.
#[cfg(feature = "ssr")]
const FIRST: &str = "\
# Any one of these fires.
rollback_triggers:
  error_rate_threshold: 0.05   # 5 % of requests fail
  response_time_p95_ms: 5000
  pod_restart_rate: 0.20       # a fifth of the pods, within 5 minutes

# All of these hold before it does.
rollback_conditions:
  min_observation_time: 1m
  max_rollback_time: 30m
  confirmation_samples: 3

# In this order; times count from the trigger.
rollback_actions:
  - type: pause_rollout
  - type: notify_oncall
    channels: [slack]
  - type: automatic_rollback
    delay: 5m
  - type: incident_creation
    severity: high
    auto_assign: true
";

/// Writes a policy file over the one that was looked at.
#[server(prefix = "/do", endpoint = "save-policies")]
pub async fn save_policies(
    cluster: String,
    namespace: String,
    text: String,
    #[server(default)] after: Option<i64>,
    #[server(default)] reason: Option<String>,
) -> Result<(), Fault> {
    use super::door;
    let (control, actor) = door::enter()?;
    let text = text.replace("\r\n", "\n");
    let change = control::PolicyChange { cluster, namespace, after, text, reason };
    match control.change_policies(&actor, change.clone()).await {
        Ok(()) => {
            door::go("/policies");
            Ok(())
        }
        Err(problem) => {
            // A browser without script gets its own words back, with what is wrong beside them.
            let wrong = matches!(problem.status, model::Status::Invalid | model::Status::Malformed);
            if door::is_plain_form() && wrong {
                let query: String = url_of(&change);
                if query.len() <= LONGEST {
                    door::go(&format!("/policies/edit?{query}"));
                    return Ok(());
                }
            }
            Err(door::refuse(problem))
        }
    }
}

#[cfg(feature = "ssr")]
fn url_of(change: &control::PolicyChange) -> String {
    let mut query = leptos_router::params::ParamsMap::new();
    query.insert("cluster", change.cluster.clone());
    query.insert("namespace", change.namespace.clone());
    query.insert("text", change.text.clone());
    if let Some(after) = change.after {
        query.insert("after", after.to_string());
    }
    query.to_query_string().trim_start_matches('?').to_owned()
}

/// Stops the rollback that a policy is about to make.
#[server(prefix = "/do", endpoint = "stop-policy")]
pub async fn stop_policy(release: i64, #[server(default)] reason: Option<String>) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.stop_policy(&actor, model::ReleaseId(release), reason).await.or_fault()?;
    door::go(&format!("/releases/{release}"));
    Ok(())
}

/// Stops the rollback that a policy is about to make of a service between releases.
#[server(prefix = "/do", endpoint = "stop-service-policy")]
pub async fn stop_service_policy(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
    #[server(default)] reason: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    control.stop_service_policy(&actor, &key, reason).await.or_fault()?;
    door::go(&format!("/services/{key}"));
    Ok(())
}

/// Somebody has looked at why a service keeps being rolled back.
#[server(prefix = "/do", endpoint = "lift-breaker")]
pub async fn lift_breaker(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
    #[server(default)] reason: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    control.lift_breaker(&actor, &key, reason).await.or_fault()?;
    door::go(&format!("/services/{key}"));
    Ok(())
}
