//! The conductor: carries releases out.
//!
//! Level-triggered. It wakes on a change in the cluster or in Postgres, at a time that a decision named, and on a
//! slow tick as the safety net; reads the plan, the record and what is; asks the pure [`model::conductor::next`];
//! does one thing and records it. A release is held by a lease with an epoch, and every write checks the epoch.

use crate::error::OrProblem as _;
use crate::releases::about;
use crate::{Control, write_lock};
use chrono::{DateTime, Utc};
use cluster::Voided;
use futures::future::join_all;
use model::audit::NewEvent;
use model::conductor::{Decision, Effect, Input, Record, apply, next, tell, to_be_voided};
use model::plan::Plan;
use model::release::{Release, State};
use model::workload::{Kind, Workload};
use model::{Actor, Problem, ReleaseId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::Epoch;

/// The safety net: everything is looked at again at least this often.
const TICK: Duration = Duration::from_secs(1);
/// A replica that dies is replaced after this long.
const LEASE: Duration = Duration::from_secs(6);
/// Decisions for one release in one pass; more means that something oscillates, and the others must have their turn.
const STEPS_A_PASS: usize = 16;
/// One pass over one release must end; the cluster's own calls end after 10 s.
const PASS_WITHIN: Duration = Duration::from_secs(30);

impl Control {
    pub(crate) async fn run_conductor(&self) {
        let mut down = false;
        loop {
            let passed = self.pass().await;
            self.inner.database.store(passed.is_ok(), Ordering::Relaxed);
            if passed.is_ok() {
                *write_lock(&self.inner.passed) = Some(self.now_utc());
            }
            let wait = match passed {
                Ok(until) => {
                    if std::mem::take(&mut down) {
                        tracing::info!("the conductor is at work again");
                    }
                    until
                }
                Err(problem) => {
                    if !std::mem::replace(&mut down, true) {
                        tracing::warn!(%problem, "the conductor cannot work; canaries stand still until it can");
                    }
                    None
                }
            };
            let sleep = wait.map_or(TICK, |until| {
                let millis = (until - self.now_utc()).num_milliseconds().clamp(20, 1000);
                Duration::from_millis(millis.unsigned_abs()).min(TICK)
            });
            tokio::select! {
                () = self.inner.nudge.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Looks at every release under way once. Returns the earliest time at which something becomes due.
    async fn pass(&self) -> Result<Option<DateTime<Utc>>, Problem> {
        let active = self.store().active_releases().await.or_problem()?;
        {
            let known: HashMap<_, _> = active.iter().map(|r| (r.id, Arc::new(r.clone()))).collect();
            *write_lock(&self.inner.active) = known;
        }
        let driven = active.iter().map(|release| async {
            let id = release.id;
            match tokio::time::timeout(PASS_WITHIN, self.drive(id)).await {
                Ok(Ok(until)) => until,
                Ok(Err(problem)) => {
                    tracing::debug!(%problem, release = %id, "left for the next pass");
                    None
                }
                Err(_) => {
                    tracing::warn!(release = %id, "a pass took too long and was broken off");
                    None
                }
            }
        });
        Ok(join_all(driven).await.into_iter().flatten().min())
    }

    async fn drive(&self, id: ReleaseId) -> Result<Option<DateTime<Utc>>, Problem> {
        let replica = &self.inner.config.replica;
        let Some(epoch) = self.store().acquire_lease(id, replica, LEASE).await.or_problem()? else {
            return Ok(None);
        };
        for _ in 0..STEPS_A_PASS {
            if self.is_pressed(id) {
                return Ok(None);
            }
            let release = self.store().release(id).await.or_problem()?;
            if release.state.ended() {
                self.remember(&release);
                return Ok(None);
            }
            let plan = self.plan_of(&release).await?;
            let cluster = self.cluster(&release.workload.cluster)?;
            if cluster.synced().is_none() {
                return Ok(None);
            }
            let seen = cluster.workload(&release.workload);
            let now = self.now_utc();
            let valid =
                self.store().valid_approvals(release.plan, &release.digest, now).await.or_problem()?;
            let approved = u32::try_from(valid.len()).unwrap_or(u32::MAX) >= plan.spec.approvals.required
                && plan.digest() == release.digest;
            let input = Input { plan: &plan, release: &release, seen: seen.as_deref(), approved, now };
            match next(&input) {
                Decision::Wait { until, why } => {
                    tracing::trace!(release = %id, why, "waits");
                    return Ok(until);
                }
                Decision::Record(record) => {
                    let record = self.voided(&release, record, seen.as_deref()).await?;
                    if matches!(record, Record::End { state: State::RolledBack | State::Cancelled, .. }) {
                        // Whoever looked after the rollback may have died.
                        cluster.close_window(&release.workload).await;
                    }
                    self.record(&release, &plan, epoch, &record, seen.as_deref()).await?;
                }
                Decision::Act(effect) => {
                    self.act(&release, &plan, epoch, effect, seen.as_deref()).await?;
                }
            }
        }
        Ok(Some(self.now_utc()))
    }

    /// Before an announced effect is recorded as not done it is made so that it cannot be done any more: who announced
    /// it may only be asleep, or its patch may lie in a queue. What has reached the cluster after all is recorded as done.
    async fn voided(
        &self,
        read: &Release,
        record: Record,
        seen: Option<&Workload>,
    ) -> Result<Record, Problem> {
        let (Some(attempt), Some(w)) = (to_be_voided(read, &record), seen) else {
            return Ok(record);
        };
        // What writes a template is done when the object that holds it says so, and cannot be done once that says otherwise.
        let templates = read.attempt.as_ref().is_some_and(|a| a.effect.writes_template());
        let holder = if templates { w.template_key() } else { read.workload.clone() };
        let cluster = self.cluster(&read.workload.cluster)?;
        let effect = read.attempt.as_ref().map(|a| &a.effect);
        let voided = match effect {
            Some(Effect::Switch) if read.workload.kind == Kind::Deployment => {
                cluster.void_switch(&read.workload, attempt).await
            }
            Some(Effect::Weigh { .. }) => cluster.void_weight(&read.workload, attempt).await,
            _ => cluster.void(&holder, attempt).await,
        };
        match voided.or_problem()? {
            Voided::Void => Ok(record),
            Voided::Landed => {
                Ok(Record::Settle { happened: true, words: "Seen in the cluster, past the watch.".into() })
            }
        }
    }

    /// Writes a change of the record with its event, if the record is still what the decision was made on.
    pub(crate) async fn record(
        &self,
        read: &Release,
        plan: &Plan,
        epoch: Epoch,
        record: &Record,
        seen: Option<&Workload>,
    ) -> Result<(), Problem> {
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(read.id).await.or_problem()?;
        if release != *read {
            // A person pressed something in between: decide anew.
            return Ok(());
        }
        apply(&mut release, record, now);
        tx.put_release(&release, Some(epoch)).await.or_problem()?;
        if let Record::Settle { happened, words } = record
            && let Some(attempt) = &read.attempt
        {
            tx.settle_attempt(&attempt.id, *happened, words, now).await.or_problem()?;
        }
        let mut promoted = None;
        if let Record::End { state: State::Succeeded, .. } = record
            && let Some(good) = self.promoted(read, seen)
        {
            let known = tx.put_known_good(&read.workload, &good, Some(read.id), now).await.or_problem()?;
            promoted = Some((known, good));
        }
        let actor = Actor::system("conductor");
        let (action, summary) = tell(record, read, plan);
        let mut event = NewEvent::new(now, &actor, action, summary);
        about(&mut event, read);
        event.detail = serde_json::to_value(record).unwrap_or_default();
        tx.commit(event).await.or_problem()?;
        self.remember(&release);
        if let Some((known, good)) = promoted {
            self.remember_known_good(&read.workload, known, &good);
        }
        Ok(())
    }

    /// The record of the version that has just become good: the next release's way back begins from it.
    fn promoted(&self, release: &Release, seen: Option<&Workload>) -> Option<model::release::KnownGood> {
        let seen = seen?;
        let hash = seen.stable_hash.clone()?;
        let mut template = release.known_good.template.clone();
        set_images(&mut template, &release.images);
        Some(model::release::KnownGood {
            config: Vec::new(),
            template,
            steps: release.known_good.steps.clone(),
            blue_green: None,
            revision: seen.revision(&hash).map(|r| r.number),
            hash,
            images: seen.images.clone(),
        })
    }
}

fn set_images(template: &mut serde_json::Value, images: &std::collections::BTreeMap<String, String>) {
    let Some(spec) = template.get_mut("spec").and_then(|s| s.as_object_mut()) else { return };
    let lists = spec.iter_mut().filter(|(list, _)| ["containers", "initContainers"].contains(&list.as_str()));
    for container in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
        let image = container.get("name").and_then(|n| n.as_str()).and_then(|n| images.get(n)).cloned();
        if let (Some(image), Some(object)) = (image, container.as_object_mut()) {
            object.insert("image".to_owned(), image.into());
        }
    }
}
