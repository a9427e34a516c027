//! Files that live in clusters, in ConfigMaps of fixed names, and are followed and written here.

/// Which files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Book {
    /// Rollback policies.
    Policies,
    /// Feature flags.
    Flags,
}

impl Book {
    /// The ConfigMap's name in every namespace.
    pub fn config_map(self) -> &'static str {
        match self {
            Self::Policies => "rollback-policies",
            Self::Flags => "feature-flags",
        }
    }

    /// The file's key in the ConfigMap.
    pub fn key(self) -> &'static str {
        match self {
            Self::Policies => "policies.yaml",
            Self::Flags => "flags.yaml",
        }
    }

    /// What is in it: "write *rollback policies*".
    pub fn words(self) -> &'static str {
        match self {
            Self::Policies => "rollback policies",
            Self::Flags => "feature flags",
        }
    }
}
