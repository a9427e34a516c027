//! `/releases`: what moves and what has ended.

use crate::api;
use crate::components::common::{empty, nothing, scroll, sect};
use crate::components::load::{self, followed};
use crate::components::rows;
use crate::components::tone::count;
use crate::when;
use leptos::prelude::*;
use leptos_meta::Title;
use model::release::State;
use model::view::{ReleaseRow, ReleasesPage};

pub(crate) fn page() -> AnyView {
    let key = super::query("state");
    let state = State::ALL.into_iter().find(|s| s.key() == key);
    load::page(async move { api::releases::releases(state).await }, |p| followed("releases", view(&p)))
}

pub(super) fn view(p: &ReleasesPage) -> AnyView {
    let (open, ended): (Vec<_>, Vec<_>) = p.rows.iter().cloned().partition(|r| !r.state.ended());
    let title = headline(&open, p.state);
    let (n_open, n_ended) = (open.len(), ended.len());
    view! {
        <Title text=title.clone()/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div><h1>{title}</h1><p class="meta"><span>{when::stamp(p.age.now)}</span></p></div>
                <div class="acts"><a class="btn" href="/plans">"Start one from a plan"</a></div>
            </div>
            {filter(p.state)}
            {(p.state.is_none() || n_open > 0).then(|| {
                let content = if open.is_empty() {
                    let act = view! { <a class="btn" href="/plans">"Plans"</a> }.into_any();
                    empty("release", "Nothing is moving".into(),
                        "Every release has ended. A new one starts from an approved plan.".into(), act)
                } else {
                    rows::moving(p.age.now, &open)
                };
                sect("m-h", "Moving", count(n_open, (n_open > 0).then_some("progressing")), content)
            })}
            {(p.state.is_none() || n_ended > 0).then(|| {
                let content = if ended.is_empty() {
                    empty("clock", "No release has ended yet".into(),
                        "Each keeps its whole history here when it has.".into(), nothing())
                } else {
                    scroll("Ended releases, table", rows::table("Ended releases, newest first", p.age.now, &ended))
                };
                sect("e-h", "Ended", count(n_ended, None), content)
            })}
            {p.rows.is_empty().then(|| p.state.map(|s| {
                let act = view! { <a class="btn" href="/releases">"All releases"</a> }.into_any();
                empty("search", format!("No release is {}", s.words().to_lowercase()),
                    "Others may be: take the filter off.".into(), act)
            }))}
        </main>
    }
    .into_any()
}

fn headline(open: &[ReleaseRow], state: Option<State>) -> String {
    if let Some(state) = state {
        return format!("Releases: {}", state.words().to_lowercase());
    }
    let waiting = open.iter().filter(|r| matches!(r.state, State::Waiting | State::Paused)).count();
    match (open.len(), waiting) {
        (0, _) => "No release is moving".to_owned(),
        (n, 0) => format!("{} under way", when::count(n, "release", "releases")),
        (n, w) => format!("{} under way, {w} held or waiting", when::count(n, "release", "releases")),
    }
}

fn filter(state: Option<State>) -> AnyView {
    let options = State::ALL
        .into_iter()
        .map(|s| view! { <option value=s.key() selected=state == Some(s)>{s.words()}</option> })
        .collect_view();
    view! {
        <form class="filters" role="search" method="get" action="/releases">
            <div class="field">
                <label for="state">"State"</label>
                <select class="in fit" id="state" name="state"><option value="">"All"</option>{options}</select>
            </div>
            <button class="btn" type="submit">"Apply"</button>
        </form>
    }
    .into_any()
}
