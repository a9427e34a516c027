//! `tidegate flag`: a file asked and checked without a server.

use crate::context::Context;
use crate::evaluate::Evaluator;
use crate::fault::Fault;
use crate::file::File;
use crate::ofrep::{self, Evaluation};
use serde_json::{Map, Value, json};

/// What is asked of a file.
#[derive(Clone, Debug, Default)]
pub struct Question<'q> {
    /// `None`: every flag.
    pub key: Option<&'q str>,
    /// A JSON object.
    pub context: &'q str,
    pub environment: Option<&'q str>,
    pub explain: bool,
}

/// The answer as JSON, in the protocol's form; explained, with `steps` and `words` beside each flag.
///
/// # Errors
/// In words: the file's faults, or what is wrong with the context.
pub fn answer(text: &str, question: &Question<'_>) -> Result<Value, String> {
    let file = File::parse(text).map_err(|faults| told(&faults))?;
    let context: Map<String, Value> = serde_json::from_str(question.context).map_err(|e| {
        format!("The context is no JSON object: {e}. Write one, as in '{{\"targetingKey\": \"user-1\"}}'.")
    })?;
    let context = Context::from(context);
    let evaluator = Evaluator::new(&file);
    let one = |key: &str| {
        let found = ofrep::single(&evaluator, key, &context, question.environment);
        let found = found.map_or_else(Evaluation::Failure, Evaluation::Success);
        let mut said = serde_json::to_value(found).unwrap_or(Value::Null);
        if question.explain
            && let Value::Object(map) = &mut said
        {
            let explained = evaluator.explain(key, &context, question.environment);
            map.insert("words".into(), json!(explained.words));
            map.insert("steps".into(), json!(explained.steps));
            if let Some((bucket, share)) = explained.bucket {
                map.insert("bucket".into(), json!(bucket));
                map.insert("share".into(), json!(share.buckets()));
            }
        }
        said
    };
    Ok(match question.key {
        Some(key) => one(key),
        None => json!({ "flags": evaluator.keys().map(one).collect::<Vec<_>>() }),
    })
}

/// What the file says in a line, or every fault in a line of its own.
///
/// # Errors
/// The faults, one a line.
pub fn check(text: &str) -> Result<String, String> {
    let file = File::parse(text).map_err(|faults| told(&faults))?;
    let on = file.flags.iter().filter(|f| f.is_on()).count();
    let killed = file.flags.iter().filter(|f| f.killed.is_some()).count();
    let flags = file.flags.len();
    Ok(format!("{flags} flags: {on} on, {} off, {killed} killed", flags - on - killed))
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
