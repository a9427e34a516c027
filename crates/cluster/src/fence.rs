//! What keeps an effect from coming late.
//!
//! A process can sleep, and a request can lie in a queue, for any time between the decision and its arrival. So each
//! patch of a release tests the mark (annotation [`ATTEMPT`]) that the object carried when it was decided on, and who
//! takes an attempt as not done changes the mark first: from then on it cannot be done.

use crate::driver::{Request, What};
use crate::error::Error;
use crate::observe::{ATTEMPT, Facts};
use crate::patch::{Patch, annotation};
use crate::send::{Outcome, Part};
use crate::{Cluster, raw};
use model::AttemptId;
use model::workload::Key;
use serde::Deserialize;
use serde_json::Value;

/// An announced effect: its id, and the mark on the object when it was decided on.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    pub(crate) id: &'a AttemptId,
    /// `None`: whatever the mark is.
    mark: Option<Option<&'a str>>,
}

impl<'a> Announced<'a> {
    /// Holds only while `mark` is still the newest mark on the object.
    pub fn after(id: &'a AttemptId, mark: Option<&'a str>) -> Self {
        Self { id, mark: Some(mark) }
    }

    /// For what follows, once its own mark is on the object.
    pub(crate) fn landed(self) -> Self {
        Self { mark: self.mark.map(|_| Some(self.id.0.as_str())), ..self }
    }

    pub fn id(self) -> &'a AttemptId {
        self.id
    }

    /// A change of the workload with the mark as a precondition.
    pub(crate) fn fenced(self, facts: &Facts, request: Request) -> Request {
        let What::Patch(part, patch) = request.what else {
            return request;
        };
        let patch = match self.mark {
            Some(Some(mark)) => patch.first_test(&annotation(ATTEMPT), mark),
            Some(None) if facts.annotated => patch.first_test(&annotation(ATTEMPT), Value::Null),
            Some(None) => patch.first_test("/metadata/annotations", Value::Null),
            None => patch,
        };
        Request { what: What::Patch(part, patch), ..request }
    }
}

impl<'a> From<&'a AttemptId> for Announced<'a> {
    fn from(id: &'a AttemptId) -> Self {
        Self { id, mark: None }
    }
}

/// What became of an attempt that nobody had seen happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voided {
    /// It has reached the object after all.
    Landed,
    /// It had not marked the object, and can no longer change it.
    Void,
}

impl Cluster {
    /// Makes sure that an announced attempt, if it has not reached the object yet, never will: the mark that its patch
    /// tests is replaced. Changes nothing else. Reads past the cache.
    ///
    /// # Errors
    /// As for any call; [`Error::Refused`] or [`Error::Unsure`] when the mark could not be replaced for certain.
    pub async fn void(&self, key: &Key, attempt: &AttemptId) -> Result<Voided, Error> {
        let object = self.sender.get(key).await?;
        let mark = object.pointer(&annotation(ATTEMPT)).and_then(Value::as_str);
        if mark == Some(attempt.0.as_str()) {
            return Ok(Voided::Landed);
        }
        let void = AttemptId(format!("void-{attempt}"));
        let annotated = object.pointer("/metadata/annotations").is_some();
        let mut patch = Patch::new().annotate(annotated, &[(ATTEMPT, &void.0)]);
        if annotated {
            patch = patch.first_test(&annotation(ATTEMPT), mark.map_or(Value::Null, Value::from));
        }
        match self.sender.patch(key, Part::Main, Some(&void), patch).await? {
            Outcome::Applied { .. } => Ok(Voided::Void),
            Outcome::Refused { why } => Err(Error::Refused { why }),
            Outcome::Unsure { why } => Err(Error::Unsure { why }),
        }
    }

    /// The newest mark on an object as the API server has it now, past the cache.
    ///
    /// # Errors
    /// As for any read.
    pub async fn mark(&self, key: &Key) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Marked {
            metadata: raw::Meta,
        }
        let object = self.sender.get(key).await?;
        Ok(Marked::deserialize(&object).ok().and_then(|o| o.metadata.annotation(ATTEMPT).map(str::to_owned)))
    }
}
