use super::*;
use crate::{observe, raw};
use model::ReleaseId;
use model::plan::Plan;
use model::workload::Workload;
use serde::Deserialize as _;

fn own() -> Value {
    json!({
        "metadata": {"name": "mailer", "namespace": "shop", "uid": "u",
            "labels": {"argocd.argoproj.io/instance": "shop"}, "annotations": {}},
        "spec": {"replicas": 8, "minReadySeconds": 3, "selector": {"matchLabels": {"app": "mailer"}},
            "strategy": {"type": "RollingUpdate"}, "template": good().template},
    })
}

fn good() -> KnownGood {
    KnownGood {
        config: Vec::new(),
        template: json!({"metadata": {"labels": {"app": "mailer", "tier": "back"}}, "spec": {
            "initContainers": [{"name": "migrate", "image": "shop/migrate:1"}],
            "containers": [{"name": "app", "image": "shop/mailer:1"}]}}),
        steps: None,
        blue_green: None,
        hash: "good".into(),
        images: [("app".to_owned(), "shop/mailer:1".to_owned())].into(),
        revision: Some(3),
    }
}

fn plan() -> Plan {
    serde_json::from_value(json!({
        "apiVersion": "tidegate.dev/v1", "kind": "Plan",
        "metadata": {"name": "mailer-2", "service": "mailer", "environment": "production"},
        "spec": {"change": {"images": {"app": "shop/mailer:2", "migrate": "shop/migrate:2"}},
            "strategy": {"canary": {"steps": [{"weight": 20}, {"weight": 100}]}}},
    }))
    .unwrap()
}

fn facts(object: &Value) -> Facts {
    observe::deployment("east", raw::Deployment::deserialize(object).unwrap())
}

fn deploy_to(own: &Value) -> Requests {
    let facts = facts(own);
    let seen = Seen {
        workload: &facts.workload,
        facts: &facts,
        twin: None,
        fronts: &[],
        ingress: None,
        routes: &[],
        source: None,
        object: Some(own),
    };
    let new = Incoming { plan: &plan(), good: &good(), release: ReleaseId(7) };
    Beside.deploy(&seen, &AttemptId("r7-1".into()), &new)
}

fn created() -> Value {
    let requests = deploy_to(&own()).unwrap();
    let [mark, create] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(
        mark.marked && matches!(&mark.what, What::Patch(_, patch) if patch.first_failing(&own()).is_none())
    );
    let What::Create(_, twin) = &create.what else { panic!("{create:?}") };
    assert_eq!(create.key.name, "mailer-tidegate");
    twin.clone()
}

#[test]
fn it_is_like_its_owner_but_for_images_name_label_and_number() {
    let (own, twin) = (own(), created());
    assert_eq!(twin["spec"]["replicas"], 0, "its pods come with the patch that scales it");
    assert_eq!(twin["spec"]["minReadySeconds"], 3);
    assert_eq!(twin["spec"]["strategy"], own["spec"]["strategy"]);
    let template = &twin["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["image"], "shop/mailer:2");
    assert_eq!(template["spec"]["initContainers"][0]["image"], "shop/migrate:2");
    let labels = json!({"app": "mailer", "tier": "back", TWIN: "mailer-tidegate"});
    assert_eq!(template["metadata"]["labels"], labels, "whatever selects the pods selects these, too");
    let selector = json!({"matchLabels": {"app": "mailer", TWIN: "mailer-tidegate"}});
    assert_eq!(twin["spec"]["selector"], selector);
    assert_eq!(
        twin["metadata"]["labels"],
        json!({TWIN: "mailer-tidegate"}),
        "nobody else takes it for theirs"
    );
    assert_eq!(twin["metadata"]["ownerReferences"][0]["uid"], "u");
    assert_eq!(twin["metadata"]["annotations"], json!({ATTEMPT: "r7-1", RELEASE: "7"}));
}

#[test]
fn it_is_known_by_its_label_and_its_owner() {
    let twin = created();
    assert_eq!(facts(&twin).twin_of.as_deref(), Some("u"));
    let mut renamed = twin.clone();
    renamed["metadata"]["labels"][TWIN] = "another".into();
    assert_eq!(facts(&renamed).twin_of, None);
    let mut alone = twin;
    alone["metadata"]["ownerReferences"] = json!([]);
    assert_eq!(facts(&alone).twin_of, None);
}

#[test]
fn only_what_carries_the_label_is_scaled_and_only_its_uid_deleted() {
    let mut twin = created();
    twin["metadata"]["uid"] = "t".into();
    let (own, ours) = (facts(&own()), facts(&twin));
    let seen = Seen {
        workload: &own.workload,
        facts: &own,
        twin: Some(&ours),
        fronts: &[],
        ingress: None,
        routes: &[],
        source: None,
        object: None,
    };
    let requests = Beside.retire(&seen).unwrap();
    let [scale, delete] = requests.as_slice() else { panic!("{requests:?}") };
    let What::Patch(_, patch) = &scale.what else { panic!("{scale:?}") };
    assert_eq!(patch.first_failing(&twin), None);
    twin["metadata"]["labels"] = json!({});
    assert!(patch.first_failing(&twin).is_some());
    assert_eq!(delete.what, What::Delete("t".into()));
    assert_eq!(scale.key.name, "mailer-tidegate");
}

#[test]
fn a_paused_deployment_or_nothing_new_is_refused() {
    let mut paused = own();
    paused["spec"]["paused"] = true.into();
    assert!(deploy_to(&paused).unwrap_err().contains("Resume it first"));
    let mut long = own();
    long["metadata"]["name"] = "n".repeat(60).into();
    assert!(deploy_to(&long).unwrap_err().contains("63 characters"));
}

#[test]
fn one_that_services_tell_apart_differs_in_one_label_more() {
    let own = own();
    let facts = facts(&own);
    let mut w = facts.workload.clone();
    let selector = [("app".to_owned(), "mailer".to_owned())].into();
    w.fronts = vec![model::workload::Front::of("mail", &selector, &facts.labels, "mailer").unwrap()];
    let seen = Seen {
        workload: &w,
        facts: &facts,
        twin: None,
        fronts: &[],
        ingress: None,
        routes: &[],
        source: None,
        object: Some(&own),
    };
    let mut plan = plan();
    plan.spec.strategy = serde_json::from_value(json!({"blueGreen": {}})).unwrap();
    let new = Incoming { plan: &plan, good: &good(), release: ReleaseId(7) };
    let requests = Beside.deploy(&seen, &AttemptId("r7-1".into()), &new).unwrap();
    let What::Create(_, twin) = &requests[1].what else { panic!("{requests:?}") };
    let name = "mailer-tidegate";
    assert_eq!(
        twin["spec"]["template"]["metadata"]["labels"],
        json!({"app": name, "tier": "back", TWIN: name})
    );
    assert_eq!(twin["spec"]["selector"], json!({"matchLabels": {"app": name, TWIN: name}}));
    let mut seen_by = w.clone();
    let ours = self::facts(twin);
    observe::stand_beside(&mut seen_by, &facts, &ours, ours.workload.clone());
    assert!(seen_by.stands_apart());

    let recreates = Workload { recreates: true, ..w.clone() };
    let seen = Seen { workload: &recreates, ..seen };
    assert!(
        Beside.deploy(&seen, &AttemptId("r7-1".into()), &new).unwrap_err().contains("stops all its pods")
    );
}
