//! Reading a policy file: every error at once, each at its field.

use super::{
    Action, Breaker, Channel, Conditions, DEFAULT, Limit, Policies, Policy, ServiceWatch, Severity, Trigger,
    What,
};
use crate::document::walk::{Fields, at};
use crate::document::{Node, Walk};
use crate::problem::{FieldError, Problem};
use crate::span::Span;

const TRIGGERS: [&str; 5] =
    ["error_rate_threshold", "response_time_p95_ms", "workflow_failure_rate", "pod_restart_rate", "queries"];
const ACTIONS: [&str; 4] = ["pause_rollout", "notify_oncall", "automatic_rollback", "incident_creation"];
const PARTS: [&str; 5] =
    ["rollback_triggers", "rollback_conditions", "rollback_actions", "circuit_breaker", "service_watch"];
/// Longest anything is watched or waited for.
const LONGEST: u64 = 24 * 3600;

/// Policies that break no rule, and what should be known about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub policies: Policies,
    pub warnings: Vec<FieldError>,
}

/// Reads the file of a ConfigMap `rollback-policies`: YAML, of which JSON is a part.
///
/// # Errors
/// 413 above 256 KiB; 400 when the text is not YAML; 422 with every broken rule at its field.
pub fn from_yaml(text: &str) -> Result<Read, Problem> {
    let node = Node::parse(text)?;
    let mut walk = Walk::default();
    walk.texts("", &node);
    let policies = file(&mut walk, &node);
    match policies {
        Some(policies) if walk.errors.is_empty() => Ok(Read { policies, warnings: walk.warnings }),
        _ => Err(Problem::invalid(walk.errors)),
    }
}

fn file(walk: &mut Walk, node: &Node) -> Option<Policies> {
    if *node == Node::Null {
        walk.error("", "The file is empty. Begin with `rollback_triggers:`.");
        return None;
    }
    let named = matches!(node, Node::Map(entries) if entries.iter().any(|(key, _)| key == "policies"));
    if !named {
        return policy(walk, "", node).map(|policy| [(DEFAULT.to_owned(), policy)].into());
    }
    let top = walk.map("", node, &["policies"])?;
    let (path, all) = top.need(walk, "policies", "{production: {…}}")?;
    let all = walk.map(&path, all, &[])?;
    if all.entries.is_empty() {
        walk.error(&path, "Names no policy. Add one, or remove the field.");
    }
    let read = all.entries.iter().map(|(name, node)| {
        let path = at(&path, name);
        if !is_name(name) {
            walk.error(&path, "A policy's name is of lower-case letters, digits and hyphens, at most 63.");
        }
        Some((name.clone(), policy(walk, &path, node)?))
    });
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

fn is_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn policy(walk: &mut Walk, path: &str, node: &Node) -> Option<Policy> {
    let parts = walk.map(path, node, &PARTS)?;
    let triggers = parts.need(walk, "rollback_triggers", "{error_rate_threshold: 0.05}");
    let triggers = triggers.and_then(|(path, node)| triggers_of(walk, &path, node));
    let conditions = match parts.get("rollback_conditions") {
        Some((path, node)) => conditions(walk, &path, node),
        None => Some(defaults()),
    };
    let actions = parts.need(walk, "rollback_actions", "[{type: automatic_rollback, delay: 5m}]");
    let most = conditions.as_ref().map(|c| c.max_rollback_time);
    let actions = actions.and_then(|(path, node)| actions_of(walk, &path, node, most));
    if let Some(actions) = &actions
        && actions.iter().any(|a| {
            matches!(a, Action::AutomaticRollback { delay, confirmation_required } if *confirmation_required || *delay > Span::ZERO)
        })
        && !actions.contains(&Action::PauseRollout)
    {
        let words = "Nothing holds the release until it rolls back: it may rise, and end, meanwhile. Add pause_rollout.";
        walk.warn(parts.path("rollback_actions"), words);
    }
    let breaker = parts.get("circuit_breaker").map(|(path, node)| breaker(walk, &path, node));
    // One that cannot be read is a fault of the file, and none is none.
    let breaker = breaker.map_or(Some(None), |read| read.map(Some))?;
    let services = parts.get("service_watch").map(|(path, node)| services(walk, &path, node));
    let services = services.map_or(Some(None), |read| read)?;
    Some(Policy { triggers: triggers?, conditions: conditions?, actions: actions?, breaker, services })
}

/// `Some(None)`: read, and not asked for.
#[expect(clippy::option_option, reason = "a fault, nothing, or a watch")]
fn services(walk: &mut Walk, path: &str, node: &Node) -> Option<Option<ServiceWatch>> {
    let fields = walk.map(path, node, &["enabled", "rollback_within"])?;
    let enabled = flag(walk, &fields, "enabled", true);
    let within = span(walk, &fields, "rollback_within", Span(60 * 60));
    let watch = ServiceWatch { rollback_within: within? };
    Some(enabled?.then_some(watch))
}

fn breaker(walk: &mut Walk, path: &str, node: &Node) -> Option<Breaker> {
    let fields = walk.map(path, node, &["rollbacks", "window"])?;
    let (path, node) = fields.need(walk, "rollbacks", "3")?;
    let rollbacks = walk.whole(&path, node, 1, 100).and_then(|n| u32::try_from(n).ok());
    let window = span(walk, &fields, "window", Span(LONGEST));
    if window == Some(Span::ZERO) {
        walk.error(fields.path("window"), "Must be longer than nothing, as in `24h`.");
    }
    Some(Breaker { rollbacks: rollbacks?, window: window? })
}

fn triggers_of(walk: &mut Walk, path: &str, node: &Node) -> Option<Vec<Trigger>> {
    let fields = walk.map(path, node, &TRIGGERS)?;
    let plain = [
        ("error_rate_threshold", What::ErrorRate, 1.0),
        ("response_time_p95_ms", What::ResponseTimeP95, 600_000.0),
        ("workflow_failure_rate", What::WorkflowFailureRate, 1.0),
        ("pod_restart_rate", What::PodRestartRate, 100.0),
    ];
    let mut all = Vec::new();
    for (key, what, most) in plain {
        let Some((path, node)) = fields.get(key) else { continue };
        if let Some(limit) = walk.number(&path, node, 0.0, most) {
            all.push(Trigger { what, limit: Limit::Above(limit) });
        }
    }
    if let Some((path, node)) = fields.get("queries") {
        for (i, node) in walk.list(&path, node)?.iter().enumerate() {
            all.extend(query(walk, &format!("{path}[{i}]"), node));
        }
    }
    if all.is_empty() && walk.errors.is_empty() {
        walk.error(path, format!("Names no trigger. Known: {}.", TRIGGERS.join(", ")));
    }
    Some(all)
}

fn query(walk: &mut Walk, path: &str, node: &Node) -> Option<Trigger> {
    let fields = walk.map(path, node, &["name", "query", "above", "below"])?;
    let mut text = |key: &str, example: &str| {
        let (path, node) = fields.need(walk, key, example)?;
        walk.text(&path, node).map(|text| text.trim().to_owned())
    };
    let (name, query) = (text("name", "queue length"), text("query", "sum(queue_length)"));
    for (key, said) in [("name", &name), ("query", &query)] {
        if said.as_ref().is_some_and(String::is_empty) {
            walk.error(fields.path(key), "Is empty. Fill it in.");
        }
    }
    let mut number = |key: &str| fields.get(key).map(|(p, n)| walk.number(&p, n, -1e12, 1e12));
    let limit = match (number("above"), number("below")) {
        (Some(above), None) => Limit::Above(above?),
        (None, Some(below)) => Limit::Below(below?),
        (Some(_), Some(_)) | (None, None) => {
            walk.error(path, "Give one limit, `above` or `below`.");
            return None;
        }
    };
    Some(Trigger { what: What::Query { name: name?, query: query? }, limit })
}

/// What holds where a file does not say: one reading is a blip, and nobody waits for hours.
fn defaults() -> Conditions {
    Conditions {
        min_observation_time: Span::ZERO,
        max_rollback_time: Span(30 * 60),
        confirmation_samples: 3,
        min_requests: 50,
    }
}

fn conditions(walk: &mut Walk, path: &str, node: &Node) -> Option<Conditions> {
    let known = ["min_observation_time", "max_rollback_time", "confirmation_samples", "min_requests"];
    let fields = walk.map(path, node, &known)?;
    let default = defaults();
    let observed = span(walk, &fields, "min_observation_time", default.min_observation_time);
    let most = span(walk, &fields, "max_rollback_time", default.max_rollback_time);
    let mut whole = |key: &str, otherwise: u32, least: i64, most: i64| match fields.get(key) {
        Some((path, node)) => walk.whole(&path, node, least, most).and_then(|n| u32::try_from(n).ok()),
        None => Some(otherwise),
    };
    let samples = whole("confirmation_samples", default.confirmation_samples, 1, 100);
    let requests = whole("min_requests", default.min_requests, 0, 1_000_000);
    if most == Some(Span::ZERO) {
        walk.error(fields.path("max_rollback_time"), "Must be longer than nothing, as in `30m`.");
    }
    Some(Conditions {
        min_observation_time: observed?,
        max_rollback_time: most?,
        confirmation_samples: samples?,
        min_requests: requests?,
    })
}

fn span(walk: &mut Walk, fields: &Fields<'_>, key: &str, otherwise: Span) -> Option<Span> {
    let Some((path, node)) = fields.get(key) else { return Some(otherwise) };
    let text = match node {
        Node::Int(0) => return Some(Span::ZERO),
        node => walk.text(&path, node)?,
    };
    match text.parse::<Span>() {
        Ok(span) if span.0 <= LONGEST => Some(span),
        Ok(span) => {
            walk.error(path, format!("Must be at most 24h, not {span}."));
            None
        }
        Err(words) => {
            walk.error(path, format!("{words}."));
            None
        }
    }
}

fn actions_of(walk: &mut Walk, path: &str, node: &Node, most: Option<Span>) -> Option<Vec<Action>> {
    let mut all: Vec<Action> = Vec::new();
    for (i, node) in walk.list(path, node)?.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(action) = action(walk, &path, node, most) else { continue };
        if all.iter().any(|a| std::mem::discriminant(a) == std::mem::discriminant(&action)) {
            walk.error(format!("{path}.type"), "Stands here twice. Keep one.");
        }
        all.push(action);
    }
    if all.is_empty() && walk.errors.is_empty() {
        walk.error(path, format!("Names no action. Known: {}.", ACTIONS.join(", ")));
    }
    Some(all)
}

fn action(walk: &mut Walk, path: &str, node: &Node, most: Option<Span>) -> Option<Action> {
    // First the type: which fields are known depends on it.
    let fields = walk.map(path, node, &[])?;
    let (kind_path, kind) = fields.need(walk, "type", "automatic_rollback")?;
    match walk.text(&kind_path, kind)? {
        "pause_rollout" => {
            let fields = walk.map(path, node, &["type", "immediate"])?;
            if !flag(walk, &fields, "immediate", true)? {
                walk.error(fields.path("immediate"), "A pause is immediate, or none. Write true.");
            }
            Some(Action::PauseRollout)
        }
        "notify_oncall" => {
            let fields = walk.map(path, node, &["type", "channels"])?;
            let (path, node) = fields.need(walk, "channels", "[slack, pagerduty]")?;
            Some(Action::NotifyOncall { channels: channels(walk, &path, node)? })
        }
        "automatic_rollback" => {
            let fields = walk.map(path, node, &["type", "delay", "confirmation_required"])?;
            let delay = span(walk, &fields, "delay", Span::ZERO);
            let confirmation_required = flag(walk, &fields, "confirmation_required", false);
            if let (Some(delay), Some(most)) = (delay, most)
                && delay > most
            {
                let words = format!("Is longer than max_rollback_time ({most}): it would never roll back.");
                walk.error(fields.path("delay"), words);
            }
            Some(Action::AutomaticRollback { delay: delay?, confirmation_required: confirmation_required? })
        }
        "incident_creation" => {
            let fields = walk.map(path, node, &["type", "severity", "auto_assign", "public"])?;
            let severity = severity(walk, &fields);
            let auto_assign = flag(walk, &fields, "auto_assign", false);
            let public = flag(walk, &fields, "public", false);
            Some(Action::IncidentCreation { severity: severity?, auto_assign: auto_assign?, public: public? })
        }
        other => {
            walk.error(kind_path, format!("There is no action `{other}`. Known: {}.", ACTIONS.join(", ")));
            None
        }
    }
}

fn flag(walk: &mut Walk, fields: &Fields<'_>, key: &str, otherwise: bool) -> Option<bool> {
    match fields.get(key) {
        None => Some(otherwise),
        Some((_, Node::Bool(said))) => Some(*said),
        Some((path, node)) => {
            walk.error(path, format!("Must be true or false, not {}.", node.kind()));
            None
        }
    }
}

fn channels(walk: &mut Walk, path: &str, node: &Node) -> Option<Vec<Channel>> {
    let known = [
        ("slack", Channel::Slack),
        ("pagerduty", Channel::Pagerduty),
        ("email", Channel::Email),
        ("webhook", Channel::Webhook),
    ];
    let mut all = Vec::new();
    for (i, node) in walk.list(path, node)?.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(said) = walk.text(&path, node) else { continue };
        match known.iter().find(|(key, _)| *key == said) {
            Some((_, channel)) if !all.contains(channel) => all.push(*channel),
            Some(_) => walk.error(path, format!("`{said}` stands here twice. Keep one.")),
            None => walk.error(
                path,
                format!("There is no channel `{said}`. Known: slack, pagerduty, email, webhook."),
            ),
        }
    }
    if all.is_empty() && walk.errors.is_empty() {
        walk.error(path, "Names no channel: nobody would be told. Known: slack, pagerduty, email, webhook.");
    }
    Some(all)
}

fn severity(walk: &mut Walk, fields: &Fields<'_>) -> Option<Severity> {
    let (path, node) = fields.need(walk, "severity", "high")?;
    match walk.text(&path, node)? {
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        "critical" => Some(Severity::Critical),
        other => {
            walk.error(path, format!("There is no severity `{other}`. Known: low, medium, high, critical."));
            None
        }
    }
}
