//! The kill switch: off for every connected evaluator at once, then in the file, then on record. It waits for nothing, and
//! nothing but a person with a reason undoes it.

use crate::error::{OrProblem as _, bug};
use crate::files::Place;
use crate::plans::tidy;
use crate::{Control, read_lock};
use chrono::{DateTime, SubsecRound as _, Utc};
use cluster::Written;
use flags::change::{self, Hand};
use flags::edit::Unchanged;
use flags::{File, Flag, Killed};
use model::audit::NewEvent;
use model::problem::FieldError;
use model::view::FlagReceipt;
use model::{Action, Actor, Book, Problem};
use std::sync::PoisonError;
use store::{NewFlagKill, Revived};

/// Writers that may come between, one after another, before it is given up.
const TRIES: usize = 8;

/// A kill switch that was pressed here and is not on record yet.
#[derive(Clone, Debug)]
pub(super) struct Pressed {
    place: Place,
    /// What is left of the flag.
    flag: Flag,
    actor: Actor,
}

/// What became of a change of the file.
enum Wrote {
    /// It says so now; the text where it did not before.
    Yes(Option<String>),
    /// Why not.
    No(String),
}

pub(super) fn event(
    actor: &Actor,
    now: DateTime<Utc>,
    action: &str,
    place: &Place,
    flag: &Flag,
    words: &str,
) -> NewEvent {
    let mut event = NewEvent::new(now, actor, action, format!("Flag {} {words}", flag.key));
    event.environment.clone_from(&flag.environment);
    event.detail = serde_json::json!({ "cluster": place.0, "namespace": place.1, "flag": flag.key });
    event
}

impl Control {
    /// Turns a flag off for everybody, and keeps it off.
    ///
    /// # Errors
    /// 403; 404. Neither Postgres nor the cluster need answer: the receipt says what is left to be done.
    pub async fn kill_flag(
        &self,
        actor: &Actor,
        cluster: &str,
        namespace: &str,
        key: &str,
        reason: Option<String>,
    ) -> Result<FlagReceipt, Problem> {
        let reason = tidy(reason)?;
        let place = (cluster.to_owned(), namespace.to_owned());
        let (_, flag) = self.flag(&place, key)?;
        self.may_flag(actor, Action::KillFlag, &place, &flag)?;
        let killed = Killed {
            // As the file writes it.
            at: self.now_utc().trunc_subsecs(0),
            by: actor.name.clone(),
            reason: reason.unwrap_or_else(|| "No reason was given.".to_owned()),
        };
        // Who was first counts, and this makes good what is left to be done.
        let remains = change::remains(&flag, killed);
        let Some(killed) = remains.killed.clone() else {
            return Err(bug(&Unchanged::NoFlag(key.to_owned())));
        };
        let earlier = flag.killed.is_some();
        if !self.kills_of(&place).iter().any(|f| f.key == key) {
            let pressed = Pressed { place: place.clone(), flag: remains, actor: actor.clone() };
            self.inner.flags.pressed.lock().unwrap_or_else(PoisonError::into_inner).push(pressed);
        }
        // From here on it is off for everybody who asks.
        self.serve_place(&place).await;
        let (in_file, on_record) = tokio::join!(
            self.change_flags(&place, |text| change::kill(text, key, killed.clone())),
            self.record_pressed(),
        );
        if let (Wrote::Yes(Some(text)), Ok(())) = (&in_file, &on_record) {
            let after = read_lock(&self.inner.flags.standing).get(&place).map(|s| s.now.id);
            let words = "is off in the file";
            let event = event(actor, self.now_utc(), "flags.changed", &place, &flag, words);
            // What another has recorded meanwhile says it, too.
            if let Err(problem) = self.record_flags(actor, &place, text, after, event).await {
                tracing::warn!(%problem, "a file of flags is recorded later");
            }
        }
        self.inner.flags.hear();
        let mut left = Vec::new();
        if earlier {
            left.push(format!("It was killed already, by {}.", killed.by));
        }
        if let Wrote::No(why) = &in_file {
            left.push(format!("The ConfigMap does not say so yet: {why} It is tried again."));
        }
        if let Err(problem) = &on_record {
            tracing::warn!(%problem, "a kill switch is recorded later");
            left.push("It is put on record as soon as the database answers.".to_owned());
        }
        Ok(FlagReceipt {
            key: key.to_owned(),
            written: matches!(in_file, Wrote::Yes(_)),
            recorded: on_record.is_ok(),
            words: left.join(" "),
        })
    }

    /// Lets a killed flag be turned on again. It stays off until somebody does.
    ///
    /// # Errors
    /// 403; 404; 409 when it is not killed; 422 without a reason; 503 without a database: then nothing is changed.
    pub async fn revive_flag(
        &self,
        actor: &Actor,
        cluster: &str,
        namespace: &str,
        key: &str,
        reason: String,
    ) -> Result<FlagReceipt, Problem> {
        let place = (cluster.to_owned(), namespace.to_owned());
        let (_, flag) = self.flag(&place, key)?;
        self.may_flag(actor, Action::ReviveFlag, &place, &flag)?;
        let Some(reason) = tidy(Some(reason))? else {
            let words = "Say why it may be turned on again: it was killed for a reason.";
            return Err(Problem::invalid(vec![FieldError::new("reason", words)]));
        };
        if flag.killed.is_none() {
            return Err(Problem::conflict(format!("{key} is not killed: somebody was faster.")));
        }
        self.record_pressed().await?;
        self.read_flags().await?;
        let open =
            read_lock(&self.inner.flags.kills).iter().find(|k| of(k, &place) && k.flag == key).cloned();
        let now = self.now_utc();
        let mut event = event(actor, now, "flag.revived", &place, &flag, "may be turned on again");
        event.reason = Some(reason.clone());
        let mut tx = self.store().begin().await.or_problem()?;
        // The record first: a file without the mark while the kill stands on record would be put right.
        // There is none where somebody wrote the mark past Tidegate.
        if let Some(open) = &open {
            let revived = Revived { at: now, by: actor.name.clone(), reason: reason.clone() };
            if !tx.revive_flag(open.id, &revived).await.or_problem()? {
                return Err(Problem::conflict(format!("{key} was revived by somebody else.")));
            }
        }
        tx.commit(event.clone()).await.or_problem()?;
        let hand = Hand::Reviving { keys: &[key], reason: &reason };
        let in_file = self
            .change_flags(&place, |text| {
                let revived = change::revive(text, key)?;
                // Nothing but this flag is freed.
                let before = File::parse(text).map_err(Unchanged::Faults)?;
                let after = File::parse(&revived).map_err(Unchanged::Faults)?;
                match change::may_change(&before, &after, hand).is_empty() {
                    true => Ok(revived),
                    false => {
                        Err(Unchanged::ByHand(key.to_owned(), "another killed flag would change with it"))
                    }
                }
            })
            .await;
        self.read_flags().await?;
        if let Wrote::Yes(Some(text)) = &in_file {
            let after = read_lock(&self.inner.flags.standing).get(&place).map(|s| s.now.id);
            event.action = "flags.changed".to_owned();
            event.summary = format!("Flag {key} is no longer marked as killed in the file");
            self.record_flags(actor, &place, text, after, event).await?;
        }
        self.serve_place(&place).await;
        self.inner.flags.hear();
        let words = match &in_file {
            Wrote::Yes(_) => "It stays off until it is turned on.".to_owned(),
            Wrote::No(why) => format!("The ConfigMap still has it as killed: {why} Try again."),
        };
        Ok(FlagReceipt {
            key: key.to_owned(),
            written: matches!(in_file, Wrote::Yes(_)),
            recorded: true,
            words,
        })
    }

    /// What is left of each killed flag of a namespace, on record or about to be.
    pub(super) fn kills_of(&self, place: &Place) -> Vec<Flag> {
        let known = &self.inner.flags;
        // In this order: what leaves here has come there before.
        let pressed = known.pressed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let on_record = read_lock(&known.kills);
        let mut all: Vec<Flag> = Vec::new();
        for kill in on_record.iter().filter(|k| of(k, place)) {
            all.extend(File::parse(&kill.text).unwrap_or_default().flags);
        }
        drop(on_record);
        for one in pressed.into_iter().filter(|p| p.place == *place) {
            if all.iter().all(|f| f.key != one.flag.key) {
                all.push(one.flag);
            }
        }
        all
    }

    /// Puts on record what was pressed.
    ///
    /// # Errors
    /// 503 without a database; what is left stays killed, and is tried again.
    pub(super) async fn record_pressed(&self) -> Result<(), Problem> {
        let known = &self.inner.flags;
        let next = || known.pressed.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        while let Some(Pressed { place, flag, actor }) = next() {
            if let Some(killed) = &flag.killed {
                let text = flag.to_yaml();
                let kill = NewFlagKill {
                    cluster: &place.0,
                    namespace: &place.1,
                    flag: &flag.key,
                    at: killed.at,
                    by: &killed.by,
                    reason: &killed.reason,
                    text: &text,
                };
                let mut tx = self.store().begin().await.or_problem()?;
                if tx.insert_flag_kill(&kill).await.or_problem()?.is_some() {
                    let words = "was killed: off for everybody";
                    let mut event = event(&actor, self.now_utc(), "flag.killed", &place, &flag, words);
                    event.reason = Some(killed.reason.clone());
                    tx.commit(event).await.or_problem()?;
                }
            }
            self.read_flags().await?;
            let mut pressed = known.pressed.lock().unwrap_or_else(PoisonError::into_inner);
            pressed.retain(|p| p.place != place || p.flag.key != flag.key);
        }
        Ok(())
    }

    /// Changes the file as it is in the cluster now, and again where somebody else wrote it meanwhile.
    async fn change_flags(
        &self,
        place: &Place,
        change: impl Fn(&str) -> Result<String, Unchanged> + Send,
    ) -> Wrote {
        let Ok(cluster) = self.cluster(&place.0) else {
            return Wrote::No("There is no such cluster.".to_owned());
        };
        for _ in 0..TRIES {
            let live = match cluster.read_file(Book::Flags, &place.1).await {
                Ok(Some(live)) => live,
                Ok(None) => return Wrote::No("There is no ConfigMap feature-flags any more.".to_owned()),
                Err(error) => return Wrote::No(error.to_string()),
            };
            let text = live.text.clone().unwrap_or_default();
            let changed = match change(&text) {
                Ok(changed) if changed == text => return Wrote::Yes(None),
                Ok(changed) => changed,
                Err(Unchanged::Faults(_)) => {
                    return Wrote::No("The file has faults. Mend them first.".to_owned());
                }
                Err(why) => return Wrote::No(why.to_string()),
            };
            match cluster.write_file(Book::Flags, &place.1, Some(&live), &changed).await {
                Ok(Written::Done) => return Wrote::Yes(Some(changed)),
                Ok(Written::Overtaken) => {}
                Err(error) => return Wrote::No(error.to_string()),
            }
        }
        Wrote::No("Somebody else keeps writing it.".to_owned())
    }
}

fn of(kill: &store::FlagKill, place: &Place) -> bool {
    kill.cluster == place.0 && kill.namespace == place.1
}
