use super::*;
use model::workload::Phase;
use serde::Deserialize as _;
use serde_json::{Value, json};

fn rollout(name: &str, uid: &str) -> Facts {
    // As large as real ones are, with what must not be kept.
    let env: Vec<Value> =
        (0..20).map(|i| json!({"name": format!("SETTING_{i}"), "value": "x".repeat(40)})).collect();
    let object = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": "123456", "generation": 4,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": name},
            "annotations": {"rollout.argoproj.io/revision": "4",
                "kubectl.kubernetes.io/last-applied-configuration": "y".repeat(3000)},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:template": "z".repeat(3000)}}}]},
        "spec": {"replicas": 3, "template": {"spec": {"containers":
                [{"name": "app", "image": "registry.example.com/shop/web:1.41.3", "env": env}]}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
        "status": {"observedGeneration": "4", "phase": "Healthy", "stableRS": "aaaaaaaaaa",
            "currentPodHash": "aaaaaaaaaa", "replicas": 3, "readyReplicas": 3},
    });
    observe::rollout("east", raw::Rollout::deserialize(object).unwrap())
}

fn report(name: &str, owner: &str, number: i64) -> SetReport {
    let object = json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"rollouts-pod-template-hash": name},
            "annotations": {"rollout.argoproj.io/revision": number.to_string()},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": if owner.is_empty() { json!([]) } else { json!([{"uid": owner, "controller": true}]) }},
        "spec": {"replicas": 3, "template": {"spec": {"containers":
            [{"name": "app", "image": "registry.example.com/shop/web:1.41.3"}]}}},
        "status": {"readyReplicas": 3, "availableReplicas": 3},
    });
    SetReport {
        namespace: "shop".into(),
        name: name.into(),
        set: observe::set(raw::ReplicaSet::deserialize(object).unwrap()),
    }
}

fn revisions(world: &World, name: &str) -> Vec<String> {
    let key = world.objects.keys().find(|k| k.name == name).unwrap();
    let entry = world.entry(key, None, Utc::now()).unwrap();
    entry.workload.revisions.iter().map(|r| r.hash.clone()).collect()
}

#[test]
fn replica_sets_follow_their_owner() {
    let (mut world, mut touched) = (World::default(), BTreeSet::new());
    // The order in which two watches report is anybody's guess.
    world.set(report("one", "u-web", 1), &mut touched);
    world.object(rollout("web", "u-web"), &mut touched);
    world.object(rollout("api", "u-api"), &mut touched);
    world.set(report("two", "u-web", 2), &mut touched);
    assert_eq!(revisions(&world, "web"), ["two", "one"]);

    touched.clear();
    world.set(report("one", "u-api", 1), &mut touched);
    assert_eq!(
        (revisions(&world, "web"), revisions(&world, "api")),
        (vec!["two".into()], vec!["one".into()])
    );
    assert_eq!(touched.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["api", "web"]);

    world.set(report("one", "", 1), &mut touched);
    assert!(revisions(&world, "api").is_empty(), "orphaned");
    world.set_gone("shop", "two", &mut touched);
    assert!(revisions(&world, "web").is_empty());
    assert!(world.sets.is_empty() && world.owners.is_empty());
}

#[test]
fn an_object_made_again_under_its_name_has_no_past() {
    let (mut world, mut touched) = (World::default(), BTreeSet::new());
    world.object(rollout("web", "u-1"), &mut touched);
    world.set(report("one", "u-1", 1), &mut touched);
    world.object(rollout("web", "u-2"), &mut touched);
    assert!(revisions(&world, "web").is_empty());
    // The old one's end, reported late, does not take the new one away.
    world.object_gone(&rollout("web", "u-1"), &mut touched);
    assert_eq!(world.objects.len(), 1);
    assert_eq!(world.by_uid.len(), 1);
}

#[test]
fn a_whole_list_replaces_its_kind_and_no_other() {
    let (mut world, mut touched) = (World::default(), BTreeSet::new());
    world.object(rollout("web", "u-web"), &mut touched);
    world.object(rollout("old", "u-old"), &mut touched);
    let mut deployment = rollout("mailer", "u-mailer");
    deployment.workload.key.kind = Kind::Deployment;
    world.object(deployment, &mut touched);
    touched.clear();
    world.objects_all(Kind::Rollout, vec![rollout("web", "u-web"), rollout("new", "u-new")], &mut touched);
    let names = |keys: &mut dyn Iterator<Item = &Key>| keys.map(|k| k.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&mut world.objects.keys()), ["new", "web", "mailer"]);
    assert_eq!(names(&mut touched.iter()), ["new", "old", "web"]);
}

fn view() -> View {
    View {
        entries: RwLock::default(),
        snapshot: Mutex::default(),
        generation: AtomicU64::new(0),
        changes: broadcast::channel(8).0,
        lives: Default::default(),
        probed_ms: AtomicI64::new(0),
    }
}

fn publish(view: &View, world: &World, keys: impl IntoIterator<Item = Key>, whole: bool) {
    let now = Utc::now();
    let results = keys
        .into_iter()
        .map(|k| {
            let e = world.entry(&k, None, now);
            (k, e)
        })
        .collect();
    view.publish(results, whole, false);
}

#[test]
fn only_what_differs_is_told() {
    let (mut world, mut touched) = (World::default(), BTreeSet::new());
    let view = view();
    let mut changes = view.changes();
    world.object(rollout("web", "u-web"), &mut touched);
    let key = touched.first().unwrap().clone();
    publish(&view, &world, [key.clone()], false);
    assert_eq!(changes.try_recv(), Ok(Change::Workload(key.clone())));

    let mut heartbeat = rollout("web", "u-web");
    heartbeat.workload.resource_version = "123457".into();
    world.object(heartbeat, &mut touched);
    publish(&view, &world, [key.clone()], false);
    publish(&view, &world, [key.clone()], true);
    assert!(changes.try_recv().is_err(), "a heartbeat is not news");
    assert_eq!(view.entry(&key).unwrap().workload.resource_version, "123457");
    assert_eq!(view.workloads()[0].resource_version, "123457");

    let mut paused = rollout("web", "u-web");
    paused.workload.phase = Phase::Paused;
    world.object(paused, &mut touched);
    publish(&view, &world, [key.clone()], true);
    assert_eq!(changes.try_recv(), Ok(Change::Resync));
    world.objects.clear();
    publish(&view, &world, [key.clone()], false);
    assert_eq!(changes.try_recv(), Ok(Change::Workload(key)));
    assert!(view.workloads().is_empty());
}

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn five_thousand_rollouts_with_three_replica_sets_each_are_small() {
    let before = resident();
    let (mut world, mut touched) = (World::default(), BTreeSet::new());
    for i in 0..5000 {
        let uid = format!("11111111-2222-3333-4444-{i:012}");
        world.object(rollout(&format!("service-{i}"), &uid), &mut touched);
        for n in 0..3 {
            world.set(report(&format!("service-{i}-{n}"), &uid, n), &mut touched);
        }
    }
    let view = view();
    publish(&view, &world, touched, true);
    assert_eq!(view.workloads().len(), 5000);
    let grown = (resident() - before) / 1024;
    assert!(grown < 100, "{grown} MiB");
}
