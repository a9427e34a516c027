//! Is the service well again after a rollback? On counts of all its requests, whichever version answered them.

use crate::words::{percent, thousands};
use model::verdict::{Limits, Side};

/// How the share of failed requests stands to the limit.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// At or under the limit, on this side's requests.
    Back(Side),
    /// Above it, or not enough requests to say; in words.
    NotYet(String),
}

/// `recent` is the last half minute, `whole` everything since the way back. The first that holds enough requests
/// decides: errors of the first seconds, when the last users left the other version, do not weigh for minutes.
pub fn recovery(whole: &Side, recent: &Side, limits: &Limits) -> Recovery {
    let least = f64::from(limits.min_requests.max(1));
    let Some(side) = [recent, whole].into_iter().find(|side| side.requests >= least) else {
        let seen = whole.requests.max(recent.requests);
        return Recovery::NotYet(if seen < 1.0 {
            "no requests yet".to_owned()
        } else {
            format!("{} of {} requests seen", thousands(seen.floor()), thousands(least))
        });
    };
    let rate = side.error_rate().unwrap_or(0.0) * 100.0;
    if rate <= limits.max_error_percent {
        Recovery::Back(*side)
    } else {
        Recovery::NotYet(format!("still at {} %", percent(rate)))
    }
}

/// `0.2 % of 812 requests`.
pub fn rate_of(requests: f64, errors: f64) -> String {
    let rate = if requests > 0.0 { errors / requests * 100.0 } else { 0.0 };
    format!("{} % of {} requests", percent(rate), thousands(requests.round()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(requests: f64, errors: f64) -> Side {
        Side { requests, errors, p95_ms: None }
    }

    fn told(whole: Side, recent: Side) -> Recovery {
        recovery(&whole, &recent, &Limits::default())
    }

    #[test]
    fn under_the_limit_on_enough_requests_it_is_back() {
        let recent = side(900.0, 9.0);
        assert_eq!(
            told(side(4000.0, 400.0), recent),
            Recovery::Back(recent),
            "the first seconds do not weigh"
        );
        let whole = side(60.0, 0.0);
        assert_eq!(told(whole, side(8.0, 8.0)), Recovery::Back(whole), "few requests: all of them decide");
        let limit = side(100.0, 2.0);
        assert_eq!(told(limit, limit), Recovery::Back(limit), "the limit itself is allowed");
    }

    #[test]
    fn above_it_or_on_too_few_it_says_so() {
        let not_yet = |words: &str| Recovery::NotYet(words.to_owned());
        assert_eq!(told(side(4000.0, 0.0), side(900.0, 28.0)), not_yet("still at 3.1 %"));
        assert_eq!(told(side(0.0, 0.0), side(0.0, 0.0)), not_yet("no requests yet"));
        assert_eq!(told(side(12.7, 0.0), side(4.0, 0.0)), not_yet("12 of 50 requests seen"));
    }

    #[test]
    fn a_rate_is_told_with_its_count() {
        assert_eq!(rate_of(1812.0, 3.0), "0.2 % of 1,812 requests");
        assert_eq!(rate_of(0.0, 0.0), "0 % of 0 requests");
    }
}
