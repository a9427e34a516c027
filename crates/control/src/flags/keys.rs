//! Keys that services ask with: each reads the flags of one namespace, for one environment, and does nothing else.

use super::ServedFlags;
use crate::error::OrProblem as _;
use crate::files::Place;
use crate::{Control, read_lock, write_lock};
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::problem::FieldError;
use model::view::FlagKeyView;
use model::{Action, Actor, Problem, Status};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use store::{FlagKey, NewFlagKey};
use tokio::sync::watch;

/// Longest name, in characters.
const LONGEST: usize = 80;

/// Keys that open something.
#[derive(Debug)]
pub(super) struct Keys {
    all: Vec<FlagKey>,
    by_hash: HashMap<String, usize>,
    by_stream: HashMap<String, usize>,
}

/// What a key opens.
#[derive(Clone, Debug)]
pub struct FlagAccess {
    /// The key's number.
    pub id: i64,
    /// In the address of its stream of changes.
    pub stream: String,
    /// `None`: flags of every environment.
    pub environment: Option<String>,
    /// `None`: no file of flags was ever seen in its namespace.
    pub served: Option<Arc<ServedFlags>>,
}

/// Tells when the flags that a key reads have changed.
#[derive(Debug)]
pub struct FlagStream {
    control: Control,
    stream: String,
    told: watch::Receiver<u64>,
    version: Option<String>,
}

impl FlagStream {
    /// What its client knows when it begins to follow; `None` where no file of flags was ever seen.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The client knew this version when its last stream broke: where it is not what is served now, that is a change.
    pub fn resume(&mut self, version: &str) {
        self.version = Some(version.to_owned());
        self.told.mark_changed();
    }

    /// Waits for a change; its version, and since when it is served. `None` when the key was withdrawn, or the process ends.
    pub async fn changed(&mut self) -> Option<(String, DateTime<Utc>)> {
        loop {
            self.told.changed().await.ok()?;
            let served = self.control.flags_of_stream(&self.stream)?;
            let version = served.as_ref().map(|s| s.version.clone());
            if let Some(served) = served.filter(|_| version != self.version) {
                self.version = version;
                return Some((served.version.clone(), served.since));
            }
        }
    }
}

fn view(key: &FlagKey) -> FlagKeyView {
    FlagKeyView {
        id: key.id,
        name: key.name.clone(),
        cluster: key.cluster.clone(),
        namespace: key.namespace.clone(),
        environment: key.environment.clone(),
        created: key.created,
        created_by: key.created_by.clone(),
        revoked: key.revoked,
    }
}

fn hex_of<const N: usize>() -> String {
    let mut bytes = [0u8; N];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

impl Control {
    /// What a key opens.
    ///
    /// # Errors
    /// 401 for a key that is unknown or withdrawn; 503 while none was ever read.
    pub fn flag_access(&self, secret: &str) -> Result<FlagAccess, Problem> {
        let keys = read_lock(&self.inner.flags.keys).clone();
        let keys = keys.ok_or_else(|| {
            Problem::unavailable(
                "The keys were not read yet: the database does not answer. Try again in a moment.",
            )
        })?;
        let hash = hex::encode(Sha256::digest(secret.as_bytes()));
        let key = keys.by_hash.get(&hash).and_then(|i| keys.all.get(*i)).ok_or_else(|| {
            let words = "This key is not known, or was withdrawn. Issue another one on the page of flags.";
            Problem::new(Status::Unauthenticated, words)
        })?;
        Ok(FlagAccess {
            id: key.id,
            stream: key.stream.clone(),
            environment: key.environment.clone(),
            served: self.served_flags(&place(key)),
        })
    }

    /// Follows the flags of the key that has this stream; `None` where there is no such key.
    pub fn follow_flags(&self, stream: &str) -> Option<FlagStream> {
        let told = self.inner.flags.told.subscribe();
        let version = self.flags_of_stream(stream)?.map(|s| s.version.clone());
        Some(FlagStream { control: self.clone(), stream: stream.to_owned(), told, version })
    }

    /// `None` where there is no such key (any more).
    fn flags_of_stream(&self, stream: &str) -> Option<Option<Arc<ServedFlags>>> {
        let keys = read_lock(&self.inner.flags.keys).clone()?;
        let key = keys.by_stream.get(stream).and_then(|i| keys.all.get(*i))?;
        Some(self.served_flags(&place(key)))
    }

    /// Takes what is on record. Whether that is something else than was known.
    pub(super) fn take_flag_keys(&self, all: Vec<FlagKey>) -> bool {
        let known = &self.inner.flags;
        let mut held = write_lock(&known.keys);
        if held.as_ref().is_some_and(|held| held.all == all) {
            return false;
        }
        let open = || all.iter().enumerate().filter(|(_, key)| key.revoked.is_none());
        let by_hash = open().map(|(i, key)| (key.hash.clone(), i)).collect();
        let by_stream = open().map(|(i, key)| (key.stream.clone(), i)).collect();
        *held = Some(Arc::new(Keys { all, by_hash, by_stream }));
        drop(held);
        // Streams of keys that were withdrawn end.
        known.told.send_modify(|n| *n += 1);
        true
    }

    /// All keys, newest first; none for whoever may not manage them.
    pub(super) fn flag_keys(&self, actor: &Actor) -> Vec<FlagKeyView> {
        let keys = read_lock(&self.inner.flags.keys).clone();
        match (may_manage(actor), keys) {
            (Ok(()), Some(keys)) => keys.all.iter().map(view).collect(),
            _ => Vec::new(),
        }
    }

    /// Issues a key; its secret is in the answer, and nowhere else.
    ///
    /// # Errors
    /// 403; 404 for an unknown cluster; 422; 503 without a database.
    pub async fn issue_flag_key(
        &self,
        actor: &Actor,
        name: &str,
        cluster: &str,
        namespace: &str,
        environment: Option<&str>,
    ) -> Result<(FlagKeyView, String), Problem> {
        may_manage(actor)?;
        self.cluster(cluster)?;
        let mut wrong = Vec::new();
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST {
            wrong.push(FieldError::new("name", "Say in 1 to 80 characters which service asks with it."));
        }
        let label = |text: &str| {
            let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !text.is_empty() && text.len() <= 63 && text.chars().all(sign)
        };
        if !label(namespace) {
            wrong
                .push(FieldError::new("namespace", "Must be the name of a namespace: a-z, 0-9 and hyphens."));
        }
        let environment = environment.map(str::trim).filter(|e| !e.is_empty());
        if environment.is_some_and(|e| e.chars().count() > LONGEST) {
            wrong.push(FieldError::new("environment", "Keep it under 80 characters."));
        }
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        let secret = format!("tgf_{}", hex_of::<24>());
        let new = NewFlagKey {
            hash: hex::encode(Sha256::digest(secret.as_bytes())),
            stream: hex_of::<16>(),
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            environment: environment.map(str::to_owned),
            created_by: actor.name.clone(),
        };
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let id = tx.insert_flag_key(&new, now).await.or_problem()?;
        let words = format!("Key “{name}” issued, for the flags of {namespace}");
        let mut event = NewEvent::new(now, actor, "flag-key.issued", words);
        event.environment.clone_from(&new.environment);
        event.detail = serde_json::json!({ "cluster": cluster, "namespace": namespace, "key": id });
        tx.commit(event).await.or_problem()?;
        self.read_flags().await?;
        let keys = read_lock(&self.inner.flags.keys).clone();
        let key = keys.as_ref().and_then(|keys| keys.all.iter().find(|k| k.id == id));
        let key = key.ok_or_else(|| Problem::not_found("The key was issued, and is not on record."))?;
        Ok((view(key), secret))
    }

    /// Withdraws a key: from now on it opens nothing, and its stream ends.
    ///
    /// # Errors
    /// 403; 404 when there is none, or it is withdrawn already; 503 without a database.
    pub async fn revoke_flag_key(&self, actor: &Actor, id: i64) -> Result<(), Problem> {
        may_manage(actor)?;
        let now = self.now_utc();
        let keys = read_lock(&self.inner.flags.keys).clone();
        let name = keys.and_then(|keys| keys.all.iter().find(|k| k.id == id).map(|k| k.name.clone()));
        let mut tx = self.store().begin().await.or_problem()?;
        tx.revoke_flag_key(id, now).await.or_problem()?;
        let words = format!("Key “{}” withdrawn", name.unwrap_or_else(|| id.to_string()));
        let mut event = NewEvent::new(now, actor, "flag-key.revoked", words);
        event.detail = serde_json::json!({ "key": id });
        tx.commit(event).await.or_problem()?;
        self.read_flags().await
    }
}

fn place(key: &FlagKey) -> Place {
    (key.cluster.clone(), key.namespace.clone())
}

pub(super) fn may_manage(actor: &Actor) -> Result<(), Problem> {
    actor.require(Action::Administer, "every environment")
}
