use super::super::httproute::tests::{changed, mailer, route, service as mail, shop};
use super::*;
use crate::driver::What;
use crate::observe::{self, Facts};
use crate::raw;
use crate::send::Part;
use serde::Deserialize as _;

const OURS: &str = "mailer-tidegate";

fn facts(name: &str) -> Facts {
    let object = json!({"metadata": {"name": name, "namespace": "shop", "uid": "t"},
        "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "mailer"}}}}});
    observe::deployment("east", raw::Deployment::deserialize(&object).unwrap())
}

fn behind(all: &[Value]) -> (Workload, Vec<Arc<Route>>) {
    let mut w = mailer();
    let routes: Vec<_> = all.iter().map(route).collect();
    let routes = httproute::around(&w, routes.iter());
    let by_route = weights::splitter(&w, &routes, |_| true);
    splitter::stand_before(&mut w, None, by_route);
    stand_before(&mut w, &routes);
    (w, routes)
}

/// As it is once a release has begun: with the first mark.
fn begun(mut object: Value) -> Value {
    object["metadata"]["annotations"]["mailer.tidegate.dev/attempt"] = "r1-1".into();
    object
}

/// What is asked for, with the route as it is and the mark that it carries.
fn asked(object: &Value, requests: impl Fn(&Seen<'_>, &AttemptId, Option<&str>) -> Requests) -> Requests {
    let (w, routes) = behind(std::slice::from_ref(object));
    let (own, twin, fronts) = (facts("mailer"), facts(OURS), [mail()]);
    let seen = Seen {
        workload: &w,
        facts: &own,
        twin: Some(&twin),
        fronts: &fronts,
        ingress: None,
        routes: &routes,
        source: None,
        object: None,
    };
    let mark = w.weight_mark().map(str::to_owned);
    requests(&seen, &AttemptId("r1-3".into()), mark.as_deref())
}

/// Carries the last request out on the object, as the API server does.
fn taken(object: &Value, requests: Requests) -> Result<Value, String> {
    let Some(Request { what: What::Patch(Part::HttpRoute, patch), .. }) = requests?.pop() else {
        panic!("no patch of a route")
    };
    let mut after = object.clone();
    for op in patch.value().as_array().into_iter().flatten() {
        let path = op["path"].as_str().unwrap();
        let (parent, last) = path.rsplit_once('/').unwrap();
        if op["op"] == "test" {
            let found = after.pointer(path).unwrap_or(&Value::Null);
            if *found != op["value"] {
                return Err(format!("{path} holds {found}"));
            }
            continue;
        }
        let (name, value) = (last.replace("~1", "/"), op["value"].clone());
        let gone = op["op"] == "remove";
        match after.pointer_mut(parent).unwrap() {
            Value::Array(all) if gone => drop(all.remove(name.parse().unwrap())),
            Value::Array(all) if name == "-" => all.push(value),
            Value::Array(all) => all[name.parse::<usize>().unwrap()] = value,
            Value::Object(map) if gone => drop(map.remove(&name)),
            Value::Object(map) => drop(map.insert(name, value)),
            other => panic!("{parent} is {other}"),
        }
    }
    Ok(after)
}

fn copying(object: &Value, from: u8, to: u8) -> Result<Value, String> {
    taken(object, asked(object, |seen, attempt, mark| copy(seen, attempt, mark, from, to)))
}

fn stopped(object: &Value) -> Result<Value, String> {
    taken(object, asked(object, |seen, attempt, _| Ok(weights::hand_back(seen, attempt))))
}

#[test]
fn a_filter_comes_and_goes_and_the_route_is_what_it_was() {
    let header = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}});
    let with = |filters: Value| changed(|r| r["spec"]["rules"][1]["filters"] = filters);
    for own in [shop(), with(json!([header]))].map(begun) {
        let on = copying(&own, 0, 20).unwrap();
        let (w, _) = behind(std::slice::from_ref(&on));
        assert_eq!((w.copied(), w.weight_mark()), (20, Some("r1-3")));
        let filter = on["spec"]["rules"][1]["filters"].as_array().unwrap().last().unwrap();
        let to = json!({"name": OURS, "port": 80});
        assert_eq!(*filter, json!({"type": KIND, "requestMirror": {"backendRef": to, "percent": 20}}));
        assert_eq!(on["spec"]["rules"][0], own["spec"]["rules"][0]);
        let more = copying(&on, 20, 100).unwrap();
        assert_eq!(
            behind(std::slice::from_ref(&more)).0.copied(),
            100,
            "every request, without a percentage"
        );
        for copies in [on, more] {
            assert_eq!(stopped(&copies).unwrap()["spec"], own["spec"]);
        }
    }
}

#[test]
fn a_filter_that_comes_late_or_finds_another_rule_is_not_taken() {
    let own = begun(shop());
    let late = asked(&own, |seen, attempt, mark| copy(seen, attempt, mark, 0, 20));
    let after = stopped(&own).unwrap();
    assert_eq!(after["spec"], own["spec"], "only the mark is new");
    assert!(taken(&after, late.clone()).is_err(), "the way back has changed the mark");
    let other = begun(changed(|r| r["spec"]["rules"][1]["filters"] = json!([{"type": "URLRewrite"}])));
    assert!(taken(&other, late.clone()).is_err(), "it would write over a filter of its owner's");
    let moved = begun(changed(|r| {
        r["spec"]["rules"].as_array_mut().unwrap().swap(0, 1);
    }));
    assert!(taken(&moved, late).is_err(), "the rule has another number now");
    let on = copying(&own, 0, 20).unwrap();
    let stop = asked(&own, |seen, attempt, _| Ok(weights::hand_back(seen, attempt)));
    assert!(taken(&on, stop).is_err(), "what was read before the filter came does not end it");
}

#[test]
fn its_service_is_made_first_and_owned_by_the_second_deployment() {
    let unmarked = asked(&shop(), |seen, attempt, mark| copy(seen, attempt, mark, 0, 20));
    assert!(unmarked.unwrap_err().contains("mark no more"), "what ended has left none");
    let all = asked(&begun(shop()), |seen, attempt, mark| copy(seen, attempt, mark, 0, 20)).unwrap();
    let What::Create(Part::Service, service) = &all[0].what else { panic!("{all:?}") };
    assert_eq!(service["spec"]["selector"], json!({"tidegate.dev/beside": OURS}));
    assert_eq!(service["metadata"]["ownerReferences"][0]["uid"], "t");
    assert_eq!(all.len(), 2);
}

#[test]
fn what_cannot_be_copied_is_refused_in_words() {
    let why = |all: &[Value]| behind(all).0.copies().unwrap_err();
    assert!(why(&[]).contains("No HTTPRoute leads to a Service in front of mailer"));
    let more = changed(|r| r["metadata"]["name"] = "more".into());
    assert!(why(&[shop(), more]).contains("HTTPRoutes more, shop lead to mailer"));
    let twice = changed(|r| r["spec"]["rules"][0]["backendRefs"][0]["name"] = "mail".into());
    assert!(why(&[twice]).contains("by several rules"));
    let split = changed(|r| {
        let all = &mut r["spec"]["rules"][1]["backendRefs"];
        *all = json!([all[0], {"name": "web", "port": 80}]);
    });
    assert!(why(&[split]).contains("to something else beside mailer"));
    let copied = changed(|r| {
        r["spec"]["rules"][1]["filters"] =
            json!([{"type": KIND, "requestMirror": {"backendRef": {"name": "log", "port": 80}}}]);
    });
    assert!(why(&[copied]).contains("copies its requests already, to log"));
    let inner = changed(|r| {
        r["spec"]["rules"][1]["backendRefs"][0]["filters"] =
            json!([{"type": KIND, "requestMirror": {"backendRef": {"name": "log", "port": 80}}}]);
    });
    assert!(why(&[inner]).contains("to log"));
    assert!(behind(&[shop()]).0.copies().is_ok());
}

#[test]
fn a_gateway_that_leaves_the_filter_out_is_heard_once_it_has_seen_it() {
    let mut on = copying(&begun(shop()), 0, 20).unwrap();
    on["metadata"]["generation"] = 3.into();
    let status = |generation: i64| {
        json!({"parents": [{"conditions": [{"type": "PartiallyInvalid", "status": "True", "reason": "UnsupportedValue",
            "message": "filter RequestMirror is not supported.", "observedGeneration": generation}]}]})
    };
    let mut own = shop();
    own["status"] = status(0);
    assert!(behind(&[own]).0.copies().unwrap_err().contains("Put that right first"));
    on["status"] = status(2);
    assert_eq!(behind(std::slice::from_ref(&on)).0.mirror.unwrap().refused, None, "about the one before");
    on["status"] = status(3);
    let refused = behind(std::slice::from_ref(&on)).0.mirror.unwrap().refused;
    assert_eq!(refused.as_deref(), Some("filter RequestMirror is not supported (UnsupportedValue)"));
}
