//! Equality, order and arithmetic.

use super::ast::Binary;
use super::fault::Fault;
use super::value::{Elements, Value};
use chrono::TimeDelta;
use std::sync::Arc;

/// As `==` does: numbers of any kind by their value, lists element by element. `work` is called for each comparison.
pub(super) fn equal(
    a: &Value,
    b: &Value,
    work: &mut impl FnMut() -> Result<(), Fault>,
) -> Result<bool, Fault> {
    work()?;
    Ok(match (a, b) {
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Text(x), Value::Text(y)) => x == y,
        (Value::Time(x), Value::Time(y)) => x == y,
        (Value::Duration(x), Value::Duration(y)) => x == y,
        (Value::Array(k, x), Value::Array(l, y)) => {
            let alike = k == l || *k == Elements::Any || *l == Elements::Any;
            if !alike || x.len() != y.len() {
                return Ok(false);
            }
            for (x, y) in x.iter().zip(y.iter()) {
                if !equal(x, y, work)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Nil, Value::Nil) => true,
        _ => match (a.integer().zip(b.integer()), a.number().zip(b.number())) {
            (Some((x, y)), _) => x == y,
            (None, Some((x, y))) => x == y,
            (None, None) => same(a, b, work)?,
        },
    })
}

/// As Go compares what is inside a map: kinds must be the same.
fn same(a: &Value, b: &Value, work: &mut impl FnMut() -> Result<(), Fault>) -> Result<bool, Fault> {
    work()?;
    match (a, b) {
        (Value::Int(x), Value::Int(y)) | (Value::Int64(x), Value::Int64(y)) => Ok(x == y),
        (Value::Float(x), Value::Float(y)) => Ok(x == y),
        (Value::Array(k, x), Value::Array(l, y)) => {
            if k != l || x.len() != y.len() {
                return Ok(false);
            }
            for (x, y) in x.iter().zip(y.iter()) {
                if !same(x, y, work)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(x), Value::Map(y)) => {
            // One map is equal to itself even where it holds a NaN.
            if Arc::ptr_eq(x, y) {
                return Ok(true);
            }
            if x.len() != y.len() {
                return Ok(false);
            }
            for ((i, x), (j, y)) in x.iter().zip(y.iter()) {
                if i != j || !same(x, y, work)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Bool(_) | Value::Text(_) | Value::Time(_) | Value::Duration(_) | Value::Nil, _)
            if kind(a) == kind(b) =>
        {
            equal(a, b, work)
        }
        _ => Ok(false),
    }
}

fn kind(value: &Value) -> std::mem::Discriminant<Value> {
    std::mem::discriminant(value)
}

/// `<`, `>`, `<=` or `>=`.
pub(super) fn ordered(op: Binary, a: &Value, b: &Value) -> Result<bool, Fault> {
    fn by<T: PartialOrd>(op: Binary, a: &T, b: &T) -> bool {
        match op {
            Binary::Less => a < b,
            Binary::More => a > b,
            Binary::LessOrEqual => a <= b,
            _ => a >= b,
        }
    }
    Ok(match (a, b) {
        (Value::Text(x), Value::Text(y)) => by(op, x, y),
        (Value::Time(x), Value::Time(y)) => by(op, x, y),
        (Value::Duration(x), Value::Duration(y)) => by(op, x, y),
        _ => match (a.integer().zip(b.integer()), a.number().zip(b.number())) {
            (Some((x, y)), _) => by(op, &x, &y),
            (None, Some((x, y))) => by(op, &x, &y),
            (None, None) => return Err(impossible(op, a, b)),
        },
    })
}

fn impossible(op: Binary, a: &Value, b: &Value) -> Fault {
    Fault::types(format!("invalid operation: {} {} {}", a.type_name(), op.sign(), b.type_name()))
}

/// `+`, `-`, `*`, `/`, `%` or `**` of anything but texts.
pub(super) fn arithmetic(op: Binary, a: &Value, b: &Value) -> Result<Value, Fault> {
    if let Some(value) = times(op, a, b) {
        return Ok(value);
    }
    if let (Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Modulo, Some(x), Some(y)) =
        (op, a.integer(), b.integer())
    {
        return Ok(Value::Int(match op {
            Binary::Add => x.wrapping_add(y),
            Binary::Subtract => x.wrapping_sub(y),
            Binary::Multiply => x.wrapping_mul(y),
            _ if y == 0 => return Err(Fault::types("integer divide by zero")),
            _ => x.wrapping_rem(y),
        }));
    }
    let (Some(x), Some(y)) = (a.number(), b.number()) else { return Err(impossible(op, a, b)) };
    Ok(Value::Float(match op {
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x * y,
        Binary::Divide => x / y,
        Binary::Power => libm::pow(x, y),
        _ => return Err(impossible(op, a, b)),
    }))
}

fn times(op: Binary, a: &Value, b: &Value) -> Option<Value> {
    let shifted =
        |at: &chrono::DateTime<chrono::Utc>, by: TimeDelta| at.checked_add_signed(by).map(Value::Time);
    match (op, a, b) {
        (Binary::Subtract, Value::Time(x), Value::Time(y)) => {
            Some(Value::Duration((*x - *y).num_nanoseconds().unwrap_or(i64::MAX)))
        }
        (Binary::Subtract, Value::Time(x), Value::Duration(d)) => {
            shifted(x, TimeDelta::nanoseconds(d.saturating_neg()))
        }
        (Binary::Add, Value::Time(x), Value::Duration(d))
        | (Binary::Add, Value::Duration(d), Value::Time(x)) => shifted(x, TimeDelta::nanoseconds(*d)),
        (Binary::Add, Value::Duration(x), Value::Duration(y)) => Some(Value::Duration(x.wrapping_add(*y))),
        (Binary::Subtract, Value::Duration(x), Value::Duration(y)) => {
            Some(Value::Duration(x.wrapping_sub(*y)))
        }
        (Binary::Multiply, Value::Duration(x), Value::Int(n))
        | (Binary::Multiply, Value::Int(n), Value::Duration(x)) => Some(Value::Duration(x.wrapping_mul(*n))),
        _ => None,
    }
}
