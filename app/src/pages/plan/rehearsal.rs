//! The way back from a plan, rehearsed before it starts: how it stands, what was tried, what it will not undo.

use crate::components::common::{ago, nothing, sect};
use crate::components::icon::icon;
use crate::components::post;
use crate::components::tone::{self, st};
use leptos::prelude::*;
use model::rehearsal::{Check, Rehearsal};
use model::rollback::Pace;
use model::view::{Deed, PlanPage, PlanState, RehearsalView};

/// `None` of it where the plan has been released and nobody rehearsed.
pub(super) fn section(p: &PlanPage) -> AnyView {
    let r = &p.rehearsal;
    let over = matches!(p.state, PlanState::Released | PlanState::Releasing);
    if over && r.last.is_none() {
        return nothing();
    }
    let said = match &r.last {
        Some(last) => found(p, last),
        None => view! { <p class="sm ink2 mt">{not_yet(r.required)}</p> }.into_any(),
    };
    let stale = r.stale.clone().filter(|_| !over).map(|why| {
        view! { <p class="note box mt" data-s="waiting">{icon("clock")}<span><b>"No longer counts. "</b>{why}</span></p> }
    });
    let content = view! { {stale}{said}{button(p)} };
    sect("rh-h", "Rollback", state(r), content.into_any())
}

fn not_yet(required: bool) -> &'static str {
    if required {
        "This plan may start only after its rollback was rehearsed: every patch of it is tried on the cluster, and \
         nothing is changed."
    } else {
        "Not rehearsed. A rehearsal tries every patch of the rollback on the cluster and changes nothing."
    }
}

fn state(r: &RehearsalView) -> AnyView {
    match &r.last {
        None if r.required => st(tone::WAITING, "Must be rehearsed"),
        None => nothing(),
        Some(last) if !last.passed() => st(tone::DEGRADED, "Rehearsal failed"),
        Some(_) if r.stale.is_some() => st(tone::WAITING, "Rehearse again"),
        Some(_) => st(tone::HEALTHY, "Rehearsed"),
    }
}

fn found(p: &PlanPage, last: &Rehearsal) -> AnyView {
    let when = ago(p.age.now, last.at);
    let how = match &last.way {
        Some(way) if way.pace == way.promoted || way.pace == Pace::PodStart => {
            format!(": back to {} in {}.", way.version, way.pace.takes())
        }
        Some(way) => format!(
            ": back to {} in {}; after promotion, {}.",
            way.version,
            way.pace.takes(),
            way.promoted.takes()
        ),
        None => ": there is no way back now.".to_owned(),
    };
    let checks = last.checks.iter().map(check).collect_view();
    let findings = (!last.findings.is_empty()).then(|| {
        let list = last
            .findings
            .iter()
            .map(|f| view! { <li class="note">{icon("info")}<span>{f.clone()}</span></li> })
            .collect_view();
        view! { <h3 class="sm mt">"To know"</h3><ul role="list">{list}</ul> }
    });
    view! {
        <p class="sm mt">"Rehearsed "{when}{how}</p>
        <ul class="gates mt" role="list">{checks}</ul>
        {findings}
    }
    .into_any()
}

fn check(c: &Check) -> AnyView {
    let (s, sign, word) = if c.passed { ("healthy", "check", "passed") } else { ("degraded", "x", "failed") };
    view! {
        <li data-s=s>{icon(sign)}<b>{c.name.clone()}</b><span>{word}</span><small>{c.words.clone()}</small></li>
    }
    .into_any()
}

fn button(p: &PlanPage) -> AnyView {
    match &p.rehearsal.rehearse {
        Deed { allowed: true, .. } => {
            let button = post::button("btn", "undo", "Rehearse now".into(), "Rehearsing…", false);
            let hidden = vec![("plan", p.id.to_string()), ("digest", p.digest.to_string())];
            post::form("/do/rehearse", "mt", hidden, button)
        }
        // Over and done with: nobody looks for the button.
        _ if matches!(p.state, PlanState::Released | PlanState::Releasing) => nothing(),
        Deed { why_not, .. } => {
            let why = why_not.clone().unwrap_or_default();
            view! {
                <p class="mt">
                    <button class="btn" type="button" aria-disabled="true" aria-describedby="rh-why">{icon("undo")}"Rehearse now"</button>
                </p>
                <p class="xs ink2" id="rh-why">{why}</p>
            }
            .into_any()
        }
    }
}
