//! Which weights a workload can really carry.
//!
//! Behind a traffic router every percent can be had. Without one the pods themselves are the router: of 6 replicas
//! one is 17 %, and 5 % cannot be expressed.

use super::Plan;
use crate::problem::FieldError;
use crate::workload::{Strategy, Workload};

/// Rules that need the workload itself: does it exist as a canary, have the containers the plan names, and can
/// its replicas express each weight without a router. Returns errors, then warnings, at their fields.
pub fn check(plan: &Plan, workload: &Workload) -> (Vec<FieldError>, Vec<FieldError>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    if let Some(fault) = undrivable(plan, workload) {
        errors.push(fault);
        return (errors, warnings);
    }
    images(plan, workload, &mut errors, &mut warnings);
    super::told::check(plan, workload, &mut errors, &mut warnings);
    if workload.strategy == Strategy::Rolling && plan.drives() == Strategy::Canary {
        let (unreachable, inexact) = super::beside::check(plan, workload);
        errors.extend(unreachable);
        warnings.extend(inexact);
    }
    if workload.strategy == Strategy::Rolling && plan.drives() == Strategy::BlueGreen {
        super::beside::check_switch(workload, &mut errors, &mut warnings);
    }
    if let Some(shadow) = plan.shadow() {
        super::beside::check_copies(workload, shadow.percent(), &mut errors, &mut warnings);
    }
    if plan.follows().is_some() {
        if workload.router.is_none() {
            let words = "Without a traffic router pods make the weights: the share may be above what the Rollout's own steps \
                         name.";
            warnings.push(FieldError::new("spec.strategy.follow", words));
        }
    } else if workload.router.is_none() && workload.strategy == Strategy::Canary {
        weights(plan, workload.replicas, &mut errors, &mut warnings);
    }
    (errors, warnings)
}

/// Why this workload cannot be driven by this plan.
fn undrivable(plan: &Plan, w: &Workload) -> Option<FieldError> {
    let name = &w.key.name;
    let fault = |field: &str, words: String| Some(FieldError::new(field, words));
    if plan.follows().is_some() && w.strategy != Strategy::Canary {
        let words = format!("{name} is no canary Rollout, so it has no steps of its own to follow.");
        return fault("spec.strategy", words);
    }
    if plan.follows().is_some() && w.step_count == 0 {
        let words = format!("{name} has no steps of its own to follow. Write `canary` with its steps.");
        return fault("spec.strategy", words);
    }
    if let (Some(total), Strategy::Canary) = (w.weight_total, w.strategy) {
        let words = format!(
            "{name}'s router counts its weights to {total} (maxTrafficWeight), and a plan's are percents: 5 would be 5 of \
             {total}. Remove maxTrafficWeight from the Rollout."
        );
        return fault("spec.strategy", words);
    }
    let refused = match (w.strategy, plan.drives()) {
        (Strategy::Canary, Strategy::BlueGreen | Strategy::Rolling) => {
            Some(format!("{name} is a canary Rollout. Write `canary` with its steps."))
        }
        (Strategy::BlueGreen, Strategy::Canary | Strategy::Rolling) => Some(format!(
            "{name} is a blue-green Rollout. Write `blueGreen: {{preview: {{bake: 2m}}, after: {{bake: 10m}}}}`."
        )),
        (Strategy::Canary, Strategy::Canary)
        | (Strategy::BlueGreen, Strategy::BlueGreen)
        | (Strategy::Rolling, Strategy::Canary | Strategy::BlueGreen | Strategy::Rolling) => None,
    };
    if let Some(words) = refused {
        return fault("spec.strategy", words);
    }
    w.source_unfit().map(|words| FieldError::new("metadata.service", words))
}

fn images(plan: &Plan, w: &Workload, errors: &mut Vec<FieldError>, warnings: &mut Vec<FieldError>) {
    let mut same = Vec::new();
    for (container, image) in &plan.spec.change.images {
        let field = format!("spec.change.images.{container}");
        match w.images.get(container) {
            None => {
                let known: Vec<_> = w.images.keys().map(String::as_str).collect();
                let words =
                    format!("{} has no container `{container}`. It has: {}.", w.key.name, known.join(", "));
                errors.push(FieldError::new(field, words));
            }
            Some(now) if now == image => same.push(FieldError::new(field, "Runs this image already.")),
            Some(_) => {}
        }
    }
    if same.len() == plan.spec.change.images.len() {
        for fault in &mut same {
            fault.message = "Runs this image already, so nothing would change. Name the new one.".into();
        }
        errors.extend(same);
    } else {
        warnings.extend(same);
    }
}

fn weights(plan: &Plan, replicas: i32, errors: &mut Vec<FieldError>, warnings: &mut Vec<FieldError>) {
    if replicas <= 0 {
        let words = "The workload has no replicas now: no weight can be reached. Scale it up first.";
        warnings.push(FieldError::new("spec.strategy.canary.steps", words));
        return;
    }
    let mut before: Option<(u8, i32)> = None;
    for (i, step) in plan.steps().iter().enumerate() {
        let field = format!("spec.strategy.canary.steps[{i}].weight");
        let pods = pods(step.weight, replicas);
        let really = share(pods, replicas);
        let remedy = remedy(replicas);
        if let Some((lower, _)) = before.filter(|(_, p)| *p == pods) {
            let words = format!(
                "{lower} % and {} % of {} are both {}: this step would change nothing. {remedy}",
                step.weight,
                count(replicas, "replica"),
                count(pods, "pod")
            );
            errors.push(FieldError::new(field, words));
        } else if really != step.weight {
            let of = if replicas == 1 {
                "1 replica is 1 pod beside it".to_owned()
            } else {
                format!("{} is {}", count(replicas, "replica"), count(pods, "pod"))
            };
            let fault = FieldError::new(field, format!("{} % of {of}: {really} %. {remedy}", step.weight));
            // More than the plan allows must never be sent to the canary (invariant 5); less is only worth knowing.
            if really > step.weight { errors.push(fault) } else { warnings.push(fault) }
        }
        before = Some((step.weight, pods));
    }
}

pub(super) fn count(n: i32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn remedy(replicas: i32) -> String {
    let all = reachable(replicas);
    let below: Vec<_> = all.iter().filter(|w| **w < 100).take(3).map(ToString::to_string).collect();
    let more = if all.len() > below.len() + 1 { ", …" } else { "" };
    format!("Use {}{more} or add a traffic router.", below.join(", "))
}

/// Pods of the new version that the controller makes of a weight, without counting a surge: the nearest number to
/// the weight, at least one, and all of them only at 100 %.
///
/// Source: `approximateWeightedCanaryStableReplicaCounts` in Argo Rollouts.
pub fn pods(weight: u8, replicas: i32) -> i32 {
    let (weight, replicas) = (i64::from(weight.min(100)), i64::from(replicas.max(0)));
    let wanted = weight * replicas;
    let (down, up) = (wanted / 100, (wanted + 99) / 100);
    let near = if up >= replicas && weight < 100 && replicas > 1 {
        down
    } else if down == 0 || (up * 100 - wanted) <= (wanted - down * 100) {
        up
    } else {
        down
    };
    i32::try_from(near).unwrap_or(i32::MAX)
}

/// Percent of all pods. A lone replica gets the canary beside it: half.
fn share(pods: i32, replicas: i32) -> u8 {
    if replicas == 1 && pods == 1 {
        return 50;
    }
    let (pods, replicas) = (i64::from(pods), i64::from(replicas.max(1)));
    u8::try_from((pods * 100 + replicas / 2) / replicas).unwrap_or(100)
}

/// The weights that a number of replicas can express without a router, rising; the last is 100.
pub fn reachable(replicas: i32) -> Vec<u8> {
    if replicas <= 0 {
        return Vec::new();
    }
    if replicas == 1 {
        return vec![50, 100];
    }
    let mut all: Vec<u8> =
        (1..=replicas.min(1000)).map(|pods| share(pods, replicas)).filter(|w| *w > 0).collect();
    all.dedup();
    if replicas > 1000 {
        all = (1..=100).collect();
    }
    all
}

/// Keys of the strategies that a plan for this workload may name, the usual one first.
pub fn strategies(w: &Workload) -> &'static [&'static str] {
    match w.strategy {
        Strategy::Canary if w.step_count > 0 => &["canary", "follow"],
        Strategy::Canary => &["canary"],
        Strategy::BlueGreen => &["blueGreen"],
        Strategy::Rolling if w.copies().is_ok() => &["rolling", "canary", "blueGreen", "shadow"],
        Strategy::Rolling => &["rolling", "canary", "blueGreen"],
    }
}

/// `8 replicas behind nginx (Ingress web): every weight can be reached`, `6 replicas, no router: 17 %, 33 %, 50 %, …`.
pub fn describe(w: &Workload) -> String {
    let replicas = count(w.replicas, "replica");
    if w.strategy == Strategy::BlueGreen {
        return format!(
            "{replicas}, and as many beside them until the old ones go: all users are switched at once"
        );
    }
    if w.strategy == Strategy::Rolling {
        let beside = super::beside::describe(w);
        return format!("A Deployment of {replicas}: new pods replace old ones at its own pace{beside}");
    }
    if let Some(router) = &w.router {
        return format!("{replicas} behind {router}: every weight can be reached");
    }
    let all = reachable(w.replicas);
    if all.is_empty() {
        return format!("{replicas}, no router: no weight can be reached");
    }
    if all.len() == 100 {
        return format!("{replicas}, no router: every weight can be reached");
    }
    let shown: Vec<_> = all.iter().take(6).map(|w| format!("{w} %")).collect();
    let more = if all.len() > shown.len() { ", …" } else { "" };
    format!("{replicas}, no router: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{healthy, plan, step};
    use crate::plan::{BlueGreen, Follow, Strategy as PlanStrategy};

    fn without_router(replicas: i32) -> Workload {
        let mut w = healthy();
        w.router = None;
        w.weights = None;
        w.replicas = replicas;
        w
    }

    fn with(weights: &[u8]) -> Plan {
        plan(weights.iter().map(|w| step(*w, 60, &[])).collect())
    }

    fn told(all: &[FieldError]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn behind_a_router_every_weight_is_reached() {
        assert_eq!(check(&with(&[1, 2, 3, 100]), &healthy()), (vec![], vec![]));
        assert_eq!(describe(&healthy()), "8 replicas behind nginx: every weight can be reached");
    }

    #[test]
    fn what_pods_can_express_is_said() {
        let (errors, warnings) = check(&with(&[5, 35, 100]), &without_router(6));
        assert_eq!(
            told(&errors),
            [
                "spec.strategy.canary.steps[0].weight: 5 % of 6 replicas is 1 pod: 17 %. Use 17, 33, 50, … or add a \
              traffic router."
            ],
            "more than the plan allows"
        );
        assert_eq!(
            told(&warnings),
            [
                "spec.strategy.canary.steps[1].weight: 35 % of 6 replicas is 2 pods: 33 %. Use 17, 33, 50, … or add a \
              traffic router."
            ],
            "less than the plan allows"
        );
        assert_eq!(
            describe(&without_router(6)),
            "6 replicas, no router: 17 %, 33 %, 50 %, 67 %, 83 %, 100 %"
        );
        assert_eq!(
            describe(&without_router(8)),
            "8 replicas, no router: 13 %, 25 %, 38 %, 50 %, 63 %, 75 %, …"
        );
    }

    #[test]
    fn two_steps_on_the_same_pods_are_an_error() {
        let (errors, _) = check(&with(&[17, 19, 100]), &without_router(6));
        assert_eq!(
            told(&errors),
            [
                "spec.strategy.canary.steps[1].weight: 17 % and 19 % of 6 replicas are both 1 pod: this step would change \
              nothing. Use 17, 33, 50, … or add a traffic router."
            ]
        );
        let (errors, _) = check(&with(&[50, 100]), &without_router(1));
        assert_eq!(errors.len(), 1, "the only pod and the one beside it");
    }

    #[test]
    fn pods_are_counted_as_the_controller_counts_them() {
        for (weight, replicas, expected) in [
            (5, 6, 1),
            (17, 6, 1),
            (25, 6, 2),
            (33, 10, 3),
            (95, 6, 5),
            (99, 100, 99),
            (100, 6, 6),
            (1, 1, 1),
            (50, 0, 0),
        ] {
            assert_eq!(pods(weight, replicas), expected, "{weight} % of {replicas}");
        }
        for replicas in 0..200 {
            for weight in 1..100u8 {
                let n = pods(weight, replicas);
                assert!(n <= replicas && (n > 0 || replicas == 0), "{weight} % of {replicas}: {n}");
                assert!(replicas < 2 || n < replicas, "{weight} % of {replicas} leaves no stable pod");
            }
        }
    }

    #[test]
    fn the_weights_offered_are_really_reached() {
        for replicas in 2..=60 {
            for weight in reachable(replicas) {
                assert_eq!(share(pods(weight, replicas), replicas), weight, "{weight} % of {replicas}");
            }
        }
        assert_eq!(reachable(5000).len(), 100);
    }

    #[test]
    fn a_blue_green_rollout_takes_a_blue_green_plan_and_no_other() {
        let mut w = healthy();
        (w.strategy, w.router, w.weights) = (Strategy::BlueGreen, None, None);
        let mut p = with(&[100]);
        let (errors, _) = check(&p, &w);
        assert!(errors[0].message.contains("Write `blueGreen: {"), "{errors:?}");
        p.spec.strategy = PlanStrategy::BlueGreen(BlueGreen::new(Default::default(), Default::default()));
        assert_eq!(check(&p, &w), (vec![], vec![]));
        assert_eq!(check(&p, &healthy()).0[0].field, "spec.strategy");
    }

    #[test]
    fn only_a_canary_rollout_with_steps_of_its_own_is_followed() {
        let mut p = with(&[100]);
        p.spec.strategy = PlanStrategy::Follow(Follow::new(Default::default(), Vec::new()));
        let mut w = healthy();
        assert_eq!(check(&p, &w), (vec![], vec![]));
        assert_eq!(strategies(&w), ["canary", "follow"]);
        (w.router, w.weights) = (None, None);
        assert!(check(&p, &w).1[0].message.contains("pods make the weights"));
        w.step_count = 0;
        assert!(check(&p, &w).0[0].message.contains("has no steps of its own to follow"));
        assert_eq!(strategies(&w), ["canary"]);
        for way in [Strategy::BlueGreen, Strategy::Rolling] {
            w.strategy = way;
            assert!(check(&p, &w).0[0].message.contains("no canary Rollout"), "{way:?}");
        }
    }

    #[test]
    fn what_no_plan_can_drive_is_refused_in_words() {
        let refused = |change: fn(&mut Workload), field: &str| {
            let mut w = healthy();
            change(&mut w);
            let (errors, _) = check(&with(&[100]), &w);
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].field, field);
        };
        refused(|w| w.workload_ref = true, "metadata.service");
        refused(|w| w.strategy = Strategy::BlueGreen, "spec.strategy");
        refused(|w| w.weight_total = Some(1000), "spec.strategy");
        refused(|w| w.images.clear(), "spec.change.images.app");
        refused(
            |w| w.images = crate::conductor::sample::images(crate::conductor::sample::NEW_IMAGE),
            "spec.change.images.app",
        );
    }
}
