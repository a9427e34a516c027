//! Samples from the sandbox's own Prometheus, which scrapes the simulated users.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use chrono::Utc;
use cluster::{Prometheus, sample};
use common::{SOON, World};
use sandbox::Strategy;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn both_sides_are_read_while_a_canary_stands() {
    let world = World::new("metrics").await;
    let key = world.rollout("web", 4, Strategy::Canary { nginx: true }).await;
    let (good, w) = world.in_flight(&key).await;
    let canary = w.current_hash.clone().unwrap();
    let prometheus = Prometheus::new(&world.sandbox.info.prometheus_url).unwrap();
    let since = Utc::now();
    let deadline = Instant::now() + SOON;
    // Two scrapes are needed for a rate; there is no event for them.
    let sample = loop {
        let sample = sample(&prometheus, &w, &canary, &good.hash, 0, 20, Some(0.2), since, Utc::now()).await;
        if sample.canary.requests > 5.0 && sample.stable.p95_ms.is_some() && sample.canary.p95_ms.is_some() {
            break sample;
        }
        assert!(Instant::now() < deadline, "{sample:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(sample.error, None);
    assert!(sample.stable.requests > sample.canary.requests, "{sample:?}");
    assert!(sample.stable.errors <= sample.stable.requests);
    assert!(sample.stable_recent.requests > 0.0 && sample.canary_recent.requests > 0.0, "{sample:?}");
    let latency = sample.latency.unwrap();
    assert_eq!(latency.stable.len(), latency.bounds_ms.len() + 1);
    let all = latency.stable.last().unwrap();
    assert!((all / sample.stable.requests - 1.0).abs() < 0.2, "{latency:?} of {:?}", sample.stable);
    let p95 = sample.stable.p95_ms.unwrap();
    assert!((1.0..10_000.0).contains(&p95), "milliseconds: {p95}");
}

#[tokio::test]
async fn no_data_is_said_and_never_a_number() {
    let world = World::new("nodata").await;
    let key = world.rollout("web", 1, Strategy::Canary { nginx: false }).await;
    let mut w = (*world.cluster.workload(&key).unwrap()).clone();
    w.service = "nobody-calls-this".into();
    let prometheus = Prometheus::new(&world.sandbox.info.prometheus_url).unwrap();
    let now = Utc::now();
    let empty = sample(&prometheus, &w, "bbb", "aaa", 1, 25, None, now, now).await;
    assert!(
        empty.error.unwrap().contains("no series http_requests_total with service=\"nobody-calls-this\"")
    );
    assert_eq!((empty.canary.requests, empty.stable.requests), (0.0, 0.0));

    let nobody = Prometheus::new("http://127.0.0.1:1").unwrap();
    let unread = sample(&nobody, &w, "bbb", "aaa", 1, 25, None, now, now).await;
    let words = unread.error.unwrap();
    assert!(words.starts_with("Prometheus at http://127.0.0.1:1/ does not answer"), "{words}");

    let refused = prometheus.query("sum(", now).await.unwrap_err().to_string();
    assert!(refused.contains("refuses the query: ") && refused.contains("parse error"), "{refused}");
}
