//! Whole releases of a Deployment against a modelled controller, under the same chaos as a Rollout's: presses, crashes, lost
//! and late calls, a lagging watch, clock jumps, and people who meddle in the cluster. Every one must end, and end truly.

use super::super::next::tried;
use super::super::sample::{
    CANARY, GOOD, NEW_IMAGE, OLD_IMAGE, at, healthy, images, plan, queued, revision, step,
};
use super::super::{Decision, Effect, Input, Record, apply, begin, hold, leave, next, resume, to_be_voided};
use super::chaos::{Fate, Op, Outside, agree, cases, gates, judge, meddling, op};
use super::sim::{THIRD, THIRD_IMAGE};
use crate::ids::AttemptId;
use crate::plan::{Gate, Plan, Rolling, Strategy as PlanStrategy};
use crate::release::{Course, Release, State};
use crate::span::Span;
use crate::verdict::Class;
use crate::workload::{Kind, Phase, Strategy as Way, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;

const REPLICAS: i32 = 8;
/// Pods replaced in one pass of the controller.
const SURGE: i32 = 2;
/// Passes without progress until the controller says that the deadline has passed.
const DEADLINE: u8 = 6;

/// The Deployment as the API server holds it, with its controller's view.
#[derive(Clone, Debug)]
struct Sim {
    image: &'static str,
    paused: bool,
    generation: i64,
    attempt: Option<String>,
    observed: i64,
    current: &'static str,
    revision: i64,
    /// Ready pods by version.
    pods: BTreeMap<&'static str, i32>,
    stuck: u8,
    bad_pods: bool,
    deploys: u32,
}

/// What a patch tests beside the template.
#[derive(Clone, Debug)]
struct Decided {
    mark: Option<String>,
    revision: i64,
}

impl Sim {
    fn new() -> Self {
        Self {
            image: OLD_IMAGE,
            paused: false,
            generation: 5,
            attempt: None,
            observed: 5,
            current: GOOD,
            revision: 41,
            pods: BTreeMap::from([(GOOD, REPLICAS)]),
            stuck: 0,
            bad_pods: false,
            deploys: 0,
        }
    }

    fn apply(&mut self, effect: &Effect, id: &str, on: &Decided) -> bool {
        let moved = self.attempt != on.mark;
        // While it is paused the controller numbers no new revision.
        let newer = self.revision != on.revision;
        match effect {
            Effect::Deploy if moved || newer || self.image != OLD_IMAGE || self.paused => return false,
            Effect::Deploy => {
                self.deploys += 1;
                self.set(NEW_IMAGE, false);
            }
            Effect::Pause | Effect::Resume if moved => return false,
            Effect::Pause => self.set(self.image, true),
            Effect::Resume => self.set(self.image, false),
            Effect::Revert if moved || newer => return false,
            Effect::Revert => self.set(OLD_IMAGE, false),
            other => panic!("{other:?} is not for a Deployment"),
        }
        self.attempt = Some(id.to_owned());
        true
    }

    fn set(&mut self, image: &'static str, paused: bool) {
        if (self.image, self.paused) != (image, paused) {
            self.generation += 1;
        }
        (self.image, self.paused) = (image, paused);
    }

    fn of(&self, hash: &str) -> i32 {
        self.pods.get(hash).copied().unwrap_or(0)
    }

    /// One pass of the controller. Paused, it replaces nothing, and does not even number the new revision.
    fn tick(&mut self) {
        self.observed = self.generation;
        if self.paused {
            return;
        }
        let wanted = match self.image {
            OLD_IMAGE => GOOD,
            NEW_IMAGE => CANARY,
            _ => THIRD,
        };
        if wanted != self.current {
            (self.current, self.stuck) = (wanted, 0);
            self.revision += 1;
            return;
        }
        if self.of(wanted) == REPLICAS {
            return;
        }
        if self.bad_pods && wanted == CANARY {
            self.stuck = self.stuck.saturating_add(1);
            return;
        }
        let more = SURGE.min(REPLICAS - self.of(wanted));
        *self.pods.entry(wanted).or_default() += more;
        let mut surplus = self.pods.values().sum::<i32>() - REPLICAS;
        for (_, pods) in self.pods.iter_mut().filter(|(hash, _)| **hash != wanted) {
            let gone = surplus.min(*pods);
            *pods -= gone;
            surplus -= gone;
        }
    }

    fn observe(&self) -> Workload {
        let image = |hash: &str| match hash {
            GOOD => OLD_IMAGE,
            CANARY => NEW_IMAGE,
            _ => THIRD_IMAGE,
        };
        let mut w = healthy();
        w.key.kind = Kind::Deployment;
        w.strategy = Way::Rolling;
        (w.router, w.weights, w.step_index, w.step_count) = (None, None, None, 0);
        w.pauses.clear();
        w.generation = self.generation;
        w.observed_generation = Some(self.observed);
        w.images = images(self.image);
        w.spec_paused = self.paused;
        w.attempt.clone_from(&self.attempt);
        w.replicas = REPLICAS;
        let ready = self.of(self.current);
        // Paused, it has no pods yet of a template that it has not numbered.
        w.updated = if w.images == images(image(self.current)) { ready } else { 0 };
        w.phase = match () {
            () if self.observed < self.generation => Phase::Unknown,
            () if self.stuck >= DEADLINE => Phase::Degraded,
            () if self.paused => Phase::Paused,
            () if ready == REPLICAS => Phase::Healthy,
            () => Phase::Progressing,
        };
        w.revisions = vec![revision(self.current, image(self.current), self.revision, ready)];
        let others = self.pods.iter().filter(|(hash, pods)| **hash != self.current && **pods > 0);
        w.revisions.extend(others.map(|(hash, pods)| revision(hash, image(hash), 40, *pods)));
        // As the watch reads it: what a paused one wants may have no ReplicaSet yet.
        let same = || self.pods.keys().copied().find(|hash| image(hash) == self.image);
        w.current_hash = if self.paused { same() } else { Some(self.current) }.map(str::to_owned);
        let others = w.revisions.iter().filter(|r| Some(&r.hash) != w.current_hash.as_ref() && r.ready > 0);
        let stable = others.max_by_key(|r| r.available).map(|r| r.hash.clone());
        w.stable_hash = stable.or_else(|| w.current_hash.clone());
        w
    }
}

struct Drive {
    plan: Plan,
    release: Release,
    sim: Sim,
    cache: Workload,
    /// The cluster as it was when the watch caught up last.
    shown: Sim,
    now: DateTime<Utc>,
    approved: bool,
    fate: Fate,
    late: Vec<(u8, Effect, String, Decided)>,
    meddled: bool,
}

impl Drive {
    fn new(plan: Plan) -> Self {
        let sim = Sim::new();
        Self {
            release: queued(&plan),
            cache: sim.observe(),
            shown: sim.clone(),
            sim,
            plan,
            now: at(1),
            approved: true,
            fate: Fate::Fine,
            late: Vec::new(),
            meddled: false,
        }
    }

    fn act(&mut self, effect: Effect) {
        let r = &self.release;
        if effect.raises() {
            assert_eq!(r.course, Course::Forward, "{effect:?} after the course was left");
            assert!(r.hold.is_none(), "{effect:?} while held");
            assert!(effect != Effect::Deploy || self.approved, "deployed without approval");
            assert!(r.verdict.as_ref().is_none_or(|v| v.class != Class::Fail), "{effect:?} after a fail");
        }
        assert!(r.attempt.is_none(), "two attempts at once");
        let id = AttemptId::of(r.id, r.attempts + 1);
        let failed = tried(r, &effect).is_some_and(|t| t.effect == effect && !t.happened);
        let mark = if failed { self.sim.attempt.clone() } else { self.cache.attempt.clone() };
        let on = Decided { mark, revision: self.shown.revision };
        begin(&mut self.release, id.clone(), effect.clone(), self.now);
        match std::mem::replace(&mut self.fate, Fate::Fine) {
            Fate::Fine => {
                let happened = self.sim.apply(&effect, &id.0, &on);
                self.settle(happened);
            }
            Fate::Refused => self.settle(false),
            Fate::Orphaned => {
                self.sim.apply(&effect, &id.0, &on);
            }
            Fate::Lost => {}
            Fate::Late(turns) => self.late.push((turns, effect, id.0, on)),
        }
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
            assert_eq!(self.release.course, Course::Forward);
        }
        if let Record::End { state, .. } = record {
            self.truly(*state);
        }
        apply(&mut self.release, record, self.now);
    }

    /// An end is told only when it is so in the cluster itself; where people meddle, when it was so as it was seen.
    fn truly(&self, state: State) {
        let s = if self.meddled { &self.shown } else { &self.sim };
        // Paused with all its pods on its template, it is where it is to be all the same.
        let all_on = |hash: &str, image| s.image == image && s.of(hash) == REPLICAS && s.current == hash;
        match state {
            State::RolledBack => assert!(all_on(GOOD, OLD_IMAGE), "rolled back only on paper: {s:?}"),
            State::Cancelled if self.meddled => {}
            State::Cancelled => assert!(all_on(GOOD, OLD_IMAGE), "cancelled only on paper: {s:?}"),
            State::Succeeded => {
                assert!(all_on(CANARY, NEW_IMAGE), "succeeded only on paper: {s:?}");
                assert_eq!(self.release.passed.len(), 1);
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
        if self.sim.attempt.as_deref() == Some(id.0.as_str()) {
            return Record::Settle { happened: true, words: "seen past the watch".into() };
        }
        self.sim.attempt = Some(format!("void-{id}"));
        record
    }

    fn tick(&mut self) {
        let before = self.sim.of(CANARY);
        self.sim.tick();
        for call in &mut self.late {
            call.0 -= 1;
        }
        let (landed, late) = std::mem::take(&mut self.late).into_iter().partition(|call| call.0 == 0);
        self.late = late;
        let landed: Vec<_> = landed;
        for (_, effect, id, on) in landed {
            self.sim.apply(&effect, &id, &on);
        }
        if !self.meddled {
            assert!(self.sim.deploys <= 1, "the change was written twice");
            let rises = self.sim.of(CANARY) > before;
            assert!(!rises || self.release.started.is_some() || self.release.attempt.is_some());
        }
    }

    fn op(&mut self, op: &Op) {
        self.now += TimeDelta::milliseconds(700);
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
            Op::Press(press) => press.on(&mut self.release, self.now),
            Op::Approve(yes) => self.approved = *yes,
            Op::Judge(class) => judge(&mut self.release, *class, self.now),
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
        self.fate = Fate::Fine;
        self.approved = true;
        for turn in 0..400 {
            if self.release.state.ended() {
                return;
            }
            agree(&mut self.release, self.now);
            if turn > 100 {
                // What Tidegate will not decide by itself, a person does.
                if matches!(self.release.state, State::Paused | State::Queued) {
                    leave(&mut self.release, Course::RollBack, Some("Gave up."), self.now);
                }
            }
            self.now += TimeDelta::seconds(if turn == 50 { 1_000_000 } else { 3 });
            self.op(&Op::Turn);
        }
        panic!("never ended: {:?} {:?}\n{:?}", self.release.state, self.release.note, self.sim);
    }
}

fn rolling(bake: u64, gates: Vec<Gate>) -> Plan {
    let mut p = plan(vec![step(100, 0, &[])]);
    p.spec.strategy = PlanStrategy::Rolling(Rolling::new(Span(bake), gates));
    p
}

fn any_rolling() -> impl Strategy<Value = Plan> {
    (0u64..30, gates()).prop_map(|(bake, gates)| rolling(bake, gates))
}

fn run(plan: Plan, ops: &[Op]) -> Drive {
    let mut drive = Drive::new(plan);
    for op in ops {
        drive.op(op);
    }
    drive.settle_down();
    // What is still on its way arrives, and does no harm any more.
    for _ in 0..=u8::MAX {
        drive.tick();
    }
    if !drive.meddled {
        drive.truly(drive.release.state);
    }
    drive
}

proptest! {
    #![proptest_config(cases(7000))]

    #[test]
    fn every_rolling_release_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_rolling(), ops in proptest::collection::vec(op(), 0..80),
    ) {
        run(plan, &ops);
    }
}

proptest! {
    #![proptest_config(cases(3500))]

    #[test]
    fn every_rolling_release_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_rolling(), ops in proptest::collection::vec(meddling(), 0..80),
    ) {
        run(plan, &ops);
    }
}

/// Invariants 1 and 4: the process dies around each effect in turn, held and resumed in between, or turned back.
#[test]
fn a_crash_at_any_effect_of_a_rolling_release_repeats_nothing() {
    for fate in [Fate::Orphaned, Fate::Lost, Fate::Late(3), Fate::Late(40), Fate::Refused] {
        for nth in 0..4 {
            for back in [None, Some(7), Some(12)] {
                let mut drive = Drive::new(rolling(1, vec![]));
                for turn in 0..120 {
                    match turn {
                        3 => hold(&mut drive.release, "Ada", None, drive.now),
                        10 => resume(&mut drive.release, drive.now),
                        _ => {}
                    }
                    if back == Some(turn) {
                        leave(&mut drive.release, Course::RollBack, Some("Errors."), drive.now);
                    }
                    if drive.release.attempts == nth && drive.release.attempt.is_none() {
                        drive.fate = fate;
                    }
                    drive.now += TimeDelta::seconds(2);
                    drive.op(&Op::Turn);
                }
                let r = &drive.release;
                let truly = match r.turned_back {
                    Some(_) => matches!(r.state, State::RolledBack | State::Cancelled),
                    None => r.state == State::Succeeded,
                };
                assert!(truly, "{fate:?} {nth} {back:?}: {r:?}");
                assert!(drive.sim.deploys <= 1);
            }
        }
    }
}
