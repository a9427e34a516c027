//! What the drivers send to both Deployments and to what splits their users, request by request.

use super::{By, Sim};
use crate::conductor::Effect;
use crate::conductor::sample::OLD_IMAGE;

/// One request with its preconditions, as it was built.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// The marks of a deploy, or of another number of pods, on the user's own.
    Mark {
        after: Option<String>,
        template: Option<&'static str>,
    },
    Create,
    Scale {
        uid: u32,
        mark: String,
        from: i32,
        to: i32,
    },
    /// Not marked: what takes ours away must not fail.
    Nothing {
        uid: u32,
    },
    Delete {
        uid: u32,
    },
    TakeOver {
        after: Option<String>,
        revision: i64,
    },
    Revert {
        after: Option<String>,
        revision: i64,
    },
    Pause {
        after: Option<String>,
        paused: bool,
    },
    /// Holds for the Service as it was when that was decided.
    Switch {
        mark: Option<String>,
    },
    /// Without a condition.
    HandBack,
    /// The canary Ingress, at 0 %.
    Route {
        owner: u32,
    },
    /// The first mark on the HTTPRoute.
    MarkRoute {
        mark: Option<String>,
    },
    /// Our backendRef, at 0 %, into the HTTPRoute that is as it was seen.
    Insert {
        owner: u32,
        mark: Option<String>,
    },
    /// Holds for the canary Ingress, or the HTTPRoute, as it was when that was decided.
    Weigh {
        mark: Option<String>,
        from: u8,
        to: u8,
    },
    /// A filter of ours in the HTTPRoute that carries the mark under which that was decided.
    Copy {
        owner: u32,
        mark: Option<String>,
        from: u8,
        to: u8,
    },
    /// The canary Ingress to 0 %, without a condition.
    Unweigh,
    /// Our backendRef out of the HTTPRoute as it was read for that.
    TakeOut {
        mark: Option<String>,
    },
    /// Whatever is ours out of the HTTPRoute as it was read for that.
    Clean {
        mark: Option<String>,
    },
}

impl Sim {
    /// What the driver sends for an effect. `seen` is the watch cache as it is when they are built; `fresh` what is read for
    /// it past the cache.
    pub(super) fn requests(effect: &Effect, after: Option<String>, seen: &Sim, fresh: &Sim) -> Vec<Request> {
        let revision = seen.revision;
        let mark_of = |sim: &Sim| sim.route.as_ref().and_then(|route| route.mark.clone());
        match effect {
            Effect::Deploy if seen.by == By::HttpRoute => {
                let mark = mark_of(fresh);
                vec![
                    Request::Mark { after, template: Some(OLD_IMAGE) },
                    Request::MarkRoute { mark },
                    Request::Create,
                ]
            }
            Effect::Deploy => vec![Request::Mark { after, template: Some(OLD_IMAGE) }, Request::Create],
            Effect::Scale { from, to } => {
                let Some(twin) = &seen.twin else { return Vec::new() };
                let (uid, mark) = (twin.uid, twin.attempt.clone());
                let mut all = vec![Request::Mark { after, template: None }];
                if seen.by == By::Ingress && seen.route.is_none() {
                    all.push(Request::Route { owner: uid });
                }
                if seen.by == By::HttpRoute
                    && !seen.copying
                    && seen.route.as_ref().is_none_or(|route| route.weight.is_none())
                {
                    all.push(Request::Insert { owner: uid, mark: mark_of(seen) });
                }
                all.push(Request::Scale { uid, mark, from: *from, to: *to });
                all
            }
            Effect::TakeOver => vec![Request::TakeOver { after, revision }],
            Effect::Retire => {
                let mut all = Vec::new();
                if fresh.marked() {
                    all.push(Request::Clean { mark: mark_of(fresh) });
                }
                if let Some(twin) = &seen.twin {
                    all.extend([Request::Nothing { uid: twin.uid }, Request::Delete { uid: twin.uid }]);
                }
                all
            }
            Effect::Revert => vec![Request::Revert { after, revision }],
            Effect::Pause => vec![Request::Pause { after, paused: true }],
            Effect::Resume => vec![Request::Pause { after, paused: false }],
            Effect::Switch => vec![Request::Switch { mark: seen.front.clone() }],
            Effect::Weigh { from, to } if seen.copying => {
                let Some(twin) = &seen.twin else { return Vec::new() };
                vec![Request::Copy { owner: twin.uid, mark: mark_of(seen), from: *from, to: *to }]
            }
            Effect::Weigh { from, to } => {
                vec![Request::Weigh { mark: mark_of(seen), from: *from, to: *to }]
            }
            Effect::HandBack if seen.by == By::HttpRoute && (fresh.twin.is_some() || fresh.marked()) => {
                vec![Request::TakeOut { mark: mark_of(fresh) }]
            }
            Effect::HandBack if seen.by == By::Ingress && (seen.twin.is_some() || seen.route.is_some()) => {
                vec![Request::Unweigh]
            }
            Effect::HandBack => vec![Request::HandBack],
            other => panic!("{other:?} is not for a Deployment"),
        }
    }
}
