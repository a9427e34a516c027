//! The column beside the evidence: what a rollback would do, what is released, its pods.

use super::Seen;
use crate::components::common::{ago, at, fact, fact_text, nothing, scroll, sect, service_path};
use crate::components::tone::{self, st};
use leptos::prelude::*;
use model::release::State;
use model::rollback::Pace;
use model::view::{ReleasePage, RollbackPreview};
use model::workload::version_of;

pub(super) fn if_you_roll_back(seen: Seen) -> AnyView {
    let preview = Memo::new(move |_| seen.live.with(|l| (l.rollback.clone(), l.state)));
    let right = move || {
        preview.with(|(p, state)| match p {
            _ if *state == State::RolledBack => nothing(),
            Some(p) => ready(p),
            None => nothing(),
        })
    };
    let content = move || {
        preview.with(|(p, _)| match p {
            Some(p) => facts(p),
            None => view! { <p class="sm ink2 mt">"There is nothing to go back to."</p> }.into_any(),
        })
    };
    sect("rb-h", "If you roll back", right.into_any(), content.into_any())
}

pub(crate) fn ready(p: &RollbackPreview) -> AnyView {
    match p.route.pace {
        Pace::Now => st(tone::HEALTHY, "Already there"),
        Pace::Seconds => st(tone::HEALTHY, "Ready"),
        Pace::PodStart => st(tone::WAITING, "Pods must start"),
    }
}

pub(crate) fn facts(p: &RollbackPreview) -> AnyView {
    let to = match p.to_revision {
        Some(n) => format!(", revision {n}"),
        None => String::new(),
    };
    let to = view! { <span class="rev">{p.to_version.clone()}</span>{to} }.into_any();
    let stays = (!p.cannot_undo.is_empty()).then(|| fact_text("Stays behind", p.cannot_undo.join(" ")));
    view! {
        <dl class="facts">
            {fact("To", to)}
            {fact_text("Takes", p.takes.clone())}
            {fact_text("Pods", format!("{} of {} of that version are ready", p.ready, p.desired))}
            {fact_text("How", p.route.because.clone())}
            {stays}
        </dl>
    }
    .into_any()
}

pub(super) fn plan(p: &ReleasePage) -> AnyView {
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

pub(super) fn pods(p: &ReleasePage, seen: Seen) -> AnyView {
    let base = seen.base;
    let link = view! { <a href=service_path(&p.workload)>"Workload"</a> }.into_any();
    let revisions = Memo::new(move |_| {
        seen.live.with(|l| (l.revisions.clone(), l.canary_hash.clone(), l.stable_hash.clone()))
    });
    let rows = move || {
        revisions.with(|(all, canary, stable)| {
            all.iter()
                .filter(|r| {
                    r.desired > 0 || Some(&r.hash) == canary.as_ref() || Some(&r.hash) == stable.as_ref()
                })
                .map(|r| {
                    let part = if Some(&r.hash) == stable.as_ref() {
                        " stable"
                    } else if Some(&r.hash) == canary.as_ref() {
                        " canary"
                    } else {
                        ""
                    };
                    view! {
                        <tr>
                            <th scope="row"><span class="rev">{r.number}</span>{part}</th>
                            <td class="rev">{version_of(&r.images)}</td>
                            <td class="r">{format!("{} / {}", r.ready, r.desired)}</td>
                            <td class="r ink2">{ago(base, r.created)}</td>
                        </tr>
                    }
                })
                .collect_view()
        })
    };
    let table = view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"Revision"</th><th scope="col">"Version"</th>
                    <th scope="col" class="r">"Ready"</th><th scope="col" class="r">"Made"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    };
    sect("pod-h", "Pods", link, scroll("Pods by revision", table.into_any()))
}
