//! The rollback journal survives what a disk and a process do to it.

use chrono::{TimeZone as _, Utc};
use control::journal::{Intent, Journal, Outcome, Record};
use model::audit::NewEvent;
use model::release::KnownGood;
use model::rollback::{Pace, Route};
use model::workload::{Key, Kind};
use model::{Actor, AttemptId};
use std::io::Write as _;

fn intent(id: &str) -> Intent {
    let at = Utc.with_ymd_and_hms(2026, 11, 18, 14, 5, 43).unwrap();
    Intent {
        attempt: AttemptId(id.into()),
        release: None,
        key: Key {
            cluster: "demo".into(),
            namespace: "shop".into(),
            kind: Kind::Rollout,
            name: "checkout".into(),
        },
        good: KnownGood {
            config: Vec::new(),
            template: serde_json::json!({"spec": {}}),
            steps: None,
            blue_green: None,
            hash: "77b0".into(),
            images: [("app".to_owned(), "registry.example.com/shop/checkout:1.41.3".to_owned())].into(),
            revision: Some(41),
        },
        instead: None,
        left: Some("5f10".into()),
        route: Route { calls: vec![], pace: Pace::Seconds, because: "it is in flight".into() },
        mark: None,
        event: NewEvent::new(at, &Actor::system("test"), "rollback.accepted", "ROLL BACK of checkout"),
    }
}

fn outcome(id: &str) -> Outcome {
    Outcome {
        attempt: AttemptId(id.into()),
        at: Utc.with_ymd_and_hms(2026, 11, 18, 14, 5, 44).unwrap(),
        applied: true,
        overtaken: false,
        words: String::new(),
    }
}

#[test]
fn what_was_accepted_is_there_after_the_process_died() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "a").unwrap();
    journal.append(&Record::Intent(Box::new(intent("rb-1")))).unwrap();
    drop(journal);
    let entries = Journal::open(dir.path(), "a").unwrap().unmerged();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].intent, intent("rb-1"));
    assert_eq!(entries[0].outcome, None);
}

#[test]
fn a_torn_last_line_loses_nothing_before_it_and_spoils_nothing_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "a").unwrap();
    journal.append(&Record::Intent(Box::new(intent("rb-1")))).unwrap();
    let path = journal.path();
    drop(journal);
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"intent\":{\"att").unwrap();
    let journal = Journal::open(dir.path(), "a").unwrap();
    journal.append(&Record::Intent(Box::new(intent("rb-2")))).unwrap();
    drop(journal);
    let ids: Vec<_> =
        Journal::open(dir.path(), "a").unwrap().unmerged().into_iter().map(|e| e.intent.attempt.0).collect();
    assert_eq!(ids, ["rb-1", "rb-2"]);
}

#[test]
fn a_merged_record_leaves_the_file_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "a").unwrap();
    for id in ["rb-1", "rb-2"] {
        journal.append(&Record::Intent(Box::new(intent(id)))).unwrap();
        journal.append(&Record::Outcome(outcome(id))).unwrap();
    }
    journal.append(&Record::Merged(AttemptId("rb-1".into()))).unwrap();
    assert_eq!(journal.unmerged().len(), 1);
    assert!(std::fs::metadata(journal.path()).unwrap().len() > 0);
    journal.append(&Record::Merged(AttemptId("rb-2".into()))).unwrap();
    assert_eq!(std::fs::metadata(journal.path()).unwrap().len(), 0);
    journal.append(&Record::Intent(Box::new(intent("rb-3")))).unwrap();
    drop(journal);
    assert_eq!(Journal::open(dir.path(), "a").unwrap().unmerged().len(), 1);
}

#[test]
fn a_new_replica_adopts_the_journal_of_a_dead_one_but_not_of_a_living() {
    let dir = tempfile::tempdir().unwrap();
    let living = Journal::open(dir.path(), "living").unwrap();
    living.append(&Record::Intent(Box::new(intent("rb-living")))).unwrap();
    let dead = Journal::open(dir.path(), "dead").unwrap();
    dead.append(&Record::Intent(Box::new(intent("rb-dead")))).unwrap();
    dead.append(&Record::Outcome(outcome("rb-dead"))).unwrap();
    drop(dead);
    let heir = Journal::open(dir.path(), "heir").unwrap();
    let adopted = heir.unmerged();
    assert_eq!(adopted.len(), 1);
    assert_eq!(adopted[0].intent.attempt.0, "rb-dead");
    assert_eq!(adopted[0].outcome, Some(outcome("rb-dead")));
    assert!(!dir.path().join("journal-dead.ndjson").exists());
    assert_eq!(living.unmerged().len(), 1);
}

#[test]
fn two_processes_never_share_one_journal() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Journal::open(dir.path(), "a").unwrap();
    let refused = Journal::open(dir.path(), "a").unwrap_err().to_string();
    assert!(refused.contains("TIDEGATE_REPLICA"), "{refused}");
}
