//! Runs against the model: what happens on the way, what must hold at each turn, and the properties themselves.

use super::odd::{Odd, odd, odd_meddling};
use super::*;

pub(in super::super) struct Drive {
    plan: Plan,
    pub(in super::super) release: Release,
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
    fn new(plan: Plan, by: By) -> Self {
        let apart = matches!(plan.spec.strategy, PlanStrategy::BlueGreen(_));
        let copying = plan.shadow().is_some();
        let sim = Sim { apart, by, copying, ..Sim::new() };
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

    /// To how many pods the canary Deployment was scaled, in turn.
    pub(in super::super) fn scaled(&self) -> &[i32] {
        &self.sim.scaled
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
            let most = match () {
                () if self.sim.apart => self.cache.replicas,
                () if let Some(shadow) = self.plan.shadow() => {
                    pods_behind(shadow.percent(), self.cache.replicas)
                }
                () if self.sim.by != By::Pods => pods_behind(step.weight, self.cache.replicas),
                () => pods(step.weight, self.cache.replicas),
            };
            assert!(*to <= most, "{to} pods for {} %", step.weight);
        }
        if let Effect::Weigh { from, to } = effect {
            let step = self.plan.steps().get(r.passed.len()).unwrap();
            let most = self.plan.copied_at(r.passed.len()).unwrap_or(step.weight);
            assert!(*to <= most, "{from} % to {to} %, and {most} % is allowed");
            let twin = self.cache.twin.as_ref().unwrap();
            let carried = twin.ready >= pods_behind(*to, self.cache.replicas);
            assert!(to < from || carried, "users before their pods: {twin:?}");
        }
        assert!(*effect != Effect::Switch || !r.passed.is_empty(), "switched before the preview had passed");
        let last = self.plan.steps().len() - usize::from(!self.sim.apart);
        assert!(*effect != Effect::TakeOver || r.passed.len() >= last, "taken over before it was proven");
        let copied = *effect == Effect::TakeOver && self.shown.copied() > 0;
        assert!(!copied || self.meddled, "users before the copying has stopped");
        assert!(r.attempt.is_none(), "two attempts at once");
    }

    fn act(&mut self, effect: Effect) {
        self.permitted(&effect);
        let id = AttemptId::of(self.release.id, self.release.attempts + 1);
        let failed = tried(&self.release, &effect).is_some_and(|t| t.effect == effect && !t.happened);
        let mark = if failed { self.sim.attempt.clone() } else { self.cache.attempt.clone() };
        let requests = Sim::requests(&effect, mark, &self.shown, &self.sim);
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
            State::Cancelled if crate::conductor::next::deployed(&self.release) => {
                assert!(s.is_back(), "cancelled only on paper: {s:?}");
            }
            State::Succeeded => {
                let ours = s.twin.is_some() || s.switched || !s.unsent();
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
        if self.release.attempt.as_ref().is_some_and(|a| matches!(a.effect, Effect::Weigh { .. })) {
            match &mut self.sim.route {
                Some(route) if route.mark.as_ref() == Some(&id.0) => {
                    return Record::Settle { happened: true, words: "seen past the watch".into() };
                }
                Some(route) if route.mark.is_some() => route.mark = Some(format!("void-{id}")),
                Some(_) | None => {}
            }
            return record;
        }
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
        if let Some(shadow) = self.plan.shadow() {
            let copied = self.sim.copied();
            assert!(copied <= shadow.percent(), "{copied} % copied: {:?}", self.sim);
            assert!(copied == 0 || self.sim.twin.is_some(), "copies to nothing: {:?}", self.sim);
            assert!(
                copied == 0 || self.sim.takeovers == 0,
                "users on what is still judged by copies: {:?}",
                self.sim
            );
            return;
        }
        // Of the step that is on, or of the last that was.
        let allowed = self.release.step.and_then(|i| self.plan.steps().get(i)).map_or(0, |s| s.weight);
        if self.sim.by != By::Pods {
            let Some(route) = &self.sim.route else { return };
            let Some(weight) = route.weight.filter(|weight| *weight > 0) else { return };
            assert!(weight <= allowed, "{weight} % above the {allowed} % allowed");
            let twin = self.sim.twin.as_ref().filter(|twin| twin.uid == route.owner);
            assert!(twin.is_some_and(|t| t.ready > 0), "users at nothing: {:?}", self.sim);
            return;
        }
        let Some(twin) = self.sim.twin.as_ref().filter(|_| !self.resized && self.sim.takeovers == 0) else {
            return;
        };
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
            Odd::Reweighed(weight) => {
                self.meddled = true;
                let taken_out = self.sim.by == By::HttpRoute && *weight == 0;
                if let Some(route) = self.sim.route.as_mut().filter(|route| route.weight.is_some()) {
                    route.weight = (!taken_out).then_some(*weight);
                }
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
        (self.fate, self.torn, self.approved) = (Fate::Fine, None, true);
        for turn in 0..400 {
            if self.release.state.ended() {
                return;
            }
            agree(&mut self.release, self.now);
            if self.release.course == Course::Forward {
                // What Tidegate will not decide by itself, a person does; a pause of the owner's stays.
                let stuck = matches!(self.release.state, State::Paused | State::Queued) || self.sim.bad_pods;
                if turn > 100 && stuck {
                    leave(&mut self.release, Course::RollBack, Some("Gave up."), self.now);
                }
            }
            if turn > 100 && self.sim.switched && self.sim.replicas == 0 {
                // Handed back users would meet nobody: its owner scales it up, as the page says.
                self.odd(&Odd::Resized(1));
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

pub(in super::super) fn run(plan: Plan, ops: &[Odd]) -> Drive {
    run_of(plan, By::Pods, ops)
}

pub(in super::super) fn run_of(plan: Plan, by: By, ops: &[Odd]) -> Drive {
    let mut drive = Drive::new(plan, by);
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
        assert!(!s.switched && s.left_alone(), "users were sent after the end: {s:?}");
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
pub(in super::super) fn crashes(plan: &Plan, effects: u32) {
    crashes_of(plan, By::Pods, effects);
}

pub(in super::super) fn crashes_of(plan: &Plan, by: By, effects: u32) {
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
                let mut drive = Drive::new(plan.clone(), by);
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
