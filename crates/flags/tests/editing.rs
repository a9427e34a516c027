//! A file written by hand is changed where it is to change, and nowhere else.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::edit::{Unchanged, part, put, remove, replace};
use flags::{Condition, File, Flag, Operator, Serve, Share};

const HAND: &str = r#"# Flags of the shop. Ask #shop before you change them.

$segments:   # who is who
  staff:
    conditions:
      - {type: email, operator: ends_with, value: "@example.com"}

# The new tax engine.
# Since March.
checkout-new-tax:
    enabled:   true      # on since Monday
    percentage: 25.0  # Gradual rollout
    owner: 'shop'
    conditions:
    - type: "country"   # where
      value: "DE"
      operator: "equals"
    - operator: in_segment
      value: staff
    rules:
    - name: First
      # a word about it
      conditions: [{type: plan, operator: equals, value: team}]
      percentage: 5

other: {enabled: true, percentage: 10, x-note: "keep me"}  # one line

last:
  enabled: false
  description: |
    Two lines,
    of text.

# The end.
"#;

fn flag(text: &str, key: &str) -> Flag {
    File::parse(text).unwrap().flag(key).unwrap().clone()
}

fn share(text: &str) -> Share {
    Share::parse(text).unwrap()
}

/// Changing a flag replaces one text by another, once, and nothing else.
#[track_caller]
fn changes(key: &str, change: impl FnOnce(&mut Flag), from: &str, to: &str) {
    assert_eq!(HAND.matches(from).count(), 1, "{from}");
    let mut flag = flag(HAND, key);
    change(&mut flag);
    assert_eq!(put(HAND, &flag).unwrap(), HAND.replacen(from, to, 1));
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    let key = "checkout-new-tax";
    changes(key, |f| f.percentage = share("31.5"), "25.0  # Gradual", "31.5  # Gradual");
    changes(key, |f| f.enabled = false, "enabled:   true      # on", "enabled:   false      # on");
    changes(key, |f| f.owner = Some("team shop".into()), "'shop'", "\"team shop\"");
    changes(key, |f| f.conditions[0].value = Some("FR".into()), "value: \"DE\"", "value: FR");
    changes(key, |f| f.rules[0].percentage = share("6"), "percentage: 5\n", "percentage: 6.0\n");
    changes(key, |f| f.rules[0].conditions[0].value = Some("on".into()), "value: team", "value: \"on\"");
    changes("other", |f| f.percentage = share("11"), "percentage: 10,", "percentage: 11.0,");
}

#[test]
fn a_field_more_stands_behind_the_others() {
    changes(
        "checkout-new-tax",
        |f| f.salt = Some("other".into()),
        "      percentage: 5\n",
        "      percentage: 5\n    salt: other\n",
    );
    changes("other", |f| f.owner = Some("shop".into()), "\"keep me\"}", "\"keep me\", owner: shop}");
    changes("last", |f| f.revision = Some(2), "    of text.\n", "    of text.\n  revision: 2\n");
    changes(
        "checkout-new-tax",
        |f| {
            f.rules[0].serve =
                Some(Serve::Split(vec![("on".into(), share("50")), ("off".into(), share("50"))]))
        },
        "      percentage: 5\n",
        "      percentage: 5\n      serve:\n        \"on\": 50.0\n        \"off\": 50.0\n",
    );
}

#[test]
fn a_field_less_takes_its_line() {
    changes("checkout-new-tax", |f| f.owner = None, "    owner: 'shop'\n", "");
    changes("last", |f| f.description = None, "  description: |\n    Two lines,\n    of text.\n", "");
    changes(
        "checkout-new-tax",
        |f| f.rules[0].name = None,
        "name: First\n      # a word about it\n      conditions",
        "conditions",
    );
}

#[test]
fn a_condition_more_is_a_list_written_anew() {
    let mut flag = flag(HAND, "checkout-new-tax");
    flag.conditions.push(Condition {
        attribute: "app".into(),
        operator: Operator::VersionAtLeast,
        value: Some("8.2.0".into()),
        values: Vec::new(),
    });
    let after = put(HAND, &flag).unwrap();
    assert!(
        after.contains(
            "      - type: app\n        value: \"8.2.0\"\n        operator: version_at_least\n    rules:\n"
        ),
        "{after}"
    );
    assert!(after.starts_with(HAND.split("    conditions:\n    -").next().unwrap()));
    assert!(after.ends_with(HAND.split("    rules:").nth(1).unwrap()));
}

/// The order of shares decides which buckets are whose.
#[test]
fn shares_in_another_order_are_written_in_that_order() {
    let text = "f:\n  serve:\n    \"on\": 20.0\n    \"off\": 80.0\n  owner: shop # ours\n";
    let mut flag = flag(text, "f");
    flag.serve = Some(Serve::Split(vec![("off".into(), share("80")), ("on".into(), share("20"))]));
    let after = "f:\n  serve:\n    \"off\": 80.0\n    \"on\": 20.0\n  owner: shop # ours\n";
    assert_eq!(put(text, &flag).as_deref(), Ok(after));
}

#[test]
fn a_flag_more_stands_at_the_end() {
    let flag = Flag { key: "new-one".into(), enabled: true, percentage: share("1"), ..Flag::default() };
    let after = put(HAND, &flag).unwrap();
    assert_eq!(after, format!("{HAND}\nnew-one:\n  enabled: true\n  percentage: 1.0\n"));
    let again = put(&after, &flag).unwrap();
    assert_eq!(again, after, "what is so already is not written");
}

#[test]
fn a_flag_is_added_to_every_form_of_file() {
    let flag = Flag { key: "new".into(), ..Flag::default() };
    for (before, after) in [
        ("", "new:\n  enabled: false\n  percentage: 0.0\n"),
        ("# mine", "# mine\nnew:\n  enabled: false\n  percentage: 0.0\n"),
        ("{}", "{new: {enabled: false, percentage: 0.0}}"),
        (
            "{\"a\": {\"enabled\": true}}\n",
            "{\"a\": {\"enabled\": true}, \"new\": {\"enabled\": false, \"percentage\": 0.0}}\n",
        ),
        ("a: {enabled: true}", "a: {enabled: true}\n\nnew:\n  enabled: false\n  percentage: 0.0\n"),
        ("a: {}\r\n", "a: {}\r\n\r\nnew:\r\n  enabled: false\r\n  percentage: 0.0\r\n"),
        ("---\na: {}\n...\n", "---\na: {}\n\nnew:\n  enabled: false\n  percentage: 0.0\n...\n"),
        (
            "  a:\n    enabled: true\n",
            "  a:\n    enabled: true\n\n  new:\n    enabled: false\n    percentage: 0.0\n",
        ),
        ("\u{FEFF}a: {}\n", "\u{FEFF}a: {}\n\nnew:\n  enabled: false\n  percentage: 0.0\n"),
    ] {
        assert_eq!(put(before, &flag).as_deref(), Ok(after), "{before:?}");
    }
}

#[test]
fn a_flag_leaves_with_the_comment_above_it() {
    let after = remove(HAND, "checkout-new-tax").unwrap();
    let (head, rest) = HAND.split_once("# The new tax engine.").unwrap();
    let tail = rest.split_once("percentage: 5\n\n").unwrap().1;
    assert_eq!(after, format!("{head}{tail}"));
    assert_eq!(
        remove(HAND, "other").unwrap(),
        HAND.replace("other: {enabled: true, percentage: 10, x-note: \"keep me\"}  # one line\n\n", "")
    );
    let after = remove(HAND, "last").unwrap();
    assert!(after.ends_with("# one line\n\n# The end.\n"), "{after}");
    assert_eq!(
        remove("# Head\na: {}\nb: {}\n", "a").unwrap(),
        "# Head\nb: {}\n",
        "the file's own comment stays"
    );
    assert_eq!(remove("{a: {}, b: {}, c: {}}", "b").unwrap(), "{a: {}, c: {}}");
    assert_eq!(remove("{a: {}, b: {}}", "b").unwrap(), "{a: {}}");
    assert_eq!(remove("a: {}", "a").unwrap(), "");
    assert_eq!(remove(HAND, "none"), Err(Unchanged::NoFlag("none".into())));
}

#[test]
fn other_writings_are_kept() {
    for (before, percentage, after) in [
        (
            "f:\r\n  enabled: true # x\r\n  percentage: 1\r\n",
            "2",
            "f:\r\n  enabled: true # x\r\n  percentage: 2.0\r\n",
        ),
        (
            "\"f\": {\"enabled\": true, \"percentage\": 1}",
            "2",
            "\"f\": {\"enabled\": true, \"percentage\": 2.0}",
        ),
        ("f:\n  percentage:\n  enabled: true\n", "2", "f:\n  percentage: 2.0\n  enabled: true\n"),
        ("f: {percentage: , enabled: true}\n", "2", "f: {percentage: 2.0 , enabled: true}\n"),
        ("f:\n  enabled: true\n", "2", "f:\n  enabled: true\n  percentage: 2.0\n"),
        ("f:\n  enabled: true # no newline", "2", "f:\n  enabled: true # no newline\n  percentage: 2.0"),
        ("f: {}\n", "2", "f: {percentage: 2.0}\n"),
        ("f: {enabled: true,}\n", "2", "f: {enabled: true, percentage: 2.0,}\n"),
        ("\u{FEFF}f:\n  percentage: 1\n", "2", "\u{FEFF}f:\n  percentage: 2.0\n"),
        (
            "旗: {percentage: 7}\nf: {percentage: 1} # ü\n",
            "2",
            "旗: {percentage: 7}\nf: {percentage: 2.0} # ü\n",
        ),
        (
            "f:\n  # first\n  percentage:\n    # why\n    1\n",
            "2",
            "f:\n  # first\n  percentage:\n    # why\n    2.0\n",
        ),
        ("? f\n: percentage: 1\n", "2", "? f\n: percentage: 2.0\n"),
    ] {
        let mut flag = flag(before, "f");
        flag.percentage = share(percentage);
        assert_eq!(put(before, &flag).as_deref(), Ok(after), "{before:?}");
    }
}

#[test]
fn what_an_anchor_shares_is_not_changed_for_others() {
    let text = "a: &a\n  enabled: true\n  percentage: 5\nb: *a\nc:\n  <<: *a\n  owner: shop\n";
    for key in ["a", "b"] {
        let mut flag = flag(text, key);
        flag.percentage = share("6");
        assert!(matches!(put(text, &flag), Err(Unchanged::ByHand(..))), "{key}");
    }
    let mut c = flag(text, "c");
    c.percentage = share("6");
    assert!(matches!(put(text, &c), Err(Unchanged::ByHand(ref path, _)) if path == "c.percentage"));
    c = flag(text, "c");
    c.owner = Some("team".into());
    assert_eq!(put(text, &c).unwrap(), text.replace("shop", "team"));
}

#[test]
fn a_file_with_faults_is_left_alone() {
    let flag = Flag { key: "n".into(), ..Flag::default() };
    assert!(matches!(put("a: {enabled: maybe}\n", &flag), Err(Unchanged::Faults(_))));
    assert!(matches!(put("a: [", &flag), Err(Unchanged::Faults(_))));
    let bad = Flag { key: "a b".into(), ..Flag::default() };
    assert!(matches!(put("", &bad), Err(Unchanged::Faults(_))));
    let needs = "a: {}\nb: {prerequisites: [a]}\n";
    assert!(matches!(remove(needs, "a"), Err(Unchanged::Faults(_))), "another flag needs it");
}

#[test]
fn the_lines_of_a_flag_are_replaced_and_nothing_else() {
    let text = "# Ours\na:\n  enabled: true # why\n  percentage: 5\n\n# About b\nb: {enabled: true}\n";
    assert_eq!(part(text, "a").as_deref(), Some("a:\n  enabled: true # why\n  percentage: 5"));
    assert_eq!(part(text, "b").as_deref(), Some("b: {enabled: true}"));
    assert_eq!(part(text, "c"), None);
    for key in ["a", "b"] {
        assert_eq!(replace(text, key, &part(text, key).unwrap()).unwrap(), text, "{key}");
    }
    let changed = replace(text, "a", "a:\n  enabled: true # why\n  percentage: 6\n").unwrap();
    assert_eq!(changed, text.replace("percentage: 5", "percentage: 6"));
    let added = replace(text, "c", "c: {enabled: false}").unwrap();
    assert_eq!(added, format!("{text}\nc: {{enabled: false}}\n"));
    assert_eq!(replace("", "c", "c: {}").unwrap(), "c: {}\n");
    assert_eq!(replace(text, "a", " ").unwrap(), remove(text, "a").unwrap());

    // Another flag, a second one, and faults, which are told at their lines of the file.
    assert!(matches!(replace(text, "a", "x: {enabled: true}"), Err(Unchanged::ByHand(..))));
    assert!(matches!(replace(text, "a", "a: {}\nz: {}"), Err(Unchanged::ByHand(..))));
    assert!(matches!(replace(text, "a", "a: {}\nb: {}"), Err(Unchanged::Faults(_))), "given twice");
    let Err(Unchanged::Faults(faults)) = replace(text, "b", "b:\n  percentage: 200") else { panic!("taken") };
    assert_eq!((faults[0].path.as_str(), faults[0].line), ("b.percentage", 8));
    assert!(
        replace("a: &x {enabled: true}\nb: *x\n", "a", "a: &x {enabled: false}").is_err(),
        "b would change"
    );
}
