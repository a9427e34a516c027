//! Line difference of two documents.

use crate::view::{DiffKind, DiffLine};

/// Pairs of lines to compare at most: 4 million take 32 MiB for a moment.
const MOST: usize = 4_000_000;

/// Lines of `old` and `new`, each marked same, removed or added, by longest common subsequence. Documents are plans:
/// at most a few hundred lines. What differs by more than [`MOST`] is shown as replaced whole.
pub fn lines(old: &str, new: &str) -> Vec<DiffLine> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let mut out: Vec<_> = (0..same).map(|j| line(DiffKind::Same, j, b[j])).collect();
    out.extend(differing(&a, &b, same));
    out
}

/// The lines from the first that differs on.
fn differing(a: &[&str], b: &[&str], from: usize) -> Vec<DiffLine> {
    let ends = a[from..].iter().rev().zip(b[from..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (a_end, b_end) = (a.len() - ends, b.len() - ends);
    let mut out = if (a_end - from).saturating_mul(b_end - from) > MOST {
        let removed = (from..a_end).map(|i| line(DiffKind::Removed, i, a[i]));
        removed.chain((from..b_end).map(|j| line(DiffKind::Added, j, b[j]))).collect()
    } else {
        longest_common(&a[..a_end], &b[..b_end], from)
    };
    out.extend((b_end..b.len()).map(|j| line(DiffKind::Same, j, b[j])));
    out
}

fn line(kind: DiffKind, index: usize, text: &str) -> DiffLine {
    DiffLine { kind, number: index + 1, text: text.to_owned() }
}

fn longest_common(a: &[&str], b: &[&str], from: usize) -> Vec<DiffLine> {
    let width = b.len() + 1;
    let mut longest = vec![0usize; (a.len() + 1) * width];
    for i in (from..a.len()).rev() {
        for j in (from..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (from, from, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push(line(DiffKind::Same, j, b[j]));
            i += 1;
            j += 1;
        } else if i < a.len() && (j == b.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            out.push(line(DiffKind::Removed, i, a[i]));
            i += 1;
        } else {
            out.push(line(DiffKind::Added, j, b[j]));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(old: &str, new: &str) -> Vec<String> {
        let sign = |k| match k {
            DiffKind::Same => ' ',
            DiffKind::Removed => '-',
            DiffKind::Added => '+',
        };
        lines(old, new).iter().map(|l| format!("{}{}{}", l.number, sign(l.kind), l.text)).collect()
    }

    #[test]
    fn a_changed_line_is_removed_then_added() {
        assert_eq!(told("a\nb\nc", "a\nB\nc"), ["1 a", "2-b", "2+B", "3 c"]);
        assert_eq!(told("", "a"), ["1+a"]);
        assert_eq!(told("a", ""), ["1-a"]);
        assert_eq!(told("a\nb", "b\na"), ["1-a", "1 b", "2+a"]);
    }

    #[test]
    fn documents_beyond_reason_cost_no_more_than_a_moment() {
        let document = |seed: usize| (0..60_000).map(|i| format!("{}\n", i * seed)).collect::<String>();
        let found = lines(&document(3), &document(5));
        assert_eq!(found.iter().filter(|l| l.kind == DiffKind::Removed).count(), 59_999);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn a_difference_tells_both_documents(
            a in proptest::collection::vec("[a-c]", 0..12), b in proptest::collection::vec("[a-c]", 0..12),
        ) {
            let found = lines(&a.join("\n"), &b.join("\n"));
            let of = |not: DiffKind| found.iter().filter(|l| l.kind != not).map(|l| l.text.clone()).collect::<Vec<_>>();
            prop_assert_eq!(of(DiffKind::Added), a);
            prop_assert_eq!(of(DiffKind::Removed), b);
        }
    }
}
