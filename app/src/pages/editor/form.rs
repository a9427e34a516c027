//! The two halves themselves: the form's fields, and the document.

use super::{anchor, at, errors, slug};
use crate::components::common::{nothing, sect};
use crate::components::gate::tide;
use crate::components::icon::icon;
use crate::draft::{EditorPage, StepForm};
use leptos::prelude::*;
use model::view::{StepState, StepView};

/// A labelled input with its error. `path` is the field's path in the document.
fn field(
    p: &EditorPage,
    label: &'static str,
    name: impl Into<String>,
    path: &str,
    value: &str,
    extra: Extra,
) -> AnyView {
    let (id, name, value) = (slug(path), name.into(), value.to_owned());
    let wrong = at(p, path).map(str::to_owned);
    let error_id = wrong.is_some().then(|| format!("{id}-e"));
    let invalid = wrong.is_some().then_some("true");
    let error = wrong.map(|w| view! { <span class="err" id=error_id.clone()>{icon("warn")}{w}</span> });
    let hint = extra.hint.map(|h| view! { <span class="hint">{h}</span> });
    view! {
        <div class=extra.class>
            <label for=id.clone()>{label}</label>
            <input
                class="in" id=id name=name list=extra.list inputmode=extra.mode placeholder=extra.placeholder
                autocomplete="off" autocapitalize="none" spellcheck="false"
                value=value aria-invalid=invalid aria-describedby=error_id
            />
            {hint}{error}
        </div>
    }
    .into_any()
}

#[derive(Clone, Copy, Default)]
struct Extra {
    class: &'static str,
    list: Option<&'static str>,
    mode: Option<&'static str>,
    placeholder: Option<&'static str>,
    hint: Option<&'static str>,
}

const FIELD: Extra = Extra { class: "field", list: None, mode: None, placeholder: None, hint: None };
const NUMBER: Extra = Extra { mode: Some("decimal"), ..FIELD };

pub(super) fn form_half(p: &EditorPage, path: &str) -> AnyView {
    let f = &p.checked.form;
    let services: Vec<_> = p.targets.iter().map(|t| t.service.clone()).collect();
    let environments: Vec<_> = p.targets.iter().map(|t| t.environment.clone()).collect();
    let target = p.targets.iter().find(|t| t.service == f.service && t.environment == f.environment);
    let reach = target.map(|t| view! { <p class="sm ink2 mt">{t.reach.clone()}</p> });
    let what = view! {
        <div class="pair mt">
            {field(p, "Name", "form[name]", "metadata.name", &f.name, FIELD)}
            {field(p, "Change (link)", "form[reference]", "spec.change.reference", &f.reference, FIELD)}
            {field(p, "Service", "form[service]", "metadata.service", &f.service,
                Extra { list: Some("services"), ..FIELD })}
            {field(p, "Environment", "form[environment]", "metadata.environment", &f.environment,
                Extra { list: Some("environments"), ..FIELD })}
        </div>
        {reach}
        {options("services", services)}{options("environments", environments)}
        {images(p)}
    };
    let limits = view! {
        <div class="pair mt">
            {field(p, "Requests, at least", "form[min_requests]", "spec.analysis.minRequests", &f.min_requests,
                Extra { placeholder: Some("50"), ..NUMBER })}
            {field(p, "Errors, at most %", "form[max_error_percent]", "spec.analysis.maxErrorPercent",
                &f.max_error_percent, Extra { placeholder: Some("2"), ..NUMBER })}
            {field(p, "Errors, times stable", "form[max_error_ratio]", "spec.analysis.maxErrorRatio",
                &f.max_error_ratio, Extra { placeholder: Some("1.2"), ..NUMBER })}
            {field(p, "p95, times stable", "form[max_p95_ratio]", "spec.analysis.maxP95Ratio", &f.max_p95_ratio,
                Extra { placeholder: Some("1.5"), ..NUMBER })}
        </div>
    };
    let approvals = view! {
        <div class="trio mt">
            {field(p, "Approvals needed", "form[required]", "spec.approvals.required", &f.required, NUMBER)}
            {field(p, "Good for", "form[expire]", "spec.approvals.expire", &f.expire,
                Extra { placeholder: Some("24h"), ..FIELD })}
        </div>
        <label class="check mt">
            <input type="checkbox" name="form[rehearsed]" value="true" checked=f.rehearsed/>
            "Start only after its rollback was rehearsed"
        </label>
        <label class="check">
            <input type="checkbox" name="form[config]" value="true" checked=f.config/>
            "Roll ConfigMaps back with the code"
        </label>
    };
    let offered = target.map(|t| t.strategies.as_slice()).unwrap_or_default();
    view! {
        {sect("w-h", "What", nothing(), what.into_any())}
        {choice(p, offered, path)}
        {strategy_part(p, path, limits.into_any())}
        {sect("a-h", "Approvals", nothing(), approvals.into_any())}
    }
    .into_any()
}

fn options(id: &'static str, mut list: Vec<String>) -> AnyView {
    list.sort_unstable();
    list.dedup();
    let options = list.into_iter().map(|o| view! { <option value=o></option> }).collect_view();
    view! { <datalist id=id>{options}</datalist> }.into_any()
}

fn images(p: &EditorPage) -> AnyView {
    let rows = p
        .checked
        .form
        .images
        .iter()
        .enumerate()
        .map(|(i, image)| {
            let container = image.container.clone();
            view! {
                <div class="mt">
                    <input type="hidden" name=format!("form[images][{i}][container]") value=container.clone()/>
                    <p class="xs ink2">"Container "<b class="mono">{container}</b></p>
                    {field(p, "New image", format!("form[images][{i}][image]"),
                        &format!("spec.change.images.{}", image.container), &image.image, FIELD)}
                </div>
            }
        })
        .collect_view();
    let wrong = at(p, "spec.change.images").map(str::to_owned);
    let wrong = wrong.map(|w| view! { <span class="err" id="spec-change-images">{icon("warn")}{w}</span> });
    view! { {rows}{wrong} }.into_any()
}

/// Another strategy, where the workload allows several: the document gets a first draft of it.
fn choice(p: &EditorPage, offered: &[String], path: &str) -> AnyView {
    if offered.len() < 2 {
        return nothing();
    }
    let now = match p.checked.form.fixed.as_str() {
        "" => "canary",
        fixed => fixed,
    };
    let buttons = offered.iter().map(|key| {
        let (words, chosen) = (named(key), key == now);
        let path = path.to_owned();
        view! {
            <button
                class="btn small" type="submit" name="op" value=format!("strategy-{key}") formmethod="get" formaction=path
                aria-pressed=if chosen { "true" } else { "false" }
            >{words}</button>
        }
    });
    let buttons = buttons.collect_view();
    view! {
        <div class="field mt" role="group" aria-label="Strategy">
            <span class="lab xs ink2">"Strategy"</span>
            <div class="row">{buttons}</div>
        </div>
    }
    .into_any()
}

fn named(key: &str) -> &'static str {
    match key {
        "rolling" => "Rolling",
        "blueGreen" => "Blue-green",
        "follow" => "Its own steps",
        "shadow" => "Shadow",
        _ => "Canary",
    }
}

/// A canary's steps and what they are judged by; of what has no weights, what the document says.
fn strategy_part(p: &EditorPage, path: &str, limits: AnyView) -> AnyView {
    let f = &p.checked.form;
    let fixed = !f.fixed.is_empty();
    let about = view! { <p class="sm mt">{f.about.clone()}</p> };
    // Both are there: a document that turns to the other strategy shows the other at once, without losing a field.
    view! {
        <div hidden=fixed>
            {sect("s-h", "Steps", nothing(), steps_part(p, path))}
            {sect("l-h", "Analysis", nothing(), limits)}
        </div>
        <input type="hidden" name="form[fixed]" value=f.fixed.clone()/>
        <div hidden=!fixed>{sect("ro-h", "Strategy", nothing(), about.into_any())}</div>
    }
    .into_any()
}

fn steps_part(p: &EditorPage, path: &str) -> AnyView {
    let steps = &p.checked.form.steps;
    let rows = (0..steps.len()).map(|i| step(p, i, path)).collect_view();
    let wrong = at(p, "spec.strategy.canary.steps").map(str::to_owned);
    let wrong = wrong.map(|w| view! { <p class="err" id="spec-strategy-canary-steps">{icon("warn")}{w}</p> });
    view! {
        <div class="mt">{tide(0, 0, &sketch(steps), None, None)}</div>
        {wrong}
        <ol class="edit" role="list">{rows}</ol>
        <div class="acts mt">{op("btn small", "plus", "Add a step", "", "add".to_owned(), path)}</div>
    }
    .into_any()
}

/// The bar as the steps would make it; weights that are no numbers are left out.
fn sketch(steps: &[StepForm]) -> Vec<StepView> {
    steps
        .iter()
        .filter_map(|s| s.weight.trim().parse::<u8>().ok().filter(|w| (1..=100).contains(w)))
        .map(|weight| StepView {
            weight,
            name: String::new(),
            state: StepState::Closed,
            words: String::new(),
            gates: Vec::new(),
        })
        .collect()
}

fn step(p: &EditorPage, i: usize, path: &str) -> AnyView {
    let steps = &p.checked.form.steps;
    let (s, n) = (steps.get(i).cloned().unwrap_or_default(), steps.len());
    let base = format!("spec.strategy.canary.steps[{i}]");
    let (weight, bake) = (format!("{base}.weight"), format!("{base}.bake"));
    let other = errors(p)
        .iter()
        .filter(|e| e.field.starts_with(&base) && e.field != weight && e.field != bake)
        .map(|e| view! { <span class="err" id=slug(&e.field)>{icon("warn")}{e.message.clone()}</span> })
        .collect_view();
    let label = format!("{}", i + 1);
    let asks = asks(&s.rest).map(|asks| {
        view! { <p class="xs ink2 asks">{format!("Beside the weight: {asks}. It stands in the document.")}</p> }
    });
    view! {
        <li class="step">
            <b class="num">{label}</b>
            <input type="hidden" name=format!("form[steps][{i}][rest]") value=s.rest.clone()/>
            {field(p, "Weight, %", format!("form[steps][{i}][weight]"), &weight, &s.weight, NUMBER)}
            {field(p, "Bake", format!("form[steps][{i}][bake]"), &bake, &s.bake,
                Extra { placeholder: Some("none"), ..FIELD })}
            <fieldset class="field">
                <legend class="lab xs ink2">"Gates"</legend>
                <div class="row">
                    {gate(i, "analysis", "Analysis", s.analysis)}
                    {gate(i, "on_call", "On-call", s.on_call)}
                    {gate(i, "approver", "Approver", s.approver)}
                </div>
            </fieldset>
            <div class="acts">
                {(i > 0).then(|| op("btn quiet small", "up", "", &format!("Move step {} up", i + 1), format!("up-{i}"), path))}
                {(n > 1).then(|| op("btn quiet small", "trash", "", &format!("Remove step {}", i + 1), format!("remove-{i}"), path))}
            </div>
            {asks}
            {other}
        </li>
    }
    .into_any()
}

/// What a step asks for that no field shows: `scale 2, header X-Canary: always, templates success-rate, latency`.
fn asks(rest: &str) -> Option<String> {
    let rest: serde_json::Map<String, serde_json::Value> = serde_json::from_str(rest).ok()?;
    let words = rest.iter().map(|(key, value)| match (value["name"].as_str(), value["value"].as_str()) {
        (Some(name), Some(value)) => format!("{key} {name}: {value}"),
        _ if key == "templates" => format!("{key} {}", names(value)),
        _ => format!("{key} {value}"),
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The names of templates, with or without more about them.
fn names(templates: &serde_json::Value) -> String {
    let name = |t: &serde_json::Value| Some(t.as_str().or_else(|| t["name"].as_str())?.to_owned());
    templates.as_array().into_iter().flatten().filter_map(name).collect::<Vec<_>>().join(", ")
}

fn gate(i: usize, name: &'static str, label: &'static str, on: bool) -> AnyView {
    view! {
        <label class="check">
            <input type="checkbox" name=format!("form[steps][{i}][{name}]") value="true" checked=on/>
            {label}
        </label>
    }
    .into_any()
}

/// A button that changes the list of steps, through the server's check.
fn op(
    class: &'static str,
    icon_name: &'static str,
    words: &'static str,
    label: &str,
    what: String,
    path: &str,
) -> AnyView {
    let label = (!label.is_empty()).then(|| label.to_owned());
    let path = path.to_owned();
    view! {
        <button class=class type="submit" name="op" value=what formmethod="get" formaction=path aria-label=label>
            {icon(icon_name)}{words}
        </button>
    }
    .into_any()
}

pub(super) fn yaml_half(p: &EditorPage) -> AnyView {
    let wrong = errors(p).iter().find(|e| anchor(&e.field) == "yaml");
    let invalid = wrong.is_some().then_some("true");
    let wrong = wrong.map(|e| {
        let place = if e.field.is_empty() { String::new() } else { format!("{}: ", e.field) };
        view! { <span class="err" id="yaml-e">{icon("warn")}{place}{e.message.clone()}</span> }
    });
    let text = p.checked.yaml.clone();
    let lines = text.lines().count().clamp(18, 60).to_string();
    let content = view! {
        <div class="field mt">
            <label for="yaml">"The same plan as YAML. Edit either side: the other follows."</label>
            <textarea
                class="in mono yaml" id="yaml" name="yaml" rows=lines spellcheck="false" autocapitalize="none"
                autocomplete="off" aria-invalid=invalid
            >{text}</textarea>
            {wrong}
        </div>
    };
    sect("y-h", "Document", nothing(), content.into_any())
}
