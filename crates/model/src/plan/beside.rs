//! Which weights a Deployment can carry by a second one beside it.
//!
//! The user's own Deployment keeps its pods; those of the canary come on top. Of 4 replicas one more pod is 20 % of 5.
//! More than half would take more pods than the workload has, so the last step below 100 % is at most 50 %.
//!
//! Where its users come through an nginx Ingress or an HTTPRoute, that splits them by any whole percent, and the pods only
//! have to carry it.

use super::Plan;
use crate::problem::FieldError;
use crate::workload::{Twin, Workload};

/// Highest weight that is made of pods beside the workload's own: as many again.
const MOST: u8 = 50;

/// Pods of the canary Deployment for a weight: as many as keep its share of all pods at or below it.
pub fn pods(weight: u8, replicas: i32) -> i32 {
    let (weight, replicas) = (i64::from(weight.min(MOST)), i64::from(replicas.max(0)));
    i32::try_from(replicas * weight / (100 - weight)).unwrap_or(i32::MAX)
}

/// Pods of the canary Deployment where an Ingress or an HTTPRoute sends it a weight: as large a part of the workload's own, and at
/// least one, as long as the workload has any.
pub fn pods_behind(weight: u8, replicas: i32) -> i32 {
    let (weight, replicas) = (i64::from(weight.min(100)), i64::from(replicas.max(0)));
    i32::try_from((replicas * weight + 99) / 100).unwrap_or(i32::MAX).max(i32::from(replicas > 0))
}

/// Percent of all pods, rounded up: the lowest weight that allows so many.
fn share(pods: i32, replicas: i32) -> u8 {
    let (pods, all) = (i64::from(pods), (i64::from(pods) + i64::from(replicas)).max(1));
    u8::try_from((pods * 100 + all - 1) / all).unwrap_or(100)
}

/// Errors and warnings about the steps, at their fields.
pub(super) fn check(plan: &Plan, w: &Workload) -> (Vec<FieldError>, Vec<FieldError>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    if let Err(words) = Twin::name_for(&w.key.name) {
        errors.push(FieldError::new("spec.strategy", words));
    }
    let steps = plan.steps();
    if steps.len() < 2 {
        let words = format!(
            "{} is a Deployment: a canary needs a step below 100 %. Add one, or write `rolling`.",
            w.key.name
        );
        errors.push(FieldError::new("spec.strategy.canary.steps", words));
    }
    if w.replicas <= 0 {
        let words = "The workload has no replicas now: no weight can be reached. Scale it up first.";
        warnings.push(FieldError::new("spec.strategy.canary.steps", words));
        return (errors, warnings);
    }
    if let Ok(splitter) = w.weighed() {
        let drift = splitter.drift().map(|words| FieldError::new("spec.strategy.canary.steps", words));
        warnings.extend(drift);
        return (errors, warnings);
    }
    let mut before: Option<(u8, i32)> = None;
    for (i, step) in steps.iter().enumerate().filter(|(_, step)| step.weight < 100) {
        let field = format!("spec.strategy.canary.steps[{i}].weight");
        let pods = self::pods(step.weight, w.replicas);
        let words = if step.weight > MOST {
            Some(format!(
                "{} % would take more pods beside {} than it has itself. At most {MOST} %, then 100 %: the Deployment takes \
                 over by its rolling update.",
                step.weight, w.key.name
            ))
        } else if pods == 0 {
            Some(format!(
                "{} % of {} is less than 1 pod beside them, which is {} %. {}",
                step.weight,
                super::reach::count(w.replicas, "replica"),
                share(1, w.replicas),
                remedy(w.replicas)
            ))
        } else {
            before.filter(|(_, p)| *p == pods).map(|(lower, _)| {
                format!(
                    "{lower} % and {} % of {} are both {}: this step would change nothing. {}",
                    step.weight,
                    super::reach::count(w.replicas, "replica"),
                    super::reach::count(pods, "pod"),
                    remedy(w.replicas)
                )
            })
        };
        let really = share(pods, w.replicas);
        if let Some(words) = words {
            errors.push(FieldError::new(field, words));
        } else if really != step.weight {
            let words = format!(
                "{} % of {} is {} beside them: {really} %.",
                step.weight,
                super::reach::count(w.replicas, "replica"),
                super::reach::count(pods, "pod")
            );
            warnings.push(FieldError::new(field, words));
        }
        before = Some((step.weight, pods));
    }
    (errors, warnings)
}

/// Whether users of a Deployment can be switched to a second one beside it.
pub(super) fn check_switch(w: &Workload, errors: &mut Vec<FieldError>, warnings: &mut Vec<FieldError>) {
    const FIELD: &str = "spec.strategy.blueGreen";
    if let Err(words) = Twin::name_for(&w.key.name) {
        errors.push(FieldError::new("spec.strategy", words));
    }
    if let Err(words) = w.parting_label() {
        errors.push(FieldError::new(FIELD, words));
    }
    if w.recreates {
        let words = format!(
            "{} stops all its pods before new ones start (strategy.type: Recreate): there would be none to go back to while it \
             takes the version over. Write `rolling`, or let it roll (RollingUpdate).",
            w.key.name
        );
        errors.push(FieldError::new(FIELD, words));
    }
    if w.replicas <= 0 {
        let words = "The workload has no replicas now: there is nothing to switch. Scale it up first.";
        warnings.push(FieldError::new(FIELD, words));
    }
    if let Some(front) = w.fronts.iter().find(|f| f.headless) {
        let words = format!(
            "Service {} has no address of its own: its clients hear of the switch, and of the way back, when they ask \
             DNS again.",
            front.name
        );
        warnings.push(FieldError::new(FIELD, words));
    }
}

/// Whether requests to a Deployment can be copied to a second one beside it.
pub(super) fn check_copies(
    w: &Workload,
    percent: u8,
    errors: &mut Vec<FieldError>,
    warnings: &mut Vec<FieldError>,
) {
    const FIELD: &str = "spec.strategy.shadow";
    if let Err(words) = Twin::name_for(&w.key.name) {
        errors.push(FieldError::new("spec.strategy", words));
    }
    if let Err(words) = w.copies() {
        errors.push(FieldError::new(FIELD, words));
    }
    let already = w.copied();
    if already > 0 && w.twin.is_none() {
        let words = format!(
            "HTTPRoute {} copies {already} % of requests to {}{}, which is not there. Take that filter out first.",
            w.mirror.as_ref().map_or("", |m| &m.route),
            w.key.name,
            Twin::SUFFIX
        );
        errors.push(FieldError::new(FIELD, words));
    }
    if w.replicas <= 0 {
        let words = "The workload has no replicas now: there is nothing to copy. Scale it up first.";
        warnings.push(FieldError::new(FIELD, words));
    } else {
        let pods = pods_behind(percent, w.replicas);
        let words = format!(
            "{percent} % of requests are answered twice: by {} beside {}, and by whatever those call.",
            super::reach::count(pods, "more pod"),
            super::reach::count(w.replicas, "replica")
        );
        warnings.push(FieldError::new(format!("{FIELD}.percent"), words));
    }
}

fn remedy(replicas: i32) -> String {
    let shown: Vec<_> = reachable(replicas).iter().take(3).map(ToString::to_string).collect();
    format!("Use {}.", shown.join(", "))
}

/// Weights that pods beside this many replicas make, rising, below 100.
fn reachable(replicas: i32) -> Vec<u8> {
    let mut all: Vec<u8> =
        (1..=replicas.clamp(0, 1000)).map(|p| share(p, replicas)).filter(|w| *w > 0).collect();
    all.dedup();
    all
}

/// `; by a canary Deployment beside it: 20 %, 34 %, …`, or every weight where an Ingress or an HTTPRoute splits its users; else why not.
pub(super) fn describe(w: &Workload) -> String {
    let why = match w.weighed() {
        Ok(splitter) => {
            return format!(
                "; by a canary Deployment beside it every weight, of the requests that come through {}",
                splitter.by
            );
        }
        Err(why) => why,
    };
    let shown: Vec<_> = reachable(w.replicas).iter().take(5).map(|w| format!("{w} %")).collect();
    if shown.is_empty() {
        return String::new();
    }
    let more = if reachable(w.replicas).len() > shown.len() { ", …" } else { "" };
    format!("; by a canary Deployment beside it: {}{more} by pods. {why}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{deployment, plan, step};

    fn check_of(weights: &[u8], replicas: i32) -> (Vec<String>, Vec<String>) {
        let mut w = deployment();
        w.replicas = replicas;
        let plan = plan(weights.iter().map(|w| step(*w, 60, &[])).collect());
        let told = |all: Vec<FieldError>| all.iter().map(ToString::to_string).collect();
        let (errors, warnings) = super::super::reach::check(&plan, &w);
        (told(errors), told(warnings))
    }

    fn behind(unfit: Option<&str>) -> Workload {
        let mut w = deployment();
        w.fronts = vec![crate::conductor::sample::front(false)];
        let splitter = crate::conductor::sample::splitter(crate::workload::Split::Ingress("shop".into()));
        w.splitter =
            Some(Box::new(crate::workload::Splitter { unfit: unfit.map(str::to_owned), ..splitter }));
        w
    }

    #[test]
    fn behind_an_ingress_every_weight_is_exact_and_else_it_is_said_why_not() {
        let plan = plan([1, 2, 3, 99, 100].map(|w| step(w, 60, &[])).into());
        let check = |w: &Workload| super::super::reach::check(&plan, w);
        assert_eq!(check(&behind(None)), (vec![], vec![]));
        assert!(
            describe(&behind(None)).ends_with("every weight, of the requests that come through Ingress shop")
        );
        let unfit = behind(Some("Ingress shop is of class alb."));
        assert!(!check(&unfit).0.is_empty());
        let words = describe(&unfit);
        assert!(
            words.ends_with("43 %, 50 % by pods. Ingress shop is of class alb.")
                || words.contains(", … by pods. ")
        );
        let words = describe(&deployment());
        assert!(
            words.ends_with("by pods. No Ingress or HTTPRoute leads to a Service in front of checkout."),
            "{words}"
        );
        let mut apart = behind(None);
        apart.fronts.clear();
        assert!(apart.weighed().is_err(), "no Service that could tell its pods apart");
    }

    #[test]
    fn who_keeps_a_route_in_git_is_told_that_a_sync_may_write_over_its_weights() {
        let plan = plan([5, 100].map(|w| step(w, 60, &[])).into());
        let mut w = behind(None);
        let splitter = w.splitter.as_mut().unwrap();
        splitter.by = crate::workload::Split::HttpRoute("shop".into());
        splitter.gitops = crate::gitops::App::named("edge");
        assert!(describe(&w).ends_with("that come through HTTPRoute shop"));
        let (errors, warnings) = super::super::reach::check(&plan, &w);
        assert!(errors.is_empty() && warnings.len() == 1);
        assert!(warnings[0].to_string().contains("Argo CD's application edge owns HTTPRoute shop"));
    }

    #[test]
    fn pods_behind_an_ingress_carry_the_weight_and_are_at_least_one() {
        for replicas in 1..200 {
            for weight in 1..=99u8 {
                let pods = pods_behind(weight, replicas);
                assert!(pods >= 1 && pods <= replicas, "{weight} % of {replicas}: {pods}");
                assert!(
                    pods * 100 >= replicas * i32::from(weight),
                    "{weight} % of {replicas}: {pods} is too few"
                );
            }
        }
        assert_eq!((pods_behind(1, 4), pods_behind(26, 4), pods_behind(5, 0)), (1, 2, 0));
    }

    #[test]
    fn a_share_is_never_above_the_weight_nor_short_of_it_by_a_whole_pod() {
        for replicas in 1..200 {
            for weight in 1..=50 {
                let pods = pods(weight, replicas);
                let share = |pods: i32| f64::from(pods) * 100.0 / f64::from(pods + replicas);
                assert!(share(pods) <= f64::from(weight) + 1e-9, "{weight} % of {replicas}: {pods}");
                assert!(share(pods + 1) > f64::from(weight), "{weight} % of {replicas}: {pods} is too few");
            }
        }
    }

    #[test]
    fn the_weights_offered_are_really_made() {
        for replicas in 1..200 {
            for weight in reachable(replicas) {
                assert_eq!(share(pods(weight, replicas), replicas), weight, "{weight} % of {replicas}");
            }
        }
    }

    #[test]
    fn what_pods_beside_it_make_is_taken() {
        assert_eq!(check_of(&[20, 50, 100], 4), (vec![], vec![]));
        let (errors, warnings) = check_of(&[25, 100], 4);
        assert_eq!(errors, Vec::<String>::new());
        assert!(warnings[0].contains("25 % of 4 replicas is 1 pod beside them: 20 %"), "{warnings:?}");
    }

    #[test]
    fn what_they_cannot_make_is_refused_at_its_step() {
        let (errors, _) = check_of(&[5, 100], 4);
        assert!(
            errors[0].contains("less than 1 pod beside them, which is 20 %. Use 20, 34, 43"),
            "{errors:?}"
        );
        let (errors, _) = check_of(&[20, 25, 100], 4);
        assert!(errors[0].contains("20 % and 25 % of 4 replicas are both 1 pod"), "{errors:?}");
        let (errors, _) = check_of(&[20, 75, 100], 4);
        assert!(errors[0].contains("At most 50 %, then 100 %"), "{errors:?}");
        assert!(check_of(&[100], 4).0[0].contains("needs a step below 100 %"));
    }

    #[test]
    fn a_switch_needs_a_service_and_pods_that_roll() {
        use crate::plan::{BlueGreen, Strategy};
        let mut plan = plan(vec![]);
        plan.spec.strategy = Strategy::BlueGreen(BlueGreen::new(Default::default(), Default::default()));
        let check = |w: &Workload| super::super::reach::check(&plan, w);
        let mut w = deployment();
        assert!(
            check(&w).0[0].message.contains("No Service selects the pods of checkout"),
            "{:?}",
            check(&w)
        );
        w.fronts = vec![crate::conductor::sample::front(false)];
        assert_eq!(check(&w), (vec![], vec![]));
        w.fronts[0].headless = true;
        assert!(check(&w).1[0].message.contains("when they ask DNS again"), "{:?}", check(&w));
        w.recreates = true;
        assert!(check(&w).0[0].message.contains("strategy.type: Recreate"), "{:?}", check(&w));
    }

    #[test]
    fn a_name_too_long_for_a_second_one_is_said() {
        let mut w = deployment();
        w.key.name = "n".repeat(55);
        let (errors, _) = super::super::reach::check(&plan(vec![step(20, 0, &[]), step(100, 0, &[])]), &w);
        assert!(errors[0].message.contains("63 characters"), "{errors:?}");
    }
}
