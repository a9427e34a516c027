//! Forms that change something. A plain form post works without script: the server answers with a redirect, and a
//! refusal comes back in the address. With script the same form is sent in place, and what came of it is shown.
//!
//! One handler for all forms instead of one generic form for each deed: the browser's half stays small.

use super::icon::icon;
use crate::{Fault, api};
use leptos::prelude::*;
use std::sync::Arc;

/// What the server answered to a deed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    /// Which form of this deed.
    pub(crate) tag: &'static str,
    /// The server function's answer, as JSON.
    pub(crate) answer: String,
    /// Milliseconds from the press to the answer.
    pub(crate) took: u32,
}

type After = Arc<dyn Fn() + Send + Sync>;

/// Posts to one address. Cheap to copy.
#[derive(Clone, Copy)]
pub(crate) struct Post {
    path: &'static str,
    /// The form that is on its way.
    pub(crate) busy: RwSignal<Option<&'static str>>,
    pub(crate) fault: RwSignal<Option<Fault>>,
    pub(crate) done: RwSignal<Option<Done>>,
    after: StoredValue<Option<After>>,
}

impl Post {
    /// Posts to `path`. Shows what was refused to a plain form before.
    pub(crate) fn new(path: &'static str) -> Self {
        Self {
            path,
            busy: RwSignal::new(None),
            fault: RwSignal::new(api::refused_at(path)),
            done: RwSignal::new(None),
            after: StoredValue::new(None),
        }
    }

    /// Runs `after` when a deed was done and the page stays: to read again what changed.
    pub(crate) fn then(self, after: impl Fn() + Send + Sync + 'static) -> Self {
        self.after.set_value(Some(Arc::new(after)));
        self
    }

    /// A form with hidden values. `tag` tells this form from others of the same deed.
    pub(crate) fn form(
        self,
        tag: &'static str,
        class: &'static str,
        hidden: Vec<(&'static str, String)>,
        content: AnyView,
    ) -> AnyView {
        let hidden = hidden
            .into_iter()
            .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
            .collect_view();
        view! {
            <form method="post" action=self.path class=class on:submit=move |ev| self.submit(&ev, tag)>
                {hidden}{content}
            </form>
        }
        .into_any()
    }

    /// A submit button that says at once that it was pressed.
    pub(crate) fn button(
        self,
        tag: &'static str,
        class: &'static str,
        icon_name: &'static str,
        words: String,
        busy_words: &'static str,
    ) -> AnyView {
        let busy = move || self.busy.get() == Some(tag);
        view! {
            <button class=class type="submit" aria-busy=move || busy().then_some("true")>
                {move || icon(if busy() { "spin" } else { icon_name })}
                <span>{move || if busy() { busy_words.to_owned() } else { words.clone() }}</span>
            </button>
        }
        .into_any()
    }

    /// Why a deed was refused.
    pub(crate) fn refusal(self) -> AnyView {
        view! { {move || self.fault.get().map(|f| refusal(&f))} }.into_any()
    }

    #[cfg(not(feature = "hydrate"))]
    #[expect(clippy::unused_self, reason = "the browser's half of this does the work")]
    fn submit(self, _ev: &leptos::ev::SubmitEvent, _tag: &'static str) {}

    #[cfg(feature = "hydrate")]
    fn submit(self, ev: &leptos::ev::SubmitEvent, tag: &'static str) {
        if ev.default_prevented() {
            return;
        }
        ev.prevent_default();
        if self.busy.get_untracked().is_some() {
            return;
        }
        let Some((form, body)) = browser::contents(ev) else { return };
        self.busy.set(Some(tag));
        self.fault.set(None);
        self.done.set(None);
        leptos::task::spawn_local(async move {
            let begun = js_sys::Date::now();
            let answer = browser::send(self.path, &body).await;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let took = (js_sys::Date::now() - begun).max(0.0) as u32;
            self.busy.try_set(None);
            match answer {
                Ok(browser::Answer { body, go_to }) => {
                    browser::close(&form);
                    self.done.try_set(Some(Done { tag, answer: body, took }));
                    match go_to {
                        Some(path) if !browser::is_here(&path) => {
                            leptos::server_fn::redirect::call_redirect_hook(&path);
                        }
                        _ => {
                            if let Some(after) = self.after.try_get_value().flatten() {
                                after();
                            }
                        }
                    }
                }
                Err(fault) => {
                    browser::close(&form);
                    self.fault.try_set(Some(fault));
                }
            }
        });
    }
}

/// A refusal in words, at the top of what it is about.
pub(crate) fn refusal(fault: &Fault) -> AnyView {
    let request = fault.request.clone().map(|r| view! { " Number " <span class="mono">{r}</span> "." });
    let tone = if fault.status >= 500 || fault.status == 0 { "degraded" } else { "waiting" };
    view! {
        <p class="note box mt" data-s=tone role="alert">
            {icon("warn")}
            <span><b>{fault.title.clone()}"."</b>" "{fault.detail.clone()}{request}</span>
        </p>
    }
    .into_any()
}

#[cfg(feature = "hydrate")]
pub(crate) mod browser {
    //! Sending a form's contents, and reading what comes back.

    use crate::Fault;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        FormData, HtmlButtonElement, HtmlElement, HtmlFormElement, RequestInit, Response, SubmitEvent,
    };

    /// An answer: the body, and where the server would have sent a plain form.
    pub(crate) struct Answer {
        pub(crate) body: String,
        pub(crate) go_to: Option<String>,
    }

    /// The form and its contents with the pressed button's, in the form's own encoding.
    pub(crate) fn contents(ev: &SubmitEvent) -> Option<(HtmlFormElement, String)> {
        let form: HtmlFormElement = ev.target()?.dyn_into().ok()?;
        let body = of_form(&form, ev.submitter().and_then(|s| s.dyn_into::<HtmlButtonElement>().ok()))?;
        Some((form, body))
    }

    /// A form's contents as a query.
    pub(crate) fn of_form(form: &HtmlFormElement, pressed: Option<HtmlButtonElement>) -> Option<String> {
        let data = FormData::new_with_form(form).ok()?;
        if let Some(button) = pressed.filter(|b| !b.name().is_empty()) {
            data.append_with_str(&button.name(), &button.value()).ok()?;
        }
        let query = web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?;
        query.to_string().as_string()
    }

    pub(crate) async fn send(path: &str, body: &str) -> Result<Answer, Fault> {
        fetch(path, body).await.unwrap_or_else(|_| Err(Fault::offline()))
    }

    async fn fetch(path: &str, body: &str) -> Result<Result<Answer, Fault>, JsValue> {
        let init = RequestInit::new();
        init.set_method("POST");
        init.set_body(&JsValue::from_str(body));
        let headers = web_sys::Headers::new()?;
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
    pub(crate) fn is_here(path: &str) -> bool {
        let here = web_sys::window().and_then(|w| w.location().pathname().ok());
        here.as_deref() == path.split(['?', '#']).next()
    }

    /// Shuts the panel a form is in, and empties the form.
    pub(crate) fn close(form: &HtmlFormElement) {
        if let Ok(Some(panel)) = form.closest("[popover]")
            && let Ok(panel) = panel.dyn_into::<HtmlElement>()
        {
            // Throws when it is not open.
            let _ = panel.hide_popover();
            form.reset();
        }
    }
}
