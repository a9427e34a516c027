//! The column beside the evidence: what a rollback would do, what is released, its pods.

use super::Seen;
use crate::components::common::{ago, fact, fact_text, nothing, scroll, sect, service_path};
use crate::components::gate::newer;
use crate::components::icon::icon;
use crate::components::incident;
use crate::components::tone::{self, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::release::State;
use model::rollback::Pace;
use model::stall::{Obstacle, Stall};
use model::view::{ProofView, ReleasePage, RollbackPreview, Way};
use model::workload::version_of;

/// Before a rollback: what it would do. On the way back, and after: what proves it.
pub(super) fn way_back(seen: Seen) -> AnyView {
    let walks = Memo::new(move |_| seen.live.with(|l| l.back.is_some()));
    (move || if walks.get() { proofs(seen) } else { if_you_roll_back(seen) }).into_any()
}

/// Each piece of the proof, green with the time it took.
fn proofs(seen: Seen) -> AnyView {
    let back = Memo::new(move |_| seen.live.with(|l| l.back.clone()));
    let right = move || {
        back.with(|b| {
            let b = b.as_ref()?;
            Some(st(tone::HEALTHY, format!("Confirmed after {}", took(b.since, b.confirmed?))))
        })
    };
    let rows = move || {
        back.with(|b| {
            let b = b.as_ref()?;
            let row = |p: &ProofView| {
                let (s, look, figure) = match p.at {
                    Some(at) => ("healthy", "check", took(b.since, at)),
                    None => ("progressing", "clock", "not yet".to_owned()),
                };
                let words = (!p.words.is_empty()).then(|| view! { <small>{p.words.clone()}</small> });
                view! { <li data-s=s>{icon(look)}<b>{p.name.clone()}</b><span>{figure}</span>{words}</li> }
            };
            Some(b.proofs.iter().map(row).collect_view())
        })
    };
    let list = view! { <ul class="gates mt" role="list" aria-live="polite">{rows}</ul> };
    sect("rb-h", "The way back", right.into_any(), list.into_any())
}

/// `0.4 s`, `12 s`, `3:20`; never no time at all.
fn took(since: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let millis = (at - since).num_milliseconds().max(100);
    match millis {
        ..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..100_000 => format!("{} s", millis / 1000),
        _ => format!("{}:{:02}", millis / 60_000, millis / 1000 % 60),
    }
}

/// It does not get on: why, and what helps.
pub(super) fn stall(seen: Seen) -> AnyView {
    let stall = Memo::new(move |_| seen.live.with(|l| l.stall.clone().map(|s| (s, l.ways.clone()))));
    let content = move || stall.with(|s| s.as_ref().map(|(s, ways)| stalled(s, ways)));
    view! { <div role="status">{content}</div> }.into_any()
}

/// Something that was set aside for this release is still to be put back.
pub(super) fn reminder(p: &ReleasePage, seen: Seen) -> AnyView {
    let path = service_path(&p.workload);
    let words = Memo::new(move |_| seen.live.with(|l| l.reminder.clone()));
    let content = move || {
        let path = path.clone();
        words.get().map(|words| {
            view! { <p class="note box mt" data-s="waiting">{icon("warn")}<span>{words}" "<a href=path>"Put it back"</a></span></p> }
        })
    };
    view! { <div role="status">{content}</div> }.into_any()
}

/// Incidents about this release, as they come.
pub(super) fn incidents(p: &ReleasePage, seen: Seen) -> AnyView {
    let all = Memo::new(move |_| seen.live.with(|l| l.incidents.clone()));
    let list = move || all.with(|all| incident::list(all));
    incident::section(format!("/incidents/new?release={}", p.id), view! { {list} }.into_any())
}

pub(crate) fn stalled(s: &Stall, ways: &[Way]) -> AnyView {
    let obstacle = |o: &Obstacle| {
        let (what, remedy) = (o.what.clone(), o.remedy.clone());
        view! { <li class="note" data-s="degraded">{icon("warn")}<span><b>{what}</b>" "{remedy}</span></li> }
    };
    let list = s.obstacles.iter().map(obstacle).collect_view();
    let way = |w: &Way| view! { <a class="btn" href=w.path.clone()>{w.words.clone()}</a> };
    let ways = ways.iter().map(way).collect_view();
    let title = format!("It takes longer than it should: expected by {}.", when::clock(s.since));
    view! { <div class="say mt" data-s="degraded"><div><p><strong>{title}</strong></p><ul class="sm" role="list">{list}</ul><div class="acts mt">{ways}</div></div></div> }.into_any()
}

fn if_you_roll_back(seen: Seen) -> AnyView {
    let preview = Memo::new(move |_| seen.live.with(|l| (l.rollback.clone(), l.state)));
    let right = move || {
        preview.with(|(p, state)| match p {
            _ if *state == State::RolledBack => nothing(),
            Some(p) => ready(p),
            None => nothing(),
        })
    };
    let content = move || {
        preview.with(|(p, _)| match p {
            Some(p) => facts(p),
            None => view! { <p class="sm ink2 mt">"There is nothing to go back to."</p> }.into_any(),
        })
    };
    sect("rb-h", "If you roll back", right.into_any(), content.into_any())
}

pub(crate) fn ready(p: &RollbackPreview) -> AnyView {
    match p.route.pace {
        Pace::Now => st(tone::HEALTHY, "Already there"),
        Pace::Seconds => st(tone::HEALTHY, "Ready"),
        Pace::PodStart => st(tone::WAITING, "Pods must start"),
    }
}

pub(crate) fn facts(p: &RollbackPreview) -> AnyView {
    let to = match p.to_revision {
        Some(n) => format!(", revision {n}"),
        None => String::new(),
    };
    let to = view! { <span class="rev">{p.to_version.clone()}</span>{to} }.into_any();
    let stays = (!p.cannot_undo.is_empty()).then(|| fact_text("Stays behind", p.cannot_undo.join(" ")));
    view! {
        <dl class="facts">
            {fact("To", to)}
            {fact_text("Takes", p.takes.clone())}
            {fact_text("Pods", format!("{} of {} of that version are ready", p.ready, p.desired))}
            {fact_text("How", p.route.because.clone())}
            {stays}
        </dl>
    }
    .into_any()
}

pub(super) fn pods(p: &ReleasePage, seen: Seen) -> AnyView {
    let base = seen.base;
    let link = view! { <a href=service_path(&p.workload)>"Workload"</a> }.into_any();
    let revisions = Memo::new(move |_| {
        seen.live
            .with(|l| (l.revisions.clone(), l.canary_hash.clone(), l.stable_hash.clone(), newer(&l.steps)))
    });
    let rows = move || {
        revisions.with(|(all, canary, stable, newer)| {
            all.iter()
                .filter(|r| {
                    r.desired > 0 || Some(&r.hash) == canary.as_ref() || Some(&r.hash) == stable.as_ref()
                })
                .map(|r| {
                    let part = if Some(&r.hash) == stable.as_ref() {
                        "stable"
                    } else if Some(&r.hash) == canary.as_ref() {
                        newer
                    } else {
                        ""
                    };
                    view! {
                        <tr>
                            <th scope="row"><span class="rev">{r.number}</span>" "{part}</th>
                            <td class="rev">{version_of(&r.images)}</td>
                            <td class="r">{format!("{} / {}", r.ready, r.desired)}</td>
                            <td class="r ink2">{ago(base, r.created)}</td>
                        </tr>
                    }
                })
                .collect_view()
        })
    };
    let table = view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"Revision"</th><th scope="col">"Version"</th>
                    <th scope="col" class="r">"Ready"</th><th scope="col" class="r">"Made"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    };
    sect("pod-h", "Pods", link, scroll("Pods by revision", table.into_any()))
}
