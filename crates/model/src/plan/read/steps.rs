//! The steps of a release: a canary's weights that rise to 100, how long each bakes, what opens the next.

use super::parts::{sentence, span};
use super::templates::templates;
use crate::document::{Node, Walk};
use crate::plan::{Analysis, BlueGreen, Gate, Header, Shadow, Step, Template};
use crate::role::Role;
use crate::span::Span;

const MOST_STEPS: usize = 20;
/// Longest bake: 7 days.
const LONGEST_BAKE: u64 = 7 * 86_400;
const MOST_PODS: i64 = 10_000;
/// Lengths in bytes that every router takes: an ALB's names have 40, its values 128.
const LONGEST_NAME: usize = 40;
const LONGEST_VALUE: usize = 128;

pub(super) fn steps(walk: &mut Walk, path: &str, node: &Node) -> Option<Vec<Step>> {
    let items = walk.list(path, node)?;
    if items.is_empty() {
        walk.error(path, "Has no steps. Write at least `[{weight: 100}]`.");
        return None;
    }
    if items.len() > MOST_STEPS {
        walk.error(path, format!("Has {} steps; at most {MOST_STEPS}. Remove some.", items.len()));
        return None;
    }
    let mut steps = Vec::new();
    let mut whole = true;
    // The last weight that could be read: a step is compared with it even when one between cannot be.
    let mut before: Option<(usize, u8)> = None;
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(read) = step(walk, &path, item) else {
            whole = false;
            continue;
        };
        let Some(weight) = read.weight else {
            whole = false;
            continue;
        };
        if let Some((at, lower)) = before.filter(|(_, lower)| weight <= *lower) {
            walk.error(
                format!("{path}.weight"),
                format!("Weight must be above step {} ({lower} %).", at + 1),
            );
        } else {
            before = Some((i, weight));
        }
        if i + 1 == items.len() && weight != 100 {
            let words = "The last weight must be 100: a release ends with all traffic. Add `{weight: 100}`.";
            walk.error(format!("{path}.weight"), words);
        }
        if i + 1 == items.len() {
            for key in
                [read.scale.map(|_| "scale"), read.header.as_ref().map(|_| "header")].into_iter().flatten()
            {
                let words = format!(
                    "At the last step every pod and every user is on the new version. Remove `{key}`."
                );
                walk.error(format!("{path}.{key}"), words);
            }
        }
        steps.push(Step {
            weight,
            bake: read.bake,
            gates: read.gates,
            scale: read.scale,
            header: read.header,
            templates: read.templates,
        });
    }
    whole.then_some(steps)
}

/// What follows a rolling update: its bake and its gates.
pub(super) fn rolling(walk: &mut Walk, path: &str, node: &Node) -> Option<(Span, Vec<Gate>)> {
    let (bake, gates) = unweighted(walk, path, node)?;
    if let Some(i) = gates.iter().position(|g| *g == Gate::Analysis) {
        let words = "A rolling update leaves no old version to compare with. Remove `analysis`; a person may judge: \
                     `{approval: on-call}`.";
        walk.error(format!("{path}.gates[{i}]"), words);
        return None;
    }
    Some((bake, gates))
}

/// A bake and gates that no weight stands beside; nothing at all is none of them.
pub(super) fn unweighted(walk: &mut Walk, path: &str, node: &Node) -> Option<(Span, Vec<Gate>)> {
    if *node == Node::Null {
        return Some((Span::ZERO, Vec::new()));
    }
    let r = walk.map(path, node, &["bake", "gates"])?;
    let bake = r.get("bake").map_or(Some(Span::ZERO), |(p, n)| span(walk, &p, n, 0, LONGEST_BAKE));
    let gates = r.get("gates").map_or_else(Vec::new, |(p, n)| gates(walk, &p, n));
    Some((bake?, gates))
}

/// The two parts of a blue-green release, each of which may be left out.
pub(super) fn blue_green(walk: &mut Walk, path: &str, node: &Node) -> Option<BlueGreen> {
    if *node == Node::Null {
        return Some(BlueGreen::new(Default::default(), Default::default()));
    }
    let parts = walk.map(path, node, &["preview", "after"])?;
    let mut part =
        |key: &str| parts.get(key).map_or(Some(Default::default()), |(p, n)| unweighted(walk, &p, n));
    let (preview, after) = (part("preview"), part("after"));
    Some(BlueGreen::new(preview?, after?))
}

/// What an analysis beside a switch can and cannot see, to be known before somebody relies on it.
pub(super) fn about_switch(walk: &mut Walk, path: &str, both: &BlueGreen, analysis: &Analysis) {
    if let Some(i) = both.preview().gates.iter().position(|g| *g == Gate::Analysis) {
        let words = "Users do not reach the preview: the analysis judges what is sent to the preview Service, and \
                     stays shut while nothing is.";
        walk.warn(format!("{path}.preview.gates[{i}]"), words);
    }
    if let Some(i) = both.after().gates.iter().position(|g| *g == Gate::Analysis)
        && analysis.max_p95_ms.is_none()
    {
        let words = "After the switch the old version serves nobody, so there is none to compare with: errors are \
                     held against maxErrorPercent, latency against nothing. Set `maxP95Ms` under `analysis`.";
        walk.warn(format!("{path}.after.gates[{i}]"), words);
    }
}

/// Copies of requests, and what follows when the Deployment has taken the version over.
pub(super) fn shadow(walk: &mut Walk, path: &str, node: &Node) -> Option<Shadow> {
    let s = walk.map(path, node, &["percent", "bake", "gates", "after"])?;
    let percent = s.need(walk, "percent", "20").and_then(|(p, n)| walk.whole(&p, n, 1, 100));
    let bake = s.get("bake").map_or(Some(Span::ZERO), |(p, n)| span(walk, &p, n, 0, LONGEST_BAKE));
    let gates = s.get("gates").map_or_else(Vec::new, |(p, n)| gates(walk, &p, n));
    let after = s.get("after").map_or(Some(Default::default()), |(p, n)| unweighted(walk, &p, n));
    if !gates.contains(&Gate::Analysis) {
        let words =
            "Nobody sees the answers to the copies, so only an analysis can judge them. Write `[analysis]`.";
        walk.error(s.path("gates"), words);
        return None;
    }
    let words = "A copied request is carried out like any other: a copied POST is done twice, unless the new version's \
                 writes are kept apart. Users get none of its answers.";
    walk.warn(s.path("percent"), words);
    Some(Shadow::new(u8::try_from(percent?).ok()?, (bake?, gates), after?))
}

struct StepRead {
    weight: Option<u8>,
    bake: Span,
    gates: Vec<Gate>,
    scale: Option<u16>,
    header: Option<Header>,
    templates: Vec<Template>,
}

fn step(walk: &mut Walk, path: &str, node: &Node) -> Option<StepRead> {
    let s = walk.map(path, node, &["weight", "bake", "gates", "scale", "header", "templates"])?;
    let weight = s.need(walk, "weight", "25").and_then(|(p, n)| walk.whole(&p, n, 1, 100));
    let bake = s.get("bake").map_or(Some(Span::ZERO), |(p, n)| span(walk, &p, n, 0, LONGEST_BAKE));
    let gates = s.get("gates").map_or_else(Vec::new, |(p, n)| gates(walk, &p, n));
    let scale = s.get("scale").and_then(|(p, n)| walk.whole(&p, n, 1, MOST_PODS));
    let header = s.get("header").and_then(|(p, n)| header(walk, &p, n));
    let templates = s.get("templates").map_or_else(Vec::new, |(p, n)| templates(walk, &p, n));
    Some(StepRead {
        weight: weight.and_then(|w| u8::try_from(w).ok()),
        bake: bake.unwrap_or_default(),
        gates,
        scale: scale.and_then(|n| u16::try_from(n).ok()),
        header,
        templates,
    })
}

fn header(walk: &mut Walk, path: &str, node: &Node) -> Option<Header> {
    let map = walk.map(path, node, &["name", "value"])?;
    let mut part = |key: &str, example: &str| {
        let (path, node) = map.need(walk, key, example)?;
        let said = walk.text(&path, node)?;
        Some((path, said.to_owned()))
    };
    let (name, value) = (part("name", "X-Canary"), part("value", "yes"));
    let ((at, name), (at_value, value)) = (name?, value?);
    // The characters of a field name (RFC 9110, 5.1) that every router takes.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        let words =
            format!("A header's name has letters, digits and `-`, at most {LONGEST_NAME}. Write `X-Canary`.");
        walk.error(at, words);
        return None;
    }
    if value.is_empty() || value.len() > LONGEST_VALUE {
        walk.error(at_value, format!("A header's value has 1 to {LONGEST_VALUE} characters. Write `yes`."));
        return None;
    }
    Some(Header { name, value })
}

fn gates(walk: &mut Walk, path: &str, node: &Node) -> Vec<Gate> {
    let mut gates: Vec<Gate> = Vec::new();
    for (i, item) in walk.list(path, node).unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(gate) = gate(walk, &path, item) else { continue };
        let twice = gates.iter().any(|g| std::mem::discriminant(g) == std::mem::discriminant(&gate));
        if twice {
            walk.error(path, "A step has one gate of a kind. Remove this one.");
        } else {
            gates.push(gate);
        }
    }
    gates
}

fn gate(walk: &mut Walk, path: &str, node: &Node) -> Option<Gate> {
    if let Node::Map(entries) = node {
        if let Some((key, _)) = entries.iter().find(|(k, _)| later(k)) {
            walk.error(path, not_yet(key));
            return None;
        }
        let map = walk.map(path, node, &["approval"])?;
        let (path, node) = map.need(walk, "approval", "on-call")?;
        let word = walk.text(&path, node)?;
        return match word.parse::<Role>() {
            Ok(Role::Viewer) => {
                walk.error(path, "A viewer opens no gate. Write `on-call`.");
                None
            }
            Ok(role) => Some(Gate::Approval(role)),
            Err(why) => {
                walk.error(path, sentence(&why));
                None
            }
        };
    }
    match walk.text(path, node)? {
        "analysis" => Some(Gate::Analysis),
        "approval" => {
            walk.error(path, "Say who opens it: `{approval: on-call}`.");
            None
        }
        word if later(word) => {
            walk.error(path, not_yet(word));
            None
        }
        word => {
            let words = format!("There is no gate `{word}`. Write `analysis` or `{{approval: on-call}}`.");
            walk.error(path, words);
            None
        }
    }
}

fn later(gate: &str) -> bool {
    matches!(gate, "load-test" | "migration" | "rehearsal")
}

fn not_yet(gate: &str) -> String {
    format!(
        "The gate `{gate}` is not available yet. Remove it, or ask a person instead: `{{approval: on-call}}`."
    )
}
