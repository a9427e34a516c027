//! The little of PromQL that tells whether a query can answer with nothing. A parser of the whole language would be
//! heavier than the rest of this crate.

/// How a query is built at its top, outside all brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// A comparison that filters: what it is not true of is left out of the answer.
    pub(super) filter: Option<Filter>,
    /// No series may match, and nothing is put in their place.
    pub(super) can_be_empty: bool,
    /// It divides, so it can answer with what is no number.
    pub(super) divides: bool,
    /// It answers with one number instead of a vector.
    pub(super) scalar: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) sign: &'static str,
    pub(super) left: String,
    pub(super) right: String,
}

/// A word or sign at the top, and where.
type Mark = (&'static str, usize);

pub(super) fn shape(query: &str) -> Shape {
    let clean = without_comments(query);
    let query = bare(&clean);
    let marks = marks(query);
    let mut branches = Vec::new();
    let mut from = 0;
    for (_, at) in marks.iter().filter(|(sign, _)| *sign == "or") {
        branches.push(&query[from..*at]);
        from = at + 2;
    }
    branches.push(&query[from..]);
    let scalar =
        branches.len() == 1 && (query.parse::<f64>().is_ok() || called(query, &["scalar", "time", "pi"]));
    let never_empty = |branch: &&str| called(unmatched(branch), &["vector", "scalar", "time", "pi"]);
    let can_be_empty = !scalar && !branches.iter().any(never_empty);
    Shape {
        filter: if can_be_empty { branches.iter().find_map(|b| filter(b)) } else { None },
        can_be_empty,
        divides: divides(query),
        scalar,
    }
}

fn without_comments(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    let (mut quote, mut escaped, mut comment) = (None, false, false);
    for c in query.chars() {
        match (quote, c) {
            (_, '\n') if comment => comment = false,
            _ if comment => continue,
            (None, '#') => {
                comment = true;
                continue;
            }
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(q), c) if c == q && !escaped => quote = None,
            _ => {}
        }
        escaped = quote.is_some_and(|q| q != '`') && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// Without blanks and brackets around all of it.
fn bare(query: &str) -> &str {
    let mut query = query.trim();
    while let Some(inner) = query.strip_prefix('(').and_then(|q| q.strip_suffix(')')) {
        let mut lowest = 0_i64;
        each(inner, |_, _, depth| lowest = lowest.min(depth));
        if lowest < 0 {
            break;
        }
        query = inner.trim();
    }
    query
}

/// Calls `f` with each character that is not in quotes, where it is, and how many brackets are open after it.
fn each(text: &str, mut f: impl FnMut(usize, char, i64)) {
    let (mut depth, mut quote, mut escaped) = (0_i64, None, false);
    for (at, c) in text.char_indices() {
        if let Some(q) = quote {
            if c == q && !escaped {
                quote = None;
            }
            escaped = c == '\\' && !escaped && q != '`';
            continue;
        }
        match c {
            '"' | '\'' | '`' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        f(at, c, depth);
    }
}

/// Comparisons without `bool`, divisions and words of sets, at the top.
fn marks(query: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut next = 0;
    each(query, |at, c, depth| {
        if depth != 0 || at < next {
            return;
        }
        let rest = &query[at..];
        let word_before = query[..at].chars().next_back().is_some_and(wordly);
        let sign = ["==", "!=", "<=", ">=", "<", ">", "/"].into_iter().find(|s| rest.starts_with(s));
        let word = ["or", "and", "unless"].into_iter().find(|w| {
            !word_before && rest.starts_with(w) && !rest[w.len()..].chars().next().is_some_and(wordly)
        });
        if let Some(sign) = sign.or(word) {
            let after = rest[sign.len()..].trim_start();
            let counts = after.strip_prefix("bool").is_some_and(|r| !r.chars().next().is_some_and(wordly));
            if !counts {
                marks.push((sign, at));
            }
            next = at + sign.len();
        } else {
            next = at + c.len_utf8();
        }
    });
    marks
}

fn wordly(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

fn filter(branch: &str) -> Option<Filter> {
    let branch = bare(branch);
    let marks = marks(branch);
    let compares = |sign: &str| !matches!(sign, "or" | "and" | "unless" | "/");
    let (sign, at) = *marks.iter().rev().find(|(sign, _)| compares(sign))?;
    Some(Filter {
        sign,
        left: branch[..at].trim().to_owned(),
        right: unmatched(&branch[at + sign.len()..]).to_owned(),
    })
}

/// Without `on (…)` or `ignoring (…)` before it.
fn unmatched(text: &str) -> &str {
    let text = text.trim();
    for word in ["on", "ignoring"] {
        let after = text.strip_prefix(word).map(str::trim_start).filter(|r| r.starts_with('('));
        if let Some(after) = after {
            return after.find(')').map_or(text, |end| after[end + 1..].trim());
        }
    }
    text
}

/// Whether it is a call of one of these and nothing else, or a number.
fn called(text: &str, functions: &[&str]) -> bool {
    let text = bare(text);
    let Some((name, rest)) = text.split_once('(') else { return text.parse::<f64>().is_ok() };
    let mut closed = None;
    each(&text[name.len()..], |at, _, depth| {
        if depth == 0 && closed.is_none() {
            closed = Some(at);
        }
    });
    functions.contains(&name.trim()) && closed == Some(rest.len())
}

/// At any depth.
fn divides(query: &str) -> bool {
    let mut yes = false;
    each(query, |_, c, _| yes = yes || c == '/');
    yes
}

#[cfg(test)]
mod tests {
    use super::shape;

    fn filter(query: &str) -> Option<String> {
        shape(query).filter.map(|f| format!("{} | {} | {}", f.left, f.sign, f.right))
    }

    #[test]
    fn a_comparison_at_the_top_filters() {
        for (query, expected) in [
            ("sum(a) / sum(b) < 0.05", Some("sum(a) / sum(b) | < | 0.05")),
            ("(up == 0)", Some("up | == | 0")),
            ("(a) > (b)", Some("(a) | > | (b)")),
            ("a > on (pod) b", Some("a | > | b")),
            ("a > 1 and b", Some("a | > | 1 and b")),
            ("a >bool 1", None),
            ("sum(rate(x{code!~\"5..\",a!=\"b\",c=\">1\"}[5m]))", None),
            ("count(up == 0)", None),
            ("a > 1 or vector(0)", None),
            ("a > 1 or on() vector(0)", None),
            ("a > 1 or b", Some("a | > | 1")),
            ("a # > 1\n", None),
            ("order_total", None),
        ] {
            assert_eq!(filter(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn what_can_be_empty_is_told_from_what_cannot() {
        for (query, empty, scalar) in [
            ("sum(rate(x[5m]))", true, false),
            ("sum(x) or vector(0)", false, false),
            ("scalar(x)", false, true),
            ("scalar(x) * y", true, false),
            ("vector(1)", false, false),
            ("1", false, true),
        ] {
            let shape = shape(query);
            assert_eq!((shape.can_be_empty, shape.scalar), (empty, scalar), "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(query in "[-a-z0-9 ()\\[\\]{}<>=!/#\"'`\\\\\n\u{e4}]{0,40}") {
            let _ = shape(&query);
        }
    }
}
