//! Changing a flag: at once where nobody gets more than before, else once somebody else has approved exactly these lines. It is
//! recorded, written over what was read and nothing else, and taken back where the cluster refuses.

use super::kill;
use super::serve::faults;
use crate::error::OrProblem as _;
use crate::files::Place;
use crate::plans::tidy;
use crate::{Control, Decision, read_lock};
use cluster::Written;
use flags::change::{Hand, diff, may_change, raises_exposure};
use flags::edit::{self, Unchanged};
use flags::{File, Flag, Share};
use model::audit::NewEvent;
use model::problem::FieldError;
use model::view::FlagOutcome;
use model::{Action, Actor, Book, Digest, Problem};
use serde_json::json;
use store::{Decided, FlagChangeEnd, FlagChangeRecord, NewFile, NewFlagChange};

/// Where more users than before need a second pair of eyes.
const PROTECTED: &str = "production";

/// What a flag is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagEdit {
    /// On or off, for a share of those it is for: `31`, `0.5`.
    Share { enabled: bool, percentage: String },
    /// Its lines in the file; empty ones remove it.
    Lines(String),
}

/// A change of a flag.
#[derive(Clone, Debug)]
pub struct FlagDraft {
    pub cluster: String,
    pub namespace: String,
    pub key: String,
    /// The flag's lines as they were looked at, as [`lines_digest`] has them; `None` for a new one.
    pub seen: Option<String>,
    pub edit: FlagEdit,
    pub reason: Option<String>,
}

/// Names the lines that were looked at.
pub fn lines_digest(lines: &str) -> String {
    model::canonical::digest(&json!(lines)).short()
}

/// A change that may be made.
struct Planned {
    before: String,
    after: String,
    text: String,
    /// Why it needs an approver; empty where it does not.
    why: Vec<String>,
    /// As it was and as it is to be.
    flags: Vec<Flag>,
}

fn no(field: &str, words: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new(field, words)])
}

fn unchanged(why: Unchanged) -> Problem {
    match why {
        Unchanged::Faults(found) => Problem::invalid(
            found
                .into_iter()
                .map(|f| {
                    FieldError::new(
                        "lines",
                        format!("Line {} of the file, {}: {}", f.line, f.path, f.message),
                    )
                })
                .collect(),
        ),
        other => no("lines", other.to_string()),
    }
}

/// What a change comes to, over this text.
fn planned(text: &str, key: &str, after: &str) -> Result<Planned, Problem> {
    let before = edit::part(text, key).unwrap_or_default();
    let changed = edit::replace(text, key, after).map_err(unchanged)?;
    let read = |text: &str| File::parse(text).map_err(|f| unchanged(Unchanged::Faults(f)));
    let (was, is) = (read(text)?, read(&changed)?);
    if diff(&was, &is).is_empty() {
        return Err(Problem::conflict("The flag is so already: nothing was changed."));
    }
    if let Some(refused) = may_change(&was, &is, Hand::Ordinary).into_iter().next() {
        return Err(Problem::conflict(refused.words));
    }
    let protected = |key: &str| {
        let environments =
            [was.flag(key), is.flag(key)].into_iter().flatten().map(|f| f.environment.as_deref());
        environments.into_iter().any(|e| e.is_none_or(|e| e == PROTECTED))
    };
    let raised = raises_exposure(&was, &is);
    let why = raised.iter().filter(|e| protected(&e.key)).flat_map(|e| match e.key == key {
        true => e.why.clone(),
        false => e.why.iter().map(|w| format!("{}: {w}", e.key)).collect(),
    });
    Ok(Planned {
        before,
        after: edit::part(&changed, key).unwrap_or_default(),
        why: why.collect(),
        flags: [was.flag(key), is.flag(key)].into_iter().flatten().cloned().collect(),
        text: changed,
    })
}

fn overtaken(key: &str) -> Problem {
    Problem::conflict(format!("{key} was changed since you opened it. Nothing was written: read it again."))
}

/// All that an approver says yes to.
fn digest(place: &Place, key: &str, before: &str, after: &str) -> Digest {
    model::canonical::digest(&json!({
        "cluster": place.0, "namespace": place.1, "flag": key, "before": before, "after": after,
    }))
}

impl Control {
    /// Changes a flag, makes or removes one; where more users would get it in production, asks for an approver instead.
    ///
    /// # Errors
    /// 403; 404; 409 when it was changed since it was looked at, is killed, or another change of it waits; 422 with every fault
    /// at its field; 503 when it cannot be recorded or written: nothing is changed then.
    pub async fn change_flag(&self, actor: &Actor, draft: FlagDraft) -> Result<FlagOutcome, Problem> {
        let FlagDraft { cluster, namespace, key, seen, edit, reason } = draft;
        let reason = tidy(reason)?;
        let place = (cluster, namespace);
        let text = self.text_of(&place).await?;
        let before = edit::part(&text, &key);
        if before.as_deref().map(lines_digest) != seen {
            return Err(overtaken(&key));
        }
        let lines = match edit {
            FlagEdit::Lines(lines) => lines,
            FlagEdit::Share { enabled, percentage } => {
                let (_, mut flag) = self.flag(&place, &key)?;
                let typed = percentage.trim().trim_end_matches('%').trim();
                flag.percentage = Share::parse(typed).map_err(|words| no("percentage", words))?;
                flag.enabled = enabled;
                let changed = edit::put(&text, &flag).map_err(unchanged)?;
                edit::part(&changed, &key).unwrap_or_default()
            }
        };
        let planned = planned(&text, &key, &lines)?;
        for flag in &planned.flags {
            self.may_flag(actor, Action::WriteFlags, &place, flag)?;
        }
        let now = self.now_utc();
        let Some(subject) = planned.flags.last() else { return Err(overtaken(&key)) };
        if planned.why.is_empty() {
            let mut event = kill::event(actor, now, "flag.changed", &place, subject, "was changed");
            event.reason = reason;
            self.apply_flag(actor, &place, &key, &planned, None, event).await?;
            return Ok(FlagOutcome { key, waits: None, why: Vec::new() });
        }
        let digest = digest(&place, &key, &planned.before, &planned.after);
        let new = NewFlagChange {
            cluster: &place.0,
            namespace: &place.1,
            flag: &key,
            at: now,
            person: actor.person,
            by: &actor.name,
            reason: reason.as_deref(),
            before: &planned.before,
            after: &planned.after,
            why: &planned.why,
            digest: &digest,
        };
        let mut tx = self.store().begin().await.or_problem()?;
        let Some(id) = tx.insert_flag_change(&new).await.or_problem()? else {
            let words = format!("Another change of {key} waits for an approver. Withdraw it first.");
            return Err(Problem::conflict(words));
        };
        let mut event = kill::event(actor, now, "flag.change.asked", &place, subject, "is to be changed");
        event.reason = reason;
        event.detail = json!({ "change": id, "digest": digest, "why": planned.why });
        tx.commit(event).await.or_problem()?;
        self.inner.flags.hear();
        Ok(FlagOutcome { key, waits: Some(id), why: planned.why })
    }

    /// Approves or rejects a change of a flag. Approved, it is written at once.
    ///
    /// # Errors
    /// 403, also for whoever asked for it; 404; 409 when it has ended, is another one than was looked at, or the flag was changed
    /// since; 503 when it cannot be recorded or written: it waits on then.
    pub async fn decide_flag_change(
        &self,
        actor: &Actor,
        id: i64,
        seen: &Digest,
        decision: Decision,
        comment: Option<String>,
    ) -> Result<(), Problem> {
        let comment = tidy(comment)?;
        let (change, place, subject) = self.open_change(id).await?;
        self.may_flag(actor, Action::Approve, &place, &subject)?;
        if actor.person.is_none() {
            return Err(Problem::forbidden(
                "Only a person can approve: this token belongs to nobody. Use a token issued for an account.",
            ));
        }
        if change.person == actor.person {
            return Err(Problem::forbidden(
                "Nobody approves a change they asked for, not even an administrator. Ask another approver.",
            ));
        }
        if change.digest != *seen {
            return Err(Problem::conflict("This is another change than you looked at. Read it again."));
        }
        let now = self.now_utc();
        let decided = Decided { at: now, by: actor.name.clone(), comment: comment.clone() };
        if decision == Decision::Reject {
            let mut event =
                kill::event(actor, now, "flag.change.rejected", &place, &subject, "stays: rejected");
            event.reason = comment;
            return self.end_change(id, FlagChangeEnd::Rejected, &decided, event).await;
        }
        let text = self.text_of(&place).await?;
        if edit::part(&text, &change.flag).unwrap_or_default() != change.before {
            return Err(overtaken(&change.flag));
        }
        let planned = planned(&text, &change.flag, &change.after)?;
        let words = format!("was changed: approved, digest {}", change.digest.short());
        let mut event = kill::event(actor, now, "flag.changed", &place, &subject, &words);
        event.reason = comment;
        self.apply_flag(actor, &place, &change.flag, &planned, Some((id, decided)), event).await
    }

    /// Takes back a change that waits: by whom asked for it, or anybody else who may change the flag.
    ///
    /// # Errors
    /// 403; 404; 409 when it has ended; 503 without a database.
    pub async fn withdraw_flag_change(&self, actor: &Actor, id: i64) -> Result<(), Problem> {
        let (_, place, subject) = self.open_change(id).await?;
        self.may_flag(actor, Action::WriteFlags, &place, &subject)?;
        let now = self.now_utc();
        let decided = Decided { at: now, by: actor.name.clone(), comment: None };
        let event = kill::event(actor, now, "flag.change.withdrawn", &place, &subject, "stays: withdrawn");
        self.end_change(id, FlagChangeEnd::Withdrawn, &decided, event).await
    }

    /// A change that waits, and the flag that it would be.
    pub(super) async fn open_change(&self, id: i64) -> Result<(FlagChangeRecord, Place, Flag), Problem> {
        let change = self.store().flag_change(id).await.or_problem()?;
        if !change.open {
            return Err(Problem::conflict("This change has been decided: somebody was faster."));
        }
        let place = (change.cluster.clone(), change.namespace.clone());
        let subject = self.subject(&place, &change);
        Ok((change, place, subject))
    }

    /// The flag that a change is about, as it would be; as it is where it would be gone.
    pub(super) fn subject(&self, place: &Place, change: &FlagChangeRecord) -> Flag {
        let own = |text: &str| File::parse(text).ok().and_then(|f| f.flag(&change.flag).cloned());
        let served = self.served_flags(place);
        let over = served.as_ref().and_then(|s| edit::replace(&s.text, &change.flag, &change.after).ok());
        over.as_deref()
            .and_then(own)
            .or_else(|| served.and_then(|s| s.file.flag(&change.flag).cloned()))
            .unwrap_or_else(|| Flag { key: change.flag.clone(), ..Flag::default() })
    }

    async fn end_change(
        &self,
        id: i64,
        end: FlagChangeEnd,
        decided: &Decided,
        event: NewEvent,
    ) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        if !tx.end_flag_change(id, end, decided).await.or_problem()? {
            return Err(Problem::conflict("This change has been decided: somebody was faster."));
        }
        tx.commit(event).await.or_problem()?;
        self.inner.flags.hear();
        Ok(())
    }

    /// What the cluster holds, from the cluster itself.
    async fn text_of(&self, place: &Place) -> Result<String, Problem> {
        let live = self.cluster(&place.0)?.read_file(Book::Flags, &place.1).await.or_problem()?;
        let gone = || {
            Problem::not_found(format!(
                "There is no ConfigMap feature-flags in namespace {}. Make one with kubectl first.",
                place.1
            ))
        };
        Ok(live.ok_or_else(gone)?.text.unwrap_or_default())
    }

    /// Records a change and writes it; taken back where the cluster does not take it.
    async fn apply_flag(
        &self,
        actor: &Actor,
        place: &Place,
        key: &str,
        planned: &Planned,
        change: Option<(i64, Decided)>,
        mut event: NewEvent,
    ) -> Result<(), Problem> {
        let cluster = self.cluster(&place.0)?;
        let live =
            cluster.read_file(Book::Flags, &place.1).await.or_problem()?.ok_or_else(|| overtaken(key))?;
        let text = live.text.clone().unwrap_or_default();
        // Between reading and planning somebody may have written another flag: then it is planned over that.
        if edit::replace(&text, key, &planned.after).map_err(unchanged)? != planned.text {
            return Err(overtaken(key));
        }
        // What was written past us is on record before ours is.
        self.read_flags().await?;
        let known = || read_lock(&self.inner.flags.standing).get(place).map(|s| s.now.clone());
        if self.record_seen(Book::Flags, place, Some(&live), known().as_ref(), faults).await? {
            self.read_flags().await?;
        }
        let file = |text, at| NewFile {
            cluster: &place.0,
            namespace: &place.1,
            at,
            text: Some(text),
            faults: &[],
            by: &actor.name,
            outside: false,
        };
        event.detail["lines"] = json!({ "before": planned.before, "after": planned.after });
        let mut tx = self.store().begin().await.or_problem()?;
        let after = known().map(|k| k.id);
        let Some(id) =
            tx.record_file(Book::Flags, &file(&planned.text, event.at), after).await.or_problem()?
        else {
            return Err(overtaken(key));
        };
        if let Some((change, decided)) = &change
            && !tx.end_flag_change(*change, FlagChangeEnd::Applied, decided).await.or_problem()?
        {
            return Err(Problem::conflict("This change has been decided: somebody was faster."));
        }
        let mut refused = event.clone();
        tx.commit(event).await.or_problem()?;
        let written = cluster.write_file(Book::Flags, &place.1, Some(&live), &planned.text).await;
        self.inner.flags.hear();
        match written {
            Ok(Written::Done) => self.read_flags().await,
            // Sent, and no answer: what the cluster holds is compared in some seconds.
            Err(error @ cluster::Error::Unreachable { .. }) => Err(error).or_problem(),
            not => {
                refused.action = "flag.change.refused".to_owned();
                refused.summary =
                    format!("Flag {key} stays what it was: the cluster did not take the change");
                let mut tx = self.store().begin().await.or_problem()?;
                tx.record_file(Book::Flags, &file(&text, self.now_utc()), Some(id)).await.or_problem()?;
                if let Some((change, _)) = &change {
                    tx.reopen_flag_change(*change).await.or_problem()?;
                }
                tx.commit(refused).await.or_problem()?;
                self.read_flags().await?;
                not.or_problem().and_then(|_| Err(overtaken(key)))
            }
        }
    }
}
