//! Properties over inputs that nobody constructed with care: any state, any observation, any clock.

use super::super::next::{AT_PAUSE, AT_SWITCH};
use super::super::sample::{
    CANARY, GOOD, NEW_IMAGE, OLD_IMAGE, at, healthy, images, queued, revision, verdict,
};
use super::super::{Decision, Effect, Input, Record, apply, begin, next};
use super::chaos::{any_class, any_plan, any_switch, cases};
use super::following::any_followed;
use crate::ids::AttemptId;
use crate::release::{Course, Hold, Release, State, Tried};
use crate::span::Span;
use crate::verdict::Class;
use crate::workload::{Phase, Source, Strategy as Way, Weights, Workload};
use chrono::{DateTime, Utc};
use proptest::prelude::*;

fn any_effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::Deploy),
        (-3i32..12).prop_map(|from| Effect::OpenPause { from }),
        Just(Effect::Switch),
        Just(Effect::TakeOver),
        Just(Effect::Unpause),
        Just(Effect::Pause),
        Just(Effect::Resume),
        Just(Effect::Abort),
        Just(Effect::Revert),
        Just(Effect::PromoteFull),
        Just(Effect::RestoreSteps),
    ]
}

fn any_time() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![
        8 => (-100i64..100).prop_map(at),
        1 => Just(DateTime::<Utc>::MIN_UTC),
        1 => Just(DateTime::<Utc>::MAX_UTC),
    ]
}

fn any_hash() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(Some(GOOD.to_owned())),
        3 => Just(Some(CANARY.to_owned())),
        1 => Just(Some("third".to_owned())),
        1 => Just(None),
    ]
}

fn any_tried() -> impl Strategy<Value = Tried> {
    (any_effect(), any_time(), any::<bool>(), 0u32..100).prop_map(|(effect, at, happened, times)| Tried {
        id: AttemptId("r318-1".into()),
        effect,
        at,
        happened,
        times,
        words: String::new(),
    })
}

prop_compose! {
    fn any_workload()(
        observed in any::<bool>(), phase in 0usize..5, ours in any::<bool>(), spec_paused in any::<bool>(),
        abort in any::<bool>(), promote_full in any::<bool>(), pauses in 0usize..4, index in proptest::option::of(-2i32..12),
        count in 0i32..12, stable in any_hash(), current in any_hash(), weight in proptest::option::of(0u8..=100),
        way in 0usize..3, mark in 0usize..3, active in any_hash(), workload_ref in 0i32..5, router in any::<bool>(), replicas in 0i32..9,
    ) -> Workload {
        let mut w = healthy();
        w.observed_generation = if observed { Some(5) } else { Some(4) };
        w.phase = [Phase::Healthy, Phase::Progressing, Phase::Paused, Phase::Degraded, Phase::Unknown][phase];
        w.images = images(if ours { NEW_IMAGE } else { OLD_IMAGE });
        w.spec_paused = spec_paused;
        w.abort = abort;
        w.promote_full = promote_full;
        w.pauses = [vec![], vec![AT_PAUSE.to_owned()], vec!["InconclusiveAnalysisRun".to_owned()], vec![AT_SWITCH.to_owned()]][pauses].clone();
        w.step_index = index;
        w.step_count = count;
        w.stable_hash = stable;
        w.current_hash = current;
        w.weights = weight.map(|canary| Weights { canary, stable: 100 - canary });
        w.strategy = [Way::Canary, Way::BlueGreen, Way::Rolling][way];
        w.attempt = [None, Some("r318-1".to_owned()), Some("r318-2".to_owned())][mark].clone();
        w.active_hash = active;
        w.workload_ref = workload_ref > 0;
        if workload_ref > 1 {
            let attempt = [None, Some("r318-1".to_owned()), Some("r318-2".to_owned())][mark].clone();
            w.source = Some(Box::new(Source { name: "checkout".into(), replicas: workload_ref - 2, attempt }));
        }
        w.router = router.then(|| "nginx".to_owned());
        w.replicas = replicas;
        w.revisions = vec![revision(CANARY, NEW_IMAGE, 2, replicas), revision(GOOD, OLD_IMAGE, 1, 8)];
        w
    }
}

prop_compose! {
    fn any_release()(
        plan in prop_oneof![2 => any_plan(), 1 => any_switch(), 1 => any_followed().prop_map(|(plan, _)| plan)], state in 0usize..9, course in 0usize..3, named in any::<bool>(),
        step in proptest::option::of(0usize..6), since in proptest::option::of(any_time()), baked in 0u64..100,
        passed in 0usize..6, opened in any::<bool>(), waived in any::<bool>(), held in 0u8..4,
        class in proptest::option::of(any_class()), pending in proptest::option::of((any_effect(), any_time())),
        tried in proptest::collection::vec(any_tried(), 0..5), other_digest in 0u8..8,
    ) -> (crate::plan::Plan, Release) {
        let mut r = queued(&plan);
        r.state = State::ALL[state];
        r.course = [Course::Forward, Course::Abort, Course::RollBack][course];
        r.canary_hash = named.then(|| CANARY.to_owned());
        r.step = step;
        r.step_since = since;
        r.baked = Span(baked);
        r.passed = vec![at(0); passed];
        for i in 0..6 {
            if opened { r.opened.insert(i, "Ada".into()); }
            if waived { r.waived.insert(i, "Mara".into()); }
        }
        r.hold = (held == 0).then(|| Hold { since: at(0), by: "Ada".into(), why: None });
        r.verdict = class.map(|c| verdict(c, step.unwrap_or(0), at(0)));
        if let Some((effect, begun)) = pending {
            begin(&mut r, AttemptId("r318-2".into()), effect, begun);
        }
        r.tried = tried;
        if other_digest == 0 { r.digest = crate::Digest("sha256:00".into()); }
        (plan, r)
    }
}

proptest! {
    #![proptest_config(cases(12_000))]

    /// Invariants 3 and 5, and that there is always an answer: the same one, and one that can be recorded.
    #[test]
    fn nothing_is_raised_without_leave(
        (plan, mut r) in any_release(), w in proptest::option::of(any_workload()),
        approved in any::<bool>(), now in any_time(),
    ) {
        let input = Input { plan: &plan, release: &r, seen: w.as_ref(), approved, now };
        let decision = next(&input);
        prop_assert_eq!(&decision, &next(&input));
        match &decision {
            Decision::Act(effect) => {
                prop_assert!(!r.state.ended());
                prop_assert!(r.attempt.is_none());
                if effect.raises() {
                    prop_assert_eq!(r.course, Course::Forward);
                    prop_assert!(approved && r.hold.is_none());
                    prop_assert!(r.verdict.as_ref().is_none_or(|v| v.class != Class::Fail));
                    prop_assert_eq!(plan.digest(), r.digest.clone());
                    prop_assert!(w.as_ref().is_some_and(|w| w.observed() && (!w.spec_paused || *effect == Effect::Resume) && w.source_unfit().is_none() || r.canary_hash.is_some()));
                }
                if *effect == Effect::Switch {
                    prop_assert!(!r.passed.is_empty(), "before the gates of the preview passed");
                }
                if *effect == Effect::PromoteFull {
                    prop_assert!(r.course != Course::Forward);
                    prop_assert!(w.as_ref().is_some_and(|w| w.current_hash.as_deref() != Some(CANARY) || r.canary_hash.is_none()));
                    prop_assert!(w.as_ref().is_some_and(|w| w.current_hash.as_deref() == Some(GOOD) || w.images == images(OLD_IMAGE)));
                }
                if *effect == Effect::Revert {
                    prop_assert!(!w.as_ref().is_some_and(|w| w.workload_ref && w.source.is_none()));
                }
            }
            Decision::Record(record) => {
                let before = r.clone();
                apply(&mut r, record, now);
                prop_assert_ne!(&before, &r, "a record that changes nothing would be recorded for ever");
                if before.course != Course::Forward {
                    prop_assert_eq!(before.course, r.course);
                }
                if let Record::StepPassed { next: Some(_), .. } = record {
                    prop_assert!(approved && before.hold.is_none());
                }
            }
            Decision::Wait { .. } => {}
        }
    }
}
