//! Whole releases by a canary Deployment beside a user's own, against a model of both controllers and of each request on its
//! way: an effect here is one request after the other, and a process can die or sleep between any two of them.

use super::super::next::tried;
use super::super::sample::{
    CANARY, GOOD, NEW_IMAGE, OLD_IMAGE, at, deployment, front, images, mirror, plan, queued, revision,
    splitter, step,
};
use super::super::{Decision, Effect, Input, Record, apply, begin, leave, next, to_be_voided};
use super::chaos::{Fate, Op, Outside, agree, cases, gates, judge, meddling, op};
use super::sim::{THIRD, THIRD_IMAGE};
use crate::ids::AttemptId;
use crate::plan::beside::{pods, pods_behind};
use crate::plan::{BlueGreen, Gate, Plan, Strategy as PlanStrategy};
use crate::release::{Course, Release, State};
use crate::span::Span;
use crate::verdict::Class;
use crate::workload::{Front, Phase, Split, Splitter, Twin, Weights, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;

mod odd;
mod requests;
mod runs;

use requests::Request;

pub(super) use odd::{Odd, odd, odd_meddling};
pub(super) use runs::{crashes, crashes_of, run, run_of};

const REPLICAS: i32 = 8;
/// Pods replaced in one pass of the controller.
const SURGE: i32 = 2;
/// Passes without progress until the controller says that the deadline has passed.
const DEADLINE: u8 = 6;
/// The new version's pods in the user's own Deployment: another hash, for they have other labels.
const OWN_NEW: &str = "own-hash";

/// The canary Deployment.
#[derive(Clone, Debug)]
struct Beside {
    uid: u32,
    attempt: String,
    image: &'static str,
    desired: i32,
    ready: i32,
    /// Its controller has made its ReplicaSet.
    named: bool,
}

/// How users come, and can be split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum By {
    Pods,
    Ingress,
    HttpRoute,
}

/// The canary Ingress, which garbage collection deletes with the canary Deployment; or the user's own HTTPRoute, which
/// stays, and what of ours is in it.
#[derive(Clone, Debug, Default)]
struct Route {
    /// Of the canary Deployment that the Service behind it belongs to.
    owner: u32,
    /// `None`: no backendRef of ours.
    weight: Option<u8>,
    mark: Option<String>,
}

/// Both Deployments as the API server holds them, with their controllers' view.
#[derive(Clone, Debug)]
struct Sim {
    image: &'static str,
    paused: bool,
    replicas: i32,
    generation: i64,
    attempt: Option<String>,
    observed: i64,
    current: &'static str,
    revision: i64,
    /// Ready pods of the user's own by version.
    pods: BTreeMap<&'static str, i32>,
    stuck: u8,
    bad_pods: bool,
    twin: Option<Beside>,
    /// Canary Deployments made so far.
    made: u32,
    scaled: Vec<i32>,
    takeovers: u32,
    /// The Service tells the second Deployment's pods from the user's own: a blue-green release.
    apart: bool,
    /// The Service sends users to the second Deployment.
    switched: bool,
    /// The Service's mark.
    front: Option<String>,
    by: By,
    route: Option<Route>,
    /// The route's weight is that of a filter: copies of requests, and no user.
    copying: bool,
}

impl Sim {
    fn new() -> Self {
        Self {
            image: OLD_IMAGE,
            paused: false,
            replicas: REPLICAS,
            generation: 5,
            attempt: None,
            observed: 5,
            current: GOOD,
            revision: 41,
            pods: BTreeMap::from([(GOOD, REPLICAS)]),
            stuck: 0,
            bad_pods: false,
            twin: None,
            made: 0,
            scaled: Vec::new(),
            takeovers: 0,
            apart: false,
            switched: false,
            front: None,
            by: By::Pods,
            route: None,
            copying: false,
        }
    }

    /// Nobody goes by a weight, and the user's own HTTPRoute is as it was.
    fn unsent(&self) -> bool {
        self.route.as_ref().is_none_or(|route| route.weight.unwrap_or(0) == 0) && !self.marked()
    }

    /// After the end: no canary Ingress; no backendRef, and no mark but beside a canary Deployment that was made late, too.
    fn left_alone(&self) -> bool {
        match (self.by, &self.route) {
            (By::HttpRoute, Some(route)) => {
                route.weight.is_none() && (route.mark.is_none() || self.twin.is_some())
            }
            (_, route) => route.is_none(),
        }
    }

    /// Percent of requests that are copied.
    fn copied(&self) -> u8 {
        self.route.as_ref().filter(|_| self.copying).and_then(|route| route.weight).unwrap_or(0)
    }

    /// What is ours in the HTTPRoute.
    fn marked(&self) -> bool {
        self.by == By::HttpRoute
            && self.route.as_ref().is_some_and(|r| r.mark.is_some() || r.weight.is_some())
    }

    /// `false`: refused, and what would follow is not sent.
    fn take(&mut self, request: &Request, id: &str) -> bool {
        match request {
            Request::Mark { after, template } => {
                if self.attempt != *after || template.is_some_and(|t| t != self.image || self.paused) {
                    return false;
                }
                self.generation += 1;
            }
            Request::Create => {
                if let Some(twin) = &self.twin {
                    return twin.attempt == id;
                }
                self.made += 1;
                let (uid, attempt) = (self.made, id.to_owned());
                self.twin =
                    Some(Beside { uid, attempt, image: NEW_IMAGE, desired: 0, ready: 0, named: false });
                return true;
            }
            Request::Scale { uid, mark, from, to } => {
                let Some(twin) = self.twin.as_mut().filter(|t| t.uid == *uid) else { return false };
                if twin.attempt != *mark || twin.desired != *from {
                    return false;
                }
                (twin.desired, twin.attempt) = (*to, id.to_owned());
                self.scaled.push(*to);
                return true;
            }
            Request::Nothing { uid } => {
                if let Some(twin) = self.twin.as_mut().filter(|t| t.uid == *uid) {
                    twin.desired = 0;
                }
                return true;
            }
            Request::Delete { uid } => {
                self.twin = self.twin.take().filter(|t| t.uid != *uid);
                return true;
            }
            Request::Switch { mark } => {
                if self.front != *mark || self.switched {
                    return false;
                }
                (self.switched, self.front) = (true, Some(id.to_owned()));
                return true;
            }
            Request::HandBack => {
                (self.switched, self.front) = (false, Some(id.to_owned()));
                return true;
            }
            Request::Route { owner } => {
                let (owner, weight, mark) = (*owner, Some(0), Some(id.to_owned()));
                let made = self.route.get_or_insert(Route { owner, weight, mark });
                return made.owner == owner;
            }
            Request::MarkRoute { mark } => {
                let route = self.route.get_or_insert_default();
                if route.mark != *mark {
                    return false;
                }
                route.mark = Some(id.to_owned());
                return true;
            }
            Request::Insert { owner, mark } => {
                let as_seen =
                    |route: &&mut Route| mark.is_some() && route.mark == *mark && route.weight.is_none();
                let Some(route) = self.route.as_mut().filter(as_seen) else { return false };
                *route = Route { owner: *owner, weight: Some(0), mark: Some(id.to_owned()) };
                return true;
            }
            Request::Weigh { mark, from, to } => {
                let as_decided = |route: &&mut Route| route.mark == *mark && route.weight == Some(*from);
                let Some(route) = self.route.as_mut().filter(as_decided) else { return false };
                (route.weight, route.mark) = (Some(*to), Some(id.to_owned()));
                return true;
            }
            Request::Copy { owner, mark, from, to } => {
                let as_decided = |route: &&mut Route| {
                    mark.is_some() && route.mark == *mark && route.weight.unwrap_or(0) == *from
                };
                let Some(route) = self.route.as_mut().filter(as_decided) else { return false };
                *route = Route { owner: *owner, weight: Some(*to), mark: Some(id.to_owned()) };
                return true;
            }
            Request::Unweigh => {
                if let Some(route) = &mut self.route {
                    (route.weight, route.mark) = (Some(0), Some(id.to_owned()));
                }
                return true;
            }
            Request::TakeOut { mark } => {
                let route = self.route.get_or_insert_default();
                if route.mark != *mark {
                    return false;
                }
                (route.weight, route.mark) = (None, Some(id.to_owned()));
                return true;
            }
            Request::Clean { mark } => {
                let route = self.route.get_or_insert_default();
                if route.mark != *mark {
                    return false;
                }
                *route = Route::default();
                return true;
            }
            Request::TakeOver { after, revision } => {
                let changed = self.image != OLD_IMAGE || self.revision != *revision || self.paused;
                if self.attempt != *after || changed {
                    return false;
                }
                self.takeovers += 1;
                self.set(NEW_IMAGE, false);
            }
            Request::Revert { after, revision } => {
                if self.attempt != *after || self.revision != *revision {
                    return false;
                }
                self.set(OLD_IMAGE, false);
            }
            Request::Pause { after, paused } => {
                if self.attempt != *after {
                    return false;
                }
                self.set(self.image, *paused);
            }
        }
        self.attempt = Some(id.to_owned());
        true
    }

    fn set(&mut self, image: &'static str, paused: bool) {
        self.generation += 1;
        (self.image, self.paused) = (image, paused);
    }

    fn of(&self, hash: &str) -> i32 {
        self.pods.get(hash).copied().unwrap_or(0)
    }

    /// One pass of each controller.
    fn tick(&mut self) {
        let owner = self.twin.as_ref().map(|twin| twin.uid);
        if self.by == By::Ingress {
            self.route = self.route.take().filter(|route| Some(route.owner) == owner);
        }
        if let Some(twin) = &mut self.twin {
            twin.named = true;
            let up = if self.bad_pods { twin.ready } else { twin.ready + SURGE };
            twin.ready = up.min(twin.desired);
        }
        self.observed = self.generation;
        if self.paused {
            // It is scaled all the same, by what it has.
            for pods in self.pods.values_mut() {
                *pods = (*pods).min(self.replicas);
            }
            return;
        }
        let wanted = match self.image {
            OLD_IMAGE => GOOD,
            NEW_IMAGE => OWN_NEW,
            _ => THIRD,
        };
        if wanted != self.current {
            (self.current, self.stuck) = (wanted, 0);
            self.revision += 1;
            return;
        }
        let surplus = self.of(wanted) - self.replicas;
        if surplus > 0 {
            *self.pods.entry(wanted).or_default() -= surplus;
        }
        if self.of(wanted) == self.replicas && self.pods.values().sum::<i32>() == self.replicas {
            self.stuck = 0;
            return;
        }
        if self.bad_pods && wanted == OWN_NEW {
            self.stuck = self.stuck.saturating_add(1);
            return;
        }
        let more = SURGE.min(self.replicas - self.of(wanted));
        *self.pods.entry(wanted).or_default() += more;
        let mut surplus = self.pods.values().sum::<i32>() - self.replicas;
        for (_, pods) in self.pods.iter_mut().filter(|(hash, _)| **hash != wanted) {
            let gone = surplus.clamp(0, *pods);
            *pods -= gone;
            surplus -= gone;
        }
    }

    fn observe(&self) -> Workload {
        let image = |hash: &str| match hash {
            GOOD => OLD_IMAGE,
            OWN_NEW => NEW_IMAGE,
            _ => THIRD_IMAGE,
        };
        let mut w = deployment();
        w.pauses.clear();
        w.generation = self.generation;
        w.observed_generation = Some(self.observed);
        w.images = images(self.image);
        w.spec_paused = self.paused;
        w.attempt.clone_from(&self.attempt);
        w.replicas = self.replicas;
        let all = self.pods.values().sum::<i32>();
        let on_current = self.of(self.current);
        // Paused, it has no pods yet of a template that it has not numbered.
        let numbered = self.image == image(self.current);
        (w.ready, w.available, w.updated) = (all, all, if numbered { on_current } else { 0 });
        w.phase = match () {
            () if self.observed < self.generation => Phase::Unknown,
            () if self.stuck >= DEADLINE => Phase::Degraded,
            () if self.paused => Phase::Paused,
            () if on_current >= self.replicas && all == on_current => Phase::Healthy,
            () => Phase::Progressing,
        };
        w.revisions = vec![revision(self.current, image(self.current), self.revision, on_current)];
        let others = self.pods.iter().filter(|(hash, pods)| **hash != self.current && **pods > 0);
        w.revisions.extend(others.map(|(hash, pods)| revision(hash, image(hash), 40, *pods)));
        // As the watch reads it: what a paused one wants may have no ReplicaSet yet.
        let same = || self.pods.keys().copied().find(|hash| image(hash) == self.image);
        w.current_hash = if self.paused { same() } else { Some(self.current) }.map(str::to_owned);
        let others = w.revisions.iter().filter(|r| Some(&r.hash) != w.current_hash.as_ref() && r.ready > 0);
        let stable = others.max_by_key(|r| r.available).map(|r| r.hash.clone());
        w.stable_hash = stable.or_else(|| w.current_hash.clone());
        let split = match self.by {
            By::Pods => None,
            By::Ingress => Some(Split::Ingress("shop".into())),
            By::HttpRoute => Some(Split::HttpRoute("shop".into())),
        };
        if let Some(by) = &split {
            let mut route = self.route.clone().unwrap_or_default();
            if self.copying {
                w.mirror = Some(Box::new(mirror(route.weight.take().unwrap_or(0))));
            }
            let severed = route.weight.is_some() && self.twin.as_ref().is_none_or(|t| t.uid != route.owner);
            w.weights = route.weight.map(|weight| Weights { canary: weight, stable: 100 - weight });
            w.splitter = Some(Box::new(Splitter {
                weight: route.weight,
                attempt: route.mark,
                severed,
                ..splitter(by.clone())
            }));
        }
        if self.apart || split.is_some() {
            w.fronts = vec![Front { attempt: self.front.clone(), ..front(self.switched) }];
        }
        if let Some(twin) = &self.twin {
            if twin.named {
                w.revisions.push(revision(CANARY, twin.image, 1, twin.ready));
            }
            w.twin = Some(Box::new(Twin {
                name: "checkout-tidegate".into(),
                desired: twin.desired,
                ready: twin.ready,
                deadline: Span(60),
                phase: if twin.named && twin.ready >= twin.desired {
                    Phase::Healthy
                } else {
                    Phase::Progressing
                },
                message: None,
                hash: twin.named.then(|| CANARY.to_owned()),
                images: images(twin.image),
                attempt: Some(twin.attempt.clone()),
                apart: self.apart || split.is_some(),
                split,
                mirrored: self.copying,
                address: None,
            }));
        }
        w
    }

    /// Nobody is on the new version, and nothing of the release is left.
    fn is_back(&self) -> bool {
        // One that was made so late that no look has shown it is empty, and goes with the next release.
        self.image == OLD_IMAGE
            && self.of(GOOD) >= self.replicas
            && self.of(OWN_NEW) == 0
            && self.twin.as_ref().is_none_or(|t| t.desired == 0 && t.ready == 0 && self.scaled.is_empty())
            && !self.switched
            && self.unsent()
    }
}
