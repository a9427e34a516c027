//! A service that was rolled back by itself too often: nothing is released until somebody has looked.

use crate::components::common::{at, nothing};
use crate::components::post;
use leptos::prelude::*;
use model::view::ServicePage;

/// Why, which releases, and how to let it go on.
pub(super) fn shown(p: &ServicePage) -> AnyView {
    let Some(b) = &p.breaker else { return nothing() };
    let releases = b.releases.iter().map(|(id, when)| {
        view! { <li><a href=format!("/releases/{id}")>{format!("Release #{id}")}</a>" "{at(p.age.now, *when)}</li> }
    });
    let releases = releases.collect_view();
    let lift = if b.lift.allowed {
        let form = view! {
            <div class="field">
                <label for="lift-why">"What was found"</label>
                <input class="in" id="lift-why" name="reason" maxlength="500" autocomplete="off" required/>
            </div>
            {post::button("btn", "check", "Let it be released again".into(), "Letting…", false)}
        };
        view! {
            <details class="sm"><summary>"I have looked"</summary>
                {post::form("/do/lift-breaker", "stackf mt", super::place_of(p), form.into_any())}
            </details>
        }
        .into_any()
    } else {
        nothing()
    };
    view! {
        <div class="say" data-s="waiting">
            <div>
                <p role="status"><strong>{b.words.clone()}</strong><small>{format!("Policy {}.", b.policy)}</small></p>
                <ul class="sm" role="list">{releases}</ul>
            </div>
            {lift}
        </div>
    }
    .into_any()
}
