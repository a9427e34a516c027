//! An incident about a release is watched from the moment that the release is back: nobody has to say what is seen.

use super::{Done, event, public};
use crate::Control;
use crate::error::OrProblem as _;
use model::incident::{Incident, State};
use model::{Actor, Problem};
use store::IncidentFilter;

/// What the key of an incident begins with that a policy opened; the firing's number follows.
pub(crate) const FIRING: &str = "policy-firing:";
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
            if let Some(words) = self.what_settles(&incident).await?
                && let Err(problem) = self.settle(incident, words).await
            {
                tracing::debug!(%problem, "an incident stays open");
            }
        }
        Ok(())
    }

    /// What says that the worst is over, if anything does.
    async fn what_settles(&self, incident: &Incident) -> Result<Option<String>, Problem> {
        if let Some(id) = incident.release {
            let release = self.store().release(id).await.or_problem()?;
            let back = incident.settled_by(&release);
            return Ok(back.then(|| format!("Release {id} is back on {}", release.good_version())));
        }
        let Some(firing) = firing_of(incident) else { return Ok(None) };
        let over = self.store().firing_ended(firing).await.or_problem()?.is_some();
        Ok(over.then(|| "The policy that opened it is done with it".to_owned()))
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

/// The firing of a policy that opened an incident.
fn firing_of(incident: &Incident) -> Option<i64> {
    incident.key.as_deref()?.strip_prefix(FIRING)?.parse().ok()
}
