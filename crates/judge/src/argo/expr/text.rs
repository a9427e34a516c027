//! The functions on texts and dates, and how Go writes values.

use super::eval::Machine;
use super::fault::{self, Fault};
use super::value::Value;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

pub(super) fn call(machine: &mut Machine<'_>, name: &str, args: &[Value]) -> Result<Value, Fault> {
    if name == "string" {
        return written(machine, args.first().unwrap_or(&Value::Nil)).map(|t| Value::text(&t));
    }
    if name == "join" {
        return join(machine, args);
    }
    let text = |i: usize| args.get(i).unwrap_or(&Value::Nil).as_text();
    let first = text(0)?;
    machine.memory(first.len())?;
    let index = |found: Option<usize>| Value::Int(found.map_or(-1, |i| i64::try_from(i).unwrap_or(i64::MAX)));
    Ok(match name {
        "trim" if args.len() == 1 => Value::text(first.trim()),
        "trim" => {
            let cut = text(1)?;
            Value::text(first.trim_matches(|c| cut.contains(c)))
        }
        "trimPrefix" => {
            let cut = if args.len() == 2 { text(1)? } else { " " };
            Value::text(first.strip_prefix(cut).unwrap_or(first))
        }
        "trimSuffix" => {
            let cut = if args.len() == 2 { text(1)? } else { " " };
            Value::text(first.strip_suffix(cut).unwrap_or(first))
        }
        "upper" => Value::text(&first.to_uppercase()),
        "lower" => Value::text(&first.to_lowercase()),
        "split" | "splitAfter" => {
            let limit = args.get(2).map(Value::int).transpose()?;
            split(machine, first, text(1)?, limit, name == "splitAfter")?
        }
        "replace" => replace(machine, first, text(1)?, text(2)?, args.get(3))?,
        "repeat" => {
            let times = args.get(1).unwrap_or(&Value::Nil).int()?;
            let times = usize::try_from(times).map_err(|_| {
                Fault::types(format!("invalid argument for repeat (expected positive integer, got {times})"))
            })?;
            machine.memory(first.len().max(1).saturating_mul(times))?;
            Value::text(&first.repeat(times))
        }
        "indexOf" => index(first.find(text(1)?)),
        "lastIndexOf" => index(first.rfind(text(1)?)),
        "hasPrefix" => Value::Bool(first.starts_with(text(1)?)),
        "hasSuffix" => Value::Bool(first.ends_with(text(1)?)),
        "fromJSON" => match serde_json::from_str(first) {
            Ok(json) => Value::json(&json),
            Err(e) => return Err(Fault::types(e.to_string())),
        },
        _ => return Err(Fault::types(format!("unknown builtin {name}"))),
    })
}

fn join(machine: &mut Machine<'_>, args: &[Value]) -> Result<Value, Fault> {
    let glue = args.get(1).map_or(Ok(""), Value::as_text)?;
    let Some(Value::Array(_, list)) = args.first() else {
        return Err(Fault::types("invalid argument for join"));
    };
    let mut parts = Vec::new();
    for part in list.iter() {
        let part = part.as_text()?;
        machine.memory(part.len().saturating_add(glue.len()))?;
        parts.push(part);
    }
    Ok(Value::text(&parts.join(glue)))
}

fn split(
    machine: &mut Machine<'_>,
    text: &str,
    by: &str,
    limit: Option<i64>,
    after: bool,
) -> Result<Value, Fault> {
    let most = match limit {
        Some(0) => return Ok(Value::texts([])),
        Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let mut parts: Vec<&str> = if by.is_empty() {
        let ends: Vec<usize> =
            text.char_indices().map(|(i, _)| i).skip(1).take(most.saturating_sub(1)).collect();
        let mut from = 0;
        let mut parts = Vec::new();
        for end in ends {
            parts.push(&text[from..end]);
            from = end;
        }
        parts.push(&text[from..]);
        parts
    } else {
        text.splitn(most, by).collect()
    };
    if text.is_empty() && by.is_empty() {
        parts.clear();
    }
    machine.memory(parts.len())?;
    if !after || by.is_empty() {
        return Ok(Value::texts(parts));
    }
    let last = parts.len().saturating_sub(1);
    let joined: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(i, p)| if i < last { format!("{p}{by}") } else { (*p).to_owned() })
        .collect();
    Ok(Value::texts(joined.iter().map(String::as_str)))
}

fn replace(
    machine: &mut Machine<'_>,
    text: &str,
    old: &str,
    new: &str,
    most: Option<&Value>,
) -> Result<Value, Fault> {
    let most =
        most.map(Value::int).transpose()?.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let found = text.matches(old).take(most).count();
    machine.memory(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(Value::text(&text.replacen(old, new, most)))
}

/// As Go's `%v` writes it.
pub(super) fn written(machine: &mut Machine<'_>, value: &Value) -> Result<String, Fault> {
    let mut out = String::new();
    write(machine, value, &mut out)?;
    Ok(out)
}

fn write(machine: &mut Machine<'_>, value: &Value, out: &mut String) -> Result<(), Fault> {
    let before = out.len();
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) | Value::Int64(i) => out.push_str(&i.to_string()),
        Value::Float(f) => out.push_str(&float(*f)),
        Value::Text(t) => out.push_str(t),
        Value::Array(_, list) => {
            out.push('[');
            for (i, v) in list.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                write(machine, v, out)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (i, (k, v)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(k);
                out.push(':');
                write(machine, v, out)?;
            }
            out.push(']');
        }
        Value::Groups(_) | Value::Time(_) | Value::Duration(_) | Value::Function(_) => {
            return Err(Fault::new(
                fault::Kind::Unsupported,
                format!("Tidegate does not write a {} as text", value.type_name()),
            ));
        }
    }
    machine.memory(out.len() - before)
}

/// The shortest text that reads as the same number; very large and very small ones with an exponent.
fn float(f: f64) -> String {
    if f.is_nan() {
        return "NaN".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{f:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return f.to_string() };
    match exponent.parse::<i32>() {
        Ok(e) if f != 0.0 && !(-4..21).contains(&e) => {
            format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => f.to_string(),
    }
}

/// `date(text)`, `date(text, layout)` or `date(text, layout, "UTC")`.
pub(super) fn date(args: &[Value]) -> Result<Value, Fault> {
    let text = |i: usize| args.get(i).unwrap_or(&Value::Nil).as_text();
    let given = text(0)?;
    let invalid = || Fault::types(format!("invalid date {given}"));
    if args.len() < 2 {
        let layouts = ["%Y-%m-%d", "%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%:z"];
        let utc = given.strip_suffix('Z').map_or_else(|| given.to_owned(), |s| format!("{s}+00:00"));
        return layouts.iter().find_map(|l| at(&utc, l)).map(Value::Time).ok_or_else(invalid);
    }
    if args.len() == 3 && !matches!(text(2)?, "UTC" | "") {
        return Err(Fault::new(fault::Kind::Unsupported, "Tidegate knows no time zone but UTC"));
    }
    at(given, &layout(text(1)?)?).map(Value::Time).ok_or_else(invalid)
}

fn at(text: &str, layout: &str) -> Option<DateTime<Utc>> {
    if layout.contains("%z") || layout.contains("%:z") {
        return DateTime::parse_from_str(text, layout).ok().map(|t| t.to_utc());
    }
    let midnight = || NaiveDate::parse_from_str(text, layout).ok().and_then(|d| d.and_hms_opt(0, 0, 0));
    let first_year = || {
        let time = NaiveTime::parse_from_str(text, layout).ok()?;
        Some(NaiveDate::from_ymd_opt(0, 1, 1)?.and_time(time))
    };
    let naive = NaiveDateTime::parse_from_str(text, layout).ok().or_else(midnight).or_else(first_year)?;
    Some(naive.and_utc())
}

/// Go's reference time as a layout of chrono's.
fn layout(go: &str) -> Result<String, Fault> {
    const PARTS: [(&str, &str); 16] = [
        ("January", "%B"),
        ("Monday", "%A"),
        ("2006", "%Y"),
        ("Z07:00", "%:z"),
        ("-07:00", "%:z"),
        ("-0700", "%z"),
        ("Jan", "%b"),
        ("Mon", "%a"),
        ("01", "%m"),
        ("02", "%d"),
        ("15", "%H"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("PM", "%p"),
    ];
    let (mut rest, mut out) = (go, String::new());
    while let Some(c) = rest.chars().next() {
        if let Some((part, ours)) = PARTS.iter().find(|(part, _)| rest.starts_with(part)) {
            out.push_str(ours);
            rest = &rest[part.len()..];
            continue;
        }
        if c.is_ascii_alphanumeric() && c != 'T' {
            return Err(Fault::new(
                fault::Kind::Unsupported,
                format!("Tidegate does not know the layout {go}"),
            ));
        }
        if c == '%' {
            out.push('%');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Ok(out)
}
