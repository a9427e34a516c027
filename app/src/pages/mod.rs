//! One file for each page that a person can open.

#[cfg(feature = "ssr")]
pub(crate) mod audit;
#[cfg(feature = "ssr")]
pub(crate) mod editor;
#[cfg(feature = "ssr")]
pub(crate) mod errors;
#[cfg(feature = "ssr")]
pub(crate) mod flags;
#[cfg(feature = "ssr")]
pub(crate) mod incident;
#[cfg(feature = "ssr")]
pub(crate) mod incidents;
#[cfg(feature = "ssr")]
pub(crate) mod login;
#[cfg(feature = "ssr")]
pub(crate) mod notifications;
#[cfg(feature = "ssr")]
pub(crate) mod now;
#[cfg(feature = "ssr")]
pub(crate) mod plan;
#[cfg(feature = "ssr")]
pub(crate) mod plans;
#[cfg(feature = "ssr")]
pub(crate) mod policies;
pub(crate) mod release;
#[cfg(feature = "ssr")]
pub(crate) mod releases;
#[cfg(feature = "ssr")]
pub(crate) mod rollback;
#[cfg(feature = "ssr")]
pub(crate) mod service;
#[cfg(feature = "ssr")]
pub(crate) mod services;
#[cfg(feature = "ssr")]
pub(crate) mod setup;
#[cfg(feature = "ssr")]
pub(crate) mod status;

#[cfg(all(test, feature = "ssr"))]
#[allow(clippy::expect_used, reason = "a fixture that breaks a rule must stop the test")]
mod fixtures;
#[cfg(all(test, feature = "ssr"))]
#[allow(clippy::unwrap_used, reason = "a page that cannot be written for looking at must stop the test")]
mod tests;

/// A value of the page's query; empty when it is not there.
#[cfg(feature = "ssr")]
fn query(key: &str) -> String {
    use leptos::prelude::*;
    leptos_router::hooks::use_query_map().with_untracked(|q| q.get(key)).unwrap_or_default()
}

/// A number in the page's path; 0, which nothing has, when it is none.
#[cfg(feature = "ssr")]
fn number(key: &str) -> i64 {
    use leptos::prelude::*;
    let text = leptos_router::hooks::use_params_map().with_untracked(|p| p.get(key));
    text.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What a page that the browser takes over begins with, as it stands in the document.
#[cfg(feature = "ssr")]
fn taken_over(
    id: &'static str,
    topics: String,
    data: &impl serde::Serialize,
    view: leptos::prelude::AnyView,
) -> leptos::prelude::AnyView {
    use leptos::prelude::*;
    // `<` could end the element that holds the data.
    let json = serde_json::to_string(data).unwrap_or_default().replace('<', "\\u003c");
    view! {
        <div class="whole" id=id data-topics=topics>{view}</div>
        <script type="application/json" id="data" inner_html=json></script>
    }
    .into_any()
}
