//! `/flags`, the page of one flag, and who would get it.

use super::{Age, Deed, DiffLine, FileState};
use crate::ids::Digest;
use crate::problem::FieldError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// All flags of all files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagsPage {
    /// One for each ConfigMap `feature-flags`, by cluster and namespace.
    pub files: Vec<FlagFileView>,
    /// In order of file, then key.
    pub flags: Vec<FlagRow>,
    /// Keys that services ask with; newest first. Empty for whoever may not see them.
    pub keys: Vec<FlagKeyView>,
    /// May keys be issued and withdrawn?
    pub manage_keys: Deed,
    pub age: Age,
}

/// One ConfigMap with flags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagFileView {
    pub cluster: String,
    pub namespace: String,
    /// [`FileState::Gone`], too, leaves the last good flags served.
    pub state: FileState,
    /// Why what the cluster holds is not served.
    pub faults: Vec<FieldError>,
    pub flags: usize,
    /// When it was last written, by whom, and whether past Tidegate. `None` before it is on record.
    pub changed: Option<FlagChanged>,
}

/// Who changed something last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagChanged {
    pub at: DateTime<Utc>,
    pub by: String,
    /// Past Tidegate.
    pub outside: bool,
}

/// How a flag stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagState {
    /// On for everybody it is for.
    On,
    /// On for a part of them.
    Part,
    /// Off, or on for nobody.
    Off,
    Killed,
}

/// A flag in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagRow {
    pub cluster: String,
    pub namespace: String,
    pub key: String,
    pub state: FlagState,
    /// Of those it is for: `31 %`.
    pub share: String,
    /// `None`: everywhere.
    pub environment: Option<String>,
    /// `country is one of DE, FR`; one for each. Rules are counted: `2 rules before`.
    pub conditions: Vec<String>,
    /// `release`, `experiment`, `operations` or `permission`.
    pub kind: String,
    pub owner: Option<String>,
    pub description: Option<String>,
    pub expires: Option<DateTime<Utc>>,
    /// A change of it waits for an approver.
    pub waits: bool,
    /// Why it looks forgotten; empty where it does not.
    pub stale: Vec<String>,
    /// `None` where its last change is older than what was looked at.
    pub changed: Option<FlagChanged>,
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagPage {
    pub flag: FlagRow,
    /// Of its file.
    pub file: FlagFileView,
    pub killed: Option<FlagKilled>,
    /// Name and value as JSON, in the order of the file; the second is true for what whoever is not in gets.
    pub variants: Vec<FlagVariant>,
    /// In the order in which they are asked; the flag's own conditions and share are the last.
    pub rules: Vec<FlagRule>,
    /// `basket-v2 is on`, `colour is blue`.
    pub prerequisites: Vec<String>,
    /// Flags that need it.
    pub needed_by: Vec<String>,
    /// What users are told apart by.
    pub rollout_by: String,
    pub salt: String,
    /// Its part of the file, as it is written.
    pub yaml: String,
    /// Newest first.
    pub history: Vec<FlagChangeView>,
    pub enabled: bool,
    /// As it is typed: `31`, `0.5`.
    pub percentage: String,
    /// Names the lines that are shown: a change says that it was made over them.
    pub seen: String,
    /// At most one waits.
    pub proposal: Option<FlagProposal>,
    pub change: Deed,
    pub kill: Deed,
    /// `None` where it is not killed.
    pub revive: Option<Deed>,
    pub age: Age,
}

/// Who pressed the kill switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagKilled {
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
    /// Is it on record, so that nothing but a person turns it on again? `false` while Postgres does not answer, and where
    /// somebody wrote the mark past Tidegate: then the file alone keeps it off.
    pub recorded: bool,
    /// Does the ConfigMap say so, too? Services that mount it have it on otherwise.
    pub written: bool,
}

/// A variant of a flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagVariant {
    pub name: String,
    /// As JSON.
    pub value: String,
    /// What whoever is not in gets.
    pub is_default: bool,
}

/// A rule, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagRule {
    /// `Is staff`; the last one's is `Everybody else`, or `Everybody` where it is the only one.
    pub name: String,
    /// All must hold; empty: it holds for everybody.
    pub conditions: Vec<String>,
    /// `31 %`
    pub share: String,
    /// `on`, or `new 50 %, newer 50 %`.
    pub serve: String,
}

/// A content of the file that changed this flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagChangeView {
    /// The file's record.
    pub id: i64,
    pub changed: FlagChanged,
    /// `percentage 31 % → 40 %`; one for each field.
    pub words: Vec<String>,
}

/// Who asks, to see what they would get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagQuestion {
    /// A JSON object: `{"targetingKey": "user-1", "country": "DE"}`.
    pub context: String,
    /// `None`: it is not looked at where the flag counts.
    pub environment: Option<String>,
}

/// What they would get, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagAnswer {
    /// The whole in a sentence.
    pub words: String,
    /// As JSON; `None` where the code's own default counts.
    pub value: Option<String>,
    pub variant: Option<String>,
    /// In OpenFeature's words: `SPLIT`.
    pub reason: String,
    /// In OpenFeature's words: `TARGETING_KEY_MISSING`.
    pub error: Option<String>,
    pub steps: Vec<FlagStep>,
}

/// One step that led there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagStep {
    pub passed: bool,
    pub title: String,
    pub words: String,
}

/// What became of a pressed kill switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagReceipt {
    pub key: String,
    /// The ConfigMap has it, so services that mount it read it as off.
    pub written: bool,
    /// Postgres has it. Otherwise it is recorded as soon as Postgres answers.
    pub recorded: bool,
    /// What is left to be done, where something is.
    pub words: String,
}

/// What became of a change of a flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagOutcome {
    pub key: String,
    /// The change that waits for an approver; `None` where it was made at once.
    pub waits: Option<i64>,
    /// Why it needs one.
    pub why: Vec<String>,
}

/// A change of a flag that waits for an approver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagProposal {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: Option<String>,
    /// What more users would get.
    pub why: Vec<String>,
    pub diff: Vec<DiffLine>,
    /// What an approver names.
    pub digest: Digest,
    /// The flag was changed since: it cannot be applied any more.
    pub overtaken: bool,
    pub decide: Deed,
    pub withdraw: Deed,
}

/// A key that services ask with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlagKeyView {
    pub id: i64,
    pub name: String,
    pub cluster: String,
    pub namespace: String,
    /// `None`: flags of every environment.
    pub environment: Option<String>,
    pub created: DateTime<Utc>,
    pub created_by: String,
    pub revoked: Option<DateTime<Utc>>,
}
