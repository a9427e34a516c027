//! The history.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::{AuditFilter, AuditPage};

/// One page of the chain; with `verify`, after reading the whole chain once more.
#[server(prefix = "/read", endpoint = "audit", input = GetUrl)]
pub async fn audit(
    #[server(default)] filter: AuditFilter,
    #[server(default)] verify: bool,
) -> Result<AuditPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let mut page = control.audit(&actor, filter).await.or_fault()?;
    if verify {
        page.verified = Some(control.verify_audit(&actor).await.or_fault()?);
    }
    Ok(page)
}
