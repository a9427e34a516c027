//! The two halves themselves: the form's fields, and the document.

use super::sync::recheck;
use super::{Halves, anchor, slug};
use crate::components::common::{nothing, sect};
use crate::components::gate::tide;
use crate::components::icon::icon;
use crate::draft::{EditorPage, ImageForm, PlanForm, StepForm};
use leptos::prelude::*;
use model::view::{StepState, StepView};

/// A labelled input with its error. `path` is the field's path in the document.
fn field(
    halves: Halves,
    label: &'static str,
    name: String,
    path: String,
    get: impl Fn(&PlanForm) -> String + Send + Sync + 'static,
    extra: Extra,
) -> AnyView {
    let first = halves.form.with_untracked(&get);
    let id = slug(&path);
    let error_id = format!("{id}-e");
    let wrong = {
        let path = path.clone();
        Memo::new(move |_| halves.at(&path))
    };
    let described = {
        let error_id = error_id.clone();
        move || wrong.with(Option::is_some).then(|| error_id.clone())
    };
    let error =
        move || wrong.get().map(|w| view! { <span class="err" id=error_id.clone()>{icon("warn")}{w}</span> });
    let hint = extra.hint.map(|h| view! { <span class="hint">{h}</span> });
    view! {
        <div class=extra.class>
            <label for=id.clone()>{label}</label>
            <input
                class="in" id=id name=name list=extra.list inputmode=extra.mode placeholder=extra.placeholder
                autocomplete="off" autocapitalize="none" spellcheck="false"
                value=first prop:value=move || halves.form.with(&get)
                aria-invalid=move || wrong.with(Option::is_some).then_some("true") aria-describedby=described
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

pub(super) fn form_half(p: &EditorPage, halves: Halves, path: &str) -> AnyView {
    let services: Vec<_> = p.targets.iter().map(|t| t.service.clone()).collect();
    let environments: Vec<_> = p.targets.iter().map(|t| t.environment.clone()).collect();
    let targets = p.targets.clone();
    let reach = move || {
        let (service, environment) = halves.form.with(|f| (f.service.clone(), f.environment.clone()));
        let fits = targets.iter().find(|t| t.service == service && t.environment == environment);
        fits.map(|t| view! { <p class="sm ink2 mt">{t.reach.clone()}</p> })
    };
    let what = view! {
        <div class="pair mt">
            {field(halves, "Name", "form[name]".into(), "metadata.name".into(),
                |f| f.name.clone(), FIELD)}
            {field(halves, "Change (link)", "form[reference]".into(), "spec.change.reference".into(),
                |f| f.reference.clone(), FIELD)}
            {field(halves, "Service", "form[service]".into(), "metadata.service".into(),
                |f| f.service.clone(), Extra { list: Some("services"), ..FIELD })}
            {field(halves, "Environment", "form[environment]".into(), "metadata.environment".into(),
                |f| f.environment.clone(), Extra { list: Some("environments"), ..FIELD })}
        </div>
        {reach}
        {options("services", services)}{options("environments", environments)}
        {images(halves)}
    };
    let limits = view! {
        <div class="trio mt">
            {field(halves, "Requests, at least", "form[min_requests]".into(), "spec.analysis.minRequests".into(),
                |f| f.min_requests.clone(), Extra { placeholder: Some("50"), ..NUMBER })}
            {field(halves, "Errors, at most %", "form[max_error_percent]".into(), "spec.analysis.maxErrorPercent".into(),
                |f| f.max_error_percent.clone(), Extra { placeholder: Some("2"), ..NUMBER })}
            {field(halves, "p95, times stable", "form[max_p95_ratio]".into(), "spec.analysis.maxP95Ratio".into(),
                |f| f.max_p95_ratio.clone(), Extra { placeholder: Some("1.5"), ..NUMBER })}
        </div>
    };
    let approvals = view! {
        <div class="trio mt">
            {field(halves, "Approvals needed", "form[required]".into(), "spec.approvals.required".into(),
                |f| f.required.clone(), NUMBER)}
            {field(halves, "Good for", "form[expire]".into(), "spec.approvals.expire".into(),
                |f| f.expire.clone(), Extra { placeholder: Some("24h"), ..FIELD })}
        </div>
        {rehearsed(halves)}
    };
    view! {
        {sect("w-h", "What", nothing(), what.into_any())}
        {strategy_part(halves, path, limits.into_any())}
        {sect("a-h", "Approvals", nothing(), approvals.into_any())}
    }
    .into_any()
}

fn rehearsed(halves: Halves) -> AnyView {
    let first = halves.form.with_untracked(|f| f.rehearsed);
    view! {
        <label class="check mt">
            <input
                type="checkbox" name="form[rehearsed]" value="true" checked=first
                prop:checked=move || halves.form.with(|f| f.rehearsed)
            />
            "Start only after its rollback was rehearsed"
        </label>
    }
    .into_any()
}

fn options(id: &'static str, mut list: Vec<String>) -> AnyView {
    list.sort_unstable();
    list.dedup();
    let options = list.into_iter().map(|o| view! { <option value=o></option> }).collect_view();
    view! { <datalist id=id>{options}</datalist> }.into_any()
}

fn images(halves: Halves) -> AnyView {
    // By name: the document may name another container in the same place, and the field must follow.
    let names = Memo::new(move |_| {
        halves.form.with(|f| f.images.iter().map(|i| i.container.clone()).collect::<Vec<_>>())
    });
    let rows = move || {
        names
            .get()
            .into_iter()
            .enumerate()
            .map(|(i, label)| {
                let at = move |f: &PlanForm, pick: fn(&ImageForm) -> String| {
                    f.images.get(i).map(pick).unwrap_or_default()
                };
                let container = label.clone();
                view! {
                    <div class="mt">
                        <input type="hidden" name=format!("form[images][{i}][container]") value=container/>
                        <p class="xs ink2">"Container "<b class="mono">{label.clone()}</b></p>
                        {field(halves, "New image", format!("form[images][{i}][image]"),
                            format!("spec.change.images.{label}"),
                            move |f| at(f, |i| i.image.clone()), FIELD)}
                    </div>
                }
            })
            .collect_view()
    };
    let wrong = move || {
        halves
            .at("spec.change.images")
            .map(|w| view! { <span class="err" id="spec-change-images">{icon("warn")}{w}</span> })
    };
    view! { {rows}{wrong} }.into_any()
}

/// A canary's steps and what they are judged by; of a rolling update only what follows it.
fn strategy_part(halves: Halves, path: &str, limits: AnyView) -> AnyView {
    let rolling = Memo::new(move |_| halves.form.with(|f| f.rolling));
    let canary = view! {
        <div hidden=move || rolling.get()>
            {sect("s-h", "Steps", nothing(), steps_part(halves, path))}
            {sect("l-h", "Analysis", nothing(), limits)}
        </div>
    };
    let after = view! {
        <input type="hidden" name="form[rolling]" value=rolling.get_untracked().to_string()
            prop:value=move || rolling.get().to_string()/>
        <div hidden=move || !rolling.get()>{sect("ro-h", "Rolling update", nothing(), view! {
            <p class="sm ink2 mt">"New pods replace old ones at the Deployment's own pace. A hold pauses it where it is. Gates stand in the document."</p>
            <p class="sm mt"><span class="ink2">"Bake after it: "</span>{move || halves.form.with(|f| f.steps.first().map(|s| s.bake.clone()).filter(|b| !b.is_empty()).unwrap_or_else(|| "none".into()))}</p>
        }.into_any())}</div>
    };
    view! { {canary}{after} }.into_any()
}

fn steps_part(halves: Halves, path: &str) -> AnyView {
    let count = Memo::new(move |_| halves.form.with(|f| f.steps.len()));
    let picture = move || halves.form.with(|f| tide(0, 0, &sketch(&f.steps), None, None));
    let path = path.to_owned();
    let rows = {
        let path = path.clone();
        move || {
            let n = count.get();
            let path = &path;
            (0..n).map(|i| step(i, n, path.clone(), halves)).collect_view()
        }
    };
    let wrong = move || {
        halves.at("spec.strategy.canary.steps").map(|w| {
            view! { <p class="err" id="spec-strategy-canary-steps">{icon("warn")}{w}</p> }
        })
    };
    view! {
        <div class="mt">{picture}</div>
        {wrong}
        <ol class="edit" role="list">{rows}</ol>
        <div class="acts mt">{op("btn small", "plus", "Add a step", String::new(), "add".to_owned(), path, halves)}</div>
    }
    .into_any()
}

/// The bar as the steps would make it; weights that are no numbers are left out.
fn sketch(steps: &[StepForm]) -> Vec<StepView> {
    steps
        .iter()
        .filter_map(|s| s.weight.trim().parse::<u8>().ok().filter(|w| (1..=100).contains(w)))
        .map(|weight| StepView { weight, state: StepState::Closed, words: String::new(), gates: Vec::new() })
        .collect()
}

fn step(i: usize, n: usize, path: String, halves: Halves) -> AnyView {
    let at = move |f: &PlanForm, pick: fn(&StepForm) -> String| f.steps.get(i).map(pick).unwrap_or_default();
    let base = format!("spec.strategy.canary.steps[{i}]");
    let other = {
        let base = base.clone();
        move || {
            let known = [format!("{base}.weight"), format!("{base}.bake")];
            let errors = halves.errors();
            let mine = errors.iter().find(|e| e.field.starts_with(&base) && !known.contains(&e.field));
            mine.map(
                |e| view! { <span class="err" id=slug(&e.field)>{icon("warn")}{e.message.clone()}</span> },
            )
        }
    };
    let label = format!("{}", i + 1);
    view! {
        <li class="step">
            <b class="num">{label}</b>
            {field(halves, "Weight, %", format!("form[steps][{i}][weight]"), format!("{base}.weight"),
                move |f| at(f, |s| s.weight.clone()), NUMBER)}
            {field(halves, "Bake", format!("form[steps][{i}][bake]"), format!("{base}.bake"),
                move |f| at(f, |s| s.bake.clone()), Extra { placeholder: Some("none"), ..FIELD })}
            <fieldset class="field">
                <legend class="lab xs ink2">"Gates"</legend>
                <div class="row">
                    {gate(halves, i, "analysis", "Analysis", |s| s.analysis)}
                    {gate(halves, i, "on_call", "On-call", |s| s.on_call)}
                    {gate(halves, i, "approver", "Approver", |s| s.approver)}
                </div>
            </fieldset>
            <div class="acts">
                {(i > 0).then(|| op("btn quiet small", "up", "", format!("Move step {} up", i + 1), format!("up-{i}"), path.clone(), halves))}
                {(n > 1).then(|| op("btn quiet small", "trash", "", format!("Remove step {}", i + 1), format!("remove-{i}"), path.clone(), halves))}
            </div>
            {other}
        </li>
    }
    .into_any()
}

fn gate(
    halves: Halves,
    i: usize,
    name: &'static str,
    label: &'static str,
    get: fn(&StepForm) -> bool,
) -> AnyView {
    let on = move |f: &PlanForm| f.steps.get(i).is_some_and(get);
    let first = halves.form.with_untracked(on);
    view! {
        <label class="check">
            <input
                type="checkbox" name=format!("form[steps][{i}][{name}]") value="true" checked=first
                prop:checked=move || halves.form.with(on)
            />
            {label}
        </label>
    }
    .into_any()
}

/// A button that changes the list of steps: by itself with script, through the server's check without.
fn op(
    class: &'static str,
    icon_name: &'static str,
    words: &'static str,
    label: String,
    what: String,
    path: String,
    halves: Halves,
) -> AnyView {
    let label = (!label.is_empty()).then_some(label);
    let value = what.clone();
    view! {
        <button
            class=class type="submit" name="op" value=value formmethod="get" formaction=path aria-label=label
            on:click=move |ev| recheck(halves, &ev, Some(what.clone()))
        >
            {icon(icon_name)}{words}
        </button>
    }
    .into_any()
}

pub(super) fn yaml_half(p: &EditorPage, halves: Halves) -> AnyView {
    let wrong = move || {
        let errors = halves.errors();
        let mine = errors.iter().find(|e| anchor(&e.field) == "yaml");
        mine.map(|e| {
            let place = if e.field.is_empty() { String::new() } else { format!("{}: ", e.field) };
            view! { <span class="err" id="yaml-e">{icon("warn")}{place}{e.message.clone()}</span> }
        })
    };
    let invalid = move || halves.errors().iter().any(|e| anchor(&e.field) == "yaml").then_some("true");
    let first = p.checked.yaml.clone();
    let lines = first.lines().count().clamp(18, 60).to_string();
    let content = view! {
        <div class="field mt">
            <label for="yaml">"The same plan as YAML. Edit either side: the other follows."</label>
            <textarea
                class="in mono yaml" id="yaml" name="yaml" rows=lines spellcheck="false" autocapitalize="none"
                autocomplete="off" prop:value=move || halves.yaml.get() aria-invalid=invalid
            >{first}</textarea>
            {wrong}
        </div>
    };
    sect("y-h", "Document", nothing(), content.into_any())
}
