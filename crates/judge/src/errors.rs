//! Failed requests: more than the limit allows, and surely more than on stable.

use crate::Finding;
use crate::evidence::{ERRORS_ALARM, against};
use crate::words::{percent, thousands, times};
use model::verdict::{Class, Limits, Sample, Side};

/// Fewer errors never make an alarm; before enough requests were seen, one more is asked for.
const LEAST_ERRORS: f64 = 3.0;
/// Surely worse, but fewer than this percentage of requests: a difference that counts can prove and nobody feels.
const FELT: f64 = 0.1;
/// Evidence below this says nothing.
const NOTHING: f64 = 2.0;
/// A stable side with less than this share of the requests is too small to compare with: the limit itself is then
/// what the canary is compared with.
const LEAST_STABLE: f64 = 0.1;

pub(crate) fn find(s: &Sample, limits: &Limits) -> Finding {
    let rate = s.canary.error_rate().unwrap_or(0.0) * 100.0;
    let evidence = evidence(s, limits);
    let enough = s.canary.requests >= f64::from(limits.min_requests);
    let above = rate > limits.max_error_percent;
    let figures = figures(s);
    let felt = rate >= FELT.min(limits.max_error_percent);
    let least = if enough { LEAST_ERRORS } else { LEAST_ERRORS + 1.0 };
    let worse = evidence >= ERRORS_ALARM && s.canary.errors >= least;
    let class = match (worse, enough) {
        (true, _) if felt => Class::Fail,
        (_, false) => Class::NoData,
        (true, true) => Class::Marginal,
        (false, true) if above => Class::Marginal,
        (false, true) => Class::Pass,
    };
    Finding { class, figures, why: why(class, s, limits, above) }
}

/// "Could it be chance?" in words.
pub(crate) fn chance(s: &Sample, limits: &Limits) -> Option<String> {
    if s.canary.requests < 1.0 {
        return None;
    }
    let evidence = evidence(s, limits);
    Some(if evidence < NOTHING {
        "It may well be.".to_owned()
    } else {
        format!("At most 1 in {}.", thousands(evidence.floor()))
    })
}

/// Against stable where it carries enough, else against the limit. Counts from rates are not whole: rounded against
/// the alarm.
fn evidence(s: &Sample, limits: &Limits) -> f64 {
    let (canary, stable) = (s.canary, s.stable);
    let (bad, all) = (canary.errors.floor(), canary.requests + stable.requests);
    if all <= 0.0 {
        return 1.0;
    }
    let fair = canary.requests / all;
    let compared = against(bad, bad + stable.errors.ceil(), fair, limits.max_error_ratio);
    if fair <= 1.0 - LEAST_STABLE {
        return compared;
    }
    let limit = (limits.max_error_percent / 100.0).clamp(0.0001, 0.5);
    compared.max(against(bad, canary.requests.max(bad), limit, 1.0))
}

fn figures(s: &Sample) -> String {
    let bare = |side: &Side| side.error_rate().map(|r| percent(r * 100.0));
    match (bare(&s.canary), bare(&s.stable)) {
        (Some(canary), Some(stable)) => format!("{canary} % / {stable} %"),
        (Some(canary), None) => format!("{canary} %"),
        (None, _) => "no data".to_owned(),
    }
}

fn why(class: Class, s: &Sample, limits: &Limits, above: bool) -> String {
    let seen = thousands(s.canary.requests.round());
    let limit = percent(limits.max_error_percent);
    let compared = compared(s);
    match class {
        Class::NoData if s.canary.requests < 1.0 => {
            "No requests on the canary yet. No data is never a pass.".to_owned()
        }
        Class::NoData => {
            let least = thousands(f64::from(limits.min_requests));
            format!("{seen} of {least} requests. No data is never a pass.")
        }
        Class::Fail => format!("{compared}{}.", multiple(s)),
        Class::Marginal if above && alike(s) => {
            format!("{compared}; above the limit of {limit} %, but no worse than stable.")
        }
        Class::Marginal if above => {
            format!("{compared}; above the limit of {limit} %, but {seen} requests are too few to decide.")
        }
        Class::Marginal => format!("{compared}{}; too few for anybody to notice.", multiple(s)),
        Class::Pass => format!("{compared}; {seen} requests seen; the guard stays on."),
    }
}

/// Stable fails about as often.
fn alike(s: &Sample) -> bool {
    s.canary.error_rate().zip(s.stable.error_rate()).is_some_and(|(canary, stable)| canary <= stable * 1.25)
}

fn compared(s: &Sample) -> String {
    let canary = percent(s.canary.error_rate().unwrap_or(0.0) * 100.0);
    match s.stable.error_rate() {
        Some(stable) => format!("Canary errors {canary} % against {} % on stable", percent(stable * 100.0)),
        None => format!("Canary errors {canary} %, and stable has no traffic to compare with"),
    }
}

/// `: 13 times as many`, where a multiple can be said.
fn multiple(s: &Sample) -> String {
    match (s.canary.error_rate(), s.stable.error_rate()) {
        (Some(canary), Some(stable)) if stable > 0.0 && canary > stable => {
            format!(": {} times as many", times(canary / stable))
        }
        _ => String::new(),
    }
}
