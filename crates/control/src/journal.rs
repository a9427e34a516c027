//! The rollback journal: one file per replica, one JSON record a line, on disk before the effect.
//!
//! Guarantees: [`Journal::append`] returns only after the record is on the disk; a torn last line (power cut
//! in the middle of a write) is ignored when reading; a record leaves the file only after it is in the chain.

use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::release::KnownGood;
use model::rollback::Route;
use model::workload::Key;
use model::{AttemptId, ReleaseId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A rollback that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub attempt: AttemptId,
    pub release: Option<ReleaseId>,
    pub key: Key,
    pub good: KnownGood,
    /// Hash of the version that is left, where the controller had named it.
    #[serde(default)]
    pub left: Option<String>,
    /// Hash of the version that it was on its way back to, where another was named instead.
    #[serde(default)]
    pub instead: Option<String>,
    pub route: Route,
    /// The mark of the last attempt on the object when it was pressed.
    #[serde(default)]
    pub mark: Option<String>,
    pub event: NewEvent,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub attempt: AttemptId,
    pub at: DateTime<Utc>,
    /// The API server took every call of the route.
    pub applied: bool,
    /// It came too late: somebody else had changed the workload since. Nothing was sent.
    #[serde(default)]
    pub overtaken: bool,
    pub words: String,
}

impl Outcome {
    /// The rollback came too late to be carried out.
    pub fn overtaken(intent: &Intent, at: DateTime<Utc>, words: &str) -> Self {
        Self { attempt: intent.attempt.clone(), at, applied: false, overtaken: true, words: words.to_owned() }
    }
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    Intent(Box<Intent>),
    Outcome(Outcome),
    /// It is in the chain.
    Merged(AttemptId),
}

/// What is still to be merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub intent: Intent,
    pub outcome: Option<Outcome>,
}

/// The open journal of this replica.
#[derive(Clone, Debug)]
pub struct Journal {
    dir: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    file: File,
    path: PathBuf,
    open: BTreeMap<AttemptId, Entry>,
}

impl Journal {
    /// Opens (or creates) this replica's file and adopts what dead replicas left in the same directory.
    ///
    /// # Errors
    /// When the directory or the file cannot be created, read or locked.
    pub fn open(dir: &Path, replica: &str) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let safe: String =
            replica.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let path = dir.join(format!("journal-{safe}.ndjson"));
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        file.try_lock().map_err(|e| match e {
            TryLockError::Error(e) => e,
            TryLockError::WouldBlock => io::Error::other(format!(
                "{} is in use by another process; give each replica its own TIDEGATE_REPLICA",
                path.display()
            )),
        })?;
        let mut open = read(&file)?;
        // A torn last line must not swallow the next record: end it.
        if ends_torn(&file)? {
            file.write_all(b"\n")?;
        }
        for (orphan, entries) in orphans(dir, &path)? {
            for (id, entry) in entries {
                append_to(&mut file, &Record::Intent(Box::new(entry.intent.clone())))?;
                if let Some(outcome) = &entry.outcome {
                    append_to(&mut file, &Record::Outcome(outcome.clone()))?;
                }
                open.insert(id, entry);
            }
            file.sync_data()?;
            std::fs::remove_file(orphan)?;
        }
        // The directory entry itself must be on disk too, or the first record could vanish with it.
        File::open(dir)?.sync_all()?;
        Ok(Self { dir: dir.to_owned(), state: Arc::new(Mutex::new(State { file, path, open })) })
    }

    /// Where the journal lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a record and waits until it is on the disk. Blocks for the time of one fdatasync.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        append_to(&mut state.file, record)?;
        state.file.sync_data()?;
        remember(&mut state.open, record.clone());
        if state.open.is_empty() && matches!(record, Record::Merged(_)) {
            // Everything is in the chain: start the file anew rather than let it grow for ever.
            state.file.set_len(0)?;
            state.file.seek(SeekFrom::Start(0))?;
            state.file.sync_data()?;
        }
        Ok(())
    }

    /// What is not yet in the chain, oldest first.
    pub fn unmerged(&self) -> Vec<Entry> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<_> = state.open.values().cloned().collect();
        entries.sort_by_key(|e| e.intent.event.at);
        entries
    }

    /// Something about this release is not yet in the chain.
    pub fn holds(&self, release: ReleaseId) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.values().any(|e| e.intent.release == Some(release))
    }

    /// Path of this replica's file.
    pub fn path(&self) -> PathBuf {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).path.clone()
    }
}

fn append_to(file: &mut File, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn read(file: &File) -> io::Result<BTreeMap<AttemptId, Entry>> {
    let mut open = BTreeMap::new();
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        match serde_json::from_slice(&line) {
            Ok(record) => remember(&mut open, record),
            Err(error) => tracing::warn!(%error, "a torn line in the rollback journal is skipped"),
        }
        line.clear();
    }
    Ok(open)
}

fn remember(open: &mut BTreeMap<AttemptId, Entry>, record: Record) {
    match record {
        Record::Intent(intent) => {
            open.insert(intent.attempt.clone(), Entry { intent: *intent, outcome: None });
        }
        Record::Outcome(outcome) => {
            if let Some(entry) = open.get_mut(&outcome.attempt) {
                entry.outcome = Some(outcome);
            }
        }
        Record::Merged(id) => {
            open.remove(&id);
        }
    }
}

fn ends_torn(mut file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0u8];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

type Orphan = (PathBuf, BTreeMap<AttemptId, Entry>);

/// Journals in the directory whose owner no longer lives: their lock is free.
fn orphans(dir: &Path, own: &Path) -> io::Result<Vec<Orphan>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path == own || !name.starts_with("journal-") || !name.ends_with(".ndjson") {
            continue;
        }
        let file = OpenOptions::new().read(true).append(true).open(&path)?;
        if file.try_lock().is_ok() {
            found.push((path, read(&file)?));
        }
    }
    Ok(found)
}
