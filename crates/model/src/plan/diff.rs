//! Line difference of two documents.

use crate::view::{DiffKind, DiffLine};

/// Lines of `old` and `new`, each marked same, removed or added, by longest common subsequence. Documents are plans:
/// at most a few hundred lines.
pub fn lines(old: &str, new: &str) -> Vec<DiffLine> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let width = b.len() + 1;
    let mut longest = vec![0usize; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let line = |kind, index: usize, text: &str| DiffLine { kind, number: index + 1, text: text.to_owned() };
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
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
