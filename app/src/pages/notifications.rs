//! `/notifications`: where they go, and what was told.

pub(crate) mod form;

use crate::api;
use crate::components::common::{ago, at, empty, note, nothing, scroll, sect};
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::post;
use crate::components::tone::{self, Tone, count, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use model::notify::{Happened, State};
use model::policy::Channel;
use model::view::{DestinationView, NotificationView, NotificationsFilter, NotificationsPage};

pub(crate) fn page() -> AnyView {
    let filter = use_query_map().with_untracked(filter_of);
    load::page(api::notifications::notifications(filter), move |p| followed("notifications", view(&p)))
}

fn filter_of(q: &ParamsMap) -> NotificationsFilter {
    let number = |key: &str| q.get(key).and_then(|v| v.trim().parse().ok());
    NotificationsFilter {
        state: match q.get("state").as_deref() {
            Some("waiting") => Some(State::Waiting),
            Some("failed") => Some(State::Failed),
            Some("sent") => Some(State::Sent),
            _ => None,
        },
        destination: number("destination"),
        before: number("before"),
    }
}

/// The filter as an address, with another place to begin.
fn address(f: &NotificationsFilter, before: Option<i64>) -> String {
    let mut q = ParamsMap::new();
    let state = f.state.map(|s| match s {
        State::Waiting => "waiting",
        State::Sent => "sent",
        State::Failed => "failed",
    });
    let all = [
        ("state", state.map(str::to_owned)),
        ("destination", f.destination.map(|n| n.to_string())),
        ("before", before.map(|n| n.to_string())),
    ];
    for (key, value) in all {
        if let Some(value) = value {
            q.insert(key, value);
        }
    }
    format!("/notifications{}", q.to_query_string())
}

pub(crate) fn kind_words(kind: Channel) -> &'static str {
    match kind {
        Channel::Slack => "Slack",
        Channel::Pagerduty => "PagerDuty",
        Channel::Email => "E-mail",
        Channel::Webhook => "Webhook",
    }
}

pub(super) fn view(p: &NotificationsPage) -> AnyView {
    let now = p.age.now;
    let title = match (p.destinations.len(), p.failed, p.waiting) {
        (0, ..) => "Nobody is told of anything yet".to_owned(),
        (_, 0, 0) => "Everything was delivered".to_owned(),
        (_, 0, n) => count_of(n, "notification waits", "notifications wait"),
        (_, n, _) => {
            count_of(n, "notification was given up within a day", "notifications were given up within a day")
        }
    };
    let add = p.administer.allowed.then(|| {
        view! { <a class="btn primary" href="/notifications/new">{icon("plus")}"Add a destination"</a> }
    });
    let why =
        (!p.administer.allowed).then(|| view! { <span>"destinations are changed by administrators"</span> });
    let unsealed = (p.administer.allowed && !p.sealing).then(|| {
        note(
            tone::WAITING,
            "Secrets come from the environment only.".into(),
            "Tidegate has no key to encrypt them with. Set TIDEGATE_SECRET_KEY to enter them here.".into(),
        )
    });
    view! {
        <Title text=title.clone()/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>{title}</h1>
                    <p class="meta">
                        <span>{when::stamp(now)}</span>
                        <span>"each is tried for a day, and told at least once"</span>
                        {why}
                    </p>
                </div>
                <div class="acts">{add}</div>
            </div>
            {unsealed}
            {sect("d-h", "Destinations", count(p.destinations.len(), None), destinations(now, p))}
            {sect("l-h", "Told", view! { <span class="sm ink2">"newest first"</span> }.into_any(), log(now, p))}
            {older(p)}
        </main>
    }
    .into_any()
}

fn count_of(n: u32, one: &str, many: &str) -> String {
    when::count(usize::try_from(n).unwrap_or(usize::MAX), one, many)
}

fn destinations(now: DateTime<Utc>, p: &NotificationsPage) -> AnyView {
    if p.destinations.is_empty() {
        let act = if p.administer.allowed {
            view! { <a class="btn" href="/notifications/new">{icon("plus")}"Add a destination"</a> }
                .into_any()
        } else {
            nothing()
        };
        return empty(
            "incident",
            "No destination".into(),
            "Rollback policies tell Slack, PagerDuty, mail or a webhook. Until one is added, they tell nobody."
                .into(),
            act,
        );
    }
    let rows = p.destinations.iter().map(|d| destination(now, d, p.administer.allowed)).collect_view();
    view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
}

/// How a destination does, by the last that was tried.
fn health(d: &DestinationView) -> (Tone, &'static str) {
    if d.secret.trouble.is_some() {
        return (tone::DEGRADED, "Its secret cannot be used");
    }
    match d.last.as_ref().map(|l| l.state) {
        None => (tone::UNKNOWN, "Not tried yet"),
        Some(State::Sent) => (tone::HEALTHY, "Works"),
        Some(State::Waiting) => (tone::WAITING, "Tries again"),
        Some(State::Failed) => (tone::DEGRADED, "Fails"),
    }
}

fn destination(now: DateTime<Utc>, d: &DestinationView, administer: bool) -> AnyView {
    let (tone, words) = health(d);
    let of = d.environment.clone().unwrap_or_else(|| "all environments".to_owned());
    let secret = match (&d.secret.variable, d.secret.sealed) {
        (Some(name), _) => Some(format!("secret in {name}")),
        (None, true) => Some("secret encrypted".to_owned()),
        (None, false) => None,
    };
    let last = d.last.as_ref().filter(|l| l.state == State::Sent).map(|l| {
        view! { <span>"last delivered "{ago(now, l.at)}</span> }
    });
    let trouble = d.secret.trouble.clone().or_else(|| d.last.as_ref().and_then(|l| l.error.clone()));
    let trouble = trouble.map(|words| view! { <p class="wrap">{words}</p> });
    let acts = administer.then(|| {
        let id = vec![("id", d.id.to_string())];
        let test = view! {
            <button class="btn small" type="submit" data-busy="Sending…" aria-label=format!("Send a test to {}", d.name)>
                <span>"Send a test"</span>
            </button>
        };
        view! {
            <div class="acts">
                {post::form("/do/test-destination", "", id, test.into_any())}
                <a class="btn small" href=format!("/notifications/{}", d.id) aria-label=format!("Change {}", d.name)>"Change"</a>
            </div>
        }
    });
    view! {
        <li>
            <div>
                <div class="t"><b class="sm wrap">{d.name.clone()}</b>{st(tone, words)}</div>
                <p class="meta">
                    <span>{kind_words(d.kind)}</span><span class="wrap">{d.target.clone()}</span><span>{of}</span>
                    {secret.map(|s| view! { <span class="wrap">{s}</span> })}{last}
                </p>
                {trouble}
            </div>
            {acts}
        </li>
    }
    .into_any()
}

fn log(now: DateTime<Utc>, p: &NotificationsPage) -> AnyView {
    let f = &p.filter;
    let tab = |state: Option<State>, words: &'static str, n: Option<(u32, &'static str)>| {
        let href = address(&NotificationsFilter { state, destination: f.destination, before: None }, None);
        let n = n.filter(|(n, _)| *n > 0).map(|(n, s)| count(usize::try_from(n).unwrap_or(0), Some(s)));
        let current = (f.state == state).then_some("page");
        view! { <a href=href aria-current=current>{words}" "{n}</a> }
    };
    let tabs = view! {
        <nav class="tabs" aria-label="States">
            {tab(None, "All", None)}
            {tab(Some(State::Waiting), "Waiting", Some((p.waiting, "waiting")))}
            {tab(Some(State::Failed), "Given up", Some((p.failed, "degraded")))}
            {tab(Some(State::Sent), "Delivered", None)}
        </nav>
    };
    let rows = p.rows.iter().map(|n| row(now, n)).collect_view();
    let content = if p.rows.is_empty() {
        empty(
            "audit",
            "Nothing here".into(),
            "What policies tell, and tests, stand here with what became of them.".into(),
            nothing(),
        )
    } else {
        let table = view! {
            <table class="table flip">
                <caption class="vh">"Notifications, newest first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"When"</th><th scope="col">"Result"</th><th scope="col">"What"</th>
                        <th scope="col">"To"</th><th scope="col" class="r">"Tries"</th>
                        <th scope="col" class="r"><span class="vh">"Deed"</span></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        };
        scroll("Notifications, table", table.into_any())
    };
    view! { {tabs}{content} }.into_any()
}

fn row(now: DateTime<Utc>, n: &NotificationView) -> AnyView {
    let (tone, words) = match n.state {
        State::Sent => (tone::HEALTHY, "Delivered"),
        State::Failed => (tone::DEGRADED, "Given up"),
        State::Waiting if n.attempts == 0 => (tone::PROGRESSING, "On its way"),
        State::Waiting => (tone::WAITING, "Tries again"),
    };
    let opening = match n.what {
        Happened::Fired | Happened::Told => "",
        Happened::Resolved => "Over: ",
        Happened::Test => "Test: ",
    };
    let next = n.next_try.filter(|_| n.attempts > 0).map(|t| view! { ", next "{at(now, t)} });
    // One try is not worth a line on a phone.
    let tries = if n.attempts > 1 { "r ink2 nowrap" } else { "r ink2 nowrap xs-no" };
    let error = n.last_error.clone().map(|e| view! { <p class="xs ink2 wrap">{e}</p> });
    let again = n.again.allowed.then(|| {
        let label = format!("Try again: {}, to {}", n.title, n.destination_name);
        let button = view! {
            <button class="btn small" type="submit" data-busy="Trying…" aria-label=label><span>"Try again"</span></button>
        };
        post::form("/do/retry-notification", "", vec![("id", n.id.to_string())], button.into_any())
    });
    let what = if n.path == "/notifications" {
        view! { <span class="wrap">{opening}{n.title.clone()}</span> }.into_any()
    } else {
        view! { <a class="wrap" href=n.path.clone()>{opening}{n.title.clone()}</a> }.into_any()
    };
    view! {
        <tr>
            <th scope="row" class="nowrap">{at(now, n.created)}</th>
            <td class="nowrap">{st(tone, words)}</td>
            <td class="xs-all">{what}{error}</td>
            <td class="ink2 wrap">{kind_words(n.kind)}", "{n.destination_name.clone()}</td>
            <td class=tries>{(n.attempts > 0).then_some(n.attempts)}{next}</td>
            <td class="r">{again}</td>
        </tr>
    }
    .into_any()
}

fn older(p: &NotificationsPage) -> AnyView {
    let older = p.next.map(|n| {
        view! { <a class="btn small" rel="next" href=address(&p.filter, Some(n))>"Older"</a> }
    });
    let newest = p.filter.before.map(|_| {
        view! { <a class="btn small" href=address(&p.filter, None)>"Newest"</a> }
    });
    if older.is_none() && newest.is_none() {
        return nothing();
    }
    view! { <nav class="row mt" aria-label="Pages">{newest}{older}</nav> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filter() {
        let f = NotificationsFilter { state: Some(State::Failed), destination: Some(3), before: None };
        let link = address(&f, Some(40));
        for part in ["state=failed", "destination=3", "before=40"] {
            assert!(link.contains(part), "{link}");
        }
        assert_eq!(address(&NotificationsFilter::default(), None), "/notifications");
    }
}
