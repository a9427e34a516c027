//! What holds for every file and every user.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::change::raises_exposure;
use flags::edit::{put, remove};
use flags::{
    BUCKETS, Condition, Context, Evaluator, File, Flag, Kind, Operator, Prerequisite, Rule, Segment, Serve,
    Share, Variant, bucket, variant_bucket,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn share() -> impl Strategy<Value = Share> {
    let buckets = prop_oneof![1 => Just(0), 2 => Just(BUCKETS), 2 => 0..=BUCKETS, 1 => Just(50_000)];
    buckets.prop_map(|b| Share::from_buckets(b).unwrap())
}

/// Texts as people write them, and such as tempt a reader of YAML.
fn text() -> impl Strategy<Value = String> {
    let odd = [
        "yes",
        "on",
        "null",
        "~",
        "",
        "1",
        "1.0",
        "0x1F",
        "2026-11-30",
        "true",
        "- a",
        "a: b",
        "#no",
        "'",
        "\"",
        "a\\b",
        "<<",
        "*a",
        "&a",
        "!t",
        "%x",
        "@x",
        "`",
        " lead",
        "trail ",
        "{a}",
        "[b]",
        "a, b",
        "|",
        ">",
        "Ünï",
        "旗🚩",
        "a\nb",
        "?",
        ":",
        "-",
        "a #b",
        "...",
        "---",
        "=",
    ];
    prop_oneof![select(odd.to_vec()).prop_map(str::to_owned), "[a-z]{1,6}", "[ -~]{1,12}"]
}

fn filled() -> impl Strategy<Value = String> {
    text().prop_filter("empty says nothing", |t| !t.is_empty())
}

fn condition(segments: bool) -> impl Strategy<Value = Condition> {
    let attribute = select(vec!["a", "b", "c.d", "targetingKey"]).prop_map(str::to_owned);
    let plain = (
        attribute,
        select(vec![
            Operator::Equals,
            Operator::NotEquals,
            Operator::Contains,
            Operator::NotContains,
            Operator::StartsWith,
            Operator::EndsWith,
        ]),
        select(vec!["x", "y", "1", "true", "xy"]),
        vec(select(vec!["x", "z"]).prop_map(str::to_owned), 0..2),
    );
    let plain = plain.prop_map(|(attribute, operator, value, values)| Condition {
        attribute,
        operator,
        value: Some(value.to_owned()),
        values,
    });
    let of = |attribute: &str, operator, value: &str| Condition {
        attribute: attribute.into(),
        operator,
        value: Some(value.into()),
        values: Vec::new(),
    };
    let mut fixed = vec![
        of("a", Operator::Matches, "^x+$"),
        of("b", Operator::AtLeast, "2"),
        of("b", Operator::VersionBelow, "2.0"),
        of("a", Operator::InNetwork, "10.0.0.0/8"),
        of("a", Operator::After, "2026-01-01"),
        of("a", Operator::NotIn, "x, z"),
    ];
    if segments {
        fixed
            .extend([of("segment", Operator::InSegment, "s"), of("segment", Operator::NotInSegment, "s, t")]);
    }
    prop_oneof![plain, select(fixed)]
}

fn serve() -> impl Strategy<Value = Serve> {
    prop_oneof![
        select(vec!["p", "q", "r"]).prop_map(|name| Serve::One(name.into())),
        (0..=BUCKETS).prop_map(|p| {
            let part = |b| Share::from_buckets(b).unwrap();
            Serve::Split(vec![("q".into(), part(p)), ("p".into(), part(BUCKETS - p))])
        }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let parts =
        (of(filled()), vec(condition(true), 0..2), share(), of(serve()), of(Just("company".to_owned())));
    parts.prop_map(|(name, conditions, percentage, serve, rollout_by)| Rule {
        name: name.filter(|n| !n.contains('\u{7f}')),
        conditions,
        percentage,
        serve,
        rollout_by,
    })
}

prop_compose! {
    fn flag(key: &'static str)(
        (enabled, percentage, environment) in (prop::bool::weighted(0.85), share(), of(select(vec!["production", "staging"]))),
        conditions in vec(condition(true), 0..3),
        (salt, rollout_by) in (of(select(vec!["s", "t"])), of(select(vec!["company", "a"]))),
        (default, serve) in (select(vec!["p", "q"]), serve()),
        rules in vec(rule(), 0..3),
        (owner, description, kind) in (of(filled()), of(filled()), select(Kind::ALL.to_vec())),
        needs in of(of(select(vec!["on", "off"]))),
        values in vec(text(), 3),
    ) -> Flag {
        let variant = |(name, value): (&str, String)| Variant { name: name.into(), value: json!({ "is": value }) };
        Flag {
            key: key.into(),
            enabled, percentage, conditions, rules, owner, description, kind,
            environment: environment.map(str::to_owned),
            salt: salt.map(str::to_owned),
            rollout_by: rollout_by.map(str::to_owned),
            variants: ["p", "q", "r"].into_iter().zip(values).map(variant).collect(),
            default_variant: Some(default.to_owned()),
            serve: Some(serve),
            prerequisites: needs.into_iter().map(|v| Prerequisite { flag: "base".into(), variant: v.map(str::to_owned) }).collect(),
            ..Flag::default()
        }
    }
}

prop_compose! {
    fn file()(
        percentage in share(), enabled in any::<bool>(),
        (s, t) in (vec(condition(false), 1..3), vec(condition(false), 1..2)),
        (one, two) in (flag("one"), flag("two-旗")),
    ) -> File {
        let segment = |name: &str, conditions| Segment { name: name.into(), description: None, conditions };
        let base = Flag { key: "base".into(), enabled, percentage, ..Flag::default() };
        File { flags: vec![base, one, two], segments: vec![segment("s", s), segment("t", t)] }
    }
}

/// A file and what became of it: one flag's fields changed a little, the others or not at all.
fn changed() -> impl Strategy<Value = (File, File)> {
    (file(), file(), vec(any::<prop::sample::Index>(), 1..4)).prop_map(|(before, other, which)| {
        let mut after = before.clone();
        for index in which {
            let (flag, from) = (&mut after.flags[1], &other.flags[1]);
            match index.index(16) {
                0 => flag.enabled = from.enabled,
                1 => flag.percentage = from.percentage,
                2 => flag.environment = from.environment.clone(),
                3 => flag.conditions = from.conditions.clone(),
                4 => flag.conditions.extend(from.conditions.clone()),
                5 => flag.salt = from.salt.clone(),
                6 => flag.rollout_by = from.rollout_by.clone(),
                7 => flag.rules = from.rules.clone(),
                8 => flag.serve = from.serve.clone(),
                9 => flag.default_variant = from.default_variant.clone(),
                10 => flag.prerequisites = from.prerequisites.clone(),
                11 => after.segments = other.segments.clone(),
                12 => after.flags[0] = other.flags[0].clone(),
                13 => {
                    if let (Some(rule), Some(from)) = (flag.rules.first_mut(), from.rules.first()) {
                        rule.percentage = from.percentage;
                    }
                }
                14 => flag.variants = from.variants.clone(),
                _ => {
                    (flag.owner, flag.description, flag.kind) =
                        (from.owner.clone(), from.description.clone(), from.kind);
                }
            }
        }
        (before, after)
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        select(vec!["x", "xx", "y", "1", "2.0.0", "10.1.2.3", "2026-05-05", ""]).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..3)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn context() -> impl Strategy<Value = Context> {
    let names = select(vec!["a", "b", "c", "c.d", "company", "targetingKey"]);
    let key = of("[a-z0-9]{1,6}");
    (prop::collection::btree_map(names, value(), 0..5), key).prop_map(|(map, key)| {
        let context = map.into_iter().fold(Context::default(), |c, (name, value)| c.with(name, value));
        key.map(|key| context.clone().with("targetingKey", key)).unwrap_or(context)
    })
}

fn environment() -> impl Strategy<Value = Option<&'static str>> {
    of(select(vec!["production", "staging"]))
}

fn users() -> impl Strategy<Value = Vec<Context>> {
    vec(context(), 20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(file in file()) {
        let text = file.to_yaml();
        prop_assert_eq!(File::parse(&text).map_err(|f| format!("{f:?}\n{text}")), Ok(file));
    }

    /// Another reader of YAML reads the same.
    #[test]
    fn other_readers_read_the_same(file in file()) {
        let text = file.to_yaml();
        let read: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
        for flag in &file.flags {
            let theirs = &read[flag.key.as_str()];
            prop_assert_eq!(theirs["enabled"].as_bool(), Some(flag.enabled));
            let percentage = theirs["percentage"].as_f64().map(|p| (p * 1000.0).round());
            prop_assert_eq!(percentage, Some(f64::from(flag.percentage.buckets())));
            prop_assert_eq!(theirs["owner"].as_str(), flag.owner.as_deref());
            prop_assert_eq!(theirs["description"].as_str(), flag.description.as_deref());
            for (i, condition) in flag.conditions.iter().enumerate() {
                prop_assert_eq!(theirs["conditions"][i]["value"].as_str(), condition.value.as_deref());
            }
            for variant in &flag.variants {
                prop_assert_eq!(theirs["variants"][variant.name.as_str()]["is"].as_str(), variant.value["is"].as_str());
            }
        }
    }

    #[test]
    fn raising_a_percentage_takes_nobody_out(
        salt in ".{0,8}", who in ".{1,12}", a in 0..=BUCKETS, b in 0..=BUCKETS, serve in serve(),
    ) {
        let (low, high) = (a.min(b), a.max(b));
        let at = |percentage: u32| {
            let mut flag = Flag { key: "f".into(), enabled: true, percentage: Share::from_buckets(percentage).unwrap(), ..Flag::default() };
            flag.salt = Some(salt.clone());
            flag.variants = ["p", "q", "r", "off"].map(|n| Variant { name: n.into(), value: json!(n) }).to_vec();
            flag.default_variant = Some("off".into());
            flag.serve = Some(serve.clone());
            let file = File { flags: vec![flag], segments: Vec::new() };
            let evaluator = Evaluator::new(&file);
            evaluator.evaluate("f", &Context::of(&who), None).variant.unwrap().to_owned()
        };
        let before = at(low);
        prop_assert!(before == "off" || before == at(high));
    }

    /// In whichever rule, whatever it serves: whoever was given something keeps just that.
    #[test]
    fn raising_any_share_of_a_flag_takes_nothing_from_anybody(file in file(), more in vec(share(), 4), users in users()) {
        let mut raised = file.clone();
        let flag = &mut raised.flags[1];
        let shares = flag.rules.iter_mut().map(|r| &mut r.percentage).chain([&mut flag.percentage]);
        shares.zip(more).for_each(|(share, more)| *share = more.max(*share));
        let (low, high) = (Evaluator::new(&file), Evaluator::new(&raised));
        for user in &users {
            let (before, after) = (low.evaluate("one", user, None), high.evaluate("one", user, None));
            if before.variant != Some(file.flags[1].default_variant()) {
                prop_assert_eq!((before.variant, before.value), (after.variant, after.value));
            }
        }
    }

    #[test]
    fn every_question_has_one_answer_and_its_explanation_is_the_same(
        file in file(), users in users(), environment in environment(),
    ) {
        let evaluator = Evaluator::new(&file);
        for user in &users {
            for flag in &file.flags {
                let answer = evaluator.evaluate(&flag.key, user, environment);
                prop_assert_eq!(answer, evaluator.evaluate(&flag.key, user, environment));
                let explained = evaluator.explain(&flag.key, user, environment);
                prop_assert_eq!(&explained.answer, &answer);
                prop_assert!(!explained.steps.is_empty() && !explained.words.is_empty());
                let known = flag.all_variants();
                let variant = known.iter().find(|v| Some(v.name.as_str()) == answer.variant).unwrap();
                prop_assert_eq!(Some(&variant.value), answer.value);
                if answer.error.is_some() || answer.reason.key() == "DEFAULT" || answer.reason.key() == "DISABLED" {
                    prop_assert_eq!(answer.variant, Some(flag.default_variant()));
                }
            }
            prop_assert!(!evaluator.evaluate("none", user, environment).is_on());
        }
    }

    /// What is not called exposure gives nobody anything but what they had, or the default.
    #[test]
    fn without_exposure_nobody_gets_anything_new((before, after) in changed(), users in users(), environment in environment()) {
        let raised = raises_exposure(&before, &after);
        let (was, is) = (Evaluator::new(&before), Evaluator::new(&after));
        for flag in after.flags.iter().filter(|f| raised.iter().all(|e| e.key != f.key)) {
            for user in &users {
                let (old, new) = (was.evaluate(&flag.key, user, environment), is.evaluate(&flag.key, user, environment));
                // A name may change; what it stands for may not.
                let same_default = before.flag(&flag.key).is_none_or(|f| value_of_default(f) == value_of_default(flag));
                prop_assert!(
                    new.value == old.value || same_default && new.variant == Some(flag.default_variant()),
                    "{} {:?}: {:?} → {:?}", flag.key, user, old, new
                );
            }
        }
        prop_assert!(raises_exposure(&before, &before).is_empty());
    }

    #[test]
    fn an_edit_says_what_was_asked_and_keeps_every_other_line((before, after) in changed(), crlf in any::<bool>()) {
        let mut text = String::from("# Ours. Ask before.\n\n");
        for line in before.to_yaml().lines() {
            text += line;
            if line.ends_with("percentage: 50.0") { text += "  # half" }
            text.push('\n');
        }
        text += "# The end\n";
        if crlf { text = text.replace('\n', "\r\n") }
        prop_assert_eq!(&File::parse(&text).unwrap(), &before);
        let flag = &after.flags[1];
        let edited = put(&text, flag);
        // A prerequisite on the base flag's variant may be there before and after; nothing else can fail.
        let edited = match edited { Ok(edited) => edited, Err(e) => return Err(TestCaseError::fail(format!("{e}\n{text}"))) };
        let mut wanted = before.clone();
        wanted.flags[1] = flag.clone();
        prop_assert_eq!(&File::parse(&edited).unwrap(), &wanted);
        // The other flags' lines, comments included, are the same bytes.
        let around = |t: &str| {
            let start = t.find("\none:").or_else(|| t.find("\r\none:")).unwrap();
            let end = t.find("\"two-旗\":").unwrap();
            (t[..start].to_owned(), t[end..].to_owned())
        };
        prop_assert_eq!(around(&edited), around(&text));
        prop_assert_eq!(put(&edited, flag).unwrap(), edited.clone(), "what is so already is not written");
        prop_assert_eq!(edited.matches("\r\n").count(), if crlf { edited.matches('\n').count() } else { 0 });
        let mut other = flag.clone();
        other.percentage = Share::from_buckets(BUCKETS - flag.percentage.buckets() / 2).unwrap();
        let again = put(&edited, &other).unwrap();
        let (old, new) = between(&edited, &again);
        let number = |t: &str| t.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        prop_assert!(number(old) && number(new), "{:?} became {:?}", old, new);
        let without = remove(&edited, "one").unwrap();
        prop_assert!(File::parse(&without).unwrap().flag("one").is_none());
        prop_assert!(without.starts_with("# Ours. Ask before.") && without.trim_end().ends_with("# The end"));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|\n|\t|: |- |[{}\\[\\],&*!|>'\"%@`#?<~]|enabled|percentage|true|f:|  ){0,40}") {
        if let Ok(file) = File::parse(&text) {
            let evaluator = Evaluator::new(&file);
            for (key, _) in evaluator.evaluate_all(&Context::of("u"), None) { let _ = evaluator.explain(key, &Context::default(), None); }
            let flag = Flag { key: "new".into(), ..Flag::default() };
            if let Ok(after) = put(&text, &flag) {
                let file = File::parse(&after).unwrap();
                prop_assert!(file.flag("new").is_some());
                prop_assert!(remove(&after, "new").is_ok());
            }
        }
    }
}

fn value_of_default(flag: &Flag) -> Option<Value> {
    flag.all_variants().into_iter().find(|v| v.name == flag.default_variant()).map(|v| v.value)
}

/// What is left of two texts without what both begin and end with.
fn between<'t>(a: &'t str, b: &'t str) -> (&'t str, &'t str) {
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let most = a.len().min(b.len()) - start;
    let end = a.bytes().rev().zip(b.bytes().rev()).take(most).take_while(|(a, b)| a == b).count();
    (&a[start..a.len() - end], &b[start..b.len() - end])
}

/// Whether two ways to share out users have anything to do with each other: chi-square over a 10 × 10 table of 100,000 users. With 81
/// degrees of freedom it exceeds 137 once in ten thousand times.
fn chi_square(pairs: impl Iterator<Item = (u32, u32)>) -> f64 {
    let mut table = [[0f64; 10]; 10];
    let mut n = 0.0;
    for (a, b) in pairs {
        table[(a / 10_000) as usize][(b / 10_000) as usize] += 1.0;
        n += 1.0;
    }
    let expected = n / 100.0;
    table.iter().flatten().map(|seen| (seen - expected).powi(2) / expected).sum()
}

#[test]
fn salts_share_users_out_independently() {
    let names: [fn(u32) -> String; 4] = [
        |i| i.to_string(),
        |i| format!("user-{i}"),
        |i| format!("{i:08x}-0000-4000-8000-000000000000"),
        |i| format!("person{i}@example.com"),
    ];
    for name in names {
        for (a, b) in [
            ("a", "b"),
            ("checkout", "checkout1"),
            ("checkout-v1", "checkout-v2"),
            ("", "x"),
            ("flag", "galf"),
        ] {
            let users = (0..100_000).map(name).map(|u| (bucket(a, &u), bucket(b, &u)));
            let found = chi_square(users);
            // 99 degrees of freedom: uniform in both and independent.
            assert!(found < 160.0, "{a} {b} {}: {found}", name(1));
        }
        let users = (0..100_000).map(name).map(|u| (bucket("f", &u), variant_bucket("f", &u)));
        let found = chi_square(users);
        assert!(found < 160.0, "who is in and which variant, {}: {found}", name(1));
    }
}
