//! Analyses that the controller runs for a release: kept with every measurement, and told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, Replica, World, people};
use kube::api::{Patch, PatchParams};
use model::release::State;
use model::view::{AnalysisPhase, AnalysisView};
use model::workload::{Key, Phase};
use model::{Actor, ReleaseId};
use sandbox::Strategy;
use serde_json::{Value, json};
use std::time::Duration;

impl World {
    /// A template `check` that asks Prometheus with the metric's fields.
    async fn checks(&self, fields: Value, query: &str) {
        let mut metric = json!({"name": "seen", "provider": {"prometheus": {
            "address": self.sandbox.info.prometheus_url, "query": query}}});
        metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": {"name": "check", "namespace": self.namespace},
            "spec": {"args": [{"name": "who", "value": "everybody"}], "metrics": [metric]}});
        self.sandbox.apply_yaml(&template.to_string()).await.unwrap();
    }
}

impl Replica {
    /// Waits, from announcement to announcement, until the newest analysis on the release's page is so.
    async fn until(&self, who: &Actor, id: ReleaseId, is: impl Fn(&AnalysisView) -> bool) -> AnalysisView {
        let mut heard = self.control.subscribe();
        let found = async {
            loop {
                let mut all = self.control.release(who, id).await.unwrap().live.analyses;
                if let Some(run) = all.pop().filter(|run| is(run)) {
                    return run;
                }
                let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(run) => run,
            Err(_) => panic!("not in time: {:#?}", self.control.analyses(who, id).await),
        }
    }
}

fn analysis() -> Value {
    json!({"templates": [{"templateName": "check"}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_measurement_is_kept_though_the_controller_keeps_ten_and_tidegate_dies_meanwhile() {
    let world = World::new().await;
    let fields = json!({"interval": "1s", "count": 15, "successCondition": "result[0] > 0"});
    world.checks(fields, "vector(time())").await;
    world.own(json!([{"setWeight": 20}, {"analysis": analysis()}, {"setWeight": 60}])).await;
    let first = world.replica("a");
    let people = people(&first.control).await;
    let id = first.release(&people, &world.plan_by("1.1.0", "{follow: {}}")).await;
    let made = |n: u32| move |run: &AnalysisView| run.metrics.iter().any(|m| m.made >= n);
    let run = first.until(&people.viewer, id, made(3)).await;
    assert_eq!((run.stage.as_str(), run.phase), ("Step 2 of the Rollout", AnalysisPhase::Running));
    assert_eq!(run.args, [("who".to_owned(), "everybody".to_owned())]);
    first.kill();

    let second = world.replica("b");
    second.wait_state(id, State::Succeeded).await;
    let run = second.until(&people.viewer, id, |run| run.phase == AnalysisPhase::Passed).await;
    let metric = &run.metrics[0];
    assert_eq!((metric.made, metric.missed, metric.rhythm.as_str()), (15, 0, "every 1s, 15 times"));
    assert_eq!(metric.conditions, [("Passes where".to_owned(), "result[0] > 0".to_owned())]);
    // Its own status has the newest ten.
    let live = world.cluster.analyses(&world.key());
    assert_eq!(live.last().unwrap().status.metric_results[0].measurements.len(), 10);
    let all = second.control.analyses(&people.viewer, id).await.unwrap();
    assert_eq!(all.len(), 1);
    let kept = &all[0].metrics[0].measurements;
    assert_eq!(kept.iter().map(|m| m.number).collect::<Vec<_>>(), (1..=15).collect::<Vec<_>>());
    let time =
        |m: &model::view::AnalysisMeasurement| m.value.trim_matches(['[', ']']).parse::<f64>().unwrap();
    assert!(kept.windows(2).all(|w| time(&w[0]) < time(&w[1]) && w[0].at < w[1].at), "{kept:#?}");
    assert!(kept.iter().all(|m| m.phase == AnalysisPhase::Passed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analysis_that_fails_is_kept_with_its_reason_after_the_way_back() {
    let world = World::new().await;
    let fields =
        json!({"interval": "1s", "count": 20, "failureLimit": 1, "failureCondition": "result[0] > 0"});
    world.checks(fields, "vector(1)").await;
    world.own(json!([{"setWeight": 20}, {"analysis": analysis()}, {"setWeight": 60}])).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = replica.release(&people, &world.plan_by("1.1.0", "{follow: {}}")).await;
    replica.wait_state(id, State::RolledBack).await;
    let run = replica.until(&people.viewer, id, |run| run.phase == AnalysisPhase::Failed).await;
    assert!(run.message.contains("failed (2) > failureLimit (1)"), "{}", run.message);
    let metric = &run.metrics[0];
    let failed: Vec<_> = metric.limits.iter().filter(|l| l.over).map(|l| l.words.as_str()).collect();
    assert_eq!(failed, ["failed 2, at most 1"]);
    assert!(metric.findings.iter().any(|f| f.happens.starts_with("Only what fails is said")), "{metric:#?}");
    assert!(metric.measurements.iter().all(|m| m.phase == AnalysisPhase::Failed && m.value == "1"));
    assert_eq!(metric.missed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analysis_before_the_switch_of_a_blue_green_release_is_kept() {
    let world = World::new().await;
    world.checks(json!({"successCondition": "result[0] == 1"}), "vector(1)").await;
    let manifest = sandbox::Workload {
        namespace: world.namespace.clone(),
        name: "search".into(),
        replicas: 1,
        image: "registry.example.com/shop/search:1.0.0".into(),
        strategy: Strategy::BlueGreen,
        rps: 50.0,
    };
    world.sandbox.apply_yaml(&manifest.manifest()).await.unwrap();
    let key = Key { name: "search".into(), ..world.key() };
    assert!(world.cluster.wait_for(&key, DEADLINE, |w| w.phase == Phase::Healthy).await.is_some());
    let own = json!({"spec": {"strategy": {"blueGreen": {"prePromotionAnalysis": analysis()}}}});
    world.rollouts().await.patch("search", &PatchParams::default(), &Patch::Merge(own)).await.unwrap();
    assert!(
        world.cluster.wait_for(&key, DEADLINE, |w| w.phase == Phase::Healthy && w.observed()).await.is_some()
    );

    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let plan = world.plan_by("1.1.0", "{blueGreen: {preview: {bake: 1s}}}");
    let plan = plan.replace("name: web}", "name: search}").replace("shop/web", "shop/search");
    let plan = plan.replace("service: web", "service: search");
    let id = replica.release(&people, &plan).await;
    replica.wait_state(id, State::Succeeded).await;
    let run = replica.until(&people.viewer, id, |run| run.phase == AnalysisPhase::Passed).await;
    assert_eq!(run.stage, "Before the switch");
    let shown: Vec<_> = run.metrics[0].measurements.iter().map(|m| (m.number, m.value.as_str())).collect();
    assert_eq!(shown, [(1, "1")]);
    // Without a release the page of the service shows what runs, or lately ran.
    let page = replica.control.service(&people.viewer, &key).await.unwrap();
    assert_eq!(page.analyses.iter().map(|run| run.stage.as_str()).collect::<Vec<_>>(), ["Before the switch"]);
}
