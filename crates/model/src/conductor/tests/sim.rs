//! A small model of the Argo Rollouts controller and of the API server in front of it: the transitions that were
//! seen on the real one, as far as the conductor's decisions depend on them.

use super::super::Effect;
use super::super::next::{AT_PAUSE, AT_SWITCH};
use super::super::sample::{CANARY, GOOD, NEW_IMAGE, OLD_IMAGE, healthy, images, revision};
use super::referring::Template;
use crate::plan::Plan;
use crate::workload::{Phase, Strategy, Weights, Workload};

pub(super) const THIRD: &str = "third-hash";
pub(super) const THIRD_IMAGE: &str = "registry.example.com/checkout:9.9.9";

/// One of the Rollout's own steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Walk {
    Weight(u8),
    /// Without end.
    Pause,
    /// It ends by itself.
    Timed,
}

/// The steps the Rollout had before the release; of a blue-green one, its settings of the switch.
pub(super) const OWN: [Walk; 2] = [Walk::Weight(50), Walk::Pause];

/// What a deploy writes that follows no steps. For a blue-green Rollout: that it waits with the switch.
fn written(plan: &Plan) -> Vec<Walk> {
    if plan.drives() == Strategy::BlueGreen {
        return vec![Walk::Pause];
    }
    let last = plan.steps().len() - 1;
    let walk = |(i, s): (usize, &crate::plan::Step)| {
        let pause = (i < last || s.holds()).then_some(Walk::Pause);
        std::iter::once(Walk::Weight(s.weight)).chain(pause)
    };
    plan.steps().iter().enumerate().flat_map(walk).collect()
}

/// The Rollout as the API server holds it, with the controller's inner state.
#[derive(Clone, Debug)]
pub(super) struct Sim {
    pub image: &'static str,
    pub steps: Vec<Walk>,
    /// Its owner's steps.
    pub own: Vec<Walk>,
    pub paused: bool,
    pub generation: i64,
    pub attempt: Option<String>,
    pub window: bool,
    pub replicas: i32,
    router: bool,
    /// A blue-green Rollout, and what its active Service selects.
    pub active: Option<&'static str>,
    /// The Deployment that the template is taken from; `image` is what stands there.
    pub source: Option<Template>,
    /// Ticks that the owner's own analysis after the switch takes.
    after_switch: u8,
    /// Both revisions were made within one second, so that the controller takes no way back for one.
    same_second: bool,
    // status
    pub observed: i64,
    pub current: &'static str,
    pub stable: &'static str,
    pub abort: bool,
    pub promote_full: bool,
    pub pause_condition: bool,
    pub controller_pause: bool,
    pub index: usize,
    pub weight: u8,
    pub phase: Phase,
    seen_steps: Vec<Walk>,
    /// Ticks until a pause ends by itself.
    rest: u8,
    /// Ticks until the pods the controller asked for are ready.
    pods: u8,
    /// Pods of the new version never get ready.
    pub bad_pods: bool,
    // what the API server was really made to do
    pub deploys: u32,
    pub opened: Vec<i32>,
}

impl Sim {
    pub(super) fn new(router: bool) -> Self {
        Self {
            image: OLD_IMAGE,
            steps: OWN.to_vec(),
            own: OWN.to_vec(),
            paused: false,
            generation: 5,
            attempt: None,
            window: false,
            replicas: 8,
            router,
            active: None,
            source: None,
            after_switch: 0,
            same_second: false,
            observed: 5,
            current: GOOD,
            stable: GOOD,
            abort: false,
            promote_full: false,
            pause_condition: false,
            controller_pause: false,
            index: 2,
            weight: 0,
            phase: Phase::Healthy,
            seen_steps: OWN.to_vec(),
            rest: 0,
            pods: 0,
            bad_pods: false,
            deploys: 0,
            opened: Vec::new(),
        }
    }

    /// Blue-green, at its easiest, or `slow`: with the owner's analysis after the switch, and a way back that waits.
    pub(super) fn blue_green(slow: bool) -> Self {
        let after_switch = if slow { 3 } else { 0 };
        Self { active: Some(GOOD), after_switch, same_second: slow, index: 0, ..Self::new(false) }
    }

    /// A Rollout whose owner's steps are to be followed.
    pub(super) fn following(router: bool, own: &[Walk]) -> Self {
        let own = own.to_vec();
        Self { index: own.len(), steps: own.clone(), seen_steps: own.clone(), own, ..Self::new(router) }
    }

    /// The steps that a deploy leaves behind.
    pub(super) fn written(&self, plan: &Plan) -> Vec<Walk> {
        if plan.follows().is_some() { self.own.clone() } else { written(plan) }
    }

    /// One call as the driver sends it, with its preconditions; `mark` as it was when it was decided on. `false`:
    /// refused.
    pub(super) fn apply(&mut self, effect: &Effect, id: &str, plan: &Plan, mark: Option<&str>) -> bool {
        if self.source.is_some()
            && let Some(done) = self.apply_referring(effect, id, plan, mark)
        {
            return done;
        }
        if *effect != Effect::Abort && self.attempt.as_deref() != mark {
            return false;
        }
        match effect {
            Effect::Deploy => {
                if self.stable != GOOD || self.current != GOOD || self.image != OLD_IMAGE {
                    return false;
                }
                let steps = self.written(plan);
                self.generation += 1;
                self.deploys += 1;
                self.image = NEW_IMAGE;
                self.steps = steps;
                self.attempt = Some(id.to_owned());
            }
            Effect::OpenPause { from } => {
                if i32::try_from(self.index).unwrap() != *from
                    || self.current != CANARY
                    || !self.pause_condition
                {
                    return false;
                }
                self.pause_condition = false;
                self.opened.push(*from);
            }
            Effect::Switch => {
                if self.current != CANARY || !self.pause_condition || self.active.is_none() {
                    return false;
                }
                self.pause_condition = false;
                self.opened.push(0);
            }
            Effect::Pause | Effect::Resume if plan.follows().is_some() => {
                self.set_paused(*effect == Effect::Pause);
                self.attempt = Some(id.to_owned());
            }
            // Only for Deployments, which are not simulated here.
            Effect::Pause
            | Effect::Resume
            | Effect::Scale { .. }
            | Effect::Weigh { .. }
            | Effect::TakeOver
            | Effect::HandBack
            | Effect::Retire => {
                return false;
            }
            Effect::Unpause => self.set_paused(false),
            Effect::Abort => {
                if self.current == GOOD {
                    return false;
                }
                self.abort = true;
                self.promote_full = false;
            }
            Effect::Revert => {
                if self.image != OLD_IMAGE || self.steps != self.own {
                    self.generation += 1;
                }
                self.window = self.stable != GOOD;
                self.image = OLD_IMAGE;
                self.steps.clone_from(&self.own);
                self.attempt = Some(id.to_owned());
            }
            Effect::PromoteFull => self.promote_full = true,
            Effect::RestoreSteps => {
                if self.steps != self.own {
                    self.generation += 1;
                }
                self.steps.clone_from(&self.own);
                self.attempt = Some(id.to_owned());
            }
        }
        true
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        if self.paused != paused {
            self.paused = paused;
            self.generation += 1;
        }
    }

    fn hash(&self) -> &'static str {
        match self.image {
            OLD_IMAGE => GOOD,
            NEW_IMAGE => CANARY,
            _ => THIRD,
        }
    }

    /// One pass of the controller over a blue-green Rollout.
    fn tick_blue_green(&mut self) {
        if self.current != self.hash() {
            self.current = self.hash();
            self.observed = self.generation;
            (self.abort, self.promote_full) = (false, false);
            (self.pause_condition, self.controller_pause) = (false, false);
            self.pods = 2;
            self.phase = Phase::Progressing;
            return;
        }
        self.observed = self.generation;
        if self.current == self.stable {
            (self.abort, self.promote_full, self.pause_condition) = (false, false, false);
            self.phase = Phase::Progressing;
            if !self.paused && self.ripe() {
                self.active = Some(self.current);
            }
            if self.active == Some(self.current) && self.pods == 0 {
                self.phase = Phase::Healthy;
            }
            return;
        }
        if self.promote_full {
            self.abort = false;
            if self.ripe() && !self.paused {
                self.active = Some(self.current);
                self.promote();
            }
            return;
        }
        if self.abort {
            (self.pause_condition, self.controller_pause) = (false, false);
            if !self.paused {
                self.active = Some(self.stable);
            }
            self.phase = Phase::Degraded;
            return;
        }
        if self.paused {
            self.phase = Phase::Paused;
            return;
        }
        self.phase = Phase::Progressing;
        if !self.ripe() {
            return;
        }
        if self.active == Some(self.current) {
            self.after_switch = self.after_switch.saturating_sub(1);
            if self.after_switch == 0 {
                self.promote();
            }
            return;
        }
        let back = self.window && self.current == GOOD && !self.same_second;
        match (self.controller_pause, self.pause_condition) {
            _ if back => self.active = Some(self.current),
            (false, _) => {
                (self.controller_pause, self.pause_condition) = (true, true);
                self.phase = Phase::Paused;
            }
            (true, true) => self.phase = Phase::Paused,
            (true, false) => {
                self.controller_pause = false;
                self.active = Some(self.current);
            }
        }
    }

    /// One pass of the controller.
    pub(super) fn tick(&mut self) {
        if self.active.is_some() {
            return self.tick_blue_green();
        }
        let changed = self.current != self.hash();
        let restepped = self.seen_steps != self.steps && self.current != self.stable;
        self.current = self.hash();
        self.seen_steps.clone_from(&self.steps);
        self.observed = self.generation;
        if let Some(source) = &mut self.source {
            source.observed = source.generation;
        }
        if changed || restepped {
            self.abort = false;
            self.promote_full = false;
            self.pause_condition = false;
            self.controller_pause = false;
            self.pods = 2;
            let skips = self.current == self.stable || self.window && self.current == GOOD;
            self.index = if skips { self.last() } else { 0 };
            self.phase = Phase::Progressing;
            return;
        }
        if self.current == self.stable {
            self.abort = false;
            self.promote_full = false;
            self.pause_condition = false;
            self.index = self.last();
            self.weight = 0;
            self.phase = Phase::Progressing;
            if self.ripe() {
                self.phase = Phase::Healthy;
            }
            return;
        }
        if self.promote_full {
            self.abort = false;
            if self.ripe() {
                self.promote();
            }
            return;
        }
        if self.abort {
            self.index = 0;
            self.pause_condition = false;
            self.controller_pause = false;
            if self.router || !self.paused {
                self.weight = 0;
            }
            self.phase = Phase::Degraded;
            return;
        }
        if self.paused {
            self.phase = Phase::Paused;
            return;
        }
        self.walk();
    }

    fn walk(&mut self) {
        self.phase = Phase::Progressing;
        if self.index >= self.last() {
            if self.ripe() {
                self.promote();
            }
            return;
        }
        if let Walk::Weight(asked) = self.steps[self.index] {
            if self.weight != asked {
                self.weight = asked;
                self.pods = 1;
            } else if self.ripe() {
                self.index += 1;
            }
            return;
        }
        match (self.controller_pause, self.pause_condition) {
            (false, _) => {
                self.controller_pause = true;
                self.pause_condition = true;
                self.rest = 3;
                self.phase = Phase::Paused;
            }
            (true, true) if self.steps[self.index] == Walk::Timed && self.rest > 0 => {
                self.rest -= 1;
                self.phase = Phase::Paused;
            }
            (true, true) if self.steps[self.index] == Walk::Timed => {
                (self.controller_pause, self.pause_condition) = (false, false);
                self.index += 1;
            }
            (true, true) => self.phase = Phase::Paused,
            (true, false) => {
                self.controller_pause = false;
                self.index += 1;
            }
        }
    }

    /// Are the pods that were asked for ready? Bad ones end in a degraded update.
    fn ripe(&mut self) -> bool {
        if self.bad_pods && self.current == CANARY {
            self.phase = Phase::Degraded;
            return false;
        }
        self.pods = self.pods.saturating_sub(1);
        self.pods == 0
    }

    fn promote(&mut self) {
        self.stable = self.current;
        self.weight = 0;
        self.promote_full = false;
        self.pods = 1;
        self.phase = Phase::Progressing;
    }

    fn last(&self) -> usize {
        self.steps.len()
    }

    /// Share of users on the new version, really.
    pub(super) fn on_new(&self) -> u8 {
        if let Some(active) = self.active {
            return if active == CANARY { 100 } else { 0 };
        }
        if self.stable == CANARY {
            return if self.current == CANARY { 100 } else { 100 - self.weight };
        }
        if self.current == CANARY { self.weight } else { 0 }
    }

    pub(super) fn observe(&self) -> Workload {
        let mut w = healthy();
        let mut revisions = Vec::new();
        if self.current != self.stable {
            let pods = (i32::from(self.weight) * self.replicas + 99) / 100;
            let mut r = revision(self.current, self.image, 42, pods.max(i32::from(self.weight > 0)));
            r.ready = if self.bad_pods || self.pods > 0 { 0 } else { r.desired };
            revisions.push(r);
        }
        revisions.push(revision(self.stable, OLD_IMAGE, 41, self.replicas));
        w.generation = self.generation;
        w.observed_generation = Some(self.observed);
        w.phase = if self.observed == self.generation { self.phase } else { Phase::Unknown };
        w.images = images(self.image);
        w.spec_paused = self.paused;
        w.abort = self.abort;
        w.promote_full = self.promote_full;
        w.pauses = if self.pause_condition { vec![AT_PAUSE.into()] } else { Vec::new() };
        w.step_index = i32::try_from(self.index).ok();
        w.step_count = i32::try_from(self.last()).unwrap();
        w.stable_hash = Some(self.stable.into());
        w.current_hash = Some(self.current.into());
        w.router = self.router.then(|| "nginx".to_owned());
        w.weights = self.router.then(|| Weights { canary: self.weight, stable: 100 - self.weight });
        w.attempt.clone_from(&self.attempt);
        w.revisions = revisions;
        if let Some(source) = &self.source {
            source.show(&mut w);
        }
        if let Some(active) = self.active {
            w.strategy = Strategy::BlueGreen;
            w.active_hash = Some(active.into());
            w.preview_hash = Some(self.current.into());
            (w.step_index, w.step_count) = (None, 0);
            if self.pause_condition {
                w.pauses = vec![AT_SWITCH.into()];
            }
        }
        w
    }
}
