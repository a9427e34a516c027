//! Keeps the halves in step: what was typed in one is sent to the server, which answers with both.

#[cfg(feature = "hydrate")]
use super::FORM;
use super::Halves;
#[cfg(feature = "hydrate")]
use leptos::prelude::*;

/// Brings both halves in step by asking the server, in place of the form's own GET.
#[cfg(feature = "hydrate")]
pub(super) fn recheck(halves: Halves, ev: &leptos::ev::MouseEvent, what: Option<String>) {
    ev.prevent_default();
    ask(halves, what);
}

#[cfg(not(feature = "hydrate"))]
pub(super) fn recheck(_halves: Halves, _ev: &leptos::ev::MouseEvent, _what: Option<String>) {}

/// Checks when typing pauses.
#[cfg(feature = "hydrate")]
pub(super) fn later(halves: Halves) {
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
pub(super) fn later(_halves: Halves) {}

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
