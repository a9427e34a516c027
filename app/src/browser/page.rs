//! A page that changed is asked for again, and put in place of itself: no view of it lives in the browser.
//!
//! Nobody is interrupted: while a panel is open or something is typed, the page waits. Focus, scroll and what is
//! unfolded stay where they were, and a row that changed flashes once.

use super::{each, each_in, find};
use js_sys::Reflect;
use leptos::prelude::{document, set_timeout};
use model::workload::Key;
use std::cell::Cell;
use std::time::Duration;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DomParser, Element, HtmlElement, Response, SupportedType};

/// How long the page waits for more changes before it asks.
const SOON: Duration = Duration::from_millis(250);
/// How long it leaves between two askings.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it looks whether somebody who was busy still is.
const LOOK: Duration = Duration::from_secs(2);
const PAGE: &str = "#page";

/// Where the page is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Rests,
    /// Will ask in a moment: more changes cost nothing.
    Waits,
    /// Has just asked; `true`: something changed since.
    Cools(bool),
}

thread_local! {
    static PACE: Cell<Pace> = const { Cell::new(Pace::Rests) };
}

/// The public page has no stream: it asks again every so often.
pub(super) fn start() {
    let every = find(PAGE).and_then(|e| e.get_attribute("data-every")).and_then(|n| n.parse::<u64>().ok());
    if let Some(every) = every {
        leptos::prelude::set_interval(again, Duration::from_secs(every));
    }
}

/// Rows that changed: asks again if one of them is on the page.
pub(super) fn changed_rows<'a>(mut keys: impl Iterator<Item = &'a Key>) {
    let mut shown = Vec::new();
    each("[data-key]", |e| shown.push(e.get_attribute("data-key").unwrap_or_default()));
    // An empty page may have to show the first row that comes.
    if shown.is_empty() || keys.any(|k| shown.contains(&k.to_string())) {
        again();
    }
}

/// Something on the page changed.
pub(crate) fn again() {
    if find(PAGE).is_none() {
        return;
    }
    match PACE.get() {
        Pace::Rests => {
            PACE.set(Pace::Waits);
            set_timeout(ask, SOON);
        }
        Pace::Waits => {}
        Pace::Cools(_) => PACE.set(Pace::Cools(true)),
    }
}

fn ask() {
    if busy() {
        set_timeout(ask, LOOK);
        return;
    }
    PACE.set(Pace::Cools(false));
    wasm_bindgen_futures::spawn_local(async {
        // A failure is no news: the stream says when the server is back, and the badge says how old this is.
        let _ = put().await;
        set_timeout(
            || {
                if PACE.replace(Pace::Rests) == Pace::Cools(true) {
                    again();
                }
            },
            PAUSE,
        );
    });
}

/// A panel is open, or a form is on its way.
pub(super) fn engaged() -> bool {
    // Two questions: a browser that knows no panels finds the first one wrong.
    find(":popover-open").is_some() || find("form[aria-busy]").is_some()
}

/// Engaged, or typing.
fn busy() -> bool {
    if engaged() {
        return true;
    }
    let active = document().active_element();
    active.is_some_and(|e| matches!(e.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}

async fn put() -> Result<(), JsValue> {
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let response = JsFuture::from(window.fetch_with_str(&window.location().href()?)).await?;
    let response: Response = response.dyn_into()?;
    // Sent to the sign-in page, or refused: leave what is there, and go where the server says.
    if response.redirected() {
        return window.location().reload();
    }
    if !response.ok() {
        return Ok(());
    }
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    let fresh = DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml)?;
    if busy() {
        again();
        return Ok(());
    }
    swap(&fresh)
}

fn swap(fresh: &Document) -> Result<(), JsValue> {
    let (Some(old), Some(new)) = (find(PAGE), fresh.query_selector(PAGE)?) else { return Ok(()) };
    if old.inner_html() == new.inner_html() {
        return Ok(());
    }
    let before = rows(&old);
    let unfolded = unfolded(&old);
    let focus = Focus::here();
    let typed = Typed::within(&old);
    old.set_inner_html(&new.inner_html());
    document().set_title(&fresh.title());
    for (key, row) in rows(&old) {
        if before.iter().any(|(k, was)| *k == key && seen(was) != seen(&row)) {
            let _ = row.class_list().add_1("flash");
        }
    }
    for (i, open) in unfolded.into_iter().enumerate() {
        let details = old.query_selector_all("details")?.get(u32::try_from(i).unwrap_or(u32::MAX));
        if let (true, Some(e)) = (open, details.and_then(|d| d.dyn_into::<Element>().ok())) {
            e.set_attribute("open", "")?;
        }
    }
    typed.again(&old);
    focus.again();
    Ok(())
}

/// Where the focus is, so that it can be found again in new content.
pub(super) struct Focus {
    path: Option<String>,
    /// In a field of text: from where to where.
    caret: Option<(JsValue, JsValue)>,
}

impl Focus {
    pub(super) fn here() -> Self {
        let Some(e) = document().active_element() else { return Self { path: None, caret: None } };
        let caret = property(&e, "selectionStart").zip(property(&e, "selectionEnd"));
        Self { path: path_to(&e), caret }
    }

    pub(super) fn again(self) {
        let found = self.path.and_then(|p| find(&p)).and_then(|e| e.dyn_into::<HtmlElement>().ok());
        let Some(e) = found else { return };
        let _ = e.focus();
        if let Some((from, to)) = self.caret {
            // A field that has no caret (a number) refuses: nothing is lost.
            let _ = Reflect::set(&e, &"selectionStart".into(), &from);
            let _ = Reflect::set(&e, &"selectionEnd".into(), &to);
        }
    }
}

/// What somebody has typed or ticked: fields by id, or by name where they have none, whose state is not the one they
/// came with.
pub(super) struct Typed(Vec<(String, JsValue, JsValue)>);

const FIELDS: &str = "input[name]:not([type=hidden]), textarea[name]";

impl Typed {
    pub(super) fn within(root: &Element) -> Self {
        let mut out = Vec::new();
        each_in(root, FIELDS, |e| {
            let now = |name: &str| property(e, name).unwrap_or(JsValue::UNDEFINED);
            let (value, checked) = (now("value"), now("checked"));
            if value != now("defaultValue") || checked != now("defaultChecked") {
                out.push((field(e), value, checked));
            }
        });
        Self(out)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Types it again, as the page's own script would see it typed.
    pub(super) fn again(self, root: &Element) {
        each_in(root, FIELDS, |e| {
            let here = field(e);
            if let Some((_, value, checked)) = self.0.iter().find(|(field, ..)| *field == here) {
                let _ = Reflect::set(e, &"value".into(), value);
                if !checked.is_undefined() {
                    let _ = Reflect::set(e, &"checked".into(), checked);
                }
                let init = web_sys::EventInit::new();
                init.set_bubbles(true);
                if let Ok(event) = web_sys::Event::new_with_event_init_dict("input", &init) {
                    let _ = e.dispatch_event(&event);
                }
            }
        });
    }
}

fn field(e: &Element) -> String {
    if e.id().is_empty() { e.get_attribute("name").unwrap_or_default() } else { format!("#{}", e.id()) }
}

fn property(e: &Element, name: &str) -> Option<JsValue> {
    Reflect::get(e, &name.into()).ok().filter(|v| !v.is_undefined() && !v.is_null())
}

fn rows(root: &Element) -> Vec<(String, Element)> {
    let mut out = Vec::new();
    each_in(root, "[data-key]", |e| out.push((e.get_attribute("data-key").unwrap_or_default(), e.clone())));
    out
}

/// A row's text without its ages, which change by themselves.
fn seen(row: &Element) -> String {
    let copy = row.clone_node_with_deep(true).ok().and_then(|n| n.dyn_into::<Element>().ok());
    let Some(copy) = copy else { return String::new() };
    each_in(&copy, "time", |time| time.set_text_content(None));
    copy.text_content().unwrap_or_default()
}

fn unfolded(root: &Element) -> Vec<bool> {
    let mut out = Vec::new();
    each_in(root, "details", |e| out.push(e.has_attribute("open")));
    out
}

/// By its id, by the panel it opens, else by where its link leads.
fn path_to(e: &Element) -> Option<String> {
    if !e.id().is_empty() {
        return Some(format!("[id=\"{}\"]", e.id()));
    }
    if let Some(panel) = e.get_attribute("popovertarget") {
        return Some(format!("#main [popovertarget=\"{panel}\"]"));
    }
    let href = e.get_attribute("href")?;
    Some(format!("#main a[href=\"{}\"]", href.replace('"', "\\\"")))
}
