use super::*;
use crate::driver::What;
use crate::{observe, raw};
use chrono::Utc;
use model::ReleaseId;
use model::plan::Plan;
use model::workload::Workload;
use serde::Deserialize as _;
use serde_json::json;

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}})
}

fn rollout() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 7, "annotations": {
            "tidegate.dev/attempt": "r6-9", "rollout.argoproj.io/workload-generation": "4"}},
        "spec": {"workloadRef": {"kind": "Deployment", "name": "pods"}, "replicas": 2,
            "strategy": {"canary": {"steps": [{"setWeight": 10}]}}},
        "status": {"observedGeneration": "7", "workloadObservedGeneration": "4", "phase": "Healthy",
            "stableRS": "good", "currentPodHash": "good"},
    })
}

fn deployment(replicas: i32, generation: i64) -> Facts {
    let object = json!({
        "metadata": {"name": "pods", "namespace": "shop", "uid": "d", "generation": generation, "annotations": {
            "tidegate.dev/attempt": "r6-8", "deployment.kubernetes.io/revision": "3"}},
        "spec": {"replicas": replicas, "template": template()},
        "status": {"observedGeneration": generation},
    });
    observe::deployment("east", raw::Deployment::deserialize(object).unwrap())
}

struct Pair {
    workload: Workload,
    facts: Facts,
    source: Option<Facts>,
}

impl Pair {
    fn new(source: Option<Facts>) -> Self {
        let facts = observe::rollout("east", raw::Rollout::deserialize(rollout()).unwrap());
        let workload = observe::assemble(&facts, [].iter(), source.as_ref(), None, None, Utc::now());
        Self { workload, facts, source }
    }

    fn seen(&self) -> Seen<'_> {
        let source = self.source.as_ref();
        Seen {
            workload: &self.workload,
            facts: &self.facts,
            twin: None,
            fronts: &[],
            ingress: None,
            routes: &[],
            source,
            object: None,
        }
    }
}

fn good() -> KnownGood {
    KnownGood {
        config: Vec::new(),
        template: template(),
        steps: Some(json!([{"setWeight": 10}])),
        blue_green: None,
        hash: "good".into(),
        images: [("app".to_owned(), "web:1".to_owned())].into(),
        revision: Some(3),
    }
}

fn plan() -> Plan {
    serde_json::from_value(json!({
        "apiVersion": "tidegate.dev/v1", "kind": "Plan",
        "metadata": {"name": "web-2", "service": "web", "environment": "production"},
        "spec": {"change": {"images": {"app": "web:2"}}, "strategy": {"canary": {"steps":
            [{"weight": 5, "bake": "2m"}, {"weight": 100}]}}},
    }))
    .unwrap()
}

fn id() -> AttemptId {
    AttemptId("r7-1".into())
}

/// Where each request goes, and its operations.
fn told(requests: Requests) -> Vec<(String, Vec<Value>)> {
    let ops = |what: What| match what {
        What::Patch(_, patch) => patch.value().as_array().unwrap().clone(),
        other => panic!("{other:?}"),
    };
    requests.unwrap().into_iter().map(|r| (format!("{:?}/{}", r.key.kind, r.key.name), ops(r.what))).collect()
}

fn paths(ops: &[Value]) -> Vec<String> {
    ops.iter().map(|op| format!("{} {}", op["op"].as_str().unwrap(), op["path"].as_str().unwrap())).collect()
}

#[test]
fn the_rollouts_part_of_a_deploy_holds_no_template() {
    let (pair, plan, good) = (Pair::new(Some(deployment(0, 4))), plan(), good());
    let new = Incoming { plan: &plan, good: &good, release: ReleaseId(7) };
    let told = told(Referring.deploy(&pair.seen(), &id(), &new));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "Rollout/web");
    assert_eq!(
        paths(&told[0].1)[..4],
        [
            "test /status/stableRS",
            "test /status/currentPodHash",
            "add /spec/strategy/canary/steps",
            "add /metadata/annotations/tidegate.dev~1attempt",
        ]
    );
    assert!(!told[0].1.iter().any(|op| op["path"].as_str().unwrap().starts_with("/spec/template")));
}

#[test]
fn the_deployments_part_tests_its_own_mark_its_template_and_that_it_runs_nothing() {
    let (pair, plan, good) = (Pair::new(Some(deployment(0, 4))), plan(), good());
    let new = Incoming { plan: &plan, good: &good, release: ReleaseId(7) };
    let told = told(Referring.take_over(&pair.seen(), &id(), &new));
    let annotation = |key: &str| format!("/metadata/annotations/{key}");
    assert_eq!(
        told,
        [(
            "Deployment/pods".to_owned(),
            vec![
                json!({"op": "test", "path": annotation("tidegate.dev~1attempt"), "value": "r6-8"}),
                json!({"op": "test", "path": annotation("deployment.kubernetes.io~1revision"), "value": "3"}),
                json!({"op": "test", "path": "/spec/replicas", "value": 0}),
                json!({"op": "test", "path": "/spec/template", "value": template()}),
                json!({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:2"}),
                json!({"op": "add", "path": annotation("tidegate.dev~1attempt"), "value": "r7-1"}),
                json!({"op": "add", "path": annotation("tidegate.dev~1release"), "value": "7"}),
            ]
        )]
    );
}

/// With pods of its own the Deployment would bring the new version in past the canary.
#[test]
fn a_deployment_with_pods_of_its_own_is_refused_and_so_is_one_that_is_gone() {
    let (plan, good) = (plan(), good());
    let new = Incoming { plan: &plan, good: &good, release: ReleaseId(7) };
    for (source, words) in [(Some(deployment(3, 4)), "runs 3 pods of its own"), (None, "is not there")] {
        let pair = Pair::new(source);
        for refused in
            [Referring.deploy(&pair.seen(), &id(), &new), Referring.take_over(&pair.seen(), &id(), &new)]
        {
            let why = refused.unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
    // Going back is right all the same.
    let pair = Pair::new(Some(deployment(3, 4)));
    assert!(Referring.revert(&pair.seen(), &id(), &good, false).is_ok());
}

#[test]
fn the_way_back_marks_both_and_writes_the_template_to_the_deployment_only() {
    let pair = Pair::new(Some(deployment(0, 4)));
    for window in [false, true] {
        let told = told(Referring.revert(&pair.seen(), &id(), &good(), window));
        let at: Vec<_> = told.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(at, ["Rollout/web", "Deployment/pods"]);
        let opens = |path: &&String| *path == "add /spec/rollbackWindow";
        assert_eq!(paths(&told[0].1).iter().filter(opens).count(), usize::from(window));
        let touches = |op: &&Value| op["path"].as_str().unwrap().starts_with("/spec/template");
        assert_eq!(told[0].1.iter().filter(touches).count(), 0);
        assert_eq!(told[1].1.iter().filter(touches).count(), 1);
        for (_, ops) in &told {
            let mark =
                json!({"op": "add", "path": "/metadata/annotations/tidegate.dev~1attempt", "value": "r7-1"});
            assert!(ops.contains(&mark));
        }
    }
}

/// For a tenth of a second the controller says Healthy about the version before.
#[test]
fn a_newer_template_than_the_controller_has_seen_is_told() {
    let w = Pair::new(Some(deployment(0, 5))).workload;
    assert!(!w.observed());
    assert_eq!(w.phase, model::workload::Phase::Unknown);
    let w = Pair::new(Some(deployment(0, 4))).workload;
    assert!(w.observed());
    assert_eq!((w.phase, w.images["app"].as_str()), (model::workload::Phase::Healthy, "web:1"));
}
