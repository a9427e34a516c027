//! The incidents' pages in their states, as the server renders them.

use crate::pages::incidents;
use crate::pages::tests::{render, text};
use chrono::{DateTime, TimeDelta, Utc};
use model::incident::{Entry, Impact, Incident, Lead, NewIncident, Shown, State};
use model::policy::Severity;
use model::view::{
    Age, AlarmPage, Deed, IncidentItem, IncidentPage, IncidentRelease, IncidentsFilter, IncidentsPage,
};
use model::{IncidentId, PersonId, ReleaseId, Seq};

fn now() -> DateTime<Utc> {
    "2026-11-18T14:06:00Z".parse().unwrap()
}

fn age() -> Age {
    Age { now: now(), cluster: Some(now()), database: true }
}

fn incident() -> Incident {
    let new = NewIncident {
        key: None,
        title: "checkout 1.42.0: error rate 4.1 %".into(),
        severity: Severity::High,
        impact: "About 1 in 100 payments fails.".into(),
        public: false,
        service: "checkout".into(),
        environment: "production".into(),
        workload: None,
        release: Some(ReleaseId(318)),
        policy: Some("production-default".into()),
        auto_assign: true,
        lead: None,
        began: now() - TimeDelta::seconds(190),
        opened: now() - TimeDelta::seconds(100),
        opened_by: "Tidegate, policy".into(),
    };
    let lead = Lead { person: PersonId(3), name: "Jun Sato".into(), since: new.opened };
    Incident::new(IncidentId(7), &new, Some(lead))
}

fn page(incident: Incident) -> IncidentPage {
    IncidentPage {
        release: Some(IncidentRelease {
            id: ReleaseId(318),
            service: "checkout".into(),
            from_version: "1.41.3".into(),
            version: "1.42.0".into(),
            state: model::release::State::RolledBack,
            turned_back: Some(now() - TimeDelta::seconds(20)),
            ended: Some(now() - TimeDelta::seconds(15)),
            reason: Some("The error rate was too high.".into()),
        }),
        timeline: vec![IncidentItem {
            at: now() - TimeDelta::seconds(30),
            actor: "Jun Sato".into(),
            action: "incident.noted".into(),
            summary: "Note".into(),
            words: Some("It is the new pool size.".into()),
            seq: Some(Seq(41)),
        }],
        updates: Vec::new(),
        people: vec![(PersonId(3), "Jun Sato".into()), (PersonId(1), "Mara Lind".into())],
        me: Some(PersonId(1)),
        note: Deed::yes(),
        run: Deed::yes(),
        tell: Deed::yes(),
        age: age(),
        incident,
    }
}

#[test]
fn an_open_incident_says_what_is_known_and_each_deed_is_a_form() {
    let html = render("incident", || super::view(&page(incident())));
    let words = text(&html);
    for part in [
        "Open for 3 min 10 s.",
        "checkout is back on 1.41.3.",
        "checkout 1.41.3 to 1.42.0",
        "rollback to 1.41.3",
        "Jun Sato",
        "“It is the new pool size.”",
        "production-default",
        "1 min 30 s",
    ] {
        assert!(words.contains(part), "the page lacks “{part}”: {words}");
    }
    for deed in ["edit-incident", "move-incident", "lead-incident", "note-incident", "tell-public"] {
        assert!(html.contains(&format!(r#"action="/do/{deed}""#)), "{deed} is a form");
    }
    assert!(html.contains("/audit?before=42&amp;open=41") || html.contains("/audit?before=42&open=41"));
    assert!(words.contains("Take the lead") && !words.contains("What the public reads"));
    // What is not resolved cannot be told to be over.
    assert!(!html.contains(r#"value="resolved""#), "not offered");
}

#[test]
fn a_public_one_shows_what_the_public_reads_and_a_viewer_is_told_why_not() {
    let mut p = page(Incident { public: true, headline: "Some payments fail".into(), ..incident() });
    p.updates = vec![Entry {
        at: now(),
        author: "Jun Sato".into(),
        words: "Payments fail for about 1 in 100.".into(),
        update: Some((Shown::Identified, Impact::Minor)),
    }];
    let words = text(&render("incident-public", || super::view(&p)));
    assert!(words.contains("What the public reads") && words.contains("Payments fail for about 1 in 100."));
    p.run = Deed::no("As viewer you may not lead an incident. Ask: on-call.");
    (p.tell, p.note) = (p.run.clone(), p.run.clone());
    let html = render("incident-viewer", || super::view(&p));
    assert!(text(&html).contains("As viewer you may not lead an incident."));
    assert!(!html.contains("action=\"/do/"), "no form for what is not allowed");
}

#[test]
fn a_resolved_one_may_be_reopened() {
    let mut over = incident();
    over.go(State::Resolved, "Jun Sato", now()).unwrap();
    let html = render("incident-resolved", || super::view(&page(over)));
    let words = text(&html);
    assert!(words.contains("after 3 min 10 s.") && words.contains("Reopen"));
    assert!(!html.contains("do-resolve") && !words.contains("Hand it over"));
}

#[test]
fn the_list_counts_and_is_never_bare() {
    let mut p = IncidentsPage {
        rows: vec![incident()],
        filter: IncidentsFilter::default(),
        next: Some(7),
        open: 1,
        watching: 2,
        month: 7,
        month_releases: 5,
        median_seconds: Some(700),
        open_one: Deed::yes(),
        age: age(),
    };
    let html = render("incidents", || incidents::view(&p));
    let words = text(&html);
    for part in [
        "One incident is open, 2 watched",
        "7 in 30 days, 5 of them from releases",
        "11 min 40 s",
        "3 min 10 s",
    ] {
        assert!(words.contains(part), "the list lacks “{part}”: {words}");
    }
    assert!(html.contains("/incidents?before=7"));
    (p.rows, p.next, p.open, p.watching) = (Vec::new(), None, 0, 0);
    let words = text(&render("incidents-empty", || incidents::view(&p)));
    assert!(
        words.contains("No incident yet")
            && words.contains("No incident is open")
            && !words.contains("Apply")
    );
    p.filter.state = Some(State::Watching);
    p.open_one = Deed::no("As viewer you may not open an incident.");
    let words = text(&render("incidents-none", || incidents::view(&p)));
    assert!(words.contains("No incident matches") && words.contains("Clear the filters"));
    assert!(words.contains("As viewer you may not open an incident."));
}

#[test]
fn the_form_begins_with_what_it_was_opened_from() {
    let mut p = AlarmPage {
        release: page(incident()).release,
        services: vec![("checkout".into(), "production".into()), ("mail".into(), "staging".into())],
        open_one: Deed::yes(),
        age: age(),
    };
    let html = render("incident-new", || incidents::alarm(&p, ""));
    assert!(html.contains("checkout 1.42.0 fails") && html.contains(r#"name="release""#));
    assert!(!html.contains(r#"name="place""#));
    p.release = None;
    let html = render("incident-new-service", || incidents::alarm(&p, "mail staging"));
    assert!(html.contains(r#"<option value="mail staging" selected"#), "{html}");
}
