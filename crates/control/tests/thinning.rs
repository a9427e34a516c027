//! Old samples get fewer and, in the end, go; verdicts come out as before for as long as there is one.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use chrono::{DateTime, TimeDelta, Utc};
use control::{Thinned, thin_samples};
use judge::Replayed;
use model::audit::NewEvent;
use model::release::Release;
use model::verdict::{Class, Limits, Sample, Side, Verdict};
use model::{Actor, ReleaseId};
use serde_json::json;
use std::time::Duration;
use store::Store;
use store::test_support::database;

const KEEP: TimeDelta = TimeDelta::days(400);

/// A release that stands at the plan's second step, or has ended.
async fn release(store: &Store, name: &str, ended: Option<DateTime<Utc>>) -> ReleaseId {
    let text = format!(
        "apiVersion: tidegate.dev/v1\nkind: Plan\nmetadata: {{name: {name}, service: {name}, environment: production}}\n\
         spec:\n  change: {{images: {{app: 'shop/{name}:1.1.0'}}}}\n  strategy: {{canary: {{steps: [{{weight: 20, bake: 1h, \
         gates: [analysis]}}, {{weight: 100}}]}}}}\n  approvals: {{required: 1, from: [approver], expire: 24h}}\n"
    );
    let plan = model::plan::read::from_yaml(&text).unwrap().plan;
    let digest = plan.digest();
    let actor = Actor::system("test");
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_plan(&plan, &digest, &actor, Utc::now()).await.unwrap();
    let mut event = NewEvent::new(Utc::now(), &actor, "plan.created", "for a test");
    event.plan = Some(id);
    tx.commit(event).await.unwrap();
    let state = if ended.is_some() { "succeeded" } else { "running" };
    let release: Release = serde_json::from_value(json!({
        "id": 0, "plan": id, "plan_version": 1, "digest": digest, "service": name, "environment": "production",
        "workload": {"cluster": "demo", "namespace": "nowhere", "kind": "Rollout", "name": name},
        "images": {"app": "shop/web:1.1.0"}, "state": state, "course": "forward", "reason": null,
        "known_good": {"template": {}, "steps": null, "hash": "aaaa", "images": {}, "revision": null},
        "canary_hash": "bbbb", "step": 1, "step_since": Utc::now(), "baked": "0s", "passed": [], "opened": {},
        "waived": {}, "hold": null, "verdict": null, "attempt": null, "attempts": 1, "started_by": "Mara",
        "created": Utc::now(), "started": Utc::now(), "ended": ended, "note": null
    }))
    .unwrap();
    let mut tx = store.begin().await.unwrap();
    let release = tx.insert_release(&release).await.unwrap();
    let mut event = NewEvent::new(Utc::now(), &actor, "release.started", "for a test");
    event.release = Some(release);
    tx.commit(event).await.unwrap();
    release
}

/// Looks at a step from a time on, three seconds apart, and the verdicts that came of them: good, blind for a while, failing.
async fn watched(store: &Store, release: ReleaseId, step: usize, from: DateTime<Utc>, looks: u32) {
    let limits = Limits::default();
    let (mut samples, mut last): (Vec<Sample>, Option<Class>) = (Vec::new(), None);
    let mut errors = 0.0;
    for i in 0..looks {
        let requests = f64::from(i + 1) * 20.0;
        errors += if i > looks - 60 { 8.0 } else { 0.02 };
        let side = |requests, errors| Side { requests, errors, p95_ms: Some(180.0) };
        let sample = Sample {
            at: from + TimeDelta::seconds(i64::from(i) * 3),
            step,
            weight: 20,
            stable: side(requests * 4.0, requests * 0.02),
            canary: side(requests, errors),
            stable_recent: side(800.0, 4.0),
            canary_recent: side(200.0, 1.0),
            latency: None,
            asked: None,
            error: (looks / 2..looks / 2 + 20).contains(&i).then(|| "no answer".to_owned()),
            p95_range: None,
            stands_for: 1,
        };
        store.insert_sample(release, &sample).await.unwrap();
        samples.push(sample);
        // Not at each look, to spare time.
        if !i.is_multiple_of(4) {
            continue;
        }
        let seen = &samples[samples.len().saturating_sub(judge::LOOKS)..];
        let verdict = judge::verdict(seen, step, &limits, samples[samples.len() - 1].at);
        if last != Some(verdict.class) && last != Some(Class::Fail) {
            last = Some(verdict.class);
            store.insert_verdict(release, &verdict).await.unwrap();
        }
    }
}

async fn replayed(store: &Store, release: ReleaseId) -> (usize, Vec<Verdict>, Vec<Replayed>) {
    let samples = store.samples(release, None, 30_000).await.unwrap();
    let verdicts = store.verdicts(release).await.unwrap();
    let replayed = judge::replay(&samples, &verdicts, |v| v);
    (samples.len(), verdicts, replayed)
}

/// Postgres keeps microseconds.
fn whole_second() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap()
}

async fn round(store: &Store, now: DateTime<Utc>) -> Thinned {
    thin_samples(store, now, KEEP, Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn old_samples_are_one_a_minute_and_their_verdicts_replay_as_before() {
    let db = database().await;
    let store = &db.store;
    let now = whole_second();
    let over = release(store, "over", Some(now - TimeDelta::days(1))).await;
    let here = release(store, "here", None).await;
    let long_ago = now - TimeDelta::days(3);
    // More than a verdict looks back on.
    watched(store, over, 0, long_ago, 1400).await;
    watched(store, over, 1, long_ago + TimeDelta::hours(2), 100).await;
    watched(store, here, 0, long_ago, 100).await;
    // The step in force, and one that ended an hour ago.
    watched(store, here, 1, long_ago + TimeDelta::hours(1), 100).await;
    let young = release(store, "young", Some(now - TimeDelta::hours(1))).await;
    watched(store, young, 0, now - TimeDelta::hours(2), 100).await;

    let before = replayed(store, over).await;
    assert!(before.1.len() >= 6 && before.2.iter().all(|r| *r == Replayed::Same), "{:?}", before.1.len());
    let done = round(store, now).await;
    assert_eq!(done.kept + done.removed, 1600, "{done:?}");
    let after = replayed(store, over).await;
    assert_eq!((&after.1, &after.2), (&before.1, &before.2), "every figure and word");
    assert!(after.0 < 110, "{} samples left of 1,500", after.0);
    let left = store.samples(over, None, 30_000).await.unwrap();
    assert_eq!(left.iter().map(|s| s.stands_for).sum::<u32>(), 1500);
    // The last of a step stays, at its own time.
    let last = left.iter().filter(|s| s.step == 0).map(|s| s.at).max().unwrap();
    assert_eq!((last - long_ago).num_seconds(), 1399 * 3);
    let here = store.samples(here, None, 30_000).await.unwrap();
    assert_eq!(here.iter().filter(|s| s.step == 1).count(), 100, "verdicts may still come of them");
    assert!(here.iter().filter(|s| s.step == 0).count() < 15);
    assert_eq!(replayed(store, young).await.0, 100);
    assert_eq!(round(store, now).await, Thinned::default(), "nothing twice");
}

#[tokio::test]
async fn a_step_of_many_pages_replays_as_before() {
    let db = database().await;
    let store = &db.store;
    let now = whole_second();
    let over = release(store, "long", Some(now - TimeDelta::days(1))).await;
    watched(store, over, 0, now - TimeDelta::days(3), 6600).await;
    let before = replayed(store, over).await;
    let done = round(store, now).await;
    assert_eq!(done.kept + done.removed, 6600, "{done:?}");
    let after = replayed(store, over).await;
    assert_eq!((&after.1, &after.2), (&before.1, &before.2));
    assert!(before.2.iter().all(|r| *r == Replayed::Same) && after.0 < 400, "{}", after.0);
}

#[tokio::test]
async fn samples_of_a_release_that_ended_too_long_ago_go() {
    let db = database().await;
    let store = &db.store;
    let now = whole_second();
    let old = release(store, "old", Some(now - TimeDelta::days(401))).await;
    watched(store, old, 0, now - TimeDelta::days(402), 60).await;
    let kept = release(store, "kept", Some(now - TimeDelta::days(399))).await;
    watched(store, kept, 0, now - TimeDelta::days(399), 60).await;
    let done = round(store, now).await;
    assert_eq!(done.expired, 60, "{done:?}");
    assert_eq!(replayed(store, old).await.0, 0);
    assert!(replayed(store, kept).await.0 > 0);
    assert!(!store.verdicts(old).await.unwrap().is_empty(), "what was concluded stays");
}
