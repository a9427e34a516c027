//! `/plans/{id}`: what will be different, by which steps, who approved exactly this.

mod rehearsal;

use crate::api;
use crate::components::common::{
    ago, at, difference_of, empty, fact, fact_text, note, nothing, scroll, sect,
};
use crate::components::gate::{steps, tide};
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::post;
use crate::components::rows;
use crate::components::tone::{self, Tone, approval_words, badge, st};
use crate::pages::plans::state_words;
use crate::pages::release::reference;
use crate::when;
use leptos::prelude::*;
use leptos_meta::Title;
use model::plan::{Gate, Plan, Template};
use model::view::{
    ApprovalState, ApprovalView, Deed, GateState, GateView, PlanPage, PlanState, StepState, StepView,
};

pub(crate) fn page() -> AnyView {
    let id = super::number("id");
    load::page(async move { api::plans::plan(id).await }, move |p| {
        followed(&format!("plan:{id},releases"), view(&p))
    })
}

pub(super) fn view(p: &PlanPage) -> AnyView {
    let meta = &p.plan.metadata;
    let required = p.plan.spec.approvals.required;
    let words = state_words(p.state, p.valid_approvals, required);
    let title = format!("{}, {}", meta.name, words.to_lowercase());
    let headline = format!("{} to {}", meta.service, p.plan.version());
    view! {
        <Title text=title/>
        <main class="main has-bar" id="main" tabindex="-1">
            <div class="head stick">
                <div>
                    <h1>{meta.name.clone()}" "{badge(Tone::from(p.state), words)}</h1>
                    <p class="meta">
                        <span>{headline}", "{meta.environment.clone()}</span>
                        <span>"version "{p.version}</span>
                        <span class="mono" title=p.digest.to_string()>"sha256:"{p.digest.short()}</span>
                    </p>
                </div>
                <div class="acts only-l">{edit(p)}{start(p)}{approve_button(p)}</div>
            </div>
            {reasons(p)}
            {warnings(p)}
            <div class="cols two">
                <div>{picture(p)}{difference(p)}{releases(p)}</div>
                <div>{approvals(p)}{rehearsal::section(p)}{contents(p)}{versions(p)}</div>
            </div>
        </main>
        {p.approve.allowed.then(|| approve_panel(p))}
        {bar(p)}
    }
    .into_any()
}

fn edit(p: &PlanPage) -> AnyView {
    if p.edit.allowed {
        return view! { <a class="btn" href=format!("/plans/{}/edit", p.id)>{icon("plan")}"Edit"</a> }
            .into_any();
    }
    disabled("plan", "Edit")
}

fn disabled(icon_name: &'static str, words: &'static str) -> AnyView {
    view! {
        <button class="btn" type="button" aria-disabled="true" aria-describedby="why-not">{icon(icon_name)}{words}</button>
    }
    .into_any()
}

fn start(p: &PlanPage) -> AnyView {
    if p.state == PlanState::Releasing {
        let open = p.releases.iter().find(|r| !r.state.ended());
        return open.map_or_else(nothing, |r| {
            view! { <a class="btn primary" href=format!("/releases/{}", r.id)>{icon("release")}"Open release"</a> }
                .into_any()
        });
    }
    if !p.start.allowed {
        return disabled("play", "Start release");
    }
    let class = if p.approve.allowed { "btn" } else { "btn primary" };
    let button = post::button(class, "play", "Start release".into(), "Starting…", true);
    post::form("/do/start", "", vec![("plan", p.id.to_string()), ("digest", p.digest.to_string())], button)
}

fn approve_button(p: &PlanPage) -> AnyView {
    if !p.approve.allowed {
        return if p.state == PlanState::Open { disabled("check", "Approve this digest") } else { nothing() };
    }
    view! {
        <button class="btn primary" type="button" popovertarget="approve">{icon("check")}"Approve this digest"</button>
    }
    .into_any()
}

/// Why the deeds that are shown cannot be done.
fn reasons(p: &PlanPage) -> AnyView {
    let open = p.state == PlanState::Open;
    let list: Vec<(&str, &Deed, bool)> = vec![
        ("Edit", &p.edit, true),
        ("Start release", &p.start, p.state != PlanState::Releasing),
        ("Approve", &p.approve, open),
    ];
    let list = list
        .into_iter()
        .filter(|(_, deed, shown)| *shown && !deed.allowed)
        .filter_map(|(label, deed, _)| deed.why_not.clone().map(|why| (label.to_owned(), why)))
        .map(|(label, why)| view! { <span><b>{label}</b>": "{why}" "</span> })
        .collect_view();
    view! { <p class="why xs ink2" id="why-not">{list}</p> }.into_any()
}

fn warnings(p: &PlanPage) -> AnyView {
    p.warnings
        .iter()
        .map(|w| view! { <div class="mt">{note(tone::WAITING, w.field.clone(), w.message.clone())}</div> })
        .collect_view()
        .into_any()
}

/// A plan's steps as the gate shows them before anything has begun.
pub(crate) fn planned(plan: &Plan) -> Vec<StepView> {
    let list = plan.steps().iter().enumerate();
    list.map(|(i, s)| {
        let mut gates: Vec<_> = s
            .gates
            .iter()
            .map(|g| {
                let (kind, name, figure) = match g {
                    Gate::Analysis => ("analysis", "Analysis".to_owned(), String::new()),
                    Gate::Approval(role) => ("approval", format!("Approval, {role}"), "1".to_owned()),
                };
                GateView { kind: kind.into(), name, state: GateState::Closed, figure, note: None }
            })
            .collect();
        gates.extend(plan.templates_at(i).into_iter().map(|t| GateView {
            kind: "analysis".into(),
            name: format!("Template {}", t.name),
            state: GateState::Closed,
            figure: String::new(),
            note: None,
        }));
        if s.bake.seconds() > 0 {
            gates.push(GateView {
                kind: "bake".into(),
                name: "Bake".into(),
                state: GateState::Closed,
                figure: s.bake.clock(),
                note: None,
            });
        }
        gates.extend(plan.asks(i).into_iter().map(|(name, figure)| GateView {
            kind: "steps".into(),
            name: name.into(),
            state: GateState::Closed,
            figure,
            note: None,
        }));
        StepView {
            weight: s.weight,
            name: plan.step_title(i),
            state: StepState::Closed,
            words: String::new(),
            gates,
        }
    })
    .collect()
}

fn picture(p: &PlanPage) -> AnyView {
    let list = planned(&p.plan);
    let least = format!("{} at the least, without waiting for people", when::span(p.least.delta()));
    let right = view! { <span class="sm ink2">{least}</span> }.into_any();
    let content = view! {
        <div class="gate">{tide(0, 0, &list, None, None)}{steps(&list, None, None)}</div>
    };
    sect("s-h", "Steps", right, content.into_any())
}

fn difference(p: &PlanPage) -> AnyView {
    if p.version < 2 || p.diff.is_empty() {
        let words = format!("The document, version {}", p.version);
        let content = view! {
            <details class="sm mt"><summary>{words}</summary><pre class="yaml" tabindex="0"><code>{p.yaml.clone()}</code></pre></details>
        };
        return sect("d-h", "Document", nothing(), content.into_any());
    }
    let from = format!("from version {} to version {}", p.version - 1, p.version);
    let right = view! { <span class="sm ink2">{from.clone()}</span> }.into_any();
    let label = format!("Difference {from}");
    let content = view! {
        {difference_of(label, &p.diff)}
        <details class="sm mt"><summary>"The whole document"</summary><pre class="yaml" tabindex="0"><code>{p.yaml.clone()}</code></pre></details>
    };
    sect("d-h", "Difference", right, content.into_any())
}

fn releases(p: &PlanPage) -> AnyView {
    if p.releases.is_empty() {
        return nothing();
    }
    let table = rows::table("Releases of this plan, newest first", p.age.now, &p.releases);
    sect("r-h", "Releases", nothing(), scroll("Releases of this plan, table", table))
}

fn approvals(p: &PlanPage) -> AnyView {
    let required = p.plan.spec.approvals.required;
    let right =
        view! { <span class="sm"><b>{format!("{} of {required}", p.valid_approvals)}</b></span> }.into_any();
    let rows = p.approvals.iter().map(|a| approval(p, a)).collect_view();
    let list = if p.approvals.is_empty() {
        empty(
            "check",
            "Nobody has answered yet".into(),
            format!(
                "{} needed. Whoever wrote any version of it cannot approve it.",
                when::count(required as usize, "approval is", "approvals are")
            ),
            nothing(),
        )
    } else {
        view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
    };
    let who = p.approve.allowed.then(|| {
        view! { <p class="sm ink2 mt">"You may approve: it holds for exactly this digest."</p> }
    });
    let take_back = p.revoke.clone().filter(|d| d.allowed).map(|_| {
        let form = view! {
            <div class="field">
                <label for="revoke-why">"Reason (optional)"</label>
                <input class="in" id="revoke-why" name="reason" maxlength="500" autocomplete="off"/>
            </div>
            {post::button("btn stop", "x", "Revoke my approval".into(), "Revoking…", false)}
        };
        let hidden = vec![("plan", p.id.to_string())];
        view! {
            <details class="sm mt"><summary>"Revoke my approval"</summary>
                <p class="ink2">"A release under way then stops before its next step."</p>
                {post::form("/do/revoke", "stackf mt", hidden, form.into_any())}
            </details>
        }
    });
    let content = view! { {list}{who}{take_back} };
    sect("a-h", "Approvals", right, content.into_any())
}

fn approval(p: &PlanPage, a: &ApprovalView) -> AnyView {
    let base = p.age.now;
    let words = format!("{} {}", approval_words(a.state), when::near(base, a.at));
    let more = match a.state {
        ApprovalState::Approved => {
            format!("Digest {}. Expires {}.", a.digest.short(), when::near(base, a.expires))
        }
        ApprovalState::Void => format!("For version {}: the plan was edited since.", a.version),
        ApprovalState::Expired => format!("Expired {}.", when::near(base, a.expires)),
        ApprovalState::Rejected | ApprovalState::Revoked => format!("Version {}.", a.version),
    };
    let comment = a.comment.clone().filter(|c| !c.is_empty()).map(|c| view! { " “"{c}"”" });
    view! {
        <li>
            <div>
                <div class="t"><b class="sm">{a.name.clone()}</b>{st(Tone::from(a.state), words)}</div>
                <p>{more}{comment}</p>
            </div>
        </li>
    }
    .into_any()
}

fn contents(p: &PlanPage) -> AnyView {
    let spec = &p.plan.spec;
    let images = spec
        .change
        .images
        .iter()
        .map(|(c, i)| view! { <dt>{format!("Image, {c}")}</dt><dd class="mono">{i.clone()}</dd> })
        .collect_view();
    let change = spec.change.reference.clone().map(|r| fact("Change", reference(r)));
    let migrations = (!spec.change.migrations.is_empty())
        .then(|| fact_text("Migrations", spec.change.migrations.join(", ")));
    let l = spec.analysis.limits();
    let mut limits = format!(
        "from {} requests: errors to {}\u{a0}% and {} times stable, p95 to {} times stable",
        l.min_requests, l.max_error_percent, l.max_error_ratio, l.max_p95_ratio
    );
    if let Some(ms) = l.max_p95_ms {
        limits = format!("{limits} and {ms}\u{a0}ms");
    }
    let named: Vec<_> = p.plan.templates().into_iter().map(|(_, t)| template(t)).collect();
    let named = (!named.is_empty()).then(|| fact_text("Templates", named.join("; ")));
    let from: Vec<_> = spec.approvals.from.iter().map(|r| r.words()).collect();
    let needs =
        format!("{} of {}, good for {}", spec.approvals.required, from.join(" or "), spec.approvals.expire);
    let window = spec.window.clone().map(|w| fact_text("Window", w));
    let policy = spec.rollback.policy.clone().map(|w| fact_text("Rollback", w));
    let content = view! {
        <dl class="facts">
            {images}{change}{migrations}
            {fact_text("Analysis", limits)}{named}
            {fact_text("Approvals", needs)}
            {policy}{window}
            {fact("Written by", view! { {p.author.clone()}", "{at(p.age.now, p.changed)} }.into_any())}
        </dl>
    };
    sect("c-h", "Contents", nothing(), content.into_any())
}

/// `success-rate, where service-name is checkout`.
fn template(t: &Template) -> String {
    let args: Vec<_> = t.args.iter().map(|(name, value)| format!("{name} is {value}")).collect();
    let args = if args.is_empty() { String::new() } else { format!(", where {}", args.join(" and ")) };
    let place = if t.cluster { " (of the cluster)" } else { "" };
    format!("{}{place}{args}", t.name)
}

fn versions(p: &PlanPage) -> AnyView {
    if p.versions.len() < 2 {
        return nothing();
    }
    let rows = p
        .versions
        .iter()
        .map(|v| {
            view! {
                <li>
                    <div><div class="t"><b class="sm">"Version "{v.version}</b><span class="mono dim sm">{v.digest.short()}</span></div>
                        <p>{v.author.clone()}</p></div>
                    <span class="sm ink2 nowrap">{ago(p.age.now, v.at)}</span>
                </li>
            }
        })
        .collect_view();
    sect("v-h", "Versions", nothing(), view! { <ul class="rows" role="list">{rows}</ul> }.into_any())
}

/// Approving or rejecting exactly what is shown: the whole digest stands in the panel and in the form.
fn approve_panel(p: &PlanPage) -> AnyView {
    let required = p.plan.spec.approvals.required;
    let after = p.valid_approvals + 1;
    let effect = if after >= required {
        format!("It is approval {after} of {required}: the release may start at once.")
    } else {
        format!("It is approval {after} of {required}.")
    };
    let holds = format!(
        "It holds for exactly this content for {}. You may revoke it; the next step then stops.",
        p.plan.spec.approvals.expire
    );
    let form = view! {
        <div class="field mt">
            <label for="ap-w">"Comment"</label>
            <textarea class="in" id="ap-w" name="comment" rows="2" maxlength="1000"></textarea>
            <span class="hint">"Optional to approve. To reject, say why."</span>
        </div>
        <footer>
            <button class="btn primary big" type="submit" name="decision" value="approve">{icon("check")}"Approve"</button>
            <button class="btn stop" type="submit" name="decision" value="reject">{icon("x")}"Reject with a reason"</button>
        </footer>
    };
    let hidden = vec![("plan", p.id.to_string()), ("digest", p.digest.to_string())];
    view! {
        <div class="confirm calm" id="approve" popover role="dialog" aria-labelledby="ap-h">
            <h2 id="ap-h">"Approve this digest?"</h2>
            <p class="mono sm mt wrap">{p.digest.to_string()}</p>
            <ul class="mt" role="list">
                <li class="note">{icon("check")}<span>{effect}</span></li>
                <li class="note">{icon("lock")}<span>{holds}</span></li>
            </ul>
            {post::form("/do/decide", "", hidden, form.into_any())}
        </div>
    }
    .into_any()
}

/// The phone's bottom bar: the one deed that is expected.
fn bar(p: &PlanPage) -> AnyView {
    let deed = if p.approve.allowed {
        view! {
            <button class="btn primary grow" type="button" popovertarget="approve">{icon("check")}"Approve or reject"</button>
        }
        .into_any()
    } else if p.start.allowed || p.state == PlanState::Releasing {
        view! { <div class="grow wide-form">{start(p)}</div> }.into_any()
    } else if p.edit.allowed {
        view! { <a class="btn grow" href=format!("/plans/{}/edit", p.id)>{icon("plan")}"Edit"</a> }.into_any()
    } else {
        return nothing();
    };
    view! { <div class="bar only-s" role="region" aria-label="Main action">{deed}</div> }.into_any()
}

#[cfg(all(test, feature = "ssr"))]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests;
