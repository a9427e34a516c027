//! "Who gets it?": the answer with every step that led to it, in plain words.

use crate::context::Context;
use crate::evaluate::{Answer, Evaluator, Step, Trace};
use crate::share::Share;
use serde::Serialize;

/// An answer, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'e> {
    pub answer: Answer<'e>,
    /// In the order they were taken. A rule that did not pass leads to the next one; anything else that did not ends the way.
    pub steps: Vec<ExplainedStep>,
    /// The user's bucket and the share it was held against, where a share decided: in thousandths of a percent.
    pub bucket: Option<(u32, Share)>,
    /// The whole in a sentence.
    pub words: String,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedStep {
    pub passed: bool,
    pub title: String,
    pub words: String,
}

#[derive(Default)]
struct Told {
    steps: Vec<ExplainedStep>,
    bucket: Option<(u32, Share)>,
}

impl Trace for Told {
    fn step(&mut self, step: impl FnOnce() -> Step) {
        let Step { passed, title, words } = step();
        self.steps.push(ExplainedStep { passed, title, words });
    }

    fn bucket(&mut self, bucket: u32, share: u32) {
        self.bucket = Share::from_buckets(share).map(|share| (bucket, share));
    }
}

/// Within so many buckets of the share, somebody is in or out only just: half a percent.
const CLOSE: u32 = 500;

impl Evaluator {
    /// As [`Self::evaluate`], with every step in words. The steps are those of the evaluation itself.
    pub fn explain(&self, key: &str, context: &Context, environment: Option<&str>) -> Explanation<'_> {
        let mut told = Told::default();
        let Some(answer) = self.traced(key, context, environment, &mut told) else {
            let answer = self.evaluate(key, context, environment);
            let words = format!("There is no flag {key}: services use what their code says.");
            return Explanation { answer, steps: Vec::new(), bucket: None, words };
        };
        let who = context.targeting_key().unwrap_or("A user without a targeting key");
        let got = answer.variant.unwrap_or("nothing");
        let just = told.bucket.filter(|(bucket, share)| bucket.abs_diff(share.buckets()) <= CLOSE);
        let tail = match (told.bucket, just) {
            (Some((bucket, share)), just) => {
                let near = if just.is_some() { ", but only just" } else { "" };
                format!("{near}: bucket {}.{:03}, share {}.", bucket / 1000, bucket % 1000, share.words())
            }
            (None, _) => {
                let last = told.steps.iter().rev().find(|s| !s.passed).or(told.steps.last());
                last.map_or_else(|| ".".to_owned(), |s| format!(". {}", s.words))
            }
        };
        let words = format!("{who} gets {got}{tail}");
        Explanation { answer, steps: told.steps, bucket: told.bucket, words }
    }
}
