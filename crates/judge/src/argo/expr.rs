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

    /// Whether anything in it is `test`.
    pub(super) fn any(&self, test: impl Fn(&ast::Node) -> bool) -> bool {
        self.0.any(&test)
    }
}

/// What a condition names, for [`super::diagnose`].
pub(super) mod shape {
    use super::ast::{Binary, Kind, Node};

    /// `result[0]`, `result[1]`, …
    pub(in super::super) fn indexes_result(node: &Node) -> bool {
        matches!(&node.kind, Kind::Member { of, property, .. }
            if matches!(&of.kind, Kind::Name(n) if n == "result") && matches!(property.kind, Kind::Int(_)))
    }

    /// `len(result)`
    pub(in super::super) fn measures_result(node: &Node) -> bool {
        matches!(&node.kind, Kind::Builtin { name: "len" | "count", args }
            if args.first().is_some_and(|a| matches!(&a.kind, Kind::Name(n) if n == "result")))
    }

    /// A call of `isNil` or `default` on something else than the whole result.
    pub(in super::super) fn asks_part(node: &Node) -> bool {
        matches!(&node.kind, Kind::Call { of, args }
            if matches!(&of.kind, Kind::Name(n) if n == "isNil" || n == "default")
                && args.first().is_some_and(|a| !matches!(&a.kind, Kind::Name(n) if n == "result")))
    }

    /// A number that is written out.
    pub(in super::super) fn number(node: &Node) -> Option<f64> {
        match node.kind {
            #[expect(clippy::cast_precision_loss, reason = "a limit that a person wrote")]
            Kind::Int(i) => Some(i as f64),
            Kind::Float(f) => Some(f),
            _ => None,
        }
    }

    /// Anything but comparisons of what is there with what is written out.
    pub(in super::super) fn computes(node: &Node) -> bool {
        match &node.kind {
            Kind::Binary(op, ..) => matches!(
                op,
                Binary::Add
                    | Binary::Subtract
                    | Binary::Multiply
                    | Binary::Divide
                    | Binary::Modulo
                    | Binary::Power
            ),
            Kind::Call { of, .. } => !matches!(&of.kind, Kind::Name(n) if n == "isNaN" || n == "isInf"),
            Kind::Builtin { name, .. } => !matches!(*name, "len" | "all" | "any" | "none"),
            _ => false,
        }
    }

    /// A call of this function.
    pub(in super::super) fn calls(node: &Node, function: &str) -> bool {
        matches!(&node.kind, Kind::Call { of, .. } if matches!(&of.kind, Kind::Name(n) if n == function))
    }
}
