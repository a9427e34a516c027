//! ROLL BACK with its consequences: a panel over the page, and a page of its own for browsers without panels.

use super::common::percent;
use super::icon::icon;
use super::post;
use leptos::prelude::*;
use model::view::{Deed, RollbackPreview};

/// What a rollback is of, and how its form is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rollback {
    /// Where the form is sent.
    pub(crate) action: &'static str,
    pub(crate) service: String,
    pub(crate) preview: Option<RollbackPreview>,
    pub(crate) hidden: Vec<(&'static str, String)>,
    /// What the other button says: `Keep the canary at 25 %`.
    pub(crate) keep: String,
    /// Where the other button leads on the page of its own.
    pub(crate) back: String,
}

/// What leaving a release where it is means. With no traffic or all of it the new version is no canary.
pub(crate) fn keep(weight: u8) -> String {
    match weight {
        0 | 100 => "Leave it as it is".to_owned(),
        _ => format!("Keep the canary at {}", percent(weight)),
    }
}

/// Name of the panel in the document.
pub(crate) const PANEL: &str = "rollback";

/// The panel over the page. Opens without script, by the browser itself.
pub(crate) fn panel(r: &Rollback) -> AnyView {
    let title = title(r);
    let keep = view! {
        <button class="btn" type="button" popovertarget=PANEL popovertargetaction="hide">{r.keep.clone()}</button>
    };
    let inside = inside(r, keep.into_any(), false);
    view! {
        <div class="confirm" id=PANEL popover role="dialog" aria-labelledby="rollback-h">
            <h2 id="rollback-h">{title}</h2>
            {inside}
        </div>
    }
    .into_any()
}

/// The same as a page's content.
pub(crate) fn in_place(r: &Rollback) -> AnyView {
    let title = title(r);
    let keep = view! { <a class="btn" href=r.back.clone()>{r.keep.clone()}</a> };
    let inside = inside(r, keep.into_any(), true);
    view! {
        <div class="confirm here mt"><h1 class="ask">{title}</h1>{inside}</div>
    }
    .into_any()
}

fn title(r: &Rollback) -> String {
    match &r.preview {
        Some(p) => format!("Roll {} back to {}?", r.service, p.to_version),
        None => format!("Roll {} back?", r.service),
    }
}

/// `page`: below a page's own heading; else below the panel's.
fn inside(r: &Rollback, keep: AnyView, page: bool) -> AnyView {
    let words = match &r.preview {
        Some(p) => format!("Roll back to {} now", p.to_version),
        None => format!("Roll {} back now", r.service),
    };
    let consequences = r.preview.as_ref().map(|p| consequences(p, page));
    let form = view! {
        <div class="field mt">
            <label for="rollback-why">"Reason (optional)"</label>
            <input class="in" id="rollback-why" name="reason" maxlength="500" autocomplete="off"/>
        </div>
        <footer>
            {post::button("btn danger big", "undo", words, "Rolling back…", false)}
            {keep}
            <p class="xs ink2">"Needs no approval. Works during a freeze. Recorded with your name."</p>
        </footer>
    };
    view! { {consequences}{post::form(r.action, "", r.hidden.clone(), form.into_any())} }.into_any()
}

fn consequences(p: &RollbackPreview, page: bool) -> AnyView {
    let heading = |words: &'static str| {
        if page { view! { <h2>{words}</h2> }.into_any() } else { view! { <h3>{words}</h3> }.into_any() }
    };
    let steps = p.steps.iter().map(|s| view! { <li>{s.clone()}</li> }).collect_view();
    let stays = (!p.cannot_undo.is_empty()).then(|| {
        let list = p
            .cannot_undo
            .iter()
            .map(|w| view! { <li class="note" data-s="waiting">{icon("warn")}<span>{w.clone()}</span></li> })
            .collect_view();
        view! { {heading("What it cannot undo")}<ul role="list">{list}</ul> }
    });
    view! {
        <dl class="sum">
            <div><dt>"Now"</dt><dd><span class="rev">{p.from_version.clone()}</span>{format!(" at {}\u{a0}%", p.weight)}</dd></div>
            <div><dt>"After"</dt><dd><span class="rev">{p.to_version.clone()}</span>" at 100\u{a0}%"</dd></div>
            <div><dt>"Takes"</dt><dd>{p.takes.clone()}</dd></div>
        </dl>
        {heading("What happens")}
        <ol class="seq" role="list">{steps}</ol>
        {stays}
    }
    .into_any()
}

/// The button that opens the panel; a link to the page of its own where the browser knows no panels. Where the role
/// or the state forbids it, the button says why and does nothing.
pub(crate) fn opener(deed: &Deed, page: String, class: &'static str, id: Option<&'static str>) -> AnyView {
    if !deed.allowed {
        let why = deed.why_not.clone().unwrap_or_default();
        return view! {
            <button class=class id=id type="button" aria-disabled="true" title=why.clone()>
                {icon("undo")}"ROLL BACK"<span class="vh">{format!(", not now: {why}")}</span>
            </button>
        }
        .into_any();
    }
    view! {
        <button class=format!("{class} pop") id=id type="button" popovertarget=PANEL>{icon("undo")}"ROLL BACK"</button>
        <a class=format!("{class} no-pop") href=page>{icon("undo")}"ROLL BACK"</a>
    }
    .into_any()
}
