//! What must not be read by the public: names of revisions, pods, machines and people.

/// Names that words are held against, beside what looks like one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Names and addresses of people with accounts.
    pub people: Vec<String>,
    /// Revision hashes, pods, namespaces and nodes that are about the incident.
    pub machines: Vec<String>,
}

/// Letters and digits of names that Kubernetes makes up: no vowels, nothing that looks like another.
const MADE_UP: &str = "bcdfghjklmnpqrstvwxz2456789";

/// The first thing in `text` that the public must not read: what it is, then what to do. `None` when it may be told.
pub fn leak(text: &str, known: &Known) -> Option<String> {
    let lower = text.to_lowercase();
    for name in known.people.iter().map(|n| n.trim()).filter(|n| n.chars().count() >= 3) {
        if holds_word(&lower, &name.to_lowercase()) {
            return Some(format!("It names a person, “{name}”. Write what users feel, not who works on it."));
        }
    }
    for word in words(text) {
        let what = if is_address(word) {
            "an e-mail address"
        } else if known.machines.iter().any(|m| m.eq_ignore_ascii_case(word)) {
            "something of the cluster"
        } else if is_pod(word) {
            "a pod"
        } else if is_hash(word) {
            "a revision"
        } else if is_host(word) {
            "a host"
        } else {
            continue;
        };
        return Some(format!("It names {what}, “{word}”. Write what users feel instead."));
    }
    None
}

/// Parts between spaces and quotes, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "“”\"'`()[]<>,;/=|".contains(c))
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|w| !w.is_empty())
}

/// Whether `word` stands in `text` with no letter or digit beside it. Both in lower case.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let beside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !beside(before) && !beside(after)
    })
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(who, at)| !who.is_empty() && at.contains('.'))
}

/// A digest, a commit, or the hash that a controller gives a revision's pods.
fn is_hash(word: &str) -> bool {
    let word = word.strip_prefix("sha256:").unwrap_or(word);
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().count() - digits;
    let hex = word.len() >= 7 && word.chars().all(|c| c.is_ascii_hexdigit()) && digits >= 2;
    (hex && letters > 0) || (is_made_up(word, 8..=10) && digits >= 1 && letters > 0)
}

fn is_made_up(word: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&word.len()) && word.chars().all(|c| MADE_UP.contains(c))
}

/// `checkout-6d4b75cb6d-x2x8q`, or the ReplicaSet that it is of.
fn is_pod(word: &str) -> bool {
    let mut parts = word.rsplit('-');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // The controller's own hashes are hexadecimal or made up, and may lack digits.
    let hash = |w: &str| is_hash(w) || (is_made_up(w, 8..=10) && !w.is_empty());
    parts.next().is_some() && is_made_up(last, 5..=5) && hash(before) || (word.contains('-') && is_hash(last))
}

/// A name with dots as machines have, or an address of the Internet protocol.
fn is_host(word: &str) -> bool {
    let host = word.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(word, |(h, _)| h);
    let labels: Vec<_> = host.split('.').collect();
    if labels.len() == 4 && labels.iter().all(|l| l.parse::<u8>().is_ok()) {
        return true;
    }
    if word.contains("::") && word.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
        return true;
    }
    let label = |l: &&str| {
        !l.is_empty() && l.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
    };
    // `3.8.1` and `v1.42.0` are versions, `e.g` an abbreviation, `done.Invoices` a missing space.
    labels.len() >= 2
        && labels.iter().all(label)
        && labels.iter().any(|l| l.len() >= 2 && l.chars().any(|c| c.is_ascii_lowercase()))
        && labels.last().is_some_and(|l| l.len() >= 2 && l.chars().all(|c| c.is_ascii_lowercase()))
}
