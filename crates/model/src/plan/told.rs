//! What a canary Rollout's controller is told for a step of a plan that holds the weights: its weight, and where the step says so
//! how many pods the canary has and whose requests reach it whatever the weight.
//!
//! Source: `setCanaryScale` and `setHeaderRoute` of Argo Rollouts (v1alpha1). Both stay in force until another takes their
//! place, so a step that does not repeat them takes them back.

use super::{Header, Plan, Strategy};
use crate::problem::FieldError;
use crate::workload::Workload;

/// One of the controller's own steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// So many pods of the new version; `None`: as many as the weight needs.
    Scale(Option<u16>),
    Weight(u8),
    /// Requests with this header go to the new version; `None`: none any more.
    Header(Option<&'a Header>),
    /// Until Tidegate opens it.
    Pause,
}

impl Plan {
    /// The controller's steps for step `i` of the plan, in order. Pods come before users; a header comes after the weight, since
    /// the controller takes its route away while the new version has no pod. The last weight, 100, is followed by a pause only
    /// where it must hold.
    pub fn told(&self, i: usize) -> Vec<Told<'_>> {
        let Some(step) = self.steps().get(i) else { return Vec::new() };
        let last = i + 1 == self.steps().len();
        let mut all = Vec::new();
        if self.rescales(i) {
            all.push(Told::Scale(step.scale));
        }
        all.push(Told::Weight(step.weight));
        if self.reroutes(i) {
            all.push(Told::Header(step.header.as_ref()));
        }
        if !last || step.holds() {
            all.push(Told::Pause);
        }
        all
    }

    /// What step `i` asks for beside its weight: what each part is called, and its figure.
    pub fn asks(&self, i: usize) -> Vec<(&'static str, String)> {
        let Some(step) = self.steps().get(i) else { return Vec::new() };
        let pods = step.scale.map(|n| ("Pods", n.to_string()));
        let header = step.header.as_ref().map(|h| ("Users with", format!("{}: {}", h.name, h.value)));
        pods.into_iter().chain(header).collect()
    }

    /// How many more there are than a weight and a pause.
    pub(super) fn extras(&self, i: usize) -> i32 {
        i32::from(self.rescales(i)) + i32::from(self.reroutes(i))
    }

    fn rescales(&self, i: usize) -> bool {
        let steps = self.steps();
        steps.get(i).is_some_and(|s| s.scale != i.checked_sub(1).and_then(|before| steps[before].scale))
    }

    /// Never at the last step: with the promotion the controller removes its routes itself.
    fn reroutes(&self, i: usize) -> bool {
        let steps = self.steps();
        let before = i.checked_sub(1).and_then(|before| steps[before].header.as_ref());
        i + 1 < steps.len() && steps.get(i).is_some_and(|s| s.header.as_ref() != before)
    }
}

/// What this workload cannot do of it, then what should be known.
pub(super) fn check(plan: &Plan, w: &Workload, errors: &mut Vec<FieldError>, warnings: &mut Vec<FieldError>) {
    let Strategy::Canary(canary) = &plan.spec.strategy else { return };
    let name = &w.key.name;
    let rollout = w.strategy == crate::workload::Strategy::Canary;
    for (i, step) in canary.steps.iter().enumerate() {
        let field = |key: &str| format!("spec.strategy.canary.steps[{i}].{key}");
        if let Some(scale) = step.scale {
            let needed = super::reach::pods(step.weight, w.replicas);
            if !rollout {
                let words = format!(
                    "The second Deployment beside {name} has the pods that its weight needs. Remove `scale`."
                );
                errors.push(FieldError::new(field("scale"), words));
            } else if w.router.is_none() {
                let words = "Without a traffic router the pods are the weight. Remove `scale`, or add a traffic router.";
                errors.push(FieldError::new(field("scale"), words));
            } else if i32::from(scale) < needed {
                let words = format!(
                    "{} % of the users meet {}; by the weight it would be {needed}.",
                    step.weight,
                    super::reach::count(i32::from(scale), "pod")
                );
                warnings.push(FieldError::new(field("scale"), words));
            }
        }
        if step.header.is_some() {
            let refused = match (&w.router, &w.header_route) {
                _ if !rollout => Some(format!(
                    "Users of a Deployment cannot be told apart by a header. Remove `header` from the plan for {name}."
                )),
                (None, _) => Some(
                    "Without a traffic router nothing reads headers. Remove `header`, or add one.".to_owned(),
                ),
                (Some(router), None) if !w.routes_headers => Some(format!(
                    "{router} sends nobody by a header at a step: Istio, ALB, APISIX and plugins can. Remove `header`."
                )),
                (Some(_), None) => Some(format!(
                    "{name} names no route that its controller may add. Write `managedRoutes: [{{name: canary-by-header}}]` \
                     under its trafficRouting."
                )),
                (Some(_), Some(_)) => None,
            };
            errors.extend(refused.map(|words| FieldError::new(field("header"), words)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{healthy, plan, step};
    use crate::plan::Step;

    fn header() -> Header {
        Header { name: "X-Canary".into(), value: "yes".into() }
    }

    /// Five pods at 5 %, then by the weight; a header at the first two steps.
    fn asking() -> Plan {
        let header = Some(header());
        plan(vec![
            Step { scale: Some(5), header: header.clone(), ..step(5, 60, &[]) },
            Step { header, ..step(20, 60, &[]) },
            step(50, 60, &[]),
            step(100, 0, &[]),
        ])
    }

    #[test]
    fn what_a_step_asks_for_holds_until_a_step_does_not_ask_for_it() {
        let (plan, header) = (asking(), header());
        let all: Vec<_> = (0..4).flat_map(|i| plan.told(i)).collect();
        use Told::{Header, Pause, Scale, Weight};
        let first = [Scale(Some(5)), Weight(5), Header(Some(&header)), Pause];
        let rest = [Scale(None), Weight(20), Pause, Weight(50), Header(None), Pause, Weight(100)];
        assert_eq!(all, [first.as_slice(), &rest].concat());
        assert_eq!(plan.asks(0), [("Pods", "5".to_owned()), ("Users with", "X-Canary: yes".to_owned())]);
        assert_eq!(plan.asks(2), []);
    }

    #[test]
    fn a_pause_is_where_the_controllers_steps_have_it() {
        for plan in [asking(), plan(vec![step(5, 60, &[]), step(50, 0, &[]), step(100, 60, &[])])] {
            let mut at = 0;
            for i in 0..plan.steps().len() {
                for told in plan.told(i) {
                    if told == Told::Pause {
                        assert_eq!((plan.pause_of(i), plan.step_at(at)), (at, Some(i)));
                    }
                    at += 1;
                }
            }
        }
    }

    fn refused(change: impl Fn(&mut Workload)) -> Vec<String> {
        let mut w = healthy();
        (w.routes_headers, w.header_route) = (true, Some("by-header".into()));
        change(&mut w);
        super::super::reach::check(&asking(), &w).0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_workload_cannot_do_is_refused_at_its_field() {
        assert_eq!(refused(|_| {}), Vec::<String>::new());
        let found = refused(|w| w.header_route = None);
        assert!(
            found[0].starts_with("spec.strategy.canary.steps[0].header: checkout names no route"),
            "{found:?}"
        );
        let found = refused(|w| (w.header_route, w.routes_headers) = (None, false));
        assert!(found.len() == 2 && found[1].contains("nginx sends nobody by a header"), "{found:?}");
        let found = refused(|w| (w.router, w.weights) = (None, None));
        assert!(found.iter().any(|f| f.contains("steps[0].scale: Without a traffic router")), "{found:?}");
        let found = refused(|w| w.strategy = crate::workload::Strategy::Rolling);
        assert!(found.iter().any(|f| f.contains("[0].scale: The second Deployment")), "{found:?}");
    }

    #[test]
    fn fewer_pods_than_the_weight_needs_are_told() {
        let few = plan(vec![Step { scale: Some(1), ..step(50, 60, &[]) }, step(100, 0, &[])]);
        let (errors, warnings) = super::super::reach::check(&few, &healthy());
        assert_eq!(errors, []);
        assert!(
            warnings[0].message.contains("50 % of the users meet 1 pod; by the weight it would be 4"),
            "{warnings:?}"
        );
    }
}
