//! Made-up pages for tests: the release of the look, at Wed 18 Nov 2026, 14:05:43 UTC.

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use model::audit::{Event, NewEvent};
use model::release::State;
use model::rollback::{Call, Pace, Route};
use model::verdict::{Class, Limits, MetricVerdict, Sample, Side, Verdict};
use model::view::*;
use model::workload::{Key, Kind, Phase, Revision, Strategy, Workload};
use model::{Digest, PlanId, ReleaseId, Seq, Span, Via};
use std::collections::BTreeMap;

mod flags;
mod plan;

pub(super) use flags::{flag, flag_key, flag_row, flags, proposal};
pub(super) use plan::plan;

pub(super) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 18, 14, 5, 43).unwrap()
}

fn before(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

pub(super) fn age() -> Age {
    Age { now: now(), cluster: Some(before(2)), database: true }
}

pub(super) fn digest() -> Digest {
    Digest("sha256:9f2c61d0b7e4a85513c0f2de9967aa10c4d8e6f3b2719d5ce80f4a6b1d3941ab".into())
}

pub(super) fn key(name: &str) -> Key {
    Key { cluster: "eu-west-1".into(), namespace: "shop".into(), kind: Kind::Rollout, name: name.into() }
}

fn images(tag: &str) -> BTreeMap<String, String> {
    [("app".to_owned(), format!("registry.example.com/shop/checkout:{tag}"))].into()
}

fn revision(hash: &str, number: i64, tag: &str, pods: i32) -> Revision {
    Revision {
        hash: hash.into(),
        number,
        images: images(tag),
        desired: pods,
        ready: pods,
        available: pods,
        created: before(210),
    }
}

pub(super) fn preview() -> RollbackPreview {
    RollbackPreview {
        from_version: "1.42.0".into(),
        to_version: "1.41.3".into(),
        to_hash: "6c8f9d7b54".into(),
        weight: 25,
        to_revision: Some(41),
        ready: 18,
        desired: 18,
        route: Route {
            calls: vec![Call::Abort, Call::Revert],
            pace: Pace::Seconds,
            because: "The update is in flight: the known-good pods are running, only the traffic moves."
                .into(),
        },
        takes: "about 4 s".into(),
        steps: vec![
            "Canary weight 25 % to 0 %.".into(),
            "All traffic goes to revision 41. Its 18 pods are running; nothing starts cold.".into(),
            "This release ends as rolled back.".into(),
        ],
        cannot_undo: vec!["Migration 0087_add_tax_region stays.".into()],
    }
}

fn gate(kind: &str, name: &str, state: GateState, figure: &str, note: Option<&str>) -> GateView {
    GateView {
        kind: kind.into(),
        name: name.into(),
        state,
        figure: figure.into(),
        note: note.map(str::to_owned),
    }
}

fn steps() -> Vec<StepView> {
    use GateState::{Closed, Failed, Passed, Waiting};
    let step = |weight, state, words: &str, gates| StepView {
        weight,
        name: format!("{weight}\u{a0}%"),
        state,
        words: words.into(),
        gates,
    };
    vec![
        step(
            5,
            StepState::Passed,
            "passed 14:04:20",
            vec![
                gate("analysis", "Analysis", Passed, "pass", Some("148 requests, 1 error")),
                gate("bake", "Bake", Passed, "2:00 of 2:00", None),
            ],
        ),
        step(
            25,
            StepState::Held,
            "held here",
            vec![
                gate("analysis", "Analysis", Failed, "fail", Some("since 14:05:31, errors 13 times stable")),
                gate(
                    "approval",
                    "Approval, on-call",
                    Closed,
                    "0 of 1",
                    Some("is asked when the analysis passes"),
                ),
                gate("bake", "Bake", Waiting, "1:11 of 5:00", Some("stopped while held")),
            ],
        ),
        step(50, StepState::Closed, "closed", vec![gate("bake", "Bake", Closed, "10:00", None)]),
        step(100, StepState::Closed, "closed", vec![gate("analysis", "Analysis", Closed, "guard", None)]),
    ]
}

fn samples() -> Vec<Sample> {
    (0..43_u32)
        .map(|i| {
            let at = before(212) + TimeDelta::seconds(i64::from(i) * 5);
            let second = i >= 26;
            let seen = if second { f64::from(i - 25) * 25.0 } else { f64::from(i) * 15.0 };
            let errors = if second { (f64::from(i - 25) * 0.3).min(4.1) } else { 0.4 };
            let side = |requests: f64, percent: f64, p95| Side {
                requests,
                errors: requests * percent / 100.0,
                p95_ms: Some(p95),
            };
            Sample {
                at,
                step: usize::from(second),
                weight: if second { 25 } else { 5 },
                stable: side(1236.0, 0.3, 182.0),
                canary: side(seen, errors, 191.0),
                stable_recent: side(530.0, 0.2 + f64::from(i % 4) * 0.06, 180.0 + f64::from(i % 5)),
                canary_recent: side(170.0, errors, 188.0 + f64::from(i % 7)),
                latency: None,
                asked: None,
                error: None,
                p95_range: None,
                stands_for: 1,
            }
        })
        .collect()
}

pub(super) fn verdict() -> Verdict {
    Verdict {
        at: before(12),
        step: 1,
        class: Class::Fail,
        words: "Canary errors 4.1 % against 0.3 % on stable: 13 times as many.".into(),
        metrics: vec![
            MetricVerdict {
                name: "Errors, 5xx".into(),
                class: Class::Fail,
                figures: "4.1 % / 0.3 %".into(),
                why: "Above the limit of 1 %.".into(),
            },
            MetricVerdict {
                name: "Latency p95".into(),
                class: Class::Pass,
                figures: "191 / 182 ms".into(),
                why: "Under 1.5 times stable.".into(),
            },
        ],
        rule: 2,
        chance: Some("At most 1 in 9,851.".into()),
        limits: Limits {
            min_requests: 100,
            max_error_percent: 1.0,
            max_p95_ms: Some(250.0),
            max_error_ratio: 1.2,
            max_p95_ratio: 1.5,
        },
        canary: Side { requests: 412.0, errors: 17.0, p95_ms: Some(191.0) },
        stable: Side { requests: 1236.0, errors: 4.0, p95_ms: Some(182.0) },
        watched: Span(71),
    }
}

/// The release of the look: failing, held at 25 %.
pub(super) fn release() -> ReleasePage {
    let no = || Deed::no("The analysis fails. Wait for a pass, or roll back.");
    let live = ReleaseLive {
        state: State::Paused,
        badge: "Failing, held".into(),
        headline: "The canary fails, so it is held at 25 %.".into(),
        headline_small: Some("Three in four requests are not touched.".into()),
        due: Some((now() + TimeDelta::seconds(48), "auto rollback".into())),
        weight: 25,
        ceiling: 25,
        rising: false,
        next: Some(("Next gate, to 50 %: closed.".into(), "Analysis must pass; it fails.".into())),
        steps: steps(),
        step: Some(1),
        verdict: Some(verdict()),
        preview: None,
        rollback: Some(preview()),
        back: None,
        reminder: None,
        policy: None,
        stall: None,
        incidents: Vec::new(),
        ways: Vec::new(),
        analyses: Vec::new(),
        revisions: vec![revision("b2", 42, "1.42.0", 6), revision("a1", 41, "1.41.3", 18)],
        canary_hash: Some("b2".into()),
        stable_hash: Some("a1".into()),
        pause: Deed::yes(),
        resume: Deed::yes(),
        promote: no(),
        promote_full: no(),
        retry: None,
        skip: no(),
        abort: Deed::yes(),
        roll_back: Deed::yes(),
        open_gate: None,
        age: age(),
    };
    let item = |seq, ago, actor: &str, action: &str, summary: &str, reason: Option<&str>| TimelineItem {
        seq: Seq(seq),
        at: before(ago),
        actor: actor.into(),
        action: action.into(),
        summary: summary.into(),
        reason: reason.map(str::to_owned),
    };
    ReleasePage {
        id: ReleaseId(318),
        service: "checkout".into(),
        environment: "production".into(),
        workload: key("checkout"),
        version: "1.42.0".into(),
        from_version: "1.41.3".into(),
        plan: PlanId(7),
        plan_name: "checkout-1-42-0".into(),
        plan_version: 3,
        digest: digest(),
        images: images("1.42.0"),
        reference: Some("https://git.example.com/shop/checkout/compare/v1.41.3...v1.42.0".into()),
        started_by: "Mara Lind".into(),
        created: before(215),
        started: Some(before(212)),
        ended: None,
        approvals: vec![approval(ApprovalState::Approved)],
        approvals_required: 1,
        limits: verdict().limits,
        analysed: true,
        live,
        weights: [(203, 0, 5), (200, 5, 5), (90, 5, 25), (83, 25, 25)]
            .map(|(ago, weight, ceiling)| WeightPoint { at: before(ago), weight, ceiling })
            .to_vec(),
        samples: samples(),
        reports: Vec::new(),
        markup: ReleaseMarkup::default(),
        marks: vec![(before(203), "5 %".into()), (before(83), "25 %".into())],
        verdicts: vec![
            (before(180), Class::NoData),
            (before(120), Class::Pass),
            (before(40), Class::Marginal),
            (before(12), Class::Fail),
        ],
        timeline: vec![
            item(9, 12, "Tidegate, conductor", "release.paused", "Held at 25 %", None),
            item(8, 12, "Tidegate, guard", "release.verdict.fail", "Verdict: fail", Some("17 of 412 failed")),
            item(7, 83, "Tidegate, conductor", "release.weight.raised", "Weight 5 % to 25 %", None),
            item(6, 212, "Mara Lind", "release.started", "Release started", None),
        ],
        expected: Span(1200),
    }
}

/// One that failed in its second metric, with a template that will surprise, and long names.
pub(super) fn analysis() -> AnalysisView {
    use AnalysisPhase::{Error, Failed, Passed};
    let measurement = |number: u32, phase, value: &str| AnalysisMeasurement {
        number,
        phase,
        at: Some(before(i64::from(60 - number))),
        value: value.into(),
        message: String::new(),
    };
    let limit = |words: &str, over| AnalysisLimit { words: words.into(), over };
    let metric = |name: &str, phase, measurements: Vec<AnalysisMeasurement>| AnalysisMetric {
        name: name.into(),
        phase,
        dry_run: false,
        source: "Prometheus".into(),
        conditions: vec![("Passes where".into(), "result[0] >= 0.95".into())],
        rhythm: "every 30s, 20 times".into(),
        limits: vec![limit("failed 0, at most 3", false), limit("errors in a row 0, at most 4", false)],
        message: String::new(),
        made: measurements.last().map_or(0, |m| m.number),
        missed: 0,
        measurements,
        findings: Vec::new(),
    };
    let mut slow = metric(
        "a-metric-with-a-name-that-is-longer-than-any-line-on-a-telephone",
        Failed,
        vec![measurement(14, Passed, "0.9877"), measurement(15, Failed, "0.81"), measurement(16, Error, "")],
    );
    slow.missed = 2;
    slow.limits[0] = limit("failed 4, at most 3", true);
    slow.findings = vec![AnalysisFinding {
        weight: "warning".into(),
        happens: "The > in the query is a filter: it answers with nothing, not with 0, where it is not."
            .into(),
        instead: "Take the comparison out of the query, and into the condition.".into(),
    }];
    let mut dry = metric("dry", Passed, vec![measurement(1, Passed, "1")]);
    dry.dry_run = true;
    AnalysisView {
        uid: "0b9f".into(),
        by: "Argo Rollouts".into(),
        name: "checkout-6c8f9d7b54-42-2".into(),
        stage: "Step 2 of the Rollout".into(),
        phase: Failed,
        message: "Metric \"slow\" assessed Failed due to failed (4) > failureLimit (3)".into(),
        started: Some(before(60)),
        ended: Some(before(12)),
        args: vec![("service".into(), "checkout".into())],
        metrics: vec![slow, dry],
        findings: Vec::new(),
    }
}

pub(super) fn approval(state: ApprovalState) -> ApprovalView {
    ApprovalView {
        person: 2,
        name: "Ayo Okafor".into(),
        state,
        version: 3,
        digest: digest(),
        comment: Some("Read it.".into()),
        at: before(1400),
        expires: now() + TimeDelta::hours(23),
    }
}

pub(super) fn release_row(state: State) -> ReleaseRow {
    ReleaseRow {
        id: ReleaseId(318),
        plan: PlanId(7),
        plan_version: 3,
        service: "checkout".into(),
        environment: "production".into(),
        version: "1.42.0".into(),
        from_version: "1.41.3".into(),
        state,
        words: "Errors 4.1 % against 0.3 %.".into(),
        weight: 25,
        ceiling: 25,
        ticks: vec![5, 25, 50, 100],
        started_by: "Mara Lind".into(),
        created: before(215),
        ended: state.ended().then(|| before(10)),
    }
}

pub(super) fn workload_row(name: &str, phase: Phase) -> WorkloadRow {
    WorkloadRow {
        key: key(name),
        service: name.into(),
        environment: "production".into(),
        version: "1.41.3".into(),
        incoming: (phase != Phase::Healthy).then(|| "1.42.0".into()),
        phase,
        message: (phase == Phase::Degraded).then(|| "ProgressDeadlineExceeded".into()),
        strategy: Strategy::Canary,
        weight: if phase == Phase::Healthy { 0 } else { 25 },
        ready: 24,
        replicas: 24,
        since: before(300),
        release: None,
    }
}

fn known_good(version: &str, days: i64, revision: Option<i64>, standing: Standing) -> KnownGoodRow {
    KnownGoodRow {
        version: version.into(),
        hash: format!("hash-of-{version}"),
        since: before(days * 86_400),
        until: (standing == Standing::Older).then(|| before(9 * 86_400)),
        release: revision.map(|_| ReleaseId(311)),
        revision,
        ready: if revision.is_some() { 18 } else { 0 },
        standing,
        path: format!("/services/main/shop/Rollout/checkout/rollback?to=hash-of-{version}"),
        roll_back: Deed::yes(),
    }
}

pub(super) fn service() -> ServicePage {
    let workload = Workload {
        key: key("checkout"),
        service: "checkout".into(),
        environment: "production".into(),
        uid: "u".into(),
        resource_version: "1".into(),
        generation: 4,
        observed_generation: Some(4),
        strategy: Strategy::Canary,
        phase: Phase::Degraded,
        message: Some("ProgressDeadlineExceeded".into()),
        replicas: 24,
        ready: 24,
        updated: 6,
        available: 24,
        images: images("1.42.0"),
        spec_paused: false,
        abort: false,
        promote_full: false,
        pauses: Vec::new(),
        step_index: Some(1),
        step_count: 4,
        stable_hash: Some("a1".into()),
        current_hash: Some("b2".into()),
        weights: Some(model::workload::Weights { canary: 25, stable: 75 }),
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
        gitops: model::gitops::App::named("argocd_checkout"),
        twin: None,
        fronts: Vec::new(),
        splitter: None,
        mirror: None,
        recreates: false,
        revisions: vec![revision("b2", 42, "1.42.0", 6), revision("a1", 41, "1.41.3", 18)],
        created: before(900_000),
        since: before(300),
    };
    ServicePage {
        row: workload_row("checkout", Phase::Degraded),
        workload,
        releases: vec![release_row(State::Paused), release_row(State::RolledBack)],
        rollback: Some(preview()),
        roll_back: Deed::yes(),
        known_good: vec![
            known_good("1.41.3", 9, Some(41), Standing::Target),
            known_good("1.40.2", 30, None, Standing::Older),
        ],
        stall: None,
        incidents: Vec::new(),
        ways: Vec::new(),
        breaker: None,
        policy: None,
        recovery: None,
        config: None,
        sync: None,
        restart: Deed::no("Release 318 is under way. Restart it when that has ended."),
        restart_does: Vec::new(),
        analyses: Vec::new(),
        write_plan: Deed::no("As on-call you may not write plans in production. Ask: release manager."),
        age: age(),
    }
}

pub(super) fn event(n: i64) -> Event {
    let mut event = NewEvent::new(
        before(60 - n),
        &model::Actor::system("conductor"),
        "release.weight.raised",
        "Weight 5 % to 25 %",
    );
    event.release = Some(ReleaseId(318));
    event.service = Some("checkout".into());
    event.detail = serde_json::json!({ "from": 5, "to": 25 });
    debug_assert_eq!(event.via, Via::System);
    Event { seq: Seq(n), event, previous: "00".into(), hash: "b41f".into() }
}
