//! `/notifications/new`, `/notifications/3`: the form of a destination. A plain form, never sent by script: what is wrong
//! comes back at its field, and the rest as it was filled in. A secret never does.

use super::kind_words;
use crate::Fault;
use crate::api::notifications::{self as api, draft};
use crate::api::refused_at;
use crate::components::common::{nothing, sect};
use crate::components::icon::icon;
use crate::components::load;
use crate::components::post;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;
use model::policy::Channel;
use model::view::{DestinationDraft, DestinationPage};

pub(crate) fn new_page() -> AnyView {
    let (asked, refused) = came("/do/add-destination");
    let kind = asked.as_ref().map_or_else(|| crate::pages::query("kind"), |d| d.kind.clone());
    let read = api::destination(None, kind);
    load::page(read, move |mut p: DestinationPage| {
        p.draft = asked.unwrap_or(p.draft);
        view(&p, refused.as_ref())
    })
}

pub(crate) fn change_page() -> AnyView {
    let (asked, refused) = came("/do/change-destination");
    let read = api::destination(Some(crate::pages::number("id")), String::new());
    load::page(read, move |mut p: DestinationPage| {
        let kind = p.draft.kind.clone();
        p.draft = asked.map_or(p.draft, |d| DestinationDraft { kind, ..d });
        view(&p, refused.as_ref())
    })
}

/// What the address brings back of a form that was refused.
fn came(deed: &str) -> (Option<DestinationDraft>, Option<Fault>) {
    (draft::read(&use_location().search.get_untracked()), refused_at(deed))
}

const KINDS: [(Channel, &str); 4] = [
    (Channel::Slack, "slack"),
    (Channel::Pagerduty, "pagerduty"),
    (Channel::Email, "email"),
    (Channel::Webhook, "webhook"),
];

pub(in crate::pages) fn view(p: &DestinationPage, refused: Option<&Fault>) -> AnyView {
    let kind = KINDS.into_iter().find(|(_, key)| *key == p.draft.kind).map_or(Channel::Slack, |(k, _)| k);
    let form = Form { p, refused, kind };
    let title = match &p.destination {
        Some(d) => format!("Change {}", d.name),
        None => "Add a destination".to_owned(),
    };
    let action = if p.destination.is_some() { "/do/change-destination" } else { "/do/add-destination" };
    let id = p.destination.as_ref().map(|d| view! { <input type="hidden" name="id" value=d.id/> });
    let tabs = p.destination.is_none().then(|| {
        let links = KINDS.into_iter().map(|(k, key)| {
            let current = (k == kind).then_some("page");
            view! { <a href=format!("/notifications/new?kind={key}") aria-current=current>{kind_words(k)}</a> }
        });
        view! { <nav class="tabs" aria-label="Kinds">{links.collect_view()}</nav> }
    });
    let save = if p.destination.is_some() { "Save" } else { "Add it" };
    view! {
        <Title text=title.clone()/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div><h1>{title}</h1><p class="meta"><span>{kind_words(kind)}</span><span>{about(kind)}</span></p></div>
            </div>
            {tabs}
            <form class="draft-form" method="post" action=action autocomplete="off">
                {id}
                <input type="hidden" name="draft[kind]" value=key(kind)/>
                {sect("w-h", "Who is told", nothing(), form.who())}
                {form.place()}
                {form.secret()}
                <div class="acts mt">
                    <button class="btn primary" type="submit">{icon("check")}{save}</button>
                    <a class="btn" href="/notifications">"Leave it"</a>
                </div>
            </form>
            {p.destination.as_ref().map(|d| remove(d.id, &d.name))}
        </main>
    }
    .into_any()
}

fn key(kind: Channel) -> &'static str {
    KINDS.into_iter().find(|(k, _)| *k == kind).map_or("slack", |(_, key)| key)
}

fn about(kind: Channel) -> &'static str {
    match kind {
        Channel::Slack => "an incoming webhook posts to one channel",
        Channel::Pagerduty => "an incident opens when something fires and closes when it is over",
        Channel::Email => "one mail to all recipients",
        Channel::Webhook => "signed JSON, as Standard Webhooks has it",
    }
}

fn remove(id: i64, name: &str) -> AnyView {
    let button = post::button("btn stop", "trash", format!("Remove {name}"), "Removing…", false);
    let content = view! {
        <p class="sm ink2 mt">"Nothing is told there any more, and its secret is forgotten. What was told stays in the log."</p>
        <div class="acts mt">{post::form("/do/remove-destination", "", vec![("id", id.to_string())], button)}</div>
    };
    sect("r-h", "Remove", nothing(), content.into_any())
}

struct Form<'a> {
    p: &'a DestinationPage,
    refused: Option<&'a Fault>,
    kind: Channel,
}

/// How a field is filled in.
#[derive(Clone, Copy, Default)]
struct How {
    list: Option<&'static str>,
    mode: Option<&'static str>,
    placeholder: Option<&'static str>,
    hint: Option<&'static str>,
    secret: bool,
}

impl Form<'_> {
    fn field(&self, name: &'static str, label: &'static str, value: &str, how: How) -> AnyView {
        let id = format!("f-{name}");
        let wrong = self.refused.and_then(|f| f.at(name)).map(str::to_owned);
        let (error_id, hint_id) = (format!("{id}-e"), format!("{id}-h"));
        let described: Vec<_> = [(how.hint.is_some(), &hint_id), (wrong.is_some(), &error_id)]
            .into_iter()
            .filter_map(|(is, id)| is.then_some(id.as_str()))
            .collect();
        let described = Some(described.join(" ")).filter(|d| !d.is_empty());
        let invalid = wrong.is_some().then_some("true");
        let hint = how.hint.map(|h| view! { <span class="hint" id=hint_id.clone()>{h}</span> });
        let error = wrong.map(|w| view! { <span class="err" id=error_id.clone()>{icon("warn")}{w}</span> });
        let kind = if how.secret { "password" } else { "text" };
        // A browser's password store has nothing for this.
        let complete = if how.secret { "new-password" } else { "off" };
        view! {
            <div class="field">
                <label for=id.clone()>{label}</label>
                <input
                    class="in" id=id name=format!("draft[{name}]") type=kind value=value.to_owned() list=how.list
                    inputmode=how.mode placeholder=how.placeholder autocomplete=complete autocapitalize="none"
                    spellcheck="false" maxlength="4000" aria-invalid=invalid aria-describedby=described
                />
                {hint}{error}
            </div>
        }
        .into_any()
    }

    fn who(&self) -> AnyView {
        let d = &self.p.draft;
        let options =
            self.p.environments.iter().map(|e| view! { <option value=e.clone()></option> }).collect_view();
        view! {
            <div class="pair mt">
                {self.field("name", "Name, as the log shows it", &d.name,
                    How { placeholder: Some("On-call"), ..How::default() })}
                {self.field("environment", "Environment", &d.environment,
                    How { list: Some("environments"), hint: Some("Empty: whatever happens anywhere."), ..How::default() })}
            </div>
            <datalist id="environments">{options}</datalist>
        }
        .into_any()
    }

    /// Where it leads, for kinds whose address is not the secret.
    fn place(&self) -> AnyView {
        let d = &self.p.draft;
        let content = match self.kind {
            Channel::Slack => return nothing(),
            Channel::Pagerduty => view! {
                <div class="pair mt">
                    {self.field("endpoint", "Server", &d.endpoint, How {
                        placeholder: Some("https://events.pagerduty.com"),
                        hint: Some("Empty: the usual one. In Europe: https://events.eu.pagerduty.com"),
                        ..How::default()
                    })}
                </div>
            }
            .into_any(),
            Channel::Webhook => view! {
                <div class="mt">
                    {self.field("url", "Address", &d.url, How {
                        placeholder: Some("https://example.com/hook"), mode: Some("url"),
                        hint: Some("HTTPS. A redirect is not followed."), ..How::default()
                    })}
                </div>
            }
            .into_any(),
            Channel::Email => view! {
                <div class="trio mt">
                    {self.field("host", "Mail server", &d.host,
                        How { placeholder: Some("smtp.example.com"), ..How::default() })}
                    {self.security()}
                    {self.field("port", "Port", &d.port, How {
                        placeholder: Some("587"), mode: Some("numeric"), hint: Some("Empty: the usual one."),
                        ..How::default()
                    })}
                    {self.field("user", "User", &d.user,
                        How { hint: Some("Empty: the server asks for none."), ..How::default() })}
                </div>
                <div class="pair mt">
                    {self.field("from", "From", &d.from,
                        How { placeholder: Some("Tidegate <tidegate@example.com>"), ..How::default() })}
                    {self.field("to", "To", &d.to, How {
                        placeholder: Some("oncall@example.com, ops@example.com"), hint: Some("Several with commas."),
                        ..How::default()
                    })}
                </div>
            }
            .into_any(),
        };
        sect("p-h", "Where", nothing(), content)
    }

    fn security(&self) -> AnyView {
        let now = if self.p.draft.security.is_empty() { "starttls" } else { self.p.draft.security.as_str() };
        let all = [
            ("starttls", "STARTTLS, required"),
            ("tls", "TLS from the first byte"),
            ("none", "In clear, without a password"),
        ];
        let options = all
            .into_iter()
            .map(|(key, words)| view! { <option value=key selected=key == now>{words}</option> })
            .collect_view();
        let wrong = self.refused.and_then(|f| f.at("security")).map(str::to_owned);
        let described = wrong.is_some().then_some("f-security-e");
        let invalid = wrong.is_some().then_some("true");
        let error = wrong.map(|w| view! { <span class="err" id="f-security-e">{icon("warn")}{w}</span> });
        view! {
            <div class="field">
                <label for="f-security">"Encryption"</label>
                <select class="in" id="f-security" name="draft[security]" aria-invalid=invalid aria-describedby=described>
                    {options}
                </select>
                {error}
            </div>
        }
        .into_any()
    }

    fn secret(&self) -> AnyView {
        let d = &self.p.draft;
        let sealed = self.p.destination.as_ref().is_some_and(|d| d.secret.sealed);
        let now = match d.secret_from.as_str() {
            "" if !self.p.sealing => "variable",
            "" => "value",
            chosen => chosen,
        };
        let choice = |key: &'static str, words: &'static str| {
            view! {
                <label class="check">
                    <input type="radio" name="draft[secret_from]" value=key checked=key == now/>{words}
                </label>
            }
        };
        let keep = sealed.then(|| choice("keep", "Keep the one that is there"));
        let value =
            self.p.sealing.then(|| choice("value", "Enter it here; it is encrypted and never shown again"));
        let unsealed = (!self.p.sealing).then(|| {
            view! { <p class="sm ink2">"To enter it here, set TIDEGATE_SECRET_KEY: Tidegate has no key to encrypt it with."</p> }
        });
        let (label, hint, placeholder) = match self.kind {
            Channel::Slack => {
                ("Address of the incoming webhook", None, Some("https://hooks.slack.com/services/…"))
            }
            Channel::Pagerduty => (
                "Routing key",
                Some("32 letters and digits, at the service's Events API v2 integration."),
                None,
            ),
            Channel::Email => ("Password", Some("Needed where there is a user."), None),
            Channel::Webhook => {
                ("Signing key", Some("Make one: echo whsec_$(openssl rand -base64 32)"), Some("whsec_…"))
            }
        };
        let wrong = self.refused.and_then(|f| f.at("secret_from")).map(str::to_owned);
        let error = wrong.map(|w| view! { <span class="err">{icon("warn")}{w}</span> });
        let entered = self.p.sealing.then(|| {
            self.field("secret", label, "", How { secret: true, hint, placeholder, ..How::default() })
        });
        let example = match self.kind {
            Channel::Slack => "TIDEGATE_SLACK_OPS",
            Channel::Pagerduty => "TIDEGATE_PAGER_KEY",
            Channel::Email => "TIDEGATE_MAIL_PASSWORD",
            Channel::Webhook => "TIDEGATE_HOOK_KEY",
        };
        let title = match self.kind {
            Channel::Slack => "Its address, a secret",
            Channel::Pagerduty => "Its routing key, a secret",
            Channel::Email => "Its password, a secret",
            Channel::Webhook => "Its signing key, a secret",
        };
        let content = view! {
            <fieldset class="mt">
                <legend class="vh">{title}</legend>
                {keep}{value}{choice("variable", "Read it from a variable of Tidegate's environment")}
                {error}
            </fieldset>
            {unsealed}
            <div class="pair mt">
                {entered}
                {self.field("variable", "Variable", &d.variable, How {
                    placeholder: Some(example), hint: Some("Begins with TIDEGATE_"), ..How::default()
                })}
            </div>
        };
        sect("s-h", title, nothing(), content.into_any())
    }
}
