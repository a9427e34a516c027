//! The kill switch stays pressed: no stale writer, no schedule and no program turns a killed flag on again, only a person who says why.

use crate::edit::{self, Unchanged};
use crate::file::{File, Flag, Killed};
use serde::Serialize;

/// Who changes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand<'a> {
    /// A person, by a change that is about nothing else: the flags to revive are named, with the reason.
    Reviving { keys: &'a [&'a str], reason: &'a str },
    /// Everything else: ordinary edits, programs, schedules, whole files written over.
    Ordinary,
}

/// A flag that a change must leave off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub key: String,
    /// What is wrong, then what to do.
    pub words: String,
}

/// May the file change so, as far as killed flags are concerned? Empty: yes.
///
/// A killed flag stays killed, and in the file: were it removed, services would use what their code says, which may be on.
pub fn may_change(before: &File, after: &File, hand: Hand<'_>) -> Vec<Refusal> {
    let mut refused = Vec::new();
    for was in before.flags.iter() {
        let Some(killed) = &was.killed else { continue };
        let key = &was.key;
        let freed = match hand {
            Hand::Reviving { keys, reason } => keys.contains(&key.as_str()) && !reason.trim().is_empty(),
            Hand::Ordinary => false,
        };
        if freed {
            continue;
        }
        let words = match after.flag(key) {
            None => {
                "would be removed from the file. Revive it first: its services would use what their code says."
            }
            Some(now) if now.killed.is_none() => {
                "would be on again, or could be. Read the file again; if it is to be on, revive it with a reason."
            }
            // Who killed it, when and why is history, and not written over; a second kill leaves the first.
            Some(now) if now.killed.as_ref() != Some(killed) => {
                "is killed already, by somebody else or for another reason. Leave that as it is."
            }
            Some(now) if now.enabled && !was.enabled => {
                "would read as on to services that do not know the kill switch. Leave `enabled: false`, or revive it."
            }
            Some(_) => continue,
        };
        refused.push(Refusal {
            key: key.clone(),
            words: format!("{key} was killed by {} and {words}", killed.by),
        });
    }
    refused
}

/// Presses the kill switch in a file: off for every reader, the older one included, and marked. A flag that is killed already stays as
/// it is: who was first counts.
///
/// # Errors
/// See [`edit::put`]; [`Unchanged::NoFlag`] for an unknown flag.
pub fn kill(text: &str, key: &str, killed: Killed) -> Result<String, Unchanged> {
    let file = File::parse(text).map_err(Unchanged::Faults)?;
    let mut flag = file.flag(key).cloned().ok_or_else(|| Unchanged::NoFlag(key.to_owned()))?;
    flag.enabled = false;
    flag.killed.get_or_insert(killed);
    edit::put(text, &flag)
}

/// Takes the mark away. The flag stays off until it is turned on: to revive is not to expose.
///
/// # Errors
/// See [`edit::put`]; [`Unchanged::NoFlag`] for an unknown flag.
pub fn revive(text: &str, key: &str) -> Result<String, Unchanged> {
    let file = File::parse(text).map_err(Unchanged::Faults)?;
    let mut flag = file.flag(key).cloned().ok_or_else(|| Unchanged::NoFlag(key.to_owned()))?;
    flag.enabled = false;
    flag.killed = None;
    edit::put(text, &flag)
}

/// What is left of a flag while it is killed: what it is, and that it is off. Whom it was for is not needed to keep it off.
pub fn remains(flag: &Flag, killed: Killed) -> Flag {
    Flag {
        key: flag.key.clone(),
        variants: flag.variants.clone(),
        default_variant: flag.default_variant.clone(),
        serve: flag.serve.clone(),
        kind: flag.kind,
        owner: flag.owner.clone(),
        description: flag.description.clone(),
        expires_at: flag.expires_at,
        killed: Some(flag.killed.clone().unwrap_or(killed)),
        ..Flag::default()
    }
}

/// The file as it is served while these flags are killed, whatever it says of them itself. `kills` are what [`remains`] of each.
#[must_use]
pub fn held(file: &File, kills: &[Flag]) -> File {
    let mut file = file.clone();
    for kill in kills {
        match file.flags.iter_mut().find(|f| f.key == kill.key) {
            Some(flag) => {
                flag.enabled = false;
                flag.killed = flag.killed.take().or_else(|| kill.killed.clone());
            }
            None => file.flags.push(kill.clone()),
        }
    }
    file
}

/// The text in which these flags are killed, too; `None` where it says so already.
///
/// # Errors
/// See [`edit::put`].
pub fn hold(text: &str, kills: &[Flag]) -> Result<Option<String>, Unchanged> {
    let file = File::parse(text).map_err(Unchanged::Faults)?;
    let mut written = None;
    for flag in held(&file, kills).flags {
        if file.flag(&flag.key) != Some(&flag) {
            written = Some(edit::put(written.as_deref().unwrap_or(text), &flag)?);
        }
    }
    Ok(written)
}
