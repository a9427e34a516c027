//! The plan editor: what is typed in one half is sent to the server, which answers with both.

use super::{find, forms, morph, page};
use crate::Fault;
use leptos::prelude::set_timeout;
use std::cell::Cell;
use std::time::Duration;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{DomParser, Element, Event, HtmlButtonElement, SupportedType};

/// Typing has paused when nothing came for this long.
const PAUSE: Duration = Duration::from_millis(400);
const FORM: &str = "form.plan";
const PLACE: &str = "#main";

thread_local! {
    /// Counts key strokes: an answer to older words than those that stand there now is thrown away.
    static TYPED: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn start() {
    let Some(form) = find(FORM) else { return };
    let typed = Closure::<dyn FnMut(Event)>::new(|_| later());
    let _ = form.add_event_listener_with_callback("input", typed.as_ref().unchecked_ref());
    typed.forget();
    let pressed = Closure::<dyn FnMut(Event)>::new(|e: Event| press(&e));
    let _ = form.add_event_listener_with_callback("click", pressed.as_ref().unchecked_ref());
    pressed.forget();
    // What is wrong with a plan stands at its fields; anything else is told over the page as always.
    super::on_fault(Box::new(|fault| {
        let known = !fault.fields.is_empty();
        if known {
            ask(None, Some(fault.clone()));
        }
        known
    }));
    // Something was typed before this came.
    if !page::Typed::within(&form).is_empty() {
        later();
    }
}

fn later() {
    let mine = TYPED.get() + 1;
    TYPED.set(mine);
    set_timeout(
        move || {
            if TYPED.get() == mine {
                ask(None, None);
            }
        },
        PAUSE,
    );
}

/// A button that only asks: in place of the form's own GET.
fn press(event: &Event) {
    let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
    let button = target.and_then(|t| t.closest("button[formmethod]").ok().flatten());
    if let Some(button) = button.and_then(|b| b.dyn_into::<HtmlButtonElement>().ok()) {
        event.prevent_default();
        ask(Some(button), None);
    }
}

/// Asks for both halves in step. `fault` is a refusal to save, told over the page if no field shows it.
fn ask(button: Option<HtmlButtonElement>, fault: Option<Fault>) {
    let Some(body) = forms::contents_of(FORM, button.as_ref()) else { return };
    let mine = TYPED.get();
    wasm_bindgen_futures::spawn_local(async move {
        let answer = forms::send("/do/check-plan", &body).await;
        if TYPED.get() != mine {
            return;
        }
        match answer.and_then(|a| forms::read::<String>(&a.body)) {
            Ok(html) => {
                put(&html);
                let shown = find(&format!("{FORM} [aria-invalid]")).is_some();
                forms::told(fault.as_ref().filter(|_| !shown));
            }
            Err(fault) => forms::told(Some(&fault)),
        }
    });
}

fn put(html: &str) {
    let fresh = DomParser::new().and_then(|p| p.parse_from_string(html, SupportedType::TextHtml));
    let fresh = fresh.ok().and_then(|d| d.query_selector(PLACE).ok().flatten());
    if let (Some(old), Some(new)) = (find(PLACE), fresh) {
        morph::morph(&old, &new);
    }
}
