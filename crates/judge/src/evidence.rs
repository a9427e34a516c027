//! How strongly counts speak against "the canary is no worse", so that it may be asked at every look.
//!
//! If the canary fails `r` times as often as stable, each error is its own with the odds of its share of requests times
//! `r`. The evidence is the likelihood of what was counted under a mixture of multiples above the tolerated one, divided
//! by the likelihood under the tolerated one. Whatever the true multiple up to the tolerated one is, such a ratio has an
//! expectation of at most 1 at every moment, so the chance that it *ever* reaches E is at most 1 in E, however often one
//! looks (Ville's inequality). Tolerating a little more than "as many" keeps sides that wander apart for minutes, as real
//! ones do, from being taken for a fault: `benches/guard.rs` prints by how much.
//!
//! Source: the family of "Rapid regression detection in software deployments through sequential testing" (KDD 2022), with a
//! mixture over multiples in place of a beta distribution over shares: on the same streams it sees a fault sooner, and
//! it is one-sided by itself.

/// How often a step whose canary is as bad as just tolerated may be failed, by any metric.
pub const BUDGET: f64 = 0.01;
/// Evidence that makes an alarm of errors: three fifths of the budget.
pub const ERRORS_ALARM: f64 = 1.0 / (BUDGET * 0.6);
/// Evidence that makes an alarm of latency: two fifths of the budget.
pub const LATENCY_ALARM: f64 = 1.0 / (BUDGET * 0.4);
/// Evidence that speaks for itself before enough requests were seen.
pub(crate) const OVERWHELMING: f64 = 1_000.0;

/// Multiples of what is tolerated that the mixture holds likely, with their weights: a fault is rarely subtle, and
/// where it is gross a few counts must do.
const MULTIPLES: [(f64, f64); 5] = [(1.8, 0.25), (3.5, 0.35), (8.0, 0.2), (20.0, 0.1), (50.0, 0.1)];

/// Evidence that of `n` events more fall on the canary than odds of `tolerated` times those of `fair` explain, given
/// that `k` did. 1 where the counts do not say so: the other direction is no alarm.
pub(crate) fn against(k: f64, n: f64, fair: f64, tolerated: f64) -> f64 {
    // Written so that NaN, too, is no evidence.
    let possible = fair > 0.0 && fair < 1.0 && tolerated > 0.0 && n > 0.0 && (0.0..=n).contains(&k);
    if possible { mixture(k, n, fair, tolerated).max(1.0) } else { 1.0 }
}

fn mixture(k: f64, n: f64, fair: f64, tolerated: f64) -> f64 {
    let share = |times: f64| fair * times / (1.0 - fair + fair * times);
    let p0 = share(tolerated);
    let part = |(times, weight): &(f64, f64)| {
        let p = share(tolerated * times);
        let ln = k * (p / p0).ln() + (n - k) * ((1.0 - p) / (1.0 - p0)).ln();
        // 1 in 10^300 is as good as certain, and still a number.
        weight * ln.min(690.0).exp()
    };
    MULTIPLES.iter().map(part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counts_give_known_evidence() {
        // 6 of 6 errors on a canary with a twentieth of the requests, by hand: p0 = 0.05 * 1 / (0.95 + 0.05).
        let by_hand: f64 = MULTIPLES
            .iter()
            .map(|(r, w): &(f64, f64)| w * ((0.05 * r / (0.95 + 0.05 * r)) / 0.05_f64).powi(6))
            .sum();
        assert!((against(6.0, 6.0, 0.05, 1.0) / by_hand - 1.0).abs() < 1e-9);
        assert!(against(6.0, 6.0, 0.05, 1.0) > 1e5);
        assert!(against(17.0, 21.0, 0.25, 1.2) > ERRORS_ALARM);
        assert!(against(2.0, 2.0, 0.5, 1.2) < 3.0);
    }

    #[test]
    fn a_tolerated_share_or_less_is_no_evidence() {
        assert_eq!(against(5.0, 20.0, 0.25, 1.0), 1.0);
        assert_eq!(against(0.0, 20.0, 0.25, 1.2), 1.0);
        assert_eq!(against(0.0, 0.0, 0.25, 1.2), 1.0);
        assert_eq!(
            against(2000.0, 7000.0, 0.25, 1.2),
            1.0,
            "a fifth more is tolerated, however many they are"
        );
    }

    /// What makes the budget hold: the expectation under a tolerated share is at most 1, whatever was counted so far.
    #[test]
    fn one_more_event_is_a_fair_game() {
        for (fair, tolerated) in [(0.05, 1.2), (0.5, 1.0), (0.2, 1.5)] {
            let p0 = fair * tolerated / (1.0 - fair + fair * tolerated);
            for (k, n) in [(3.0, 5.0), (30.0, 50.0), (9.0, 10.0)] {
                let now = mixture(k, n, fair, tolerated);
                let next = p0 * mixture(k + 1.0, n + 1.0, fair, tolerated)
                    + (1.0 - p0) * mixture(k, n + 1.0, fair, tolerated);
                assert!(next <= now * (1.0 + 1e-12), "{fair} {tolerated} {k} {n}");
            }
        }
    }

    #[test]
    fn odd_input_is_no_evidence() {
        for (k, n, p) in
            [(3.0, 2.0, 0.1), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0), (f64::NAN, 1.0, 0.5), (1.0, 1.0, f64::NAN)]
        {
            assert_eq!(against(k, n, p, 1.2), 1.0, "{k} {n} {p}");
        }
        assert!(against(1e6, 1e6, 1e-6, 1.2).is_finite());
    }
}
