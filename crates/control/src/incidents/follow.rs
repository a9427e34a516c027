//! An incident about a release is watched from the moment that the release is back: nobody has to say what is seen.

use super::{Done, event, public};
use crate::Control;
use crate::error::OrProblem as _;
use model::incident::{Incident, State};
use model::{Actor, Problem};
use store::IncidentFilter;

/// Open incidents looked at. More than are ever open.
const MOST: i64 = 200;

impl Control {
    /// Moves what its release has settled on to being watched. Two replicas may try: one is refused, and nothing is
    /// lost.
    ///
    /// # Errors
    /// 503 without a database.
    pub(crate) async fn settle_incidents(&self) -> Result<(), Problem> {
        let filter = IncidentFilter { state: Some(State::Open), ..IncidentFilter::default() };
        for incident in self.store().incidents(&filter, MOST).await.or_problem()? {
            let Some(id) = incident.release else { continue };
            let release = self.store().release(id).await.or_problem()?;
            if incident.settled_by(&release) {
                let words = format!("Release {id} is back on {}", release.good_version());
                if let Err(problem) = self.settle(incident, words).await {
                    tracing::debug!(%problem, "an incident stays open");
                }
            }
        }
        Ok(())
    }

    async fn settle(&self, mut incident: Incident, words: String) -> Result<(), Problem> {
        let (actor, now) = (Actor::system("incidents"), self.now_utc());
        incident.go(State::Watching, &actor.name, now)?;
        let mut tx = self.store().begin().await.or_problem()?;
        incident.version = tx.put_incident(&incident).await.or_problem()?;
        let mut done = Done::new("incident.watched", format!("{words}: watched from now on"));
        if incident.public {
            let entry = public::moved(&incident, State::Watching, "", &actor, now);
            tx.insert_incident_entry(incident.id, &entry).await.or_problem()?;
            done.entry = Some(entry);
        }
        tx.commit(event(&actor, &incident, done, now)).await.or_problem().map(drop)
    }
}
