//! How names and images are written.

/// RFC 1123 label: what Kubernetes takes as the name of a container or a namespace.
pub(super) fn is_label(s: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = s.as_bytes();
    bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b))
}

/// RFC 1123 subdomain: labels joined by dots, as most objects are named.
pub(super) fn is_name(s: &str) -> bool {
    s.len() <= 253 && s.split('.').all(is_label)
}

/// What is wrong with an image reference, and what to do; `None` when nothing is.
///
/// Source: the grammar of the distribution project's `reference` package: `[host[:port]/]path[:tag][@digest]`.
pub(super) fn image_fault(image: &str) -> Option<String> {
    const LIKE: &str = "registry.example.com/checkout:1.42.0";
    if image.is_empty() {
        return Some(format!("Is empty. Write an image, like {LIKE}."));
    }
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    if let Some(digest) = digest
        && !is_digest(digest)
    {
        return Some("Its digest must be `sha256:` and 64 hexadecimal digits.".to_owned());
    }
    let (name, tag) = match rest.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag
        && !is_tag(tag)
    {
        return Some(format!("`{tag}` is no tag: use letters, digits, `.`, `_` and `-`, at most 128."));
    }
    if !is_repository(name) {
        return Some(format!("`{name}` is no image name. Write it like {LIKE}."));
    }
    if tag.is_none() && digest.is_none() {
        return Some(format!(
            "Names neither tag nor digest, so what runs could change after the approval. Add one: {name}:1.42.0."
        ));
    }
    None
}

fn is_digest(s: &str) -> bool {
    s.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_tag(s: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    s.len() <= 128
        && s.bytes().next().is_some_and(word)
        && s.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_repository(name: &str) -> bool {
    let mut parts = name.split('/').peekable();
    let first = parts.peek().copied().unwrap_or_default();
    let host = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    if host {
        parts.next();
        let (domain, port) = first.split_once(':').map_or((first, None), |(d, p)| (d, Some(p)));
        let labels = domain.split('.').all(|l| is_label(&l.to_ascii_lowercase()));
        let port = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0));
        if !labels || !port {
            return false;
        }
    }
    name.len() <= 255 && parts.all(is_component)
}

/// Lower-case letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(s: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = s.as_bytes();
    let edges = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    let joined = bytes
        .split(|b| word(*b))
        .filter(|gap| !gap.is_empty())
        .all(|gap| matches!(gap, b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'));
    edges && joined
}
