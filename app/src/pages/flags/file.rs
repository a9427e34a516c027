//! The files that flags are in: where they are, what is wrong with them, and how to make the first.

use super::changed;
use crate::components::common::empty;
use crate::components::tone::{self, st};
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::view::{FileState, FlagFileView};

pub(super) fn is_faulty(f: &FlagFileView) -> bool {
    matches!(f.state, FileState::Faulty | FileState::NoneInForce)
}

/// Which ConfigMap it is.
pub(super) fn place(f: &FlagFileView) -> String {
    format!("ConfigMap {}/feature-flags, {}", f.namespace, f.cluster)
}

/// By whom a file was written last, and whether something is wrong with it.
pub(super) fn line(f: &FlagFileView, now: DateTime<Utc>) -> AnyView {
    let state = match f.state {
        FileState::InForce | FileState::ChangedOutside => None,
        FileState::Faulty | FileState::NoneInForce => Some(st(tone::DEGRADED, "has faults")),
        FileState::Gone => Some(st(tone::WAITING, "gone")),
    };
    view! {
        {f.changed.as_ref().map(|c| view! { <span>"written by "{changed(Some(c), now)}</span> })}
        {state}
    }
    .into_any()
}

/// What is wrong with a file, and what services get meanwhile. `named`: say which file.
pub(super) fn trouble(f: &FlagFileView, named: bool) -> Option<AnyView> {
    let which = match named {
        true => format!("The ConfigMap feature-flags of {} in {}", f.namespace, f.cluster),
        false => "The ConfigMap that this flag is in".to_owned(),
    };
    let faults = match f.faults.len() {
        0 | 1 => "has a fault".to_owned(),
        n => format!("has {n} faults"),
    };
    let (s, bold, words) = match f.state {
        FileState::InForce | FileState::ChangedOutside => return None,
        FileState::Faulty => (
            "degraded",
            format!("{which} {faults}."),
            "The last good flags stay served, all of them. Correct the file where it is kept: with kubectl, or in git.",
        ),
        FileState::NoneInForce => (
            "degraded",
            format!("{which} {faults}, and there was none without before it."),
            "No flag of it is served: services use the defaults in their own code. Correct the file where it is kept: with \
             kubectl, or in git.",
        ),
        FileState::Gone => (
            "waiting",
            format!("{which} is gone."),
            "The last good flags stay served until it is back. To end them, bring a file that is empty.",
        ),
    };
    let list = f.faults.iter().map(|e| {
        let place = if e.field.is_empty() { "file".to_owned() } else { e.field.clone() };
        view! { <li><span class="mono">{place}</span>" "{e.message.clone()}</li> }
    });
    let list = (!f.faults.is_empty()).then(|| view! { <ul class="sm">{list.collect_view()}</ul> });
    Some(
        view! {
            <div class="say" data-s=s role="alert">
                <div><p><strong class="wrap">{bold}</strong><small>{words}</small></p>{list}</div>
            </div>
        }
        .into_any(),
    )
}

/// The first file, as an example that can be taken as it stands.
pub(super) const EXAMPLE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: feature-flags
data:
  flags.yaml: |
    checkout-new-tax:
      enabled: true
      percentage: 10
      conditions:
        - {type: country, operator: in, value: \"DE, FR\"}
      description: New tax engine
      owner: shop
";

/// There is no file yet: how to make one.
pub(super) fn none() -> AnyView {
    let act =
        view! { <p class="mono sm">"kubectl apply -n YOUR-NAMESPACE -f feature-flags.yaml"</p> }.into_any();
    view! {
        {empty(
            "flag",
            "No ConfigMap feature-flags is there".into(),
            "A flag turns a part of your code on or off, for everybody or for a share of them, without a release. Flags are in the \
             ConfigMap feature-flags of a namespace. Save the lines below as feature-flags.yaml, bring them in, and they stand \
             here in a moment."
                .into(),
            act,
        )}
        <pre class="yaml" tabindex="0" role="region" aria-label="An example"><code>{EXAMPLE}</code></pre>
    }
    .into_any()
}
