//! Changing a flag, and the change that waits for an approver.

use super::one::place_of;
use super::path_of;
use crate::components::common::{ago, difference_of, nothing, sect};
use crate::components::icon::icon;
use crate::components::post;
use crate::components::tone::{self, st};
use leptos::prelude::*;
use model::view::{FlagPage, FlagProposal, FlagState};

/// Above everything else: somebody is waiting.
pub(super) fn waiting(p: &FlagPage) -> AnyView {
    let Some(proposal) = &p.proposal else { return nothing() };
    let why = proposal.why.iter().map(|w| view! { <li class="wrap">{w.clone()}</li> }).collect_view();
    let reason = proposal.reason.as_ref().map(|r| view! { <p class="sm wrap">{format!("“{r}”")}</p> });
    let late = proposal.overtaken.then(|| {
        view! {
            <p class="note" data-s="degraded">{icon("warn")}
                <span>"The flag was changed since it was asked for: this cannot be applied any more. Withdraw it and ask anew."</span></p>
        }
    });
    let right = view! { <span class="sm ink2">{ago(p.age.now, proposal.at)}</span> }.into_any();
    let content = view! {
        <p class="mt">{st(tone::WAITING, "Waits for an approver")}" asked for by "<span class="wrap">{proposal.by.clone()}</span></p>
        {reason}
        <ul class="sm ink2" role="list">{why}</ul>
        {late}
        <div class="mt">{difference_of(format!("What would change in {}", p.flag.key), &proposal.diff)}</div>
        <div class="acts mt">{decide(p, proposal)}{withdraw(p, proposal)}</div>
    };
    sect("wait-h", "A change waits", right, content.into_any())
}

fn hidden(p: &FlagPage, proposal: &FlagProposal, decision: &'static str) -> Vec<(&'static str, String)> {
    let f = &p.flag;
    vec![
        ("id", proposal.id.to_string()),
        ("digest", proposal.digest.to_string()),
        ("decision", decision.to_owned()),
        ("page", path_of(&f.cluster, &f.namespace, &f.key)),
    ]
}

fn decide(p: &FlagPage, proposal: &FlagProposal) -> AnyView {
    if !proposal.decide.allowed {
        let why = proposal.decide.why_not.clone().unwrap_or_default();
        return view! { <p class="xs ink2">{format!("Approve: {why}")}</p> }.into_any();
    }
    const TO: &str = "/do/decide-flag-change";
    let yes = post::button("btn primary", "check", "Approve and apply".to_owned(), "Applying…", true);
    let no = post::button("btn", "x", "Reject".to_owned(), "Rejecting…", false);
    let approve = (!proposal.overtaken).then(|| post::form(TO, "", hidden(p, proposal, "approve"), yes));
    let reject = post::form(TO, "", hidden(p, proposal, "reject"), no);
    view! { {approve}{reject} }.into_any()
}

fn withdraw(p: &FlagPage, proposal: &FlagProposal) -> AnyView {
    if !proposal.withdraw.allowed {
        return nothing();
    }
    let button = post::button("btn quiet", "undo", "Withdraw it".to_owned(), "Withdrawing…", false);
    post::form("/do/decide-flag-change", "", hidden(p, proposal, "withdraw"), button)
}

/// The share at hand; everything else as lines.
pub(super) fn section(p: &FlagPage) -> AnyView {
    if p.flag.state == FlagState::Killed || p.proposal.is_some() {
        return nothing();
    }
    let content = if p.change.allowed {
        view! { {share(p)}{lines(p)} }.into_any()
    } else {
        let why = p.change.why_not.clone().unwrap_or_default();
        view! { <p class="sm ink2 mt">{why}</p> }.into_any()
    };
    sect("change-h", "Change it", nothing(), content)
}

fn with_seen(p: &FlagPage) -> Vec<(&'static str, String)> {
    let mut hidden = place_of(p);
    hidden.push(("seen", p.seen.clone()));
    hidden
}

fn reason(id: &'static str) -> AnyView {
    view! {
        <div class="field">
            <label for=id>"Reason (optional)"</label>
            <input class="in" id=id name="reason" maxlength="500" autocomplete="off"/>
        </div>
    }
    .into_any()
}

fn share(p: &FlagPage) -> AnyView {
    let last = if p.rules.len() > 1 { " of those that no rule above is for" } else { "" };
    let form = view! {
        <label class="check"><input type="checkbox" name="on" value="yes" checked=p.enabled/>"On"</label>
        <div class="field">
            <label for="share">{format!("Share of users, percent{last}")}</label>
            <input class="in" id="share" name="percentage" inputmode="decimal" required value=p.percentage.clone() autocomplete="off" aria-describedby="share-h"/>
            <span class="hint" id="share-h">"Raising it takes the flag from nobody. More users in production wait for an approver; fewer are done at once."</span>
        </div>
        {reason("share-why")}
        <div class="acts">{post::button("btn primary", "check", "Change it".to_owned(), "Changing…", true)}</div>
    };
    post::form("/do/change-flag", "stackf mt", with_seen(p), form.into_any())
}

fn lines(p: &FlagPage) -> AnyView {
    let rows = p.yaml.lines().count().clamp(4, 30).to_string();
    let form = view! {
        <div class="field">
            <label for="lines">"Its lines in flags.yaml"</label>
            <textarea class="in mono" id="lines" name="lines" rows=rows spellcheck="false" autocapitalize="none" autocomplete="off" aria-describedby="lines-h"
            >{p.yaml.clone()}</textarea>
            <span class="hint" id="lines-h">"Comments stay. Without any line the flag is removed."</span>
        </div>
        {reason("lines-why")}
        <div class="acts">{post::button("btn", "check", "Change its lines".to_owned(), "Changing…", true)}</div>
    };
    view! {
        <details class="sm mt">
            <summary>"Everything else: its lines"</summary>
            {post::form("/do/change-flag", "stackf mt", with_seen(p), form.into_any())}
        </details>
    }
    .into_any()
}
