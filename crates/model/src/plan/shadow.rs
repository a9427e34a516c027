//! Copies of requests before any user: a second Deployment answers copies of users' requests, its answers are judged and
//! thrown away; then the user's own Deployment takes the version over.

use super::{Gate, Plan, Step, Strategy, Unweighted};
use crate::span::Span;
use serde::{Deserialize, Serialize};

/// `{percent, bake, gates, after: {bake, gates}}`. To the rest of the rules it is two steps: the copies, of which users
/// see nothing, and the time after the Deployment has taken the version over.
///
/// It always ends with the version at all users, or back where it began: a release that succeeded without its version
/// running would be no known-good version, and no release. Who only wants to look stops the copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ShadowDocument", into = "ShadowDocument")]
pub struct Shadow {
    percent: u8,
    steps: [Step; 2],
}

impl Shadow {
    /// Index of the step at which requests are copied.
    pub const COPIES: usize = 0;

    /// Bake and gates while requests are copied, and after the Deployment has taken the version over.
    pub fn new(percent: u8, copies: (Span, Vec<Gate>), after: (Span, Vec<Gate>)) -> Self {
        let step = |weight, (bake, gates)| Step { weight, bake, gates, ..Step::default() };
        Self { percent, steps: [step(0, copies), step(100, after)] }
    }
    /// Of a hundred requests, how many are copied.
    pub fn percent(&self) -> u8 {
        self.percent
    }
    pub fn copies(&self) -> &Step {
        &self.steps[Self::COPIES]
    }
    pub fn after(&self) -> &Step {
        &self.steps[1]
    }
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// As it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShadowDocument {
    percent: u8,
    #[serde(default)]
    bake: Span,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gates: Vec<Gate>,
    #[serde(default, skip_serializing_if = "Unweighted::is_empty")]
    after: Unweighted,
}

impl From<ShadowDocument> for Shadow {
    fn from(d: ShadowDocument) -> Self {
        Self::new(d.percent, (d.bake, d.gates), (d.after.bake, d.after.gates))
    }
}

impl From<Shadow> for ShadowDocument {
    fn from(s: Shadow) -> Self {
        let [copies, after] = s.steps;
        let after = Unweighted { bake: after.bake, gates: after.gates };
        Self { percent: s.percent, bake: copies.bake, gates: copies.gates, after }
    }
}

impl Plan {
    /// The strategy, where requests are copied before any user is sent to the new version.
    pub fn shadow(&self) -> Option<&Shadow> {
        match &self.spec.strategy {
            Strategy::Shadow(shadow) => Some(shadow),
            Strategy::Canary(_) | Strategy::BlueGreen(_) | Strategy::Rolling(_) | Strategy::Follow(_) => None,
        }
    }

    /// Percent of requests that a step copies; `None` for one that sends users themselves.
    pub fn copied_at(&self, index: usize) -> Option<u8> {
        self.shadow().filter(|_| index == Shadow::COPIES).map(Shadow::percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{copying, deployment, front, healthy, mirror, plan};
    use crate::plan::{reach, read::from_yaml};
    use crate::role::Role;
    use crate::workload::Workload;

    fn document(strategy: &str) -> String {
        plan(vec![]).to_yaml().replace("    canary:\n      steps:\n", &format!("    {strategy}\n"))
    }

    fn read(strategy: &str) -> Plan {
        from_yaml(&document(strategy)).unwrap().plan
    }

    fn behind(change: impl FnOnce(&mut Workload)) -> Workload {
        let mut w = deployment();
        (w.fronts, w.mirror) = (vec![front(false)], Some(Box::new(mirror(0))));
        change(&mut w);
        w
    }

    #[test]
    fn a_shadow_is_copies_and_then_all_users() {
        let text =
            "shadow: {percent: 20, bake: 10m, gates: [analysis, {approval: on-call}], after: {bake: 1m}}";
        let plan = read(text);
        let copies = Step {
            weight: 0,
            bake: Span(600),
            gates: vec![Gate::Analysis, Gate::Approval(Role::OnCall)],
            ..Step::default()
        };
        assert_eq!(
            plan.steps(),
            [copies, Step { weight: 100, bake: Span(60), gates: vec![], ..Step::default() }]
        );
        assert_eq!([plan.step_name(0), plan.step_name(1)], ["Copies of 20 %", "100 %"]);
        assert_eq!((plan.copied_at(0), plan.copied_at(1)), (Some(20), None));
        assert_eq!((plan.judges(0), plan.judges(1)), (Some("copies"), Some("the new version")));
        assert_eq!(
            (plan.step_place(0), plan.step_leads_to(0)),
            ("on copies of 20 %".into(), "all users".into())
        );
        assert!(plan.to_yaml().contains(&format!("    {text}\n")), "{}", plan.to_yaml());
        let again = from_yaml(&plan.to_yaml()).unwrap().plan;
        assert_eq!((again.digest(), &again), (plan.digest(), &plan));
        let short = "shadow: {percent: 1, gates: [analysis]}";
        assert!(read(short).to_yaml().contains(&format!("    {short}\n")));
        assert_ne!(read(short).digest(), read("shadow: {percent: 2, gates: [analysis]}").digest());
    }

    #[test]
    fn what_a_copy_does_beside_being_judged_is_said_and_its_faults_are_named() {
        let warnings = from_yaml(&document("shadow: {percent: 20, gates: [analysis]}")).unwrap().warnings;
        let told = warnings
            .iter()
            .any(|w| w.field == "spec.strategy.shadow.percent" && w.message.contains("done twice"));
        assert!(told, "{warnings:?}");
        let fault = |strategy: &str| {
            let fault = from_yaml(&document(strategy)).unwrap_err().fields.remove(0);
            (fault.field, fault.message)
        };
        for none in ["shadow: {percent: 20}", "shadow: {percent: 20, gates: [{approval: on-call}]}"] {
            let (field, words) = fault(none);
            assert_eq!(field, "spec.strategy.shadow.gates");
            assert!(words.contains("only an analysis can judge them"), "{words}");
        }
        assert_eq!(fault("shadow: {gates: [analysis]}").0, "spec.strategy.shadow.percent");
        assert_eq!(fault("shadow: {percent: 0, gates: [analysis]}").0, "spec.strategy.shadow.percent");
        assert_eq!(fault("shadow: {percent: 101, gates: [analysis]}").0, "spec.strategy.shadow.percent");
        assert!(
            fault("shadow: {percent: 5, gates: [analysis], weight: 5}")
                .1
                .contains("Known: percent, bake, gates, after")
        );
        let (field, words) = fault("{shadow: {percent: 5, gates: [analysis]}, rolling: {}}");
        assert_eq!((field.as_str(), words.contains("one strategy")), ("spec.strategy.rolling", true));
    }

    #[test]
    fn only_a_deployment_behind_one_rule_of_an_http_route_is_copied() {
        let plan = read("shadow: {percent: 20, gates: [analysis]}");
        let check = |w: &Workload| reach::check(&plan, w);
        let (errors, warnings) = check(&behind(|_| {}));
        assert_eq!(errors, []);
        assert!(warnings[0].message.contains("by 2 more pods beside 8 replicas"), "{warnings:?}");
        assert!(reach::strategies(&behind(|_| {})).contains(&"shadow"));
        let refused = |w: &Workload, part: &str| {
            let (errors, _) = check(w);
            assert!(
                errors.iter().any(|e| e.field.starts_with("spec.strategy") && e.message.contains(part)),
                "{errors:?}"
            );
            assert!(!reach::strategies(w).contains(&"shadow"));
        };
        refused(&deployment(), "No HTTPRoute leads to a Service in front of checkout");
        refused(
            &behind(|w| w.mirror.as_mut().unwrap().unfit = Some("By several rules.".into())),
            "several rules",
        );
        refused(&behind(|w| w.fronts.clear()), "No Service selects");
        refused(&healthy(), "is a canary Rollout");
        let mut left = copying(2, 20);
        left.twin = None;
        assert!(check(&left).0[0].message.contains("which is not there. Take that filter out first"));
    }
}
