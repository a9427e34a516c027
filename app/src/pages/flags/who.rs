//! Who gets it? A question in the address, answered on the page: it can be bookmarked, and needs no script.

use super::path_of;
use crate::Fault;
use crate::components::common::{fact_text, nothing, sect_in};
use crate::components::icon::icon;
use crate::components::post::refusal;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;
use model::view::{FlagAnswer, FlagPage, FlagQuestion, FlagStep};

/// A question and what came of it.
pub(crate) struct Tried {
    pub(crate) question: FlagQuestion,
    pub(crate) answer: Result<FlagAnswer, Fault>,
}

/// What somebody begins with.
const FIRST: &str = "{\"targetingKey\": \"user-1\"}";

/// The question that the address asks, if any.
pub(super) fn asked(q: &ParamsMap) -> Option<FlagQuestion> {
    let context = q.get("context").filter(|c| !c.trim().is_empty())?.replace("\r\n", "\n");
    let environment = q.get("environment").map(|e| e.trim().to_owned()).filter(|e| !e.is_empty());
    Some(FlagQuestion { context, environment })
}

pub(super) fn section(p: &FlagPage, tried: Option<&Tried>) -> AnyView {
    let f = &p.flag;
    let question = tried.map(|t| &t.question);
    let context = question.map_or_else(|| FIRST.to_owned(), |q| q.context.clone());
    let environment = match question {
        Some(q) => q.environment.clone(),
        None => f.environment.clone(),
    };
    let refused = tried.and_then(|t| t.answer.as_ref().err());
    let wrong = refused.and_then(|fault| fault.at("context")).map(str::to_owned);
    let invalid = wrong.as_ref().map(|_| "true");
    let described = if wrong.is_some() { "context-e" } else { "context-h" };
    let wrong_words =
        wrong.map(|w| view! { <span class="err" id="context-e" role="alert">{icon("warn")}{w}</span> });
    let other = refused.filter(|fault| fault.at("context").is_none()).map(refusal);
    let lines = context.lines().count().clamp(3, 12).to_string();
    let answer = tried.and_then(|t| t.answer.as_ref().ok()).map(shown);
    let action = format!("{}#test", path_of(&f.cluster, &f.namespace, &f.key));
    let content = view! {
        <form method="get" action=action class="stackf mt" id="test">
            <div class="field">
                <label for="context">"Who asks, as JSON"</label>
                <textarea class="in mono" id="context" name="context" rows=lines spellcheck="false" autocapitalize="none" autocomplete="off"
                    aria-invalid=invalid aria-describedby=described>{context}</textarea>
                {wrong_words}
                <span class="hint" id="context-h">"What your code sends: targetingKey says who, the rest is what conditions look at."</span>
            </div>
            <div class="row">
                <div class="field">
                    <label for="environment">"Environment"</label>
                    <input class="in fit" id="environment" name="environment" autocomplete="off" placeholder="not looked at" size="14" value=environment/>
                </div>
            </div>
            <div class="acts"><button class="btn" type="submit">{icon("person")}"Who gets it?"</button></div>
        </form>
        {other}
        {answer}
    };
    sect_in("sect verdict", "test-h", "Who gets it?", nothing(), content.into_any())
}

fn shown(a: &FlagAnswer) -> AnyView {
    let steps = a.steps.iter().enumerate().map(step).collect_view();
    let value = match &a.value {
        Some(value) => fact_text("Value", value.clone()),
        None => fact_text("Value", "what the code says itself"),
    };
    let variant = a.variant.clone().map(|v| fact_text("Variant", v));
    let error = a.error.clone().map(|e| fact_text("Error", e));
    view! {
        <p class="big mt wrap" role="status">{a.words.clone()}</p>
        <ol class="line short mt" role="list">{steps}</ol>
        <dl class="facts">{value}{variant}{fact_text("Reason", a.reason.clone())}{error}</dl>
        <p class="xs ink2">"The same code answers services."</p>
    }
    .into_any()
}

fn step((i, s): (usize, &FlagStep)) -> AnyView {
    let (tone, sign, said) =
        if s.passed { (Some("healthy"), "check", "Passed: ") } else { (None, "x", "Not passed: ") };
    let words = (!s.words.is_empty()).then(|| view! { <p class="wrap">{s.words.clone()}</p> });
    view! {
        <li data-s=tone>
            <span class="xs dim">{i + 1}</span>{icon(sign)}
            <div><b class="wrap"><span class="vh">{said}</span>{s.title.clone()}</b>{words}</div>
        </li>
    }
    .into_any()
}
