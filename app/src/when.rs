//! Times in words, always UTC and always from a `now` that is handed in: the server's HTML and the browser's first
//! look at it must agree to the letter.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Between a figure and its unit.
pub(crate) const NB: &str = "\u{a0}";

fn name(list: &[&'static str], index: u32) -> &'static str {
    usize::try_from(index).ok().and_then(|i| list.get(i)).copied().unwrap_or("")
}

/// `14:05:43`
pub(crate) fn clock(at: DateTime<Utc>) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// `18 Nov 2026`
pub(crate) fn day(at: DateTime<Utc>) -> String {
    format!("{} {} {}", at.day(), name(&MONTHS, at.month0()), at.year())
}

/// `Wed 18 Nov 2026, 14:05:43 UTC`
pub(crate) fn stamp(at: DateTime<Utc>) -> String {
    format!("{} {}, {} UTC", name(&DAYS, at.weekday().num_days_from_monday()), day(at), clock(at))
}

/// For the attribute `datetime`: `2026-11-18T14:05:43Z`
pub(crate) fn iso(at: DateTime<Utc>) -> String {
    format!("{:04}-{:02}-{:02}T{}Z", at.year(), at.month(), at.day(), clock(at))
}

/// As near as is useful beside `now`: `14:05:43` on the same day, `17 Nov 14:05` before.
pub(crate) fn near(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    if now.date_naive() == at.date_naive() {
        clock(at)
    } else if now.year() == at.year() {
        format!("{} {} {:02}:{:02}", at.day(), name(&MONTHS, at.month0()), at.hour(), at.minute())
    } else {
        day(at)
    }
}

/// `2 s`, `22 min`, `1 h 10 min`, `3 days`.
pub(crate) fn span(length: TimeDelta) -> String {
    let s = length.num_seconds().max(0);
    match s {
        0..60 => format!("{s}{NB}s"),
        60..3600 => format!("{}{NB}min", s / 60),
        3600..86_400 => match s / 60 % 60 {
            0 => format!("{}{NB}h", s / 3600),
            m => format!("{}{NB}h {m}{NB}min", s / 3600),
        },
        _ => match s / 86_400 {
            1 => format!("1{NB}day"),
            d => format!("{d}{NB}days"),
        },
    }
}

/// `22 min ago`; `in 5 min` for what is to come.
pub(crate) fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    if at > now + TimeDelta::seconds(1) {
        return format!("in {}", span(at - now));
    }
    match (now - at).num_seconds() {
        ..=1 => "just now".to_owned(),
        _ => format!("{} ago", span(now - at)),
    }
}

/// A countdown: `0:48`, `1:05:00`; `0:00` once the time is past.
pub(crate) fn left(now: DateTime<Utc>, until: DateTime<Utc>) -> String {
    // Rounded up: at 0:01 there is still something to wait for.
    let ms = (until - now).num_milliseconds().max(0);
    model::Span(u64::try_from((ms + 999) / 1000).unwrap_or(0)).clock()
}

/// `48,211`
pub(crate) fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 release`, `3 releases`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{} {many}", thousands(i64::try_from(n).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    fn at(h: u32, m: u32, s: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 18, h, m, s).unwrap()
    }

    #[test]
    fn times_read_as_people_say_them() {
        let now = at(14, 5, 43);
        assert_eq!(stamp(now), "Wed 18 Nov 2026, 14:05:43 UTC");
        assert_eq!(iso(now), "2026-11-18T14:05:43Z");
        assert_eq!(ago(now, at(14, 5, 41)), "2\u{a0}s ago");
        assert_eq!(ago(now, at(13, 43, 0)), "22\u{a0}min ago");
        assert_eq!(ago(now, at(12, 55, 0)), "1\u{a0}h 10\u{a0}min ago");
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now, at(14, 10, 43)), "in 5\u{a0}min");
        assert_eq!(near(now, at(9, 12, 0)), "09:12:00");
        assert_eq!(near(now, now - TimeDelta::days(7)), "11 Nov 14:05");
    }

    #[test]
    fn a_countdown_never_shows_zero_before_its_time_and_stops_at_zero() {
        let now = at(14, 5, 43);
        assert_eq!(left(now, at(14, 6, 31)), "0:48");
        assert_eq!(left(now, now + TimeDelta::milliseconds(10)), "0:01");
        assert_eq!(left(now, at(14, 0, 0)), "0:00");
    }

    #[test]
    fn figures_are_grouped() {
        assert_eq!(thousands(48_211), "48,211");
        assert_eq!(thousands(-1_000), "-1,000");
        assert_eq!(thousands(999), "999");
        assert_eq!(count(1, "release", "releases"), "1 release");
        assert_eq!(count(1112, "release", "releases"), "1,112 releases");
    }
}
