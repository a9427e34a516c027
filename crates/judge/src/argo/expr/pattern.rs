//! Go's regular expressions.

use super::fault::Fault;
use regex::{Regex, RegexBuilder};

/// Memory that a compiled one may take, in bytes.
const SIZE: usize = 1 << 20;

/// # Errors
/// When it is none, or too large.
pub(in super::super) fn regex(go: &str) -> Result<Regex, Fault> {
    RegexBuilder::new(&translated(go))
        .size_limit(SIZE)
        .build()
        .map_err(|e| Fault::types(format!("error parsing regexp: {e}")))
}

/// Within a class, a bracket and what makes sets of classes here mean themselves in Go.
fn translated(go: &str) -> String {
    let mut out = String::with_capacity(go.len());
    let mut class = false;
    let mut rest = go;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let named = rest.strip_prefix("[:").and_then(|r| r.find(":]")).map(|end| end + 4);
        let taken = match c {
            '\\' => c.len_utf8() + after.chars().next().map_or(0, char::len_utf8),
            '[' if !class => {
                class = true;
                // A bracket that closes right at the beginning is one of the class.
                let start = after.strip_prefix('^').unwrap_or(after);
                let literal = usize::from(start.starts_with(']'));
                1 + (after.len() - start.len()) + literal
            }
            '[' if named.is_some() => named.unwrap_or(1),
            '[' | '&' | '~' if class => {
                out.push('\\');
                1
            }
            ']' => {
                class = false;
                1
            }
            c => c.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::regex;

    #[test]
    fn a_class_means_what_it_means_in_go() {
        for (pattern, text, found) in [
            ("^[a[b]+$", "a[b", true),
            ("[&&x]", "&", true),
            ("[[:digit:]]", "7", true),
            ("[]x]", "]", true),
            ("[^]x]", "]", false),
            ("\\[a\\]", "[a]", true),
        ] {
            assert_eq!(regex(pattern).unwrap().is_match(text), found, "{pattern}");
        }
        assert!(regex("[a").is_err() && regex("*").is_err());
    }
}
