//! The editor's two halves: the form and the document, brought in step.
//!
//! The rule: if the document was edited, it is right and the form is filled from it; otherwise the form is right and
//! is written into the document, which keeps everything that the form does not show. Nothing here judges: a weight of
//! `abc` is written as it is, so that the check can name it at its field.

use crate::draft::{Draft, ImageForm, PlanForm, StepForm};
use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value};

/// Steps that the form will make at most; the document may hold more.
const MOST_STEPS: usize = 50;
/// What `spec.rollback.config` says where the form's box is ticked.
const RESTORE: &str = "restore";
/// What `spec.rollback.rehearsed` says where the form's box is ticked.
const REQUIRED: &str = "required";
/// Longest query that is sent back to a browser, in bytes: what proxies are known to carry.
const LONGEST_QUERY: usize = 60_000;

/// What the editor's page was asked for by its query.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) service: Option<String>,
    pub(crate) from: Option<i64>,
    pub(crate) draft: Option<Draft>,
}

impl Asked {
    pub(crate) fn read(search: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Query {
            service: Option<String>,
            from: Option<i64>,
            base: Option<String>,
            yaml: String,
            form: PlanForm,
            op: Option<String>,
        }
        let search = search.trim_start_matches('?');
        // An unreadable query is no reason to refuse the page: it opens with a fresh draft.
        let q: Query = serde_qs::Config::new(5, false).deserialize_str(search).unwrap_or_default();
        let draft = q.base.map(|base| Draft { base, yaml: q.yaml, form: q.form, op: q.op });
        Self { service: q.service.filter(|s| !s.is_empty()), from: q.from, draft }
    }
}

/// The query that brings a draft back; `None` when it is too long for an address.
pub(crate) fn query(draft: &Draft) -> Option<String> {
    serde_qs::to_string(draft).ok().filter(|q| q.len() <= LONGEST_QUERY)
}

/// Both halves of a document as it is.
pub(crate) fn begin(yaml: &str) -> (PlanForm, String) {
    (form_of(&parse(yaml)), yaml.to_owned())
}

/// Both halves of a draft in step.
pub(crate) fn settle(draft: Draft) -> (PlanForm, String) {
    let edited = lines(&draft.yaml) != lines(&draft.base);
    let mut form = if edited { form_of(&parse(&draft.yaml)) } else { draft.form };
    let moved = draft.op.as_deref().is_some_and(|op| apply(&mut form, op));
    let other = draft.op.as_deref().and_then(|op| op.strip_prefix("strategy-")).and_then(first_draft);
    if edited && !moved && other.is_none() {
        return (form, draft.yaml.replace("\r\n", "\n"));
    }
    let mut document = parse(if edited { &draft.yaml } else { &draft.base });
    if let Some(strategy) = other {
        write(&form, &mut document);
        if let Some(document) = document.as_mapping_mut() {
            child(document, "spec").insert("strategy".into(), strategy);
        }
        form = form_of(&document);
    }
    write(&form, &mut document);
    let text = serde_yaml_ng::to_string(&document).unwrap_or(draft.base);
    (form_of(&document), text)
}

/// Browsers send line ends as CRLF, and trim nothing.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end().to_owned()
}

fn parse(yaml: &str) -> Value {
    match serde_yaml_ng::from_str(yaml) {
        Ok(value @ Value::Mapping(_)) => value,
        _ => Value::Mapping(Mapping::new()),
    }
}

/// What a plan of another strategy begins with.
fn first_draft(key: &str) -> Option<Value> {
    let text = match key {
        "rolling" => "rolling: {bake: 5m}",
        "follow" => "follow: {}",
        "shadow" => "shadow: {percent: 10, bake: 10m, gates: [analysis]}",
        "canary" => {
            "canary: {steps: [{weight: 25, bake: 5m, gates: [analysis]}, {weight: 50, bake: 5m, gates: [analysis]}, \
             {weight: 100}]}"
        }
        "blueGreen" => "blueGreen: {preview: {bake: 2m, gates: [{approval: on-call}]}, after: {bake: 10m}}",
        _ => return None,
    };
    serde_yaml_ng::from_str(text).ok()
}

/// Adds, removes or moves a step. Returns whether anything changed.
fn apply(form: &mut PlanForm, op: &str) -> bool {
    if op == "add" {
        if form.steps.len() >= MOST_STEPS {
            return false;
        }
        // Before the last step, which is 100 %: halfway between its neighbours.
        let at = form.steps.len().saturating_sub(1);
        let weight = |i: usize| form.steps.get(i).and_then(|s| s.weight.parse::<u32>().ok());
        let below = at.checked_sub(1).and_then(weight).unwrap_or(0);
        let above = weight(at).unwrap_or(100);
        let step = StepForm {
            weight: (below.midpoint(above)).to_string(),
            bake: "5m".into(),
            analysis: true,
            ..StepForm::default()
        };
        form.steps.insert(at, step);
        return true;
    }
    let Some((verb, at)) = op.split_once('-').and_then(|(v, n)| Some((v, n.parse::<usize>().ok()?))) else {
        return false;
    };
    let last = form.steps.len();
    match verb {
        "remove" if at < last => {
            form.steps.remove(at);
            true
        }
        "up" if at > 0 && at < last => {
            form.steps.swap(at, at - 1);
            true
        }
        "down" if at + 1 < last => {
            form.steps.swap(at, at + 1);
            true
        }
        _ => false,
    }
}

/// What the form shows of a document, right or wrong.
fn form_of(document: &Value) -> PlanForm {
    let at = |path: &[&str]| path.iter().try_fold(document, |v, key| v.get(*key));
    let text = |path: &[&str]| at(path).map(scalar).unwrap_or_default();
    let images = at(&["spec", "change", "images"])
        .and_then(Value::as_mapping)
        .map(|m| m.iter().map(|(k, v)| ImageForm { container: scalar(k), image: scalar(v) }).collect());
    let strategy = |key: &'static str| at(&["spec", "strategy", key]).map(|node| (key, node));
    let fixed = strategy("rolling").or_else(|| strategy("blueGreen")).or_else(|| strategy("follow"));
    let fixed = fixed.or_else(|| strategy("shadow"));
    let steps = match fixed {
        Some(("rolling", rolling)) => vec![StepForm { weight: "100".into(), ..step_of(rolling) }],
        Some(_) => Vec::new(),
        None => at(&["spec", "strategy", "canary", "steps"])
            .and_then(Value::as_sequence)
            .map(|s| s.iter().map(step_of).collect())
            .unwrap_or_default(),
    };
    PlanForm {
        name: text(&["metadata", "name"]),
        service: text(&["metadata", "service"]),
        environment: text(&["metadata", "environment"]),
        images: images.unwrap_or_default(),
        reference: text(&["spec", "change", "reference"]),
        fixed: fixed.map(|(key, _)| key.to_owned()).unwrap_or_default(),
        about: fixed.map(|(key, node)| about(key, node)).unwrap_or_default(),
        steps,
        min_requests: text(&["spec", "analysis", "minRequests"]),
        max_error_percent: text(&["spec", "analysis", "maxErrorPercent"]),
        max_error_ratio: text(&["spec", "analysis", "maxErrorRatio"]),
        max_p95_ratio: text(&["spec", "analysis", "maxP95Ratio"]),
        required: text(&["spec", "approvals", "required"]),
        expire: text(&["spec", "approvals", "expire"]),
        rehearsed: text(&["spec", "rollback", "rehearsed"]) == REQUIRED,
        config: text(&["spec", "rollback", "config"]) == RESTORE,
    }
}

/// What a strategy without weights does, with what the document says of it.
fn about(key: &str, node: &Value) -> String {
    let waits = |node: Option<&Value>| {
        let step = node.map(step_of).unwrap_or_default();
        let bake = if step.bake.is_empty() { "none".to_owned() } else { step.bake };
        let gates = [(step.analysis, "analysis"), (step.on_call, "on-call"), (step.approver, "approver")];
        let gates: Vec<_> = gates.iter().filter(|(asked, _)| *asked).map(|(_, name)| *name).collect();
        if gates.is_empty() { bake } else { format!("{bake}, then {}", gates.join(" and ")) }
    };
    if key == "follow" {
        return format!(
            "The Rollout's own steps, as its owner wrote them: its controller walks them, and at each pause without end a \
             person lets it go on. Bake there before: {}. It stands in the document.",
            waits(Some(node))
        );
    }
    if key == "shadow" {
        let percent = node.get("percent").map(scalar).unwrap_or_default();
        return format!(
            "Shadow: copies of {percent} % of requests go to the new version, and its answers are judged and thrown away: no \
             user sees them. Then the Deployment takes it over by its rolling update. A copied POST is done twice, unless the \
             new version's writes are kept apart. Bake on copies: {}. Bake after it: {}. Both stand in the document.",
            waits(Some(node)),
            waits(node.get("after"))
        );
    }
    if key == "blueGreen" {
        return format!(
            "Blue-green: the new version comes up whole where no user is sent, then all users are switched to it at \
             once; the old pods stand by. Bake before the switch: {}. Bake after it: {}. Both stand in the document.",
            waits(node.get("preview")),
            waits(node.get("after"))
        );
    }
    format!(
        "Rolling update: new pods replace old ones at the Deployment's own pace; a hold pauses it where it is. Bake \
         after it: {}. Gates stand in the document.",
        waits(Some(node))
    )
}

fn step_of(step: &Value) -> StepForm {
    let gates = step.get("gates").and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
    let asks = |role: &str| {
        gates.iter().any(|g| g.get("approval").and_then(Value::as_str).is_some_and(|r| r == role))
    };
    StepForm {
        weight: step.get("weight").map(scalar).unwrap_or_default(),
        bake: step.get("bake").map(scalar).unwrap_or_default(),
        analysis: gates.iter().any(|g| g.as_str() == Some("analysis")),
        on_call: asks("on-call"),
        approver: asks("approver"),
        rest: rest_of(step),
    }
}

/// What no field of the form shows of a step, in one line; nothing where there is nothing.
fn rest_of(step: &Value) -> String {
    let mut rest = step.as_mapping().cloned().unwrap_or_default();
    for shown in ["weight", "bake", "gates"] {
        rest.shift_remove(shown);
    }
    if rest.is_empty() { String::new() } else { serde_json::to_string(&rest).unwrap_or_default() }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        _ => String::new(),
    }
}

/// A number where it is one, else the text as typed: the check says what is wrong with it.
fn typed(text: &str) -> Value {
    let text = text.trim();
    if let Ok(n) = text.parse::<i64>() {
        return Value::Number(n.into());
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() => Value::Number(n.into()),
        _ => Value::String(text.to_owned()),
    }
}

/// Writes the form into a document, leaving alone what the form does not show.
fn write(form: &PlanForm, document: &mut Value) {
    let string = |s: &str| Value::String(s.trim().to_owned());
    let root = mapping(document);
    root.entry("apiVersion".into()).or_insert_with(|| string(model::plan::API_VERSION));
    root.entry("kind".into()).or_insert_with(|| string("Plan"));

    let metadata = child(root, "metadata");
    for (key, value) in [("name", &form.name), ("service", &form.service), ("environment", &form.environment)]
    {
        metadata.insert(key.into(), string(value));
    }

    let spec = child(root, "spec");
    let change = child(spec, "change");
    let images = form.images.iter().filter(|i| !i.container.trim().is_empty());
    let images: Mapping = images.map(|i| (string(&i.container), string(&i.image))).collect();
    change.insert("images".into(), Value::Mapping(images));
    put(change, "reference", (!form.reference.trim().is_empty()).then(|| string(&form.reference)));

    let strategy = child(spec, "strategy");
    if form.fixed == "rolling" {
        let before = strategy.get("rolling").cloned();
        let mut rolling = form.steps.first().map(|s| write_step(s, before.as_ref())).unwrap_or_default();
        mapping(&mut rolling).shift_remove("weight");
        strategy.insert("rolling".into(), rolling);
    } else if form.fixed.is_empty() {
        let canary = child(strategy, "canary");
        let before = canary.get("steps").and_then(Value::as_sequence).cloned().unwrap_or_default();
        let steps = form.steps.iter().enumerate().map(|(i, s)| write_step(s, before.get(i))).collect();
        canary.insert("steps".into(), Value::Sequence(steps));
    }

    let number = |s: &str| (!s.trim().is_empty()).then(|| typed(s));
    let limits = [
        ("minRequests", &form.min_requests),
        ("maxErrorPercent", &form.max_error_percent),
        ("maxErrorRatio", &form.max_error_ratio),
        ("maxP95Ratio", &form.max_p95_ratio),
    ];
    if spec.contains_key("analysis") || limits.iter().any(|(_, v)| !v.trim().is_empty()) {
        let analysis = child(spec, "analysis");
        for (key, value) in limits {
            put(analysis, key, number(value));
        }
    }
    let approvals = child(spec, "approvals");
    if approvals.is_empty() {
        approvals.insert("required".into(), Value::Null);
        approvals.insert("from".into(), Value::Sequence(vec![string("approver")]));
    }
    approvals.insert("required".into(), typed(&form.required));
    approvals.insert("expire".into(), string(&form.expire));
    ticked(spec, "rehearsed", REQUIRED, form.rehearsed);
    ticked(spec, "config", RESTORE, form.config);
}

/// Only what a box says: a word of the rollback that no box shows, or a wrong one, stays as it was written.
fn ticked(spec: &mut Mapping, key: &str, word: &str, ticked: bool) {
    let now = spec.get("rollback").and_then(|r| r.get(key)).and_then(Value::as_str);
    if ticked == (now == Some(word)) {
        return;
    }
    let rollback = child(spec, "rollback");
    put(rollback, key, ticked.then(|| Value::String(word.to_owned())));
    if rollback.is_empty() {
        spec.shift_remove("rollback");
    }
}

/// `before`: the step that stands in its place. It keeps its order where it is the same one.
fn write_step(step: &StepForm, before: Option<&Value>) -> Value {
    let same = before.filter(|before| rest_of(before) == step.rest).and_then(Value::as_mapping);
    let mut out = same.cloned().unwrap_or_default();
    out.insert("weight".into(), typed(&step.weight));
    if same.is_none() {
        out.extend(parse(&step.rest).as_mapping().cloned().unwrap_or_default());
    }
    if step.bake.trim().is_empty() {
        out.shift_remove("bake");
    } else {
        out.insert("bake".into(), Value::String(step.bake.trim().to_owned()));
    }
    let mut gates = Vec::new();
    if step.analysis {
        gates.push(Value::String("analysis".into()));
    }
    for (asked, role) in [(step.on_call, "on-call"), (step.approver, "approver")] {
        if asked {
            let gate: Mapping = [("approval".into(), Value::String(role.into()))].into_iter().collect();
            gates.push(Value::Mapping(gate));
        }
    }
    if gates.is_empty() {
        out.shift_remove("gates");
    } else {
        out.insert("gates".into(), Value::Sequence(gates));
    }
    Value::Mapping(out)
}

fn put(map: &mut Mapping, key: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            map.insert(key.into(), value);
        }
        None => {
            map.shift_remove(key);
        }
    }
}

fn child<'a>(map: &'a mut Mapping, key: &str) -> &'a mut Mapping {
    mapping(map.entry(key.into()).or_insert(Value::Null))
}

/// The value as a mapping, made one where it is something else.
fn mapping(value: &mut Value) -> &mut Mapping {
    if !value.is_mapping() {
        *value = Value::Mapping(Mapping::new());
    }
    match value {
        Value::Mapping(map) => map,
        _ => unreachable!("made a mapping just above"),
    }
}

#[cfg(test)]
mod tests;
