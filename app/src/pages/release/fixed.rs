//! Parts of the page that do not move: drawn by the server alone, so that the browser's half need not know how.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use model::view::{ReleaseMarkup, ReleasePage};

/// A part, as the server drew it.
pub(super) fn part(markup: &str) -> AnyView {
    view! { <div inner_html=markup.to_owned()></div> }.into_any()
}

/// All of them.
#[cfg(feature = "ssr")]
pub(super) fn markup(p: &ReleasePage) -> ReleaseMarkup {
    let drawn = |view: AnyView| Owner::new().with(|| view.to_html());
    ReleaseMarkup {
        report: super::report::section(p).map(drawn).unwrap_or_default(),
        plan: drawn(super::plan::section(p)),
        pictures: [("weight", "Weight"), ("errors", "Errors"), ("latency", "Latency p95")]
            .map(|(key, name)| drawn(pictures(p, key, name))),
    }
}

/// A chart to take along.
#[cfg(feature = "ssr")]
fn pictures(p: &ReleasePage, key: &str, name: &str) -> AnyView {
    let link = |kind: &'static str| {
        let path = format!("/api/v1/releases/{}/charts/{key}.{}", p.id, kind.to_lowercase());
        let says = format!("{name} as {kind}");
        view! { <a href=path rel="external" download aria-label=says>{kind}</a> }
    };
    view! { <p class="meta xs">{link("SVG")}{link("PNG")}{link("CSV")}</p> }.into_any()
}
