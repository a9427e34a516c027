//! A page whose data is read before the first byte: status and title depend on it.

use super::icon::icon;
use crate::Fault;
use crate::api::door;
use leptos::prelude::*;
use leptos_meta::Title;
use std::future::Future;

/// The page once its data is there, or the reason why not.
pub(crate) fn page<T: 'static>(
    read: impl Future<Output = Result<T, Fault>> + Send + 'static,
    show: impl FnOnce(T) -> AnyView + Send + 'static,
) -> AnyView {
    let made = Suspend::new(async move {
        match read.await {
            Ok(data) => show(data),
            Err(fault) => fault_page(&fault),
        }
    });
    view! { <Suspense>{made}</Suspense> }.into_any()
}

/// A page that is asked for again when one of `topics` changed, and put in place by script.
pub(crate) fn followed(topics: &str, content: AnyView) -> AnyView {
    view! { <div class="whole" id="page" data-topics=topics.to_owned()>{content}</div> }.into_any()
}

/// The page in place of one that cannot be shown, inside the frame.
pub(crate) fn fault_page(fault: &Fault) -> AnyView {
    fault_in("main", fault)
}

/// The same where there is no frame around it.
pub(crate) fn fault_alone(fault: &Fault) -> AnyView {
    let brand = view! { <p><a class="brand" href="/">{icon("gate")}"Tidegate"</a></p> };
    view! { <header class="plain lone">{brand}</header>{fault_in("plain", fault)} }.into_any()
}

fn fault_in(class: &'static str, fault: &Fault) -> AnyView {
    if fault.status != 401 && fault.status != 0 {
        door::status(fault.status);
    }
    let Words { title, tone, icon: name, sentence } = Words::of(fault.status);
    let number = fault.request.clone().map(|r| {
        view! {
            <dl class="facts"><dt>"Number"</dt><dd><span class="mono">{r}</span>", already in the log"</dd></dl>
        }
    });
    // Asking again helps where the trouble may pass.
    let passing = matches!(fault.status, 0 | 409 | 429 | 500..);
    let again = passing.then(|| view! { <a class="btn primary" href="">"Try again"</a> });
    let badge = if fault.status == 0 { title.to_owned() } else { format!("{}, {title}", fault.status) };
    view! {
        <Title text=sentence/>
        <main class=class id="main" tabindex="-1">
            <section class="sect">
                <div class="row mt"><span class="badge" data-s=tone>{icon(name)}{badge}</span></div>
                <div class="head"><h1>{sentence}</h1></div>
                <p class="ink2">{fault.detail.clone()}</p>
                <div class="acts mt">
                    {again}
                    <a class="btn" href="/">"Now"</a>
                    <a class="btn" href="/services">"Services"</a>
                </div>
                {number}
            </section>
        </main>
    }
    .into_any()
}

struct Words {
    title: &'static str,
    tone: &'static str,
    icon: &'static str,
    sentence: &'static str,
}

impl Words {
    fn of(status: u16) -> Self {
        let (title, tone, icon, sentence) = match status {
            0 => ("no connection", "unknown", "status", "The server cannot be reached"),
            401 => ("not signed in", "waiting", "lock", "Sign in to see this"),
            403 => ("not allowed", "waiting", "lock", "You may not see this"),
            404 => ("not found", "unknown", "search", "There is nothing here"),
            409 => ("changed meanwhile", "waiting", "copy", "This changed before you"),
            429 => ("too fast", "waiting", "clock", "Too many requests from here"),
            503 => ("temporarily unavailable", "degraded", "db", "Reading is off for the moment"),
            400 | 422 => ("cannot be read", "waiting", "warn", "This address does not say what to show"),
            _ => ("our fault", "degraded", "warn", "This page could not be made"),
        };
        Self { title, tone, icon, sentence }
    }
}
