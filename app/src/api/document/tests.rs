use super::*;

const PLAN: &str = "\
apiVersion: tidegate.dev/v1
kind: Plan
metadata:
  name: checkout-1-42-0
  service: checkout
  environment: production
spec:
  change:
    images:
      app: registry.example.com/checkout:1.42.0
    migrations:
    - 0087_add_tax_region.sql
  strategy:
    canary:
      steps:
      - weight: 5
        bake: 2m
        gates:
        - analysis
      - weight: 25
        bake: 5m
        gates:
        - analysis
        - approval: on-call
      - weight: 100
  approvals:
    required: 2
    from:
    - approver
    expire: 24h
  window: business-hours
";

fn untouched() -> Draft {
    let (form, yaml) = begin(PLAN);
    Draft { base: yaml.clone(), yaml, form, op: None }
}

#[test]
fn an_untouched_draft_stays_the_same_document() {
    let (form, yaml) = settle(untouched());
    assert_eq!(yaml, PLAN);
    assert_eq!(form, untouched().form);
    assert!(form.steps[1].on_call && form.steps[1].analysis && !form.steps[2].analysis);
}

#[test]
fn the_form_is_written_into_the_document_and_keeps_what_it_does_not_show() {
    let mut draft = untouched();
    draft.form.steps[1].weight = "30".into();
    draft.form.steps[0].analysis = false;
    draft.form.min_requests = "120".into();
    let (form, yaml) = settle(draft);
    assert!(yaml.contains("weight: 30") && yaml.contains("minRequests: 120"));
    assert!(yaml.contains("0087_add_tax_region.sql") && yaml.contains("window: business-hours"));
    assert!(!form.steps[0].analysis);
}

#[test]
fn the_box_says_whether_a_rehearsal_is_required_and_keeps_the_rest_of_the_rollback() {
    let mut draft = untouched();
    draft.form.rehearsed = true;
    let (form, yaml) = settle(draft);
    assert!(form.rehearsed && yaml.contains("rollback:\n    rehearsed: required\n"), "{yaml}");
    let unticked = |yaml: &str| {
        let (mut form, yaml) = begin(yaml);
        form.rehearsed = false;
        settle(Draft { base: yaml.clone(), yaml, form, op: None }).1
    };
    assert_eq!(unticked(&yaml), PLAN);
    let policy = yaml.replace("rehearsed: required", "policy: default\n    rehearsed: required");
    assert!(unticked(&policy).contains("rollback:\n    policy: default\n"));
    let optional = yaml.replace("rehearsed: required", "rehearsed: optional");
    assert_eq!(unticked(&optional), optional, "what the form does not show is kept");
    let (mut form, both) = begin(&yaml);
    form.config = true;
    let both = settle(Draft { base: both.clone(), yaml: both, form, op: None }).1;
    assert!(both.contains("rehearsed: required\n    config: restore\n"), "{both}");
}

#[test]
fn another_strategy_begins_with_a_first_draft_and_keeps_everything_else() {
    let (form, yaml) = begin(PLAN);
    let with = |op: &str| {
        let draft = Draft { base: yaml.clone(), yaml: yaml.clone(), form: form.clone(), op: Some(op.into()) };
        settle(draft)
    };
    let (other, text) = with("strategy-blueGreen");
    assert_eq!(other.fixed, "blueGreen");
    assert!(text.contains("0087_add_tax_region.sql") && text.contains("required: 2"), "{text}");
    for op in ["strategy-rolling", "strategy-canary", "strategy-blueGreen", "strategy-follow"] {
        let read = model::plan::read::from_yaml(&with(op).1).expect(op);
        let wrong: Vec<_> = read.warnings.iter().filter(|w| w.field.starts_with("spec.strategy")).collect();
        assert!(wrong.is_empty(), "{op}: {wrong:?}");
    }
    assert_eq!(with("strategy-none").1, yaml, "none of that name");
}

#[test]
fn a_shadow_says_what_becomes_of_copies() {
    let (form, yaml) = begin(PLAN);
    let draft = Draft { base: yaml.clone(), yaml, form, op: Some("strategy-shadow".into()) };
    let (form, yaml) = settle(draft);
    assert_eq!(form.fixed, "shadow");
    assert!(form.about.contains("copies of 10 % of requests go to the new version"), "{}", form.about);
    assert!(
        form.about.contains("A copied POST is done twice")
            && form.about.contains("Bake on copies: 10m, then analysis.")
    );
    assert!(model::plan::read::from_yaml(&yaml).is_ok(), "{yaml}");
}

#[test]
fn an_edited_document_fills_the_form() {
    let mut draft = untouched();
    draft.yaml = draft.yaml.replace("weight: 25", "weight: 40").replace('\n', "\r\n");
    draft.form.steps[1].weight = "30".into();
    let (form, yaml) = settle(draft);
    assert_eq!(form.steps[1].weight, "40");
    assert!(yaml.contains("weight: 40") && !yaml.contains('\r'));
}

#[test]
fn a_rolling_update_keeps_its_one_step_and_gets_no_canary() {
    let rolling = PLAN.split("    canary:").next().unwrap().to_owned()
        + "    rolling:\n      bake: 5m\n      gates:\n      - approval: on-call\n"
        + "  approvals:"
        + PLAN.split("  approvals:").nth(1).unwrap();
    let (form, yaml) = begin(&rolling);
    assert!(form.fixed == "rolling" && form.steps.len() == 1 && form.steps[0].on_call);
    let mut draft = Draft { base: yaml.clone(), yaml, form, op: None };
    draft.form.steps[0].bake = "10m".into();
    let (form, yaml) = settle(draft);
    assert!(
        yaml.contains("rolling:\n      bake: 10m") && !yaml.contains("canary") && !yaml.contains("weight")
    );
    assert_eq!(form.steps[0].bake, "10m");
}

#[test]
fn a_blue_green_release_stays_as_the_document_says_and_is_told_in_words() {
    let strategy =
        "    blueGreen:\n      preview:\n        bake: 2m\n        gates:\n        - approval: on-call\n";
    let document = PLAN.split("    canary:").next().unwrap().to_owned()
        + strategy
        + "  approvals:"
        + PLAN.split("  approvals:").nth(1).unwrap();
    let (form, yaml) = begin(&document);
    assert!(
        form.about.contains("before the switch: 2m, then on-call. Bake after it: none."),
        "{}",
        form.about
    );
    let mut draft = Draft { base: yaml.clone(), yaml, form, op: None };
    draft.form.required = "1".into();
    draft.form.about.clear();
    let (form, yaml) = settle(draft);
    assert!(yaml.contains(strategy) && !yaml.contains("canary") && yaml.contains("required: 1"), "{yaml}");
    assert!(form.fixed == "blueGreen" && !form.about.is_empty());
}

#[test]
fn a_plan_that_follows_stays_as_the_document_says() {
    let strategy = "    follow:\n      bake: 5m\n      gates:\n      - analysis\n";
    let document = PLAN.split("    canary:").next().unwrap().to_owned()
        + strategy
        + "  approvals:"
        + PLAN.split("  approvals:").nth(1).unwrap();
    let (form, yaml) = begin(&document);
    assert!(form.about.contains("Bake there before: 5m, then analysis."), "{}", form.about);
    let mut draft = Draft { base: yaml.clone(), yaml, form, op: None };
    draft.form.required = "1".into();
    let (form, yaml) = settle(draft);
    assert!(yaml.contains(strategy) && !yaml.contains("canary") && yaml.contains("required: 1"), "{yaml}");
    assert_eq!(form.fixed, "follow");
}

#[test]
fn what_somebody_typed_wrong_is_kept_for_the_check_to_name() {
    let mut draft = untouched();
    draft.form.steps[1].weight = "a quarter".into();
    let (form, yaml) = settle(draft);
    assert_eq!(form.steps[1].weight, "a quarter");
    assert!(yaml.contains("weight: a quarter"));
}

#[test]
fn steps_are_added_removed_and_moved() {
    let op = |op: &str| settle(Draft { op: Some(op.into()), ..untouched() }).0.steps;
    let weights = |steps: Vec<StepForm>| steps.into_iter().map(|s| s.weight).collect::<Vec<_>>();
    assert_eq!(weights(op("add")), ["5", "25", "62", "100"]);
    assert_eq!(weights(op("remove-1")), ["5", "100"]);
    assert_eq!(weights(op("up-1")), ["25", "5", "100"]);
    assert_eq!(weights(op("down-2")), ["5", "25", "100"]);
    assert_eq!(weights(op("nonsense")), ["5", "25", "100"]);
}

#[test]
fn a_draft_survives_the_address_and_back() {
    let draft = untouched();
    let query = query(&draft).unwrap();
    let asked = Asked::read(&query);
    assert_eq!(asked.draft, Some(draft));
    assert!(Asked::read("service=checkout&from=7").draft.is_none());
    assert_eq!(Asked::read("?service=checkout").service.as_deref(), Some("checkout"));
}

#[test]
fn what_no_field_shows_of_a_step_goes_with_it() {
    let asks = "scale: 2\n        header: {name: X-Canary, value: always}\n        bake: 2m";
    let document = PLAN.replacen("bake: 2m", asks, 1);
    let (form, yaml) = begin(&document);
    let draft =
        |op: &str| Draft { base: yaml.clone(), yaml: yaml.clone(), form: form.clone(), op: Some(op.into()) };
    assert_eq!(settle(draft("nonsense")).1.matches("X-Canary").count(), 1);
    let place = |yaml: &str| {
        let read = parse(yaml);
        let steps = read["spec"]["strategy"]["canary"]["steps"].as_sequence().cloned().unwrap();
        let has = |s: &Value| s.get("scale").is_some() && s["header"]["value"] == "always";
        let found: Vec<_> = steps.iter().filter(|s| has(s)).map(|s| s["weight"].as_u64().unwrap()).collect();
        found
    };
    assert_eq!(place(&document), [5]);
    assert_eq!(place(&settle(draft("up-1")).1), [5], "moved with it");
    assert_eq!(place(&settle(draft("remove-0")).1), [0; 0], "gone with it");
    let mut changed = draft("nonsense");
    changed.form.steps[0].weight = "7".into();
    assert_eq!(place(&settle(changed).1), [7]);
}
