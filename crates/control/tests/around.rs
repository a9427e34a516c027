//! What stands around a workload is told while its plan is written, from a real API server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{World, people};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};

const STEPS: &str = "[{weight: 50, bake: 1s}, {weight: 100}]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_a_quota_without_room_and_an_odd_surge_are_told_before_a_plan_is_saved() {
    let world = World::new().await;
    let replica = world.replica("a");
    let people = people(&replica.control).await;
    let control = &replica.control;
    let ns = &world.namespace;
    let objects = format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web-load, namespace: {ns}}}\n\
         spec:\n  minReplicas: 4\n  maxReplicas: 12\n  scaleTargetRef: {{apiVersion: argoproj.io/v1alpha1, kind: \
         Rollout, name: web}}\n---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: tight, namespace: {ns}}}\n\
         spec: {{hard: {{pods: \"5\"}}}}\n"
    );
    world.sandbox.apply_yaml(&objects).await.unwrap();
    let admin = world.sandbox.admin().await.unwrap();
    let rollouts = sandbox::rollouts(admin.clone(), ns);
    let surge = serde_json::json!({"spec": {"strategy": {"canary": {"maxSurge": "1", "maxUnavailable": 0}}}});
    let patch = Patch::Merge(surge);
    rollouts.patch("web", &PatchParams::default(), &patch).await.unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ResourceQuota"));
    let quotas: Api<DynamicObject> = Api::namespaced_with(admin, ns, &kind);
    let counted = kube::runtime::wait::await_condition(quotas, "tight", |q: Option<&DynamicObject>| {
        q.is_some_and(|q| q.data["status"]["used"]["pods"] == "4")
    });
    tokio::time::timeout(common::DEADLINE, counted).await.unwrap().unwrap();

    let checked = control.check_plan(&people.manager, &world.plan("1.1.0", STEPS)).await.unwrap();
    assert!(checked.errors.is_empty() && checked.digest.is_some(), "warnings keep nothing from being saved");
    let told: Vec<_> = checked.warnings.iter().map(ToString::to_string).collect();
    let about = |part: &str| told.iter().any(|words| words.contains(part));
    assert!(about("metadata.service: Autoscaler web-load sets its replicas (4 to 12, 4 now)"), "{told:#?}");
    assert!(about("Quota tight leaves room for 1 more pod; going back may need 4 at once."), "{told:#?}");
    assert!(about("maxSurge \"1\" is read as 1 %, not as pods."), "{told:#?}");

    let plan = control.create_plan(&people.manager, &world.plan("1.1.0", STEPS)).await.unwrap();
    assert_eq!(plan.warnings, checked.warnings);
    let page = control.plan(&people.manager, plan.id).await.unwrap();
    assert_eq!(page.warnings, checked.warnings, "on the plan's page, too, until it is released");
}
