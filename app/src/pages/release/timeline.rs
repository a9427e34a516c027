//! When, what, who, why: the release's part of the history, newest first.

use super::Seen;
use crate::components::icon::icon;
use crate::when;
use leptos::prelude::*;
use model::Seq;
use model::view::{ReleasePage, TimelineItem};

pub(super) fn section(p: &ReleasePage, seen: Seen) -> AnyView {
    let base = seen.base;
    // What comes later than the page flashes once.
    let newest = p.timeline.iter().map(|t| t.seq).max().unwrap_or(Seq(0));
    let audit = format!("/audit?release={}", p.id);
    let count = move || when::count(seen.timeline.with(Vec::len), "event", "events");
    view! {
        <section class="sect third" aria-labelledby="tl-h">
            <header><h2 id="tl-h">"Timeline"</h2><a href=audit>"Audit, "{count}</a></header>
            <ol class="line mt" role="list">
                <For each=move || seen.timeline.get() key=|t| t.seq let:t>
                    {item(&t, t.seq > newest, base)}
                </For>
            </ol>
        </section>
    }
    .into_any()
}

fn item(t: &TimelineItem, new: bool, base: chrono::DateTime<chrono::Utc>) -> AnyView {
    let (s, icon_name) = look(&t.action, &t.summary);
    let reason = t.reason.clone().filter(|r| !r.is_empty()).map(|r| view! { <p>{format!("“{r}”")}</p> });
    view! {
        <li data-s=s class:flash=new>
            <time datetime=when::iso(t.at) title=when::stamp(t.at)>{when::near(base, t.at)}</time>
            {icon(icon_name)}
            <div class="wrap"><b>{t.summary.clone()}</b>" "<span class="ink2">{t.actor.clone()}</span>{reason}</div>
        </li>
    }
    .into_any()
}

/// Colour and icon by the action's words. An action nobody thought of is neutral.
pub(crate) fn look(action: &str, summary: &str) -> (Option<&'static str>, &'static str) {
    if action.contains("verdict") {
        return verdict(summary);
    }
    let has = |word: &str| action.contains(word);
    if let Some(deed) = action.strip_prefix("incident.") {
        return incident(deed);
    }
    if has("rollback") || has("rolled") || has("rolling") {
        (Some("rolled-back"), "undo")
    } else if has("fail") || has("refused") {
        (Some("degraded"), "x")
    } else if has("stalled") {
        (Some("degraded"), "warn")
    } else if has("not_") {
        (Some("waiting"), "warn")
    } else if has("approved") || has("opened") || has("passed") || has("proved") || has("known-good") {
        (Some("healthy"), "check")
    } else if has("succeeded") || has("complete") {
        (Some("healthy"), "ok")
    } else if has("paused") || has("held") {
        (Some("waiting"), "pause")
    } else if has("abort") || has("cancel") || has("stopped") || has("rejected") || has("revoked") {
        (Some("waiting"), "stop")
    } else if has("skip") || has("promot") || has("waived") {
        (Some("progressing"), "skip")
    } else if has("started") || has("deploy") {
        (Some("progressing"), "deploy")
    } else if has("weight") || has("reached") || has("raised") || has("resumed") {
        (Some("progressing"), "up")
    } else if has("reverted") {
        (Some("rolled-back"), "undo")
    } else if has("plan.") {
        (None, "plan")
    } else if has("person") || has("token") || has("session") {
        (None, "person")
    } else {
        (None, "dot")
    }
}

fn incident(deed: &str) -> (Option<&'static str>, &'static str) {
    match deed {
        "opened" | "reopened" => (Some("degraded"), "incident"),
        "watched" => (Some("progressing"), "clock"),
        "resolved" => (Some("healthy"), "ok"),
        "lead" => (None, "person"),
        "noted" => (None, "plan"),
        "told" | "published" | "unpublished" => (None, "status"),
        _ => (None, "incident"),
    }
}

/// A verdict's colour is its class, which its first words name.
fn verdict(summary: &str) -> (Option<&'static str>, &'static str) {
    let words = summary.to_ascii_lowercase();
    let says = |word: &str| words.get(..24.min(words.len())).unwrap_or(&words).contains(word);
    if says("fail") {
        (Some("degraded"), "x")
    } else if says("marginal") {
        (Some("waiting"), "warn")
    } else if says("pass") {
        (Some("healthy"), "check")
    } else {
        (Some("unknown"), "ask")
    }
}
