use super::*;
use crate::observe;
use model::workload::Workload;
use serde::Deserialize as _;
use serde_json::json;

fn service(name: &str, selector: &Value, mark: Option<&str>) -> Value {
    let annotations = mark.map_or(Value::Null, |m| json!({ATTEMPT: m}));
    json!({"metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"selector": selector, "clusterIP": "10.0.0.1"}})
}

fn facts() -> Facts {
    let object = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "web", "tier": "front"}}}}});
    observe::deployment("east", raw::Deployment::deserialize(&object).unwrap())
}

struct World {
    objects: Vec<Value>,
    facts: Facts,
    w: Workload,
    services: Vec<Arc<Service>>,
}

impl World {
    fn new(objects: Vec<Value>) -> Self {
        let facts = facts();
        let all: Vec<_> =
            objects.iter().map(|o| Arc::new(Service::from(raw::Service::deserialize(o).unwrap()))).collect();
        let mut w = facts.workload.clone();
        let (fronts, services) = of(&facts, all.iter());
        w.fronts = fronts;
        Self { objects, facts, w, services }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            workload: &self.w,
            facts: &self.facts,
            twin: None,
            fronts: &self.services,
            ingress: None,
            routes: &[],
            source: None,
            object: None,
        }
    }

    /// What becomes of the Services' selectors; `None` where a precondition fails.
    fn after(&self, requests: &[Request]) -> Vec<Option<Value>> {
        let one = |request: &Request| {
            let What::Patch(Part::Service, patch) = &request.what else { panic!("{request:?}") };
            let mut object =
                self.objects.iter().find(|o| o["metadata"]["name"] == request.key.name.as_str()).cloned()?;
            if patch.first_failing(&object).is_some() {
                return None;
            }
            for op in
                patch.clone().value().as_array().into_iter().flatten().filter(|op| op["op"] == "replace")
            {
                *object.pointer_mut(op["path"].as_str()?)? = op["value"].clone();
            }
            Some(object["spec"]["selector"].clone())
        };
        requests.iter().map(one).collect()
    }
}

fn id() -> AttemptId {
    AttemptId("r7-4".into())
}

#[test]
fn a_switch_is_one_value_of_one_label_and_the_way_back_is_the_same() {
    let own =
        [json!({"app.kubernetes.io/name": "web"}), json!({"app.kubernetes.io/name": "web", "tier": "front"})];
    let world = World::new(vec![
        service("b", &own[1], Some("r6-1")),
        service("a", &own[0], None),
        service("mail", &json!({"app.kubernetes.io/name": "mail"}), None),
        service("nobody", &json!({}), None),
    ]);
    let names: Vec<_> = world.w.fronts.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "those in front of it, by name");
    let there = world.after(&switch(&world.seen(), &id(), &world.w.fronts).unwrap());
    let to = |mut selector: Value| {
        selector["app.kubernetes.io/name"] = "web-tidegate".into();
        selector
    };
    assert_eq!(there, [Some(to(own[0].clone())), Some(to(own[1].clone()))]);

    let world = World::new(vec![service("a", &to(own[0].clone()), None), service("b", &own[1], None)]);
    assert!(world.w.any_switched() && !world.w.all_switched());
    let back = world.after(&hand_back(&world.seen(), &id()).unwrap());
    assert_eq!(back, [Some(own[0].clone()), Some(own[1].clone())]);
}

#[test]
fn a_switch_decided_on_something_else_is_not_taken() {
    let selector = json!({"app.kubernetes.io/name": "web"});
    let decided = World::new(vec![service("a", &selector, Some("r6-1"))]);
    let handed_back = World::new(vec![service("a", &selector, Some("r7-5"))]);
    let late = switch(&handed_back.seen(), &id(), &decided.w.fronts).unwrap();
    assert_eq!(handed_back.after(&late), [None], "users were handed back since");
    assert!(decided.after(&late)[0].is_some());

    let more = World::new(vec![service("a", &selector, Some("r6-1")), service("b", &selector, None)]);
    assert!(switch(&more.seen(), &id(), &decided.w.fronts).unwrap_err().contains("Other Services"));
}

#[test]
fn a_policy_that_goes_by_the_label_is_found_wherever_it_stands() {
    let labels = facts().labels;
    let found = |spec: Value| selects_by(&json!({"metadata": {"name": "p"}, "spec": spec}), "tier", &labels);
    assert!(found(json!({"podSelector": {"matchLabels": {"tier": "front"}}})));
    assert!(found(json!({"egress": [{"to": [{"podSelector": {"matchLabels": {"tier": "front"}}}]}]})));
    assert!(found(json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}})));
    assert!(!found(json!({"podSelector": {"matchLabels": {"tier": "back"}}})));
    assert!(!found(json!({"podSelector": {}})));
}

#[test]
fn a_preview_answers_where_its_first_port_says() {
    let at = |selector: Value, port: Value| {
        let mut object = service("web-tidegate", &selector, None);
        object["spec"]["ports"] = json!([port, {"port": 9090}]);
        Service::from(raw::Service::deserialize(&object).unwrap()).address_of("web-tidegate")
    };
    let ours = || json!({TWIN: "web-tidegate"});
    let said = |port: Value| at(ours(), port).unwrap();
    assert_eq!(said(json!({"port": 80})), "http://web-tidegate.shop.svc");
    assert_eq!(said(json!({"port": 8080, "name": "http"})), "http://web-tidegate.shop.svc:8080");
    assert_eq!(said(json!({"port": 443})), "https://web-tidegate.shop.svc");
    assert_eq!(said(json!({"port": 8443, "appProtocol": "https"})), "https://web-tidegate.shop.svc:8443");
    assert_eq!(at(json!({"app": "web"}), json!({"port": 80})), None, "somebody else's");
    let none = Service::from(raw::Service::deserialize(&service("web-tidegate", &ours(), None)).unwrap());
    assert_eq!(none.address_of("web-tidegate"), None, "without a port");
}

#[test]
fn a_preview_has_the_ports_of_a_service_in_front_and_goes_with_its_owner() {
    let selector = json!({"app.kubernetes.io/name": "web"});
    let (mut direct, mut usual) = (service("a", &selector, None), service("b", &selector, None));
    direct["spec"]["clusterIP"] = "None".into();
    usual["spec"]["ports"] = json!([{"port": 80, "nodePort": 30080}]);
    let world = World::new(vec![direct.clone(), usual]);
    let made = preview(&world.seen(), ("web-tidegate", "t"), &id()).unwrap();
    let What::Create(Part::Service, object) = &made.what else { panic!("{made:?}") };
    assert_eq!(object["spec"]["ports"], json!([{"port": 80}]), "not those of one without an address");
    assert_eq!(object["spec"]["selector"], json!({TWIN: "web-tidegate"}));
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "t");
    assert_eq!(preview(&World::new(vec![direct]).seen(), ("web-tidegate", "t"), &id()), None, "no port");
}
