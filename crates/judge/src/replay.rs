//! Verdicts again, from what is stored: each must come out as it was.

use crate::thin::window;
use crate::{RULE, verdict};
use model::verdict::{Sample, Verdict};

/// How a stored verdict came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Replayed {
    /// As it was, in every figure and word.
    Same,
    /// Not as it was: this is what the samples say.
    Other(Box<Verdict>),
    /// It was reached by the rule of another version, which is not kept.
    OtherRule,
}

/// Each of `verdicts` recomputed from the release's `samples`, in their order. `told` is what the plan makes of a verdict's words.
pub fn replay(samples: &[Sample], verdicts: &[Verdict], told: impl Fn(Verdict) -> Verdict) -> Vec<Replayed> {
    let again = |stored: &Verdict| {
        if stored.rule != RULE {
            return Replayed::OtherRule;
        }
        let mut then: Vec<Sample> =
            samples.iter().filter(|s| s.step == stored.step && s.at <= stored.at).cloned().collect();
        then.sort_by_key(|s| s.at);
        let found = told(verdict(window(&then), stored.step, &stored.limits, stored.at));
        if found == *stored { Replayed::Same } else { Replayed::Other(Box::new(found)) }
    };
    verdicts.iter().map(again).collect()
}
