//! What Kayenta's judge makes of each step, metric by metric. It explains; the verdict is the guard's.

#[cfg(feature = "ssr")]
use crate::components::{
    common::{nothing, sect},
    icon::icon,
    tone::{Tone, st},
};
use leptos::prelude::*;
#[cfg(feature = "ssr")]
use model::verdict::Class;
use model::view::ReleasePage;
#[cfg(feature = "ssr")]
use model::view::StepReport;

/// As of when the page was read: it grows by half a minute at a time. Drawn by the server alone, so that the browser's half
/// need not know how.
pub(super) fn section(p: &ReleasePage) -> AnyView {
    view! { <div inner_html=p.report.clone()></div> }.into_any()
}

/// The section as markup; empty where nothing is reported.
#[cfg(feature = "ssr")]
pub(super) fn markup(p: &ReleasePage) -> String {
    if p.reports.is_empty() {
        return String::new();
    }
    Owner::new().with(|| drawn(p).to_html())
}

#[cfg(feature = "ssr")]
fn drawn(p: &ReleasePage) -> AnyView {
    let all = p.reports.iter().map(one).collect_view();
    let content = view! {
        {all}
        <p class="xs ink2 mt">"Mann-Whitney over points half a minute apart, as Kayenta judges. It explains, and opens no gate."</p>
    };
    sect("ka-h", "Report by step", nothing(), content.into_any())
}

#[cfg(feature = "ssr")]
fn one(r: &StepReport) -> AnyView {
    let word = match r.verdict {
        Class::Pass => "Pass",
        Class::Marginal => "Marginal",
        Class::Fail | Class::NoData => "Fail",
    };
    let metrics = r
        .metrics
        .iter()
        .map(|m| {
            let (s, sign) = match (m.passed, m.label.as_str()) {
                (true, _) => ("healthy", "check"),
                (false, "Nodata") => ("unknown", "ask"),
                _ => ("degraded", "x"),
            };
            view! { <li data-s=s>{icon(sign)}<b>{m.name.clone()}</b><span>{m.label.clone()}</span><small>{m.reason.clone()}</small></li> }
        })
        .collect_view();
    let score = format!("{}, {:.0} of 100", word, r.score);
    view! {
        <h3 class="row mt"><span>{r.step.clone()}</span>{st(Tone::from(r.verdict), score)}<span class="sm dim">{format!("{} points", r.points)}</span></h3>
        <ul class="gates" role="list">{metrics}</ul>
    }
    .into_any()
}
