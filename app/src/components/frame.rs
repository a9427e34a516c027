//! The frame around every page of somebody who is signed in: top bar, navigation, the page.

use super::age::freshness_badge;
use super::common::nothing;
use super::icon::icon;
use super::post::refusal;
use crate::api;
use leptos::prelude::*;
use leptos_router::components::Outlet;
use leptos_router::hooks::use_location;
use model::Action;
use model::view::Shell;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Top bar and navigation, and the page in its place.
pub(crate) fn frame() -> AnyView {
    let path = use_location().pathname.get_untracked();
    let known = Known::default();
    provide_context(known.clone());
    let top = known.clone().show(|shell| corner(&shell));
    let nav = known.show(move |shell| links(&shell, &path));
    // What was refused to a plain form stands over the page; with script every answer does.
    let answer = api::refused().map(|(_, fault)| refusal(&fault));
    view! {
        <div class="app">
            <a class="skip btn" href="#main">"Skip to content"</a>
            <header class="top">
                <button class="btn quiet only-s" type="button" popovertarget="nav" aria-label="Menu">
                    {icon("menu")}
                </button>
                <a class="brand" href="/">{icon("gate")}"Tidegate"</a>
                <a class="btn quiet only-l" href="/services#q">{icon("search")}"Find a service"</a>
                <span class="grow"></span>
                {top}
            </header>
            <nav class="side" id="nav" popover aria-label="Main">
                {nav}
                <ul class="foot">
                    <li><a href="/status">{icon("status")}"Public status"</a></li>
                    <li>
                        <form method="post" action="/do/sign-out">
                            <button type="submit">{icon("person")}"Sign out"</button>
                        </form>
                    </li>
                </ul>
            </nav>
            <div class="answer" id="answer">{answer}</div>
            <Outlet/>
        </div>
    }
    .into_any()
}

/// Who is signed in, asked once for a page however many parts of it want to know.
#[derive(Clone, Default)]
struct Known(Arc<OnceCell<Option<Shell>>>);

impl Known {
    fn show(self, show: impl FnOnce(Shell) -> AnyView + Send + 'static) -> AnyView {
        let made = Suspend::new(async move {
            let shell = self.0.get_or_init(|| async { api::now::shell().await.ok() }).await;
            shell.clone().map_or_else(nothing, show)
        });
        view! { <Suspense>{made}</Suspense> }.into_any()
    }
}

/// Something for those alone who may do `action` somewhere; the server asks again for each deed.
pub(crate) fn for_those_who_may(action: Action, show: fn() -> AnyView) -> AnyView {
    use_context::<Known>().map_or_else(nothing, |known| {
        known.show(move |shell| if shell.may.contains(&action) { show() } else { nothing() })
    })
}

/// Age of the data, and who is signed in.
fn corner(shell: &Shell) -> AnyView {
    let label = format!("Signed in as {}, {}", shell.name, shell.roles);
    view! {
        {freshness_badge(&shell.data)}
        <span class="who only-l" title=label>
            {icon("person")}<span class="vh">"Signed in: "</span>
            <span>{shell.name.clone()}</span><span class="dim">{shell.roles.clone()}</span>
        </span>
    }
    .into_any()
}

/// The navigation. Its counts are what waits, what is open, what moves; script keeps them.
fn links(shell: &Shell, path: &str) -> AnyView {
    let items = [
        ("/", "now", "Now", Some(("waiting", shell.waiting, Some("waiting")))),
        ("/plans", "plan", "Plans", Some(("plans", shell.plans, None))),
        ("/releases", "release", "Releases", Some(("moving", shell.moving, Some("progressing")))),
        ("/services", "services", "Services", None),
        ("/flags", "flag", "Flags", None),
        ("/policies", "shield", "Policies", None),
        ("/incidents", "incident", "Incidents", Some(("incidents", shell.incidents, Some("degraded")))),
        ("/audit", "audit", "Audit", None),
        ("/notifications", "admin", "Notifications", None),
    ];
    let items = items
        .into_iter()
        .map(|(href, icon_name, words, count)| {
            let here = if href == "/" { path == "/" } else { path.starts_with(href) };
            let count = count.map(|(name, n, s)| {
                view! { <span class="n" data-n=name data-s=s hidden=n == 0>{n}</span> }
            });
            let current = here.then_some("page");
            view! { <li><a href=href aria-current=current>{icon(icon_name)}{words}{count}</a></li> }
        })
        .collect_view();
    view! { <ul>{items}</ul> }.into_any()
}
