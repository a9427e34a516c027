//! A rollback policy that watches something: that it does, and, once it has fired, what it did and what is to come.

use super::common::{at, nothing, sect};
use super::icon::icon;
use super::post;
use super::tone::{self, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::view::{FiringAction, FiringView, PolicyWatch};

/// The countdown, and stopping it: by a form that posts `hidden` to `action`.
pub(crate) fn to_come(
    name: &str,
    f: &FiringView,
    action: &'static str,
    hidden: Vec<(&'static str, String)>,
    base: DateTime<Utc>,
) -> AnyView {
    let (title, small) = match f.rolls_back_at {
        Some(_) => (format!("Policy {name} rolls this back, unless somebody stops it."), "It fired on "),
        None => (
            format!("Policy {name} asks: roll this back?"),
            "Nothing happens until somebody says so. It fired on ",
        ),
    };
    let small = format!("{small}{}.", f.words);
    let count = f.rolls_back_at.map(|at| {
        let label = format!("Rolls back at {}", when::clock(at));
        view! {
            <div class="count" role="timer" aria-label=label>
                <span data-until=at.timestamp_millis()>{when::left(base, at)}</span><small>"until it rolls back"</small>
            </div>
        }
    });
    let stop = match &f.stop {
        Some(deed) if deed.allowed => stop(action, hidden),
        Some(deed) => {
            let why = deed.why_not.clone().unwrap_or_default();
            view! { <p class="sm ink2">{why}</p> }.into_any()
        }
        None => nothing(),
    };
    view! {
        <div class="say" data-s="rolled-back">
            <p><strong>{title}</strong><small>{small}</small></p>
            {count}
            {stop}
        </div>
    }
    .into_any()
}

fn stop(action: &'static str, hidden: Vec<(&'static str, String)>) -> AnyView {
    let form = view! {
        <div class="field">
            <label for="stop-why">"Why the version may stay"</label>
            <input class="in" id="stop-why" name="reason" maxlength="500" autocomplete="off" required/>
        </div>
        {post::button("btn", "stop", "Stop the rollback".into(), "Stopping…", true)}
    };
    view! {
        <details class="sm"><summary>"Stop it"</summary>
            {post::form(action, "stackf mt", hidden, form.into_any())}
        </details>
    }
    .into_any()
}

/// What watches, what fired, each action with its time.
pub(crate) fn shown(w: &PolicyWatch, base: DateTime<Utc>) -> AnyView {
    let Some(f) = &w.firing else {
        let words = format!("{} fires on {}.", w.name, w.fires_when);
        let words = view! { <p class="sm mt">{words}</p> };
        return sect("pol-h", "Rollback policy", st(tone::HEALTHY, "Watches"), words.into_any());
    };
    let right = match (&f.stopped, f.stop.is_some()) {
        (Some(_), _) => st(tone::HELD, "Stopped"),
        (None, true) => st(tone::ROLLED_BACK, "Counts down"),
        (None, false) => st(tone::DEGRADED, "Fired"),
    };
    let actions = f.actions.iter().map(|a| action(a, base)).collect_view();
    let stopped = f.stopped.as_ref().map(|(who, time, why)| {
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let words = format!("Stopped by {who} {}{why}.", when::near(base, *time));
        view! { <p class="sm mt">{words}</p> }
    });
    let fired = format!("{} fired {} on {}.", w.name, when::near(base, f.at), f.words);
    let content = view! {
        <p class="sm mt">{fired}</p>
        <ul class="gates mt" role="list" aria-live="polite">{actions}</ul>
        {stopped}
    };
    sect("pol-h", "Rollback policy", right, content.into_any())
}

fn action(a: &FiringAction, base: DateTime<Utc>) -> AnyView {
    let (s, look, figure) = match a.at {
        Some(time) => ("healthy", "check", at(base, time)),
        None => ("unknown", "clock", "not yet".into_any()),
    };
    view! { <li data-s=s>{icon(look)}<b>{a.title.clone()}</b><span>{figure}</span><small>{a.words.clone()}</small></li> }
        .into_any()
}
