//! Incidents as other pages name them.

use super::common::sect;
use super::tone::{self, Tone, st};
use leptos::prelude::*;
use model::incident::State;
use model::view::IncidentBrief;

/// Colour and icon of a state.
pub(crate) fn tone_of(state: State) -> Tone {
    match state {
        State::Open => tone::DEGRADED,
        State::Watching => tone::PROGRESSING,
        State::Resolved => tone::HEALTHY,
    }
}

/// A section with what there is, and the way to open one; `new` is the address of that.
pub(crate) fn section(new: String, list: AnyView) -> AnyView {
    let right = view! { <a href=new>"Open an incident"</a> };
    sect("in-h", "Incidents", right.into_any(), list)
}

pub(crate) fn list(all: &[IncidentBrief]) -> AnyView {
    if all.is_empty() {
        return view! { <p class="sm ink2 mt">"None is known."</p> }.into_any();
    }
    let rows = all
        .iter()
        .map(|i| {
            view! {
                <li>
                    <div>
                        <div class="t">
                            <a class="wrap" href=format!("/incidents/{}", i.id)>{i.title.clone()}</a>
                            {st(tone_of(i.state), i.state.words())}
                        </div>
                        <p>{format!("incident {}, severity {}", i.id, i.severity.key())}</p>
                    </div>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
}
