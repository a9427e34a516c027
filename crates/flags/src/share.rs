//! Shares of users, in whole hundred-thousandths: what is written is what is meant, in every language.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Buckets that users fall into. One is 0.001 %.
pub const BUCKETS: u32 = 100_000;

/// A share of users, from 0 to 100 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(u32);

impl Share {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(BUCKETS);

    /// From thousandths of a percent. `None` above 100 %.
    pub fn from_buckets(buckets: u32) -> Option<Self> {
        (buckets <= BUCKETS).then_some(Self(buckets))
    }

    /// Thousandths of a percent: users in a bucket below this number are in.
    pub fn buckets(self) -> u32 {
        self.0
    }

    /// Reads a percentage as people write it: `25`, `25.0`, `0.125`.
    ///
    /// # Errors
    /// What is wrong, then what to do.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "Must be a number from 0 to 100, written plainly, as in `25.0`.";
        const RANGE: &str = "Must be from 0 to 100.";
        if text.starts_with('-') {
            return Err(RANGE);
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() + part.len() == 0 {
            return Err(FORM);
        }
        // `010` is 8 to readers of YAML 1.1.
        if whole.len() > 1 && whole.starts_with('0') {
            return Err("Must not begin with a zero: some readers take that for another number.");
        }
        let part = part.trim_end_matches('0');
        if part.len() > 3 {
            return Err("Must have at most three decimals: one user in 100,000 is the finest step.");
        }
        if whole.len() > 3 {
            return Err(RANGE);
        }
        let number = |s: &str| s.parse::<u32>().unwrap_or(0);
        let thousandths = number(whole) * 1000 + number(&format!("{part:0<3}"));
        Self::from_buckets(thousandths).ok_or(RANGE)
    }
}

/// As it is written to a file: `25.0`, `0.125`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        let part = format!("{part:03}");
        let part = part.trim_end_matches('0');
        write!(f, "{whole}.{}", if part.is_empty() { "0" } else { part })
    }
}

impl Share {
    /// As people say it: `25 %`, `0.125 %`.
    pub fn words(self) -> String {
        let text = self.to_string();
        format!("{}\u{a0}%", text.strip_suffix(".0").unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for buckets in (0..=BUCKETS).step_by(7).chain([1, 10, 999, 1000, 99_999, BUCKETS]) {
            let share = Share(buckets);
            assert_eq!(Share::parse(&share.to_string()), Ok(share));
        }
    }

    #[test]
    fn a_share_is_read_to_the_last_digit_or_not_at_all() {
        for (text, buckets) in [
            ("25", 25_000),
            ("25.0", 25_000),
            ("0.001", 1),
            ("100.00000", 100_000),
            (".5", 500),
            ("7.", 7000),
        ] {
            assert_eq!(Share::parse(text), Ok(Share(buckets)), "{text}");
        }
        for text in [
            "",
            ".",
            "100.001",
            "1000",
            "-1",
            "+5",
            "1e1",
            "0x10",
            "25 %",
            "0.0001",
            "010",
            "00.5",
            "9999999999999",
            "٣",
        ] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
    }
}
