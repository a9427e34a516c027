//! What the public reads of an incident, and the form that tells it.

use super::hidden;
use crate::api::refused_at;
use crate::components::common::{nothing, sect};
use crate::components::icon::icon;
use crate::components::post;
use crate::pages::incidents::error;
use crate::pages::status::stage;
use crate::when;
use leptos::prelude::*;
use model::incident::{Impact, Incident, Shown, State, TITLE, WORDS};
use model::view::IncidentPage;

pub(super) fn section(p: &IncidentPage) -> AnyView {
    let form = if p.tell.allowed { form(p) } else { why_not(p) };
    let content = view! { {form}{preview(p)}{publish(p)} };
    let right = view! { <a href="/status">"Public page"</a> }.into_any();
    sect("u-h", "Tell the public", right, content.into_any())
}

fn why_not(p: &IncidentPage) -> AnyView {
    let why = p.tell.why_not.clone().unwrap_or_default();
    view! { <p class="sm ink2 mt">{why}</p> }.into_any()
}

/// The states that may be told now: an incident that is not resolved is not over.
fn offered(i: &Incident) -> &'static [Shown] {
    match i.state {
        State::Resolved => &[Shown::Resolved],
        _ => &[Shown::Investigating, Shown::Identified, Shown::Monitoring],
    }
}

fn form(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    let refused = refused_at("/do/tell-public");
    let wrong = |field: &str| refused.as_ref().and_then(|f| f.at(field)).map(str::to_owned);
    let last = p.updates.first().and_then(|e| e.update);
    let next = match i.state {
        State::Watching => Shown::Monitoring,
        State::Resolved => Shown::Resolved,
        State::Open => last.map_or(Shown::Investigating, |(shown, _)| shown),
    };
    let impact = last.map_or(Impact::of(i.severity), |(_, impact)| impact);
    let shown = offered(i)
        .iter()
        .map(|s| view! { <option value=s.key() selected=*s == next>{s.words()}</option> })
        .collect_view();
    let impacts = Impact::ALL
        .into_iter()
        .map(|x| view! { <option value=x.key() selected=x == impact>{x.words()}</option> })
        .collect_view();
    let fields = view! {
        <div class="field">
            <label for="headline">"What the public page calls it"</label>
            <input class="in" id="headline" name="headline" required maxlength=TITLE.to_string() autocomplete="off"
                value=i.headline.clone() aria-invalid=wrong("headline").map(|_| "true")/>
            {error(wrong("headline"))}
        </div>
        <div class="row">
            <div class="field"><label for="shown">"State shown"</label>
                <select class="in fit" id="shown" name="shown">{shown}</select>{error(wrong("shown"))}</div>
            <div class="field"><label for="felt">"Impact"</label>
                <select class="in fit" id="felt" name="impact">{impacts}</select></div>
        </div>
        <div class="field">
            <label for="words">"What users feel"</label>
            <textarea class="in" id="words" name="words" rows="3" required maxlength=WORDS.to_string()
                aria-describedby="words-h" aria-invalid=wrong("words").map(|_| "true")></textarea>
            {error(wrong("words"))}
            <span class="hint" id="words-h">
                {format!("No revision, host or person: they are checked for. At most {WORDS} characters.")}
            </span>
        </div>
        <div class="acts">{post::button("btn primary", "status", "Publish this update".into(), "Publishing…", false)}</div>
    };
    post::form("/do/tell-public", "stackf mt", hidden(i), fields.into_any())
}

/// As the public reads it now.
fn preview(p: &IncidentPage) -> AnyView {
    let (i, now) = (&p.incident, p.age.now);
    if !i.public {
        return nothing();
    }
    let span = match i.resolved {
        Some(end) => format!("{} to {} UTC, over", when::near(now, i.began), when::near(now, end)),
        None => format!("Began {} UTC, open", when::near(now, i.began)),
    };
    let updates = p
        .updates
        .iter()
        .filter_map(|e| {
            let (shown, _) = e.update?;
            let (s, sign, title) = stage(shown.key());
            Some(view! {
                <li data-s=s>
                    <time datetime=when::iso(e.at) title=when::stamp(e.at)>{when::near(now, e.at)}</time>{icon(sign)}
                    <div class="wrap"><b>{title}</b>" "<span class="ink2">{e.author.clone()}</span><p>{e.words.clone()}</p></div>
                </li>
            })
        })
        .collect_view();
    let none = p.updates.is_empty().then(|| {
        view! { <p class="sm ink2 mt">"Nobody has written yet: the page says that we are looking into it."</p> }
    });
    view! {
        <div class="frame mt" role="group" aria-labelledby="pv-h">
            <h3 class="xs ink2" id="pv-h">"What the public reads; names are left out there"</h3>
            <p class="mt wrap"><b>{i.headline.clone()}</b></p>
            <p class="sm ink2">{span}</p>
            {none}
            <ol class="line mt" role="list">{updates}</ol>
        </div>
    }
    .into_any()
}

fn publish(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    if !p.tell.allowed {
        return nothing();
    }
    let (deed, words, busy) = if i.public {
        ("unpublish", "Take it off the public page", "Taking it off…")
    } else {
        ("publish", "Put it on the public page without words", "Publishing…")
    };
    let mut all = hidden(i);
    all.push(("deed", deed.to_owned()));
    let button = post::button("btn", if i.public { "x" } else { "status" }, words.into(), busy, false);
    post::form("/do/move-incident", "mt", all, button)
}
