//! Workloads: the list, one of them, and the rollback that needs no release.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::{ComparePage, ServiceFilter, ServicePage, ServicesPage};
use model::workload::Kind;

/// One page of the list.
#[server(prefix = "/read", endpoint = "services", input = GetUrl)]
pub async fn services(#[server(default)] filter: ServiceFilter) -> Result<ServicesPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.services(&actor, filter).await.or_fault()
}

/// One workload with everything around it; `to` names another version to go back to than the usual one.
#[server(prefix = "/read", endpoint = "service", input = GetUrl)]
pub async fn service(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
    #[server(default)] to: Option<String>,
) -> Result<ServicePage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    control.service_to(&actor, &key, to.as_deref()).await.or_fault()
}

/// Its last releases beside each other.
#[server(prefix = "/read", endpoint = "compare", input = GetUrl)]
pub async fn compare(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
) -> Result<ComparePage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    control.compare_releases(&actor, &key).await.or_fault()
}

/// Puts back the automatic sync of the Argo CD application that a workload belongs to.
#[server(prefix = "/do", endpoint = "resume-sync")]
pub async fn resume_sync(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
    #[server(default)] reason: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    control.resume_sync(&actor, &key, reason).await.or_fault()?;
    door::go(&format!("/services/{key}"));
    Ok(())
}

/// The same version on other pods.
#[server(prefix = "/do", endpoint = "restart-workload")]
pub async fn restart(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
    #[server(default)] reason: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    control.restart(&actor, &key, reason).await.or_fault()?;
    door::go(&format!("/services/{key}"));
    Ok(())
}

/// Back to the known-good version of a workload, whether a release drives it or not.
#[server(prefix = "/do", endpoint = "rollback-workload")]
pub async fn roll_back_workload(
    cluster: String,
    namespace: String,
    kind: Kind,
    name: String,
    #[server(default)] to: Option<String>,
    #[server(default)] reason: Option<String>,
) -> Result<u64, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let key = model::workload::Key { cluster, namespace, kind, name };
    let receipt = control
        .roll_back_workload(&actor, &key, to.as_deref().filter(|t| !t.is_empty()), reason)
        .await
        .or_fault()?;
    door::go(&match receipt.release {
        Some(id) => format!("/releases/{id}"),
        None => format!("/services/{key}"),
    });
    Ok(receipt.took_ms)
}
