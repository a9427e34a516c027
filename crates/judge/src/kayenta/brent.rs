//! A root between two ends, by Brent's method.
//!
//! The Mann-Whitney statistic is a step function, so "the root" is where this method stops, not where the function is
//! zero. A judge that is to give Kayenta's answers has to stop where Kayenta does: same steps, same tolerance.
//! Source: R. P. Brent, *Algorithms for Minimization Without Derivatives* (1973), chapter 4; the variant is that of
//! `zeroin` in netlib and R.

/// Half of this is the absolute tolerance. Kayenta's constant.
const TOLERANCE: f64 = 1e-4;
/// Halving alone would be done in 60.
const MOST_STEPS: usize = 1000;

/// An end of the bracket with the function's value there.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

impl Point {
    fn opposite(self, other: Self) -> bool {
        !((self.y > 0.0 && other.y > 0.0) || (self.y < 0.0 && other.y < 0.0))
    }
}

/// Where `f` crosses zero between `low` and `high`, given its values there. Ends with the best guess where it does not.
pub(super) fn root(low: (f64, f64), high: (f64, f64), f: impl Fn(f64) -> f64) -> f64 {
    let point = |(x, y)| Point { x, y };
    // `best` is the newest guess, `last` the one before, `across` the end on the other side of zero.
    let (mut last, mut best) = (point(low), point(high));
    let mut across = last;
    if last.y == 0.0 {
        return last.x;
    }
    for _ in 0..=MOST_STEPS {
        let before = best.x - last.x;
        if across.y.abs() < best.y.abs() {
            (last, best, across) = (best, across, best);
        }
        let tolerance = 2.0 * f64::EPSILON * best.x.abs() + TOLERANCE / 2.0;
        let half = (across.x - best.x) / 2.0;
        if half.abs() <= tolerance || best.y == 0.0 {
            return best.x;
        }
        let interpolated = (before.abs() >= tolerance && last.y.abs() > best.y.abs())
            .then(|| interpolate(last, best, across))
            .and_then(|(p, q)| {
                let inside = p < 0.75 * (across.x - best.x) * q - (tolerance * q).abs() / 2.0;
                (inside && p < (before * q / 2.0).abs()).then(|| p / q)
            });
        let wanted = interpolated.unwrap_or(half);
        let step = if wanted.abs() >= tolerance { wanted } else { tolerance * sign(wanted) };
        last = best;
        best.x += step;
        best.y = f(best.x);
        if !best.opposite(across) {
            across = last;
        }
    }
    best.x
}

/// A step of nothing goes down, as in the original.
fn sign(step: f64) -> f64 {
    if step > 0.0 { 1.0 } else { -1.0 }
}

/// The step as a fraction with a positive numerator: by a line through two points, or by an inverse parabola through
/// three.
fn interpolate(last: Point, best: Point, across: Point) -> (f64, f64) {
    let width = across.x - best.x;
    let (p, q) = if last.x == across.x {
        let t = best.y / last.y;
        (width * t, 1.0 - t)
    } else {
        let (q, t1, t2) = (last.y / across.y, best.y / across.y, best.y / last.y);
        let p = t2 * (width * q * (q - t1) - (best.x - last.x) * (t1 - 1.0));
        (p, (q - 1.0) * (t1 - 1.0) * (t2 - 1.0))
    };
    if p > 0.0 { (p, -q) } else { (-p, q) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
        root((low, f(low)), (high, f(high)), &f)
    }

    #[test]
    fn smooth_functions_have_their_roots_found() {
        assert!((between(0.0, 2.0, |x| x * x - 2.0) - std::f64::consts::SQRT_2).abs() < 1e-4);
        assert!((between(-4.0, 3.0, |x| (x + 3.0) * (x - 9.0)) + 3.0).abs() < 1e-4);
        assert!((between(0.0, 1.0, |x| x.cos() - x) - 0.739_085).abs() < 1e-4);
    }

    #[test]
    fn an_end_may_be_the_root() {
        assert_eq!(between(0.0, 1.0, |x| x), 0.0);
        assert_eq!(between(-1.0, 0.0, |x| x), 0.0);
    }

    #[test]
    fn a_step_is_found_within_the_tolerance() {
        let found = between(-1.0, 1.0, |x| if x < 0.3 { 1.0 } else { -1.0 });
        assert!((found - 0.3).abs() <= 1e-4, "{found}");
    }
}
