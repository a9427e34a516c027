//! Against the inputs and expectations of Kayenta's own unit tests.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::classify::{Sensitivity, classify};
use super::*;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

const Z_95: f64 = 1.959_963_984_540_054;

#[derive(Deserialize)]
struct Vectors {
    classify: Vec<ClassifyCase>,
    intervals: Vec<IntervalCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClassifyCase {
    name: String,
    tolerance: f64,
    confidence: f64,
    measure: Measure,
    allowed: Option<[f64; 2]>,
    critical_limits: Option<[f64; 2]>,
    direction: Direction,
    nan_strategy: Nan,
    critical: bool,
    must_have_data: bool,
    experiment: Vec<Option<f64>>,
    control: Vec<Option<f64>>,
    expected: Label,
    expected_critical: Option<bool>,
}

#[derive(Deserialize)]
struct IntervalCase {
    name: String,
    confidence: f64,
    low: f64,
    high: f64,
    estimate: f64,
    experiment: Vec<f64>,
    control: Vec<f64>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/kayenta.json")).unwrap()
}

fn z(confidence: f64) -> f64 {
    if confidence == 0.98 { Z_98 } else { Z_95 }
}

#[test]
fn kayentas_classes_are_ours() {
    let cases = vectors().classify;
    assert_eq!(cases.len(), 33);
    for case in cases {
        let [allowed_decrease, allowed_increase] = case.allowed.map_or([None; 2], |limits| limits.map(Some));
        let [critical_decrease, critical_increase] = case.critical_limits.map_or([None; 2], |l| l.map(Some));
        // Its class takes 1 for whatever is not given; only its judge takes 0.5 for this measure.
        let given = |limit: Option<f64>| limit.or((case.measure == Measure::Cles).then_some(1.0));
        let metric = Metric {
            name: case.name.clone(),
            direction: case.direction,
            nan_strategy: case.nan_strategy,
            critical: case.critical,
            must_have_data: case.must_have_data,
            effect_size: EffectRule {
                measure: case.measure,
                allowed_increase: given(allowed_increase),
                allowed_decrease: given(allowed_decrease),
                critical_increase: given(critical_increase),
                critical_decrease: given(critical_decrease),
            },
            control: Values::Points(case.control),
            experiment: Values::Points(case.experiment),
            ..Metric::default()
        };
        let sensitivity = Sensitivity { tolerance: case.tolerance, z: z(case.confidence) };
        let found = classify(&metric, sensitivity);
        assert_eq!(found.classification, case.expected, "{}: {}", case.name, found.reason);
        if let Some(critical) = case.expected_critical {
            assert_eq!(found.critical, critical, "{}", case.name);
        }
    }
}

#[test]
fn kayentas_intervals_are_ours_to_a_millionth() {
    let cases = vectors().intervals;
    assert_eq!(cases.len(), 4);
    for case in cases {
        let found = shift(&case.experiment, &case.control, z(case.confidence)).unwrap();
        let close = |a: f64, b: f64, within: f64| (a - b).abs() < within;
        assert!(close(found.low, case.low, 1e-6), "{}: {found:?}", case.name);
        assert!(close(found.high, case.high, 1e-6), "{}: {found:?}", case.name);
        assert!(close(found.estimate, case.estimate, 1e-4), "{}: {found:?}", case.name);
    }
}

/// A metric that is what its label says: 20 values around 10, or around 20.
fn metric(name: &str, groups: &[&str], label: Label) -> Metric {
    let around = |mean: f64| (0..20).map(|i| Some(mean + f64::from(i % 7) / 10.0)).collect::<Vec<_>>();
    let (control, experiment) = match label {
        Label::Pass => (around(10.0), around(10.0)),
        Label::High => (around(10.0), around(20.0)),
        Label::Low => (around(20.0), around(10.0)),
        Label::Nodata | Label::NodataFailMetric => (around(10.0), vec![None]),
    };
    let (control, experiment) = (Values::Points(control), Values::Points(experiment));
    let groups = groups.iter().map(|g| (*g).to_owned()).collect();
    let must_have_data = label == Label::NodataFailMetric;
    Metric { name: name.into(), groups, must_have_data, control, experiment, ..Metric::default() }
}

fn judged(metrics: Vec<Metric>, weights: &[(&str, f64)]) -> Report {
    let group_weights: BTreeMap<_, _> = weights.iter().map(|(g, w)| ((*g).to_owned(), *w)).collect();
    let config = Config { metrics, group_weights, thresholds: Thresholds::default() };
    assert_eq!(config.faults(), []);
    report(&config)
}

#[test]
fn a_score_is_the_share_of_each_group_by_its_weight() {
    use Label::{High, Low, Nodata, NodataFailMetric, Pass};
    let one = |label| judged(vec![metric("a", &["g"], label)], &[]).score;
    assert_eq!([one(Pass), one(High), one(NodataFailMetric)], [100.0, 0.0, 0.0]);
    let three = [("a", Pass), ("b", High), ("c", Low)].map(|(name, label)| metric(name, &["g"], label));
    assert_eq!(judged(three.to_vec(), &[]).score, 33.33);
    let of = |weights: &[(&str, f64)]| {
        let metrics = vec![metric("a", &["x"], Pass), metric("b", &["x"], Pass), metric("c", &["y"], High)];
        judged(metrics, weights).score
    };
    assert_eq!(of(&[("x", 75.0), ("y", 25.0)]), 75.0);
    assert_eq!(of(&[]), 50.0, "groups without a weight share what is left");
    assert_eq!(of(&[("y", 10.0)]), 90.0);
    let without = vec![metric("a", &["x"], Pass), metric("b", &["x"], Pass), metric("c", &["y"], Nodata)];
    assert_eq!(judged(without, &[]).score, 100.0, "a group without data is not held against it");
}

#[test]
fn critical_and_missing_metrics_fail_the_whole() {
    let mut critical = metric("errors", &["g"], Label::High);
    critical.critical = true;
    let found = judged(vec![critical.clone(), metric("b", &["h"], Label::Pass)], &[("h", 100.0)]);
    assert_eq!((found.score, found.verdict), (0.0, Verdict::Fail));
    assert!(
        found.reason.starts_with("The critical metric errors fails. Above the control"),
        "{}",
        found.reason
    );
    critical.muted = true;
    let found = judged(vec![critical, metric("b", &["h"], Label::Pass)], &[]);
    assert_eq!((found.score, found.verdict), (100.0, Verdict::Pass), "a muted one is only told");
    let half = vec![metric("a", &["g"], Label::Pass), metric("b", &["g"], Label::Nodata)];
    assert_eq!(judged(half, &[]).reason, "1 of 2 metrics have no data.");
    assert_eq!(judged(vec![], &[]).verdict, Verdict::Fail, "no metric is no pass");
}

#[test]
fn missing_values_and_outliers_are_taken_out_as_asked() {
    let of = |more: serde_json::Value| {
        let mut all =
            json!({"name": "m", "control": [1, 2, null, 3, 2, 1, 3, 2, 2, 900], "experiment": [2, null]});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let metric: Metric = serde_json::from_value(all).unwrap();
        report(&Config { metrics: vec![metric], ..Config::default() }).metrics.remove(0)
    };
    let plain = of(json!({}));
    assert_eq!((plain.control.count, plain.control.max, plain.experiment.count), (9, 900.0, 1));
    let zeros = of(json!({"nanStrategy": "replace"}));
    assert_eq!((zeros.control.count, zeros.control.min, zeros.experiment.mean), (10, 0.0, 1.0));
    // Softened by the 99th percentile, a single value of nine stays below the fence only when it is the largest but one.
    let without = of(json!({"outliers": {"strategy": "remove", "outlierFactor": 3.0}}));
    assert_eq!((without.control.count, without.control.max), (8, 3.0));
}

#[test]
fn counts_are_judged_by_the_guard() {
    let of = |text: &str| {
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.faults(), []);
        report(&config).metrics.remove(0)
    };
    let bad = of(
        r#"{"metrics": [{"name": "errors", "critical": true, "control": {"bad": 4, "of": 1236}, "experiment": {"bad": 17, "of": 412}}]}"#,
    );
    assert_eq!((bad.classification, bad.critical), (Label::High, true));
    assert_eq!(bad.reason, "4.1 % against 0.3 %: by chance at most once in 66,229, however often one looks.");
    let good = of(
        r#"{"metrics": [{"name": "e", "control": {"bad": 19, "of": 6420}, "experiment": {"bad": 6, "of": 2140}}]}"#,
    );
    assert_eq!((good.classification, good.experiment.count), (Label::Pass, 2140));
    let none = of(
        r#"{"metrics": [{"name": "e", "control": {"bad": 19, "of": 6420}, "experiment": {"bad": 0, "of": 0}}]}"#,
    );
    assert_eq!(none.classification, Label::Nodata, "no requests are no pass");
}

#[test]
fn faults_of_a_configuration_name_their_fields() {
    let mut config = Config { metrics: vec![metric("a", &[], Label::Pass); 2], ..Config::default() };
    config.metrics[0].outliers.outlier_factor = -1.0;
    config.metrics.push(Metric::default());
    config.group_weights = BTreeMap::from([("x".to_owned(), 120.0)]);
    config.thresholds = Thresholds { pass: 60.0, marginal: 80.0 };
    let (bad, of) = (7.0, 5.0);
    let counts = |name: &str| Metric {
        name: name.into(),
        control: Values::Counts(Counts { bad, of }),
        ..Metric::default()
    };
    config.metrics.push(counts("mixed"));
    config.metrics.push(Metric { experiment: Values::Counts(Counts::default()), ..counts("many") });
    let paths: Vec<_> = config.faults().into_iter().map(|(path, _)| path).collect();
    let expected = [
        "metrics[0].outliers.outlierFactor",
        "metrics[1].name",
        "metrics[2].name",
        "metrics[3].experiment",
        "metrics[4].control",
        "groupWeights.x",
        "groupWeights",
        "scoreThresholds.marginal",
    ];
    assert_eq!(paths, expected);
}
