//! The demo world's accounts: one for each role, and one token each.

use crate::Control;
use crate::error::OrProblem as _;
use chrono::TimeDelta;
use model::{Actor, Grant, Problem, Role};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// The password of every demo account. Shown on the sign-in page of a demo, and used nowhere else.
pub const PASSWORD: &str = "tidegate-demo";

/// An account that the sign-in page of a demo offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoAccount {
    pub role: Role,
    pub name: &'static str,
    pub email: &'static str,
}

const ACCOUNTS: [DemoAccount; 5] = [
    DemoAccount { role: Role::ReleaseManager, name: "Mara Lind", email: "manager@demo.tidegate.dev" },
    DemoAccount { role: Role::Approver, name: "Ayo Okafor", email: "approver@demo.tidegate.dev" },
    DemoAccount { role: Role::OnCall, name: "Jun Sato", email: "oncall@demo.tidegate.dev" },
    DemoAccount { role: Role::Viewer, name: "Vera Holm", email: "viewer@demo.tidegate.dev" },
    DemoAccount { role: Role::Administrator, name: "Ada Brandt", email: "admin@demo.tidegate.dev" },
];

impl Control {
    /// Accounts to offer on the sign-in page; none outside a demo.
    pub fn demo_accounts(&self) -> &'static [DemoAccount] {
        if self.inner.config.demo { &ACCOUNTS } else { &[] }
    }

    /// Makes what is missing of the demo's accounts, and a token for each role in `demo-tokens.json` (mode 0600).
    /// Running it again changes nothing that works.
    ///
    /// # Errors
    /// 503 without a database, or when the file cannot be written.
    pub async fn demo_seed(&self) -> Result<(), Problem> {
        let system = Actor::system("demo");
        let mut ids = BTreeMap::new();
        for account in ACCOUNTS {
            let id = match self.store().person_by_email(account.email).await.or_problem()? {
                Some(person) => person.id,
                None => {
                    let grants = vec![Grant { role: account.role, environment: None }];
                    self.insert_person(&system, account.name, account.email, PASSWORD, grants, false).await?
                }
            };
            ids.insert(account.role.key(), (id, account));
        }
        self.seed_tokens(&system, &ids).await
    }

    async fn seed_tokens(
        &self,
        system: &Actor,
        ids: &BTreeMap<&'static str, (model::PersonId, DemoAccount)>,
    ) -> Result<(), Problem> {
        let path = self.inner.config.data_dir.join("demo-tokens.json");
        let mut tokens: BTreeMap<String, String> = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let before = tokens.clone();
        for (key, (id, account)) in ids {
            let works = match tokens.get(*key) {
                Some(secret) => self.actor_by_token(secret).await.is_ok(),
                None => false,
            };
            if !works {
                let expires = self.now_utc() + TimeDelta::days(365);
                let grants = vec![Grant { role: account.role, environment: None }];
                let token = self.issue_token(system, account.name, Some(*id), grants, expires).await?;
                tokens.insert((*key).to_owned(), token.secret);
            }
        }
        if tokens == before {
            return Ok(());
        }
        write_private(&path, &tokens).map_err(|e| {
            Problem::unavailable(format!("{} cannot be written: {e}. Make it writable.", path.display()))
        })
    }
}

/// Readable for the owner only, and swapped in whole.
fn write_private(path: &std::path::Path, tokens: &BTreeMap<String, String>) -> std::io::Result<()> {
    let fresh = path.with_extension("json.new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(tokens)?)?;
    file.sync_all()?;
    std::fs::rename(fresh, path)
}
