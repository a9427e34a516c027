//! Feature flags: reading them, the kill switch, and keys for services.

#![allow(clippy::too_many_arguments, reason = "the fields of a form are the arguments of a server function")]

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::{FlagAnswer, FlagKeyView, FlagOutcome, FlagPage, FlagQuestion, FlagReceipt, FlagsPage};
use serde::Deserialize;

/// All flags of all files.
#[server(prefix = "/read", endpoint = "flags", input = GetUrl)]
pub async fn flags() -> Result<FlagsPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.flags_page(&actor).await.or_fault()
}

/// One flag; and where somebody asks who would get it, what the answer is.
pub(crate) async fn flag(
    cluster: String,
    namespace: String,
    key: String,
    question: Option<FlagQuestion>,
) -> Result<(FlagPage, Option<Result<FlagAnswer, Fault>>), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let page = control.flag_page(&actor, &cluster, &namespace, &key).await.or_fault()?;
    let answer =
        question.map(|q| control.try_flag(&actor, &cluster, &namespace, &key, &q).map_err(Fault::from));
    Ok((page, answer))
}

/// Turns a flag off for everybody, until somebody revives it.
#[server(prefix = "/do", endpoint = "kill-flag")]
pub async fn kill_flag(
    cluster: String,
    namespace: String,
    key: String,
    #[server(default)] reason: Option<String>,
) -> Result<FlagReceipt, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let receipt = control.kill_flag(&actor, &cluster, &namespace, &key, reason).await.or_fault()?;
    door::go(&crate::pages::flags::path_of(&cluster, &namespace, &key));
    Ok(receipt)
}

/// Lets a killed flag be turned on again. It stays off.
#[server(prefix = "/do", endpoint = "revive-flag")]
pub async fn revive_flag(
    cluster: String,
    namespace: String,
    key: String,
    #[server(default)] reason: String,
) -> Result<FlagReceipt, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let receipt = control.revive_flag(&actor, &cluster, &namespace, &key, reason).await.or_fault()?;
    door::go(&crate::pages::flags::path_of(&cluster, &namespace, &key));
    Ok(receipt)
}

/// Changes a flag's share, or its lines where some are given. More users in production wait for an approver.
#[server(prefix = "/do", endpoint = "change-flag")]
pub async fn change_flag(
    cluster: String,
    namespace: String,
    key: String,
    /// Names the lines that were looked at; empty for a new flag.
    #[server(default)]
    seen: String,
    #[server(default)] on: Option<String>,
    #[server(default)] percentage: Option<String>,
    #[server(default)] lines: Option<String>,
    #[server(default)] reason: Option<String>,
) -> Result<FlagOutcome, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let edit = match (lines, percentage) {
        // A form's lines end as a form's do.
        (Some(lines), _) => control::FlagEdit::Lines(lines.replace("\r\n", "\n")),
        (None, Some(percentage)) => control::FlagEdit::Share { enabled: on.is_some(), percentage },
        (None, None) => {
            let wrong = model::FieldError::new("percentage", "Say for which share it is to be on.");
            return Err(door::refuse(model::Problem::invalid(vec![wrong])));
        }
    };
    let path = crate::pages::flags::path_of(&cluster, &namespace, &key);
    let seen = Some(seen).filter(|s| !s.is_empty());
    let draft = control::FlagDraft { cluster, namespace, key, seen, edit, reason };
    let outcome = control.change_flag(&actor, draft).await.or_fault()?;
    door::go(&path);
    Ok(outcome)
}

/// Approves or rejects exactly the change that was looked at.
#[server(prefix = "/do", endpoint = "decide-flag-change")]
pub async fn decide_flag_change(
    id: i64,
    digest: String,
    decision: String,
    /// Where to go then.
    page: String,
    #[server(default)] comment: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let digest = model::Digest(digest);
    match decision.as_str() {
        "approve" => {
            control
                .decide_flag_change(&actor, id, &digest, control::Decision::Approve, comment)
                .await
                .or_fault()?;
        }
        "reject" => {
            control
                .decide_flag_change(&actor, id, &digest, control::Decision::Reject, comment)
                .await
                .or_fault()?;
        }
        "withdraw" => control.withdraw_flag_change(&actor, id).await.or_fault()?,
        _ => {
            let wrong = model::FieldError::new("decision", "Send approve, reject or withdraw.");
            return Err(door::refuse(model::Problem::invalid(vec![wrong])));
        }
    }
    // Nowhere but to a page of ours.
    door::go(if page.starts_with("/flags/") { &page } else { "/flags" });
    Ok(())
}

/// A key is of no use any more.
#[server(prefix = "/do", endpoint = "withdraw-flag-key")]
pub async fn withdraw_flag_key(id: i64) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.revoke_flag_key(&actor, id).await.or_fault()?;
    door::go("/flags");
    Ok(())
}

/// What the form of a new key asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NewKey {
    pub name: String,
    /// `cluster/namespace`
    pub place: String,
    /// Empty: flags of every environment.
    pub environment: String,
}

/// What came of it: the key and its secret, which is never printed.
#[derive(Clone)]
pub struct IssuedKey {
    pub asked: NewKey,
    pub answer: Result<(FlagKeyView, String), Fault>,
}

impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedKey").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// Makes a key. The page that answers the post shows its secret, which is kept nowhere.
pub async fn issue_key(control: &control::Control, actor: &model::Actor, asked: NewKey) -> IssuedKey {
    let environment = Some(asked.environment.trim()).filter(|e| !e.is_empty());
    let (cluster, namespace) = asked.place.split_once('/').unwrap_or_default();
    let answer = control.issue_flag_key(actor, asked.name.trim(), cluster, namespace, environment).await;
    IssuedKey { answer: answer.map_err(Fault::from), asked }
}
