//! Canonical JSON (RFC 8785, JCS) and its SHA-256: what a plan's digest and the audit chain are made of.

use crate::ids::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Serialises a JSON value as RFC 8785 says: no whitespace, members sorted by UTF-16 code units, minimal escapes,
/// numbers as ECMAScript prints them. Whole numbers only are used in Tidegate's own documents.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// SHA-256 of the canonical form.
pub fn digest(value: &Value) -> Digest {
    Digest(format!("sha256:{}", hex::encode(Sha256::digest(to_string(value).as_bytes()))))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => number(n, out),
        Value::String(s) => string(s, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut keys: Vec<_> = members.keys().collect();
            keys.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                string(key, out);
                out.push(':');
                write(&members[key], out);
            }
            out.push('}');
        }
    }
}

fn number(n: &serde_json::Number, out: &mut String) {
    let written = match n.as_f64() {
        // ECMAScript prints whole numbers below 1e21 without exponent or fraction.
        Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() < 1e21 => write!(out, "{f:.0}"),
        _ => write!(out, "{n}"),
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

fn string(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 => {
                let written = write!(out, "\\u{:04x}", c as u32);
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
