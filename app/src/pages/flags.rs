//! `/flags`: every feature flag, what of it is on, for whom, and who changed it last.

mod change;
mod file;
pub(crate) mod keys;
pub(crate) mod one;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a page that does not say what it must stops the test")]
mod tests;
mod who;

use crate::api;
use crate::api::door::encode;
use crate::components::common::{ago, empty, nothing, scroll};
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::tone::{self, Tone, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use model::view::{FlagChanged, FlagFileView, FlagRow, FlagState, FlagsPage};

/// Rows of one page: a file may hold thousands.
const ROWS: usize = 200;

pub(crate) fn page() -> AnyView {
    let filter = use_query_map().with_untracked(Filter::of);
    load::page(api::flags::flags(), move |p| followed("flags", view(&p, &filter)))
}

/// The address of a flag's page.
pub(crate) fn path_of(cluster: &str, namespace: &str, key: &str) -> String {
    format!("/flags/{}/{}/{}", encode(cluster), encode(namespace), encode(key))
}

/// Which flags to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Show {
    #[default]
    All,
    On,
    Off,
    Killed,
    Stale,
}

const SHOWN: [(Show, &str, &str); 5] = [
    (Show::All, "all", "All"),
    (Show::On, "on", "On"),
    (Show::Off, "off", "Off"),
    (Show::Killed, "killed", "Killed"),
    (Show::Stale, "stale", "Stale"),
];

impl Show {
    fn key(self) -> &'static str {
        SHOWN.into_iter().find(|(show, ..)| *show == self).map_or("all", |(_, key, _)| key)
    }

    fn holds(self, f: &FlagRow) -> bool {
        match self {
            Self::All => true,
            Self::On => matches!(f.state, FlagState::On | FlagState::Part),
            Self::Off => f.state == FlagState::Off,
            Self::Killed => f.state == FlagState::Killed,
            Self::Stale => !f.stale.is_empty(),
        }
    }
}

/// What the address asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    q: String,
    show: Show,
    from: usize,
}

impl Filter {
    fn of(q: &ParamsMap) -> Self {
        let text = |key: &str| q.get(key).map(|v| v.trim().to_owned()).unwrap_or_default();
        let show = text("show");
        Self {
            q: text("q"),
            show: SHOWN.into_iter().find(|(_, key, _)| *key == show).map_or(Show::All, |(show, ..)| show),
            from: text("from").parse().unwrap_or(0),
        }
    }

    fn link(&self, from: usize) -> String {
        let mut q = ParamsMap::new();
        if !self.q.is_empty() {
            q.insert("q", self.q.clone());
        }
        if self.show != Show::All {
            q.insert("show", self.show.key().to_owned());
        }
        if from > 0 {
            q.insert("from", from.to_string());
        }
        format!("/flags{}", q.to_query_string())
    }

    /// Every word must be somewhere in the flag.
    fn finds(&self, f: &FlagRow) -> bool {
        let mut all = format!(
            "{} {} {} {} {} {}",
            f.key,
            f.namespace,
            f.cluster,
            f.kind,
            f.environment.as_deref().unwrap_or_default(),
            f.owner.as_deref().unwrap_or_default()
        );
        for more in f.conditions.iter().chain(&f.description) {
            all.push(' ');
            all.push_str(more);
        }
        let all = all.to_lowercase();
        self.q.to_lowercase().split_whitespace().all(|word| all.contains(word))
    }
}

/// How a flag stands: colour, icon and word.
fn look(state: FlagState) -> (Tone, &'static str) {
    match state {
        FlagState::On => (tone::HEALTHY, "On"),
        FlagState::Part => (tone::PROGRESSING, "On, in part"),
        FlagState::Off => (Tone { s: "unknown", icon: "ring" }, "Off"),
        FlagState::Killed => (Tone { s: "degraded", icon: "stop" }, "Killed"),
    }
}

fn headline(p: &FlagsPage) -> String {
    let killed = p.flags.iter().filter(|f| f.state == FlagState::Killed).count();
    let faulty = p.files.iter().filter(|f| file::is_faulty(f)).count();
    match (p.files.len(), p.flags.len(), killed, faulty) {
        (0, ..) => "No feature flags yet".to_owned(),
        (.., 1, _) => "One flag is killed".to_owned(),
        (.., n @ 2.., _) => format!("{n} flags are killed"),
        (.., 1) => "One file of flags has faults".to_owned(),
        (.., n @ 2..) => format!("{n} files of flags have faults"),
        (_, 0, ..) => "No flag is in the file".to_owned(),
        (_, n, ..) => when::count(n, "feature flag", "feature flags"),
    }
}

pub(super) fn view(p: &FlagsPage, filter: &Filter) -> AnyView {
    let title = headline(p);
    let of = |show: Show| p.flags.iter().filter(|f| show.holds(f)).count();
    let place = match p.files.as_slice() {
        [one] => Some(view! { <span class="wrap">{file::place(one)}</span>{file::line(one, p.age.now)} }),
        _ => None,
    };
    let content = if p.files.is_empty() {
        file::none()
    } else {
        let found: Vec<_> = p.flags.iter().filter(|f| filter.finds(f)).collect();
        let shown: Vec<_> = found.iter().copied().filter(|f| filter.show.holds(f)).collect();
        let list = if shown.is_empty() { nobody(p) } else { table(p, &shown, filter) };
        view! { {search(filter, &found)}{list} }.into_any()
    };
    let troubles = p.files.iter().map(|f| file::trouble(f, true)).collect_view();
    view! {
        <Title text="Flags"/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>{title}</h1>
                    <p class="meta">
                        <span>{format!("{} on", of(Show::On))}</span>
                        <span>{format!("{} off", of(Show::Off) + of(Show::Killed))}</span>
                        {place}
                    </p>
                </div>
            </div>
            {troubles}
            {content}
            {keys::section(p)}
        </main>
    }
    .into_any()
}

fn search(filter: &Filter, found: &[&FlagRow]) -> AnyView {
    let chips = SHOWN
        .into_iter()
        .map(|(show, key, words)| {
            let n = found.iter().filter(|f| show.holds(f)).count();
            let pressed = if show == filter.show { "true" } else { "false" };
            let words = format!("{words} {}", when::thousands(i64::try_from(n).unwrap_or(i64::MAX)));
            view! { <button class="btn small" type="submit" name="show" value=key aria-pressed=pressed>{words}</button> }
        })
        .collect_view();
    // The first button is the one that Enter presses: it keeps what is chosen.
    view! {
        <form class="filters" role="search" method="get" action="/flags">
            <div class="field">
                <label for="q">"Find"</label>
                <input class="in" id="q" name="q" type="search" placeholder="flag, owner, environment, condition" value=filter.q.clone()/>
            </div>
            <button class="btn" type="submit" name="show" value=filter.show.key()>{icon("search")}"Find"</button>
            <fieldset class="field">
                <legend class="lab xs ink2">"Show"</legend>
                <div class="chips">{chips}</div>
            </fieldset>
        </form>
    }
    .into_any()
}

fn nobody(p: &FlagsPage) -> AnyView {
    if p.flags.is_empty() {
        return empty(
            "flag",
            "No flag to show".into(),
            "As soon as a file without faults holds one, it stands here.".into(),
            nothing(),
        );
    }
    let act = view! { <a class="btn" href="/flags">"Clear the filters"</a> }.into_any();
    let words = format!("There are {} without the filters.", when::count(p.flags.len(), "flag", "flags"));
    empty("search", "No flag matches".into(), words, act)
}

fn table(p: &FlagsPage, shown: &[&FlagRow], filter: &Filter) -> AnyView {
    let now = p.age.now;
    let from = if filter.from < shown.len() { filter.from } else { 0 };
    let slice: Vec<_> = shown.iter().copied().skip(from).take(ROWS).collect();
    // One heading for each file, where there are several.
    let several = p.files.len() > 1;
    let mut last = None;
    let mut rows = Vec::with_capacity(slice.len());
    for f in &slice {
        let place = (&f.cluster, &f.namespace);
        if several && last != Some(place) {
            let file = p.files.iter().find(|file| (&file.cluster, &file.namespace) == place);
            rows.push(group(file, f, now));
            last = Some(place);
        }
        rows.push(row(f, now));
    }
    let table = view! {
        <table class="table flip flags">
            <caption class="vh">"Feature flags, by file and name"</caption>
            <thead>
                <tr>
                    <th scope="col">"Flag"</th><th scope="col">"State"</th><th scope="col"><span class="vh">"Share, drawn"</span></th>
                    <th scope="col" class="r">"Share"</th><th scope="col">"Where"</th><th scope="col">"Conditions"</th>
                    <th scope="col">"Owner"</th><th scope="col">"Ends"</th><th scope="col">"Changed"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    };
    view! { {scroll("Feature flags, table", table.into_any())}{pages(filter, from, slice.len(), shown.len())} }
        .into_any()
}

fn group(file: Option<&FlagFileView>, f: &FlagRow, now: DateTime<Utc>) -> AnyView {
    let line = file.map(|file| file::line(file, now));
    view! {
        <tr class="group">
            <th scope="rowgroup" colspan="9" class="xs-all">
                <span class="wrap">{format!("{} / {}", f.namespace, f.cluster)}</span>
                <span class="meta">{line}</span>
            </th>
        </tr>
    }
    .into_any()
}

/// `data-key` names the row: script flashes the one that changed.
fn row(f: &FlagRow, now: DateTime<Utc>) -> AnyView {
    let (tone, words) = look(f.state);
    let path = path_of(&f.cluster, &f.namespace, &f.key);
    let waits = f.waits.then(|| st(tone::WAITING, "Change waits"));
    let stale = (!f.stale.is_empty()).then(|| st(Tone { s: "waiting", icon: "clock" }, "Stale"));
    let ends = match f.expires {
        Some(at) if at <= now => {
            view! { <time datetime=when::iso(at)>{when::day(at)}</time>", past" }.into_any()
        }
        Some(at) => view! { <time datetime=when::iso(at)>{when::day(at)}</time> }.into_any(),
        None => view! { <span class="dim">"no end"</span> }.into_any(),
    };
    let conditions = if f.conditions.is_empty() { "none".to_owned() } else { f.conditions.join(" and ") };
    // What is off is off for all, whatever share stands in the file.
    let share = match f.state {
        FlagState::On | FlagState::Part => f.share.clone(),
        FlagState::Off | FlagState::Killed => "0\u{a0}%".to_owned(),
    };
    view! {
        <tr data-key=path.clone()>
            <th scope="row"><a class="mono sm" href=path.clone()>{f.key.clone()}</a></th>
            <td>{st(tone, words)}" "{waits}{stale}</td>
            <td class="xs-no">{meter(&share, tone.s)}</td>
            <td class="r">{share}</td>
            <td class="ink2 xs-no">{f.environment.clone().unwrap_or_else(|| "everywhere".to_owned())}</td>
            <td class="ink2 xs-no">{conditions}</td>
            <td class="ink2 xs-no">{f.owner.clone().unwrap_or_else(|| "nobody".to_owned())}</td>
            <td class="ink2 xs-no">{ends}</td>
            <td class="ink2 xs-no">{changed(f.changed.as_ref(), now)}</td>
        </tr>
    }
    .into_any()
}

/// By whom and when; and where it was past Tidegate, that.
fn changed(c: Option<&FlagChanged>, now: DateTime<Utc>) -> AnyView {
    let Some(c) = c else { return view! { <span class="dim">"a while ago"</span> }.into_any() };
    let outside =
        c.outside.then(|| view! { <span class="nowrap">{st(tone::WAITING, "outside Tidegate")}</span> });
    view! { <span class="wrap">{c.by.clone()}</span>", "{ago(now, c.at)}" "{outside}" " }.into_any()
}

/// A share as a bar. What is no figure draws nothing.
fn meter(share: &str, s: &'static str) -> AnyView {
    let figure = share.trim_end_matches(['%', ' ', '\u{a0}']);
    let width = figure.parse::<f64>().unwrap_or(0.0).clamp(0.0, 100.0);
    let label = format!("{width} percent of users");
    view! {
        <svg class="meter small" role="img" aria-label=label data-s=s>
            <rect class="bg" width="100%" height="8" rx="1"></rect>
            <rect class="fg" width=format!("{width}%") height="8" rx="1"></rect>
        </svg>
    }
    .into_any()
}

fn pages(filter: &Filter, from: usize, here: usize, all: usize) -> AnyView {
    if all <= ROWS {
        return nothing();
    }
    let before = (from > 0).then(|| {
        view! { <a class="btn small" rel="prev" href=filter.link(from.saturating_sub(ROWS))>"Before"</a> }
    });
    let after = (from + here < all).then(|| {
        view! { <a class="btn small" rel="next" href=filter.link(from + ROWS)>"Next"</a> }
    });
    let n = |n: usize| when::thousands(i64::try_from(n).unwrap_or(i64::MAX));
    let words = format!("{} to {} of {}", n(from + 1), n(from + here), n(all));
    view! { <nav class="row mt" aria-label="Pages"><span class="sm ink2">{words}</span>{before}{after}</nav> }
        .into_any()
}
