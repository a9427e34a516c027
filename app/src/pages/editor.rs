//! `/plans/new` and `/plans/{id}/edit`: a form and the document, each written into the other.
//!
//! Without script "Check" asks the server for the same page with both halves in step (a GET: it changes nothing), and
//! "Save" posts. With script the check runs while one types: the server renders both halves anew, and the browser
//! brings what stands there into that shape without touching the field one types in (`browser::editor`).

mod form;

use crate::components::icon::icon;
use crate::components::post;
use crate::draft::{EditorPage, Found};
use form::{form_half, yaml_half};
use leptos::prelude::*;
use model::FieldError;

pub(crate) fn new_plan() -> AnyView {
    page(None)
}

pub(crate) fn edit_plan() -> AnyView {
    page(Some(super::number("id")))
}

fn page(id: Option<i64>) -> AnyView {
    use crate::{api, components::load};
    use leptos_meta::Title;
    let search = leptos_router::hooks::use_location().search.get_untracked();
    load::page(async move { api::plans::editor(id, search).await }, |p| {
        view! { <Title text=title(&p)/>{view(&p)} }.into_any()
    })
}

/// What the browser puts in place of the page's content after a check.
pub(crate) fn markup(p: &EditorPage) -> String {
    Owner::new().with(|| view(p).to_html())
}

fn title(p: &EditorPage) -> String {
    match p.id {
        Some(_) => format!("Edit {}", p.checked.form.name),
        None => "New plan".to_owned(),
    }
}

/// What is wrong, once that is worth showing: somebody asked, typed or tried to save.
fn errors(p: &EditorPage) -> &[FieldError] {
    if p.asked { &p.checked.found.errors } else { &[] }
}

fn at<'a>(p: &'a EditorPage, field: &str) -> Option<&'a str> {
    errors(p).iter().find(|e| e.field == field).map(|e| e.message.as_str())
}

/// Class of the form that both halves are in: what script looks for.
const FORM: &str = "plan";

fn view(p: &EditorPage) -> AnyView {
    let (path, button) = match (p.id, p.version) {
        (Some(id), Some(v)) => (format!("/plans/{id}/edit"), format!("Save as version {}", v + 1)),
        _ => ("/plans/new".to_owned(), "Save the plan".to_owned()),
    };
    let back = p.id.map_or_else(|| "/plans".to_owned(), |id| format!("/plans/{id}"));
    let mut hidden = Vec::new();
    if let (Some(id), Some(version)) = (p.id, p.version) {
        hidden.push(("id", id.to_string()));
        hidden.push(("expected", version.to_string()));
    }
    // The document that both halves were filled from last: whichever differs from it was edited.
    hidden.push(("base", p.checked.yaml.clone()));
    let voids = p.id.map(|_| voids(p));
    let content = view! {
        <div class="head stick">
            <div>
                <h1>{title(p)}</h1>
                <p class="meta"><span role="status">{verdict(&p.checked.found, p.asked)}</span></p>
            </div>
            <div class="acts">
                <a class="btn quiet" href=back>"Discard"</a>
                <button class="btn" type="submit" formmethod="get" formaction=path.clone()>{icon("scale")}"Check"</button>
                {post::button("btn primary", "check", button, "Saving…", false)}
            </div>
        </div>
        {voids}
        {summary(p)}
        <div class="cols even editor">
            <div>{form_half(p, &path)}</div>
            <div>{yaml_half(p)}</div>
        </div>
    };
    view! {
        <main class="main" id="main" tabindex="-1">
            {post::form("/do/save-plan", FORM, hidden, content.into_any())}
        </main>
    }
    .into_any()
}

fn voids(p: &EditorPage) -> AnyView {
    let next = p.version.unwrap_or(0) + 1;
    let given = match p.approvals {
        0 => String::new(),
        1 => "The one approval given becomes void.".to_owned(),
        n => format!("The {n} approvals given become void."),
    };
    view! {
        <div class="note box mt" data-s="waiting">
            {icon("info")}<span>{format!("Any change makes version {next} with a new digest. ")}<b>{given}</b></span>
        </div>
    }
    .into_any()
}

/// In the head: whether it could be saved as it stands.
fn verdict(found: &Found, asked: bool) -> String {
    let errors = found.errors.len();
    match &found.digest {
        Some(digest) if errors == 0 => format!("no rule is broken; digest sha256:{digest}"),
        _ if !asked => "not checked yet".to_owned(),
        _ if errors == 1 => "one thing to correct".to_owned(),
        _ => format!("{errors} things to correct"),
    }
}

/// Everything that is wrong at once, each a link to its field, and what is only worth knowing.
fn summary(p: &EditorPage) -> AnyView {
    let errors = errors(p);
    let warnings = p.checked.found.warnings.clone();
    let warnings = (!warnings.is_empty()).then(|| {
        let list = warnings
            .into_iter()
            .map(|w| view! { <li class="note" data-s="waiting">{icon("info")}<span><span class="mono">{w.field}</span>" "{w.message}</span></li> })
            .collect_view();
        view! { <ul class="mt" role="list" aria-label="Worth knowing">{list}</ul> }
    });
    let wrong = (!errors.is_empty()).then(|| {
        let title = match errors.len() {
            1 => "One thing needs a change.".to_owned(),
            n => format!("{n} things need a change."),
        };
        let list = errors
            .iter()
            .map(|e| {
                let place = if e.field.is_empty() { "document".to_owned() } else { e.field.clone() };
                view! { <li><a class="mono" href=format!("#{}", anchor(&e.field))>{place}</a>" "{e.message.clone()}</li> }
            })
            .collect_view();
        view! { <div class="say" data-s="degraded" role="alert"><div><p><strong>{title}</strong></p><ul class="sm">{list}</ul></div></div> }
    });
    view! { {wrong}{warnings} }.into_any()
}

/// Fields that the form shows; everything else is corrected in the document.
fn anchor(field: &str) -> String {
    let known = [
        "metadata.",
        "spec.change.images",
        "spec.change.reference",
        "spec.strategy.canary.steps[",
        "spec.approvals.required",
        "spec.approvals.expire",
        "spec.analysis.",
    ];
    if known.iter().any(|k| field.starts_with(k)) { slug(field) } else { "yaml".to_owned() }
}

/// A field's path as an id: `spec.strategy.canary.steps[2].weight` → `spec-strategy-canary-steps-2-weight`.
fn slug(path: &str) -> String {
    path.split(['.', '[', ']']).filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_leads_somewhere() {
        assert_eq!(anchor("spec.strategy.canary.steps[2].weight"), "spec-strategy-canary-steps-2-weight");
        assert_eq!(anchor("metadata.name"), "metadata-name");
        assert_eq!(anchor("spec.window"), "yaml");
        assert_eq!(anchor(""), "yaml");
    }
}
