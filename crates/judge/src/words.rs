//! Figures as people read them.

/// `4.1`, `0.04`, `0`, `12`: one decimal, more only where one would hide everything. Without the sign.
pub(crate) fn percent(p: f64) -> String {
    if p <= 0.0 {
        return "0".to_owned();
    }
    if p < 0.01 {
        return "under 0.01".to_owned();
    }
    let digits = if p < 0.095 { 2 } else { 1 };
    let text = format!("{p:.digits$}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// `13`, `1.6`: whole from two on.
pub(crate) fn times(n: f64) -> String {
    if n >= 1.95 && (n.fract() < 0.05 || n >= 3.0) {
        return thousands(n.round());
    }
    let text = format!("{n:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// `191`, `3.2`.
pub(crate) fn millis(ms: f64) -> String {
    if ms >= 10.0 { thousands(ms.round()) } else { format!("{ms:.1}") }
}

/// `9,851`.
pub(crate) fn thousands(n: f64) -> String {
    if n >= 1e15 {
        return "1,000,000,000,000,000".to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded above, clamped below"
    )]
    let digits = (n.max(0.0) as u64).to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_hide_nothing() {
        let all = [0.0, 0.004, 0.04, 0.3, 1.96, 4.126, 12.04, 100.0].map(percent);
        assert_eq!(all, ["0", "under 0.01", "0.04", "0.3", "2", "4.1", "12", "100"]);
        assert_eq!([1.5, 1.96, 2.4, 12.75, 2000.0].map(times), ["1.5", "2", "2.4", "13", "2,000"]);
        assert_eq!([3.21, 191.4, 1234.5].map(millis), ["3.2", "191", "1,235"]);
        assert_eq!([0.0, 412.0, 9851.0, 1e9].map(thousands), ["0", "412", "9,851", "1,000,000,000"]);
    }
}
