//! What is done to a workload: each effect asks its driver for the requests, and sends them in order.

use crate::Cluster;
use crate::cache::Entry;
use crate::driver::{self, Driver, Incoming, Requests, Seen};
use crate::error::Error;
use crate::fence::Announced;
use crate::send::Outcome;
use crate::twin;
use chrono::{DateTime, Utc};
use model::plan::Plan;
use model::release::KnownGood;
use model::workload::{Front, Key, Kind, Strategy};
use model::{AttemptId, ReleaseId};
use std::sync::Arc;

impl Cluster {
    /// Brings a version in as far as the plan's first step, with the way back noted on the object, only while
    /// `good` is both the stable and the newest revision and the template is still exactly `good`'s.
    ///
    /// # Errors
    /// As for any call; a workload that does not allow it is [`Outcome::Refused`].
    pub async fn deploy<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        plan: &Plan,
        good: &KnownGood,
        release: ReleaseId,
    ) -> Result<Outcome, Error> {
        let new = Incoming { plan, good, release };
        let attempt = attempt.into();
        let beside = key.kind == Kind::Deployment && plan.beside();
        // A second object like it is made of all that it says.
        let (entry, object) = if beside {
            let read = self.read(key).await?;
            (Arc::new(read.entry), Some(read.object))
        } else {
            (self.entry(key).await?, None)
        };
        if beside
            && twin::parts(&entry.workload, plan)
            && let Err(why) = self.parted(&entry, plan.drives() != Strategy::BlueGreen).await
        {
            return Ok(Outcome::Refused { why });
        }
        if beside
            && plan.drives() == Strategy::BlueGreen
            && let Err(why) = self.may_preview(&entry).await
        {
            return Ok(Outcome::Refused { why });
        }
        if let Some(shadow) = plan.shadow()
            && let Err(why) = self.may_copy(&entry, shadow.percent()).await
        {
            return Ok(Outcome::Refused { why });
        }
        let seen = Seen { object: object.as_ref(), ..entry.seen() };
        let requests = driver::of(&entry.workload, Some(plan)).deploy(&seen, attempt.id, &new);
        self.send_all(&entry, attempt, requests).await
    }

    /// The second Deployment gets another number of pods.
    ///
    /// # Errors
    /// As for any call.
    pub async fn scale<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        from: i32,
        to: i32,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.scale(seen, attempt.id, from, to)).await
    }

    /// The user's own Deployment gets the new version, as [`Cluster::deploy`] would bring it in: what the second
    /// Deployment has proven, or what a Rollout is to take from it. There the attempt's mark is the Deployment's.
    ///
    /// # Errors
    /// As for any call.
    pub async fn take_over<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        plan: &Plan,
        good: &KnownGood,
        release: ReleaseId,
    ) -> Result<Outcome, Error> {
        let new = Incoming { plan, good, release };
        let attempt = attempt.into();
        let entry = self.entry(key).await?;
        let requests = driver::of(&entry.workload, None).take_over(&entry.seen(), attempt.id, &new);
        let requests = match &entry.source {
            Some(source) => requests.map(|all| all.into_iter().map(|r| attempt.fenced(source, r)).collect()),
            None => requests,
        };
        self.send_all(&entry, attempt, requests).await
    }

    /// The Services in front of a Deployment select its own pods again.
    ///
    /// # Errors
    /// As for any call.
    pub async fn hand_back<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        let entry = self.entry_for_route(key).await?;
        let requests = driver::of(&entry.workload, None).hand_back(&entry.seen(), attempt.id);
        self.send_all(&entry, attempt, requests).await
    }

    /// The second Deployment goes; nothing to do where there is none.
    ///
    /// # Errors
    /// As for any call.
    pub async fn retire<'a>(&self, key: &Key, attempt: impl Into<Announced<'a>>) -> Result<Outcome, Error> {
        let entry = self.entry_for_route(key).await?;
        let requests = driver::of(&entry.workload, None).retire(&entry.seen());
        self.send_all(&entry, attempt.into(), requests).await
    }

    /// Opens the pause at step `from` of the Rollout's steps, and no other: a second call for the same pause
    /// is refused. A status patch cannot carry the attempt's id; the index is its mark.
    ///
    /// # Errors
    /// As for any call.
    pub async fn open_pause<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        from: i32,
    ) -> Result<Outcome, Error> {
        self.carry_out(key, attempt.into(), |driver, seen| driver.open_pause(seen, from)).await
    }

    /// Lets a blue-green update go on that waits with the switch to `hash`: the active Service goes over to it. A status
    /// patch cannot carry the attempt's id; that the pause is gone is its mark. In front of a Deployment the Services
    /// themselves are switched, as long as they are as when that was `decided`.
    ///
    /// # Errors
    /// As for any call.
    pub async fn switch<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        hash: &str,
        decided: &[Front],
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.switch(seen, attempt.id, hash, decided)).await
    }

    /// Holds it where it is: a Deployment in the middle of its roll-out, a Rollout that walks its own steps.
    ///
    /// # Errors
    /// As for any call.
    pub async fn pause<'a>(&self, key: &Key, attempt: impl Into<Announced<'a>>) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.pause(seen, attempt.id)).await
    }

    /// Takes `spec.paused` away.
    ///
    /// # Errors
    /// As for any call.
    pub async fn unpause<'a>(&self, key: &Key, attempt: impl Into<Announced<'a>>) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.unpause(seen, Some(attempt.id))).await
    }

    /// Traffic back to stable, as long as the newest revision is `bad_hash` (`None`: the one last seen). The
    /// controller can lose it while a change of the spec is not yet observed: look whether `abort` is still
    /// set half a second later.
    ///
    /// # Errors
    /// As for any call.
    pub async fn abort<'a>(
        &self,
        key: &Key,
        attempt: &AttemptId,
        bad_hash: impl Into<Option<&'a str>>,
    ) -> Result<Outcome, Error> {
        let bad = bad_hash.into();
        self.carry_out(key, attempt.into(), |driver, seen| driver.abort(seen, bad)).await
    }

    /// The known-good template and the Rollout's own steps, in one patch; with `window` also a
    /// rollbackWindow, so that a promoted version is left without walking the steps (undone by
    /// [`Cluster::restore_steps`]).
    ///
    /// # Errors
    /// As for any call.
    pub async fn revert<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        good: &KnownGood,
        window: bool,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        let good = self.with_config(&self.entry(key).await?.workload, good).await;
        self.carry_out(key, attempt, |driver, seen| driver.revert(seen, attempt.id, &good, window)).await
    }

    /// Skips what is left of the steps on the way to the revision `hash` (`None`: the newest that was seen), as long
    /// as it is the newest. Takes an abort back: only for a version that is wanted.
    ///
    /// # Errors
    /// As for any call.
    pub async fn promote_full<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        hash: impl Into<Option<&'a str>>,
    ) -> Result<Outcome, Error> {
        let hash = hash.into();
        self.carry_out(key, attempt.into(), |driver, seen| driver.promote_full(seen, hash)).await
    }

    /// Puts the Rollout's own steps (or its own settings of the switch) and rollbackWindow back. Refused while an
    /// update is in flight. Nothing to do for a Deployment.
    ///
    /// # Errors
    /// As for any call.
    pub async fn restore_steps<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        good: &KnownGood,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.restore(seen, attempt.id, good)).await
    }

    /// Has pods older than `at` replaced by others of the same version, as many at a time as may be unavailable.
    ///
    /// # Errors
    /// As for any call; a workload that has no restart of its own is [`Outcome::Refused`].
    pub async fn restart<'a>(
        &self,
        key: &Key,
        attempt: impl Into<Announced<'a>>,
        at: DateTime<Utc>,
    ) -> Result<Outcome, Error> {
        let attempt = attempt.into();
        self.carry_out(key, attempt, |driver, seen| driver.restart(seen, attempt.id, at)).await
    }

    /// Has the workload's driver say what to send, and sends it.
    pub(crate) async fn carry_out(
        &self,
        key: &Key,
        attempt: Announced<'_>,
        requests: impl FnOnce(&dyn Driver, &Seen<'_>) -> Requests,
    ) -> Result<Outcome, Error> {
        let entry = self.entry(key).await?;
        let requests = requests(driver::of(&entry.workload, None), &entry.seen());
        self.send_all(&entry, attempt, requests).await
    }

    /// One request after the other, as long as nothing else marks the workload. The first that is not taken is the
    /// answer; what went before it stays done.
    pub(crate) async fn send_all(
        &self,
        entry: &Entry,
        mut attempt: Announced<'_>,
        requests: Requests,
    ) -> Result<Outcome, Error> {
        let requests = match requests {
            Ok(requests) => requests,
            Err(why) => return Ok(Outcome::Refused { why }),
        };
        let w = &entry.workload;
        let mut done =
            Outcome::Applied { generation: w.generation, resource_version: w.resource_version.clone() };
        for request in requests {
            let (own, marked) = (request.is_of(w), request.marked);
            let name = request.key.name.clone();
            let request = if own { attempt.fenced(&entry.facts, request) } else { request };
            let outcome = match self.sender.request(request, attempt.id).await {
                // Another object that was only to be taken away, and is.
                Err(Error::Gone(_)) if !own && !marked => continue,
                Err(Error::Gone(_)) if !own => {
                    return Ok(Outcome::Refused {
                        why: format!("{name} is gone. Look at it again and decide anew."),
                    });
                }
                other => other?,
            };
            if !outcome.is_applied() {
                return Ok(outcome);
            }
            // Another object's generation would be taken for the workload's.
            if own {
                done = outcome;
                if marked {
                    attempt = attempt.landed();
                }
            }
        }
        Ok(done)
    }
}
