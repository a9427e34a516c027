//! Releases: reading them, and every deed on one.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::release::State;
use model::view::{ReleasePage, ReleasesPage};
use serde::{Deserialize, Serialize};

/// A deed on a release that may need a reason. Rolling back has its own address: it is the shortest path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    Pause,
    Resume,
    Promote,
    PromoteFull,
    Skip,
    Abort,
    OpenGate,
    Retry,
}

/// Releases in a state, or those under way and lately ended.
#[server(prefix = "/read", endpoint = "releases", input = GetUrl)]
pub async fn releases(#[server(default)] state: Option<State>) -> Result<ReleasesPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.releases(&actor, state).await.or_fault()
}

/// One release with everything its page shows; `to` names another version to go back to than the recorded one.
#[server(prefix = "/read", endpoint = "release", input = GetUrl)]
pub async fn release(id: i64, #[server(default)] to: Option<String>) -> Result<ReleasePage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.release_to(&actor, model::ReleaseId(id), to.as_deref()).await.or_fault()
}

/// Starts a release of exactly the plan that was looked at.
#[server(prefix = "/do", endpoint = "start")]
pub async fn start(plan: i64, digest: String) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let id = control.start(&actor, model::PlanId(plan), Some(model::Digest(digest))).await.or_fault()?;
    door::go(&format!("/releases/{id}"));
    Ok(())
}

/// Pause, resume, promote, skip, abort, open the gate; start it again.
#[server(prefix = "/do", endpoint = "release")]
pub async fn act(release: i64, deed: Deed, #[server(default)] reason: Option<String>) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let id = model::ReleaseId(release);
    match deed {
        Deed::Pause => control.pause(&actor, id, reason).await,
        Deed::Resume => control.resume(&actor, id, reason).await,
        Deed::Promote => control.promote(&actor, id, reason).await,
        Deed::PromoteFull => control.promote_full(&actor, id, reason).await,
        Deed::Skip => control.skip(&actor, id, reason).await,
        Deed::Abort => control.abort(&actor, id, reason).await,
        Deed::OpenGate => control.open_gate(&actor, id, reason).await,
        Deed::Retry => {
            let new = control.retry(&actor, id, reason).await.or_fault()?;
            door::go(&format!("/releases/{new}"));
            return Ok(());
        }
    }
    .or_fault()?;
    door::go(&format!("/releases/{id}"));
    Ok(())
}

/// Back to the known-good version, now; or to the one whose hash is named.
#[server(prefix = "/do", endpoint = "rollback")]
pub async fn roll_back(
    release: i64,
    #[server(default)] to: Option<String>,
    #[server(default)] reason: Option<String>,
) -> Result<u64, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let receipt =
        control.roll_back_to(&actor, model::ReleaseId(release), to.as_deref(), reason).await.or_fault()?;
    door::go(&format!("/releases/{release}"));
    Ok(receipt.took_ms)
}
