//! One condition, made ready: what can be worked out once is not worked out for every user.

use crate::context::{Attribute, Context};
use crate::file::{Condition, Operator};
use crate::number::{Network, Number, Version, VersionRef, address, moment};
use chrono::{DateTime, Utc};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

/// Longest pattern, in bytes.
const LONGEST_PATTERN: usize = 1024;
/// What a compiled pattern may take, in bytes. `^\w+@\w+$` takes a quarter of it, since a `\w` knows all scripts; `(a{1000}){1000}` more.
const LARGEST_PATTERN: usize = 256 * 1024;
/// From so many values on, a set is quicker than a look at each.
const MANY: usize = 8;

/// A condition made ready.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    attribute: Attribute,
    negated: bool,
    how: How,
    /// In words, for explanations.
    pub(crate) words: Box<str>,
}

#[derive(Clone, Debug)]
enum How {
    /// The text, and the number that it is, so that `5` holds for 5 and "5".
    Equals(Vec<(Box<str>, Option<Number>)>),
    /// The same for many.
    Among(HashSet<Box<str>>, HashSet<Number>),
    Contains(Vec<Box<str>>),
    Starts(Vec<Box<str>>),
    Ends(Vec<Box<str>>),
    Matches(Vec<Regex>),
    Number(Number, Wanted),
    Version(Version, Wanted),
    Network(Vec<Network>),
    Moment(DateTime<Utc>, Wanted),
    /// In any of these; all tests of one must hold. Shared: a segment may be long, and asked for by every flag.
    Segment(Vec<Arc<[Test]>>),
}

/// Which orders of attribute to value are wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    less: bool,
    equal: bool,
    greater: bool,
}

impl Wanted {
    fn of(operator: Operator) -> Self {
        use Operator as O;
        let is = |all: &[O]| all.contains(&operator);
        Self {
            less: is(&[O::LessThan, O::AtMost, O::VersionBelow, O::VersionAtMost, O::Before]),
            equal: is(&[O::AtLeast, O::AtMost, O::VersionEquals, O::VersionAtLeast, O::VersionAtMost]),
            greater: is(&[O::GreaterThan, O::AtLeast, O::VersionAbove, O::VersionAtLeast, O::After]),
        }
    }

    fn has(self, order: Ordering) -> bool {
        match order {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }
}

impl Test {
    /// `segment` finds the tests of a segment by its name.
    ///
    /// # Errors
    /// What is wrong with the value, then what to do.
    pub(crate) fn new(
        condition: &Condition,
        segment: &dyn Fn(&str) -> Option<Arc<[Self]>>,
    ) -> Result<Self, String> {
        use Operator as O;
        let operator = condition.operator;
        let operands = condition.operands();
        if operands.is_empty() {
            return Err(format!("Has nothing to compare with. Write `value: …` for `{}`.", operator.key()));
        }
        let boxed = || operands.iter().map(|t| Box::from(*t)).collect::<Vec<_>>();
        let one = || match operands.as_slice() {
            [one] => Ok(*one),
            _ => Err(format!("Must be one value for `{}`, not {}.", operator.key(), operands.len())),
        };
        let each = |form: &str, what: &str| format!("`{what}` is not {form}.");
        let how = match operator {
            O::Equals | O::NotEquals | O::In | O::NotIn if operands.len() >= MANY => How::Among(
                boxed().into_iter().collect(),
                operands.iter().filter_map(|t| Number::parse(t)).collect(),
            ),
            O::Equals | O::NotEquals | O::In | O::NotIn => {
                How::Equals(operands.iter().map(|t| (Box::from(*t), Number::parse(t))).collect())
            }
            O::Contains | O::NotContains => How::Contains(boxed()),
            O::StartsWith => How::Starts(boxed()),
            O::EndsWith => How::Ends(boxed()),
            O::Matches => How::Matches(operands.iter().map(|t| pattern(t)).collect::<Result<_, _>>()?),
            O::GreaterThan | O::AtLeast | O::LessThan | O::AtMost => {
                let number = Number::parse(one()?)
                    .ok_or_else(|| each("a number, as in `18` or `2.5`", operands[0]))?;
                How::Number(number, Wanted::of(operator))
            }
            O::VersionEquals | O::VersionAbove | O::VersionAtLeast | O::VersionBelow | O::VersionAtMost => {
                let version =
                    Version::parse(one()?).ok_or_else(|| each("a version, as in `8.2.0`", operands[0]))?;
                How::Version(version, Wanted::of(operator))
            }
            O::InNetwork | O::NotInNetwork => {
                let form = "a network or an address, as in `10.0.0.0/8`";
                let networks = operands.iter().map(|t| Network::parse(t).ok_or_else(|| each(form, t)));
                How::Network(networks.collect::<Result<_, _>>()?)
            }
            O::Before | O::After => {
                let form = "a date or a time, as in `2026-11-30` or `2026-11-30T12:00:00Z`";
                How::Moment(moment(one()?).ok_or_else(|| each(form, operands[0]))?, Wanted::of(operator))
            }
            O::InSegment | O::NotInSegment => {
                let found = operands.iter().map(|t| {
                    segment(t).ok_or_else(|| {
                        format!(
                            "There is no segment `{t}`. Define it below `$segments`, or correct the name."
                        )
                    })
                });
                How::Segment(found.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self {
            attribute: Attribute::new(&condition.attribute),
            negated: operator.negated(),
            how,
            words: condition.words().into(),
        })
    }

    /// A missing attribute, or one that cannot be compared so, holds for nothing, negated or not.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        if let How::Segment(segments) = &self.how {
            let inside = segments.iter().any(|tests| tests.iter().all(|t| t.holds(context)));
            return inside != self.negated;
        }
        let Some(value) = self.attribute.of(context) else { return false };
        let found = match value {
            Value::Array(items) => any(items.iter().map(|item| self.how.holds(item))),
            value => self.how.holds(value),
        };
        found.is_some_and(|found| found != self.negated)
    }

    /// What the context says of the attribute, for explanations.
    pub(crate) fn seen(&self, context: &Context) -> Option<String> {
        if matches!(self.how, How::Segment(_)) {
            return None;
        }
        let value = self.attribute.of(context);
        Some(match value {
            None => format!("{} was not given", self.attribute.name),
            Some(Value::String(text)) => format!("{} is {}", self.attribute.name, short(text)),
            Some(value) => format!("{} is {}", self.attribute.name, short(&value.to_string())),
        })
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One that holds is enough; `None` where none can be compared.
fn any(found: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    found.fold(None, |all, one| match (all, one) {
        (None, one) => one,
        (all, None) => all,
        (Some(a), Some(b)) => Some(a || b),
    })
}

fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > LONGEST_PATTERN {
        return Err("The pattern is longer than 1 KiB. Shorten it, or use `in` with a list.".into());
    }
    let built = RegexBuilder::new(text).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build();
    built.map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "The pattern grows too large. Use smaller repetitions.".into(),
        e => {
            let said = e.to_string();
            let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("The pattern cannot be read: {last}. Correct it; look-around and back references are not supported.")
        }
    })
}

impl How {
    /// `None` where such a value cannot be compared so.
    fn holds(&self, value: &Value) -> Option<bool> {
        let text = value.as_str();
        Some(match self {
            Self::Equals(all) => match value {
                Value::String(text) => all.iter().any(|(t, _)| **t == **text),
                Value::Number(n) => {
                    let n = Number::of(n)?;
                    all.iter().any(|(_, t)| *t == Some(n))
                }
                Value::Bool(b) => all.iter().any(|(t, _)| &**t == word(*b)),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            },
            Self::Among(texts, numbers) => match value {
                Value::String(text) => texts.contains(text.as_str()),
                Value::Number(n) => numbers.contains(&Number::of(n)?),
                Value::Bool(b) => texts.contains(word(*b)),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            },
            Self::Contains(all) => {
                let text = text?;
                all.iter().any(|t| text.contains(&**t))
            }
            Self::Starts(all) => {
                let text = text?;
                all.iter().any(|t| text.starts_with(&**t))
            }
            Self::Ends(all) => {
                let text = text?;
                all.iter().any(|t| text.ends_with(&**t))
            }
            Self::Matches(all) => {
                let text = text?;
                all.iter().any(|t| t.is_match(text))
            }
            Self::Number(bound, wanted) => {
                let number = match value {
                    Value::Number(n) => Number::of(n)?,
                    Value::String(text) => Number::parse(text)?,
                    _ => return None,
                };
                wanted.has(number.order(*bound)?)
            }
            Self::Version(bound, wanted) => wanted.has(VersionRef::parse(text?)?.order(bound.as_ref())),
            Self::Network(all) => {
                let address = address(text?)?;
                all.iter().any(|n| n.holds(address))
            }
            Self::Moment(bound, wanted) => {
                let moment = match value {
                    Value::Number(n) => DateTime::from_timestamp(n.as_i64()?, 0)?,
                    Value::String(text) => moment(text)?,
                    _ => return None,
                };
                wanted.has(moment.cmp(bound))
            }
            // Asked before, of the whole context.
            Self::Segment(_) => return None,
        })
    }
}

fn word(b: bool) -> &'static str {
    if b { "true" } else { "false" }
}
