//! `/flags/{cluster}/{namespace}/{key}`: one flag, its kill switch, who would get it, and how it came to be as it is.

use super::who::{self, Tried};
use super::{change, changed, file, look, path_of};
use crate::api;
use crate::components::common::{ago, at, fact, fact_text, nothing, sect};
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::post;
use crate::components::tone::{self, Tone, badge, st};
use crate::when;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use model::view::{FlagChangeView, FlagKilled, FlagPage, FlagRule, FlagState, FlagVariant};

/// What stands on record where nobody gave one.
const NO_REASON: &str = "No reason was given.";

/// Name of the panel in the document.
const PANEL: &str = "kill";

pub(crate) fn page() -> AnyView {
    let p = use_params_map().get_untracked();
    let text = |key: &str| p.get(key).unwrap_or_default();
    let (cluster, namespace, key) = (text("cluster"), text("namespace"), text("key"));
    let question = use_query_map().with_untracked(who::asked);
    let read = api::flags::flag(cluster, namespace, key, question.clone());
    load::page(read, move |(p, answer)| {
        let tried = question.zip(answer).map(|(question, answer)| Tried { question, answer });
        followed("flags", view(&p, tried.as_ref()))
    })
}

pub(super) fn view(p: &FlagPage, tried: Option<&Tried>) -> AnyView {
    let f = &p.flag;
    let now = p.age.now;
    let (tone, word) = look(f.state);
    let words = match f.state {
        FlagState::Part => format!("On, {}", f.share),
        _ => word.to_owned(),
    };
    let title = format!("{}, {}", f.key, words.to_lowercase());
    let description = f.description.clone().map(|d| view! { <p class="sm ink2 wrap mt">{d}</p> });
    let forbidden = (!p.kill.allowed && p.killed.is_none()).then(|| p.kill.why_not.clone()).flatten();
    let forbidden = forbidden.map(|why| view! { <span><b>"Kill switch"</b>": "{why}</span> });
    view! {
        <Title text=title/>
        <main class="main has-bar" id="main" tabindex="-1">
            <div class="head stick">
                <div>
                    <h1><span class="mono wrap">{f.key.clone()}</span>" "{badge(tone, words)}</h1>
                    <p class="meta">
                        <span class="wrap">{f.environment.clone().unwrap_or_else(|| "everywhere".to_owned())}</span>
                        <span class="wrap">{format!("{} / {}", f.namespace, f.cluster)}</span>
                        {f.changed.as_ref().map(|c| view! { <span>"changed by "{changed(Some(c), now)}</span> })}
                    </p>
                </div>
                <div class="acts"><a class="btn only-l" href="#test">{icon("person")}"Who gets it?"</a>{opener(p, "btn stop big only-l")}</div>
            </div>
            <p class="why xs ink2">{forbidden}</p>
            {killed(p)}
            {sentence(p)}
            {change::waiting(p)}
            {file::trouble(&p.file, false)}
            {stale(p)}
            {description}
            <div class="cols two">
                <div>{change::section(p)}{rules(p)}{variants(p)}{together(p)}{history(p)}</div>
                <div>{who::section(p, tried)}{about(p)}{yaml(p)}</div>
            </div>
        </main>
        {panel(p)}
        <div class="bar only-s" role="region" aria-label="Main action">
            <a class="btn" href="#test">{icon("person")}"Who gets it?"</a>{opener(p, "btn stop grow")}
        </div>
    }
    .into_any()
}

/// What opens the panel. Where the role forbids it, it says why and does nothing; where it was pressed it is not there.
fn opener(p: &FlagPage, class: &'static str) -> AnyView {
    if p.killed.is_some() {
        return nothing();
    }
    if !p.kill.allowed {
        let why = p.kill.why_not.clone().unwrap_or_default();
        return view! {
            <button class=class type="button" aria-disabled="true" title=why.clone()>
                {icon("stop")}"Kill switch"<span class="vh">{format!(", not now: {why}")}</span>
            </button>
        }
        .into_any();
    }
    view! {
        <button class=format!("{class} pop") type="button" popovertarget=PANEL>{icon("stop")}"Kill switch"</button>
        <a class=format!("{class} no-pop") href="#kill">{icon("stop")}"Kill switch"</a>
    }
    .into_any()
}

/// The flag as a form names it.
pub(super) fn place_of(p: &FlagPage) -> Vec<(&'static str, String)> {
    let f = &p.flag;
    vec![("cluster", f.cluster.clone()), ("namespace", f.namespace.clone()), ("key", f.key.clone())]
}

fn on_for(p: &FlagPage) -> String {
    match p.flag.state {
        FlagState::On => "on for everybody it is for".to_owned(),
        FlagState::Part => format!("on for {} of those it is for", p.flag.share),
        FlagState::Off => "off".to_owned(),
        FlagState::Killed => "killed".to_owned(),
    }
}

/// What whoever is not in gets: `off (false)`.
fn default_words(p: &FlagPage) -> String {
    p.variants
        .iter()
        .find(|v| v.is_default)
        .map_or_else(|| "off".to_owned(), |v| format!("{} ({})", v.name, v.value))
}

/// Asks once more, with what it does.
fn panel(p: &FlagPage) -> AnyView {
    if !p.kill.allowed || p.killed.is_some() {
        return nothing();
    }
    let needed = (!p.needed_by.is_empty()).then(|| {
        let words = format!("Flags that need it are off with it: {}.", p.needed_by.join(", "));
        view! { <li class="note" data-s="waiting">{icon("warn")}<span class="wrap">{words}</span></li> }
    });
    let form = view! {
        <div class="field mt">
            <label for="kill-why">"Reason (optional)"</label>
            <input class="in" id="kill-why" name="reason" maxlength="500" autocomplete="off"/>
        </div>
        <footer>
            {post::button("btn stop big", "stop", "Turn it off now".to_owned(), "Turning it off…", false)}
            <button class="btn" type="button" popovertarget=PANEL popovertargetaction="hide">"Leave it as it is"</button>
            <p class="xs ink2">"Needs no approval. Recorded with your name."</p>
        </footer>
    };
    view! {
        <div class="confirm" id=PANEL popover role="dialog" aria-labelledby="kill-h">
            <h2 id="kill-h" class="wrap">{format!("Turn {} off for everybody?", p.flag.key)}</h2>
            <dl class="sum">
                <div><dt>"Now"</dt><dd>{on_for(p)}</dd></div>
                <div><dt>"After"</dt><dd>"off for everybody"</dd></div>
                <div><dt>"Until"</dt><dd>"somebody revives it"</dd></div>
            </dl>
            <ul role="list">
                <li class="note">{icon("flag")}<span class="wrap">"Everybody gets "<b>{default_words(p)}</b>"."</span></li>
                <li class="note">{icon("lock")}<span>"It stays off: whoever turns it on past Tidegate, with kubectl or from git, is overruled."</span></li>
                {needed}
            </ul>
            {post::form("/do/kill-flag", "", place_of(p), form.into_any())}
        </div>
    }
    .into_any()
}

fn killed(p: &FlagPage) -> AnyView {
    let Some(k) = &p.killed else { return nothing() };
    let FlagKilled { at: when, by, reason, recorded, written } = k;
    let reason = match reason.trim() {
        "" | NO_REASON => NO_REASON.to_owned(),
        reason => format!("“{reason}”"),
    };
    let record = if *recorded {
        view! { <small>"On record: whoever turns it on past Tidegate is overruled."</small> }.into_any()
    } else {
        view! {
            <small>
                "Not on record: so far its file alone keeps it off. Where the kill switch was pressed here, that is recorded as soon as the database answers."
            </small>
        }
        .into_any()
    };
    let mounted = (!written).then(|| {
        view! {
            <small>"The ConfigMap does not say so yet: services that mount it, instead of asking here, still have it as it was. It is written as soon as that can be."</small>
        }
    });
    let revive = p.revive.as_ref().map(|deed| {
        if !deed.allowed {
            let why = deed.why_not.clone().unwrap_or_default();
            return view! { <p class="xs ink2">{format!("Revive it: {why}")}</p> }.into_any();
        }
        let form = view! {
            <p>"It stays off until it is turned on."</p>
            <div class="field">
                <label for="revive-why">"Why it may be used again"</label>
                <input class="in" id="revive-why" name="reason" required maxlength="500" autocomplete="off"/>
            </div>
            <div class="acts">{post::button("btn", "undo", "Revive it".to_owned(), "Reviving…", false)}</div>
        };
        view! {
            <details class="sm">
                <summary>"Revive this flag"</summary>
                {post::form("/do/revive-flag", "stackf mt", place_of(p), form.into_any())}
            </details>
        }
        .into_any()
    });
    view! {
        <div class="say" data-s="degraded" role="status">
            <p>
                <strong>"Killed "{at(p.age.now, *when)}" by "<span class="wrap">{by.clone()}</span>": off for everybody."</strong>
                <small class="wrap">{reason}</small>{record}{mounted}
            </p>
            {revive}
        </div>
    }
    .into_any()
}

/// What is, in a sentence. The banner of a killed one says it.
fn sentence(p: &FlagPage) -> AnyView {
    let f = &p.flag;
    let (bold, small) = match f.state {
        FlagState::Killed => return nothing(),
        FlagState::Off => ("Off: nobody gets it.".to_owned(), String::new()),
        FlagState::On | FlagState::Part => {
            let for_whom = match p.rules.as_slice() {
                [_, _, ..] => "Rules below decide, the first that holds.".to_owned(),
                _ if f.conditions.is_empty() => String::new(),
                _ => format!("For whom {}.", f.conditions.join(" and ")),
            };
            let bold = match f.state {
                FlagState::On => "On for everybody it is for.".to_owned(),
                _ => format!("On for {} of those it is for.", f.share),
            };
            (bold, for_whom)
        }
    };
    let small = (!small.is_empty()).then(|| view! { <small class="wrap">{small}</small> });
    view! { <div class="say" data-s=look(f.state).0.s><p><strong>{bold}</strong>{small}</p></div> }.into_any()
}

fn stale(p: &FlagPage) -> AnyView {
    if p.flag.stale.is_empty() {
        return nothing();
    }
    let words = p.flag.stale.join(" ");
    view! { <p class="note box mt" data-s="waiting">{icon("clock")}<span class="wrap"><b>"Looks forgotten. "</b>{words}</span></p> }
        .into_any()
}

fn rules(p: &FlagPage) -> AnyView {
    let rows = p.rules.iter().enumerate().map(|(i, r)| rule(i, r)).collect_view();
    let right = match p.rules.len() {
        0 | 1 => nothing(),
        _ => view! { <span class="sm ink2">"the first that holds decides"</span> }.into_any(),
    };
    let content = view! { <ol class="rows rules" role="list">{rows}</ol> };
    sect("rules-h", "Rules", right, content.into_any())
}

fn rule(i: usize, r: &FlagRule) -> AnyView {
    let conditions =
        if r.conditions.is_empty() { "no conditions".to_owned() } else { r.conditions.join(" and ") };
    view! {
        <li>
            <div><b class="sm wrap">{format!("{}. {}", i + 1, r.name)}</b><p class="wrap">{conditions}</p></div>
            <span class="sm wrap"><b>{r.share.clone()}</b>" get "{r.serve.clone()}</span>
        </li>
    }
    .into_any()
}

fn variants(p: &FlagPage) -> AnyView {
    if p.variants.is_empty() {
        return nothing();
    }
    let row = |v: &FlagVariant| {
        let default = v.is_default.then(|| view! { <span class="sm ink2">"for whoever is not in"</span> });
        view! {
            <li>
                <div><b class="sm wrap">{v.name.clone()}</b><p class="mono wrap">{v.value.clone()}</p></div>
                {default}
            </li>
        }
    };
    let rows = p.variants.iter().map(row).collect_view();
    sect("variants-h", "Variants", nothing(), view! { <ul class="rows" role="list">{rows}</ul> }.into_any())
}

/// Flags that it needs, and that need it.
fn together(p: &FlagPage) -> AnyView {
    if p.prerequisites.is_empty() && p.needed_by.is_empty() {
        return nothing();
    }
    let needs = (!p.prerequisites.is_empty()).then(|| fact_text("Needs that", p.prerequisites.join(", ")));
    let links = p.needed_by.iter().map(|key| {
        let path = path_of(&p.flag.cluster, &p.flag.namespace, key);
        view! { <a class="mono wrap" href=path>{key.clone()}</a>" " }
    });
    let needed =
        (!p.needed_by.is_empty()).then(|| fact("Is needed by", view! { {links.collect_view()} }.into_any()));
    let content = view! { <dl class="facts">{needs}{needed}</dl> };
    sect("together-h", "Hangs together", nothing(), content.into_any())
}

fn about(p: &FlagPage) -> AnyView {
    let (f, now) = (&p.flag, p.age.now);
    let ends = f.expires.map_or_else(
        || "no end".to_owned(),
        |end| match end > now {
            true => format!("{}, {}", when::day(end), when::ago(now, end)),
            false => format!("{}, past", when::day(end)),
        },
    );
    let content = view! {
        <dl class="facts">
            {fact_text("Type", f.kind.clone())}
            {fact_text("Owner", f.owner.clone().unwrap_or_else(|| "nobody".to_owned()))}
            {fact_text("Ends", ends)}
            {fact_text("Not in, or off", default_words(p))}
            {fact("Told apart by", view! { <span class="mono">{p.rollout_by.clone()}</span> }.into_any())}
            {fact("Salt", view! { <span class="mono">{p.salt.clone()}</span>": it decides who is in. Raising the share takes nobody out." }.into_any())}
            {fact("Written in", view! { <span class="wrap">{file::place(&p.file)}</span>" "{file::line(&p.file, now)} }.into_any())}
        </dl>
    };
    let right = view! { <a href="/flags">"All flags"</a> }.into_any();
    sect("about-h", "About", right, content.into_any())
}

fn yaml(p: &FlagPage) -> AnyView {
    let text = p.yaml.clone();
    let content = view! { <pre class="yaml" tabindex="0" role="region" aria-label="This flag in flags.yaml"><code>{text}</code></pre> };
    sect("yaml-h", "As it is written", nothing(), content.into_any())
}

fn history(p: &FlagPage) -> AnyView {
    let row = |h: &FlagChangeView| {
        let what = match h.changed.outside {
            true => st(tone::WAITING, "changed outside Tidegate"),
            false => st(Tone { s: "progressing", icon: "check" }, "changed here"),
        };
        let words = h.words.iter().map(|w| view! { <li class="wrap">{w.clone()}</li> }).collect_view();
        view! {
            <li data-key=format!("flag-change-{}", h.id)>
                <div>
                    <div class="t"><span class="sm wrap">{h.changed.by.clone()}</span>{what}<span class="sm dim">{ago(p.age.now, h.changed.at)}</span></div>
                    <ul class="sm ink2" role="list">{words}</ul>
                </div>
            </li>
        }
    };
    let content = if p.history.is_empty() {
        let words = match p.age.database {
            true => "No change of it is on record.",
            false => "The database does not answer, so its history is not shown. The kill switch works.",
        };
        view! { <p class="sm ink2 mt">{words}</p> }.into_any()
    } else {
        let rows = p.history.iter().map(row).collect_view();
        view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
    };
    sect(
        "history-h",
        "Who changed it",
        view! { <span class="sm ink2">"newest first"</span> }.into_any(),
        content,
    )
}
