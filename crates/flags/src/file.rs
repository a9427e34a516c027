//! What a file of flags says: the format of `flags.yaml`, and the fields that an older reader of it passes over.

use crate::share::Share;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A file of flags, free of faults: [`File::parse`] makes no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// In the order of the file; no key twice.
    pub flags: Vec<Flag>,
    /// Named groups of users, below `$segments`.
    pub segments: Vec<Segment>,
}

/// What a flag is for; it decides when it counts as forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Brings a change to users; is removed when everybody has it.
    #[default]
    Release,
    /// Compares variants; is removed when that is decided.
    Experiment,
    /// Stays, to be turned off in need.
    Operations,
    /// Stays, since not everybody may.
    Permission,
}

/// One flag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flag {
    pub key: String,
    pub enabled: bool,
    /// Of the users who meet the conditions.
    pub percentage: Share,
    /// Where it counts; everywhere when there is none.
    pub environment: Option<String>,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Instead of the key, before a user's value in the hash.
    pub salt: Option<String>,
    /// Attribute that tells users apart; `targetingKey` when there is none.
    pub rollout_by: Option<String>,
    /// Empty: `on` is true, `off` is false.
    pub variants: Vec<Variant>,
    /// What whoever is not in gets.
    pub default_variant: Option<String>,
    /// What whoever is in gets; with two variants the other one.
    pub serve: Option<Serve>,
    /// Asked in order before the flag's own conditions; the first whose conditions hold decides.
    pub rules: Vec<Rule>,
    pub prerequisites: Vec<Prerequisite>,
    pub kind: Kind,
    pub owner: Option<String>,
    pub description: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// The kill switch was pressed. Off whatever `enabled` says, until a person revives it.
    pub killed: Option<Killed>,
    pub revision: Option<u64>,
}

/// Who pressed the kill switch, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
}

/// A value with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub name: String,
    pub value: Value,
}

/// What whoever is in gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serve {
    One(String),
    /// Shares that come to 100 %.
    Split(Vec<(String, Share)>),
}

/// A rule of a flag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub name: Option<String>,
    pub conditions: Vec<Condition>,
    pub percentage: Share,
    pub serve: Option<Serve>,
    pub rollout_by: Option<String>,
}

/// Another flag that must be on for this user first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerequisite {
    pub flag: String,
    /// `None`: any but its default variant.
    pub variant: Option<String>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// `type` in the file: the attribute's name, or a path into it with dots.
    pub attribute: String,
    pub operator: Operator,
    pub value: Option<String>,
    /// `values` in the file: instead of `value`, where a value holds commas or there are many.
    pub values: Vec<String>,
}

/// A named group of users: all conditions must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub name: String,
    pub description: Option<String>,
    pub conditions: Vec<Condition>,
}

macro_rules! operators {
    ($($variant:ident $key:literal $words:literal;)*) => {
        /// How an attribute is compared.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operator { $($variant),* }

        impl Operator {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written to a file.
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key),* }
            }

            /// Between the attribute and the value: "country *is one of* DE, FR".
            pub fn words(self) -> &'static str {
                match self { $(Self::$variant => $words),* }
            }
        }
    };
}

operators! {
    Equals "equals" "is";
    NotEquals "not_equals" "is not";
    In "in" "is one of";
    NotIn "not_in" "is none of";
    Contains "contains" "contains";
    NotContains "not_contains" "does not contain";
    StartsWith "starts_with" "starts with";
    EndsWith "ends_with" "ends with";
    Matches "matches" "matches";
    GreaterThan "greater_than" "is more than";
    AtLeast "at_least" "is at least";
    LessThan "less_than" "is less than";
    AtMost "at_most" "is at most";
    VersionEquals "version_equals" "is version";
    VersionAbove "version_above" "is a version above";
    VersionAtLeast "version_at_least" "is at least version";
    VersionBelow "version_below" "is a version below";
    VersionAtMost "version_at_most" "is at most version";
    InNetwork "in_network" "is in the network";
    NotInNetwork "not_in_network" "is not in the network";
    Before "before" "is before";
    After "after" "is after";
    InSegment "in_segment" "is in the segment";
    NotInSegment "not_in_segment" "is not in the segment";
}

impl Operator {
    /// As people write it: `not equals`, `starts-with` and `STARTS_WITH` too.
    pub fn parse(text: &str) -> Option<Self> {
        let key: String = text.trim().chars().map(|c| if matches!(c, ' ' | '-') { '_' } else { c }).collect();
        Self::ALL.iter().copied().find(|o| o.key().eq_ignore_ascii_case(&key))
    }

    /// Holds for whoever the positive one does not hold for. A missing attribute holds for neither.
    pub fn negated(self) -> bool {
        matches!(
            self,
            Self::NotEquals | Self::NotIn | Self::NotContains | Self::NotInNetwork | Self::NotInSegment
        )
    }

    /// `value` is a list, its items parted by commas.
    pub(crate) fn lists(self) -> bool {
        matches!(
            self,
            Self::In
                | Self::NotIn
                | Self::InNetwork
                | Self::NotInNetwork
                | Self::InSegment
                | Self::NotInSegment
        )
    }

    pub(crate) fn of_segment(self) -> bool {
        matches!(self, Self::InSegment | Self::NotInSegment)
    }
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Release, Self::Experiment, Self::Operations, Self::Permission];

    pub fn key(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Experiment => "experiment",
            Self::Operations => "operations",
            Self::Permission => "permission",
        }
    }
}

impl Condition {
    /// What the attribute is compared with.
    pub fn operands(&self) -> Vec<&str> {
        let listed = self.values.iter().map(String::as_str);
        match &self.value {
            Some(value) if self.operator.lists() => {
                value.split(',').map(str::trim).filter(|v| !v.is_empty()).chain(listed).collect()
            }
            Some(value) => std::iter::once(value.as_str()).chain(listed).collect(),
            None => listed.collect(),
        }
    }

    /// As a person would say it: "country is one of DE, FR".
    pub fn words(&self) -> String {
        let operands = self.operands();
        let many = operands.len();
        let shown: Vec<_> = operands.iter().take(6).copied().collect();
        let rest = if many > 6 { format!(" and {} more", many - 6) } else { String::new() };
        let subject = if self.operator.of_segment() { "the user" } else { &self.attribute };
        let either = if self.operator.lists() || many < 2 { ", " } else { " or " };
        format!("{subject} {} {}{rest}", self.operator.words(), shown.join(either))
    }
}

pub(crate) const TARGETING_KEY: &str = "targetingKey";
/// Variants of a flag that names none.
pub(crate) const ON: &str = "on";
pub(crate) const OFF: &str = "off";

impl Flag {
    pub fn salt(&self) -> &str {
        self.salt.as_deref().unwrap_or(&self.key)
    }

    pub fn rollout_by(&self) -> &str {
        self.rollout_by.as_deref().unwrap_or(TARGETING_KEY)
    }

    /// May the flag be on for anybody at all?
    pub fn is_on(&self) -> bool {
        self.enabled && self.killed.is_none()
    }

    /// Its variants, those of a plain flag included.
    pub fn all_variants(&self) -> Vec<Variant> {
        if self.variants.is_empty() {
            let plain =
                |name: &str, value: bool| Variant { name: name.to_owned(), value: Value::Bool(value) };
            return vec![plain(ON, true), plain(OFF, false)];
        }
        self.variants.clone()
    }

    /// The variant of whoever is not in.
    pub fn default_variant(&self) -> &str {
        self.default_variant.as_deref().unwrap_or(OFF)
    }

    /// What whoever is in gets, where a rule does not say it.
    pub fn serve(&self) -> Serve {
        if let Some(serve) = &self.serve {
            return serve.clone();
        }
        let off = self.default_variant();
        let other = self.variants.iter().map(|v| v.name.as_str()).find(|name| *name != off);
        let plain = if off == ON { OFF } else { ON };
        Serve::One(other.unwrap_or(plain).to_owned())
    }
}

impl File {
    pub fn flag(&self, key: &str) -> Option<&Flag> {
        self.flags.iter().find(|f| f.key == key)
    }

    pub fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments.iter().find(|s| s.name == name)
    }
}
