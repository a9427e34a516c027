//! The file as it was written: every value with its line and its bytes, so that a fault can be shown and an edit touches nothing else.
//!
//! What is read is bounded while it is read: size, depth and values, those of unfolded anchors included.

use crate::fault::Fault;
use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Largest file, in bytes: what a ConfigMap holds.
pub const LARGEST: usize = 1024 * 1024;
/// Levels of lists and maps. A variant's value takes the most.
const DEEPEST: usize = 24;
/// Values in a file, anchors unfolded.
const MOST: usize = 200_000;

/// One value as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Bytes of the file. Of a block map or list: from its first to its last value.
    pub(crate) at: Range<usize>,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) what: What,
    /// Stands for an anchor's value, or is one: to change it here changes it elsewhere.
    pub(crate) shared: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// `plain` is written without quotes: only then can it be a number, true, false or nothing.
    Scalar {
        text: String,
        plain: bool,
        block: bool,
    },
    List {
        items: Vec<Node>,
        flow: bool,
    },
    Map {
        entries: Vec<Entry>,
        flow: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Written without quotes.
    pub(crate) plain: bool,
    /// Bytes of the key.
    pub(crate) at: Range<usize>,
    pub(crate) line: usize,
    pub(crate) value: Node,
    /// Came in by `<<`.
    pub(crate) merged: bool,
}

/// What a value is by YAML's rules, those on which old and new readers agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'n> {
    Null,
    Bool(bool),
    /// Digits with a sign or a point: `25`, `-1`, `25.0`, `1e3`.
    Number(&'n str),
    Text(&'n str),
}

impl Node {
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        let What::Scalar { text, plain, .. } = &self.what else { return None };
        Some(if *plain { resolve(text) } else { Scalar::Text(text) })
    }

    pub(crate) fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.what {
            What::Map { entries, .. } => Some(entries),
            What::Scalar { .. } | What::List { .. } => None,
        }
    }

    /// As a person would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.what, self.scalar()) {
            (What::List { .. }, _) => "a list",
            (What::Map { .. }, _) => "a map",
            (_, Some(Scalar::Null) | None) => "empty",
            (_, Some(Scalar::Bool(_))) => "true or false",
            (_, Some(Scalar::Number(_))) => "a number",
            (_, Some(Scalar::Text(_))) => "text",
        }
    }
}

/// YAML 1.2's core words. What only YAML 1.1 takes for true, false or a number is text here and is refused where it matters.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ if is_number(text) => Scalar::Number(text),
        _ => Scalar::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e.strip_prefix(['-', '+']).unwrap_or(e))),
        None => (body, None),
    };
    let mantissa = match mantissa.split_once('.') {
        Some((a, b)) => (a.is_empty() || digits(a)) && (b.is_empty() || digits(b)) && mantissa.len() > 1,
        None => digits(mantissa),
    };
    mantissa && exponent.is_none_or(digits)
}

/// Does a reader of YAML 1.1 take this, written without quotes, for something else than its letters? `NO` is false there, `010` is 8, and
/// `8.10` becomes 8.1. Go's `sigs.k8s.io/yaml`, which reads ConfigMaps' contents, does all three.
pub(crate) fn reads_otherwise(plain: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    if WORDS.contains(&plain.to_ascii_lowercase().as_str()) {
        return !matches!(plain, "true" | "false");
    }
    let body = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let number = |c: char| c.is_ascii_digit() || c == '.';
    if !body.starts_with(number) {
        return false;
    }
    let bare = body.replace('_', "");
    let based =
        |sign: &str, base: u32| bare.strip_prefix(sign).is_some_and(|d| d.chars().all(|c| c.is_digit(base)));
    if based("0x", 16)
        || based("0b", 2)
        || based("0o", 8)
        || matches!(bare.to_ascii_lowercase().as_str(), ".inf" | ".nan")
    {
        return true;
    }
    if bare.parse::<f64>().is_err() {
        return false;
    }
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let led = |whole: &str| whole.is_empty() || whole.len() > 1 && whole.starts_with('0');
    let unsigned = plain.strip_prefix('-').unwrap_or(plain);
    match unsigned.split_once('.') {
        None => !digits(unsigned) || led(unsigned) || unsigned.len() > 18 || plain == "-0",
        // Printed again with the digits of a small float, and with an exponent from a million on.
        Some((whole, part)) => {
            let fits = whole.len() + part.len() <= 7 && whole.len() <= 6 && !part.starts_with("000");
            !digits(whole) || !digits(part) || led(whole) || part.is_empty() || part.ends_with('0') || !fits
        }
    }
}

/// Reads one document. Nothing in it is `None`.
///
/// # Errors
/// One fault: too large, not YAML, more than one document, too deep or too much.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Fault> {
    if text.len() > LARGEST {
        let said = "The file is larger than 1 MiB, which no ConfigMap holds. Remove flags that are not used any more.";
        return Err(Fault::new("", 1, said));
    }
    if let Some(at) = text.find(['\u{85}', '\u{2028}', '\u{2029}']) {
        let line = 1 + text[..at].matches('\n').count();
        let said = "Holds a line break that does not show (U+0085, U+2028 or U+2029). Older readers begin a new line there, and may see a flag that you do not. Remove it.";
        return Err(Fault::new("", line, said));
    }
    if let Some(at) = text.char_indices().skip(1).find(|(_, c)| *c == '\u{FEFF}').map(|(at, _)| at) {
        let line = 1 + text[..at].matches('\n').count();
        let said = "Holds an invisible byte order mark in its midst, which older readers refuse. Remove it.";
        return Err(Fault::new("", line, said));
    }
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        text,
        anchors: HashMap::new(),
        left: MOST,
    };
    let found = reader.document()?;
    others_read(text)?;
    Ok(found)
}

/// What the older reader refuses is refused here, too: it would go on with the flags that it had, and nobody would know. Its rules are
/// those of libyaml, of which Go's reader is a translation.
fn others_read(text: &str) -> Result<(), Fault> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    serde_yaml_ng::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|e| {
        let line = e.location().map_or(1, |at| at.line().max(1));
        let said = format!("Older readers refuse this: {e}. Write it more plainly.");
        Fault::new("", line, said)
    })
}

struct Reader<'t> {
    events: Parser<'t, granit_parser::StrInput<'t>>,
    text: &'t str,
    anchors: HashMap<usize, Node>,
    left: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(e)) => {
                let (line, column) = (e.marker().line().max(1), e.marker().col() + 1);
                let said = format!(
                    "This cannot be read as YAML: {}, at column {column}. Correct it.",
                    e.info().trim_end_matches('.')
                );
                Err(Fault::new("", line, said))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Fault> {
        let mut found = None;
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(found),
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let said = "A second document begins here, which readers pass over. Keep one, without `---` in between.";
                        return Err(Fault::new("", line(&span), said));
                    }
                }
                Event::StreamStart | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, &span, 0, false)?;
                    found = (!node.is_null()).then_some(node);
                }
            }
        }
    }

    fn spend(&mut self, values: usize, line: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(values).ok_or_else(|| {
            let said = "The file holds more values than a file of flags can, its anchors unfolded. Split it.";
            Fault::new("", line, said)
        })?;
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize, braced: bool) -> Result<Node, Fault> {
        let line = line(span);
        self.spend(1, line)?;
        if depth > DEEPEST {
            let said = format!("Nested deeper than {DEEPEST} levels. Flatten it.");
            return Err(Fault::new("", line, said));
        }
        let mut at = bytes(span);
        let (what, anchor, tag) = match event {
            Event::Alias(id) => {
                let Some(of) = self.anchors.get(&id) else {
                    let said =
                        "Refers to a value that it is part of, or that is not there. Write the value itself.";
                    return Err(Fault::new("", line, said));
                };
                let mut node = of.clone();
                self.spend(count(&node), line)?;
                share(&mut node);
                (node.at, node.line) = (at, line);
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if plain && braced && text.contains('?') {
                    let said =
                        "Older readers refuse a `?` within braces or brackets. Put the text in quotes.";
                    return Err(Fault::new("", line, said));
                }
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                (What::Scalar { text: text.into_owned(), plain, block }, anchor, tag)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        at.end = if flow {
                            bytes(&span).end
                        } else {
                            items.last().map_or(at.end, |n: &Node| n.at.end)
                        };
                        break;
                    }
                    items.push(self.node(event, &span, depth + 1, flow)?);
                }
                (What::List { items, flow }, anchor, tag)
            }
            Event::MappingStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                let (entries, end) = self.entries(depth, flow)?;
                at.end =
                    if flow { end } else { entries.last().map_or(at.end, |e| e.value.at.end.max(e.at.end)) };
                (What::Map { entries: merge(entries)?, flow }, anchor, tag)
            }
            _ => {
                return Err(Fault::new("", line, "This cannot be read as YAML. Correct it."));
            }
        };
        if let Some(tag) = tag {
            let said = format!("Carries the tag `{}`. Remove it: flags need none.", tag.suffix());
            return Err(Fault::new("", line, said));
        }
        let node = Node { at, line, what, shared: anchor != 0 };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Until the map's end, whose end is told.
    fn entries(&mut self, depth: usize, flow: bool) -> Result<(Vec<Entry>, usize), Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok((entries, bytes(&span).end));
            }
            let key = self.node(event, &span, depth + 1, flow)?;
            let What::Scalar { text, plain, .. } = key.what else {
                let said = "A key must be text, not a list or a map.";
                return Err(Fault::new("", key.line, said));
            };
            let (event, span) = self.next()?;
            let mut value = self.node(event, &span, depth + 1, flow)?;
            // An empty value is told to stand where the parser noticed that there is none.
            if value.at.is_empty() {
                (value.at, value.line) = (key.at.end..key.at.end, key.line);
            }
            let merged = text == "<<" && self.text.get(key.at.clone()) == Some("<<");
            entries.push(Entry { key: text, plain, at: key.at, line: key.line, value, merged });
        }
    }
}

/// Takes `<<` apart: what it brings stands behind what the map says itself, as Go's readers have it.
fn merge(entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
    if entries.iter().all(|e| !e.merged) {
        return Ok(entries);
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| e.merged);
    let mut said: HashSet<String> = own.iter().map(|e| e.key.clone()).collect();
    if let Some(second) = merges.get(1) {
        let said = "`<<` is given twice. Write one, with a list: `<<: [*a, *b]`.";
        return Err(Fault::new("", second.line, said));
    }
    for merge in merges {
        let sources = match merge.value.what {
            What::List { items, .. } => items,
            What::Map { .. } | What::Scalar { .. } => vec![merge.value],
        };
        for source in sources {
            let What::Map { entries, .. } = source.what else {
                let said = "`<<` takes a map or a list of maps. Write the fields themselves.";
                return Err(Fault::new("", source.line, said));
            };
            for entry in entries {
                if said.insert(entry.key.clone()) {
                    let mut value = entry.value;
                    share(&mut value);
                    own.push(Entry { value, merged: true, line: merge.line, ..entry });
                }
            }
        }
    }
    Ok(own)
}

fn share(node: &mut Node) {
    node.shared = true;
    match &mut node.what {
        What::Scalar { .. } => {}
        What::List { items, .. } => items.iter_mut().for_each(share),
        What::Map { entries, .. } => entries.iter_mut().for_each(|e| share(&mut e.value)),
    }
}

fn count(node: &Node) -> usize {
    match &node.what {
        What::Scalar { .. } => 1,
        What::List { items, .. } => 1 + items.iter().map(count).sum::<usize>(),
        What::Map { entries, .. } => 1 + entries.iter().map(|e| 1 + count(&e.value)).sum::<usize>(),
    }
}

fn line(span: &Span) -> usize {
    span.start.line().max(1)
}

fn bytes(span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0);
    start..span.end.byte_offset().unwrap_or(start).max(start)
}
