//! `/releases/{id}/rollback` and `/services/…/rollback`: ROLL BACK as a page of its own. Linked from lists, and
//! where a browser knows no panels.

use crate::api;
use crate::components::common::{nothing, service_path};
use crate::components::confirm::{self, Rollback};
use crate::components::load::page;
use crate::components::tone::{self, badge, of_release};
use leptos::prelude::*;
use leptos_meta::Title;
use model::view::{Deed, ReleasePage, RollbackPreview, ServicePage};
use model::workload::Kind;

/// Back from a release.
pub(crate) fn of_release_page() -> AnyView {
    let id = super::number("id");
    let to = super::query("to");
    let named = to.clone();
    page(async move { api::releases::release(id, Some(to)).await }, move |p| release_asked(&p, &named))
}

/// `to`: the hash of another version than the recorded one, or nothing.
fn release_asked(p: &ReleasePage, to: &str) -> AnyView {
    let back = format!("/releases/{}", p.id);
    let subject = format!("{} {}", p.service, p.version);
    let state = badge(of_release(&p.live), p.live.badge.clone());
    let ask = Rollback {
        action: "/do/rollback",
        service: p.service.clone(),
        preview: p.live.rollback.clone(),
        hidden: vec![("release", p.id.to_string()), ("to", to.to_owned())],
        keep: if to.is_empty() {
            confirm::keep(p.live.weight)
        } else {
            format!("Go on to {}", p.from_version)
        },
        back: back.clone(),
    };
    content(&subject, state, p.live.headline.clone(), &p.live.roll_back, &ask, back)
}

/// Back for a workload, whether a release drives it or not.
pub(crate) fn of_workload_page() -> AnyView {
    page(super::service::read(super::query("to")), |p| workload_asked(&p))
}

fn workload_asked(p: &ServicePage) -> AnyView {
    let back = service_path(&p.row.key);
    let state = tone::st_workload(&p.row);
    let ask = Rollback {
        action: "/do/rollback-workload",
        service: p.row.service.clone(),
        preview: p.rollback.clone(),
        hidden: hidden(p),
        keep: keep(p.rollback.as_ref(), &p.row.version),
        back: back.clone(),
    };
    let words = p.row.message.clone().unwrap_or_default();
    content(&p.row.service, state, words, &p.roll_back, &ask, back)
}

/// A workload's place as a form sends it, and the version that was shown.
pub(crate) fn hidden(p: &ServicePage) -> Vec<(&'static str, String)> {
    let key = &p.row.key;
    let kind = match key.kind {
        Kind::Rollout => "Rollout",
        Kind::Deployment => "Deployment",
    };
    vec![
        ("cluster", key.cluster.clone()),
        ("namespace", key.namespace.clone()),
        ("kind", kind.to_owned()),
        ("name", key.name.clone()),
        ("to", p.rollback.as_ref().map(|r| r.to_hash.clone()).unwrap_or_default()),
    ]
}

/// What the other button says.
pub(crate) fn keep(preview: Option<&RollbackPreview>, version: &str) -> String {
    let version = preview.map_or(version, |p| &p.from_version);
    format!("Keep {version}")
}

fn content(
    subject: &str,
    state: AnyView,
    words: String,
    deed: &Deed,
    ask: &Rollback,
    back: String,
) -> AnyView {
    let content = if deed.allowed {
        confirm::in_place(ask)
    } else {
        let why = deed.why_not.clone().unwrap_or_else(|| "There is nothing to roll back.".into());
        view! {
            <section class="sect">
                <h1>{format!("{} cannot be rolled back now", ask.service)}</h1>
                <p class="ink2 mt">{why}</p>
                <div class="acts mt"><a class="btn primary" href=back.clone()>"Back"</a></div>
            </section>
        }
        .into_any()
    };
    let words = if words.is_empty() { nothing() } else { view! { <p class="ink2">{words}</p> }.into_any() };
    view! {
        <Title text=format!("Roll back {subject}?")/>
        <main class="main" id="main" tabindex="-1">
            <div class="ask">
                <p class="row mt"><a href=back>{subject.to_owned()}</a>{state}</p>
                {words}
                {content}
            </div>
        </main>
    }
    .into_any()
}

/// The page as the server renders it, without reading anything.
#[cfg(all(test, feature = "ssr"))]
pub(super) fn render(p: &ReleasePage) -> AnyView {
    release_asked(p, "")
}
