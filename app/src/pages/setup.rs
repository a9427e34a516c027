//! `/setup`: the first administrator, once.

use crate::Fault;
use crate::api::refused_at;
use crate::api::session::{self, Entrance};
use crate::components::icon::icon;
use crate::components::load;
use crate::components::post::refusal;
use leptos::prelude::*;
use leptos_meta::Title;

pub(crate) fn page() -> AnyView {
    let refused = refused_at("/do/set-up");
    load::page(session::entrance(), move |e: Entrance| if e.empty { form(refused.as_ref()) } else { gone() })
}

fn gone() -> AnyView {
    crate::api::door::status(410);
    view! {
        <Title text="Set-up is done"/>
        <main class="plain" id="main">
            <p><a class="brand" href="/">{icon("gate")}"Tidegate"</a></p>
            <p class="mt"><span class="badge" data-s="unknown">{icon("lock")}"410, gone for good"</span></p>
            <h1 class="mt">"Set-up is done"</h1>
            <p class="ink2 mt">
                "Somebody has an account. To get one, ask an administrator, or run "
                <code>"tidegate person add"</code>" on the server."
            </p>
            <div class="acts mt"><a class="btn primary" href="/login">"Sign in"</a></div>
        </main>
    }
    .into_any()
}

fn form(refused: Option<&Fault>) -> AnyView {
    let summary = refused.map(refusal);
    let wrong = |field: &str| refused.and_then(|f| f.at(field)).map(str::to_owned);
    view! {
        <Title text="Set up"/>
        <main class="plain" id="main">
            <p><span class="brand">{icon("gate")}"Tidegate"</span></p>
            <h1 class="mt">"Set up: the first administrator"</h1>
            <p class="ink2 mt">
                "Nobody has an account yet, so whoever fills this in first administers Tidegate. Nothing on your "
                "cluster changes until someone starts a release."
            </p>
            {summary}
            <form class="stackf mt" method="post" action="/do/set-up">
                {field("name", "Your name, as others see it", "text", "name", wrong("name"))}
                {field("email", "E-mail", "email", "username", wrong("email"))}
                {field("password", "Password, at least 10 characters", "password", "new-password", wrong("password"))}
                <div class="acts">
                    <button class="btn primary big" type="submit">{icon("key")}"Make the account"</button>
                </div>
            </form>
            <section class="sect" aria-labelledby="next-h">
                <header><h2 id="next-h">"Then"</h2></header>
                <ol class="seq mt" role="list">
                    <li>"Add a release manager and an approver: "<code>"tidegate person add"</code>
                        ". You cannot approve your own plans, an administrator neither."</li>
                    <li>"The release manager writes a plan for one of your services."</li>
                    <li>"The approver approves exactly that plan, and the release may start."</li>
                </ol>
            </section>
        </main>
    }
    .into_any()
}

fn field(
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    wrong: Option<String>,
) -> AnyView {
    let id = format!("f-{name}");
    let error_id = format!("{id}-e");
    let invalid = wrong.is_some().then_some("true");
    let error = wrong.map(|w| view! { <span class="err" id=error_id.clone()>{icon("warn")}{w}</span> });
    let described = error.is_some().then(|| format!("f-{name}-e"));
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                class="in" id=id name=name type=kind autocomplete=autocomplete required maxlength="1000"
                aria-invalid=invalid aria-describedby=described
            />
            {error}
        </div>
    }
    .into_any()
}
