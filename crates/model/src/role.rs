//! Who may do what: one table, asked by pages, server functions, REST and the command line alike.

use crate::ids::PersonId;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a person is to releases. A person may hold several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Viewer,
    ReleaseManager,
    Approver,
    OnCall,
    Administrator,
}

impl Role {
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::ReleaseManager, Self::Approver, Self::OnCall, Self::Administrator];

    /// As written in plans, tokens and addresses: `release-manager`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::ReleaseManager => "release-manager",
            Self::Approver => "approver",
            Self::OnCall => "on-call",
            Self::Administrator => "administrator",
        }
    }

    /// As read by people: `release manager`.
    pub fn words(self) -> &'static str {
        match self {
            Self::ReleaseManager => "release manager",
            other => other.key(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|r| r.key() == s || r.words() == s).ok_or_else(|| {
            let known = Self::ALL.map(Self::key).join(", ");
            format!("there is no role `{s}`: use one of {known}")
        })
    }
}

/// What can be done. Each use case names exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    See,
    WritePlan,
    Start,
    Promote,
    Skip,
    Resume,
    Approve,
    OpenOnCallGate,
    Pause,
    Abort,
    RollBack,
    Restart,
    WritePolicies,
    WriteFlags,
    KillFlag,
    ReviveFlag,
    OpenIncident,
    RunIncident,
    Administer,
}

impl Action {
    pub const ALL: [Self; 19] = [
        Self::See,
        Self::WritePlan,
        Self::Start,
        Self::Promote,
        Self::Skip,
        Self::Resume,
        Self::Approve,
        Self::OpenOnCallGate,
        Self::Pause,
        Self::Abort,
        Self::RollBack,
        Self::Restart,
        Self::WritePolicies,
        Self::WriteFlags,
        Self::KillFlag,
        Self::ReviveFlag,
        Self::OpenIncident,
        Self::RunIncident,
        Self::Administer,
    ];

    /// The verb in a refusal: "A viewer may not *roll back*."
    pub fn verb(self) -> &'static str {
        match self {
            Self::See => "see this",
            Self::WritePlan => "write plans",
            Self::Start => "start releases",
            Self::Promote => "promote a step",
            Self::Skip => "skip a step",
            Self::Resume => "resume a release",
            Self::Approve => "approve plans",
            Self::OpenOnCallGate => "open a gate that asks for on-call",
            Self::Pause => "pause a release",
            Self::Abort => "abort a release",
            Self::RollBack => "roll back",
            Self::Restart => "restart pods",
            Self::WritePolicies => "change rollback policies",
            Self::WriteFlags => "change feature flags",
            Self::KillFlag => "kill a feature flag",
            Self::ReviveFlag => "revive a killed feature flag",
            Self::OpenIncident => "open an incident or write a note about one",
            Self::RunIncident => "lead an incident or tell the public",
            Self::Administer => "administer Tidegate",
        }
    }
}

/// The table. Raising deeds are narrow, halting deeds wide: whoever sees a fire may pull the alarm.
pub fn allows(role: Role, action: Action) -> bool {
    use Role::{Administrator, Approver, OnCall, ReleaseManager, Viewer};
    let who: &[Role] = match action {
        Action::See => &[Viewer, ReleaseManager, Approver, OnCall, Administrator],
        Action::WritePlan | Action::Start | Action::Promote | Action::Skip => &[ReleaseManager],
        // On-call may take back its own pause; it still cannot raise a weight past a closed gate.
        Action::Resume => &[ReleaseManager, OnCall],
        // Brings no other version, but takes pods away from users for a while.
        Action::Restart => &[ReleaseManager, OnCall],
        Action::WritePolicies => &[ReleaseManager, Administrator],
        Action::WriteFlags => &[ReleaseManager],
        Action::ReviveFlag => &[ReleaseManager, OnCall],
        Action::Approve => &[Approver],
        Action::OpenOnCallGate => &[OnCall],
        Action::Pause | Action::Abort | Action::RollBack | Action::KillFlag | Action::OpenIncident => {
            &[ReleaseManager, Approver, OnCall, Administrator]
        }
        // What it says is read by everybody outside.
        Action::RunIncident => &[ReleaseManager, OnCall],
        Action::Administer => &[Administrator],
    };
    who.contains(&role)
}

/// A role, for all environments or for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub role: Role,
    /// `None`: everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// By which door somebody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    Browser,
    Api,
    Cli,
    /// Tidegate itself: the conductor, a verdict.
    System,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `None` for Tidegate itself.
    pub person: Option<PersonId>,
    /// Shown in the history: a person's name, or `Tidegate, conductor`.
    pub name: String,
    pub grants: Vec<Grant>,
    pub via: Via,
}

impl Actor {
    /// Tidegate acting by itself under a plan that people approved. Holds no role: it never asks the table.
    pub fn system(part: &str) -> Self {
        Self { person: None, name: format!("Tidegate, {part}"), grants: Vec::new(), via: Via::System }
    }

    pub fn holds(&self, role: Role, environment: &str) -> bool {
        self.grants
            .iter()
            .any(|g| g.role == role && g.environment.as_deref().is_none_or(|e| e == environment))
    }

    pub fn may(&self, action: Action, environment: &str) -> bool {
        Role::ALL.into_iter().any(|r| allows(r, action) && self.holds(r, environment))
    }

    /// In at least one environment.
    pub fn may_somewhere(&self, action: Action) -> bool {
        self.grants.iter().any(|g| allows(g.role, action))
    }

    /// # Errors
    /// `403`, saying who may, when this actor may not.
    pub fn require(&self, action: Action, environment: &str) -> Result<(), Problem> {
        if self.may(action, environment) {
            return Ok(());
        }
        let who: Vec<_> = Role::ALL.into_iter().filter(|r| allows(*r, action)).map(Role::words).collect();
        let mine: Vec<_> = self.grants.iter().map(|g| g.role.words()).collect();
        let me = if mine.is_empty() { "somebody without a role".to_owned() } else { mine.join(" and ") };
        Err(Problem::forbidden(format!(
            "As {me} you may not {} in {environment}. Ask: {}.",
            action.verb(),
            who.join(", ")
        )))
    }

    /// The roles in words, for the page's corner: `on-call`.
    pub fn roles(&self) -> String {
        self.grants.iter().map(|g| g.role.words()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(role: Role, environment: Option<&str>) -> Actor {
        Actor {
            person: Some(PersonId(1)),
            name: "Ada".into(),
            grants: vec![Grant { role, environment: environment.map(str::to_owned) }],
            via: Via::Browser,
        }
    }

    /// The whole table, to be read by a person whenever it changes.
    #[test]
    fn every_role_and_every_action() {
        let mut table = String::new();
        for action in Action::ALL {
            let who: Vec<_> = Role::ALL.into_iter().filter(|r| allows(*r, action)).map(Role::key).collect();
            table.push_str(&format!("{:47}{}\n", action.verb(), who.join(", ")));
        }
        insta::assert_snapshot!(table, @r#"
            see this                                       viewer, release-manager, approver, on-call, administrator
            write plans                                    release-manager
            start releases                                 release-manager
            promote a step                                 release-manager
            skip a step                                    release-manager
            resume a release                               release-manager, on-call
            approve plans                                  approver
            open a gate that asks for on-call              on-call
            pause a release                                release-manager, approver, on-call, administrator
            abort a release                                release-manager, approver, on-call, administrator
            roll back                                      release-manager, approver, on-call, administrator
            restart pods                                   release-manager, on-call
            change rollback policies                       release-manager, administrator
            change feature flags                           release-manager
            kill a feature flag                            release-manager, approver, on-call, administrator
            revive a killed feature flag                   release-manager, on-call
            open an incident or write a note about one     release-manager, approver, on-call, administrator
            lead an incident or tell the public            release-manager, on-call
            administer Tidegate                            administrator
        "#);
    }

    #[test]
    fn every_action_is_listed() {
        // A new action that is not in `ALL` would be asked by nobody: this match does not compile without it.
        for action in Action::ALL {
            match action {
                Action::See
                | Action::WritePlan
                | Action::Start
                | Action::Promote
                | Action::Skip
                | Action::Resume
                | Action::Approve
                | Action::OpenOnCallGate
                | Action::Pause
                | Action::Abort
                | Action::RollBack
                | Action::Restart
                | Action::WritePolicies
                | Action::WriteFlags
                | Action::KillFlag
                | Action::ReviveFlag
                | Action::OpenIncident
                | Action::RunIncident
                | Action::Administer => {}
            }
        }
        let mut all = Action::ALL.to_vec();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), Action::ALL.len());
    }

    #[test]
    fn whoever_sees_a_fire_may_pull_the_alarm_but_a_viewer_only_sees() {
        for role in Role::ALL {
            let halting =
                [Action::Pause, Action::Abort, Action::RollBack, Action::KillFlag, Action::OpenIncident]
                    .map(|a| allows(role, a));
            assert_eq!(halting, [role != Role::Viewer; 5], "{role}");
        }
    }

    #[test]
    fn an_administrator_neither_raises_nor_approves() {
        let raising = [Action::WritePlan, Action::Start, Action::Promote, Action::Skip, Action::WriteFlags];
        for action in raising.into_iter().chain([Action::Approve]) {
            assert!(!allows(Role::Administrator, action), "{action:?}");
        }
    }

    #[test]
    fn a_grant_for_one_environment_is_for_that_one() {
        let actor = holder(Role::Approver, Some("staging"));
        assert!(actor.may(Action::Approve, "staging"));
        assert!(!actor.may(Action::Approve, "production"));
        assert!(holder(Role::Approver, None).may(Action::Approve, "production"));
    }

    #[test]
    fn tidegate_itself_holds_no_role() {
        let system = Actor::system("conductor");
        assert!(Action::ALL.into_iter().all(|a| !system.may(a, "production")));
    }

    #[test]
    fn a_refusal_says_who_may() {
        let said = holder(Role::Viewer, None).require(Action::RollBack, "production").unwrap_err();
        assert_eq!(
            said.detail,
            "As viewer you may not roll back in production. Ask: release manager, approver, on-call, administrator."
        );
        let nobody = Actor { grants: Vec::new(), ..holder(Role::Viewer, None) };
        assert!(nobody.require(Action::See, "production").unwrap_err().detail.contains("without a role"));
    }

    #[test]
    fn roles_are_read_by_key_and_by_words() {
        for role in Role::ALL {
            assert_eq!(role.key().parse(), Ok(role));
            assert_eq!(role.words().parse(), Ok(role));
        }
        assert!("boss".parse::<Role>().unwrap_err().contains("use one of viewer, release-manager"));
    }
}
