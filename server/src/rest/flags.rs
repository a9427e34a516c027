//! Feature flags: what they are, what one is for somebody, the kill switch.

use super::{Answer, Reason};
use crate::auth::Who;
use crate::body::Small;
use crate::problem::{FieldErrorBody, ProblemResponse};
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use model::FieldError;
use model::view::{
    FileState, FlagAnswer, FlagChanged, FlagFileView, FlagPage, FlagQuestion, FlagReceipt, FlagRow, FlagState,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Which flag.
type At = Path<(String, String, String)>;

/// Who changed something last.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagChanged)]
pub struct ChangedBody {
    pub at: DateTime<Utc>,
    pub by: String,
    /// Past Tidegate.
    pub outside: bool,
}

impl From<FlagChanged> for ChangedBody {
    fn from(c: FlagChanged) -> Self {
        Self { at: c.at, by: c.by, outside: c.outside }
    }
}

/// A ConfigMap `feature-flags`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagFile)]
pub struct FileBody {
    pub cluster: String,
    pub namespace: String,
    /// `in_force`, `changed_outside` (in force, and written past Tidegate), `faulty` (what was served before still is),
    /// `none_in_force` or `gone` (the last good flags are served).
    #[schema(value_type = String)]
    pub state: FileState,
    /// Why what the cluster holds is not served.
    #[schema(value_type = Vec<FieldErrorBody>)]
    pub faults: Vec<FieldError>,
    pub flags: usize,
    /// Null before it is on record.
    pub changed: Option<ChangedBody>,
}

impl From<FlagFileView> for FileBody {
    fn from(f: FlagFileView) -> Self {
        Self {
            cluster: f.cluster,
            namespace: f.namespace,
            state: f.state,
            faults: f.faults,
            flags: f.flags,
            changed: f.changed.map(Into::into),
        }
    }
}

/// A flag in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flag)]
pub struct FlagBody {
    pub cluster: String,
    pub namespace: String,
    pub key: String,
    /// `on`, `part` (for a part of those it is for), `off` or `killed`.
    #[schema(value_type = String)]
    pub state: FlagState,
    /// Of those it is for: `31 %`.
    pub share: String,
    /// Null: everywhere.
    pub environment: Option<String>,
    /// In words, one for each.
    pub conditions: Vec<String>,
    /// `release`, `experiment`, `operations` or `permission`.
    pub kind: String,
    pub owner: Option<String>,
    pub description: Option<String>,
    pub expires: Option<DateTime<Utc>>,
    /// Why it looks forgotten.
    pub stale: Vec<String>,
    pub changed: Option<ChangedBody>,
}

impl From<FlagRow> for FlagBody {
    fn from(f: FlagRow) -> Self {
        Self {
            cluster: f.cluster,
            namespace: f.namespace,
            key: f.key,
            state: f.state,
            share: f.share,
            environment: f.environment,
            conditions: f.conditions,
            kind: f.kind,
            owner: f.owner,
            description: f.description,
            expires: f.expires,
            stale: f.stale,
            changed: f.changed.map(Into::into),
        }
    }
}

/// All flags.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flags)]
pub struct FlagList {
    pub files: Vec<FileBody>,
    pub flags: Vec<FlagBody>,
}

/// Lists the feature flags of all clusters, with their files.
#[utoipa::path(get, path = "/api/v1/flags", tag = "flags", operation_id = "listFlags",
    responses((status = 200, description = "Flags", body = FlagList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn list(State(state): State<AppState>, Who(actor): Who) -> Answer<Json<FlagList>> {
    let page = state.control.flags_page(&actor).await?;
    Ok(Json(FlagList {
        files: page.files.into_iter().map(Into::into).collect(),
        flags: page.flags.into_iter().map(Into::into).collect(),
    }))
}

/// A flag in full.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagInFull)]
pub struct WholeBody {
    pub flag: FlagBody,
    pub file: FileBody,
    pub killed: Option<KilledBody>,
    /// In the order of the file.
    pub variants: Vec<VariantBody>,
    /// In the order in which they are asked; the flag's own conditions and share are the last.
    pub rules: Vec<RuleBody>,
    /// `basket-v2 is on`
    pub prerequisites: Vec<String>,
    /// Flags that need it.
    pub needed_by: Vec<String>,
    /// The attribute that users are told apart by.
    pub rollout_by: String,
    pub salt: String,
    /// Its part of the file.
    pub yaml: String,
    /// Newest first.
    pub history: Vec<HistoryBody>,
}

/// Who pressed the kill switch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagKilled)]
pub struct KilledBody {
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
    /// It is on record, so that nothing but a person turns it on again.
    pub recorded: bool,
    /// The ConfigMap says so, too: services that mount it have it on otherwise.
    pub written: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagVariant)]
pub struct VariantBody {
    pub name: String,
    pub value: Value,
    /// What whoever is not in gets.
    pub is_default: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagRule)]
pub struct RuleBody {
    pub name: String,
    /// In words; all must hold.
    pub conditions: Vec<String>,
    /// `31 %`
    pub share: String,
    /// `on`, or `new 50 %, newer 50 %`.
    pub serve: String,
}

/// A content of the file that changed this flag.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagHistory)]
pub struct HistoryBody {
    /// The file's record.
    pub id: i64,
    pub changed: ChangedBody,
    /// `percentage 31 % → 40 %`
    pub words: Vec<String>,
}

impl From<FlagPage> for WholeBody {
    fn from(p: FlagPage) -> Self {
        let variants = p.variants.into_iter().map(|v| VariantBody {
            name: v.name,
            value: json(&v.value),
            is_default: v.is_default,
        });
        let rules = p.rules.into_iter().map(|r| RuleBody {
            name: r.name,
            conditions: r.conditions,
            share: r.share,
            serve: r.serve,
        });
        let history = p.history.into_iter().map(|h| HistoryBody {
            id: h.id,
            changed: h.changed.into(),
            words: h.words,
        });
        Self {
            killed: p.killed.map(|k| KilledBody {
                at: k.at,
                by: k.by,
                reason: k.reason,
                recorded: k.recorded,
                written: k.written,
            }),
            flag: p.flag.into(),
            file: p.file.into(),
            variants: variants.collect(),
            rules: rules.collect(),
            prerequisites: p.prerequisites,
            needed_by: p.needed_by,
            rollout_by: p.rollout_by,
            salt: p.salt,
            yaml: p.yaml,
            history: history.collect(),
        }
    }
}

/// A value that pages get as text.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// Reads one flag, with its rules and its history.
#[utoipa::path(get, path = "/api/v1/flags/{cluster}/{namespace}/{key}", tag = "flags", operation_id = "readFlag",
    params(("cluster" = String, Path), ("namespace" = String, Path), ("key" = String, Path)),
    responses((status = 200, description = "The flag", body = WholeBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn read(
    State(state): State<AppState>,
    Who(actor): Who,
    Path((cluster, namespace, key)): At,
) -> Answer<Json<WholeBody>> {
    Ok(Json(state.control.flag_page(&actor, &cluster, &namespace, &key).await?.into()))
}

/// Who asks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"context": {"targetingKey": "user-1", "country": "DE"}, "environment": "production"}))]
pub struct FlagTrial {
    /// OpenFeature's evaluation context.
    pub context: Map<String, Value>,
    /// Null: it is not looked at where the flag counts.
    pub environment: Option<String>,
}

/// What they would get, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagAnswer)]
pub struct TriedBody {
    /// The whole in a sentence.
    pub words: String,
    /// Null where the code's own default counts.
    pub value: Option<Value>,
    pub variant: Option<String>,
    /// `STATIC`, `TARGETING_MATCH`, `SPLIT`, `DISABLED`, `DEFAULT` or `ERROR`.
    pub reason: String,
    /// `TARGETING_KEY_MISSING`
    pub error: Option<String>,
    pub steps: Vec<StepBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagStep)]
pub struct StepBody {
    pub passed: bool,
    pub title: String,
    pub words: String,
}

impl From<FlagAnswer> for TriedBody {
    fn from(a: FlagAnswer) -> Self {
        let steps =
            a.steps.into_iter().map(|s| StepBody { passed: s.passed, title: s.title, words: s.words });
        Self {
            words: a.words,
            value: a.value.as_deref().map(json),
            variant: a.variant,
            reason: a.reason,
            error: a.error,
            steps: steps.collect(),
        }
    }
}

/// Says what a flag would be for somebody, with every step that led there. Changes nothing.
#[utoipa::path(post, path = "/api/v1/flags/{cluster}/{namespace}/{key}/try", tag = "flags", operation_id = "tryFlag",
    params(("cluster" = String, Path), ("namespace" = String, Path), ("key" = String, Path)),
    request_body = FlagTrial,
    responses((status = 200, description = "What they would get", body = TriedBody),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn try_out(
    State(state): State<AppState>,
    Who(actor): Who,
    Path((cluster, namespace, key)): At,
    Small(body): Small<FlagTrial>,
) -> Answer<Json<TriedBody>> {
    let question =
        FlagQuestion { context: Value::Object(body.context).to_string(), environment: body.environment };
    Ok(Json(state.control.try_flag(&actor, &cluster, &namespace, &key, &question)?.into()))
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagReceipt)]
pub struct ReceiptBody {
    pub key: String,
    /// The ConfigMap has it.
    pub written: bool,
    /// It is on record. Otherwise it is recorded as soon as Postgres answers.
    pub recorded: bool,
    /// What is left to be done.
    pub words: String,
}

impl From<FlagReceipt> for ReceiptBody {
    fn from(r: FlagReceipt) -> Self {
        Self { key: r.key, written: r.written, recorded: r.recorded, words: r.words }
    }
}

/// Switches a flag off for everybody, at once. It stays off until a person revives it.
#[utoipa::path(post, path = "/api/v1/flags/{cluster}/{namespace}/{key}/kill", tag = "flags",
    operation_id = "killFlag", request_body = Reason,
    params(("cluster" = String, Path), ("namespace" = String, Path), ("key" = String, Path)),
    responses((status = 200, description = "It is off for whoever asks Tidegate", body = ReceiptBody),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 415, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn kill(
    State(state): State<AppState>,
    Who(actor): Who,
    Path((cluster, namespace, key)): At,
    Small(body): Small<Reason>,
) -> Answer<Json<ReceiptBody>> {
    Ok(Json(state.control.kill_flag(&actor, &cluster, &namespace, &key, body.reason).await?.into()))
}

/// Lets a killed flag be switched on again, with a reason. It stays off until somebody does.
#[utoipa::path(post, path = "/api/v1/flags/{cluster}/{namespace}/{key}/revive", tag = "flags",
    operation_id = "reviveFlag", request_body = Reason,
    params(("cluster" = String, Path), ("namespace" = String, Path), ("key" = String, Path)),
    responses((status = 200, description = "It is no longer killed, and off", body = ReceiptBody),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 415, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn revive(
    State(state): State<AppState>,
    Who(actor): Who,
    Path((cluster, namespace, key)): At,
    Small(body): Small<Reason>,
) -> Answer<Json<ReceiptBody>> {
    let reason = body.reason.unwrap_or_default();
    Ok(Json(state.control.revive_flag(&actor, &cluster, &namespace, &key, reason).await?.into()))
}
