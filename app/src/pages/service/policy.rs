//! The rollback policy that watches a service all the time.

use crate::components::common::nothing;
use crate::components::firing;
use leptos::prelude::*;
use model::view::ServicePage;

/// While its rollback is to come: the countdown, and stopping it.
pub(super) fn countdown(p: &ServicePage) -> AnyView {
    let watch = p.policy.as_ref();
    let to_come = watch.and_then(|w| Some((&w.name, w.firing.as_ref().filter(|f| f.stop.is_some())?)));
    let Some((name, f)) = to_come else { return nothing() };
    let content = firing::to_come(name, f, "/do/stop-service-policy", super::place_of(p), p.age.now);
    view! { <div role="status">{content}</div> }.into_any()
}

/// That it watches, and what it did.
pub(super) fn section(p: &ServicePage) -> AnyView {
    p.policy.as_ref().map_or_else(nothing, |w| firing::shown(w, p.age.now))
}
