//! What is particular to a blue-green Rollout: the settings that make it wait with the switch, the switch itself, and
//! the owner's settings put back. Pure.
//!
//! Source: what was seen on the real controller, Argo Rollouts v1.10.1. Its settings may be changed at any time
//! without starting anything; how long the old pods stand is fixed in the moment of the switch.

use crate::patch::Patch;
use model::Span;
use model::plan::{BlueGreen, Gate, Plan};
use model::release::KnownGood;
use model::workload::Workload;
use serde_json::{Map, Value};

const AT: &str = "/spec/strategy/blueGreen";
/// The owner's settings that a release replaces for its time.
const SETTINGS: [&str; 4] =
    ["autoPromotionEnabled", "autoPromotionSeconds", "scaleDownDelaySeconds", "scaleDownDelayRevisionLimit"];
/// `scaleDownDelaySeconds` where the owner does not say: the controller's default.
const DELAY: u64 = 30;
/// How long the old pods stand by for a gate after the switch, in seconds. A person may be away for so long; an
/// analysis has its samples sooner; and the conductor itself needs a moment.
const FOR_A_PERSON: u64 = 4 * 3600;
const FOR_AN_ANALYSIS: u64 = 1800;
const FOR_US: u64 = 60;

/// The owner's settings in the Rollout now; `None` where it is not blue-green.
pub(crate) fn own(object: &Value) -> Option<Value> {
    let all = object.pointer(AT)?.as_object()?;
    let known = |key: &&str| all.get(*key).filter(|v| !v.is_null()).map(|v| ((*key).to_owned(), v.clone()));
    Some(Value::Object(SETTINGS.iter().filter_map(known).collect::<Map<_, _>>()))
}

/// For a deploy: the controller waits with the switch until it is opened, and keeps the old pods for as long as the
/// plan may take after it, so that the way back is a switch as well. A limit on standing revisions is taken off: it
/// could fall on the known-good one.
pub(crate) fn hold(patch: Patch, plan: &Plan, both: &BlueGreen, good: &KnownGood) -> Patch {
    debug_assert!(plan.steps().len() == 2, "a preview, and the time after the switch");
    patch
        .add(&at("autoPromotionEnabled"), false)
        .clear(&at("autoPromotionSeconds"))
        .add(&at("scaleDownDelaySeconds"), standing_by(both, good))
        .clear(&at("scaleDownDelayRevisionLimit"))
}

/// Seconds for which the old pods outlive the switch.
fn standing_by(both: &BlueGreen, good: &KnownGood) -> u64 {
    let after = both.after();
    let gate = |gate: &Gate| match gate {
        Gate::Approval(_) => FOR_A_PERSON,
        Gate::Analysis => FOR_AN_ANALYSIS,
    };
    let Span(bake) = after.bake;
    let own = good.blue_green.as_ref().and_then(|o| o["scaleDownDelaySeconds"].as_u64()).unwrap_or(DELAY);
    bake + own + FOR_US + after.gates.iter().map(gate).max().unwrap_or(0)
}

/// The owner's settings, as they were. Where they are not known nothing is touched.
pub(crate) fn put_back(patch: Patch, good: &KnownGood) -> Patch {
    let Some(own) = &good.blue_green else {
        return patch;
    };
    SETTINGS.iter().fold(patch, |patch, key| match own.get(*key) {
        Some(value) => patch.add(&at(key), value.clone()),
        None => patch.clear(&at(key)),
    })
}

/// For `/status`: opens the pause before the switch to `hash`, and no other. What the active Service selects is tested
/// as well: nobody has switched in between.
///
/// # Errors
/// In words, while the Rollout is paused as a whole.
pub(crate) fn switch(w: &Workload, hash: &str) -> Result<Patch, String> {
    if w.spec_paused {
        return Err(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
    }
    let patch = Patch::new()
        .test("/status/currentPodHash", hash)
        .test("/status/pauseConditions/0/reason", "BlueGreenPause");
    let patch = match &w.active_hash {
        Some(active) => patch.test("/status/blueGreen/activeSelector", active.as_str()),
        None => patch,
    };
    Ok(patch.remove("/status/pauseConditions"))
}

fn at(setting: &str) -> String {
    format!("{AT}/{setting}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Role;
    use serde_json::json;

    fn good(own: Option<Value>) -> KnownGood {
        KnownGood {
            config: Vec::new(),
            template: json!({}),
            steps: None,
            blue_green: own,
            hash: "good".into(),
            images: Default::default(),
            revision: None,
        }
    }

    #[test]
    fn the_owners_settings_come_back_as_they_were_and_nothing_else_does() {
        let object = json!({"spec": {"strategy": {"blueGreen": {"activeService": "web", "autoPromotionSeconds": 30,
            "scaleDownDelaySeconds": 0}}}});
        let own = own(&object);
        assert_eq!(own, Some(json!({"autoPromotionSeconds": 30, "scaleDownDelaySeconds": 0})));
        let patch = put_back(Patch::new(), &good(own)).value();
        let set: Vec<_> =
            patch.as_array().unwrap().iter().map(|op| (&op["op"], &op["path"], &op["value"])).collect();
        assert!(set.contains(&(
            &json!("add"),
            &json!("/spec/strategy/blueGreen/autoPromotionSeconds"),
            &json!(30)
        )));
        assert!(set.contains(&(
            &json!("remove"),
            &json!("/spec/strategy/blueGreen/autoPromotionEnabled"),
            &json!(null)
        )));
        assert_eq!(put_back(Patch::new(), &good(None)), Patch::new());
        assert_eq!(super::own(&json!({"spec": {"strategy": {"canary": {}}}})), None);
    }

    #[test]
    fn the_old_pods_outlive_the_bake_and_the_gates() {
        let both = |bake, gates: &[Gate]| BlueGreen::new(Default::default(), (Span(bake), gates.to_vec()));
        assert_eq!(standing_by(&both(600, &[]), &good(None)), 600 + 30 + 60);
        let own = good(Some(json!({"scaleDownDelaySeconds": 300})));
        assert_eq!(standing_by(&both(0, &[Gate::Analysis]), &own), 300 + 60 + 1800);
        let person = [Gate::Analysis, Gate::Approval(Role::OnCall)];
        assert_eq!(standing_by(&both(60, &person), &own), 60 + 300 + 60 + 4 * 3600);
    }
}
