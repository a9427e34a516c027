//! What is released, by which plan.

use crate::components::common::{ago, at, fact, fact_text, sect};
use leptos::prelude::*;
use model::view::ReleasePage;

pub(super) fn section(p: &ReleasePage) -> AnyView {
    let base = p.live.age.now;
    let link = view! { <a href=format!("/plans/{}", p.plan)>"Version "{p.plan_version}</a> }.into_any();
    let digest = view! { <span class="mono" title=p.digest.to_string()>"sha256:"{p.digest.short()}</span> };
    let images = p
        .images
        .iter()
        .map(|(container, image)| {
            view! { <dt>{format!("Image, {container}")}</dt><dd class="mono">{image.clone()}</dd> }
        })
        .collect_view();
    let names: Vec<_> = p.approvals.iter().map(|a| a.name.clone()).collect();
    let by = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    let approved = format!("{} of {}{by}", p.approvals.len(), p.approvals_required);
    let change = p.reference.clone().map(|r| fact("Change", reference(r)));
    let began = p.started.map(|t| fact("Began", view! { {at(base, t)}", "{ago(base, t)} }.into_any()));
    let content = view! {
        <dl class="facts">
            {fact_text("Plan", p.plan_name.clone())}
            {fact("Digest", digest.into_any())}
            {images}
            {fact_text("Approved", approved)}
            {fact_text("Started by", p.started_by.clone())}
            {began}
            {change}
        </dl>
    };
    sect("pl-h", "Plan", link, content.into_any())
}

/// A link somebody wrote into a plan: followed only where it leads to a web page.
pub(crate) fn reference(text: String) -> AnyView {
    if text.starts_with("https://") || text.starts_with("http://") {
        let words = text.trim_start_matches("https://").trim_start_matches("http://").to_owned();
        view! { <a href=text rel="noreferrer noopener">{words}</a> }.into_any()
    } else {
        text.into_any()
    }
}
