//! Forms sent in place: one listener for the whole document. What came of it is told over the page.

use super::{ON_FAULT, clock, each_in, find, page};
use crate::Fault;
use crate::chart::escape;
use leptos::prelude::document;
use serde::de::DeserializeOwned;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Element, Event, FormData, Headers, HtmlButtonElement, HtmlElement, HtmlFormElement, RequestInit,
    Response, SubmitEvent, UrlSearchParams,
};

/// An answer: the body, and where the server would have sent a plain form.
pub(super) struct Answer {
    pub(super) body: String,
    go_to: Option<String>,
}

pub(super) fn start() {
    let submitted = Closure::<dyn FnMut(Event)>::new(|e: Event| submit(&e));
    let _ = document().add_event_listener_with_callback("submit", submitted.as_ref().unchecked_ref());
    submitted.forget();
}

fn submit(event: &Event) {
    let form = event.target().and_then(|t| t.dyn_into::<HtmlFormElement>().ok());
    let Some(form) = form.filter(|f| f.has_attribute("data-post") && !event.default_prevented()) else {
        return;
    };
    let pressed = event
        .dyn_ref::<SubmitEvent>()
        .and_then(SubmitEvent::submitter)
        .and_then(|s| s.dyn_into::<HtmlButtonElement>().ok());
    // A button that only asks (the editor's check) goes its own way.
    if pressed.as_ref().is_some_and(|b| b.has_attribute("formmethod")) {
        return;
    }
    event.prevent_default();
    if form.has_attribute("aria-busy") {
        return;
    }
    if stale() && pressed.as_ref().is_some_and(|b| b.has_attribute("data-raises")) {
        told(Some(&Fault {
            title: "Not while the data is stale".into(),
            detail: "Nobody knows where the weight is now, so nothing may raise it. Wait until the data is fresh; \
                     ROLL BACK works."
                .into(),
            ..Fault::offline()
        }));
        return;
    }
    let Some(body) = contents(&form, pressed.as_ref()) else { return };
    let _ = form.set_attribute("aria-busy", "true");
    let rest = pressed.as_ref().map(press);
    unmark(&form);
    told(None);
    wasm_bindgen_futures::spawn_local(async move {
        let begun = clock::browser_ms();
        let answer = send(&form.get_attribute("action").unwrap_or_default(), &body).await;
        let took = clock::browser_ms() - begun;
        let _ = form.remove_attribute("aria-busy");
        if let (Some(button), Some(rest)) = (&pressed, rest) {
            release(button, &rest);
        }
        close(&form);
        match answer {
            Ok(answer) => done(&form, &answer, took),
            Err(fault) => {
                let shown = ON_FAULT.with_borrow(|show| show.as_ref().is_some_and(|show| show(&fault)));
                if !shown {
                    told(Some(&fault));
                }
                // What was typed is to be put right: nothing has changed on the server.
                if !mark(&form, &fault) {
                    page::again();
                }
            }
        }
    });
}

/// Says at each field of the form what is wrong with it. Answers whether it did at any.
fn mark(form: &HtmlFormElement, fault: &Fault) -> bool {
    let mut marked = false;
    for wrong in &fault.fields {
        let plain = wrong.field.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let at = format!("[name=\"{0}\"], [id=\"{0}\"]", wrong.field);
        let Some(field) = form.query_selector(&at).ok().flatten().filter(|_| plain) else { continue };
        let Ok(words) = document().create_element("span") else { continue };
        words.set_class_name("err");
        let _ = words.set_attribute("data-mark", "");
        words.set_text_content(Some(&wrong.message));
        let _ = field.set_attribute("aria-invalid", "true");
        let _ = field.insert_adjacent_element("afterend", &words);
        marked = true;
    }
    marked
}

fn unmark(form: &HtmlFormElement) {
    each_in(form, "[data-mark]", Element::remove);
    each_in(form, "[aria-invalid]", |e| {
        let _ = e.remove_attribute("aria-invalid");
    });
}

fn done(form: &HtmlFormElement, answer: &Answer, took: i64) {
    let path = answer.go_to.as_deref().unwrap_or_default();
    if !path.is_empty() && !is_here(path) {
        if let Some(window) = web_sys::window() {
            let _ = window.location().assign(path);
        }
        return;
    }
    form.reset();
    // A rollback's answer is how long the cluster took, in milliseconds.
    if let Ok(cluster) = answer.body.parse::<u64>() {
        say(
            "rolled-back",
            "undo",
            "status",
            &format!(
                "<b>Rolling back:</b> the cluster took it within {cluster}&nbsp;ms, {took}&nbsp;ms after the press. \
                 What follows is what is seen in the cluster."
            ),
        );
    }
    page::again();
}

/// Says at once that the button was pressed. Returns what it looked like before.
fn press(button: &HtmlButtonElement) -> (String, String) {
    let part = |selector: &str| button.query_selector(selector).ok().flatten();
    let href = part("use").and_then(|u| u.get_attribute("href")).unwrap_or_default();
    let words = part("span").and_then(|s| s.text_content()).unwrap_or_default();
    look(button, "#i-spin", button.get_attribute("data-busy").as_deref());
    let _ = button.set_attribute("aria-busy", "true");
    (href, words)
}

fn release(button: &HtmlButtonElement, (href, words): &(String, String)) {
    let _ = button.remove_attribute("aria-busy");
    look(button, href, Some(words));
}

fn look(button: &Element, href: &str, words: Option<&str>) {
    if let Ok(Some(sign)) = button.query_selector("use") {
        let _ = sign.set_attribute("href", href);
    }
    if let (Ok(Some(span)), Some(words)) = (button.query_selector("span"), words) {
        super::write(&span, words);
    }
}

fn stale() -> bool {
    document().document_element().is_some_and(|e| e.has_attribute("data-stale"))
}

/// Tells a refusal over the page, or takes the last one away.
pub(super) fn told(fault: Option<&Fault>) {
    match fault {
        None => {
            if let Some(place) = find("#answer") {
                place.set_inner_html("");
            }
        }
        Some(f) => {
            let tone = if f.status >= 500 || f.status == 0 { "degraded" } else { "waiting" };
            let fields: String = f
                .fields
                .iter()
                .map(|e| {
                    format!(
                        "<li><span class=\"mono\">{}</span> {}</li>",
                        escape(&e.field),
                        escape(&e.message)
                    )
                })
                .collect();
            let fields = if fields.is_empty() { fields } else { format!("<ul>{fields}</ul>") };
            let number = f.request.as_ref().map(|r| format!(" Number {}.", escape(r))).unwrap_or_default();
            say(
                tone,
                "warn",
                "alert",
                &format!("<b>{}.</b> {}{number}{fields}", escape(&f.title), escape(&f.detail)),
            );
        }
    }
}

fn say(tone: &str, icon: &str, role: &str, html: &str) {
    if let Some(place) = find("#answer") {
        place.set_inner_html(&format!(
            "<div class=\"note box\" data-s=\"{tone}\" role=\"{role}\"><svg class=\"i\" aria-hidden=\"true\">\
             <use href=\"#i-{icon}\"/></svg><div>{html}</div></div>"
        ));
    }
}

/// Contents of the form at `selector`, as it sends them when `pressed` is.
pub(super) fn contents_of(selector: &str, pressed: Option<&HtmlButtonElement>) -> Option<String> {
    let form = find(selector)?.dyn_into::<HtmlFormElement>().ok()?;
    contents(&form, pressed)
}

fn contents(form: &HtmlFormElement, pressed: Option<&HtmlButtonElement>) -> Option<String> {
    let data = FormData::new_with_form(form).ok()?;
    if let Some(button) = pressed.filter(|b| !b.name().is_empty()) {
        data.append_with_str(&button.name(), &button.value()).ok()?;
    }
    let query = UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?;
    query.to_string().as_string()
}

pub(super) async fn send(path: &str, body: &str) -> Result<Answer, Fault> {
    fetch(path, body).await.unwrap_or_else(|_| Err(Fault::offline()))
}

/// Reads an answer's body.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Fault> {
    serde_json::from_str(body).map_err(|_| Fault::offline())
}

async fn fetch(path: &str, body: &str) -> Result<Result<Answer, Fault>, JsValue> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&JsValue::from_str(body));
    let headers = Headers::new()?;
    headers.set("content-type", "application/x-www-form-urlencoded")?;
    headers.set("accept", "application/json")?;
    init.set_headers(&headers);
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let response = JsFuture::from(window.fetch_with_str_and_init(path, &init)).await?;
    let response: Response = response.dyn_into()?;
    let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    let go_to = response.headers().get("location").ok().flatten();
    if response.ok() {
        return Ok(Ok(Answer { body, go_to }));
    }
    if response.status() == 401
        && let Some(path) = go_to
    {
        window.location().set_href(&path)?;
    }
    Ok(Err(serde_json::from_str(&body).unwrap_or_else(|_| Fault {
        status: response.status(),
        title: "Not done".into(),
        detail: format!("The server answered {}. Try again.", response.status()),
        ..Fault::offline()
    })))
}

/// The path that is shown now, or only another query of it.
fn is_here(path: &str) -> bool {
    let here = web_sys::window().and_then(|w| w.location().pathname().ok());
    here.as_deref() == path.split(['?', '#']).next()
}

/// Shuts the panel a form is in.
fn close(form: &HtmlFormElement) {
    if let Ok(Some(panel)) = form.closest("[popover]")
        && let Ok(panel) = panel.dyn_into::<HtmlElement>()
    {
        // Throws when it is not open.
        let _ = panel.hide_popover();
    }
}
