//! The other strategies than a canary, as they are written.

use super::*;

/// The example with another strategy.
fn with_strategy(strategy: &str) -> String {
    let canary = EXAMPLE.find("    canary:").unwrap();
    let analysis = EXAMPLE.find("  analysis:").unwrap();
    format!("{}    {strategy}\n{}", &EXAMPLE[..canary], &EXAMPLE[analysis..])
}

#[test]
fn a_rolling_update_is_read_written_and_read_again() {
    let with = with_strategy;
    let plan = from_yaml(&with("rolling: {bake: 5m, gates: [{approval: on-call}]}")).unwrap().plan;
    assert_eq!(plan.drives(), crate::workload::Strategy::Rolling);
    let step =
        Step { weight: 100, bake: Span(300), gates: vec![Gate::Approval(Role::OnCall)], ..Step::default() };
    assert_eq!(plan.steps(), [step]);
    let again = from_yaml(&plan.to_yaml()).unwrap().plan;
    assert_eq!((again.digest(), &again), (plan.digest(), &plan));
    assert_eq!(from_yaml(&with("rolling:")).unwrap().plan.steps()[0].bake, Span::ZERO);

    let fault = |rolling: &str| faults(&with(rolling)).remove(0);
    let (field, words) = fault("rolling: {gates: [analysis]}");
    assert_eq!(field, "spec.strategy.rolling.gates[0]");
    assert!(words.contains("no old version"), "{words}");
    let (field, words) = fault("{rolling: {}, canary: {steps: [{weight: 100}]}}");
    assert_eq!(field, "spec.strategy.rolling");
    assert!(words.contains("one strategy"), "{words}");
}

#[test]
fn a_rollouts_own_steps_are_followed_with_a_bake_and_gates() {
    let plan = from_yaml(&with_strategy("follow: {bake: 5m, gates: [analysis]}")).unwrap().plan;
    assert_eq!(plan.drives(), crate::workload::Strategy::Canary);
    assert_eq!(
        plan.steps(),
        [Step { weight: 100, bake: Span(300), gates: vec![Gate::Analysis], ..Step::default() }]
    );
    assert_eq!(plan.step_title(0), "Its own steps");
    let again = from_yaml(&plan.to_yaml()).unwrap().plan;
    assert_eq!((again.digest(), &again), (plan.digest(), &plan));
    assert_eq!(from_yaml(&with_strategy("follow:")).unwrap().plan.steps()[0].bake, Span::ZERO);

    let fault = |strategy: &str| faults(&with_strategy(strategy)).remove(0);
    assert!(fault("follow: {steps: []}").1.contains("Known: bake, gates"));
    let (field, words) = fault("{follow: {}, rolling: {}}");
    assert_eq!((field.as_str(), words.contains("one strategy")), ("spec.strategy.follow", true));
}

#[test]
fn a_blue_green_release_is_two_steps_and_either_may_be_left_out() {
    let read = |strategy: &str| from_yaml(&with_strategy(strategy)).unwrap();
    let plan =
        read("blueGreen: {preview: {bake: 2m, gates: [{approval: on-call}]}, after: {bake: 10m}}").plan;
    assert_eq!(plan.drives(), crate::workload::Strategy::BlueGreen);
    let preview =
        Step { weight: 0, bake: Span(120), gates: vec![Gate::Approval(Role::OnCall)], ..Step::default() };
    assert_eq!(plan.steps(), [preview, Step { weight: 100, bake: Span(600), ..Step::default() }]);
    assert_eq!([plan.step_name(0), plan.step_name(1)], ["Preview", "After the switch"]);
    let written = plan.to_yaml();
    let both =
        "    blueGreen:\n      preview: {bake: 2m, gates: [{approval: on-call}]}\n      after: {bake: 10m}\n";
    assert!(written.contains(both), "{written}");
    let empty = read("blueGreen:").plan;
    assert!(empty.steps().iter().all(|s| !s.holds()));
    for same in ["blueGreen: {}", "blueGreen: {preview: {}, after: ~}", "blueGreen: {after: {bake: 0}}"] {
        assert_eq!(read(same).plan.digest(), empty.digest(), "{same}");
    }
    assert!(empty.to_yaml().contains("    blueGreen: {}\n"));
    assert_ne!(plan.digest(), read("blueGreen: {preview: {bake: 2m}, after: {bake: 10m}}").plan.digest());
}

#[test]
fn what_an_analysis_beside_a_switch_cannot_see_is_said() {
    let said = |strategy: &str| -> Vec<String> {
        let warnings = from_yaml(&with_strategy(strategy)).unwrap().warnings;
        let about = warnings.into_iter().filter(|w| w.field.contains("blueGreen"));
        about.map(|w| w.to_string()).collect()
    };
    assert_eq!(said("blueGreen: {preview: {gates: [{approval: on-call}]}}"), [""; 0]);
    insta::assert_snapshot!(said("blueGreen: {preview: {gates: [analysis]}, after: {gates: [analysis]}}").join("\n"), @"
    spec.strategy.blueGreen.preview.gates[0]: Users do not reach the preview: the analysis judges what is sent to the preview Service, and stays shut while nothing is.
    spec.strategy.blueGreen.after.gates[0]: After the switch the old version serves nobody, so there is none to compare with: errors are held against maxErrorPercent, latency against nothing. Set `maxP95Ms` under `analysis`.
    ");
}

#[test]
fn faults_of_a_blue_green_release_are_named_at_their_fields() {
    let fault = |strategy: &str| faults(&with_strategy(strategy)).remove(0);
    let (field, words) = fault("blueGreen: {preview: {weight: 5}}");
    assert_eq!(field, "spec.strategy.blueGreen.preview.weight");
    assert!(words.contains("Known: bake, gates"), "{words}");
    assert_eq!(fault("blueGreen: {after: {bake: 8d}}").0, "spec.strategy.blueGreen.after.bake");
    assert_eq!(
        fault("blueGreen: {preview: {gates: [load-test]}}").0,
        "spec.strategy.blueGreen.preview.gates[0]"
    );
    assert!(fault("blueGreen: {before: {}}").1.contains("Known: preview, after"));
    let (field, words) = fault("{blueGreen: {}, canary: {steps: [{weight: 100}]}}");
    assert_eq!((field.as_str(), words.contains("one strategy")), ("spec.strategy.blueGreen", true));
    let (field, words) = fault("{rolling: ~, blueGreen: ~}");
    assert_eq!((field.as_str(), words.contains("`blueGreen` or `rolling`")), ("spec.strategy.rolling", true));
}
