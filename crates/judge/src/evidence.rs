//! How strongly counts speak against "the canary is no worse", so that it may be asked at every look.
//!
//! Each error falls on the canary with the probability of its share of requests, if nothing is wrong. The evidence is
//! the likelihood of what was counted under a mixture of other shares (a beta distribution around the fair one),
//! divided by the likelihood under the fair one. Such a ratio has expectation 1 at every moment, so the chance that
//! it *ever* reaches E is at most 1 in E, however often one looks. Source: sequential beta-binomial mixtures,
//! "Rapid regression detection in software deployments through sequential testing" (KDD 2022).

/// Evidence that counts as an alarm: 400 to 1. A false-alarm budget of 1 % for a release, shared by four metrics.
pub const ALARM: f64 = 400.0;
/// Evidence that speaks for itself before enough requests were seen.
pub(crate) const OVERWHELMING: f64 = 10_000.0;
/// How many counts the mixture's own opinion weighs.
const WEIGHT: f64 = 10.0;

/// Evidence that more than a share `p0` of `n` falls on the canary, given that `k` did. At most 1 where `k` is no
/// more than the fair share: the other direction is no alarm.
pub(crate) fn against(k: f64, n: f64, p0: f64) -> f64 {
    // Written so that NaN, too, is no evidence.
    let more = p0 > 0.0 && p0 < 1.0 && n > 0.0 && k <= n && k / n > p0;
    if !more {
        return 1.0;
    }
    let (a, b) = (WEIGHT * p0, WEIGHT * (1.0 - p0));
    let ln = ln_beta(a + k, b + n - k) - ln_beta(a, b) - k * p0.ln() - (n - k) * (1.0 - p0).ln();
    // 1 in 10^300 is as good as certain, and still a number.
    ln.min(690.0).exp()
}

fn ln_beta(x: f64, y: f64) -> f64 {
    libm::lgamma(x) + libm::lgamma(y) - libm::lgamma(x + y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counts_give_known_evidence() {
        // 17 of 21 errors on a canary with a quarter of the requests: 9,851 to 1.
        assert!((against(17.0, 21.0, 0.25) - 9851.35).abs() < 0.01);
        assert!((against(6.0, 6.0, 0.05) - 2884.615).abs() < 0.001);
        assert!((against(2.0, 2.0, 0.5) - 1.0909).abs() < 0.001);
    }

    #[test]
    fn a_fair_share_or_less_is_no_evidence() {
        assert_eq!(against(5.0, 20.0, 0.25), 1.0);
        assert_eq!(against(0.0, 20.0, 0.25), 1.0);
        assert_eq!(against(0.0, 0.0, 0.25), 1.0);
    }

    #[test]
    fn odd_input_is_no_evidence() {
        for (k, n, p) in
            [(3.0, 2.0, 0.1), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0), (f64::NAN, 1.0, 0.5), (1.0, 1.0, f64::NAN)]
        {
            assert_eq!(against(k, n, p), 1.0, "{k} {n} {p}");
        }
        assert!(against(1e6, 1e6, 1e-6).is_finite());
    }
}
