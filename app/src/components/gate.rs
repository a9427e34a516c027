//! The gate: traffic as water, the plan's ceiling as a plate, each step a post with a signal arm.

use super::common::percent;
use super::icon::icon;
use super::tone::{self, Tone, st};
use leptos::prelude::*;
use model::view::{GateView, StepState, StepView};
use std::fmt::Write as _;

/// Above this many steps, those passed and those far ahead fold into one column each.
const COLUMNS: usize = 6;

/// A column under the bar: one step, or several folded into one.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    /// Where the fan line comes from: the weight of the step, of the last passed, of the first ahead.
    weight: u8,
    first: usize,
    last: usize,
}

impl Column {
    fn one(steps: &[StepView], i: usize) -> Self {
        Self { weight: steps.get(i).map_or(0, |s| s.weight), first: i, last: i }
    }
    fn holds(&self, i: Option<usize>) -> bool {
        i.is_some_and(|i| (self.first..=self.last).contains(&i))
    }
    fn folded(&self) -> bool {
        self.first != self.last
    }
}

fn columns(steps: &[StepView], here: Option<usize>) -> Vec<Column> {
    let n = steps.len();
    if n <= COLUMNS {
        return (0..n).map(|i| Column::one(steps, i)).collect();
    }
    // Passed steps in one column, then as many single ones as fit, then the rest up to the last but one.
    let here = here.unwrap_or(0);
    let mut out = Vec::new();
    if here > 1 {
        out.push(Column { first: 0, last: here - 1, ..Column::one(steps, here - 1) });
    } else {
        out.extend((0..here).map(|i| Column::one(steps, i)));
    }
    let left = COLUMNS - out.len();
    if n - here <= left {
        out.extend((here..n).map(|i| Column::one(steps, i)));
        return out;
    }
    let single = here + left - 2;
    out.extend((here..single).map(|i| Column::one(steps, i)));
    out.push(Column { first: single, last: n - 2, ..Column::one(steps, single) });
    out.push(Column::one(steps, n - 1));
    out
}

/// The bar with its posts, and the plate at `ceiling`.
pub(crate) fn tide(
    weight: u8,
    ceiling: u8,
    steps: &[StepView],
    here: Option<usize>,
    s: Option<&'static str>,
) -> AnyView {
    let stable = 100 - weight.min(100);
    let label = tide_label(weight, ceiling, steps, here);
    let posts = posts(steps, here, ceiling);
    view! {
        <svg class="tide" role="img" aria-label=label data-s=s>
            <rect class="stable" x="0" y="18" width="100%" height="30"></rect>
            <svg x=format!("{ceiling}%") y="18" width=format!("{}%", 100 - ceiling.min(100)) height="30">
                <rect class="shut" width="100%" height="30"></rect>
            </svg>
            <rect class="canary" x="0" y="18" width=format!("{weight}%") height="30"></rect>
            <rect class="weave" x="0" y="18" width=format!("{weight}%") height="30"></rect>
            <text class="tin" x="10" y="37">{if weight >= 18 { newer(steps) } else { "" }}</text>
            <text class="out" x="100%" dx="-10" y="37" text-anchor="end">
                {if stable >= 30 { format!("stable {}", percent(stable)) } else { String::new() }}
            </text>
            <rect class="edge" x=".5" y="18" width="99.9%" height="30"></rect>
            <g inner_html=posts></g>
            <svg x=format!("{ceiling}%") overflow="visible">
                <path class="leaf" d="M-3 0h6v52h-6zM-8 0h16v5h-16z"></path>
            </svg>
        </svg>
    }
    .into_any()
}

/// What the incoming version is called: a canary where it gets a part of the users; where they all change over at once, as
/// in a blue-green release, just the new one.
pub(crate) fn newer(steps: &[StepView]) -> &'static str {
    if steps.iter().all(|s| s.weight % 100 == 0) { "new" } else { "canary" }
}

/// What is judged at the present step: the copies of requests, where those are all that reaches the new version.
pub(crate) fn judged(steps: &[StepView], here: Option<usize>) -> &'static str {
    let copied = |i: usize| steps.get(i).is_some_and(|s| s.gates.iter().any(|g| g.kind == "copies"));
    if here.is_some_and(copied) { "copies" } else { newer(steps) }
}

fn tide_label(weight: u8, ceiling: u8, steps: &[StepView], here: Option<usize>) -> String {
    let list: Vec<_> = steps.iter().map(|s| s.weight.to_string()).collect();
    let mut label = format!(
        "Traffic: {} {weight} percent, stable {} percent. The gate stands at {ceiling} percent. Steps at {} percent",
        newer(steps),
        100 - weight.min(100),
        list.join(", ")
    );
    match here {
        Some(i) => {
            let _ = write!(label, "; step {} is the present one.", i + 1);
        }
        None => label.push_str("; none has begun."),
    }
    label
}

/// Posts, signal arms and fan lines.
fn posts(steps: &[StepView], here: Option<usize>, ceiling: u8) -> String {
    let mut out = String::new();
    for (i, step) in steps.iter().enumerate() {
        let w = step.weight;
        // Under the plate its own post would only thicken it.
        if Some(i) == here && w == ceiling {
            continue;
        }
        let passed = matches!(step.state, StepState::Passed | StepState::Skipped);
        let (class, arm) = match (passed, w >= 100) {
            (true, false) => (" class=\"open\"", "M0 11l11 -9"),
            (true, true) => (" class=\"open\"", "M0 11l-11 -9"),
            (false, false) => ("", "M-2 6h14"),
            (false, true) => ("", "M2 6h-14"),
        };
        let _ = write!(
            out,
            r#"<svg x="{w}%" overflow="visible"><g{class}><path class="post" d="M0 0v48"/><path class="arm" d="{arm}"/></g></svg>"#
        );
    }
    let columns = columns(steps, here);
    let n = f64::from(u32::try_from(columns.len()).unwrap_or(1).max(1));
    for (i, c) in columns.iter().enumerate() {
        let middle = (f64::from(u32::try_from(i).unwrap_or(0)) + 0.5) / n * 100.0;
        let on = if c.holds(here) && !c.folded() { " on" } else { "" };
        let _ =
            write!(out, r#"<line class="fan{on}" x1="{}%" y1="49" x2="{middle:.2}%" y2="84"/>"#, c.weight);
    }
    out
}

/// The steps under the bar: gates, state, what opens the next one.
pub(crate) fn steps(steps: &[StepView], here: Option<usize>, tone: Option<Tone>) -> AnyView {
    let list = columns(steps, here)
        .into_iter()
        .map(|c| if c.folded() { folded(steps, &c) } else { step(steps, c.first, here, tone) })
        .collect_view();
    view! { <ol class="steps" role="list">{list}</ol> }.into_any()
}

fn folded(steps: &[StepView], c: &Column) -> AnyView {
    let inside = steps.get(c.first..=c.last).unwrap_or_default();
    let passed = inside.iter().all(|s| matches!(s.state, StepState::Passed | StepState::Skipped));
    let weights: Vec<_> = inside.iter().map(|s| s.weight.to_string()).collect();
    let words = format!("{} steps", inside.len());
    let state = if passed {
        st(tone::HEALTHY, "passed")
    } else {
        st(tone::of_step(StepState::Closed, None), "closed")
    };
    view! {
        <li data-todo=(!passed).then_some("")>
            <header><b>{words}</b>{state}</header>
            <span class="sm ink2">{format!("{}\u{a0}%", weights.join(", "))}</span>
        </li>
    }
    .into_any()
}

fn step(steps: &[StepView], i: usize, here: Option<usize>, tone: Option<Tone>) -> AnyView {
    let Some(step) = steps.get(i) else { return ().into_any() };
    let present = here == Some(i);
    let todo = step.state == StepState::Closed;
    let state = tone::of_step(step.state, tone);
    let words = (!step.words.is_empty()).then(|| st(state, step.words.clone()));
    let gates = step.gates.iter().map(gate).collect_view();
    view! {
        <li
            aria-current=present.then_some("step")
            data-s=present.then_some(state.s)
            data-todo=todo.then_some("")
        >
            <header><b>{step.name.clone()}</b>{words}</header>
            <ul class="gates" role="list">{gates}</ul>
        </li>
    }
    .into_any()
}

/// One gate of a step, or one metric of a verdict.
fn gate(g: &GateView) -> AnyView {
    let (s, icon_name) = tone::of_gate(g.state, &g.kind);
    let note = g.note.clone().map(|n| view! { <small>{n}</small> });
    view! {
        <li data-s=s>{icon(icon_name)}<b>{g.name.clone()}</b><span>{g.figure.clone()}</span>{note}</li>
    }
    .into_any()
}

/// The same bar for rows: weight, ceiling, ticks.
pub(crate) fn mini(weight: u8, ceiling: u8, ticks: &[u8]) -> AnyView {
    let mut inside = format!(
        r#"<rect class="stable" x="0" y="3" width="100%" height="8"/><rect class="canary" x="0" y="3" width="{weight}%" height="8"/>"#
    );
    for t in ticks.iter().filter(|t| **t < 100) {
        let _ = write!(inside, r#"<line class="post" x1="{t}%" x2="{t}%" y1="11" y2="15"/>"#);
    }
    let _ = write!(
        inside,
        r#"<svg x="{ceiling}%" overflow="visible"><rect class="leaf" x="-1.5" y="0" width="3" height="13"/></svg>"#
    );
    let label = format!("Canary at {}, allowed now {}", percent(weight), percent(ceiling));
    view! { <svg class="mini" role="img" aria-label=label inner_html=inside></svg> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(n: u8) -> Vec<StepView> {
        (1..=n)
            .map(|i| StepView {
                weight: if i == n { 100 } else { i * 4 },
                name: String::new(),
                state: StepState::Closed,
                words: String::new(),
                gates: Vec::new(),
            })
            .collect()
    }

    #[test]
    fn at_most_six_columns_and_every_step_in_exactly_one() {
        for n in 1..=24_u8 {
            let steps = many(n);
            for here in std::iter::once(None).chain((0..usize::from(n)).map(Some)) {
                let columns = columns(&steps, here);
                assert!(columns.len() <= COLUMNS, "{n} steps, at {here:?}: {columns:?}");
                let mut next = 0;
                for c in &columns {
                    assert_eq!(c.first, next, "{n} steps, at {here:?}: {columns:?}");
                    next = c.last + 1;
                }
                assert_eq!(next, usize::from(n));
                if let Some(here) = here {
                    let own = columns.iter().find(|c| c.holds(Some(here))).unwrap();
                    assert!(!own.folded(), "the present step stands alone: {columns:?}");
                }
            }
        }
    }

    #[test]
    fn where_all_users_change_over_at_once_nothing_is_called_a_canary() {
        let mut switch = many(2);
        assert!(tide_label(4, 4, &switch, Some(0)).contains("canary 4 percent"));
        switch[0].weight = 0;
        assert!(
            tide_label(100, 100, &switch, Some(1)).starts_with("Traffic: new 100 percent, stable 0 percent")
        );
    }
}
