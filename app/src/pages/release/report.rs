//! What Kayenta's judge makes of each step, metric by metric. It explains; the verdict is the guard's.

use crate::components::{
    common::{nothing, sect},
    icon::icon,
    tone::{Tone, st},
};
use leptos::prelude::*;
use model::verdict::Class;
use model::view::{ReleasePage, StepReport};

/// As of when the page was read: it grows by half a minute at a time. `None` where nothing is reported.
pub(super) fn section(p: &ReleasePage) -> Option<AnyView> {
    (!p.reports.is_empty()).then(|| drawn(p))
}

fn drawn(p: &ReleasePage) -> AnyView {
    let all = p.reports.iter().map(one).collect_view();
    let content = view! {
        {all}
        <p class="xs ink2 mt">"Mann-Whitney over points half a minute apart, as Kayenta judges. It explains, and opens no gate."</p>
    };
    sect("ka-h", "Report by step", nothing(), content.into_any())
}

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
