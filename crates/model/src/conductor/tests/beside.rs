//! Whole releases by a canary Deployment beside a user's own, against a model of both controllers and of each request on its
//! way: an effect here is one request after the other, and a process can die or sleep between any two of them.

use super::super::next::tried;
use super::super::sample::{
    CANARY, GOOD, NEW_IMAGE, OLD_IMAGE, at, deployment, front, images, plan, queued, revision, step, verdict,
};
use super::super::{
    Decision, Effect, Input, Record, apply, begin, hold, leave, next, open_gate, resume, to_be_voided, waive,
};
use super::chaos::{Fate, Op, Outside, Press, cases, gates, meddling, op};
use super::sim::{THIRD, THIRD_IMAGE};
use crate::ids::AttemptId;
use crate::plan::beside::pods;
use crate::plan::{BlueGreen, Gate, Plan, Strategy as PlanStrategy};
use crate::release::{Course, Release, State};
use crate::span::Span;
use crate::verdict::Class;
use crate::workload::{Front, Phase, Twin, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;

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
}

/// One request with its preconditions, as it was built.
#[derive(Clone, Debug)]
enum Request {
    /// The marks of a deploy, or of another number of pods, on the user's own.
    Mark {
        after: Option<String>,
        template: Option<&'static str>,
    },
    Create,
    Scale {
        uid: u32,
        mark: String,
        from: i32,
        to: i32,
    },
    /// Not marked: what takes ours away must not fail.
    Nothing {
        uid: u32,
    },
    Delete {
        uid: u32,
    },
    TakeOver {
        after: Option<String>,
        revision: i64,
    },
    Revert {
        after: Option<String>,
        revision: i64,
    },
    Pause {
        after: Option<String>,
        paused: bool,
    },
    /// Holds for the Service as it was when that was decided.
    Switch {
        mark: Option<String>,
    },
    /// Without a condition.
    HandBack,
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
        }
    }

    /// What the driver sends for an effect. `seen` is the watch cache as it is when they are built.
    fn requests(effect: &Effect, after: Option<String>, seen: &Sim) -> Vec<Request> {
        let revision = seen.revision;
        match effect {
            Effect::Deploy => vec![Request::Mark { after, template: Some(OLD_IMAGE) }, Request::Create],
            Effect::Scale { from, to } => {
                let Some(twin) = &seen.twin else { return Vec::new() };
                let (uid, mark) = (twin.uid, twin.attempt.clone());
                let scale = Request::Scale { uid, mark, from: *from, to: *to };
                vec![Request::Mark { after, template: None }, scale]
            }
            Effect::TakeOver => vec![Request::TakeOver { after, revision }],
            Effect::Retire => match &seen.twin {
                Some(twin) => vec![Request::Nothing { uid: twin.uid }, Request::Delete { uid: twin.uid }],
                None => Vec::new(),
            },
            Effect::Revert => vec![Request::Revert { after, revision }],
            Effect::Pause => vec![Request::Pause { after, paused: true }],
            Effect::Resume => vec![Request::Pause { after, paused: false }],
            Effect::Switch => vec![Request::Switch { mark: seen.front.clone() }],
            Effect::HandBack => vec![Request::HandBack],
            other => panic!("{other:?} is not for a Deployment"),
        }
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
        let others: Vec<_> = others.map(|(hash, pods)| revision(hash, image(hash), 40, *pods)).collect();
        let stable = others.iter().max_by_key(|r| r.available).map(|r| r.hash.clone());
        w.revisions.extend(others);
        w.current_hash = Some(self.current.to_owned());
        w.stable_hash = stable.or_else(|| w.current_hash.clone());
        if self.apart {
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
                apart: self.apart,
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
    }
}

/// What happens beside the common: to two objects, and to effects of two requests.
#[derive(Clone, Debug)]
pub(super) enum Odd {
    Common(Op),
    /// The next effect's first request arrives; the others so many turns later, or never.
    Torn(Option<u8>),
    /// The owner, or an autoscaler, wants another number of pods.
    Resized(i32),
    /// Somebody deletes the canary Deployment, or scales it past Tidegate.
    Deleted,
    Rescaled(i32),
}

pub(super) struct Drive {
    plan: Plan,
    pub(super) release: Release,
    sim: Sim,
    cache: Workload,
    /// The cluster as it was when the watch caught up last.
    shown: Sim,
    now: DateTime<Utc>,
    approved: bool,
    fate: Fate,
    torn: Option<Option<u8>>,
    late: Vec<(u8, Vec<Request>, String)>,
    meddled: bool,
    resized: bool,
}

impl Drive {
    pub(super) fn new(plan: Plan) -> Self {
        let apart = matches!(plan.spec.strategy, PlanStrategy::BlueGreen(_));
        let sim = Sim { apart, ..Sim::new() };
        let mut release = queued(&plan);
        release.workload = deployment().key;
        Self {
            release,
            cache: sim.observe(),
            shown: sim.clone(),
            sim,
            plan,
            now: at(1),
            approved: true,
            fate: Fate::Fine,
            torn: None,
            late: Vec::new(),
            meddled: false,
            resized: false,
        }
    }

    /// Invariants 3 and 5, at the moment of acting.
    fn permitted(&self, effect: &Effect) {
        let r = &self.release;
        if effect.raises() {
            assert_eq!(r.course, Course::Forward, "{effect:?} after the course was left");
            assert!(r.hold.is_none(), "{effect:?} while held");
            assert!(self.approved || *effect == Effect::Resume, "{effect:?} without approval");
            assert!(r.verdict.as_ref().is_none_or(|v| v.class != Class::Fail), "{effect:?} after a fail");
        }
        if let Effect::Scale { to, .. } = effect {
            let step = self.plan.steps().get(r.passed.len()).unwrap();
            let most =
                if self.sim.apart { self.cache.replicas } else { pods(step.weight, self.cache.replicas) };
            assert!(*to <= most, "{to} pods for {} %", step.weight);
        }
        assert!(*effect != Effect::Switch || !r.passed.is_empty(), "switched before the preview had passed");
        let last = self.plan.steps().len() - usize::from(!self.sim.apart);
        assert!(*effect != Effect::TakeOver || r.passed.len() >= last, "taken over before it was proven");
        assert!(r.attempt.is_none(), "two attempts at once");
    }

    fn act(&mut self, effect: Effect) {
        self.permitted(&effect);
        let id = AttemptId::of(self.release.id, self.release.attempts + 1);
        let failed = tried(&self.release, &effect).is_some_and(|t| t.effect == effect && !t.happened);
        let mark = if failed { self.sim.attempt.clone() } else { self.cache.attempt.clone() };
        let requests = Sim::requests(&effect, mark, &self.shown);
        begin(&mut self.release, id.clone(), effect, self.now);
        let fate = std::mem::replace(&mut self.fate, Fate::Fine);
        if let Some(turns) = self.torn.take().filter(|_| requests.len() > 1) {
            if self.send(&requests[..1], &id.0)
                && let Some(turns) = turns
            {
                self.late.push((turns, requests[1..].to_vec(), id.0));
            }
            return;
        }
        match fate {
            Fate::Fine => {
                let happened = self.send(&requests, &id.0);
                self.settle(happened);
            }
            Fate::Refused => self.settle(false),
            Fate::Orphaned => {
                self.send(&requests, &id.0);
            }
            Fate::Lost => {}
            Fate::Late(turns) => self.late.push((turns, requests, id.0)),
        }
    }

    fn send(&mut self, requests: &[Request], id: &str) -> bool {
        requests.iter().all(|request| self.sim.take(request, id))
    }

    fn settle(&mut self, happened: bool) {
        self.record(&Record::Settle { happened, words: "as the API server answered".into() });
    }

    fn record(&mut self, record: &Record) {
        if let Record::StepPassed { step, .. } = record {
            let s = &self.plan.steps()[*step];
            let waived = self.release.waived.contains_key(step);
            assert!(waived || self.release.baked_at(self.now) >= s.bake, "left before its bake ended");
            let asks = s.gates.iter().any(|g| matches!(g, Gate::Approval(_)));
            assert!(!asks || self.release.opened.contains_key(step), "left before its gate was opened");
            assert!(self.approved && self.release.hold.is_none());
            assert_eq!(self.release.course, Course::Forward);
        }
        if let Record::End { state, .. } = record {
            self.truly(*state);
        }
        apply(&mut self.release, record, self.now);
    }

    /// An end is told only when it is so in the cluster itself; where people meddle, when it was so as it was seen.
    fn truly(&self, state: State) {
        let s = if self.meddled || self.resized { &self.shown } else { &self.sim };
        match state {
            State::RolledBack => assert!(s.is_back(), "rolled back only on paper: {s:?}"),
            State::Cancelled if super::super::next::deployed(&self.release) => {
                assert!(s.is_back(), "cancelled only on paper: {s:?}");
            }
            State::Succeeded => {
                let ours = s.twin.is_some() || s.switched;
                let all = s.image == NEW_IMAGE && s.of(OWN_NEW) == s.replicas && !ours;
                assert!(all, "succeeded only on paper: {s:?}");
                assert_eq!(self.release.passed.len(), self.plan.steps().len());
            }
            _ => {}
        }
    }

    fn look(&mut self) {
        let input = Input {
            plan: &self.plan,
            release: &self.release,
            seen: Some(&self.cache),
            approved: self.approved,
            now: self.now,
        };
        match next(&input) {
            Decision::Wait { .. } => {}
            Decision::Act(effect) => self.act(effect),
            Decision::Record(record) => {
                let record = self.voided(record);
                self.record(&record);
            }
        }
    }

    /// Before an attempt counts as not done its mark is taken: from then on it cannot land.
    fn voided(&mut self, record: Record) -> Record {
        let Some(id) = to_be_voided(&self.release, &record) else { return record };
        if self.release.attempt.as_ref().is_some_and(|a| a.effect == Effect::Switch) {
            if self.sim.front.as_deref() == Some(id.0.as_str()) {
                return Record::Settle { happened: true, words: "seen past the watch".into() };
            }
            self.sim.front = Some(format!("void-{id}"));
            return record;
        }
        if self.sim.attempt.as_deref() == Some(id.0.as_str()) {
            return Record::Settle { happened: true, words: "seen past the watch".into() };
        }
        self.sim.generation += 1;
        self.sim.attempt = Some(format!("void-{id}"));
        record
    }

    fn tick(&mut self) {
        self.sim.tick();
        for call in &mut self.late {
            call.0 -= 1;
        }
        let (landed, late): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|call| call.0 == 0);
        self.late = late;
        for (_, requests, id) in landed {
            self.send(&requests, &id);
        }
        self.check();
    }

    /// Invariants 1 and 5, at every moment of the cluster.
    fn check(&self) {
        if self.meddled {
            return;
        }
        assert!(self.sim.takeovers <= 1, "the change was written twice");
        if self.sim.apart {
            let there = self.sim.twin.as_ref().map_or(0, |t| t.ready);
            let met = if self.sim.switched { there } else { self.sim.pods.values().sum() };
            let none_wanted = self.sim.replicas == 0 && !self.sim.switched;
            assert!(met > 0 || none_wanted, "users at nothing: {:?}", self.sim);
            let allowed = self.release.step == Some(BlueGreen::AFTER);
            assert!(
                !self.sim.switched || allowed,
                "users where the plan does not allow it: {:?}",
                self.release
            );
            return;
        }
        let Some(twin) = self.sim.twin.as_ref().filter(|_| !self.resized && self.sim.takeovers == 0) else {
            return;
        };
        // Of the step that is on, or of the last that was.
        let allowed = self.release.step.and_then(|i| self.plan.steps().get(i)).map_or(0, |s| s.weight);
        let most = pods(allowed, self.sim.replicas);
        assert!(twin.ready <= most, "{} pods above the {most} allowed for {allowed} %", twin.ready);
    }

    fn odd(&mut self, odd: &Odd) {
        match odd {
            Odd::Common(op) => self.op(op),
            Odd::Torn(turns) => self.torn = Some(*turns),
            Odd::Resized(replicas) => {
                self.resized = true;
                self.sim.replicas = *replicas;
                self.sim.generation += 1;
            }
            Odd::Deleted => {
                self.meddled = true;
                self.sim.twin = None;
            }
            Odd::Rescaled(to) => {
                self.meddled = true;
                if let Some(twin) = &mut self.sim.twin {
                    twin.desired = *to;
                }
            }
        }
    }

    fn op(&mut self, op: &Op) {
        self.now += TimeDelta::milliseconds(700);
        let step = self.release.step.unwrap_or(0);
        match op {
            Op::Turn => {
                self.tick();
                self.cache = self.sim.observe();
                self.shown = self.sim.clone();
                self.look();
            }
            Op::Blind => self.look(),
            Op::Tick => self.tick(),
            Op::Wait(seconds) => self.now += TimeDelta::seconds(*seconds),
            Op::Press(Press::Hold) => hold(&mut self.release, "Ada", None, self.now),
            Op::Press(Press::Resume) => resume(&mut self.release, self.now),
            Op::Press(Press::Waive) => waive(&mut self.release, step, "Mara"),
            Op::Press(Press::Open) => open_gate(&mut self.release, step, "Ada"),
            Op::Press(Press::Abort) => leave(&mut self.release, Course::Abort, None, self.now),
            Op::Press(Press::RollBack) => leave(&mut self.release, Course::RollBack, None, self.now),
            Op::Approve(yes) => self.approved = *yes,
            Op::Judge(class) if self.release.step_since.is_some() => {
                self.release.verdict = Some(verdict(*class, step, self.now));
            }
            Op::Judge(_) => {}
            Op::Fate(fate) => self.fate = *fate,
            Op::Outside(outside) => self.outside(*outside),
        }
    }

    fn outside(&mut self, outside: Outside) {
        self.meddled = true;
        let s = &mut self.sim;
        match outside {
            Outside::Abort => {}
            Outside::Pause => s.set(s.image, true),
            Outside::Unpause => s.set(s.image, false),
            Outside::Undo => s.set(OLD_IMAGE, s.paused),
            Outside::ThirdImage => s.set(THIRD_IMAGE, s.paused),
            Outside::BadPods => s.bad_pods = true,
        }
    }

    /// Fair weather: everybody does their part, nothing fails any more. It must end.
    fn settle_down(&mut self) {
        (self.fate, self.torn, self.approved) = (Fate::Fine, None, true);
        for turn in 0..400 {
            if self.release.state.ended() {
                return;
            }
            if self.release.course == Course::Forward {
                resume(&mut self.release, self.now);
                let step = self.release.step.unwrap_or(0);
                open_gate(&mut self.release, step, "Ada");
                let failed = self.release.verdict.as_ref().is_some_and(|v| v.class == Class::Fail);
                if self.release.step_since.is_some() && !failed {
                    self.release.verdict = Some(verdict(Class::Pass, step, self.now));
                }
                // What Tidegate will not decide by itself, a person does; a pause of the owner's stays.
                let stuck = matches!(self.release.state, State::Paused | State::Queued) || self.sim.bad_pods;
                if turn > 100 && stuck {
                    leave(&mut self.release, Course::RollBack, Some("Gave up."), self.now);
                }
            }
            self.now += TimeDelta::seconds(if turn == 50 { 1_000_000 } else { 3 });
            self.op(&Op::Turn);
        }
        panic!("never ended: {:?} {:?}\n{:?}", self.release.state, self.release.note, self.sim);
    }
}

/// Steps that pods beside eight replicas can make.
fn any_beside() -> impl Strategy<Value = Plan> {
    let step_of = (prop_oneof![Just(12u8), Just(20), Just(34), Just(50)], 0u64..30, gates());
    (proptest::collection::vec(step_of, 1..4), 0u64..10, gates()).prop_map(|(mut steps, bake, last)| {
        steps.sort_by_key(|s| s.0);
        steps.dedup_by_key(|s| s.0);
        let mut steps: Vec<_> = steps.into_iter().map(|(w, b, g)| step(w, b, &g)).collect();
        steps.push(step(100, bake, &last));
        plan(steps)
    })
}

fn torn() -> impl Strategy<Value = Odd> {
    proptest::option::of(1u8..100).prop_map(Odd::Torn)
}

pub(super) fn odd() -> impl Strategy<Value = Odd> {
    prop_oneof![
        20 => op().prop_map(Odd::Common),
        2 => torn(),
        1 => (1i32..12).prop_map(Odd::Resized),
    ]
}

pub(super) fn odd_meddling() -> impl Strategy<Value = Odd> {
    prop_oneof![
        20 => meddling().prop_map(Odd::Common),
        2 => torn(),
        1 => (0i32..12).prop_map(Odd::Resized),
        1 => Just(Odd::Deleted),
        1 => (0i32..12).prop_map(Odd::Rescaled),
    ]
}

pub(super) fn run(plan: Plan, ops: &[Odd]) -> Drive {
    let mut drive = Drive::new(plan);
    for odd in ops {
        drive.odd(odd);
    }
    drive.settle_down();
    // What is still on its way arrives, and does no harm any more.
    for _ in 0..=u8::MAX {
        drive.tick();
    }
    if !drive.meddled {
        let s = &drive.sim;
        // One that was made late stands empty until the next release, or a press, takes it away.
        assert!(s.twin.as_ref().is_none_or(|t| t.desired == 0), "came in again after the end: {s:?}");
        assert!(!s.switched, "switched after the end: {s:?}");
        match drive.release.state {
            State::Succeeded => assert_eq!((s.image, s.of(OWN_NEW)), (NEW_IMAGE, s.replicas)),
            _ => assert_eq!((s.image, s.of(OWN_NEW)), (OLD_IMAGE, 0), "{:?}", drive.release),
        }
    }
    drive
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn every_release_beside_a_deployment_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_beside(), ops in proptest::collection::vec(odd(), 0..90),
    ) {
        run(plan, &ops);
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_release_beside_a_deployment_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_beside(), ops in proptest::collection::vec(odd_meddling(), 0..90),
    ) {
        run(plan, &ops);
    }
}

#[test]
fn in_fair_weather_it_is_scaled_step_by_step_and_taken_over() {
    let drive = run(plan(vec![step(20, 1, &[]), step(50, 1, &[Gate::Analysis]), step(100, 1, &[])]), &[]);
    assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
    assert_eq!((drive.sim.made, drive.sim.scaled.as_slice(), drive.sim.takeovers), (1, [2, 8].as_slice(), 1));
}

/// Invariants 1 and 4: the process dies around, or between, the requests of each effect in turn, forward and turned back.
#[test]
fn a_crash_at_any_request_beside_a_deployment_repeats_nothing() {
    crashes(&plan(vec![step(20, 1, &[]), step(50, 1, &[]), step(100, 1, &[])]), 6);
}

/// Around each of so many effects.
pub(super) fn crashes(plan: &Plan, effects: u32) {
    let ways = [
        Odd::Common(Op::Fate(Fate::Orphaned)),
        Odd::Common(Op::Fate(Fate::Lost)),
        Odd::Common(Op::Fate(Fate::Refused)),
        Odd::Common(Op::Fate(Fate::Late(3))),
        Odd::Common(Op::Fate(Fate::Late(40))),
        Odd::Torn(None),
        Odd::Torn(Some(3)),
        Odd::Torn(Some(40)),
    ];
    for way in &ways {
        for nth in 0..effects {
            for back in (0..60).step_by(3).map(Some).chain([None]) {
                let mut drive = Drive::new(plan.clone());
                for turn in 0..200 {
                    if back == Some(turn) {
                        leave(&mut drive.release, Course::RollBack, Some("Errors."), drive.now);
                    }
                    if drive.release.attempts == nth && drive.release.attempt.is_none() {
                        drive.odd(way);
                    }
                    drive.now += TimeDelta::seconds(2);
                    drive.op(&Op::Turn);
                }
                let r = &drive.release;
                let ends = match r.turned_back {
                    Some(_) => matches!(r.state, State::RolledBack | State::Cancelled),
                    None => r.state == State::Succeeded,
                };
                assert!(ends, "{way:?} {nth} {back:?}: {r:?}\n{:?}", drive.sim);
                assert!(drive.sim.takeovers <= 1);
            }
        }
    }
}
