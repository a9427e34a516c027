//! The functions that ask a closure of each element.

use super::ast::{Kind, Node};
use super::compare;
use super::eval::{Machine, Scope, Stop};
use super::fault::Fault;
use super::functions;
use super::value::{Elements, Value};
use crate::argo::expr::ast::Binary;
use std::sync::Arc;

pub(super) fn run(machine: &mut Machine<'_>, name: &str, args: &[Node]) -> Result<Value, Stop> {
    match name {
        "find" | "findLast" => Ok(find(machine, args, name == "findLast")?.map_or(Value::Nil, |(_, v)| v)),
        "findIndex" | "findLastIndex" => {
            Ok(find(machine, args, name == "findLastIndex")?.map_or(Value::Nil, |(i, _)| index(i)))
        }
        "reduce" => reduce(machine, args),
        "sum" => sum(machine, args),
        "count" if args.len() == 1 => {
            let mut count = 0;
            for element in elements(machine, args)?.1.iter() {
                machine.work(1)?;
                count += usize::from(element.bool()?);
            }
            Ok(index(count))
        }
        "map" | "groupBy" | "sortBy" => gather(machine, name, args),
        _ => quantify(machine, name, args),
    }
}

fn index(i: usize) -> Value {
    Value::Int(i64::try_from(i).unwrap_or(i64::MAX))
}

/// What is looped over: the first argument. A text loops over its bytes, as in the original.
fn elements(machine: &mut Machine<'_>, args: &[Node]) -> Result<(Elements, Arc<Vec<Value>>), Stop> {
    let Some(over) = args.first() else { return Err(Fault::types("not enough arguments").into()) };
    match machine.value(over)? {
        Value::Array(kind, list) => Ok((kind, list)),
        Value::Text(text) => {
            machine.memory(text.len())?;
            Ok((Elements::Any, Arc::new(text.bytes().map(|b| Value::Int(i64::from(b))).collect())))
        }
        Value::Map(map) if map.is_empty() => Ok((Elements::Any, Arc::default())),
        other => Err(Fault::types(format!("cannot loop over {}", other.type_name())).into()),
    }
}

fn ask(
    machine: &mut Machine<'_>,
    body: &Node,
    index: usize,
    element: &Value,
    acc: Value,
) -> Result<Value, Stop> {
    machine.scopes.push(Scope { element: element.clone(), index, acc });
    let said = machine.value(body);
    machine.scopes.pop();
    said
}

/// The closure's body.
fn body(args: &[Node]) -> Result<&Node, Stop> {
    match args.get(1).map(|n| &n.kind) {
        Some(Kind::Predicate(body)) => Ok(body),
        _ => Err(Fault::types("a closure is missing").into()),
    }
}

fn quantify(machine: &mut Machine<'_>, name: &str, args: &[Node]) -> Result<Value, Stop> {
    let (_, list) = elements(machine, args)?;
    let body = body(args)?;
    let (mut found, mut kept) = (0, Vec::new());
    for (i, element) in list.iter().enumerate() {
        let yes = ask(machine, body, i, element, Value::Nil)?.bool()?;
        found += usize::from(yes);
        match name {
            "all" if !yes => return Ok(Value::Bool(false)),
            "any" if yes => return Ok(Value::Bool(true)),
            "none" if yes => return Ok(Value::Bool(false)),
            "filter" if yes => {
                machine.memory(1)?;
                kept.push(element.clone());
            }
            _ => {}
        }
    }
    Ok(match name {
        "all" | "none" => Value::Bool(true),
        "any" => Value::Bool(false),
        "one" => Value::Bool(found == 1),
        "count" => index(found),
        _ => Value::list(kept),
    })
}

/// The first, or the last, element of which the closure is true.
pub(super) fn find(
    machine: &mut Machine<'_>,
    args: &[Node],
    last: bool,
) -> Result<Option<(usize, Value)>, Stop> {
    let (_, list) = elements(machine, args)?;
    let body = body(args)?;
    for i in 0..list.len() {
        let at = if last { list.len() - 1 - i } else { i };
        if ask(machine, body, at, &list[at], Value::Nil)?.bool()? {
            return Ok(Some((at, list[at].clone())));
        }
    }
    Ok(None)
}

fn reduce(machine: &mut Machine<'_>, args: &[Node]) -> Result<Value, Stop> {
    let (_, list) = elements(machine, args)?;
    let body = body(args)?;
    let (mut acc, first) = match args.get(2) {
        Some(start) => (machine.value(start)?, 0),
        None => match list.first() {
            Some(first) => (first.clone(), 1),
            None => return Err(Fault::types("reflect: slice index out of range").into()),
        },
    };
    for (i, element) in list.iter().enumerate().skip(first) {
        acc = ask(machine, body, i, element, acc)?;
    }
    Ok(acc)
}

fn add(machine: &mut Machine<'_>, a: &Value, b: &Value) -> Result<Value, Fault> {
    if let (Value::Text(x), Value::Text(y)) = (a, b) {
        machine.memory(x.len().saturating_add(y.len()))?;
        return Ok(Value::Text(format!("{x}{y}").into()));
    }
    compare::arithmetic(Binary::Add, a, b)
}

fn sum(machine: &mut Machine<'_>, args: &[Node]) -> Result<Value, Stop> {
    if let [Node { kind: Kind::Array(nodes), .. }] = args
        && nodes.len() > 1
        && !nodes
            .iter()
            .all(|n| matches!(n.kind, Kind::Int(_) | Kind::Float(_) | Kind::Text(_) | Kind::Bool(_)))
    {
        // A list written out, unless of constants, is added up from its end, without a zero: texts can be.
        let mut values = machine.values(nodes)?;
        let mut total = values.pop().unwrap_or(Value::Nil);
        while let Some(value) = values.pop() {
            total = add(machine, &value, &total)?;
        }
        return Ok(total);
    }
    let (_, list) = elements(machine, args)?;
    let mut total = Value::Int(0);
    for (i, element) in list.iter().enumerate() {
        let value = match args.len() {
            1 => element.clone(),
            _ => ask(machine, body(args)?, i, element, Value::Nil)?,
        };
        machine.work(1)?;
        total = add(machine, &value, &total)?;
    }
    Ok(total)
}

fn gather(machine: &mut Machine<'_>, name: &str, args: &[Node]) -> Result<Value, Stop> {
    let (_, list) = elements(machine, args)?;
    let body = body(args)?;
    let descending = match args.get(2) {
        Some(order) if name == "sortBy" => functions::descending(&machine.value(order)?)?,
        _ => false,
    };
    machine.memory(list.len())?;
    let mut said = Vec::with_capacity(list.len());
    for (i, element) in list.iter().enumerate() {
        said.push((ask(machine, body, i, element, Value::Nil)?, element.clone()));
    }
    if name == "map" {
        return Ok(Value::list(said.into_iter().map(|(v, _)| v).collect()));
    }
    if name == "sortBy" {
        functions::sort(machine, &mut said, descending)?;
        return Ok(Value::list(said.into_iter().map(|(_, v)| v).collect()));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, element) in said {
        let mut at = None;
        for (i, (other, _)) in groups.iter().enumerate() {
            if machine.equal(other, &key)? {
                at = Some(i);
                break;
            }
        }
        match at {
            Some(i) => groups[i].1.push(element),
            None => groups.push((key, vec![element])),
        }
    }
    Ok(Value::Groups(Arc::new(groups.into_iter().map(|(k, v)| (k, Value::list(v))).collect())))
}
