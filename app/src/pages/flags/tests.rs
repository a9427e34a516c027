use super::who::Tried;
use super::*;
use crate::Fault;
use crate::api::flags::NewKey;
use crate::pages::fixtures::{flag, flag_key, flag_row, flags, now, proposal};
use crate::pages::tests::{render, text};
use model::view::{Deed, FileState, FlagAnswer, FlagKilled, FlagPage, FlagProposal, FlagQuestion, FlagStep};
use model::{FieldError, Problem};

fn list(name: &str, p: &FlagsPage, query: &[(&str, &str)]) -> String {
    let mut map = ParamsMap::new();
    for (key, value) in query {
        map.insert((*key).to_owned(), (*value).to_owned());
    }
    let filter = Filter::of(&map);
    render(name, || view(p, &filter))
}

fn one(name: &str, p: &FlagPage, tried: Option<&Tried>) -> String {
    render(name, || one::view(p, tried))
}

fn lacks(html: &str, parts: &[&str]) -> Option<String> {
    let words = text(html);
    parts.iter().find(|part| !words.contains(**part)).map(|part| format!("the page lacks “{part}”: {words}"))
}

#[test]
fn the_list_says_what_is_on_for_whom_and_who_changed_it_past_tidegate() {
    let html = list("flags", &flags(), &[]);
    let parts = [
        "One flag is killed",
        "2 on2 off",
        "shop / eu-west-1",
        "checkout-new-taxOn, in part 31 %production",
        "country is one of DE, FR and app.version is at least 8.2.0",
        "shop30 Nov 2026Mara Lind, 2 h 46 min ago",
        "kubectl, 3 min ago outside Tidegate",
        "checkout-expressOff",
        "everywhere",
        "payments-3ds-fallbackKilled 0 %",
        "search-typo-fixOn Stale",
        "16 Nov 2026, past",
    ];
    assert_eq!(lacks(&html, &parts), None);
    assert!(html.contains(r#"href="/flags/eu-west-1/shop/checkout-new-tax""#));
    assert!(html.contains(r#"width="31%""#), "the share is drawn");
}

#[test]
fn a_killed_flag_draws_no_share_whatever_the_file_says() {
    let mut p = flags();
    p.flags.retain(|f| f.state == FlagState::Killed);
    let html = list("flags-killed", &p, &[]);
    assert!(html.contains("0 percent of users") && !html.contains("100 percent of users"), "{html}");
}

#[test]
fn search_and_chips_are_a_form_that_keeps_what_was_asked() {
    let p = flags();
    let html = list("flags-found", &p, &[("q", "TAX de"), ("show", "on")]);
    assert_eq!(lacks(&html, &["checkout-new-tax", "All 1", "On 1", "Off 0"]), None);
    assert!(!html.contains("checkout-express"));
    assert!(html.contains(r#"method="get""#) && html.contains(r#"value="TAX de""#), "{html}");
    assert!(html.contains(r#"value="on" aria-pressed="true""#), "{html}");
    let enter = html.find(r#"type="submit""#).unwrap();
    assert!(
        html[enter..enter + 80].contains(r#"value="on""#),
        "Enter keeps the chip: {}",
        &html[enter..enter + 80]
    );
    for (show, there, not) in [
        ("off", "checkout-express", "payments-3ds-fallback"),
        ("killed", "payments-3ds-fallback", "checkout-express"),
        ("stale", "search-typo-fix", "checkout-new-tax"),
    ] {
        let html = list("flags-chip", &p, &[("show", show)]);
        assert!(html.contains(there) && !html.contains(not), "{show}");
    }
    let html = list("flags-none", &p, &[("q", "no-such")]);
    assert_eq!(lacks(&html, &["No flag matches", "There are 4 flags without the filters."]), None);
}

#[test]
fn a_thousand_flags_come_in_pages_that_keep_the_filter() {
    let mut p = flags();
    p.flags = (0..1000).map(|n| flag_row(&format!("flag-{n:04}"), FlagState::On, "100 %")).collect();
    let html = list("flags-many", &p, &[("show", "on"), ("from", "200")]);
    assert_eq!(lacks(&html, &["201 to 400 of 1,000", "flag-0200", "flag-0399"]), None);
    assert!(!html.contains("flag-0400") && !html.contains("flag-0199"));
    assert!(html.contains("show=on&amp;from=400") || html.contains("from=400&amp;show=on"), "the next page");
}

#[test]
fn a_file_with_faults_says_them_and_what_is_served_meanwhile() {
    let mut p = flags();
    let html = list("flags-faulty", &p, &[]);
    let parts = [
        "The ConfigMap feature-flags of search in eu-west-1 has a fault.",
        "The last good flags stay served",
        "search-typo-fix.percentage Line 9: must be 0 to 100. Write 50.",
        "has faults",
    ];
    assert_eq!(lacks(&html, &parts), None);
    p.files[0].state = FileState::NoneInForce;
    assert_eq!(
        lacks(&list("flags-no-good", &p, &[]), &["services use the defaults in their own code"]),
        None
    );
    p.files[0].state = FileState::Gone;
    p.files[0].faults.clear();
    let html = list("flags-gone", &p, &[]);
    assert_eq!(lacks(&html, &["of search in eu-west-1 is gone.", "stay served until it is back"]), None);
}

#[test]
fn without_a_file_it_says_how_to_make_one() {
    let mut p = flags();
    (p.files, p.flags, p.keys) = (Vec::new(), Vec::new(), Vec::new());
    p.manage_keys = Deed::no("As viewer you may not.");
    let html = list("flags-empty", &p, &[]);
    let parts =
        ["No feature flags yet", "kubectl apply -n YOUR-NAMESPACE", "name: feature-flags", "percentage: 10"];
    assert_eq!(lacks(&html, &parts), None);
    assert!(!html.contains("Keys of services"), "nothing to manage");
}

#[test]
fn keys_are_listed_withdrawn_and_a_secret_stands_on_one_page_only() {
    let mut p = flags();
    let html = list("flags-keys", &p, &[]);
    assert_eq!(
        lacks(&html, &["Keys of services", "checkoutIn use", "made by Ada Moreau", "basketWithdrawn"]),
        None
    );
    assert_eq!(
        html.matches(r#"action="/do/withdraw-flag-key""#).count(),
        1,
        "what is withdrawn is not withdrawn again"
    );
    assert!(html.contains(r#"href="/flags/keys/new""#));
    p.manage_keys = Deed::no("As viewer you may not manage keys.");
    assert!(!list("flags-keys-viewer", &p, &[]).contains("/do/withdraw-flag-key"));

    let html = render("flag-key", || keys::issued(&flag_key(3, "checkout"), "tgf_0123"));
    assert_eq!(lacks(&html, &["shown this once", "Put it away now.", "shop / eu-west-1, production"]), None);
    assert!(html.contains(r#"value="tgf_0123""#));

    let asked = NewKey { name: "x".into(), place: "eu-west-1/shop".into(), environment: "staging".into() };
    let fault: Fault = Problem::invalid(vec![FieldError::new("name", "Is taken.")]).into();
    p.manage_keys = Deed::yes();
    let html = render("flag-key-refused", || keys::form(&p, &asked, Some(&fault)));
    assert_eq!(lacks(&html, &["Is taken."]), None);
    for part in [r#"action="/do/issue-flag-key""#, r#"value="staging""#, r#"aria-invalid="true""#] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("data-post"), "the answer is a page, so script must leave the form alone");
}

#[test]
fn a_flag_says_its_rules_its_variants_and_its_history_in_words() {
    let html = one("flag", &flag(), None);
    let parts = [
        "checkout-new-tax On, 31 %",
        "On for 31 % of those it is for.",
        "1. Is staffin segment staff100 % get new",
        "2. Everybody elsecountry is one of DE, FR31 % get new",
        r#"old{"rate":5}for whoever is not in"#,
        "Needs thatbasket-v2 is on",
        "Is needed bycheckout-express",
        "percentage 25 % → 31 %",
        "kubectlchanged outside Tidegate3 min ago",
        "percentage: 31 # &lt;- rising",
        "30 Nov 2026, in 12 days",
    ];
    assert_eq!(lacks(&html, &parts), None);
    let mut p = flag();
    p.history.clear();
    assert_eq!(lacks(&one("flag-new", &p, None), &["No change of it is on record."]), None);
    p.age.database = false;
    let html = one("flag-no-database", &p, None);
    assert_eq!(lacks(&html, &["its history is not shown. The kill switch works."]), None);
    assert!(html.contains("/do/kill-flag"));
}

#[test]
fn the_kill_switch_asks_once_and_says_what_it_does_without_script() {
    let html = one("flag-kill", &flag(), None);
    let parts = [
        "Turn checkout-new-tax off for everybody?",
        "on for 31 % of those it is for",
        r#"Everybody gets old ({"rate":5})."#,
        "Flags that need it are off with it: checkout-express.",
        "Turn it off now",
        "Needs no approval.",
    ];
    assert_eq!(lacks(&html, &parts), None);
    assert!(html.contains(r#"action="/do/kill-flag""#) && html.contains(r#"popovertarget="kill""#));
    assert!(html.contains(r#"name="key" value="checkout-new-tax""#), "{html}");

    let mut p = flag();
    p.kill = Deed::no("As viewer you may not kill a feature flag in production.");
    let html = one("flag-viewer", &p, None);
    assert!(!html.contains("/do/kill-flag"), "no form for a deed that is not allowed");
    assert_eq!(lacks(&html, &["Kill switch: As viewer you may not kill"]), None);
    assert!(html.contains(r#"aria-disabled="true""#));
}

fn killed() -> FlagPage {
    let mut p = flag();
    p.flag.state = FlagState::Killed;
    p.kill = Deed::no("It is killed.");
    p.revive = Some(Deed::yes());
    let at = now() - chrono::TimeDelta::minutes(3);
    p.killed = Some(FlagKilled {
        at,
        by: "Jun Sato".into(),
        reason: "checkout fails".into(),
        recorded: true,
        written: true,
    });
    p
}

#[test]
fn a_killed_flag_says_by_whom_and_why_and_is_revived_with_a_reason() {
    let mut p = killed();
    let html = one("flag-killed", &p, None);
    let parts = [
        "Killed 14:02:43 by Jun Sato: off for everybody.",
        "“checkout fails”",
        "On record",
        "Revive this flag",
        "It stays off until it is turned on.",
        "Why it may be used again",
    ];
    assert_eq!(lacks(&html, &parts), None);
    assert!(html.contains(r#"action="/do/revive-flag""#) && html.contains(" required"));
    assert!(
        !html.contains("/do/kill-flag") && !html.contains(r#"popovertarget="kill""#),
        "it was pressed already"
    );

    assert!(!text(&html).contains("The ConfigMap does not say so yet"));
    p.killed.iter_mut().for_each(|k| k.written = false);
    let html = one("flag-killed-unwritten", &p, None);
    assert_eq!(lacks(&html, &["The ConfigMap does not say so yet: services that mount it"]), None);

    p.revive = Some(Deed::no("As viewer you may not revive a killed feature flag."));
    if let Some(k) = &mut p.killed {
        k.recorded = false;
        k.reason = "No reason was given.".into();
    }
    let html = one("flag-killed-unrecorded", &p, None);
    assert_eq!(
        lacks(&html, &["Not on record: so far its file alone keeps it off", "As viewer you may not revive"]),
        None
    );
    assert!(!html.contains("/do/revive-flag") && !html.contains("“No reason"));
}

#[test]
fn who_gets_it_is_asked_in_the_address_and_answered_step_by_step() {
    let html = one("flag-who", &flag(), None);
    assert!(html.contains(r#"method="get" action="/flags/eu-west-1/shop/checkout-new-tax#test""#), "{html}");
    assert!(
        html.contains(r#"name="environment""#) && html.contains(r#"value="production""#),
        "its own is asked first"
    );

    let step =
        |passed, title: &str, words: &str| FlagStep { passed, title: title.into(), words: words.into() };
    let tried = |answer| Tried {
        question: FlagQuestion { context: "{\"targetingKey\": \"user-48132\"}".into(), environment: None },
        answer,
    };
    let answer = FlagAnswer {
        words: "user-48132 gets new: bucket 30.56 is under 31.".into(),
        value: Some("{\"rate\":7}".into()),
        variant: Some("new".into()),
        reason: "SPLIT".into(),
        error: None,
        steps: vec![
            step(true, "The flag is on", "not killed"),
            step(false, "Is staff", "no e-mail was sent"),
        ],
    };
    let html = one("flag-answer", &flag(), Some(&tried(Ok(answer))));
    let parts = [
        "user-48132 gets new: bucket 30.56 is under 31.",
        "Passed: The flag is on",
        "Not passed: Is staffno e-mail was sent",
        r#"Value{"rate":7}"#,
        "ReasonSPLIT",
    ];
    assert_eq!(lacks(&html, &parts), None);
    assert!(
        text(&html).contains("user-48132&quot;") || text(&html).contains("\"user-48132\""),
        "the question stands there"
    );

    let fault = Fault::from(Problem::invalid(vec![FieldError::new("context", "Is no JSON object.")]));
    let html = one("flag-answer-wrong", &flag(), Some(&tried(Err(fault))));
    assert_eq!(lacks(&html, &["Is no JSON object."]), None);
    assert!(html.contains(r#"aria-invalid="true""#) && html.contains(r#"aria-describedby="context-e""#));
}

#[test]
fn addresses_ask_questions_and_name_flags_with_any_sign() {
    let mut q = ParamsMap::new();
    assert_eq!(who::asked(&q), None);
    q.insert("context", " ".to_owned());
    assert_eq!(who::asked(&q), None);
    q.insert("environment", " production ".to_owned());
    q.replace("context", "{\r\n}".to_owned());
    let question = who::asked(&q);
    assert_eq!(
        question,
        Some(FlagQuestion { context: "{\n}".into(), environment: Some("production".into()) })
    );
    assert_eq!(path_of("main", "shop", "neue-Kasse-für&"), "/flags/main/shop/neue-Kasse-f%C3%BCr%26");
}

#[test]
fn long_names_stay_whole() {
    let long = "notification-dispatcher-eu-west-production-v2-with-digest-fanout-and-weekly-report";
    let mut p = killed();
    p.flag.key = long.into();
    assert_eq!(lacks(&one("flag-long", &p, None), &[long]), None);
    let mut p = flags();
    p.flags[2].key = "x".repeat(80);
    p.flags[1].key = long.into();
    assert_eq!(lacks(&list("flags-long", &p, &[]), &[long]), None);
}

#[test]
fn less_is_changed_by_a_number_and_more_waits_with_its_difference() {
    let html = one("flag-change", &flag(), None);
    assert!(html.contains(r#"action="/do/change-flag""#) && html.contains(r#"value="31""#), "{html}");
    assert!(html.contains(r#"name="seen" value="0a1b2c3d…4e5f""#), "it names the lines that were looked at");
    assert_eq!(lacks(&html, &["Everything else: its lines", "Raising it takes the flag from nobody"]), None);

    let mut p = flag();
    p.proposal = Some(proposal());
    let html = one("flag-waits", &p, None);
    let parts = [
        "A change waits",
        "asked for by Mara Lind",
        "“no complaints in a week”",
        "the share rises from 31 % to 40 %",
        "percentage: 40",
        "Approve and apply",
    ];
    assert_eq!(lacks(&html, &parts), None);
    let digest = format!(r#"name="digest" value="{}""#, crate::pages::fixtures::digest());
    assert!(html.contains(&digest), "an approver names the whole change");
    assert!(!html.contains("/do/change-flag"), "one at a time");
    assert!(!html.contains("Withdraw it"), "who may not change it may not withdraw it");

    p.proposal = Some(FlagProposal {
        overtaken: true,
        decide: Deed::no("Nobody approves a change they asked for. Ask another approver."),
        withdraw: Deed::yes(),
        ..proposal()
    });
    let html = one("flag-waits-late", &p, None);
    let parts = ["cannot be applied any more", "Nobody approves a change they asked for", "Withdraw it"];
    assert_eq!(lacks(&html, &parts), None);
    assert!(!html.contains("Approve and apply"));

    let mut p = flag();
    p.change = Deed::no("As viewer you may not change feature flags in production. Ask: release manager.");
    let html = one("flag-change-not", &p, None);
    assert!(!html.contains("/do/change-flag") && text(&html).contains("Ask: release manager."));
}
