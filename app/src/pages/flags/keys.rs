//! Keys that services ask with: who has one, making one, and the one time that its secret is shown.

use crate::Fault;
use crate::api;
use crate::api::door;
use crate::api::flags::{IssuedKey, NewKey};
use crate::components::common::{ago, fact_text, note, nothing, sect};
use crate::components::icon::icon;
use crate::components::load;
use crate::components::post;
use crate::components::tone::{self, count, st};
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use model::view::{FlagKeyView, FlagsPage};

/// Where a key is made. The server answers a post with a page, not by sending the browser on: nothing keeps the secret.
pub(crate) const ISSUE: &str = "/do/issue-flag-key";

/// On the page of all flags.
pub(super) fn section(p: &FlagsPage) -> AnyView {
    let may = p.manage_keys.allowed;
    if !may && p.keys.is_empty() {
        return nothing();
    }
    let in_use = p.keys.iter().filter(|k| k.revoked.is_none()).count();
    let new = (may && !p.files.is_empty())
        .then(|| view! { <a class="btn small" href="/flags/keys/new">{icon("key")}"New key"</a> });
    let right = view! { <span class="row">{count(in_use, None)}{new}</span> }.into_any();
    let rows = p.keys.iter().map(|k| row(k, may, p.age.now)).collect_view();
    let content = if p.keys.is_empty() {
        view! { <p class="sm ink2 mt">"No service has a key yet. With one it asks Tidegate who gets what (OFREP), instead of reading the ConfigMap."</p> }
            .into_any()
    } else {
        view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
    };
    sect("keys-h", "Keys of services", right, content)
}

fn row(k: &FlagKeyView, may: bool, now: DateTime<Utc>) -> AnyView {
    let of = k.environment.clone().unwrap_or_else(|| "all environments".to_owned());
    let state = match k.revoked {
        None => st(tone::HEALTHY, "In use"),
        Some(_) => st(tone::UNKNOWN, "Withdrawn"),
    };
    let revoked = k.revoked.map(|at| view! { <span>"withdrawn "{ago(now, at)}</span> });
    let act = (may && k.revoked.is_none()).then(|| {
        let label = format!("Withdraw the key {}", k.name);
        let button = view! {
            <p>"Services that ask with it are refused from then on, and use what they got last."</p>
            <button class="btn stop small" type="submit" data-busy="Withdrawing…" aria-label=label>{icon("x")}<span>"Withdraw it"</span></button>
        };
        view! {
            <details class="sm">
                <summary aria-label=format!("Withdraw {}…", k.name)>"Withdraw…"</summary>
                {post::form("/do/withdraw-flag-key", "stackf mt", vec![("id", k.id.to_string())], button.into_any())}
            </details>
        }
    });
    view! {
        <li data-key=format!("flag-key-{}", k.id)>
            <div>
                <div class="t"><b class="sm wrap">{k.name.clone()}</b>{state}</div>
                <p class="meta">
                    <span class="wrap">{format!("{} / {}", k.namespace, k.cluster)}</span><span class="wrap">{of}</span>
                    <span>"made by "<span class="wrap">{k.created_by.clone()}</span>", "{ago(now, k.created)}</span>{revoked}
                </p>
                {act}
            </div>
        </li>
    }
    .into_any()
}

/// The form; after it was posted the secret, or what was wrong.
pub(crate) fn new_page() -> AnyView {
    let (asked, refused) = match use_context::<IssuedKey>() {
        // Nothing is read that could fail: the secret is shown now or never.
        Some(IssuedKey { answer: Ok((key, secret)), .. }) => return issued(&key, &secret),
        Some(IssuedKey { asked, answer: Err(fault) }) => (asked, Some(fault)),
        None => (NewKey::default(), None),
    };
    load::page(api::flags::flags(), move |p: FlagsPage| {
        if let Some(fault) = &refused {
            door::status(fault.status);
        }
        form(&p, &asked, refused.as_ref())
    })
}

/// The one time that the secret is shown.
pub(super) fn issued(key: &FlagKeyView, secret: &str) -> AnyView {
    let of = key.environment.clone().unwrap_or_else(|| "flags of every environment".to_owned());
    let content = view! {
        <dl class="facts">
            {fact_text("Name", key.name.clone())}
            {fact_text("Answers for", format!("{} / {}, {of}", key.namespace, key.cluster))}
        </dl>
        <div class="field mt">
            <label for="secret">"The key"</label>
            <input class="in mono" id="secret" readonly value=secret.to_owned() autocomplete="off" spellcheck="false" autofocus/>
        </div>
        <p class="sm ink2 mt">
            "A service sends it with each question, to "<code class="wrap">"/ofrep/v1/evaluate/flags"</code>" of this address, as "
            <code class="wrap">"Authorization: Bearer …"</code>"."
        </p>
        <div class="acts mt"><a class="btn primary" href="/flags#keys-h">{icon("check")}"I have put it away"</a></div>
    };
    view! {
        <Title text="A new key"/>
        <main class="main" id="main" tabindex="-1">
            <div class="head"><div><h1>"A new key, shown this once"</h1></div></div>
            {note(
                tone::WAITING,
                "Put it away now.".into(),
                "Tidegate keeps a fingerprint of it only: nobody can show it again. Whoever loses it makes another.".into(),
            )}
            <div class="ask">{content}</div>
        </main>
    }
    .into_any()
}

pub(super) fn form(p: &FlagsPage, asked: &NewKey, refused: Option<&Fault>) -> AnyView {
    let wrong = |field: &str| refused.and_then(|f| f.at(field)).map(str::to_owned);
    let told = refused
        .filter(|f| !["name", "namespace", "cluster", "environment"].iter().any(|n| f.at(n).is_some()));
    let told = told.map(post::refusal);
    let places = p
        .files
        .iter()
        .map(|f| {
            let place = format!("{}/{}", f.cluster, f.namespace);
            let chosen = asked.place == place;
            view! { <option value=place selected=chosen>{format!("{} / {}", f.namespace, f.cluster)}</option> }
        })
        .collect_view();
    let error = |words: Option<String>, id: &'static str| {
        words.map(|w| view! { <span class="err" id=id>{icon("warn")}{w}</span> })
    };
    let (name, place, environment) =
        (wrong("name"), wrong("namespace").or_else(|| wrong("cluster")), wrong("environment"));
    let invalid = |words: &Option<String>| words.as_ref().map(|_| "true");
    let content = if !p.manage_keys.allowed {
        let why = p.manage_keys.why_not.clone().unwrap_or_default();
        view! { <p class="note box mt" data-s="waiting">{icon("lock")}<span>{why}</span></p> }.into_any()
    } else if p.files.is_empty() {
        view! { <p class="ink2 mt">"There is no ConfigMap feature-flags yet, so there is nothing to ask for."</p> }.into_any()
    } else {
        view! {
            <form method="post" action=ISSUE class="stackf mt">
                <div class="field">
                    <label for="name">"Name: which service asks with it"</label>
                    <input class="in" id="name" name="name" required maxlength="80" autocomplete="off" value=asked.name.clone()
                        aria-invalid=invalid(&name) aria-describedby=name.as_ref().map(|_| "name-e")/>
                    {error(name, "name-e")}
                </div>
                <div class="field">
                    <label for="place">"Namespace: whose flags it may ask for"</label>
                    <select class="in" id="place" name="place" aria-invalid=invalid(&place) aria-describedby=place.as_ref().map(|_| "place-e")>{places}</select>
                    {error(place, "place-e")}
                </div>
                <div class="field">
                    <label for="environment">"Environment (optional)"</label>
                    <input class="in" id="environment" name="environment" autocomplete="off" value=asked.environment.clone() placeholder="production"
                        aria-invalid=invalid(&environment) aria-describedby="environment-h"/>
                    <span class="hint" id="environment-h">"With one, flags of another environment are off for it. Without, it is not looked at."</span>
                    {error(environment, "environment-e")}
                </div>
                <div class="acts">
                    <button class="btn primary" type="submit">{icon("key")}"Make the key"</button>
                    <a class="btn quiet" href="/flags">"Leave it"</a>
                </div>
            </form>
        }
        .into_any()
    };
    view! {
        <Title text="New key"/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>"A key for a service"</h1>
                    <p class="meta"><span>"It asks for flags of one namespace, and can change nothing. It is shown once."</span></p>
                </div>
            </div>
            <div class="ask">{told}{content}</div>
        </main>
    }
    .into_any()
}
