//! AnalysisTemplates that a plan has Tidegate evaluate by itself: at a step of its own, or at each step with the gate `analysis`.

use super::{Plan, Strategy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An AnalysisTemplate of the workload's namespace, or a ClusterAnalysisTemplate, with values for its arguments. Written as its
/// name alone where that is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Template {
    pub name: String,
    /// It is a ClusterAnalysisTemplate.
    pub cluster: bool,
    /// Values by argument. What stands in double braces in one is filled in when the step is reached: see [`FILLED`].
    pub args: BTreeMap<String, String>,
}

/// What a value may hold in double braces, as in `{{canary-hash}}`.
pub const FILLED: [&str; 6] =
    ["service-name", "namespace", "workload", "environment", "canary-hash", "stable-hash"];

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Whole {
        name: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cluster: bool,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        args: BTreeMap<String, String>,
    },
}

impl From<Written> for Template {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Self { name, ..Self::default() },
            Written::Whole { name, cluster, args } => Self { name, cluster, args },
        }
    }
}

impl From<Template> for Written {
    fn from(t: Template) -> Self {
        match (t.cluster, t.args.is_empty()) {
            (false, true) => Self::Name(t.name),
            _ => Self::Whole { name: t.name, cluster: t.cluster, args: t.args },
        }
    }
}

impl Template {
    /// `AnalysisTemplate` or `ClusterAnalysisTemplate`.
    pub fn kind(&self) -> &'static str {
        if self.cluster { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" }
    }

    /// Names in double braces that a value holds.
    pub fn asks(value: &str) -> impl Iterator<Item = &str> {
        value.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
    }
}

/// A value with what is in double braces filled in.
pub fn filled(value: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(value.to_owned(), |text, (name, with)| text.replace(&format!("{{{{{name}}}}}"), with))
}

impl Plan {
    /// What is evaluated at a step, in order: its own templates, then, where it has the gate `analysis`, those of the whole plan.
    pub fn templates_at(&self, index: usize) -> Vec<&Template> {
        let Some(step) = self.steps().get(index) else { return Vec::new() };
        let whole = self.spec.analysis.templates.iter().filter(|_| step.has_analysis());
        step.templates.iter().chain(whole).collect()
    }

    /// Whether anything is evaluated at any step.
    pub fn has_templates(&self) -> bool {
        (0..self.steps().len()).any(|i| !self.templates_at(i).is_empty())
    }

    /// Each template that is named, with the field that names it.
    pub fn templates(&self) -> Vec<(String, &Template)> {
        let whole = self.spec.analysis.templates.iter().enumerate();
        let mut all: Vec<_> = whole.map(|(i, t)| (format!("spec.analysis.templates[{i}]"), t)).collect();
        // Only a canary's steps have some of their own.
        if let Strategy::Canary(canary) = &self.spec.strategy {
            for (i, step) in canary.steps.iter().enumerate() {
                let field = |n| format!("spec.strategy.canary.steps[{i}].templates[{n}]");
                all.extend(step.templates.iter().enumerate().map(|(n, t)| (field(n), t)));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{plan, step};
    use crate::plan::Gate;

    #[test]
    fn a_name_alone_is_written_as_one_and_keeps_the_digest_of_plans_from_before() {
        let json = |t: &Template| serde_json::to_value(t).unwrap();
        let bare = Template { name: "success-rate".into(), ..Template::default() };
        assert_eq!(json(&bare), "success-rate");
        let args = BTreeMap::from([("who".to_owned(), "{{ canary-hash }} {{namespace}}".to_owned())]);
        assert_eq!(Template::asks(&args["who"]).collect::<Vec<_>>(), ["canary-hash", "namespace"]);
        let whole = Template { cluster: true, args, ..bare.clone() };
        for t in [bare, whole] {
            assert_eq!(serde_json::from_value::<Template>(json(&t)).unwrap(), t);
        }
    }

    #[test]
    fn a_step_evaluates_its_own_and_those_of_the_plan_where_it_has_an_analysis() {
        let named = |name: &str| Template { name: name.into(), ..Template::default() };
        let mut p = plan(vec![step(5, 0, &[]), step(50, 0, &[Gate::Analysis]), step(100, 0, &[])]);
        assert!(!p.has_templates());
        p.spec.analysis.templates = vec![named("whole")];
        if let Strategy::Canary(canary) = &mut p.spec.strategy {
            canary.steps[0].templates = vec![named("own")];
            canary.steps[1].templates = vec![named("more")];
        }
        let at = |i| p.templates_at(i).iter().map(|t| t.name.as_str()).collect::<Vec<_>>();
        assert_eq!([at(0), at(1), at(2), at(3)], [vec!["own"], vec!["more", "whole"], vec![], vec![]]);
        let fields: Vec<_> = p.templates().into_iter().map(|(field, _)| field).collect();
        let steps = "spec.strategy.canary.steps";
        let expected = [
            "spec.analysis.templates[0]".to_owned(),
            format!("{steps}[0].templates[0]"),
            format!("{steps}[1].templates[0]"),
        ];
        assert_eq!(fields, expected);
        assert!(p.steps()[0].holds(), "a step waits for its templates");
    }

    #[test]
    fn values_are_filled_in() {
        let names = [("canary-hash", "abc"), ("namespace", "shop")];
        assert_eq!(filled("{{namespace}}/{{canary-hash}}", &names), "shop/abc");
    }
}
