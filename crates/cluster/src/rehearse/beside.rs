//! The second Deployment of a release, rehearsed: it is made, scaled and deleted, and none of it is kept.

use super::check;
use crate::cache::Entry;
use crate::driver::{Incoming, Request, What};
use crate::error::Error;
use crate::httproute::weights;
use crate::patch::Patch;
use crate::send::{Outcome, Part};
use crate::{Cluster, ingress, mirror, twin};
use model::plan::Plan;
use model::rehearsal::Check;
use model::release::KnownGood;
use model::workload::{Key, Kind, Split, Strategy, Twin, Workload};
use model::{AttemptId, ReleaseId};
use serde_json::Value;
use tokio::time::Instant;

/// This plan brings a second Deployment to this workload.
pub(super) fn asked_for(w: &Workload, plan: &Plan) -> bool {
    w.key.kind == Kind::Deployment && plan.beside()
}

impl Cluster {
    /// What brings it, and what takes it away. There is nothing yet to scale or to delete: that it is not found is
    /// said only to those who may.
    pub(super) async fn try_beside(
        &self,
        entry: &Entry,
        object: &Value,
        plan: &Plan,
        good: &KnownGood,
    ) -> Vec<Check> {
        const MADE: &str = "Creation of the second Deployment";
        let name = match Twin::name_for(&entry.workload.key.name) {
            Ok(name) => name,
            Err(why) => return vec![Check::failed(MADE, why)],
        };
        let key = Key { name, ..entry.workload.key.clone() };
        let attempt = AttemptId("rehearsal".into());
        let new = Incoming { plan, good, release: ReleaseId(0) };
        let parts = twin::parts(&entry.workload, plan);
        let weighed = plan.drives() == Strategy::Canary;
        let label = if parts { entry.workload.parting_label().map(Some) } else { Ok(None) };
        let object = match label.and_then(|label| twin::made(object, &key.name, &attempt, &new, label)) {
            Ok(object) => object,
            Err(why) => return vec![Check::failed(MADE, why)],
        };
        let made = vec![Request { key: key.clone(), what: What::Create(Part::Main, object), marked: true }];
        let scaled = vec![Request::unmarked(&key, Patch::new().add("/spec/replicas", 0))];
        // No object has this UID: even one that is there by now would stay.
        let deleted =
            vec![Request { key: key.clone(), what: What::Delete("rehearsal".into()), marked: false }];
        // A UID of nobody: what would be kept of it would go at once.
        let owner = (key.name.as_str(), "rehearsal");
        let splitter = entry.workload.weighed().ok().filter(|_| parts && weighed);
        let tries = [
            (MADE, made),
            ("Scaling of the second Deployment", scaled),
            ("Deletion of the second Deployment", deleted),
        ]
        .map(|(name, requests)| async move {
            let begun = Instant::now();
            let answer = match self.try_all(Ok(requests)).await {
                Err(Error::Gone(_)) => {
                    Ok(Outcome::Applied { generation: 0, resource_version: String::new() })
                }
                answer => answer,
            };
            check(name, answer, begun.elapsed())
        });
        let mut all = futures::future::join_all(tries).await;
        if let Some(shadow) = plan.shadow() {
            let (begun, service) = (Instant::now(), mirror::service(&entry.seen(), owner, &attempt));
            let answer = self.try_all(service.map(|service| vec![service])).await;
            all.push(check("Creation of the Service for copies", answer, begun.elapsed()));
            let copied = async {
                self.parted(entry, true).await?;
                self.may_copy(entry, shadow.percent()).await
            };
            const COPIES: &str = "Filter of the HTTPRoute";
            all.push(match copied.await {
                Ok(()) => Check::passed(COPIES, "The API server would take it."),
                Err(why) => Check::failed(COPIES, why),
            });
        } else if let Some(splitter) = splitter {
            let begun = Instant::now();
            match &splitter.by {
                by @ Split::HttpRoute(_) => {
                    let answer = self.try_all(weights::tried(&entry.seen(), owner, &attempt)).await;
                    all.push(check(&format!("Weights in {by}, and back"), answer, begun.elapsed()));
                }
                Split::Ingress(_) => {
                    let (first, services) = (entry.ingress.as_deref(), &entry.fronts);
                    let requests = ingress::made(&entry.workload, first, services, owner, &attempt);
                    let answer = self.try_all(requests).await;
                    all.push(check("Creation of the canary Ingress", answer, begun.elapsed()));
                    // It is not there yet: that is said only to those who may.
                    let answer = match self.sender.dry_run(ingress::to_nothing(&key, &attempt)).await {
                        Err(Error::Gone(_)) => {
                            Ok(Outcome::Applied { generation: 0, resource_version: String::new() })
                        }
                        answer => answer,
                    };
                    all.push(check("Weight of the canary Ingress to 0 %", answer, begun.elapsed()));
                }
            }
            if let Err(why) = self.parted(entry, true).await {
                all.push(Check::failed(format!("Weights by {}", splitter.by), why));
            }
        } else if parts {
            const SERVICES: &str = "Services back to the own pods";
            all.push(match self.parted(entry, false).await {
                Ok(()) => Check::passed(SERVICES, "The API server would take each patch of a selector."),
                Err(why) => Check::failed(SERVICES, why),
            });
            const PREVIEW: &str = "Creation of the Service for the preview";
            all.push(match self.may_preview(entry).await {
                Ok(()) => Check::passed(PREVIEW, "The API server would take it."),
                Err(why) => Check::failed(PREVIEW, why),
            });
        }
        all
    }
}
