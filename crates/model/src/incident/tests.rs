use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn incident() -> Incident {
    let new = NewIncident {
        key: None,
        title: "checkout 1.42.0 fails".into(),
        severity: Severity::High,
        impact: String::new(),
        public: false,
        service: "checkout".into(),
        environment: "production".into(),
        workload: None,
        release: None,
        policy: None,
        auto_assign: true,
        lead: None,
        began: now(),
        opened: now(),
        opened_by: "Jun".into(),
    };
    Incident::new(IncidentId(1), &new, None)
}

#[test]
fn it_goes_from_open_over_watching_to_resolved_and_back_to_open() {
    let mut i = incident();
    let later = now() + TimeDelta::minutes(3);
    assert_eq!(i.go(State::Open, "Jun", now()).unwrap_err().detail, "The incident is open already.");
    i.go(State::Watching, "Jun", now()).unwrap();
    i.go(State::Resolved, "Jun", later).unwrap();
    assert_eq!((i.watching, i.resolved, i.resolved_by.as_deref()), (Some(now()), Some(later), Some("Jun")));
    assert_eq!(i.lasted(later + TimeDelta::days(1)), TimeDelta::minutes(3));
    assert!(i.go(State::Watching, "Jun", later).unwrap_err().detail.contains("Reopen it first"));
    i.go(State::Open, "Jun", later).unwrap();
    assert_eq!((i.watching, i.resolved, i.resolved_by, i.reopened), (None, None, None, Some(later)));
}

#[test]
fn the_public_page_tells_of_it_while_it_is_public_and_some_days_after() {
    let mut i = incident();
    assert!(!i.told(now()));
    i.public = true;
    assert!(i.told(now() + TimeDelta::days(30)), "while it is open");
    i.go(State::Resolved, "Jun", now()).unwrap();
    assert!(i.told(now() + TimeDelta::days(2)));
    assert!(!i.told(now() + TimeDelta::days(3)));
}

#[test]
fn the_lead_is_who_is_on_call_alone_or_took_the_last_alarm() {
    let [jun, olivia] = [(PersonId(3), "Jun".to_owned()), (PersonId(9), "Olivia".to_owned())];
    let both = [jun.clone(), olivia.clone()];
    assert_eq!(lead(&[], Some(PersonId(3))), None);
    assert_eq!(lead(std::slice::from_ref(&jun), Some(PersonId(9))), Some(&jun));
    assert_eq!(lead(&both, Some(PersonId(9))), Some(&olivia));
    assert_eq!(lead(&both, Some(PersonId(4))), None, "no longer on call");
    assert_eq!(lead(&both, None), None);
}

#[test]
fn the_public_reads_what_users_feel_and_no_names() {
    let known = Known {
        people: vec!["Jun Ito".into(), "jun@example.com".into(), "Mara".into()],
        machines: vec!["shop-blue".into()],
    };
    for fine in [
        "Invoices open at their usual speed again. We are watching until 14:22 UTC.",
        "About 1 in 100 payments fail since 14:04. No money was taken for a failed payment.",
        "The update to version 3.8.1 was taken back at 2026-11-22T14:05:00Z; v1.42.0 works.",
        "Some pages load slowly (3.5 s instead of 0.4 s), e.g. the basket.",
        "Order 1234567890 is not lost. Maranta and junior accounts work. Feedback/decade/defaced facade.",
        "Everything is fixed.We are sorry; the well-known third-party add-on answers.",
    ] {
        assert_eq!(leak(fine, &known), None, "{fine}");
    }
    for (bad, what) in [
        ("Jun Ito is looking at it.", "a person"),
        ("We wake mara, she knows it.", "a person"),
        ("Write to ops@example.org for help.", "an e-mail address"),
        ("Write to Jun@Example.com", "a person"),
        ("Revision 6d4b75cb6d fails.", "a revision"),
        ("Commit 272f40b was bad.", "a revision"),
        ("sha256:9f2c61d000aa was bad.", "a revision"),
        ("The pod checkout-6d4b75cb6d-x2x8q restarts.", "a pod"),
        ("The set checkout-7bf9c4x8d is empty.", "a pod"),
        ("db-1.internal.example.com does not answer.", "a host"),
        ("See https://grafana.example.com/d/1.", "a host"),
        ("10.0.3.17 does not answer.", "a host"),
        ("10.0.3.17:8080 does not answer.", "a host"),
        ("checkout.shop.svc:8080 does not answer", "a host"),
        ("fe80::1 does not answer.", "a host"),
        ("All of shop-blue is slow.", "something of the cluster"),
    ] {
        let found = leak(bad, &known);
        assert!(found.as_deref().is_some_and(|f| f.contains(what)), "{bad}: {found:?}");
    }
}

#[test]
fn a_text_is_trimmed_and_refused_at_its_field() {
    let mut wrong = Vec::new();
    assert_eq!(text("title", "  a ", 3, true, &mut wrong), "a");
    assert_eq!(text("impact", " ", 3, false, &mut wrong), "");
    assert_eq!(wrong, []);
    text("title", " ", 3, true, &mut wrong);
    text("words", "äöüß", 3, true, &mut wrong);
    text("words", "\0", 3, true, &mut wrong);
    let said: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(said[0], "title: Write something here.");
    assert_eq!(said[1], "words: Shorten it: 4 characters, at most 3.");
    assert!(said[2].contains("cannot be stored"));
}

#[test]
fn words_of_addresses_are_read_back() {
    for state in State::ALL {
        assert_eq!(state.key().parse(), Ok(state));
    }
    for severity in SEVERITIES {
        assert_eq!(severity_from(severity.key()), Ok(severity));
    }
    assert!(severity_from("1").unwrap_err().contains("use one of critical, high"));
    assert!("gone".parse::<State>().unwrap_err().contains("use one of open, watching, resolved"));
}
