//! Text to tokens.

use super::fault::Fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Operator,
    Bracket,
    Name,
    Number,
    Text,
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) sort: Sort,
    pub(super) value: String,
}

impl Token {
    pub(super) fn is(&self, sort: Sort, value: &str) -> bool {
        self.sort == sort && self.value == value
    }

    /// As an error names it.
    pub(super) fn named(&self) -> String {
        match self.sort {
            Sort::End => "EOF".into(),
            Sort::Operator => format!("Operator({:?})", self.value),
            Sort::Bracket => format!("Bracket({:?})", self.value),
            Sort::Name => format!("Identifier({:?})", self.value),
            Sort::Number => format!("Number({:?})", self.value),
            Sort::Text => format!("String({:?})", self.value),
        }
    }
}

pub(super) fn alphabetic(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic()
}

pub(super) fn alphanumeric(c: char) -> bool {
    alphabetic(c) || c.is_numeric()
}

const WORDS: [&str; 11] =
    ["not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"];

/// The last token is [`Sort::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, out: Vec::new() };
    while lexer.one()? {}
    lexer.push(Sort::End, "");
    Ok(lexer.out)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    out: Vec<Token>,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn accept(&mut self, valid: &str) -> bool {
        let yes = self.peek().is_some_and(|c| valid.contains(c));
        self.at += usize::from(yes);
        yes
    }

    fn accept_all(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn push(&mut self, sort: Sort, value: impl Into<String>) {
        self.out.push(Token { sort, value: value.into() });
    }

    fn push_from(&mut self, sort: Sort, start: usize) {
        let word: String = self.chars[start..self.at].iter().collect();
        self.push(sort, word);
    }

    /// One token or blank; false at the end.
    fn one(&mut self) -> Result<bool, Fault> {
        let start = self.at;
        let Some(c) = self.next() else { return Ok(false) };
        match c {
            c if c.is_whitespace() => {}
            '\'' | '"' => {
                let text = self.text(c)?;
                self.push(Sort::Text, text);
            }
            '`' => {
                let text = self.raw()?;
                self.push(Sort::Text, text);
            }
            '0'..='9' => return self.number(start),
            '?' => {
                self.accept(".?");
                self.push_from(Sort::Operator, start);
            }
            '/' if self.accept("/") => while self.next().is_some_and(|c| c != '\n') {},
            '/' if self.accept("*") => loop {
                match self.next() {
                    None => return Err(Fault::syntax("unclosed comment")),
                    Some('*') if self.accept("/") => break,
                    Some(_) => {}
                }
            },
            '#' => {
                self.accept("#");
                self.push_from(Sort::Operator, start);
                let start = self.at;
                while self.peek().is_some_and(alphanumeric) {
                    self.at += 1;
                }
                if self.at > start {
                    self.push_from(Sort::Name, start);
                }
            }
            '|' | ':' => {
                self.accept(if c == '|' { "|" } else { ":" });
                self.push_from(Sort::Operator, start);
            }
            '(' | '[' | '{' | ')' | ']' | '}' => self.push_from(Sort::Bracket, start),
            ',' | ';' | '%' | '+' | '-' | '^' | '/' => self.push_from(Sort::Operator, start),
            '&' | '!' | '=' | '*' | '<' | '>' => {
                self.accept("&=*");
                self.push_from(Sort::Operator, start);
            }
            '.' => {
                if self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    return self.number(start);
                }
                self.accept(".");
                self.push_from(Sort::Operator, start);
            }
            c if alphanumeric(c) => {
                while self.peek().is_some_and(alphanumeric) {
                    self.at += 1;
                }
                let word: String = self.chars[start..self.at].iter().collect();
                let sort = if WORDS.contains(&word.as_str()) { Sort::Operator } else { Sort::Name };
                self.push(sort, word);
            }
            c => return Err(Fault::syntax(format!("unrecognized character: {c:?}"))),
        }
        Ok(true)
    }

    fn number(&mut self, start: usize) -> Result<bool, Fault> {
        self.at = start;
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_all(digits);
        let before_dot = self.at;
        if self.accept(".") {
            if self.peek() == Some('.') {
                // `1..2` is a range.
                self.at = before_dot;
                self.push_from(Sort::Number, start);
                return Ok(true);
            }
            self.accept_all(digits);
        }
        if self.accept("eE") {
            self.accept("+-");
            self.accept_all(digits);
        }
        if self.peek().is_some_and(alphanumeric) {
            let word: String = self.chars[start..=self.at].iter().collect();
            return Err(Fault::syntax(format!("bad number syntax: {word:?}")));
        }
        self.push_from(Sort::Number, start);
        Ok(true)
    }

    fn text(&mut self, quote: char) -> Result<String, Fault> {
        let mut out = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(Fault::syntax("literal not terminated")),
                Some(c) if c == quote => return Ok(out),
                Some('\\') => out.push(self.escape(quote)?),
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<char, Fault> {
        let bad = || Fault::syntax("invalid char escape");
        Ok(match self.next().ok_or_else(bad)? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            c if c == quote => c,
            c @ '0'..='7' => {
                self.at -= 1;
                debug_assert!(c.is_ascii_digit());
                self.code(8, 3)?
            }
            'x' => self.code(16, 2)?,
            'u' if self.accept("{") => {
                let start = self.at;
                self.accept_all("0123456789abcdefABCDEF");
                let digits: String = self.chars[start..self.at].iter().collect();
                if digits.is_empty() || digits.len() > 6 || !self.accept("}") {
                    return Err(bad());
                }
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or_else(bad)?
            }
            'u' => self.code(16, 4)?,
            'U' => self.code(16, 8)?,
            _ => return Err(bad()),
        })
    }

    fn code(&mut self, base: u32, digits: usize) -> Result<char, Fault> {
        let bad = || Fault::syntax("invalid char escape");
        let mut code: u32 = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|c| c.to_digit(base)).ok_or_else(bad)?;
            code = code.wrapping_mul(base).wrapping_add(digit);
        }
        char::from_u32(code).ok_or_else(bad)
    }

    /// Between backticks, of which two are one.
    fn raw(&mut self) -> Result<String, Fault> {
        let mut out = String::new();
        loop {
            match self.next() {
                None => return Err(Fault::syntax("literal not terminated")),
                Some('`') if self.accept("`") => out.push('`'),
                Some('`') => return Ok(out),
                Some(c) => out.push(c),
            }
        }
    }
}
