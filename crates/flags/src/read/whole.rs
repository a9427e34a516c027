//! What can only be asked of the file as a whole: segments, prerequisites and their cycles, and how much there is.

use super::{Faults, SEGMENTS, at};
use crate::file::{Condition, File, Operator};
use std::collections::{HashMap, HashSet};

/// Flags in a file.
const MOST_FLAGS: usize = 5_000;
/// Patterns in a file. Each takes up to 256 KiB once compiled.
const MOST_PATTERNS: usize = 200;
/// Flags asked for one flag, through all its prerequisites.
const MOST_ASKED: usize = 100;

/// `lines` are those of the flags.
pub(super) fn check(faults: &mut Faults, file: &File, lines: &[usize]) {
    if let Some(line) = lines.get(MOST_FLAGS) {
        faults.add("", *line, format!("There are more than {MOST_FLAGS} flags. Split the file."));
    }
    let line = |i: usize| lines.get(i).copied().unwrap_or(1);
    let segments: HashSet<&str> = file.segments.iter().map(|s| s.name.as_str()).collect();
    let mut patterns = 0;
    for (i, flag) in file.flags.iter().enumerate() {
        let own = (format!("{}.conditions", flag.key), &flag.conditions);
        let of_rules = flag.rules.iter().enumerate();
        let of_rules = of_rules.map(|(n, r)| (format!("{}.rules[{n}].conditions", flag.key), &r.conditions));
        for (path, conditions) in std::iter::once(own).chain(of_rules) {
            patterns += self::patterns(conditions);
            for (n, condition) in conditions.iter().enumerate().filter(|(_, c)| c.operator.of_segment()) {
                let path = format!("{path}[{n}].value");
                if condition.operands().is_empty() {
                    faults.add(&path, line(i), "Names no segment. Write `value: …`.");
                }
                for name in condition.operands().into_iter().filter(|name| !segments.contains(name)) {
                    let said = format!(
                        "There is no segment `{name}`. Define it below `{SEGMENTS}`, or correct the name."
                    );
                    faults.add(&path, line(i), said);
                }
            }
        }
    }
    patterns += file.segments.iter().map(|s| self::patterns(&s.conditions)).sum::<usize>();
    if patterns > MOST_PATTERNS {
        let said = format!(
            "There are {patterns} patterns; {MOST_PATTERNS} are the most. Use `in`, `starts_with` or `ends_with`."
        );
        faults.add("", 1, said);
    }
    prerequisites(faults, file, &line);
}

fn patterns(conditions: &[Condition]) -> usize {
    conditions.iter().filter(|c| c.operator == Operator::Matches).map(|c| c.operands().len()).sum()
}

fn prerequisites(faults: &mut Faults, file: &File, line: &dyn Fn(usize) -> usize) {
    let index: HashMap<&str, usize> =
        file.flags.iter().enumerate().map(|(i, f)| (f.key.as_str(), i)).collect();
    let mut needs = vec![Vec::new(); file.flags.len()];
    for (i, flag) in file.flags.iter().enumerate() {
        for (n, needed) in flag.prerequisites.iter().enumerate() {
            let path = at(&flag.key, &format!("prerequisites[{n}]"));
            let Some(&of) = index.get(needed.flag.as_str()) else {
                let said = format!("There is no flag `{}`. Correct the name, or add the flag.", needed.flag);
                faults.add(path, line(i), said);
                continue;
            };
            needs[i].push(of);
            let variants = file.flags[of].all_variants();
            if let Some(name) = &needed.variant
                && !variants.iter().any(|v| v.name == *name)
            {
                let known: Vec<_> = variants.iter().map(|v| v.name.as_str()).collect();
                let said = format!("`{}` has no variant `{name}`. Known: {}.", needed.flag, known.join(", "));
                faults.add(path, line(i), said);
            }
        }
    }
    let Some(order) = order(&needs) else {
        for (i, cycle) in cycles(&needs) {
            let names: Vec<_> = cycle.iter().map(|f| file.flags[*f].key.as_str()).collect();
            let said =
                format!("Its prerequisites lead in a circle: {}. Remove one of them.", names.join(" → "));
            faults.add(at(&file.flags[i].key, "prerequisites"), line(i), said);
        }
        return;
    };
    let mut asked = vec![1usize; needs.len()];
    for i in order {
        asked[i] = needs[i].iter().fold(1, |sum, of| sum.saturating_add(asked[*of]));
        if asked[i] > MOST_ASKED {
            let said =
                format!("Asks more than {MOST_ASKED} flags through its prerequisites. Shorten the chain.");
            faults.add(at(&file.flags[i].key, "prerequisites"), line(i), said);
            return;
        }
    }
}

/// Each flag after those that it needs; `None` where there is a cycle.
fn order(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut waits: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (i, of) in needs.iter().enumerate() {
        of.iter().for_each(|of| needed_by[*of].push(i));
    }
    let mut done: Vec<usize> = (0..needs.len()).filter(|i| waits[*i] == 0).collect();
    let mut at = 0;
    while let Some(&i) = done.get(at) {
        at += 1;
        for &by in &needed_by[i] {
            waits[by] -= 1;
            if waits[by] == 0 {
                done.push(by);
            }
        }
    }
    (done.len() == needs.len()).then_some(done)
}

/// Cycles, each told at the flag of it that stands first, with the way round. Where several share a flag not all are told: mending one
/// shows the next.
fn cycles(needs: &[Vec<usize>]) -> Vec<(usize, Vec<usize>)> {
    const MOST: usize = 10;
    let mut found = Vec::new();
    let mut seen = vec![false; needs.len()];
    let mut on_way = vec![false; needs.len()];
    for start in 0..needs.len() {
        // Depth first, without recursion: a chain may be as long as the file.
        let mut way: Vec<(usize, usize)> = Vec::new();
        let mut enter = (!seen[start]).then_some(start);
        loop {
            if let Some(i) = enter.take() {
                (seen[i], on_way[i]) = (true, true);
                way.push((i, 0));
            }
            let Some((i, next)) = way.last_mut() else { break };
            match needs[*i].get(*next) {
                Some(&of) => {
                    *next += 1;
                    if on_way[of] && found.len() < MOST {
                        found.push(round(&way, of));
                    } else if !seen[of] {
                        enter = Some(of);
                    }
                }
                None => {
                    on_way[*i] = false;
                    way.pop();
                }
            }
        }
    }
    found
}

/// From the flag that stands first back to itself.
fn round(way: &[(usize, usize)], to: usize) -> (usize, Vec<usize>) {
    let from = way.iter().position(|(i, _)| *i == to).unwrap_or(0);
    let mut cycle: Vec<usize> = way[from..].iter().map(|(i, _)| *i).collect();
    let first = (0..cycle.len()).min_by_key(|i| cycle[*i]).unwrap_or(0);
    cycle.rotate_left(first);
    cycle.push(cycle[0]);
    (cycle[0], cycle)
}
