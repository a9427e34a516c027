//! `/plans/new` and `/plans/{id}/edit`: a form and the document, each written into the other.
//!
//! Without script "Check" asks the server for the same page with both halves in step (a GET: it changes nothing), and
//! "Save" posts. With script the check runs while one types.

use crate::components::common::{nothing, sect};
use crate::components::gate::tide;
use crate::components::icon::icon;
use crate::components::post;
use crate::draft::{EditorPage, Found, ImageForm, PlanForm, StepForm};
use leptos::prelude::*;
use model::FieldError;
use model::view::{StepState, StepView};

#[cfg(feature = "ssr")]
pub(crate) fn new_plan() -> AnyView {
    page(None)
}

#[cfg(feature = "ssr")]
pub(crate) fn edit_plan() -> AnyView {
    page(Some(super::number("id")))
}

#[cfg(feature = "ssr")]
fn page(id: Option<i64>) -> AnyView {
    use crate::{api, components::load};
    use leptos_meta::Title;
    let search = leptos_router::hooks::use_location().search.get_untracked();
    load::page(async move { api::plans::editor(id, search).await }, |p| {
        let content = view(&p, Halves::new(&p));
        view! { <Title text=title(&p)/>{super::taken_over("editor", String::new(), &p, content)} }.into_any()
    })
}

/// The same page in the browser: from here on each half follows the other.
#[cfg(feature = "hydrate")]
pub(crate) fn take_over(p: &EditorPage) -> AnyView {
    let halves = Halves::new(p);
    // What is wrong with a plan stands at its fields; anything else is told over the page as always.
    crate::browser::on_fault(Box::new(move |fault| {
        let known = !fault.fields.is_empty();
        if known {
            halves.found.update(|c| {
                c.errors.clone_from(&fault.fields);
                c.digest = None;
            });
            halves.shown.set(true);
        }
        known
    }));
    view(p, halves)
}

fn title(p: &EditorPage) -> String {
    match p.id {
        Some(_) => format!("Edit {}", p.checked.form.name),
        None => "New plan".to_owned(),
    }
}

/// Both halves, and what is wrong with them.
#[derive(Clone, Copy)]
struct Halves {
    form: RwSignal<PlanForm>,
    yaml: RwSignal<String>,
    found: RwSignal<Found>,
    /// Errors are worth showing: somebody asked, typed or tried to save.
    shown: RwSignal<bool>,
}

impl Halves {
    fn new(p: &EditorPage) -> Self {
        Self {
            form: RwSignal::new(p.checked.form.clone()),
            yaml: RwSignal::new(p.checked.yaml.clone()),
            found: RwSignal::new(p.checked.found.clone()),
            shown: RwSignal::new(p.asked),
        }
    }

    /// What is wrong, by the last check or by the refusal to save.
    fn errors(self) -> Vec<FieldError> {
        if self.shown.get() { self.found.with(|c| c.errors.clone()) } else { Vec::new() }
    }

    fn at(self, field: &str) -> Option<String> {
        self.errors().into_iter().find(|e| e.field == field).map(|e| e.message)
    }
}

/// Class of the form that both halves are in.
const FORM: &str = "plan";

fn view(p: &EditorPage, halves: Halves) -> AnyView {
    let (path, button) = match (p.id, p.version) {
        (Some(id), Some(v)) => (format!("/plans/{id}/edit"), format!("Save as version {}", v + 1)),
        _ => ("/plans/new".to_owned(), "Save the plan".to_owned()),
    };
    let back = p.id.map_or_else(|| "/plans".to_owned(), |id| format!("/plans/{id}"));
    let mut hidden = Vec::new();
    if let (Some(id), Some(version)) = (p.id, p.version) {
        hidden.push(("id", id.to_string()));
        hidden.push(("expected", version.to_string()));
    }
    // The document that both halves were filled from last: whichever differs from it was edited.
    let first = p.checked.yaml.clone();
    let base = view! { <input type="hidden" name="base" value=first prop:value=move || halves.yaml.get()/> };
    let voids = p.id.map(|_| voids(p));
    let content = view! {
        {base}
        <div class="head stick">
            <div>
                <h1>{title(p)}</h1>
                <p class="meta"><span role="status">{move || verdict(halves)}</span></p>
            </div>
            <div class="acts">
                <a class="btn quiet" href=back>"Discard"</a>
                <button
                    class="btn" type="submit" formmethod="get" formaction=path.clone()
                    on:click=move |ev| recheck(halves, &ev, None)
                >
                    {icon("scale")}"Check"
                </button>
                {post::button("btn primary", "check", button, "Saving…", false)}
            </div>
        </div>
        {voids}
        {move || summary(halves)}
        <div class="cols even editor" on:input=move |_| later(halves)>
            <div>{form_half(p, halves, &path)}</div>
            <div>{yaml_half(p, halves)}</div>
        </div>
    };
    view! {
        <main class="main" id="main" tabindex="-1">
            {post::form("/do/save-plan", FORM, hidden, content.into_any())}
        </main>
    }
    .into_any()
}

fn voids(p: &EditorPage) -> AnyView {
    let next = p.version.unwrap_or(0) + 1;
    let given = match p.approvals {
        0 => String::new(),
        1 => "The one approval given becomes void.".to_owned(),
        n => format!("The {n} approvals given become void."),
    };
    view! {
        <div class="note box mt" data-s="waiting">
            {icon("info")}<span>{format!("Any change makes version {next} with a new digest. ")}<b>{given}</b></span>
        </div>
    }
    .into_any()
}

/// In the head: whether it could be saved as it stands.
fn verdict(halves: Halves) -> String {
    let errors = halves.found.with(|c| c.errors.len());
    match halves.found.with(|c| c.digest.clone()) {
        Some(digest) if errors == 0 => format!("no rule is broken; digest sha256:{digest}"),
        _ if !halves.shown.get() => "not checked yet".to_owned(),
        _ if errors == 1 => "one thing to correct".to_owned(),
        _ => format!("{errors} things to correct"),
    }
}

/// Everything that is wrong at once, each a link to its field, and what is only worth knowing.
fn summary(halves: Halves) -> AnyView {
    let errors = halves.errors();
    let warnings: Vec<_> = halves.found.with(|c| c.warnings.clone());
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
    view! { {wrong}{warnings} }.into_any()
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

fn form_half(p: &EditorPage, halves: Halves, path: &str) -> AnyView {
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
    };
    view! {
        {sect("w-h", "What", nothing(), what.into_any())}
        {sect("s-h", "Steps", nothing(), steps_part(halves, path))}
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
    let mine = TYPED.get() + 1;
    TYPED.set(mine);
    set_timeout(
        move || {
            if TYPED.get() == mine {
                ask(halves, None);
            }
        },
        PAUSE,
    );
}

#[cfg(not(feature = "hydrate"))]
fn later(_halves: Halves) {}

/// Typing has paused when nothing came for this long.
#[cfg(feature = "hydrate")]
const PAUSE: std::time::Duration = std::time::Duration::from_millis(400);

#[cfg(feature = "hydrate")]
thread_local! {
    /// Counts key strokes: an answer to older words than those that stand there now is thrown away.
    static TYPED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(feature = "hydrate")]
fn ask(halves: Halves, op: Option<String>) {
    let Some(mut body) = crate::browser::forms::contents_of(FORM) else { return };
    if let Some(op) = op {
        body = format!("{body}&op={op}");
    }
    send(halves, body);
}

#[cfg(feature = "hydrate")]
fn send(halves: Halves, body: String) {
    use crate::browser::forms;
    use crate::draft::Checked;
    let mine = TYPED.get();
    wasm_bindgen_futures::spawn_local(async move {
        let answer = forms::send("/do/check-plan", &body).await;
        if TYPED.get() != mine {
            return;
        }
        match answer.and_then(|a| forms::read::<Checked>(&a.body)) {
            Ok(checked) => {
                halves.yaml.set(checked.yaml);
                if halves.form.with_untracked(|f| *f != checked.form) {
                    halves.form.set(checked.form);
                }
                halves.found.set(checked.found);
                halves.shown.set(true);
                forms::told(None);
            }
            Err(fault) => forms::told(Some(&fault)),
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
