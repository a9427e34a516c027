//! Every page in its states, rendered as the server renders it: complete without script, and without anything that the
//! Content-Security-Policy forbids. `TIDEGATE_DUMP=<dir>` writes each as a file to look at.

use super::fixtures::*;
use leptos::prelude::*;
use model::release::State;
use model::view::{
    AuditFilter, AuditPage, Component, ComponentStatus, Deed, NowPage, PlansPage, ReleasePage, ReleasesPage,
    ServiceFilter, ServicesPage, StatusPage, Waiting,
};
use model::workload::Phase;

/// Renders, checks what holds for every page, and returns the HTML.
pub(super) fn render(name: &str, view: impl FnOnce() -> AnyView) -> String {
    let owner = Owner::new();
    let html = owner.with(|| {
        leptos_meta::provide_meta_context();
        view().to_html()
    });
    owner.cleanup();
    if let Ok(dir) = std::env::var("TIDEGATE_DUMP") {
        let sprite = Owner::new().with(|| crate::components::icon::sprite().to_html());
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
             <link rel=stylesheet href=app.css><body><div class=app><header class=top></header>\
             <nav class=side></nav>{html}</div>{sprite}</body></html>"
        );
        std::fs::write(format!("{dir}/{name}.html"), page).unwrap();
    }
    for forbidden in [" style=", " onclick=", "javascript:", "<script"] {
        assert!(!html.contains(forbidden), "{name} holds {forbidden}");
    }
    // A button that is not possible says so, and stays reachable: never a bare `disabled`.
    assert!(!html.contains(" disabled"), "{name} holds a bare `disabled`");
    assert_eq!(html.matches("<h1").count(), 1, "{name} has one heading of the first level");
    html
}

/// Text as a reader sees it: tags, and the markers that hydration needs, taken away.
pub(super) fn text(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.replace('\u{a0}', " ").replace("&nbsp;", " ")
}

fn release_html(name: &str, p: &ReleasePage) -> String {
    render(name, || super::release::render(p))
}

#[test]
fn a_failing_release_says_what_is_what_follows_and_how_to_go_back() {
    let html = release_html("release", &release());
    let words = text(&html);
    for part in [
        "checkout 1.42.0",
        "Failing, held",
        "The canary fails, so it is held at 25 %.",
        "0:48",
        "25 %, may only fall",
        "Next gate, to 50 %: closed.",
        "Canary errors 4.1 % against 0.3 %",
        "17 / 412",
        "Roll checkout back to 1.41.3?",
        "What it cannot undo",
        "Release started",
        "sha256:9f2c61d0…41ab",
        "6 / 6",
    ] {
        assert!(words.contains(part), "the page lacks “{part}”");
    }
    // Operable without script: each deed is a form that posts, the panel opens by itself.
    assert!(html.contains(r#"action="/do/rollback""#) && html.contains(r#"action="/do/release""#));
    assert!(
        html.contains(r#"popovertarget="rollback""#) && html.contains(r#"href="/releases/318/rollback""#)
    );
    assert!(html.contains("<polyline"), "the chart is drawn on the server");
    assert!(words.contains("The same as a table") && words.contains("4.1 %"));
}

#[test]
fn what_the_controller_analysed_is_told_metric_by_metric_and_nothing_where_it_did_not() {
    let mut p = release();
    assert!(!release_html("release", &p).contains("by Argo Rollouts"));
    p.live.analyses = vec![analysis()];
    let html = release_html("release-analyses", &p);
    let words = text(&html);
    for part in [
        "Step 2 of the Rollout",
        "by Argo Rollouts",
        "failed (4) > failureLimit (3)",
        "service = checkout",
        "Passes where result[0] >= 0.95",
        "Prometheus, every 30s, 20 times",
        "Failed 0.81",
        "could not be measured",
        "11 earlier ones are kept. 2 of 16 measurements were not seen.",
        "failed 4, at most 3",
        "dry run: decides nothing",
        "is a filter",
    ] {
        assert!(
            words.contains(part) || words.contains(&part.replace('>', "&gt;")),
            "the page lacks “{part}”: {words}"
        );
    }
    assert!(html.contains(r#"href="/api/v1/releases/318/analyses""#));
    let mut p = service();
    p.analyses = vec![analysis()];
    let words = text(&render("service-analyses", || super::service::view(&p)));
    assert!(words.contains("by Argo Rollouts") && !words.contains("All measurements"));
}

#[test]
fn a_preview_is_reached_and_copies_are_called_copies() {
    let mut p = release();
    p.live.preview = Some("http://checkout-tidegate.shop.svc".into());
    assert!(
        text(&release_html("release-preview", &p)).contains("Preview: http://checkout-tidegate.shop.svc")
    );
    p.live.preview = None;
    for step in &mut p.live.steps {
        step.gates.push(model::view::GateView {
            kind: "copies".into(),
            name: "Copies".into(),
            state: model::view::GateState::Running,
            figure: "40 % of requests".into(),
            note: None,
        });
    }
    let words = text(&release_html("release-copies", &p));
    assert!(!words.contains("Preview:"));
    assert!(words.contains("412 copies of requests (needs") && !words.contains("canary requests"), "{words}");
}

#[test]
fn a_deed_that_is_not_possible_gives_its_reason_beside_it() {
    let mut p = release();
    p.live.roll_back = Deed::no("As viewer you may not roll back in production. Ask: on-call.");
    let html = release_html("release-viewer", &p);
    assert!(text(&html).contains("Promote, Skip step: The analysis fails."));
    assert!(text(&html).contains("ROLL BACK: As viewer you may not roll back"));
    assert!(!html.contains(r#"id="rollback""#), "no panel for a deed that is not allowed");
}

#[test]
fn a_release_that_waits_offers_the_gate_to_on_call() {
    let mut p = release();
    p.live.state = State::Waiting;
    p.live.badge = "Waits for on-call".into();
    p.live.headline = "Waits for on-call to open the gate to 50 %.".into();
    p.live.due = None;
    p.live.verdict = None;
    p.live.open_gate = Some(Deed::yes());
    let html = release_html("release-waiting", &p);
    assert!(html.contains(r#"value="open-gate""#));
    assert!(text(&html).contains("No verdict yet"));
}

#[test]
fn a_release_without_data_is_not_green() {
    let mut p = release();
    p.live.state = State::Queued;
    p.live.badge = "Queued".into();
    p.live.verdict = None;
    (p.samples, p.marks, p.verdicts) = (Vec::new(), Vec::new(), Vec::new());
    p.weights.clear();
    (p.live.weight, p.live.ceiling, p.live.step) = (0, 0, None);
    (p.started, p.live.due) = (None, None);
    let html = release_html("release-queued", &p);
    assert!(text(&html).contains("No samples yet"));
    assert!(!html.contains("<polyline"));
}

#[test]
fn an_ended_release_offers_no_deeds() {
    for state in [State::RolledBack, State::Succeeded, State::Cancelled, State::Failed] {
        let mut p = release();
        p.live.state = state;
        p.live.badge = state.words().into();
        p.live.headline = "It is over.".into();
        (p.live.due, p.live.rollback, p.live.next) = (None, None, None);
        p.live.roll_back = Deed::no("This release has ended.");
        p.ended = Some(now());
        let html = release_html(&format!("release-{}", state.key()), &p);
        assert!(!html.contains("<form"), "{state:?}");
        assert!(!html.contains("class=\"bar"), "{state:?}");
    }
}

#[test]
fn long_names_stay_whole() {
    let long = "notification-dispatcher-eu-west-production-v2-with-digest-fanout";
    let mut p = release();
    p.service = long.into();
    p.workload = key(long);
    let html = release_html("release-long", &p);
    assert!(text(&html).contains(long));
    let page = ServicesPage {
        rows: vec![workload_row(long, Phase::Progressing), workload_row("search", Phase::Healthy)],
        filter: ServiceFilter::default(),
        total: 2,
        phases: vec![(Phase::Healthy, 1), (Phase::Progressing, 1)],
        environments: vec!["production".into()],
        page_size: 50,
        age: age(),
    };
    let html = render("services", || super::services::view(&page));
    assert!(text(&html).contains(long));
}

#[test]
fn lists_say_why_they_are_empty() {
    let services = |q: Option<&str>, phases| ServicesPage {
        rows: Vec::new(),
        filter: ServiceFilter { q: q.map(str::to_owned), ..ServiceFilter::default() },
        total: 0,
        phases,
        environments: Vec::new(),
        page_size: 50,
        age: age(),
    };
    let html = render("services-none", || {
        super::services::view(&services(Some("chekout"), vec![(Phase::Healthy, 412)]))
    });
    assert!(text(&html).contains("No service matches “chekout”"));
    let html = render("services-empty", || super::services::view(&services(None, Vec::new())));
    assert!(text(&html).contains("No workloads yet"));
    let releases = ReleasesPage { rows: Vec::new(), state: None, age: age() };
    let html = render("releases-empty", || super::releases::view(&releases));
    assert!(text(&html).contains("Nothing is moving"));
    let plans =
        PlansPage { rows: Vec::new(), write: Deed::no("As viewer you may not write plans."), age: age() };
    let html = render("plans-empty", || super::plans::render(&plans));
    assert!(text(&html).contains("No plan is open") && text(&html).contains("As viewer you may not"));
}

#[test]
fn the_first_page_says_what_is_broken_what_waits_and_what_moves() {
    let mut page = NowPage {
        headline: "One release is failing, one thing waits for you".into(),
        moving: vec![release_row(State::Running)],
        waiting: vec![Waiting {
            title: "Approve search-2-17-0".into(),
            words: "1 of 2 approvals.".into(),
            plan: Some(model::PlanId(8)),
            release: None,
            mine: true,
            since: now(),
        }],
        broken: vec![workload_row("checkout", Phase::Degraded)],
        recent: vec![release_row(State::RolledBack)],
        workloads: 412,
        healthy: 404,
        age: age(),
    };
    let html = render("now", || super::now::view(&page));
    for part in ["Broken", "Waits for you", "Moving", "ROLL BACK", "404 of 412 workloads healthy"] {
        assert!(text(&html).contains(part), "the page lacks “{part}”");
    }
    (page.moving, page.waiting, page.broken) = (Vec::new(), Vec::new(), Vec::new());
    let html = render("now-quiet", || super::now::view(&page));
    assert!(text(&html).contains("Nothing is moving"));
}

#[test]
fn a_workload_shows_its_pods_and_its_way_back() {
    let html = render("service", || super::service::view(&service()));
    for part in ["18 of 18 ready, 75 % of traffic", "Owned by", "If you roll back", "ROLL BACK"] {
        assert!(text(&html).contains(part), "the page lacks “{part}”");
    }
}

#[test]
fn rollback_has_a_page_of_its_own() {
    let html = render("rollback", || super::rollback::render(&release()));
    assert!(html.contains(r#"action="/do/rollback""#));
    assert!(text(&html).contains("Roll back to 1.41.3 now") && text(&html).contains("What happens"));
}

#[test]
fn the_history_opens_an_event_and_names_a_break() {
    let page = AuditPage {
        rows: (1..=9).rev().map(event).collect(),
        filter: AuditFilter::default(),
        next: Some(1),
        size: 9,
        verified: Some(model::audit::Verified {
            ok: false,
            size: 9,
            root: "77".into(),
            broken: Some(model::audit::Broken { seq: model::Seq(4), why: "it was changed".into() }),
        }),
        age: age(),
    };
    let html = render("audit", || super::audit::view(&page, Some(5)));
    assert!(text(&html).contains("The chain breaks at event 4."));
    assert!(html.contains(r#"class="inset""#) && text(&html).contains("\"from\": 5"));
    assert!(html.contains("format=ndjson"));
}

#[test]
fn the_public_page_is_never_greener_than_its_data() {
    let component = |status| Component {
        id: "a".into(),
        name: "Checkout".into(),
        status,
        words: "About 1 in 100 payments fails.".into(),
        updated: now(),
    };
    let page = |status, as_of| StatusPage {
        headline: "All services work".into(),
        indicator: "none".into(),
        components: vec![component(status)],
        notices: Vec::new(),
        now: now(),
        as_of,
    };
    let html = render("status", || super::status::view(&page(ComponentStatus::Operational, Some(now()))));
    assert!(html.contains(r#"data-s="healthy" class="say""#));
    for as_of in [None, Some(now() - chrono::TimeDelta::seconds(200))] {
        let html = render("status-old", || super::status::view(&page(ComponentStatus::Operational, as_of)));
        assert!(!html.contains(r#"data-s="healthy" class="say""#), "{as_of:?}");
    }
    let html =
        render("status-down", || super::status::view(&page(ComponentStatus::PartialOutage, Some(now()))));
    assert!(text(&html).contains("About 1 in 100 payments fails."));
}

#[test]
fn a_release_on_its_way_back_shows_each_proof_with_its_time_and_what_stands_in_the_way() {
    use model::stall::{Obstacle, Stall};
    use model::view::{BackView, ProofView};
    let since = now() - chrono::TimeDelta::seconds(40);
    let proof = |name: &str, millis: Option<i64>, words: &str| ProofView {
        name: name.into(),
        at: millis.map(|m| since + chrono::TimeDelta::milliseconds(m)),
        words: words.into(),
    };
    let mut p = release();
    p.live.state = State::RollingBack;
    p.live.badge = "Rolling back".into();
    p.live.back = Some(BackView {
        since,
        to_version: "1.41.3".into(),
        confirmed: None,
        proofs: vec![
            proof("Nobody on 1.42.0", Some(340), "canary weight 0 %, by the router"),
            proof("Controller wants 1.41.3", Some(1_250), ""),
            proof("1.41.3 is stable", Some(1_250), ""),
            proof("Pods of 1.41.3", None, "16 of 18 ready"),
            proof("Errors at most 2 %", None, "still at 3.1 %"),
        ],
    });
    p.live.stall = Some(Stall {
        since: since + chrono::TimeDelta::seconds(20),
        obstacles: vec![Obstacle {
            what: "2 pods: registry.example.com/checkout:1.41.3 cannot be pulled (ImagePullBackOff)".into(),
            remedy: "Put the image back into the registry.".into(),
        }],
    });
    let path = "/releases/318/rollback?to=c3".to_owned();
    p.live.ways = vec![model::view::Way { words: "Roll back to 1.40.2 instead".into(), path }];
    let html = render("release-back", || super::release::render(&p));
    let words = text(&html);
    for part in
        ["The way back", "Nobody on 1.42.00.3 s", "Controller wants 1.41.31.2 s", "16 of 18 ready", "not yet"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(
        words.contains("It takes longer than it should") && words.contains("cannot be pulled"),
        "{words}"
    );
    assert!(
        html.contains(r#"href="/releases/318/rollback?to=c3" class="btn">Roll back to 1.40.2 instead</a>"#),
        "{html}"
    );
    assert!(!words.contains("If you roll back") && !words.contains("Confirmed after"));
    if let Some(b) = &mut p.live.back {
        b.proofs[3].at = Some(since + chrono::TimeDelta::seconds(41));
        b.confirmed = b.proofs[3].at;
    }
    p.live.stall = None;
    let html = render("release-is-back", || super::release::render(&p));
    assert!(text(&html).contains("Confirmed after 41 s"), "the error rate keeps nothing from ending");
    assert!(text(&html).contains("Errors at most 2 %not yetstill at 3.1 %"), "{}", text(&html));
    assert!(!text(&html).contains("takes longer"));
}

#[test]
fn a_service_lists_each_known_good_version_with_a_way_to_it() {
    use model::config::{Change, ConfigKind};
    use model::view::{ConfigView, ProofView};
    let mut p = service();
    let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    p.config = Some(ConfigView {
        version: "1.41.3".into(),
        restored: vec![],
        since: Some(now()),
        named: names(&["ConfigMap checkout-config", "ConfigMap flags", "Secret db"]),
        missing: names(&["ConfigMap flags"]),
        unread: names(&["Secret db"]),
        changed: vec![Change {
            kind: ConfigKind::ConfigMap,
            name: "checkout-config".into(),
            words: "2 lines changed".into(),
            lines: names(&["- LEVEL: info", "+ LEVEL: debug"]),
        }],
    });
    p.recovery =
        Some(ProofView { name: "Errors at most 2 %".into(), at: None, words: "still at 3.1 %".into() });
    let html = render("service-known-good", || super::service::view(&p));
    let words = text(&html);
    for part in [
        "ConfigMap checkout-config 2 lines changed",
        "- LEVEL: info",
        "ConfigMap flags is gone",
        "may not \
         read it: Secret db",
        "Rolled back. Errors at most 2 %: still at 3.1 %",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    for part in [
        "Known-good versions",
        "1.41.3by release #311",
        "revision 41, 18 pods ready",
        "1.40.2deployed past \
         Tidegate",
        "from the record: its ReplicaSet is gone",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(html.contains("/services/main/shop/Rollout/checkout/rollback?to=hash-of-1.40.2"), "{html}");
}
