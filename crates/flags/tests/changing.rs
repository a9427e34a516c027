//! What changed, whether more users get something, what stays killed, and what is forgotten.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use chrono::{DateTime, TimeDelta, Utc};
use flags::change::{
    Hand, KEPT_FULL, Stale, Usage, diff, held, hold, kill, may_change, raises_exposure, remains, revive,
    stale,
};
use flags::{File, Killed, edit};

fn file(text: &str) -> File {
    File::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn killed(by: &str) -> Killed {
    Killed { at: at("2026-11-22T08:00:00Z"), by: by.into(), reason: "checkout fails".into() }
}

#[test]
fn a_difference_names_each_field_with_what_it_was_and_is() {
    let before = file(
        "a: {enabled: true, percentage: 31, owner: shop, conditions: [{type: country, operator: in, value: DE}]}\nold: {enabled: true}\n",
    );
    let after = file(
        "new: {enabled: false}\na: {enabled: true, percentage: 40.0, salt: x, conditions: [{type: country, operator: in, value: 'DE, FR'}]}\n",
    );
    let words: Vec<_> = diff(&before, &after).iter().map(flags::change::Change::words).collect();
    assert_eq!(
        words,
        [
            "a: percentage 31\u{a0}% → 40\u{a0}%, conditions[0] country is one of DE → country is one of DE, FR, salt x added, owner shop removed",
            "new added: enabled false, percentage 0\u{a0}%, type release",
            "old removed; it was: enabled true, percentage 0\u{a0}%, type release",
        ]
    );
    assert!(diff(&before, &before).is_empty());
    let json = serde_json::to_value(diff(&before, &after)).unwrap();
    assert_eq!(json[0]["change"], "changed");
    assert_eq!(json[0]["fields"][0]["to"], "40\u{a0}%");
}

#[test]
fn how_a_file_is_written_is_no_difference() {
    let a = file("# one\nf:\n  enabled: true\n  percentage: 25.0\n");
    assert!(diff(&a, &file("{\"f\": {\"percentage\": 25, \"enabled\": true}}")).is_empty());
}

/// Long lists are shortened on pages, and never here.
#[test]
fn a_difference_at_the_end_of_a_long_list_shows() {
    let list = |last: &str| {
        file(&format!(
            "f: {{conditions: [{{type: a, operator: in, values: [b, c, d, e, f, g, h, {last}]}}]}}"
        ))
    };
    assert!(diff(&list("x"), &list("y"))[0].words().contains("h, x → a is one of"));
}

/// Whether a change of the one field asks for approval.
#[track_caller]
fn exposes(before: &str, after: &str, why: Option<&str>) {
    let found = raises_exposure(&file(before), &file(after));
    match why {
        None => assert!(found.is_empty(), "{found:?}"),
        Some(words) => {
            assert!(found.iter().flat_map(|e| &e.why).any(|w| w.contains(words)), "{found:?}");
        }
    }
}

#[test]
fn more_users_or_other_users_or_something_else_is_exposure() {
    let f = "f: {enabled: true, percentage: 30, environment: production, conditions: [{type: a, operator: equals, value: b}]}";
    exposes(f, &f.replace("30", "31"), Some("rises from 30\u{a0}% to 31\u{a0}%"));
    exposes(f, &f.replace("value: b", "value: c"), Some("condition"));
    exposes(f, "f: {enabled: true, percentage: 30, environment: production}", Some("condition"));
    exposes(f, &f.replace("production", "staging"), Some("environment"));
    exposes(f, &f.replace("enabled", "salt: x, enabled"), Some("salt"));
    exposes(f, &f.replace("enabled", "rollout_by: x, enabled"), Some("attribute"));
    exposes(
        f,
        &f.replace("enabled", "variants: {new: true, old: false}, default_variant: old, enabled"),
        Some("variants"),
    );
    exposes(f, &f.replace("enabled", "rules: [{conditions: []}], enabled"), Some("rules"));
    exposes(&f.replace("true", "false"), f, Some("turned on"));
    exposes("", f, Some("turned on"));
    let off = "f: {enabled: false, variants: {a: 1, b: 2}, default_variant: a}";
    exposes(
        off,
        &off.replace("default_variant: a", "default_variant: b"),
        Some("not in gets something else"),
    );
    exposes(off, &off.replace("a: 1", "a: 3"), Some("not in gets something else"));
    exposes("", "f: {enabled: false, default_variant: on, serve: off}", Some("true for whoever is not in"));
}

#[test]
fn less_is_no_exposure() {
    let f = "f: {enabled: true, percentage: 30, conditions: [{type: a, operator: equals, value: b}]}";
    exposes(f, &f.replace("30", "29"), None);
    exposes(f, &f.replace("true", "false"), None);
    exposes(f, &f.replace("enabled", "environment: production, enabled"), None);
    exposes(f, &f.replace("[{", "[{type: c, operator: equals, value: d}, {"), None);
    exposes(f, &f.replace("enabled", "owner: shop, expires_at: 2026-12-01, enabled"), None);
    exposes(f, "", None);
    exposes(f, &f.replace("30", "0").replace("value: b", "value: c"), None);
    exposes("", &f.replace("30", "0"), None);
    let whole = f.replace("30", "100");
    exposes(&whole, &whole.replace("enabled", "salt: x, enabled"), None);
}

#[test]
fn exposure_goes_through_prerequisites_and_segments() {
    let p = "base: {enabled: true, percentage: 10}\nneeds: {enabled: true, percentage: 100, prerequisites: [base]}\nlast: {enabled: true, percentage: 100, prerequisites: [needs]}\n";
    let found = raises_exposure(&file(p), &file(&p.replace("10}", "20}")));
    let keys: Vec<_> = found.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["base", "needs", "last"]);
    exposes(p, &p.replace("10}", "5}"), None);
    // Whoever waits for a flag to be off gets more when it is given to fewer.
    let q = p.replace("[base]", "[{flag: base, variant: \"off\"}]");
    exposes(&q, &q.replace("10}", "5}"), Some("prerequisite base"));
    let s = "$segments: {staff: {conditions: [{type: a, operator: equals, value: b}]}}\nf: {enabled: true, percentage: 5, conditions: [{operator: in_segment, value: staff}]}\n";
    exposes(s, &s.replace("value: b", "value: c"), Some("segment"));
}

/// Whoever a rule does not hold for any more meets the next one.
#[test]
fn a_rule_that_changes_is_exposure_unless_only_its_share_falls() {
    let f = "$segments: {staff: {conditions: [{type: a, operator: equals, value: b}]}}\nf:\n  enabled: true\n  percentage: 10\n  rules:\n  - conditions: [{operator: in_segment, value: staff}]\n    percentage: 50\n  prerequisites: [base]\nbase: {enabled: true}\n";
    exposes(
        f,
        &f.replace("percentage: 50", "percentage: 51"),
        Some("share of rule 1 rises from 50\u{a0}% to 51\u{a0}%"),
    );
    exposes(f, &f.replace("percentage: 50", "percentage: 49"), None);
    exposes(f, &f.replace("value: b", "value: c"), Some("rule 1 is for others"));
    exposes(f, &f.replace("    percentage: 50", "    serve: off"), Some("rule 1 is for others"));
    exposes(
        f,
        &f.replace("    percentage: 50", "    rollout_by: c\n    percentage: 50"),
        Some("rule 1 is for others"),
    );
    exposes(f, &f.replace("[{operator: in_segment, value: staff}]", "[]"), Some("rule 1 is for others"));
    exposes(f, &f.replace("  prerequisites: [base]\n", ""), Some("a prerequisite is gone"));
    exposes(&f.replace("  prerequisites: [base]\n", ""), f, None);
    exposes(
        f,
        &f.replace("  percentage: 10\n", "  percentage: 10\n  serve: {on: 50, off: 50}\n"),
        Some("gets another variant"),
    );
}

#[test]
fn a_killed_flag_stays_killed_for_everything_but_a_person_with_a_reason() {
    let before = "f: {enabled: true, percentage: 50}\ng: {enabled: true, percentage: 50}\n";
    let dead = kill(before, "f", killed("ann")).unwrap();
    let was = file(&dead);
    assert!(!was.flag("f").unwrap().is_on() && !was.flag("f").unwrap().enabled);
    assert_eq!(was.flag("g"), file(before).flag("g"));

    // A stale writer puts back what it read before.
    let refused = may_change(&was, &file(before), Hand::Ordinary);
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].words.starts_with("f was killed by ann and would be on again"),
        "{}",
        refused[0].words
    );
    // So does one that only switches it on, removes it, or rewrites who killed it.
    assert_eq!(
        may_change(&was, &file(&dead.replace("enabled: false", "enabled: true")), Hand::Ordinary).len(),
        1
    );
    assert_eq!(may_change(&was, &file(&edit::remove(&dead, "f").unwrap()), Hand::Ordinary).len(), 1);
    assert_eq!(may_change(&was, &file(&dead.replace("ann", "bob")), Hand::Ordinary).len(), 1);
    // What leaves it dead may change.
    assert!(
        may_change(&was, &file(&dead.replace("percentage: 50", "percentage: 10")), Hand::Ordinary).is_empty()
    );

    let alive = revive(&dead, "f").unwrap();
    assert!(!file(&alive).flag("f").unwrap().enabled, "to revive is not to expose");
    let keys = ["f"];
    assert!(
        may_change(&was, &file(&alive), Hand::Reviving { keys: &keys, reason: "mended in 1.42.1" })
            .is_empty()
    );
    assert_eq!(may_change(&was, &file(&alive), Hand::Reviving { keys: &keys, reason: "  " }).len(), 1);
    assert_eq!(may_change(&was, &file(&alive), Hand::Reviving { keys: &["g"], reason: "mended" }).len(), 1);
    assert_eq!(may_change(&was, &file(&alive), Hand::Ordinary).len(), 1);
}

/// What others write over a kill counts for nothing, and is put right byte for byte.
#[test]
fn a_killed_flag_is_off_in_whatever_file_comes() {
    let text = "# Ours\nf: {enabled: true, percentage: 50}\ng: {enabled: true, percentage: 50}\n";
    let was = file(text);
    let left = [remains(was.flag("f").unwrap(), killed("ann"))];
    assert_eq!(left[0].killed.as_ref().map(|k| &*k.by), Some("ann"));
    for other in [text, "g: {enabled: true, percentage: 50}\n", "", "f: {enabled: false}\n"] {
        let served = held(&file(other), &left);
        let flag = served.flag("f").unwrap();
        assert!(!flag.enabled && flag.killed == left[0].killed, "{other}");
        assert_eq!(served.flag("g"), file(other).flag("g"), "{other}");
        let written = hold(other, &left).unwrap().unwrap();
        assert_eq!(file(&written), served, "{other}");
        assert_eq!(hold(&written, &left).unwrap(), None, "once is enough");
    }
    assert!(hold(text, &left).unwrap().unwrap().starts_with("# Ours\n"));
    assert_eq!(hold(text, &[]).unwrap(), None);
    // Another kill of the same flag in the file stays: who was first is history.
    let by_bob = kill(text, "f", killed("bob")).unwrap();
    assert_eq!(hold(&by_bob, &left).unwrap(), None);
    assert!(hold("f: [", &left).is_err());
}

#[test]
fn the_first_to_kill_is_remembered() {
    let dead = kill("f: {enabled: true, percentage: 50}\n", "f", killed("ann")).unwrap();
    assert_eq!(kill(&dead, "f", killed("bob")).unwrap(), dead);
}

#[test]
fn a_kill_writes_two_fields_and_nothing_else() {
    let text = "# Ours\nf:\n  enabled: true  # since Monday\n  percentage: 50.0\n\ng:\n  enabled: true\n";
    let dead = kill(text, "f", killed("ann")).unwrap();
    assert_eq!(
        dead,
        "# Ours\nf:\n  enabled: false  # since Monday\n  percentage: 50.0\n  killed:\n    at: 2026-11-22T08:00:00Z\n    by: ann\n    reason: \"checkout fails\"\n\ng:\n  enabled: true\n"
    );
    assert_eq!(revive(&dead, "f").unwrap(), text.replacen("true", "false", 1));
}

#[test]
fn a_flag_is_stale_when_it_ended_when_everybody_has_it_or_when_nobody_asks() {
    let now = at("2026-11-22T08:00:00Z");
    let flag = |fields: &str| file(&format!("f: {{{fields}}}")).flags.remove(0);
    let old = Usage { unchanged_since: Some(now - KEPT_FULL), ..Usage::default() };
    let full = "enabled: true, percentage: 100";
    assert_eq!(stale(&flag(full), &old, now), Some(Stale::Everybody));
    assert_eq!(stale(&flag(full), &old, now - TimeDelta::seconds(1)), None);
    for other in [
        "enabled: true, percentage: 99.999",
        "enabled: false, percentage: 100",
        "enabled: true, percentage: 100, type: operations",
        "enabled: true, percentage: 100, conditions: [{type: a, operator: equals, value: b}]",
    ] {
        assert_eq!(stale(&flag(other), &old, now), None, "{other}");
    }
    let ended = flag("enabled: true, percentage: 5, expires_at: 2026-11-22");
    assert_eq!(stale(&ended, &Usage::default(), now), Some(Stale::Expired));
    assert_eq!(stale(&ended, &Usage::default(), at("2026-11-21T23:59:59Z")), None);
    let plain = flag("enabled: true, percentage: 5");
    let watched = Usage { watched_since: Some(now - TimeDelta::days(31)), ..Usage::default() };
    assert_eq!(stale(&plain, &watched, now), Some(Stale::Unasked));
    let asked = Usage { last_evaluated: Some(now - TimeDelta::days(2)), ..watched };
    assert_eq!(stale(&plain, &asked, now), None);
    assert_eq!(stale(&plain, &Usage::default(), now), None, "nothing is known");
}
