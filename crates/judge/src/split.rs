//! Is the router sending what was asked? Where it is not, what was measured is not what the step is about.

use crate::Finding;
use crate::evidence::{OVERWHELMING, against};
use crate::words::percent;
use model::verdict::{Class, Sample};

/// Odds that may be so many times the asked ones, or one so-manyth: connections that stay open and few pods skew a split.
const TOLERATED: f64 = 2.0;

/// `None` where no share was asked for that the counts must show.
pub(crate) fn find(s: &Sample) -> Option<Finding> {
    let asked = s.asked.filter(|asked| *asked > 0.0 && *asked < 1.0)?;
    let (canary, stable) = (s.canary.requests.floor(), s.stable.requests.floor());
    let all = canary + stable;
    let more = against(canary, all, asked, TOLERATED) >= OVERWHELMING;
    let less = against(stable, all, 1.0 - asked, TOLERATED) >= OVERWHELMING;
    let share = |part: f64| percent(part * 100.0);
    let seen = if all > 0.0 { share(canary / all) } else { "no data".to_owned() };
    let asked = share(asked);
    let (class, why) = if more || less {
        let why = format!(
            "The canary gets {seen} % of the requests, {asked} % were asked for: the split is not what the step is about."
        );
        (Class::Marginal, why)
    } else {
        (Class::Pass, format!("The canary gets {seen} % of the requests, {asked} % were asked for."))
    };
    let figures = if all > 0.0 { format!("{seen} % / {asked} %") } else { "no data".to_owned() };
    Some(Finding { class, figures, why })
}
