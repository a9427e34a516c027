//! `/`, and the frame around every page.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::{NowPage, Shell};

/// Who is signed in, and the counts beside the navigation.
#[server(name = ReadShell, prefix = "/read", endpoint = "shell", input = GetUrl)]
pub async fn shell() -> Result<Shell, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.shell(&actor).await.or_fault()
}

/// What moves, what waits, what is broken.
#[server(prefix = "/read", endpoint = "now", input = GetUrl)]
pub async fn now() -> Result<NowPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.now(&actor).await.or_fault()
}
