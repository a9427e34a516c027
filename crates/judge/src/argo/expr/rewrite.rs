//! What the original's optimiser does where it changes the answer: `x && false` is false though x cannot be evaluated.

use super::ast::{Binary, Kind, Node, Unary};
use super::compare;
use super::fault::Fault;
use super::value::Value;

/// # Errors
/// A remainder of zero among constants.
pub(super) fn rewrite(node: Node) -> Result<Node, Fault> {
    let Node { kind, depth, size } = node;
    let kind = parts(kind)?;
    Ok(Node { kind: here(kind)?, depth, size })
}

fn boxed(mut node: Box<Node>) -> Result<Box<Node>, Fault> {
    *node = rewrite(*node)?;
    Ok(node)
}

fn all(nodes: Vec<Node>) -> Result<Vec<Node>, Fault> {
    nodes.into_iter().map(rewrite).collect()
}

fn parts(kind: Kind) -> Result<Kind, Fault> {
    Ok(match kind {
        Kind::Unary(op, a) => Kind::Unary(op, boxed(a)?),
        Kind::Binary(op, a, b) => {
            let texts = matches!(&b.kind, Kind::Array(nodes)
                if !nodes.is_empty() && nodes.iter().all(|n| matches!(n.kind, Kind::Text(_))));
            let op = if op == Binary::In && texts { Binary::InTexts } else { op };
            Kind::Binary(op, boxed(a)?, boxed(b)?)
        }
        Kind::Chain(a) => Kind::Chain(boxed(a)?),
        Kind::Member { of, property, optional, method } => {
            Kind::Member { of: boxed(of)?, property: boxed(property)?, optional, method }
        }
        Kind::Slice { of, from, to } => {
            Kind::Slice { of: boxed(of)?, from: from.map(boxed).transpose()?, to: to.map(boxed).transpose()? }
        }
        Kind::Call { of, args } => Kind::Call { of: boxed(of)?, args: all(args)? },
        Kind::Builtin { name, args } => Kind::Builtin { name, args: all(args)? },
        Kind::Predicate(a) => Kind::Predicate(boxed(a)?),
        Kind::Let { name, value, body } => Kind::Let { name, value: boxed(value)?, body: boxed(body)? },
        Kind::Sequence(nodes) => Kind::Sequence(all(nodes)?),
        Kind::If { condition, yes, no } => {
            Kind::If { condition: boxed(condition)?, yes: boxed(yes)?, no: boxed(no)? }
        }
        Kind::Array(nodes) => Kind::Array(all(nodes)?),
        Kind::Map(pairs) => Kind::Map(
            pairs.into_iter().map(|(k, v)| Ok((rewrite(k)?, rewrite(v)?))).collect::<Result<_, Fault>>()?,
        ),
        leaf => leaf,
    })
}

fn here(kind: Kind) -> Result<Kind, Fault> {
    Ok(match kind {
        Kind::Unary(Unary::Minus, a) if matches!(a.kind, Kind::Int(_) | Kind::Float(_)) => match a.kind {
            Kind::Int(i) => Kind::Int(i.wrapping_neg()),
            Kind::Float(f) => Kind::Float(-f),
            other => other,
        },
        Kind::Unary(Unary::Plus, a) if matches!(a.kind, Kind::Int(_) | Kind::Float(_)) => a.kind,
        Kind::Unary(Unary::Not, a) if matches!(a.kind, Kind::Bool(_)) => {
            Kind::Bool(a.kind == Kind::Bool(false))
        }
        Kind::Binary(op @ (Binary::And | Binary::Or), a, b) => logic(op, a, b),
        Kind::Binary(op, a, b) => constants(op, a, b)?,
        Kind::Builtin { name: "first", mut args } => match args.pop() {
            Some(Node { kind: Kind::Builtin { name: "filter", args }, .. }) => {
                Kind::Builtin { name: "find", args }
            }
            arg => Kind::Builtin { name: "first", args: arg.into_iter().collect() },
        },
        Kind::Builtin { name: "last", mut args } => match args.pop() {
            Some(Node { kind: Kind::Builtin { name: "filter", args }, .. }) => {
                Kind::Builtin { name: "findLast", args }
            }
            arg => Kind::Builtin { name: "last", args: arg.into_iter().collect() },
        },
        other => other,
    })
}

fn logic(op: Binary, a: Box<Node>, b: Box<Node>) -> Kind {
    let neutral = Kind::Bool(op == Binary::And);
    let final_ = Kind::Bool(op == Binary::Or);
    if a.kind == neutral {
        b.kind
    } else if b.kind == neutral {
        a.kind
    } else if a.kind == final_ || b.kind == final_ {
        final_
    } else {
        combined(op, a, b)
    }
}

/// `all(x, p) && all(x, q)` is `all(x, p && q)`: with the second never asked of elements after one that fails.
fn combined(op: Binary, a: Box<Node>, b: Box<Node>) -> Kind {
    let (Kind::Builtin { name, args: left }, Kind::Builtin { name: other, args: right }) = (&a.kind, &b.kind)
    else {
        return Kind::Binary(op, a, b);
    };
    let inner = match (*name, op) {
        ("all", Binary::And) => Binary::And,
        ("any", Binary::Or) => Binary::Or,
        ("none", Binary::And) => Binary::Or,
        _ => return Kind::Binary(op, a, b),
    };
    if name != other || left.first() != right.first() {
        return Kind::Binary(op, a, b);
    }
    let (Some(over), Some(Kind::Predicate(p)), Some(Kind::Predicate(q))) =
        (left.first(), left.get(1).map(|n| &n.kind), right.get(1).map(|n| &n.kind))
    else {
        return Kind::Binary(op, a, b);
    };
    let body = Node::new(combined(inner, p.clone(), q.clone()));
    let predicate = Node::new(Kind::Predicate(Box::new(body)));
    Kind::Builtin { name, args: vec![over.clone(), predicate] }
}

fn constants(op: Binary, a: Box<Node>, b: Box<Node>) -> Result<Kind, Fault> {
    let number = |n: &Node| match n.kind {
        Kind::Int(i) => Some(Value::Int(i)),
        Kind::Float(f) => Some(Value::Float(f)),
        _ => None,
    };
    let value = match (op, &a.kind, &b.kind) {
        (Binary::SameInts, Kind::Int(x), Kind::Int(y)) => return Ok(Kind::Bool(x == y)),
        (Binary::SameTexts, Kind::Text(x), Kind::Text(y)) => return Ok(Kind::Bool(x == y)),
        (Binary::Equal, Kind::Bool(x), Kind::Bool(y)) => return Ok(Kind::Bool(x == y)),
        (
            Binary::Add
            | Binary::Subtract
            | Binary::Multiply
            | Binary::Divide
            | Binary::Power
            | Binary::Modulo,
            ..,
        ) => match (number(&a), number(&b)) {
            (Some(x), Some(y)) => compare::arithmetic(op, &x, &y)?,
            _ => return Ok(Kind::Binary(op, a, b)),
        },
        _ => return Ok(Kind::Binary(op, a, b)),
    };
    Ok(match value {
        Value::Int(i) => Kind::Int(i),
        Value::Float(f) => Kind::Float(f),
        _ => Kind::Binary(op, a, b),
    })
}
