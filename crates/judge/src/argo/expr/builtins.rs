//! The language's own functions: their names, and what they take and give.

use super::fault::Fault;
use super::types::Type;

const CLOSURES: [(&str, usize, usize); 15] = [
    ("all", 2, 2),
    ("none", 2, 2),
    ("any", 2, 2),
    ("one", 2, 2),
    ("filter", 2, 2),
    ("map", 2, 2),
    ("count", 1, 2),
    ("sum", 1, 2),
    ("find", 2, 2),
    ("findIndex", 2, 2),
    ("findLast", 2, 2),
    ("findLastIndex", 2, 2),
    ("groupBy", 2, 2),
    ("sortBy", 2, 3),
    ("reduce", 2, 3),
];

const OTHERS: [&str; 56] = [
    "len",
    "type",
    "abs",
    "ceil",
    "floor",
    "round",
    "int",
    "float",
    "string",
    "trim",
    "trimPrefix",
    "trimSuffix",
    "upper",
    "lower",
    "split",
    "splitAfter",
    "replace",
    "repeat",
    "join",
    "indexOf",
    "lastIndexOf",
    "hasPrefix",
    "hasSuffix",
    "max",
    "min",
    "mean",
    "median",
    "toJSON",
    "fromJSON",
    "toBase64",
    "fromBase64",
    "now",
    "duration",
    "date",
    "timezone",
    "first",
    "last",
    "get",
    "take",
    "keys",
    "values",
    "toPairs",
    "fromPairs",
    "reverse",
    "uniq",
    "concat",
    "flatten",
    "sort",
    "bitand",
    "bitor",
    "bitxor",
    "bitnand",
    "bitshl",
    "bitshr",
    "bitushr",
    "bitnot",
];

/// The function of this name.
pub(super) fn named(name: &str) -> Option<&'static str> {
    CLOSURES.iter().map(|(n, ..)| *n).chain(OTHERS).find(|n| *n == name)
}

/// How many arguments, at least and at most, a function with a closure takes.
pub(super) fn closure(name: &str) -> Option<(usize, usize)> {
    CLOSURES.iter().find(|(n, ..)| *n == name).map(|(_, least, most)| (*least, *most))
}

/// What a condition may call besides, and in what follows what it takes and gives.
pub(super) const OURS: [&str; 6] = ["asInt", "asFloat", "isNaN", "isInf", "isNil", "default"];

/// What one of several forms of a function takes, and what it gives.
pub(super) struct Form(pub(super) &'static [Takes], pub(super) Gives);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Any,
    Text,
    Int,
    Float,
    Anys,
    Floats,
    Ints,
    Texts,
}

impl Takes {
    pub(super) fn of(self) -> Type {
        match self {
            Self::Any => Type::Any,
            Self::Text => Type::Text,
            Self::Int => Type::Int,
            Self::Float => Type::Float,
            Self::Anys => Type::anys(),
            Self::Floats => Type::Array(super::value::Elements::Float, Box::new(Type::Float)),
            Self::Ints => Type::ints(),
            Self::Texts => Type::texts(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Gives {
    Any,
    Bool,
    Int,
    Int64,
    Float,
    Text,
    Texts,
    Anys,
    Duration,
}

impl Gives {
    pub(super) fn of(self) -> Type {
        match self {
            Self::Any => Type::Any,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Int64 => Type::Int64,
            Self::Float => Type::Float,
            Self::Text => Type::Text,
            Self::Texts => Type::texts(),
            Self::Anys => Type::anys(),
            Self::Duration => Type::Duration,
        }
    }
}

/// The forms of a function that has such; the others are in [`given`].
pub(super) fn forms(name: &str) -> Option<&'static [Form]> {
    use Gives as G;
    use Takes::{Any, Anys, Float, Floats, Int, Ints, Text, Texts};
    Some(match name {
        "type" | "string" | "toJSON" => &[Form(&[Any], G::Text)],
        "trim" | "trimPrefix" | "trimSuffix" => &[Form(&[Text], G::Text), Form(&[Text, Text], G::Text)],
        "upper" | "lower" | "toBase64" | "fromBase64" => &[Form(&[Text], G::Text)],
        "split" | "splitAfter" => &[Form(&[Text, Text], G::Texts), Form(&[Text, Text, Int], G::Texts)],
        "replace" => &[Form(&[Text, Text, Text, Int], G::Text), Form(&[Text, Text, Text], G::Text)],
        "repeat" => &[Form(&[Text, Int], G::Text)],
        "join" => &[
            Form(&[Anys, Text], G::Text),
            Form(&[Anys], G::Text),
            Form(&[Texts, Text], G::Text),
            Form(&[Texts], G::Text),
        ],
        "indexOf" | "lastIndexOf" => &[Form(&[Text, Text], G::Int)],
        "hasPrefix" | "hasSuffix" => &[Form(&[Text, Text], G::Bool)],
        "fromJSON" => &[Form(&[Text], G::Any)],
        "duration" => &[Form(&[Text], G::Duration)],
        "timezone" => &[Form(&[Text], G::Any)],
        "sort" => &[
            Form(&[Anys, Text], G::Anys),
            Form(&[Ints, Text], G::Anys),
            Form(&[Floats, Text], G::Anys),
            Form(&[Texts, Text], G::Anys),
            Form(&[Anys], G::Anys),
            Form(&[Floats], G::Anys),
            Form(&[Texts], G::Anys),
            Form(&[Ints], G::Anys),
        ],
        "bitand" | "bitor" | "bitxor" | "bitnand" | "bitshl" | "bitshr" | "bitushr" => {
            &[Form(&[Int, Int], G::Int)]
        }
        "bitnot" => &[Form(&[Int], G::Int)],
        "asInt" => &[Form(&[Any], G::Int64)],
        "asFloat" => &[Form(&[Any], G::Float)],
        "isNaN" | "isInf" => &[Form(&[Float], G::Bool)],
        "isNil" => &[Form(&[Any], G::Bool)],
        "default" => &[Form(&[Any, Any], G::Any)],
        _ => return None,
    })
}

/// What any other function gives for such arguments.
pub(super) fn given(name: &str, args: &[Type]) -> Result<Type, Fault> {
    let one = |expected: usize| match args.len() == expected {
        true => Ok(()),
        false => Err(Fault::types(format!(
            "invalid number of arguments (expected {expected}, got {})",
            args.len()
        ))),
    };
    let wrong = |says: &str, arg: &Type| Err(Fault::types(format!("{says} {}", arg.name())));
    match name {
        "len" => {
            one(1)?;
            match &args[0] {
                a if a.unknown() || a.array() || a.map() || *a == Type::Text => Ok(Type::Int),
                a => Err(Fault::types(format!("invalid argument for len (type {})", a.name()))),
            }
        }
        "abs" | "ceil" | "floor" | "round" | "int" | "float" => {
            one(1)?;
            let a = &args[0];
            let text = matches!(name, "int" | "float") && *a == Type::Text;
            if !(text || a.unknown() || a.number() || *a == Type::Duration) {
                return Err(Fault::types(format!("invalid argument for {name} (type {})", a.name())));
            }
            Ok(match name {
                "abs" => a.clone(),
                "int" => Type::Int,
                _ => Type::Float,
            })
        }
        "max" | "min" | "mean" | "median" => {
            for a in args {
                if a.unknown() || a.array() {
                    return Ok(Type::Any);
                }
                if !a.number() && *a != Type::Duration {
                    return Err(Fault::types(format!("invalid argument for {name} (type {})", a.name())));
                }
            }
            args.first().cloned().ok_or_else(|| Fault::types(format!("not enough arguments to call {name}")))
        }
        "now" => one(0).map(|()| Type::Time),
        "date" => match args.len() {
            1..=3 => Ok(Type::Time),
            n => Err(Fault::types(format!("invalid number of arguments (expected 1 to 3, got {n})"))),
        },
        "first" | "last" => {
            one(1)?;
            match &args[0] {
                a if a.unknown() => Ok(Type::Any),
                a if a.array() => Ok(a.kept_elem()),
                a => wrong(&format!("cannot get {name} element from"), a),
            }
        }
        "take" => {
            one(2)?;
            if !(args[0].unknown() || args[0].array()) {
                return wrong("cannot take from", &args[0]);
            }
            if !(args[1].unknown() || args[1].integer()) {
                return wrong("cannot take elements by", &args[1]);
            }
            Ok(args[0].kept())
        }
        "keys" | "values" | "toPairs" => {
            one(1)?;
            match &args[0] {
                a if a.unknown() || a.map() => Ok(Type::anys()),
                a => wrong(&format!("cannot get {name} from"), a),
            }
        }
        "fromPairs" | "reverse" | "uniq" | "flatten" => {
            one(1)?;
            match &args[0] {
                a if a.unknown() || a.array() => {
                    Ok(if name == "fromPairs" { Type::Map } else { Type::anys() })
                }
                a => wrong(&format!("cannot {name}"), a),
            }
        }
        "concat" => match args.iter().find(|a| !(a.unknown() || a.array())) {
            Some(a) => wrong("cannot concat", a),
            None if args.is_empty() => {
                Err(Fault::types("invalid number of arguments (expected at least 1, got 0)"))
            }
            None => Ok(Type::anys()),
        },
        _ => Err(Fault::types(format!("unknown builtin {name}"))),
    }
}
