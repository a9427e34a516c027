//! ROLL BACK: the shortest path in the system.
//!
//! It asks memory who presses, memory for the way back and the watch cache for what is; writes one line to the
//! journal and waits until it is on disk; then its first PATCH leaves. Only after the API server has answered is
//! Postgres told, and if Postgres does not answer the journal keeps the record until it does. The conductor sees
//! to it that the release ends at the known-good version, whatever process dies meanwhile.

mod rules;

use rules::{as_before, as_shown, event_for, gone, left, still_runs, unknown};
pub(crate) use rules::{can_go_back, is_overtaken, turn};

use crate::error::OrProblem as _;
use crate::journal::{Intent, Outcome, Record};
use crate::plans::tidy;
use crate::releases::{about, approved_enough};
use crate::{Control, read_lock};
use model::audit::NewEvent;
use model::known_good::{older_than, under_way};
use model::release::{Course, KnownGood, Release};
use model::rollback::{Pace, Route, route};
use model::workload::{Key, Workload, version_of};
use model::{Action, Actor, AttemptId, Problem, ReleaseId};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long a press waits for Postgres after the effect. Beyond it the journal has the record.
const RECORD_WITHIN: Duration = Duration::from_millis(1500);

/// A press that has not acted after so long has slept: it looks again before it does.
const ASLEEP: Duration = Duration::from_secs(5);

/// The answer to a press.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackReceipt {
    pub attempt: AttemptId,
    pub release: Option<ReleaseId>,
    pub route: Route,
    /// Milliseconds from the call of this function until the API server had taken the last call.
    pub took_ms: u64,
    /// `false`: Postgres did not answer; the journal has the record and merges it later.
    pub recorded: bool,
    pub to_version: String,
}

impl Control {
    /// Rolls a release back to the version that was good before it.
    ///
    /// # Errors
    /// 403; 404 for an unknown release; 409 when there is nothing to go back from; 503 when the cluster does not
    /// answer or the journal's disk refuses.
    pub async fn roll_back(
        &self,
        actor: &Actor,
        id: ReleaseId,
        reason: Option<String>,
    ) -> Result<RollbackReceipt, Problem> {
        self.roll_back_to(actor, id, None, reason).await
    }

    /// The same, or by the next best route: `to` is the hash of an older known-good version, where the recorded one
    /// cannot start; or of the release's own version, where it is still the stable one, which calls the way back off.
    ///
    /// # Errors
    /// As [`Control::roll_back`]; 409 when `to` is neither; 503 without Postgres for the release's own version, since
    /// its approvals are asked for.
    pub async fn roll_back_to(
        &self,
        actor: &Actor,
        id: ReleaseId,
        to: Option<&str>,
        reason: Option<String>,
    ) -> Result<RollbackReceipt, Problem> {
        let begun = Instant::now();
        let reason = tidy(reason)?;
        let known = read_lock(&self.inner.active).get(&id).cloned();
        let release = match known {
            Some(release) => release,
            None => Arc::new(self.store().release(id).await.or_problem()?),
        };
        actor.require(Action::RollBack, &release.environment)?;
        can_go_back(&release)?;
        let to = to.filter(|to| !to.is_empty() && *to != release.known_good.hash);
        if to.is_none() && release.started.is_none() && release.attempt.is_none() {
            // Nothing reached the cluster yet: the record alone changes, and the conductor ends it.
            return self.roll_back_unstarted(actor, &release, reason, begun).await;
        }
        let cluster = self.cluster(&release.workload.cluster)?;
        let workload = cluster.workload(&release.workload).ok_or_else(|| gone(&release.workload))?;
        if release.state.ended() && !still_runs(&release, &workload) {
            return Err(Problem::conflict(format!(
                "{} no longer runs what release {id} brought. Roll back the service instead.",
                release.workload.name
            )));
        }
        let good = match to {
            None => release.known_good.clone(),
            Some(to) => self.next_best(&release, &workload, to).await?,
        };
        if to.is_none()
            && route(&workload, &good.hash).pace == Pace::Now
            && let Ok(fresh) = self.store().release(id).await
        {
            // Nothing is urgent, so what memory says may be checked: the release may just have ended.
            can_go_back(&fresh)?;
        }
        let instead = to.map(|_| &release.known_good);
        let mut event = event_for(self, actor, &workload, &good, instead, reason);
        about(&mut event, &release);
        let toward = Some(&release.known_good).filter(|_| release.course != Course::Forward);
        self.press(&workload, good, Some(id), toward, event, begun).await
    }

    /// Another way than the recorded one, as somebody named it.
    pub(crate) async fn next_best(
        &self,
        release: &Release,
        w: &Workload,
        to: &str,
    ) -> Result<KnownGood, Problem> {
        if release.canary_hash.as_deref() == Some(to) && release.may_stay(w) {
            // It carries all traffic again: that needs what it needed the first time.
            let now = self.now_utc();
            let plan = self.plan_of(release).await?;
            let valid =
                self.store().valid_approvals(release.plan, &release.digest, now).await.or_problem()?;
            approved_enough(valid.len(), plan.spec.approvals.required)?;
            let kept = self.cluster(&w.key.cluster)?.way_back_to(&w.key, to).await.or_problem()?;
            let none = || Problem::conflict(format!("{} has no ReplicaSet left.", release.version()));
            return kept.map(|kept| as_before(kept, release)).ok_or_else(none);
        }
        let told = self.told(&w.key).await;
        let older = older_than(&told.records, &release.known_good.hash, release.canary_hash.as_deref());
        let Some(record) = older.into_iter().find(|r| r.hash == to) else {
            return Err(unknown(&w.key));
        };
        let good = self.good_of(&told, record, w).await?;
        good.map(|good| as_before(good, release)).ok_or_else(|| unknown(&w.key))
    }

    /// Break glass: rolls any workload back, with or without a release of ours. `to` is the hash of the version that
    /// whoever presses was shown. A second, impatient press must not lead further back than the first one did, so
    /// where a rollback has just arrived it has to be named.
    ///
    /// # Errors
    /// As [`Control::roll_back`]; 409 when no earlier version is known, when the way back leads elsewhere than to `to`
    /// by now, or when it would lead further back than the last rollback and `to` is not given.
    pub async fn roll_back_workload(
        &self,
        actor: &Actor,
        key: &Key,
        to: Option<&str>,
        reason: Option<String>,
    ) -> Result<RollbackReceipt, Problem> {
        let workload = self.cluster(&key.cluster)?.workload(key).ok_or_else(|| gone(key))?;
        actor.require(Action::RollBack, &workload.environment)?;
        let driving = read_lock(&self.inner.active).values().find(|r| r.workload == *key).map(|r| r.id);
        match driving {
            Some(id) => self.roll_back_to(actor, id, to, reason).await,
            None => self.go_back(actor, key, to, reason).await,
        }
    }

    /// The same for a workload without a release under way, by whoever may: a person who was asked for, or a policy.
    ///
    /// # Errors
    /// As [`Control::roll_back_workload`], but for 403.
    pub(crate) async fn go_back(
        &self,
        actor: &Actor,
        key: &Key,
        to: Option<&str>,
        reason: Option<String>,
    ) -> Result<RollbackReceipt, Problem> {
        let begun = Instant::now();
        let workload = self.cluster(&key.cluster)?.workload(key).ok_or_else(|| gone(key))?;
        let reason = tidy(reason)?;
        let told = self.told(key).await;
        let toward = under_way(&told.records, &workload);
        if let Some(to) = to
            && let Some(record) = self.other_way(&told, &workload, to)
        {
            // By the record alone: what was shown was shown from it.
            let good = self.good_of(&told, record, &workload).await?.ok_or_else(|| unknown(key))?;
            let first = match toward {
                Some(first) => self.good_of(&told, first, &workload).await?,
                None => None,
            };
            let event = event_for(self, actor, &workload, &good, first.as_ref(), reason);
            return self.press(&workload, good, None, first.as_ref(), event, begun).await;
        }
        let way = self.way_back(&workload).await?.ok_or_else(|| {
            Problem::conflict(format!(
                "No earlier version of {} is known: none is on record as good, and no ReplicaSet is left of one.",
                key.name
            ))
        })?;
        as_shown(&workload, &way, to)?;
        let event = event_for(self, actor, &workload, &way.good, None, reason);
        self.press(&workload, way.good, None, None, event, begun).await
    }

    async fn press(
        &self,
        workload: &Arc<Workload>,
        good: KnownGood,
        release: Option<ReleaseId>,
        toward: Option<&KnownGood>,
        event: NewEvent,
        begun: Instant,
    ) -> Result<RollbackReceipt, Problem> {
        let key = &workload.key;
        let route = route(workload, &good.hash);
        if route.pace == Pace::Now && release.is_none() {
            return Err(Problem::conflict(format!(
                "{} is on {} already.",
                key.name,
                version_of(&good.images)
            )));
        }
        let attempt = AttemptId::of_press(event.at, rand::random());
        let to_version = version_of(&good.images);
        let intent = Intent {
            attempt: attempt.clone(),
            release,
            key: key.clone(),
            good: good.clone(),
            left: left(workload, &good.hash, toward.map(|t| t.hash.as_str())),
            instead: toward.filter(|t| t.hash != good.hash).map(|t| t.hash.clone()),
            route: route.clone(),
            mark: workload.attempt.clone(),
            event,
        };
        failpoint::reach("press:journal");
        self.journal_write(Record::Intent(Box::new(intent.clone()))).await?;
        failpoint::reach("press:journaled");
        if begun.elapsed() > ASLEEP {
            self.overtaken(&intent).await?;
        }
        self.suspend_beside(workload, &intent.event);
        // The effect and its record set out together: neither waits for the other, and the conductor learns at once
        // that the abort it is about to see was ours.
        let pressed = self.pressed(release);
        let cluster = self.cluster(&key.cluster)?;
        let ((effect, took), recorded) = tokio::join!(
            // Timed on its own: a silent Postgres takes nothing from it.
            async { (cluster.roll_back(key, &attempt, &good, &route).await, begun.elapsed()) },
            tokio::time::timeout(RECORD_WITHIN, self.record_accepted(&intent)),
        );
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let outcome = Outcome {
            attempt: attempt.clone(),
            at: self.now_utc(),
            applied: effect.is_ok(),
            overtaken: false,
            words: match &effect {
                Ok(done) => done
                    .calls
                    .iter()
                    .map(|(call, took)| format!("{call:?} {} ms", took.as_millis()))
                    .collect::<Vec<_>>()
                    .join(", "),
                Err(e) => e.to_string(),
            },
        };
        failpoint::reach("press:answered");
        self.journal_write(Record::Outcome(outcome.clone())).await?;
        failpoint::reach("press:outcome");
        let recorded = matches!(recorded, Ok(Ok(())));
        if recorded {
            // That it was accepted is on record. What became of it is in the journal, and nobody waits for it to leave there.
            let control = self.clone();
            tokio::spawn(async move {
                if let Err(problem) = control.merge_one(&intent, Some(&outcome)).await {
                    tracing::warn!(%problem, attempt = %intent.attempt, "the rollback's outcome is merged from the journal later");
                }
                drop(pressed);
                control.inner.nudge.notify_one();
            });
        } else {
            tracing::warn!(%attempt, "the rollback is in the journal; it is merged when Postgres answers");
            self.inner.nudge.notify_one();
        }
        match effect {
            Ok(_) => Ok(RollbackReceipt { attempt, release, route, took_ms, recorded, to_version }),
            // With a release the conductor carries on from here by itself; the press was accepted all the same.
            Err(e) if release.is_some() && recorded => {
                tracing::warn!(error = %e, %attempt, "a call of the route failed; the conductor goes on");
                Ok(RollbackReceipt { attempt, release, route, took_ms, recorded, to_version })
            }
            Err(e) => Err(Problem::unavailable(format!("The cluster did not take the rollback: {e}"))),
        }
    }

    /// Looks again, past the cache: has somebody else acted on the workload since the press?
    ///
    /// # Errors
    /// 409 when somebody has: the press is recorded as overtaken, and nothing is sent.
    async fn overtaken(&self, intent: &Intent) -> Result<(), Problem> {
        let fresh = self.cluster(&intent.key.cluster)?.fresh(&intent.key).await.or_problem()?;
        let Some(words) = is_overtaken(intent, &fresh) else { return Ok(()) };
        self.journal_write(Record::Outcome(Outcome::overtaken(intent, self.now_utc(), &words))).await?;
        Err(Problem::conflict(words))
    }

    /// While this lives, the conductor leaves the release alone.
    fn pressed(&self, release: Option<ReleaseId>) -> Pressed {
        if let Some(id) = release {
            self.inner.pressed.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
        Pressed { control: self.clone(), release }
    }

    /// A press on this release is at work in this process, or its record still waits for Postgres: what the cluster
    /// shows would look like a stranger's doing.
    pub(crate) fn is_pressed(&self, id: ReleaseId) -> bool {
        self.inner.pressed.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
            || self.inner.journal.holds(id)
    }

    async fn roll_back_unstarted(
        &self,
        actor: &Actor,
        release: &Release,
        reason: Option<String>,
        begun: Instant,
    ) -> Result<RollbackReceipt, Problem> {
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut fresh, _) = tx.lock_release(release.id).await.or_problem()?;
        can_go_back(&fresh)?;
        let good = fresh.known_good.clone();
        turn(&mut fresh, good, &actor.name, reason.as_deref(), now);
        tx.put_release(&fresh, None).await.or_problem()?;
        let mut event = NewEvent::new(
            now,
            actor,
            "rollback.accepted",
            "Rolled back before anything changed in the cluster",
        );
        about(&mut event, &fresh);
        event.reason = reason;
        tx.commit(event).await.or_problem()?;
        self.remember(&fresh);
        self.inner.nudge.notify_one();
        Ok(RollbackReceipt {
            attempt: AttemptId(format!("r{}-unstarted", release.id)),
            release: Some(release.id),
            route: Route { calls: vec![], pace: Pace::Now, because: "Nothing was changed yet.".into() },
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            recorded: true,
            to_version: fresh.good_version(),
        })
    }

    /// Waits for the disk off the threads that serve requests.
    pub(crate) async fn journal_write(&self, record: Record) -> Result<(), Problem> {
        let journal = self.inner.journal.clone();
        let written = tokio::task::spawn_blocking(move || journal.append(&record)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(Problem::unavailable(format!(
                "The rollback journal cannot be written ({e}). Free space in Tidegate's data directory, or use \
                 kubectl argo rollouts abort."
            ))),
            Err(e) => Err(crate::error::bug(&e)),
        }
    }
}

struct Pressed {
    control: Control,
    release: Option<ReleaseId>,
}

impl Drop for Pressed {
    fn drop(&mut self) {
        if let Some(id) = self.release {
            self.control.inner.pressed.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }
}
