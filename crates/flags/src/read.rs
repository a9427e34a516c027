//! Reading a file of flags: whole or not at all, with every fault at its place.

mod parts;
mod whole;

use crate::fault::Fault;
use crate::file::{File, Flag, Kind, Segment};
use crate::share::Share;
use crate::tree::{self, Entry, Node, Scalar};
use parts::{conditions, killed, prerequisites, rules, serve, variants};

/// Where a file's segments stand. A flag's key cannot begin with `$`.
pub(crate) const SEGMENTS: &str = "$segments";
/// Faults that are told. A file with more is no file of flags with faults.
const MOST_FAULTS: usize = 100;
/// Longest key of a flag, in bytes.
const LONGEST_KEY: usize = 128;
/// Longest text, in bytes.
const LONGEST: usize = 4096;

/// Fields of a flag, as a file's author would look for them.
const FIELDS: [&str; 19] = [
    "enabled",
    "percentage",
    "environment",
    "conditions",
    "name",
    "type",
    "description",
    "owner",
    "expires_at",
    "salt",
    "rollout_by",
    "variants",
    "default_variant",
    "serve",
    "rules",
    "prerequisites",
    "killed",
    "revision",
    "x-…",
];

impl File {
    /// Reads `flags.yaml`. An empty file has no flags.
    ///
    /// # Errors
    /// Every fault with its path and line, in the order of the file; then nothing of the file is to be used.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let root = match tree::parse(text) {
            Ok(Some(root)) => root,
            Ok(None) => return Ok(Self::default()),
            Err(fault) => return Err(vec![fault]),
        };
        read(&root)
    }
}

pub(crate) fn read(root: &Node) -> Result<File, Vec<Fault>> {
    let mut faults = Faults::default();
    let mut file = File::default();
    let mut lines = Vec::new();
    if let Some(entries) = faults.map("", root) {
        for entry in entries {
            if entry.key == SEGMENTS {
                file.segments = segments(&mut faults, entry);
            } else if key(&mut faults, entry) {
                file.flags.push(flag(&mut faults, entry));
                lines.push(entry.line);
            }
        }
    }
    whole::check(&mut faults, &file, &lines);
    faults.all.sort_by_key(|f| f.line);
    if faults.all.is_empty() { Ok(file) } else { Err(faults.all) }
}

/// May a flag be called this? It is part of an address and of log lines.
///
/// # Errors
/// What is wrong, then what to do.
pub fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("A flag needs a key. Write one, as in `new-checkout`.".into());
    }
    if key.len() > LONGEST_KEY {
        return Err(format!("The key is longer than {LONGEST_KEY} bytes. Shorten it."));
    }
    if key.starts_with('$') {
        return Err(format!(
            "Keys that begin with `$` are reserved: only `{SEGMENTS}` is one. Call the flag something else."
        ));
    }
    if key.chars().any(|c| c.is_whitespace() || hidden(c) || matches!(c, '/' | '\\' | '?' | '#' | '%')) {
        return Err("A key holds no spaces, no invisible characters and none of / \\ ? # %. Use letters, digits, `-`, `_` and `.`.".into());
    }
    if matches!(key, "." | ".." | "<<") {
        return Err("This key means something else elsewhere. Call the flag something else.".into());
    }
    Ok(())
}

fn key(faults: &mut Faults, entry: &Entry) -> bool {
    if entry.plain
        && (tree::reads_otherwise(&entry.key) || matches!(entry.key.as_str(), "~" | "null" | "Null" | "NULL"))
    {
        faults.add(shown(&entry.key), entry.line, otherwise(&entry.key));
        return false;
    }
    match check_key(&entry.key) {
        Ok(()) => true,
        Err(said) => {
            faults.add(shown(&entry.key), entry.line, said);
            false
        }
    }
}

fn otherwise(text: &str) -> String {
    format!("Older readers take `{}` for something else without quotes. Put it in quotes.", shown(text))
}

/// A key as it can be shown in a path.
fn shown(key: &str) -> String {
    key.chars().take(64).map(|c| if hidden(c) { '\u{FFFD}' } else { c }).collect()
}

fn segments(faults: &mut Faults, entry: &Entry) -> Vec<Segment> {
    let mut found = Vec::new();
    for entry in faults.map(SEGMENTS, &entry.value).unwrap_or_default() {
        let path = at(SEGMENTS, &entry.key);
        if entry.key.is_empty() || entry.key.chars().any(|c| c == ',' || c.is_whitespace() || hidden(c)) {
            faults.add(&path, entry.line, "A segment's name holds no spaces and no commas. Rename it.");
        }
        let Some(fields) = faults.fields(&path, &entry.value, &["description", "conditions"]) else {
            continue;
        };
        let conditions =
            fields.get("conditions").map(|(path, node)| conditions(faults, &path, node)).unwrap_or_default();
        if conditions.is_empty() && faults.is_clean() {
            faults.add(
                &path,
                entry.line,
                "Has no conditions. Write `conditions: […]`: they say who is in it.",
            );
        }
        if let Some(inner) = conditions.iter().position(|c| c.operator.of_segment()) {
            let said = "A segment cannot be made of segments. Repeat the conditions, or use both segments in the flag.";
            faults.add(format!("{path}.conditions[{inner}]"), entry.line, said);
        }
        let description = fields.words(faults, "description");
        found.push(Segment { name: entry.key.clone(), description, conditions });
    }
    found
}

fn flag(faults: &mut Faults, entry: &Entry) -> Flag {
    let path = shown(&entry.key);
    let mut flag = Flag { key: entry.key.clone(), ..Flag::default() };
    let Some(fields) = faults.fields(&path, &entry.value, &FIELDS) else { return flag };
    if let Some(name) = fields.loose(faults, "name")
        && name != flag.key
    {
        let said =
            format!("Is `{name}`, but the flag's key is `{}`. Remove it: the key is the name.", flag.key);
        faults.add(fields.path("name"), fields.line("name"), said);
    }
    flag.enabled = fields.truth(faults, "enabled").unwrap_or(false);
    flag.percentage = fields.share(faults, "percentage").unwrap_or(Share::NONE);
    flag.environment = fields.loose(faults, "environment");
    flag.salt = fields.text(faults, "salt");
    flag.rollout_by = fields.text(faults, "rollout_by");
    flag.owner = fields.words(faults, "owner");
    flag.description = fields.words(faults, "description");
    flag.default_variant = fields.text(faults, "default_variant");
    if let Some(kind) = fields.text(faults, "type") {
        match Kind::ALL.into_iter().find(|k| k.key() == kind) {
            Some(kind) => flag.kind = kind,
            None => {
                let said = format!(
                    "`{kind}` is no type of flag. Known: release, experiment, operations, permission."
                );
                faults.add(fields.path("type"), fields.line("type"), said);
            }
        }
    }
    flag.expires_at = fields.moment(faults, "expires_at");
    flag.revision = fields.count(faults, "revision");
    if let Some((path, node)) = fields.get("conditions") {
        flag.conditions = conditions(faults, &path, node);
    }
    if let Some((path, node)) = fields.get("variants") {
        flag.variants = variants(faults, &path, node);
    }
    if let Some((path, node)) = fields.get("serve") {
        flag.serve = serve(faults, &path, node);
    }
    if let Some((path, node)) = fields.get("rules") {
        flag.rules = rules(faults, &path, node);
    }
    if let Some((path, node)) = fields.get("prerequisites") {
        flag.prerequisites = prerequisites(faults, &path, node);
    }
    if let Some((path, node)) = fields.get("killed") {
        flag.killed = killed(faults, &path, node);
    }
    parts::agree(faults, &path, &fields, &flag);
    flag
}

/// Faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    all: Vec<Fault>,
}

impl Faults {
    pub(crate) fn is_clean(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn add(&mut self, path: impl Into<String>, line: usize, message: impl Into<String>) {
        if self.all.len() < MOST_FAULTS {
            self.all.push(Fault::new(path, line, message));
        }
    }

    /// A map of which no key is given twice.
    pub(crate) fn map<'n>(&mut self, path: &str, node: &'n Node) -> Option<&'n [Entry]> {
        let Some(entries) = node.entries() else {
            let said = if path.is_empty() {
                format!(
                    "A file of flags is a map of flags, as in `new-checkout: {{enabled: true}}`, not {}.",
                    node.kind()
                )
            } else {
                format!("Must be a map, not {}. Indent its fields below it.", node.kind())
            };
            self.add(path, node.line, said);
            return None;
        };
        let mut seen = std::collections::HashMap::new();
        for entry in entries {
            if let Some(first) = seen.insert(entry.key.as_str(), entry.line) {
                let said =
                    format!("`{}` is given twice, first in line {first}. Keep one.", shown(&entry.key));
                self.add(at(path, &shown(&entry.key)), entry.line, said);
            }
        }
        Some(entries)
    }

    /// A map with known fields only. A misspelt field would be passed over, and a flag be on for more users than meant.
    pub(crate) fn fields<'n>(&mut self, path: &str, node: &'n Node, known: &[&str]) -> Option<Fields<'n>> {
        let entries = self.map(path, node)?;
        let strange = |e: &&Entry| !known.contains(&e.key.as_str()) && !e.key.starts_with("x-");
        for entry in entries.iter().filter(strange).take(MOST_FAULTS) {
            self.add(at(path, &shown(&entry.key)), entry.line, unknown(&entry.key, known));
        }
        Some(Fields { path: path.to_owned(), line: node.line, entries })
    }

    pub(crate) fn list<'n>(&mut self, path: &str, node: &'n Node) -> Option<&'n [Node]> {
        match &node.what {
            tree::What::List { items, .. } => Some(items),
            tree::What::Map { .. } | tree::What::Scalar { .. } => {
                self.add(
                    path,
                    node.line,
                    format!("Must be a list, each item after `- `, not {}.", node.kind()),
                );
                None
            }
        }
    }

    /// Text; numbers and the like are taken as they are written, since quotes are easily forgotten.
    pub(crate) fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        let tree::What::Scalar { text, .. } = &node.what else {
            self.add(path, node.line, format!("Must be text, not {}.", node.kind()));
            return None;
        };
        if node.is_null() {
            self.add(path, node.line, "Is empty. Fill it in, or remove it.");
            return None;
        }
        if text.len() > LONGEST {
            self.add(path, node.line, "Longer than 4 KiB. Shorten it.");
            return None;
        }
        if text.chars().any(hidden) {
            let said = "Holds control or invisible characters. Remove them: nobody sees what they do.";
            self.add(path, node.line, said);
            return None;
        }
        Some(text.clone())
    }

    fn filled(
        &mut self,
        path: &str,
        node: &Node,
        read: fn(&mut Self, &str, &Node) -> Option<String>,
    ) -> Option<String> {
        let text = read(self, path, node)?;
        if text.is_empty() {
            self.add(path, node.line, "Is empty. Fill it in, or remove it.");
            return None;
        }
        Some(text)
    }

    /// Text that older readers read, too: to them it must be the same.
    pub(crate) fn letters(&mut self, path: &str, node: &Node) -> Option<String> {
        let text = self.text(path, node)?;
        if matches!(&node.what, tree::What::Scalar { plain: true, .. }) && tree::reads_otherwise(&text) {
            self.add(path, node.line, otherwise(&text));
            return None;
        }
        Some(text)
    }

    pub(crate) fn share(&mut self, path: &str, node: &Node) -> Option<Share> {
        let said = match node.scalar() {
            Some(Scalar::Number(text)) => match Share::parse(text) {
                Ok(share) => return Some(share),
                Err(said) => format!("{said} It is `{}`.", shown(text)),
            },
            Some(Scalar::Text(text)) if Share::parse(text).is_ok() => {
                "Must be a number, not text. Remove the quotes.".to_owned()
            }
            _ => format!("Must be a number from 0 to 100, as in `25.0`, not {}.", node.kind()),
        };
        self.add(path, node.line, said);
        None
    }
}

/// The fields of a map.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    path: String,
    line: usize,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    pub(crate) fn path(&self, key: &str) -> String {
        at(&self.path, key)
    }

    /// Of the field, or of the map where it is missing.
    pub(crate) fn line(&self, key: &str) -> usize {
        self.entries.iter().find(|e| e.key == key).map_or(self.line, |e| e.line)
    }

    /// A field with something in it.
    pub(crate) fn get(&self, key: &str) -> Option<(String, &'n Node)> {
        let found = self.entries.iter().find(|e| e.key == key).filter(|e| !e.value.is_null());
        found.map(|e| (self.path(key), &e.value))
    }

    /// Text that says something. Empty text is refused, not taken for a missing field: what it was to narrow would be wide open.
    pub(crate) fn text(&self, faults: &mut Faults, key: &str) -> Option<String> {
        let (path, node) = self.get(key)?;
        faults.filled(&path, node, Faults::text)
    }

    /// Text that decides nothing, and may be empty.
    fn words(&self, faults: &mut Faults, key: &str) -> Option<String> {
        let (path, node) = self.get(key)?;
        faults.text(&path, node).filter(|text| !text.is_empty())
    }

    /// Text that may as well be empty, as programs write it that know no missing fields.
    fn loose(&self, faults: &mut Faults, key: &str) -> Option<String> {
        let (path, node) = self.get(key)?;
        faults.letters(&path, node).filter(|text| !text.is_empty())
    }

    /// Text that older readers read, too.
    pub(crate) fn letters(&self, faults: &mut Faults, key: &str) -> Option<String> {
        let (path, node) = self.get(key)?;
        faults.filled(&path, node, Faults::letters)
    }

    fn truth(&self, faults: &mut Faults, key: &str) -> Option<bool> {
        let (path, node) = self.get(key)?;
        if let Some(Scalar::Bool(truth)) = node.scalar() {
            return Some(truth);
        }
        let said = format!(
            "Must be `true` or `false`, not {}. Readers disagree about yes, no, on, off and quotes.",
            node.kind()
        );
        faults.add(path, node.line, said);
        None
    }

    pub(crate) fn share(&self, faults: &mut Faults, key: &str) -> Option<Share> {
        let (path, node) = self.get(key)?;
        faults.share(&path, node)
    }

    pub(crate) fn moment(&self, faults: &mut Faults, key: &str) -> Option<chrono::DateTime<chrono::Utc>> {
        let (path, node) = self.get(key)?;
        let text = faults.text(&path, node)?;
        let moment = crate::number::moment(&text);
        if moment.is_none() {
            let said = format!("`{text}` is no date. Write `2026-11-30` or `2026-11-30T12:00:00Z`.");
            faults.add(path, node.line, said);
        }
        moment
    }

    fn count(&self, faults: &mut Faults, key: &str) -> Option<u64> {
        let (path, node) = self.get(key)?;
        let count = match node.scalar() {
            Some(Scalar::Number(text)) => text.parse().ok(),
            _ => None,
        };
        if count.is_none() {
            faults.add(path, node.line, format!("Must be a whole number, not {}.", node.kind()));
        }
        count
    }
}

/// The path of a key within a map.
pub(crate) fn at(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn unknown(key: &str, known: &[&str]) -> String {
    let near = known.iter().map(|k| (distance(key, k), k)).min().filter(|(d, k)| *d <= 1 + k.len() / 4);
    match near {
        Some((_, near)) => format!("There is no field `{}` here. Did you mean `{near}`?", shown(key)),
        None => format!(
            "There is no field `{}` here. Known: {}. A field of your own begins with `x-`.",
            shown(key),
            known.join(", ")
        ),
    }
}

/// Letters to add, drop or change to get from one word to the other; case counts for nothing.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = cost.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Characters that do not show, or that change how others show. Line breaks are for descriptions.
fn hidden(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
