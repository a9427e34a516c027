//! What is asked of Argo Rollouts' controller and of ours.

use serde_json::{Value, json};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Metrics without their providers.
    pub(crate) metrics: Vec<(Value, &'static str)>,
    /// What else stands in the specification.
    pub(crate) rest: Value,
    /// The run is terminated when its first metric has been measured so often.
    pub(crate) terminate: Option<i32>,
}

impl Case {
    fn and(mut self, metric: Value, script: &'static str) -> Self {
        self.metrics.push((metric, script));
        self
    }

    fn with(mut self, rest: Value) -> Self {
        self.rest = rest;
        self
    }

    fn terminated(mut self, after: i32) -> Self {
        self.terminate = Some(after);
        self
    }
}

fn case(name: &'static str, metric: Value, script: &'static str) -> Case {
    Case { name, metrics: vec![(metric, script)], rest: json!({}), terminate: None }
}

/// One measurement, whose errors end it.
fn once(name: &'static str, success: &str, failure: &str, script: &'static str) -> Case {
    let metric =
        json!({"successCondition": success, "failureCondition": failure, "consecutiveErrorLimit": 0});
    case(name, metric, script)
}

/// Every second: passes at 1, fails at 0, and neither at anything else.
fn often(name: &'static str, mut limits: Value, script: &'static str) -> Case {
    let fields = limits.as_object_mut().unwrap();
    for (field, value) in
        [("interval", "1s"), ("successCondition", "result[0] == 1"), ("failureCondition", "result[0] == 0")]
    {
        fields.entry(field).or_insert(json!(value));
    }
    case(name, limits, script)
}

/// A condition over some answer, as the only one.
fn condition(name: &'static str, success: &str, script: &'static str) -> Case {
    once(name, success, "", script)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut all = measurements();
    all.extend(ranges());
    all.extend(expressions());
    all.extend(limits());
    all.extend(specifications());
    all.extend(several());
    all
}

fn measurements() -> Vec<Case> {
    vec![
        once("success-passes", "result[0] >= 0.95", "", "[0.99]"),
        once("success-fails", "result[0] >= 0.95", "", "[0.5]"),
        once("failure-passes", "", "result[0] < 0.95", "[0.99]"),
        once("failure-fails", "", "result[0] < 0.95", "[0.5]"),
        once("both-pass", "result[0] > 1", "result[0] < 1", "[2]"),
        once("both-fail", "result[0] > 1", "result[0] < 1", "[0]"),
        once("neither", "result[0] > 1", "result[0] < 1", "[1]"),
        once("both-true", "result[0] > 1", "result[0] > 1", "[2]"),
        once("no-condition", "", "", "[0]"),
        once("no-condition-empty", "", "", "[]"),
        once("no-condition-500", "", "", "!500"),
        once("empty-index", "result[0] < 1", "", "[]"),
        once("empty-failure-index", "", "result[0] < 1", "[]"),
        once("empty-guarded", "len(result) > 0 && result[0] < 1", "", "[]"),
        once("empty-passes", "len(result) == 0 || result[0] < 1", "", "[]"),
        once("nan-neither", "result[0] >= 0.9", "result[0] < 0.9", "[NaN]"),
        once("nan-fails", "result[0] >= 0.9", "", "[NaN]"),
        once("nan-passes", "isNaN(result[0]) || result[0] > 1", "", "[NaN]"),
        once("infinite", "result[0] >= 0.9", "", "[+Inf]"),
        once("infinite-fails", "", "isInf(result[0])", "[-Inf]"),
        once("scalar", "result > 1", "", "=2"),
        once("scalar-index", "result[0] > 1", "", "=2"),
        once("scalar-nan", "result > 1", "result <= 1", "=NaN"),
        once("string-result", "true", "", "text"),
        once("status-500", "true", "", "!500"),
        once("status-404", "true", "", "!404"),
        once("status-422", "true", "", "!422"),
        once("status-400", "true", "", "!400"),
        once("no-json", "true", "", "~"),
        once("no-answer", "true", "", "?"),
        once("web-json", "result.errors < 5 && result.ok", "", "w:200:{\"errors\":2,\"ok\":true}"),
        once("web-fails", "result.errors < 5", "", "w:200:{\"errors\":7}"),
        once("web-missing", "result.error == nil", "", "w:200:{\"errors\":7}"),
        once("web-status", "true", "", "w:503:{}"),
        // A body of `null` is not asked: it ends the whole controller (v1.10.1, `getValue` in webmetric.go).
        once("web-text", "result == \"up\"", "", "w:200:\"up\""),
    ]
}

/// Queries over a range of time.
fn ranges() -> Vec<Case> {
    let over = |name, start: &str, step: &str, success: &str, script| {
        let range = json!({"start": start, "end": "now()", "step": step});
        case(
            name,
            json!({"successCondition": success, "consecutiveErrorLimit": 0, "rangeQuery": range}),
            script,
        )
    };
    let ago = "now() - duration(\"1m\")";
    vec![
        over("range", ago, "10s", "all(result, # < 1)", "m[0.5,0.7]"),
        over("range-fails", ago, "10s", "all(result, # < 1)", "m[0.5,1.7]"),
        over("range-empty", ago, "10s", "result[0] < 1", "m[]"),
        over("range-no-time", "5", "10s", "true", "m[1]"),
        over("range-unknown", "yesterday", "10s", "true", "m[1]"),
        over("range-no-step", ago, "10", "true", "m[1]"),
    ]
}

fn expressions() -> Vec<Case> {
    vec![
        condition("all", "all(result, # < 1)", "[0.5,0.9]"),
        condition("all-not", "all(result, {# < 1})", "[0.5,1.9]"),
        condition("any-of-none", "any(result, # < 1)", "[]"),
        condition("second", "result[1] == 2", "[1,2]"),
        condition("beyond", "result[2] == 2", "[1,2]"),
        condition("last", "result[-1] == 2", "[1,2]"),
        condition("in", "2 in result", "[1,2]"),
        condition("coalesce", "(result[0] ?? 1) == 1", "[]"),
        condition("ternary", "len(result) > 0 ? result[0] < 1 : true", "[]"),
        condition("matches", "string(result[0]) matches \"^0[.]\"", "[0.5]"),
        condition("let", "let worst = max(result); worst < 1", "[0.5,0.7]"),
        condition("between", "0 < result[0] < 1", "[0.5]"),
        condition("integers", "asInt(result[0]) == 1", "[1.9]"),
        condition("pipe", "(result | filter(# > 1) | len()) == 1", "[1,2]"),
        condition("unknown-name", "reslt[0] < 1", "[0.5]"),
        condition("syntax", "result[0] <", "[0.5]"),
        condition("not-bool", "result[0]", "[0.5]"),
        condition("vector-compared", "result < 1", "[0.5]"),
        condition("unreached-type", "true || result.a", "[0.5]"),
        condition("is-nil-of-part", "isNil(result[0])", "[0.5]"),
        condition("default-of-part", "default(result[0], 5) == 0.5", "[0.5]"),
        condition("false-and-error", "result[5] > 1 && false", "[0.5]"),
        condition("text-compared", "result[0] == \"1\"", "[1]"),
        condition("nan-argument", "isNaN(result)", "[NaN]"),
        condition("divided", "result[0] / 0 > 1", "[1]"),
        condition("integer-of-a-list", "asInt(result) == 1", "[1,2]"),
        condition("float-of-a-map", "asFloat(result) < 1", "w:200:{\"a\":{\"b\":1.5,\"c\":null}}"),
        condition("web-text-number", "asFloat(result.rate) < 0.5", "w:200:{\"rate\":\"0.25\"}"),
        condition("web-no-number", "asFloat(result.rate) < 0.5", "w:200:{\"rate\":\"low\"}"),
        condition("web-all", "all(result.hosts, .ok)", "w:200:{\"hosts\":[{\"ok\":true},{\"ok\":false}]}"),
        condition("web-list-of-texts", "result.state in [\"up\",\"idle\"]", "w:200:{\"state\":\"idle\"}"),
        condition("web-number-in-texts", "result.state in [\"up\",\"idle\"]", "w:200:{\"state\":1}"),
        condition("web-optional", "result.a?.b?.c == nil", "w:200:{\"a\":null}"),
        condition("web-nil-field", "result.a.b == 1", "w:200:{\"a\":null}"),
        condition("web-and-number", "result.ok && result.n", "w:200:{\"ok\":true,\"n\":1}"),
        condition("remainder", "result[0] % 2 == 0", "[2]"),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        often("count", json!({"count": 3}), "[1]"),
        often("count-text", json!({"count": "2"}), "[1]"),
        often("count-fails-first", json!({"count": 3}), "[1] [0] [1]"),
        often("failure-limit-kept", json!({"count": 4, "failureLimit": 2}), "[0] [1] [0] [1]"),
        often("failure-limit-3", json!({"count": 6, "failureLimit": 3}), "[0]"),
        often("failure-limit-text", json!({"count": 3, "failureLimit": "1"}), "[0] [0] [1]"),
        often(
            "failure-limit-off",
            json!({"count": 4, "failureLimit": -1, "consecutiveSuccessLimit": 2}),
            "[0] [0] [1] [1]",
        ),
        often(
            "failure-limit-off-fails",
            json!({"count": 3, "failureLimit": -1, "consecutiveSuccessLimit": 2}),
            "[0] [1] [0]",
        ),
        often("inconclusive-limit-0", json!({"count": 3}), "[1] [2] [1]"),
        often("inconclusive-limit-kept", json!({"count": 3, "inconclusiveLimit": 1}), "[1] [2] [1]"),
        often("inconclusive-limit", json!({"count": 4, "inconclusiveLimit": 1}), "[2] [1] [2]"),
        often(
            "failed-and-inconclusive",
            json!({"count": 4, "failureLimit": 1, "inconclusiveLimit": 1}),
            "[0] [2] [0] [2]",
        ),
        often(
            "successes-in-a-row",
            json!({"count": 9, "failureLimit": 5, "consecutiveSuccessLimit": 2}),
            "[1] [0] [1] [1]",
        ),
        often(
            "successes-missed",
            json!({"count": 3, "failureLimit": 1, "consecutiveSuccessLimit": 2}),
            "[1] [0] [1]",
        ),
        often(
            "successes-endless",
            json!({"failureLimit": -1, "consecutiveSuccessLimit": 3}),
            "[1] [0] [1] [2] [1] [1] [1]",
        ),
        often("successes-failed-first", json!({"count": 5, "consecutiveSuccessLimit": 3}), "[1] [1] [0]"),
        case(
            "successes-once",
            json!({"successCondition": "true", "consecutiveSuccessLimit": 2, "count": 2, "interval": "1s"}),
            "[1]",
        ),
        case("successes-single", json!({"successCondition": "true", "consecutiveSuccessLimit": 2}), "[1]"),
        often("error-limit-0", json!({"count": 3, "consecutiveErrorLimit": 0}), "[1] !500 [1]"),
        often("error-limit-1", json!({"count": 2, "consecutiveErrorLimit": 1}), "!500 [1] [1]"),
        often("error-limit-1-reached", json!({"count": 3, "consecutiveErrorLimit": "1"}), "[1] !500 [] [1]"),
        often(
            "error-breaks-successes",
            json!({"count": 4, "failureLimit": 2, "consecutiveSuccessLimit": 2}),
            "[1] !500 [1] [1]",
        ),
        case("error-limit-default", json!({"successCondition": "result[0] < 1"}), "[]"),
        case("error-then-single", json!({"successCondition": "result[0] < 1"}), "[] [0.5]"),
        often("initial-delay", json!({"count": 2, "initialDelay": "2s"}), "[1]"),
        often("kept-ten", json!({"count": 12}), "[1]"),
        often("kept-two", json!({"count": 4, "failureLimit": 1}), "[1] [0] [1] [1]")
            .with(json!({"measurementRetention": [{"metricName": "m.*", "limit": 2}]})),
        often("ended-early", json!({"interval": "1s"}), "[1]").terminated(2),
        often("ended-early-failures", json!({"failureLimit": 9}), "[0]").terminated(2),
        often("ended-early-inconclusive", json!({"inconclusiveLimit": 9, "count": 60}), "[2] [1]")
            .terminated(1),
        often("ended-at-once", json!({"initialDelay": "1h"}), "[1]").with(json!({"terminate": true})),
        case("count-zero-ended", json!({"interval": "1s", "count": 0, "successCondition": "true"}), "[1]")
            .terminated(1),
        case(
            "count-word-ended",
            json!({"interval": "1s", "count": "many", "successCondition": "true"}),
            "[1]",
        )
        .terminated(1),
    ]
}

fn specifications() -> Vec<Case> {
    let arg = |name: &str, value: &str| json!({"name": name, "value": value});
    vec![
        often("both-limits-off", json!({"failureLimit": -1}), "[1]"),
        often("failure-limit-negative", json!({"failureLimit": -2}), "[1]"),
        often("inconclusive-limit-negative", json!({"inconclusiveLimit": -1}), "[1]"),
        often("successes-negative", json!({"consecutiveSuccessLimit": -1}), "[1]"),
        often("error-limit-negative", json!({"consecutiveErrorLimit": -1}), "[1]"),
        often("count-below-limits", json!({"count": 2, "failureLimit": 3}), "[1]"),
        often(
            "count-below-both",
            json!({"count": 3, "failureLimit": 2, "consecutiveSuccessLimit": 2}),
            "[1]",
        ),
        often(
            "count-below-successes",
            json!({"count": 1, "failureLimit": -1, "consecutiveSuccessLimit": 2}),
            "[1]",
        ),
        often("count-below-inconclusive", json!({"count": 1, "inconclusiveLimit": 2}), "[1]"),
        case("count-no-interval", json!({"count": 2, "successCondition": "true"}), "[1]"),
        often("interval-days", json!({"interval": "1d", "count": 2}), "[1]"),
        often("interval-no-unit", json!({"interval": "5", "count": 2}), "[1]"),
        often("delay-no-duration", json!({"initialDelay": "soon", "count": 2}), "[1]"),
        case("same-name", json!({"name": "m"}), "[1]").and(json!({"name": "m"}), "[1]"),
        case("no-provider", json!({"provider": {}}), "[1]"),
        often(
            "arg-in-condition",
            json!({"count": 1, "successCondition": "result[0] < {{args.limit}}"}),
            "[1]",
        )
        .with(json!({"args": [arg("limit", "2")]})),
        often("arg-in-numbers", json!({"count": "{{args.n}}", "interval": "{{ args.n }}s"}), "[1]")
            .with(json!({"args": [arg("n", "2")]})),
        once("arg-quoted", "\"{{args.a}}\" == \"b\"", "", "[1]").with(json!({"args": [arg("a", "b")]})),
        once("arg-unknown", "result[0] < {{args.limit}}", "", "[1]")
            .with(json!({"args": [arg("other", "2")]})),
        once("arg-no-value", "true", "", "[1]").with(json!({"args": [{"name": "limit"}]})),
        once("arg-open", "result[0] < {{args.limit", "", "[1]"),
        once("dry-no-match", "true", "", "[1]").with(json!({"dryRun": [{"metricName": "other"}]})),
        once("dry-no-rule", "true", "", "[1]").with(json!({"dryRun": [{"metricName": "*"}]})),
        once("kept-no-match", "true", "", "[1]")
            .with(json!({"measurementRetention": [{"metricName": "other", "limit": 2}]})),
    ]
}

fn several() -> Vec<Case> {
    let passes = || json!({"name": "passes", "successCondition": "true"});
    let one = |name: &str, success: &str, failure: &str| json!({"name": name, "successCondition": success, "failureCondition": failure, "consecutiveErrorLimit": 0});
    let dry = |rule: &str| json!({"dryRun": [{"metricName": rule}]});
    vec![
        once("dry-fails", "result[0] > 1", "", "[0]").with(dry(".*")),
        once("dry-error", "result[0] > 1", "", "[]").with(dry("^m$")),
        once("dry-inconclusive", "result[0] > 1", "result[0] < 1", "[1]").with(dry("m")),
        once("dry-and-fails", "result[0] > 1", "", "[0]")
            .and(one("dry", "false", ""), "[1]")
            .with(dry("dry")),
        once("dry-and-passes", "result[0] > 1", "", "[2]")
            .and(one("dry", "false", ""), "[1]")
            .with(dry("dry")),
        often("dry-fails-others-go-on", json!({"count": 3}), "[1]")
            .and(one("dry", "false", ""), "[1]")
            .with(dry("dry")),
        once("fails-and-passes", "result[0] > 1", "", "[0]").and(passes(), "[1]"),
        once("passes-and-neither", "true", "", "[0]").and(one("b", "result[0] > 1", "result[0] < 1"), "[1]"),
        once("neither-and-fails", "result[0] > 1", "result[0] < 1", "[1]").and(one("b", "false", ""), "[1]"),
        once("error-and-fails", "result[0] > 1", "", "[]").and(one("b", "false", ""), "[1]"),
        once("error-and-neither", "result[0] > 1", "", "[]").and(one("b", "false", "false"), "[1]"),
        once("fails-twice", "false", "", "[1]").and(one("b", "false", ""), "[1]"),
        often("failure-stops-others", json!({"count": 60}), "[1]").and(one("b", "false", ""), "[1]"),
        often("failure-before-delayed", json!({"count": 1, "initialDelay": "1h"}), "[1]")
            .and(one("b", "false", ""), "[1]"),
    ]
}
