//! The published vectors, made by another implementation in another language.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use flags::{BUCKETS, Context, Evaluator, File, bucket, variant_bucket};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn buckets_are_those_published() {
    let all = vectors("buckets.json");
    let all = all.as_array().unwrap();
    assert!(all.len() > 150);
    for v in all {
        let (salt, value) = (v["salt"].as_str().unwrap(), v["value"].as_str().unwrap());
        assert_eq!(u64::from(bucket(salt, value)), v["bucket"], "{v}");
        assert_eq!(u64::from(variant_bucket(salt, value)), v["variant_bucket"], "{v}");
    }
}

#[test]
fn evaluations_are_those_published() {
    let all = vectors("evaluations.json");
    // JSON is YAML: the flags of the vectors are a file as they stand.
    let file = File::parse(&serde_json::to_string(&all["flags"]).unwrap()).unwrap();
    let evaluator = Evaluator::new(&file);
    let cases = all["cases"].as_array().unwrap();
    assert!(cases.len() > 500);
    for case in cases {
        let context = Context::from(case["context"].as_object().unwrap().clone());
        let key = case["key"].as_str().unwrap();
        let answer = evaluator.evaluate(key, &context, None);
        let wanted = &case["answer"];
        assert_eq!(answer.value, Some(&wanted["value"]), "{case}");
        assert_eq!(answer.variant, wanted["variant"].as_str(), "{case}");
        assert_eq!(answer.reason.key(), wanted["reason"].as_str().unwrap(), "{case}");
        assert_eq!(answer.error.map(|e| e.key()), wanted["error"].as_str(), "{case}");
    }
}

/// What the reference implementation of OpenFeature's flagd publishes for its `fractional` operator, of which a share here is one with two
/// parts: keys whose hashes stand at the ends and at the middle, and the four quarters of a deck of cards.
#[test]
fn shares_are_those_of_flagd() {
    let half = BUCKETS / 2;
    for (key, upper) in
        [("ejOoVL", false), ("bY9fO-", false), ("SI7p-", false), ("6LvT0", true), ("ceQdGm", true)]
    {
        assert_eq!(bucket("", key) >= half, upper, "{key}");
    }
    let suit = |salt: &str, name: &str| {
        ["clubs", "diamonds", "hearts", "spades"]
            [usize::try_from(bucket(salt, name) / (BUCKETS / 4)).unwrap()]
    };
    for (name, wanted) in
        [("jack", "hearts"), ("queen", "spades"), ("ten", "clubs"), ("nine", "diamonds"), ("3", "clubs")]
    {
        assert_eq!(suit("fractional-flag", name), wanted, "{name}");
    }
    for (name, wanted) in [("seven", "hearts"), ("eight", "diamonds"), ("nine", "clubs"), ("two", "spades")] {
        assert_eq!(suit("shared-seed", name), wanted, "{name}");
    }
    assert!(bucket("fractional-flag-shorthand", "jon@company.com") < half);
    assert!(bucket("fractional-flag-shorthand", "jane@company.com") >= half);
}
