//! Incidents: the list, one of them, and every deed on one.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::IncidentId;
use model::view::{AlarmPage, IncidentPage, IncidentsFilter, IncidentsPage};

/// A page of incidents.
#[server(prefix = "/read", endpoint = "incidents", input = GetUrl)]
pub async fn incidents(#[server(default)] filter: IncidentsFilter) -> Result<IncidentsPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.incidents(&actor, filter).await.or_fault()
}

/// One incident with everything its page shows.
#[server(prefix = "/read", endpoint = "incident", input = GetUrl)]
pub async fn incident(id: i64) -> Result<IncidentPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.incident(&actor, IncidentId(id)).await.or_fault()
}

/// What the form to open one begins with.
#[server(prefix = "/read", endpoint = "alarm", input = GetUrl)]
pub async fn alarm(#[server(default)] release: Option<i64>) -> Result<AlarmPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.alarm(&actor, release.map(model::ReleaseId)).await.or_fault()
}

/// Opens one. `place` is service and environment, with a space between.
#[server(prefix = "/do", endpoint = "open-incident")]
pub async fn open_incident(
    title: String,
    severity: String,
    #[server(default)] impact: String,
    #[server(default)] place: String,
    #[server(default)] release: Option<i64>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let severity = choice("severity", model::incident::severity_from(&severity))?;
    let (service, environment) = place.split_once(' ').unwrap_or((&place, ""));
    let alarm = control::Alarm {
        title,
        severity,
        impact,
        service: service.to_owned(),
        environment: environment.to_owned(),
        release: release.map(model::ReleaseId),
    };
    let id = control.open_incident(&actor, alarm).await.or_fault()?;
    door::go(&format!("/incidents/{id}"));
    Ok(())
}

/// Changes severity, title or what users feel, of the version that was looked at.
#[server(prefix = "/do", endpoint = "edit-incident")]
pub async fn edit_incident(
    incident: i64,
    version: i64,
    #[server(default)] title: Option<String>,
    #[server(default)] severity: Option<String>,
    #[server(default)] impact: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let severity = match severity {
        Some(severity) => Some(choice("severity", model::incident::severity_from(&severity))?),
        None => None,
    };
    let edit = control::IncidentEdit { title, severity, impact };
    control.edit_incident(&actor, IncidentId(incident), Some(version), edit).await.or_fault()?;
    door::go(&format!("/incidents/{incident}"));
    Ok(())
}

/// Watches, resolves or reopens it, puts it on the public page or takes it off.
#[server(prefix = "/do", endpoint = "move-incident")]
pub async fn move_incident(
    incident: i64,
    version: i64,
    deed: String,
    #[server(default)] words: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    use model::incident::State;
    let (control, actor) = door::enter()?;
    let (id, version) = (IncidentId(incident), Some(version));
    match deed.as_str() {
        "watch" => control.move_incident(&actor, id, version, State::Watching, words).await,
        "resolve" => control.move_incident(&actor, id, version, State::Resolved, words).await,
        "reopen" => control.move_incident(&actor, id, version, State::Open, words).await,
        "publish" => control.publish_incident(&actor, id, version, true).await,
        "unpublish" => control.publish_incident(&actor, id, version, false).await,
        _ => Err(model::Problem::malformed("There is no such deed. Reload the page and try again.")),
    }
    .or_fault()?;
    door::go(&format!("/incidents/{incident}"));
    Ok(())
}

/// Gives the lead to a person; to nobody in particular, and so to whoever is on call, when none is named.
#[server(prefix = "/do", endpoint = "lead-incident")]
pub async fn lead_incident(
    incident: i64,
    version: i64,
    #[server(default)] person: String,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let to = match person.trim() {
        "" => None,
        number => Some(choice("person", number.parse().map_err(|_| "there is no such person".to_owned()))?),
    };
    control.lead_incident(&actor, IncidentId(incident), Some(version), to).await.or_fault()?;
    door::go(&format!("/incidents/{incident}"));
    Ok(())
}

/// Adds a note.
#[server(prefix = "/do", endpoint = "note-incident")]
pub async fn note_incident(incident: i64, words: String) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.note_incident(&actor, IncidentId(incident), &words).await.or_fault()?;
    door::go(&format!("/incidents/{incident}"));
    Ok(())
}

/// Tells the public.
#[server(prefix = "/do", endpoint = "tell-public")]
pub async fn tell_public(
    incident: i64,
    version: i64,
    headline: String,
    shown: String,
    impact: String,
    words: String,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let (shown, impact) = (choice("shown", shown.parse())?, choice("impact", impact.parse())?);
    let update = control::PublicUpdate { headline: Some(headline), shown, impact, words };
    control.tell_public(&actor, IncidentId(incident), Some(version), update).await.or_fault()?;
    door::go(&format!("/incidents/{incident}"));
    Ok(())
}

/// What was chosen, or a refusal at its field.
#[cfg(feature = "ssr")]
fn choice<T>(field: &str, read: Result<T, String>) -> Result<T, Fault> {
    read.map_err(|why| {
        let why = format!("Choose another: {why}.");
        super::door::refuse(model::Problem::invalid(vec![model::FieldError::new(field, why)]))
    })
}
