//! What a flag is for somebody. Total: every file without faults and every context give an answer, and the same one each time.
//!
//! A file is compiled once; an evaluation then neither parses nor allocates (but for a share by a numeric attribute, whose digits are
//! hashed).

mod compile;
mod walk;

use crate::context::{Attribute, Context};
use crate::file::File;
use crate::matcher::Test;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::HashMap;

pub(crate) use walk::{Step, Trace};

/// A file made ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Evaluator {
    flags: Vec<Compiled>,
    index: HashMap<Box<str>, usize>,
}

/// A flag made ready.
#[derive(Clone, Debug)]
struct Compiled {
    key: Box<str>,
    state: State,
    environment: Option<Box<str>>,
    salt: Box<str>,
    prerequisites: Vec<(usize, Option<usize>)>,
    /// The flag's own conditions and share are the last of them.
    rules: Vec<CompiledRule>,
    variants: Vec<(Box<str>, Value)>,
    default: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    On,
    Off,
    Killed,
}

#[derive(Clone, Debug)]
struct CompiledRule {
    name: Box<str>,
    tests: Vec<Test>,
    /// Buckets below it are in.
    share: u32,
    by: Attribute,
    serve: CompiledServe,
}

#[derive(Clone, Debug)]
enum CompiledServe {
    One(usize),
    /// Buckets below the first number get the variant.
    Split(Vec<(u32, usize)>),
}

/// Why the answer is what it is, in OpenFeature's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The same for everybody.
    Static,
    /// Conditions decided.
    TargetingMatch,
    /// A share of users decided.
    Split,
    /// The flag is off, killed, or not for this environment.
    Disabled,
    /// No conditions held, or a prerequisite did not.
    Default,
    /// There is no answer, or only the safe one; `error` says why.
    Error,
}

/// What went wrong, in OpenFeature's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    FlagNotFound,
    /// A share of users was asked for, and nobody said which user.
    TargetingKeyMissing,
    InvalidContext,
    ParseError,
    General,
}

impl Reason {
    pub fn key(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
            Self::Default => "DEFAULT",
            Self::Error => "ERROR",
        }
    }
}

impl ErrorCode {
    pub fn key(self) -> &'static str {
        match self {
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::ParseError => "PARSE_ERROR",
            Self::General => "GENERAL",
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.key())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.key())
    }
}

/// What a flag is for somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'e> {
    /// `None` for an unknown flag only. With an error it is the default variant's: safe, and not decided by the rules.
    pub value: Option<&'e Value>,
    pub variant: Option<&'e str>,
    pub reason: Reason,
    pub error: Option<ErrorCode>,
}

impl Answer<'_> {
    /// The value as the older reader has it: on or off, and off for an unknown flag.
    pub fn is_on(&self) -> bool {
        self.value.and_then(Value::as_bool).unwrap_or(false)
    }
}

impl Evaluator {
    pub fn new(file: &File) -> Self {
        compile::compile(file)
    }

    /// What the flag is for whoever `context` describes. Without an environment it is not asked where the flag counts.
    pub fn evaluate(&self, key: &str, context: &Context, environment: Option<&str>) -> Answer<'_> {
        match self.index.get(key) {
            Some(&i) => self.answer(i, context, environment),
            None => Answer {
                value: None,
                variant: None,
                reason: Reason::Error,
                error: Some(ErrorCode::FlagNotFound),
            },
        }
    }

    /// Every flag's key and answer, in the order of the file.
    pub fn evaluate_all<'e>(
        &'e self,
        context: &'e Context,
        environment: Option<&'e str>,
    ) -> impl Iterator<Item = (&'e str, Answer<'e>)> {
        let each = self.flags.iter().enumerate();
        each.map(move |(i, flag)| (&*flag.key, self.answer(i, context, environment)))
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().map(|f| &*f.key)
    }

    pub fn len(&self) -> usize {
        self.flags.len()
    }

    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    fn answer(&self, i: usize, context: &Context, environment: Option<&str>) -> Answer<'_> {
        walk::walk(self, i, context, environment, &mut walk::Silent)
    }

    /// As [`Self::evaluate`], told step by step; `None` for an unknown flag.
    pub(crate) fn traced(
        &self,
        key: &str,
        context: &Context,
        environment: Option<&str>,
        trace: &mut impl Trace,
    ) -> Option<Answer<'_>> {
        let &i = self.index.get(key)?;
        Some(walk::walk(self, i, context, environment, trace))
    }
}
