//! Requests to nothing: users who call while no pod is there to answer. Looked for whenever the cluster has changed,
//! since a gap between two ticks would go by unseen, and kept for as long as the simulator runs: a version's series
//! end with its pods.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use super::{share::shares, world::Service};

/// Two looks are at least so far apart; a gap that is seen counts for as long.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Namespace and service.
type Name = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// Nobody calls before somebody has been there.
    open: BTreeSet<Name>,
    unanswered: BTreeMap<Name, f64>,
    /// The last look found one: it lasts until a look finds none, whether anything changes or not.
    pub(super) any: bool,
}

impl Gaps {
    /// One look at what is, on behalf of the users of `LOOK`.
    pub(super) fn look(&mut self, services: &[Service]) {
        self.any = false;
        for service in services {
            let name = (service.namespace.clone(), service.name.clone());
            let lost = lost(service);
            if lost < 1.0 {
                self.open.insert(name.clone());
            }
            if lost > 0.0 && self.open.contains(&name) {
                self.any = true;
                *self.unanswered.entry(name).or_default() += service.rps * LOOK.as_secs_f64() * lost;
            }
        }
    }

    pub(super) fn render(&self) -> String {
        let mut out = String::from(
            "# HELP sandbox_requests_to_nothing_total Requests of simulated users that no pod was there for.\n\
             # TYPE sandbox_requests_to_nothing_total counter\n",
        );
        for name @ (namespace, service) in &self.open {
            let count = self.unanswered.get(name).copied().unwrap_or(0.0);
            // Writing into a String cannot fail.
            let _ = writeln!(
                out,
                "sandbox_requests_to_nothing_total{{namespace=\"{namespace}\",service=\"{service}\"}} {count}"
            );
        }
        out
    }
}

/// The part of a service's users whom nobody answers: 0 to 1.
fn lost(service: &Service) -> f64 {
    let parts = shares(&service.route, &service.versions);
    if parts.is_empty() {
        return 1.0;
    }
    parts.iter().filter(|p| !p.served).map(|p| p.fraction).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{
        behaviour::Behaviour,
        share::{Route, Version},
    };

    fn service(route: Route, ready: u32) -> Service {
        let version =
            Version { hash: "old".into(), tag: "1.0".into(), ready, behaviour: Behaviour::default() };
        Service {
            namespace: "shop".into(),
            name: "checkout".into(),
            rps: 50.0,
            versions: vec![version],
            route,
            copies: BTreeMap::new(),
            pods: vec![],
        }
    }

    fn counted(gaps: &Gaps) -> Option<String> {
        let text = gaps.render();
        let line = text.lines().find(|l| !l.starts_with('#'))?;
        line.rsplit_once(' ').map(|(_, count)| count.to_owned())
    }

    #[test]
    fn users_who_meet_nobody_are_counted_whoever_leads_them() {
        for route in [Route::Pods, Route::Service, Route::Split(vec![("old".into(), 1.0)])] {
            let mut gaps = Gaps::default();
            gaps.look(&[service(route.clone(), 0)]);
            assert_eq!(counted(&gaps), None, "nobody has been there yet");
            gaps.look(&[service(route.clone(), 2)]);
            assert_eq!((counted(&gaps).as_deref(), gaps.any), (Some("0"), false));
            gaps.look(&[service(route.clone(), 0)]);
            assert!(gaps.any, "it lasts");
            gaps.look(&[service(route.clone(), 0)]);
            gaps.look(&[service(route, 1)]);
            assert_eq!((counted(&gaps).as_deref(), gaps.any), (Some("10"), false));
        }
    }
}
