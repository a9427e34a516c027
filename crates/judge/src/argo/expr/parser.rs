//! Tokens to a tree.

use super::ast::{Binary, Kind, Node, Unary};
use super::builtins;
use super::fault::{self, Fault};
use super::lexer::{Sort, Token, alphabetic, alphanumeric, tokens};

/// Characters of an expression.
const LENGTH: usize = 16_384;
/// How deep a tree may be, and how deep its text may be nested: what is deeper could not be walked safely.
const DEPTH: usize = 120;
const NESTED: usize = 60;
/// Parts of a tree, as in the original.
const PARTS: usize = 10_000;

pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    if text.chars().count() > LENGTH {
        return Err(Fault::new(
            fault::Kind::Size,
            format!("the expression is longer than {LENGTH} characters"),
        ));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, predicates: 0, nested: 0 };
    let node = parser.sequence()?;
    match parser.now().sort {
        Sort::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

/// Precedence and operator.
fn binary(token: &Token) -> Option<(u16, Binary)> {
    if token.sort != Sort::Operator {
        return None;
    }
    Some(match token.value.as_str() {
        "or" | "||" => (10, Binary::Or),
        "and" | "&&" => (15, Binary::And),
        "==" => (20, Binary::Equal),
        "!=" => (20, Binary::Unequal),
        "<" => (20, Binary::Less),
        ">" => (20, Binary::More),
        "<=" => (20, Binary::LessOrEqual),
        ">=" => (20, Binary::MoreOrEqual),
        "in" => (20, Binary::In),
        "matches" => (20, Binary::Matches),
        "contains" => (20, Binary::Contains),
        "startsWith" => (20, Binary::StartsWith),
        "endsWith" => (20, Binary::EndsWith),
        ".." => (25, Binary::Range),
        "+" => (30, Binary::Add),
        "-" => (30, Binary::Subtract),
        "*" => (60, Binary::Multiply),
        "/" => (60, Binary::Divide),
        "%" => (60, Binary::Modulo),
        "**" | "^" => (100, Binary::Power),
        "??" => (500, Binary::Coalesce),
        _ => return None,
    })
}

fn compares(op: Binary) -> bool {
    matches!(op, Binary::Less | Binary::More | Binary::LessOrEqual | Binary::MoreOrEqual)
}

fn negatable(op: Binary) -> bool {
    matches!(op, Binary::Contains | Binary::Matches | Binary::StartsWith | Binary::EndsWith | Binary::In)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Closures around the present place.
    predicates: usize,
    nested: usize,
}

impl Parser {
    fn now(&self) -> &Token {
        // The last token is the end, and nothing moves past it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn after(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    fn step(&mut self) -> Token {
        let token = self.now().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn is(&self, sort: Sort, value: &str) -> bool {
        self.now().is(sort, value)
    }

    fn take(&mut self, sort: Sort, value: &str) -> bool {
        let yes = self.is(sort, value);
        if yes {
            self.step();
        }
        yes
    }

    fn expect(&mut self, sort: Sort, value: &str) -> Result<(), Fault> {
        if self.take(sort, value) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.now().sort {
            Sort::Name => Ok(self.step().value),
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> Fault {
        Fault::syntax(format!("unexpected token {}", self.now().named()))
    }

    fn make(&self, kind: Kind) -> Result<Node, Fault> {
        let node = Node::new(kind);
        if node.depth > DEPTH {
            return Err(Fault::new(fault::Kind::Size, "the expression is nested too deeply"));
        }
        if node.size > PARTS {
            return Err(Fault::new(fault::Kind::Size, "expression exceeds maximum allowed nodes"));
        }
        Ok(node)
    }

    fn sequence(&mut self) -> Result<Node, Fault> {
        let mut nodes = vec![self.expression(0)?];
        while self.take(Sort::Operator, ";") {
            if self.now().sort == Sort::End {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        match nodes.pop() {
            Some(only) if nodes.is_empty() => Ok(only),
            last => {
                nodes.extend(last);
                self.make(Kind::Sequence(nodes))
            }
        }
    }

    fn expression(&mut self, precedence: u16) -> Result<Node, Fault> {
        self.nested += 1;
        if self.nested > NESTED {
            return Err(Fault::new(fault::Kind::Size, "the expression is nested too deeply"));
        }
        let node = if precedence == 0 && self.is(Sort::Operator, "let") {
            self.declaration()
        } else if precedence == 0 && self.take(Sort::Operator, "if") {
            self.if_else()
        } else {
            self.operators(precedence)
        };
        self.nested -= 1;
        node
    }

    fn operators(&mut self, precedence: u16) -> Result<Node, Fault> {
        let mut left = self.primary()?;
        let mut previous = None;
        loop {
            if precedence == 0 && self.take(Sort::Operator, "|") {
                let name = self.name()?;
                left = self.call(name, vec![left])?;
                previous = None;
                continue;
            }
            let negated = self.is(Sort::Operator, "not");
            let token = if negated { self.after() } else { self.now() };
            let Some((level, op)) = binary(token) else {
                if negated {
                    self.step();
                    return Err(self.unexpected());
                }
                break;
            };
            if negated && !negatable(op) {
                self.step();
                return Err(self.unexpected());
            }
            if level < precedence {
                break;
            }
            if previous == Some(Binary::Coalesce) && op != Binary::Coalesce {
                return Err(Fault::syntax(format!(
                    "Operator ({}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses.",
                    op.sign()
                )));
            }
            self.at += usize::from(negated);
            self.step();
            left = self.right(left, op, level)?;
            if negated {
                left = self.make(Kind::Unary(Unary::Not, Box::new(left)))?;
            }
            previous = Some(op);
        }
        if precedence == 0 { self.ternary(left) } else { Ok(left) }
    }

    /// What stands right of an operator, and all comparisons that follow: `1 < x < 3` is `1 < x && x < 3`.
    fn right(&mut self, left: Node, op: Binary, level: u16) -> Result<Node, Fault> {
        if !compares(op) {
            let right = self.expression(if op == Binary::Power { level } else { level + 1 })?;
            return self.make(Kind::Binary(op, Box::new(left), Box::new(right)));
        }
        let (mut left, mut op) = (left, op);
        let mut all: Option<Node> = None;
        loop {
            let right = self.expression(level + 1)?;
            let one = self.make(Kind::Binary(op, Box::new(left), Box::new(right.clone())))?;
            all = Some(match all {
                None => one,
                Some(before) => self.make(Kind::Binary(Binary::And, Box::new(before), Box::new(one)))?,
            });
            left = right;
            match binary(self.now()) {
                Some((_, next)) if compares(next) => {
                    self.step();
                    op = next;
                }
                _ => break,
            }
        }
        all.ok_or_else(|| self.unexpected())
    }

    fn declaration(&mut self) -> Result<Node, Fault> {
        self.step();
        let name = self.name()?;
        self.expect(Sort::Operator, "=")?;
        let value = Box::new(self.expression(0)?);
        self.expect(Sort::Operator, ";")?;
        let body = Box::new(self.sequence()?);
        self.make(Kind::Let { name, value, body })
    }

    fn if_else(&mut self) -> Result<Node, Fault> {
        let condition = Box::new(self.expression(0)?);
        let yes = Box::new(self.braced()?);
        self.expect(Sort::Operator, "else")?;
        let no = Box::new(if self.is(Sort::Operator, "if") { self.expression(0)? } else { self.braced()? });
        self.make(Kind::If { condition, yes, no })
    }

    fn braced(&mut self) -> Result<Node, Fault> {
        self.expect(Sort::Bracket, "{")?;
        let node = self.sequence()?;
        self.expect(Sort::Bracket, "}")?;
        Ok(node)
    }

    fn ternary(&mut self, mut node: Node) -> Result<Node, Fault> {
        while self.take(Sort::Operator, "?") {
            let condition = Box::new(node);
            let yes =
                if self.is(Sort::Operator, ":") { condition.clone() } else { Box::new(self.expression(0)?) };
            self.expect(Sort::Operator, ":")?;
            let no = Box::new(self.expression(0)?);
            node = self.make(Kind::If { condition, yes, no })?;
        }
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let token = self.now().clone();
        let node = match (token.sort, token.value.as_str()) {
            (Sort::Operator, "not" | "!") => self.unary(Unary::Not, 50)?,
            (Sort::Operator, "-") => self.unary(Unary::Minus, 90)?,
            (Sort::Operator, "+") => self.unary(Unary::Plus, 90)?,
            (Sort::Bracket, "(") => {
                self.step();
                let node = self.sequence()?;
                self.expect(Sort::Bracket, ")")?;
                node
            }
            (Sort::Operator, "#" | ".") if self.predicates > 0 => {
                let mut name = String::new();
                if self.take(Sort::Operator, "#") && self.now().sort == Sort::Name {
                    name = self.step().value;
                }
                self.make(Kind::Pointer(name))?
            }
            (Sort::Operator, "::") => {
                self.step();
                let name = self.name()?;
                self.call(name, Vec::new())?
            }
            (Sort::Name, "true" | "false") => {
                self.step();
                return self.make(Kind::Bool(token.value == "true"));
            }
            (Sort::Name, "nil") => {
                self.step();
                return self.make(Kind::Nil);
            }
            (Sort::Name, _) => {
                self.step();
                match self.is(Sort::Bracket, "(") {
                    true => self.call(token.value, Vec::new())?,
                    false => self.make(Kind::Name(token.value))?,
                }
            }
            (Sort::Number, text) => {
                let kind = number(text)?;
                self.step();
                return self.make(kind);
            }
            (Sort::Text, text) => {
                let text = text.into();
                self.step();
                self.make(Kind::Text(text))?
            }
            (Sort::Bracket, "[") => {
                self.step();
                let nodes = self.list("]")?;
                self.make(Kind::Array(nodes))?
            }
            (Sort::Bracket, "{") => self.map()?,
            _ => return Err(self.unexpected()),
        };
        self.postfix(node)
    }

    fn unary(&mut self, op: Unary, level: u16) -> Result<Node, Fault> {
        self.step();
        let node = self.expression(level)?;
        self.make(Kind::Unary(op, Box::new(node)))
    }

    /// Expressions between commas up to a bracket; a comma before it does no harm.
    fn list(&mut self, end: &str) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        while !self.is(Sort::Bracket, end) {
            if !nodes.is_empty() {
                self.expect(Sort::Operator, ",")?;
                if self.is(Sort::Bracket, end) {
                    break;
                }
            }
            nodes.push(self.expression(0)?);
        }
        self.step();
        Ok(nodes)
    }

    fn map(&mut self) -> Result<Node, Fault> {
        self.step();
        let mut pairs = Vec::new();
        while !self.is(Sort::Bracket, "}") {
            if !pairs.is_empty() {
                self.expect(Sort::Operator, ",")?;
                if self.is(Sort::Bracket, "}") {
                    break;
                }
            }
            let key = match self.now().sort {
                Sort::Number | Sort::Text | Sort::Name => {
                    let key = self.step().value;
                    self.make(Kind::Text(key.into()))?
                }
                _ if self.is(Sort::Bracket, "(") => self.expression(0)?,
                _ => {
                    let found = self.now().named();
                    return Err(Fault::syntax(format!(
                        "a map key must be a quoted string, a number, a identifier, or an expression enclosed in \
                         parentheses (unexpected token {found})"
                    )));
                }
            };
            self.expect(Sort::Operator, ":")?;
            pairs.push((key, self.expression(0)?));
        }
        self.step();
        self.make(Kind::Map(pairs))
    }

    /// `args` are those that a `|` brought.
    fn call(&mut self, name: String, mut args: Vec<Node>) -> Result<Node, Fault> {
        self.expect(Sort::Bracket, "(")?;
        let Some(builtin) = builtins::named(&name) else {
            args.extend(self.list(")")?);
            let of = Box::new(self.make(Kind::Name(name))?);
            return self.make(Kind::Call { of, args });
        };
        let Some((least, most)) = builtins::closure(builtin) else {
            args.extend(self.list(")")?);
            return self.make(Kind::Builtin { name: builtin, args });
        };
        let first = args.len();
        for i in first..most {
            if self.is(Sort::Bracket, ")") {
                if i < least {
                    return Err(Fault::syntax(format!("expected at least {least} arguments for {name}")));
                }
                break;
            }
            if i > first {
                self.expect(Sort::Operator, ",")?;
            }
            let arg = if i == 1 { self.predicate()? } else { self.expression(0)? };
            args.push(arg);
        }
        self.take(Sort::Operator, ",");
        self.expect(Sort::Bracket, ")")?;
        self.make(Kind::Builtin { name: builtin, args })
    }

    fn predicate(&mut self) -> Result<Node, Fault> {
        self.predicates += 1;
        let body = if self.is(Sort::Bracket, "{") { self.braced()? } else { self.expression(0)? };
        self.predicates -= 1;
        if self.is(Sort::Operator, ";") {
            return Err(Fault::syntax("wrap predicate with brackets { and }"));
        }
        self.make(Kind::Predicate(Box::new(body)))
    }

    fn postfix(&mut self, mut node: Node) -> Result<Node, Fault> {
        loop {
            let mut optional = self.is(Sort::Operator, "?.");
            if optional && self.after().is(Sort::Bracket, "[") {
                self.step();
                self.step();
                node = self.index(node, true)?;
            } else if optional || self.is(Sort::Operator, ".") {
                self.step();
                node = self.member(node, optional)?;
            } else if self.take(Sort::Bracket, "[") {
                optional = false;
                node = self.index(node, optional)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member(&mut self, node: Node, optional: bool) -> Result<Node, Fault> {
        let token = self.step();
        let word = token
            .value
            .chars()
            .enumerate()
            .all(|(i, c)| if i == 0 { alphabetic(c) } else { alphanumeric(c) });
        let named =
            token.sort == Sort::Name || (token.sort == Sort::Operator && word && !token.value.is_empty());
        if !named {
            return Err(Fault::syntax("expected name"));
        }
        let property = Box::new(self.make(Kind::Text(token.value.into()))?);
        let (chained, of) = match node.kind {
            Kind::Chain(inner) => (true, inner),
            kind => (false, Box::new(Node::new(kind))),
        };
        let method = self.is(Sort::Bracket, "(");
        let mut node = self.make(Kind::Member { of, property, optional, method })?;
        if method {
            self.step();
            let args = self.list(")")?;
            node = self.make(Kind::Call { of: Box::new(node), args })?;
        }
        if chained || optional { self.make(Kind::Chain(Box::new(node))) } else { Ok(node) }
    }

    fn index(&mut self, node: Node, optional: bool) -> Result<Node, Fault> {
        let of = Box::new(node);
        let from = if self.is(Sort::Operator, ":") { None } else { Some(Box::new(self.expression(0)?)) };
        if !self.take(Sort::Operator, ":") {
            self.expect(Sort::Bracket, "]")?;
            let property = from.ok_or_else(|| self.unexpected())?;
            let node = self.make(Kind::Member { of, property, optional, method: false })?;
            return if optional { self.make(Kind::Chain(Box::new(node))) } else { Ok(node) };
        }
        let to = if self.is(Sort::Bracket, "]") { None } else { Some(Box::new(self.expression(0)?)) };
        self.expect(Sort::Bracket, "]")?;
        self.make(Kind::Slice { of, from, to })
    }
}

fn number(text: &str) -> Result<Kind, Fault> {
    let clean = text.replace('_', "").to_lowercase();
    let radix = |prefix: &str, base: u32| clean.strip_prefix(prefix).map(|d| i64::from_str_radix(d, base));
    if let Some(read) = radix("0x", 16) {
        return read.map(Kind::Int).map_err(|e| Fault::syntax(format!("invalid hex literal: {e}")));
    }
    if clean.contains(['.', 'e']) {
        return match clean.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Kind::Float(n)),
            _ => Err(Fault::syntax(format!("invalid float literal: {text}"))),
        };
    }
    let read = radix("0b", 2).or_else(|| radix("0o", 8)).unwrap_or_else(|| clean.parse());
    read.map(Kind::Int).map_err(|e| Fault::syntax(format!("invalid integer literal: {e}")))
}
