//! Durations as people write them: `90s`, `2m`, `1h30m`, `24h`, `2d`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span(pub u64);

impl Span {
    pub const ZERO: Self = Self(0);

    pub fn seconds(self) -> u64 {
        self.0
    }

    pub fn delta(self) -> chrono::TimeDelta {
        chrono::TimeDelta::seconds(i64::try_from(self.0).unwrap_or(i64::MAX / 1000))
    }

    /// `2:00`, `1:05:00`: as a stopwatch shows it.
    pub fn clock(self) -> String {
        let (h, m, s) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("`{text}` is not a duration: write 30s, 2m, 1h30m or 2d");
        let text_trimmed = text.trim();
        if text_trimmed == "0" {
            return Ok(Self::ZERO);
        }
        let (mut total, mut number, mut seen) = (0u64, String::new(), false);
        for c in text_trimmed.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit = match c {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                _ => return Err(bad()),
            };
            let n: u64 = number.parse().map_err(|_| bad())?;
            number.clear();
            total = n.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
            seen = true;
        }
        if !seen || !number.is_empty() { Err(bad()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let parts = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
        let mut rest = self.0;
        for (unit, letter) in parts {
            if rest >= unit {
                write!(f, "{}{letter}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30),
            ("2m", 120),
            ("1h30m", 5400),
            ("24h", 86_400),
            (" 2d ", 172_800),
            ("90m", 5400),
        ] {
            assert_eq!(text.parse::<Span>(), Ok(Span(seconds)), "{text}");
        }
        for bad in [
            "",
            "5",
            "m",
            "5x",
            "-1s",
            "1.5h",
            "1h 30m",
            "5m3",
            "99999999999999999999s",
            "999999999999999999d",
            "５m",
        ] {
            let said = bad.parse::<Span>().unwrap_err();
            assert_eq!(said, format!("`{bad}` is not a duration: write 30s, 2m, 1h30m or 2d"));
        }
    }

    #[test]
    fn clocks_are_shown_as_a_stopwatch_shows_them() {
        assert_eq!([0, 71, 120, 3900].map(|s| Span(s).clock()), ["0:00", "1:11", "2:00", "1:05:00"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back(seconds in any::<u64>()) {
            let written = Span(seconds).to_string();
            prop_assert_eq!(written.parse::<Span>(), Ok(Span(seconds)));
        }
    }
}
