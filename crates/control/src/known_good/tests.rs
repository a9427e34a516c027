use super::*;
use chrono::DateTime;
use model::workload::Kind;

fn key(name: &str) -> Key {
    Key { cluster: "demo".into(), namespace: "shop".into(), kind: Kind::Rollout, name: name.into() }
}

fn record(id: i64, hash: &str, came: Came) -> Record {
    Record { id, at: DateTime::from_timestamp(1_790_000_000 + id, 0).unwrap(), hash: hash.into(), came }
}

fn forward(id: i64, hash: &str) -> Record {
    record(id, hash, Came::Forward)
}

fn text(of: &str) -> Arc<str> {
    of.into()
}

fn ids(cache: &Cache, key: &Key) -> Vec<i64> {
    cache.records(key).unwrap().iter().map(|r| r.id).collect()
}

#[test]
fn what_is_unread_or_recorded_on_since_is_read_once() {
    let cache = Cache::default();
    let keys = [key("a"), key("b")];
    assert_eq!(cache.take_unread(keys.iter()).len(), 2);
    for key in &keys {
        assert!(!cache.put(key, vec![forward(1, "A")], vec![]), "nobody knew it");
    }
    assert_eq!(cache.take_unread(keys.iter()), []);
    cache.hear(key("b"));
    assert_eq!(cache.take_unread(keys.iter()), [key("b")]);
    assert_eq!(cache.take_unread(keys.iter()), []);
    assert!(!cache.put(&key("b"), vec![forward(1, "A")], vec![]));
    assert!(cache.put(&key("b"), vec![forward(1, "A"), forward(2, "B")], vec![]), "that is news");
    cache.hear_all();
    assert_eq!(cache.take_unread(keys.iter()).len(), 2);
}

#[test]
fn what_this_process_recorded_while_it_read_is_not_lost() {
    let (cache, key) = (Cache::default(), key("a"));
    cache.append(&key, forward(1, "A"), text("a"));
    assert!(cache.records(&key).is_none(), "what came before is not known");
    cache.put(&key, vec![forward(1, "A")], vec![(1, text("a"))]);
    cache.append(&key, forward(2, "B"), text("b"));
    cache.append(&key, forward(2, "B"), text("b"));
    cache.put(&key, vec![forward(1, "A")], vec![]);
    assert_eq!(ids(&cache, &key), [1, 2]);
    assert_eq!(cache.document(&key, 2).as_deref(), Some("b"));
    assert_eq!(cache.document(&key, 1).as_deref(), Some("a"));
}

#[test]
fn documents_are_kept_of_the_three_versions_on_top_alone() {
    let (cache, key) = (Cache::default(), key("a"));
    cache.put(&key, vec![], vec![]);
    for (id, hash) in [(1, "A"), (2, "B"), (3, "C"), (4, "D")] {
        cache.append(&key, forward(id, hash), text(hash));
    }
    let kept = || (1..=5).filter(|id| cache.document(&key, *id).is_some()).collect::<Vec<_>>();
    assert_eq!(kept(), [2, 3, 4]);
    assert_eq!(read_lock(&cache.held).bytes, 3);
    // D is taken back: C is on top, and below it A as well, whose document is read when it is wanted.
    cache.append(&key, record(5, "C", Came::Back { from: Some("D".into()) }), text("C"));
    assert_eq!(kept(), [2, 3]);
    let records = cache.records(&key).unwrap().to_vec();
    assert_eq!(wanted(&records), [3, 2, 1]);
    cache.put(&key, records, vec![(1, text("A"))]);
    assert_eq!(kept(), [1, 2, 3]);
}

#[test]
fn memory_is_bounded_whatever_templates_and_histories_are_like() {
    let cache = Cache::default();
    let large: Arc<str> = "x".repeat(TEMPLATES / 3).into();
    for name in ["a", "b", "c", "d"] {
        cache.put(&key(name), vec![forward(1, "A")], vec![(1, large.clone())]);
    }
    assert!(read_lock(&cache.held).bytes <= TEMPLATES);
    assert!(cache.document(&key("d"), 1).is_none());
    // What is gone makes room.
    let there = [key("b"), key("d")];
    cache.retain(&there.iter().collect());
    assert_eq!(read_lock(&cache.held).bytes, TEMPLATES / 3);
    cache.put(&key("d"), vec![forward(1, "A")], vec![(1, large)]);
    assert!(cache.document(&key("d"), 1).is_some());
    for id in 2..100 {
        cache.append(&key("b"), forward(id, if id % 2 == 0 { "A" } else { "B" }), text("t"));
    }
    assert_eq!(ids(&cache, &key("b")), (68..100).collect::<Vec<_>>());
}
