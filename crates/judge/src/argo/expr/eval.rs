//! The value of a checked tree.

use super::ast::{Binary, Kind, Node, Unary};
use super::fault::{self, Fault};
use super::functions;
use super::value::{Elements, Value};
use super::{compare, loops, pattern};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Steps of work, and elements and bytes made, that an expression may cost.
const WORK: usize = 2_000_000;
const MEMORY: usize = 1_000_000;

pub(super) struct Machine<'v> {
    pub(super) result: Option<&'v Value>,
    pub(super) now: DateTime<Utc>,
    variables: Vec<(String, Value)>,
    pub(super) scopes: Vec<Scope>,
    work: usize,
    memory: usize,
}

/// Where a closure stands.
pub(super) struct Scope {
    pub(super) element: Value,
    pub(super) index: usize,
    pub(super) acc: Value,
}

/// Why a part has no value: a fault, or a nil before a `?.`, which makes the whole chain nil.
pub(super) enum Stop {
    Fault(Fault),
    Nil,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<'v> Machine<'v> {
    pub(super) fn new(result: Option<&'v Value>, now: DateTime<Utc>) -> Self {
        Self { result, now, variables: Vec::new(), scopes: Vec::new(), work: 0, memory: 0 }
    }

    pub(super) fn eval(&mut self, node: &Node) -> Result<Value, Fault> {
        match self.value(node) {
            Ok(value) => Ok(value),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Nil) => Ok(Value::Nil),
        }
    }

    pub(super) fn work(&mut self, steps: usize) -> Result<(), Fault> {
        self.work = self.work.saturating_add(steps);
        if self.work > WORK {
            return Err(Fault::new(fault::Kind::Size, "it takes too much work"));
        }
        Ok(())
    }

    /// Before so much is made.
    pub(super) fn memory(&mut self, size: usize) -> Result<(), Fault> {
        self.memory = self.memory.saturating_add(size);
        if self.memory > MEMORY {
            return Err(Fault::new(fault::Kind::Size, "memory budget exceeded"));
        }
        Ok(())
    }

    pub(super) fn equal(&mut self, a: &Value, b: &Value) -> Result<bool, Fault> {
        compare::equal(a, b, &mut || self.work(1))
    }

    pub(super) fn value(&mut self, node: &Node) -> Result<Value, Stop> {
        self.work(1)?;
        Ok(match &node.kind {
            Kind::Nil => Value::Nil,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(i) => Value::Int(*i),
            Kind::Float(f) => Value::Float(*f),
            Kind::Text(s) => Value::Text(s.clone()),
            Kind::Name(name) => self.name(name)?,
            Kind::Unary(op, a) => {
                let a = self.value(a)?;
                unary(*op, &a)?
            }
            Kind::Binary(op, a, b) => return self.binary(*op, a, b),
            Kind::Chain(a) => self.eval(a)?,
            Kind::Member { of, property, optional, .. } => return self.member(of, property, *optional),
            Kind::Slice { of, from, to } => return self.slice(of, from.as_deref(), to.as_deref()),
            Kind::Call { of, args } => return self.call(of, args),
            Kind::Builtin { name, args } => return self.builtin(name, args),
            Kind::Predicate(body) => return self.value(body),
            Kind::Pointer(name) => self.pointer(name)?,
            Kind::Let { name, value, body } => return self.declared(name, value, body),
            Kind::Sequence(nodes) => return self.sequence(nodes),
            Kind::If { condition, yes, no } => {
                let chosen = if self.value(condition)?.bool()? { yes } else { no };
                return self.value(chosen);
            }
            Kind::Array(nodes) => Value::list(self.values(nodes)?),
            Kind::Map(pairs) => return self.map(pairs),
        })
    }

    pub(super) fn values(&mut self, nodes: &[Node]) -> Result<Vec<Value>, Stop> {
        self.memory(nodes.len())?;
        nodes.iter().map(|n| self.value(n)).collect()
    }

    fn name(&self, name: &str) -> Result<Value, Fault> {
        if let Some((_, value)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return Ok(value.clone());
        }
        match name {
            "result" => Ok(self.result.cloned().unwrap_or(Value::Nil)),
            "$env" => Ok(self.env()),
            _ => Ok(Value::Function("function")),
        }
    }

    fn env(&self) -> Value {
        let mut env: BTreeMap<String, Value> =
            super::builtins::OURS.iter().map(|n| ((*n).to_owned(), Value::Function(n))).collect();
        env.extend(self.result.map(|r| ("result".to_owned(), r.clone())));
        Value::Map(Arc::new(env))
    }

    fn pointer(&self, name: &str) -> Result<Value, Fault> {
        let scope = self
            .scopes
            .last()
            .ok_or_else(|| Fault::types("cannot use pointer accessor outside predicate"))?;
        Ok(match name {
            "acc" => scope.acc.clone(),
            "index" => Value::Int(i64::try_from(scope.index).unwrap_or(i64::MAX)),
            _ => scope.element.clone(),
        })
    }

    fn declared(&mut self, name: &str, value: &Node, body: &Node) -> Result<Value, Stop> {
        let value = self.value(value)?;
        self.variables.push((name.to_owned(), value));
        let body = self.value(body);
        self.variables.pop();
        body
    }

    fn sequence(&mut self, nodes: &[Node]) -> Result<Value, Stop> {
        let mut last = Value::Nil;
        for node in nodes {
            last = self.value(node)?;
        }
        Ok(last)
    }

    fn map(&mut self, pairs: &[(Node, Node)]) -> Result<Value, Stop> {
        self.memory(pairs.len())?;
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let key = self.value(key)?;
            map.insert(key.as_text()?.to_owned(), self.value(value)?);
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn member(&mut self, of: &Node, property: &Node, optional: bool) -> Result<Value, Stop> {
        if let (Kind::Builtin { name: "filter", args }, Kind::Int(at @ (0 | -1)), false) =
            (&of.kind, &property.kind, optional)
        {
            // As the original does: the filter ends with the first element it finds.
            return loops::find(self, args, *at == -1)?
                .map(|(_, element)| element)
                .ok_or_else(|| Fault::new(fault::Kind::Index, "reflect: slice index out of range").into());
        }
        let of = self.value(of)?;
        if optional && of.nil() {
            return Err(Stop::Nil);
        }
        let property = self.value(property)?;
        Ok(fetch(&of, &property)?)
    }

    fn slice(&mut self, of: &Node, from: Option<&Node>, to: Option<&Node>) -> Result<Value, Stop> {
        let of = self.value(of)?;
        let length = match &of {
            Value::Array(_, list) => list.len(),
            Value::Text(text) => text.len(),
            other => return Err(Fault::types(format!("cannot slice {}", other.type_name())).into()),
        };
        let mut bound = |node: Option<&Node>, otherwise: usize| -> Result<usize, Stop> {
            let Some(node) = node else { return Ok(otherwise) };
            let i = self.value(node)?.int()?;
            let back = usize::try_from(i.unsigned_abs()).unwrap_or(usize::MAX);
            Ok(if i < 0 { length.saturating_sub(back) } else { back.min(length) })
        };
        let (to, from) = (bound(to, length)?, bound(from, 0)?);
        let from = from.min(to);
        self.memory(to - from)?;
        Ok(match &of {
            Value::Array(elements, list) => Value::Array(*elements, Arc::new(list[from..to].to_vec())),
            Value::Text(text) => Value::text(&String::from_utf8_lossy(&text.as_bytes()[from..to])),
            _ => Value::Nil,
        })
    }

    fn call(&mut self, of: &Node, args: &[Node]) -> Result<Value, Stop> {
        match &of.kind {
            Kind::Name(name) if super::builtins::OURS.contains(&name.as_str()) => {
                let args = self.values(args)?;
                Ok(functions::ours(self, name, &args)?)
            }
            _ => {
                let callee = self.value(of)?;
                Err(Fault::types(match callee {
                    Value::Nil => "invalid operation: cannot call nil".to_owned(),
                    other => {
                        format!("invalid operation: cannot call non-function of type {}", other.type_name())
                    }
                })
                .into())
            }
        }
    }

    fn builtin(&mut self, name: &str, args: &[Node]) -> Result<Value, Stop> {
        if super::builtins::closure(name).is_some() {
            return loops::run(self, name, args);
        }
        let args = self.values(args)?;
        Ok(functions::call(self, name, &args)?)
    }

    fn binary(&mut self, op: Binary, a: &Node, b: &Node) -> Result<Value, Stop> {
        match op {
            Binary::And | Binary::Or => {
                let left = self.value(a)?;
                // The right side is the value, whatever it is.
                if left.bool()? == (op == Binary::Or) { Ok(left) } else { self.value(b) }
            }
            Binary::Coalesce => match self.value(a) {
                Ok(Value::Nil) | Err(Stop::Nil) => self.value(b),
                other => other,
            },
            Binary::In => self.contained(a, b),
            _ => {
                let left = self.value(a)?;
                let right = self.value(b)?;
                Ok(self.operation(op, &left, &right)?)
            }
        }
    }

    fn operation(&mut self, op: Binary, a: &Value, b: &Value) -> Result<Value, Fault> {
        Ok(match op {
            Binary::Equal => Value::Bool(self.equal(a, b)?),
            Binary::Unequal => Value::Bool(!self.equal(a, b)?),
            Binary::SameTexts => Value::Bool(a.as_text()? == b.as_text()?),
            Binary::OtherTexts => Value::Bool(a.as_text()? != b.as_text()?),
            Binary::SameInts => Value::Bool(exactly(a)? == exactly(b)?),
            Binary::OtherInts => Value::Bool(exactly(a)? != exactly(b)?),
            Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual => {
                Value::Bool(compare::ordered(op, a, b)?)
            }
            Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
                if a.nil() || b.nil() {
                    return Ok(Value::Bool(false));
                }
                let (text, part) = (a.as_text()?, b.as_text()?);
                self.work(text.len())?;
                Value::Bool(match op {
                    Binary::Contains => text.contains(part),
                    Binary::StartsWith => text.starts_with(part),
                    Binary::EndsWith => text.ends_with(part),
                    _ => pattern::regex(part)?.is_match(text),
                })
            }
            Binary::InTexts => {
                // The original keeps such a list as a map of texts.
                let key = key(a)?;
                let Value::Array(_, list) = b else { return Ok(Value::Bool(false)) };
                self.work(list.len())?;
                Value::Bool(list.iter().any(|v| matches!(v, Value::Text(t) if &**t == key)))
            }
            Binary::Range => {
                let (from, to) = (a.int()?, b.int()?);
                let size = usize::try_from(to.saturating_sub(from).saturating_add(1)).unwrap_or(0);
                self.memory(size)?;
                Value::Array(Elements::Int, Arc::new((from..=to).take(size).map(Value::Int).collect()))
            }
            Binary::Add => match (a, b) {
                (Value::Text(x), Value::Text(y)) => {
                    self.memory(x.len().saturating_add(y.len()))?;
                    Value::Text(format!("{x}{y}").into())
                }
                _ => compare::arithmetic(op, a, b)?,
            },
            Binary::Power => Value::Float(libm::pow(a.float()?, b.float()?)),
            _ => compare::arithmetic(op, a, b)?,
        })
    }

    fn contained(&mut self, a: &Node, b: &Node) -> Result<Value, Stop> {
        let needle = self.value(a)?;
        if let (Value::Int(i), Kind::Binary(Binary::Range, from, to)) = (&needle, &b.kind)
            && let (Kind::Int(from), Kind::Int(to)) = (&from.kind, &to.kind)
        {
            return Ok(Value::Bool(from <= i && i <= to));
        }
        Ok(Value::Bool(match self.value(b)? {
            Value::Nil => false,
            Value::Array(_, list) => {
                for value in list.iter() {
                    if self.equal(value, &needle)? {
                        return Ok(Value::Bool(true));
                    }
                }
                false
            }
            Value::Map(map) => map.contains_key(key(&needle)?),
            Value::Groups(groups) => {
                for (key, _) in groups.iter() {
                    if self.equal(key, &needle)? {
                        return Ok(Value::Bool(true));
                    }
                }
                false
            }
            other => {
                let name = other.type_name();
                return Err(Fault::types(format!("operator \"in\" not defined on {name}")).into());
            }
        }))
    }
}

fn unary(op: Unary, a: &Value) -> Result<Value, Fault> {
    Ok(match (op, a) {
        (Unary::Plus, a) => a.clone(),
        (Unary::Not, a) => Value::Bool(!a.bool()?),
        (Unary::Minus, Value::Int(i)) => Value::Int(i.wrapping_neg()),
        (Unary::Minus, Value::Int64(i)) => Value::Int64(i.wrapping_neg()),
        (Unary::Minus, Value::Float(f)) => Value::Float(-f),
        (Unary::Minus, other) => {
            return Err(Fault::types(format!("invalid operation: - {}", other.type_name())));
        }
    })
}

/// What `of` has at `property`.
pub(super) fn fetch(of: &Value, property: &Value) -> Result<Value, Fault> {
    let cannot = || {
        let property = match property {
            Value::Text(t) => t.to_string(),
            other => other.number().map_or_else(|| other.type_name().to_owned(), |n| n.to_string()),
        };
        Fault::types(format!("cannot fetch {property} from {}", of.type_name()))
    };
    match of {
        Value::Array(_, list) => Ok(list[position(property, list.len())?].clone()),
        Value::Text(text) => Ok(Value::Int(i64::from(text.as_bytes()[position(property, text.len())?]))),
        Value::Map(map) => Ok(map.get(key(property)?).cloned().unwrap_or(Value::Nil)),
        Value::Groups(groups) => {
            for (key, group) in groups.iter() {
                if compare::equal(key, property, &mut || Ok(()))? {
                    return Ok(group.clone());
                }
            }
            Ok(Value::Nil)
        }
        _ => Err(cannot()),
    }
}

/// A negative index counts from the end.
fn position(index: &Value, length: usize) -> Result<usize, Fault> {
    let index = index.int()?;
    let size = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if index < 0 { size.saturating_add(index) } else { index };
    usize::try_from(at).ok().filter(|i| *i < length).ok_or_else(|| {
        Fault::new(fault::Kind::Index, format!("index out of range: {at} (array length is {length})"))
    })
}

/// What is looked up in a map.
fn key(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::Nil => Ok(""),
        Value::Text(text) => Ok(text),
        other => {
            let is = other.type_name();
            let words =
                format!("reflect.Value.MapIndex: value of type {is} is not assignable to type string");
            Err(Fault::types(words))
        }
    }
}

/// What was known to be an integer.
fn exactly(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Int(i) => Ok(*i),
        other => {
            let is = if other.nil() { "nil" } else { other.type_name() };
            Err(Fault::types(format!("interface conversion: interface {{}} is {is}, not int")))
        }
    }
}
