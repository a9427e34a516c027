//! A plan's page in its states.

use crate::pages::fixtures::{digest, plan};
use crate::pages::tests::{render, text};
use model::view::{Deed, PlanState};

#[test]
fn a_plan_is_approved_by_its_whole_digest() {
    let html = render("plan", || super::view(&plan(PlanState::Open)));
    let digest = format!(r#"name="digest" value="{}""#, digest());
    assert!(html.contains(&digest), "the form carries the whole digest");
    assert!(text(&html).contains(&digest_text()));
    assert!(text(&html).contains("Start release: Needs 1 more approval."));
    assert!(text(&html).contains("Approval, 1 of 2"));
    let mut approved = plan(PlanState::Approved);
    (approved.approve, approved.start) = (Deed::no("You have approved it."), Deed::yes());
    let html = render("plan-approved", || super::view(&approved));
    assert!(html.contains(r#"action="/do/start""#));
}

#[test]
fn a_plan_shows_its_rehearsed_rollback() {
    let page = |change: fn(&mut model::view::PlanPage)| {
        let mut p = plan(PlanState::Open);
        change(&mut p);
        p
    };
    let html = render("plan-rehearsed", || super::view(&page(|_| ())));
    let words =
        "Rehearsed 3 min ago: back to 1.41.3 in about 2 s; after promotion, as long as pods take to start.";
    assert!(text(&html).contains(words), "{}", text(&html));
    assert!(text(&html).contains("Abortpassed") && text(&html).contains("going back starts none"));
    assert!(html.contains(r#"action="/do/rehearse""#) && text(&html).contains("Rehearse now"));

    let html = render("plan-not-rehearsed", || super::view(&page(|p| p.rehearsal.last = None)));
    assert!(text(&html).contains("Must be rehearsed"));
    let html = render("plan-rehearsed-stale", || {
        super::view(&page(|p| p.rehearsal.stale = Some("It is older than 24 hours.".into())))
    });
    assert!(text(&html).contains("No longer counts. It is older than 24 hours."));
    let html = render("plan-rehearsal-failed", || {
        super::view(&page(|p| {
            let failed = model::rehearsal::Check::failed("Abort", "Not allowed. Apply deploy/rbac.yaml.");
            p.rehearsal.last.as_mut().unwrap().checks[2] = failed;
            p.rehearsal.rehearse = Deed::no("As viewer you may not roll back in production.");
        }))
    });
    assert!(text(&html).contains("Rehearsal failed") && text(&html).contains("Apply deploy/rbac.yaml."));
    assert!(
        !html.contains(r#"action="/do/rehearse""#) && text(&html).contains("As viewer you may not roll back")
    );
    let html = render("plan-released", || {
        super::view(&page(|p| {
            p.state = PlanState::Released;
            p.rehearsal.last = None;
        }))
    });
    assert!(!html.contains(r#"id="rh-h""#), "what is over needs no rehearsal");
}

fn digest_text() -> String {
    digest().to_string()
}

#[test]
fn a_plan_names_its_templates_and_the_step_that_waits_for_them() {
    let mut p = plan(PlanState::Open);
    let text_of = |p: &_| text(&render("plan-templates", || super::view(p)));
    assert!(!text_of(&p).contains("Template"));
    let named = |name: &str| model::plan::Template { name: name.into(), ..Default::default() };
    p.plan.spec.analysis.templates = vec![model::plan::Template {
        cluster: true,
        args: [("who".to_owned(), "{{canary-hash}}".to_owned())].into(),
        ..named("a-template-with-a-name-that-is-longer-than-any-line-on-a-telephone")
    }];
    if let model::plan::Strategy::Canary(canary) = &mut p.plan.spec.strategy {
        canary.steps[0].templates = vec![named("success-rate")];
    }
    let words = text_of(&p);
    for part in
        ["Template success-rate", "Templates", "(of the cluster), where who is {{canary-hash}}; success-rate"]
    {
        assert!(words.contains(part), "the page lacks “{part}”: {words}");
    }
}
