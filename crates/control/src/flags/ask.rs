//! "Who gets it?": a flag asked as a service would ask, with every step that led to the answer.

use crate::Control;
use crate::read::see;
use flags::Context;
use model::problem::FieldError;
use model::view::{FlagAnswer, FlagQuestion, FlagStep};
use model::{Actor, Problem};
use serde_json::{Map, Value};

/// Longest context, in bytes.
const LONGEST: usize = 64 * 1024;

impl Control {
    /// What a flag would be for whoever the question describes. Nothing is counted.
    ///
    /// # Errors
    /// 403; 404; 422 at `context` where that is no JSON object.
    pub fn try_flag(
        &self,
        actor: &Actor,
        cluster: &str,
        namespace: &str,
        key: &str,
        question: &FlagQuestion,
    ) -> Result<FlagAnswer, Problem> {
        see(actor)?;
        let place = (cluster.to_owned(), namespace.to_owned());
        let (served, _) = self.flag(&place, key)?;
        let wrong = |words: String| Problem::invalid(vec![FieldError::new("context", words)]);
        if question.context.len() > LONGEST {
            return Err(wrong("Keep it under 64 KiB.".to_owned()));
        }
        let asked = match question.context.trim() {
            "" => "{}",
            text => text,
        };
        let context: Map<String, Value> = serde_json::from_str(asked).map_err(|e| {
            wrong(format!("Is no JSON object: {e}. Write one, as in {{\"targetingKey\": \"user-1\"}}."))
        })?;
        let environment = question.environment.as_deref().map(str::trim).filter(|e| !e.is_empty());
        let context = Context::from(context);
        let explained = served.evaluator.explain(key, &context, environment);
        let answer = explained.answer;
        Ok(FlagAnswer {
            words: explained.words,
            value: answer.value.filter(|_| answer.error.is_none()).map(ToString::to_string),
            variant: answer.variant.map(str::to_owned),
            reason: answer.reason.key().to_owned(),
            error: answer.error.map(|e| e.key().to_owned()),
            steps: explained
                .steps
                .into_iter()
                .map(|s| FlagStep { passed: s.passed, title: s.title, words: s.words })
                .collect(),
        })
    }
}
