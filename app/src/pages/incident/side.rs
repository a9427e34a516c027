//! Beside it: who looks after it, what it hangs together with, its timeline.

use super::hidden;
use crate::api::refused_at;
use crate::components::common::{at, fact, nothing, sect, service_path};
use crate::components::icon::icon;
use crate::components::post;
use crate::pages::incidents::error;
use crate::pages::release::look;
use crate::when;
use leptos::prelude::*;
use model::view::{IncidentItem, IncidentPage};

pub(super) fn roles(p: &IncidentPage) -> AnyView {
    let (i, now) = (&p.incident, p.age.now);
    let since = i.lead.as_ref().map(|l| view! { <p>"since "{at(now, l.since)}</p> });
    let mine = i.lead.as_ref().map(|l| l.person) == p.me;
    let may_take = p.run.allowed && !mine && p.people.iter().any(|(id, _)| Some(*id) == p.me);
    let take = p.me.filter(|_| may_take && !i.ended()).map(|me| {
        let mut all = hidden(i);
        all.push(("person", me.to_string()));
        post::form(
            "/do/lead-incident",
            "",
            all,
            post::button("btn", "person", "Take the lead".into(), "Taking…", false),
        )
    });
    let hand = (p.run.allowed && !i.ended()).then(|| hand(p));
    let content = view! {
        <ul class="rows" role="list">
            <li>
                <div><div class="t"><b>"Lead"</b><span>{i.lead_words()}</span></div>{since}</div>
                <div class="acts">{take}</div>
            </li>
        </ul>
        {hand}
    };
    sect("r-h", "Roles", nothing(), content.into_any())
}

fn hand(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    let lead = i.lead.as_ref().map(|l| l.person);
    let people = p
        .people
        .iter()
        .map(|(id, name)| view! { <option value=id.0 selected=Some(*id) == lead>{name.clone()}</option> })
        .collect_view();
    let fields = view! {
        <div class="field">
            <label for="person">"Hand it over to"</label>
            <div class="row">
                <select class="in fit" id="person" name="person">
                    <option value="" selected=lead.is_none()>"whoever is on call"</option>{people}
                </select>
                {post::button("btn", "check", "Hand over".into(), "Handing over…", false)}
            </div>
        </div>
    };
    post::form("/do/lead-incident", "mt", hidden(i), fields.into_any())
}

pub(super) fn together(p: &IncidentPage) -> AnyView {
    let i = &p.incident;
    let release = p.release.as_ref().map(|r| {
        let words = format!("{} #{}, {}", r.service, r.id, r.version);
        let state = r.state.words().to_lowercase();
        fact(
            "Release",
            view! { <a href=format!("/releases/{}", r.id)>{words}</a>{format!(", {state}")} }.into_any(),
        )
    });
    let service = match &i.workload {
        Some(key) => view! { <a href=service_path(key)>{i.service.clone()}</a> }.into_any(),
        None => view! { {i.service.clone()} }.into_any(),
    };
    let policy = i.policy.clone().map(|name| fact("Policy", view! { {name} }.into_any()));
    let content = view! { <dl class="facts">{release}{fact("Service", service)}{policy}</dl> };
    sect("t-h", "Hangs together", nothing(), content.into_any())
}

pub(super) fn timeline(p: &IncidentPage) -> AnyView {
    let items = p.timeline.iter().map(|t| item(p, t)).collect_view();
    let audit = match p.incident.release {
        Some(id) => format!("/audit?release={id}"),
        None => format!("/audit?service={}&action=incident.", p.incident.service),
    };
    let note = p.note.allowed.then(|| note(p));
    let content = view! { {note}<ol class="line mt" role="list">{items}</ol> };
    let right = view! {
        <a href=audit>{format!("Audit, {}", when::count(p.timeline.len(), "event", "events"))}</a>
    };
    sect("l-h", "Timeline", right.into_any(), content.into_any())
}

fn note(p: &IncidentPage) -> AnyView {
    let wrong = refused_at("/do/note-incident").and_then(|f| f.at("words").map(str::to_owned));
    let fields = view! {
        <label class="vh" for="note">"Add a note: what you saw, what you did"</label>
        <div class="row">
            <input class="in grow" id="note" name="words" required maxlength="500" autocomplete="off"
                placeholder="Add a note: what you saw, what you did" aria-invalid=wrong.as_ref().map(|_| "true")/>
            {post::button("btn", "plus", "Add".into(), "Adding…", false)}
        </div>
        {error(wrong)}
    };
    let id = vec![("incident", p.incident.id.to_string())];
    post::form("/do/note-incident", "mt", id, fields.into_any())
}

fn item(p: &IncidentPage, t: &IncidentItem) -> AnyView {
    let (s, icon_name) = look(&t.action, &t.summary);
    let words = t.words.clone().map(|w| view! { <p>{format!("“{w}”")}</p> });
    let event = t.seq.map(|seq| {
        let path = format!("/audit?before={}&open={seq}", seq.0 + 1);
        view! { " "<a class="rev dim" href=path aria-label=format!("Event {seq} in the history")>"#"{seq.0}</a> }
    });
    view! {
        <li data-s=s data-key=t.seq.map(|seq| format!("event-{seq}"))>
            <time datetime=when::iso(t.at) title=when::stamp(t.at)>{when::near(p.age.now, t.at)}</time>
            {icon(icon_name)}
            <div class="wrap"><b>{t.summary.clone()}</b>" "<span class="ink2">{t.actor.clone()}</span>{event}{words}</div>
        </li>
    }
    .into_any()
}
