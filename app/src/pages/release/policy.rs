//! The rollback policy that watches a release.

use super::Seen;
use crate::components::common::nothing;
use crate::components::firing::{shown, to_come};
use leptos::prelude::*;
use model::view::ReleasePage;

/// Over the page, while its rollback is to come: the countdown, and stopping it.
pub(super) fn countdown(p: &ReleasePage, seen: Seen) -> AnyView {
    let release = p.id.to_string();
    let watch = Memo::new(move |_| {
        seen.live.with(|l| {
            let watch = l.policy.as_ref()?;
            let firing = watch.firing.as_ref().filter(|f| f.stop.is_some())?;
            Some((watch.name.clone(), firing.clone()))
        })
    });
    let content = move || {
        watch.with(|w| {
            let hidden = || vec![("release", release.clone())];
            w.as_ref().map(|(name, f)| to_come(name, f, "/do/stop-policy", hidden(), seen.base))
        })
    };
    view! { <div role="status">{content}</div> }.into_any()
}

/// Beside the evidence: what watches, what fired, each action with its time.
pub(super) fn section(seen: Seen) -> AnyView {
    let watch = Memo::new(move |_| seen.live.with(|l| l.policy.clone()));
    (move || watch.with(|w| w.as_ref().map_or_else(nothing, |w| shown(w, seen.base)))).into_any()
}
