//! Whether an expression's parts go together, before it is evaluated, by the types of what it is evaluated on.

use super::ast::{Binary, Kind, Node, Unary};
use super::builtins::{self, Form, OURS, Takes};
use super::fault::{self, Fault};
use super::pattern;
use super::types::Type;
use super::value::{Elements, Value};

/// Integers given to a function of floats become floats, so `node` may change.
pub(super) fn check(node: &mut Node, result: Option<&Value>) -> Result<(), Fault> {
    let mut checker = Checker { result: result.map(Type::of), variables: Vec::new(), closures: Vec::new() };
    checker.visit(node).map(drop)
}

struct Closure {
    collection: Type,
    names: Vec<(&'static str, Type)>,
}

struct Checker {
    result: Option<Type>,
    variables: Vec<(String, Type)>,
    closures: Vec<Closure>,
}

impl Checker {
    fn visit(&mut self, node: &mut Node) -> Result<Type, Fault> {
        match &mut node.kind {
            Kind::Nil => Ok(Type::Nil),
            Kind::Bool(_) => Ok(Type::Bool),
            Kind::Int(_) => Ok(Type::Int),
            Kind::Float(_) => Ok(Type::Float),
            Kind::Text(_) => Ok(Type::Text),
            Kind::Name(name) => self.name(name),
            Kind::Unary(op, inner) => {
                let op = *op;
                let t = self.visit(inner)?;
                unary(op, &t)
            }
            Kind::Binary(op, left, right) => {
                let op = *op;
                let l = self.visit(left)?;
                let r = self.visit(right)?;
                if op == Binary::Matches
                    && let Kind::Text(text) = &right.kind
                {
                    pattern::regex(text)?;
                }
                let strict = strict(op, &l, &r);
                let t = binary(op, l, r)?;
                if let Kind::Binary(op, ..) = &mut node.kind {
                    *op = strict;
                }
                Ok(t)
            }
            Kind::Chain(inner) => self.visit(inner),
            Kind::Member { of, property, method, .. } => {
                let method = *method;
                self.member(of, property, method)
            }
            Kind::Slice { of, from, to } => {
                let t = self.visit(of)?;
                if !(t.unknown() || t.array() || t == Type::Text) {
                    return Err(Fault::types(format!("cannot slice {}", t.name())));
                }
                for index in [from, to].into_iter().flatten() {
                    let i = self.visit(index)?;
                    if !(i.integer() || i.unknown() || t.unknown()) {
                        return Err(Fault::types(format!("non-integer slice index {}", i.name())));
                    }
                }
                Ok(if t.unknown() { Type::Unknown } else { t })
            }
            Kind::Call { of, args } => self.call(of, args),
            Kind::Builtin { name, args } => {
                let name = *name;
                self.builtin(name, args)
            }
            Kind::Predicate(body) => self.visit(body),
            Kind::Pointer(name) => self.pointer(name),
            Kind::Let { name, value, body } => {
                self.free(name)?;
                let t = self.visit(value)?;
                self.variables.push((name.clone(), t));
                let body = self.visit(body);
                self.variables.pop();
                body
            }
            Kind::Sequence(nodes) => {
                let mut last = Type::Unknown;
                for node in nodes {
                    last = self.visit(node)?;
                }
                Ok(last)
            }
            Kind::If { condition, yes, no } => self.branches(condition, yes, no),
            Kind::Array(nodes) => self.array(nodes),
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    self.visit(key)?;
                    self.visit(value)?;
                }
                Ok(Type::Map)
            }
        }
    }

    fn name(&self, name: &str) -> Result<Type, Fault> {
        if let Some((_, t)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return Ok(t.clone());
        }
        if name == "$env" {
            return Ok(Type::Unknown);
        }
        if let Some(t) = self.given(name) {
            return Ok(t);
        }
        match builtins::named(name) {
            Some(builtin) => Ok(Type::Function(builtin)),
            None => Err(Fault::new(fault::Kind::Name, format!("unknown name {name}"))),
        }
    }

    /// What is there besides the language's own functions.
    fn given(&self, name: &str) -> Option<Type> {
        if name == "result" {
            return self.result.clone();
        }
        let ours = OURS.into_iter().find(|n| *n == name)?;
        (self.result.is_some() || matches!(ours, "isNaN" | "isInf")).then_some(Type::Function(ours))
    }

    fn free(&self, name: &str) -> Result<(), Fault> {
        let what = if self.given(name).is_some() {
            ""
        } else if builtins::named(name).is_some() {
            "builtin "
        } else if self.variables.iter().any(|(n, _)| n == name) {
            "variable "
        } else {
            return Ok(());
        };
        Err(Fault::types(format!("cannot redeclare {what}{name}")))
    }

    fn member(&mut self, of: &mut Node, property: &mut Node, method: bool) -> Result<Type, Fault> {
        if matches!(&of.kind, Kind::Name(n) if n == "$env") {
            return match &property.kind {
                Kind::Text(name) => self
                    .given(name)
                    .ok_or_else(|| Fault::new(fault::Kind::Name, format!("unknown name {name}"))),
                _ => Ok(Type::Unknown),
            };
        }
        let base = self.visit(of)?;
        let prop = self.visit(property)?;
        if base.unknown() {
            return Ok(Type::Unknown);
        }
        let (kind, name) = (&property.kind, base.name());
        match (&base, kind) {
            (Type::Nil, Kind::Text(p)) => Err(Fault::types(format!("type nil has no field {p}"))),
            (Type::Time | Type::Duration, Kind::Text(p)) => Err(Fault::new(
                fault::Kind::Unsupported,
                format!("Tidegate does not know the method {p} of a time or a duration"),
            )),
            (Type::Map, _) if prop == Type::Text || prop.unknown() => Ok(Type::Any),
            (Type::Map, _) => {
                Err(Fault::types(format!("cannot use {} to get an element from {name}", prop.name())))
            }
            (Type::Groups(_), _) => Ok(base.elem()),
            (Type::Array(..), _) if prop.integer() || prop.unknown() => Ok(base.elem()),
            (Type::Array(..), _) => Err(Fault::types(format!(
                "array elements can only be selected using an integer (got {})",
                prop.name()
            ))),
            (_, Kind::Text(p)) => {
                let what = if method { "method" } else { "field" };
                Err(Fault::types(format!("type {name} has no {what} {p}")))
            }
            _ => Err(Fault::types(format!("type {name}[{}] is undefined", prop.name()))),
        }
    }

    fn call(&mut self, of: &mut Node, args: &mut [Node]) -> Result<Type, Fault> {
        let callee = self.visit(of)?;
        match callee {
            Type::Function(name) => match builtins::forms(name) {
                Some(forms) => self.forms(name, forms, args),
                None => Err(unsupported_call(name)),
            },
            t if t.unknown() => Ok(Type::Unknown),
            Type::Nil => Err(Fault::types("function is nil; cannot call nil as function")),
            t => Err(Fault::types(format!("{} is not callable", t.name()))),
        }
    }

    fn forms(&mut self, name: &str, forms: &[Form], args: &mut [Node]) -> Result<Type, Fault> {
        let mut types = Vec::new();
        for arg in args.iter_mut() {
            types.push(self.visit(arg)?);
        }
        let mut last = None;
        for Form(takes, gives) in forms {
            match fits(name, takes, &types, args) {
                Ok(()) => return Ok(gives.of()),
                Err(fault) => last = Some(fault),
            }
        }
        Err(last.unwrap_or_else(|| Fault::types(format!("no matching overload for {name}"))))
    }

    fn builtin(&mut self, name: &'static str, args: &mut [Node]) -> Result<Type, Fault> {
        if builtins::closure(name).is_some() {
            return self.closure(name, args);
        }
        if name == "get" {
            return self.get(args);
        }
        if let Some(forms) = builtins::forms(name) {
            return self.forms(name, forms, args);
        }
        let mut types = Vec::new();
        for arg in args {
            types.push(self.visit(arg)?);
        }
        builtins::given(name, &types)
    }

    fn get(&mut self, args: &mut [Node]) -> Result<Type, Fault> {
        let [of, property] = args else {
            return Err(Fault::types(format!(
                "invalid number of arguments (expected 2, got {})",
                args.len()
            )));
        };
        let base = self.visit(of)?;
        let prop = self.visit(property)?;
        match &base {
            b if b.unknown() => Ok(Type::Unknown),
            Type::Array(..) if prop.integer() || prop.unknown() => Ok(base.elem()),
            Type::Array(..) => Err(Fault::types(format!("non-integer slice index {}", prop.name()))),
            Type::Groups(_) => Ok(base.elem()),
            Type::Map if prop == Type::Text || prop.unknown() => Ok(Type::Any),
            Type::Map => Err(Fault::types(format!(
                "cannot use {} to get an element from {}",
                prop.name(),
                base.name()
            ))),
            b => Err(Fault::types(format!("type {} does not support indexing", b.name()))),
        }
    }

    fn closure(&mut self, name: &'static str, args: &mut [Node]) -> Result<Type, Fault> {
        let [over, rest @ ..] = args else {
            return Err(Fault::types(format!("not enough arguments to call {name}")));
        };
        let collection = self.visit(over)?;
        if !(collection.array() || collection.unknown()) {
            return Err(Fault::types(format!("builtin {name} takes only array (got {})", collection.name())));
        }
        let elem = if collection.unknown() { Type::Unknown } else { collection.elem() };
        let [predicate, order @ ..] = rest else {
            return Ok(if name == "count" { Type::Int } else { elem });
        };
        let names = match name {
            "map" => vec![("index", Type::Int)],
            "reduce" => vec![("index", Type::Int), ("acc", Type::Unknown)],
            _ => Vec::new(),
        };
        self.closures.push(Closure { collection: collection.clone(), names });
        let given = self.visit(predicate);
        self.closures.pop();
        let given = given?;
        for node in order {
            self.visit(node)?;
        }
        if given == Type::Nil && !matches!(name, "sum" | "reduce") {
            return Err(Fault::types("predicate should has one input and one output param"));
        }
        let decides = !matches!(name, "map" | "sum" | "groupBy" | "sortBy" | "reduce");
        if decides && !(given == Type::Bool || given.unknown()) {
            return Err(Fault::types(format!("predicate should return boolean (got {})", given.name())));
        }
        Ok(match name {
            "all" | "none" | "any" | "one" => Type::Bool,
            "count" | "findIndex" | "findLastIndex" => Type::Int,
            "filter" if collection.unknown() => Type::anys(),
            "filter" => elem.list_of(),
            "map" => given.list_of(),
            "groupBy" => Type::Groups(Box::new(elem.list_of())),
            "sortBy" => collection,
            "sum" | "reduce" => given,
            _ => elem,
        })
    }

    fn pointer(&self, name: &str) -> Result<Type, Fault> {
        let Some(closure) = self.closures.last() else {
            return Err(Fault::types("cannot use pointer accessor outside predicate"));
        };
        if name.is_empty() {
            return Ok(if closure.collection.unknown() { Type::Unknown } else { closure.collection.elem() });
        }
        match closure.names.iter().find(|(n, _)| *n == name) {
            Some((_, t)) => Ok(t.clone()),
            None => Err(Fault::new(fault::Kind::Name, format!("unknown pointer #{name}"))),
        }
    }

    fn branches(&mut self, condition: &mut Node, yes: &mut Node, no: &mut Node) -> Result<Type, Fault> {
        let c = self.visit(condition)?;
        if !(c == Type::Bool || c.unknown()) {
            return Err(Fault::types(format!("non-bool expression (type {}) used as condition", c.name())));
        }
        let (yes, no) = (self.visit(yes)?, self.visit(no)?);
        Ok(match (yes, no) {
            (Type::Nil, other) | (other, Type::Nil) => other,
            (yes, no) if yes.assignable(&no) => {
                let (a, b) = (yes.elem(), no.elem());
                let mixed = yes.array() && no.array() && !(a.assignable(&b) && b.assignable(&a));
                if mixed { Type::anys() } else { yes }
            }
            _ => Type::Unknown,
        })
    }

    fn array(&mut self, nodes: &mut [Node]) -> Result<Type, Fault> {
        let mut types = Vec::new();
        for node in nodes {
            types.push(self.visit(node)?);
        }
        let kind = |t: &Type| match t {
            Type::Array(..) => Type::anys(),
            Type::Map | Type::Groups(_) => Type::Map,
            Type::Nil | Type::Unknown => Type::Unknown,
            Type::Function(_) => Type::Function(""),
            Type::Duration => Type::Int64,
            other => other.clone(),
        };
        let same = types.windows(2).all(|pair| kind(&pair[0]) == kind(&pair[1]));
        Ok(match types.pop() {
            Some(last) if same => last.list_of(),
            None => Type::Array(Elements::Any, Box::new(Type::Unknown)),
            Some(_) => Type::anys(),
        })
    }
}

fn unsupported_call(name: &str) -> Fault {
    Fault::new(fault::Kind::Unsupported, format!("Tidegate does not call {name} under another name"))
}

fn fits(name: &str, takes: &[Takes], types: &[Type], args: &mut [Node]) -> Result<(), Fault> {
    if types.len() != takes.len() {
        let many = if types.len() > takes.len() { "too many" } else { "not enough" };
        return Err(Fault::types(format!("{many} arguments to call {name}")));
    }
    for ((take, t), arg) in takes.iter().zip(types).zip(args) {
        let wanted = take.of();
        if *take == Takes::Float && t.integer() {
            floats(arg);
            continue;
        }
        if *take == Takes::Int && t.integer() {
            continue;
        }
        if *t == Type::Nil && *take != Takes::Any {
            return Err(Fault::types(format!(
                "cannot use nil as argument (type {}) to call {name}",
                wanted.name()
            )));
        }
        if !(t.unknown() || *t == Type::Nil || t.assignable(&wanted)) {
            let (is, wanted) = (t.name(), wanted.name());
            return Err(Fault::types(format!("cannot use {is} as argument (type {wanted}) to call {name} ")));
        }
    }
    Ok(())
}

/// `==` and `!=` where both sides are known to be of the same simple kind.
fn strict(op: Binary, l: &Type, r: &Type) -> Binary {
    match (op, l, r) {
        (Binary::Equal, Type::Int, Type::Int) => Binary::SameInts,
        (Binary::Equal, Type::Text, Type::Text) => Binary::SameTexts,
        (Binary::Unequal, Type::Int, Type::Int) => Binary::OtherInts,
        (Binary::Unequal, Type::Text, Type::Text) => Binary::OtherTexts,
        (op, ..) => op,
    }
}

/// The integers written out in a sum or product become floats.
fn floats(node: &mut Node) {
    match &mut node.kind {
        #[expect(clippy::cast_precision_loss, reason = "as the original does")]
        Kind::Int(i) => node.kind = Kind::Float(*i as f64),
        Kind::Unary(_, inner) => floats(inner),
        Kind::Binary(Binary::Add | Binary::Subtract | Binary::Multiply, a, b) => {
            floats(a);
            floats(b);
        }
        _ => {}
    }
}

fn unary(op: Unary, t: &Type) -> Result<Type, Fault> {
    match op {
        Unary::Not if *t == Type::Bool || t.unknown() => Ok(Type::Bool),
        Unary::Minus | Unary::Plus if t.number() || *t == Type::Duration => Ok(t.clone()),
        Unary::Minus | Unary::Plus if t.unknown() => Ok(Type::Unknown),
        _ => {
            let sign = match op {
                Unary::Not => "!",
                Unary::Minus => "-",
                Unary::Plus => "+",
            };
            Err(Fault::types(format!("invalid operation: {sign} (mismatched type {})", t.name())))
        }
    }
}

fn binary(op: Binary, l: Type, r: Type) -> Result<Type, Fault> {
    use Binary as B;
    let both = |is: fn(&Type) -> bool| is(&l) && is(&r);
    // One side is unknown, and the other is unknown too or of such a type.
    let maybe =
        |is: &dyn Fn(&Type) -> bool| (l.unknown() && (r.unknown() || is(&r))) || (r.unknown() && is(&l));
    let text = |t: &Type| *t == Type::Text;
    let time = |t: &Type| *t == Type::Time;
    let duration = |t: &Type| *t == Type::Duration;
    let number = |t: &Type| t.number() || duration(t);
    let promoted = || if l == Type::Float || r == Type::Float { Type::Float } else { Type::Int };
    let fitting = match op {
        B::Equal | B::Unequal if l.comparable(&r) => Some(Type::Bool),
        B::Or | B::And if both(|t| *t == Type::Bool) || maybe(&|t| *t == Type::Bool) => Some(Type::Bool),
        B::Less | B::More | B::LessOrEqual | B::MoreOrEqual => (both(|t| t.number() || *t == Type::Duration)
            || both(text)
            || both(time)
            || maybe(&|t| number(t) || text(t) || time(t)))
        .then_some(Type::Bool),
        B::Subtract if time(&l) && time(&r) => Some(Type::Duration),
        B::Subtract if time(&l) && duration(&r) => Some(Type::Time),
        B::Add if time(&l) && duration(&r) || duration(&l) && time(&r) => Some(Type::Time),
        B::Add | B::Subtract | B::Multiply if duration(&l) && duration(&r) => Some(Type::Duration),
        B::Multiply if duration(&l) && r.number() || l.number() && duration(&r) => Some(Type::Duration),
        B::Add if both(text) => Some(Type::Text),
        B::Add | B::Subtract | B::Multiply if both(Type::number) => Some(promoted()),
        B::Add if maybe(&|t| number(t) || text(t) || time(t)) => Some(Type::Unknown),
        B::Subtract if maybe(&|t| number(t) || time(t)) => Some(Type::Unknown),
        B::Multiply if maybe(&number) => Some(Type::Unknown),
        B::Divide | B::Power if both(Type::number) || maybe(&Type::number) => Some(Type::Float),
        B::Modulo if both(Type::integer) || maybe(&Type::integer) => Some(Type::Int),
        B::In | B::InTexts => return contained(&l, &r),
        B::Matches | B::Contains | B::StartsWith | B::EndsWith if both(text) || maybe(&text) => {
            Some(Type::Bool)
        }
        B::Range if both(Type::integer) || maybe(&Type::integer) => Some(Type::Int.list_of()),
        B::Coalesce => return Ok(coalesced(l, r)),
        _ => None,
    };
    fitting.ok_or_else(|| {
        Fault::types(format!(
            "invalid operation: {} (mismatched types {} and {})",
            op.sign(),
            l.name(),
            r.name()
        ))
    })
}

fn coalesced(l: Type, r: Type) -> Type {
    match (l, r) {
        (Type::Nil, other) | (other, Type::Nil) => other,
        (l, r) if r.assignable(&l) => l,
        _ => Type::Unknown,
    }
}

fn contained(l: &Type, r: &Type) -> Result<Type, Fault> {
    match r {
        Type::Map if !(l.unknown() || *l == Type::Text) => {
            Err(Fault::types(format!("cannot use {} as type string in map key", l.name())))
        }
        Type::Array(..) if !l.comparable(&r.elem()) => {
            Err(Fault::types(format!("cannot use {} as type {} in array", l.name(), r.elem().name())))
        }
        Type::Map | Type::Groups(_) | Type::Array(..) => Ok(Type::Bool),
        Type::Text if l.unknown() => Ok(Type::Bool),
        r if r.unknown() => Ok(Type::Bool),
        r => Err(Fault::types(format!(
            "invalid operation: in (mismatched types {} and {})",
            l.name(),
            r.name()
        ))),
    }
}
