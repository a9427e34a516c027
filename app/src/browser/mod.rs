//! What runs in the browser: the stream of events, the clock, forms sent in place, the plan editor's checks,
//! and the one page that is taken over.
//!
//! Everything here only saves a reload. Each page is complete without it, each form posts by itself.

mod clock;
mod editor;
mod forms;
mod morph;
mod page;
mod stream;

use crate::Fault;
use crate::pages::release;
use leptos::prelude::*;
use model::view::ReleaseDelta;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::time::Duration;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement};

/// How long a page waits for somebody who is busy on it.
const PATIENCE: Duration = Duration::from_millis(400);

type OnRelease = Box<dyn Fn(ReleaseDelta)>;
type OnFault = Box<dyn Fn(&Fault) -> bool>;

thread_local! {
    static ON_RELEASE: RefCell<Option<OnRelease>> = const { RefCell::new(None) };
    static ON_FAULT: RefCell<Option<OnFault>> = const { RefCell::new(None) };
}

/// Wakes the page.
pub(crate) fn start() {
    forms::start();
    clock::start();
    take_over("release", release::take_over);
    editor::start();
    page::start();
    stream::start();
}

/// Takes a page that moves by itself over: renders it again from the data that stands beside it, in its place. What
/// is rendered is the same to the letter, so nobody sees it; what somebody has typed by then stays, and the focus with
/// it. Waits while a panel is open or a form is on its way.
fn take_over<T: DeserializeOwned + 'static>(id: &'static str, view: fn(&T) -> AnyView) {
    let Some(root) = find(&format!(".whole#{id}")).and_then(|e| e.dyn_into::<HtmlElement>().ok()) else {
        return;
    };
    if page::engaged() {
        set_timeout(move || take_over(id, view), PATIENCE);
        return;
    }
    let data = find("#data").and_then(|e| e.text_content()).unwrap_or_default();
    match serde_json::from_str::<T>(&data) {
        Ok(data) => {
            let (focus, typed) = (page::Focus::here(), page::Typed::within(&root));
            root.set_inner_html("");
            leptos::mount::mount_to(root.clone(), move || view(&data)).forget();
            focus.again();
            // Leptos sets values in a microtask of its own: after it.
            set_timeout(move || typed.again(&root), Duration::ZERO);
        }
        Err(e) => leptos::logging::error!("The page's data could not be read: {e}"),
    }
}

/// What the release's page does with news of it.
pub(crate) fn on_release(hear: OnRelease) {
    ON_RELEASE.set(Some(hear));
}

/// What the editor does with a refusal; answers whether it has shown it.
fn on_fault(show: OnFault) {
    ON_FAULT.set(Some(show));
}

fn find(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

fn each(selector: &str, act: impl FnMut(&Element)) {
    if let Some(root) = document().document_element() {
        each_in(&root, selector, act);
    }
}

fn each_in(root: &Element, selector: &str, mut act: impl FnMut(&Element)) {
    let Ok(list) = root.query_selector_all(selector) else { return };
    for i in 0..list.length() {
        if let Some(element) = list.get(i).and_then(|n| n.dyn_into::<Element>().ok()) {
            act(&element);
        }
    }
}

/// Sets an element's text without replacing its text node, which a taken-over page holds on to.
fn write(element: &Element, text: &str) {
    match element.first_child() {
        Some(node) if node.node_value().as_deref() != Some(text) => node.set_node_value(Some(text)),
        Some(_) => {}
        None => element.set_text_content(Some(text)),
    }
}
