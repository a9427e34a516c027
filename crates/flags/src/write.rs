//! Writing flags: YAML that every reader takes alike, in the order and form of a file written by hand.

use crate::file::{Condition, File, Flag, Kind, Rule, Segment, Serve};
use crate::read::SEGMENTS;
use crate::share::Share;
use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::Value;

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Out {
    /// Written as it is: a number, true, false, a date.
    Plain(String),
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

impl File {
    /// The file as Tidegate writes one from nothing. [`File::parse`] reads the same flags from it.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        if !self.segments.is_empty() {
            let segments = self.segments.iter().map(|s| (s.name.clone(), segment(s))).collect();
            entry(&mut out, SEGMENTS, &Out::Map(segments), 0, "\n");
        }
        for flag in &self.flags {
            if !out.is_empty() {
                out.push('\n');
            }
            entry(&mut out, &flag.key, &self::flag(flag), 0, "\n");
        }
        out
    }
}

impl Flag {
    /// The flag as it is written to a file.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        entry(&mut out, &self.key, &flag(self), 0, "\n");
        out
    }
}

/// The fields of a flag. What says nothing is left out, but for the two that every reader knows.
pub(crate) fn flag(flag: &Flag) -> Out {
    let mut map =
        vec![("enabled".to_owned(), truth(flag.enabled)), ("percentage".to_owned(), share(flag.percentage))];
    let mut put = |key: &str, value: Option<Out>| map.extend(value.map(|v| (key.to_owned(), v)));
    put("environment", text(flag.environment.as_ref()));
    put("conditions", list(&flag.conditions, condition));
    put("type", (flag.kind != Kind::Release).then(|| Out::Text(flag.kind.key().into())));
    put("description", text(flag.description.as_ref()));
    put("owner", text(flag.owner.as_ref()));
    put("expires_at", flag.expires_at.map(moment));
    put("salt", text(flag.salt.as_ref()));
    put("rollout_by", text(flag.rollout_by.as_ref()));
    let variants = || flag.variants.iter().map(|v| (v.name.clone(), json(&v.value))).collect();
    put("variants", (!flag.variants.is_empty()).then(|| Out::Map(variants())));
    put("default_variant", text(flag.default_variant.as_ref()));
    put("serve", flag.serve.as_ref().map(serve));
    put("rules", list(&flag.rules, rule));
    put(
        "prerequisites",
        list(&flag.prerequisites, |needed| {
            let mut map = vec![("flag".to_owned(), Out::Text(needed.flag.clone()))];
            map.extend(needed.variant.as_ref().map(|v| ("variant".to_owned(), Out::Text(v.clone()))));
            Out::Map(map)
        }),
    );
    let killed = flag.killed.as_ref().map(|k| {
        Out::Map(vec![
            ("at".to_owned(), moment(k.at)),
            ("by".to_owned(), Out::Text(k.by.clone())),
            ("reason".to_owned(), Out::Text(k.reason.clone())),
        ])
    });
    put("killed", killed);
    put("revision", flag.revision.map(|n| Out::Plain(n.to_string())));
    Out::Map(map)
}

fn segment(segment: &Segment) -> Out {
    let mut map = Vec::new();
    map.extend(text(segment.description.as_ref()).map(|v| ("description".to_owned(), v)));
    map.push(("conditions".to_owned(), Out::List(segment.conditions.iter().map(condition).collect())));
    Out::Map(map)
}

fn condition(condition: &Condition) -> Out {
    let mut map = vec![("type".to_owned(), Out::Text(condition.attribute.clone()))];
    map.extend(condition.value.as_ref().map(|v| ("value".to_owned(), Out::Text(v.clone()))));
    map.push(("operator".to_owned(), Out::Text(condition.operator.key().into())));
    map.extend(list(&condition.values, |v| Out::Text(v.clone())).map(|v| ("values".to_owned(), v)));
    Out::Map(map)
}

fn rule(rule: &Rule) -> Out {
    let mut map = Vec::new();
    map.extend(text(rule.name.as_ref()).map(|v| ("name".to_owned(), v)));
    map.push(("conditions".to_owned(), Out::List(rule.conditions.iter().map(condition).collect())));
    map.extend((rule.percentage != Share::ALL).then(|| ("percentage".to_owned(), share(rule.percentage))));
    map.extend(rule.serve.as_ref().map(|s| ("serve".to_owned(), serve(s))));
    map.extend(text(rule.rollout_by.as_ref()).map(|v| ("rollout_by".to_owned(), v)));
    Out::Map(map)
}

fn serve(serve: &Serve) -> Out {
    match serve {
        Serve::One(name) => Out::Text(name.clone()),
        Serve::Split(split) => Out::Map(split.iter().map(|(name, s)| (name.clone(), share(*s))).collect()),
    }
}

fn truth(truth: bool) -> Out {
    Out::Plain(truth.to_string())
}

fn share(share: Share) -> Out {
    Out::Plain(share.to_string())
}

fn text(text: Option<&String>) -> Option<Out> {
    text.map(|text| Out::Text(text.clone()))
}

fn list<T>(items: &[T], each: impl Fn(&T) -> Out) -> Option<Out> {
    (!items.is_empty()).then(|| Out::List(items.iter().map(each).collect()))
}

/// A date where it is one's midnight.
pub(crate) fn date(moment: DateTime<Utc>) -> String {
    if moment.time() == NaiveTime::MIN && (0..=9999).contains(&chrono::Datelike::year(&moment)) {
        return moment.format("%Y-%m-%d").to_string();
    }
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn moment(moment: DateTime<Utc>) -> Out {
    Out::Plain(date(moment))
}

fn json(value: &Value) -> Out {
    match value {
        Value::Null => Out::Plain("null".into()),
        Value::Bool(b) => truth(*b),
        Value::Number(n) => Out::Plain(n.to_string()),
        Value::String(text) => Out::Text(text.clone()),
        Value::Array(items) => Out::List(items.iter().map(json).collect()),
        Value::Object(map) => Out::Map(map.iter().map(|(k, v)| (k.clone(), json(v))).collect()),
    }
}

impl Out {
    /// Within braces, on one line. As JSON every text is quoted.
    pub(crate) fn flow(&self, as_json: bool) -> String {
        match self {
            Self::Plain(text) if as_json && !is_json(text) => quoted(text),
            Self::Plain(text) => text.clone(),
            Self::Text(text) => scalar(text, as_json),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|i| i.flow(as_json)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let each =
                    entries.iter().map(|(k, v)| format!("{}: {}", scalar(k, as_json), v.flow(as_json)));
                format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn is_block(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Text(_) => false,
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

/// `key: value` in lines of their own, each ended.
pub(crate) fn entry(out: &mut String, key: &str, value: &Out, indent: usize, newline: &str) {
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(&scalar(key, false));
    out.push(':');
    behind_colon(out, value, indent, newline);
}

/// What stands behind a key's colon, ended.
pub(crate) fn behind_colon(out: &mut String, value: &Out, indent: usize, newline: &str) {
    if !value.is_block() {
        out.push(' ');
        out.push_str(&value.flow(false));
        out.push_str(newline);
        return;
    }
    out.push_str(newline);
    block(out, value, indent + 2, newline);
}

fn block(out: &mut String, value: &Out, indent: usize, newline: &str) {
    match value {
        Out::Plain(_) | Out::Text(_) => {}
        Out::Map(entries) => entries.iter().for_each(|(k, v)| entry(out, k, v, indent, newline)),
        Out::List(items) => {
            for item in items {
                out.extend(std::iter::repeat_n(' ', indent));
                out.push_str("- ");
                match item {
                    Out::Map(entries) if !entries.is_empty() => {
                        let mut inner = String::new();
                        block(&mut inner, item, indent + 2, newline);
                        out.push_str(inner.trim_start_matches(' '));
                    }
                    item => {
                        out.push_str(&item.flow(false));
                        out.push_str(newline);
                    }
                }
            }
        }
    }
}

/// A text as a YAML scalar, quoted wherever some reader could take it for something else.
pub(crate) fn scalar(text: &str, always_quoted: bool) -> String {
    // What YAML 1.1 takes for true, false or nothing.
    const WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    let first = text.chars().next();
    let plain = first.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '$'))
        && text.len() < 100
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain && !always_quoted { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
