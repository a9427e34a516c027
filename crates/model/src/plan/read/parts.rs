//! The parts of a plan, but for its steps.

use super::names::{image_fault, is_label, is_name};
use super::{steps, templates};
use crate::document::{Node, Walk};
use crate::plan::{
    Analysis, Approvals, Canary, Change, Follow, Metadata, Rollback, Rolling, Spec, Step, Strategy, Target,
};
use crate::role::{Action, Role, allows};
use crate::span::Span;
use crate::verdict::Limits;
use std::collections::BTreeMap;

/// Containers of one workload that a plan changes.
const MOST_IMAGES: usize = 50;
/// More would be a way to make a plan that nobody can approve.
const MOST_APPROVALS: i64 = 10;
const DAY: u64 = 86_400;

pub(super) fn metadata(walk: &mut Walk, path: &str, node: &Node) -> Option<Metadata> {
    let m = walk.map(path, node, &["name", "service", "environment"])?;
    let name = m.need(walk, "name", "checkout-1-42-0").and_then(|(p, n)| name(walk, &p, n));
    let service = m.need(walk, "service", "checkout").and_then(|(p, n)| self::name(walk, &p, n));
    let environment = m.need(walk, "environment", "production").and_then(|(p, n)| label(walk, &p, n));
    Some(Metadata { name: name?, service: service?, environment: environment? })
}

pub(super) fn spec(walk: &mut Walk, path: &str, node: &Node, environment: Option<&str>) -> Option<Spec> {
    const KNOWN: [&str; 7] =
        ["change", "strategy", "analysis", "rollback", "approvals", "window", "workload"];
    let s = walk.map(path, node, &KNOWN)?;
    let change = s.need(walk, "change", "{images: {app: …}}").and_then(|(p, n)| change(walk, &p, n));
    let strategy = s.need(walk, "strategy", "{canary: {steps: […]}}");
    let strategy = strategy.and_then(|(p, n)| strategy_of(walk, &p, n));
    let analysis =
        s.get("analysis").map_or_else(|| Some(complete(Analysis::default())), |(p, n)| analysis(walk, &p, n));
    if let (Some(Strategy::BlueGreen(both)), Some(analysis)) = (&strategy, &analysis) {
        steps::about_switch(walk, &s.path("strategy.blueGreen"), both, analysis);
    }
    if let (Some(strategy), Some(analysis)) = (&strategy, &analysis)
        && !analysis.templates.is_empty()
        && !strategy.steps().iter().any(Step::has_analysis)
    {
        let words = "No step has the gate `analysis`, so these are never evaluated. Add the gate, or name them at a step.";
        walk.warn(s.path("analysis.templates"), words);
    }
    let rollback =
        s.get("rollback").map_or_else(|| Some(Rollback::default()), |(p, n)| rollback(walk, &p, n));
    let approvals = match s.get("approvals") {
        Some((p, n)) => approvals(walk, &p, n, environment),
        None => Some(Approvals::default()),
    };
    let window = s.get("window").and_then(|(p, n)| {
        let window = name(walk, &p, n)?;
        walk.warn(p, "Change windows are not kept yet: start the release inside the window yourself.");
        Some(window)
    });
    let workload = s.get("workload").and_then(|(p, n)| target(walk, &p, n));
    Some(Spec {
        change: change?,
        strategy: strategy?,
        analysis: analysis?,
        rollback: rollback?,
        approvals: approvals?,
        window,
        workload,
    })
}

fn change(walk: &mut Walk, path: &str, node: &Node) -> Option<Change> {
    let c = walk.map(path, node, &["images", "reference", "migrations"])?;
    let images = c.need(walk, "images", "{app: registry.example.com/checkout:1.42.0}");
    let images = images.and_then(|(p, n)| images_of(walk, &p, n));
    let reference = c.get("reference").and_then(|(p, n)| {
        let link = walk.text(&p, n)?;
        let host = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        if host.is_none_or(|h| h.is_empty() || h.starts_with('/')) || link.contains(char::is_whitespace) {
            walk.error(p, "Must be a link that begins with https:// or http://.");
            return None;
        }
        Some(link.to_owned())
    });
    let migrations = c.get("migrations").map_or_else(Vec::new, |(p, n)| {
        let all = texts(walk, &p, n);
        if !all.is_empty() {
            walk.warn(
                p,
                "Migrations are not run or linted yet: run them yourself, expand before the release.",
            );
        }
        all
    });
    Some(Change { images: images?, reference, migrations })
}

fn images_of(walk: &mut Walk, path: &str, node: &Node) -> Option<BTreeMap<String, String>> {
    let map = walk.map(path, node, &[])?;
    if map.entries.is_empty() {
        walk.error(path, "Names no image. Write `{app: registry.example.com/checkout:1.42.0}`.");
    }
    if map.entries.len() > MOST_IMAGES {
        walk.error(
            path,
            format!("Names more than {MOST_IMAGES} containers. Remove those that do not change."),
        );
        return None;
    }
    let mut images = BTreeMap::new();
    for (container, node) in map.entries {
        let p = map.path(container);
        if !is_label(container) {
            walk.error(&p, format!("`{container}` is no container name: {LABEL}."));
        }
        if let Some(image) = walk.text(&p, node) {
            if let Some(fault) = image_fault(image) {
                walk.error(&p, fault);
            } else if image.ends_with(":latest") {
                walk.warn(
                    &p,
                    "The tag `latest` moves: what runs may not be what was approved. Name a version.",
                );
            }
            images.insert(container.clone(), image.to_owned());
        }
    }
    Some(images)
}

fn strategy_of(walk: &mut Walk, path: &str, node: &Node) -> Option<Strategy> {
    let s = match node {
        Node::Map(entries) if entries.iter().any(|(k, _)| later(k)) => {
            for (key, _) in entries.iter().filter(|(k, _)| later(k)) {
                let p = format!("{path}.{key}");
                walk.error(
                    p,
                    format!(
                        "`{key}` is not available yet. Write `canary` with its steps, `blueGreen`, `rolling`, `follow` or \
                         `shadow`."
                    ),
                );
            }
            return None;
        }
        _ => walk.map(path, node, &STRATEGIES)?,
    };
    let given = |key: &str| s.entries.iter().find(|(k, _)| k == key).map(|(_, node)| (s.path(key), node));
    // Also where nothing follows it: `rolling:` alone is a rolling update without bake and gates.
    let unweighted =
        ["follow", "rolling", "blueGreen", "shadow"].into_iter().find_map(|key| Some((key, given(key)?)));
    let Some((key, (path, node))) = unweighted else {
        let (path, node) = s.need(walk, "canary", "{steps: […]}")?;
        let canary = walk.map(&path, node, &["steps"])?;
        let (path, node) = canary.need(walk, "steps", "[{weight: 5, bake: 2m}, {weight: 100}]")?;
        return Some(Strategy::Canary(Canary { steps: steps::steps(walk, &path, node)? }));
    };
    let others: Vec<_> = STRATEGIES
        .into_iter()
        .filter(|other| {
            *other != key && given(other).is_some_and(|(_, n)| *other != "canary" || *n != Node::Null)
        })
        .collect();
    if !others.is_empty() {
        walk.error(
            path,
            format!("A release has one strategy. Remove `{}` or `{key}`.", others.join("` and `")),
        );
        return None;
    }
    match key {
        "rolling" => {
            let (bake, gates) = steps::rolling(walk, &path, node)?;
            Some(Strategy::Rolling(Rolling::new(bake, gates)))
        }
        "follow" => {
            let (bake, gates) = steps::unweighted(walk, &path, node)?;
            Some(Strategy::Follow(Follow::new(bake, gates)))
        }
        "shadow" => steps::shadow(walk, &path, node).map(Strategy::Shadow),
        _ => steps::blue_green(walk, &path, node).map(Strategy::BlueGreen),
    }
}

/// Of which a plan names one.
const STRATEGIES: [&str; 5] = ["canary", "blueGreen", "rolling", "follow", "shadow"];

fn later(strategy: &str) -> bool {
    strategy == "recreate"
}

fn analysis(walk: &mut Walk, path: &str, node: &Node) -> Option<Analysis> {
    const KNOWN: [&str; 7] =
        ["templates", "guard", "minRequests", "maxErrorPercent", "maxErrorRatio", "maxP95Ms", "maxP95Ratio"];
    let a = walk.map(path, node, &KNOWN)?;
    let templates = a.get("templates").map_or_else(Vec::new, |(p, n)| templates::templates(walk, &p, n));
    let guard = a.get("guard").and_then(|(p, n)| {
        let guard = name(walk, &p, n)?;
        if guard != "standard" {
            walk.warn(p, format!("There is no guard `{guard}` yet: `standard` watches instead."));
        }
        Some(guard)
    });
    let min_requests = a.get("minRequests").and_then(|(p, n)| walk.whole(&p, n, 1, 1_000_000));
    Some(complete(Analysis {
        templates,
        guard,
        min_requests: min_requests.and_then(|n| u32::try_from(n).ok()),
        max_error_percent: a.get("maxErrorPercent").and_then(|(p, n)| walk.number(&p, n, 0.0, 100.0)),
        max_error_ratio: a.get("maxErrorRatio").and_then(|(p, n)| walk.number(&p, n, 1.0, 100.0)),
        max_p95_ms: a.get("maxP95Ms").and_then(|(p, n)| walk.number(&p, n, 1.0, 600_000.0)),
        max_p95_ratio: a.get("maxP95Ratio").and_then(|(p, n)| walk.number(&p, n, 1.0, 100.0)),
    }))
}

/// Today's defaults, written down.
fn complete(a: Analysis) -> Analysis {
    let Limits { min_requests, max_error_percent, max_error_ratio, max_p95_ms, max_p95_ratio } = a.limits();
    Analysis {
        templates: a.templates,
        guard: a.guard.or_else(|| Some("standard".into())),
        min_requests: Some(min_requests),
        max_error_percent: Some(max_error_percent),
        max_error_ratio: Some(max_error_ratio),
        max_p95_ms,
        max_p95_ratio: Some(max_p95_ratio),
    }
}

fn rollback(walk: &mut Walk, path: &str, node: &Node) -> Option<Rollback> {
    let r = walk.map(path, node, &["policy", "rehearsed", "config"])?;
    let policy = r.get("policy").and_then(|(p, n)| {
        let policy = name(walk, &p, n)?;
        walk.warn(p, "Rollback policies are not read yet: a failing verdict rolls back at once.");
        Some(policy)
    });
    let mut one_of = |key: &str, (one, other): (&str, &str)| {
        let (p, n) = r.get(key)?;
        let word = walk.text(&p, n)?;
        if word != one && word != other {
            walk.error(&p, format!("Must be `{one}` or `{other}`, not `{word}`."));
            return None;
        }
        Some(word.to_owned())
    };
    let rehearsed = one_of("rehearsed", ("required", "optional"));
    let config = one_of("config", ("restore", "keep"));
    Some(Rollback { policy, rehearsed, config })
}

fn approvals(walk: &mut Walk, path: &str, node: &Node, environment: Option<&str>) -> Option<Approvals> {
    let a = walk.map(path, node, &["required", "from", "expire"])?;
    let d = Approvals::default();
    let required = a.get("required").map_or(Some(d.required), |(p, n)| {
        let required = walk.whole(&p, n, 0, MOST_APPROVALS)?;
        if required == 0 && environment.is_none_or(|e| e == "production") {
            walk.error(p, "Production needs at least 1 approval.");
        }
        u32::try_from(required).ok()
    });
    let from = a.get("from").map_or(Some(d.from), |(p, n)| {
        let mut roles = Vec::new();
        for (i, word) in texts(walk, &p, n).into_iter().enumerate() {
            let p = format!("{p}[{i}]");
            match word.parse::<Role>() {
                Ok(role) if !allows(role, Action::Approve) => {
                    walk.error(p, format!("The role {role} may not approve plans. Write `approver`."));
                }
                Ok(role) if roles.contains(&role) => {
                    walk.error(p, format!("`{word}` stands twice. Keep one."))
                }
                Ok(role) => roles.push(role),
                Err(why) => walk.error(p, sentence(&why)),
            }
        }
        if matches!(n, Node::List(items) if items.is_empty()) {
            walk.error(p, "Names no role, so nobody could approve. Write `[approver]`.");
        }
        Some(roles)
    });
    let expire = a.get("expire").map_or(Some(d.expire), |(p, n)| span(walk, &p, n, 60, 30 * DAY));
    Some(Approvals { required: required?, from: from?, expire: expire? })
}

fn target(walk: &mut Walk, path: &str, node: &Node) -> Option<Target> {
    let t = walk.map(path, node, &["cluster", "namespace", "kind", "name"])?;
    let cluster = t.get("cluster").and_then(|(p, n)| name(walk, &p, n));
    let namespace = t.need(walk, "namespace", "shop").and_then(|(p, n)| label(walk, &p, n));
    let kind = t.get("kind").and_then(|(p, n)| {
        let kind = walk.text(&p, n)?;
        match kind {
            "Rollout" | "Deployment" => Some(kind.to_owned()),
            _ => {
                walk.error(p, format!("There is no kind `{kind}` here. Write `Rollout` or `Deployment`."));
                None
            }
        }
    });
    let name = t.need(walk, "name", "checkout").and_then(|(p, n)| name(walk, &p, n));
    Some(Target { cluster, namespace: namespace?, kind, name: name? })
}

const LABEL: &str = "use lower-case letters, digits and `-`, at most 63, a letter or digit at both ends";

fn label(walk: &mut Walk, path: &str, node: &Node) -> Option<String> {
    let text = walk.text(path, node)?;
    if !is_label(text) {
        walk.error(path, format!("`{}` is no name: {LABEL}.", short(text)));
        return None;
    }
    Some(text.to_owned())
}

fn name(walk: &mut Walk, path: &str, node: &Node) -> Option<String> {
    let text = walk.text(path, node)?;
    if !is_name(text) {
        let why = "use lower-case letters, digits, `-` and `.`, a letter or digit at both ends";
        walk.error(path, format!("`{}` is no name: {why}.", short(text)));
        return None;
    }
    Some(text.to_owned())
}

fn short(text: &str) -> String {
    if text.chars().count() > 40 { text.chars().take(40).chain(['…']).collect() } else { text.to_owned() }
}

fn texts(walk: &mut Walk, path: &str, node: &Node) -> Vec<String> {
    let items = walk.list(path, node).unwrap_or_default();
    let text = |(i, n): (usize, &Node)| walk.text(&format!("{path}[{i}]"), n).map(str::to_owned);
    items.iter().enumerate().filter_map(text).collect()
}

pub(super) fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let head: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{head}{}.", chars.as_str())
}

/// A duration between two bounds, in seconds.
pub(super) fn span(walk: &mut Walk, path: &str, node: &Node, least: u64, most: u64) -> Option<Span> {
    let parsed = match node {
        Node::Text(text) => text.parse::<Span>().map_err(|_| format!("`{}` is no duration", short(text))),
        Node::Int(0) => Ok(Span::ZERO),
        Node::Int(n) => Err(format!("{n} has no unit")),
        Node::Null | Node::Bool(_) | Node::Float(_) | Node::List(_) | Node::Map(_) => {
            Err(format!("Must be a duration, not {}", node.kind()))
        }
    };
    match parsed {
        Ok(s) if (least..=most).contains(&s.0) => Some(s),
        Ok(s) if s.0 < least => {
            walk.error(path, format!("Must be at least {}, not {s}.", Span(least)));
            None
        }
        Ok(s) => {
            walk.error(path, format!("Must be at most {}, not {s}.", Span(most)));
            None
        }
        Err(why) => {
            walk.error(path, format!("{why}. Write 30s, 2m, 1h30m or 2d."));
            None
        }
    }
}
