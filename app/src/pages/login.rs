//! `/login`. A plain form, never sent by script: signing in loads the page anew.

use crate::api::refused_at;
use crate::api::session::{self, Entrance};
use crate::components::icon::icon;
use crate::components::load;
use crate::components::post::refusal;
use leptos::prelude::*;
use leptos_meta::Title;

pub(crate) fn page() -> AnyView {
    let next = super::query("next");
    let refused = refused_at("/do/sign-in");
    load::page(session::entrance(), move |e| form(&e, &next, refused.as_ref()))
}

fn form(e: &Entrance, next: &str, refused: Option<&crate::Fault>) -> AnyView {
    let wrong = refused.is_some_and(|f| f.status == 401);
    let why = refused.map(refusal);
    let first_run = e.empty.then(|| {
        view! {
            <p class="note box mt" data-s="waiting">
                {icon("info")}
                <span>"Nobody has an account yet. "<a href="/setup">"Make the first administrator"</a>"."</span>
            </p>
        }
    });
    let already = e.name.clone().map(|name| {
        view! { <p class="sm ink2 mt">"Signed in as "{name}". "<a href="/">"Go on"</a></p> }
    });
    view! {
        <Title text="Sign in"/>
        <main class="plain narrow" id="main">
            <p><a class="brand" href="/">{icon("gate")}"Tidegate"</a></p>
            <h1 class="mt">"Sign in"</h1>
            <p class="sm ink2">"Releases without downtime, and back again in one press."</p>
            {already}
            {first_run}
            {why}
            <form class="stackf mt" method="post" action="/do/sign-in">
                <input type="hidden" name="next" value=next.to_owned()/>
                <div class="field">
                    <label for="email">"E-mail"</label>
                    <input
                        class="in" id="email" name="email" type="email" autocomplete="username"
                        autocapitalize="none" spellcheck="false" required maxlength="254"
                    />
                </div>
                <div class="field">
                    <label for="password">"Password"</label>
                    <input
                        class="in" id="password" name="password" type="password" autocomplete="current-password"
                        required maxlength="1000" aria-invalid=wrong.then_some("true")
                    />
                </div>
                <button class="btn primary big" type="submit">{icon("key")}"Sign in"</button>
            </form>
            {(!e.demo.is_empty()).then(|| demo(e, next))}
            <footer class="meta mt"><a href="/status">"Public status page"</a></footer>
        </main>
    }
    .into_any()
}

/// One press for each role, in a demo.
fn demo(e: &Entrance, next: &str) -> AnyView {
    let password = e.demo.first().map(|a| a.password.clone()).unwrap_or_default();
    let rows = e
        .demo
        .iter()
        .map(|a| {
            view! {
                <li>
                    <div><div class="t"><b class="sm">{a.role.clone()}</b></div><p>{a.email.clone()}</p></div>
                    <form method="post" action="/do/sign-in">
                        <input type="hidden" name="next" value=next.to_owned()/>
                        <input type="hidden" name="email" value=a.email.clone()/>
                        <input type="hidden" name="password" value=a.password.clone()/>
                        <button class="btn small" type="submit" aria-label=format!("Sign in as {}", a.role)>
                            "Sign in"
                        </button>
                    </form>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="sect" aria-labelledby="demo-h">
            <header><h2 id="demo-h">"Demo accounts"</h2></header>
            <p class="sm ink2 mt">"This is a demo: everyone may come in as any role. Password of all: "<code>{password}</code></p>
            <ul class="rows" role="list">{rows}</ul>
        </section>
    }
    .into_any()
}
