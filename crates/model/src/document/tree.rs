//! A document as it was written: key order and repeated keys kept, size and depth bounded while it is read, so that
//! neither a nest of brackets nor an anchor that unfolds to gigabytes costs more than a moment.

use crate::problem::{Problem, Status};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::cell::Cell;
use std::fmt;

/// Largest document, in bytes.
pub(crate) const LARGEST: usize = 256 * 1024;
/// Levels of lists and maps. Eight are enough.
const DEEPEST: usize = 32;
/// Values in a document, after anchors were unfolded.
const MOST: usize = 10_000;

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// As a person would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// Reads YAML, and JSON too.
    ///
    /// # Errors
    /// 413 above [`LARGEST`]; 400 for what is not YAML, too deep or too much, naming line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > LARGEST {
            let words =
                "The document is larger than 256 KiB. Send less: it names changes, it does not hold them.";
            return Err(Problem::new(Status::TooLarge, words));
        }
        if brackets(text) > DEEPEST {
            return Err(Problem::malformed(too_deep()));
        }
        let budget = Budget::default();
        // JSON is read as such where it is: YAML parsers trip over tabs and long keys that JSON allows.
        if text.trim_start().starts_with('{') {
            let mut json = serde_json::Deserializer::from_str(text);
            if let Ok(node) = budget.seed(0).deserialize(&mut json)
                && json.end().is_ok()
            {
                return Ok(node);
            }
        }
        let budget = Budget::default();
        budget.seed(0).deserialize(serde_yaml_ng::Deserializer::from_str(text)).map_err(|e| {
            let words = e.to_string();
            let words = words.trim_end_matches('.');
            Problem::malformed(format!("This cannot be read as YAML: {words}. Correct it and send it again."))
        })
    }

    /// # Errors
    /// 400 for what is too deep or too much.
    pub(crate) fn of(value: &Value) -> Result<Self, Problem> {
        let budget = Budget::default();
        budget.seed(0).deserialize(value).map_err(|e| Problem::malformed(format!("{e}. Send less of it.")))
    }
}

fn too_deep() -> String {
    format!("The document is nested deeper than {DEEPEST} levels. Eight are enough: flatten it.")
}

/// Deepest nesting of brackets, found without parsing: a parser's time can grow with the square of it.
fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for b in text.bytes() {
        match b {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What is left to be read. Shared by all levels of one document.
struct Budget {
    values: Cell<usize>,
    bytes: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { values: Cell::new(MOST), bytes: Cell::new(LARGEST) }
    }
}

impl Budget {
    fn seed(&self, depth: usize) -> Seed<'_> {
        Seed { budget: self, depth }
    }

    fn spend<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        let values = self.values.get().checked_sub(1);
        let left = self.bytes.get().checked_sub(bytes);
        match (values, left) {
            (Some(values), Some(left)) => {
                self.values.set(values);
                self.bytes.set(left);
                Ok(())
            }
            _ => Err(E::custom("the document holds more than a plan can, its anchors unfolded")),
        }
    }
}

struct Seed<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
        if self.depth > DEEPEST {
            return Err(de::Error::custom(too_deep()));
        }
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain text, a number, true, false, a list or a map (no tags)")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.budget.spend(0)?;
        Ok(Node::Null)
    }
    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Node, E> {
        self.budget.spend(0)?;
        Ok(Node::Bool(v))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Node, E> {
        self.budget.spend(0)?;
        Ok(Node::Int(v))
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Node, E> {
        self.budget.spend(0)?;
        Ok(i64::try_from(v).map_or(Node::Float(v as f64), Node::Int))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Node, E> {
        self.budget.spend(0)?;
        Ok(Node::Float(v))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<Node, E> {
        self.budget.spend(v.len())?;
        Ok(Node::Text(v.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.budget.spend(0)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.budget.seed(self.depth + 1))? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.budget.spend(0)?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(self.budget.seed(self.depth + 1))? {
            let key = match key {
                Node::Text(text) => text,
                Node::Int(n) => n.to_string(),
                Node::Float(n) => n.to_string(),
                Node::Bool(b) => b.to_string(),
                Node::Null => String::new(),
                Node::List(_) | Node::Map(_) => {
                    return Err(de::Error::custom("a key must be text, not a list or a map"));
                }
            };
            entries.push((key, map.next_value_seed(self.budget.seed(self.depth + 1))?));
        }
        Ok(Node::Map(entries))
    }
}
