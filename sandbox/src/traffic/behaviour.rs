//! How a version treats its users.
//!
//! By annotation of the pod template, `sandbox.tidegate.dev/behaviour: "errors=5%,latency=+300ms"`, and by
//! the image tag, so that a release that changes only the image can bring a bad version:
//! `1.43.0-errors-20pct` fails every fifth request, `1.43.0-slow-300ms` takes 300 ms longer, and how fast
//! `1.43.0-noisy-20pct` answers wanders by a fifth to either side, with nothing wrong. They may follow each other. The
//! annotation wins.

use std::time::Duration;

/// The annotation of the pod template.
pub(crate) const ANNOTATION: &str = "sandbox.tidegate.dev/behaviour";

/// Share of requests that fail in a healthy version.
const BASELINE_ERRORS: f64 = 0.003;

/// What a version's requests are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Behaviour {
    /// Probability that a request fails, 0 to 1.
    pub(crate) errors: f64,
    /// Added to each request's duration.
    pub(crate) extra: Duration,
    /// By how much its durations wander from one quarter of a minute to the next: standard deviation of their logarithm.
    pub(crate) noise: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { errors: BASELINE_ERRORS, extra: Duration::ZERO, noise: 0.0 }
    }
}

impl Behaviour {
    /// Of a pod with this image and behaviour annotation. What cannot be understood changes nothing.
    pub(crate) fn of(image: &str, annotation: Option<&str>) -> Self {
        let mut behaviour = Self::default();
        behaviour.read_tag(tag(image));
        for (key, value) in annotation.unwrap_or_default().split(',').filter_map(|part| part.split_once('='))
        {
            match key.trim() {
                "errors" => behaviour.set_errors(value.trim().strip_suffix('%')),
                "latency" => behaviour.set_extra(value.trim().trim_start_matches('+')),
                _ => {}
            }
        }
        behaviour
    }

    fn read_tag(&mut self, tag: &str) {
        let mut words = tag.split('-');
        while let Some(word) = words.next() {
            match word {
                "errors" => self.set_errors(words.next().and_then(|w| w.strip_suffix("pct"))),
                "noisy" => self.set_noise(words.next().and_then(|w| w.strip_suffix("pct"))),
                "slow" => self.set_extra(words.next().unwrap_or_default()),
                _ => {}
            }
        }
    }

    fn set_errors(&mut self, percent: Option<&str>) {
        if let Some(part) = part(percent) {
            self.errors = part;
        }
    }

    fn set_noise(&mut self, percent: Option<&str>) {
        if let Some(part) = part(percent) {
            self.noise = part;
        }
    }

    fn set_extra(&mut self, text: &str) {
        let millis = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => millis.parse::<f64>().ok(),
            (None, Some(seconds)) => seconds.parse::<f64>().ok().map(|s| s * 1000.0),
            (None, None) => None,
        };
        if let Some(millis) = millis.filter(|m| (0.0..=600_000.0).contains(m)) {
            self.extra = Duration::from_secs_f64(millis / 1000.0);
        }
    }
}

/// 0 to 1, of a percentage.
fn part(percent: Option<&str>) -> Option<f64> {
    percent?.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p)).map(|p| p / 100.0)
}

/// The tag of an image reference, or its whole last part where there is none.
pub(crate) fn tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or(last, |(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &str, annotation: &str) -> (f64, u128) {
        let behaviour = Behaviour::of(image, Some(annotation));
        (behaviour.errors, behaviour.extra.as_millis())
    }

    #[test]
    fn a_plain_version_behaves_as_the_baseline() {
        assert_eq!(Behaviour::of("registry:5000/shop/a:1.2.3", None), Behaviour::default());
        assert_eq!(Behaviour::of("a", None), Behaviour::default());
    }

    #[test]
    fn the_annotation_sets_errors_and_latency() {
        assert_eq!(of("a:1", "errors=5%,latency=+300ms"), (0.05, 300));
        assert_eq!(of("a:1", " latency = 1.5s , errors = 0% "), (0.0, 1500));
    }

    #[test]
    fn the_tag_sets_errors_and_latency_and_the_annotation_wins() {
        assert_eq!(of("a:1.43.0-errors-20pct", ""), (0.2, 0));
        assert_eq!(of("a:1.43.0-slow-300ms", ""), (BASELINE_ERRORS, 300));
        assert_eq!(of("a:1.43.0-errors-2.5pct-slow-1s", ""), (0.025, 1000));
        assert_eq!(of("a:1.43.0-errors-20pct-slow-1s", "errors=1%"), (0.01, 1000));
    }

    #[test]
    fn the_tag_sets_noise() {
        assert_eq!(Behaviour::of("a:1.43.0-noisy-20pct", None).noise, 0.2);
        assert_eq!(of("a:1.43.0-noisy-20pct-errors-5pct", ""), (0.05, 0));
        assert_eq!(Behaviour::of("a:1.43.0-noisy-very", None).noise, 0.0);
    }

    #[test]
    fn nonsense_changes_nothing() {
        let baseline = (BASELINE_ERRORS, 0);
        for text in
            ["errors=lots", "errors=500%", "errors=5", "latency=soon", "latency=-3s", "x=1", "=,,=", "errors"]
        {
            assert_eq!(of("a:1", text), baseline, "{text}");
        }
        for image in ["a:1-errors", "a:1-errors-20", "a:1-slow", "a:errors-xpct", "a:1-slow-NaNs"] {
            assert_eq!(of(image, ""), baseline, "{image}");
        }
    }

    #[test]
    fn tags_are_found_beside_ports_and_digests() {
        assert_eq!(tag("registry:5000/shop/a:1.2.3@sha256:abc"), "1.2.3");
        assert_eq!(tag("registry:5000/shop/a"), "a");
    }
}
