//! The OpenFeature Remote Evaluation Protocol 0.3: its messages, and the answers to them. Nothing here knows of HTTP but its numbers.

use crate::context::Context;
use crate::evaluate::{Answer, ErrorCode, Evaluator, Reason};
use crate::file::TARGETING_KEY;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Seconds after which an idle client is told to close its stream, as the protocol proposes.
pub const INACTIVITY_DELAY: u32 = 120;

/// `POST /ofrep/v1/evaluate/flags` and `…/{key}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub context: Map<String, Value>,
}

/// A flag that was evaluated. Without a `value` the client uses what its code says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Success<'e> {
    pub key: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'e Value>,
    /// STATIC, TARGETING_MATCH, SPLIT, DISABLED or UNKNOWN.
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<&'e str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// A flag that was not, or, without a key, a whole request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(rename = "errorCode")]
    pub code: ErrorCode,
    #[serde(rename = "errorDetails", skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

impl Failure {
    /// The HTTP status it is answered with.
    pub fn status(&self) -> u16 {
        match self.code {
            ErrorCode::FlagNotFound => 404,
            ErrorCode::TargetingKeyMissing
            | ErrorCode::InvalidContext
            | ErrorCode::ParseError
            | ErrorCode::General => 400,
        }
    }
}

/// What became of one flag.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Evaluation<'e> {
    Success(Success<'e>),
    Failure(Failure),
}

/// All flags for one context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bulk<'e> {
    pub flags: Vec<Evaluation<'e>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    #[serde(rename = "eventStreams", skip_serializing_if = "Vec::is_empty")]
    pub event_streams: Vec<EventStream>,
}

/// Where changes are told. Its address is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventStream {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub endpoint: Endpoint,
    #[serde(rename = "inactivityDelaySec")]
    pub inactivity_delay: u32,
}

/// A path at the server that answered, so that it holds behind any proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    #[serde(rename = "requestUri")]
    pub request_uri: String,
}

impl EventStream {
    /// Server-sent events at a path that begins with `/`.
    pub fn sse(request_uri: impl Into<String>) -> Self {
        let endpoint = Endpoint { request_uri: request_uri.into() };
        Self { kind: "sse", endpoint, inactivity_delay: INACTIVITY_DELAY }
    }
}

/// The data of an event: a notification only, the client asks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refetch {
    #[serde(rename = "type")]
    kind: &'static str,
    pub etag: String,
    /// Unix seconds.
    #[serde(rename = "lastModified")]
    pub last_modified: i64,
}

impl Refetch {
    pub fn new(etag: impl Into<String>, last_modified: i64) -> Self {
        Self { kind: "refetchEvaluation", etag: etag.into(), last_modified }
    }
}

/// Reads the body of a request. The protocol wants a context with a targeting key in it.
///
/// # Errors
/// PARSE_ERROR for what is no JSON, INVALID_CONTEXT for a context that is no object, TARGETING_KEY_MISSING without a key.
pub fn context(body: &[u8]) -> Result<Context, Failure> {
    let fail = |code, words: &str| Failure { key: None, code, details: Some(words.to_owned()) };
    let mut value: Value = serde_json::from_slice(body).map_err(|e| {
        fail(ErrorCode::ParseError, &format!("The body is not JSON: {e}. Send {{\"context\": {{…}}}}."))
    })?;
    let Some(Value::Object(attributes)) = value.get_mut("context").map(Value::take) else {
        let words = "There is no context, or it is no object. Send {\"context\": {\"targetingKey\": \"…\"}}.";
        return Err(fail(ErrorCode::InvalidContext, words));
    };
    match attributes.get(TARGETING_KEY) {
        Some(Value::String(key)) if !key.is_empty() => Ok(attributes.into()),
        Some(Value::String(_) | Value::Null) | None => {
            let words = "The context has no targetingKey. Send whatever tells users apart as text.";
            Err(fail(ErrorCode::TargetingKeyMissing, words))
        }
        Some(_) => Err(fail(ErrorCode::InvalidContext, "The targetingKey must be text. Put it in quotes.")),
    }
}

/// One flag.
///
/// # Errors
/// What is to be answered instead, with its status.
pub fn single<'e>(
    evaluator: &'e Evaluator,
    key: &'e str,
    context: &Context,
    environment: Option<&str>,
) -> Result<Success<'e>, Failure> {
    success(key, &evaluator.evaluate(key, context, environment))
}

/// All flags, in the order of the file. `version` is the file's, of which the ETag is made, too.
pub fn bulk<'e>(
    evaluator: &'e Evaluator,
    context: &'e Context,
    environment: Option<&'e str>,
    version: &str,
    event_streams: Vec<EventStream>,
) -> Bulk<'e> {
    let each = evaluator.evaluate_all(context, environment);
    let flags = each.map(|(key, answer)| match success(key, &answer) {
        Ok(success) => Evaluation::Success(success),
        Err(failure) => Evaluation::Failure(failure),
    });
    let metadata = Map::from_iter([("version".to_owned(), Value::from(version))]);
    Bulk { flags: flags.collect(), metadata, event_streams }
}

/// The protocol knows no DEFAULT: it is UNKNOWN there, and the metadata says it in full.
fn success<'e>(key: &'e str, answer: &Answer<'e>) -> Result<Success<'e>, Failure> {
    if let Some(code) = answer.error {
        let words = match code {
            ErrorCode::FlagNotFound => format!("There is no flag {key}."),
            ErrorCode::TargetingKeyMissing => {
                format!("{key} is for a share of users, and the context has no targetingKey.")
            }
            ErrorCode::InvalidContext | ErrorCode::ParseError | ErrorCode::General => {
                format!("{key} cannot be evaluated.")
            }
        };
        return Err(Failure { key: Some(key.to_owned()), code, details: Some(words) });
    }
    let (reason, metadata) = match answer.reason {
        Reason::Static | Reason::TargetingMatch | Reason::Split | Reason::Disabled => {
            (answer.reason.key(), Map::new())
        }
        Reason::Default | Reason::Error => {
            ("UNKNOWN", Map::from_iter([("reason".to_owned(), Value::from(answer.reason.key()))]))
        }
    };
    Ok(Success { key, value: answer.value, reason, variant: answer.variant, metadata })
}

/// The ETag of a bulk answer, quotes included: of the flags' version, the environment and the context, whatever the order of its
/// attributes. Whether nothing changed is so known without evaluating anything.
pub fn etag(version: &str, environment: Option<&str>, context: &Context) -> String {
    let mut hash = Sha256::new();
    feed(&mut hash, b'v', version.as_bytes());
    feed(&mut hash, b'e', environment.unwrap_or_default().as_bytes());
    hash.update([u8::from(environment.is_some())]);
    object(&mut hash, context.attributes());
    let digest: [u8; 32] = hash.finalize().into();
    format!("\"{}\"", hex::encode(&digest[..16]))
}

/// The version of a file: a hash of its text.
pub fn version(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Does `If-None-Match` name this ETag? Then the answer is 304.
pub fn not_modified(if_none_match: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let own = opaque(etag);
    if_none_match.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == own)
}

/// Each part with its kind and length, so that no two contexts are fed alike.
fn feed(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn object(hash: &mut Sha256, map: &Map<String, Value>) {
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    hash.update(b"{");
    hash.update((keys.len() as u64).to_be_bytes());
    for (key, value) in keys {
        feed(hash, b'k', key.as_bytes());
        self::value(hash, value);
    }
}

fn value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"0"),
        Value::Bool(b) => hash.update(if *b { b"t" } else { b"f" }),
        Value::Number(n) => feed(hash, b'n', n.to_string().as_bytes()),
        Value::String(text) => feed(hash, b's', text.as_bytes()),
        Value::Array(items) => {
            hash.update(b"[");
            hash.update((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| self::value(hash, item));
        }
        Value::Object(map) => object(hash, map),
    }
}
