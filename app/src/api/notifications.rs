//! Where notifications go, and what was told.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::view::{DestinationDraft, DestinationPage, NotificationsFilter, NotificationsPage};

/// Destinations, and one page of the log.
#[server(prefix = "/read", endpoint = "notifications", input = GetUrl)]
pub async fn notifications(
    #[server(default)] filter: NotificationsFilter,
) -> Result<NotificationsPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.notifications(&actor, filter).await.or_fault()
}

/// The form of a destination, or of a new one of this kind.
#[server(prefix = "/read", endpoint = "destination", input = GetUrl)]
pub async fn destination(
    #[server(default)] id: Option<i64>,
    #[server(default)] kind: String,
) -> Result<DestinationPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.destination_form(&actor, id, &kind).await.or_fault()
}

#[server(prefix = "/do", endpoint = "add-destination")]
pub async fn add_destination(#[server(default)] draft: DestinationDraft) -> Result<(), Fault> {
    use super::door;
    let (control, actor) = door::enter()?;
    match control.add_destination(&actor, &draft).await {
        Ok(_) => {
            door::go("/notifications");
            Ok(())
        }
        Err(problem) => draft::back("/notifications/new", "/do/add-destination", &draft, problem),
    }
}

#[server(prefix = "/do", endpoint = "change-destination")]
pub async fn change_destination(id: i64, #[server(default)] draft: DestinationDraft) -> Result<(), Fault> {
    use super::door;
    let (control, actor) = door::enter()?;
    match control.change_destination(&actor, id, &draft).await {
        Ok(()) => {
            door::go("/notifications");
            Ok(())
        }
        Err(problem) => {
            draft::back(&format!("/notifications/{id}"), "/do/change-destination", &draft, problem)
        }
    }
}

#[server(prefix = "/do", endpoint = "remove-destination")]
pub async fn remove_destination(id: i64) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.remove_destination(&actor, id).await.or_fault()?;
    door::go("/notifications");
    Ok(())
}

/// Sends a message that says it is a test.
#[server(prefix = "/do", endpoint = "test-destination")]
pub async fn test_destination(id: i64) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.test_destination(&actor, id).await.or_fault()?;
    door::go("/notifications");
    Ok(())
}

/// Has a message tried again now.
#[server(prefix = "/do", endpoint = "retry-notification")]
pub async fn retry_notification(id: i64) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.retry_notification(&actor, id).await.or_fault()?;
    door::go("/notifications");
    Ok(())
}

#[cfg(feature = "ssr")]
pub(crate) mod draft {
    //! A form that was refused comes back as it was filled in, by the address; without its secret.

    use crate::Fault;
    use crate::api::door;
    use leptos::server_fn::error::ServerFnUrlError;
    use model::Problem;
    use model::view::DestinationDraft;
    use serde::{Deserialize, Serialize};

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Asked {
        draft: Option<DestinationDraft>,
    }

    /// The draft that an address brings back, if any.
    pub(crate) fn read(search: &str) -> Option<DestinationDraft> {
        let config = serde_qs::Config::new(5, false);
        config.deserialize_str::<Asked>(search.trim_start_matches('?')).ok()?.draft
    }

    pub(super) fn back(
        place: &str,
        deed: &str,
        draft: &DestinationDraft,
        problem: Problem,
    ) -> Result<(), Fault> {
        let fault = door::refuse(problem);
        if !door::is_plain_form() {
            return Err(fault);
        }
        let shown = DestinationDraft { secret: String::new(), ..draft.clone() };
        let query = serde_qs::to_string(&Asked { draft: Some(shown) }).unwrap_or_default();
        // Only its path and query are used.
        let base = format!("http://localhost{place}?{query}");
        let Ok(url) = ServerFnUrlError::new(deed, fault.clone()).to_url(&base) else { return Err(fault) };
        door::go(&format!("{}?{}", url.path(), url.query().unwrap_or_default()));
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_draft_comes_back_as_it_was() {
            let draft = DestinationDraft {
                name: "On-call & friends".into(),
                to: "a@example.com\nb@example.com".into(),
                ..DestinationDraft::default()
            };
            let query = serde_qs::to_string(&Asked { draft: Some(draft.clone()) }).expect("a query");
            assert_eq!(read(&format!("?{query}&__path=%2Fdo&__err=x")), Some(draft));
            assert_eq!(read("?kind=slack"), None);
        }
    }
}
