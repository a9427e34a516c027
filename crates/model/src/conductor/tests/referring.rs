//! Whole releases of a Rollout that takes its template from a Deployment, against the modelled controller: two objects
//! with a mark each, a process that may die between them, and calls to either that come late.

use super::super::next::tried;
use super::super::sample::{GOOD, NEW_IMAGE, OLD_IMAGE, plan, step};
use super::super::{Effect, leave};
use super::chaos::{Fate, Op, any_plan, cases, meddling, op};
use super::drive::{Drive, through};
use super::sim::{OWN, Sim};
use crate::plan::Plan;
use crate::release::{Course, State};
use crate::workload::{Phase, Source, Workload};
use chrono::TimeDelta;
use proptest::prelude::*;

/// The Deployment, as far as the Rollout's controller sees it. Its image is the model's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub generation: i64,
    pub observed: i64,
    pub mark: Option<String>,
}

impl Template {
    /// As the cache puts the two objects together.
    pub(super) fn show(&self, w: &mut Workload) {
        w.workload_ref = true;
        w.source =
            Some(Box::new(Source { name: "checkout".into(), replicas: 0, attempt: self.mark.clone() }));
        if self.observed != self.generation {
            w.observed_generation = None;
            w.phase = Phase::Unknown;
        }
    }
}

impl Sim {
    fn referring(router: bool) -> Self {
        Self::new(router).referred()
    }

    /// The same with its template in a Deployment.
    pub(super) fn referred(mut self) -> Self {
        self.source = Some(Template::default());
        self
    }

    /// What is sent otherwise where the template is a Deployment's; `None` for what is not.
    pub(super) fn apply_referring(
        &mut self,
        effect: &Effect,
        id: &str,
        plan: &Plan,
        mark: Option<&str>,
    ) -> Option<bool> {
        let steps = self.written(plan);
        let source = self.source.as_mut()?;
        let ours = match effect {
            Effect::TakeOver => source.mark.as_deref() == mark,
            Effect::Deploy | Effect::Revert => self.attempt.as_deref() == mark,
            _ => return None,
        };
        if !ours {
            return Some(false);
        }
        match effect {
            Effect::Deploy => {
                if self.stable != GOOD || self.current != GOOD {
                    return Some(false);
                }
                self.steps = steps;
                self.generation += 1;
                self.attempt = Some(id.to_owned());
            }
            Effect::TakeOver => {
                if self.image != OLD_IMAGE {
                    return Some(false);
                }
                self.image = NEW_IMAGE;
                self.deploys += 1;
                source.generation += 1;
                source.mark = Some(id.to_owned());
            }
            _ => {
                if self.image != OLD_IMAGE {
                    source.generation += 1;
                }
                source.mark = Some(id.to_owned());
                self.image = OLD_IMAGE;
                self.window = self.stable != GOOD;
                self.attempt = Some(id.to_owned());
            }
        }
        Some(true)
    }

    /// The process dies between the two requests of a revert: the Rollout has its mark, the Deployment its template yet.
    pub(super) fn halve(&mut self, effect: &Effect, id: &str, mark: Option<&str>) {
        if self.source.is_some() && *effect == Effect::Revert && self.attempt.as_deref() == mark {
            self.attempt = Some(id.to_owned());
            self.window = self.stable != GOOD;
        }
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn every_release_by_a_template_elsewhere_ends_truly(
        plan in any_plan(), router in any::<bool>(), ops in proptest::collection::vec(op(), 0..80),
    ) {
        through(Drive::over(plan, Sim::referring(router)), &ops);
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_release_by_a_template_elsewhere_ends_truly_even_when_somebody_meddles(
        plan in any_plan(), router in any::<bool>(), ops in proptest::collection::vec(meddling(), 0..80),
    ) {
        through(Drive::over(plan, Sim::referring(router)), &ops);
    }
}

const FATES: [Fate; 5] = [Fate::Orphaned, Fate::Lost, Fate::Late(3), Fate::Late(40), Fate::Refused];

fn two() -> Plan {
    plan(vec![step(5, 1, &[]), step(100, 0, &[])])
}

#[test]
fn in_fair_weather_the_template_is_written_once_and_the_steps_are_given_back() {
    let drive = through(Drive::over(two(), Sim::referring(true)), &[]);
    assert_eq!(drive.release.state, State::Succeeded, "{:?}", drive.release.reason);
    assert_eq!((drive.sim.deploys, drive.sim.opened.as_slice()), (1, [1].as_slice()));
    assert_eq!(drive.sim.steps, OWN);
}

#[test]
fn a_crash_at_any_effect_repeats_nothing() {
    for fate in FATES {
        for nth in 0..6 {
            let mut drive = Drive::over(two(), Sim::referring(true));
            for _ in 0..200 {
                if drive.release.attempts == nth && drive.release.attempt.is_none() {
                    drive.fate = fate;
                }
                drive.now += TimeDelta::seconds(2);
                drive.op(&Op::Turn);
            }
            assert_eq!(drive.release.state, State::Succeeded, "{fate:?} at effect {nth}");
            assert_eq!(drive.sim.deploys, 1, "{fate:?} at effect {nth}");
        }
    }
}

/// Invariant 4, with a process that may also die between the two objects.
#[test]
fn a_rollback_ends_at_the_known_good_version_whatever_dies() {
    for fate in FATES {
        for pressed in 0..30 {
            for nth in 0..5 {
                let mut drive = Drive::over(two(), Sim::referring(true));
                for turn in 0..200 {
                    if turn == pressed {
                        leave(&mut drive.release, Course::RollBack, Some("Errors."), drive.now);
                    }
                    if turn == pressed || turn == pressed + nth {
                        drive.fate = fate;
                    }
                    drive.now += TimeDelta::seconds(1);
                    drive.op(&Op::Turn);
                }
                let (r, sim) = (&drive.release, &drive.sim);
                assert!(r.state.ended(), "{fate:?} {pressed} {nth}: {r:?}");
                if r.state != State::Succeeded {
                    assert_eq!((sim.image, sim.stable), (OLD_IMAGE, GOOD), "{fate:?} {pressed} {nth}");
                }
                let restored = tried(r, &Effect::RestoreSteps).is_none_or(|t| t.happened || t.times >= 3);
                assert!(restored || sim.steps == OWN);
            }
        }
    }
}
