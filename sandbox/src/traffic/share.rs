//! Which version gets which part of a service's requests.

use std::collections::BTreeMap;

use super::behaviour::Behaviour;

/// The pods of one revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    /// `rollouts-pod-template-hash`, or `pod-template-hash` of a Deployment.
    pub(crate) hash: String,
    /// Image tag.
    pub(crate) tag: String,
    /// Ready pods.
    pub(crate) ready: u32,
    pub(crate) behaviour: Behaviour,
}

/// Who decides where a request goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Route {
    /// All ready pods: each gets its part.
    Pods,
    /// A Service: as [`Route::Pods`] among those it selects, and nobody answers where there are none.
    Service,
    /// A Service, and an Ingress that sends a part (of one) of its requests past it to the version of this hash.
    Weighed(String, f64),
    /// A router: hash and weight of each side, the stable side first. Weights are parts of one.
    Split(Vec<(String, f64)>),
    /// An HTTPRoute: each backend gets its weight, and has nobody to answer where its Service has no ready pod.
    Backends(Vec<Side>),
}

/// One backend of an HTTPRoute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Side {
    /// A part of one.
    pub(crate) weight: f64,
    /// Ready pods of its Service, by revision.
    pub(crate) ready: BTreeMap<String, u32>,
    /// The revision that its Service selects by name.
    pub(crate) meant: Option<String>,
}

/// One version's part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Share {
    pub(crate) hash: String,
    /// 0 to 1.
    pub(crate) fraction: f64,
    /// Whether a pod is there to answer. If not, the router answers 503.
    pub(crate) served: bool,
}

/// Split a service's requests among its versions. The fractions sum to 1 unless there is nowhere to send
/// anything.
pub(crate) fn shares(route: &Route, versions: &[Version]) -> Vec<Share> {
    let ready = |hash: &str| versions.iter().filter(|v| v.hash == hash).map(|v| v.ready).sum::<u32>();
    match route {
        Route::Service if versions.iter().all(|v| v.ready == 0) => {
            let refused = |v: &Version| Share { hash: v.hash.clone(), fraction: 1.0, served: false };
            versions.first().map(refused).into_iter().collect()
        }
        Route::Pods | Route::Service => {
            let total: u32 = versions.iter().map(|v| v.ready).sum();
            versions
                .iter()
                .filter(|v| v.ready > 0)
                .map(|v| Share {
                    hash: v.hash.clone(),
                    fraction: f64::from(v.ready) / f64::from(total),
                    served: true,
                })
                .collect()
        }
        Route::Weighed(canary, weight) => {
            // Ingress-nginx leaves a canary without endpoints out.
            let weight = if ready(canary) > 0 { *weight } else { 0.0 };
            let own: Vec<_> = versions.iter().filter(|v| v.hash != *canary).cloned().collect();
            let mut parts = shares(&Route::Service, &own);
            for part in &mut parts {
                part.fraction *= 1.0 - weight;
            }
            parts.push(Share { hash: canary.clone(), fraction: weight, served: true });
            parts.retain(|part| part.fraction > 0.0);
            parts
        }
        Route::Split(sides) => {
            let Some((stable, _)) = sides.first() else {
                return Vec::new();
            };
            let mut parts: BTreeMap<&str, f64> = BTreeMap::new();
            for (hash, weight) in sides {
                // A router drops a canary without endpoints and sends its part to the main backend.
                let target = if ready(hash) > 0 { hash } else { stable };
                *parts.entry(target).or_default() += weight;
            }
            parts
                .into_iter()
                .filter(|(_, fraction)| *fraction > 0.0)
                .map(|(hash, fraction)| Share { hash: hash.to_owned(), fraction, served: ready(hash) > 0 })
                .collect()
        }
        Route::Backends(sides) => {
            let mut parts: BTreeMap<(String, bool), f64> = BTreeMap::new();
            for Side { weight, ready, meant } in sides {
                let all = f64::from(ready.values().sum::<u32>());
                for (hash, pods) in ready {
                    *parts.entry((hash.clone(), true)).or_default() += weight * (f64::from(*pods) / all);
                }
                if ready.is_empty() {
                    let first = versions.first().map(|v| v.hash.clone());
                    let hash = meant.clone().or(first).unwrap_or_default();
                    *parts.entry((hash, false)).or_default() += weight;
                }
            }
            let parts = parts.into_iter();
            parts.map(|((hash, served), fraction)| Share { hash, fraction, served }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(hash: &str, ready: u32) -> Version {
        Version { hash: hash.into(), tag: hash.into(), ready, behaviour: Behaviour::default() }
    }

    fn split(route: &Route, versions: &[Version]) -> Vec<(String, f64, bool)> {
        shares(route, versions).into_iter().map(|s| (s.hash, s.fraction, s.served)).collect()
    }

    fn weights(canary: f64) -> Route {
        Route::Split(vec![("old".into(), 1.0 - canary), ("new".into(), canary)])
    }

    #[test]
    fn without_a_router_each_ready_pod_gets_its_part() {
        let versions = [version("old", 5), version("new", 1), version("gone", 0)];
        let expected = vec![("old".into(), 5.0 / 6.0, true), ("new".into(), 1.0 / 6.0, true)];
        assert_eq!(split(&Route::Pods, &versions), expected);
        assert_eq!(split(&Route::Pods, &[version("old", 0)]), vec![]);
    }

    #[test]
    fn a_router_goes_by_weight_whatever_the_pods() {
        let versions = [version("old", 8), version("new", 1)];
        assert_eq!(
            split(&weights(0.05), &versions),
            vec![("new".into(), 0.05, true), ("old".into(), 0.95, true)]
        );
        assert_eq!(split(&weights(0.0), &versions), vec![("old".into(), 1.0, true)]);
    }

    #[test]
    fn an_ingress_sends_its_part_past_the_service() {
        let all = [version("new", 1), version("old", 3), version("own", 1)];
        let route = Route::Weighed("new".into(), 0.2);
        let parts = split(&route, &all);
        let of = |hash: &str| parts.iter().find(|p| p.0 == hash).map_or(0.0, |p| p.1);
        assert!((of("new") - 0.2).abs() < 1e-9 && (of("old") - 0.6).abs() < 1e-9, "{parts:?}");
        assert_eq!(split(&route, &[version("new", 0), version("old", 3)]), vec![("old".into(), 1.0, true)]);
        let nobody = split(&route, &[version("new", 1), version("old", 0)]);
        assert_eq!(nobody, vec![("old".into(), 0.8, false), ("new".into(), 0.2, true)]);
    }

    #[test]
    fn a_canary_without_pods_gets_nothing() {
        assert_eq!(
            split(&weights(0.25), &[version("old", 8), version("new", 0)]),
            vec![("old".into(), 1.0, true)]
        );
    }

    #[test]
    fn a_stable_side_without_pods_fails_its_part() {
        let expected = vec![("new".into(), 0.25, true), ("old".into(), 0.75, false)];
        assert_eq!(split(&weights(0.25), &[version("old", 0), version("new", 1)]), expected);
    }

    #[test]
    fn both_services_on_one_revision_are_one_share() {
        let route = Route::Split(vec![("new".into(), 0.0), ("new".into(), 1.0)]);
        assert_eq!(split(&route, &[version("new", 8)]), vec![("new".into(), 1.0, true)]);
    }
}
