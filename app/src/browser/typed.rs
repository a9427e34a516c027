//! What somebody typed before the script woke up. Taking a page over writes every bound field anew; over a slow line a
//! person may have filled in half a form by then, and must not lose it.

use leptos::prelude::set_timeout;
use std::time::Duration;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, Event, EventInit, HtmlInputElement, HtmlTextAreaElement};

enum Typed {
    Text(String),
    Checked(bool),
}

/// Fields that no longer hold what the server wrote into them.
pub(super) struct Fields(Vec<(Element, Typed)>);

impl Fields {
    /// To be called before the page is taken over.
    pub(super) fn read() -> Self {
        let mut fields = Vec::new();
        let document = web_sys::window().and_then(|w| w.document());
        let Some(list) = document.and_then(|d| d.query_selector_all("input, textarea").ok()) else {
            return Self(fields);
        };
        for element in (0..list.length()).filter_map(|i| list.get(i)?.dyn_into::<Element>().ok()) {
            let typed = if let Some(area) = element.dyn_ref::<HtmlTextAreaElement>() {
                let text = area.value();
                area.default_value().is_ok_and(|server| server != text).then_some(Typed::Text(text))
            } else if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
                match input.type_().as_str() {
                    "checkbox" | "radio" => {
                        (input.checked() != input.default_checked()).then(|| Typed::Checked(input.checked()))
                    }
                    // A browser fills those in by itself, and scripts have no business with either.
                    "hidden" | "password" => None,
                    _ => (input.value() != input.default_value()).then(|| Typed::Text(input.value())),
                }
            } else {
                None
            };
            fields.extend(typed.map(|t| (element, t)));
        }
        Self(fields)
    }

    /// Puts it back, as if it were typed now, once the page has been taken over.
    pub(super) fn restore(self) {
        if self.0.is_empty() {
            return;
        }
        // Parts of the page wait for data that came with it: they are ready when this turn is over.
        set_timeout(
            move || {
                for (element, typed) in &self.0 {
                    match typed {
                        Typed::Text(text) => {
                            if let Some(area) = element.dyn_ref::<HtmlTextAreaElement>() {
                                area.set_value(text);
                            } else if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
                                input.set_value(text);
                            }
                            tell(element, "input");
                        }
                        Typed::Checked(on) => {
                            if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
                                input.set_checked(*on);
                            }
                            tell(element, "change");
                        }
                    }
                }
            },
            Duration::ZERO,
        );
    }
}

fn tell(element: &Element, what: &str) {
    let init = EventInit::new();
    init.set_bubbles(true);
    if let Ok(event) = Event::new_with_event_init_dict(what, &init) {
        // Fails only for an event that is being sent already.
        let _ = element.dispatch_event(&event);
    }
}
