//! A plan as the document people edit: in the order in which it is thought, a step a line, so that a difference
//! between two versions reads like one.

use super::{Gate, Plan, Step, Strategy, Template};
use std::fmt::{Display, Write as _};

/// Writes the document. Reading it gives the same plan, with the same digest.
pub(super) fn yaml(plan: &Plan) -> String {
    let mut out = Out::default();
    let (m, s) = (&plan.metadata, &plan.spec);
    out.field(0, "apiVersion", &plan.api_version);
    out.field(0, "kind", &plan.kind);
    out.head(0, "metadata");
    out.field(1, "name", &m.name);
    out.field(1, "service", &m.service);
    out.field(1, "environment", &m.environment);
    out.head(0, "spec");
    out.head(1, "change");
    out.head(2, "images");
    for (container, image) in &s.change.images {
        out.field(3, &scalar(container), image);
    }
    out.maybe(2, "reference", s.change.reference.as_deref());
    out.list(2, "migrations", &s.change.migrations);
    out.head(1, "strategy");
    match &s.strategy {
        Strategy::Canary(canary) => {
            out.head(2, "canary");
            out.head(3, "steps");
            for step in &canary.steps {
                out.line(
                    4,
                    &format!(
                        "- {{{}}}",
                        [vec![format!("weight: {}", step.weight)], waits(step), asks(step)]
                            .concat()
                            .join(", ")
                    ),
                );
            }
        }
        Strategy::BlueGreen(both) => {
            let parts = [("preview", both.preview()), ("after", both.after())];
            let parts =
                parts.map(|(key, step)| (key, waits(step))).into_iter().filter(|(_, w)| !w.is_empty());
            let parts: Vec<_> =
                parts.map(|(key, waits)| format!("{key}: {{{}}}", waits.join(", "))).collect();
            if parts.is_empty() {
                out.line(2, "blueGreen: {}");
            } else {
                out.head(2, "blueGreen");
            }
            for part in parts {
                out.line(3, &part);
            }
        }
        Strategy::Rolling(rolling) => {
            out.line(2, &format!("rolling: {{{}}}", waits(rolling.step()).join(", ")))
        }
        Strategy::Shadow(shadow) => {
            let mut parts = vec![format!("percent: {}", shadow.percent())];
            parts.extend(waits(shadow.copies()));
            let after = waits(shadow.after());
            if !after.is_empty() {
                parts.push(format!("after: {{{}}}", after.join(", ")));
            }
            out.line(2, &format!("shadow: {{{}}}", parts.join(", ")));
        }
        Strategy::Follow(follow) => out.line(2, &format!("follow: {{{}}}", waits(follow.asked()).join(", "))),
    }
    let a = &s.analysis;
    let a_is_empty = a == &super::Analysis::default();
    if !a_is_empty {
        out.head(1, "analysis");
        if !a.templates.is_empty() {
            out.line(2, &templates(&a.templates));
        }
        out.maybe(2, "guard", a.guard.as_deref());
        out.figure(2, "minRequests", a.min_requests);
        out.figure(2, "maxErrorPercent", a.max_error_percent);
        out.figure(2, "maxErrorRatio", a.max_error_ratio);
        out.figure(2, "maxP95Ms", a.max_p95_ms);
        out.figure(2, "maxP95Ratio", a.max_p95_ratio);
    }
    if s.rollback != super::Rollback::default() {
        out.head(1, "rollback");
        out.maybe(2, "policy", s.rollback.policy.as_deref());
        out.maybe(2, "rehearsed", s.rollback.rehearsed.as_deref());
        out.maybe(2, "config", s.rollback.config.as_deref());
    }
    let from: Vec<_> = s.approvals.from.iter().map(|r| r.key().to_owned()).collect();
    out.head(1, "approvals");
    out.figure(2, "required", Some(s.approvals.required));
    out.list(2, "from", &from);
    out.figure(2, "expire", Some(s.approvals.expire));
    out.maybe(1, "window", s.window.as_deref());
    if let Some(t) = &s.workload {
        out.head(1, "workload");
        out.maybe(2, "cluster", t.cluster.as_deref());
        out.field(2, "namespace", &t.namespace);
        out.maybe(2, "kind", t.kind.as_deref());
        out.field(2, "name", &t.name);
    }
    out.text
}

/// What a step waits for, as it is written.
fn waits(step: &Step) -> Vec<String> {
    let mut parts = Vec::new();
    if step.bake > crate::Span::ZERO {
        parts.push(format!("bake: {}", step.bake));
    }
    if !step.gates.is_empty() {
        let gates: Vec<_> = step
            .gates
            .iter()
            .map(|g| match g {
                Gate::Analysis => "analysis".to_owned(),
                Gate::Approval(role) => format!("{{approval: {}}}", role.key()),
            })
            .collect();
        parts.push(format!("gates: [{}]", gates.join(", ")));
    }
    parts
}

/// What it asks for beside its weight.
fn asks(step: &Step) -> Vec<String> {
    let scale = step.scale.map(|pods| format!("scale: {pods}"));
    let header = step.header.as_ref();
    let header =
        header.map(|h| format!("header: {{name: {}, value: {}}}", scalar(&h.name), scalar(&h.value)));
    let named = (!step.templates.is_empty()).then(|| templates(&step.templates));
    scale.into_iter().chain(header).chain(named).collect()
}

/// `templates: [success-rate, {name: latency, args: {service-name: checkout}}]`.
fn templates(all: &[Template]) -> String {
    let one = |t: &Template| {
        if !t.cluster && t.args.is_empty() {
            return scalar(&t.name);
        }
        let mut parts = vec![format!("name: {}", scalar(&t.name))];
        parts.extend(t.cluster.then(|| "cluster: true".to_owned()));
        if !t.args.is_empty() {
            let args: Vec<_> =
                t.args.iter().map(|(name, value)| format!("{}: {}", scalar(name), scalar(value))).collect();
            parts.push(format!("args: {{{}}}", args.join(", ")));
        }
        format!("{{{}}}", parts.join(", "))
    };
    format!("templates: [{}]", all.iter().map(one).collect::<Vec<_>>().join(", "))
}

#[derive(Default)]
struct Out {
    text: String,
}

impl Out {
    fn line(&mut self, level: usize, line: &str) {
        let written = writeln!(self.text, "{:indent$}{line}", "", indent = level * 2);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    fn head(&mut self, level: usize, key: &str) {
        self.line(level, &format!("{key}:"));
    }
    fn field(&mut self, level: usize, key: &str, value: &str) {
        self.line(level, &format!("{key}: {}", scalar(value)));
    }
    fn maybe(&mut self, level: usize, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(level, key, value);
        }
    }
    fn figure<T: Display>(&mut self, level: usize, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.line(level, &format!("{key}: {value}"));
        }
    }
    fn list(&mut self, level: usize, key: &str, values: &[String]) {
        if !values.is_empty() {
            let values: Vec<_> = values.iter().map(|v| scalar(v)).collect();
            self.line(level, &format!("{key}: [{}]", values.join(", ")));
        }
    }
}

/// Bare where YAML reads it back as the very same text, else in quotes (as JSON, which YAML reads too).
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/@:+-".contains(c);
    let bare = text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && !text.ends_with(':')
        && matches!(serde_yaml_ng::from_str(text), Ok(serde_yaml_ng::Value::String(read)) if read == text);
    if bare { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
