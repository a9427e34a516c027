//! The verdicts under the charts, on the same axis of time.

use super::Window;
use chrono::{DateTime, Utc};
use model::verdict::Class;
use std::fmt::Write as _;

/// A verdict when it was reached.
pub type VerdictMark = (DateTime<Utc>, Class);

/// Signs nearer to each other than this many percent of the width share a place; the gravest is shown.
const ROOM: f64 = 2.4;

/// The inside of an `<svg class="plot strip">`: circle no data, tick pass, triangle marginal, cross fail.
pub fn strip(verdicts: &[VerdictMark], window: &Window) -> String {
    let mut out = String::from(r#"<line class="grid" x1="0" x2="100%" y1="24" y2="24"/>"#);
    let mut places: Vec<(f64, VerdictMark)> = Vec::new();
    for mark in verdicts.iter().filter(|(at, _)| *at >= window.from && *at <= window.to) {
        let x = window.x(mark.0);
        match places.last_mut() {
            Some((at, kept)) if x - *at < ROOM => {
                if grave(mark.1) > grave(kept.1) {
                    *kept = *mark;
                }
            }
            _ => places.push((x, *mark)),
        }
    }
    for (x, (_, class)) in &places {
        let (tone, sign) = sign(*class);
        let _ = write!(out, r#"<svg x="{x:.2}%" y="12" overflow="visible" data-s="{tone}">{sign}</svg>"#);
    }
    match (places.last(), verdicts.last()) {
        (Some((x, _)), Some((at, class))) => {
            let (dx, anchor) = if *x > 72.0 { (-10, "end") } else { (10, "start") };
            // To the left of the last sign stand others: put the words under the line there.
            let y = if *x > 72.0 { 40 } else { 16 };
            let _ = write!(
                out,
                r#"<text class="lab" x="{x:.2}%" dx="{dx}" y="{y}" text-anchor="{anchor}">{} {}</text>"#,
                class.key(),
                crate::when::clock(*at)
            );
        }
        _ => out.push_str(r#"<text class="lab" x="0" y="16">No verdict yet</text>"#),
    }
    out
}

/// The strip in words.
pub(crate) fn label(verdicts: &[VerdictMark]) -> String {
    let count = |class| verdicts.iter().filter(|(_, c)| *c == class).count();
    match verdicts.last() {
        None => "Verdicts: none yet.".to_owned(),
        Some((at, last)) => format!(
            "Verdicts: {} without enough data, {} passes, {} marginal, {} fails; the last, {}, at {}.",
            count(Class::NoData),
            count(Class::Pass),
            count(Class::Marginal),
            count(Class::Fail),
            last.key(),
            crate::when::clock(*at)
        ),
    }
}

fn grave(class: Class) -> u8 {
    match class {
        Class::NoData => 0,
        Class::Pass => 1,
        Class::Marginal => 2,
        Class::Fail => 3,
    }
}

fn sign(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::NoData => ("unknown", r#"<circle class="v" r="2.5"/>"#),
        Class::Pass => ("healthy", r#"<path class="v" d="M-4 0l3 3.5 5.5-7"/>"#),
        Class::Marginal => ("waiting", r#"<path class="v" d="M0-4.5L5 4.5H-5z"/>"#),
        Class::Fail => ("degraded", r#"<path class="v" d="M-4-4L4 4M4-4L-4 4"/>"#),
    }
}
