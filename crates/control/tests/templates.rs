//! AnalysisTemplates that Tidegate evaluates by itself, for a Deployment that Argo Rollouts knows nothing of.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod common;
#[path = "common/mailer.rs"]
mod mailer;

use common::{DEADLINE, Replica, World, people};
use mailer::did;
use model::checked::Outcome;
use model::conductor::Effect;
use model::release::{Release, State};
use model::view::{AnalysisPhase, AnalysisView, GateState};
use model::{Actor, FieldError, ReleaseId};
use serde_json::{Value, json};
use std::time::Duration;

/// The demo's templates, as a team wrote them.
const TEAMS: &str = include_str!("../../../sandbox/demo/agent-platform.yaml");

/// The template of this name among them, in another namespace and nothing else changed.
fn theirs(name: &str, namespace: &str) -> String {
    let of_name = |d: &&str| d.contains("kind: AnalysisTemplate") && d.contains(&format!("name: {name}\n"));
    let document = TEAMS.split("\n---\n").find(of_name).expect("it is in the demo");
    document.replace("\n  namespace: agent-platform\n", &format!("\n  namespace: {namespace}\n"))
}

/// The same, asked every second.
fn quick(text: &str) -> String {
    assert!(text.contains("interval: 60s"));
    text.replace("interval: 60s", "interval: 1s")
}

const RATE: &str = "{name: success-rate-analysis, args: {service-name: mailer, namespace: '{{namespace}}'}}";

impl World {
    /// A template of one metric.
    async fn names(&self, name: &str, query: &str, more: Value) {
        let mut metric = json!({"name": "seen", "provider": {"prometheus": {"address": "http://prometheus:9090", "query": query}}});
        metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": {"metrics": [metric]}});
        self.sandbox.apply_yaml(&template.to_string()).await.unwrap();
    }
}

fn canary(templates: &str) -> String {
    format!("{{canary: {{steps: [{{weight: 50, templates: [{templates}]}}, {{weight: 100}}]}}}}")
}

impl Replica {
    /// Waits, from announcement to announcement, until the page's newest analysis is so.
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

    /// What was stored comes out the same again.
    async fn replays(&self, world: &World, id: ReleaseId) {
        let runs = control::replay_templates(&world.db.store, id).await.unwrap();
        assert!(!runs.is_empty() && runs.iter().all(|run| run.other.is_empty()), "{runs:#?}");
    }
}

fn decided(release: &Release) -> Option<Outcome> {
    release.checked.as_ref().map(|c| c.outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_passes_a_teams_template_measured_once_each_time_though_the_driver_dies() {
    let world = World::new().await;
    let key = world.mailer().await;
    let text = quick(&theirs("success-rate-analysis", &world.namespace));
    world.sandbox.apply_yaml(&text).await.unwrap();
    let first = world.replica("a");
    let people = people(&first.control).await;
    let id = world.start(&first, &people, "1.1.0", &canary(RATE)).await;
    let run = first.until(&people.viewer, id, |run| run.metrics.iter().all(|m| m.made >= 2)).await;
    assert_eq!((run.by.as_str(), run.name.as_str()), ("Tidegate", "success-rate-analysis"));
    assert_eq!((run.stage.as_str(), run.phase), ("Step 1 of the plan", AnalysisPhase::Running));
    assert!(run.args.contains(&("namespace".into(), world.namespace.clone())), "{:?}", run.args);
    // What was read when the step was reached is what is judged.
    let worse = text.replace("result[0] >= 0.95", "result[0] > 2");
    world.sandbox.apply_yaml(&worse).await.unwrap();
    first.kill();

    let second = world.replica("b");
    let release = second.wait_state(id, State::Succeeded).await;
    assert_eq!(decided(&release), Some(Outcome::Passed));
    let all = second.control.analyses(&people.viewer, id).await.unwrap();
    assert_eq!((all.len(), all[0].phase), (1, AnalysisPhase::Passed));
    let names: Vec<_> = all[0].metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["success-rate", "avg-response-time"]);
    for metric in &all[0].metrics {
        let numbers: Vec<_> = metric.measurements.iter().map(|m| m.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5], "{}", metric.name);
        assert!(metric.measurements.windows(2).all(|w| w[0].at < w[1].at), "{metric:#?}");
        assert_eq!((metric.made, metric.missed), (5, 0));
    }
    let page = second.control.release(&people.viewer, id).await.unwrap();
    let gate = page.live.steps[0].gates.iter().find(|g| g.name == "Template success-rate-analysis").unwrap();
    assert_eq!((gate.state, gate.figure.as_str()), (GateState::Passed, "pass"));
    assert!(page.timeline.iter().any(|e| e.action == "release.templates"));
    second.replays(&world, id).await;
    world.tidy(&key, "registry.example.com/shop/mailer:1.1.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_turn_it_back_by_the_template_and_nothing_is_measured_after() {
    let world = World::new().await;
    let key = world.mailer().await;
    let text = quick(&theirs("success-rate-analysis", &world.namespace));
    // Its rate looks back on five minutes, of which all but the last seconds were good ones.
    world.sandbox.apply_yaml(&text.replace("count: 5", "count: 60")).await.unwrap();
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let id = world.start(&replica, &people, "1.1.0-errors-80pct", &canary(RATE)).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert_eq!((decided(&release), release.by_itself), (Some(Outcome::Failed), true));
    let why = release.reason.as_deref().unwrap_or_default();
    let told =
        why.contains("The template success-rate-analysis failed: success-rate failed 4 times, 3 allowed.");
    assert!(told && why.contains("and result[0] >= 0.95 passes."), "{why}");
    assert!(!did(&release, &Effect::TakeOver), "the user's own Deployment was never touched");
    let run = replica.until(&people.viewer, id, |run| run.phase == AnalysisPhase::Failed).await;
    let rate = &run.metrics[0];
    let failed = rate.measurements.iter().filter(|m| m.phase == AnalysisPhase::Failed).count();
    assert_eq!((failed, rate.measurements.last().unwrap().phase), (4, AnalysisPhase::Failed), "{rate:#?}");
    replica.replays(&world, id).await;
    world.tidy(&key, mailer::OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_data_is_an_error_that_turns_it_back_and_what_is_inconclusive_waits_for_a_person() {
    let world = World::new().await;
    let key = world.mailer().await;
    let nothing = json!({"successCondition": "result[0] > 0", "consecutiveErrorLimit": 0});
    world.names("nothing", "a_metric_that_nobody_has", nothing).await;
    let both = json!({"successCondition": "result[0] > 1", "failureCondition": "result[0] < 1"});
    world.names("neither", "vector(1)", both).await;
    world.names("endless", "vector(1)", json!({"interval": "1s", "count": 1000})).await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;

    let id = world.start(&replica, &people, "1.1.0", &canary("nothing, endless")).await;
    let release = replica.wait_state(id, State::RolledBack).await;
    assert_eq!(decided(&release), Some(Outcome::Error));
    let why = release.reason.as_deref().unwrap_or_default();
    assert!(
        why.contains("The template nothing could not be measured") && why.contains("no data returned"),
        "{why}"
    );
    let over = async {
        let mut heard = replica.control.subscribe();
        while !world.db.store.open_analyses().await.unwrap().is_empty() {
            let _ = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
        }
    };
    tokio::time::timeout(DEADLINE, over).await.expect("what still ran is ended with the release");
    replica.replays(&world, id).await;
    world.tidy(&key, mailer::OLD).await;

    let id = world.start(&replica, &people, "1.2.0", &canary("neither")).await;
    let release = replica.wait_state(id, State::Paused).await;
    let note = release.note.as_deref().unwrap_or_default();
    assert!(note.contains("The template neither is inconclusive") && note.contains("promotes it"), "{note}");
    let page = replica.control.release(&people.manager, id).await.unwrap();
    assert!(page.live.promote.allowed, "{:?}", page.live.promote);
    replica.control.promote(&people.manager, id, None).await.unwrap();
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(decided(&release), Some(Outcome::Inconclusive));
    replica.replays(&world, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_evaluated_is_refused_at_its_field_and_what_surprises_is_told() {
    let world = World::new().await;
    world.mailer().await;
    for name in ["success-rate-analysis", "comprehensive-analysis"] {
        world.sandbox.apply_yaml(&theirs(name, &world.namespace)).await.unwrap();
    }
    world.names("no-promql", "sum(rate(x[5m]", json!({})).await;
    world
        .names(
            "a-job",
            "up",
            json!({"provider": {"job": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}}}}),
        )
        .await;
    let cluster_wide = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterAnalysisTemplate",
        "metadata": {"name": world.namespace}, "spec": {"args": [{"name": "who"}], "metrics": [{"name": "m",
            "successCondition": "result[0] == 1", "provider": {"prometheus": {"query": "vector({{args.who}})"}}}]}});
    world.sandbox.apply_yaml(&cluster_wide.to_string()).await.unwrap();
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let check = async |templates: &str| {
        let plan = world.mailer_plan("1.1.0", &canary(templates));
        let found = replica.control.check_plan(&people.viewer, &plan).await.unwrap();
        (found.errors, found.warnings)
    };
    let base = "spec.strategy.canary.steps[0].templates[0]";
    let told = |all: &[FieldError], part: &str, words: &str| {
        let field = format!("{base}{part}");
        assert!(
            all.iter().any(|f| f.field == field && f.message.contains(words)),
            "{field} {words}: {all:#?}"
        );
    };
    for (templates, part, words) in [
        ("missing", "", "There is no AnalysisTemplate missing in the namespace"),
        ("{name: missing, cluster: true}", ".name", "There is no ClusterAnalysisTemplate missing."),
        ("success-rate-analysis", "", "wants a value for `service-name` and `namespace`"),
        (
            "{name: success-rate-analysis, args: {service-name: mailer}}",
            ".args",
            "wants a value for `namespace`",
        ),
        (
            "{name: success-rate-analysis, args: {service: mailer}}",
            ".args.service",
            "no argument `service`. It has",
        ),
        ("no-promql", "", "Prometheus cannot read its query"),
        ("a-job", "", "asks job: Tidegate evaluates Prometheus only"),
    ] {
        let (errors, _) = check(templates).await;
        told(&errors, part, words);
    }
    let refused = world.mailer_plan("1.1.0", &canary("missing"));
    let problem = replica.control.create_plan(&people.manager, &refused).await.unwrap_err();
    assert_eq!(problem.fields[0].field, base, "{problem:?}");

    let (errors, warnings) = check("comprehensive-analysis").await;
    assert_eq!(errors, []);
    told(
        &warnings,
        "",
        "Metric agent-pod-success-rate: It never passes. The query answers only with values < 0.05",
    );
    told(&warnings, "", "Metric workflow-success-rate, asked just now, is an error");
    told(&warnings, "", "not to http://prometheus.monitoring.svc.cluster.local:9090");
    let whole = format!("{{name: {}, cluster: true, args: {{who: '1'}}}}", world.namespace);
    assert_eq!(
        check(&whole).await,
        (vec![], check(RATE).await.1.into_iter().filter(|w| !w.field.starts_with(base)).collect())
    );

    // A Rollout whose steps Tidegate holds is judged by the same.
    let by = whole.replace("'1'", "'{{canary-hash}}'").replace(&world.namespace, "by-hash");
    let by_hash = cluster_wide.to_string().replace(
        "vector({{args.who}})",
        "count(http_requests_total{rollouts_pod_template_hash=\\\"{{args.who}}\\\"}) > bool 0",
    );
    let named = format!("by-hash-{}", world.namespace);
    world.sandbox.apply_yaml(&by_hash.replace(&world.namespace, &named)).await.unwrap();
    let steps = format!(
        "[{{weight: 20, bake: 3s, templates: [{}]}}, {{weight: 100}}]",
        by.replace("by-hash", &named)
    );
    let id = replica.release(&people, &world.plan("1.1.0", &steps)).await;
    let release = replica.wait_state(id, State::Succeeded).await;
    assert_eq!(decided(&release), Some(Outcome::Passed));
    let run = replica.control.analyses(&people.viewer, id).await.unwrap().remove(0);
    assert_eq!(run.args, [("who".to_owned(), release.canary_hash.unwrap())]);
}
