//! Small parts: times, figures, deeds that are not possible, notes, empty states.

use super::icon::icon;
use super::tone::Tone;
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::view::{DiffKind, DiffLine};
use model::workload::Key;

/// `25 %`, never broken between figure and sign.
pub(crate) fn percent(n: u8) -> String {
    format!("{n}\u{a0}%")
}

/// How long ago; script makes it tick. The exact time on hover and for programs.
pub(crate) fn ago(base: DateTime<Utc>, at: DateTime<Utc>) -> AnyView {
    view! {
        <time datetime=when::iso(at) title=when::stamp(at) data-ago="">{when::ago(base, at)}</time>
    }
    .into_any()
}

/// The time of day, or with the day where it was another.
pub(crate) fn at(base: DateTime<Utc>, time: DateTime<Utc>) -> AnyView {
    view! { <time datetime=when::iso(time) title=when::stamp(time)>{when::near(base, time)}</time> }
        .into_any()
}

/// The address of a workload's page.
pub(crate) fn service_path(key: &Key) -> String {
    format!("/services/{key}")
}

/// A section: heading on a hairline, something at its right end, content.
pub(crate) fn sect(id: &'static str, title: &'static str, right: AnyView, content: AnyView) -> AnyView {
    sect_in("sect", id, title, right, content)
}

pub(crate) fn sect_in(
    class: &'static str,
    id: &'static str,
    title: &'static str,
    right: AnyView,
    content: AnyView,
) -> AnyView {
    view! {
        <section class=class aria-labelledby=id>
            <header><h2 id=id>{title}</h2>{right}</header>
            {content}
        </section>
    }
    .into_any()
}

/// A table in a box of its own that scrolls sideways, reachable by keyboard.
pub(crate) fn scroll(label: &'static str, content: AnyView) -> AnyView {
    view! { <div class="scroll" tabindex="0" role="region" aria-label=label>{content}</div> }.into_any()
}

/// Nothing here: why, and the first thing to do.
pub(crate) fn empty(icon_name: &'static str, title: String, words: String, act: AnyView) -> AnyView {
    view! {
        <div class="empty">{icon(icon_name)}<h2>{title}</h2><p>{words}</p>{act}</div>
    }
    .into_any()
}

/// A warning in place.
pub(crate) fn note(tone: Tone, bold: String, words: String) -> AnyView {
    let bold = (!bold.is_empty()).then(|| view! { <b>{bold}</b>" " });
    view! {
        <p class="note box" data-s=tone.s>{icon(tone.icon)}<span>{bold}{words}</span></p>
    }
    .into_any()
}

/// A row of facts.
pub(crate) fn fact(name: &'static str, value: AnyView) -> AnyView {
    view! { <dt>{name}</dt><dd>{value}</dd> }.into_any()
}

pub(crate) fn fact_text(name: &'static str, value: impl Into<String>) -> AnyView {
    let value: String = value.into();
    view! { <dt>{name}</dt><dd>{value}</dd> }.into_any()
}

pub(crate) fn nothing() -> AnyView {
    ().into_any()
}

/// Two texts compared, line by line.
pub(crate) fn difference_of(label: String, lines: &[DiffLine]) -> AnyView {
    let lines = lines.iter().map(|l| {
        let (class, sign) = match l.kind {
            DiffKind::Same => ("", "  "),
            DiffKind::Removed => ("del", "- "),
            DiffKind::Added => ("add", "+ "),
        };
        view! { <tr class=class><td>{l.number}</td><td>{format!("{sign}{}", l.text)}</td></tr> }
    });
    let lines = lines.collect_view();
    view! { <div class="diff" tabindex="0" role="region" aria-label=label><table><tbody>{lines}</tbody></table></div> }
        .into_any()
}
