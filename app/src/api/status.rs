//! The public page.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::StatusPage;

/// What users feel. For everyone.
#[server(prefix = "/read", endpoint = "status", input = GetUrl)]
pub async fn status() -> Result<StatusPage, Fault> {
    Ok(super::door::control()?.status())
}
