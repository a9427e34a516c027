use super::*;
use crate::{front, observe};
use serde::Deserialize as _;
use serde_json::json;

/// Of the shop's users those for `/mail` go to the Service of that name.
pub(crate) fn shop() -> Value {
    json!({"metadata": {"name": "shop", "namespace": "shop"}, "spec": {"rules": [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/mail"}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": "mail", "port": 80, "weight": 1}]},
    ]}})
}

pub(crate) fn route(object: &Value) -> Arc<Route> {
    Arc::new(raw::HttpRoute::deserialize(object).unwrap().into())
}

pub(crate) fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = shop();
    change(&mut object);
    object
}

pub(crate) fn service() -> Arc<front::Service> {
    let object = json!({"metadata": {"name": "mail", "namespace": "shop"}, "spec": {"selector": {"app": "mailer"},
        "ports": [{"port": 80, "targetPort": "http"}]}});
    Arc::new(raw::Service::deserialize(&object).unwrap().into())
}

/// The Deployment behind that Service.
pub(crate) fn mailer() -> Workload {
    let object = json!({"metadata": {"name": "mailer", "namespace": "shop", "uid": "u"},
        "spec": {"replicas": 4, "template": {"metadata": {"labels": {"app": "mailer"}}}}});
    let facts = observe::deployment("east", raw::Deployment::deserialize(&object).unwrap());
    let mut w = facts.workload.clone();
    w.fronts = front::of(&facts, [service()].iter()).0;
    w
}

fn why(all: &[Value]) -> String {
    let w = mailer();
    let all: Vec<_> = all.iter().map(route).collect();
    the_one(&w, &around(&w, all.iter())).unwrap().unwrap_err()
}

#[test]
fn one_rule_of_one_route_leads_to_it() {
    let (w, all) = (mailer(), [route(&shop())]);
    let lead = the_one(&w, &all).unwrap().unwrap();
    assert_eq!((lead.rule, lead.backend, lead.route.name.as_str()), (1, 0, "shop"));
    // By the rule's path a redirect leads nowhere, and a mirror is no way of users.
    let filters = changed(|r| {
        r["spec"]["rules"][0] = json!({"filters": [{"type": "RequestMirror",
            "requestMirror": {"backendRef": {"name": "mail", "port": 80}}}], "backendRefs": [{"name": "web", "port": 80}]});
    });
    assert!(the_one(&w, &[route(&filters)]).unwrap().is_ok());
    let elsewhere = changed(|r| r["spec"]["rules"][1]["backendRefs"][0]["name"] = "other".into());
    assert!(around(&w, [route(&elsewhere)].iter()).is_empty());
    let bucket = changed(|r| r["spec"]["rules"][1]["backendRefs"][0]["kind"] = "Bucket".into());
    assert!(the_one(&w, &[route(&bucket)]).is_none(), "another kind of the same name");
}

#[test]
fn what_cannot_be_split_is_refused_in_words() {
    let other = changed(|r| r["metadata"]["name"] = "more".into());
    assert!(why(&[shop(), other]).contains("HTTPRoutes more, shop lead to mailer"));
    let abroad = changed(|r| {
        r["metadata"]["namespace"] = "edge".into();
        r["spec"]["rules"][1]["backendRefs"][0]["namespace"] = "shop".into();
    });
    assert!(
        why(std::slice::from_ref(&abroad))
            .contains("HTTPRoute edge/shop leads to mailer from another namespace")
    );
    assert!(why(&[shop(), abroad]).contains("lead to mailer"));
    let twice = changed(|r| r["spec"]["rules"][0]["backendRefs"][0]["name"] = "mail".into());
    assert!(why(&[twice]).contains("by several rules"));
    let backend =
        |field: &str, value: Value| changed(|r| r["spec"]["rules"][1]["backendRefs"][0][field] = value);
    assert!(
        why(&[backend("filters", json!([{"type": "URLRewrite"}]))]).contains("has filters at the backendRef")
    );
    assert!(why(&[backend("weight", json!(0))]).contains("sends nobody to mailer"));
    let sticky = changed(|r| r["spec"]["rules"][1]["sessionPersistence"] = json!({"type": "Cookie"}));
    assert!(why(&[sticky]).contains("could not be taken back"));
    let with =
        |other: Value| changed(|r| r["spec"]["rules"][1]["backendRefs"].as_array_mut().unwrap().push(other));
    let split = with(json!({"kind": "Bucket", "group": "example.com", "name": "files"}));
    assert!(why(&[split]).contains("between it and something else"));
    let named = with(json!({"name": "mailer-tidegate", "port": 80}));
    assert!(why(&[named]).contains("names a Service mailer-tidegate already"));
    let refused = changed(|r| {
        r["status"] = json!({"parents": [{"conditions": [
            {"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners"}]}]});
    });
    assert!(why(&[refused]).contains("accepted by none of its Gateways (NotAllowedByListeners)"));
}

#[test]
fn a_route_that_any_gateway_takes_or_none_has_looked_at_is_taken() {
    let says = |status: &[&str]| {
        let parents: Vec<_> =
            status.iter().map(|s| json!({"conditions": [{"type": "Accepted", "status": s}]})).collect();
        route(&changed(|r| r["status"] = json!({ "parents": parents }))).refused.is_some()
    };
    assert_eq!(
        [says(&[]), says(&["True"]), says(&["False", "True"]), says(&["False"])],
        [false, false, false, true]
    );
    assert!(route(&shop()).refused.is_none());
}

#[test]
fn a_route_knows_its_own_notes_its_keeper_and_where_it_leads() {
    let noted = changed(|r| {
        r["metadata"]["annotations"] = json!({"mailer.tidegate.dev/attempt": "r7-2", "a": "b",
            "argocd.argoproj.io/tracking-id": "edge:gateway.networking.k8s.io/HTTPRoute:shop/shop"});
        r["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "web".into();
    });
    let read = route(&noted);
    assert_eq!((read.attempt("mailer"), read.attempt("web"), read.notes.len()), (Some("r7-2"), None, 1));
    assert_eq!(read.namespaces().collect::<Vec<_>>(), ["shop", "web"]);
    assert_eq!(read.gitops.as_ref().map(|app| app.name.as_str()), Some("edge"));
    let bare = route(&shop());
    assert!(bare.gitops.is_none() && !bare.annotated && read.annotated);
}
