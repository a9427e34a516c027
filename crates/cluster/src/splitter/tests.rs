use super::*;
use crate::httproute::tests::mailer;

fn splitter(by: Split, attempt: Option<&str>) -> Splitter {
    let attempt = attempt.map(str::to_owned);
    Splitter { by, unfit: None, weight: None, attempt, severed: false, gitops: None }
}

fn chosen(ingress: Option<&str>, route: Option<&str>) -> Splitter {
    let mut w = mailer();
    let ingress = splitter(Split::Ingress("shop".into()), ingress);
    let route = splitter(Split::HttpRoute("edge".into()), route);
    stand_before(&mut w, Some(ingress), Some(route));
    *w.splitter.unwrap()
}

#[test]
fn where_both_lead_there_it_is_by_pods_and_what_was_begun_is_kept() {
    let unfit = chosen(None, None).unfit.unwrap();
    assert_eq!(unfit, "Ingress shop and HTTPRoute edge lead to mailer: one weight cannot be set in both.");
    assert_eq!(chosen(None, Some("r7-2")).by, Split::HttpRoute("edge".into()), "to be cleaned");
    assert_eq!(chosen(Some("r7-2"), None).by, Split::Ingress("shop".into()));
    let mut w = mailer();
    stand_before(&mut w, None, Some(splitter(Split::HttpRoute("edge".into()), None)));
    assert!(w.weighed().is_ok() && w.weights.is_none());
    stand_before(&mut w, None, None);
    assert!(w.weighed().unwrap_err().contains("No Ingress or HTTPRoute leads to"));
}
