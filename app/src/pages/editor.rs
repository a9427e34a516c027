//! `/plans/new` and `/plans/{id}/edit`: a form and the document, each written into the other.
//!
//! Without script "Check" asks the server for the same page with both halves in step (a GET: it changes nothing), and
//! "Save" posts. With script the check runs while one types.

use crate::api;
use crate::api::plans::{EditorPage, ImageForm, PlanForm, StepForm};
use crate::components::common::{nothing, sect};
use crate::components::gate::tide;
use crate::components::icon::icon;
use crate::components::load::{loaded, read};
use crate::components::post::Post;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_location, use_params_map};
use model::FieldError;
use model::view::{PlanCheck, StepState, StepView};

pub(crate) fn new_plan() -> AnyView {
    editor(|| None)
}

pub(crate) fn edit_plan() -> AnyView {
    let params = use_params_map();
    editor(move || Some(params.with(|p| p.get("id")).and_then(|id| id.parse::<i64>().ok()).unwrap_or(0)))
}

fn editor(id: impl Fn() -> Option<i64> + Send + Sync + 'static) -> AnyView {
    let search = use_location().search;
    let page = read(move || (id(), search.get()), |(id, search)| api::plans::editor(id, search));
    let save = Post::new("/do/save-plan");
    loaded(page, move |p| view(&p, save))
}

/// Both halves, and what is wrong with them.
#[derive(Clone, Copy)]
struct Halves {
    form: RwSignal<PlanForm>,
    yaml: RwSignal<String>,
    /// The document both were filled from.
    base: RwSignal<String>,
    check: RwSignal<PlanCheck>,
    /// Errors are worth showing: somebody asked, typed or tried to save.
    shown: RwSignal<bool>,
    save: Post,
}

impl Halves {
    fn new(p: &EditorPage, save: Post) -> Self {
        Self {
            form: RwSignal::new(p.checked.form.clone()),
            yaml: RwSignal::new(p.checked.yaml.clone()),
            base: RwSignal::new(p.checked.yaml.clone()),
            check: RwSignal::new(p.checked.check.clone()),
            shown: RwSignal::new(p.asked),
            save,
        }
    }

    #[cfg(feature = "hydrate")]
    fn settle(self, checked: crate::api::plans::Checked) {
        self.base.set(checked.yaml.clone());
        self.yaml.set(checked.yaml);
        if self.form.with_untracked(|f| *f != checked.form) {
            self.form.set(checked.form);
        }
        self.check.set(checked.check);
        self.shown.set(true);
    }

    /// What is wrong, by the last check or by the refusal to save.
    fn errors(self) -> Vec<FieldError> {
        if let Some(fault) = self.save.fault.get()
            && !fault.fields.is_empty()
        {
            return fault.fields;
        }
        if self.shown.get() { self.check.with(|c| c.errors.clone()) } else { Vec::new() }
    }

    fn at(self, field: &str) -> Option<String> {
        self.errors().into_iter().find(|e| e.field == field).map(|e| e.message)
    }
}

const FORM: &str = "plan";

fn view(p: &EditorPage, save: Post) -> AnyView {
    let halves = Halves::new(p, save);
    let (title, path, button) = match (p.id, p.version) {
        (Some(id), Some(v)) => (
            format!("Edit {}", p.checked.form.name),
            format!("/plans/{id}/edit"),
            format!("Save as version {}", v + 1),
        ),
        _ => ("New plan".to_owned(), "/plans/new".to_owned(), "Save the plan".to_owned()),
    };
    let back = p.id.map_or_else(|| "/plans".to_owned(), |id| format!("/plans/{id}"));
    let mut hidden = Vec::new();
    if let (Some(id), Some(version)) = (p.id, p.version) {
        hidden.push(("id", id.to_string()));
        hidden.push(("expected", version.to_string()));
    }
    let base = view! { <input type="hidden" name="base" value=p.checked.yaml.clone() prop:value=move || halves.base.get()/> };
    let voids = (p.id.is_some()).then(|| {
        let next = p.version.unwrap_or(0) + 1;
        let given = match p.approvals {
            0 => String::new(),
            1 => "The one approval given becomes void.".to_owned(),
            n => format!("The {n} approvals given become void."),
        };
        view! {
            <div class="note box mt" data-s="waiting">{icon("info")}
                <span>{format!("Any change makes version {next} with a new digest. ")}<b>{given}</b></span></div>
        }
    });
    let content = view! {
        {base}
        <div class="head stick">
            <div>
                <h1>{title.clone()}</h1>
                <p class="meta"><span>{move || verdict(halves)}</span></p>
            </div>
            <div class="acts">
                <a class="btn quiet" href=back>"Discard"</a>
                <button
                    class="btn" type="submit" formmethod="get" formaction=path
                    on:click=move |ev| recheck(halves, &ev, None)
                >
                    {icon("scale")}"Check"
                </button>
                {save.button("save", "btn primary", "check", button, "Saving…")}
            </div>
        </div>
        {voids}
        {move || summary(halves)}
        <div class="cols even editor">
            <div on:input=move |_| later(halves)>{form_half(p, halves)}</div>
            <div on:input=move |_| later(halves)>{yaml_half(p, halves)}</div>
        </div>
    };
    view! {
        <Title text=title/>
        <main class="main" id="main" tabindex="-1">
            {save.form("save", FORM, hidden, content.into_any())}
        </main>
    }
    .into_any()
}

/// In the head: whether it could be saved as it stands.
fn verdict(halves: Halves) -> String {
    let errors = halves.check.with(|c| c.errors.len());
    match halves.check.with(|c| c.digest.clone()) {
        Some(digest) if errors == 0 => format!("no rule is broken; digest sha256:{}", digest.short()),
        _ if !halves.shown.get() => "not checked yet".to_owned(),
        _ if errors == 1 => "one thing to correct".to_owned(),
        _ => format!("{errors} things to correct"),
    }
}

/// Everything that is wrong at once, each a link to its field, and what is only worth knowing.
fn summary(halves: Halves) -> AnyView {
    let errors = halves.errors();
    let plain = halves.save.fault.get().filter(|f| f.fields.is_empty());
    let plain = plain.map(|f| crate::components::post::refusal(&f));
    let warnings: Vec<_> = halves.check.with(|c| c.warnings.clone());
    let warnings = (!warnings.is_empty()).then(|| {
        let list = warnings
            .into_iter()
            .map(|w| view! { <li class="note" data-s="waiting">{icon("info")}<span><span class="mono">{w.field}</span>" "{w.message}</span></li> })
            .collect_view();
        view! { <ul class="mt" role="list" aria-label="Worth knowing">{list}</ul> }
    });
    let wrong = (!errors.is_empty()).then(|| {
        let title = match errors.len() {
            1 => "One thing needs a change.".to_owned(),
            n => format!("{n} things need a change."),
        };
        let list = errors
            .iter()
            .map(|e| {
                let place = if e.field.is_empty() { "document".to_owned() } else { e.field.clone() };
                view! { <li><a class="mono" href=format!("#{}", anchor(&e.field))>{place}</a>" "{e.message.clone()}</li> }
            })
            .collect_view();
        view! { <div class="say" data-s="degraded" role="alert"><div><p><strong>{title}</strong></p><ul class="sm">{list}</ul></div></div> }
    });
    view! { {plain}{wrong}{warnings} }.into_any()
}

/// Fields that the form shows; everything else is corrected in the document.
fn anchor(field: &str) -> String {
    let known = [
        "metadata.",
        "spec.change.images",
        "spec.change.reference",
        "spec.strategy.canary.steps[",
        "spec.approvals.required",
        "spec.approvals.expire",
        "spec.analysis.",
    ];
    if known.iter().any(|k| field.starts_with(k)) { slug(field) } else { "yaml".to_owned() }
}

/// A field's path as an id: `spec.strategy.canary.steps[2].weight` → `spec-strategy-canary-steps-2-weight`.
fn slug(path: &str) -> String {
    path.split(['.', '[', ']']).filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-")
}

/// A labelled input with its error. `path` is the field's path in the document.
fn field(
    halves: Halves,
    label: &'static str,
    name: String,
    path: String,
    get: impl Fn(&PlanForm) -> String + Send + Sync + 'static,
    set: impl Fn(&mut PlanForm, String) + Send + Sync + 'static,
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
                on:input=move |ev| halves.form.update(|f| set(f, event_target_value(&ev)))
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

fn form_half(p: &EditorPage, halves: Halves) -> AnyView {
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
                |f| f.name.clone(), |f, v| f.name = v, FIELD)}
            {field(halves, "Change (link)", "form[reference]".into(), "spec.change.reference".into(),
                |f| f.reference.clone(), |f, v| f.reference = v, FIELD)}
            {field(halves, "Service", "form[service]".into(), "metadata.service".into(),
                |f| f.service.clone(), |f, v| f.service = v, Extra { list: Some("services"), ..FIELD })}
            {field(halves, "Environment", "form[environment]".into(), "metadata.environment".into(),
                |f| f.environment.clone(), |f, v| f.environment = v, Extra { list: Some("environments"), ..FIELD })}
        </div>
        {reach}
        {options("services", services)}{options("environments", environments)}
        {images(halves)}
    };
    let limits = view! {
        <div class="trio mt">
            {field(halves, "Requests, at least", "form[min_requests]".into(), "spec.analysis.minRequests".into(),
                |f| f.min_requests.clone(), |f, v| f.min_requests = v, Extra { placeholder: Some("50"), ..NUMBER })}
            {field(halves, "Errors, at most %", "form[max_error_percent]".into(), "spec.analysis.maxErrorPercent".into(),
                |f| f.max_error_percent.clone(), |f, v| f.max_error_percent = v, Extra { placeholder: Some("2"), ..NUMBER })}
            {field(halves, "p95, times stable", "form[max_p95_ratio]".into(), "spec.analysis.maxP95Ratio".into(),
                |f| f.max_p95_ratio.clone(), |f, v| f.max_p95_ratio = v, Extra { placeholder: Some("1.5"), ..NUMBER })}
        </div>
    };
    let approvals = view! {
        <div class="trio mt">
            {field(halves, "Approvals needed", "form[required]".into(), "spec.approvals.required".into(),
                |f| f.required.clone(), |f, v| f.required = v, NUMBER)}
            {field(halves, "Good for", "form[expire]".into(), "spec.approvals.expire".into(),
                |f| f.expire.clone(), |f, v| f.expire = v, Extra { placeholder: Some("24h"), ..FIELD })}
        </div>
    };
    view! {
        {sect("w-h", "What", nothing(), what.into_any())}
        {sect("s-h", "Steps", nothing(), steps_part(p, halves))}
        {sect("l-h", "Analysis", nothing(), limits.into_any())}
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
                            move |f| at(f, |i| i.image.clone()),
                            move |f, v| if let Some(image) = f.images.get_mut(i) { image.image = v },
                            FIELD)}
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

fn steps_part(p: &EditorPage, halves: Halves) -> AnyView {
    let first = p.checked.form.steps.clone();
    let count = Memo::new(move |_| halves.form.with(|f| f.steps.len()));
    let picture = move || halves.form.with(|f| tide(0, 0, &sketch(&f.steps), None, None));
    let path = p.id.map_or_else(|| "/plans/new".to_owned(), |id| format!("/plans/{id}/edit"));
    let rows = {
        let path = path.clone();
        move || {
            let n = count.get();
            let path = &path;
            (0..n)
                .map(|i| step(i, n, first.get(i).cloned().unwrap_or_default(), path.clone(), halves))
                .collect_view()
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

fn step(i: usize, n: usize, first: StepForm, path: String, halves: Halves) -> AnyView {
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
                move |f| at(f, |s| s.weight.clone()),
                move |f, v| if let Some(s) = f.steps.get_mut(i) { s.weight = v }, NUMBER)}
            {field(halves, "Bake", format!("form[steps][{i}][bake]"), format!("{base}.bake"),
                move |f| at(f, |s| s.bake.clone()),
                move |f, v| if let Some(s) = f.steps.get_mut(i) { s.bake = v }, Extra { placeholder: Some("none"), ..FIELD })}
            <fieldset class="field">
                <legend class="lab xs ink2">"Gates"</legend>
                <div class="row">
                    {gate(halves, i, "analysis", "Analysis", first.analysis, |s| s.analysis, |s, on| s.analysis = on)}
                    {gate(halves, i, "on_call", "On-call", first.on_call, |s| s.on_call, |s, on| s.on_call = on)}
                    {gate(halves, i, "approver", "Approver", first.approver, |s| s.approver, |s, on| s.approver = on)}
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
    first: bool,
    get: fn(&StepForm) -> bool,
    set: fn(&mut StepForm, bool),
) -> AnyView {
    view! {
        <label class="check">
            <input
                type="checkbox" name=format!("form[steps][{i}][{name}]") value="true" checked=first
                prop:checked=move || halves.form.with(|f| f.steps.get(i).is_some_and(get))
                on:change=move |ev| {
                    let on = event_target_checked(&ev);
                    halves.form.update(|f| if let Some(s) = f.steps.get_mut(i) { set(s, on) });
                }
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

fn yaml_half(p: &EditorPage, halves: Halves) -> AnyView {
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
                on:input=move |ev| halves.yaml.set(event_target_value(&ev))
            >{first}</textarea>
            {wrong}
        </div>
    };
    sect("y-h", "Document", nothing(), content.into_any())
}

/// Brings both halves in step by asking the server, in place of the form's own GET.
#[cfg(feature = "hydrate")]
fn recheck(halves: Halves, ev: &leptos::ev::MouseEvent, what: Option<String>) {
    ev.prevent_default();
    ask(halves, what);
}

#[cfg(not(feature = "hydrate"))]
fn recheck(_halves: Halves, _ev: &leptos::ev::MouseEvent, _what: Option<String>) {}

/// Checks when typing pauses.
#[cfg(feature = "hydrate")]
fn later(halves: Halves) {
    use std::cell::Cell;
    use std::time::Duration;
    thread_local! {
        static TYPED: Cell<u64> = const { Cell::new(0) };
    }
    let mine = TYPED.get() + 1;
    TYPED.set(mine);
    set_timeout(
        move || {
            if TYPED.get() == mine {
                ask(halves, None);
            }
        },
        Duration::from_millis(450),
    );
}

#[cfg(not(feature = "hydrate"))]
fn later(_halves: Halves) {}

#[cfg(feature = "hydrate")]
fn ask(halves: Halves, op: Option<String>) {
    use crate::api::plans::Draft;
    let draft = Draft {
        base: halves.base.get_untracked(),
        yaml: halves.yaml.get_untracked(),
        form: halves.form.get_untracked(),
        op,
    };
    leptos::task::spawn_local(async move {
        let Draft { base, yaml, form, op } = draft.clone();
        match api::plans::check_plan(base, yaml, form, op).await {
            // Somebody typed on while the server thought: the next check has the newer words.
            Ok(_)
                if halves.yaml.try_get_untracked().as_ref() != Some(&draft.yaml)
                    || halves.form.try_get_untracked().as_ref() != Some(&draft.form) => {}
            Ok(checked) => {
                halves.save.fault.try_set(None);
                halves.settle(checked);
            }
            Err(fault) => {
                halves.save.fault.try_set(Some(fault));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_leads_somewhere() {
        assert_eq!(anchor("spec.strategy.canary.steps[2].weight"), "spec-strategy-canary-steps-2-weight");
        assert_eq!(anchor("metadata.name"), "metadata-name");
        assert_eq!(anchor("spec.window"), "yaml");
        assert_eq!(anchor(""), "yaml");
    }
}
