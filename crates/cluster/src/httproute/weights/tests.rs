use super::super::tests::{changed, mailer, route, service, shop};
use super::*;
use crate::observe::{self, Facts};
use crate::raw;
use serde::Deserialize as _;
use serde_json::json;

const OURS: &str = "mailer-tidegate";
const MARK: &str = "mailer.tidegate.dev/attempt";
const NOTE: &str = "mailer.tidegate.dev/weight";

/// The Deployment behind the route's second rule, with version 2 beside it, and the route as it is now.
struct World {
    w: Workload,
    facts: Facts,
    services: [Arc<Service>; 1],
    object: Value,
}

impl World {
    fn new(object: Value) -> Self {
        let deployment = json!({"metadata": {"name": "mailer", "namespace": "shop", "uid": "u"},
            "spec": {"replicas": 4, "template": {"metadata": {"labels": {"app": "mailer"}}}}});
        let facts = observe::deployment("east", raw::Deployment::deserialize(&deployment).unwrap());
        let mut w = mailer();
        let twin = json!({"metadata": {"name": OURS, "namespace": "shop", "uid": "t", "labels": {"tidegate.dev/beside": OURS},
            "ownerReferences": [{"kind": "Deployment", "uid": "u"}], "annotations": {"tidegate.dev/httproute": "shop"}},
            "spec": {"template": {"metadata": {"labels": {"app": OURS}}}}});
        let twin = observe::deployment("east", raw::Deployment::deserialize(&twin).unwrap());
        let seen = twin.workload.clone();
        observe::stand_beside(&mut w, &facts, &twin, seen);
        Self { w, facts, services: [service()], object }
    }

    fn with<T>(&self, there: bool, look: impl FnOnce(&Seen<'_>) -> T) -> T {
        let routes = [route(&self.object)];
        let mut w = self.w.clone();
        let by_route = splitter(&w, &routes, |_| there);
        crate::splitter::stand_before(&mut w, None, by_route);
        look(&Seen {
            workload: &w,
            facts: &self.facts,
            twin: None,
            fronts: &self.services,
            ingress: None,
            routes: &routes,
            source: None,
            object: None,
        })
    }

    fn seen(&self) -> Splitter {
        self.with(true, |seen| *seen.workload.splitter.clone().unwrap())
    }

    /// As the API server does it: all of it, or nothing.
    fn take(&mut self, requests: &[Request]) -> Result<(), String> {
        for request in requests {
            let What::Patch(Part::HttpRoute, patch) = &request.what else { continue };
            assert_eq!(request.key.name, "shop");
            self.object = patched(&self.object, patch.clone())?;
        }
        Ok(())
    }

    fn made(&mut self, attempt: &str) -> Result<(), String> {
        let requests = self.with(true, |seen| made(seen, (OURS, "t"), &AttemptId(attempt.into())))?;
        self.take(&requests)
    }

    fn weigh(&mut self, attempt: &str, decided: &str, from: u8, to: u8) -> Result<(), String> {
        let id = AttemptId(attempt.into());
        let requests = self.with(true, |seen| weigh(seen, &id, Some(decided), from, to))?;
        self.take(&requests)
    }

    fn back(&mut self, attempt: &str) {
        let requests = self.with(true, |seen| hand_back(seen, &AttemptId(attempt.into())));
        self.take(&requests).unwrap();
    }

    fn clean(&mut self) {
        let requests = self.with(true, clean);
        self.take(&requests).unwrap();
    }

    fn begun(object: Value) -> Self {
        let mut world = Self::new(object);
        let first = world.with(true, |seen| marked(seen, &AttemptId("r7-1".into()))).unwrap();
        world.take(&[first]).unwrap();
        world.made("r7-2").unwrap();
        world
    }

    fn backends(&self) -> &Value {
        &self.object["spec"]["rules"][1]["backendRefs"]
    }
}

/// RFC 6902, as far as patches of ours go.
fn patched(object: &Value, patch: Patch) -> Result<Value, String> {
    let mut object = object.clone();
    for op in patch.value().as_array().unwrap() {
        let (path, value) = (op["path"].as_str().unwrap(), op["value"].clone());
        let (parent, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        let found = object.pointer(path).cloned().unwrap_or_default();
        let parent = object.pointer_mut(parent).ok_or(format!("nothing at {parent}"))?;
        match (op["op"].as_str().unwrap(), parent) {
            ("test", _) if found == value => {}
            ("test", _) => return Err(format!("{path} is {found}, not {value}")),
            ("add" | "replace", Value::Object(map)) => drop(map.insert(key, value)),
            ("remove", Value::Object(map)) => drop(map.remove(&key).ok_or(format!("no {path}"))?),
            ("add", Value::Array(all)) if key == "-" => all.push(value),
            ("replace", Value::Array(all)) => all[key.parse::<usize>().unwrap()] = value,
            ("remove", Value::Array(all)) => drop(all.remove(key.parse().unwrap())),
            other => panic!("{other:?}"),
        }
    }
    Ok(object)
}

/// An empty map of annotations is none: so the API server stores it.
fn stored(mut object: Value) -> Value {
    if object["metadata"]["annotations"].as_object().is_some_and(serde_json::Map::is_empty) {
        object["metadata"].as_object_mut().unwrap().remove("annotations");
    }
    object
}

#[test]
fn weights_stand_beside_the_users_own_and_leave_the_route_as_it_was() {
    let bare = changed(|r| {
        r["spec"]["rules"][1]["backendRefs"][0] = json!({"name": "mail", "port": 80});
        r["metadata"]["annotations"] = json!({"a": "b"});
    });
    let heavy = changed(|r| r["spec"]["rules"][1]["backendRefs"][0]["weight"] = json!(7));
    for before in [shop(), bare, heavy] {
        let mut world = World::begun(before.clone());
        assert_eq!((world.seen().weight, world.seen().attempt.as_deref()), (Some(0), Some("r7-2")));
        world.weigh("r7-3", "r7-2", 0, 5).unwrap();
        let mut ours = before["spec"]["rules"][1]["backendRefs"][0].clone();
        let mut own = ours.clone();
        (ours["name"], ours["weight"], own["weight"]) = (OURS.into(), json!(5), json!(95));
        assert_eq!(*world.backends(), json!([own, ours]));
        assert_eq!((world.seen().weight, world.seen().unfit), (Some(5), None));
        world.weigh("r7-4", "r7-3", 5, 60).unwrap();
        world.back("r7-5");
        assert_eq!(world.object["spec"], before["spec"], "users are back, and nothing dangles");
        assert_eq!((world.seen().weight, world.seen().attempt.as_deref()), (None, Some("r7-5")));
        world.clean();
        assert_eq!(stored(world.object.clone()), before);
        assert!(world.with(true, clean).is_empty(), "nothing more to clean");
    }
}

#[test]
fn what_comes_after_a_way_back_or_after_the_end_is_refused() {
    let mut world = World::begun(shop());
    let late_weight = |world: &World| {
        world.with(true, |seen| weigh(seen, &AttemptId("late".into()), Some("r7-2"), 0, 20)).unwrap()
    };
    let late = late_weight(&world);
    world.back("r7-3");
    assert!(world.take(&late).is_err());
    world.clean();
    assert!(world.take(&late).is_err());
    assert_eq!(stored(world.object.clone()), shop());
    // Put in so late that the release has ended.
    let mut world = World::new(shop());
    let first = world.with(true, |seen| marked(seen, &AttemptId("r7-1".into()))).unwrap();
    world.take(&[first]).unwrap();
    let late = world.with(true, |seen| made(seen, (OURS, "t"), &AttemptId("r7-2".into()))).unwrap();
    world.clean();
    assert!(world.take(&late).is_err());
    assert!(world.made("r7-3").unwrap_err().contains("carries Tidegate's mark no more"));
    let late_back = world.with(true, |seen| hand_back(seen, &AttemptId("old".into())));
    let mut next = World::begun(shop());
    assert!(next.take(&late_back).is_err(), "an old way back does not reach the next release");
}

#[test]
fn a_rule_that_somebody_puts_before_it_moves_nothing_else() {
    let mut world = World::begun(shop());
    world.weigh("r7-3", "r7-2", 0, 5).unwrap();
    let stale = world.with(true, |seen| weigh(seen, &AttemptId("r7-4".into()), Some("r7-3"), 5, 50)).unwrap();
    let rules = world.object["spec"]["rules"].as_array_mut().unwrap();
    rules.insert(
        0,
        json!({"backendRefs": [{"name": "api", "port": 80, "weight": 3}, {"name": "b", "weight": 1}]}),
    );
    assert!(world.take(&stale).is_err(), "not by number alone");
    world.weigh("r7-4", "r7-3", 5, 50).unwrap();
    assert_eq!(world.seen().weight, Some(50));
    world.back("r7-5");
    world.clean();
    let inserted = world.object["spec"]["rules"].as_array_mut().unwrap().remove(0);
    assert_eq!(inserted["backendRefs"][0]["weight"], 3);
    assert_eq!(stored(world.object.clone()), shop());
}

#[test]
fn one_that_somebody_took_out_or_weighs_otherwise_is_seen_and_put_right() {
    let mut world = World::begun(shop());
    world.weigh("r7-3", "r7-2", 0, 5).unwrap();
    world.object["spec"]["rules"][1]["backendRefs"][1]["weight"] = json!(285);
    assert_eq!(world.seen().weight, Some(75), "a part of the sum");
    world.weigh("r7-4", "r7-3", 75, 5).unwrap();
    assert_eq!(world.backends()[0]["weight"], 95);
    world.object["spec"]["rules"][1]["backendRefs"].as_array_mut().unwrap().pop();
    assert_eq!(world.seen().weight, None);
    assert!(world.weigh("r7-5", "r7-4", 5, 50).is_err());
    world.made("r7-5").unwrap();
    assert_eq!(
        (world.seen().weight, world.object["metadata"]["annotations"][NOTE].as_str()),
        (Some(0), Some("1"))
    );
    world.object["spec"]["rules"][1]["backendRefs"].as_array_mut().unwrap().pop();
    world.back("r7-6");
    world.clean();
    assert_eq!(stored(world.object.clone()), shop(), "its own weight is as it was, too");
}

#[test]
fn a_third_backend_that_somebody_adds_stays_and_the_users_own_gets_its_weight_back() {
    let mut world = World::begun(shop());
    world.weigh("r7-3", "r7-2", 0, 5).unwrap();
    let third = json!({"name": "files", "port": 80, "weight": 1});
    world.object["spec"]["rules"][1]["backendRefs"].as_array_mut().unwrap().insert(0, third.clone());
    assert!(world.seen().unfit.unwrap().contains("between it and something else"));
    world.back("r7-4");
    world.clean();
    let own = shop()["spec"]["rules"][1]["backendRefs"][0].clone();
    assert_eq!(*world.backends(), json!([third, own]));
}

#[test]
fn copies_of_our_backend_go_all_and_a_lost_service_is_told() {
    let mut world = World::begun(shop());
    world.weigh("r7-3", "r7-2", 0, 5).unwrap();
    assert!(world.with(false, |seen| seen.workload.severed()));
    assert!(!world.with(true, |seen| seen.workload.severed()));
    let copy = world.object["spec"]["rules"][1].clone();
    world.object["spec"]["rules"].as_array_mut().unwrap().push(copy);
    assert!(world.seen().unfit.unwrap().contains("by several rules"));
    assert!(world.weigh("r7-4", "r7-3", 5, 50).unwrap_err().contains("2 times"));
    world.back("r7-5");
    let rules = world.object["spec"]["rules"].as_array().unwrap();
    assert_eq!((&rules[1], &rules[2]), (&shop()["spec"]["rules"][1], &shop()["spec"]["rules"][1]));
    assert_eq!(world.object["metadata"]["annotations"], json!({MARK: "r7-5"}));
}

#[test]
fn ours_is_like_the_users_own_and_its_service_too() {
    let mut world = World::new(shop());
    let first = world.with(true, |seen| marked(seen, &AttemptId("r7-1".into()))).unwrap();
    world.take(&[first]).unwrap();
    let requests = world.with(true, |seen| made(seen, (OURS, "t"), &AttemptId("r7-2".into()))).unwrap();
    let What::Create(Part::Service, service) = &requests[0].what else { panic!("{requests:?}") };
    assert_eq!(service["spec"]["selector"], json!({"tidegate.dev/beside": OURS}), "first the Service");
    assert_eq!(service["metadata"]["ownerReferences"][0]["uid"], "t");
    let tried = world.with(true, |seen| tried(seen, (OURS, "t"), &AttemptId("rehearsal".into()))).unwrap();
    let before = world.object.clone();
    world.take(&tried).unwrap();
    assert_eq!(world.object, before, "a rehearsal takes back what it does");
}
