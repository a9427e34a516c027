//! Which samples of a step may go without a verdict coming out differently.

use crate::{LOOKS, look, readable};
use model::verdict::{Class, Sample, Verdict};

/// What a verdict looks back on: of samples in order of time the last ones that stand for [`LOOKS`] looks. One that was kept for
/// others that were thinned out counts for them, so that the stretch begins where it began.
pub(crate) fn window(samples: &[Sample]) -> &[Sample] {
    let mut looks = 0;
    let enough = samples.iter().rposition(|s| {
        let full = looks >= LOOKS;
        looks += usize::try_from(s.stands_for).unwrap_or(usize::MAX);
        full
    });
    &samples[enough.map_or(0, |at| at + 1)..]
}

/// Of one step's `samples`, in order of time: which must stay. The last of each minute, and what `verdicts` of that step rest on:
/// of what each looks back on the first and the last that could be read, the last of all, and the first that failed. Nothing else
/// of it enters a verdict, so [`crate::replay`] answers as before.
pub fn kept(samples: &[Sample], verdicts: &[Verdict]) -> Vec<bool> {
    let minute = |s: &Sample| s.at.timestamp().div_euclid(60);
    let mut keep: Vec<bool> = (0..samples.len())
        .map(|i| samples.get(i + 1).is_none_or(|next| minute(next) != minute(&samples[i])))
        .collect();
    for verdict in verdicts {
        let until = samples.partition_point(|s| s.at <= verdict.at);
        let seen = window(&samples[..until]);
        let from = until - seen.len();
        let good = || seen.iter().enumerate().filter(|(_, s)| readable(s)).map(|(i, _)| i);
        let failed = match verdict.class {
            Class::Fail => good().find(|i| look(&seen[*i], &verdict.limits).class() == Class::Fail),
            Class::Pass | Class::Marginal | Class::NoData => None,
        };
        for i in [good().next(), good().next_back(), failed, seen.len().checked_sub(1)].into_iter().flatten()
        {
            keep[from + i] = true;
        }
    }
    keep
}
