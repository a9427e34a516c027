//! The frame around every page of somebody who is signed in: top bar, navigation, the page.

use super::age::freshness_badge;
use super::common::nothing;
use super::icon::icon;
use super::tone;
use crate::api;
use crate::components::load::{Read, read};
use crate::live::Live;
use leptos::prelude::*;
use leptos_router::components::Outlet;
use leptos_router::hooks::use_location;
use model::Action;
use model::view::Shell;

/// Top bar and navigation, and the page in its place.
pub(crate) fn frame() -> AnyView {
    let live = Live::get();
    live.frame();
    let shell = read(|| (), |()| api::now::shell());
    provide_context(Known(shell));
    let top =
        move || Suspend::new(async move { shell.await.map_or_else(|_| nothing(), |shell| corner(&shell)) });
    let nav = move || {
        Suspend::new(async move {
            let shell = shell.await.ok();
            // Live counts once there are any, else those that came with the page.
            (move || links(live.shell().as_ref().or(shell.as_ref()))).into_any()
        })
    };
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
                <Transition fallback=nothing>{top}</Transition>
            </header>
            <nav class="side" id="nav" popover aria-label="Main">
                <Transition fallback=move || links(None)>{nav}</Transition>
                <ul class="foot">
                    <li><a href="/status">{icon("status")}"Public status"</a></li>
                    <li>
                        <form method="post" action="/do/sign-out">
                            <button type="submit">{icon("person")}"Sign out"</button>
                        </form>
                    </li>
                </ul>
            </nav>
            <Outlet/>
        </div>
    }
    .into_any()
}

/// Who is signed in, for pages that show a deed only to those who may.
#[derive(Clone, Copy)]
struct Known(Read<Shell>);

/// Something for those alone who may do `action` somewhere; the server asks again for each deed.
pub(crate) fn for_those_who_may(action: Action, show: fn() -> AnyView) -> AnyView {
    let Some(Known(shell)) = use_context() else { return nothing() };
    let made = move || {
        Suspend::new(async move {
            let may = shell.await.is_ok_and(|s| s.may.contains(&action));
            if may { show() } else { nothing() }
        })
    };
    view! { <Transition fallback=nothing>{made}</Transition> }.into_any()
}

/// Age of the data, and who is signed in.
fn corner(shell: &Shell) -> AnyView {
    let label = format!("Signed in as {}, {}", shell.name, shell.roles);
    view! {
        {freshness_badge(shell.data.clone())}
        <span class="who only-l" title=label.clone()>
            {icon("person")}<span class="vh">"Signed in: "</span>
            <span>{shell.name.clone()}</span><span class="dim">{shell.roles.clone()}</span>
        </span>
    }
    .into_any()
}

/// The navigation. Its counts are what waits, what is open, what moves.
fn links(shell: Option<&Shell>) -> AnyView {
    let n = |pick: fn(&Shell) -> u32, s: Option<&'static str>| {
        let n = shell.map_or(0, pick);
        if n == 0 { nothing() } else { tone::count(usize::try_from(n).unwrap_or(0), s) }
    };
    let items = [
        ("/", "now", "Now", n(|s| s.waiting, Some("waiting"))),
        ("/plans", "plan", "Plans", n(|s| s.plans, None)),
        ("/releases", "release", "Releases", n(|s| s.moving, Some("progressing"))),
        ("/services", "services", "Services", nothing()),
        ("/audit", "audit", "Audit", nothing()),
    ];
    let here = use_location().pathname;
    let items = items.map(|(href, icon_name, words, count)| {
        let current = move || {
            let path = here.get();
            let is = if href == "/" { path == "/" } else { path.starts_with(href) };
            is.then_some("page")
        };
        view! { <li><a href=href aria-current=current>{icon(icon_name)}{words}{count}</a></li> }.into_any()
    });
    view! { <ul>{items.into_iter().collect_view()}</ul> }.into_any()
}
