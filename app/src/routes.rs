//! The app: which page is at which address.

use crate::components::frame::frame;
use crate::pages::{
    audit, editor, errors, flags, incident, incidents, login, notifications, now, plan, plans, policies,
    release, releases, rollback,
};
use crate::pages::{service, services, setup, status};
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::SsrMode;
use leptos_router::components::{ParentRoute, Route, Router, Routes};
use leptos_router::path;

/// Every page. All are rendered whole on the server before the first byte: status and title depend on their data,
/// and they must be complete without script.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let suffix =
        |title: String| if title.is_empty() { "Tidegate".into() } else { format!("{title} · Tidegate") };
    let not_found = || errors::not_found();
    view! {
        <Title formatter=suffix/>
        <Router>
            <Routes fallback=not_found>
                <Route path=path!("/login") view=login::page ssr=SsrMode::Async/>
                <Route path=path!("/setup") view=setup::page ssr=SsrMode::Async/>
                <Route path=path!("/status") view=status::page ssr=SsrMode::Async/>
                <ParentRoute path=path!("") view=frame ssr=SsrMode::Async>
                    <Route path=path!("/") view=now::page/>
                    <Route path=path!("/services") view=services::page/>
                    <Route path=path!("/services/:cluster/:namespace/:kind/:name") view=service::page/>
                    <Route path=path!("/services/:cluster/:namespace/:kind/:name/compare") view=service::compare::page/>
                    <Route
                        path=path!("/services/:cluster/:namespace/:kind/:name/rollback")
                        view=rollback::of_workload_page
                    />
                    <Route path=path!("/plans") view=plans::page/>
                    <Route path=path!("/plans/new") view=editor::new_plan/>
                    <Route path=path!("/plans/:id") view=plan::page/>
                    <Route path=path!("/plans/:id/edit") view=editor::edit_plan/>
                    <Route path=path!("/releases") view=releases::page/>
                    <Route path=path!("/releases/:id") view=release::page/>
                    <Route path=path!("/releases/:id/rollback") view=rollback::of_release_page/>
                    <Route path=path!("/flags") view=flags::page/>
                    <Route path=path!("/flags/keys/new") view=flags::keys::new_page/>
                    <Route path=path!("/flags/:cluster/:namespace/:key") view=flags::one::page/>
                    <Route path=path!("/policies") view=policies::page/>
                    <Route path=path!("/policies/edit") view=policies::edit/>
                    <Route path=path!("/incidents") view=incidents::page/>
                    <Route path=path!("/incidents/new") view=incidents::new_page/>
                    <Route path=path!("/incidents/:id") view=incident::page/>
                    <Route path=path!("/notifications") view=notifications::page/>
                    <Route path=path!("/notifications/new") view=notifications::form::new_page/>
                    <Route path=path!("/notifications/:id") view=notifications::form::change_page/>
                    <Route path=path!("/audit") view=audit::page/>
                </ParentRoute>
            </Routes>
        </Router>
    }
}
