//! The part of the language expr (<https://expr-lang.org>, v1.17) that a condition is written in.
//!
//! As in the original, an expression is checked against the types of what it is about to be evaluated on *before* it is
//! evaluated: `true || result[0] > 1` is an error where the result is one number, though its right side would never be
//! reached. So the same condition can be an error on one answer and true on the next.
//!
//! Whatever the text, reading it ends and does not panic: its length, its depth, the work and the memory it may cost are
//! bounded. The bounds are far above what a person writes.
//!
//! Not done: `toJSON`, base 64, time zones but UTC, methods of times, closures over a map. Each says so. Not copied: that the
//! original fails where a `findLast` stands right of an operator.

mod ast;
mod builtins;
mod check;
mod compare;
mod eval;
mod fault;
mod functions;
mod lexer;
mod loops;
mod parser;
pub(super) mod pattern;
mod rewrite;
mod text;
mod types;
mod value;

use chrono::{DateTime, Utc};

pub use fault::{Fault, Kind};
pub(super) use value::Value;

/// A parsed expression.
#[derive(Clone, Debug)]
pub(super) struct Program(ast::Node);

impl Program {
    /// # Errors
    /// What is wrong with the text.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        parser::parse(text).map(Self)
    }

    /// Its value where `result` is `result` and now is `now`. Without a result, only what a range query's times
    /// may name is known.
    ///
    /// # Errors
    /// What does not fit: types, indexes, calls.
    pub(super) fn run(&self, result: Option<&Value>, now: DateTime<Utc>) -> Result<Value, Fault> {
        let mut node = self.0.clone();
        check::check(&mut node, result)?;
        let node = rewrite::rewrite(node)?;
        eval::Machine::new(result, now).eval(&node)
    }
}
