//! Numbers, versions, networks and dates as conditions compare them: the same answer on every machine, or none.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::cmp::Ordering;
use std::net::IpAddr;

/// A number: whole ones exactly, others as IEEE 754 doubles. One value is one of the two, so that equal ones are equal here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    Whole(i128),
    /// The bits of a double that is no whole number below 2^53, nor zero.
    Part(u64),
}

/// Up to here every whole number is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Number {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
        if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
            return None;
        }
        if let Ok(whole) = text.parse() {
            return Some(Self::Whole(whole));
        }
        text.parse().ok().and_then(Self::of_double)
    }

    pub(crate) fn of(number: &serde_json::Number) -> Option<Self> {
        if let Some(n) = number.as_i64() {
            return Some(Self::Whole(n.into()));
        }
        if let Some(n) = number.as_u64() {
            return Some(Self::Whole(n.into()));
        }
        number.as_f64().and_then(Self::of_double)
    }

    fn of_double(n: f64) -> Option<Self> {
        if n.fract() == 0.0 && n.abs() < EXACT {
            return Some(Self::Whole(n as i128));
        }
        n.is_finite().then(|| Self::Part(n.to_bits()))
    }

    pub(crate) fn order(self, other: Self) -> Option<Ordering> {
        let double = |n: Self| match n {
            Self::Whole(n) => n as f64,
            Self::Part(bits) => f64::from_bits(bits),
        };
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => double(a).partial_cmp(&double(b)),
        }
    }
}

/// A version by Semantic Versioning's order; `v8.2` is 8.2.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    numbers: [u64; 3],
    /// Empty: released.
    before: Box<str>,
}

/// What is compared while a user's version is only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionRef<'t> {
    numbers: [u64; 3],
    before: &'t str,
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let seen = VersionRef::parse(text)?;
        Some(Self { numbers: seen.numbers, before: seen.before.into() })
    }

    pub(crate) fn as_ref(&self) -> VersionRef<'_> {
        VersionRef { numbers: self.numbers, before: &self.before }
    }
}

impl<'t> VersionRef<'t> {
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(text, _build)| text);
        let (core, before) = match text.split_once('-') {
            Some((_, "")) => return None,
            Some((core, before)) => (core, before),
            None => (text, ""),
        };
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for (i, number) in numbers.iter_mut().enumerate() {
            match parts.next() {
                Some(part) if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) => {
                    *number = part.parse().ok()?;
                }
                None if i > 0 => {}
                _ => return None,
            }
        }
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let known = before.is_empty() || before.split('.').all(|p| !p.is_empty() && p.bytes().all(letter));
        (parts.next().is_none() && known).then_some(Self { numbers, before })
    }

    pub(crate) fn order(self, other: Self) -> Ordering {
        let released = |v: Self| v.before.is_empty();
        self.numbers.cmp(&other.numbers).then_with(|| match (released(self), released(other)) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => identifiers(self.before, other.before),
        })
    }
}

/// Numbers by value and before words; more identifiers after fewer.
fn identifiers(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => (x, y),
        };
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let order = match (number(x), number(y)) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => x.cmp(y),
            (true, true) => {
                let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// A network, `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    address: u128,
    mask: u128,
}

/// IPv4 within IPv6's mapped range, so that both forms of an address are one. `0.0.0.0/0` holds no IPv6 address, `::/0` every address.
fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = match prefix {
            Some(p) if p.bytes().all(|b| b.is_ascii_digit()) => {
                p.parse::<u32>().ok().filter(|p| *p <= most)?
            }
            Some(_) => return None,
            None => most,
        };
        let mask = u128::MAX.checked_shl(128 - before - prefix).unwrap_or(0);
        Some(Self { address: number_of(address) & mask, mask })
    }

    pub(crate) fn holds(self, address: u128) -> bool {
        address & self.mask == self.address
    }
}

/// An address as a context gives it.
pub(crate) fn address(text: &str) -> Option<u128> {
    text.trim().parse().ok().map(number_of)
}

/// A moment: RFC 3339, or a date, which is its midnight in UTC.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.to_utc());
    }
    let date = (text.len() == 10).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())??;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semver_orders_them() {
        let rising = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "v1",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2.0.0",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                let [a, b] = [a, b].map(|t| VersionRef::parse(t).expect(t));
                assert_eq!(a.order(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
        for text in ["", "v", "1.", "1..2", "1.2.3.4", "1.2-", "1.2.x", "1.2.3-a..b", "99999999999999999999"]
        {
            assert_eq!(VersionRef::parse(text), None, "{text}");
        }
        assert_eq!(VersionRef::parse("1.2.3+a"), VersionRef::parse("1.2.3+b"));
    }

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |net: &str, ip: &str| Network::parse(net).expect(net).holds(address(ip).expect(ip));
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.7") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1") && holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.9"), "the same address in its other form");
        assert!(holds("10.1.2.3/8", "10.9.9.9"), "host bits count for nothing");
        for text in ["", "10.0.0/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "host"] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn numbers_beyond_doubles_are_told_apart() {
        let order = |a: &str, b: &str| Number::parse(a).and_then(|a| a.order(Number::parse(b)?));
        assert_eq!(order("9007199254740993", "9007199254740992"), Some(Ordering::Greater));
        assert_eq!(order("5", "5.0"), Some(Ordering::Equal));
        assert_eq!(order("1e3", "999.5"), Some(Ordering::Greater));
        for text in ["", "NaN", "inf", "1e999", "0x10", "1_000", "--1"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_date_is_its_midnight() {
        assert_eq!(moment("2026-11-30"), moment("2026-11-30T00:00:00Z"));
        assert_eq!(moment("2026-11-30T01:00:00+01:00"), moment("2026-11-30"));
        for text in ["", "30 Nov", "2026-13-01", "2026-11-31", "26-1-1", "2026-11-30 12:00"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
