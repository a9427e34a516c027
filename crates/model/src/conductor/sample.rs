//! Plans, releases and workloads to test with.

use crate::ids::{AttemptId, PlanId, ReleaseId};
use crate::plan::{
    API_VERSION, Analysis, Approvals, Canary, Change, Gate, Metadata, Plan, Rollback, Spec, Step,
    Strategy as PlanStrategy,
};
use crate::release::{Course, KnownGood, Release, State, Tried};
use crate::span::Span;
use crate::verdict::{Class, Limits, Side, Verdict};
use crate::workload::{
    Front, Key, Kind, Mirror, Phase, Revision, Split, Splitter, Strategy, Twin, Weights, Workload,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) const GOOD: &str = "good-hash";
pub(crate) const CANARY: &str = "canary-hash";
pub(crate) const OLD_IMAGE: &str = "registry.example.com/checkout:1.41.3";
pub(crate) const NEW_IMAGE: &str = "registry.example.com/checkout:1.42.0";

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn images(image: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), image.to_owned())])
}

pub(crate) fn step(weight: u8, bake: u64, gates: &[Gate]) -> Step {
    Step { weight, bake: Span(bake), gates: gates.to_vec(), ..Step::default() }
}

pub(crate) fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        api_version: API_VERSION.into(),
        kind: "Plan".into(),
        metadata: Metadata {
            name: "checkout-1-42-0".into(),
            service: "checkout".into(),
            environment: "production".into(),
        },
        spec: Spec {
            change: Change { images: images(NEW_IMAGE), reference: None, migrations: Vec::new() },
            strategy: PlanStrategy::Canary(Canary { steps }),
            analysis: Analysis::default(),
            rollback: Rollback::default(),
            approvals: Approvals::default(),
            window: None,
            workload: None,
        },
    }
}

pub(crate) fn key() -> Key {
    Key { cluster: "demo".into(), namespace: "shop".into(), kind: Kind::Rollout, name: "checkout".into() }
}

pub(crate) fn queued(plan: &Plan) -> Release {
    Release {
        id: ReleaseId(318),
        plan: PlanId(7),
        plan_version: 1,
        digest: plan.digest(),
        service: "checkout".into(),
        environment: "production".into(),
        workload: key(),
        images: images(NEW_IMAGE),
        state: State::Queued,
        course: Course::Forward,
        reason: None,
        known_good: KnownGood {
            config: Vec::new(),
            template: json!({"spec": {"containers": [{"name": "app", "image": OLD_IMAGE}]}}),
            steps: Some(json!([{"setWeight": 50}])),
            blue_green: None,
            hash: GOOD.into(),
            images: images(OLD_IMAGE),
            revision: Some(41),
        },
        canary_hash: None,
        step: None,
        step_since: None,
        baked: Span::ZERO,
        passed: Vec::new(),
        opened: BTreeMap::new(),
        waived: BTreeMap::new(),
        hold: None,
        verdict: None,
        checked: None,
        attempt: None,
        tried: Vec::new(),
        attempts: 0,
        started_by: "Mara Lind".into(),
        created: at(0),
        started: None,
        ended: None,
        turned_back: None,
        by_itself: false,
        policy: None,
        rerouted: None,
        proved: BTreeMap::new(),
        recovered: None,
        note: None,
    }
}

/// A release whose deploy is done and whose pods are named.
pub(crate) fn running(plan: &Plan) -> Release {
    let mut r = queued(plan);
    r.state = State::Running;
    r.step = Some(0);
    r.started = Some(at(1));
    r.canary_hash = Some(CANARY.into());
    r.tried.push(Tried {
        id: AttemptId("r318-1".into()),
        effect: super::Effect::Deploy,
        at: at(1),
        happened: true,
        times: 1,
        words: String::new(),
    });
    r
}

pub(crate) fn healthy() -> Workload {
    Workload {
        key: key(),
        service: "checkout".into(),
        environment: "production".into(),
        uid: "u".into(),
        resource_version: "1".into(),
        generation: 5,
        observed_generation: Some(5),
        strategy: Strategy::Canary,
        phase: Phase::Healthy,
        message: None,
        replicas: 8,
        ready: 8,
        updated: 8,
        available: 8,
        images: images(OLD_IMAGE),
        spec_paused: false,
        abort: false,
        promote_full: false,
        pauses: Vec::new(),
        step_index: Some(1),
        step_count: 1,
        stable_hash: Some(GOOD.into()),
        current_hash: Some(GOOD.into()),
        weights: Some(Weights { canary: 0, stable: 100 }),
        router: Some("nginx".into()),
        active_hash: None,
        preview_hash: None,
        workload_ref: false,
        source: None,
        dynamic_stable_scale: false,
        routes_headers: false,
        header_route: None,
        weight_total: None,
        unverified: false,
        restarting: None,
        attempt: None,
        gitops: None,
        twin: None,
        fronts: Vec::new(),
        splitter: None,
        mirror: None,
        recreates: false,
        revisions: vec![revision(GOOD, OLD_IMAGE, 41, 8)],
        created: at(-1000),
        since: at(-1000),
    }
}

/// A Deployment of eight pods, healthy on the known-good version.
pub(crate) fn deployment() -> Workload {
    let mut w = healthy();
    w.key.kind = Kind::Deployment;
    w.strategy = Strategy::Rolling;
    (w.router, w.weights, w.step_index, w.step_count) = (None, None, None, 0);
    w
}

/// The same with so many ready pods of a canary Deployment beside it.
pub(crate) fn beside(pods: i32) -> Workload {
    let mut w = deployment();
    w.attempt = Some("r318-1".into());
    w.revisions.push(revision(CANARY, NEW_IMAGE, 1, pods));
    w.twin = Some(Box::new(Twin {
        name: "checkout-tidegate".into(),
        desired: pods,
        ready: pods,
        deadline: Span(60),
        phase: Phase::Healthy,
        message: None,
        hash: Some(CANARY.into()),
        images: images(NEW_IMAGE),
        attempt: Some("r318-1".into()),
        apart: false,
        split: None,
        mirrored: false,
        address: None,
    }));
    w
}

/// The same with all eight pods beside it, which a Service tells apart; `switched` sends its users there.
pub(crate) fn apart(switched: bool) -> Workload {
    let mut w = beside(8);
    if let Some(twin) = &mut w.twin {
        twin.apart = true;
    }
    w.fronts = vec![front(switched)];
    w
}

/// Nothing of ours at it.
pub(crate) fn splitter(by: Split) -> Splitter {
    Splitter { by, unfit: None, weight: None, attempt: None, severed: false, gitops: None }
}

/// With so many pods of a second Deployment behind an Ingress, and the weight of the canary Ingress, if that is there.
pub(crate) fn weighed(pods: i32, weight: Option<u8>) -> Workload {
    let mut w = beside(pods);
    if let Some(twin) = &mut w.twin {
        (twin.apart, twin.split) = (true, Some(Split::Ingress("shop".into())));
    }
    w.fronts = vec![front(false)];
    w.weights = weight.map(|canary| Weights { canary, stable: 100 - canary });
    let attempt = weight.map(|_| "r318-2".to_owned());
    w.splitter = Some(Box::new(Splitter { weight, attempt, ..splitter(Split::Ingress("shop".into())) }));
    w
}

/// With so many pods of a second Deployment behind an HTTPRoute that copies so many percent of requests to them.
pub(crate) fn copying(pods: i32, percent: u8) -> Workload {
    let mut w = beside(pods);
    if let Some(twin) = &mut w.twin {
        (twin.apart, twin.mirrored, twin.split) = (true, true, Some(Split::HttpRoute("shop".into())));
    }
    w.fronts = vec![front(false)];
    let attempt = Some("r318-2".to_owned());
    w.splitter = Some(Box::new(Splitter { attempt, ..splitter(Split::HttpRoute("shop".into())) }));
    w.mirror = Some(Box::new(mirror(percent)));
    w
}

pub(crate) fn mirror(percent: u8) -> Mirror {
    Mirror { route: "shop".into(), unfit: None, percent, refused: None }
}

pub(crate) fn front(switched: bool) -> Front {
    let app = if switched { "checkout-tidegate" } else { "checkout" };
    Front {
        name: "checkout".into(),
        selector: BTreeMap::from([("app".into(), app.into())]),
        headless: false,
        switched,
        attempt: None,
    }
}

pub(crate) fn revision(hash: &str, image: &str, number: i64, pods: i32) -> Revision {
    Revision {
        hash: hash.into(),
        number,
        images: images(image),
        desired: pods,
        ready: pods,
        available: pods,
        created: at(-1000),
    }
}

/// The canary standing at the pause of the plan's step `i`.
pub(crate) fn standing(plan: &Plan, i: usize) -> Workload {
    let weight = plan.steps()[i].weight;
    let mut w = healthy();
    w.generation = 6;
    w.observed_generation = Some(6);
    w.phase = Phase::Paused;
    w.images = images(NEW_IMAGE);
    w.pauses = vec![super::next::AT_PAUSE.into()];
    w.step_index = Some(plan.pause_of(i));
    w.step_count = i32::try_from(plan.steps().len() * 2).unwrap();
    w.current_hash = Some(CANARY.into());
    w.weights = Some(Weights { canary: weight, stable: 100 - weight });
    w.attempt = Some("r318-1".into());
    w.revisions = vec![revision(CANARY, NEW_IMAGE, 42, 2), revision(GOOD, OLD_IMAGE, 41, 8)];
    w
}

/// The new version promoted and healthy.
pub(crate) fn promoted(plan: &Plan) -> Workload {
    let mut w = standing(plan, plan.steps().len() - 1);
    w.phase = Phase::Healthy;
    w.pauses.clear();
    w.step_index = Some(w.step_count);
    w.stable_hash = Some(CANARY.into());
    w.weights = Some(Weights { canary: 0, stable: 100 });
    w
}

pub(crate) fn verdict(class: Class, step: usize, t: DateTime<Utc>) -> Verdict {
    Verdict {
        at: t,
        step,
        class,
        words: "Canary errors 4.1 % against 0.3 % on stable: 13 times as many.".into(),
        metrics: Vec::new(),
        rule: 0,
        chance: None,
        limits: Limits::default(),
        canary: Side::default(),
        stable: Side::default(),
        watched: Span(60),
    }
}
