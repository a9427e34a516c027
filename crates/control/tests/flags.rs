//! Feature flags on a real cluster: what is served, the kill switch that nothing but a person undoes, and the history.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod common;

use common::{DEADLINE, People, Replica, World, people};
use control::{Control, Decision, FlagDraft, FlagEdit};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use model::problem::Status;
use model::view::{FileState, FlagPage, FlagQuestion, FlagState, FlagsPage};
use model::{Actor, Digest, Grant, Role, Via};
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use std::time::Duration;

const PAPER: &str = include_str!("../../flags/tests/files/paper.yaml");
const KEY: &str = "checkout-new-tax";
const FILE: &str = "\
# Of the shop.
checkout-new-tax:
  enabled: true        # since October
  percentage: 100.0

other: {enabled: true, percentage: 100}
";

struct Shop {
    world: World,
    replica: Replica,
    people: People,
}

impl Shop {
    async fn with(text: &str) -> Self {
        let world = World::new().await;
        let replica = world.replica("a");
        let people = people(&replica.control).await;
        let shop = Self { world, replica, people };
        shop.applied(text).await;
        shop
    }

    fn maps(&self, client: kube::Client) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
        Api::namespaced_with(client, &self.world.namespace, &kind)
    }

    /// By `kubectl`, past Tidegate.
    async fn applied(&self, text: &str) {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "feature-flags", "namespace": self.world.namespace},
            "data": {"flags.yaml": text},
        });
        self.world.sandbox.apply_yaml(&map.to_string()).await.unwrap();
    }

    async fn text(&self) -> String {
        let maps = self.maps(self.world.sandbox.admin().await.unwrap());
        maps.get("feature-flags").await.unwrap().data["data"]["flags.yaml"].as_str().unwrap().to_owned()
    }

    fn control(&self) -> &Control {
        &self.replica.control
    }

    async fn page(&self) -> FlagsPage {
        let mut page = self.control().flags_page(&self.people.viewer).await.unwrap();
        page.files.retain(|f| f.namespace == self.world.namespace);
        page.flags.retain(|f| f.namespace == self.world.namespace);
        page
    }

    async fn flag(&self) -> FlagPage {
        let ns = &self.world.namespace;
        self.control().flag_page(&self.people.viewer, "demo", ns, KEY).await.unwrap()
    }

    /// What somebody without attributes gets.
    fn is_on(&self, control: &Control) -> Option<bool> {
        let question = FlagQuestion { context: r#"{"targetingKey": "u"}"#.into(), environment: None };
        let ns = &self.world.namespace;
        let answer = control.try_flag(&self.people.viewer, "demo", ns, KEY, &question).ok()?;
        answer.value.map(|v| v == "true")
    }

    async fn until(&self, what: &str, is: impl AsyncFn() -> bool) {
        let mut heard = self.control().subscribe();
        let found = async {
            while !is().await {
                let _ = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("not in time: {what}"));
    }

    async fn killed(&self) {
        let ns = &self.world.namespace;
        let reason = Some("checkout fails".to_owned());
        let receipt = self.control().kill_flag(&self.people.on_call, "demo", ns, KEY, reason).await.unwrap();
        assert!(receipt.written && receipt.recorded, "{receipt:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kubectl_writes_is_served_and_on_record_and_a_broken_file_leaves_the_last_good_one() {
    let shop = Shop::with(PAPER).await;
    shop.until("served and on record", async || {
        let page = shop.page().await;
        page.flags.len() == 5 && page.files.iter().all(|f| f.changed.as_ref().is_some_and(|c| c.outside))
    })
    .await;
    assert_eq!(shop.page().await.files[0].state, FileState::ChangedOutside);

    shop.applied(FILE).await;
    shop.until("the next one", async || shop.is_on(shop.control()) == Some(true)).await;
    shop.applied("checkout-new-tax: {enabled: true, percentage: 130}\n").await;
    shop.until("its fault is told", async || {
        shop.page().await.files.iter().any(|f| f.state == FileState::Faulty && f.faults.len() == 1)
    })
    .await;
    assert_eq!(shop.is_on(shop.control()), Some(true), "the last good one");

    // A replica that starts now serves it, too, from the record.
    let second = shop.world.replica("b");
    shop.until("served by another", async || shop.is_on(&second.control) == Some(true)).await;

    let maps = shop.maps(shop.world.sandbox.admin().await.unwrap());
    maps.delete("feature-flags", &kube::api::DeleteParams::default()).await.unwrap();
    shop.until("told as gone", async || shop.page().await.files.iter().any(|f| f.state == FileState::Gone))
        .await;
    assert_eq!(shop.is_on(shop.control()), Some(true), "also where the ConfigMap is gone");
    let words: Vec<_> = shop.flag().await.history.into_iter().map(|h| h.words).collect();
    assert_eq!(words, [["Added"]], "what was refused changed nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_flag_stays_off_until_a_person_revives_it_with_a_reason() {
    let shop = Shop::with(FILE).await;
    let ns = &shop.world.namespace;
    let second = shop.world.replica("b");
    shop.until("on", async || {
        shop.is_on(shop.control()) == Some(true) && shop.is_on(&second.control) == Some(true)
    })
    .await;
    let refused = shop.control().kill_flag(&shop.people.viewer, "demo", ns, KEY, None).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);

    shop.killed().await;
    assert_eq!(shop.is_on(shop.control()), Some(false), "at once, here");
    let text = shop.text().await;
    assert!(text.contains("enabled: false        # since October"), "for services that mount it: {text}");
    assert!(text.contains("checkout fails") && text.contains("other: {enabled: true"), "{text}");
    shop.until("off at the other replica", async || shop.is_on(&second.control) == Some(false)).await;

    // Somebody applies the file of yesterday. It is off for whoever asks, and off in the file again.
    shop.applied(FILE).await;
    shop.until("put right in the file", async || shop.text().await.contains("killed:")).await;
    assert_eq!((shop.is_on(shop.control()), shop.is_on(&second.control)), (Some(false), Some(false)));
    // Or without it.
    shop.applied("other: {enabled: true, percentage: 100}\n").await;
    shop.until("put right again", async || shop.text().await.contains("checkout-new-tax:")).await;
    assert_eq!(shop.is_on(shop.control()), Some(false));

    let revive = async |actor: &Actor, why: &str| {
        shop.control().revive_flag(actor, "demo", ns, KEY, why.to_owned()).await
    };
    assert_eq!(revive(&shop.people.approver, "fixed").await.unwrap_err().status, Status::Forbidden);
    assert_eq!(revive(&shop.people.on_call, " ").await.unwrap_err().fields[0].field, "reason");
    let receipt = revive(&shop.people.on_call, "fixed in 1.42.1").await.unwrap();
    assert!(receipt.written, "{receipt:?}");
    assert_eq!(shop.is_on(shop.control()), Some(false), "to revive is not to expose");
    assert!(!shop.text().await.contains("killed:"));
    assert_eq!(revive(&shop.people.on_call, "again").await.unwrap_err().status, Status::Conflict);
    shop.applied(FILE).await;
    shop.until("on again", async || {
        shop.is_on(shop.control()) == Some(true) && shop.is_on(&second.control) == Some(true)
    })
    .await;

    let events =
        shop.control().audit(&shop.people.viewer, model::view::AuditFilter::default()).await.unwrap();
    let count = |action: &str| events.rows.iter().filter(|e| e.event.action == action).count();
    assert_eq!((count("flag.killed"), count("flag.revived"), count("flag.held")), (1, 1, 2));
}

/// The press counts before anything answers, and what is left is made good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_works_on_a_file_with_faults_and_reaches_it_once_it_is_mended() {
    let shop = Shop::with(FILE).await;
    shop.until("on", async || shop.is_on(shop.control()) == Some(true)).await;
    shop.applied("checkout-new-tax: [\n").await;
    shop.until("faulty", async || shop.page().await.files.iter().any(|f| f.state == FileState::Faulty)).await;
    let ns = &shop.world.namespace;
    let receipt = shop.control().kill_flag(&shop.people.on_call, "demo", ns, KEY, None).await.unwrap();
    assert!(!receipt.written && receipt.recorded && receipt.words.contains("faults"), "{receipt:?}");
    assert_eq!(shop.is_on(shop.control()), Some(false));
    let page = shop.flag().await;
    assert_eq!(page.flag.state, FlagState::Killed);
    assert!(page.killed.is_some_and(|k| k.recorded && !k.written && k.by == "Jun"));
    shop.applied(FILE).await;
    shop.until("off in the file", async || shop.text().await.contains("killed:")).await;
    shop.until("and said so", async || shop.flag().await.killed.is_some_and(|k| k.written)).await;
    assert_eq!(shop.is_on(shop.control()), Some(false));
}

/// Invariant 10: whatever others write meanwhile, and in whichever order, from the press on nobody is given the flag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_wins_against_writers_in_any_order() {
    let mut shop = Shop::with(FILE).await;
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for round in 0..8 {
        // A process of its own: one that has put a file right again and again does it slowly.
        shop.replica = shop.world.replica(&format!("round-{round}"));
        shop.until("on", async || shop.is_on(shop.control()) == Some(true)).await;
        let pauses: Vec<u64> = (0..6).map(|_| random.random_range(0..30)).collect();
        let press = random.random_range(0..4_usize);
        let client = shop.world.sandbox.admin().await.unwrap();
        let maps = shop.maps(client);
        let writes = async {
            for (n, pause) in pauses.iter().enumerate() {
                tokio::time::sleep(Duration::from_millis(*pause)).await;
                // Another percentage each time, so that each is a write.
                let text = format!("{FILE}# {round}.{n}\nlater: {{enabled: true, percentage: {n}}}\n");
                let patch = Patch::Merge(json!({"data": {"flags.yaml": text}}));
                maps.patch("feature-flags", &PatchParams::default(), &patch).await.unwrap();
            }
        };
        let kills = async {
            let before: u64 = pauses.iter().take(press).sum();
            tokio::time::sleep(Duration::from_millis(before)).await;
            shop.killed().await;
            // From here on: never on.
            let mut told = shop.control().subscribe();
            let watched = async {
                loop {
                    assert_eq!(shop.is_on(shop.control()), Some(false), "round {round}");
                    let _ = tokio::time::timeout(Duration::from_millis(5), told.recv()).await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(200), watched).await;
        };
        tokio::join!(writes, kills);
        shop.until("off in the file", async || {
            let text = shop.text().await;
            // The last writer's other flag is there: nobody's change is lost.
            text.contains("killed:") && text.contains("percentage: 5}")
        })
        .await;
        assert_eq!(shop.is_on(shop.control()), Some(false));
        let ns = &shop.world.namespace;
        shop.control()
            .revive_flag(&shop.people.manager, "demo", ns, KEY, "next round".to_owned())
            .await
            .unwrap();
        shop.applied(FILE).await;
    }
}

/// Less is done at once; more waits for somebody else, who says yes to exactly these lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_users_in_production_need_an_approver_and_less_does_not() {
    let shop = Shop::with(FILE).await;
    shop.until("on record", async || shop.page().await.files.iter().any(|f| f.changed.is_some())).await;
    let control = shop.control();
    let change = async |actor: &Actor, seen: String, edit: FlagEdit| {
        let (cluster, namespace, key) = ("demo".to_owned(), shop.world.namespace.clone(), KEY.to_owned());
        let draft = FlagDraft { cluster, namespace, key, seen: Some(seen), edit, reason: Some("why".into()) };
        control.change_flag(actor, draft).await
    };
    let share = |percentage: &str| FlagEdit::Share { enabled: true, percentage: percentage.to_owned() };
    let seen = shop.flag().await.seen;
    let refused = change(&shop.people.on_call, seen.clone(), share("20")).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);
    let wrong = change(&shop.people.manager, seen.clone(), share("120")).await.unwrap_err();
    assert_eq!(wrong.fields[0].field, "percentage");

    let done = change(&shop.people.manager, seen.clone(), share("20")).await.unwrap();
    assert_eq!(done.waits, None, "nobody gets more");
    let text = shop.text().await;
    assert!(text.contains("enabled: true        # since October\n  percentage: 20.0\n"), "{text}");
    let late = change(&shop.people.manager, seen, share("10")).await.unwrap_err();
    assert_eq!(late.status, Status::Conflict, "over lines that are not there any more");

    // More waits, and nothing is written meanwhile.
    let page = shop.flag().await;
    let asked = change(&shop.people.manager, page.seen.clone(), share("40")).await.unwrap();
    let id = asked.waits.unwrap();
    assert_eq!(asked.why, ["the share rises from 20\u{a0}% to 40\u{a0}%"]);
    let second = change(&shop.people.manager, page.seen, share("60")).await.unwrap_err();
    assert_eq!(second.status, Status::Conflict, "one at a time");
    assert_eq!(shop.text().await, text);
    let proposal = shop.flag().await.proposal.unwrap();
    assert!(!proposal.decide.allowed && !proposal.overtaken, "a viewer only sees");

    let decide = async |actor: &Actor, digest: &Digest, decision: Decision| {
        control.decide_flag_change(actor, id, digest, decision, None).await
    };
    let both = vec![
        Grant { role: Role::ReleaseManager, environment: None },
        Grant { role: Role::Approver, environment: None },
    ];
    let own = Actor { grants: both, ..shop.people.manager.clone() };
    let refused = decide(&own, &proposal.digest, Decision::Approve).await.unwrap_err();
    assert!(refused.detail.contains("Nobody approves a change they asked for"), "{refused:?}");
    let other = Digest("sha256:00".into());
    let refused = decide(&shop.people.approver, &other, Decision::Approve).await.unwrap_err();
    assert_eq!(refused.status, Status::Conflict, "other lines than were looked at");

    // Somebody writes another flag meanwhile: both are there in the end.
    shop.applied(&format!("{text}later: {{enabled: true, percentage: 3}}\n")).await;
    decide(&shop.people.approver, &proposal.digest, Decision::Approve).await.unwrap();
    let now = shop.text().await;
    assert!(
        now.contains("percentage: 40.0") && now.contains("later: {enabled: true, percentage: 3}"),
        "{now}"
    );
    let again = decide(&shop.people.approver, &proposal.digest, Decision::Reject).await.unwrap_err();
    assert_eq!(again.status, Status::Conflict);
    shop.until("served, and in the history", async || {
        let page = shop.flag().await;
        page.flag.share == "40\u{a0}%" && page.history.first().is_some_and(|h| h.changed.by == "Ayo")
    })
    .await;

    // A change of lines that somebody has changed since cannot be approved; it can be withdrawn.
    let page = shop.flag().await;
    let lines = page.yaml.replace("40.0", "50.0");
    let id = change(&shop.people.manager, page.seen, FlagEdit::Lines(lines)).await.unwrap().waits.unwrap();
    let digest = shop.flag().await.proposal.unwrap().digest;
    shop.applied(FILE).await;
    shop.until("overtaken", async || shop.flag().await.proposal.is_some_and(|p| p.overtaken)).await;
    let late = control.decide_flag_change(&shop.people.approver, id, &digest, Decision::Approve, None).await;
    assert_eq!(late.unwrap_err().status, Status::Conflict);
    assert_eq!(shop.text().await, FILE);
    control.withdraw_flag_change(&shop.people.manager, id).await.unwrap();
    assert_eq!(shop.flag().await.proposal, None);

    // A killed flag is not changed, and not removed, but by a revival.
    shop.killed().await;
    shop.until("killed in the file", async || shop.flag().await.yaml.contains("killed:")).await;
    for edit in [share("100"), FlagEdit::Lines(String::new())] {
        let refused = change(&shop.people.manager, shop.flag().await.seen, edit).await.unwrap_err();
        assert_eq!(refused.status, Status::Conflict, "{refused:?}");
    }
    let verified = control.verify_audit(&shop.people.viewer).await.unwrap();
    assert!(verified.ok, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_reads_one_namespace_hears_of_changes_and_ends_when_it_is_withdrawn() {
    let shop = Shop::with(FILE).await;
    shop.until("on", async || shop.is_on(shop.control()) == Some(true)).await;
    let control = shop.control();
    let ns = &shop.world.namespace;
    let grants = vec![Grant { role: Role::Administrator, environment: None }];
    let admin = Actor { person: None, name: "Adi".into(), grants, via: Via::Browser };
    let refused = control.issue_flag_key(&shop.people.manager, "shop", "demo", ns, None).await.unwrap_err();
    assert_eq!(refused.status, Status::Forbidden);
    let wrong = control.issue_flag_key(&admin, " ", "demo", "No such", None).await.unwrap_err();
    assert_eq!(wrong.fields.iter().map(|f| &*f.field).collect::<Vec<_>>(), ["name", "namespace"]);
    let (key, secret) = control.issue_flag_key(&admin, "shop", "demo", ns, Some("production")).await.unwrap();
    assert_eq!(control.flag_access("tgf_x").unwrap_err().status, Status::Unauthenticated);
    let access = control.flag_access(&secret).unwrap();
    assert_eq!((access.id, access.environment.as_deref()), (key.id, Some("production")));
    let first = access.served.unwrap().version.clone();

    let mut stream = control.follow_flags(&access.stream).unwrap();
    shop.applied(&format!("{FILE}third: {{enabled: true, percentage: 1}}\n")).await;
    let (version, _) = tokio::time::timeout(DEADLINE, stream.changed()).await.unwrap().unwrap();
    assert_ne!(version, first);
    assert_eq!(control.flag_access(&secret).unwrap().served.unwrap().version, version);
    shop.killed().await;
    let (killed, _) = tokio::time::timeout(DEADLINE, stream.changed()).await.unwrap().unwrap();
    assert_ne!(killed, version);

    control.revoke_flag_key(&admin, key.id).await.unwrap();
    assert_eq!(control.flag_access(&secret).unwrap_err().status, Status::Unauthenticated);
    let end = async { while stream.changed().await.is_some() {} };
    tokio::time::timeout(DEADLINE, end).await.unwrap();
    assert_eq!(control.revoke_flag_key(&admin, key.id).await.unwrap_err().status, Status::NotFound);
}
