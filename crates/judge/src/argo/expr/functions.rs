//! What the functions without a closure do.

use super::ast::Binary;
use super::compare;
use super::eval::{self, Machine};
use super::fault::{self, Fault};
use super::text;
use super::value::{Elements, Value, truncate};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What Argo Rollouts adds. `isNil` and `default` look at the whole result, whatever they are given.
pub(super) fn ours(machine: &mut Machine<'_>, name: &str, args: &[Value]) -> Result<Value, Fault> {
    let result = machine.result;
    let arg = args.first().unwrap_or(&Value::Nil);
    let nothing = result.is_none_or(Value::nil);
    let float = || match arg {
        Value::Float(f) => Ok(*f),
        Value::Nil => Err(Fault::types("interface conversion: interface {} is nil, not float64")),
        other => Err(Fault::types(format!(
            "interface conversion: interface {{}} is {}, not float64",
            other.type_name()
        ))),
    };
    let mut refused = || match text::written(machine, arg) {
        Ok(shown) => Fault::types(format!("{name}() not supported on {} {shown}", arg.type_name())),
        Err(fault) => fault,
    };
    Ok(match name {
        "isNaN" => Value::Bool(float()?.is_nan()),
        "isInf" => Value::Bool(float()?.is_infinite()),
        "isNil" => Value::Bool(nothing),
        "default" if nothing => args.get(1).cloned().unwrap_or(Value::Nil),
        "default" => result.cloned().unwrap_or(Value::Nil),
        "asInt" => Value::Int64(match arg {
            Value::Text(t) => t.parse().map_err(|_| unread("ParseInt", t))?,
            other => other.int().map_err(|_| refused())?,
        }),
        _ => Value::Float(match arg {
            Value::Text(t) => float_of(t).ok_or_else(|| unread("ParseFloat", t))?,
            other => other.number().ok_or_else(refused)?,
        }),
    })
}

fn unread(function: &str, text: &str) -> Fault {
    Fault::types(format!("strconv.{function}: parsing {text:?}: invalid syntax"))
}

/// As Go reads one; what is too large is none.
fn float_of(text: &str) -> Option<f64> {
    let n: f64 = text.parse().ok()?;
    let named = text.to_ascii_lowercase().contains("inf");
    (n.is_finite() || n.is_nan() || named).then_some(n)
}

pub(super) fn call(machine: &mut Machine<'_>, name: &str, args: &[Value]) -> Result<Value, Fault> {
    let arg = args.first().unwrap_or(&Value::Nil);
    match name {
        "len" => Ok(count(length(arg)?)),
        "type" => Ok(Value::text(kind(arg))),
        "abs" | "ceil" | "floor" | "round" | "int" | "float" => number(name, arg),
        "max" | "min" => extreme(machine, name, args),
        "mean" | "median" => {
            let mut all = Vec::new();
            numbers(machine, name, args, &mut all)?;
            Ok(Value::Float(if name == "mean" { mean(&all) } else { median(all) }))
        }
        "first" | "last" => {
            let at = Value::Int(if name == "first" { 0 } else { -1 });
            Ok(eval::fetch(arg, &at).unwrap_or(Value::Nil))
        }
        "get" => Ok(match (arg, args.get(1)) {
            (Value::Nil, _) => Value::Nil,
            (of, Some(at)) => match eval::fetch(of, at) {
                Err(f) if f.kind == fault::Kind::Index => Value::Nil,
                // Only an index that is no index, or a key that is no key, is a fault.
                Err(f) if matches!(of, Value::Array(..) | Value::Text(_) | Value::Map(_)) => return Err(f),
                other => other.unwrap_or(Value::Nil),
            },
            _ => Value::Nil,
        }),
        "keys" | "values" | "toPairs" | "fromPairs" => pairs(machine, name, arg),
        "take" | "reverse" | "uniq" | "concat" | "flatten" | "sort" => lists(machine, name, args),
        "now" => Ok(Value::Time(machine.now)),
        "duration" => crate::argo::duration::parse(arg.as_text()?).map(Value::Duration).map_err(Fault::types),
        "date" => text::date(args),
        "bitnot" => Ok(Value::Int(!bits(arg)?)),
        _ if name.starts_with("bit") => bitwise(name, arg, args.get(1).unwrap_or(&Value::Nil)),
        "toJSON" | "toBase64" | "fromBase64" | "timezone" => {
            Err(Fault::new(fault::Kind::Unsupported, format!("Tidegate does not know the function {name}")))
        }
        _ => text::call(machine, name, args),
    }
}

fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn length(arg: &Value) -> Result<usize, Fault> {
    match arg {
        Value::Array(_, list) => Ok(list.len()),
        Value::Map(map) => Ok(map.len()),
        Value::Groups(groups) => Ok(groups.len()),
        Value::Text(text) => Ok(text.chars().count()),
        other => Err(Fault::types(format!("invalid argument for len (type {})", other.type_name()))),
    }
}

fn kind(arg: &Value) -> &'static str {
    match arg {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Int64(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "string",
        Value::Array(..) => "array",
        Value::Map(_) | Value::Groups(_) => "map",
        Value::Time(_) => "time.Time",
        Value::Duration(_) => "time.Duration",
        Value::Function(_) => "func",
    }
}

fn number(name: &str, arg: &Value) -> Result<Value, Fault> {
    let wrong = || Fault::types(format!("invalid argument for {name} (type {})", arg.type_name()));
    Ok(match (name, arg) {
        ("int", Value::Text(t)) => {
            Value::Int(t.parse().map_err(|_| Fault::types(format!("invalid operation: int({t})")))?)
        }
        ("float", Value::Text(t)) => {
            Value::Float(float_of(t).ok_or_else(|| Fault::types(format!("invalid operation: float({t})")))?)
        }
        ("int", Value::Float(f)) => Value::Int(truncate(*f)),
        ("int", Value::Int(i) | Value::Int64(i)) => Value::Int(*i),
        ("abs", Value::Int(i)) => Value::Int(i.wrapping_abs()),
        ("abs", Value::Int64(i)) => Value::Int64(i.wrapping_abs()),
        _ => {
            let n = arg.number().ok_or_else(wrong)?;
            Value::Float(match name {
                "abs" => n.abs(),
                "ceil" => n.ceil(),
                "floor" => n.floor(),
                "round" => n.round(),
                "float" => n,
                _ => return Err(wrong()),
            })
        }
    })
}

fn extreme(machine: &mut Machine<'_>, name: &str, args: &[Value]) -> Result<Value, Fault> {
    let op = if name == "max" { Binary::Less } else { Binary::More };
    let wrong = |v: &Value| Fault::types(format!("invalid argument for {name} (type {})", v.type_name()));
    let mut best: Option<Value> = None;
    for arg in args {
        machine.work(1)?;
        let candidates = match arg {
            Value::Array(_, list) => {
                let mut inner = Vec::new();
                for element in list.iter() {
                    inner.push(extreme(machine, name, std::slice::from_ref(element))?);
                }
                inner
            }
            v if v.number().is_some() => vec![v.clone()],
            v if args.len() == 1 => return Ok(v.clone()),
            v => return Err(wrong(v)),
        };
        for candidate in candidates {
            if candidate.number().is_none() {
                return Err(wrong(&candidate));
            }
            if best.as_ref().map_or(Ok(true), |b| compare::ordered(op, b, &candidate))? {
                best = Some(candidate);
            }
        }
    }
    Ok(best.unwrap_or(Value::Nil))
}

fn numbers(machine: &mut Machine<'_>, name: &str, args: &[Value], all: &mut Vec<f64>) -> Result<(), Fault> {
    for arg in args {
        machine.work(1)?;
        match arg {
            Value::Array(_, list) => numbers(machine, name, list, all)?,
            other => all.push(other.number().ok_or_else(|| {
                Fault::types(format!("invalid argument for {name} (type {})", other.type_name()))
            })?),
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of numbers")]
fn mean(all: &[f64]) -> f64 {
    if all.is_empty() { 0.0 } else { all.iter().sum::<f64>() / all.len() as f64 }
}

fn median(mut all: Vec<f64>) -> f64 {
    // As Go sorts them: what is no number comes first.
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let half = all.len() / 2;
    match all.len() {
        0 => 0.0,
        n if n % 2 == 1 => all[half],
        _ => f64::midpoint(all[half - 1], all[half]),
    }
}

fn pairs(machine: &mut Machine<'_>, name: &str, arg: &Value) -> Result<Value, Fault> {
    let wrong = || Fault::types(format!("cannot {name} of {}", arg.type_name()));
    machine.memory(length(arg).map_err(|_| wrong())?)?;
    let entries: Vec<(Value, Value)> = match arg {
        Value::Map(map) => map.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
        Value::Groups(groups) => groups.to_vec(),
        Value::Array(_, list) if name == "fromPairs" => {
            let mut map = BTreeMap::new();
            for pair in list.iter() {
                match pair {
                    Value::Array(_, p) if p.len() == 2 => {
                        map.insert(p[0].as_text()?.to_owned(), p[1].clone())
                    }
                    other => return Err(Fault::types(format!("invalid pair {}", other.type_name()))),
                };
            }
            return Ok(Value::Map(Arc::new(map)));
        }
        _ => return Err(wrong()),
    };
    Ok(Value::list(match name {
        "keys" => entries.into_iter().map(|(k, _)| k).collect(),
        "values" => entries.into_iter().map(|(_, v)| v).collect(),
        "toPairs" => entries.into_iter().map(|(k, v)| Value::list(vec![k, v])).collect(),
        _ => return Err(wrong()),
    }))
}

fn lists(machine: &mut Machine<'_>, name: &str, args: &[Value]) -> Result<Value, Fault> {
    let list_of = |v: &Value| match v {
        Value::Array(kind, list) => Ok((*kind, list.clone())),
        other => Err(Fault::types(format!("cannot {name} {}", other.type_name()))),
    };
    let arg = args.first().unwrap_or(&Value::Nil);
    let (kind, list) = list_of(arg)?;
    machine.memory(list.len())?;
    Ok(match name {
        "take" => {
            let n = args.get(1).and_then(Value::integer);
            let n = n.ok_or_else(|| Fault::types("cannot take elements"))?;
            let n = usize::try_from(n)
                .map_err(|_| Fault::types("reflect.Value.Slice: slice index out of bounds"))?;
            Value::Array(kind, Arc::new(list.iter().take(n).cloned().collect()))
        }
        "reverse" => Value::list(list.iter().rev().cloned().collect()),
        "uniq" => {
            let mut kept: Vec<Value> = Vec::new();
            for value in list.iter() {
                let mut known = false;
                for k in &kept {
                    known = known || machine.equal(value, k)?;
                }
                if !known {
                    kept.push(value.clone());
                }
            }
            Value::list(kept)
        }
        "concat" => {
            let mut all = list.to_vec();
            for other in &args[1..] {
                let (_, other) = list_of(other)?;
                machine.memory(other.len())?;
                all.extend(other.iter().cloned());
            }
            Value::list(all)
        }
        "flatten" => {
            let mut all = Vec::new();
            flatten(machine, &list, &mut all)?;
            Value::list(all)
        }
        _ => {
            let descending = args.get(1).map_or(Ok(false), descending)?;
            let mut all: Vec<(Value, Value)> = list.iter().map(|v| (v.clone(), Value::Nil)).collect();
            sort(machine, &mut all, descending)?;
            Value::Array(Elements::Any, Arc::new(all.into_iter().map(|(v, _)| v).collect()))
        }
    })
}

fn flatten(machine: &mut Machine<'_>, list: &[Value], all: &mut Vec<Value>) -> Result<(), Fault> {
    for value in list {
        machine.memory(1)?;
        match value {
            Value::Array(_, inner) => flatten(machine, inner, all)?,
            other => all.push(other.clone()),
        }
    }
    Ok(())
}

pub(super) fn descending(order: &Value) -> Result<bool, Fault> {
    match order.as_text()? {
        "asc" => Ok(false),
        "desc" => Ok(true),
        other => Err(Fault::types(format!("invalid order {other}, expected asc or desc"))),
    }
}

/// By the first of each pair.
pub(super) fn sort(
    machine: &mut Machine<'_>,
    all: &mut [(Value, Value)],
    descending: bool,
) -> Result<(), Fault> {
    machine.work(all.len().saturating_mul(20))?;
    let mut failed = None;
    all.sort_by(|(a, _), (b, _)| {
        let (a, b) = if descending { (b, a) } else { (a, b) };
        match (compare::ordered(Binary::Less, a, b), compare::ordered(Binary::Less, b, a)) {
            (Ok(true), _) => Ordering::Less,
            (_, Ok(true)) => Ordering::Greater,
            (Err(f), _) | (_, Err(f)) => {
                failed = Some(f);
                Ordering::Equal
            }
            _ => Ordering::Equal,
        }
    });
    failed.map_or(Ok(()), Err)
}

fn bits(arg: &Value) -> Result<i64, Fault> {
    arg.integer()
        .ok_or_else(|| Fault::types(format!("cannot use {} as argument (type int)", arg.type_name())))
}

fn bitwise(name: &str, a: &Value, b: &Value) -> Result<Value, Fault> {
    let (x, y) = (bits(a)?, bits(b)?);
    let shift = || match u32::try_from(y) {
        Ok(n) => Ok(n),
        Err(_) if y < 0 => {
            Err(Fault::types(format!("invalid operation: negative shift count {y} (type int)")))
        }
        Err(_) => Ok(64),
    };
    Ok(Value::Int(match name {
        "bitand" => x & y,
        "bitor" => x | y,
        "bitxor" => x ^ y,
        "bitnand" => x & !y,
        "bitshl" => x.checked_shl(shift()?).unwrap_or(0),
        "bitshr" => x.checked_shr(shift()?).unwrap_or(if x < 0 { -1 } else { 0 }),
        _ => x.cast_unsigned().checked_shr(shift()?).unwrap_or(0).cast_signed(),
    }))
}
