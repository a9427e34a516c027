//! Argo CD's automatic sync is out of the way of releases and rollbacks where that is allowed, and a person puts it back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{DEADLINE, People, Replica, World, people};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use model::release::State;
use model::{Problem, Status};
use serde_json::{Value, json};

const STEPS: &str = "[{weight: 50, bake: 1s, gates: [{approval: on-call}]}, {weight: 100}]";
const DEFINITION: &str = include_str!("common/argocd-application.yaml");

/// A workload that an application of the world's own name keeps as git says.
struct Owned {
    world: World,
    replica: Replica,
    people: People,
    applications: Api<DynamicObject>,
}

impl Owned {
    async fn new(automated: Value, allowed: bool) -> Self {
        let world = World::new().await;
        let replica = world.replica("a");
        let people = people(&replica.control).await;
        let admin = world.sandbox.admin().await.unwrap();
        let ns = &world.namespace;
        world.sandbox.apply_yaml(DEFINITION).await.unwrap();
        let definition = Api::all_with(
            admin.clone(),
            &ApiResource::from_gvk(&GroupVersionKind::gvk(
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
            )),
        );
        let served = kube::runtime::wait::await_condition(
            definition,
            "applications.argoproj.io",
            |d: Option<&DynamicObject>| {
                d.and_then(|d| d.data["status"]["conditions"].as_array().cloned()).is_some_and(|all| {
                    all.iter().any(|c| c["type"] == "Established" && c["status"] == "True")
                })
            },
        );
        tokio::time::timeout(DEADLINE, served).await.unwrap().unwrap();
        let application = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": ns, "namespace": ns}, "spec": {"syncPolicy": {"automated": automated}},
            "status": {"sync": {"status": "Synced", "revision": "0123456789abcdef"}}});
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
        let applications: Api<DynamicObject> = Api::namespaced_with(admin.clone(), ns, &kind);
        let made = serde_json::from_value(application).unwrap();
        applications.create(&Default::default(), &made).await.unwrap();
        if allowed {
            let namespaces: Api<DynamicObject> = Api::all_with(
                admin.clone(),
                &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace")),
            );
            let allow =
                Patch::Merge(json!({"metadata": {"annotations": {"tidegate.dev/argocd-sync": "suspend"}}}));
            namespaces.patch(ns, &PatchParams::default(), &allow).await.unwrap();
        }
        let id = format!("{ns}_{ns}:argoproj.io/Rollout:{ns}/web");
        let track = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": id}}});
        let rollouts = sandbox::rollouts(admin, ns);
        rollouts.patch("web", &PatchParams::default(), &Patch::Merge(track)).await.unwrap();
        world.wait_workload("owned", |w| w.gitops.is_some()).await;
        Self { world, replica, people, applications }
    }

    async fn application(&self) -> DynamicObject {
        self.applications.get(&self.world.namespace).await.unwrap()
    }

    async fn automated(&self) -> Value {
        self.application().await.data["spec"]["syncPolicy"]["automated"].clone()
    }

    async fn wait_automated(&self, wanted: Value) {
        let is = move |a: Option<&DynamicObject>| {
            a.is_some_and(|a| a.data["spec"]["syncPolicy"]["automated"] == wanted)
        };
        let found =
            kube::runtime::wait::await_condition(self.applications.clone(), &self.world.namespace, is);
        tokio::time::timeout(DEADLINE, found).await.unwrap().unwrap();
    }

    async fn events(&self) -> Vec<model::audit::NewEvent> {
        let page = self.replica.control.audit(&self.people.viewer, Default::default()).await.unwrap();
        page.rows.into_iter().map(|row| row.event).filter(|e| e.action.starts_with("sync.")).collect()
    }

    async fn resume(&self) -> Result<(), Problem> {
        self.replica.control.resume_sync(&self.people.manager, &self.world.key(), None).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_suspends_the_sync_where_that_is_allowed_and_a_person_puts_it_back_as_it_was() {
    let before = json!({"selfHeal": true, "prune": true});
    let o = Owned::new(before.clone(), true).await;
    let control = &o.replica.control;
    let text = o.world.plan("1.1.0", STEPS);
    let checked = control.check_plan(&o.people.manager, &text).await.unwrap();
    let told = checked.warnings.iter().any(|w| w.message.contains("Tidegate suspends its sync"));
    assert!(told, "{:?}", checked.warnings);

    // Without its approval nothing begins, and nothing is suspended for it.
    let plan = control.create_plan(&o.people.manager, &text).await.unwrap();
    assert_eq!(control.start(&o.people.manager, plan.id, None).await.unwrap_err().status, Status::Conflict);
    assert_eq!(o.automated().await, before);

    o.replica.approve(&o.people, plan.id, &plan.digest).await;
    let id = control.start(&o.people.manager, plan.id, None).await.unwrap();
    let off = json!({"selfHeal": true, "prune": true, "enabled": false});
    assert_eq!(o.automated().await, off, "off before anything changes, and as it was otherwise");
    o.replica.wait(id, "at the gate", |r| r.step == Some(0) && r.state == State::Waiting).await;
    let refused = o.resume().await.unwrap_err();
    assert!(refused.detail.contains("is under way"), "{}", refused.detail);

    control.open_gate(&o.people.on_call, id, None).await.unwrap();
    o.replica.wait_state(id, State::Succeeded).await;
    let page = control.release(&o.people.manager, id).await.unwrap();
    let reminder = page.live.reminder.unwrap();
    assert!(reminder.contains("does not sync by itself") && reminder.contains("for Mara"), "{reminder}");
    let service = control.service(&o.people.manager, &o.world.key()).await.unwrap().sync.unwrap();
    assert!(service.resume.allowed && service.sync.reminder().unwrap().contains("agree (0123456)"));
    let viewer = control.resume_sync(&o.people.viewer, &o.world.key(), None).await.unwrap_err();
    assert_eq!(viewer.status, Status::Forbidden);

    o.resume().await.unwrap();
    assert_eq!(o.automated().await, before);
    assert_eq!(o.application().await.metadata.annotations.unwrap_or_default().len(), 0, "no note is left");
    assert_eq!(o.resume().await.unwrap_err().status, Status::Conflict, "once");
    let events = o.events().await;
    let said: Vec<_> = events.iter().map(|e| (e.action.as_str(), e.plan)).collect();
    assert_eq!(said, [("sync.resumed", Some(plan.id)), ("sync.suspended", Some(plan.id))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_suspends_the_sync_and_leaves_what_somebody_sets_meanwhile() {
    let o = Owned::new(json!({"selfHeal": true}), true).await;
    let control = &o.replica.control;
    // Git deploys 1.1.0, past Tidegate.
    let admin = o.world.sandbox.admin().await.unwrap();
    let rollouts = sandbox::rollouts(admin, &o.world.namespace);
    let template = json!({"spec": {"strategy": {"canary": {"steps": []}}, "template": {"spec": {"containers": [
        {"name": "app", "image": "registry.example.com/shop/web:1.1.0"}]}}}});
    rollouts.patch("web", &PatchParams::default(), &Patch::Merge(template)).await.unwrap();
    o.world.wait_workload("on 1.1.0", |w| w.version() == "1.1.0" && !w.in_flight() && w.observed()).await;
    let page = control.service(&o.people.on_call, &o.world.key()).await.unwrap();
    let stays = page.rollback.unwrap().cannot_undo.join(" ");
    assert!(stays.contains("is suspended with it"), "{stays}");

    control.roll_back_workload(&o.people.on_call, &o.world.key(), None, None).await.unwrap();
    o.wait_automated(json!({"selfHeal": true, "enabled": false})).await;
    o.world.wait_workload("back", |w| w.version() == "1.0.0" && !w.in_flight()).await;

    // Somebody sets another policy by hand: that stays, and only the note goes.
    let own = json!({"spec": {"syncPolicy": {"automated": {"enabled": true, "prune": true}}}});
    o.applications.patch(&o.world.namespace, &PatchParams::default(), &Patch::Merge(own)).await.unwrap();
    o.resume().await.unwrap();
    assert_eq!(o.automated().await, json!({"selfHeal": true, "enabled": true, "prune": true}));
    assert_eq!(o.application().await.metadata.annotations.unwrap_or_default().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_is_not_allowed_nothing_is_suspended_and_what_git_must_do_is_told() {
    let before = json!({"selfHeal": true});
    let o = Owned::new(before.clone(), false).await;
    let control = &o.replica.control;
    let text = o.world.plan("1.1.0", STEPS);
    let checked = control.check_plan(&o.people.manager, &text).await.unwrap();
    let told = checked.warnings.iter().any(|w| w.message.contains("annotate the namespace"));
    assert!(told, "{:?}", checked.warnings);
    let id = o.replica.release(&o.people, &text).await;
    o.replica.wait(id, "at the gate", |r| r.step == Some(0) && r.state == State::Waiting).await;
    let page = control.release(&o.people.on_call, id).await.unwrap();
    let stays = page.live.rollback.unwrap().cannot_undo.join(" ");
    assert!(stays.contains("puts back what git says within seconds (self-heal)"), "{stays}");
    control.roll_back(&o.people.on_call, id, None).await.unwrap();
    o.replica.wait_state(id, State::RolledBack).await;
    assert_eq!(o.automated().await, before);
    assert_eq!(o.events().await, []);
}
