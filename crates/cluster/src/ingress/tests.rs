use super::*;
use crate::observe::{self, Facts};
use serde::Deserialize as _;

/// Of the shop's users those for `/mail` go to the Service of that name.
fn shop() -> Value {
    json!({"metadata": {"name": "shop", "namespace": "shop", "annotations": {}},
    "spec": {"ingressClassName": "nginx", "rules": [{"host": "shop.example.com", "http": {"paths": [
        {"path": "/mail", "pathType": "Prefix", "backend": {"service": {"name": "mail", "port": {"number": 80}}}},
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}},
    ]}}]}})
}

fn ingress(object: &Value) -> Arc<Ingress> {
    Arc::new(raw::Ingress::deserialize(object).unwrap().into())
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = shop();
    change(&mut object);
    object
}

fn service() -> Arc<Service> {
    let object = json!({"metadata": {"name": "mail", "namespace": "shop"}, "spec": {"selector": {"app": "mailer"},
        "ports": [{"port": 80, "targetPort": "http", "nodePort": 30080}]}});
    Arc::new(raw::Service::deserialize(&object).unwrap().into())
}

/// The Deployment behind that Service, and what was seen of it.
fn mailer() -> Facts {
    let object = json!({"metadata": {"name": "mailer", "namespace": "shop", "uid": "u"},
        "spec": {"replicas": 4, "template": {"metadata": {"labels": {"app": "mailer"}}}}});
    observe::deployment("east", raw::Deployment::deserialize(&object).unwrap())
}

fn behind(all: &[Value]) -> (Workload, Option<Arc<Ingress>>) {
    let facts = mailer();
    let mut w = facts.workload.clone();
    w.fronts = crate::front::of(&facts, [service()].iter()).0;
    let all: Vec<_> = all.iter().map(ingress).collect();
    let (by, first) = splitter(&w, all.iter()).unzip();
    crate::splitter::stand_before(&mut w, by, None);
    (w, first.flatten())
}

#[test]
fn one_path_of_one_nginx_ingress_carries_a_weight() {
    let (w, first) = behind(&[shop()]);
    assert_eq!(w.weighed().map(|s| s.by.name()), Ok("shop"));
    assert_eq!((w.canary_weight(), w.weights, first.is_some()), (None, None, true));
    let old = changed(|i| {
        i["spec"]["ingressClassName"] = Value::Null;
        i["metadata"]["annotations"][OLD_CLASS] = "nginx".into();
    });
    assert!(behind(&[old]).0.weighed().is_ok());
    assert!(behind(&[]).0.splitter.is_none(), "pods alone");
}

#[test]
fn what_takes_no_weight_is_refused_in_words() {
    let why = |all: &[Value]| behind(all).0.weighed().unwrap_err();
    assert!(why(&[]).contains("No Ingress or HTTPRoute leads to a Service in front of mailer"));
    assert!(
        why(&[shop(), changed(|i| i["metadata"]["name"] = "more".into())])
            .contains("shop, more lead to mailer")
    );
    assert!(why(&[changed(|i| i["spec"]["ingressClassName"] = "alb".into())]).contains("of class alb"));
    let cookie = changed(|i| i["metadata"]["annotations"][AFFINITY] = "cookie".into());
    assert!(why(&[cookie]).contains("could not be taken back"));
    let both =
        changed(|i| i["spec"]["rules"][0]["http"]["paths"][1]["backend"]["service"]["name"] = "mail".into());
    assert!(why(&[both]).contains("by several paths"));
    let fallback = changed(|i| {
        i["spec"] = json!({"ingressClassName": "nginx",
            "defaultBackend": {"service": {"name": "mail", "port": {"number": 80}}}});
    });
    assert!(why(&[fallback]).contains("default backend"));
    let canary = changed(|i| {
        i["metadata"] =
            json!({"name": "theirs", "namespace": "shop", "annotations": {CANARY: "true", WEIGHT: "5"}});
    });
    let named = json!({"metadata": {"name": "mailer-tidegate", "namespace": "shop"}, "spec": {}});
    assert!(why(&[shop(), named]).contains("Ingress mailer-tidegate is there already"));
    assert!(why(&[shop(), canary]).contains("Ingress theirs is a canary for the same host and path already"));
}

#[test]
fn ours_is_made_like_it_at_nothing_and_goes_with_its_owner() {
    let (w, first) = behind(&[shop()]);
    let attempt = AttemptId("r7-2".into());
    let owner = ("mailer-tidegate", "twin");
    let requests = made(&w, first.as_deref(), &[service()], owner, &attempt).unwrap();
    let [service, ingress] = requests.as_slice() else { panic!("{requests:?}") };
    let (What::Create(Part::Service, service), What::Create(Part::Ingress, before)) =
        (&service.what, &ingress.what)
    else {
        panic!("{requests:?}")
    };
    assert_eq!(service["spec"]["selector"], json!({TWIN: "mailer-tidegate"}));
    assert_eq!(service["spec"]["ports"], json!([{"port": 80, "targetPort": "http"}]), "no node's port");
    let path = json!({"path": "/mail", "pathType": "Prefix",
        "backend": {"service": {"name": "mailer-tidegate", "port": {"number": 80}}}});
    assert_eq!(before["spec"]["rules"], json!([{"host": "shop.example.com", "http": {"paths": [path]}}]));
    assert_eq!(before["metadata"]["annotations"][WEIGHT], "0");
    for object in [service, before] {
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "twin");
        assert_eq!(object["metadata"]["annotations"][ATTEMPT], "r7-2");
    }
    let mut there = before.clone();
    there["metadata"]["annotations"][WEIGHT] = "35".into();
    let (w, _) = behind(&[shop(), there]);
    assert!(w.weighed().is_ok(), "ours is nobody else's: {:?}", w.splitter);
    assert_eq!((w.canary_weight(), w.weights.map(|w| w.stable)), (Some(35), Some(65)));
    assert_eq!(w.weight_mark(), Some("r7-2"));
}

#[test]
fn an_ingress_that_went_leaves_the_weight_seen_and_takes_none() {
    let (w, first) = behind(&[shop()]);
    let requests =
        made(&w, first.as_deref(), &[service()], ("mailer-tidegate", "twin"), &AttemptId("a".into()));
    let What::Create(_, ours) = &requests.unwrap()[1].what.clone() else { panic!("no Ingress") };
    let (w, first) = behind(std::slice::from_ref(ours));
    assert_eq!((w.canary_weight(), first), (Some(0), None));
    assert!(w.weighed().unwrap_err().contains("leads to mailer no more"));
}
