//! Carries patches to the API server, and says what became of them.
//!
//! Every patch has `fieldValidation=Strict` (without it an unknown field is dropped with a 200 and nothing
//! happens), our field manager, and `test`s as preconditions. It is sent once: nothing here repeats an
//! effect.

use crate::driver::{self, What};
use crate::error::{Error, one_line};
use crate::observe::ATTEMPT;
use crate::patch::{Patch, annotation};
use crate::{httproute, raw};
use http::{Method, Request, header};
use kube::Client;
use kube::client::Body;
use model::AttemptId;
use model::workload::{Key, Kind};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// For any one call, from the first byte to the last.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// An object's metadata and nothing else of it.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Asks for everything but storing it.
const DRY_RUN: &str = "dryRun=All";
/// Who we are in `managedFields`.
pub(crate) const MANAGER: &str = "tidegate";

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The API server has it. That it *worked* is seen only in what is observed afterwards.
    Applied { generation: i64, resource_version: String },
    /// Certainly not carried out: a precondition failed, or the workload does not allow it.
    Refused { why: String },
    /// Sent, and no answer: it may have been carried out. Read the object back before anything is repeated.
    Unsure { why: String },
}

impl Outcome {
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Applied { .. })
    }
}

/// A raw answer.
pub(crate) enum Answer {
    Ok(Value),
    /// Refused with a 4xx.
    No {
        code: u16,
        reason: String,
    },
    /// No answer to something that was sent, or a 5xx.
    Lost(String),
    /// It never left.
    Unsent(String),
}

/// Which part of an object a patch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
    /// Not the object itself: the Service, the Ingress or the HTTPRoute of the key's name.
    Service,
    Ingress,
    HttpRoute,
}

/// Calls to one API server.
#[derive(Clone)]
pub(crate) struct Sender {
    pub client: Client,
    pub cluster: String,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// The `apiVersion` of a kind.
pub(crate) fn group(kind: Kind) -> &'static str {
    match kind {
        Kind::Rollout => "argoproj.io/v1alpha1",
        Kind::Deployment => "apps/v1",
    }
}

pub(crate) fn path(key: &Key) -> String {
    let group = group(key.kind);
    let plural = match key.kind {
        Kind::Rollout => "rollouts",
        Kind::Deployment => "deployments",
    };
    format!("/apis/{group}/namespaces/{}/{plural}/{}", key.namespace, key.name)
}

/// The object that a patch changes.
fn object_path(key: &Key, part: Part) -> String {
    match part {
        Part::Main | Part::Status => path(key),
        Part::Service => format!("/api/v1/namespaces/{}/services/{}", key.namespace, key.name),
        Part::Ingress => {
            format!("/apis/networking.k8s.io/v1/namespaces/{}/ingresses/{}", key.namespace, key.name)
        }
        Part::HttpRoute => format!("{}/{}", httproute::list(&key.namespace), key.name),
    }
}

/// Where a patch goes, with what every patch carries.
fn uri(key: &Key, part: Part) -> String {
    let status = if part == Part::Status { "/status" } else { "" };
    format!("{}{status}?fieldManager={MANAGER}&fieldValidation=Strict", object_path(key, part))
}

impl Sender {
    pub(crate) async fn call(&self, method: Method, uri: &str, body: Option<&Value>) -> Answer {
        let patches = method == Method::PATCH;
        let content = if patches { "application/json-patch+json" } else { "application/json" };
        let mut request = Request::builder().method(method).uri(uri);
        if body.is_some() {
            // Only the object's metadata comes back: the rest would be thrown away.
            request = request.header(header::CONTENT_TYPE, content).header(header::ACCEPT, METADATA);
        }
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        let request = match request.body(Body::from(body)) {
            Ok(request) => request,
            Err(e) => return Answer::Unsent(format!("not a valid request: {e}")),
        };
        match timeout(CALL, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Lost(format!("no answer within {} s", CALL.as_secs())),
        }
    }

    async fn exchange(&self, request: Request<Body>) -> Answer {
        let response = match self.client.send(request).await {
            Ok(response) => response,
            Err(e) if never_left(&e) => return Answer::Unsent(one_line(&e)),
            Err(e) => return Answer::Lost(one_line(&e)),
        };
        let status = response.status();
        for warning in response.headers().get_all(header::WARNING) {
            tracing::warn!(?warning, "the API server warns about a call of ours");
        }
        let bytes = match response.into_body().collect_bytes().await {
            Ok(bytes) => bytes,
            Err(e) => return Answer::Lost(one_line(&e)),
        };
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Answer::Ok(value);
        }
        let reason = match value["message"].as_str() {
            Some(message) => cut(message).to_owned(),
            None => status.canonical_reason().unwrap_or("no reason given").to_owned(),
        };
        if status.is_server_error() {
            return Answer::Lost(format!("{} {reason}", status.as_u16()));
        }
        Answer::No { code: status.as_u16(), reason }
    }

    /// Reads an object, or (`only`) its metadata: what is not asked for never leaves the API server.
    pub(crate) async fn metadata_or(&self, only: bool, uri: &str) -> Answer {
        if !only {
            return self.call(Method::GET, uri, None).await;
        }
        let request = Request::builder().method(Method::GET).uri(uri).header(header::ACCEPT, METADATA);
        match request.body(Body::from(Vec::new())) {
            Ok(request) => match timeout(CALL, self.exchange(request)).await {
                Ok(answer) => answer,
                Err(_) => Answer::Lost(format!("no answer within {} s", CALL.as_secs())),
            },
            Err(e) => Answer::Unsent(format!("not a valid request: {e}")),
        }
    }

    /// # Errors
    /// [`Error::Gone`], [`Error::Denied`], [`Error::Unreachable`], [`Error::Answer`].
    pub(crate) async fn get(&self, key: &Key) -> Result<Value, Error> {
        self.read(&path(key), "read it", Some(key)).await
    }

    pub(crate) async fn read(&self, uri: &str, action: &str, key: Option<&Key>) -> Result<Value, Error> {
        match (self.call(Method::GET, uri, None).await, key) {
            (Answer::Ok(value), _) => Ok(value),
            (Answer::No { code: 404, .. }, Some(key)) => Err(Error::Gone(key.clone())),
            (answer, _) => Err(self.error(answer, action)),
        }
    }

    pub(crate) fn error(&self, answer: Answer, action: &str) -> Error {
        let (cluster, action) = (self.cluster.clone(), action.to_owned());
        match answer {
            Answer::No { code: 401 | 403, reason } => Error::Denied { cluster, action, reason },
            Answer::No { code, reason } => Error::Answer { cluster, action, code, reason },
            Answer::Lost(reason) | Answer::Unsent(reason) => Error::Unreachable { cluster, reason },
            Answer::Ok(_) => Error::Answer { cluster, action, code: 200, reason: "nothing of use".into() },
        }
    }

    /// Sends one patch. A failed precondition is looked into and put in words.
    ///
    /// # Errors
    /// When it certainly did not reach the API server, or the object is gone, or Tidegate may not.
    pub(crate) async fn patch(
        &self,
        key: &Key,
        part: Part,
        attempt: Option<&AttemptId>,
        patch: Patch,
    ) -> Result<Outcome, Error> {
        self.send(&uri(key, part), key, part, attempt, patch).await
    }

    /// Sends what a driver says.
    ///
    /// # Errors
    /// As [`Sender::patch`].
    pub(crate) async fn request(
        &self,
        request: driver::Request,
        attempt: &AttemptId,
    ) -> Result<Outcome, Error> {
        let mark = request.marked.then_some(attempt);
        match request.what {
            What::Patch(part, patch) => self.patch(&request.key, part, mark, patch).await,
            What::Create(part, object) => self.create(&request.key, part, Some(attempt), &object).await,
            What::Delete(uid) => self.delete(&request.key, &uid, false).await,
        }
    }

    /// Makes an object that carries the attempt's id. Where it is there already it is done, if under the same id, or for the
    /// same second Deployment. Without an attempt it is only tried.
    async fn create(
        &self,
        key: &Key,
        part: Part,
        attempt: Option<&AttemptId>,
        object: &Value,
    ) -> Result<Outcome, Error> {
        let path = object_path(key, part);
        let kind = match part {
            Part::Main | Part::Status => key.kind.key(),
            Part::Service => "Service",
            Part::Ingress => "Ingress",
            Part::HttpRoute => "HTTPRoute",
        };
        let all = path.rsplit_once('/').map_or(path.as_str(), |(all, _)| all);
        let mut uri = format!("{all}?fieldManager={MANAGER}&fieldValidation=Strict");
        if attempt.is_none() {
            uri = format!("{uri}&{DRY_RUN}");
        }
        match self.call(Method::POST, &uri, Some(object)).await {
            Answer::Ok(value) => Ok(applied(&value)),
            Answer::Lost(why) => Ok(self.unconfirmed(&why)),
            Answer::No { code: 409, .. } => {
                let there = self.read(&path, "read it", Some(key)).await?;
                let mark = there.pointer(&annotation(ATTEMPT)).and_then(Value::as_str);
                let owner = |o: &Value| o.pointer("/metadata/ownerReferences/0/uid").cloned();
                let same = matches!(part, Part::Service | Part::Ingress) && owner(&there) == owner(object);
                if same || attempt.is_some_and(|a| mark == Some(&a.0)) {
                    return Ok(applied(&there));
                }
                Ok(Outcome::refused(format!(
                    "{kind} {} is there already, and not made by this attempt. Delete it, if it is not needed, or give \
                     it another name.",
                    key.name
                )))
            }
            Answer::No { code: code @ (422 | 400), reason } => Ok(Outcome::refused(format!(
                "The cluster refused to make {kind} {}: {reason} ({code}).",
                key.name
            ))),
            answer => Err(self.error(answer, &format!("make {}", key.name))),
        }
    }

    /// Deletes the object with this UID and no other of its name; with `dry` it is only tried.
    async fn delete(&self, key: &Key, uid: &str, dry: bool) -> Result<Outcome, Error> {
        let dry: &[&str] = if dry { &["All"] } else { &[] };
        let options = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": dry,
            "propagationPolicy": "Background", "preconditions": {"uid": uid}});
        match self.call(Method::DELETE, &path(key), Some(&options)).await {
            Answer::Ok(_) | Answer::No { code: 404 | 409, .. } => {
                Ok(Outcome::Applied { generation: 0, resource_version: String::new() })
            }
            Answer::Lost(why) => Ok(self.unconfirmed(&why)),
            answer => Err(self.error(answer, &format!("delete {}", key.name))),
        }
    }

    fn unconfirmed(&self, why: &str) -> Outcome {
        let why = format!("The API server of cluster {} did not confirm the change: {why}.", self.cluster);
        Outcome::Unsure { why }
    }

    /// Has the API server take a patch through everything but storing it: permissions, preconditions, schema and
    /// admission. [`Outcome::Applied`] means that it would be taken.
    ///
    /// # Errors
    /// As [`Sender::patch`].
    pub(crate) async fn dry_run(&self, request: driver::Request) -> Result<Outcome, Error> {
        // Without the attempt: what is not stored cannot be found again.
        match request.what {
            What::Patch(part, patch) => {
                let uri = format!("{}&{DRY_RUN}", uri(&request.key, part));
                self.send(&uri, &request.key, part, None, patch).await
            }
            What::Create(part, object) => self.create(&request.key, part, None, &object).await,
            What::Delete(uid) => self.delete(&request.key, &uid, true).await,
        }
    }

    async fn send(
        &self,
        uri: &str,
        key: &Key,
        part: Part,
        attempt: Option<&AttemptId>,
        patch: Patch,
    ) -> Result<Outcome, Error> {
        let body = patch.clone().value();
        match self.call(Method::PATCH, uri, Some(&body)).await {
            Answer::Ok(value) => Ok(applied(&value)),
            Answer::Lost(why) => Ok(self.unconfirmed(&why)),
            Answer::No { code: 404, .. } => Err(Error::Gone(key.clone())),
            Answer::No { code: code @ (409 | 422 | 400), reason } => {
                Ok(self.why(key, part, attempt, &patch, code, reason).await)
            }
            // 429 and the like: turned away before anything was done.
            answer => Err(self.error(answer, &format!("change {}", key.name))),
        }
    }

    /// Why a patch was turned down. The API server does not say which `test` failed, so the object is read
    /// again.
    async fn why(
        &self,
        key: &Key,
        part: Part,
        attempt: Option<&AttemptId>,
        patch: &Patch,
        code: u16,
        reason: String,
    ) -> Outcome {
        let object = match self.read(&object_path(key, part), "read it", Some(key)).await {
            Ok(object) => object,
            Err(e) => {
                return Outcome::refused(format!("The cluster refused the change ({code}), and {e}"));
            }
        };
        if attempt.is_some_and(|attempt| carries(&object, attempt)) {
            // Sent before, lost the answer, sent again: it is done.
            return applied(&object);
        }
        match patch.first_failing(&object) {
            Some((path, wanted, found)) => Outcome::refused(format!(
                "{} changed in the meantime: {}. Look at it again and decide anew.",
                key.name,
                difference(path, wanted, found)
            )),
            None => Outcome::refused(format!(
                "The cluster refused the change of {}: {reason} ({code}).",
                key.name
            )),
        }
    }
}

/// The attempt has left its mark; on an HTTPRoute that of one of the Deployments it leads to.
fn carries(object: &Value, attempt: &AttemptId) -> bool {
    let notes = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let is_mark = |key: &str| key == ATTEMPT || httproute::is_mark(key);
    notes.into_iter().flatten().any(|(key, mark)| is_mark(key) && mark == attempt.0.as_str())
}

/// What a failed precondition means, without quoting templates.
fn difference(path: &str, wanted: &Value, found: &Value) -> String {
    let say = |v: &Value| match v {
        Value::Null => "nothing".to_owned(),
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Array(_) | Value::Object(_) => "something else".to_owned(),
    };
    let (wanted, found) = (say(wanted), say(found));
    match path {
        "/status/stableRS" => format!("its stable revision is {found}, no longer {wanted}"),
        "/status/currentPodHash" => format!("its newest revision is {found}, no longer {wanted}"),
        "/status/currentStepIndex" => {
            format!("it stands at step {found}, no longer at step {wanted}")
        }
        "/status/blueGreen/activeSelector" => {
            format!("its active Service selects {found}, no longer {wanted}")
        }
        "/status/pauseConditions/0/reason" => "it no longer waits at that pause".to_owned(),
        path if path == annotation(ATTEMPT) || httproute::is_mark(&path.replace("~1", "/")) => {
            format!("another change has reached it, and left the mark {found}")
        }
        "/spec/selector" => "its selector is no longer the one that was read".to_owned(),
        path if path.starts_with("/spec/rules/") => "its rules are no longer as they were read".to_owned(),
        "/spec/template" => "its template is no longer the one that was read".to_owned(),
        path if path.starts_with("/spec/template/") => "its containers are no longer the same".to_owned(),
        path => format!("{path} holds {found}, not {wanted}"),
    }
}

fn applied(object: &Value) -> Outcome {
    #[derive(Deserialize)]
    struct Seen {
        metadata: raw::Meta,
    }
    match Seen::deserialize(object) {
        Ok(seen) => Outcome::Applied {
            generation: seen.metadata.generation,
            resource_version: seen.metadata.resource_version,
        },
        Err(_) => Outcome::Unsure { why: "The API server's answer to the change cannot be read.".into() },
    }
}

/// The part of an API server's message that may be shown. A 422's text holds the whole object, environment
/// variables included, before the last `": `.
pub(crate) fn cut(message: &str) -> &str {
    let tail = message.rsplit_once("\": ").map_or(message, |(_, tail)| tail);
    let tail = tail.lines().next().unwrap_or_default();
    // Whatever still quotes a structure is cut where it begins.
    let tail = tail.split('{').next().unwrap_or_default().trim_end();
    match tail.char_indices().nth(300) {
        Some((end, _)) => &tail[..end],
        None => tail,
    }
}

/// No connection was made, so nothing can have been done.
fn never_left(e: &kube::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(e) = cause {
        if let Some(e) = e.downcast_ref::<hyper_util::client::legacy::Error>() {
            return e.is_connect();
        }
        cause = e.source();
    }
    // Credentials that could not be had, a request that could not be built.
    matches!(e, kube::Error::Auth(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_422_is_cut_to_what_it_complains_about() {
        let message = r#"Rollout "" is invalid: patch: Invalid value: "{\"spec\":{\"env\":[{\"value\":\"hunter2\"}]}}": strict decoding error: unknown field "spec.rollback""#;
        assert_eq!(cut(message), r#"strict decoding error: unknown field "spec.rollback""#);
    }

    #[test]
    fn an_object_that_is_quoted_some_other_way_is_cut_off() {
        assert_eq!(
            cut(r#"Invalid value: map[string]interface {}{"value":"hunter2"}"#),
            "Invalid value: map[string]interface"
        );
        assert_eq!(cut("rollouts.argoproj.io is forbidden"), "rollouts.argoproj.io is forbidden");
        assert_eq!(cut(&"é".repeat(1000)).chars().count(), 300);
    }

    #[test]
    fn differences_are_words_and_templates_are_not_quoted() {
        assert_eq!(
            difference("/status/stableRS", &json!("aaa"), &json!("bbb")),
            "its stable revision is bbb, no longer aaa"
        );
        let template = json!({"spec": {"env": "hunter2"}});
        assert!(!difference("/spec/template", &template, &template).contains("hunter2"));
        assert!(!difference("/spec/strategy", &template, &template).contains("hunter2"));
    }
}
