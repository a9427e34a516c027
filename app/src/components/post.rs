//! Forms that change something. Each is a plain form post: the server answers with a redirect, and a refusal comes
//! back in the address. With script (`browser::forms`) the same form is sent in place, and what came of it is told.

use super::icon::icon;
use crate::Fault;
use leptos::prelude::*;

/// A form that posts to `path`, with hidden values.
pub(crate) fn form(
    path: &'static str,
    class: &'static str,
    hidden: Vec<(&'static str, String)>,
    content: AnyView,
) -> AnyView {
    let hidden = hidden
        .into_iter()
        .map(|(name, value)| view! { <input type="hidden" name=name value=value/> }.into_any())
        .collect_view();
    view! { <form method="post" action=path class=class data-post>{hidden}{content}</form> }.into_any()
}

/// A submit button. With script it says `busy` from the press to the answer.
pub(crate) fn button(
    class: &'static str,
    icon_name: &'static str,
    words: String,
    busy: &'static str,
    raises: bool,
) -> AnyView {
    view! {
        <button class=class type="submit" data-busy=busy data-raises=raises.then_some("")>
            {icon(icon_name)}<span>{words}</span>
        </button>
    }
    .into_any()
}

/// A refusal in words.
pub(crate) fn refusal(fault: &Fault) -> AnyView {
    let request = fault.request.clone().map(|r| format!(" Number {r}."));
    let fields = (!fault.fields.is_empty()).then(|| {
        let list = fault.fields.iter().map(|e| {
            view! { <li><span class="mono">{e.field.clone()}</span>" "{e.message.clone()}</li> }
        });
        view! { <ul>{list.collect_view()}</ul> }
    });
    let tone = if fault.status >= 500 || fault.status == 0 { "degraded" } else { "waiting" };
    view! {
        <div class="note box" data-s=tone role="alert">
            {icon("warn")}
            <div><b>{fault.title.clone()}"."</b>" "{fault.detail.clone()}{request}{fields}</div>
        </div>
    }
    .into_any()
}
