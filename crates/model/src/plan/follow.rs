//! A canary Rollout's own steps, followed as they are: what the plan asks for at each pause without end, and, once a
//! release has begun, which weights the controller may walk to by itself before the next of them.
//!
//! Source: `spec.strategy.canary.steps` of Argo Rollouts (v1alpha1). A pause without `duration` lasts until somebody
//! opens it; everything else the controller leaves by itself.

use super::{Gate, Plan, Step, Strategy, Unweighted};
use crate::problem::FieldError;
use crate::span::Span;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{bake, gates}`: both hold at each pause without end of the Rollout's own steps. To the rest of the rules it is one
/// step for each of these pauses, and one from the last of them to the end; its weight is the highest that the
/// controller may reach by itself in between. Before the Rollout's steps are known it is one step, to 100 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Unweighted", into = "Unweighted")]
pub struct Follow {
    asked: Step,
    /// Empty before the Rollout's steps are known. Never part of the document, nor of its digest.
    legs: Vec<Leg>,
    /// The same as the rules read them: never empty.
    steps: Vec<Step>,
}

/// The way to one pause without end, or from the last of them to the end.
#[derive(Clone, Debug, PartialEq)]
struct Leg {
    /// The Rollout's steps in it, in words: `20 %`, `pause 5m`.
    words: Vec<String>,
    /// Index of the pause in the Rollout's steps; `None` for the leg to the end.
    pause: Option<i32>,
    /// The weight in force at its end.
    stands: u8,
}

impl Follow {
    pub fn new(bake: Span, gates: Vec<Gate>) -> Self {
        let asked = Step { weight: 100, bake, gates, ..Step::default() };
        Self { steps: vec![asked.clone()], asked, legs: Vec::new() }
    }

    /// What is asked for at each pause without end.
    pub fn asked(&self) -> &Step {
        &self.asked
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same along the Rollout's own steps.
    fn along(&self, own: Option<&Value>) -> Self {
        let (mut legs, mut steps) = (Vec::new(), Vec::new());
        let (mut weight, mut highest, mut words) = (0, 0, Vec::new());
        for (i, step) in own.and_then(Value::as_array).into_iter().flatten().enumerate() {
            if let Some(w) = weight_of(step) {
                weight = w;
                highest = highest.max(w);
            }
            words.push(in_words(step));
            if is_endless(step) {
                legs.push(Leg {
                    words: std::mem::take(&mut words),
                    pause: i32::try_from(i).ok(),
                    stands: weight,
                });
                steps.push(Step { weight: highest, ..self.asked.clone() });
                // The next leg begins where this one stands.
                highest = weight;
            }
        }
        legs.push(Leg { words, pause: None, stands: 100 });
        steps.push(Step { weight: 100, ..Step::default() });
        Self { asked: self.asked.clone(), legs, steps }
    }
}

fn weight_of(step: &Value) -> Option<u8> {
    let weight = step.get("setWeight")?.as_i64()?;
    u8::try_from(weight.clamp(0, 100)).ok()
}

/// A pause that only somebody ends.
fn is_endless(step: &Value) -> bool {
    step.get("pause").is_some_and(|pause| pause.is_object() && pause["duration"].is_null())
}

fn in_words(step: &Value) -> String {
    if let Some(weight) = weight_of(step) {
        return format!("{weight} %");
    }
    if is_endless(step) {
        return "pause without end".to_owned();
    }
    match (&step["pause"]["duration"], step.as_object().and_then(|s| s.keys().next())) {
        (Value::String(duration), _) => format!("pause {duration}"),
        (Value::Number(seconds), _) => format!("pause {seconds}s"),
        (_, Some(kind)) => kind.clone(),
        (_, None) => "step".to_owned(),
    }
}

impl From<Unweighted> for Follow {
    fn from(d: Unweighted) -> Self {
        Self::new(d.bake, d.gates)
    }
}

impl From<Follow> for Unweighted {
    fn from(f: Follow) -> Self {
        Self { bake: f.asked.bake, gates: f.asked.gates }
    }
}

impl Plan {
    /// The strategy, where the plan leaves a Rollout's own steps as they are.
    pub fn follows(&self) -> Option<&Follow> {
        match &self.spec.strategy {
            Strategy::Follow(follow) => Some(follow),
            Strategy::Canary(_) | Strategy::BlueGreen(_) | Strategy::Rolling(_) | Strategy::Shadow(_) => None,
        }
    }

    /// The plan for a release of a Rollout with these steps of its own; any other plan as it is. Its digest is the same.
    #[must_use]
    pub fn along(self, own: Option<&Value>) -> Self {
        match &self.spec.strategy {
            Strategy::Follow(follow) => {
                let strategy = Strategy::Follow(follow.along(own));
                Self { spec: super::Spec { strategy, ..self.spec }, ..self }
            }
            Strategy::Canary(_) | Strategy::BlueGreen(_) | Strategy::Rolling(_) | Strategy::Shadow(_) => self,
        }
    }

    /// Index in the Rollout's steps of the pause at which the plan's step `i` stands. A step of a plan that holds the
    /// weights is a weight and a pause, and what else it asks for; one that is followed without a pause ends with the
    /// Rollout's steps.
    pub fn pause_of(&self, i: usize) -> i32 {
        match self.follows() {
            Some(follow) => follow.legs.get(i).and_then(|leg| leg.pause).unwrap_or(i32::MAX),
            None => {
                let before = i32::try_from(i).unwrap_or(i32::MAX / 4).saturating_mul(2).saturating_add(1);
                before.saturating_add(
                    (0..self.steps().len()).take_while(|j| *j <= i).map(|j| self.extras(j)).sum(),
                )
            }
        }
    }

    /// The step that stands at this pause of the Rollout's.
    pub fn step_at(&self, pause: i32) -> Option<usize> {
        (0..self.steps().len()).find(|i| self.pause_of(*i) == pause)
    }

    /// The canary's weight at the end of a step, in percent. It may be lower than the highest on the way there.
    pub fn stands_at(&self, i: usize) -> Option<u8> {
        let leg = self.follows().and_then(|follow| follow.legs.get(i)).map(|leg| leg.stands);
        leg.or_else(|| self.steps().get(i).map(|s| s.weight))
    }

    /// The Rollout stands at the end of this step until a person opens its pause: its owner wrote it so.
    pub fn asks_a_person(&self, i: usize) -> bool {
        self.follows().is_some_and(|follow| follow.legs.get(i).is_some_and(|leg| leg.pause.is_some()))
    }

    /// The Rollout's own steps within the plan's step `i`, in words: `20 %, pause 5m, 40 %`.
    pub fn own_steps(&self, i: usize) -> Option<String> {
        let leg = self.follows()?.legs.get(i)?;
        (!leg.words.is_empty()).then(|| leg.words.join(", "))
    }

    /// What the plan asks for, and these steps of a Rollout's own have no place for.
    pub fn unplaced(&self, own: Option<&Value>) -> Option<FieldError> {
        self.follows().filter(|follow| follow.asked.holds())?;
        let endless = own.and_then(Value::as_array).is_some_and(|steps| steps.iter().any(is_endless));
        (!endless).then(|| {
            let words = "The Rollout's own steps have no pause without end (`pause: {}`), so nothing would wait for this \
                         bake and these gates. Add one to the Rollout, remove them here, or write `canary` with its steps.";
            FieldError::new("spec.strategy.follow", words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::sample::{plan, step};
    use serde_json::json;

    fn following(own: &Value) -> Plan {
        let mut p = plan(vec![step(100, 0, &[])]);
        p.spec.strategy = Strategy::Follow(Follow::new(Span(60), vec![Gate::Analysis]));
        let digest = p.digest();
        let along = p.along(Some(own));
        assert_eq!(along.digest(), digest, "what was approved does not change by what is followed");
        along
    }

    fn shape(p: &Plan) -> Vec<(u8, Option<u8>, i32, bool)> {
        let at = |i: usize| (p.steps()[i].weight, p.stands_at(i), p.pause_of(i), p.asks_a_person(i));
        (0..p.steps().len()).map(at).collect()
    }

    #[test]
    fn each_pause_without_end_ends_a_step_and_the_rest_goes_to_the_end() {
        let p = following(
            &json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "2s"}}]),
        );
        assert_eq!(shape(&p), [(20, Some(20), 1, true), (100, Some(100), i32::MAX, false)]);
        assert!(p.steps()[0].holds() && !p.steps()[1].holds());
        assert_eq!(p.own_steps(0).as_deref(), Some("20 %, pause without end"));
        assert_eq!(p.own_steps(1).as_deref(), Some("60 %, pause 2s"));
        assert_eq!((p.step_at(1), p.step_at(3)), (Some(0), None));
    }

    #[test]
    fn a_step_allows_the_highest_weight_on_the_way_to_its_pause() {
        let own = json!([{"setWeight": 50}, {"pause": {"duration": 30}}, {"setWeight": 20}, {"pause": {}},
            {"setWeight": 10}, {"pause": {"duration": null}}, {"analysis": {"templates": []}}]);
        let p = following(&own);
        let legs = [(50, Some(20), 3, true), (20, Some(10), 5, true), (100, Some(100), i32::MAX, false)];
        assert_eq!(shape(&p), legs);
        assert_eq!(p.own_steps(0).as_deref(), Some("50 %, pause 30s, 20 %, pause without end"));
        assert_eq!(p.own_steps(2).as_deref(), Some("analysis"));
    }

    #[test]
    fn without_a_pause_all_is_allowed_from_the_start_and_nothing_could_be_asked() {
        let own = json!([{"setWeight": 20}, {"pause": {"duration": "1m"}}]);
        let p = following(&own);
        assert_eq!(shape(&p), [(100, Some(100), i32::MAX, false)]);
        assert!(p.unplaced(Some(&own)).is_some_and(|e| e.message.contains("no pause without end")));
        assert_eq!(p.unplaced(Some(&json!([{"pause": {}}]))), None);
        let mut free = p;
        free.spec.strategy = Strategy::Follow(Follow::new(Span::ZERO, Vec::new()));
        assert_eq!(free.unplaced(Some(&own)), None);
    }
}
