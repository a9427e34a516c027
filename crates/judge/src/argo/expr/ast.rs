//! What an expression is.

use std::sync::Arc;

/// A part of an expression, how deep it is and of how many parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(super) depth: usize,
    pub(super) size: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Name(String),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// What a nil at a `?.` inside it makes nil.
    Chain(Box<Node>),
    /// `of.property` or `of[property]`
    Member {
        of: Box<Node>,
        property: Box<Node>,
        optional: bool,
        method: bool,
    },
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    Call {
        of: Box<Node>,
        args: Vec<Node>,
    },
    Builtin {
        name: &'static str,
        args: Vec<Node>,
    },
    /// A closure's body.
    Predicate(Box<Node>),
    /// `#`, or `#name`
    Pointer(String),
    Let {
        name: String,
        value: Box<Node>,
        body: Box<Node>,
    },
    Sequence(Vec<Node>),
    If {
        condition: Box<Node>,
        yes: Box<Node>,
        no: Box<Node>,
    },
    Array(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Or,
    And,
    Equal,
    Unequal,
    /// `==` and `!=` of what is known to be two integers, or two texts: what turns out to be something else is an error.
    SameInts,
    SameTexts,
    OtherInts,
    OtherTexts,
    Less,
    More,
    LessOrEqual,
    MoreOrEqual,
    In,
    /// `in` a list of texts written out: what is not a text is an error there, as in the original.
    InTexts,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

impl Binary {
    /// As it is written.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal | Self::SameInts | Self::SameTexts => "==",
            Self::Unequal | Self::OtherInts | Self::OtherTexts => "!=",
            Self::Less => "<",
            Self::More => ">",
            Self::LessOrEqual => "<=",
            Self::MoreOrEqual => ">=",
            Self::In | Self::InTexts => "in",
            Self::Matches => "matches",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }
}

impl Node {
    pub(super) fn new(kind: Kind) -> Self {
        let (mut depth, mut size) = (0, 1_usize);
        kind.each(&mut |child| {
            depth = depth.max(child.depth);
            size = size.saturating_add(child.size);
        });
        Self { kind, depth: depth + 1, size }
    }

    /// Whether it or a part of it is `test`.
    pub(super) fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        let mut yes = test(self);
        self.kind.each(&mut |child| yes = yes || child.any(test));
        yes
    }
}

impl Kind {
    fn each(&self, f: &mut dyn FnMut(&Node)) {
        match self {
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Name(_)
            | Self::Pointer(_) => {}
            Self::Unary(_, a) | Self::Chain(a) | Self::Predicate(a) => f(a),
            Self::Binary(_, a, b) => {
                f(a);
                f(b);
            }
            Self::Member { of, property, .. } => {
                f(of);
                f(property);
            }
            Self::Slice { of, from, to } => {
                f(of);
                from.iter().chain(to).for_each(|n| f(n));
            }
            Self::Call { of, args } => {
                f(of);
                args.iter().for_each(f);
            }
            Self::Builtin { args, .. } | Self::Sequence(args) | Self::Array(args) => args.iter().for_each(f),
            Self::Let { value, body, .. } => {
                f(value);
                f(body);
            }
            Self::If { condition, yes, no } => {
                f(condition);
                f(yes);
                f(no);
            }
            Self::Map(pairs) => {
                for (key, value) in pairs {
                    f(key);
                    f(value);
                }
            }
        }
    }
}
