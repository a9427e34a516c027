//! Brings elements into another shape: only what differs is touched, so that focus, caret and scroll stay where they
//! are, and the field that somebody types in keeps its words.

use leptos::prelude::document;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlInputElement, HtmlTextAreaElement, Node};

/// Makes `old` what `new` is. Both are the same kind of element.
pub(super) fn morph(old: &Element, new: &Element) {
    for name in old.get_attribute_names() {
        if let Some(name) = name.as_string().filter(|n| !new.has_attribute(n)) {
            let _ = old.remove_attribute(&name);
        }
    }
    for name in new.get_attribute_names().iter().filter_map(|n| n.as_string()) {
        if let Some(value) = new.get_attribute(&name).filter(|v| old.get_attribute(&name).as_ref() != Some(v))
        {
            let _ = old.set_attribute(&name, &value);
        }
    }
    children(old, new);
    if document().active_element().as_ref() != Some(old) {
        state(old, new);
    }
}

/// What a field holds is no attribute once somebody has touched it.
fn state(old: &Element, new: &Element) {
    if let (Some(old), Some(new)) = (old.dyn_ref::<HtmlInputElement>(), new.dyn_ref::<HtmlInputElement>()) {
        old.set_value(&new.default_value());
        old.set_checked(new.default_checked());
    }
    if let (Some(old), Some(new)) =
        (old.dyn_ref::<HtmlTextAreaElement>(), new.dyn_ref::<HtmlTextAreaElement>())
        && old.value() != new.value()
    {
        old.set_value(&new.value());
    }
}

fn children(old: &Node, new: &Node) {
    let mut here = old.first_child();
    let mut wanted = new.first_child();
    while let Some(want) = wanted {
        wanted = want.next_sibling();
        // What stands between here and the next of its kind has gone; where there is none, it has come.
        let kin = std::iter::successors(here.clone(), Node::next_sibling).find(|n| alike(n, &want));
        match kin {
            Some(kin) => {
                while let Some(gone) = here.clone().filter(|h| *h != kin) {
                    here = gone.next_sibling();
                    let _ = old.remove_child(&gone);
                }
                here = kin.next_sibling();
                match (kin.dyn_ref::<Element>(), want.dyn_ref::<Element>()) {
                    (Some(a), Some(b)) => morph(a, b),
                    _ if kin.node_value() != want.node_value() => {
                        kin.set_node_value(want.node_value().as_deref());
                    }
                    _ => {}
                }
            }
            None => {
                let _ = old.insert_before(&want, here.as_ref());
            }
        }
    }
    while let Some(gone) = here {
        here = gone.next_sibling();
        let _ = old.remove_child(&gone);
    }
}

/// Of the same kind: text is, elements are by name, id and class.
fn alike(a: &Node, b: &Node) -> bool {
    let mark = |n: &Node| n.dyn_ref::<Element>().map(|e| (e.id(), e.get_attribute("class")));
    a.node_name() == b.node_name() && mark(a) == mark(b)
}
