use super::*;
use crate::conductor::sample::{NEW_IMAGE, OLD_IMAGE, at, healthy, images, revision};
use chrono::TimeDelta;
use serde_json::json;

/// `A B A<B`: A and B were deployed, then a rollback led from B to A; `A<` names no version that was left.
fn records(words: &str) -> Vec<Record> {
    let record = |(i, word): (usize, &str)| {
        let id = i64::try_from(i).unwrap();
        let (hash, came) = match word.split_once('<') {
            None if word.ends_with('*') => (word, Came::Restarted),
            None => (word, Came::Forward),
            Some((to, "")) => (to, Came::Back { from: None }),
            Some((to, from)) => (to, Came::Back { from: Some(from.to_owned()) }),
        };
        Record { id, at: at(60 * id), hash: hash.to_owned(), came }
    };
    words.split_whitespace().enumerate().map(record).collect()
}

fn at_rest(hash: &str) -> Workload {
    let mut w = healthy();
    w.stable_hash = Some(hash.to_owned());
    w.current_hash = Some(hash.to_owned());
    w.revisions = vec![revision(hash, OLD_IMAGE, 41, 8)];
    w
}

fn in_flight(stable: &str, current: &str) -> Workload {
    let mut w = at_rest(stable);
    w.current_hash = Some(current.to_owned());
    w.phase = Phase::Progressing;
    w
}

fn leads(words: &str, w: &Workload) -> Option<String> {
    way_back(&records(words), w).map(|r| r.hash.clone())
}

#[test]
fn at_rest_the_way_back_is_the_version_before_the_present_one() {
    for (words, present, to, why) in [
        ("", "A", None, "nothing is recorded"),
        ("A", "A", None, "nothing came before"),
        ("A A A", "A", None, "a version recorded twice is one version"),
        ("A B", "B", Some("A"), ""),
        ("A B C", "C", Some("B"), ""),
        ("A B B", "B", Some("A"), "each release writes down where it began"),
        ("A", "B", Some("A"), "the present version is too young to be recorded"),
        ("A B", "X", Some("B"), "it never was healthy"),
        ("A B A", "A", Some("B"), "A was deployed again over B"),
        ("A B C", "B", Some("A"), "somebody has just gone back past us"),
        ("A B A<B", "A", None, "B was taken back, and nothing came before A"),
        ("A B C B<C", "B", Some("A"), "C was taken back"),
        ("A B C B<C A<B", "A", None, "back twice"),
        ("A B C B<C B", "B", Some("A"), "a release that begins at B makes C no better"),
        ("A B C B<C D", "D", Some("B"), "C was taken back before D"),
        ("A B C B<C D B<D", "B", Some("A"), ""),
        ("A B C B<C C", "C", Some("B"), "C was repaired and deployed again"),
        ("A B C B<C C B", "B", Some("C"), "and B deliberately over it"),
        ("A B B<X", "B", Some("A"), "X was turned back in flight"),
        ("A B C A<C", "A", None, "two versions back at once"),
        ("A B C A<C D", "D", Some("A"), "B went with C"),
        ("A X W<X", "W", Some("A"), "back to a version from before the records: X is gone, A stays"),
        ("A W<X", "W", Some("A"), "X never was recorded"),
        ("A B<", "B", Some("A"), "what was left had no name yet"),
        ("A B A<B", "B", Some("A"), "the rollback was refused, or B is there again"),
        ("B A B A<B", "B", Some("A"), "also when B is on the path from earlier"),
    ] {
        assert_eq!(leads(words, &at_rest(present)).as_deref(), to, "`{words}` at {present}: {why}");
    }
}

#[test]
fn a_version_on_no_record_may_be_the_newest_one_restarted() {
    let told = |words: &str, w: &Workload| {
        may_be_restarted(&records(words), w)
            .map(|(top, below)| (top.hash.clone(), below.map(|r| r.hash.clone())))
    };
    let some = |top: &str, below: Option<&str>| Some((top.to_owned(), below.map(str::to_owned)));
    assert_eq!(told("A B", &at_rest("B2")), some("B", Some("A")));
    assert_eq!(told("A B C B<C", &at_rest("B2")), some("B", Some("A")), "C was taken back");
    assert_eq!(told("A", &at_rest("A2")), some("A", None));
    assert_eq!(told("", &at_rest("A")), None, "nothing to be like");
    assert_eq!(told("A B", &at_rest("B")), None, "on record");
    assert_eq!(told("A B", &at_rest("A")), None, "an earlier one, put back");
    assert_eq!(told("A B", &in_flight("B2", "B3")), None, "the stable version runs still");
}

#[test]
fn in_flight_the_way_back_is_the_stable_version() {
    for (words, stable, current, to, why) in [
        ("A B", "B", "C", Some("B"), ""),
        ("A B", "B", "A", Some("B"), "somebody goes back past us: it is an update like any other"),
        ("A B", "X", "C", None, "the stable version is too young to be recorded, the cluster has it"),
        ("A B C B<C", "C", "B", Some("B"), "a rollback on its way is carried on, never turned round"),
        ("A B A<B", "B", "A2", Some("A"), "also when the controller makes a new revision of its target"),
        ("A B C B<C", "B", "D", Some("B"), "an update after it"),
        ("A B C B<C C", "C", "D", Some("C"), "C was deployed again"),
        ("A B C B<C", "A", "D", Some("A"), ""),
    ] {
        let w = in_flight(stable, current);
        assert_eq!(leads(words, &w).as_deref(), to, "`{words}` from {stable} to {current}: {why}");
    }
}

#[test]
fn a_press_at_another_replica_is_carried_on_before_its_record_arrives() {
    let marked = |mark: &AttemptId| {
        let mut w = in_flight("B", "A");
        w.attempt = Some(mark.0.clone());
        w
    };
    let press = |seconds| AttemptId::of_press(at(seconds), 0xbad_cafe);
    assert_eq!(press(7).0, "rb-1790000007000-0badcafe");
    assert_eq!(leads("A B", &marked(&press(90))).as_deref(), Some("A"));
    assert_eq!(leads("A B", &marked(&AttemptId("r318-4".into()))).as_deref(), Some("B"), "no press");
    // Marks stay on the object: here B was deployed over A, and A again past us.
    assert_eq!(leads("A B A<B B", &marked(&press(120))).as_deref(), Some("B"), "a press on record");
    assert_eq!(leads("A B", &marked(&press(-90))).as_deref(), Some("B"), "one of long ago");
    // Its template is there, and the controller has not looked: the hashes are still those of the version it leaves.
    let mut sent = at_rest("B");
    sent.generation += 1;
    sent.images = images(NEW_IMAGE);
    sent.attempt = Some(press(90).0);
    assert_eq!(leads("A B", &sent).as_deref(), Some("A"));
    assert_eq!(leads("A B A<B B", &Workload { attempt: Some(press(120).0), ..sent }).as_deref(), Some("B"));
    // It has arrived, before its record has: a second press has nowhere to go but back to what the first one left.
    let mut arrived = at_rest("A");
    arrived.attempt = Some(press(90).0);
    assert_eq!(leads("A B", &arrived), None);
    assert_eq!(leads("B", &arrived), None, "A was never recorded");
    assert!(!plausible(&records("A"), &arrived, "B"), "nor by what the cluster still has");
    assert_eq!(leads("B", &at_rest("A")).as_deref(), Some("B"), "nobody pressed");
}

#[test]
fn a_version_that_the_controller_has_not_taken_up_leaves_the_stable_one_as_the_way_back() {
    let mut w = at_rest("B");
    w.generation += 1;
    assert_eq!(leads("A B", &w).as_deref(), Some("A"), "only the scale was changed");
    w.images = images(NEW_IMAGE);
    assert_eq!(leads("A B", &w).as_deref(), Some("B"));
}

#[test]
fn a_rollback_recorded_late_takes_nothing_back_that_came_after_it() {
    // Pressed while Postgres was down for this replica; another one has recorded the version it led to.
    let mut late = records("A B C B B<C");
    late[4].at = late[2].at + TimeDelta::seconds(1);
    assert_eq!(way_back(&late, &at_rest("B")).map(|r| r.hash.as_str()), Some("A"));
}

#[test]
fn no_order_of_deeds_leads_to_the_present_version_or_to_one_that_was_taken_back() {
    let words: Vec<String> = ["A", "B", "C"]
        .iter()
        .flat_map(|to| {
            let back = ["A", "B", "C", ""].iter().filter(move |from| *from != to);
            back.map(move |from| format!("{to}<{from}")).chain([(*to).to_owned()])
        })
        .collect();
    let mut histories = vec![String::new()];
    for _ in 0..4 {
        let longer = histories.iter().flat_map(|h| words.iter().map(move |w| format!("{h} {w}")));
        histories = longer.collect();
        for history in &histories {
            let records = records(history);
            let present = records.last().unwrap().hash.as_str();
            let Some(to) = way_back(&records, &at_rest(present)) else {
                continue;
            };
            assert_ne!(to.hash, present, "{history}");
            assert!(!taken_back(&records, &to.hash), "{history} leads to {}", to.hash);
        }
    }
    assert_eq!(histories.len(), 12 * 12 * 12 * 12);
}

#[test]
fn a_revision_of_which_no_record_tells_must_be_from_before_the_records() {
    let known = records("B C B<C");
    let mut w = at_rest("B");
    w.revisions.push(revision("A", OLD_IMAGE, 1, 0));
    assert!(plausible(&known, &w, "A"), "deployed before Tidegate came");
    assert!(!plausible(&known, &w, "C"), "taken back");
    assert!(plausible(&[], &w, "A"), "nothing is recorded");
    w.revisions[1].created = at(3600);
    assert!(!plausible(&known, &w, "A"), "it came later and never was promoted");
}

#[test]
fn only_a_version_that_carries_all_traffic_healthy_is_recorded() {
    let w = healthy();
    assert_eq!(unrecorded(&[], &w), Some(Came::Forward));
    let hash = w.stable_hash.clone().unwrap();
    assert_eq!(unrecorded(&records(&hash), &w), None);
    let back = records(&format!("{hash} X {hash}<X"));
    assert_eq!(unrecorded(&back, &w), None, "a rollback led there: it is no new version");
    assert_eq!(unrecorded(&records("A"), &w), Some(Came::Forward));
    type Breaks = fn(&mut Workload);
    let broken: [(&str, Breaks); 10] = [
        ("progressing", |w| w.phase = Phase::Progressing),
        ("degraded", |w| w.phase = Phase::Degraded),
        ("in flight", |w| w.current_hash = Some("other".into())),
        ("unseen by its controller", |w| w.generation += 1),
        ("paused", |w| w.spec_paused = true),
        ("aborted", |w| w.abort = true),
        ("without replicas", |w| w.replicas = 0),
        ("without pods", |w| w.available = 0),
        ("still weighted", |w| w.weights = Some(crate::workload::Weights { canary: 5, stable: 95 })),
        ("not yet switched", |w| w.active_hash = Some("other".into())),
    ];
    for (what, breaks) in broken {
        let mut w = healthy();
        breaks(&mut w);
        assert_eq!(unrecorded(&[], &w), None, "{what}");
    }
}

#[test]
fn an_earlier_version_put_back_past_tidegate_is_a_rollback() {
    let came = |words: &str, present: &str| unrecorded(&records(words), &at_rest(present));
    let from = |hash: &str| Some(Came::Back { from: Some(hash.to_owned()) });
    for (words, present, recorded, why) in [
        ("A B", "A", from("B"), "kubectl argo rollouts undo"),
        ("A B C", "A", from("C"), "two versions back at once"),
        ("A B C", "B", from("C"), ""),
        ("A B A<B", "B", Some(Came::Forward), "the undo undone: B was taken back, and is deployed again"),
        ("A B C B<C", "A", from("B"), "back, and further back past us"),
        ("A B", "C", Some(Came::Forward), "no earlier version"),
        ("A", "B", Some(Came::Forward), ""),
        ("", "A", Some(Came::Forward), "nothing is recorded"),
        ("A B A", "A", None, "a release went back to A on purpose, and said so itself"),
    ] {
        assert_eq!(came(words, present), recorded, "`{words}` at {present}: {why}");
    }
    // Thirty seconds later the way back does not lead to what was undone.
    assert_eq!(leads("A B A<B", &at_rest("A")), None);
    assert_eq!(leads("A B C B<C", &at_rest("B")).as_deref(), Some("A"));
    // On purpose, by a release: what was left may be gone back to.
    assert_eq!(leads("A B A", &at_rest("A")).as_deref(), Some("B"));
}

#[test]
fn an_earlier_version_with_another_configuration_is_told_by_its_images() {
    let mut w = at_rest("A2");
    w.revisions.push(revision("A", OLD_IMAGE, 39, 0));
    w.revisions.push(revision("B", NEW_IMAGE, 40, 0));
    let known = records("A B");
    assert_eq!(unrecorded(&known, &w), Some(Came::Back { from: Some("B".into()) }));
    assert_eq!(leads("A B A2<B", &w).as_deref(), Some("A"), "B is nowhere to go back to");
    // The same images as what was left: a change of its configuration, and no way back.
    w.revisions[2] = revision("B", OLD_IMAGE, 40, 0);
    assert_eq!(unrecorded(&known, &w), Some(Came::Forward), "a tag that moves tells nothing");
    // Nobody knows any more what the earlier one ran.
    w.revisions.truncate(1);
    assert_eq!(unrecorded(&known, &w), Some(Came::Forward));
}

#[test]
fn a_rollback_that_the_controller_made_a_new_revision_of_is_still_a_rollback() {
    let known = records("A B A<B");
    let mut w = at_rest("A2");
    w.revisions.push(revision("B", NEW_IMAGE, 40, 0));
    w.revisions.push(revision("A", OLD_IMAGE, 39, 0));
    assert_eq!(unrecorded(&known, &w), Some(Came::Back { from: Some("A".into()) }));
    let then = records("A B A<B A2<A");
    assert_eq!(way_back(&then, &w), None, "A2 is A");
    // Had A's own ReplicaSet been used again, A2 would be a later deployment with another configuration.
    w.revisions[2].number = 40;
    w.revisions[1].number = 39;
    assert_eq!(unrecorded(&known, &w), Some(Came::Forward));
    assert_eq!(leads("A B A<B A2", &w).as_deref(), Some("A"));
}

#[test]
fn older_versions_are_those_that_lead_to_where_the_way_back_leads() {
    for (words, target, left, older, why) in [
        ("A B C", "B", Some("C"), "A", ""),
        ("A B C D", "C", Some("D"), "B A", "the newest first"),
        ("A B C B<C", "B", Some("C"), "A", "on its way to B: C is what it leaves"),
        ("A B C B<C A<C", "A", Some("C"), "", "B was given up for A"),
        ("A B", "X", Some("B"), "A", "where it leads is not on record: never what is left"),
        ("A B A C", "A", Some("C"), "B", "a version twice on the path is one"),
        ("A B A", "B", Some("A"), "", "what is left is the older one, too"),
        ("", "A", None, "", "nothing is recorded"),
    ] {
        let records = records(words);
        let found: Vec<_> = older_than(&records, target, left).iter().map(|r| r.hash.as_str()).collect();
        assert_eq!(found.join(" "), older, "{words} to {target}, {why}");
    }
}

#[test]
fn a_rollback_is_under_way_while_what_it_leaves_is_the_stable_version() {
    let going = records("A B C B<C");
    assert_eq!(under_way(&going, &in_flight("C", "B")).map(|r| r.hash.as_str()), Some("B"));
    assert_eq!(under_way(&going, &at_rest("B")), None, "it has arrived");
    assert_eq!(under_way(&records("A B C"), &in_flight("C", "B")), None, "nobody pressed");
    // Given up for an older one, C is still what is left.
    let further = records("A B C B<C A<C");
    assert_eq!(under_way(&further, &in_flight("C", "A")).map(|r| r.hash.as_str()), Some("A"));
    assert_eq!(leads("A B C B<C A<C", &in_flight("C", "B")).as_deref(), Some("A"));
    // Called off: C carries all traffic again, and what could not start is not where it goes back to.
    assert_eq!(leads("A B C B<C C<B", &at_rest("C")).as_deref(), Some("A"));
}

#[test]
fn a_restart_is_no_version_to_go_back_from() {
    for (words, at, to) in [
        ("A B B*", "B*", Some("A")),
        ("A B B* B**", "B**", Some("A")),
        ("A B B* C", "C", Some("B*")),
        ("A B B* A<B*", "A", None),
        ("A A*", "A*", None),
    ] {
        assert_eq!(leads(words, &at_rest(at)).as_deref(), to, "{words}");
    }
}

#[test]
fn only_the_mark_of_a_restart_tells_one_from_another_version() {
    let template = |notes: Value, image: &str| {
        json!({"metadata": {"labels": {"app": "web"}, "annotations": notes},
            "spec": {"containers": [{"name": "app", "image": image}]}})
    };
    let at = |time: &str| json!({RESTARTED_AT: time});
    let before = template(Value::Null, "web:1");
    let mut plain = before.clone();
    plain["metadata"].as_object_mut().unwrap().remove("annotations");
    assert!(is_restart(&plain, &template(at("10:00"), "web:1")));
    assert!(is_restart(&template(at("10:00"), "web:1"), &template(at("11:00"), "web:1")));
    assert!(is_restart(&template(at("10:00"), "web:1"), &plain), "taken away again");
    assert!(!is_restart(&plain, &template(at("10:00"), "web:2")));
    assert!(!is_restart(&plain, &template(json!({"note": "x", RESTARTED_AT: "10:00"}), "web:1")));
    assert!(!is_restart(&plain, &plain), "nothing happened");
}
