//! Changing a file that people write by hand: one flag's fields, and not a byte besides.
//!
//! What is to be changed is found where it stands and replaced there, so that comments, order and quotes survive. What comes out is
//! read again and must say exactly what was asked for; where it does not, nothing is changed.

use crate::fault::Fault;
use crate::file::{File, Flag};
use crate::read;
use crate::tree::{self, Node, What};
use crate::write::{self, Out};
use std::fmt;
use std::ops::Range;

/// Fields changed in one edit.
const MOST_STEPS: usize = 500;

/// Why a file was not changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Unchanged {
    /// The file cannot be read, or could not any more.
    Faults(Vec<Fault>),
    /// There is no such flag.
    NoFlag(String),
    /// It can only be changed by hand: the field's path, and why.
    ByHand(String, &'static str),
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => {
                let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
                f.write_str(&said.join(" "))
            }
            Self::NoFlag(key) => {
                write!(f, "There is no flag {key}. It may have been removed: read the file again.")
            }
            Self::ByHand(path, why) => {
                write!(f, "{path} cannot be changed here: {why}. Change it in the file's text.")
            }
        }
    }
}

impl std::error::Error for Unchanged {}

const SHARED: &str = "its value is shared by an anchor, so other places would change with it";
const SHAPE: &str = "it is written in a form that cannot be changed in place";

/// Gives a flag what `flag` says, or adds it at the end. Everything else in `text` stays as it is, byte for byte.
///
/// # Errors
/// When the file has faults or would have, or when it can only be changed by hand.
pub fn put(text: &str, flag: &Flag) -> Result<String, Unchanged> {
    let mut root = parse(text)?;
    let mut wanted = read_root(root.as_ref())?;
    let Some(place) = wanted.flags.iter_mut().find(|f| f.key == flag.key) else {
        wanted.flags.push(flag.clone());
        return proven(append(text, root.as_ref(), flag)?, &wanted);
    };
    if place == flag {
        return Ok(text.to_owned());
    }
    let (mut old, new) = (write::flag(place), write::flag(flag));
    *place = flag.clone();
    let mut text = text.to_owned();
    for _ in 0..MOST_STEPS {
        let node = root.as_ref().and_then(|root| find(root, &flag.key));
        let node = node.ok_or_else(|| by_hand(&flag.key, SHAPE))?;
        if node.shared {
            return Err(by_hand(&flag.key, SHARED));
        }
        let Some(step) = first_change(&text, &flag.key, node, &mut old, &new)? else {
            return proven(text, &wanted);
        };
        text.replace_range(step.0, &step.1);
        if same(&old, &new) {
            return proven(text, &wanted);
        }
        // Everything behind has moved.
        root = parse(&text)?;
    }
    Err(by_hand(&flag.key, "too much of it changes at once"))
}

fn parse(text: &str) -> Result<Option<Node>, Unchanged> {
    tree::parse(text).map_err(|fault| Unchanged::Faults(vec![fault]))
}

fn read_root(root: Option<&Node>) -> Result<File, Unchanged> {
    root.map_or_else(|| Ok(File::default()), |root| read::read(root).map_err(Unchanged::Faults))
}

/// The same fields, in whatever order.
fn same(old: &Out, new: &Out) -> bool {
    match (old, new) {
        (Out::Map(old), Out::Map(new)) => {
            old.len() == new.len() && old.iter().all(|entry| new.contains(entry))
        }
        (old, new) => old == new,
    }
}

/// Takes a flag out, with the comment right above it.
///
/// # Errors
/// When the file has faults or would have, when there is no such flag, or when it can only be removed by hand.
pub fn remove(text: &str, key: &str) -> Result<String, Unchanged> {
    let root = parse(text)?;
    let mut wanted = read_root(root.as_ref())?;
    let before = wanted.flags.len();
    wanted.flags.retain(|f| f.key != key);
    if wanted.flags.len() == before {
        return Err(Unchanged::NoFlag(key.to_owned()));
    }
    let root = root.ok_or_else(|| Unchanged::NoFlag(key.to_owned()))?;
    let mut range = removal(text, &root, key).ok_or_else(|| by_hand(key, SHAPE))?;
    if !is_flow(&root) {
        range.start = comment_above(text, range.start);
        range.end = blank_below(text, range.end);
    }
    let mut text = text.to_owned();
    text.replace_range(range, "");
    proven(text, &wanted)
}

/// The lines of a flag, as they are written; `None` where there is no such flag, or the text cannot be read.
pub fn part(text: &str, key: &str) -> Option<String> {
    let root = tree::parse(text).ok()??;
    let range = removal(text, &root, key)?;
    text.get(range).map(|part| part.trim_end().to_owned())
}

/// Puts other lines in the place of a flag's, or adds them where there is no such flag; empty ones remove it.
///
/// # Errors
/// When the file would have faults, at their lines of the whole file, or when anything but this flag would change.
pub fn replace(text: &str, key: &str, lines: &str) -> Result<String, Unchanged> {
    let root = parse(text)?;
    let before = read_root(root.as_ref())?;
    let lines = lines.trim_end();
    if lines.is_empty() {
        return remove(text, key);
    }
    let range = root.as_ref().and_then(|root| removal(text, root, key));
    let nl = newline(text);
    let mut out = text.to_owned();
    match range {
        Some(range) => {
            let end = range.start + text.get(range.clone()).map_or(0, |part| part.trim_end().len());
            out.replace_range(range.start..end, lines);
        }
        None if before.flag(key).is_some() => return Err(by_hand(key, SHAPE)),
        None => {
            let kept = out.trim_end().len();
            out.truncate(kept);
            if !out.is_empty() {
                out.push_str(&format!("{nl}{nl}"));
            }
            out.push_str(lines);
            out.push_str(nl);
        }
    }
    let after = File::parse(&out).map_err(Unchanged::Faults)?;
    let others = |file: &File| file.flags.iter().filter(|f| f.key != key).cloned().collect::<Vec<_>>();
    if others(&before) != others(&after) || before.segments != after.segments {
        return Err(by_hand(key, "other flags or segments would change with it"));
    }
    match after.flag(key) {
        Some(_) => Ok(out),
        None => Err(by_hand(key, "its lines do not begin with its key")),
    }
}

fn by_hand(path: &str, why: &'static str) -> Unchanged {
    Unchanged::ByHand(path.to_owned(), why)
}

/// What was asked for, and nothing else, or nothing.
fn proven(text: String, wanted: &File) -> Result<String, Unchanged> {
    match File::parse(&text) {
        Ok(file) if file == *wanted => Ok(text),
        Ok(_) => Err(by_hand("The file", SHAPE)),
        Err(faults) => Err(Unchanged::Faults(faults)),
    }
}

type Splice = (Range<usize>, String);

fn find<'n>(map: &'n Node, key: &str) -> Option<&'n Node> {
    map.entries()?.iter().find(|e| e.key == key).map(|e| &e.value)
}

fn is_flow(node: &Node) -> bool {
    matches!(node.what, What::Map { flow: true, .. } | What::List { flow: true, .. })
}

/// The first thing in which `old`, which the text says, is not `new`; `old` then has it.
fn first_change(
    text: &str,
    path: &str,
    node: &Node,
    old: &mut Out,
    new: &Out,
) -> Result<Option<Splice>, Unchanged> {
    let (Out::Map(was), Out::Map(now)) = (old, new) else { return Ok(None) };
    let entries = node.entries().ok_or_else(|| by_hand(path, SHAPE))?;
    for (key, value) in now {
        let place = format!("{path}.{key}");
        let known = was.iter().position(|(k, _)| k == key);
        if known.is_some_and(|i| was[i].1 == *value) {
            continue;
        }
        let Some(entry) = entries.iter().find(|e| e.key == *key) else {
            match known {
                Some(i) => was[i].1 = value.clone(),
                None => was.push((key.clone(), value.clone())),
            }
            return insertion(text, node, key, value).map(Some).ok_or_else(|| by_hand(&place, SHAPE));
        };
        if entry.merged || entry.value.shared {
            return Err(by_hand(&place, SHARED));
        }
        if let Some(i) = known
            && let Some(step) = within(text, &place, &entry.value, &mut was[i].1, value)?
        {
            return Ok(Some(step));
        }
        match known {
            Some(i) if was[i].1 == *value => continue,
            Some(i) => was[i].1 = value.clone(),
            None => was.push((key.clone(), value.clone())),
        }
        let step = replacement(text, node, entry, value);
        return step.map(Some).ok_or_else(|| by_hand(&place, SHAPE));
    }
    let gone = was.iter().position(|(key, _)| now.iter().all(|(k, _)| k != key));
    let Some(gone) = gone else { return Ok(None) };
    let (key, _) = was.remove(gone);
    let place = format!("{path}.{key}");
    let entry = entries.iter().find(|e| e.key == key);
    if entry.is_some_and(|e| e.merged) {
        return Err(by_hand(&place, SHARED));
    }
    let range = removal(text, node, &key).ok_or_else(|| by_hand(&place, SHAPE))?;
    Ok(Some((range, String::new())))
}

/// The same within a value, where it has the form that it had.
fn within(
    text: &str,
    path: &str,
    node: &Node,
    old: &mut Out,
    new: &Out,
) -> Result<Option<Splice>, Unchanged> {
    match (&mut *old, new, &node.what) {
        (Out::Map(was), Out::Map(now), What::Map { .. }) if keeps_order(was, now) => {
            first_change(text, path, node, old, new)
        }
        (Out::List(was), Out::List(now), What::List { items, .. })
            if was.len() == now.len() && items.len() == now.len() =>
        {
            for (i, ((was, now), item)) in was.iter_mut().zip(now).zip(items).enumerate() {
                if was != now && item.entries().is_some() && !item.shared {
                    return first_change(text, &format!("{path}[{i}]"), item, was, now);
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Do the entries that stay come first, as they were? The order of shares decides which buckets are whose.
fn keeps_order(was: &[(String, Out)], now: &[(String, Out)]) -> bool {
    let stay = was.iter().map(|(k, _)| k).filter(|k| now.iter().any(|(n, _)| n == *k));
    stay.zip(now).all(|(k, (n, _))| k == n)
}

/// A value in the place of another.
fn replacement(text: &str, map: &Node, entry: &tree::Entry, value: &Out) -> Option<Splice> {
    let (key, old) = (&entry.at, &entry.value);
    let as_json = is_flow(map) && text.get(key.start..)?.starts_with('"');
    let one_line = |node: &Node| match &node.what {
        What::Scalar { block, .. } => !block && !node.is_null(),
        What::List { flow, .. } | What::Map { flow, .. } => *flow,
    };
    let simple = matches!(value, Out::Plain(_) | Out::Text(_));
    if one_line(old) && (simple || is_flow(map) || is_flow(old)) {
        return Some((old.at.clone(), value.flow(as_json)));
    }
    let behind = text.get(key.end..)?;
    let colon = key.end + (behind.len() - behind.trim_start().len());
    let has_colon = text.get(colon..)?.starts_with(':');
    if is_flow(map) {
        let (at, sign) = if has_colon { (colon + 1, " ") } else { (key.end, ": ") };
        let end = if old.at.is_empty() { at } else { old.at.end };
        return Some((at..end.max(at), format!("{sign}{}", value.flow(as_json))));
    }
    if !has_colon {
        return None;
    }
    let end = if old.at.is_empty() { colon + 1 } else { trimmed(text, colon + 1..old.at.end)? };
    let mut out = String::new();
    write::behind_colon(&mut out, value, column(text, key.start)?, newline(text));
    let kept = out.strip_suffix(newline(text)).map(str::len);
    out.truncate(kept.unwrap_or(out.len()));
    Some((colon + 1..end, out))
}

/// A field more, behind the others.
fn insertion(text: &str, map: &Node, key: &str, value: &Out) -> Option<Splice> {
    let entries = map.entries()?;
    if is_flow(map) {
        let own = entries.iter().filter(|e| !e.merged);
        let last = own.map(|e| e.at.end.max(e.value.at.end)).max();
        let first = entries.first().and_then(|e| text.get(e.at.start..));
        let as_json = first.is_some_and(|t| t.starts_with('"'));
        let said = format!("{}: {}", write::scalar(key, as_json), value.flow(as_json));
        return Some(match last {
            Some(end) => (end..end, format!(", {said}")),
            None => (map.at.start + 1..map.at.start + 1, said),
        });
    }
    let nl = newline(text);
    let end = line_end(text, trimmed(text, map.at.clone())?);
    let mut out = String::new();
    write::entry(&mut out, key, value, column(text, map.at.start)?, nl);
    let without = out.strip_suffix(nl).unwrap_or(&out);
    Some((end..end, format!("{nl}{without}")))
}

/// The bytes of a key and its value, and of what parts them from the others.
fn removal(text: &str, map: &Node, key: &str) -> Option<Range<usize>> {
    let own: Vec<_> = map.entries()?.iter().filter(|e| !e.merged).collect();
    let i = own.iter().position(|e| e.key == key)?;
    let end_of = |i: usize| own.get(i).map(|e| e.at.end.max(e.value.at.end));
    let (start, end) = (own[i].at.start, end_of(i)?);
    let next = own.get(i + 1).map(|e| e.at.start);
    if is_flow(map) {
        return Some(match (next, i.checked_sub(1).and_then(end_of)) {
            (Some(next), _) => start..next,
            (None, Some(before)) => before..end,
            (None, None) => start..end,
        });
    }
    let line = line_start(text, start);
    if text.get(line..start)?.bytes().all(|b| b == b' ') {
        let end = line_end(text, trimmed(text, start..end)?);
        return Some(line..after_newline(text, end));
    }
    // Behind the dash of a list: the next one moves up.
    next.map(|next| start..next)
}

/// A flag more, at the file's end.
fn append(text: &str, root: Option<&Node>, flag: &Flag) -> Result<String, Unchanged> {
    let out = write::flag(flag);
    let nl = newline(text);
    let mut said = String::new();
    let Some(root) = root.filter(|root| root.entries().is_some_and(|e| !e.is_empty()) || is_flow(root))
    else {
        write::entry(&mut said, &flag.key, &out, 0, nl);
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { nl };
        return Ok(format!("{text}{gap}{said}"));
    };
    if is_flow(root) {
        let (at, said) = insertion(text, root, &flag.key, &out).ok_or_else(|| by_hand(&flag.key, SHAPE))?;
        let mut text = text.to_owned();
        text.replace_range(at, &said);
        return Ok(text);
    }
    let indent = column(text, root.at.start).ok_or_else(|| by_hand(&flag.key, SHAPE))?;
    write::entry(&mut said, &flag.key, &out, indent, nl);
    let end = trimmed(text, root.at.clone()).map_or(text.len(), |end| line_end(text, end));
    let rest = text.get(end..).unwrap_or_default();
    // Comments may follow the last flag; the end of the document may, too, and nothing comes behind that.
    let open = rest.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    let at = if open { text.len() } else { after_newline(text, end) };
    let (before, behind) = text.split_at(at);
    let gap = if before.ends_with('\n') { "" } else { nl };
    let blank = if before.trim_end_matches([' ', '\t']).ends_with("\n\n") || before.ends_with("\r\n\r\n") {
        ""
    } else {
        nl
    };
    Ok(format!("{before}{gap}{blank}{said}{behind}"))
}

/// The comment lines right above a line, unless they open the file: then they are about all of it.
fn comment_above(text: &str, line: usize) -> usize {
    let mut start = line;
    while start > 0 {
        let above = line_start(text, start - 1);
        if !text[above..start].trim_start().starts_with('#') {
            return start;
        }
        start = above;
    }
    line
}

/// One empty line below, so that gaps do not add up.
fn blank_below(text: &str, at: usize) -> usize {
    let end = after_newline(text, line_end(text, at));
    let blank = text.get(at..end).is_some_and(|line| line.trim().is_empty());
    if blank && text.get(..at).is_none_or(|before| before.is_empty() || before.ends_with('\n')) {
        end
    } else {
        at
    }
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1)
}

/// Before the line's break.
fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.trim_end_matches('\r').len()
}

fn after_newline(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let broken = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    at + broken
}

/// Spaces before what stands there. Signs before it count: `- ` is two.
fn column(text: &str, at: usize) -> Option<usize> {
    let before = text.get(line_start(text, at)..at)?;
    let before = before.strip_prefix('\u{FEFF}').unwrap_or(before);
    before.bytes().all(|b| matches!(b, b' ' | b'-')).then_some(before.len())
}

/// The end of what is not white space.
fn trimmed(text: &str, range: Range<usize>) -> Option<usize> {
    let start = range.start;
    text.get(range).map(|t| start + t.trim_end().len())
}
