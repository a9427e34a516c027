//! Durations as Go writes them: `90s`, `1h30m`, `1.5h`, `300ms`.

/// Nanoseconds. Signs and fractions are read; `0` needs no unit. There is no unit for days.
///
/// # Errors
/// In Go's words, which are those of an AnalysisRun's message.
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted(text)));
        }
        let Some(scale) = nanoseconds(unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quoted(unit), quoted(text)));
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        // More digits than a nanosecond of an hour has say nothing.
        let digits = &fraction[..fraction.len().min(15)];
        let part = if digits.is_empty() { 0 } else { digits.parse::<i128>().map_err(|_| invalid())? };
        let part = part * scale / 10_i128.pow(u32::try_from(digits.len()).map_err(|_| invalid())?);
        total = whole
            .checked_mul(scale)
            .and_then(|n| n.checked_add(part))
            .and_then(|n| n.checked_add(total))
            .ok_or_else(invalid)?;
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let second = 1_000_000_000;
        for (text, ns) in [
            ("0", 0),
            ("5s", 5 * second),
            ("1h30m", 5400 * second),
            ("1.5h", 5400 * second),
            ("-2s", -2 * second),
            ("300ms", second * 3 / 10),
            (".5s", second / 2),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
        assert_eq!(parse("1d").unwrap_err(), "time: unknown unit \"d\" in duration \"1d\"");
        assert_eq!(parse("5").unwrap_err(), "time: missing unit in duration \"5\"");
        for text in ["", "-", "s", ".s", "1.2.3s", "five", "99999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
