//! `/plans`: every plan and where it stands.

use crate::api;
use crate::components::common::{ago, empty, nothing, scroll};
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::tone::{self, Tone, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use model::view::{Deed, PlanRow, PlanState, PlansPage};

pub(crate) fn page() -> AnyView {
    let shown = View::named(&super::query("view"));
    load::page(api::plans::plans(), move |p| followed("plans,releases", view(&p, shown)))
}

/// A saved view: a tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Open,
    Done,
    Rejected,
}

impl View {
    const ALL: [(Self, &'static str, &'static str, &'static str); 3] = [
        (Self::Open, "Open", "/plans", ""),
        (Self::Done, "Carried out", "/plans?view=done", "done"),
        (Self::Rejected, "Rejected", "/plans?view=rejected", "rejected"),
    ];

    fn named(key: &str) -> Self {
        Self::ALL.into_iter().find(|(_, _, _, k)| *k == key).map_or(Self::Open, |(v, ..)| v)
    }

    fn holds(self, state: PlanState) -> bool {
        match self {
            Self::Open => matches!(state, PlanState::Open | PlanState::Approved | PlanState::Releasing),
            Self::Done => state == PlanState::Released,
            Self::Rejected => state == PlanState::Rejected,
        }
    }
}

pub(crate) fn state_words(state: PlanState, approvals: u32, required: u32) -> String {
    match state {
        PlanState::Open => format!("Approval, {approvals} of {required}"),
        PlanState::Approved => format!("Approved, {approvals} of {required}"),
        PlanState::Rejected => "Rejected".to_owned(),
        PlanState::Releasing => "Releasing".to_owned(),
        PlanState::Released => "Carried out".to_owned(),
    }
}

/// The deed of a writer, or the reason why not.
pub(crate) fn write_button(deed: &Deed, path: String, words: &'static str, class: &'static str) -> AnyView {
    if deed.allowed {
        return view! { <a class=class href=path>{icon("plus")}{words}</a> }.into_any();
    }
    let why = deed.why_not.clone().unwrap_or_default();
    view! {
        <button class="btn" type="button" aria-disabled="true" aria-describedby="write-why">{icon("plus")}{words}</button>
        <p class="why xs ink2 full" id="write-why">{why}</p>
    }
    .into_any()
}

fn view(p: &PlansPage, shown: View) -> AnyView {
    let now = p.age.now;
    let open = p.rows.iter().filter(|r| r.state == PlanState::Open).count();
    let ready = p.rows.iter().filter(|r| r.state == PlanState::Approved).count();
    let title = match (open, ready) {
        (0, 0) => "No plan waits".to_owned(),
        (0, r) => format!("{} approved and may start", when::count(r, "plan is", "plans are")),
        (o, 0) => format!("{} for approval", when::count(o, "plan waits", "plans wait")),
        (o, r) => format!("{} for approval, {r} may start", when::count(o, "plan waits", "plans wait")),
    };
    let rows: Vec<_> = p.rows.iter().filter(|r| shown.holds(r.state)).cloned().collect();
    let tabs = View::ALL
        .into_iter()
        .map(|(v, words, href, _)| {
            let n = p.rows.iter().filter(|r| v.holds(r.state)).count();
            let s = (v == View::Open && n > 0).then_some("waiting");
            let current = (v == shown).then_some("page");
            view! { <a href=href aria-current=current>{words}" "{tone::count(n, s)}</a> }
        })
        .collect_view();
    let content = if rows.is_empty() { none(p, shown) } else { table(now, &rows) };
    view! {
        <Title text=title.clone()/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div><h1>{title}</h1><p class="meta"><span>{when::stamp(now)}</span></p></div>
                <div class="acts">{write_button(&p.write, "/plans/new".into(), "New plan", "btn primary")}</div>
            </div>
            <nav class="tabs" aria-label="Saved views">{tabs}</nav>
            {content}
        </main>
    }
    .into_any()
}

fn none(p: &PlansPage, shown: View) -> AnyView {
    match shown {
        View::Open => {
            let act = if p.write.allowed {
                view! { <a class="btn" href="/plans/new">{icon("plus")}"New plan"</a> }.into_any()
            } else {
                nothing()
            };
            empty(
                "plan",
                "No plan is open".into(),
                "A plan says what will be different, in which steps, and who must approve it. Nothing moves without one."
                    .into(),
                act,
            )
        }
        View::Done => empty(
            "release",
            "No plan was carried out yet".into(),
            "Plans come here when their release has ended.".into(),
            nothing(),
        ),
        View::Rejected => empty(
            "x",
            "No plan was rejected".into(),
            "A rejected plan stays here until somebody edits it.".into(),
            nothing(),
        ),
    }
}

fn table(now: DateTime<Utc>, rows: &[PlanRow]) -> AnyView {
    let body = rows
        .iter()
        .map(|r| {
            let deed = match r.state {
                PlanState::Open => "Review",
                PlanState::Approved => "Start",
                _ => "Open",
            };
            let class = match r.state {
                PlanState::Open | PlanState::Approved => "btn small primary",
                _ => "btn small",
            };
            let path = format!("/plans/{}", r.id);
            view! {
                <tr>
                    <th scope="row"><a href=path.clone()>{r.name.clone()}</a></th>
                    <td>{st(Tone::from(r.state), state_words(r.state, r.approvals, r.required))}</td>
                    <td class="xs-all ink2">{r.service.clone()}" to "<span class="rev">{r.brings.clone()}</span></td>
                    <td class="xs-no ink2">{r.environment.clone()}</td>
                    <td class="xs-no ink2">{r.steps.join(", ")}</td>
                    <td class="xs-no ink2">"version "{r.version}", "{r.author.clone()}</td>
                    <td class="r xs-no ink2">{ago(now, r.changed)}</td>
                    <td class="r xs-all"><a class=class href=path aria-label=format!("{deed}: {}", r.name)>{deed}</a></td>
                </tr>
            }
        })
        .collect_view();
    let table = view! {
        <table class="table flip">
            <caption class="vh">"Plans, newest first"</caption>
            <thead>
                <tr>
                    <th scope="col">"Plan"</th><th scope="col">"State"</th><th scope="col">"Change"</th>
                    <th scope="col" class="xs-no">"Where"</th><th scope="col" class="xs-no">"Steps"</th>
                    <th scope="col" class="xs-no">"Written by"</th><th scope="col" class="r xs-no">"Changed"</th>
                    <th scope="col" class="r"><span class="vh">"Deed"</span></th>
                </tr>
            </thead>
            <tbody>{body}</tbody>
        </table>
    };
    scroll("Plans, table", table.into_any())
}

/// The page as the server renders it, without reading anything.
#[cfg(all(test, feature = "ssr"))]
pub(super) fn render(p: &PlansPage) -> AnyView {
    view(p, View::Open)
}
