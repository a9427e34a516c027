use super::*;
use crate::driver::What;
use crate::observe;
use crate::raw;
use serde::Deserialize as _;
use serde_json::json;

fn object(phase: &str) -> Value {
    json!({
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "generation": 7, "annotations": {}},
        "spec": {"replicas": 4, "template": {"spec": {"containers": [{"name": "app", "image": "checkout:1.41.3"}]}},
            "strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}}},
        "status": {"observedGeneration": "7", "phase": phase, "stableRS": "good", "currentPodHash": "good"}})
}

fn read(object: &Value) -> (Facts, Workload) {
    let facts = observe::rollout("east", raw::Rollout::deserialize(object).unwrap());
    let w = facts.workload.clone();
    (facts, w)
}

fn images() -> BTreeMap<String, String> {
    [("app".to_owned(), "checkout:1.42.0".to_owned())].into()
}

#[test]
fn every_kind_of_patch_tests_what_is_now() {
    let object = object("Healthy");
    let (facts, w) = read(&object);
    let (good, words) = written_down(&object, &facts, &w, &images()).unwrap();
    assert_eq!(words, "From 1.42.0 back to 1.41.3: its template and its own 2 steps can be written down.");
    let (driver, seen) = (
        driver::of(&w, None),
        Seen {
            workload: &w,
            facts: &facts,
            twin: None,
            fronts: &[],
            ingress: None,
            routes: &[],
            source: None,
            object: None,
        },
    );
    assert_eq!(driver.ways_back().len(), 5);
    for call in driver.ways_back() {
        for request in driver.back(*call, &seen, &AttemptId("rehearsal".into()), &good).unwrap() {
            let What::Patch(_, patch) = &request.what else { panic!("{request:?}") };
            let failing = patch.first_failing(&object);
            assert_eq!(failing, None, "{call:?} holds against the object as it is");
        }
    }
}

#[test]
fn what_is_not_healthy_has_no_way_back_to_write_down() {
    let object = object("Progressing");
    let (facts, w) = read(&object);
    let why = written_down(&object, &facts, &w, &images()).unwrap_err();
    assert!(why.contains("is not Healthy on one version"), "{why}");
}

#[test]
fn a_template_too_large_for_a_note_has_none_either() {
    let mut object = object("Healthy");
    object["spec"]["template"]["metadata"] = json!({"annotations": {"big": "x".repeat(220 * 1024)}});
    let (facts, w) = read(&object);
    let why = written_down(&object, &facts, &w, &images()).unwrap_err();
    assert!(why.contains("too large"), "{why}");
}

#[test]
fn a_revision_without_a_pod_that_serves_is_no_way_back() {
    let object = object("Healthy");
    let (facts, mut w) = read(&object);
    let good = known_good(&object, &facts, &w).unwrap();
    assert!(!revision(&w, &good).passed, "no ReplicaSet");
    let mut own = model::workload::Revision {
        hash: "good".into(),
        number: 41,
        images: BTreeMap::new(),
        desired: 4,
        ready: 3,
        available: 3,
        created: DateTime::UNIX_EPOCH,
    };
    w.revisions = vec![own.clone()];
    let check = revision(&w, &good);
    assert!(check.passed && check.words.ends_with("3 of 4 pods ready."), "{check:?}");
    own.ready = 0;
    w.revisions = vec![own];
    assert!(!revision(&w, &good).passed);
}

#[test]
fn a_refusal_names_its_remedy() {
    let took = Duration::from_millis(6);
    let said = |answer| check("Abort", answer, took);
    let taken = said(Ok(Outcome::Applied { generation: 7, resource_version: "1".into() }));
    assert!(taken.passed);
    assert_eq!(taken.words, "The API server would take it (6 ms).");
    let denied = |reason: &str| {
        let check = said(Err(Error::Denied {
            cluster: "east".into(),
            action: "change checkout".into(),
            reason: reason.into(),
        }));
        assert!(!check.passed);
        check.words
    };
    let rights =
        denied(r#"User "system:serviceaccount:tidegate:tidegate" cannot patch resource "rollouts/status""#);
    assert!(rights.contains("deploy/rbac.yaml"), "{rights}");
    let policy = denied(r#"admission webhook "freeze.example.com" denied the request: frozen"#);
    assert!(policy.contains("that policy") && !policy.contains("rbac"), "{policy}");
    let words =
        r#"The cluster refused the change of x: admission webhook "a" does not support dry run (400)."#;
    let blind = said(Ok(Outcome::refused(words)));
    assert!(!blind.passed && blind.words.contains("sideEffects: None"), "{blind:?}");
    let lost = said(Ok(Outcome::Unsure { why: "500 failed calling webhook.".into() }));
    assert!(!lost.passed && lost.words.contains("500"), "{lost:?}");
}

#[test]
fn configuration_that_is_needed_and_gone_fails_and_what_may_not_be_read_is_said() {
    use model::config::ConfigKind;
    let kept = |name: &str, state| Kept { kind: ConfigKind::ConfigMap, name: name.into(), state };
    let wanted =
        |name: &str, optional| Reference { kind: ConfigKind::ConfigMap, name: name.into(), optional };
    let all = [wanted("a", false), wanted("b", true), wanted("c", false)];
    let (check, words) =
        configuration(&all, &[kept("a", State::Absent), kept("b", State::Absent), kept("c", State::Unread)]);
    let check = check.unwrap();
    assert!(!check.passed && check.words.starts_with("ConfigMap a is gone"), "{check:?}");
    assert_eq!(words.len(), 2);
    assert!(words[0].ends_with("(Tidegate may not read them): ConfigMap c."), "{words:?}");
    assert_eq!(words[1], "Optional, and not there: ConfigMap b.");
    let (check, words) = configuration(&all[..1], &[kept("a", State::Mark("7".into()))]);
    assert!(check.unwrap().passed && words.is_empty());
    assert_eq!(configuration(&[], &[]), (None, Vec::new()));
}
