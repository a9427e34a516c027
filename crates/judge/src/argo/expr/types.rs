//! What is known of a value before it is computed.

use super::value::{Elements, Value};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Nothing is known.
    Unknown,
    /// Known to be anything: an element of a JSON document.
    Any,
    Nil,
    Bool,
    Int,
    Int64,
    Float,
    Text,
    /// How the list is kept, and what is known of its elements.
    Array(Elements, Box<Type>),
    Map,
    Groups(Box<Type>),
    Time,
    Duration,
    Function(&'static str),
}

impl Type {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Int64(_) => Self::Int64,
            Value::Float(_) => Self::Float,
            Value::Text(_) => Self::Text,
            Value::Array(elements, _) => Self::Array(*elements, Box::new(Self::element(*elements))),
            Value::Map(_) => Self::Map,
            Value::Groups(_) => Self::Groups(Box::new(Self::anys())),
            Value::Time(_) => Self::Time,
            Value::Duration(_) => Self::Duration,
            Value::Function(name) => Self::Function(name),
        }
    }

    fn element(elements: Elements) -> Self {
        match elements {
            Elements::Any => Self::Any,
            Elements::Float => Self::Float,
            Elements::Int => Self::Int,
            Elements::Text => Self::Text,
        }
    }

    /// A list of anything.
    pub(super) fn anys() -> Self {
        Self::Array(Elements::Any, Box::new(Self::Any))
    }

    pub(super) fn texts() -> Self {
        Self::Array(Elements::Text, Box::new(Self::Text))
    }

    pub(super) fn ints() -> Self {
        Self::Array(Elements::Int, Box::new(Self::Int))
    }

    /// A list made of such elements.
    pub(super) fn list_of(self) -> Self {
        Self::Array(Elements::Any, Box::new(self))
    }

    pub(super) fn unknown(&self) -> bool {
        matches!(self, Self::Unknown | Self::Any)
    }

    pub(super) fn integer(&self) -> bool {
        matches!(self, Self::Int | Self::Int64)
    }

    pub(super) fn number(&self) -> bool {
        self.integer() || *self == Self::Float
    }

    pub(super) fn array(&self) -> bool {
        matches!(self, Self::Array(..))
    }

    pub(super) fn map(&self) -> bool {
        matches!(self, Self::Map | Self::Groups(_))
    }

    /// What an element of it is.
    pub(super) fn elem(&self) -> Self {
        match self {
            Self::Array(_, elem) => (**elem).clone(),
            Self::Map => Self::Any,
            Self::Groups(_) => Self::anys(),
            _ => Self::Unknown,
        }
    }

    /// As [`Type::elem`], as far as the way the list is kept tells.
    pub(super) fn kept_elem(&self) -> Self {
        match self {
            Self::Array(elements, _) => Self::element(*elements),
            _ => Self::Any,
        }
    }

    /// As [`Type::elem`] forgets it: only how it is kept.
    pub(super) fn kept(&self) -> Self {
        match self {
            Self::Array(elements, _) => Self::Array(*elements, Box::new(Self::element(*elements))),
            Self::Unknown => Self::Any,
            other => other.clone(),
        }
    }

    pub(super) fn assignable(&self, to: &Self) -> bool {
        match (self, to) {
            (Self::Nil, Self::Array(..) | Self::Map | Self::Groups(_) | Self::Any | Self::Function(_)) => {
                true
            }
            (Self::Nil | Self::Unknown, _) | (_, Self::Nil | Self::Unknown) => false,
            (_, Self::Any) => true,
            (Self::Array(a, _), Self::Array(b, _)) => a == b,
            (Self::Groups(_), Self::Groups(_)) => true,
            (a, b) => a == b,
        }
    }

    pub(super) fn comparable(&self, with: &Self) -> bool {
        self.unknown()
            || with.unknown()
            || *self == Self::Nil
            || *with == Self::Nil
            || (self.number() && with.number())
            || (self.array() && with.array())
            || self.assignable(with)
    }

    /// Go's name of it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unknown | Self::Nil => "unknown",
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Array(Elements::Any, _) => "[]interface {}",
            Self::Array(Elements::Float, _) => "[]float64",
            Self::Array(Elements::Int, _) => "[]int",
            Self::Array(Elements::Text, _) => "[]string",
            Self::Map => "map[string]interface {}",
            Self::Groups(_) => "map[interface {}][]interface {}",
            Self::Time => "time.Time",
            Self::Duration => "time.Duration",
            Self::Function(_) => "func",
        }
    }
}
