//! What can be done with a release: in the head, in panels, in the phone's bottom bar.

use super::Seen;
use crate::components::common::nothing;
use crate::components::confirm::{self, Rollback};
use crate::components::icon::icon;
use crate::components::post;
use leptos::prelude::*;
use model::ReleaseId;
use model::release::State;
use model::view::{Deed, ReleaseLive, ReleasePage};

/// One deed and its words.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Verb {
    /// As the server function reads it.
    key: &'static str,
    icon: &'static str,
    label: &'static str,
    busy: &'static str,
    class: &'static str,
    /// Would let the weight rise: off while the data is stale.
    raises: bool,
    /// Asks once more in a panel, with what it does.
    ask: Option<Ask>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Ask {
    panel: &'static str,
    title: &'static str,
    does: &'static [&'static str],
    button: &'static str,
    class: &'static str,
    /// Not without saying why.
    reason: bool,
}

const PAUSE: Verb = Verb {
    key: "pause",
    icon: "pause",
    label: "Pause",
    busy: "Pausing…",
    class: "btn",
    raises: false,
    ask: None,
};
const RESUME: Verb = Verb {
    key: "resume",
    icon: "play",
    label: "Resume",
    busy: "Resuming…",
    class: "btn",
    raises: true,
    ask: None,
};
const PROMOTE: Verb = Verb {
    key: "promote",
    icon: "play",
    label: "Promote",
    busy: "Promoting…",
    class: "btn",
    raises: true,
    ask: Some(Ask {
        panel: "do-promote",
        title: "Promote this step now?",
        does: &[
            "The rest of this step's bake is waived, and the next step begins.",
            "The next step bakes and is judged as the plan says.",
        ],
        button: "Promote this step",
        class: "btn primary big",
        reason: false,
    }),
};
const PROMOTE_FULL: Verb = Verb {
    key: "promote-full",
    icon: "play",
    label: "Promote fully",
    busy: "Promoting…",
    class: "btn",
    raises: true,
    ask: Some(Ask {
        panel: "do-promote-full",
        title: "Promote all that is left?",
        does: &[
            "Weights rise one after the other to 100 %; no bake and no analysis is waited for.",
            "A failing canary is still turned back.",
        ],
        button: "Promote to the end",
        class: "btn primary big",
        reason: false,
    }),
};
const RETRY: Verb = Verb {
    key: "retry",
    icon: "play",
    label: "Retry",
    busy: "Starting…",
    class: "btn",
    raises: true,
    ask: Some(Ask {
        panel: "do-retry",
        title: "Start this release again?",
        does: &[
            "A new release of exactly this plan begins at its first step, with its approvals as they stand now.",
        ],
        button: "Start again",
        class: "btn primary big",
        reason: false,
    }),
};
/// What a retry does where the version was taken back before.
const RETRY_TAKEN_BACK: &[&str] = &[
    "A new release of exactly this plan begins at its first step, with its approvals as they stand now.",
    "This version was taken back before: say what is different now. It is recorded with your name.",
];
const SKIP: Verb = Verb {
    key: "skip",
    icon: "skip",
    label: "Skip step",
    busy: "Skipping…",
    class: "btn",
    raises: true,
    ask: Some(Ask {
        panel: "do-skip",
        title: "Skip this step?",
        does: &[
            "This step's bake and gates are waived, and the next step begins.",
            "The history says that you skipped it, and why.",
        ],
        button: "Skip this step",
        class: "btn primary big",
        reason: false,
    }),
};
const ABORT: Verb = Verb {
    key: "abort",
    icon: "stop",
    label: "Abort",
    busy: "Aborting…",
    class: "btn stop",
    raises: false,
    ask: Some(Ask {
        panel: "do-abort",
        title: "Abort this release?",
        does: &[
            "All traffic goes back to the stable version, and the release ends as aborted.",
            "The plan stays as it is; a new release of it may be started later.",
        ],
        button: "Abort the release",
        class: "btn stop big",
        reason: false,
    }),
};
/// The same while only copies of requests are sent to the new version.
const STOP_COPYING: Verb = Verb {
    label: "Stop copying",
    busy: "Stopping…",
    ask: Some(Ask {
        panel: "do-abort",
        title: "Stop copying requests?",
        does: &["No user notices: all stay on the stable version. The release ends as aborted."],
        button: "Stop copying",
        class: "btn stop big",
        reason: false,
    }),
    ..ABORT
};
const OPEN_GATE: Verb = Verb {
    key: "open-gate",
    icon: "check",
    label: "Open the gate",
    busy: "Opening…",
    class: "btn primary",
    raises: true,
    ask: Some(Ask {
        panel: "do-open-gate",
        title: "Open the gate?",
        does: &[
            "You vouch for this step. When its other gates have passed, the next step begins.",
            "It is recorded with your name.",
        ],
        button: "Open the gate",
        class: "btn primary big",
        reason: false,
    }),
};

/// The deeds that this state offers, in reading order.
fn offered(l: &ReleaseLive) -> Vec<(Verb, Deed)> {
    if let Some(again) = &l.retry {
        let mut verb = RETRY;
        if let Some(ask) = &mut verb.ask {
            ask.reason = again.needs_reason;
            if again.needs_reason {
                ask.does = RETRY_TAKEN_BACK;
            }
        }
        return vec![(verb, again.deed.clone())];
    }
    if l.state.ended() || l.state == State::RollingBack {
        return Vec::new();
    }
    let held = if l.state == State::Paused { (RESUME, l.resume.clone()) } else { (PAUSE, l.pause.clone()) };
    let mut out = vec![held];
    // A gate that waits for a person makes promoting it beside the point.
    match &l.open_gate {
        Some(deed) => out.push((OPEN_GATE, deed.clone())),
        None => out.push((PROMOTE, l.promote.clone())),
    }
    // Seldom possible, and never the only way: where it is not, its reason is one line too many.
    if l.promote_full.allowed {
        out.push((PROMOTE_FULL, l.promote_full.clone()));
    }
    out.push((SKIP, l.skip.clone()));
    let here = l.step.and_then(|i| l.steps.get(i));
    let copies = here.is_some_and(|s| s.gates.iter().any(|g| g.kind == "copies"));
    out.push((if copies { STOP_COPYING } else { ABORT }, l.abort.clone()));
    out
}

/// The head's deeds.
pub(super) fn acts(p: &ReleasePage, seen: Seen) -> AnyView {
    let id = p.id;
    let verbs = Memo::new(move |_| seen.live.with(offered));
    let buttons = move || {
        verbs
            .get()
            .into_iter()
            .map(|(verb, deed)| {
                // On a phone holding is in the bottom bar, under the thumb.
                let place = if verb.ask.is_none() { "only-l" } else { "" };
                button(id, verb, &deed, place)
            })
            .collect_view()
    };
    let rollback = move || {
        let (deed, ended) = seen.live.with(|l| (l.roll_back.clone(), l.state.ended()));
        if ended && !deed.allowed {
            return nothing();
        }
        confirm::opener(&deed, format!("/releases/{id}/rollback"), "btn danger big only-l", Some("rb"))
    };
    view! { <div class="acts">{buttons}{rollback}</div> }.into_any()
}

/// Under the head: why some of its deeds are not possible.
pub(super) fn reasons(seen: Seen) -> AnyView {
    let list = Memo::new(move |_| seen.live.with(|l| (offered(l), l.roll_back.clone())));
    view! { {move || list.with(|(deeds, roll_back)| why_not(deeds, roll_back))} }.into_any()
}

/// What raises the weight is marked: script keeps it back while nobody knows where the weight is.
fn button(id: ReleaseId, verb: Verb, deed: &Deed, place: &'static str) -> AnyView {
    if !deed.allowed {
        return view! {
            <button class=format!("btn {place}") type="button" aria-disabled="true" aria-describedby="why-not">
                {icon(verb.icon)}{verb.label}
            </button>
        }
        .into_any();
    }
    match verb.ask {
        Some(ask) => view! {
            <button class=verb.class type="button" popovertarget=ask.panel data-raises=verb.raises.then_some("")>
                {icon(verb.icon)}{verb.label}
            </button>
        }
        .into_any(),
        None => {
            let button = post::button(verb.class, verb.icon, verb.label.to_owned(), verb.busy, verb.raises);
            post::form("/do/release", place, hidden(id, verb), button)
        }
    }
}

fn hidden(id: ReleaseId, verb: Verb) -> Vec<(&'static str, String)> {
    vec![("release", id.to_string()), ("deed", verb.key.to_owned())]
}

/// `Promote, Skip step: as on-call you may not …`: each reason once, with the deeds it is for.
fn why_not(deeds: &[(Verb, Deed)], roll_back: &Deed) -> AnyView {
    let mut reasons: Vec<(String, Vec<&'static str>)> = Vec::new();
    let all = deeds.iter().map(|(v, d)| (v.label, d)).chain([("ROLL BACK", roll_back)]);
    for (label, deed) in all {
        let Some(why) = deed.why_not.as_ref().filter(|_| !deed.allowed) else { continue };
        match reasons.iter_mut().find(|(w, _)| w == why) {
            Some((_, labels)) => labels.push(label),
            None => reasons.push((why.clone(), vec![label])),
        }
    }
    if reasons.is_empty() {
        return nothing();
    }
    let list = reasons
        .into_iter()
        .map(|(why, labels)| view! { <span><b>{labels.join(", ")}</b>": "{why}" "</span> })
        .collect_view();
    view! { <p class="why xs ink2" id="why-not">{list}</p> }.into_any()
}

/// The panels that ask once more. All stand in the page, so that they open without script.
pub(super) fn panels(p: &ReleasePage, seen: Seen) -> AnyView {
    let id = p.id;
    let service = p.service.clone();
    let verbs = Memo::new(move |_| {
        seen.live
            .with(|l| offered(l).into_iter().filter(|(_, d)| d.allowed).map(|(v, _)| v).collect::<Vec<_>>())
    });
    let asks = move || verbs.get().into_iter().map(|v| panel(id, v)).collect_view();
    let rollback = move || {
        let (deed, preview, weight) = seen.live.with(|l| (l.roll_back.clone(), l.rollback.clone(), l.weight));
        if !deed.allowed {
            return nothing();
        }
        confirm::panel(&Rollback {
            action: "/do/rollback",
            service: service.clone(),
            preview,
            hidden: vec![("release", id.to_string())],
            keep: confirm::keep(weight),
            back: format!("/releases/{id}"),
        })
    };
    view! { {asks}{rollback} }.into_any()
}

fn panel(id: ReleaseId, verb: Verb) -> AnyView {
    let Some(ask) = verb.ask else { return nothing() };
    let heading = format!("{}-h", ask.panel);
    let field = format!("{}-why", ask.panel);
    let does = ask
        .does
        .iter()
        .map(|w| view! { <li class="note">{icon(verb.icon)}<span>{*w}</span></li> })
        .collect_view();
    let form = view! {
        <div class="field mt">
            <label for=field.clone()>{if ask.reason { "Reason" } else { "Reason (optional)" }}</label>
            <input class="in" id=field name="reason" maxlength="500" autocomplete="off" required=ask.reason/>
        </div>
        <footer>
            {post::button(ask.class, verb.icon, ask.button.to_owned(), verb.busy, verb.raises)}
            <button class="btn" type="button" popovertarget=ask.panel popovertargetaction="hide">"Leave it as it is"</button>
        </footer>
    };
    view! {
        <div class="confirm calm" id=ask.panel popover role="dialog" aria-labelledby=heading.clone()>
            <h2 id=heading.clone()>{ask.title}</h2>
            <ul class="mt" role="list">{does}</ul>
            {post::form("/do/release", "", hidden(id, verb), form.into_any())}
        </div>
    }
    .into_any()
}

/// The phone's bottom bar: hold it, or ROLL BACK.
pub(super) fn bar(p: &ReleasePage, seen: Seen) -> AnyView {
    let id = p.id;
    let inside = move || {
        let (held, roll_back, ended) = seen.live.with(|l| {
            (
                offered(l).into_iter().next().filter(|(v, d)| d.allowed && v.ask.is_none()),
                l.roll_back.clone(),
                l.state.ended(),
            )
        });
        if ended && !roll_back.allowed {
            return None;
        }
        let hold = held.map(|(verb, deed)| button(id, verb, &deed, ""));
        let roll_back =
            confirm::opener(&roll_back, format!("/releases/{id}/rollback"), "btn danger big", None);
        Some(view! { <div class="bar only-s" role="region" aria-label="Main action">{hold}{roll_back}</div> })
    };
    view! { {inside} }.into_any()
}
