//! What happened beside the lines: the steps as bands, and uprights where a weight was confirmed, now, and for what is to come.

use super::{Metric, TOP, Window, escape};
use chrono::{DateTime, Utc};
use std::fmt::Write as _;

/// A band for each step, as long as its weight held.
pub(super) fn bands(out: &mut String, marks: &[(DateTime<Utc>, String)], window: &Window, height: f64) {
    let end = window.now.unwrap_or(window.to);
    for (i, (at, _)) in marks.iter().enumerate() {
        let next = marks.get(i + 1).map_or(end, |(at, _)| *at);
        let (x, to) = (window.x(*at), window.x(next));
        if to > x {
            let class = if i % 2 == 0 { "band" } else { "band b2" };
            let _ = write!(
                out,
                r#"<rect class="{class}" x="{x:.2}%" y="{TOP}" width="{:.2}%" height="{height}"/>"#,
                to - x
            );
        }
    }
}

/// Uprights: where a weight was confirmed, now, and what comes by itself.
pub(super) fn uprights(
    out: &mut String,
    metric: Metric,
    marks: &[(DateTime<Utc>, String)],
    window: &Window,
    height: f64,
) {
    let bottom = TOP + height;
    let labelled = metric != Metric::Latency;
    // Widths in percent that a label needs on a narrow screen.
    let (wide, narrow) = (21.0_f64, 12.0_f64);
    let mut taken = -1.0_f64;
    for (i, (at, words)) in marks.iter().enumerate() {
        let x = window.x(*at);
        let _ = write!(out, r#"<line class="mark" x1="{x:.2}%" x2="{x:.2}%" y1="12" y2="{bottom}"/>"#);
        if i == 0 {
            let _ = write!(
                out,
                r#"<svg x="{x:.2}%" y="0" overflow="visible"><path class="lab" d="M0 0l-5 9h10z"/></svg>"#
            );
        }
        let room = marks.get(i + 1).map_or(100.0, |(next, _)| window.x(*next)) - x;
        let words = if i == 0 && room >= wide && words != "deploy" {
            format!("deploy, {words}")
        } else {
            words.clone()
        };
        let need = if words.chars().count() > 6 { wide } else { narrow };
        if labelled && x >= taken && room >= need.min(12.0) && x + need <= 101.0 {
            let dx = if i == 0 { 9 } else { 5 };
            let _ =
                write!(out, r#"<text class="lab" x="{x:.2}%" dx="{dx}" y="11">{}</text>"#, escape(&words));
            taken = x + need;
        } else if labelled && i + 1 == marks.len() && x - need >= taken {
            // No room to its right: what happened last stands to its left.
            let _ = write!(
                out,
                r#"<text class="lab" x="{x:.2}%" dx="-5" y="11" text-anchor="end">{}</text>"#,
                escape(&words)
            );
            taken = x;
        }
    }
    if let Some(now) = window.now {
        let x = window.x(now);
        let _ = write!(out, r#"<line class="mark" x1="{x:.2}%" x2="{x:.2}%" y1="14" y2="{bottom}"/>"#);
        if labelled && x - 3.0 >= taken {
            let _ = write!(out, r#"<text class="lab" x="{x:.2}%" y="11" text-anchor="middle">now</text>"#);
            taken = x + 5.0;
        }
    }
    if let Some((at, words)) = &window.due {
        let x = window.x(*at);
        let _ =
            write!(out, r#"<line class="mark soon" x1="{x:.2}%" x2="{x:.2}%" y1="{TOP}" y2="{bottom}"/>"#);
        if labelled && x - 9.0 >= taken {
            let anchor = if x > 85.0 { "end" } else { "middle" };
            let _ = write!(
                out,
                r#"<text class="lab" x="{x:.2}%" y="11" text-anchor="{anchor}">{}</text>"#,
                escape(words)
            );
        }
    }
}
