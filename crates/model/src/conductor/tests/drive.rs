//! Whole releases against the modelled controller, under presses, crashes, lost and late calls, a lagging watch,
//! clock jumps and changes made past Tidegate: every one must end, and end truly.

use super::super::next::{deployed, tried};
use super::super::sample::{CANARY, GOOD, at, plan, queued, step, verdict};
use super::super::{Decision, Effect, Input, Record, apply, begin, leave, next, to_be_voided};
use super::chaos::{
    Fate, Op, Outside, Press, agree, any_plan, any_switch, cases, judge, meddling, op, switching,
};
use super::sim::{Sim, THIRD_IMAGE};
use crate::ids::AttemptId;
use crate::plan::{Gate, Plan};
use crate::release::{Course, Release, State};
use crate::role::Role;
use crate::verdict::Class;
use crate::workload::{Strategy as Way, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
pub(super) struct Drive {
    plan: Plan,
    pub release: Release,
    pub sim: Sim,
    cache: Workload,
    /// The cluster as it was when the watch caught up last.
    shown: Sim,
    pub now: DateTime<Utc>,
    approved: bool,
    pub fate: Fate,
    /// Sent, and not yet there: so many turns, the call, its id, and the mark it was decided on.
    late: Vec<(u8, Effect, String, Option<String>)>,
    /// Highest weight that was ever allowed.
    allowed: u8,
    meddled: bool,
}

impl Drive {
    fn new(plan: Plan, router: bool) -> Self {
        let release = queued(&plan);
        let blue_green = plan.drives() == Way::BlueGreen;
        let sim = if blue_green { Sim::blue_green(router) } else { Sim::new(router) };
        Self { release, ..Self::over(plan, sim) }
    }

    /// Over a cluster as it is.
    pub(super) fn over(plan: Plan, sim: Sim) -> Self {
        let release = queued(&plan);
        let cache = sim.observe();
        Self {
            plan,
            shown: sim.clone(),
            release,
            sim,
            cache,
            now: at(1),
            approved: true,
            fate: Fate::Fine,
            late: Vec::new(),
            allowed: 0,
            meddled: false,
        }
    }

    fn act(&mut self, effect: Effect) {
        self.permitted(&effect);
        let id = AttemptId::of(self.release.id, self.release.attempts + 1);
        // Where it has just failed, the object itself is asked for its mark: the watch may lag.
        let failed = tried(&self.release, &effect).is_some_and(|t| t.effect == effect && !t.happened);
        let looked_at = if failed { self.sim.observe() } else { self.cache.clone() };
        let mark = match looked_at.source.filter(|_| effect == Effect::TakeOver) {
            Some(source) => source.attempt,
            None => looked_at.attempt,
        };
        begin(&mut self.release, id.clone(), effect.clone(), self.now);
        self.allowed = self.allowed.max(self.ceiling());
        match std::mem::replace(&mut self.fate, Fate::Fine) {
            Fate::Fine => {
                let happened = self.sim.apply(&effect, &id.0, &self.plan, mark.as_deref());
                self.settle(happened);
            }
            Fate::Refused => self.settle(false),
            Fate::Orphaned => {
                self.sim.apply(&effect, &id.0, &self.plan, mark.as_deref());
            }
            Fate::Lost => self.sim.halve(&effect, &id.0, mark.as_deref()),
            Fate::Late(turns) => self.late.push((turns, effect, id.0, mark)),
        }
    }

    /// Invariants 3 and 5, at the moment of acting.
    fn permitted(&self, effect: &Effect) {
        let r = &self.release;
        if effect.raises() {
            assert_eq!(r.course, Course::Forward, "{effect:?} after the course was left");
            assert!(r.hold.is_none(), "{effect:?} while held");
            assert!(self.approved, "{effect:?} without approval");
            assert!(r.verdict.as_ref().is_none_or(|v| v.class != Class::Fail), "{effect:?} after a fail");
        }
        if *effect == Effect::PromoteFull {
            assert_ne!(self.cache.current_hash.as_deref(), Some(CANARY), "promotes the canary");
        }
        if let Effect::OpenPause { from } = effect {
            let step = self.plan.step_at(*from).expect("a pause of the plan's");
            assert!(r.passed.len() > step, "opened before its gates passed");
        }
        if *effect == Effect::Switch {
            assert!(!r.passed.is_empty(), "switched before the gates of the preview passed");
        }
        assert!(r.attempt.is_none(), "two attempts at once");
    }

    fn ceiling(&self) -> u8 {
        self.release.ceiling(&self.plan)
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
            let promotes = step + 1 == self.plan.steps().len();
            assert!(promotes || self.approved && self.release.hold.is_none());
            assert_eq!(self.release.course, Course::Forward);
            let asks = self.plan.asks_a_person(*step);
            assert!(
                !asks || waived || self.release.opened.contains_key(step),
                "nobody opened its owner's pause"
            );
        }
        if let Record::End { state, .. } = record {
            self.truly(*state);
        }
        apply(&mut self.release, record, self.now);
        self.allowed = self.allowed.max(self.ceiling());
    }

    /// An end may only be told when it is so in the cluster itself, not just in what the watch says. What people do
    /// past Tidegate in the meantime no release can know: then it must have been so when it was seen, and that after
    /// the deploy.
    fn truly(&self, state: State) {
        let s = if self.meddled { &self.shown } else { &self.sim };
        let back = s.deploys == self.sim.deploys
            && s.stable == GOOD
            && s.current == GOOD
            && s.image != super::super::sample::NEW_IMAGE
            && s.on_new() == 0;
        assert!(self.meddled || !s.paused, "it stays paused: {s:?}");
        let lent = s.source.is_some() && !self.meddled && deployed(&self.release);
        if lent && matches!(state, State::RolledBack | State::Cancelled) {
            assert!(s.steps == s.own || self.gave_up_restoring(), "its owner's steps are not back: {s:?}");
        }
        match state {
            State::RolledBack => assert!(back, "rolled back only on paper: {s:?}"),
            State::Cancelled if deployed(&self.release) => {
                assert!(back, "cancelled only on paper: {s:?}")
            }
            State::Succeeded => {
                assert!(
                    s.stable == CANARY && (self.sim.steps == self.sim.own || self.gave_up_restoring()),
                    "succeeded only on paper: {s:?}"
                );
                assert_eq!(self.release.passed.len(), self.plan.steps().len());
            }
            _ => {}
        }
    }

    fn gave_up_restoring(&self) -> bool {
        tried(&self.release, &Effect::RestoreSteps).is_some_and(|t| t.times >= 3)
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
        let templates = self.release.attempt.as_ref().is_some_and(|a| a.effect.writes_template());
        let mark = match &mut self.sim.source {
            Some(source) if templates => &mut source.mark,
            _ => &mut self.sim.attempt,
        };
        if mark.as_deref() == Some(id.0.as_str()) {
            return Record::Settle { happened: true, words: "seen past the watch".into() };
        }
        *mark = Some(format!("void-{id}"));
        record
    }

    fn tick(&mut self) {
        self.sim.tick();
        let mut landed = Vec::new();
        for (turns, effect, id, mark) in &mut self.late {
            *turns -= 1;
            if *turns == 0 {
                landed.push((effect.clone(), id.clone(), mark.clone()));
            }
        }
        self.late.retain(|(turns, ..)| *turns > 0);
        for (effect, id, mark) in landed {
            // Whenever that is: a sender can sleep, and a queue can hold a call, beyond the release's end.
            self.sim.apply(&effect, &id, &self.plan, mark.as_deref());
        }
        self.check();
    }

    /// Invariant 5, at every moment of the cluster.
    fn check(&self) {
        if !self.meddled {
            let s = &self.sim;
            assert!(s.on_new() <= self.allowed, "{} % above the {} % allowed", s.on_new(), self.allowed);
        }
        assert!(self.sim.deploys <= 1 || self.meddled, "the change was written twice");
        let mut opened = self.sim.opened.clone();
        opened.sort_unstable();
        opened.dedup();
        assert!(opened.len() == self.sim.opened.len() || self.meddled, "a pause was opened twice");
    }

    pub(super) fn op(&mut self, op: &Op) {
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
            Outside::Abort if s.current == CANARY => s.abort = true,
            Outside::Abort => {}
            Outside::Pause => s.set_paused(true),
            Outside::Unpause => s.set_paused(false),
            Outside::Undo | Outside::ThirdImage => {
                s.image = if matches!(outside, Outside::Undo) {
                    super::super::sample::OLD_IMAGE
                } else {
                    THIRD_IMAGE
                };
                match &mut s.source {
                    Some(source) => source.generation += 1,
                    None => s.generation += 1,
                }
            }
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
            // Some pauses open by nobody else: those of a Rollout whose steps are followed.
            let step = self.release.step.unwrap_or(0);
            if self.plan.asks_a_person(step) && self.release.step_since.is_some() {
                Press::Waive.on(&mut self.release, self.now);
            }
            // What Tidegate will not decide by itself, a person does.
            let stuck = matches!(self.release.state, State::Paused | State::Queued) || self.sim.bad_pods;
            if turn > 100 && stuck {
                leave(&mut self.release, Course::RollBack, Some("Gave up."), self.now);
            }
            if turn > 100 {
                self.sim.set_paused(false);
            }
            // A clock that was set back by hours makes a bake that much longer, and nothing else.
            self.now += TimeDelta::seconds(if turn == 50 { 1_000_000 } else { 3 });
            self.op(&Op::Turn);
        }
        panic!("never ended: {:?} {:?}\n{:?}", self.release.state, self.release.note, self.sim);
    }
}

fn run(plan: Plan, router: bool, ops: &[Op]) -> Drive {
    through(Drive::new(plan, router), ops)
}

pub(super) fn through(mut drive: Drive, ops: &[Op]) -> Drive {
    for op in ops {
        drive.op(op);
    }
    drive.settle_down();
    // What is still on its way arrives, and does no harm any more.
    for _ in 0..=u8::MAX {
        drive.tick();
    }
    if !drive.meddled {
        drive.shown = drive.sim.clone();
        drive.truly(drive.release.state);
        if matches!(drive.release.state, State::RolledBack | State::Cancelled) {
            assert_eq!(drive.sim.on_new(), 0, "came in again after the end: {:?}", drive.sim);
        }
    }
    drive
}

proptest! {
    #![proptest_config(cases(7000))]

    #[test]
    fn every_release_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_plan(), router in any::<bool>(), ops in proptest::collection::vec(op(), 0..80),
    ) {
        run(plan, router, &ops);
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn every_blue_green_release_ends_truly_under_presses_crashes_and_a_lagging_watch(
        plan in any_switch(), slow in any::<bool>(), ops in proptest::collection::vec(op(), 0..80),
    ) {
        run(plan, slow, &ops);
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_blue_green_release_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_switch(), slow in any::<bool>(), ops in proptest::collection::vec(meddling(), 0..80),
    ) {
        run(plan, slow, &ops);
    }
}

proptest! {
    #![proptest_config(cases(3500))]

    #[test]
    fn every_release_ends_truly_even_when_somebody_meddles_in_the_cluster(
        plan in any_plan(), router in any::<bool>(), ops in proptest::collection::vec(meddling(), 0..80),
    ) {
        run(plan, router, &ops);
    }
}

#[test]
fn in_fair_weather_a_release_walks_its_steps_and_succeeds() {
    let steps = vec![
        step(5, 10, &[Gate::Analysis]),
        step(25, 10, &[Gate::Approval(Role::OnCall)]),
        step(100, 0, &[]),
    ];
    let drive = run(plan(steps), true, &[]);
    assert_eq!(drive.release.state, State::Succeeded);
    assert_eq!(drive.sim.opened, [1, 3]);
    assert_eq!(drive.sim.deploys, 1);
}

#[test]
fn in_fair_weather_a_blue_green_release_switches_once_and_succeeds() {
    for slow in [false, true] {
        let drive = run(switching(10, &[Gate::Approval(Role::OnCall)], 10, &[Gate::Analysis]), slow, &[]);
        assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
        assert_eq!((drive.sim.deploys, drive.sim.opened.as_slice()), (1, [0].as_slice()));
    }
}

#[test]
fn a_crash_at_any_effect_of_a_blue_green_release_repeats_nothing() {
    for fate in [Fate::Orphaned, Fate::Lost, Fate::Late(3), Fate::Late(40), Fate::Refused] {
        for nth in 0..5 {
            let mut drive = Drive::new(switching(1, &[], 1, &[]), false);
            for _ in 0..200 {
                if drive.release.attempts == nth && drive.release.attempt.is_none() {
                    drive.fate = fate;
                }
                drive.now += TimeDelta::seconds(2);
                drive.op(&Op::Turn);
            }
            assert_eq!(drive.release.state, State::Succeeded, "{fate:?} at effect {nth}");
            assert_eq!((drive.sim.deploys, drive.sim.opened.as_slice()), (1, [0].as_slice()));
        }
    }
}

/// Invariant 1: the process dies around each effect in turn, before or after the call, and nothing happens twice.
#[test]
fn a_crash_at_any_effect_repeats_nothing() {
    for fate in [Fate::Orphaned, Fate::Lost, Fate::Late(3), Fate::Late(40), Fate::Refused] {
        for nth in 0..6 {
            let steps = vec![step(5, 1, &[Gate::Analysis]), step(100, 0, &[])];
            let mut drive = Drive::new(plan(steps), true);
            for _ in 0..200 {
                if drive.release.attempts == nth && drive.release.attempt.is_none() {
                    drive.fate = fate;
                }
                drive.now += TimeDelta::seconds(2);
                if drive.release.step_since.is_some() {
                    let step = drive.release.step.unwrap();
                    drive.release.verdict = Some(verdict(Class::Pass, step, drive.now));
                }
                drive.op(&Op::Turn);
            }
            assert_eq!(drive.release.state, State::Succeeded, "{fate:?} at effect {nth}");
            assert_eq!((drive.sim.deploys, drive.sim.opened.as_slice()), (1, [1].as_slice()));
        }
    }
}

/// Invariant 4: the same for the way back.
#[test]
fn a_rollback_ends_at_the_known_good_version_whatever_dies() {
    for fate in [Fate::Orphaned, Fate::Lost, Fate::Late(3), Fate::Late(40), Fate::Refused] {
        for pressed in 0..40 {
            for nth in 0..8 {
                let (plan, nth) = match nth {
                    0..4 => (plan(vec![step(5, 1, &[]), step(50, 1, &[]), step(100, 0, &[])]), nth),
                    _ => (switching(5, &[], 20, &[]), nth - 4),
                };
                let mut drive = Drive::new(plan, true);
                for turn in 0..200 {
                    if turn == pressed {
                        leave(&mut drive.release, Course::RollBack, Some("Errors."), drive.now);
                        drive.fate = fate;
                    }
                    if turn == pressed + nth {
                        drive.fate = fate;
                    }
                    drive.now += TimeDelta::seconds(1);
                    drive.op(&Op::Turn);
                }
                assert!(drive.release.state.ended(), "{fate:?} {pressed} {nth}: {:?}", drive.release);
            }
        }
    }
}
