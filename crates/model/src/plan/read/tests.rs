//! Plans as people and programs send them: good ones whole, bad ones with every fault named at its field.

use super::{from_value, from_yaml};
use crate::plan::{
    Analysis, Approvals, BlueGreen, Canary, Change, Follow, Gate, Header, Metadata, Plan, Rollback, Rolling,
    Spec, Step, Strategy, Target,
};
use crate::problem::Status;
use crate::role::Role;
use crate::span::Span;
use proptest::prelude::*;
use serde_json::json;

mod strategies;

const EXAMPLE: &str = r#"
apiVersion: tidegate.dev/v1
kind: Plan
metadata: {name: checkout-1-42-0, service: checkout, environment: production}
spec:
  change:                       # what will be different
    images: {app: registry.example.com/checkout:1.42.0}
    reference: https://git.example.com/shop/checkout/compare/v1.41.3...v1.42.0
    migrations: []              # SQL, linted; expand | contract
  strategy:
    canary:
      steps:
        - {weight: 5,  bake: 2m, gates: [analysis]}
        - {weight: 25, bake: 5m, gates: [analysis, {approval: on-call}]}
        - {weight: 100}
  analysis: {templates: [success-rate-analysis], guard: standard}   # guard: the sequential test, always on
  rollback: {policy: production-default, rehearsed: required, config: restore}
  approvals: {required: 2, from: [approver], expire: 24h}
  window: business-hours
"#;

/// The example with one line changed.
fn with(old: &str, new: &str) -> String {
    assert!(EXAMPLE.contains(old), "{old}");
    EXAMPLE.replace(old, new)
}

fn faults(text: &str) -> Vec<(String, String)> {
    let problem = from_yaml(text).expect_err("it is refused");
    assert_eq!(problem.status, Status::Invalid, "{problem}");
    problem.fields.into_iter().map(|f| (f.field, f.message)).collect()
}

fn fault(text: &str) -> (String, String) {
    let mut all = faults(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn the_example_of_the_design_is_accepted_with_what_is_not_acted_on_yet() {
    let read = from_yaml(EXAMPLE).unwrap();
    assert_eq!(read.plan.steps().len(), 3);
    assert_eq!(read.plan.steps()[1].gates, [Gate::Analysis, Gate::Approval(Role::OnCall)]);
    assert_eq!(read.plan.spec.approvals.expire, Span(86_400));
    let fields: Vec<_> = read.warnings.iter().map(|w| w.field.as_str()).collect();
    assert_eq!(fields, ["spec.rollback.policy", "spec.window"]);
    assert!(read.plan.rehearsal_required() && read.plan.restores_config());
}

#[test]
fn defaults_are_part_of_what_is_approved() {
    let read = from_yaml(EXAMPLE).unwrap().plan;
    let a = &read.spec.analysis;
    assert_eq!((a.min_requests, a.max_error_percent, a.max_p95_ratio), (Some(50), Some(2.0), Some(1.5)));
    let said = with(
        "guard: standard}",
        "guard: standard, minRequests: 50, maxErrorPercent: 2, maxErrorRatio: 1.2, maxP95Ratio: 1.5}",
    );
    assert_eq!(from_yaml(&said).unwrap().plan.digest(), read.digest());
    let other = with("guard: standard}", "guard: standard, minRequests: 51}");
    assert_ne!(from_yaml(&other).unwrap().plan.digest(), read.digest());
}

#[test]
fn yaml_json_and_the_written_document_have_one_digest() {
    let plan = from_yaml(EXAMPLE).unwrap().plan;
    let json = plan.to_json();
    assert_eq!(from_value(&json).unwrap().plan, plan);
    assert_eq!(from_yaml(&json.to_string()).unwrap().plan.digest(), plan.digest());
    let pretty = serde_json::to_string_pretty(&json).unwrap().replace("  ", "\t");
    assert_eq!(from_yaml(&pretty).unwrap().plan.digest(), plan.digest(), "tabs are JSON");
    assert_eq!(from_yaml(&plan.to_yaml()).unwrap().plan, plan);
}

#[test]
fn the_written_document_reads_as_people_think() {
    insta::assert_snapshot!(from_yaml(EXAMPLE).unwrap().plan.to_yaml(), @r#"
        apiVersion: tidegate.dev/v1
        kind: Plan
        metadata:
          name: checkout-1-42-0
          service: checkout
          environment: production
        spec:
          change:
            images:
              app: registry.example.com/checkout:1.42.0
            reference: https://git.example.com/shop/checkout/compare/v1.41.3...v1.42.0
          strategy:
            canary:
              steps:
                - {weight: 5, bake: 2m, gates: [analysis]}
                - {weight: 25, bake: 5m, gates: [analysis, {approval: on-call}]}
                - {weight: 100}
          analysis:
            templates: [success-rate-analysis]
            guard: standard
            minRequests: 50
            maxErrorPercent: 2
            maxErrorRatio: 1.2
            maxP95Ratio: 1.5
          rollback:
            policy: production-default
            rehearsed: required
            config: restore
          approvals:
            required: 2
            from: [approver]
            expire: 1d
          window: business-hours
    "#);
}

#[test]
fn a_step_may_ask_for_pods_and_for_the_users_of_a_header() {
    let asking = |what: &str| with("{weight: 25, bake: 5m", &format!("{{weight: 25, {what}, bake: 5m"));
    let plan = from_yaml(&asking("scale: 3, header: {name: X-Canary, value: 'yes'}")).unwrap().plan;
    let header = Header { name: "X-Canary".into(), value: "yes".into() };
    assert_eq!((plan.steps()[1].scale, &plan.steps()[1].header), (Some(3), &Some(header)));
    assert_eq!(from_yaml(&plan.to_yaml()).unwrap().plan.digest(), plan.digest());
    assert!(
        plan.to_yaml().contains(r#", scale: 3, header: {name: X-Canary, value: yes}}"#),
        "{}",
        plan.to_yaml()
    );
    assert_ne!(plan.digest(), from_yaml(EXAMPLE).unwrap().plan.digest(), "it is approved with the rest");
    for (what, field) in [
        ("scale: 0", "scale"),
        ("scale: many", "scale"),
        ("header: {name: X-Canary}", "header.value"),
        ("header: {name: 'X Canary', value: a}", "header.name"),
        ("header: {name: X-Canary, value: ''}", "header.value"),
    ] {
        let found = fault(&asking(what)).0;
        assert_eq!(found, format!("spec.strategy.canary.steps[1].{field}"), "{what}");
    }
    let last = fault(&with("{weight: 100}", "{weight: 100, scale: 3}"));
    assert!(last.1.contains("Remove `scale`"), "{last:?}");
}

#[test]
fn every_fault_is_named_at_once() {
    let text = r#"
apiVersion: tidegate.dev/v2
kind: Plan
metadata: {name: Checkout_1, servce: checkout, environment: production}
spec:
  change: {images: {App: registry.example.com/checkout}, reference: "javascript:alert(1)"}
  strategy:
    canary:
      steps:
        - {weight: 5, bake: 2 minutes}
        - {weight: 25, gates: [analysis, load-test, approval]}
        - {weight: 20, bake: 8d}
        - {wieght: 50}
        - {weight: 90%}
        - {weight: 90, gates: [{approval: oncall}]}
  analysis: {minRequests: 0, maxErrorPercent: lots}
  approvals: {required: 0, from: [], expire: 5s}
  workload: {kind: DaemonSet, name: checkout}
"#;
    let told: Vec<_> = faults(text).into_iter().map(|(f, m)| format!("{f}: {m}")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
        apiVersion: Must be `tidegate.dev/v1`, not `tidegate.dev/v2`.
        metadata.servce: There is no field `servce` here. Did you mean `service`?
        metadata.name: `Checkout_1` is no name: use lower-case letters, digits, `-` and `.`, a letter or digit at both ends.
        metadata.service: Is missing. Write `service: checkout`.
        spec.change.images.App: `App` is no container name: use lower-case letters, digits and `-`, at most 63, a letter or digit at both ends.
        spec.change.images.App: Names neither tag nor digest, so what runs could change after the approval. Add one: registry.example.com/checkout:1.42.0.
        spec.change.reference: Must be a link that begins with https:// or http://.
        spec.strategy.canary.steps[0].bake: `2 minutes` is no duration. Write 30s, 2m, 1h30m or 2d.
        spec.strategy.canary.steps[1].gates[1]: The gate `load-test` is not available yet. Remove it, or ask a person instead: `{approval: on-call}`.
        spec.strategy.canary.steps[1].gates[2]: Say who opens it: `{approval: on-call}`.
        spec.strategy.canary.steps[2].bake: Must be at most 7d, not 8d.
        spec.strategy.canary.steps[2].weight: Weight must be above step 2 (25 %).
        spec.strategy.canary.steps[3].wieght: There is no field `wieght` here. Did you mean `weight`?
        spec.strategy.canary.steps[3].weight: Is missing. Write `weight: 25`.
        spec.strategy.canary.steps[4].weight: Must be a whole number from 1 to 100, not `90%`. Write it without quotes and units.
        spec.strategy.canary.steps[5].gates[0].approval: There is no role `oncall`: use one of viewer, release-manager, approver, on-call, administrator.
        spec.strategy.canary.steps[5].weight: The last weight must be 100: a release ends with all traffic. Add `{weight: 100}`.
        spec.analysis.minRequests: Must be a whole number from 1 to 1000000, not 0.
        spec.analysis.maxErrorPercent: Must be a number from 0 to 100, not `lots`.
        spec.approvals.required: Production needs at least 1 approval.
        spec.approvals.from: Names no role, so nobody could approve. Write `[approver]`.
        spec.approvals.expire: Must be at least 1m, not 5s.
        spec.workload.namespace: Is missing. Write `namespace: shop`.
        spec.workload.kind: There is no kind `DaemonSet` here. Write `Rollout` or `Deployment`.
    "#);
}

#[test]
fn weights_rise_and_end_at_all_traffic() {
    let (field, message) = fault(&with("{weight: 100}", "{weight: 20}\n        - {weight: 100}"));
    assert_eq!(field, "spec.strategy.canary.steps[2].weight");
    assert_eq!(message, "Weight must be above step 2 (25 %).");
    let (field, message) = fault(&with("        - {weight: 100}\n", ""));
    assert_eq!(field, "spec.strategy.canary.steps[1].weight");
    assert!(message.starts_with("The last weight must be 100"));
    for bad in ["0", "101", "-1", "12.5", "'25'", "many", "true", "~"] {
        let (field, _) = fault(&with("weight: 25,", &format!("weight: {bad},")));
        assert_eq!(field, "spec.strategy.canary.steps[1].weight", "{bad}");
    }
}

#[test]
fn a_plan_has_one_to_twenty_steps() {
    let all = "        - {weight: 5,  bake: 2m, gates: [analysis]}\n        - {weight: 25, bake: 5m, gates: [analysis, {approval: on-call}]}\n        - {weight: 100}\n";
    let none = with(all, "        []\n");
    assert_eq!(fault(&none).0, "spec.strategy.canary.steps");
    let many: String = (1..=21).map(|w| format!("        - {{weight: {w}}}\n")).collect();
    assert_eq!(fault(&with(all, &many)).1, "Has 21 steps; at most 20. Remove some.");
}

#[test]
fn durations_carry_their_unit() {
    let (field, message) = fault(&with("bake: 5m", "bake: 300"));
    assert_eq!(field, "spec.strategy.canary.steps[1].bake");
    assert_eq!(message, "300 has no unit. Write 30s, 2m, 1h30m or 2d.");
    assert_eq!(fault(&with("bake: 5m", "bake: 7d1s")).1, "Must be at most 7d, not 7d1s.");
    assert_eq!(fault(&with("expire: 24h", "expire: 30s")).1, "Must be at least 1m, not 30s.");
    assert!(from_yaml(&with("bake: 5m", "bake: 7d")).is_ok());
}

#[test]
fn production_needs_an_approval_and_others_may_do_without() {
    assert_eq!(fault(&with("required: 2", "required: 0")).1, "Production needs at least 1 approval.");
    let staging =
        with("required: 2", "required: 0").replace("environment: production", "environment: staging");
    assert!(from_yaml(&staging).is_ok());
    assert_eq!(fault(&with("required: 2", "required: 11")).0, "spec.approvals.required");
}

#[test]
fn only_roles_that_may_approve_count() {
    let (field, message) = fault(&with("[approver]", "[on-call]"));
    assert_eq!(field, "spec.approvals.from[0]");
    assert_eq!(message, "The role on-call may not approve plans. Write `approver`.");
}

#[test]
fn an_image_names_exactly_what_runs() {
    let image = |i: &str| with("registry.example.com/checkout:1.42.0", i);
    let hex = "a".repeat(64);
    for good in [
        "checkout:1",
        "localhost:5000/a/b__c/d--e:v1.2_3-4",
        "registry.example.com:443/x@sha256:HEX",
        "a/b:1@sha256:HEX",
        "Registry.Example.com/x:1",
    ] {
        let good = good.replace("HEX", &hex);
        assert!(from_yaml(&image(&good)).is_ok(), "{good}");
    }
    for bad in [
        "checkout",
        "registry.example.com:443/checkout",
        "Checkout:1",
        "a//b:1",
        "a:b:c",
        "x@sha256:12",
        "x@md5:12",
        "a b:1",
        "x:.1",
        "-x:1",
        "https://registry.example.com/x:1",
        "localhost:99999/x:1",
        "''",
    ] {
        assert_eq!(fault(&image(bad)).0, "spec.change.images.app", "{bad}");
    }
    let read = from_yaml(&image("checkout:latest")).unwrap();
    assert!(read.warnings.iter().any(|w| w.message.contains("latest")));
}

#[test]
fn what_approvers_cannot_see_is_refused() {
    for bad in ["\"a\\u0007b\"", "\"a\\u202Eb\"", "\"a\\u200Bb\"", "\"${VERSION}\""] {
        let all = faults(&with("window: business-hours", &format!("window: {bad}")));
        assert!(all.iter().any(|(f, m)| f == "spec.window" && m.starts_with("Holds")), "{bad}: {all:?}");
    }
    let long = "x".repeat(2049);
    let all = faults(&with("policy: production-default", &format!("policy: {long}")));
    assert!(all.iter().any(|(_, m)| m == "Longer than 2 KiB. Shorten it."), "{all:?}");
}

#[test]
fn a_repeated_field_is_refused() {
    let (field, message) = fault(&with("kind: Plan", "kind: Plan\nkind: Plan"));
    assert_eq!((field.as_str(), message.as_str()), ("kind", "`kind` is given twice. Keep one."));
    let json = r#"{"apiVersion":"tidegate.dev/v1","apiVersion":"tidegate.dev/v1"}"#;
    assert!(faults(json).iter().any(|(f, m)| f == "apiVersion" && m.contains("twice")));
}

#[test]
fn unknown_fields_are_named_with_the_nearest_known_one() {
    let (field, message) = fault(&with("  window: business-hours", "  windows: business-hours"));
    assert_eq!(field, "spec.windows");
    assert_eq!(message, "There is no field `windows` here. Did you mean `window`?");
    let (_, message) = fault(&with("  window: business-hours", "  zebra: 1"));
    assert!(message.ends_with("Known: change, strategy, analysis, rollback, approvals, window, workload."));
}

#[test]
fn what_is_not_available_yet_says_what_to_write_instead() {
    assert!(fault(&with("[analysis]}", "[load-test]}")).1.contains("not available yet"));
    assert!(fault(&with("[analysis]}", "[{migration: x}]}")).1.contains("not available yet"));
    assert!(fault(&with("    canary:", "    recreate: {}\n    canary:")).1.contains("Write `canary`"));
}

#[test]
fn what_is_not_yaml_is_refused_with_its_place() {
    for bad in ["a: [1,", "a: b: c", "\t- x", "a: &x 1\nb: *y", "a: !tag x", "--- 1\n--- 2"] {
        let problem = from_yaml(bad).expect_err(bad);
        assert_eq!(problem.status, Status::Malformed, "{bad}: {problem}");
    }
    assert!(from_yaml("a: [1,").unwrap_err().detail.contains("line 2 column 1"));
    assert_eq!(from_yaml("").unwrap_err().status, Status::Invalid);
    assert_eq!(from_yaml("just text").unwrap_err().status, Status::Invalid);
    assert_eq!(from_yaml("[1, 2]").unwrap_err().status, Status::Invalid);
}

#[test]
fn bombs_cost_no_more_than_a_moment() {
    let began = std::time::Instant::now();
    let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let quadratic = format!("a: &a {}\nb: [{}]", "x".repeat(60_000), vec!["*a"; 5000].join(", "));
    let mut steep = String::new();
    for i in 0..500 {
        steep.push_str(&" ".repeat(i));
        steep.push_str("a:\n");
    }
    let cases = [
        bomb,
        quadratic,
        steep,
        "[".repeat(200_000),
        "{a: ".repeat(60_000),
        "- ".repeat(120_000),
        "? ".repeat(120_000),
        "&a ".repeat(80_000),
        "!a ".repeat(80_000),
        "{\"a\":".repeat(40_000),
        "a: 1\n".repeat(40_000),
        "x".repeat(300_000),
        "'".repeat(250_000),
        "\"\\u0041".repeat(30_000),
    ];
    for text in &cases {
        let head: String = text.chars().take(20).collect();
        assert!(from_yaml(text).is_err(), "{head}");
    }
    assert!(from_value(&(0..100).fold(json!(1), |v, _| json!([v]))).is_err());
    println!("{:?}", began.elapsed());
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert_eq!(from_yaml(&"x".repeat(300_000)).unwrap_err().status, Status::TooLarge);
}

prop_compose! {
    fn any_valid()(
        weights in proptest::collection::btree_set(1u8..100, 0..6), bakes in proptest::collection::vec(0u64..604_800, 7),
        gates in proptest::collection::vec(0u8..4, 7), name in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]{1,5})?",
        service in "[a-z]{1,8}", tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", container in "[a-z0-9]{1,8}",
        reference in proptest::option::of("https://[a-z]{1,9}/[ -~&&[^ $]]{0,30}"), migrations in proptest::collection::vec("[ -~äöüλ→&&[^$]]{1,30}", 0..3),
        required in 1u32..=10, expire in 60u64..=2_592_000, min in 1u32..1000, percent in 0u32..=100_000,
        p95 in proptest::option::of(1000u32..=600_000_000), ratio in 1000u32..=100_000, window in proptest::option::of("[a-z]{1,9}"),
        strategy in 0u8..4,
        target in proptest::option::of(("[a-z]{1,9}", proptest::option::of(Just("Rollout".to_owned())), "[a-z]{1,9}")),
    ) -> Plan {
        let gates_of = |n: u8| match n {
            0 => vec![],
            1 => vec![Gate::Analysis],
            2 => vec![Gate::Approval(Role::OnCall)],
            _ => vec![Gate::Analysis, Gate::Approval(Role::Approver)],
        };
        let part = |i: usize| (Span(bakes[i]), gates_of(gates[i]));
        let strategy = match strategy {
            0 => Strategy::BlueGreen(BlueGreen::new(part(0), part(1))),
            1 => Strategy::Rolling(Rolling::new(Span(bakes[0]), gates_of(gates[0] & 2))),
            2 => Strategy::Follow(Follow::new(Span(bakes[0]), gates_of(gates[0]))),
            _ => Strategy::Canary(Canary { steps: weights.into_iter().chain([100]).zip(&bakes).zip(&gates)
                .map(|((weight, bake), g)| Step { weight, bake: Span(*bake), gates: gates_of(*g), ..Step::default() })
                .collect() }),
        };
        Plan {
            api_version: "tidegate.dev/v1".into(),
            kind: "Plan".into(),
            metadata: Metadata { name, service, environment: "production".into() },
            spec: Spec {
                change: Change { images: [(container, format!("registry.example.com/x:{tag}"))].into(), reference, migrations },
                strategy,
                analysis: Analysis {
                    templates: vec![], guard: Some("standard".into()), min_requests: Some(min),
                    max_error_percent: Some(f64::from(percent) / 1000.0), max_error_ratio: Some(f64::from(ratio) / 1000.0), max_p95_ms: p95.map(|n| f64::from(n) / 1000.0), max_p95_ratio: Some(f64::from(ratio) / 1000.0),
                },
                rollback: Rollback { policy: None, rehearsed: Some("optional".into()), config: Some("keep".into()) },
                approvals: Approvals { required, from: vec![Role::Approver], expire: Span(expire) },
                window,
                workload: target.map(|(namespace, kind, name)| Target { cluster: None, namespace, kind, name }),
            },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn every_way_of_writing_a_plan_has_its_digest(plan in any_valid()) {
        let digest = plan.digest();
        for read in [
            from_value(&plan.to_json()),
            from_yaml(&plan.to_json().to_string()),
            from_yaml(&plan.to_yaml()),
            from_yaml(&serde_yaml_ng::to_string(&plan.to_json()).unwrap()),
        ] {
            let read = read.map_err(|p| TestCaseError::fail(format!("{p}\n{}", plan.to_yaml())))?;
            prop_assert_eq!(&read.plan, &plan);
            prop_assert_eq!(read.plan.digest(), digest.clone());
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = from_yaml(&text);
    }

    #[test]
    fn a_damaged_plan_is_answered(at in 0usize..900, with in "\\PC{0,4}") {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        let at = at.min(text.len());
        text.splice(at..at, with.chars());
        let _ = from_yaml(&text.iter().collect::<String>());
    }
}

#[test]
fn templates_are_read_at_a_step_and_for_the_whole_plan_with_their_faults_at_their_fields() {
    use crate::plan::Template;
    let at_step = |list: &str| {
        with("{weight: 5,  bake: 2m, gates: [analysis]}", &format!("{{weight: 5, templates: {list}}}"))
    };
    let text = at_step(
        "[success-rate, {name: latency, cluster: true, args: {who: '{{service-name}}', limit: '300'}}]",
    );
    let read = from_yaml(&text).unwrap().plan;
    let named = |name: &str| Template { name: name.into(), ..Template::default() };
    let args = [("limit", "300"), ("who", "{{service-name}}")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let latency = Template { cluster: true, args: args.into(), ..named("latency") };
    assert_eq!(read.steps()[0].templates, [named("success-rate"), latency]);
    assert_eq!(read.spec.analysis.templates, [named("success-rate-analysis")]);
    assert_eq!(from_yaml(&read.to_yaml()).unwrap().plan, read, "{}", read.to_yaml());
    assert_eq!(from_value(&read.to_json()).unwrap().plan.digest(), read.digest());

    let base = "spec.strategy.canary.steps[0].templates";
    for (list, field, part) in [
        ("[{args: {a: b}}]", "[0].name", "Is missing"),
        ("[{name: A_b}]", "[0].name", "no name of an AnalysisTemplate"),
        ("[{name: a, cluster: yes please}]", "[0].cluster", "true or false"),
        ("[{name: a, args: {a: 5}}]", "[0].args.a", "Put it in quotes"),
        ("[{name: a, args: {a: '{{canary}}'}}]", "[0].args.a", "{{canary-hash}}"),
        ("[{name: a, argz: {}}]", "[0].argz", "Did you mean `args`"),
        ("[a, {name: a}]", "[1]", "stands twice"),
        ("a", "", "Must be a list"),
        ("[a, b, c, d, e, f, g, h, i, j, k]", "", "at most 10"),
    ] {
        let (at, words) = fault(&at_step(list));
        assert_eq!(at, format!("{base}{field}"), "{words}");
        assert!(words.contains(part), "{list}: {words}");
    }
    let text =
        at_step("[a]").replace("gates: [analysis, {approval: on-call}]", "gates: [{approval: on-call}]");
    let warned = from_yaml(&text).unwrap().warnings;
    let told = |w: &crate::FieldError| {
        w.field == "spec.analysis.templates" && w.message.contains("No step has the gate")
    };
    assert!(warned.iter().any(told), "{warned:?}");
}
