//! `/incidents/{id}`: what is, what is known, who looks after it, what the public reads.

mod public;
mod side;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a fixture that breaks a rule must stop the test")]
mod tests;

use super::incidents::{lasted, severities};
use crate::api;
use crate::components::common::{at, fact, fact_text, nothing, sect};
use crate::components::icon::icon;
use crate::components::incident::tone_of;
use crate::components::load::{self, followed};
use crate::components::post;
use crate::components::tone::badge;
use crate::when;
use leptos::prelude::*;
use leptos_meta::Title;
use model::incident::{self, Incident, State};
use model::release::State as ReleaseState;
use model::view::{IncidentPage, IncidentRelease};

pub(crate) fn page() -> AnyView {
    let id = super::number("id");
    load::page(async move { api::incidents::incident(id).await }, move |p| {
        let release = p.incident.release.map(|id| format!(",release:{id}")).unwrap_or_default();
        followed(&format!("incident:{id}{release}"), view(&p))
    })
}

/// Which version of which incident a form is about.
fn hidden(i: &Incident) -> Vec<(&'static str, String)> {
    vec![("incident", i.id.to_string()), ("version", i.version.to_string())]
}

pub(super) fn view(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    view! {
        <Title text=format!("Incident {}, {}", i.id, i.state.words().to_lowercase())/>
        <main class="main" id="main" tabindex="-1">
            {head(p)}
            {why_not(p)}
            {sentence(p)}
            {figures(p)}
            <div class="cols two">
                <div>{facts(p)}{public::section(p)}</div>
                <div>{side::roles(p)}{side::together(p)}{side::timeline(p)}</div>
            </div>
        </main>
        {panels(p)}
    }
    .into_any()
}

fn head(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    let now = p.age.now;
    let acts = if p.run.allowed { acts(i) } else { nothing() };
    view! {
        <div class="head stick">
            <div>
                <h1 class="wrap">{i.title.clone()}" "{badge(tone_of(i.state), i.state.words())}</h1>
                <p class="meta">
                    <span>{format!("incident {}", i.id)}</span>
                    <span>{format!("{} / {}", i.service, i.environment)}</span>
                    <span>"opened "{at(now, i.opened)}" by "{i.opened_by.clone()}</span>
                </p>
            </div>
            <div class="acts">{acts}</div>
        </div>
    }
    .into_any()
}

/// Severity, and where it can go from here.
fn acts(i: &Incident) -> AnyView {
    let form = view! {
        <label class="sm ink2" for="sev">"Severity"</label>
        <select class="in fit" id="sev" name="severity">{severities(Some(i.severity), true)}</select>
        {post::button("btn small", "check", "Set".into(), "Setting…", false)}
    };
    let moved = |deed: &'static str, icon_name, words: &'static str, busy| {
        let mut all = hidden(i);
        all.push(("deed", deed.to_owned()));
        post::form("/do/move-incident", "", all, post::button("btn", icon_name, words.into(), busy, false))
    };
    let watch = (i.state == State::Open).then(|| moved("watch", "clock", "Fixed, watch it", "Watching…"));
    let end = if i.ended() {
        moved("reopen", "incident", "Reopen", "Reopening…")
    } else {
        view! {
            <button class="btn primary" type="button" popovertarget="do-resolve">{icon("check")}"Resolve"</button>
        }
        .into_any()
    };
    let severity = (!i.ended()).then(|| post::form("/do/edit-incident", "row", hidden(i), form.into_any()));
    view! { {severity}{watch}{end} }.into_any()
}

/// Whoever only reads is told why there are no buttons.
fn why_not(p: &IncidentPage) -> Option<AnyView> {
    let why = p.run.why_not.clone().filter(|_| !p.run.allowed)?;
    Some(view! { <p class="xs ink2 mt">{why}</p> }.into_any())
}

/// The release went back: what users are on again.
fn back(r: &IncidentRelease) -> Option<String> {
    (r.state == ReleaseState::RolledBack).then(|| format!("{} is back on {}.", r.service, r.from_version))
}

fn sentence(p: &IncidentPage) -> AnyView {
    let (i, now) = (&p.incident, p.age.now);
    let back = p.release.as_ref().and_then(back);
    let (first, rest) = match i.state {
        State::Open => {
            let words = match &p.release {
                Some(r) if !r.state.ended() => format!("{} {} is under way.", r.service, r.version),
                _ => "Nobody has said yet that it is fixed.".to_owned(),
            };
            (format!("Open for {}.", lasted(i.lasted(now))), back.unwrap_or(words))
        }
        State::Watching => {
            let since = i.watching.map(|t| when::near(now, t)).unwrap_or_default();
            let back = back.map(|b| format!("{b} ")).unwrap_or_default();
            (format!("Over since {since} as far as is known."), format!("{back}Somebody must resolve it."))
        }
        State::Resolved => {
            let end = i.resolved.map(|t| when::near(now, t)).unwrap_or_default();
            (format!("Over since {end}, after {}.", lasted(i.lasted(now))), back.unwrap_or_default())
        }
    };
    let felt = if i.impact.is_empty() {
        "Nobody has said yet what users feel.".to_owned()
    } else {
        i.impact.clone()
    };
    view! {
        <div class="say" data-s=tone_of(i.state).s>
            <p class="wrap" role="status"><strong>{first}</strong>" "{rest}<small>{felt}</small></p>
        </div>
    }
    .into_any()
}

fn figures(p: &IncidentPage) -> AnyView {
    let (i, now) = (&p.incident, p.age.now);
    let figure = |name: &'static str, bold: String, words: String| {
        view! { <div><dt>{name}</dt><dd><b>{bold}</b>{words}</dd></div> }
    };
    let noticed = i.opened - i.began;
    let noticed = if noticed.num_seconds() > 0 {
        figure("Noticed after", lasted(noticed), format!("by {}", i.opened_by))
    } else {
        figure("Noticed", "at once".to_owned(), format!("by {}", i.opened_by))
    };
    let lasts = if i.ended() { "from its beginning to its end" } else { "so far" };
    let told = match (i.public, p.updates.len()) {
        (false, 0) => ("no", "not on the public page".to_owned()),
        (false, n) => ("no longer", format!("after {}", when::count(n, "update", "updates"))),
        (true, n) => ("yes", when::count(n, "update", "updates")),
    };
    let severity = incident::severity_words(i.severity).split_once(", ").unwrap_or(("", ""));
    view! {
        <dl class="stats">
            {figure("Severity", severity.0.to_owned(), severity.1.to_owned())}
            {figure("Lasts", lasted(i.lasted(now)), lasts.to_owned())}
            {noticed}
            {figure("Public", told.0.to_owned(), told.1)}
        </dl>
    }
    .into_any()
}

/// What is known, from events: nobody has to write it down.
fn facts(p: &IncidentPage) -> AnyView {
    let (i, now) = (&p.incident, p.age.now);
    let changed = match &p.release {
        Some(r) => {
            let words = format!("{} {} to {}", r.service, r.from_version, r.version);
            view! { <a href=format!("/releases/{}", r.id)>{words}</a> }.into_any()
        }
        None => view! { "No release is named." }.into_any(),
    };
    let felt = if i.impact.is_empty() { "not said yet".to_owned() } else { i.impact.clone() };
    let long = match i.resolved {
        Some(end) => {
            format!("{}, {} to {}", lasted(i.lasted(now)), when::near(now, i.began), when::near(now, end))
        }
        None => format!("{} so far, since {}", lasted(i.lasted(now)), when::near(now, i.began)),
    };
    let after = i.opened - i.began;
    let noticed = match after.num_seconds() {
        ..=0 => i.opened_by.clone(),
        _ => format!("{}, {} after it began", i.opened_by, lasted(after)),
    };
    let ended = p.release.as_ref().and_then(|r| {
        let end = r.ended.filter(|_| r.state == ReleaseState::RolledBack)?;
        let took = match r.turned_back.map(|t| end - t).filter(|t| t.num_seconds() > 0) {
            Some(took) => format!(", {}", lasted(took)),
            None => String::new(),
        };
        let why = r.reason.clone().map(|w| format!(": “{w}”")).unwrap_or_default();
        let words = view! {
            <a href=format!("/releases/{}", r.id)>{format!("rollback to {}", r.from_version)}</a>
            {format!(" at {}{took}{why}", when::near(now, end))}
        };
        Some(fact("Ended by", words.into_any()))
    });
    let resolved = i
        .resolved
        .zip(i.resolved_by.clone())
        .map(|(t, by)| fact("Resolved", view! { {at(now, t)}" by "{by} }.into_any()));
    let edit = p.run.allowed.then(|| edit(i));
    let content = view! {
        <dl class="facts">
            {fact("What changed", changed)}
            {fact_text("What users felt", felt)}
            {fact_text("How long", long)}
            {fact_text("Noticed by", noticed)}
            {ended}
            {resolved}
        </dl>
        {edit}
    };
    let right = view! { <span class="sm ink2">"filled in from events"</span> }.into_any();
    sect("f-h", "Facts", right, content.into_any())
}

fn edit(i: &Incident) -> AnyView {
    let fields = view! {
        <div class="field">
            <label for="e-title">"What goes wrong"</label>
            <input class="in" id="e-title" name="title" required maxlength="120" autocomplete="off"
                value=i.title.clone()/>
        </div>
        <div class="field">
            <label for="e-impact">"What users feel"</label>
            <textarea class="in" id="e-impact" name="impact" rows="3" maxlength="500">{i.impact.clone()}</textarea>
        </div>
        <div class="acts">{post::button("btn", "check", "Keep".into(), "Keeping…", false)}</div>
    };
    view! {
        <details class="sm mt">
            <summary>"Change its title and what users feel"</summary>
            {post::form("/do/edit-incident", "stackf mt", hidden(i), fields.into_any())}
        </details>
    }
    .into_any()
}

/// The panel that asks once more before it is resolved.
fn panels(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    if !p.run.allowed || i.ended() {
        return nothing();
    }
    let told = if i.public {
        "The public page says that it is over, and the service counts as working as far as the cluster says so."
    } else {
        "The public was told nothing and is told nothing."
    };
    let words = i.public.then(|| {
        view! {
            <div class="field mt">
                <label for="end-words">"Last words to the public (optional)"</label>
                <textarea class="in" id="end-words" name="words" rows="2" maxlength="500"
                    placeholder="It is over."></textarea>
            </div>
        }
    });
    let mut all = hidden(i);
    all.push(("deed", "resolve".to_owned()));
    let form = view! {
        {words}
        <footer>
            {post::button("btn primary big", "check", "Resolve it".into(), "Resolving…", false)}
            <button class="btn" type="button" popovertarget="do-resolve" popovertargetaction="hide">"Leave it as it is"</button>
        </footer>
    };
    view! {
        <div class="confirm calm" id="do-resolve" popover role="dialog" aria-labelledby="do-resolve-h">
            <h2 id="do-resolve-h">"Is it over?"</h2>
            <ul class="mt" role="list">
                <li class="note">{icon("clock")}<span>"Its clock stops. It may be reopened."</span></li>
                <li class="note">{icon("status")}<span>{told}</span></li>
            </ul>
            {post::form("/do/move-incident", "", all, form.into_any())}
        </div>
    }
    .into_any()
}
