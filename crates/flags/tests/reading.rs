//! What a file may not say: each fault at its path and line, with what to do.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::{File, Kind, LARGEST, Operator, Serve};

fn faults(text: &str) -> Vec<(String, usize, String)> {
    let Err(faults) = File::parse(text) else { panic!("no fault: {text}") };
    faults.into_iter().map(|f| (f.path, f.line, f.message)).collect()
}

/// One fault: where, in which line, and beginning how.
#[track_caller]
fn fault(text: &str, path: &str, line: usize, message: &str) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    assert_eq!((found[0].0.as_str(), found[0].1), (path, line), "{found:?}");
    assert!(found[0].2.contains(message), "{}", found[0].2);
}

fn one(fields: &str) -> String {
    format!("f:\n  enabled: true\n  percentage: 10.0\n{fields}")
}

#[test]
fn every_optional_field_is_read() {
    let text = r##"
$segments:
  staff:
    description: Who works here
    conditions:
      - {type: email, operator: ends with, value: "@example.com"}
base: {enabled: true, percentage: 100}
f:
  name: f
  enabled: true
  percentage: 31.125
  environment: production
  type: experiment
  description: "New tax engine"
  owner: shop
  expires_at: 2026-11-30
  salt: other
  rollout_by: company
  variants: {new: {colour: "#00f", sizes: [1, 2.5]}, old: {colour: "#0f0"}, third: {}}
  default_variant: old
  serve: {new: 50, third: 50}
  rules:
    - name: Staff
      conditions: [{operator: in_segment, value: staff}]
      serve: new
    - conditions: [{type: country, operator: not in, values: [DE, "Korea, South"]}]
      percentage: 5
      rollout_by: targetingKey
  prerequisites: [base, {flag: base, variant: on}]
  killed: {at: 2026-11-22T08:00:00Z, by: ann, reason: it fails}
  revision: 12
  x-ticket: SHOP-1
"##;
    let file = File::parse(text).unwrap();
    let f = file.flag("f").unwrap();
    assert_eq!(f.percentage.buckets(), 31_125);
    assert_eq!(f.kind, Kind::Experiment);
    assert_eq!((f.salt(), f.rollout_by(), f.default_variant()), ("other", "company", "old"));
    assert!(matches!(f.serve(), Serve::Split(ref s) if s.len() == 2));
    assert_eq!(f.rules[0].conditions[0].operator, Operator::InSegment);
    assert_eq!(f.rules[1].conditions[0].words(), "country is none of DE, Korea, South");
    assert_eq!(f.variants[0].value, serde_json::json!({"colour": "#00f", "sizes": [1, 2.5]}));
    assert_eq!(f.prerequisites.len(), 2);
    assert!(!f.is_on() && f.enabled, "killed, whatever enabled says");
    assert_eq!(f.revision, Some(12));
    assert_eq!(File::parse(&file.to_yaml()).unwrap(), file);
}

#[test]
fn an_empty_file_has_no_flags() {
    for text in ["", "\n", "# nothing yet\n", "---\n", "null", "{}", "--- {}\n...\n"] {
        assert_eq!(File::parse(text).unwrap().flags.len(), 0, "{text:?}");
    }
}

#[test]
fn what_is_no_file_of_flags_is_refused_as_a_whole() {
    fault("- a\n- b\n", "", 1, "not a list");
    fault("just words", "", 1, "not text");
    fault("f:\n  enabled: [\n", "", 2, "cannot be read as YAML");
    fault("f: {enabled: true}\n---\ng: {enabled: true}\n", "", 2, "second document");
    fault("f:\n\tenabled: true\n", "", 2, "cannot be read as YAML");
    fault(&format!("# {}\n", "x".repeat(LARGEST)), "", 1, "1 MiB");
    fault("f: {enabled: !!bool true}", "", 1, "tag");
    fault("? [a, b]\n: {enabled: true}\n", "", 1, "key must be text");
    fault(&format!("f: {}1{}", "[".repeat(60), "]".repeat(60)), "", 1, "");
    fault(&format!("f: {}1{}", "{a: ".repeat(60), "}".repeat(60)), "", 1, "");
    fault("f: &f\n  rules: [*f]\n", "", 2, "part of");
    fault("f: *g\n", "", 1, "cannot be read as YAML");
}

/// YAML has two versions, and a file must say the same in both: the older reader goes by the first.
#[test]
fn what_an_older_reader_takes_otherwise_is_refused() {
    for sneaky in ["\u{85}", "\u{2028}", "\u{2029}"] {
        let text = format!("# one{sneaky}g: {{enabled: true, percentage: 100}}\nf: {{enabled: true}}\n");
        fault(&text, "", 1, "does not show");
    }
    fault("a: &x{enabled: true}\n", "", 1, "");
    fault("f: {}\n# a\u{FEFF}b\n", "", 2, "byte order mark");
    fault("f:\n  x-a: {b: why?}\n", "", 2, "a `?` within braces");
    assert!(File::parse("f:\n  owner: who?\n  x-a: [\"why?\"]\n").is_ok());
    fault("{\"f\": {\"percentage\"\n\n: 1.5}}\n", "", 3, "Older readers refuse");
}

/// What `sigs.k8s.io/yaml` 1.6.0 made of each in a field of text, tried: those it prints otherwise, and those it leaves.
#[test]
fn what_older_readers_take_for_something_else_needs_quotes() {
    let other = [
        "n",
        "NO",
        "On",
        "off",
        "y",
        "Y",
        "yes",
        "True",
        "TRUE",
        "05",
        "010",
        "08",
        "+5",
        "0x1F",
        "0o17",
        "0b11",
        "1_000",
        "1_0.5",
        "8.10",
        "5.0",
        ".5",
        "5.",
        "1e3",
        "1E3",
        ".inf",
        ".nan",
        "99999999999999999999",
        "0.10",
        "100000000000000000000.5",
        "1234567.5",
        "12345678.5",
        "0.00001",
        "1.0e+3",
        "-0",
        "-0.0",
        "00",
        "0.0",
        "6.02e23",
        "21e6",
        "1000000.5",
        "3.14159265358979",
    ];
    let same = [
        "true",
        "false",
        "5",
        "-5",
        "8.2",
        "inf",
        "NaN",
        "2026-11-30",
        "2026-11-30T12:00:00Z",
        "12:30",
        "8.2.0",
        "10.0.0.0/8",
        "2001:db8::1",
        "=",
        "9007199254740993",
        "0.1",
        "0",
        "16777217",
        "DE",
        "nope",
        "priority=high",
        "1.2.3-rc.1",
        "12345678901",
    ];
    let value = |v: &str| one(&format!("  conditions: [{{type: a, operator: equals, value: {v}}}]\n"));
    for v in other {
        fault(&value(v), "f.conditions[0].value", 4, "in quotes");
        assert_eq!(
            File::parse(&value(&format!("\"{v}\""))).unwrap().flags[0].conditions[0].value.as_deref(),
            Some(v)
        );
    }
    for v in same {
        assert_eq!(File::parse(&value(v)).unwrap().flags[0].conditions[0].value.as_deref(), Some(v));
    }
    fault("no: {enabled: true}\n", "no", 1, "in quotes");
    fault("null: {enabled: true}\n", "null", 1, "in quotes");
    fault("f: {environment: on}\n", "f.environment", 1, "in quotes");
}

/// A billion laughs: ten levels of ten.
#[test]
fn anchors_that_unfold_to_gigabytes_cost_a_moment() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let before = format!("*a{}", i - 1);
        text += &format!("a{i}: &a{i} [{}]\n", vec![before; 10].join(", "));
    }
    let began = std::time::Instant::now();
    assert!(faults(&text)[0].2.contains("more values"));
    assert!(began.elapsed().as_secs() < 5);
}

#[test]
fn a_key_or_a_field_given_twice_is_told_with_both_lines() {
    fault("f: {enabled: true}\ng: {enabled: true}\nf: {enabled: false}\n", "f", 3, "first in line 1");
    fault("f:\n  enabled: true\n  enabled: false\n", "f.enabled", 3, "first in line 2");
    fault("f: {enabled: true}\n\"f\": {enabled: true}\n", "f", 2, "given twice");
}

#[test]
fn shares_are_from_0_to_100_in_thousandths() {
    for (value, said) in [
        ("101", "from 0 to 100"),
        ("-1", "from 0 to 100"),
        ("100.001", "from 0 to 100"),
        ("0.0001", "three decimals"),
        ("1e1", "plainly"),
        ("\"25\"", "Remove the quotes"),
        ("25%", "not text"),
        ("[25]", "not a list"),
        ("99999999999999999999999999", "from 0 to 100"),
        (".nan", "not text"),
    ] {
        fault(&format!("f:\n  enabled: true\n  percentage: {value}\n"), "f.percentage", 3, said);
    }
}

#[test]
fn on_is_true_or_false_only() {
    for value in ["yes", "on", "1", "\"true\"", "y", "[true]"] {
        fault(&format!("f:\n  enabled: {value}\n"), "f.enabled", 2, "`true` or `false`");
    }
}

#[test]
fn a_misspelt_field_is_refused_with_the_one_that_is_meant() {
    fault(&one("  conditons: []\n"), "f.conditons", 4, "Did you mean `conditions`?");
    fault(&one("  colour: red\n"), "f.colour", 4, "A field of your own begins with `x-`");
    fault(
        &one("  conditions: [{typ: a, operator: equals, value: b, type: a}]\n"),
        "f.conditions[0].typ",
        4,
        "`type`",
    );
    fault(&one("  name: g\n"), "f.name", 4, "the key is the name");
    fault(&one("  type: ops\n"), "f.type", 4, "operations");
}

#[test]
fn conditions_are_checked_with_their_values() {
    let condition = |c: &str| one(&format!("  conditions:\n    - {c}\n"));
    fault(
        &condition("{type: a, operator: equalz, value: b}"),
        "f.conditions[0].operator",
        5,
        "Did you mean `equals`?",
    );
    fault(
        &condition("{type: a, operator: frobnicate, value: b}"),
        "f.conditions[0].operator",
        5,
        "Known: equals",
    );
    fault(&condition("{type: a, value: b}"), "f.conditions[0].operator", 5, "Is missing");
    fault(&condition("{operator: equals, value: b}"), "f.conditions[0].type", 5, "Is missing");
    fault(&condition("{type: a, operator: equals}"), "f.conditions[0].values", 5, "nothing to compare");
    fault(
        &condition("{type: a, operator: in, value: ' , '}"),
        "f.conditions[0].value",
        5,
        "nothing to compare",
    );
    fault(
        &condition("{type: a, operator: greater_than, value: many}"),
        "f.conditions[0].value",
        5,
        "a number",
    );
    fault(
        &condition("{type: a, operator: at_least, values: [1, 2]}"),
        "f.conditions[0].values",
        5,
        "one value",
    );
    fault(
        &condition("{type: a, operator: version_at_least, value: new}"),
        "f.conditions[0].value",
        5,
        "a version",
    );
    fault(
        &condition("{type: a, operator: in_network, value: 10.0.0.0/99}"),
        "f.conditions[0].value",
        5,
        "a network",
    );
    fault(&condition("{type: a, operator: before, value: soon}"), "f.conditions[0].value", 5, "a date");
    fault(
        &condition("{type: a, operator: matches, value: '('}"),
        "f.conditions[0].value",
        5,
        "cannot be read",
    );
    fault(
        &condition("{type: a, operator: matches, value: '(?=x)'}"),
        "f.conditions[0].value",
        5,
        "look-around",
    );
    fault(
        &condition("{type: a, operator: matches, value: '(a{1000}){1000}'}"),
        "f.conditions[0].value",
        5,
        "too large",
    );
    fault(
        &condition("{operator: in_segment, value: staff}"),
        "f.conditions[0].value",
        1,
        "no segment `staff`",
    );
}

/// What says nothing must not count as not being there: a condition without an attribute would be no condition, a kill without a name no
/// kill.
#[test]
fn empty_text_is_refused_where_it_would_open_a_flag() {
    fault(
        &one("  conditions: [{type: \"\", operator: equals, value: b}]\n"),
        "f.conditions[0].type",
        4,
        "Is empty",
    );
    fault(
        &one("  conditions: [{type: a, operator: \"\", value: b}]\n"),
        "f.conditions[0].operator",
        4,
        "no operator",
    );
    fault(&one("  conditions: [~]\n"), "f.conditions[0]", 4, "Must be a map");
    fault(
        &one("  conditions: [{type: a, operator: in, values: [b, ~]}]\n"),
        "f.conditions[0].values[1]",
        4,
        "Is empty",
    );
    fault(&one("  conditions: [{}]\n"), "f.conditions[0].operator", 4, "Is missing");
    fault(&one("  killed: {at: 2026-11-22, by: \"\", reason: x}\n"), "f.killed.by", 4, "Is empty");
    fault(&one("  killed: {at: 2026-11-22, by: ann, reason: ''}\n"), "f.killed.reason", 4, "Is empty");
    fault(&one("  killed: {at: '', by: ann, reason: x}\n"), "f.killed.at", 4, "no date");
    fault(&one("  killed: true\n"), "f.killed", 4, "Must be a map");
    fault(&one("  rollout_by: ''\n"), "f.rollout_by", 4, "Is empty");
    fault(&one("  salt: ''\n"), "f.salt", 4, "Is empty");
    fault(&one("  prerequisites: ['']\n"), "f.prerequisites[0]", 1, "no flag");
    fault(&one("  prerequisites: [~]\n"), "f.prerequisites[0]", 4, "Is empty");
    fault(&one("  serve: ''\n"), "f.serve", 4, "no variant");
    fault("$segments: {s: {conditions: []}}\n", "$segments.s", 1, "Has no conditions");
    let go = File::parse("f: {name: '', enabled: true, environment: '', owner: ''}").unwrap();
    assert_eq!(go.flags[0].environment, None, "as Go writes what was not set");
}

#[test]
fn variants_agree_with_each_other_and_are_named() {
    fault(&one("  variants: {a: 1, b: two}\n  default_variant: a\n"), "f.variants.b", 4, "one kind");
    fault(&one("  variants: {a: [1]}\n  default_variant: a\n"), "f.variants.a", 4, "map");
    fault(&one("  variants: {a: 1, b: 2}\n"), "f.default_variant", 4, "Is missing");
    fault(&one("  variants: {a: 1, b: 2}\n  default_variant: c\n"), "f.default_variant", 5, "no variant `c`");
    fault(&one("  variants: {a: 1, b: 2, c: 3}\n  default_variant: c\n"), "f.serve", 4, "which of the 3");
    fault(&one("  serve: {on: 50, off: 49.999}\n"), "f.serve", 4, "99.999");
    fault(&one("  serve: blue\n"), "f.serve", 4, "no variant `blue`");
    fault(
        &one("  variants: {a: 99999999999999999999, b: 2}\n  default_variant: b\n"),
        "f.variants.a",
        4,
        "larger",
    );
    fault(
        &one("  variants:\n  default_variant: on\n  rules: [{conditions: [], serve: x}]\n"),
        "f.rules[0].serve",
        6,
        "no variant",
    );
}

#[test]
fn prerequisites_lead_to_flags_and_not_in_circles() {
    fault(&one("  prerequisites: [g]\n"), "f.prerequisites[0]", 1, "no flag `g`");
    fault(&one("  prerequisites: [f]\n"), "f.prerequisites", 1, "circle: f → f");
    let circle = "a: {prerequisites: [b]}\nb: {prerequisites: [c]}\nc: {prerequisites: [a]}\nd: {prerequisites: [a]}\n";
    fault(circle, "a.prerequisites", 1, "circle: a → b → c → a");
    fault(
        "a: {}\nb: {prerequisites: [{flag: a, variant: blue}]}\n",
        "b.prerequisites[0]",
        2,
        "no variant `blue`",
    );
    // Each asks the one before twice: 2^30 questions.
    let mut text = "f0: {enabled: true}\n".to_owned();
    for i in 1..30 {
        text += &format!("f{i}: {{prerequisites: [f{}, f{}]}}\n", i - 1, i - 1);
    }
    assert!(faults(&text)[0].2.contains("more than 100"), "{:?}", faults(&text));
}

#[test]
fn keys_are_fit_for_addresses_and_logs() {
    for key in ["a b", "a/b", "\"\"", "a\u{200B}b", "$flags", "\"a\\nb\"", "..", "a#b", "a%20b"] {
        assert_eq!(File::parse(&format!("{key}: {{enabled: true}}\n")).unwrap_err().len(), 1, "{key:?}");
    }
    for key in ["äöü", "旗", "a.b", "a-b_c", "1", "true", "\"null\"", "\"no\"", "\"quoted\"", "a:b", "🚩"]
    {
        let file = File::parse(&format!("{key}: {{enabled: true, percentage: 100}}\n")).unwrap();
        assert_eq!(file.flags.len(), 1, "{key}");
        assert_eq!(File::parse(&file.to_yaml()).unwrap(), file, "{key}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = "a: {enabled: maybe}\nb: 1\nc:\n  percentage: 200\n  conditions: {}\n";
    let found = faults(text);
    let places: Vec<_> = found.iter().map(|(path, line, _)| (path.as_str(), *line)).collect();
    assert_eq!(places, [("a.enabled", 1), ("b", 2), ("c.percentage", 4), ("c.conditions", 5)]);
}

#[test]
fn what_editors_and_other_systems_write_is_read() {
    let plain = File::parse("f:\n  enabled: true\n  percentage: 25.0\n").unwrap();
    for text in [
        "f:\r\n  enabled: true\r\n  percentage: 25.0\r\n",
        "\u{FEFF}f:\n  enabled: true\n  percentage: 25.0\n",
        "---\nf:\n  enabled: true\n  percentage: 25.0\n...\n",
        "{\"f\":{\"enabled\":true,\"percentage\":25}}",
        "{\n\t\"f\": {\n\t\t\"enabled\": true,\n\t\t\"percentage\": 25\n\t}\n}\n",
        "\"f\": {enabled: True, percentage: 25.000}",
        "f: {enabled: TRUE, percentage: 25.}",
        "x: &x {enabled: true}\nf: {<<: *x, percentage: 25.0}\n",
    ] {
        let file = File::parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}"));
        assert_eq!(file.flag("f"), plain.flag("f"), "{text:?}");
    }
}

/// As Go's readers have it: what the flag says itself counts, then what comes first.
#[test]
fn merged_fields_stand_behind_own_ones() {
    let text = "base: &base\n  enabled: true\n  percentage: 50.0\n  owner: shop\nf:\n  <<: *base\n  percentage: 5.0\n";
    let file = File::parse(text).unwrap();
    let f = file.flag("f").unwrap();
    assert!(f.enabled);
    assert_eq!((f.percentage.buckets(), f.owner.as_deref()), (5000, Some("shop")));
    fault("f:\n  <<: 5\n", "", 2, "takes a map");
    fault("a: &a {}\nf:\n  <<: *a\n  <<: *a\n", "", 4, "given twice");
}
