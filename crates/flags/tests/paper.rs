//! The file that was there first, and the reader that was: what both agree on, and where ours differs on purpose.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::{Context, Evaluator, File, Reason, Share, edit};

const PAPER: &str = include_str!("files/paper.yaml");

/// `IsFeatureEnabled` as it was written, its hash given: percentage first, then conditions; no environment, no missing attribute.
fn older(file: &File, key: &str, attributes: &[(&str, &str)], hash: f64) -> bool {
    let get = |name: &str| attributes.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| *v);
    let Some(flag) = file.flag(key) else { return false };
    if !flag.enabled {
        return false;
    }
    let percentage = f64::from(flag.percentage.buckets()) / 1000.0;
    if percentage < 100.0 && hash > percentage {
        return false;
    }
    flag.conditions.iter().all(|c| get(&c.attribute) == c.value.as_deref().unwrap_or_default())
}

fn context(attributes: &[(&str, &str)]) -> Context {
    attributes.iter().fold(Context::default(), |c, (name, value)| {
        c.with(if *name == "user_id" { "targetingKey" } else { name }, *value)
    })
}

#[test]
fn the_file_is_read_as_it_is() {
    let file = File::parse(PAPER).unwrap();
    let keys: Vec<_> = file.flags.iter().map(|f| f.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "multi_agent_workflow",
            "enhanced_monitoring",
            "experimental_cleo_optimization",
            "advanced_tess_testing",
            "beta_rex_performance_mode"
        ]
    );
    let cleo = file.flag("experimental_cleo_optimization").unwrap();
    assert!(cleo.enabled);
    assert_eq!(cleo.percentage, Share::parse("25").unwrap());
    assert_eq!(cleo.environment.as_deref(), Some("production"));
    assert_eq!(cleo.conditions[0].words(), "label is priority=high");
    assert!(!file.flag("beta_rex_performance_mode").unwrap().enabled);
}

#[test]
fn what_is_written_from_nothing_is_read_alike() {
    let file = File::parse(PAPER).unwrap();
    assert_eq!(File::parse(&file.to_yaml()).unwrap(), file);
}

#[test]
fn a_rise_changes_one_number_and_keeps_the_comments() {
    let mut flag = File::parse(PAPER).unwrap().flag("experimental_cleo_optimization").unwrap().clone();
    flag.percentage = Share::parse("40").unwrap();
    let after = edit::put(PAPER, &flag).unwrap();
    assert_eq!(after, PAPER.replace("percentage: 25.0  # Gradual", "percentage: 40.0  # Gradual"));
}

#[test]
fn both_readers_agree_wherever_the_share_does_not_decide() {
    let file = File::parse(PAPER).unwrap();
    let evaluator = Evaluator::new(&file);
    let users: [&[(&str, &str)]; 6] = [
        &[("user_id", "ann")],
        &[("user_id", "ann"), ("label", "priority=high")],
        &[("user_id", "ann"), ("label", "priority=low")],
        &[("user_id", "ann"), ("task_complexity", "simple")],
        &[("user_id", "ann"), ("opt_in", "true")],
        &[("user_id", "")],
    ];
    for user in users {
        for key in ["multi_agent_workflow", "enhanced_monitoring", "beta_rex_performance_mode", "unknown"] {
            let ours = evaluator.evaluate(key, &context(user), Some("production")).is_on();
            assert_eq!(ours, older(&file, key, user, 50.0), "{key} {user:?}");
        }
    }
}

#[test]
fn both_readers_agree_on_the_share_for_the_same_hash() {
    let file = File::parse(PAPER).unwrap();
    let evaluator = Evaluator::new(&file);
    for (key, name, value) in [
        ("experimental_cleo_optimization", "label", "priority=high"),
        ("advanced_tess_testing", "task_complexity", "simple"),
    ] {
        let mut on = 0;
        for i in 0..2000 {
            let id = format!("user-{i}");
            for attributes in
                [vec![("user_id", id.as_str()), (name, value)], vec![("user_id", id.as_str()), (name, "no")]]
            {
                // Its hash was never said. Given ours, as a percentage a hair above the bucket's lower end, it says the same.
                let hash = f64::from(flags::bucket(key, &id)) / 1000.0 + 0.0005;
                let ours = evaluator.evaluate(key, &context(&attributes), Some("production")).is_on();
                assert_eq!(ours, older(&file, key, &attributes, hash), "{key} {id}");
                on += i32::from(ours);
            }
        }
        assert!(on > 400, "{key}: {on}");
    }
}

/// It hashes an absent user as if that were one user: all of them are in, or none.
#[test]
fn an_absent_user_is_not_in_a_share() {
    let file = File::parse(PAPER).unwrap();
    let evaluator = Evaluator::new(&file);
    let nobody: &[(&str, &str)] = &[("label", "priority=high")];
    assert!(older(&file, "experimental_cleo_optimization", nobody, 10.0));
    let answer = evaluator.evaluate("experimental_cleo_optimization", &context(nobody), None);
    assert_eq!((answer.is_on(), answer.reason), (false, Reason::Error));
    assert_eq!(answer.error.unwrap().key(), "TARGETING_KEY_MISSING");
}

/// It never looks at the environment.
#[test]
fn a_flag_is_off_in_another_environment() {
    let file = File::parse(PAPER).unwrap();
    let evaluator = Evaluator::new(&file);
    let ann: &[(&str, &str)] = &[("user_id", "ann")];
    assert!(older(&file, "enhanced_monitoring", ann, 0.0));
    let answer = evaluator.evaluate("enhanced_monitoring", &context(ann), Some("staging"));
    assert_eq!((answer.is_on(), answer.reason), (false, Reason::Disabled));
}

/// It takes a missing attribute for an empty one, so a condition can hold for whoever says nothing.
#[test]
fn a_missing_attribute_holds_for_nothing() {
    let text =
        "f: {enabled: true, percentage: 100, conditions: [{type: plan, operator: equals, value: \"\"}]}";
    let file = File::parse(text).unwrap();
    assert!(older(&file, "f", &[], 0.0));
    assert!(!Evaluator::new(&file).evaluate("f", &Context::of("ann"), None).is_on());
    assert!(Evaluator::new(&file).evaluate("f", &Context::of("ann").with("plan", ""), None).is_on());
}

/// A hash of exactly 0 is in at 0 % there.
#[test]
fn nobody_is_in_at_nothing() {
    let file = File::parse("f: {enabled: true, percentage: 0.0}").unwrap();
    assert!(older(&file, "f", &[("user_id", "ann")], 0.0));
    let evaluator = Evaluator::new(&file);
    assert!((0..5000).all(|i| !evaluator.evaluate("f", &Context::of(&i.to_string()), None).is_on()));
}
