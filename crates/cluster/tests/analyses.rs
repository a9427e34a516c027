//! The analyses that Argo Rollouts runs, as the cache shows them while they run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use cluster::{AnalysisRun, Change, Stage};
use common::{SOON, World};
use judge::argo::Phase;
use judge::argo::history::History;
use model::workload::Key;
use sandbox::Strategy;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Waits, from change to change, until the newest analysis of a Rollout is so; shows each look to `look`.
async fn until(
    world: &World,
    key: &Key,
    mut look: impl FnMut(&AnalysisRun),
    is: impl Fn(&AnalysisRun) -> bool,
) -> Arc<AnalysisRun> {
    let waiting = async {
        let mut changes = world.cluster.changes();
        loop {
            if let Some(run) = world.cluster.analyses(key).pop() {
                look(&run);
                if is(&run) {
                    return run;
                }
            }
            loop {
                match changes.recv().await {
                    Ok(Change::Workload(other)) if other != *key => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => panic!("the cache has ended"),
                }
            }
        }
    };
    match tokio::time::timeout(SOON, waiting).await {
        Ok(run) => run,
        Err(_) => panic!("not in time: {:#?}", world.cluster.analyses(key)),
    }
}

/// A template of one measurement a second that passes, for the version that it is asked about.
async fn quick_analysis(world: &World) {
    let prometheus =
        json!({"address": world.sandbox.info.prometheus_url, "query": "vector(1) # {{args.hash}}"});
    let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"name": "quick", "namespace": world.ns},
        "spec": {"args": [{"name": "hash"}], "metrics": [{"name": "one", "interval": "1s", "count": 100,
            "successCondition": "result[0] >= 0", "failureLimit": 3, "provider": {"prometheus": prometheus}}]}});
    world.sandbox.apply_yaml(&template.to_string()).await.unwrap();
}

#[tokio::test]
async fn each_measurement_is_seen_as_it_is_made() {
    let world = World::new("analyses").await;
    let key = world.rollout("web", 1, Strategy::Canary { nginx: false }).await;
    assert!(world.cluster.analyses(&key).is_empty());
    quick_analysis(&world).await;
    let analysis = json!({"templates": [{"templateName": "quick"}],
        "args": [{"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}]});
    let steps = json!([{"setWeight": 50}, {"analysis": analysis}, {"pause": {}}]);
    world.elsewhere(&key, json!({"spec": {"strategy": {"canary": {"steps": steps}}}})).await;
    world.deployed_elsewhere(&key, 2).await;

    let mut history = History::default();
    let count = |run: &AnalysisRun| run.status.metric_results.first().map_or(0, |r| r.count);
    let run = until(
        &world,
        &key,
        |run| {
            history.merge(&run.status.metric_results);
        },
        |run| count(run) >= 3,
    )
    .await;
    let hash = world.cluster.workload(&key).unwrap().current_hash.clone().unwrap();
    assert_eq!(run.stage, Stage::Step(Some(1)));
    assert_eq!(run.hash.as_deref(), Some(hash.as_str()));
    assert_eq!(run.status.phase, Phase::Running);
    let metric = &run.spec.metrics[0];
    assert_eq!((metric.success_condition.as_str(), metric.effective_count()), ("result[0] >= 0", Some(100)));
    let result = &run.status.metric_results[0];
    assert_eq!(result.metadata["ResolvedPrometheusQuery"], format!("vector(1) # {hash}"));
    assert!(
        result.measurements.iter().all(|m| m.value == "[1]" && m.phase == Phase::Successful),
        "{result:?}"
    );

    // Aborted, the release ends its analysis; what it came to stays to be written down.
    let aborted = world.cluster.abort(&key, &common::attempt("abort"), hash.as_str()).await.unwrap();
    assert!(aborted.is_applied(), "{aborted:?}");
    let over = until(
        &world,
        &key,
        |run| {
            history.merge(&run.status.metric_results);
        },
        |run| run.status.phase.completed(),
    )
    .await;
    assert_eq!((over.status.phase, over.uid.as_str()), (Phase::Successful, run.uid.as_str()));
    let (name, kept) = history.metrics().next().unwrap();
    assert_eq!((name, history.missed("one")), ("one", 0));
    assert_eq!(kept.len(), usize::try_from(count(&over)).unwrap());
}
