//! Charts to take along: drawn by the same functions as on the page, as pictures and tables that stand alone.
//!
//! A picture has neither style sheet nor classes: colours stand in its attributes, since other programs, and a page that forbids
//! inline style, know no others.

use super::{Metric, Point, TOP, Window, escape, lines_of, strip, svg, weight};
use crate::when;
use chrono::SecondsFormat;
use model::verdict::{Sample, Side};
use model::view::ReleasePage;
use std::fmt::Write as _;

/// Width of a picture and its margins, in pixels.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// Width of the plot.
pub(super) const INNER: f64 = WIDTH - 2.0 * MARGIN;
/// Where the plot begins, from above: name, times and legend stand over it.
const HEAD: f64 = 92.0;
/// Room for the times under a plot, and for a strip of verdicts.
const TIMES: f64 = 26.0;
const STRIP: f64 = 56.0;

/// On which ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

impl Metric {
    /// By its name in addresses: `weight`, `errors`, `latency`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "weight" => Some(Self::Weight),
            "errors" => Some(Self::Errors),
            "latency" => Some(Self::Latency),
            _ => None,
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Weight => "share of the traffic on the new version; dotted: the most the plan allows",
            Self::Errors => "share of requests with 5xx, 30 s window; shaded: 95 % sure",
            Self::Latency => "latency p95 in milliseconds, 30 s window; shaded: 95 % sure",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Errors => "errors",
            Self::Latency => "latency p95",
        }
    }
}

/// A chart of a release as an SVG file: name, times, legend, axes. Text of people's is escaped.
pub fn picture(metric: Metric, p: &ReleasePage, theme: Theme) -> String {
    let window = window(p);
    let plot = match metric {
        Metric::Weight => weight(&p.weights, &p.marks, &window),
        Metric::Errors | Metric::Latency => svg(metric, &p.samples, &p.marks, &p.limits, &window),
    };
    let low = TOP + metric.height() + TIMES;
    let verdicts = p.analysed && metric != Metric::Weight;
    let signs = if verdicts {
        format!(
            r#"<svg x="{MARGIN}" y="{}" width="{INNER}" height="{STRIP}" overflow="visible">{}</svg>"#,
            HEAD + low,
            strip(&p.verdicts, &window)
        )
    } else {
        String::new()
    };
    let entries = match metric {
        Metric::Weight => vec![("canary", format!("new {}", p.version)), ("limit", "allowed".to_owned())],
        Metric::Errors | Metric::Latency => vec![
            ("stable", format!("stable {}", p.from_version)),
            ("canary", format!("new {}", p.version)),
            ("limit", "limit".to_owned()),
        ],
    };
    let body = format!(
        r#"<svg x="{MARGIN}" y="{HEAD}" width="{INNER}" height="{low}" overflow="visible">{}</svg>{signs}"#,
        unstretched(&plot, metric.height())
    );
    let name = format!("{} {}, {}", p.service, p.version, metric.title());
    let times = format!(
        "Release {}, {}; {} to {}",
        p.id,
        p.environment,
        when::stamp(window.from),
        when::stamp(window.to)
    );
    let height = HEAD + low + if verdicts { STRIP } else { 0.0 } + 6.0;
    framed(&Frame { name, times, about: metric.about().to_owned(), entries, height }, &body, theme)
}

/// What stands around a plot.
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) times: String,
    pub(super) about: String,
    /// Class of each line, and what it is of.
    pub(super) entries: Vec<(&'static str, String)>,
    pub(super) height: f64,
}

pub(super) fn framed(f: &Frame, body: &str, theme: Theme) -> String {
    let clip = |text: &str, most: usize| {
        let cut: String = text.chars().take(most).collect();
        escape(&if cut.len() < text.len() { format!("{cut}…") } else { cut })
    };
    let mut legend = String::new();
    let mut x = MARGIN;
    for (class, words) in &f.entries {
        let words = clip(words, 36);
        // Writing to a string does not fail.
        let _ = write!(
            legend,
            r#"<line class="{class}" x1="{x}" x2="{}" y1="72" y2="72"/><text class="lab" x="{}" y="76">{words}</text>"#,
            x + 28.0,
            x + 34.0
        );
        let letters = u32::try_from(words.chars().count()).unwrap_or(36);
        x += 34.0 + 7.0 * f64::from(letters) + 24.0;
    }
    let (height, ground) = (f.height, token("surface", theme));
    let drawn = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12" fill="{}"><title>{}</title><rect width="{WIDTH}" height="{height}" fill="{ground}"/><text class="name" x="{MARGIN}" y="28">{}</text><text class="lab" x="{MARGIN}" y="50">{}</text>{legend}<text x="{}" y="76" text-anchor="end">{}</text>{body}</svg>"#,
        token("ink-3", theme),
        escape(&f.name),
        clip(&f.name, 80),
        clip(&f.times, 120),
        WIDTH - MARGIN,
        if x < 520.0 { escape(&f.about) } else { String::new() },
    );
    coloured(drawn, theme)
}

/// The square that the browser stretches, at its true size: lines and dashes keep their width.
fn unstretched(plot: &str, height: f64) -> String {
    let plot = plot.replace(
        r#"viewBox="0 0 1000 1000" preserveAspectRatio="none""#,
        &format!(r#"viewBox="0 0 {INNER} {height}""#),
    );
    let mut parts = plot.split(r#"points=""#);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (points, rest) = part.split_once('"').unwrap_or((part, ""));
        out.push_str(r#"points=""#);
        for point in points.split_whitespace() {
            let place = |text: &str, size: f64| text.parse::<f64>().unwrap_or(0.0) * size / 1000.0;
            if let Some((x, y)) = point.split_once(',') {
                let _ = write!(out, "{:.1},{:.1} ", place(x, INNER), place(y, height));
            }
        }
        out.push('"');
        out.push_str(rest);
    }
    out
}

/// Classes as attributes. The longer names first: one begins with another.
fn coloured(drawn: String, theme: Theme) -> String {
    let c = |name: &str| token(name, theme);
    let line = |name: &str, more: &str| format!(r#"fill="none" stroke="{}"{more}"#, c(name));
    let dash = r#" stroke-width="2.5" stroke-dasharray="6 3" stroke-linejoin="round""#;
    let dots = r#" stroke-width="2" stroke-linecap="round" stroke-dasharray="1 5""#;
    let bold = |name: &str| format!(r#"font-weight="700" fill="{}""#, c(name));
    let mut classes: Vec<(String, String)> = Vec::new();
    // A line of plotters' carries its own attributes beside the class.
    for (series, name, more) in [
        ("stable", "series-stable", r#" stroke-linejoin="round""#),
        ("canary", "series-canary", r#" stroke-dasharray="6 3" stroke-linejoin="round""#),
        ("limit", "series-threshold", r#" stroke-linecap="round" stroke-dasharray="1 5""#),
    ] {
        classes.push((
            format!(r#"class="{series}" stroke="var(--{name})""#),
            format!(r#"stroke="{}"{more}"#, c(name)),
        ));
    }
    for (class, attributes) in [
        ("band b2", format!(r#"fill="{}""#, c("series-band-2"))),
        ("band", format!(r#"fill="{}""#, c("series-band"))),
        ("grid", line("line", "")),
        ("mark soon", line("ink-2", r#" stroke-dasharray="3 3""#)),
        ("mark", line("ink-2", "")),
        ("stable", line("series-stable", r#" stroke-width="2""#)),
        ("canary", line("series-canary", dash)),
        ("limit", line("series-threshold", dots)),
        ("sure", format!(r#"fill="{}" fill-opacity="0.15""#, c("series-canary"))),
        ("shut", format!(r#"fill="{}" fill-opacity="0.5""#, c("line"))),
        ("lab", format!(r#"fill="{}""#, c("ink-2"))),
        ("ls", bold("series-stable")),
        ("lc", bold("series-canary")),
        ("name", format!(r#"font-size="18" font-weight="700" fill="{}""#, c("ink"))),
        (
            "v",
            r#"fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round""#
                .to_owned(),
        ),
    ] {
        classes.push((format!(r#"class="{class}""#), attributes));
    }
    for tone in ["unknown", "healthy", "waiting", "degraded"] {
        classes.push((format!(r#"data-s="{tone}""#), format!(r#"color="{}""#, c(tone))));
    }
    // plotters draws `fill` and `stroke-width` of its own: an attribute may stand only once.
    classes.into_iter().fold(drawn, |text, (class, attributes)| text.replace(&class, &attributes))
}

/// The style sheet's tokens, as they are in each theme.
fn token(name: &str, theme: Theme) -> &'static str {
    let (light, dark) = match name {
        "surface" => ("#ffffff", "#11181c"),
        "line" => ("#dce2e6", "#253138"),
        "ink" => ("#0e171c", "#e8eef1"),
        "ink-2" => ("#3a4852", "#b9c5cc"),
        "series-stable" => ("#1468ad", "#6db4f2"),
        "series-canary" => ("#c25305", "#ffa64d"),
        "series-threshold" | "ink-3" => ("#56646e", "#93a2ac"),
        "series-band" => ("#f0f3f5", "#161f24"),
        "series-band-2" => ("#e5eaed", "#1c272d"),
        "healthy" => ("#13633a", "#74d6a4"),
        "waiting" => ("#7b4800", "#f0bf6a"),
        "degraded" => ("#a11a12", "#ff968d"),
        _ => ("#4a5862", "#b1bec6"),
    };
    if theme == Theme::Dark { dark } else { light }
}

fn window(p: &ReleasePage) -> Window {
    let begun = p.started.unwrap_or(p.created);
    let from = p.samples.first().map_or(begun, |s| s.at.min(begun));
    Window::new(from, p.live.age.now, p.ended, None)
}

/// What a chart draws as a table, as RFC 4180 has it: a line for each sample, or of the weight for each change. Steps count from
/// 1. A cell is empty where there is no figure, or too few requests for one.
pub fn csv(metric: Metric, p: &ReleasePage) -> String {
    let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    if metric == Metric::Weight {
        let line = |w: &model::view::WeightPoint| format!("{},{},{}\r\n", time(w.at), w.weight, w.ceiling);
        return format!(
            "time,weight_percent,ceiling_percent\r\n{}",
            p.weights.iter().map(line).collect::<String>()
        );
    }
    let unit = if metric == Metric::Errors { "percent" } else { "ms" };
    let mut out = format!(
        "time,step,weight_percent,stable_{unit},canary_{unit},canary_low_{unit},canary_high_{unit},limit_{unit},stable_requests,canary_requests\r\n"
    );
    let window = window(p);
    let (stable, canary, _) = lines_of(metric, &p.samples, &p.limits, &window);
    let at = |runs: &[Vec<Point>], s: &Sample| {
        runs.iter().flatten().find(|point| point.at == s.at).map(|point| point.value)
    };
    let cell = |value: Option<f64>| value.map(|v| format!("{v:.4}")).unwrap_or_default();
    let percent = |side: &Side| side.error_range().map(|(low, high)| (low * 100.0, high * 100.0));
    for s in &p.samples {
        let (stable, canary) = (at(&stable, s), at(&canary, s));
        let sure = if metric == Metric::Errors { percent(&s.canary_recent) } else { s.p95_range };
        let sure = sure.filter(|_| canary.is_some());
        let limit = match metric {
            Metric::Errors => Some(p.limits.max_error_percent),
            Metric::Weight | Metric::Latency => {
                let moving = stable.map(|ms| ms * p.limits.max_p95_ratio);
                match (moving, p.limits.max_p95_ms) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                }
            }
        };
        let _ = write!(
            out,
            "{},{},{},{},{},{},{},{},{},{}\r\n",
            time(s.at),
            s.step + 1,
            s.weight,
            cell(stable),
            cell(canary),
            cell(sure.map(|(low, _)| low)),
            cell(sure.map(|(_, high)| high)),
            cell(limit),
            s.stable_recent.requests,
            s.canary_recent.requests,
        );
    }
    out
}
